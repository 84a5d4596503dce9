"""What a page is told: each number of a scenario, a lever, a draw and a variable."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from beltcast import Study, load_model, read_study
from beltcast.app import page_data
from beltcast.app.page_data import chosen_draws, drawn_levers
from beltcast.app.page_diagram import SHOWN_EQUATION, diagram_facts, equation_text
from beltcast.app.page_model import PageModel, page_model
from beltcast.inference.sampling.posterior import Draws
from beltcast.schema import Label
from beltcast.study.scenarios import Scenario

from ..second_study import write_fish
from ..small_models import small, text, write
from .test_page import array


@pytest.fixture(scope="module")
def fish(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return read_study(write_fish(tmp_path_factory.mktemp("fish")))


@pytest.mark.parametrize(
    ("ends", "year"),
    [
        ([2024.0], 2024),  # the year before is the last that is observed
        ([2024.0 + 1e-9], 2024),  # as dates such as 2023 + 12/12 are rounded
        ([2021.0, 2023.25, 2022.0], 2024),
        ([], 2015),
        ([2010.0], 2015),
        ([2050.0], 2035),
    ],
)
def test_now_is_the_first_year_without_observations_within_the_run(
    ends: list[float], year: int
) -> None:
    study: Any = SimpleNamespace(observations=[SimpleNamespace(end=end) for end in ends])
    forecast = xr.Dataset(coords={"year": np.arange(2015.0, 2036.0)})
    assert page_data._first_open_year(study, forecast) == year


def levers_of(columns: dict[str, tuple[Any, float]]) -> tuple[Any, ...]:
    """Levers of constants, each with its prior draws and its posterior median."""
    prior = np.stack([values for values, _ in columns.values()], axis=1)
    middle = np.array([[median] for _, median in columns.values()]).T
    labels = tuple(columns)
    after: Any = SimpleNamespace(labels=labels, values=np.repeat(middle, 3, axis=0))
    before: Any = SimpleNamespace(labels=labels, values=prior)
    return drawn_levers(after, before)


def test_a_lever_covers_the_middle_90_percent_of_its_prior_in_at_least_40_round_steps() -> None:
    """Of 101 values from 0.3 to 100.3 the ends are 5.3 and 95.3: 90 wide, in steps of 1."""
    hundred, thousandths = np.linspace(0.3, 100.3, 101), np.linspace(0.0, 0.0103, 104)
    found = levers_of(
        {
            "a": (hundred, 33.4),
            "b[North]": (hundred, 33.4),
            "constant": (np.full(101, 3.0), 3.0),
            "Above Its Range": (hundred, 500.0),
            "below": (hundred, -500.0),
        }
    )
    assert [(one.name, one.low, one.high, one.step, one.idle) for one in found] == [
        ("a", 5.0, 96.0, 1.0, 33.0),
        ("Above Its Range", 5.0, 96.0, 1.0, 96.0),
        ("below", 5.0, 96.0, 1.0, 5.0),
    ]
    assert found[1].key == "above-its-range"
    assert found[1].label == Label("Above Its Range")
    (fine,) = levers_of({"fine": (thousandths, 0.00333)})
    # 0.000515 to 0.009785: a fortieth is 0.00023, and the power of ten below it 0.0001.
    np.testing.assert_allclose(
        [fine.low, fine.high, fine.step, fine.idle], [0.0005, 0.0098, 0.0001, 0.0033], rtol=1e-9
    )


def test_a_page_has_at_most_eight_levers_that_no_study_named() -> None:
    hundred = np.linspace(0.0, 100.0, 101)
    columns = {f"c{i}": (hundred, 50.0) for i in range(9)}
    still = {"still": (np.ones(101), 1.0)}
    assert [lever.name for lever in levers_of({**still, **columns})] == list(columns)[:8]


def test_the_draws_of_a_page_have_evenly_spaced_ranks_and_so_have_the_first_sixteen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 128 draws, 64 at the middles of their pairs; of these the first 16 in each four."""
    rng = np.random.default_rng(5)
    ranks = rng.permutation(128)
    output = np.stack([rng.normal(size=128), ranks.astype(float)], axis=1)
    output[ranks == 127, 1] = np.nan  # a member that failed is the last
    totals = xr.DataArray(
        np.stack([output, rng.normal(size=(128, 2))], axis=1),
        coords={"place": ["all", "other"], "year": [2030, 2035]},
        dims=("member", "place", "year"),
    )
    asked = []

    def outputs(study: Any, draws: Any, scenarios: Any) -> xr.DataArray:
        asked.append(list(scenarios))
        return totals

    monkeypatch.setattr(page_data, "_outputs", outputs)
    study: Any = SimpleNamespace(target="output", whole=lambda name: "all")
    likelihood: Any = None  # outputs are given above
    draws = Draws(likelihood, ranks[:, None].astype(float), "posterior", 0.25, 0.125)
    chosen = chosen_draws(study, draws, Scenario("one", "One"))
    assert asked == [["one"]]
    found = chosen.theta[:, 0].tolist()
    assert found[:16] == list(range(5, 128, 8))
    assert sorted(found) == list(range(1, 128, 2))
    assert found[16:] == [rank for rank in range(1, 128, 2) if rank % 8 != 5]
    assert (chosen.kind, chosen.acceptance, chosen.start_correlation) == ("posterior", 0.25, 0.125)


def compiled(study: Study, scenarios: dict[str, Scenario]) -> PageModel:
    labels = ("Birth Rate", "Initial Fish[North]", "Initial Fish[South]")
    return page_model(
        study.model,
        outputs=["landings", "Fish"],
        labels=labels,
        values=np.array([[0.5, 30.0, 50.0], [0.7, 45.0, 65.0]]),
        scenarios=scenarios,
        levers=study.roles.levers,
        switches=study.roles.switches,
        members=2,
    )


def test_a_page_finds_every_constant_that_is_drawn_or_set(fish: Study) -> None:
    """Positions are those of the labels among the parameters, and defaults those of the file."""
    made = compiled(fish, dict(fish.scenarios))
    names = [fish.model.label(int(row)) for row in made.parameters]
    assert set(names) == {
        *("Rain On", "Fleet On", "Effort Factor", "Mesh Factor", "Birth Rate"),
        *("Initial Fish[North]", "Initial Fish[South]"),
    }
    assert len(names) == 7
    columns, defaults = made.columns.tolist(), made.defaults.tolist()
    given = {name: (columns[i], defaults[i]) for i, name in enumerate(names)}
    assert given["Birth Rate"] == (0, 0.6)
    assert (given["Initial Fish[North]"], given["Initial Fish[South]"]) == ((1, 40.0), (2, 60.0))
    assert given["Mesh Factor"] == (-1, 1.0)
    assert made.positions(fish.model.targets(["Birth Rate"])[0]) == [names.index("Birth Rate")]
    # A stock is saved at instants and comes first; a flow is a running total.
    assert [(o.name, o.first, o.count, o.elements, o.total) for o in made.outputs] == [
        ("Fish", 0, 2, (("North", "South"),), False),
        ("landings", 2, 2, (("North", "South"),), True),
    ]
    # 21 years in eighths: 168 steps after the start, saved every eighth one.
    assert (made.steps, made.saves.tolist()) == (169, list(range(0, 169, 8)))
    # Every lever acts from the first step: nothing is kept, and nothing is late.
    assert (made.resume, set(made.late.values())) == (0, {True})


def test_a_scenario_is_told_with_its_values_where_the_model_takes_them(fish: Study) -> None:
    calm = Scenario(
        "calm",
        "A calm sea",
        title_zh="风平浪静",
        constants={"Initial Fish[South]": 70.0, "Effort Factor": 0.8},
    )
    made = compiled(fish, {**fish.scenarios, "calm": calm})
    told = page_data._scenario(fish, made, calm, 2, 3)
    names = [fish.model.label(int(made.parameters[i])) for i in told["at"]]
    assert dict(zip(names, told["values"], strict=True)) == calm.constants
    assert told["constants"] == calm.constants
    assert (told["name"], told["label"]) == ("calm", ["A calm sea", "风平浪静"])
    assert (told["uncertain"], told["sizes"], told["inputs"], told["points"]) == (False, [], [], {})


def test_a_lever_is_told_with_its_range_its_driver_and_its_place(fish: Study) -> None:
    made = compiled(fish, dict(fish.scenarios))
    effort, mesh = page_data._levers(fish, made, fish.roles.levers)
    names = [fish.model.label(int(row)) for row in made.parameters]
    assert [names[i] for i in effort["at"] + mesh["at"]] == ["Effort Factor", "Mesh Factor"]
    assert (effort["key"], effort["name"]) == ("effort", "Effort Factor")
    assert (effort["label"], mesh["label"]) == (
        ["Fishing effort", "捕捞强度"],
        ["Mesh width", "网目"],
    )
    assert (effort["driver"], mesh["driver"]) == (["Fleet", "船队"], ["", ""])
    assert (effort["one"][0], mesh["one"][0]) == ("effort as in 2015", "")
    assert [(one["low"], one["high"], one["idle"]) for one in (effort, mesh)] == [
        (0.5, 1.5, 1.0),
        (1.0, 1.5, 1.0),
    ]


def test_a_series_of_a_scenario_is_told_at_every_step_of_the_input_that_it_replaces(
    tmp_path: Path,
) -> None:
    """Two inputs, of which the second is replaced; straight lines between its points."""
    model = small(
        tmp_path,
        "first",
        "second",
        "s = INTEG(first + second, 1)",
        TIME_STEP="1",
    )
    dear = Scenario("dear", "Dear", inputs={"second": ((0.0, 2.0, 4.0), (1.0, 5.0, 5.0))})
    program = model.program
    made: Any = SimpleNamespace(module=SimpleNamespace(program=program), steps=4)
    (told,) = page_data._inputs(model, made, dear)
    assert [model.label(row) for row in program.inputs][told["at"]] == "second"
    assert array(told["values"]).tolist() == [1.0, 3.0, 5.0, 5.0]


def test_the_diagram_of_a_page_tells_of_each_variable_its_causes_uses_and_names(
    fish: Study,
) -> None:
    facts = diagram_facts(fish)
    told = facts["variables"]
    assert {name: (one["causes"], one["uses"]) for name, one in told.items()} == {
        "Fish": (["births", "landings"], ["births", "fuel", "landings"]),
        "births": (["Fish"], ["Fish"]),
        "landings": (["Fish"], ["Fish", "all landings", "wages"]),
        "all landings": (["landings"], []),
        "fuel": (["Fish"], ["wages"]),
        "wages": (["fuel", "landings"], []),
    }
    assert told["Fish"]["kind"] == "stock"
    assert (told["fuel"]["unit"], told["fuel"]["doc"]) == ("kt/Year", "In fish that pays for it.")
    assert told["landings"]["label"] == ["landings", "上岸量"]
    assert told["births"]["label"] == ["births", "births"]
    assert (facts["detailed"], facts["groups"]) == (["", ""], [])
    english, chinese = facts["svg"]
    assert "上岸量" in chinese
    assert "上岸量" not in english


def test_a_model_without_translated_names_has_one_drawing(fish: Study) -> None:
    bare: Any = SimpleNamespace(model=fish.model, labels=lambda: {"kt": Label("kt", "千吨")})
    english, chinese = diagram_facts(bare)["svg"]
    assert english
    assert chinese == ""


def test_an_equation_is_shown_as_its_file_writes_it_up_to_its_tilde(tmp_path: Path) -> None:
    long = "long = " + " + ".join(["1"] * 200)
    content = text("a = 1 +\n\t2", "b = a", long)
    model = load_model(write(tmp_path, content))
    assert equation_text(model, "a") == "a = 1 + 2"
    assert equation_text(model, "b") == "b = a"
    assert SHOWN_EQUATION == 600
    assert equation_text(model, "long") == long[:600]
