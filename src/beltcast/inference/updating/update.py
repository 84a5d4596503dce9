"""Update a posterior with new observations, by the cheapest method that is accurate enough.

Three methods, tried in this order:

*reweight*
    The draws stay and are weighted by the probability they give the new observations, with the
    nuisances taken along (`beltcast.inference.updating.carry_draws`) and the tail of the weights
    smoothed (`beltcast.inference.sampling.psis`).  Accurate unless the observations are very
    surprising.

*smoother*
    The draws are moved first, by the Kalman update of an ensemble, and then weighted to correct
    that linear step.  With the mean m and covariance S of the new rows' logs over the draws
    of z, and C their covariance with z, ``z' = z + K (log y - m) - K~ H'(z - mean z)`` with
    ``K = C S^-1``, where H is the regression of the rows on z and K~ the reduced gain that gives
    the moved draws the right variance without perturbed observations (Andrews 1968; Whitaker and
    Hamill 2002, Monthly Weather Review 130, 1913).  The map is affine, so its Jacobian is one
    constant and the weight of a moved draw is ``p(z' | all) / p(z | old)``: importance sampling
    through a map of the draws (Paananen, Piironen, Buerkner and Vehtari 2021, Statistics and
    Computing 31, 16).  Where model and noise are linear and normal all weights are alike.

*refit*
    The optimum is searched for again from the old one, and draws are made again.

A method is good enough if the shape k of its weights is below the limit of
`beltcast.inference.sampling.psis` and they are worth 100 draws.  The choice, and the attempts, are
part of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beltcast.display.facts import Facts, html_of, text_of
from beltcast.engine.nodes import FloatArray
from beltcast.errors import CalibrationError
from beltcast.inference.assemble import make_likelihood
from beltcast.inference.calibrate import Calibration, calibrate_from, one_blas_thread
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.predicted_observations import questions
from beltcast.inference.sampling.posterior import Draws, approximate_posterior
from beltcast.inference.sampling.psis import ENOUGH, Weights, smoothed
from beltcast.inference.updating.carry_draws import Predictive, carried, extended, predictive
from beltcast.inference.updating.predictive_checks import surprises, together
from beltcast.schema import Progress
from beltcast.streams import Random, Streams
from beltcast.study.observations import Observations

Way: TypeAlias = Literal["reweight", "smoother", "refit"]
UpdateMethod: TypeAlias = Literal["auto", "reweight", "smoother", "refit"]
UPDATE_METHODS: tuple[UpdateMethod, ...] = get_args(UpdateMethod)
WAYS: tuple[Way, ...] = get_args(Way)


@dataclass(frozen=True)
class Attempt:
    """One method that was tried: the shape k of its weights, its limit, and the effective draws."""

    way: Way
    k: float
    limit: float
    effective: float
    good: bool

    def __str__(self) -> str:
        verdict = "good" if self.good else "not good enough"
        return (
            f"{self.way}: k {self.k:.2f} (good up to {self.limit:.2f}), worth "
            f"{self.effective:.0f} draws (at least {ENOUGH:.0f}): {verdict}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Update:
    """The posterior before and after new observations.

    Attributes
    ----------
    before, after : Draws
        As many draws each, of equal weight; those after may be repeated.
    method : 'reweight', 'smoother' or 'refit'
        The method used.
    why : str
        The reason, in a sentence.
    attempts : tuple of Attempt
    surprises : pandas.DataFrame
        As `beltcast.inference.updating.predictive_checks.surprises` returns it.
    together : float
        Joint probability of new observations as surprising as these.
    """

    before: Draws
    after: Draws
    method: Way
    why: str
    attempts: tuple[Attempt, ...]
    surprises: pd.DataFrame
    together: float

    def _facts(self) -> Facts:
        return [
            ("model", self.after.likelihood.model.name),
            ("method", f"{self.method}: {self.why}"),
            ("draws", f"{len(self.before):,} before, {len(self.after):,} after"),
            ("next", "moved() for parameters before and after"),
        ]

    def __repr__(self) -> str:
        return text_of("Update", self._facts())

    def _repr_html_(self) -> str:
        return html_of("Update", self._facts())

    def moved(self) -> pd.DataFrame:
        """Parameters before and after, the most moved first.

        Returns
        -------
        pandas.DataFrame
            ``before`` and ``after``, medians in the parameter's unit; ``shift`` of the mean, in
            standard deviations before, on the working scale; ``ratio`` of the sd after to that
            before.
        """
        settable = self.before.likelihood.priors.settable
        one, other = self.before.theta[:, settable], self.after.theta[:, settable]
        sd = one.std(axis=0)
        table = pd.DataFrame(
            {
                "before": np.median(self.before.values, axis=0),
                "after": np.median(self.after.values, axis=0),
                "shift": (other.mean(axis=0) - one.mean(axis=0)) / sd,
                "ratio": other.std(axis=0) / sd,
            },
            index=pd.Index(self.before.labels, name="parameter"),
        )
        return table.sort_values("shift", key=abs, ascending=False, kind="stable")


@one_blas_thread()
def update(
    calibration: Calibration,
    draws: Draws,
    new: Observations,
    *,
    rng: Random,
    method: UpdateMethod = "auto",
    moves: int | None = None,
    progress: Progress | None = None,
) -> Update:
    """Update a posterior with new observations.

    Parameters
    ----------
    calibration : Calibration
        The fit to the observations known so far.
    draws : Draws
        Of its posterior.
    new : Observations
        New rows, read by `beltcast.study.new_rows.read_new_rows`.
    rng : Streams, numpy.random.Generator or int
    method : 'auto', 'reweight', 'smoother' or 'refit'
        With 'auto' the first that is good enough.
    moves : int, optional
        Moves between two draws of a walker after a refit, as of `beltcast.approximate_posterior`.
    progress : Progress, optional

    Raises
    ------
    TableError
        A new row refers to a time that the model does not cover.
    CalibrationError
        There is no new row, or no draw gives the new rows a positive value.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import calibrate, read_study, approximate_posterior, update
    >>> from beltcast.study.new_rows import read_new_rows
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.verification.origin import as_known
    >>> study = as_known(read_study(), 2025.5)
    >>> rng = np.random.default_rng(1)
    >>> fit = calibrate(study, rng=rng, starts=4, refine=1)
    >>> new = read_new_rows(shipped("calibration/data/half-year-2025.csv"), study).rows
    >>> draws = approximate_posterior(fit, 16, rng=rng, moves=2)
    >>> change = update(fit, draws, new, rng=rng, method="reweight")
    >>> change.surprises["p"].between(0, 1).all().item()
    True
    """
    if not len(new):
        raise CalibrationError("there is no new row to update with; give at least one")
    streams = Streams.of(rng)
    old = calibration.likelihood
    likelihood, is_new = _with_new_rows(old, new)
    near = extended(old, likelihood, calibration.theta)
    z = draws.theta[:, : old.n_parameters]
    expected = predictive(likelihood, is_new, z, near)
    if not np.isfinite(expected.middle).all(axis=1).any():
        raise CalibrationError(
            "no draw of the posterior gives the new rows a positive value; look at the model "
            "with the command 'beltcast check'"
        )

    attempts: list[Attempt] = []
    for way in _ways(method):
        if way == "refit":  # which always gives draws
            after = _refit(likelihood, near, len(draws), moves, streams.refit, progress)
            break
        there = z if way == "reweight" else _kalman(likelihood, is_new, z, expected)
        theta, logs = carried(
            old,
            likelihood,
            draws.theta,
            there,
            near=(calibration.theta, near),
            rng=streams.stream(way),
        )
        weights = smoothed(logs)
        attempts.append(Attempt(way, weights.k, weights.limit, weights.effective, weights.good))
        if weights.good or method == way:
            after = _resampled(likelihood, theta, weights, streams.resampling)
            break
    return Update(
        before=draws,
        after=after,
        method=way,
        why=_why(way, method, attempts),
        attempts=tuple(attempts),
        surprises=surprises(likelihood, is_new, z, expected),
        together=together(likelihood, is_new, expected),
    )


def _with_new_rows(old: Likelihood, new: Observations) -> tuple[Likelihood, NDArray[np.bool_]]:
    """The likelihood of the old rows followed by the new ones, and which are new."""
    # Without a date of its own, drift counts from the last row; new rows must not move it.
    reference = old.noise.reference
    if reference is None:
        reference = max(row.end for row in old.observations)
    # Checked alone first: an error in a new row then has the new file's name.
    questions(old.model, new, old.model.grid().times())
    rows = replace(old.observations, rows=old.observations.rows + new.rows)
    noise = replace(old.noise, reference=reference)
    likelihood = make_likelihood(old.model, old.priors, rows, noise)
    return likelihood, np.arange(len(rows)) >= len(old.observations)


def _ways(method: UpdateMethod) -> tuple[Way, ...]:
    """Methods to try, in order."""
    return tuple(way for way in WAYS if method in ("auto", way))


def _kalman(
    likelihood: Likelihood, is_new: NDArray[np.bool_], z: FloatArray, expected: Predictive
) -> FloatArray:
    """Draws of the parameters moved towards the new observations; bounds move nothing."""
    numbers = likelihood.side[is_new] == 0
    good = np.isfinite(expected.middle).all(axis=1)
    if not numbers.any():
        return z
    middle = expected.middle[:, numbers]
    gap = likelihood.published[is_new][numbers] - middle[good].mean(axis=0)
    away, answer = z - z[good].mean(axis=0), middle - middle[good].mean(axis=0)
    # The rows as linear functions of the parameters; the rest is noise to this step.
    slope = np.linalg.lstsq(away[good], answer[good], rcond=None)[0]
    linear = away @ slope
    rest = np.cov(answer[good] - linear[good], rowvar=False)
    noise = np.atleast_2d(rest) + expected.covariance[np.ix_(numbers, numbers)]
    total = np.atleast_2d(np.cov(linear[good], rowvar=False)) + noise
    cross = away[good].T @ linear[good] / (good.sum() - 1)
    root, noise_root = np.linalg.cholesky(total), np.linalg.cholesky(noise)
    reduced = np.linalg.inv(root.T) @ np.linalg.inv(root + noise_root)
    moved: FloatArray = z + cross @ np.linalg.solve(total, gap) - linear @ (cross @ reduced).T
    return moved


def _resampled(
    likelihood: Likelihood, theta: FloatArray, weights: Weights, rng: np.random.Generator
) -> Draws:
    if weights.effective == 0.0:
        raise CalibrationError(
            "no draw is possible given the new rows; use the method 'refit', or look for a row "
            "that is wrong"
        )
    return Draws(likelihood, theta[weights.resample(rng)], "posterior")


def _refit(
    likelihood: Likelihood,
    near: FloatArray,
    draws: int,
    moves: int | None,
    rng: np.random.Generator,
    progress: Progress | None,
) -> Draws:
    """Draws from a fit to all rows that starts at the old optimum."""
    fit = calibrate_from(likelihood, near)
    return approximate_posterior(fit, draws, rng=rng, moves=moves, progress=progress)


def _why(way: Way, method: UpdateMethod, attempts: Sequence[Attempt]) -> str:
    """The method used, and why."""
    tried = "; ".join(map(str, attempts))
    if method == "refit":
        return "refit, as requested"
    if method == way:
        doubt = "" if attempts[-1].good else "; used as requested, but unreliable"
        return f"{tried}{doubt}"
    return f"{tried}; so refit" if way == "refit" else tried
