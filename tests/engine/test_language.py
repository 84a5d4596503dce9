"""Each function of the language on a model of a few lines, on both back ends.

Expected numbers come from the definition of the function, worked by hand or by NumPy; where
Vensim's manual leaves a choice, from what PySD documents that Vensim does.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.language.array_functions import allocate_by_priority
from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.plan import Method
from beltcast.engine.run.prepare import Backend
from beltcast.errors import ModelFileError, SimulationError, UnsupportedConstruct
from beltcast.model.model import Model

CONTROLS = """
INITIAL TIME = 0 ~~|
FINAL TIME = {end} ~~|
TIME STEP = {step} ~~|
SAVEPER = TIME STEP ~~|
"""


@pytest.fixture(params=["numpy", "llvm"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param  # type: ignore[no-any-return]


def write(folder: Path, equations: str, *, end: float = 4, step: float = 1) -> Path:
    """A model file with these equations; each ends where the next line begins a new one."""
    path = folder / "model.mdl"
    text = "{UTF-8}\n" + equations.strip() + "\n" + CONTROLS.format(end=end, step=step)
    path.write_text(text, encoding="utf-8")
    return path


def model_of(folder: Path, equations: str, *, end: float = 4, step: float = 1) -> Model:
    return load_model(write(folder, equations, end=end, step=step))


def values(model: Model, label: str, backend: Backend, *, method: Method = "euler") -> FloatArray:
    """Values of one label at every saved time, or the table of all its elements."""
    return values_of(model, [label], backend, method=method)[0]


def values_of(
    model: Model, labels: list[str], backend: Backend, *, method: Method = "euler"
) -> list[FloatArray]:
    rows = [model.rows(label) for label in labels]
    parameters, given = model.constant_values(None)
    out = model.batch(
        parameters,
        given[:, None],
        outputs=np.concatenate(rows),
        saves=model.grid().saved(),
        backend=backend,
        method=method,
    )[:, :, 0]
    ends = np.cumsum([len(r) for r in rows])
    return [piece.squeeze() for piece in np.split(out, ends[:-1], axis=1)]


def close(a: FloatArray, b: object) -> None:
    np.testing.assert_allclose(a, np.asarray(b, dtype=float), rtol=1e-12, atol=1e-12)


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


def test_subscripts_are_numbers_in_their_family(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "dim: A, B, C ~~|\nsub: C, A ~~|\n"
        "y[dim] = dim*10 ~~|\nz[sub] = sub ~~|\nw[dim] = IF THEN ELSE(dim = B, 1, 0) ~~|\n"
        "n = ELMCOUNT(dim) + ELMCOUNT(sub)*10 ~~|",
        end=1,
    )
    close(values(model, "y", backend)[0], [10, 20, 30])
    close(values(model, "z", backend)[0], [3, 1])
    close(values(model, "w", backend)[0], [0, 1, 0])
    close(values(model, "n", backend), [23, 23])


def test_a_mapping_may_name_elements(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "A: a1, a2 -> (B: b2, b1) ~~|\nB: b1, b2 ~~|\n"
        "R: north, south -> (C: warm, c3) ~~|\nC: c1, c2, c3 ~~|\nwarm: c1, c2 ~~|\n"
        "x[A] = 1, 2 ~~|\ny[B] = x[A]*Time ~~|\n"
        "r[R] = 5, 7 ~~|\nz[C] = r[R]*Time ~~|\n",
        end=1,
    )
    y, z = values_of(model, ["y", "z"], backend)
    close(y[1], [2, 1])
    close(z[1], [5, 5, 7])


def test_a_plain_mapping_goes_by_position(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "A: a1, a2 -> B ~~|\nB: b1, b2 ~~|\nx[A] = 1, 2 ~~|\ny[B] = x[A]*Time ~~|",
        end=1,
    )
    close(values(model, "y", backend)[1], [1, 2])


@pytest.mark.parametrize(
    ("equations", "words"),
    [
        ("A: a1, a2 -> (B: b2) ~~|\nB: b1, b2 ~~|\ny = 1 ~~|", "names 1 elements for 2"),
        ("A: a1, a2 -> (B: b2, b9) ~~|\nB: b1, b2 ~~|\ny = 1 ~~|", "'b9', which is neither"),
        (
            "A: a1, a2 -> B ~~|\nB: b1, b2, b3 ~~|\nx[A] = 1 ~~|\ny[B] = x[A]*Time ~~|",
            "has 2 elements and 'b', to which it is mapped, 3",
        ),
        (
            "A: p, q ~~|\nB: p, q ~~|\nC: p, q ~~|\nx[C] = 1, 2 ~~|\ny[A, B] = x[C]*Time ~~|",
            "could both stand for it",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(equations: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=words):
        model_of(tmp_path, equations)


VECTOR = "dim: A, B, C, D ~~|\nx[dim] = 3, 1, 4, 1.5 ~~|\n"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("VECTOR SORT ORDER(x[dim], 1)", [1, 3, 0, 2]),
        ("VECTOR SORT ORDER(x[dim], -1)", [2, 0, 3, 1]),
        ("VECTOR RANK(x[dim], 1)", [3, 1, 4, 2]),
        ("VECTOR RANK(x[dim], 0)", [2, 4, 1, 3]),
    ],
)
def test_vectors_are_sorted_along_their_last_subscript(
    expression: str, expected: list[float], tmp_path: Path, backend: Backend
) -> None:
    model = model_of(tmp_path, f"{VECTOR}y[dim] = {expression} ~~|", end=1)
    close(values(model, "y", backend)[0], expected)


def test_a_reordered_vector_is_sorted(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        f"{VECTOR}o[dim] = VECTOR SORT ORDER(x[dim]*Time, 1) ~~|\n"
        "y[dim] = VECTOR REORDER(x[dim], o[dim]) ~~|",
        end=1,
    )
    close(values(model, "y", backend)[1], [1, 1.5, 3, 4])


@pytest.mark.parametrize(
    ("action", "expected"),
    # selection 0, 2, 3, 1 of the expression 3, 1, 4, 1.5
    [
        (0, 2 + 12 + 1.5),
        (1, 2 * 12 * 1.5),
        (2, 1.5),
        (3, 12),
        (4, (2 + 12 + 1.5) / 3),
        (5, 1**2 * 4**3 * 1.5),
        (6, 6.5),
        (7, 6),
        (8, 1),
        (9, 4),
        (10, 6.5 / 3),
    ],
)
def test_vector_select_acts_on_what_is_selected(
    action: int, expected: float, tmp_path: Path, backend: Backend
) -> None:
    model = model_of(
        tmp_path,
        f"{VECTOR}s[dim] = 0, 2, 3, 1 ~~|\nnone[dim] = 0 ~~|\n"
        f"y = VECTOR SELECT(s[dim!], x[dim!], -9, {action}, 0) ~~|\n"
        f"z = VECTOR SELECT(s[dim!], x[dim!], -9, Time + {action}, 0) ~~|\n"
        f"m = VECTOR SELECT(none[dim!], x[dim!], -9, {action}, 0) ~~|",
        end=1,
    )
    close(values(model, "y", backend)[0], expected)
    close(values(model, "z", backend)[0], expected)
    close(values(model, "m", backend)[0], -9)


def test_an_inverse_times_its_matrix_is_one(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "r: A, B ~~|\nc: K, L ~~|\nm[r, c] = 2, 1; 1, 3; ~~|\n"
        "t[r, c] = m[r, c] + Time ~~|\ni[r, c] = INVERT MATRIX(t[r, c], 2) ~~|",
        end=1,
    )
    t, i = values_of(model, ["t", "i"], backend)
    for k in range(2):
        close(t[k].reshape(2, 2) @ i[k].reshape(2, 2), np.eye(2))


def test_a_matrix_without_inverse_stops_the_run(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        "r: A, B ~~|\nc: K, L ~~|\nm[r, c] = 1, 1; 1, 1; ~~|\n"
        "i[r, c] = INVERT MATRIX(m[r, c], 2) ~~|",
    )
    with pytest.raises(SimulationError, match=r"'i\[A, K\]' is nan"):
        model.simulate()


def test_a_priority_takes_all_where_it_is_far_above(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "d: A, B, C ~~|\nask[d] = 5, 4, 3 ~~|\nrank[d] = 1, 9, 5 ~~|\n"
        "far[d] = ALLOCATE BY PRIORITY(ask[d], rank[d], ELMCOUNT(d), 1, 6) ~~|\n"
        "same[d] = ALLOCATE BY PRIORITY(ask[d], ask[d]*0, ELMCOUNT(d), 1, 6) ~~|",
        end=1,
    )
    far, same = values_of(model, ["far", "same"], backend)
    close(far[0], [0, 4, 2])
    close(same[0], [2.5, 2, 1.5])


@pytest.mark.parametrize("seed", range(6))
def test_an_allocation_by_priority_is_a_level_that_sinks_through_bands(seed: int) -> None:
    """Each request is spread evenly over a band of the width below its priority (Vensim's manual).

    What lies above one level is served; bisection finds the level at which that is the supply.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    request, priority = rng.uniform(0, 5, (n, 1)), rng.uniform(-2, 2, (n, 1)).round(1)
    request[rng.random(n) < 0.2] = 0.0
    width, supply = rng.uniform(0.1, 3.0, (1, 1)), rng.uniform(0.0, 1.2, (1, 1)) * request.sum()

    def served(level: float) -> np.ndarray:
        return request * np.clip((priority - level) / width, 0.0, 1.0)

    high, low = 3.0, -6.0
    for _ in range(200):
        level = 0.5 * (high + low)
        high, low = (level, low) if served(level).sum() < supply.item() else (high, level)
    got = allocate_by_priority(request, priority, width, supply)
    np.testing.assert_allclose(got, served(level), atol=1e-9)


@pytest.mark.parametrize("wrong", [(-1.0, 1.0, 6.0), (5.0, 0.0, 6.0), (5.0, 1.0, -0.1)])
def test_an_allocation_of_what_cannot_be_is_not_a_number(wrong: tuple[float, ...]) -> None:
    ask, width, supply = (np.array([[x]]) for x in wrong)
    both = np.array([[ask.item()], [4.0]])
    assert np.isnan(allocate_by_priority(both, both * 0.0, width, supply)).all()
    assert np.isfinite(allocate_by_priority(abs(both), both * 0.0, width + 1, abs(supply))).all()


@pytest.mark.parametrize("shape", [1, 2, 3, 4])
def test_equal_priorities_share_a_supply_by_request(
    shape: int, tmp_path: Path, backend: Backend
) -> None:
    model = model_of(
        tmp_path,
        "d: A, B ~~|\np: kind, priority, width, extra ~~|\nask[d] = 6, 2 ~~|\n"
        f"pp[A, p] = {shape}, 5, 2, 0 ~~|\npp[B, p] = {shape}, 5, 2, 0 ~~|\n"
        "got[d] = ALLOCATE AVAILABLE(ask[d], pp[d, kind], Time*4) ~~|",
        end=3,
    )
    out = values(model, "got", backend)
    np.testing.assert_allclose(out, [[0, 0], [3, 1], [6, 2], [6, 2]], rtol=1e-9)


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


# --- macros -----------------------------------------------------------------------------------


def test_each_call_of_a_macro_has_its_own_stock(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        ":MACRO: GROW(inflow, start)\nGROW = INTEG(twice, start) ~~|\n"
        "twice = inflow*2 ~~|\n:END OF MACRO:\n"
        "d: A, B ~~|\nrate[d] = 1, 10 ~~|\n"
        "y[d] = GROW(rate[d], 0) ~~|\nz = GROW(Time, 5) + 1 ~~|",
        end=2,
    )
    close(values(model, "y", backend), [[0, 0], [2, 20], [4, 40]])
    close(values(model, "z", backend), [6, 6, 8])


def test_a_macro_that_calls_itself_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ":MACRO: M(x)\nM = M(x) + 1 ~~|\n:END OF MACRO:\ny = M(1) ~~|")
    with pytest.raises(ModelFileError, match="'m' calls itself"):
        load_model(path)


# --- tables -----------------------------------------------------------------------------------


def test_subscripted_tables_come_from_a_csv_file(tmp_path: Path, backend: Backend) -> None:
    (tmp_path / "t.csv").write_text("t,A,B\n0,1,10\n2,3,\n4,5,50\n", encoding="utf-8")
    model = model_of(
        tmp_path,
        "d: GET DIRECT SUBSCRIPT('t.csv', ',', 'B1', 'C1', '') ~~|\n"
        "x[d] := GET DIRECT DATA('t.csv', ',', 'A', 'B2') ~~|\n"
        "h[d]:HOLD BACKWARD: := GET DIRECT DATA('t.csv', ',', 'A', 'B2') ~~|\n"
        "l[d]:LOOK FORWARD: := GET DIRECT DATA('t.csv', ',', 'A', 'B2') ~~|\n"
        "f[d] = GET DIRECT LOOKUPS('t.csv', ',', 'A', 'B2') ~~|\n"
        "y[d] = f[d](Time/2) ~~|\n"
        "c[d] = GET DIRECT CONSTANTS('t.csv', ',', 'B2') ~~|\n"
        "q[d] = x[d] + h[d] + l[d] + c[d] ~~|",
    )
    assert model.subscripts["d"] == ("A", "B")
    x, h, late, y, c = values_of(model, ["x", "h", "l", "y", "c"], backend)
    close(x, [[1, 10], [2, 20], [3, 30], [4, 40], [5, 50]])
    close(h, [[1, 10], [1, 10], [3, 10], [3, 10], [5, 50]])
    close(late, [[1, 10], [3, 50], [3, 50], [5, 50], [5, 50]])
    close(y, [[1, 10], [1.5, 15], [2, 20], [2.5, 25], [3, 30]])
    close(c[0], [1, 10])


def test_a_workbook_is_read_by_cell_and_by_name(tmp_path: Path, backend: Backend) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Data"
    for row in ([0, 1, 2, 3], [5, "n.a.", 7, 8]):
        sheet.append(row)
    for name, cells in (("when", "$A$1:$D$1"), ("what", "$A$2:$D$2")):
        defined = openpyxl.workbook.defined_name.DefinedName(name, attr_text=f"Data!{cells}")
        book.defined_names[name] = defined
    book.save(tmp_path / "t.xlsx")
    model = model_of(
        tmp_path,
        "x := GET XLS DATA('t.xlsx', 'data', '1', 'A2') ~~|\n"
        "y := GET XLS DATA('t.xlsx', 'data', 'when', 'what') ~~|\n"
        "k = GET XLS CONSTANTS('t.xlsx', 'data', 'C2') ~~|\nz = x + y + k ~~|",
        end=3,
    )
    close(values(model, "z", backend), [17, 19, 21, 23])


def test_raw_data_have_no_value_between_points(tmp_path: Path, backend: Backend) -> None:
    (tmp_path / "t.csv").write_text("0,1\n2,3\n", encoding="utf-8")
    model = model_of(
        tmp_path, "x:RAW: := GET DIRECT DATA('t.csv', ',', 'A', 'B1') ~~|\ny = x ~~|", end=2
    )
    close(values(model, "y", backend), [1, np.nan, 3])


def test_data_that_the_model_leaves_to_its_user_must_be_given(tmp_path: Path) -> None:
    model = model_of(tmp_path, "x:INTERPOLATE: ~~|\ny = x*2 ~~|")
    with pytest.raises(SimulationError, match="no numbers for the data variable 'x'"):
        model.simulate()
    run = model.simulate(inputs={"x": ([0.0, 4.0], [0.0, 8.0])})
    close(run["y"].to_numpy(), [0, 4, 8, 12, 16])


@pytest.mark.parametrize("file", ["../t.csv", "/etc/hostname"])
def test_a_table_elsewhere_is_refused(file: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"x = GET DIRECT CONSTANTS('{file}', ',', 'A1') ~~|")
    with pytest.raises(ModelFileError, match="outside its own folder"):
        load_model(path)


def test_a_missing_number_is_equal_to_na_alone(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "x = IF THEN ELSE(Time > 1, :NA:, Time) ~~|\n"
        "y = IF THEN ELSE(x = :NA:, -1, x) ~~|\nz = IF THEN ELSE(x <> :NA:, x, -1) ~~|",
        end=2,
    )
    for label in ("y", "z"):
        close(values(model, label, backend), [0, 1, -1])


def test_na_has_no_order(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedConstruct, match="a comparison '<' with :NA:"):
        model_of(tmp_path, "y = IF THEN ELSE(Time < :NA:, 1, 0) ~~|")


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equations", "words"),
    [
        ("y = DELAY PROFILE(1, 2, 3) ~~|", "DELAY PROFILE is not supported; Vensim does not"),
        ("y = REINITIAL(1) ~~|", "REINITIAL is not supported; write INITIAL"),
        ("y = RANDOM LOOKUP(1, 2, 3) ~~|", "RANDOM LOOKUP is not supported; call a lookup"),
        ("y = GET TIME VALUE(1, 0, 3) ~~|", "no settings that date its time"),
        ("y = GET TIME VALUE(2, 0, 0) ~~|", "the computer.s clock"),
        ("k = INTEG(1, 0) ~~|\ny = SMOOTH N(Time, 2, 0, k) ~~|", "order is not a whole number"),
        ("d: A, B ~~|\nx[d] = 1 ~~|\ny = INVERT MATRIX(x[A], 1) + 1 ~~|", "inside an expression"),
        ("f((0,1),(1,0),(2,1)) ~~|\ny = LOOKUP INVERT(f, Time) ~~|", "neither rises nor falls"),
        ("f((0,1),(1,1),(2,0)) ~~|\ny = LOOKUP INVERT(f, Time) ~~|", "neither rises nor falls"),
        ("f((0,0),(1,1),(2,1)) ~~|\ny = LOOKUP INVERT(f, Time) ~~|", "neither rises nor falls"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_line(
    equations: str, words: str, tmp_path: Path
) -> None:
    path = write(tmp_path, equations)
    with pytest.raises(UnsupportedConstruct, match=words) as problem:
        load_model(path)
    assert problem.value.line == 1 + equations.count("\n") + 1


def test_a_constant_that_shaped_the_model_cannot_be_set(tmp_path: Path) -> None:
    model = model_of(tmp_path, "k = 2 ~~|\ny = SMOOTH N(Time, 2, 0, k) ~~|")
    with pytest.raises(SimulationError, match="'k' cannot be set for a run: it makes the order"):
        model.simulate({"k": 3.0})


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


def test_a_function_without_derivative_is_refused_in_a_fit(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        "k = 2 ~~|\nr: A, B ~~|\nc: K, L ~~|\nm[r, c] = 2, 1; 1, 3; ~~|\n"
        "t[r, c] = m[r, c]*k ~~|\ni[r, c] = INVERT MATRIX(t[r, c], 2) ~~|",
    )
    with pytest.raises(UnsupportedConstruct, match="INVERT MATRIX has no derivative"):
        model.batch(
            model.rows("k"),
            np.array([[2.0]]),
            outputs=model.rows("i"),
            saves=[0.0],
            directions=np.array([0]),
        )


@pytest.mark.parametrize(
    "expression",
    [
        "SAMPLE IF TRUE(Time > 1, k*Time, k)",
        "DELAY FIXED(k*k*Time, 2, k)",
        "DELAY N(k*Time, 3 + STEP(1, 1), k, 2)",
        "TREND(k + Time, 2, k)",
        "FORECAST(k + Time*k, 2, 3)",
        "ACTIVE INITIAL(k*Time, k)",
    ],
)
def test_derivatives_pass_through_memory(expression: str, tmp_path: Path, backend: Backend) -> None:
    model = model_of(tmp_path, f"k = 1.5 ~~|\ny = {expression} ~~|\ns = INTEG(y, k) ~~|")
    saves = model.grid().saved()
    rows = np.concatenate([model.rows("y"), model.rows("s")])
    parameters = model.rows("k")

    def at(k: float) -> FloatArray:
        return model.batch(parameters, np.array([[k]]), outputs=rows, saves=saves, backend=backend)[
            :, :, 0
        ]

    exact = model.batch(
        parameters,
        np.array([[1.5]]),
        outputs=rows,
        saves=saves,
        directions=np.array([0]),
        backend=backend,
    )[:, :, 0, 1]
    # Central differences: error of third order, about 1e-10 with this step.
    slope = (at(1.5 + 1e-5) - at(1.5 - 1e-5)) / 2e-5
    np.testing.assert_allclose(exact, slope, rtol=1e-7, atol=1e-8)


def test_a_long_sum_is_a_loop_with_the_value_and_derivative_of_the_written_sum(
    tmp_path: Path, backend: Backend
) -> None:
    """201 elements, an odd number at every halving but the last: 201, 101, 51, 26, 13, 7, 4, 2."""
    model = model_of(
        tmp_path,
        "k = 1.5 ~~|\nA: (A1-A201) ~~|\nB: P, Q ~~|\nbase[B] = 1, 2 ~~|\n"
        "w[A] = A ~~|\ns[B] = SUM(k*w[A!]^base[B]) ~~|\n"
        "p = PROD(1 + k/(w[A!] + 0*Time)/100) ~~|\nlow = VMIN(ABS(w[A!] - 77.25)*k) ~~|\n"
        "high = VMAX(w[A!]*k - w[A!]*w[A!]/100) ~~|\nboth = SUM(w[A!]*base[B!]) ~~|",
    )
    n = np.arange(1, 202, dtype=float)

    def expected(k: float) -> FloatArray:
        return np.array([
            (k * n).sum(),
            (k * n**2).sum(),
            np.prod(1 + k / n / 100),
            0.25 * k,
            (n * k - n * n / 100).max(),
            3 * n.sum(),
        ])  # fmt: skip

    rows = np.concatenate([model.rows(name) for name in ("s", "p", "low", "high", "both")])
    out = model.batch(
        model.rows("k"), np.array([[1.5]]), outputs=rows, saves=[0.0],
        directions=np.array([0]), backend=backend,
    )[0, :, 0]  # fmt: skip
    np.testing.assert_allclose(out[:, 0], expected(1.5), rtol=1e-13)
    slope = (expected(1.5 + 1e-6) - expected(1.5 - 1e-6)) / 2e-6
    np.testing.assert_allclose(out[:, 1], slope, rtol=1e-8, atol=1e-8)
