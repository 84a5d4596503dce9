"""Limits on the size of a model: larger ones are refused before time or memory is spent on them.

A model file is untrusted. A few bytes of it can declare a range of a thousand million elements,
nest brackets a thousand deep or contain a name of a megabyte; the parser would then run for minutes
or overflow the interpreter's stack, without a useful message. The limits are far above the models
that people write, and each error states the size found and the size allowed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from beltcast.engine.filetext import read_bytes
from beltcast.engine.syntax import Call, Equation, Expr, Ref, Source, canonical
from beltcast.errors import ModelFileError

LONGEST_EQUATION = 100_000
"""Characters before the unit; the parser reads some 30,000 a second."""

LONGEST_NAME = 1_000
"""Characters."""

DEEPEST_BRACKETS = 30
"""The parser goes down some twenty calls for each bracket, and Python allows a thousand."""

DEEPEST_EXPRESSION = 200
"""Levels of an expression as read, where a sum of n terms has n."""

LONGEST_UNIT = 1_000
"""Characters of a unit."""

DEEPEST_UNIT = 30
"""Brackets in brackets of a unit: parsers of units go down several calls for each."""

LARGEST_RANGE = 100_000
"""Elements of a subscript range."""

LARGEST_MODEL = 1_000_000
"""Elements of all variables together, and terms of all sums over ranges."""


def check_file(path: Path) -> None:
    """Refuse a file that would exhaust the parser.

    Raises
    ------
    ModelFileError
        With the line, what is there and what is allowed; or it cannot be read.
    """
    # Only ASCII is looked for; any byte will do.
    text = read_bytes(path).decode("latin-1")
    if path.suffix.lower() != ".mdl":
        _check_xml(text, path)
        return
    line = 1
    for statement in text.split("\\\\\\---///", 1)[0].split("|"):
        expression = statement.split("~", 1)[0]
        problem = _too_much(expression)
        if problem:
            lead = re.match(r"\s*(?:(?:\xef\xbb\xbf)?\{UTF-8\}\s*)?", expression)
            before = lead.group().count("\n") if lead else 0
            raise ModelFileError(problem, path, line + before)
        line += statement.count("\n")


def _check_xml(text: str, path: Path) -> None:
    """Refuse entities: a few lines of them stand for gigabytes, or for other files."""
    found = re.search(r"<!(?:DOCTYPE|ENTITY)", text, re.IGNORECASE)
    if found:
        raise ModelFileError(
            f"'{found.group()}' is not read, because entities can stand for anything; remove the "
            "declaration",
            path,
            text[: found.start()].count("\n") + 1,
        )


def _too_much(expression: str) -> str | None:
    """Return what is too large in one equation."""
    text = re.sub(r"\s+", " ", expression)
    if len(text) > LONGEST_EQUATION:
        return (
            f"this equation has {len(text)} characters, and at most {LONGEST_EQUATION} are read; "
            "keep long tables in a CSV file beside the model"
        )
    # The numbers of a tabbed array have only blanks between them.
    words = re.sub(r"[\d.](?:[eE][-+]?\d+)? (?=[-+]?[\d.])", ",", text)
    name = max(
        (len(m) for m in re.findall(r"\"[^\"]*\"?|[^-+*/^()\[\]{},;:=<>!\"]+", words)), default=0
    )
    if name > LONGEST_NAME:
        return f"a name here has {name} characters, and at most {LONGEST_NAME} are read; shorten it"
    depth = _depth(text)
    if depth > DEEPEST_BRACKETS:
        return (
            f"brackets are nested {depth} deep here, and at most {DEEPEST_BRACKETS} are read; "
            "split the equation"
        )
    for first, last in re.findall(r"\(\s*[^()\d]*(\d+)\s*-\s*[^()\d]*(\d+)\s*\)", text):
        # Only in 'Range: (A1-A9)', not in an expression such as (1-2).
        if re.match(r"[^=]*:", text) and len(last) < 4000:
            elements = int(last) - int(first) + 1
            if elements > LARGEST_RANGE:
                return (
                    f"this subscript range has {elements} elements, and at most {LARGEST_RANGE} "
                    "are allowed"
                )
        elif len(last) >= 4000:
            return f"a number here has {len(last)} digits; write it as 1e9"
    return None


def unit_too_much(text: str) -> str | None:
    """Return what is too large in the text of a unit."""
    depth = _depth(text)
    if len(text) <= LONGEST_UNIT and depth <= DEEPEST_UNIT:
        return None
    return (
        f"the unit '{text[:40]}...' has {len(text)} characters and brackets {depth} deep; at most "
        f"{LONGEST_UNIT} characters and {DEEPEST_UNIT} brackets are read, shorten it"
    )


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[()]", text):
        depth += 1 if bracket == "(" else -1
        deepest = max(deepest, depth)
    return deepest


# --- the equations ----------------------------------------------------------------------------


def check_source(source: Source) -> None:
    """Refuse a model that would exhaust the memory or the stack when it is put in order.

    Raises
    ------
    ModelFileError
    """
    lengths = {canonical(name): len(elements) for name, elements in source.subscripts.items()}
    rows = terms = 0
    for equation in (*source.controls.values(), *source.equations):
        elements = math.prod(lengths.get(canonical(s), 1) for s in equation.subscripts)
        problem = unit_too_much(equation.unit)
        if problem:
            raise ModelFileError(
                f"in the equation of '{equation.name}': {problem}", source.path, equation.line
            )
        rows += elements
        _refuse_beyond(rows, "elements", equation, source)
        check_depth(equation.expression, equation.name, source.path, equation.line)
        terms += elements * _terms(equation.expression, lengths)
        _refuse_beyond(terms, "terms of sums over ranges", equation, source)


_RUNNING = frozenset({"SUM", "PROD", "VMIN", "VMAX", "VECTOR SELECT", "RANK"})
"""Functions over the ranges marked below them, written out term by term."""


def _terms(expression: Expr, lengths: Mapping[str, int], times: int = 1) -> int:
    """How many terms the sums of an expression have; those inside another sum count each time."""
    if not isinstance(expression, Call):
        return 0
    own = 0
    if expression.function in _RUNNING:
        marks = {m for a in expression.arguments for m in _marks(a)}
        times *= math.prod(lengths.get(canonical(m[:-1]), 1) for m in marks)
        own = times if marks else 0
    if times > LARGEST_MODEL:
        return times
    return own + sum(_terms(a, lengths, times) for a in expression.arguments)


def _marks(expression: Expr) -> set[str]:
    """Ranges marked with '!' below, without those of a sum inside."""
    if isinstance(expression, Ref):
        return {s for s in expression.subscripts if s.endswith("!")}
    if isinstance(expression, Call) and expression.function not in _RUNNING:
        return {m for a in expression.arguments for m in _marks(a)}
    return set()


def check_depth(expression: Expr, name: str, path: Path | None, line: int) -> None:
    """Refuse an expression that would exhaust the stack of whatever walks over it.

    Raises
    ------
    ModelFileError
    """
    if any(depth > DEEPEST_EXPRESSION for depth, _ in _levels(expression)):
        raise ModelFileError(
            f"the equation of '{name}' is an expression of more than {DEEPEST_EXPRESSION} levels "
            "or terms; split it into several equations",
            path,
            line,
        )


def _refuse_beyond(count: int, what: str, equation: Equation, source: Source) -> None:
    if count > LARGEST_MODEL:
        raise ModelFileError(
            f"with the equation of '{equation.name}' the model has {count} {what}, and at most "
            f"{LARGEST_MODEL} are allowed; use smaller subscript ranges",
            source.path,
            equation.line,
        )


def _levels(expression: Expr) -> Iterator[tuple[int, Expr]]:
    """Yield every node with its depth, without recursion."""
    waiting = [(1, expression)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, node
        if isinstance(node, Call):
            waiting.extend((depth + 1, a) for a in node.arguments)
