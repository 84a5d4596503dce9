"""Descent until hardly anything can be gained: adaptive nonlinear least squares within bounds.

The curvature of the cost is J'J + S.  Gauss and Newton leave out S, which estimated scales and poor
fits make large; here it is learnt from differences of gradients, and each step uses the one of the
two models that foretold the last step better (Dennis, Gay and Welsch 1981).  Steps are limited by a
trust region in units of the columns of J (Moré 1978) and follow the bend of a valley, by the second
derivative of the residuals along the step (Transtrum and Sethna 2012).  A bound that is reached is
kept until the gradient leads away from it.  Many descents go side by side: each states which
residuals or derivatives it needs next, and these are computed together.

A descent ends if the model promises less than `LEFT_TO_GAIN` units of log density.  Near an optimum
that is a distance of ``sqrt(2 LEFT_TO_GAIN)`` standard errors.

References
----------
Dennis, J. E., Gay, D. M. and Welsch, R. E. (1981): An adaptive nonlinear least-squares algorithm.
ACM Transactions on Mathematical Software 7(3), 348-368.
Moré, J. J. (1978): The Levenberg-Marquardt algorithm: implementation and theory. Lecture Notes in
Mathematics 630, 105-116.
Transtrum, M. K. and Sethna, J. P. (2012): Improvements to the Levenberg-Marquardt algorithm for
nonlinear least-squares minimization. arXiv:1201.5885.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import NamedTuple

import numpy as np

from beltcast.engine.nodes import FloatArray

LEFT_TO_GAIN = 1e-8
"""Promised decrease of the cost below which a descent ends."""

STALLED = 1e-4
"""Part of `LEFT_TO_GAIN` at which a descent ends even if the trust region has become small."""

MOST_EVALUATIONS = 200
"""Most evaluations of a descent."""


NEARBY = 0.1
"""Part of a step after which residuals tell how they bend along it."""


class Descent(NamedTuple):
    """End point of a descent, the cost of each evaluation, and whether nothing is left to gain."""

    x: FloatArray
    costs: FloatArray
    converged: bool


def descend(
    residuals: Callable[[FloatArray], FloatArray],
    jacobian: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
) -> Descent:
    """Descend from a point to the optimum of its valley.

    Parameters
    ----------
    residuals, jacobian : callable
        Of (n,): (m,) residuals, half of whose sum of squares is the cost, and their (m, n)
        derivatives.
    start : (n,)
        Within the bounds.
    bounds : two of (n,)
        Lower and upper bounds, infinite for none.

    Examples
    --------
    The valley of Rosenbrock, cut off before its end:

    >>> import numpy as np
    >>> found = descend(
    ...     lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]),
    ...     lambda x: np.array([[-20 * x[0], 10.0], [-1.0, 0.0]]),
    ...     np.array([-1.2, 1.0]),
    ...     (np.array([-2.0, -2.0]), np.array([0.5, 2.0])),
    ... )
    >>> found.x.round(3), found.converged
    (array([0.5 , 0.25]), True)
    """
    return descend_all(
        lambda x: np.array([residuals(one) for one in x]),
        lambda x: np.array([jacobian(one) for one in x]),
        start[None],
        bounds,
    )[0]


def descend_all(
    residuals: Callable[[FloatArray], FloatArray],
    jacobian: Callable[[FloatArray], FloatArray],
    starts: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
) -> list[Descent]:
    """Descend from several points side by side, each as `descend` does.

    Parameters
    ----------
    residuals, jacobian : callable
        As for `descend`, of several points: (k, n) -> (k, m) and (k, m, n).
    starts : (k, n)
    bounds : two of (n,)

    Examples
    --------
    >>> import numpy as np
    >>> found = descend_all(
    ...     lambda x: x**2 - 1.0,
    ...     lambda x: 2.0 * x[:, :, None],
    ...     np.array([[-3.0], [0.5]]),
    ...     (np.array([-np.inf]), np.array([np.inf])),
    ... )
    >>> [one.x.round(3).item() for one in found]
    [-1.0, 1.0]
    """
    courses = [_descent(start, bounds) for start in starts]
    asked = {k: next(course) for k, course in enumerate(courses)}
    ends: dict[int, Descent] = {}
    while asked:
        answers: dict[int, FloatArray] = {}
        for of_slopes, compute in ((False, residuals), (True, jacobian)):
            which = [k for k, (slopes, _) in asked.items() if slopes == of_slopes]
            if which:
                points = np.array([asked[k][1] for k in which])
                answers.update(zip(which, compute(points), strict=True))
        for k, answer in answers.items():
            try:
                asked[k] = courses[k].send(answer)
            except StopIteration as end:
                ends[k] = end.value
                del asked[k]
    return [ends[k] for k in range(len(courses))]


def _descent(
    start: FloatArray, bounds: tuple[FloatArray, FloatArray]
) -> Generator[tuple[bool, FloatArray], FloatArray, Descent]:
    """One descent; it yields whether derivatives are needed, and where."""
    lower, upper = bounds
    x = _inside(start, lower, upper)
    r, slope = (yield False, x), (yield True, x)
    cost = 0.5 * float(r @ r)
    costs = [cost]
    unit = np.full(len(x), 1e-12)
    learnt, use_learnt, radius = np.zeros((len(x), len(x))), False, float(np.sqrt(len(x)))
    while len(costs) < MOST_EVALUATIONS and radius > 0.0:
        gradient, normal = slope.T @ r, slope.T @ slope
        unit = np.maximum(unit, np.sqrt(np.diag(normal)))
        curvature = normal + learnt if use_learnt else normal
        step, inverse = _step(x, gradient, curvature, unit, radius, lower, upper)
        part = _room(x, step, lower, upper)
        whole = part == 1.0 and float(np.linalg.norm(unit * step)) < 0.99 * radius
        promised = _promise(part * step, gradient, curvature)
        if promised < LEFT_TO_GAIN and (whole or promised < LEFT_TO_GAIN * STALLED):
            return Descent(x, np.array(costs), True)
        if part == 1.0:
            nearby = yield False, x + NEARBY * step
            bent = _bend(nearby, step, r, slope, inverse)
            if np.linalg.norm(unit * bent) < 0.375 * np.linalg.norm(unit * step):
                step = step + bent
                part = _room(x, step, lower, upper)
        step = part * step
        new = _inside(x + step, lower, upper)
        r_new = yield False, new
        costs.append(0.5 * float(r_new @ r_new))
        gained, size = cost - costs[-1], float(np.linalg.norm(unit * step))
        if not gained > 0.0 and use_learnt:
            use_learnt = False
            continue
        if not gained > 0.25 * promised:
            radius = 0.25 * size
        elif gained > 0.75 * promised and not whole:
            radius = max(radius, 3.0 * size)
        if not gained > 0.0:
            continue
        slope_new = yield True, new
        change = slope_new.T @ r_new - gradient
        other = normal if use_learnt else normal + learnt
        foretold = _promise(step, gradient, other)
        if abs(foretold - gained) < abs(promised - gained) or len(costs) == 2:
            use_learnt = not use_learnt
        learnt = _learn(learnt, step, (slope_new - slope).T @ r_new, change)
        x, r, slope, cost = new, r_new, slope_new, costs[-1]
    return Descent(x, np.array(costs), False)


def _promise(step: FloatArray, gradient: FloatArray, curvature: FloatArray) -> float:
    """Decrease of the cost that a quadratic model foretells."""
    return -float(gradient @ step + 0.5 * step @ curvature @ step)


def _bend(
    nearby: FloatArray, step: FloatArray, r: FloatArray, slope: FloatArray, inverse: FloatArray
) -> FloatArray:
    """Half the acceleration along a step: the way in which the valley bends."""
    second = 2.0 / NEARBY * ((nearby - r) / NEARBY - slope @ step)
    bent: FloatArray = -0.5 * inverse @ (slope.T @ second)
    return bent


def _room(x: FloatArray, step: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Part of a step, at most 1, that ends within the bounds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(step > 0, (upper - x) / step, (lower - x) / step)
    return float(np.min(np.where(step != 0, room, np.inf), initial=1.0))


def _inside(x: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return a point within the bounds, on those that it misses by rounding."""
    near = 1e-12 * np.maximum(1.0, np.abs(x))
    return np.where(x <= lower + near, lower, np.where(x >= upper - near, upper, x))


def _step(
    x: FloatArray,
    gradient: FloatArray,
    curvature: FloatArray,
    unit: FloatArray,
    radius: float,
    lower: FloatArray,
    upper: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return a step within the trust region that no bound forbids, and the inverse curvature."""
    n = len(x)
    free = ~(((x <= lower) & (gradient >= 0)) | ((x >= upper) & (gradient <= 0)))
    while free.any():
        scaled = curvature[np.ix_(free, free)] / np.outer(unit[free], unit[free])
        inverse = np.zeros((n, n))
        inverse[np.ix_(free, free)] = _damped_inverse(gradient[free] / unit[free], scaled, radius)
        inverse /= np.outer(unit, unit)
        step = -inverse @ gradient
        out = free & (((x <= lower) & (step < 0)) | ((x >= upper) & (step > 0)))
        if not out.any():
            return step, inverse
        free &= ~out
    return np.zeros(n), np.zeros((n, n))


def _damped_inverse(gradient: FloatArray, curvature: FloatArray, radius: float) -> FloatArray:
    """Inverse of a curvature, damped so that the step has at most a radius."""
    values, vectors = np.linalg.eigh(curvature)
    along = vectors.T @ gradient
    floor = max(0.0, -float(values[0])) + 1e-14 * max(1.0, float(np.abs(values).max()))
    low = high = floor
    if float(np.linalg.norm(along / (values + floor))) > radius:
        high = floor + float(np.linalg.norm(along)) / radius
        for _ in range(60):
            middle = 0.5 * (low + high)
            if float(np.linalg.norm(along / (values + middle))) > radius:
                low = middle
            else:
                high = middle
    inverse: FloatArray = (vectors / (values + high)) @ vectors.T
    return inverse


def _learn(
    learnt: FloatArray, step: FloatArray, by_second: FloatArray, change: FloatArray
) -> FloatArray:
    """Correct the learnt curvature by a step; `change` of the gradient, a part by second order."""
    along = float(change @ step)
    if abs(along) <= 1e-8 * float(np.linalg.norm(change) * np.linalg.norm(step)):
        return learnt
    own = float(step @ learnt @ step)
    sized = learnt * min(1.0, abs(float(step @ by_second)) / abs(own)) if own else learnt
    gap = by_second - sized @ step
    outer = np.outer(gap, change) / along
    corrected: FloatArray = sized + outer + outer.T
    corrected -= float(step @ gap) / along**2 * np.outer(change, change)
    return corrected
