"""Published units and the units of the model.

A published number has a unit of its publisher (``bn USD``, ``亿元``, ``户``); the model uses units
of its own (``bnCNY/Year``). Each published unit is a factor and a model unit, and pint converts
between them. The registry starts empty and defines only the units that the model or a publisher
uses, so nothing converts by accident.

Three rules apply:

- A variable per time is a *flow*. What is published about it is a total, its integral over the
  period, so the total has the variable's unit times Year.
- Dollars are turned into yuan at the annual average rate of the period's year; a period over
  several years takes the mean of their rates, weighted by time.
- Text from a table is looked up, never evaluated; only unit text of the model file is parsed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import pint

from beltcast.errors import UnitError, quoted

PUBLISHED_UNITS: Mapping[str, tuple[float, str]] = {
    "bn CNY": (1.0, "bnCNY"),
    "100m CNY": (0.1, "bnCNY"),
    "亿元": (0.1, "bnCNY"),
    "trn CNY": (1000.0, "bnCNY"),
    "万亿元": (1000.0, "bnCNY"),
    "10k CNY": (1e-5, "bnCNY"),
    "万元": (1e-5, "bnCNY"),
    "bn USD": (1.0, "bnUSD"),
    "100m USD": (0.1, "bnUSD"),
    "亿美元": (0.1, "bnUSD"),
    "万亿美元": (1000.0, "bnUSD"),
    "%": (0.01, "Dmnl"),
    "firm": (1.0, "firm"),
    "firms": (1.0, "firm"),
    "enterprises": (1.0, "firm"),
    "sellers": (1.0, "firm"),
    "户": (1.0, "firm"),
    "家": (1.0, "firm"),
}
"""Published word -> (factor, unit of the registry)."""

_SYNONYMS = {"dimensionless": "Dmnl", "fraction": "Dmnl", "dmnl": "Dmnl", "1": "Dmnl", "": "Dmnl"}
_UNIT_TEXT = re.compile(r"[\w\s./*^()]*")
_WORD = re.compile(r"[^\W\d]\w*")


def convert(
    value: float,
    unit: str,
    model_unit: str,
    *,
    start: float,
    end: float,
    usd_cny: Mapping[int, float],
) -> float:
    """Convert a published number to the unit of a model variable.

    Parameters
    ----------
    value : float  [unit]
    unit : str
        A word of `PUBLISHED_UNITS`, or a unit made of the model's own words.
    model_unit : str
        Unit of the variable, or of its integral over the period.
    start, end : float  [Year]
        The period, for the exchange rate.
    usd_cny : mapping
        Year -> yuan for a dollar, annual average.

    Returns
    -------
    float  [model_unit]

    Raises
    ------
    UnitError
        The unit is unknown, does not convert, or the rate of a year is missing.

    Examples
    --------
    >>> convert(10.0, "100m USD", "bnCNY", start=2023.0, end=2024.0, usd_cny={2023: 7.0})
    7.0
    """
    words = {word.casefold(): word for word in PUBLISHED_UNITS}
    word = words.get(" ".join(unit.split()).casefold().removesuffix("人民币"))
    target = _measure(model_unit)
    if word is None and (own_size := _size_in(unit, target)) is not None:
        return value * own_size
    if word is None:
        # The whole list and no near match: 'bn USD' is close to 'bn EUR', and was not meant.
        known = ", ".join(quoted(word) for word in PUBLISHED_UNITS)
        sentence = f"unknown unit {quoted(unit)}; expected one of {known}"
        raise UnitError(f"{sentence}, or the model's own, {quoted(model_unit)}")
    factor, own = PUBLISHED_UNITS[word]
    amount = value * factor
    if own == "bnUSD" and target.dimensions == _measure("bnCNY").dimensions:
        amount, own = amount * mean_rate(usd_cny, start, end), "bnCNY"
    given = _measure(own)
    if given.dimensions != target.dimensions:
        sentence = f"unit {quoted(unit)} does not convert to {quoted(model_unit)} of the model"
        raise UnitError(f"{sentence}; give the number in a unit that does")
    return amount * (given.size / target.size)


def _size_in(unit: str, target: _Measure) -> float | None:
    """Size of a unit in another one of the same dimensions; None if the dimensions differ."""
    try:
        given = _measure(unit)
    except UnitError:
        return None
    return given.size / target.size if given.dimensions == target.dimensions else None


def mean_rate(usd_cny: Mapping[int, float], start: float, end: float) -> float:
    """Yuan for a dollar over a period, the annual averages weighted by time.

    Parameters
    ----------
    usd_cny : mapping
        Year -> annual average.
    start, end : float  [Year]
        Equal for an instant.

    Returns
    -------
    float  [CNY/USD]

    Raises
    ------
    UnitError
        The rate of a year in the period is missing.
    """
    # Months are written with four decimals, so a period may miss its year's end by 5e-5.
    first = math.floor(start + 1e-3)
    last = max(first, math.ceil(end - 1e-3) - 1)
    weights = {
        year: max(min(end, year + 1) - max(start, year), 0.0) for year in range(first, last + 1)
    }
    for year in weights:
        if year not in usd_cny:
            sentence = f"the number is in dollars, and the rate of {year} is not in usd_cny"
            raise UnitError(f"{sentence}; add the annual average of that year")
    if first == last:
        return float(usd_cny[first])
    total = sum(weights.values())
    return sum(weight * usd_cny[year] for year, weight in weights.items()) / total


def is_flow(unit: str) -> bool:
    """Whether a unit is an amount per time, so that a total is its integral.

    >>> is_flow("bnCNY/Year"), is_flow("firm")
    (True, False)
    """
    return _measure(unit).dimensions.get("[time]", 0) == -1


def same_unit(one: str, other: str) -> bool:
    """Whether two unit texts are the same, ignoring spaces, case and synonyms.

    >>> same_unit("1/Year", "1 / year"), same_unit("Dmnl", "1"), same_unit("1/Year", "1/Day")
    (True, True, False)
    """
    return _plain(one) == _plain(other)


def _plain(unit: str) -> str:
    text = re.sub(r"\s+", "", unit).casefold()
    text = re.sub(r"\b(year|day|month|firm)s\b", r"\1", text)
    return _SYNONYMS.get(text, text).casefold()


@dataclass(frozen=True)
class _Measure:
    """A unit: its size in base units, and the powers of its dimensions."""

    size: float
    dimensions: Mapping[str, object]


@lru_cache(maxsize=1024)
def _measure(unit: str) -> _Measure:
    # Cached by the text, on which alone it depends: pint takes milliseconds, and a study asks
    # about a handful of units a thousand times.
    registry = _registry()
    parsed = _parse(registry, unit)
    size = float(registry.Quantity(1.0, parsed).to_base_units().magnitude)
    return _Measure(size, dict(parsed.dimensionality))


def _registry() -> pint.UnitRegistry[float]:
    # A registry of its own for each unit: defining its words must not change shared state.
    registry: pint.UnitRegistry[float] = pint.UnitRegistry(None)
    for definition in (
        "Year = [time] = _ = year = years",
        "Month = Year / 12",
        "Week = Year / 52",
        "Day = Year / 365",
        "bnCNY = [yuan]",
        "bnUSD = [dollar]",
        "firm = [firm] = _ = firms",
        "Dmnl = []",
    ):
        registry.define(definition)
    return registry


def _parse(registry: pint.UnitRegistry[float], unit: str) -> pint.Unit:
    """Parse a unit of the model, whose unknown words become dimensions of their own."""
    text = _SYNONYMS.get(unit.strip().casefold(), unit)
    if not _UNIT_TEXT.fullmatch(text):
        raise UnitError(f"{quoted(unit)} is not a unit; write it like 'bnCNY/Year'")
    for word in dict.fromkeys(_WORD.findall(text)):
        if word not in registry:
            registry.define(f"{word} = [{word}]")
    try:
        return registry.parse_units(text)
    except (pint.PintError, ValueError, TypeError, AssertionError):
        # pint's own parser raises AssertionError for a word with the name of a function.
        raise UnitError(f"{quoted(unit)} is not a unit; write it like 'bnCNY/Year'") from None
