"""Tables of a backtest: paired tests against known numbers, and verdicts."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, ttest_1samp
from scipy.stats import t as student

from beltcast.errors import InputError
from beltcast.verification.paired import diebold_mariano, holm, paired_skill
from beltcast.verification.scores import COVERAGE_LEVELS
from beltcast.verification.skill import (
    FEWEST_YEARS,
    case_scores,
    common_cases,
    coverage_table,
    error_table,
    pit_counts,
    place_years,
    score_table,
    skill_table,
    theil_table,
    worst_misses,
)

ORIGINS = (2020.5, 2021.5, 2022.5, 2023.5)
PLACES = ("China", "Shenzhen", "Henan", "Ningbo", "Yiwu")


def backtest(
    errors: dict[str, tuple[float, float]],
    draws: int = 300,
    origins: tuple[float, ...] = ORIGINS,
) -> xr.Dataset:
    """Make a backtest whose forecasters are lognormal with a bias and a standard deviation in logs.

    The truth of a place and year is one number; leads 1 to 2.
    """
    rng = np.random.default_rng(4)
    truth = {(p, y): np.exp(rng.normal(0, 0.2)) for p in PLACES for y in range(2009, 2026)}
    cases = [(o, lead, p) for o in origins for lead in (1, 2) for p in PLACES]
    years = [int(o) - 1 + lead for o, lead, _ in cases]
    size = np.array([100.0 if p == "China" else 1.0 for *_, p in cases])
    forecast = np.stack(
        [
            np.exp(bias + sd * rng.standard_normal((len(cases), draws))) * size[:, None]
            for bias, sd in errors.values()
        ],
        axis=1,
    )
    observed = [truth[p, y] * s for (*_, p), y, s in zip(cases, years, size, strict=True)]
    return xr.Dataset(
        {
            "forecast": (("case", "forecaster", "draw"), forecast.astype(np.float32)),
            "observed": ("case", observed),
        },
        {
            "forecaster": list(errors),
            "origin": ("case", [o for o, *_ in cases]),
            "lead": ("case", [lead for _, lead, _ in cases]),
            "year": ("case", years),
            "printed": ("case", [year + 1.2 for year in years]),
            "place": ("case", [p for *_, p in cases]),
            "definition": ("case", ["gacc"] * len(cases)),
            "quantity": ("case", ["trade"] * len(cases)),
            "last": ("case", size),
            "scale": ("case", 0.1 * size),
        },
        {"whole": "China"},
    )


GOOD, BIASED, WIDE = (0.0, 0.2), (0.6, 0.2), (0.0, 1.5)
THREE = {"good": GOOD, "biased": BIASED, "wide": WIDE}


@pytest.fixture(scope="module")
def three() -> xr.Dataset:
    return backtest(THREE)


@settings(max_examples=30)
@given(st.lists(st.floats(-3, 3), min_size=3, max_size=20).filter(lambda d: np.std(d) > 1e-3))
def test_one_period_ahead_the_corrected_test_is_students(d: list[float]) -> None:
    # With h = 1 the correction (T - 1) / T turns the divisor T of the variance into T - 1.
    test, oracle = diebold_mariano(np.array(d)), ttest_1samp(d, 0.0)
    assert test.statistic == pytest.approx(oracle.statistic, rel=1e-9)
    assert test.p == pytest.approx(oracle.pvalue, rel=1e-7)


def test_two_periods_ahead_the_corrected_test_is_as_computed_by_hand() -> None:
    # d = 1, 2, 4, 5: mean 3, deviations -2, -1, 1, 2; g0 = 10/4, g1 = (2 - 1 + 2)/4 = 3/4;
    # V = (2.5 + 1.5)/4 = 1; DM = 3; correction (4 + 1 - 4 + 2/4)/4 = 3/8.
    test = diebold_mariano(np.array([1.0, 2.0, 4.0, 5.0]), lead=2)
    assert test.statistic == pytest.approx(3.0 * np.sqrt(3.0 / 8.0))


def test_a_sum_of_covariances_below_zero_is_left_out() -> None:
    # d = 3, 0, 3, 0: deviations +-1.5, g0 = 2.25, g1 = -3 * 2.25 / 4; g0 + 2 g1 < 0; so V = g0 / 4.
    test = diebold_mariano(np.array([3.0, 0.0, 3.0, 0.0]), lead=2)
    assert test.statistic == pytest.approx(1.5 / 0.75 * np.sqrt(3.0 / 8.0))


@pytest.mark.parametrize(("d", "lead"), [([1.0, 2.0], 2), ([0.5, 0.5, 0.5], 1), ([], 1)])
def test_too_little_to_test_is_no_number(d: list[float], lead: int) -> None:
    assert np.isnan(diebold_mariano(np.array(d), lead).p)


def test_copies_of_a_case_within_its_cluster_change_nothing() -> None:
    own, other = np.array([1.0, 3.0, 2.0, 0.5]), np.array([2.0, 2.5, 2.0, 1.0])
    years, places = [2019, 2020, 2021, 2022], list("abab")
    once = paired_skill(own, other, years, places)
    thrice = paired_skill(np.tile(own, 3), np.tile(other, 3), years * 3, places * 3)
    np.testing.assert_allclose(
        [once.skill, once.low, once.high, once.p], [thrice.skill, thrice.low, thrice.high, thrice.p]
    )


def test_one_place_over_independent_years_is_students_test_of_the_linearised_ratio() -> None:
    own, other = np.array([1.0, 3.0, 2.0, 0.5, 1.7]), np.array([2.0, 2.5, 2.0, 1.0, 1.1])
    found = paired_skill(own, other, list(range(5)), ["a"] * 5)
    ratio = own.sum() / other.sum()
    # u has mean 0, so the sum over clusters of u^2 times G / (G - 1) is G times its variance.
    error = np.sqrt(5 * np.var(own - ratio * other, ddof=1)) / own.sum()
    assert found.p == pytest.approx(2 * student.sf(abs(np.log(ratio)) / error, 4))
    assert np.log((1 - found.low) / ratio) == pytest.approx(student.ppf(0.975, 4) * error)


def test_losses_that_differ_by_rounding_alone_have_no_interval() -> None:
    loss = np.array([0.1, 0.2, 0.3])
    found = paired_skill(loss, 3 * loss / 3, [1, 2, 3], ["a", "b", "c"])
    assert abs(found.skill) < 1e-15
    assert np.isnan(found.p)


def test_holm_is_as_computed_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, np.nan])[:3].tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(holm([np.nan])[0])


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("places", [1, 3, 10])
def test_equal_forecasters_are_called_better_or_worse_in_about_one_run_of_twenty(
    shared: float, places: int
) -> None:
    """Errors of a year are shared by its places; 1,000 runs, so two standard errors are 0.014.

    Student's quantile is no exact one for clusters, so up to 0.08 is accepted; drawing targets
    with replacement, as before, gave 0.67 with ten places and six years.
    """
    rng, runs, years = np.random.default_rng(5), 1000, FEWEST_YEARS
    year, place = np.repeat(np.arange(years), places), np.tile(np.arange(places), years)
    false = 0
    for _ in range(runs):
        common = rng.normal(size=(2, years))[:, year]
        own = rng.normal(size=(2, years * places))
        one, two = np.abs(np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
        false += paired_skill(one, two, year.tolist(), place.astype(str).tolist()).p < 0.05
    assert false / runs < 0.08


def test_the_best_stands_first_and_all_on_the_same_cases(three: xr.Dataset) -> None:
    table = score_table(case_scores(three))
    assert table["forecaster"].iloc[0] == "good"
    assert set(table["cases"]) == {40}
    silent = three.copy(deep=True)
    silent["forecast"][:7, 1] = np.nan
    assert set(score_table(case_scores(silent))["cases"]) == {33}
    two = common_cases(case_scores(silent), ["wide", "good"])
    assert set(score_table(two)["cases"]) == {40}


def test_scores_of_logs_do_not_change_with_the_unit(three: xr.Dataset) -> None:
    other = three.assign(forecast=three["forecast"] * 8.0, observed=three["observed"] * 8.0)
    one, two = (score_table(case_scores(d)).set_index("forecaster") for d in (three, other))
    np.testing.assert_allclose(one["log_crps"], two["log_crps"], rtol=1e-6)
    np.testing.assert_allclose(8.0 * one["crps"], two["crps"], rtol=1e-6)


LONG = tuple(2010.5 + k for k in range(14))


def test_better_and_worse_are_given_where_the_years_suffice() -> None:
    scores = case_scores(backtest(THREE, origins=LONG))
    table = skill_table(scores, "good")
    assert set(table["verdict"]) == {"better"}
    assert (table["low"] > 0).all()
    assert set(table["targets"]) == {len(PLACES) * 15}
    assert set(table["years"]) == {15}
    assert (table["p_adjusted"] >= table["p"]).all()
    back = skill_table(scores, "biased", against=["good"])
    assert back["verdict"].tolist() == ["worse"]


def test_a_twin_is_not_told_apart() -> None:
    twins = case_scores(backtest({"one": GOOD, "two": GOOD}, origins=LONG))
    assert skill_table(twins, "one")["verdict"].tolist() == ["not told apart"]


def test_the_same_losses_are_not_told_apart() -> None:
    scores = case_scores(backtest({"one": GOOD, "two": WIDE}, origins=LONG))
    scores["log_crps"][:, 1] = scores["log_crps"][:, 0]
    table = skill_table(scores, "one")
    assert table["verdict"].tolist() == ["not told apart"]
    assert table["p"].isna().all()


def test_years_below_the_least_number_get_no_verdict() -> None:
    scores = case_scores(backtest(THREE, origins=LONG))
    for years, verdict in ((FEWEST_YEARS - 1, "too few years"), (FEWEST_YEARS, "better")):
        few = scores.isel(case=scores["year"].values < 2010 + years)
        assert set(skill_table(few, "good")["verdict"]) == {verdict}


def test_leads_below_a_year_are_compared() -> None:
    scores = case_scores(backtest(THREE, origins=LONG))
    part = scores.assign_coords(lead=("case", np.full(scores.sizes["case"], 0.5)))
    assert set(skill_table(part, "good")["verdict"]) == {"better"}


def test_tables_split_by_lead_and_scope(three: xr.Dataset) -> None:
    scores = case_scores(three)
    assert set(score_table(scores, by="lead")["lead"]) == {1, 2}
    cases = score_table(scores, by="scope").groupby("scope")["cases"].first()
    assert cases.to_dict() == {"parts": 32, "whole": 8}
    split = skill_table(scores, "good", by="lead")
    assert len(split) == 4


def test_all_cases_of_a_place_and_year_are_one_event(three: xr.Dataset) -> None:
    scores = case_scores(three)
    events = place_years(scores)
    cells = sorted(set(zip(scores["place"].values, scores["year"].values, strict=True)))
    found = sorted(zip(events["place"].values, events["year"].values, strict=True))
    assert found == cells
    assert int(events["count"].sum()) == scores.sizes["case"]
    own = (scores["place"].values == "Henan") & (scores["year"].values == 2021)
    assert own.sum() == 2
    (at,) = np.flatnonzero((events["place"].values == "Henan") & (events["year"].values == 2021))
    np.testing.assert_allclose(
        events["log_crps"].values[at], scores["log_crps"].values[own].mean(axis=0)
    )
    assert set(events["scope"].values) == {"whole", "parts"}


def test_a_place_may_count_as_one_event_with_all_its_years(three: xr.Dataset) -> None:
    scores = case_scores(three)
    once = place_years(scores, once=["Henan"])
    own = scores["place"].values == "Henan"
    (at,) = np.flatnonzero(once["place"].values == "Henan")
    assert int(once["count"][at]) == own.sum()
    np.testing.assert_allclose(
        once["log_error"].values[at], scores["log_error"].values[own].mean(axis=0)
    )


def test_the_log_error_is_the_side_of_the_median(three: xr.Dataset) -> None:
    scores = case_scores(three)
    biased = scores.sel(forecaster="biased")
    want = np.log(biased["median"].values / biased["observed"].values)
    np.testing.assert_allclose(biased["log_error"].values, want, rtol=1e-12)


def test_coverage_is_counted_with_its_interval() -> None:
    scores = case_scores(backtest({"good": GOOD, "wide": WIDE}))
    table = coverage_table(scores)
    wide = table[table["forecaster"] == "wide"].set_index("level")
    assert wide.loc[0.9, "hits"] == 40
    assert wide.loc[0.9, "low"] == pytest.approx(0.025 ** (1 / 40))  # no miss: closed form
    good = table[table["forecaster"] == "good"].set_index("level")
    assert list(good.index) == list(COVERAGE_LEVELS)
    # The forecaster is lognormal: a central interval is 0.2 times a normal quantile either side,
    # and 300 draws move its ends by a few per cent at most.
    logs = np.abs(np.log(scores["observed"] / scores["last"])).values
    for level, hits in good["hits"].items():
        end = 0.2 * norm.ppf(0.5 + level / 2)
        assert (logs < 0.85 * end).sum() <= hits <= (logs < 1.15 * end).sum()


def test_pits_are_counted_in_every_bin(three: xr.Dataset) -> None:
    counts = pit_counts(case_scores(three), bins=5)
    assert counts.sum(axis=1).tolist() == [40, 40, 40]
    assert counts.loc["biased"].iloc[0] > 20  # observations lie below a forecast that is too high


def test_theil_calls_a_bias_a_bias(three: xr.Dataset) -> None:
    table = theil_table(case_scores(three)).set_index("forecaster")
    assert table.loc["biased", "bias"] > 0.8
    assert table.loc["good", "bias"] < 0.2


def test_the_worst_miss_is_the_one_that_was_made(three: xr.Dataset) -> None:
    spoilt = three.copy(deep=True)
    spoilt["observed"][13] = 50.0 * spoilt["observed"][13]
    worst = worst_misses(case_scores(spoilt), "good", most=3)
    first = worst.iloc[0]
    assert (first["origin"], first["place"]) == (
        float(spoilt["origin"][13]),
        str(spoilt["place"][13].values),
    )
    assert first["ratio"] > 20


def test_what_is_missing_is_named(three: xr.Dataset) -> None:
    with pytest.raises(InputError, match="the backtest has no scale"):
        case_scores(three.drop_vars("scale"))
    scores = case_scores(three)
    with pytest.raises(InputError, match="no forecaster is called 'god'; did you mean 'good'"):
        skill_table(scores, "god")
    with pytest.raises(InputError, match="expected a loss that cannot be negative"):
        skill_table(scores, "good", score="log_score")
    with pytest.raises(InputError, match="no coordinate 'led'; did you mean 'lead'"):
        score_table(scores, by="led")


def test_errors_are_split_into_a_side_and_a_standard_deviation() -> None:
    made = backtest({"high": (0.3, 0.1)})
    scores = case_scores(made)
    table = error_table(scores, "high", by="origin")
    assert table["origin"].tolist() == list(ORIGINS)
    for row in table.to_dict("records"):
        own = scores.isel(case=scores["origin"].values == row["origin"]).sel(forecaster="high")
        rest = np.log(own["median"].values / own["observed"].values)
        assert row["bias"] == pytest.approx(rest.mean())
        # Squared error is squared bias and variance.
        assert row["bias"] ** 2 + row["sd"] ** 2 == pytest.approx((rest**2).mean())
        assert row["error"] == pytest.approx(np.abs(rest).mean())
    whole = error_table(scores, "high").iloc[0]
    assert whole["cases"] == table["cases"].sum()
    # Draws of sd 0.1: an 80 % band is 2 1.2816 0.1 wide, 300 draws give each end 0.01.
    assert whole["band"] == pytest.approx(0.2563, abs=0.02)
