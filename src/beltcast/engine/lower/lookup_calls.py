"""Calls of lookups, and of functions that take a data variable as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from beltcast.engine.language.lookups import (
    area_between,
    area_inside,
    forward_table,
    inverse_table,
)
from beltcast.engine.language.series_functions import SERIES_FUNCTIONS, series_function
from beltcast.engine.lower.references import Scope, data_row
from beltcast.engine.lower.symbols import one_series_each
from beltcast.engine.lower.walk import TablesDiffer, Walk
from beltcast.engine.nodes import Clock, LookupAt, Node, apply
from beltcast.engine.syntax import Call, Data, Expr, Ref, Table, canonical

LOOKUPS: Mapping[str, Callable[[Table], Table]] = {
    "LOOKUP": lambda table: table,
    "WITH LOOKUP": lambda table: table,
    "LOOKUP EXTRAPOLATE": lambda table: replace(table, kind="extrapolate"),
    "LOOKUP BACKWARD": lambda table: replace(table, kind="hold"),
    "LOOKUP FORWARD": forward_table,
    "LOOKUP INVERT": inverse_table,
}
"""How each function reads the points that it is given."""


def lookup_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """A lookup at an argument; its points stand in the call or under a name."""
    walk.check_arity("a lookup", (1, 1), call.arguments[1:])
    lookup, argument = call.arguments
    at = walk.node(argument, scope)
    table = table_of(walk, lookup, call.function, scope)
    if isinstance(at, Clock) and call.function == "LOOKUP FORWARD":
        at = apply("sub", at, walk.slack())
    try:
        return _at(walk, LOOKUPS[call.function](table), at, call.function)
    except ValueError as problem:
        name = f" of '{lookup.name}'" if isinstance(lookup, Ref) else ""
        raise walk.refuse(f"{call.function}{name}, {problem}", "") from None


def table_of(walk: Walk, lookup: Expr, function: str, scope: Scope) -> Table:
    """The points of a lookup that is called by its name."""
    if isinstance(lookup, Table):
        return lookup
    if not isinstance(lookup, Ref):
        raise walk.refuse(f"{function} of an expression", "name a lookup")
    tables = walk.table.lookups.get(canonical(lookup.name))
    if tables is None:
        raise walk.table.error(walk.equation, f"'{lookup.name}' is called but is not a lookup")
    slot = walk.table.slots[canonical(lookup.name)]
    elements = walk.references.elements(lookup, slot, scope)
    for element in elements:
        if element not in tables:
            raise walk.table.error(
                walk.equation, f"'{slot.name}[{', '.join(element)}]' is not defined"
            )
    used = {tables[e] for e in elements}
    if len(used) > 1:
        raise TablesDiffer
    return used.pop()


def _at(walk: Walk, table: Table, at: Node, function: str) -> LookupAt:
    """A table at an argument; the clock has reached a step of a staircase if nearly so."""
    if table.kind == "hold" and isinstance(at, Clock) and function != "LOOKUP FORWARD":
        at = apply("add", at, walk.slack())
    return LookupAt(table, at)


def lookup_area(walk: Walk, call: Call, scope: Scope) -> Node:
    """LOOKUP AREA of Vensim, and LOOKUPAREA of isee, whose ends may be left out."""
    vensim = call.function == "LOOKUP AREA"
    walk.check_arity(call.function, (3, 3) if vensim else (1, 3), call.arguments)
    lookup, *ends = call.arguments
    table = table_of(walk, lookup, call.function, scope)
    nodes = [walk.node(end, scope) for end in ends]
    return area_between(table, *nodes) if vensim else area_inside(table, *nodes)


def series_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """GET DATA AT TIME and similar functions of a whole data variable."""
    count = SERIES_FUNCTIONS[call.function]
    walk.check_arity(call.function, (count, count), call.arguments)
    variable, *rest = call.arguments
    slot = walk.table.slots.get(canonical(variable.name)) if isinstance(variable, Ref) else None
    if slot is None or slot.kind != "input" or not isinstance(variable, Ref):
        raise walk.refuse(f"{call.function} of what is no data variable", "name one")
    elements = walk.references.elements(variable, slot, scope)
    if len(set(elements)) > 1:
        raise TablesDiffer
    row = int(slot.rows[walk.table.place(slot, elements[0])])
    named = walk.table.makers[row][0].expression
    equation, element = walk.table.makers[data_row(row, walk.table)]
    assert isinstance(equation.expression, Data)
    assert isinstance(named, Data)
    own = walk.table.elements(equation)
    data = one_series_each(equation.expression, equation, own, walk.table)[own.index(element)]
    data = replace(data, method=named.method)
    arguments = [walk.node(a, scope) for a in rest]
    return series_function(call.function, data, arguments, Clock(frozen=True))
