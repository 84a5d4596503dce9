"""FINAL TIME, TIME STEP and SAVEPER that move during a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.run.plan import Method
from beltcast.engine.run.prepare import Backend
from beltcast.errors import SimulationError, UnsupportedConstruct


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_a_time_step_may_move_with_time(tmp_path: Path, backend: Backend, method: Method) -> None:
    path = tmp_path / "model.mdl"
    path.write_text(
        "INITIAL TIME = 0 ~~|\nFINAL TIME = 4 ~~|\nSAVEPER = IF THEN ELSE(Time < 2, 1, 2) ~~|\n"
        "TIME STEP = IF THEN ELSE(Time < 2, 1, 0.5) ~~|\nx = INTEG(-x/4, 1) ~~|\n"
        "width = INTEG(1, 0) ~~|\n"
    )
    run = load_model(path).simulate(backend=backend, method=method)
    assert run["time"].values.tolist() == [0, 1, 2, 4]
    assert run["width"].values.tolist() == [0, 1, 2, 4]
    # One step of length h multiplies x by the first terms of exp(-h/4).
    z = {"euler": lambda h: 1 - h, "rk4": lambda h: 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24}[method]
    np.testing.assert_allclose(run["x"].values[-1], z(1 / 4) ** 2 * z(1 / 8) ** 4, rtol=1e-14)


def test_a_time_step_that_reads_a_stock_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.mdl"
    path.write_text(
        "INITIAL TIME = 0 ~~|\nFINAL TIME = 4 ~~|\nSAVEPER = 1 ~~|\n"
        "TIME STEP = IF THEN ELSE(x < 2, 1, 0.5) ~~|\nx = INTEG(1, 0) ~~|\n"
    )
    with pytest.raises(UnsupportedConstruct, match="depends on a stock") as problem:
        load_model(path).grid()
    assert problem.value.line == 4


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ("FINAL TIME = 4 ~~|\nTIME STEP = 1 - Time ~~|", "at time 1, FINAL TIME is 4, TIME STEP 0"),
        ("FINAL TIME = Time + 1 ~~|\nTIME STEP = 1 + Time*0 ~~|", "may have 200000 steps"),
    ],
)
def test_a_course_that_cannot_be_run_is_refused(
    controls: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.mdl"
    path.write_text(f"INITIAL TIME = 0 ~~|\nSAVEPER = 1 ~~|\n{controls}\nx = INTEG(1, 0) ~~|\n")
    monkeypatch.setattr(
        "beltcast.engine.run.variable_step.LONGEST_SEARCH", 1000
    )  # the same, sooner
    with pytest.raises(SimulationError, match=words.replace("200000", "1000")):
        load_model(path).grid()


def test_a_final_time_that_runs_away_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.mdl"
    path.write_text(
        "INITIAL TIME = 0 ~~|\nFINAL TIME = s ~~|\nSAVEPER = 1 ~~|\nTIME STEP = 1 ~~|\n"
        "s = INTEG(1, 2) ~~|\n"
    )
    model = load_model(path)
    with pytest.raises(SimulationError, match="FINAL TIME moves and is not reached within 200000"):
        model.grid()


def test_a_final_time_may_depend_on_the_run(tmp_path: Path) -> None:
    path = tmp_path / "model.mdl"
    path.write_text(
        "INITIAL TIME = 0 ~~|\nFINAL TIME = IF THEN ELSE(stock > 5, Time, 100) ~~|\n"
        "SAVEPER = 1 ~~|\nTIME STEP = 1 ~~|\nstock = INTEG(2, 0) ~~|\n"
    )
    assert load_model(path).simulate()["stock"].to_numpy()[-1] == 6


@pytest.mark.parametrize(
    ("controls", "given", "times"),
    [
        (
            "FINAL TIME = 4 ~~|\nSAVEPER = s ~~|\nTIME STEP = 0.5 ~~|",
            ([0.0, 2.0], [1.0, 0.5]),
            [0, 1, 2, 2.5, 3, 3.5, 4],
        ),
        (
            "FINAL TIME = 4 ~~|\nSAVEPER = TIME STEP ~~|\nTIME STEP = s ~~|",
            ([0.0, 2.0], [1.0, 0.5]),
            [0, 1, 2, 2.5, 3, 3.5, 4],
        ),
        (
            "FINAL TIME = s + 0*x ~~|\nSAVEPER = 1 ~~|\nTIME STEP = 1 ~~|",
            ([0.0, 2.0], [9.0, 3.0]),
            [0, 1, 2, 3],
        ),
    ],
)
@pytest.mark.parametrize("in_file", [True, False])
def test_controls_follow_a_series_that_is_given_for_the_run(
    tmp_path: Path,
    controls: str,
    given: tuple[list[float], list[float]],
    times: list[float],
    in_file: bool,
) -> None:
    """Whether the file has a series of its own or leaves it to the user."""
    (tmp_path / "t.csv").write_text("time,s\n0,2\n", encoding="utf-8")
    own = " := GET DIRECT DATA('t.csv', ',', 'A', 'B2')" if in_file else ""
    path = tmp_path / "model.mdl"
    path.write_text(
        f"INITIAL TIME = 0 ~~|\n{controls}\ns :HOLD BACKWARD:{own} ~~|\nx = INTEG(1, 0) ~~|\n"
    )
    model = load_model(path)
    run = model.simulate(inputs={"s": given})
    assert run["time"].values.tolist() == times
    np.testing.assert_allclose(run["x"], times)
    assert model.grid(inputs={"s": given}).end == times[-1]
    last = model.batch(
        np.empty(0, dtype=np.int64),
        np.empty((0, 1)),
        outputs=model.rows("x"),
        saves=times[-1:],
        inputs={"s": given},
    )
    np.testing.assert_allclose(last.ravel(), times[-1:])
    if in_file:
        assert model.simulate()["time"].values[1] in (1, 2)
        assert model.grid().end in (2, 4)


def test_without_a_saveper_every_step_is_saved_and_controls_follow_constants(
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.mdl"
    path.write_text(
        "INITIAL TIME = 1 ~~|\nFINAL TIME = 1 + long ~~|\nTIME STEP = h/2 ~~|\nh = 1 ~~|\n"
        "long = 2 ~~|\nx = INTEG(1, 0) ~~|\n"
    )
    model = load_model(path)
    assert model.simulate()["time"].values.tolist() == [1, 1.5, 2, 2.5, 3]
    found = model.simulate({"h": 0.5, "long": 0.75})
    assert found["time"].values.tolist() == [1, 1.25, 1.5, 1.75]
    assert model.grid({"h": 4.0}).times().tolist() == [1, 3]


def test_steps_that_move_end_at_the_end_or_at_a_time_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "model.mdl"
    path.write_text(
        "INITIAL TIME = 0 ~~|\nFINAL TIME = 4 ~~|\nSAVEPER = TIME STEP ~~|\n"
        "TIME STEP = IF THEN ELSE(Time < 2, 1, 0.5) ~~|\nx = INTEG(1, 0) ~~|\n"
    )
    grid = load_model(path).grid()
    assert grid.times().tolist() == [0, 1, 2, 2.5, 3, 3.5, 4]
    assert grid.times(until=2.5).tolist() == [0, 1, 2, 2.5]
    assert grid.times(until=2.5 - 4e-6).tolist() == [0, 1, 2, 2.5]
    assert grid.times(until=2.5 - 6e-6).tolist() == [0, 1, 2]
    assert np.asarray(grid.steps(grid.times(until=2.5))).tolist() == [1, 1, 0.5, 0.5]
