"""Contrasts in the likelihood: published log differences between two runs of the model.

For a row with the published difference y and the parameters z, the model's answer is::

    c(z) = mean over periods of [log q(second run) - log q(first run)] / per,

both runs with the parameters z, the second with the constants that the row changes.  Rows with the
same change share one second run, and all runs of a set of parameters are members of one ensemble.

The errors of a group of rows are normal with sds ``k s_i`` and correlation rho.  The factor k of
publication bias is ``exp(bias_i |x|)``, x standard normal, so k is 1 or more.  It is integrated
out, by quadrature over ``|x|``: with ``d = y - c`` and the covariances C_j::

    p(d) = sum_j w_j N(d; 0, C_j).

So a contrast adds no unknown of its own, and the nuisances of the published numbers stay
independent of it.  As everywhere in `beltcast.inference.likelihood` a term is written as residuals
r with ``r' r / 2`` the negative log density over its peak::

    r = g W d,   g^2 = rho(d) / |W d|^2,   rho(d) = -2 log(p(d) / p(0)),

with ``W'W`` the curvature of the peak, so that g tends to 1 there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.inference.families import Mask
from beltcast.inference.predicted_observations import Questions, questions
from beltcast.model.model import Model
from beltcast.study.contrasts import Contrast, Contrasts
from beltcast.study.observations import Observation, Observations
from beltcast.study.priors import Priors

_FURTHEST = 6.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_NODES = 0.5 * _FURTHEST * (1.0 + _NODES)
_WEIGHTS = _FURTHEST * _WEIGHTS * np.exp(-0.5 * _NODES**2) / np.sqrt(2.0 * np.pi)
"""Nodes and weights (Gauss and Legendre) of the distribution of |x|, x standard normal."""

_WALL = 1e3
"""Residual of a row whose difference is NaN or infinite."""

_NEAR = 1e-8
"""Squared distance from the peak, in sds, below which g is 1."""


class _Group(NamedTuple):
    """Rows that share errors.

    ``precisions`` (J, n, n) and ``logs`` (J,), the log of w_j and of the determinant's root, are
    those of the mixture, ``peak`` is the log of its density at the published values without the
    power of 2 pi; ``root`` (n, n) is W.
    """

    rows: IntArray
    precisions: FloatArray
    logs: FloatArray
    peak: float
    root: FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class ContrastRows:
    """Contrasts, prepared for comparison with the model.

    Attributes
    ----------
    contrasts : Contrasts
    model : Model
    priors : Priors
    asked : Questions
        One log for each period of each row.
    means : (r, e)
        Matrix from the e log ratios to the answers of the r rows.
    run_of : (e,) int
        The second run of each period, from 1.
    parameters : (q,) int
        Rows of the program that the parameters set, then those that only a second run changes.
    columns : (p,) int
        Parameter of each of the first p of these.
    constants : (q - p,)
        Default values of the others.
    changes : tuple of ((c,) int, (c,))
        Of each second run the positions in `parameters` that it changes, and their values.
    """

    contrasts: Contrasts
    model: Model
    priors: Priors
    asked: Questions
    means: FloatArray
    run_of: IntArray
    parameters: IntArray
    columns: IntArray
    constants: FloatArray
    changes: tuple[tuple[IntArray, FloatArray], ...]
    groups: tuple[_Group, ...]

    def __len__(self) -> int:
        return len(self.means)

    def __repr__(self) -> str:
        return (
            f"{len(self)} contrasts of model '{self.model.name}', {len(self.changes)} second runs"
        )

    @property
    def published(self) -> FloatArray:
        """Published log differences, (r,)."""
        return np.array([row.value for row in self.contrasts.rows])

    def answers(self, z: FloatArray) -> FloatArray:
        """Log differences of the model, each divided by its `per`; (N, n) -> (N, r)."""
        values = self._values(z)
        run = self.model.batch(
            self.parameters,
            values.reshape(len(values), -1),
            outputs=self.asked.outputs,
            totals=self.asked.totals,
            saves=self.asked.saves,
        )
        logs = self.asked.answer(run).reshape(len(self.run_of), 1 + len(self.changes), len(z))
        with np.errstate(invalid="ignore"):
            differences = logs[np.arange(len(logs)), self.run_of] - logs[:, 0]
        return self._averaged(differences).T

    def residuals(self, z: FloatArray) -> FloatArray:
        """Residuals of the rows; (N, n) -> (N, r)."""
        return self._residuals(self.published - self.answers(z))[0]

    def log_density(self, z: FloatArray) -> FloatArray:
        """Log of the probability density of the published differences; (N, n) -> (N,)."""
        peaks = [g.peak - 0.5 * len(g.rows) * np.log(2.0 * np.pi) for g in self.groups]
        density: FloatArray = sum(peaks) - 0.5 * (self.residuals(z) ** 2).sum(axis=1)
        return density

    def density_of(self, answers: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log density of answers up to a constant, (N,), and its derivative by them, (N, r)."""
        r, slopes = self._residuals(self.published - answers)
        return -0.5 * (r**2).sum(axis=1), np.einsum("Na,Nab->Nb", r, slopes)

    def jacobian(self, z: FloatArray) -> FloatArray:
        """Exact derivative of the residuals by the parameters; (n,) -> (r, n)."""
        answers, by_parameter = self._derivative(z)
        by_difference = self._residuals((self.published - answers)[None])[1][0]
        good: Mask = np.asarray(np.isfinite(by_parameter).all(axis=1))
        slopes: FloatArray = -by_difference @ np.where(good[:, None], by_parameter, 0.0)
        return slopes

    def _averaged(self, differences: FloatArray) -> FloatArray:
        """Means over the periods of each row; (e, k) -> (r, k)."""
        # A period that cannot be simulated does not affect rows without it.
        used = [(mean[mean != 0.0], differences[mean != 0.0]) for mean in self.means]
        return np.array([weights @ values for weights, values in used])

    def _values(self, z: FloatArray) -> FloatArray:
        """Values of `parameters` in all runs, (q, 1 + k, N)."""
        own = self.priors.natural(z).T[self.columns]
        rest = np.repeat(self.constants[:, None], len(z), axis=1)
        values = np.repeat(np.concatenate([own, rest])[:, None], 1 + len(self.changes), axis=1)
        for k, (positions, changed) in enumerate(self.changes):
            values[positions, k + 1] = changed[:, None]
        return values

    def _derivative(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Answers, (r,), and their derivative by the parameters, (r, n)."""
        p, n = len(self.columns), len(self.priors)
        run = self.model.batch(
            self.parameters,
            self._values(z[None])[:, :, 0],
            outputs=self.asked.outputs,
            totals=self.asked.totals,
            saves=self.asked.saves,
            directions=np.arange(p),
        )
        logs = np.empty((1 + len(self.changes), len(self.run_of)))
        by_row = np.empty((*logs.shape, p))
        for k in range(len(logs)):
            logs[k], by_row[k] = self.asked.derivative(run[:, :, k])
        for k, (positions, _) in enumerate(self.changes):
            # A constant that the run sets itself does not follow the parameter.
            by_row[k + 1][:, positions[positions < p]] = 0.0
        at = np.arange(len(self.run_of))
        with np.errstate(invalid="ignore"):
            answers = self._averaged((logs[self.run_of, at] - logs[0])[:, None])[:, 0]
            slopes = self._averaged(by_row[self.run_of, at] - by_row[0])
        by_parameter = np.zeros((len(answers), n))
        np.add.at(by_parameter.T, self.columns, slopes.T)
        return answers, self.priors.pull_back(by_parameter, z)

    def _residuals(self, differences: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Residuals, (N, r), and their derivative by published less answer, (N, r, r)."""
        out = np.full(differences.shape, _WALL)
        slopes = np.zeros((*differences.shape, differences.shape[1]))
        for group in self.groups:
            d = differences[:, group.rows]
            good: Mask = np.asarray(np.isfinite(d).all(axis=1))
            found, by_d = _of_group(np.where(good[:, None], d, 0.0), group)
            out[:, group.rows] = np.where(good[:, None], found, _WALL)
            rows = np.ix_(np.arange(len(d)), group.rows, group.rows)
            slopes[rows] = np.where(good[:, None, None], by_d, 0.0)
        return out, slopes


def _of_group(d: FloatArray, group: _Group) -> tuple[FloatArray, FloatArray]:
    """Residuals of one group, (N, n), and their derivative by d, (N, n, n)."""
    pulls = np.einsum("jab,Nb->Nja", group.precisions, d)
    logs = group.logs - 0.5 * np.einsum("Nja,Na->Nj", pulls, d)
    # Written out: the checks of `logsumexp` take longer than these sums of 32 numbers.
    top = logs.max(axis=1)
    shares = np.exp(logs - top[:, None])
    whole = shares.sum(axis=1)
    rise = np.maximum(2.0 * (group.peak - top - np.log(whole)), 0.0)
    by_rise = 2.0 * np.einsum("Nj,Nja->Na", shares / whole[:, None], pulls)
    white = d @ group.root.T
    square = (white**2).sum(axis=1)
    far = square > _NEAR
    safe = np.where(far, square, 1.0)
    g = np.where(far, np.sqrt(rise / safe), 1.0)
    # d(g) = (d(rise) - g^2 d(square)) / (2 g square)
    by_g = (by_rise - g[:, None] ** 2 * 2.0 * white @ group.root) / (2.0 * g * safe)[:, None]
    by_g[~far] = 0.0
    slopes = g[:, None, None] * group.root + white[:, :, None] * by_g[:, None, :]
    return g[:, None] * white, slopes


def make_contrast_rows(model: Model, priors: Priors, contrasts: Contrasts) -> ContrastRows:
    """Prepare the contrasts of a study: what to run, and how they are compared.

    Parameters
    ----------
    model : Model
    priors : Priors
    contrasts : Contrasts
        At least one row.

    Raises
    ------
    TableError
        With file and line: a period that the model does not cover.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.inference.contrast_rows import make_contrast_rows
    >>> from beltcast.study.contrasts import read_contrasts
    >>> study = read_study()
    >>> table = shipped("calibration/data/contrasts.csv")
    >>> contrasts = read_contrasts(table, study.model, study.places)
    >>> rows = make_contrast_rows(study.model, study.priors, contrasts)
    >>> rows.answers(study.priors.mu[None]).shape == (1, len(rows))
    True
    """
    rows = contrasts.rows
    settable = priors.settable
    own, place = model.targets([priors.labels[i] for i in settable])
    runs: dict[tuple[tuple[int, float], ...], int] = {}
    run_of = [_number_of(runs, _changed(model, row.change)) for row in rows]
    only = sorted({row for run in runs for row, _ in run} - set(own.tolist()))
    parameters = np.concatenate([own, np.array(only, dtype=np.int64)])
    position = {int(row): k for k, row in enumerate(parameters)}
    periods = [(i, one) for i, row in enumerate(rows) for one in _as_observations(row)]
    asked = Observations(tuple(one for _, one in periods), contrasts.path, contrasts.sha256)
    means = np.zeros((len(rows), len(periods)))
    for k, (i, _) in enumerate(periods):
        means[i, k] = 1.0 / (len(rows[i].periods) * rows[i].per)
    return ContrastRows(
        contrasts=contrasts,
        model=model,
        priors=priors,
        asked=questions(model, asked, model.grid().times()),
        means=means,
        run_of=np.array([run_of[i] for i, _ in periods], dtype=np.int64),
        parameters=parameters,
        columns=settable[place],
        constants=_own_values(model, only),
        changes=tuple(
            (np.array([position[r] for r, _ in run]), np.array([v for _, v in run])) for run in runs
        ),
        groups=tuple(_groups(contrasts)),
    )


def _number_of(
    runs: dict[tuple[tuple[int, float], ...], int], run: tuple[tuple[int, float], ...]
) -> int:
    return runs.setdefault(run, len(runs) + 1)


def _changed(model: Model, change: Mapping[str, float]) -> tuple[tuple[int, float], ...]:
    """Rows of the program and values that a second run sets, in order."""
    rows, values = model.constant_values(change)
    return tuple(sorted(zip(rows.tolist(), values.tolist(), strict=True)))


def _own_values(model: Model, rows: list[int]) -> FloatArray:
    """Default values of constants in the model."""
    if not rows:
        return np.empty(0)
    start = model.grid().times()[:1]
    nothing = np.empty(0, dtype=np.int64)
    run = model.batch(nothing, np.empty((0, 1)), outputs=np.array(rows), saves=start)
    return np.asarray(run[0, :, 0], dtype=np.float64)


def _as_observations(row: Contrast) -> Iterator[Observation]:
    """Questions on each run, as levels that the model would have published."""
    for period in row.periods:
        yield Observation(
            line=row.line,
            place=period.place,
            elements=period.elements,
            quantity=row.quantity,
            kind="level",
            start=period.start,
            end=period.end,
            value=1.0,
            unit="",
            definition="",
            vintage="only",
            grade="A",
            published=row.published,
            source=row.source,
        )


def _groups(contrasts: Contrasts) -> Iterator[_Group]:
    """Mixtures of normals, group by group."""
    names = [row.group for row in contrasts.rows]
    sds = np.array([row.sd for row in contrasts.rows])
    bias = np.array([contrasts.bias[row.grade] for row in contrasts.rows])
    for name in dict.fromkeys(names):
        rows = np.flatnonzero([other == name for other in names])
        correlation = np.full((len(rows), len(rows)), contrasts.correlation)
        np.fill_diagonal(correlation, 1.0)
        exact = not bias[rows].any()
        nodes = np.zeros(1) if exact else _NODES
        weights = np.ones(1) if exact else _WEIGHTS
        wide = sds[rows] * np.exp(bias[rows] * nodes[:, None])
        precisions = np.linalg.inv(correlation) / (wide[:, :, None] * wide[:, None, :])
        half_log_det = 0.5 * np.linalg.slogdet(precisions)[1]
        logs = np.log(weights) + half_log_det
        peak = float(logsumexp(logs))
        middle = np.einsum("j,jab->ab", np.exp(logs - peak), precisions)
        root = np.asarray(np.linalg.cholesky(middle), dtype=np.float64).T
        yield _Group(rows, precisions, logs, peak, root)
