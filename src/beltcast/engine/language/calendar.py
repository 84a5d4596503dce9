"""GET TIME VALUE of Vensim: the year, the month and the day of a time, by the model's calendar.

The settings of a Vensim file state which date time 0 is and what a unit of time is.  As in the
manual, a year of models in years, quarters and months has 360 days; models in weeks and days count
real days.  Everything is written in primitives, with the rules of the Gregorian calendar as whole
numbers.
"""

from __future__ import annotations

from beltcast.engine.nodes import Node, apply, const
from beltcast.engine.syntax import Calendar

_IN_YEARS = {"year": 360.0, "quarter": 90.0, "month": 30.0}
_IN_DAYS = {"week": 7.0, "day": 1.0}
_MEASURES = {1: "year", 2: "quarter", 3: "month", 4: "day", 5: "weekday", 6: "days"}


def calendar_value(calendar: Calendar | None, measure: int, time: Node) -> Node:
    """Return the value of GET TIME VALUE at a time.

    Parameters
    ----------
    calendar : Calendar or None
        Of the model.
    measure : int
        Of the manual: 1 year, 2 quarter, 3 month, 4 day of the month, 5 day of the week from
        Sunday 0, 6 days since the first of January of the year 0.
    time : Node

    Raises
    ------
    ValueError
        The model has no calendar, or the manual does not define the measure for its unit.
    """
    if calendar is None:
        raise ValueError("the file has no settings that date its time")
    if measure not in _MEASURES:
        raise ValueError("hours and the clock are not supported")
    if calendar.unit in _IN_YEARS:
        if measure > 4:
            raise ValueError(f"it is not defined for a model in {calendar.unit}s")
        first = 360.0 * calendar.year + 30.0 * (calendar.month - 1) + calendar.day - 1.0
        return _of_360_days(measure, _whole_days(first, _IN_YEARS[calendar.unit], time))
    if calendar.unit in _IN_DAYS:
        days = _whole_days(float(calendar.days()), _IN_DAYS[calendar.unit], time)
        return _of_real_days(measure, days)
    raise ValueError(f"it is not supported for a model in {calendar.unit}s")


def _whole_days(first: float, length: float, time: Node) -> Node:
    return apply("floor", apply("add", const(first), apply("mul", time, const(length))))


def _divided(x: Node, by: float) -> Node:
    return apply("floor", apply("div", x, const(by)))


def _rest(x: Node, by: float) -> Node:
    return apply("sub", x, apply("mul", _divided(x, by), const(by)))


def _plus(x: Node, y: float) -> Node:
    return apply("add", x, const(y))


def _of_360_days(measure: int, days: Node) -> Node:
    match _MEASURES[measure]:
        case "year":
            return _divided(days, 360.0)
        case "quarter":
            return _plus(_divided(_rest(days, 360.0), 90.0), 1.0)
        case "month":
            return _plus(_divided(_rest(days, 360.0), 30.0), 1.0)
        case _:
            return _plus(_rest(days, 30.0), 1.0)


def _of_real_days(measure: int, days: Node) -> Node:
    """Days since the first of January of the year 0, a Saturday, in the Gregorian calendar.

    Years are counted from March, so that the day of a leap year comes last: 146,097 days are 400
    years, and the months from March on have 153 days in five.
    """
    if measure == 6:
        return days
    if measure == 5:
        return _rest(_plus(days, 6.0), 7.0)
    march = _plus(days, -60.0)
    era = _divided(march, 146097.0)
    day = _rest(march, 146097.0)
    # Days of the leap days before it within the era, taken out again to find the year.
    fours, hundreds = _divided(day, 1460.0), _divided(day, 36524.0)
    last = _divided(day, 146096.0)
    plain = apply("sub", apply("add", apply("sub", day, fours), hundreds), last)
    year = _divided(plain, 365.0)
    leap = apply("sub", _divided(year, 4.0), _divided(year, 100.0))
    in_year = apply("sub", day, apply("add", apply("mul", year, const(365.0)), leap))
    number = _divided(_plus(apply("mul", in_year, const(5.0)), 2.0), 153.0)
    if measure == 4:
        before = _divided(_plus(apply("mul", number, const(153.0)), 2.0), 5.0)
        return _plus(apply("sub", in_year, before), 1.0)
    late = apply("ge", number, const(10.0))
    month = apply("add", _plus(number, 3.0), apply("mul", late, const(-12.0)))
    if measure == 2:
        return _plus(_divided(_plus(month, -1.0), 3.0), 1.0)
    if measure == 3:
        return month
    return apply("add", apply("add", apply("mul", era, const(400.0)), year), late)
