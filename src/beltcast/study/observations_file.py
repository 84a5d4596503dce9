"""Read a table of observations, and convert its values to the model's units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from beltcast.engine.syntax import canonical
from beltcast.errors import (
    BeltcastError,
    TableError,
    UnitError,
    UnknownName,
    did_you_mean,
    gathered,
    quoted,
)
from beltcast.files.text import Text, read_text
from beltcast.files.workbook import sheet_path
from beltcast.model.labels import ModelLike, VariableLike
from beltcast.model.quantities import convert, is_flow, same_unit
from beltcast.study.observations import (
    TIME_TOLERANCE,
    Grade,
    Observation,
    ObservationKind,
    Observations,
    Reading,
    Vintage,
    clash,
    scope,
)
from beltcast.study.periods import instant, period
from beltcast.study.places import all_places
from beltcast.study.tables import (
    about,
    assumed,
    check_filled,
    header_of,
    is_number,
    located,
    number,
    records,
)

_Choice = TypeVar("_Choice", bound=str)

COLUMNS = (
    "place",
    "quantity",
    "kind",
    "start",
    "end",
    "value",
    "unit",
    "definition",
    "vintage",
    "grade",
    "published",
    "source",
    "url",
    "quote",
    "note",
)
"""Columns of a table of observations; their order is free."""

OPTIONAL_COLUMNS = ("period", "digits", "reading", "rounded")
"""Columns that may be left out, or empty; ``period`` stands for ``start`` and ``end``."""

_MAY_BE_EMPTY = ("url", "quote", "note")
_TIMES = ("start", "end")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def read_observations(
    path: str | Path,
    model: ModelLike,
    places: Mapping[str, tuple[str, ...]],
    *,
    usd_cny: Mapping[int, float] | None = None,
    faults: list[BeltcastError] | None = None,
) -> Observations:
    """Read published numbers and convert them to the model's units.

    Parameters
    ----------
    path : str or Path
        A CSV file, or a workbook with a sheet ``observations``, with the columns `COLUMNS` and any
        of `OPTIONAL_COLUMNS`.
    model : ModelLike
    places : mapping
        Place to its elements, as `read_places` returns them. An element of a subscript range is
        a place without being listed.
    usd_cny : mapping, optional
        Year to yuan for one dollar, annual average; needed for numbers in dollars.
    faults : list, optional
        Takes the error of each wrong row, which is then left out, instead of raising the first.

    Raises
    ------
    TableError
        With file and line: a missing or unknown column, a truncated row, an unknown place,
        quantity, kind, vintage or grade, an impossible number or period, a row given twice.
    UnitError
        With file and line: a unit that does not convert.

    Examples
    --------
    >>> from beltcast import load_model, read_observations, read_places
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/belt/belt.mdl"))
    >>> places = read_places(shipped("calibration/data/places.csv"), model)
    >>> rates = dict.fromkeys(range(2013, 2026), 7.0)
    >>> table = shipped("calibration/data/observations.csv")
    >>> rows = read_observations(table, model, places, usd_cny=rates)
    >>> {row.grade for row in rows} == {"A", "B", "C"}
    True
    """
    text = read_text(sheet_path(path, "observations"), TableError)
    reader = _RowReader(text.path, model, all_places(model, places), usd_cny or {})
    rows = []
    for line, cells in records(text, _needed(text), (*COLUMNS, *OPTIONAL_COLUMNS), faults):
        with gathered(faults):
            try:
                rows.append(reader.row(line, cells))
            except (TableError, UnitError) as problem:
                raise located(problem, text, line) from None
    _refuse_twice(rows, text.path, faults)
    return Observations(tuple(rows), text.path, text.sha256, text.encoding, assumed(text))


def _needed(text: Text) -> tuple[str, ...]:
    """Required columns: a period stands for start and end."""
    header = header_of(text)
    return tuple(name for name in COLUMNS if "period" not in header or name not in _TIMES)


@dataclass(frozen=True)
class _RowReader:
    """Converts the cells of a row to an `Observation`; the caller adds file and line to errors."""

    path: Path
    model: ModelLike
    places: Mapping[str, tuple[str, tuple[str, ...]]]
    usd_cny: Mapping[int, float]

    def row(self, line: int, cells: Mapping[str, str]) -> Observation:
        cells = _percent_apart(cells)
        by_period = bool(cells.get("period"))
        skipped = (*_MAY_BE_EMPTY, *(_TIMES if by_period else ()))
        check_filled(
            {**dict.fromkeys(_TIMES, ""), **cells}, [one for one in COLUMNS if one not in skipped]
        )
        with about("quantity"):
            variable = self._variable(cells["quantity"])
        with about("place"):
            place, belts = self._place(cells["place"], variable)
        kind: ObservationKind = _one_of(cells["kind"], "kind", get_args(ObservationKind))
        vintage: Vintage = _one_of(cells["vintage"], "vintage", get_args(Vintage))
        grade: Grade = _one_of(cells["grade"], "grade", get_args(Grade))
        if by_period:
            with about("period"):
                start, end = _one_period(cells)
        elif cells["start"] == cells["end"]:  # an instant, even if written as a date
            start = end = _time(cells["end"], "end")
        else:
            start, end = (_time(cells[name], name) for name in _TIMES)
        published = _time(cells["published"], "published")
        with about("value"):
            value = number(cells["value"], "value")
        reading = cells.get("reading", "")
        with about("period" if by_period else "end"):
            if reading:
                _check_reading(reading, start, end)
            else:
                _check_period(start, end, kind, variable)
        if published < start:
            sentence = f"published {published:g} is before the period begins, {start:g}"
            with about("published"):
                raise TableError(f"{sentence}; correct one of them")
        if not _SLUG.fullmatch(cells["definition"]):
            sentence = f"definition {quoted(cells['definition'])} is not a slug"
            with about("definition"):
                raise TableError(f"{sentence}; write it in lower case, like 'city-full'")
        unit = cells["unit"]

        def in_model(number: float) -> float:
            with about("value"):
                if reading:
                    return self._read(number, unit, reading, variable, start, end)
                return self._value(number, unit, kind, variable, start, end, belts)

        with about("digits"):
            within = _interval(value, cells.get("digits", ""), kind)
        if cells.get("rounded"):
            with about("rounded"):
                half = 0.5 * number(cells["rounded"], "rounded")
            within = value - half, value + half
        return Observation(
            line=line,
            place=place,
            elements=belts,
            quantity=variable.name,
            kind=kind,
            start=start,
            end=end,
            value=in_model(value),
            unit=unit,
            definition=cells["definition"],
            vintage=vintage,
            grade=grade,
            published=published,
            source=cells["source"],
            url=cells["url"],
            quote=cells["quote"],
            note=cells["note"],
            within=within and (in_model(within[0]), in_model(within[1])),
            reading=_one_of(reading, "reading", get_args(Reading)),
        )

    def _read(
        self,
        value: float,
        unit: str,
        reading: str,
        variable: VariableLike,
        start: float,
        end: float,
    ) -> float:
        """Return the number of a row with a reading in the unit of the model."""
        own = variable.unit or "Dmnl"
        if unit in (own, f"{own} * Year"):
            return value
        target = f"{own} * Year" if reading == "total" else own
        return convert(value, unit, target, start=start, end=end, usd_cny=self.usd_cny)

    def _variable(self, name: str) -> VariableLike:
        try:
            variable = self.model.find(name)
        except UnknownName as unknown:
            raise TableError(f"unknown quantity: {unknown.sentence}") from None
        if variable.kind not in ("stock", "auxiliary"):
            sentence = f"{quoted(variable.name)} is of kind {quoted(variable.kind)} in the model"
            raise TableError(f"{sentence}; a quantity needs a stock or an auxiliary")
        if len(variable.dims) > 1:
            dims = ", ".join(variable.dims)
            sentence = f"{quoted(variable.name)} has several dimensions, {dims}"
            raise TableError(f"{sentence}; observe a variable that has one or none")
        return variable

    def _place(self, name: str, variable: VariableLike) -> tuple[str, tuple[str, ...]]:
        if canonical(name) not in self.places:
            names = [place for place, elements in self.places.values() if elements]
            known = did_you_mean(name, names) or "; add it to the table of places"
            raise TableError(f"unknown place {quoted(name)}{known}")
        place, belts = self.places[canonical(name)]
        if not belts:  # the whole of any range, or of a model without one
            return place, self.model.subscripts[variable.dims[0]] if variable.dims else ()
        if not variable.dims:
            # A quantity without subscripts is that of all places.
            if not any(set(belts) == set(all_) for all_ in self.model.subscripts.values()):
                sentence = (
                    f"{quoted(variable.name)} is of all places, and {quoted(place)} is a part"
                )
                raise TableError(f"{sentence}; use a quantity by place, or a place that is all")
            return place, ()
        (dim,) = variable.dims
        if not set(belts) <= set(self.model.subscripts[dim]):
            sentence = f"place {quoted(place)} has no elements of {quoted(dim)}"
            raise TableError(f"{sentence}, the dimension of {quoted(variable.name)}; use another")
        return place, belts

    def _value(
        self,
        value: float,
        unit: str,
        kind: ObservationKind,
        variable: VariableLike,
        start: float,
        end: float,
        belts: tuple[str, ...],
    ) -> float:
        """Return the number in the unit of the model, or as a ratio or fraction."""

        def to_model(target: str) -> float:
            return convert(value, unit, target, start=start, end=end, usd_cny=self.usd_cny)

        if kind == "growth":
            change = to_model("Dmnl")
            if change <= -1:
                sentence = f"growth is {value:g} {unit}, expected more than -100 %"
                raise TableError(f"{sentence}; a quantity cannot fall by more than 100 %")
            return 1.0 + change
        if kind == "share":
            if not belts:
                sentence = f"{quoted(variable.name)} has no places to have a share of"
                raise TableError(f"{sentence}; use a quantity by place")
            fraction = to_model("Dmnl")
            if not 0 < fraction <= 1:
                raise TableError(f"share is {value:g} {unit}, expected above 0 and up to 100 %")
            return fraction
        if value <= 0:
            sentence = f"{kind} is {value:g} {unit}, expected a number above 0"
            raise TableError(f"{sentence}; correct it, or leave the row out")
        total = is_flow(variable.unit)
        return to_model(f"{variable.unit} * Year" if total else variable.unit)


_CHINESE: Mapping[str, Mapping[str, str]] = {
    "kind": {
        **dict.fromkeys(("数值", "全年", "总量", "总额"), "level"),
        **dict.fromkeys(("部分年份", "累计"), "part-year"),
        **dict.fromkeys(("增速", "增长率", "同比", "同比增长"), "growth"),
        **dict.fromkeys(("占比", "比重", "份额"), "share"),
        "略超": "over",
        "下限": "lower",
        "上限": "upper",
    },
    "vintage": {"最终": "final", "修订": "revised", "初步": "preliminary", "唯一": "only"},
}
"""Cells as Chinese tables write them; what reports print in Chinese is read again."""


def _one_of(value: str, what: str, choices: Sequence[_Choice]) -> _Choice:
    name = _CHINESE.get(what, {}).get(value, value)
    for choice in choices:
        if choice == name:
            return choice
    with about(what):
        raise TableError(f"unknown {what} {quoted(value)}{did_you_mean(value, choices)}")


def _percent_apart(cells: Mapping[str, str]) -> Mapping[str, str]:
    """Read '15%' as 15 with the unit '%', as a spreadsheet shows 0.15."""
    value = cells["value"]
    if not value.endswith("%") or cells["unit"] not in ("", "%"):
        return cells
    return {**cells, "value": value[:-1].strip(), "unit": "%"}


def _time(cell: str, name: str) -> float:
    """Read a year with decimals, or a date or month, which a start includes and an end ends."""
    with about(name):
        if instant(cell) is not None:
            cell = f"{cell} to {cell}"
        try:
            start, end = period("" if is_number(cell) else cell)
        except TableError:
            return number(cell, name)
        return start if name == "start" else end


def _one_period(cells: Mapping[str, str]) -> tuple[float, float]:
    for name in _TIMES:
        if cells.get(name):
            raise TableError(
                f"the row has both a period and a {name}; keep the period, or both start and end"
            )
    return period(cells["period"])


def _interval(value: float, digits: str, kind: ObservationKind) -> tuple[float, float] | None:
    """Return the interval of numbers that round to this one at its known digits."""
    if not digits:
        return None
    if not digits.isdecimal() or not 1 <= int(digits) <= 15:
        raise TableError(
            f"digits is {quoted(digits)}, expected the number of known digits, such as 2; "
            "correct it, or leave it empty"
        )
    last = 10.0 ** (math.floor(math.log10(abs(value))) - int(digits) + 1) if value else 1.0
    if kind in ("lower", "over"):
        return value, value + last
    if kind == "upper":
        return value - last, value
    return value - 0.5 * last, value + 0.5 * last


def _check_reading(reading: str, start: float, end: float) -> None:
    if reading == "value" and start != end:
        sentence = f"a value is read at an instant, not over {start:g} to {end:g}"
        raise TableError(f"{sentence}; give the instant as both start and end")
    if reading != "value" and not end > start:
        raise TableError(
            f"a {reading} is read over a period, and {start:g} to {end:g} is none; correct them"
        )


def _check_period(start: float, end: float, kind: ObservationKind, variable: VariableLike) -> None:
    length = end - start
    name = quoted(variable.name)
    if length < 0:
        sentence = f"the period ends at {end:g}, before it starts at {start:g}"
        raise TableError(f"{sentence}; correct start or end")
    if is_flow(variable.unit):
        if length == 0:
            sentence = f"the period is empty, and {name} is a flow"
            raise TableError(f"{sentence}; give the start and end that its total is over")
    elif length > 0 and not same_unit(variable.unit, "Dmnl"):
        sentence = f"{name} is observed at an instant, not over {start:g} to {end:g}"
        raise TableError(f"{sentence}; give the instant as both start and end")
    whole = abs(length - round(length)) <= TIME_TOLERANCE and (length == 0 or round(length) > 0)
    if kind == "level" and not whole:
        sentence = f"a level is over whole years, and {start:g} to {end:g} is not"
        raise TableError(f"{sentence}; call it part-year")
    if kind == "part-year" and whole:
        what = "an instant" if length == 0 else "whole years"
        raise TableError(f"{start:g} to {end:g} is {what} and no part-year; call it level")
    if kind == "growth" and length > 1 + TIME_TOLERANCE:
        sentence = f"growth over {start:g} to {end:g} would overlap with the year before"
        raise TableError(f"{sentence}; give a period of at most one year")


def _refuse_twice(
    rows: Sequence[Observation], path: Path, faults: list[BeltcastError] | None
) -> None:
    """Refuse contradictions: a number given twice, or levels whose periods overlap in part.

    A part-year inside a longer one is allowed, and so is a level inside another.
    """
    groups: dict[tuple[str, ...], list[Observation]] = {}
    for row in rows:
        if row.reading:  # replicates, each of them a measurement
            continue
        key = scope(row)
        for other in groups.setdefault(key, []):
            how = clash(row, other)
            if how:
                what = f"{row.kind} of {quoted(row.quantity)} for {quoted(row.place)}"
                of = f"definition {quoted(row.definition)}, vintage {quoted(row.vintage)}"
                sentence = f"{what} ({of}) {how} line {other.line}"
                hint = "keep one of them, or give them different definitions or vintages"
                with gathered(faults):
                    raise TableError(f"{sentence}; {hint}", path, row.line)
                break
        groups[key].append(row)
