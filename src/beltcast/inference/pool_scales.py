"""Standard deviations between elements of partially pooled constants, with the rest integrated out.

At the joint mode of a non-centred model the standard deviation tau between elements is not an
estimate: the elements' own unknowns shrink at no cost, and tau is several times too large or small.
Here all other unknowns are integrated out by Laplace's method,

    log p(y | tau) = log p(y, x | tau) + log det(2 pi S) / 2,    at the mode x given tau,

with S the inverse of the curvature there (Tierney and Kadane 1986); tau maximises this times its
prior.  For models that are nonlinear in x this is the approximation of Lindstrom and Bates (1990),
which nlme uses.

References
----------
Lindstrom, M. J. and Bates, D. M. (1990): Nonlinear mixed effects models for repeated measures data.
Biometrics 46, 673-687.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import ndtri

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.inference.calibrate import (
    Calibration,
    calibrate_from,
    curvature_covariance,
    one_blas_thread,
)
from beltcast.inference.eigen import eigenpairs
from beltcast.inference.likelihood import Likelihood

_PINNED = 1e-3
"""Standard deviation of the prior that holds a log tau at a given value."""

_ROUNDS = 6
"""Newton steps of the scales of errors."""

_STEP = 0.1
"""Step of log tau in the differences of the search and the curvature."""


@one_blas_thread()
def pool_scales(calibration: Calibration) -> pd.DataFrame:
    """Estimate the standard deviation between elements of each partially pooled constant.

    Returns
    -------
    pandas.DataFrame
        By label of the standard deviation: ``estimate``, and ``p10`` and ``p90``, the ends of its
        80% interval, on the working scale of the constant.  Empty without partial pooling.
    """
    priors = calibration.likelihood.priors
    sds = np.array([pool.sd for pool in priors.pools], dtype=np.int64)
    names = ["estimate", "p10", "p90"]
    if not len(sds):
        return pd.DataFrame(columns=names)
    kept = {"fit": calibration}

    def cost(logs: FloatArray) -> float:
        fit = kept["fit"] = _fit_given(calibration.likelihood, kept["fit"].theta, logs)
        rest = np.setdiff1d(np.arange(len(fit.theta)), sds)
        volume = 0.5 * np.linalg.slogdet(fit.covariance[np.ix_(rest, rest)])[1]
        prior = 0.5 * float(np.sum(((logs - priors.mu[sds]) / priors.sigma[sds]) ** 2))
        return fit.cost - float(volume) + prior

    def slope(logs: FloatArray) -> FloatArray:
        steps = _STEP * np.eye(len(logs))
        return np.array([cost(logs + s) - cost(logs - s) for s in steps]) / (2.0 * _STEP)

    reach = 3.0 * priors.sigma[sds]
    best = minimize(
        cost,
        priors.mu[sds],
        jac=slope,
        method="L-BFGS-B",
        bounds=np.column_stack([priors.mu[sds] - reach, priors.mu[sds] + reach]),
        options={"ftol": 1e-6, "gtol": 1e-2, "maxiter": 30},
    )
    logs = np.asarray(best.x)
    steps = _STEP * np.eye(len(logs))
    curvature = np.array([(slope(logs + s) - slope(logs - s)) / (2.0 * _STEP) for s in steps])
    values, vectors = eigenpairs(0.5 * (curvature + curvature.T))
    # If the curvature is negative, nothing is known beyond the prior.
    values = np.maximum(values, priors.sigma[sds].max() ** -2.0)
    sd = np.sqrt((vectors**2) @ (1.0 / values))
    half = float(ndtri(0.9)) * sd
    table = np.exp(np.column_stack([logs, logs - half, logs + half]))
    return pd.DataFrame(table, index=[priors.labels[i] for i in sds], columns=names)


def given_pool_scales(calibration: Calibration, scales: pd.DataFrame) -> Calibration:
    """Return the fit given the standard deviations that `pool_scales` found.

    At the joint mode they may be several times too large, and with them the standard error of each
    common mean and of each element.

    Parameters
    ----------
    calibration : Calibration
    scales : pandas.DataFrame
        Of `pool_scales`.

    Returns
    -------
    Calibration
        The search is that of `calibration`.
    """
    if scales.empty:
        return calibration
    logs = np.log(scales["estimate"].to_numpy())
    fit = _fit_given(calibration.likelihood, calibration.theta, logs)
    theta = integrated_error_scales(fit.likelihood, fit.theta)
    return replace(
        calibration,
        likelihood=fit.likelihood,
        theta=theta,
        covariance=curvature_covariance(fit.likelihood, theta),
    )


def integrated_error_scales(likelihood: Likelihood, theta: FloatArray) -> FloatArray:
    """Estimate scales of errors with the elements of pools integrated out, all else as it is.

    At a joint mode each element takes up a part of the residuals, so that the scale of n rows with
    p elements is too small by about sqrt(1 - p / n).  Laplace's method as above, in one scale at a
    time.

    Parameters
    ----------
    likelihood : Likelihood
    theta : (size,)
        A joint mode.
    """
    theta = theta.copy()
    elements = np.concatenate([[], *(pool.members for pool in likelihood.priors.pools)])
    if not len(elements):
        return theta
    block = np.ix_(*[elements.astype(np.int64)] * 2)

    def log_volume(at: FloatArray) -> float:
        jacobian = likelihood.jacobian(at)
        return -0.5 * float(np.linalg.slogdet((jacobian.T @ jacobian)[block])[1])

    scales = likelihood.n_parameters + np.flatnonzero(likelihood.scale_loadings.any(axis=0))
    for _ in range(_ROUNDS):
        for k in scales:
            step = _STEP * np.eye(len(theta))[k]
            by_volume = (log_volume(theta + step) - log_volume(theta - step)) / (2.0 * _STEP)
            jacobian = likelihood.jacobian(theta)
            slope = jacobian[:, k] @ likelihood.residuals(theta) - by_volume
            # The Gauss-Newton curvature of a log scale is half of the true one.
            theta[k] -= 0.5 * slope / (jacobian[:, k] @ jacobian[:, k])
    return theta


def _fit_given(likelihood: Likelihood, theta: FloatArray, logs: FloatArray) -> Calibration:
    """Fit all else given the logs of the standard deviations, starting at theta."""
    start, pools = theta.copy(), likelihood.priors.pools
    for pool, log in zip(pools, logs, strict=True):
        # The elements keep their values.
        start[pool.members] *= np.exp(start[pool.sd] - log)
        start[pool.sd] = log
    sds = np.array([pool.sd for pool in pools], dtype=np.int64)
    return calibrate_from(_pinned(likelihood, sds, logs), start)


def _pinned(likelihood: Likelihood, sds: IntArray, logs: FloatArray) -> Likelihood:
    """Hold the logs of the standard deviations between elements at given values."""
    mu, sigma = likelihood.priors.mu.copy(), likelihood.priors.sigma.copy()
    mu[sds], sigma[sds] = logs, _PINNED
    return replace(likelihood, priors=replace(likelihood.priors, mu=mu, sigma=sigma))
