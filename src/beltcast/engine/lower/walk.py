"""The walk over an expression: from a tree of calls and references to nodes over rows.

A `Walk` holds one equation and its rules, one for each function; the modules `*_calls` hold the
rules, and `beltcast.engine.lower.lowering` the list of them.  Each rule is given the walk, for the
arguments that it has to turn into nodes and for its errors, which name the equation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from beltcast.engine.language.functions import REDUCTIONS, SLACK
from beltcast.engine.language.stateful import Memory
from beltcast.engine.lower.constant_folding import Known
from beltcast.engine.lower.references import References, Scope
from beltcast.engine.lower.schedule import Parts
from beltcast.engine.lower.symbols import NameTable
from beltcast.engine.nodes import Node, apply, const
from beltcast.engine.program import Slot
from beltcast.engine.syntax import (
    Array,
    Call,
    Data,
    Equation,
    Expr,
    Number,
    Ref,
    Table,
    Tables,
    canonical,
)
from beltcast.errors import UnsupportedConstruct

LONGEST_VECTOR = 64
"""Elements of a vector that is sorted: the comparisons of each with each are written out."""


class TablesDiffer(Exception):
    """Elements of one equation use different lookups: lower them one by one."""


@dataclass(frozen=True, eq=False)
class Walk:
    """Expressions of one equation, for n elements at once.

    ``before`` holds what the variable itself stands for on the right, where it may stand there.
    """

    equation: Equation
    n: int
    table: NameTable
    parts: Parts
    rules: Mapping[str, Rule]
    otherwise: Rule
    before: Node | None = field(default=None)

    @cached_property
    def references(self) -> References:
        """Rows of the names in the equation."""
        return References(self.equation, self.n, self.table)

    @cached_property
    def known(self) -> Known:
        """Values of constants when the model is read."""
        return Known(self.references, self.parts.fixed)

    @cached_property
    def memory(self) -> Memory:
        """Rows that hold state."""
        return Memory(self.equation.name, self.n, self.table, self.parts)

    def over(self, n: int) -> Walk:
        """Return the walk of the same equation for another number of elements."""
        return replace(self, n=n)

    def node(self, expression: Expr, scope: Scope) -> Node:
        """Return the node of an expression whose ranges stand for the elements in `scope`."""
        match expression:
            case Number(value=value):
                return const(value)
            case Ref():
                if self.before is not None and self.is_itself(expression):
                    return self.before
                return self.references.node(expression, scope)
            case Call(function=function):
                return self.rules.get(function, self.otherwise)(self, expression, scope)
            case Array() | Table() | Tables() | Data():
                todo = "give it a name of its own"
                raise self.refuse("a list of numbers inside an expression", todo)

    def is_itself(self, reference: Ref) -> bool:
        """Whether a reference is the left side of the equation."""
        own = (self.equation.name, *self.equation.subscripts)
        return [*map(canonical, own)] == [*map(canonical, (reference.name, *reference.subscripts))]

    def nodes(self, expressions: Sequence[Expr], scope: Scope) -> list[Node]:
        """Return the node of each expression, in order."""
        return [self.node(expression, scope) for expression in expressions]

    def inner_scopes(self, marked: Sequence[str], scope: Scope) -> list[Scope]:
        """Return the scope of each element of the ranges marked with '!'."""
        axes = [self.table.expand(self.equation, m[:-1]) for m in marked]
        return [
            {**scope, **{canonical(m): [e] * self.n for m, e in zip(marked, element, strict=True)}}
            for element in itertools.product(*axes)
        ]

    def from_first(self, function: str, vector: Expr, scope: Scope) -> list[Node]:
        """All elements of a vector along its last subscript, which names the first of them."""
        slot = self.table.slots.get(canonical(vector.name)) if isinstance(vector, Ref) else None
        if slot is None or not isinstance(vector, Ref) or not slot.dims:
            raise self.refuse(f"{function} of what has no subscripts", "name an element")
        elements = self.table.ranges[canonical(slot.dims[-1])]
        self.check_length(function, len(elements))
        return [
            self.node(replace(vector, subscripts=(*vector.subscripts[:-1], e)), scope)
            for e in elements
        ]

    def first_of(self, vector: Ref, slot: Slot) -> int:
        """Place of the element that a reference names last, from 0; 0 for a range."""
        last = canonical(vector.subscripts[-1])
        elements = [canonical(e) for e in self.table.ranges[canonical(slot.dims[-1])]]
        if last in self.table.ranges:
            return 0
        if last not in elements:
            raise self.table.error(
                self.equation, f"'{slot.name}' is used with '{last}', no element of {slot.dims[-1]}"
            )
        return elements.index(last)

    def slack(self) -> Node:
        """Return the time by which a clock that is a sum of steps may be late."""
        return apply("mul", self.memory.time_step(), const(SLACK))

    def check_length(self, function: str, count: int) -> None:
        """Refuse a vector too long to be written out."""
        if count > LONGEST_VECTOR:
            raise self.refuse(f"{function} of {count} elements", f"at most {LONGEST_VECTOR} work")

    def check_arity(self, function: str, arity: tuple[int, int], arguments: Sequence[Expr]) -> None:
        """Refuse a call of fewer or more arguments than the function takes."""
        least, most = arity
        if least <= len(arguments) <= most:
            return
        wanted = "one argument" if most == 1 else f"{least} arguments"
        if most > least:
            wanted = f"{least} to {most} arguments"
        raise self.table.error(
            self.equation, f"{function} takes {wanted} and is given {len(arguments)}"
        )

    def refuse(self, construct: str, remedy: str, hint: str = "") -> UnsupportedConstruct:
        """Return the error that names what the engine does not do, and what to write instead."""
        return self.table.refusal(self.equation, construct, remedy, hint)


Rule = Callable[[Walk, Call, Scope], Node]
"""How calls of one function become nodes."""


def marked_in(*expressions: Expr) -> list[str]:
    """Subscripts marked with '!' anywhere in an expression, each once."""
    refs = [ref for e in expressions for ref in references_in(e)]
    return list(dict.fromkeys(s for ref in refs for s in ref.subscripts if s.endswith("!")))


def references_in(expression: Expr) -> list[Ref]:
    """References of an expression, without those of a SUM inside it, which runs by itself."""
    if isinstance(expression, Ref):
        return [expression]
    if isinstance(expression, Call) and expression.function not in REDUCTIONS:
        return [ref for a in expression.arguments for ref in references_in(a)]
    return []
