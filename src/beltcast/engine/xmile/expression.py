"""The equations of XMILE: text to a tree, by recursive descent.

The grammar is that of OASIS XMILE 1.0, section 3.3: from the strongest, ``^`` (from the right),
the signs and ``NOT``, ``* / MOD //``, ``+ -``, comparisons, ``= <>``, ``AND``, ``OR``, and
``IF .. THEN .. ELSE``.  A sign binds less than a power, so that ``-2^2`` is -4.  Comments stand in
braces.  This module handles the text only: the tree holds names and functions as written, and
`beltcast.engine.xmile.names` resolves them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from beltcast.engine.lower.limits import LONGEST_EQUATION, LONGEST_NAME
from beltcast.engine.syntax import Array, Call, Expr, Number, Ref, canonical
from beltcast.errors import ModelFileError

ELEMENT = "XELEMENT"
"""Function of a reference with a computed subscript: the reference, then the computed one."""

COMPUTED = "?"
"""Placeholder in the reference for the computed subscript."""

DEEPEST = 60
"""Deepest nesting of brackets: Python allows a thousand calls, and each takes about eight."""


def parse_expression(text: str, fail: Callable[[str, int], ModelFileError]) -> Expr:
    """Parse the right-hand side of an equation.

    Parameters
    ----------
    text : str
        As between ``<eqn>`` and ``</eqn>``.
    fail : callable
        Makes the error of a sentence and an offset in the text, from 0.

    Returns
    -------
    Expr
        Numbers, references and calls; a list such as ``1, 2; 3, 4`` is an `Array`.  Functions are
        in upper case with single blanks, known or not; operators as in
        `beltcast.engine.syntax.Call`, ``MODULO`` for MOD and ``SAFEDIV`` for ``//``.

    Raises
    ------
    ModelFileError
        The error that `fail` makes.

    Examples
    --------
    >>> from beltcast.engine.syntax import show
    >>> show(parse_expression("-rate ^ 2 {growth} * IF a > 1 THEN b ELSE 0", fail=None))
    '-(rate^2)*IF THEN ELSE(a > 1, b, 0)'
    """
    if len(text) > LONGEST_EQUATION:
        raise fail(
            f"the equation has {len(text)} characters, and at most {LONGEST_EQUATION} are read; "
            "split it",
            0,
        )
    parser = _Parser(_tokens(text, fail), fail)
    values = _constants(parser.tokens)
    return parser.whole() if values is None else values


def without_comments(text: str) -> str:
    """Return the text with a blank for each comment.

    >>> without_comments("1 {one} + 2")
    '1   + 2'
    """
    return re.sub(r"\{[^}]*\}?", " ", text)


def plain_name(text: str) -> str:
    r"""Return a name without quotes and escapes, with single blanks.

    >>> plain_name('"birth\\nrate"')
    'birth rate'
    """
    name = re.sub(r"\\([n\"\\])", lambda m: " " if m.group(1) == "n" else m.group(1), text.strip())
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1]
    return " ".join(name.replace("\N{NO-BREAK SPACE}", " ").split())


# --- tokens -----------------------------------------------------------------------------------

_Kind = Literal["number", "name", "quoted", "sign", "end"]


@dataclass(frozen=True)
class _Token:
    kind: _Kind
    text: str
    at: int


_PART = r"""(?:"(?:[^"\\]|\\.)*"|[\w$][\w$']*)"""
"""A name, or the part of one between two dots: a module or a variable."""

_WORD = re.compile(
    r"(?P<skip>\s+|\{[^}]*\})"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![^\W\d_]))"
    rf"|(?P<name>\.?{_PART}(?:\.{_PART})*)"
    r"|(?P<sign><>|<=|>=|//|[-+*/^()\[\],;:=<>])"
)


def _tokens(text: str, fail: Callable[[str, int], ModelFileError]) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            if text[at] == "{":
                raise fail("a comment begins and never ends; close it with '}'", at)
            if text[at] == '"':
                raise fail("a quoted name begins and never ends; close it with '\"'", at)
            raise fail(f"'{text[at]}' has no meaning; quote names with special characters", at)
        if match.lastgroup != "skip":
            if len(match.group()) > LONGEST_NAME:
                raise fail(
                    f"a word has {len(match.group())} characters, and at most {LONGEST_NAME} are "
                    "read; shorten it",
                    at,
                )
            quoted = match.group().lstrip(".").startswith('"')
            # The groups of the pattern have the names of the kinds.
            kind: _Kind = "quoted" if quoted else match.lastgroup  # type: ignore[assignment]
            found.append(_Token(kind, match.group(), at))
        at = match.end()
    found.append(_Token("end", "", len(text)))
    return found


def _constants(tokens: list[_Token]) -> Array | None:
    """A list of numbers: rows end in ';', columns in ','."""
    if not any(t.kind == "sign" and t.text in ",;" for t in tokens):
        return None
    text = " ".join(t.text for t in tokens).strip().strip(";")
    rows = [[cell.replace(" ", "") for cell in row.split(",")] for row in text.split(";")]
    try:
        numbers = np.array([[float(cell) for cell in row] for row in rows])
    except ValueError:  # a function of several arguments, or rows of several lengths
        return None
    return Array(np.squeeze(numbers))


# --- the tree ---------------------------------------------------------------------------------

_BINARY: Mapping[str, tuple[int, str]] = {
    "or": (1, ":OR:"),
    "and": (2, ":AND:"),
    **{sign: (3, sign) for sign in ("=", "<>")},
    **{sign: (4, sign) for sign in ("<", "<=", ">", ">=")},
    **{sign: (5, sign) for sign in "+-"},
    **{sign: (6, sign) for sign in "*/"},
    "mod": (6, "MODULO"),
    "//": (6, "SAFEDIV"),
}
"""Strength and function of each operator that is read from the left."""
_RESERVED = frozenset({"and", "or", "not", "mod", "if", "then", "else"})


_Item = TypeVar("_Item")


class _Parser:
    """The tokens of one equation, and the position of the next one."""

    def __init__(self, tokens: list[_Token], fail: Callable[[str, int], ModelFileError]) -> None:
        self.tokens = tokens
        self.fail = fail
        self.place = 0
        self.depth = 0

    def whole(self) -> Expr:
        if self.peek().kind == "end":
            raise self.fail("there is no equation; write one", 0)
        result = self.expression(0)
        if self.peek().kind != "end":
            raise self.unexpected("an operator or the end")
        return result

    def peek(self) -> _Token:
        return self.tokens[self.place]

    @property
    def word(self) -> str:
        """The next token in lower case, empty for a name in quotes."""
        return self.peek().text.lower() if self.peek().kind in ("name", "sign") else ""

    def take(self) -> _Token:
        token = self.peek()
        self.place += token.kind != "end"
        return token

    def need(self, word: str) -> None:
        if self.word != word:
            raise self.unexpected(f"'{word.upper()}'")
        self.take()

    def unexpected(self, wanted: str) -> ModelFileError:
        token = self.peek()
        found = f"'{token.text}'" if token.text else "the end of the equation"
        return self.fail(f"expected {wanted} and found {found}", token.at)

    def expression(self, strength: int) -> Expr:
        """Operators at least as strong as `strength`, from the left."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fail(
                f"brackets are nested more than {DEEPEST} deep; split the equation", self.peek().at
            )
        left = self.signed()
        while self.word in _BINARY and _BINARY[self.word][0] >= strength:
            own, function = _BINARY[self.take().text.lower()]
            left = Call(function, (left, self.expression(own + 1)))
        self.depth -= 1
        return left

    def signed(self) -> Expr:
        """Signs and NOT, which bind less than a power."""
        signs = []
        while self.word in ("+", "-", "not"):
            signs.append(self.take().text.lower())
        if len(signs) > DEEPEST:
            raise self.fail(f"more than {DEEPEST} signs stand together; leave some", self.peek().at)
        result = self.power()
        for sign in reversed(signs):
            if sign == "not":
                result = Call(":NOT:", (result,))
            elif sign == "-" and isinstance(result, Number):
                result = Number(-result.value)
            elif sign == "-":
                result = Call("negative", (result,))
        return result

    def power(self) -> Expr:
        base = self.operand()
        if self.word != "^":
            return base
        self.take()
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fail(f"more than {DEEPEST} powers are nested; split it", self.peek().at)
        exponent = self.signed()  # so that a^-b and a^b^c are read, the latter from the right
        self.depth -= 1
        return Call("^", (base, exponent))

    def operand(self) -> Expr:
        token = self.peek()
        if self.word == "if":
            return self.choice()
        if self.word == "(":
            self.take()
            inside = self.expression(0)
            self.need(")")
            return inside
        if token.kind == "number":
            self.take()
            return Number(float(token.text))
        if token.kind in ("name", "quoted") and self.word not in _RESERVED:
            self.take()
            return self.named(token)
        raise self.unexpected("a number, a name or '('")

    def choice(self) -> Expr:
        self.take()
        condition = self.expression(0)
        self.need("then")
        yes = self.expression(0)
        self.need("else")
        return Call("IF THEN ELSE", (condition, yes, self.expression(0)))

    def named(self, token: _Token) -> Expr:
        if self.word == "(":
            self.take()
            arguments = self.listed(")", lambda: self.expression(0))
            return Call(canonical(token.text).upper(), arguments)
        if self.word == "[":
            self.take()
            subscripts = self.listed("]", self.subscript)
            if not subscripts:
                raise self.fail("a pair of '[]' is empty; name an element", token.at)
            computed = [s for s in subscripts if not isinstance(s, str)]
            named = tuple(s if isinstance(s, str) else COMPUTED for s in subscripts)
            ref = Ref(token.text, named)
            return Call(ELEMENT, (ref, *computed)) if computed else ref
        return Ref(token.text)

    def listed(self, end: str, item: Callable[[], _Item]) -> tuple[_Item, ...]:
        items: list[_Item] = []
        while self.word != end:
            if items:
                self.need(",")
            items.append(item())
        self.take()
        return tuple(items)

    def subscript(self) -> str | Expr:
        """An element, a dimension, '*' or 'first:last'; else an expression that is a number."""
        place = self.place
        if self.word == "*" or self.peek().kind in ("name", "quoted", "number"):
            text = self.subscript_word()
            if self.word == ":":
                self.take()
                text += ":" + self.subscript_word()
            if self.word in (",", "]"):
                return text
            self.place = place
        return self.expression(0)

    def subscript_word(self) -> str:
        token = self.take()
        if token.text == "*" or token.kind in ("name", "quoted", "number"):
            return plain_name(token.text)
        self.place -= 1
        raise self.unexpected("an element, a dimension or '*'")
