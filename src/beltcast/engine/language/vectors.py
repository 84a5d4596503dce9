"""Functions that choose or sort the elements of a vector, written out in comparisons.

Vensim's VECTOR SELECT, VECTOR SORT ORDER, VECTOR RANK and VECTOR REORDER: every element is compared
with every other, so that they are primitives like the rest, with derivatives, and no loop.
"""

from __future__ import annotations

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
    """Place of a term in ascending order, from 0; equal terms keep their order."""
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
