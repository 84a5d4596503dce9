"""From a Vensim file to `Source`: the one place where PySD is used.

PySD's translator turns Vensim text into an abstract model; this module checks the file before
(encoding, completeness), asks for the translation and says the result in the words of
`beltcast.engine.syntax`.  XMILE is read by `beltcast.engine.xmile.reader`, without PySD.  Nothing
of the file is executed: the text is parsed, and tables that the model refers to are read as numbers
by `beltcast.engine.external`.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import warnings
from ast import literal_eval
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import parsimonious
from pysd.translators.structures import abstract_expressions as pysd_ast
from pysd.translators.structures import abstract_model as pysd_model
from pysd.translators.vensim import vensim_element
from pysd.translators.vensim.vensim_file import VensimFile

from beltcast.engine.external import read_constants, read_sheet_series, read_subscript
from beltcast.engine.filetext import decode, line_of, read_bytes
from beltcast.engine.syntax import (
    CONTROLS,
    XMILE,
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
)
from beltcast.engine.vensim.layout import read_group_docs, read_groups, read_sketch
from beltcast.engine.vensim.macros import Macro, expand
from beltcast.engine.xmile.reader import read_xmile
from beltcast.errors import ModelFileError, UnsupportedConstruct

# PySD 3.14.3 hands pieces of the text to eval(), and its grammar lets anything stand for the limits
# of a lookup: WITH LOOKUP(x, ([...], (0,0))) runs what is in the brackets.  In this module eval
# is now a reader of literals, which is all that the translator needs.
vensim_element.eval = literal_eval


def read_source(path: str | Path) -> Source:
    """Read a Vensim or XMILE model file.

    Parameters
    ----------
    path : str or Path
        A ``.mdl`` file in UTF-8, GB18030 or Latin-1, or an ``.xmile``, ``.stmx``,
        ``.itmx`` or ``.xml`` file.

    Returns
    -------
    Source

    Raises
    ------
    ModelFileError
        The file is missing, cut short, or not a model.
    UnsupportedConstruct
        It uses something that the engine does not know; the message names it and its line.
    """
    path = Path(path)
    if path.suffix.lower() in XMILE:
        return read_xmile(path)
    content = read_bytes(path)
    text, encoding = decode(content)
    _check_whole(text, path)
    lines = _definition_lines(text)
    model = _translate(path, encoding)
    section = model.sections[0]
    named = _named_mappings(text)
    subscripts, mappings = _subscripts(section.subscripts, named, path)
    macro_names = {canonical(macro.name) for macro in model.sections[1:]}
    macros = {
        canonical(macro.name): Macro(
            name=macro.name,
            parameters=tuple(map(canonical, macro.params)),
            equations=tuple(_equations(macro.elements, subscripts, {}, path, macro_names)),
        )
        for macro in model.sections[1:]
    }
    equations = expand(
        tuple(_equations(section.elements, subscripts, lines, path, macro_names)), macros, path
    )
    element_mappings = _element_mappings(named, subscripts, text, path)
    if all(canonical(e.name) in CONTROLS for e in equations):
        raise ModelFileError("the model has no variables; give a model with equations", path)
    controls = {canonical(e.name): e for e in equations if canonical(e.name) in CONTROLS}
    missing = [name.upper() for name in CONTROLS[:3] if name not in controls]
    if missing:
        raise ModelFileError(
            f"the model does not say its {missing[0]}; add a line such as '{missing[0]} = 1'", path
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
        groups=read_groups(text),
        group_docs=read_group_docs(text),
        sketch=read_sketch(text),
    )


# --- the file ---------------------------------------------------------------------------------


def _equation_text(text: str) -> str:
    """The text before the sketch."""
    return re.split(r"\\{2,3}---///", text, maxsplit=1)[0]


_METHODS: Mapping[str, Literal["euler", "rk2", "rk4"]] = {
    "0": "euler",
    "1": "rk4",
    "2": "euler",
    "3": "rk2",
    "4": "rk2",
    "5": "rk4",
}
"""Vensim's numbers of its methods: 1 and 3 stand for steps that adapt, 2 for differences."""


def _method(text: str, path: Path) -> Literal["euler", "rk2", "rk4"]:
    """Method of integration, the fourth number of setting 15; Euler where it is not set.

    Settings stand at the end of the file, after the sketches.  (As the public converter xmutil
    reads them.)
    """
    settings = re.split(r"^:L.?<%\^E!@\s*$", text, maxsplit=1, flags=re.MULTILINE)
    found = re.search(r"^15:([^\r\n]*)", settings[1], re.MULTILINE) if settings[1:] else None
    if found is None:
        return "euler"
    fields = [field.strip() for field in found.group(1).split(",")]
    number = fields[3] if len(fields) > 3 else "0"
    if number not in _METHODS:
        line = text[: text.index(settings[1]) + found.start()].count("\n") + 1
        raise UnsupportedConstruct(
            f"the integration method {number[:40]} of the settings is not supported; choose Euler, "
            "RK2 or RK4",
            path,
            line,
        )
    return _METHODS[number]


def _check_whole(text: str, path: Path) -> None:
    equations = _equation_text(text)
    if "\x00" in text or "=" not in equations or "|" not in equations:
        raise ModelFileError(
            "this is not a Vensim model: no equation of the form 'name = expression ~ unit ~ "
            "comment |' was found; give a .mdl text file",
            path,
        )
    tail = equations.rsplit("|", 1)[1]
    if tail.strip():
        line = equations.count("\n") - tail.lstrip().count("\n") + 1
        raise ModelFileError(
            "the file ends inside an equation (no closing '|'); it seems cut short, "
            "restore the whole file",
            path,
            line,
        )


def _definition_lines(text: str) -> Mapping[str, list[int]]:
    """Lines on which each name is defined, in the order of the file."""
    equations = _equation_text(text)
    found: dict[str, list[int]] = {}
    line = 1
    for statement in equations.split("|"):
        lead = len(statement) - len(statement.lstrip("\r\n\t *"))
        body = statement[lead:]
        if body.startswith("{UTF-8}"):
            lead += 7 + len(body[7:]) - len(body[7:].lstrip())
            body = statement[lead:]
        match = re.match(r'("(?:[^"\\]|\\.)*"|[^=\[(:~<]+)', body)
        if match:
            start = line + statement[:lead].count("\n")
            found.setdefault(canonical(match.group(1)), []).append(start)
        line += statement.count("\n")
    return found


def _translate(path: Path, encoding: str) -> pysd_model.AbstractModel:
    try:
        with warnings.catch_warnings():
            # PySD warns of what it leaves out: sketches and reality checks, which no run needs,
            # and mappings by element, which `_element_mappings` reads.
            warnings.simplefilter("ignore")
            file = VensimFile(path, encoding=encoding)
            file.parse()
            return file.get_abstract_model()
    except (parsimonious.exceptions.ParseError, parsimonious.exceptions.VisitationError) as problem:
        words = str(getattr(problem, "text", problem)).split()
        piece = " ".join(words)[:80]
        raise ModelFileError(
            f"this equation cannot be read: '{piece}'; check it where the model was made",
            path,
            _line_of_words(path, encoding, words),
        ) from None
    except (ValueError, KeyError, IndexError, AttributeError, TypeError, RecursionError) as problem:
        # PySD's own checks and the accidents of its parser both end here.
        piece = " ".join(str(problem).split())[:160]
        raise ModelFileError(f"the model cannot be translated: {piece}", path) from None


def _line_of_words(path: Path, encoding: str, words: Sequence[str]) -> int | None:
    """Line where some words stand in a file, whatever the spaces; None unless there is one."""
    if path.suffix.lower() in XMILE or not words:
        return None
    text = path.read_text(encoding=encoding)
    found = list(re.finditer(r"\s+".join(map(re.escape, words)), text))
    return text[: found[0].start()].count("\n") + 1 if len(found) == 1 else None


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


@dataclass(frozen=True)
class _NamedMapping:
    """``A: ... -> (B: b2, b1)``; all names canonical."""

    source: str
    target: str
    entries: tuple[str, ...]


def _named_mappings(text: str) -> list[_NamedMapping]:
    """Mappings that name elements, which PySD's translator reads as elements of the range."""
    found = []
    for statement in _equation_text(text).split("|"):
        head, arrow, mapping = statement.split("~", 1)[0].partition("->")
        if arrow:
            name = canonical(head.partition(":")[0].split("{UTF-8}")[-1].lstrip("*\r\n\t "))
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


def _equations(
    elements: tuple[pysd_model.AbstractElement, ...],
    subscripts: Mapping[str, tuple[str, ...]],
    lines: Mapping[str, list[int]],
    path: Path,
    macros: Collection[str] = (),
) -> Iterator[Equation]:
    names = {canonical(element.name): element.name for element in elements}
    for element in elements:
        places = lines.get(canonical(element.name), [])
        for number, component in enumerate(element.components):
            line = places[min(number, len(places) - 1)] if places else 0
            tree = _Tree(names, subscripts, component.subscripts[0], path, line, macros)
            yield Equation(
                name=element.name,
                subscripts=tuple(component.subscripts[0]),
                except_=tuple(tuple(group) for group in component.subscripts[1]),
                expression=tree.definition(component),
                unit=element.units or "",
                doc=" ".join((element.documentation or "").split()),
                line=line,
                limits=element.limits or (None, None),
            )


def _joined(
    function: str, operands: list[Expr], functions: list[str]
) -> tuple[list[Expr], list[str]]:
    """Join, from the left, the operands between which an operator stands."""
    kept, left = operands[:1], []
    for own, operand in zip(functions, operands[1:], strict=True):
        if own == function:
            kept[-1] = Call(function, (kept[-1], operand))
        else:
            kept.append(operand)
            left.append(own)
    return kept, left


_OPERATORS = {"and": ":AND:", "or": ":OR:", "AND": ":AND:", "OR": ":OR:"}


class _Tree:
    """PySD's expression of one equation, said in our vocabulary."""

    def __init__(
        self,
        names: Mapping[str, str],
        subscripts: Mapping[str, tuple[str, ...]],
        left: list[str],
        path: Path,
        line: int,
        macros: Collection[str] = (),
    ) -> None:
        self.macros = macros
        self.names = names
        self.subscripts = subscripts
        self.left = left
        self.path = path
        self.line = line

    def definition(self, component: pysd_model.AbstractComponent) -> Expr:
        ast = component.ast
        if isinstance(ast, pysd_ast.GetDataStructure):
            return self._series(ast, getattr(component, "keyword", None))
        if isinstance(ast, pysd_ast.GetConstantsStructure):
            shape = tuple(n for n in map(self._length, self.left) if n > 1)
            return Array(read_constants(self.path, self.line, ast.file, ast.tab, ast.cell, shape))
        if isinstance(ast, pysd_ast.GetLookupsStructure):
            return self._tables(ast)
        if isinstance(ast, pysd_ast.DataStructure):
            method = self._method(getattr(component, "keyword", None))
            return Data(np.empty(0), np.empty(0), method)
        return self.expression(ast)

    def expression(self, ast: Any) -> Expr:
        match ast:
            case bool() | int() | float() | np.integer() | np.floating():
                return Number(float(ast))
            case np.ndarray():
                return Array(np.asarray(ast, dtype=np.float64))
            case pysd_ast.ReferenceStructure():
                return self._reference(ast)
            case pysd_ast.ArithmeticStructure() | pysd_ast.LogicStructure():
                return self._operators([str(o) for o in ast.operators], ast.arguments)
            case pysd_ast.LookupsStructure():
                return self._table(ast)
            case pysd_ast.InlineLookupsStructure():
                return self._call("WITH LOOKUP", self._table(ast.lookups), ast.argument)
            case pysd_ast.CallStructure():
                return self._named_call(ast)
            case pysd_ast.IntegStructure():
                return self._call("INTEG", ast.flow, ast.initial)
            case pysd_ast.InitialStructure():
                return self._call("INITIAL", ast.initial)
            case pysd_ast.GameStructure():
                return self.expression(ast.expression)
            case pysd_ast.SmoothStructure() | pysd_ast.SmoothNStructure():
                return self._chain("SMOOTH", ast, ast.smooth_time)
            case pysd_ast.DelayStructure():
                return self._chain("DELAY", ast, ast.delay_time)
            case pysd_ast.DelayNStructure():
                return self._chain("DELAY N", ast, ast.delay_time)
            case pysd_ast.DelayFixedStructure():
                return self._call("DELAY FIXED", ast.input, ast.delay_time, ast.initial)
            case pysd_ast.TrendStructure():
                return self._call("TREND", ast.input, ast.average_time, ast.initial_trend)
            case pysd_ast.ForecastStructure():
                return self._call(
                    "FORECAST", ast.input, ast.average_time, ast.horizon, ast.initial_trend
                )
            case pysd_ast.SampleIfTrueStructure():
                return self._call("SAMPLE IF TRUE", ast.condition, ast.input, ast.initial)
            case pysd_ast.AllocateAvailableStructure():
                return self._call("ALLOCATE AVAILABLE", ast.request, ast.pp, ast.avail)
            case pysd_ast.AllocateByPriorityStructure():
                return self._call(
                    "ALLOCATE BY PRIORITY",
                    ast.request,
                    ast.priority,
                    ast.size,
                    ast.width,
                    ast.supply,
                )
        name = type(ast).__name__.removesuffix("Structure")
        raise self._refuse(f"'{name}'", "write the equation without it")

    def _chain(self, family: str, ast: Any, time: Any) -> Call:
        """A smooth or delay; PySD gives it its input for an initial value where it has none.

        Written out twice, the input of nested smooths would double with each level.
        """
        initial = () if ast.initial is ast.input else (ast.initial,)
        return self._call(family, ast.input, time, *initial, ast.order)

    def _call(self, function: str, *arguments: Any) -> Call:
        return Call(
            function,
            tuple(a if isinstance(a, Table) else self.expression(a) for a in arguments),
        )

    def _reference(self, ast: pysd_ast.ReferenceStructure) -> Ref:
        name = self.names.get(canonical(ast.reference), ast.reference.replace("_", " "))
        if ast.subscripts is None:
            return Ref(name)
        return Ref(name, tuple(s.strip() for s in ast.subscripts.subscripts))

    def _operators(self, operators: list[str], arguments: tuple[Any, ...]) -> Expr:
        operands = [self.expression(a) for a in arguments]
        if operators == ["negative"]:
            return Call("negative", (operands[0],))
        if len(operands) == 1:
            return Call(operators[0].upper(), (operands[0],))
        if operators[0] == "^":
            return self._powers(operands)
        functions = [_OPERATORS.get(operator, operator).upper() for operator in operators]
        # PySD's parser hands over a chain of :AND: and :OR: as one node, from the left.
        if ":OR:" in functions:
            operands, functions = _joined(":AND:", operands, functions)
        result = operands[0]
        for function, operand in zip(functions, operands[1:], strict=True):
            result = Call(function, (result, operand))
        return result

    def _powers(self, operands: list[Expr]) -> Expr:
        """a^b^c as a^(b^c), and -2^2 as -(2^2).

        PySD's parser folds a sign into a literal, so that '-2^2' and '(-2)^2' arrive alike; its
        own builder reads both as -(2^2), and so do we.
        """
        result = operands[-1]
        for base in reversed(operands[:-1]):
            if isinstance(base, Number) and base.value < 0:
                result = Call("negative", (Call("^", (Number(-base.value), result)),))
            else:
                result = Call("^", (base, result))
        return result

    def _named_call(self, ast: pysd_ast.CallStructure) -> Expr:
        function = canonical(ast.function.reference)
        if function in self.macros:
            return self._call(f"MACRO {function}", *ast.arguments)
        if function == "pulse train":  # PySD turns Vensim's (start, width, interval, end) round
            start, interval, width, end = ast.arguments
            return self._call("PULSE TRAIN", start, width, interval, end)
        if function in self.names:
            lookup = self._reference(ast.function)
            return Call("LOOKUP", (lookup, *map(self.expression, ast.arguments)))
        return self._call(function.upper(), *ast.arguments)

    def _table(self, ast: Any) -> Table:
        if not isinstance(ast, pysd_ast.LookupsStructure):
            raise self._refuse("a WITH LOOKUP without points", "write them as ((0,1),(1,2))")
        kinds = {
            "interpolate": "interpolate",
            "extrapolate": "extrapolate",
            "hold_backward": "hold",
        }
        kind = kinds.get(ast.type)
        if kind is None:
            raise self._refuse(f"a lookup of type '{ast.type}'", "use plain points")
        x, y = tuple(map(float, ast.x)), tuple(map(float, ast.y))
        if not x or any(b <= a for a, b in itertools.pairwise(x)):
            raise ModelFileError(
                "the x values of a lookup must increase; put its points in order",
                self.path,
                self.line,
            )
        return Table(x, y, kind)  # type: ignore[arg-type]  # checked against the literals above

    def _tables(self, ast: pysd_ast.GetLookupsStructure) -> Expr:
        """Lookups from a file: one, or one for each element."""
        lengths = self._lengths()
        x, values = read_sheet_series(
            self.path, self.line, ast.file, ast.tab, ast.x_row_or_col, ast.cell, self._size(lengths)
        )
        tables = []
        for column in values.T:
            known = ~np.isnan(column)
            if not known.any():
                raise ModelFileError(
                    f"'{ast.file}' leaves a lookup without a point; fill its cells",
                    self.path,
                    self.line,
                )
            tables.append(Table(tuple(x[known].tolist()), tuple(column[known].tolist())))
        return tables[0] if not lengths else Tables(tuple(tables))

    def _series(self, ast: pysd_ast.GetDataStructure, keyword: str | None) -> Data:
        lengths = self._lengths()
        times, values = read_sheet_series(
            self.path,
            self.line,
            ast.file,
            ast.tab,
            ast.time_row_or_col,
            ast.cell,
            self._size(lengths),
        )
        if not lengths:
            known = ~np.isnan(values[:, 0])
            times, values = times[known], values[known, 0]
        return Data(times, values, self._method(keyword))

    def _method(
        self, keyword: str | None
    ) -> Literal["interpolate", "look forward", "hold backward", "raw"]:
        match keyword:
            case None | "interpolate":
                return "interpolate"
            case "look_forward":
                return "look forward"
            case "hold_backward":
                return "hold backward"
            case "raw":
                return "raw"
        raise self._refuse(f"the data keyword ':{keyword}:'", "use :INTERPOLATE:")

    def _lengths(self) -> list[int]:
        """Number of elements of each subscript on the left that is a range."""
        by_canonical = {canonical(n) for n in self.subscripts}
        return [self._length(s) for s in self.left if canonical(s) in by_canonical]

    def _size(self, lengths: list[int]) -> int:
        if sum(n > 1 for n in lengths) > 1:
            raise self._refuse(
                "a table of several subscript ranges at once", "write one equation for each element"
            )
        return math.prod(lengths)

    def _length(self, subscript: str) -> int:
        by_canonical = {canonical(n): e for n, e in self.subscripts.items()}
        return len(by_canonical.get(canonical(subscript), (subscript,)))

    def _refuse(self, construct: str, remedy: str) -> UnsupportedConstruct:
        return UnsupportedConstruct(
            f"{construct} is not supported yet; {remedy}", self.path, self.line
        )
