"""Macros written out: each call becomes equations of its own.

``y = M(a + b, c)`` makes an equation for each parameter of ``M`` and for each equation inside it,
under names that begin with the macro and the number of the call, and reads the one that is named
like the macro.  The new equations carry the subscripts of the equation that calls, so that a
stock inside a macro called for each belt is a stock for each belt.  A call inside a SUM becomes an
equation of its own first, over the ranges that the SUM runs over.

Further outputs of a macro are its last parameters (Vensim's help 22145: they follow a colon).  A
call that names variables there makes these variables.

Inside a macro, names are those of its parameters and equations, then those of the model (``Time``,
and anything marked with ``$``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from beltcast.engine.lower.walk import marked_in
from beltcast.engine.syntax import Call, Data, Equation, Expr, Ref, canonical
from beltcast.errors import ModelFileError, UnsupportedConstruct

MARK = "MACRO "
"""Prefix of the function of a `Call` of a macro."""


@dataclass(frozen=True)
class Macro:
    """A macro of a model file.

    ``parameters`` are canonical names; the last ``outputs`` of them are further outputs.
    """

    name: str
    parameters: tuple[str, ...]
    equations: tuple[Equation, ...]
    outputs: int = 0


def expand(
    equations: tuple[Equation, ...], macros: Mapping[str, Macro], path: Path
) -> tuple[Equation, ...]:
    """Write out every call of a macro.

    Parameters
    ----------
    equations : tuple of Equation
    macros : mapping of canonical name to Macro
    path : Path
        The model file, for messages.

    Returns
    -------
    tuple of Equation
        In the order given, each followed by the equations that its calls made.

    Raises
    ------
    ModelFileError
        A macro calls itself, or is called with a wrong number of arguments.
    UnsupportedConstruct
        A macro has subscripts of its own, or a SUM runs over a range of the equation itself.
    """
    if not macros:
        return equations
    work = _Expansion(macros, path)
    for equation in equations:
        work.add(equation, ())
    return tuple(work.done)


class _Expansion:
    def __init__(self, macros: Mapping[str, Macro], path: Path) -> None:
        self.macros = macros
        self.path = path
        self.done: list[Equation] = []
        self.calls = 0

    def add(self, equation: Equation, inside: tuple[str, ...]) -> None:
        place = len(self.done)
        written = replace(equation, expression=self._write(equation.expression, equation, inside))
        self.done.insert(place, written)

    def _write(self, expression: Expr, equation: Equation, inside: tuple[str, ...]) -> Expr:
        if not isinstance(expression, Call):
            return expression
        arguments = tuple(self._write(a, equation, inside) for a in expression.arguments)
        if not expression.function.startswith(MARK):
            return replace(expression, arguments=arguments)
        macro = self.macros[expression.function.removeprefix(MARK)]
        if macro.name in inside:
            raise ModelFileError(
                f"the macro '{macro.name}' calls itself; write it without the circle",
                self.path,
                equation.line,
            )
        inputs = len(macro.parameters) - macro.outputs
        if len(arguments) not in (inputs, len(macro.parameters)):
            wanted = f"{inputs} arguments" if inputs != 1 else "one argument"
            more = f", or {macro.outputs} outputs more," if macro.outputs else ""
            raise ModelFileError(
                f"the macro '{macro.name}' takes {wanted}{more} and is given {len(arguments)}",
                self.path,
                equation.line,
            )
        marked = marked_in(*arguments)
        if marked:
            call = replace(expression, arguments=arguments)
            return self._summand(call, tuple(marked), equation, inside)
        return self._instance(macro, arguments, equation, inside)

    def _summand(
        self, call: Call, marked: tuple[str, ...], equation: Equation, inside: tuple[str, ...]
    ) -> Ref:
        """A call inside a SUM, as a variable over the ranges of the equation and of the SUM."""
        ranges = tuple(s[:-1] for s in marked)
        if set(map(canonical, ranges)) & set(map(canonical, equation.subscripts)):
            raise UnsupportedConstruct(
                f"the macro '{call.function.removeprefix(MARK)}' inside a SUM over a range of the "
                "equation itself is not supported; give its result a name of its own and sum that",
                self.path,
                equation.line,
            )
        self.calls += 1
        name = f"{call.function.removeprefix(MARK)} {self.calls}: summand"
        own = replace(
            equation,
            name=name,
            subscripts=(*equation.subscripts, *ranges),
            except_=tuple((*group, *ranges) for group in equation.except_),
            expression=_unmarked(call),
            unit="",
            doc="",
        )
        self.add(own, inside)
        return Ref(name, (*equation.subscripts, *marked))

    def _instance(
        self,
        macro: Macro,
        arguments: tuple[Expr, ...],
        equation: Equation,
        inside: tuple[str, ...],
    ) -> Ref:
        self.calls += 1
        inputs = macro.parameters[: len(macro.parameters) - macro.outputs]
        local = {canonical(e.name): e.name for e in macro.equations}
        local |= {name: name for name in inputs}
        names = {key: f"{macro.name} {self.calls}: {name}" for key, name in local.items()}
        for output in (canonical(macro.name), *macro.parameters[len(inputs) :]):
            if output not in names:
                raise ModelFileError(
                    f"the macro '{macro.name}' has no equation of the name '{output}', so it has "
                    "no result",
                    self.path,
                    equation.line,
                )
        for parameter, argument in zip(inputs, arguments, strict=False):
            given = replace(equation, name=names[parameter], expression=argument, unit="", doc="")
            self.done.append(given)
        for own in macro.equations:
            if own.subscripts:
                raise UnsupportedConstruct(
                    f"the macro '{macro.name}' has subscripts of its own, which is not supported; "
                    "write its equations into the model",
                    self.path,
                    equation.line,
                )
            self.add(
                replace(
                    own,
                    name=names[canonical(own.name)],
                    subscripts=equation.subscripts,
                    except_=equation.except_,
                    expression=_renamed(own.expression, names, equation.subscripts),
                    line=equation.line,
                ),
                (*inside, macro.name),
            )
        for output, variable in zip(
            macro.parameters[len(inputs) :], arguments[len(inputs) :], strict=False
        ):
            self._output(macro, names[output], variable, equation)
        return Ref(names[canonical(macro.name)], equation.subscripts)

    def _output(self, macro: Macro, result: str, variable: Expr, equation: Equation) -> None:
        if not isinstance(variable, Ref):
            raise ModelFileError(
                f"an output of the macro '{macro.name}' is given as an expression; write the name "
                "of the variable that it makes",
                self.path,
                equation.line,
            )
        self.done.append(
            replace(
                equation,
                name=variable.name,
                subscripts=variable.subscripts,
                except_=equation.except_ if variable.subscripts else (),
                expression=Ref(result, equation.subscripts),
                unit="",
                doc=f"Output of the macro {macro.name}.",
            )
        )


def _unmarked(expression: Expr) -> Expr:
    """The expression for one element of the ranges that a SUM runs over."""
    if isinstance(expression, Ref):
        return replace(
            expression, subscripts=tuple(s.removesuffix("!") for s in expression.subscripts)
        )
    if isinstance(expression, Call):
        return replace(expression, arguments=tuple(map(_unmarked, expression.arguments)))
    return expression


def _renamed(expression: Expr, names: Mapping[str, str], subscripts: tuple[str, ...]) -> Expr:
    if isinstance(expression, Ref):
        return _renamed_ref(expression, names, subscripts)
    if isinstance(expression, Call):
        return replace(
            expression,
            arguments=tuple(_renamed(a, names, subscripts) for a in expression.arguments),
        )
    if isinstance(expression, Data) and expression.of is not None:
        return replace(expression, of=_renamed_ref(expression.of, names, subscripts))
    return expression


def _renamed_ref(ref: Ref, names: Mapping[str, str], subscripts: tuple[str, ...]) -> Ref:
    own = names.get(canonical(ref.name))
    if own is not None:
        return Ref(own, (*ref.subscripts, *subscripts))
    return replace(ref, name=ref.name.rstrip("$"))
