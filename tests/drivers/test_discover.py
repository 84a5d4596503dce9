"""Scenario discovery on the belt study: the inputs are those that the runs had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from beltcast import Crossing, discover, make_likelihood, read_study, sample_prior
from beltcast.drivers.discovery.discover import box_words
from beltcast.drivers.discovery.page import summarise_discovery
from beltcast.ensembles import ensemble
from beltcast.errors import InputError, ScenarioError, UnknownName
from beltcast.forecasting.summary import as_text
from beltcast.inference.sampling.posterior import Draws
from beltcast.streams import Streams
from beltcast.study.scenarios import draw_sizes, read_scenarios
from beltcast.study.study import Study

UNSURE = """
[unsure]
title = "Unsure"
[unsure.constants."Tariff Add"]
distribution = "lognormal"
median = 0.5
log_sd = 1.0
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("s") / "mine.toml"
    path.write_text(UNSURE, encoding="utf-8")
    own = read_study()
    return replace(own, scenarios={**own.scenarios, **read_scenarios(path, own.model)})


@pytest.fixture(scope="module")
def draws(study: Study) -> Draws:
    likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    return sample_prior(likelihood, 400, rng=np.random.default_rng(1))


def test_a_size_that_rules_the_outcome_is_found_with_its_side(study: Study, draws: Draws) -> None:
    """A tariff of 0 to several hundred per cent outweighs all else: it must bound the box below."""
    rng = np.random.default_rng(2)
    found = discover(study, draws, Crossing(2030, below=2000.0, scenario="unsure"), rng=rng)
    words = box_words(found, "chosen_")
    assert words[0].startswith("Tariff Add > ")
    # Ranks of 400 independent pairs have an sd of 0.05.
    order = np.argsort(found["inputs"].sel(parameter="Tariff Add").values).argsort()
    rank = np.argsort(found["outcome"].values).argsort()
    assert np.corrcoef(order, rank)[0, 1] < -0.3
    assert float(found["chosen_density"]) > 1.25 * float(found["density"][0])
    page = as_text(summarise_discovery(found))
    assert "Tariff Add >" in page
    assert "coverage" in page


def test_a_run_that_takes_more_random_numbers_leaves_the_inputs_as_they_were(
    study: Study, draws: Draws, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    run = ensemble.run_scenario

    def greedy(model, scenario, *args, rng, **kwargs):  # type: ignore[no-untyped-def]
        rng.stream("of something new").random(7)
        seen.update(draw_sizes(scenario, len(draws), rng=rng))
        return run(model, scenario, *args, rng=rng, **kwargs)

    monkeypatch.setattr(ensemble, "run_scenario", greedy)
    found = discover(study, draws, Crossing(2030, below=2000.0, scenario="unsure"), rng=Streams(2))
    np.testing.assert_array_equal(found["inputs"].sel(parameter="Tariff Add"), seen["Tariff Add"])


def test_below_and_above_are_two_sides_of_one_limit(study: Study, draws: Draws) -> None:
    sides = [
        discover(study, draws, crossing, rng=np.random.default_rng(3))["interest"].sum()
        for crossing in (Crossing(2030, below=4000.0), Crossing(2030, above=4000.0))
    ]
    assert sum(int(side) for side in sides) == 400


def test_what_cannot_be_asked_is_refused(study: Study, draws: Draws) -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match="give one limit"):
        discover(study, draws, Crossing(2030), rng=rng)
    with pytest.raises(ScenarioError, match="did you mean 'tariff-shock'"):
        discover(study, draws, Crossing(2030, below=1.0, scenario="tarif-shock"), rng=rng)
    with pytest.raises(UnknownName, match="'Fosham' is not a place; did you mean 'Foshan'"):
        discover(study, draws, Crossing(2030, below=1.0, place="Fosham"), rng=rng)
    with pytest.raises(UnknownName, match="year 2050 is not run"):
        discover(study, draws, Crossing(2050, below=1.0), rng=rng)
    with pytest.raises(InputError, match="no case of 400"):
        discover(study, draws, Crossing(2030, below=1.0), rng=rng)
