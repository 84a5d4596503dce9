"""How probable the published numbers are, given parameters.

The unknowns are one vector ``theta``: first the parameters of the model on their working scales
(`beltcast.priors`), then the nuisances of `beltcast.noise` (offsets, trends, year shocks, the
season), each a standard normal.  For row i, with the model's answer ``m_i`` (a log),

    mu_i = m_i + offset + trend (t_i - t_ref) + shock(year) + season        [log]
    z_i  = (log y_i - mu_i) / sd_i

and a number contributes ``z^2 / 2``, a lower bound ``-log Phi(-z)``, an upper bound
``-log Phi(z)`` (Tobin 1958).  Every term is written as a *residual* ``r`` with ``r^2 / 2`` equal to
the negative log likelihood, ``r = sqrt(-2 log Phi)`` for a bound, so that least squares, the
scalar density and the Laplace covariance all come from this one definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.errors import CalibrationError
from beltcast.model import Model
from beltcast.noise import Noise
from beltcast.observations import Observation, Observations
from beltcast.observe import Questions, questions
from beltcast.priors import Priors
from beltcast.quantities import is_flow

SHOCK = "shock of "
"""Nuisances that are year shocks are called this and the year."""

BLAME = 1e3
"""Residual of a row whose answer is not a number: a wall that a fit turns away from."""


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Published numbers, the model's answers to them and everything in between.

    Attributes
    ----------
    model, priors, observations, noise
    asked : Questions
    log_values, sds : (m,)
    side : (m,) int
        0 a number, -1 a lower bound, +1 an upper bound.
    loadings : (m, u)
        What a unit of each nuisance adds to the log of each row; the season apart.
    nuisances : tuple of str
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
    side: IntArray
    loadings: FloatArray
    nuisances: tuple[str, ...]
    season: FloatArray
    rows_of: IntArray
    columns: IntArray

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
        return np.concatenate([self.priors.lower, -free]), np.concatenate([self.priors.upper, free])

    def residuals(self, theta: FloatArray, answers: FloatArray | None = None) -> FloatArray:
        """Residuals of the rows, then of the priors; half their sum of squares is the cost.

        Parameters
        ----------
        theta : (size,) or (N, size)
        answers : (N, m), optional
            As `answers` returns them, where they are known already.

        Returns
        -------
        (m + size,) or (N, m + size)
        """
        many = np.atleast_2d(theta)
        if answers is None:
            answers = self.answers(many)
        z = (self.log_values - answers - self._shift(many)) / self.sds
        good = np.isfinite(z)
        of_rows = np.where(good, _residual(np.where(good, z, 0.0), self.side), BLAME)
        out = np.concatenate([of_rows, self._of_priors(many)], axis=1)
        return out if np.ndim(theta) == 2 else out[0]

    def log_density(self, theta: FloatArray, answers: FloatArray | None = None) -> FloatArray:
        """Unnormalised log posterior density of each row of theta, (N, size) -> (N,)."""
        theta = np.atleast_2d(theta)
        lower, upper = self.bounds()
        inside = ((theta >= lower) & (theta <= upper)).all(axis=1)
        squares = (self.residuals(theta, answers) ** 2).sum(axis=1)
        return np.where(inside, -0.5 * squares, -np.inf)

    def nuisances_given(
        self, answers: FloatArray, near: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Nuisances given the model's answers: linear, normal and the same for all but the mean.

        Exact but for the season, which is taken as linear, and for bounds, which are replaced by
        their tangents at `near` (left out without it).

        Parameters
        ----------
        answers : (N, m)
        near : (size,), optional
            Where bounds are linearised, such as the optimum.

        Returns
        -------
        mean : (N, u)
        precision : (u, u)
        """
        weight, middle = (self.side == 0).astype(float), np.zeros(len(self.sds))
        if near is not None:
            z = ((self.log_values - self.expected(near[None])) / self.sds)[0]
            slope, value = _residual_slope(z, self.side), _residual(z, self.side)
            # r(z) ~ value + slope (z' - z) is a normal row with its zero at z - value / slope.
            felt = (self.side != 0) & (np.abs(slope) > 1e-6)
            weight[felt], middle[felt] = np.abs(slope[felt]), (z - value / slope)[felt]
        season = self.noise.season_sd * self.season
        loadings = np.concatenate([self.loadings, season[:, None]], axis=1)
        loadings = loadings * (weight / self.sds)[:, None]
        nothing = np.zeros((1, self.size))
        gaps = (self.log_values - answers - self._shift(nothing)) / self.sds - middle
        # A row without an answer says nothing about nuisances; it is blamed in the residuals.
        gaps = np.where(np.isfinite(gaps), gaps, 0.0) * weight
        precision = loadings.T @ loadings + np.eye(len(self.nuisances))
        mean = np.linalg.solve(precision, loadings.T @ gaps.T).T
        return mean, precision

    def jacobian(self, theta: FloatArray) -> FloatArray:
        """Exact derivative of the residuals, from the compiled model's forward tangents.

        Parameters
        ----------
        theta : (size,)

        Returns
        -------
        (m + size, size)
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
        slopes = self.priors.slope(theta[:n])
        by_parameter = np.zeros((len(answers), n))
        np.add.at(by_parameter.T, self.columns, by_row.T)
        by_theta = np.concatenate([by_parameter * slopes, self._nuisance_slopes(theta)], axis=1)
        z = (self.log_values - answers - self._shift(theta[None])[0]) / self.sds
        good = np.isfinite(z) & np.isfinite(by_theta).all(axis=1)
        slope = np.where(good, _residual_slope(np.where(good, z, 0.0), self.side) / self.sds, 0.0)
        by_theta[~good] = 0.0
        priors = np.diag(np.concatenate([1.0 / self.priors.sigma, np.ones(len(self.nuisances))]))
        return np.concatenate([-slope[:, None] * by_theta, priors])

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

    def values(self, z: FloatArray) -> FloatArray:
        """Values of the program's rows for each member; (N, n) -> (p, N)."""
        return self.priors.natural(z).T[self.columns]

    def _of_priors(self, theta: FloatArray) -> FloatArray:
        n = self.n_parameters
        own = (theta[:, :n] - self.priors.mu) / self.priors.sigma
        return np.concatenate([own, theta[:, n:]], axis=1)

    def _shift(self, theta: FloatArray) -> FloatArray:
        """What definitions, shocks and the season add to the log of each row; (N, m)."""
        nuisance = theta[:, self.n_parameters :]
        return nuisance[:, :-1] @ self.loadings.T + np.log(self._season_factor(nuisance[:, -1]))

    def _season_factor(self, u: FloatArray) -> FloatArray:
        amplitude = self.noise.season_mean + self.noise.season_sd * u
        return np.maximum(1.0 + amplitude[:, None] * self.season, 0.05)

    def _nuisance_slopes(self, theta: FloatArray) -> FloatArray:
        factor = self._season_factor(theta[None, -1])[0]
        season = self.noise.season_sd * self.season / factor
        return np.concatenate([self.loadings, season[:, None]], axis=1)


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
    sds, common = _errors(rows, noise)
    loadings, nuisances = _nuisances(model, rows, noise, common)
    rows_of, columns = model.targets(priors.labels)
    return Likelihood(
        model=model,
        priors=priors,
        observations=observations,
        noise=noise,
        asked=questions(model, observations, times),
        log_values=np.log([row.value for row in rows]),
        sds=sds,
        side=np.array([{"lower": -1, "upper": 1}.get(row.kind, 0) for row in rows]),
        loadings=loadings,
        nuisances=(*nuisances, "season"),
        season=np.array([_season(model, row) for row in rows]),
        rows_of=rows_of,
        columns=columns,
    )


def _errors(
    rows: tuple[Observation, ...], noise: Noise
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Spread of each row's own error, (m,), and loadings of the errors that rows share.

    A statistic prints one year of one place several times over: trade and exports, a half and ten
    months, a level and its growth.  What is wrong with the one is wrong with the others, so rows
    of one place, definition, vintage and year share a part of their variance; the other year of a
    growth rate has an error of its own.
    """
    groups: dict[tuple[str, str, str, int], list[int]] = {}
    for i, row in enumerate(rows):
        year = int(np.floor(row.start + 1e-6))
        groups.setdefault((row.place, row.definition, row.vintage, year), []).append(i)
    own = np.array([noise.row_sd(row) for row in rows])
    common: dict[str, FloatArray] = {}
    for (place, definition, vintage, year), members in groups.items():
        if len(members) == 1 or noise.shared == 0.0:
            continue
        loading = np.zeros(len(rows))
        for i in members:
            one_year = own[i] / np.sqrt(2.0) if rows[i].kind == "growth" else own[i]
            loading[i] = np.sqrt(noise.shared) * one_year
        own = np.sqrt(own**2 - loading**2)
        common[f"error of {place}, {definition}, {vintage}, {year}"] = loading
    return own, common


def _nuisances(
    model: Model,
    rows: tuple[Observation, ...],
    noise: Noise,
    common: Mapping[str, FloatArray],
) -> tuple[FloatArray, list[str]]:
    """Loadings (m, u) and names of offsets, trends, year shocks and shared errors."""
    columns: dict[str, FloatArray] = dict(common)

    def column(name: str) -> FloatArray:
        return columns.setdefault(name, np.zeros(len(rows)))

    # An offset is the size of a definition at one date, the same for all places: were it the middle
    # of each place's own rows, an old figure would widen what is believed of today's size.
    reference = noise.reference if noise.reference is not None else max(row.end for row in rows)
    first_quantity: dict[str, str] = {}
    for i, row in enumerate(rows):
        definition = noise.definitions[row.definition]
        key = f"{row.place}, {row.definition}"
        if definition.offset_sd > 0 and row.kind != "growth":
            column(f"offset of {key}")[i] = definition.offset_sd
            if first_quantity.setdefault(key, row.quantity) != row.quantity:
                # Trade and exports of one statistic: nearly the same offset, not quite.
                column(f"{row.quantity} within {key}")[i] = noise.quantity_sd
        if definition.trend_sd > 0:
            lag = 1.0 if row.kind == "growth" else _middle(row) - reference
            if lag != 0.0:
                column(f"trend of {key}")[i] = definition.trend_sd * lag
        if not is_flow(model.find(row.quantity).unit) or row.kind == "share":
            continue  # a shock is common to all places, so a share does not feel it
        for year, sign in _years(row):
            if noise.shock_sd(year) > 0:
                column(f"{SHOCK}{year}")[i] += sign * noise.shock_sd(year)
    names = sorted(columns)
    return np.array([columns[n] for n in names]).reshape(len(names), len(rows)).T, names


def _middle(row: Observation) -> float:
    return 0.5 * (row.start + row.end)


def _years(row: Observation) -> list[tuple[int, float]]:
    """Calendar years whose shocks a row feels, with sign and weight."""
    first, last = int(np.floor(row.start + 1e-6)), int(np.ceil(row.end - 1e-6))
    years = list(range(first, max(last, first + 1)))
    felt = [(year, 1.0 / len(years)) for year in years]
    if row.kind == "growth":
        felt += [(year - 1, -weight) for year, weight in felt]
    return felt


def _season(model: Model, row: Observation) -> float:
    """``u0 + u1 - 1`` of a part of one calendar year; growth and shares compare like with like."""
    if row.kind in ("growth", "share") or not is_flow(model.find(row.quantity).unit):
        return 0.0
    year = np.floor(row.start + 1e-6)
    u0, u1 = row.start - year, row.end - year
    if u1 > 1.0 + 1e-6 or (abs(u0) < 1e-6 and abs(u1 - 1.0) < 1e-6):
        return 0.0
    return float(u0 + u1 - 1.0)


def _residual(z: FloatArray, side: IntArray) -> FloatArray:
    """Residual r with r^2 / 2 the negative log likelihood of the standardised row.

    ``z = (log y - mu) / sd``: a lower bound y is kept where the truth lies above, with
    probability Phi(-z).
    """
    tail = np.sqrt(-2.0 * log_ndtr(np.where(side < 0, -z, z)))
    return np.where(side == 0, z, tail)


def _residual_slope(z: FloatArray, side: IntArray) -> FloatArray:
    """Derivative of `_residual` by z."""
    sign = np.where(side < 0, -1.0, 1.0)
    x = sign * z
    log_tail = log_ndtr(x)
    # r = sqrt(-2 log Phi(x)); dr/dx = -(phi / Phi) / r, which goes to 0 far inside the bound.
    mills = np.exp(-0.5 * x**2 - 0.5 * np.log(2.0 * np.pi) - log_tail)
    r = np.sqrt(-2.0 * log_tail)
    slope = np.where(r > 1e-150, -mills / np.maximum(r, 1e-150), 0.0)
    return np.where(side == 0, 1.0, sign * slope)
