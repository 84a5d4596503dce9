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
out. If a panel lends variance the degrees of freedom are more (`data.history`).  ``drift`` is log
drift's counterpart on levels, given that the level stays above `FLOOR` of the last.

One point: there is no growth of its own, so drifts and the damped trend take the panel's
(`data.history.panel_rate`) and the panel's variance; persistence takes the variance alone.  Two
points: the growth is their own, the variance is the panel's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.verification.baselines.history import (
    History,
    about_drift,
    about_last,
    ahead,
    change_variance,
    draw_sd,
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


def persistence(
    history: History,
    years: IntArray,
    *,
    panel: Sequence[History],
    size: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw levels that stay where they are except for chance; see `history.Baseline`.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.baselines.history import History
    >>> from beltcast.verification.baselines.random_walks import persistence
    >>> history = History(np.arange(2019, 2024), 100 * 1.1 ** np.arange(5.0), np.full(5, 0.05))
    >>> rng = np.random.default_rng(1)
    >>> draws = persistence(history, np.array([2024, 2025]), panel=[], size=4000, rng=rng)
    >>> [round(float(x)) for x in np.median(draws, axis=0)]
    [146, 146]
    """
    h = ahead(history, years)
    sd = draw_sd(*change_variance(history, panel, about_last), size, rng)
    return _levels(history, 0.0, sd, h, rng)


def log_drift(
    history: History,
    years: IntArray,
    *,
    panel: Sequence[History],
    size: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw levels that grow by the mean rate of the whole history; see the module."""
    if len(history.years) < 2:
        return panel_growth(history, years, panel=panel, size=size, rng=rng)
    h = ahead(history, years)
    sd = draw_sd(*change_variance(history, panel, about_drift), size, rng)
    growth = mean_growth(history) + sd / np.sqrt(history.span) * rng.standard_normal(size)
    return _levels(history, growth[:, None] * h, sd, h, rng)


def damped_drift(
    history: History,
    years: IntArray,
    *,
    panel: Sequence[History],
    size: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw levels whose growth starts at the mean rate of the history and fades.

    Log drift with ``S(h) = f + ... + f^h`` in place of h in its trend, ``f`` being `DAMPING`.

    References
    ----------
    Gardner, E. S. and McKenzie, E. (1985): Forecasting trends in time series. Management Science
    31, 1237-1246.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.baselines.history import History
    >>> from beltcast.verification.baselines.random_walks import DAMPING, damped_drift
    >>> history = History(np.array([2019, 2023]), np.array([100.0, 200.0]), np.full(2, 0.05))
    >>> rng = np.random.default_rng(1)
    >>> draws = damped_drift(history, np.array([2024]), panel=[], size=100_000, rng=rng)
    >>> bool(abs(np.median(np.log(draws / 200)) - DAMPING * np.log(2) / 4) < 0.005)
    True
    """
    h = ahead(history, years)
    sd = draw_sd(*change_variance(history, panel, about_drift), size, rng)
    if len(history.years) < 2:
        rate = panel_rate(panel)
        growth = rate.mean + rate.sd * rng.standard_normal(size)
    else:
        growth = mean_growth(history) + sd / np.sqrt(history.span) * rng.standard_normal(size)
    return _levels(history, growth[:, None] * faded(h), sd, h, rng)


def damped_trend(
    history: History,
    years: IntArray,
    *,
    panel: Sequence[History],
    size: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw levels whose recent growth fades, by `DAMPING` a year.

    The growth is the mean of the changes, weighted by the power of one half of the age of each in
    `HALF_LIFE`; ``V`` of the module's table is the variance of that mean in units of ``s^2``.  The
    sd is the one around the unweighted mean, so here t is an approximation.

    References
    ----------
    Gardner, E. S. and McKenzie, E. (1985): Forecasting trends in time series. Management Science
    31, 1237-1246.
    """
    h = ahead(history, years)
    sd = draw_sd(*change_variance(history, panel, about_drift), size, rng)
    if len(history.years) < 2:
        rate = panel_rate(panel)
        growth = rate.mean + rate.sd * rng.standard_normal(size)
    else:
        weight = 0.5 ** ((history.years[-1] - history.years[1:]) / HALF_LIFE)
        total = (weight * history.gaps).sum()
        mean = (weight * history.changes).sum() / total
        error = np.sqrt((weight**2 * history.gaps).sum()) / total
        growth = mean + sd * error * rng.standard_normal(size)
    return _levels(history, growth[:, None] * faded(h), sd, h, rng)


def panel_growth(
    history: History,
    years: IntArray,
    *,
    panel: Sequence[History],
    size: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw levels that grow by the current rate of the panel, whatever their own was."""
    h = ahead(history, years)
    rate = panel_rate(panel or (history,))
    sd = draw_sd(*change_variance(history, panel, about_drift), size, rng)
    growth = rate.mean + rate.sd * rng.standard_normal(size)
    return _levels(history, growth[:, None] * h, sd, h, rng)


def drift(
    history: History,
    years: IntArray,
    *,
    panel: Sequence[History],
    size: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw levels that rise by the mean amount of the whole history.

    A walk of the levels themselves, in units of the last one so that a panel can lend its variance.
    Paths that fall below `FLOOR` are drawn again.
    """
    h = ahead(history, years)
    variance, df = change_variance(history, panel, _about_line)
    last = float(history.values[-1])
    paths = np.full((size, len(h)), FLOOR)
    left = np.arange(size)
    for _ in range(100):
        sd = draw_sd(variance, df, len(left), rng)
        if len(history.years) < 2:
            rate = panel_rate(panel)
            slope = np.expm1(rate.mean + rate.sd * rng.standard_normal(len(left)))
        else:
            mean = (last - float(history.values[0])) / last / history.span
            slope = mean + sd / np.sqrt(history.span) * rng.standard_normal(len(left))
        tried = 1.0 + slope[:, None] * h + sd[:, None] * steps(h, len(left), rng)
        kept = (tried > FLOOR).all(axis=1)
        paths[left[kept]] = tried[kept]
        left = left[~kept]
        if not len(left):
            break
    return last * paths


def faded(h: FloatArray) -> FloatArray:
    """Years of growth that remain of h when growth fades: ``f + f^2 + ... + f^h``."""
    left: FloatArray = DAMPING * (1.0 - DAMPING**h) / (1.0 - DAMPING)
    return left


def steps(h: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    """Draws of a walk of unit variance a year, at the years h: (size, k)."""
    each = np.sqrt(np.diff(h, prepend=0.0))
    return np.cumsum(each * rng.standard_normal((size, len(h))), axis=1)


def _levels(
    history: History,
    trend: FloatArray | float,
    sd: FloatArray,
    h: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    change = trend + sd[:, None] * steps(h, len(sd), rng)
    return float(history.values[-1]) * np.exp(bounded(change))


def bounded(change: FloatArray) -> FloatArray:
    """Keep changes of the log within +-50, so that a draw from a t's far tail stays finite."""
    return np.clip(change, -50.0, 50.0)


def _about_line(history: History) -> tuple[float, int]:
    """Squared changes per year around the mean rise, in units of the last level."""
    if len(history.gaps) < 2:
        return 0.0, 0
    shares = history.values / history.values[-1]
    slope = (shares[-1] - shares[0]) / history.span
    rest = np.diff(shares) - slope * history.gaps
    return float((rest**2 / history.gaps).sum()), len(history.gaps) - 1
