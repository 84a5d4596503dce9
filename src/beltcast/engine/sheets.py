"""Tables and workbooks that a model refers to: from a file to its filled cells.

A workbook is an untrusted file: five kilobytes can stand for gigabytes of entities, for a cell in
the last row and column, or for a million empty rows.  So sizes are checked before memory is taken,
and only filled cells are kept.
"""

from __future__ import annotations

import csv
import importlib
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beltcast.errors import BOOKS, BeltcastError, ModelFileError, UnsupportedConstruct
from beltcast.files.door import read_regular
from beltcast.files.workbook import open_book

CELL = re.compile(r"^([A-Za-z]{1,3})([1-9]\d{0,6})$", re.ASCII)
_TEXT = (".csv", ".txt", ".tab")

MOST_ROWS = 2**20
"""Rows of a sheet, as spreadsheets have them."""

MOSTCELLS = 3_000_000
"""Filled cells of a sheet; each takes some 200 bytes."""

MOST_SEEN = 30_000_000
"""Cells of a sheet that are examined, empty ones included."""

Cell = str | float | None
Bounds = tuple[int, int, int, int]
"""Top, left, bottom and right, from 0."""


@dataclass(frozen=True)
class Place:
    """A request for a sheet: the model and its line, the file beside it, and its tab.

    `tab` is the name of a sheet, or the separator of a text table.
    """

    model: Path
    line: int
    file: str
    tab: str

    def error(self, sentence: str) -> ModelFileError:
        """Return the error of a table that does not hold what the model needs."""
        return ModelFileError(sentence, self.model, self.line)

    def unsupported(self, sentence: str) -> UnsupportedConstruct:
        """Return the error of a table of a kind that cannot be read."""
        return UnsupportedConstruct(sentence, self.model, self.line)


@dataclass(frozen=True)
class Sheet:
    """Filled cells of a table, by row and column from 0, and its named ranges."""

    cells: Mapping[tuple[int, int], str | float]
    names: Mapping[str, Bounds]
    height: int
    width: int

    def cell(self, row: int, column: int) -> Cell:
        """Value of a cell; None if it is empty or lies outside the sheet."""
        return self.cells.get((row, column))


def read_sheet(place: Place) -> Sheet:
    """Read the table or the sheet that a model names, beside the model or below.

    Raises
    ------
    ModelFileError, UnsupportedConstruct
    """
    path = _beside(place)
    if place.model.parent.resolve() not in path.parents:
        raise place.error(
            f"the model refers to '{place.file}', outside its own folder; put the file beside the "
            "model"
        )
    ending = path.suffix.lower()
    if ending in _TEXT:
        return _text_table(place, path)
    if ending not in BOOKS:
        raise place.unsupported(
            f"'{place.file}' is neither a text table nor a workbook; save the sheet as CSV and "
            "refer to that"
        )
    try:
        return _old_book(place, path) if ending == ".xls" else _book(place, path)
    except ImportError:
        raise place.unsupported(
            f"'{place.file}' needs openpyxl (.xlsx) or xlrd (.xls) to be read; install it, or save "
            "the sheet as CSV"
        ) from None


def _beside(place: Place) -> Path:
    """Path of the file that a model names, as Vensim finds it on its own systems.

    Case does not matter; an alias such as ``?data``, whose file Vensim keeps among its settings,
    is the one table of that name beside the model; an old workbook may have been saved as a new.
    """
    folder = place.model.parent
    named = place.file.strip().replace("\\", "/")
    path = (folder / named.removeprefix("?")).resolve()
    if path.is_file() or folder.resolve() not in path.parents or not path.parent.is_dir():
        return path
    others = [p for p in sorted(path.parent.iterdir()) if p.suffix.lower() in (*_TEXT, *BOOKS)]
    same = [p for p in others if p.name.lower() == path.name.lower()]
    if named.startswith("?"):
        endings = BOOKS if place.tab.strip().isalnum() else _TEXT
        below = (p for pattern in ("*", "*/*") for p in sorted(folder.glob(pattern)))
        others = [p for p in below if p.suffix.lower() in endings]
        same = same or [p for p in others if p.stem.lower() == path.name.lower()]
        if len(same) != 1:
            raise place.error(
                f"'{place.file}' stands for a file that Vensim's settings name, and "
                f"{len(same) or 'none'} of the tables beside the model is called '{path.name}'; "
                "name the file in the equation, or give one table that name"
            )
    if not same and path.suffix.lower() in BOOKS:
        same = [
            p for p in others if p.stem.lower() == path.stem.lower() and p.suffix.lower() in BOOKS
        ]
    return same[0].resolve() if same else path


def _text_table(place: Place, path: Path) -> Sheet:
    # An empty separator is the default; Vensim also takes the word.
    usual = "\t" if path.suffix.lower() == ".tab" else ","
    separator = {"": usual, "\\t": "\t", "tab": "\t", "t": "\t", " ": "\t"}.get(
        place.tab.lower(), place.tab
    )
    if len(separator) != 1:
        raise place.error(f"'{separator}' is no separator of a text table; write ',' in its place")
    try:
        text = read_regular(path, ModelFileError).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        return _filled(place, reader, {})
    except ModelFileError as problem:
        if problem.path == place.model:
            raise
        raise place.error(f"the table '{place.file}' {problem.sentence}") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise place.error(
            f"the table '{place.file}' cannot be read ({problem}); it must be UTF-8 text beside "
            "the model"
        ) from None


def _book(place: Place, path: Path) -> Sheet:
    content = _whole(place, path)
    with _as_sentence(place):
        book = open_book(content, lambda sentence: place.error(f"'{place.file}': {sentence}"))
        wanted = place.tab.lower()
        name = next((name for name in book.sheetnames if name.lower() == wanted), None)
        if name is None or not hasattr(book[name], "iter_rows"):  # a chart has no cells
            raise _no_such_sheet(place, book.sheetnames)
        sheet = book[name]
        names: dict[str, Bounds] = {}
        for defined in (book.defined_names, getattr(sheet, "defined_names", {})):  # the sheet wins
            for key, entry in defined.items():
                for title, cells in entry.destinations:
                    bounds = _bounds(cells)
                    if title.lower() == wanted and bounds is not None:
                        names[key.lower()] = bounds
        # The size stated in the file may be wrong, and is padded with empty cells.
        sheet.reset_dimensions()
        return _filled(place, sheet.iter_rows(max_row=MOST_ROWS, values_only=True), names)


def _old_book(place: Place, path: Path) -> Sheet:
    xlrd = importlib.import_module("xlrd")  # optional: old workbooks are rare

    content = _whole(place, path)
    with _as_sentence(place), open(os.devnull, "w", encoding="utf-8") as nowhere:
        book = xlrd.open_workbook(file_contents=content, logfile=nowhere)
        wanted = place.tab.lower()
        sheet = next((s for s in book.sheets() if s.name.lower() == wanted), None)
        if sheet is None:
            raise _no_such_sheet(place, book.sheet_names())
        return _filled(place, (sheet.row_values(i) for i in range(sheet.nrows)), {})


def _no_such_sheet(place: Place, names: Iterable[str]) -> ModelFileError:
    return place.error(f"'{place.file}' has no sheet '{place.tab}'; it has {', '.join(names)}")


def _whole(place: Place, path: Path) -> bytes:
    try:
        return read_regular(path, ModelFileError)
    except ModelFileError as problem:
        raise place.error(f"the workbook '{place.file}' {problem.sentence}") from None


@contextmanager
def _as_sentence(place: Place) -> Iterator[None]:
    """Convert any error of a reader of workbooks to one of ours.

    A damaged workbook fails in zipfile, zlib, lxml or in any line of openpyxl and xlrd, with a
    dozen classes of exceptions that none of them documents.
    """
    try:
        yield
    except (BeltcastError, ImportError):
        raise
    except Exception as problem:  # of xlrd, zipfile or an XML parser, none of them documented
        words = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise place.error(
            f"'{place.file}' is no workbook ({words}); save it again as .xlsx"
        ) from None


def _filled(place: Place, rows: Iterable[Sequence[Any]], names: Mapping[str, Bounds]) -> Sheet:
    """Keep the filled cells; refuse a sheet of too many."""
    cells: dict[tuple[int, int], str | float] = {}
    seen = 0
    for i, row in enumerate(rows):
        seen += len(row)
        for j, given in enumerate(row):
            value = _cell_value(given)
            if value is not None:
                cells[i, j] = value
        if seen > MOST_SEEN or len(cells) > MOSTCELLS:
            raise place.error(
                f"'{place.file}' has more than {min(seen, MOSTCELLS)} cells; keep what the model "
                "reads in a table of its own"
            )
    return Sheet(
        cells,
        names,
        height=max((i + 1 for i, _ in cells), default=0),
        width=max((j + 1 for _, j in cells), default=0),
    )


def _cell_value(value: Any) -> Cell:
    """A number, a non-blank text, or None."""
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:  # an integer of hundreds of digits
            return math.inf
    return None if value is None or not str(value).strip() else str(value)


def _bounds(cells: str) -> Bounds | None:
    corners = [CELL.match(c) for c in cells.replace("$", "").split(":")]
    if not all(corners) or len(corners) > 2:
        return None
    first, last = corners[0], corners[-1]
    assert first is not None
    assert last is not None
    return (
        int(first.group(2)) - 1,
        column_number(first.group(1)),
        int(last.group(2)) - 1,
        column_number(last.group(1)),
    )


def column_number(letters: str) -> int:
    """Number of a column from 0: 0 for 'A'."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
