"""Persistence of shared errors from year to year: processes in closed form.

*The drift of a definition ends.*  Coverage is built up and then is complete, or the rules change:
the drift r, a rate, is stationary and decays with the time constant tau (Ornstein
and Uhlenbeck), and the offset is its integral D from a reference date on, in lags t and s::

    cov(r_s, r_t) = exp(-|t - s| / tau),
    cov(D_s, D_t) = tau^2 [(|s| + |t| - |t - s|) / tau + e^{-|s|/tau} + e^{-|t|/tau}
                           - e^{-|t-s|/tau} - 1].

So the expectation beyond the last observation is a damped trend, ``r tau (1 - e^{-t/tau})``, and
its standard deviation grows like a random walk's.  For tau to infinity the covariance is ``s t``: a
straight line.

*The model's own growth is wrong for years.*  Its discrepancy (`discrepancy`) is such an integral
plus a random walk W, with ``cov(W_s, W_t) = (|s| + |t| - |t - s|) / 2``.

References
----------
Uhlenbeck, G. E. and Ornstein, L. S. (1930): On the theory of the Brownian motion. Physical Review
36, 823-841.  Gardner, E. S. and McKenzie, E. (1985): Forecasting trends in time series. Management
Science 31, 1237-1246 (damped trends).
"""

from __future__ import annotations

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.inference.eigen import eigenpairs

NEGLIGIBLE = 1e-9
"""Part of the largest eigenvalue below which a component of a covariance is dropped."""


def drift_factor(lags: FloatArray, fades: float, negligible: float = NEGLIGIBLE) -> FloatArray:
    """Factor F of the covariance of integrated drifts of unit rate, ``F F' = cov``.

    Its columns are the principal components of the process at these lags, the largest first; if the
    drift never fades there is one, the straight line.

    Parameters
    ----------
    lags : (n,)  [Year]
        From the reference date; negative before it.
    fades : float  [Year]
        Time constant, infinite for a straight line.
    negligible : float
        Part of the largest eigenvalue below which a component is dropped.

    Returns
    -------
    (n, k)  [Year]

    Examples
    --------
    >>> import numpy as np
    >>> drift_factor(np.array([-2.0, 1.0]), np.inf).ravel().tolist()
    [-2.0, 1.0]
    >>> factor = drift_factor(np.array([10.0]), 2.0)
    >>> round((factor @ factor.T).item(), 3)  # 2 tau (t - tau), but for e^-5
    32.054
    """
    if np.isinf(fades):
        return lags[:, None].copy()
    covariance = drift_covariance(lags, lags, fades)
    sizes, vectors = eigenpairs(covariance)
    kept = sizes > negligible * sizes[0]
    factor: FloatArray = vectors[:, kept] * np.sqrt(sizes[kept])
    return factor


def drift_covariance(s: FloatArray, t: FloatArray, fades: float) -> FloatArray:
    """Covariance of integrated drifts of unit rate at two sets of lags; (n,), (k,) -> (n, k).

    Examples
    --------
    >>> import numpy as np
    >>> drift_covariance(np.array([-2.0]), np.array([1.0, 3.0]), np.inf).tolist()
    [[-2.0, -6.0]]
    """
    if np.isinf(fades):
        return np.multiply.outer(s, t)
    first, second = np.abs(s)[:, None] / fades, np.abs(t)[None, :] / fades
    apart = np.abs(s[:, None] - t[None, :]) / fades
    # expm1 keeps the digits of small lags, where the terms cancel to second order.
    bent = np.expm1(-first) + np.expm1(-second) - np.expm1(-apart)
    covariance: FloatArray = fades**2 * (first + second - apart + bent)
    return covariance


def discrepancy_covariance(
    s: FloatArray, t: FloatArray, *, level: float, growth: float, damping: float
) -> FloatArray:
    """Covariance of a local linear trend with damped growth at two sets of lags.

    Parameters
    ----------
    s, t : (n,), (k,)  [Year]
        From the date at which it is 0.
    level : float  [log / sqrt(Year)]
        Standard deviation of the random walk over a year.
    growth : float  [log / Year]
        Standard deviation of the deviation of growth at any time.
    damping : float
        Share of that which remains after a year.

    Returns
    -------
    (n, k)

    Examples
    --------
    >>> import numpy as np
    >>> now = np.array([4.0])
    >>> float(discrepancy_covariance(now, now, level=0.05, growth=0.0, damping=0.8)[0, 0]) ** 0.5
    0.1
    """
    fades = -1.0 / np.log(damping) if damping < 1.0 else np.inf
    walk = 0.5 * (np.abs(s)[:, None] + np.abs(t)[None, :] - np.abs(s[:, None] - t[None, :]))
    covariance: FloatArray = level**2 * walk + growth**2 * drift_covariance(s, t, fades)
    return covariance
