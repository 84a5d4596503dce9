"""Periods as people write them, in years: ``2024``, ``2024H1``, ``2024Q1-Q3``, ``2024年1-6月``.

A month is a twelfth of a year, and a day its share of the month.  A date is the end of that day, so
that 31 December is the end of the year; ``2024-01-01 to 2024-06-30`` is the first half of it.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from datetime import date

from beltcast.errors import TableError, quoted

FORMS = "2024, 2024H1, 2024Q1-Q3, 2024年1-6月, 2024-03, 2024-03-31 or 2024-01-01 to 2024-06-30"

_DASH = r"\s*(?:-|–|—|~|～|至|到|to)\s*"
_HALF = re.compile(r"(\d{4})\s*年?\s*(?:[Hh]([12])|([上下])半年)")
_QUARTERS = re.compile(rf"(\d{{4}})\s*年?\s*[Qq]([1-4])(?:{_DASH}[Qq]?([1-4]))?")
_QUARTERS_ZH = re.compile(r"(\d{4})\s*年?\s*(前?)第?([一二三四1-4])个?季度")
_PART_FIRST = re.compile(rf"([Hh][12]|[Qq][1-4](?:{_DASH}[Qq]?[1-4])?)\s*(\d{{4}})")
_MONTHS = re.compile(rf"(\d{{4}})\s*年\s*(\d{{1,2}})\s*月?(?:{_DASH}(\d{{1,2}}))?\s*月份?")
_MONTH = re.compile(r"(\d{4})[-/](\d{1,2})")
_YEARS = re.compile(rf"(\d{{4}})\s*年?(?:{_DASH}(\d{{4}}))?\s*年?\s*(?:全年)?")
_END = re.compile(r"(\d{4})\s*年\s*(?:(\d{1,2})\s*月)?[末底]")
_DAY = re.compile(r"(\d{4})(?:[-/.]|\s*年\s*)(\d{1,2})(?:[-/.]|\s*月\s*)(\d{1,2})\s*日?")
_DAYS = re.compile(rf"({_DAY.pattern}){_DASH}({_DAY.pattern})")


def period(text: str) -> tuple[float, float]:
    """Start and end of a period.

    Parameters
    ----------
    text : str
        As in `FORMS`.

    Returns
    -------
    (float, float)  [Year]
        Equal for a date, which is an instant.

    Raises
    ------
    TableError
        The text has none of the forms, or the period ends before it starts.

    Examples
    --------
    >>> period("2024"), period("2024H1"), period("2024Q1-Q3"), period("2024年1-6月")
    ((2024.0, 2025.0), (2024.0, 2024.5), (2024.0, 2024.75), (2024.0, 2024.5))
    >>> period("2024-12-31"), period("2024年末")
    ((2025.0, 2025.0), (2025.0, 2025.0))
    """
    # Full-width digits and dashes, as Chinese input methods write them, become plain ones.
    found = _found(unicodedata.normalize("NFKC", text).strip())
    if found is None:
        raise TableError(f"the period is {quoted(text)}, expected {FORMS}; correct it")
    if found[1] < found[0]:
        raise TableError(f"the period {quoted(text)} ends before it starts; correct it")
    return found


def instant(text: str) -> float | None:
    """End of the day of a date, in years; None if the text is not a date.

    >>> instant("2024-06-30"), instant("2024.5")
    (2024.5, None)
    """
    match = _DAY.fullmatch(text.strip())
    return None if match is None else _day(*match.groups(), end=True)


def _found(text: str) -> tuple[float, float] | None:
    if match := _DAYS.fullmatch(text):
        return _day(*match.groups()[1:4], end=False), _day(*match.groups()[5:8], end=True)
    if (end := instant(text)) is not None:
        return end, end
    if match := _PART_FIRST.fullmatch(text):
        text = match[2] + match[1]
    if match := _END.fullmatch(text):
        end = int(match[1]) + int(match[2] or 12) / 12
        return end, end
    if match := _HALF.fullmatch(text):
        second = match[2] == "2" or match[3] == "下"
        return _months(match[1], 7, 12) if second else _months(match[1], 1, 6)
    if match := _QUARTERS.fullmatch(text):
        last = int(match[3] or match[2])
        return _months(match[1], 3 * int(match[2]) - 2, 3 * last)
    if match := _QUARTERS_ZH.fullmatch(text):
        number = "一二三四1234".index(match[3]) % 4 + 1
        return _months(match[1], 1 if match[2] else 3 * number - 2, 3 * number)
    if match := _MONTHS.fullmatch(text):
        return _months(match[1], int(match[2]), int(match[3] or match[2]))
    if match := _MONTH.fullmatch(text):
        return _months(match[1], int(match[2]), int(match[2]))
    if match := _YEARS.fullmatch(text):
        return float(match[1]), float(match[2] or match[1]) + 1.0
    return None


def _months(year: str, first: int, last: int) -> tuple[float, float] | None:
    if not (1 <= first <= 12 and 1 <= last <= 12):
        return None
    return int(year) + (first - 1) / 12, int(year) + last / 12


def _day(year: str, month: str, day: str, *, end: bool) -> float:
    try:
        found = date(int(year), int(month), int(day))
    except ValueError:
        raise TableError(f"there is no day {year}-{month}-{day}; correct it") from None
    length = calendar.monthrange(found.year, found.month)[1]
    share = (found.day if end else found.day - 1) / length
    return found.year + (found.month - 1 + share) / 12
