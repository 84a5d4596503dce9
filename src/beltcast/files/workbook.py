"""Sheets of a workbook (.xlsx) as text, so that every reader of a CSV file reads a sheet too.

The path of a sheet is that of its workbook and its name, ``mine.xlsx/observations``, and errors
print it as ``mine.xlsx, sheet 'observations', cell F4``.  Row 4 of the sheet is line 4 of the text.

A workbook of five kilobytes can stand for gigabytes, so `open_book` checks its size first.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from beltcast.errors import BOOKS, BeltcastError, quoted
from beltcast.files.door import read_regular

if TYPE_CHECKING:
    from openpyxl import Workbook

LARGEST_BOOK = 128 * 2**20
"""Largest unpacked workbook in bytes: a sheet of a million rows and two columns has 60 MB."""

MOST_CELLS = 3_000_000
"""Most cells of a sheet that are read, empty ones included."""

_ALSO = {
    "observations": ("观测", "观测值", "数据"),
    "places": ("地区", "地点"),
    "scenarios": ("情景",),
    "priors": ("先验", "parameters"),
}
"""Other names of the sheets that a study has."""


def sheet_path(path: str | Path, sheet: str) -> Path:
    """Path of a sheet, if the path is that of a workbook; else the path itself.

    Examples
    --------
    >>> sheet_path("mine.xlsx", "places").as_posix(), sheet_path("places.csv", "places").as_posix()
    ('mine.xlsx/places', 'places.csv')
    """
    path = Path(path)
    return path / sheet if path.suffix.lower() in BOOKS else path


def sheet_text(path: Path, error: type[BeltcastError]) -> str:
    """Return a sheet as CSV, a line for each of its rows.

    A date becomes ``2024-03-31``, or ``2024-03`` and ``2024`` if the cell shows no day; a number
    shown in percent ``15%``, and a line end in a cell a space.  A title above the header, one cell
    alone in its row, is left out.

    Parameters
    ----------
    path : Path
        As `sheet_path` returns it.
    error : type
        Error class of the calling reader.

    Raises
    ------
    BeltcastError
        As ``error``: not a workbook, one too large, no such sheet, no filled cell, or a formula
        whose result was never computed.
    """
    book_path, wanted = path.parent, path.name
    if book_path.suffix.lower() == ".xls":
        raise error("an old workbook (.xls) is not read; save it as .xlsx", book_path)
    content = read_regular(book_path, error)

    def fail(sentence: str) -> BeltcastError:
        return error(sentence, book_path)

    book = open_book(content, fail)
    title = _title(book.sheetnames, wanted)
    if title is None:
        have = ", ".join(map(quoted, book.sheetnames))
        raise error(
            f"there is no sheet {quoted(wanted)}; give one of them that name; it has {have}",
            book_path,
        )
    sheet = book[title]
    if not hasattr(sheet, "iter_rows"):
        raise error(f"the sheet {quoted(title)} is a chart; put the table there", book_path)
    sheet.reset_dimensions()  # the size stated in the file may be wrong
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    seen, filled = 0, False
    formulas = _formulas(content, title, fail)
    try:
        for row in sheet.iter_rows():
            seen += len(row) + 1
            if seen > MOST_CELLS:
                raise error(
                    f"the sheet has more than {MOST_CELLS} cells; delete empty rows and columns",
                    path,
                )
            cells = [_cell_text(cell) for cell in row]
            for cell in row:
                if cell.value is None and getattr(cell, "coordinate", "") in formulas:
                    raise error(
                        "the formula has no computed result; open the workbook in a "
                        "spreadsheet and save it, or put the number there",
                        path,
                        cell.row,
                        column_letters(cell.column - 1),
                    )
            while cells and not cells[-1]:
                cells.pop()
            filled = filled or bool(cells)
            writer.writerow(cells) if cells else text.write("\n")
    except BeltcastError:
        raise
    except Exception as problem:  # a damaged sheet fails in lxml or any line of openpyxl
        raise error(_damaged(problem), book_path) from None
    if not filled:
        raise error("the sheet is empty; fill it in", path)
    return _same_width(text.getvalue())


def open_book(
    content: bytes, fail: Callable[[str], BeltcastError], *, results: bool = True
) -> Workbook:
    """Open a workbook for reading, after checking its size.

    Parameters
    ----------
    content : bytes
    fail : callable
        Sentence -> error to raise.
    results : bool
        Read the results of formulas; otherwise the formulas themselves.
    """
    import openpyxl  # late: few commands read a workbook

    try:
        with ZipFile(io.BytesIO(content)) as archive:
            _refuse_archive(archive, fail)
        return openpyxl.load_workbook(io.BytesIO(content), data_only=results, read_only=True)
    except BeltcastError:
        raise
    except Exception as problem:  # zipfile, zlib, lxml or openpyxl, with classes of any kind
        raise fail(_damaged(problem)) from None


def _formulas(content: bytes, title: str, fail: Callable[[str], BeltcastError]) -> frozenset[str]:
    """Cells of a sheet that hold formulas; a workbook without any is not read a second time."""
    with ZipFile(io.BytesIO(content)) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        if not any(re.search(rb"<(?:\w+:)?f[ >/]", archive.read(name)) for name in sheets):
            return frozenset()
    book = open_book(content, fail, results=False)
    return frozenset(
        cell.coordinate for row in book[title].iter_rows() for cell in row if cell.data_type == "f"
    )


def column_letters(number: int) -> str:
    """Letters of a column, counted from 0.

    >>> column_letters(0), column_letters(27)
    ('A', 'AB')
    """
    letters = ""
    number += 1
    while number:
        number, last = divmod(number - 1, 26)
        letters = chr(ord("A") + last) + letters
    return letters


def _refuse_archive(archive: ZipFile, fail: Callable[[str], BeltcastError]) -> None:
    """Refuse workbooks that unpack to too much, and declarations of entities."""
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > LARGEST_BOOK:
        raise fail(
            f"the workbook unpacks to {unpacked} bytes, and at most {LARGEST_BOOK} are read; keep "
            "the sheets that are needed"
        )
    for entry in archive.infolist():
        # Without the zeros of UTF-16.
        if entry.filename.endswith((".xml", ".rels")) and re.search(
            rb"<!(?:DOCTYPE|ENTITY)", archive.read(entry).replace(b"\0", b""), re.IGNORECASE
        ):
            raise fail(
                f"the workbook declares entities in {entry.filename}, which can stand for "
                "anything; save it again in a spreadsheet"
            )


def _damaged(problem: Exception) -> str:
    words = " ".join(str(problem).split())[:120] or type(problem).__name__
    return f"this is not a workbook ({words}); save it again as .xlsx"


def _title(titles: Sequence[str], wanted: str) -> str | None:
    """Title of the requested sheet: of that name, or the only one there is."""
    names = (wanted, *_ALSO.get(wanted, ()))
    for title in titles:
        if title.strip().casefold() in names:
            return title
    return titles[0] if len(titles) == 1 else None


_LITERAL = re.compile(r'"[^"]*"|\\[.*?\\]|\\\\.')
"""Text, colours and locales in a number format, which are not codes of day and month."""


def _cell_text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        if "%" in (cell.number_format or ""):
            return f"{100 * value:.12g}%"
        return f"{value:.0f}" if abs(value) < 1e15 and value == int(value) else repr(value)
    if isinstance(value, date):  # a datetime is a date too
        shown = _LITERAL.sub("", cell.number_format or "").lower()
        return value.strftime("%Y-%m-%d" if "d" in shown else "%Y-%m" if "m" in shown else "%Y")
    return " ".join(str(value).split())


def _same_width(text: str) -> str:
    """Fill rows up to the width of the first filled one: no row of a sheet is truncated."""
    rows = list(csv.reader(io.StringIO(text, newline="")))
    full = [sum(map(bool, row)) for row in rows]
    first = next(i for i, filled in enumerate(full) if filled)
    header = next((i for i, filled in enumerate(full) if filled > 1), first)
    rows[first:header] = [[] for _ in rows[first:header]]
    width = len(rows[header])
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        if row:
            writer.writerow([*row, *[""] * (width - len(row))])
        else:
            out.write("\n")
    return out.getvalue()
