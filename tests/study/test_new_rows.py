"""New rows at the door: what is news, what is known, and what is wrong with file and line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from beltcast import Study
from beltcast.errors import InputError, TableError
from beltcast.files.shipped import shipped
from beltcast.study.new_rows import read_new_rows
from beltcast.study.observations_file import COLUMNS
from beltcast.verification.origin import as_known

EXAMPLE = "calibration/data/half-year-2025.csv"

HALF = {
    "place": "China",
    "quantity": "output",
    "kind": "part-year",
    "start": "2026.0",
    "end": "2026.5",
    "value": "1060",
    "unit": "bn CNY",
    "definition": "gacc",
    "vintage": "preliminary",
    "grade": "A",
    "published": "2026.54",
    "source": "a test",
    "url": "",
    "quote": "",
    "note": "",
}


def write(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "new.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**HALF, **row} for row in rows)
    return path


def known(study: Study) -> dict[str, str]:
    """The cells of a row that the study has."""
    with Path(study.observations.path).open(encoding="utf-8", newline="") as file:
        return next(r for r in csv.DictReader(file) if r["end"] == "2025.0000")


def test_the_shipped_example_is_news_in_mid_2025_and_known_today(study: Study) -> None:
    new = read_new_rows(shipped(EXAMPLE), as_known(study, 2025.5))
    assert not new.known
    assert {(row.start, row.end, row.published) for row in new.rows} == {(2025.0, 2025.5, 2025.537)}
    with pytest.raises(TableError, match="every row is known to the study already"):
        read_new_rows(shipped(EXAMPLE), study)


def test_a_known_row_is_left_out_and_said(study: Study, tmp_path: Path) -> None:
    new = read_new_rows(write(tmp_path, known(study), {}), study)
    (row,) = new.rows
    assert row.line == 3
    assert new.known_words().startswith("Line 2 repeats line ")
    assert str(new.known[0][1].line) in new.known_words()


def test_a_known_row_in_another_unit_is_still_known(study: Study, tmp_path: Path) -> None:
    cells = known(study)
    factor = {"bn CNY": ("100m CNY", 10.0)}[cells["unit"]]
    other = {**cells, "unit": factor[0], "value": f"{float(cells['value']) * factor[1]:g}"}
    assert len(read_new_rows(write(tmp_path, other, {}), study).rows) == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"place": "Shenzen"}, r"new\.csv:3: unknown place 'Shenzen'; did you mean 'Shenzhen'\?"),
        ({"value": "much"}, r"new\.csv:3: value is 'much', expected a number"),
        ({"definition": "gac"}, r"new\.csv:3: the definition 'gac' has no table"),
        ({"kind": "level"}, r"new\.csv:3: a level is over whole years"),
        ({"unit": "kg"}, r"new\.csv:3: "),
        ({}, r"new\.csv:3: .* repeats the period of line 2"),
    ],
)
def test_a_wrong_row_is_refused_with_file_and_line(
    study: Study, tmp_path: Path, row: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read_new_rows(write(tmp_path, {}, row), study)


def test_a_row_that_contradicts_a_known_one_is_refused(study: Study, tmp_path: Path) -> None:
    cells = known(study)
    other = {**cells, "value": f"{1.1 * float(cells['value']):g}"}
    with pytest.raises(TableError, match=r"new\.csv:2: the row gives .* where line \d+ of .* has"):
        read_new_rows(write(tmp_path, other), study)
    # As a later release it is news.
    revised = {**other, "vintage": "revised", "definition": "city-full"}
    assert len(read_new_rows(write(tmp_path, revised), study).rows) == 1


def test_a_file_without_news_is_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="every row is known to the study already"):
        read_new_rows(write(tmp_path, known(study)), study)


@pytest.mark.parametrize(("off", "same"), [(5e-7, True), (2e-6, False), (-2e-6, False)])
def test_two_values_are_one_within_a_millionth(
    study: Study, tmp_path: Path, off: float, same: bool
) -> None:
    """A number converted twice differs by rounding; a correction of the last digit does not."""
    cells = known(study)
    other = write(tmp_path, {**cells, "value": f"{float(cells['value']) * (1 + off):.12g}"}, {})
    if same:
        assert len(read_new_rows(other, study).known) == 1
    else:
        with pytest.raises(TableError, match="for the same scope and period"):
            read_new_rows(other, study)
