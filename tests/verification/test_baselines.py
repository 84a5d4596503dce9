"""Forecasters of one series: moments in closed form, calibration, gaps and units."""

from __future__ import annotations

import importlib
import types
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from scipy.stats import t as student

from beltcast.errors import InputError, MissingExtra
from beltcast.verification.baselines import statsforecast_models
from beltcast.verification.baselines.baselines import BASELINES
from beltcast.verification.baselines.growth_curves import _about, logistic
from beltcast.verification.baselines.history import (
    DEFAULT_SD,
    GROWTH_SPREAD,
    LENT,
    History,
    Request,
    about_drift,
    about_last,
    change_variance,
    mean_growth,
    panel_rate,
)
from beltcast.verification.baselines.random_walks import DAMPING, FLOOR
from beltcast.verification.baselines.statsforecast_models import Automatic, _filled

NOTHING: list[History] = []


def series(years: list[int], values: list[float], sd: float = 0.05) -> History:
    return History(np.array(years), np.array(values, dtype=np.float64), np.full(len(years), sd))


def draw(
    name: str, history: History, years: list[int], panel: list[History] = NOTHING, size: int = 4000
) -> np.ndarray:
    rng = np.random.default_rng(7)
    return BASELINES[name](Request(history, np.array(years), panel, size), rng=rng)


LONG = series([2012, 2013, 2015, 2016, 2018, 2019, 2022], [100, 131, 150, 210, 230, 300, 480])
SHORT = series([2020, 2022], [80, 100])
SINGLE = series([2021], [50])
PANEL = [
    LONG,
    series([2018, 2019, 2020, 2022], [10, 13, 14, 20]),
    series([2019, 2020, 2021, 2022], [1000, 1100, 1300, 1400]),
    series([2020, 2021], [5, 6]),
    SINGLE,
]


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("history", [LONG, SHORT, SINGLE], ids=["long", "short", "single"])
@pytest.mark.parametrize("panel", [NOTHING, PANEL], ids=["alone", "panel"])
def test_every_baseline_answers_every_history(
    name: str, history: History, panel: list[History]
) -> None:
    draws = draw(name, history, [2023, 2024, 2026], panel, size=101)
    assert draws.shape == (101, 3)
    assert np.isfinite(draws).all()
    assert (draws > 0).all()
    np.testing.assert_array_equal(draws, draw(name, history, [2023, 2024, 2026], panel, size=101))


@pytest.mark.parametrize("name", BASELINES)
def test_uncertainty_grows_with_the_lead(name: str) -> None:
    sds = np.log(draw(name, LONG, [2023, 2024, 2025, 2026], PANEL)).std(axis=0)
    assert (np.diff(sds) > 0).all()


def test_persistence_is_a_t_with_a_degree_for_each_change() -> None:
    h = np.array([1.0, 4.0])
    s = np.sqrt((LONG.changes**2 / LONG.gaps).mean())
    z = np.log(draw("persistence", LONG, [2023, 2026], size=20_000) / 480)
    for k in range(2):
        law = student(len(LONG.gaps), scale=s * np.sqrt(h[k]))
        assert kstest(z[:, k], law.cdf).pvalue > 0.001


def test_log_drift_is_a_t_that_holds_the_error_of_the_drift() -> None:
    # Seven observations, six changes, one drift: five degrees of freedom.
    g = np.log(4.8) / 10
    rest = LONG.changes - g * LONG.gaps
    s = np.sqrt((rest**2 / LONG.gaps).sum() / 5)
    z = np.log(draw("log drift", LONG, [2023, 2026], size=20_000) / 480)
    for k, h in enumerate((1.0, 4.0)):
        law = student(5, loc=g * h, scale=s * np.sqrt(h + h**2 / 10))
        assert kstest(z[:, k], law.cdf).pvalue > 0.001


def test_damped_drift_is_the_t_of_log_drift_with_growth_that_fades() -> None:
    g, f = np.log(4.8) / 10, DAMPING
    rest = LONG.changes - g * LONG.gaps
    s = np.sqrt((rest**2 / LONG.gaps).sum() / 5)
    z = np.log(draw("damped drift", LONG, [2023, 2026], size=20_000) / 480)
    for k, (h, left) in enumerate(((1.0, f), (4.0, f + f**2 + f**3 + f**4))):
        law = student(5, loc=g * left, scale=s * np.sqrt(h + left**2 / 10))
        assert kstest(z[:, k], law.cdf).pvalue > 0.001


def test_one_observation_damps_the_growth_of_the_panel() -> None:
    z = np.log(draw("damped drift", SINGLE, [2022, 2023], PANEL, size=20_000) / 50)
    expected = panel_rate(PANEL).mean * np.array([DAMPING, DAMPING + DAMPING**2])
    np.testing.assert_allclose(np.median(z, axis=0), expected, atol=0.012)


def test_drift_rises_by_the_mean_amount() -> None:
    line = series(list(range(2014, 2024)), [100 + 10 * k + (-1) ** k for k in range(10)])
    middle = np.median(draw("drift", line, [2024, 2027]), axis=0)
    np.testing.assert_allclose(middle, [189 + 88 / 9, 189 + 4 * 88 / 9], rtol=2e-3)


def test_drift_stays_above_its_floor() -> None:
    falling = series([2018, 2019, 2020, 2021, 2022], [100, 80, 75, 40, 30])
    assert draw("drift", falling, [2023, 2026]).min() > FLOOR * 30


def test_the_damped_trend_fades_by_its_factor() -> None:
    steady = series(list(range(2010, 2020)), [100 * 1.2**k for k in range(10)])
    jittered = History(steady.years, steady.values * 1.001 ** np.tile([1, -1], 5), steady.sds)
    growth = np.log(np.median(draw("damped trend", jittered, [2020, 2021, 2022]), axis=0))
    steps = np.diff(growth)
    assert steps[1] / steps[0] == pytest.approx(DAMPING, rel=5e-3)


def test_one_observation_grows_as_the_panel_does() -> None:
    rate = panel_rate(PANEL)
    for name in ("log drift", "panel growth", "Bass", "logistic"):
        z = np.log(draw(name, SINGLE, [2022], PANEL, size=20_000) / 50)
        assert np.median(z) == pytest.approx(rate.mean, abs=0.006)


def test_a_panel_lends_its_standard_deviation_by_the_conjugate_rule() -> None:
    own, df = about_drift(LONG)
    found = [about_drift(one) for one in PANEL[1:]]
    lent = sum(s for s, _ in found) / sum(n for _, n in found)
    variance, total = change_variance(LONG, PANEL, about_drift)
    assert total == LENT + df
    assert variance == pytest.approx((LENT * lent + own) / (LENT + df))
    assert change_variance(SHORT, NOTHING, about_drift) == (pytest.approx(DEFAULT_SD**2), LENT)


def test_the_growth_of_a_panel_is_dersimonian_and_lairds_and_the_default() -> None:
    # Equal spans, so equal weights: the mean is the plain mean, and the variance between is the
    # variance of the rates less that of each rate.
    growth = np.array([0.02, 0.1, 0.3, 0.18])
    wiggle = np.array([0.0, 0.05, 0.0])
    panel = [series([2020, 2021, 2022], list(np.exp(g * np.arange(3) + wiggle))) for g in growth]
    variance = 0.05**2 * 2  # of one year, about the drift: changes of +-0.05, one degree each
    rate = panel_rate(panel)
    assert rate.mean == pytest.approx(0.15)
    found = growth.var(ddof=1) - variance / 2
    between = (LENT * GROWTH_SPREAD**2 + 3 * found) / (LENT + 3)
    assert rate.sd**2 == pytest.approx(between + (between + variance / 2) / 4)


@pytest.mark.parametrize(
    ("name", "growth"), [("persistence", 0.0), ("log drift", 0.15), ("drift", None)]
)
def test_intervals_cover_as_often_as_they_say(name: str, growth: float | None) -> None:
    # Random walks of eight observations over eleven years, two to four years ahead. 1000 series:
    # three and a half standard errors of a share of 0.8 are 0.044.
    rng = np.random.default_rng(11)
    years = np.array([2010, 2011, 2013, 2014, 2015, 2018, 2019, 2020])
    hits = 0
    for _ in range(1000):
        walk = np.cumsum(0.1 * rng.standard_normal(15))
        if growth is None:
            path = 20.0 + 0.5 * np.arange(15) + 5 * walk
        else:
            path = np.exp(growth * np.arange(15) + walk)
        history = History(years, path[years - 2010], np.full(8, 0.05))
        ahead = np.array([2022 + int(rng.integers(3))])
        draws = BASELINES[name](Request(history, ahead, size=400), rng=rng)
        low, high = np.quantile(draws, [0.1, 0.9])
        hits += low < path[ahead[0] - 2010] < high
    assert abs(hits / 1000 - 0.8) < 0.044


def test_a_panel_of_walks_calibrates_series_of_three_observations() -> None:
    # Panels of twenty walks of one sd, whose growth differs as the default says: what they
    # lend is the truth.
    rng = np.random.default_rng(12)
    hits = 0
    for _ in range(30):
        growth = 0.1 + GROWTH_SPREAD * rng.standard_normal((20, 1))
        logs = np.cumsum(growth + 0.1 * rng.standard_normal((20, 6)), axis=1)
        years = np.arange(2018, 2021)
        panel = [History(years, np.exp(z[:3]), np.full(3, 0.05)) for z in logs]
        for z, history in zip(logs, panel, strict=True):
            asked = Request(history, np.array([2022]), panel, 400)
            draws = BASELINES["panel growth"](asked, rng=rng)
            low, high = np.quantile(np.log(draws), [0.1, 0.9])
            hits += low < z[4] < high
    # 600 targets in 30 panels: about twice the binomial error of 0.016, times three.
    assert abs(hits / 600 - 0.8) < 0.1


@pytest.mark.parametrize("name", ["persistence", "log drift", "damped trend", "panel growth"])
def test_a_missing_year_adds_nothing_but_its_length(name: str) -> None:
    # Where every change is growth times gap, observed or not, the centre is the same.
    full = series(list(range(2013, 2023)), [100 * 1.1**k for k in range(10)])
    kept = [0, 1, 4, 5, 9]
    gappy = History(full.years[kept], full.values[kept], full.sds[kept])
    whole = np.median(draw(name, full, [2023, 2025], PANEL), axis=0)
    np.testing.assert_allclose(
        np.median(draw(name, gappy, [2023, 2025], PANEL), axis=0), whole, rtol=0.01
    )


def test_the_standard_deviation_of_a_walk_does_not_depend_on_its_gaps() -> None:
    rng = np.random.default_rng(3)
    kept = np.array([0, 1, 5, 6, 9, 14])
    walks = np.cumsum(rng.standard_normal((4000, 15)), axis=1)
    found = [about_drift(History(2000 + kept, np.exp(0.1 * z[kept]), np.zeros(6))) for z in walks]
    # Mean square 0.01, four degrees each; four standard errors of the mean of 4000 are 4.5 %.
    assert np.mean([s / n for s, n in found]) == pytest.approx(0.01, rel=0.045)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(list(BASELINES)), st.floats(1e-6, 1e6), st.integers(-15, 15))
def test_units_and_the_calendar_do_not_matter(name: str, unit: float, later: int) -> None:
    def moved(one: History) -> History:
        return History(one.years + later, one.values * unit, one.sds)

    there = draw(name, moved(LONG), [2023 + later, 2025 + later], [moved(p) for p in PANEL], 50)
    np.testing.assert_allclose(there, unit * draw(name, LONG, [2023, 2025], PANEL, 50), rtol=1e-4)


def test_the_logistic_finds_the_ceiling_it_was_made_with() -> None:
    t = np.arange(2010, 2022)
    made = History(t, 900 / (1 + np.exp(-0.6 * (t - 2015.0))), np.full(12, 0.005))
    assert np.median(draw("logistic", made, [2030])) == pytest.approx(900, rel=0.04)


def test_bass_goes_on_along_the_curve_it_was_made_with() -> None:
    p, q = 0.03, 0.38

    def share(u: np.ndarray) -> np.ndarray:
        return (1 - np.exp(-(p + q) * u)) / (1 + q / p * np.exp(-(p + q) * u))

    made = History(np.arange(2010, 2020), 700 * share(np.arange(4.0, 14.0)), np.full(10, 0.005))
    expected = 700 * share(np.array([14.0, 16.0]))
    np.testing.assert_allclose(
        np.median(draw("Bass", made, [2020, 2022]), axis=0), expected, rtol=0.03
    )


def test_the_average_holds_every_part_alike() -> None:
    # Parts with their own marks: the average is a mixture, so its mean is the mean of the means.
    parts = [n for n in BASELINES if n != "average"]
    inside = [np.mean(draw(n, LONG, [2023], PANEL, 2000) > 500) for n in parts]
    pooled = np.mean(draw("average", LONG, [2023], PANEL, 20_000) > 500)
    assert pooled == pytest.approx(np.mean(inside), abs=0.015)


def test_years_are_filled_on_straight_lines_of_the_log() -> None:
    np.testing.assert_allclose(
        np.exp(_filled(series([2019, 2021, 2022], [100, 144, 150]))), [100, 120, 144, 150]
    )


def test_without_the_extra_a_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> types.ModuleType:
        if name.startswith("statsforecast"):
            raise ModuleNotFoundError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    monkeypatch.setattr("beltcast.files.extras.find_spec", lambda name: None)
    of_the_extra = {"ETS", "ARIMA", "Theta", "average"}
    for name in of_the_extra:
        with pytest.raises(MissingExtra, match=r"pip install .*\[verify\]'"):
            draw(name, SINGLE, [2023])
    for name in set(BASELINES) - of_the_extra:
        draw(name, LONG, [2023])


@pytest.mark.parametrize(
    ("years", "values", "message"),
    [
        ([2020, 2020], [1.0, 2.0], "do not ascend"),
        ([2020, 2021], [1.0, 0.0], "not above 0"),
        ([2020, 2021], [1.0], "as many of each"),
    ],
)
def test_a_history_that_is_none_is_refused(
    years: list[int], values: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        History(np.array(years), np.array(values), np.full(len(years), 0.1))


@pytest.mark.parametrize("years", [[2022], [2024, 2023], []])
def test_only_later_years_are_forecast(years: list[int]) -> None:
    with pytest.raises(InputError, match="expected ascending years after 2022"):
        draw("persistence", LONG, years)


GAPS = series([2010, 2011, 2014, 2020], [20.0, 30.0, 60.0, 90.0])


def test_squares_around_a_curve_are_per_year_of_their_gap_and_lose_two_degrees() -> None:
    """A change over g years has g times the variance of one: its square counts 1/g."""
    theta = np.array([0.3, -1.2])
    share = logistic.log_share(theta, np.array([0.0, 1.0, 4.0, 10.0]), 10.0)
    rest = np.diff(np.log(GAPS.values)) - np.diff(share)
    own = _about(logistic, theta, GAPS)
    squares, freedom = own(GAPS)
    assert squares == pytest.approx(float(rest[0] ** 2 + rest[1] ** 2 / 3 + rest[2] ** 2 / 6))
    assert freedom == 1
    assert own(LONG) == about_drift(LONG)
    # Three points have two changes, and none is left over.
    three = series([2010, 2011, 2014], [20.0, 30.0, 60.0])
    assert _about(logistic, theta, three)(three)[1] == 0


def test_squares_around_the_drift_are_per_year_of_their_gap() -> None:
    drift = np.log(90.0 / 20.0) / 10
    changes = np.log([1.5, 2.0, 1.5]) - drift * np.array([1, 3, 6])
    assert about_drift(GAPS) == (pytest.approx(float((changes**2 / [1, 3, 6]).sum())), 2)
    assert about_last(GAPS) == (
        pytest.approx(float((np.log([1.5, 2.0, 1.5]) ** 2 / [1, 3, 6]).sum())),
        3,
    )
    assert mean_growth(GAPS) == pytest.approx(drift)
    assert about_drift(SHORT) == (0.0, 0)


@pytest.mark.parametrize(
    ("variance", "steps"), [([0.04, 0.1, 0.25], [0.2, 0.06**0.5, 0.15**0.5]), ([0.0] * 3, None)]
)
def test_the_width_of_an_automatic_forecast_grows_as_its_model_says(
    monkeypatch: pytest.MonkeyPatch, variance: list[float], steps: list[float] | None
) -> None:
    """A model that fits without any error says nothing of it: then it grows as a walk's does."""
    mean = np.log([1.1, 1.2, 1.3])
    monkeypatch.setattr(statsforecast_models, "_statsforecast", lambda: SimpleNamespace(ETS=dict))
    monkeypatch.setattr(
        statsforecast_models, "_forecast", lambda model, logs, horizon: (mean, np.array(variance))
    )
    history = series(list(range(2010, 2020)), [100.0 * 1.1**k for k in range(10)])
    one = Automatic("ETS", {}, 5, BASELINES["log drift"])
    asked = Request(history, np.array([2020, 2022]), PANEL, 20_000)
    drawn = one(asked, rng=np.random.default_rng(1))
    logs = np.log(drawn / history.values[-1])
    np.testing.assert_allclose(np.median(logs, axis=0), mean[[0, 2]], atol=0.02)
    widths = (np.quantile(logs, 0.84, axis=0) - np.quantile(logs, 0.16, axis=0)) / 2
    ratio = (0.25 / 0.04) ** 0.5 if steps else 3**0.5
    assert widths[1] / widths[0] == pytest.approx(ratio, rel=0.04)
