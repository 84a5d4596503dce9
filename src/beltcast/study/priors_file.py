"""The priors of a model as a TOML file, one table a constant or element.

Every refusal names the file and the line.  What a key means stands in `families` (distributions
and their scales) and in `pooling` (``pool``, ``between``); what comes out is `priors.Priors`.

A constant over a subscript range is estimated as its ``pool`` says: ``"fixed"`` not at all,
``"pooled"`` once for all elements, ``"each"`` for each element on its own (what ``per`` does by
itself), ``"partial"`` for each element around a common mean (`pooling`): then ``between``
is the median of the spread between elements, on the working scale, and the prior's own spread is
that of the common mean.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from beltcast.engine.syntax import canonical
from beltcast.errors import PriorError, UnknownName, did_you_mean, quoted
from beltcast.files.text import Toml, read_toml
from beltcast.model.labels import ModelLike, VariableLike, find_label, join_label
from beltcast.model.quantities import same_unit
from beltcast.study.distributions import FAMILIES, Family, Scale
from beltcast.study.pooling import spread_label
from beltcast.study.priors import Entry, Priors, make_priors, uniform_entry

_COMMON_KEYS = ("distribution", "bounds", "unit", "per", "role", "source", "pool")
_POOLS = ("fixed", "pooled", "each", "partial")
_POOL_KEYS = ("between", "between_log_sd")


def read_priors(path: str | Path, model: ModelLike) -> Priors:
    """Read the priors of a model's parameters.

    Parameters
    ----------
    path : str or Path
        A TOML file, one table a constant or element, see ``models/belt/parameters.toml``.
    model : ModelLike

    Returns
    -------
    Priors
        One entry a parameter; a table with ``per`` gives one for each element.

    Raises
    ------
    PriorError
        With file and line: the text is not TOML, a name, key or distribution is unknown, a name
        is not a constant or is given twice, the unit is not the model's, bounds are crossed or
        leave out the median, a spread is not above 0.

    Examples
    --------
    >>> from beltcast import load_model, read_priors
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/belt/belt.mdl"))
    >>> priors = read_priors(shipped("models/belt/parameters.toml"), model)
    >>> priors.subset(["Support Entry Gain"]).families
    ('normal',)
    """
    file = read_toml(path, PriorError)
    entries: list[Entry] = []
    seen: dict[tuple[str, tuple[str, ...]], int | None] = {}
    for header, table in file.tables.items():
        found = _TableReader(file, header, model).entries(table)
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
class _TableReader:
    """Reads one table of the file; it only holds what every refusal must name."""

    file: Toml
    header: str
    model: ModelLike

    def entries(self, table: Any) -> list[tuple[Entry, tuple[str, ...]]]:
        if not isinstance(table, dict):
            sentence = f"{quoted(self.header)} stands outside a prior"
            raise self._error(f'{sentence}; write it under a header such as ["Exit Rate"]')
        variable, elements = self._constant()
        family = self._family(table)
        scale = FAMILIES[family]
        pool = self._pool(table)
        known = (
            *_COMMON_KEYS,
            scale.centre,
            scale.spread,
            *(_POOL_KEYS if pool == "partial" else ()),
        )
        for key in table:
            if key not in known:
                sentence = f"unknown key {quoted(key)} of a {family} prior"
                raise self._error(f"{sentence}{did_you_mean(key, known)}", key)
        self._check_unit(table, variable)
        each = self._elements(table, variable, elements)
        lower, upper = self._bounds(table, family)
        role = self._text(table, "role", default="other")
        source = self._text(table, "source")
        if pool == "fixed":
            return []
        if pool == "pooled":
            each = [elements]
        by_element = "per" in table and pool != "pooled"
        result = []
        if family == "uniform":
            if pool == "partial":
                raise self._error("a uniform prior has no partial pooling; use normal", "pool")
            return [
                (self._uniform(join_label(variable.name, one), variable, role, source, table), one)
                for one in each
            ]
        for one in each:
            label = join_label(variable.name, one)
            centre = self._centre(table, scale, variable, one, each, by_element)
            spread = self._spread(table, scale, one, each, by_element)
            entry = self._entry(label, variable, role, source, family, centre, spread, lower, upper)
            result.append((entry, one))
        return self._around_a_mean(result, table) if pool == "partial" else result

    def _pool(self, table: Mapping[str, Any]) -> str:
        pool = table.get("pool", "")
        if "pool" in table and pool not in _POOLS:
            known = did_you_mean(str(pool), _POOLS)
            raise self._error(
                f"unknown pool {quoted(pool)} of {quoted(self.header)}{known}", "pool"
            )
        if pool in ("each", "partial") and "per" not in table:
            sentence = f"pool = {quoted(pool)} of {quoted(self.header)} does not say over what"
            raise self._error(f"{sentence}; add per = a subscript range", "pool")
        return str(pool)

    def _around_a_mean(
        self, members: list[tuple[Entry, tuple[str, ...]]], table: Mapping[str, Any]
    ) -> list[tuple[Entry, tuple[str, ...]]]:
        """Turn independent parameters into a common mean, a spread and standard normals."""
        if isinstance(table.get(FAMILIES[members[0][0].family].spread), dict):
            key = FAMILIES[members[0][0].family].spread
            sentence = f"{key} of {quoted(self.header)} is that of the common mean"
            raise self._error(f"{sentence}; give one number", key)
        if "between" not in table:
            sentence = f"{quoted(self.header)} has no between"
            raise self._error(f"{sentence}; add between = the median spread of elements", "pool")
        between = self._finite(table["between"], "between")
        log_sd = self._finite(table.get("between_log_sd", 0.5), "between_log_sd")
        for key, value in (("between", between), ("between_log_sd", log_sd)):
            if value <= 0:
                raise self._error(f"{key} is {value:g}, expected a number above 0", key)
        first = members[0][0]
        centre = float(np.mean([entry.mu for entry, _ in members]))
        mean = first._replace(label=first.name, role="pooled", mu=centre, part="mean")
        spread = first._replace(
            label=spread_label(first.name),
            role="pooled",
            unit="Dmnl" if first.family != "normal" else first.unit,
            family="lognormal",
            mu=math.log(between),
            sigma=log_sd,
            lower=-math.inf,
            upper=math.inf,
            part="spread",
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
        return [(mean, ()), (spread, ()), *own]

    def _uniform(
        self,
        label: str,
        variable: VariableLike,
        role: str,
        source: str,
        table: Mapping[str, Any],
    ) -> Entry:
        if "bounds" not in table:
            raise self._error(
                f"{quoted(self.header)} is uniform without bounds; add bounds = [a, b]"
            )
        ends = self._bounds(table, "uniform")
        if not all(map(math.isfinite, ends)):
            raise self._error(f"bounds of {quoted(self.header)} are not finite; give two", "bounds")
        return uniform_entry(label, variable.name, role, variable.unit, source, ends)

    def _entry(
        self,
        label: str,
        variable: VariableLike,
        role: str,
        source: str,
        family: Family,
        centre: float,
        spread: float,
        lower: float,
        upper: float,
    ) -> Entry:
        scale = FAMILIES[family]
        if not scale.low < centre < scale.high:
            sentence = f"{scale.centre} of {quoted(label)} is {centre:g}"
            raise self._error(f"{sentence}, expected a number {scale.domain}", scale.centre)
        if not lower <= centre <= upper:
            sentence = f"{scale.centre} {centre:g} of {quoted(label)} is outside its bounds"
            raise self._error(f"{sentence} [{lower:g}, {upper:g}]; widen or move them", "bounds")
        working = scale.to_working
        return Entry(
            label=label,
            name=variable.name,
            role=role,
            unit=variable.unit,
            source=source,
            family=family,
            mu=working(centre),
            sigma=spread,
            # An end of the family's domain is no bound on the working scale.
            lower=-math.inf if lower <= scale.low else working(lower),
            upper=math.inf if upper >= scale.high else working(upper),
        )

    def _constant(self) -> tuple[VariableLike, tuple[str, ...]]:
        try:
            variable, elements = find_label(self.header, self.model)
        except UnknownName as unknown:
            raise self._error(unknown.sentence) from None
        if variable.kind != "constant":
            sentence = f"{quoted(variable.name)} is of kind {quoted(variable.kind)} in the model"
            raise self._error(f"{sentence}; a prior needs a constant")
        return variable, elements

    def _family(self, table: Mapping[str, Any]) -> Family:
        given = table.get("distribution")
        if given is None:
            sentence = f"{quoted(self.header)} has no distribution"
            raise self._error(f"{sentence}; add one of {', '.join(map(quoted, FAMILIES))}")
        if given not in FAMILIES:
            sentence = f"unknown distribution {quoted(given)}"
            raise self._error(f"{sentence}{did_you_mean(str(given), FAMILIES)}", "distribution")
        family: Family = given
        return family

    def _check_unit(self, table: Mapping[str, Any], variable: VariableLike) -> None:
        unit = self._text(table, "unit")
        if not same_unit(unit, variable.unit):
            sentence = f"{quoted(variable.name)} has unit {quoted(unit)} here"
            expected = f"and {quoted(variable.unit)} in the model; make them the same"
            raise self._error(f"{sentence} {expected}", "unit")

    def _elements(
        self, table: Mapping[str, Any], variable: VariableLike, elements: tuple[str, ...]
    ) -> list[tuple[str, ...]]:
        if "per" not in table:
            return [elements]
        per = self._text(table, "per")
        dims = {canonical(dim): dim for dim in variable.dims}
        if elements or canonical(per) not in dims:
            if elements or not dims:
                sentence = f"per = {quoted(per)} of {quoted(self.header)}, which has no dimension"
                raise self._error(f"{sentence} left; remove per", "per")
            sentence = f"per = {quoted(per)} is not a dimension of {quoted(variable.name)}"
            raise self._error(f"{sentence}{did_you_mean(per, dims.values())}", "per")
        if len(dims) > 1:
            left = ", ".join(dim for dim in variable.dims if canonical(dim) != canonical(per))
            sentence = f"per = {quoted(per)} of {quoted(variable.name)} leaves {quoted(left)} open"
            raise self._error(f"{sentence}; give one table for each element", "per")
        return [(element,) for element in self.model.subscripts[dims[canonical(per)]]]

    def _centre(
        self,
        table: Mapping[str, Any],
        scale: Scale,
        variable: VariableLike,
        one: tuple[str, ...],
        each: list[tuple[str, ...]],
        by_element: bool,
    ) -> float:
        found = self._number(table, scale.centre, one, each, by_element)
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
            raise self._error(f"{sentence}; give a {scale.centre}, or per = {variable.dims[0]!r}")
        return values.pop()

    def _spread(
        self,
        table: Mapping[str, Any],
        scale: Scale,
        one: tuple[str, ...],
        each: list[tuple[str, ...]],
        by_element: bool,
    ) -> float:
        found = self._number(table, scale.spread, one, each, by_element)
        if found is None:
            where = f" for {quoted(one[0])}" if by_element and scale.spread in table else ""
            sentence = f"{quoted(self.header)} has no {scale.spread}{where}"
            raise self._error(f"{sentence}; add {scale.spread} = a number above 0", scale.spread)
        if found <= 0:
            sentence = f"{scale.spread} of {quoted(self.header)} is {found:g}"
            raise self._error(f"{sentence}, expected a number above 0", scale.spread)
        return found

    def _number(
        self,
        table: Mapping[str, Any],
        key: str,
        one: tuple[str, ...],
        each: list[tuple[str, ...]],
        by_element: bool,
    ) -> float | None:
        """Read a number, or with ``per`` the element's own out of a table; None without one."""
        given = table.get(key)
        if not (isinstance(given, dict) and by_element):
            return None if given is None else self._finite(given, key)
        known = {canonical(element[0]): element[0] for element in each}
        chosen: dict[str, float] = {}
        for name, value in given.items():
            if canonical(name) not in known and canonical(name) != "default":
                meant = did_you_mean(name, known.values())
                raise self._error(f"{quoted(name)} is not an element{meant}", key, name)
            if canonical(name) in chosen:
                raise self._error(f"{quoted(name)} is given twice; keep one of them", key, name)
            chosen[canonical(name)] = self._finite(value, key, name)
        return chosen.get(canonical(one[0]), chosen.get("default"))

    def _bounds(self, table: Mapping[str, Any], family: Family) -> tuple[float, float]:
        scale = FAMILIES[family]
        if "bounds" not in table:
            return scale.low, scale.high
        given = table["bounds"]
        if not isinstance(given, list) or len(given) != 2:
            raise self._error(f"bounds are {quoted(given)}, expected [lower, upper]", "bounds")
        lower, upper = (self._real(value, "bounds") for value in given)
        if not lower < upper:
            sentence = f"bounds of {quoted(self.header)} are crossed, [{lower:g}, {upper:g}]"
            raise self._error(f"{sentence}; write the lower one first", "bounds")
        if lower < scale.low or upper > scale.high:
            sentence = f"bounds [{lower:g}, {upper:g}] leave the domain of a {family} prior"
            expected = f"expected within [{scale.low:g}, {scale.high:g}]"
            raise self._error(f"{sentence}; {expected}", "bounds")
        return lower, upper

    def _finite(self, value: Any, *keys: str) -> float:
        number = self._real(value, *keys)
        if math.isinf(number):
            raise self._error(f"{keys[0]} is {number}, expected a finite number", *keys)
        return number

    def _real(self, value: Any, *keys: str) -> float:
        # bool is an int in Python, and no number in TOML.
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise self._error(f"{keys[0]} is {quoted(value)}, expected a number", *keys)
        return float(value)

    def _text(self, table: Mapping[str, Any], key: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if value is None:
            raise self._error(f"{quoted(self.header)} has no {key}; add {key} = a text")
        if not isinstance(value, str) or not value.strip():
            raise self._error(f"{key} is {quoted(value)}, expected a text", key)
        return value

    def _error(self, sentence: str, *keys: str) -> PriorError:
        return PriorError(sentence, self.file.path, self.file.line(self.header, *keys))
