"""Primitives for which NumPy has no function: random numbers and distributions.

A distribution here has no closed form: its `share` is the probability of a value at or below the
argument, its `quantile` the smallest value with at least that share.  SciPy computes both, for
both back ends, so that they agree to the bit; compiled code calls back for them.  Parameters that
describe no distribution give NaN, which stops a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beltcast.engine.nodes import FloatArray

# --- chance -----------------------------------------------------------------------------------

MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15)
"""Multipliers of the mixing function of splitmix64 (Steele, Lea and Flood 2014), and its step."""


def uniform_value(*keys: FloatArray) -> FloatArray:
    """A number in [0, 1) that depends on the bits of the keys and on nothing else.

    Each key is mixed into a 64-bit state by the finaliser of splitmix64; the upper 53 bits are
    the number.  No generator is advanced, so a number does not depend on how many were drawn
    before it, on the order of members or on threads.
    """
    state = np.zeros(np.broadcast_shapes(*(k.shape for k in keys)), dtype=np.uint64)
    for key in keys:
        # + 0.0 makes -0.0 the same key as 0.0
        bits = (np.asarray(key, dtype=np.float64) + 0.0).view(np.uint64)
        state = (state ^ bits) + np.uint64(MIX[2])
        state = (state ^ (state >> np.uint64(30))) * np.uint64(MIX[0])
        state = (state ^ (state >> np.uint64(27))) * np.uint64(MIX[1])
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.int64).astype(np.float64) * 2.0**-53


# --- the gamma function -----------------------------------------------------------------------


def log_gamma(x: FloatArray) -> FloatArray:
    """Logarithm of the absolute value of the gamma function."""
    from scipy import special  # imported late, as below: few models need it, and it takes a while

    return np.asarray(special.gammaln(x))


def digamma(x: FloatArray) -> FloatArray:
    """Derivative of `log_gamma`."""
    from scipy import special

    return np.asarray(special.digamma(x))


# --- distributions ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Distribution:
    """A distribution by its share and its quantile.

    Attributes
    ----------
    parameters : int
        How many follow the first argument of both.
    share, quantile : callable
        ``(x, *parameters)`` and ``(p, *parameters)``, arrays in and out, element by element.
    """

    parameters: int
    share: Callable[..., FloatArray]
    quantile: Callable[..., FloatArray]


def _gamma_share(x: FloatArray, shape: FloatArray) -> FloatArray:
    from scipy import special

    return np.asarray(special.gammainc(_positive(shape), np.maximum(x, 0.0)))


def _gamma_quantile(p: FloatArray, shape: FloatArray) -> FloatArray:
    from scipy import special

    return np.asarray(special.gammaincinv(_positive(shape), p))


def _beta_share(x: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    from scipy import special

    return np.asarray(special.betainc(_positive(a), _positive(b), np.clip(x, 0.0, 1.0)))


def _beta_quantile(p: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    from scipy import special

    return np.asarray(special.betaincinv(_positive(a), _positive(b), p))


def _poisson_share(x: FloatArray, mean: FloatArray) -> FloatArray:
    # At most k events of mean m: the gamma integral beyond m, of order k + 1.
    from scipy import special

    k = np.floor(x)
    inside = special.gammaincc(np.maximum(k, 0.0) + 1.0, mean)
    known = np.where(k < 0.0, 0.0, np.where(k == np.inf, 1.0, inside))
    return np.where((mean >= 0.0) & (mean < np.inf) & ~np.isnan(x), known, np.nan)


def _binomial_share(x: FloatArray, chance: FloatArray, trials: FloatArray) -> FloatArray:
    # At most k of n: the beta integral of (n - k, k + 1) up to 1 - p.
    from scipy import special

    k = np.clip(np.floor(x), -1.0, trials)
    inside = special.betainc(np.maximum(trials - k, 1.0), np.maximum(k, 0.0) + 1.0, 1.0 - chance)
    known = np.where(k < 0.0, 0.0, np.where(k >= trials, 1.0, inside))
    good = _is_share(chance) & _is_whole(trials, 0.0) & ~np.isnan(x)
    return np.where(good, known, np.nan)


def _waiting_share(x: FloatArray, chance: FloatArray, successes: FloatArray) -> FloatArray:
    # n successes within k trials: the beta integral of (n, k - n + 1) up to p.
    from scipy import special

    failures = np.floor(x) - successes
    inside = special.betainc(successes, np.maximum(failures, 0.0) + 1.0, chance)
    known = np.where(failures < 0.0, 0.0, np.where(failures == np.inf, 1.0, inside))
    good = _is_share(chance) & (chance > 0.0) & _is_whole(successes, 1.0) & ~np.isnan(x)
    return np.where(good, known, np.nan)


def _positive(parameter: FloatArray) -> FloatArray:
    return np.where((parameter > 0.0) & (parameter < np.inf), parameter, np.nan)


def _is_share(x: FloatArray) -> NDArray[np.bool_]:
    return (x >= 0.0) & (x <= 1.0)


def _is_whole(x: FloatArray, least: float) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = (x >= least) & (x == np.floor(x)) & (x < LARGEST_COUNT)
    return known


LARGEST_COUNT = 2.0**52
"""Whole numbers beyond this have no halves, and halving an interval would not end."""


def _smallest(share: Callable[..., FloatArray]) -> Callable[..., FloatArray]:
    """Quantile of a distribution over 0, 1, 2 ...: doubling up to the share, then halving."""

    def quantile(p: FloatArray, *parameters: FloatArray) -> FloatArray:
        p = np.asarray(p, dtype=np.float64)
        shape = np.broadcast_shapes(p.shape, *(np.shape(a) for a in parameters))
        low, high = np.full(shape, -1.0), np.zeros(shape)
        while (short := (share(high, *parameters) < p) & (high < LARGEST_COUNT)).any():
            low, high = np.where(short, high, low), np.where(short, 2.0 * high + 1.0, high)
        # Each by itself: what stands beside a number must not change it.
        while (wide := high - low > 1.0).any():
            middle = np.floor(0.5 * (low + high))
            enough = share(middle, *parameters) >= p
            low = np.where(wide & ~enough, middle, low)
            high = np.where(wide & enough, middle, high)
        return np.where(share(high, *parameters) >= p, high, np.nan)

    return quantile


DISTRIBUTIONS: Mapping[str, Distribution] = {
    "gamma": Distribution(1, _gamma_share, _gamma_quantile),
    "beta": Distribution(2, _beta_share, _beta_quantile),
    "poisson": Distribution(1, _poisson_share, _smallest(_poisson_share)),
    "binomial": Distribution(2, _binomial_share, _smallest(_binomial_share)),
    "waiting": Distribution(2, _waiting_share, _smallest(_waiting_share)),
}
"""By name: gamma of a shape, scale 1; beta of two shapes; poisson of a mean; binomial of a chance
and a number of trials; waiting (negative binomial) of a chance and a number of successes, counting
the trials with the last success."""
