"""Expressions as PySD's translator gives them, read ten times as fast.

PySD's grammar takes 1 ms an equation.  `plain_expression` reads the plain ones, nearly all, to the
same structures: numbers, references, operators, brackets and calls.  It returns None for any other
(strings, inline lookups, arrays, ``:NA:``) and for whatever is not an expression, so that PySD
reads it or says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pysd.translators.vensim.vensim_structures import structures

_NAME = r"""[^\W\d](?:[\w'$\s]*[\w'$])?|"(?:\\"|[^"])*\""""
_SUBSCRIPT = rf"\s*(?:{_NAME})\s*(?:!\s*)?"
_TOKEN = re.compile(
    rf"""\s*(?:
    (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.'$]))
    |(?P<name>{_NAME})\s*(?P<subscripts>\[(?:{_SUBSCRIPT},)*{_SUBSCRIPT}\])?
    |(?P<sign><>|<=|>=|[-+*/^()=<>,]|:AND:|:OR:|:NOT:)
    )\s*""",
    re.VERBOSE,
)
_COMPARED = frozenset(("=", "<>", "<=", "<", ">=", ">"))
_JOINED = frozenset((":AND:", ":OR:"))
_APART = frozenset(("WITH LOOKUP", "TABBED ARRAY"))


class _NotPlainError(Exception):
    pass


def plain_expression(text: str) -> Any:
    """Return PySD's structure of an expression, or None where PySD itself has to read it.

    >>> plain_expression("2")
    2
    >>> plain_expression("-x^2").operators
    ['negative']
    >>> plain_expression("WITH LOOKUP(x, ((0,0),(1,1)))") is None
    True
    """
    try:
        return _Reader(text).whole()
    except (_NotPlainError, TypeError, ValueError, RecursionError):
        return None


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, str | None]] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise _NotPlainError
            kind = match.lastgroup or ""
            if kind == "subscripts":
                kind = "name"
            self.tokens.append((kind, match[kind], match["subscripts"]))
            at = match.end()
        self.tokens.append(("end", "", None))
        self.at = 0

    def whole(self) -> Any:
        if self.tokens[0][1] in ("", ","):
            raise _NotPlainError
        if len(self.tokens) > 3 and not any(kind == "name" for kind, _, _ in self.tokens):
            raise _NotPlainError  # an array, or a sum that PySD takes for one
        found = self.logic()
        if self.tokens[self.at][0] != "end":
            raise _NotPlainError
        return found

    def taken(self, signs: frozenset[str] | tuple[str, ...]) -> str:
        kind, text, _ = self.tokens[self.at]
        if kind == "sign" and text in signs:
            self.at += 1
            return text
        return ""

    def chain(self, kind: str, below: Callable[[], Any], signs: Any) -> Any:
        operands, operators = [below()], []
        while sign := self.taken(signs):
            operators.append(sign)
            operands.append(below())
        return structures[kind](operators, tuple(operands)) if operators else operands[0]

    def logic(self) -> Any:
        return self.chain("logic", self.negated, _JOINED)

    def negated(self) -> Any:
        if self.taken((":NOT:",)):
            return structures["logic"]([":NOT:"], (self.compared(),))
        return self.compared()

    def compared(self) -> Any:
        left = self.sum()
        if sign := self.taken(_COMPARED):
            return structures["logic"]([sign], (left, self.sum()))
        return left

    def sum(self) -> Any:
        return self.chain("arithmetic", self.product, ("+", "-"))

    def product(self) -> Any:
        return self.chain("arithmetic", self.power, ("*", "/"))

    def power(self) -> Any:
        arithmetic = structures["arithmetic"]
        operands = [self.signed()]
        if self.tokens[self.at][1] != "^":
            value, negative = operands[0]
            return arithmetic(["negative"], (value,)) if negative else value
        while self.taken(("^",)):
            operands.append(self.signed())
        if not any(negative for _, negative in operands):
            values = tuple(value for value, _ in operands)
            return arithmetic(["^"] * (len(values) - 1), values)
        result: Any = None
        for value, negative in reversed(operands):
            result = value if result is None else arithmetic(["^"], (value, result))
            if negative:
                result = arithmetic(["negative"], (result,))
        return result

    def signed(self) -> tuple[Any, bool]:
        """A value, and whether PySD leaves its sign to the power around it."""
        sign = self.taken(("+", "-"))
        if sign and self.tokens[self.at][1] in ("+", "-"):
            raise _NotPlainError  # '--3' is for PySD's grammar
        value = self.value()
        if sign == "-" and isinstance(value, (int, float)):
            return -value, False
        return value, sign == "-"

    def value(self) -> Any:
        kind, text, subscripts = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return float(text) if set(text) & set(".eE") else int(text)
        if kind == "name":
            own = self.reference(text, subscripts)
            if self.taken(("(",)):
                return self.call(own)
            return own
        if kind == "sign" and text == "(":
            inside = self.logic()
            if not self.taken((")",)):
                raise _NotPlainError
            return inside
        raise _NotPlainError

    def reference(self, text: str, subscripts: str | None) -> Any:
        inside = None
        if subscripts is not None:
            inside = structures["subscripts_ref"](
                [re.sub(r"\s*!", "!", s.strip()) for s in subscripts[1:-1].split(",")]
            )
        return structures["reference"](text.strip().lower().replace(" ", "_"), inside)

    def call(self, function: Any) -> Any:
        if " ".join(function.reference.upper().replace("_", " ").split()) in _APART:
            raise _NotPlainError
        arguments = [self.logic()]
        while self.taken((",",)):
            arguments.append(self.logic())
        if not self.taken((")",)):
            raise _NotPlainError
        if function.reference in structures:
            return structures[function.reference](*arguments)
        return structures["call"](function, tuple(arguments))
