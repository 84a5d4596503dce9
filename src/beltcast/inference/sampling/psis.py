"""Pareto-smoothed importance sampling: weights with a smoothed tail, and its diagnostic k.

Draws of one density represent another with weights ``w``, the ratio of the two.  A few large
weights can dominate.  The tail of the weights, which is close to a generalised Pareto distribution,
measures this by its shape k.  The M largest weights are replaced by the quantiles of the fitted
tail, ``F^-1((j - 1/2) / M)``, cut at the largest raw weight (Vehtari, Simpson, Gelman, Yao and
Gabry 2024, Pareto smoothed importance sampling, JMLR 25(72)).  The weights have moments below 1 /
k: from 0.7 on no practical number of draws is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from beltcast.engine.nodes import FloatArray, IntArray

LIMIT = 0.7
"""Shape of the tail above which weights are unreliable, however many draws there are."""

ENOUGH = 100.0
"""Effective draws that a band needs at least."""

FEWEST = 5
"""Smallest number of weights for the fit of a tail."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Smoothed weights of draws.

    Attributes
    ----------
    values : (N,)
        They sum to 1.
    k : float
        Shape of their tail: minus infinity if there is none (the weights are equal), infinity if
        no tail can be fitted.
    """

    values: FloatArray
    k: float

    @property
    def effective(self) -> float:
        """Effective number of draws, 1 / sum of squares (Kong 1992)."""
        total = float((self.values**2).sum())
        return 1.0 / total if total > 0 else 0.0

    @property
    def limit(self) -> float:
        """Largest reliable k for so many draws: ``min(1 - 1 / log10(N), 0.7)``."""
        n = len(self.values)
        return min(1.0 - 1.0 / np.log10(n), LIMIT) if n > 10 else 0.0

    @property
    def good(self) -> bool:
        """Whether k is below its limit and the effective draws are enough."""
        return self.k <= self.limit and self.effective >= ENOUGH

    def resample(self, rng: np.random.Generator) -> IntArray:
        """Draws with equal weights that represent all, (N,): systematic resampling.

        One random number places a comb of N teeth on the cumulative weights, so that a draw of
        weight w is taken ``N w`` times, rounded up or down (Carpenter, Clifford and Fearnhead
        1999).
        """
        n = len(self.values)
        teeth = (rng.random() + np.arange(n)) / n
        found = np.searchsorted(np.cumsum(self.values), teeth)
        # The sum may end a rounding error below 1, and a tooth beyond it.
        return np.minimum(found, int(np.flatnonzero(self.values)[-1]))


def smoothed(log_weights: FloatArray) -> Weights:
    """Smooth the tail of importance weights.

    Parameters
    ----------
    log_weights : (N,)
        Up to a constant; minus infinity and NaN are a weight of 0.

    Examples
    --------
    >>> import numpy as np
    >>> weights = smoothed(np.zeros(1000))
    >>> weights.k, round(weights.effective)
    (-inf, 1000)
    """
    logs = np.where(np.isnan(log_weights), -np.inf, log_weights)
    n = len(logs)
    if not np.isfinite(logs).any():
        return Weights(np.zeros(n), np.inf)
    raw = np.exp(logs - logs.max())
    tail = int(np.ceil(min(0.2 * n, 3.0 * np.sqrt(n))))
    if tail < FEWEST:
        return Weights(raw / raw.sum(), np.inf)
    order = np.argsort(logs, kind="stable")
    largest, threshold = order[-tail:], raw[order[-tail - 1]]
    exceedances = raw[largest] - threshold
    # Weights that differ by rounding alone have no tail.
    if exceedances[-1] <= 1e-12:
        return Weights(raw / raw.sum(), -np.inf)
    k, scale = fit_pareto(exceedances)
    if np.isfinite(k):
        middle = (np.arange(tail) + 0.5) / tail
        raw[largest] = np.minimum(threshold + pareto_quantile(middle, k, scale), 1.0)
    logs = np.log(raw, where=raw > 0, out=np.full(n, -np.inf))
    return Weights(np.exp(logs - logsumexp(logs)), k)


def fit_pareto(x: FloatArray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution.

    The estimate of Zhang and Stephens (2009, Technometrics 51, 316-325): a mean over the profile
    likelihood of ``b = -k / scale`` on a grid that the sample determines.  The shape is shrunk
    towards 1/2 as if by ten more exceedances (Vehtari and others 2024, appendix), which steadies
    short tails.

    Parameters
    ----------
    x : (M,)
        Exceedances, 0 or more, the largest above 0; ascending.

    Returns
    -------
    k, scale : float
        Shape (positive: a heavy tail) and scale; infinite shape if the fit fails.
    """
    n = len(x)
    grid = np.arange(1, 31 + int(np.sqrt(n))) - 0.5
    quarter = x[max(int(n / 4 + 0.5) - 1, 0)]
    if quarter <= 0:  # most exceedances are ties at the threshold
        return np.inf, np.nan
    b = 1.0 / x[-1] + (1.0 - np.sqrt((len(grid)) / grid)) / (3.0 * quarter)
    shape = np.log1p(-b[:, None] * x).mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        profile = n * (np.log(-b / shape) - shape - 1.0)
    profile = np.where(np.isfinite(profile), profile, -np.inf)
    if not np.isfinite(profile).any():
        return np.inf, np.nan
    middle = float((b * np.exp(profile - logsumexp(profile))).sum())
    k = float(np.log1p(-middle * x).mean())
    scale = -k / middle
    return (n * k + 10.0 * 0.5) / (n + 10.0), scale


def pareto_quantile(p: FloatArray, k: float, scale: float) -> FloatArray:
    """Quantiles of a generalised Pareto distribution: ``scale ((1 - p)^-k - 1) / k``."""
    if abs(k) < 1e-12:
        return -scale * np.log1p(-p)
    return scale * np.expm1(-k * np.log1p(-p)) / k
