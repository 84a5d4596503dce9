"""Contraction of answers: normal cases have closed forms."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from beltcast.drivers.answers import shown
from beltcast.errors import InputError
from beltcast.inference.audit.contraction import contraction
from beltcast.inference.sampling.draws_file import open_fit
from beltcast.inference.sampling.posterior import sample_prior

Z = norm.ppf((np.arange(4000) + 0.5) / 4000)  # normal draws without chance


def draws(*columns: np.ndarray) -> xr.DataArray:
    names = [f"a{k}" for k in range(len(columns))]
    return xr.DataArray(np.stack(columns, axis=1), {"answer": names}, ("member", "answer"))


def test_contraction_of_a_normal_mean_is_that_of_conjugate_updating() -> None:
    # Prior sd 0.5, four observations of sd 0.5 each: the precisions 4 and 4 * 4 add up to 20.
    exact = 1.0 - 4.0 / 20.0
    table = contraction(draws(3.0 + Z / np.sqrt(20.0)), draws(0.5 * Z))
    assert table.loc["a0", "contraction"] == pytest.approx(exact, abs=1e-9)
    assert table.loc["a0", "posterior_sd"] == pytest.approx(1 / np.sqrt(20), rel=0.01)


def test_what_the_observations_ignore_is_not_narrowed_and_what_they_widen_is_below_zero() -> None:
    table = contraction(draws(Z + 1.0, 2.0 * Z), draws(Z, Z))
    np.testing.assert_allclose(table["contraction"], [0.0, -3.0], atol=1e-9)


def test_an_answer_without_standard_deviation_is_not_told() -> None:
    assert list(contraction(draws(Z, 0 * Z), draws(Z, 0 * Z)).index) == ["a0"]


def test_the_stated_error_is_the_scatter_over_repeated_draws() -> None:
    rng = np.random.default_rng(1)
    n, m, repeats = 400, 200, 2000
    posterior = draws(*0.5 * rng.standard_normal((repeats, n)))
    table = contraction(posterior, draws(*rng.standard_normal((repeats, m))))
    # The scatter of 2000 numbers is known to 1 / sqrt(4000), 1.6%; the formula is for large n, m.
    assert table["contraction"].std() == pytest.approx(table["contraction_error"].mean(), rel=0.06)


def test_answers_of_two_kinds_are_not_compared() -> None:
    with pytest.raises(InputError, match="of other answers"):
        contraction(draws(Z), draws(Z, Z))


@pytest.fixture(scope="module")
def belts() -> SimpleNamespace:
    study, kept = open_fit()
    few = kept.first(24)
    prior = sample_prior(few.likelihood, 24, rng=np.random.default_rng(2))
    found = [
        shown(study, one, years=[2025, 2030], rng=np.random.default_rng(3)) for one in (few, prior)
    ]
    return SimpleNamespace(study=study, posterior=found[0], prior=found[1])


def test_every_quantity_of_forecast_and_attribution_is_among_the_answers(
    belts: SimpleNamespace,
) -> None:
    answers = belts.posterior
    # 15 belts and the nation in two years: output, the changes under all other scenarios, drivers.
    rows = 16 * 2 * (1 + len(belts.study.scenarios) - 1 + 3)
    assert answers.sizes == {"member": 24, "answer": rows}
    assert set(answers["quantity"].values) == {"output", "change", "driver"}


def test_belts_add_up_to_the_nation_in_every_draw(belts: SimpleNamespace) -> None:
    output = belts.posterior[:, belts.posterior["quantity"].values == "output"]
    output = np.exp(output[:, output["year"].values == 2030])
    nation = output["place"].values == "China"
    np.testing.assert_allclose(
        output[:, nation].values[:, 0], output[:, ~nation].sum("answer"), rtol=1e-9
    )


def test_the_nations_output_is_narrowed_most_by_its_observations(belts: SimpleNamespace) -> None:
    table = contraction(belts.posterior, belts.prior)
    # Dozens of observations inform the nation's output; none the change under a scenario.
    assert table.loc["output, China 2025", "contraction"] > 0.3
    # Announced changes that begin after 2025 do not vary there and are left out.
    assert table["prior_sd"].min() > 0


def test_a_year_beyond_the_model_is_named(belts: SimpleNamespace) -> None:
    study, kept = open_fit()
    with pytest.raises(InputError, match="no year 2200; expected one of 20"):
        shown(study, kept.first(2), years=[2200], rng=np.random.default_rng(4))
