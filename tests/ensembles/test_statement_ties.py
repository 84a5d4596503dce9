"""Statements about runs that lie exactly at their bounds, just beyond, and outside of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from beltcast.ensembles.reality_checks import _violation
from beltcast.study.statements import RealityCheck

Run = dict[str, xr.Variable]


def run_of(**variables: list) -> Run:
    """Of (time, member), or (time, place, member), at the times 2013, 2014 and so on."""
    count = len(next(iter(variables.values())))
    run = {"time": xr.Variable("time", np.arange(2013.0, 2013.0 + count))}
    for name, values in variables.items():
        array = np.array(values, dtype=float)
        dims = ("time", "member") if array.ndim == 2 else ("time", "place", "member")
        run[name] = xr.Variable(dims, array)
    return run


def about(run: Run, plain: Run | None = None, **fields: Any) -> tuple[float, float, int] | None:
    found = _violation(RealityCheck("a", "b", "x", **fields), run, plain or {}, "c")
    return None if found is None else (found.share, found.time, found.draw)


@pytest.mark.parametrize(
    ("first", "last", "fields", "broken"),
    [
        # A quarter of 8, the largest number of the member at any time, may be missing.
        (8.0, 3.0, {"at_least": 5.0}, False),
        (8.0, 2.99, {"at_least": 5.0}, True),
        (8.0, 3.0, {"at_least": "y"}, False),
        (8.0, 2.99, {"at_least": "y"}, True),
        (-8.0, 7.0, {"at_most": 5.0}, False),
        (-8.0, 7.01, {"at_most": 5.0}, True),
        (-8.0, 7.0, {"at_most": "y"}, False),
        (-8.0, 7.01, {"at_most": "y"}, True),
        # Of 5, and of what is larger than 5.
        (5.0, 3.75, {"equals": 5.0}, False),
        (5.0, 3.74, {"equals": 5.0}, True),
        (5.0, 6.66, {"equals": 5.0}, False),
        (5.0, 6.67, {"equals": 5.0}, True),
        (5.0, np.nan, {"at_least": -99.0}, True),
        (5.0, np.inf, {"at_least": -99.0}, True),
        (5.0, -np.inf, {"at_most": 99.0}, True),
    ],
)
def test_a_bound_may_be_missed_by_a_part_of_the_larger_side(
    first: float, last: float, fields: dict[str, Any], broken: bool
) -> None:
    run = run_of(x=[[5.0, first], [5.0, last]], y=[[5.0, 5.0], [5.0, 5.0]])
    found = about(run, tolerance=0.25, **fields)
    assert found == ((0.5, 2014.0, 1) if broken else None)


@pytest.mark.parametrize(
    ("compared", "x", "broken"),
    [
        ("less", 9.9, False),
        ("less", 10.0, True),
        ("more", 10.1, False),
        ("more", 10.0, True),
        ("not more", 11.0, False),
        ("not more", 11.2, True),
        ("not less", 9.0, False),
        ("not less", 8.9, True),
    ],
)
def test_less_and_more_are_strict_and_their_opposites_have_the_tolerance(
    compared: Any, x: float, broken: bool
) -> None:
    found = about(run_of(x=[[x]]), run_of(x=[[10.0]]), compared=compared, tolerance=0.1)
    assert found == ((1.0, 2013.0, 0) if broken else None)


def test_a_loss_is_a_part_of_what_is_without() -> None:
    plain = run_of(x=[[10.0, 10.0]], part=[[0.2, 0.6]])
    assert about(run_of(x=[[8.0, 8.0]]), plain, loss_at_most=0.2) is None
    assert about(run_of(x=[[8.0, 7.99]]), plain, loss_at_most=0.2) == (0.5, 2013.0, 1)
    assert about(run_of(x=[[8.0, 4.0]]), plain, loss_at_most="part") is None
    assert about(run_of(x=[[7.9, 4.0]]), plain, loss_at_most="part") == (0.5, 2013.0, 0)


def test_a_statement_applies_between_its_bounds_and_from_its_start_these_included() -> None:
    run = run_of(x=[[-1.0], [-1.0], [-1.0], [-1.0]], w=[[1.0], [2.0], [3.0], [4.0]])
    assert about(run, at_least=0.0) == (1.0, 2013.0, 0)
    for when, start, time in (
        (("w", 2.0, None), None, 2014.0),
        (("w", 2.01, None), None, 2015.0),
        (("w", None, 1.0), None, 2013.0),
        (("w", 4.0, 4.0), None, 2016.0),
        (None, 2015.0, 2015.0),
        (("w", 1.0, 3.0), 2015.0, 2015.0),
    ):
        assert about(run, at_least=0.0, when=when, start=start) == (1.0, time, 0)
    for when, start in ((("w", None, 0.99), None), (("w", 2.5, 2.9), None), (None, 2016.5)):
        assert about(run, at_least=0.0, when=when, start=start) is None


def test_the_share_is_of_members_and_the_time_and_draw_are_the_first() -> None:
    x = np.ones((4, 2, 5))
    x[3, 0, 0] = x[2, 1, 4] = x[2, 1, 3] = x[3, 0, 3] = -1.0
    run = run_of(x=x.tolist())
    assert about(run, at_least=0.0) == (3 / 5, 2015.0, 3)
    # Of the sum over places: 1 - 1 is not below 0, and a missing one makes a missing sum.
    assert about(run, at_least=0.0, sum=("place",)) is None
    run["x"][1, 1, 2] = np.nan
    assert about(run, at_least=0.0, sum=("place",)) == (1 / 5, 2014.0, 2)
