"""Stocks of XMILE that limit their flows: those that cannot be negative, and full conveyors.

The outflows of a stock that cannot fall below zero are limited to its content.

As isee's help has it ("Flow prioritization"): an outflow is at most ``stock/DT + total inflow``,
and of several outflows the first takes its share first.  The flow itself is limited, so that
material is conserved between stocks; a stock that is only truncated at zero would deliver material
that it never had.  An inflow that may be negative is limited in the same way.

Where an inflow depends on the outflow at the same instant, the outflow is limited without that
inflow: it never takes more than there is.  A flow that leaves several stocks at once, or enters
several, has no one stock to limit it; there the stock is cut off at zero and the flow is as
written, as in the published output of SDXorg/test-models' `non_negative_stocks`.

The inflows of a conveyor are limited by its capacity, its inflow limit and its arrest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from beltcast.engine.syntax import Call, Equation, Expr, Number, Ref, canonical, references

_STEP = Ref("TIME STEP")


@dataclass(frozen=True)
class Reservoir:
    """A stock that cannot be negative, or one element of it.

    Attributes
    ----------
    stock : Ref
    inflows, outflows : tuple of Ref
        In the order of the file, with the subscripts that the stock's equation gives them.
    two_way : frozenset of str
        Canonical names of inflows that may be negative.
    """

    stock: Ref
    inflows: tuple[Ref, ...]
    outflows: tuple[Ref, ...]
    two_way: frozenset[str]


@dataclass(frozen=True)
class LimitedStock:
    """A conveyor that does not take its whole inflow.

    Attributes
    ----------
    stock : Ref
    inflows, outflows : tuple of Ref
        In the order of the file.
    capacity, in_limit, arrest : Expr or None
        The most that it holds, the most that it takes in a unit of time, and where not zero that
        it stands still.
    discrete : bool
        Whether all that it takes in a unit of time may enter in one step.
    """

    stock: Ref
    inflows: tuple[Ref, ...]
    outflows: tuple[Ref, ...]
    capacity: Expr | None
    in_limit: Expr | None
    arrest: Expr | None
    discrete: bool = False


def limit_flows(
    equations: Sequence[Equation],
    reservoirs: Iterable[Reservoir],
    dimensions: Mapping[str, tuple[str, ...]],
    conveyors: Iterable[LimitedStock] = (),
    queued: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[Equation, ...]:
    """Limit the flows of stocks that cannot be negative, and of conveyors that are full.

    Parameters
    ----------
    equations : sequence of Equation
    reservoirs : iterable of Reservoir
    dimensions : mapping
        Elements of each dimension, by canonical name.
    conveyors : iterable of LimitedStock
    queued : mapping, optional
        By each flow that a queue drives, the names of all flows of that queue in order.

    Returns
    -------
    tuple of Equation
        In the same order.
    """
    work = _Limits(list(equations), dimensions, queued or {})
    for reservoir in reservoirs:
        work.limit(reservoir)
    for conveyor in conveyors:
        work.close(conveyor)
    return tuple(work.equations)


class _Limits:
    """Equations being limited, and which variable needs which at the same instant."""

    def __init__(
        self,
        equations: list[Equation],
        dimensions: Mapping[str, tuple[str, ...]],
        queued: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.equations = equations
        self.queued = queued
        self.elements = {name: set(map(canonical, own)) for name, own in dimensions.items()}
        self.needs: dict[str, set[str]] = {}
        self.at_start: dict[str, set[str]] = {}
        for equation in equations:
            name, expression = canonical(equation.name), equation.expression
            stock = isinstance(expression, Call) and expression.function.endswith("INTEG")
            now: Expr = Number(0.0) if stock else expression
            if isinstance(expression, Call) and expression.function in ("XCONVEYOR", "XBELT"):
                # The outflow entered before: only the leaks and the arrest count now.
                now = Call("", expression.arguments[5:])
            start = expression.arguments[1] if stock and isinstance(expression, Call) else now
            self.needs.setdefault(name, set()).update(_names(now))
            self.at_start.setdefault(name, set()).update(_names(start))

    def limit(self, reservoir: Reservoir) -> None:
        stock = canonical(reservoir.stock.name)
        there = Call("/", (reservoir.stock, _STEP))
        for flow in reservoir.inflows:
            if canonical(flow.name) in reservoir.two_way and self._may_read(flow, stock):
                self._wrap(flow, "MAX", Call("negative", (there,)), {stock})
        taken: list[Ref] = []
        for flow in sorted(
            reservoir.outflows,
            key=lambda f: sum(
                self._reaches(canonical(f.name), canonical(g.name))
                for g in reservoir.outflows
                if g != f
            ),
        ):
            own = canonical(flow.name)
            if not self._may_read(flow, stock):
                continue
            usable = [i for i in reservoir.inflows if not self._reaches(canonical(i.name), own)]
            limit: Expr = there
            for inflow in usable:
                limit = Call("+", (limit, inflow))
            for before in taken:
                limit = Call("-", (limit, before))
            needed = {stock, *(canonical(f.name) for f in (*usable, *taken))}
            self._wrap(flow, "MIN", Call("MAX", (limit, Number(0.0))), needed)
            taken.append(flow)

    def close(self, conveyor: LimitedStock) -> None:
        """Limit the inflow of a conveyor."""
        stock = canonical(conveyor.stock.name)
        leaving = {canonical(f.name) for f in conveyor.outflows}
        before: list[Ref] = []
        for flow in conveyor.inflows:
            taken = {canonical(f.name) for f in before}
            limits: list[tuple[Expr, set[str]]] = []
            if conveyor.capacity is not None:
                room = Call("/", (Call("-", (conveyor.capacity, conveyor.stock)), _STEP))
                for out in conveyor.outflows:
                    room = Call("+", (room, out))
                needed = {stock, *leaving, *taken, *_names(conveyor.capacity)}
                limits.append((room, needed))
            if conveyor.in_limit is not None:
                most = conveyor.in_limit
                if conveyor.discrete:
                    total: Expr = Number(0.0)
                    for inflow in conveyor.inflows:
                        total = Call("+", (total, inflow))
                    most = Call("XBUDGET", (most, total))
                limits.append((most, {*taken, *_names(conveyor.in_limit)}))
            for limit, needed in limits:
                for other in before:
                    limit = Call("-", (limit, other))
                self._wrap(flow, "MIN", Call("MAX", (limit, Number(0.0))), needed)
            if conveyor.arrest is not None:
                running = Call("=", (conveyor.arrest, Number(0.0)))
                self._wrap(flow, "*", running, _names(conveyor.arrest))
            before.append(flow)

    def _may_read(self, flow: Ref, stock: str) -> bool:
        """Whether the flow may depend on the stock: not if the stock starts from the flow."""
        return not self._reaches(stock, canonical(flow.name), start=True)

    def _reaches(self, name: str, target: str, *, start: bool = False) -> bool:
        """Whether a variable depends on another at the same instant."""
        needs = self.at_start if start else self.needs
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current == target:
                return True
            if current not in seen:
                seen.add(current)
                waiting.extend(needs.get(current, ()))
        return False

    def _wrap(self, flow: Ref, function: str, limit: Expr, needed: set[str]) -> None:
        """Join the equations of a flow with a limit, element by element where they differ.

        What limits a flow out of a queue is a part of the equations of all flows of that queue.
        """
        name = canonical(flow.name)
        names = self.queued.get(name, (name,))
        done: list[Equation] = []
        for equation in self.equations:
            if canonical(equation.name) not in names:
                done.append(equation)
            else:
                done.extend(self._limited(equation, flow, function, limit))
        self.equations = done
        for own in names:
            self.needs.setdefault(own, set()).update(needed)
            self.at_start.setdefault(own, set()).update(needed)

    def _joined(self, asked: Expr, flow: Ref, function: str, limit: Expr) -> Expr:
        """What a flow would be, with its limit."""
        if not (isinstance(asked, Call) and asked.function == "XQUEUE"):
            return Call(function, (asked, limit))
        ways = self.queued[canonical(flow.name)]
        place = len(asked.arguments) - 4 * len(ways) + 4 * ways.index(canonical(flow.name)) + 3
        room = Call(function, (asked.arguments[place], limit))
        before, after = asked.arguments[:place], asked.arguments[place + 1 :]
        return replace(asked, arguments=(*before, room, *after))

    def _limited(
        self, equation: Equation, flow: Ref, function: str, limit: Expr
    ) -> Iterable[Equation]:
        narrow: dict[str, str] = {}  # of the equation: a dimension for one element of the stock
        wide: dict[str, str] = {}  # of the limit: a dimension for one element of the flow
        for own, other in zip(equation.subscripts, flow.subscripts, strict=True):
            if canonical(own) == canonical(other):
                continue
            if canonical(other) in self.elements.get(canonical(own), ()):
                narrow[canonical(own)] = other
            elif canonical(own) in self.elements.get(canonical(other), ()):
                wide[canonical(other)] = own
            else:
                return [equation]
        asked = _substituted(equation.expression, narrow)
        limited = replace(
            equation,
            subscripts=tuple(narrow.get(canonical(s), s) for s in equation.subscripts),
            expression=self._joined(asked, flow, function, _substituted(limit, wide)),
        )
        if not narrow:
            return [limited]
        rest = replace(equation, except_=(*equation.except_, limited.subscripts))
        covered = 1
        for s in narrow:
            covered *= len(self.elements[s])
        return [limited] if covered == len(rest.except_) else [limited, rest]


def _names(expression: Expr) -> set[str]:
    return {canonical(ref.name) for ref in references(expression)}


def _substituted(expression: Expr, elements: Mapping[str, str]) -> Expr:
    """The expression for some elements of its dimensions."""
    if not elements:
        return expression
    if isinstance(expression, Ref):
        return replace(
            expression,
            subscripts=tuple(elements.get(canonical(s), s) for s in expression.subscripts),
        )
    if isinstance(expression, Call):
        return replace(
            expression, arguments=tuple(_substituted(a, elements) for a in expression.arguments)
        )
    return expression
