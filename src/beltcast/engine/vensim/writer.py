"""Write a `Source` as a Vensim file, the inverse of the reader.

`mdl_text` writes equations so that reading them back gives the same model: the same numbers bit for
bit, and the same names, units, comments, limits, groups and sketches.  Abbreviated forms come back
in full: macros as the equations that their calls made, ranges of ranges with all
their elements, constants and lookups of workbooks as numbers.  The points of data variables have no
place in a Vensim file; they go into a table beside it (`WrittenModel.table`).

Anything that Vensim cannot express is refused with the name of the variable.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from beltcast.engine.language.functions import SLACK
from beltcast.engine.nodes import FloatArray
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
    show,
    walk_expression,
)
from beltcast.engine.vensim.layout import SKETCH
from beltcast.errors import UnsupportedConstruct

_METHODS = {"euler": 0, "rk4": 1, "rk2": 3}
_STARS = "*" * 56
_CONTROL_GROUP = "Control"
_LARGEST = 1e308
"""Represents infinity as the end of a random draw: no draw reaches it."""


@dataclass(frozen=True)
class WrittenModel:
    """A model as text.

    Attributes
    ----------
    text : str
    table : str
        Comma-separated table of the data variables, to lie beside the model under the name that
        was given; empty if the model has none.
    """

    text: str
    table: str


def mdl_text(source: Source, *, table: str = "data.csv") -> WrittenModel:
    """Write a model as Vensim text.

    Parameters
    ----------
    source : Source
    table : str
        File name for the points of data variables.

    Raises
    ------
    UnsupportedConstruct
        Vensim cannot express something; the message names the variable.
    """
    source = _expressible(source)
    writer = _Writer(source, table)
    statements = [*range_statements(source)]
    groups = {canonical(name): group for name, group in source.groups.items()}
    at_control = groups.get("time step", _CONTROL_GROUP if any(groups.values()) else "")
    for group in dict.fromkeys(["", *groups.values(), at_control]):
        own = [e for e in source.equations if groups.get(canonical(e.name), "") == group]
        own += source.controls.values() if group == at_control else ()
        if group and own:
            about = source.group_docs.get(group, "")
            statements.append(f"{_STARS}\n\t.{group}\n{_STARS}~\n\t\t{about}\n\t|")
        statements += [s for equation in own for s in writer.statements(equation)]
    text = "{UTF-8}\n" + "\n\n".join(statements) + "\n\n"
    sketch = source.sketch.replace("\r\n", "\n") if SKETCH.match(source.sketch) else ""
    if not sketch and source.method != "euler":
        sketch = (
            "\\\\\\---/// Sketch information - do not modify anything except names\n"
            "V300  Do not put anything below this section - it will be ignored\n"
            "*View 1\n$192-192-192,0,Arial|12||0-0-0|0-0-0|0-0-255|-1--1--1|-1--1--1|96,96,100,0\n"
            f"///---\\\\\\\n:L\x7f<%^E!@\n15:0,0,0,{_METHODS[source.method]},0,0\n"
        )
    return WrittenModel(text + sketch, writer.csv())


# --- forms that Vensim writes differently -------------------------------------------------------


def _expressible(source: Source) -> Source:
    """Return the model with everything that Vensim expresses in another way rewritten."""
    kinds: dict[str, str] = {}
    for equation in source.equations:
        tables = equation.expression
        if isinstance(tables, Table):
            kinds[canonical(equation.name)] = tables.kind
        elif isinstance(tables, Tables):
            kinds[canonical(equation.name)] = tables.tables[0].kind
    added: list[Equation] = []
    taken = {canonical(e.name) for e in source.equations}
    equations: list[Equation] = []
    for equation in source.equations:
        work = _Rewriting(equation, source, kinds, taken)
        equations.append(replace(equation, expression=work.of(equation.expression)))
        added += work.added
    called = {
        _written_function(node)
        for equation in (*equations, *added)
        for node in walk_expression(equation.expression)
        if isinstance(node, Call)
    }
    for equation in source.equations:
        if canonical(equation.name) in called:
            named = f"variable with the name of the function '{equation.name}'"
            raise _Rewriting(equation, source, kinds, taken).refuse(named, "rename it")
    return replace(source, equations=(*equations, *added))


def _written_function(call: Call) -> str:
    """Name by which a function is written: that of a family depends on its arguments."""
    family = call.function in ("SMOOTH", "DELAY", "DELAY N")
    return (show(call).partition("(")[0] if family else call.function).lower()


@dataclass
class _Rewriting:
    """One equation in Vensim's functions."""

    equation: Equation
    source: Source
    kinds: Mapping[str, str]
    taken: set[str]

    def __post_init__(self) -> None:
        self.added: list[Equation] = []

    def refuse(self, construct: str, remedy: str) -> UnsupportedConstruct:
        return UnsupportedConstruct(
            f"in the equation of '{self.equation.name}': Vensim has no {construct}; {remedy}",
            self.source.path,
            self.equation.line or None,
        )

    def of(self, expression: Expr) -> Expr:
        if isinstance(expression, (Table, Tables)):
            return self.plain(expression)
        if isinstance(expression, Number) and math.isinf(expression.value):
            raise self.refuse("infinite number", "write a large one")
        if not isinstance(expression, Call):
            return expression
        function, arguments = expression.function, expression.arguments
        if function == "WITH LOOKUP" and isinstance(arguments[0], Table):
            return self.inline(arguments[0], self.of(arguments[1]))
        if function.startswith("LOOKUP ") and isinstance(arguments[0], Table):
            arguments = (self.named(arguments[0]), *arguments[1:])
        if function == "LOOKUP" and isinstance(arguments[0], Ref):
            kind = self.kinds.get(canonical(arguments[0].name), "interpolate")
            return Call(_CALLED[kind], (arguments[0], self.of(arguments[1])))
        if function.startswith("RANDOM"):
            arguments = tuple(_bounded(a) for a in arguments)
        given = tuple(self.of(a) for a in arguments)
        match function, given:
            case ("XPULSE", (start, size)) | ("XPULSE TRAIN", (start, _, size)):
                interval = given[1] if function == "XPULSE TRAIN" else None
                per_step = Call("/", (size, Ref("TIME STEP")))
                if self.on_grid(start, interval):
                    ends = (interval, Number(_LARGEST)) if interval is not None else ()
                    name = "PULSE TRAIN" if ends else "PULSE"
                    return Call("*", (per_step, Call(name, (start, Number(0.0), *ends))))
                if self.source.method != "euler":
                    raise self.refuse(
                        "PULSE of a quantity under Runge-Kutta",
                        "let it begin at a number on the grid of steps, or use PULSE",
                    )
                return Call("*", (per_step, _pulse_of_quantity(start, interval)))
            case "XSAFEDIV", (top, bottom, *otherwise):
                zero = Call("=", (bottom, Number(0.0)))
                rest = otherwise[0] if otherwise else Number(0.0)
                return Call("IF THEN ELSE", (zero, rest, Call("/", (top, bottom))))
            case "NON NEGATIVE INTEG", (rate, initial):
                if isinstance(initial, Number) and initial.value < 0.0:
                    raise self.refuse(
                        "stock that starts below zero and then cannot", "start it at 0 or above"
                    )
                return Call("SINTEG", (rate, initial, Number(0.0), *[Number(math.nan)] * 4))
            case "XELEMENT", (Ref() as first, offset, Number(value=axis)):
                ranges = {canonical(name) for name in self.source.subscripts}
                named = [i for i, s in enumerate(first.subscripts) if canonical(s) not in ranges]
                if named[-1] != axis:
                    raise self.refuse(
                        "computed subscript before a named one", "let the computed one come last"
                    )
                return Call("VECTOR ELM MAP", (first, offset))
            case ("XCONVEYOR", _) | ("DELAY FIXED", (_, _)):
                return Call("DELAY FIXED", (*given, given[0])[:3])
            case "XHISTORY", _:
                return Call("DELAY FIXED", given)
            case "XDISCRETE", (x,):
                return x
            case "XINT", (x,):
                whole = Call("INTEGER", (x,))
                above = Call(">", (whole, x))
                return Call("-", (whole, Call("IF THEN ELSE", (above, Number(1.0), Number(0.0)))))
            case "FORECAST", (value, time, horizon, initial):
                if initial != Number(0.0):
                    raise self.refuse("FORECAST with an initial trend", "leave it 0")
                return Call("FORECAST", (value, time, horizon))
            case "^", (Number(value=base), exponent) if base < 0:
                # PySD's parser reads (-2)^2 as -(2^2); a difference keeps its sign.
                return Call("^", (Call("-", (Number(0.0), Number(-base))), exponent))
        if function in _ENGINE_ONLY or (function.startswith("X") and function not in ("XIDZ",)):
            raise self.refuse(*_ENGINE_ONLY.get(function, (function, "write it out")))
        return Call(function, given)

    def on_grid(self, start: Expr, interval: Expr | None = None) -> bool:
        """Whether both dialects give a pulse of a quantity in the same step."""
        controls = self.source.controls
        zero, step = (controls[name].expression for name in ("initial time", "time step"))
        numbers = [e.value for e in (start, zero, step) if isinstance(e, Number)]
        own = [interval.value] if isinstance(interval, Number) else []
        if len(numbers) < 3 or len(own) != (interval is not None):
            return False
        first, origin, dt = numbers
        steps = [(first - origin) / dt, *(v / dt for v in own)]
        return all(abs(n - round(n)) < 1e-9 for n in steps) and all(v >= dt for v in own)

    def plain(self, expression: Table | Tables) -> Table | Tables:
        """A lookup without its kind: the kind is in the call."""
        if isinstance(expression, Table):
            return replace(expression, kind="interpolate")
        return Tables(tuple(replace(t, kind="interpolate") for t in expression.tables))

    def inline(self, table: Table, at: Expr) -> Expr:
        if table.kind == "interpolate":
            return Call("WITH LOOKUP", (table, at))
        return Call(_CALLED[table.kind], (self.named(table), at))

    def named(self, table: Table) -> Ref:
        """A lookup of its own for the points of a graphical function."""
        name = f"{self.equation.name} lookup".replace('"', "")
        while canonical(name) in self.taken:
            name += " x"
        self.taken.add(canonical(name))
        plain = replace(table, kind="interpolate")
        self.added.append(Equation(name, (), (), plain, doc="Points of a graphical function."))
        return Ref(name)


_CALLED = {
    "interpolate": "LOOKUP",
    "extrapolate": "LOOKUP EXTRAPOLATE",
    "hold": "LOOKUP BACKWARD",
}
_ENGINE_ONLY: Mapping[str, tuple[str, str]] = {
    "XBELT": ("conveyor that leaks or stops", "keep the XMILE file"),
    "XBUDGET": ("inflow limit of a discrete conveyor", "keep the XMILE file"),
    "XQUEUE": ("queue", "keep the XMILE file"),
    "RANK": ("RANK of XMILE", "write VECTOR SORT ORDER"),
}


def _pulse_of_quantity(start: Expr, interval: Expr | None) -> Expr:
    """1 in the first step at or after the start, and after each interval, by comparisons.

    As `beltcast.engine.language.functions.xmile_pulse_train` defines it.
    """
    late = Call("+", (Ref("Time"), Call("*", (Ref("TIME STEP"), Number(SLACK)))))
    since = place = Call("-", (late, start))
    if interval is not None:
        repeats = Call(">", (interval, Number(0.0)))
        every = Call("IF THEN ELSE", (repeats, interval, Number(1.0)))
        whole = Call("*", (every, Call("INTEGER", (Call("/", (since, every)),))))
        place = Call("IF THEN ELSE", (repeats, Call("-", (since, whole)), since))
    begun, inside = Call(">=", (since, Number(0.0))), Call("<", (place, Ref("TIME STEP")))
    return Call("IF THEN ELSE", (Call(":AND:", (begun, inside)), Number(1.0), Number(0.0)))


def _bounded(argument: Expr) -> Expr:
    if isinstance(argument, Number) and math.isinf(argument.value):
        return Number(math.copysign(_LARGEST, argument.value))
    return argument


# --- statements -----------------------------------------------------------------------------------


def range_statements(source: Source) -> Iterator[str]:
    """Yield the subscript ranges with their mappings."""
    by_canonical = {canonical(n): n for n in source.subscripts}
    named: dict[str, list[str]] = {}
    for (own, target), pairs in source.element_mappings.items():
        entries = []
        for element in source.subscripts[by_canonical[own]]:
            mapped = [e for e, back in pairs.items() if back == element]
            entry = mapped[0] if len(mapped) == 1 else _range_of(mapped, source)
            if entry is None:
                raise UnsupportedConstruct(
                    f"the mapping of '{own}' to '{target}' joins {', '.join(mapped)}, which are no "
                    "range of their own; declare one",
                    source.path,
                )
            entries.append(entry)
        named.setdefault(own, []).append(f"({by_canonical[target]}: {', '.join(entries)})")
    for name, elements in source.subscripts.items():
        plain = [
            target
            for target in source.mappings.get(name, ())
            if (canonical(name), canonical(target)) not in source.element_mappings
        ]
        mappings = [*plain, *named.get(canonical(name), ())]
        arrow = f"\n\t\t-> {', '.join(mappings)}" if mappings else ""
        inside = ", ".join(show(Ref(element)) for element in elements)
        yield f"{show(Ref(name))}:\n\t{inside}{arrow}\n\t~\n\t~\n\t|"


def _range_of(elements: Sequence[str], source: Source) -> str | None:
    return next((n for n, e in source.subscripts.items() if set(e) == set(elements)), None)


class _Writer:
    """Statements of a model, and the columns of its data table."""

    def __init__(self, source: Source, table: str) -> None:
        self.ranges = {canonical(n): e for n, e in source.subscripts.items()}
        self.source = source
        self.table = table
        self.columns: list[tuple[str, FloatArray, FloatArray]] = []

    def statements(self, equation: Equation) -> list[str]:
        expression = equation.expression
        if isinstance(expression, Tables):
            return [
                self._statement(replace(equation, subscripts=element, expression=table))
                for element, table in zip(self._elements(equation), expression.tables, strict=True)
            ]
        if isinstance(expression, Array) and expression.values.ndim > 2:
            return [
                statement
                for element, values in zip(
                    self._axis(equation.subscripts[0]), expression.values, strict=True
                )
                for statement in self.statements(
                    replace(
                        equation,
                        subscripts=(element, *equation.subscripts[1:]),
                        expression=Array(values),
                    )
                )
            ]
        if isinstance(expression, Data) and expression.values.ndim > 2:
            return [
                statement
                for place, element in enumerate(self._axis(equation.subscripts[0]))
                for statement in self.statements(
                    replace(
                        equation,
                        subscripts=(element, *equation.subscripts[1:]),
                        expression=replace(expression, values=expression.values[:, place]),
                    )
                )
            ]
        return [self._statement(equation)]

    def _axis(self, subscript: str) -> tuple[str, ...]:
        return self.ranges.get(canonical(subscript), (subscript,))

    def _elements(self, equation: Equation) -> Iterable[tuple[str, ...]]:
        return itertools.product(*map(self._axis, equation.subscripts))

    def _statement(self, equation: Equation) -> str:
        left = show(Ref(equation.name, equation.subscripts))
        for i, group in enumerate(equation.except_):
            left += f"{' :EXCEPT:' if i == 0 else ','} [{', '.join(group)}]"
        # PySD also returns the increment of a slider, if the file has one.
        ends = [_limit(limit) for limit in equation.limits]
        limits = f" [{','.join(ends)}]" if any(end != "?" for end in ends) else ""
        unit = (equation.unit + limits).strip()
        doc = equation.doc.replace("|", "/").replace("~", "-")
        return f"{self._definition(left, equation)}\n\t~\t{unit}\n\t~\t{doc}\n\t|"

    def _definition(self, left: str, equation: Equation) -> str:
        match equation.expression:
            case Table() as table:
                return f"{left}(\n\t{show(table)[1:-1]})"
            case Array(values):
                return f"{left} =\n\t{_numbers(values)}"
            case Data(method=method) as data:
                keyword = f":{method.upper()}:"
                if data.of is not None:
                    return f"{left}{keyword} :=\n\t{show(data.of)}"
                if not len(data.times):
                    return f"{left}{keyword}"
                return f"{left}{keyword} :=\n\t{self._call(equation, data)}"
            case expression:
                return f"{left} =\n\t{show(expression)}"

    def _call(self, equation: Equation, data: Data) -> str:
        """The call that reads a data variable from the table beside the model."""
        elements = list(self._elements(equation))
        first = len(self.columns) + 1
        for i, element in enumerate(elements):
            values = data.values if data.values.ndim == 1 else data.values[:, i]
            label = show(Ref(equation.name, element)) if element else equation.name
            self.columns.append((label, data.times, values))
        return f"GET DIRECT DATA('{self.table}', ',', 'A', '{_letters(first)}2')"

    def csv(self) -> str:
        """The table of all data variables, one column per element; the time comes first."""
        if not self.columns:
            return ""
        times = sorted({t for _, own, _ in self.columns for t in own.tolist()})
        lines = [",".join(["Time", *(_cell(label) for label, _, _ in self.columns)])]
        known = [dict(zip(t.tolist(), v.tolist(), strict=True)) for _, t, v in self.columns]
        for time in times:
            cells = [points.get(time) for points in known]
            row = ["" if c is None or math.isnan(c) else repr(c) for c in cells]
            lines.append(",".join([repr(time), *row]))
        return "\n".join(lines) + "\n"


def _numbers(values: FloatArray) -> str:
    if values.ndim < 2:
        return ", ".join(show(Number(float(v))) for v in np.atleast_1d(values))
    return " ".join(_numbers(row) + ";" for row in values)


def _limit(limit: float | None) -> str:
    return "?" if limit is None or math.isnan(limit) else show(Number(limit))


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text


def _letters(column: int) -> str:
    """Name of a column of a sheet, from 0: A, B, ..., Z, AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(ord("A") + rest) + name
    return name
