"""Contribution of one published observation to the density, for any kind of observation.

With ``z = (log y - mu) / s`` and a density p that has its peak at 0 (normal, or Student's t with
`tails` degrees of freedom) and the distribution function F, a row is one of

=========  ============================  ================================  =========================
row        probability                   height at best                    residual, squared
=========  ============================  ================================  =========================
a number   p(z) / s                      p(0) / s                          z^2, or
                                                                           (nu+1) log(1 + z^2/nu)
rounded    P(z) = F(z + h) - F(z - h)    P(0) = 2 F(h) - 1                 2 log(P(0) / P(z))
a bound    F(z) or F(-z)                 1                                 -2 log F
=========  ============================  ================================  =========================

A residual r has ``r^2 / 2`` equal to the negative log of the probability over its height at best,
and the sign of z.  So it passes smoothly through 0, as least squares needs: the root of the whole
negative log density would have no curvature at the end of a fit.  The height depends on the
standard deviation s alone; if it is estimated, `log_height` is the rest of the density.

For h to 0 a rounded number is a number; for nu to infinity Student's t is the normal.  Student's t
for regression: Lange, Little and Taylor (1989), Journal of the American Statistical Association 84.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammainccinv, gammaincinv, log_ndtr, logsumexp, stdtr

from beltcast.engine.nodes import FloatArray, IntArray

NORMAL = np.inf
"""Degrees of freedom of the normal distribution."""

_WIDE = 2.0
"""Half-width up to which an interval's probability is a quadrature (Gauss and Legendre)."""

_MIXED, _FAR = 64, 100.0
"""Normals that represent Student's t, and standard deviations up to which they do."""

_LOST = 1e5
"""Standard deviations from which on the residual of a normal bound or interval is continued as a
straight line: logs of densities that far out, of size z^2 / 2, have no digits left for their
differences."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)
_LOG_WEIGHTS = np.log(_WEIGHTS)


def residual(
    z: FloatArray, side: IntArray, half: FloatArray | float = 0.0, tails: float = NORMAL
) -> FloatArray:
    """Residual r of standardised rows.

    Parameters
    ----------
    z : (..., m)  [1]
        Log of the published minus the expected value, in standard deviations.
    side : (m,)
        0 a number, -1 a lower bound (the truth lies above), +1 an upper bound.
    half : (..., m), optional
        Half the width of the interval of a rounded number, in standard deviations; 0 for others.
    tails : float
        Degrees of freedom of Student's t.

    Returns
    -------
    (..., m)

    Examples
    --------
    >>> import numpy as np
    >>> residual(np.array([3.0, 3.0]), np.array([0, 1])).round(3)
    array([3.   , 0.052])
    >>> residual(np.array([3.0]), np.array([0]), tails=4.0).round(3)
    array([2.428])
    """
    out = np.where(side == 0, _of_number(z, tails), _of_bound(np.where(side < 0, -z, z), tails))
    width, rounded = _rounded(z, half)
    if rounded.any():
        out[rounded] = _of_interval(z[rounded], width[rounded], tails)[0]
    return out


def slopes(
    z: FloatArray, side: IntArray, half: FloatArray | float = 0.0, tails: float = NORMAL
) -> tuple[FloatArray, FloatArray]:
    """Derivatives of `residual` by z and by the half-width; arguments and shapes as there."""
    sign = np.where(side < 0, -1.0, 1.0)
    bound = sign * _slope_of_bound(sign * z, tails)
    by_z, by_half = np.where(side == 0, _slope_of_number(z, tails), bound), np.zeros_like(z)
    width, rounded = _rounded(z, half)
    if rounded.any():
        _, by_z[rounded], by_half[rounded] = _of_interval(z[rounded], width[rounded], tails)
    return by_z, by_half


def log_height(half: FloatArray, tails: float = NORMAL) -> tuple[FloatArray, FloatArray]:
    """Log of the best probability ``2 F(h) - 1`` of an interval, and its derivative by h.

    Parameters
    ----------
    half : (...)  [1]
        Half-widths above 0, in standard deviations.
    """
    height = _log_probability(np.zeros_like(half), half, tails)
    return height, 2.0 * np.exp(_log_density(half, tails) - height)


def log_peak(tails: float = NORMAL) -> float:
    """Log of the density p(0) of a standardised number: its height at best except for 1 / s.

    Examples
    --------
    >>> round(log_peak(), 6), round(log_peak(1.0), 6)  # 1 / sqrt(2 pi) and 1 / pi
    (-0.918939, -1.14473)
    """
    return float(_log_density(np.zeros(1), tails)[0])


def log_cdf(x: FloatArray, tails: float = NORMAL) -> FloatArray:
    """Log of the distribution function F, which keeps its digits in both tails; (...) -> (...)."""
    if tails == NORMAL:
        log_tail: FloatArray = log_ndtr(x)
        return log_tail
    # Close to 1 the log of F loses its digits; that of 1 - F(-x) does not.
    below = np.log(np.maximum(stdtr(tails, np.minimum(x, 0.0)), np.finfo(float).tiny))
    student: FloatArray = np.where(x < 0, below, np.log1p(-stdtr(tails, -np.maximum(x, 0.0))))
    return student


def draw_errors(rng: np.random.Generator, tails: float, shape: int | tuple[int, ...]) -> FloatArray:
    """Standardised errors of numbers, from the distribution that a fit assumes.

    Examples
    --------
    >>> draw_errors(np.random.default_rng(1), 4.0, (2, 3)).shape
    (2, 3)
    """
    return rng.standard_normal(shape) if tails == NORMAL else rng.standard_t(tails, shape)


def precisions(tails: float = NORMAL) -> tuple[FloatArray, FloatArray]:
    """Normals that Student's t is a mixture of: ``z = e / sqrt(w)``, e normal, w a gamma of mean 1.

    A normal term added to a t error is added to each of them.  The nodes are a
    trapezoid in log w, where the gamma is smooth and falls off on both sides.

    Returns
    -------
    w : (k,)
        One node, 1, for the normal.
    weight : (k,)
        Adding up to 1.

    References
    ----------
    Andrews, D. F. and Mallows, C. L. (1974): Scale mixtures of normal distributions. Journal of
    the Royal Statistical Society B 36, 99-102.
    """
    if tails == NORMAL:
        return np.ones(1), np.ones(1)
    shape = 0.5 * tails
    # At z sds the density is the integral of a gamma of half a degree more, over 1 + z^2 / nu.
    lowest = gammaincinv(shape + 0.5, 1e-10) / (1.0 + _FAR**2 / tails)
    x = np.exp(np.linspace(np.log(lowest), np.log(gammainccinv(shape, 1e-14)), _MIXED))
    log_weight = shape * np.log(x) - x
    weight = np.exp(log_weight - logsumexp(log_weight))
    return x / shape, weight


def as_normal(
    z: FloatArray, side: IntArray, half: FloatArray | float = 0.0, tails: float = NORMAL
) -> tuple[FloatArray, FloatArray]:
    """Weight w and centre c of the normal row ``w (z' - c)`` that replaces a row near z.

    Numbers have the weights of iteratively reweighted least squares, ``w^2 = (nu+1)/(nu+z^2)``,
    which is 1 for the normal; bounds and rounded numbers their tangent.
    """
    value, slope = residual(z, side, half, tails), slopes(z, side, half, tails)[0]
    _, rounded = _rounded(z, half)
    weight, middle = np.where(side == 0, _weight(z, tails), 0.0), np.zeros_like(z)
    weight[rounded] = 0.0
    # r(z) ~ value + slope (z' - z) is a normal row with its zero at z - value / slope.
    felt = ((side != 0) | rounded) & (np.abs(slope) > 1e-6)
    weight[felt], middle[felt] = np.abs(slope[felt]), z[felt] - value[felt] / slope[felt]
    return weight, middle


def _rounded(z: FloatArray, half: FloatArray | float) -> tuple[FloatArray, NDArray[np.bool_]]:
    width: FloatArray = np.broadcast_to(np.asarray(half, dtype=np.float64), z.shape)
    return width, width > 0


def _weight(z: FloatArray, tails: float) -> Any:
    return 1.0 if tails == NORMAL else np.sqrt((tails + 1.0) / (tails + z**2))


def _of_number(z: FloatArray, tails: float) -> FloatArray:
    if tails == NORMAL:
        return z
    # hypot(z, sqrt(nu)) / sqrt(nu) is sqrt(1 + z^2/nu) and does not overflow.
    far = np.log(np.hypot(z, np.sqrt(tails)) / np.sqrt(tails))
    near = 0.5 * np.log1p(np.minimum(z**2, tails) / tails)
    size: FloatArray = np.sqrt(2.0 * (tails + 1.0) * np.where(z**2 < tails, near, far))
    return np.sign(z) * size


def _slope_of_number(z: FloatArray, tails: float) -> FloatArray:
    if tails == NORMAL:
        return np.ones_like(z)
    r = _of_number(z, tails)
    small = np.abs(z) < 1e-6
    steep = (tails + 1.0) * z / (tails + z**2) / np.where(small, 1.0, r)
    return np.where(small, np.sqrt((tails + 1.0) / tails), steep)


def _of_bound(x: FloatArray, tails: float) -> FloatArray:
    """Root of ``-2 log F(x)``."""
    near, beyond = _near(x, tails)
    root: FloatArray = np.sqrt(-2.0 * log_cdf(near, tails)) + np.where(x < 0.0, beyond, 0.0)
    return root


def _near(x: FloatArray, tails: float) -> tuple[FloatArray, FloatArray]:
    """Z within `_LOST` standard deviations, and its distance beyond them; 0 for Student's t."""
    if tails != NORMAL:
        return x, np.zeros_like(x)
    near: FloatArray = np.clip(x, -_LOST, _LOST)
    return near, np.abs(x - near)


def _slope_of_bound(x: FloatArray, tails: float) -> FloatArray:
    x = _near(x, tails)[0]
    log_tail = log_cdf(x, tails)
    # dr/dx = -(p / F) / r, which goes to 0 far inside the bound.
    mills = np.exp(_log_density(x, tails) - log_tail)
    r = np.sqrt(-2.0 * log_tail)
    return np.where(r > 1e-150, -mills / np.maximum(r, 1e-150), 0.0)


def _of_interval(
    z: FloatArray, half: FloatArray, tails: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Residual of rounded numbers, and its derivatives by z and by the half-width; (k,) each."""
    x, beyond = _near(np.abs(z), tails)  # everything is even in z, or odd
    log_best, best_slope = log_height(half, tails)
    log_p = _log_probability(x, half, tails)
    fall = np.maximum(log_best - log_p, 0.0)
    near_end = np.exp(_log_density(x - half, tails) - log_p)
    far_end = np.exp(_log_density(x + half, tails) - log_p)
    # In the middle both the fall and its slope vanish, and their ratio needs the curvature there.
    steepness = half if tails == NORMAL else (tails + 1.0) * half / (tails + half**2)
    at_middle = np.sqrt(steepness * best_slope)
    middle = x < 3e-4
    r = np.where(middle, x * at_middle, np.sqrt(2.0 * fall))
    safe = np.maximum(r, 1e-150)
    by_z = np.where(middle, at_middle, (near_end - far_end) / safe)
    by_half = np.where(x < 1e-6, 0.0, (best_slope - near_end - far_end) / safe)
    return np.sign(z) * (r + beyond), by_z, np.sign(z) * by_half


def _log_probability(x: FloatArray, half: FloatArray, tails: float) -> FloatArray:
    """Log of ``F(x + half) - F(x - half)`` for x of 0 or more; (k,)."""
    # The difference loses its digits if the interval is narrow, the quadrature if the density
    # falls by many powers of e within it.
    # In the tails of Student's t, it hardly falls.
    flat = (x > 100.0 * half) & (tails != NORMAL)
    narrow = ((half <= _WIDE) & (x * half <= 10.0)) | flat
    out = np.empty_like(x)
    along = _log_density(x[narrow, None] + half[narrow, None] * _NODES, tails)
    out[narrow] = np.log(half[narrow]) + logsumexp(along + _LOG_WEIGHTS, axis=1)
    upper = log_cdf((half - x)[~narrow], tails)
    out[~narrow] = upper + np.log1p(-np.exp(log_cdf((-half - x)[~narrow], tails) - upper))
    return out


def _log_density(x: FloatArray, tails: float) -> FloatArray:
    if tails == NORMAL:
        normal: FloatArray = -0.5 * x**2 - 0.5 * np.log(2.0 * np.pi)
        return normal
    constant = -betaln(0.5, 0.5 * tails) - 0.5 * np.log(tails)
    density: FloatArray = constant - (tails + 1.0) * np.log(np.hypot(1.0, x / np.sqrt(tails)))
    return density
