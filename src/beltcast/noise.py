"""How published numbers differ from what the model calls the truth.

What you have, and what serves it:

=============================================  ====================================================
a number under another statistical scope       an *offset* (log) for each pair of place and
                                               definition, estimated, with the definition's spread
a scope whose coverage widens                  a *trend* of that offset, per year, likewise
numbers of one year that all lie high or low   a *year shock* (log), shared by all places
a quarter, a half, ten months                  the *season*: within a year the flow is
                                               ``1 + a (2u - 1)``, u the fraction of the year
rounding, haste, hearsay                       the *grade* of the row (log sd)
a first release                                the *vintage* of the row (log sd)
"more than 187.2"                              a bound: censored, only the tail probability counts
=============================================  ====================================================

A row's own spread is the root of the sum of squares of grade, vintage and definition; that of a
growth rate is sqrt(2) times as large, since both of its years carry one.  The noise that fits is
the noise that forecasts: `beltcast.forecast` draws from the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beltcast.errors import InputError, TableError, did_you_mean
from beltcast.observations import Observation, Observations
from beltcast.textfiles import Toml


@dataclass(frozen=True)
class Definition:
    """A statistical scope.

    Attributes
    ----------
    title : str
    offset_sd : float
        Log sd of its size against the model's scope; 0 is the reference.
    trend_sd : float  [1/Year]
        Log sd of the drift of that offset.
    noise : float
        Log sd added to a row's grade.
    """

    title: str
    offset_sd: float
    trend_sd: float
    noise: float


@dataclass(frozen=True)
class Noise:
    """Spreads of everything between the model and print, as standard deviations of logs."""

    grade: Mapping[str, float]
    vintage: Mapping[str, float]
    year_shock: float
    year_shocks: Mapping[int, float]
    season_mean: float
    season_sd: float
    definitions: Mapping[str, Definition]

    def shock_sd(self, year: int) -> float:
        """Spread of the shock of a year."""
        return self.year_shocks.get(year, self.year_shock)

    def row_sd(self, row: Observation) -> float:
        """Spread of one published number, without what it shares with others."""
        own = math.hypot(
            self.grade[row.grade], self.vintage[row.vintage], self.definitions[row.definition].noise
        )
        return own * math.sqrt(2.0) if row.kind == "growth" else own

    def check(self, observations: Observations) -> None:
        """Refuse rows whose definition has no table.

        Raises
        ------
        TableError
        """
        for row in observations:
            if row.definition not in self.definitions:
                known = did_you_mean(row.definition, self.definitions)
                raise TableError(
                    f"the definition '{row.definition}' has no table [definitions."
                    f"{row.definition}] in the study{known}; add one with "
                    "its offset_sd, trend_sd and noise",
                    observations.path,
                    row.line,
                )


def noise_from_table(toml: Toml) -> Noise:
    """Read the tables [noise] and [definitions.*] of a study.

    Raises
    ------
    InputError
        With file and line: a table or number is missing, or a spread is negative.
    """
    noise = _mapping(toml, "noise")
    grade = _spreads(toml, "noise", "grade", ("A", "B", "C"))
    vintage = _spreads(toml, "noise", "vintage", ("final", "revised", "preliminary", "only"))
    shock = noise.get("year_shock", 0.0)
    shocks = shock if isinstance(shock, dict) else {"default": shock}
    numbers = {str(k): _number(toml, v, "noise", "year_shock") for k, v in shocks.items()}
    for year in numbers:
        if year != "default" and not year.isdecimal():
            raise InputError(
                f"noise.year_shock names the year {year!r}; expected one like 2020, or 'default'",
                toml.path,
                toml.line("noise", "year_shock"),
            )
    season = _mapping(toml, "noise", "season")
    mean = season.get("mean", 0.0)
    if isinstance(mean, bool) or not isinstance(mean, int | float) or not abs(mean) < 1:
        raise InputError(
            f"noise.season.mean is {mean!r}; expected an amplitude between -1 and 1",
            toml.path,
            toml.line("noise", "season"),
        )
    definitions = _mapping(toml, "definitions")
    return Noise(
        grade=grade,
        vintage=vintage,
        year_shock=numbers.pop("default", 0.0),
        year_shocks={int(year): sd for year, sd in numbers.items()},
        season_mean=float(mean),
        season_sd=_number(toml, season.get("sd", 0.0), "noise", "season", "sd"),
        definitions={name: _definition(toml, name) for name in definitions},
    )


def _definition(toml: Toml, name: str) -> Definition:
    table = _mapping(toml, "definitions", name)
    return Definition(
        title=str(table.get("title", name)),
        **{
            key: _number(toml, table.get(key), "definitions", name, key)
            for key in ("offset_sd", "trend_sd", "noise")
        },
    )


def _spreads(toml: Toml, *path: Any) -> dict[str, float]:
    *keys, names = path
    table = _mapping(toml, *keys)
    return {name: _number(toml, table.get(name), *keys, name) for name in names}


def _mapping(toml: Toml, *keys: str) -> Mapping[str, Any]:
    table: Any = toml.tables
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise InputError(f"the table [{'.'.join(keys)}] is missing; add it", toml.path)
    return table


def _number(toml: Toml, value: Any, *keys: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < math.inf:
        raise InputError(
            f"{'.'.join(keys)} is {value!r}; expected a standard deviation of a log, 0 or more",
            toml.path,
            toml.line(*keys),
        )
    return float(value)
