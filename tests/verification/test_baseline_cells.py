"""Every number that a baseline puts into its draws, with chance in place of which stand ones.

Numbers that are judgements or published elsewhere are written out: 4 degrees of freedom lent, a
default sd of 0.2, a spread of growth of 0.15, the last 4 years, a damping of 0.9, a half-life of 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy import optimize

from beltcast.errors import InputError
from beltcast.verification.baselines import baselines, statsforecast_models
from beltcast.verification.baselines.baselines import BASELINES
from beltcast.verification.baselines.history import (
    History,
    Request,
    about_drift,
    about_last,
    change_variance,
    mean_growth,
    panel_rate,
)

from .test_baselines import series


class Fixed:
    """In place of a generator: normals of one value in each call, variances as expected."""

    def __init__(self, *normals: float) -> None:
        self.normals = list(normals)

    def standard_normal(self, size: Any) -> np.ndarray:
        return np.full(size, self.normals.pop(0))

    def chisquare(self, df: float, size: int) -> np.ndarray:
        return np.full(size, df)


OWN = series([2012, 2013, 2015, 2018, 2022], [100, 131, 150, 230, 480])
OTHER = series([2018, 2019, 2020, 2022], [10, 13, 14, 20])
THIRD = series([2016, 2020, 2022], [1000, 1300, 1400])
OLD = series([2010, 2012, 2014], [3, 4, 4.5])
PAIR = series([2020, 2022], [80, 100])
ONE = series([2021], [50])


def squares(one: History, drift: bool) -> tuple[float, int]:
    """Written out year by year."""
    total, count = 0.0, 0
    logs = np.log(one.values)
    rate = (logs[-1] - logs[0]) / (one.years[-1] - one.years[0]) if drift else 0.0
    for k in range(1, len(logs)):
        gap = int(one.years[k] - one.years[k - 1])
        total += (logs[k] - logs[k - 1] - rate * gap) ** 2 / gap
        count += 1
    return (total, count - 1) if drift else (total, count)


@pytest.mark.parametrize("one", [OWN, OTHER, THIRD, OLD], ids=lambda one: str(len(one.years)))
def test_squares_are_counted_per_year_of_a_gap(one: History) -> None:
    assert about_drift(one) == pytest.approx(squares(one, drift=True), rel=1e-12)
    assert about_last(one) == pytest.approx(squares(one, drift=False), rel=1e-12)
    assert about_last(PAIR) == pytest.approx((np.log(1.25) ** 2 / 2, 1), rel=1e-12)
    assert about_drift(PAIR) == about_drift(ONE) == (0.0, 0)
    assert mean_growth(PAIR) == pytest.approx(np.log(1.25) / 2, rel=1e-12)


def test_a_panel_lends_four_degrees_and_the_default_stands_in_below_three_own() -> None:
    own, other, third = (squares(one, drift=True) for one in (OWN, OTHER, THIRD))
    lent = (other[0] + third[0]) / (2 + 1)
    expected = ((4 * lent + own[0]) / (4 + 3), 7.0)
    assert change_variance(OWN, [OTHER, OWN, ONE, THIRD], about_drift) == pytest.approx(expected)
    # Three degrees of its own: none is lent.  Two, one and none: 0.2 squared.
    assert change_variance(OWN, [], about_drift) == pytest.approx((own[0] / 3, 3.0))
    assert change_variance(OWN, [OWN, ONE, PAIR], about_drift) == pytest.approx((own[0] / 3, 3.0))
    assert change_variance(OTHER, [], about_drift) == pytest.approx(
        ((4 * 0.04 + other[0]) / 6, 6.0)
    )
    assert change_variance(THIRD, [], about_drift) == pytest.approx(
        ((4 * 0.04 + third[0]) / 5, 5.0)
    )
    assert change_variance(ONE, [PAIR], about_drift) == pytest.approx((0.04, 4.0))


def rate_of(
    growth: Sequence[float], spans: Sequence[float], variance: float
) -> tuple[float, float]:
    """DerSimonian and Laird (1986), equations 6 to 9, and the default of 0.15 lent four times."""
    y, w = np.array(growth), np.array(spans) / variance
    df = len(y) - 1
    between = 0.15**2
    if df:
        q = (w * (y - (w * y).sum() / w.sum()) ** 2).sum()
        found = max((q - df) / (w.sum() - (w**2).sum() / w.sum()), 0.0)
        between = (4 * 0.15**2 + df * found) / (4 + df)
    star = 1 / (1 / w + between)
    return float((star * y).sum() / star.sum()), float(np.sqrt(between + 1 / star.sum()))


def test_the_rate_of_a_panel_is_that_of_its_last_four_years_weighted_by_their_spans() -> None:
    """From 2018 on, 2018 itself included: what ended before does not count."""
    rate = panel_rate([OWN, OTHER, THIRD, OLD, PAIR, ONE])
    logs = [np.log(480 / 230) / 4, np.log(2) / 4, np.log(14 / 13) / 2, np.log(1.25) / 2]
    recent = series([2018, 2019, 2020, 2022], [10, 13, 14, 20])
    variance = squares(recent, drift=True)[0] / 2
    expected = rate_of(logs, [4, 4, 2, 2], variance)
    assert (rate.mean, rate.sd) == pytest.approx(expected, rel=1e-9)


def test_a_panel_without_two_recent_points_uses_all_of_a_series_and_then_the_default() -> None:
    # Nothing but single points since 2018: whole histories are taken instead.
    panel = [series([2014, 2016], [4, 5]), series([2022], [50]), OLD]
    variance = squares(OLD, drift=True)[0]
    expected = rate_of([np.log(1.25) / 2, np.log(1.5) / 4], [2, 4], variance)
    rate = panel_rate(panel)
    assert (rate.mean, rate.sd) == pytest.approx(expected, rel=1e-9)
    # One series of two points: the default variance of 0.2 squared over its two years.
    rate = panel_rate([PAIR, ONE])
    expected = (np.log(1.25) / 2, np.sqrt(0.15**2 + 0.04 / 2 + 0.15**2))
    assert (rate.mean, rate.sd) == pytest.approx(expected, rel=1e-9)
    for nothing in ([], [ONE]):
        assert (panel_rate(nothing).mean, panel_rate(nothing).sd) == (0.0, 0.15)


def test_series_that_agree_better_than_chance_have_no_spread_of_their_own() -> None:
    panel = [
        series([2020, 2021, 2022], np.exp([0.0, rate + wiggle, 2 * rate]))
        for rate, wiggle in ((0.1, 0.2), (0.11, -0.2), (0.12, 0.1))
    ]
    variance = (2 * 0.2**2 + 2 * 0.2**2 + 2 * 0.1**2) / 3
    expected = rate_of([0.1, 0.11, 0.12], [2, 2, 2], variance)
    assert expected[1] == pytest.approx(np.sqrt(0.09 / 6 + (0.09 / 6 + variance / 2) / 3))
    rate = panel_rate(panel)
    assert (rate.mean, rate.sd) == pytest.approx(expected, rel=1e-9)


def drawn(name: str, history: History, *normals: float, panel: Sequence[History] = ()) -> Any:
    """Two equal draws of 2023, 2024 and 2027."""
    ahead = Request(history, np.array([2023, 2024, 2027]), panel, 2)
    found = BASELINES[name](ahead, rng=cast(np.random.Generator, Fixed(*normals)))
    np.testing.assert_array_equal(found[0], found[1])
    return found[0]


H = np.array([1.0, 2.0, 5.0])
WALK = np.array([1.0, 2.0, 2.0 + np.sqrt(3.0)])
"""Steps of one standard deviation each: roots of gaps of 1, 1 and 3 years."""
FADED = np.array([0.9, 0.9 + 0.81, 0.9 + 0.81 + 0.729 + 0.6561 + 0.59049])


@pytest.mark.parametrize("z", [0.0, 1.0, -0.7])
@pytest.mark.parametrize("e", [0.0, 1.0])
def test_walks_are_the_sum_of_their_growth_and_their_steps(z: float, e: float) -> None:
    s = np.sqrt(squares(OWN, drift=True)[0] / 3)
    g = np.log(4.8) / 10
    still = np.sqrt(squares(OWN, drift=False)[0] / 4)
    np.testing.assert_allclose(
        drawn("persistence", OWN, z), 480 * np.exp(z * still * WALK), rtol=1e-9
    )
    growth = g + e * s / np.sqrt(10)
    np.testing.assert_allclose(
        drawn("log drift", OWN, e, z), 480 * np.exp(growth * H + z * s * WALK), rtol=1e-9
    )
    np.testing.assert_allclose(
        drawn("damped drift", OWN, e, z), 480 * np.exp(growth * FADED + z * s * WALK), rtol=1e-9
    )
    # Weights halve in two years: the changes are of 2013, 2015, 2018 and 2022.
    w, gaps = 0.5 ** (np.array([9, 7, 4, 0]) / 2), np.array([1, 2, 3, 4])
    changes = np.log(np.array([1.31, 150 / 131, 230 / 150, 480 / 230]))
    recent = (w * changes).sum() / (w * gaps).sum()
    recent += e * s * np.sqrt((w**2 * gaps).sum()) / (w * gaps).sum()
    np.testing.assert_allclose(
        drawn("damped trend", OWN, e, z), 480 * np.exp(recent * FADED + z * s * WALK), rtol=1e-9
    )
    rate = panel_rate([OTHER, THIRD])
    lent = (squares(OTHER, drift=True)[0] + squares(THIRD, drift=True)[0]) / 3
    s = np.sqrt((4 * lent + 3 * s**2) / 7)
    np.testing.assert_allclose(
        drawn("panel growth", OWN, e, z, panel=[OTHER, THIRD]),
        480 * np.exp((rate.mean + e * rate.sd) * H + z * s * WALK),
        rtol=1e-9,
    )


@pytest.mark.parametrize("z", [0.0, 1.0, -0.3])
@pytest.mark.parametrize("e", [0.0, 1.0])
def test_the_walk_of_levels_rises_by_a_share_of_the_last(z: float, e: float) -> None:
    shares, gaps = OWN.values / 480, np.array([1.0, 2.0, 3.0, 4.0])
    slope = (1 - 100 / 480) / 10
    s = np.sqrt(((np.diff(shares) - slope * gaps) ** 2 / gaps).sum() / 3)
    expected = 480 * (1 + (slope + e * s / np.sqrt(10)) * H + z * s * WALK)
    np.testing.assert_allclose(drawn("drift", OWN, e, z), expected, rtol=1e-9)
    # One point: a share of growth from the panel's log growth, the default sd a year.
    growth = np.expm1(0.0 + e * 0.15)
    one = series([2022], [50])
    np.testing.assert_allclose(
        drawn("drift", one, e, z), 50 * (1 + growth * H + z * 0.2 * WALK), rtol=1e-9
    )


def test_a_path_at_or_below_a_tenth_is_drawn_again_and_in_the_end_lies_there() -> None:
    one = series([2022], [50])
    # 1 - 0.2 * 1.3 * 3.732 is below 0.1, with 1.2 in place of 1.3 it is not.
    again = drawn("drift", one, 0.0, -2.0, 0.0, -1.3, 0.0, -1.2, 0.0, 0.0)
    np.testing.assert_allclose(again, 50 * (1 - 1.2 * 0.2 * WALK), rtol=1e-12)
    np.testing.assert_allclose(drawn("drift", one, *[0.0, -9.0] * 100), [5, 5, 5], rtol=1e-12)
    late = drawn("drift", one, *[0.0, -9.0] * 99, 0.0, 0.0)
    np.testing.assert_allclose(late, [50, 50, 50], rtol=1e-12)


def bend(name: str, theta: np.ndarray, t: np.ndarray, span: float) -> np.ndarray:
    """Log share of the market, as in the two papers."""
    if name == "logistic":
        return np.asarray(-np.log1p(np.exp(-(theta[0] + np.exp(theta[1]) * (t - span)))))
    p, q, u = np.exp(theta)
    e = np.exp(-(p + q) * (u + t))
    return np.asarray(np.log((1 - e) / (1 + q / p * e)))


@pytest.mark.parametrize("panel", [[], [OTHER, THIRD]], ids=["alone", "panel"])
@pytest.mark.parametrize("name", ["logistic", "Bass"])
def test_curves_are_the_most_probable_under_their_priors_then_a_walk_around_them(
    name: str, panel: list[History]
) -> None:
    """By Nelder and Mead: first with the scatter around a line, then with that around the curve."""
    mean, sd = {
        "logistic": ([0.0, np.log(0.38)], [1.5, 0.5]),
        "Bass": (np.log([0.03, 0.38, 5.0]), [1.0, 0.5, 0.8]),
    }[name]
    t = OWN.years - 2012.0
    gaps, changes = np.diff(t), np.diff(np.log(OWN.values))
    variance, _ = change_variance(OWN, panel, about_drift)
    lent = sum(squares(one, drift=True)[0] for one in panel) / 3
    for _ in range(2):

        def cost(theta: np.ndarray, walk: float = variance) -> float:
            rest = changes - np.diff(bend(name, theta, t, 10.0))
            prior = ((theta - np.array(mean)) / np.array(sd)) ** 2
            return float((rest**2 / (walk * gaps + 2 * 0.05**2)).sum() + prior.sum())

        tight = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000}
        best = optimize.minimize(cost, mean, method="Nelder-Mead", options=tight).x
        around = ((changes - np.diff(bend(name, best, t, 10.0))) ** 2 / gaps).sum()
        # Four changes: two degrees of their own, fewer than three, so that four are lent.
        variance = (4 * (lent if panel else 0.04) + around) / 6
    trend = bend(name, best, 10.0 + H, 10.0) - bend(name, best, np.array([10.0]), 10.0)
    for z in (0.0, 1.0):
        expected = 480 * np.exp(trend + z * np.sqrt(variance) * WALK)
        np.testing.assert_allclose(drawn(name, OWN, 0.0, z, panel=panel), expected, rtol=1e-4)


def test_two_points_show_no_bend_and_three_do() -> None:
    pair, three = series([2020, 2022], [80, 100]), series([2019, 2020, 2022], [70, 80, 100])
    for name in ("logistic", "Bass"):
        np.testing.assert_array_equal(
            drawn(name, pair, 0.3, 0.2), drawn("panel growth", pair, 0.3, 0.2)
        )
        assert abs(drawn(name, three, 0.0, 0.0) / drawn("panel growth", three, 0.0, 0.0) - 1).min()


@pytest.mark.parametrize(
    ("years", "values", "sds", "said"),
    [
        ([], [], [], "at least one"),
        ([2020, 2021], [1.0], [0.1, 0.1], "2 years, 1 values and 2 sds"),
        ([2020, 2021], [1.0, 2.0], [0.1], "2 years, 2 values and 1 sds"),
        ([2020, 2020], [1.0, 2.0], [0.1, 0.1], "do not ascend"),
        ([2020, 2021], [1.0, 0.0], [0.1, 0.1], "not above 0"),
        ([2020, 2021], [1.0, np.nan], [0.1, 0.1], "not above 0"),
        ([2020, 2021], [np.inf, 1.0], [0.1, 0.1], "not above 0"),
    ],
)
def test_a_history_of_other_shapes_is_refused(
    years: list[int], values: list[float], sds: list[float], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        History(np.array(years), np.array(values), np.array(sds))


@pytest.mark.parametrize("years", [[], [2022], [2021, 2023], [2023, 2023], [2024, 2023]])
def test_years_that_do_not_come_after_the_last_are_refused(years: list[int]) -> None:
    with pytest.raises(InputError, match="after 2022, the last of the history"):
        Request(PAIR, np.array(years, dtype=int))


def test_a_step_far_in_the_tail_stays_finite() -> None:
    """The log of the level changes by no more than 50."""
    for z, end in ((1e4, 50.0), (-1e4, -50.0)):
        found = drawn("persistence", OWN, z)
        np.testing.assert_allclose(found, 480 * np.exp(end) * np.ones(3), rtol=1e-12)


class Named:
    """A model of statsforecast that keeps what it is asked and answers with known intervals."""

    asked: list[Any]

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def forecast(self, y: np.ndarray, h: int, level: list[int]) -> dict[str, np.ndarray]:
        Named.asked = [self.settings, y, h, level]
        half = 1.2815515655446004 * np.sqrt(0.04 + 0.03 * np.arange(h))
        mean = 0.1 * np.arange(1, h + 1)
        return {"mean": mean, "lo-80": mean - half, "hi-80": mean + half}


@pytest.mark.parametrize(
    ("name", "settings", "least", "fewer"),
    [
        ("ETS", {"season_length": 1, "model": "ZZN"}, 9, "damped trend"),
        ("ARIMA", {"seasonal": False, "max_p": 1, "max_d": 1, "max_q": 1}, 5, "log drift"),
        ("Theta", {"season_length": 1}, 5, "log drift"),
    ],
)
def test_automatic_forecasts_are_of_filled_logs_with_a_first_step_that_is_pooled(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    settings: dict[str, Any],
    least: int,
    fewer: str,
) -> None:
    """Variances of 0.04, 0.07 and 0.16 at one, two and five years; the first is of its own df."""
    stand_in = SimpleNamespace(**{f"Auto{name}": Named})
    monkeypatch.setattr(statsforecast_models, "_statsforecast", lambda: stand_in)
    years = np.setdiff1d(np.arange(2022 - least, 2023), [2018])  # as many as it needs, and a gap
    one = series(years.tolist(), (100 * 1.1 ** np.arange(least)).tolist())
    df = least - 2
    for panel, lent, weight in (((), 0.0, 0.0), ((OTHER, THIRD), 0.0, 4.0)):
        if panel:
            lent = (squares(OTHER, drift=True)[0] + squares(THIRD, drift=True)[0]) / 3
        first = (weight * lent + df * 0.04) / (weight + df)
        shape = np.sqrt(np.array([1.0, 0.07 / 0.04 - 1, 0.16 / 0.04 - 0.07 / 0.04]))
        for z in (0.0, 1.0, -0.4):
            expected = one.values[-1] * np.exp(
                np.array([0.1, 0.2, 0.5]) + z * np.sqrt(first) * np.cumsum(shape)
            )
            np.testing.assert_allclose(drawn(name, one, z, panel=panel), expected, rtol=1e-9)
    asked, logs, horizon, level = Named.asked
    assert (asked, horizon, level) == (settings, 5, [80])
    assert len(logs) == least + 1
    assert logs[-1] == 0.0
    at = 2018 - (2022 - least)
    assert logs[at] == pytest.approx((logs[at - 1] + logs[at + 1]) / 2)
    short = series(years[1:].tolist(), one.values[1:].tolist())
    np.testing.assert_array_equal(
        drawn(name, short, 0.3, 0.2, panel=[OTHER]), drawn(fewer, short, 0.3, 0.2, panel=[OTHER])
    )


@pytest.mark.parametrize(("size", "share"), [(4, 2), (5, 3), (6, 3)])
def test_the_average_is_as_many_whole_draws_of_each_part(
    monkeypatch: pytest.MonkeyPatch, size: int, share: int
) -> None:
    """Of two parts: with 5 draws asked for, three of each are made and one is left out."""
    sizes = []

    def part(mark: float) -> Any:
        def made(request: Request, *, rng: np.random.Generator) -> np.ndarray:
            sizes.append(request.size)
            return np.tile([mark, mark + 0.5], (request.size, 1))

        return made

    monkeypatch.setattr(baselines, "PARTS", {"one": part(1.0), "two": part(2.0)})
    asked = Request(PAIR, np.array([2023, 2024]), [], size)
    found = baselines.average(asked, rng=np.random.default_rng(1))
    assert sizes == [share, share]
    assert found.shape == (size, 2)
    np.testing.assert_array_equal(found[:, 1] - found[:, 0], 0.5)
    assert all(size - share <= (found[:, 0] == mark).sum() <= share for mark in (1.0, 2.0))


def test_a_history_without_a_panel_grows_at_its_own_recent_rate() -> None:
    """From 2018 on: log(480 / 230) in four years."""
    s = np.sqrt(squares(OWN, drift=True)[0] / 3)
    between = 0.15**2
    rate_sd = np.sqrt(between + 0.04 / 4 + between)
    for e in (0.0, 1.0):
        growth = np.log(480 / 230) / 4 + e * rate_sd
        np.testing.assert_allclose(
            drawn("panel growth", OWN, e, 0.7), 480 * np.exp(growth * H + 0.7 * s * WALK), rtol=1e-9
        )
