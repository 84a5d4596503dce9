"""The vocabulary of a model: its equations as plain values.

A model file becomes a `Source`: ordered equations, subscript ranges and the four control equations.
Each right-hand side is a tree of seven kinds of node (`Expr`). A reader builds the tree, `lower`
turns it into ordered equations, `units` checks it, and nothing modifies it. The tree keeps what the
modeller wrote (names, subscripts, the order of operands), so that a message can quote the wrong
piece of text: `show` prints a tree as Vensim text.

Names are kept as written and compared by `canonical`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})

XMILE = (".xmile", ".stmx", ".itmx", ".xml")
"""Endings of XMILE files."""

CONTROLS = ("initial time", "final time", "time step", "saveper")
"""Canonical names of the equations that control a run."""


@lru_cache(maxsize=1 << 19)  # two spellings of each name of 10^5 equations
def canonical(name: str) -> str:
    """Return the form in which two names are compared.

    Lower case, runs of blanks and underscores as one blank, outer quotes stripped.

    >>> canonical('"Belt_Size "')
    'belt size'
    """
    text = name.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"')
    return " ".join(text.replace("_", " ").split()).lower()


def split_label(label: str) -> tuple[str, str, str]:
    """Split ``Name[Element]`` as ``str.partition("[")`` does; quotes may hold a bracket too.

    >>> split_label('"Price [USD]"[North, 2]')
    ('"Price [USD]"', '[', 'North, 2]')
    """
    quoted = re.match(r'\s*"(?:[^"\\]|\\.)*"', label)
    at = label.find("[", quoted.end() if quoted else 0)
    return (label, "", "") if at < 0 else (label[:at], "[", label[at + 1 :])


@dataclass(frozen=True)
class Number:
    """A literal number. ``:NA:`` is NaN."""

    value: float


@dataclass(frozen=True, eq=False)
class Array:
    """A list of constants, as the right-hand side of a subscripted constant.

    Attributes
    ----------
    values : (elements,) or (rows, columns)
        One axis for each subscript of the equation that varies, in the order written.
    """

    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Array):
            return NotImplemented
        return np.array_equal(self.values, other.values, equal_nan=True)

    def __hash__(self) -> int:
        return hash((self.values.shape, self.values.tobytes()))


@dataclass(frozen=True)
class Ref:
    """A variable by name, with its subscripts as written.

    ``'Belt!'`` marks a range that the enclosing ``SUM``, ``VMIN``, ``VMAX`` or ``PROD`` runs over.
    """

    name: str
    subscripts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """An operator or a function applied to arguments.

    Operators: ``+ - * / ^`` (two arguments), ``negative`` (one), ``= <> < <= > >=``,
    ``:AND: :OR:`` (two), ``:NOT:`` (one). Functions have their Vensim name in upper case with
    single blanks: ``INTEG``, ``INITIAL``, ``IF THEN ELSE``, ``EXP``, ``SUM``, ...  ``RANK`` is
    XMILE's: the number, from 1, of the element at a position in ascending order.
    ``NON NEGATIVE INTEG`` is a stock of XMILE that stops at zero.
    ``SMOOTH`` and ``DELAY`` stand for their whole families, with the arguments (input, time,
    initial value, order), or (input, time, order) if the file gives no initial value and the
    input stands in its place; ``DELAY FIXED`` may have (input, time) alone.  ``DELAY N`` is a
    function of its own: with a variable delay time it is not the ``DELAY`` of that order.
    Two carry a table: ``WITH LOOKUP`` has the arguments (`Table`, input), and ``LOOKUP``, a call of
    a named lookup, has (`Ref` of the lookup, input).
    """

    function: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True)
class Table:
    """A graphical function: points joined by straight lines.

    Attributes
    ----------
    x, y : (points,)
        Inputs in ascending order, and the values there.
    kind
        Beyond the ends ``interpolate`` keeps the last value and ``extrapolate`` continues the
        last line. ``hold`` is a staircase: the value of the point at or before the input.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    kind: Literal["interpolate", "extrapolate", "hold"] = "interpolate"


@dataclass(frozen=True)
class Tables:
    """Graphical functions, one for each element of a subscripted lookup, in order."""

    tables: tuple[Table, ...]


@dataclass(frozen=True, eq=False)
class Data:
    """An exogenous series, as the right-hand side of a data variable.

    Attributes
    ----------
    times : (points,)  [time]
        In ascending order.  Empty if the model leaves the series to its user, and with ``of``.
    values : (points,) or (points, elements, ...)  [unit of the equation]
        After time, one axis for each subscript of the equation that varies.
    method
        Between two points: a straight line (``interpolate``), the next point (``look forward``),
        the last point (``hold backward``), or no value (``raw``).
    of
        The data variable that has the points, as in ``b :RAW: := a``.
    """

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    method: Literal["interpolate", "look forward", "hold backward", "raw"] = "interpolate"
    of: Ref | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", _frozen(self.times))
        object.__setattr__(self, "values", _frozen(self.values))
        if self.times.ndim != 1 or self.values.shape[:1] != self.times.shape:
            raise ValueError(
                f"the first axis of values must be time: times has the shape {self.times.shape}, "
                f"values has {self.values.shape}"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Data):
            return NotImplemented
        return (
            (self.method, self.of) == (other.method, other.of)
            and np.array_equal(self.times, other.times)
            and np.array_equal(self.values, other.values, equal_nan=True)
        )

    def __hash__(self) -> int:
        return hash((self.method, self.of, self.times.tobytes(), self.values.tobytes()))


Expr: TypeAlias = Number | Array | Ref | Call | Table | Tables | Data


@dataclass(frozen=True)
class Equation:
    """One equation of the file.

    A variable defined piece by piece (one equation for each element) is several equations of
    one name.

    Attributes
    ----------
    subscripts
        Of the left-hand side, as written: ranges or single elements.
    except_
        Subscripts of each ``:EXCEPT:`` clause.
    unit, doc
        Texts of the file, blanks trimmed; the unit without its limits.
    line
        Line of the left-hand side in the file, from 1.
    limits
        Smallest and largest sensible value, `None` if not given.
    """

    name: str
    subscripts: tuple[str, ...]
    except_: tuple[tuple[str, ...], ...]
    expression: Expr
    unit: str = ""
    doc: str = ""
    line: int = 0
    limits: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class Calendar:
    """The date of time 0, and what a unit of time is.

    Attributes
    ----------
    year, month, day : int
    unit : str
        year, quarter, month, week, day, hour, minute or second.
    """

    year: int
    month: int
    day: int
    unit: str

    def days(self) -> int:
        """Return the days since the first of January of the year 0, in the Gregorian calendar.

        >>> Calendar(2000, 1, 1, "day").days()
        730485
        """
        return date(self.year, self.month, self.day).toordinal() + 365


@dataclass(frozen=True)
class Source:
    """A model file as read.

    Attributes
    ----------
    path
        The file; `None` when the model was given as text.
    text_sha256
        Of the bytes of the file, for provenance.
    encoding
        In which the bytes were read.
    equations
        In the order of the file, without the controls.
    subscripts
        Name of each range, as written, and its elements in order. Ranges within ranges are
        already written out.
    mappings
        Name of a range and the names of the ranges it maps to, position by position.
    element_mappings
        Where a mapping names elements, as in ``A: a1, a2 -> (B: b2, b1)``: by the two ranges, the
        element of the first for each element of the second.
    controls
        The equations named in `CONTROLS`, by canonical name.
    method
        How the file asks to be integrated.
    tolerance
        Relative and absolute, of methods whose steps adapt; no file states it.
    groups
        Group of each variable, by canonical name, where the file puts it into one.
    group_docs
        Comment of each group that has one, by the name of the group.
    calendar
        Dates of the time, where the file has them.
    sketch
        Sketches and settings of a Vensim file, views of an XMILE file, as text.
    """

    path: Path | None
    text_sha256: str
    encoding: str
    equations: tuple[Equation, ...]
    subscripts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mappings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    controls: Mapping[str, Equation] = field(default_factory=dict)
    element_mappings: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    method: Literal["euler", "rk2", "rk4", "adaptive", "stiff"] = "euler"
    tolerance: tuple[float, float] = (1e-7, 1e-16)
    groups: Mapping[str, str] = field(default_factory=dict)
    group_docs: Mapping[str, str] = field(default_factory=dict)
    sketch: str = ""
    calendar: Calendar | None = None


def walk_expression(expression: Expr) -> Iterator[Expr]:
    """Yield the expression and everything in it, outermost first, left to right."""
    yield expression
    if isinstance(expression, Call):
        for argument in expression.arguments:
            yield from walk_expression(argument)
    elif isinstance(expression, Data) and expression.of is not None:
        yield expression.of


def references(expression: Expr) -> tuple[Ref, ...]:
    """Return every variable reference in the expression, left to right, repeats included."""
    return tuple(node for node in walk_expression(expression) if isinstance(node, Ref))


def show(expression: Expr) -> str:
    """Print an expression as Vensim text.

    Parentheses appear only where the text would be read otherwise, and always around a signed
    base: translators disagree about ``-2^2``.

    >>> show(Call("*", (Call("+", (Ref("a"), Number(1))), Ref("b", ("Belt",)))))
    '(a + 1)*b[Belt]'
    """
    match expression:
        case Number(value):
            return _show_number(value)
        case Array(values):
            return _show_array(values)
        case Ref(name, subscripts):
            inside = ", ".join(map(_show_subscript, subscripts))
            return _show_name(name) + (f"[{inside}]" if subscripts else "")
        case Table(x, y):
            points = ",".join(
                f"({_show_number(a)},{_show_number(b)})" for a, b in zip(x, y, strict=True)
            )
            return f"({points})"
        case Tables(tables):
            return f"{len(tables)} lookups"
        case Data(of=Ref() as points):
            return show(points)
        case Data(times):
            return f"data of {times.size} points"
        case Call(function, arguments):
            return _show_call(function, arguments)
        case _:
            assert_never(expression)


# Binding strength of each operator; functions and names bind most strongly.
_STRENGTH = (
    {":OR:": 1, ":AND:": 2, ":NOT:": 3}
    | dict.fromkeys(COMPARISONS, 4)
    | {"+": 5, "-": 5, "*": 6, "/": 6, "negative": 7, "^": 8}
)
_LONGEST_LIST = 8
_NUMBERED_RANGE = re.compile(r"\w+\s*:\s*\w+")
"""As XMILE writes ``x[1:3]``."""


def _show_call(function: str, arguments: tuple[Expr, ...]) -> str:
    match function, arguments:
        case "negative", (operand,):
            return "-" + _operand(operand, _STRENGTH["^"] + 1)
        case ":NOT:", (operand,):
            return ":NOT: " + _operand(operand, _STRENGTH[":NOT:"] + 1)
        case "^", (base, exponent):
            return f"{_operand(base, 9)}^{_operand(exponent, 9)}"
        case "WITH LOOKUP", (table, argument):
            return f"WITH LOOKUP({show(argument)}, {show(table)})"
        case "LOOKUP", (Ref() as lookup, argument):
            return f"{show(lookup)}({show(argument)})"
        case (("SMOOTH" | "DELAY" | "DELAY N"), (_, _, _) | (_, _, _, _)):
            return _show_delay(function, arguments)
        case operator, (left, right) if operator in _STRENGTH:
            strength = _STRENGTH[operator]
            # Comparisons do not chain; everything else associates to the left.
            before = _operand(left, strength + (operator in COMPARISONS))
            blank = "" if operator in "*/" else " "
            return f"{before}{blank}{operator}{blank}{_operand(right, strength + 1)}"
        case _:
            return f"{function}({', '.join(show(argument) for argument in arguments)})"


def _show_delay(family: str, arguments: tuple[Expr, ...]) -> str:
    """Show SMOOTH or DELAY by the name of the file: SMOOTH, SMOOTH3I, DELAY1, DELAY N, ..."""
    *shown, order = arguments
    match order:
        case Number(1.0 | 3.0 as number) if family != "DELAY N":
            digit = "" if number == 1 and family == "SMOOTH" else f"{number:g}"
            name = f"{family}{digit}" + "I" * (len(shown) - 2)
        case _:
            name = f"{family.removesuffix(' N')} N"
            shown = [*shown, *shown[:1], order] if len(shown) == 2 else [*shown, order]
    return f"{name}({', '.join(show(argument) for argument in shown)})"


def _operand(expression: Expr, strength: int) -> str:
    """Show an operand, in parentheses if it binds less than `strength`."""
    text = show(expression)
    match expression:
        case Call(function) if _STRENGTH.get(function, strength) < strength:
            return f"({text})"
        case Number(value) if math.copysign(1.0, value) < 0:
            return f"({text})"
        case _:
            return text


def _show_number(value: float) -> str:
    return ":NA:" if math.isnan(value) else repr(float(value)).removesuffix(".0")


def _show_array(values: NDArray[np.float64]) -> str:
    if values.ndim < 2:
        row = [_show_number(float(value)) for value in np.atleast_1d(values)]
        if len(row) > _LONGEST_LIST:
            row = [*row[: _LONGEST_LIST - 1], "...", row[-1]]
        return ", ".join(row)
    return " ".join(_show_array(row) + ";" for row in values)


def _show_name(name: str) -> str:
    """Quote a name that Vensim would not read without quotes."""
    plain = re.fullmatch(r"[^\W\d_][\w\s$']*", name)
    return name if plain or name.startswith('"') else '"' + name.replace('"', '\\"') + '"'


def _show_subscript(subscript: str) -> str:
    if subscript == "*" or _NUMBERED_RANGE.fullmatch(subscript):
        return subscript
    marked = subscript.endswith("!")
    return _show_name(subscript[:-1] if marked else subscript) + "!" * marked


def _frozen(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a read-only copy: a value does not change after it was made."""
    # + 0.0 leaves no -0.0, for equal arrays must hash alike; asarray keeps a lone number an array.
    copy = np.asarray(np.array(values, dtype=np.float64) + 0.0)
    copy.flags.writeable = False
    return copy
