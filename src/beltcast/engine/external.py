"""Tables that a model refers to: GET XLS and GET DIRECT, from CSV files and spreadsheets.

Cells are named as in a spreadsheet: ``B2`` is the second column of the second row, ``B2*`` says
that a list runs down the column, ``A`` is a column of times and ``1`` a row of them.  In place of
a cell a spreadsheet may define a name for a range.  An empty cell is a missing number: it is left
out of a series, and refused in a list of constants.

A file named in a model is searched for beside the model and below, nowhere else: a model file is
untrusted and must not read other parts of the disk.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.engine.sheets import CELL, Cell, Place, Sheet, column_number, read_sheet
from beltcast.errors import BOOKS

_ROW = re.compile(r"[1-9][0-9]{0,6}")


def read_sheet_series(
    model: Path, line: int, file: str, tab: str, axis: str, cell: str, size: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Read one or several series over time, or over the argument of a lookup.

    Parameters
    ----------
    model, line : Path, int
        The model and the line of the call, for messages and to find the file.
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
    sheet = read_sheet(place)
    axis, cell = axis.strip(), cell.strip()
    start = CELL.match(cell)
    if start is None and not sheet.names:
        raise place.error(f"'{cell}' is not a cell of '{file}'; write one such as 'B2'")
    if start is None:
        times, table = _named_series(place, sheet, axis, cell)
    else:
        top, left = int(start.group(2)) - 1, column_number(start.group(1))
        if _ROW.fullmatch(axis):
            row = int(axis) - 1
            columns = _until_the_end(place, sheet, [(row, c) for c in range(left, sheet.width)], 1)
            times = _numbers(place, sheet, [(row, c) for c in columns])
            table = np.array(
                [_numbers(place, sheet, [(top + i, c) for c in columns]) for i in range(size)]
            ).T.reshape(len(times), size)
        elif axis.isalpha() and len(axis) <= 3:
            column = column_number(axis)
            cells = [(r, column) for r in range(top, sheet.height)]
            lines = _until_the_end(place, sheet, cells, 0)
            times = _numbers(place, sheet, [(r, column) for r in lines])
            table = np.array(
                [_numbers(place, sheet, [(r, left + i) for r in lines]) for i in range(size)]
            ).T.reshape(len(times), size)
        else:
            raise place.error(
                f"'{axis}' is neither a column such as 'A' nor a row such as '1'; "
                "state where the times are"
            )
    if table.shape[1] != size:
        raise place.error(f"'{cell}' of '{file}' holds {table.shape[1]} series; {size} are needed")
    known = ~np.isnan(times)
    times, table = times[known], table[known]
    if size == 1:  # missing values are left out
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
    sheet = read_sheet(place)
    across = (1,) * (2 - len(shape)) + shape
    name = cell.strip()
    down = name.endswith("*") and int(np.prod(across)) > 1
    name = name.rstrip("*")
    start = CELL.match(name)
    if start is not None:
        top, left = int(start.group(2)) - 1, column_number(start.group(1))
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
    sheet = read_sheet(place)
    start, end = CELL.match(first.strip()), CELL.match(last.strip())
    if start is None:
        top, left, bottom, right = _named(place, sheet, first.strip())
    else:
        top, left = int(start.group(2)) - 1, column_number(start.group(1))
        bottom, right = sheet.height - 1, sheet.width - 1
        if end is not None:
            bottom, right = int(end.group(2)) - 1, column_number(end.group(1))
        elif last.strip().isdecimal():
            bottom = int(last.strip()[:10]) - 1
        elif last.strip():
            right = column_number(last.strip())
    bottom, right = min(bottom, sheet.height - 1), min(right, sheet.width - 1)
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


def _named(place: Place, sheet: Sheet, name: str) -> tuple[int, int, int, int]:
    bounds = sheet.names.get(name.lower())
    if bounds is None:
        raise place.error(
            f"'{name}' is neither a cell such as 'B2' nor a named range of '{place.file}'"
        )
    return bounds


def _clipped(place: Place, sheet: Sheet, name: str) -> tuple[int, int, int, int]:
    """Bounds of a named range inside the sheet; A1:A1048576 is the column as far as it goes."""
    top, left, bottom, right = _named(place, sheet, name)
    return top, left, min(bottom, sheet.height - 1), min(right, sheet.width - 1)


def _named_series(
    place: Place, sheet: Sheet, axis: str, cell: str
) -> tuple[FloatArray, FloatArray]:
    top, left, bottom, right = _clipped(place, sheet, axis)
    if bottom > top and right > left:
        raise place.error(f"the range '{axis}' of '{place.file}' is a table; times are a list")
    lying = right > left
    places = [(r, c) for r in range(top, bottom + 1) for c in range(left, right + 1)]
    times = _numbers(place, sheet, places)
    top, left, bottom, right = _clipped(place, sheet, cell)
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
            "they must have the same length"
        )
    return times, grid


def _until_the_end(
    place: Place, sheet: Sheet, cells: Sequence[tuple[int, int]], axis: int
) -> list[int]:
    """Rows or columns of the times, from the first number on.

    An empty cell or a word among them is passed over; a time after such a gap that is not later
    than the one before it ends them, because another table begins there.  (Vensim's outputs with
    SDEverywhere's `directdata_endofdata` and test-models' `get_with_missing_values_xlsx`.)
    """
    found: list[int] = []
    last = -math.inf
    gap = False
    for cell in cells:
        value = sheet.cell(*cell)
        if value is None:
            gap = True
            continue
        if found and gap and isinstance(value, str) and not _is_number(value):
            continue  # the heading of another table
        time = _number_or_word(place, value) if found else _number(place, value)
        if math.isnan(time):
            gap = True
            continue
        if gap and found and time <= last:
            break
        found.append(cell[axis])
        last, gap = time, False
    return found


def _numbers(place: Place, sheet: Sheet, places: list[tuple[int, int]]) -> FloatArray:
    """Numbers of a series; NaN for an empty cell and for a word.

    Vensim ignores a word among numbers (its output with SDEverywhere's
    `directdata_invalidcell`), and tables are written for that.  Text with a digit in it is more
    likely a number that was mistyped, and is refused.
    """
    return np.array([_number_or_word(place, sheet.cell(r, c)) for r, c in places])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _like_a_number(text: str) -> bool:
    """Whether text may be meant as a number: with a digit, or a name that Python reads as one."""
    return _is_number(text) or any(character.isdigit() for character in text)


def _number_or_word(place: Place, value: Cell) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str):
        book = Path(place.file).suffix.lower() in BOOKS
        if book or not _like_a_number(value):
            return math.nan
    return _number(place, value)


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
