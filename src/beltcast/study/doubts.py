"""Observations that are probably typing errors: a wrong unit, percentage or end of a period.

A doubt is not a fault: it is reported, and the observation is used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from beltcast.display.translations import word
from beltcast.schema import Language
from beltcast.study.observations import Observation, Observations

FACTOR = 5.0
"""How many times its neighbours a number may be, or they it, before it is doubted."""

_NEAREST = 4
_SCOPES = 2.0  # how many times the whole in another statistic a part may be
_SAME = 0.02  # years: the same instant
_MONTH = 0.02  # of a month: half a day, as decimals of a year are rounded


def doubts(observations: Observations, language: Language = "en") -> tuple[str, ...]:
    """Return a sentence for each number that looks like a typing error.

    A level is compared with the geometric mean of the up to four nearest numbers of its series
    (place, quantity, definition), per year; with the level a year before and the growth published
    since; and with places that it is a part of, over the same period.  A growth is compared with
    the levels around it, or with the other rates of its series.  The prior predictive is compared
    by
    `beltcast.inference.audit.prior_predictive`, which needs the model.

    Parameters
    ----------
    observations : Observations
    language : {'en', 'zh'}

    Returns
    -------
    tuple of str
        With lines, in the order of the rows.

    Examples
    --------
    >>> from beltcast import read_study
    >>> isinstance(doubts(read_study().observations), tuple)
    True
    """
    series: dict[tuple[str, str, str], list[Observation]] = {}
    for row in observations:
        if row.kind in ("level", "part-year", "over") and row.value > 0 and not row.reading:
            series.setdefault((row.place, row.quantity, row.definition), []).append(row)
    rates: dict[tuple[str, str, str], list[Observation]] = {}
    for row in observations:
        if row.kind == "growth":
            rates.setdefault((row.place, row.quantity, row.definition), []).append(row)
    levels = [row for own in series.values() for row in own if row.kind == "level"]
    found = []
    for row in observations:
        key = (row.place, row.quantity, row.definition)
        known, growths = series.get(key, []), rates.get(key, [])
        sentences = (
            _magnitude(row, known, language)
            or _step(row, known, growths, language)
            or _part(row, levels, language),
            _growth(row, known, growths, language),
            _period(row, language),
        )
        found += [
            word("doubt line", language, line=row.line, sentence=sentence)
            for sentence in sentences
            if sentence
        ]
    return tuple(found)


def _rate(row: Observation) -> float:
    length = row.end - row.start
    return row.value / length if length > 0 else row.value


def _magnitude(row: Observation, known: Iterable[Observation], language: Language) -> str:
    if row not in known:
        return ""
    others = [o for o in known if o is not row and (o.end > o.start) == (row.end > row.start)]
    others = sorted(others, key=lambda o: abs(o.end - row.end))[:_NEAREST]
    if len(others) < 2:
        return ""
    usual = math.exp(sum(math.log(_rate(o)) for o in others) / len(others))
    # A neighbour that is wrong itself must not cast doubt on the others: half of them must agree.
    times = _rate(row) / usual
    apart = sum(max(_rate(row) / _rate(o), _rate(o) / _rate(row)) > FACTOR for o in others)
    if max(times, 1 / times) <= FACTOR or 2 * apart <= len(others):
        return ""
    return word("doubt size", language, times=times, unit=row.unit)


def _step(
    row: Observation,
    known: Iterable[Observation],
    growths: Iterable[Observation],
    language: Language,
) -> str:
    """Compare a level with the one a year before it times the growth published for that year."""
    if row.kind != "level":
        return ""
    for before in known:
        for growth in growths:
            same = abs(growth.end - row.end) < _SAME and abs(growth.start - row.start) < _SAME
            if before.kind == "level" and abs(row.end - before.end - 1.0) < _SAME and same:
                times = _rate(row) / (_rate(before) * growth.value)
                if max(times, 1 / times) > FACTOR:
                    more = {"times": times, "line": growth.line, "before": before.line}
                    return word("doubt step", language, **more, unit=row.unit)
    return ""


def _part(row: Observation, levels: Iterable[Observation], language: Language) -> str:
    """Compare a level with places that it is a part of: in its own statistic, or the largest."""
    if row.kind != "level" or row.unit == "%":  # shares do not add up
        return ""
    wholes = [
        other
        for other in levels
        if other.quantity == row.quantity
        and set(other.elements) > set(row.elements)
        and row.elements
        and abs(other.start - row.start) < _SAME
        and abs(other.end - row.end) < _SAME
    ]
    if not wholes:
        return ""
    own = [other for other in wholes if other.definition == row.definition]
    if not own and len({other.definition for other in wholes}) < 2:
        return ""  # one other statistic may be far narrower
    whole = min(own, key=_rate) if own else max(wholes, key=_rate)
    times = _rate(row) / _rate(whole)
    # Statistics differ in scope, so that a part may exceed the whole of another one a little.
    if times <= (1.02 if own else _SCOPES):
        return ""
    more = {"times": times, "whole": whole.place, "line": whole.line}
    return word("doubt part", language, **more, unit=row.unit)


def _growth(
    row: Observation,
    known: Iterable[Observation],
    growths: Iterable[Observation],
    language: Language,
) -> str:
    if row.kind != "growth" or row.unit != "%" or not 0 < abs(row.value - 1) < 0.01:
        return ""
    levels = sorted((o for o in known if o.kind == "level"), key=lambda o: o.end)
    for before, after in itertools.pairwise(levels):
        years = after.end - before.end
        if before.end <= row.end <= after.end + 1 and years > 0:
            change = (_rate(after) / _rate(before)) ** (1 / years) - 1
            if abs(change) > 0.05:
                percent = 100 * (row.value - 1)
                around, meant = 100 * change, 100 * percent
                return word("doubt growth", language, percent=percent, around=around, meant=meant)
    percent = 100 * (row.value - 1)
    others = sorted(100 * abs(other.value - 1) for other in growths if other is not row)
    around = others[len(others) // 2] if len(others) > 1 else 0.0
    if around > 20 * abs(percent):
        return word("doubt growths", language, percent=percent, around=around, meant=100 * percent)
    return ""


def _period(row: Observation, language: Language) -> str:
    if row.kind != "part-year":
        return ""
    for key, time in (("doubt start", row.start), ("doubt end", row.end)):
        months = 12 * time
        if abs(months - round(months)) > _MONTH:
            near = round(months) / 12
            return word(key, language, time=time, near=near)
    return ""
