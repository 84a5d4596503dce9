"""Tables that a model refers to: GET DIRECT DATA and GET DIRECT CONSTANTS from CSV files.

Cells are named as in a spreadsheet: ``B2`` is the second column of the second row, ``B2*`` says
that a list runs down the column, ``A`` is a column of times.  An empty cell is a number that
nobody published: it is left out of a series, and refused in a list of constants.

A file named in a model is looked for beside the model and below, nowhere else: a model is
somebody's text and has no business elsewhere on the disk.
"""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.errors import ModelFileError, UnsupportedConstruct

_CELL = re.compile(r"^([A-Za-z]{1,3})([1-9]\d{0,6})(\*?)$")


def read_series(
    model: Path, line: int, file: str, separator: str, time: str, cell: str
) -> tuple[FloatArray, FloatArray]:
    """Read a series that runs down a column.

    Parameters
    ----------
    model, line : Path, int
        The model and the line that asks, for messages and to find the file.
    file, separator : str
        CSV file beside the model, and its separator.
    time : str
        Column of the times, such as ``A``.
    cell : str
        First value, such as ``B2``.

    Returns
    -------
    times, values : (points,)
        Rows where both are given, in ascending time.

    Raises
    ------
    ModelFileError, UnsupportedConstruct
    """
    if not re.fullmatch("[A-Za-z]{1,3}", time):
        raise UnsupportedConstruct(
            f"a series that runs along row {time} is not supported; put time down a column",
            model,
            line,
        )
    rows = _rows(model, line, file, separator)
    top, left, _ = _cell(cell, model, line)
    clock = _column(time)
    points = []
    for row in rows[top:]:
        if len(row) > max(clock, left) and row[clock].strip() and row[left].strip():
            points.append(
                (
                    _number(row[clock], file, model, line),
                    _number(row[left], file, model, line),
                )
            )
    if not points:
        raise ModelFileError(
            f"'{file}' has no number in the column of {cell}; fill it or change the cell",
            model,
            line,
        )
    points.sort()
    times = np.array([p[0] for p in points])
    if np.any(np.diff(times) == 0):
        twice = float(times[:-1][np.diff(times) == 0][0])
        raise ModelFileError(f"'{file}' gives the time {twice:g} twice; keep one row", model, line)
    return times, np.array([p[1] for p in points])


def read_constants(
    model: Path, line: int, file: str, separator: str, cell: str, shape: tuple[int, ...]
) -> FloatArray:
    """Read a constant or a list of them.

    Parameters
    ----------
    cell : str
        ``B2`` for a list along the row (or a table), ``B2*`` for one down the column.
    shape : tuple of int
        Elements of each subscript of the constant: (), (n,) or (rows, columns).

    Returns
    -------
    array of `shape`
    """
    if len(shape) > 2:
        raise UnsupportedConstruct(
            f"a constant with {len(shape)} subscripts cannot come from one table; split it",
            model,
            line,
        )
    rows = _rows(model, line, file, separator)
    top, left, down = _cell(cell, model, line)
    across = (1,) * (2 - len(shape)) + shape
    values = np.empty(across)
    for i, j in np.ndindex(*across):
        row, column = (top + j, left + i) if down else (top + i, left + j)
        text = rows[row][column].strip() if row < len(rows) and column < len(rows[row]) else ""
        if not text:
            raise ModelFileError(
                f"'{file}' is empty at row {row + 1}, column {column + 1}; "
                f"{int(np.prod(across))} numbers from {cell} on are needed",
                model,
                line,
            )
        values[i, j] = _number(text, file, model, line)
    return values.reshape(shape)


def _rows(model: Path, line: int, file: str, separator: str) -> list[list[str]]:
    path = (model.parent / file).resolve()
    if model.parent.resolve() not in path.parents:
        raise ModelFileError(
            f"the model refers to '{file}', outside its own folder; put the file beside the model",
            model,
            line,
        )
    if path.suffix.lower() not in (".csv", ".txt", ".tab"):
        raise UnsupportedConstruct(
            f"'{file}' is not a text table; save the sheet as CSV and refer to that", model, line
        )
    if len(separator) != 1:
        raise ModelFileError(
            f"'{separator}' is no separator of a text table; write ',' in its place", model, line
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.reader(stream, delimiter=separator))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise ModelFileError(
            f"the table '{file}' cannot be read ({problem}); "
            "it must be UTF-8 text beside the model",
            model,
            line,
        ) from None


def _cell(text: str, model: Path, line: int) -> tuple[int, int, bool]:
    match = _CELL.match(text.strip())
    if match is None:
        raise ModelFileError(f"'{text}' is not a cell; write one such as 'B2'", model, line)
    return int(match.group(2)) - 1, _column(match.group(1)), bool(match.group(3))


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _number(text: str, file: str, model: Path, line: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in text:  # Python reads 'nan' and '1_000' as numbers
        raise ModelFileError(
            f"'{file}' holds '{text.strip()}' where a number is expected; correct the cell",
            model,
            line,
        )
    return number
