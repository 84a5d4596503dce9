"""Each function of the language once: its value, its derivative, its source.

`PRIMITIVES` is what both back ends print: a name, the NumPy function that is its meaning, and the
rule for its derivative written in the same primitives.  `LANGUAGE` maps the functions of Vensim
onto primitives; those with a memory (stocks, delays, smooths) live in `beltcast.engine.program`,
because they add rows.

Kinks (MIN, MAX, IF THEN ELSE, lookups, ABS) take the derivative of the side in use; at a tie MIN
and MAX take that of their second argument.  Comparisons and steps have derivative zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beltcast.engine.nodes import Apply, Clock, Const, FloatArray, LookupAt, Node, apply, const
from beltcast.engine.syntax import Table

Tangent = Node | None
"""The derivative of a node in one direction; None where it is zero whatever the direction."""

SMALL = 1e-6
"""PySD and Vensim take a divisor below this for zero in XIDZ and ZIDZ."""


@dataclass(frozen=True)
class Primitive:
    """A function that both back ends know.

    Parameters
    ----------
    value : callable
        NumPy arrays in, array out, element by element.
    derivative : callable
        ``(arguments, result, tangents) -> tangent`` in nodes.
    """

    name: str
    value: Callable[..., FloatArray]
    derivative: Callable[[Sequence[Node], Node, Sequence[Tangent]], Tangent]


def tangent_sum(*terms: Tangent) -> Tangent:
    """Add tangents, leaving out those that are zero."""
    total: Tangent = None
    for term in terms:
        if term is not None:
            total = term if total is None else apply("add", total, term)
    return total


def tangent_times(tangent: Tangent, factor: Node) -> Tangent:
    """Scale a tangent."""
    return None if tangent is None else apply("mul", tangent, factor)


def _negative(tangent: Tangent) -> Tangent:
    return None if tangent is None else apply("neg", tangent)


def _or_zero(tangent: Tangent) -> Node:
    return const(0.0) if tangent is None else tangent


def _choose(condition: Node, yes: Tangent, no: Tangent) -> Tangent:
    if yes is None and no is None:
        return None
    return apply("if", condition, _or_zero(yes), _or_zero(no))


def _flat(_a: Sequence[Node], _r: Node, _d: Sequence[Tangent]) -> Tangent:
    return None


def _chain(
    slope: Callable[[Node, Node], Node],
) -> Callable[[Sequence[Node], Node, Sequence[Tangent]], Tangent]:
    """Rule of a function of one argument from its slope at (argument, result)."""

    def rule(a: Sequence[Node], r: Node, d: Sequence[Tangent]) -> Tangent:
        return None if d[0] is None else apply("mul", d[0], slope(a[0], r))

    return rule


def _divide_rule(a: Sequence[Node], r: Node, d: Sequence[Tangent]) -> Tangent:
    # d(x/y) = (dx - (x/y) dy) / y
    top = tangent_sum(d[0], _negative(tangent_times(d[1], r)))
    return None if top is None else apply("div", top, a[1])


def _power_rule(a: Sequence[Node], r: Node, d: Sequence[Tangent]) -> Tangent:
    # d(x^y) = y x^(y-1) dx + x^y ln(x) dy.  At x = 0, r/x has no value: the slope is 1 for y = 1,
    # 0 above and infinite below; and the second term is 0 where x^y is 0.
    x, y = a
    by_base: Tangent = None
    if d[0] is not None:
        at_zero = apply(
            "if",
            apply("gt", y, const(1.0)),
            const(0.0),
            apply("if", apply("eq", y, const(1.0)), const(1.0), const(math.inf)),
        )
        flat = apply("eq", y, const(0.0))
        slope = apply("if", apply("eq", x, const(0.0)), at_zero, apply("div", r, x))
        by_base = tangent_times(d[0], apply("if", flat, const(0.0), apply("mul", y, slope)))
    by_exponent: Tangent = None
    if d[1] is not None:
        log = apply("if", apply("gt", x, const(0.0)), apply("log", x), const(0.0))
        by_exponent = tangent_times(d[1], apply("mul", r, log))
    return tangent_sum(by_base, by_exponent)


def _truth(function: Callable[..., np.ndarray]) -> Callable[..., FloatArray]:
    def value(*arguments: FloatArray) -> FloatArray:
        return function(*arguments).astype(np.float64)

    return value


def _select(condition: FloatArray, yes: FloatArray, no: FloatArray) -> FloatArray:
    return np.where(condition != 0.0, yes, no)


def _square(node: Node) -> Node:
    return apply("mul", node, node)


def _one_minus_square(x: Node) -> Node:
    return apply("sub", const(1.0), _square(x))


_RULES: tuple[Primitive, ...] = (
    Primitive("add", np.add, lambda a, r, d: tangent_sum(d[0], d[1])),
    Primitive("sub", np.subtract, lambda a, r, d: tangent_sum(d[0], _negative(d[1]))),
    Primitive(
        "mul",
        np.multiply,
        lambda a, r, d: tangent_sum(tangent_times(d[0], a[1]), tangent_times(d[1], a[0])),
    ),
    Primitive("div", np.divide, _divide_rule),
    Primitive("neg", np.negative, lambda a, r, d: _negative(d[0])),
    Primitive("pow", np.power, _power_rule),
    Primitive(
        "min",
        np.minimum,
        lambda a, r, d: _choose(apply("lt", a[0], a[1]), d[0], d[1]),
    ),
    Primitive(
        "max",
        np.maximum,
        lambda a, r, d: _choose(apply("gt", a[0], a[1]), d[0], d[1]),
    ),
    Primitive("if", _select, lambda a, r, d: _choose(a[0], d[1], d[2])),
    Primitive("lt", _truth(np.less), _flat),
    Primitive("le", _truth(np.less_equal), _flat),
    Primitive("gt", _truth(np.greater), _flat),
    Primitive("ge", _truth(np.greater_equal), _flat),
    Primitive("eq", _truth(np.equal), _flat),
    Primitive("ne", _truth(np.not_equal), _flat),
    Primitive("floor", np.floor, _flat),
    Primitive("trunc", np.trunc, _flat),
    Primitive("exp", np.exp, _chain(lambda x, r: r)),
    Primitive("log", np.log, _chain(lambda x, r: apply("div", const(1.0), x))),
    Primitive("sqrt", np.sqrt, _chain(lambda x, r: apply("div", const(0.5), r))),
    Primitive(
        "abs",
        np.abs,
        lambda a, r, d: _choose(apply("lt", a[0], const(0.0)), _negative(d[0]), d[0]),
    ),
    Primitive("sin", np.sin, _chain(lambda x, r: apply("cos", x))),
    Primitive("cos", np.cos, _chain(lambda x, r: apply("neg", apply("sin", x)))),
    Primitive("tan", np.tan, _chain(lambda x, r: apply("add", const(1.0), _square(r)))),
    Primitive(
        "asin",
        np.arcsin,
        _chain(lambda x, r: apply("div", const(1.0), apply("sqrt", _one_minus_square(x)))),
    ),
    Primitive(
        "acos",
        np.arccos,
        _chain(lambda x, r: apply("div", const(-1.0), apply("sqrt", _one_minus_square(x)))),
    ),
    Primitive(
        "atan",
        np.arctan,
        _chain(lambda x, r: apply("div", const(1.0), apply("add", const(1.0), _square(x)))),
    ),
    Primitive("sinh", np.sinh, _chain(lambda x, r: apply("cosh", x))),
    Primitive("cosh", np.cosh, _chain(lambda x, r: apply("sinh", x))),
    Primitive("tanh", np.tanh, _chain(lambda x, r: _one_minus_square(r))),
)

PRIMITIVES: Mapping[str, Primitive] = {rule.name: rule for rule in _RULES}


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


def lookup_derivative(node: LookupAt, tangent: Tangent) -> Tangent:
    """Derivative of a graphical function: the slope of the segment in use."""
    return tangent_times(tangent, LookupAt(slope_table(node.table), node.argument))


# --- the language -----------------------------------------------------------------------------


def _not(x: Node) -> Node:
    return apply("eq", x, const(0.0))


def _and(x: Node, y: Node) -> Node:
    return apply("mul", apply("ne", x, const(0.0)), apply("ne", y, const(0.0)))


def _or(x: Node, y: Node) -> Node:
    return apply("max", apply("ne", x, const(0.0)), apply("ne", y, const(0.0)))


def _xidz(top: Node, bottom: Node, otherwise: Node) -> Node:
    small = apply("lt", apply("abs", bottom), const(SMALL))
    # Where the divisor is small the quotient is not used; dividing by 1 there keeps its
    # derivative finite, so that 0 * inf never enters the unused side.
    safe = apply("if", small, const(1.0), bottom)
    return apply("if", small, otherwise, apply("div", top, safe))


def _quantum(x: Node, step: Node) -> Node:
    rounded = apply("mul", step, apply("trunc", apply("div", x, step)))
    return apply("if", apply("lt", step, const(SMALL)), x, rounded)


def _power(x: Node, y: Node) -> Node:
    if isinstance(y, Const) and len(y.values) == 1 and y.values[0] == 2.0:
        return apply("mul", x, x)
    return apply("pow", x, y)


def _fold(op: str) -> Callable[..., Node]:
    """Join any number of nodes, as a tree of pairs: a chain would be as deep as it is long."""

    def build(*nodes: Node) -> Node:
        if len(nodes) == 1:
            return nodes[0]
        half = (len(nodes) + 1) // 2
        return apply(op, build(*nodes[:half]), build(*nodes[half:]))

    return build


def _same(op: str) -> Callable[..., Node]:
    def build(*arguments: Node) -> Node:
        return Apply(op, arguments)

    return build


@dataclass(frozen=True)
class LanguageFunction:
    """A function of the modelling language written in primitives."""

    name: str
    arity: tuple[int, int]
    build: Callable[..., Node]


LANGUAGE: Mapping[str, LanguageFunction] = {
    function.name: function
    for function in (
        LanguageFunction("+", (2, 2), _same("add")),
        LanguageFunction("-", (2, 2), _same("sub")),
        LanguageFunction("*", (2, 2), _same("mul")),
        LanguageFunction("/", (2, 2), _same("div")),
        LanguageFunction("^", (2, 2), _power),
        LanguageFunction("POWER", (2, 2), _power),
        LanguageFunction("negative", (1, 1), _same("neg")),
        LanguageFunction("=", (2, 2), _same("eq")),
        LanguageFunction("<>", (2, 2), _same("ne")),
        LanguageFunction("<", (2, 2), _same("lt")),
        LanguageFunction("<=", (2, 2), _same("le")),
        LanguageFunction(">", (2, 2), _same("gt")),
        LanguageFunction(">=", (2, 2), _same("ge")),
        LanguageFunction(":NOT:", (1, 1), _not),
        LanguageFunction(":AND:", (2, 2), _and),
        LanguageFunction(":OR:", (2, 2), _or),
        LanguageFunction("MIN", (2, 2), _same("min")),
        LanguageFunction("MAX", (2, 2), _same("max")),
        LanguageFunction("IF THEN ELSE", (3, 3), _same("if")),
        LanguageFunction("ABS", (1, 1), _same("abs")),
        LanguageFunction("EXP", (1, 1), _same("exp")),
        LanguageFunction("LN", (1, 1), _same("log")),
        LanguageFunction(
            "LOG", (2, 2), lambda x, b: apply("div", apply("log", x), apply("log", b))
        ),
        LanguageFunction("SQRT", (1, 1), _same("sqrt")),
        LanguageFunction("INTEGER", (1, 1), _same("trunc")),
        LanguageFunction("QUANTUM", (2, 2), _quantum),
        LanguageFunction("MODULO", (2, 2), lambda x, m: apply("sub", x, _quantum(x, m))),
        LanguageFunction("SIN", (1, 1), _same("sin")),
        LanguageFunction("COS", (1, 1), _same("cos")),
        LanguageFunction("TAN", (1, 1), _same("tan")),
        LanguageFunction("ARCSIN", (1, 1), _same("asin")),
        LanguageFunction("ARCCOS", (1, 1), _same("acos")),
        LanguageFunction("ARCTAN", (1, 1), _same("atan")),
        LanguageFunction("SINH", (1, 1), _same("sinh")),
        LanguageFunction("COSH", (1, 1), _same("cosh")),
        LanguageFunction("TANH", (1, 1), _same("tanh")),
        LanguageFunction("XIDZ", (3, 3), _xidz),
        LanguageFunction("ZIDZ", (2, 2), lambda x, y: _xidz(x, y, const(0.0))),
    )
}

REDUCTIONS: Mapping[str, Callable[..., Node]] = {
    "SUM": _fold("add"),
    "PROD": _fold("mul"),
    "VMIN": _fold("min"),
    "VMAX": _fold("max"),
}


def step_function(height: Node, start: Node, step: Node) -> Node:
    """STEP(height, start): height from the first step whose middle lies past the start (PySD)."""
    middle = apply("add", Clock(frozen=True), apply("mul", step, const(0.5)))
    return apply("mul", height, apply("gt", middle, start))


def ramp_function(slope: Node, start: Node, end: Node | None) -> Node:
    """RAMP(slope, start, end): grows with `slope` between start and end, level afterwards."""
    clock = Clock(frozen=True)
    running = apply("gt", clock, start)
    until = clock if end is None else apply("min", clock, end)
    return apply("mul", running, apply("mul", slope, apply("sub", until, start)))


def pulse_function(start: Node, width: Node, step: Node) -> Node:
    """PULSE(start, width): 1 from start for `width`, at least one step long."""
    clock = Clock(frozen=True)
    lasting = apply("max", width, step)
    begun = apply("le", apply("sub", start, const(SMALL)), clock)
    return apply("mul", begun, apply("lt", clock, apply("add", start, lasting)))
