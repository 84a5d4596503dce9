"""Read a Vensim file to a `Source`.

Reading takes four steps with a module each: `normal_text` (text that the parser accepts),
`translator` (PySD's parser, statement by statement), `expressions` (its trees in
`beltcast.engine.syntax`) and `macros` (calls written out).  This module owns the file as a whole:
whether it is complete, its subscripts and mappings, its method.  XMILE is read by
`beltcast.engine.xmile.reader`, without PySD.  Nothing of the file is executed; tables that it
refers to are read as numbers by `beltcast.engine.external`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

from pysd.translators.structures import abstract_model as pysd_model

from beltcast.engine.external import read_subscript
from beltcast.engine.filetext import decode, line_of, read_bytes
from beltcast.engine.syntax import (
    CONTROLS,
    XMILE,
    Calendar,
    Data,
    Equation,
    Expr,
    Number,
    Ref,
    Source,
    canonical,
)
from beltcast.engine.vensim.expressions import equations_of
from beltcast.engine.vensim.layout import read_group_docs, read_groups, read_sketch
from beltcast.engine.vensim.macros import Macro, expand
from beltcast.engine.vensim.normal_text import (
    NormalText,
    before_the_sketch,
    blank_comments,
    normal_text,
)
from beltcast.engine.vensim.translator import translate_vensim
from beltcast.engine.xmile.reader import read_xmile
from beltcast.errors import ModelFileError, UnsupportedConstruct


def read_source(path: str | Path) -> Source:
    """Read a Vensim or XMILE model file.

    Parameters
    ----------
    path : str or Path
        A ``.mdl`` file in UTF-8, GB18030 or Latin-1, or an ``.xmile``, ``.stmx``,
        ``.itmx`` or ``.xml`` file.

    Raises
    ------
    ModelFileError
        The file is missing, truncated, or not a model.
    UnsupportedConstruct
        It uses something that the engine does not support; the message names it and its line.
    """
    path = Path(path)
    if path.suffix.lower() in XMILE:
        return read_xmile(path)
    content = read_bytes(path)
    text, encoding = decode(content)
    _check_whole(text, path)
    normal = normal_text(text, path, hold_points=True)
    model = translate_vensim(normal, path)
    section = model.sections[0]
    named = _named_mappings(normal)
    subscripts, mappings = _subscripts(section.subscripts, named, path)
    macro_names = {canonical(macro.name) for macro in model.sections[1:]}
    macros = {
        canonical(macro.name): Macro(
            name=macro.name,
            parameters=tuple(map(canonical, macro.params)),
            outputs=normal.outputs.get(canonical(macro.name), 0),
            equations=tuple(
                equations_of(macro.elements, subscripts, {}, path, macro_names, normal.points)
            ),
        )
        for macro in model.sections[1:]
    }
    own = tuple(
        equations_of(
            section.elements,
            subscripts,
            normal.lines(),
            path,
            macro_names,
            normal.points,
            normal.named,
        )
    )
    equations = _data_of_data(expand(own, macros, path), path)
    element_mappings = _element_mappings(named, subscripts, text, path)
    if all(canonical(e.name) in CONTROLS for e in equations):
        raise ModelFileError("the model has no variables; give a model with equations", path)
    controls = {canonical(e.name): e for e in equations if canonical(e.name) in CONTROLS}
    missing = [name.upper() for name in CONTROLS[:3] if name not in controls]
    if missing:
        raise ModelFileError(
            f"the model does not define {missing[0]}; add a line such as '{missing[0]} = 1'", path
        )
    return Source(
        path=path,
        text_sha256=hashlib.sha256(content).hexdigest(),
        encoding=encoding,
        equations=tuple(e for e in equations if canonical(e.name) not in CONTROLS),
        subscripts=subscripts,
        mappings=mappings,
        controls=controls,
        element_mappings=element_mappings,
        method=_method(text, path),
        groups=_groups(text, own, equations),
        group_docs=read_group_docs(text),
        sketch=read_sketch(text),
        calendar=_calendar(_settings(text)),
    )


# --- the file ---------------------------------------------------------------------------------


_METHODS: Mapping[str, Literal["euler", "rk2", "rk4"]] = {
    "0": "euler",
    "1": "rk4",
    "2": "euler",
    "3": "rk2",
    "4": "rk2",
    "5": "rk4",
}
"""Vensim's numbers of its methods: 1 and 3 stand for steps that adapt, 2 for differences."""


def _settings(text: str) -> str:
    """Settings are at the end of the file, after the sketches."""
    parts = re.split(r"^:L.?<%\^E!@\s*$", text, maxsplit=1, flags=re.MULTILINE)
    return parts[1] if parts[1:] else ""


_UNITS_OF_TIME = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")


def _calendar(settings: str) -> Calendar | None:
    """The date of time 0 (settings 37 to 39) and the unit of time (40); None without them."""
    found = [re.search(rf"^{n}:(\d{{1,4}})\s*$", settings, re.MULTILINE) for n in range(37, 41)]
    numbers = [int(m.group(1)) for m in found if m is not None]
    if len(numbers) < 4 or numbers[3] >= len(_UNITS_OF_TIME):
        return None
    year, month, day, unit = numbers
    try:
        date(year, month, day)
    except ValueError:
        return None
    return Calendar(year, month, day, _UNITS_OF_TIME[unit])


def _method(text: str, path: Path) -> Literal["euler", "rk2", "rk4"]:
    """Method of integration, the fourth number of setting 15; Euler if it is not set.

    (As the public converter xmutil reads them.)
    """
    settings = _settings(text)
    found = re.search(r"^15:([^\r\n]*)", settings, re.MULTILINE)
    if found is None:
        return "euler"
    fields = [field.strip() for field in found.group(1).split(",")]
    number = fields[3] if len(fields) > 3 else "0"
    if number not in _METHODS:
        line = text[: text.index(settings) + found.start()].count("\n") + 1
        raise UnsupportedConstruct(
            f"the integration method {number[:40]} of the settings is not supported; choose Euler, "
            "RK2 or RK4",
            path,
            line,
        )
    return _METHODS[number]


def _check_whole(text: str, path: Path) -> None:
    equations = before_the_sketch(text)
    if "\x00" in text or "=" not in equations or "|" not in equations:
        raise ModelFileError(
            "this is not a Vensim model: no equation of the form 'name = expression ~ unit ~ "
            "comment |' was found; give a .mdl text file",
            path,
        )
    equations = blank_comments(equations, path)
    tail = equations.rsplit("|", 1)[-1]
    if tail.strip():
        line = equations.count("\n") - tail.lstrip().count("\n") + 1
        raise ModelFileError(
            "the file ends inside an equation (no closing '|'); it seems truncated, restore "
            "the whole file",
            path,
            line,
        )


# --- subscripts and equations -----------------------------------------------------------------


def _subscripts(
    ranges: tuple[pysd_model.AbstractSubscriptRange, ...],
    named: Sequence[_NamedMapping],
    path: Path,
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    written = {r.name: _own_elements(r, named) for r in ranges}
    by_canonical = {canonical(name): name for name in written}

    def elements(name: str, above: tuple[str, ...]) -> Iterator[str]:
        if name in above:
            raise ModelFileError(f"the subscript range '{name}' contains itself", path)
        subscripts = written[name]
        if isinstance(subscripts, str):  # a copy: 'New <-> Old'
            subscripts = [subscripts]
        if isinstance(subscripts, dict):  # GET XLS SUBSCRIPT, GET DIRECT SUBSCRIPT
            yield from read_subscript(
                path,
                subscripts["file"],
                subscripts["tab"],
                subscripts["firstcell"],
                subscripts["lastcell"],
                subscripts["prefix"],
            )
            return
        for item in subscripts:
            inner = by_canonical.get(canonical(item))
            if inner is None:
                yield item
            else:
                yield from elements(inner, (*above, name))

    expanded = {name: tuple(dict.fromkeys(elements(name, ()))) for name in written}
    mappings = {r.name: tuple(m for m in r.mapping if isinstance(m, str)) for r in ranges}
    return expanded, {name: to for name, to in mappings.items() if to}


def _groups(text: str, own: Sequence[Equation], equations: Sequence[Equation]) -> Mapping[str, str]:
    """Groups of the file; what a call of a macro made is in the group of its caller."""
    groups = dict(read_groups(text))
    written = {canonical(e.name) for e in own}
    last = ""
    for name in (canonical(e.name) for e in equations):
        if name in written:
            last = groups.get(name, "")
        elif last:
            groups[name] = last
    return groups


def _data_of_data(equations: tuple[Equation, ...], path: Path) -> tuple[Equation, ...]:
    """Let ``b := a`` have the points of ``a`` where that is data, and its value where it is not."""
    told: dict[str, list[Expr]] = {}
    for equation in equations:
        told.setdefault(canonical(equation.name), []).append(equation.expression)

    def is_data(name: str, seen: frozenset[str]) -> bool:
        return name not in seen and all(
            has_points(e, seen | {name}) for e in told.get(name, [Number(0.0)])
        )

    def has_points(expression: Expr, seen: frozenset[str]) -> bool:
        if isinstance(expression, Data) and expression.of is None:
            return True
        below = expression.of if isinstance(expression, Data) else expression
        return isinstance(below, Ref) and is_data(canonical(below.name), seen)

    found = []
    for equation in equations:
        own = equation.expression
        if isinstance(own, Data) and own.of and not is_data(canonical(own.of.name), frozenset()):
            if own.method != "interpolate":
                raise UnsupportedConstruct(
                    f"'{equation.name}' is :{own.method.upper()}: data of '{own.of.name}', which "
                    "is no data variable; name one, or write '='",
                    path,
                    equation.line,
                )
            equation = replace(equation, expression=own.of)
        found.append(equation)
    return tuple(found)


@dataclass(frozen=True)
class _NamedMapping:
    """``A: ... -> (B: b2, b1)``; all names canonical."""

    source: str
    target: str
    entries: tuple[str, ...]


def _named_mappings(normal: NormalText) -> list[_NamedMapping]:
    """Mappings that name elements, which PySD's translator reads as elements of the range."""
    found = []
    for statement in normal.statements:
        head, arrow, mapping = statement.equation.partition("->")
        if arrow:
            name = canonical(head.partition(":")[0])
            for match in re.finditer(r"\(([^:()]+):([^()]*)\)", mapping):
                entries = tuple(map(canonical, match.group(2).split(",")))
                found.append(_NamedMapping(name, canonical(match.group(1)), entries))
    return found


def _own_elements(
    subscript_range: pysd_model.AbstractSubscriptRange, named: Sequence[_NamedMapping]
) -> list[str] | str | dict[str, str]:
    """Elements of a range without those that PySD took over from its mappings."""
    own = [m for m in named if m.source == canonical(subscript_range.name)]
    extra = sum(len(m.entries) for m in own)
    elements = subscript_range.subscripts
    return elements[:-extra] if extra and isinstance(elements, list) else elements


def _element_mappings(
    named: Sequence[_NamedMapping],
    subscripts: Mapping[str, tuple[str, ...]],
    text: str,
    path: Path,
) -> dict[tuple[str, str], dict[str, str]]:
    """For the two ranges of each mapping: element of the second to element of the first."""
    by_canonical = {canonical(n): e for n, e in subscripts.items()}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for mapping in named:
        own = by_canonical.get(mapping.source, ())
        line = line_of(text, rf"->[^|~]*\(\s*{re.escape(mapping.target)}\s*:")
        if mapping.target not in by_canonical or len(mapping.entries) != len(own):
            raise ModelFileError(
                f"the mapping of '{mapping.source}' to '{mapping.target}' names "
                f"{len(mapping.entries)} elements for {len(own)}; give one for each",
                path,
                line,
            )
        pairs: dict[str, str] = {}
        for element, entry in zip(own, mapping.entries, strict=True):
            single = tuple(e for e in by_canonical[mapping.target] if canonical(e) == entry)
            matching = by_canonical.get(entry, single)
            if not matching:
                raise ModelFileError(
                    f"the mapping of '{mapping.source}' names '{entry}', which is neither an "
                    f"element of '{mapping.target}' nor a range of them",
                    path,
                    line,
                )
            pairs.update(dict.fromkeys(matching, element))
        found[mapping.source, mapping.target] = pairs
    return found
