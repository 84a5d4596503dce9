"""Priors and scenarios from a sheet of a workbook, as the tables that a TOML file would hold.

A sheet of priors has a row for each parameter, and a column for each key::

    parameter     distribution  median  log_sd  lower  upper  unit    role    source
    Exit Rate     lognormal             0.3                   1/Year  driver  judgement

A sheet of scenarios has a row for each constant of a scenario; with a time, for each point of an
input series::

    scenario    title             extends   constant                       time  value
    baseline    Baseline
    brand-push  Brands are built  baseline  Brand Building Final Multiplier      1.5

An empty cell is a key that is not given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from beltcast.errors import BOOKS, InputError, quoted
from beltcast.files.text import Text, read_text
from beltcast.files.toml import Toml, read_toml
from beltcast.files.workbook import column_letters, sheet_path
from beltcast.study.tables import filled_rows, is_number

PRIOR_COLUMNS = (
    *("parameter", "distribution", "median", "mean", "log_sd", "sd", "logit_sd"),
    *("lower", "upper", "unit", "per", "pool", "role", "source"),
)
"""Columns of a new sheet of priors; any other key of a prior may be a column too."""

SCENARIO_COLUMNS = (
    *("scenario", "title", "title_zh", "text", "text_zh"),
    *("extends", "constant", "time", "value"),
    *("distribution", "median", "mean", "log_sd", "sd"),
)
"""Columns of a sheet of scenarios."""

_OF_A_SIZE = ("distribution", "median", "mean", "log_sd", "sd")

Cells = dict[str, tuple[Any, str]]
"""Key of a filled cell -> value and letters of the column."""


class _Tables:
    """Tables that grow by rows, with the cell of each key."""

    def __init__(self, text: Text, error: type[InputError]) -> None:
        self.text, self.error = text, error
        self.tables: dict[str, Any] = {}
        self.lines: dict[tuple[str, ...], int] = {}
        self.columns: dict[tuple[str, ...], str] = {}

    def put(self, keys: tuple[str, ...], value: Any, line: int, column: str) -> None:
        at = self.tables
        for depth, key in enumerate(keys[:-1], start=1):
            at = at.setdefault(key, {})
            self.lines.setdefault(keys[:depth], line)
        if keys[-1] in at and at[keys[-1]] != value:
            raise self.fail(f"{quoted(keys[-1])} is given twice; keep one of them", line, column)
        at[keys[-1]] = value
        self.lines.setdefault(keys, line)
        self.columns.setdefault(keys, column)

    def fail(self, sentence: str, line: int, column: str | None = None) -> InputError:
        return self.error(sentence, self.text.path, line, column)

    def rows(self) -> Iterator[tuple[int, Cells]]:
        header: list[str] = []
        for line, cells in filled_rows(self.text):
            if not header:
                header = [cell.casefold() for cell in cells]
                continue
            yield (
                line,
                {
                    name: (_value(cell), column_letters(k))
                    for k, (name, cell) in enumerate(zip(header, cells, strict=False))
                    if cell and name
                },
            )


def read_tables(path: str | Path, sheet: str, error: type[InputError]) -> Toml:
    """Read a TOML file, or of a workbook the sheet ``priors`` or ``scenarios``.

    Parameters
    ----------
    path : str or Path
    sheet : str
    error : type
        Error class of the calling reader.

    Raises
    ------
    InputError
        As ``error``: as in `read_toml` and `beltcast.files.workbook.sheet_text`, or a row that
        does not name its subject.
    """
    path = sheet_path(path, sheet)
    if path.parent.suffix.lower() not in BOOKS:
        return read_toml(path, error)
    found = _Tables(read_text(path, error), error)
    add = _ADD[sheet]
    for line, cells in found.rows():
        add(found, line, cells)
    if not found.tables:
        raise error("the sheet has no row below its header; add one", path)
    text = found.text
    return Toml(text.path, text.sha256, found.tables, found.lines, found.columns)


def _add_prior(found: _Tables, line: int, cells: Cells) -> None:
    name, column = _named(found, line, cells, "parameter")
    if name in found.tables:
        first = found.lines[(name,)]
        raise found.fail(
            f"{quoted(name)} is given twice, first in row {first}; keep one of them", line, column
        )
    found.lines[(name,)] = line
    found.columns[(name,)] = column
    found.tables[name] = {}
    ends = [cells.pop(end, (default, "")) for end, default in _ENDS]
    if any(letters for _, letters in ends):
        at = next(letters for _, letters in ends if letters)
        found.put((name, "bounds"), [value for value, _ in ends], line, at)
    for key, (value, letters) in cells.items():
        if key != "note":
            found.put((name, key), value, line, letters)


_ENDS = (("lower", float("-inf")), ("upper", float("inf")))


def _add_scenario(found: _Tables, line: int, cells: Cells) -> None:
    name, column = _named(found, line, cells, "scenario")
    if name not in found.tables:
        found.tables[name] = {}
        found.lines[(name,)] = line
        found.columns[(name,)] = column
    constant, at = cells.pop("constant", (None, ""))
    time, _ = cells.pop("time", (None, ""))
    value, value_at = cells.pop("value", (None, ""))
    size = {key: cells.pop(key)[0] for key in _OF_A_SIZE if key in cells}
    cells.pop("note", None)
    for key, (text, letters) in cells.items():
        found.put((name, key), text if key in ("code",) else _word(text), line, letters)
    if constant is None:
        if value is not None or size:
            raise found.fail("the row has a value and no constant; name it", line, value_at or None)
        return
    if value is None and not size:
        raise found.fail(f"the row gives no value of {quoted(constant)}; fill it in", line)
    if time is not None:
        found.put((name, "inputs", constant, _word(time)), value, line, value_at)
    else:
        found.put((name, "constants", constant), size or value, line, value_at or at)


_ADD: dict[str, Callable[[_Tables, int, Cells], None]] = {
    "priors": _add_prior,
    "scenarios": _add_scenario,
}


def _named(found: _Tables, line: int, cells: Cells, key: str) -> tuple[str, str]:
    if key not in cells:
        raise found.fail(f"the row has no {key}; name it, or leave the row out", line)
    value, column = cells.pop(key)
    return _word(value), column


def _word(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _value(cell: str) -> Any:
    if cell.casefold() in ("inf", "-inf"):
        return float(cell)
    return float(cell) if is_number(cell) else cell
