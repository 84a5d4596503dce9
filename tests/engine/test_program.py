"""Subscripts, order and delays, against values worked out by hand or in closed form."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast import load_model
from beltcast.engine.run.plan import Method
from beltcast.engine.run.prepare import Backend
from beltcast.errors import ModelFileError, UnsupportedConstruct
from beltcast.model.model import Model

from ..small_models import small

BACKENDS: tuple[Backend, ...] = ("numpy", "llvm")


def last(model: Model, name: str) -> object:
    """Values at the end by either back end, which agree."""
    runs = [model.simulate(backend=b)[name].to_numpy()[-1] for b in BACKENDS]
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-12)
    return runs[0].tolist()


# --- exact solutions --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_euler_multiplies_a_decaying_stock_by_the_same_factor(root: Path, backend: Backend) -> None:
    """100 (1 - dt/L)^n, exactly but for the rounding of n products."""
    model = load_model(root / "models" / "decay" / "decay.mdl")
    dt, lifetime = 0.0625, 5.0
    run = model.simulate(backend=backend)["Stock"]
    n = np.round(run["time"].to_numpy() / dt)
    np.testing.assert_allclose(run, 100 * (1 - dt / lifetime) ** n, rtol=1e-13)


def orders(
    model: Model, method: Method, backend: Backend, exact: float, name: str, time: float
) -> list[float]:
    """log2 of the ratios of the errors as the step is halved."""
    errors = []
    for step in (0.25, 0.125, 0.0625, 0.03125):
        run = model.simulate(
            {"TIME STEP": step},
            outputs=[name],
            save_at=[time],
            method=method,
            backend=backend,
        )
        errors.append(abs(float(run[name][0]) - exact))
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("method", "order"), [("euler", 1.0), ("rk2", 2.0), ("rk4", 4.0)])
def test_the_error_falls_with_the_order_of_the_method(
    root: Path, method: Method, order: float, backend: Backend
) -> None:
    def near(tolerance: float) -> object:
        return pytest.approx([order] * 3, abs=tolerance)

    decay = load_model(root / "models" / "decay" / "decay.mdl")
    exact = 100 * math.exp(-10 / 5)
    assert orders(decay, method, backend, exact, "Stock", 10.0) == near(0.05)
    logistic = load_model(root / "models" / "logistic" / "logistic.mdl")
    exact = 1000 / (1 + 99 * math.exp(-0.8 * 5))
    assert orders(logistic, method, backend, exact, "Population", 5.0) == near(0.2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_of_rk2_is_heuns(tmp_path: Path, backend: Backend) -> None:
    """y' = a y grows by 1 + x + x^2/2 a step, x = a dt; y' = t by the mean of both ends."""
    model = write_model(tmp_path)
    run = model.simulate(method="rk2", backend=backend)
    np.testing.assert_allclose(run["y"], (1 + 0.5 + 0.125) ** np.arange(5), rtol=1e-14)
    np.testing.assert_allclose(run["z"], 0.5 * np.arange(5.0) ** 2, rtol=1e-14)


def write_model(folder: Path, settings: str = "") -> Model:
    path = folder / "model.mdl"
    path.write_text(
        "{UTF-8}\ny = INTEG(y/2, 1) ~~|\nz = INTEG(Time, 0) ~~|\nINITIAL TIME = 0 ~~|\n"
        "FINAL TIME = 4 ~~|\nTIME STEP = 1 ~~|\nSAVEPER = 1 ~~|\n" + settings,
        encoding="utf-8",
    )
    return load_model(path)


SKETCH = "\\\\\\---/// Sketch information\n15:0,0,0,9\n///---\\\\\\\n:L\x7f<%^E!@\n1:Current.vdf\n"


@pytest.mark.parametrize(
    ("number", "method"),
    [("0", "euler"), ("1", "rk4"), ("2", "euler"), ("3", "rk2"), ("4", "rk2"), ("5", "rk4")],
)
def test_the_method_of_the_settings_is_the_method_of_the_run(
    number: str, method: Method, tmp_path: Path
) -> None:
    """Numbers as the public converter xmutil reads them."""
    model = write_model(tmp_path, f"{SKETCH}15:0,0,0,{number},0,0\n19:100,0\n")
    theirs = model.simulate(backend="numpy")["y"]
    np.testing.assert_array_equal(theirs, model.simulate(method=method, backend="numpy")["y"])
    assert float(theirs[1]) == pytest.approx(
        {"euler": 1.5, "rk2": 1.625, "rk4": 1 + 1 / 2 + 1 / 8 + 1 / 48 + 1 / 384}[method]
    )


def test_a_method_that_nobody_knows_is_refused_by_line(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedConstruct, match="method 7 of the settings") as problem:
        write_model(tmp_path, f"{SKETCH}15:0,0,0,7,0,0\n")
    assert problem.value.line == 13


def test_a_logistic_population_follows_its_curve(root: Path) -> None:
    """The error of RK4 is of the order of (rate dt)^4 = 1e-4 at each turn of the curve, / 120."""
    model = load_model(root / "models" / "logistic" / "logistic.mdl")
    run = model.simulate(method="rk4")["Population"]
    exact = 1000 / (1 + 99 * np.exp(-0.8 * run["time"]))
    np.testing.assert_allclose(run, exact, rtol=5e-6)


def test_an_epidemic_conserves_people_and_meets_the_final_size_relation(root: Path) -> None:
    """ln(S0/S) = R0 (N - S)/N holds along the whole path, with N - S = I + R at time 0 in I."""
    model = load_model(root / "models" / "sir" / "sir.mdl")
    run = model.simulate(method="rk4")
    people = run["Susceptible"] + run["Infected"] + run["Recovered"]
    np.testing.assert_allclose(people, 10000, rtol=1e-13)
    s0, s = 9999.0, float(run["Susceptible"][-1])
    assert float(run["Infected"][-1]) < 1e-3
    assert math.log(s0 / s) == pytest.approx(2 * (10000 - s) / 10000, rel=1e-5)


def erlang(order: int, t: np.ndarray, mean: float) -> np.ndarray:
    """Share of what entered at once that has left a chain of `order` stocks after t."""
    x = order * t / mean
    return 1 - np.exp(-x) * sum(x**k / math.factorial(k) for k in range(order))


def test_delays_and_smooths_of_a_step_are_erlang_distributions(root: Path) -> None:
    model = load_model(root / "models" / "pipeline" / "pipeline.mdl")
    run = model.simulate(method="rk4")
    t = run["time"].to_numpy()
    np.testing.assert_allclose(run["delivery"], 12 * erlang(3, t, 3.0), rtol=3e-6, atol=1e-12)
    np.testing.assert_allclose(run["perceived"], 12 * erlang(3, t, 3.0), rtol=3e-6, atol=1e-12)
    np.testing.assert_allclose(run["first"], 12 * erlang(1, t, 3.0), rtol=3e-6, atol=1e-12)


def test_a_material_delay_keeps_what_goes_in_and_a_smooth_does_not(tmp_path: Path) -> None:
    """When the delay time falls, the excess leaves at once: Ordered = Delivered in the end."""
    model = small(
        tmp_path,
        "inflow = PULSE(1, 2)*10",
        "Delay Time = 3 - STEP(2, 3)",
        "delivery = DELAY3I(inflow, Delay Time, 0)",
        "smoothed = SMOOTH3I(inflow, Delay Time, 0)",
        "Ordered = INTEG(inflow, 0)",
        "Delivered = INTEG(delivery, 0)",
        "Smoothed = INTEG(smoothed, 0)".replace("Smoothed", "Seen"),
        FINAL_TIME="40",
    )
    assert last(model, "Ordered") == 20.0
    assert last(model, "Delivered") == pytest.approx(20.0, rel=1e-12)
    assert last(model, "Seen") != pytest.approx(20.0, rel=1e-3)


def test_a_delay_in_balance_starts_and_stays_in_balance(tmp_path: Path) -> None:
    model = small(tmp_path, "a = DELAY3(7, 2)", "b = SMOOTH(5, 2)", "c = DELAY1I(7, 2, 7)")
    run = model.simulate()
    for name, value in (("a", 7.0), ("b", 5.0), ("c", 7.0)):
        np.testing.assert_allclose(run[name], value, rtol=1e-14)


def test_initial_is_the_value_at_the_start_and_never_moves(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "x = Time + 3",
        "S = INTEG(1, double start)",
        "start = INITIAL(x)",
        "double start = 2*start",
        "first stock = INITIAL(S + 1)",
        INITIAL_TIME="1",
    )
    run = model.simulate()
    assert set(run["start"].to_numpy().tolist()) == {4.0}
    assert set(run["first stock"].to_numpy().tolist()) == {9.0}
    assert run["S"].to_numpy()[[0, -1]].tolist() == [8.0, 11.0]


# --- subscripts -------------------------------------------------------------------------------

RANGES = ("Belt: North, South, East, West", "Coast: South, East", "Port: Harbour, Quay")


def test_subranges_read_and_define_part_of_a_range(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        *RANGES,
        "size[Belt] = 1, 2, 3, 4",
        "y[Coast] = 10*size[Coast]",
        "y[North] = -1",
        "y[West] = -2",
        "total = SUM(size[Coast!])",
        "picked = size[East]",
    )
    assert model.variables["y"].dims == ("Belt",)
    assert last(model, "y") == [-1.0, 20.0, 30.0, -2.0]
    assert last(model, "total") == 5.0
    assert last(model, "picked") == 3.0


def test_except_leaves_out_what_another_equation_gives(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        *RANGES,
        "y[Belt] :EXCEPT: [Coast] = 1",
        "y[Coast] = 2",
        "z[Belt,Coast] :EXCEPT: [North,South], [West,Coast] = 3",
        "z[North,South] = 4",
        "z[West,Coast] = 5",
    )
    assert last(model, "y") == [1.0, 2.0, 2.0, 1.0]
    assert last(model, "z") == [[4.0, 3.0], [3.0, 3.0], [3.0, 3.0], [5.0, 5.0]]


def test_what_no_equation_gives_is_nan_and_nothing_else_is(tmp_path: Path) -> None:
    model = small(tmp_path, *RANGES, "size[Belt] = 1", "y[Coast] = 2", "y[North] = 1")
    values = model.simulate()["y"][-1]
    assert values.sel(Belt="West").isnull()
    assert values.sel(Belt=["North", "South", "East"]).to_numpy().tolist() == [1.0, 2.0, 2.0]


def test_a_mapping_pairs_ranges_position_by_position(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "Coast: South, East -> Port",
        "Port: Harbour, Quay",
        "size[Coast] = 2, 3",
        "y[Port] = 10*size[Coast]",
        "z[Coast] = y[Port] + 1",
    )
    assert last(model, "y") == [20.0, 30.0]
    assert last(model, "z") == [21.0, 31.0]


def test_two_dimensions_keep_their_order(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        *RANGES,
        "m[Coast,Port] = 1, 2; 3, 4;",
        "t[Port,Coast] = m[Coast,Port]",
        "rows[Coast] = SUM(m[Coast,Port!])",
        "columns[Port] = SUM(m[Coast!,Port])",
        "least = VMIN(m[Coast!,Port!])",
        "most = VMAX(m[Coast!,Port!])",
        "product = PROD(m[Coast!,Port!])",
        "both = SUM(m[Coast!,Port!])",
    )
    assert last(model, "t") == [[1.0, 3.0], [2.0, 4.0]]
    assert last(model, "rows") == [3.0, 7.0]
    assert last(model, "columns") == [4.0, 6.0]
    assert [last(model, n) for n in ("least", "most", "product", "both")] == [1.0, 4.0, 24.0, 10.0]


def test_a_sum_within_a_sum_runs_by_itself(tmp_path: Path) -> None:
    """Sum over Coast of size * (sum over Belt) = 5 * 10, not once more for each belt."""
    model = small(
        tmp_path,
        *RANGES,
        "size[Belt] = 1, 2, 3, 4",
        "nested = SUM(size[Coast!]*SUM(size[Belt!]))",
        "share[Belt] = size[Belt]/SUM(size[Belt!])",
    )
    assert last(model, "nested") == 50.0
    assert last(model, "share") == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("backend", BACKENDS)
def test_elements_that_depend_on_each_other_are_taken_apart(
    tmp_path: Path, backend: Backend
) -> None:
    """x[i] = x[i - 1] + i along a mapped range, and a stock chain likewise."""
    model = small(
        tmp_path,
        "All: a1, a2, a3, a4, a5, a6",
        "Later: a2, a3, a4, a5, a6 -> Earlier",
        "Earlier: a1, a2, a3, a4, a5",
        "x[a1] = 1",
        "x[Later] = x[Earlier] + 10",
        "v[a1] = x[a6]",
        "v[Later] = v[Earlier]^2^0.5*2",
    )
    run = model.simulate(backend=backend)
    assert run["x"].to_numpy()[-1].tolist() == [1.0, 11.0, 21.0, 31.0, 41.0, 51.0]
    expected = [51.0]
    for _ in range(5):
        expected.append(expected[-1] ** (2**0.5) * 2)
    np.testing.assert_allclose(run["v"].to_numpy()[-1], expected, rtol=1e-12)


def test_a_circle_within_one_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="need each other at the same instant: x") as caught:
        small(
            tmp_path,
            "All: a1, a2, a3",
            "Later: a2, a3, a1 -> All",
            "x[Later] = x[All] + 1",
        )
    assert caught.value.line == 12


def test_each_element_may_have_a_lookup_of_its_own(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        *RANGES,
        "f[South]((0,0),(10,10))",
        "f[East]((0,5),(10,5))",
        "y[Coast] = f[Coast](Time)",
        FINAL_TIME="2",
    )
    assert last(model, "y") == [2.0, 5.0]


def test_names_ignore_case_blanks_and_underscores(tmp_path: Path) -> None:
    model = small(
        tmp_path, "Belt: North, South", "Market  Size[BELT] = 1, 2", "y = market_size[SOUTH]"
    )
    assert last(model, "y") == 2.0


def test_restricting_a_model_changes_no_bit(root: Path) -> None:
    """Asked for one variable, the engine leaves out what it does not need."""
    model = load_model(root / "models" / "pipeline" / "pipeline.mdl")
    whole = model.simulate()
    for name in model.computed:
        alone = model.simulate(outputs=[name])
        xr.testing.assert_identical(alone[name], whole[name])
