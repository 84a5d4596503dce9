"""What output costs, by lever and belt, and what profit and tax are left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from beltcast import Study, make_likelihood, price, run_ensemble, sample_prior
from beltcast.drivers.price.page import paying, price_words, summarise_prices
from beltcast.drivers.price.plot import price_chart
from beltcast.drivers.price.price import _prices, _total, judged, read_sizes, with_sizes
from beltcast.errors import InputError, ScenarioError
from beltcast.forecasting.summary import as_text
from beltcast.inference.sampling.posterior import Draws
from beltcast.reports.json_output import dataset_facts, json_text
from beltcast.study.scenarios import Scenario, Size, select

YEARS = (2026, 2035)


@pytest.fixture(scope="module")
def draws(study: Study) -> Draws:
    likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    return sample_prior(likelihood, 100, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def two(study: Study) -> Study:
    return replace(
        study,
        scenarios=select(
            study.scenarios, ["baseline", "brand-push", "support-fades", "threshold-up"]
        ),
    )


@pytest.fixture(scope="module")
def prices(two: Study, draws: Draws) -> xr.Dataset:
    sizes = read_sizes(two)
    return price(two, draws, years=YEARS, sizes=sizes, rng=np.random.default_rng(2))


def test_a_price_is_more_spending_over_more_output(two: Study, draws: Draws) -> None:
    found = price(two, draws, years=YEARS, rng=np.random.default_rng(2))
    runs = run_ensemble(
        two.model,
        two.scenarios,
        (draws.labels, draws.values),
        outputs=["output", "seller spending"],
    ).sel(year=slice(*YEARS), Belt="Foshan")
    gain, cost = (
        runs[name].sum("year").diff("scenario").values[0] for name in ("output", "seller spending")
    )
    at = found.sel(scenario="brand-push", place="Foshan")
    assert float(at["chance_of_more"].sel(flow="output")) == (gain > 0).mean()
    assert float(at["direction"]) == 1.0
    middle = at["price"].sel(paid="seller spending", quantile=0.5)
    assert float(middle) == pytest.approx(np.median((cost / gain)[gain > 0]))
    assert found["unit"].sel(flow="output") == "bnCNY"


def test_what_is_withdrawn_is_priced_by_what_it_saves(prices: xr.Dataset) -> None:
    at = prices.sel(scenario="support-fades", place="China")
    assert float(at["direction"]) == -1.0
    # Less support and less output: both fall, so that the price of what is given up is positive.
    assert float(at["price"].sel(paid="public spending").min()) > 0
    what, _ = price_words(prices, "support-fades")
    assert what.split()[0] == "lost"
    assert what.endswith("saves")


def test_a_direction_that_not_nine_of_ten_draws_take_is_told_with_its_share(
    prices: xr.Dataset,
) -> None:
    at = {"flow": "output", "scenario": "brand-push", "place": "China"}
    prices = prices.copy(deep=True)
    for more, told in ((0.9, "gained costs"), (0.69, "gained (69% of draws) costs")):
        prices["chance_of_more"].loc[at] = more
        assert price_words(prices, "brand-push")[0] == told


def test_output_that_is_lost_while_spending_rises_is_told_as_a_cost(prices: xr.Dataset) -> None:
    at = prices["price"].sel(scenario="threshold-up", place="China", paid="lever spending")
    assert float(at.sel(quantile=0.5)) < 0
    low, middle, high = (-float(at.sel(quantile=q)) for q in (0.9, 0.5, 0.1))
    assert low < middle < high
    told = ("lost costs", f"{middle:.2f} ({low:.2f} to {high:.2f})")
    assert price_words(prices, "threshold-up") == told


def test_a_change_by_rounding_has_no_price() -> None:
    level = xr.DataArray(np.full((2, 4), 100.0), dims=("scenario", "member"))
    gain = xr.DataArray([[0.0] * 4, [1e-9, -1e-9, 2e-9, 1e-10]], dims=("scenario", "member"))
    cost = xr.DataArray(np.full((2, 4), 5.0), dims=("scenario", "member"))
    price, direction = _prices(gain, level, {"spending": cost})
    assert price.isnull().all()
    assert (direction == 0).all()


def test_the_first_scenario_has_no_gain_and_no_price(prices: xr.Dataset) -> None:
    first = prices.sel(scenario="baseline")
    assert float(abs(first["change"]).max()) == 0.0
    assert first["price"].isnull().all()


def test_a_price_is_refused_where_there_is_nothing_to_compare(two: Study, draws: Draws) -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(InputError, match="years 2026 to 2050"):
        price(two, draws, years=(2026, 2050), rng=rng)
    one = replace(two, scenarios=select(two.scenarios, ["baseline"]))
    with pytest.raises(ScenarioError, match="second scenario"):
        price(one, draws, years=YEARS, rng=rng)
    with pytest.raises(
        InputError, match=r"add spending = .* to its table \[money\], or name a flow with --cost"
    ):
        price(two, draws, years=YEARS, spending=[], rng=rng)


def test_sizes_of_money_move_money_and_not_output(
    two: Study, draws: Draws, prices: xr.Dataset
) -> None:
    without = price(two, draws, years=YEARS, rng=np.random.default_rng(2))
    assert (prices["change"] == without["change"]).sel(flow="output").all()
    assert (prices["change"] != without["change"]).sel(flow="profit", scenario="brand-push").any()


def test_a_member_has_the_same_sizes_in_all_scenarios(draws: Draws) -> None:
    sizes = Scenario(
        "money", "Sizes", constants={"A": 2.0, "B": 0.5}, uncertain={"B": Size("normal", 0.5, 0.1)}
    )
    labels, values = with_sizes(draws, sizes, rng=np.random.default_rng(3))
    assert labels[-2:] == ("A", "B")
    assert (values[:, -2] == 2.0).all()
    assert np.ptp(values[:, -1]) > 0
    np.testing.assert_array_equal(values[:, :-2], draws.values)
    twice = Scenario("money", "Sizes", constants={draws.labels[0]: 1.0})
    with pytest.raises(InputError, match="has a prior and a size as well"):
        with_sizes(draws, twice, rng=np.random.default_rng(3))


def test_medians_of_the_sizes_are_the_model_s_own_values(study: Study) -> None:
    sizes = read_sizes(study)
    assert sizes is not None
    for label, size in sizes.uncertain.items():
        rows, _ = study.model.targets([label])
        assert size.centre == study.model.program.default(int(rows[0])), label


def test_every_judged_constant_of_money_is_drawn_or_named_as_held(study: Study) -> None:
    sizes = read_sizes(study)
    assert sizes is not None
    names = {label.partition("[")[0] for label in sizes.uncertain}
    flows = ["profit", "income tax", "public balance", "vat refunds", "lever spending"]
    assert set(judged(study.model, flows, target="output")) - names == {"VAT Refund Rate"}


def test_the_page_names_what_is_judged_and_the_facts_are_json(prices: xr.Dataset) -> None:
    page = " ".join(as_text(summarise_prices(prices)).split())
    assert "rest on judgement, not on data" in page
    assert "exclude it: VAT Refund Rate" in page
    assert "By place" in page
    facts = dataset_facts(prices)
    assert facts["price"]["lever spending"]["brand-push"]["China"]["p50"] > 0
    assert '"judged"' in json_text(facts)


def test_the_chart_has_a_panel_for_each_scenario_that_pays(prices: xr.Dataset) -> None:
    assert paying(prices) == ["brand-push"]
    (axes,) = price_chart(prices).axes
    assert axes.get_title(loc="left") == "brand-push"


def test_prices_are_those_of_the_definition() -> None:
    """Draws of the usual direction with a gain of weight, one by one; others do not count."""
    rng = np.random.default_rng(5)
    gain, level = rng.normal(0.5, 1.0, (3, 41)), rng.lognormal(3, 1, (3, 41))
    gain[1] *= -1.0
    gain[:, 4] = np.nan  # failed
    gain[:, 5] = 0.9e-6 * level[:, 5]  # less than a millionth of the level is no change
    gain[:, 6] = 1.1e-6 * level[:, 6]
    gain[2] = 0.0
    costs = {"one": rng.normal(2, 1, (3, 41)), "other": rng.normal(-1, 1, (3, 41))}
    arrays = [xr.DataArray(a, dims=("scenario", "member")) for a in (gain, level, *costs.values())]
    price, direction = _prices(arrays[0], arrays[1], dict(zip(costs, arrays[2:], strict=True)))
    for s in range(3):
        known = [m for m in range(41) if m != 4]
        felt = [gain[s, m] if abs(gain[s, m]) > 1e-6 * level[s, m] else 0.0 for m in known]
        sign = np.sign(np.median(felt))
        assert direction.values[s] == sign
        kept = [m for m, g in zip(known, felt, strict=True) if g * sign > 0]
        for name, cost in costs.items():
            own = price.sel(paid=name, quantile=0.5).values[s]
            if not kept:
                assert np.isnan(own)
            else:
                assert own == pytest.approx(np.median([cost[s, m] / gain[s, m] for m in kept]))


def test_a_year_that_is_missing_makes_a_total_missing_and_not_smaller() -> None:
    own = xr.DataArray(
        np.arange(1.0, 25.0).reshape(1, 2, 3, 4),
        {"year": [2024, 2025, 2026, 2027], "Belt": ["A", "B", "C"]},
        ("scenario", "member", "Belt", "year"),
    )
    own[0, 1, 2, 1] = np.nan
    total = _total(own, "all", (2025, 2026))
    # Of the first member: 2 + 3, 6 + 7, 10 + 11, and all of them.
    assert total.sel(member=0).values.tolist() == [[39.0, 5.0, 13.0, 21.0]]
    of_second = total.sel(member=1).values[0]
    assert np.isnan(of_second).tolist() == [True, False, False, True]


def test_draws_that_failed_do_not_decide_a_direction() -> None:
    """Three of five failed: taken for no gain they would leave the price without a direction."""
    gain = xr.DataArray([[np.nan, np.nan, np.nan, 2.0, 4.0]], dims=("scenario", "member"))
    level = xr.DataArray(np.full((1, 5), 100.0), dims=("scenario", "member"))
    cost = xr.DataArray([[np.nan, np.nan, np.nan, 6.0, 4.0]], dims=("scenario", "member"))
    price, direction = _prices(gain, level, {"spending": cost})
    assert direction.values.tolist() == [1.0]
    assert price.sel(quantile=0.5).item() == pytest.approx(2.0)
