"""Tables beside a model: cells by their spreadsheet names, nothing outside the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from beltcast.engine.external import read_constants, read_sheet_series
from beltcast.errors import ModelError

TABLE = "year,flow,stock\n2015,1.5,7\n2013,0.5,\n2014,,6\n"


def place(folder: Path, content: str = TABLE) -> Path:
    (folder / "table.csv").write_text(content, encoding="utf-8")
    return folder / "model.mdl"


def test_a_series_is_sorted_and_leaves_out_what_nobody_published(tmp_path: Path) -> None:
    times, values = read_sheet_series(place(tmp_path), 3, "table.csv", ",", "A", "B2")
    assert times.tolist() == [2013.0, 2015.0]
    assert values[:, 0].tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("cell", "shape", "expected"),
    [
        ("B2", (), 1.0),
        ("B2", (2,), [1.0, 2.0]),
        ("b2*", (2,), [1.0, 3.0]),
        ("B2", (2, 2), [[1.0, 2.0], [3.0, 4.0]]),
        ("B2*", (2, 2), [[1.0, 3.0], [2.0, 4.0]]),
    ],
)
def test_constants_run_along_the_row_or_down_the_column(
    tmp_path: Path, cell: str, shape: tuple[int, ...], expected: object
) -> None:
    model = place(tmp_path, ",x,y\na,1,2\nb,3,4\n")
    values = read_constants(model, 3, "table.csv", ",", cell, shape)
    assert values.tolist() == expected
    assert values.shape == shape


def test_columns_after_z_have_two_letters(tmp_path: Path) -> None:
    model = place(tmp_path, ",".join(str(i) for i in range(60)) + "\n")
    assert read_constants(model, 3, "table.csv", ",", "Z1", ()) == 25
    assert read_constants(model, 3, "table.csv", ",", "AA1", ()) == 26
    assert read_constants(model, 3, "table.csv", ",", "BA1", ()) == 52


@pytest.mark.parametrize(
    ("file", "separator", "time", "cell", "words"),
    [
        ("none.csv", ",", "A", "B2", "cannot be read"),
        ("../table.csv", ",", "A", "B2", "outside its own folder"),
        ("sub/../../table.csv", ",", "A", "B2", "outside its own folder"),
        ("table.ods", ",", "A", "B2", "neither a text table nor a workbook"),
        ("table.xlsx", "S", "A", "B2", "workbook 'table.xlsx' cannot be read"),
        ("table.csv", "Sheet1", "A", "B2", "no separator"),
        ("table.csv", ",", "1A", "B2", "neither a column such as 'A' nor a row"),
        ("table.csv", ",", "A", "B0", "'B0' is not a cell"),
        ("table.csv", ",", "A", "2B", "'2B' is not a cell"),
        ("table.csv", ",", "A", "Z2", "no number in the column of Z2"),
        ("table.csv", ",", "A", "A1", "holds 'year' where a number"),
    ],
)
def test_a_series_that_cannot_be_read_is_refused(
    tmp_path: Path, file: str, separator: str, time: str, cell: str, words: str
) -> None:
    model = place(tmp_path)
    with pytest.raises(ModelError, match=words) as caught:
        read_sheet_series(model, 3, file, separator, time, cell)
    assert (caught.value.path, caught.value.line) == (model, 3)


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1_000", "2014a", "1,5"])
def test_only_finite_plain_numbers_are_numbers(tmp_path: Path, text: str) -> None:
    model = place(tmp_path, f'year,flow\n2013,1\n2014,"{text}"\n')
    with pytest.raises(ModelError, match="where a number is expected"):
        read_sheet_series(model, 3, "table.csv", ",", "A", "B2")


@pytest.mark.parametrize("text", ["TEXT", "n.a.", ""])
def test_a_word_among_numbers_is_passed_over(tmp_path: Path, text: str) -> None:
    """As in the output published with SDEverywhere's `directdata_invalidcell`."""
    model = place(tmp_path, f"year,flow\n2013,1\n2014,{text}\n2015,3\n")
    times, values = read_sheet_series(model, 3, "table.csv", ",", "A", "B2")
    assert times.tolist() == [2013.0, 2015.0]
    assert values[:, 0].tolist() == [1.0, 3.0]


@pytest.mark.parametrize("rest", ["source: customs,7\n2012,9x\n", ",7\n2012,9x\n"])
def test_another_table_ends_the_series(tmp_path: Path, rest: str) -> None:
    """As in the output published with SDEverywhere's `directdata_endofdata`."""
    model = place(tmp_path, f"year,flow\n2013,1\n2014,2\n{rest}")
    times, _ = read_sheet_series(model, 3, "table.csv", ",", "A", "B2")
    assert times.tolist() == [2013.0, 2014.0]


def test_a_gap_among_the_times_is_passed_over(tmp_path: Path) -> None:
    """As in the output published with test-models' `get_with_missing_values_xlsx`."""
    model = place(tmp_path, "year,flow\n2013,1\n,2\n2015,3\n")
    times, _ = read_sheet_series(model, 3, "table.csv", ",", "A", "B2")
    assert times.tolist() == [2013.0, 2015.0]


def test_a_time_given_twice_is_refused(tmp_path: Path) -> None:
    model = place(tmp_path, "year,flow\n2013,1\n2013,2\n")
    with pytest.raises(ModelError, match="gives the time 2013 twice"):
        read_sheet_series(model, 3, "table.csv", ",", "A", "B2")


def test_a_list_of_constants_has_no_gaps(tmp_path: Path) -> None:
    model = place(tmp_path, ",x\na,1\nb,\n")
    with pytest.raises(ModelError, match="empty at row 3, column 2; 2 numbers from B2"):
        read_constants(model, 3, "table.csv", ",", "B2*", (2,))
    with pytest.raises(ModelError, match="empty at row 4, column 2"):
        read_constants(place(tmp_path, ",x\na,1\nb,2\n"), 3, "table.csv", ",", "B2*", (3,))


def test_a_link_out_of_the_folder_is_outside(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.csv").write_text("1,2\n3,4\n", encoding="utf-8")
    (inside / "link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(ModelError, match="outside its own folder"):
        read_constants(inside / "model.mdl", 3, "link.csv", ",", "A1", ())
