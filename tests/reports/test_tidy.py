"""Tidy tables: each cell is the number of the results at its labels, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from beltcast.errors import InputError
from beltcast.reports.tidy import shown_quantiles, tables_without_members, tidy_tables

LABELS = {
    "scenario": ["baseline", "push"],
    "place": ["East", "West", "All"],
    "year": [2025, 2027],
    "driver": ["rain", "fleet"],
    "quantile": [0.05, 0.1, 0.5, 0.9],
    "member": [0, 1, 2, 3, 4],
}


def numbered(*dims: str, first: float = 0.0, units: str = "") -> xr.DataArray:
    """Another number in every cell."""
    shape = [len(LABELS[d]) for d in dims]
    values = first + np.arange(np.prod(shape)).reshape(shape)
    return xr.DataArray(values, {d: LABELS[d] for d in dims}, dims, attrs={"units": units})


@pytest.fixture
def results() -> xr.Dataset:
    """Dimensions in an unusual order, and one variable for each kind of table."""
    return xr.Dataset(
        {
            "shapley_quantile": numbered("quantile", "driver", "year", first=100.0, units="1"),
            "output_quantile": numbered(
                "quantile", "scenario", "place", "year", first=1000.0, units="bn"
            ),
            "chance_of_more": numbered("scenario", "place", "year", first=0.5),
            "share_quantile": numbered("year", "place", "quantile", first=500.0, units="%"),
            "growth": numbered("scenario", "quantile", first=0.1),
            "output": numbered("member", "place"),
            "row_line": ("row", [2, 3]),
            "row_place": ("row", ["East", "West"]),
            "bound": 3.0,
        }
    )


def test_every_cell_is_the_number_at_its_labels(results: xr.Dataset) -> None:
    known = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
    seen = 0
    for name, table in tidy_tables(results).items():
        if name == "observations":
            continue
        for row in table.to_dict("records"):
            key = row["quantity"]
            values = results[f"{key}_quantile" if f"{key}_quantile" in results else key]
            assert row["unit"] == values.attrs["units"]
            at = {d: row[d] for d in values.dims if d in row and d != "quantile"}
            if name == "places" and "scenario" in values.dims:
                at["scenario"] = "baseline"
            for column in ("p10", "p50", "p90", "value"):
                if column not in row or pd.isna(row[column]):
                    continue
                chosen = values.sel(at)
                if column in known:
                    chosen = chosen.sel(quantile=known[column])
                assert row[column] == float(chosen), (name, row)
                seen += 1
    # Shares and the first scenario of output by quantile, chances; all scenarios; drivers; growth.
    assert seen == 3 * (6 + 6) + 6 + 3 * 12 + 12 + 3 * 4 + 3 * 2


def test_tables_come_in_the_order_of_the_questions_and_members_only_when_asked(
    results: xr.Dataset,
) -> None:
    tables = tidy_tables(results)
    assert list(tables) == ["places", "scenarios", "drivers", "observations", "by scenario"]
    assert list(tables["drivers"].columns) == [
        "quantity",
        "unit",
        "driver",
        "year",
        "p10",
        "p50",
        "p90",
    ]
    # The value of a chance comes last, although the quantiles of another quantity come before it.
    assert list(tables["scenarios"].columns)[-4:] == ["p10", "p50", "p90", "value"]
    assert tables["observations"].to_dict("list") == {"line": [2, 3], "place": ["East", "West"]}
    asked = tidy_tables(results, members=True)
    assert set(asked) - set(tables) == {"members by place"}
    assert len(asked["members by place"]) == 15


def test_results_that_are_members_alone_keep_them(results: xr.Dataset) -> None:
    assert set(tables_without_members(results[["output", "growth"]]).data_vars) == {"growth"}
    assert set(tables_without_members(results[["output", "bound"]]).data_vars) == {
        "output",
        "bound",
    }


def test_other_quantiles_are_all_shown_where_one_of_the_three_is_missing() -> None:
    assert shown_quantiles([0.05, 0.1, 0.5, 0.9, 0.95]) == [0.1, 0.5, 0.9]
    assert shown_quantiles([0.1, 0.5, 0.95]) == [0.1, 0.5, 0.95]
    assert shown_quantiles([0.05, 0.1 + 1e-12, 0.5, 0.9]) == [0.1 + 1e-12, 0.5, 0.9]
    table = tidy_tables(
        xr.Dataset({"x_quantile": numbered("place", "quantile").isel(quantile=[0, 2])})
    )
    assert list(table["by place"].columns) == ["quantity", "unit", "place", "p05", "p50"]


def test_results_without_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="no table of numbers"):
        tidy_tables(xr.Dataset({"name": ("place", ["a", "b"]), "x": 1.0}))
