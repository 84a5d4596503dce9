"""What a name may stand for is asked before it is read: devices, pipes, sizes, places."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from beltcast.engine.external import read_constants, read_sheet_series, read_subscript
from beltcast.errors import BeltcastError, InputError, ModelError, TableError
from beltcast.files.door import read_regular
from beltcast.files.text import read_text
from beltcast.files.toml import READ, find_file, read_toml
from beltcast.model.model import load_model
from beltcast.study.scenarios import read_scenarios

BOOK_PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
    'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override '
    'PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/'
    '2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/'
    '2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
WORKBOOK = (
    '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://'
    'schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="S" '
    'sheetId="1" r:id="r1"/></sheets><definedNames><definedName name="times">S!$A$1:$A$1048576'
    '</definedName><definedName name="flow">S!$B$1:$B$1048576</definedName></definedNames>'
    "</workbook>"
)
SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    "{}</sheetData></worksheet>"
)
CELLS = (
    '<row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>20</v></c></row>'
    '<row r="2"><c r="A2"><v>2</v></c><c r="B2"><v>30</v></c></row>'
)


def book(folder: Path, cells: str = CELLS, workbook: str = WORKBOOK) -> Path:
    """Write a small workbook as text; return the path of a model beside it."""
    with zipfile.ZipFile(folder / "t.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in BOOK_PARTS.items():
            archive.writestr(name, text)
        archive.writestr("xl/workbook.xml", workbook)
        archive.writestr("xl/worksheets/sheet1.xml", SHEET.format(cells))
    return folder / "m.mdl"


READERS: list[Callable[[Path], object]] = [
    load_model,
    lambda path: read_text(path, TableError),
    lambda path: read_toml(path, InputError),
]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and devices of POSIX")
@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("kind", "says"), [("pipe", "it is a pipe"), ("device", "it is a device"), ("folder", "is a")]
)
def test_no_reader_waits_for_a_pipe_or_reads_a_device(
    tmp_path: Path, read: Callable[[Path], object], kind: str, says: str
) -> None:
    path = tmp_path / "given.mdl"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(BeltcastError, match=says):
        read(path)


def test_a_file_of_a_terabyte_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole; it takes no space
    with pytest.raises(TableError, match="has 1099511627776 bytes, and at most"):
        read_text(path, TableError)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="files of Linux")
def test_a_file_that_denies_its_size_is_read_up_to_the_limit() -> None:
    assert os.stat("/proc/self/maps").st_size == 0
    with pytest.raises(InputError, match="has more than 100 bytes"):
        read_regular("/proc/self/maps", InputError, largest=100)


def test_a_name_with_a_null_character_is_no_path() -> None:
    with pytest.raises(InputError, match="not a valid path"):
        read_regular("a\0b", InputError)


def test_named_ranges_of_a_whole_column_end_with_the_sheet(tmp_path: Path) -> None:
    times, values = read_sheet_series(book(tmp_path), 1, "t.xlsx", "S", "times", "flow")
    assert times.tolist() == [1.0, 2.0]
    assert values[:, 0].tolist() == [20.0, 30.0]
    assert read_subscript(tmp_path / "m.mdl", "t.xlsx", "S", "A1", "9999999999", "R") == (
        "R1",
        "R20",
        "R2",
        "R30",
    )


def test_a_cell_in_the_last_row_and_column_costs_nothing(tmp_path: Path) -> None:
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    model = book(tmp_path, CELLS + far)
    assert read_constants(model, 1, "t.xlsx", "S", "B2", ()) == 30.0


def test_a_row_beyond_the_last_of_a_sheet_is_not_counted_up_to(tmp_path: Path) -> None:
    model = book(tmp_path, CELLS + '<row r="999999999999"><c r="A999999999999"><v>1</v></c></row>')
    assert read_constants(model, 1, "t.xlsx", "S", "B2", ()) == 30.0


ENTITY = '<!DOCTYPE a [<!ENTITY b "c">]>'


@pytest.mark.parametrize(
    ("cells", "workbook", "says"),
    [
        ("<row/>" * 30_000_000, WORKBOOK, "unpacks to 180001454"),
        (CELLS, ENTITY + WORKBOOK, "declares entities in xl/workbook.xml"),
        (CELLS, WORKBOOK[:-20], "is not a workbook"),
        ("<row><c></row>", WORKBOOK, "is not a workbook"),
    ],
    ids=["bomb", "entities", "cut off", "broken XML"],
)
def test_a_workbook_of_an_enemy_is_refused_in_one_sentence(
    tmp_path: Path, cells: str, workbook: str, says: str
) -> None:
    model = book(tmp_path, cells, workbook)
    with pytest.raises(ModelError, match=says) as caught:
        read_constants(model, 1, "t.xlsx", "S", "B2", ())
    assert "\n" not in str(caught.value)


def test_every_flipped_byte_of_a_workbook_is_answered(tmp_path: Path) -> None:
    model = book(tmp_path)
    whole = (tmp_path / "t.xlsx").read_bytes()
    for i in range(0, len(whole), 23):
        damaged = bytearray(whole)
        damaged[i] ^= 0x55
        (tmp_path / "t.xlsx").write_bytes(bytes(damaged))
        with suppress(ModelError):
            read_constants(model, 1, "t.xlsx", "S", "B2", ())


@pytest.mark.parametrize("how", ["..", "absolute", "link"])
def test_a_study_names_files_below_its_folder_unless_the_user_allows_more(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n", encoding="utf-8")
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "link.csv").symlink_to(secret)
    given = {"..": "../secret.csv", "absolute": secret.as_posix(), "link": "link.csv"}[how]
    (folder / "study.toml").write_text(f'[study]\ndata = "{given}"\n', encoding="utf-8")
    toml = read_toml(folder / "study.toml", InputError)
    with pytest.raises(InputError, match="lies outside the folder of this file"):
        find_file(toml, "study", "data")
    monkeypatch.setenv(READ, str(tmp_path))
    assert find_file(toml, "study", "data").read_text(encoding="utf-8") == "a\n"


def test_a_secret_in_the_folder_above_is_not_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n", encoding="utf-8")
    (tmp_path / "given").mkdir()
    path = tmp_path / "given" / "study.toml"
    path.write_text('[study]\ndata = "secret.csv"\n', encoding="utf-8")
    with pytest.raises(InputError, match="is not in the folder of this file"):
        find_file(read_toml(path, InputError), "study", "data")


def test_a_scenario_file_that_is_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(BeltcastError, match="is a directory"):
        read_scenarios(tmp_path, load_model(_small(tmp_path)))


def _small(folder: Path) -> Path:
    path = folder / "small.mdl"
    text = (
        "x = 1 ~~|\nINITIAL TIME = 0 ~~|\nFINAL TIME = 2 ~~|\nTIME STEP = 1 ~~|\nSAVEPER = 1 ~~|\n"
    )
    path.write_text("{UTF-8}\n" + text, encoding="utf-8")
    return path
