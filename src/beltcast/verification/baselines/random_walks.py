"""Baselines that continue from the last observation: walks without drift, or with one.

With ``z`` the log of the level, ``T`` the years from the first to the last and ``m`` the
changes between observations, ``h`` years ahead:

============  ========================================================  =====
forecaster    z(h) - z(0) is distributed as                             df
============  ========================================================  =====
persistence   t s sqrt(h)                                               m
log drift     g h + t s sqrt(h + h^2 / T),  g = (z_n - z_1) / T         m - 1
damped drift  g S(h) + t s sqrt(h + S(h)^2 / T),  S(h) = f + ... + f^h  m - 1
damped trend  the same with a recent g, and V in place of 1 / T         m - 1
panel growth  N(G, G_sd) h + t s sqrt(h)                                m - 1
============  ========================================================  =====

``s^2`` is the mean square of the changes per year (around zero for persistence, else around ``g``),
so gaps count by their length.  The first two are exact for a walk with normal steps: Hyndman and
Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 5.5, with the variance integrated
out. If a panel lends variance the degrees of freedom are more (`history`).  ``drift`` is log
drift's counterpart on levels, given that the level stays above `FLOOR` of the last.

One point: there is no growth of its own, so drifts and the damped trend take the panel's
(`history.panel_rate`) and the panel's variance; persistence takes the variance alone.  Two
points: the growth is their own, the variance is the panel's.

References
----------
Gardner, E. S. and McKenzie, E. (1985): Forecasting trends in time series. Management Science 31,
1237-1246.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.verification.baselines.history import (
    History,
    Request,
    about_drift,
    about_last,
    mean_growth,
    panel_rate,
)

DAMPING = 0.9
"""Share of a growth rate that remains a year later.  The middle of the range 0.8 to 0.98 of Hyndman
and Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 8.2, to one digit.  Series that
are not in the study agree: three e-commerce series pooled give 0.91 with a standard deviation of
0.05 (``docs/damping.py``, docs/evidence-drivers.md).  Series of a few observations cannot determine
it, and the scores of the backtest did not enter."""

HALF_LIFE = 2.0
"""Years after which a past growth rate has half its weight in the damped trend (a judgement)."""

FLOOR = 0.1
"""Smallest level of the walk on levels, as a part of the last level."""


@dataclass(frozen=True)
class RandomWalk:
    """A walk of the logs from the last level on, with a growth rate that is drawn; see the module.

    Attributes
    ----------
    own : callable, optional
        Mean growth of a history and its standard errors, for draws of the sd.  Without it, and for
        a single observation, the growth is that of the panel.
    fades : bool
        Whether growth fades by `DAMPING` a year: ``S(h)`` in place of h in the trend.
    """

    own: Callable[[History, FloatArray], tuple[float, FloatArray]] | None = None
    fades: bool = False

    def __call__(self, request: Request, *, rng: np.random.Generator) -> FloatArray:
        """Draw levels, as `history.Baseline`."""
        history, h, size = request.history, request.ahead, request.size
        sds = request.sds(about_drift, rng)
        own = self.own if len(history.years) > 1 else None
        mean, errors = _of_panel(request) if own is None else own(history, sds)
        growth = mean + errors * rng.standard_normal(size)
        years = faded(h) if self.fades else h
        return request.levels(growth[:, None] * years + sds[:, None] * steps(h, size, rng))


def whole_growth(history: History, sds: FloatArray) -> tuple[float, FloatArray]:
    """Growth a year over the whole history, and its standard errors."""
    return mean_growth(history), sds / np.sqrt(history.span)


def recent_growth(history: History, sds: FloatArray) -> tuple[float, FloatArray]:
    """Mean of the changes, weighted by one half to the power of the age of each in `HALF_LIFE`.

    The variance of that mean in units of ``s^2`` is ``V`` of the module's table.  The sd is the one
    around the unweighted mean, so here t is an approximation.
    """
    weight = 0.5 ** ((history.years[-1] - history.years[1:]) / HALF_LIFE)
    total = (weight * history.gaps).sum()
    error = np.sqrt((weight**2 * history.gaps).sum()) / total
    return (weight * history.changes).sum() / total, sds * error


log_drift = RandomWalk(whole_growth)
"""Levels that grow by the mean rate of the whole history."""

damped_drift = RandomWalk(whole_growth, fades=True)
"""Levels whose growth starts at the mean rate of the whole history and fades."""

damped_trend = RandomWalk(recent_growth, fades=True)
"""Levels whose recent growth fades (Gardner and McKenzie 1985)."""

panel_growth = RandomWalk()
"""Levels that grow by the current rate of the panel, whatever their own was."""


def persistence(request: Request, *, rng: np.random.Generator) -> FloatArray:
    """Draw levels that change only by chance; see `history.Baseline`.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.baselines.history import History, Request
    >>> from beltcast.verification.baselines.random_walks import persistence
    >>> history = History(np.arange(2019, 2024), 100 * 1.1 ** np.arange(5.0), np.full(5, 0.05))
    >>> request = Request(history, np.array([2024, 2025]), size=4000)
    >>> draws = persistence(request, rng=np.random.default_rng(1))
    >>> [round(float(x)) for x in np.median(draws, axis=0)]
    [146, 146]
    """
    sds = request.sds(about_last, rng)
    return request.levels(sds[:, None] * steps(request.ahead, request.size, rng))


def drift(request: Request, *, rng: np.random.Generator) -> FloatArray:
    """Draw levels that rise by the mean amount of the whole history.

    A walk of the levels themselves, in units of the last one so that a panel can lend its variance.
    Paths that fall below `FLOOR` are drawn again.
    """
    history, h = request.history, request.ahead
    last = float(history.values[-1])
    paths = np.full((request.size, len(h)), FLOOR)
    left = np.arange(request.size)
    for _ in range(100):
        again = replace(request, size=len(left))
        sds = again.sds(_about_line, rng)
        z = rng.standard_normal(len(left))
        if len(history.years) < 2:
            mean, errors = _of_panel(again)
            slope = np.expm1(mean + errors * z)
        else:
            mean = (last - float(history.values[0])) / last / history.span
            slope = mean + sds / np.sqrt(history.span) * z
        tried = 1.0 + slope[:, None] * h + sds[:, None] * steps(h, len(left), rng)
        kept = (tried > FLOOR).all(axis=1)
        paths[left[kept]] = tried[kept]
        left = left[~kept]
        if not len(left):
            break
    return last * paths


def _of_panel(request: Request) -> tuple[float, FloatArray]:
    """Growth of the panel, and its standard deviation for another series, for each draw."""
    rate = panel_rate(request.panel or (request.history,))
    return rate.mean, np.full(request.size, rate.sd)


def faded(h: FloatArray) -> FloatArray:
    """Years of growth that remain of h when growth fades: ``f + f^2 + ... + f^h``."""
    left: FloatArray = DAMPING * (1.0 - DAMPING**h) / (1.0 - DAMPING)
    return left


def steps(h: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    """Draws of a walk of unit variance a year, at the years h: (size, k)."""
    each = np.sqrt(np.diff(h, prepend=0.0))
    return np.cumsum(each * rng.standard_normal((size, len(h))), axis=1)


def _about_line(history: History) -> tuple[float, int]:
    """Squared changes per year around the mean rise, in units of the last level."""
    if len(history.gaps) < 2:
        return 0.0, 0
    shares = history.values / history.values[-1]
    slope = (shares[-1] - shares[0]) / history.span
    rest = np.diff(shares) - slope * history.gaps
    return float((rest**2 / history.gaps).sum()), len(history.gaps) - 1
