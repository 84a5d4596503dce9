"""Statements that must hold of a model whatever its numbers, and the file that holds them.

A reality check says how a real system behaves under a condition that may never have occurred: no
demand, no output (Peterson and Eberlein 1994, System Dynamics Review 10, 159-174).  Each table of
``checks.toml`` is one statement::

    [parts-add-up]
    say = "The belts' output adds up to the nation's"
    variable = "output"
    sum = ["Belt"]
    equals = "national output"

    [no-demand]
    say = "Without demand there is no output"
    variable = "output"
    given = { "Demand Final Multiplier" = 0 }
    equals = 0
    from = 2030

=================  ================================================================================
key                meaning
=================  ================================================================================
say                the statement in words
variable           its subject; `sum` names subscript ranges to add up over
at_least,          bounds: a number, or the name of a variable with the same dimensions, fewer, or
at_most, equals    none; `tolerance` is a part of the larger side
given              constants that are set, on top of the first scenario; without it the statement
                   must hold in every scenario
compared           'less', 'not less', 'more' or 'not more': the variable against the same member
                   without what is given
loss_at_most       largest part of the variable that what is given may cost
vary, times        constants, and factors of their defaults: one run for each pair
when               { variable, at_least or at_most }: only these times and elements count
from               time from which it must hold
=================  ================================================================================

Every statement also requires that its variable is a finite number.  A statement with none of the
other conditions requires only that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, cast, get_args

from beltcast.errors import (
    BeltcastError,
    InputError,
    UnknownName,
    did_you_mean,
    gathered,
    quoted,
)
from beltcast.files.toml import TomlTable, read_table, read_toml
from beltcast.model.model import Model

Side: TypeAlias = float | str
"""A number, or the name of a variable."""

Compared: TypeAlias = Literal["less", "not less", "more", "not more"]

_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class RealityCheck:
    """One statement.

    Attributes
    ----------
    name, say : str
    variable : str
    sum : tuple of str
        Subscript ranges that the variable is added up over.
    at_least, at_most, equals, loss_at_most : float or str, optional
    tolerance : float
        Part of the larger side by which a bound may be missed.
    given : mapping
        Label of a constant to its value; empty for every scenario as it stands.
    compared : str, optional
    vary : tuple of str
    times : tuple of float
    when : (str, float or None, float or None), optional
        A variable, and the bounds between which the statement applies.
    start : float, optional  [time]
    """

    name: str
    say: str
    variable: str
    sum: tuple[str, ...] = ()
    at_least: Side | None = None
    at_most: Side | None = None
    equals: Side | None = None
    tolerance: float = 1e-9
    given: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    compared: Compared | None = None
    loss_at_most: Side | None = None
    vary: tuple[str, ...] = ()
    times: tuple[float, ...] = ()
    when: tuple[str, float | None, float | None] | None = None
    start: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Variables that have to be saved."""
        sides = (self.at_least, self.at_most, self.equals, self.loss_at_most)
        named = [side for side in sides if isinstance(side, str)]
        return (self.variable, *named, *((self.when[0],) if self.when else ()))

    def conditions(self) -> tuple[Mapping[str, float], ...]:
        """Constants that are set beside the first scenario; none for a statement on every one."""
        if self.vary:
            return tuple({name: factor} for name in self.vary for factor in self.times)
        return (self.given,) if self.given else ()


_KEYS = (
    "say",
    "variable",
    "sum",
    "at_least",
    "at_most",
    "equals",
    "tolerance",
    "given",
    "compared",
    "loss_at_most",
    "vary",
    "times",
    "when",
    "from",
)


def read_statements(
    path: str | Path, model: Model, *, faults: list[BeltcastError] | None = None
) -> tuple[RealityCheck, ...]:
    """Read the statements of a model.

    Parameters
    ----------
    path : str or Path
        A TOML file; see the module.
    model : Model
        Whose variables and constants the statements name.
    faults : list, optional
        Takes the error of each wrong statement, which is then left out, instead of raising the
        first.

    Raises
    ------
    InputError
        With file and line: an unknown key or name, an invalid value, or a comparison without
        anything given.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.files.shipped import shipped
    >>> statements = read_statements(shipped("models/belt/checks.toml"), read_study().model)
    >>> statements[0].equals
    'national output'
    """
    file = read_toml(path, InputError)
    found = []
    for name in file.tables:
        with gathered(faults):
            found.append(_statement(read_table(file, name).only(_KEYS), name, model))
    return tuple(found)


def _statement(table: TomlTable, name: str, model: Model) -> RealityCheck:
    variable = _variable(table, "variable", model)
    given = table.table("given", optional=True)
    found = RealityCheck(
        name=name,
        say=table.text("say", name),
        variable=variable,
        sum=_ranges(table, model.variables[variable].dims),
        at_least=_side(table, "at_least", model),
        at_most=_side(table, "at_most", model),
        equals=_side(table, "equals", model),
        tolerance=table.number("tolerance", 1e-9, least=0.0),
        given={_constant(given, label, model): given.number(label) for label in given},
        compared=_compared(table),
        loss_at_most=_side(table, "loss_at_most", model),
        vary=tuple(_constant(table, label, model, "vary") for label in table.texts("vary", [])),
        times=_numbers(table, "times"),
        when=_when(table, model),
        start=table.number("from") if "from" in table else None,
    )
    if (found.compared or found.loss_at_most is not None) and not found.given:
        raise table.fail("a comparison needs constants to set; add given = { ... }")
    if bool(found.vary) != bool(found.times):
        raise table.fail("vary and times go together; add the one that is missing")
    return found


def _variable(table: TomlTable, key: str, model: Model) -> str:
    try:
        return model.find(table.text(key, expected="the name of a variable")).name
    except UnknownName as unknown:
        raise table.fail(unknown.sentence, key) from None


def _constant(table: TomlTable, label: str, model: Model, key: str = "") -> str:
    try:
        model.targets([label])
    except UnknownName as unknown:
        raise table.fail(unknown.sentence, key or label) from None
    return label


def _ranges(table: TomlTable, dims: tuple[str, ...]) -> tuple[str, ...]:
    wanted = tuple(table.texts("sum", []))
    for dim in wanted:
        if dim not in dims:
            known = did_you_mean(dim, dims) or f"; it has {', '.join(dims) or 'none'}"
            raise table.fail(f"the variable has no range {quoted(dim)}{known}", "sum")
    return wanted


def _side(table: TomlTable, key: str, model: Model) -> Side | None:
    if key not in table:
        return None
    named = isinstance(table.values[key], str)
    return _variable(table, key, model) if named else table.number(key)


def _numbers(table: TomlTable, key: str) -> tuple[float, ...]:
    given = table.values.get(key, [])
    if not isinstance(given, list) or not all(type(one) in (int, float) for one in given):
        raise table.refusal(key, "a list of numbers")
    return tuple(float(one) for one in given)


def _compared(table: TomlTable) -> Compared | None:
    if "compared" not in table:
        return None
    return cast(Compared, table.choice("compared", get_args(Compared)))


def _when(table: TomlTable, model: Model) -> tuple[str, float | None, float | None] | None:
    if "when" not in table:
        return None
    when = table.table("when").only(("variable", "at_least", "at_most"))
    low, high = (when.number(k) if k in when else None for k in ("at_least", "at_most"))
    return (_variable(when, "variable", model), low, high)
