"""Lowering from a model to a program: `lower` resolves each equation and orders all of them.

The steps have a module each: `names` gives every scalar a row, this one turns expressions into
nodes over those rows (`references` says which), `memory` turns delays and smooths into stocks,
`known` finds values needed when the model is read, and `order` puts the equations in stages.
This module owns the walk over an expression: which kind of function a call is, how many arguments
it takes, and how functions of whole ranges, vectors and matrices are spread over the elements.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from beltcast.engine.language.array_functions import FOREIGN, quantity_at_price
from beltcast.engine.language.belts import Belt
from beltcast.engine.language.calendar import calendar_value
from beltcast.engine.language.functions import INPUTS, INSTEAD, LANGUAGE, REDUCTIONS, SLACK
from beltcast.engine.language.lookups import (
    area_between,
    area_inside,
    forward_table,
    inverse_table,
)
from beltcast.engine.language.series_functions import SERIES_FUNCTIONS, series_function
from beltcast.engine.language.stateful import ARITY, CHAINS, WITH_MEMORY, Memory
from beltcast.engine.language.vectors import (
    LOOKUP_MODES,
    sort_order,
    vector_lookup,
    vector_rank,
    vector_reorder,
    vector_select,
)
from beltcast.engine.lower.constant_folding import Known
from beltcast.engine.lower.references import References, Scope
from beltcast.engine.lower.schedule import Parts, arrange
from beltcast.engine.lower.symbols import (
    STOCKS,
    NameTable,
    constant,
    copy_name,
    one_each,
    one_series_each,
)
from beltcast.engine.nodes import (
    MISSING,
    Clock,
    Const,
    Foreign,
    IntArray,
    Load,
    LookupAt,
    Node,
    apply,
    const,
)
from beltcast.engine.program import Block, Program, Slot
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
from beltcast.errors import UnsupportedConstruct, did_you_mean


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
    parts = Parts(n_rows=table.n_rows)
    for equation in table.equations:
        _lower_equation(equation, table, parts)
    return arrange(table.slots, parts, source)


class _TablesDiffer(Exception):
    """Elements of one equation use different lookups: lower them one by one."""


def _lower_equation(equation: Equation, table: NameTable, parts: Parts) -> None:
    slot = table.slots[canonical(equation.name)]
    elements = table.elements(equation)
    if not elements:  # EXCEPT leaves nothing
        return
    rows = np.array([slot.rows[table.place(slot, e)] for e in elements], dtype=np.int64)
    expression = equation.expression
    if isinstance(expression, (Table, Tables)):
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


_WHOLE_AXIS = {"INVERT MATRIX": 2, "ALLOCATE AVAILABLE": 1, "ALLOCATE BY PRIORITY": 1}
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
    if len(equation.subscripts) < count:
        return ()  # refused by `_foreign`
    left = [canonical(s) for s in equation.subscripts]
    vector = _references(call.arguments[0])
    names = [canonical(s) for ref in vector[:1] for s in ref.subscripts[-count:]]
    if len(set(names)) == count and all(n in left for n in names):
        return tuple(left.index(n) for n in names)
    return tuple(range(len(left) - count, len(left)))


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
    lowering = _Lowering(equation, len(elements), table, parts)
    expression = equation.expression
    if isinstance(expression, Call) and expression.function in STOCKS:
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


class _Lowering:
    """Expressions of one equation, for n elements at once."""

    def __init__(self, equation: Equation, n: int, table: NameTable, parts: Parts) -> None:
        self.equation = equation
        self.n = n
        self.table = table
        self.parts = parts
        self.references = References(equation, n, table)
        self.known = Known(self.references, parts.fixed)
        self.memory = Memory(equation.name, n, table, parts)

    def node(self, expression: Expr, scope: Scope) -> Node:
        match expression:
            case Number(value=value):
                return const(value)
            case Ref():
                return self.references.node(expression, scope)
            case Call(function=function) if function in _LOOKUPS:
                return self._lookup(expression, scope)
            case Call(function="ELMCOUNT", arguments=(Ref(name=name),)):
                return const(float(len(self.table.expand(self.equation, name))))
            case Call(function="GET TIME VALUE"):
                return self._time_value(expression, scope)
            case Call(function="LOOKUP AREA" | "XLOOKUP AREA"):
                return self._lookup_area(expression, scope)
            case Call(function=function) if function in SERIES_FUNCTIONS:
                return self._series_function(expression, scope)
            case Call(function="VECTOR ELM MAP" | "XELEMENT"):
                return self._element_map(expression, scope)
            case Call(function="VECTOR LOOKUP"):
                return self._vector_lookup(expression, scope)
            case Call(function="VECTOR SELECT"):
                return self._vector_select(expression, scope)
            case Call(function="FIND MARKET PRICE"):
                return self._market_price(expression, scope)
            case Call(function="DEMAND AT PRICE" | "SUPPLY AT PRICE" as function):
                return self._at_price(expression, scope)
            case Call(function=function) if function in _DISCRETE_DELAYS:
                return self._discrete_delay(expression, scope)
            case Call(function="VECTOR SORT ORDER" | "VECTOR RANK" | "VECTOR REORDER"):
                return self._vector_order(expression, scope)
            case Call(function="RANK"):
                return self._rank(expression, scope)
            case Call(function=function) if function in _WHOLE_AXIS:
                return self._foreign(expression, scope)
            case Call(function="SMOOTH" | "DELAY" | "DELAY N") as call:
                self._check_arity(call.function, (3, 4), call.arguments)
                *level, order = call.arguments
                n = self.known.order(call.function, order, level[1], scope)
                nodes = [self.node(a, scope) for a in level]
                return CHAINS[call.function](self.memory, n, *nodes, *nodes[: 3 - len(nodes)])
            case Call(function="XCONVEYOR"):
                return self._conveyor(expression, scope)
            case Call(function="XBELT"):
                return self._belt(expression, scope)
            case Call(function=function) if function in REDUCTIONS:
                return self._reduction(expression, scope)
            case Call(function=function) if function in INPUTS:
                self._check_arity(function, INPUTS[function].arity, expression.arguments)
                arguments = [self.node(a, scope) for a in expression.arguments]
                return INPUTS[function].build(self.memory.time_step(), *arguments)
            case Call(function=function) if function in WITH_MEMORY:
                self._check_arity(function, ARITY[function], expression.arguments)
                arguments = [self.node(a, scope) for a in expression.arguments]
                return WITH_MEMORY[function](self.memory, *arguments)
            case Call(function=function, arguments=arguments):
                return self._function(function, arguments, scope)
        raise self._refuse("a list of numbers inside an expression", "give it a name of its own")

    def _lookup(self, call: Call, scope: Scope) -> Node:
        self._check_arity("a lookup", (1, 1), call.arguments[1:])
        lookup, argument = call.arguments
        at = self.node(argument, scope)
        if isinstance(lookup, Table):
            return self._at(lookup, at, call.function)
        table = self._table(lookup, call.function, scope)
        if isinstance(at, Clock) and call.function == "LOOKUP FORWARD":
            at = apply("sub", at, self._slack())
        try:
            return self._at(_LOOKUPS[call.function](table), at, call.function)
        except ValueError as problem:
            assert isinstance(lookup, Ref)
            raise self._refuse(f"{call.function} of '{lookup.name}', {problem}", "") from None

    def _table(self, lookup: Expr, function: str, scope: Scope) -> Table:
        """The points of a lookup that is called by its name."""
        if isinstance(lookup, Table):
            return lookup
        if not isinstance(lookup, Ref):
            raise self._refuse(f"{function} of an expression", "name a lookup")
        tables = self.table.lookups.get(canonical(lookup.name))
        if tables is None:
            raise self.table.error(self.equation, f"'{lookup.name}' is called but is no lookup")
        slot = self.table.slots[canonical(lookup.name)]
        elements = self.references.elements(lookup, slot, scope)
        for element in elements:
            if element not in tables:
                raise self.table.error(
                    self.equation, f"'{slot.name}[{', '.join(element)}]' is not defined"
                )
        used = {tables[e] for e in elements}
        if len(used) > 1:
            raise _TablesDiffer
        return used.pop()

    def _lookup_area(self, call: Call, scope: Scope) -> Node:
        """LOOKUP AREA of Vensim, and LOOKUPAREA of isee, whose ends may be left out."""
        vensim = call.function == "LOOKUP AREA"
        self._check_arity(call.function, (3, 3) if vensim else (1, 3), call.arguments)
        lookup, *ends = call.arguments
        table = self._table(lookup, call.function, scope)
        nodes = [self.node(end, scope) for end in ends]
        return area_between(table, *nodes) if vensim else area_inside(table, *nodes)

    def _at(self, table: Table, at: Node, function: str) -> LookupAt:
        """A table at an argument; the clock has reached a step of a staircase if nearly so."""
        if table.kind == "hold" and isinstance(at, Clock) and function != "LOOKUP FORWARD":
            at = apply("add", at, self._slack())
        return LookupAt(table, at)

    def _slack(self) -> Node:
        return apply("mul", self.memory.time_step(), const(SLACK))

    def _discrete_delay(self, call: Call, scope: Scope) -> Node:
        """DELAY INFORMATION, MATERIAL and CONVEYOR of a delay time that does not move.

        "The same as DELAY FIXED except that delay time can be a variable" (Vensim's manual).
        """
        count, instead = _DISCRETE_DELAYS[call.function]
        self._check_arity(call.function, (count, count), call.arguments)
        if self.known.value(call.arguments[1], scope, "") is None:
            name = call.function.removeprefix("X")
            raise self._refuse(f"{name} with a delay time that moves", instead)
        if call.function != "DELAY CONVEYOR":
            return self.memory.delay_fixed(*(self.node(a, scope) for a in call.arguments[:3]))
        inflow, transit, leak, profile, total, at_first = call.arguments
        table = self._table(profile, call.function, scope)
        if len(set(table.y)) > 1 or table.y[0] <= 0.0 or at_first != transit:
            raise self._refuse(
                "DELAY CONVEYOR whose initial profile is not flat, or whose initial delay time is "
                "not its delay time",
                "give it a flat lookup, and start it early where the profile matters",
            )
        because = f"the slats of '{self.equation.name}'"
        belt = Belt(self.memory, self._slats(transit, scope, because))
        nodes = [self.node(a, scope) for a in (inflow, leak, total)]
        return belt.vensim(*nodes)

    def _belt(self, call: Call, scope: Scope) -> Node:
        """A flow off a conveyor of XMILE that leaks or stops: 0 off its end, 1 and on leaks.

        All flows of a conveyor share its belt.
        """
        port, name, inflow, transit, initial, arrest, exponential, *leaks = call.arguments
        assert isinstance(port, Number)
        assert isinstance(name, Ref)
        elements = tuple(zip(*scope.values(), strict=True)) if scope else ()
        key = (canonical(name.name), elements)
        if key not in self.parts.belts:
            fractions, starts, ends = leaks[::3], leaks[1::3], leaks[2::3]
            belt = Belt(self.memory, self._slats(transit, scope, f"the slats of '{name.name}'"))
            zones = [
                (a.value, b.value)
                for a, b in zip(starts, ends, strict=True)
                if isinstance(a, Number) and isinstance(b, Number)
            ]
            self.parts.belts[key] = belt.xmile(
                self.node(inflow, scope),
                self.node(initial, scope),
                self.node(arrest, scope),
                [(self.node(f, scope), *zone) for f, zone in zip(fractions, zones, strict=True)],
                exponential=exponential == Number(1.0),
            )
        return self.parts.belts[key][int(port.value)]

    def _conveyor(self, call: Call, scope: Scope) -> Node:
        """The outflow of a conveyor of XMILE: its inflow so many whole steps ago."""
        inflow, transit, initial = call.arguments
        self._slats(transit, scope)
        arguments = (self.node(a, scope) for a in (inflow, transit, initial))
        return self.memory.delay_fixed(*arguments)

    def _slats(self, transit: Expr, scope: Scope, because: str = "") -> int:
        """How many steps what flows onto a conveyor is on it.

        `because` says what the TIME STEP shapes; no run can set it then.
        """
        known = self.known.value(
            transit, scope, f"the length of a conveyor by '{self.equation.name}'"
        )
        step = self.known.value(Ref("TIME STEP"), {}, because)
        if known is None or step is None:
            raise self._refuse(
                "a conveyor whose transit time is no expression of constants", "use a DELAYN"
            )
        if len(set(known.tolist())) > 1:
            raise _TablesDiffer
        steps = float(known.flat[0]) / float(step.flat[0])
        if not (np.isfinite(steps) and steps > 0.5 and abs(steps - round(steps)) < 1e-6 * steps):
            raise self.table.error(
                self.equation,
                f"a transit time of {known.flat[0]:g} is not a whole number of steps of "
                f"{step.flat[0]:g}; change one of them",
            )
        if steps > LONGEST_BELT:
            raise self._refuse(
                f"a conveyor of {steps:.0f} steps", f"at most {LONGEST_BELT} work; take larger ones"
            )
        return round(steps)

    def _reduction(self, call: Call, scope: Scope) -> Node:
        """SUM and similar functions, over the ranges marked with '!' anywhere below."""
        self._check_arity(call.function, (1, 1), call.arguments)
        (argument,) = call.arguments
        marked = _marked(argument)
        if not marked:
            raise self._refuse(f"{call.function} without a subscript marked '!'", "mark the range")
        if math.prod(len(self.table.expand(self.equation, m[:-1])) for m in marked) > WRITTEN_OUT:
            try:
                return self._long_reduction(call.function, argument, marked, scope)
            except _TablesDiffer:
                pass  # one lookup per element: no loop is possible
        terms = [self.node(argument, inner) for inner in self._inner_scopes(marked, scope)]
        return REDUCTIONS[call.function](*terms)

    def _long_reduction(
        self, function: str, argument: Expr, marked: Sequence[str], scope: Scope
    ) -> Node:
        """Terms as rows of their own, then halves joined to halves: each a loop, not a text."""
        axes = [self.table.expand(self.equation, m[:-1]) for m in marked]
        elements = list(itertools.product(*axes))
        n, name = self.n, self.equation.name
        spread: Scope = {
            **{s: list(e) * len(elements) for s, e in scope.items()},
            **{
                canonical(m): [element[i] for element in elements for _ in range(n)]
                for i, m in enumerate(marked)
            },
        }
        whole = _Lowering(self.equation, len(elements) * n, self.table, self.parts)
        node = whole.node(argument, spread)
        rows = self.parts.new_rows(len(elements) * n).reshape(-1, n)
        self.parts.auxiliaries.append(Block(name, (rows.reshape(-1),), (node,)))
        while len(rows) > 1:
            half = (len(rows) + 1) // 2
            pairs = len(rows) - half
            sides = (Load(rows[:pairs].reshape(-1)), Load(rows[half:].reshape(-1)))
            joined = self.parts.new_rows(pairs * n)
            self.parts.auxiliaries.append(Block(name, (joined,), (REDUCTIONS[function](*sides),)))
            rows = np.concatenate([joined.reshape(-1, n), rows[pairs:half]])
        return Load(rows[0])

    def _rank(self, call: Call, scope: Scope) -> Node:
        """RANK: the number, from 1, of the element that comes at a place in ascending order."""
        self._check_arity("RANK", (2, 2), call.arguments)
        argument, place = call.arguments
        marked = _marked(argument)
        terms = [self.node(argument, inner) for inner in self._inner_scopes(marked, scope)]
        self._check_length("RANK", len(terms))
        at = apply("sub", self.node(place, scope), const(1.0))
        return apply("add", sort_order(terms, at, const(1.0)), const(1.0))

    def _check_length(self, function: str, count: int) -> None:
        if count > LONGEST_VECTOR:
            raise self._refuse(f"{function} of {count} elements", f"at most {LONGEST_VECTOR} work")

    def _function(self, function: str, arguments: Sequence[Expr], scope: Scope) -> Node:
        if function in COMPARISONS and any(map(self._is_missing, arguments)):
            return self._compared_with_missing(function, arguments, scope)
        known = LANGUAGE.get(function)
        if function in INSTEAD:
            raise self._refuse(f"the function {function}", INSTEAD[function])
        if known is None:
            families = (LANGUAGE, REDUCTIONS, WITH_MEMORY, INPUTS, CHAINS, FOREIGN, _LOOKUPS, _OWN)
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
        other = next((a for a in arguments if not self._is_missing(a)), arguments[0])
        x = self.node(other, scope)
        return apply("ne" if function == "=" else "eq", x, x)

    def _is_missing(self, expression: Expr) -> bool:
        """Whether an expression is ``:NA:``, or a constant that is nothing else."""
        if isinstance(expression, Ref):
            slot = self.table.slots.get(canonical(expression.name))
            if slot is None or slot.kind != "constant":
                return False
            makers = {id(e): e for e in (self.table.makers[r][0] for r in _defined(slot))}
            values = [constant(e.expression) for e in makers.values()]
            return all(v is not None and bool(np.isnan(v).all()) for v in values)
        return isinstance(expression, Number) and bool(np.isnan(expression.value))

    def _time_value(self, call: Call, scope: Scope) -> Node:
        self._check_arity(call.function, (3, 3), call.arguments)
        reference, offset, measure = call.arguments
        starts: Mapping[Expr, Expr] = {Number(0.0): Ref("Time"), Number(1.0): Ref("INITIAL TIME")}
        if reference not in starts or not isinstance(measure, Number):
            raise self._refuse(
                "GET TIME VALUE of the computer's clock, or of a measure that is no number",
                "write 0 or 1 first and the number of the measure last",
            )
        time = apply("add", self.node(starts[reference], scope), self.node(offset, scope))
        if measure.value == 0.0:
            return time
        try:
            # A clock that is a sum of steps may lie a few bits before the hour.
            return calendar_value(
                self.table.source.calendar, int(measure.value), apply("add", time, self._slack())
            )
        except ValueError as problem:
            raise self._refuse(
                f"GET TIME VALUE with the measure {measure.value:g}",
                f"{problem}; write the calendar as data",
            ) from None

    def _series_function(self, call: Call, scope: Scope) -> Node:
        """GET DATA AT TIME and its like: functions of a data variable as a whole."""
        count = SERIES_FUNCTIONS[call.function]
        self._check_arity(call.function, (count, count), call.arguments)
        variable, *rest = call.arguments
        slot = self.table.slots.get(canonical(variable.name)) if isinstance(variable, Ref) else None
        if slot is None or slot.kind != "input" or not isinstance(variable, Ref):
            raise self._refuse(f"{call.function} of what is no data variable", "name one")
        elements = self.references.elements(variable, slot, scope)
        if len(set(elements)) > 1:
            raise _TablesDiffer
        equation, element = self.table.makers[int(slot.rows[self.table.place(slot, elements[0])])]
        assert isinstance(equation.expression, Data)
        own = self.table.elements(equation)
        data = one_series_each(equation.expression, equation, own, self.table)[own.index(element)]
        arguments = [self.node(a, scope) for a in rest]
        return series_function(call.function, data, arguments, Clock(frozen=True))

    def _element_map(self, call: Call, scope: Scope) -> Node:
        """VECTOR ELM MAP(vector[element], offset): the element so many places after the named one.

        Along the last subscript that names an element; beyond the range it is missing.
        """
        self._check_arity(call.function, (2, 3), call.arguments)
        vector, offset, *given = call.arguments
        slot = self.table.slots.get(canonical(vector.name)) if isinstance(vector, Ref) else None
        if slot is None or not isinstance(vector, Ref) or not slot.dims:
            raise self._refuse("VECTOR ELM MAP of what has no subscripts", "name an element")
        named = [
            i for i, s in enumerate(vector.subscripts) if canonical(s) not in self.table.ranges
        ]
        if not named:
            raise self._refuse(
                "VECTOR ELM MAP without an element to begin with", "name the first element"
            )
        # XMILE names the subscript by its place, Vensim by an element.
        axis = int(given[0].value) if given and isinstance(given[0], Number) else named[-1]
        elements = self.table.ranges[canonical(slot.dims[axis])]
        first = [canonical(e) for e in elements].index(canonical(vector.subscripts[axis]))
        self._check_length(call.function, len(elements))
        values = [
            self.node(
                replace(
                    vector,
                    subscripts=(*vector.subscripts[:axis], e, *vector.subscripts[axis + 1 :]),
                ),
                scope,
            )
            for e in elements
        ]
        place = apply("add", apply("trunc", self.node(offset, scope)), const(float(first)))
        return vector_reorder(values, place, const(MISSING))

    def _vector_lookup(self, call: Call, scope: Scope) -> Node:
        """VECTOR LOOKUP(vector[first element], x, least x, most x, mode)."""
        self._check_arity(call.function, (5, 5), call.arguments)
        vector, x, least, most, mode = call.arguments
        if not isinstance(mode, Number) or mode.value not in LOOKUP_MODES:
            raise self._refuse(
                "VECTOR LOOKUP with a mode other than 0, 1, 2, 3, 4, 5, 7 or 8",
                "write the number; a slope is the difference of two calls",
            )
        values = self._from_first("VECTOR LOOKUP", vector, scope)
        if len(values) < 2:
            raise self._refuse("VECTOR LOOKUP of one element", "give it two or more")
        at, low, high = (self.node(a, scope) for a in (x, least, most))
        return vector_lookup(values, at, low, high, int(mode.value))

    def _from_first(self, function: str, vector: Expr, scope: Scope) -> list[Node]:
        """All elements of a vector along its last subscript, which names the first of them."""
        slot = self.table.slots.get(canonical(vector.name)) if isinstance(vector, Ref) else None
        if slot is None or not isinstance(vector, Ref) or not slot.dims:
            raise self._refuse(f"{function} of what has no subscripts", "name an element")
        elements = self.table.ranges[canonical(slot.dims[-1])]
        self._check_length(function, len(elements))
        return [
            self.node(replace(vector, subscripts=(*vector.subscripts[:-1], e)), scope)
            for e in elements
        ]

    def _market_price(self, call: Call, scope: Scope) -> Node:
        """FIND MARKET PRICE(demand[first], its profile, supply[first], its profile)."""
        self._check_arity(call.function, (4, 4), call.arguments)
        if call is not self.equation.expression:
            raise self._refuse(
                f"{call.function} inside an expression", "give its result a name of its own"
            )
        curves: list[list[Node]] = []
        counts = []
        for quantity, profile in (call.arguments[:2], call.arguments[2:]):
            quantities = self._from_first(call.function, quantity, scope)
            counts.append(len(quantities))
            assert isinstance(quantity, Ref)
            slot = self.table.slots[canonical(quantity.name)]
            for element, node in zip(
                self.table.ranges[canonical(slot.dims[-1])], quantities, strict=True
            ):
                own = self._profile(profile, element)[:3]
                curves.append([node, *(self.node(ref, scope) for ref in own)])
        count = Const(np.full(self.n, float(counts[0])))
        arguments = (count, *(node for curve in curves for node in curve))
        return Foreign(call.function, arguments, self.n, np.arange(self.n))

    def _at_price(self, call: Call, scope: Scope) -> Node:
        """DEMAND AT PRICE and SUPPLY AT PRICE(quantity, its profile, price)."""
        self._check_arity(call.function, (3, 3), call.arguments)
        quantity, profile, price = call.arguments
        shape, priority, width = (self.node(ref, scope) for ref in self._profile(profile)[:3])
        return quantity_at_price(
            self.node(quantity, scope),
            shape,
            priority,
            width,
            self.node(price, scope),
            supply=call.function == "SUPPLY AT PRICE",
        )

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
        self._check_length(call.function, len(elements))

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
        if len(axes) < _WHOLE_AXIS[call.function]:
            raise self._refuse(
                f"{call.function} into '{self.equation.name}' with "
                f"{len(self.equation.subscripts)} subscripts",
                f"give it at least {_WHOLE_AXIS[call.function]}",
            )
        lengths = [self.table.expand(self.equation, self.equation.subscripts[a]) for a in axes]
        refs = _references(call.arguments[0])
        if not refs or len(refs[0].subscripts) < len(axes):
            raise self._refuse(f"{call.function} of an expression without subscripts", "name it")
        names = [canonical(s) for s in refs[0].subscripts[-len(axes) :]]
        if len(set(names)) < len(names):  # M[d,d]: the columns need a name of their own
            call = self._with_columns(call, names[-1])
            names[-1] = canonical(copy_name(names[-1], 2))
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

    def _with_columns(self, call: Call, name: str) -> Call:
        """The call with the last subscript of its matrix under the name of a copy."""
        own = canonical(copy_name(name, 2))
        self.table.ranges.setdefault(own, self.table.ranges[name])
        self.table.positions.setdefault(own, self.table.positions[name])

        def renamed(expression: Expr) -> Expr:
            if isinstance(expression, Ref) and [canonical(s) for s in expression.subscripts][
                -2:
            ] == [name, name]:
                return replace(expression, subscripts=(*expression.subscripts[:-1], own))
            if isinstance(expression, Call):
                return replace(expression, arguments=tuple(map(renamed, expression.arguments)))
            return expression

        return replace(call, arguments=(renamed(call.arguments[0]), *call.arguments[1:]))

    def _profile(self, argument: Expr, of: str = "") -> list[Ref]:
        """The four numbers of a priority profile, from the one that the equation names on.

        `of` stands in for the subscript before: whose profile it is.
        """
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
        before = (*argument.subscripts[:-2], of) if of else argument.subscripts[:-1]
        return [replace(argument, subscripts=(*before, e)) for e in elements[start : start + 4]]

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
        return self.table.refusal(self.equation, construct, remedy, hint)


WRITTEN_OUT = 64
"""Terms of a SUM that are written out; longer ones are loops, which compile in constant time."""

LONGEST_VECTOR = 64
"""Elements of a vector that is sorted: the comparisons of each with each are written out."""

LONGEST_BELT = 100_000
"""Steps that a conveyor may be long."""

_LOOKUPS: Mapping[str, Callable[[Table], Table]] = {
    "LOOKUP": lambda table: table,
    "WITH LOOKUP": lambda table: table,
    "LOOKUP EXTRAPOLATE": lambda table: replace(table, kind="extrapolate"),
    "LOOKUP BACKWARD": lambda table: replace(table, kind="hold"),
    "LOOKUP FORWARD": forward_table,
    "LOOKUP INVERT": inverse_table,
}


_DISCRETE_DELAYS = {
    "DELAY INFORMATION": (3, "write SMOOTH N"),
    "DELAY MATERIAL": (4, "write DELAY N"),
    "DELAY CONVEYOR": (6, "write DELAY N"),
    "XHISTORY": (3, "keep the value with a stock"),
}
"""Delays of a whole input: their arguments, and what to write where the delay time moves."""

_OWN = (
    "DELAY CONVEYOR",
    "DELAY INFORMATION",
    "DELAY MATERIAL",
    "DEMAND AT PRICE",
    "FIND MARKET PRICE",
    "LOOKUP AREA",
    "SUPPLY AT PRICE",
    "VECTOR ELM MAP",
    "VECTOR LOOKUP",
    "VECTOR SELECT",
)
"""Functions that this module lowers by itself, for suggestions."""


def _defined(slot: Slot) -> list[int]:
    return [row for row in slot.rows.reshape(-1).tolist() if row >= 0]


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
