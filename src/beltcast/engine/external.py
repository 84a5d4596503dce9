"""Tables that a model refers to: GET XLS and GET DIRECT, from CSV files and spreadsheets.

Cells are named as in a spreadsheet: ``B2`` is the second column of the second row, ``B2*`` says
that a list runs down the column, ``A`` is a column of times and ``1`` a row of them.  In place of
a cell a spreadsheet may define a name for a range.  An empty cell is a number that nobody
published: it is left out of a series, and refused in a list of constants.

A file named in a model is looked for beside the model and below, nowhere else: a model is
somebody's text and has no business elsewhere on the disk.
"""

from __future__ import annotations

import csv
import importlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.errors import ModelFileError, UnsupportedConstruct

_CELL = re.compile(r"^([A-Za-z]{1,3})([1-9]\d{0,6})$")
_TEXT = (".csv", ".txt", ".tab")
_BOOKS = (".xlsx", ".xlsm", ".xls")

Cell = str | float | None


@dataclass(frozen=True)
class Place:
    """Who asks for which sheet: the model and its line, the file beside it, and its tab.

    `tab` is the name of a sheet, or the separator of a text table.
    """

    model: Path
    line: int
    file: str
    tab: str

    def error(self, sentence: str) -> ModelFileError:
        """Return the error of a table that does not hold what the model wants."""
        return ModelFileError(sentence, self.model, self.line)

    def unsupported(self, sentence: str) -> UnsupportedConstruct:
        """Return the error of a table of a kind that cannot be read."""
        return UnsupportedConstruct(sentence, self.model, self.line)


@dataclass(frozen=True)
class _Sheet:
    """Cells of a table, and the ranges of it that have a name."""

    rows: tuple[tuple[Cell, ...], ...]
    names: Mapping[str, tuple[int, int, int, int]]  # canonical name: top, left, bottom, right

    def cell(self, row: int, column: int) -> Cell:
        if row < len(self.rows) and column < len(self.rows[row]):
            value = self.rows[row][column]
            return None if isinstance(value, str) and not value.strip() else value
        return None

    @property
    def width(self) -> int:
        return max((len(row) for row in self.rows), default=0)


def read_sheet_series(
    model: Path, line: int, file: str, tab: str, axis: str, cell: str, size: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Read one or several series over time, or over the argument of a lookup.

    Parameters
    ----------
    model, line : Path, int
        The model and the line that asks, for messages and to find the file.
    file, tab : str
        File beside the model, and its sheet, or its separator if it is a text table.
    axis : str
        Where the times are: a column such as ``A``, a row such as ``1``, or a named range.
    cell : str
        First value, such as ``B2``, or a named range.
    size : int
        How many series lie side by side.

    Returns
    -------
    times : (points,)
        Ascending.
    values : (points, size)
        NaN where a cell is empty.

    Raises
    ------
    ModelFileError, UnsupportedConstruct
    """
    place = Place(model, line, file, tab)
    sheet = _sheet(place)
    axis, cell = axis.strip(), cell.strip()
    start = _CELL.match(cell)
    if start is None and not sheet.names:
        raise place.error(f"'{cell}' is not a cell of '{file}'; write one such as 'B2'")
    if start is None:
        times, table = _named_series(place, sheet, axis, cell)
    else:
        top, left = int(start.group(2)) - 1, _column(start.group(1))
        if axis.isdigit():
            row = int(axis) - 1
            columns = _until_the_end(place, sheet, [(row, c) for c in range(left, sheet.width)], 1)
            times = _numbers(place, sheet, [(row, c) for c in columns])
            table = np.array(
                [_numbers(place, sheet, [(top + i, c) for c in columns]) for i in range(size)]
            ).T.reshape(len(times), size)
        elif axis.isalpha() and len(axis) <= 3:
            column = _column(axis)
            cells = [(r, column) for r in range(top, len(sheet.rows))]
            lines = _until_the_end(place, sheet, cells, 0)
            times = _numbers(place, sheet, [(r, column) for r in lines])
            table = np.array(
                [_numbers(place, sheet, [(r, left + i) for r in lines]) for i in range(size)]
            ).T.reshape(len(times), size)
        else:
            raise place.error(
                f"'{axis}' is neither a column such as 'A' nor a row such as '1'; "
                "say where the times are"
            )
    if table.shape[1] != size:
        raise place.error(f"'{cell}' of '{file}' holds {table.shape[1]} series; {size} are needed")
    known = ~np.isnan(times)
    times, table = times[known], table[known]
    if size == 1:  # what nobody published is left out
        published = ~np.isnan(table[:, 0])
        times, table = times[published], table[published]
    if not len(times) or np.isnan(table).all():
        raise place.error(
            f"'{file}' has no number in the column of {cell}; fill it or change the cell"
        )
    order = np.argsort(times, kind="stable")
    times, table = times[order], table[order]
    if np.any(np.diff(times) == 0):
        twice = float(times[:-1][np.diff(times) == 0][0])
        raise place.error(f"'{file}' gives the time {twice:g} twice; keep one row")
    return times, table


def read_constants(
    model: Path, line: int, file: str, tab: str, cell: str, shape: tuple[int, ...]
) -> FloatArray:
    """Read a constant or a list of them.

    Parameters
    ----------
    cell : str
        ``B2`` for a list along the row (or a table), ``B2*`` for one down the column; or the name
        of a range of a spreadsheet, with or without the star.
    shape : tuple of int
        Elements of each subscript of the constant: (), (n,) or (rows, columns).

    Returns
    -------
    array of `shape`
    """
    place = Place(model, line, file, tab)
    if len(shape) > 2:
        raise place.unsupported(
            f"a constant with {len(shape)} subscripts cannot come from one table; split it"
        )
    sheet = _sheet(place)
    across = (1,) * (2 - len(shape)) + shape
    name = cell.strip()
    down = name.endswith("*") and int(np.prod(across)) > 1
    name = name.rstrip("*")
    start = _CELL.match(name)
    if start is not None:
        top, left = int(start.group(2)) - 1, _column(start.group(1))
    else:
        top, left, bottom, right = _named(place, sheet, name)
        given = (bottom - top + 1, right - left + 1)
        if given != (across[::-1] if down else across):
            raise place.error(
                f"the range '{name}' of '{file}' has {given[0]} rows and {given[1]} columns, which "
                f"does not fit {int(np.prod(across))} numbers {'down' if down else 'across'}"
            )
    values = np.empty(across)
    for i, j in np.ndindex(*across):
        row, column = (top + j, left + i) if down else (top + i, left + j)
        value = sheet.cell(row, column)
        if value is None:
            raise place.error(
                f"'{file}' is empty at row {row + 1}, column {column + 1}; "
                f"{int(np.prod(across))} numbers from {cell} on are needed"
            )
        values[i, j] = _number(place, value)
    return values.reshape(shape)


def read_subscript(
    model: Path, file: str, tab: str, first: str, last: str, prefix: str
) -> tuple[str, ...]:
    """Read the elements of a subscript range from the cells `first` to `last`."""
    place = Place(model, 0, file, tab)
    sheet = _sheet(place)
    start, end = _CELL.match(first.strip()), _CELL.match(last.strip())
    if start is None:
        top, left, bottom, right = _named(place, sheet, first.strip())
    else:
        top, left = int(start.group(2)) - 1, _column(start.group(1))
        bottom, right = len(sheet.rows) - 1, sheet.width - 1
        if end is not None:
            bottom, right = int(end.group(2)) - 1, _column(end.group(1))
        elif last.strip().isdigit():
            bottom = int(last) - 1
        elif last.strip():
            right = _column(last.strip())
    bottom, right = min(bottom, len(sheet.rows) - 1), min(right, sheet.width - 1)
    found = []
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            value = sheet.cell(row, column)
            if value is not None:
                whole = isinstance(value, float) and value.is_integer()
                found.append(prefix + (str(int(value)) if whole else str(value).strip()))
    if not found:
        raise place.error(f"'{file}' names no element from {first} to {last}; fill the cells")
    return tuple(found)


# --- the file ---------------------------------------------------------------------------------


def _sheet(place: Place) -> _Sheet:
    path = _beside(place)
    if place.model.parent.resolve() not in path.parents:
        raise place.error(
            f"the model refers to '{place.file}', outside its own folder; put the file beside the "
            "model"
        )
    ending = path.suffix.lower()
    if ending in _TEXT:
        return _text_table(place, path)
    if ending not in _BOOKS:
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
    except OSError as problem:
        raise place.error(
            f"the workbook '{place.file}' cannot be read ({problem.strerror or problem}); put it "
            "beside the model"
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
    others = [p for p in sorted(path.parent.iterdir()) if p.suffix.lower() in (*_TEXT, *_BOOKS)]
    same = [p for p in others if p.name.lower() == path.name.lower()]
    if named.startswith("?"):
        endings = _BOOKS if place.tab.strip().isalnum() else _TEXT
        below = (p for pattern in ("*", "*/*") for p in sorted(folder.glob(pattern)))
        others = [p for p in below if p.suffix.lower() in endings]
        same = same or [p for p in others if p.stem.lower() == path.name.lower()]
        if len(same) != 1:
            raise place.error(
                f"'{place.file}' stands for a file that Vensim's settings name, and "
                f"{len(same) or 'none'} of the tables beside the model is called '{path.name}'; "
                "name the file in the equation, or give one table that name"
            )
    if not same and path.suffix.lower() in _BOOKS:
        same = [
            p for p in others if p.stem.lower() == path.stem.lower() and p.suffix.lower() in _BOOKS
        ]
    return same[0].resolve() if same else path


def _text_table(place: Place, path: Path) -> _Sheet:
    # An empty separator is the usual one; Vensim also takes the word.
    usual = "\t" if path.suffix.lower() == ".tab" else ","
    separator = {"": usual, "\\t": "\t", "tab": "\t", "t": "\t"}.get(place.tab.lower(), place.tab)
    if len(separator) != 1:
        raise place.error(f"'{separator}' is no separator of a text table; write ',' in its place")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = tuple(tuple(row) for row in csv.reader(stream, delimiter=separator))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise place.error(
            f"the table '{place.file}' cannot be read ({problem}); it must be UTF-8 text beside "
            "the model"
        ) from None
    return _Sheet(rows, {})


def _book(place: Place, path: Path) -> _Sheet:
    import openpyxl  # comes with PySD; imported late because few models have a workbook

    try:
        book = openpyxl.load_workbook(path, data_only=True)
    except (BadZipFile, KeyError, ValueError) as problem:
        raise place.error(
            f"'{place.file}' is no workbook ({problem}); save it again as .xlsx"
        ) from None
    wanted = place.tab.lower()
    sheet = next((book[name] for name in book.sheetnames if name.lower() == wanted), None)
    if sheet is None:
        raise place.error(
            f"'{place.file}' has no sheet '{place.tab}'; it has {', '.join(book.sheetnames)}"
        )
    names: dict[str, tuple[int, int, int, int]] = {}
    for defined in (book.defined_names, sheet.defined_names):  # those of the sheet win
        for name, entry in defined.items():
            for title, cells in entry.destinations:
                bounds = _bounds(cells)
                if title.lower() == wanted and bounds is not None:
                    names[name.lower()] = bounds
    rows = tuple(tuple(map(_cell_value, row)) for row in sheet.iter_rows(values_only=True))
    return _Sheet(rows, names)


def _old_book(place: Place, path: Path) -> _Sheet:
    xlrd = importlib.import_module("xlrd")  # optional: old workbooks are rare

    try:
        book = xlrd.open_workbook(path)
    except xlrd.XLRDError as problem:
        raise place.error(
            f"'{place.file}' is no workbook ({problem}); save it again as .xlsx"
        ) from None
    wanted = place.tab.lower()
    sheet = next((s for s in book.sheets() if s.name.lower() == wanted), None)
    if sheet is None:
        raise place.error(
            f"'{place.file}' has no sheet '{place.tab}'; it has {', '.join(book.sheet_names())}"
        )
    rows = tuple(tuple(map(_cell_value, sheet.row_values(i))) for i in range(sheet.nrows))
    return _Sheet(rows, {})


def _cell_value(value: Any) -> Cell:
    if value is None or isinstance(value, str):
        return value
    return float(value) if isinstance(value, (int, float)) else str(value)


def _bounds(cells: str) -> tuple[int, int, int, int] | None:
    corners = [_CELL.match(c) for c in cells.replace("$", "").split(":")]
    if not all(corners) or len(corners) > 2:
        return None
    first, last = corners[0], corners[-1]
    assert first is not None
    assert last is not None
    return (
        int(first.group(2)) - 1,
        _column(first.group(1)),
        int(last.group(2)) - 1,
        _column(last.group(1)),
    )


def _named(place: Place, sheet: _Sheet, name: str) -> tuple[int, int, int, int]:
    bounds = sheet.names.get(name.lower())
    if bounds is None:
        raise place.error(
            f"'{name}' is neither a cell such as 'B2' nor a named range of '{place.file}'"
        )
    return bounds


def _named_series(
    place: Place, sheet: _Sheet, axis: str, cell: str
) -> tuple[FloatArray, FloatArray]:
    top, left, bottom, right = _named(place, sheet, axis)
    if bottom > top and right > left:
        raise place.error(f"the range '{axis}' of '{place.file}' is a table; times are a list")
    lying = right > left
    places = [(r, c) for r in range(top, bottom + 1) for c in range(left, right + 1)]
    times = _numbers(place, sheet, places)
    top, left, bottom, right = _named(place, sheet, cell)
    grid = np.array(
        [
            _numbers(place, sheet, [(r, c) for c in range(left, right + 1)])
            for r in range(top, bottom + 1)
        ]
    )
    grid = grid.T if lying else grid
    if len(grid) != len(times):
        raise place.error(
            f"'{axis}' of '{place.file}' has {len(times)} cells and '{cell}' {len(grid)}; "
            "they must be equally long"
        )
    return times, grid


def _until_the_end(
    place: Place, sheet: _Sheet, cells: Sequence[tuple[int, int]], axis: int
) -> list[int]:
    """Rows or columns of the times: from the first number to the first cell that holds none.

    So Vensim reads them (its output with SDEverywhere's `directdata_endofdata`).
    """
    found: list[int] = []
    for cell in cells:
        value = sheet.cell(*cell)
        if value is None and not found:
            continue
        if value is not None and not found:
            _number(place, value)  # a heading where the first time should be
        if value is None or math.isnan(_number_or_word(place, value)):
            break
        found.append(cell[axis])
    return found


def _numbers(place: Place, sheet: _Sheet, places: list[tuple[int, int]]) -> FloatArray:
    """Numbers of a series; NaN for an empty cell and for a word.

    Vensim passes over a word among numbers (its output with SDEverywhere's
    `directdata_invalidcell`), and tables are written for that.  Text with a digit in it is more
    likely a number that was mistyped, and is refused.
    """
    return np.array([_number_or_word(place, sheet.cell(r, c)) for r, c in places])


def _like_a_number(text: str) -> bool:
    """Whether text may be meant as a number: with a digit, or a name that Python reads as one."""
    try:
        float(text)
    except ValueError:
        return any(character.isdigit() for character in text)
    return True


def _number_or_word(place: Place, value: Cell) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str):
        book = Path(place.file).suffix.lower() in _BOOKS
        if book or not _like_a_number(value):
            return math.nan
    return _number(place, value)


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _number(place: Place, value: str | float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in str(value):  # Python reads 'nan' and '1_000' too
        raise place.error(
            f"'{place.file}' holds '{str(value).strip()}' where a number is expected; correct the "
            "cell"
        )
    return number
