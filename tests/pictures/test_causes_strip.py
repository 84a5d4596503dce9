"""The causes strip: which panels it has."""

from __future__ import annotations

from pathlib import Path

from beltcast import plot_causes

from ..small_models import small


def test_a_variable_stands_above_its_causes(tmp_path: Path) -> None:
    model = small(tmp_path, "a = 2", "S = INTEG(a, 0)", "y = a*S*curve(S)", "curve((0,1),(9,2))")
    titles = [ax.get_title(loc="left") for ax in plot_causes(model, "y").axes]
    assert titles == ["y", "a", "S"]


def test_of_a_long_range_the_first_element_is_drawn_and_named(tmp_path: Path) -> None:
    elements = ", ".join(f"b{i}" for i in range(20))
    model = small(tmp_path, f"Belt: {elements}", "x[Belt] = 1", "y[Belt] = x[Belt]*Time")
    figure = plot_causes(model, "y")
    assert [len(ax.lines) for ax in figure.axes] == [1, 1]
    assert figure.axes[0].get_title(loc="left") == "y (Belt: b0)"
    assert plot_causes(model, "y", Belt=["b3", "b4"]).axes[1].get_legend() is not None


def test_scenarios_are_lines_of_one_panel(tmp_path: Path) -> None:
    model = small(tmp_path, "a = 2", "y = a*Time")
    runs = {"low": model.simulate(), "high": model.simulate({"a": 9.0})}
    assert [len(ax.lines) for ax in plot_causes(model, "y", runs).axes] == [2, 2]
