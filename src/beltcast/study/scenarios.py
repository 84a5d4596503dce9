"""Scenarios: named sets of constants and input series.

A scenario gives only its differences from the model as it stands. One may extend another; the
result is resolved, so a `Scenario` is complete on its own.

Precedence, from weak to strong: the model's own value; a constant given as a whole (one number
for all elements); one of its elements. A scenario overrides the one that it extends, so a constant
given as a whole replaces the elements that an ancestor gave.

An uncertain size is given as a distribution, one of those of the priors:

    [my-tariff.constants."Tariff Add[United States]"]
    distribution = "normal"
    mean = 0.3
    sd = 0.1
    bounds = [0, 1]

It is drawn again for each member of an ensemble, from the same random numbers in all scenarios, so
that two scenarios with the same distribution do not differ in it. A constant holds for a whole
run; a change over time is an input, or a lever that the model itself phases in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtr, ndtri

from beltcast.engine.syntax import split_label
from beltcast.errors import (
    BeltcastError,
    InputError,
    ScenarioError,
    UnknownName,
    did_you_mean,
    gathered,
    quoted,
)
from beltcast.files.toml import Toml, TomlTable
from beltcast.model.labels import ModelLike, find_label, join_label
from beltcast.schema import Label
from beltcast.streams import Random, Streams
from beltcast.study.distributions import FAMILIES
from beltcast.study.table_sheets import read_tables

Points: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""Times [Year], ascending, and values [unit of the input], of equal length."""

_KEYS = ("extends", "title", "title_zh", "text", "text_zh", "code", "constants", "inputs")
SIZES = tuple(family for family in FAMILIES if family != "uniform")
"""Distributions of an uncertain size."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Size:
    """An uncertain size: a distribution that is Gaussian on its working scale, within bounds.

    Parameters
    ----------
    distribution : str
        ``normal``, ``lognormal`` or ``logitnormal``, as in `beltcast.study.distributions`.
    centre : float  [unit of the constant]
        Mean of a normal, median of the others.
    sd : float  [working scale]
    lower, upper : float  [unit of the constant]
        Truncate the Gaussian.
    """

    distribution: Literal["normal", "lognormal", "logitnormal"]
    centre: float
    sd: float
    lower: float = -math.inf
    upper: float = math.inf

    def quantile(self, p: ArrayLike) -> NDArray[np.float64]:
        """Quantiles of the size; (...) probabilities to (...) values in the constant's unit.

        >>> float(Size("lognormal", 2.0, 0.5).quantile(0.5))
        2.0
        """
        with np.errstate(divide="ignore"):
            middle, low, high = self._working(np.array([self.centre, self.lower, self.upper]))
        below, above = ndtr((low - middle) / self.sd), ndtr((high - middle) / self.sd)
        z = middle + self.sd * ndtri(below + np.asarray(p) * (above - below))
        values = {"normal": lambda x: x, "lognormal": np.exp, "logitnormal": expit}
        return np.asarray(values[self.distribution](z), dtype=np.float64)

    def _working(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.distribution == "lognormal":
            return np.asarray(np.log(np.maximum(values, 0.0)))
        if self.distribution == "logitnormal":
            return np.asarray(logit(np.clip(values, 0.0, 1.0)))
        return values


@dataclass(frozen=True)
class Scenario:
    """One scenario, resolved.

    Parameters
    ----------
    name : str
        Its key in the file.
    title, text, code : str
        Title, description, and a short code such as ``S7``.
    title_zh, text_zh : str
        Title and description in Chinese; empty if there are none.
    constants : mapping
        Label, ``Name`` or ``Name[Element]`` as the model spells it, to value [unit of the
        constant]. ``Name`` alone means all elements. Whole constants come before elements, so
        applying them in order gives the stated precedence. An uncertain size stands here with its
        median.
    inputs : mapping
        Name of an input to its points, which replace the input's own from their first time on.
    uncertain : mapping
        Label, one of those of `constants`, to its distribution.
    """

    name: str
    title: str
    text: str = ""
    code: str = ""
    constants: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    inputs: Mapping[str, Points] = field(default_factory=lambda: _NOTHING)
    uncertain: Mapping[str, Size] = field(default_factory=lambda: _NOTHING)
    title_zh: str = ""
    text_zh: str = ""

    @property
    def description(self) -> Label:
        """`text` and `text_zh` for people: without the marks of code, which only a file needs.

        >>> from beltcast import Scenario
        >>> Scenario("costs", "Costs", text="`beltcast price` counts it.").description.en
        'beltcast price counts it.'
        """
        return Label(self.text.replace("`", ""), self.text_zh.replace("`", ""))


def read_scenarios(
    path: str | Path, model: ModelLike, *, faults: list[BeltcastError] | None = None
) -> dict[str, Scenario]:
    """Read a file of scenarios.

    Parameters
    ----------
    path : str or Path
        A TOML file, one table per scenario, see ``models/belt/scenarios.toml``; or a workbook with
        a sheet ``scenarios`` (`beltcast.study.table_sheets`).
    model : ModelLike
    faults : list, optional
        Takes the error of each wrong scenario, which is then left out, instead of raising the
        first; so are scenarios that extend it.

    Returns
    -------
    dict
        Name to scenario, in the order of the file, ``extends`` resolved.

    Raises
    ------
    ScenarioError
        With file and line: the text is not TOML, a scenario extends an unknown one or itself, a
        key, constant, element or input is unknown, a value is not a number.

    Examples
    --------
    >>> from beltcast import load_model, read_scenarios
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/belt/belt.mdl"))
    >>> known = read_scenarios(shipped("models/belt/scenarios.toml"), model)
    >>> dict(known["brand-push"].constants)
    {'Brand Propensity Final Multiplier': 1.5}
    """
    file = read_tables(path, "scenarios", ScenarioError)
    own: dict[str, Scenario] = {}
    parents: dict[str, str | None] = {}
    for name, table in file.tables.items():
        with gathered(faults):
            own[name] = _read_one(name, table, file, model)
            parents[name] = _parent(name, file)
    resolved: dict[str, Scenario] = {}
    for name in parents:
        with gathered(faults):
            descent = _line_of_descent(name, parents, file)
            if not parents.keys() >= set(descent):  # an ancestor is faulty, and already reported
                continue
            scenario = own[name]
            for ancestor in descent[1:]:
                scenario = extend(own[ancestor], scenario)
            resolved[name] = scenario
    return resolved


def select(scenarios: Mapping[str, Scenario], names: Iterable[str]) -> dict[str, Scenario]:
    """Choose scenarios by name, in the given order.

    Parameters
    ----------
    scenarios : mapping
        As `read_scenarios` returns them.
    names : iterable of str

    Raises
    ------
    ScenarioError
        A scenario of that name does not exist.
    """
    chosen: dict[str, Scenario] = {}
    for name in names:
        if name not in scenarios:
            known = did_you_mean(name, scenarios)
            raise ScenarioError(f"there is no scenario {quoted(name)}{known}")
        chosen[name] = scenarios[name]
    return chosen


def draw_sizes(scenario: Scenario, members: int, *, rng: Random) -> dict[str, NDArray[np.float64]]:
    """Draw the uncertain sizes of a scenario.

    Each label has its own stream, ``sizes`` and the label, so that scenarios share the numbers.

    Parameters
    ----------
    scenario : Scenario
    members : int
    rng : Streams, numpy.random.Generator or int

    Returns
    -------
    dict
        Label to (members,)  [unit of the constant].
    """
    streams = Streams.of(rng).under("sizes")
    return {
        label: size.quantile(streams.stream(label).random(members))
        for label, size in scenario.uncertain.items()
    }


def _parent(name: str, file: Toml) -> str | None:
    parent = file.tables[name].get("extends")
    if parent is None:
        return None
    if not isinstance(parent, str) or parent not in file.tables:
        known = did_you_mean(str(parent), (other for other in file.tables if other != name))
        sentence = f"scenario {quoted(name)} extends the unknown scenario {quoted(parent)}"
        raise ScenarioError(sentence + known, file.path, file.line(name, "extends"))
    return parent


def _line_of_descent(name: str, parents: Mapping[str, str | None], file: Toml) -> list[str]:
    """Name a scenario, its parent, its parent's parent and so on."""
    descent = [name]
    while (parent := parents.get(descent[-1])) is not None:
        if parent in descent:
            circle = " -> ".join([*descent[descent.index(parent) :], parent])
            sentence = f"scenarios extend each other in a circle, {circle}; remove one extends"
            raise ScenarioError(sentence, file.path, file.line(descent[-1], "extends"))
        descent.append(parent)
    return descent


def extend(parent: Scenario, child: Scenario) -> Scenario:
    """Return the child with its parent's other settings; the child overrides.

    Returns
    -------
    Scenario
        Under the child's name, title and code.

    Examples
    --------
    >>> low = Scenario("low", "Low", constants={"A": 1.0, "B": 2.0})
    >>> dict(extend(low, Scenario("lower", "Lower", constants={"B": 0.0})).constants)
    {'A': 1.0, 'B': 0.0}
    """
    whole = {label for label in child.constants if "[" not in label}
    kept = {
        label: value
        for label, value in parent.constants.items()
        if split_label(label)[0] not in whole
    }
    return Scenario(
        name=child.name,
        title=child.title,
        title_zh=child.title_zh,
        # A text and a code belong to one scenario; a child without them has none.
        text=child.text,
        text_zh=child.text_zh,
        code=child.code,
        constants=_ordered({**kept, **child.constants}),
        inputs=MappingProxyType({**parent.inputs, **child.inputs}),
        uncertain=MappingProxyType(
            {
                **{
                    label: size
                    for label, size in parent.uncertain.items()
                    if label in kept and label not in child.constants
                },
                **child.uncertain,
            }
        ),
    )


def _ordered(constants: Mapping[str, float]) -> Mapping[str, float]:
    """Whole constants first, then elements, each in the order given."""
    return MappingProxyType(dict(sorted(constants.items(), key=lambda item: "[" in item[0])))


def _read_one(name: str, given: Any, file: Toml, model: ModelLike) -> Scenario:
    if not isinstance(given, dict):
        sentence = f"{quoted(name)} is outside a scenario; write it under a [scenario] header"
        raise ScenarioError(sentence, file.path, file.line(name))
    called = f"{{}} of scenario {quoted(name)}"
    table = TomlTable(file, (name,), given, ScenarioError, called)
    table.only(_KEYS, f"scenario {quoted(name)}")
    inside = f"'{{}}' in scenario {quoted(name)}"
    constants, uncertain = _constants(table.table("constants", called=inside, optional=True), model)
    return Scenario(
        name=name,
        title=table.text("title"),
        **{key: table.text(key, "", empty=True) for key in ("title_zh", "text", "text_zh", "code")},
        constants=constants,
        uncertain=uncertain,
        inputs=_inputs(table.table("inputs", called=inside, optional=True), model),
    )


def _constants(
    table: TomlTable, model: ModelLike
) -> tuple[Mapping[str, float], Mapping[str, Size]]:
    found: dict[str, float] = {}
    uncertain: dict[str, Size] = {}
    for key, value in table.values.items():
        # { "Support Final Multiplier" = { Shenzhen = 0.5 } } gives elements.
        by_element = isinstance(value, dict) and "distribution" not in value
        own = table.table(key, called=f"{{}} of {quoted(key)}") if by_element else table
        if by_element:
            _refuse_years(own, key)
        for given in own if by_element else (key,):
            label = _label(table, f"{key}[{given}]" if by_element else key, "constant", key, model)
            if label in found:
                raise _twice(table, label, key)
            if isinstance(own.values[given], dict):
                uncertain[label] = _size(own.table(given, called=f"{{}} of {quoted(label)}"), label)
                found[label] = float(uncertain[label].quantile(0.5))
            else:
                found[label] = own.number(given)
    return _ordered(found), MappingProxyType(uncertain)


def _refuse_years(table: TomlTable, key: str) -> None:
    """Refuse a table of years: a profile over time, which a constant cannot follow."""
    for time in table:
        if time.replace(".", "", 1).isdigit():
            raise table.fail(
                f"{quoted(key)} is given for the year {quoted(time)}, but a constant holds for "
                "a whole run; write years under inputs, for an input series of the model, or "
                "use the constants that say when a lever starts and how fast"
            )


def _size(table: TomlTable, label: str) -> Size:
    family = table.choice("distribution", SIZES)
    scale = FAMILIES[family]  # type: ignore[index]  # SIZES are families
    table.only(
        ("distribution", scale.centre, scale.sd, "bounds"),
        f"the {family} size of {quoted(label)}",
    )
    centre = table.number(
        scale.centre, above=scale.low, below=scale.high, expected=f"a number {scale.domain}"
    )
    sd = table.number(scale.sd, above=0.0)
    lower, upper = table.pair("bounds", (-math.inf, math.inf))
    if not lower <= centre <= upper:
        raise table.fail(
            f"{scale.centre} {centre:g} of {quoted(label)} is outside its bounds [{lower:g}, "
            f"{upper:g}]; widen or move them",
            "bounds",
        )
    return Size(family, centre, sd, lower, upper)  # type: ignore[arg-type]  # one of SIZES


def _inputs(table: TomlTable, model: ModelLike) -> Mapping[str, Points]:
    found: dict[str, Points] = {}
    for key, points in table.values.items():
        label = _label(table, key, "input", key, model)
        if label in found:
            raise _twice(table, label, key)
        if not isinstance(points, dict) or not points:
            raise table.refusal(key, 'a table of times and values such as { "2027" = 7.0 }')
        found[label] = _points(table.table(key, called=f"{quoted(label)} at {{}}"), label)
    return MappingProxyType(found)


def _points(points: TomlTable, label: str) -> Points:
    pairs = []
    for time in points:
        try:
            year = float(time)
        except ValueError:
            year = math.nan
        if not math.isfinite(year):
            sentence = f"time {quoted(time)} of input {quoted(label)} is not a number"
            raise points.fail(f'{sentence}; write years such as "2027"', time)
        pairs.append((year, points.number(time)))
    pairs.sort()
    times = tuple(time for time, _ in pairs)
    if len(set(times)) < len(times):
        raise points.fail(f"a time of input {quoted(label)} is given twice; keep one of them")
    return times, tuple(value for _, value in pairs)


def _label(table: TomlTable, given: str, kind: str, key: str, model: ModelLike) -> str:
    """Label of a constant or input, as the model spells it."""
    try:
        variable, elements = find_label(given, model)
    except UnknownName as unknown:
        scenario = quoted(table.keys[0])
        raise table.fail(f"scenario {scenario}: {unknown.sentence}", key) from None
    if variable.kind != kind:
        sentence = f"{quoted(variable.name)} is of kind {quoted(variable.kind)} in the model"
        article = "an" if kind == "input" else "a"
        raise table.fail(f"{sentence}; expected the name of {article} {kind} here", key)
    return join_label(variable.name, elements)


def _twice(table: TomlTable, label: str, key: str) -> InputError:
    sentence = f"{quoted(label)} is given twice in scenario {quoted(table.keys[0])}"
    return table.fail(f"{sentence}; keep one of them", key)
