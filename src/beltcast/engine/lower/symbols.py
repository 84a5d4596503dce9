"""The table of names: every variable of a model with its rows, and the subscripts to index them.

`NameTable` gives each element of each variable a row number, once, before any expression is read,
so that equations may refer to each other in any order.  It owns what a name is (constant, input,
lookup, stock or auxiliary), which range each of its subscripts runs over, and which elements an
equation defines.  What a reference means inside one equation is `beltcast.engine.lower.references`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.engine.program import Slot
from beltcast.engine.syntax import (
    Array,
    Call,
    Data,
    Equation,
    Expr,
    Number,
    Source,
    Table,
    Tables,
    canonical,
)
from beltcast.errors import ModelFileError, UnsupportedConstruct, did_you_mean


class NameTable:
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
        self.family_places: dict[str, int] = {}  # from 1, in the first of its largest ranges
        for elements in sorted(self.ranges.values(), key=len, reverse=True):
            for place, element in enumerate(elements, 1):
                self.family_places.setdefault(element, place)
        self.equations = (*source.controls.values(), *source.equations)
        self.lookups: dict[str, dict[tuple[str, ...], Table]] = {}
        self.makers: dict[int, tuple[Equation, tuple[str, ...]]] = {}
        self.unsure: frozenset[str] = frozenset()  # names whose value may be missing
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
        dims: tuple[str, ...] = ()
        for column in zip(*(e.subscripts for e in group), strict=True):
            dims = (*dims, self._dimension(first, column, dims))
        shape = tuple(len(self.ranges[canonical(d)]) for d in dims)
        kind = _kind(group)
        rows = np.full(shape, -1, dtype=np.int64)
        slot = Slot(first.name, kind, dims, rows)
        for equation in group:
            elements = self.elements(equation)
            places = self.places(slot, elements)
            before = rows[places].reshape(-1)
            if (before != -1).any():
                element = elements[int(np.argmax(before != -1))]
                label = f"{first.name}[{', '.join(element)}]" if element else first.name
                raise self.error(equation, f"'{label}' is defined twice")
            numbers = range(self.n_rows, self.n_rows + len(elements))
            rows[places] = numbers if slot.dims else numbers[0]
            self.makers.update(zip(numbers, ((equation, e) for e in elements), strict=True))
            self.n_rows += len(elements)
            if isinstance(equation.expression, (Table, Tables)):
                self.lookups.setdefault(canonical(first.name), {}).update(
                    _tables(equation, elements, self)
                )
        rows.setflags(write=False)
        return slot

    def _dimension(self, equation: Equation, column: Sequence[str], before: Sequence[str]) -> str:
        """Smallest range that holds all subscripts written at one position.

        Of several, one that is not a dimension before: results are labelled by dimension.
        """
        wanted = {e for s in column for e in self.expand(equation, s)}
        named = {canonical(s) for s in column if canonical(s) in self.ranges}
        taken = set(map(canonical, before))
        if len(named) == 1 and set(self.ranges[next(iter(named))]) == wanted:
            found = next(iter(named))
        else:
            fitting = [n for n, e in self.ranges.items() if wanted <= set(e)]
            if not fitting:
                raise self.error(equation, f"no subscript range holds {', '.join(sorted(wanted))}")
            found = min(fitting, key=lambda n: (len(self.ranges[n]), n in taken))
        return self._apart(found, taken)

    def _apart(self, name: str, taken: set[str]) -> str:
        """Name of a dimension, or of a copy where the array has it already.

        Labelled arrays need dimensions of different names.
        """
        number, own = 1, name
        while own in taken:
            number += 1
            own = canonical(copy_name(name, number))
        if own not in self.ranges:
            self.ranges[own] = self.ranges[name]
            self.positions[own] = self.positions[name]
            self.range_names[own] = copy_name(self.range_names[name], number)
        return self.range_names[own]

    def expand(self, equation: Equation, subscript: str) -> tuple[str, ...]:
        """Return the elements of a range, or the one element that a subscript names."""
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
        """Return the index of an element in the rows of its variable."""
        return tuple(
            self.positions[canonical(d)][e] for d, e in zip(slot.dims, element, strict=True)
        )

    def places(
        self, slot: Slot, elements: Sequence[tuple[str, ...]]
    ) -> tuple[tuple[int, ...], ...]:
        """Return the index of many elements in the rows of their variable, an entry a dimension."""
        columns = zip(*elements, strict=True) if elements else ((),) * len(slot.dims)
        tables = (self.positions[canonical(d)] for d in slot.dims)
        return tuple(
            tuple(map(table.__getitem__, column))
            for table, column in zip(tables, columns, strict=True)
        )

    def error(self, equation: Equation, sentence: str) -> ModelFileError:
        """Return the error of an inconsistent equation."""
        return ModelFileError(
            f"in the equation of '{equation.name}': {sentence}", self.source.path, equation.line
        )

    def refusal(
        self, equation: Equation, construct: str, remedy: str, hint: str = ""
    ) -> UnsupportedConstruct:
        """Return the error of an equation that uses something unsupported."""
        return UnsupportedConstruct(
            f"in the equation of '{equation.name}': {construct} is not supported{hint}"
            + (f"; {remedy}" if remedy else ""),
            self.source.path,
            equation.line,
        )


def copy_name(dimension: str, number: int) -> str:
    """Return the name of the n-th axis of an array that runs over one range.

    >>> copy_name("Belt", 2)
    'Belt (2)'
    """
    return f"{dimension} ({number})"


def copied(name: str) -> str:
    """Return the range that a name of `copy_name` repeats."""
    return name.rpartition(" (")[0]


def _tables(
    equation: Equation, elements: list[tuple[str, ...]], table: NameTable
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
    if all(constant(e) is not None for e in expressions):
        return "constant"
    if any(isinstance(e, Call) and e.function in STOCKS for e in expressions):
        return "stock"
    return "auxiliary"


STOCKS = ("INTEG", "NON NEGATIVE INTEG", "SINTEG")


def constant(expression: Expr) -> FloatArray | None:
    """Value of a right-hand side that is only numbers."""
    if isinstance(expression, Number):
        return np.array(expression.value)
    if isinstance(expression, Array):
        return expression.values
    if isinstance(expression, Call) and expression.function == "negative":
        inner = constant(expression.arguments[0])
        return None if inner is None else -inner
    return None


def one_each(
    value: FloatArray, equation: Equation, elements: list[tuple[str, ...]], table: NameTable
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


def one_series_each(
    data: Data, equation: Equation, elements: list[tuple[str, ...]], table: NameTable
) -> list[Data]:
    """One series for each element, from one series or several."""
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
