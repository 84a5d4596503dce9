"""The belt model: what must hold whatever the parameters, and what must follow from extremes.

The extreme conditions and the order they should lead to are argued in models/belt/README.md.
"""

from __future__ import annotations

import csv
import datetime
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast import Model, Study, load_model, run_ensemble
from beltcast.engine.units.check import check_units
from beltcast.inference.sampling.posterior import sample_prior

EARLY = {"Scenario Start": 2014}
EXTREMES = {
    "no support": {"Support Final Multiplier": 0, **EARLY},
    "no brand investment": {"Brand Propensity Final Multiplier": 0, **EARLY},
    "no access": {"Access Final Multiplier": 0, **EARLY},
    "all traffic to brands": {"Tilt Final Multiplier": 1e6, **EARLY},
    "no traffic to brands": {"Tilt Final Multiplier": 0, **EARLY},
    "no demand": {"Demand Final Multiplier": 0, **EARLY},
    "demand x 100": {"Demand Final Multiplier": 100, **EARLY},
    "tariff x 100": {"Tariff Add": 100, "Tariff Start": 2014},
    "threshold x 50": {"Threshold Final Multiplier": 50, **EARLY},
    "threshold 0": {"Threshold Final Multiplier": 0, **EARLY},
    "advertising x 1000": {"Ad Cost Final Multiplier": 1000, **EARLY},
    "fees x 100": {"Fee Final Multiplier": 100, **EARLY},
    "brands x 10": {"Brand Propensity Final Multiplier": 10, **EARLY},
    "managed x 100": {"Managed Final Multiplier": 100, **EARLY},
    "nobody enters": {"Innovation Rate": 0, "Imitation Rate": 0},
    "instant capacity": {"Capacity Adjustment Time": 0.0625},
    "deepening x 100": {"Belt Deepening Multiplier": 100, **EARLY},
}
LEVERS = tuple(
    f"{name} Multiplier"
    for name in (
        "Support Final",
        "Brand Propensity Final",
        "Tilt Final",
        "Threshold Final",
        "Access Final",
        "Managed Final",
        "Ad Cost Final",
        "Fee Final",
        "Duty Final",
        "Demand Final",
        "Belt Deepening",
    )
)
DRIVER_GAINS = (
    "Support Gain",
    "Support Brand Gain",
    "Brand Push Elasticity",
    "Goodwill Elasticity",
    "Innovation Elasticity",
    "Quality Elasticity",
    "Propensity Scale",
    "Targeting Gain",
    "Tilt Scale",
    "Programme Gain",
    "Threshold Scale",
    "Managed Pull",
    "Openness Elasticity",
)


@pytest.fixture(scope="module")
def belt(study: Study) -> Model:
    return study.model


@pytest.fixture(scope="module")
def base(belt: Model) -> xr.Dataset:
    return belt.simulate()


@pytest.fixture(scope="module")
def extremes(belt: Model) -> dict[str, xr.Dataset]:
    return {name: belt.simulate(constants) for name, constants in EXTREMES.items()}


SIGNED = {
    "profit before tax",
    "profit",
    "public balance",
    "tier profit",
    "market balance",
    "profit per seller",
    "reference profit per seller",
    "seller change",
    "zone openings",
}
"""What is left over, or saved, may be less than nothing."""


def stocks_and_flows(model: Model) -> list[str]:
    """Everything that counts or moves something, and so has no business below zero."""
    return [
        v.name
        for v in model.variables.values()
        if v.kind == "stock"
        or (v.kind == "auxiliary" and v.unit.endswith("/Year") and v.name not in SIGNED)
    ]


def nation(run: xr.Dataset, year: float) -> float:
    return float(run["national output"].sel(time=year))


def brand_share(run: xr.Dataset, year: float) -> float:
    """Own-brand share of the nation's output."""
    at = run.sel(time=year)
    return float((at["brand share of output"] * at["output"]).sum() / at["output"].sum())


# --- conservation -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prior_runs(study: Study, likelihood) -> xr.Dataset:
    draws = sample_prior(likelihood, 32, rng=np.random.default_rng(5))
    wanted = ["firm balance", "share balance", "Belt Firms", *stocks_and_flows(study.model)]
    return run_ensemble(
        study.model, study.scenarios, (draws.labels, draws.values), outputs=wanted, end=2036
    )


def test_firms_are_conserved_in_all_draws_and_scenarios(prior_runs: xr.Dataset) -> None:
    # 368 steps of flows of up to 1e5 firms, each rounded to 1e-16 of itself: below 1e-9 of all.
    lost = np.abs(prior_runs["firm balance"]) / prior_runs["Belt Firms"]
    assert float(lost.max()) < 1e-11


def test_traffic_shares_sum_to_one_in_all_draws_and_scenarios(prior_runs: xr.Dataset) -> None:
    assert float(np.abs(prior_runs["share balance"]).max()) < 1e-13


def test_no_stock_or_flow_is_negative_in_any_draw_or_scenario(
    study: Study, prior_runs: xr.Dataset
) -> None:
    lowest = {n: float(prior_runs[n].min()) for n in stocks_and_flows(study.model)}
    assert {n: v for n, v in lowest.items() if not v >= 0} == {}
    assert int(prior_runs["status"].sum()) == 0


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_runs_stay_finite_conserve_firms_and_never_go_negative(
    belt: Model, extremes: dict[str, xr.Dataset], name: str
) -> None:
    run = extremes[name]  # simulate() itself refuses what is not finite
    lowest = {n: float(run[n].min()) for n in stocks_and_flows(belt)}
    assert {n: v for n, v in lowest.items() if not v >= 0} == {}
    assert float((np.abs(run["firm balance"]) / run["Belt Firms"]).max()) < 1e-11
    assert float(np.abs(run["share balance"]).max()) < 1e-13


@pytest.mark.parametrize("name", ["base", *EXTREMES])
def test_parts_add_up_to_the_whole_at_every_time(
    base: xr.Dataset, extremes: dict[str, xr.Dataset], name: str
) -> None:
    run = base if name == "base" else extremes[name]
    for part, whole in (
        ("output", "national output"),
        ("cbec imports", "national imports"),
        ("cbec trade", "national trade"),
    ):
        np.testing.assert_allclose(run[part].sum("Belt"), run[whole], rtol=1e-12, atol=1e-12)
    trade = run["national output"] + run["national imports"]
    np.testing.assert_allclose(trade, run["national trade"], rtol=1e-12)
    np.testing.assert_allclose(run["national imports"], run["published imports"], rtol=1e-12)
    # Destinations and tiers divide the same exports.
    exports = run["market exports"].sum("Market")
    np.testing.assert_allclose(exports, run["national output"], rtol=1e-9, atol=1e-12)
    tiers = run["tier revenue"].sum("Tier")
    np.testing.assert_allclose(tiers, run["output"], rtol=1e-12, atol=1e-12)


def test_the_weights_of_belts_and_categories_are_shares(belt: Model) -> None:
    run = belt.simulate(outputs=["Category Mix", "Market Share 2013", "Import Weight"])
    np.testing.assert_allclose(run["Category Mix"].sum("Category"), 1.0, rtol=1e-12)
    np.testing.assert_allclose(run["Market Share 2013"].sum("Market"), 1.0, rtol=1e-12)
    np.testing.assert_allclose(run["Import Weight"].sum("Belt"), 1.0, rtol=1e-12)


def test_hangzhou_exports_a_growing_share_of_its_trade(base: xr.Dataset) -> None:
    # Published: 66 % in 2015 (22.73 of 34.64 bn USD), 87 % in 2023 (108.2 of 124.8 bn CNY).
    share = base["export share"].sel(Belt="Hangzhou")
    assert float(share.sel(time=2023.0)) - float(share.sel(time=2015.0)) > 0.1


def test_tier_and_own_site_shares_add_up_to_all_output(base: xr.Dataset) -> None:
    total = base["tier share of output"].sum("Tier") + base["own site share of output"]
    np.testing.assert_allclose(total, 1.0, rtol=1e-13)


# --- numerics ---------------------------------------------------------------------------------


def test_halving_the_step_changes_output_by_less_than_one_percent(
    belt: Model, base: xr.Dataset
) -> None:
    step = belt.grid().step
    fine = belt.simulate({"TIME STEP": step / 2}, outputs=["output"])["output"]
    finer = belt.simulate({"TIME STEP": step / 4}, outputs=["output"])["output"]
    halved = np.abs(base["output"] - fine).max()
    # 1% is half of what a grade An observation may be off (0.02); measured 0.26%.
    assert float((np.abs(base["output"] - fine) / fine).max()) < 0.01
    # Euler's error is of first order, so it halves with the step; dates of zones fall within
    # steps, which makes that rough.
    assert 1.5 < float(halved / np.abs(fine - finer).max()) < 3.0


def test_euler_at_the_file_s_step_is_within_two_percent_of_runge_kutta(
    belt: Model, base: xr.Dataset
) -> None:
    better = belt.simulate(outputs=["output"], method="rk4")["output"]
    assert float((np.abs(base["output"] - better) / better).max()) < 0.02


def test_every_equation_has_consistent_units(belt: Model) -> None:
    assert check_units(belt.source) == []


def test_a_planted_unit_error_is_found(root: Path, tmp_path: Path) -> None:
    for table in (root / "models/belt").glob("*.csv"):
        (tmp_path / table.name).write_bytes(table.read_bytes())
    text = (root / "models/belt/belt.mdl").read_text(encoding="utf-8")
    planted = text.replace(
        "goodwill decay[Belt] = Goodwill[Belt]*Goodwill Decay Rate",
        "goodwill decay[Belt] = Goodwill[Belt]*Rule Lifetime",
    )
    assert planted != text
    (tmp_path / "belt.mdl").write_text(planted, encoding="utf-8")
    assert check_units(load_model(tmp_path / "belt.mdl").source) != []


# --- extreme conditions -----------------------------------------------------------------------


def test_without_support_output_is_less_but_still_grows(
    base: xr.Dataset, extremes: dict[str, xr.Dataset]
) -> None:
    run = extremes["no support"]
    assert nation(run, 2035) < nation(base, 2035)
    # Overseas demand alone multiplies by eight from 2013 to 2035.
    assert bool((run["national output"].diff("time") > 0).all())


def test_without_brand_investment_brands_lose_share_and_output_does_not_collapse(
    base: xr.Dataset, extremes: dict[str, xr.Dataset]
) -> None:
    run = extremes["no brand investment"]
    assert brand_share(run, 2035) < 0.5 * brand_share(base, 2035)
    # Factories and distributors do not live by brands: output stays above what it was.
    assert nation(base, 2013) < nation(run, 2035) < nation(base, 2035)


def test_all_traffic_to_brands_empties_the_other_tiers(
    base: xr.Dataset, extremes: dict[str, xr.Dataset]
) -> None:
    share = extremes["all traffic to brands"]["Traffic Share"].sel(time=2035)
    # The tilt exponents say where 1e6 sends the traffic: 1 to brands, 0.6 to factories.
    assert float(share.sel(Tier="Brand").min()) > 0.98
    sellers = extremes["all traffic to brands"]["Sellers"].sel(time=2035).sum("Belt")
    assert (
        (sellers < 0.2 * base["Sellers"].sel(time=2035).sum("Belt"))
        .sel(Tier=["Factory", "Distributor"])
        .all()
    )


def test_no_traffic_to_brands_leaves_brands_below_their_first_share(
    base: xr.Dataset, extremes: dict[str, xr.Dataset]
) -> None:
    run = extremes["no traffic to brands"]
    assert brand_share(run, 2035) < brand_share(base, 2013)
    assert nation(run, 2035) < nation(base, 2035)


@pytest.mark.parametrize("name", ["no demand", "tariff x 100"])
def test_output_falls_to_almost_nothing_without_demand_or_at_a_prohibitive_tariff(
    base: xr.Dataset, extremes: dict[str, xr.Dataset], name: str
) -> None:
    assert nation(extremes[name], 2035) < 1e-3 * nation(base, 2035)


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("demand x 100", 1),
        ("instant capacity", 1),
        ("deepening x 100", 1),
        ("advertising x 1000", -1),
        ("nobody enters", -1),
        ("no support", -1),
    ],
)
def test_extremes_move_output_in_the_right_direction(
    base: xr.Dataset, extremes: dict[str, xr.Dataset], name: str, sign: int
) -> None:
    assert np.sign(nation(extremes[name], 2035) - nation(base, 2035)) == sign


def test_a_high_threshold_removes_distributors_first(
    base: xr.Dataset, extremes: dict[str, xr.Dataset]
) -> None:
    kept = (extremes["threshold x 50"]["Sellers"] / base["Sellers"]).sel(time=2035).mean("Belt")
    assert float(kept.sel(Tier="Distributor")) < 0.2
    assert float(kept.sel(Tier="Distributor")) < float(kept.sel(Tier="Factory"))
    assert float(kept.sel(Tier="Factory")) < float(kept.sel(Tier="Brand"))


# --- drivers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switch", "levers", "frozen"),
    [
        (
            "SW Government",
            {"Support Final Multiplier": 2},
            [
                "Policy Support",
                "Pilot Zones",
                "zone coverage",
                "support entry effect",
                "support sales effect",
                "Supervision Maturity",
                "National Rules",
            ],
        ),
        (
            "SW Market",
            {"Brand Propensity Final Multiplier": 2},
            ["brand propensity", "private domain share", "social reach"],
        ),
        (
            "SW Platform",
            {
                "Tilt Final Multiplier": 2,
                "Threshold Final Multiplier": 2,
                "Managed Final Multiplier": 2,
                "Access Final Multiplier": 2,
            },
            ["traffic tilt", "entry threshold", "managed share", "access"],
        ),
    ],
)
def test_a_driver_switched_off_stays_at_its_2013_state_whatever_the_levers(
    belt: Model, base: xr.Dataset, switch: str, levers: dict[str, float], frozen: list[str]
) -> None:
    off = belt.simulate({switch: 0, **levers})
    for name in frozen:
        np.testing.assert_array_equal(off[name], off[name].isel(time=0).broadcast_like(off[name]))
        # And it is the state that the whole model starts from, not zero or something else.
        np.testing.assert_array_equal(off[name].isel(time=0), base[name].isel(time=0))
    plain = belt.simulate({switch: 0}, outputs=["output"])
    np.testing.assert_array_equal(off["output"], plain["output"])


@pytest.mark.parametrize("gain", DRIVER_GAINS)
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_gains_of_the_drivers_may_be_zero_or_negative(belt: Model, gain: str, value: float) -> None:
    run = belt.simulate({gain: value}, outputs=["output", "Sellers"])
    assert float(run["output"].min()) > 0


def test_all_driver_gains_at_zero_make_the_switches_idle(belt: Model) -> None:
    # Where no driver has an effect, switching all of them off changes nothing.  Rules act
    # through clearance days, and investment through own sites: their sizes are 0 too.
    none = {
        **dict.fromkeys(DRIVER_GAINS, 0.0),
        "AVE per Day": 0.0,
        "Spend per Customer": 0.0,
        "Price War Elasticity": 0.0,
        "Tier Quality": 1.0,
        "Elimination Rate": 0.0,
    }
    on = belt.simulate(none, outputs=["output"])["output"]
    off = belt.simulate({**none, "SW Government": 0, "SW Platform": 0}, outputs=["output"])
    np.testing.assert_allclose(on, off["output"], rtol=1e-12)


# --- data -------------------------------------------------------------------------------------


def test_inputs_and_their_sources_hold_the_same_numbers(root: Path) -> None:
    folder = root / "models" / "belt"
    with (folder / "inputs.csv").open(encoding="utf-8") as file:
        used = {
            (series, float(row["time"]), float(value))
            for row in csv.DictReader(file)
            for series, value in row.items()
            if series != "time" and value
        }
    with (folder / "inputs-sources.csv").open(encoding="utf-8") as file:
        sourced = [
            (row["series"], float(row["time"]), float(row["value"])) for row in csv.DictReader(file)
        ]
    assert len(sourced) == len(set(sourced))
    assert used == set(sourced)


def test_every_sourced_input_gives_an_address_or_says_that_it_is_judged(root: Path) -> None:
    with (root / "models/belt/inputs-sources.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert row["url"].startswith("http") or row["grade"] == "judgement", row


def test_the_batches_hold_the_zones_and_dates_of_the_state_council_s_replies(
    belt: Model, root: Path
) -> None:
    with (root / "models/belt/batches.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(row["Batch"] for row in rows) == belt.subscripts["Batch"]
    assert sum(int(row["zones"]) for row in rows) == 178
    dated = 0
    for row in rows:
        assert belt.value(f"Zone Year[{row['Batch']}]") == float(row["zone_year"])
        if found := re.search(r"approved (\d{4})-(\d\d)-(\d\d)", row["note"]):
            day = datetime.date(*map(int, found.groups()))
            year = day.year + (day.timetuple().tm_yday - 1) / 365.25
            assert float(row["zone_year"]) == pytest.approx(year, abs=0.01), row["Batch"]
            dated += 1
    assert dated == 5


def test_coverage_is_a_path_that_ends_within_the_whole(base: xr.Dataset, belt: Model) -> None:
    coverage = base["zone coverage"]
    assert float(coverage.isel(time=0).max()) == 0.0
    assert float(coverage.max()) <= 1.0 + 1e-12
    assert bool((coverage.diff("time") >= 0).all())
    # Zones that stop in 2019 leave the trade of later batches outside.
    stopped = belt.simulate({"Zone Stop": 1, "Zone Stop Year": 2019}, outputs=["zone coverage"])
    late = stopped["zone coverage"].sel(time=2030.0)
    assert float(late.sel(Belt="Foshan")) == 0.0
    assert float(late.sel(Belt="Rest of China")) < 0.5


def test_medians_of_the_priors_are_the_model_s_defaults(study: Study) -> None:
    rows, columns = study.model.targets(study.priors.labels)
    medians = study.priors.natural(study.priors.mu)
    defaults = np.array([study.model.program.default(int(row)) for row in rows])
    # Their defaults rest on the papers that are contrasts, which a prior must not count twice.
    measured = {"Support Gain", "Short Trade Elasticity", "Long Trade Elasticity"}
    rest = [label not in measured for label in np.array(study.priors.labels)[columns]]
    np.testing.assert_allclose(medians[columns][rest], defaults[rest], rtol=1e-12, atol=1e-15)


def test_the_read_outs_of_money_change_nothing_else(belt: Model, tmp_path: Path) -> None:
    """The model without its group Money gives every other variable the same bits."""
    assert belt.path is not None
    for path in belt.path.parent.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = belt.path.read_text(encoding="utf-8")
    start = text.index("*" * 56 + "\n\t.Money")  # Profit and tax stands behind it
    (tmp_path / "belt.mdl").write_text(text[:start], encoding="utf-8")
    without = load_model(tmp_path / "belt.mdl")
    levers = {"Belt Deepening Multiplier": 1.5, "Threshold Final Multiplier": 1.2}
    outputs = without.computed
    one, two = (model.simulate(levers, outputs=outputs) for model in (belt, without))
    assert len(belt.computed) > len(outputs)
    xr.testing.assert_identical(one.drop_attrs(), two.drop_attrs())


def test_spending_is_the_sum_of_what_is_paid(belt: Model) -> None:
    run = belt.simulate({"Belt Deepening Multiplier": 2.0})
    fees = (run["tier revenue"] * run["fee rate"]).sum("Tier")
    np.testing.assert_allclose(run["platform fees"], fees.transpose(*run["platform fees"].dims))
    # Deepening by a factor of 2, in full from 2029 on, costs its share of output.
    late = run.sel(time=slice(2029, None))
    np.testing.assert_allclose(late["deepening spending"], 0.004 * late["output"], rtol=1e-12)


def test_profit_and_tax_are_all_that_is_left_of_output(belt: Model) -> None:
    """Output = goods and returns + fees + fixed cost + brand investment + tax + profit."""
    run = belt.simulate({"Threshold Final Multiplier": 1.2, "Fee Final Multiplier": 1.5})
    goods = (run["tier revenue"] * (1 - run["gross rate"])).sum("Tier")
    spent = run["fixed cost"].sum("Tier") + run["brand investment"] + run["platform fees"]
    left = run["profit"] + run["income tax"]
    total = (goods + spent + left).transpose(*run["output"].dims)
    np.testing.assert_allclose(total, run["output"], rtol=1e-9)
    assert float(run["income tax"].min()) >= 0


@pytest.mark.parametrize("name", ["base", "brands x 10", "fees x 100", "advertising x 1000"])
def test_brand_spending_and_fees_stay_within_the_gross_margin(
    base: xr.Dataset, extremes: dict[str, xr.Dataset], name: str
) -> None:
    # Ten times the brand investment once gave a profit of -127 % of sales, and 233 % more output.
    run = base if name == "base" else extremes[name]
    room = run["gross rate"] - run["fee rate"] - run["tier brand investment"] / run["tier revenue"]
    assert float(room.min()) > 0
    assert nation(run, 2035) < 1.2 * nation(base, 2035)


def test_no_duty_costs_more_than_its_market(belt: Model, base: xr.Dataset) -> None:
    # A duty of ten times the price once took 97 % of all output by 2030.
    share = base["us share of exports"]
    for duty in (0.3, 1.0, 10.0, 100.0):
        run = belt.simulate({"Tariff Add[United States]": duty})
        lost = 1 - run["national output"] / base["national output"]
        assert float((lost - share.sel(time=2025.0)).max()) < 0
        gained = run["market exports"] - base["market exports"]
        # Part of what the US loses is sold in the other markets in the first years.
        assert float(gained.sel(time=2028.0, Market="Europe")) > 0


def test_a_tier_without_profit_shrinks(extremes: dict[str, xr.Dataset]) -> None:
    run = extremes["no access"]
    losing = run["tier profit"] < 0
    assert bool(losing.any())
    assert float(run["seller change"].where(losing).max()) <= 0


@pytest.mark.parametrize("lever", LEVERS)
@pytest.mark.parametrize("times", [0.0, 0.1, 10.0, 100.0])
def test_output_is_finite_at_any_size_of_a_lever(belt: Model, lever: str, times: float) -> None:
    run = belt.simulate({lever: times}, outputs=["output"])  # which refuses what is not finite
    assert float(run["output"].min()) >= 0


def test_brands_keep_about_what_is_published_of_their_sales(base: xr.Dataset) -> None:
    """12.4% of exports in 2013 (own-brand exporters); 6.8% in 2019, 5.9% in 2024 (listed)."""
    brands = base["tier profit"].sel(Tier="Brand").sum("Belt")
    kept = brands / base["brand revenue"].sum("Belt")
    published = xr.DataArray([0.124, 0.068, 0.059], {"time": [2013.0, 2019.0, 2024.0]}, "time")
    # The standard deviation between listed firms is 5 points in 2024: half of that is as good as it
    # gets.
    assert float(abs(kept - published).max()) < 0.025
