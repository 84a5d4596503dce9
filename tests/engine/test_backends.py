"""NumPy and machine code: the same numbers, whatever the company a member runs in."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beltcast import load_model
from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.program import restrict
from beltcast.engine.run import llvm_backend
from beltcast.engine.run.llvm_backend import LlvmKernel
from beltcast.engine.run.numpy_backend import NumpyKernel
from beltcast.engine.run.plan import Method, Plan, make_plan, steps_at, time_grid
from beltcast.errors import SimulationError
from beltcast.model.model import Model

from ..small_models import small, text, write

SAVES = [2013.0, 2020.0, 2027.5, 2036.0]
PARAMETERS = ("Imitation Rate", "Exit Rate[Factory]", "Goodwill Elasticity", "Belt Size[Yiwu]")
SCENARIOS: dict[str, dict[str, float]] = {
    "baseline": {},
    "headwinds": {
        "Support Final Multiplier": 0,
        "Tariff Add": 0.3,
        "Ad Cost Final Multiplier": 1.5,
    },
    "stop": {"Zone Stop": 1, "Zone Stop Year": 2019, "Threshold Final Multiplier": 1.5},
    "drive": {
        "Belt Deepening Multiplier": 1.5,
        "Brand Propensity Final Multiplier": 1.5,
        "Tilt Final Multiplier": 1.5,
        "Demand Final Multiplier": 0.8,
    },
}


@pytest.fixture(scope="module")
def belt(root: Path) -> Model:
    return load_model(root / "models" / "belt" / "belt.mdl")


def draws(model: Model, n: int) -> tuple[np.ndarray, FloatArray]:
    """Parameters of n members within 20% of their defaults, (p,) and (p, n)."""
    rng = np.random.default_rng(1)
    rows = np.concatenate([model.rows(label) for label in PARAMETERS])
    defaults = np.array([model.value(label) for label in PARAMETERS])
    return rows, defaults[:, None] * rng.uniform(0.8, 1.2, (len(rows), n))


@pytest.mark.parametrize(
    ("scenario", "method"),
    [
        ("baseline", "euler"),
        ("baseline", "rk2"),
        ("stop", "euler"),
        ("drive", "rk4"),
        ("headwinds", "rk2"),
    ],
)
def test_both_back_ends_agree_on_every_variable_of_the_belt_model(
    belt: Model, scenario: str, method: Method
) -> None:
    """Exp, log and pow differ in their last places; 368 steps carry that to about 1e-14.

    All but one run take steps four times as long, which NumPy does in a quarter of the time.
    """
    whole = (scenario, method) == ("baseline", "euler")
    runs = [
        belt.simulate(
            {"TIME STEP": 0.0625 if whole else 0.25, **SCENARIOS[scenario]},
            save_at=SAVES,
            method=method,
            backend=backend,
        )
        for backend in ("numpy", "llvm")
    ]
    # What is 0 by construction is a difference of these.
    terms = {
        "firm balance": float(runs[0]["Belt Firms"].max()),
        "share balance": 1.0,
        "seller change": float(runs[0]["Sellers"].max()),
        "market balance": float(runs[0]["national output"].max()),
    }
    for name in belt.computed:
        scale = terms.get(name, 0.0)
        np.testing.assert_allclose(
            runs[0][name], runs[1][name], rtol=1e-12, atol=1e-12 * scale, err_msg=name
        )


@pytest.fixture(scope="module")
def kernel(belt: Model) -> LlvmKernel:
    return LlvmKernel(restrict(belt.program, belt.rows("output").tolist()))


def run(
    kernel: LlvmKernel, model: Model, values: FloatArray, threads: int | None = 1
) -> FloatArray:
    times = time_grid(2013.0, 2024.0, 0.0625)
    plan = make_plan(
        kernel.program,
        parameters=draws(model, 1)[0],
        outputs=model.rows("output"),
        times=times,
        step=0.0625,
        saves=steps_at(times, [2018.0, 2024.0]),
    )
    return kernel(plan, values, threads)


def test_a_member_does_not_depend_on_order_company_block_or_thread(
    belt: Model, kernel: LlvmKernel
) -> None:
    n = 150  # ten blocks, the last one not full
    values = draws(belt, n)[1]
    together = run(kernel, belt, values)
    order = np.random.default_rng(2).permutation(n)
    assert run(kernel, belt, values[:, order]).tobytes() == together[:, :, order].tobytes()
    for some in (slice(0, 1), slice(7, 8), slice(3, 40), slice(149, 150)):
        assert run(kernel, belt, values[:, some]).tobytes() == together[:, :, some].tobytes()
    for threads in (2, 3, None):
        assert run(kernel, belt, values, threads).tobytes() == together.tobytes()


def test_a_member_that_fails_leaves_its_neighbours_alone(belt: Model, kernel: LlvmKernel) -> None:
    values = draws(belt, 16)[1]
    clean = run(kernel, belt, values)
    broken = values.copy()
    broken[:, 5] = np.nan
    result = run(kernel, belt, broken)
    assert np.isnan(result[:, :, 5]).any()
    keep = np.arange(16) != 5
    assert result[:, :, keep].tobytes() == clean[:, :, keep].tobytes()


def logistic(root: Path, saves: IntArray, method: Method = "euler") -> tuple[Model, Plan]:
    """The logistic model, and a plan of its population by its growth rate."""
    model = load_model(root / "models" / "logistic" / "logistic.mdl")
    plan = make_plan(
        model.program,
        parameters=model.rows("Growth Rate"),
        outputs=model.rows("Population"),
        times=time_grid(0.0, 20.0, 0.125),
        step=0.125,
        saves=saves,
        method=method,
    )
    return model, plan


def test_the_width_of_the_vectors_changes_no_bit(root: Path) -> None:
    model, plan = logistic(root, np.arange(0, 161, 8), "rk4")
    values = np.linspace(0.1, 2.0, 21)[None, :]
    results = {width: LlvmKernel(model.program, width)(plan, values) for width in (4, 8, 16)}
    assert results[4].tobytes() == results[8].tobytes() == results[16].tobytes()
    np.testing.assert_allclose(results[8], NumpyKernel(model.program)(plan, values), rtol=1e-12)


def test_a_bound_run_keeps_what_only_machine_code_reads(root: Path) -> None:
    model, plan = logistic(root, np.arange(161))
    kernel, values = LlvmKernel(model.program), np.linspace(0.1, 2.0, 16)[None, :]
    again = kernel.bind(plan, 16)
    gc.collect()
    # What was freed would be given to these, and overwritten.
    others = [np.zeros(size, dtype=np.int8) for size in range(1, 400) for _ in range(8)]
    assert again(values).tobytes() == kernel(plan, values).tobytes()
    assert again(values[:, ::-1]).tobytes() == kernel(plan, values[:, ::-1]).tobytes()
    assert len(others)


def test_no_members_give_an_empty_result(belt: Model) -> None:
    for backend in ("numpy", "llvm"):
        result = belt.batch(
            belt.rows("Imitation Rate"),
            np.empty((1, 0)),
            outputs=belt.rows("national output"),
            saves=[2013.0, 2014.0],
            backend=backend,
        )
        assert result.shape == (2, 1, 0)


# --- expressions made up by hypothesis --------------------------------------------------------

LEAVES = st.sampled_from(["Time", "x[Belt]", "y[Belt]", "k", "0.5", "2", "S[Belt]", "w[South]"])


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = st.tuples(
        st.sampled_from(
            ["EXP(-ABS({}))", "SQRT(ABS({}))", "ABS({})", "SIN({})", "LN(1 + ABS({}))"]
        ).map(str),
        inner,
    ).map(lambda t: t[0].format(t[1]))
    two = st.tuples(
        st.sampled_from(
            [
                "({} + {})",
                "({} - {})",
                "({}*{})",
                "({}/(3 + ABS({})))",
                "MIN({}, {})",
                "MAX({}, {})",
                "(0.1 + ABS({}))^SIN({})",
                "ZIDZ({}, {})",
            ]
        ),
        inner,
        inner,
    ).map(lambda t: t[0].format(t[1], t[2]))
    three = st.tuples(inner, inner, inner).map(
        lambda t: f"IF THEN ELSE({t[0]} > 1, {t[1]}, {t[2]})"
    )
    reduced = st.just("SUM(x[Belt!]*y[Belt!])")
    lookup = inner.map(lambda e: f"WITH LOOKUP({e}, ((-1,2),(0,-1),(0.5,7),(3,7.5)))")
    return st.one_of(one, two, three, reduced, lookup)


@settings(max_examples=25)
@given(rate=st.recursive(LEAVES, grow, max_leaves=12), value=st.recursive(LEAVES, grow))
def test_both_back_ends_agree_on_any_small_model(
    tmp_path_factory: pytest.TempPathFactory, rate: str, value: str
) -> None:
    model = load_model(
        write(
            tmp_path_factory.mktemp("any"),
            text(
                "Belt: North, South, East, West, Centre",
                "x[Belt] = 1, -2, 0.3, 4, 0",
                "k = 0.7",
                "w[Belt] = x[Belt]*k + 1",
                "y[Belt] = COS(Time + x[Belt])",
                f"S[Belt] = INTEG(SIN({rate}), 0.1)",
                f"z[Belt] = {value}",
            ),
        )
    )
    assert_runs_agree(model, {"k": 0.9})


def assert_runs_agree(model: Model, constants: Mapping[str, float]) -> None:
    """The same numbers to 1e-12, or the same refusal.

    A jump (IF THEN ELSE, MODULO) at the very bit in which exp differs could part them; the seeded
    examples hold none.
    """
    results: list[object] = []
    for backend in ("numpy", "llvm"):
        try:
            results.append(model.simulate(constants, backend=backend))  # type: ignore[arg-type]
        except SimulationError as error:
            results.append(str(error))
    if isinstance(results[0], str):
        assert results[0] == results[1]
        return
    for name in model.computed:
        a, b = (r[name].to_numpy() for r in results)  # type: ignore[index]
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13, err_msg=name)


def test_stock_chains_of_every_length_agree(tmp_path: Path) -> None:
    """Ranges of one to five elements: written out, or a loop."""
    for n in range(1, 6):
        names = ", ".join(f"e{i}" for i in range(n))
        model = small(
            tmp_path,
            f"All: {names}",
            "a[All] = " + ", ".join(str(0.1 * (i + 1)) for i in range(n)),
            "S[All] = INTEG(-a[All]*S[All] + total/10, 1)",
            "total = SUM(S[All!])",
            "d[All] = DELAY3(S[All], 1 + a[All])",
        )
        assert_runs_agree(model, {})


@pytest.mark.parametrize("method", ["euler", "rk2", "rk4"])
def test_a_member_alone_has_its_bits_and_no_padding(tmp_path: Path, method: Method) -> None:
    """One member is stored as one number, where a block stores sixteen."""
    model = small(
        tmp_path, "k = 0.3", "S = INTEG(k - S^1.5/7, 2)", "y = EXP(-S)", "d = DELAY FIXED(S, 1, 0)"
    )
    outputs = np.concatenate([model.rows(name) for name in ("S", "y", "d", "k")])
    row, saves = model.rows("k"), model.grid().saved()
    values = np.linspace(0.1, 2.0, 37)[None, :]
    together = model.batch(row, values, outputs=outputs, saves=saves, method=method)
    for column in (0, 20, 36):
        one = values[:, [column]]
        alone = model.batch(row, one, outputs=outputs, saves=saves, method=method)
        assert alone.shape == (*together.shape[:2], 1)
        assert np.array_equal(alone[:, :, 0], together[:, :, column])
    kernel = LlvmKernel(model.program)
    assert [kernel._lanes(n) for n in (1, 2, 17)] == [1, kernel.width, 2 * kernel.width]


def test_code_is_optimised_only_where_it_pays_and_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, text("S = INTEG(EXP(-S) - k*S^1.7, 1)", "k = 0.3", FINAL_TIME="50"))
    model = load_model(path)
    expected = model.simulate(backend="llvm")["S"].values
    made: list[bool] = []
    load_code = llvm_backend.load_code

    def counted(*given: Any, quick: bool) -> Any:
        made.append(quick)
        return load_code(*given, quick=quick)

    monkeypatch.setattr(llvm_backend, "load_code", counted)
    times = model.grid().times()
    plan = make_plan(
        model.program,
        parameters=model.rows("k"),
        outputs=model.rows("S"),
        times=times,
        step=model.grid().step,
        saves=np.arange(len(times)),
    )
    for blocks, kinds in ((1, [[True], [True], [True, False], [True, False]]), (3, [[False]])):
        made.clear()
        kernel = LlvmKernel(model.program)
        values = kernel.program.n_rows * kernel.width * len(times)
        # Two blocks are computed by code that is not optimised.
        monkeypatch.setattr(llvm_backend, "QUICK", 2 * values / len(kernel._texts["euler"]))
        given = np.full((1, (blocks - 1) * kernel.width + 1), 0.3)
        for now in kinds:
            np.testing.assert_array_equal(kernel(plan, given)[:, 0, -1], expected)
            assert made == now
