"""Functions of time on and off the grid of steps, against the rules of the manuals.

The clock is a sum of steps, so that with a step of 0.1 or 1/3 it misses whole numbers by some
bits.  Each rule is computed here with fractions, in which nothing is missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.run.plan import series_at, time_grid
from beltcast.engine.syntax import Data

from ..small_models import small
from ..xmile_texts import xmile

STEPS = {"0.1": Fraction(1, 10), "0.25": Fraction(1, 4), "(1/3)": Fraction(1, 3), "1": Fraction(1)}
START, END = 0, 12
Rule = Callable[[Fraction, Fraction], float]


def step(start: Fraction) -> Rule:
    return lambda t, dt: float(t + dt / 2 > start)


def pulse(start: Fraction, width: Fraction) -> Rule:
    """Vensim's manual: start < Time + TIME STEP/2 < start + width; a width of 0 is TIME STEP."""
    return lambda t, dt: float(start < t + dt / 2 < start + (width or dt))


def pulse_train(start: Fraction, width: Fraction, every: Fraction, end: Fraction) -> Rule:
    """One pulse after the other, each at least a step long, up to and with the end."""

    def rule(t: Fraction, dt: Fraction) -> float:
        starts = (start + k * every for k in range(200))
        return float(t <= end and any(pulse(s, max(width, dt))(t, dt) for s in starts))

    return rule


def ramp(slope: int, start: Fraction, end: Fraction) -> Rule:
    return lambda t, dt: float(slope * max(Fraction(0), min(t, end) - start))


F = Fraction
VENSIM: dict[str, Rule] = {
    "STEP(1, 2)": step(F(2)),
    "STEP(1, 2.3)": step(F(23, 10)),
    "PULSE(2, 3)": pulse(F(2), F(3)),
    "PULSE(2.3, 2)": pulse(F(23, 10), F(2)),
    "PULSE(3, 0)": pulse(F(3), F(0)),
    "PULSE(2, 0.01)": pulse(F(2), F(1, 100)),
    "PULSE TRAIN(1, 1, 3, 10)": pulse_train(F(1), F(1), F(3), F(10)),
    "PULSE TRAIN(2, 0, 2, 8)": pulse_train(F(2), F(0), F(2), F(8)),
    "PULSE TRAIN(1.1, 0.7, 2.3, 9.2)": pulse_train(F(11, 10), F(7, 10), F(23, 10), F(92, 10)),
    "PULSE TRAIN(1, 5, 2, 9)": pulse_train(F(1), F(5), F(2), F(9)),
    # At the middle of a step by 0.1, 0.25 or 1: neither passed nor still to come.
    "STEP(1, 3.5)": step(F(7, 2)),
    "STEP(1, 2.35)": step(F(47, 20)),
    "STEP(1, 6.625)": step(F(53, 8)),
    "PULSE(2.15, 0.7)": pulse(F(43, 20), F(7, 10)),
    "PULSE(2.1, 0.65)": pulse(F(21, 10), F(13, 20)),
    "PULSE(1.125, 1.5)": pulse(F(9, 8), F(3, 2)),
    "PULSE TRAIN(0.75, 0.2, 1.1, 9)": pulse_train(F(3, 4), F(1, 5), F(11, 10), F(9)),
    "PULSE TRAIN(0.7, 0.25, 1.1, 9)": pulse_train(F(7, 10), F(1, 4), F(11, 10), F(9)),
    "PULSE TRAIN(0.25, 0.5, 0.5, 9)": pulse_train(F(1, 4), F(1, 2), F(1, 2), F(9)),
    "PULSE TRAIN(0.25, 0.7, 0.5, 9)": pulse_train(F(1, 4), F(7, 10), F(1, 2), F(9)),
    "RAMP(2, 1, 4)": ramp(2, F(1), F(4)),
    "RAMP(2, 1.7, 4.2)": ramp(2, F(17, 10), F(42, 10)),
}


def grid(dt: Fraction) -> list[Fraction]:
    return [START + k * dt for k in range(math.ceil((END - START) / dt) + 1)]


@pytest.mark.parametrize("written", STEPS)
def test_test_inputs_of_vensim_follow_its_manual(tmp_path: Path, written: str) -> None:
    equations = [f"x{i} = {text}" for i, text in enumerate(VENSIM)]
    controls = {"INITIAL_TIME": str(START), "FINAL_TIME": str(END), "TIME_STEP": written}
    run = small(tmp_path, *equations, **controls).simulate(backend="numpy")
    dt = STEPS[written]
    for i, (text, rule) in enumerate(VENSIM.items()):
        expected = [rule(t, dt) for t in grid(dt)]
        np.testing.assert_allclose(run[f"x{i}"], expected, atol=1e-9, err_msg=f"{text} by {dt}")


def test_a_pulse_train_includes_its_end(tmp_path: Path) -> None:
    """Vensim's output published with SDEverywhere's `pulsetrain`: 1 at the end time itself."""
    model = small(tmp_path, "p = PULSE TRAIN(10, 1, 5, 30)", FINAL_TIME="40", TIME_STEP="0.25")
    p = model.simulate()["p"]
    assert [float(p.sel(time=t)) for t in (9.75, 25.0, 25.75, 26.0, 30.0, 30.25)] == [
        0,
        1,
        1,
        0,
        1,
        0,
    ]


@pytest.mark.parametrize("dt", ["0.1", "0.25", "1"])
def test_a_pulse_of_xmile_lasts_one_step_and_has_its_size(tmp_path: Path, dt: str) -> None:
    """PULSE(size, first, interval): size/DT for one step at or after each of its times."""
    equations = {"once": "PULSE(6, 2.3)", "again": "PULSE(6, 1, 2)", "always": "PULSE(6)"}
    path = tmp_path / "pulse.xmile"
    body = "".join(f'<aux name="{n}"><eqn>{e}</eqn></aux>' for n, e in equations.items())
    path.write_text(xmile(body, stop=str(END), dt=dt))
    run = load_model(path).simulate()
    h = float(dt)
    for name, wanted in (("once", [2.3]), ("again", [1, 3, 5, 7, 9, 11])):
        on = run.time[run[name] > 0].values
        assert np.allclose(run[name][run[name] > 0], 6 / h)
        assert len(on) == len(wanted), (name, on)
        late = on - np.array(wanted)
        assert np.all((late > -1e-9) & (late < h - 1e-9)), (name, on)
    assert np.allclose(run["always"], 6 / h)


@pytest.mark.parametrize("method", ["look forward", "hold backward", "raw"])
def test_a_series_meets_its_points_although_the_clock_is_a_sum(method: str) -> None:
    times = np.add.accumulate(np.full(121, 0.1)) - 0.1
    assert 2.0 not in times  # the sum of steps passes 2 by some bits
    points = np.arange(13.0)
    data = Data(points, 10 * points, method)  # type: ignore[arg-type]
    found = series_at(data, times)
    for year in range(1, 12):
        before, at, after = found[10 * year - 1], found[10 * year], found[10 * year + 1]
        assert at == 10 * year
        if method == "raw":
            assert np.isnan([before, after]).all()
        else:
            late = method == "hold backward"
            assert before == 10 * (year - late)
            assert after == 10 * (year + (not late))


def test_a_staircase_over_time_steps_at_its_points(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "stairs((0,0),(1,1),(2,2),(3,3),(4,4))",
        "back = LOOKUP BACKWARD(stairs, Time)",
        "on = LOOKUP FORWARD(stairs, Time)",
        TIME_STEP="0.1",
    )
    run = model.simulate()
    k = np.arange(len(run.time))
    np.testing.assert_array_equal(run["back"], k // 10)
    np.testing.assert_array_equal(run["on"], -(-k // 10))


@pytest.mark.parametrize("dt", ["0.1", "0.25", "(1/3)"])
def test_a_fixed_delay_of_whole_steps_is_that_many(tmp_path: Path, dt: str) -> None:
    model = small(tmp_path, "x = DELAY FIXED(Time, 2, -1)", TIME_STEP=dt, FINAL_TIME="6")
    run = model.simulate()
    expected = np.where(run.time < 2 - 1e-6, -1.0, run.time - 2)
    np.testing.assert_allclose(run["x"], expected, atol=1e-9)


def test_results_are_saved_at_the_first_step_at_or_after_each_saveper(tmp_path: Path) -> None:
    model = small(
        tmp_path, "x = INTEG(1, 0)", FINAL_TIME="10", TIME_STEP="0.0078125", SAVEPER="0.1"
    )
    times = model.simulate()["time"].values
    wanted = [math.ceil(k * 0.1 / 0.0078125 - 1e-9) * 0.0078125 for k in range(101)]
    np.testing.assert_allclose(times, wanted, rtol=0, atol=1e-9)


def test_a_saveper_below_the_time_step_saves_every_step(tmp_path: Path) -> None:
    model = small(tmp_path, "x = Time", TIME_STEP="1", SAVEPER="0.25")
    assert model.simulate()["x"].values.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("step", [0.1, 0.2, 0.05, 0.3, 0.01, 0.001])
@pytest.mark.parametrize("start", [0.0, 1900.0, 2013.5, -7.1])
def test_times_of_a_decimal_step_are_the_nearest_decimals(start: float, step: float) -> None:
    times = time_grid(start, start + 100, step)
    exact = [Decimal(str(start)) + n * Decimal(str(step)) for n in range(len(times))]
    assert times.tolist() == [float(time) for time in exact]


def test_times_of_a_step_that_is_no_short_decimal_are_multiples_of_it() -> None:
    for step in (1 / 3, 2.0**-12, np.pi / 10):
        times = time_grid(1.0, 4.0, step)
        assert times.tolist() == [1.0 + n * step for n in range(len(times))]
