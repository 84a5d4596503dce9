"""Other tools find every number under the labels it had."""

from __future__ import annotations

import codecs
import sys
import warnings
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import xarray as xr

from beltcast.errors import InputError, MissingExtra
from beltcast.reports.export import (
    export,
    format_of,
    iamc_table,
    long_table,
    run_table,
    save_run,
)


@pytest.fixture
def results() -> xr.Dataset:
    rng = np.random.default_rng(1)
    return xr.Dataset(
        {
            "output_quantile": (
                ("scenario", "place", "year", "quantile"),
                rng.random((2, 2, 3, 2)),
                {"units": "bnCNY"},
            ),
            "shapley_log_quantile": (
                ("driver", "place", "year", "quantile"),
                rng.random((1, 2, 3, 2)),
                {"units": "1"},
            ),
            "output": (("scenario", "member", "place", "year"), rng.random((2, 4, 2, 3))),
        },
        {
            "scenario": ["baseline", "other"],
            "place": ["China", "Yiwu"],
            "year": [2024, 2025, 2026],
            "quantile": [0.05, 0.5],
            "driver": ["Market"],
        },
        {"model": "belt"},
    )


def test_every_quantile_is_a_row_of_the_iamc_table(results: xr.Dataset) -> None:
    table = iamc_table(results)
    assert list(table.columns[:5]) == ["Model", "Scenario", "Region", "Variable", "Unit"]
    # 2 scenarios x 2 places x 2 quantiles, and 1 driver x 2 x 2; members are left out.
    assert len(table) == 8 + 4
    assert not table.duplicated(["Scenario", "Region", "Variable"]).any()
    row = table.query("Scenario == 'other' and Region == 'Yiwu' and Variable == 'output|p05'")
    expected = results["output_quantile"].sel(
        scenario="other", place="Yiwu", year=2026, quantile=0.05
    )
    assert row["2026"].item() == expected.item()
    assert "shapley_log|Market|p50" in set(table["Variable"])


def test_pyam_opens_the_iamc_table(results: xr.Dataset) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what pyam brings warns of itself as it is imported
            import pyam
    except (
        ImportError,
        TypeError,
    ) as problem:  # ixmp4, which pyam brings, breaks on SQLAlchemy 2.1
        pytest.skip(f"pyam (pip install pyam-iamc) does not import: {problem}")
    frame = pyam.IamDataFrame(iamc_table(results))
    assert len(frame.variable) == 4
    one = frame.filter(scenario="other", region="Yiwu", variable="output|p05", year=2026)
    expected = results["output_quantile"].sel(
        scenario="other", place="Yiwu", year=2026, quantile=0.05
    )
    assert one.data["value"].tolist() == [expected.item()]


def test_the_long_table_holds_every_number_once(results: xr.Dataset) -> None:
    table = long_table(results, members=True)
    assert len(table) == sum(v.size for v in results.data_vars.values())
    chosen = table.query("variable == 'output' and member == 3 and year == 2025")
    own = results["output"].sel(member=3, year=2025)
    assert sorted(chosen["value"]) == sorted(own.values.ravel())


def test_a_csv_reads_back_as_it_was(results: xr.Dataset, tmp_path: Path) -> None:
    export(results, tmp_path / "long.csv", "csv")
    back = pd.read_csv(tmp_path / "long.csv", converters={"value": float})
    np.testing.assert_array_equal(back["value"], long_table(results)["value"].to_numpy(float))


def test_a_parquet_file_reads_back_as_it_was(results: xr.Dataset, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    export(results, tmp_path / "long.parquet", "parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "long.parquet"), long_table(results))


def test_without_pyarrow_parquet_says_what_to_install(
    results: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[parquet\]', or take the format"):
        export(results, tmp_path / "long.parquet", "parquet")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_with_those_there_are(
    results: xr.Dataset, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match="expected one of 'iamc', 'csv', 'tables', 'xlsx', 'parquet'"
    ):
        export(results, tmp_path / "x", "docx")


def test_results_without_places_have_no_iamc_table() -> None:
    with pytest.raises(InputError, match="none of the results has places and years"):
        iamc_table(xr.Dataset({"x": ("time", [1.0])}))


def test_a_workbook_has_a_tidy_sheet_a_question_with_its_numbers(
    results: xr.Dataset, tmp_path: Path
) -> None:
    more = {"parameters": pd.DataFrame({"name": ["=1+1"], "estimate": [2.0]})}
    export(results, tmp_path / "a.xlsx", "xlsx", more=more)
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert book.sheetnames[0] == "places"
    assert {"scenarios", "parameters", "source"} <= set(book.sheetnames)
    assert not any("member" in name for name in book.sheetnames)
    assert all(sheet.freeze_panes == "A2" for sheet in book)
    assert len(book["places"]._charts) == 1
    assert book["parameters"]["A2"].data_type == "s"  # a text, not a formula
    table = pd.read_excel(tmp_path / "a.xlsx", "scenarios", engine="openpyxl")
    chosen = table.query(
        "quantity == 'output' and scenario == 'other' and place == 'Yiwu' and year == 2026"
    )
    own = results["output_quantile"].sel(scenario="other", place="Yiwu", year=2026)
    shown = [c for c in table.columns if c.startswith("p") and c != "place"]
    # A workbook keeps 16 digits.
    assert chosen[shown].values.ravel().tolist() == pytest.approx(
        [own.sel(quantile=int(c[1:]) / 100).item() for c in shown], rel=1e-15
    )
    assert set(chosen["unit"]) == {results["output_quantile"].attrs["units"]}


def test_the_sheet_of_drivers_has_each_driver_with_its_quantiles(tmp_path: Path) -> None:
    """Every cell of an attribution stands in one row, under its own names and unit."""
    values = np.random.default_rng(1).normal(size=(2, 2, 3, 3))
    shapley = xr.DataArray(
        values,
        {
            "driver": ["government", "market"],
            "place": ["China", "Yiwu"],
            "year": [2025, 2026, 2030],
            "quantile": [0.1, 0.5, 0.9],
        },
        ("driver", "place", "year", "quantile"),
        attrs={"units": "bnCNY"},
    )
    export(xr.Dataset({"shapley_level_quantile": shapley}), tmp_path / "a.xlsx", "xlsx")
    table = pd.read_excel(tmp_path / "a.xlsx", "drivers", engine="openpyxl")
    assert len(table) == 12
    for row in table.itertuples():
        own = shapley.sel(driver=row.driver, place=row.place, year=row.year)
        assert [row.p10, row.p50, row.p90] == pytest.approx(own.values.tolist(), rel=1e-15)
        assert (row.quantity, row.unit) == ("shapley_level", "bnCNY")


def test_tables_for_spreadsheets_begin_with_a_mark_and_leave_members_out(
    results: xr.Dataset, tmp_path: Path
) -> None:
    export(results, tmp_path / "out", "tables")
    export(results, tmp_path / "long.csv", "csv")
    for path in (tmp_path / "out" / "places.csv", tmp_path / "long.csv"):
        assert path.read_bytes().startswith(codecs.BOM_UTF8)
        assert "member" not in pd.read_csv(path).columns
    export(results, tmp_path / "all.csv", "csv", members=True)
    assert "member" in pd.read_csv(tmp_path / "all.csv").columns


def test_the_ending_decides_the_format_and_a_mismatch_is_refused() -> None:
    endings = {"a.xlsx": "xlsx", "a.csv": "csv", "a.iamc.csv": "iamc", "a.nc": "netcdf"}
    assert {name: format_of(name, None) for name in endings} == endings
    for path, form in (("a.xlsx", "csv"), ("a.csv", "xlsx"), ("a.pdf", None)):
        with pytest.raises(InputError, match=r"differ|names no format"):
            format_of(path, form)


def test_every_cell_of_the_iamc_table_is_where_its_labels_say(results: xr.Dataset) -> None:
    """Look up each exported row in the Dataset by the labels in the row."""
    table = iamc_table(results, model="mine")
    seen = set()
    for row in table.to_dict("records"):
        name, *labels = str(row["Variable"]).split("|")
        values = results[f"{name}_quantile"].sel(place=row["Region"])
        values = values.sel(quantile=int(labels[-1].removeprefix("p")) / 100, method="nearest")
        if "scenario" in values.dims:
            values = values.sel(scenario=row["Scenario"])
        if "driver" in values.dims:
            values = values.sel(driver=labels[0])
        assert [row[str(year)] for year in (2024, 2025, 2026)] == values.values.tolist()
        assert (row["Model"], row["Unit"]) == ("mine", results[f"{name}_quantile"].units)
        seen.add((name, row["Scenario"], row["Region"], *labels))
    assert len(seen) == len(table) == 12


@pytest.mark.parametrize(
    ("attributes", "label"),
    [
        ({"scenario": "tilt-up", "baseline": "low"}, "tilt-up"),
        ({"baseline": "low"}, "low"),
        ({}, "baseline"),
    ],
)
def test_results_of_a_single_scenario_carry_its_name(
    results: xr.Dataset, attributes: dict[str, str], label: str
) -> None:
    single = results[["shapley_log_quantile"]].assign_attrs(attributes)
    assert set(iamc_table(single)["Scenario"]) == {label}


def test_every_number_of_the_long_table_is_where_its_labels_say(results: xr.Dataset) -> None:
    table = long_table(results, members=True)
    assert len(table) == sum(values.size for values in results.data_vars.values())
    for row in table.to_dict("records"):
        values = results[row["variable"]]
        at = {dim: row[dim] for dim in values.dims}
        assert values.sel(at).item() == row["value"]
        assert row["unit"] == values.attrs.get("units", "")
    assert "output" not in set(long_table(results)["variable"])


def test_every_cell_of_an_iamc_table(results: xr.Dataset) -> None:
    """A result of several scenarios names each; one without that dimension names its own."""
    table = iamc_table(results.assign_attrs(scenario="calm"))
    cells = {
        (row["Scenario"], row["Region"], row["Variable"], str(year)): row[str(year)]
        for _, row in table.iterrows()
        for year in (2024, 2025, 2026)
    }
    want = {}
    for place in ("China", "Yiwu"):
        for year in (2024, 2025, 2026):
            for level, word in ((0.05, "p05"), (0.5, "p50")):
                at = {"place": place, "year": year, "quantile": level}
                for scenario in ("baseline", "other"):
                    own = results["output_quantile"].sel(scenario=scenario, **at)
                    want[scenario, place, f"output|{word}", str(year)] = own.item()
                own = results["shapley_log_quantile"].sel(driver="Market", **at)
                want["calm", place, f"shapley_log|Market|{word}", str(year)] = own.item()
    assert cells == want
    assert set(table["Model"]) == {"beltcast belt"}
    units = dict(zip(table["Variable"], table["Unit"], strict=True))
    assert units == {
        **{f"output|{word}": "bnCNY" for word in ("p05", "p50")},
        **{f"shapley_log|Market|{word}": "1" for word in ("p05", "p50")},
    }
    assert set(iamc_table(results, model="mine")["Model"]) == {"mine"}
    kept = iamc_table(results.assign_attrs(baseline="usual"))["Scenario"]
    assert set(kept) == {"baseline", "other", "usual"}


RUN = xr.Dataset(
    {
        "x": (("scenario", "member", "time"), np.arange(12.0).reshape(2, 2, 3)),
        "y": (
            ("time", "b", "member", "scenario", "a"),
            np.arange(100.0, 172).reshape(3, 3, 2, 2, 2),
        ),
        "clock": (("time",), np.array([7.0, 8.0, 9.0])),
        "start": (("scenario",), np.array([1.0, 2.0])),
    },
    {
        "scenario": ["one", "two"],
        "member": [0, 1],
        "time": [0.0, 0.5, 1.0],
        "a": ["p", "q"],
        "b": ["i", "j", "k"],
    },
)


def test_every_cell_of_the_table_of_a_run() -> None:
    """A row for each scenario, member and time; a column for each pair of elements."""
    table = run_table(RUN)
    pairs = [f"y[{b},{a}]" for b in "ijk" for a in "pq"]
    assert list(table.columns) == ["scenario", "member", "time", "x", *pairs, "clock"]
    assert len(table) == 12
    for _, row in table.iterrows():
        at = {name: row[name] for name in ("scenario", "member", "time")}
        assert row["x"] == RUN["x"].sel(at).item()
        assert row["clock"] == RUN["clock"].sel(time=row["time"]).item()
        for b in "ijk":
            for a in "pq":
                assert row[f"y[{b},{a}]"] == RUN["y"].sel(**at, a=a, b=b).item()


def test_a_run_is_saved_without_numbers_of_rows(tmp_path: Path) -> None:
    save_run(RUN, tmp_path / "run.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run.csv"), run_table(RUN))
    save_run(RUN, tmp_path / "run.xlsx")
    book = openpyxl.load_workbook(tmp_path / "run.xlsx")
    head, *rows = book["run"].iter_rows(values_only=True)
    assert list(head) == list(run_table(RUN).columns)
    assert rows == [tuple(row) for row in run_table(RUN).itertuples(index=False)]


def test_a_run_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"\[parquet\]', or write .csv"):
        save_run(RUN, tmp_path / "run.parquet")
    assert list(tmp_path.iterdir()) == []


def test_without_a_file_the_format_is_that_given_else_iamc() -> None:
    assert (format_of(None, "csv"), format_of(None, None)) == ("csv", "iamc")
