"""The rules of an origin: what a forecaster knew of a model's inputs, and how to extrapolate them.

Observations carry their date of publication; a model's inputs, dates and priors do not.  A small
table beside the inputs (``models/belt/inputs-known.toml``) states for each of them what to use at
an earlier date:

=================  ================================================================================
``[inputs.X]``     when values of an input came out, first releases, and the rule that
                   extrapolates the series beyond the last known value
``[constants.X]``  a constant that is a date: it moves with the origin, or is unknown until then
``[priors.X]``     a prior that was centred with observations in view: the prior of a forecaster
                   without them
=================  ================================================================================

Reading and the arithmetic of a series are here; `origin` applies them to a study.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

import numpy as np
from scipy.special import expit, logit

from beltcast.engine.nodes import FloatArray
from beltcast.engine.syntax import Data
from beltcast.errors import InputError, UnknownName, did_you_mean, quoted
from beltcast.files.toml import TomlTable, read_toml
from beltcast.model.model import Model
from beltcast.study.priors import Priors
from beltcast.study.study import Study

Carry = Literal["hold", "growth", "share"]
Date = Literal["follows", "after", "announced"]

NEVER = 1e4
"""Year of what has not been announced: beyond the end of any run."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Release:
    """An earlier release of one value of an input.

    Attributes
    ----------
    time : float  [Year]
        Time of the value, one of the series.
    published : float  [Year]
    value : float  [unit of the input]
    """

    time: float
    published: float
    value: float


@dataclass(frozen=True)
class InputRule:
    """Publication and extrapolation of one input.

    Attributes
    ----------
    delay : float  [Year]
        From the time of a value to its publication.
    carry : str
        ``hold`` the last value; ``growth``, its mean log growth over the last `window` years,
        which fades; ``share``, the same for the logit of a percentage, so that it stays below 100.
    window : float  [Year]
        A change over fewer years counts as one over all of it.
    fade : float
        Growth of a year over that of the year before.
    driver : bool
        Whether the series is constant if drivers are frozen.
    published : mapping of float to float  [Year]
        Dates of publication of single values, by their time.
    releases : tuple of Release
        Values before the one in the file.
    """

    delay: float = 0.5
    carry: Carry = "hold"
    window: float = 3.0
    fade: float = 0.8
    driver: bool = False
    published: Mapping[float, float] = field(default_factory=lambda: MappingProxyType({}))
    releases: tuple[Release, ...] = ()

    def published_at(self, time: float) -> float:
        """Date at which the file's own value for a time was published [Year]."""
        return self.published.get(time, time + self.delay)


@dataclass(frozen=True)
class DateRule:
    """Treatment of a constant that is a date.

    ``follows`` an input: the time of its last known value. ``after``: this many `years` after the
    start of the origin's year.  ``announced``: kept if it is not later than the origin,
    and never otherwise.
    """

    kind: Date
    input: str = ""
    years: float = 0.0


@dataclass(frozen=True)
class PriorRule:
    """Prior of a forecaster before some observations came out.

    Attributes
    ----------
    until : float  [Year]
        Date of the last observation that the shipped prior was centred with.
    centre : float or 'common', optional
        In the parameter's own unit; ``common`` gives all elements the mean of their centres on the
        working scale.  As shipped by default.
    sd : float, optional  [working scale]
        As shipped by default, and never smaller.
    """

    until: float
    centre: float | Literal["common"] | None = None
    sd: float | None = None


@dataclass(frozen=True)
class OriginRules:
    """All rules of a model; an input without one is published after half a year and then held."""

    inputs: Mapping[str, InputRule] = field(default_factory=lambda: _NOTHING)
    constants: Mapping[str, DateRule] = field(default_factory=lambda: _NOTHING)
    priors: Mapping[str, PriorRule] = field(default_factory=lambda: _NOTHING)
    sha256: str = ""

    def of_input(self, name: str) -> InputRule:
        """Rule of an input."""
        return self.inputs.get(name, InputRule())


def known_series(data: Data, rule: InputRule, date: float) -> tuple[FloatArray, FloatArray]:
    """Values of an input as known at a date.

    The first point is the start of the run and is always known: an index needs its base.

    Parameters
    ----------
    data : Data
    rule : InputRule
    date : float  [Year]

    Returns
    -------
    times : (n,)  [Year]
    values : (n,)  [unit of the input]

    Examples
    --------
    >>> data = Data(np.array([2013.0, 2019.5, 2020.5]), np.array([1.0, 4.0, 9.0]))
    >>> rule = InputRule(delay=0.5, releases=(Release(2019.5, 2019.8, 3.5),))
    >>> known_series(data, rule, 2019.9)[1].tolist()
    [1.0, 3.5]
    >>> known_series(data, rule, 2020.5)[1].tolist()
    [1.0, 4.0]
    """
    times, values = [float(data.times[0])], [float(data.values[0])]
    for time, value in zip(data.times[1:].tolist(), data.values[1:].tolist(), strict=True):
        said = [(r.published, r.value) for r in rule.releases if r.time == time]
        said.append((rule.published_at(time), value))
        by_then = [release for release in said if release[0] <= date]
        if by_then:
            times.append(time)
            values.append(max(by_then)[1])
    return np.array(times), np.array(values)


def carried_on(
    times: FloatArray, values: FloatArray, end: float, rule: InputRule, *, frozen: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Extrapolate a series from its last known value to the end of a run.

    On the log (``growth``) or logit (``share``) scale with the mean growth ``g`` a year of the last
    `window` years of values (or of the last two values, if they are further apart),

        w(t + k) = w(t) + g (f + f^2 + ... + f^k),      f the fade.

    A series is held if there are fewer than two values after the start, or if one of them
    has no log.

    Parameters
    ----------
    times, values : (n,)  [Year], [unit of the input]
        As `known_series` returns them.
    end : float  [Year]
    rule : InputRule
    frozen : bool
        Hold it, whatever the rule says.

    Returns
    -------
    times, values : (m,), (m,)
        The known values, then one a year.

    Examples
    --------
    >>> rule = InputRule(carry="growth", fade=0.5, window=1.0)
    >>> past = np.array([2018.0, 2019.0, 2020.0]), np.exp([0.0, 0.2, 0.4])
    >>> np.log(carried_on(*past, 2022.0, rule)[1]).round(3).tolist()
    [0.0, 0.2, 0.4, 0.5, 0.55]
    """
    if frozen or rule.carry == "hold" or len(times) < 3:
        return times, values
    with np.errstate(divide="ignore", invalid="ignore"):
        working = np.log(values) if rule.carry == "growth" else logit(values / 100.0)
    # The first point is the start of the run, often judged; growth is that of later values.
    recent = np.flatnonzero(times[1:] >= times[-1] - rule.window - 1e-9)[0] + 1
    base = min(int(recent), len(times) - 2)
    # A jump within one year is not a trend: a change over less than the window is spread over it.
    growth = (working[-1] - working[base]) / max(times[-1] - times[base], rule.window)
    if not math.isfinite(growth):
        return times, values
    years = np.arange(1.0, math.ceil(end - times[-1]) + 1.0)
    later = working[-1] + growth * np.cumsum(rule.fade**years)
    ahead = np.exp(later) if rule.carry == "growth" else 100.0 * expit(later)
    return np.concatenate([times, times[-1] + years]), np.concatenate([values, ahead])


def read_origin_rules(path: str | Path, model: Model, priors: Priors) -> OriginRules:
    """Read the rules of a model.

    Parameters
    ----------
    path : str or Path
        A TOML file; see ``models/belt/inputs-known.toml``.
    model : Model
    priors : Priors
        Whose constants the table ``priors`` names.

    Raises
    ------
    InputError
        With file and line: an unknown table, name or key, or an invalid value.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.verification.origin_rules import read_origin_rules
    >>> from beltcast.files.shipped import shipped
    >>> study = read_study()
    >>> path = shipped("models/belt/inputs-known.toml")
    >>> rules = read_origin_rules(path, study.model, study.priors)
    >>> rules.inputs["compliance requirements"].carry
    'hold'
    """
    file = read_toml(path, InputError)
    for name in file.tables:
        if name not in _TABLES:
            # A header such as [input.x] has a line of its own, and [input] has none.
            line = min(line for keys, line in file.lines.items() if keys[0] == name)
            known = did_you_mean(name, _TABLES)
            raise InputError(f"unknown table {quoted(name)}{known}", file.path, line)
    whole = TomlTable(file, (), file.tables)
    inputs, constants, own = (whole.table(name, called="'{}'", optional=True) for name in _TABLES)
    return OriginRules(
        inputs={
            _name(inputs, name, model): _input_rule(_rule(inputs, name), model) for name in inputs
        },
        constants={
            _name(constants, name, model): _date_rule(_rule(constants, name), model)
            for name in constants
        },
        priors={name: _prior_rule(_rule(own, name), priors) for name in own},
        sha256=file.sha256,
    )


def rules_of(study: Study, path: str | Path | None = None) -> OriginRules:
    """Read what was known about the inputs of a study at earlier dates.

    Parameters
    ----------
    study : Study
    path : str or Path, optional
        A TOML file; ``inputs-known.toml`` beside the model by default.  Without either, no input
        is known.
    """
    if path is None and study.model.path is not None:
        beside = study.model.path.with_name("inputs-known.toml")
        path = beside if beside.exists() else None
    return read_origin_rules(path, study.model, study.priors) if path else OriginRules()


_TABLES = ("inputs", "constants", "priors")


def _rule(table: TomlTable, name: str) -> TomlTable:
    return table.table(name, called=f"{{}} of {quoted(name)}")


def _name(table: TomlTable, name: str, model: Model) -> str:
    """Name as the model spells it, if it is of the kind that the table needs."""
    kind = table.keys[0].removesuffix("s")
    try:
        variable = model.find(name)
    except UnknownName as unknown:
        raise table.fail(unknown.sentence, name) from None
    if variable.kind != kind:
        article = "an" if kind == "input" else "a"
        raise table.fail(
            f"{quoted(variable.name)} is of kind {quoted(variable.kind)} in the model; expected "
            f"the name of {article} {kind} here",
            name,
        )
    return variable.name


def _input_rule(table: TomlTable, model: Model) -> InputRule:
    keys = ("delay", "carry", "window", "fade", "driver", "published", "releases", "note")
    name = table.keys[-1]
    table.only(keys, quoted(name))
    instants = set(model.program.inputs[int(model.rows(name)[0])].times.tolist())

    def instant(time: float, key: str) -> float:
        if time not in instants:
            raise table.fail(
                f"{key} of {quoted(name)} names the time {time:g}, for which the input has no "
                "value; give the time of one of its rows",
                key,
            )
        return time

    published = table.table("published", optional=True)
    dates: dict[float, float] = {}
    for time in published:
        try:
            dates[instant(float(time), "published")] = published.number(time)
        except ValueError:
            problem = f"published of {quoted(name)} has the key {quoted(time)}; expected a time"
            raise published.fail(problem, time) from None
    plain = InputRule()
    return InputRule(
        delay=table.number("delay", plain.delay),
        carry=cast(Carry, table.choice("carry", get_args(Carry), "hold")),
        window=table.number("window", plain.window),
        fade=table.number("fade", plain.fade),
        driver=table.flag("driver"),
        published=MappingProxyType(dates),
        releases=tuple(
            Release(
                instant(one.number("time"), "releases"),
                one.number("published"),
                one.number("value"),
            )
            for one in table.tables("releases")
        ),
    )


def _date_rule(table: TomlTable, model: Model) -> DateRule:
    name = table.keys[-1]
    table.only(("follows", "after", "announced", "note"), quoted(name))
    kinds = [kind for kind in get_args(Date) if kind in table]
    if len(kinds) != 1:
        raise table.fail(
            f"the rule of {quoted(name)} has {len(kinds)} of follows, after and announced; give "
            "one of them"
        )
    kind = cast(Date, kinds[0])
    if kind == "follows":
        given = table.text("follows")
        if given not in model.inputs:
            raise table.fail(
                f"{quoted(name)} follows {quoted(given)}, which is not an input of the model"
                + did_you_mean(given, model.inputs),
                "follows",
            )
        return DateRule(kind, input=given)
    return DateRule(kind, years=table.number("after")) if kind == "after" else DateRule(kind)


def _prior_rule(table: TomlTable, priors: Priors) -> PriorRule:
    name = table.keys[-1]
    table.only(("until", "centre", "sd", "note"), quoted(name), renamed={"spread": "sd"})
    if name not in priors.names:
        raise table.fail(f"{quoted(name)} has no prior{did_you_mean(name, priors.names)}")
    centre: float | Literal["common"] | None = None
    if "centre" in table:
        common = table.values["centre"] == "common"
        expected = "a finite number, or 'common'"
        centre = "common" if common else table.number("centre", expected=expected)
    sd = table.number("sd") if "sd" in table else None
    return PriorRule(table.number("until"), centre, sd)
