"""Trees of causes and uses: what they hold, their signs, and where they stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from beltcast.errors import UnknownName
from beltcast.model.model import Model
from beltcast.model.trace import Tree

from ..small_models import small


@pytest.fixture
def rabbits(tmp_path: Path) -> Model:
    """Births reinforce, deaths balance: the textbook's loops (Sterman 2000, figure 8-1)."""
    return small(
        tmp_path,
        "rabbits = INTEG(births - deaths, first rabbits)",
        "births = rabbits*birth rate*crowding(rabbits/room)",
        "deaths = rabbits/lifetime",
        "crowding((0,1),(1,0.5),(2,0))",
        "first rabbits = 10",
        "birth rate = 0.5",
        "lifetime = 4",
        "room = 1000",
    )


def test_causes_are_what_the_equation_names_with_the_sign_of_the_derivative(
    rabbits: Model,
) -> None:
    tree = rabbits.causes("Rabbits", depth=1)
    assert {(b.variable, b.polarity, b.initial) for b in tree} == {
        ("births", "+", False),
        ("deaths", "-", False),
        ("first rabbits", "", True),
    }
    signs = {b.variable: b.polarity for b in rabbits.causes("births", 1)}
    assert signs == {"rabbits": "+", "birth rate": "+", "crowding": "", "room": "+"}


def test_uses_are_the_causes_turned_round(rabbits: Model) -> None:
    for name in rabbits.computed:
        for cause in rabbits.causes(name, 1):
            if cause.kind != "time":
                assert name in rabbits.uses(cause.variable, 1).names


def test_a_branch_that_returns_to_its_root_is_a_feedback_loop(rabbits: Model) -> None:
    tree = rabbits.causes("rabbits", depth=9)
    (births,) = (b for b in tree if b.variable == "births")
    (again,) = (b for b in births if b.variable == "rabbits")
    assert again.loop
    assert not again.branches
    assert "feedback loop" in str(tree)


def test_a_tree_has_as_many_levels_as_are_asked_for(rabbits: Model) -> None:
    def levels(tree: Tree) -> int:
        return 1 + max((levels(one) for one in tree), default=-1)

    # Root: rabbits, births, crowding, the points' own inputs; a loop ends a branch earlier.
    assert [levels(rabbits.uses("birth rate", depth)) for depth in (0, 1, 2, 3)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "call",
    [
        "SMOOTHI(x, 2, first)",
        "SMOOTH3I(x, 2, first)",
        "DELAY1I(x, 2, first)",
        "DELAY N(x, 2, first, 3)",
    ],
)
def test_a_first_value_of_a_delay_acts_at_the_start_only(tmp_path: Path, call: str) -> None:
    model = small(tmp_path, f"y = {call}", "x = RAMP(1, 0, 9)", "first = 3")
    initial = {one.variable: one.initial for one in model.causes("y", 1)}
    assert initial == {"x": False, "first": True}


def test_a_tree_says_where_it_was_cut(rabbits: Model) -> None:
    (births, deaths, first) = rabbits.causes("rabbits", 1).branches
    assert (births.more, deaths.more, first.more) == (True, True, False)


def test_a_model_that_does_not_run_has_a_structure_without_signs(tmp_path: Path) -> None:
    model = small(tmp_path, "x:INTERPOLATE:", "S = INTEG(x, 0)")
    assert [(b.variable, b.polarity) for b in model.causes("S")] == [("x", "")]


def test_the_clock_is_a_cause(tmp_path: Path) -> None:
    tree = small(tmp_path, "y = 2*Time").causes("y")
    assert [(b.variable, b.kind) for b in tree] == [("Time", "time")]


def test_a_link_whose_sign_turns_is_not_given_one(tmp_path: Path) -> None:
    """x*(2 - x) rises up to x = 1 and falls beyond; x runs from 0 to 4."""
    model = small(tmp_path, "x = INTEG(1, 0)", "y = x*(2 - x)")
    assert [b.polarity for b in model.causes("y", 1)] == ["?"]


def test_an_unknown_name_is_refused(rabbits: Model) -> None:
    with pytest.raises(UnknownName, match="did you mean 'rabbits'"):
        rabbits.uses("rabbit")


def test_html_nests_lists(rabbits: Model) -> None:
    html = rabbits.causes("deaths", 1)._repr_html_()
    assert html.startswith("<ul><li>deaths")
    assert html.count("<li>") == 3
