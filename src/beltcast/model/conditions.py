"""One model under several sets of constants: a range of conditions, added to what they change.

An experiment is often repeated with another dose, place or policy.  `with_conditions` gives each
constant that differs, and everything that follows from it, one more subscript range, `Condition`;
what the conditions share stays as it is and is computed once.  The result is a model like any
other: its data name an element, and a prior with ``per = "Condition"`` estimates a constant for
each condition.  (The idea of conditions is PEtab's: Schmiester and others 2021, PLoS Computational
Biology 17.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from beltcast.engine.syntax import (
    Call,
    Equation,
    Expr,
    Number,
    Ref,
    Source,
    canonical,
    references,
)
from beltcast.errors import InputError, did_you_mean, quoted
from beltcast.files.toml import TomlTable, read_toml
from beltcast.model.changes import source_fingerprint
from beltcast.model.model import Model, compile_model

CONDITION = "Condition"
"""Name of the subscript range."""


def read_conditions(path: str | Path) -> dict[str, dict[str, float | str]]:
    """Read conditions: a table for each, of constants and their values.

    Parameters
    ----------
    path : str or Path
        TOML such as ``[high]`` followed by ``Dose = 2``; a text names another constant.

    Returns
    -------
    dict of str to dict
        Name of the condition to its constants, each a number or the name of a constant.

    Raises
    ------
    InputError
        With file and line: a value is neither.
    """
    toml = read_toml(path, InputError)
    whole = TomlTable(toml, (), toml.tables)
    found: dict[str, dict[str, float | str]] = {}
    for name in whole:
        table = whole.table(name, called="{} of a condition")
        found[name] = {
            constant: table.text(constant)
            if isinstance(table.values[constant], str)
            else table.number(constant, expected="a number, or the name of a constant")
            for constant in table
        }
    if not found:
        raise InputError("the file has no condition; add one, such as [high]", Path(path))
    return found


def with_conditions(
    model: Model,
    conditions: Mapping[str, Mapping[str, float | str]],
    *,
    estimated: Iterable[str] = (),
) -> Model:
    """Return the model under all conditions at once.

    Parameters
    ----------
    model : Model
    conditions : mapping of str to mapping
        By the name of the condition: constants and their values, or names of other constants.  A
        constant that a condition leaves out keeps the value of the model there.
    estimated : iterable of str
        Constants that differ though no condition sets them: each condition has a prior for its own.

    Raises
    ------
    InputError
        A constant does not exist or has subscripts, the model has a range `Condition`, or a control
        such as FINAL TIME would depend on the condition.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.model.conditions import with_conditions
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> both = with_conditions(model, {"slow": {"Lifetime": 8.0}, "fast": {"Lifetime": 1.0}})
    >>> both.simulate(outputs="Stock")["Stock"].dims
    ('time', 'Condition')
    """
    source = model.source
    elements = tuple(conditions)
    taken = {canonical(name) for name in source.subscripts}
    taken |= {canonical(e) for own in source.subscripts.values() for e in own}
    for name in (CONDITION, *elements):
        if canonical(name) in taken:
            raise InputError(f"the model has a range or an element {quoted(name)}; rename it")
    known = {canonical(e.name): e for e in source.equations}
    set_there = (name for own in conditions.values() for name in own)
    changed = list({canonical(name): name for name in (*set_there, *estimated)}.values())
    for name in changed:
        equation = known.get(canonical(name))
        variable = None if equation is None else model.find(equation.name)
        if variable is None or variable.kind != "constant":
            constants = [v.name for v in model.variables.values() if v.kind == "constant"]
            raise InputError(
                f"the condition sets {quoted(name)}, which is not a constant of the model"
                f"{did_you_mean(name, constants) or '; correct it'}"
            )
        if variable.dims:
            raise InputError(
                f"the condition sets {quoted(name)}, which has subscripts; conditions set "
                "constants without"
            )
    affected = _affected(source, {canonical(name) for name in changed})
    for control in source.controls.values():
        if affected & _names(control.expression):
            raise InputError(f"{control.name} would depend on the condition; make it a number")
    equations: list[Equation] = []
    own_names = {canonical(name) for name in changed}
    for equation in source.equations:
        name = canonical(equation.name)
        if name in own_names:
            for element, own in conditions.items():
                given = {canonical(key): value for key, value in own.items()}.get(name)
                expression = equation.expression if given is None else _value(given, model)
                expression = _spread(expression, affected - {name})
                equations.append(
                    replace(equation, subscripts=(element,), except_=(), expression=expression)
                )
        elif name in affected:
            equations.append(
                replace(
                    equation,
                    subscripts=(*equation.subscripts, CONDITION),
                    except_=tuple((*one, CONDITION) for one in equation.except_),
                    expression=_spread(equation.expression, affected),
                )
            )
        else:
            equations.append(equation)
    made = replace(
        source,
        equations=tuple(equations),
        subscripts={**source.subscripts, CONDITION: elements},
    )
    return compile_model(replace(made, text_sha256=source_fingerprint(made)))


def _value(given: float | str, model: Model) -> Expr:
    return Ref(model.find(given).name) if isinstance(given, str) else Number(float(given))


def _names(expression: Expr) -> set[str]:
    return {canonical(ref.name) for ref in references(expression)}


def _affected(source: Source, changed: set[str]) -> set[str]:
    """Canonical names of the variables that differ between conditions."""
    affected = set(changed)
    while True:
        more = {
            canonical(e.name)
            for e in source.equations
            if canonical(e.name) not in affected and affected & _names(e.expression)
        }
        if not more:
            return affected
        affected |= more


def _spread(expression: Expr, affected: set[str]) -> Expr:
    """Read affected variables in the condition of the equation."""
    if isinstance(expression, Ref) and canonical(expression.name) in affected:
        return replace(expression, subscripts=(*expression.subscripts, CONDITION))
    if isinstance(expression, Call):
        return replace(
            expression, arguments=tuple(_spread(a, affected) for a in expression.arguments)
        )
    return expression
