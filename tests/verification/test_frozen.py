"""Frozen forecasts: what is asked, hashes, and scores on made-up rows in closed form."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm
from typer.testing import CliRunner

from beltcast import Model, Study, freeze, read_frozen, save_frozen, score
from beltcast.cli import app
from beltcast.errors import InputError
from beltcast.forecasting.summary import as_text
from beltcast.study.noise import Definition
from beltcast.study.scenarios import Scenario
from beltcast.verification.backtest import Settings
from beltcast.verification.baselines.random_walks import persistence
from beltcast.verification.frozen import CONTENT, _decimal_year, content_hash, to_come
from beltcast.verification.frozen_text import (
    forecaster_table,
    summarise_frozen,
    summarise_score,
)
from beltcast.verification.scores import crps_ensemble

QUICK = Settings(draws=20, moves=2, starts=1, refine=1)
DAY = datetime.date(2023, 7, 2)  # 2023 and 182 of 365 days


@pytest.fixture(scope="module")
def released(small: Model, make: SimpleNamespace) -> Study:
    """East has half-years and two releases of each year until mid-2023; West has nothing."""
    rows = []
    for year in (2020, 2021, 2022):
        first = {"vintage": "preliminary", "published": year + 1.05}
        rows += [
            make.row("part-year", start=year, end=year + 0.5, value=5.0, **first),
            make.row(start=year, **first),
            make.row(start=year, published=year + 1.45),
        ]
    return Study(
        title="Released",
        model=small,
        observations=make.table(*rows),
        places={},
        titles={},
        priors=make.priors("Factor", mu=0.0, sigma=0.3),
        scenarios={"baseline": Scenario("baseline", "Baseline")},
        noise=make.noise(),
        hashes={"study": "0" * 64},
        target="output",
    )


@pytest.fixture(scope="module")
def frozen(released: Study) -> xr.Dataset:
    baselines = {"persistence": persistence}
    return freeze(released, settings=QUICK, baselines=baselines, today=DAY)


def test_parts_and_both_releases_of_the_year_and_silent_places_are_asked(released: Study) -> None:
    asked = [
        (case.row.place, case.row.end, case.row.vintage, case.first)
        for case in to_come(released, 2023)
    ]
    assert asked == [
        ("East", 2023.5, "preliminary", False),
        ("East", 2024.0, "preliminary", False),
        ("East", 2024.0, "final", False),
        ("West", 2024.0, "only", True),
    ]
    halves, year = to_come(released, 2023)[:2]
    assert [halves.row.kind, year.row.kind] == ["part-year", "level"]
    assert halves.history is not None
    assert year.history is not None
    assert halves.history.values.tolist() == [5.0, 5.0, 5.0]
    assert year.history.values.tolist() == [10.0, 10.0, 10.0]


def test_what_is_published_is_not_asked_again(released: Study, make: SimpleNamespace) -> None:
    half = make.row(
        "part-year", start=2023.0, end=2023.5, value=5.0, vintage="preliminary", published=2023.55
    )
    more = make.table(*released.observations, half)
    asked = to_come(dataclasses.replace(released, observations=more), 2023)
    assert [case.row.end for case in asked if case.row.place == "East"] == [2024.0, 2024.0]


def test_two_releases_of_a_year_have_one_baseline_forecast(frozen: xr.Dataset) -> None:
    walks = frozen["forecast"].sel(forecaster="persistence").values
    np.testing.assert_array_equal(walks[1], walks[2])
    assert np.isnan(walks[3]).all()
    assert np.isfinite(frozen["forecast"].sel(forecaster="sd")).all()


def test_a_frozen_forecast_says_when_of_what_and_by_which_version(frozen: xr.Dataset) -> None:
    assert frozen.attrs["frozen_on"] == "2023-07-02"
    assert frozen.attrs["data_until"] == "2023.45"
    assert frozen.attrs["study_sha256"] == "0" * 64
    assert len(frozen.attrs["package_sha256"]) == 64
    assert "observed" not in frozen
    assert "4 observations to come" in as_text(summarise_frozen(frozen))


def test_a_chinese_page_of_a_frozen_forecast_counts_money_in_yi(known_law: xr.Dataset) -> None:
    """The median of the law is exp(2), 7.389 bn CNY."""
    quantity = str(known_law["quantity"].values[0])
    english = as_text(summarise_frozen(known_law))
    chinese = as_text(summarise_frozen(known_law, units={quantity: "bnCNY/Year"}, language="zh"))
    assert " 7.389 " in english
    assert " 73.89 " in chinese
    assert "2023年上半年" in chinese


def test_a_file_has_the_hash_of_its_content_and_is_never_replaced(
    frozen: xr.Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "2023.nc"
    save_frozen(frozen, path)
    xr.testing.assert_equal(read_frozen(path)["forecast"], frozen["forecast"])
    with pytest.raises(InputError, match="never replaced"):
        save_frozen(frozen, path)


@pytest.mark.parametrize("part", ["forecast", "attribute", "label"])
def test_a_change_of_a_frozen_forecast_is_found(
    frozen: xr.Dataset, tmp_path: Path, part: str
) -> None:
    changed = frozen.copy(deep=True)
    if part == "forecast":
        changed["forecast"][0, 0, 0] *= 1.001
    elif part == "attribute":
        changed.attrs["frozen_on"] = "2023-07-01"
    else:
        changed = changed.assign_coords(vintage=("case", ["final"] * 4))
    path = tmp_path / "changed.nc"
    save_frozen(changed, path)
    with pytest.raises(InputError, match="was changed since it was frozen"):
        read_frozen(path)


def test_what_is_no_frozen_forecast_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the frozen forecast cannot be read"):
        read_frozen(tmp_path / "nothing.nc")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(InputError, match=f"has no {CONTENT}"):
        read_frozen(tmp_path / "other.nc")


@pytest.fixture(scope="module")
def known_law(frozen: xr.Dataset) -> xr.Dataset:
    """The same cases with draws that are percentiles of lognormals: sd 0.1, and 0.2 about 0.3."""
    p = (np.arange(20) + 0.5) / 20
    made = frozen.sel(forecaster=["sd", "persistence"]).copy(deep=True)
    made["forecast"][:, 0] = np.exp(norm.ppf(p, 2.0, 0.1))
    made["forecast"][:, 1] = np.exp(norm.ppf(p, 2.3, 0.2))
    return made.assign_attrs({CONTENT: content_hash(made)})


def test_a_row_is_scored_by_its_log_in_standard_deviations_and_its_band(
    known_law: xr.Dataset, make: SimpleNamespace
) -> None:
    row = make.row(start=2023.0, value=np.exp(2.2), published=2024.45)
    scored = score(known_law, make.table(row))
    assert scored.scores["vintage"].values.tolist() == ["final"]
    logs = np.log(known_law["forecast"].values[2].astype(float))
    for k, mean in enumerate((2.0, 2.3)):
        own = scored.scores.isel(case=0, forecaster=k)
        # The percentiles are symmetric, so their mean is that of the law.
        assert float(own["z"]) == pytest.approx((2.2 - mean) / logs[k].std(ddof=1), rel=1e-5)
        expected = float(crps_ensemble(logs[k], 2.2))
        assert float(own["log_crps"]) == pytest.approx(expected, abs=1e-6)
    # 2 and 0.5 standard deviations away; the end of an 80 % band is at 1.28.
    inside = scored.scores["covered"].sel(level=0.8).values[0]
    assert inside.tolist() == [0.0, 1.0]
    table = forecaster_table(scored).set_index("forecaster")
    assert table.loc["persistence", "reference"] == table.loc["sd", "log_crps"]
    assert list(table.index) == ["persistence", "sd"]


def test_rows_are_matched_by_scope_period_and_release_and_others_are_named(
    known_law: xr.Dataset, make: SimpleNamespace
) -> None:
    rows = make.table(
        make.row(start=2023.0, published=2023.4),
        make.row(start=2023.0, published=2024.45),
        make.row(start=2023.0, published=2024.1, vintage="revised"),
        make.row("part-year", start=2023.0, end=2023.5, published=2023.49, vintage="preliminary"),
    )
    scored = score(known_law, rows)
    assert [row.line for row in scored.known] == [2]
    assert [row.line for row in scored.unmatched] == [4]
    assert scored.scores["vintage"].values.tolist() == ["final", "preliminary"]
    # 2 July 2023 is 2023.4986: the half-year was out before.
    assert scored.scores["early"].values.tolist() == [0, 1]
    page = as_text(summarise_score(scored))
    assert "Line 4 is not in the frozen forecast." in page
    assert "2023, first half" in page
    with pytest.raises(InputError, match="none of 1 rows belongs to the frozen forecast"):
        score(known_law, make.table(make.row(start=2019.0)))


def test_freeze_and_score_leave_files(one_belt: str, tmp_path: Path) -> None:
    """The row is made up, and lives in this test only."""
    path, rows = tmp_path / "2026.nc", tmp_path / "new.csv"
    few = ["--draws", "4", "--moves", "0", "--starts", "1"]
    done = CliRunner().invoke(
        app, ["freeze", one_belt, *few, "--output", str(path)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    with xr.open_dataset(path, engine="netcdf4") as held:
        assert "Foshan" in held["place"].values
        assert {"drift", "damped drift", "sd + drift"} <= set(held["forecaster"].values)
    rows.write_text(
        "place,quantity,kind,start,end,value,unit,definition,vintage,grade,published,source,url,"
        "quote,note\n"
        "Foshan,output,level,2024,2025,25,bn CNY,city,preliminary,A,2025.1,made up,,,\n",
        encoding="utf-8",
    )
    folder = tmp_path / "scored"
    done = CliRunner().invoke(
        app, ["score", str(path), str(rows), "--output", str(folder)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    assert {file.name for file in folder.iterdir()} == {"scores.csv", "summary.txt"}


@pytest.mark.parametrize(
    ("day", "year"),
    [
        ((2023, 1, 1), 2023.0),
        ((2023, 12, 31), 2023 + 364 / 365),
        ((2024, 12, 31), 2024 + 365 / 366),
        ((2024, 3, 1), 2024 + 60 / 366),
    ],
)
def test_a_day_is_a_part_of_its_own_year(day: tuple[int, int, int], year: float) -> None:
    assert _decimal_year(datetime.date(*day)) == pytest.approx(year, rel=1e-15)


def rows_of(make: SimpleNamespace, place: str, published: float, **fields: object) -> list:
    """One row of 2019, of a place, quantity and definition."""
    return [make.row(start=2019.0, place=place, elements=(place,), published=published, **fields)]


def study_of(released: Study, make: SimpleNamespace, rows: list) -> Study:
    definitions = {row.definition: Definition(row.definition, 0.0, 0.0, 0.0) for row in rows}
    noise = make.noise(definitions=definitions)
    return dataclasses.replace(released, observations=make.table(*rows), noise=noise)


@pytest.mark.parametrize(("last", "goes_on"), [(2019.75, False), (2019.7501, True)])
def test_a_series_is_expected_to_go_on_for_less_than_three_years(
    released: Study, make: SimpleNamespace, last: float, goes_on: bool
) -> None:
    """The newest row of any series is of 2022.75."""
    rows = rows_of(make, "East", last, definition="old") + rows_of(make, "West", 2022.75)
    cases = to_come(study_of(released, make, rows), 2023)
    found = [(case.row.place, case.row.definition, case.first) for case in cases]
    east = ("East", "old", False) if goes_on else ("East", "full", True)
    assert sorted(found) == [east, ("West", "full", False)]
    assert {case.lead for case in cases} == {2}
    for case in cases:
        assert (case.row.start, case.row.end, case.row.kind) == (2023.0, 2024.0, "level")
        assert np.isnan([case.row.value, case.row.published, case.printed]).all()
        assert (case.row.source, case.row.vintage) == ("", "only")


def test_a_silent_place_is_asked_in_the_definition_of_most_places_as_its_last_row_has_it(
    released: Study, make: SimpleNamespace
) -> None:
    """Most series, not most rows, and not parts of a year or the whole."""
    rows = [
        *rows_of(make, "East", 2022.1, definition="many", grade="B"),
        *rows_of(make, "East", 2022.2, definition="many", grade="C", vintage="revised"),
        *rows_of(make, "East", 2022.3, definition="many", grade="A", vintage="preliminary"),
        *rows_of(make, "North", 2022.2, definition="wide", grade="B"),
        *rows_of(make, "South", 2022.5, definition="wide", grade="C"),
    ]
    half = [
        make.row("part-year", 2019.0, 2019.5, place=f"P{k}", elements=(f"P{k}",), definition="half")
        for k in range(4)
    ]  # four series, of parts of a year
    rows += [dataclasses.replace(row, published=2022.0) for row in half]
    cases = to_come(study_of(released, make, rows), 2023)
    (west,) = [case.row for case in cases if case.row.place == "West"]
    assert (west.definition, west.grade, west.elements) == ("wide", "C", ("West",))
    assert (west.start, west.end, west.vintage) == (2023.0, 2024.0, "only")


def test_releases_that_are_known_are_not_asked_and_the_final_one_is_until_it_came(
    released: Study, make: SimpleNamespace
) -> None:
    """A half-year has no final release of its own; a row of another year is no row of this."""
    first = {"start": 2023.0, "vintage": "preliminary", "published": 2024.05}
    known = list(released.observations)
    for more, asked in (
        ([], ["2023.5 preliminary", "2024 preliminary", "2024 final"]),
        ([make.row(**first)], ["2023.5 preliminary", "2024 final"]),
        ([make.row(start=2023.0, published=2024.45)], ["2023.5 preliminary"]),
        ([make.row("part-year", end=2023.5, **first)], ["2024 preliminary", "2024 final"]),
    ):
        study = dataclasses.replace(released, observations=make.table(*known, *more))
        rows = [case.row for case in to_come(study, 2023) if case.row.place == "East"]
        assert [f"{row.end:g} {row.vintage}" for row in rows] == asked


def test_every_number_and_label_is_in_the_hash_and_the_hash_is_not() -> None:
    def hashed(**fields: object) -> str:
        given = {"values": [[1.0, 2.0]], "dims": ("case", "draw"), "name": "x", "mark": "m"}
        given |= fields
        coords = {"place": ("case", [str(fields.get("place", "East"))])}
        made = xr.Dataset({given["name"]: (given["dims"], given["values"])})
        if given["dims"][0] == "case":
            made = made.assign_coords(coords)
        return content_hash(made.assign_attrs({"mark": given["mark"], CONTENT: "anything"}))

    plain = hashed()
    assert plain == hashed()
    others = [
        hashed(values=[[1.0, np.nextafter(2.0, 3.0)]]),
        hashed(values=[[2.0, 1.0]]),
        hashed(name="y"),
        hashed(mark="n"),
        hashed(place="West"),
        hashed(dims=("case", "member")),
    ]
    assert len({plain, *others}) == 7
    again = xr.Dataset({"x": (("case", "draw"), [[1.0, 2.0]])}, attrs={CONTENT: "one"})
    assert content_hash(again) == content_hash(again.assign_attrs({CONTENT: "other"}))


def test_rows_of_the_last_day_of_the_data_are_known_and_those_of_the_freeze_are_early(
    known_law: xr.Dataset, make: SimpleNamespace
) -> None:
    """The data end at 2023.45 in floating point, and 2 July is the day of the freeze."""
    until, frozen_on = 2022 + 1.45, 2023 + 182 / 365
    early = [np.nextafter(until, 3000), frozen_on, np.nextafter(frozen_on, 3000)]
    rows = [make.row(start=2023.0, published=date) for date in (until, *early)]
    scored = score(known_law, make.table(*rows))
    assert [row.line for row in scored.known] == [2]
    assert scored.scores["early"].values.tolist() == [1, 1, 0]
    np.testing.assert_array_equal(scored.scores["published"], early)


def test_a_row_to_come_is_like_the_newest_of_its_series(
    released: Study, make: SimpleNamespace
) -> None:
    rows = [
        make.row(start=2019.0, published=2020.4, grade="A", unit="bn EUR", note="x", url="y"),
        make.row(start=2018.0, published=2021.4, grade="C", note="x", url="y", quote="z"),
        make.row(start=2020.0, published=2021.3, grade="B", note="x", url="y"),
    ]
    row = to_come(dataclasses.replace(released, observations=make.table(*rows)), 2022)[0].row
    assert (row.grade, row.unit, row.place) == ("C", "bn CNY", "East")
    assert (row.note, row.url, row.quote, row.within) == ("", "", "", None)
