"""Scenarios are resolved sets of differences from the model."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beltcast.errors import ScenarioError
from beltcast.study.scenarios import Scenario, read_scenarios, select

from ..stand_in import StandIn

TEXT = """
[baseline]
title = "Baseline"
text = "As it stands."

[strong]
extends = "middle"
title = "Strong"
constants = { "exit rate" = 0.3 }

[middle]
extends = "baseline"
title = "Middle"
code = "S1"
[middle.constants]
"Imitation Rate" = 0.6
"Exit Rate" = { distributor = 0.5, Brand = 0.01 }
[middle.inputs."Overseas Online Retail"]
"2035" = 9
"2027.5" = 7.0

[fine]
extends = "strong"
title = "Fine"
constants = { "Exit Rate[Factory]" = 0.2 }
inputs."overseas online retail" = { "2030" = 1.0 }
"""


@pytest.fixture
def scenarios(tmp_path: Path) -> dict[str, Scenario]:
    path = tmp_path / "scenarios.toml"
    path.write_text(TEXT, encoding="utf-8")
    return read_scenarios(path, StandIn())


def test_the_order_is_the_files(scenarios: dict[str, Scenario]) -> None:
    assert list(scenarios) == ["baseline", "strong", "middle", "fine"]


def test_names_are_spelt_as_the_model_spells_them(scenarios: dict[str, Scenario]) -> None:
    assert dict(scenarios["middle"].constants) == {
        "Imitation Rate": 0.6,
        "Exit Rate[Distributor]": 0.5,
        "Exit Rate[Brand]": 0.01,
    }


def test_points_of_an_input_are_in_order_of_time(scenarios: dict[str, Scenario]) -> None:
    assert scenarios["middle"].inputs == {"overseas online retail": ((2027.5, 2035.0), (7.0, 9.0))}


def test_a_scenario_inherits_what_it_does_not_say(scenarios: dict[str, Scenario]) -> None:
    strong = scenarios["strong"]
    assert strong.constants["Imitation Rate"] == 0.6
    assert strong.inputs == scenarios["middle"].inputs
    # But not what the other says of itself: strong is not "as it stands".
    assert (strong.title, strong.text, strong.code) == ("Strong", "", "")


def test_a_whole_constant_sets_aside_the_elements_of_its_ancestors(
    scenarios: dict[str, Scenario],
) -> None:
    assert dict(scenarios["strong"].constants) == {"Imitation Rate": 0.6, "Exit Rate": 0.3}


def test_an_element_refines_the_whole_and_comes_after_it(scenarios: dict[str, Scenario]) -> None:
    labels = list(scenarios["fine"].constants)
    assert labels.index("Exit Rate") < labels.index("Exit Rate[Factory]")
    assert scenarios["fine"].inputs == {"overseas online retail": ((2030.0,), (1.0,))}


def test_an_element_wins_over_the_same_element_of_an_ancestor(tmp_path: Path) -> None:
    path = tmp_path / "scenarios.toml"
    more = '[more]\nextends = "middle"\ntitle = "More"\nconstants = { "Exit Rate[Brand]" = 0.02 }\n'
    path.write_text(TEXT + more, encoding="utf-8")
    constants = read_scenarios(path, StandIn())["more"].constants
    assert (constants["Exit Rate[Brand]"], constants["Exit Rate[Distributor]"]) == (0.02, 0.5)


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_in_the_file_does_not_change_what_is_inherited(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    parts = {
        "a": '[a]\ntitle = "A"\nconstants = { "Imitation Rate" = 1, "Export Share" = 0.1 }\n',
        "b": '[b]\nextends = "a"\ntitle = "B"\nconstants = { "Imitation Rate" = 2 }\n',
        "c": '[c]\nextends = "b"\ntitle = "C"\nconstants = { "Support Entry Gain" = 3 }\n',
        "d": '[d]\nextends = "c"\ntitle = "D"\n',
    }
    path = tmp_path_factory.mktemp("scenarios") / "scenarios.toml"
    path.write_text("\n".join(parts[name] for name in order), encoding="utf-8")
    last = read_scenarios(path, StandIn())["d"]
    assert dict(last.constants) == {
        "Imitation Rate": 2.0,
        "Export Share": 0.1,
        "Support Entry Gain": 3.0,
    }


def test_scenarios_cannot_be_changed(scenarios: dict[str, Scenario]) -> None:
    with pytest.raises(TypeError):
        scenarios["middle"].constants["Imitation Rate"] = 1.0  # type: ignore[index]


def test_select_keeps_the_order_asked_for(scenarios: dict[str, Scenario]) -> None:
    assert list(select(scenarios, ["fine", "baseline"])) == ["fine", "baseline"]


def test_select_names_a_near_miss(scenarios: dict[str, Scenario]) -> None:
    with pytest.raises(ScenarioError, match="no scenario 'basline'; did you mean 'baseline'"):
        select(scenarios, ["basline"])
