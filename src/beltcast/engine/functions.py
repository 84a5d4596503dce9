"""Each function of the language once: its value, its derivative, its source.

`PRIMITIVES` is what both back ends print: a name, the NumPy function that is its meaning, and the
rule for its derivative written in the same primitives.  `LANGUAGE` maps the functions of Vensim
onto primitives; those with a memory (stocks, delays, smooths) live in `beltcast.engine.memory`,
because they add rows.  `INPUTS` are functions of time.

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
    Primitive("uniform", lambda *keys: uniform_value(*keys), _flat),
)

MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15)
"""Multipliers of the mixing function of splitmix64 (Steele, Lea and Flood 2014), and its step."""


def uniform_value(*keys: FloatArray) -> FloatArray:
    """A number in [0, 1) that depends on the bits of the keys and on nothing else.

    Each key is mixed into a 64-bit state by the finaliser of splitmix64; the upper 53 bits are
    the number.  No generator is advanced, so a number does not depend on how many were drawn
    before it, on the order of members or on threads.
    """
    state = np.zeros(np.broadcast_shapes(*(k.shape for k in keys)), dtype=np.uint64)
    for key in keys:
        # + 0.0 makes -0.0 the same key as 0.0
        bits = (np.asarray(key, dtype=np.float64) + 0.0).view(np.uint64)
        state = (state ^ bits) + np.uint64(MIX[2])
        state = (state ^ (state >> np.uint64(30))) * np.uint64(MIX[0])
        state = (state ^ (state >> np.uint64(27))) * np.uint64(MIX[1])
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.int64).astype(np.float64) * 2.0**-53


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
        LanguageFunction(
            "LOG10", (1, 1), lambda x: apply("div", apply("log", x), const(math.log(10.0)))
        ),
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


def pulse_train_function(start: Node, width: Node, interval: Node, end: Node, step: Node) -> Node:
    """PULSE TRAIN(start, width, interval, end): a pulse every interval, until the end."""
    clock = Clock(frozen=True)
    since = apply("add", apply("sub", clock, start), const(SMALL))
    repeats = apply("gt", interval, const(0.0))
    every = apply("if", repeats, interval, const(1.0))
    past = apply("sub", since, apply("mul", every, apply("floor", apply("div", since, every))))
    place = apply("if", repeats, past, since)
    lasting = apply("max", width, step)
    on = apply("mul", apply("ge", since, const(0.0)), apply("lt", place, lasting))
    return apply("mul", on, apply("lt", clock, end))


INPUTS: Mapping[str, LanguageFunction] = {
    function.name: function
    for function in (
        # XMILE's PULSE: a quantity given within one step, at once or again and again.
        LanguageFunction(
            "XPULSE",
            (2, 2),
            lambda step, start, size: apply(
                "mul", apply("div", size, step), pulse_function(start, const(0.0), step)
            ),
        ),
        LanguageFunction(
            "XPULSE TRAIN",
            (3, 3),
            lambda step, start, interval, size: apply(
                "mul",
                apply("div", size, step),
                pulse_train_function(start, const(0.0), interval, const(np.inf), step),
            ),
        ),
        LanguageFunction(
            "STEP", (2, 2), lambda step, height, start: step_function(height, start, step)
        ),
        LanguageFunction(
            "RAMP", (2, 3), lambda step, slope, start, end=None: ramp_function(slope, start, end)
        ),
        LanguageFunction(
            "PULSE", (2, 2), lambda step, start, width: pulse_function(start, width, step)
        ),
        LanguageFunction(
            "PULSE TRAIN",
            (4, 4),
            lambda step, start, width, interval, end: pulse_train_function(
                start, width, interval, end, step
            ),
        ),
    )
}
"""Functions of time, and of the time step given first (which the arity does not count)."""


# --- vectors, written out in comparisons ------------------------------------------------------


def vector_select(
    pairs: Sequence[tuple[Node, Node]], missing: Node, action: Node, error: Node
) -> Node:
    """VECTOR SELECT over pairs of selection and expression.

    Actions: 0 sum, 1 product, 2 minimum, 3 maximum, 4 mean of selection times expression;
    5 product of expression to the power of selection (as Vensim does, not as its manual says);
    6 sum, 7 product, 8 minimum, 9 maximum, 10 mean of the expressions alone.  Selections of zero
    do not take part; where all are zero the result is `missing`.  An error action that asks for
    an error (1 none selected, 2 more than one, 3 either) gives NaN, which stops the run.
    """
    chosen = [apply("ne", s, const(0.0)) for s, _ in pairs]
    count = _fold("add")(*chosen)
    weighted = [apply("mul", s, e) for s, e in pairs]
    powers = [apply("pow", e, s) for s, e in pairs]
    plain = [e for _, e in pairs]

    def over(op: str, values: Sequence[Node], neutral: float) -> Node:
        kept = [apply("if", c, v, const(neutral)) for c, v in zip(chosen, values, strict=True)]
        return _fold(op)(*kept)

    def mean(values: Sequence[Node]) -> Node:
        return apply("div", over("add", values, 0.0), count)

    def results(number: int) -> Node:
        if number == 5:
            return over("mul", powers, 1.0)
        values = weighted if number < 5 else plain
        match number % 6 if number < 5 else number - 6:
            case 0:
                return over("add", values, 0.0)
            case 1:
                return over("mul", values, 1.0)
            case 2:
                return over("min", values, math.inf)
            case 3:
                return over("max", values, -math.inf)
        return mean(values)

    if isinstance(action, Const) and len(action.values) == 1 and action.values[0] in range(11):
        value = results(int(action.values[0]))
    else:
        value = const(math.nan)
        for number in range(11):
            value = apply("if", apply("eq", action, const(float(number))), results(number), value)
    none, many = apply("eq", count, const(0.0)), apply("gt", count, const(1.0))
    value = apply("if", none, missing, value)
    for condition, numbers in ((none, (1.0, 3.0)), (many, (2.0, 3.0))):
        asked = _or(*(apply("eq", error, const(n)) for n in numbers))
        value = apply("if", _and(condition, asked), const(math.nan), value)
    return value


def _rank(terms: Sequence[Node], which: int) -> Node:
    """Place of a term in ascending order, from 0; equal terms keep their order."""
    own = terms[which]
    before = [
        apply("le" if j < which else "lt", term, own) for j, term in enumerate(terms) if j != which
    ]
    return _fold("add")(const(0.0), *before)


def _pick_place(values: Sequence[Node], place: Node) -> Node:
    """The value whose number is `place`; NaN where there is none."""
    result: Node = const(math.nan)
    for number, value in enumerate(values):
        result = apply("if", apply("eq", place, const(float(number))), value, result)
    return result


def _turned(direction: Node, place: Node, count: int) -> Node:
    """A place counted from the other end where the direction is not positive."""
    other = apply("sub", const(count - 1.0), place)
    return apply("if", apply("gt", direction, const(0.0)), place, other)


def vector_rank(terms: Sequence[Node], place: Node, direction: Node) -> Node:
    """VECTOR RANK: 1 for the smallest if the direction is positive, for the largest if not."""
    ranks = [_rank(terms, i) for i in range(len(terms))]
    own = _turned(direction, _pick_place(ranks, place), len(terms))
    return apply("add", own, const(1.0))


def sort_order(terms: Sequence[Node], place: Node, direction: Node) -> Node:
    """VECTOR SORT ORDER: the number, from 0, of the element that comes at `place`."""
    wanted = _turned(direction, place, len(terms))
    result: Node = const(math.nan)
    for i in range(len(terms)):
        result = apply("if", apply("eq", _rank(terms, i), wanted), const(float(i)), result)
    return result


def vector_reorder(terms: Sequence[Node], order: Node) -> Node:
    """VECTOR REORDER: the element whose number, from 0, is `order`."""
    return _pick_place(terms, apply("trunc", order))


# --- chance -----------------------------------------------------------------------------------


def uniform_draw(u: Node, least: Node, most: Node) -> Node:
    """RANDOM UNIFORM(least, most)."""
    return apply("add", least, apply("mul", u, apply("sub", most, least)))


def normal_draw(u: Node, least: Node, most: Node, mean: Node, spread: Node) -> Node:
    """RANDOM NORMAL(least, most, mean, spread): a normal cut off at both ends.

    One number gives one draw, by the inverse of the distribution between the ends: Vensim draws
    again until a number falls between them, which has the same distribution.
    """
    low = normal_share(apply("div", apply("sub", least, mean), spread))
    high = normal_share(apply("div", apply("sub", most, mean), spread))
    share = apply("add", low, apply("mul", u, apply("sub", high, low)))
    # A share of 0 or 1 has no quantile.
    share = apply("min", apply("max", share, const(2.0**-54)), const(1.0 - 2.0**-53))
    value = apply("add", mean, apply("mul", spread, normal_quantile(share)))
    return apply("min", apply("max", value, least), most)


def exponential_draw(u: Node, least: Node, most: Node, shift: Node, stretch: Node) -> Node:
    """RANDOM EXPONENTIAL(least, most, shift, stretch): shift + stretch * Exp(1), cut off."""

    def share(x: Node) -> Node:
        z = apply("div", apply("sub", x, shift), stretch)
        inside = apply("sub", const(1.0), apply("exp", apply("neg", z)))
        return apply("if", apply("gt", z, const(0.0)), inside, const(0.0))

    low, high = share(least), share(most)
    level = apply("add", low, apply("mul", u, apply("sub", high, low)))
    tail = apply("max", apply("sub", const(1.0), level), const(2.0**-54))
    return apply("sub", shift, apply("mul", stretch, apply("log", tail)))


def _polynomial(x: Node, coefficients: Sequence[float]) -> Node:
    """Horner's rule, highest power first."""
    result: Node = const(coefficients[0])
    for c in coefficients[1:]:
        result = apply("add", apply("mul", result, x), const(c))
    return result


def normal_share(x: Node) -> Node:
    """Standard normal distribution function, to 1e-15 of the whole (Hart 1968, algorithm 5666)."""
    size = apply("min", apply("abs", x), const(37.0))
    e = apply("exp", apply("mul", const(-0.5), _square(size)))
    near = apply(
        "mul", e, apply("div", _polynomial(size, _HART_TOP), _polynomial(size, _HART_BOTTOM))
    )
    tail: Node = apply("add", size, const(0.65))
    for number in (4.0, 3.0, 2.0, 1.0):
        tail = apply("add", size, apply("div", const(number), tail))
    far = apply("div", e, apply("mul", tail, const(math.sqrt(2.0 * math.pi))))
    upper = apply("if", apply("lt", size, const(7.07106781186547)), near, far)
    return apply("if", apply("gt", x, const(0.0)), apply("sub", const(1.0), upper), upper)


def normal_quantile(p: Node) -> Node:
    """Standard normal quantile, to 1e-15 (Wichura 1988, algorithm AS 241)."""
    q = apply("sub", p, const(0.5))
    r = apply("sub", const(0.180625), _square(q))
    middle = apply("mul", q, apply("div", _polynomial(r, _AS241[0]), _polynomial(r, _AS241[1])))
    tail = apply("min", p, apply("sub", const(1.0), p))
    s = apply("sqrt", apply("neg", apply("log", tail)))
    near, far = apply("sub", s, const(1.6)), apply("sub", s, const(5.0))
    outer = apply(
        "if",
        apply("le", s, const(5.0)),
        apply("div", _polynomial(near, _AS241[2]), _polynomial(near, _AS241[3])),
        apply("div", _polynomial(far, _AS241[4]), _polynomial(far, _AS241[5])),
    )
    signed = apply("if", apply("lt", q, const(0.0)), apply("neg", outer), outer)
    return apply("if", apply("le", apply("abs", q), const(0.425)), middle, signed)


_HART_TOP = (
    3.52624965998911e-02,
    0.700383064443688,
    6.37396220353165,
    33.912866078383,
    112.079291497871,
    221.213596169931,
    220.206867912376,
)
_HART_BOTTOM = (
    8.83883476483184e-02,
    1.75566716318264,
    16.064177579207,
    86.7807322029461,
    296.564248779674,
    637.333633378831,
    793.826512519948,
    440.413735824752,
)
_AS241 = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ),
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)
