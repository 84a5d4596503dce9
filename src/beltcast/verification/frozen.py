"""Forecasts that are frozen before the observations exist, and their scores afterwards.

`freeze` forecasts the observations of one year that a study does not have yet.  It is one more
origin of the backtest (`beltcast.verification.backtest`): the same fit, the same baselines and
pools, but nothing is removed, since nothing later is known.  It forecasts:

- every series (place, quantity, definition) with a total in the last `GOES_ON` years: the parts of
  the year that were published before, and the year; a series with first releases also a final one,
- every element of the target without such a series, in the quantity and definition that most
  places have published in these years.

The file holds draws, the hash of its own content, and the hashes of the study and of the package.
`read_frozen` refuses content that was changed.  `score` compares a frozen forecast with rows that
came later.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import xarray as xr

from beltcast.errors import InputError
from beltcast.files.netcdf import read_netcdf, write_netcdf
from beltcast.files.resume import of_the_package
from beltcast.schema import CASE, DRAW, FORECASTER
from beltcast.study.observations import Observation, Observations, Vintage
from beltcast.study.study import Study
from beltcast.verification.backtest import BACKTEST_ENCODING, Settings, at_origin
from beltcast.verification.baselines.baselines import BASELINES
from beltcast.verification.baselines.history import Baseline, History
from beltcast.verification.origin import Case, SeriesKey, before, histories, is_total
from beltcast.verification.origin_rules import OriginRules
from beltcast.verification.scores import log_levels
from beltcast.verification.skill import case_scores

GOES_ON = 3.0
"""Years after its last publication in which a series is expected to continue."""

CONTENT = "content_sha256"
"""Attribute with the hash of everything else in a frozen forecast."""


def freeze(
    study: Study,
    *,
    year: int | None = None,
    settings: Settings | None = None,
    baselines: Mapping[str, Baseline] = BASELINES,
    today: datetime.date | None = None,
) -> xr.Dataset:
    """Forecast the observations of a year that a study does not have yet.

    Parameters
    ----------
    study : Study
    year : int, optional
        By default that of the study's last publication.
    settings : Settings, optional
        Draws, moves, starts and seed.
    baselines : mapping
        Name to forecaster.
    today : datetime.date, optional
        The date of freezing; by default today's in UTC.

    Returns
    -------
    xarray.Dataset
        As `beltcast.verification.backtest.at_origin`, without ``observed``; along ``case`` also
        ``start`` and ``end`` [Year].  Attributes ``frozen_on``, ``data_until`` (the study's last
        publication), ``beltcast``, ``package_sha256``, the hashes of the study, and `CONTENT`.

    Raises
    ------
    InputError
        The study has no observation, or none of the year is to come.

    Examples
    --------
    >>> from beltcast import freeze, read_study
    >>> from beltcast.verification.backtest import Settings
    >>> from beltcast.verification.baselines.random_walks import persistence
    >>> quick = Settings(draws=4, moves=0, starts=1, refine=1)
    >>> rival = {"persistence": persistence}
    >>> frozen = freeze(read_study(), year=2027, settings=quick, baselines=rival)
    >>> "China" in frozen["place"].values
    True
    """
    if not len(study.observations):
        raise InputError("the study has no observations; a frozen forecast needs a fitted study")
    until = max(row.published for row in study.observations)
    cases = to_come(study, math.floor(until) if year is None else year)
    # Nothing later is known, so the inputs stay as they are.
    chosen = replace(settings or Settings(), switches=(), ex_post=True)
    made = at_origin(study, OriginRules(), until, settings=chosen, baselines=baselines, cases=cases)
    made = made.drop_vars("observed").assign_coords(
        start=(CASE, [case.row.start for case in cases]),
        end=(CASE, [case.row.end for case in cases]),
    )
    day = today or datetime.datetime.now(datetime.UTC).date()
    facts = {
        **made.attrs,
        "information": "the study as it stands",
        "frozen_on": day.isoformat(),
        "data_until": repr(until),
        "beltcast": version("beltcast"),
        "package_sha256": of_the_package()["beltcast"],
    }
    made.attrs = {name: str(value) for name, value in facts.items()}
    return made.assign_attrs({CONTENT: content_hash(made)})


def to_come(study: Study, year: int) -> tuple[Case, ...]:
    """List the observations of a year that a study is expected to receive.

    Raises
    ------
    InputError
        There is no such observation.
    """
    flows = [row for row in study.observations if is_total(row, study.model)]
    until = max((row.published for row in flows), default=math.inf)
    series: dict[SeriesKey, list[Observation]] = {}
    for row in flows:
        series.setdefault(_series(row), []).append(row)
    asked: list[Observation] = []
    for rows in series.values():
        if max(row.published for row in rows) > until - GOES_ON:
            asked += _next_rows(rows, year)
    places = {row.place for row in asked}
    recent = [row for row in flows if row.published > until - GOES_ON]
    asked += [row for row in _of_silent_elements(study, recent, year) if row.place not in places]
    if not asked:
        raise InputError(
            f"the study has every observation of {year} that its series lead to expect; choose a "
            "later year"
        )
    past: dict[float, dict[SeriesKey, History]] = {}
    for row in asked:
        part = round(row.end - row.start, 3)
        if part not in past:
            past[part] = histories(study.observations, study.noise, part=part)
    lead = year - math.floor(until) + 1
    return tuple(
        Case(
            row,
            lead,
            year,
            before(past[round(row.end - row.start, 3)].get(_series(row)), year),
            _series(row) not in series,
            math.nan,
        )
        for row in asked
    )


def save_frozen(frozen: xr.Dataset, path: str | Path) -> None:
    """Write a frozen forecast; an existing file is never replaced.

    Raises
    ------
    InputError
        The file exists already or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import xarray as xr
    >>> from pathlib import Path
    >>> from beltcast import save_frozen
    >>> frozen = xr.Dataset({"forecast": (("case", "draw"), [[1.0, 2.0]])})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_frozen(frozen, Path(folder) / "2027.nc")
    """
    path = Path(path)
    if path.exists():
        raise InputError(
            f"'{path}' exists already, and a frozen forecast is never replaced; give another name"
        )
    write_netcdf(path, {"/": frozen}, BACKTEST_ENCODING)


def read_frozen(path: str | Path) -> xr.Dataset:
    """Read a frozen forecast and check its hash.

    Raises
    ------
    InputError
        The file is missing, is not a frozen forecast, or was changed since it was frozen.

    Examples
    --------
    >>> import tempfile
    >>> import xarray as xr
    >>> from pathlib import Path
    >>> from beltcast import read_frozen, save_frozen
    >>> from beltcast.verification.frozen import CONTENT, content_hash
    >>> frozen = xr.Dataset({"forecast": (("case", "draw"), [[1.0, 2.0]])})
    >>> frozen.attrs[CONTENT] = content_hash(frozen)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_frozen(frozen, Path(folder) / "2027.nc")
    ...     read_frozen(Path(folder) / "2027.nc").equals(frozen)
    True
    """
    frozen = read_netcdf(
        path, what="the frozen forecast", give="give a file that 'beltcast freeze' wrote"
    )
    found = frozen.attrs.get(CONTENT)
    if found is None:
        raise InputError(f"'{path}' has no {CONTENT}; give a file that 'beltcast freeze' wrote")
    if found != content_hash(frozen):
        raise InputError(
            f"'{path}' was changed since it was frozen: its content does not have the hash "
            f"{found[:12]} that it names; restore the file"
        )
    return frozen


@dataclass(frozen=True)
class Scored:
    """Scores of a frozen forecast.

    Attributes
    ----------
    scores : xarray.Dataset
        As `beltcast.verification.skill.case_scores`, and ``z`` (case, forecaster): the log of the
        observation minus the mean log of the draws, in their standard deviations.  Along ``case``
        also ``published`` [Year] and ``early``, 1 if it was published before the freeze.
    unmatched : tuple of Observation
        Rows without a case in the frozen forecast.
    known : tuple of Observation
        Rows that were published by the last date of the study's data, and so may be in the fit.
    """

    scores: xr.Dataset
    unmatched: tuple[Observation, ...]
    known: tuple[Observation, ...]


def score(frozen: xr.Dataset, rows: Observations) -> Scored:
    """Score a frozen forecast and its baselines on rows that were published later.

    A row belongs to a case of the same place, quantity, definition, period and vintage.

    Parameters
    ----------
    frozen : xarray.Dataset
        As `freeze` returns it or `read_frozen` reads it.
    rows : Observations
        As `beltcast.read_observations` reads them with the model of the study.

    Raises
    ------
    InputError
        No row belongs to a case.

    Examples
    --------
    An observation that the study has already, with another period:

    >>> from dataclasses import replace
    >>> from beltcast import freeze, read_study, score
    >>> from beltcast.verification.backtest import Settings
    >>> from beltcast.verification.baselines.random_walks import persistence
    >>> study, quick = read_study(), Settings(draws=4, moves=0, starts=1, refine=1)
    >>> rival = {"persistence": persistence}
    >>> frozen = freeze(study, year=2027, settings=quick, baselines=rival)
    >>> last = [row for row in study.observations if row.definition == "gacc"][-1]
    >>> row = replace(
    ...     last, kind="level", start=2027.0, end=2028.0, vintage="final", published=2028.5
    ... )
    >>> scored = score(frozen, replace(study.observations, rows=(row,)))
    >>> scored.scores.sizes["case"]
    1
    """
    places: dict[tuple[object, ...], int] = {
        key: number for number, key in enumerate(_case_keys(frozen))
    }
    until = float(frozen.attrs["data_until"])
    known = tuple(row for row in rows if row.published <= until)
    later = [row for row in rows if row.published > until]
    unmatched = tuple(row for row in later if _key(row) not in places)
    matched = [row for row in later if _key(row) in places]
    if not matched:
        raise InputError(
            f"none of {len(rows)} rows belongs to the frozen forecast ({len(known)} were published "
            f"by {until:g}, the end of its data); expected one of its places, quantities, "
            "definitions, periods and vintages, which 'beltcast freeze' lists"
        )
    frozen_on = _decimal_year(datetime.date.fromisoformat(str(frozen.attrs["frozen_on"])))
    held = frozen.isel({CASE: [places[_key(row)] for row in matched]})
    held = held.assign(observed=(CASE, [row.value for row in matched])).assign_coords(
        published=(CASE, [row.published for row in matched]),
        early=(CASE, np.array([row.published <= frozen_on for row in matched], dtype=np.int8)),
    )
    scores = case_scores(held)
    logs = log_levels(held["forecast"].transpose(CASE, FORECASTER, DRAW).values)
    observed = log_levels(held["observed"].values)[:, None]
    z = (observed - logs.mean(axis=2)) / logs.std(axis=2, ddof=1)
    return Scored(scores.assign(z=((CASE, FORECASTER), z)), unmatched, known)


def content_hash(frozen: xr.Dataset) -> str:
    """Hash all numbers, labels and attributes of a frozen forecast except the hash itself."""
    digest = hashlib.sha256()
    for name in sorted(map(str, frozen.variables)):
        values = frozen[name].values
        digest.update(json.dumps([name, list(frozen[name].dims), list(values.shape)]).encode())
        if values.dtype.kind in "fiu":
            digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
        else:
            digest.update(json.dumps([str(value) for value in values.ravel()]).encode())
    attrs = {str(k): str(v) for k, v in frozen.attrs.items() if k != CONTENT}
    digest.update(json.dumps(attrs, sort_keys=True).encode())
    return digest.hexdigest()


def _series(row: Observation) -> SeriesKey:
    return row.place, row.quantity, row.definition


def _next_rows(rows: Sequence[Observation], year: int) -> list[Observation]:
    """Rows of a year that a series is expected to receive, shortest period first."""
    last = max(rows, key=lambda row: row.published)
    parts = sorted({round(row.end - row.start, 4) for row in rows} | {1.0})
    released = any(row.vintage == "preliminary" for row in rows)
    own = [row for row in rows if round(row.start) == year]
    asked = []
    for part in parts:
        had = {row.vintage for row in own if abs(row.end - row.start - part) < 1e-3}
        if not had:
            asked.append(_row(last, year, part, "preliminary" if released else "only"))
        if released and part == 1.0 and "final" not in had:
            asked.append(_row(last, year, part, "final"))
    return asked


def _of_silent_elements(study: Study, flows: Sequence[Observation], year: int) -> list[Observation]:
    """Whole-year rows of every element, in the quantity and definition that most places have."""
    whole = study.whole(study.target)
    of_places = [row for row in flows if row.place != whole and row.end - row.start > 0.999]
    kinds = Counter((q, d) for _, q, d in dict.fromkeys(map(_series, of_places)))
    if not kinds:
        return []
    common = kinds.most_common(1)[0][0]
    last = max(
        (row for row in of_places if (row.quantity, row.definition) == common),
        key=lambda row: row.published,
    )
    return [
        replace(
            _row(last, year, 1.0, "only"), place=place, elements=(place,) if last.elements else ()
        )
        for place in study.shown()[1:]
    ]


def _row(like: Observation, year: int, part: float, vintage: Vintage) -> Observation:
    return replace(
        like,
        kind="level" if part == 1.0 else "part-year",
        start=float(year),
        end=year + part,
        value=math.nan,
        vintage=vintage,
        published=math.nan,
        source="",
        url="",
        quote="",
        note="",
        within=None,
    )


def _key(row: Observation) -> tuple[object, ...]:
    period = round(row.start, 2), round(row.end, 2)
    return row.place, row.quantity, row.definition, *period, row.vintage


def _case_keys(frozen: xr.Dataset) -> list[tuple[object, ...]]:
    names = ("place", "quantity", "definition", "start", "end", "vintage")
    columns = [frozen[name].values.tolist() for name in names]
    return [
        (p, q, d, round(s, 2), round(e, 2), v) for p, q, d, s, e, v in zip(*columns, strict=True)
    ]


def _decimal_year(day: datetime.date) -> float:
    first = datetime.date(day.year, 1, 1)
    return day.year + (day - first).days / (datetime.date(day.year + 1, 1, 1) - first).days
