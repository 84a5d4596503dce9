"""Scores of predictive distributions against observations.

All are losses: smaller is better.  Draws are on the last axis, observations have one axis fewer,
everything else broadcasts.

NaN policy: a score of a case is NaN if its observation or any of its draws is NaN; a summary
(`theil`) excludes such cases, and gives the count.

References
----------
Gneiting, T. and Raftery, A. E. (2007): Strictly proper scoring rules, prediction, and estimation.
Journal of the American Statistical Association 102, 359-378.
Ferro, C. A. T. (2014): Fair scores for ensemble forecasts. Quarterly Journal of the Royal
Meteorological Society 140, 1917-1923.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import logsumexp
from scipy.stats import beta

from beltcast.engine.nodes import FloatArray
from beltcast.ensembles.verdicts import all_alike, negligible
from beltcast.errors import InputError

Numbers: TypeAlias = FloatArray | float
"""An array, or one number."""

COVERAGE_LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Central intervals whose coverage is reported."""


def log_levels(levels: Numbers) -> FloatArray:
    """Logs of levels; NaN for a level of 0 or less, which has none, or which is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.scores import log_levels
    >>> log_levels(np.array([1.0, 0.0, -1.0])).tolist()
    [0.0, nan, nan]
    """
    known = np.asarray(levels, dtype=np.float64)
    logs: FloatArray = np.log(np.where(known > 0.0, known, np.nan))
    return logs


def crps_ensemble(draws: FloatArray, observed: Numbers) -> FloatArray:
    """Continuous ranked probability score of draws, fair: unbiased for their distribution.

    ``mean |x_i - y| - sum_{i<j} |x_i - x_j| / (m (m - 1))``, the second sum from sorted draws
    (Ferro 2014).

    Parameters
    ----------
    draws : (..., m)
    observed : (...)

    Returns
    -------
    (...)
        In the unit of the draws.

    Raises
    ------
    InputError
        There are fewer than two draws.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.scores import crps_ensemble
    >>> round(float(crps_ensemble(np.array([1.0, 3.0]), 2.0)), 6)
    0.0
    """
    m = _count(draws)
    x = np.sort(draws, axis=-1)
    error = np.abs(x - np.asarray(observed)[..., None]).mean(axis=-1)
    weight = 2.0 * np.arange(1, m + 1) - m - 1.0
    score: FloatArray = error - (x @ weight) / (m * (m - 1.0))
    return score


def log_score(draws: FloatArray, observed: Numbers) -> FloatArray:
    """Log score of draws: minus the log of a Gaussian kernel density at the observation.

    The bandwidth is Silverman's, ``0.9 min(sd, IQR / 1.34) m^(-1/5)`` (Density Estimation, 1986,
    eq. 3.31).  Far outside the draws a kernel falls off much faster than any belief, so one draw in
    a hundred is given a wide kernel, with the sd of the draws times ten: the score is that of this
    smoothed distribution, and is proper for it.  Give logs of levels.  NaN where all draws are
    equal: they have no density.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.scores import log_score
    >>> draws = np.random.default_rng(1).normal(size=100_000)
    >>> bool(abs(log_score(draws, 0.0) - 0.5 * np.log(2 * np.pi)) < 0.02)
    True
    """
    m = _count(draws)
    sd = np.where(all_alike(draws), np.nan, draws.std(axis=-1, ddof=1))
    low, high = np.quantile(draws, [0.25, 0.75], axis=-1)
    # Half of the draws may be equal, as in a mixture with a certain part.
    width = 0.9 * np.where(high > low, np.minimum(sd, (high - low) / 1.34), sd) * m**-0.2
    y = np.asarray(observed, dtype=np.float64)
    near = logsumexp(_log_normal(y[..., None], draws, width[..., None]), axis=-1) - np.log(m)
    far = _log_normal(y, draws.mean(axis=-1), 10.0 * sd)
    with np.errstate(invalid="ignore"):  # NaN in, NaN out
        score: FloatArray = -np.logaddexp(np.log(0.99) + near, np.log(0.01) + far)
    return score


def absolute_error(point: Numbers, observed: Numbers) -> FloatArray:
    """Absolute error of a point forecast; its mean over cases is the MAE, least at the median."""
    return np.abs(np.asarray(observed) - point)


def scaled_error(point: Numbers, observed: Numbers, scale: Numbers) -> FloatArray:
    """Absolute error in units of the mean absolute change of the known history; its mean is MASE.

    NaN if the scale is NaN, or 0 up to rounding: a constant history gives no unit.
    Hyndman and Koehler (2006), International Journal of
    Forecasting 22, 679-688.
    """
    scale = np.asarray(scale, dtype=np.float64)
    size = np.maximum(np.abs(np.asarray(observed)), np.abs(np.asarray(point)))
    flat = negligible(scale, size) | ~(scale > 0)
    return absolute_error(point, observed) / np.where(flat, np.nan, scale)


def covered(draws: FloatArray, observed: Numbers, level: float) -> FloatArray:
    """Whether the central interval of a level contains the observation: 1, 0, or NaN."""
    low, high = np.quantile(draws, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=-1)
    inside = (low <= observed) & (observed <= high)
    known = np.isfinite(low + high) & np.isfinite(observed)
    return np.where(known, inside, np.nan)


def binomial_interval(hits: int, cases: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a share, by Clopper and Pearson, which covers the truth at least that often.

    Cases of one year or place are correlated, so that even this interval is too narrow for
    them.  Clopper and Pearson (1934), Biometrika 26, 404-413.

    Examples
    --------
    >>> from beltcast.verification.scores import binomial_interval
    >>> [round(end, 4) for end in binomial_interval(8, 10)]
    [0.4439, 0.9748]
    """
    if cases == 0:
        return 0.0, 1.0
    tail = 0.5 * (1.0 - confidence)
    low = beta.ppf(tail, hits, cases - hits + 1) if hits else 0.0
    high = beta.ppf(1.0 - tail, hits + 1, cases - hits) if hits < cases else 1.0
    return float(low), float(high)


def pit(draws: FloatArray, observed: Numbers) -> FloatArray:
    """Probability integral transform: the share of draws below, ties counted half.

    ``(below + ties / 2 + 1/2) / (m + 1)``, so never 0 or 1; uniform for a calibrated forecaster.
    Dawid (1984), Journal of the Royal Statistical Society A 147, 278-292.
    """
    y = np.asarray(observed, dtype=np.float64)[..., None]
    rank = (draws < y).sum(axis=-1) + 0.5 * (draws == y).sum(axis=-1)
    known = np.isfinite(draws).all(axis=-1) & np.isfinite(y[..., 0])
    return np.where(known, (rank + 0.5) / (_count(draws) + 1.0), np.nan)


@dataclass(frozen=True)
class Theil:
    """Mean squared error and its parts as shares, which add up to 1.

    ``bias`` is a wrong mean, ``variation`` an unequal standard deviation, ``covariation`` all that
    is not systematic.  ``cases`` is the number of pairs used.
    """

    mse: float
    bias: float
    variation: float
    covariation: float
    cases: int


def theil(point: FloatArray, observed: FloatArray) -> Theil:
    """Split the mean squared error of point forecasts.

    ``MSE = (mean p - mean o)^2 + (s_p - s_o)^2 + 2 (1 - r) s_p s_o``, as Sterman (1984, Dynamica
    10, 51-66) uses it for models of system dynamics; after Theil (1966), Applied Economic
    Forecasting.  Shares are NaN where the error is 0 or no pair is left.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.scores import theil
    >>> theil(np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0])).bias
    1.0
    """
    known = np.isfinite(point) & np.isfinite(observed)
    p, o = point[known], observed[known]
    if not len(p):
        return Theil(np.nan, np.nan, np.nan, np.nan, 0)
    bias = (p.mean() - o.mean()) ** 2
    variation = (p.std() - o.std()) ** 2
    product = ((p - p.mean()) * (o - o.mean())).mean()
    covariation = 2.0 * (p.std() * o.std() - product)
    mse = float(((p - o) ** 2).mean())
    parts = [float(x) / mse if mse > 0 else np.nan for x in (bias, variation, covariation)]
    return Theil(mse, parts[0], parts[1], parts[2], len(p))


def _log_normal(y: Numbers, mean: Numbers, sd: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        # Draws that are all equal have no density: +-inf or NaN, which the caller sees.
        z = (np.asarray(y) - mean) / sd
        density: FloatArray = -0.5 * z**2 - np.log(sd) - 0.5 * np.log(2.0 * np.pi)
    return density


def _count(draws: FloatArray) -> int:
    m: int = draws.shape[-1]
    if m < 2:
        raise InputError(f"{m} draws are given to a score; expected at least 2")
    return m
