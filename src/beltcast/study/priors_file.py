"""The priors of a model as a TOML file, one table per constant or element.

Every error names the file and the line.  The keys are explained in `families` (distributions and
their scales) and in `pooling` (``pool``, ``between``); the result is `priors.Priors`.

A constant over a subscript range is estimated as its ``pool`` says: ``"fixed"`` not at all,
``"pooled"`` once for all elements, ``"each"`` for each element separately (what ``per`` alone
does), ``"partial"`` for each element around a common mean (`pooling`): then ``between``
is the median of the sd between elements, on the working scale, and the prior's own sd is
that of the common mean.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beltcast.engine.syntax import CONTROLS, canonical
from beltcast.errors import (
    BeltcastError,
    PriorError,
    UnknownName,
    did_you_mean,
    gathered,
    quoted,
)
from beltcast.files.toml import Toml, TomlTable
from beltcast.model.labels import ModelLike, VariableLike, find_label, join_label
from beltcast.model.quantities import same_unit
from beltcast.study.distributions import FAMILIES, Family, Scale
from beltcast.study.pooling import sd_label
from beltcast.study.priors import Entry, Priors, make_priors, uniform_entry
from beltcast.study.quantile_families import QUANTILE_FAMILIES, SAME_FAMILY, working_at
from beltcast.study.table_sheets import read_tables

_COMMON_KEYS = ("distribution", "bounds", "unit", "per", "role", "source", "pool")
_POOLS = ("fixed", "pooled", "each", "partial")
_POOL_KEYS = ("between", "between_log_sd")


def read_priors(
    path: str | Path, model: ModelLike, *, faults: list[BeltcastError] | None = None
) -> Priors:
    """Read the priors of a model's parameters.

    Parameters
    ----------
    path : str or Path
        A TOML file, one table per constant or element, see ``models/belt/parameters.toml``.
    model : ModelLike
    faults : list, optional
        Takes the error of each wrong table, which is then left out, instead of raising the first.

    Returns
    -------
    Priors
        One entry per parameter; a table with ``per`` gives one for each element.

    Raises
    ------
    PriorError
        With file and line: the text is not TOML, a name, key or distribution is unknown, a name
        is not a constant or is given twice, the unit is not the model's, bounds are crossed or
        exclude the median, a standard deviation is not above 0.

    Examples
    --------
    >>> from beltcast import load_model, read_priors
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/belt/belt.mdl"))
    >>> priors = read_priors(shipped("models/belt/parameters.toml"), model)
    >>> priors.subset(["Support Gain"]).families
    ('normal',)
    """
    file = read_tables(path, "priors", PriorError)
    entries: list[Entry] = []
    seen: dict[tuple[str, tuple[str, ...]], int | None] = {}
    for header, table in file.tables.items():
        with gathered(faults):
            if not isinstance(table, dict):
                raise PriorError(
                    f"{quoted(header)} is outside a prior; write it under a header such as "
                    '["Exit Rate"]',
                    file.path,
                    file.line(header),
                )
            own = TomlTable(file, (header,), table, PriorError, f"{{}} of {quoted(header)}")
            found = _PriorReader(own, model).entries()
            for entry, elements in found:
                _refuse_twice(entry, elements, seen, file, header)
            seen.update({(entry.name, elements): file.line(header) for entry, elements in found})
            entries.extend(entry for entry, _ in found)
    return make_priors(entries, path=file.path, sha256=file.sha256)


def _refuse_twice(
    entry: Entry,
    elements: tuple[str, ...],
    seen: Mapping[tuple[str, tuple[str, ...]], int | None],
    file: Toml,
    header: str,
) -> None:
    for (name, others), line in seen.items():
        # A prior of the whole constant, (), overlaps with one of any of its elements.
        if name == entry.name and (others == elements or not others or not elements):
            raise PriorError(
                f"{quoted(entry.label)} is given twice, first in line {line}; keep one of them",
                file.path,
                file.line(header),
            )


@dataclass(frozen=True)
class _PriorReader:
    """Reads one table of the file."""

    table: TomlTable
    model: ModelLike

    @property
    def header(self) -> str:
        return self.table.keys[0]

    def entries(self) -> list[tuple[Entry, tuple[str, ...]]]:
        table = self.table
        variable, elements = self._constant()
        family = self._family()
        if family in QUANTILE_FAMILIES:
            return self._by_quantile(family, variable, elements)
        scale = FAMILIES[family]
        pool = self._pool()
        partial = _POOL_KEYS if pool == "partial" else ()
        known = (*_COMMON_KEYS, scale.centre, scale.sd, *partial)
        table.only(known, f"a {family} prior")
        self._check_unit(variable)
        each = self._elements(variable, elements)
        lower, upper = self._bounds(family)
        role, source = table.text("role", "other"), table.text("source", "")
        if pool == "fixed":
            return []
        if pool == "pooled":
            each = [elements]
        by_element = "per" in table and pool != "pooled"
        if family == "uniform":
            if pool == "partial":
                raise table.fail("a uniform prior has no partial pooling; use normal", "pool")
            ends = table.pair("bounds", finite=True)
            labels = [join_label(variable.name, one) for one in each]
            return [
                (uniform_entry(label, variable.name, role, variable.unit, source, ends), one)
                for label, one in zip(labels, each, strict=True)
            ]
        result = []
        for one in each:
            label = join_label(variable.name, one)
            centre = self._centre(scale, variable, one, each, by_element)
            sd = self._sd(scale, one, each, by_element)
            entry = self._entry(label, variable, role, source, family, centre, sd, lower, upper)
            result.append((entry, one))
        return self._around_a_mean(result) if pool == "partial" else result

    def _family(self) -> Family:
        given = self.table.values.get("distribution")
        same = SAME_FAMILY.get(str(given), given)
        known: list[Family] = [*FAMILIES, *QUANTILE_FAMILIES]  # type: ignore[list-item]  # families too
        if same not in known:  # raises for it
            self.table.choice("distribution", known)
        return next(family for family in known if family == same)

    def _check_unit(self, variable: VariableLike) -> None:
        """Compare the unit with that of the model, if the table states one."""
        if self.table.values.get("unit", "") != "":
            self.table.unit("unit", variable.unit, same_unit, variable.name)

    def _by_quantile(
        self, family: Family, variable: VariableLike, elements: tuple[str, ...]
    ) -> list[tuple[Entry, tuple[str, ...]]]:
        """Read a prior of `beltcast.study.quantile_families`, for each element."""
        table, own = self.table, QUANTILE_FAMILIES[family]
        table.only((*_COMMON_KEYS, *own.keys), f"a {family} prior")
        if table.values.get("pool", "each") not in ("each", "pooled"):
            raise table.fail(f"a {family} prior has no such pooling; use lognormal", "pool")
        self._check_unit(variable)
        low, high = own.low, own.high
        if family == "log_uniform":
            numbers = list(table.pair("bounds", finite=True))
            if numbers[0] <= 0:
                raise table.refusal("bounds", "[lower, upper], two numbers above 0")
        else:
            numbers = [
                table.number(key) if key in own.any_sign else table.number(key, above=0.0)
                for key in own.keys
            ]
            if "bounds" in table:
                low, high = table.pair("bounds")
        a, b, c = (*numbers, 0.0, 0.0, 0.0)[:3]
        shape = (a, b, c)

        def end(x: float, domain: float) -> float:
            inside = own.low < x < own.high
            return float(working_at(family, np.array(x), shape)) if inside else domain

        each = self._elements(variable, elements) if table.values.get("pool") != "pooled" else [()]
        entries = []
        for one in each:
            entry = Entry(
                label=join_label(variable.name, one),
                name=variable.name,
                role=table.text("role", "other"),
                unit=variable.unit,
                source=table.text("source", ""),
                family=family,
                mu=0.0,
                sigma=1.0,
                lower=end(low, -math.inf),
                upper=end(high, math.inf),
                shape=shape,
            )
            entries.append((entry, one))
        return entries

    def _pool(self) -> str:
        pool = self.table.choice("pool", _POOLS, "") if "pool" in self.table else ""
        if pool in ("each", "partial") and "per" not in self.table:
            sentence = f"pool = {quoted(pool)} of {quoted(self.header)} does not say over what"
            raise self.table.fail(f"{sentence}; add per = a subscript range", "pool")
        return pool

    def _around_a_mean(
        self, members: list[tuple[Entry, tuple[str, ...]]]
    ) -> list[tuple[Entry, tuple[str, ...]]]:
        """Convert independent parameters to a common mean, their sd and standard normals."""
        key = FAMILIES[members[0][0].family].sd
        if isinstance(self.table.values.get(key), dict):
            sentence = f"{key} of {quoted(self.header)} is that of the common mean"
            raise self.table.fail(f"{sentence}; give one number", key)
        between = self.table.number(
            "between", above=0.0, expected="the median sd of elements, a number above 0"
        )
        log_sd = self.table.number("between_log_sd", 0.5, above=0.0)
        first = members[0][0]
        centre = float(np.mean([entry.mu for entry, _ in members]))
        mean = first._replace(label=first.name, role="pooled", mu=centre, part="mean")
        sd = first._replace(
            label=sd_label(first.name),
            role="pooled",
            unit="Dmnl" if first.family != "normal" else first.unit,
            family="lognormal",
            mu=math.log(between),
            sigma=log_sd,
            lower=-math.inf,
            upper=math.inf,
            part="sd",
        )
        own = [
            (
                entry._replace(
                    mu=0.0,
                    sigma=1.0,
                    lower=-math.inf,
                    upper=math.inf,
                    part="member",
                    offset=entry.mu - centre,
                ),
                elements,
            )
            for entry, elements in members
        ]
        return [(mean, ()), (sd, ()), *own]

    def _entry(
        self,
        label: str,
        variable: VariableLike,
        role: str,
        source: str,
        family: Family,
        centre: float,
        sd: float,
        lower: float,
        upper: float,
    ) -> Entry:
        scale = FAMILIES[family]
        if not scale.low < centre < scale.high:
            sentence = f"{scale.centre} of {quoted(label)} is {centre:g}"
            raise self.table.fail(f"{sentence}, expected a number {scale.domain}", scale.centre)
        if not lower <= centre <= upper:
            sentence = f"{scale.centre} {centre:g} of {quoted(label)} is outside its bounds"
            raise self.table.fail(
                f"{sentence} [{lower:g}, {upper:g}]; widen or move them", "bounds"
            )
        working = scale.to_working
        return Entry(
            label=label,
            name=variable.name,
            role=role,
            unit=variable.unit,
            source=source,
            family=family,
            mu=working(centre),
            sigma=sd,
            # An end of the family's domain is not a bound on the working scale.
            lower=-math.inf if lower <= scale.low else working(lower),
            upper=math.inf if upper >= scale.high else working(upper),
        )

    def _constant(self) -> tuple[VariableLike, tuple[str, ...]]:
        try:
            variable, elements = find_label(self.header, self.model)
        except UnknownName as unknown:
            raise self.table.fail(unknown.sentence) from None
        if variable.kind != "constant":
            sentence = f"{quoted(variable.name)} is of kind {quoted(variable.kind)} in the model"
            raise self.table.fail(f"{sentence}; a prior needs a constant")
        if canonical(variable.name) in CONTROLS:
            sentence = f"{quoted(variable.name)} sets the time grid of all runs and has no prior"
            raise self.table.fail(f"{sentence}; change it in the model")
        return variable, elements

    def _elements(self, variable: VariableLike, elements: tuple[str, ...]) -> list[tuple[str, ...]]:
        if "per" not in self.table:
            return [elements]
        per = self.table.text("per")
        dims = {canonical(dim): dim for dim in variable.dims}
        if elements or canonical(per) not in dims:
            if elements or not dims:
                sentence = f"per = {quoted(per)} of {quoted(self.header)}, which has no dimension"
                raise self.table.fail(f"{sentence} left; remove per", "per")
            sentence = f"per = {quoted(per)} is not a dimension of {quoted(variable.name)}"
            raise self.table.fail(f"{sentence}{did_you_mean(per, dims.values())}", "per")
        if len(dims) > 1:
            left = ", ".join(dim for dim in variable.dims if canonical(dim) != canonical(per))
            sentence = f"per = {quoted(per)} of {quoted(variable.name)} leaves {quoted(left)} open"
            raise self.table.fail(f"{sentence}; give one table for each element", "per")
        return [(element,) for element in self.model.subscripts[dims[canonical(per)]]]

    def _centre(
        self,
        scale: Scale,
        variable: VariableLike,
        one: tuple[str, ...],
        each: list[tuple[str, ...]],
        by_element: bool,
    ) -> float:
        found = self._number(scale.centre, one, each, by_element)
        return self._model_value(variable, one, scale) if found is None else found

    def _model_value(self, variable: VariableLike, one: tuple[str, ...], scale: Scale) -> float:
        if one or not variable.dims:
            return self.model.value(join_label(variable.name, one))
        # One parameter for all elements: the model's own value is one only if they agree.
        ranges = [self.model.subscripts[dim] for dim in variable.dims]
        values = {
            self.model.value(join_label(variable.name, elements))
            for elements in itertools.product(*ranges)
        }
        if len(values) > 1:
            sentence = f"{quoted(variable.name)} has several values in the model"
            raise self.table.fail(
                f"{sentence}; give a {scale.centre}, or per = {variable.dims[0]!r}"
            )
        return values.pop()

    def _sd(
        self,
        scale: Scale,
        one: tuple[str, ...],
        each: list[tuple[str, ...]],
        by_element: bool,
    ) -> float:
        found = self._number(scale.sd, one, each, by_element)
        if found is None:
            where = f" for {quoted(one[0])}" if by_element and scale.sd in self.table else ""
            sentence = f"{quoted(self.header)} has no {scale.sd}{where}"
            raise self.table.fail(f"{sentence}; add {scale.sd} = a number above 0", scale.sd)
        if found <= 0:
            sentence = f"{scale.sd} of {quoted(self.header)} is {found:g}"
            raise self.table.fail(f"{sentence}, expected a number above 0", scale.sd)
        return found

    def _number(
        self,
        key: str,
        one: tuple[str, ...],
        each: list[tuple[str, ...]],
        by_element: bool,
    ) -> float | None:
        """Read a number, or with ``per`` the element's own from a table; None without one."""
        if key not in self.table:
            return None
        if not (isinstance(self.table.values[key], dict) and by_element):
            return self.table.number(key)
        given = self.table.table(key)
        known = {canonical(element[0]): element[0] for element in each}
        chosen: dict[str, float] = {}
        for name in given:
            if canonical(name) not in known and canonical(name) != "default":
                meant = did_you_mean(name, known.values())
                raise given.fail(f"{quoted(name)} is not an element{meant}", name)
            if canonical(name) in chosen:
                raise given.fail(f"{quoted(name)} is given twice; keep one of them", name)
            chosen[canonical(name)] = given.number(name)
        return chosen.get(canonical(one[0]), chosen.get("default"))

    def _bounds(self, family: Family) -> tuple[float, float]:
        scale = FAMILIES[family]
        lower, upper = self.table.pair("bounds", (scale.low, scale.high))
        if lower < scale.low or upper > scale.high:
            sentence = f"bounds [{lower:g}, {upper:g}] leave the domain of a {family} prior"
            expected = f"expected within [{scale.low:g}, {scale.high:g}]"
            raise self.table.fail(f"{sentence}; {expected}", "bounds")
        return lower, upper
