"""Profile likelihood: the best fit with one parameter held at each value of a grid.

Unlike the spectrum of `beltcast.inference.audit.identify` a profile does not assume that the log
likelihood is a parabola (Raue et al. 2009, Bioinformatics 25, 1923-1929).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, least_squares

from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.threads import side_by_side
from beltcast.errors import UnknownName, did_you_mean
from beltcast.inference.calibrate import Calibration, one_blas_thread
from beltcast.inference.likelihood import Likelihood
from beltcast.schema import Progress

CUT = 1.920729
"""Rise of the negative log likelihood that bounds a 95% interval: chi-squared(1) / 2."""


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
