"""A plain series as observations: what a fit to it must find, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from beltcast import Model, calibrate, load_model, make_likelihood, observe
from beltcast.data.plain_series import series_noise, series_observations
from beltcast.errors import InputError, UnknownName
from beltcast.resources import shipped


@pytest.fixture(scope="module")
def sir() -> Model:
    return load_model(shipped("models/sir/sir.mdl"))


def test_a_series_of_the_model_itself_is_answered_by_it(sir: Model) -> None:
    times = np.arange(3.0, 20.0)
    run = sir.simulate(outputs=["Infected"])["Infected"].sel(time=times)
    rows = series_observations(sir, "Infected", times, run)
    # Answers go through a logarithm and back: a few units in the last place.
    np.testing.assert_allclose(observe(sir, rows), [row.value for row in rows], rtol=1e-14)


def test_the_constants_behind_an_exact_series_are_found(sir: Model, make) -> None:
    # With a spread of one in ten thousand beside a prior of 0.3, the prior moves nothing.
    behind = {"Contact Rate": 2.4, "Duration": 0.9}
    times = np.arange(6.0, 14.0)
    run = sir.simulate(behind, outputs=["Infected"])["Infected"].sel(time=times)
    priors = make.priors("Contact Rate", "Duration", mu=[np.log(2.0), 0.0], sigma=0.3)
    likelihood = make_likelihood(
        sir, priors, series_observations(sir, "Infected", times, run), series_noise(1e-4)
    )
    fit = calibrate(likelihood, rng=np.random.default_rng(1), starts=16, refine=2)
    np.testing.assert_allclose(fit.table()["median"], list(behind.values()), rtol=1e-5)


def test_an_element_is_a_place(small: Model) -> None:
    rows = series_observations(small, "firms[East]", [2014.0, 2016.0], [90.0, 110.0])
    assert {row.place for row in rows} == {"East"}
    np.testing.assert_allclose(observe(small, rows), 100.0)


@pytest.mark.parametrize(
    ("quantity", "times", "values", "error", "says"),
    [
        ("Infectd", [1.0], [1.0], UnknownName, "did you mean 'Infected'"),
        ("infection", [1.0], [1.0], InputError, "is a flow"),
        ("Infected", [1.0, 2.0], [1.0], InputError, "one value a time"),
        ("Infected", [1.0, 2.0], [1.0, 0.0], InputError, "not above 0"),
        ("Infected", [1.0, np.nan], [1.0, 1.0], InputError, "not above 0"),
    ],
)
def test_what_is_no_series_is_refused(
    sir: Model,
    quantity: str,
    times: list[float],
    values: list[float],
    error: type[Exception],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        series_observations(sir, quantity, times, values)


@pytest.mark.parametrize("sd", [0.0, -1.0, np.inf, np.nan])
def test_a_spread_that_is_none_is_refused(sd: float) -> None:
    with pytest.raises(InputError, match="expected a number above 0"):
        series_noise(sd)
