"""Equal-weight pools: the model and one baseline, their quantiles averaged.

A pool averages the quantiles of two forecasts on logs with weights of one half.  Its weights are
fixed.  Learned weights need many cases: the origins of the belt study offer 0 to 18 cases each, and
weights learned from them made the pool worse than equal ones (docs/verification.md).

Quantile averaging keeps the shape and the width of its parts, where a mixture of two forecasts that
disagree is wider than either: the pool of two lognormals with log means m1, m2 and log standard
deviations s1, s2 is the lognormal with ``(m1 + m2) / 2`` and ``(s1 + s2) / 2``.

References
----------
Lichtendahl, K. C., Grushka-Cockayne, Y. and Winkler, R. L. (2013): Is it better to average
probabilities or quantiles? Management Science 59, 1594-1611.
Claeskens, G., Magnus, J. R., Vasnev, A. L. and Wang, W. (2016): The forecast combination puzzle: a
simple theoretical explanation. International Journal of Forecasting 32, 754-762.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError
from beltcast.verification.scores import log_levels

POOLS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"sd + drift": ("sd", "drift"), "sd + damped trend": ("sd", "damped trend")}
)
"""Each pool and its two parts, the model first."""


def pools(forecasts: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Pool those pairs of `POOLS` that the forecasts hold.

    Parameters
    ----------
    forecasts : mapping of str to (draw, case)

    Returns
    -------
    dict of str to (draw, case)
    """
    return {
        name: average_quantiles(forecasts[own], forecasts[other])
        for name, (own, other) in POOLS.items()
        if own in forecasts and other in forecasts
    }


def average_quantiles(own: FloatArray, other: FloatArray) -> FloatArray:
    """Average the quantiles of two forecasts on logs, case by case.

    The n-th smallest draw of the result is the geometric mean of the n-th smallest draws of both.
    The draws keep the ranks of the first forecast, so that joint draws of several cases depend on
    each other as they do there.

    Parameters
    ----------
    own, other : (draw, case)
        Draws of levels.

    Returns
    -------
    (draw, case)
        The first forecast alone in a case where one of the two has a draw without a log.

    Raises
    ------
    InputError
        The shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.pool import average_quantiles
    >>> own, other = np.array([[4.0], [1.0]]), np.array([[1.0], [9.0]])
    >>> average_quantiles(own, other).round(6).tolist()
    [[6.0], [1.0]]
    """
    if own.shape != other.shape:
        raise InputError(
            f"forecasts of shapes {own.shape} and {other.shape} are pooled; expected as many draws "
            "and cases of each"
        )
    logs, theirs = log_levels(own), log_levels(other)
    silent = ~(np.isfinite(logs).all(axis=0) & np.isfinite(theirs).all(axis=0))
    mean = 0.5 * (np.sort(logs, axis=0) + np.sort(theirs, axis=0))
    ranks = np.argsort(np.argsort(own, axis=0, kind="stable"), axis=0)
    pooled: FloatArray = np.exp(np.take_along_axis(mean, ranks, axis=0))
    return np.where(silent, own, pooled)
