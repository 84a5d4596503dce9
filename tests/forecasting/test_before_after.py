"""The forecast before and after: a half-year narrows its year, and the page says what changed."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from rich.table import Table

from beltcast import (
    Calibration,
    Draws,
    Model,
    Study,
    Update,
    cli,
    init,
    read_study,
    update,
)
from beltcast.display.tables import titled
from beltcast.files.shipped import shipped
from beltcast.forecasting.before_after import changes, nowcast_years, outlook
from beltcast.forecasting.summary import as_text
from beltcast.forecasting.update_text import summarise_update, surprise_words
from beltcast.inference.sampling.draws_file import shipped_draws
from beltcast.study.new_rows import read_new_rows
from beltcast.study.observations import Observations
from beltcast.study.observations_file import COLUMNS
from beltcast.workflows.draws import FitOptions
from beltcast.workflows.update import UpdateOptions, update_study

DRAWS = 200


@pytest.fixture(scope="module")
def draws(study: Study, fit: Calibration) -> Draws:
    """Of the fit that ships: draws of a quick fit have shocks that are as wide as Laplace's."""
    return shipped_draws(study, fit.likelihood).first(DRAWS)


@pytest.fixture(scope="module")
def half_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A half-year of the nation's exports that is not out yet, as expected."""
    path = tmp_path_factory.mktemp("half") / "half-year.csv"
    cells = ("China", "output", "part-year", "2026.0", "2026.5", "1120", "bn CNY", "gacc")
    more = ("preliminary", "A", "2026.54", "a test", "", "", "")
    path.write_text("\n".join([",".join(COLUMNS), ",".join(cells + more)]) + "\n")
    return path


@pytest.fixture(scope="module")
def half(study: Study, half_file: Path) -> Observations:
    return read_new_rows(half_file, study).rows


@pytest.fixture(scope="module")
def change(fit: Calibration, draws: Draws, half: Observations) -> Update:
    return update(fit, draws, half, rng=np.random.default_rng(3))


@pytest.fixture(scope="module")
def result(study: Study, change: Update) -> xr.Dataset:
    return outlook(study, change, rng=np.random.default_rng(4))


def test_one_expected_half_year_needs_no_refit(change: Update) -> None:
    assert change.method == "reweight"
    (row,) = change.surprises.itertuples()
    assert row.low < row.published < row.high
    # What is new of the nation's level since the observations of 2025.
    assert row.nuisance.startswith("discrepancy of all, 2026.")


def test_a_half_year_narrows_the_running_year(result: xr.Dataset) -> None:
    # The shock of 0.05 that the year was given is known after half of it but for the half's own
    # error (A, first release: 0.036) and the season: 0.05 becomes about 0.03 at best.
    table = changes(result).set_index(["place", "year"])
    # The first quarter, of grade C, is in the study and has told a little of it.
    assert table.loc[("China", 2026), "width"] < 0.85
    assert table.loc[("China", 2025), "width"] == pytest.approx(1.0, abs=0.15)
    assert 0.75 < table.loc[("China", 2035), "width"] < 1.25


def test_a_half_year_moves_its_year_towards_itself(result: xr.Dataset, change: Update) -> None:
    (row,) = change.surprises.itertuples()
    table = changes(result).set_index(["place", "year"])
    assert np.sign(row.z) == np.sign(table.loc[("China", 2026), "change"] - 1.0)


def test_draws_of_equal_posteriors_give_equal_forecasts(study: Study, change: Update) -> None:
    same = dataclasses.replace(change, after=change.before)
    table = changes(outlook(study, same, rng=np.random.default_rng(4)))
    np.testing.assert_array_equal(table["change"], 1.0)
    np.testing.assert_array_equal(table["median before"], table["median after"])


def test_years_of_which_a_part_is_known_are_found(change: Update) -> None:
    assert nowcast_years(change) == {2026: ["China"]}


def test_the_dataset_holds_both_states_and_what_was_done(result: xr.Dataset, study: Study) -> None:
    assert result["state"].values.tolist() == ["before", "after"]
    assert result["published_quantile"].dims == ("state", "place", "year", "quantile")
    assert result.sizes["member"] == DRAWS
    assert result.attrs["observations_sha256"] == study.hashes["observations"]
    assert result.attrs["method"] == "reweight"
    assert "k " in result.attrs["why"]
    fan = result["published_quantile"]
    assert (fan.diff("quantile") >= 0).all()


def test_the_page_says_method_surprise_and_change(result: xr.Dataset, change: Update) -> None:
    page = as_text(summarise_update(result, change, "Line 9 repeats line 3."))
    flat = " ".join(page.split())
    for words in (
        ": 1 new observation Line 9",
        "Line 9 repeats line 3. Method reweight",
        "good up to",
        "2026, first half",
        "The year 2026, published in part",
        "The most surprising: China, gacc, 2026, first half",
    ):
        assert words in flat
    assert max(map(len, page.splitlines())) <= 112


def test_a_chinese_page_counts_in_yi_and_names_halves(result: xr.Dataset, change: Update) -> None:
    page = as_text(summarise_update(result, change, language="zh"))
    (row,) = change.surprises.to_dict("records")
    assert "2026年上半年" in page
    assert f"{10 * row['published']:,.0f} " in page
    middle = changes(result).set_index(["place", "year"]).loc[("China", 2026), "median after"]
    assert f"{10 * middle:,.0f} (" in page
    assert "亿元/年" in page


def test_a_long_list_of_new_figures_keeps_its_first_column(
    result: xr.Dataset, change: Update
) -> None:
    (row,) = change.surprises.to_dict("records")
    row["nuisance"] = "season of a statistic whose name is longer than its column"
    long = pd.concat([change.surprises, pd.DataFrame([row] * 20)], ignore_index=True)
    page = as_text(summarise_update(result, dataclasses.replace(change, surprises=long)))
    name = f"{row['place']}, {row['quantity']}"
    assert sum(line.startswith(name + " ") for line in page.splitlines()) == 21
    assert max(map(len, page.splitlines())) <= 112


def test_a_far_observation_is_called_a_surprise_and_leads_to_another_way(
    fit: Calibration, draws: Draws, half: Observations
) -> None:
    (row,) = half
    far = dataclasses.replace(half, rows=(dataclasses.replace(row, value=2.0 * row.value),))
    change = update(fit, draws, far, rng=np.random.default_rng(3), moves=2)
    assert change.method != "reweight"
    assert not change.attempts[0].good
    assert change.attempts[0].k > 0.7
    assert change.surprises["p"][0] < 1e-6
    assert surprise_words(change).startswith("1 of 1 new observation has p below 0.05")


@pytest.mark.slow
def test_the_command_leaves_a_complete_folder(
    study: Study,
    fit: Calibration,
    half_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("beltcast.workflows.update.fit_study", lambda *_, **__: fit)
    some = shipped_draws(study, fit.likelihood).first(60)
    monkeypatch.setattr("beltcast.workflows.update.approximate_posterior", lambda *_, **__: some)
    rows = str(half_file)
    monkeypatch.setattr(
        sys,
        "argv",
        ["beltcast", "update", rows, "--draws", "60", "--method", "reweight", "--output", "out"],
    )
    assert _exit_of(cli.main) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert sorted(os.listdir("out")) == ["changes.csv", "summary.txt", "surprises.csv", "update.nc"]
    assert Path("out/summary.txt").read_text(encoding="utf-8").strip() in out
    with xr.open_dataset("out/update.nc") as written:
        assert len(written.attrs["new_rows_sha256"]) == 64
        assert written.attrs["seed"] == "1"


@pytest.mark.long
def test_the_study_as_of_a_date_is_updated_by_what_came_since(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--starts", "1", "--draws", "20", "--method", "reweight", "--output", "out"]
    monkeypatch.setattr(sys, "argv", ["beltcast", "update", "--as-of", "2026.3", *few])
    assert _exit_of(cli.main) == 0
    capsys.readouterr()
    with xr.open_dataset("out/update.nc") as written:
        assert written.attrs["as_of"] == "2026.3"
        # The final trade and exports of 2025.
        assert written["row_start"].values.tolist() == [2025.0, 2025.0]
        assert set(written["row_place"].values) == {"China"}


@pytest.mark.long
def test_the_shipped_half_year_updates_the_study_as_of_mid_2025(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = str(shipped("calibration/data/half-year-2025.csv"))
    few = ["--starts", "1", "--draws", "20", "--method", "reweight", "--output", "out"]
    monkeypatch.setattr(sys, "argv", ["beltcast", "update", rows, "--as-of", "2025.5", *few])
    assert _exit_of(cli.main) == 0
    capsys.readouterr()
    with xr.open_dataset("out/update.nc") as written:
        assert written.attrs["as_of"] == "2025.5"
        assert set(written["row_end"].values) == {2025.5}


def test_a_date_takes_no_fit_beside_it_and_something_new_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, sentence in (
        (
            ["--as-of", "2025", "--calibration", "x"],
            "--as-of is 2025 and --calibration is given as well",
        ),
        ([], "there are no new observations; name a file, or a date with --as-of"),
        (["--as-of", "2040"], "no observation was published after 2040"),
    ):
        monkeypatch.setattr(sys, "argv", ["beltcast", "update", *arguments])
        assert _exit_of(cli.main) == 2
        assert sentence in capsys.readouterr().err


def test_the_command_refuses_wrong_rows_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("new.csv").write_text("place,value\nChina,3\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["beltcast", "update", "new.csv"])
    assert _exit_of(cli.main) == 2
    assert capsys.readouterr().err.startswith("beltcast: new.csv:1: missing columns")
    assert os.listdir() == ["new.csv"]


def _exit_of(main) -> int:
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_title_is_not_folded_to_the_width_of_its_table() -> None:
    table = Table(box=None)
    table.add_row("Foshan", "1")
    title = "A title that is far wider than the two cells below it"
    assert as_text(titled(title, table)).splitlines()[1].rstrip() == title


def test_new_rows_are_added_to_what_was_known_at_a_date(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    init(mine, belts=["Foshan"])
    study = read_study(mine)
    table = (mine / "observations.csv").read_text(encoding="utf-8-sig").splitlines()
    row = next(line for line in table[1:] if ",level," in line).split(",")
    row[3], row[4], row[10] = "2025", "2026", "2026.3"
    new = tmp_path / "new.csv"
    new.write_text(f"{table[0]}\n{','.join(row)}\n", encoding="utf-8")
    options = UpdateOptions(FitOptions(draws=40, starts=2), method="reweight", as_of=2026.0)
    found = update_study(study, new, options, rng=1)
    assert found.change.surprises["place"].tolist() == ["Foshan"]
    assert found.outlook.attrs["as_of"] == "2026"


def test_every_cell_of_the_table_of_changes_is_of_its_place_and_year() -> None:
    """Ratios of after to before: of medians, and of the log widths of the 80 % bands."""
    levels, rng = [0.05, 0.1, 0.5, 0.9, 0.95], np.random.default_rng(1)
    fan = np.sort(np.exp(rng.standard_normal((2, 2, 3, 5))), axis=-1)
    coords = {
        "state": ["before", "after"],
        "place": ["all", "East"],
        "year": [2024, 2025, 2026],
        "quantile": levels,
    }
    made = xr.Dataset({"published_quantile": (("state", "place", "year", "quantile"), fan)}, coords)
    table = changes(made)
    assert len(table) == 6
    for row in table.to_dict("records"):
        i, j = coords["place"].index(row["place"]), coords["year"].index(row["year"])
        before, after = fan[0, i, j], fan[1, i, j]
        for state, values in (("before", before), ("after", after)):
            cells = (row[f"low {state}"], row[f"median {state}"], row[f"high {state}"])
            assert cells == (values[1], values[2], values[3])
        assert row["change"] == pytest.approx(after[2] / before[2])
        width = np.log(after[3] / after[1]) / np.log(before[3] / before[1])
        assert row["width"] == pytest.approx(width)


@pytest.mark.parametrize(
    ("start", "end", "years"),
    [
        (2025.0, 2025.5, {2025: ["East"]}),
        (2025.0, 2026.0, {}),
        (2025.0, 2025.9985, {2025: ["East"]}),
        (2025.0, 2025.9995, {}),  # a whole year but for rounding
        (2024.9999999, 2025.25, {2025: ["East"]}),
        (2025.5, 2025.5, {}),
    ],
)
def test_a_year_is_known_in_part_by_less_than_the_whole(
    small: Model, make: SimpleNamespace, start: float, end: float, years: dict[int, list[str]]
) -> None:
    rows = [{"start": start, "end": end, "quantity": "output", "place": "East"}] * 2
    rows.append({"start": 2024.0, "end": 2024.5, "quantity": "firms", "place": "West"})
    likelihood = SimpleNamespace(model=small)
    told = SimpleNamespace(
        after=SimpleNamespace(likelihood=likelihood), surprises=pd.DataFrame(rows)
    )
    assert nowcast_years(told) == years  # type: ignore[arg-type]
