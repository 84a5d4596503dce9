"""Resolution of references inside one equation: the rows of a name, for the current elements.

An equation over a range is read once for its n elements, so a subscript of the right-hand side
stands for a column of n elements: the one in hand, one that is mapped to it, or a fixed one.  This
module owns those rules; `beltcast.engine.lower.symbols` owns the names and rows themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beltcast.engine.lower.symbols import NameTable
from beltcast.engine.nodes import Clock, Const, Load, Node, const
from beltcast.engine.program import Slot
from beltcast.engine.syntax import Data, Equation, Ref, canonical
from beltcast.errors import UnknownName, did_you_mean

Scope = Mapping[str, Sequence[str]]
"""For each range on the left: the element in hand, for each of the n elements of the block."""


@dataclass(frozen=True, eq=False)
class References:
    """References of one equation, for n elements at once."""

    equation: Equation
    n: int
    table: NameTable

    def node(self, ref: Ref, scope: Scope) -> Node:
        """Return the value of a reference: rows, the time, or a subscript as a number."""
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
            raise self.table.refusal(
                self.equation,
                f"the lookup '{slot.name}' used as a value",
                "give it an argument",
            )
        if not slot.dims and not ref.subscripts:
            return Load(slot.rows.reshape(1))
        elements = self.elements(ref, slot, scope)
        rows = slot.rows[self.table.places(slot, elements)]
        if rows.min() < 0:
            missing = elements[int(np.argmin(rows))]
            raise self.table.error(
                self.equation, f"'{slot.name}[{', '.join(missing)}]' is not defined"
            )
        return Load(rows[:1] if len(set(rows.tolist())) == 1 else rows)

    def _element_numbers(self, name: str, scope: Scope) -> Node | None:
        """A subscript as a number: the place of the element in its family, from 1.

        The family of an element is the largest range that holds it, the first of equals.
        """
        column = next((e for key, e in scope.items() if key.removesuffix("!") == name), None)
        if column is None and name in self.table.ranges and scope:
            column = self._column(name, scope)  # of a range that is mapped to one on the left
        if column is not None:
            places = [float(self.table.family_places[e]) for e in column]
            return Const(np.array(places if len(set(places)) > 1 else places[:1]))
        element = self.table.element_names.get(name)
        return None if element is None else const(float(self.table.family_places[element]))

    def elements(self, ref: Ref, slot: Slot, scope: Scope) -> list[tuple[str, ...]]:
        """Return the element that a reference means, for each of the n elements."""
        if len(ref.subscripts) != len(slot.dims):
            raise self.table.error(
                self.equation,
                f"'{slot.name}' has {len(slot.dims)} subscripts and is used with "
                f"{len(ref.subscripts)}",
            )
        if not slot.dims:
            return [()]
        columns = [self._column(subscript, scope) for subscript in ref.subscripts]
        for column, dim in zip(columns, slot.dims, strict=True):
            for element in column:
                if element not in self.table.positions[canonical(dim)]:
                    raise self.table.error(
                        self.equation,
                        f"'{slot.name}' is used with '{element}', no element of {dim}",
                    )
        return list(zip(*columns, strict=True))

    def _column(self, subscript: str, scope: Scope) -> Sequence[str]:
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


def data_row(row: int, table: NameTable) -> int:
    """Return the row of the data variable whose points another one takes, as in ``b := a``.

    What lies between them, such as the parameter of a macro, only passes the value on.
    """
    seen: set[int] = set()
    while row not in seen:
        seen.add(row)
        equation, element = table.makers[row]
        expression = equation.expression
        ref = expression.of if isinstance(expression, Data) else expression
        if not isinstance(ref, Ref):
            return row
        scope = {canonical(s): [e] for s, e in zip(equation.subscripts, element, strict=True)}
        node = References(equation, 1, table).node(ref, scope)
        assert isinstance(node, Load)
        row = int(node.rows[0])
    raise table.error(table.makers[row][0], "data variables have each other's points")
