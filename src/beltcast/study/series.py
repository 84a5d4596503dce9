"""Tables of times and values, read with sensible assumptions, each of them reported.

The file is what any spreadsheet exports (`beltcast.study.data_table`): times in the first column, a
variable of the model in each other one, named in the header (``Infected``, ``output[Shenzhen]``); a
table of two columns may leave the header out when the variable is given.  Whatever the file does
not state is assumed, and `Series.assumed` lists it in sentences; a `Column` states it explicitly.

By default a value is compared with the model's variable at that time, in the model's unit, even if
the variable is a rate, as Vensim compares data with a run.  Each column has an error model of
its own: relative errors (log-normal) if all values are above 0, absolute ones (normal)
otherwise, with a standard deviation that is estimated.  Replicates, rows of one time, each count.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from beltcast.engine.syntax import split_label
from beltcast.errors import TableError, UnknownName, did_you_mean, quoted
from beltcast.model.conditions import CONDITION
from beltcast.model.model import Model
from beltcast.model.quantities import is_flow, same_unit
from beltcast.schema import TOTAL
from beltcast.study.columns import Column
from beltcast.study.data_table import DataCell, DataTable, condition_column, read_data_table
from beltcast.study.error_models import SCALED_FAMILIES, ErrorModel
from beltcast.study.noise import Definition, Noise
from beltcast.study.observations import Observation, ObservationKind, Observations

SD = 0.1
"""Prior median of an estimated scale: of logs, or as a part of the values' own sd."""

SCALE_LOG_SD = 2.0
"""Prior standard deviation of the log of that scale: an 80% interval from 1/13 to 13 times it."""

_PREFIXES = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "c": 1e-2, "": 1.0, "k": 1e3, "M": 1e6}
_SI = frozenset({"A", "Bq", "g", "Hz", "J", "l", "L", "m", "mol", "N", "Pa", "s", "V", "W"})
"""Words before which M and m are two prefixes; other units that differ in case alone are one."""


@dataclass(frozen=True)
class Payoff:
    """One element of a Vensim payoff.

    Attributes
    ----------
    variable : str
        ``Name`` or ``Name[Element]`` of the model.
    data : str
        Column of the table; empty for `policy`.
    sd : float
        Standard deviation of the errors, of logs if ``log``, else in the variable's unit; the
        weight for `policy`.
    log : bool
    scale_by : str
        Constant of the model that is the weight; empty if it is a number.
    scale_power : float
        1 if that constant is the standard deviation, -1 if it is one over it.
    policy : str
        'P' or 'PF' if the variable is itself a log likelihood, over the run or at its end.
    """

    variable: str
    data: str
    sd: float
    log: bool
    scale_by: str = ""
    scale_power: float = 1.0
    policy: str = ""


@dataclass(frozen=True)
class Series:
    """Observations and their noise, ready for `make_likelihood`, and what was assumed of them."""

    observations: Observations
    noise: Noise
    assumed: tuple[str, ...]


def read_series(
    path: str | Path | Sequence[str | Path],
    model: Model,
    variable: str | None = None,
    *,
    sd: float | None = None,
    payoff: Sequence[Payoff] = (),
    columns: Sequence[Column] = (),
) -> Series:
    r"""Read tables of times and values.

    Parameters
    ----------
    path : str or Path, or several
        Tables of data; a cell that is empty or ``NA`` holds no value.
    model : Model
    variable : str, optional
        Variable of the second column of a table of two columns; by default its header.
    sd : float, optional
        Standard deviation of the errors of all columns, of logs: 0.1 is about 10%.  Estimated for
        each column by default.
    payoff : sequence of Payoff, optional
        What is fitted to which column, with which standard deviation, as `read_vpd` returns it;
        columns without an element are left out.
    columns : sequence of Column, optional
        Settings of columns, as `read_columns` returns them.

    Raises
    ------
    TableError
        With file and line: no header names a variable, a header is close to a variable's name, a
        time or value is not a number, a value is impossible for the errors of its column.

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
    Infected: the model's variable, in its unit person, at each time (in Year)
    Infected: relative (log-normal) errors; their standard deviation is estimated, starting at 10%
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    if not paths:
        raise TableError("no table of data was given; give at least one")
    if sd is not None and not 0 < sd < math.inf:
        raise TableError(
            f"sd is {sd:g}, expected a standard deviation of logs above 0, such as 0.1"
        )
    start = model.grid().start
    tables = [
        read_data_table(one, variable=variable, time_unit=model.time_unit, initial_time=start)
        for one in paths
    ]
    rows: list[Observation] = []
    definitions: dict[str, Definition] = {}
    assumed: dict[str, None] = {}
    found: set[str] = set()
    shared: dict[str, float] = {}
    known = [*columns, *map(_as_column, payoff)] if payoff else list(columns)
    several = len(tables) > 1
    if any(condition_column(table) for table in tables):
        tables, known = _by_condition(tables, known, model, sd, shared)
        several = True
    for table in tables:
        assumed |= dict.fromkeys(table.assumed)
        chosen = _chosen(table, model, known, only=bool(payoff), several=several)
        assumed |= dict.fromkeys(_left_out(table, chosen, only=bool(payoff)))
        for column in chosen:
            found.add(column.data)
            made, definition, sentences = _rows_of(table, column, model, sd, shared)
            rows += made
            definitions[made[0].definition if made else column.data] = definition
            assumed |= dict.fromkeys(sentences)
    for element in payoff:
        if element.policy:
            made_policy, definition = _policy_row(element, model)
            rows.append(made_policy)
            definitions[made_policy.definition] = definition
        elif element.data not in found:
            _refuse_payoff(element, tables[0])
    if not rows:
        raise TableError("the table has no values; add at least one row", tables[0].text.path)
    noise = Noise(
        grade={"A": 0.0, "B": 0.0, "C": 0.0},
        vintage={"final": 0.0, "revised": 0.0, "preliminary": 0.0, "only": 0.0},
        year_shock=0.0,
        year_shocks={},
        season_mean=0.0,
        season_sd=0.0,
        definitions=definitions,
        seasonal=False,
    )
    first = tables[0].text
    return Series(Observations(tuple(rows), first.path, first.sha256), noise, tuple(assumed))


def _by_condition(
    tables: Sequence[DataTable],
    known: Sequence[Column],
    model: Model,
    sd: float | None,
    shared: dict[str, float],
) -> tuple[list[DataTable], list[Column]]:
    """Tables and columns of each condition: ``S`` becomes ``S[high]`` in the rows of ``high``.

    The errors of a column are those of all its conditions.
    """
    parts: list[DataTable] = []
    columns = list(known)
    for table in tables:
        at = condition_column(table)
        if not at:
            parts.append(table)
            continue
        if CONDITION not in model.subscripts:
            raise TableError(
                f"the table has a column {quoted(table.header[at])}, and the model has no "
                "conditions; give them with --conditions, or rename the column",
                table.text.path,
                1,
            )
        own: dict[str, Column] = {}
        for header in (name for k, name in enumerate(table.header) if k not in (0, at)):
            given = next((one for one in known if one.data == header), Column(header, header))
            try:
                dims = model.find(split_label(given.variable or header)[0].strip()).dims
            except UnknownName:
                continue
            if CONDITION in dims:
                errors, _ = _errors(given, table.column(header), sd, shared)
                own[header] = replace(given, errors=replace(errors, name=errors.name or header))
        for element in dict.fromkeys(cells[at] for _, cells in table.rows):
            if element not in model.subscripts[CONDITION]:
                line = next(line for line, cells in table.rows if cells[at] == element)
                meant = did_you_mean(element, model.subscripts[CONDITION]) or "; correct it"
                raise TableError(f"no condition {quoted(element)}{meant}", table.text.path, line)
            parts.append(table.of_rows(at, element, {h: f"{h}[{element}]" for h in own}))
            for header, one in own.items():
                variable = f"{one.variable or header}[{element}]"
                columns.append(replace(one, data=f"{header}[{element}]", variable=variable))
    return parts, columns


def _as_column(element: Payoff) -> Column:
    errors = ErrorModel(
        "lognormal" if element.log else "normal",
        element.sd,
        scale_by=element.scale_by,
        scale_power=element.scale_power,
        name=element.data,
    )
    return Column(element.data, element.variable, errors)


def _chosen(
    table: DataTable, model: Model, known: Sequence[Column], *, only: bool, several: bool
) -> list[Column]:
    """Columns of a table that are compared with the model."""
    chosen = [one for one in known if one.data in table.header[1:]]
    missing = [one for one in known if one.data not in table.header[1:]]
    if missing and not only and not several:
        known_headers = did_you_mean(missing[0].data, table.header[1:])
        raise TableError(
            f"the table has no column {quoted(missing[0].data)}{known_headers}", table.text.path, 1
        )
    if only:
        return chosen
    said = {one.data for one in chosen}
    named: list[Column] = []
    refused: TableError | None = None
    for header in table.header[1:]:
        if header in said:
            continue
        try:
            _variable_of(table, header, model)
            named.append(Column(header, header))
        except TableError as problem:
            # A misspelt name is an error; a column of remarks is ignored.
            if "did you mean" in problem.sentence or "of kind" in problem.sentence:
                raise
            refused = refused or problem
    if not named and not chosen and refused is not None:
        raise refused
    return [*chosen, *named]


def _left_out(table: DataTable, chosen: Sequence[Column], *, only: bool) -> list[str]:
    if only:
        return []
    taken = {one.data for one in chosen}
    return [
        f"the column {quoted(name)} names no variable of the model and is left out"
        for name in table.header[1:]
        if name not in taken
    ]


def _refuse_payoff(element: Payoff, table: DataTable) -> None:
    known = did_you_mean(element.data, table.header[1:])
    raise TableError(
        f"the payoff compares {quoted(element.variable)} with {quoted(element.data)}, which "
        f"is not a column{known}",
        table.text.path,
        1,
    )


def _rows_of(
    table: DataTable, column: Column, model: Model, sd: float | None, shared: dict[str, float]
) -> tuple[list[Observation], Definition, list[str]]:
    """Observations of a column, their definition, and what was assumed."""
    label, elements, unit, factor = _variable_of(table, column.variable or column.data, model)
    variable = column.variable or column.data
    cells = [cell._replace(value=cell.value * factor) for cell in table.column(column.data)]
    errors, sentence = _errors(column, cells, sd, shared)
    name = column.data if variable == column.data else f"{variable}, {column.data}"
    errors = replace(errors, name=errors.name or name)
    for cell in cells:
        _check_value(table, column.data, cell, errors)
    rows = [
        _row(table, column, cell, start, label, elements, unit, name)
        for cell, start in zip(cells, _starts_of(column, cells, model), strict=True)
    ]
    said = [f"{column.data}: {_read_as(column, label, unit, model)}", f"{column.data}: {sentence}"]
    return rows, Definition(name, 0.0, 0.0, 0.0, errors), said


def _read_as(column: Column, label: str, unit: str, model: Model) -> str:
    if column.reading == "value":
        of = "rate" if is_flow(unit) else "variable"
        return (
            f"the model's {of}, in its unit {unit or 'none'}, at each time (in {model.time_unit})"
        )
    period = "the time since the row before" if column.period is None else f"{column.period:g}"
    what = "total" if column.reading == "total" else "increase"
    return f"the {what} of {label} over {period} ({model.time_unit}) up to each time"


def _errors(
    column: Column, cells: Sequence[DataCell], sd: float | None, shared: dict[str, float]
) -> tuple[ErrorModel, str]:
    """Error model of a column, and its origin.

    Columns whose errors have one name have one scale: the first puts its start in `shared`.
    """
    values = np.array([cell.value for cell in cells])
    given = column.errors
    if given is None and sd is not None:
        given = ErrorModel("lognormal", sd)
    if given is None:
        given = ErrorModel("normal" if (values <= 0).any() else "lognormal")
    family = {
        "lognormal": "relative (log-normal) errors",
        "normal": "absolute (normal) errors",
        "log_student": "relative errors with Student's t",
        "student": "absolute errors with Student's t",
        "log_density": "a log likelihood itself",
    }.get(given.family, f"counts, {given.family.replace('_', ' ')}")
    if column.errors is None and given.family == "normal":
        family += ", since not all values are above 0"
        if (values == np.round(values)).all() and (values >= 0).all():
            family += (
                " (they are whole numbers; for counts, state errors = "
                '"negative_binomial" or "poisson")'
            )
    if given.family not in SCALED_FAMILIES:
        return given, family
    scale_word = "overdispersion" if given.is_count else "standard deviation"
    if given.scale is not None and given.scale_log_sd == 0:
        by = f" times {given.scale_by}" if given.scale_by else ""
        return given, f"{family}; their {scale_word} is given, {given.scale:g}{by}"
    if given.scale is None:
        scale = SD if given.is_log or given.is_count else SD * _size(values)
        if given.name:
            scale = shared.setdefault(given.scale_name, scale)
        log_sd = given.scale_log_sd or SCALE_LOG_SD
        given = replace(given, scale=scale, scale_log_sd=log_sd)
    assert given.scale is not None
    start = f"{given.scale:.0%}" if given.is_log else f"{given.scale:.3g}"
    return given, f"{family}; their {scale_word} is estimated, starting at {start}"


def _size(values: np.ndarray) -> float:
    """Standard deviation of the values, or their size if they are all equal."""
    return float(values.std() or np.abs(values).max(initial=0.0) or 1.0)


def _check_value(table: DataTable, name: str, cell: DataCell, errors: ErrorModel) -> None:
    value = cell.value
    wrong = ""
    if errors.is_log and value <= 0:
        wrong = (
            'relative errors need values above 0; state errors = "normal", or a family of counts'
        )
    elif errors.is_count and (value < 0 or value != round(value)):
        wrong = "counts are whole numbers, 0 or more; correct it, or state another family"
    elif errors.is_count and cell.side:
        wrong = "a count cannot be a bound; give the count, or leave the cell empty"
    elif errors.family == "binomial" and value > errors.trials:
        wrong = f"a count out of {errors.trials:g} cannot be more; correct it or trials"
    if wrong:
        raise TableError(
            f"the value of {quoted(name)} is {value:g}, and {wrong}", table.text.path, cell.line
        )


def _variable_of(
    table: DataTable, label: str, model: Model
) -> tuple[str, tuple[str, ...], str, float]:
    """Variable of a column, its elements, its unit, and what values are multiplied by."""
    plain, unit_given = _split_unit(label)
    try:
        return _meaning(table, model, label)
    except TableError:
        if not unit_given:
            raise
    name, elements, unit, _ = _meaning(table, model, plain)
    return name, elements, unit, _factor(table, label, unit_given, unit)


def _split_unit(label: str) -> tuple[str, str]:
    """Name and unit of a header such as 'X (mg)'."""
    name, bracket, rest = label.partition("(")
    if bracket and rest.rstrip().endswith(")"):
        return name.strip(), rest.rstrip()[:-1].strip()
    return label, ""


def _factor(table: DataTable, label: str, given: str, unit: str) -> float:
    """Factor between two units that differ by a prefix."""
    word = re.match(r"[A-Za-z]*", given[1:])
    if given[:1] + unit[:1] in ("Mm", "mM") and given[1:] == unit[1:] and word and word[0] in _SI:
        return _PREFIXES[given[0]] / _PREFIXES[unit[0]]
    if same_unit(given, unit):
        return 1.0
    for one, by in _PREFIXES.items():
        for other, of in _PREFIXES.items():
            base, of_model = given[len(one) :], unit[len(other) :]
            prefixed = base and given.startswith(one) and unit.startswith(other)
            if prefixed and same_unit(base, of_model):
                return by / of
    raise TableError(
        f"the column {quoted(label)} is in {quoted(given)}, and the model's variable in "
        f"{quoted(unit)}; convert the values",
        table.text.path,
        1,
    )


def _meaning(table: DataTable, model: Model, label: str) -> tuple[str, tuple[str, ...], str, float]:
    name, bracket, rest = split_label(label)
    try:
        variable = model.find(name.strip())
        model.rows(label)
    except UnknownName as unknown:
        sentence = f"the column {quoted(label)} names no variable: {unknown.sentence}"
        raise TableError(sentence, table.text.path, 1) from None
    if variable.kind not in ("stock", "auxiliary") or len(variable.dims) > 1:
        raise TableError(
            f"{quoted(label)} is of kind {quoted(variable.kind)} over "
            f"{len(variable.dims)} ranges; a series needs a stock or an auxiliary over one at most",
            table.text.path,
            1,
        )
    if not variable.dims:
        return variable.name, (), variable.unit, 1.0
    every = tuple(model.subscripts[variable.dims[0]])
    wanted = rest.rstrip("] ").casefold()
    elements = tuple(e for e in every if e.casefold() == wanted) if bracket else every
    return variable.name, elements, variable.unit, 1.0


def _starts_of(column: Column, cells: Sequence[DataCell], model: Model) -> list[float]:
    """Beginning of the period of each row."""
    times = [cell.time for cell in cells]
    if column.reading == "value":
        return times
    if column.period is not None:
        return [max(t - column.period, model.grid().start) for t in times]
    # Rows of one time are replicates: all begin where the time before ends.
    known = sorted(set(times))
    if len(known) == 1:
        return [model.grid().start for _ in times]
    first = max(known[0] - (known[1] - known[0]), model.grid().start)
    before = dict(zip(known, [first, *known[:-1]], strict=True))
    return [before[t] for t in times]


def _row(
    table: DataTable,
    column: Column,
    cell: DataCell,
    start: float,
    label: str,
    elements: tuple[str, ...],
    unit: str,
    definition: str,
) -> Observation:
    half = 0.5 * column.rounded
    kinds: dict[int, ObservationKind] = {0: "level", -1: "lower", 1: "upper"}
    return Observation(
        line=cell.line,
        place=elements[0] if len(elements) == 1 else TOTAL,
        elements=elements,
        quantity=label,
        kind=kinds[cell.side],
        start=start,
        end=cell.time,
        value=cell.value,
        unit=unit,
        definition=definition,
        vintage="only",
        grade="A",
        published=cell.time,
        source=f"{table.text.path.name}, column {column.data}",
        within=(cell.value - half, cell.value + half) if half and not cell.side else None,
        reading=column.reading,
    )


def _policy_row(element: Payoff, model: Model) -> tuple[Observation, Definition]:
    """Observation whose log likelihood is a variable of the model itself, and its definition."""
    variable = model.find(split_label(element.variable)[0].strip())
    grid = model.grid()
    name = f"payoff {element.variable}"
    errors = ErrorModel("log_density", trials=element.sd, name=name)
    row = Observation(
        line=1,
        place=TOTAL,
        elements=(),
        quantity=variable.name,
        kind="level",
        start=grid.start,
        end=grid.end,
        value=0.0,
        unit=variable.unit,
        definition=name,
        vintage="only",
        grade="A",
        published=grid.end,
        source="a payoff of Vensim",
        reading="total" if element.policy == "P" else "value",
    )
    return row, Definition(name, 0.0, 0.0, 0.0, errors)
