"""Build a model in Python from stocks, flows, auxiliaries, lookups and ranges.

::

    m = ModelBuilder(end=200, step=1, time_unit="Month")
    m.rabbits = Stock(100, unit="animal")
    m.birth_rate = Auxiliary(0.1, unit="1/Month")
    m.births = Flow(m.rabbits * m.birth_rate, unit="animal/Month")
    m.births >> m.rabbits
    model = m.build()

A variable gets its name from the attribute to which it is assigned (``m["share (%)"]`` for other
names).  The attribute then returns a `FormulaTerm`, which arithmetic and comparisons combine into
larger terms.  A right-hand side may also be Vensim text, which can use every function.  Units are
checked as soon as everything that an equation uses is known.  `ModelBuilder.build` compiles the
model as if it had been read from a file.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from beltcast.engine.syntax import (
    CONTROLS,
    Array,
    Call,
    Equation,
    Expr,
    Number,
    Ref,
    Source,
    Table,
    canonical,
    references,
    show,
)
from beltcast.engine.units.check import check_units
from beltcast.errors import ModelError, UnitError, UnknownName, did_you_mean
from beltcast.model.changes import source_fingerprint
from beltcast.model.mathml import equation_math, expression_math
from beltcast.model.model import Model, compile_model

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Operand: TypeAlias = "FormulaTerm | float"
RightSide: TypeAlias = "FormulaTerm | float | str | ArrayLike"
Over: TypeAlias = "str | Sequence[str]"


@dataclass(frozen=True, eq=False)
class FormulaTerm:
    """A part of an equation.

    Attributes
    ----------
    expression : Expr
    builder : ModelBuilder, optional
        The builder of the variable, needed for ``>>``.
    """

    expression: Expr
    builder: ModelBuilder | None = None

    def __add__(self, other: Operand) -> FormulaTerm:
        return _call("+", self, other)

    def __radd__(self, other: Operand) -> FormulaTerm:
        return _call("+", other, self)

    def __sub__(self, other: Operand) -> FormulaTerm:
        return _call("-", self, other)

    def __rsub__(self, other: Operand) -> FormulaTerm:
        return _call("-", other, self)

    def __mul__(self, other: Operand) -> FormulaTerm:
        return _call("*", self, other)

    def __rmul__(self, other: Operand) -> FormulaTerm:
        return _call("*", other, self)

    def __truediv__(self, other: Operand) -> FormulaTerm:
        return _call("/", self, other)

    def __rtruediv__(self, other: Operand) -> FormulaTerm:
        return _call("/", other, self)

    def __pow__(self, other: Operand) -> FormulaTerm:
        return _call("^", self, other)

    def __rpow__(self, other: Operand) -> FormulaTerm:
        return _call("^", other, self)

    def __neg__(self) -> FormulaTerm:
        return _call("negative", self)

    def __lt__(self, other: Operand) -> FormulaTerm:
        return _call("<", self, other)

    def __le__(self, other: Operand) -> FormulaTerm:
        return _call("<=", self, other)

    def __gt__(self, other: Operand) -> FormulaTerm:
        return _call(">", self, other)

    def __ge__(self, other: Operand) -> FormulaTerm:
        return _call(">=", self, other)

    def __and__(self, other: Operand) -> FormulaTerm:
        return _call(":AND:", self, other)

    def __or__(self, other: Operand) -> FormulaTerm:
        return _call(":OR:", self, other)

    def __invert__(self) -> FormulaTerm:
        return _call(":NOT:", self)

    def __bool__(self) -> bool:
        raise TypeError(
            f"'{show(self.expression)}' has no truth value before the model runs; write "
            "call('IF THEN ELSE', condition, yes, no)"
        )

    def __getitem__(self, subscripts: str | tuple[str, ...]) -> FormulaTerm:
        """Return an element, or a range, of a variable with subscripts."""
        if not isinstance(self.expression, Ref):
            raise ModelError(f"'{show(self.expression)}' is no variable, so it has no elements")
        own = (subscripts,) if isinstance(subscripts, str) else subscripts
        return replace(self, expression=Ref(self.expression.name, own))

    def __call__(self, at: Operand) -> FormulaTerm:
        """Return the value of a lookup at an input."""
        return FormulaTerm(Call("LOOKUP", (self.expression, _expression(at))))

    def __rshift__(self, other: FormulaTerm) -> FormulaTerm:
        """Connect: ``flow >> stock`` flows in, ``stock >> flow`` flows out."""
        if self.builder is None or other.builder is not self.builder:
            raise ModelError("'>>' connects a flow and a stock of the same model")
        self.builder.connect(self, other)
        return other

    def __repr__(self) -> str:
        return show(self.expression)

    def _repr_html_(self) -> str:
        return expression_math(self.expression)


@dataclass(frozen=True, eq=False)
class _Definition:
    """What is assigned to a variable: right-hand side, unit, comment, group, ranges."""

    right: RightSide
    unit: str = ""
    doc: str = ""
    group: str = ""
    over: Over = ()

    @property
    def subscripts(self) -> tuple[str, ...]:
        return (self.over,) if isinstance(self.over, str) else tuple(self.over)


class Stock(_Definition):
    """A stock: its initial value, unit, comment, group, and the ranges it is an array over.

    A number becomes a constant of its own, ``initial <name>``, so that a run can set it.
    """


class Flow(_Definition):
    """A flow: its equation in units of the stock per unit of time, and as for `Stock`."""


class Auxiliary(_Definition):
    """An auxiliary or a constant: its equation, a number, or an array of numbers."""


@dataclass(frozen=True, eq=False)
class LookupPoints:
    """A lookup: points joined by straight lines, the last value kept beyond the ends."""

    x: Sequence[float]
    y: Sequence[float]
    unit: str = ""
    doc: str = ""
    group: str = ""


class ModelBuilder:
    """A model under construction.

    Parameters
    ----------
    start, end, step : float  [time]
        INITIAL TIME, FINAL TIME and TIME STEP.
    save_every : float, optional  [time]
        SAVEPER; every step by default.
    time_unit : str
    method : 'euler', 'rk2' or 'rk4'
    ranges : mapping of str to sequence of str, optional
        Subscript ranges and their elements.
    check_units : bool
        Refuse an equation with inconsistent units.  A variable without a unit fits any other.

    Examples
    --------
    >>> from beltcast import ModelBuilder
    >>> from beltcast.model.building import Auxiliary, Flow, Stock
    >>> m = ModelBuilder(end=10, step=0.25)
    >>> m.rabbits = Stock(100)
    >>> m.birth_rate = Auxiliary(0.5)
    >>> m.births = Flow(m.rabbits * m.birth_rate)
    >>> m.births >> m.rabbits
    rabbits
    >>> m.build().simulate(outputs="rabbits", save_at=[0.25])["rabbits"].item()
    112.5
    """

    def __init__(
        self,
        *,
        start: float = 0.0,
        end: float,
        step: float = 1.0,
        save_every: float | None = None,
        time_unit: str = "",
        method: str = "euler",
        ranges: Mapping[str, Sequence[str]] | None = None,
        check_units: bool = True,
    ) -> None:
        saved: Expr = Ref("TIME STEP") if save_every is None else Number(float(save_every))
        numbers: dict[str, Expr] = {
            "INITIAL TIME": Number(float(start)),
            "FINAL TIME": Number(float(end)),
            "TIME STEP": Number(float(step)),
            "SAVEPER": saved,
        }
        self.__dict__["_controls"] = {
            canonical(name): Equation(name, (), (), value, unit=time_unit)
            for name, value in numbers.items()
        }
        self.__dict__["_ranges"] = {n: tuple(e) for n, e in (ranges or {}).items()}
        self.__dict__["_method"] = method
        self.__dict__["_check"] = check_units
        self.__dict__["_given"] = {}
        self.__dict__["_flows"] = {}

    # The containers live in __dict__, since assigning an attribute defines a variable.
    _controls: dict[str, Equation]
    _ranges: dict[str, tuple[str, ...]]
    _method: str
    _check: bool
    _given: dict[str, tuple[str, _Definition | LookupPoints]]
    _flows: dict[str, list[tuple[int, str]]]

    def __setattr__(self, name: str, definition: _Definition | LookupPoints) -> None:
        self[name.replace("_", " ").strip()] = definition

    def __setitem__(self, name: str, definition: _Definition | LookupPoints) -> None:
        if not isinstance(definition, (_Definition, LookupPoints)):
            raise ModelError(
                f"'{name}' is assigned a {type(definition).__name__}; give a Stock, Flow, "
                "Auxiliary or LookupPoints"
            )
        key = canonical(name)
        if key in (*CONTROLS, "time"):
            raise ModelError(f"'{name}' is set by ModelBuilder itself; choose another name")
        before = self._given.get(key)
        self._given[key] = (name, definition)
        try:
            self._check_new()
        except UnitError:
            if before is None:
                del self._given[key]
            else:
                self._given[key] = before
            raise

    def __getattr__(self, name: str) -> FormulaTerm:
        if name.startswith("_"):  # notebooks and pickle ask for these; they are not variables
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> FormulaTerm:
        key = canonical(name)
        if key == "time":
            return FormulaTerm(Ref("Time"))
        if key in self._controls:
            return FormulaTerm(Ref(self._controls[key].name))
        if key not in self._given:
            names = [own for own, _ in self._given.values()]
            raise UnknownName(f"the model has no '{name}' yet{did_you_mean(name, names)}")
        own, definition = self._given[key]
        over = definition.subscripts if isinstance(definition, _Definition) else ()
        return FormulaTerm(Ref(own, over), self)

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self._given.values())
        return f"ModelBuilder of {len(self._given)} variables: {names or 'none yet'}"

    def _repr_html_(self) -> str:
        equations = self._source(self._given).equations
        return "".join(f"<div>{equation_math(equation)}</div>" for equation in equations)

    def connect(self, first: FormulaTerm, second: FormulaTerm) -> None:
        """Let a flow enter a stock or leave it, as ``>>`` does.

        Raises
        ------
        ModelError
            Not one of the two is a stock.
        """
        names = [canonical(one.expression.name) for one in (first, second)]  # type: ignore[union-attr]  # terms of a builder are references
        stocks = [isinstance(self._given[name][1], Stock) for name in names]
        if stocks[0] == stocks[1]:
            raise ModelError(
                f"'{first!r} >> {second!r}' connects two "
                f"{'stocks' if stocks[0] else 'variables that are no stocks'}; put a flow between "
                "stocks"
            )
        stock, sign, flow = (names[1], 1, names[0]) if stocks[1] else (names[0], -1, names[1])
        self._flows.setdefault(stock, []).append((sign, self._given[flow][0]))
        self._check_new()

    def build(self) -> Model:
        """Compile the model.

        Raises
        ------
        ModelFileError, UnknownName, UnsupportedConstruct
            As `beltcast.load_model`: the equations are inconsistent.
        """
        return compile_model(self.source())

    def source(self) -> Source:
        """Return the equations."""
        made = self._source(self._given)
        return replace(made, text_sha256=source_fingerprint(made))

    def _source(self, keys: Mapping[str, object] | Sequence[str]) -> Source:
        given = {key: self._given[key] for key in keys}
        texts = self._texts(given)
        equations: list[Equation] = []
        for key, (name, definition) in given.items():
            expression = texts.get(key)
            if expression is None:
                expression = self._right(name, definition)
            over = definition.subscripts if isinstance(definition, _Definition) else ()
            if isinstance(definition, Stock):
                expression, constant = self._initial(name, definition, expression)
                equations += constant
                expression = Call("INTEG", (self._rate(key), expression))
            equations.append(Equation(name, over, (), expression, definition.unit, definition.doc))
        return Source(
            path=None,
            text_sha256="",
            encoding="utf-8",
            equations=tuple(equations),
            subscripts=dict(self._ranges),
            controls=dict(self._controls),
            method=self._method,  # type: ignore[arg-type]  # compiling refuses another word
            groups={key: d.group for key, (_, d) in given.items() if d.group},
        )

    def _texts(
        self, given: Mapping[str, tuple[str, _Definition | LookupPoints]]
    ) -> dict[str, Expr]:
        """Right-hand sides that are Vensim text, read together."""
        texts = {
            key: (name, definition)
            for key, (name, definition) in given.items()
            if isinstance(definition, _Definition) and isinstance(definition.right, str)
        }
        if not texts:
            return {}
        from beltcast.engine.vensim.equations import read_equations

        lookups = tuple(
            Equation(name, (), (), self._right(name, d))
            for key, (name, d) in given.items()
            if isinstance(d, LookupPoints)
        )
        context = Source(None, "", "utf-8", lookups, self._ranges)
        lefts = {
            show(Ref(name, definition.subscripts)): str(definition.right)
            for name, definition in texts.values()
        }
        found = {canonical(e.name): e.expression for e in read_equations(lefts, context)}
        return {key: found[key] for key in texts}

    def _right(self, name: str, definition: _Definition | LookupPoints) -> Expr:
        if isinstance(definition, LookupPoints):
            x, y = (tuple(map(float, part)) for part in (definition.x, definition.y))
            if len(x) != len(y) or not x or any(b <= a for a, b in itertools.pairwise(x)):
                raise ModelError(
                    f"the lookup '{name}' needs as many x as y, and x in ascending order; it has "
                    f"{len(x)} and {len(y)}"
                )
            return Table(x, y)
        right = definition.right
        if isinstance(right, FormulaTerm):
            return right.expression
        numbers = np.asarray(right, dtype=np.float64)
        return Array(numbers) if numbers.ndim else Number(float(numbers))

    def _initial(self, name: str, stock: Stock, value: Expr) -> tuple[Expr, tuple[Equation, ...]]:
        """Name the number that a stock starts with: runs can set a constant."""
        own = f"initial {name}"
        if not isinstance(value, (Number, Array)) or canonical(own) in self._given:
            return value, ()
        doc = f"Initial value of {name}."
        constant = Equation(own, stock.subscripts, (), value, stock.unit, doc)
        return Ref(own, stock.subscripts), (constant,)

    def _rate(self, stock: str) -> Expr:
        """Inflows, then outflows, each in the order of connection."""
        flows = sorted(self._flows.get(stock, []), key=lambda flow: -flow[0])
        rate: Expr | None = None
        for sign, name in flows:
            flow = self[name].expression
            if rate is None:
                rate = flow if sign > 0 else Call("negative", (flow,))
            else:
                rate = Call("+" if sign > 0 else "-", (rate, flow))
        return Number(0.0) if rate is None else rate

    def _check_new(self) -> None:
        """Refuse inconsistent units in equations whose variables are all known."""
        if not self._check or not self._controls["time step"].unit:
            return
        known = {
            k: entry
            for k, entry in self._given.items()
            if not (isinstance(entry[1], _Definition) and isinstance(entry[1].right, str))
        }
        source = self._source(known)
        names = {*map(canonical, (e.name for e in source.equations)), *self._controls, "time"}
        complete = tuple(
            e
            for e in source.equations
            if all(canonical(ref.name) in names for ref in references(e.expression))
        )
        for problem in check_units(replace(source, equations=complete)):
            if problem.expected != "a unit":
                raise UnitError(problem.sentence)


def call(function: str, *arguments: Operand) -> FormulaTerm:
    """Apply a function of Vensim to terms: ``call("MAX", m.stock, 0)``.

    Parameters
    ----------
    function : str
        Any that the engine knows by this name, such as ``EXP``, ``MIN`` or ``IF THEN ELSE``, and
        SMOOTH, SMOOTH3, DELAY1, DELAY3 and others with an initial value, SMOOTHI, ....
    *arguments : FormulaTerm or float

    Examples
    --------
    >>> call("EXP", 2.0)
    EXP(2)
    """
    name = " ".join(function.upper().replace("_", " ").split())
    given = tuple(_expression(a) for a in arguments)
    if name in _CHAINS:
        family, order, counted = _CHAINS[name]
        if len(given) != counted:
            raise ModelError(f"{name} takes {counted} arguments and is given {len(given)}")
        value, time, *initial = given
        start = initial[0] if initial else value
        return FormulaTerm(Call(family, (value, time, start, Number(order))))
    return FormulaTerm(Call(name, given))


_CHAINS: Mapping[str, tuple[str, float, int]] = {
    f"{family}{digit}{ending}": (family, float(digit or 1), 2 + bool(ending))
    for family, digits in (("SMOOTH", ("", "3")), ("DELAY", ("1", "3")))
    for digit in digits
    for ending in ("", "I")
}


def total(term: FormulaTerm, over: str) -> FormulaTerm:
    """Sum a term over a subscript range.

    Parameters
    ----------
    term : FormulaTerm
        Its references over the range are summed together.
    over : str
        Name of the range.

    Examples
    --------
    >>> total(FormulaTerm(Ref("size", ("Belt",))), "Belt")
    SUM(size[Belt!])
    """
    wanted = canonical(over)

    def marked(expression: Expr) -> Expr:
        if isinstance(expression, Ref):
            return Ref(
                expression.name,
                tuple(f"{s}!" if canonical(s) == wanted else s for s in expression.subscripts),
            )
        if isinstance(expression, Call):
            return Call(expression.function, tuple(map(marked, expression.arguments)))
        return expression

    return FormulaTerm(Call("SUM", (marked(term.expression),)))


def _expression(operand: Operand) -> Expr:
    return operand.expression if isinstance(operand, FormulaTerm) else Number(float(operand))


def _call(function: str, *given: Operand) -> FormulaTerm:
    return FormulaTerm(Call(function, tuple(_expression(a) for a in given)))
