"""Calls of functions of whole vectors or matrices: inverses, allocation and market prices."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from beltcast.engine.language.array_functions import FOREIGN, quantity_at_price
from beltcast.engine.lower.references import Scope
from beltcast.engine.lower.symbols import copy_name
from beltcast.engine.lower.walk import Walk, references_in
from beltcast.engine.nodes import Const, Foreign, Node
from beltcast.engine.syntax import Call, Equation, Expr, Ref, canonical

WHOLE_AXIS = {"INVERT MATRIX": 2, "ALLOCATE AVAILABLE": 1, "ALLOCATE BY PRIORITY": 1}
"""Functions of whole vectors or matrices, and over how many subscripts."""


def whole_axis_groups(equation: Equation, elements: list[tuple[str, ...]]) -> list[list[int]]:
    """Positions of elements that share one vector or matrix; all together elsewhere."""
    expression = equation.expression
    if not isinstance(expression, Call) or expression.function not in WHOLE_AXIS:
        return [list(range(len(elements)))]
    axes = _axes(equation, expression)
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, element in enumerate(elements):
        key = tuple(e for axis, e in enumerate(element) if axis not in axes)
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _axes(equation: Equation, call: Call) -> tuple[int, ...]:
    """Subscripts on the left that run along the vector or matrix of a whole-axis function."""
    count = WHOLE_AXIS[call.function]
    if len(equation.subscripts) < count:
        return ()  # refused by `whole_axis_call`
    left = [canonical(s) for s in equation.subscripts]
    vector = references_in(call.arguments[0])
    names = [canonical(s) for ref in vector[:1] for s in ref.subscripts[-count:]]
    if len(set(names)) == count and all(n in left for n in names):
        return tuple(left.index(n) for n in names)
    return tuple(range(len(left) - count, len(left)))


def whole_axis_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """A function of a whole vector or matrix, which NumPy computes for every back end."""
    function = FOREIGN[call.function]
    walk.check_arity(call.function, (function.count, function.count), call.arguments)
    if call is not walk.equation.expression:
        raise walk.refuse(
            f"{call.function} inside an expression", "give its result a name of its own"
        )
    fixed = {canonical(s): elements[0] for s, elements in scope.items() if len(set(elements)) == 1}
    axes = _axes(walk.equation, call)
    if len(axes) < WHOLE_AXIS[call.function]:
        raise walk.refuse(
            f"{call.function} into '{walk.equation.name}' with "
            f"{len(walk.equation.subscripts)} subscripts",
            f"give it at least {WHOLE_AXIS[call.function]}",
        )
    lengths = [walk.table.expand(walk.equation, walk.equation.subscripts[a]) for a in axes]
    refs = references_in(call.arguments[0])
    if not refs or len(refs[0].subscripts) < len(axes):
        raise walk.refuse(f"{call.function} of an expression without subscripts", "name it")
    names = [canonical(s) for s in refs[0].subscripts[-len(axes) :]]
    if len(set(names)) < len(names):  # M[d,d]: the columns need a name of their own
        call = _with_columns(walk, call, names[-1])
        names[-1] = canonical(copy_name(names[-1], 2))
    inside = [walk.table.expand(walk.equation, n) for n in names]
    if [len(i) for i in inside] != [len(i) for i in lengths]:
        raise walk.table.error(
            walk.equation, f"the ranges of {call.function} differ between left and right"
        )
    entries = list(itertools.product(*inside))
    whole = walk.over(len(entries))
    inner: Scope = {
        **{s: [e] * len(entries) for s, e in fixed.items()},
        **{n: [entry[i] for entry in entries] for i, n in enumerate(names)},
    }
    arguments: list[Node] = []
    for kind, argument in zip(function.arguments, call.arguments, strict=True):
        if kind == "vector":
            arguments.append(whole.node(argument, inner))
        elif kind == "one":
            arguments.append(walk.over(1).node(argument, {s: [e] for s, e in fixed.items()}))
        elif kind == "profile":
            arguments.extend(whole.nodes(_profile(walk, argument), inner))
    own = [canonical(walk.equation.subscripts[a]) for a in axes]
    shape = tuple(len(i) for i in lengths)
    places = [
        tuple(lengths[i].index(scope[o][k]) for i, o in enumerate(own)) for k in range(walk.n)
    ]
    flat = np.array([np.ravel_multi_index(p, shape) for p in places], dtype=np.int64)
    return Foreign(call.function, tuple(arguments), len(entries), flat)


def _with_columns(walk: Walk, call: Call, name: str) -> Call:
    """The call with the last subscript of its matrix under the name of a copy."""
    own = canonical(copy_name(name, 2))
    walk.table.ranges.setdefault(own, walk.table.ranges[name])
    walk.table.positions.setdefault(own, walk.table.positions[name])

    def renamed(expression: Expr) -> Expr:
        if isinstance(expression, Ref) and [canonical(s) for s in expression.subscripts][-2:] == [
            name,
            name,
        ]:
            return replace(expression, subscripts=(*expression.subscripts[:-1], own))
        if isinstance(expression, Call):
            return replace(expression, arguments=tuple(map(renamed, expression.arguments)))
        return expression

    return replace(call, arguments=(renamed(call.arguments[0]), *call.arguments[1:]))


def market_price_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """FIND MARKET PRICE(demand[first], its profile, supply[first], its profile)."""
    walk.check_arity(call.function, (4, 4), call.arguments)
    if call is not walk.equation.expression:
        raise walk.refuse(
            f"{call.function} inside an expression", "give its result a name of its own"
        )
    curves: list[list[Node]] = []
    counts = []
    for quantity, profile in (call.arguments[:2], call.arguments[2:]):
        quantities = walk.from_first(call.function, quantity, scope)
        counts.append(len(quantities))
        assert isinstance(quantity, Ref)
        slot = walk.table.slots[canonical(quantity.name)]
        for element, node in zip(
            walk.table.ranges[canonical(slot.dims[-1])], quantities, strict=True
        ):
            own = _profile(walk, profile, element)[:3]
            curves.append([node, *walk.nodes(own, scope)])
    count = Const(np.full(walk.n, float(counts[0])))
    arguments = (count, *(node for curve in curves for node in curve))
    return Foreign(call.function, arguments, walk.n, np.arange(walk.n))


def at_price(walk: Walk, call: Call, scope: Scope) -> Node:
    """DEMAND AT PRICE and SUPPLY AT PRICE(quantity, its profile, price)."""
    walk.check_arity(call.function, (3, 3), call.arguments)
    quantity, profile, price = call.arguments
    shape, priority, width = walk.nodes(_profile(walk, profile)[:3], scope)
    return quantity_at_price(
        walk.node(quantity, scope),
        shape,
        priority,
        width,
        walk.node(price, scope),
        supply=call.function == "SUPPLY AT PRICE",
    )


def _profile(walk: Walk, argument: Expr, of: str = "") -> list[Ref]:
    """The four numbers of a priority profile, from the one that the equation names on.

    `of` stands in for the subscript before: whose profile it is.
    """
    if not isinstance(argument, Ref) or not argument.subscripts:
        raise walk.refuse("a priority profile that is not a variable", "name one")
    slot = walk.table.slots.get(canonical(argument.name))
    elements = walk.table.ranges[canonical(slot.dims[-1])] if slot is not None and slot.dims else ()
    start = walk.first_of(argument, slot) if slot is not None and elements else 0
    if len(elements) - start < 4:
        raise walk.refuse(
            "a priority profile of fewer than 4 numbers", "give type, priority, width, extra"
        )
    before = (*argument.subscripts[:-2], of) if of else argument.subscripts[:-1]
    return [replace(argument, subscripts=(*before, e)) for e in elements[start : start + 4]]
