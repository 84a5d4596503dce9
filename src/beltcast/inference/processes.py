"""How what is shared by rows persists from year to year: two processes in closed form.

*A year's shock passes.*  Shocks e of unit standard deviation are of first order::

    e_t = rho e_{t-1} + sqrt(1 - rho^2) u_t,     cov(e_s, e_t) = rho^|t - s|,

so half of a boom is left after a year where rho is 0.5, a quarter after two; with rho 0 each year
is another.

*A definition's drift comes to its end.*  Coverage is built up and then is complete, or the rules
change: the drift r, a rate, is stationary and forgets itself with the time constant tau (Ornstein
and Uhlenbeck), and the offset is its integral D from a reference date on, in lags t and s::

    cov(r_s, r_t) = exp(-|t - s| / tau),
    cov(D_s, D_t) = tau^2 [(|s| + |t| - |t - s|) / tau + e^{-|s|/tau} + e^{-|t|/tau}
                           - e^{-|t-s|/tau} - 1].

So what is expected beyond the last observation is a damped trend, ``r tau (1 - e^{-t/tau})``, and
its spread grows like a random walk's.  For tau to infinity the covariance is ``s t``: a straight
line.

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
"""Part of the largest eigenvalue below which a component of a covariance is left out."""


def drift_factor(lags: FloatArray, fades: float, negligible: float = NEGLIGIBLE) -> FloatArray:
    """Factor F of the covariance of integrated drifts of unit rate, ``F F' = cov``.

    Its columns are the principal components of the process at these lags, the largest first; where
    the drift never fades there is one, the straight line.

    Parameters
    ----------
    lags : (n,)  [Year]
        From the reference date; negative before it.
    fades : float  [Year]
        Time constant, infinite for a straight line.
    negligible : float
        Part of the largest eigenvalue below which a component is left out.

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
    s, t = np.abs(lags)[:, None] / fades, np.abs(lags)[None, :] / fades
    apart = np.abs(lags[:, None] - lags[None, :]) / fades
    # expm1 keeps the digits of small lags, where the terms cancel to second order.
    bent = np.expm1(-s) + np.expm1(-t) - np.expm1(-apart)
    covariance = fades**2 * (s + t - apart + bent)
    sizes, vectors = eigenpairs(covariance)
    kept = sizes > negligible * sizes[0]
    factor: FloatArray = vectors[:, kept] * np.sqrt(sizes[kept])
    return factor


def shock_factor(n: int, autocorrelation: float) -> FloatArray:
    """Lower triangular factor of the correlation of shocks of n years in a row; (n, n).

    Examples
    --------
    >>> shock_factor(2, 0.6).round(3).tolist()
    [[1.0, 0.0], [0.6, 0.8]]
    """
    gaps = np.abs(np.arange(n)[:, None] - np.arange(n)[None, :])
    return np.linalg.cholesky(np.asarray(autocorrelation, dtype=np.float64) ** gaps)


def shock_path(units: FloatArray, first: int, autocorrelation: float) -> FloatArray:
    """Shocks of unit spread from independent numbers, year by year from one year on, both ways.

    The process looks the same backwards, so that years before the first one need no other rule.

    Parameters
    ----------
    units : (N, n)
        Independent standard normal numbers.
    first : int
        Column whose shock is its unit itself; as in `shock_factor`, later columns continue from it.
    autocorrelation : float

    Returns
    -------
    (N, n)

    Examples
    --------
    >>> import numpy as np
    >>> shock_path(np.array([[0.0, 1.0, 1.0]]), 1, 0.6).round(3).tolist()
    [[0.6, 1.0, 1.4]]
    """
    path = units.copy()
    fresh = np.sqrt(1.0 - autocorrelation**2)
    for i in range(first + 1, units.shape[1]):
        path[:, i] = autocorrelation * path[:, i - 1] + fresh * units[:, i]
    for i in range(first - 1, -1, -1):
        path[:, i] = autocorrelation * path[:, i + 1] + fresh * units[:, i]
    return path
