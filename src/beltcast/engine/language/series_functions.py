"""Functions of a whole series, such as GET DATA AT TIME, written as graphical functions.

A series that is known when the model is read is a table; the functions of Vensim that look at it
at other times than now are lookups in that table, and so run on both back ends with derivatives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import sub

import numpy as np

from beltcast.engine.language.functions import fold
from beltcast.engine.language.lookups import forward_table
from beltcast.engine.nodes import MISSING, LookupAt, Node, apply, const
from beltcast.engine.syntax import Data, Table

SERIES_FUNCTIONS = {
    "GET DATA AT TIME": 2,
    "GET DATA BETWEEN TIMES": 3,
    "GET DATA FIRST TIME": 1,
    "GET DATA LAST TIME": 1,
    "GET DATA MAX": 3,
    "GET DATA MIN": 3,
    "GET DATA MEAN": 3,
    "TIME SHIFT": 2,
}
"""Functions of Vensim whose first argument is a data variable, and how many arguments each has."""


@dataclass(frozen=True)
class _Series:
    times: tuple[float, ...]
    values: tuple[float, ...]


def series_function(function: str, data: Data, arguments: list[Node], clock: Node) -> Node:
    """Return the value of a function of a series.

    Parameters
    ----------
    function : str
        One of `SERIES_FUNCTIONS`.
    data : Data
        Of one element; ``values`` has one axis.
    arguments : list of Node
        Those after the series.
    clock : Node
        The time.
    """
    known = ~np.isnan(data.values)
    series = _Series(tuple(data.times[known].tolist()), tuple(data.values[known].tolist()))
    if not series.times:
        return const(MISSING)
    match function:
        case "GET DATA FIRST TIME":
            return const(series.times[0])
        case "GET DATA LAST TIME":
            return const(series.times[-1])
        case "GET DATA AT TIME":
            return _at(series, data.method, arguments[0])
        case "TIME SHIFT":
            return _at(series, data.method, apply("add", clock, arguments[0]))
        case "GET DATA BETWEEN TIMES":
            return _between(series, *arguments)
        case _:
            return _over(function, series, *arguments)


def _at(series: _Series, method: str, time: Node) -> Node:
    """The series at a time, by its own method; beyond its ends the end value."""
    table = Table(series.times, series.values)
    match method:
        case "look forward":
            return LookupAt(forward_table(table), time)
        case "hold backward":
            return LookupAt(Table(series.times, series.values, "hold"), time)
        case "raw":
            here = apply("eq", LookupAt(Table(series.times, series.times, "hold"), time), time)
            held = LookupAt(Table(series.times, series.values, "hold"), time)
            return apply("if", here, held, const(MISSING))
        case _:
            return LookupAt(table, time)


def _between(series: _Series, time: Node, mode: Node) -> Node:
    """GET DATA BETWEEN TIMES: mode 0 a straight line, 1 the next point, -1 the one before.

    Vensim rounds the time down for the latter two, and before a point means before: at the time of
    a point itself it gives the one before that (published output of SDEverywhere's `getdata`).
    Before the first point and after the last the value is missing (fn_get_data_between_times).
    """
    table = Table(series.times, series.values)
    whole = apply("floor", time)
    after = LookupAt(forward_table(table), whole)
    count = max(len(series.times) - 1, 1)
    starts = (-math.inf, *(math.nextafter(t, math.inf) for t in series.times[1:count]))
    before = LookupAt(Table(starts, series.values[:count], "hold"), whole)
    forward = apply("if", apply("gt", mode, const(0.5)), after, LookupAt(table, time))
    value = apply("if", apply("lt", mode, const(-0.5)), before, forward)
    slack = 1e-5 * min(map(sub, series.times[1:], series.times), default=0.1)
    early = apply("lt", time, const(series.times[0] - slack))
    late = apply("gt", time, const(series.times[-1] + slack))
    return apply("if", apply("add", early, late), const(MISSING), value)


def _over(function: str, series: _Series, first: Node, last: Node) -> Node:
    """Largest, smallest or mean of the points from one time to another; missing without any."""
    inside = [
        apply("mul", apply("ge", const(t), first), apply("le", const(t), last))
        for t in series.times
    ]
    count = fold("add")(*inside)
    none = apply("eq", count, const(0.0))

    def joined(op: str, neutral: float) -> Node:
        values = (
            apply("if", i, const(v), const(neutral))
            for i, v in zip(inside, series.values, strict=True)
        )
        return fold(op)(*values)

    match function:
        case "GET DATA MAX":
            found = joined("max", -math.inf)
        case "GET DATA MIN":
            found = joined("min", math.inf)
        case _:
            safe = apply("if", none, const(1.0), count)
            found = apply("div", joined("add", 0.0), safe)
    return apply("if", none, const(MISSING), found)
