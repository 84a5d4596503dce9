"""Many runs as one dataset: pure, labelled, and honest about what failed."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import xarray as xr

from beltcast import Model, Scenario, Study, load_model, run_ensemble
from beltcast.ensembles import ensemble
from beltcast.errors import SimulationError
from beltcast.files.resume import NOT_KEPT, Pieces, keep_pieces
from beltcast.inference.sampling.posterior import sample_prior
from beltcast.study.scenarios import Size, select

from ..small_models import text

OUTPUTS = ("output", "active sellers")


def draws_of(likelihood, n: int) -> tuple[tuple[str, ...], np.ndarray]:
    draws = sample_prior(likelihood, n, rng=np.random.default_rng(6))
    return draws.labels, draws.values


def some(study: Study, *names: str) -> dict[str, Scenario]:
    return {name: study.scenarios[name] for name in names}


@pytest.fixture(scope="module")
def runs(study: Study, likelihood) -> xr.Dataset:
    scenarios = some(study, "baseline", "brand-push")
    return run_ensemble(study.model, scenarios, draws_of(likelihood, 21), outputs=OUTPUTS)


def test_flows_are_totals_of_years_and_the_rest_is_at_instants(runs: xr.Dataset) -> None:
    assert runs["output"].dims == ("scenario", "member", "Belt", "year")
    assert runs["active sellers"].dims == ("scenario", "member", "Belt", "time")
    assert runs["year"].values.tolist() == list(range(2013, 2036))
    assert runs["time"].values.tolist() == list(range(2013, 2037))
    assert runs["output"].attrs["units"] == "bnCNY"
    assert runs["active sellers"].attrs["units"] == "firm"


def test_a_year_s_total_is_the_sum_over_the_steps_of_that_year(study: Study) -> None:
    model = study.model
    run = run_ensemble(model, some(study, "baseline"), outputs=["output"])["output"]
    grid = model.grid()
    fine = model.simulate(outputs=["output"], save_at=grid.times())["output"]
    # Euler holds a flow constant within a step: the total is the sum of step times flow.
    for year in (2013, 2024, 2035):
        steps = fine.sel(time=(fine["time"] >= year) & (fine["time"] < year + 1))
        got = run.sel(year=year).squeeze()
        np.testing.assert_allclose(got, grid.step * steps.sum("time"), rtol=1e-12)


def test_a_member_does_not_depend_on_the_others_or_on_their_order(
    study: Study, likelihood, runs: xr.Dataset
) -> None:
    labels, values = draws_of(likelihood, 21)
    order = np.random.default_rng(0).permutation(21)[:13]
    scenarios = some(study, "brand-push", "baseline")
    again = run_ensemble(study.model, scenarios, (labels, values[order]), outputs=OUTPUTS)
    for name in OUTPUTS:
        want = runs[name].isel(member=order).sel(scenario=["brand-push", "baseline"])
        np.testing.assert_array_equal(again[name].values, want.values)


def test_a_parameter_s_place_among_the_labels_does_not_matter(
    study: Study, likelihood, runs: xr.Dataset
) -> None:
    labels, values = draws_of(likelihood, 21)
    order = np.random.default_rng(1).permutation(len(labels))
    shuffled = [labels[i] for i in order], values[:, order]
    again = run_ensemble(study.model, some(study, "baseline"), shuffled, outputs=OUTPUTS)
    np.testing.assert_array_equal(
        again["output"].values, runs["output"].sel(scenario=["baseline"]).values
    )


def test_both_back_ends_agree(study: Study, likelihood, runs: xr.Dataset) -> None:
    labels, values = draws_of(likelihood, 21)
    plain = run_ensemble(
        study.model,
        some(study, "brand-push"),
        (labels, values[:5]),
        outputs=OUTPUTS,
        backend="numpy",
    )
    for name in OUTPUTS:
        want = runs[name].sel(scenario=["brand-push"]).isel(member=slice(5))
        np.testing.assert_allclose(plain[name].values, want.values, rtol=1e-12)


def test_a_scenario_wins_over_a_draw(study: Study) -> None:
    label = "Support Final Multiplier"
    scenarios = some(study, "baseline", "support-fades")
    drawn = [label], np.array([[1.0], [0.0], [5.0]])
    run = run_ensemble(study.model, scenarios, drawn, outputs=["national output"])
    output = run["national output"]
    fades = output.sel(scenario="support-fades")
    np.testing.assert_array_equal(fades, fades.isel(member=0).broadcast_like(fades))
    # Where the scenario is silent, the draw counts: member 1 fades out in the baseline too.
    np.testing.assert_array_equal(
        output.sel(scenario="baseline").isel(member=1), fades.isel(member=1)
    )


def test_without_draws_there_is_one_member_with_the_model_s_own_constants(study: Study) -> None:
    run = run_ensemble(study.model, some(study, "baseline"), outputs=["active sellers"])
    alone = study.model.simulate(outputs=["active sellers"])["active sellers"]
    assert run.sizes["member"] == 1
    np.testing.assert_array_equal(
        run["active sellers"].squeeze().transpose("time", "Belt").values, alone.values
    )


def test_a_member_that_fails_is_marked_and_the_others_go_on(small: Model) -> None:
    draws = ["Divisor"], np.array([[1.0], [0.0], [2.0]])
    scenario = {"s": Scenario("s", "S")}
    run = run_ensemble(small, scenario, draws, outputs=["output", "firms"])
    assert run["status"].values.tolist() == [[0, 1, 0]]
    # Whatever else such a run computed is not to be used either.
    for name in ("output", "firms"):
        assert np.isnan(run[name].isel(member=1)).all()
        assert np.isfinite(run[name].isel(member=[0, 2])).all()


def test_what_the_model_marks_as_missing_is_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "na.mdl"
    path.write_text(text("x = IF THEN ELSE(Time < 2, :NA:, 3)", "y = x + 1"))
    runs = run_ensemble(load_model(path), {"s": Scenario("s", "S")}, outputs=["x", "y"])
    assert runs["status"].values.tolist() == [[0]]
    assert np.isnan(runs["y"].values[0, 0, :2]).all()
    assert runs["y"].values[0, 0, 2] == 4


def test_all_members_failing_is_an_error_that_names_the_scenario(small: Model) -> None:
    constants = MappingProxyType({"Divisor": 0.0})
    scenarios = {
        "fine": Scenario("fine", "Fine"),
        "broken": Scenario("broken", "Broken", constants=constants),
    }
    with pytest.raises(SimulationError, match="all 1 members of the scenario 'broken'"):
        run_ensemble(small, scenarios, outputs=["output"])


def test_a_scenario_may_change_the_step(small: Model) -> None:
    growth = {"Growth": 0.5}
    scenarios = {
        "coarse": Scenario("coarse", "C", constants=MappingProxyType({**growth, "TIME STEP": 1.0})),
        "file": Scenario("file", "F", constants=MappingProxyType(growth)),
    }
    size = run_ensemble(small, scenarios, outputs=["size"])["size"].isel(member=0)
    # Euler: (1 + 0.5 dt)^(1 / dt) a year, dt = 1 and 0.25.
    np.testing.assert_allclose(size.sel(scenario="coarse", time=2014), 1.5, rtol=1e-14)
    np.testing.assert_allclose(size.sel(scenario="file", time=2014), 1.125**4, rtol=1e-14)


def test_a_run_can_end_early(study: Study, runs: xr.Dataset) -> None:
    short = run_ensemble(study.model, some(study, "baseline"), outputs=["output"], end=2020.0)
    whole = run_ensemble(study.model, some(study, "baseline"), outputs=["output"])
    assert short["year"].values.tolist() == list(range(2013, 2020))
    np.testing.assert_array_equal(
        short["output"].values, whole["output"].sel(year=slice(None, 2019)).values
    )


def test_the_dataset_says_what_it_is_and_where_it_comes_from(study: Study) -> None:
    run = run_ensemble(study.model, some(study, "baseline"), outputs=OUTPUTS)
    assert run.attrs["model"] == "belt"
    assert run.attrs["model_sha256"] == study.model.source.text_sha256
    assert "numpy=" in run.attrs["versions"]
    for name in OUTPUTS:
        assert run[name].attrs["long_name"]
        assert run[name].attrs["units"]
    assert run["title"].values.tolist() == ["Baseline"]


def test_a_run_that_is_stopped_goes_on_to_the_same_bits(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of two members; the run is stopped in the second scenario and gone on with."""
    monkeypatch.setattr(ensemble, "BLOCK", 2)
    unsure = Scenario(
        "unsure",
        "Unsure",
        constants={"Tariff Add": 0.3},
        uncertain={"Tariff Add": Size("normal", 0.3, 0.1)},
    )
    scenarios = {**select(study.scenarios, ["baseline"]), "unsure": unsure}
    draws = (("Imitation Rate",), np.array([[0.3], [0.4], [0.45], [0.5], [0.6]]))

    def run(pieces: Pieces) -> xr.Dataset:
        return run_ensemble(
            study.model,
            scenarios,
            draws,
            outputs=["output", "Pilot Zones"],
            rng=np.random.default_rng(7),
            pieces=pieces,
        )

    whole = run(NOT_KEPT)
    counted = Model.batch
    calls = 0

    def stopping(self: Model, *args: Any, **kwargs: Any) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return counted(self, *args, **kwargs)

    monkeypatch.setattr(Model, "batch", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(keep_pieces(tmp_path / "work", {"seed": "7"}, resume=False))
    again = run(keep_pieces(tmp_path / "work", {"seed": "7"}, resume=True))
    # Four of the six blocks were kept: two were left, and the one that was stopped.
    assert calls == 5 + 2
    xr.testing.assert_identical(again, whole)
