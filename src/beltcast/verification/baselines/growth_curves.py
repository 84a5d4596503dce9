"""Saturating baselines: logistic growth and Bass diffusion, by least squares.

The level of a year is assumed proportional to the adopters so far, ``F(t)``:

    logistic   F = 1 / (1 + exp(-(a + r (t - t_n))))
    Bass       F = (1 - exp(-(p + q) u)) / (1 + (q / p) exp(-(p + q) u)),   u = u_1 + t - t_1

so the log of the level changes by that of ``F``, and the size of the market drops out.  A handful
of observations cannot determine three parameters: the squares of the changes are added to those of
weak priors, the means for ``p`` and ``q`` from published fits (Sultan et al. 1990), the rest
judgement. Draws are from the normal at the least squares (Laplace), then a walk around the curve
from the last observation on, with the standard deviation of
`beltcast.verification.baselines.history`.

A change over a gap has the weight of its expected variance: a walk over that gap and the errors
of its two observations.  The walk's sd is at first that around a straight line, and then that
around the first fit.  Gaps need no filling.  With fewer than `FEWEST_POINTS` observations no bend
is visible, and both are the pooled growth of the panel.

References
----------
Bass, F. M. (1969): A new product growth for model consumer durables. Management Science 15,
215-227.
Sultan, F., Farley, J. U. and Lehmann, D. R. (1990): A meta-analysis of applications of diffusion
models. Journal of Marketing Research 27, 70-77.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from beltcast.engine.nodes import FloatArray
from beltcast.verification.baselines.history import (
    History,
    Request,
    Squares,
    about_drift,
    change_variance,
    draw_sd,
    same,
)
from beltcast.verification.baselines.random_walks import panel_growth, steps

FEWEST_POINTS = 3
"""Number of observations from which a curve is fitted."""


@dataclass(frozen=True)
class Curve:
    """A law of growth: log F at given years, and the weak priors of its parameters.

    ``log_share(theta, since, until)`` is (..., k) for parameters (..., d), years since the first
    observation (k,) and the span of the history.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.baselines.history import History, Request
    >>> from beltcast.verification.baselines.growth_curves import logistic
    >>> t = np.arange(2014, 2024)
    >>> history = History(t, 500 / (1 + np.exp(-0.5 * (t - 2018.0))), np.full(10, 0.01))
    >>> request = Request(history, np.array([2027]), size=2000)
    >>> bool(480 < np.median(logistic(request, rng=np.random.default_rng(1))) < 520)
    True
    """

    log_share: Callable[[FloatArray, FloatArray, float], FloatArray]
    mean: FloatArray
    sd: FloatArray

    def __call__(self, request: Request, *, rng: np.random.Generator) -> FloatArray:
        """Draw levels on the curve, as `history.Baseline`."""
        history, h, size = request.history, request.ahead, request.size
        if len(history.years) < FEWEST_POINTS:
            return panel_growth(request, rng=rng)
        variance, _ = change_variance(history, request.panel, about_drift)
        for _ in range(2):
            theta, root = _fit(self, history, variance)
            around = _about(self, theta, history)
            variance, df = change_variance(history, request.panel, around)
        sd = draw_sd(variance, df, size, rng)
        drawn = theta + rng.standard_normal((size, len(theta))) @ root.T
        since = np.concatenate([[history.span], history.span + h])
        log_share = self.log_share(drawn, since, history.span)
        trend = log_share[:, 1:] - log_share[:, :1]
        return request.levels(trend + sd[:, None] * steps(h, size, rng))


def _logistic_share(theta: FloatArray, since: FloatArray, span: float) -> FloatArray:
    a, r = theta[..., 0, None], np.exp(theta[..., 1, None])
    return -np.logaddexp(0.0, -(a + r * (since - span)))


def _bass_share(theta: FloatArray, since: FloatArray, span: float) -> FloatArray:
    p, q, u = (np.exp(theta[..., i, None]) for i in range(3))
    age = u + since
    rate: FloatArray = (p + q) * age
    return np.log(-np.expm1(-rate)) - np.log1p(q / p * np.exp(-rate))


logistic = Curve(_logistic_share, np.array([0.0, np.log(0.38)]), np.array([1.5, 0.5]))
"""Half of the market at the last observation, growth at the start as Bass's q."""

bass = Curve(_bass_share, np.log([0.03, 0.38, 5.0]), np.array([1.0, 0.5, 0.8]))
"""p and q of Sultan et al.; about five years old at the first observation."""


def _about(curve: Curve, theta: FloatArray, history: History) -> Squares:
    """Squared changes around a fitted curve; the other series of a panel keep their drift."""

    def squares(one: History) -> tuple[float, int]:
        if not same(one, history):
            return about_drift(one)
        rest = one.changes - _changes(curve, theta, one)
        # The priors determine the remaining parameters: two directions are visible in a bend.
        return float((rest**2 / one.gaps).sum()), max(len(one.gaps) - 2, 0)

    return squares


def _fit(curve: Curve, history: History, walk: float) -> tuple[FloatArray, FloatArray]:
    """Least squares parameters (d,) and a root of their covariance (d, d)."""
    noise = history.sds**2
    sd = np.sqrt(walk * history.gaps + noise[1:] + noise[:-1])

    def residuals(theta: FloatArray) -> FloatArray:
        rest = (history.changes - _changes(curve, theta, history)) / sd
        return np.concatenate([rest, (theta - curve.mean) / curve.sd])

    fit = least_squares(residuals, curve.mean)
    covariance = np.linalg.inv(fit.jac.T @ fit.jac)
    return np.asarray(fit.x), np.linalg.cholesky(covariance)


def _changes(curve: Curve, theta: FloatArray, history: History) -> FloatArray:
    since = (history.years - history.years[0]).astype(np.float64)
    return np.diff(curve.log_share(theta, since, history.span))
