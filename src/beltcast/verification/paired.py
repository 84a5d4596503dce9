"""Tests whether one forecaster's losses are smaller than another's on the same cases.

Two tests with different weaknesses.  Diebold and Mariano's test takes the differences in order
of time and allows for the overlap of forecasts of more than one year; a handful of origins gives it
little information.  `paired_skill` clusters by year and by place: a shock that all places of a year
share makes one event of them, and so do cases of one place that are forecast from several origins
or published in several definitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from beltcast.engine.nodes import FloatArray
from beltcast.ensembles.verdicts import negligible
from beltcast.errors import InputError

FEWEST_PLACES = 5
"""Number of places from which their own variance is estimated; fewer do not identify it."""


@dataclass(frozen=True)
class Comparison:
    """Outcome of `diebold_mariano`: NaN if there is too little to test.

    Attributes
    ----------
    mean : float
        Mean difference; negative if the first forecaster loses less.
    statistic : float
        Its t value, corrected for small samples.
    p : float
        Two-sided.
    periods : int
    """

    mean: float
    statistic: float
    p: float
    periods: int


def diebold_mariano(differences: FloatArray, lead: int = 1) -> Comparison:
    """Test whether the mean difference of losses is zero.

    With ``d`` of mean ``d'`` over T periods and autocovariances ``g_k`` (divisor T),

        V   = (g_0 + 2 (g_1 + ... + g_{h-1})) / T                    (Diebold and Mariano 1995)
        t   = d' / sqrt(V) * sqrt((T + 1 - 2 h + h (h - 1) / T) / T)  (Harvey et al. 1997)

    against Student's t with T - 1 degrees of freedom.  If the sum V is not positive, which can
    happen as it has no taper, the autocovariances are left out of it.

    Parameters
    ----------
    differences : (T,)
        Loss of one minus loss of the other, in order of time; NaN are left out.
    lead : int
        Periods ahead, h.

    Returns
    -------
    Comparison
        NaN if T is not above h, or all differences are equal.

    References
    ----------
    Diebold, F. X. and Mariano, R. S. (1995): Comparing predictive accuracy. Journal of Business and
    Economic Statistics 13, 253-263.
    Harvey, D., Leybourne, S. and Newbold, P. (1997): Testing the equality of prediction mean
    squared errors. International Journal of Forecasting 13, 281-291.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.paired import diebold_mariano
    >>> round(diebold_mariano(np.array([1.0, 2.0, 3.0, 4.0])).statistic, 6)
    3.872983
    """
    if lead < 1:
        raise InputError(f"the lead of a test is {lead}; expected 1 or more periods")
    d = np.asarray(differences, dtype=np.float64)
    d = d[np.isfinite(d)]
    n = len(d)
    mean = float(d.mean()) if n else np.nan
    if n <= lead:
        return Comparison(mean, np.nan, np.nan, n)
    rest = d - mean
    covariances = [float(rest[k:] @ rest[: n - k]) / n for k in range(lead)]
    variance = (covariances[0] + 2.0 * sum(covariances[1:])) / n
    if variance <= 0:
        variance = covariances[0] / n
    if not variance > 1e-24 * mean**2:  # equal up to rounding
        return Comparison(mean, np.nan, np.nan, n)
    factor = (n + 1 - 2 * lead + lead * (lead - 1) / n) / n
    statistic = mean / np.sqrt(variance) * np.sqrt(factor)
    return Comparison(mean, float(statistic), float(2.0 * student.sf(abs(statistic), n - 1)), n)


@dataclass(frozen=True)
class PairedSkill:
    """Outcome of `paired_skill`.

    Attributes
    ----------
    skill : float
        ``1 - sum(own) / sum(other)``; positive if the first forecaster loses less.
    low, high : float
        Interval of the skill.
    p : float
        Two-sided, of no skill.  NaN, like the interval, if there is only one year or the losses
        differ by rounding alone.
    years, places : int
        Clusters.
    """

    skill: float
    low: float
    high: float
    p: float
    years: int
    places: int


def paired_skill(
    own: FloatArray,
    other: FloatArray,
    years: Sequence[Any] | NDArray[Any],
    places: Sequence[Any] | NDArray[Any],
    *,
    confidence: float = 0.95,
) -> PairedSkill:
    """Estimate the skill ``1 - sum(own) / sum(other)`` with errors clustered by year and place.

    The ratio R of the sums is linearised, ``u_i = (own_i - R other_i) / sum(other)``, and its
    variance is that of cluster sums of u,

        V = V_year + V_place - V_cell   where places add variance, V_year otherwise,
        V_g = G / (G - 1) sum over clusters of (sum of u in the cluster)^2,

    never below V_year (Cameron, Gelbach and Miller 2011).  The quantile is Student's with the
    smaller number of clusters minus one degrees of freedom, since a handful of clusters makes a
    normal interval far too narrow (Cameron and Miller 2015, section VI).  Places count as clusters
    from `FEWEST_PLACES` on.  The interval is one of log R, so that R stays positive.

    Parameters
    ----------
    own, other : (n,)
        Losses on the same cases, all finite and not negative.
    years : (n,)
    places : (n,) of str
    confidence : float

    References
    ----------
    Cameron, A. C., Gelbach, J. B. and Miller, D. L. (2011): Robust inference with multiway
    clustering. Journal of Business and Economic Statistics 29, 238-249.
    Cameron, A. C. and Miller, D. L. (2015): A practitioner's guide to cluster-robust inference.
    Journal of Human Resources 50, 317-372.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.paired import paired_skill
    >>> own, other = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.1, 5.9])
    >>> found = paired_skill(own, other, [2020, 2021, 2022], ["a", "a", "a"])
    >>> found.skill, found.low < 0.5 < found.high
    (0.5, True)
    """
    ratio = float(own.sum() / other.sum())
    u = (own - ratio * other) / other.sum()
    cells = [f"{year}|{place}" for year, place in zip(years, places, strict=True)]
    (n_years, by_year), (n_places, by_place), (_, by_cell) = (
        _clustered(u, labels) for labels in (years, places, cells)
    )
    if n_places >= FEWEST_PLACES and by_place > by_cell:
        variance, clusters = max(by_year, by_year + by_place - by_cell), min(n_years, n_places)
    else:
        variance, clusters = max(by_year, by_cell), n_years
    error = float(np.sqrt(variance)) / ratio  # of log R
    if clusters < 2 or bool(negligible(error, 1.0)):
        return PairedSkill(1.0 - ratio, np.nan, np.nan, np.nan, n_years, n_places)
    reach = float(np.exp(student.ppf(0.5 + 0.5 * confidence, clusters - 1) * error))
    p = float(2.0 * student.sf(abs(np.log(ratio)) / error, clusters - 1))
    return PairedSkill(1.0 - ratio, 1.0 - ratio * reach, 1.0 - ratio / reach, p, n_years, n_places)


def holm(p: Sequence[float]) -> FloatArray:
    """Adjust p values of several comparisons, so that their joint error rate holds.

    Holm (1979), Scandinavian Journal of Statistics 6, 65-70.  NaN stays NaN and does not count.

    Parameters
    ----------
    p : (k,)

    Returns
    -------
    (k,)

    Examples
    --------
    >>> from beltcast.verification.paired import holm
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p, dtype=np.float64)
    order = np.argsort(given, kind="stable")  # NaN last
    count = int(np.isfinite(given).sum())
    result = np.full(given.shape, np.nan)
    largest = 0.0
    for rank, k in enumerate(order[:count]):
        largest = max(largest, min(1.0, (count - rank) * float(given[k])))
        result[k] = largest
    return result


def _clustered(u: FloatArray, labels: Sequence[Any] | NDArray[Any]) -> tuple[int, float]:
    """Count of clusters, and the variance of a sum whose terms depend within clusters."""
    names, index = np.unique(np.asarray(labels), return_inverse=True)
    sums = np.bincount(index, weights=u, minlength=len(names))
    return len(names), float(sums @ sums) * len(names) / max(len(names) - 1, 1)
