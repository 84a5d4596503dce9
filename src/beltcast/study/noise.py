"""Errors of observations: how published numbers differ from the model.

Choose by what you have:

=============================================  ====================================================
a number under another statistical scope       an *offset* (log) for each pair of place and
                                               definition, estimated, with the definition's sd
one scope, used by many places                 ``offset_common = 0.5``, a part of the variance of
                                               offsets that all places of a definition share
a scope whose coverage widens                  a *trend* of that offset, per year, likewise
coverage that is complete one day              ``trend_fades = 3.0``: the trend decays with that
                                               time constant in years
one trend for all places of a definition       ``trend_own = 0.0``; 0.4 leaves each place a part
scopes that are all built up together          ``trend_common = 0.5``, a part of the variance of
                                               trends that all definitions and places share
numbers of one year that all lie high or low   a *year shock* (log), shared by all places
a model whose level and growth are wrong for   a *discrepancy*: a random walk of the log level and
years                                          a growth deviation that is damped
a quarter, a half, ten months                  the *season*: within a year the flow is
                                               ``1 + a (2u - 1)``, u the fraction of the year
numbers of different reliability               the *grade* of the row (log sd)
grades that are themselves uncertain           ``error_scales = { sd = 0.5, by = ["grade"] }``: the
                                               log of each grade's sd factor is estimated, with that
                                               prior
the same, with many nuisances                  factors that `error_scales` finds:
                                               ``error_scales = { factors = { "grade A" = 0.7 } }``
a few observations that are plainly wrong      ``tails = 4``: Student's t instead of the normal
a first release                                the *vintage* of the row (log sd)
a first release and its revision               ``revisions = true``: both have one error in common,
                                               and the release its revision error on top
"more than 187.2", of a part of the place      a bound: censored, only the tail probability counts
"over 120,000"                                 ``exceeds = 0.04``: the log of a row of kind ``over``
                                               is exceeded by the absolute value of a normal of
                                               that standard deviation
"1.7 trillion", known to two digits            ``digits = 2`` of the row: all that rounds to it
"more than 2 trillion", said of 2.3            a bound with ``digits = 1``: from 2 to 3 trillion
one year printed several times                 a *shared* part of the variance of rows of one place,
                                               definition, vintage and year
a series that errs the same way for years      ``autocorrelation = 0.5`` from year to year, of that
                                               shared part
trade and exports of one statistic             one offset, and a small difference (*quantity*)
=============================================  ====================================================

A row's own standard deviation is the root of the sum of squares of grade, vintage and definition;
that of a growth rate is sqrt(2) times as large, since both of its years have one.  The year shocks,
grades, tails and estimated factors of the fit are those that `beltcast.forecast` draws from; a
forecast is on the model's own scope, so offsets and trends of other definitions are not in it, and
its errors are drawn again, even if those of the fit are correlated from year to year.

Factors that are estimated within a fit are found together with all nuisances at one optimum, where
they come out too small if rows have nuisances of their own.  With these integrated out they do not:
use `beltcast.inference.audit.error_scales` to find such factors, and a fit that takes them as
given.

How these enter the density: `residuals` for single rows, `nuisances` for errors that rows share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import get_args

from beltcast.errors import (
    BeltcastError,
    TableError,
    did_you_mean,
    gathered,
    quoted,
)
from beltcast.files.toml import REQUIRED, Toml, TomlTable, read_table
from beltcast.study.error_models import SCALED_FAMILIES, ErrorModel, error_model_from_table
from beltcast.study.observations import Observation, ObservationKind, Observations


@dataclass(frozen=True)
class Definition:
    """A statistical scope.

    Attributes
    ----------
    title : str
    offset_sd : float
        Log sd of its size relative to the model's scope; 0 is the reference.
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
class Discrepancy:
    """Lasting errors of the model (`beltcast.inference.discrepancy`).

    Attributes
    ----------
    level_common, level_own : float  [log / sqrt(Year)]
        Standard deviations of the yearly steps of the log level: the part that all places share,
        and the part of each place.
    growth_common, growth_own : float  [log / Year]
        Standard deviations of the deviations of growth at any time.
    damping : float
        Share of a deviation of growth that remains after a year.
    """

    level_common: float
    level_own: float
    growth_common: float
    growth_own: float
    damping: float


@dataclass(frozen=True)
class Noise:
    """Standard deviations (of logs) of everything between the model and a published number.

    ``reference`` is the date at which an offset has its definition's sd (the last date of the
    rows by default), ``offset_common`` the part of an offset's variance that all places of a
    definition share, ``quantity_sd`` the sd between the offsets of trade and exports of one
    statistic, ``shared`` the part of the variance that rows of one place, definition, vintage and
    year have in common.

    ``tails`` are the degrees of freedom of Student's t, infinite for the normal;
    ``error_scale_sd`` is the prior sd of the log of estimated sd factors, 0 if they are taken as
    given, one for each value of ``error_scale_by`` (grade, kind, and scope: ``reference`` for
    definitions without an offset, ``other`` for those with one); ``error_scale_factors`` are what
    `beltcast.inference.audit.error_scales` has found before, taken as given;
    ``autocorrelation`` is that of the shared errors from one year to the next; with ``revisions`` a
    release has a revision error instead of a wider error of its own.

    ``exceeds`` is the standard deviation of how far the truth lies above what is printed as "over"
    (kind ``over``): its log is that of the number plus ``|N(0, exceeds)|``, approximated by the
    mean, ``exceeds sqrt(2 / pi)``, and its standard deviation, ``exceeds sqrt(1 - 2 / pi)``.
    Components of a fading drift below the part ``trend_detail`` of the largest component's variance
    are left out, since each one is an unknown.

    ``trend_fades`` [Year] is the time constant of the drift of offsets, infinite for a straight
    line; ``trend_common`` the part of its variance that all definitions share, ``trend_own`` the
    part of the rest that each place has to itself, 1 by default, where the other part is common to
    all places of the definition.  ``discrepancy`` is that of the model itself
    (`beltcast.inference.discrepancy`), None without one.

    Without ``seasonal`` the season is not an unknown.
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
    error_scale_sd: float = 0.0
    error_scale_by: tuple[str, ...] = ("grade",)
    error_scale_factors: Mapping[str, float] = field(default_factory=dict)
    autocorrelation: float = 0.0
    revisions: bool = False
    trend_fades: float = math.inf
    trend_common: float = 0.0
    discrepancy: Discrepancy | None = None
    offset_common: float = 0.0
    seasonal: bool = True
    trend_own: float = 1.0
    trend_detail: float = 1e-9
    exceeds: float = 0.0

    def excess(self, row: Observation) -> float:
        """Mean log by which the truth exceeds the printed number."""
        plain = self.errors_of(row) is None and row.kind == "over"
        return self.exceeds * math.sqrt(2.0 / math.pi) if plain else 0.0

    def shock_sd(self, year: int) -> float:
        """Standard deviation of the shock of a year."""
        return self.year_shocks.get(year, self.year_shock)

    def row_sd(self, row: Observation) -> float:
        """Standard deviation of one published number, without errors that it shares with others."""
        errors = self.errors_of(row)
        if errors is not None:
            return (errors.scale or 1.0) * self.error_scale_factors.get(errors.scale_name, 1.0)
        vintage = 0.0 if self.revisions else self.vintage[row.vintage]
        own = math.hypot(self.grade[row.grade], vintage, self.definitions[row.definition].noise)
        own *= self.error_scale_factor(row.grade, row.kind, row.definition)
        if row.kind == "over":
            own = math.hypot(own, self.exceeds * math.sqrt(1.0 - 2.0 / math.pi))
        return own * math.sqrt(2.0) if row.kind == "growth" else own

    def errors_of(self, row: Observation) -> ErrorModel | None:
        """Error model of a row's definition; None if grade and vintage give its errors."""
        return self.definitions[row.definition].errors

    def scale_of(self, row: Observation) -> tuple[str, float]:
        """Name of the unknown that is the log of a row's scale, and the sd of its prior.

        The standard deviation is 0 if the scale is given.
        """
        errors = self.errors_of(row)
        if errors is None:
            return self.error_scale_name(row.grade, row.kind, row.definition), self.error_scale_sd
        given = errors.scale_name in self.error_scale_factors
        return errors.scale_name, 0.0 if given else errors.scale_log_sd

    def error_scale_group(self, grade: str, kind: str, definition: str = "") -> str:
        """Group with which rows of a grade, kind and definition share their sd factor.

        Without a definition they are on the model's own scope.
        """
        own = not definition or self.definitions[definition].offset_sd == 0
        scope = f"scope {'reference' if own else 'other'}"
        parts = {"grade": f"grade {grade}", "kind": f"kind {kind}", "scope": scope}
        return ", ".join(parts[by] for by in self.error_scale_by)

    def error_scale_factor(self, grade: str, kind: str, definition: str = "") -> float:
        """Known factor of the standard deviation of such rows."""
        return self.error_scale_factors.get(self.error_scale_group(grade, kind, definition), 1.0)

    def error_scale_name(self, grade: str, kind: str, definition: str = "") -> str:
        """Name of the nuisance that is the log of the sd factor of such rows."""
        return f"error scale of {self.error_scale_group(grade, kind, definition)}"

    def check(
        self, observations: Observations, *, faults: list[BeltcastError] | None = None
    ) -> None:
        """Refuse rows whose definition has no table; with ``faults`` errors are appended there.

        Raises
        ------
        TableError
        """
        for row in observations:
            if row.definition not in self.definitions:
                known = did_you_mean(row.definition, self.definitions)
                with gathered(faults):
                    raise TableError(
                        f"the definition '{row.definition}' has no table [definitions."
                        f"{row.definition}] in the study{known}; add one with "
                        "its offset_sd, trend_sd and noise",
                        observations.path,
                        row.line,
                    )


def noise_from_table(toml: Toml, *, faults: list[BeltcastError] | None = None) -> Noise:
    """Read the tables [noise] and [definitions.*] of a study.

    With ``faults`` the error of each wrong definition is appended and the definition is left out.

    Raises
    ------
    InputError
        With file and line: a table or number is missing, a key is unknown, or a standard deviation
        is negative.
    """
    noise = read_table(toml, "noise").only(
        _KEYS, renamed={"spread": "error_scales", "trend_by": "trend_own"}
    )
    definitions = read_table(toml, "definitions")
    defined = {}
    for name in definitions:
        with gathered(faults):
            defined[name] = _definition(definitions.table(name), name)
    season = noise.table("season", optional=True)
    shocks = _shocks(noise)
    error_scale_sd, error_scale_by, error_scale_factors = _error_scales(noise)
    shared, autocorrelation = _part(noise, "shared"), _part(noise, "autocorrelation", _CORRELATION)
    if autocorrelation > 0 and shared == 0:
        raise noise.fail(
            "noise.autocorrelation is that of the errors that rows share, and noise.shared is 0; "
            "add shared = a part of the variance, such as 0.75",
            "autocorrelation",
        )
    return Noise(
        grade={name: _sd(noise.table("grade"), name) for name in GRADES},
        vintage={name: _sd(noise.table("vintage"), name) for name in VINTAGES},
        year_shock=shocks.pop("default", 0.0),
        year_shocks={int(year): sd for year, sd in shocks.items()},
        season_mean=season.number(
            "mean", 0.0, above=-1.0, below=1.0, expected="an amplitude between -1 and 1"
        ),
        season_sd=_sd(season, "sd", 0.0),
        seasonal="season" in noise,
        definitions=defined,
        reference=noise.number("reference", expected="a decimal year such as 2024.0")
        if "reference" in noise
        else None,
        quantity_sd=_sd(noise, "quantity", 0.0),
        shared=shared,
        tails=noise.number(
            "tails",
            math.inf,
            least=1.0,
            finite=False,
            expected="degrees of freedom of Student's t, 1 or more, such as 4",
        ),
        error_scale_sd=error_scale_sd,
        error_scale_by=error_scale_by,
        error_scale_factors=error_scale_factors,
        autocorrelation=autocorrelation,
        revisions=noise.flag("revisions"),
        trend_fades=noise.number(
            "trend_fades",
            math.inf,
            above=0.0,
            finite=False,
            expected="years above 0, such as 3.0, the time constant of a drift",
        ),
        trend_own=noise.number(
            "trend_own", 1.0, least=0.0, most=1.0, expected="a part of a variance, 0 to 1"
        ),
        trend_detail=_part(noise, "trend_detail", default=1e-9),
        exceeds=_sd(noise, "exceeds", 0.0),
        offset_common=_part(noise, "offset_common"),
        trend_common=_part(noise, "trend_common"),
        discrepancy=_discrepancy(noise),
    )


GRADES = ("A", "B", "C")
VINTAGES = ("final", "revised", "preliminary", "only")

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
    "error_scales",
    "autocorrelation",
    "revisions",
    "trend_fades",
    "trend_own",
    "trend_detail",
    "exceeds",
    "trend_common",
    "discrepancy",
)
_CORRELATION = "a correlation from year to year"


def _sd(table: TomlTable, key: str, default: float = REQUIRED) -> float:
    expected = "a standard deviation of a log, 0 or more"
    return table.number(key, default, least=0.0, expected=expected)


def _above(table: TomlTable, key: str) -> float:
    return table.number(key, above=0.0, expected="a standard deviation of a log, above 0")


def _part(
    table: TomlTable, key: str, what: str = "a part of a variance", default: float = 0.0
) -> float:
    expected = f"{what}, 0 or more and below 1"
    return table.number(key, default, least=0.0, below=1.0, expected=expected)


def _shocks(noise: TomlTable) -> dict[str, float]:
    """Standard deviations of year shocks: of an ordinary year, 'default', and of single years."""
    if not isinstance(noise.values.get("year_shock"), dict):
        return {"default": _sd(noise, "year_shock", 0.0)}
    shocks = noise.table("year_shock")
    for year in shocks:
        if year != "default" and not year.isdecimal():
            raise shocks.fail(
                f"noise.year_shock names the year {quoted(year)}; expected one like 2020, or "
                "'default'",
                year,
            )
    return {year: _sd(shocks, year) for year in shocks}


def _discrepancy(noise: TomlTable) -> Discrepancy | None:
    if "discrepancy" not in noise:
        return None
    table = noise.table("discrepancy").only(("level", "growth", "damping"), "noise.discrepancy")
    level = table.table("level").only(("common", "own"), "noise.discrepancy.level")
    growth = table.table("growth").only(("common", "own"), "noise.discrepancy.growth")

    return Discrepancy(
        level_common=_above(level, "common"),
        level_own=_above(level, "own"),
        growth_common=_sd(growth, "common", 0.0),
        growth_own=_sd(growth, "own", 0.0),
        damping=table.number(
            "damping",
            above=0.0,
            most=1.0,
            expected="the share of a deviation of growth that remains after a year, above 0, "
            "at most 1",
        ),
    )


def _error_scales(noise: TomlTable) -> tuple[float, tuple[str, ...], dict[str, float]]:
    """Prior standard deviation of log factors, grouping of rows, known factors."""
    if "error_scales" not in noise:
        return 0.0, ("grade",), {}
    table = noise.table("error_scales")
    values = {"grade": GRADES, "kind": get_args(ObservationKind), "scope": ("reference", "other")}
    by = tuple(dict.fromkeys(table.texts("by", ["grade"])))
    if not by or not set(by) <= set(values):
        raise table.refusal("by", "a list of some of 'grade', 'kind' and 'scope'")
    if ("sd" in table) == ("factors" in table):
        raise table.fail(
            "factors of standard deviations are either estimated, with noise.error_scales.sd, the "
            "prior standard deviation of their logs, or given, with noise.error_scales.factors; "
            "give one of the two"
        )
    if "sd" in table:
        return _sd(table, "sd"), by, {}
    groups = [
        ", ".join(f"{key} {value}" for key, value in zip(by, one, strict=True))
        for one in product(*(values[key] for key in by))
    ]
    factors = table.table("factors").only(groups, "noise.error_scales.factors")
    return 0.0, by, {name: factors.number(name, above=0.0) for name in factors}


def _definition(table: TomlTable, name: str) -> Definition:
    errors = None
    if "errors" in table:
        errors = error_model_from_table(table, "errors", name=name)
        if errors.scale is None and errors.family in SCALED_FAMILIES:
            raise table.fail(
                f"the errors of {quoted(name)} have no scale; add one: scale = 0.1",
                "errors",
            )
    return Definition(
        title=table.text("title", name),
        offset_sd=_sd(table, "offset_sd"),
        trend_sd=_sd(table, "trend_sd"),
        noise=_sd(table, "noise"),
        errors=errors,
    )
