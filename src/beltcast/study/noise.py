"""How published numbers differ from what the model calls the truth.

What you have, and what serves it:

=============================================  ====================================================
a number under another statistical scope       an *offset* (log) for each pair of place and
                                               definition, estimated, with the definition's spread
one scope, kept by many places                 ``offset_common = 0.5``, a part of the variance of
                                               offsets that all places of a definition share
a scope whose coverage widens                  a *trend* of that offset, per year, likewise
coverage that is complete one day              ``trend_fades = 3.0``: the trend forgets itself with
                                               that time constant in years
scopes that are all built up together          ``trend_common = 0.5``, a part of the variance of
                                               trends that all definitions and places share
numbers of one year that all lie high or low   a *year shock* (log), shared by all places
a boom that outlasts its year                  ``shock_autocorrelation = 0.5`` from year to year
a quarter, a half, ten months                  the *season*: within a year the flow is
                                               ``1 + a (2u - 1)``, u the fraction of the year
rounding, haste, hearsay                       the *grade* of the row (log sd)
grades that are guesses themselves             ``spread = { sd = 0.5, by = ["grade"] }``: the log of
                                               each grade's spread is estimated, with that prior
the same, with many nuisances                  what `error_scales` finds with these:
                                               ``spread = { factors = { "grade A" = 0.7 } }``
a few figures that are plainly wrong           ``tails = 4``: Student's t instead of the normal
a first release                                the *vintage* of the row (log sd)
a first release and its revision               ``revisions = true``: both have one error in common,
                                               and the release its revision error on top
"more than 187.2"                              a bound: censored, only the tail probability counts
"1.7 trillion", known to two digits            ``digits = 2`` of the row: all that rounds to it
"more than 2 trillion", said of 2.3            a bound with ``digits = 1``: from 2 to 3 trillion
one year printed several times                 a *shared* part of the variance of rows of one place,
                                               definition, vintage and year
a series that errs the same way for years      ``autocorrelation = 0.5`` from year to year, of that
                                               shared part
trade and exports of one statistic             one offset, and a small difference (*quantity*)
=============================================  ====================================================

A row's own spread is the root of the sum of squares of grade, vintage and definition; that of a
growth rate is sqrt(2) times as large, since both of its years carry one.  The year shocks, grades,
tails and estimated spreads that fit are those that `beltcast.forecast` draws from; a forecast is on
the model's own scope, so offsets and trends of other definitions are not in it, and its figures'
errors are drawn anew, also where those of the fit are correlated from year to year.

Spreads that are estimated within a fit are found together with all nuisances at one optimum, where
they come out too small if rows have nuisances of their own.  With these integrated out they do not:
`beltcast.inference.audit.error_scales` finds such factors, and a fit that takes them for given is
to be used.

How these enter the density: `residuals` for single rows, `nuisances` for what
rows share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, get_args

from beltcast.errors import InputError, TableError, did_you_mean
from beltcast.files.text import Toml
from beltcast.study.error_models import ErrorModel, error_model_from_table
from beltcast.study.observations import Observation, ObservationKind, Observations


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
    errors : ErrorModel, optional
        Distribution of the definition's rows, instead of one that follows from grade and vintage.
    """

    title: str
    offset_sd: float
    trend_sd: float
    noise: float
    errors: ErrorModel | None = None


@dataclass(frozen=True)
class Noise:
    """Spreads of everything between the model and print, as standard deviations of logs.

    ``reference`` is the date at which an offset has its definition's spread (the last date of the
    rows by default), ``offset_common`` the part of an offset's variance that all places of a
    definition share, ``quantity_sd`` the spread between the offsets of trade and exports of one
    statistic, ``shared`` the part of the variance that rows of one place, definition, vintage and
    year have in common.

    ``tails`` are the degrees of freedom of Student's t, infinite for the normal; ``spread_sd`` is
    the prior spread of the log of estimated spreads, 0 where they are taken as given, one for each
    value of ``spread_by``; ``spread_factors`` are what `beltcast.inference.audit.error_scales` has
    found of them before, taken for given; ``autocorrelation`` is that of the shared errors from one
    year to the next; with ``revisions`` a release has a revision error instead of a wider error of
    its own.

    ``trend_fades`` [Year] is the time constant of the drift of offsets, infinite for a straight
    line; ``trend_common`` the part of its variance that all definitions share;
    ``shock_autocorrelation`` that of year shocks (`beltcast.inference.processes`).

    Without ``seasonal`` the season is no unknown.
    """

    grade: Mapping[str, float]
    vintage: Mapping[str, float]
    year_shock: float
    year_shocks: Mapping[int, float]
    season_mean: float
    season_sd: float
    definitions: Mapping[str, Definition]
    reference: float | None = None
    quantity_sd: float = 0.0
    shared: float = 0.0
    tails: float = math.inf
    spread_sd: float = 0.0
    spread_by: tuple[str, ...] = ("grade",)
    spread_factors: Mapping[str, float] = field(default_factory=dict)
    autocorrelation: float = 0.0
    revisions: bool = False
    trend_fades: float = math.inf
    trend_common: float = 0.0
    shock_autocorrelation: float = 0.0
    offset_common: float = 0.0
    seasonal: bool = True

    def shock_sd(self, year: int) -> float:
        """Spread of the shock of a year."""
        return self.year_shocks.get(year, self.year_shock)

    def row_sd(self, row: Observation) -> float:
        """Spread of one published number, without what it shares with others."""
        errors = self.errors_of(row)
        if errors is not None:
            return errors.scale * self.spread_factors.get(errors.scale_name, 1.0)
        vintage = 0.0 if self.revisions else self.vintage[row.vintage]
        own = math.hypot(self.grade[row.grade], vintage, self.definitions[row.definition].noise)
        own *= self.spread_factor(row.grade, row.kind)
        return own * math.sqrt(2.0) if row.kind == "growth" else own

    def errors_of(self, row: Observation) -> ErrorModel | None:
        """Error model of a row's definition; None where grade and vintage give its errors."""
        return self.definitions[row.definition].errors

    def scale_of(self, row: Observation) -> tuple[str, float]:
        """Name of the unknown that is the log of a row's scale, and the sd of its prior.

        The standard deviation is 0 where the scale is given.
        """
        errors = self.errors_of(row)
        if errors is None:
            return self.spread_name(row.grade, row.kind), self.spread_sd
        given = errors.scale_name in self.spread_factors
        return errors.scale_name, 0.0 if given else errors.scale_log_sd

    def spread_group(self, grade: str, kind: str) -> str:
        """What rows of a grade and kind share the factor of their spread with."""
        parts = {"grade": f"grade {grade}", "kind": f"kind {kind}"}
        return ", ".join(parts[by] for by in self.spread_by)

    def spread_factor(self, grade: str, kind: str) -> float:
        """How many times as wide as said the errors of rows of a grade and kind are given."""
        return self.spread_factors.get(self.spread_group(grade, kind), 1.0)

    def spread_name(self, grade: str, kind: str) -> str:
        """Name of the nuisance that is the log of the spread of rows of a grade and kind."""
        return f"spread of {self.spread_group(grade, kind)}"

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
        With file and line: a table or number is missing, a key is unknown, or a spread is negative.
    """
    noise = _mapping(toml, "noise")
    for key in noise:
        if key not in _KEYS:
            meant = did_you_mean(key, _KEYS) or "; remove it"
            raise InputError(
                f"[noise] has the unknown key '{key}'{meant}",
                toml.path,
                toml.line("noise", key),
            )
    default_shock, shocks = _shocks(toml, noise)
    mean, sd = _season(toml)
    spread_sd, spread_by, spread_factors = _spread(toml, noise)
    shared = _part(toml, noise, "shared", "a part of a variance")
    autocorrelation = _part(toml, noise, "autocorrelation", "a correlation from year to year")
    if autocorrelation > 0 and shared == 0:
        raise InputError(
            "noise.autocorrelation is that of the errors that rows share, and noise.shared is 0; "
            "add shared = a part of the variance, such as 0.75",
            toml.path,
            toml.line("noise", "autocorrelation"),
        )
    return Noise(
        grade=_spreads(toml, "noise", "grade", ("A", "B", "C")),
        vintage=_spreads(toml, "noise", "vintage", ("final", "revised", "preliminary", "only")),
        year_shock=default_shock,
        year_shocks=shocks,
        season_mean=mean,
        season_sd=sd,
        definitions={name: _definition(toml, name) for name in _mapping(toml, "definitions")},
        reference=_reference(toml, noise),
        quantity_sd=_number(toml, noise.get("quantity", 0.0), "noise", "quantity"),
        shared=shared,
        tails=_tails(toml, noise),
        spread_sd=spread_sd,
        spread_by=spread_by,
        spread_factors=spread_factors,
        autocorrelation=autocorrelation,
        revisions=_revisions(toml, noise),
        trend_fades=_fades(toml, noise),
        offset_common=_part(toml, noise, "offset_common", "a part of a variance"),
        trend_common=_part(toml, noise, "trend_common", "a part of a variance"),
        shock_autocorrelation=_part(
            toml, noise, "shock_autocorrelation", "a correlation from year to year"
        ),
    )


_KEYS = (
    "grade",
    "vintage",
    "year_shock",
    "reference",
    "quantity",
    "offset_common",
    "shared",
    "season",
    "tails",
    "spread",
    "autocorrelation",
    "revisions",
    "trend_fades",
    "trend_common",
    "shock_autocorrelation",
)


def _shocks(toml: Toml, noise: Mapping[str, Any]) -> tuple[float, dict[int, float]]:
    """Spread of an ordinary year's shock, and those of single years."""
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
    default = numbers.pop("default", 0.0)
    return default, {int(year): sd for year, sd in numbers.items()}


def _season(toml: Toml) -> tuple[float, float]:
    season = _mapping(toml, "noise", "season")
    mean = season.get("mean", 0.0)
    if not _is_number(mean) or not abs(mean) < 1:
        raise InputError(
            f"noise.season.mean is {mean!r}; expected an amplitude between -1 and 1",
            toml.path,
            toml.line("noise", "season"),
        )
    return float(mean), _number(toml, season.get("sd", 0.0), "noise", "season", "sd")


def _reference(toml: Toml, noise: Mapping[str, Any]) -> float | None:
    reference = noise.get("reference")
    if reference is not None and not _is_number(reference):
        raise InputError(
            f"noise.reference is {reference!r}; expected a decimal year such as 2024.0",
            toml.path,
            toml.line("noise", "reference"),
        )
    return None if reference is None else float(reference)


def _part(toml: Toml, noise: Mapping[str, Any], key: str, what: str) -> float:
    part = _number(toml, noise.get(key, 0.0), "noise", key)
    if part >= 1.0:
        raise InputError(
            f"noise.{key} is {part:g}; expected {what}, 0 or more and below 1",
            toml.path,
            toml.line("noise", key),
        )
    return part


def _tails(toml: Toml, noise: Mapping[str, Any]) -> float:
    tails = noise.get("tails", math.inf)
    if not _is_number(tails) or not tails >= 1.0:
        raise InputError(
            f"noise.tails is {tails!r}; expected degrees of freedom of Student's t, 1 or more, "
            "such as 4",
            toml.path,
            toml.line("noise", "tails"),
        )
    return float(tails)


def _fades(toml: Toml, noise: Mapping[str, Any]) -> float:
    fades = noise.get("trend_fades", math.inf)
    if not _is_number(fades) or not fades > 0:
        raise InputError(
            f"noise.trend_fades is {fades!r}; expected years above 0, such as 3.0, after which a "
            "drift has forgotten itself",
            toml.path,
            toml.line("noise", "trend_fades"),
        )
    return float(fades)


def _spread(
    toml: Toml, noise: Mapping[str, Any]
) -> tuple[float, tuple[str, ...], dict[str, float]]:
    """Prior spread of the logs of estimated spreads, what they are told apart by, known factors."""
    if "spread" not in noise:
        return 0.0, ("grade",), {}
    table = _mapping(toml, "noise", "spread")
    by = table.get("by", ["grade"])
    if not isinstance(by, list) or not by or not all(b in ("grade", "kind") for b in by):
        raise InputError(
            f"noise.spread.by is {by!r}; expected a list of 'grade', 'kind' or both",
            toml.path,
            toml.line("noise", "spread"),
        )
    if ("sd" in table) == ("factors" in table):
        raise InputError(
            "spreads are either estimated, with noise.spread.sd, the prior spread of their logs, "
            "or given, with noise.spread.factors, what was estimated; put one of the two there",
            toml.path,
            toml.line("noise", "spread"),
        )
    told_apart = tuple(dict.fromkeys(by))
    if "sd" in table:
        return _number(toml, table["sd"], "noise", "spread", "sd"), told_apart, {}
    factors = _mapping(toml, "noise", "spread", "factors")
    known = {
        name: _number(toml, value, "noise", "spread", "factors", name)
        for name, value in factors.items()
    }
    values = {"grade": ("A", "B", "C"), "kind": get_args(ObservationKind)}
    groups = {
        ", ".join(f"{by} {value}" for by, value in zip(told_apart, one, strict=True))
        for one in product(*(values[by] for by in told_apart))
    }
    for name, factor in known.items():
        if not factor > 0 or name not in groups:
            expected = min(groups)
            raise InputError(
                f"noise.spread.factors has '{name}' = {factor:g}; expected factors above 0 of "
                f"groups named like '{expected}'{did_you_mean(name, groups)}",
                toml.path,
                toml.line("noise", "spread"),
            )
    return 0.0, told_apart, known


def _revisions(toml: Toml, noise: Mapping[str, Any]) -> bool:
    revisions = noise.get("revisions", False)
    if not isinstance(revisions, bool):
        raise InputError(
            f"noise.revisions is {revisions!r}; expected true or false",
            toml.path,
            toml.line("noise", "revisions"),
        )
    return revisions


def _definition(toml: Toml, name: str) -> Definition:
    table = _mapping(toml, "definitions", name)
    offset_sd, trend_sd, noise = (
        _number(toml, table.get(key), "definitions", name, key)
        for key in ("offset_sd", "trend_sd", "noise")
    )
    errors = None
    if "errors" in table:
        errors = error_model_from_table(toml, "definitions", name, "errors", name=name)
    return Definition(str(table.get("title", name)), offset_sd, trend_sd, noise, errors)


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


def _is_number(value: Any) -> bool:
    # bool is an int in Python, and no number in TOML.
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(toml: Toml, value: Any, *keys: str) -> float:
    if not _is_number(value) or not 0 <= value < math.inf:
        raise InputError(
            f"{'.'.join(keys)} is {value!r}; expected a standard deviation of a log, 0 or more",
            toml.path,
            toml.line(*keys),
        )
    return float(value)
