"""Scenarios are resolved sets of differences from the model."""

from __future__ import annotations

import math
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit

from beltcast.errors import ScenarioError
from beltcast.streams import Streams
from beltcast.study.scenarios import (
    Scenario,
    Size,
    draw_sizes,
    extend,
    read_scenarios,
    select,
)

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


BACK = {"normal": np.asarray, "lognormal": np.exp, "logitnormal": expit}


@pytest.mark.parametrize(
    ("size", "centre", "low", "high"),
    [
        (Size("normal", 0.3, 0.1), 0.3, -np.inf, np.inf),
        (Size("normal", 0.3, 0.1, 0.25, 0.5), 0.3, 0.25, 0.5),
        (Size("normal", 0.3, 0.1, 0.3, 0.5), 0.3, 0.3, 0.5),  # from its own centre on
        (Size("lognormal", 2.0, 0.5, 1.0, 3.0), np.log(2), 0.0, np.log(3)),
        (Size("lognormal", 2.0, 0.5, 0.0, 2.5), np.log(2), -np.inf, np.log(2.5)),
        (Size("logitnormal", 0.2, 1.5, 0.1, 0.9), -np.log(4), -np.log(9), np.log(9)),
        (Size("logitnormal", 0.2, 1.5, 0.0, 1.0), -np.log(4), -np.inf, np.inf),
    ],
)
def test_quantiles_of_a_size_are_those_of_a_truncated_normal(
    size: Size, centre: float, low: float, high: float
) -> None:
    law = stats.truncnorm((low - centre) / size.sd, (high - centre) / size.sd, centre, size.sd)
    p = np.array([0.05, 0.3, 0.5, 0.9])
    expected = BACK[size.distribution](law.ppf(p))
    np.testing.assert_allclose(size.quantile(p), expected, rtol=1e-10)


def test_a_label_draws_the_same_size_in_every_scenario() -> None:
    """Of the stream that is named by the label, whatever else is uncertain or in what order."""
    a, b = Size("normal", 0.0, 1.0), Size("lognormal", 2.0, 0.5, 1.0, 3.0)
    one = Scenario("one", "One", uncertain={"A": a, "B": b})
    two = Scenario("two", "Two", uncertain={"B": b, "C": a, "A": a})
    first, second = (draw_sizes(scenario, 5, rng=Streams(3)) for scenario in (one, two))
    for label, size in (("A", a), ("B", b)):
        numbers = Streams(3).under("sizes").stream(label).random(5)
        np.testing.assert_array_equal(first[label], size.quantile(numbers))
        np.testing.assert_array_equal(second[label], first[label])
    assert not np.array_equal(second["C"], second["A"])


def test_a_child_that_states_a_constant_is_certain_of_it() -> None:
    size, other = Size("normal", 0.3, 0.1), Size("normal", 0.5, 0.2)
    parent = Scenario(
        "parent",
        "Parent",
        constants={"E[x]": 0.3, "A": 0.3, "B": 0.3, "C[x]": 0.3, "D": 0.3},
        uncertain={"A": size, "B": size, "C[x]": size, "D": size, "E[x]": size},
        inputs={"i": ((1.0,), (2.0,)), "j": ((1.0,), (3.0,))},
    )
    child = Scenario(
        "child",
        "Child",
        constants={"A": 0.9, "C": 0.1, "D": 0.5, "E[x]": 0.8},
        uncertain={"D": other},
        inputs={"i": ((1.0,), (7.0,))},
    )
    found = extend(parent, child)
    # Elements come last, to be applied after whole constants.
    whole = [("B", 0.3), ("A", 0.9), ("C", 0.1), ("D", 0.5)]
    assert list(found.constants.items()) == [*whole, ("E[x]", 0.8)]
    # C as a whole replaces the uncertain element of the parent.
    assert dict(found.uncertain) == {"B": size, "D": other}
    assert dict(found.inputs) == {"i": ((1.0,), (7.0,)), "j": ((1.0,), (3.0,))}
    assert isinstance(found.constants, MappingProxyType)


def test_an_uncertain_size_stands_with_its_median_within_its_bounds(tmp_path: Path) -> None:
    """A normal of 0.3 and sd 0.1 from 0.3 on has the median 0.3 + 0.1 Phi^-1(0.75)."""
    path = tmp_path / "scenarios.toml"
    text = '[a]\ntitle = "A"\n[a.constants."Support Entry Gain"]\ndistribution = "normal"\n'
    path.write_text(f"{text}mean = 0.3\nsd = 0.1\nbounds = [0.3, inf]\n", encoding="utf-8")
    found = read_scenarios(path, StandIn())["a"]
    expected = 0.3 + 0.1 * stats.norm.ppf(0.75)
    assert found.constants["Support Entry Gain"] == pytest.approx(expected, rel=1e-12)
    assert found.uncertain["Support Entry Gain"] == Size("normal", 0.3, 0.1, 0.3, math.inf)
    for outside in ("[0.31, 1]", "[0, 0.29]"):
        path.write_text(f"{text}mean = 0.3\nsd = 0.1\nbounds = {outside}\n", encoding="utf-8")
        with pytest.raises(ScenarioError, match="outside its bounds"):
            read_scenarios(path, StandIn())


def test_settings_come_down_from_every_ancestor(tmp_path: Path) -> None:
    path = tmp_path / "scenarios.toml"
    names = ("Imitation Rate", "Export Share", "Support Entry Gain", "Mix[Yiwu,Brand]")
    text = ""
    for k, name in enumerate(names):
        parent = f'extends = "s{k - 1}"\n' if k else ""
        text += f'[s{k}]\ntitle = "S"\n{parent}constants = {{ "{name}" = 0.{k + 1} }}\n'
    path.write_text(text, encoding="utf-8")
    last = read_scenarios(path, StandIn())["s3"]
    assert sorted(last.constants.values()) == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("year", ["2030", "2027.5"])
def test_a_constant_cannot_follow_years(tmp_path: Path, year: str) -> None:
    path = tmp_path / "scenarios.toml"
    path.write_text(f'[base]\n[base.constants]\n"Exit Rate" = {{ "{year}" = 0.1 }}\n', "utf-8")
    with pytest.raises(ScenarioError, match=f"is given for the year '{year}', but a"):
        read_scenarios(path, StandIn())
