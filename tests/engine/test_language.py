"""Each function of the language on a model of a few lines, on both back ends.

Expected numbers come from the definition of the function, worked by hand or by NumPy; where
Vensim's manual leaves a choice, from what PySD documents that Vensim does.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from beltcast.engine.run.prepare import Backend
from beltcast.errors import BeltcastError

from .language_models import close, model_of, values, values_of

ONE_LINERS: dict[str, tuple[str, list[float]]] = {
    # Time runs from 0 to 4.
    "STEP": ("STEP(2, 2)", [0, 0, 2, 2, 2]),
    "RAMP": ("RAMP(3, 1, 3)", [0, 0, 3, 6, 6]),
    "PULSE": ("PULSE(1, 2)", [0, 1, 1, 0, 0]),
    "PULSE TRAIN": ("PULSE TRAIN(0, 1, 2, 4)", [1, 0, 1, 0, 1]),
    "MODULO": ("MODULO(Time, 3)", [0, 1, 2, 0, 1]),
    "QUANTUM": ("QUANTUM(Time, 2)", [0, 0, 2, 2, 4]),
    "INTEGER": ("INTEGER(-Time/2)", [0, 0, -1, -1, -2]),
    "XIDZ": ("XIDZ(1, Time, 7)", [7, 1, 1 / 2, 1 / 3, 1 / 4]),
    "ZIDZ": ("ZIDZ(1, Time)", [0, 1, 1 / 2, 1 / 3, 1 / 4]),
    "MIN": ("MIN(Time, 2)", [0, 1, 2, 2, 2]),
    "MAX": ("MAX(Time, 2)", [2, 2, 2, 3, 4]),
    "LOG": ("LOG(Time + 1, 2)", [math.log2(k + 1) for k in range(5)]),
    "GAME": ("GAME(Time)", [0, 1, 2, 3, 4]),
    "GET TIME VALUE": ("GET TIME VALUE(0, 2, 0)", [2, 3, 4, 5, 6]),
    "GET TIME VALUE from the start": ("GET TIME VALUE(1, 2, 0)", [2, 2, 2, 2, 2]),
    "INITIAL": ("INITIAL(Time + 3)", [3, 3, 3, 3, 3]),
    "SAMPLE IF TRUE": ("SAMPLE IF TRUE(MODULO(Time, 2) = 1, Time, -1)", [-1, 1, 1, 3, 3]),
    # "When the same variable appears on the right it is the previous value" (fn_sample_if_true)
    "SAMPLE IF TRUE of itself": (
        "SAMPLE IF TRUE(Time*(4 - Time) > y, Time*(4 - Time) + y, 1)",
        [1, 4, 4, 4, 4],
    ),
    "DELAY FIXED": ("DELAY FIXED(Time*10, 2, -5)", [-5, -5, 0, 10, 20]),
    "a DELAY FIXED shorter than a step waits one": ("DELAY FIXED(Time, 0.2, 9)", [9, 0, 1, 2, 3]),
    "a DELAY FIXED of a half waits the next step up": (
        "DELAY FIXED(Time, 1.5, 9)",
        [9, 9, 0, 1, 2],
    ),
    # d(state)/dt = (input - state) / 2, from 1
    "SMOOTHI": ("SMOOTHI(5, 2, 1)", [1, 3, 4, 4.5, 4.75]),
    # two stages of half the time: s' = x - s, so each copies the one before
    "SMOOTH N": ("SMOOTH N(Time, 2, 0, 2)", [0, 0, 0, 1, 2]),
    "DELAY1I": ("DELAY1I(5, 2, 1)", [1, 3, 4, 4.5, 4.75]),
    "DELAY3I": ("DELAY3I(Time, 3, 7)", [7, 7, 7, 0, 1]),
    "DELAY N": ("DELAY N(Time, 2, 0, 2)", [0, 0, 0, 1, 2]),
    # average starts at 1 and follows: 1, then (1 + 2) / 2
    "TREND": (
        "TREND(IF THEN ELSE(Time < 1, 1, 2), 2, 0)",
        [0, (2 - 1) / (2 * 1), (2 - 1.5) / (2 * 1.5), (2 - 1.75) / 3.5, (2 - 1.875) / 3.75],
    ),
    "FORECAST": (
        "FORECAST(IF THEN ELSE(Time < 1, 1, 2), 2, 4)",
        [1, *(2 * (1 + 4 * g) for g in (1 / 2, 1 / 6, 0.25 / 3.5, 0.125 / 3.75))],
    ),
}


@pytest.mark.parametrize("name", ONE_LINERS)
def test_a_function_is_what_its_definition_says(
    name: str, tmp_path: Path, backend: Backend
) -> None:
    expression, expected = ONE_LINERS[name]
    model = model_of(tmp_path, f"y = {expression} ~~|")
    close(values(model, "y", backend), expected)


def test_active_initial_breaks_a_circle_at_the_start(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "share = ACTIVE INITIAL(stock/10, 0.5) ~~|\nstock = INTEG(1, share*4) ~~|",
    )
    close(values(model, "stock", backend), [2, 3, 4, 5, 6])
    close(values(model, "share", backend), [0.2, 0.3, 0.4, 0.5, 0.6])


def test_active_initial_of_a_constant_starts_stocks_and_is_the_constant_in_the_run(
    tmp_path: Path, backend: Backend
) -> None:
    """Vensim: the second argument serves the initial values of stocks alone."""
    model = model_of(
        tmp_path, "rate = ACTIVE INITIAL(5, 2) ~~|\nstock = INTEG(rate, 10*rate) ~~|", end=2
    )
    close(values(model, "rate", backend), [5, 5, 5])
    close(values(model, "stock", backend), [20, 25, 30])


def test_the_trend_of_a_negative_input_has_the_sign_of_its_growth(
    tmp_path: Path, backend: Backend
) -> None:
    """TREND divides by the size of the average: -3 is below its average of -3/1.2 = -2.5.

    (-3 + 2.5)/(2 * 2.5) = -0.1; the average moves by (-3 + 2.5)/2 a step, to -2.75.
    """
    model = model_of(tmp_path, "y = TREND(-3, 2, 0.1) ~~|", end=1)
    close(values(model, "y", backend), [-0.1, -0.25 / 5.5])


def test_a_random_rate_is_one_number_within_a_step_of_runge_kutta(
    tmp_path: Path, backend: Backend
) -> None:
    """A stock that a random rate fills gains the saved rate times the step, as with Euler."""
    model = model_of(
        tmp_path,
        "rate = RANDOM NORMAL(-9, 9, 0, 1, 7) ~~|\nstock = INTEG(rate, 0) ~~|",
        end=3,
        step=0.5,
    )
    rate, stock = values_of(model, ["rate", "stock"], backend, method="rk4")
    assert len(set(rate.tolist())) > 4
    close(np.diff(stock), 0.5 * rate[:-1])


def test_delay_n_keeps_the_delay_time_of_entry(tmp_path: Path, backend: Backend) -> None:
    # Two stages; T = 2 until time 1, then 4.  Worked by PySD's rule: the times of the stages
    # move down the chain one place a step, and the outlet uses the time of one step ago.
    model = model_of(
        tmp_path,
        "T = 2 + STEP(2, 1) ~~|\ny = DELAY N(Time + 1, T, 1, 2) ~~|",
        end=5,
    )
    stages, times, expected = [2.0, 2.0], [2.0, 2.0], []  # PySD's scale: rate times delay time
    for k in range(6):
        delay = 2.0 if k < 1 else 4.0
        expected.append(stages[1] / times[0])
        times = [delay, times[0]]
        out = [s / t for s, t in zip(stages, times, strict=True)]
        stages = [stages[0] + 2 * (k + 1 - out[0]), stages[1] + 2 * (out[0] - out[1])]
    close(values(model, "y", backend), expected)


def test_a_delay3_of_few_steps_is_not_shortened(tmp_path: Path, backend: Backend) -> None:
    # Three stages of two thirds of a step; Vensim leaves this chain alone.
    model = model_of(tmp_path, "y = DELAY3(Time, 2) ~~|")
    part, stages, expected = 2 / 3, [0.0] * 3, []
    for k in range(5):
        expected.append(stages[2] / part)
        flows = [float(k), *(s / part for s in stages)]
        stages = [s + flows[i] - flows[i + 1] for i, s in enumerate(stages)]
    close(values(model, "y", backend), expected)


def test_delay_fixed_may_differ_between_members(tmp_path: Path, backend: Backend) -> None:
    model = model_of(tmp_path, "wait = 1 ~~|\ny = DELAY FIXED(Time, wait, -1) ~~|")
    waits = np.array([1.0, 2.0, 3.0, 100.0])
    out = model.batch(
        model.rows("wait"),
        waits[None, :],
        outputs=model.rows("y"),
        saves=model.grid().saved(),
        backend=backend,
    )[:, 0]
    expected = [[k - w if k >= w else -1 for w in waits] for k in range(5)]
    close(out, expected)


def test_what_is_held_moves_once_a_runge_kutta_step(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "stock = INTEG(stock, 1) ~~|\n"
        "kept = SAMPLE IF TRUE(MODULO(Time, 2) = 0, stock, 0) ~~|\n"
        "late = DELAY FIXED(stock, 1, 0) ~~|",
    )
    stock, late = values_of(model, ["stock", "late"], backend, method="rk4")
    growth = 1 + 1 + 1 / 2 + 1 / 6 + 1 / 24
    np.testing.assert_allclose(stock, growth ** np.arange(5), rtol=1e-12)
    close(late, [0, *stock[:-1]])


LOOKUP = "f((0,1),(2,5),(4,3)) ~~|\ng((0,1),(2,5),(4,7)) ~~|\n"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("f(Time*2 - 1)", [1, 3, 4.0, 3, 3]),
        ("LOOKUP EXTRAPOLATE(f, Time*2 - 1)", [-1, 3, 4.0, 2, 0]),
        ("LOOKUP FORWARD(f, Time)", [1, 5, 5, 3, 3]),
        ("LOOKUP BACKWARD(f, Time)", [1, 1, 5, 5, 3]),
        ("LOOKUP INVERT(g, Time + 1)", [0, 0.5, 1, 1.5, 2]),
    ],
)
def test_a_lookup_is_read_as_it_is_called(
    expression: str, expected: list[float], tmp_path: Path, backend: Backend
) -> None:
    close(values(model_of(tmp_path, f"{LOOKUP}y = {expression} ~~|"), "y", backend), expected)


def test_what_follows_from_a_remembered_start_is_computed_in_its_order(
    tmp_path: Path, backend: Backend
) -> None:
    """Constants that rest on INITIAL by way of each other, against the order of their names."""
    model = model_of(
        tmp_path,
        "a = b + c ~~|\nb = 10*c ~~|\nc = 2*first ~~|\nfirst = INITIAL(Time + 3) ~~|\n"
        "stock = INTEG(a, b) ~~|",
        end=2,
    )
    close(values(model, "a", backend), [66, 66, 66])
    close(values(model, "stock", backend), [60, 126, 192])


@pytest.mark.parametrize("name", ["TIME STEP", "wait"])
def test_what_a_delay_was_shortened_by_is_not_changed_afterwards(tmp_path: Path, name: str) -> None:
    """Five stages in two steps are two; with another time or step they would be others."""
    model = model_of(tmp_path, "wait = 2 ~~|\ny = DELAY N(Time, wait, 0, 5) ~~|")
    close(values(model, "y", "numpy")[:4], [0, 0, 0, 1])
    with pytest.raises(BeltcastError, match="shortened to 2"):
        model.simulate({name: 0.5})
