"""Pareto smoothing of importance weights, and the k that says whether they can be trusted.

The largest weights of an importance sample decide its error and are themselves the most erratic.
Pareto smoothing (Vehtari, Simpson, Gelman, Yao and Gabry 2024) fits a generalised Pareto
distribution to them, puts its quantiles in their place, and reads the trust off its shape k:
below 0.5 the weights have a variance, below 0.7 the sample still answers, above it does not.  The
fit is that of Zhang and Stephens (2009), a mean over a grid of profile likelihoods.

References
----------
Vehtari, A., Simpson, D., Gelman, A., Yao, Y. and Gabry, J. (2024): Pareto smoothed importance
sampling. Journal of Machine Learning Research 25(72), 1-58.
Zhang, J. and Stephens, M. A. (2009): A new and efficient estimation method for the generalized
Pareto distribution. Technometrics 51, 316-325.
"""

from __future__ import annotations

import numpy as np

from beltcast.engine.nodes import FloatArray

POOR = 0.7
"""k above which weighted answers are not to be trusted."""

SHORTEST_TAIL = 5
"""Fewer weights than this are no tail to fit."""


def smoothed(log_weights: FloatArray) -> tuple[FloatArray, float]:
    """Smooth the largest weights and say how far they can be trusted.

    Parameters
    ----------
    log_weights : (N,)
        Up to a constant; minus infinity for a draw that is left out.

    Returns
    -------
    weights : (N,)
        They add up to 1.
    k : float
        Shape of the tail; minus infinity where all weights are alike, infinity where the draws
        are too few for a tail.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.inference.pareto import smoothed
    >>> weights, k = smoothed(np.random.default_rng(1).standard_normal(1000))
    >>> float(weights.sum().round(12)), bool(k < 0.7)
    (1.0, True)
    """
    logs = log_weights - np.max(log_weights)
    weights: FloatArray = np.exp(logs)
    n = len(weights)
    if np.ptp(logs) < 1e-10:
        return weights / weights.sum(), -np.inf
    tail = int(min(0.2 * n, 3.0 * np.sqrt(n)))
    if tail < SHORTEST_TAIL:
        return weights / weights.sum(), np.inf
    order = np.argsort(weights, kind="stable")
    largest, threshold = order[-tail:], weights[order[-tail - 1]]
    if weights[largest[0]] > 1.0 - 1e-10:  # the whole tail is one value: nothing to smooth
        return weights / weights.sum(), -np.inf
    # Ties with the threshold, or weights that are 0 to rounding, are no part of the tail.
    largest = largest[weights[largest] > threshold + 1e-12]
    tail, excess = len(largest), weights[largest] - threshold
    if tail < SHORTEST_TAIL:
        return weights / weights.sum(), np.inf
    k, scale = pareto_fit(excess)
    p = (np.arange(tail) + 0.5) / tail
    quantile = -np.log1p(-p) if abs(k) < 1e-12 else np.expm1(-k * np.log1p(-p)) / k
    # No smoothed weight exceeds the largest raw one: that would be made of nothing.
    weights[largest] = np.minimum(threshold + scale * quantile, 1.0)
    return weights / weights.sum(), k


def pareto_fit(excess: FloatArray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution, with a weak prior of shape 0.5.

    Parameters
    ----------
    excess : (n,)
        Above the threshold, ascending, above 0.

    Returns
    -------
    k, scale : float
    """
    n = len(excess)
    grid = 30 + int(np.sqrt(n))
    quarter = excess[max(int(n / 4 + 0.5) - 1, 0)]
    j = np.arange(1, grid + 1)
    theta = 1.0 / excess[-1] + (1.0 - np.sqrt(grid / (j - 0.5))) / (3.0 * quarter)
    shape = np.log1p(-theta[:, None] * excess).mean(axis=1)
    profile = n * (np.log(-theta / shape) - shape - 1.0)
    weight = np.exp(profile - profile.max())
    center = float((theta * weight).sum() / weight.sum())
    k = float(np.log1p(-center * excess).mean())
    scale = -k / center
    # Ten draws' worth of the prior k = 0.5 calm the fit of short tails.
    return (n * k + 10 * 0.5) / (n + 10), scale
