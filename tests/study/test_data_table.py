"""Cells and times of a table of one's own, against the calendar and against what was written."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from beltcast.study.data_table import DataTable, read_data_table


def read(folder: Path, text: str, unit: str = "", initial: float = 0.0) -> DataTable:
    path = folder / "x.csv"
    path.write_text(text, encoding="utf-8")
    return read_data_table(path, time_unit=unit, initial_time=initial)


DAYS = {
    "Second": 1 / 86400,
    "minutes": 1 / 1440,
    "Hour": 1 / 24,
    "Day": 1.0,
    "Weeks": 7.0,
    "Month": 365.25 / 12,
    "quarters": 365.25 / 4,
    "Year": 365.25,
}


@pytest.mark.parametrize("unit", DAYS)
def test_dates_are_counted_from_the_first_in_the_unit_of_the_model(
    tmp_path: Path, unit: str
) -> None:
    """From 31 January to 1 March there are 30 days in 2020, and 30 to the last day of March."""
    table = read(tmp_path, "date,X\n2020-01-31,1\n2020-03-01,2\n2020/3/31,3\n", unit, 4.0)
    expected = [4.0, 4.0 + 30.0 / DAYS[unit], 4.0 + 60.0 / DAYS[unit]]
    assert list(table.times) == pytest.approx(expected, rel=1e-14)


def test_dates_of_a_model_of_calendar_years_are_shares_of_their_own_year(tmp_path: Path) -> None:
    """A month without a day is its first; the year 2020 has 366 days."""
    text = "date,X\n2019-12-31,1\n2020-01-01,2\n2020-07,3\n2021-07-01,4\n"
    july = (date(2020, 7, 1) - date(2020, 1, 1)).days
    assert july == 182
    expected = [2019 + 364 / 365, 2020.0, 2020 + 182 / 366, 2021 + 181 / 365]
    for initial in (1000.5, 2013.0):
        assert list(read(tmp_path, text, "Years", initial).times) == pytest.approx(
            expected, rel=1e-14
        )
    # A model that starts at 0 (or 1000) counts years from the first date.
    counted = read(tmp_path, text, "Year", 1000.0).times
    assert counted[:2] == pytest.approx((1000.0, 1000.0 + 1 / 365.25), rel=1e-14)


@pytest.mark.parametrize(
    ("separator", "cells"),
    [
        (",", ['"1,234"', "1234.5", "< 7", ">8", "NA", "n/a", "-", ".", "null", "None", "nan", ""]),
        (";", ["1234", "1234,5", "<7,0", "> 8", "NA", "N/A", "-", ".", "null", "none", "NaN", ""]),
        ("\t", ["1,234,000", "1234,5", "<7", ">8", "na", "n/a", "-", ".", "", "", "", ""]),
    ],
)
def test_a_cell_is_a_number_a_bound_or_nothing(
    tmp_path: Path, separator: str, cells: list[str]
) -> None:
    rows = "".join(f"{t}{separator}{cell}\n" for t, cell in enumerate(cells, start=1))
    table = read(tmp_path, f"t{separator}X\n{rows}")
    first = 1_234_000.0 if separator == "\t" else 1234.0
    assert [tuple(cell) for cell in table.column("X")] == [
        (2, 1.0, first, 0),
        (3, 2.0, 1234.5, 0),
        (4, 3.0, 7.0, 1),  # the value lies below
        (5, 4.0, 8.0, -1),  # the value lies above
    ]
