"""Functions of Vensim that were added for other people's models, against their definitions.

Where a manual leaves a choice, the number is that of Vensim's output published with
SDEverywhere's models of the same name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.run.prepare import Backend
from beltcast.errors import SimulationError, UnsupportedConstruct

from ..small_models import small, write
from ..xmile_texts import aux, xmile

BACKENDS: tuple[Backend, ...] = ("numpy", "llvm")
CONTROLS = {"TIME_STEP": "1", "FINAL_TIME": "4"}
SERIES = "s := GET DIRECT DATA('t.csv', ',', 'A', 'B2')"


def found(folder: Path, equation: str, backend: Backend, *more: str) -> list[float]:
    (folder / "t.csv").write_text("time,value\n0,0\n2,20\n3,50\n4,40\n")
    return (
        small(folder, SERIES, *more, f"x = {equation}", **CONTROLS)
        .simulate(backend=backend)["x"]
        .values.tolist()
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("GET DATA AT TIME(s, Time - 1)", [0, 0, 10, 20, 50]),
        ("GET DATA BETWEEN TIMES(s, Time, 0)", [0, 10, 20, 50, 40]),
        ("GET DATA BETWEEN TIMES(s, MIN(Time + 0.5, 4), 1)", [0, 20, 20, 50, 40]),
        # ":NA: if the time is before the first or after the last data point"
        ("GET DATA BETWEEN TIMES(s, Time + 1, 0)", [10, 20, 50, 40, np.nan]),
        ("GET DATA BETWEEN TIMES(s, Time + 0.5, 1)", [0, 20, 20, 50, np.nan]),
        ("GET DATA BETWEEN TIMES(s, Time - 1, -1)", [np.nan, 0, 0, 0, 20]),
        ("GET DATA BETWEEN TIMES(s, Time, -1)", [0, 0, 0, 20, 50]),
        ("GET DATA FIRST TIME(s)", [0] * 5),
        ("GET DATA LAST TIME(s)", [4] * 5),
        ("GET DATA MAX(s, 0, Time)", [0, 0, 20, 50, 50]),
        ("GET DATA MIN(s, Time, 4)", [0, 20, 20, 40, 40]),
        ("GET DATA MEAN(s, 2, 4)", [110 / 3] * 5),
    ],
)
def test_a_series_can_be_looked_at_as_a_whole(
    tmp_path: Path, equation: str, expected: list[float], backend: Backend
) -> None:
    np.testing.assert_allclose(found(tmp_path, equation, backend), expected)


def test_no_point_between_two_times_is_missing(tmp_path: Path) -> None:
    assert np.isnan(found(tmp_path, "GET DATA MAX(s, 0.5, 1.5)", "numpy")).all()


def test_a_shifted_series_shows_the_future(tmp_path: Path) -> None:
    more = "y := TIME SHIFT(s, 1)"
    assert found(tmp_path, "y", "numpy", more) == [10, 20, 50, 40, 40]


@pytest.mark.parametrize("backend", BACKENDS)
def test_data_of_data_has_its_points_by_a_rule_of_its_own(tmp_path: Path, backend: Backend) -> None:
    """``ahead :LOOK FORWARD: := planned production raw`` (Vensim's help, data equations)."""
    model = small(
        tmp_path,
        "d: A, B",
        "plan[d]",
        "ahead[d] :LOOK FORWARD: := plan[d]",
        "held[d] :HOLD BACKWARD: := ahead[d]",
        "bare :RAW: := plan[B]",
        "line := bare",
        "at two = GET DATA AT TIME(line, 2.5)",
        "first = GET DATA FIRST TIME(bare)",
        "value := first",
        TIME_STEP="1",
    )
    series = {"plan[A]": ([0.0, 3.0], [5.0, 8.0]), "plan[B]": ([1.0, 3.0], [10.0, 30.0])}
    run = model.simulate(inputs=series, backend=backend)
    assert run["ahead"].T.values.tolist() == [[5, 8, 8, 8, 8], [10, 10, 30, 30, 30]]
    assert run["held"].T.values.tolist() == [[5, 5, 5, 8, 8], [10, 10, 10, 30, 30]]
    np.testing.assert_array_equal(run["bare"], [np.nan, 10, np.nan, 30, np.nan])
    assert run["line"].values.tolist() == [10, 10, 20, 30, 30]
    assert run["at two"].values.tolist() == [25] * 5
    assert run["first"].values.tolist() == run["value"].values.tolist() == [1] * 5
    with pytest.raises(SimulationError, match="no numbers for the data variable 'plan"):
        model.simulate()
    model.save(tmp_path / "saved.mdl")
    again = load_model(tmp_path / "saved.mdl").simulate(inputs=series, backend=backend)
    assert again.equals(run)
    with pytest.raises(UnsupportedConstruct, match="'y' is :RAW: data of 'x', which is no data"):
        small(tmp_path, "x = Time", "y :RAW: := x")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_series_given_for_a_run_is_looked_at_too(tmp_path: Path, backend: Backend) -> None:
    path = write(
        tmp_path,
        "D: a, b ~~|\ns[D] ~~|\nx[D] = GET DATA BETWEEN TIMES(s[D], 2, 0) ~~|\n"
        "INITIAL TIME = 0 ~~|\nFINAL TIME = 4 ~~|\nTIME STEP = 1 ~~|\nSAVEPER = 1 ~~|\n",
    )
    model = load_model(path)
    inputs = {"s[a]": ([0.0, 4.0], [0.0, 8.0]), "s[b]": ([1.0, 3.0], [5.0, 7.0])}
    run = model.simulate(inputs=inputs, outputs=["x"], backend=backend)
    assert run["x"][0].values.tolist() == [4, 6]
    # What is given for one run is forgotten after it.
    one = model.simulate(inputs={"s[a]": ([0.0, 4.0], [0.0, 4.0])}, outputs=["x"], backend=backend)
    assert float(one["x"][0, 0]) == 2
    assert np.isnan(one["x"][0, 1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("VECTOR ELM MAP(v[a], Time)", [1, 2, 3, np.nan, np.nan]),
        ("VECTOR ELM MAP(v[b], Time - 1)", [1, 2, 3, np.nan, np.nan]),
        ("VECTOR ELM MAP(m[a, p], 1)", [20] * 5),
        # 100 for 3 steps from time 1 on: a third in each of them.
        ("DEPRECIATE STRAIGHTLINE(IF THEN ELSE(Time = 1, 90, 0), 3, 1, 0)", [0, 30, 30, 30, 0]),
    ],
)
def test_functions_of_vectors_and_of_the_past(
    tmp_path: Path, equation: str, expected: list[float], backend: Backend
) -> None:
    model = small(
        tmp_path,
        "D: a, b, c",
        "Side: p, q",
        "v[D] = 1, 2, 3",
        "m[D,Side] = 10, 20; 30, 40; 50, 60;",
        f"x = {equation}",
        **CONTROLS,
    )
    np.testing.assert_allclose(model.simulate(backend=backend)["x"], expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dt", ["1", "0.25"])
def test_a_net_present_value_discounts_step_by_step(
    tmp_path: Path, backend: Backend, dt: str
) -> None:
    model = small(tmp_path, "x = NPV(3, 0.1, 0, 2)", FINAL_TIME="4", TIME_STEP=dt)
    x = model.simulate(backend=backend)["x"].values
    h = float(dt)
    terms = 3 * h / (1 + 0.1 * h) ** np.arange(len(x))
    np.testing.assert_allclose(x, 2 * np.cumsum(terms))


def test_a_matrix_over_one_range_twice_is_inverted_whole(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "d: a, b",
        "e: a, b",
        "M[d,a] = 2",
        "M[d,b] = d",
        "N[d,e] = INVERT MATRIX(M[d,d], 2)",
    )
    inverse = np.linalg.inv([[2, 1], [2, 2]])
    np.testing.assert_allclose(model.simulate()["N"][0], inverse)


def test_a_mapped_range_is_a_number_too(tmp_path: Path) -> None:
    """SDEverywhere's `subscript`: s[DimA] = DimB where DimB is mapped to DimA."""
    model = small(tmp_path, "D: a, b, c", "E: p, q, r -> D", "s[D] = E", **CONTROLS)
    assert model.simulate()["s"][0].values.tolist() == [1, 2, 3]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("DERIVN(TIME^2, 1)", [0, 1, 3, 5, 7]),
        ("DERIVN(TIME, 0)", [0, 1, 2, 3, 4]),
        ("SINWAVE(3, 4)", [0, 3, 0, -3, 0]),
        ("COSWAVE(3, 4)", [3, 0, -3, 0, 3]),
        ("CGROWTH(10)", [0.1] * 5),
    ],
)
def test_builtins_of_isee(
    tmp_path: Path, equation: str, expected: list[float], backend: Backend
) -> None:
    path = write(tmp_path, xmile(aux("x", equation)), "b.xmile")
    np.testing.assert_allclose(
        load_model(path).simulate(backend=backend)["x"], expected, atol=1e-14
    )


def test_a_derivative_of_higher_order_is_refused_by_line(tmp_path: Path) -> None:
    path = write(tmp_path, xmile(aux("x", "DERIVN(TIME, 3)")), "b.xmile")
    with pytest.raises(
        UnsupportedConstruct, match="DERIVN of an order other than 0 or 1"
    ) as problem:
        load_model(path)
    assert problem.value.line == 5
