"""A published series as known at an origin, and quantities pooled over many series.

A series of annual observations has 1 to 10 points here, often with years missing.  It is modelled
as a walk of its logs: the change over a gap of `Delta` years has the variance ``sigma^2 Delta``, so
that gaps count by their length and no value is invented to fill them.  A short series hardly
informs its own variance, so it is pooled with that of the other series of the panel, by the
conjugate rule of a normal variance:

    sigma^2 ~ scaled inverse chi-squared,
    df    = lent + own df,
    scale = (lent * panel variance + own sum of squares) / df

with `lent` = `LENT` degrees of freedom (Gelman et al., Bayesian Data Analysis, 3rd ed., 2.6).
Without a panel, and with three own degrees of freedom or more, nothing is lent and
the rule is the textbook's t; below three, a default is lent in place of the panel.

The errors of the observations (``sds``) are not subtracted from the changes: a forecast of an
observation must include the noise of publication, and the changes of observations do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.errors import InputError

LENT = 4.0
"""Degrees of freedom that a panel lends to the variance of a series (a judgement)."""

DEFAULT_SD = 0.2
"""Default log sd of a year's change, if neither series nor panel inform it (a judgement)."""

GROWTH_SPREAD = 0.15
"""Prior sd between series of their log growth (a judgement)."""

RECENT = 4
"""Years back from the panel's newest observation within which a growth rate counts as current."""


@dataclass(frozen=True, eq=False)
class History:
    """One published series as known at an origin.

    Parameters
    ----------
    years : (n,) of int  [Year]
        Ascending; years may be missing; at least one.
    values : (n,)
        Positive levels, in any unit.
    sds : (n,)
        Log sd of each observation, from its grade and vintage.

    Raises
    ------
    InputError
        The arrays have different lengths, or a level is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.baselines.history import History
    >>> one = History(np.array([2018, 2020]), np.array([100.0, 144.0]), np.array([0.05, 0.05]))
    >>> [round(float(x), 6) for x in np.exp(one.changes / one.gaps)]
    [1.2]
    """

    years: IntArray
    values: FloatArray
    sds: FloatArray

    def __post_init__(self) -> None:
        n = len(self.years)
        if n < 1 or not len(self.values) == len(self.sds) == n:
            raise InputError(
                f"a history has {n} years, {len(self.values)} values and {len(self.sds)} sds; "
                "expected as many of each, and at least one"
            )
        if (np.diff(self.years) <= 0).any():
            raise InputError("the years of a history do not ascend; sort them and keep one of each")
        if not (np.isfinite(self.values).all() and (self.values > 0).all()):
            raise InputError("a history holds a level that is not above 0; leave such values out")

    @property
    def logs(self) -> FloatArray:
        """Logs of the levels, (n,)."""
        logs: FloatArray = np.log(self.values)
        return logs

    @property
    def gaps(self) -> FloatArray:
        """Years between neighbouring observations, (n - 1,)."""
        return np.diff(self.years).astype(np.float64)

    @property
    def changes(self) -> FloatArray:
        """Changes of the log between neighbouring observations, (n - 1,)."""
        return np.diff(self.logs)

    @property
    def span(self) -> float:
        """Years between the first and the last observation."""
        return float(self.years[-1] - self.years[0])


@dataclass(frozen=True, eq=False)
class Request:
    """A request to a baseline: draws of later years of one series.

    Attributes
    ----------
    history : History
        The series to continue.
    years : (k,) of int  [Year]
        Ascending, all after the last year of the history.
    panel : sequence of History
        All series known at the origin; the history itself may be among them.
    size : int
        Number of draws.

    Raises
    ------
    InputError
        There is no year, or the years are not as described.
    """

    history: History
    years: IntArray
    panel: Sequence[History] = ()
    size: int = 1000

    def __post_init__(self) -> None:
        h = self.ahead
        if len(h) < 1 or (h <= 0).any() or (np.diff(h) <= 0).any():
            raise InputError(
                f"the years to forecast are {[int(y) for y in self.years]}; expected ascending "
                f"years after {int(self.history.years[-1])}, the last of the history"
            )

    @property
    def ahead(self) -> FloatArray:
        """Years from the last observation to each requested year, (k,), all positive."""
        return np.asarray(self.years, dtype=np.float64) - float(self.history.years[-1])

    def sds(self, squares: Squares, rng: np.random.Generator) -> FloatArray:
        """Draws of the sd of a year's change, (size,)."""
        variance, df = change_variance(self.history, self.panel, squares)
        return draw_sd(variance, df, self.size, rng)

    def levels(self, change: FloatArray) -> FloatArray:
        """Levels after changes of the log, within +-50 so that a t's far tail stays finite."""
        return float(self.history.values[-1]) * np.exp(np.clip(change, -50.0, 50.0))


class Baseline(Protocol):
    """A forecaster that uses published series only."""

    def __call__(self, request: Request, *, rng: np.random.Generator) -> FloatArray:
        """Draw the published level of later years.

        Returns
        -------
        (size, k)
            In the unit of the history; a row is one joint draw.
        """


Squares = Callable[[History], tuple[float, int]]
"""Sum of squared changes per year around some rule, and its degrees of freedom."""


@dataclass(frozen=True)
class Rate:
    """Log growth a year in a panel: its mean, and its sd for a further series."""

    mean: float
    sd: float


def same(one: History, other: History) -> bool:
    """Whether two histories have the same values; a panel may contain the series itself."""
    return np.array_equal(one.years, other.years) and np.array_equal(one.values, other.values)


def about_last(history: History) -> tuple[float, int]:
    """Squared changes per year of a walk without drift; n - 1 degrees of freedom."""
    return float((history.changes**2 / history.gaps).sum()), len(history.gaps)


def about_drift(history: History) -> tuple[float, int]:
    """Squared changes per year around the mean growth; n - 2 degrees of freedom."""
    if len(history.gaps) < 2:
        return 0.0, 0
    rest = history.changes - mean_growth(history) * history.gaps
    return float((rest**2 / history.gaps).sum()), len(history.gaps) - 1


def mean_growth(history: History) -> float:
    """Log growth a year from first to last: the least squares drift of a walk with gaps."""
    return float(history.changes.sum() / history.span)


def change_variance(
    history: History, panel: Sequence[History], squares: Squares
) -> tuple[float, float]:
    """Variance of a year's change and its degrees of freedom, own and lent (see the module).

    Parameters
    ----------
    history : History
    panel : sequence of History
        All but the history itself lend.
    squares : callable
        `about_last`, `about_drift` or similar.
    """
    own, df = squares(history)
    found = [squares(other) for other in panel if not same(history, other)]
    total = sum(n for _, n in found)
    if total:
        lent, weight = sum(s for s, _ in found) / total, LENT
    elif df < 3:
        lent, weight = DEFAULT_SD**2, LENT
    else:
        lent, weight = 0.0, 0.0
    return (weight * lent + own) / (weight + df), weight + df


def draw_sd(variance: float, df: float, size: int, rng: np.random.Generator) -> FloatArray:
    """Draws of the sd of a year's change, (size,): scaled inverse chi-squared."""
    sd: FloatArray = np.sqrt(variance * df / rng.chisquare(df, size))
    return sd


def panel_rate(panel: Sequence[History]) -> Rate:
    """Current growth of the series of a panel, pooled as random effects.

    Each series gives its growth over the last `RECENT` years, with the variance of a walk over that
    span.  The variance between series is DerSimonian and Laird's, pooled with `GROWTH_SPREAD` as if
    it came from `LENT` more series: two series that happen to agree would otherwise make every
    other one certain.

    References
    ----------
    DerSimonian, R. and Laird, N. (1986): Meta-analysis in clinical trials. Controlled Clinical
    Trials 7, 177-188.
    """
    newest = max((int(one.years[-1]) for one in panel), default=0)
    recent = [cut for one in panel if len((cut := _since(one, newest - RECENT)).years) > 1]
    recent = recent or [one for one in panel if len(one.years) > 1]
    if not recent:
        return Rate(0.0, GROWTH_SPREAD)
    found = [about_drift(one) for one in recent]
    df = sum(n for _, n in found)
    variance = sum(s for s, _ in found) / df if df else DEFAULT_SD**2
    growth = np.array([mean_growth(one) for one in recent])
    weight = np.array([one.span for one in recent]) / max(variance, 1e-12)
    between = _between(growth, weight)
    weight = 1.0 / (1.0 / weight + between)
    return Rate(
        float((weight * growth).sum() / weight.sum()), float(np.sqrt(between + 1.0 / weight.sum()))
    )


def _since(history: History, year: int) -> History:
    kept = history.years >= year
    if not kept.any():
        kept[-1] = True
    return History(history.years[kept], history.values[kept], history.sds[kept])


def _between(growth: FloatArray, weight: FloatArray) -> float:
    """DerSimonian and Laird's variance between series, pooled with the default."""
    df = len(growth) - 1
    if df < 1:
        return GROWTH_SPREAD**2
    mean = (weight * growth).sum() / weight.sum()
    excess = (weight * (growth - mean) ** 2).sum() - df
    found = max(excess / (weight.sum() - (weight**2).sum() / weight.sum()), 0.0)
    return float((LENT * GROWTH_SPREAD**2 + df * found) / (LENT + df))
