"""Roles of a model's variables in one study, and their labels.

General code contains no name of any model.  A study states in its own TOML file which constants a
user may move, which ones switch a driver off, which flows are spending, and which results are kept
beside the target; `read_roles` checks each name against the model.  If a study leaves a table out,
the command that needs it names the table to add.

========================  =====================================================================
table                     content
========================  =====================================================================
``[forecast]``            ``companions``: variables kept as quantiles beside the target;
                          ``total``: the variable that sums the target over its places;
                          ``compare``: the scenario that reports draw beside the first
``[levers."Constant"]``   a constant that users and policies move: ``range``, ``label``, ``unit``,
                          ``one`` (what the value 1 means), ``key``, ``driver``, ``step``,
                          ``policy`` (false for a lever that no policy sets)
``[drivers."Constant"]``  a switch, 1 with its driver and 0 without, and the driver's ``label``
``[money]``               ``spending`` and ``left``, flows; ``sizes``, a file of uncertain sizes
``[years]``               ``shown``, of tables; ``answer``, of single answers; ``past``, from and to
                          which growth is attributed; ``ahead``, first and last of policies
``[shares.key]``          shares that add up to one: ``variable``, ``weight``, ``title``, ``rest``
``[labels]``              what to call variables, elements and units of the model, and titles of
                          the study's definitions
``[loops]``               names of feedback loops, each with its variables
========================  =====================================================================

A label is a string, or a table of languages: ``{ en = "output", zh = "产出" }``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from beltcast.engine.syntax import split_label
from beltcast.errors import BeltcastError, UnknownName, did_you_mean, gathered, quoted
from beltcast.files.toml import Toml, TomlTable, find_file
from beltcast.model.labels import find_label, join_label
from beltcast.model.model import Model
from beltcast.schema import LANGUAGES, NO_LABEL, Label

LEVER_KEYS = ("label", "key", "range", "unit", "one", "driver", "step", "policy")

SLIDER_STEPS = 40
"""Steps of a slider over the range of its lever, unless the study gives a step."""


@dataclass(frozen=True)
class Lever:
    """A constant that a user or a policy moves.

    Attributes
    ----------
    name : str
        The constant, ``Name`` or ``Name[Element]``.
    low, high : float  [unit of the constant]
        Ends of its range.
    idle : float  [unit of the constant]
        Value at which the lever changes nothing: the model's own.
    label : Label
        What to call it.
    key : str
        Short name, for links.
    unit : str
        As in the model file.
    one : Label
        What the value 1 means.
    driver : str
        Switch of the driver that the lever belongs to; empty if there is none.
    step : float  [unit of the constant]
    policy : bool
        Whether a policy may set it.
    """

    name: str
    low: float
    high: float
    idle: float
    label: Label = NO_LABEL
    key: str = ""
    unit: str = ""
    one: Label = NO_LABEL
    driver: str = ""
    step: float = 0.05
    policy: bool = True


@dataclass(frozen=True)
class Shares:
    """Shares over one subscript range of the model, such as market shares, shown as areas.

    Attributes
    ----------
    variable : str
        Shares by place and element.
    weight : str
        Flow that weights the shares of places in their mean.
    title : Label
    rest : Label
        Name of the part that is missing to one; empty if the shares add up to one.
    """

    variable: str
    weight: str
    title: Label
    rest: Label = NO_LABEL


@dataclass(frozen=True)
class Years:
    """Default years of commands.

    Attributes
    ----------
    shown : tuple of int
        Columns of tables.
    answer : int
        Year of a single answer about the future.
    past : (int, int)
        Growth from the first to the second is attributed to drivers.
    ahead : (int, int)
        First and last year of totals of policies and prices; both count.
    """

    shown: tuple[int, ...]
    answer: int
    past: tuple[int, int]
    ahead: tuple[int, int]


def default_years(run: Sequence[int], observed: float) -> Years:
    """Return years for a study that names none.

    Parameters
    ----------
    run : sequence of int
        Whole years of the run.
    observed : float  [Year]
        End of the last observation.

    Examples
    --------
    >>> default_years(range(2018, 2036), 2024.5)
    Years(shown=(2024, 2030, 2035), answer=2030, past=(2018, 2023), ahead=(2024, 2035))
    """
    first, last = run[0], run[-1]
    known = min(max(math.floor(observed) - 1, first), last)
    start = min(known + 1, last)
    middle = start + (last - start + 1) // 2
    return Years(tuple(sorted({start, middle, last})), middle, (first, known), (start, last))


@dataclass(frozen=True)
class Roles:
    """Result of `read_roles`; empty where the study has no table.

    Attributes
    ----------
    levers : tuple of Lever
    drivers : mapping of str to Label
        Switch, a constant that is 1 with its driver and 0 without, to the name of the driver.
    companions : tuple of str
        Variables that a forecast keeps as quantiles beside the target.
    spending, left : tuple of str
        Flows that somebody pays, the main one first; flows that are left, and to whom.
    sizes : Path or None
        File of the uncertain sizes of these.
    shares : mapping of str to Shares
    total : str
        Sum of the target over its places, a variable without subscripts; empty if there is none.
    compare : str
        Scenario that reports draw beside the first; empty if there is none.
    years : mapping of str to tuple of int
        Fields of `Years` that the study gives.
    labels : mapping of str to Label
        Variables, elements and units of the model, and what to call them.
    loops : mapping of str to tuple of str
        Name of a feedback loop, and variables that identify it.
    """

    levers: tuple[Lever, ...] = ()
    drivers: Mapping[str, Label] = field(default_factory=lambda: MappingProxyType({}))
    companions: tuple[str, ...] = ()
    total: str = ""
    spending: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    sizes: Path | None = None
    shares: Mapping[str, Shares] = field(default_factory=lambda: MappingProxyType({}))
    compare: str = ""
    years: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[str, Label] = field(default_factory=lambda: MappingProxyType({}))
    loops: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def switches(self) -> tuple[str, ...]:
        """Constants that switch the drivers, in the order of the file."""
        return tuple(self.drivers)

    def driver(self, switch: str) -> str:
        """Return the name of a driver; its switch, if the study does not name it."""
        return self.drivers[switch].en if switch in self.drivers else switch


def read_roles(
    owners: Mapping[str, Toml],
    model: Model,
    scenarios: Sequence[str] = (),
    *,
    faults: list[BeltcastError] | None = None,
) -> Roles:
    """Read the roles of a study and check every name against the model.

    Parameters
    ----------
    owners : mapping of str to Toml
        Table name to the file that gives it: the study, or the study that it extends.
    model : Model
    scenarios : sequence of str
        Names of the study's scenarios.
    faults : list, optional
        Takes the first error of each table, and of each lever, instead of raising the first.

    Raises
    ------
    InputError
        With file and line: a constant, flow or scenario does not exist, a range is not
        ``[low, high]`` around the model's own value, a unit is not the model's, a key is unknown.
    """
    reader = _Reader(owners, model, faults)
    found: dict[str, Any] = {}
    parts: dict[str, Callable[[], Any]] = {
        "drivers": reader.drivers,
        "levers": lambda: reader.levers(found.get("drivers")),
        "companions": lambda: reader.names(reader.forecast(), "companions"),
        "total": reader.total,
        "compare": lambda: reader.compare(scenarios),
        "spending": lambda: reader.names(reader.money(), "spending"),
        "left": lambda: reader.names(reader.money(), "left"),
        "sizes": reader.sizes,
        "shares": reader.shares,
        "years": reader.years,
        "labels": reader.labels,
        "loops": reader.loops,
    }
    for name, read in parts.items():
        with gathered(faults):
            found[name] = read()
    return Roles(**found)


def read_label(
    table: TomlTable, key: str, default: str | None = None, *, name: str | None = None
) -> Label:
    """Read a label: a string, or a table with a text in each language.

    Parameters
    ----------
    table : TomlTable
    key : str
    default : str, optional
        Label where the key is missing; no label by default.
    name : str, optional
        English text of a table that gives only other languages.

    Raises
    ------
    InputError
        It is neither; or a language is unknown.
    """
    if key not in table:
        return NO_LABEL if default is None else Label(default)
    value = table.values[key]
    if isinstance(value, str) and value.strip():
        return Label(value)
    if isinstance(value, dict):
        texts: dict[str, Any] = {"en": name, **value}
        good = all(isinstance(text, str) and text.strip() for text in texts.values())
        if good and set(texts) <= set(LANGUAGES):
            return Label(**texts)
    raise table.refusal(key, 'a text, or texts by language such as { en = "...", zh = "..." }')


@dataclass(frozen=True)
class _Reader:
    """The tables of a study, and the model that knows their names."""

    owners: Mapping[str, Toml]
    model: Model
    faults: list[BeltcastError] | None = None

    def table(self, name: str, known: Sequence[str] | None = None) -> TomlTable:
        """A table of the study; empty if it is missing."""
        toml = self.owners[name]
        table = TomlTable(toml, (), toml.tables).table(name, called="{}", optional=True)
        return table if known is None else table.only(known)

    def inside(self, name: str, known: Sequence[str]) -> Iterator[tuple[str, TomlTable]]:
        """Tables inside a table of the study, such as each lever."""
        outer = self.table(name)
        for key in outer:
            yield key, outer.table(key, called="{}").only(known)

    def forecast(self) -> TomlTable:
        return self.table("forecast", ("companions", "total", "compare"))

    def money(self) -> TomlTable:
        return self.table("money", ("spending", "left", "sizes"))

    def total(self) -> str:
        table = self.forecast()
        return self.variable(table, "total") if "total" in table else ""

    def compare(self, scenarios: Sequence[str]) -> str:
        table = self.forecast()
        compare = table.text("compare", "", empty=True)
        if compare and compare not in scenarios:
            meant = did_you_mean(compare, scenarios)
            raise table.fail(f"compare: there is no scenario {quoted(compare)}{meant}", "compare")
        return compare

    def sizes(self) -> Path | None:
        return (
            find_file(self.owners["money"], "money", "sizes") if "sizes" in self.money() else None
        )

    def loops(self) -> dict[str, tuple[str, ...]]:
        table = self.table("loops")
        return {name: self.names(table, name) for name in table}

    def levers(self, drivers: Mapping[str, Label] | None) -> tuple[Lever, ...]:
        """Levers of the study; if the drivers are faulty, references to them are not checked."""
        levers: list[Lever] = []
        outer = self.table("levers")
        for given in outer:
            with gathered(self.faults):
                table = outer.table(given, called="{}").only(LEVER_KEYS)
                levers.append(self.lever(given, table, drivers, {one.key for one in levers}))
        return tuple(levers)

    def lever(
        self,
        given: str,
        table: TomlTable,
        drivers: Mapping[str, Label] | None,
        taken: Collection[str],
    ) -> Lever:
        name = self.constant(given, table)
        low, high = self._range(table, name)
        key = table.text("key", name)
        driver = table.text("driver", "", empty=True)
        if driver and drivers is not None and driver not in drivers:
            problem = f"there is no driver {quoted(driver)}{did_you_mean(driver, drivers)}"
            raise table.fail(f"{problem}; name a table of [drivers]", "driver")
        if key in taken:
            raise table.fail(f"two levers have the key {quoted(key)}", "key")
        own = self.model.find(split_label(name)[0]).unit
        if "unit" in table:
            table.unit("unit", own, str.__eq__, name)
        return Lever(
            name,
            low,
            high,
            self.model.value(name),
            label=read_label(table, "label", name),
            key=key,
            unit=own,
            one=read_label(table, "one"),
            driver=driver,
            step=table.number("step", (high - low) / SLIDER_STEPS, above=0),
            policy=table.flag("policy", True),
        )

    def drivers(self) -> Mapping[str, Label]:
        found: dict[str, Label] = {}
        for given, table in self.inside("drivers", ("label",)):
            name = self.constant(given, table)
            found[name] = read_label(table, "label", name)
        return MappingProxyType(found)

    def shares(self) -> Mapping[str, Shares]:
        found: dict[str, Shares] = {}
        for key, table in self.inside("shares", ("variable", "weight", "title", "rest")):
            variable, weight = self.variable(table, "variable"), self.variable(table, "weight")
            title, rest = read_label(table, "title", variable), read_label(table, "rest")
            found[key] = Shares(variable, weight, title, rest)
        return MappingProxyType(found)

    def years(self) -> Mapping[str, tuple[int, ...]]:
        table = self.table("years", ("shown", "answer", "past", "ahead"))
        grid = self.model.grid()
        first, last = math.ceil(grid.start), math.floor(grid.end) - 1
        found = {}
        for key, given in table.values.items():
            years = given if isinstance(given, list) else [given]
            good = all(isinstance(year, int) and first <= year <= last for year in years)
            count = {"answer": 1, "past": 2, "ahead": 2}.get(key, len(years) or 1)
            if not good or len(years) != count or years != sorted(years):
                what = "a year" if count == 1 else "ascending years"
                raise table.refusal(
                    key, f"{what} from {first} to {last}, which the model runs through"
                )
            found[key] = tuple(years)
        return MappingProxyType(found)

    def labels(self) -> Mapping[str, Label]:
        table = self.table("labels")
        units = {variable.unit for variable in self.model.variables.values()}
        known = {
            *self.model.variables,
            *self.model.subscripts,
            *(element for own in self.model.subscripts.values() for element in own),
            *units,
            *(unit.partition("/")[0].strip() for unit in units),
            *self.titles(),
        }
        for name in table:
            if name not in known:
                meant = did_you_mean(name, sorted(known))
                problem = f"{quoted(name)} is not a variable, element, unit or definition{meant}"
                raise table.fail(problem, name)
        return MappingProxyType({name: read_label(table, name, name=name) for name in table})

    def titles(self) -> set[str]:
        """Titles of the definitions of the study; `beltcast.study.noise` reads their other keys."""
        tables = self.owners["definitions"].tables.get("definitions")
        given = tables.values() if isinstance(tables, dict) else ()
        return {str(one["title"]) for one in given if isinstance(one, dict) and "title" in one}

    def names(self, table: TomlTable, key: str) -> tuple[str, ...]:
        """A list of variables, as the model spells them."""
        given = table.texts(key, (), expected="a list of variables")
        return tuple(self.spelled(table, key, name) for name in given)

    def variable(self, table: TomlTable, key: str) -> str:
        """Name of a variable, as the model spells it."""
        return self.spelled(table, key, table.text(key))

    def spelled(self, table: TomlTable, key: str, name: str) -> str:
        try:
            return self.model.find(name).name
        except UnknownName as problem:
            raise table.fail(f"{key}: {problem.sentence}", key) from None

    def constant(self, given: str, table: TomlTable) -> str:
        """Label of one constant of the model, which heads a table, as the model spells it."""
        kind = table.keys[0]
        try:
            variable, elements = find_label(given, self.model)
        except UnknownName as problem:
            raise table.fail(f"[{kind}]: {problem.sentence}") from None
        if variable.kind != "constant" or len(elements) != len(variable.dims):
            what = f"{quoted(given)} is of kind {variable.kind} over ({', '.join(variable.dims)})"
            raise table.fail(f"[{kind}]: {what}; expected one constant of the model")
        return join_label(variable.name, elements)

    def _range(self, table: TomlTable, name: str) -> tuple[float, float]:
        given, idle = table.values.get("range"), self.model.value(name)
        if isinstance(given, list) and len(given) == 2:
            low, high = given
            good = all(isinstance(end, int | float) and math.isfinite(end) for end in given)
            if good and low < high and low <= idle <= high:
                return float(low), float(high)
        raise table.fail(
            f"the range of {quoted(name)} is {quoted(given)}; expected [low, high], two numbers "
            f"with the model's own value, {idle:g}, between them",
            "range",
        )
