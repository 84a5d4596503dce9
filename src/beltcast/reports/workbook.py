"""Tables as a workbook (.xlsx): one sheet each, a chart, and a sheet on their origin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.errors import InputError

SHEET_ROWS = 2**20 - 1
"""Rows of a sheet below its header."""

_CHARTED = 5


def source_table(results: xr.Dataset, file: str) -> pd.DataFrame:
    """List the origin of results: the file, and attributes such as versions, seed and hashes."""
    facts = {"file": file}
    facts |= {
        str(name): str(value)
        for name, value in results.attrs.items()
        if isinstance(value, str | int | float | np.number) and len(str(value)) < 1000
    }
    notes = {
        str(name): str(values.attrs["long_name"])
        for name, values in results.data_vars.items()
        if values.attrs.get("long_name")
    }
    return pd.DataFrame({"name": [*facts, *notes], "text": [*facts.values(), *notes.values()]})


def write_workbook(tables: Mapping[str, pd.DataFrame], path: str | Path) -> None:
    """Write each table to a sheet with a frozen header; the first one gets a chart.

    Raises
    ------
    InputError
        A table has more rows than a sheet.

    Examples
    --------
    >>> import pandas as pd
    >>> write_workbook({"places": pd.DataFrame({"year": [2025], "p50": [1.0]})}, "one.xlsx")
    """
    import openpyxl
    from openpyxl.utils import get_column_letter

    for name, table in tables.items():
        if len(table) > SHEET_ROWS:
            raise InputError(
                f"the table '{name}' has {len(table)} rows, and a sheet holds {SHEET_ROWS}; take "
                "the format 'csv' or 'parquet', or leave out members"
            )
    book = openpyxl.Workbook(write_only=True)
    for k, (name, table) in enumerate(tables.items()):
        sheet = book.create_sheet(re.sub(r"[\[\]:*?/\\]", " ", name)[:31])
        sheet.freeze_panes = "A2"
        for i, column in enumerate(table.columns, start=1):
            sheet.column_dimensions[get_column_letter(i)].width = min(60, max(10, len(column) + 2))
        sheet.append([_cell(sheet, str(column), bold=True) for column in table.columns])
        for row in table.itertuples(index=False, name=None):
            sheet.append([_cell(sheet, value) for value in row])
        chart = _chart(sheet, table) if k == 0 else None
        if chart is not None:
            sheet.add_chart(chart, f"{get_column_letter(len(table.columns) + 2)}2")
    book.save(path)


def _cell(sheet: Any, value: Any, *, bold: bool = False) -> Any:
    """A number, or a text that is never read as a formula; an empty cell for NaN."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if not isinstance(value, str):
        return value
    if not bold and not value.startswith("="):
        return value
    cell = WriteOnlyCell(sheet, value=value)
    cell.data_type = "s"
    if bold:
        cell.font = Font(bold=True)
    return cell


def _chart(sheet: Any, table: pd.DataFrame) -> Any:
    """Lines over the years of the first quantity and place, or over the time of a run."""
    from openpyxl.chart import Reference, ScatterChart, Series

    across = next((c for c in ("year", "time") if c in table), None)
    if across is None or table.empty:
        return None
    numeric = table.select_dtypes("number").columns
    same = [c for c in table if c != across and (c not in numeric or c == "member")]
    first = int((table[same] == table[same].iloc[0]).all(axis=1).cumprod().sum()) if same else 0
    rows = first or len(table)
    drawn = [c for c in numeric if c not in ("member", across)]
    drawn = [c for c in drawn if table[c].iloc[:rows].notna().any()][:_CHARTED]
    if not drawn:
        return None
    chart = ScatterChart()
    chart.style, chart.height, chart.width = 13, 9, 18
    chart.title = ", ".join(str(table[c].iloc[0]) for c in same if c != "unit") or None
    chart.x_axis.title = across
    chart.y_axis.title = str(table["unit"].iloc[0]) if "unit" in table else None
    chart.x_axis.delete = chart.y_axis.delete = False
    columns = list(table.columns)
    years = Reference(sheet, min_col=columns.index(across) + 1, min_row=2, max_row=rows + 1)
    for name in drawn:
        at = columns.index(name) + 1
        values = Reference(sheet, min_col=at, min_row=1, max_row=rows + 1)
        line = Series(values, years, title_from_data=True)
        line.marker.symbol = "none"
        line.smooth = False
        chart.series.append(line)
    return chart
