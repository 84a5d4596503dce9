"""Every published number that the study keeps says where, when and how well it is known."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from beltcast import Study
from beltcast.files.shipped import shipped
from beltcast.study.observations_file import read_observations

NEEDED = {
    "observations.csv": ("source", "published", "unit", "grade"),
    "observations-next.csv": ("source", "published", "unit", "grade"),
    "observations-new-quantities.csv": ("source", "published", "unit", "grade", "checked"),
    "demand-releases.csv": ("source", "released", "unit", "grade", "checked"),
    "contrasts.csv": ("source", "published", "unit", "grade", "url", "quote", "group", "coding"),
    "damping-series.csv": ("source", "released", "unit", "grade", "checked"),
}
DATA = shipped("calibration/data")
# The waiting table goes when its rows enter observations.csv.
FILES = [name for name in NEEDED if (DATA / name).exists()]
waits = pytest.mark.skipif("observations-next.csv" not in FILES, reason="no rows wait")


def cells(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", FILES)
def test_every_row_says_source_date_unit_and_grade(name: str) -> None:
    rows = cells(name)
    assert rows
    for line, row in enumerate(rows, 2):
        empty = [column for column in NEEDED[name] if not row[column].strip()]
        assert not empty, f"{name}:{line} has no {', '.join(empty)}"
        assert row["grade"] in {"A", "B", "C"}
        assert None not in row


@pytest.mark.parametrize("name", [name for name in FILES if "checked" in NEEDED[name]])
def test_every_row_says_whether_its_page_was_read(name: str) -> None:
    assert {row["checked"] for row in cells(name)} <= {"read", "carried over"}


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("observations")])
def test_no_number_is_known_a_month_before_its_period_ends(name: str) -> None:
    for line, row in enumerate(cells(name), 2):
        assert float(row["published"]) > float(row["end"]) - 1 / 12, f"{name}:{line}"


@waits
def test_todays_model_can_read_the_waiting_rows(study: Study) -> None:
    table = DATA / "observations-next.csv"
    rows = read_observations(table, study.model, study.places, usd_cny=study.usd_cny)
    # The definition that the study has to name before these rows can enter.
    assert {r.definition for r in rows} - set(study.noise.definitions) <= {"zhejiang-customs"}


@waits
def test_waiting_rows_change_no_number_that_is_in_use(study: Study) -> None:
    """Dates, sources and notes are corrected; a value, a period or a scope is not."""
    keys = ("place", "quantity", "kind", "start", "end", "value", "unit", "definition", "vintage")
    with Path(study.observations.path).open(encoding="utf-8", newline="") as file:
        used = {tuple(row[key] for key in keys) for row in csv.DictReader(file)}
    assert used <= {tuple(row[key] for key in keys) for row in cells("observations-next.csv")}


def test_a_contrast_has_a_number_and_the_origin_of_its_error_or_is_a_sign() -> None:
    for row in cells("contrasts.csv"):
        numbers = row["log_difference"], row["standard_error"]
        if row["kind"] == "sign":
            assert numbers == ("", ""), row["id"]
            continue
        assert all(map(float, numbers)), row["id"]
        assert float(row["standard_error"]) > 0, row["id"]
        # Few standard errors could be read in a paper: each row says where its own comes from.
        assert row["se_basis"], row["id"]
    names = [row["id"] for row in cells("contrasts.csv")]
    assert len(names) == len(set(names))
