"""PySD's parser, run over the statements of a Vensim file one by one.

PySD turns Vensim text into an abstract model.  Here it gets the text of
`beltcast.engine.vensim.normal_text`, statement by statement, so that errors name the line and
position; and while it runs, arguments of its `eval` are read as literals.  Nothing of the
file is executed.
"""

from __future__ import annotations

import re
import threading
import warnings
from ast import literal_eval
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import parsimonious
from pysd.translators.structures import abstract_model as pysd_model
from pysd.translators.vensim import vensim_element, vensim_utils
from pysd.translators.vensim.vensim_file import VensimFile
from pysd.translators.vensim.vensim_section import Section, SectionElementsVisitor

from beltcast.engine.vensim.normal_text import NormalText, Statement
from beltcast.engine.vensim.plain_expressions import plain_expression
from beltcast.errors import ModelFileError

_GRAMMAR = (parsimonious.exceptions.ParseError, parsimonious.exceptions.VisitationError)
_ACCIDENTS = (
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    SyntaxError,
    RecursionError,
)
"""Errors that PySD raises for input that its authors did not foresee."""


def translate_vensim(normal: NormalText, path: Path) -> pysd_model.AbstractModel:
    """Translate the text of a model.

    Parameters
    ----------
    normal : NormalText
    path : Path
        The file, for messages.

    Returns
    -------
    AbstractModel
        Of PySD: the model first, then its macros.

    Raises
    ------
    ModelFileError
        A statement that cannot be read, by its line.
    """
    with warnings.catch_warnings(), literals_only():
        # PySD warns of parts that it ignores: sketches and reality checks, which no run needs, and
        # mappings by element, which the reader takes from the text itself.
        warnings.simplefilter("ignore")
        file = _File(path, normal.text)
        try:
            file.parse(parse_all=False)
        except _GRAMMAR as problem:
            raise _unreadable(problem, path, None, "") from None
        for section, statements in zip(
            file.sections, (normal.statements, *normal.macros), strict=True
        ):
            _parse_section(section, statements, path)
        try:
            return file.get_abstract_model()
        except _ACCIDENTS as problem:
            raise ModelFileError(
                f"the model cannot be translated: {_short(problem)}", path
            ) from None


class _File(VensimFile):  # type: ignore[misc]  # PySD has no types
    """A model given as text."""

    def __init__(self, path: Path, text: str) -> None:
        self._text = text
        super().__init__(path)
        self.model_text: str = self._clean(text)

    def _read(self, _encoding: str | None) -> str:
        return self._text


_PATCHED = threading.Lock()


@contextmanager
def literals_only() -> Iterator[None]:
    """Let PySD's parser read literals, and nothing else, where it calls eval.

    PySD 3.14.3 hands pieces of the text to eval(), and its grammar lets anything stand for the
    limits of a lookup: WITH LOOKUP(x, ([...], (0,0))) would run what is in the brackets.
    """
    with _PATCHED:
        vensim_element.eval = _literal
        try:
            yield
        finally:
            del vensim_element.eval


def _literal(text: str) -> Any:
    """Value of a literal, or of a sum of numbers, which PySD's grammar takes for a list of one.

    >>> _literal("1 - 2.5")
    -1.5
    """
    if re.fullmatch(rf"\s*[-+]?\s*{_SIGNED}(?:[-+]\s*{_SIGNED})+", text):
        terms = re.findall(rf"[-+]?\s*{_SIGNED}", text)
        return sum(float("".join(term.split())) for term in terms)
    return literal_eval(text)


_SIGNED = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*"


def _parse_section(section: Section, statements: Sequence[Statement], path: Path) -> None:
    """What PySD's `Section.parse` does, with a line for each statement."""
    try:
        elements = _elements(section, statements)
    except _GRAMMAR as problem:
        raise _unreadable(problem, path, None, "") from None
    if len(elements) != len(statements):
        raise ModelFileError(
            f"{len(statements)} statements are in the file and {len(elements)} can be read; "
            "check that each ends in '|' and that quotes are closed",
            path,
        )
    parsed = []
    for element, statement in zip(elements, statements, strict=True):
        component = _plain_component(element) or _guarded(element.parse, statement, path)
        if type(component) in (vensim_element.Component, vensim_element.UnchangeableConstant):
            component.ast = plain_expression(component.expression)
        if not isinstance(component, vensim_element.SubscriptRange) and component.ast is None:
            _guarded(component.parse, statement, path)
        parsed.append(component)

    def of_kind(kind: type) -> list[Any]:
        return [component for component in parsed if isinstance(component, kind)]

    section.subscripts = of_kind(vensim_element.SubscriptRange)
    section.components = of_kind(vensim_element.Component)
    section.constraints = of_kind(vensim_element.Constraint)
    section.test_inputs = of_kind(vensim_element.TestInput)
    section.elements = (
        section.subscripts + section.components + section.constraints + section.test_inputs
    )


def _elements(section: Section, statements: Sequence[Statement]) -> list[Any]:
    """PySD's elements; its slow grammar is used only where necessary."""
    plain = all(len(s.fields) in (3, 4) and '"' not in s.fields[1] for s in statements)
    if not plain or any(_odd_limits(s.fields[1]) for s in statements):
        tree = vensim_utils.Grammar.get("section_elements").parse(section.content)
        found: list[Any] = SectionElementsVisitor(tree).entries
        return found
    return [
        vensim_element.Element(*(" ".join(f.split()) for f in s.fields[:3])) for s in statements
    ]


def _odd_limits(unit: str) -> bool:
    """Whether PySD fails on the limits of a unit."""
    return unit.rstrip().endswith("]") and unit.count("[") != 1


_PLAIN = re.compile(
    r"""(?P<name>\w[\w'$\s]*|"(?:\\"|[^"])*")\s*
    (?:\[(?P<subscripts>\s*\w[\w'$\s]*(?:,\s*\w[\w'$\s]*)*)\])?\s*
    =(?!=)\s*(?P<expression>.*)""",
    re.VERBOSE,
)
"""``name[subscripts] = expression``, nearly every equation."""


def _plain_component(element: Any) -> Any:
    """What `element.parse` gives for a plain equation; None for any other."""
    match = _PLAIN.fullmatch(element.equation)
    if match is None:
        return None
    inside = match["subscripts"]
    subscripts = [s.strip() for s in inside.split(",")] if inside else []
    component = vensim_element.Component(
        match["name"].strip(), (subscripts, []), match["expression"].strip()
    )
    component.units, component.limits = element.units, element.limits
    component.documentation = element.documentation
    return component


def _guarded(parse: Any, statement: Statement, path: Path) -> Any:
    try:
        return parse()
    except _GRAMMAR as problem:
        raise _unreadable(problem, path, statement.line, statement.name) from None
    except _ACCIDENTS as problem:
        raise ModelFileError(
            f"the statement of '{statement.name}' cannot be read: {_short(problem)}",
            path,
            statement.line,
        ) from None


def _unreadable(problem: Exception, path: Path, line: int | None, name: str) -> ModelFileError:
    """The error of a text that the grammar rejects, with the position where it stops."""
    if isinstance(problem, parsimonious.exceptions.VisitationError):
        reason = str(problem).split("\n", 1)[0].partition(": ")[2]
        if "argument" in reason:
            reason = f"a function is given a wrong number of arguments ({_short(reason)})"
        name = name or "?"
        return ModelFileError(f"the equation of '{name}' cannot be read: {reason}", path, line)
    text = str(getattr(problem, "text", ""))
    at = int(getattr(problem, "pos", 0) or 0)
    piece = " ".join(text[at : at + 60].split())
    whole = " ".join(text.split())
    before = f"the equation of '{name}'" if name else "this equation"
    if not whole:
        return ModelFileError(f"{before} has no right-hand side; write it", path, line)
    where = f" from '{piece}' on" if piece and piece != whole else ""
    return ModelFileError(
        f"{before} cannot be read{where}: '{whole[:80]}'; check it where the model was made",
        path,
        line,
    )


def _short(problem: Exception | str) -> str:
    words = re.sub(r"<lambda>\(\)|[\w.]+\.__init__\(\)", "it", str(problem))
    return " ".join(words.split())[:160]
