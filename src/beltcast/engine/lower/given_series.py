"""Series given for a run of a model whose equations use a series as a whole.

GET DATA BETWEEN TIMES and similar functions are tables, made when the model is compiled; a series
given for a run is put into the model first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from beltcast.engine.language.series_functions import SERIES_FUNCTIONS
from beltcast.engine.lower.symbols import NameTable
from beltcast.engine.program import Program
from beltcast.engine.syntax import Call, Data, Expr, Ref, Source, canonical, walk_expression


def looked_at(source: Source) -> frozenset[str]:
    """Return the canonical names of data variables that are used as a whole."""
    named = {
        canonical(node.arguments[0].name)
        for equation in source.equations
        for node in walk_expression(equation.expression)
        if isinstance(node, Call)
        and node.function in SERIES_FUNCTIONS
        and node.arguments
        and isinstance(node.arguments[0], Ref)
    }
    while (
        below := {
            canonical(ref.name)
            for equation in source.equations
            if canonical(equation.name) in named
            and isinstance(ref := _points_of(equation.expression), Ref)
        }
        - named
    ):
        named |= below
    return frozenset(named)


def _points_of(expression: Expr) -> Expr | None:
    return expression.of if isinstance(expression, Data) else expression


def with_series(source: Source, program: Program, given: Mapping[int, Data]) -> Source:
    """Return a model with series as its own.

    Parameters
    ----------
    source : Source
    program : Program
        Of that source.
    given : mapping of row to Data
    """
    table = NameTable(source)
    equations = []
    for equation in source.equations:
        if isinstance(equation.expression, Data):
            slot = program.slots[canonical(equation.name)]
            rows = [int(slot.rows[table.place(slot, e)]) for e in table.elements(equation)]
            if any(row in given for row in rows):
                series = [given.get(row, program.inputs[row]) for row in rows]
                data = _side_by_side(series, equation.expression)
                equation = replace(equation, expression=data)
        equations.append(equation)
    return replace(source, equations=tuple(equations))


def _side_by_side(series: list[Data], before: Data) -> Data:
    """Several series over all of their times; NaN where one has no point."""
    times = np.unique(np.concatenate([one.times for one in series]))
    values = np.full((len(times), len(series)), np.nan)
    for column, one in enumerate(series):
        values[np.searchsorted(times, one.times), column] = one.values
    return Data(times, values, before.method)
