"""Calls that look at a whole past, or change what has been: rates of return and shifts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from beltcast.engine.lower.references import Scope
from beltcast.engine.lower.schedule import Parts, Shift
from beltcast.engine.lower.walk import TablesDiffer, Walk
from beltcast.engine.nodes import Clock, Const, Foreign, IntArray, Load, Node, apply, const
from beltcast.engine.program import Block
from beltcast.engine.syntax import Call, Ref, canonical

MOST_PERIODS = 10_000
"""Fiscal periods of a rate of return."""


def rate_of_return_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """INTERNAL RATE OF RETURN(stream, fiscal period, payment, its time).

    Each fiscal period has a stock of what was paid in it so far; the periods follow each other from
    INITIAL TIME on.
    """
    walk.check_arity(call.function, (4, 4), call.arguments)
    if walk.n > 1:
        raise TablesDiffer
    stream, fiscal, paid, when = call.arguments
    because = f"the fiscal periods of '{walk.equation.name}'"
    ends = (fiscal, Ref("INITIAL TIME"), Ref("FINAL TIME"))
    known = [walk.known.value(e, scope, because) for e in ends]
    period, start, final = (np.nan if k is None else float(k.flat[0]) for k in known)
    if not (0.0 < period < np.inf and -np.inf < start <= final < np.inf):
        raise walk.refuse(
            f"{call.function} whose fiscal period is no positive constant", "write the number"
        )
    count = int(np.floor((final - start) / period + 1e-6)) + 1
    if count > MOST_PERIODS:
        raise walk.refuse(f"{call.function} of {count} periods", f"at most {MOST_PERIODS} work")

    def periods(time: Node) -> Node:
        return apply("div", apply("sub", time, const(start)), const(period))

    now = apply("floor", periods(apply("add", Clock(frozen=True), walk.slack())))
    own = apply("eq", Const(np.arange(float(count))), now)
    rows = walk.parts.new_rows(count)
    rate = apply("if", own, walk.node(stream, scope), const(0.0))
    walk.parts.stock(walk.equation.name, rows, const(0.0), rate)
    arguments = (Load(rows), walk.node(paid, scope), periods(walk.node(when, scope)))
    return Foreign(call.function, arguments, count, np.zeros(1, dtype=np.int64))


# --- shifts -----------------------------------------------------------------------------------


def shift_call(walk: Walk, call: Call, scope: Scope) -> Node:
    """SHIFT IF TRUE(stock[first], condition, size, adding up, value of the first).

    Vensim's manual (fn_shift_if_true).  The shift comes before anything else is computed at that
    time, and the stock goes on from there.
    """
    walk.check_arity(call.function, (5, 5), call.arguments)
    vector, condition, size, adding, entering = call.arguments
    slot = walk.table.slots.get(canonical(vector.name)) if isinstance(vector, Ref) else None
    if not isinstance(vector, Ref) or slot is None or slot.kind != "stock" or not slot.dims:
        raise walk.refuse("SHIFT IF TRUE of what is no stock with subscripts", "name one")
    if walk.table.source.method != "euler":
        raise walk.refuse("SHIFT IF TRUE under Runge-Kutta", "choose Euler's method")
    given = walk.known.value(size, scope, f"the elements that '{walk.equation.name}' shifts")
    elements = walk.table.ranges[canonical(slot.dims[-1])]
    first = walk.first_of(vector, slot)
    count = 0 if given is None else int(given.flat[0])
    if not 2 <= count <= len(elements) - first:
        raise walk.refuse(
            f"SHIFT IF TRUE of {count or 'an unknown number of'} elements from '{elements[first]}'",
            f"2 to {len(elements) - first} are there",
        )
    own = [e.expression for e in walk.table.equations if canonical(e.name) == canonical(slot.name)]
    if not all(isinstance(e, Call) and e.function == "INTEG" for e in own):
        raise walk.refuse("SHIFT IF TRUE of a stock with limits", "give it an INTEG")
    nodes = (
        walk.node(replace(vector, subscripts=(*vector.subscripts[:-1], e)), scope)
        for e in elements[first : first + count]
    )
    chain = np.array([node.rows for node in nodes if isinstance(node, Load)])
    taken = {row for shift in walk.parts.shifts for row in shift.chain.flat}
    if chain.shape != (count, walk.n) or not taken.isdisjoint(chain.flat):
        raise walk.refuse(f"'{slot.name}' shifted twice", "shift each of its elements once")
    shift = Shift(
        walk.equation.name,
        chain,
        walk.node(condition, scope),
        walk.node(adding, scope),
        walk.node(entering, scope),
        walk.memory.time_step(),
        walk.parts.new_rows(walk.n),
    )
    walk.parts.shifts.append(shift)
    return Load(shift.removed)


def lower_shifts(parts: Parts) -> None:
    """Give each stock that is shifted rows of its own for what it was before the shift.

    Its name then has the value after the shift, and a step goes on from that.
    """
    for shift in parts.shifts:
        chained = set(shift.chain.flat)
        before: dict[int, int] = {}
        for rows, flow in list(zip(parts.stocks, parts.flows, strict=True)):
            if chained.isdisjoint(rows.tolist()):
                continue
            own = parts.new_rows(len(rows))
            before.update(zip(rows.tolist(), own.tolist(), strict=True))
            parts.stocks = [r for r in parts.stocks if r is not rows]
            parts.flows.remove(flow)
            parts.starts = [
                Block(b.name, (own,), b.expressions) if b.targets[0] is rows else b
                for b in parts.starts
            ]
            moved = apply("mul", shift.step, flow.expressions[0])
            parts.proceed(flow.name, own, apply("add", Load(rows), moved))
            rest = ~np.isin(rows, shift.chain)
            if rest.any():
                parts.auxiliaries.append(Block(flow.name, (rows[rest],), (Load(own[rest]),)))
        _shift(parts, shift, np.vectorize(before.__getitem__)(shift.chain))


def _shift(parts: Parts, shift: Shift, before: IntArray) -> None:
    n = shift.chain.shape[1]

    def row(node: Node) -> IntArray:
        rows = parts.new_rows(n)
        parts.auxiliaries.append(Block(shift.name, (rows,), (node,)))
        return rows

    shifts, adding = row(shift.condition), Load(row(shift.adding))
    last, come = Load(before[-1]), Load(before[-2])
    ending = apply("if", adding, apply("add", last, come), come)
    gone = apply("if", adding, const(0.0), last)
    inner = Load(before[:-2].reshape(-1)), Load(before[1:-1].reshape(-1))
    for targets, then, otherwise in (
        (shift.chain[0], shift.entering, Load(before[0])),
        (shift.chain[1:-1].reshape(-1), *inner),
        (shift.chain[-1], ending, last),
        (shift.removed, gone, const(0.0)),
    ):
        if len(targets):
            on = Load(np.tile(shifts, len(targets) // n))
            expression = apply("if", on, then, otherwise)
            parts.auxiliaries.append(Block(shift.name, (targets,), (expression,)))
