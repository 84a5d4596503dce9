"""Starting points of the search for the optimum, and its stopping rule.

Starting points are a scrambled Sobol' sequence in the quantiles of the priors (Sobol' 1967; Owen
1998).  For each, nuisances and scales take the values that fit it best.  Of few unknowns, `TRIED`
times as many points are run as are starts: half of the starts are the first points of the sequence,
so that wide basins are found however little probable, and half the most probable of a part of the
others, so that narrow ones are.

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

TRIED = 16
"""Points that are run for each start, of few unknowns."""

AT_ONCE = 512
"""Points that are run together, so that memory does not grow with their number."""

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


def searches_needed(found: int) -> int:
    """Return the fewest searches after which so many optima are all, in all likelihood.

    Examples
    --------
    >>> searches_needed(1), expected_missed(1, 8) < FEW_ENOUGH <= expected_missed(1, 7)
    (8, True)
    """
    return found + 3 + int(found * (found + 1) / FEW_ENOUGH)


def starting_points(
    likelihood: Likelihood, rng: np.random.Generator, starts: int, *, tried: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Choose starting points, the first at the centre of the priors.

    Parameters
    ----------
    likelihood : Likelihood
    rng : numpy.random.Generator
        Scrambles the sequence.
    starts : int
    tried : int
        Points of the sequence that are run for each start.  If more than 1, the second half of
        the starts are each the most probable of twice as many points.

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
    plain = starts if tried == 1 else math.ceil(starts / 2)
    points = plain + 2 * tried * (starts - plain)
    uniform = sobol.random_base2(max(1, int(np.ceil(np.log2(points)))))[:points]
    # The middle 90% of each prior: with a hundred parameters, corners are impossible points.
    z = priors.mu + priors.sigma * ndtri(0.05 + 0.9 * uniform)
    z[0] = priors.mu
    # The trust region needs its start strictly inside the bounds, however narrow they are.
    margin = np.minimum(1e-3 * priors.sigma, 0.25 * (priors.upper - priors.lower))
    z = np.clip(z, priors.lower + margin, priors.upper - margin)
    parts = np.array_split(z, math.ceil(points / max(starts, AT_ONCE)))
    answers = np.concatenate([likelihood.answers(part) for part in parts])
    theta = np.concatenate([z, likelihood.nuisances_given(answers)[0]], axis=1)
    theta = _with_scales(likelihood, theta, answers)
    if plain == starts:
        return theta, answers
    simulated = np.isfinite(answers).all(axis=1)
    costs = np.where(simulated, -likelihood.log_density(theta, answers), np.inf)
    cheapest = costs[plain:].reshape(-1, 2 * tried).argmin(axis=1)
    best = plain + cheapest + 2 * tried * np.arange(len(cheapest))
    chosen = np.append(np.arange(plain), best)
    return theta[chosen], answers[chosen]


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
