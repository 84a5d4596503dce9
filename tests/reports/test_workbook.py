"""Workbooks: each cell, and a chart over the rows that belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import xarray as xr

from beltcast.errors import InputError
from beltcast.reports import workbook
from beltcast.reports.workbook import source_table, write_workbook

PLACES = pd.DataFrame(
    {
        "quantity": ["output", "output", "output", "output"],
        "unit": ["bn", "bn", "bn", "bn"],
        "place": ["East", "East", "West", "West"],
        "year": [2025, 2026, 2025, 2026],
        "p10": [1.0, 2.0, 3.0, np.nan],
        "p50": [5.0, 6.0, 7.0, 8.0],
        "empty": [np.nan, np.nan, 1.0, 2.0],
    }
)


def book(tables: dict[str, pd.DataFrame], tmp_path: Path) -> Any:
    write_workbook(tables, tmp_path / "book.xlsx")
    return openpyxl.load_workbook(tmp_path / "book.xlsx")


def test_every_cell_is_written_and_missing_numbers_are_empty(tmp_path: Path) -> None:
    sheet = book({"places": PLACES}, tmp_path)["places"]
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    assert rows[0] == list(PLACES.columns)
    for found, given in zip(rows[1:], PLACES.itertuples(index=False), strict=True):
        assert found == [None if pd.isna(value) else value for value in given]
    assert all(cell.font.bold for cell in sheet[1])
    assert not sheet["A2"].font.bold
    assert sheet.freeze_panes == "A2"


def test_texts_that_begin_like_a_formula_stay_texts(tmp_path: Path) -> None:
    table = pd.DataFrame({"=a": ["=1+1", "1"], "n": [np.inf, -1.5]})
    sheet = book({"a/b": table}, tmp_path)["a b"]
    assert [cell.data_type for cell in (sheet["A1"], sheet["A2"], sheet["A3"])] == ["s", "s", "s"]
    assert sheet["A2"].value == "=1+1"
    assert (sheet["B2"].value, sheet["B3"].value) == (None, -1.5)


def test_columns_are_as_wide_as_their_heads_from_ten_to_sixty_characters(tmp_path: Path) -> None:
    names = ["x", "y" * 8, "z" * 9, "w" * 58, "v" * 59, "u" * 200]
    sheet = book({"t": pd.DataFrame([[1] * 6], columns=names)}, tmp_path)["t"]
    widths = [sheet.column_dimensions[letter].width for letter in "ABCDEF"]
    assert widths == [10, 10, 11, 60, 60, 60]


def test_the_chart_draws_the_first_place_over_its_years_and_no_empty_column(tmp_path: Path) -> None:
    written = book({"places": PLACES, "more": PLACES}, tmp_path)
    (chart,) = written["places"]._charts
    assert not written["more"]._charts
    across = {series.xVal.numRef.f for series in chart.series}
    assert across == {"'places'!$D$2:$D$3"}
    assert [s.yVal.numRef.f for s in chart.series] == [f"'places'!${c}$2:${c}$3" for c in "EF"]
    assert [s.tx.strRef.f for s in chart.series] == ["'places'!E1", "'places'!F1"]
    # Beside the table, with one column between.
    assert chart.anchor._from.col == len(PLACES.columns) + 1


def test_a_run_is_drawn_over_its_time_with_at_most_five_lines_and_no_member(tmp_path: Path) -> None:
    numbers = {f"x{k}": [1.0, 2.0] for k in range(6)}
    run = pd.DataFrame({"member": [0, 0], "time": [0.0, 1.0], **numbers})
    (chart,) = book({"run": run}, tmp_path)["run"]._charts
    assert [s.yVal.numRef.f for s in chart.series] == [f"'run'!${c}$2:${c}$3" for c in "CDEFG"]
    assert not book({"other": run.drop(columns="time")}, tmp_path)["other"]._charts
    assert not book({"none": run.iloc[:0]}, tmp_path)["none"]._charts


def test_a_table_as_long_as_a_sheet_is_written_and_one_row_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "SHEET_ROWS", 4)
    assert book({"places": PLACES}, tmp_path)["places"].max_row == 5
    with pytest.raises(InputError, match="'long' has 5 rows, and a sheet holds 4"):
        write_workbook({"long": pd.concat([PLACES, PLACES.iloc[:1]])}, tmp_path / "no.xlsx")
    assert not (tmp_path / "no.xlsx").exists()


def test_the_origin_lists_the_file_short_attributes_and_what_variables_are() -> None:
    data = xr.Dataset(
        {"x": ((), 1.0, {"long_name": "An x"}), "y": ((), 2.0)},
        attrs={"seed": 3, "table": [1, 2], "short": "s" * 999, "long": "s" * 1000},
    )
    table = source_table(data, "a.nc")
    assert table["name"].tolist() == ["file", "seed", "short", "x"]
    assert table["text"].tolist() == ["a.nc", "3", "s" * 999, "An x"]
