"""Draws from the posterior, and from the prior beside it.

Laplace's approximation (a normal distribution at the optimum with the curvature there) gives the
first draws.  Where the model bends, that normal is wrong in the tails; so each draw then makes a
number of Metropolis moves that leave the true posterior unchanged and have Laplace's normal as
their reference: preconditioned Crank-Nicolson,

    theta' = c + sqrt(1 - b^2) (theta - c) + b xi,      xi ~ N(0, S),

accepted with probability ``min(1, w(theta') / w(theta))``, w the ratio of the posterior density to
that of N(c, S) (Cotter, Roberts, Stuart and White 2013, Statistical Science 28, 424-446).  If
Laplace were exact every move would be accepted and nothing would change.  All chains move side by
side, one ensemble of runs a move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from beltcast.calibrate import Calibration
from beltcast.engine.nodes import FloatArray
from beltcast.errors import CalibrationError
from beltcast.likelihood import Likelihood

STEPS = (0.1, 0.2, 0.4, 0.8)
"""Sizes b that moves alternate between: small ones always move a little, large ones far."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of all unknowns.

    Attributes
    ----------
    likelihood : Likelihood
        Says what the columns are.
    theta : (N, size)
        Parameters, then nuisances, on working scales.
    kind : str
        'posterior', 'laplace' or 'prior'.
    acceptance : float
        Share of accepted moves; NaN without moves.
    """

    likelihood: Likelihood
    theta: FloatArray
    kind: str
    acceptance: float = float("nan")

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the model's parameters."""
        return self.likelihood.priors.labels

    @property
    def values(self) -> FloatArray:
        """Values of the model's parameters in their own units, (N, n)."""
        return self.likelihood.priors.natural(self.theta[:, : len(self.labels)])

    def nuisance(self, name: str) -> FloatArray | None:
        """Draws of a nuisance (standard normal a priori), or None if the fit has none such."""
        names = self.likelihood.nuisances
        if name not in names:
            return None
        column: FloatArray = self.theta[:, len(self.labels) + names.index(name)]
        return column


def sample(
    calibration: Calibration,
    draws: int,
    *,
    rng: np.random.Generator,
    moves: int = 40,
    progress: Callable[[str, int, int], None] | None = None,
) -> Draws:
    """Draw from the posterior.

    Parameters
    ----------
    calibration : Calibration
    draws : int
    rng : numpy.random.Generator
    moves : int
        Metropolis moves of each draw; 0 gives Laplace's approximation itself.
    progress : callable, optional
        Told (what, done, of how many).

    Returns
    -------
    Draws

    Raises
    ------
    CalibrationError
        No draw could be simulated.
    """
    likelihood = calibration.likelihood
    lower, upper = likelihood.bounds()
    center = calibration.theta
    root = np.linalg.cholesky(calibration.covariance)
    theta = center + rng.standard_normal((draws, len(center))) @ root.T
    theta = np.clip(theta, lower, upper)
    if moves == 0:
        return Draws(likelihood, theta, "laplace")

    def log_weight(points: FloatArray) -> FloatArray:
        scaled = solve_triangular(root, (points - center).T, lower=True)
        return likelihood.log_density(points) + 0.5 * (scaled**2).sum(axis=0)

    weight = log_weight(theta)
    if not np.isfinite(weight).any():
        raise CalibrationError("no draw of the posterior could be simulated; widen the priors")
    accepted = 0.0
    for move in range(moves):
        size = STEPS[move % len(STEPS)]
        noise = rng.standard_normal(theta.shape) @ root.T
        proposal = center + np.sqrt(1.0 - size**2) * (theta - center) + size * noise
        proposed = log_weight(proposal)
        with np.errstate(invalid="ignore"):
            take = np.log(rng.random(draws)) < proposed - weight
        theta = np.where(take[:, None], proposal, theta)
        weight = np.where(take, proposed, weight)
        accepted += take.mean()
        if progress is not None:
            progress("moves", move + 1, moves)
    return Draws(likelihood, theta, "posterior", accepted / moves)


def sample_prior(likelihood: Likelihood, draws: int, *, rng: np.random.Generator) -> Draws:
    """Draw from the priors alone: what is believed before any figure is looked at."""
    z = likelihood.priors.draw(rng, draws)
    nuisances = rng.standard_normal((draws, len(likelihood.nuisances)))
    return Draws(likelihood, np.concatenate([z, nuisances], axis=1), "prior")
