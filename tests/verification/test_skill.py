"""Tables of a backtest: paired tests against known numbers, and verdicts."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, ttest_1samp
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


def uneven() -> xr.Dataset:
    """Cases of unequal numbers of years and places, draws of which some are silent or below 0."""
    rng = np.random.default_rng(9)
    cases = [(o, lead, p) for o in (2020.5, 2021.5) for lead in (1, 2, 3) for p in PLACES[:3]][:-2]
    size = np.array([100.0 if p == "China" else 1.0 + len(p) for *_, p in cases])
    forecast = size[:, None, None] * np.exp(0.3 * rng.standard_normal((len(cases), 3, 7)))
    forecast[3, 1] = np.nan  # one forecaster is silent
    forecast[5, 2, 0] *= -1.0  # a draw without a log
    observed = size * np.exp(0.4 * rng.standard_normal(len(cases)))
    along = {
        "origin": [o for o, *_ in cases],
        "lead": [lead for _, lead, _ in cases],
        "year": [int(o) - 1 + lead for o, lead, _ in cases],
        "place": [p for *_, p in cases],
        "definition": ["gacc"] * len(cases),
        "quantity": ["trade"] * len(cases),
        "scale": np.where(np.arange(len(cases)) == 7, np.nan, 0.1 * size),
    }
    return xr.Dataset(
        {"forecast": (("case", "forecaster", "draw"), forecast), "observed": ("case", observed)},
        {"forecaster": list("abc"), **{name: ("case", values) for name, values in along.items()}},
        {"whole": "China"},
    )


def by_hand(x: np.ndarray, y: float, scale: float) -> dict[str, float]:
    """Scores of one case from its draws, by their definitions."""
    m = len(x)
    logs = np.log(np.where(x > 0, x, np.nan))

    def crps(draws: np.ndarray, truth: float) -> float:
        apart = np.abs(draws[:, None] - draws[None, :]).sum() / (2 * m * (m - 1))
        return float(np.abs(draws - truth).mean() - apart)

    median = np.median(x)
    found = {
        "log_crps": crps(logs, np.log(y)),
        "crps": crps(x, y),
        "absolute_error": abs(median - y),
        "scaled_error": abs(median - y) / scale,
        "pit": (np.sum(x < y) + 0.5) / (m + 1),
        "p10": np.quantile(x, 0.1),
        "median": median,
        "p90": np.quantile(x, 0.9),
        "log_error": np.log(median / y),
    }
    return {name: float(value) for name, value in found.items()}


def test_every_score_of_a_case_is_that_of_its_own_draws() -> None:
    made = uneven()
    scores = case_scores(made)
    for i in range(made.sizes["case"]):
        for k, name in enumerate(made["forecaster"].values):
            x, y = made["forecast"].values[i, k], float(made["observed"][i])
            cell = scores.isel(case=i).sel(forecaster=name)
            silent = np.isnan(x).any()
            expected = by_hand(x, y, float(made["scale"][i]))
            for score, value in expected.items():
                want = np.nan if silent else value
                assert float(cell[score]) == pytest.approx(want, rel=1e-9, nan_ok=True), score
            for level in COVERAGE_LEVELS:
                low, high = np.quantile(x, [0.5 - level / 2, 0.5 + level / 2])
                inside = np.nan if silent else float(low <= y <= high)
                found = float(cell["covered"].sel(level=level))
                assert found == pytest.approx(inside, nan_ok=True)
        scope = "whole" if made["place"].values[i] == "China" else "parts"
        assert scores["scope"].values[i] == scope
        assert float(scores["observed"][i]) == float(made["observed"][i])


def test_every_cell_of_the_table_of_scores_is_a_mean_over_common_cases() -> None:
    """Split by lead, so that the number of cases differs from row to row."""
    made = uneven()
    scores = case_scores(made)
    answered = np.isfinite(scores["log_crps"].values).all(axis=1)
    assert answered.sum() == made.sizes["case"] - 2
    columns = {
        "log_crps": "log_crps",
        "log_score": "log_score",
        "crps": "crps",
        "mae": "absolute_error",
        "mase": "scaled_error",
    }
    for by in (None, "lead", "place"):
        table = score_table(scores, by=by)
        groups = [None] if by is None else list(np.unique(made[by].values))
        assert len(table) == 3 * len(groups)
        for group in groups:
            own = answered if by is None else answered & (made[by].values == group)
            rows = table if by is None else table[table[by] == group]
            assert rows["log_crps"].is_monotonic_increasing
            for row in rows.to_dict("records"):
                of = scores.sel(forecaster=row["forecaster"])
                assert row["cases"] == own.sum()
                for column, score in columns.items():
                    assert row[column] == pytest.approx(np.nanmean(of[score].values[own]))
                inside = of["covered"].sel(level=0.8).values[own]
                assert row["covered_80"] == pytest.approx(inside.mean())


def test_every_cell_of_the_comparison_is_of_the_cases_that_both_answer() -> None:
    made = uneven()
    scores = case_scores(made)
    table = skill_table(scores, "a", by="lead", score="crps")
    assert len(table) == 6
    for row in table.to_dict("records"):
        own = scores.isel(case=scores["lead"].values == row["lead"])
        one, two = (own["crps"].sel(forecaster=n).values for n in ("a", row["against"]))
        both = np.isfinite(one) & np.isfinite(two)
        years, places = own["year"].values[both], own["place"].values[both]
        assert row["cases"] == both.sum()
        assert row["targets"] == len({*zip(places, years, strict=True)})
        assert row["years"] == len({*years})
        assert row["own"] == pytest.approx(one[both].mean())
        assert row["other"] == pytest.approx(two[both].mean())
        found = paired_skill(one[both], two[both], years, places)
        cells = (row["skill"], row["low"], row["high"], row["p"])
        assert cells == pytest.approx((found.skill, found.low, found.high, found.p), nan_ok=True)
        origins = own["origin"].values[both]
        means = [(one - two)[both][origins == o].mean() for o in sorted({*origins})]
        test = diebold_mariano(np.array(means), lead=int(row["lead"]))
        assert (row["dm"], row["dm_p"]) == pytest.approx((test.statistic, test.p), nan_ok=True)
        assert row["verdict"] == "too few years"
    for lead in (1, 2, 3):
        rows = table[table["lead"] == lead]
        np.testing.assert_allclose(rows["p_adjusted"], holm(rows["p"].tolist()))
        assert rows["skill"].is_monotonic_increasing


def test_counts_of_coverage_and_pits_leave_out_what_is_not_known() -> None:
    scores = case_scores(uneven())
    table = coverage_table(scores, by="lead")
    for row in table.to_dict("records"):
        own = scores.isel(case=scores["lead"].values == row["lead"])
        inside = own["covered"].sel(forecaster=row["forecaster"], level=row["level"]).values
        known = inside[np.isfinite(inside)]
        assert (row["hits"], row["cases"]) == (known.sum(), len(known))
        assert row["share"] == pytest.approx(known.mean())
        interval = binomtest(int(known.sum()), len(known)).proportion_ci(0.95, method="exact")
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
    counts = pit_counts(scores, bins=4)
    assert list(counts.columns) == [0.25, 0.5, 0.75, 1.0]
    pits = scores["pit"].sel(forecaster="b").values
    pits = pits[np.isfinite(pits)]
    assert len(pits) == scores.sizes["case"] - 1
    assert counts.loc["b"].tolist() == np.histogram(pits, np.linspace(0, 1, 5))[0].tolist()


def test_the_worst_misses_are_ordered_by_their_loss_with_all_their_cells() -> None:
    scores = case_scores(uneven())
    found = worst_misses(scores, "c", most=4)
    order = np.argsort(-np.nan_to_num(scores["log_crps"].sel(forecaster="c").values), kind="stable")
    for row, i in zip(found.to_dict("records"), order[:4], strict=True):
        case = scores.isel(case=int(i)).sel(forecaster="c")
        for name in ("origin", "lead", "year", "observed", "p10", "median", "p90", "log_crps"):
            assert row[name] == pytest.approx(float(case[name]))
        assert row["place"] == str(case["place"].values)
        assert row["ratio"] == pytest.approx(float(case["observed"] / case["median"]))


def test_an_event_has_its_first_year_its_scope_and_no_score_where_one_is_missing() -> None:
    scores = case_scores(uneven())
    events = place_years(scores, once=["China"])
    nation = events.isel(case=events["place"].values == "China")
    assert nation.sizes["case"] == 1
    assert (int(nation["year"][0]), str(nation["scope"].values[0])) == (2020, "whole")
    assert int(nation["count"][0]) == int((scores["place"].values == "China").sum())
    for i in range(events.sizes["case"]):
        place, year = str(events["place"].values[i]), int(events["year"][i])
        own = scores["place"].values == place
        if place != "China":
            own &= scores["year"].values == year
        expected = scores["crps"].values[own].mean(axis=0)  # NaN where one of them is NaN
        np.testing.assert_allclose(events["crps"].values[i], expected)
    assert np.isnan(events["crps"].values).any()


@pytest.mark.parametrize("places", [4, 5, 6])
def test_two_way_clusters_add_what_places_share_from_five_places_on(places: int) -> None:
    """The variance by a double sum over pairs of cases of one year, one place, or one of both."""
    rng = np.random.default_rng(2)
    years = np.repeat(np.arange(8), places)
    names = np.tile([f"p{k}" for k in range(places)], 8)
    common = rng.uniform(0.0, 1.0, places)[np.tile(np.arange(places), 8)]
    own, other = common + rng.uniform(0.0, 0.2, len(years)), rng.uniform(0.5, 0.7, len(years))
    found = paired_skill(own, other, years, names)
    ratio = own.sum() / other.sum()
    u = (own - ratio * other) / other.sum()

    def variance(labels: np.ndarray) -> float:
        same = labels[:, None] == labels[None, :]
        count = len(np.unique(labels))
        return float(u @ same @ u) * count / (count - 1)

    of_years, of_places = variance(years), variance(names)
    of_cells = variance(np.array([f"{y} {p}" for y, p in zip(years, names, strict=True)]))
    assert of_places > of_cells
    two_way = places >= 5
    total = max(of_years, of_years + of_places - of_cells) if two_way else max(of_years, of_cells)
    clusters = min(8, places) if two_way else 8
    error = np.sqrt(total) / ratio
    reach = np.exp(student.ppf(0.975, clusters - 1) * error)
    assert found.low == pytest.approx(1 - ratio * reach)
    assert found.high == pytest.approx(1 - ratio / reach)
    assert found.p == pytest.approx(2 * student.sf(abs(np.log(ratio)) / error, clusters - 1))
    assert (found.years, found.places) == (8, places)


def test_holm_s_factors_fall_by_one_and_what_was_not_tested_does_not_count() -> None:
    """Of 0.01, 0.02 and 0.04: 3 x 0.01, 2 x 0.02, 1 x 0.04, never falling and at most 1."""
    given = [0.04, np.nan, 0.01, 0.02]
    np.testing.assert_allclose(holm(given), [0.04, np.nan, 0.03, 0.04])
    np.testing.assert_allclose(holm([0.9, 0.8, np.nan]), [1.0, 1.0, np.nan])
