"""The program as NumPy: the reference of the compiled back end, and the fallback without it.

All members advance together; a row is an array over members.  Nothing is generated or compiled:
the expressions are walked and each primitive is the NumPy function named in
`beltcast.engine.language.primitives`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import numpy as np

from beltcast.engine.language.array_functions import FOREIGN
from beltcast.engine.language.lookups import lookup_value
from beltcast.engine.language.primitives import PRIMITIVES
from beltcast.engine.nodes import Apply, Clock, Const, FloatArray, Foreign, Load, LookupAt, Node
from beltcast.engine.program import Block, Program
from beltcast.engine.run.plan import Plan
from beltcast.engine.run.threads import pause


class NumpyKernel:
    """A program that NumPy runs."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def __call__(self, plan: Plan, values: FloatArray) -> FloatArray:
        """Run all members.

        Parameters
        ----------
        plan : Plan
        values : (p, N)
            Value of each parameter of the plan for each member.

        Returns
        -------
        (s, o, N)
            Outputs at the saved steps.
        """
        with np.errstate(all="ignore"):  # NaN and inf are data here; `Model` reports them
            return self._run(plan, values)

    def bind(self, plan: Plan, members: int) -> Callable[[FloatArray], FloatArray]:
        """Return a function that runs a plan repeatedly."""
        del members  # as many as the values have
        return lambda values: self(plan, values)

    def _run(self, plan: Plan, values: FloatArray) -> FloatArray:
        program = self.program
        rows = np.zeros((program.n_rows, values.shape[1]))
        rows[program.constants] = program.constant_values[:, None]
        rows[plan.parameters] = values
        input_rows = list(program.inputs)
        saved = np.empty((len(plan.saves), len(plan.outputs), values.shape[1]))
        next_save = 0

        def compute(stage: tuple[Block, ...], time: float, frozen: float) -> None:
            for block in stage:
                assign(block, rows, time, frozen)

        def derivative(time: float, frozen: float) -> FloatArray:
            compute(program.step, time, frozen)
            compute(program.rates, time, frozen)
            return rows[program.flows]

        start = float(plan.times[0])
        rows[input_rows] = plan.inputs[0][:, None]
        for stage in (program.setup, program.initial, program.settle):
            compute(stage, start, start)
        pasts = program.pasts
        history = np.empty((len(plan.times) if len(pasts) else 0, len(pasts), values.shape[1]))
        for k, time in enumerate(plan.times.tolist()):
            pause()
            rows[input_rows] = plan.inputs[k][:, None]
            if len(pasts):
                rows[pasts.rows] = _past(program, rows, history, k)
            first = derivative(time, time)
            compute(program.hold, time, time)
            if len(pasts):
                history[k] = rows[pasts.inputs]
            if next_save < len(plan.saves) and plan.saves[next_save] == k:
                saved[next_save] = rows[plan.outputs]
                next_save += 1
            step = float(plan.steps[k])
            if plan.method == "euler":
                rows[program.stocks] += step * first
                compute(program.after, time, time)
                continue
            base = rows[program.stocks]
            if plan.method == "rk2":  # Heun: the mean of the flows at both ends of an Euler step
                rows[program.stocks] = base + step * first
                both = first + derivative(time + step, time)
                rows[program.stocks] = base + 0.5 * step * both
                compute(program.after, time, time)
                continue
            half, total = 0.5 * step, first
            for fraction, weight in ((half, 2.0), (half, 2.0), (step, 1.0)):
                rows[program.stocks] = base + fraction * first
                first = derivative(time + fraction, time)
                total = total + weight * first
            rows[program.stocks] = base + step / 6.0 * total
            compute(program.after, time, time)
        return saved


def _past(program: Program, rows: FloatArray, history: FloatArray, k: int) -> FloatArray:
    """Value of each row of `Program.pasts` at step k, (pasts, N)."""
    pasts = program.pasts
    orders = rows[pasts.orders]
    # A delay without end, or with an unknown length, never returns anything.
    when = k - np.where(orders < k + 1, orders, k + 1).astype(np.int64)
    which, member = np.indices(when.shape)
    return np.where(when < 0, rows[pasts.initials], history[np.maximum(when, 0), which, member])


def assign(block: Block, rows: FloatArray, time: float, frozen: float) -> None:
    """Compute a block for all members of a table of rows."""
    known: dict[int, FloatArray] = {}
    results = [_value(e, rows, time, frozen, known) for e in block.expressions]
    for target, result in zip(block.targets, results, strict=True):
        rows[target] = result


def _value(
    node: Node, rows: FloatArray, time: float, frozen: float, known: dict[int, FloatArray]
) -> FloatArray:
    """Value of a node, shape (n or 1, N or 1)."""
    if id(node) not in known:
        known[id(node)] = _value_of(node, rows, time, frozen, known)
    return known[id(node)]


def _value_of(
    node: Node, rows: FloatArray, time: float, frozen: float, known: dict[int, FloatArray]
) -> FloatArray:
    match node:
        case Const(values=values):
            return values[:, None]
        case Load(rows=numbers):
            return rows[numbers]
        case Clock(frozen=is_frozen):
            return np.array([[frozen if is_frozen else time]])
        case Apply(op=op, arguments=arguments):
            return PRIMITIVES[op].value(*(_value(a, rows, time, frozen, known) for a in arguments))
        case LookupAt(table=table, argument=argument):
            return lookup_value(table, _value(argument, rows, time, frozen, known))
        case Foreign(function=function, arguments=arguments, size=size, place=place):
            given = [_value(a, rows, time, frozen, known) for a in arguments]
            members = max(g.shape[1] for g in given)
            first = np.broadcast_to(given[0], (size, members))
            return FOREIGN[function].value(first, *given[1:])[place]
        case _:
            assert_never(node)


def evaluate(node: Node, rows: FloatArray, time: float) -> FloatArray:
    """Value of one expression, outside a run.

    Parameters
    ----------
    node : Node
    rows : (n_rows, N)
        The state.
    time : float

    Returns
    -------
    (n or 1, N or 1)
    """
    with np.errstate(all="ignore"):
        return _value(node, rows, time, time, {})
