"""Starting points of the search for the optimum, and its stopping rule.

Starting points are a scrambled Sobol' sequence in the quantiles of the priors (Sobol' 1967; Owen
1998).  For each, nuisances and scales take the values that fit it best.

A search that found w different optima in n local searches from random points has, by Boender and
Rinnooy Kan (1987), missed

    w (n - 1) / (n - w - 2) - w

of them on average (posterior mean, all numbers of optima and all sizes of their basins equally
probable a priori).  It stops when that is below one half.

References
----------
Boender, C. G. E. and Rinnooy Kan, A. H. G. (1987): Bayesian stopping rules for multistart global
optimization methods. Mathematical Programming 37, 59-80.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from beltcast.engine.nodes import FloatArray
from beltcast.inference.likelihood import Likelihood

FEW_ENOUGH = 0.5
"""Expected number of missed optima below which a search stops."""


def expected_missed(found: int, searches: int) -> float:
    """Return how many optima a search has missed on average.

    Parameters
    ----------
    found : int
        Different optima.
    searches : int
        Local searches that ended in them.

    Returns
    -------
    float
        Infinite if the searches are too few to tell.

    Examples
    --------
    >>> round(expected_missed(1, 8), 2), expected_missed(3, 5)
    (0.4, inf)
    """
    left = searches - found - 2
    return math.inf if left <= 0 else found * (searches - 1) / left - found


def starting_points(
    likelihood: Likelihood, rng: np.random.Generator, starts: int
) -> tuple[FloatArray, FloatArray]:
    """Choose starting points, the first at the centre of the priors.

    Parameters
    ----------
    likelihood : Likelihood
    rng : numpy.random.Generator
        Scrambles the sequence.
    starts : int

    Returns
    -------
    theta : (starts, size)
    answers : (starts, m)
        The model's answers there.
    """
    priors = likelihood.priors
    from scipy.stats import qmc  # here: it takes long to import, and opening a fit needs none of it

    sobol = qmc.Sobol(len(priors), rng=rng)
    # A Sobol' sequence is balanced at powers of two; the surplus is dropped.
    uniform = sobol.random_base2(max(1, int(np.ceil(np.log2(starts)))))[:starts]
    # The middle 90% of each prior: with a hundred parameters, corners are impossible points.
    z = priors.mu + priors.sigma * ndtri(0.05 + 0.9 * uniform)
    z[0] = priors.mu
    # The trust region needs its start strictly inside the bounds, however narrow they are.
    margin = np.minimum(1e-3 * priors.sigma, 0.25 * (priors.upper - priors.lower))
    z = np.clip(z, priors.lower + margin, priors.upper - margin)
    answers = likelihood.answers(z)
    theta = np.concatenate([z, likelihood.nuisances_given(answers)[0]], axis=1)
    return _with_scales(likelihood, theta, answers), answers


def _with_scales(likelihood: Likelihood, theta: FloatArray, answers: FloatArray) -> FloatArray:
    """Set estimated scales of numbers to the root mean square of their residuals."""
    scale_loadings = likelihood.scale_loadings
    if not scale_loadings.any():
        return theta
    z = likelihood.gaps(theta, answers)
    numbers = likelihood.families.number & (likelihood.side == 0) & (likelihood.half == 0)
    for k in np.flatnonzero(scale_loadings.any(axis=0)):
        rows = numbers & (scale_loadings[:, k] != 0.0)
        if not rows.any():
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            log_scale = 0.5 * np.log(np.mean(z[:, rows] ** 2, axis=1) + 1e-12)
        eta = log_scale / scale_loadings[rows, k].mean()
        eta = np.where(np.isfinite(eta), eta, 0.0)
        limit = 0.9 * likelihood.scale_limit
        theta[:, likelihood.n_parameters + k] = np.clip(eta, -limit, limit)
    return theta
