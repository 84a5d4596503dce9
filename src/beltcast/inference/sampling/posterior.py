"""Draws from the posterior, and from the prior.

Laplace's approximation (a normal distribution at the optimum with the curvature there) is wrong in
the tails of a nonlinear model.  So draws are positions of walkers (`metropolis`): they start around
the optima, wider than Laplace's normal, adapt during a burn-in and then move as Markov chains that
leave the true posterior invariant.  `beltcast.sample` moves the same walkers for longer, and checks
that they have mixed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beltcast.display.facts import Facts, html_of, text_of
from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.threads import processors
from beltcast.errors import CalibrationError
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.inference.assemble import likelihood_of
from beltcast.inference.calibrate import Calibration, one_blas_thread
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.arviz_groups import inference_data, observed, unknowns
from beltcast.inference.sampling.censored_nuisances import with_nuisances
from beltcast.inference.sampling.metropolis import adapted, walk
from beltcast.inference.sampling.walker_density import (
    start_walkers,
    walker_density,
    walker_order,
    walker_surrogate,
)
from beltcast.schema import Progress, no_progress
from beltcast.study.study import Study

QUICK_WALKERS = 32
"""Markov chains that move together; each gives an equal part of the draws."""

MOVES = 24
"""Moves between two draws of a walker, where a surrogate proposes them."""

SLOW_MOVES = 40
"""Moves between two draws of a walker without a surrogate."""

FEW_DRAWS = 2 * QUICK_WALKERS
"""So many draws or fewer are made without a surrogate: to fit it would take longer than the moves
that it saves.  Over 20 seeds of the shipped study, 64 draws each, means differ from those of 2,000
draws with a surrogate by 0.07 standard deviations (root mean square over parameters), the median
ratio of standard deviations is 0.99."""

BURN_IN = 10
"""Stretches of moves before the first draw, in which the proposals adapt."""

ADAPT = 20
"""Moves of such a stretch."""

SETTLE = 24
"""Moves that a surrogate proposes before the first draw."""

NOTHING_SIMULATED = "no draw of the posterior could be simulated; widen the priors"


@dataclass(frozen=True, eq=False, repr=False)
class Draws:
    """Draws of all unknowns.

    Attributes
    ----------
    likelihood : Likelihood
        It names the columns.
    theta : (N, size)
        Parameters, then nuisances, on working scales.
    kind : str
        'posterior', 'laplace' or 'prior'.
    acceptance : float
        Share of accepted moves; NaN without moves.
    start_correlation : float
        Mean over parameters of the correlation of the walkers' last positions with their starts:
        1 means no movement, 0 no memory of the start.
    walkers : int
        Markov chains that the draws are of, one after the other at each time; 0 where draws are
        independent.
    """

    likelihood: Likelihood
    theta: FloatArray
    kind: str
    acceptance: float = float("nan")
    start_correlation: float = float("nan")
    walkers: int = 0

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the model's parameters, without standard deviations between belts."""
        priors = self.likelihood.priors
        return tuple(priors.labels[i] for i in priors.settable)

    @property
    def values(self) -> FloatArray:
        """Values of the model's parameters in their own units, (N, n)."""
        priors = self.likelihood.priors
        return priors.natural(self.theta[:, : len(priors)])[:, priors.settable]

    def arrays(self) -> dict[str, object]:
        """Return everything but the likelihood, for `restored`."""
        numbers = self.acceptance, self.start_correlation, self.walkers
        return {"theta": self.theta, "kind": self.kind, "numbers": numbers}

    @classmethod
    def restored(cls, likelihood: Likelihood, kept: Mapping[str, NDArray[Any]]) -> Draws:
        """Make draws of the arrays that `arrays` returned."""
        acceptance, correlation, walkers = kept["numbers"].tolist()
        kind = str(kept["kind"])
        return cls(likelihood, kept["theta"], kind, acceptance, correlation, int(walkers))

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
    moves: int | None = None,
    threads: int | None = None,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> Draws:
    """Draw from the posterior by walkers with a short burn-in.

    The walkers, their starts and their moves are those of `beltcast.sample`, which takes longer and
    checks that they have mixed.

    Parameters
    ----------
    calibration : Calibration
    draws : int
    rng : numpy.random.Generator
    moves : int, optional
        Metropolis moves between two draws of a walker, after ten times as many of burn-in. By
        default 24 that a surrogate proposes (`surrogate`), after a burn-in of 224; without one, and
        for up to 64 draws, 40.  0 gives Laplace's approximation itself.
    threads : int, optional
        Walkers are simulated in parallel on so many; one per processor by default.  The result
        does not depend on it.
    pieces : Pieces, optional
        Keeps the draws, so that a stopped run need not repeat them.
    progress : Progress, optional

    Returns
    -------
    Draws
        The walkers one after the other at each time; any run of draws contains many walkers.

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

    def made() -> dict[str, object]:
        if moves == 0:
            theta = _laplace(calibration, draws, rng)
            return Draws(calibration.likelihood, theta, "laplace").arrays()
        return _walked(calibration, draws, rng, moves, threads, progress or no_progress).arrays()

    return Draws.restored(calibration.likelihood, pieces.take("draws", made))


def _walked(
    calibration: Calibration,
    draws: int,
    rng: np.random.Generator,
    moves: int | None,
    threads: int | None,
    tell: Progress,
) -> Draws:
    likelihood = calibration.likelihood
    threads = threads or processors()
    density, last = walker_density(calibration, threads)
    count = min(draws, QUICK_WALKERS)
    chain = np.zeros(count, dtype=np.int64) if count < QUICK_WALKERS else np.arange(count)
    walkers = start_walkers(calibration, density, chain, rng)
    first = walkers.theta[:, : walkers.n].copy()
    records = math.ceil(draws / count)
    every = min(moves or ADAPT, 5)
    for block in range(BURN_IN):
        stretch = walk(
            density, walkers, records=(moves or ADAPT) // every, every=every, rng=rng, last=last
        )
        walkers = adapted(stretch, settle=2 <= block < BURN_IN - 2)
        tell("moves", block + 1, BURN_IN + records)
    if not np.isfinite(walkers.weight).any():
        raise CalibrationError(NOTHING_SIMULATED)
    pays = moves is None and draws > FEW_DRAWS
    surrogate = walker_surrogate(calibration, walkers, threads) if pays else None
    every = moves or SLOW_MOVES
    if surrogate is not None:
        every = MOVES
        walkers = walk(
            density, walkers, records=1, every=SETTLE, rng=rng, last=last, surrogate=surrogate
        ).walkers
    parts, accepted = [], 0.0
    for record in range(records):
        stretch = walk(
            density, walkers, records=1, every=every, rng=rng, last=last, surrogate=surrogate
        )
        walkers, accepted = stretch.walkers, accepted + stretch.acceptance / records
        parts.append(stretch.theta[0])
        tell("moves", BURN_IN + record + 1, BURN_IN + records)
    theta = np.concatenate(parts)[-draws:][:, np.argsort(walker_order(likelihood))]
    correlation = _correlation(first, walkers.theta[:, : walkers.n])
    return Draws(likelihood, theta, "posterior", accepted, correlation, count)


def _laplace(calibration: Calibration, draws: int, rng: np.random.Generator) -> FloatArray:
    """Draw from Laplace's normal, truncated at the bounds, and nuisances given these; (N, size)."""
    likelihood = calibration.likelihood
    moved = likelihood.moved
    lower, upper = (bound[moved] for bound in likelihood.bounds())
    root = np.linalg.cholesky(calibration.covariance[np.ix_(moved, moved)])
    noise = rng.standard_normal((draws, len(moved))) @ root.T
    z = np.clip(calibration.theta[moved] + noise, lower, upper)
    rule = likelihood.nuisance_rule(near=calibration.theta)
    theta, density = with_nuisances(likelihood, rule, z, likelihood.answers(z), rng)
    if not np.isfinite(density).any():
        raise CalibrationError(NOTHING_SIMULATED)
    return theta


def _correlation(before: FloatArray, after: FloatArray) -> float:
    """Mean over columns of the correlation of two samples."""
    x, y = before - before.mean(axis=0), after - after.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = (x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return float(np.nanmean(each))


def sample_prior(source: Study | Likelihood, draws: int, *, rng: np.random.Generator) -> Draws:
    """Draw from the priors alone.

    Some priors were centred with the published levels in view (the sizes of belts, the share of
    exports), so even the prior is not independent of the observations, although it is not fitted to
    them.

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
