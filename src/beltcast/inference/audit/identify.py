"""Identifiability: what the observations determine, and what they do not.

Three views of one fit:

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

All three take the log density as a parabola; `beltcast.inference.audit.profiles` does not.

`without` refits with some rows left out, and `leave_out` with each group of them in turn, such as
those of one definition or of one source, and shows answers that rest on one source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.errors import CalibrationError
from beltcast.inference.calibrate import Calibration, calibrate_from
from beltcast.inference.eigen import eigenpairs
from beltcast.schema import Progress

INFORMED = 1.0
"""Eigenvalue above which a direction counts as informed."""


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
