"""Announced events under every scenario."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast import Calibration, Study, read_scenarios, run_ensemble
from beltcast.cli import app
from beltcast.errors import ScenarioError
from beltcast.files.shipped import shipped
from beltcast.study.events import WITHOUT, with_events
from beltcast.study.scenarios import Scenario, Size

BASELINE = Scenario("baseline", "Baseline", code="S0")


@pytest.fixture(scope="module")
def events(study: Study) -> dict[str, Scenario]:
    return read_scenarios(shipped("models/belt/events.toml"), study.model)


def test_all_events_are_in_every_scenario_and_in_none_without(
    study: Study, events: dict[str, Scenario]
) -> None:
    given = with_events(study.scenarios, events)
    assert list(given) == [*study.scenarios, WITHOUT]
    labels = {label for event in events.values() for label in event.constants}
    for name, scenario in given.items():
        assert name == scenario.name
        if name == WITHOUT:
            assert scenario.constants == study.scenarios["baseline"].constants
        else:
            assert labels <= set(scenario.constants)
            assert scenario.title == study.scenarios[name].title
            assert scenario.text == study.scenarios[name].text
            assert scenario.code == study.scenarios[name].code


def test_what_a_scenario_says_itself_wins_with_its_certainty(
    study: Study, events: dict[str, Scenario]
) -> None:
    given = with_events(study.scenarios, events)
    shock = given["tariff-shock"]
    assert shock.constants["Tariff Add[United States]"] == 0.30
    assert "Tariff Add[United States]" not in shock.uncertain
    assert "Duty Ramp Time" in shock.uncertain
    assert set(given["baseline"].uncertain) == {
        "Duty[United States]",
        "Duty[Europe]",
        "Duty Ramp Time",
    }


def test_events_change_nothing_before_they_come_and_cost_output_after(
    study: Study, events: dict[str, Scenario]
) -> None:
    given = with_events({"baseline": study.scenarios["baseline"]}, events)
    # Fifty members of the same parameters: they differ by the sizes of the events alone.
    labels = study.priors.labels[:1]
    values = np.full((50, 1), study.model.value(labels[0]))
    runs = run_ensemble(
        study.model, given, (labels, values), outputs=["national output"],
        rng=np.random.default_rng(1),
    )["national output"]  # fmt: skip
    ratio = runs.sel(scenario="baseline") / runs.sel(scenario=WITHOUT)
    # The earliest start is 2 May 2025; the US duties are in the model itself, at their central
    # size, so that what is unsure of them goes both ways and Europe's duty goes one.
    assert (ratio.sel(year=slice(2013, 2024)) == 1.0).all()
    assert float(ratio.sel(year=2030).median()) < 1.0
    assert float(ratio.sel(year=2027).std()) > 0.005
    assert np.ptp(runs.sel(scenario=WITHOUT, year=2027).values) == 0.0


def test_two_events_on_one_constant_are_refused() -> None:
    size = Size("normal", 0.1, 0.05)
    one = Scenario("one", "One", constants={"Rate": 0.1}, uncertain={"Rate": size})
    for label in ("Rate", "Rate[East]"):
        other = Scenario("other", "Other", constants={label: 0.2})
        with pytest.raises(ScenarioError, match="'one' and 'other' both set 'Rate'"):
            with_events({"baseline": BASELINE}, {"one": one, "other": other})
    apart = dataclasses.replace(one, constants={"Rate[West]": 0.1}, uncertain={})
    beside = Scenario("other", "Other", constants={"Rate[East]": 0.2})
    both = with_events({"baseline": BASELINE}, {"one": apart, "other": beside})["baseline"]
    assert dict(both.constants) == {"Rate[West]": 0.1, "Rate[East]": 0.2}


def test_the_name_of_the_scenario_without_events_is_reserved() -> None:
    with pytest.raises(ScenarioError, match="a scenario is called 'without-events' already"):
        with_events({WITHOUT: BASELINE}, {"one": Scenario("one", "One")})


@pytest.mark.slow
@pytest.mark.usefixtures("short_walks")
def test_a_forecast_given_events_shows_what_they_do(
    tmp_path: Path, fit: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Events change scenarios, not what was observed: the fit is that of the study without them.
    monkeypatch.setattr("beltcast.workflows.forecast.fit_study", lambda *_, **__: fit)
    monkeypatch.setattr("beltcast.workflows.forecast.save_fan_charts", lambda *_, **__: None)
    folder = tmp_path / "given"
    done = CliRunner().invoke(
        app,
        ["forecast", "--given", str(shipped("models/belt/events.toml")), "--scenario", "brand-push",
         "--draws", "6", "--output", str(folder)],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    with xr.open_dataset(folder / "forecast.nc") as kept:
        assert kept["scenario"].values.tolist() == ["baseline", "brand-push", WITHOUT]
        assert len(kept.attrs["events_sha256"]) == 64
        more = kept["chance_of_more"].sel(scenario=WITHOUT, place="China", year=2027)
        assert 0.0 <= float(more) <= 1.0
