"""Resolution of the names in one XMILE equation: variables, subscripts, functions over arrays.

The parser leaves names as written.  Here each becomes that of a variable of the whole model
(modules are written out, so ``area`` inside the module ``hares`` is ``hares.area``), and each
array gets one subscript for each of its dimensions:

* a bare name stands for the current element, or for the whole array inside ``SUM`` and similar;
* ``*`` and ``first:last`` are marked with ``!``, the engine's sign of a range that the enclosing
  function runs over, and so is a dimension that is not on the left;
* in an equation for one element, a dimension of the left stands for that element.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from beltcast.engine.syntax import (
    Array,
    Call,
    Data,
    Expr,
    Number,
    Ref,
    Table,
    Tables,
    canonical,
)
from beltcast.engine.vensim.macros import MARK
from beltcast.engine.xmile.document import DocumentPlace
from beltcast.engine.xmile.expression import COMPUTED, ELEMENT, plain_name
from beltcast.engine.xmile.functions import ARRAY_FUNCTIONS, is_function, translate
from beltcast.errors import ModelFileError, did_you_mean


@dataclass(frozen=True)
class DeclaredVariable:
    """A variable as declared.

    Attributes
    ----------
    name
        With the names of its modules before it.
    dims
        Names of its dimensions.
    tables
        Its graphical function, if it has one: a call of the variable refers to that.
    lookup
        Whether it consists only of its graphical function.
    """

    name: str
    dims: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    lookup: bool = False


@dataclass(frozen=True)
class Heading:
    """Name and parameters of a macro; `defaults` has the values of parameters left out."""

    name: str
    parameters: tuple[str, ...]
    defaults: Mapping[str, Expr] = field(default_factory=dict)


@dataclass(frozen=True)
class Names:
    """All names in scope.

    Attributes
    ----------
    variables, dimensions, macros
        By canonical name: the variables of the model, the elements of each dimension, macros.
    ranges
        Subscript ranges as the engine needs them, by name as written.  Ranges that an equation
        needs beside the dimensions (a slice, the second of two equal dimensions) are added.
    copies
        The dimension that a range repeats, both canonical: a square has ``d`` and ``d (2)``,
        because the dimensions of an array must differ.
    graphs
        Variables with an equation and a graphical function for each element, by canonical name, and
        the lookups that calls of them need beside.
    prefix
        Of the module whose equations are read: ``""`` or ``"hares."``.
    """

    variables: Mapping[str, DeclaredVariable]
    dimensions: Mapping[str, tuple[str, ...]]
    macros: Mapping[str, Heading]
    ranges: dict[str, tuple[str, ...]]
    copies: dict[str, str]
    graphs: dict[str, str] = field(default_factory=dict)
    prefix: str = ""

    def inside(self, prefix: str) -> Names:
        """Return the names as the equations of a module read them."""
        return replace(self, prefix=prefix)

    def copy(self, dimension: str, number: int) -> str:
        """Return the name of the n-th range that repeats a dimension; the first is itself."""
        if number == 1:
            return dimension
        name = f"{dimension} ({number})"
        self.ranges.setdefault(name, self.ranges[dimension])
        self.copies[canonical(name)] = canonical(dimension)
        return name

    def written(self, dimension: str) -> str:
        """Return the name of a range as declared, of a copy that of what it repeats."""
        name = self.copies.get(canonical(dimension), canonical(dimension))
        return next(n for n in self.ranges if canonical(n) == name)

    def elements(self, dimension: str) -> tuple[str, ...]:
        """Return the elements of a dimension."""
        return self.ranges[self.written(dimension)]


@dataclass(frozen=True)
class Left:
    """The left-hand side of an equation: the subscripts are dimensions or single elements."""

    variable: DeclaredVariable
    subscripts: tuple[str, ...]
    place: DocumentPlace

    @property
    def ref(self) -> Ref:
        """The current variable."""
        return Ref(self.variable.name, self.subscripts)


def resolve(tree: Expr, left: Left, names: Names) -> Expr:
    """Resolve the names of an expression.

    Parameters
    ----------
    tree : Expr
        As `beltcast.engine.xmile.expression.parse_expression` returns it.
    left : Left
    names : Names

    Returns
    -------
    Expr
        In the engine's names and functions.

    Raises
    ------
    ModelFileError
        A subscript that the array does not have, or a wrong number of arguments.
    UnsupportedConstruct
        A function that the engine does not have.
    """
    return _Meaning(left, names).of(tree)


def full_name(text: str, prefix: str) -> str:
    """Return a name as written under that of the whole model.

    >>> full_name('lynxes."size of one"', "zoo.")
    'zoo.lynxes.size of one'
    >>> full_name(".area", "zoo.")
    'area'
    """
    parts = [plain_name(part) for part in re.findall(r'"(?:[^"\\]|\\.)*"|[^."]+', text)]
    return ("" if text.lstrip().startswith(".") else prefix) + ".".join(parts)


RUN_WORDS = {
    "dt": "TIME STEP",
    "starttime": "INITIAL TIME",
    "stoptime": "FINAL TIME",
    "time": "Time",
}
_ENGINE = {"MIN": "VMIN", "MAX": "VMAX"}
_RUNNING = ("SUM", "PROD", "VMIN", "VMAX", "RANK")
_SLICE = re.compile(r"(.*):(.*)")


@dataclass(frozen=True)
class _Meaning:
    """Resolution inside one equation; `over` is the array function around, if any."""

    left: Left
    names: Names
    over: str = ""

    def of(self, tree: Expr) -> Expr:
        match tree:
            case Ref():
                return self.reference(tree)
            case Call(function=function, arguments=arguments):
                return self.call(function, arguments)
            case Array() if self.over:
                raise self.error(
                    "a list of numbers inside an expression; give it a name of its own"
                )
            case Number() | Array() | Table() | Tables() | Data():
                return tree

    def error(self, problem: str) -> ModelFileError:
        return self.left.place.error(f"in the equation of '{self.left.variable.name}': {problem}")

    def find(self, text: str) -> DeclaredVariable | None:
        return self.names.variables.get(canonical(full_name(text, self.names.prefix)))

    # --- functions

    def call(self, function: str, arguments: tuple[Expr, ...]) -> Expr:
        if function == ELEMENT and arguments and isinstance(arguments[0], Ref):
            ref, computed = arguments[0], arguments[1:]
            places = [i for i, s in enumerate(ref.subscripts) if s == COMPUTED]
            return self.computed(ref, dict(zip(places, computed, strict=True)))
        if not function[:1].isalpha() or function == "negative":
            return Call(function, tuple(map(self.of, arguments)))
        macro = self.names.macros.get(function.lower())
        if macro is not None:
            return self.macro(macro, tuple(map(self.of, arguments)))
        called = self.find(function)
        if called is not None and called.tables:
            return self.graph(called, Ref(function), arguments)
        if function in _OF_GRAPHS and arguments and isinstance(arguments[0], Ref):
            called = self.find(arguments[0].name)
            meant = canonical(arguments[0].name).upper()
            if called is None and function == "LOOKUP" and is_function(meant):
                # xmutil writes LOOKUP(COSH, x) for a function that it does not know.
                return self.call(meant, arguments[1:])
            if called is None or not called.tables:
                raise self.error(f"'{plain_name(arguments[0].name)}' is no graphical function")
            if function == "LOOKUP":
                return self.graph(called, arguments[0], arguments[1:])
            points = self.points(called, arguments[0])
            return Call(_OF_GRAPHS[function], (points, *map(self.of, arguments[1:])))
        if function in ARRAY_FUNCTIONS and len(arguments) == 1:
            return self.array_function(function, arguments[0])
        if function in ("MIN", "MAX") and len(arguments) == 2:
            return Call(function, tuple(self.extreme(function, a) for a in arguments))
        if function == "RANK" and len(arguments) == 2:
            inside = self.spread(function, arguments[0])
            return Call(function, (inside, self.of(arguments[1])))
        return translate(function, tuple(map(self.of, arguments)), self.left.ref, self.left.place)

    def macro(self, macro: Heading, given: tuple[Expr, ...]) -> Expr:
        values = dict(zip(macro.parameters, given, strict=False))
        for parameter in macro.parameters[len(given) :]:
            if parameter in macro.defaults:
                values[parameter] = _filled(macro.defaults[parameter], values)
        if len(given) > len(macro.parameters) or len(values) < len(macro.parameters):
            raise self.error(
                f"the macro '{macro.name}' takes {len(macro.parameters)} arguments and is given "
                f"{len(given)}"
            )
        return Call(MARK + canonical(macro.name), tuple(values[p] for p in macro.parameters))

    def graph(self, called: DeclaredVariable, ref: Ref, arguments: tuple[Expr, ...]) -> Expr:
        if len(arguments) != 1:
            raise self.error(f"the graphical function '{called.name}' takes one argument")
        at = self.of(arguments[0])
        points = self.points(called, ref)
        return Call("WITH LOOKUP" if isinstance(points, Table) else "LOOKUP", (points, at))

    def points(self, called: DeclaredVariable, ref: Ref) -> Expr:
        """A graphical function by its name, or its points if its variable has an equation."""
        if called.lookup:
            return self.reference(ref)
        if len(set(called.tables)) > 1:
            apart = self.names.graphs.setdefault(canonical(called.name), f"{called.name} graph")
            own = self.reference(ref)
            return replace(own, name=apart) if isinstance(own, Ref) else own
        return called.tables[0]

    def array_function(self, function: str, argument: Expr) -> Expr:
        if isinstance(argument, Ref) and function == "SIZE":
            dimension = self.names.dimensions.get(canonical(argument.name))
            if dimension is not None:
                return Number(float(len(dimension)))
        inside = self.spread(function, argument)
        marks = {m for ref in _outer_references(inside) for m in _marks(ref)}
        count = Number(float(math.prod(len(self.names.ranges[m[:-1]]) for m in marks)))
        mean = Call("/", (Call("SUM", (inside,)), count))
        match function:
            case "SIZE":
                return count
            case "MEAN":
                return mean
            case "STDDEV":
                square = Call("^", (Call("-", (inside, mean)), Number(2.0)))
                return Call("SQRT", (Call("/", (Call("SUM", (square,)), count)),))
            case _:
                return Call(_ENGINE.get(function, function), (inside,))

    def extreme(self, function: str, argument: Expr) -> Expr:
        """One of two arguments of MIN or MAX: of a whole array it is the least or the largest.

        isee ("Working with Array Equations in Version 10"): MAX(A, 0) is the largest element of
        A, or zero if all are negative, and MAX(A, B) the largest of two arrays.  What is
        computed element by element, for the dimensions on the left, stays so.
        """
        inside = replace(self, over=function).of(argument)
        marked = [m for ref in _outer_references(inside) if (m := _marks(ref))]
        if not marked:
            return self.of(argument)
        self.check_pairing(function, marked)
        return Call(_ENGINE[function], (inside,))

    def spread(self, function: str, argument: Expr) -> Expr:
        """The argument of an array function, with the ranges marked that it runs over."""
        if isinstance(argument, Ref) and not argument.subscripts:
            # A bare name as the whole argument is the whole array.
            variable = self.find(argument.name)
            stars = ("*",) * len(variable.dims) if variable is not None else ()
            argument = replace(argument, subscripts=stars)
        inside = replace(self, over=function).of(argument)
        marked = [m for ref in _outer_references(inside) if (m := _marks(ref))]
        if not marked:
            raise self.error(f"{function} runs over an array, and there is none in its argument")
        self.check_pairing(function, marked)
        return inside

    def check_pairing(self, function: str, marked: list[frozenset[str]]) -> None:
        """Arrays inside one function run together by dimension: that must be unambiguous."""
        largest = max(marked, key=len)
        twice = any(canonical(m[:-1]) in self.names.copies for m in largest)
        if any(not m <= largest or (twice and m != largest) for m in marked):
            raise self.left.place.refusal(
                f"in the equation of '{self.left.variable.name}': {function} over arrays of "
                "different dimensions or slices is not supported, because they could be paired in "
                "several ways; write the product into an array of its own"
            )

    # --- references

    def reference(self, ref: Ref) -> Expr:
        variable = self.find(ref.name)
        if variable is None:
            return self.word(ref)
        written = ref.subscripts
        if not written:
            own = {canonical(self.names.written(d)) for d in variable.dims}
            foreign = self.over and not own <= self.on_the_left()
            written = ("*",) * len(variable.dims) if foreign else variable.dims
        if len(written) != len(variable.dims):
            raise self.error(
                f"'{variable.name}' has {len(variable.dims)} subscripts and is used with "
                f"{len(written)}"
            )
        indices = {
            place: Ref(text)
            for place, (text, dim) in enumerate(zip(written, variable.dims, strict=True))
            if self.is_computed(text, dim)
        }
        if indices:
            return self.computed(replace(ref, subscripts=tuple(written)), indices)
        subscripts: list[str] = []
        for place, (text, dim) in enumerate(zip(written, variable.dims, strict=True)):
            subscripts.append(self.subscript(text, dim, variable, place, subscripts))
        return Ref(variable.name, tuple(subscripts))

    def is_computed(self, text: str, dim: str) -> bool:
        """Whether a subscript is the name of a variable, whose value is the position from 1."""
        name = canonical(text)
        known = {canonical(e) for e in self.names.elements(dim)}
        if name.removeprefix(f"{canonical(self.names.written(dim))}.") in known:
            return False
        if name in self.names.dimensions or name in self.names.copies or text == "*":
            return False
        return not _SLICE.fullmatch(text) and self.find(text) is not None

    def computed(self, ref: Ref, indices: Mapping[int, Expr]) -> Expr:
        """An element with a computed position, from 1."""
        variable = self.find(ref.name)
        if variable is None or len(ref.subscripts) != len(variable.dims):
            raise self.error(f"'{plain_name(ref.name)}' has not as many subscripts; check them")
        if len(indices) > 1:
            raise self.left.place.refusal(
                f"in the equation of '{self.left.variable.name}': two computed subscripts at once, "
                f"in '{variable.name}', are not supported; put one of them into a variable of its "
                "own"
            )
        ((place, index),) = indices.items()
        subscripts = list(ref.subscripts)
        subscripts[place] = self.names.elements(variable.dims[place])[0]
        first = self.reference(replace(ref, subscripts=tuple(subscripts)))
        offset = Call("-", (self.of(index), Number(1.0)))
        return Call(ELEMENT, (first, offset, Number(float(place))))

    def word(self, ref: Ref) -> Expr:
        """A name that is not a variable: of the run, of the language, or unknown."""
        name = canonical(ref.name)
        if not ref.subscripts:
            if name == "self":
                return self.left.ref
            if name in ("pi", "inf", "nan"):
                return translate(name.upper(), (), self.left.ref, self.left.place)
            if name in RUN_WORDS:
                return Ref(RUN_WORDS[name])
            number = self.number(name)
            if number is not None:
                return number
        return replace(ref, name=full_name(ref.name, ""))

    def number(self, name: str) -> Expr | None:
        """The position, from 1, of the named or current element in its dimension."""
        if name in self.names.dimensions:
            elements, here = self.names.dimensions[name], self.here(name)
            if here is None or here in elements:
                return None if here is None else Number(elements.index(here) + 1.0)
            return self.place_in(elements, Ref(here))
        places = {
            elements.index(e) + 1.0
            for dim, elements in self.names.dimensions.items()
            for e in elements
            if name in (canonical(e), f"{dim}.{canonical(e)}")
        }
        if len(places) > 1:
            raise self.error(
                f"'{name}' is an element of several dimensions, in different places; name the "
                "dimension, as in 'dimension.element'"
            )
        return Number(places.pop()) if places else None

    def place_in(self, elements: tuple[str, ...], ref: Ref) -> Ref:
        """The engine counts in the largest range that holds an element: no other is allowed."""
        for element in elements:
            family = max((r for r in self.names.ranges.values() if element in r), key=len)
            if family.index(element) != elements.index(element):
                raise self.left.place.refusal(
                    f"in the equation of '{self.left.variable.name}': '{ref.name}' as a number is "
                    "not supported, because its elements have other places in a larger dimension; "
                    "write the numbers into an array"
                )
        return ref

    def on_the_left(self) -> set[str]:
        return {canonical(self.names.written(d)) for d in self.left.variable.dims}

    def here(self, dimension: str, place: int | None = None) -> str | None:
        """The meaning of a dimension of the left-hand side in this equation."""
        dims = [canonical(self.names.written(d)) for d in self.left.variable.dims]
        if dimension not in dims:
            return None
        if dims.count(dimension) == 1:
            return self.left.subscripts[dims.index(dimension)]
        if place is None or dims[place] != dimension:
            raise self.error(
                f"the dimension '{dimension}' is on the left twice, and either could be meant; "
                "use a second dimension of the same elements"
            )
        return self.left.subscripts[place]

    def subscript(
        self, text: str, dim: str, variable: DeclaredVariable, place: int, before: list[str]
    ) -> str:
        """The subscript at one position of an array, as the engine reads it."""
        elements = self.names.elements(dim)
        if text == "*":
            return self.marked(dim, before, variable)
        part = self.names.dimensions.get(canonical(text.removeprefix("*:")))
        if text.startswith("*:") and part is not None and set(part) <= set(elements):
            return self.marked(canonical(text.removeprefix("*:")), before, variable)
        sliced = _SLICE.fullmatch(text)
        if sliced:
            first, last = (self.element(t, dim, variable) for t in sliced.groups())
            low, high = elements.index(first), elements.index(last)
            if low > high:
                raise self.error(f"the slice '{text}' of '{variable.name}' runs backwards")
            name = f"{self.names.written(dim)} {first}:{last}"
            self.names.ranges.setdefault(name, elements[low : high + 1])
            return self.marked(name, before, variable)
        name = self.names.copies.get(canonical(text), canonical(text))
        if name in self.names.dimensions and name not in map(canonical, elements):
            same = self.left.variable.dims == variable.dims
            here = self.here(name, place if same else None)
            if here is not None:
                return here
            return self.marked(name, before, variable) if self.over else self.names.written(name)
        return self.element(text, dim, variable)

    def marked(self, dim: str, before: list[str], variable: DeclaredVariable) -> str:
        """A range that the function around runs over; the second of a name gets one of its own."""
        if not self.over:
            raise self.error(
                f"'{variable.name}' is used with '*' or a slice outside SUM and its like; name an "
                "element or a dimension"
            )
        written = self.names.written(dim)
        copies = (self.names.copy(written, number) for number in itertools.count(1))
        return next(f"{name}!" for name in copies if f"{name}!" not in before)

    def element(self, text: str, dim: str, variable: DeclaredVariable) -> str:
        elements = self.names.elements(dim)
        own = {canonical(e): e for e in elements}
        name = canonical(text)
        name = name.removeprefix(f"{canonical(self.names.written(dim))}.")
        if name in own:
            return own[name]
        if re.fullmatch(r"\d{1,9}", name) and 1 <= int(name) <= len(elements):
            return elements[int(name) - 1]
        raise self.error(
            f"'{text}' is not an element of '{dim}', the dimension of '{variable.name}'"
            + did_you_mean(text, elements)
        )


_OF_GRAPHS = {
    "LOOKUP": "LOOKUP",
    "LOOKUPAREA": "XLOOKUP AREA",
    "LOOKUPINV": "LOOKUP INVERT",
    # As Vensim writes them into XMILE.
    **{name: name for name in ("LOOKUP BACKWARD", "LOOKUP EXTRAPOLATE", "LOOKUP FORWARD")},
}
"""Functions whose first argument is a graphical function, and their names in the engine."""


def _filled(expression: Expr, values: Mapping[str, Expr]) -> Expr:
    """An expression with the parameters of a macro replaced by the arguments."""
    if isinstance(expression, Ref):
        return values.get(canonical(expression.name), expression)
    if isinstance(expression, Call):
        return replace(
            expression, arguments=tuple(_filled(a, values) for a in expression.arguments)
        )
    return expression


def _marks(ref: Ref) -> frozenset[str]:
    return frozenset(s for s in ref.subscripts if s.endswith("!"))


def _outer_references(expression: Expr) -> list[Ref]:
    """References without those of an array function inside, which runs by itself."""
    if isinstance(expression, Call) and expression.function in _RUNNING:
        return []
    if isinstance(expression, Call):
        return [ref for a in expression.arguments for ref in _outer_references(a)]
    return [expression] if isinstance(expression, Ref) else []
