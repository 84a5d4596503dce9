"""Values of constant expressions when the model is read, before any run.

The order of a delay shapes the program itself, so its value must be known by then: `Known` finds
the value of an expression of constants from their defaults, and notes in `fixed` which constants
it took, for no run can set those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beltcast.engine.language.functions import INPUTS, LANGUAGE
from beltcast.engine.language.primitives import PRIMITIVES
from beltcast.engine.lower.references import References, Scope
from beltcast.engine.lower.symbols import constant, one_each
from beltcast.engine.nodes import Apply, Clock, Const, FloatArray, Load, Node
from beltcast.engine.syntax import (
    Array,
    Call,
    Data,
    Expr,
    Number,
    Ref,
    Table,
    Tables,
    canonical,
)

LONGEST_CHAIN = 1000
"""Order of a delay or smooth, each of which is a stock."""


@dataclass(frozen=True, eq=False)
class Known:
    """Values known when the model is read, for the expressions of one equation.

    Parameters
    ----------
    references : References
    fixed : dict of row to str
        Collects the constants that were read, and what they shaped.
    """

    references: References
    fixed: dict[int, str]

    def order(self, function: str, order: Expr, time: Expr, scope: Scope) -> int:
        """Order of a chain: a number when the model is read, the same for all elements."""
        given = self.value(
            order,
            scope,
            f"the order of the delay in '{self.references.equation.name}'",
            at_start=True,
        )
        if given is None or len(set(given.tolist())) > 1 or not 1 <= given.flat[0] <= LONGEST_CHAIN:
            raise self.references.table.refusal(
                self.references.equation,
                f"a delay whose order is not a whole number from 1 to {LONGEST_CHAIN}",
                "write the number",
            )
        n = int(given.flat[0])
        if function != "DELAY N":
            return n
        # Vensim shortens a DELAY N of more stages than the delay has steps. It leaves a DELAY3
        # alone (published output of 'arguments'); PySD shortens that too, and is wrong by 0.5 %.
        lasting = self.value(time, scope, "", at_start=True)
        step = self.value(Ref("TIME STEP"), {}, "")
        if lasting is None or step is None or not step[0] > 0.0:
            return n
        if not -np.inf < lasting.min() < n * step[0]:
            return n
        shortened = int(np.floor(lasting.min() / step[0] + 1e-9))
        if shortened < 1:
            raise self.references.table.error(
                self.references.equation,
                f"a delay of {lasting.min():g} is shorter than the TIME STEP of {step[0]:g}; "
                "take a smaller step",
            )
        because = (
            f"the order of the delay in '{self.references.equation.name}', shortened to {shortened}"
        )
        self.value(time, scope, because, at_start=True)
        self.value(Ref("TIME STEP"), {}, because)
        return shortened

    def value(
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
                    return self.value(Ref("INITIAL TIME"), {}, because)
                node = (
                    self.references.node(expression, scope) if self._is_plain(expression) else None
                )
                if isinstance(node, Const):
                    return node.values
                if not isinstance(node, Load):
                    return None
                found = [self._known_row(row, because, at_start) for row in node.rows.tolist()]
                return None if None in found else np.array(found, dtype=np.float64)
            case Call(function=function, arguments=arguments) if function in LANGUAGE:
                inner = [self.value(a, scope, because, at_start=at_start) for a in arguments]
                values = [Const(v) for v in inner if v is not None]
                if len(values) < len(inner):
                    return None
                return _evaluate(LANGUAGE[function].build(*values))
            case Call(function="ELMCOUNT", arguments=(Ref(name=name),)):
                references = self.references
                return np.array([float(len(references.table.expand(references.equation, name)))])
            case Call(function="STEP" | "RAMP" | "PULSE" as function, arguments=arguments):
                needed = (*arguments, Ref("INITIAL TIME"), Ref("TIME STEP"))
                inner = [self.value(a, scope, because, at_start=True) for a in needed]
                if not at_start or any(v is None for v in inner):
                    return None
                *given, start, step = (Const(v) for v in inner if v is not None)
                node = INPUTS[function].build(step, *given)
                return _evaluate(node, start.values)
            case Call() | Array() | Table() | Tables() | Data():
                return None

    def _is_plain(self, ref: Ref) -> bool:
        slot = self.references.table.slots.get(canonical(ref.name))
        return slot is None or slot.kind in ("constant", "auxiliary")

    def _known_row(self, row: int, because: str, at_start: bool) -> float | None:
        equation, element = self.references.table.makers[row]
        value = constant(equation.expression)
        if value is not None:
            if because:
                self.fixed[row] = because
            return one_each(value, equation, [element], self.references.table)[0]
        scope = {canonical(s): [e] for s, e in zip(equation.subscripts, element, strict=True)}
        inner = Known(References(equation, 1, self.references.table), self.fixed)
        found = inner.value(equation.expression, scope, because, at_start=at_start)
        return None if found is None else float(found.flat[0])


def _evaluate(node: Node, time: FloatArray | None = None) -> FloatArray:
    """Value of an expression of numbers, and of the time."""
    if isinstance(node, Const):
        return node.values
    if isinstance(node, Clock) and time is not None:
        return time
    assert isinstance(node, Apply)
    with np.errstate(all="ignore"):
        return PRIMITIVES[node.op].value(*(_evaluate(a, time) for a in node.arguments))
