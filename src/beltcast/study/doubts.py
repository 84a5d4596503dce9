"""Observations that are likely to be slips of the pen: a wrong unit, percent, or end of a period.

A doubt is no fault: it is said, and the number is used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from beltcast.study.observations import Observation, Observations

__all__ = ["doubts"]

FACTOR = 5.0
"""How many times its neighbours a number may be, or they it, before it is doubted."""

_NEAREST = 4
_MONTH = 0.02  # of a month: half a day, as decimals of a year are rounded


def doubts(observations: Observations) -> tuple[str, ...]:
    """Return a sentence for each number that looks like a slip.

    A level is compared with the geometric mean of the up to four nearest numbers of its series
    (place, quantity, definition), per year; a growth with the growth of the levels around it.

    Parameters
    ----------
    observations : Observations

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
    found = []
    for row in observations:
        known = series.get((row.place, row.quantity, row.definition), [])
        for sentence in (_magnitude(row, known), _growth(row, known), _period(row)):
            if sentence:
                found.append(f"line {row.line}: {sentence}")
    return tuple(found)


def _rate(row: Observation) -> float:
    length = row.end - row.start
    return row.value / length if length > 0 else row.value


def _magnitude(row: Observation, known: Iterable[Observation]) -> str:
    if row not in known:
        return ""
    others = [o for o in known if o is not row and (o.end > o.start) == (row.end > row.start)]
    others = sorted(others, key=lambda o: abs(o.end - row.end))[:_NEAREST]
    if len(others) < 2:
        return ""
    usual = math.exp(sum(math.log(_rate(o)) for o in others) / len(others))
    # A neighbour that is itself a slip must not accuse the others: half of them must agree.
    times = _rate(row) / usual
    apart = sum(max(_rate(row) / _rate(o), _rate(o) / _rate(row)) > FACTOR for o in others)
    if max(times, 1 / times) <= FACTOR or 2 * apart <= len(others):
        return ""
    what = f"{times:.2g} times its neighbours"
    return f"{what}; is the unit {row.unit}?"


def _growth(row: Observation, known: Iterable[Observation]) -> str:
    if row.kind != "growth" or row.unit != "%" or not 0 < abs(row.value - 1) < 0.01:
        return ""
    levels = sorted((o for o in known if o.kind == "level"), key=lambda o: o.end)
    for before, after in itertools.pairwise(levels):
        years = after.end - before.end
        if before.end <= row.end <= after.end + 1 and years > 0:
            change = (_rate(after) / _rate(before)) ** (1 / years) - 1
            if abs(change) > 0.05:
                said = f"{100 * (row.value - 1):.3g} %"
                return (
                    f"growth of {said}, and the levels around it change by {100 * change:.2g} % a "
                    f"year; is it {10000 * (row.value - 1):.3g} %?"
                )
    return ""


def _period(row: Observation) -> str:
    if row.kind != "part-year":
        return ""
    for name, time in (("starts", row.start), ("ends", row.end)):
        months = 12 * time
        if abs(months - round(months)) > _MONTH:
            near = round(months) / 12
            return (
                f"the period {name} at {time:.10g}, within a month; is it {near:.5g}, the end of a "
                "month?"
            )
    return ""
