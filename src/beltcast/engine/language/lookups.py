"""Graphical functions: their value, their derivative, and tables derived from other tables.

A table is a `beltcast.engine.syntax.Table`; its kind determines the values between its points and
beyond its ends.  The derivative of a table is a table again, one that holds between points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from beltcast.engine.language.primitives import Tangent, tangent_times
from beltcast.engine.nodes import FloatArray, LookupAt, Node, apply, const
from beltcast.engine.syntax import Table


def lookup_value(table: Table, x: FloatArray) -> FloatArray:
    """Value of a graphical function.

    Between knots it is ``y_k + m_k (x - x_k)`` with the slope of the segment, so a knot gives its
    own value exactly.  Outside, `interpolate` holds the end value (Vensim) and `extrapolate` goes
    on along the end segment (XMILE); `hold` keeps the value of the knot to the left throughout.
    """
    knots, heights, slopes = segments(table)
    place = np.maximum(np.searchsorted(knots, x, side="right") - 1, 0)
    if table.kind == "hold":  # no arithmetic: the first knot may lie at -inf
        return np.where(np.isnan(x), x, heights[place])
    place = np.minimum(place, len(slopes) - 1)
    value = heights[place] + slopes[place] * (x - knots[place])
    if table.kind == "extrapolate":
        return value
    value = np.where(x >= knots[-1], heights[-1], value)
    return np.where(x < knots[0], heights[0], value)


def segments(table: Table) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return knots (k,), heights (k,) and slopes (k-1,; one zero for a single knot)."""
    knots = np.asarray(table.x, dtype=np.float64)
    heights = np.asarray(table.y, dtype=np.float64)
    if len(knots) == 1:
        return knots, heights, np.zeros(1)
    if table.kind == "hold":
        return knots, heights, np.zeros(len(knots) - 1)
    return knots, heights, np.diff(heights) / np.diff(knots)


def slope_table(table: Table) -> Table:
    """Return the derivative of a graphical function, itself one that holds between knots.

    Outside the knots the slope is that of what `lookup_value` does there: zero where it holds the
    end value.
    """
    knots, _, slopes = segments(table)
    if table.kind == "extrapolate":
        x = (-math.inf, *knots[1:-1]) if len(knots) > 2 else (-math.inf,)
        return Table(x=tuple(map(float, x)), y=tuple(map(float, slopes)), kind="hold")
    x = (-math.inf, *knots)
    y = (0.0, *slopes, 0.0) if len(knots) > 1 else (0.0, 0.0)
    return Table(x=tuple(map(float, x)), y=tuple(map(float, y)), kind="hold")


def forward_table(table: Table) -> Table:
    """Return the staircase of LOOKUP FORWARD: the value of the point at or after the argument."""
    # Just past each point the value of the next one begins.
    x = (-math.inf, *(math.nextafter(knot, math.inf) for knot in table.x[:-1]))
    return Table(x, table.y, "hold")


def inverse_table(table: Table) -> Table:
    """Return the lookup that gives x for y (LOOKUP INVERT).

    Raises
    ------
    ValueError
        It neither rises nor falls throughout.
    """
    steps = np.diff(table.y)
    if np.all(steps > 0):
        return Table(table.y, table.x, table.kind)
    if np.all(steps < 0):
        return Table(table.y[::-1], table.x[::-1], table.kind)
    raise ValueError("which neither rises nor falls throughout")


def area_from_start(table: Table, x: Node) -> Node:
    """Area under a table from its first point to x, negative on the left of that point.

    Beyond the ends the values are those of `lookup_value`.  Each of the four staircases holds a
    value from its point on: the point, its height, the slope there, the area up to it.
    """
    knots, heights, slopes = segments(table)
    widths = np.diff(knots)
    pieces = widths * heights[:-1] + 0.5 * slopes[: len(widths)] * widths**2
    areas = np.concatenate([[0.0], np.cumsum(pieces)])
    beyond = table.kind == "extrapolate" and len(knots) > 1
    rising = [*slopes[: len(widths)], slopes[-1] if beyond else 0.0]
    before = slopes[0] if beyond else 0.0
    starts = (-math.inf, *map(float, knots))

    def held(values: Sequence[float], first: float) -> Node:
        return LookupAt(Table(starts, (float(first), *map(float, values)), "hold"), x)

    since = apply("sub", x, held(knots.tolist(), knots[0]))
    height, slope = held(heights.tolist(), heights[0]), held(rising, before)
    mean = apply("add", height, apply("mul", const(0.5), apply("mul", slope, since)))
    return apply("add", held(areas.tolist(), 0.0), apply("mul", mean, since))


def area_between(table: Table, start: Node, end: Node) -> Node:
    """LOOKUP AREA(lookup, start, end): the area under a table, the end values held beyond it."""
    return apply("sub", area_from_start(table, end), area_from_start(table, start))


def area_inside(table: Table, last: Node | None = None, first: Node | None = None) -> Node:
    """LOOKUPAREA of isee: the area between two arguments in either order.

    Beyond its ends a table has no area, unless it extrapolates.  Without `first` the area begins
    at the first point, without either it is that of the whole table.
    """
    ends = [const(table.x[0]) if first is None else first, const(table.x[-1])]
    if last is not None:
        ends[1] = last
    if table.kind != "extrapolate":
        low, high = const(table.x[0]), const(table.x[-1])
        ends = [apply("min", apply("max", end, low), high) for end in ends]
    return area_between(table, apply("min", *ends), apply("max", *ends))


def lookup_derivative(node: LookupAt, tangent: Tangent) -> Tangent:
    """Derivative of a graphical function: the slope of the segment in use."""
    return tangent_times(tangent, LookupAt(slope_table(node.table), node.argument))
