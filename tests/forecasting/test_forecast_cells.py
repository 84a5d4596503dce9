"""Every variable of a forecast, computed again member by member from the model's closed form."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from beltcast import Draws, Model, Study, make_likelihood
from beltcast.forecasting.forecast import forecast_draws
from beltcast.forecasting.published_factor import published_factor
from beltcast.schema import QUANTILES, TOTAL
from beltcast.streams import Streams
from beltcast.study.roles import Roles
from beltcast.study.scenarios import Scenario, Size, draw_sizes

YEARS = np.arange(2013, 2024)
N, PRIOR = 9, 5
SEED = 3


def output_of(factor: np.ndarray, growth: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """Totals of years under Euler, four steps a year; (N,) each -> (N, places, years)."""
    steps = (1.0 + growth[:, None] / 4.0) ** np.arange(4 * len(YEARS))
    size = steps.reshape(len(factor), len(YEARS), 4).mean(axis=2)
    with np.errstate(divide="ignore"):
        scale = (factor / divisor)[:, None] * size
    places = np.array([30.0, 10.0, 20.0])[None, :, None] * scale[:, None]
    return np.where(np.isfinite(places), places, np.nan)


@pytest.fixture(scope="module")
def made(small: Model, make: SimpleNamespace) -> SimpleNamespace:
    """Nine draws of the posterior and five of the prior, one of each with a divisor of 0.

    Of the scenarios one differs from the first by an uncertain growth, one not at all.
    """
    study = Study(
        title="Small",
        model=small,
        observations=make.table(
            *(make.row(start=2014.0 + k, grade="C") for k in range(3)),
            make.row(place="West", elements=("West",), grade="C"),
        ),
        places={},
        titles={},
        priors=make.priors("Factor", "Divisor", mu=[0.0, 1.0], sigma=[0.5, 0.3], family="normal"),
        scenarios={
            "baseline": Scenario("baseline", "Baseline"),
            "uncertain": Scenario(
                "uncertain",
                "Uncertain",
                constants={"Growth": 0.0},
                uncertain={"Growth": Size("normal", 0.0, 0.02)},
            ),
            "same": Scenario("same", "Same"),
        },
        noise=make.noise(year_shock=0.05, year_shocks={2020: 0.3}),
        hashes={"study": "0" * 64},
        target="output",
        roles=Roles(companions=("firms", "output"), years={"shown": (2015, 2023)}),
    )
    likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)

    def draws(count: int, seed: int, kind: str) -> Draws:
        rng = np.random.default_rng(seed)
        theta = rng.standard_normal((count, likelihood.size))
        theta[:, :2] = rng.uniform(0.5, 1.5, (count, 2))
        theta[2, 1] = 0.0
        return Draws(likelihood, theta, kind, acceptance=0.25, start_correlation=0.5)

    posterior, prior = draws(N, 1, "posterior"), draws(PRIOR, 2, "prior")
    result = forecast_draws(study, posterior, prior, posterior.theta[0], rng=Streams(SEED))
    return SimpleNamespace(study=study, posterior=posterior, prior=prior, result=result)


def outputs(made: SimpleNamespace, draws: Draws) -> np.ndarray:
    """(scenarios, N, places, years)."""
    n = len(draws.theta)
    sizes = draw_sizes(made.study.scenarios["uncertain"], n, rng=Streams(SEED))["Growth"]
    factor, divisor = draws.theta[:, 0], draws.theta[:, 1]
    still = output_of(factor, np.zeros(n), divisor)
    return np.stack([still, output_of(factor, sizes, divisor), still])


def quantiles(values: np.ndarray) -> np.ndarray:
    """Over members, on the second axis; the last axis of the result."""
    return np.moveaxis(np.nanquantile(values, QUANTILES, axis=-3), 0, -1)


def published(made: SimpleNamespace, draws: Draws, own: np.ndarray) -> np.ndarray:
    coords = {"place": made.result["place"].values, "year": YEARS}
    like = xr.DataArray(own, dims=("member", "place", "year"), coords=coords)
    return own * published_factor(made.study, draws, like, rng=Streams(SEED)).values


def test_totals_are_those_of_the_closed_form(made: SimpleNamespace) -> None:
    found = made.result["output"].transpose("scenario", "member", "place", "year")
    assert found["place"].values.tolist() == [TOTAL, "East", "West"]
    assert found["scenario"].values.tolist() == ["baseline", "uncertain", "same"]
    assert found["year"].values.tolist() == YEARS.tolist()
    expected = outputs(made, made.posterior)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    own = quantiles(expected)
    np.testing.assert_allclose(made.result["output_quantile"], own, rtol=1e-10)
    assert made.result["failed"].values.tolist() == [2, 2, 2]  # a draw of each


def test_published_bands_hold_the_factor_of_each_draw(made: SimpleNamespace) -> None:
    expected = outputs(made, made.posterior)
    band = quantiles(np.stack([published(made, made.posterior, own) for own in expected]))
    np.testing.assert_allclose(made.result["published_quantile"], band, rtol=1e-10)
    prior = published(made, made.prior, outputs(made, made.prior)[0])
    np.testing.assert_allclose(made.result["prior_quantile"], quantiles(prior), rtol=1e-10)


def test_the_ratio_of_sds_is_that_of_logs_in_the_first_scenario(made: SimpleNamespace) -> None:
    """Half the width between the 16 % and the 84 % quantile."""
    half = [
        0.5
        * np.diff(np.nanquantile(np.log(published(made, draws, own)), [0.16, 0.84], axis=0), axis=0)
        for draws in (made.posterior, made.prior)
        for own in [outputs(made, draws)[0]]
    ]
    np.testing.assert_allclose(made.result["sd_ratio"], (half[0] / half[1])[0], rtol=1e-10)


def test_changes_and_chances_compare_draw_by_draw_with_the_first(made: SimpleNamespace) -> None:
    """A tie counts one half, and where all tie there is no chance: the scenario is the same."""
    for draws, name in ((made.posterior, "chance_of_more"), (made.prior, "prior_chance_of_more")):
        own = outputs(made, draws)
        known = np.isfinite(own[0, :, 0, 0])
        chance = (own[1, known] > own[0, known]).mean(axis=0)
        chance += 0.5 * (own[1, known] == own[0, known]).mean(axis=0)
        found = made.result[name]
        np.testing.assert_allclose(found.sel(scenario="uncertain"), chance, rtol=1e-12)
        assert 0 < float(found.sel(scenario="uncertain", place="West", year=2023)) < 1
        assert np.isnan(found.sel(scenario=["baseline", "same"])).all()
        assert (made.result[f"{name}_draws"] == known.sum()).all()
    own = outputs(made, made.posterior)
    change = quantiles(own / own[0])
    np.testing.assert_allclose(made.result["change_quantile"], change, rtol=1e-10)


def test_companions_counts_and_what_it_rests_on_are_kept(made: SimpleNamespace) -> None:
    result = made.result
    counts = result["observation_count"]
    assert counts.sel(place=[TOTAL, "East", "West"]).values.tolist() == [0, 3, 1]
    # A stock is kept at the end of each year, as quantiles; the target is not its own companion.
    np.testing.assert_allclose(result["firms"].isel(scenario=0, quantile=0), 100.0)
    assert (result.attrs["draws"], result.attrs["acceptance"]) == (N, 0.25)
    assert (result.attrs["start_correlation"], result.attrs["walkers"]) == (0.5, 0)
    assert (result.attrs["whole"], result.attrs["shown_years"]) == (TOTAL, [2015, 2023])
    # One of nine failed; three places in two years, and the whole in two more scenarios.
    assert (result.attrs["effective_draws"], result.attrs["effective_of"]) == (N - 1, 10)
    assert result.attrs["effective_few"] == 10
