"""Draws from the posterior, and from the prior beside it.

Laplace's approximation (a normal distribution at the optimum with the curvature there) gives the
first draws of the model's parameters z.  Where the model bends, that normal is wrong in the tails;
so each draw then makes a number of Metropolis moves that leave the true posterior unchanged.  A
move proposes parameters by preconditioned Crank-Nicolson with Laplace's normal N(c, S) as its
reference (Cotter, Roberts, Stuart and White 2013, Statistical Science 28, 424-446),

    z' = c + sqrt(1 - b^2) (z - c) + b xi,      xi ~ N(0, S),

and nuisances u' from their conditional distribution g(u | z') given the model's answers at z',
which is normal and known exactly but for bounds (taken by their tangents).  It is accepted with
probability ``min(1, w' / w)``, where ``w = p(z, u | y) / (N(z; c, S) g(u | z))``.  Were Laplace
exact and no row a bound, w would be constant, every move accepted and nothing changed.  All chains
move side by side, one ensemble of runs a move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from beltcast.display.facts import Facts, html_of, text_of
from beltcast.engine.nodes import FloatArray
from beltcast.errors import CalibrationError
from beltcast.inference.calibrate import Calibration, one_blas_thread
from beltcast.inference.likelihood import Likelihood, likelihood_of
from beltcast.inference.nuisance_rule import NuisanceRule
from beltcast.inference.sampling.arviz_groups import inference_data, observed, unknowns
from beltcast.schema import Progress
from beltcast.study.study import Study

STEPS = (0.2, 0.4, 0.8)
"""Sizes b that moves alternate between: small ones always move a little, large ones far."""


@dataclass(frozen=True, eq=False, repr=False)
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
    start_correlation : float
        Mean over parameters of the correlation of the draws with Laplace's draws that they
        started from: 1 has not moved, 0 has forgotten.
    """

    likelihood: Likelihood
    theta: FloatArray
    kind: str
    acceptance: float = float("nan")
    start_correlation: float = float("nan")

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the model's parameters; a spread between belts is none."""
        priors = self.likelihood.priors
        return tuple(priors.labels[i] for i in priors.settable)

    @property
    def values(self) -> FloatArray:
        """Values of the model's parameters in their own units, (N, n)."""
        priors = self.likelihood.priors
        return priors.natural(self.theta[:, : len(priors)])[:, priors.settable]

    def to_inferencedata(self) -> Any:
        """Return the draws as one chain of ArviZ's object.

        Returns
        -------
        arviz.InferenceData
            The groups ``posterior`` (``prior`` for draws of the prior) and ``observed_data``.

        Raises
        ------
        MissingExtra
            ArviZ is not installed.
        """
        group = "prior" if self.kind == "prior" else "posterior"
        draws = unknowns(self.likelihood, self.theta[None])
        return inference_data({group: draws, "observed_data": observed(self.likelihood)})

    def _facts(self) -> Facts:
        return [
            ("draws", f"{len(self):,}"),
            ("model", self.likelihood.model.name),
            ("parameters", str(len(self.likelihood.priors))),
            ("nuisances", str(len(self.likelihood.nuisances))),
            (
                "acceptance",
                "none (no moves)" if np.isnan(self.acceptance) else f"{self.acceptance:.2f}",
            ),
        ]

    def __repr__(self) -> str:
        return text_of(f"Draws of the {self.kind}", self._facts())

    def _repr_html_(self) -> str:
        return html_of(f"Draws of the {self.kind}", self._facts())

    def nuisance(self, name: str) -> FloatArray | None:
        """Draws of a nuisance (standard normal a priori), or None if the fit has none such."""
        names = self.likelihood.nuisances
        if name not in names:
            return None
        column: FloatArray = self.theta[:, self.likelihood.n_parameters + names.index(name)]
        return column


@one_blas_thread()
def approximate_posterior(
    calibration: Calibration,
    draws: int,
    *,
    rng: np.random.Generator,
    moves: int = 30,
    progress: Progress | None = None,
) -> Draws:
    """Draw approximately from the posterior: Laplace's approximation, improved by moves.

    For draws whose convergence is proven, use `beltcast.sample`, which takes minutes.

    Parameters
    ----------
    calibration : Calibration
    draws : int
    rng : numpy.random.Generator
    moves : int
        Metropolis moves of each draw; 0 gives Laplace's approximation itself.
    progress : callable, optional
        Called with (what, done, of how many).

    Returns
    -------
    Draws

    Raises
    ------
    CalibrationError
        No draw could be simulated.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import approximate_posterior, calibrate, read_study
    >>> study, rng = read_study(), np.random.default_rng(1)
    >>> fit = calibrate(study, rng=rng, starts=4, refine=1)
    >>> draws = approximate_posterior(fit, 8, rng=rng, moves=2)
    >>> draws.values.shape == (8, len(study.priors))
    True
    """
    likelihood = calibration.likelihood
    moved = likelihood.moved
    n = len(moved)
    lower, upper = (bound[moved] for bound in likelihood.bounds())
    center = calibration.theta[moved]
    covariance = calibration.covariance[np.ix_(moved, moved)]
    root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    z = np.clip(center + rng.standard_normal((draws, n)) @ root.T, lower, upper)
    rule = likelihood.nuisance_rule(near=calibration.theta)
    theta, weight = _completed(calibration, rule, z, root, rng)
    if not np.isfinite(weight).any():
        raise CalibrationError("no draw of the posterior could be simulated; widen the priors")
    first, accepted = theta[:, moved].copy(), 0.0
    for move in range(moves):
        size = STEPS[move % len(STEPS)]
        noise = rng.standard_normal((draws, n)) @ root.T
        proposal = center + np.sqrt(1.0 - size**2) * (theta[:, moved] - center) + size * noise
        proposed, its_weight = _completed(calibration, rule, proposal, root, rng)
        with np.errstate(invalid="ignore"):
            take = np.log(rng.random(draws)) < its_weight - weight
        theta = np.where(take[:, None], proposed, theta)
        weight = np.where(take, its_weight, weight)
        accepted += take.mean()
        if progress is not None:
            progress("moves", move + 1, moves)
    kind = "posterior" if moves else "laplace"
    if not moves:
        return Draws(likelihood, theta, kind)
    return Draws(likelihood, theta, kind, accepted / moves, _correlation(first, theta[:, moved]))


def _correlation(before: FloatArray, after: FloatArray) -> float:
    """Mean over columns of the correlation of two samples."""
    x, y = before - before.mean(axis=0), after - after.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = (x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return float(np.nanmean(each))


def _completed(
    calibration: Calibration,
    rule: NuisanceRule,
    z: FloatArray,
    root: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """What is moved with nuisances drawn to it, (N, size), and log w of each, (N,)."""
    answers = calibration.likelihood.answers(z)
    theta, density = with_nuisances(calibration.likelihood, rule, z, answers, rng)
    center = calibration.theta[calibration.likelihood.moved]
    scaled = solve_triangular(root, (z - center).T, lower=True)
    return theta, density + 0.5 * (scaled**2).sum(axis=0)


def with_nuisances(
    likelihood: Likelihood,
    rule: NuisanceRule,
    z: FloatArray,
    answers: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Draw nuisances to parameters, from g, their distribution given the model's answers.

    g is normal and exact but for the season, taken as linear, and for bounds, taken by their
    tangents at the optimum; the second result makes up for the difference.

    Parameters
    ----------
    likelihood : Likelihood
    rule : NuisanceRule
        As `Likelihood.nuisance_rule` gives it near the optimum.
    z : (N, n) or (N, n + k)
        Parameters, and scales in the order of `Likelihood.moved`, which are drawn too without them.
    answers : (N, m)
        As `Likelihood.answers` returns them for z.
    rng : numpy.random.Generator

    Returns
    -------
    theta : (N, size)
    log_density : (N,)
        ``log p(z, u | y) - log g(u | z)``, up to a constant: were g exact, that of z alone.
    """
    mean = rule.mean(answers)
    xi = rng.standard_normal(mean.shape)
    nuisances = mean + solve_triangular(rule.factor, xi.T, lower=True, trans="T").T
    n = likelihood.n_parameters
    if z.shape[1] > n:
        # The rule has scales apart from all other nuisances.
        scales = likelihood.moved[n:] - n
        nuisances[:, scales] = z[:, n:]
        xi[:, scales] = 0.0
    theta = np.concatenate([z[:, :n], nuisances], axis=1)
    # What cannot be simulated, or gives no positive value, has no probability at all.
    possible = np.isfinite(answers).all(axis=1)
    density = np.where(possible, likelihood.log_density(theta, answers), -np.inf)
    return theta, density + 0.5 * (xi**2).sum(axis=1)


def sample_prior(source: Study | Likelihood, draws: int, *, rng: np.random.Generator) -> Draws:
    """Draw from the priors alone.

    Some priors were centred with the published levels in view (the sizes of belts, the share of
    exports), so even the prior is not blind to the observations; it is only not fitted to them.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import read_study, sample_prior
    >>> sample_prior(read_study(), 8, rng=np.random.default_rng(1)).kind
    'prior'
    """
    likelihood = likelihood_of(source)
    z = likelihood.priors.draw(rng, draws)
    nuisances = rng.standard_normal((draws, len(likelihood.nuisances)))
    return Draws(likelihood, np.concatenate([z, nuisances], axis=1), "prior")
