"""The plan of a run at its ends: counts of steps, times to save, series between their points."""

from __future__ import annotations

import math

import numpy as np
import pytest

from beltcast.engine.run.plan import (
    count_steps,
    series_at,
    stepping,
    steps_at,
    time_grid,
)
from beltcast.engine.run.time_grid import Grid
from beltcast.engine.syntax import Data
from beltcast.errors import InputError, SimulationError


@pytest.mark.parametrize(
    ("start", "end", "step", "steps"),
    [
        (0.0, 4.0, 1.0, 4),
        (2.5, 2.5 + 14 * 0.3, 0.3, 14),  # a rounding error above a whole number
        (2.5, 6.7 + 2e-6, 0.3, 14),  # less than 1e-5 of a step too late
        (2.5, 6.7 + 4e-6, 0.3, 15),
        (2.5, 6.71, 0.3, 15),  # the last step ends after the end
        (-3.0, -3.0, 0.25, 0),
        (0.0, 1e7, 1.0, 10_000_000),
    ],
)
def test_a_run_has_as_many_steps_as_reach_its_end(
    start: float, end: float, step: float, steps: int
) -> None:
    assert count_steps(start, end, step) == steps
    if steps < 100:
        times = time_grid(start, end, step)
        assert len(times) == steps + 1
        np.testing.assert_allclose(times, start + step * np.arange(steps + 1), rtol=1e-14)


@pytest.mark.parametrize(
    ("start", "end", "step", "said"),
    [
        (0.0, 1e7 + 1, 1.0, "has 10000001 steps; at most 10000000"),
        (0.0, -1.0, 1.0, "is impossible"),
        (0.0, 1.0, 0.0, "is impossible"),
        (0.0, 1.0, -1.0, "is impossible"),
        (0.0, math.inf, 1.0, "is impossible"),
        (math.nan, 1.0, 1.0, "is impossible"),
    ],
)
def test_a_run_without_end_is_refused(start: float, end: float, step: float, said: str) -> None:
    with pytest.raises(SimulationError, match=said):
        count_steps(start, end, step)


@pytest.mark.parametrize(
    ("step", "save_every", "first"),
    [
        (0.25, 1.0, [0, 4, 8, 12, 16, 20]),
        (0.25, 0.25, list(range(21))),
        (0.25, 0.1, list(range(21))),
        # At or after each multiple: 0.6, 1.2 and so on lie between steps of 0.25.
        (0.25, 0.6, [0, 3, 5, 8, 10, 12, 15, 17, 20]),
        (0.3, 0.9, [0, 3, 6, 9, 12, 15]),
        (0.1, 0.3, [0, 3, 6, 9, 12, 15]),  # 0.3 / 0.1 is a little less than 3
        (0.25, 9.0, [0]),
        (0.25, 0.25 * (1 + 1e-7), list(range(21))),
    ],
)
def test_what_is_saved_are_the_first_steps_at_or_after_each_multiple(
    step: float, save_every: float, first: list[int]
) -> None:
    start = 2.5
    grid = Grid(start, start + (20 if step == 0.25 else 17) * step, step, save_every)
    saved = grid.saved()
    np.testing.assert_array_equal(saved, grid.times()[first])
    assert grid.steps(saved) == step


@pytest.mark.parametrize("save_every", [0.0, -1.0, math.nan, math.inf])
def test_a_saveper_that_is_no_interval_is_refused(save_every: float) -> None:
    with pytest.raises(SimulationError, match="is not a positive number"):
        Grid(0.0, 1.0, 0.25, save_every).saved()


def test_a_time_of_the_grid_is_found_within_a_hundred_thousandth_of_a_step() -> None:
    times = time_grid(2.5, 6.7, 0.3)
    near = [2.5, 2.8 + 2.9e-6, 4.0 - 2.9e-6, 6.7]
    assert steps_at(times, near).tolist() == [0, 1, 5, 14]
    for wanted in (2.8 + 3.1e-6, 4.0 - 3.1e-6, 2.65, 6.71, 2.49, 7.0):
        with pytest.raises(SimulationError, match="is not one of the run's steps"):
            steps_at(times, [2.5, wanted])
    # Unequal steps: the shortest counts.
    assert steps_at(np.array([0.0, 1.0, 1.5, 3.5]), [3.5, 1.5]).tolist() == [3, 2]


POINTS = np.array([3.0, 3.6, 5.0])
VALUES = np.array([10.0, 40.0, 20.0])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("interpolate", [10, 10, 25, 40, 40 - 20 * 1.0 / 1.4, 20, 20]),
        ("hold backward", [10, 10, 10, 40, 40, 20, 20]),
        ("look forward", [10, 10, 40, 40, 20, 20, 20]),
        ("raw", [np.nan, 10, np.nan, 40, np.nan, 20, np.nan]),
    ],
)
@pytest.mark.parametrize("off", [0.0, 2.9e-6, -2.9e-6])
def test_a_series_has_its_points_within_a_hundred_thousandth_of_a_step(
    method: str, expected: list[float], off: float
) -> None:
    """At steps of 0.3 or more; before its first point and after its last it keeps their values."""
    times = np.array([2.5, 3.0, 3.3, 3.6, 4.6, 5.0, 6.0]) + off
    found = series_at(Data(POINTS, VALUES, method), times)
    np.testing.assert_allclose(found, expected, atol=1e-3 if method == "interpolate" else 0.0)


@pytest.mark.parametrize("method", ["hold backward", "look forward", "raw"])
@pytest.mark.parametrize("off", [3.1e-6, -3.1e-6])
def test_a_time_further_away_is_not_at_the_point(method: str, off: float) -> None:
    times = np.array([3.0, 3.3, 3.6]) + off
    expected = {
        "hold backward": 40.0 if off > 0 else 10.0,
        "look forward": 20.0 if off > 0 else 40.0,
        "raw": np.nan,
    }[method]
    np.testing.assert_equal(series_at(Data(POINTS, VALUES, method), times)[2], expected)


def test_a_series_without_points_is_missing_and_one_time_has_a_slack_of_its_own() -> None:
    nothing = Data(np.array([]), np.array([]))
    assert np.isnan(series_at(nothing, np.arange(3.0))).all()
    raw = Data(POINTS, VALUES, "raw")
    assert series_at(raw, np.array([3.6 + 9e-7])).tolist() == [40.0]
    assert np.isnan(series_at(raw, np.array([3.6 + 1.1e-6]))).all()


@pytest.mark.parametrize(
    ("rtol", "atol", "possible"),
    [
        (1e-13, 1e-16, True),
        (0.99e-13, 1e-16, False),
        (0.999, 1e-16, True),
        (1.0, 1e-16, False),
        (1e-6, 0.0, False),
        (1e-6, 1e-300, True),
        (1e-6, math.inf, False),
        (math.nan, 1e-6, False),
    ],
)
def test_tolerances_lie_between_rounding_and_one(rtol: float, atol: float, possible: bool) -> None:
    if possible:
        found = stepping("adaptive", rtol, atol)
        assert (found.rtol, found.atol) == (rtol, atol)
        return
    with pytest.raises(InputError, match="expected rtol from 1e-13 to 1 and atol above 0"):
        stepping("adaptive", rtol, atol)


def test_a_tolerance_is_the_default_and_goes_with_steps_that_adapt() -> None:
    plain = stepping("stiff")
    assert (plain.rtol, plain.atol, str(plain)) == (1e-7, 1e-16, "stiff")
    assert str(stepping("adaptive", atol=1e-9)) == "adaptive, rtol 1e-07, atol 1e-09"
    for method in ("euler", "rk2", "rk4"):
        assert stepping(method).method == method
        for given in ({"rtol": 1e-7}, {"atol": 1e-16}):
            with pytest.raises(InputError, match=f"and {method} takes fixed ones"):
                stepping(method, **given)
