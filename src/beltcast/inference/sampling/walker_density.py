"""The posterior as walkers sample it, and their starts.

The parameters move, and scales of errors if they are estimated.  The other nuisances are drawn
given these (`censored_nuisances`), and the contrasts are evaluated last (`metropolis`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.run.threads import at_most, side_by_side
from beltcast.inference.calibrate import Calibration
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.censored_nuisances import completion
from beltcast.inference.sampling.metropolis import Density, Factor, Walkers, placed
from beltcast.inference.sampling.surrogate import Surrogate, make_surrogate

START_WIDENING = 1.5
"""Starts are drawn from Laplace's normal, this much wider."""

REACH = 10.0
"""Largest cost above the best of an optimum from which walkers start."""


def walker_density(calibration: Calibration, threads: int) -> tuple[Density, Factor | None]:
    """Return the posterior of the moved unknowns, with the other nuisances drawn given them.

    Parameters
    ----------
    calibration : Calibration
    threads : int
        Walkers are simulated in parallel on so many.

    Returns
    -------
    density : Density
        Without contrasts.
    last : Factor or None
        The contrasts, which depend on parameters alone.
    """
    likelihood = calibration.likelihood.without_contrasts()
    order = walker_order(likelihood)
    complete = completion(likelihood, near=calibration.theta)

    def density(z: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        with at_most(threads):
            answers = likelihood.answers(z)
        theta, weight = complete(z, answers, rng)
        return theta[:, order], weight

    return density, _contrasts(calibration.likelihood, threads)


def walker_surrogate(calibration: Calibration, walkers: Walkers, threads: int) -> Surrogate | None:
    """Make a surrogate of the posterior where walkers have been in their burn-in.

    The same walkers give the same surrogate, so that it need not be kept.
    """
    likelihood = calibration.likelihood

    def threaded(
        function: Callable[[FloatArray], FloatArray],
    ) -> Callable[[FloatArray], FloatArray]:
        def whole(z: FloatArray) -> FloatArray:
            parts = np.array_split(z, max(threads, len(z) // 512))
            return np.concatenate(list(side_by_side(function, parts, threads)))

        return whole

    contrasts = likelihood.contrasts
    return make_surrogate(
        likelihood,
        calibration.theta,
        walkers.past,
        walkers.root,
        threaded(likelihood.answers),
        None if contrasts is None else threaded(contrasts.answers),
    )


def walker_order(likelihood: Likelihood) -> IntArray:
    """Positions in theta with those of the moved unknowns first, in the order of walkers."""
    rest = np.setdiff1d(np.arange(likelihood.size), likelihood.moved)
    return np.concatenate([likelihood.moved, rest])


def start_walkers(
    calibration: Calibration, density: Density, chain: IntArray, rng: np.random.Generator
) -> Walkers:
    """Place walkers around the optima, wider than Laplace's normal.

    Parameters
    ----------
    calibration : Calibration
    density : Density
    chain : (W,) int
        Walkers of a chain start around the same optimum, chain after chain around the next.
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
    """Unknowns that one observation informs together, (observations, n), with their effects.

    Each effect is that of a change by the prior's standard deviation; only ratios within an
    observation count.
    """
    likelihood = calibration.likelihood
    moved, rows = likelihood.moved, len(likelihood.published)
    n = len(moved)
    told = likelihood.jacobian(calibration.theta)[:rows, moved]
    told[:, : likelihood.n_parameters] *= likelihood.priors.sigma
    told = told[np.any(told != 0.0, axis=1)]
    together: FloatArray = told**2 if len(told) else np.ones((1, n))
    return together


def _contrasts(likelihood: Likelihood, threads: int) -> Factor | None:
    """The rest of the posterior: the contrasts, which depend on parameters alone."""
    contrasts, n = likelihood.contrasts, likelihood.n_parameters
    if contrasts is None:
        return None

    def factor(z: FloatArray) -> FloatArray:
        with at_most(threads):
            found = contrasts.residuals(z[:, :n])
        value: FloatArray = -0.5 * (found**2).sum(axis=1)
        return value

    return factor
