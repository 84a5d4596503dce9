"""WebAssembly and NumPy: the same numbers, on every primitive and every model of the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.language.primitives import LEFT_TO_NUMPY
from beltcast.engine.program import restrict
from beltcast.engine.run.numpy_backend import NumpyKernel
from beltcast.engine.run.plan import Method, Plan, make_plan, steps_at, time_grid
from beltcast.engine.run.wasm_backend import compile_wasm
from beltcast.errors import UnsupportedConstruct
from beltcast.model.model import Model

from ..model_texts import SIR, write_model
from ..small_models import small
from ..wasm_kernel import WasmKernel, WasmRun
from .test_functions import EDGES, MOST, assert_agree, nodes, program, run

MODELS = ("belt", "decay", "influenza", "logistic", "pipeline", "sir")
METHODS: tuple[Method, ...] = ("euler", "rk2", "rk4")


def whole_run(model: Model, method: Method) -> tuple[Plan, np.ndarray]:
    """Save every computed row, first, in the middle and last; move every constant by 1 %."""
    grid = model.grid()
    times = time_grid(grid.start, grid.end, float(np.min(grid.step)))
    rows = np.concatenate([model.rows(name) for name in model.computed])
    p = model.program
    moved = np.array([row for row in p.constants.tolist() if row not in p.fixed])
    saves = np.unique([0, len(times) // 2, len(times) - 1])
    plan = make_plan(
        p,
        parameters=moved,
        outputs=rows[rows >= 0],
        times=times,
        step=float(np.min(grid.step)),
        saves=saves,
        method=method,
    )
    values = np.array([p.default(int(row)) for row in moved])[:, None]
    return plan, values * np.array([[1.0, 1.01, 0.99]])


def assert_same(model: Model, method: Method) -> None:
    """Exp and pow differ in their last places; what is 0 by construction is a difference."""
    plan, values = whole_run(model, method)
    ours = WasmKernel(model.program, method)(plan, values)
    theirs = NumpyKernel(model.program)(plan, values)
    largest = np.nanmax(np.abs(np.where(np.isfinite(theirs), theirs, 0)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13 * largest)


# Small models show the stages of Runge and Kutta as well as the largest.
@pytest.mark.parametrize(
    ("method", "name"), [(m, n) for m in METHODS for n in MODELS if m == "euler" or n != "belt"]
)
def test_every_variable_of_every_shipped_model_agrees_with_numpy(
    root: Path, name: str, method: Method
) -> None:
    assert_same(load_model(root / "models" / name / f"{name}.mdl"), method)


STATEFUL = {
    "delay fixed": ["x = Time", "y = DELAY FIXED(x, 1.5, 7)"],
    "sample": ["y = SAMPLE IF TRUE(Time > 2, Time, 1)"],
    "initial": ["s = INTEG(s * rate, 3)", "rate = 0.1", "y = INITIAL(s) + s"],
    "delay3": ["y = DELAY3(Time, 2)"],
    "trigonometry": ["y = SIN(Time) + COS(Time) + TAN(Time / 9) + SINH(Time / 9)"],
    "subscripts": ["R: A, B, C, D, E", "k[R] = 1, 2, 3, 4, 5", "s[R] = INTEG(k[R], 0)"],
    "lookup": ["y = WITH LOOKUP(Time, ([(0,0)-(4,9)],(0,0),(1,5),(4,2)))"],
    "power": ["y = (1 + Time) ^ (0.3 + Time)"],
}


@pytest.mark.parametrize("name", STATEFUL)
def test_functions_with_a_memory_agree_with_numpy(tmp_path: Path, name: str) -> None:
    assert_same(small(tmp_path, *STATEFUL[name]), "euler")


def test_a_model_of_a_few_lines_agrees_with_numpy(tmp_path: Path) -> None:
    for method in METHODS:
        assert_same(load_model(write_model(tmp_path, SIR)), method)


def test_every_primitive_agrees_with_numpy_on_all_edge_values() -> None:
    made = {n: x for n, x in nodes().items() if n not in LEFT_TO_NUMPY and n != "uniform"}
    p = program(list(made.values()))
    values = np.array(np.meshgrid(EDGES, EDGES, EDGES)).reshape(3, -1)
    rows = range(MOST, p.n_rows)
    ours = run(WasmKernel(p), p, values, rows)
    theirs = run(NumpyKernel(p), p, values, rows)
    # A page has no fmod: its remainder is that of ordinary numbers with quotients below 2^53.
    with np.errstate(all="ignore"):
        ordinary = (np.abs(values[0]) < 1e100) & (np.abs(values[1]) > 1e-100)
        ordinary &= np.abs(values[1]) < 1e100
        far = ~(ordinary & (np.abs(values[0] / values[1]) < 2.0**53))
    place = list(made).index("rem")
    ours[place, far] = theirs[place, far]
    assert_agree(list(made), theirs, ours, values[:, :0])


@pytest.mark.parametrize(
    ("equation", "named"),
    [
        ("y = RANDOM UNIFORM(0, 1, 3)", "RANDOM"),
        ("y = RANDOM GAMMA(0, 9, 2, 0, 1, 3)", "gamma"),
    ],
)
def test_random_functions_are_refused_by_name(tmp_path: Path, equation: str, named: str) -> None:
    model = small(tmp_path, equation)
    with pytest.raises(UnsupportedConstruct, match=named) as refusal:
        compile_wasm(model.program, "euler")
    assert "'y'" in str(refusal.value)


def test_functions_that_call_back_are_refused_by_name(tmp_path: Path) -> None:
    equations = (
        "r: A, B",
        "c <-> r",
        "t[r, c] = IF THEN ELSE(r = c, Time + 1, 0)",
        "i[r, c] = INVERT MATRIX(t[r, c], 2)",
    )
    with pytest.raises(UnsupportedConstruct, match="INVERT MATRIX"):
        compile_wasm(small(tmp_path, *equations).program, "euler")


def test_a_run_that_goes_on_from_a_kept_state_gives_the_same_bits(root: Path) -> None:
    """Levers begin in 2026: up to then both runs are the same, and the state of then is enough."""
    model = load_model(root / "models" / "belt" / "belt.mdl")
    p = restrict(model.program, model.rows("output").tolist())
    grid = model.grid()
    step = float(np.min(grid.step))
    times = time_grid(grid.start, grid.end, step)
    lever = next(
        n for n, v in model.variables.items() if v.kind == "constant" and "Final Multiplier" in n
    )
    saves = steps_at(times, [2015.0, 2025.0, 2030.0, 2035.0])
    plan = make_plan(
        p,
        parameters=model.rows(lever),
        outputs=model.rows("output"),
        times=times,
        step=step,
        saves=saves,
    )
    module = compile_wasm(p, "euler")
    at_rest, moved = np.full((1, 3), model.value(lever)), np.array([[0.7, 1.3, 1.7]])
    kept = WasmRun(module, plan, 3)
    now = int(steps_at(times, [2026.0])[0])
    kept.set_values(at_rest)
    for block in range(kept.placed.blocks):
        kept.call("begin", block)
        kept.call("advance", block, 0, now, 0)
    kept.set_values(moved)
    for block in range(kept.placed.blocks):
        kept.call("renew", block)
        kept.call("advance", block, now, len(times), int((saves < now).sum()))
    np.testing.assert_array_equal(kept.result(), WasmRun(module, plan, 3).run(moved))
    assert not np.array_equal(kept.result(), WasmRun(module, plan, 3).run(at_rest))
