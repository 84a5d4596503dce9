"""What the figures can tell, and what they cannot.

Four views of one fit, from cheap to dear:

`spectrum`
    Eigenvalues of the Fisher information of the figures, nuisances marginalised, in units of the
    priors (each parameter divided by its prior spread).  An eigenvalue above 1 is a direction in
    which the figures say more than the priors: the variance is at least halved.  The rest is prior.
`confounded`
    Pairs that are correlated in the posterior though independent a priori: the figures know a
    combination of the two and not each.
`prior_pull`
    How far an answer moves, in posterior standard deviations, when one prior is trusted twice as
    much: power-scaling (Kallioinen, Paananen, Buerkner and Vehtari 2023), here by the first-order
    formula at the optimum.
`profile`
    The best fit with one parameter held at each value of a grid (Raue et al. 2009).  Unlike the
    others it does not believe in parabolas.

`without` refits with some rows left out, and `leave_out` with each group of them in turn, such as
those of one definition or of one source: an answer that rests on one source shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.run.threads import side_by_side
from beltcast.errors import CalibrationError, UnknownName, did_you_mean
from beltcast.inference.calibrate import Calibration, calibrate_from, one_blas_thread
from beltcast.inference.eigen import eigenpairs
from beltcast.inference.likelihood import Likelihood
from beltcast.schema import Progress

INFORMED = 1.0
"""Eigenvalue above which a direction counts as informed."""

CUT = 1.92
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
        Information of the figures in units of the priors', descending.
    directions : (n, n)
        Column k is direction k, a unit vector over the parameters in prior spreads.
    """

    labels: tuple[str, ...]
    eigenvalues: FloatArray
    directions: FloatArray

    @property
    def informed(self) -> int:
        """How many directions the figures inform."""
        return int((self.eigenvalues > INFORMED).sum())

    def share(self) -> pd.Series:
        """How much of each parameter lies in informed directions, 0 to 1."""
        part = (self.directions[:, : self.informed] ** 2).sum(axis=1)
        return pd.Series(part, index=pd.Index(self.labels, name="parameter"))

    def words(self, k: int, most: int = 5) -> str:
        """Direction k in words, its largest parts first.

        For parameters on log scales a direction is a product of powers: ``Imitation Rate +0.5,
        Traffic Elasticity -0.3`` says that the figures fix the one times a power of the other.
        """
        vector = self.directions[:, k]
        order = np.argsort(-np.abs(vector))[:most]
        sign = np.sign(vector[order[0]])
        return ", ".join(f"{self.labels[i]} {sign * vector[i]:+.2f}" for i in order)


def spectrum(calibration: Calibration) -> Spectrum:
    """Eigenvalues and directions of what the figures know.

    Parameters
    ----------
    calibration : Calibration

    Returns
    -------
    Spectrum

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import calibrate, make_likelihood, read_study
    >>> from beltcast.inference.audit.identify import spectrum
    >>> study = read_study()
    >>> likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    >>> fit = calibrate(likelihood, rng=np.random.default_rng(1), starts=4, refine=1)
    >>> 0 < spectrum(fit).informed < len(study.priors)
    True
    """
    likelihood = calibration.likelihood
    n, rows = likelihood.n_parameters, len(likelihood.observations)
    jacobian = likelihood.jacobian(calibration.theta)
    # What is neither a row nor a height is a prior.
    jacobian = np.delete(jacobian, np.s_[rows : rows + likelihood.size], axis=0)
    jacobian[:, :n] *= likelihood.priors.sigma
    information = jacobian.T @ jacobian
    own, cross, nuisance = information[:n, :n], information[:n, n:], information[n:, n:]
    # Schur complement: what is left once the nuisances, with their priors, are integrated out.
    known = own - cross @ np.linalg.solve(nuisance + np.eye(len(nuisance)), cross.T)
    eigenvalues, directions = eigenpairs(known)
    return Spectrum(likelihood.priors.labels, np.maximum(eigenvalues, 0.0), directions)


def confounded(calibration: Calibration, least: float = CONFOUNDED) -> pd.DataFrame:
    """Pairs of parameters of which the figures know a combination and not each.

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
    """How far an answer moves when one prior is trusted twice as much.

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
        Rise of the cost, the prior of this parameter left out and all others kept, above its least.
    posterior_rise : (k,)
        The same with its prior.
    """

    label: str
    unit: str
    grid: FloatArray
    likelihood_rise: FloatArray
    posterior_rise: FloatArray

    def interval(self) -> tuple[float, float]:
        """95% interval without the parameter's own prior; infinite where the cut is not reached."""
        inside = np.flatnonzero(self.likelihood_rise <= CUT)
        first, last = inside[0], inside[-1]
        low = -np.inf if first == 0 else self._crossing(first - 1, first)
        high = np.inf if last == len(self.grid) - 1 else self._crossing(last, last + 1)
        return low, high

    def _crossing(self, a: int, b: int) -> float:
        low, high = self.likelihood_rise[a], self.likelihood_rise[b]
        part = (CUT - low) / (high - low)
        return float(self.grid[a] + part * (self.grid[b] - self.grid[a]))


@one_blas_thread()
def profile(
    calibration: Calibration,
    label: str,
    *,
    points: int = 7,
    reach: float = 2.5,
) -> Profile:
    """Refit everything else with one parameter held along a grid.

    Parameters
    ----------
    calibration : Calibration
    label : str
        A parameter, ``Name`` or ``Name[Element]``.
    points : int
        Points of the grid, made odd so that the optimum is one of them.
    reach : float
        The grid goes this many prior spreads to either side, within the bounds.

    Returns
    -------
    Profile

    Raises
    ------
    UnknownName
        No parameter of that label is estimated.
    """
    likelihood = calibration.likelihood
    labels = likelihood.priors.labels
    if label not in labels:
        raise UnknownName(f"'{label}' is not estimated{did_you_mean(label, labels)}")
    i = labels.index(label)
    sigma, mu = likelihood.priors.sigma[i], likelihood.priors.mu[i]
    half = max(points // 2, 1)
    center = calibration.theta[i]
    steps = np.linspace(0.0, reach * sigma, half + 1)[1:]
    lower, upper = likelihood.priors.lower[i], likelihood.priors.upper[i]
    down = [z for z in center - steps if z > lower]
    up = [z for z in center + steps if z < upper]
    costs, found = {center: calibration.cost}, {center: calibration.theta}
    for side in (down, up):
        theta = calibration.theta
        for z in side:  # each from its neighbour: warm starts
            theta, costs[z] = _held(likelihood, theta, i, z)
            found[z] = theta
    grid = np.array(sorted(costs))
    posterior = np.array([costs[z] for z in grid])
    alone = posterior - 0.5 * ((grid - mu) / sigma) ** 2
    z = np.array([found[z][: len(labels)] for z in grid])
    return Profile(
        label=label,
        unit=likelihood.priors.units[i],
        grid=likelihood.priors.natural(z)[:, i],
        likelihood_rise=alone - alone.min(),
        posterior_rise=posterior - posterior.min(),
    )


def profiles(
    calibration: Calibration,
    labels: Sequence[str],
    *,
    points: int = 7,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Profile]:
    """Profiles of several parameters, side by side."""
    found = []
    for one in side_by_side(
        lambda label: profile(calibration, label, points=points), labels, threads
    ):
        found.append(one)
        if progress is not None:
            progress("profiles", len(found), len(labels))
    return found


def _held(likelihood: Likelihood, start: FloatArray, i: int, z: float) -> tuple[FloatArray, float]:
    """Best fit with entry i of theta held at z, and its cost."""
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
        ftol=1e-4,
        xtol=1e-4,
        gtol=1e-4,
        max_nfev=15,
    )
    return full(fit.x), float(fit.cost)


def without(calibration: Calibration, mask: Sequence[bool]) -> Calibration:
    """Refit with some rows left out, starting from the optimum.

    The rows stay in place and lose their weight, so that the compiled model serves as it is.

    Parameters
    ----------
    calibration : Calibration
    mask : (rows,) bool
        True where a row is left out.

    Raises
    ------
    CalibrationError
        Nothing is left.
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
    """Refit without each group of rows and say how far answers move.

    Parameters
    ----------
    calibration : Calibration
    groups : (rows,) str
        Group of each row, such as its definition or its source.
    answer : callable
        Calibration to answers (a,).
    most : int, optional
        Only this many groups, those with the most rows; each takes a fit. All by default.
    progress : callable, optional

    Returns
    -------
    pandas.DataFrame
        One row a group: how many rows it has and the change of each answer; none for a group that
        holds all rows.
    """
    names = np.array(list(groups))
    reference = answer(calibration)
    rows = []
    # A group that is all there is cannot be left out: no figure would remain.
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
