"""Time series: a table of times and values, read with stated assumptions.

The file is what any spreadsheet exports: times in the first column, one variable of the model in
each other column, named in the header (``Infected``, ``output[Shenzhen]``).  A table of two columns
may leave the header out when the variable is given.  `Series.assumed` lists, in sentences, what the
file does not say.

A value is compared with the model's value at that time, in the model's unit, as Vensim compares
data with a run.  (`observations` reads totals of periods with their definition and source.)  Errors
are relative and normal in logs, so values must be above 0; the standard deviation of the errors is
estimated unless a payoff gives it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beltcast.errors import TableError, UnknownName, did_you_mean, quoted
from beltcast.files.text import Text, read_text
from beltcast.model.model import Model
from beltcast.model.quantities import is_flow
from beltcast.schema import TOTAL
from beltcast.study.noise import Definition, Noise
from beltcast.study.observations import Observation, Observations
from beltcast.study.tables import filled_rows, is_number

SD = 0.1
"""Assumed standard deviation of the log of an observation, where the fit starts."""

SPREAD_SD = 1.0
"""Prior standard deviation of the log of that: a factor of three either way is plausible."""


@dataclass(frozen=True)
class Payoff:
    """One term of the payoff: a variable, its data and its weight.

    Attributes
    ----------
    variable : str
        ``Name`` or ``Name[Element]`` of the model.
    data : str
        Column of the table.
    sd : float
        Standard deviation of the errors, of logs where ``log``, else in the variable's unit.
    log : bool
    """

    variable: str
    data: str
    sd: float
    log: bool


@dataclass(frozen=True)
class Series:
    """Observations and their noise, ready for `make_likelihood`, and what was assumed."""

    observations: Observations
    noise: Noise
    assumed: tuple[str, ...]


def read_series(
    path: str | Path,
    model: Model,
    variable: str | None = None,
    *,
    sd: float | None = None,
    payoff: Sequence[Payoff] = (),
) -> Series:
    r"""Read a table of times and values.

    Parameters
    ----------
    path : str or Path
        A CSV file; an empty cell is no observation.
    model : Model
    variable : str, optional
        Variable of the second column of a table of two columns; named by its header by default.
    sd : float, optional
        Standard deviation of the errors, of logs: 0.1 is about 10%.  Estimated by default.
    payoff : sequence of Payoff, optional
        Terms of the payoff, as `read_vpd` returns them; other columns are left out.

    Returns
    -------
    Series

    Raises
    ------
    TableError
        With file and line: a header that names no variable, a time or value that is no number, a
        value that is not above 0, a time given twice.

    Examples
    --------
    >>> import tempfile
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/sir/sir.mdl"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "flu.csv"
    ...     _ = path.write_text("time,Infected\n1,3\n2,8\n")
    ...     series = read_series(path, model)
    >>> print(*series.assumed, sep="\n")
    values of Infected are in the model's unit, person, at each time (in Year)
    errors are relative, and their spread is estimated, starting from 10%
    """
    text = read_text(path, TableError)
    table = _table(text, variable)
    elements = _elements(text, table.header, model, sd, payoff)
    rows: list[Observation] = []
    definitions: dict[str, Definition] = {}
    assumed: dict[str, None] = {}
    for column, element in elements:
        label, belts, unit = _meaning(text, model, element.variable)
        said = f"values of {element.variable} are in the model's unit, {unit or 'none'}, at each"
        assumed[f"{said} time (in {model.time_unit})"] = None
        for line, time, cell in table.column(column, text):
            value = _positive(cell, text, line)
            one = element.sd if element.log else element.sd / value
            name = f"{element.data}, sd {one:g}"
            definitions[name] = Definition(element.data, 0.0, 0.0, one)
            rows.append(_row(model, line, label, belts, unit, time, value, name))
    if not rows:
        raise TableError("the table has no values; add at least one row", text.path)
    if any(not element.log for _, element in elements):
        assumed["errors in the variable's unit are taken as relative ones at each value"] = None
    elif sd is None and not payoff:
        shared = ", one for all columns," if len(elements) > 1 else ""
        sentence = f"errors are relative, and their spread{shared} is estimated, starting from"
        assumed[f"{sentence} {SD:.0%}"] = None
    else:
        assumed["errors are relative, with the given spread"] = None
    noise = Noise(
        grade={"A": 0.0, "B": 0.0, "C": 0.0},
        vintage={"final": 0.0, "revised": 0.0, "preliminary": 0.0, "only": 0.0},
        year_shock=0.0,
        year_shocks={},
        season_mean=0.0,
        season_sd=0.0,
        definitions=definitions,
        spread_sd=SPREAD_SD if sd is None and not payoff else 0.0,
    )
    return Series(Observations(tuple(rows), text.path, text.sha256), noise, tuple(assumed))


@dataclass(frozen=True)
class _Table:
    """Cells with their lines; the first column is the time."""

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def column(self, k: int, text: Text) -> list[tuple[int, float, str]]:
        """Line, time and cell of each row where the column is filled."""
        found: list[tuple[int, float, str]] = []
        lines: dict[float, int] = {}
        for line, cells in self.rows:
            if not cells[k]:
                continue
            time = _number(cells[0], "time", text, line)
            if time in lines:
                raise TableError(
                    f"the time {time:g} is there twice, first in line {lines[time]}; keep one",
                    text.path,
                    line,
                )
            lines[time] = line
            found.append((line, time, cells[k]))
        return found


def _table(text: Text, variable: str | None) -> _Table:
    rows = [(line, tuple(cells)) for line, cells in filled_rows(text)]
    if not rows:
        raise TableError("the table has no values; add at least one row", text.path)
    line, header = rows[0]
    width = len(header)
    if width < 2:
        raise TableError(
            "the table has one column, expected times and values, separated by commas; add the "
            "other",
            text.path,
            line,
        )
    for line, cells in rows:
        if len(cells) != width:
            sentence = f"the row has {len(cells)} fields, expected {width}; complete it"
            raise TableError(sentence, text.path, line)
    if is_number(header[0]):
        if variable is None or width != 2:
            raise TableError(
                "the table has no header; add one that names a variable of the model, or give "
                "two columns and the variable",
                text.path,
                1,
            )
        return _Table(("time", variable), tuple(rows))
    named = ("time", variable) if variable is not None and width == 2 else header
    for k, name in enumerate(named[1:], start=1):
        if name in named[1:k]:
            raise TableError(
                f"the column {quoted(name)} is there twice, and its figures would count twice; "
                "keep one",
                text.path,
                rows[0][0],
            )
    return _Table(named, tuple(rows[1:]))


def _elements(
    text: Text, header: Sequence[str], model: Model, sd: float | None, payoff: Sequence[Payoff]
) -> list[tuple[int, Payoff]]:
    """Column and element of each thing that is fitted."""
    if not payoff:
        if sd is not None and not 0 < sd < math.inf:
            raise TableError(f"sd is {sd:g}, expected a spread of logs above 0, such as 0.1")
        return [(k, Payoff(n, n, sd or SD, True)) for k, n in enumerate(header) if k]
    found = []
    for element in payoff:
        if element.data not in header[1:]:
            known = did_you_mean(element.data, header[1:])
            raise TableError(
                f"the payoff compares {quoted(element.variable)} with {quoted(element.data)}, "
                f"which is no column{known}",
                text.path,
                1,
            )
        found.append((header.index(element.data, 1), element))
    return found


def _meaning(text: Text, model: Model, label: str) -> tuple[str, tuple[str, ...], str]:
    """Variable of a column, its elements and its unit."""
    name, bracket, rest = label.partition("[")
    try:
        variable = model.find(name.strip())
        model.rows(label)
    except UnknownName as unknown:
        sentence = f"the column {quoted(label)} names no variable: {unknown.sentence}"
        raise TableError(sentence, text.path, 1) from None
    if variable.kind not in ("stock", "auxiliary") or len(variable.dims) > 1:
        raise TableError(
            f"{quoted(label)} is of kind {quoted(variable.kind)} over "
            f"{len(variable.dims)} ranges; a series needs a stock or an auxiliary over one at most",
            text.path,
            1,
        )
    if not variable.dims:
        return variable.name, (), variable.unit
    every = tuple(model.subscripts[variable.dims[0]])
    wanted = rest.rstrip("] ").casefold()
    return (
        variable.name,
        tuple(e for e in every if e.casefold() == wanted) if bracket else every,
        variable.unit,
    )


def _row(
    model: Model,
    line: int,
    label: str,
    belts: tuple[str, ...],
    unit: str,
    time: float,
    value: float,
    definition: str,
) -> Observation:
    # Under Euler a flow is constant within a step: its total over one is its value times the step.
    step = model.grid().step if is_flow(unit) else 0.0
    return Observation(
        line=line,
        place=belts[0] if len(belts) == 1 else TOTAL,
        belts=belts,
        quantity=label,
        kind="level",
        start=time,
        end=time + step,
        value=value * step if step else value,
        unit=unit,
        definition=definition,
        vintage="only",
        grade="A",
        published=time,
        source="a table of times and values",
    )


def _number(cell: str, what: str, text: Text, line: int) -> float:
    if not is_number(cell):
        sentence = f"{what} is {quoted(cell)}, expected a number written like 12.5; correct it"
        raise TableError(sentence, text.path, line)
    return float(cell)


def _positive(cell: str, text: Text, line: int) -> float:
    value = _number(cell, "value", text, line)
    if value <= 0:
        raise TableError(
            f"value is {value:g}, expected one above 0, since errors are relative; leave the cell "
            "empty",
            text.path,
            line,
        )
    return value
