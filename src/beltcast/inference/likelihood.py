"""How probable the published numbers are, given parameters.

The unknowns are one vector ``theta``: first the parameters of the model on their working scales
(`priors`), then the nuisances of `nuisances` (offsets, trends, year shocks,
shared errors, spreads, the season), each a standard normal.  For row i, with the model's answer
``m_i`` (a log),

    mu_i = m_i + offset + trend (t_i - t_ref) + shock(year) + season        [log]
    z_i  = (log y_i - mu_i) / (sd_i s_i),     log s_i = sd(spread) eta(group of i)

Every term is written as a *residual* ``r`` with ``r^2 / 2`` its negative log likelihood over the
height of its peak (`residuals`): z itself for a number, ``sqrt(-2 log Phi)`` for a bound
(Tobin 1958).  So least squares, the scalar density and the Laplace covariance all come from this
one definition.  Where spreads are estimated, the heights are not constant (that of a number is
``1 / s_i``), and each group g of n rows adds, after the priors, the residual of its heights

    r_g = sqrt(2 (c + sum of log s_i)),     c = n (1/2 + 4 sd(spread)),

whose constant c keeps the root real down to ``eta = -4``, the bound of eta.  The density is exact,
but Gauss and Newton's curvature for eta is too small by up to a half, so Laplace's spread of eta is
somewhat wide; the moves of `beltcast.inference.sampling.posterior` correct it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.errors import CalibrationError
from beltcast.inference.nuisances import ERROR, SHOCK, nuisances_of
from beltcast.inference.predicted_observations import Questions, questions
from beltcast.inference.residuals import as_normal, log_height, log_peak, residual, slopes
from beltcast.model.model import Model
from beltcast.study.noise import Noise
from beltcast.study.observations import Observations
from beltcast.study.priors import Priors

SPREAD_LIMIT = 4.0
"""Bound of the nuisances that are spreads, in prior spreads."""

UNSEEN = float(np.exp(20.0))
"""Spread of a row that a fit must not see; its information is 4e-18 of an ordinary one's."""

BLAME = 1e3
"""Residual of a row whose answer is not a number: a wall that a fit turns away from."""


@dataclass(frozen=True, eq=False)
class NuisanceRule:
    """Normal distribution of the nuisances given the model's answers.

    Attributes
    ----------
    loadings : (m, u)
        What a unit of each nuisance adds to the weighted residual of each row.
    weight : (m,)
    free : (m,)
        Answers at which the rows want no nuisance.
    precision : (u, u)
    held : (u,)
        Where nuisances are held that do not move a row's mean (spreads); 0 for the others.
    """

    loadings: FloatArray
    weight: FloatArray
    free: FloatArray
    precision: FloatArray
    held: FloatArray

    def mean(self, answers: FloatArray) -> FloatArray:
        """Means of the nuisances, (N, m) -> (N, u)."""
        gaps = self.free - answers
        # A row without an answer says nothing about nuisances; it is blamed in the residuals.
        gaps = np.where(np.isfinite(gaps), gaps, 0.0) * self.weight
        return np.asarray(self.held + gaps @ self._gain)

    @cached_property
    def factor(self) -> FloatArray:
        """Lower Cholesky factor of the precision, (u, u); one serves all moves of a chain."""
        return np.asarray(np.linalg.cholesky(self.precision), dtype=np.float64)

    @cached_property
    def _gain(self) -> FloatArray:
        """What a weighted gap of each row moves each mean by, (m, u)."""
        return np.asarray(np.linalg.solve(self.precision, self.loadings.T).T, dtype=np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class Likelihood:
    """Published numbers, the model's answers to them and everything in between.

    Attributes
    ----------
    model, priors, observations, noise
    asked : Questions
    log_values, sds : (m,)
        The middle of the interval where a number is rounded.
    half : (m,)
        Half the width of that interval (of logs), 0 for other rows.
    side : (m,) int
        0 a number, -1 a lower bound, +1 an upper bound.
    loadings, spreads : (m, u - 1)
        What a unit of each nuisance adds to the log of each row, and to the log of its spread; the
        season apart.
    nuisances : (u,) str
        Their names, the season last.
    season : (m,)
        ``u0 + u1 - 1`` for a part of a year, 0 otherwise.
    rows_of, columns : (p,), (p,)
        Row of the program and parameter for each element that the parameters set.
    """

    model: Model
    priors: Priors
    observations: Observations
    noise: Noise
    asked: Questions
    log_values: FloatArray
    sds: FloatArray
    half: FloatArray
    side: IntArray
    loadings: FloatArray
    spreads: FloatArray
    nuisances: tuple[str, ...]
    season: FloatArray
    rows_of: IntArray
    columns: IntArray

    def __repr__(self) -> str:
        return (
            f"Likelihood of {len(self.log_values)} observations: model '{self.model.name}', "
            f"{self.n_parameters} parameters, {len(self.nuisances)} nuisances"
        )

    @property
    def n_parameters(self) -> int:
        """Parameters of the model."""
        return len(self.priors)

    @property
    def size(self) -> int:
        """Length of theta."""
        return self.n_parameters + len(self.nuisances)

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each entry of theta."""
        return self.priors.labels + self.nuisances

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds of theta."""
        free = np.append(np.where(self.spreads.any(axis=0), SPREAD_LIMIT, np.inf), np.inf)
        return np.concatenate([self.priors.lower, -free]), np.concatenate([self.priors.upper, free])

    def residuals(self, theta: FloatArray, answers: FloatArray | None = None) -> FloatArray:
        """Residuals of rows, priors and heights; half their sum of squares is the cost.

        Parameters
        ----------
        theta : (size,) or (N, size)
        answers : (N, m), optional
            As `answers` returns them, where they are known already.

        Returns
        -------
        (m + size + g,) or (N, m + size + g)
            With g groups of rows whose spread is estimated.
        """
        many = np.atleast_2d(theta)
        if answers is None:
            answers = self.answers(many)
        z, half = self._standardised(many, answers)
        good = np.isfinite(z)
        found = residual(np.where(good, z, 0.0), self.side, half, self.noise.tails)
        of_rows = np.where(good, found, BLAME)
        parts = [of_rows, self._of_priors(many)]
        if self.spreads.any():
            parts.append(self._of_heights(many))
        out = np.concatenate(parts, axis=1)
        return out if np.ndim(theta) == 2 else out[0]

    def log_density(self, theta: FloatArray, answers: FloatArray | None = None) -> FloatArray:
        """Unnormalised log posterior density of each row of theta, (N, size) -> (N,)."""
        theta = np.atleast_2d(theta)
        lower, upper = self.bounds()
        inside = ((theta >= lower) & (theta <= upper)).all(axis=1)
        squares = (self.residuals(theta, answers) ** 2).sum(axis=1)
        return np.where(inside, -0.5 * squares, -np.inf)

    def log_likelihood(self, theta: FloatArray, answers: FloatArray | None = None) -> FloatArray:
        """Log likelihood of each row, normalised; (N, size) -> (N, m).

        A number has the density of its log, a rounded one the probability of its interval, a bound
        the probability that it holds.
        """
        theta = np.atleast_2d(theta)
        rows = self.residuals(theta, answers)[:, : len(self.sds)]
        sds = self.row_sds(theta)
        at_best = np.where(self.side == 0, log_peak(self.noise.tails) - np.log(sds), 0.0)
        rounded = self.half > 0
        at_best[:, rounded] = log_height((self.half / sds)[:, rounded], self.noise.tails)[0]
        log_rows: FloatArray = at_best - 0.5 * rows**2
        return log_rows

    def nuisances_given(
        self, answers: FloatArray, near: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Nuisances given the model's answers: `nuisance_rule`, applied once.

        Returns
        -------
        mean : (N, u)
        precision : (u, u)
        """
        rule = self.nuisance_rule(near)
        return rule.mean(answers), rule.precision

    def gaps(self, theta: FloatArray, answers: FloatArray) -> FloatArray:
        """Logs of what was published less what is expected, in spreads; (N, m)."""
        return self._standardised(theta, answers)[0]

    def nuisance_rule(self, near: FloatArray | None = None) -> NuisanceRule:
        """How nuisances follow from answers: linear, normal and the same for all but the mean.

        Exact but for the season, which is taken as linear; for bounds and rounded numbers, which
        are replaced by their tangents at `near` (left out without it); for Student's t, by its
        weights there; and for spreads, which are held there and have a normal of their own.

        Parameters
        ----------
        near : (size,), optional
            Where all that is linearised, such as the optimum; the model is run there.
        """
        nothing = np.zeros((1, self.size))
        at = nothing if near is None else near[None]
        sds = self.row_sds(at)[0]
        weight, middle = (self.side == 0).astype(float), np.zeros(len(sds))
        if near is not None:
            z, half = self._standardised(at, self.answers(at))
            weight, middle = as_normal(z[0], self.side, half[0], self.noise.tails)
        season = self.noise.season_sd * self.season
        loadings = self._loadings(sds / self.sds)
        loadings = np.concatenate([loadings, season[:, None]], axis=1)
        loadings = loadings * (weight / sds)[:, None]
        precision = loadings.T @ loadings + np.eye(len(self.nuisances))
        held = np.zeros(len(self.nuisances))
        if near is not None and self.spreads.any():
            felt = np.append(self.spreads.any(axis=0), False)
            curvature = (self.jacobian(near)[:, self.n_parameters :][:, felt] ** 2).sum(axis=0)
            held[felt] = near[self.n_parameters :][felt]
            precision[felt, felt] = curvature
        return NuisanceRule(
            loadings=loadings,
            weight=weight / sds,
            free=self.log_values - self._shift(nothing)[0] - middle * sds,
            precision=precision,
            held=held,
        )

    def rule_of_numbers(self, numbers: NDArray[np.bool_], season: float) -> NuisanceRule:
        """`nuisance_rule` of some rows taken for numbers, whatever they are, and no others.

        For normal errors of known spread. Exact but for the season, taken as linear about a value.

        Parameters
        ----------
        numbers : (m,) bool
        season : float
            The nuisance of that name.
        """
        factor = self._season_factor(np.array([season]))[0]
        slope = self.noise.season_sd * self.season / factor
        weight = np.where(numbers, 1.0 / self.sds, 0.0)
        loadings = np.concatenate([self.loadings, slope[:, None]], axis=1) * weight[:, None]
        return NuisanceRule(
            loadings=loadings,
            weight=weight,
            free=self.log_values - np.log(factor) + slope * season,
            precision=loadings.T @ loadings + np.eye(len(self.nuisances)),
            held=np.zeros(len(self.nuisances)),
        )

    def jacobian(self, theta: FloatArray) -> FloatArray:
        """Exact derivative of the residuals, from the compiled model's forward tangents.

        Parameters
        ----------
        theta : (size,)

        Returns
        -------
        (m + size + g, size)
        """
        n = self.n_parameters
        values = self.values(theta[None, :n])
        run = self.model.batch(
            self.rows_of,
            values,
            outputs=self.asked.outputs,
            totals=self.asked.totals,
            saves=self.asked.saves,
            directions=np.arange(len(self.rows_of)),
        )
        answers, by_row = self.asked.derivative(run)
        # A parameter may set several rows (one constant for all belts): add their derivatives.
        by_parameter = np.zeros((len(answers), n))
        np.add.at(by_parameter.T, self.columns, by_row.T)
        by_parameter = self.priors.pull_back(by_parameter, theta[:n])
        by_theta = np.concatenate([by_parameter, self._nuisance_slopes(theta)], axis=1)
        z, half = self._standardised(theta[None], answers)
        z, half = z[0], half[0]
        good = np.isfinite(z) & np.isfinite(by_theta).all(axis=1)
        safe = np.where(good, z, 0.0)
        by_z, by_half = slopes(safe, self.side, half, self.noise.tails)
        slope = np.where(good, by_z / self.row_sds(theta[None])[0], 0.0)
        by_theta[~good] = 0.0
        of_rows = -slope[:, None] * by_theta
        priors = np.diag(np.concatenate([1.0 / self.priors.sigma, np.ones(len(self.nuisances))]))
        if not self.spreads.any():
            return np.concatenate([of_rows, priors])
        # A wider spread makes z and the half-width smaller in proportion.
        shrink = np.where(good, by_z * safe + by_half * half, 0.0)
        of_rows[:, n:-1] -= shrink[:, None] * self.spreads
        return np.concatenate([of_rows, priors, self._height_slopes(theta)])

    def answers(self, theta: FloatArray) -> FloatArray:
        """The model's side of each row, as logs; (N, size) -> (N, m)."""
        run = self.model.batch(
            self.rows_of,
            self.values(theta[:, : self.n_parameters]),
            outputs=self.asked.outputs,
            totals=self.asked.totals,
            saves=self.asked.saves,
        )
        return self.asked.answer(run).T

    def expected(self, theta: FloatArray, *, shocks: bool = True) -> FloatArray:
        """Log of what would be published, without the row's own noise; (N, size) -> (N, m).

        With ``shocks=False`` as it would be in years without a shock.
        """
        if not shocks:
            theta = theta.copy()
            felt = [name.startswith(SHOCK) for name in self.nuisances]
            theta[:, self.n_parameters :][:, felt] = 0.0
        return self.answers(theta) + self._shift(theta)

    def row_sds(self, theta: FloatArray) -> FloatArray:
        """Spread of each row's own error, as estimated; (N, size) -> (N, m)."""
        return self.sds * self._scale(theta)

    def values(self, z: FloatArray) -> FloatArray:
        """Values of the program's rows for each member; (N, n) -> (p, N)."""
        return self.priors.natural(z).T[self.columns]

    def without(self, mask: ArrayLike) -> Likelihood:
        """Leave out the rows where a mask is true.

        They stay in place and lose their weight, so that the compiled model serves as it is: a
        spread of e^20 makes a number say nothing, and a bound as true as false.  Of estimated
        spreads they say nothing either.
        """
        out = np.asarray(mask, dtype=bool)
        spreads = np.where(out[:, None], 0.0, self.spreads)
        # As where a spread is set up: bounds alone say nothing of it.
        measured = (spreads[self.side == 0] != 0.0).any(axis=0)
        return replace(
            self,
            sds=np.where(out, UNSEEN, self.sds),
            half=np.where(out, 0.0, self.half),
            spreads=np.where(measured, spreads, 0.0),
        )

    def _standardised(
        self, theta: FloatArray, answers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Gaps between print and expectation, and half-widths, in spreads; (N, m) each."""
        sds = self.row_sds(theta)
        return (self.log_values - answers - self._shift(theta)) / sds, self.half / sds

    def _scale(self, theta: FloatArray) -> FloatArray:
        """Factor s of the spread of each row; (N, m)."""
        if not self.spreads.any():
            return np.ones((len(theta), 1))
        scale: FloatArray = np.exp(theta[:, self.n_parameters : -1] @ self.spreads.T)
        return scale

    def _of_priors(self, theta: FloatArray) -> FloatArray:
        n = self.n_parameters
        own = (theta[:, :n] - self.priors.mu) / self.priors.sigma
        return np.concatenate([own, theta[:, n:]], axis=1)

    def _shift(self, theta: FloatArray) -> FloatArray:
        """What definitions, shocks and the season add to the log of each row; (N, m)."""
        nuisance = theta[:, self.n_parameters :]
        season = np.log(self._season_factor(nuisance[:, -1]))
        if not self.spreads.any():
            return nuisance[:, :-1] @ self.loadings.T + season
        # A part of the rows' own errors is as wide as they are.
        errors = np.where(self._are_errors, nuisance[:, :-1], 0.0) @ self.loadings.T
        others = np.where(self._are_errors, 0.0, nuisance[:, :-1]) @ self.loadings.T
        return others + self._scale(theta) * errors + season

    @property
    def _are_errors(self) -> np.ndarray:
        return np.array([name.startswith(ERROR) for name in self.nuisances[:-1]], dtype=bool)

    def _loadings(self, scale: FloatArray) -> FloatArray:
        """Loadings where the spread of each row is so many times its own; (m,) -> (m, u - 1)."""
        if not self.spreads.any():
            return self.loadings
        return self.loadings * np.where(self._are_errors, scale[:, None], 1.0)

    def _of_heights(self, theta: FloatArray) -> FloatArray:
        """Residuals of the heights of rows whose spread is estimated; (N, g)."""
        return np.sqrt(2.0 * np.maximum(self._heights(theta)[0], 0.0))

    def _height_slopes(self, theta: FloatArray) -> FloatArray:
        """Derivative of `_of_heights`; (g, size)."""
        total, by_log_scale, groups = self._heights(theta[None])
        out = np.zeros((groups.shape[0], self.size))
        # Each row is in one group, so a group's heights hang on its own spread only.
        by_eta = (groups * by_log_scale) @ self.spreads
        out[:, self.n_parameters : -1] = by_eta / np.sqrt(2.0 * total[0])[:, None]
        return out

    def _heights(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Constant less log heights of each group, (N, g); slope by log s of each row; members.

        The height of a number is 1 / s; that of a rounded one ``2 F(h / s) - 1``, which is 1 / s
        where the interval is narrow, and 1 where it is wide.
        """
        felt = self.spreads.any(axis=0)
        groups = ((self.spreads[:, felt] != 0) & (self.side == 0)[:, None]).T.astype(np.float64)
        log_scale = np.log(self._scale(theta))
        lost, slope = log_scale.copy(), np.ones_like(log_scale)
        for i in np.flatnonzero(self.half > 0):
            half = self.half[i] / self.sds[i]
            now, by_half = log_height(half * np.exp(-log_scale[:, i]), self.noise.tails)
            first, _ = log_height(np.array([half]), self.noise.tails)
            lost[:, i] = first - now
            slope[:, i] = by_half * half * np.exp(-log_scale[:, i])
        reach = SPREAD_LIMIT * np.abs(self.spreads[:, felt]).max(axis=0)
        constant = groups.sum(axis=1) * (0.5 + reach)
        return constant + lost @ groups.T, slope[0], groups

    def _season_factor(self, u: FloatArray) -> FloatArray:
        amplitude = self.noise.season_mean + self.noise.season_sd * u
        return np.maximum(1.0 + amplitude[:, None] * self.season, 0.05)

    def _nuisance_slopes(self, theta: FloatArray) -> FloatArray:
        factor = self._season_factor(theta[None, -1])[0]
        season = self.noise.season_sd * self.season / factor
        scale = self._scale(theta[None])[0]
        out = np.concatenate([self._loadings(scale), season[:, None]], axis=1)
        if self.spreads.any():
            nuisance = np.where(self._are_errors, theta[self.n_parameters : -1], 0.0)
            shared = scale * (self.loadings @ nuisance)
            out[:, :-1] += shared[:, None] * self.spreads
        return out


def make_likelihood(
    model: Model, priors: Priors, observations: Observations, noise: Noise
) -> Likelihood:
    """Put the pieces together.

    Raises
    ------
    CalibrationError
        There is nothing to fit.
    TableError
        A row speaks of a time that the model does not run through.

    Examples
    --------
    >>> from beltcast import make_likelihood, read_study
    >>> study = read_study()
    >>> likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    >>> likelihood.n_parameters == len(study.priors)
    True
    """
    rows = observations.rows
    if not rows:
        raise CalibrationError("there is no observation to fit; give at least one row")
    if not len(priors):
        raise CalibrationError("there is no parameter to estimate; give at least one prior")
    times = model.grid().times()
    shared = nuisances_of(model, observations, noise)
    settable = priors.settable
    rows_of, place = model.targets([priors.labels[i] for i in settable])
    # A rounded number stands for an interval of logs: its middle and half its width.
    ends = np.log([row.within or (row.value, row.value) for row in rows])
    rounded = np.array([row.within is not None for row in rows])
    sides = np.array([{"lower": -1, "upper": 1}.get(row.kind, 0) for row in rows])
    return Likelihood(
        model=model,
        priors=priors,
        observations=observations,
        noise=noise,
        asked=questions(model, observations, times),
        log_values=np.where(rounded, ends.mean(axis=1), np.log([row.value for row in rows])),
        sds=shared.sds,
        half=np.where(rounded, 0.5 * (ends[:, 1] - ends[:, 0]), 0.0),
        side=np.where(rounded, 0, sides),
        loadings=shared.loadings,
        spreads=shared.spreads,
        nuisances=shared.names,
        season=shared.season,
        rows_of=rows_of,
        columns=settable[place],
    )
