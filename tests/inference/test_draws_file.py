"""Thinned draws on disk: what comes back, and for which study."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast import (
    Calibration,
    Likelihood,
    Study,
    approximate_posterior,
    calibrate,
    forecast,
    make_likelihood,
    read_study,
    sample_prior,
)
from beltcast.errors import InputError
from beltcast.files.shipped import shipped
from beltcast.forecasting.forecast import forecast_draws
from beltcast.inference.sampling.draws_file import (
    DEPENDS_ON,
    DRAWS_FILE,
    KeptFit,
    kept_fit,
    load_draws,
    open_fit,
    save_draws,
    shipped_draws,
    study_link,
)
from beltcast.streams import Streams
from beltcast.study.starter import init


@pytest.fixture(scope="module")
def kept(fit: Calibration) -> KeptFit:
    return kept_fit(
        fit, approximate_posterior(fit, 12, rng=np.random.default_rng(5), moves=0), draws=5
    )


def test_what_is_written_comes_back_to_single_precision(
    kept: KeptFit, study: Study, likelihood: Likelihood, tmp_path: Path
) -> None:
    save_draws(kept, study, tmp_path / "draws.nc")
    back = load_draws(tmp_path / "draws.nc", study, likelihood)
    assert back.posterior.kind == "laplace"
    np.testing.assert_array_equal(
        back.posterior.theta, kept.posterior.theta.astype(np.float32).astype(np.float64)
    )
    np.testing.assert_array_equal(back.optimum, kept.optimum)
    assert [p.name for p in tmp_path.iterdir()] == ["draws.nc"]


def test_thinning_takes_the_first_and_the_last_and_keeps_the_estimates(
    fit: Calibration, kept: KeptFit
) -> None:
    every = approximate_posterior(fit, 12, rng=np.random.default_rng(5), moves=0)
    np.testing.assert_array_equal(kept.posterior.theta, every.theta[[0, 2, 5, 8, 11]])
    assert kept.estimates().equals(fit.table())


@pytest.mark.parametrize("name", DEPENDS_ON)
def test_draws_of_another_study_are_refused(
    name: str, kept: KeptFit, study: Study, likelihood: Likelihood, tmp_path: Path
) -> None:
    save_draws(kept, study, tmp_path / "draws.nc")
    changed = dataclasses.replace(study, hashes={**study.hashes, name: "0" * 64})
    with pytest.raises(InputError, match=f"{DEPENDS_ON[name]} changed since.*beltcast forecast"):
        load_draws(tmp_path / "draws.nc", changed, likelihood)


def test_new_scenarios_do_not_make_draws_stale(study: Study, likelihood: Likelihood) -> None:
    other = dataclasses.replace(study, hashes={**study.hashes, "scenarios": "0" * 64})
    assert len(shipped_draws(other, likelihood).posterior) == 200


def test_the_shipped_draws_are_small_and_name_no_folder_of_their_maker() -> None:
    path = shipped("calibration/results/draws.nc")
    assert path.stat().st_size <= 400_000
    with xr.open_dataset(path) as data:
        assert data.attrs["study_path"] == ""


def test_what_is_not_a_file_of_draws_is_refused(tmp_path: Path, study: Study) -> None:
    (tmp_path / "text.nc").write_text("no NetCDF")
    xr.Dataset({"x": 1}).to_netcdf(tmp_path / "other.nc")
    for name, words in (
        ("text.nc", "cannot be read"),
        ("other.nc", "no draws in this file"),
        ("absent.nc", "no such file"),
    ):
        with pytest.raises(InputError, match=words):
            load_draws(tmp_path / name, study)


def test_a_study_without_results_is_answered_with_the_command_that_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = shipped("calibration/belt.toml")
    with pytest.raises(InputError, match=r"make them with beltcast forecast .*belt\.toml"):
        open_fit(mine)
    with pytest.raises(InputError, match="neither a folder of results nor a study"):
        open_fit(tmp_path / "absent")


@pytest.mark.parametrize("given", ["mine", "mine/study.toml"])
def test_a_study_in_a_folder_is_looked_for_where_its_forecast_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    init("mine", belts=["East"])
    with pytest.raises(InputError, match=r"no results of this study in runs.mine"):
        open_fit(given)


def test_results_find_their_study_from_any_folder_and_after_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    init("here/mine", belts=["East"])
    study, rng = read_study("here/mine"), np.random.default_rng(1)
    likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    fit = calibrate(likelihood, rng=rng, starts=2, refine=1)
    small = kept_fit(fit, approximate_posterior(fit, 3, rng=rng, moves=0))
    results = Path("here/runs/mine")
    results.mkdir(parents=True)
    link = {"study_path": study_link("here/mine", results)}
    assert link == {"study_path": "../../mine"}
    save_draws(small, study, results / DRAWS_FILE, provenance=link)
    Path("here").rename("there")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    opened, kept = open_fit(tmp_path / "there/runs/mine")
    assert opened.title == study.title
    assert len(kept.posterior) == 3
    (tmp_path / "there/mine").rename(tmp_path / "gone")
    with pytest.raises(InputError, match=r"of the study '\.\./\.\./mine'.*which is not there"):
        open_fit(tmp_path / "there/runs/mine")


def test_a_forecast_in_parts_is_the_forecast(study: Study, fit: Calibration) -> None:
    """`forecast` is `sample`, `sample_prior` and `forecast_draws` with the same random numbers."""
    few = dict(list(study.scenarios.items())[:2])
    small = dataclasses.replace(study, scenarios=few)
    streams = Streams(9)
    whole = forecast(small, fit, rng=streams, draws=6, moves=0)
    posterior = approximate_posterior(fit, 6, rng=streams.posterior, moves=0)
    prior = sample_prior(fit.likelihood, 3, rng=streams.prior)
    parts = forecast_draws(small, posterior, prior, fit.theta, rng=streams)
    assert whole.identical(parts)
