"""Write an expression as XMILE text, the inverse of `beltcast.engine.xmile.expression`.

Parentheses appear where the grammar of XMILE needs them.  The engine's functions, which are
Vensim's, are written as XMILE's if it has them; functions that XMILE lacks and that translators of
Vensim models leave as they are (ZIDZ, SAMPLE IF TRUE, ...) stay.  Everything else is refused by
`CannotSay`, which the caller turns into an error with a name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from beltcast.engine.language.functions import INPUTS, LANGUAGE
from beltcast.engine.language.stateful import WITH_MEMORY
from beltcast.engine.syntax import Array, Call, Data, Expr, Number, Ref, Table, Tables, canonical


class CannotSay(Exception):
    """XMILE cannot express something: what, and what to do."""


_STRENGTH = (
    {":OR:": 1, ":AND:": 2}
    | dict.fromkeys(("=", "<>"), 3)
    | dict.fromkeys(("<", "<=", ">", ">="), 4)
    | {"+": 5, "-": 5, "*": 6, "/": 6}
)
_SIGN = {":OR:": "OR", ":AND:": "AND"}
_OPERAND = 9
"""Binding strength of a name or a bracket."""

_RUN = {
    "time": "TIME",
    "time step": "DT",
    "initial time": "STARTTIME",
    "final time": "STOPTIME",
}
_RESERVED = {"and", "or", "not", "mod", "if", "then", "else"}
_RENAMED = {
    "INITIAL": "INIT",
    "FORECAST": "FORCST",
    "DELAY FIXED": "DELAY",
    "RANDOM UNIFORM": "RANDOM",
    "GAMMA LN": "GAMMALN",
    "XCONVEYOR": "DELAY",
    "XINT": "INT",
    "XSAFEDIV": "SAFEDIV",
    "SUM": "SUM",
    "PROD": "PROD",
    "VMIN": "MIN",
    "VMAX": "MAX",
    "RANK": "RANK",
}
_KEPT = {
    name
    for name in (*LANGUAGE, *INPUTS, *WITH_MEMORY)
    if name[0].isalpha() and (name[0] != "X" or name == "XIDZ")
} - {"INTEG", "PULSE", "negative"} | {"SAMPLE IF TRUE"}


def print_expression(expression: Expr) -> str:
    """Print an expression.

    Raises
    ------
    CannotSay

    Examples
    --------
    >>> two = Number(2.0)
    >>> print_expression(Call("^", (Call("negative", (Ref("birth rate"),)), two)))
    '(-birth_rate)^2'
    """
    return _text(expression, 0)


def identifier(name: str) -> str:
    """Return a name as an equation writes it.

    >>> identifier("birth rate"), identifier("share (%)")
    ('birth_rate', '"share (%)"')
    """
    text = plain(name)
    joined = text.replace(" ", "_")
    if re.fullmatch(r"[^\W\d][\w$']*", joined) and joined.lower() not in _RESERVED:
        return joined
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def plain(name: str) -> str:
    """Return a name without the quotes that Vensim puts around it."""
    quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1].replace('\\"', '"') if quoted else name


def _text(expression: Expr, strength: int) -> str:
    match expression:
        case Call("XDISCRETE", (initial,)):  # as that of a continuous one, or refused when it runs
            return _text(initial, strength)
        case Number(value):
            return _number(value, strength)
        case Ref():
            return _reference(expression)
        case Array() | Table() | Tables() | Data():
            raise CannotSay("a list of numbers inside an expression", "give it a name of its own")
        case Call(function, arguments):
            own, text = _call(function, arguments)
            return text if own >= strength else f"({text})"


def _number(value: float, strength: int) -> str:
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        text = "INF" if value > 0 else "-INF"
    else:
        text = repr(float(value)).removesuffix(".0")
    return f"({text})" if text.startswith("-") and strength >= _OPERAND else text


def _reference(ref: Ref) -> str:
    name = canonical(ref.name)
    if not ref.subscripts and name in _RUN:
        return _RUN[name]
    inside = ("*" if s.endswith("!") else identifier(s) for s in ref.subscripts)
    return identifier(ref.name) + (f"[{', '.join(inside)}]" if ref.subscripts else "")


def _call(function: str, arguments: tuple[Expr, ...]) -> tuple[int, str]:
    """Binding strength of the text of a call, and the text."""
    match function, arguments:
        case "negative", (operand,):
            return 7, "-" + _text(operand, 7)
        case ":NOT:", (operand,):
            return 7, "NOT " + _text(operand, 7)
        case (("^" | "POWER"), (base, exponent)):
            return 8, f"{_text(base, _OPERAND)}^{_text(exponent, 7)}"
        case operator, (left, right) if operator in _STRENGTH:
            own = _STRENGTH[operator]
            sign = _SIGN.get(operator, operator)
            blank = "" if operator in "*/" else " "
            return own, f"{_text(left, own)}{blank}{sign}{blank}{_text(right, own + 1)}"
        case "IF THEN ELSE", (_, Call("XHISTORY", (value, lag, _)), _):  # HISTORY as it was read
            return _OPERAND, f"HISTORY({_text(value, 0)}, TIME - {_text(lag, 6)})"
        case "IF THEN ELSE", (condition, yes, no):
            parts = (_text(part, 0) for part in (condition, yes, no))
            return _OPERAND, "(IF {} THEN {} ELSE {})".format(*parts)
        case _:
            name, given = _function(function, arguments)
            return _OPERAND, f"{name}({', '.join(_text(a, 0) for a in given)})"


def _function(function: str, arguments: tuple[Expr, ...]) -> tuple[str, tuple[Expr, ...]]:
    match function, arguments:
        case "LOOKUP", (Ref(subscripts=()) as lookup, at):
            return identifier(lookup.name), (at,)
        case "LOOKUP", _:
            return "LOOKUP", arguments
        case (("SMOOTH" | "DELAY" | "DELAY N"), _):
            return _chain(function, arguments)
        case "RANDOM NORMAL", (least, most, mean, deviation, seed):
            return "NORMAL", (mean, deviation, seed, least, most)
        case "XPULSE", (start, size):
            return "PULSE", (size, start)
        case "XPULSE TRAIN", (start, interval, size):
            return "PULSE", (size, start, interval)
        case "XBELT" | "XBUDGET" | "XQUEUE", _:
            raise CannotSay("a conveyor or a queue as this prints it", "keep the XMILE file")
        case "XELEMENT", _:
            raise CannotSay("computed subscript that this writes", "write the elements out")
        case "PULSE", _:
            raise CannotSay(
                "PULSE of a start and a width (XMILE's PULSE gives a quantity)",
                "write it as a difference of two STEP",
            )
        case _ if function in _RENAMED:
            return _RENAMED[function], arguments
        case _ if function in _KEPT:
            return function.replace(" ", "_"), arguments
        case _:
            raise CannotSay(function, "write it out")


def _chain(family: str, arguments: tuple[Expr, ...]) -> tuple[str, tuple[Expr, ...]]:
    """SMTH1, SMTH3, SMTHN and the delays; the order comes last in the engine."""
    *level, order = arguments
    names: Mapping[str, str] = {"SMOOTH": "SMTH", "DELAY": "DELAY", "DELAY N": "DELAYN"}
    if family != "DELAY N" and order in (Number(1.0), Number(3.0)):
        assert isinstance(order, Number)
        return f"{names[family]}{order.value:g}", tuple(level)
    if family == "DELAY":
        raise CannotSay("a material delay of an order other than 1 and 3", "write DELAY N")
    value, time, *initial = level
    return f"{names[family].removesuffix('N')}N", (value, time, order, *initial)
