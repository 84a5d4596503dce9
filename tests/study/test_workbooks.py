"""A workbook stands for the files of a study; what is wrong in it is named by sheet and cell."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from beltcast import read_study
from beltcast.errors import InputError, TableError
from beltcast.files import workbook
from beltcast.files.text import read_text
from beltcast.files.workbook import _title, sheet_path
from beltcast.study.faults import study_faults
from beltcast.study.new_rows import read_new_rows
from beltcast.study.periods import period
from beltcast.study.starter import init


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A new study in a workbook."""
    init(tmp_path / "mine", belts=["Foshan", "东莞"], workbook=True)
    return tmp_path / "mine"


def change(path: Path, sheet: str, cell: str, value: object) -> None:
    book = openpyxl.load_workbook(path)
    book[sheet][cell] = value
    book.save(path)


def test_a_workbook_and_a_folder_of_files_are_the_same_study(folder: Path, tmp_path: Path) -> None:
    init(tmp_path / "files", belts=["Foshan", "东莞"])
    book, files = read_study(folder / "mine.xlsx"), read_study(tmp_path / "files")
    for ours, theirs in zip(book.observations, files.observations, strict=True):
        assert (ours.place, ours.quantity, ours.kind) == (
            theirs.place,
            theirs.quantity,
            theirs.kind,
        )
        assert (ours.start, ours.end, ours.value) == pytest.approx(
            (theirs.start, theirs.end, theirs.value), abs=1e-9
        )
    assert book.priors.labels == files.priors.labels
    assert list(book.priors.mu) == pytest.approx(list(files.priors.mu), abs=1e-12)
    assert list(book.priors.lower) == pytest.approx(list(files.priors.lower), abs=1e-12)
    assert book.scenarios == files.scenarios
    assert book.places == files.places


@pytest.mark.parametrize(
    ("sheet", "cell", "value", "said"),
    [
        ("observations", "A2", "Fosham", "sheet 'observations', cell A2: unknown place 'Fosham'"),
        ("observations", "E3", "many", "sheet 'observations', cell E3: value is 'many'"),
        ("observations", "F3", "furlongs", "sheet 'observations', cell F3: unknown unit"),
        ("observations", "D4", "2024H3", "sheet 'observations', cell D4: the period is '2024H3'"),
        ("observations", "I4", None, "sheet 'observations', cell I4: grade is empty"),
        ("places", "D2", "Paris", "sheet 'places', cell D2: unknown element 'Paris'"),
        ("priors", "B2", "gauss", "sheet 'priors', cell B2: distribution"),
        ("priors", "A2", "Nothing", "sheet 'priors', cell A2"),
        ("scenarios", "I3", "twice", "sheet 'scenarios', cell I3"),
        ("observations", "E3", "=100+60", "sheet 'observations', cell E3: the formula has no comp"),
        ("observations", "E3", "1,600", "sheet 'observations', cell E3: value is '1,600', expec"),
    ],
)
def test_an_error_names_sheet_and_cell(
    folder: Path, sheet: str, cell: str, value: object, said: str
) -> None:
    change(folder / "mine.xlsx", sheet, cell, value)
    assert [f"mine.xlsx, {said}" in str(fault) for fault in study_faults(folder)] == [True]


def test_cells_shown_in_percent_and_dates_are_read_as_they_are_seen(folder: Path) -> None:
    from datetime import datetime

    book = openpyxl.load_workbook(folder / "mine.xlsx")
    sheet = book["observations"]
    row = next(r for r in sheet.iter_rows(min_row=2) if r[2].value == "growth")
    row[4].value, row[4].number_format, row[9].value = 0.15, "0%", datetime(2026, 1, 31)
    book.save(folder / "mine.xlsx")
    read = next(r for r in read_study(folder).observations if r.line == row[0].row)
    assert read.value == pytest.approx(1.15)
    assert read.published == pytest.approx(2026 + 1 / 12)


@pytest.mark.parametrize(
    ("shown", "start", "end"),
    [
        ("yyyy", 2023.0, 2024.0),
        ('yyyy"年"m"月"', 2023 + 5 / 12, 2023.5),
        ("mmm-yy", 2023 + 5 / 12, 2023.5),
    ],
)
def test_a_date_that_shows_no_day_is_its_month_or_year(
    folder: Path, shown: str, start: float, end: float
) -> None:
    """A spreadsheet turns 2023年6月 into 1 June; read as a day it would be an instant."""
    from datetime import datetime

    book = openpyxl.load_workbook(folder / "mine.xlsx")
    sheet = book["observations"]
    sheet["D2"].value, sheet["D2"].number_format = datetime(2023, 6, 1), shown
    sheet["C2"].value = "level" if shown == "yyyy" else "part-year"
    sheet["J2"].value, sheet["J2"].number_format = datetime(2024, 2, 1), 'yyyy"年"m"月"'
    book.save(folder / "mine.xlsx")
    read = read_study(folder).observations.rows[0]
    assert (read.start, read.end) == pytest.approx((start, end))
    assert read.published == pytest.approx(2024 + 2 / 12)


def test_a_title_above_the_header_and_chinese_names_of_columns_are_understood(
    folder: Path,
) -> None:
    known = read_study(folder).observations.rows
    book = openpyxl.load_workbook(folder / "mine.xlsx")
    sheet = book["observations"]
    chinese = {"place": "地区", "kind": "类型", "period": "时期", "value": "数值", "unit": "单位"}
    for cell in sheet[1]:
        cell.value = chinese.get(cell.value, cell.value)
    sheet["F2"].value, sheet["E2"].value = "亿元人民币", 130
    sheet.insert_rows(1)
    sheet["A1"].value = "观测数据"
    sheet.merge_cells("A1:N1")
    sheet["E4"].value = "many"
    book.save(folder / "mine.xlsx")
    (fault,) = study_faults(folder)
    assert "sheet 'observations', cell E4: value is 'many'" in str(fault)
    change(folder / "mine.xlsx", "observations", "E4", 13)
    read = read_study(folder).observations.rows
    assert [r.value for r in read] == pytest.approx([r.value for r in known])


def test_new_rows_come_from_a_workbook_with_one_sheet(folder: Path, tmp_path: Path) -> None:
    known = openpyxl.load_workbook(folder / "mine.xlsx")["observations"]
    book = openpyxl.Workbook()
    for k in (1, 2):
        book.active.append([cell.value for cell in known[k]])
    book.active["D2"], book.active["J2"], book.active["F2"] = "2023年1-9月", 2023.8, "万亿元"
    book.active["C2"], book.active["E2"] = "part-year", 0.025
    book.save(tmp_path / "new.xlsx")
    (row,) = read_new_rows(tmp_path / "new.xlsx", read_study(folder)).rows
    assert (row.start, row.end, row.value) == pytest.approx((2023.0, 2023.75, 25.0))


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", 2024, 2025),
        ("2024年", 2024, 2025),
        ("2020-2022", 2020, 2023),
        ("2024H2", 2024.5, 2025),
        ("2024年上半年", 2024, 2024.5),
        ("2024Q1-Q3", 2024, 2024.75),
        ("2024年前三季度", 2024, 2024.75),
        ("2024年1-6月", 2024, 2024.5),
        ("2024-03", 2024 + 2 / 12, 2024.25),
        ("2024-01-01 to 2024-06-30", 2024, 2024.5),
        ("2024-12-31", 2025, 2025),
        ("2024年6月30日", 2024.5, 2024.5),
        ("２０２４年１－６月", 2024, 2024.5),
        ("2024年第三季度", 2024.5, 2024.75),
        ("2024年全年", 2024, 2025),
        ("H1 2024", 2024, 2024.5),
        ("Q1-Q3 2024", 2024, 2024.75),
        ("2024年末", 2025, 2025),
        ("2024年6月底", 2024.5, 2024.5),
        ("2024Q4", 2024.75, 2025),
        ("2024年Q2-Q3", 2024.25, 2024.75),
        ("2024年第四季度", 2024.75, 2025),
        ("2024年12月", 2024 + 11 / 12, 2025),
        ("2024年1月", 2024, 2024 + 1 / 12),
        ("2024年11-12月", 2024 + 10 / 12, 2025),
        ("2024年下半年", 2024.5, 2025),
        ("2022-2024", 2022, 2025),
        ("2024-06-16 to 2024-07-31", 2024 + 5.5 / 12, 2024 + 7 / 12),
    ],
)
def test_periods_are_read_as_people_write_them(text: str, start: float, end: float) -> None:
    assert period(text) == pytest.approx((start, end))


@pytest.mark.parametrize(
    "text",
    [
        *("2024H3", "24", "2024年13月", "soon", "2024Q3-Q1", "2024-02-30"),
        *("2024-00", "2024-13", "2024年0-3月", "2024年12-13月", "2024Q5", "2024-03 to 2024-01"),
    ],
)
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(TableError):
        period(text)


@pytest.mark.parametrize(
    ("encode", "said"),
    [
        (lambda t: t.encode("utf-16"), "was read as UTF-16"),
        (lambda t: t.replace(",", ";").encode(), "semicolons separate"),
        (lambda t: t.replace(",", "\t").encode(), "tabs separate"),
    ],
)
def test_other_encodings_and_separators_are_read_and_said(
    tmp_path: Path, encode: Callable[[str], bytes], said: str
) -> None:
    init(tmp_path / "mine", belts=["Foshan"])
    path = tmp_path / "mine" / "observations.csv"
    before = read_study(tmp_path / "mine").observations
    path.write_bytes(encode(path.read_text(encoding="utf-8-sig")))
    read = read_study(tmp_path / "mine").observations
    assert [row.value for row in read] == [row.value for row in before]
    assert any(said in sentence for sentence in read.assumed)


def test_a_bomb_an_entity_and_a_ruin_are_refused(folder: Path) -> None:
    path = folder / "mine.xlsx"
    whole = path.read_bytes()

    def rewritten(extra: bytes, name: str = "xl/extra.xml") -> bytes:
        out = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(whole)) as old,
            zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for entry in old.infolist():
                new.writestr(entry, old.read(entry))
            new.writestr(name, extra)
        return out.getvalue()

    for content, said in (
        (rewritten(b"0" * 129 * 2**20), "unpacks to"),
        (rewritten(b"<!DOCTYPE x>"), "declares entities"),
        (whole[: len(whole) // 2], "this is not a workbook"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=said):
            read_text(sheet_path(path, "observations"), InputError)


@pytest.mark.parametrize(
    ("wanted", "title"),
    [("observations", "Observations "), ("observations", "数据"), ("priors", "Parameters")],
)
def test_a_sheet_is_found_by_its_name_and_by_what_else_it_may_be_called(
    wanted: str, title: str
) -> None:
    assert _title(("places", title, "notes"), wanted) == title
    assert _title(("places", "notes"), wanted) is None


def test_a_missing_sheet_and_a_model_in_place_of_a_study_are_told_what_to_do(folder: Path) -> None:
    book = openpyxl.load_workbook(folder / "mine.xlsx")
    book["places"].title = "elsewhere"
    book.save(folder / "mine.xlsx")
    assert "there is no sheet 'places'" in str(study_faults(folder)[0])
    with pytest.raises(InputError, match="this is a model, and the command expects a study"):
        read_study(folder / "model.mdl")


def test_a_workbook_may_unpack_to_the_largest_size_and_not_to_a_byte_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "book.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x" * 60)
        archive.writestr("b.txt", "x" * 40)
    for most, refused in ((100, False), (99, True)):
        monkeypatch.setattr(workbook, "LARGEST_BOOK", most)
        with zipfile.ZipFile(path) as archive:
            if refused:
                with pytest.raises(TableError, match="unpacks to 100 bytes, and at most 99"):
                    workbook._refuse_archive(archive, TableError)
            else:
                workbook._refuse_archive(archive, TableError)
