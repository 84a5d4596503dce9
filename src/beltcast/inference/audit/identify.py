"""Identifiability: what the observations determine, and what they do not.

Four views of one fit, from cheap to expensive:

`spectrum`
    Eigenvalues of the Fisher information of the observations, nuisances marginalised, in units of
    the priors (each parameter divided by its prior standard deviation).  An eigenvalue above 1 is a
    direction in which the observations carry more information than the priors: the variance is at
    least halved.  The other directions rest on the priors.
`confounded`
    Pairs that are correlated in the posterior though independent a priori: the observations
    determine a combination of the two and not each.
`prior_pull`
    Shift of an answer, in posterior standard deviations, if one prior counts twice: power-scaling
    (Kallioinen, Paananen, Buerkner and Vehtari 2023), here by the first-order
    formula at the optimum.
`profile`
    The best fit with one parameter held at each value of a grid (Raue et al. 2009).  Unlike the
    others it does not assume a parabola.

`without` refits with some rows left out, and `leave_out` with each group of them in turn, such as
those of one definition or of one source, and shows answers that rest on one source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq, least_squares

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.run.threads import side_by_side
from beltcast.errors import CalibrationError, UnknownName, did_you_mean
from beltcast.inference.calibrate import Calibration, calibrate_from, one_blas_thread
from beltcast.inference.eigen import eigenpairs
from beltcast.inference.likelihood import Likelihood
from beltcast.schema import Progress

INFORMED = 1.0
"""Eigenvalue above which a direction counts as informed."""

CUT = 1.920729
"""Rise of the negative log likelihood that bounds a 95% interval: chi-squared(1) / 2."""

CONFOUNDED = 0.5
"""Posterior correlation from which two parameters are called confounded."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Directions in the space of the parameters, from the best known to the least.

    Attributes
    ----------
    labels : (n,) str
    eigenvalues : (n,)
        Information of the observations in units of the priors', descending.
    directions : (n, n)
        Column k is direction k, a unit vector over the parameters in prior standard deviations.
    """

    labels: tuple[str, ...]
    eigenvalues: FloatArray
    directions: FloatArray

    @property
    def informed(self) -> int:
        """Number of directions that the observations inform."""
        return int((self.eigenvalues > INFORMED).sum())

    def share(self) -> pd.Series:
        """Share of each parameter in informed directions, 0 to 1."""
        part = (self.directions[:, : self.informed] ** 2).sum(axis=1)
        return pd.Series(part, index=pd.Index(self.labels, name="parameter"))

    def words(self, k: int, most: int = 5) -> str:
        """Direction k in words, its largest components first.

        For parameters on log scales a direction is a product of powers: ``Imitation Rate +0.5,
        Traffic Elasticity -0.3`` means that the observations fix the one times a power of the
        other.
        """
        vector = self.directions[:, k]
        order = np.argsort(-np.abs(vector))[:most]
        sign = np.sign(vector[order[0]])
        return ", ".join(f"{self.labels[i]} {sign * vector[i]:+.2f}" for i in order)


def spectrum(calibration: Calibration) -> Spectrum:
    """Eigenvalues and directions of the information in the observations.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import calibrate, read_study
    >>> from beltcast.inference.audit.identify import spectrum
    >>> study = read_study()
    >>> fit = calibrate(study, rng=np.random.default_rng(1), starts=4, refine=1)
    >>> 0 < spectrum(fit).informed < len(study.priors)
    True
    """
    likelihood = calibration.likelihood
    n, rows = likelihood.n_parameters, len(likelihood.observations)
    jacobian = likelihood.jacobian(calibration.theta)
    # Residuals that are neither rows nor heights are priors.
    jacobian = np.delete(jacobian, np.s_[rows : rows + likelihood.size], axis=0)
    jacobian[:, :n] *= likelihood.priors.sigma
    information = jacobian.T @ jacobian
    own, cross, nuisance = information[:n, :n], information[:n, n:], information[n:, n:]
    # Schur complement: the rest after the nuisances, with their priors, are integrated out.
    known = own - cross @ np.linalg.solve(nuisance + np.eye(len(nuisance)), cross.T)
    eigenvalues, directions = eigenpairs(known)
    return Spectrum(likelihood.priors.labels, np.maximum(eigenvalues, 0.0), directions)


def confounded(calibration: Calibration, least: float = CONFOUNDED) -> pd.DataFrame:
    """Pairs of parameters of which the observations determine a combination and not each.

    Returns
    -------
    pandas.DataFrame
        ``one``, ``other`` and their posterior ``correlation`` on working scales, strongest first.
        A negative correlation of two logs means that their product is known.
    """
    n = calibration.likelihood.n_parameters
    covariance = calibration.covariance[:n, :n]
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    i, j = np.triu_indices(n, 1)
    chosen = np.abs(correlation[i, j]) >= least
    labels = np.array(calibration.likelihood.priors.labels)
    frame = pd.DataFrame(
        {
            "one": labels[i[chosen]],
            "other": labels[j[chosen]],
            "correlation": correlation[i, j][chosen],
        }
    )
    order = frame["correlation"].abs().sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def prior_pull(calibration: Calibration, gradient: FloatArray) -> pd.Series:
    """Shift of an answer if one prior counts twice.

    Doubling the weight of prior i adds ``1 / sigma_i^2`` to its precision; to first order the
    optimum moves by ``-H^-1 e_i (z_i - mu_i) / sigma_i^2``, H the precision of the posterior.

    Parameters
    ----------
    calibration : Calibration
    gradient : (size,)
        Derivative of the answer with respect to theta.

    Returns
    -------
    pandas.Series
        By parameter, in posterior standard deviations of the answer, largest first.
    """
    priors = calibration.likelihood.priors
    n = len(priors)
    reach = calibration.covariance @ gradient
    sd = float(np.sqrt(gradient @ reach))
    pull = -reach[:n] * (calibration.theta[:n] - priors.mu) / priors.sigma**2
    series = pd.Series(pull / sd, index=pd.Index(priors.labels, name="parameter"))
    return series.loc[series.abs().sort_values(ascending=False, kind="stable").index]


def answer_gradient(calibration: Calibration, rows: IntArray, time: float) -> FloatArray:
    """Derivative of the log of a sum of rows of the model, totalled over the year before `time`.

    Parameters
    ----------
    calibration : Calibration
    rows : (r,)
        Rows of the program, such as ``model.rows("output")``.
    time : float  [time]
        End of the year.

    Returns
    -------
    (size,)
    """
    likelihood = calibration.likelihood
    n = likelihood.n_parameters
    z = calibration.theta[:n]
    run = likelihood.model.batch(
        likelihood.rows_of,
        likelihood.values(z[None]),
        outputs=np.empty(0, dtype=np.int64),
        totals=rows,
        saves=[time - 1.0, time],
        directions=np.arange(len(likelihood.rows_of)),
    )
    total = (run[1] - run[0])[:, 0].sum(axis=0)
    gradient = np.zeros(likelihood.size)
    np.add.at(gradient, likelihood.columns, total[1:] / total[0])
    gradient[:n] = likelihood.priors.pull_back(gradient[:n], z)
    return gradient


def log_total(calibration: Calibration, rows: IntArray, time: float) -> FloatArray:
    """Log of the total of a sum of rows over the year before `time`, at the optimum; (1,)."""
    likelihood = calibration.likelihood
    run = likelihood.model.batch(
        likelihood.rows_of,
        likelihood.values(calibration.theta[None, : likelihood.n_parameters]),
        outputs=np.empty(0, dtype=np.int64),
        totals=rows,
        saves=[time - 1.0, time],
    )
    total: FloatArray = np.log((run[1] - run[0]).sum(axis=0))
    return total


@dataclass(frozen=True, eq=False)
class Profile:
    """The best fit along one parameter.

    Attributes
    ----------
    label, unit : str
    grid : (k,)
        Values in the parameter's own unit, ascending.
    likelihood_rise : (k,)
        Rise of the cost above its minimum, without the prior of this parameter and with all others.
    posterior_rise : (k,)
        The same with its prior.
    low, high : float
        Ends of the 95% interval without the parameter's own prior, where ``likelihood_rise``
        reaches `CUT`; infinite if it does not reach it within the bounds or the reach.
    converged : bool
        Whether every refit met its tolerance.
    at_bounds : tuple of str
        Other parameters that lie at a bound somewhere between ``low`` and ``high``: the interval
        then depends on that bound.
    """

    label: str
    unit: str
    grid: FloatArray
    likelihood_rise: FloatArray
    posterior_rise: FloatArray
    low: float
    high: float
    converged: bool = True
    at_bounds: tuple[str, ...] = ()

    def interval(self) -> tuple[float, float]:
        """95% interval without the parameter's own prior; infinite if the cut is not reached."""
        return self.low, self.high


@one_blas_thread()
def profile(
    calibration: Calibration,
    label: str,
    *,
    points: int = 7,
    reach: float = 8.0,
) -> Profile:
    """Refit everything else with one parameter held at values around its optimum.

    The values are found, not given: from the optimum the search steps outwards, each step twice as
    long as the last and the first half a posterior standard deviation, until the rise exceeds
    `CUT`, a bound is reached (which is tried itself) or `reach` ends the search.  The crossing is
    then the root of the signed square root of the rise, which is a straight line if the
    likelihood is normal.  Each refit runs to convergence from the nearest one.

    Parameters
    ----------
    calibration : Calibration
    label : str
        A parameter, ``Name`` or ``Name[Element]``.
    points : int
        At least this many values, for a chart; more are added between the ends if the search
        needed fewer.
    reach : float
        Farthest value, in prior standard deviations from the optimum.

    Raises
    ------
    UnknownName
        The parameter is not estimated.
    """
    likelihood = calibration.likelihood
    labels = likelihood.priors.labels
    if label not in labels:
        raise UnknownName(f"'{label}' is not estimated{did_you_mean(label, labels)}")
    search = _Search(calibration, labels.index(label))
    search.descend()
    ends = [search.crossing(side, reach) for side in (-1.0, 1.0)]
    search.fill(points)
    return search.result(*ends)


class _Search:
    """Refits along one parameter, all kept: working value to cost, optimum and convergence."""

    def __init__(self, calibration: Calibration, i: int) -> None:
        self.likelihood, self.i = calibration.likelihood, i
        priors = self.likelihood.priors
        self.mu, self.sigma = float(priors.mu[i]), float(priors.sigma[i])
        self.lower, self.upper = float(priors.lower[i]), float(priors.upper[i])
        self.center = float(calibration.theta[i])
        sd = float(np.sqrt(calibration.covariance[i, i]))
        self.sd = sd if np.isfinite(sd) and 0.0 < sd <= self.sigma else self.sigma
        self.found: dict[float, tuple[float, FloatArray, bool]] = {
            self.center: (calibration.cost, calibration.theta, True)
        }

    def alone(self, z: float) -> float:
        """Cost at a value without the parameter's own prior; refits if the value is new."""
        if z not in self.found:
            nearest = min(self.found, key=lambda other: abs(other - z))
            self.found[z] = _held(self.likelihood, self.found[nearest][1], self.i, z)
        return self.found[z][0] - 0.5 * ((z - self.mu) / self.sigma) ** 2

    def best(self) -> float:
        """Value with the lowest cost so far, without the parameter's own prior."""
        return min(self.found, key=self.alone)

    def descend(self) -> None:
        """Move to the lowest cost without the own prior: the optimum includes the prior."""
        step = 0.5 * self.sd
        for _ in range(30):
            middle = self.best()
            around = [min(max(middle + s * step, self.lower), self.upper) for s in (-1.0, 1.0)]
            costs = [self.alone(z) for z in around]
            if min(costs) < self.alone(middle) - 1e-9:
                step *= 2.0  # still going down: the prior held the optimum back
                if abs(self.best() - self.center) > 8.0 * self.sigma:
                    return  # no minimum within reach: the data do not bound this side
                continue
            bend = costs[0] + costs[1] - 2.0 * self.alone(middle)
            if bend > 1e-12 and around[0] < middle < around[1]:
                self.alone(middle + 0.5 * step * (costs[0] - costs[1]) / bend)
            if self.alone(self.best()) > self.alone(middle) - 1e-3:
                return
            step *= 0.5

    def rise(self, z: float) -> float:
        return self.alone(z) - self.alone(self.best())

    def crossing(self, side: float, reach: float) -> float:
        """Working value at which the rise reaches `CUT` on one side; infinite if it does not."""
        for _ in range(5):  # a lower cost found on the way moves the start
            start = self.best()
            limit = self.upper if side > 0 else self.lower
            far = self.center + side * reach * self.sigma
            end = min(limit, far) if side > 0 else max(limit, far)
            inside, step = start, 0.5 * self.sd
            while True:
                z = inside + side * step
                z = min(z, end) if side > 0 else max(z, end)
                if z == inside or self.rise(z) > CUT:
                    break
                inside, step = z, 2.0 * step
                if z == end:
                    break
            if self.best() != start and self.rise(start) > 1e-3:
                continue
            if self.rise(z) <= CUT:
                return side * np.inf
            root = brentq(
                lambda value: np.sqrt(max(self.rise(value), 0.0)) - np.sqrt(CUT),
                *sorted((inside, z)),
                xtol=3e-3 * abs(z - inside),
                rtol=1e-10,
                maxiter=30,
            )
            return float(root)
        return side * np.inf

    def fill(self, points: int) -> None:
        """Add midpoints of the widest gaps until there are as many values as requested."""
        while len(self.found) < points:
            values = sorted(self.found)
            gaps = np.diff(values)
            k = int(np.argmax(gaps))
            self.alone(values[k] + 0.5 * float(gaps[k]))

    def result(self, low: float, high: float) -> Profile:
        priors = self.likelihood.priors
        n = len(priors)
        values = np.array(sorted(self.found))
        posterior = np.array([self.found[z][0] for z in values])
        alone = np.array([self.alone(z) for z in values])
        theta = np.array([self.found[z][1][:n] for z in values])
        within = theta[(values >= low) & (values <= high)]
        at_bound = (within <= priors.lower + 1e-9) | (within >= priors.upper - 1e-9)
        at_bound[:, self.i] = False
        return Profile(
            label=priors.labels[self.i],
            unit=priors.units[self.i],
            grid=priors.natural(theta)[:, self.i],
            likelihood_rise=alone - alone.min(),
            posterior_rise=posterior - posterior.min(),
            low=self._natural(low),
            high=self._natural(high),
            converged=all(done for *_, done in self.found.values()),
            at_bounds=tuple(np.array(priors.labels)[at_bound.any(axis=0)].tolist()),
        )

    def _natural(self, z: float) -> float:
        if not np.isfinite(z):
            return z
        theta = np.array(self.found[self.center][1][: len(self.likelihood.priors)])
        theta[self.i] = z
        return float(self.likelihood.priors.natural(theta[None])[0, self.i])


def profiles(
    calibration: Calibration,
    labels: Sequence[str],
    *,
    points: int = 7,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Profile]:
    """Profiles of several parameters, in parallel."""
    found = []
    for one in side_by_side(
        lambda label: profile(calibration, label, points=points), labels, threads
    ):
        found.append(one)
        if progress is not None:
            progress("profiles", len(found), len(labels))
    return found


def _held(
    likelihood: Likelihood, start: FloatArray, i: int, z: float
) -> tuple[float, FloatArray, bool]:
    """Cost and theta of the best fit with entry i held at z, and whether the fit converged."""
    free = np.arange(likelihood.size) != i
    lower, upper = likelihood.bounds()

    def full(part: FloatArray) -> FloatArray:
        theta = np.empty(likelihood.size)
        theta[free], theta[i] = part, z
        return theta

    scale = np.concatenate([likelihood.priors.sigma, np.ones(len(likelihood.nuisances))])
    fit = least_squares(
        lambda part: likelihood.residuals(full(part)),
        start[free],
        jac=lambda part: likelihood.jacobian(full(part))[:, free],
        bounds=(lower[free], upper[free]),
        x_scale=scale[free],
        ftol=1e-7,
        xtol=1e-7,
        gtol=1e-7,
        max_nfev=200,
    )
    return float(fit.cost), full(fit.x), bool(fit.status > 0)


def without(calibration: Calibration, mask: Sequence[bool]) -> Calibration:
    """Refit without some rows, starting from the optimum.

    The rows stay in place and lose their weight, so that the compiled model can be reused.

    Parameters
    ----------
    calibration : Calibration
    mask : (rows,) bool
        True where a row is left out.

    Raises
    ------
    CalibrationError
        No row is left.
    """
    likelihood = calibration.likelihood
    out = np.asarray(mask, dtype=bool)
    if out.all():
        raise CalibrationError("every row would be left out; keep at least one")
    return calibrate_from(likelihood.without(out), calibration.theta)


def leave_out(
    calibration: Calibration,
    groups: Sequence[str],
    answer: Callable[[Calibration], FloatArray],
    *,
    most: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Refit without each group of rows and return how far answers move.

    Parameters
    ----------
    calibration : Calibration
    groups : (rows,) str
        Group of each row, such as its definition or its source.
    answer : callable
        Calibration to answers (a,).
    most : int, optional
        Only this many groups, those with the most rows; each takes a fit. All by default.
    progress : Progress, optional

    Returns
    -------
    pandas.DataFrame
        One row per group: its number of rows and the change of each answer; none for a group that
        holds all rows.
    """
    names = np.array(list(groups))
    reference = answer(calibration)
    rows = []
    # A group of all rows cannot be left out: no observation would remain.
    unique = [name for name in dict.fromkeys(names.tolist()) if not (names == name).all()]
    if most is not None:
        counts = {name: int((names == name).sum()) for name in unique}
        unique = sorted(unique, key=lambda name: -counts[name])[:most]
    for k, name in enumerate(unique):
        mask = names == name
        moved = answer(without(calibration, mask.tolist())) - reference
        rows.append((name, int(mask.sum()), *moved))
        if progress is not None:
            progress("left out", k + 1, len(unique))
    columns = ["group", "rows", *(f"answer {k}" for k in range(len(reference)))]
    return pd.DataFrame(rows, columns=columns).set_index("group")
