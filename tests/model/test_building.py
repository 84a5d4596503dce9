"""Models written in Python, and models whose equations are changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import Auxiliary, Flow, LookupPoints, ModelBuilder, Stock, load_model
from beltcast.errors import ModelError, ModelFileError, UnitError, UnknownName
from beltcast.model.building import call, total
from beltcast.model.model import Model

from ..small_models import small


def predators() -> ModelBuilder:
    """Lotka and Volterra, as the README of reno-sd has it."""
    m = ModelBuilder(end=200, step=1, time_unit="Month")
    m.rabbits = Stock(100.0, unit="rabbit", doc="Prey.")
    m.foxes = Stock(100.0, unit="fox")
    m.rabbit_growth_rate = Auxiliary(0.1, unit="1/Month", doc="Alpha")
    m.rabbit_death_rate = Auxiliary(0.001, unit="1/fox/Month")
    m.fox_death_rate = Auxiliary(0.1, unit="1/Month")
    m.fox_growth_rate = Auxiliary(0.001, unit="1/rabbit/Month")
    m.rabbit_births = Flow(m.rabbit_growth_rate * m.rabbits, unit="rabbit/Month")
    m.rabbit_deaths = Flow(m.rabbit_death_rate * m.rabbits * m.foxes, unit="rabbit/Month")
    m.fox_deaths = Flow(m.fox_death_rate * m.foxes, unit="fox/Month")
    m.fox_births = Flow(m.fox_growth_rate * m.rabbits * m.foxes, unit="fox/Month")
    m.rabbit_births >> m.rabbits >> m.rabbit_deaths
    m.fox_births >> m.foxes >> m.fox_deaths
    return m


def test_a_built_model_runs_as_its_difference_equations() -> None:
    run = predators().build().simulate(outputs=["rabbits", "foxes"])
    r, f = 100.0, 100.0
    for step in range(200):
        r, f = r + (0.1 * r - 0.001 * r * f), f + (0.001 * r * f - 0.1 * f)
        got = (run["rabbits"][step + 1].item(), run["foxes"][step + 1].item())
        assert got == pytest.approx((r, f), rel=1e-12)


def test_a_built_model_is_saved_and_read_like_any_other(tmp_path: Path) -> None:
    model = predators().build()
    for name in ("m.mdl", "m.xmile"):
        model.save(tmp_path / name)
        again = load_model(tmp_path / name)
        for variable in ("rabbits", "foxes", "rabbit births"):
            one, other = (m.simulate(outputs=variable)[variable].values for m in (model, again))
            np.testing.assert_array_equal(one, other)
        assert again["rabbits"].doc == "Prey."
        assert again["fox births"].unit == "fox/Month"


def test_the_number_that_a_stock_begins_with_is_a_constant_that_a_run_can_set() -> None:
    model = predators().build()
    run = model.simulate({"initial rabbits": 7.0}, outputs="rabbits", save_at=[0.0])
    assert run["rabbits"].item() == 7.0
    assert model["initial rabbits"].unit == "rabbit"


def test_the_same_model_has_the_same_hash_and_another_another() -> None:
    one, other, third = predators(), predators(), predators()
    third.rabbits = Stock(99.0, unit="rabbit")
    hashes = [m.source().text_sha256 for m in (one, other, third)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_arrays_sums_elements_and_lookups() -> None:
    m = ModelBuilder(end=4, ranges={"Belt": ["North", "South"]})
    m.size = Auxiliary([1.0, 2.0], over="Belt")
    m.curve = LookupPoints([0, 4], [1, 9])
    m.level = Stock(m.size * 10, over="Belt")
    m.growth = Flow(m.level * 0.5 + m.size["North"], over="Belt")
    m.growth >> m.level
    m.whole = Auxiliary(total(m.level * m.size, "Belt"))
    m.wave = Auxiliary(call("MAX", m.curve(m.time), 4) ** 2)
    run = m.build().simulate(save_at=[0.0, 1.0])
    assert run["level"].values.tolist() == [[10.0, 20.0], [16.0, 31.0]]
    assert run["whole"].values.tolist() == [50.0, 16.0 + 62.0]
    assert run["wave"].values.tolist() == [16.0, 16.0]


def test_a_right_hand_side_may_be_vensim_text() -> None:
    m = ModelBuilder(end=4)
    m.curve = LookupPoints([0, 4], [0, 8])
    m.y = Auxiliary("IF THEN ELSE(Time > 2, curve(Time), SMOOTH3(2, 1))")
    assert m.build().simulate(outputs="y")["y"].values.tolist() == [2.0, 2.0, 2.0, 6.0, 8.0]


def test_units_are_checked_as_they_are_added() -> None:
    m = ModelBuilder(end=4, time_unit="Year")
    m.people = Stock(10, unit="person")
    m.rate = Auxiliary(0.1, unit="1/Year")
    with pytest.raises(UnitError, match="births"):
        m.births = Flow(m.people + m.rate, unit="person/Year")
    with pytest.raises(UnknownName, match="has no 'births' yet"):
        m.births  # noqa: B018  # what was refused is not there
    m.births = Flow(m.people * m.rate, unit="person/Year")
    m.births >> m.people
    assert m.build()["births"].unit == "person/Year"


def test_a_flow_of_the_wrong_unit_is_refused_where_it_is_connected() -> None:
    m = ModelBuilder(end=4, time_unit="Year")
    m.people = Stock(10, unit="person")
    m.births = Flow(3, unit="person")
    with pytest.raises(UnitError, match="people"):
        m.births >> m.people


def test_a_model_in_the_making_shows_its_equations_as_mathematics() -> None:
    m = predators()
    assert "rabbits" in repr(m)
    assert m._repr_html_().count("<math>") == 12  # ten variables, two initial values
    assert "<mfrac>" in (m.rabbits / m.foxes)._repr_html_()
    assert "<math>" in m.build()["rabbits"]._repr_html_()


def test_what_is_no_model_is_refused_with_what_to_do() -> None:
    m = ModelBuilder(end=4)
    m.a, m.b = Stock(1), Stock(2)
    with pytest.raises(ModelError, match="connects two stocks; put a flow between"):
        m.a >> m.b
    with pytest.raises(ModelError, match="give a Stock, Flow, Auxiliary or LookupPoints"):
        m.c = 3
    with pytest.raises(ModelError, match="'TIME STEP' is set by ModelBuilder itself"):
        m["TIME STEP"] = Auxiliary(1)
    with pytest.raises(TypeError, match="has no truth value before the model runs"):
        bool(m.a > 1)
    m.d = Auxiliary("unknown*2")
    with pytest.raises(UnknownName, match="uses 'unknown'"):
        m.build()


# --- changes ----------------------------------------------------------------------------------


@pytest.fixture
def belts(tmp_path: Path) -> Model:
    return small(
        tmp_path,
        "Belt: North, South",
        "size[Belt] = 1, 2",
        "y[Belt] = size[Belt]*rate",
        "rate = 3",
        "S = INTEG(rate, 0)",
    )


def test_a_changed_model_is_another_and_the_old_one_stays(belts: Model) -> None:
    other = belts.with_equations({"Y": "size[Belt] + rate", "rate": 5})
    assert other.simulate()["y"][0].values.tolist() == [6.0, 7.0]
    assert belts.simulate()["y"][0].values.tolist() == [3.0, 6.0]
    assert other.source.text_sha256 != belts.source.text_sha256


def test_an_element_takes_its_place_out_of_the_others(belts: Model) -> None:
    other = belts.with_equations({"y[South]": "100*rate", "size[North]": 7.0})
    assert other.simulate()["y"][0].values.tolist() == [21.0, 300.0]
    again = other.with_equations({"y[South]": "0", "y[North]": "1"})
    assert again.simulate()["y"][0].values.tolist() == [1.0, 0.0]


def test_variables_are_added_with_a_unit_and_removed(belts: Model) -> None:
    other = belts.with_equations({"twice": ("2*S", "thing", "S doubled."), "y": None})
    assert (other["twice"].unit, other["twice"].doc) == ("thing", "S doubled.")
    assert "y" not in other
    with pytest.raises(UnknownName, match="'Z' cannot be removed"):
        belts.with_equations({"Z": None})


def test_a_change_keeps_unit_and_comment(root: Path) -> None:
    model = load_model(root / "models" / "decay" / "decay.mdl")
    other = model.with_equations({"outflow": "Stock/Lifetime/2"})
    assert (other["outflow"].unit, other["outflow"].doc) == ("thing/Year", model["outflow"].doc)
    assert other["TIME STEP"].value == model["TIME STEP"].value


def test_controls_may_be_changed(belts: Model) -> None:
    other = belts.with_equations({"FINAL TIME": "8", "TIME STEP": 0.5})
    assert other.simulate()["S"][-1].item() == 24.0


def test_a_name_with_signs_needs_no_quotes_on_the_left(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "R: a, b",
        '"curve (x)"((0,0),(10,10))',
        '"c-d" = 2',
        '"m.v"[R] = 3',
        'y = "curve (x)"(Time) + "c-d" + "m.v"[a]',
    )
    changes = {"c-d": 5, "m.v": "4", '"m.v"[a]': "10"}
    assert model.with_equations(changes).simulate()["y"].values[0] == 15
    assert model.with_equations({"e (f)": "7", "y": '"e (f)"'}).simulate()["y"].values[0] == 7


def test_a_name_in_quotes_may_have_brackets(tmp_path: Path) -> None:
    model = small(
        tmp_path, "R: a, b", '"p [USD]" = 2', '"q [t]"[R] = "p [USD]"*3', 'y = "q [t]"[b]'
    )
    assert model.simulate({'"p [USD]"': 5})["y"].values[0] == 15
    assert model.rows('"q [t]"[b]').size == 1
    assert model.with_equations({'"q [t]"[b]': "1"}).simulate()["y"].values[0] == 1


def test_text_that_is_no_equation_is_refused_and_nothing_changes(belts: Model) -> None:
    with pytest.raises(ModelFileError, match=r"'rate = 1 \| 2' is no equation"):
        belts.with_equations({"rate": "1 | 2"})
    with pytest.raises(ModelFileError):
        belts.with_equations({"rate": "1 +* 2"})
    with pytest.raises(UnknownName, match="uses 'ratee'"):
        belts.with_equations({"S": "INTEG(ratee, 0)"})
    assert belts.simulate()["S"][-1].item() == 12.0


def test_a_lookup_is_changed_by_its_points(tmp_path: Path) -> None:
    model = small(tmp_path, "curve((0,0),(4,4))", "y = curve(Time)")
    other = model.with_equations({"curve": "((0,1),(4,9))"})
    assert other.simulate()["y"][-1].item() == 9.0
