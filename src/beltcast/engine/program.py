"""A model as an ordered program over rows.

`lower` resolves subscripts, gives each scalar a row, turns delays and smooths into stocks and puts
the equations in an order in which each reads only what is already known:

``setup``
    equations that depend on constants alone; once per run, first.
``initial``
    what the initial values of the stocks need, and those values; once per run.
``settle``
    equations that depend on constants and on INITIAL() values; once per run, last.
``step``
    all other auxiliaries; at every step (and every Runge-Kutta stage).
``rates``
    the net flow of each stock; at every step, after ``step``.

An equation over a subscript range stays one `Block` with one expression, so that the size of a
program does not grow with the size of the ranges; only where elements of one equation depend on
each other is it taken apart.  Both back ends print this program, and `beltcast.engine.tangent`
differentiates it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

import numpy as np

from beltcast.engine.functions import (
    LANGUAGE,
    REDUCTIONS,
    pulse_function,
    ramp_function,
    step_function,
)
from beltcast.engine.nodes import (
    Clock,
    Const,
    FloatArray,
    IntArray,
    Load,
    LookupAt,
    Node,
    apply,
    const,
    pick,
    rows_read,
    walk,
)
from beltcast.engine.syntax import (
    Array,
    Call,
    Data,
    Equation,
    Expr,
    Number,
    Ref,
    Source,
    Table,
    canonical,
)
from beltcast.errors import (
    ModelFileError,
    UnknownName,
    UnsupportedConstruct,
    did_you_mean,
)


@dataclass(frozen=True, eq=False)
class Slot:
    """Where a variable lives.

    ``rows`` has one axis per dimension; -1 marks an element that the model does not define.
    """

    name: str
    kind: str
    dims: tuple[str, ...]
    rows: IntArray


@dataclass(frozen=True, eq=False)
class Block:
    """Assignments to ``n`` elements at once; ``targets[i]`` (n,) receives ``expressions[i]``."""

    name: str
    targets: tuple[IntArray, ...]
    expressions: tuple[Node, ...]

    @property
    def n(self) -> int:
        """Number of elements."""
        return len(self.targets[0])

    def reads(self) -> set[int]:
        """Return the rows that the expressions read."""
        return set().union(*(rows_read(e) for e in self.expressions))

    def split(self) -> list[Block]:
        """Return one block for each element."""
        return [
            Block(
                self.name,
                tuple(t[[i]] for t in self.targets),
                tuple(pick(e, i) for e in self.expressions),
            )
            for i in range(self.n)
        ]


@dataclass(frozen=True, eq=False)
class Program:
    """An ordered program.

    Attributes
    ----------
    slots : mapping
        By canonical name; everything that can be asked for.
    n_rows : int
    constants, constant_values : (c,)
        Rows that hold constants, and their defaults.
    inputs : mapping of row to Data
        Exogenous series.
    setup, initial, settle, step, rates : tuple of Block
    stocks, flows : (s,)
        A step adds ``dt * row[flows[i]]`` to ``row[stocks[i]]``.
    """

    slots: Mapping[str, Slot]
    n_rows: int
    constants: IntArray
    constant_values: FloatArray
    inputs: Mapping[int, Data]
    setup: tuple[Block, ...]
    initial: tuple[Block, ...]
    settle: tuple[Block, ...]
    step: tuple[Block, ...]
    rates: tuple[Block, ...]
    stocks: IntArray
    flows: IntArray

    def default(self, row: int) -> float:
        """Return the default of a constant row."""
        return float(self.constant_values[np.searchsorted(self.constants, row)])


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
    table = _Table(source)
    parts = _Parts(n_rows=table.n_rows)
    for equation in table.equations:
        _lower_equation(equation, table, parts)
    return _arrange(table.slots, parts, source)


def accumulate(program: Program, rows: IntArray) -> tuple[Program, IntArray]:
    """Add a stock for each row that adds up the row over time.

    The total over a period is then the difference of two values of that stock, exact under the
    model's own integration: Euler moves a stock by ``dt * flow``, and so does the sum.

    Returns
    -------
    program : Program
    totals : (len(rows),)
        The rows of the new stocks.
    """
    n = len(rows)
    totals = np.arange(program.n_rows, program.n_rows + n)
    flows = totals + n
    if n == 0:
        return program, totals
    return (
        replace(
            program,
            n_rows=program.n_rows + 2 * n,
            initial=(*program.initial, Block("totals", (totals,), (const(0.0),))),
            rates=(*program.rates, Block("totals", (flows,), (Load(np.asarray(rows)),))),
            stocks=np.concatenate([program.stocks, totals]),
            flows=np.concatenate([program.flows, flows]),
        ),
        totals,
    )


def restrict(program: Program, wanted: Iterable[int]) -> Program:
    """Leave out every equation that the wanted rows do not need."""
    needed = set(wanted)
    flow_of = dict(zip(program.stocks.tolist(), program.flows.tolist(), strict=True))
    blocks = (*program.setup, *program.initial, *program.settle, *program.step, *program.rates)
    makers: dict[int, list[Block]] = {}
    for block in blocks:
        for target in block.targets:
            for row in target.tolist():
                makers.setdefault(row, []).append(block)
    kept: set[int] = set()
    waiting = list(needed)
    while waiting:
        row = waiting.pop()
        more = {flow_of[row]} if row in flow_of else set()
        for block in makers.get(row, []):
            if id(block) not in kept:
                kept.add(id(block))
                more |= block.reads()
        waiting.extend(more - needed)
        needed |= more

    def keep(stage: tuple[Block, ...]) -> tuple[Block, ...]:
        return tuple(block for block in stage if id(block) in kept)

    alive = np.array([s in needed for s in program.stocks.tolist()], dtype=bool)
    return replace(
        program,
        setup=keep(program.setup),
        initial=keep(program.initial),
        settle=keep(program.settle),
        step=keep(program.step),
        rates=keep(program.rates),
        stocks=program.stocks[alive],
        flows=program.flows[alive],
        inputs={row: data for row, data in program.inputs.items() if row in needed},
    )


# --- names and rows ---------------------------------------------------------------------------


class _Table:
    """Every name of the model with its rows, and the subscripts to index them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.ranges = {canonical(n): tuple(e) for n, e in source.subscripts.items()}
        self.range_names = {canonical(n): n for n in source.subscripts}
        self.mappings = {
            canonical(n): tuple(canonical(m) for m in to) for n, to in source.mappings.items()
        }
        self.element_names = {
            canonical(e): e for elements in self.ranges.values() for e in elements
        }
        self.equations = (*source.controls.values(), *source.equations)
        self.lookups: dict[str, dict[tuple[str, ...], Table]] = {}
        self.n_rows = 0
        by_name: dict[str, list[Equation]] = {}
        for equation in self.equations:
            by_name.setdefault(canonical(equation.name), []).append(equation)
        self.slots = {name: self._slot(group) for name, group in by_name.items()}

    def _slot(self, group: list[Equation]) -> Slot:
        first = group[0]
        if len({len(e.subscripts) for e in group}) > 1:
            raise self.error(
                first, f"'{first.name}' is defined with different numbers of subscripts"
            )
        dims = tuple(
            self._dimension(first, column)
            for column in zip(*(e.subscripts for e in group), strict=True)
        )
        shape = tuple(len(self.ranges[canonical(d)]) for d in dims)
        kind = _kind(group)
        rows = np.full(shape, -1, dtype=np.int64)
        slot = Slot(first.name, kind, dims, rows)
        for equation in group:
            for element in self.elements(equation):
                place = self.place(slot, element)
                if rows[place] != -1:
                    label = f"{first.name}[{', '.join(element)}]" if element else first.name
                    raise self.error(equation, f"'{label}' is defined twice")
                rows[place] = self.n_rows
                self.n_rows += 1
                if isinstance(equation.expression, Table):
                    self.lookups.setdefault(canonical(first.name), {})[element] = (
                        equation.expression
                    )
        rows.setflags(write=False)
        return slot

    def _dimension(self, equation: Equation, column: Sequence[str]) -> str:
        """Smallest range that holds all subscripts written at one position."""
        wanted = {e for s in column for e in self.expand(equation, s)}
        named = {canonical(s) for s in column if canonical(s) in self.ranges}
        if len(named) == 1 and set(self.ranges[next(iter(named))]) == wanted:
            return self.range_names[next(iter(named))]
        fitting = [n for n, e in self.ranges.items() if wanted <= set(e)]
        if not fitting:
            raise self.error(equation, f"no subscript range holds {', '.join(sorted(wanted))}")
        return self.range_names[min(fitting, key=lambda n: len(self.ranges[n]))]

    def expand(self, equation: Equation, subscript: str) -> tuple[str, ...]:
        name = canonical(subscript)
        if name in self.ranges:
            return self.ranges[name]
        if name in self.element_names:
            return (self.element_names[name],)
        raise self.error(
            equation,
            f"'{subscript}' is neither a subscript range nor an element"
            + did_you_mean(subscript, [*self.range_names.values(), *self.element_names.values()]),
        )

    def elements(self, equation: Equation) -> list[tuple[str, ...]]:
        """Return the elements that an equation defines, without those after EXCEPT."""
        axes = [self.expand(equation, s) for s in equation.subscripts]
        groups = [[set(self.expand(equation, s)) for s in group] for group in equation.except_]
        return [
            element
            for element in itertools.product(*axes)
            if not any(all(e in g for e, g in zip(element, group, strict=True)) for group in groups)
        ]

    def place(self, slot: Slot, element: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(
            self.ranges[canonical(d)].index(e) for d, e in zip(slot.dims, element, strict=True)
        )

    def error(self, equation: Equation, sentence: str) -> ModelFileError:
        return ModelFileError(
            f"in the equation of '{equation.name}': {sentence}", self.source.path, equation.line
        )


def _kind(group: list[Equation]) -> str:
    expressions = [e.expression for e in group]
    if all(isinstance(e, Table) for e in expressions):
        return "lookup"
    if all(isinstance(e, Data) for e in expressions):
        return "input"
    if all(_constant(e) is not None for e in expressions):
        return "constant"
    if any(isinstance(e, Call) and e.function == "INTEG" for e in expressions):
        return "stock"
    return "auxiliary"


def _constant(expression: Expr) -> FloatArray | None:
    """Value of a right-hand side that is only numbers."""
    if isinstance(expression, Number):
        return np.array(expression.value)
    if isinstance(expression, Array):
        return expression.values
    if isinstance(expression, Call) and expression.function == "negative":
        inner = _constant(expression.arguments[0])
        return None if inner is None else -inner
    return None


# --- expressions ------------------------------------------------------------------------------


@dataclass
class _Parts:
    """What lowering collects before it is put in order."""

    n_rows: int
    constants: dict[int, float] = field(default_factory=dict)
    inputs: dict[int, Data] = field(default_factory=dict)
    auxiliaries: list[Block] = field(default_factory=list)
    starts: list[Block] = field(default_factory=list)  # initial values of stocks and INITIAL()
    stocks: list[IntArray] = field(default_factory=list)
    flows: list[Block] = field(default_factory=list)

    def new_rows(self, n: int) -> IntArray:
        rows = np.arange(self.n_rows, self.n_rows + n)
        self.n_rows += n
        return rows

    def stock(self, name: str, rows: IntArray, initial: Node, rate: Node) -> None:
        self.starts.append(Block(name, (rows,), (initial,)))
        self.stocks.append(rows)
        self.flows.append(Block(name, (self.new_rows(len(rows)),), (rate,)))


class _TablesDiffer(Exception):
    """Elements of one equation use different lookups: lower them one by one."""


def _lower_equation(equation: Equation, table: _Table, parts: _Parts) -> None:
    slot = table.slots[canonical(equation.name)]
    elements = table.elements(equation)
    if not elements:  # EXCEPT leaves nothing
        return
    rows = np.array([slot.rows[table.place(slot, e)] for e in elements], dtype=np.int64)
    expression = equation.expression
    if isinstance(expression, Table):
        return
    if isinstance(expression, Data):
        parts.inputs[int(rows[0])] = expression
        return
    value = _constant(expression)
    if value is not None:
        parts.constants.update(
            zip(rows.tolist(), _spread(value, equation, elements, table), strict=True)
        )
        return
    try:
        _lower_elements(equation, elements, rows, table, parts)
    except _TablesDiffer:
        for i, element in enumerate(elements):
            _lower_elements(equation, [element], rows[[i]], table, parts)


def _spread(
    value: FloatArray, equation: Equation, elements: list[tuple[str, ...]], table: _Table
) -> list[float]:
    """One number for each element, from one number or a list in the order written."""
    if value.size == 1:
        return [float(value.reshape(-1)[0])] * len(elements)
    axes = [table.expand(equation, s) for s in equation.subscripts]
    shape = tuple(len(a) for a in axes)
    if value.size != int(np.prod(shape)):
        raise table.error(
            equation, f"{value.size} numbers are given for {int(np.prod(shape))} elements"
        )
    full = value.reshape(shape)
    return [
        float(full[tuple(a.index(e) for a, e in zip(axes, element, strict=True))])
        for element in elements
    ]


def _lower_elements(
    equation: Equation,
    elements: list[tuple[str, ...]],
    rows: IntArray,
    table: _Table,
    parts: _Parts,
) -> None:
    scope = {
        canonical(subscript): [element[axis] for element in elements]
        for axis, subscript in enumerate(equation.subscripts)
    }
    lowering = _Lowering(equation, len(elements), table, parts)
    expression = equation.expression
    if isinstance(expression, Call) and expression.function == "INTEG":
        rate = lowering.node(expression.arguments[0], scope)
        initial = lowering.node(expression.arguments[1], scope)
        parts.stock(equation.name, rows, initial, rate)
        return
    node = lowering.node(expression, scope)
    parts.auxiliaries.append(Block(equation.name, (rows,), (node,)))


Scope = Mapping[str, Sequence[str]]
"""For each range on the left: the element in hand, for each of the n elements of the block."""


class _Lowering:
    """Expressions of one equation, for n elements at once."""

    def __init__(self, equation: Equation, n: int, table: _Table, parts: _Parts) -> None:
        self.equation = equation
        self.n = n
        self.table = table
        self.parts = parts

    def node(self, expression: Expr, scope: Scope) -> Node:
        match expression:
            case Number(value=value):
                return const(value)
            case Ref():
                return self._reference(expression, scope)
            case Call(function="LOOKUP" | "WITH LOOKUP"):
                return self._lookup(expression, scope)
            case Call(function=function) if function in REDUCTIONS:
                return self._reduction(expression, scope)
            case Call(function=function) if function in _WITH_MEMORY:
                known = _WITH_MEMORY[function]
                self._check_arity(function, known.arity, expression.arguments)
                return known.build(self, *(self.node(a, scope) for a in expression.arguments))
            case Call(function=function, arguments=arguments):
                return self._function(function, arguments, scope)
        raise self._refuse("a list of numbers inside an expression", "give it a name of its own")

    def _reference(self, ref: Ref, scope: Scope) -> Node:
        name = canonical(ref.name)
        if name == "time" and name not in self.table.slots:
            return Clock()
        slot = self.table.slots.get(name)
        if slot is None:
            names = [s.name for s in self.table.slots.values()]
            raise UnknownName(
                f"the equation of '{self.equation.name}' uses '{ref.name}', which the model does "
                f"not define{did_you_mean(ref.name, names)}",
                self.table.source.path,
                self.equation.line,
            )
        if slot.kind == "lookup":
            raise self._refuse(f"the lookup '{slot.name}' used as a value", "give it an argument")
        elements = self._elements(ref, slot, scope)
        rows = np.array([slot.rows[self.table.place(slot, e)] for e in elements], dtype=np.int64)
        if np.any(rows < 0):
            missing = elements[int(np.argmin(rows))]
            raise self.table.error(
                self.equation, f"'{slot.name}[{', '.join(missing)}]' is not defined"
            )
        return Load(rows[:1] if len(set(rows.tolist())) == 1 else rows)

    def _elements(self, ref: Ref, slot: Slot, scope: Scope) -> list[tuple[str, ...]]:
        if len(ref.subscripts) != len(slot.dims):
            raise self.table.error(
                self.equation,
                f"'{slot.name}' has {len(slot.dims)} subscripts and is used with "
                f"{len(ref.subscripts)}",
            )
        if not slot.dims:
            return [()]
        columns = [
            self._column(subscript, dim, scope)
            for subscript, dim in zip(ref.subscripts, slot.dims, strict=True)
        ]
        return list(zip(*columns, strict=True))

    def _column(self, subscript: str, dim: str, scope: Scope) -> Sequence[str]:
        """Return the element of one subscript for each of the n elements."""
        name = canonical(subscript)
        if name in scope:
            return scope[name]
        if name not in self.table.ranges:
            return list(self.table.expand(self.equation, subscript)) * self.n
        target = self.table.ranges[name]
        for other, elements in scope.items():
            if other.endswith("!") or other not in self.table.ranges:
                continue
            mapped = other in self.table.mappings.get(name, ()) or name in self.table.mappings.get(
                other, ()
            )
            if mapped:
                positions = self.table.ranges[other]
                return [target[positions.index(e)] for e in elements]
        for other, elements in scope.items():
            if not other.endswith("!") and set(elements) <= set(target):
                return elements
        raise self.table.error(
            self.equation,
            f"the range '{subscript}' of the right-hand side is neither on the left nor mapped to "
            "a range there",
        )

    def _lookup(self, call: Call, scope: Scope) -> Node:
        self._check_arity("a lookup", (1, 1), call.arguments[1:])
        lookup, argument = call.arguments
        at = self.node(argument, scope)
        if isinstance(lookup, Table):
            return LookupAt(lookup, at)
        assert isinstance(lookup, Ref)
        slot = self.table.slots[canonical(lookup.name)]
        tables = self.table.lookups.get(canonical(lookup.name))
        if tables is None:
            raise self.table.error(self.equation, f"'{lookup.name}' is called but is no lookup")
        used = {tables[e] for e in self._elements(lookup, slot, scope)}
        if len(used) > 1:
            raise _TablesDiffer
        return LookupAt(used.pop(), at)

    def _reduction(self, call: Call, scope: Scope) -> Node:
        """SUM and its like, over the ranges marked with '!' anywhere below."""
        self._check_arity(call.function, (1, 1), call.arguments)
        (argument,) = call.arguments
        marked = list(
            dict.fromkeys(
                s for ref in _references(argument) for s in ref.subscripts if s.endswith("!")
            )
        )
        if not marked:
            raise self._refuse(f"{call.function} without a subscript marked '!'", "mark the range")
        axes = [self.table.expand(self.equation, m[:-1]) for m in marked]
        terms = [
            self.node(
                argument,
                {
                    **scope,
                    **{canonical(m): [e] * self.n for m, e in zip(marked, element, strict=True)},
                },
            )
            for element in itertools.product(*axes)
        ]
        return REDUCTIONS[call.function](*terms)

    def _function(self, function: str, arguments: Sequence[Expr], scope: Scope) -> Node:
        known = LANGUAGE.get(function)
        if known is None:
            names = [*LANGUAGE, *REDUCTIONS, *_WITH_MEMORY]
            raise self._refuse(
                f"the function {function}", "write it out", did_you_mean(function, names)
            )
        self._check_arity(function, known.arity, arguments)
        return known.build(*(self.node(a, scope) for a in arguments))

    def _check_arity(
        self, function: str, arity: tuple[int, int], arguments: Sequence[Expr]
    ) -> None:
        least, most = arity
        if least <= len(arguments) <= most:
            return
        wanted = "one argument" if most == 1 else f"{least} arguments"
        if most > least:
            wanted = f"{least} to {most} arguments"
        raise self.table.error(
            self.equation, f"{function} takes {wanted} and is given {len(arguments)}"
        )

    def _refuse(self, construct: str, remedy: str, hint: str = "") -> UnsupportedConstruct:
        return UnsupportedConstruct(
            f"in the equation of '{self.equation.name}': {construct} is not supported{hint}; "
            f"{remedy}",
            self.table.source.path,
            self.equation.line,
        )

    # Functions that remember: each adds rows.

    def time_step(self) -> Node:
        return Load(self.table.slots["time step"].rows.reshape(-1))

    def initial(self, value: Node) -> Node:
        rows = self.parts.new_rows(self.n)
        self.parts.starts.append(Block(self.equation.name, (rows,), (value,)))
        return Load(rows)

    def smooth(self, value: Node, time: Node, initial: Node, order: Node) -> Node:
        """n-th order exponential smooth: a chain of first-order adjustments (Vensim SMOOTH N)."""
        n = self._order(order)
        part = apply("div", time, const(float(n)))
        for _ in range(n):
            rows = self.parts.new_rows(self.n)
            gap = apply("sub", value, Load(rows))
            self.parts.stock(self.equation.name, rows, initial, apply("div", gap, part))
            value = Load(rows)
        return value

    def delay(self, value: Node, time: Node, initial: Node, order: Node) -> Node:
        """n-th order material delay: a chain of stocks that keep what went in (Vensim DELAY N)."""
        n = self._order(order)
        part = apply("div", time, const(float(n)))
        for _ in range(n):
            rows = self.parts.new_rows(self.n)
            outflow = apply("div", Load(rows), part)
            start = apply("mul", initial, part)
            self.parts.stock(self.equation.name, rows, start, apply("sub", value, outflow))
            value = outflow
        return value

    def _order(self, order: Node) -> int:
        if isinstance(order, Const) and order.values[0] >= 1 and order.values[0] % 1 == 0:
            return int(order.values[0])
        raise self._refuse("a delay whose order is not a whole number", "write the number")

    def integ(self, rate: Node, initial: Node) -> Node:
        rows = self.parts.new_rows(self.n)
        self.parts.stock(self.equation.name, rows, initial, rate)
        return Load(rows)

    def step(self, height: Node, start: Node) -> Node:
        return step_function(height, start, self.time_step())

    def ramp(self, slope: Node, start: Node, end: Node | None = None) -> Node:
        return ramp_function(slope, start, end)

    def pulse(self, start: Node, width: Node) -> Node:
        return pulse_function(start, width, self.time_step())


@dataclass(frozen=True)
class _Memory:
    """A function that needs more than its arguments: rows of its own, or the clock."""

    arity: tuple[int, int]
    build: Callable[..., Node]


_WITH_MEMORY: Mapping[str, _Memory] = {
    "INTEG": _Memory((2, 2), _Lowering.integ),
    "INITIAL": _Memory((1, 1), _Lowering.initial),
    "SMOOTH": _Memory((4, 4), _Lowering.smooth),
    "DELAY": _Memory((4, 4), _Lowering.delay),
    "STEP": _Memory((2, 2), _Lowering.step),
    "RAMP": _Memory((2, 3), _Lowering.ramp),
    "PULSE": _Memory((2, 2), _Lowering.pulse),
}


def _references(expression: Expr) -> list[Ref]:
    """References of an expression, without those of a SUM inside it, which runs by itself."""
    if isinstance(expression, Ref):
        return [expression]
    if isinstance(expression, Call) and expression.function not in REDUCTIONS:
        return [ref for a in expression.arguments for ref in _references(a)]
    return []


# --- order ------------------------------------------------------------------------------------


def _arrange(slots: Mapping[str, Slot], parts: _Parts, source: Source) -> Program:
    stocks = _joined(parts.stocks)
    constants = np.array(sorted(parts.constants), dtype=np.int64)
    given = set(parts.constants) | set(parts.inputs)
    started = {row for block in parts.starts for row in block.targets[0].tolist()}
    remembered = started - set(stocks.tolist())  # INITIAL() values: known once, then constant
    ordered = _in_order(parts.auxiliaries, given | started, source)

    moving = set(stocks.tolist()) | set(parts.inputs)
    setup, settle, step = [], [], []
    late: set[int] = set(remembered)
    for block in ordered:
        reads = block.reads()
        targets = {row for t in block.targets for row in t.tolist()}
        if reads & moving or any(isinstance(x, Clock) for e in block.expressions for x in walk(e)):
            moving |= targets
            step.append(block)
        elif reads & late:
            late |= targets
            settle.append(block)
        else:
            setup.append(block)

    done = {row for block in setup for t in block.targets for row in t.tolist()}
    first = _in_order([*parts.starts, *settle, *step], given | done, source, wanted=started)
    flows = _joined([block.targets[0] for block in parts.flows])
    return Program(
        slots=slots,
        n_rows=parts.n_rows,
        constants=constants,
        constant_values=np.array([parts.constants[int(row)] for row in constants]),
        inputs=parts.inputs,
        setup=tuple(setup),
        initial=tuple(first),
        settle=tuple(settle),
        step=tuple(step),
        rates=tuple(parts.flows),
        stocks=stocks,
        flows=flows,
    )


def _joined(pieces: Sequence[IntArray]) -> IntArray:
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)


def _in_order(
    blocks: Sequence[Block], given: set[int], source: Source, wanted: set[int] | None = None
) -> list[Block]:
    """Sort blocks so that each reads only given rows and rows of blocks before it.

    With `wanted`, only the blocks that those rows need.  Blocks that depend on each other in a
    circle are taken apart element by element; a circle that remains is an error.
    """
    blocks = list(blocks)
    while True:
        maker = {row: i for i, b in enumerate(blocks) for t in b.targets for row in t.tolist()}
        needs = [{maker[row] for row in b.reads() - given if row in maker} for b in blocks]
        chosen = _ancestors(needs, {maker[row] for row in wanted}) if wanted is not None else None
        graph = {i: n for i, n in enumerate(needs) if chosen is None or i in chosen}
        try:
            return [blocks[i] for i in TopologicalSorter(graph).static_order()]
        except CycleError as problem:
            circle = list(dict.fromkeys(problem.args[1]))
            if all(blocks[i].n == 1 for i in circle):
                names = " -> ".join(dict.fromkeys(blocks[i].name for i in reversed(circle)))
                line = next(
                    (e.line for e in source.equations if e.name == blocks[circle[0]].name), None
                )
                raise ModelFileError(
                    f"these equations need each other at the same instant: {names}; "
                    "break the circle with a stock or a delay",
                    source.path,
                    line,
                ) from None
            blocks = [
                piece
                for i, block in enumerate(blocks)
                for piece in (block.split() if i in circle else [block])
            ]


def _ancestors(needs: Sequence[set[int]], start: set[int]) -> set[int]:
    found: set[int] = set()
    waiting = list(start)
    while waiting:
        i = waiting.pop()
        if i not in found:
            found.add(i)
            waiting.extend(needs[i])
    return found
