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
``hold``
    what is remembered of the start of a step (SAMPLE IF TRUE); once a step, after the first
    ``rates``.
``after``
    what changes once the stocks have moved; once a step, last.

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
from numpy.typing import NDArray

from beltcast.engine.foreign import FOREIGN
from beltcast.engine.functions import (
    LANGUAGE,
    PRIMITIVES,
    REDUCTIONS,
    exponential_draw,
    forward_table,
    inverse_table,
    normal_draw,
    pulse_function,
    pulse_train_function,
    ramp_function,
    sort_order,
    step_function,
    uniform_draw,
    vector_rank,
    vector_reorder,
    vector_select,
)
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
    apply,
    const,
    pick,
    rows_read,
    walk,
)
from beltcast.engine.syntax import (
    COMPARISONS,
    Array,
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
    initially: tuple[Node, ...] | None = None
    """What stands in for the expressions while initial values are found (ACTIVE INITIAL)."""

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
                None if self.initially is None else tuple(pick(e, i) for e in self.initially),
            )
            for i in range(self.n)
        ]


@dataclass(frozen=True, eq=False)
class Pasts:
    """Rows that repeat what another row was some steps ago (DELAY FIXED).

    At step k ``rows[i]`` is the value of ``inputs[i]`` at step ``k - order``, and that of
    ``initials[i]`` before.  The order is read from ``orders[i]``, for each member, and at least 1.
    """

    rows: IntArray
    inputs: IntArray
    orders: IntArray
    initials: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    def joined(self, other: Pasts) -> Pasts:
        """Return these and others."""
        return Pasts(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.inputs, other.inputs]),
            np.concatenate([self.orders, other.orders]),
            np.concatenate([self.initials, other.initials]),
        )

    def chosen(self, mask: NDArray[np.bool_]) -> Pasts:
        """Return some of them."""
        return Pasts(self.rows[mask], self.inputs[mask], self.orders[mask], self.initials[mask])


NO_ROWS: IntArray = np.empty(0, dtype=np.int64)
NO_PASTS = Pasts(NO_ROWS, NO_ROWS, NO_ROWS, NO_ROWS)


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
    hold, after : tuple of Block
    pasts : Pasts
    fixed : mapping of row to str
        Constants that shaped the program itself, such as the order of a delay, and what they
        shaped: no run can set them.
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
    hold: tuple[Block, ...] = ()
    after: tuple[Block, ...] = ()
    pasts: Pasts = NO_PASTS
    fixed: Mapping[int, str] = field(default_factory=dict)

    @property
    def stages(self) -> tuple[tuple[Block, ...], ...]:
        """All stages in the order in which a run first meets them."""
        return (
            self.setup,
            self.initial,
            self.settle,
            self.step,
            self.rates,
            self.hold,
            self.after,
        )

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
    blocks = [block for stage in program.stages for block in stage]
    pasts = program.pasts
    past_of = {
        int(row): {int(i), int(o), int(b)}
        for row, i, o, b in zip(pasts.rows, pasts.inputs, pasts.orders, pasts.initials, strict=True)
    }
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
        more |= past_of.get(row, set())
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
        hold=keep(program.hold),
        after=keep(program.after),
        pasts=pasts.chosen(np.array([r in needed for r in pasts.rows.tolist()], dtype=bool)),
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
        self.positions = {n: {e: i for i, e in enumerate(es)} for n, es in self.ranges.items()}
        self.range_names = {canonical(n): n for n in source.subscripts}
        self.mappings = {
            canonical(n): tuple(canonical(m) for m in to) for n, to in source.mappings.items()
        }
        self.element_names = {
            canonical(e): e for elements in self.ranges.values() for e in elements
        }
        self.families = {
            e: max((r for r in self.ranges.values() if e in r), key=len)
            for e in self.element_names.values()
        }
        self.equations = (*source.controls.values(), *source.equations)
        self.lookups: dict[str, dict[tuple[str, ...], Table]] = {}
        self.makers: dict[int, tuple[Equation, tuple[str, ...]]] = {}
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
                self.makers[self.n_rows] = (equation, element)
                self.n_rows += 1
            if isinstance(equation.expression, (Table, Tables)):
                self.lookups.setdefault(canonical(first.name), {}).update(
                    _tables(equation, self.elements(equation), self)
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
            self.positions[canonical(d)][e] for d, e in zip(slot.dims, element, strict=True)
        )

    def error(self, equation: Equation, sentence: str) -> ModelFileError:
        return ModelFileError(
            f"in the equation of '{equation.name}': {sentence}", self.source.path, equation.line
        )


def _tables(
    equation: Equation, elements: list[tuple[str, ...]], table: _Table
) -> dict[tuple[str, ...], Table]:
    """The lookup of each element."""
    if isinstance(equation.expression, Table):
        return dict.fromkeys(elements, equation.expression)
    assert isinstance(equation.expression, Tables)
    tables = equation.expression.tables
    if len(tables) != len(elements):
        raise table.error(equation, f"{len(tables)} lookups are given for {len(elements)} elements")
    return dict(zip(elements, tables, strict=True))


def _kind(group: list[Equation]) -> str:
    expressions = [e.expression for e in group]
    if all(isinstance(e, (Table, Tables)) for e in expressions):
        return "lookup"
    if all(isinstance(e, Data) for e in expressions):
        return "input"
    if all(_constant(e) is not None for e in expressions):
        return "constant"
    if any(isinstance(e, Call) and e.function in _STOCKS for e in expressions):
        return "stock"
    return "auxiliary"


_STOCKS = ("INTEG", "NON NEGATIVE INTEG")


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
    held: list[IntArray] = field(default_factory=list)  # rows that change between steps only
    hold: list[Block] = field(default_factory=list)
    after: list[Block] = field(default_factory=list)
    pasts: Pasts = NO_PASTS
    fixed: dict[int, str] = field(default_factory=dict)
    draws: int = 0

    def new_rows(self, n: int) -> IntArray:
        rows = np.arange(self.n_rows, self.n_rows + n)
        self.n_rows += n
        return rows

    def stock(self, name: str, rows: IntArray, initial: Node, rate: Node) -> None:
        self.starts.append(Block(name, (rows,), (initial,)))
        self.stocks.append(rows)
        self.flows.append(Block(name, (self.new_rows(len(rows)),), (rate,)))

    def keep(self, name: str, rows: IntArray, initial: Node, following: Node) -> None:
        """Make rows that take the value of `following`, as of the start of a step, at its end."""
        pending = self.new_rows(len(rows))
        self.starts.append(Block(name, (rows,), (initial,)))
        self.held.append(rows)
        self.hold.append(Block(name, (pending,), (following,)))
        self.after.append(Block(name, (rows,), (Load(pending),)))


class _TablesDiffer(Exception):
    """Elements of one equation use different lookups: lower them one by one."""


def _lower_equation(equation: Equation, table: _Table, parts: _Parts) -> None:
    slot = table.slots[canonical(equation.name)]
    elements = table.elements(equation)
    if not elements:  # EXCEPT leaves nothing
        return
    rows = np.array([slot.rows[table.place(slot, e)] for e in elements], dtype=np.int64)
    expression = equation.expression
    if isinstance(expression, (Table, Tables)):
        return
    if isinstance(expression, Data):
        series = _series(expression, equation, elements, table)
        parts.inputs.update(zip(rows.tolist(), series, strict=True))
        return
    value = _constant(expression)
    if value is not None:
        parts.constants.update(
            zip(rows.tolist(), _spread(value, equation, elements, table), strict=True)
        )
        return
    groups = _whole_axis_groups(equation, elements)
    if len(groups) > 1:
        for members in groups:
            _lower_elements(equation, [elements[i] for i in members], rows[members], table, parts)
        return
    try:
        _lower_elements(equation, elements, rows, table, parts)
    except _TablesDiffer:
        for i, element in enumerate(elements):
            _lower_elements(equation, [element], rows[[i]], table, parts)


def _series(
    data: Data, equation: Equation, elements: list[tuple[str, ...]], table: _Table
) -> list[Data]:
    """One series for each element."""
    if data.values.ndim == 1:
        return [data] * len(elements)
    if data.values.shape[1] != len(elements):
        raise table.error(
            equation, f"{data.values.shape[1]} series are given for {len(elements)} elements"
        )
    known = ~np.isnan(data.values)
    return [
        Data(data.times[known[:, i]], data.values[known[:, i], i], data.method)
        for i in range(len(elements))
    ]


_WHOLE_AXIS = {**dict.fromkeys(FOREIGN, 1), "INVERT MATRIX": 2}
"""Functions of whole vectors or matrices, and over how many subscripts."""


def _whole_axis_groups(equation: Equation, elements: list[tuple[str, ...]]) -> list[list[int]]:
    """Positions of elements that share one vector or matrix; all together elsewhere."""
    expression = equation.expression
    if not isinstance(expression, Call) or expression.function not in _WHOLE_AXIS:
        return [list(range(len(elements)))]
    axes = _axes(equation, expression)
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, element in enumerate(elements):
        key = tuple(e for axis, e in enumerate(element) if axis not in axes)
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _axes(equation: Equation, call: Call) -> tuple[int, ...]:
    """Subscripts on the left that run along the vector or matrix of a whole-axis function."""
    count = _WHOLE_AXIS[call.function]
    left = [canonical(s) for s in equation.subscripts]
    vector = _references(call.arguments[0])
    names = [canonical(s) for ref in vector[:1] for s in ref.subscripts[-count:]]
    if len(names) == count and all(n in left for n in names):
        return tuple(left.index(n) for n in names)
    return tuple(range(len(left) - count, len(left)))


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
    if isinstance(expression, Call) and expression.function in _STOCKS:
        rate = lowering.node(expression.arguments[0], scope)
        initial = lowering.node(expression.arguments[1], scope)
        parts.stock(equation.name, rows, initial, rate)
        if expression.function == "NON NEGATIVE INTEG":
            parts.after.append(
                Block(equation.name, (rows,), (apply("max", Load(rows), const(0.0)),))
            )
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
            case Call(function=function) if function in _LOOKUPS:
                return self._lookup(expression, scope)
            case Call(function="ELMCOUNT", arguments=(Ref(name=name),)):
                return const(float(len(self.table.expand(self.equation, name))))
            case Call(function="GET TIME VALUE"):
                return self._time_value(expression, scope)
            case Call(function="VECTOR SELECT"):
                return self._vector_select(expression, scope)
            case Call(function="VECTOR SORT ORDER" | "VECTOR RANK" | "VECTOR REORDER"):
                return self._vector_order(expression, scope)
            case Call(function=function) if function in FOREIGN:
                return self._foreign(expression, scope)
            case Call(function="SMOOTH" | "DELAY" | "DELAY N") as call:
                self._check_arity(call.function, (4, 4), call.arguments)
                *level, order = call.arguments
                n = self._order(call.function, order, level[1], scope)
                return _CHAINS[call.function](self, n, *(self.node(a, scope) for a in level))
            case Call(function=function) if function in REDUCTIONS:
                return self._reduction(expression, scope)
            case Call(function=function) if function in _INPUTS:
                self._check_arity(function, _ARITY[function], expression.arguments)
                arguments = [self.node(a, scope) for a in expression.arguments]
                return _INPUTS[function](self.time_step(), *arguments)
            case Call(function=function) if function in _WITH_MEMORY:
                self._check_arity(function, _ARITY[function], expression.arguments)
                arguments = [self.node(a, scope) for a in expression.arguments]
                return _WITH_MEMORY[function](self, *arguments)
            case Call(function=function, arguments=arguments):
                return self._function(function, arguments, scope)
        raise self._refuse("a list of numbers inside an expression", "give it a name of its own")

    def _reference(self, ref: Ref, scope: Scope) -> Node:
        name = canonical(ref.name)
        if name == "time" and name not in self.table.slots:
            return Clock()
        slot = self.table.slots.get(name)
        if slot is None and not ref.subscripts:
            numbers = self._element_numbers(name, scope)
            if numbers is not None:
                return numbers
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

    def _element_numbers(self, name: str, scope: Scope) -> Node | None:
        """A subscript as a number: the place of the element in its family, from 1.

        The family of an element is the largest range that holds it, the first of equals.
        """
        for key, elements in scope.items():
            if key.removesuffix("!") == name:
                places = [self.table.families[e].index(e) + 1.0 for e in elements]
                return Const(np.array(places if len(set(places)) > 1 else places[:1]))
        element = self.table.element_names.get(name)
        return None if element is None else const(self.table.families[element].index(element) + 1.0)

    def _elements(self, ref: Ref, slot: Slot, scope: Scope) -> list[tuple[str, ...]]:
        if self.table.source.is_xmile and not ref.subscripts:
            # A name alone stands for the element in hand.
            ref = replace(ref, subscripts=slot.dims)
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
        for column, dim in zip(columns, slot.dims, strict=True):
            for element in column:
                if element not in self.table.positions[canonical(dim)]:
                    raise self.table.error(
                        self.equation,
                        f"'{slot.name}' is used with '{element}', no element of {dim}",
                    )
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
            column = self._mapped(name, other, elements)
            if column is not None:
                return column
        fitting = {
            other: elements
            for other, elements in scope.items()
            if not other.endswith("!") and set(elements) <= set(target)
        }
        if len(fitting) > 1:
            raise self.table.error(
                self.equation,
                f"the range '{subscript}' of the right-hand side is not on the left, and "
                f"{' and '.join(fitting)} could both stand for it; name the one that is meant",
            )
        for elements in fitting.values():
            return elements
        raise self.table.error(
            self.equation,
            f"the range '{subscript}' of the right-hand side is neither on the left nor mapped to "
            "a range there",
        )

    def _mapped(self, name: str, other: str, elements: Sequence[str]) -> Sequence[str] | None:
        """Elements of the range `name` that are mapped to those of the range `other`."""
        explicit = self.table.source.element_mappings
        pairs = explicit.get((name, other))
        back = explicit.get((other, name))
        if pairs is None and back is not None:
            if len(set(back.values())) < len(back):
                raise self.table.error(
                    self.equation, f"several elements of '{name}' are mapped to one of '{other}'"
                )
            pairs = {own: theirs for theirs, own in back.items()}
        if pairs is None:
            mappings = self.table.mappings
            if other not in mappings.get(name, ()) and name not in mappings.get(other, ()):
                return None
            target, positions = self.table.ranges[name], self.table.ranges[other]
            if len(target) != len(positions):
                raise self.table.error(
                    self.equation,
                    f"'{name}' has {len(target)} elements and '{other}', to which it is mapped, "
                    f"{len(positions)}",
                )
            pairs = dict(zip(positions, target, strict=True))
        missing = next((e for e in elements if e not in pairs), None)
        if missing is not None:
            raise self.table.error(
                self.equation, f"no element of '{name}' is mapped to '{missing}' of '{other}'"
            )
        return [pairs[e] for e in elements]

    def _lookup(self, call: Call, scope: Scope) -> Node:
        self._check_arity("a lookup", (1, 1), call.arguments[1:])
        lookup, argument = call.arguments
        at = self.node(argument, scope)
        if isinstance(lookup, Table):
            return LookupAt(lookup, at)
        if not isinstance(lookup, Ref):
            raise self._refuse(f"{call.function} of an expression", "name a lookup")
        tables = self.table.lookups.get(canonical(lookup.name))
        if tables is None:
            raise self.table.error(self.equation, f"'{lookup.name}' is called but is no lookup")
        slot = self.table.slots[canonical(lookup.name)]
        elements = self._elements(lookup, slot, scope)
        for element in elements:
            if element not in tables:
                raise self.table.error(
                    self.equation, f"'{slot.name}[{', '.join(element)}]' is not defined"
                )
        used = {tables[e] for e in elements}
        if len(used) > 1:
            raise _TablesDiffer
        try:
            return LookupAt(_LOOKUPS[call.function](used.pop()), at)
        except ValueError as problem:
            raise self._refuse(f"{call.function} of '{lookup.name}', {problem}", "") from None

    def _reduction(self, call: Call, scope: Scope) -> Node:
        """SUM and its like, over the ranges marked with '!' anywhere below."""
        self._check_arity(call.function, (1, 1), call.arguments)
        (argument,) = call.arguments
        argument = self._all_marked(argument, scope)
        marked = _marked(argument)
        if not marked:
            raise self._refuse(f"{call.function} without a subscript marked '!'", "mark the range")
        terms = [self.node(argument, inner) for inner in self._inner_scopes(marked, scope)]
        return REDUCTIONS[call.function](*terms)

    def _all_marked(self, argument: Expr, scope: Scope) -> Expr:
        """XMILE marks nothing: it means all elements of a range that is not on the left."""
        if not self.table.source.is_xmile or not isinstance(argument, Ref):
            return argument
        slot = self.table.slots.get(canonical(argument.name))
        if slot is None:
            return argument
        written = argument.subscripts or ("*",) * len(slot.dims)
        marked = tuple(
            f"{dim if s == '*' else s}!"
            if s == "*" or (canonical(s) in self.table.ranges and canonical(s) not in scope)
            else s
            for s, dim in zip(written, slot.dims, strict=True)
        )
        return replace(argument, subscripts=marked)

    def _function(self, function: str, arguments: Sequence[Expr], scope: Scope) -> Node:
        if function in COMPARISONS and any(map(_is_missing, arguments)):
            return self._compared_with_missing(function, arguments, scope)
        known = LANGUAGE.get(function)
        if known is None:
            families = (LANGUAGE, REDUCTIONS, _WITH_MEMORY, _INPUTS, _CHAINS, FOREIGN, _LOOKUPS)
            hint = did_you_mean(function, [name for family in families for name in family])
            raise self._refuse(f"the function {function}", "write it out", hint)
        self._check_arity(function, known.arity, arguments)
        return known.build(*(self.node(a, scope) for a in arguments))

    def _compared_with_missing(
        self, function: str, arguments: Sequence[Expr], scope: Scope
    ) -> Node:
        """``x = :NA:`` asks whether a number is missing, which NaN does not answer by itself."""
        if function not in ("=", "<>"):
            raise self._refuse(f"a comparison '{function}' with :NA:", "ask by '=' or '<>'")
        other = next((a for a in arguments if not _is_missing(a)), arguments[0])
        x = self.node(other, scope)
        return apply("ne" if function == "=" else "eq", x, x)

    def _time_value(self, call: Call, scope: Scope) -> Node:
        self._check_arity(call.function, (3, 3), call.arguments)
        reference, offset, measure = call.arguments
        if reference != Number(0.0) or measure != Number(0.0):
            raise self._refuse(
                "GET TIME VALUE other than (0, offset, 0), which needs a calendar",
                "write the calendar as data",
            )
        return apply("add", Clock(), self.node(offset, scope))

    def _vector_select(self, call: Call, scope: Scope) -> Node:
        """VECTOR SELECT(selection, expression, missing, action, error)."""
        self._check_arity(call.function, (5, 5), call.arguments)
        selection, expression, missing, action, error = call.arguments
        marked = _marked(selection, expression)
        if not marked:
            raise self._refuse("VECTOR SELECT without a subscript marked '!'", "mark the range")
        pairs = [
            (self.node(selection, inner), self.node(expression, inner))
            for inner in self._inner_scopes(marked, scope)
        ]
        nodes = (self.node(a, scope) for a in (missing, action, error))
        return vector_select(pairs, *nodes)

    def _inner_scopes(self, marked: Sequence[str], scope: Scope) -> list[Scope]:
        axes = [self.table.expand(self.equation, m[:-1]) for m in marked]
        return [
            {**scope, **{canonical(m): [e] * self.n for m, e in zip(marked, element, strict=True)}}
            for element in itertools.product(*axes)
        ]

    def _vector_order(self, call: Call, scope: Scope) -> Node:
        """VECTOR SORT ORDER, RANK and REORDER, along the last subscript of the vector."""
        self._check_arity(call.function, (2, 2), call.arguments)
        vector, other = call.arguments
        name, elements, places = self._vector_axis(vector, scope)
        if len(elements) > LONGEST_VECTOR:
            raise self._refuse(
                f"{call.function} of {len(elements)} elements", f"at most {LONGEST_VECTOR} work"
            )

        def terms(expression: Expr) -> list[Node]:
            return [self.node(expression, {**scope, name: [e] * self.n}) for e in elements]

        if call.function == "VECTOR REORDER":
            own = {**scope, name: [elements[p] for p in places]}
            return vector_reorder(terms(vector), self._at_axis(other, name, own, scope))
        kind = sort_order if call.function == "VECTOR SORT ORDER" else vector_rank
        own_places = Const(np.array(places, dtype=np.float64))
        return kind(terms(vector), own_places, self.node(other, scope))

    def _at_axis(self, other: Expr, name: str, own: Scope, scope: Scope) -> Node:
        """The order in VECTOR REORDER may lie along another range of the same length."""
        refs = _references(other)
        last = canonical(refs[0].subscripts[-1]) if refs and refs[0].subscripts else name
        return self.node(other, scope if last in scope else own)

    def _vector_axis(self, vector: Expr, scope: Scope) -> tuple[str, tuple[str, ...], list[int]]:
        """Range along which a vector lies, its elements, and the place of each own element."""
        refs = [r for r in _references(vector) if r.subscripts]
        if not refs or not self.equation.subscripts:
            raise self._refuse("a vector function without subscripts", "give its vector a range")
        name = canonical(refs[0].subscripts[-1])
        elements = self.table.expand(self.equation, name)
        if name in scope:
            return name, elements, [elements.index(e) for e in scope[name]]
        left = self.equation.subscripts[-1]
        along = self.table.expand(self.equation, left)
        if len(along) != len(elements):
            raise self.table.error(
                self.equation,
                f"the vector has {len(elements)} elements and '{left}' {len(along)}",
            )
        return name, elements, [along.index(e) for e in scope[canonical(left)]]

    def _foreign(self, call: Call, scope: Scope) -> Node:
        """A function of a whole vector or matrix, which NumPy computes for every back end."""
        function = FOREIGN[call.function]
        self._check_arity(call.function, (function.count, function.count), call.arguments)
        if call is not self.equation.expression:
            raise self._refuse(
                f"{call.function} inside an expression", "give its result a name of its own"
            )
        fixed = {
            canonical(s): elements[0] for s, elements in scope.items() if len(set(elements)) == 1
        }
        axes = _axes(self.equation, call)
        lengths = [self.table.expand(self.equation, self.equation.subscripts[a]) for a in axes]
        refs = _references(call.arguments[0])
        if not refs or len(refs[0].subscripts) < len(axes):
            raise self._refuse(f"{call.function} of an expression without subscripts", "name it")
        names = [canonical(s) for s in refs[0].subscripts[-len(axes) :]]
        inside = [self.table.expand(self.equation, n) for n in names]
        if [len(i) for i in inside] != [len(i) for i in lengths]:
            raise self.table.error(
                self.equation, f"the ranges of {call.function} differ between left and right"
            )
        entries = list(itertools.product(*inside))
        whole = _Lowering(self.equation, len(entries), self.table, self.parts)
        inner: Scope = {
            **{s: [e] * len(entries) for s, e in fixed.items()},
            **{n: [entry[i] for entry in entries] for i, n in enumerate(names)},
        }
        arguments: list[Node] = []
        for kind, argument in zip(function.arguments, call.arguments, strict=True):
            if kind == "vector":
                arguments.append(whole.node(argument, inner))
            elif kind == "one":
                one = _Lowering(self.equation, 1, self.table, self.parts)
                arguments.append(one.node(argument, {s: [e] for s, e in fixed.items()}))
            elif kind == "profile":
                arguments.extend(whole.node(piece, inner) for piece in self._profile(argument))
        own = [canonical(self.equation.subscripts[a]) for a in axes]
        shape = tuple(len(i) for i in lengths)
        places = [
            tuple(lengths[i].index(scope[o][k]) for i, o in enumerate(own)) for k in range(self.n)
        ]
        flat = np.array([np.ravel_multi_index(p, shape) for p in places], dtype=np.int64)
        return Foreign(call.function, tuple(arguments), len(entries), flat)

    def _profile(self, argument: Expr) -> list[Ref]:
        """The four numbers of a priority profile, from the one that the equation names on."""
        if not isinstance(argument, Ref) or not argument.subscripts:
            raise self._refuse("a priority profile that is not a variable", "name one")
        slot = self.table.slots.get(canonical(argument.name))
        elements = (
            self.table.ranges[canonical(slot.dims[-1])] if slot is not None and slot.dims else ()
        )
        last = canonical(argument.subscripts[-1])
        start = 0 if last in self.table.ranges else [canonical(e) for e in elements].index(last)
        if len(elements) - start < 4:
            raise self._refuse(
                "a priority profile of fewer than 4 numbers", "give type, priority, width, extra"
            )
        return [
            replace(argument, subscripts=(*argument.subscripts[:-1], e))
            for e in elements[start : start + 4]
        ]

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
            f"in the equation of '{self.equation.name}': {construct} is not supported{hint}"
            + (f"; {remedy}" if remedy else ""),
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

    def smooth(self, n: int, value: Node, time: Node, initial: Node) -> Node:
        """n-th order exponential smooth: a chain of first-order adjustments (Vensim SMOOTH N)."""
        part = apply("div", time, const(float(n)))
        for _ in range(n):
            rows = self.parts.new_rows(self.n)
            gap = apply("sub", value, Load(rows))
            self.parts.stock(self.equation.name, rows, initial, apply("div", gap, part))
            value = Load(rows)
        return value

    def delay(self, n: int, value: Node, time: Node, initial: Node) -> Node:
        """n-th order material delay: a chain of stocks that keep what went in (Vensim DELAY N)."""
        part = apply("div", time, const(float(n)))
        for _ in range(n):
            rows = self.parts.new_rows(self.n)
            outflow = apply("div", Load(rows), part)
            start = apply("mul", initial, part)
            self.parts.stock(self.equation.name, rows, start, apply("sub", value, outflow))
            value = outflow
        return value

    def delay_n(self, n: int, value: Node, time: Node, initial: Node) -> Node:
        """DELAY N: what has entered keeps the delay time that held when it entered.

        The delay times travel down the chain one place a step, beside the material; what leaves
        is divided by the time of one step ago.  (PySD's reading, which meets Vensim's output.)
        With a constant delay time this is `delay`.
        """
        part = apply("div", time, const(float(n)))
        times = [self.parts.new_rows(self.n) for _ in range(n)]
        levels = [self.parts.new_rows(self.n) for _ in range(n)]
        now: list[Node] = [part, *(Load(t) for t in times[:-1])]
        for own, following in zip(times, now, strict=True):
            self.parts.keep(self.equation.name, own, part, following)
        for level, lasting in zip(levels, now, strict=True):
            outflow = apply("div", Load(level), lasting)
            self.parts.stock(
                self.equation.name, level, apply("mul", initial, part), apply("sub", value, outflow)
            )
            value = outflow
        return apply("div", Load(levels[-1]), Load(times[0]))

    def _order(self, function: str, order: Expr, time: Expr, scope: Scope) -> int:
        """Order of a chain: a number when the model is read, the same for all elements."""
        given = self._known(
            order, scope, f"the order of the delay in '{self.equation.name}'", at_start=True
        )
        if given is None or len(set(given.tolist())) > 1 or not 1 <= given.flat[0] <= LONGEST_CHAIN:
            raise self._refuse(
                f"a delay whose order is not a whole number from 1 to {LONGEST_CHAIN}",
                "write the number",
            )
        n = int(given.flat[0])
        if function != "DELAY N":
            return n
        # Vensim shortens a DELAY N of more stages than the delay has steps. It leaves a DELAY3
        # alone (published output of 'arguments'); PySD shortens that too, and is wrong by 0.5 %.
        lasting = self._known(time, scope, "", at_start=True)
        step = self._known(Ref("TIME STEP"), {}, "")
        if lasting is None or step is None or n * step[0] <= lasting.min():
            return n
        shortened = int(np.floor(lasting.min() / step[0] + 1e-9))
        if shortened < 1:
            raise self.table.error(
                self.equation,
                f"a delay of {lasting.min():g} is shorter than the TIME STEP of {step[0]:g}; "
                "take a smaller step",
            )
        because = f"the order of the delay in '{self.equation.name}', shortened to {shortened}"
        self._known(time, scope, because, at_start=True)
        self._known(Ref("TIME STEP"), {}, because)
        return shortened

    def _known(
        self, expression: Expr, scope: Scope, because: str, *, at_start: bool = False
    ) -> FloatArray | None:
        """Value of an expression of constants, by their defaults; None if it is not one.

        Parameters
        ----------
        because : str
            What the value is used for: the constants read are then fixed.
        at_start : bool
            Take Time for INITIAL TIME.
        """
        match expression:
            case Number(value=value):
                return np.array([value])
            case Ref(name=name):
                if canonical(name) == "time" and at_start:
                    return self._known(Ref("INITIAL TIME"), {}, because)
                node = self.node(expression, scope) if self._is_plain(expression) else None
                if isinstance(node, Const):
                    return node.values
                if not isinstance(node, Load):
                    return None
                found = [self._known_row(row, because, at_start) for row in node.rows.tolist()]
                return None if None in found else np.array(found, dtype=np.float64)
            case Call(function=function, arguments=arguments) if function in LANGUAGE:
                inner = [self._known(a, scope, because, at_start=at_start) for a in arguments]
                values = [Const(v) for v in inner if v is not None]
                if len(values) < len(inner):
                    return None
                return _evaluate(LANGUAGE[function].build(*values))
            case Call(function="STEP" | "RAMP" | "PULSE" as function, arguments=arguments):
                needed = (*arguments, Ref("INITIAL TIME"), Ref("TIME STEP"))
                inner = [self._known(a, scope, because, at_start=True) for a in needed]
                if not at_start or any(v is None for v in inner):
                    return None
                *given, start, step = (Const(v) for v in inner if v is not None)
                node = _INPUTS[function](step, *given)
                return _evaluate(node, start.values)
        return None

    def _is_plain(self, ref: Ref) -> bool:
        slot = self.table.slots.get(canonical(ref.name))
        return slot is None or slot.kind in ("constant", "auxiliary")

    def _known_row(self, row: int, because: str, at_start: bool) -> float | None:
        equation, element = self.table.makers[row]
        value = _constant(equation.expression)
        if value is not None:
            if because:
                self.parts.fixed[row] = because
            return _spread(value, equation, [element], self.table)[0]
        scope = {canonical(s): [e] for s, e in zip(equation.subscripts, element, strict=True)}
        inner = _Lowering(equation, 1, self.table, self.parts)
        found = inner._known(equation.expression, scope, because, at_start=at_start)
        return None if found is None else float(found.flat[0])

    def delay_fixed(self, value: Node, time: Node, initial: Node) -> Node:
        """DELAY FIXED: the input so many steps ago; the number of steps is settled at the start."""
        rows, inputs, orders, initials = (self.parts.new_rows(self.n) for _ in range(4))
        name = self.equation.name
        ratio = apply("div", time, self.time_step())
        steps = apply("floor", apply("add", ratio, const(0.5 + 1e-6)))
        self.parts.starts.append(Block(name, (orders,), (apply("max", steps, const(1.0)),)))
        self.parts.starts.append(Block(name, (initials,), (initial,)))
        self.parts.starts.append(Block(name, (rows,), (Load(initials),)))
        self.parts.held.append(rows)
        self.parts.hold.append(Block(name, (inputs,), (value,)))
        self.parts.pasts = self.parts.pasts.joined(Pasts(rows, inputs, orders, initials))
        return Load(rows)

    def sample(self, condition: Node, value: Node, initial: Node) -> Node:
        """SAMPLE IF TRUE: the input while the condition holds, and what it last was elsewhere."""
        state, present = self.parts.new_rows(self.n), self.parts.new_rows(self.n)
        chosen = apply("if", condition, value, Load(state))
        self.parts.auxiliaries.append(Block(self.equation.name, (present,), (chosen,)))
        self.parts.keep(self.equation.name, state, initial, Load(present))
        return Load(present)

    def trend(self, value: Node, time: Node, initial: Node) -> Node:
        """TREND: growth rate of the input against its own average."""
        rows = self.parts.new_rows(self.n)
        start = apply("div", value, apply("add", const(1.0), apply("mul", initial, time)))
        gap = apply("sub", value, Load(rows))
        self.parts.stock(self.equation.name, rows, start, apply("div", gap, time))
        return LANGUAGE["ZIDZ"].build(gap, apply("mul", time, apply("abs", Load(rows))))

    def forecast(self, value: Node, time: Node, horizon: Node, initial: Node) -> Node:
        """FORECAST: the input carried on along its own trend."""
        rows = self.parts.new_rows(self.n)
        start = apply("div", value, apply("add", const(1.0), initial))
        gap = apply("sub", value, Load(rows))
        self.parts.stock(self.equation.name, rows, start, apply("div", gap, time))
        growth = LANGUAGE["ZIDZ"].build(gap, apply("mul", time, Load(rows)))
        return apply("mul", value, apply("add", const(1.0), apply("mul", growth, horizon)))

    def active_initial(self, value: Node, initial: Node) -> Node:
        """ACTIVE INITIAL: another value while initial values are found."""
        rows = self.parts.new_rows(self.n)
        self.parts.auxiliaries.append(Block(self.equation.name, (rows,), (value,), (initial,)))
        return Load(rows)

    def draw(self, stream: Node) -> Node:
        """A number in [0, 1) from the seed, the stream, the call, the element and the step."""
        self.parts.draws += 1
        seed = self.table.slots.get("noise seed")
        key = const(0.0) if seed is None else Load(seed.rows.reshape(-1))
        call = Const(self.parts.draws + np.arange(self.n, dtype=np.float64) / 2**20)
        return apply("uniform", key, stream, call, Clock(frozen=True))

    def integ(self, rate: Node, initial: Node) -> Node:
        rows = self.parts.new_rows(self.n)
        self.parts.stock(self.equation.name, rows, initial, rate)
        return Load(rows)


LONGEST_VECTOR = 64
"""Elements of a vector that is sorted: the comparisons of each with each are written out."""

LONGEST_CHAIN = 1000
"""Order of a delay or smooth, each of which is a stock."""

_CHAINS: Mapping[str, Callable[..., Node]] = {
    "SMOOTH": _Lowering.smooth,
    "DELAY": _Lowering.delay,
    "DELAY N": _Lowering.delay_n,
}

_LOOKUPS: Mapping[str, Callable[[Table], Table]] = {
    "LOOKUP": lambda table: table,
    "WITH LOOKUP": lambda table: table,
    "LOOKUP EXTRAPOLATE": lambda table: replace(table, kind="extrapolate"),
    "LOOKUP BACKWARD": lambda table: replace(table, kind="hold"),
    "LOOKUP FORWARD": forward_table,
    "LOOKUP INVERT": inverse_table,
}

_INPUTS: Mapping[str, Callable[..., Node]] = {
    # XMILE's PULSE: a quantity given within one step, at once or again and again.
    "XPULSE": lambda step, start, size: apply(
        "mul", apply("div", size, step), pulse_function(start, const(0.0), step)
    ),
    "XPULSE TRAIN": lambda step, start, interval, size: apply(
        "mul",
        apply("div", size, step),
        pulse_train_function(start, const(0.0), interval, const(np.inf), step),
    ),
    "STEP": lambda step, height, start: step_function(height, start, step),
    "RAMP": lambda step, slope, start, end=None: ramp_function(slope, start, end),
    "PULSE": lambda step, start, width: pulse_function(start, width, step),
    "PULSE TRAIN": lambda step, start, width, interval, end: pulse_train_function(
        start, width, interval, end, step
    ),
}
"""Functions of time, and of the time step given first."""

_WITH_MEMORY: Mapping[str, Callable[..., Node]] = {
    "INTEG": _Lowering.integ,
    "INITIAL": _Lowering.initial,
    "DELAY FIXED": _Lowering.delay_fixed,
    "SAMPLE IF TRUE": _Lowering.sample,
    "TREND": _Lowering.trend,
    "FORECAST": _Lowering.forecast,
    "ACTIVE INITIAL": _Lowering.active_initial,
    "RANDOM 0 1": lambda self: self.draw(const(0.0)),
    "RANDOM UNIFORM": lambda self, least, most, stream: uniform_draw(
        self.draw(stream), least, most
    ),
    "RANDOM NORMAL": lambda self, least, most, mean, spread, stream: normal_draw(
        self.draw(stream), least, most, mean, spread
    ),
    "RANDOM EXPONENTIAL": lambda self, least, most, shift, stretch, stream: exponential_draw(
        self.draw(stream), least, most, shift, stretch
    ),
}

_ARITY: Mapping[str, tuple[int, int]] = {
    "XPULSE": (2, 2),
    "XPULSE TRAIN": (3, 3),
    "STEP": (2, 2),
    "RAMP": (2, 3),
    "PULSE": (2, 2),
    "PULSE TRAIN": (4, 4),
    "INTEG": (2, 2),
    "INITIAL": (1, 1),
    "DELAY FIXED": (3, 3),
    "SAMPLE IF TRUE": (3, 3),
    "TREND": (3, 3),
    "FORECAST": (4, 4),
    "ACTIVE INITIAL": (2, 2),
    "RANDOM 0 1": (0, 0),
    "RANDOM UNIFORM": (3, 3),
    "RANDOM NORMAL": (5, 5),
    "RANDOM EXPONENTIAL": (5, 5),
}


def _evaluate(node: Node, time: FloatArray | None = None) -> FloatArray:
    """Value of an expression of numbers, and of the time."""
    if isinstance(node, Const):
        return node.values
    if isinstance(node, Clock) and time is not None:
        return time
    assert isinstance(node, Apply)
    with np.errstate(all="ignore"):
        return PRIMITIVES[node.op].value(*(_evaluate(a, time) for a in node.arguments))


def _is_missing(expression: Expr) -> bool:
    return isinstance(expression, Number) and bool(np.isnan(expression.value))


def _marked(*expressions: Expr) -> list[str]:
    """Subscripts marked with '!' anywhere below, each once."""
    refs = [ref for e in expressions for ref in _references(e)]
    return list(dict.fromkeys(s for ref in refs for s in ref.subscripts if s.endswith("!")))


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
    held = set(_joined(parts.held).tolist())
    # INITIAL() values: known once, then constant
    remembered = started - set(stocks.tolist()) - held
    ordered = _in_order(parts.auxiliaries, given | started, source)

    moving = set(stocks.tolist()) | set(parts.inputs) | held
    setup, settle, step = [], [], []
    late: set[int] = set(remembered)
    for block in ordered:
        reads = block.reads()
        targets = {row for t in block.targets for row in t.tolist()}
        if (
            reads & moving
            or block.initially is not None
            or any(isinstance(x, Clock) for e in block.expressions for x in walk(e))
        ):
            moving |= targets
            step.append(block)
        elif reads & late:
            late |= targets
            settle.append(block)
        else:
            setup.append(block)

    done = {row for block in setup for t in block.targets for row in t.tolist()}
    first = _in_order(
        [*parts.starts, *settle, *map(_at_start, step)], given | done, source, wanted=started
    )
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
        hold=tuple(parts.hold),
        after=tuple(parts.after),
        pasts=parts.pasts,
        fixed=parts.fixed,
    )


def _at_start(block: Block) -> Block:
    """Return the block as it is while initial values are found."""
    if block.initially is None:
        return block
    return Block(block.name, block.targets, block.initially)


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
