"""A model as a value: names, runs that forget, and refusals before anything runs."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast import load_model
from beltcast.engine.run.time_grid import Grid
from beltcast.errors import InputError, ModelError, ModelFileError, SimulationError, UnknownName
from beltcast.model.model import Model
from beltcast.model.running import LARGEST_RESULT, _check_size

from ..small_models import small


@pytest.fixture(scope="module")
def belt(root: Path) -> Model:
    return load_model(root / "models" / "belt" / "belt.mdl")


@pytest.fixture
def decay(root: Path) -> Model:
    return load_model(root / "models" / "decay" / "decay.mdl")


@pytest.fixture
def driven(tmp_path: Path) -> Model:
    """A model with an input series: 1 in year 0, 5 in year 4."""
    (tmp_path / "points.csv").write_text("time,flow\n0,1\n4,5\n", encoding="utf-8")
    return small(
        tmp_path,
        "flow := GET DIRECT DATA('points.csv', ',', 'A', 'B2')",
        "S = INTEG(flow, 0)",
        "Belt: North, South",
        "size[Belt] = 1, 2",
        "y[Belt] = size[Belt]*S",
    )


# --- names ------------------------------------------------------------------------------------


def test_variables_know_their_kind_dims_and_unit(belt: Model) -> None:
    kinds = {
        "Capacity": "stock",
        "output": "auxiliary",
        "Belt Size": "constant",
        "overseas online retail": "input",
        "Zone Year": "constant",
    }
    assert {name: belt.variables[name].kind for name in kinds} == kinds
    assert belt.variables["Sellers"].dims == ("Belt", "Tier")
    assert belt.variables["Upgrade Rate"].dims == ("Upgrader",)
    assert belt.variables["output"].unit == "bnCNY/Year"
    assert belt.subscripts["Upgrader"] == ("Factory", "Distributor")
    assert belt.inputs[0] == "overseas online retail"


def test_a_name_is_found_whatever_its_case(belt: Model) -> None:
    assert belt.find("belt_SIZE").name == "Belt Size"
    assert belt.value("gross margin[distributor]") == 0.3
    assert belt.rows("Sellers").shape == (45,)
    assert belt.label(int(belt.rows("Sellers[Yiwu, Factory]")[0])) == "Sellers[Yiwu, Factory]"


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("Belt Sise", "did you mean 'Belt Size'"),
        ("Belt Size[Yiwo]", "not an element of Belt; did you mean 'Yiwu'"),
        ("Belt Size[Yiwu, Brand]", "gives 2 elements, but 'Belt Size' has the dimensions"),
        ("Belt Size", "has 15 elements; name one"),
        ("output[Yiwu]", "is not a constant of belt (kind: auxiliary)"),
    ],
)
def test_a_wrong_label_is_refused_with_a_hint(belt: Model, label: str, words: str) -> None:
    with pytest.raises(UnknownName, match=re.escape(words)):
        belt.value(label)


# --- runs that forget -------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_runs_forget_earlier_overrides(driven: Model, backend: str) -> None:
    def run(*arguments: object, **options: object) -> xr.Dataset:
        return driven.simulate(*arguments, backend=backend, **options)  # type: ignore[arg-type]

    before = run()
    changed = run({"size": 9.0}, {"flow": ([2.0], [0.0])})
    assert not changed["y"].equals(before["y"])
    short = run({"TIME STEP": 0.25, "FINAL TIME": 2.0})
    assert short.sizes["time"] == 9
    xr.testing.assert_identical(run(), before)


def test_a_constant_is_set_for_all_elements_or_for_one(driven: Model) -> None:
    at = {"save_at": [4.0], "outputs": ["size"]}
    for constants, expected in (
        ({"size": 7.0}, [7.0, 7.0]),
        ({"size": {"North": 7.0}}, [7.0, 2.0]),
        ({"SIZE[south]": 7.0}, [1.0, 7.0]),
        ({"size[South]": 7.0, "size": 3.0}, [3.0, 7.0]),
        ({"size": 3.0, "size[South]": 7.0}, [3.0, 7.0]),
    ):
        values = driven.simulate(constants, **at)["size"].to_numpy()[0]  # type: ignore[arg-type]
        assert values.tolist() == expected


def test_two_labels_of_one_constant_are_refused(driven: Model) -> None:
    """The last one would win, silently."""
    with pytest.raises(ModelError, match="'size' and 'Size' set the same constant"):
        driven.simulate({"size": 1.0, "Size": 2.0})
    with pytest.raises(ModelError, match="set the same constant"):
        driven.targets(["size[North]", "size[north]"])


def test_only_constants_can_be_set(driven: Model) -> None:
    with pytest.raises(UnknownName, match="'S' is not a constant of small"):
        driven.simulate({"S": 1.0})
    with pytest.raises(UnknownName, match="'flow' is not a constant of small"):
        driven.simulate({"flow": 1.0})


# --- the grid ---------------------------------------------------------------------------------


def test_controls_can_be_set_and_reach_the_equations(tmp_path: Path) -> None:
    """STEP looks half a TIME STEP ahead; 'since' reads INITIAL TIME."""
    model = small(
        tmp_path,
        "since = Time - INITIAL TIME",
        "left = FINAL TIME - Time",
        "s = STEP(1, 2)",
        "h = TIME STEP",
        SAVEPER="1",
    )
    run = model.simulate({"TIME STEP": 0.5, "INITIAL TIME": 1.0, "final_time": 3.0, "SAVEPER": 0.5})
    assert run["time"].to_numpy().tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert run["since"].to_numpy().tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert run["left"].to_numpy().tolist() == [2.0, 1.5, 1.0, 0.5, 0.0]
    assert run["h"].to_numpy().tolist() == [0.5] * 5
    assert run["s"].to_numpy().tolist() == [0.0, 0.0, 1.0, 1.0, 1.0]


def test_saveper_may_follow_the_time_step(tmp_path: Path) -> None:
    model = small(tmp_path, "a = 1")  # SAVEPER = TIME STEP
    assert model.simulate({"TIME STEP": 0.5}).sizes["time"] == 9
    assert model.simulate({"SAVEPER": 1.0}).sizes["time"] == 5


def test_saved_times_lie_on_the_grid(decay: Model) -> None:
    run = decay.simulate(save_at=[3.0, 0.0625, 3.0])
    assert run["time"].to_numpy().tolist() == [3.0, 0.0625, 3.0]
    whole = decay.simulate({"SAVEPER": 0.0625})["Stock"].to_numpy()
    assert run["Stock"].to_numpy().tolist() == whole[[48, 1, 48]].tolist()
    with pytest.raises(SimulationError, match=r"time 0\.05 is not one of the run's steps"):
        decay.simulate(save_at=[0.05, 3.0])
    with pytest.raises(SimulationError, match="a run from 0 to -1"):
        decay.simulate(save_at=[-1.0])
    with pytest.raises(SimulationError, match="no time to save"):
        decay.simulate(save_at=[])


@pytest.mark.parametrize("save_every", [0.0, -1.0, math.nan])
def test_saveper_is_a_positive_number(save_every: float) -> None:
    with pytest.raises(SimulationError, match="is not a positive number"):
        Grid(0.0, 1.0, 0.0625, save_every).saved()
    assert len(Grid(0.0, 1.0, 0.1, 0.3).saved()) == 4


def test_a_step_that_is_no_step_is_refused(decay: Model) -> None:
    for step in (0.0, -1.0):
        with pytest.raises(SimulationError, match="the step must be positive"):
            decay.simulate({"TIME STEP": step})
    with pytest.raises(InputError, match="the value given for 'TIME STEP' is NaN"):
        decay.simulate({"TIME STEP": math.nan})


# --- inputs -----------------------------------------------------------------------------------


def test_an_input_is_replaced_from_the_first_given_time_on(driven: Model) -> None:
    """Own points before: 1 at 0, then a line to the first new point, 9 at 2; held after it."""
    run = driven.simulate(None, {"flow": ([2.0], [9.0])}, save_at=[0.0, 1.0, 2.0, 4.0])
    assert run["flow"].to_numpy().tolist() == [1.0, 5.0, 9.0, 9.0]
    run = driven.simulate(None, {"flow": ([2.0, 6.0], [9.0, 9.0])}, save_at=[0.0, 3.0, 4.0])
    assert run["flow"].to_numpy().tolist() == [1.0, 9.0, 9.0]
    run = driven.simulate(None, {"flow": ([-1.0, 4.0], [0.0, 5.0])}, save_at=[0.0, 4.0])
    assert run["flow"].to_numpy().tolist() == [1.0, 5.0]


@pytest.mark.parametrize(
    ("times", "values"),
    [([], []), ([1.0, 2.0], [1.0]), ([2.0, 1.0], [1.0, 2.0]), ([1.0, 1.0], [1.0, 2.0])],
)
def test_points_of_an_input_are_pairs_in_ascending_time(
    driven: Model, times: list[float], values: list[float]
) -> None:
    with pytest.raises(InputError, match="pairs of a time and a value, in ascending time"):
        driven.simulate(None, {"flow": (times, values)})


def test_only_inputs_can_be_replaced(driven: Model) -> None:
    with pytest.raises(UnknownName, match="'S' is not an input of small"):
        driven.simulate(None, {"S": ([0.0], [1.0])})
    with pytest.raises(UnknownName, match="not a variable"):
        driven.simulate(None, {"nothing": ([0.0], [1.0])})


# --- results ----------------------------------------------------------------------------------


def test_a_result_carries_labels_units_and_the_model(belt: Model) -> None:
    run = belt.simulate(outputs=["Sellers", "national output"], save_at=[2020.0])
    assert run["Sellers"].dims == ("time", "Belt", "Tier")
    assert run["Tier"].to_numpy().tolist() == ["Brand", "Factory", "Distributor"]
    assert run["Sellers"].attrs["units"] == "firm"
    assert run["time"].attrs["units"] == "Year"
    assert run.attrs["model_sha256"] == belt.source.text_sha256
    by_belt = belt.simulate(outputs=["output"], save_at=[2020.0])["output"].sum()
    assert float(run["national output"][0]) == pytest.approx(float(by_belt), rel=1e-14)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize(
    ("equation", "value", "time"),
    [
        ("y = 1/(2 - Time)", "inf", 2.0),
        ("y = LN(1 - Time)", "-inf", 1.0),
        ("y = (1 - Time)^0.5", "nan", 1.125),
    ],
)
def test_a_run_that_leaves_the_numbers_says_where_and_when(
    tmp_path: Path, backend: str, equation: str, value: str, time: float
) -> None:
    model = small(tmp_path, "a = 1", equation, "z = y + 1")
    with pytest.raises(SimulationError) as caught:
        model.simulate(backend=backend)  # type: ignore[arg-type]
    assert f"'y' is {value} at time {time:g};" in caught.value.sentence
    assert (caught.value.path, caught.value.line) == (model.path, 7)


def test_the_element_that_leaves_the_numbers_is_named(tmp_path: Path) -> None:
    model = small(tmp_path, "Belt: North, South", "a[Belt] = 1, 0", "y[Belt] = 1/a[Belt]")
    with pytest.raises(SimulationError, match=r"'y\[South\]' is inf at time 0"):
        model.simulate()


def test_too_large_a_request_is_refused_before_it_runs(belt: Model) -> None:
    rows = belt.rows("Imitation Rate")
    saves = np.arange(2013.0, 2036.0)
    members = int(LARGEST_RESULT / 8 / len(saves) / 15) + 1
    values = np.broadcast_to(0.4, (1, members))
    with pytest.raises(SimulationError, match=r"4\.0 GB at once; request fewer members"):
        belt.batch(rows, values, outputs=belt.rows("output"), saves=saves)


def test_a_request_of_just_the_largest_size_is_taken() -> None:
    """Eight bytes a number."""
    most = int(LARGEST_RESULT) // 8
    _check_size(most)
    with pytest.raises(SimulationError, match="at once"):
        _check_size(most + 1)


def test_totals_are_what_a_stock_of_the_flow_would_hold(decay: Model) -> None:
    """What has left is what is missing, to rounding."""
    result = decay.batch(
        decay.rows("Lifetime"),
        np.array([[5.0, 2.0]]),
        outputs=decay.rows("Stock"),
        totals=decay.rows("outflow"),
        saves=[0.0, 1.0, 10.0],
    )
    np.testing.assert_allclose(result[:, 0] + result[:, 1], 100.0, rtol=1e-13)
    assert result[0, 1].tolist() == [0.0, 0.0]


def test_saves_of_a_batch_come_in_the_order_asked_for(decay: Model) -> None:
    rows, values = decay.rows("Lifetime"), np.array([[5.0]])
    forth = decay.batch(rows, values, outputs=decay.rows("Stock"), saves=[0.0, 4.0, 9.0])
    back = decay.batch(rows, values, outputs=decay.rows("Stock"), saves=[9.0, 0.0, 9.0, 4.0])
    assert back.ravel().tolist() == forth.ravel()[[2, 0, 2, 1]].tolist()


def test_an_element_without_an_equation_is_named(tmp_path: Path) -> None:
    """Vensim runs a model with one (SDEverywhere's `arrays`), as long as nothing reads it."""
    model = small(tmp_path, "R: a, b, c", "x[a] = 1", "x[b] = Time", "k[a] = 3", "k[c] = 4")
    assert model.without_equation("x") == ("x[c]",)
    assert model.simulate()["x"].attrs["without_equation"] == "x[c]"
    with pytest.raises(UnknownName, match=r"'k\[b\]' has no equation in small"):
        model.simulate({"k[b]": 3})
    for equation in ("y = x[c]", "y = SUM(x[R!])", "y = VMAX(x[R!])", "y[R] = x[R]"):
        with pytest.raises(
            ModelFileError, match=r"in the equation of 'y': 'x\[c\]' is not defined"
        ):
            small(tmp_path, "R: a, b, c", "x[a] = 1", "x[b] = Time", equation)
