"""Scenarios: named sets of constants and input series.

A scenario says only in what it differs from the model as it stands. One may extend another; what
comes back is resolved, so a `Scenario` can be understood alone.

Precedence, from weak to strong: the model's own value; a constant given as a whole (one number
for all elements); one of its elements. A scenario wins over the one that it extends, so a constant
given as a whole sets aside the elements that an ancestor gave.

A size that is not known is given as a distribution, one of those of the priors:

    [my-tariff.constants."Tariff Add"]
    distribution = "normal"
    mean = 0.3
    sd = 0.1
    bounds = [0, 1]

It is drawn anew for each member of an ensemble, from the same random numbers in all scenarios, so
that two scenarios with the same distribution differ by nothing in it. A constant holds for a whole
run; what changes over time is an input, or a lever that the model phases in itself.
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

from beltcast.errors import ScenarioError, UnknownName, did_you_mean, quoted
from beltcast.files.text import Toml, read_toml
from beltcast.model.labels import ModelLike, find_label, join_label
from beltcast.streams import Random, Streams

__all__ = ["Points", "Scenario", "Size", "draw_sizes", "extend", "read_scenarios", "select"]

Points: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""Times [Year], ascending, and values [unit of the input], of equal length."""

_KEYS = ("extends", "title", "title_zh", "text", "code", "constants", "inputs")
_CENTRE_AND_SPREAD = {
    "lognormal": ("median", "log_sd"),
    "normal": ("mean", "sd"),
    "logitnormal": ("median", "logit_sd"),
}
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
    spread : float  [working scale]
    lower, upper : float  [unit of the constant]
        Truncate the Gaussian.
    """

    distribution: Literal["normal", "lognormal", "logitnormal"]
    centre: float
    spread: float
    lower: float = -math.inf
    upper: float = math.inf

    def quantile(self, p: ArrayLike) -> NDArray[np.float64]:
        """Quantiles of the size; (...) probabilities to (...) values in the constant's unit.

        >>> float(Size("lognormal", 2.0, 0.5).quantile(0.5))
        2.0
        """
        with np.errstate(divide="ignore"):
            middle, low, high = self._working(np.array([self.centre, self.lower, self.upper]))
        below, above = ndtr((low - middle) / self.spread), ndtr((high - middle) / self.spread)
        z = middle + self.spread * ndtri(below + np.asarray(p) * (above - below))
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
        For people: a title, a description, a short code such as ``S7``.
    title_zh : str
        The title in Chinese; empty if there is none.
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


def read_scenarios(path: str | Path, model: ModelLike) -> dict[str, Scenario]:
    """Read a file of scenarios.

    Parameters
    ----------
    path : str or Path
        A TOML file, one table a scenario, see ``models/belt/scenarios.toml``.
    model : ModelLike

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
    file = read_toml(path, ScenarioError)
    own = {name: _read_one(name, table, file, model) for name, table in file.tables.items()}
    parents = {name: _parent(name, file) for name in own}
    resolved: dict[str, Scenario] = {}
    for name in own:
        scenario = own[name]
        for ancestor in _line_of_descent(name, parents, file)[1:]:
            scenario = extend(own[ancestor], scenario)
        resolved[name] = scenario
    return resolved


def select(scenarios: Mapping[str, Scenario], names: Iterable[str]) -> dict[str, Scenario]:
    """Choose scenarios by name, in the order asked for.

    Parameters
    ----------
    scenarios : mapping
        As `read_scenarios` returns them.
    names : iterable of str

    Returns
    -------
    dict

    Raises
    ------
    ScenarioError
        There is no scenario of that name.
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
    while (parent := parents[descent[-1]]) is not None:
        if parent in descent:
            circle = " -> ".join([*descent[descent.index(parent) :], parent])
            sentence = f"scenarios extend each other in a circle, {circle}; remove one extends"
            raise ScenarioError(sentence, file.path, file.line(descent[-1], "extends"))
        descent.append(parent)
    return descent


def extend(parent: Scenario, child: Scenario) -> Scenario:
    """Return the child with what its parent says besides; the child wins.

    Parameters
    ----------
    parent, child : Scenario

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
        if label.partition("[")[0] not in whole
    }
    return Scenario(
        name=child.name,
        title=child.title,
        title_zh=child.title_zh,
        # A text and a code are of one scenario; a child without one has none.
        text=child.text,
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


def _read_one(name: str, table: Any, file: Toml, model: ModelLike) -> Scenario:
    if not isinstance(table, dict):
        sentence = f"{quoted(name)} stands outside a scenario; write it under a [scenario] header"
        raise ScenarioError(sentence, file.path, file.line(name))
    for key in table:
        if key not in _KEYS:
            sentence = f"unknown key {quoted(key)} in scenario {quoted(name)}"
            where = file.path, file.line(name, key)
            raise ScenarioError(sentence + did_you_mean(key, _KEYS), *where)
    texts = {}
    for key in ("title", "title_zh", "text", "code"):
        value = table.get(key, "")
        if not isinstance(value, str) or (key == "title" and not value.strip()):
            sentence = f"{key} of scenario {quoted(name)} is {quoted(value)}; expected a text"
            raise ScenarioError(sentence, file.path, file.line(name, key))
        texts[key] = value
    reader = _ScenarioReader(name, file, model)
    constants, uncertain = reader.constants(table.get("constants", {}))
    return Scenario(
        name=name,
        **texts,
        constants=constants,
        uncertain=uncertain,
        inputs=reader.inputs(table.get("inputs", {})),
    )


@dataclass(frozen=True)
class _ScenarioReader:
    """Reads the two tables of a scenario; it only holds what every refusal must name."""

    name: str
    file: Toml
    model: ModelLike

    def constants(self, table: Any) -> tuple[Mapping[str, float], Mapping[str, Size]]:
        self._check_table(table, "constants")
        found: dict[str, float] = {}
        uncertain: dict[str, Size] = {}
        for key, value in table.items():
            # { "Support Final Multiplier" = { Shenzhen = 0.5 } } gives elements.
            parts = {key: value}
            if isinstance(value, dict) and "distribution" not in value:
                self._refuse_years(value, key)
                parts = {f"{key}[{element}]": number for element, number in value.items()}
            for given, number in parts.items():
                label = self._label(given, "constant", key)
                if label in found:
                    raise self._twice(label, "constants", key)
                if isinstance(number, dict):
                    uncertain[label] = self._size(number, label, "constants", key)
                    found[label] = float(uncertain[label].quantile(0.5))
                else:
                    found[label] = self._number(number, label, "constants", key)
        return _ordered(found), MappingProxyType(uncertain)

    def _refuse_years(self, value: Mapping[str, Any], key: str) -> None:
        """A table of years is a profile over time, which a constant cannot follow."""
        for time in value:
            if time.replace(".", "", 1).isdigit():
                raise self._error(
                    f"{quoted(key)} is given for the year {quoted(time)}, but a constant holds for "
                    "a whole run; write years under inputs, for an input series of the model, or "
                    "use the constants that say when a lever starts and how fast",
                    "constants",
                    key,
                )

    def _size(self, table: Mapping[str, Any], label: str, *keys: str) -> Size:
        given = table.get("distribution")
        if given not in _CENTRE_AND_SPREAD:
            sentence = f"the distribution of {quoted(label)} is {quoted(given)}"
            meant = did_you_mean(str(given), _CENTRE_AND_SPREAD)
            raise self._error(sentence + meant, *keys)
        centre, spread = _CENTRE_AND_SPREAD[given]
        known = ("distribution", centre, spread, "bounds")
        for key in table:
            if key not in known:
                sentence = f"unknown key {quoted(key)} in the {given} size of {quoted(label)}"
                raise self._error(sentence + did_you_mean(key, known), *keys)
        numbers = [self._number(table.get(key), f"{key} of {label}", *keys) for key in known[1:3]]
        bounds = table.get("bounds", [-math.inf, math.inf])
        if not isinstance(bounds, list) or len(bounds) != 2:
            sentence = f"bounds of {quoted(label)} are {quoted(bounds)}"
            raise self._error(f"{sentence}, expected [lower, upper]", *keys)
        if "bounds" in table:
            bounds = [self._number(b, f"bounds of {label}", *keys) for b in bounds]
        size = Size(given, *numbers, *bounds)
        low, high = {"normal": (-math.inf, math.inf), "lognormal": (0.0, math.inf)}.get(
            given, (0.0, 1.0)
        )
        good = size.spread > 0 and bounds[0] <= size.centre <= bounds[1] and bounds[0] < bounds[1]
        if not good or not low < size.centre < high:
            raise self._error(
                f"the {given} size of {quoted(label)} needs {spread} above 0 and {centre} within "
                f"its bounds, between {low:g} and {high:g}; correct the numbers",
                *keys,
            )
        return size

    def inputs(self, table: Any) -> Mapping[str, Points]:
        self._check_table(table, "inputs")
        found: dict[str, Points] = {}
        for key, points in table.items():
            label = self._label(key, "input", key)
            if label in found:
                raise self._twice(label, "inputs", key)
            if not isinstance(points, dict) or not points:
                sentence = f"input {quoted(label)} is {quoted(points)}"
                expected = 'expected a table of times and values such as { "2027" = 7.0 }'
                raise self._error(f"{sentence}, {expected}", "inputs", key)
            found[label] = self._points(points, label, key)
        return MappingProxyType(found)

    def _points(self, points: Mapping[str, Any], label: str, key: str) -> Points:
        pairs = []
        for time, value in points.items():
            try:
                year = float(time)
            except ValueError:
                year = math.nan
            if not math.isfinite(year):
                sentence = f"time {quoted(time)} of input {quoted(label)} is not a number"
                raise self._error(f'{sentence}; write years such as "2027"', "inputs", key, time)
            pairs.append((year, self._number(value, label, "inputs", key, time)))
        pairs.sort()
        times = tuple(time for time, _ in pairs)
        if len(set(times)) < len(times):
            raise self._error(
                f"a time of input {quoted(label)} is given twice; keep one of them", "inputs", key
            )
        return times, tuple(value for _, value in pairs)

    def _label(self, given: str, kind: str, key: str) -> str:
        keys = (f"{kind}s", key)
        try:
            variable, elements = find_label(given, self.model)
        except UnknownName as unknown:
            sentence = f"scenario {quoted(self.name)}: {unknown.sentence}"
            raise self._error(sentence, *keys) from None
        if variable.kind != kind:
            sentence = f"{quoted(variable.name)} is of kind {quoted(variable.kind)} in the model"
            article = "an" if kind == "input" else "a"
            raise self._error(f"{sentence}; expected the name of {article} {kind} here", *keys)
        return join_label(variable.name, elements)

    def _number(self, value: Any, label: str, *keys: str) -> float:
        # bool is an int in Python, and no number in TOML.
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not math.isfinite(value):
            sentence = f"{quoted(label)} is {quoted(value)} in scenario {quoted(self.name)}"
            raise self._error(f"{sentence}, expected a finite number", *keys)
        return float(value)

    def _check_table(self, table: Any, key: str) -> None:
        if not isinstance(table, dict):
            sentence = f"{key} of scenario {quoted(self.name)} is {quoted(table)}"
            raise self._error(f"{sentence}, expected a table of names and values", key)

    def _twice(self, label: str, *keys: str) -> ScenarioError:
        sentence = f"{quoted(label)} is given twice in scenario {quoted(self.name)}"
        return self._error(f"{sentence}; keep one of them", *keys)

    def _error(self, sentence: str, *keys: str) -> ScenarioError:
        return ScenarioError(sentence, self.file.path, self.file.line(self.name, *keys))
