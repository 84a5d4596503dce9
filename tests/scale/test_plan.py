"""The grid of a run: from integers of the file to the times PySD would step through."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from beltcast.engine.run.plan import LARGEST_RUN, series_at, steps_at, time_grid
from beltcast.engine.syntax import Data
from beltcast.errors import InputError, SimulationError
from beltcast.files.toml import TomlTable, read_toml
from beltcast.scale.runplan import LARGEST_BLOCK, SMALLEST_BLOCK, _block


@pytest.mark.parametrize(
    ("start", "end", "step", "words"),
    [
        (0, 1, 0, "the step must be positive"),
        (0, 1, -1, "the step must be positive"),
        (1, 0, 0.5, "the end after the start"),
        (0, float("nan"), 0.5, "impossible"),
        (0, float("inf"), 0.5, "impossible"),
        (0, 1, 1e-9, "at most 10000000 are allowed"),
    ],
)
def test_an_impossible_run_is_refused(start: float, end: float, step: float, words: str) -> None:
    with pytest.raises(SimulationError, match=words):
        time_grid(start, end, step)
    assert LARGEST_RUN == 10_000_000


def test_a_run_may_have_no_step_at_all() -> None:
    assert time_grid(2013.0, 2013.0, 0.0625).tolist() == [2013.0]
    assert steps_at(time_grid(2013.0, 2013.0, 0.0625), [2013.0]).tolist() == [0]


def test_saved_times_are_found_in_any_order_and_only_on_the_grid() -> None:
    times = time_grid(2013.0, 2036.0, 0.0625)
    assert steps_at(times, [2014.0, 2013.0625, 2036.0, 2014.0]).tolist() == [16, 1, 368, 16]
    for wanted in (2013.03, 2012.9375, 2036.0625, 2013.06):
        with pytest.raises(SimulationError, match=f"time {wanted:g} is not one of the run's steps"):
            steps_at(times, [2014.0, wanted])


def test_rounding_of_a_long_grid_does_not_lose_its_times() -> None:
    times = time_grid(0.0, 2000.0, 0.1)
    assert steps_at(times, np.arange(0.0, 2000.0, 7.0)).tolist() == list(range(0, 20000, 70))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("interpolate", [10.0, 10.0, 15.0, 20.0, 40.0, 40.0]),
        ("hold backward", [10.0, 10.0, 10.0, 20.0, 40.0, 40.0]),
        ("look forward", [10.0, 10.0, 20.0, 20.0, 40.0, 40.0]),
    ],
)
def test_a_series_keeps_its_end_values(method: str, expected: list[float]) -> None:
    data = Data(np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 40.0]), method)  # type: ignore[arg-type]
    assert series_at(data, np.array([0.0, 1.0, 1.5, 2.0, 4.0, 9.0])).tolist() == expected


def plan(folder: Path, line: str) -> TomlTable:
    path = folder / "plan.toml"
    path.write_text(f"[run]\n{line}\n", "utf-8")
    return TomlTable(read_toml(path, InputError), ("run",), tomllib.loads(line))


@pytest.mark.parametrize(
    ("memory", "members", "block"),
    [
        (1000.0, 10**6, 512),
        (1023.0, 10**6, 512),
        (1024.0, 10**6, 1024),
        (1025.0, 700, 700),
        (16.0, 10**6, SMALLEST_BLOCK),
        (31.0, 10**6, SMALLEST_BLOCK),
        (1e9, 10**6, LARGEST_BLOCK),
    ],
)
def test_a_block_is_the_largest_power_of_two_that_fits(
    tmp_path: Path, memory: float, members: int, block: int
) -> None:
    assert _block(plan(tmp_path, ""), 1000.0, members, 1000.0 * memory) == block


def test_a_block_that_just_fits_is_taken_and_a_larger_one_refused(tmp_path: Path) -> None:
    table = plan(tmp_path, "block = 100")
    assert _block(table, 1000.0, 10**6, 100_000.0) == 100
    with pytest.raises(InputError, match="at most 99 members fit"):
        _block(table, 1000.0, 10**6, 99_999.0)
    with pytest.raises(InputError, match="a block of 16 members takes"):
        _block(plan(tmp_path, ""), 1000.0, 10**6, 15_999.0)
