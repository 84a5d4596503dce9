"""Numbers that a model marks as missing, ``:NA:``: comparisons with them, and their product with 0.

In Vensim ``:NA:`` is the number -2^109 (its help, na.html): it equals itself, and 0 times it is 0,
which models rely on to leave out missing data (``flag * data``).  Here it is a NaN, which does
neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from beltcast.engine.lower.references import Scope
from beltcast.engine.lower.symbols import constant
from beltcast.engine.lower.walk import Walk
from beltcast.engine.nodes import Node, apply, const
from beltcast.engine.syntax import (
    COMPARISONS,
    Array,
    Call,
    Data,
    Expr,
    Number,
    Ref,
    Source,
    Table,
    Tables,
    canonical,
    walk_expression,
)


def compared_with_missing(
    walk: Walk, function: str, arguments: Sequence[Expr], scope: Scope
) -> Node:
    """``x = :NA:`` tests whether a number is missing; NaN alone does not compare equal."""
    if function not in ("=", "<>"):
        raise walk.refuse(f"a comparison '{function}' with :NA:", "ask by '=' or '<>'")
    other = next((a for a in arguments if not is_missing_itself(walk, a)), arguments[0])
    x = walk.node(other, scope)
    return apply("ne" if function == "=" else "eq", x, x)


def is_missing_itself(walk: Walk, expression: Expr) -> bool:
    """Whether an expression is ``:NA:``, or a constant that is nothing else."""
    if isinstance(expression, Ref):
        slot = walk.table.slots.get(canonical(expression.name))
        if slot is None or slot.kind != "constant":
            return False
        makers = {
            id(e): e
            for e in (walk.table.makers[r][0] for r in slot.rows.reshape(-1).tolist() if r >= 0)
        }
        values = [constant(e.expression) for e in makers.values()]
        return all(v is not None and bool(np.isnan(v).all()) for v in values)
    return isinstance(expression, Number) and bool(np.isnan(expression.value))


def product(walk: Walk, call: Call, scope: Scope) -> Node:
    """A product; 0 where one factor is 0 and the other missing."""
    walk.check_arity(call.function, (2, 2), call.arguments)
    a, b = walk.nodes(call.arguments, scope)
    found: Node = apply("mul", a, b)
    for factor, x, y in zip(call.arguments, (a, b), (b, a), strict=True):
        if _is_unsure(factor, walk.table.unsure):
            nothing = apply("mul", apply("ne", x, x), apply("eq", y, const(0.0)))
            found = apply("if", nothing, const(0.0), found)
    return found


def unsure_names(source: Source) -> frozenset[str]:
    """Return the canonical names of variables whose value may be missing."""
    equations = [(canonical(e.name), e.expression) for e in source.equations]
    found: frozenset[str] = frozenset()
    if not any(_marks(node) for _, own in equations for node in walk_expression(own)):
        return found
    while True:
        more = frozenset(name for name, own in equations if _is_unsure(own, found))
        if more <= found:
            return found
        found |= more


def _marks(expression: Expr) -> bool:
    match expression:
        case Number(value):
            return bool(np.isnan(value))
        case Data(method=method):
            return method == "raw"
        case Call(function=function):
            return function == "INTERNAL RATE OF RETURN"
        case Array() | Ref() | Table() | Tables():
            return False


def _is_unsure(expression: Expr, unsure: frozenset[str]) -> bool:
    match expression:
        case Ref(name):
            return canonical(name) in unsure
        case Call(function, arguments):
            below = any(_is_unsure(a, unsure) for a in arguments)
            return function not in COMPARISONS and (below or _marks(expression))
        case Data(of=Ref(name)) if canonical(name) in unsure:
            return True
        case Number() | Array() | Table() | Tables() | Data():
            return _marks(expression)
