"""Write a `Source` as an XMILE file, the inverse of `beltcast.engine.xmile.reader`.

`xmile_text` writes a flat model: variables with their units, comments, limits and groups, stocks
with their flows, graphical functions, arrays.  Reading it back gives the same numbers bit for bit.
Three things change their form, because XMILE has no other form for them:

- A stock whose equation is not a plain sum of flows gets one flow, ``<stock> net flow``.
- An array that is defined piece by piece, with exceptions, or through mapped ranges, is written
  element by element.
- A graphical function inside an expression gets a variable of its own.

A data variable becomes a graphical function of TIME.  Anything that XMILE cannot express is refused
with the name of the variable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from beltcast.engine.language.functions import REDUCTIONS, SLACK
from beltcast.engine.lower.lookup_calls import LOOKUPS
from beltcast.engine.lower.references import References
from beltcast.engine.lower.symbols import STOCKS, NameTable, copied, one_each, one_series_each
from beltcast.engine.nodes import Const
from beltcast.engine.program import Slot
from beltcast.engine.syntax import (
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
    references,
    walk_expression,
)
from beltcast.engine.xmile.graphs import OPEN_END
from beltcast.engine.xmile.names import RUN_WORDS
from beltcast.engine.xmile.printer import CannotSay, identifier, plain, print_expression
from beltcast.errors import UnsupportedConstruct

_KINDS = {"interpolate": "continuous", "extrapolate": "extrapolate", "hold": "discrete"}
_CALLED = set(LOOKUPS) - {"LOOKUP", "WITH LOOKUP"}
"""Ways of reading a lookup, each of which gets a graphical function of its own."""


def xmile_text(source: Source, *, name: str = "model") -> str:
    """Write a model as XMILE text.

    Parameters
    ----------
    source : Source
    name : str
        Of the model, for the header.

    Raises
    ------
    UnsupportedConstruct
        XMILE cannot express something; the message names the variable.
    ModelFileError, UnknownName
        The equations are inconsistent.
    """
    work = _Writer(source)
    variables = [line for variable in work.variables() for line in variable]
    views = [source.sketch] if source.sketch.startswith("<views") else []
    dimensions = list(_dimensions(source))
    return "\n".join(
        [
            '<?xml version="1.0" encoding="utf-8"?>',
            '<xmile version="1.0" xmlns="http://docs.oasis-open.org/xmile/ns/XMILE/v1.0">',
            "<header>",
            "  <vendor>beltcast</vendor>",
            '  <product version="1.0">beltcast</product>',
            f"  <name>{escape(name)}</name>",
            "</header>",
            *work.specs(),
            *dimensions,
            "<model>",
            "<variables>",
            *variables,
            "</variables>",
            *work.groups(),
            *views,
            "</model>",
            "</xmile>",
            "",
        ]
    )


def _dimensions(source: Source) -> Iterator[str]:
    if not source.subscripts:
        return
    yield "<dimensions>"
    for name, elements in source.subscripts.items():
        yield f"  <dim name={quoteattr(plain(name))}>"
        yield from (f"    <elem name={quoteattr(plain(e))}/>" for e in elements)
        yield "  </dim>"
    yield "</dimensions>"


@dataclass(frozen=True)
class _Stock:
    """A stock with its flows as XMILE writes them."""

    inflows: tuple[str, ...]
    outflows: tuple[str, ...]


class _Writer:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.table = NameTable(source)
        self.by_name: dict[str, list[Equation]] = {}
        for equation in source.equations:
            if canonical(equation.name) in RUN_WORDS:
                raise self.refuse(
                    equation, f"'{equation.name}' but its own word for the run", "rename it"
                )
            self.by_name.setdefault(canonical(equation.name), []).append(equation)
        self.added: dict[str, list[Equation]] = {}
        self.stocks = {
            name: self._stock(group)
            for name, group in self.by_name.items()
            if self.table.slots[name].kind == "stock"
        }
        self.flows = {
            canonical(flow)
            for stock in self.stocks.values()
            for flow in (*stock.inflows, *stock.outflows)
        }

    def refuse(self, equation: Equation, construct: str, remedy: str) -> UnsupportedConstruct:
        return UnsupportedConstruct(
            f"in the equation of '{equation.name}': XMILE has no {construct}; {remedy}",
            self.source.path,
            equation.line or None,
        )

    # --- the run

    def specs(self) -> list[str]:
        controls = self.source.controls
        texts = {}
        for name, tag in (("initial time", "start"), ("final time", "stop"), ("time step", "dt")):
            texts[tag] = self._printed(controls[name], controls[name].expression)
        unit = controls["time step"].unit or controls["initial time"].unit
        method = {"euler": "Euler", "rk2": "RK2", "rk4": "RK4"}[self.source.method]
        about = f" time_units={quoteattr(unit)}" if unit else ""
        return [
            f'<sim_specs method="{method}"{about}>',
            *(f"  <{tag}>{escape(text)}</{tag}>" for tag, text in texts.items()),
            "</sim_specs>",
        ]

    def groups(self) -> list[str]:
        names: dict[str, list[str]] = {}
        for name, group in self.source.groups.items():
            if canonical(name) in self.by_name:
                names.setdefault(group, []).append(self.by_name[canonical(name)][0].name)
        lines = []
        for group, own in names.items():
            lines.append(f"<group name={quoteattr(group)}>")
            about = self.source.group_docs.get(group)
            lines += [f"  <doc>{escape(about)}</doc>"] if about else []
            lines += [f"  <var>{escape(plain(name))}</var>" for name in own]
            lines.append("</group>")
        return lines

    # --- variables

    def variables(self) -> Iterator[list[str]]:
        for name in ("initial time", "final time", "time step"):
            if self.source.controls[name].doc:
                yield self._variable("aux", [self.source.controls[name]], [], ())
        saved = self.source.controls.get("saveper")
        if saved is not None and saved.expression != Ref("TIME STEP"):
            yield self._variable("aux", [saved], [], ())
        for name, group in self.by_name.items():
            if (self.table.slots[name].rows < 0).any():
                raise self.refuse(
                    group[0], "array without some of its elements", "give each an equation"
                )
            if name in self.stocks:
                yield self._stock_lines(group, self.stocks[name])
            elif all(isinstance(e.expression, (Table, Tables)) for e in group):
                yield self._lookup(group)
            else:
                tag = "flow" if name in self.flows else "aux"
                yield self._variable(tag, group, [], self._dims(group[0]))
        for group in self.added.values():
            tables = isinstance(group[0].expression, Table)
            dims = self.added_dims.get(canonical(group[0].name), ())
            yield self._lookup(group) if tables else self._variable("flow", group, [], dims)

    @property
    def added_dims(self) -> dict[str, tuple[str, ...]]:
        return {
            canonical(f"{group[0].name} net flow"): self.table.slots[name].dims
            for name, group in self.by_name.items()
            if name in self.stocks
        }

    def _dims(self, equation: Equation) -> tuple[str, ...]:
        return self.table.slots[canonical(equation.name)].dims

    def _stock(self, group: list[Equation]) -> _Stock:
        rates = []
        for equation in group:
            expression = equation.expression
            if not (isinstance(expression, Call) and expression.function in STOCKS):
                raise self.refuse(
                    equation, "array of which only some elements are stocks", "split it in two"
                )
            if expression.function == "SINTEG":
                raise self.refuse(equation, "SINTEG", "write INTEG, and limit its flows")
            rates.append(expression.arguments[0])
        if len(group) == 1 and not group[0].except_:
            flows = self._plain_sum(group[0], rates[0])
            if flows is not None:
                return flows
        flow = f"{group[0].name} net flow"
        self.added[canonical(flow)] = [
            replace(e, name=flow, expression=rate, doc="", unit=self._per_time(e), limits=_NONE)
            for e, rate in zip(group, rates, strict=True)
        ]
        return _Stock((flow,), ())

    def _per_time(self, equation: Equation) -> str:
        time = self.source.controls["time step"].unit
        return f"{equation.unit}/{time}" if equation.unit and time else ""

    def _plain_sum(self, stock: Equation, rate: Expr) -> _Stock | None:
        """Flows of a stock whose rate is inflow minus outflow, in that order.

        XMILE adds up inflows before outflows; another order of three terms and more would not
        give the same bits.
        """
        if rate == Number(0.0):
            return _Stock((), ())
        terms = list(_terms(rate, 1))
        dims = self._dims(stock)
        for _, ref in terms:
            if not isinstance(ref, Ref) or canonical(ref.name) not in self.by_name:
                return None
            slot = self.table.slots[canonical(ref.name)]
            same = [canonical(s) for s in ref.subscripts] == [canonical(d) for d in dims]
            if slot.dims != dims or not same or slot.kind not in ("auxiliary", "constant"):
                return None
        if list(map(canonical, stock.subscripts)) != list(map(canonical, dims)):
            return None
        signs = [sign for sign, _ in terms]
        if signs != sorted(signs, reverse=True) and len(terms) > 2:
            return None
        names = [(sign, ref.name) for sign, ref in terms if isinstance(ref, Ref)]
        if len({canonical(n) for _, n in names}) < len(names):
            return None
        return _Stock(tuple(n for s, n in names if s > 0), tuple(n for s, n in names if s < 0))

    def _stock_lines(self, group: list[Equation], stock: _Stock) -> list[str]:
        initial = []
        for equation in group:
            assert isinstance(equation.expression, Call)
            initial.append(replace(equation, expression=equation.expression.arguments[1]))
        held = {e.expression.function for e in group if isinstance(e.expression, Call)}
        more = [f"    <inflow>{escape(identifier(n))}</inflow>" for n in stock.inflows]
        more += [f"    <outflow>{escape(identifier(n))}</outflow>" for n in stock.outflows]
        more += ["    <non_negative/>"] if "NON NEGATIVE INTEG" in held else []
        return self._variable("stock", initial, more, self._dims(group[0]))

    def _lookup(self, group: list[Equation]) -> list[str]:
        first = group[0]
        slot = self.table.slots.get(canonical(first.name))
        if slot is None or not slot.dims:
            assert isinstance(first.expression, Table)
            head = [f"  <gf name={quoteattr(plain(first.name))} {_kind(first.expression)}>"]
            return [*head, *_about(first), *_points(first.expression), "  </gf>"]
        lines = [f"  <aux name={quoteattr(plain(first.name))}>", *_about(first)]
        lines += self._dims_lines(slot.dims)
        for equation in group:
            tables = equation.expression
            elements = self.table.elements(equation)
            own = tables.tables if isinstance(tables, Tables) else [tables] * len(elements)
            for element, table in zip(elements, own, strict=True):
                assert isinstance(table, Table)
                lines.append(f"    <element subscript={quoteattr(','.join(element))}>")
                lines += [f"      <gf {_kind(table)}>", *_points(table), "      </gf>"]
                lines.append("    </element>")
        return [*lines, "  </aux>"]

    def _variable(
        self, tag: str, group: list[Equation], more: list[str], dims: tuple[str, ...]
    ) -> list[str]:
        first = group[0]
        if "\\" in first.name:
            raise self.refuse(first, "backslash in a name", "rename the variable")
        lines = [f"  <{tag} name={quoteattr(plain(first.name))}>", *_about(first)]
        lines += self._dims_lines(dims)
        if len(group) == 1 and (not dims or self._whole(first, dims)):
            lines += self._right(first, first.expression, "    ")
        else:
            for equation in group:
                for element, expression in self._each(equation):
                    lines.append(f"    <element subscript={quoteattr(','.join(element))}>")
                    lines += self._right(equation, expression, "      ")
                    lines.append("    </element>")
        return [*lines, *more, f"  </{tag}>"]

    def _dims_lines(self, dims: Sequence[str]) -> list[str]:
        if not dims:
            return []
        own = (d if d in self.source.subscripts else copied(d) for d in dims)
        inside = "".join(f"<dim name={quoteattr(plain(d))}/>" for d in own)
        return [f"    <dimensions>{inside}</dimensions>"]

    def _right(self, equation: Equation, expression: Expr, blank: str) -> list[str]:
        match expression:
            case Call(function="ACTIVE INITIAL", arguments=(active, initial)):
                first = self._printed(equation, initial)
                return [
                    f"{blank}<eqn>{escape(self._printed(equation, active))}</eqn>",
                    f"{blank}<init_eqn>{escape(first)}</init_eqn>",
                ]
            case Call(function="WITH LOOKUP", arguments=(Table() as table, at)):
                return [
                    f"{blank}<eqn>{escape(self._printed(equation, at))}</eqn>",
                    f"{blank}<gf {_kind(table)}>",
                    *_points(table),
                    f"{blank}</gf>",
                ]
            case Data(method="interpolate", of=Ref() as points):
                return [f"{blank}<eqn>{escape(self._printed(equation, points))}</eqn>"]
            case Data():
                table = self._points_of_time(equation, expression)
                return [
                    f"{blank}<eqn>TIME</eqn>",
                    f"{blank}<gf {_kind(table)}>",
                    *_points(table),
                    f"{blank}</gf>",
                ]
            case Number() | Array() | Ref() | Call() | Table() | Tables():
                return [f"{blank}<eqn>{escape(self._printed(equation, expression))}</eqn>"]

    def _points_of_time(self, equation: Equation, data: Data) -> Table:
        """A data variable as a graphical function of TIME."""
        kinds = {"interpolate": "interpolate", "hold backward": "hold"}
        known = ~np.isnan(data.values)
        times, values = data.times[known].tolist(), data.values[known].tolist()
        problem = ""
        if self.source.method != "euler":
            problem = "under Runge-Kutta, which Vensim gives the data of the start of a step"
        elif data.method not in kinds:
            problem = f"of the kind '{data.method}'"
        elif not times:
            problem = "without numbers"
        if problem:
            raise self.refuse(
                equation,
                f"data variable {problem}",
                "write it as a lookup of Time, or save a .mdl file",
            )
        if len(times) == 1:
            times, values = [*times, times[0] + 1.0], values * 2
        return Table(tuple(times), tuple(values), kinds[data.method])  # type: ignore[arg-type]  # a kind of `Table`

    def _printed(self, equation: Equation, expression: Expr) -> str:
        if isinstance(expression, Array) and expression.values.size == 1:
            expression = Number(float(expression.values.flat[0]))
        try:
            return print_expression(self._prepared(equation, expression))
        except CannotSay as problem:
            construct, remedy = problem.args
            raise self.refuse(equation, construct, remedy) from None

    def _prepared(self, equation: Equation, expression: Expr) -> Expr:
        """Give graphical functions inside an expression a name, and check references."""
        if isinstance(expression, Ref):
            name = canonical(expression.name)
            if name in self.table.slots or name in ("time", *self.added):
                return expression
            return self._number(equation, expression, {})
        if not isinstance(expression, Call):
            return expression
        function, arguments = expression.function, expression.arguments
        if function == "WITH LOOKUP" and isinstance(arguments[0], Table):
            name = self._new_lookup(f"{plain(equation.name)} lookup", arguments[0])
            return Call("LOOKUP", (Ref(name), self._prepared(equation, arguments[1])))
        if function in _CALLED:
            table = self._points_of(arguments[0])
            ahead = function == "LOOKUP FORWARD" and arguments[1] == Ref("Time")
            if table is None or ahead:
                raise self.refuse(equation, function, "write it out")
            named = arguments[0] if isinstance(arguments[0], Ref) else Ref(equation.name)
            own = LOOKUPS[function](table)
            if math.isinf(own.x[0]):  # a staircase from the beginning of time
                own = replace(own, x=(min(*own.x[1:], 1.0) - 1.0, *own.x[1:]))
            name = self._new_lookup(
                f"{plain(named.name)} {function.partition(' ')[2].lower()}", own
            )
            return Call("LOOKUP", (Ref(name), self._prepared(equation, arguments[1])))
        if function == "ELMCOUNT" and isinstance(arguments[0], Ref):
            return Number(float(len(self.table.expand(equation, arguments[0].name))))
        if function == "PULSE" and self.source.method == "euler":
            return self._prepared(equation, _pulse(*arguments))
        if function in REDUCTIONS or function == "RANK":
            self._check_marks(equation, expression)
        return Call(function, tuple(self._prepared(equation, a) for a in arguments))

    def _number(self, equation: Equation, ref: Ref, scope: dict[str, list[str]]) -> Number:
        """The number of an element, where its range or its own name stands for one."""
        node = References(equation, 1, self.table).node(ref, scope)
        if not isinstance(node, Const):
            raise self.refuse(equation, f"'{ref.name}' as a number", "write the number")
        return Number(float(node.values[0]))

    def _points_of(self, lookup: Expr) -> Table | None:
        if isinstance(lookup, Ref) and not lookup.subscripts:
            lookup = self.by_name[canonical(lookup.name)][0].expression
        return lookup if isinstance(lookup, Table) else None

    def _new_lookup(self, name: str, table: Table) -> str:
        while canonical(name) in self.by_name or (
            canonical(name) in self.added and self.added[canonical(name)][0].expression != table
        ):
            name += " 2"
        self.added[canonical(name)] = [Equation(name, (), (), table)]
        return name

    def _check_marks(self, equation: Equation, call: Call) -> None:
        over = {marks for ref in references(call) if (marks := _marks(ref))}
        if any(not marks <= max(over, key=len) for marks in over):
            raise self.refuse(
                equation,
                f"{call.function} over arrays of different dimensions",
                "write the product into an array of its own",
            )
        for ref in references(call):
            slot = self.table.slots.get(canonical(ref.name))
            for subscript, dim in zip(ref.subscripts, slot.dims if slot else (), strict=False):
                if subscript.endswith("!") and canonical(subscript[:-1]) != canonical(dim):
                    raise self.refuse(
                        equation,
                        f"{call.function} over '{subscript[:-1]}', a part of '{dim}'",
                        "give the part an array of its own",
                    )

    # --- arrays

    def _whole(self, equation: Equation, dims: Sequence[str]) -> bool:
        """Whether one equation can represent all elements as it is."""
        left = [canonical(s) for s in equation.subscripts]
        if equation.except_ or left != [canonical(d) for d in dims] or len(set(left)) < len(left):
            return False
        for node in walk_expression(equation.expression):
            if isinstance(node, (Array, Table, Tables)) and node is equation.expression:
                return False
            if isinstance(node, Data) and node.values.ndim > 1:
                return False
            if isinstance(node, Ref) and not self._direct(node, left):
                return False
        return True

    def _direct(self, ref: Ref, left: Sequence[str]) -> bool:
        slot = self.table.slots.get(canonical(ref.name))
        if slot is None and canonical(ref.name) in self.table.ranges:
            return False
        for subscript, dim in zip(ref.subscripts, slot.dims if slot else (), strict=False):
            name = canonical(subscript)
            if name in self.table.ranges and not (name in left and name == canonical(dim)):
                return False
        return True

    def _each(self, equation: Equation) -> Iterable[tuple[tuple[str, ...], Expr]]:
        """Elements of an equation, and the right-hand side of each."""
        elements = self.table.elements(equation)
        expression = equation.expression
        if isinstance(expression, Array):
            numbers = one_each(expression.values, equation, elements, self.table)
            yield from zip(elements, map(Number, numbers), strict=True)
            return
        if isinstance(expression, Data):
            yield from zip(
                elements, one_series_each(expression, equation, elements, self.table), strict=True
            )
            return
        for element in elements:
            scope = {canonical(s): [e] for s, e in zip(equation.subscripts, element, strict=True)}
            yield element, self._substituted(equation, expression, scope)

    def _substituted(
        self, equation: Equation, expression: Expr, scope: dict[str, list[str]]
    ) -> Expr:
        if isinstance(expression, Call) and expression.function == "ELMCOUNT":
            return expression
        if isinstance(expression, Call):
            given = (self._substituted(equation, a, scope) for a in expression.arguments)
            return Call(expression.function, tuple(given))
        if not isinstance(expression, Ref):
            return expression
        slot = self.table.slots.get(canonical(expression.name))
        if slot is None and canonical(expression.name) in self.table.ranges:
            return self._number(equation, expression, scope)
        if slot is None or not expression.subscripts:
            return expression
        return replace(expression, subscripts=self._elements(equation, expression, slot, scope))

    def _elements(
        self, equation: Equation, ref: Ref, slot: Slot, scope: dict[str, list[str]]
    ) -> tuple[str, ...]:
        """Subscripts of a reference with elements in place of ranges; marks stay."""
        stand_in = tuple(
            self.table.expand(equation, s[:-1])[0] if s.endswith("!") else s for s in ref.subscripts
        )
        found = References(equation, 1, self.table).elements(
            replace(ref, subscripts=stand_in), slot, scope
        )[0]
        return tuple(
            s if s.endswith("!") else e for s, e in zip(ref.subscripts, found, strict=True)
        )


_NONE = (None, None)


def _pulse(start: Expr, width: Expr) -> Expr:
    """PULSE as `beltcast.engine.language.functions` defines it, by comparisons of the time."""

    def middle(share: float) -> Expr:
        return Call("+", (Ref("Time"), Call("*", (Ref("TIME STEP"), Number(share)))))

    lasting: Expr = width
    if width == Number(0.0):
        lasting = Ref("TIME STEP")
    elif not isinstance(width, Number):
        none = Call("=", (width, Number(0.0)))
        lasting = Call("IF THEN ELSE", (none, Ref("TIME STEP"), width))
    begun = Call(">", (middle(0.5 - SLACK), start))
    lasts = Call("<", (middle(0.5 + SLACK), Call("+", (start, lasting))))
    return Call("IF THEN ELSE", (Call(":AND:", (begun, lasts)), Number(1.0), Number(0.0)))


def _marks(ref: Ref) -> frozenset[str]:
    return frozenset(canonical(s) for s in ref.subscripts if s.endswith("!"))


def _terms(rate: Expr, sign: int) -> Iterator[tuple[int, Expr]]:
    """Terms of a sum that is read from the left, with their signs."""
    match rate:
        case Call(function="+", arguments=(left, right)):
            yield from _terms(left, sign)
            yield sign, right
        case Call(function="-", arguments=(left, right)):
            yield from _terms(left, sign)
            yield -sign, right
        case Call(function="negative", arguments=(operand,)):
            yield -sign, operand
        case _:
            yield sign, rate


def _about(equation: Equation) -> list[str]:
    lines = []
    if equation.doc:
        lines.append(f"    <doc>{escape(equation.doc)}</doc>")
    if equation.unit:
        lines.append(f"    <units>{escape(equation.unit)}</units>")
    # A third number of Vensim's is the step of a slider.
    ends = (v if v is not None and math.isfinite(v) else None for v in equation.limits[:2])
    least, most = ends
    if least is None and most is None:
        return lines
    # Both ends are written, as the standard has it: PySD reads no <range> with a single one.
    low, high = (-OPEN_END if least is None else least, OPEN_END if most is None else most)
    tag = "yscale" if isinstance(equation.expression, Table) else "range"
    return [*lines, f'    <{tag} min="{low!r}" max="{high!r}"/>']


def _kind(table: Table) -> str:
    return f'type="{_KINDS[table.kind]}"'


def _points(table: Table) -> list[str]:
    def numbers(values: Sequence[float]) -> str:
        return ",".join(repr(float(v)).removesuffix(".0") for v in values)

    return [
        f"      <xpts>{numbers(table.x)}</xpts>",
        f"      <ypts>{numbers(table.y)}</ypts>",
    ]
