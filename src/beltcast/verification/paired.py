"""Whether one forecaster's losses are smaller than another's on the same cases.

Two answers, which err in different ways.  Diebold and Mariano's test looks at the differences in
order of time and allows for the overlap of forecasts of more than one year; a handful of origins
gives it little to go by.  The bootstrap draws whole clusters of cases with replacement, so that
cases of one target, forecast from several origins or published in several definitions, count as the
one event they are; shocks that all targets of a year share it does not see, so its interval is if
anything too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError


@dataclass(frozen=True)
class Comparison:
    """Outcome of `diebold_mariano`: NaN where there is too little to test.

    Attributes
    ----------
    mean : float
        Mean difference; negative where the first forecaster loses less.
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

    against Student's t with T - 1 degrees of freedom.  Where the sum V is not positive, which can
    happen as it has no taper, the autocovariances are left out of it.

    Parameters
    ----------
    differences : (T,)
        Loss of one less loss of the other, in order of time; NaN are left out.
    lead : int
        Periods ahead, h.

    Returns
    -------
    Comparison
        NaN where T is not above h, or all differences are alike.

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
    if not variance > 1e-24 * mean**2:  # alike but for rounding
        return Comparison(mean, np.nan, np.nan, n)
    factor = (n + 1 - 2 * lead + lead * (lead - 1) / n) / n
    statistic = mean / np.sqrt(variance) * np.sqrt(factor)
    return Comparison(mean, float(statistic), float(2.0 * student.sf(abs(statistic), n - 1)), n)


def skill_interval(
    own: FloatArray,
    other: FloatArray,
    clusters: Sequence[str],
    *,
    rng: np.random.Generator,
    resamples: int = 4000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Interval of the skill ``1 - sum(own) / sum(other)`` by drawing clusters with replacement.

    Efron and Tibshirani (1993): An Introduction to the Bootstrap, ch. 13: percentiles.

    Parameters
    ----------
    own, other : (n,)
        Losses on the same cases, all finite.
    clusters : (n,) of str
        Cases of one name are drawn together.
    rng : numpy.random.Generator
    resamples : int
    confidence : float

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.paired import skill_interval
    >>> loss, rng = np.array([1.0, 2.0, 3.0]), np.random.default_rng(1)
    >>> skill_interval(loss, 2 * loss, ["a", "b", "c"], rng=rng)
    (0.5, 0.5)
    """
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    n = len(names)
    sums = np.stack([np.bincount(index, weights=loss, minlength=n) for loss in (own, other)])
    counts = rng.multinomial(n, np.full(n, 1.0 / n), size=resamples)
    drawn = counts @ sums.T
    skills = 1.0 - drawn[:, 0] / drawn[:, 1]
    low, high = np.quantile(skills, [0.5 - 0.5 * confidence, 0.5 + 0.5 * confidence])
    return float(low), float(high)
