"""Calls of functions over a range: sums, and vectors that are selected, sorted and looked up."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from beltcast.engine.language.functions import REDUCTIONS
from beltcast.engine.language.vectors import (
    LOOKUP_MODES,
    sort_order,
    vector_lookup,
    vector_rank,
    vector_reorder,
    vector_select,
)
from beltcast.engine.lower.references import Scope
from beltcast.engine.lower.walk import TablesDiffer, Walk, marked_in, references_in
from beltcast.engine.nodes import MISSING, Const, Load, Node, apply, const
from beltcast.engine.program import Block
from beltcast.engine.syntax import Call, Expr, Number, Ref, canonical

WRITTEN_OUT = 64
"""Terms of a SUM that are written out; longer ones are loops, which compile in constant time."""


def reduction_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """SUM and similar functions, over the ranges marked with '!' anywhere below."""
    walk.check_arity(call.function, (1, 1), call.arguments)
    (argument,) = call.arguments
    marked = marked_in(argument)
    if not marked:
        raise walk.refuse(f"{call.function} without a subscript marked '!'", "mark the range")
    if math.prod(len(walk.table.expand(walk.equation, m[:-1])) for m in marked) > WRITTEN_OUT:
        try:
            return _long_reduction(walk, call.function, argument, marked, scope)
        except TablesDiffer:
            pass  # one lookup per element: no loop is possible
    terms = [walk.node(argument, inner) for inner in walk.inner_scopes(marked, scope)]
    return REDUCTIONS[call.function](*terms)


def _long_reduction(
    walk: Walk, function: str, argument: Expr, marked: Sequence[str], scope: Scope
) -> Node:
    """Sum rows of terms pairwise: a loop for each level instead of one long expression."""
    axes = [walk.table.expand(walk.equation, m[:-1]) for m in marked]
    elements = list(itertools.product(*axes))
    n, name = walk.n, walk.equation.name
    spread: Scope = {
        **{s: list(e) * len(elements) for s, e in scope.items()},
        **{
            canonical(m): [element[i] for element in elements for _ in range(n)]
            for i, m in enumerate(marked)
        },
    }
    whole = walk.over(len(elements) * n)
    node = whole.node(argument, spread)
    rows = walk.parts.new_rows(len(elements) * n).reshape(-1, n)
    walk.parts.auxiliaries.append(Block(name, (rows.reshape(-1),), (node,)))
    while len(rows) > 1:
        half = (len(rows) + 1) // 2
        pairs = len(rows) - half
        sides = (Load(rows[:pairs].reshape(-1)), Load(rows[half:].reshape(-1)))
        joined = walk.parts.new_rows(pairs * n)
        walk.parts.auxiliaries.append(Block(name, (joined,), (REDUCTIONS[function](*sides),)))
        rows = np.concatenate([joined.reshape(-1, n), rows[pairs:half]])
    return Load(rows[0])


def rank_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """RANK: the number, from 1, of the element that comes at a place in ascending order."""
    walk.check_arity("RANK", (2, 2), call.arguments)
    argument, place = call.arguments
    marked = marked_in(argument)
    terms = [walk.node(argument, inner) for inner in walk.inner_scopes(marked, scope)]
    walk.check_length("RANK", len(terms))
    at = apply("sub", walk.node(place, scope), const(1.0))
    return apply("add", sort_order(terms, at, const(1.0)), const(1.0))


def element_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """VECTOR ELM MAP(vector[element], offset): the element `offset` places after the named one.

    Along the last subscript that names an element, or the last one, whose elements then each begin
    with themselves; beyond the range it is missing.
    """
    walk.check_arity(call.function, (2, 3), call.arguments)
    vector, offset, *given = call.arguments
    slot = walk.table.slots.get(canonical(vector.name)) if isinstance(vector, Ref) else None
    if slot is None or not isinstance(vector, Ref) or not slot.dims:
        raise walk.refuse("VECTOR ELM MAP of what has no subscripts", "name an element")
    named = [i for i, s in enumerate(vector.subscripts) if canonical(s) not in walk.table.ranges]
    # XMILE names the subscript by its place, Vensim by an element; a range stands for each of its.
    last = named[-1] if named else len(vector.subscripts) - 1
    axis = int(given[0].value) if given and isinstance(given[0], Number) else last
    elements = walk.table.ranges[canonical(slot.dims[axis])]
    begins = walk.references.elements(vector, slot, scope)
    first = Const(np.array([float(elements.index(e[axis])) for e in begins]))
    walk.check_length(call.function, len(elements))
    values = [
        walk.node(
            replace(
                vector,
                subscripts=(*vector.subscripts[:axis], e, *vector.subscripts[axis + 1 :]),
            ),
            scope,
        )
        for e in elements
    ]
    place = apply("add", apply("trunc", walk.node(offset, scope)), first)
    return vector_reorder(values, place, const(MISSING))


def vector_lookup_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """VECTOR LOOKUP(vector[first element], x, least x, most x, mode)."""
    walk.check_arity(call.function, (5, 5), call.arguments)
    vector, x, least, most, mode = call.arguments
    known = walk.known.value(
        mode, scope, f"the mode of the VECTOR LOOKUP in '{walk.equation.name}'"
    )
    if known is None or known.flat[0] not in LOOKUP_MODES:
        raise walk.refuse(
            "VECTOR LOOKUP with a mode other than 0, 1, 2, 3, 4, 5, 7 or 8",
            "write the number; a slope is the difference of two calls",
        )
    values = walk.from_first("VECTOR LOOKUP", vector, scope)
    if len(values) < 2:
        raise walk.refuse("VECTOR LOOKUP of one element", "give it two or more")
    at, low, high = walk.nodes((x, least, most), scope)
    return vector_lookup(values, at, low, high, int(known.flat[0]))


def select_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """VECTOR SELECT(selection, expression, missing, action, error)."""
    walk.check_arity(call.function, (5, 5), call.arguments)
    selection, expression, missing, action, error = call.arguments
    marked = marked_in(selection, expression)
    if not marked:
        raise walk.refuse("VECTOR SELECT without a subscript marked '!'", "mark the range")
    pairs = [
        (walk.node(selection, inner), walk.node(expression, inner))
        for inner in walk.inner_scopes(marked, scope)
    ]
    return vector_select(pairs, *walk.nodes((missing, action, error), scope))


def order_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """VECTOR SORT ORDER, RANK and REORDER, along the last subscript of the vector."""
    walk.check_arity(call.function, (2, 2), call.arguments)
    vector, other = call.arguments
    name, elements, places = _vector_axis(walk, vector, scope)
    walk.check_length(call.function, len(elements))

    def terms(expression: Expr) -> list[Node]:
        return [walk.node(expression, {**scope, name: [e] * walk.n}) for e in elements]

    if call.function == "VECTOR REORDER":
        own = {**scope, name: [elements[p] for p in places]}
        return vector_reorder(terms(vector), _at_axis(walk, other, name, own, scope))
    kind = sort_order if call.function == "VECTOR SORT ORDER" else vector_rank
    own_places = Const(np.array(places, dtype=np.float64))
    return kind(terms(vector), own_places, walk.node(other, scope))


def _at_axis(walk: Walk, other: Expr, name: str, own: Scope, scope: Scope) -> Node:
    """The order in VECTOR REORDER may lie along another range of the same length."""
    refs = references_in(other)
    last = canonical(refs[0].subscripts[-1]) if refs and refs[0].subscripts else name
    return walk.node(other, scope if last in scope else own)


def _vector_axis(walk: Walk, vector: Expr, scope: Scope) -> tuple[str, tuple[str, ...], list[int]]:
    """Range along which a vector lies, its elements, and the place of each own element."""
    refs = [r for r in references_in(vector) if r.subscripts]
    if not refs or not walk.equation.subscripts:
        raise walk.refuse("a vector function without subscripts", "give its vector a range")
    name = canonical(refs[0].subscripts[-1])
    elements = walk.table.expand(walk.equation, name)
    if name in scope:
        return name, elements, [elements.index(e) for e in scope[name]]
    left = walk.equation.subscripts[-1]
    along = walk.table.expand(walk.equation, left)
    if len(along) != len(elements):
        raise walk.table.error(
            walk.equation,
            f"the vector has {len(elements)} elements and '{left}' {len(along)}",
        )
    return name, elements, [along.index(e) for e in scope[canonical(left)]]
