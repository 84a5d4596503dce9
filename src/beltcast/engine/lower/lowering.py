"""From a model to a program: `lower` resolves each equation and puts all of them in order.

The steps have a module each: `names` gives every scalar a row, this one turns expressions into
nodes over those rows (`references` says which), `memory` turns delays and smooths into stocks,
`known` finds what must be known when the model is read, and `order` puts the equations in stages.
This module owns the walk over an expression: which kind of function a call is, how many arguments
it takes, and how functions of whole ranges, vectors and matrices are spread over the elements.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from beltcast.engine.language.array_functions import FOREIGN
from beltcast.engine.language.functions import INPUTS, INSTEAD, LANGUAGE, REDUCTIONS, SLACK
from beltcast.engine.language.lookups import forward_table, inverse_table
from beltcast.engine.language.series_functions import SERIES_FUNCTIONS, series_function
from beltcast.engine.language.stateful import ARITY, CHAINS, WITH_MEMORY, Memory
from beltcast.engine.language.vectors import sort_order, vector_rank, vector_reorder, vector_select
from beltcast.engine.lower.constant_folding import Known
from beltcast.engine.lower.references import References, Scope
from beltcast.engine.lower.schedule import Parts, arrange
from beltcast.engine.lower.symbols import STOCKS, NameTable, constant, copy_name, one_each
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
        series = _series(expression, equation, elements, table)
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


def _series(
    data: Data, equation: Equation, elements: list[tuple[str, ...]], table: NameTable
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
            case Call(function=function) if function in SERIES_FUNCTIONS:
                return self._series_function(expression, scope)
            case Call(function="VECTOR ELM MAP" | "XELEMENT"):
                return self._element_map(expression, scope)
            case Call(function="VECTOR SELECT"):
                return self._vector_select(expression, scope)
            case Call(function="VECTOR SORT ORDER" | "VECTOR RANK" | "VECTOR REORDER"):
                return self._vector_order(expression, scope)
            case Call(function="RANK"):
                return self._rank(expression, scope)
            case Call(function=function) if function in FOREIGN:
                return self._foreign(expression, scope)
            case Call(function="SMOOTH" | "DELAY" | "DELAY N") as call:
                self._check_arity(call.function, (3, 4), call.arguments)
                *level, order = call.arguments
                n = self.known.order(call.function, order, level[1], scope)
                nodes = [self.node(a, scope) for a in level]
                return CHAINS[call.function](self.memory, n, *nodes, *nodes[: 3 - len(nodes)])
            case Call(function="XCONVEYOR"):
                return self._conveyor(expression, scope)
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
        if not isinstance(lookup, Ref):
            raise self._refuse(f"{call.function} of an expression", "name a lookup")
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
        if isinstance(at, Clock) and call.function == "LOOKUP FORWARD":
            at = apply("sub", at, self._slack())
        try:
            return self._at(_LOOKUPS[call.function](used.pop()), at, call.function)
        except ValueError as problem:
            raise self._refuse(f"{call.function} of '{lookup.name}', {problem}", "") from None

    def _at(self, table: Table, at: Node, function: str) -> LookupAt:
        """A table at an argument; the clock has reached a step of a staircase if nearly so."""
        if table.kind == "hold" and isinstance(at, Clock) and function != "LOOKUP FORWARD":
            at = apply("add", at, self._slack())
        return LookupAt(table, at)

    def _slack(self) -> Node:
        return apply("mul", self.memory.time_step(), const(SLACK))

    def _conveyor(self, call: Call, scope: Scope) -> Node:
        """The outflow of a conveyor of XMILE: its inflow so many whole steps ago."""
        inflow, transit, initial = call.arguments
        known = self.known.value(
            transit, scope, f"the length of a conveyor by '{self.equation.name}'"
        )
        step = self.known.value(Ref("TIME STEP"), {}, "")
        if known is None or step is None:
            raise self._refuse(
                "a conveyor whose transit time is no expression of constants", "use a DELAYN"
            )
        steps = float(known.flat[0]) / float(step.flat[0])
        if not (np.isfinite(steps) and steps > 0.5 and abs(steps - round(steps)) < 1e-6 * steps):
            raise self.table.error(
                self.equation,
                f"a transit time of {known.flat[0]:g} is not a whole number of steps of "
                f"{step.flat[0]:g}; change one of them",
            )
        arguments = (self.node(a, scope) for a in (inflow, transit, initial))
        return self.memory.delay_fixed(*arguments)

    def _reduction(self, call: Call, scope: Scope) -> Node:
        """SUM and its like, over the ranges marked with '!' anywhere below."""
        self._check_arity(call.function, (1, 1), call.arguments)
        (argument,) = call.arguments
        marked = _marked(argument)
        if not marked:
            raise self._refuse(f"{call.function} without a subscript marked '!'", "mark the range")
        if math.prod(len(self.table.expand(self.equation, m[:-1])) for m in marked) > WRITTEN_OUT:
            try:
                return self._long_reduction(call.function, argument, marked, scope)
            except _TablesDiffer:
                pass  # one lookup an element: there is no loop to be had
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
            families = (LANGUAGE, REDUCTIONS, WITH_MEMORY, INPUTS, CHAINS, FOREIGN, _LOOKUPS)
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
        if reference not in starts or measure != Number(0.0):
            raise self._refuse(
                "GET TIME VALUE other than (0 or 1, offset, 0), which needs a calendar or a clock",
                "write the calendar as data",
            )
        return apply("add", self.node(starts[reference], scope), self.node(offset, scope))

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
        data = _series(equation.expression, equation, own, self.table)[own.index(element)]
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
        return self.table.refusal(self.equation, construct, remedy, hint)


WRITTEN_OUT = 64
"""Terms of a SUM that are written out; longer ones are loops, which compile in constant time."""

LONGEST_VECTOR = 64
"""Elements of a vector that is sorted: the comparisons of each with each are written out."""

_LOOKUPS: Mapping[str, Callable[[Table], Table]] = {
    "LOOKUP": lambda table: table,
    "WITH LOOKUP": lambda table: table,
    "LOOKUP EXTRAPOLATE": lambda table: replace(table, kind="extrapolate"),
    "LOOKUP BACKWARD": lambda table: replace(table, kind="hold"),
    "LOOKUP FORWARD": forward_table,
    "LOOKUP INVERT": inverse_table,
}


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
