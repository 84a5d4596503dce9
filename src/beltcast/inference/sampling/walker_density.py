"""The posterior as walkers move in it, and where they start.

What is moved are the parameters, and scales of errors where they are estimated.  The other
nuisances are drawn to them (`censored_nuisances`), and the contrasts are asked last (`metropolis`).
"""

from __future__ import annotations

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.run.threads import side_by_side
from beltcast.inference.calibrate import Calibration
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.censored_nuisances import completion
from beltcast.inference.sampling.metropolis import Density, Factor, Walkers, placed

START_WIDENING = 1.5
"""Starts are drawn from Laplace's normal, this much wider."""

REACH = 10.0
"""Optima are started from that cost at most so much more than the best."""


def walker_density(calibration: Calibration, threads: int) -> tuple[Density, Factor | None]:
    """Give the posterior of what is moved, with the other nuisances drawn to it.

    Parameters
    ----------
    calibration : Calibration
    threads : int
        Walkers are simulated side by side on so many.

    Returns
    -------
    density : Density
        Without contrasts.
    last : Factor or None
        The contrasts, which ask for parameters alone.
    """
    likelihood = calibration.likelihood.without_contrasts()
    order = walker_order(likelihood)
    complete = completion(likelihood, near=calibration.theta)

    def density(z: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        # A member's bits do not depend on which others run beside it.
        parts = np.array_split(z, min(threads, len(z)))
        answers = np.concatenate(list(side_by_side(likelihood.answers, parts, threads)))
        theta, weight = complete(z, answers, rng)
        return theta[:, order], weight

    return density, _contrasts(calibration.likelihood, threads)


def walker_order(likelihood: Likelihood) -> IntArray:
    """Positions in theta with those of the moved unknowns first, as walkers have them."""
    rest = np.setdiff1d(np.arange(likelihood.size), likelihood.moved)
    return np.concatenate([likelihood.moved, rest])


def start_walkers(
    calibration: Calibration, density: Density, chain: IntArray, rng: np.random.Generator
) -> Walkers:
    """Place walkers about the optima, wider than Laplace's normal.

    Parameters
    ----------
    calibration : Calibration
    density : Density
    chain : (W,) int
        Walkers of a chain start about the same optimum, chain after chain about the next.
    rng : numpy.random.Generator
    """
    moved = calibration.likelihood.moved
    n = len(moved)
    lower, upper = (bound[moved] for bound in calibration.likelihood.bounds())
    center = calibration.theta[moved]
    covariance = calibration.covariance[np.ix_(moved, moved)]
    root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    optima = np.array([one[moved] for one in calibration.distinct(within=REACH)])
    about = optima[chain % len(optima)]
    start = about + START_WIDENING * rng.standard_normal((len(chain), n)) @ root.T
    # On a bound itself nothing is lost, and rounding may put it outside.
    inside = np.clip(start, lower, upper)
    return placed(density, inside, center, root, rng, _together(calibration))


def _together(calibration: Calibration) -> FloatArray:
    """Unknowns that a figure tells of together, (figures, n): how much each moves its residual.

    Each is moved by its prior's standard deviation, the room that it has; only ratios within an
    observation count.
    """
    likelihood = calibration.likelihood
    moved, figures = likelihood.moved, len(likelihood.published)
    n = len(moved)
    told = likelihood.jacobian(calibration.theta)[:figures, moved]
    told[:, : likelihood.n_parameters] *= likelihood.priors.sigma
    told = told[np.any(told != 0.0, axis=1)]
    together: FloatArray = told**2 if len(told) else np.ones((1, n))
    return together


def _contrasts(likelihood: Likelihood, threads: int) -> Factor | None:
    """The rest of the posterior: the contrasts, which ask for parameters alone."""
    contrasts, n = likelihood.contrasts, likelihood.n_parameters
    if contrasts is None:
        return None

    def factor(z: FloatArray) -> FloatArray:
        parts = np.array_split(z[:, :n], min(threads, len(z)))
        return np.concatenate(list(side_by_side(contrasts.log_density, parts, threads)))

    return factor
