"""Vensim text rewritten for PySD's grammar: the same model, in plain form.

Vensim reads more than PySD's grammar does.  `normal_text` rewrites the differences before parsing,
and changes nothing else.  `REWRITES` lists every rewrite with its reason.  Each statement
keeps the line of the file on which it begins, so that messages can still name it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from beltcast.engine.syntax import canonical
from beltcast.errors import ModelFileError

REWRITES: tuple[tuple[str, str, str], ...] = (
    (
        "{comment}, also nested, in the equation and in its unit",
        "blanks",
        "Vensim's help 22030; the grammar knows no comments but the first {UTF-8}",
    ),
    (
        "a backslash at the end of a line",
        "a blank",
        "lines are joined by it anywhere, also inside mappings of subscripts",
    ),
    (
        "**** .Group **** ~ text |",
        "nothing",
        "a group names a view; before a macro it hides the macro from the grammar",
    ),
    (
        ":MACRO: ... :END OF MACRO: anywhere",
        "the same, before all equations",
        "the grammar takes whatever stands before the last macro for equations",
    ),
    (
        ":MACRO: M(a: lo), and x = M(c: low)",
        ":MACRO: M(a, lo), and x = M(c, low)",
        "further outputs follow the colon; `beltcast.engine.vensim.macros` makes them variables",
    ),
    (
        "x = DELAYP(a, time: pipeline)",
        "a macro of that name",
        "the help gives its equations, and the grammar knows no second output",
    ),
    (
        "x = A FUNCTION OF(a, b)",
        "nothing, where x has an equation as well",
        "Vensim ignores the arrows of the sketch once there is an equation; alone, it is refused",
    ),
    (
        "x ~ unit ~ text |",
        "x :INTERPOLATE: ~ unit ~ text |",
        "a data variable without keyword is interpolated (Vensim's help, 'Data equations')",
    ),
    (
        "Name :IS: 'text', and Name as an argument of GET ...",
        "nothing, and 'text' in its place",
        "a string constant names a file for many equations",
    ),
    (
        "?name in the first argument of GET ..., and 30:?name=file in the settings",
        "the file",
        "an alias that the settings of the file explain",
    ),
    (
        "x = 1 ~ unit |",
        "x = 1 ~ unit ~ |",
        "the comment may be left out; the grammar drops such an equation without a word",
    ),
    (
        ":and:, :except:, :na:",
        ":AND:, :EXCEPT:, :NA:",
        "keywords may be written in small letters, which the grammar knows of some only",
    ),
    (
        "f(1,2,3, 10,20,30)",
        "f((1,10),(2,20),(3,30))",
        "the older way to write a lookup: all x, then all y",
    ),
    (
        "f((1,0),(1,0),(3,5),(2,4))",
        "f((1,0),(2,4),(3,5))",
        "a point written twice adds nothing, and points are joined in order of x; of two points at "
        "one x the first is its value, and the second where the line goes on",
    ),
    (
        "people’s wish, α→β",
        '"people’s wish", "α→β"',
        "the grammar knows letters only, and a name may have any other sign outside ASCII",
    ),
    (
        "x[R] = - 1, 2",
        "x[R] = -1, 2",
        "the grammar takes a list of numbers with blanks after a sign and cannot read the number",
    ),
    (
        "(-2)^x",
        "(0-2)^x",
        "the grammar drops the brackets, and -2^x is -(2^x)",
    ),
    (
        "~ unit [text]",
        "~ unit",
        "only numbers and ? are limits; the grammar fails on others",
    ),
)
"""What is written, what the parser gets, and why."""


@dataclass(frozen=True)
class Statement:
    """One statement of the file, up to its '|'.

    Attributes
    ----------
    fields : tuple of str
        Equation, unit, comment and what follows, between the '~'.
    line : int
        Of the first word, from 1.
    """

    fields: tuple[str, ...]
    line: int

    @property
    def equation(self) -> str:
        """The first field."""
        return self.fields[0]

    @property
    def name(self) -> str:
        """Canonical name on the left; empty if there is none."""
        match = _NAME.match(self.equation)
        return canonical(match.group(1)) if match else ""


@dataclass(frozen=True)
class NormalText:
    """Text for the parser, and its statements.

    Attributes
    ----------
    text : str
        Macros first, then the equations.
    statements : tuple of Statement
        Those of the model, in order.
    macros : tuple of tuple of Statement
        Those of each macro, in order.
    points : tuple of tuple of (float, float)
        Points of long lookups, which the text has by number: the parser takes 0.2 ms a point.
    outputs : mapping of str to int
        How many further outputs each macro has that has any, by canonical name.
    named : mapping of str to str
        Variables that calls of these macros make: their names as written, by canonical name.
    """

    text: str
    statements: tuple[Statement, ...]
    macros: tuple[tuple[Statement, ...], ...] = field(default=())
    points: tuple[tuple[tuple[float, float], ...], ...] = ()
    outputs: Mapping[str, int] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> Mapping[str, list[int]]:
        """Return the lines on which each name is defined, in order."""
        found: dict[str, list[int]] = {}
        for statement in self.statements:
            found.setdefault(statement.name, []).append(statement.line)
        return found


def normal_text(text: str, path: Path, *, hold_points: bool = False) -> NormalText:
    """Rewrite a model for the parser.

    Parameters
    ----------
    text : str
        Of the whole file; the sketch and the settings are left out.
    path : Path
        For messages.
    hold_points : bool
        Leave the points of long lookups out of the text, for `held_points` to find.

    Raises
    ------
    ModelFileError
        A comment that never ends, or an equation that is missing.
    """
    plain = blank_comments(before_the_sketch(text), path)
    plain = re.sub(r"\\[ \t]*(?=\r?\n)", " ", plain)
    macros, rest = _cut_macros(plain)
    if re.search(r"\bDELAYP\s*\(", plain, re.IGNORECASE) and not _defines(macros, "delayp"):
        macros.append(_DELAYP)
    calls = _OutputCalls(macros)
    macros, rest = [(calls.heading(h), calls.text(b), n) for h, b, n in macros], calls.text(rest)
    strings = dict(_ALIAS.findall(text))
    statements = [s for s in _statements(rest, 1) if not _is_string(s, strings)]
    defined = {s.name for s in statements if not _is_unwritten(s.equation)}
    held: list[tuple[tuple[float, float], ...]] | None = [] if hold_points else None
    kept = [_rewritten(s, strings, held) for s in _written(statements, defined, path)]
    inside = [
        (heading, [_rewritten(s, strings, held) for s in _statements(body, line)])
        for heading, body, line in macros
    ]
    pieces = ["{UTF-8}"]
    pieces += [f":MACRO: {h}\n{_joined(body)}\n:END OF MACRO:" for h, body in inside]
    pieces.append(_joined(kept))
    bodies = tuple(tuple(body) for _, body in inside)
    return NormalText(
        "\n".join(pieces), tuple(kept), bodies, tuple(held or ()), calls.outputs, calls.named
    )


_HELD = 9.87654321e250
_LONG = 8


def held_points(
    x: Sequence[float], y: Sequence[float], points: Sequence[tuple[tuple[float, float], ...]]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the points of a lookup: those given, or those that the text holds by number.

    >>> held_points([0, 1], [2, 3], ())
    ((0.0, 1.0), (2.0, 3.0))
    """
    if len(x) == 2 and x[0] == _HELD and 0 <= y[0] < len(points):
        first, second = zip(*points[int(y[0])], strict=True)
        return first, second
    return tuple(map(float, x)), tuple(map(float, y))


def before_the_sketch(text: str) -> str:
    """Return the text before the sketch."""
    return re.split(r"\\{2,3}---///", text, maxsplit=1)[0]


_NAME = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^=\[(:~<]+)')
_ALIAS = re.compile(r"^30:(\?[^=\r\n]+)=([^\r\n]+?)[ \t]*\r?$", re.MULTILINE)
_MARK = re.compile(r'[{}"~|]')


def blank_comments(text: str, path: Path | None = None) -> str:
    """Blank out the comments in equations and units, line by line.

    Parameters
    ----------
    text : str
    path : Path, optional
        For the message about a comment that never ends; without it, such a comment runs to the
        end of the text.

    Examples
    --------
    >>> blank_comments("x = 3 {of {a} kind} ~ kg ~ kept {here} |")
    'x = 3               ~ kg ~ kept {here} |'
    """
    out: list[str] = []
    at = fields = depth = opened = 0
    quoted = False
    for match in _MARK.finditer(text):
        mark, place = match.group(), match.start()
        if depth:
            depth += {"{": 1, "}": -1}.get(mark, 0)
            if not depth:
                out.append(_blank(text[opened : place + 1]))
                at = place + 1
        elif quoted:
            quoted = mark != '"' or text[place - 1] == "\\"
        elif mark == '"' and fields == 0:
            quoted = True
        elif mark == "{" and fields < 2:
            out.append(text[at:place])
            depth, opened = 1, place
        elif mark == "~":
            fields += 1
        elif mark == "|":
            fields = 0
    if depth:
        if path is not None:
            raise ModelFileError(
                "a comment begins here and never ends; close it with '}'",
                path,
                text[:opened].count("\n") + 1,
            )
        return "".join(out) + _blank(text[opened:])
    return "".join(out) + text[at:]


def _blank(text: str) -> str:
    return re.sub(r"[^\r\n]", " ", text)


# --- statements -------------------------------------------------------------------------------


def _cut_macros(text: str) -> tuple[list[tuple[str, str, int]], str]:
    """Heading, body and line of each macro, and the text without them."""
    found: list[tuple[str, str, int]] = []
    pieces, at = [], 0
    upper = text.upper()
    while (start := upper.find(_MACRO, at)) >= 0:
        end = upper.find(_END_OF_MACRO, start)
        closed = text.find(")", start)
        if end < 0 or not start < closed < end:
            break  # left to the parser, which reports where it stops
        heading = text[start + len(_MACRO) : closed + 1]
        line = text[: closed + 1].count("\n") + 1
        found.append((heading, text[closed + 1 : end], line))
        pieces += [text[at:start], _blank(text[start : end + len(_END_OF_MACRO)])]
        at = end + len(_END_OF_MACRO)
    return found, "".join([*pieces, text[at:]])


_MACRO, _END_OF_MACRO = ":MACRO:", ":END OF MACRO:"


def _defines(macros: Sequence[tuple[str, str, int]], name: str) -> bool:
    return any(canonical(heading.partition("(")[0]) == name for heading, _, _ in macros)


_DELAYP = (
    " DELAYP(input, delay time : pipeline)",
    "DELAYP = LV3/DL ~~|\npipeline = LV3 + LV2 + LV1 ~~|\nDL = delay time/3 ~~|\n"
    "LV3 = INTEG(RT2 - DELAYP, DL*input) ~~|\nRT2 = LV2/DL ~~|\n"
    "LV2 = INTEG(RT1 - RT2, LV3) ~~|\nRT1 = LV1/DL ~~|\nLV1 = INTEG(input - RT1, LV3) ~~|\n",
    0,
)
"""DELAYP as Vensim's help (fn_delayp) writes it out."""


class _OutputCalls:
    """Calls of macros with further outputs, ``x = M(a, b: low, high)``."""

    def __init__(self, macros: Sequence[tuple[str, str, int]]) -> None:
        self.outputs: dict[str, int] = {}
        self.named: dict[str, str] = {}
        for heading, _, _ in macros:
            name, _, inside = heading.partition("(")
            _, colon, outputs = inside.partition(":")
            if colon:
                self.outputs[canonical(name)] = outputs.count(",") + 1
        names = (r"[\s_]+".join(map(re.escape, n.split())) for n in self.outputs)
        self.calls = re.compile(rf"\b(?:{'|'.join(names)})\s*\(", re.IGNORECASE)

    def heading(self, text: str) -> str:
        return text.replace(":", ",")

    def text(self, text: str) -> str:
        """Write a comma for the colon of each call."""
        if not self.outputs:
            return text
        pieces, at = [], 0
        for match in self.calls.finditer(text):
            inside = _up_to_bracket(text, match.end())
            before, colon, after = inside.rpartition(":")
            if colon:
                for name in re.sub(r"\[[^\]]*\]", "", after).split(","):
                    written = " ".join(name.split())
                    self.named[canonical(written)] = written
                end = match.end() + len(inside)
                pieces += [text[at : match.end()], before, ",", after]
                at = end
        return "".join([*pieces, text[at:]])


def _up_to_bracket(text: str, start: int) -> str:
    """The text up to the bracket that closes the one before `start`."""
    depth = 1
    for match in re.finditer(r"[()]", text[start:]):
        depth += 1 if match.group() == "(" else -1
        if not depth:
            return text[start : start + match.start()]
    return ""


def _statements(text: str, line: int) -> Iterator[Statement]:
    """Cut text at each '|' and '~' outside quotes; groups and empty statements are left out."""
    fields: list[str] = []
    at = start = counted = 0
    quoted = False
    for match in _MARK.finditer(text):
        mark, place = match.group(), match.start()
        if quoted:
            quoted = mark != '"' or text[place - 1] == "\\"
        elif mark == '"' and not fields:
            quoted = True
        elif mark in "~|":
            fields.append(text[at:place])
            at = place + 1
            if mark == "|":
                lead = len(fields[0]) - len(fields[0].lstrip())
                line += text.count("\n", counted, start + lead)
                counted = start + lead
                if fields[0].strip() and not fields[0].lstrip().startswith("*"):
                    yield Statement(tuple(fields), line)
                fields, start = [], at


def _joined(statements: Sequence[Statement]) -> str:
    return "\n".join("~".join(s.fields) + "|" for s in statements)


# --- rewrites ---------------------------------------------------------------------------------


def _is_string(statement: Statement, strings: dict[str, str]) -> bool:
    """Record a string constant; return whether it was one."""
    name, mark, text = re.sub(r":is:", ":IS:", statement.equation, flags=re.I).partition(":IS:")
    quoted = text.strip()
    if not mark or len(quoted) < 2 or not quoted[0] == quoted[-1] == "'":
        return False
    strings[canonical(name)] = quoted[1:-1]
    return True


def _is_unwritten(equation: str) -> bool:
    right = equation.partition("=")[2].lstrip()
    return bool(re.match(r"A\s+FUNCTION\s+OF\s*\(", right, re.IGNORECASE))


def _written(statements: Sequence[Statement], defined: set[str], path: Path) -> Iterator[Statement]:
    """Drop arrows of the sketch if there is an equation."""
    for statement in statements:
        if not _is_unwritten(statement.equation):
            yield statement
        elif statement.name not in defined:
            raise ModelFileError(
                f"the equation of '{' '.join(statement.name.split())}' was never written: "
                "'A FUNCTION OF' only lists what the sketch connects to it; write the equation",
                path,
                statement.line,
            )


_KEYWORD = re.compile(
    r":(?:and|or|not|na|except|raw|interpolate|look forward|hold backward):"
    r'(?=(?:[^"]*"[^"]*")*[^"]*$)',
    re.IGNORECASE,
)
"""A keyword outside quotes."""


def _rewritten(
    statement: Statement,
    strings: Mapping[str, str],
    held: list[tuple[tuple[float, float], ...]] | None,
) -> Statement:
    equation = _KEYWORD.sub(lambda found: found.group().upper(), statement.equation)
    if not equation.isascii() and _SIGN.search(equation):
        equation = _WORD.sub(_in_quotes, equation)
    if _is_bare(equation):
        equation = f"{equation.rstrip()} :INTERPOLATE: "
    if strings and re.search(r"\bGET[\s_]", equation, re.IGNORECASE):
        equation = _with_strings(equation, strings)
    equation = _with_points(equation, held)
    left, equals, right = equation.partition("=")
    if not set(right) - _OF_NUMBERS:
        equation = left + equals + re.sub(r"([-+])\s+(?=[\d.])", r"\1", right)
    equation = _NEGATIVE_BASE.sub(r"(0-\1\2", equation)
    unit, *rest = statement.fields[1:] or ("",)
    return replace(statement, fields=(equation, _plain_limits(unit), *(rest or ("",))))


_SIGN = re.compile(r"(?![\w\s])[^\x00-\x7f]")
_WORD = re.compile(
    rf"""
    "(?:[^"\\]|\\.)*" | '[^']*'
    | (?P<name>(?:[^\W\d]|(?![−×÷≤≥≠]){_SIGN.pattern})(?:[\w'$\s]|{_SIGN.pattern})*)
    """,
    re.VERBOSE,
)


def _in_quotes(match: re.Match[str]) -> str:
    """A name with signs outside ASCII in quotes; anything else as it is."""
    name = match["name"]
    if name is None or not _SIGN.search(name):
        return match.group()
    bare = name.rstrip()
    return f'"{bare}"{name[len(bare) :]}'


def _is_bare(equation: str) -> bool:
    """Whether a statement is a name alone, with or without subscripts."""
    text = equation.strip()
    if text.startswith('"'):
        text = re.sub(r'^"(?:[^"\\]|\\.)*"', "", text).lstrip()
        return not text or re.fullmatch(r"\[[^\]:]*\]", text) is not None
    name, bracket, rest = text.partition("[")
    return (
        bool(name)
        and not set("=:(<") & set(text)
        and (not bracket or (rest.endswith("]") and "]" not in rest[:-1]))
    )


def _with_strings(equation: str, strings: Mapping[str, str]) -> str:
    """Replace names of string constants by their text, as arguments."""
    for name, value in strings.items():
        if name.startswith("?"):
            equation = equation.replace(f"'{name}'", f"'{value}'")

    def put(match: re.Match[str]) -> str:
        value = strings.get(canonical(match.group(2)))
        return match.group() if value is None else f"{match.group(1)}'{value}'"

    return re.sub(r"([(,]\s*)([^\W\d][^(),'\[\]]*)(?=[,)])", put, equation)


# No two repetitions that can match the same text stand side by side: time stays linear.
_NUMBER = r"[-+]?[ \t]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_POINT = rf"\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)"
_POINTS = re.compile(rf"{_POINT}(?:(?:\s*,)?\s*{_POINT})+")
_OF_NUMBERS = frozenset("0123456789.,;+-eE \t\r\n")
_NEGATIVE_BASE = re.compile(
    rf'\(\s*-\s*({_NUMBER})(\s*\)(?:\s*\))*\s*\^)(?=(?:[^"]*"[^"]*")*[^"]*$)'
)


def _with_points(equation: str, held: list[tuple[tuple[float, float], ...]] | None = None) -> str:
    """Points of lookups as pairs in strictly ascending order of x, long ones by their number."""

    def written(pairs: list[tuple[float, float]]) -> str:
        if held is None or len(pairs) <= _LONG:
            return _pairs(pairs)
        held.append(tuple(pairs))
        return _pairs([(_HELD, len(held) - 1.0), (2.0 * _HELD, 0.0)])

    head, _, body = equation.partition("(")
    if not set("=:") & set(head) and body.rstrip().endswith(")") and "(" not in body:
        numbers = [n.strip() for n in body.rstrip()[:-1].split(",")]
        half = len(numbers) // 2
        if len(numbers) == 2 * half > 2 and all(map(_is_number, numbers)):
            values = list(map(_number, numbers))
            pairs = list(zip(values[:half], values[half:], strict=True))
            return f"{head}({written(_ascending(pairs))}" + "\n" * body.count("\n") + ")"

    def ordered(match: re.Match[str]) -> str:
        if equation[: match.start()].rstrip().endswith(("[", "-")):
            return match.group()  # the scale of the picture
        pairs = [(_number(x), _number(y)) for x, y in re.findall(_POINT, match.group())]
        in_order = all(a[0] < b[0] for a, b in itertools.pairwise(pairs))
        if in_order and (held is None or len(pairs) <= _LONG):
            return match.group()
        return written(_ascending(pairs)) + "\n" * match.group().count("\n")

    return _POINTS.sub(ordered, equation)


def _number(text: str) -> float:
    return float(re.sub(r"\s+", "", text))


def _ascending(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points in order of x; a second at one x comes just after it."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(dict.fromkeys(pairs), key=lambda pair: pair[0]):
        after = math.nextafter(found[-1][0], math.inf) if found else x
        if found and x < after:
            if found[-1][1] == y:
                continue
            x = after
        found.append((x, y))
    return found


def _pairs(pairs: Sequence[tuple[float, float]]) -> str:
    return ",".join(f"({x!r},{y!r})" for x, y in pairs)


def _plain_limits(unit: str) -> str:
    """The unit without brackets that are not limits."""
    match = re.fullmatch(r"([^\[\]]*)\[([^\[\]]*)\](\s*)", unit)
    if match:
        limits = [p.strip() for p in match.group(2).split(",")]
        if len(limits) in (2, 3) and all(p == "?" or _is_number(p) for p in limits):
            return unit
        return match.group(1) + match.group(3)
    if not unit.rstrip().endswith("]"):
        return unit
    without = re.sub(r"\[[^\[\]]*\]", "", unit)
    return re.sub(r"[\[\]]", "", without) if without.rstrip().endswith("]") else without


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(_NUMBER, text))
