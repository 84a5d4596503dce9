"""Families of priors that are defined through their quantiles.

Such a prior has the working scale ``x = F^-1(Phi(z))``, with F its distribution function, so that z
is a standard normal and the density of x is exact.  Keys and densities are those of Stan:

=================  ===================  =====================================================
distribution       keys                 density, up to a constant
=================  ===================  =====================================================
``beta``           ``alpha, beta``      ``x^(alpha - 1) (1 - x)^(beta - 1)``
``gamma``          ``alpha, beta``      ``x^(alpha - 1) exp(-beta x)``
``inverse_gamma``  ``alpha, beta``      ``x^(-alpha - 1) exp(-beta / x)``
``exponential``    ``rate``             ``exp(-rate x)``
``half_normal``    ``sd``               ``exp(-x^2 / (2 sd^2))``, x above 0
``half_cauchy``    ``scale``            ``1 / (1 + (x / scale)^2)``, x above 0
``student``        ``df, mean, scale``  ``(1 + ((x - mean) / scale)^2 / df)^(-(df + 1) / 2)``
``log_uniform``    ``low, high``        ``1 / x`` between low and high (``bounds``)
=================  ===================  =====================================================
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import special as sp

from beltcast.engine.nodes import FloatArray

QuantileFamilyShape = tuple[float, float, float]
"""Number of parameters, at most three; 0 fills the rest."""


class QuantileFamily(NamedTuple):
    """Keys of a family in a file, which of them may have any sign, and its domain."""

    keys: tuple[str, ...]
    low: float
    high: float
    any_sign: tuple[str, ...] = ()


QUANTILE_FAMILIES: dict[str, QuantileFamily] = {
    "beta": QuantileFamily(("alpha", "beta"), 0.0, 1.0),
    "gamma": QuantileFamily(("alpha", "beta"), 0.0, math.inf),
    "inverse_gamma": QuantileFamily(("alpha", "beta"), 0.0, math.inf),
    "exponential": QuantileFamily(("rate",), 0.0, math.inf),
    "half_normal": QuantileFamily(("sd",), 0.0, math.inf),
    "half_cauchy": QuantileFamily(("scale",), 0.0, math.inf),
    "student": QuantileFamily(("df", "mean", "scale"), -math.inf, math.inf, ("mean",)),
    "log_uniform": QuantileFamily(("bounds",), 0.0, math.inf),
}

SAME_FAMILY = {
    "student_t": "student",
    "loguniform": "log_uniform",
    "truncated_normal": "normal",
    "inv_gamma": "inverse_gamma",
}
"""Other spellings of families."""

_TINY = 1e-300


def value_at(family: str, z: FloatArray, shape: QuantileFamilyShape) -> FloatArray:
    """Natural value of a working scale.

    Parameters
    ----------
    family : str
    z : (...)
    shape : (3,)

    Examples
    --------
    >>> import numpy as np
    >>> value_at("exponential", np.array([0.0]), (2.0, 0.0, 0.0)).round(4)  # log 2 / 2
    array([0.3466])
    """
    a, b, c = shape
    p, q = sp.ndtr(z), sp.ndtr(-z)
    if family == "beta":
        return np.asarray(np.where(z < 0, sp.betaincinv(a, b, p), 1.0 - sp.betaincinv(b, a, q)))
    if family == "gamma":
        return np.asarray(np.where(z < 0, sp.gammaincinv(a, p), sp.gammainccinv(a, q)) / b)
    if family == "inverse_gamma":
        below = np.where(z < 0, sp.gammainccinv(a, p), sp.gammaincinv(a, q))
        return np.asarray(b / np.maximum(below, _TINY))
    if family == "exponential":
        return np.asarray(-sp.log_ndtr(-z) / a)
    if family == "half_normal":
        below = math.sqrt(2.0) * sp.erfinv(p)
        above = -sp.ndtri_exp(sp.log_ndtr(-z) - math.log(2.0))
        return np.asarray(a * np.where(z < 0, below, above))
    if family == "half_cauchy":
        above = 1.0 / np.tan(0.5 * np.pi * np.maximum(q, _TINY))
        return np.asarray(a * np.where(z < 0, np.tan(0.5 * np.pi * p), above))
    if family == "student":
        half = sp.stdtrit(a, np.minimum(p, q))
        return np.asarray(b + c * np.where(z < 0, half, -half))
    return np.asarray(np.exp(math.log(a) + math.log(b / a) * p))


def density_at(family: str, x: FloatArray, shape: QuantileFamilyShape) -> FloatArray:
    """Density of a natural value inside the domain; (...) -> (...)."""
    a, b, c = shape
    x = np.asarray(x, dtype=np.float64)
    safe = np.maximum(x, _TINY)
    if family == "beta":
        rest = np.maximum(1.0 - x, _TINY)
        return np.asarray(
            np.exp((a - 1.0) * np.log(safe) + (b - 1.0) * np.log(rest) - sp.betaln(a, b))
        )
    if family == "gamma":
        return np.asarray(
            np.exp(a * math.log(b) + (a - 1.0) * np.log(safe) - b * x - sp.gammaln(a))
        )
    if family == "inverse_gamma":
        return np.asarray(
            np.exp(a * math.log(b) - (a + 1.0) * np.log(safe) - b / safe - sp.gammaln(a))
        )
    if family == "exponential":
        return np.asarray(a * np.exp(-a * x))
    if family == "half_normal":
        return np.asarray(np.sqrt(2.0 / np.pi) / a * np.exp(-0.5 * (x / a) ** 2))
    if family == "half_cauchy":
        return np.asarray(2.0 / (np.pi * a * (1.0 + (x / a) ** 2)))
    if family == "student":
        t = (x - b) / c
        height = np.exp(-sp.betaln(0.5, 0.5 * a)) / (math.sqrt(a) * c)
        return np.asarray(height * (1.0 + t**2 / a) ** (-0.5 * (a + 1.0)))
    return np.asarray(1.0 / (safe * math.log(b / a)))


def working_at(family: str, x: FloatArray, shape: QuantileFamilyShape) -> FloatArray:
    """Working scale of a natural value inside the domain, the inverse of `value_at`."""
    a, b, c = shape
    x = np.asarray(x, dtype=np.float64)
    if family == "beta":
        below, above = sp.betainc(a, b, x), sp.betaincc(a, b, x)
    elif family == "gamma":
        below, above = sp.gammainc(a, b * x), sp.gammaincc(a, b * x)
    elif family == "inverse_gamma":
        inverse = b / np.maximum(x, _TINY)
        below, above = sp.gammaincc(a, inverse), sp.gammainc(a, inverse)
    elif family == "exponential":
        below, above = -np.expm1(-a * x), np.exp(-a * x)
    elif family == "half_normal":
        below, above = sp.erf(x / (a * math.sqrt(2.0))), sp.erfc(x / (a * math.sqrt(2.0)))
    elif family == "half_cauchy":
        angle = 2.0 / np.pi
        below, above = angle * np.arctan(x / a), angle * np.arctan2(a, x)
    elif family == "student":
        t = (x - b) / c
        below, above = sp.stdtr(a, t), sp.stdtr(a, -t)
    else:
        below = np.log(x / a) / math.log(b / a)
        above = np.log(b / x) / math.log(b / a)
    return np.asarray(np.where(below < 0.5, sp.ndtri(below), -sp.ndtri(above)))
