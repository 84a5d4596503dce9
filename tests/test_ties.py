"""Every threshold at its own value: what "at least", "at most", "fewer than" and "above" decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from beltcast.drivers.attribution.attribute import sign_source
from beltcast.ensembles.verdicts import chance_words, sign_of
from beltcast.errors import InputError
from beltcast.inference.calibrate import estimate_verdict
from beltcast.inference.starts import expected_missed
from beltcast.verification.paired import diebold_mariano, paired_skill
from beltcast.verification.scores import covered, crps_ensemble
from beltcast.verification.skill import _verdict

BELOW = np.nextafter


@pytest.mark.parametrize(
    ("share", "draws", "sign"),
    [
        (0.9, 100, "positive"),
        (sum([0.1] * 9), 100, "positive"),  # 0.8999999999999999, nine tenths all the same
        (0.899, 1000, "undecided"),
        (0.1, 100, "negative"),
        (0.101, 1000, "undecided"),
        (1.0, 100, "positive"),
        (1.0, 99.9, "too few draws"),
        (float("nan"), 1000, "undecided"),
    ],
)
def test_a_sign_is_decided_at_nine_tenths_and_a_hundred_draws(
    share: float, draws: float, sign: str
) -> None:
    assert sign_of(share, draws) == sign


@pytest.mark.parametrize("before", [0.95, 0.5, 0.05])
@pytest.mark.parametrize("after", [0.9, 0.5, 0.1])
def test_what_decides_a_sign_follows_the_table(after: float, before: float) -> None:
    table = {
        (0.9, 0.95): "built in",
        (0.5, 0.95): "left open",
        (0.1, 0.95): "reversed",
        (0.9, 0.5): "decided by the data",
        (0.5, 0.5): "undecided",
        (0.1, 0.5): "decided by the data",
        (0.9, 0.05): "reversed",
        (0.5, 0.05): "left open",
        (0.1, 0.05): "built in",
    }
    assert sign_source(after, before, 100) == table[after, before]
    assert sign_source(after, before, 99) == "too few draws"
    assert sign_source(after, before, 100, size=0.0) == "no effect"


@pytest.mark.parametrize(
    ("ratio", "draws", "words"),
    [
        (0.7, 100, "data and prior"),
        (BELOW(0.7, 1.0), 100, "mostly prior"),
        (0.35, 100, "mostly data"),
        (BELOW(0.35, 1.0), 100, "data and prior"),
        (0.1, 99.9, "too few draws"),
        (float("nan"), 100, "undefined"),
        (float("nan"), 99, "too few draws"),
    ],
)
def test_an_estimate_is_mostly_prior_above_seven_tenths(
    ratio: float, draws: float, words: str
) -> None:
    assert estimate_verdict(ratio, draws) == words


def test_a_chance_is_told_from_a_hundred_draws_on() -> None:
    assert chance_words(0.5, 100) == "50 ± 5 %"
    assert chance_words(0.5, 99.99) == "too few draws"
    assert chance_words(0.5, 0.0) == "unknown"


@pytest.mark.parametrize(
    ("years", "p", "skill", "words"),
    [
        (10, 0.049, 0.2, "better"),
        (9, 0.001, 0.2, "too few years"),
        (10, 0.05, 0.2, "not told apart"),
        (10, 0.049, -0.2, "worse"),
        (10, float("nan"), 0.2, "not told apart"),
    ],
)
def test_forecasters_are_told_apart_below_the_level_and_over_ten_years(
    years: int, p: float, skill: float, words: str
) -> None:
    assert _verdict({"years": years, "skill": skill}, p) == words


def test_a_search_can_be_judged_from_three_searches_more_than_it_found_optima() -> None:
    """Boender and Rinnooy Kan 1987: w (n - 1) / (n - w - 2) optima in all, w of them found."""
    assert expected_missed(3, 5) == np.inf
    assert expected_missed(3, 6) == pytest.approx(3 * 5 / 1 - 3)
    assert expected_missed(1, 4) == pytest.approx(3 / 1 - 1)


@pytest.mark.parametrize("lead", [1, 2, 3])
def test_a_test_of_differences_needs_more_periods_than_its_lead(lead: int) -> None:
    d = np.random.default_rng(3).normal(0.4, 1.0, 9)
    assert np.isnan(diebold_mariano(d[:lead], lead).statistic)
    assert np.isfinite(diebold_mariano(d[: lead + 1], lead).mean)
    got = diebold_mariano(np.append(d, np.nan), lead)
    n, mean = 9, d.mean()
    lagged = [sum((d[t] - mean) * (d[t - k] - mean) for t in range(k, n)) / n for k in range(lead)]
    variance = (lagged[0] + 2 * sum(lagged[1:])) / n
    if variance <= 0:
        variance = lagged[0] / n
    factor = (n + 1 - 2 * lead + lead * (lead - 1) / n) / n
    want = mean / np.sqrt(variance) * np.sqrt(factor)
    assert got.statistic == pytest.approx(want, rel=1e-12)
    assert got.p == pytest.approx(2 * stats.t.sf(abs(want), n - 1), rel=1e-12)


@pytest.mark.parametrize("places", [2, 4, 5, 7])
def test_places_are_clusters_from_five_on(places: int) -> None:
    """V_year + V_place - V_cell from sums over clusters, one by one."""
    rng = np.random.default_rng(places)
    cells = [(2015 + t, f"p{k}") for t in range(6) for k in range(places)]
    other = rng.uniform(1, 2, len(cells))
    effect = {place: rng.normal(0, 0.5) for _, place in cells}  # places differ: they add variance
    own = other * np.exp([effect[place] for _, place in cells]) * rng.uniform(0.9, 1.1, len(cells))
    years, names = [year for year, _ in cells], [place for _, place in cells]
    found = paired_skill(own, other, years, names)
    ratio = own.sum() / other.sum()
    u = (own - ratio * other) / other.sum()

    def variance(labels: list[Any]) -> tuple[float, int]:
        groups = sorted(set(labels))
        sums = [sum(u[i] for i, label in enumerate(labels) if label == g) for g in groups]
        return len(groups) / (len(groups) - 1) * sum(s**2 for s in sums), len(groups)

    (by_year, n_years), (by_place, n_places), (by_cell, _) = (
        variance(labels) for labels in (years, names, cells)
    )
    assert by_place > by_cell
    v, clusters = max(by_year, by_cell), n_years
    if places >= 5:
        v, clusters = max(by_year, by_year + by_place - by_cell), min(n_years, n_places)
    error = np.sqrt(v) / ratio
    reach = np.exp(stats.t.ppf(0.975, clusters - 1) * error)
    assert (found.skill, found.low, found.high) == pytest.approx(
        (1 - ratio, 1 - ratio * reach, 1 - ratio / reach), rel=1e-9
    )
    assert found.p == pytest.approx(2 * stats.t.sf(abs(np.log(ratio)) / error, clusters - 1))


def test_an_observation_on_the_edge_of_a_band_is_covered() -> None:
    draws = np.arange(0.0, 11.0)  # the central 80 % of 0 to 10 are 1 to 9
    for value, inside in ((1.0, 1.0), (9.0, 1.0), (0.999, 0.0), (9.001, 0.0)):
        assert covered(draws, value, 0.8) == inside


def test_two_draws_are_enough_for_a_score() -> None:
    # The mean of |x - y| less half the mean distance of two different draws: 1 - 2 / 2.
    assert crps_ensemble(np.array([0.0, 2.0]), 1.0) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(InputError, match="1 draws are given to a score; expected at least 2"):
        crps_ensemble(np.array([0.0]), 1.0)
