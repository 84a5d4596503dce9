"""The difference of two models, part by part, and in a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from beltcast import diff
from beltcast.model.model import Model

from ..small_models import small

EQUATIONS = (
    "Belt: North, South",
    "size[Belt] = 1, 2",
    "y[Belt] = size[Belt]*rate",
    "rate = 3",
    "S = INTEG(rate, 0)",
    "curve((0,0),(4,4))",
)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return small(tmp_path, *EQUATIONS)


def test_a_model_does_not_differ_from_itself_written_otherwise(
    model: Model, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    changed = [e.replace("rate", "RATE").replace("(RATE", "((RATE)") for e in EQUATIONS]
    again = small(tmp_path / "b", *changed)
    found = diff(model, again)
    assert not found
    assert "do not differ" in str(found)
    assert found.same_outputs == 4


def test_what_was_added_removed_and_changed_is_told_apart(model: Model) -> None:
    other = model.with_equations(
        {
            "size[South]": 5.0,
            "y[Belt]": "size[Belt] + rate",
            "rate": ("3", "thing"),
            "curve": None,
            "z": "2",
        }
    )
    found = {d.name: d for d in diff(model, other).variables}
    assert {name: d.change for name, d in found.items()} == {
        "size": "changed",
        "y": "changed",
        "rate": "changed",
        "curve": "removed",
        "z": "added",
    }
    assert found["size"].parts == {"value [South]": ("2", "5")}
    assert found["rate"].parts == {"unit": ("", "thing")}
    assert found["y"].parts == {
        "equation": ("y[Belt] = size[Belt]*rate", "y[Belt] = size[Belt] + rate")
    }


def test_points_of_a_lookup_are_a_difference(model: Model) -> None:
    (one,) = diff(model, model.with_equations({"curve": "((0,0),(4,5))"})).variables
    assert one.parts == {"equation": ("curve((0,0),(4,4))", "curve((0,0),(4,5))")}


def test_outputs_are_ordered_by_how_far_they_move(model: Model) -> None:
    """rate from 3 to 6 doubles S and y; size[South] from 2 to 20 makes y ten times as large."""
    found = diff(model, model.with_equations({"rate": 6.0, "size[South]": 20.0}))
    assert [(o.label, o.before, o.after, o.relative) for o in found.outputs] == [
        ("y[South]", 6.0, 120.0, 19.0),
        ("size[South]", 2.0, 20.0, 9.0),
        ("S", 12.0, 24.0, 1.0),
        ("rate", 3.0, 6.0, 1.0),
    ]
    assert found.outputs[2].time == 4.0
    assert "2000" not in str(found)


def test_ranges_that_differ_are_named(model: Model, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    other = small(
        tmp_path / "b", "Belt: North, South, West", "size[Belt] = 1, 2, 3", *EQUATIONS[2:]
    )
    found = diff(model, other)
    assert found.ranges == {"Belt": ("North, South", "North, South, West")}
    assert [d.name for d in found.variables] == ["size"]


def test_a_model_that_does_not_run_is_compared_by_its_text(model: Model) -> None:
    found = diff(model, model.with_equations({"rate": "1/(Time - 1)"}))
    assert [d.name for d in found.variables] == ["rate"]
    assert found.note.startswith("outputs are not compared, because a model does not run")


def test_other_times_are_compared_where_both_runs_save(model: Model) -> None:
    found = diff(model, model.with_equations({"FINAL TIME": 2.0}))
    assert [d.name for d in found.variables] == ["FINAL TIME"]
    assert not found.outputs
    assert found.note == "outputs are compared at the 17 times that both runs save"
