"""Chains on disk: what ArviZ makes of them, and that nothing is half there."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from beltcast import Model, SampleOptions, Study, calibrate, make_likelihood, sample
from beltcast.errors import InputError
from beltcast.files.netcdf import write_netcdf
from beltcast.inference.sampling.chain_files import load_posterior, posterior_groups
from beltcast.inference.sampling.chains import Chains


@pytest.fixture(scope="module")
def chains(small: Model, make: SimpleNamespace) -> Chains:
    priors = make.priors("Level[East]", "Factor", mu=[2.3, 0.0], sigma=[0.7, 0.2])
    rows = [make.row(start=2014.0 + i, value=9.0 + i) for i in range(6)]
    one = make_likelihood(small, priors, make.table(*rows), make.noise(year_shock=0.05))
    rng = np.random.default_rng(1)
    fit = calibrate(one, rng=rng, starts=4, refine=1)
    return sample(fit, SampleOptions(4, 200, every=6, burn_in=400), rng=rng)


@pytest.fixture(scope="module")
def saved(chains: Chains, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chains") / "posterior.nc"
    groups = posterior_groups(
        chains, rng=np.random.default_rng(2), provenance={"model_sha256": "f00"}
    )
    write_netcdf(path, groups)
    return path


def test_arviz_reads_summarises_and_scores_them(chains: Chains, saved: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its next version when imported
        az = pytest.importorskip("arviz", reason="the extra 'bayes' is not installed")
        data = az.from_netcdf(saved)
        assert {"posterior", "sample_stats", "log_likelihood", "observed_data", "prior"} <= set(
            data.groups()
        )
        summary = az.summary(data, var_names=["Factor", "nuisance"], round_to="none")
        loo = az.loo(data)
    assert summary.loc["Factor", "mean"] == pytest.approx(np.exp(chains.theta[:, :, 1]).mean())
    # Six observations of standard deviation 0.1 around a line: each is foreseen with a density of
    # about 1 to 4.
    assert 0 < loo.elpd_loo < 6 * np.log(4)
    assert loo.n_data_points == 6


def test_chains_and_draws_become_what_arviz_works_with(chains: Chains, saved: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its next version when imported
        pytest.importorskip("arviz", reason="the extra 'bayes' is not installed")
        whole, one = chains.to_inferencedata(), chains.draws().to_inferencedata()
    written = xr.load_dataset(saved, group="posterior")
    np.testing.assert_array_equal(whole.posterior["Factor"], written["Factor"])
    assert whole.log_likelihood["published"].shape == (32, 25, 6)
    np.testing.assert_array_equal(  # a draw of each walker in turn
        one.posterior["Factor"].values.ravel(), written["Factor"].values.T.ravel()
    )
    assert one.observed_data["published"].values == pytest.approx([9, 10, 11, 12, 13, 14])


def test_arviz_judges_the_file_as_the_chains_that_were_run(chains: Chains, tmp_path: Path) -> None:
    """Eight walkers end to end are no chain: R-hat of slow walkers would look good."""
    rng = np.random.default_rng(3)
    theta = rng.standard_normal((32, 125, chains.theta.shape[2]))
    for t in range(1, 125):  # an autoregressive process of order 1 and coefficient 0.99
        theta[:, t] = 0.99 * theta[:, t - 1] + np.sqrt(1 - 0.99**2) * theta[:, t]
    slow = dataclasses.replace(
        chains,
        theta=theta.reshape(4, 1000, -1),
        walker=np.repeat(np.arange(8), 125),
        stats={},
        log_likelihood=np.zeros((4, 1000, 6)),
    )
    write_netcdf(tmp_path / "posterior.nc", posterior_groups(slow, rng=rng))
    written = xr.load_dataset(tmp_path / "posterior.nc", group="posterior")
    assert written.sizes["chain"] == 32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its next version when imported
        az = pytest.importorskip("arviz", reason="the extra 'bayes' is not installed")
        judged = float(az.rhat(written["Factor"].values))
    # The working scale is a monotone function of the value, and ranks are all that counts.
    assert judged == pytest.approx(float(az.rhat(theta[:, :, 1])), rel=1e-9)
    assert judged == pytest.approx(slow.table().loc["Factor", "rhat"], rel=1e-9)
    assert judged > 2.0
    assert float(az.rhat(slow.theta[:, :, 1])) < 1.2  # as it would look end to end
    assert written.attrs["worst_rhat_nested"] > 1.01
    assert written.attrs["mixed"] == 0


def test_chains_and_draws_print_in_a_few_lines(chains: Chains) -> None:
    assert "4 of 200 draws" in repr(chains)
    assert "800" in repr(chains.draws())
    for value in (chains, chains.draws()):
        assert len(repr(value)) < 400
        assert value._repr_html_().startswith("<table>")


def test_draws_come_back_on_their_working_scales_for_their_study_only(
    chains: Chains, saved: Path, study: Study, tmp_path: Path
) -> None:
    groups = posterior_groups(chains, rng=np.random.default_rng(2), provenance=study.provenance())
    write_netcdf(tmp_path / "posterior.nc", groups)
    drawn = load_posterior(tmp_path, study, chains.likelihood)
    np.testing.assert_allclose(drawn.theta, chains.theta.reshape(800, -1), atol=1e-12)
    assert drawn.kind == "posterior"
    with pytest.raises(InputError, match=r"the model.*changed since.*beltcast sample"):
        load_posterior(saved, study, chains.likelihood)
    fewer = dataclasses.replace(
        chains.likelihood, priors=dataclasses.replace(chains.likelihood.priors, labels=("A", "B"))
    )
    with pytest.raises(InputError, match="have no 'A'"):
        load_posterior(tmp_path, study, fewer)
    with pytest.raises(InputError, match=r"no chains in .*absent"):
        load_posterior(tmp_path / "absent.nc", study, chains.likelihood)


def test_variables_carry_units_places_and_hashes(chains: Chains, saved: Path) -> None:
    with xr.open_dataset(saved, group="posterior", engine="netcdf4") as posterior:
        # Four groups of eight Markov chains, each one that was run.
        assert (posterior.sizes["chain"], posterior.sizes["draw"]) == (32, 25)
        assert posterior["superchain"].values.tolist() == np.repeat(range(4), 8).tolist()
        assert posterior["Level[East]"].attrs["units"] == ""  # as the priors of this test say
        assert posterior.attrs["model_sha256"] == "f00"
        assert posterior.attrs["evaluations"] == chains.evaluations
        assert list(posterior["nuisance_name"].values) == list(chains.likelihood.nuisances)
        np.testing.assert_allclose(posterior["Level[East]"], np.exp(chains.separate[:, :, 0]))
    with xr.open_dataset(saved, group="observed_data", engine="netcdf4") as observed:
        np.testing.assert_allclose(observed["published"], [9, 10, 11, 12, 13, 14])
        assert observed["place"].values.tolist() == ["East"] * 6


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_netcdf(tmp_path / "file" / "x.nc", {"a": xr.Dataset({"x": 1})})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
