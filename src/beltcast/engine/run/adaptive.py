"""Runs with adaptive steps: an explicit pair, and an implicit method for stiff models.

Between two times of the grid each member takes steps of its own, short enough that the estimated
error of each stock stays below ``rtol`` of its value, or of `SMALLEST` of the largest value that
it has had, plus ``atol`` (`Plan.tolerance`).  Values that a fixed step holds from step to step are
held from one time of the grid to the next: series of data, and STEP, PULSE, RAMP and random numbers
as functions of time.  A model of smooth equations without data is stopped only where something is
saved.

`adaptive` is the pair of Dormand and Prince (1980), of orders 5 and 4.  `stiff` extrapolates the
linearly implicit Euler method to order 5 (Deuflhard 1985; Hairer and Wanner, *Solving Ordinary
Differential Equations II*, section IV.9), with the exact Jacobian from forward mode.  Derivatives
by constants are more columns of the same steps, whose error does not decide their length.  The
extrapolation keeps its order for any matrix, so the Jacobian of the stocks also serves the
derivatives.

The equations come from the compiled model: one time is computed, with the stocks as constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol, assert_never

import numpy as np

from beltcast.engine.nodes import (
    Apply,
    Clock,
    Const,
    FloatArray,
    Foreign,
    IntArray,
    Load,
    LookupAt,
    Node,
    all_nodes,
    load,
)
from beltcast.engine.program import NO_ROWS, Block, Program, restrict
from beltcast.engine.run.forward_ad import differentiate
from beltcast.engine.run.plan import Method, Plan
from beltcast.engine.run.threads import pause
from beltcast.errors import UnsupportedConstruct

SMALLEST = 1e-6
"""Share of the largest value of a stock below which its error is no longer relative."""

LARGEST_COURSE = 100_000
"""Steps between two stops beyond which members are lost: `adaptive` on a stiff model."""

SUBSTEPS = (1, 2, 3, 4, 5)
"""Steps of the linearly implicit Euler method that are extrapolated."""

_NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_WEIGHTS = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""Dormand and Prince (1980), table 2: the last row of weights is the result of order 5."""


class _Kernel(Protocol):
    def bind(self, plan: Plan, members: int) -> Callable[[FloatArray], FloatArray]: ...


class _Start(Protocol):
    def run(
        self, make: Callable[[IntArray, IntArray], Plan], parameters: IntArray, values: FloatArray
    ) -> FloatArray: ...


@dataclass(frozen=True, eq=False)
class Adaptive:
    """A request ready to run with adaptive steps.

    Attributes
    ----------
    program : Program
        What the question needs.
    start : Prepared
        Answers with the stocks, then `memory`, at the start.
    kernel : Kernel
        The equations with the stocks as constants (`state_equations`).
    stocks, flows : (n,)
    memory : (r,)
        Rows that keep their value from the start (INITIAL).
    given : (g,)
        Rows that each evaluation sets after the parameters: stocks, memory, time, the last time of
        the grid, series.
    rows : (o,)
        Rows that are saved.
    moved : (d,)
        Rows of the constants that are differentiated by.
    tangents : (n_rows,)
        Row of each row's tangent, -1 where there is none.
    implicit, timed : bool
        Which method; whether runs stop at every time of the grid.
    derivatives : bool
        Whether derivatives were requested.
    """

    program: Program
    start: _Start
    kernel: _Kernel
    stocks: IntArray
    flows: IntArray
    memory: IntArray
    given: IntArray
    rows: IntArray
    moved: IntArray
    tangents: IntArray
    implicit: bool
    timed: bool
    derivatives: bool

    def run(
        self, make: Callable[[IntArray, IntArray], Plan], parameters: IntArray, values: FloatArray
    ) -> FloatArray:
        """Run all members; as `beltcast.engine.run.prepare.Prepared.run`."""
        plan = make(parameters, self.rows)
        first = self.start.run(lambda p, r: _instant(make(p, r), 0), parameters, values)[0]
        first = first if self.derivatives else first[..., None]
        first = np.ascontiguousarray(np.moveaxis(first, 1, 0))  # (N, n + r, 1 + d)
        n, d = len(self.stocks), len(self.moved)
        state, memory = first[:, :n], first[:, n:]
        members = np.arange(values.shape[1])
        stops = np.arange(plan.saves.max() + 1) if self.timed else np.union1d([0], plan.saves)
        out = np.empty((len(plan.saves), len(self.rows), len(members), 1 + d))
        course = _Course(self, plan, parameters, values, memory)
        steps = np.full(len(members), np.nan)
        largest = np.abs(state[..., 0])
        for stop, following in zip(stops, [*stops[1:], -1], strict=True):
            course.hold(int(stop))
            times = np.full(len(members), plan.times[stop])
            saved = np.flatnonzero(plan.saves == stop)
            if len(saved):
                out[saved[0]] = np.moveaxis(course.at(self.rows, members, state, times), 0, 1)
            if following > 0:
                _advance(course, state, steps, largest, float(plan.times[following]))
        return out if self.derivatives else out[..., 0]


def make_adaptive(
    program: Program,
    method: Method,
    rows: IntArray,
    moved: IntArray | None,
    start: Callable[[Program, IntArray], _Start],
    kernel: Callable[[Program], _Kernel],
) -> Adaptive:
    """Make a request ready to run with adaptive steps.

    Parameters
    ----------
    program : Program
        No more than the question needs.
    method : 'adaptive' or 'stiff'
    rows : (o,)
        Rows to save.
    moved : (d,), optional
        Rows of the constants to differentiate with respect to.
    start : callable
        From the program and rows to what answers with them and their derivatives at the start.
    kernel : callable
        Compiles a program.

    Raises
    ------
    UnsupportedConstruct
        A variable changes once per step, or `stiff` needs a derivative that a function does not
        have.
    """
    _check_equations(program, method)
    equations, memory, given = state_equations(program)
    needed = restrict(equations, [*rows.tolist(), *program.flows.tolist()])
    differentiated = NO_ROWS if moved is None else moved
    tangents = NO_ROWS
    if method == "stiff" or moved is not None:
        seeds = [*differentiated.tolist(), *program.stocks.tolist(), *memory.tolist()]
        try:
            needed, tangents = differentiate(needed, seeds)
        except UnsupportedConstruct as problem:
            raise UnsupportedConstruct(
                f"the method '{method}' needs the derivative of the flows by the stocks: "
                f"{problem.sentence}"
            ) from None
    return Adaptive(
        program=program,
        start=start(program, np.concatenate([program.stocks, memory])),
        kernel=kernel(needed),
        stocks=program.stocks,
        flows=program.flows,
        memory=memory,
        given=given,
        rows=rows,
        moved=differentiated,
        tangents=tangents,
        implicit=method == "stiff",
        timed=bool(program.inputs) or _jumps(program),
        derivatives=moved is not None,
    )


SMOOTH = frozenset({"add", "sub", "mul", "div", "pow", "neg", "exp", "log", "sqrt", "sin", "cos"})
"""Primitives without jumps or kinks, through which a step may follow the time."""


def _jumps(program: Program) -> bool:
    """Whether a value may jump at a time of its own, which no step may cross."""
    stages = (program.settle, program.step, program.rates)
    nodes = [x for stage in stages for b in stage for e in b.expressions for x in all_nodes(e)]
    clocks = [node for node in nodes if isinstance(node, Clock)]
    smooth = all(
        node.op in SMOOTH if isinstance(node, Apply) else isinstance(node, (Const, Load, Clock))
        for node in nodes
    )
    return any(clock.frozen for clock in clocks) or (bool(clocks) and not smooth)


def _check_equations(program: Program, method: Method) -> None:
    stepwise = [block.name for block in (*program.hold, *program.after)]
    if stepwise or len(program.pasts):
        names = ", ".join(f"'{name}'" for name in dict.fromkeys(stepwise))
        raise UnsupportedConstruct(
            f"the method '{method}' integrates differential equations, and {names} changes once a "
            "step (DELAY FIXED, DELAY N, SAMPLE IF TRUE, a conveyor or a queue); use euler, rk2 or "
            "rk4, or write the delay as stocks (DELAY3, SMOOTH3)"
        )


def state_equations(program: Program) -> tuple[Program, IntArray, IntArray]:
    """Return the equations of a program, without its run.

    Returns
    -------
    equations : Program
        Without stocks: what a run moves, remembers from its start, and reads as time or series are
        rows that a caller sets.
    memory : (r,)
        Rows that a run remembers from its start.
    given : (n + r + 2 + k,)
        All rows to set: stocks, memory, the time, the last time of the grid, and series.
    """
    later = {
        row
        for stage in (program.setup, program.settle, program.step, program.rates)
        for block in stage
        for target in block.targets
        for row in target.tolist()
    }
    started = {row for b in program.initial for target in b.targets for row in target.tolist()}
    memory = np.array(sorted(started - later - set(program.stocks.tolist())), dtype=np.int64)
    clocks = np.array([program.n_rows, program.n_rows + 1])
    known: dict[int, Node] = {}

    def timed(stage: Sequence[Block]) -> tuple[Block, ...]:
        return tuple(
            replace(block, expressions=tuple(_timed(e, clocks, known) for e in block.expressions))
            for block in stage
        )

    series = np.array(list(program.inputs), dtype=np.int64)
    equations = replace(
        program,
        n_rows=program.n_rows + 2,
        initial=(),
        settle=timed(program.settle),
        step=timed(program.step),
        rates=timed(program.rates),
        stocks=NO_ROWS,
        flows=NO_ROWS,
        inputs={},
    )
    return equations, memory, np.concatenate([program.stocks, memory, clocks, series])


def _timed(node: Node, clocks: IntArray, known: dict[int, Node]) -> Node:
    """Return a node that reads the time from rows."""
    if id(node) not in known:
        known[id(node)] = _timed_of(node, clocks, known)
    return known[id(node)]


def _timed_of(node: Node, clocks: IntArray, known: dict[int, Node]) -> Node:
    match node:
        case Const() | Load():
            return node
        case Clock(frozen=frozen):
            return load(int(clocks[int(frozen)]))
        case Apply(arguments=arguments) | Foreign(arguments=arguments):
            return replace(node, arguments=tuple(_timed(a, clocks, known) for a in arguments))
        case LookupAt(argument=argument):
            return replace(node, argument=_timed(argument, clocks, known))
        case _:
            assert_never(node)


def _instant(plan: Plan, k: int) -> Plan:
    """Return the plan of one time alone."""
    return replace(
        plan,
        times=plan.times[k : k + 1],
        steps=plan.steps[k : k + 1],
        saves=np.zeros(1, dtype=np.int64),
        inputs=plan.inputs[k : k + 1],
        method="euler",
    )


class _Course:
    """The equations of one run, at any state."""

    def __init__(
        self,
        question: Adaptive,
        plan: Plan,
        parameters: IntArray,
        values: FloatArray,
        memory: FloatArray,
    ) -> None:
        self.question, self.values, self.memory = question, values, memory
        self.plan, self.now = plan, 0.0
        self.series: FloatArray = plan.inputs[0]
        seeded = np.concatenate([question.moved, question.stocks, question.memory])
        self.seeded = question.tangents[seeded] if len(question.tangents) else NO_ROWS
        self.parameters = np.concatenate([parameters, question.given])
        self.seeding = np.concatenate([self.parameters, self.seeded])
        self.instant = replace(_instant(plan, 0), inputs=np.empty((1, 0)))
        self.evaluators: dict[tuple[int, int, int], Callable[[FloatArray], FloatArray]] = {}

    def hold(self, stop: int) -> None:
        """Hold series and the time of the grid as they are at one of its times."""
        self.now, self.series = float(self.plan.times[stop]), self.plan.inputs[stop]

    def at(
        self, rows: IntArray, members: IntArray, state: FloatArray, times: FloatArray
    ) -> FloatArray:
        """Values of rows and their derivatives; state (M, n, 1 + d) -> (M, len(rows), 1 + d)."""
        n, d = state.shape[1], state.shape[2] - 1
        seeds = None
        if d:
            seeds = np.empty((d + n + self.memory.shape[1], len(members), d))
            seeds[:d] = np.eye(d)[:, None]
            seeds[d : d + n] = state[..., 1:].transpose(1, 0, 2)
            seeds[d + n :] = self.memory[members, :, 1:].transpose(1, 0, 2)
        return self._call(rows, members, state[..., 0], times, seeds)

    def jacobian(self, members: IntArray, state: FloatArray, times: FloatArray) -> FloatArray:
        """Derivatives of the flows by the stocks; -> (M, n, n)."""
        n, d = state.shape[1], state.shape[2] - 1
        seeds = np.zeros((len(self.seeded), len(members), n))
        seeds[d : d + n] = np.eye(n)[:, None]
        found = self._call(self.question.flows, members, state[..., 0], times, seeds)
        slopes: FloatArray = found[..., 1:]
        return slopes

    def _evaluator(
        self, rows: IntArray, outputs: IntArray, parameters: IntArray, columns: int
    ) -> Callable[[FloatArray], FloatArray]:
        key = (id(rows), len(parameters), columns)
        if key in self.evaluators:
            return self.evaluators[key]
        plan = replace(self.instant, parameters=parameters, outputs=outputs)
        evaluator = self.question.kernel.bind(plan, columns)
        if columns < 1000:  # of more columns the overhead does not count, but their memory does
            self.evaluators[key] = evaluator
        return evaluator

    def _call(
        self,
        rows: IntArray,
        members: IntArray,
        state: FloatArray,
        times: FloatArray,
        seeds: FloatArray | None,
    ) -> FloatArray:
        m, n, r = len(members), state.shape[1], self.memory.shape[1]
        p, k = len(self.values), len(self.parameters)
        width = 1 if seeds is None else seeds.shape[2]
        columns = np.empty((k + (0 if seeds is None else len(seeds)), m, width))
        columns[:p] = self.values[:, members, None]
        columns[p : p + n] = state.T[..., None]
        columns[p + n : p + n + r] = self.memory[members, :, 0].T[..., None]
        columns[p + n + r] = times[:, None]
        columns[p + n + r + 1] = self.now
        columns[p + n + r + 2 : k] = self.series[:, None, None]
        if seeds is None:
            found = self._evaluator(rows, rows, self.parameters, m)(columns[..., 0])[0]
            values: FloatArray = found.T[..., None]
            return values
        columns[k:] = seeds
        own = self.question.tangents[rows]
        known = own >= 0
        outputs, parameters = np.concatenate([rows, own[known]]), self.seeding
        evaluate = self._evaluator(rows, outputs, parameters, m * width)
        found = evaluate(columns.reshape(len(columns), -1))[0].reshape(-1, m, width)
        out = np.zeros((m, len(rows), 1 + width))
        out[..., 0] = found[: len(rows), :, 0].T
        out[:, known, 1:] = found[len(rows) :].transpose(1, 0, 2)
        return out


def _advance(
    course: _Course, state: FloatArray, steps: FloatArray, largest: FloatArray, end: float
) -> None:
    """Move all members to a time, in place: state (N, n, 1 + d), steps (N,), largest (N, n)."""
    question, begin = course.question, course.now
    rtol, atol = course.plan.tolerance
    flows, stocks = question.flows, state.shape[1]
    left = np.flatnonzero(np.isfinite(state[..., 0]).all(axis=1)) if stocks else NO_ROWS
    state[np.setdiff1d(np.arange(len(state)), left)] = np.nan
    times = np.full(len(state), begin)
    with np.errstate(all="ignore"):  # NaN and inf are data here, as in a kernel
        rates = np.full_like(state, np.nan)
        rates[left] = course.at(flows, left, state[left], times[left])
        _first_steps(state, rates, steps, left, end - begin)
        rejected = np.zeros(len(state), dtype=bool)
        for tried in count():
            pause()
            if tried > LARGEST_COURSE:
                state[left] = np.nan
                break
            if not len(left):
                break
            rest = end - times[left]
            last = steps[left] >= 0.999 * rest
            length = np.where(last, rest, steps[left])
            step = _extrapolate if question.implicit else _pair
            moved, error, then = step(course, left, state[left], rates[left], times[left], length)
            size = np.maximum(np.abs(state[left, :, 0]), np.abs(moved[..., 0]))
            scale = np.maximum(largest[left], size)
            allowed = rtol * np.maximum(size, SMALLEST * scale) + atol
            share = (np.abs(error) / allowed).max(axis=1, initial=0.0)
            share = np.where(np.isfinite(moved).all(axis=(1, 2)), share, np.inf)
            share = np.where(np.isnan(share), np.inf, share)
            taken = share <= 1.0
            change = np.clip(0.9 * np.maximum(share, 1e-10) ** -0.2, 0.2, 5.0)
            change = np.where(~taken | rejected[left], np.minimum(change, 1.0), change)
            following = length * change
            # A step cut short by the end does not limit the length of the next one.
            following = np.where(taken & last, np.maximum(following, steps[left]), following)
            steps[left] = following
            rejected[left] = ~taken
            done = left[taken]
            state[done], rates[done], largest[done] = moved[taken], then[taken], scale[taken]
            times[done] = np.where(last, end, times[left] + length)[taken]
            lost = ~taken & (times[left] + following <= times[left])
            state[left[lost]] = np.nan
            left = left[~lost & (times[left] < end)]


def _first_steps(
    state: FloatArray, rates: FloatArray, steps: FloatArray, left: IntArray, length: float
) -> None:
    """Choose the first steps: a hundredth of the time in which a stock would go to zero."""
    new = left[np.isnan(steps[left])]
    values, speeds = np.abs(state[new, :, 0]), np.abs(rates[new, :, 0])
    lasting = np.where((speeds > 0) & (values > 0), values / speeds, np.inf)
    steps[new] = np.minimum(0.01 * lasting.min(axis=1, initial=np.inf), 1e-3 * length)


def _pair(
    course: _Course,
    members: IntArray,
    state: FloatArray,
    rates: FloatArray,
    times: FloatArray,
    length: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Take one step of Dormand and Prince: the state, its error and the flows there."""
    h = length[:, None, None]
    found = [rates]
    moved = state
    for node, weights in zip(_NODES[1:], _WEIGHTS[1:], strict=True):
        sum_of = weights[0] * found[0]
        for weight, flow in zip(weights[1:], found[1:], strict=True):
            sum_of = sum_of + weight * flow
        moved = state + h * sum_of
        found.append(course.at(course.question.flows, members, moved, times + node * length))
    error = sum((w * f[..., 0] for w, f in zip(_ERROR, found, strict=True)), start=0.0 * h[..., 0])
    return moved, length[:, None] * error, found[-1]


def _extrapolate(
    course: _Course,
    members: IntArray,
    state: FloatArray,
    rates: FloatArray,
    times: FloatArray,
    length: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Take one step of the extrapolated linearly implicit Euler method."""
    m, n, width = state.shape
    counts = np.array(SUBSTEPS, dtype=np.float64)
    h = length[:, None] / counts  # (M, K)
    slopes = course.jacobian(members, state, times)
    matrices = np.eye(n) - h[..., None, None] * slopes[:, None]
    good = np.isfinite(matrices).all(axis=(1, 2, 3))
    inverse = np.full_like(matrices, np.nan)
    inverse[good] = _inverses(matrices[good])
    found = np.repeat(state[:, None], len(counts), axis=1)  # (M, K, n, 1 + d)
    for i in range(SUBSTEPS[-1]):
        active = found[:, i:]
        k = active.shape[1]
        at = (times[:, None] + (i + 1) * h[:, i:]).reshape(-1)
        flows = course.at(
            course.question.flows, np.repeat(members, k), active.reshape(-1, n, width), at
        ).reshape(m, k, n, width)
        found[:, i:] = active + inverse[:, i:] @ (h[:, i:, None, None] * flows)
    table = [found[:, j] for j in range(len(counts))]
    coarser = table[-1]
    for k in range(1, len(counts)):
        coarser = table[-1]
        table = [
            table[j] + (table[j] - table[j - 1]) / (counts[j + k - 1] / counts[j - 1] - 1.0)
            for j in range(1, len(table))
        ]
    moved = table[0]
    return moved, (moved - coarser)[..., 0], rates


def _inverses(matrices: FloatArray) -> FloatArray:
    """Inverse of each matrix; NaN where a matrix is singular."""
    try:
        return np.asarray(np.linalg.inv(matrices), dtype=np.float64)
    except np.linalg.LinAlgError:
        out = np.full_like(matrices, np.nan)
        for k in range(len(matrices)) if len(matrices) > 1 else ():
            out[k] = _inverses(matrices[[k]])[0]
        return out
