"""Translate PySD's expression of one equation to `beltcast.engine.syntax`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pysd.translators.structures import (
    abstract_expressions as pysd_ast,
)
from pysd.translators.structures import (
    abstract_model as pysd_model,
)

from beltcast.engine.external import read_constants, read_sheet_series
from beltcast.engine.syntax import (
    Array,
    Call,
    Data,
    Equation,
    Expr,
    Number,
    Ref,
    Table,
    Tables,
    canonical,
)
from beltcast.engine.vensim.normal_text import held_points
from beltcast.errors import ModelFileError, UnsupportedConstruct


def equations_of(
    elements: tuple[pysd_model.AbstractElement, ...],
    subscripts: Mapping[str, tuple[str, ...]],
    lines: Mapping[str, list[int]],
    path: Path,
    macros: Collection[str] = (),
    points: Sequence[tuple[tuple[float, float], ...]] = (),
    named: Mapping[str, str] | None = None,
) -> Iterator[Equation]:
    """Yield the equations of a section of PySD's model.

    Parameters
    ----------
    elements : tuple of AbstractElement
    subscripts : mapping
        Elements of each range, by name as written.
    lines : mapping
        Lines on which each name is defined, by canonical name.
    path : Path
    macros : collection of str
        Canonical names of the model's macros.
    points : sequence
        Of long lookups, by number (`beltcast.engine.vensim.normal_text`).
    named : mapping, optional
        Further variables, those that calls of macros make, by canonical name.
    """
    names = {canonical(element.name): element.name for element in elements} | dict(named or {})
    for element in elements:
        places = lines.get(canonical(element.name), [])
        for number, component in enumerate(element.components):
            line = places[min(number, len(places) - 1)] if places else 0
            tree = _Tree(names, subscripts, component.subscripts[0], path, line, macros, points)
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
    """PySD's expression of one equation, in our syntax."""

    def __init__(
        self,
        names: Mapping[str, str],
        subscripts: Mapping[str, tuple[str, ...]],
        left: list[str],
        path: Path,
        line: int,
        macros: Collection[str] = (),
        points: Sequence[tuple[tuple[float, float], ...]] = (),
    ) -> None:
        self.macros = macros
        self.points = points
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
        expression = self.expression(ast)
        if isinstance(component, pysd_model.AbstractData) and isinstance(expression, Ref):
            return Data(np.empty(0), np.empty(0), self._method(component.keyword), of=expression)
        return expression

    def expression(self, ast: Any) -> Expr:
        match ast:
            case pysd_ast.ReferenceStructure():
                return self._reference(ast)
            case int() | float() | np.integer() | np.floating():
                return Number(float(ast))
            case np.ndarray():
                return Array(np.asarray(ast, dtype=np.float64))
            case pysd_ast.ArithmeticStructure() | pysd_ast.LogicStructure():
                return self._operators([str(o) for o in ast.operators], ast.arguments)
            case pysd_ast.LookupsStructure():
                return self._table(ast)
            case pysd_ast.InlineLookupsStructure():
                return self._call("WITH LOOKUP", self._table(ast.lookups), ast.argument)
            case pysd_ast.CallStructure():
                return self._named_call(ast)
            case pysd_ast.IntegStructure():
                if ast.non_negative is not False:  # where PySD puts a third argument
                    raise self._refuse(
                        "a third argument of INTEG", "give the rate and the initial value alone"
                    )
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
            case str():
                raise self._refuse("a text as a value", "write a number")
            case _:
                name = type(ast).__name__.removesuffix("Structure")
                raise self._refuse(f"'{name}'", "write the equation without it")

    def _chain(self, family: str, ast: Any, time: Any) -> Call:
        """A smooth or delay; PySD uses its input as the initial value if there is none.

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
        # PySD's parser returns a chain of :AND: and :OR: as one node, from the left.
        if ":OR:" in functions:
            operands, functions = _joined(":AND:", operands, functions)
        result = operands[0]
        for function, operand in zip(functions, operands[1:], strict=True):
            result = Call(function, (result, operand))
        return result

    def _powers(self, operands: list[Expr]) -> Expr:
        """a^b^c as a^(b^c), and -2^2 as -(2^2).

        PySD's parser folds a sign into a literal, so that '-2^2' and '(-2)^2' would arrive alike;
        `normal_text` writes the latter as '(0-2)^2'.
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
        if function.startswith("get vdf "):
            raise self._refuse(
                f"{function.upper()}, which reads Vensim's own binary results,",
                "export them to a table and read it by GET DIRECT CONSTANTS or GET DIRECT DATA",
            )
        if function in self.macros:
            return self._call(f"MACRO {function}", *ast.arguments)
        if function == "pulse train":  # PySD reorders Vensim's (start, width, interval, end)
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
        x, y = held_points(ast.x, ast.y, self.points)
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
            case _:
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
