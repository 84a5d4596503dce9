"""Steps that adapt: closed forms, published solutions of stiff problems, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import RK45
from scipy.integrate._ivp.rk import rk_step
from scipy.linalg import expm

from beltcast import load_model
from beltcast.engine.run.adaptive import (
    _ERROR,
    _NODES,
    _WEIGHTS,
    _advance,
    _extrapolate,
    _first_steps,
    _inverses,
    _pair,
    state_equations,
)
from beltcast.errors import InputError, UnsupportedConstruct
from beltcast.model.model import Model

CONTROLS = """
INITIAL TIME = 0 ~~|
FINAL TIME = {end} ~~|
TIME STEP = {step} ~~|
SAVEPER = TIME STEP ~~|
"""


def model(tmp_path: Path, equations: str, *, end: float = 10, step: float = 1) -> Model:
    path = tmp_path / "model.mdl"
    path.write_text("{UTF-8}\n" + equations + CONTROLS.format(end=end, step=step))
    return load_model(path)


DECAY = "k = 0.5 ~~|\nS = INTEG(-k*S, 100) ~~|"


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
@pytest.mark.parametrize("method", ["adaptive", "stiff"])
def test_decay_and_its_derivative_are_exponentials(tmp_path: Path, method, backend) -> None:
    decay = model(tmp_path, DECAY)
    times = np.arange(11.0)
    run = decay.batch(
        decay.rows("k"),
        np.array([[0.5, 2.0]]),
        outputs=decay.rows("S"),
        saves=times,
        directions=np.array([0]),
        method=method,
        backend=backend,
    )
    for column, k in enumerate((0.5, 2.0)):
        exact = 100 * np.exp(-k * times)
        # The tolerance is 1e-7 of the largest value, a step.
        np.testing.assert_allclose(run[:, 0, column, 0], exact, atol=100 * 1e-6)
        np.testing.assert_allclose(run[:, 0, column, 1], -times * exact, atol=100 * 1e-5)


def test_a_stiff_linear_system_is_its_matrix_exponential(tmp_path: Path) -> None:
    matrix = np.array([[-1e6, 1e6 - 1], [1.0, -2.0]])
    stiff = model(
        tmp_path,
        "X = INTEG(-1e6*X + 999999*Y, 1) ~~|\nY = INTEG(X - 2*Y, 1) ~~|",
        end=4,
        step=4,
    )
    run = stiff.simulate(method="stiff")
    exact = expm(4 * matrix) @ np.ones(2)
    assert run["X"].values[-1] == pytest.approx(exact[0], abs=1e-6)
    assert run["Y"].values[-1] == pytest.approx(exact[1], abs=1e-6)


ROBERTSON = """
a = 0.04 ~~|
X = INTEG(-a*X + 1e4*Y*Z, 1) ~~|
Y = INTEG(a*X - 1e4*Y*Z - 3e7*Y*Y, 0) ~~|
Z = INTEG(3e7*Y*Y, 0) ~~|
"""


def test_robertsons_problem_ends_as_the_test_set_says(tmp_path: Path) -> None:
    # Mazzia and Magherini (2008), Test Set for Initial Value Problem Solvers, problem ROBER at
    # t = 1e11.
    run = model(tmp_path, ROBERTSON, end=1e11, step=1e11).simulate(method="stiff")
    assert run["X"].values[-1] == pytest.approx(0.2083340149701255e-7, rel=1e-4)
    assert run["Y"].values[-1] == pytest.approx(0.8333360770334713e-13, rel=1e-4)
    assert run["Z"].values[-1] == pytest.approx(0.9999999791665050, abs=1e-6)


def test_derivatives_of_a_stiff_run_are_its_differences(tmp_path: Path) -> None:
    robertson = model(tmp_path, ROBERTSON, end=1000, step=1000)
    ask = {
        "outputs": np.concatenate([robertson.rows(name) for name in "XYZ"]),
        "saves": np.array([1000.0]),
        "method": "stiff",
    }
    row = robertson.rows("a")
    run = robertson.batch(row, np.array([[0.04]]), directions=np.array([0]), **ask)[0, :, 0]
    moved = robertson.batch(row, np.array([[0.04 - 4e-4, 0.04 + 4e-4]]), **ask)[0]
    differences = (moved[:, 1] - moved[:, 0]) / 8e-4
    np.testing.assert_allclose(run[:, 1], differences, rtol=2e-3)


@pytest.mark.parametrize("method", ["adaptive", "stiff"])
def test_members_do_not_depend_on_their_neighbours(tmp_path: Path, method) -> None:
    logistic = model(
        tmp_path, "a = 1 ~~|\nS = INTEG(a*S*(1 - S), 0.01) ~~|\nT = INTEG(S^1.5, 0) ~~|"
    )
    values = np.linspace(0.1, 40, 20)[None]
    ask = {"outputs": logistic.rows("T"), "saves": [0.0, 7.0], "method": method}
    together = logistic.batch(logistic.rows("a"), values, **ask)
    for column in (0, 7, 19):
        alone = logistic.batch(logistic.rows("a"), values[:, [column]], **ask)
        assert np.array_equal(alone[:, :, 0], together[:, :, column])


@pytest.mark.parametrize("method", ["adaptive", "stiff"])
def test_what_comes_at_a_time_of_the_grid_comes_exactly_then(tmp_path: Path, method) -> None:
    # STEP of 3 from time 4, PULSE of one TIME STEP, and a ramp of Time itself.
    timed = model(
        tmp_path,
        "S = INTEG(STEP(3, 4), 0) ~~|\nP = INTEG(PULSE(2, 1), 0) ~~|\nR = INTEG(Time, 0) ~~|",
    )
    run = timed.simulate(method=method)
    times = np.arange(11.0)
    np.testing.assert_allclose(run["S"], 3 * np.maximum(times - 4, 0), atol=1e-9)
    np.testing.assert_allclose(run["P"], np.clip(times - 2, 0, 1), atol=1e-9)
    np.testing.assert_allclose(run["R"], times**2 / 2, atol=1e-6)


def test_totals_and_initial_values_are_those_of_the_run(tmp_path: Path) -> None:
    decay = model(tmp_path, DECAY + "\nfirst = INITIAL(2*S) ~~|\nflow = k*S + first ~~|")
    run = decay.batch(
        decay.rows("k"),
        np.array([[0.5]]),
        outputs=decay.rows("first"),
        totals=decay.rows("flow"),
        saves=[10.0],
        method="stiff",
    )
    assert run[0, 0, 0] == 200.0
    assert run[0, 1, 0] == pytest.approx(100 * (1 - np.exp(-5.0)) + 2000, rel=1e-6)


@pytest.mark.parametrize(
    ("equation", "named"),
    [
        ("D = DELAY FIXED(S, 2, 0) ~~|", "D"),
        ("D = SAMPLE IF TRUE(S > 50, S, 0) ~~|", "D"),
    ],
)
def test_what_changes_once_a_step_is_refused_by_name(tmp_path: Path, equation, named) -> None:
    delayed = model(tmp_path, DECAY + "\n" + equation + "\nT = INTEG(D, 0) ~~|")
    with pytest.raises(UnsupportedConstruct, match=f"'stiff' integrates .*'{named}'"):
        delayed.simulate(method="stiff")
    # What does not need it runs.
    delayed.simulate(outputs="S", method="stiff")


def test_a_run_that_no_step_saves_is_lost_alone(tmp_path: Path) -> None:
    # S' = S^2 from 1 is infinite at time 1/a.
    burst = model(tmp_path, "a = 0.01 ~~|\nS = INTEG(a*S*S, 1) ~~|")
    run = burst.batch(
        burst.rows("a"),
        np.array([[0.05, 0.5]]),
        outputs=burst.rows("S"),
        saves=[1.0, 10.0],
        method="adaptive",
    )
    np.testing.assert_allclose(run[:, 0, 0], [1 / 0.95, 2.0], rtol=1e-6)
    assert run[0, 0, 1] == pytest.approx(2.0, rel=1e-6)
    assert np.isnan(run[1, 0, 1])


def test_the_equations_of_a_program_have_no_stocks_and_read_no_clock(tmp_path: Path) -> None:
    timed = model(tmp_path, "S = INTEG(Time + STEP(1, 2), 0) ~~|")
    equations, memory, given = state_equations(timed.program)
    assert not len(equations.stocks)
    assert not len(memory)
    assert len(given) == 3  # the stock, the time, the last time of the grid


def test_a_model_read_with_a_method_uses_it_and_is_not_saved_with_it(tmp_path: Path) -> None:
    robertson = model(tmp_path, ROBERTSON, end=1000, step=1000)
    stiff = load_model(tmp_path / "model.mdl", method="stiff")
    assert np.array_equal(stiff.simulate()["X"], robertson.simulate(method="stiff")["X"])
    with pytest.raises(UnsupportedConstruct, match="cannot name the method 'stiff'"):
        stiff.save(tmp_path / "copy.mdl")
    with pytest.raises(InputError, match="unknown method of integration 'bdf'; expected one of"):
        load_model(tmp_path / "model.mdl", method="bdf")


def test_the_published_point_of_boehm_runs(tmp_path: Path) -> None:
    # Boehm and others (2014) as kept in the PEtab benchmark collection: the import rate of 97,749
    # a minute would need explicit steps of 2e-5 minutes.  Both dimer sums are checked against the
    # solution with the limit of that rate, which differs by its inverse.
    gallery = Path(__file__).parents[2] / "docs" / "gallery" / "boehm" / "model.mdl"
    point = {
        "ed": 0.026982514033029,
        "khet": 1.00067973851508e-05,
        "khom": 0.00617022782112447,
        "ihet": 0.0163679184468,
        "kp": 15766.5070195731,
        "TIME STEP": 2.5,
        "SAVEPER": 60,
    }
    boehm = load_model(gallery, method="stiff")
    at = boehm.simulate({**point, "ihom": 97749.3794024716}, outputs=["pSTATA", "pSTATB"])
    beyond = boehm.simulate({**point, "ihom": 1e7}, outputs=["pSTATA", "pSTATB"])
    np.testing.assert_allclose(at["pSTATA"][1:], beyond["pSTATA"][1:], rtol=1e-4)
    np.testing.assert_allclose(at["pSTATB"][1:], beyond["pSTATB"][1:], rtol=1e-4)


@pytest.mark.parametrize("method", ["adaptive", "stiff"])
def test_a_smaller_tolerance_makes_a_smaller_error(tmp_path: Path, method) -> None:
    decay = model(tmp_path, DECAY)
    assert decay.path is not None
    exact = 100 * np.exp(-5.0)
    errors = []
    for rtol in (1e-3, 1e-6, 1e-10):
        one = load_model(decay.path, method=method, rtol=rtol)
        errors.append(abs(float(one.simulate()["S"][-1]) - exact) / exact)
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert errors[2] < 1e-8


def test_an_absolute_tolerance_is_in_the_unit_of_the_stock(tmp_path: Path) -> None:
    # Where an error of 1 is allowed, each time of the grid is reached in one step of length 1.
    decay = model(tmp_path, DECAY)
    assert decay.path is not None
    errors = []
    for atol in (1.0, 1e-16):
        one = load_model(decay.path, method="adaptive", rtol=1e-10, atol=atol)
        errors.append(abs(float(one.simulate()["S"][-1]) - 100 * np.exp(-5.0)))
    assert 1.0 > errors[0] > 1e-5 > 1e-8 > errors[1]


@pytest.mark.parametrize(
    ("method", "rtol", "message"),
    [
        ("rk4", 1e-6, "rk4 takes fixed ones; expected one of adaptive, stiff"),
        ("stiff", 0.0, "rtol is 0 and atol 1e-16; expected rtol from 1e-13 to 1"),
        ("stiff", float("nan"), "rtol is nan"),
    ],
)
def test_an_impossible_tolerance_is_refused(tmp_path: Path, method, rtol, message) -> None:
    path = model(tmp_path, DECAY).path
    assert path is not None
    with pytest.raises(InputError, match=message):
        load_model(path, method=method, rtol=rtol)


@pytest.mark.parametrize("method", ["adaptive", "stiff"])
def test_the_steps_of_equations_without_a_clock_are_the_same_from_any_time_on(
    tmp_path: Path, method
) -> None:
    early = model(tmp_path, "S = INTEG(1 - S, 0) ~~|")
    text = (tmp_path / "model.mdl").read_text()
    moved = text.replace("INITIAL TIME = 0", "INITIAL TIME = 2000")
    (tmp_path / "moved.mdl").write_text(moved.replace("FINAL TIME = 10", "FINAL TIME = 2010"))
    late = load_model(tmp_path / "moved.mdl")
    one, other = (each.simulate(method=method)["S"].values for each in (early, late))
    # Other steps give errors that differ by about the tolerance, 1e-7; rounding of the clock less.
    np.testing.assert_allclose(one, other, rtol=1e-11)
    np.testing.assert_allclose(one, -np.expm1(-np.arange(11.0)), atol=1e-6)


def test_the_weights_are_those_of_dormand_and_prince() -> None:
    """As SciPy has them; and each row of weights adds up to its node, the errors to nothing."""
    np.testing.assert_allclose(_NODES[:6], RK45.C, rtol=1e-15)
    for k in range(1, 6):
        np.testing.assert_allclose(_WEIGHTS[k], RK45.A[k, :k], rtol=1e-14)
    np.testing.assert_allclose(_WEIGHTS[6], RK45.B, rtol=1e-14)
    np.testing.assert_allclose(_ERROR, -RK45.E, rtol=1e-14)
    for node, weights in zip(_NODES, _WEIGHTS, strict=True):
        assert sum(weights) == pytest.approx(node, abs=1e-14)
    assert sum(_ERROR) == pytest.approx(0.0, abs=1e-16)


# --- one step, of equations of one's own ------------------------------------------------------


MATRIX = np.array([[-2.0, 0.5], [1.0, -0.3]])


class Equations:
    """``y' = f(t, y)`` of two stocks in place of a program; without derivatives."""

    question = SimpleNamespace(flows=np.arange(2), implicit=False)
    plan = SimpleNamespace(tolerance=(1e-4, 1e-12))
    now = 3.0

    def __init__(self, f=lambda t, y: MATRIX @ y) -> None:
        self.f = f

    def at(self, rows, members, state, times):
        return np.array([self.f(t, y[:, 0]) for t, y in zip(times, state, strict=True)])[..., None]

    def jacobian(self, members, state, times):
        return np.repeat(MATRIX[None], len(state), axis=0)


STATE = np.array([[3.0, -1.0], [0.5, 7.0], [2.0, 2.0]])[..., None]
LENGTH = np.array([0.1, 0.7, 0.02])
TIMES = np.array([3.0, 3.5, 4.0])


def step_of(step, course: Equations):
    members = np.arange(3)
    rates = course.at(None, members, STATE, TIMES)
    return step(course, members, STATE, rates, TIMES, LENGTH)  # type: ignore[arg-type]  # a course of numbers


def test_an_explicit_step_and_its_error_are_those_of_scipy() -> None:
    def f(t: float, y: np.ndarray) -> np.ndarray:
        return np.array([np.sin(t) * y[1] - 0.2 * y[0] ** 2, t - y[0] * y[1]])

    moved, error, then = step_of(_pair, Equations(f))
    for k, (start, t, h) in enumerate(zip(STATE[..., 0], TIMES, LENGTH, strict=True)):
        stages = np.empty((7, 2))
        y, flow = rk_step(f, t, start, f(t, start), h, RK45.A, RK45.B, RK45.C, stages)
        np.testing.assert_allclose(moved[k, :, 0], y, rtol=1e-13)
        np.testing.assert_allclose(then[k, :, 0], flow, rtol=1e-12)
        np.testing.assert_allclose(error[k], -h * stages.T @ RK45.E, rtol=1e-6)


def test_an_implicit_step_is_the_polynomial_through_its_euler_steps() -> None:
    """k steps of h / k give (I - h A / k)^-k y; what they tend to is their polynomial at 0."""
    moved, error, _ = step_of(_extrapolate, Equations())

    def extrapolated(start: np.ndarray, h: float, counts: list[int]) -> np.ndarray:
        found = 0.0
        for k in counts:
            euler = np.linalg.matrix_power(np.linalg.inv(np.eye(2) - h / k * MATRIX), k) @ start
            weight = np.prod([(1 / i) / (1 / i - 1 / k) for i in counts if i != k])
            found = found + weight * euler
        return np.asarray(found)

    for k, (start, h) in enumerate(zip(STATE[..., 0], LENGTH, strict=True)):
        whole, coarser = (extrapolated(start, h, of) for of in ([1, 2, 3, 4, 5], [2, 3, 4, 5]))
        np.testing.assert_allclose(moved[k, :, 0], whole, rtol=1e-10)
        np.testing.assert_allclose(error[k], whole - coarser, rtol=1e-6, atol=1e-12)


def test_an_implicit_step_sees_flows_at_the_end_of_each_of_its_steps() -> None:
    """y' = t^3 without y: the k steps of h / k sum t^3 at their ends, a polynomial in h / k."""
    course = Equations(lambda t, y: np.array([t**3, 1.0]))
    course.jacobian = lambda members, state, times: np.zeros((len(state), 2, 2))  # type: ignore[method-assign]  # in place of the compiled one
    moved = step_of(_extrapolate, course)[0]
    there = TIMES + LENGTH
    np.testing.assert_allclose(moved[:, 0, 0] - STATE[:, 0, 0], (there**4 - TIMES**4) / 4)
    np.testing.assert_allclose(moved[:, 1, 0] - STATE[:, 1, 0], LENGTH)


def test_the_first_step_is_a_hundredth_of_what_a_stock_lasts_or_a_thousandth_of_the_run() -> None:
    state = np.array([[6.0, 8.0], [6.0, 0.0], [0.0, 5.0], [1e3, 1e3], [1.0, 1.0]])[..., None]
    rates = np.array([[-2.0, 4.0], [2.0, 9.0], [3.0, 0.0], [-1.0, 1.0], [1.0, 1.0]])[..., None]
    steps = np.array([np.nan, np.nan, np.nan, np.nan, 0.7])
    with np.errstate(all="ignore"):  # as its caller does
        _first_steps(state, rates, steps, np.array([0, 1, 2, 3]), 40.0)
    np.testing.assert_allclose(steps, [0.02, 0.03, 0.04, 0.04, 0.7])


@pytest.mark.parametrize("rtol", [0.5, 1e-3, 1e-5])
def test_a_step_that_is_good_enough_sets_the_next_by_its_error(rtol: float) -> None:
    """0.9 (allowed / error)^(1/5) of it, from a fifth to five times; the last is no limit."""
    course = Equations()
    course.plan = SimpleNamespace(tolerance=(rtol, 0.3 * rtol))
    start, length = STATE[:1], np.array([0.1])
    rates = course.at(None, np.arange(1), start, np.array([3.0]))
    moved, error, _ = _pair(course, np.arange(1), start, rates, np.array([3.0]), length)  # type: ignore[arg-type]  # a course of numbers
    # A stock far below the largest value that it had counts as a millionth of that.
    largest = np.array([[4e6, 5e6]])
    size = np.maximum(np.abs(start), np.abs(moved))[0, :, 0]
    allowed = rtol * np.maximum(size, 1e-6 * np.maximum(largest[0], size)) + 0.3 * rtol
    share = (np.abs(error[0]) / allowed).max()
    assert share < 1.0
    state, steps = start.copy(), np.array([0.1])
    _advance(course, state, steps, largest, 3.1)  # type: ignore[arg-type]  # a course of numbers
    np.testing.assert_allclose(state, moved, rtol=1e-14)
    np.testing.assert_allclose(largest, [[4e6, 5e6]])
    assert steps[0] == pytest.approx(max(0.1, 0.1 * min(0.9 * share**-0.2, 5.0)))


@pytest.mark.parametrize("implicit", [False, True])
def test_steps_that_are_too_long_are_tried_again_shorter(implicit: bool) -> None:
    course = Equations()
    course.question = SimpleNamespace(flows=np.arange(2), implicit=implicit)
    state, steps = STATE.copy(), np.array([4.0, 4.0, 4.0])
    _advance(course, state, steps, np.abs(STATE[..., 0]), 7.0)  # type: ignore[arg-type]  # a course of numbers
    exact = STATE[..., 0] @ expm(4.0 * MATRIX).T
    np.testing.assert_allclose(state[..., 0], exact, rtol=1e-3)


def test_only_a_matrix_that_has_no_inverse_gets_none() -> None:
    found = _inverses(
        np.array([[[2.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]], [[0.0, 1], [1, 0]]])
    )
    np.testing.assert_array_equal(found[0], [[0.5, 0.0], [0.0, 0.25]])
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[2], [[0.0, 1.0], [1.0, 0.0]])
