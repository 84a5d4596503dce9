"""The likelihood of the published numbers, given parameters.

The unknowns are one vector ``theta``: first the parameters of the model on their working scales
(`priors`), then the nuisances of `nuisances` (offsets, trends, year shocks,
shared errors, sd factors, the season), each a standard normal.  For row i, with the model's answer
``m_i`` (a log),

    mu_i = m_i + offset + trend (t_i - t_ref) + shock(year) + season        [log]
    z_i  = (log y_i - mu_i) / (sd_i s_i),     log s_i = sd(factor) eta(group of i)

A row whose definition has an error model (`beltcast.study.error_models`) may instead compare y and
m themselves, ``z_i = (y_i - m_i) / (sd_i s_i)``, or be a count with mean m_i.

Every term is written as a *residual* ``r`` with ``r^2 / 2`` its negative log likelihood over the
height of its peak (`residuals`, `families`): z itself for a number, ``sqrt(-2 log Phi)`` for a
bound (Tobin 1958), the signed root of the deviance for a count.  So least squares, the scalar
density and the Laplace covariance all follow from this one definition.  If scales are estimated,
the heights vary; each group of rows that share a scale adds one residual after the
priors (`scales`).  Contrasts, differences between two runs, come last (`contrast_rows`); they
depend on the parameters only.  The density is exact, but Gauss-Newton's curvature of a log scale is
too small by up to a half, so Laplace's standard deviation of it is somewhat too large; sampling
corrects it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.inference.contrast_rows import ContrastRows
from beltcast.inference.discrepancy import DISCREPANCY
from beltcast.inference.families import NUMBER, RowFamilies
from beltcast.inference.nuisance_rule import NuisanceRule
from beltcast.inference.nuisances import ERROR, SHOCK
from beltcast.inference.predicted_observations import Questions
from beltcast.inference.scales import Heights, make_heights
from beltcast.model.model import Model
from beltcast.study.noise import Noise
from beltcast.study.observations import Observations
from beltcast.study.priors import Priors

SCALE_LIMIT = 4.0
"""Default bound of the nuisances that are sd factors, in prior standard deviations."""

LOWEST = 8.0
"""A parameter that scales an sd is bounded this many prior sds below its mu."""

UNSEEN = float(np.exp(20.0))
"""Log sd factor of a row that a fit must ignore; its information is 4e-18 of an ordinary one's."""

BLAME = 1e3
"""Residual of a row whose answer is NaN or infinite: a wall that a fit turns away from."""

FARTHEST = 1e30
"""Largest residual, so that squares of its slopes stay finite and a start this far just loses."""


@dataclass(frozen=True, eq=False, repr=False)
class Likelihood:
    """Published numbers, the model's answers to them and everything in between.

    Attributes
    ----------
    model, priors, observations, noise
    asked : Questions
    published, sds : (m,)
        Published value, as it is compared: a log if ``families.log``, else the number itself;
        the middle of the interval if a number is rounded.  The sd of a count is 1.
    half : (m,)
        Half the width of that interval, 0 for other rows.
    side : (m,) int
        0 a number, -1 a lower bound, +1 an upper bound.
    loadings, scale_loadings : (m, u - 1)
        What a unit of each nuisance adds to each row as it is compared, and to the log of its
        standard deviation; the season apart.
    nuisances : (u,) str
        Their names, the season last if there is one.
    season : (m,)
        ``u0 + u1 - 1`` for a part of a year, 0 otherwise.
    rows_of, columns : (p,), (p,)
        Row of the program and parameter for each element that the parameters set.
    families : RowFamilies
        Distribution of each row.
    scale_by : (m,) int
        Parameter that the scale of a row is multiplied by, -1 for none.
    scale_at : (m,)
        Value of that parameter at which ``sds`` holds; 1 for none.
    scale_power : (m,)
        Power of that parameter, 1 or -1.
    prior_weights : (size,), optional
        Factor of the residual of the prior of each unknown; 1 by default.
    contrasts : ContrastRows, optional
        Published differences between two runs of the model.
    scale_limit : float
        Bound of the nuisances that are sd factors, in prior standard deviations.
    """

    model: Model
    priors: Priors
    observations: Observations
    noise: Noise
    asked: Questions
    published: FloatArray
    sds: FloatArray
    half: FloatArray
    side: IntArray
    loadings: FloatArray
    scale_loadings: FloatArray
    nuisances: tuple[str, ...]
    season: FloatArray
    rows_of: IntArray
    columns: IntArray
    families: RowFamilies
    scale_by: IntArray
    scale_at: FloatArray
    scale_power: FloatArray
    prior_weights: FloatArray | None = None
    contrasts: ContrastRows | None = None
    scale_limit: float = SCALE_LIMIT

    def __repr__(self) -> str:
        return (
            f"Likelihood of {len(self.published)} observations: model '{self.model.name}', "
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
        free = np.full(len(self.nuisances), np.inf)
        free[: self.scale_loadings.shape[1]][self.scale_loadings.any(axis=0)] = self.scale_limit
        return np.concatenate([self.priors.lower, -free]), np.concatenate([self.priors.upper, free])

    def residuals(self, theta: FloatArray, answers: FloatArray | None = None) -> FloatArray:
        """Residuals of rows, priors, heights and contrasts; half their sum of squares is the cost.

        Parameters
        ----------
        theta : (size,) or (N, size)
        answers : (N, m), optional
            As `answers` returns them, if they are known already.

        Returns
        -------
        (m + size + g + r,) or (N, m + size + g + r)
            With g groups of rows whose sd is estimated, and r contrasts.
        """
        many = np.atleast_2d(theta)
        if answers is None:
            answers = self.answers(many)
        z, half = self._standardised(many, answers)
        good = np.isfinite(z)
        found = self.families.residual(np.where(good, z, 0.0), self.side, half)
        of_rows = np.where(good, found, BLAME)
        parts = [of_rows, self._of_priors(many)]
        if self.is_scaled:
            parts.append(self._heights.residuals(self.log_scale(many)))
        if self.contrasts is not None:
            parts.append(self.contrasts.residuals(many[:, : self.n_parameters]))
        out: FloatArray = np.clip(np.concatenate(parts, axis=1), -FARTHEST, FARTHEST)
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

        A number has the density of what is compared (its log where ``families.log``), a rounded
        one the probability of its interval, a bound the probability that it holds, a count its
        probability.
        """
        theta = np.atleast_2d(theta)
        rows = self.residuals(theta, answers)[:, : len(self.sds)]
        rounded = self.half > 0
        sds, half = self._widths(theta)
        at_best = self.families.log_best(np.broadcast_to(half, rows.shape), rounded)[0]
        at_best = at_best - np.where(self.families.number & ~rounded, np.log(sds), 0.0)
        at_best = np.where(self.side == 0, at_best, 0.0)
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
        """Published minus expected value, in standard deviations; (N, m)."""
        return self._standardised(theta, answers)[0]

    def nuisance_rule(self, near: FloatArray | None = None) -> NuisanceRule:
        """Rule from answers to nuisances: linear, normal and the same for all except the mean.

        Exact except for the season, which is taken as linear; for bounds and rounded numbers, which
        are replaced by their tangents at `near` (left out without it); for Student's t, by its
        weights there; and for sd factors, which are held there and have a normal of their own.

        Parameters
        ----------
        near : (size,), optional
            Point of linearisation, such as the optimum; the model is run there.
        """
        nothing = np.zeros((1, self.size))
        at = nothing if near is None else near[None]
        sds = self.row_sds(at)[0]
        weight, middle = (self.side == 0).astype(float), np.zeros(len(sds))
        # The variance of a count is about the count.
        weight /= np.sqrt(1.0 + np.where(self.families.number, 0.0, self.families.counts))
        if near is not None:
            z, half = self._standardised(at, self.answers(at))
            weight, middle = self.families.as_normal(z[0], self.side, half[0])
        season = self.noise.season_sd * self.season
        loadings = self._seasonal(self._loadings(sds / self.sds), season)
        loadings = loadings * (weight / sds)[:, None]
        precision = loadings.T @ loadings + np.eye(len(self.nuisances))
        held = np.zeros(len(self.nuisances))
        if near is not None and self.scale_loadings.any():
            felt = np.zeros(len(self.nuisances), dtype=bool)
            felt[: self.scale_loadings.shape[1]] = self.scale_loadings.any(axis=0)
            curvature = (self.jacobian(near)[:, self.n_parameters :][:, felt] ** 2).sum(axis=0)
            held[felt] = near[self.n_parameters :][felt]
            precision[felt, felt] = curvature
        return NuisanceRule(
            loadings=loadings,
            weight=weight / sds,
            free=self.published - self._shift(nothing)[0] - middle * sds,
            precision=precision,
            held=held,
        )

    def rule_of_numbers(self, numbers: NDArray[np.bool_], season: float) -> NuisanceRule:
        """`nuisance_rule` of some rows treated as numbers, whatever they are, and no others.

        For normal errors of known sd. Exact except for the season, taken as linear about a value.

        Parameters
        ----------
        numbers : (m,) bool
        season : float
            The nuisance of that name.
        """
        factor = self._season_factor(np.array([season]))[0]
        slope = self.noise.season_sd * self.season / factor
        weight = np.where(numbers, 1.0 / self.sds, 0.0)
        loadings = self._seasonal(self.loadings, slope) * weight[:, None]
        return NuisanceRule(
            loadings=loadings,
            weight=weight,
            free=self.published - np.log(factor) + slope * season,
            precision=loadings.T @ loadings + np.eye(len(self.nuisances)),
            held=np.zeros(len(self.nuisances)),
        )

    def jacobian(self, theta: FloatArray) -> FloatArray:
        """Exact derivative of the residuals, from the compiled model's forward tangents.

        Parameters
        ----------
        theta : (size,) or (N, size)

        Returns
        -------
        (m + size + g + r, size) or (N, m + size + g + r, size)
        """
        many = np.atleast_2d(theta)
        run = self.model.batch(
            self.rows_of,
            self.values(many[:, : self.n_parameters]),
            outputs=self.asked.outputs,
            totals=self.asked.totals,
            saves=self.asked.saves,
            directions=np.arange(len(self.rows_of)),
        )
        found = [self._slopes(one, run[:, :, k]) for k, one in enumerate(many)]
        return np.array(found) if np.ndim(theta) == 2 else found[0]

    def _slopes(self, theta: FloatArray, run: FloatArray) -> FloatArray:
        """Derivative of the residuals at one point, of its run with derivatives."""
        n = self.n_parameters
        answers, by_row = self.asked.derivative(run)
        # A parameter may set several rows (one constant for all belts): add their derivatives.
        by_parameter = np.zeros((len(answers), n))
        np.add.at(by_parameter.T, self.columns, by_row.T)
        by_parameter = self.priors.pull_back(by_parameter, theta[:n])
        by_theta = np.concatenate([by_parameter, self._nuisance_slopes(theta)], axis=1)
        z, half = self._standardised(theta[None], answers)
        z, half = z[0], half[0]
        good = (np.abs(z) < FARTHEST) & np.isfinite(by_theta).all(axis=1)
        safe = np.where(good, z, 0.0)
        by_z, by_half = (
            part[0] for part in self.families.slopes(safe[None], self.side, half[None])
        )
        slope = np.where(good, by_z / self.row_sds(theta[None])[0], 0.0)
        by_theta[~good] = 0.0
        of_rows = -slope[:, None] * by_theta
        by_prior = np.concatenate([1.0 / self.priors.sigma, np.ones(len(self.nuisances))])
        if self.prior_weights is not None:
            by_prior = by_prior * self.prior_weights
        of_contrasts = np.zeros((0, self.size))
        if self.contrasts is not None:
            of_contrasts = np.zeros((len(self.contrasts), self.size))
            of_contrasts[:, :n] = self.contrasts.jacobian(theta[:n])
        priors = np.diag(by_prior)
        if not self.is_scaled:
            return np.concatenate([of_rows, priors, of_contrasts])
        # A larger sd makes z and the half-width (of a count, phi) smaller in proportion.
        shrink = np.where(good, self.families.number * by_z * safe + by_half * half, 0.0)
        by_scale = self._log_scale_slopes(theta)
        of_rows -= shrink[:, None] * by_scale
        of_heights = self._heights.slopes(self.log_scale(theta[None])[0]) @ by_scale
        return np.concatenate([of_rows, priors, of_heights, of_contrasts])

    def answers(self, theta: FloatArray) -> FloatArray:
        """The model's side of each row, as it is compared; (N, size) -> (N, m)."""
        run = self.model.batch(
            self.rows_of,
            self.values(theta[:, : self.n_parameters]),
            outputs=self.asked.outputs,
            totals=self.asked.totals,
            saves=self.asked.saves,
        )
        return self.asked.answer(run).T

    def expected(self, theta: FloatArray, *, shocks: bool = True) -> FloatArray:
        """Published value expected, as it is compared, without the row's own noise; -> (N, m).

        With ``shocks=False``, without shocks of years and discrepancy.
        """
        if not shocks:
            theta = theta.copy()
            felt = [name.startswith((SHOCK, DISCREPANCY)) for name in self.nuisances]
            theta[:, self.n_parameters :][:, felt] = 0.0
        return self.answers(theta) + self._shift(theta)

    def natural(self, compared: FloatArray) -> FloatArray:
        """Convert compared values to numbers as published; (..., m) -> (..., m)."""
        log = self.families.log
        return np.where(log, np.exp(np.where(log, compared, 0.0)), compared)

    def row_sds(self, theta: FloatArray) -> FloatArray:
        """Sd of each row's own error, as estimated; 1 for a count; (N, size) -> (N, m)."""
        return np.broadcast_to(self._widths(theta)[0], (len(theta), len(self.sds)))

    def values(self, z: FloatArray) -> FloatArray:
        """Values of the program's rows for each member; (N, n) -> (p, N)."""
        return self.priors.natural(z).T[self.columns]

    def without(self, mask: ArrayLike) -> Likelihood:
        """Exclude the rows where a mask is true.

        They stay in place and lose their weight, so that the compiled model can be reused: a factor
        of e^20 makes a number uninformative, and a bound as true as false.  They do not inform
        estimated sd factors either.
        """
        out = np.asarray(mask, dtype=bool)
        scale_loadings = np.where(out[:, None], 0.0, self.scale_loadings)
        families = replace(self.families, codes=np.where(out, NUMBER, self.families.codes))
        # As where a factor is set up: bounds alone do not inform it.
        measured = (scale_loadings[self.side == 0] != 0.0).any(axis=0)
        return replace(
            self,
            sds=np.where(out, UNSEEN, self.sds),
            half=np.where(out, 0.0, self.half),
            scale_loadings=np.where(measured, scale_loadings, 0.0),
            families=families,
            scale_by=np.where(out, -1, self.scale_by),
            scale_at=np.where(out, 1.0, self.scale_at),
        )

    def without_contrasts(self) -> Likelihood:
        """Exclude the contrasts: the data alone."""
        return replace(self, contrasts=None)

    def _standardised(
        self, theta: FloatArray, answers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Published minus expected, and half-widths, in standard deviations; (N, m) each."""
        sds, half = self._widths(theta)
        gaps = self.published - answers - self._shift(theta)
        return gaps / sds, np.broadcast_to(half, gaps.shape)

    def _widths(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sd of each row and its half-width, phi or trials; (N, m) or (1, m) each."""
        scale, families = self._scale(theta), self.families
        if families.number.all():
            sds = self.sds * scale
            return sds, self.half / sds
        sds = np.where(families.number, self.sds * scale, 1.0)
        of_counts = families.size / np.where(families.dispersed, scale, 1.0)
        return sds, np.where(families.number, self.half / sds, of_counts)

    @cached_property
    def moved(self) -> IntArray:
        """Positions in theta of the unknowns that chains move: parameters, then scales."""
        n = self.n_parameters
        return np.concatenate([np.arange(n), n + np.flatnonzero(self.scale_loadings.any(axis=0))])

    def sizes(self, theta: FloatArray) -> FloatArray:
        """Return phi of negative binomial rows, trials of binomial ones; (N, size) -> (N, m)."""
        return np.broadcast_to(self._widths(theta)[1], (len(theta), len(self.sds)))

    @cached_property
    def is_scaled(self) -> bool:
        """Whether the scale of any row is estimated."""
        return bool(self.scale_loadings.any() or (self.scale_by >= 0).any())

    def log_scale(self, theta: FloatArray) -> FloatArray:
        """Log of the factor s of the standard deviation of each row; (N, size) -> (N, m)."""
        log_scale: FloatArray = self._linear(theta) @ self.scale_loadings.T
        by = self.scale_by >= 0
        if by.any():
            values = self.priors.natural(theta[:, : self.n_parameters])[:, self.scale_by[by]]
            with np.errstate(invalid="ignore", divide="ignore"):
                log_scale[:, by] += self.scale_power[by] * np.log(values / self.scale_at[by])
        return log_scale

    def _scale(self, theta: FloatArray) -> FloatArray:
        """Factor s of the standard deviation of each row; (N, m)."""
        if not self.is_scaled:
            return np.ones((len(theta), 1))
        return np.exp(self.log_scale(theta))

    def _log_scale_slopes(self, theta: FloatArray) -> FloatArray:
        """Derivative of `log_scale`; (size,) -> (m, size)."""
        n, k = self.n_parameters, self.scale_loadings.shape[1]
        out = np.zeros((len(self.sds), self.size))
        out[:, n : n + k] = self.scale_loadings
        by = np.flatnonzero(self.scale_by >= 0)
        if len(by):
            which = self.scale_by[by]
            of_value = np.zeros((len(by), n))
            values = self.priors.natural(theta[:n])[which]
            of_value[np.arange(len(by)), which] = self.scale_power[by] / values
            out[by, :n] += self.priors.pull_back(of_value, theta[:n])
        return out

    def _linear(self, theta: FloatArray) -> FloatArray:
        """The nuisances except the season; (N, size) -> (N, k)."""
        return theta[:, self.n_parameters : self.n_parameters + self.scale_loadings.shape[1]]

    def _season_of(self, theta: FloatArray) -> FloatArray:
        """The nuisance of the season, 0 if there is none; (N, size) -> (N,)."""
        seasonal = len(self.nuisances) > self.scale_loadings.shape[1]
        return theta[:, -1] if seasonal else np.zeros(len(theta))

    def _seasonal(self, loadings: FloatArray, season: FloatArray) -> FloatArray:
        """Append the column of the season if there is one; (m, k), (m,) -> (m, u)."""
        if len(self.nuisances) == loadings.shape[1]:
            return loadings
        return np.concatenate([loadings, season[:, None]], axis=1)

    def _of_priors(self, theta: FloatArray) -> FloatArray:
        n = self.n_parameters
        own = (theta[:, :n] - self.priors.mu) / self.priors.sigma
        both = np.concatenate([own, theta[:, n:]], axis=1)
        return both if self.prior_weights is None else both * self.prior_weights

    def _shift(self, theta: FloatArray) -> FloatArray:
        """Contribution of definitions, shocks and the season to the log of each row; (N, m)."""
        nuisance = self._linear(theta)
        season = np.log(self._season_factor(self._season_of(theta)))
        if not self.scale_loadings.any():
            return nuisance @ self.loadings.T + season
        # Shares of the rows' own errors scale with their sd.
        errors = np.where(self._are_errors, nuisance, 0.0) @ self.loadings.T
        others = np.where(self._are_errors, 0.0, nuisance) @ self.loadings.T
        return others + self._scale(theta) * errors + season

    @property
    def _are_errors(self) -> np.ndarray:
        linear = self.nuisances[: self.scale_loadings.shape[1]]
        return np.array([name.startswith(ERROR) for name in linear], dtype=bool)

    def _loadings(self, scale: FloatArray) -> FloatArray:
        """Loadings if the sd of each row is so many times its own; (m,) -> (m, u - 1)."""
        if not self.scale_loadings.any():
            return self.loadings
        return self.loadings * np.where(self._are_errors, scale[:, None], 1.0)

    @cached_property
    def _heights(self) -> Heights:
        """Heights of the rows whose sd is estimated."""
        reach = self.scale_limit * np.abs(self.scale_loadings).sum(axis=1)
        by = self.scale_by >= 0
        # Scales alone move: far out, the sd between subjects would carry these beyond all numbers.
        moved = np.zeros_like(self.priors.sigma)
        moved[self.scale_by[by]] = LOWEST * self.priors.sigma[self.scale_by[by]]
        ends = [
            self.priors.natural(np.clip(end, self.priors.lower, self.priors.upper))
            for end in (self.priors.mu - moved, self.priors.mu + moved)
        ]
        for i in np.flatnonzero(by):
            each = np.maximum([end[self.scale_by[i]] for end in ends], np.finfo(float).tiny)
            reach[i] += max(0.0, *(-self.scale_power[i] * np.log(each / self.scale_at[i])))
        felt = (self.scale_loadings != 0.0).any(axis=1) | by
        with_none = np.append(self.scale_loadings != 0.0, ~felt[:, None] | by[:, None], axis=1)
        group = with_none.argmax(axis=1) * (self.n_parameters + 1) + self.scale_by + 1
        return make_heights(
            self.families,
            half=self.half / self.sds,
            group=np.where(felt & (self.side == 0), group, -1),
            reach=reach,
        )

    def _season_factor(self, u: FloatArray) -> FloatArray:
        amplitude = self.noise.season_mean + self.noise.season_sd * u
        return np.maximum(1.0 + amplitude[:, None] * self.season, 0.05)

    def _nuisance_slopes(self, theta: FloatArray) -> FloatArray:
        factor = self._season_factor(self._season_of(theta[None]))[0]
        season = self.noise.season_sd * self.season / factor
        scale = self._scale(theta[None])[0]
        out = self._seasonal(self._loadings(scale), season)
        if self.scale_loadings.any():
            nuisance = np.where(self._are_errors, self._linear(theta[None])[0], 0.0)
            shared = scale * (self.loadings @ nuisance)
            out[:, : self.scale_loadings.shape[1]] += shared[:, None] * self.scale_loadings
        return out
