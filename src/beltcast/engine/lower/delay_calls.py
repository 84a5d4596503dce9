"""Calls of discrete delays and conveyors, whose length shapes the program."""

from __future__ import annotations

import math

import numpy as np

from beltcast.engine.language.belts import Belt, profile_shares
from beltcast.engine.language.queues import Line, Outlet
from beltcast.engine.lower.lookup_calls import table_of
from beltcast.engine.lower.references import Scope
from beltcast.engine.lower.walk import TablesDiffer, Walk
from beltcast.engine.nodes import Clock, Load, Node, apply, const
from beltcast.engine.syntax import Call, Expr, Number, Ref, canonical

LONGEST_BELT = 100_000
"""Steps that a conveyor may be long."""

LONGEST_RUN = 2_000
"""Steps of a run in which a delay time may move or batches wait: each step moves all of them."""

_STEP = Ref("TIME STEP")

DISCRETE_DELAYS = {
    "DELAY INFORMATION": (3, "write SMOOTH N"),
    "DELAY MATERIAL": (4, "write DELAY N"),
    "DELAY CONVEYOR": (6, "write DELAY N"),
    "XHISTORY": (3, "keep the value with a stock"),
}
"""Delays of a whole input: their arguments, and what to write where the delay time moves."""


def discrete_delay(walk: Walk, call: Call, scope: Scope) -> Node:
    """DELAY INFORMATION and MATERIAL, and CONVEYOR of a delay time that does not move.

    "The same as DELAY FIXED except that delay time can be a variable" (Vensim's manual).
    """
    count, instead = DISCRETE_DELAYS[call.function]
    walk.check_arity(call.function, (count, count), call.arguments)
    moves = walk.known.value(call.arguments[1], scope, "") is None
    if moves and call.function in ("DELAY INFORMATION", "DELAY MATERIAL"):
        belt = Belt(
            walk.memory, _steps_of_run(walk, f"{call.function} with a delay time that moves")
        )
        given = walk.nodes(call.arguments, scope)
        whole = belt.information if call.function == "DELAY INFORMATION" else belt.material
        return whole(*given)
    if moves:
        name = call.function.removeprefix("X")
        raise walk.refuse(f"{name} with a delay time that moves", instead)
    if call.function != "DELAY CONVEYOR":
        return walk.memory.delay_fixed(*walk.nodes(call.arguments[:3], scope))
    inflow, transit, leak, profile, total, at_first = call.arguments
    table = table_of(walk, profile, call.function, scope)
    if len(set(table.y)) > 1 or table.y[0] <= 0.0 or at_first != transit:
        raise walk.refuse(
            "DELAY CONVEYOR whose initial profile is not flat, or whose initial delay time is "
            "not its delay time",
            "give it a flat lookup, and start it early where the profile matters",
        )
    because = f"the slats of '{walk.equation.name}'"
    belt = Belt(walk.memory, _slats(walk, transit, scope, because))
    return belt.vensim(*walk.nodes((inflow, leak, total), scope))


def _steps_of_run(walk: Walk, what: str) -> int:
    """Number of steps of a run, each of which `what` must be able to remember."""
    because = f"the longest delay of '{walk.equation.name}'"
    names = ("INITIAL TIME", "FINAL TIME", "TIME STEP")
    known = [walk.known.value(Ref(name), {}, because) for name in names]
    start, end, step = (math.nan if k is None else float(k.flat[0]) for k in known)
    count = (end - start) / step + 1.0 if step > 0.0 else math.nan
    if not 1.0 <= count <= LONGEST_RUN:
        raise walk.refuse(
            f"{what} in a run of {count:g} steps",
            f"at most {LONGEST_RUN} work; take a larger TIME STEP",
        )
    return math.ceil(count)


def profile_delay(walk: Walk, call: Call, scope: Scope) -> Node:
    """DELAY PROFILE(profile, input, delay time, initial value, initial growth).

    Vensim's manual (fn_delay_profile): the profile is scaled to a distribution whose mean is the
    delay time.  It starts as if the input had grown at the initial growth rate to where the output
    is the initial value.
    """
    walk.check_arity(call.function, (5, 5), call.arguments)
    profile, inflow, time, initial, growth = call.arguments
    because = f"the steps of the DELAY PROFILE in '{walk.equation.name}'"
    known = [walk.known.value(e, scope, because) for e in (time, growth)]
    step = walk.known.value(Ref("TIME STEP"), {}, because)
    if known[0] is None or known[1] is None or step is None:
        raise walk.refuse(
            "DELAY PROFILE with a delay time or a growth rate that moves", "write constants"
        )
    if any(len(set(k.tolist())) > 1 for k in known if k is not None):
        raise TablesDiffer
    lasting, rate, dt = float(known[0].flat[0]), float(known[1].flat[0]), float(step.flat[0])
    if not (dt > 0.0 and dt <= lasting < math.inf and abs(rate * dt) < 1.0):
        raise walk.table.error(
            walk.equation,
            f"a delay of {lasting:g} with an input that grows by {rate:g} does not fit a TIME STEP "
            f"of {dt:g}; take a smaller step",
        )
    try:
        shares = profile_shares(table_of(walk, profile, call.function, scope), lasting / dt)
    except ValueError as problem:
        raise walk.refuse(f"{call.function} {problem}", "draw another") from None
    belt = Belt(walk.memory, len(shares))
    flow, start = walk.nodes((inflow, initial), scope)
    return belt.profile(shares, flow, start, math.exp(rate * dt))


def belt_flow(walk: Walk, call: Call, scope: Scope) -> Node:
    """An outflow of an XMILE conveyor that leaks or stops: 0 at its end, 1 and up for leaks.

    All flows of a conveyor share its belt.
    """
    port, name, inflow, transit, initial, arrest, exponential, *leaks = call.arguments
    assert isinstance(port, Number)
    assert isinstance(name, Ref)
    elements = tuple(zip(*scope.values(), strict=True)) if scope else ()
    key = (canonical(name.name), elements)
    if key not in walk.parts.belts:
        fractions, starts, ends = leaks[::3], leaks[1::3], leaks[2::3]
        belt = Belt(walk.memory, _slats(walk, transit, scope, f"the slats of '{name.name}'"))
        zones = [
            (a.value, b.value)
            for a, b in zip(starts, ends, strict=True)
            if isinstance(a, Number) and isinstance(b, Number)
        ]
        walk.parts.belts[key] = belt.xmile(
            walk.node(inflow, scope),
            walk.node(initial, scope),
            walk.node(arrest, scope),
            [(walk.node(f, scope), *zone) for f, zone in zip(fractions, zones, strict=True)],
            exponential=exponential == Number(1.0),
        )
    return walk.parts.belts[key][int(port.value)]


def queue_flow(walk: Walk, call: Call, scope: Scope) -> Node:
    """An outflow of an XMILE queue; all outflows of a queue share its line."""
    port, name, initial, count, *more = call.arguments
    assert isinstance(port, Number)
    assert isinstance(name, Ref)
    assert isinstance(count, Number)
    elements = tuple(zip(*scope.values(), strict=True)) if scope else ()
    key = (canonical(name.name), elements)
    if key not in walk.parts.belts:
        inflows, ways = more[: int(count.value)], more[int(count.value) :]
        kinds = [[e.value for e in ways[i::4] if isinstance(e, Number)] for i in range(3)]
        leaving = [
            Outlet(int(takes), bool(whole), bool(overflow), walk.node(room, scope))
            for takes, whole, overflow, room in zip(*kinds, ways[3::4], strict=True)
        ]
        batches = 1
        if any(way.by_batch for way in leaving):
            steps = _steps_of_run(walk, f"the batches of the queue '{name.name}'")
            batches += max(len(inflows), 1) * steps
        walk.parts.belts[key] = tuple(
            Line(walk.memory, batches).flows(
                walk.nodes(inflows, scope), walk.node(initial, scope), leaving
            )
        )
    return walk.parts.belts[key][int(port.value)]


def discrete_start(walk: Walk, call: Call, scope: Scope) -> Node:
    """The initial content of a discrete conveyor, which must lie as that of a continuous one.

    "The initial value is applied to the start of each unit time within the conveyor" (XMILE 1.0,
    3.7.2), from which end of the unit the standard leaves open.
    """
    (initial,) = call.arguments
    because = f"where the initial content of '{walk.equation.name}' lies"
    known, step = (walk.known.value(e, s, because) for e, s in ((initial, scope), (_STEP, {})))
    if (step is None or (step != 1.0).any()) and (known is None or (known != 0.0).any()):
        raise walk.refuse(
            "a discrete conveyor with an initial content and a DT other than 1",
            "start it empty, or take DT 1: the standard leaves open where the content lies",
        )
    return walk.node(initial, scope)


def inflow_budget(walk: Walk, call: Call, scope: Scope) -> Node:
    """What the inflow limit of a discrete conveyor leaves in this unit of time, as a flow.

    "The full amount allowed each time unit is allowed to enter in a single DT" (XMILE 1.0, 4.2.1).
    Units of time begin where the model time is a whole number.
    """
    limit, inflow = call.arguments
    because = f"the units of time in which '{walk.equation.name}' is limited"
    known = [walk.known.value(e, {}, because) for e in (Ref("INITIAL TIME"), _STEP)]
    start, step = (math.nan if k is None else float(k.flat[0]) for k in known)
    steps = 1.0 / step if step > 0.0 else math.nan
    whole = math.isfinite(start + steps) and start.is_integer()
    if not (whole and steps >= 1.0 - 1e-6 and abs(steps - round(steps)) < 1e-6):
        raise walk.refuse(
            "an inflow limit of a discrete conveyor in a model whose units of time are not whole "
            "numbers of steps",
            "start at a whole time, with a DT of 1, 1/2, 1/3 and so on",
        )
    entered, dt, parts = walk.parts.new_rows(walk.n), walk.memory.time_step(), walk.parts
    clock = apply("add", Clock(frozen=True), apply("mul", dt, const(1e-3)))
    ends = apply("gt", apply("floor", apply("add", clock, dt)), apply("floor", clock))
    so_far = apply("add", Load(entered), apply("mul", walk.node(inflow, scope), dt))
    parts.keep(walk.equation.name, entered, const(0.0), apply("if", ends, const(0.0), so_far))
    return apply("div", apply("sub", walk.node(limit, scope), Load(entered)), dt)


def conveyor(walk: Walk, call: Call, scope: Scope) -> Node:
    """The outflow of an XMILE conveyor: its inflow a whole number of steps ago."""
    inflow, transit, initial = call.arguments
    _slats(walk, transit, scope)
    return walk.memory.delay_fixed(*walk.nodes((inflow, transit, initial), scope))


def _slats(walk: Walk, transit: Expr, scope: Scope, because: str = "") -> int:
    """Number of steps that material spends on a conveyor.

    `because` says what the TIME STEP shapes; no run can set it then.
    """
    known = walk.known.value(transit, scope, f"the length of a conveyor by '{walk.equation.name}'")
    step = walk.known.value(Ref("TIME STEP"), {}, because)
    if known is None or step is None:
        raise walk.refuse(
            "a conveyor whose transit time is no expression of constants", "use a DELAYN"
        )
    if len(set(known.tolist())) > 1:
        raise TablesDiffer
    steps = float(known.flat[0]) / float(step.flat[0]) if step.flat[0] > 0.0 else math.nan
    if not (np.isfinite(steps) and steps > 0.5 and abs(steps - round(steps)) < 1e-6 * steps):
        raise walk.table.error(
            walk.equation,
            f"a transit time of {known.flat[0]:g} is not a whole number of steps of "
            f"{step.flat[0]:g}; change one of them",
        )
    if steps > LONGEST_BELT:
        raise walk.refuse(
            f"a conveyor of {steps:.0f} steps", f"at most {LONGEST_BELT} work; take larger ones"
        )
    return round(steps)
