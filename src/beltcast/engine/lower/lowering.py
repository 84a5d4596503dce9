"""Lowering from a model to a program: `lower` resolves each equation and orders all of them.

The steps have a module each: `symbols` gives every scalar a row, `walk` turns the expressions of an
equation into nodes over those rows (`references` says which) by the rules of the modules `*_calls`,
`beltcast.engine.language.stateful` turns delays and smooths into stocks, `constant_folding` finds
values needed when the model is read, and `schedule` puts the equations in stages.  This module
owns the equations, the table of rules, and the rules of functions whose value is a formula in
their arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from beltcast.engine.language.calendar import calendar_value
from beltcast.engine.language.functions import INPUTS, INSTEAD, LANGUAGE, REDUCTIONS
from beltcast.engine.language.series_functions import SERIES_FUNCTIONS
from beltcast.engine.language.stateful import ARITY, CHAINS, WITH_MEMORY
from beltcast.engine.lower.delay_calls import (
    DISCRETE_DELAYS,
    belt_flow,
    conveyor,
    discrete_delay,
    discrete_start,
    inflow_budget,
    profile_delay,
    queue_flow,
)
from beltcast.engine.lower.lookup_calls import LOOKUPS, lookup_area, lookup_call, series_call
from beltcast.engine.lower.matrix_calls import (
    WHOLE_AXIS,
    at_price,
    market_price_call,
    whole_axis_call,
    whole_axis_groups,
)
from beltcast.engine.lower.missing_values import (
    compared_with_missing,
    is_missing_itself,
    product,
    unsure_names,
)
from beltcast.engine.lower.past_calls import lower_shifts, rate_of_return_call, shift_call
from beltcast.engine.lower.range_calls import (
    element_call,
    order_call,
    rank_call,
    reduction_call,
    select_call,
    vector_lookup_call,
)
from beltcast.engine.lower.references import Scope, data_row
from beltcast.engine.lower.schedule import Parts, arrange
from beltcast.engine.lower.symbols import (
    STOCKS,
    NameTable,
    constant,
    one_each,
    one_series_each,
)
from beltcast.engine.lower.walk import Rule, TablesDiffer, Walk
from beltcast.engine.nodes import IntArray, Load, Node, apply, const
from beltcast.engine.program import Block, Program
from beltcast.engine.syntax import (
    COMPARISONS,
    Call,
    Data,
    Equation,
    Expr,
    Number,
    Ref,
    Source,
    Table,
    Tables,
    canonical,
)
from beltcast.errors import did_you_mean


def lower(source: Source) -> Program:
    """Turn the equations of a model into an ordered program.

    Raises
    ------
    UnknownName
        An equation refers to a variable that the model does not define.
    UnsupportedConstruct
        A function that the engine does not know.
    ModelFileError
        Auxiliaries that depend on each other in a circle, or subscripts that do not fit.
    """
    table = NameTable(source)
    table.unsure = unsure_names(source)
    parts = Parts(n_rows=table.n_rows)
    for equation in table.equations:
        _lower_equation(equation, table, parts)
    lower_shifts(parts)
    for row, own in parts.data_of_data.items():
        base = data_row(row, table)
        parts.followers[base] = (*parts.followers.get(base, ()), row)
        parts.inputs[row] = replace(parts.inputs[base], method=own.method)
    return arrange(table.slots, parts, source)


def _lower_equation(equation: Equation, table: NameTable, parts: Parts) -> None:
    slot = table.slots[canonical(equation.name)]
    elements = table.elements(equation)
    if not elements:  # EXCEPT leaves nothing
        return
    rows = slot.rows[table.places(slot, elements)].reshape(-1)
    expression = equation.expression
    if isinstance(expression, (Table, Tables)):
        return
    if isinstance(expression, Data) and expression.of is not None:
        parts.data_of_data.update(dict.fromkeys(rows.tolist(), expression))
        return
    if isinstance(expression, Data):
        series = one_series_each(expression, equation, elements, table)
        parts.inputs.update(zip(rows.tolist(), series, strict=True))
        return
    value = constant(expression)
    if value is not None:
        parts.constants.update(
            zip(rows.tolist(), one_each(value, equation, elements, table), strict=True)
        )
        return
    groups = whole_axis_groups(equation, elements)
    if len(groups) > 1:
        for members in groups:
            _lower_elements(equation, [elements[i] for i in members], rows[members], table, parts)
        return
    try:
        _lower_elements(equation, elements, rows, table, parts)
    except TablesDiffer:
        for i, element in enumerate(elements):
            _lower_elements(equation, [element], rows[[i]], table, parts)


def _lower_elements(
    equation: Equation,
    elements: list[tuple[str, ...]],
    rows: IntArray,
    table: NameTable,
    parts: Parts,
) -> None:
    scope = {
        canonical(subscript): [element[axis] for element in elements]
        for axis, subscript in enumerate(equation.subscripts)
    }
    walk = Walk(equation, len(elements), table, parts, _RULES, _plain_call)
    expression = equation.expression
    if isinstance(expression, Call) and expression.function in STOCKS:
        rate = walk.node(expression.arguments[0], scope)
        initial = walk.node(expression.arguments[1], scope)
        held: Node = Load(rows)
        if expression.function == "NON NEGATIVE INTEG":
            held = apply("max", held, const(0.0))
        elif expression.function == "SINTEG":
            initial, held = (_within(walk, expression, value) for value in (initial, held))
        parts.stock(equation.name, rows, initial, rate)
        if not isinstance(held, Load):
            parts.after.append(Block(equation.name, (rows,), (held,)))
        return
    node = walk.node(expression, scope)
    parts.auxiliaries.append(Block(equation.name, (rows,), (node,)))


def _within(walk: Walk, call: Call, value: Node) -> Node:
    """Return what SINTEG(rate, initial, least, most, multiple, special, near) makes of a value.

    Vensim's manual (fn_sinteg) has it above `least`, below `most`, and equal to `special` nearer
    than `near`.  It does not say which multiple is taken.
    """
    walk.check_arity(call.function, (7, 7), call.arguments)
    given = [constant(argument) for argument in call.arguments[2:]]
    limits = [float(g) if g is not None and g.size == 1 else None for g in given]
    if None in limits or limits[2] == limits[2]:
        raise walk.refuse(
            "SINTEG with multiples, or with limits that are neither numbers nor :NA:",
            "write :NA: for the multiple and numbers for the limits",
        )
    least, most, _, special, near = (x if x is not None else np.nan for x in limits)
    if not np.isnan(least):
        value = apply("max", value, const(least))
    if not np.isnan(most):
        value = apply("min", value, const(most))
    if not (np.isnan(special) or np.isnan(near)):
        away = apply("abs", apply("sub", value, const(special)))
        value = apply("if", apply("lt", away, const(near)), const(special), value)
    return value


# --- rules ------------------------------------------------------------------------------------


def _plain_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """A function written in primitives; any other is an error."""
    function, arguments = call.function, call.arguments
    if function in COMPARISONS and any(is_missing_itself(walk, a) for a in arguments):
        return compared_with_missing(walk, function, arguments, scope)
    if function in INSTEAD:
        raise walk.refuse(f"the function {function}", INSTEAD[function])
    known = LANGUAGE.get(function)
    if known is None:
        hint = did_you_mean(function, [*LANGUAGE, *(r for r in _RULES if r not in _INTERNAL)])
        raise walk.refuse(f"the function {function}", "write it out", hint)
    walk.check_arity(function, known.arity, arguments)
    return known.build(*(walk.node(a, scope) for a in arguments))


def _time_value(walk: Walk, call: Call, scope: Scope) -> Node:
    walk.check_arity(call.function, (3, 3), call.arguments)
    reference, offset, measure = call.arguments
    starts: Mapping[Expr, Expr] = {Number(0.0): Ref("Time"), Number(1.0): Ref("INITIAL TIME")}
    if reference not in starts or not isinstance(measure, Number):
        raise walk.refuse(
            "GET TIME VALUE of the computer's clock, or of a measure that is no number",
            "write 0 or 1 first and the number of the measure last",
        )
    time = apply("add", walk.node(starts[reference], scope), walk.node(offset, scope))
    if measure.value == 0.0:
        return time
    try:
        # A clock that is a sum of steps may lie a few bits before the hour.
        return calendar_value(
            walk.table.source.calendar, int(measure.value), apply("add", time, walk.slack())
        )
    except ValueError as problem:
        raise walk.refuse(
            f"GET TIME VALUE with the measure {measure.value:g}",
            f"{problem}; write the calendar as data",
        ) from None


def _element_count(walk: Walk, call: Call, scope: Scope) -> Node:
    walk.check_arity(call.function, (1, 1), call.arguments)
    match call.arguments:
        case (Ref(name=name),):
            return const(float(len(walk.table.expand(walk.equation, name))))
        case _:
            raise walk.table.error(
                walk.equation, "ELMCOUNT counts the elements of a subscript range; name one"
            )


def _chain(walk: Walk, call: Call, scope: Scope) -> Node:
    """A delay or smooth of some order: a chain of as many stocks."""
    walk.check_arity(call.function, (3, 4), call.arguments)
    *level, order = call.arguments
    n = walk.known.order(call.function, order, level[1], scope)
    nodes = walk.nodes(level, scope)
    return CHAINS[call.function](walk.memory, n, *nodes, *nodes[: 3 - len(nodes)])


def _sample(walk: Walk, call: Call, scope: Scope) -> Node:
    """SAMPLE IF TRUE, in which the variable itself is its previous value (fn_sample_if_true)."""
    walk.check_arity(call.function, (3, 3), call.arguments)
    *moving, initial = call.arguments
    state = walk.parts.new_rows(walk.n)
    condition, value = replace(walk, before=Load(state)).nodes(moving, scope)
    return walk.memory.sample(state, condition, value, walk.node(initial, scope))


def _input(walk: Walk, call: Call, scope: Scope) -> Node:
    """A function of the clock that needs the time step."""
    function = INPUTS[call.function]
    walk.check_arity(call.function, function.arity, call.arguments)
    return function.build(walk.memory.time_step(), *walk.nodes(call.arguments, scope))


def _with_memory(walk: Walk, call: Call, scope: Scope) -> Node:
    walk.check_arity(call.function, ARITY[call.function], call.arguments)
    return WITH_MEMORY[call.function](walk.memory, *walk.nodes(call.arguments, scope))


_RULES: Mapping[str, Rule] = {
    "*": product,
    **dict.fromkeys(WITH_MEMORY, _with_memory),
    **dict.fromkeys(INPUTS, _input),
    **dict.fromkeys(REDUCTIONS, reduction_call),
    **dict.fromkeys(CHAINS, _chain),
    **dict.fromkeys(WHOLE_AXIS, whole_axis_call),
    **dict.fromkeys(DISCRETE_DELAYS, discrete_delay),
    **dict.fromkeys(SERIES_FUNCTIONS, series_call),
    **dict.fromkeys(LOOKUPS, lookup_call),
    **dict.fromkeys(("LOOKUP AREA", "XLOOKUP AREA"), lookup_area),
    **dict.fromkeys(("VECTOR ELM MAP", "XELEMENT"), element_call),
    **dict.fromkeys(("VECTOR SORT ORDER", "VECTOR RANK", "VECTOR REORDER"), order_call),
    **dict.fromkeys(("DEMAND AT PRICE", "SUPPLY AT PRICE"), at_price),
    "DELAY PROFILE": profile_delay,
    "ELMCOUNT": _element_count,
    "FIND MARKET PRICE": market_price_call,
    "GET TIME VALUE": _time_value,
    "INTERNAL RATE OF RETURN": rate_of_return_call,
    "RANK": rank_call,
    "SAMPLE IF TRUE": _sample,
    "SHIFT IF TRUE": shift_call,
    "VECTOR LOOKUP": vector_lookup_call,
    "VECTOR SELECT": select_call,
    "XBELT": belt_flow,
    "XCONVEYOR": conveyor,
    "XBUDGET": inflow_budget,
    "XDISCRETE": discrete_start,
    "XQUEUE": queue_flow,
}
"""Functions that are more than a formula in their arguments."""

_INTERNAL = (
    "XBELT",
    "XBUDGET",
    "XCONVEYOR",
    "XDISCRETE",
    "XELEMENT",
    "XHISTORY",
    "XLOOKUP AREA",
    "XQUEUE",
)
"""Names that only the reader of XMILE gives, no modeller."""
