"""Functions that choose or sort the elements of a vector, written out in comparisons.

Vensim's VECTOR SELECT, VECTOR SORT ORDER, VECTOR RANK and VECTOR REORDER: every element is compared
with every other, so that they are primitives like the rest, with derivatives, and no loop.  VECTOR
LOOKUP takes a vector for the heights of a graphical function, which may then change with time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from beltcast.engine.language.functions import LANGUAGE, fold
from beltcast.engine.nodes import Const, Node, apply, const, undefined


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
    count = fold("add")(*chosen)
    weighted = [apply("mul", s, e) for s, e in pairs]
    powers = [apply("pow", e, s) for s, e in pairs]
    plain = [e for _, e in pairs]

    def over(op: str, values: Sequence[Node], neutral: float) -> Node:
        kept = [apply("if", c, v, const(neutral)) for c, v in zip(chosen, values, strict=True)]
        return fold(op)(*kept)

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
            case _:
                return mean(values)

    if isinstance(action, Const) and len(action.values) == 1 and action.values[0] in range(11):
        value = results(int(action.values[0]))
    else:
        value = undefined()
        for number in range(11):
            value = apply("if", apply("eq", action, const(float(number))), results(number), value)
    none, many = apply("eq", count, const(0.0)), apply("gt", count, const(1.0))
    value = apply("if", none, missing, value)
    for condition, numbers in ((none, (1.0, 3.0)), (many, (2.0, 3.0))):
        asked = LANGUAGE[":OR:"].build(*(apply("eq", error, const(n)) for n in numbers))
        value = apply("if", apply("mul", condition, asked), undefined(), value)
    return value


def _rank(terms: Sequence[Node], which: int) -> Node:
    """Position of a term in ascending order, from 0; equal terms keep their order."""
    own = terms[which]
    before = [
        apply("le" if j < which else "lt", term, own) for j, term in enumerate(terms) if j != which
    ]
    return fold("add")(const(0.0), *before)


def _pick_place(values: Sequence[Node], place: Node, none: Node | None = None) -> Node:
    """The value whose number is `place`; NaN where there is none, unless `none` says what."""
    result: Node = undefined() if none is None else none
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
    result: Node = undefined()
    for i in range(len(terms)):
        result = apply("if", apply("eq", _rank(terms, i), wanted), const(float(i)), result)
    return result


def vector_reorder(terms: Sequence[Node], order: Node, none: Node | None = None) -> Node:
    """VECTOR REORDER: the element whose number, from 0, is `order`."""
    return _pick_place(terms, apply("trunc", order), none)


LOOKUP_MODES = (0, 1, 2, 3, 4, 5, 7, 8)
"""Modes of VECTOR LOOKUP; 6 and 9 are slopes, which the manual does not define at a point."""


def vector_lookup(values: Sequence[Node], x: Node, least: Node, most: Node, mode: int) -> Node:
    """VECTOR LOOKUP(vector, x, least, most, mode): heights at equal distances (Vensim's manual).

    Modes: 0 straight lines with the end values beyond, 1 the area from `least`, 2 the point at or
    before, 3 straight lines that go on beyond the ends, 4 the point at or after, 5 the argument
    that has the value `x`; 7 and 8 are 1 and 5 along lines that go on.  A vector that neither rises
    nor falls throughout has no inverse: NaN, which stops the run.
    """
    last = len(values) - 1
    width = apply("div", apply("sub", most, least), const(float(last)))
    if mode in (5, 8):
        place = _place_of(values, x, onwards=mode == 8)
        return apply("add", least, apply("mul", width, place))
    exact = apply("div", apply("sub", x, least), width)
    inside = _within(exact, 0.0, float(last))
    if mode in (2, 4):
        down = apply("floor", apply("neg", inside) if mode == 4 else inside)
        return _pick_place(values, apply("neg", down) if mode == 4 else down)
    at = inside if mode in (0, 1) else exact
    number = _within(apply("floor", at), 0.0, float(last - 1))
    rises = [apply("sub", b, a) for a, b in itertools.pairwise(values)]
    start, rise = _pick_place(values[:-1], number), _pick_place(rises, number)
    since = apply("sub", at, number)
    if mode in (0, 3):
        line = apply("add", start, apply("mul", since, rise))
        return apply("if", apply("eq", at, const(float(last))), values[-1], line)
    pieces = [apply("mul", const(0.5), apply("add", a, b)) for a, b in itertools.pairwise(values)]
    areas = [fold("add")(const(0.0), *pieces[:i]) for i in range(last)]
    mean = apply("add", start, apply("mul", const(0.5), apply("mul", since, rise)))
    area = apply("add", _pick_place(areas, number), apply("mul", since, mean))
    beyond = apply("sub", exact, at)
    end = apply("if", apply("lt", beyond, const(0.0)), values[0], values[-1])
    return apply("mul", width, apply("add", area, apply("mul", beyond, end)))


def _within(x: Node, low: float, high: float) -> Node:
    return apply("min", apply("max", x, const(low)), const(high))


def _place_of(values: Sequence[Node], height: Node, *, onwards: bool) -> Node:
    """Place, from 0, at which a vector that rises or falls throughout has a height."""
    rises = [apply("sub", b, a) for a, b in itertools.pairwise(values)]
    rising = fold("mul")(*(apply("gt", rise, const(0.0)) for rise in rises))
    falling = fold("mul")(*(apply("lt", rise, const(0.0)) for rise in rises))
    if not onwards:
        ends = values[0], values[-1]
        height = apply("min", apply("max", height, apply("min", *ends)), apply("max", *ends))
    place: Node = undefined()
    for i in reversed(range(len(rises))):
        safe = apply("if", apply("eq", rises[i], const(0.0)), const(1.0), rises[i])
        own = apply("add", const(float(i)), apply("div", apply("sub", height, values[i]), safe))
        before = apply(
            "if", rising, apply("le", height, values[i + 1]), apply("ge", height, values[i + 1])
        )
        place = own if i == len(rises) - 1 else apply("if", before, own, place)
    return apply("if", apply("max", rising, falling), place, undefined())
