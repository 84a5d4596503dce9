"""A table of times and values, as spreadsheets and statistical programs export it.

Accepted are commas, semicolons and tabs between cells, decimal commas where the separator is
another character, thousands separators, missing values (an empty cell, ``NA``, ``NaN``, ``null``,
``.``), and times as numbers or as dates (``2020-03-01``, ``2020/3/1``, ``2020-03``).  A cell
``<0.5`` states that the value lies below 0.5, ``>100`` that it lies above 100.

Everything but plain numbers between commas is reported in `DataTable.assumed`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

from beltcast.errors import TableError, quoted
from beltcast.files.text import Text, read_text
from beltcast.files.workbook import sheet_path
from beltcast.study import tables
from beltcast.study.tables import is_number

NO_VALUE = ("", "na", "n/a", "nan", "null", "none", ".", "-")
"""Cells without a value, in lower case."""

_DAYS = {"second": 1 / 86400, "minute": 1 / 1440, "hour": 1 / 24, "day": 1.0, "week": 7.0}
_DATE = re.compile(r"(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2}))?(?:[T ].*)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")


class DataCell(NamedTuple):
    """A value of a column.

    Parameters
    ----------
    line : int
    time : float
        In the model's unit.
    value : float
    side : int
        0 a value, -1 a lower bound (``>``), 1 an upper bound (``<``).
    """

    line: int
    time: float
    value: float
    side: int


@dataclass(frozen=True)
class DataTable:
    """Cells with their lines; the first column is the time.

    Attributes
    ----------
    text : Text
    header : tuple of str
    rows : tuple of (int, tuple of str)
        Line and cells.
    times : tuple of float
        Of each row, in the model's unit.
    assumed : tuple of str
        Sentences.
    """

    text: Text
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    times: tuple[float, ...]
    assumed: tuple[str, ...]
    decimal_comma: bool

    def column(self, name: str) -> list[DataCell]:
        """Values of a column in the order of the rows, without the missing ones.

        Raises
        ------
        TableError
            With file and line: a cell is not a number.
        """
        k = self.header.index(name, 1)
        found = []
        for (line, cells), time in zip(self.rows, self.times, strict=True):
            cell = cells[k]
            if cell.casefold() in NO_VALUE:
                continue
            side = {"<": 1, ">": -1}.get(cell[0], 0)
            plain = cell[1:].strip() if side else cell
            found.append(DataCell(line, time, self._number(plain, name, line), side))
        return found

    def of_rows(self, at: int, cell: str, names: Mapping[str, str]) -> DataTable:
        """Rows that have a text in a column, without that column, other columns renamed."""
        kept = [k for k, (_, cells) in enumerate(self.rows) if cells[at] == cell]

        def without(cells: tuple[str, ...]) -> tuple[str, ...]:
            return (*cells[:at], *cells[at + 1 :])

        return replace(
            self,
            header=tuple(names.get(name, name) for name in without(self.header)),
            rows=tuple((self.rows[k][0], without(self.rows[k][1])) for k in kept),
            times=tuple(self.times[k] for k in kept),
        )

    def _number(self, cell: str, name: str, line: int) -> float:
        plain = plain_number(cell, self.decimal_comma)
        if plain is None:
            raise TableError(
                f"the value of {quoted(name)} is {quoted(cell)}, expected a number such as 12.5, "
                "or NA where there is none; correct it",
                self.text.path,
                line,
            )
        return plain


def condition_column(table: DataTable) -> int:
    """Place of the column that names the condition of each row; 0 where there is none."""
    places = [k for k, name in enumerate(table.header) if k and name.casefold() == "condition"]
    return places[0] if places else 0


def plain_number(cell: str, decimal_comma: bool) -> float | None:
    """Read a number; None if the cell is not one.

    >>> plain_number("1,000", False), plain_number("6,1", True), plain_number("inf", False)
    (1000.0, 6.1, None)
    """
    if decimal_comma and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    elif _THOUSANDS.fullmatch(cell):
        cell = cell.replace(",", "")
    return float(cell) if is_number(cell) else None


def read_data_table(
    path: str | Path,
    *,
    variable: str | None = None,
    time_unit: str = "",
    initial_time: float = 0.0,
) -> DataTable:
    r"""Read a table of times and values.

    Parameters
    ----------
    path : str or Path
    variable : str, optional
        Name of the second of two columns, if the table has no header or another name.
    time_unit : str
        Of the model, such as 'Day': dates are converted to it.
    initial_time : float
        Of the model: the time of the first date, unless the unit is a year and the model runs
        through calendar years.

    Raises
    ------
    TableError
        With file and line: no values, no header, a truncated row, an invalid time, a column
        twice.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "x.csv"
    ...     _ = path.write_text("Date;X\n2020-03-01;10\n2020-03-03;6,1\n")
    ...     table = read_data_table(path, time_unit="Day")
    >>> [(cell.time, cell.value) for cell in table.column("X")]
    [(0.0, 10.0), (2.0, 6.1)]
    """
    text = read_text(sheet_path(path, "data"), TableError)
    separator = tables.separator(text.text)
    rows = _rows(text, separator)
    decimal_comma = separator != ","
    header, rows = _header(text, rows, variable, decimal_comma)
    assumed = []
    if separator != ",":
        named = {"\t": "tabs", ";": "semicolons"}[separator]
        assumed.append(f"{named} separate the cells of {text.path.name}, and commas are decimal")
    dated = [line for line, cells in rows if _DATE.fullmatch(cells[0])]
    if dated and len(dated) == len(rows):
        times, sentence = _dated(text, rows, time_unit, initial_time)
        assumed.append(sentence)
    else:
        times = [_time(text, line, cells[0], decimal_comma) for line, cells in rows]
    return DataTable(text, header, tuple(rows), tuple(times), tuple(assumed), decimal_comma)


Rows = list[tuple[int, tuple[str, ...]]]


def _rows(text: Text, separator: str) -> Rows:
    reader = csv.reader(
        io.StringIO(text.text, newline=""), strict=True, delimiter=separator, skipinitialspace=True
    )
    found: Rows = []
    while True:
        line = reader.line_num + 1
        try:
            read = next(reader, None)
        except csv.Error as failure:
            sentence = f"this row is not CSV ({failure}); close its quotes"
            raise TableError(sentence, text.path, line) from None
        if read is None:
            break
        if any(cell.strip() for cell in read):
            found.append((line, tuple(cell.strip() for cell in read)))
    if not found:
        raise TableError("the table has no values; add at least one row", text.path)
    width = len(found[0][1])
    if width < 2:
        raise TableError(
            "the table has one column, expected times and values, separated by commas, semicolons "
            "or tabs; add the other",
            text.path,
            found[0][0],
        )
    for line, cells in found:
        if len(cells) != width:
            sentence = f"the row has {len(cells)} fields, expected {width}; complete it"
            raise TableError(sentence, text.path, line)
    return found


def _header(
    text: Text, rows: Rows, variable: str | None, decimal_comma: bool
) -> tuple[tuple[str, ...], Rows]:
    line, header = rows[0]
    is_time = plain_number(header[0], decimal_comma) is not None or _DATE.fullmatch(header[0])
    if is_time:
        if variable is None or len(header) != 2:
            raise TableError(
                "the table has no header; add one that names a variable of the model, or give "
                "two columns and the variable",
                text.path,
                1,
            )
        return ("time", variable), rows
    named = ("time", variable) if variable is not None and len(header) == 2 else header
    for k, name in enumerate(named[1:], start=1):
        if name in named[1:k]:
            raise TableError(
                f"the column {quoted(name)} is there twice, and its values would count twice; "
                "keep one",
                text.path,
                line,
            )
    return named, rows[1:]


def _time(text: Text, line: int, cell: str, decimal_comma: bool) -> float:
    time = plain_number(cell, decimal_comma)
    if time is None:
        raise TableError(
            f"time is {quoted(cell)}, expected a number such as 12.5, or a date such as "
            "2020-03-01 in every row; correct it",
            text.path,
            line,
        )
    return time


def _dated(text: Text, rows: Rows, time_unit: str, initial_time: float) -> tuple[list[float], str]:
    """Times of dates in the model's unit, and what was assumed."""
    dates = [_date(text, line, cells[0]) for line, cells in rows]
    unit = time_unit.strip().casefold().removesuffix("s")
    if unit == "year" and initial_time > 1000:
        years = [
            d.year + (d.toordinal() - date(d.year, 1, 1).toordinal()) / _year_days(d.year)
            for d in dates
        ]
        return years, "dates are calendar years with decimals, as the model counts them"
    length = {**_DAYS, "month": 365.25 / 12, "quarter": 365.25 / 4, "year": 365.25}.get(unit)
    if length is None:
        raise TableError(
            f"the model counts time in {quoted(time_unit or 'no unit')}, and dates cannot be "
            "turned into that; give times as numbers, or units for TIME STEP such as Day",
            text.path,
            rows[0][0],
        )
    first = dates[0].toordinal()
    times = [initial_time + (d.toordinal() - first) / length for d in dates]
    return times, f"the first date, {dates[0]}, is the model's time {initial_time:g} ({time_unit})"


def _date(text: Text, line: int, cell: str) -> date:
    match = _DATE.fullmatch(cell)
    assert match is not None
    try:
        return date(int(match[1]), int(match[2]), int(match[3] or 1))
    except ValueError:
        raise TableError(f"{quoted(cell)} is no date; correct it", text.path, line) from None


def _year_days(year: int) -> int:
    return date(year + 1, 1, 1).toordinal() - date(year, 1, 1).toordinal()
