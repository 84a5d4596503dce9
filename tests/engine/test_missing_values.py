"""What a model marks as missing comes back as NaN; what went wrong is still an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast.engine.nodes import MISSING, is_missing
from beltcast.engine.run.prepare import Backend
from beltcast.errors import ModelFileError, SimulationError, UnsupportedConstruct

from ..small_models import small, text, write
from .language_models import close, model_of, values

BACKENDS: tuple[Backend, ...] = ("numpy", "llvm")
CONTROLS = {"TIME_STEP": "1"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_na_is_returned_as_nan(tmp_path: Path, backend: Backend) -> None:
    """As in SDXorg/test-models' `na`."""
    model = small(
        tmp_path,
        "x = IF THEN ELSE(Time < 2, :NA:, Time)",
        "y = IF THEN ELSE(x = :NA:, 0, x)",
        "missing value = :NA:",
        "z = IF THEN ELSE(x <> missing value, 1, 0)",
        "w = MAX(2*x + 1, 3) - EXP(x) + x^2.5 + LN(x)",
        **CONTROLS,
    )
    run = model.simulate(backend=backend)
    assert np.isnan(run["x"][:2]).all()
    assert np.isnan(run["w"][:2]).all()
    assert np.isfinite(run["w"][2:]).all()
    assert run["x"][2:].values.tolist() == [2, 3, 4]
    assert run["y"].values.tolist() == [0, 0, 2, 3, 4]
    assert run["z"].values.tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("broken", ["0/zero", "LN(zero - 1)", "(zero - 1)^0.3", "SQRT(zero - 1)"])
def test_a_number_without_value_is_still_an_error(
    tmp_path: Path, broken: str, backend: Backend
) -> None:
    model = small(tmp_path, "zero = Time", f"x = IF THEN ELSE(Time < 1, {broken}, :NA:)")
    with pytest.raises(SimulationError, match="'x' is nan at time 0"):
        model.simulate(backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_raw_series_is_missing_between_its_points(tmp_path: Path, backend: Backend) -> None:
    (tmp_path / "data.csv").write_text("time,value\n0,5\n2,7\n")
    model = small(
        tmp_path,
        "x :RAW: := GET DIRECT DATA('data.csv', ',', 'A', 'B2')",
        "y = IF THEN ELSE(x = :NA:, -1, x)",
        **CONTROLS,
    )
    run = model.simulate(backend=backend)
    np.testing.assert_array_equal(run["x"], [5, np.nan, 7, np.nan, np.nan])
    assert run["y"].values.tolist() == [5, -1, 7, -1, -1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_of_what_is_missing_is_nothing(tmp_path: Path, backend: Backend) -> None:
    """:NA: is -2^109 in Vensim (na.html), so 0 times it is 0; 0 times infinity is an error."""
    equations = ["x = IF THEN ELSE(Time < 2, :NA:, Time)", "flag = IF THEN ELSE(x = :NA:, 0, 1)"]
    model = small(tmp_path, *equations, "y = flag*x + x*flag", "z = 2*x", **CONTROLS)
    run = model.simulate(backend=backend)
    assert run["y"].values.tolist() == [0, 0, 4, 6, 8]
    np.testing.assert_array_equal(run["z"], [np.nan, np.nan, 4, 6, 8])
    broken = small(tmp_path, *equations, "w = (1 - flag)*(x + 1/MAX(0, Time - 9))", **CONTROLS)
    with pytest.raises(SimulationError, match="'w' is nan at time 2"):
        broken.simulate(backend=backend)


def test_only_the_marked_nan_is_missing() -> None:
    with np.errstate(invalid="ignore"):
        values = np.array([MISSING, np.nan, 1.0, np.inf, -MISSING, np.array(0.0) / 0.0])
    assert is_missing(values).tolist() == [True, False, False, False, True, False]


def test_an_array_over_one_range_twice_has_two_axes(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "d: a, b",
        "x[d,a] = 1",
        "x[d,b] = 2",
        "y[d] = SUM(x[d,d!])",
        "z[d,d] = 7",
        **CONTROLS,
    )
    run = model.simulate()
    assert run["x"].dims == ("time", "d", "d (2)")
    assert run["z"].dims == ("time", "d", "d (2)")
    assert float(run["x"].sel({"time": 0.0, "d": "a", "d (2)": "b"})) == 2.0
    assert run["y"][0].values.tolist() == [3, 3]
    assert set(run.to_dataframe().index.names) == {"time", "d", "d (2)"}


def test_a_matrix_function_of_a_scalar_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, text("x = Time*2", "y = INVERT MATRIX(x, x)"))
    from beltcast import load_model
    from beltcast.errors import UnsupportedConstruct

    with pytest.raises(UnsupportedConstruct, match="INVERT MATRIX into 'y' with 0 subscripts"):
        load_model(path)


def test_a_model_without_variables_is_refused(tmp_path: Path) -> None:
    from beltcast import load_model

    with pytest.raises(ModelFileError, match="no variables"):
        load_model(write(tmp_path, text()))


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
