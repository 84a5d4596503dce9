"""Fit the parameters to the published numbers.

Many starts from a scrambled Sobol' sequence in the quantiles of the priors (Sobol' 1967; Owen
1998) run as one ensemble; for each, the nuisances that fit best are found by linear least squares.
The most probable are refined by SciPy's trust-region reflective method (Branch, Coleman and Li
1999) on the residuals of `beltcast.likelihood` with their exact Jacobian.  The result keeps the
history of every start, because a fit that a single start reached is a fit to doubt.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import cho_solve
from scipy.optimize import OptimizeResult, least_squares
from scipy.stats import norm, qmc
from threadpoolctl import threadpool_limits

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.errors import CalibrationError
from beltcast.likelihood import Likelihood
from beltcast.priors import Priors

MOSTLY_PRIOR = 0.7
"""Ratio of posterior to prior spread above which an estimate is called mostly prior."""

SAME_OPTIMUM = 0.5
"""Costs (negative log densities) that differ by less are taken for one optimum."""

Progress = Callable[[str, int, int], None]
"""Told of progress: what is done, how many are done, of how many."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold matrix products to one thread; also a decorator.

    Matrices of 300 by 170 are slower on two BLAS threads than on one, and many times slower beside
    other work.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@dataclass(frozen=True, eq=False)
class Calibration:
    """The most probable parameters, and how sure they are.

    Attributes
    ----------
    likelihood : Likelihood
    theta : (size,)
        The optimum, parameters then nuisances, on working scales.
    covariance : (size, size)
        Laplace's approximation: the inverse of J'J at the optimum.
    cost : float
        Negative log posterior density there, up to a constant.
    start_costs : (starts,)
        Cost of every start before refinement.
    refined : (k,) int
        Which starts were refined.
    refined_costs : (k,)
        Costs that they reached.
    evaluations : (k,) int
    converged : (k,) bool
    """

    likelihood: Likelihood
    theta: FloatArray
    covariance: FloatArray
    cost: float
    start_costs: FloatArray
    refined: IntArray
    refined_costs: FloatArray
    evaluations: IntArray
    converged: np.ndarray

    @property
    def agreeing(self) -> int:
        """How many refined starts reached the best optimum."""
        return int((self.refined_costs <= self.cost + SAME_OPTIMUM).sum())

    @property
    def at_bound(self) -> tuple[str, ...]:
        """Parameters that ended at a bound of their prior."""
        lower, upper = self.likelihood.bounds()
        near = (self.theta - lower < 1e-6) | (upper - self.theta < 1e-6)
        return tuple(np.array(self.likelihood.labels)[near])

    def table(self) -> pd.DataFrame:
        """Every estimate beside its prior.

        Returns
        -------
        pandas.DataFrame
            One row a parameter: prior and posterior median and 80% interval in the parameter's own
            unit, the ratio of the two spreads on the working scale, and what that means.
        """
        priors = self.likelihood.priors
        n = len(priors)
        return estimates_table(priors, self.theta[:n], np.sqrt(np.diag(self.covariance)[:n]))

    def fit_table(self) -> pd.DataFrame:
        """Every published number beside what the optimum would have published."""
        likelihood = self.likelihood
        expected = likelihood.expected(self.theta[None])[0]
        rows = likelihood.observations.rows
        return pd.DataFrame(
            {
                "line": [r.line for r in rows],
                "place": [r.place for r in rows],
                "quantity": [r.quantity for r in rows],
                "kind": [r.kind for r in rows],
                "start": [r.start for r in rows],
                "end": [r.end for r in rows],
                "definition": [r.definition for r in rows],
                "published": [r.value for r in rows],
                "fitted": np.exp(expected),
                "sd": likelihood.sds,
                "z": (likelihood.log_values - expected) / likelihood.sds,
            }
        )


def estimates_table(priors: Priors, center: FloatArray, sd: FloatArray) -> pd.DataFrame:
    """Lay out every estimate beside its prior; center and sd (n,) on working scales."""
    ratio = sd / priors.sigma
    reach = norm.ppf(0.9)
    quantiles = priors.quantiles(np.array([0.1, 0.5, 0.9]))
    return pd.DataFrame(
        {
            "role": priors.roles,
            "unit": priors.units,
            "prior_p10": quantiles[0],
            "prior_median": quantiles[1],
            "prior_p90": quantiles[2],
            "p10": priors.natural(np.maximum(center - reach * sd, priors.lower)),
            "median": priors.natural(center),
            "p90": priors.natural(np.minimum(center + reach * sd, priors.upper)),
            "spread_ratio": ratio,
            "verdict": [verdict(r) for r in ratio],
            "source": priors.sources,
        },
        index=pd.Index(priors.labels, name="parameter"),
    )


def verdict(ratio: float) -> str:
    """Return what a ratio of posterior to prior spread means, in words."""
    if ratio > MOSTLY_PRIOR:
        return "mostly prior"
    return "data and prior" if ratio > 0.35 else "mostly data"


@one_blas_thread()
def calibrate(
    likelihood: Likelihood,
    *,
    rng: np.random.Generator,
    starts: int = 64,
    refine: int = 6,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Find the most probable parameters from many starts.

    Parameters
    ----------
    likelihood : Likelihood
    rng : numpy.random.Generator
        Scrambles the Sobol' sequence.
    starts : int
        Starting points, all simulated as one ensemble.
    refine : int
        How many of the best are refined.
    threads : int, optional
        Refinements side by side; one per processor by default.  The result does not depend on it.
    progress : callable, optional
        Told (what, done, of how many).

    Returns
    -------
    Calibration

    Raises
    ------
    CalibrationError
        No start could be simulated.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import calibrate, make_likelihood, read_study
    >>> study = read_study()
    >>> likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    >>> fit = calibrate(likelihood, rng=np.random.default_rng(1), starts=4, refine=1)
    >>> fit.converged.tolist()
    [True]
    """
    tell = progress or (lambda what, done, total: None)
    tell("starts", 0, starts)
    points, answers = _starts(likelihood, rng, starts)
    simulated = np.isfinite(answers).all(axis=1)
    costs = np.where(simulated, -likelihood.log_density(points, answers), np.inf)
    tell("starts", starts, starts)
    if not simulated.any():
        raise CalibrationError(
            f"none of {starts} starts could be simulated; look at the priors with the command "
            "'beltcast check', their bounds may allow impossible values"
        )
    chosen = np.argsort(costs, kind="stable")[: min(refine, int(simulated.sum()))]
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        fits = []
        for fit in pool.map(lambda i: _refine(likelihood, points[i]), chosen):
            fits.append(fit)
            tell("refinements", len(fits), len(chosen))
    best = min(fits, key=lambda f: f.cost)
    return Calibration(
        likelihood=likelihood,
        theta=best.x,
        covariance=_laplace(likelihood, best.x),
        cost=float(best.cost),
        start_costs=costs,
        refined=chosen,
        refined_costs=np.array([f.cost for f in fits]),
        evaluations=np.array([f.nfev for f in fits]),
        converged=np.array([f.status > 0 for f in fits]),
    )


@one_blas_thread()
def calibrate_from(likelihood: Likelihood, start: FloatArray) -> Calibration:
    """Refine one start, such as the optimum of a fit to slightly other figures.

    Parameters
    ----------
    likelihood : Likelihood
    start : (size,)
        Moved inside the bounds where it lies on one.

    Returns
    -------
    Calibration
        With one start in its history.
    """
    lower, upper = likelihood.bounds()
    margin = np.minimum(1e-6, 0.25 * (upper - lower))
    start = np.clip(start, lower + margin, upper - margin)
    fit = _refine(likelihood, start)
    return Calibration(
        likelihood=likelihood,
        theta=fit.x,
        covariance=_laplace(likelihood, fit.x),
        cost=float(fit.cost),
        start_costs=-likelihood.log_density(start[None]),
        refined=np.array([0]),
        refined_costs=np.array([fit.cost]),
        evaluations=np.array([fit.nfev]),
        converged=np.array([fit.status > 0]),
    )


def _starts(
    likelihood: Likelihood, rng: np.random.Generator, starts: int
) -> tuple[FloatArray, FloatArray]:
    """Starting points and the model's answers there, (starts, size) and (starts, m).

    The first is the centre of the priors; each has the nuisances that fit it best, by linear
    least squares.
    """
    priors = likelihood.priors
    sobol = qmc.Sobol(len(priors), rng=rng)
    # A Sobol' sequence is balanced at powers of two; the surplus is dropped.
    uniform = sobol.random_base2(max(1, int(np.ceil(np.log2(starts)))))[:starts]
    # The middle 90% of each prior: with a hundred parameters, corners are impossible places.
    z = priors.mu + priors.sigma * norm.ppf(0.05 + 0.9 * uniform)
    z[0] = priors.mu
    # The trust region needs its start strictly inside the bounds, however narrow they are.
    margin = np.minimum(1e-3 * priors.sigma, 0.25 * (priors.upper - priors.lower))
    z = np.clip(z, priors.lower + margin, priors.upper - margin)
    answers = likelihood.answers(z)
    return np.concatenate([z, likelihood.nuisances_given(answers)[0]], axis=1), answers


def _refine(likelihood: Likelihood, start: FloatArray) -> OptimizeResult:
    """SciPy's trust-region reflective least squares."""
    scale = np.concatenate([likelihood.priors.sigma, np.ones(len(likelihood.nuisances))])
    return least_squares(
        likelihood.residuals,
        start,
        jac=likelihood.jacobian,
        bounds=likelihood.bounds(),
        method="trf",
        x_scale=scale,
        ftol=1e-7,
        xtol=1e-7,
        gtol=1e-7,
        max_nfev=100,
    )


def _laplace(likelihood: Likelihood, theta: FloatArray) -> FloatArray:
    jacobian = likelihood.jacobian(theta)
    factor = np.linalg.cholesky(jacobian.T @ jacobian)
    covariance: FloatArray = cho_solve((factor, True), np.eye(len(theta)))
    return covariance
