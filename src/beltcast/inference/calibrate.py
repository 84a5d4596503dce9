"""Fit the parameters to the published numbers.

Many starts (`starts`) run as one ensemble.  The most probable, then others, are refined by one of
the methods of `optimise` until hardly any optimum is missed.  The result keeps the history of
every start, because a fit that only one start reached is doubtful.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.linalg import cho_solve
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from beltcast.display.facts import Facts, html_of, listed, text_of
from beltcast.display.translations import word
from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.run.threads import side_by_side
from beltcast.ensembles.verdicts import FEWEST_DRAWS
from beltcast.errors import CalibrationError
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.inference.assemble import likelihood_of
from beltcast.inference.likelihood import BLAME, Likelihood
from beltcast.inference.optimise import LEARNT, FitMethod, Optimum, optimise
from beltcast.inference.optimise import refine as refine_starts
from beltcast.inference.starts import (
    FEW_ENOUGH,
    TRIED,
    expected_missed,
    searches_needed,
    starting_points,
)
from beltcast.schema import Language, Progress, no_progress
from beltcast.study.priors import Priors
from beltcast.study.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOSTLY_PRIOR = 0.7
"""Ratio of posterior to prior standard deviation above which an estimate is called mostly prior."""

FIRST = 6
"""Starts that are refined before the stopping rule is applied, and between two applications."""

SEARCHED = 40
"""Number of unknowns up to which the stopping rule decides how many starts are refined."""

EXACT = 60
"""Number of unknowns up to which the exact curvature is computed if scales are estimated."""

SAME_OPTIMUM = 0.5
"""Costs (negative log densities) that differ by less belong to one optimum."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit matrix products to one thread; also a decorator.

    Matrices of 300 by 170 are slower on two BLAS threads than on one, and many times slower if
    other work runs beside them.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """The most probable parameters and their uncertainty.

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
    optima : tuple of Optimum
        End point of each refinement, with the cost of each of its evaluations.
    method : str
        Method of the refinement.
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
    optima: tuple[Optimum, ...] = ()
    method: FitMethod = "least_squares"

    @property
    def agreeing(self) -> int:
        """Number of refined starts that reached the best optimum."""
        return int((self.refined_costs <= self.cost + SAME_OPTIMUM).sum())

    @property
    def expected_missed(self) -> float:
        """Number of optima that the search has missed on average: see `beltcast.inference.starts`.

        Infinite if too few starts were refined to tell.
        """
        leaders = self._leaders()
        return expected_missed(len(leaders), sum(count for _, count in leaders))

    def search_words(self, language: Language = "en") -> str:
        """Return what was searched and found, as sentences."""
        refined, starts = len(self.refined_costs), len(self.start_costs)
        leaders = self._leaders()
        count = max(1, len(leaders))
        found = word("one optimum" if count == 1 else "optima", language, count=count)
        missed = self.expected_missed
        if not np.isfinite(missed):
            rest = "optima unknown"
        else:
            rest = "optima missed" if missed >= FEW_ENOUGH else "optima found"
        sentences = [
            word(
                "searched",
                language,
                refined=refined,
                starts=starts,
                found=found,
                agreeing=self.agreeing,
            ),
            word(rest, language, missed=missed),
        ]
        lost = len(self.optima) - sum(count for _, count in leaders)
        if lost:
            sentences.insert(1, word("cut short", language, count=lost))
        return (" " if language == "en" else "").join(sentences)

    @property
    def log_evidence(self) -> float:
        """Log probability of the observations under this model, these priors and this noise.

        All unknowns are integrated out by Laplace's method (Tierney and Kadane 1986),

            log p(y) = log p(y | theta) + log p(theta) + log det(2 pi S) / 2,

        with S the covariance at the optimum.  It compares noises, priors or models of the same
        observations: a difference of 1 is a ratio of 2.7.
        """
        return log_evidence(self.likelihood, self.theta, self.covariance)

    @property
    def at_bound(self) -> tuple[str, ...]:
        """Parameters that ended at a bound of their prior."""
        lower, upper = self.likelihood.bounds()
        near = (self.theta - lower < 1e-6) | (upper - self.theta < 1e-6)
        return tuple(np.array(self.likelihood.labels)[near])

    def clusters(self) -> pd.DataFrame:
        """Distinct optima, the best first.

        Returns
        -------
        pandas.DataFrame
            One row per optimum: its ``cost``, how many refined ``starts`` reached it (the best and
            all within one posterior sd of it in every parameter, or of the same cost and the same
            expected values), and the parameter in which it is ``furthest`` from the best, with the
            ``distance`` in posterior standard deviations.
        """
        n = len(self.likelihood.priors)
        sd = np.sqrt(np.diag(self.covariance)[:n])
        found = self._leaders()
        away = [(one.theta[:n] - self.theta[:n]) / sd for one, _ in found]
        worst = [int(np.abs(gap).argmax()) for gap in away]
        return pd.DataFrame(
            {
                "cost": [one.cost for one, _ in found],
                "starts": [count for _, count in found],
                "furthest": [self.likelihood.priors.labels[w] for w in worst],
                "distance": [float(gap[w]) for gap, w in zip(away, worst, strict=True)],
            }
        )

    def distinct(self, within: float, *, by_fit: bool = False) -> tuple[FloatArray, ...]:
        """Distinct optima whose cost exceeds the best by at most so much, the best first.

        Parameters
        ----------
        within : float
        by_fit : bool
            Whether points of one cost and the same expected values are one optimum (`clusters`).
            Chains start from both.

        Returns
        -------
        tuple of (size,)
            Only the best one if the optima were not kept.
        """
        leaders = self._leaders(by_fit=by_fit)[1:]
        near = (one.theta for one, _ in leaders if one.cost <= self.cost + within)
        return (self.theta, *near)

    def _leaders(self, *, by_fit: bool = True) -> list[tuple[Optimum, int]]:
        """The best optimum of each cluster, and the size of the cluster."""
        n = len(self.likelihood.priors)
        sd = np.sqrt(np.diag(self.covariance)[:n])
        ends = sorted(self.optima, key=lambda one: one.cost)
        if not ends:
            return []
        expected = self._compared(np.array([one.theta for one in ends]))
        found: list[tuple[int, int]] = []
        for i, one in enumerate(ends):
            for k, (leader, count) in enumerate(found):
                first = ends[leader]
                near = np.abs((one.theta - first.theta)[:n] / sd).max() < 1.0
                # To tell two such curves apart takes more data than there are.
                apart = 0.5 * np.sum((expected[i] - expected[leader]) ** 2)
                if near or (by_fit and max(one.cost - first.cost, apart) < SAME_OPTIMUM):
                    found[k] = (leader, count + 1)
                    break
            else:
                # A search that was cut short, or ended where the model fails, has found nothing.
                settled = one.converged and one.cost - self.cost < 0.5 * BLAME**2
                if settled or not found or not by_fit:
                    found.append((i, 1))
        return [(ends[leader], count) for leader, count in found]

    def _compared(self, theta: FloatArray) -> FloatArray:
        """Expected values in standard deviations of the best fit; (k, size) -> (k, m)."""
        sds = self.likelihood.row_sds(self.theta[None])
        with np.errstate(over="ignore"):
            return np.clip(self.likelihood.expected(theta) / sds, -1e100, 1e100)

    def history(self) -> pd.DataFrame:
        """Cost of every evaluation of every refinement.

        Returns
        -------
        pandas.DataFrame
            ``start`` (its number), ``evaluation`` and ``cost``; evaluation 0 is the start itself.
        """
        costs = [self.start_costs[[i]] for i in range(len(self.start_costs))]
        for i, one in zip(self.refined, self.optima, strict=False):
            costs[i] = np.append(costs[i], one.costs)
        return pd.DataFrame(
            {
                "start": np.repeat(np.arange(len(costs)), [len(c) for c in costs]),
                "evaluation": np.concatenate([np.arange(len(c)) for c in costs]),
                "cost": np.concatenate(costs),
            }
        )

    def table(self) -> pd.DataFrame:
        """Every estimate beside its prior.

        Returns
        -------
        pandas.DataFrame
            One row per parameter: prior and posterior median and 80% interval in the parameter's
            own unit, the ratio of the two standard deviations on the working scale, and its
            verdict.
        """
        priors = self.likelihood.priors
        n = len(priors)
        return estimates_table(priors, self.theta[:n], self.covariance[:n, :n])

    def fit_table(self) -> pd.DataFrame:
        """Every published number beside the fitted one."""
        likelihood = self.likelihood
        expected = likelihood.expected(self.theta[None])[0]
        sds = likelihood.row_sds(self.theta[None])[0]
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
                "fitted": likelihood.natural(expected),
                "sd": sds,
                "z": (likelihood.published - expected) / sds,
            }
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw every published number against the fitted one (`beltcast.inference.fit_plot`)."""
        from beltcast.inference.fit_plot import plot_fit

        return plot_fit(self.fit_table(), ax=ax)

    def _facts(self) -> Facts:
        likelihood = self.likelihood
        refined = len(self.refined_costs)
        return [
            ("model", likelihood.model.name),
            ("observations", str(len(likelihood.observations.rows))),
            ("parameters", str(len(likelihood.priors))),
            ("nuisances", str(len(likelihood.nuisances))),
            ("cost", f"{self.cost:.6g} (negative log posterior density)"),
            ("optimum", f"reached by {self.agreeing} of {refined} refined starts"),
            ("at a bound", listed(self.at_bound) or "none"),
            ("next", "table() for estimates, fit_table() for observations, plot()"),
        ]

    def __repr__(self) -> str:
        return text_of("Calibration", self._facts())

    def _repr_html_(self) -> str:
        return html_of("Calibration", self._facts())


def estimates_table(priors: Priors, center: FloatArray, covariance: FloatArray) -> pd.DataFrame:
    """Lay out every estimate beside its prior; center (n,), covariance (n, n), working scales."""
    low, high, ratio = priors.interval(center, covariance, ndtri(0.9))
    quantiles = priors.quantiles(np.array([0.1, 0.5, 0.9]))
    median = priors.natural(center)
    # At a joint mode the sd between elements is not an estimate: `beltcast.inference.pool_scales`.
    sds = [pool.sd for pool in priors.pools]
    for values in (low, median, high, ratio):
        values[sds] = np.nan
    return pd.DataFrame(
        {
            "role": priors.roles,
            "unit": priors.units,
            "prior_p10": quantiles[0],
            "prior_median": quantiles[1],
            "prior_p90": quantiles[2],
            "p10": low,
            "median": median,
            "p90": high,
            "sd_ratio": ratio,
            "verdict": [
                "integrate out or sample" if i in sds else estimate_verdict(r)
                for i, r in enumerate(ratio)
            ],
            "source": priors.sources,
        },
        index=pd.Index(priors.labels, name="parameter"),
    )


def estimate_verdict(ratio: float, draws: float = math.inf) -> str:
    """Return what a posterior-to-prior ratio of standard deviations means, in words.

    Parameters
    ----------
    ratio : float  [1]
        NaN, as for a prior without width, is 'undefined'.
    draws : float
        Effective draws that the standard deviations were estimated from; below `FEWEST_DRAWS` of
        `beltcast.ensembles.verdicts` the answer is 'too few draws'.

    Examples
    --------
    >>> from beltcast.inference.calibrate import estimate_verdict
    >>> estimate_verdict(0.9), estimate_verdict(0.9, draws=2), estimate_verdict(float("nan"))
    ('mostly prior', 'too few draws', 'undefined')
    """
    if draws < FEWEST_DRAWS:
        return "too few draws"
    if math.isnan(ratio):
        return "undefined"
    if ratio > MOSTLY_PRIOR:
        return "mostly prior"
    return "data and prior" if ratio > 0.35 else "mostly data"


@one_blas_thread()
def calibrate(
    source: Study | Likelihood,
    *,
    rng: np.random.Generator,
    starts: int = 64,
    refine: int | None = None,
    method: FitMethod = "least_squares",
    threads: int | None = None,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> Calibration:
    """Find the most probable parameters from many starts.

    Parameters
    ----------
    source : Study or Likelihood
    rng : numpy.random.Generator
        Scrambles the Sobol' sequence.
    starts : int
        Starting points.  Of up to 40 unknowns 16 times as many are simulated, and half of the
        starts are each the most probable of 32.
    refine : int, optional
        How many of the starts are refined, the best first.  By default six, then others until the
        stopping rule of `beltcast.inference.starts` is met and the best optimum was found twice; of
        more than 40 unknowns the best six.  A population (differential evolution) is all of them
        at once, so it is refined once.
    method : str
        'least_squares' or 'differential_evolution', see `beltcast.inference.optimise`.
    threads : int, optional
        Refinements in parallel; one per processor by default.  The result does not depend on it.
    pieces : Pieces
        Store of finished refinements.
    progress : Progress, optional

    Raises
    ------
    CalibrationError
        No start could be simulated, or the method is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import calibrate, read_study
    >>> fit = calibrate(read_study(), rng=np.random.default_rng(1), starts=4, refine=1)
    >>> bool(fit.converged.all())
    True
    """
    likelihood, tell = likelihood_of(source), progress or no_progress
    tell("starts", 0, starts)
    few = likelihood.size <= SEARCHED
    points, answers = starting_points(likelihood, rng, starts, tried=TRIED if few else 1)
    simulated = np.isfinite(answers).all(axis=1)
    costs = np.where(simulated, -likelihood.log_density(points, answers), np.inf)
    tell("starts", starts, starts)
    if not simulated.any():
        raise CalibrationError(
            f"none of {starts} starts could be simulated; look at the priors with the command "
            "'beltcast check', their bounds may allow impossible values"
        )
    whole = method != "least_squares"
    order = _order(costs, chosen=starts // 2 if few else 0)
    by_rule = refine is None and not whole and few
    most = 1 if whole else len(order) if by_rule else min(refine or FIRST, len(order))
    # Only populations use random numbers; the others leave the generator unchanged.
    moving = rng.spawn(1)[0] if whole else rng

    def refined(task: range) -> list[Optimum]:
        def make() -> list[Optimum]:
            if whole:
                return [optimise(likelihood, points[order], method, rng=moving)]
            return refine_starts(likelihood, points[order[task]])

        return _kept(pieces, task, make)

    optima: list[Optimum] = []
    wanted = FIRST
    while len(optima) < most:
        batch = range(len(optima), min(wanted, most))
        side = 1 if likelihood.size > LEARNT else len(batch)
        tasks = (batch[k : k + side] for k in range(0, len(batch), side))
        for ends in side_by_side(refined, tasks, threads):
            for one in ends:
                optima.append(one)
                tell("refinements", len(optima), most)
        found = calibration_at(likelihood, costs, order[: len(optima)], optima, method)
        if by_rule and found.agreeing > 1 and found.expected_missed < FEW_ENOUGH:
            break
        wanted = max(len(optima) + FIRST, searches_needed(len(found.clusters())))
    if len(optima) < most:
        tell("refinements", len(optima), len(optima))
    return found


def _kept(pieces: Pieces, task: range, make: Callable[[], list[Optimum]]) -> list[Optimum]:
    """Refinements that are one piece of work."""

    def arrays() -> dict[str, ArrayLike]:
        found = enumerate(make())
        return {f"{k} {key}": value for k, one in found for key, value in vars(one).items()}

    name = " to ".join(str(k) for k in dict.fromkeys((task[0], task[-1])))
    made = pieces.take(f"refinement {name}", arrays)
    return [
        Optimum(
            theta=made[f"{k} theta"],
            cost=float(made[f"{k} cost"]),
            costs=made[f"{k} costs"],
            converged=bool(made[f"{k} converged"]),
        )
        for k in range(len(made) // len(fields(Optimum)))
    ]


def _order(costs: FloatArray, *, chosen: int) -> IntArray:
    """Starts that can be simulated: the best ones, then the others in order.

    The last `chosen` ones, of which there may be none, are the most probable of many: these by
    cost, in turn with the others in order.
    """
    possible = np.flatnonzero(np.isfinite(costs))
    by_cost = possible[np.argsort(costs[possible], kind="stable")]
    if not chosen:
        return np.concatenate([by_cost[:FIRST], np.setdiff1d(possible, by_cost[:FIRST])])
    most = by_cost[by_cost >= len(costs) - chosen]
    others = possible[possible < len(costs) - chosen]
    turn = np.concatenate([np.arange(len(most)) - 0.5, np.arange(len(others))])
    return np.concatenate([most, others])[np.argsort(turn, kind="stable")]


@one_blas_thread()
def calibrate_from(likelihood: Likelihood, start: FloatArray) -> Calibration:
    """Refine one start, such as the optimum of a fit to slightly different observations.

    Parameters
    ----------
    likelihood : Likelihood
    start : (size,)
        Moved inside the bounds if it lies on one.

    Returns
    -------
    Calibration
        With one start in its history.
    """
    lower, upper = likelihood.bounds()
    margin = np.minimum(1e-6, 0.25 * (upper - lower))
    start = np.clip(start, lower + margin, upper - margin)
    costs = -likelihood.log_density(start[None])
    # Least squares uses no random numbers.
    one = optimise(likelihood, start[None], rng=np.random.default_rng(0))
    return calibration_at(likelihood, costs, np.array([0]), [one], "least_squares")


def calibration_at(
    likelihood: Likelihood,
    start_costs: FloatArray,
    refined: IntArray,
    optima: Sequence[Optimum],
    method: FitMethod,
) -> Calibration:
    """Assemble a calibration: the best of its optima, with the curvature there.

    Parameters
    ----------
    likelihood : Likelihood
    start_costs : (starts,)
    refined : (k,) int
        Starts that ended in the optima.
    optima : sequence of Optimum
        At least one.
    method : str
        Method that found them.
    """
    best = min(optima, key=lambda one: one.cost)
    return Calibration(
        likelihood=likelihood,
        theta=best.theta,
        covariance=curvature_covariance(likelihood, best.theta),
        cost=best.cost,
        start_costs=start_costs,
        refined=refined,
        refined_costs=np.array([one.cost for one in optima]),
        evaluations=np.array([len(one.costs) for one in optima]),
        converged=np.array([one.converged for one in optima]),
        optima=tuple(optima),
        method=method,
    )


def log_evidence(
    likelihood: Likelihood, theta: FloatArray, covariance: FloatArray | None = None
) -> float:
    """Log probability of the observations by Laplace's method about a point.

    Parameters
    ----------
    likelihood : Likelihood
    theta : (size,)
        The optimum, or a point beside it.
    covariance : (size, size), optional
        By default the inverse of the curvature there.
    """
    n = likelihood.n_parameters
    if covariance is None:
        covariance = curvature_covariance(likelihood, theta)
    of_rows = likelihood.log_likelihood(theta[None]).sum()
    if likelihood.contrasts is not None:
        of_rows += likelihood.contrasts.log_density(theta[None, :n]).sum()
    of_parameters = likelihood.priors.log_density(theta[:n])
    of_nuisances = -0.5 * np.sum(theta[n:] ** 2 + np.log(2.0 * np.pi))
    volume = 0.5 * np.linalg.slogdet(2.0 * np.pi * covariance)[1]
    return float(of_rows + of_parameters + of_nuisances + volume)


def curvature_covariance(likelihood: Likelihood, theta: FloatArray) -> FloatArray:
    """Inverse of the curvature of the cost: Gauss-Newton, exact if scales are estimated.

    The Gauss-Newton curvature of a log scale is half of the true one, so there the gradient is
    differenced.
    """
    jacobian = likelihood.jacobian(theta)
    curvature = jacobian.T @ jacobian
    if likelihood.is_scaled and likelihood.size <= EXACT:
        steps = 1e-3 * np.sqrt(np.diag(np.linalg.inv(curvature)))

        def gradient(at: FloatArray) -> FloatArray:
            slope: FloatArray = likelihood.jacobian(at).T @ likelihood.residuals(at)
            return slope

        exact = np.array(
            [
                (gradient(theta + step * unit) - gradient(theta - step * unit)) / (2.0 * step)
                for step, unit in zip(steps, np.eye(len(theta)), strict=True)
            ]
        )
        exact = 0.5 * (exact + exact.T)
        # At a bound, or if a search has not converged, the curvature may be negative.
        if np.isfinite(exact).all() and np.linalg.eigvalsh(exact)[0] > 0:
            curvature = exact
    factor = np.linalg.cholesky(curvature)
    covariance: FloatArray = cho_solve((factor, True), np.eye(len(theta)))
    return covariance
