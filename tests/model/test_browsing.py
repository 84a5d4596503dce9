"""A model in a notebook: short texts, one variable, what may be passed to a run."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from beltcast import load_model, plot_run, read_study
from beltcast.errors import InputError, MissingExtra, ModelError, UnknownName
from beltcast.model.model import Model

from ..small_models import small


@pytest.fixture(scope="module")
def belt(root: Path) -> Model:
    return load_model(root / "models" / "belt" / "belt.mdl")


@pytest.fixture
def sized(tmp_path: Path) -> Model:
    return small(
        tmp_path,
        "Belt: North, South",
        "Tier: One, Two, Three",
        "size[Belt] = 1, 2",
        "share[Belt, Tier] = 1, 2, 3; 4, 5, 6;",
        "rate = 0.5",
        "curve((0,0),(1,2),(3,1))",
        "y[Belt, Tier] = size[Belt]*share[Belt, Tier]*curve(rate)",
        "S = INTEG(rate, 0)",
    )


def test_a_model_prints_in_a_few_lines(belt: Model) -> None:
    for text in (repr(belt), belt._repr_html_()):
        assert len(text) < 2000
        assert "belt.mdl" in text
        assert "Policy Support" in text


def test_the_counts_of_a_model_are_those_of_its_variables(belt: Model) -> None:
    """The four controls are no variables that anybody counts."""
    stocks = sum(v.kind == "stock" for v in belt.variables.values())
    constants = sum(v.kind == "constant" for v in belt.variables.values()) - 4
    assert f"{stocks} stocks" in repr(belt)
    assert f"{constants} constants" in repr(belt)


def test_a_study_and_its_parts_print_in_a_few_lines() -> None:
    study = read_study()
    assert study.title in repr(study)
    assert len(repr(study)) < 1000
    assert study._repr_html_().startswith("<table>")


def test_a_variable_shows_its_equation_unit_and_numbers(sized: Model) -> None:
    assert sized["Y"].equation == "y[Belt, Tier] = size[Belt]*share[Belt, Tier]*curve(rate)"
    np.testing.assert_array_equal(sized["share"].value, [[1, 2, 3], [4, 5, 6]])
    assert sized["rate"].value == 0.5
    assert sized["y"].value is None
    assert "curve" in repr(sized["curve"])
    assert "S" in sized
    assert "T" not in sized
    with pytest.raises(UnknownName, match=r"'sizes' is not a variable .* did you mean 'size'"):
        sized["sizes"]


def test_the_picture_of_a_lookup_has_its_points(sized: Model) -> None:
    (line,) = sized["curve"].plot().lines
    assert line.get_xydata().tolist() == [[0, 0], [1, 2], [3, 1]]
    with pytest.raises(ModelError, match="'rate' has no graphical function"):
        sized["rate"].plot()


def test_the_table_of_constants_runs_the_model_as_it_is(sized: Model) -> None:
    table = sized.constants
    assert table.loc["share[South, Two]", "value"] == 5
    assert "TIME STEP" not in table.index
    xr.testing.assert_identical(sized.simulate(table["value"]), sized.simulate())


def test_constants_may_be_arrays_series_and_dataarrays(sized: Model) -> None:
    numbers = np.array([[10.0, 20, 30], [40, 50, 60]])
    expected = numbers * np.array([[1.0], [2.0]])
    curve = 1.0  # at 0.5 between (0, 0) and (1, 2)
    belt, tier = ["North", "South"], ["One", "Two", "Three"]
    turned = xr.DataArray(numbers.T, {"Tier": tier, "Belt": belt}, dims=("Tier", "Belt"))
    flat = pd.Series(numbers.ravel(), index=pd.MultiIndex.from_product([belt, tier]))
    for given in (numbers, numbers.tolist(), turned, flat):
        run = sized.simulate({"share": given}, outputs="y")
        np.testing.assert_array_equal(run["y"][0].values, expected * curve)
    run = sized.simulate({"size": pd.Series({"South": 7.0})}, outputs="size")
    assert run["size"][0].values.tolist() == [1.0, 7.0]


def test_an_array_of_another_shape_is_refused(sized: Model) -> None:
    with pytest.raises(InputError, match=r"shape \(3,\), but the constant has \(2,\) \(Belt\)"):
        sized.simulate({"size": [1, 2, 3]})


def test_inputs_may_be_a_frame_of_columns(tmp_path: Path) -> None:
    model = small(tmp_path, "x:INTERPOLATE:", "S = INTEG(x, 0)")
    frame = pd.DataFrame({"x": [1.0, 5.0]}, index=[0.0, 4.0])
    pair = model.simulate(inputs={"x": ([0.0, 4.0], [1.0, 5.0])})
    array = xr.DataArray([1.0, 5.0], {"time": [0.0, 4.0]}, dims="time")
    for given in (frame, {"x": frame["x"]}, {"x": array}):
        xr.testing.assert_identical(model.simulate(inputs=given), pair)


def test_nan_is_blamed_on_the_argument(sized: Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the value given for 'rate' is NaN"):
        sized.simulate({"rate": math.nan})
    with pytest.raises(InputError, match=r"the value given for 'size\[South\]' is NaN"):
        sized.simulate({"size": [1.0, math.nan]})
    with pytest.raises(InputError, match="the value given for 'rate' is 'fast'"):
        sized.simulate({"rate": "fast"})
    (tmp_path / "b").mkdir()
    driven = small(tmp_path / "b", "x:INTERPOLATE:", "S = INTEG(x, 0)")
    with pytest.raises(InputError, match="value 2 of the points given for the input 'x' is NaN"):
        driven.simulate(inputs={"x": ([0.0, 1.0], [1.0, math.nan])})


def test_one_output_is_named_by_its_text(sized: Model) -> None:
    assert list(sized.simulate(outputs="s").data_vars) == ["S"]


def test_the_picture_of_a_run_has_a_panel_for_each_variable_and_a_line_for_each_element(
    sized: Model,
) -> None:
    run = sized.simulate()
    figure = plot_run(run, ["S", "size"])
    assert [len(ax.lines) for ax in figure.axes] == [1, 2]
    assert [t.get_text() for t in figure.axes[1].get_legend().get_texts()] == ["North", "South"]
    assert len(plot_run(run, "y", Belt="South").axes[0].lines) == 3
    assert len(plot_run({"a": run, "b": run}, "S").axes[0].lines) == 2
    with pytest.raises(UnknownName, match="the run has no variable 'x'"):
        plot_run(run, "x")
    with pytest.raises(InputError, match="'West' is not an element of Belt"):
        plot_run(run, "y", Belt="West")


def test_the_picture_of_an_ensemble_is_its_median_and_its_band() -> None:
    members = np.array([[0.0, 1], [0, 2], [0, 3]])
    run = xr.Dataset({"x": (("member", "time"), members)}, {"time": [0.0, 1.0]})
    (ax,) = plot_run(run).axes
    assert ax.lines[0].get_ydata().tolist() == [0.0, 2.0]
    assert len(ax.collections) == 1


def test_a_moved_slider_runs_the_model(sized: Model) -> None:
    widgets = pytest.importorskip("ipywidgets")
    box = sized.interact("S", ["rate"])
    (slider,), picture = box.children[0].children, box.children[1]
    assert isinstance(slider, widgets.FloatSlider)
    assert (slider.min, slider.value, slider.max) == (0.0, 0.5, 1.0)
    before = picture.value
    slider.value = 0.9
    assert picture.value != before
    with pytest.raises(ModelError, match="'y' has subscripts"):
        sized.interact("y")
    with pytest.raises(UnknownName, match="'S' is not a constant"):
        sized.interact("S", ["S"])


def test_sliders_without_the_extra_say_what_to_install(
    sized: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    with pytest.raises(MissingExtra, match=r"\[notebooks\]"):
        sized.interact("S")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_model_that_has_run_can_be_copied_and_sent(
    sized: Model, copied: Callable[[Model], Model]
) -> None:
    before = sized.simulate()
    xr.testing.assert_identical(copied(sized).simulate(), before)


def test_a_model_is_iterated_over_its_names(sized: Model) -> None:
    assert list(sized) == list(sized.variables)


def test_an_element_as_an_output_is_refused_with_what_to_ask_for(sized: Model) -> None:
    with pytest.raises(UnknownName, match=r"'Y\[North,One\]' is one element.*ask for 'y'"):
        sized.simulate(outputs=["Y[North,One]"])
