"""Display of one variable of a model: what ``model["x"]`` returns in a notebook.

It gives the kind, unit, equation and numbers of the variable.  A graphical function also has a
chart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from beltcast.display.facts import Facts, html_of, listed, text_of
from beltcast.engine.nodes import FloatArray
from beltcast.engine.syntax import Call, Equation, Table, Tables, canonical, show, walk_expression
from beltcast.errors import ModelError
from beltcast.model.mathml import equation_math
from beltcast.model.variables import Variable, VariableKind, Variables

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SHOWN = 6
"""Largest number of equations shown of a variable; one defined by element may have many."""


@dataclass(frozen=True, eq=False, repr=False)
class ShownVariable:
    """A variable of a model with its equations and numbers.

    Attributes
    ----------
    model : Variables
    variable : Variable
    """

    model: Variables
    variable: Variable

    @property
    def name(self) -> str:
        """As the model file spells it."""
        return self.variable.name

    @property
    def kind(self) -> VariableKind:
        """stock, auxiliary, constant, input or lookup."""
        return self.variable.kind

    @property
    def unit(self) -> str:
        """As the model file says."""
        return self.variable.unit

    @property
    def doc(self) -> str:
        """The comment of the model file."""
        return self.variable.doc

    @property
    def dims(self) -> tuple[str, ...]:
        """Its subscript ranges."""
        return self.variable.dims

    @property
    def equations(self) -> tuple[Equation, ...]:
        """Its equations as read; several if it is defined piece by piece."""
        source = self.model.source
        everything = (*source.controls.values(), *source.equations)
        name = canonical(self.name)
        return tuple(e for e in everything if canonical(e.name) == name)

    @property
    def equation(self) -> str:
        """Its equations as Vensim text, one per line."""
        return "\n".join(show_equation(equation) for equation in self.equations)

    @property
    def value(self) -> float | FloatArray | None:
        """Default of a constant: a number, or an array over its ranges; None for other kinds.

        An element that the model does not define is NaN.
        """
        if self.kind != "constant":
            return None
        program = self.model.program
        rows = program.slots[canonical(self.name)].rows
        values = np.array(
            [program.default(row) if row >= 0 else np.nan for row in rows.reshape(-1).tolist()]
        )
        return values.reshape(rows.shape) if rows.ndim else float(values[0])

    @property
    def tables(self) -> tuple[tuple[str, Table], ...]:
        """Graphical functions in its equations, by label."""
        return tuple(self._tables())

    def _tables(self) -> Iterator[tuple[str, Table]]:
        for equation in self.equations:
            inside = f"[{', '.join(equation.subscripts)}]" if equation.subscripts else ""
            for node in walk_expression(equation.expression):
                if isinstance(node, Table):
                    yield f"{self.name}{inside}", node
                elif isinstance(node, Tables):
                    for i, table in enumerate(node.tables, 1):
                        yield f"{self.name}{inside} {i}", table

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw its graphical functions, or the points of an input.

        Raises
        ------
        ModelError
            It has neither of them.
        """
        from beltcast.display.lines import finish_axes, new_axes, plot_points
        from beltcast.display.style import house_style

        curves = [(label, table.x, table.y) for label, table in self.tables] + list(self._series())
        if not curves:
            raise ModelError(
                f"'{self.name}' has no graphical function and no points to draw; simulate the "
                "model and draw the result with beltcast.plot_run"
            )

        @house_style
        def drawn(ax: Axes) -> Axes:
            for i, (label, x, y) in enumerate(curves):
                shown = label if len(curves) > 1 else "_nolegend_"
                plot_points(ax, x, y, color=f"C{i}", label=shown)
            across = self.model.time_unit if self.kind == "input" else "input"
            return finish_axes(ax, title=self.name, x=across, y=self.unit)

        return drawn(ax or new_axes())

    def _series(self) -> Iterator[tuple[str, Any, Any]]:
        if self.kind != "input":
            return
        program = self.model.program
        slot = program.slots[canonical(self.name)]
        axes = (self.model.subscripts[d] for d in slot.dims)
        for element, row in zip(
            itertools.product(*axes), slot.rows.reshape(-1).tolist(), strict=True
        ):
            if row >= 0 and len(program.inputs[row].times):
                inside = f"[{', '.join(element)}]" if element else ""
                data = program.inputs[row]
                yield f"{self.name}{inside}", data.times, data.values

    def _facts(self) -> Facts:
        facts = [("kind", self.kind), ("unit", self.unit or "not given")]
        if self.dims:
            ranges = (f"{d} ({listed(self.model.subscripts[d], 4)})" for d in self.dims)
            facts.append(("subscripts", "; ".join(ranges)))
        facts += [("equation", text) for text in _cut(self.equation.split("\n"))]
        if self.value is not None and self.dims:
            numbers = [f"{v:g}" for v in np.asarray(self.value).reshape(-1)]
            facts.append(("value", listed(numbers, 8)))
        low, high = self.equations[0].limits[:2]
        if low is not None or high is not None:
            facts.append(("limits", f"{_end(low)} to {_end(high)}"))
        if self.doc:
            facts.append(("comment", self.doc))
        if self.variable.line:
            facts.append(("line", str(self.variable.line)))
        return facts

    def __repr__(self) -> str:
        return text_of(self.name, self._facts())

    def _repr_html_(self) -> str:
        formulas = "".join(f"<div>{equation_math(e)}</div>" for e in self.equations[:MOST_SHOWN])
        return formulas + html_of(self.name, self._facts())


def show_equation(equation: Equation) -> str:
    """Return an equation as Vensim text, the left-hand side included."""
    left = equation.name
    if equation.subscripts:
        left += f"[{', '.join(equation.subscripts)}]"
    for group in equation.except_:
        left += f" :EXCEPT: [{', '.join(group)}]"
    expression = equation.expression
    if isinstance(expression, Table):
        return f"{left}{show(expression)}"
    sign = ":=" if type(expression).__name__ == "Data" else "="
    if isinstance(expression, Call) and expression.function == "WITH LOOKUP":
        return f"{left} = {show(expression)}"
    return f"{left} {sign} {show(expression)}"


def _cut(lines: list[str], most: int = MOST_SHOWN) -> list[str]:
    return lines if len(lines) <= most else [*lines[:most], f"... {len(lines) - most} more"]


def _end(limit: float | None) -> str:
    return "unlimited" if limit is None else f"{limit:g}"
