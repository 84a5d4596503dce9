"""Macros written out: each call becomes equations of its own.

``y = M(a + b, c)`` makes an equation for each parameter of ``M`` and for each equation inside it,
under names that begin with the macro and the number of the call, and reads the one that is named
like the macro.  The new equations carry the subscripts of the equation that calls, so that a
stock inside a macro called for each belt is a stock for each belt.

Inside a macro, names are those of its parameters and equations, then those of the model (``Time``,
and anything marked with ``$``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from beltcast.engine.syntax import Call, Equation, Expr, Ref, canonical, references
from beltcast.errors import ModelFileError, UnsupportedConstruct

MARK = "MACRO "
"""Prefix of the function of a `Call` of a macro."""


@dataclass(frozen=True)
class Macro:
    """A macro of a model file.

    ``parameters`` are canonical names.
    """

    name: str
    parameters: tuple[str, ...]
    equations: tuple[Equation, ...]


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
        A macro has subscripts of its own, or is called inside a SUM.
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
        if len(arguments) != len(macro.parameters):
            raise ModelFileError(
                f"the macro '{macro.name}' takes {len(macro.parameters)} arguments and is given "
                f"{len(arguments)}",
                self.path,
                equation.line,
            )
        if any(s.endswith("!") for a in arguments for r in references(a) for s in r.subscripts):
            raise UnsupportedConstruct(
                f"the macro '{macro.name}' inside a SUM is not supported; give its result a name "
                "of its own and sum that",
                self.path,
                equation.line,
            )
        return self._instance(macro, arguments, equation, inside)

    def _instance(
        self,
        macro: Macro,
        arguments: tuple[Expr, ...],
        equation: Equation,
        inside: tuple[str, ...],
    ) -> Ref:
        self.calls += 1
        local = {canonical(e.name): e.name for e in macro.equations}
        local |= {name: name for name in macro.parameters}
        names = {key: f"{macro.name} {self.calls}: {name}" for key, name in local.items()}
        if canonical(macro.name) not in names:
            raise ModelFileError(
                f"the macro '{macro.name}' has no equation of that name, so it has no result",
                self.path,
                equation.line,
            )
        for parameter, argument in zip(macro.parameters, arguments, strict=True):
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
        return Ref(names[canonical(macro.name)], equation.subscripts)


def _renamed(expression: Expr, names: Mapping[str, str], subscripts: tuple[str, ...]) -> Expr:
    if isinstance(expression, Ref):
        own = names.get(canonical(expression.name))
        if own is not None:
            return Ref(own, (*expression.subscripts, *subscripts))
        return replace(expression, name=expression.name.rstrip("$"))
    if isinstance(expression, Call):
        return replace(
            expression,
            arguments=tuple(_renamed(a, names, subscripts) for a in expression.arguments),
        )
    return expression
