"""Rows of a table, with their line numbers: of a CSV file, or of a sheet of a workbook.

Commas, semicolons or tabs separate the cells of a file, as in the header.  Checks the form that all
tables share: unclosed quotes, an unexpected header, an incomplete row, an empty cell, a
cell that is not a number.  The reader of a table checks the content of its cells.
"""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from beltcast.errors import (
    BOOKS,
    BeltcastError,
    InputError,
    TableError,
    UnitError,
    did_you_mean,
    gathered,
    quoted,
)
from beltcast.files.text import Text
from beltcast.files.workbook import column_letters

_GROUPED = re.compile(r"[+-]?\d{1,3}([,\s']\d{3})+(\.\d+)?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def records(
    text: Text,
    columns: Sequence[str],
    optional: Sequence[str],
    faults: list[BeltcastError] | None = None,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line and cells by column of each row, after checking header and length.

    With ``faults`` the error of a row of another length is appended and the row left out.

    Raises
    ------
    TableError
        With file and line: no rows, a column missing, unknown or given twice, a row cut off.
    """
    header: list[str] = []
    empty = True
    for line, cells in filled_rows(text):
        if not header:
            header = [_CHINESE.get(cell, cell) for cell in cells]
            _check_header(header, columns, optional, text.path, line)
            continue
        empty = False
        if len(cells) != len(header):
            sentence = f"the row has {len(cells)} fields, expected {len(header)}"
            hint = "complete it (a file may be cut off here) or quote its commas"
            with gathered(faults):
                raise TableError(f"{sentence}; {hint}", text.path, line)
            continue
        yield line, dict(zip(header, cells, strict=True))
    if empty:
        raise TableError("the table has no rows; add one or give another file", text.path)


def filled_rows(text: Text) -> Iterator[tuple[int, list[str]]]:
    """Yield line and stripped cells of each row that is not empty."""
    reader = csv.reader(
        io.StringIO(text.text, newline=""), strict=True, delimiter=separator(text.text)
    )
    while True:
        # line_num counts the lines read; the next record begins on the one after.
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as failure:
            sentence = f"this row is not CSV ({failure}); close its quotes"
            restore = f"{sentence} or restore the complete file"
            raise TableError(restore, text.path, line) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, [cell.strip() for cell in cells]


def separator(text: str) -> str:
    """Separator of the cells: the most frequent in the first line; a comma if in doubt.

    >>> separator("place;value"), separator("place,value"), separator("place"), separator("a;b,c")
    (';', ',', ',', ',')
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=lambda one: (first.count(one), one == ","))


def assumed(text: Text) -> tuple[str, ...]:
    """Sentences on how a file was read, where it is not UTF-8 with commas."""
    found = []
    if text.encoding != "utf-8":
        found.append(f"{text.path.name} was read as {text.encoding.upper()}")
    named = {"\t": "tabs", ";": "semicolons"}.get(separator(text.text))
    if named:
        found.append(f"{named} separate the cells of {text.path.name}")
    return tuple(found)


@contextmanager
def about(column: str) -> Iterator[None]:
    """Add the column to an error that does not name it."""
    try:
        yield
    except (TableError, UnitError) as problem:
        problem.column = problem.column or column
        raise


def located(problem: InputError, text: Text, line: int) -> InputError:
    """Return an error about a row with its file and line; of a sheet, with the cell."""
    letters = None
    if problem.column and text.path.parent.suffix.lower() in BOOKS:
        header = header_of(text)
        column = "unit" if isinstance(problem, UnitError) else problem.column
        if column in header:
            letters = column_letters(header.index(column))
    return type(problem)(problem.sentence, text.path, line, letters)


_CHINESE = {
    "地区": "place",
    "指标": "quantity",
    "类型": "kind",
    "时期": "period",
    "期间": "period",
    "数值": "value",
    "单位": "unit",
    "口径": "definition",
    "版本": "vintage",
    "等级": "grade",
    "公布日期": "published",
    "公布": "published",
    "来源": "source",
    "网址": "url",
    "原文": "quote",
    "备注": "note",
}
"""Chinese names of columns."""


def header_of(text: Text) -> list[str]:
    """Names of the columns, in English; none of an empty text."""
    cells = next((cells for _, cells in filled_rows(text)), [])
    return [_CHINESE.get(cell, cell) for cell in cells]


def _check_header(
    header: Sequence[str], columns: Sequence[str], optional: Sequence[str], path: Path, line: int
) -> None:
    known = [*columns, *(name for name in optional if name not in columns)]
    missing = [name for name in columns if name not in header]
    for name in header:
        if header.count(name) > 1:
            raise TableError(f"column {quoted(name)} is there twice; remove one", path, line)
    extra = [name for name in header if name not in known]
    if missing:
        names = ", ".join(quoted(name) for name in missing)
        noun = "column" if len(missing) == 1 else "columns"
        instead = f", or is it {quoted(extra[0])}?" if len(extra) == 1 else ""
        sentence = f"missing {noun} {names}; add {'it' if len(missing) == 1 else 'them'}{instead}"
        raise TableError(sentence, path, line)
    if extra:
        sentence = f"unknown column {quoted(extra[0])}{did_you_mean(extra[0], known)}"
        raise TableError(sentence if "?" in sentence else f"{sentence}; remove it", path, line)


def check_filled(cells: Mapping[str, str], names: Sequence[str]) -> None:
    """Refuse an empty cell; the caller adds file and line."""
    for name in names:
        if not cells[name]:
            with about(name):
                raise TableError(f"{name} is empty; fill it in")


def number(cell: str, what: str) -> float:
    """Read a finite number; the caller adds file and line."""
    if not is_number(cell):
        plain = unicodedata.normalize("NFKC", cell)
        if _GROUPED.fullmatch(plain):  # 1,30 may be 1.3, and is left alone
            plain = re.sub(r"[,\s']", "", plain)
        meant = f"write {plain}" if is_number(plain) else "correct it, or leave the row out"
        raise TableError(
            f"{what} is {quoted(cell)}, expected a number written like 1234.5; {meant}"
        )
    return float(cell)


def is_number(cell: str) -> bool:
    """Whether a cell is a finite number; ``float`` alone would also take 'nan' and '1_000'."""
    return bool(_NUMBER.fullmatch(cell)) and math.isfinite(float(cell))
