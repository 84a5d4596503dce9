"""Published estimates of the effect of a change: the log ratio of two runs of the model.

An experiment or a difference in differences measures no level; it measures the difference between a
quantity with a change and the same quantity without it.  A row of a table of contrasts states it::

    id,place,quantity,start,end,change,log_difference,standard_error,group,grade,published,source
    zones,Shenzhen,entry,2016,2021,Zone Share = 0,-0.12,0.06,zones,C,2024.5,Yuan et al. 2024

It is an observation of ``log(quantity in a second run) - log(quantity)``, where the second run has
the constants of `change` and otherwise the same parameters.  `beltcast.inference.contrast_rows`
compares it with the model.  Several places of one row are separated by ``;``, with one start and
one end or one for each: the estimate is of the mean of their log differences.  Where ``per`` is
given, the log difference of the model is divided by it (the log change of a price, for an
elasticity).  ``use`` is ``yes``, or the reason why a row is excluded; the rest of an excluded row
is not read.

The table ``[contrasts]`` of a study gives the correlation of the errors of one group, and how much
publication bias may inflate standard errors: each is multiplied by a factor
``exp(bias |x|)``, x standard normal and common to a group, `bias` by grade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from beltcast.engine.syntax import CONTROLS, canonical
from beltcast.errors import InputError, TableError, UnknownName, did_you_mean, quoted
from beltcast.files.text import read_text
from beltcast.files.toml import TomlTable
from beltcast.files.workbook import sheet_path
from beltcast.model.labels import ModelLike, VariableLike, find_label, join_label
from beltcast.study.places import all_places
from beltcast.study.tables import about, check_filled, located, number, records

CORRELATION = 0.7
"""Correlation of the errors of one group, unless the study gives another: papers on one policy
share cities and years."""

BIAS: Mapping[str, float] = MappingProxyType({"A": 0.0, "B": 0.5, "C": 1.0})
"""Scale of the log of the factor of publication bias by grade, unless the study gives others.
Nearly 80 % of the effects reported in 159 literatures of economics are exaggerated, typically by a
factor of two and a third of them by four or more (Ioannidis, Stanley and Doucouliagos 2017,
Economic Journal 127, F236-F265): for grade C the factor has the median 2."""

_COLUMNS = (
    "id",
    "place",
    "quantity",
    "start",
    "end",
    "change",
    "log_difference",
    "standard_error",
    "group",
    "grade",
    "published",
    "source",
)
_OPTIONAL = (
    *("use", "per", "kind", "changed", "coding", "se_basis", "unit", "sample", "design", "checked"),
    *("paper", "page", "url", "quote", "note"),
)


@dataclass(frozen=True)
class Period:
    """A place and a period of one contrast.

    Attributes
    ----------
    place : str
    elements : tuple of str
        Elements that the place sums over; empty for a quantity without dimensions.
    start, end : float  [Year]
    """

    place: str
    elements: tuple[str, ...]
    start: float
    end: float


@dataclass(frozen=True)
class Contrast:
    """One published log difference.

    Attributes
    ----------
    line : int
        Of the file, counted from 1.
    name : str
    quantity : str
        The variable, as the model spells it.
    periods : tuple of Period
        The estimate is of the mean over these.
    change : mapping of str to float
        Constants of the second run by label, ``Name`` or ``Name[Element]``.
    per : float
        Divisor of the model's log difference.
    value, sd : float
        Published log difference (divided by `per`) and its standard error, before any bias.
    group, grade : str
    published : float  [Year]
    source : str
    """

    line: int
    name: str
    quantity: str
    periods: tuple[Period, ...]
    change: Mapping[str, float]
    per: float
    value: float
    sd: float
    group: str
    grade: str
    published: float
    source: str


@dataclass(frozen=True)
class Contrasts:
    """Rows of a table of contrasts, and the assumptions about their errors.

    Attributes
    ----------
    rows : tuple of Contrast
    left_out : mapping of str to str
        Name of a row that is not used to the reason.
    path : Path
    sha256 : str
        Of the file's bytes.
    correlation : float
        Of the errors of two rows of one group.
    bias : mapping of str to float
        Scale of the log of the factor of publication bias, by grade.
    """

    rows: tuple[Contrast, ...]
    path: Path
    sha256: str
    left_out: Mapping[str, str] = field(default_factory=dict)
    correlation: float = CORRELATION
    bias: Mapping[str, float] = field(default_factory=lambda: BIAS)

    def __len__(self) -> int:
        return len(self.rows)

    def published_by(self, date: float) -> Contrasts:
        """Keep the rows that were published at a date or before, a year with decimals."""
        return replace(self, rows=tuple(row for row in self.rows if row.published <= date))


def read_contrasts(
    path: str | Path,
    model: ModelLike,
    places: Mapping[str, tuple[str, ...]],
    settings: TomlTable | None = None,
) -> Contrasts:
    """Read a table of contrasts.

    Parameters
    ----------
    path : str or Path
        A CSV file, or a workbook with a sheet ``contrasts``; see the module.
    model : ModelLike
    places : mapping
        Place to its elements, as `read_places` returns them.
    settings : TomlTable, optional
        The table ``[contrasts]`` of a study: ``correlation`` and ``bias``.

    Raises
    ------
    TableError
        With file and line: an unknown constant, quantity or place, an impossible number.
    InputError
        With file and line: a setting out of range.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.files.shipped import shipped
    >>> study = read_study()
    >>> table = shipped("calibration/data/contrasts.csv")
    >>> rows = read_contrasts(table, study.model, study.places).rows
    >>> dict(rows[0].change)
    {'Batch Share': 0.0}
    """
    correlation, bias = CORRELATION, dict(BIAS)
    if settings is not None:
        settings.only(("correlation", "bias"))
        correlation = settings.number("correlation", CORRELATION, least=0.0, below=1.0)
        given = settings.table("bias", optional=True).only(tuple(BIAS))
        bias |= {grade: given.number(grade, least=0.0) for grade in given}
    text = read_text(sheet_path(path, "contrasts"), TableError)
    reader = _Reader(model, all_places(model, places), tuple(bias))
    rows: dict[str, Contrast] = {}
    left_out: dict[str, str] = {}
    for line, cells in records(text, _COLUMNS, _OPTIONAL):
        try:
            check_filled(cells, ("id",))
            name, use = cells["id"], cells.get("use") or "yes"
            if name in rows or name in left_out:
                with about("id"):
                    raise TableError(f"the id {quoted(name)} is given twice; rename one row")
            if use == "yes":
                rows[name] = reader.row(line, cells)
            else:
                left_out[name] = use
        except InputError as problem:
            raise located(problem, text, line) from None
    return Contrasts(tuple(rows.values()), text.path, text.sha256, left_out, correlation, bias)


@dataclass(frozen=True)
class _Reader:
    model: ModelLike
    places: Mapping[str, tuple[str, tuple[str, ...]]]
    grades: Sequence[str]

    def row(self, line: int, cells: Mapping[str, str]) -> Contrast:
        check_filled(cells, [name for name in _COLUMNS if name != "group"])
        sd = _number(cells, "standard_error")
        if not sd > 0:
            with about("standard_error"):
                raise TableError(
                    f"standard_error is {sd:g}, expected a number above 0; correct it, or say in "
                    "the column 'use' why the row is left out"
                )
        per = _number(cells, "per") if cells.get("per") else 1.0
        if per == 0.0:
            with about("per"):
                raise TableError("per is 0, and nothing can be divided by it; leave it empty")
        if cells["grade"] not in self.grades:
            with about("grade"):
                raise TableError(
                    f"grade is {quoted(cells['grade'])}, expected one of {', '.join(self.grades)}"
                )
        variable = self._quantity(cells["quantity"])
        return Contrast(
            line=line,
            name=cells["id"],
            quantity=variable.name,
            periods=self._periods(cells, variable),
            change=self._change(cells["change"]),
            per=per,
            value=_number(cells, "log_difference"),
            sd=sd,
            group=cells["group"] or cells["id"],
            grade=cells["grade"],
            published=_number(cells, "published"),
            source=cells["source"],
        )

    def _quantity(self, name: str) -> VariableLike:
        with about("quantity"):
            try:
                variable = self.model.find(name)
            except UnknownName as unknown:
                raise TableError(f"unknown quantity: {unknown.sentence}") from None
            if variable.kind not in ("stock", "auxiliary"):
                raise TableError(
                    f"{quoted(variable.name)} is of kind {quoted(variable.kind)} in the model; a "
                    "quantity needs a stock or an auxiliary"
                )
            return variable

    def _periods(self, cells: Mapping[str, str], variable: VariableLike) -> tuple[Period, ...]:
        names = _parts(cells["place"])
        ends = []
        for column in ("start", "end"):
            with about(column):
                each = [number(cell, column) for cell in _parts(cells[column])]
                if len(each) not in (1, len(names)):
                    raise TableError(
                        f"{column} gives {len(each)} times for {len(names)} places; give one for "
                        "all, or one for each"
                    )
                ends.append(each * len(names) if len(each) == 1 else each)
        found = []
        for name, start, end in zip(names, *ends, strict=True):
            if end < start:
                with about("end"):
                    raise TableError(f"the period of {quoted(name)} ends before it starts")
            with about("place"):
                found.append(Period(name, self._elements(name, variable), start, end))
        return tuple(found)

    def _elements(self, name: str, variable: VariableLike) -> tuple[str, ...]:
        if canonical(name) not in self.places:
            known = did_you_mean(name, [place for place, _ in self.places.values()])
            raise TableError(f"unknown place {quoted(name)}{known}")
        place, elements = self.places[canonical(name)]
        if not variable.dims:
            return ()
        own = self.model.subscripts[variable.dims[0]]
        if not elements:  # the whole of any range
            return tuple(own)
        if not set(elements) <= set(own):
            raise TableError(
                f"place {quoted(place)} has no elements of {quoted(variable.dims[0])}, the first "
                f"dimension of {quoted(variable.name)}; use another"
            )
        return elements

    def _change(self, cell: str) -> Mapping[str, float]:
        change: dict[str, float] = {}
        with about("change"):
            for part in _parts(cell):
                label, equals, value = part.rpartition("=")
                if not equals:
                    raise TableError(
                        f"{quoted(part)} changes nothing; write 'Constant = value', several "
                        "separated by ';'"
                    )
                try:
                    variable, elements = find_label(label.strip(), self.model)
                except UnknownName as unknown:
                    raise TableError(f"change: {unknown.sentence}") from None
                if variable.kind != "constant" or canonical(variable.name) in CONTROLS:
                    raise TableError(
                        f"{quoted(variable.name)} is not a constant that a second run can "
                        f"set; name "
                        "a constant of the model"
                    )
                change[join_label(variable.name, elements)] = number(value.strip(), "change")
        return change


def _number(cells: Mapping[str, str], column: str) -> float:
    with about(column):
        return number(cells[column], column)


def _parts(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(";") if part.strip()]
