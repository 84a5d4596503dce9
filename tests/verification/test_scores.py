"""Scores: perfect values, propriety, and the same numbers as scoringrules."""

from __future__ import annotations

import numpy as np
import pytest
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from beltcast.errors import InputError
from beltcast.verification import scores


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_the_ensemble_score_is_the_fair_one_of_scoringrules(rng: np.random.Generator) -> None:
    draws, observed = rng.normal(size=(20, 31)), rng.normal(size=20)
    theirs = scoringrules.crps_ensemble(observed, draws, estimator="fair", backend="numpy")
    np.testing.assert_allclose(scores.crps_ensemble(draws, observed), theirs, rtol=1e-12)


def test_the_log_score_is_a_kernel_density_but_for_its_wide_part(
    rng: np.random.Generator,
) -> None:
    draws, y = rng.normal(size=400), 0.4
    low, high = np.quantile(draws, [0.25, 0.75])
    width = 0.9 * min(draws.std(ddof=1), (high - low) / 1.34) * 400**-0.2
    kernel = scoringrules.logs_ensemble(np.array(y), draws, bw=np.array(width), backend="numpy")
    wide = norm.pdf(y, draws.mean(), 10 * draws.std(ddof=1))
    expected = -np.log(0.99 * np.exp(-kernel) + 0.01 * wide)
    assert float(scores.log_score(draws, y)) == pytest.approx(float(expected), rel=1e-6)


def test_the_log_score_far_outside_the_draws_is_large_and_no_absurdity(
    rng: np.random.Generator,
) -> None:
    # Twenty sds off: a bare kernel would charge thousands; ten times the standard deviation charges
    # 0.5 * 2^2 + log(10 sqrt(2 pi)) + log(100) = 9.8.
    far = float(scores.log_score(rng.normal(size=1000), 20.0))
    assert 9.0 < far < 11.0


def test_a_perfect_forecast_scores_zero() -> None:
    same = np.full(10, 3.0)
    assert float(scores.crps_ensemble(same, 3.0)) == 0.0
    assert float(scores.absolute_error(3.0, 3.0)) == 0.0
    assert float(scores.scaled_error(3.0, 3.0, 2.0)) == 0.0
    assert scores.theil(same, same).mse == 0.0


@pytest.mark.parametrize("name", ["crps_ensemble", "log_score"])
def test_scores_of_draws_are_proper(name: str) -> None:
    y = norm.ppf((np.arange(500) + 0.5) / 500)
    draws = norm.ppf((np.arange(2000) + 0.5) / 2000)
    score = getattr(scores, name)

    def expected(shift: float, factor: float) -> float:
        return float(score(np.tile(shift + factor * draws, (500, 1)), y).mean())

    best = expected(0.0, 1.0)
    for shift, factor in ((0.2, 1.0), (-0.2, 1.0), (0.0, 0.7), (0.0, 1.4)):
        assert expected(shift, factor) > best


def test_the_fair_score_does_not_hang_on_the_number_of_draws(rng: np.random.Generator) -> None:
    # Unbiased: two draws and the closed form agree in the mean, to 4 standard errors.
    few = scores.crps_ensemble(rng.normal(size=(40_000, 2)), 0.5)
    error = few.std() / np.sqrt(len(few))
    assert abs(few.mean() - float(scoringrules.crps_normal(0.5, 0.0, 1.0))) < 4 * error


def test_coverage_counts_the_inside_of_central_intervals() -> None:
    draws = np.arange(101.0)
    assert float(scores.covered(draws, 10.0, 0.8)) == 1.0
    assert float(scores.covered(draws, 9.9, 0.8)) == 0.0
    assert float(scores.covered(draws, 90.1, 0.8)) == 0.0


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_share_is_clopper_and_pearsons(pair: tuple[int, int]) -> None:
    hits, cases = pair
    exact = binomtest(hits, cases).proportion_ci(0.95, method="exact")
    found = scores.binomial_interval(hits, cases)
    np.testing.assert_allclose(found, (exact.low, exact.high), atol=1e-8)


def test_of_no_cases_nothing_is_known() -> None:
    assert scores.binomial_interval(0, 0) == (0.0, 1.0)


def test_the_pit_is_uniform_for_a_calibrated_forecaster(rng: np.random.Generator) -> None:
    draws, y = rng.normal(size=(5000, 99)), rng.normal(size=5000)
    u = scores.pit(draws, y)
    # The rank among 99 draws is uniform on 100 values; the mean's standard error is 0.004.
    assert abs(u.mean() - 0.5) < 0.016
    counts, _ = np.histogram(u, np.linspace(0, 1, 11))
    assert (abs(counts - 500) < 4 * np.sqrt(450)).all()


def test_ties_count_half_in_the_pit() -> None:
    assert float(scores.pit(np.array([1.0, 2.0, 2.0, 3.0]), 2.0)) == pytest.approx(0.5)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=12),
)
def test_theils_parts_are_not_negative_and_add_up(pairs: list[tuple[float, float]]) -> None:
    p, o = np.array(pairs).T
    split = scores.theil(p, o)
    assert split.mse == pytest.approx(((p - o) ** 2).mean())
    if split.mse > 1e-6:
        parts = [split.bias, split.variation, split.covariation]
        assert sum(parts) == pytest.approx(1.0, abs=1e-6)
        assert min(parts) > -1e-6


def test_theils_parts_name_the_fault() -> None:
    o = np.array([1.0, 2.0, 3.0, 4.0])
    assert scores.theil(o + 1.0, o).bias == pytest.approx(1.0)
    assert scores.theil(2.5 + 2.0 * (o - 2.5), o).variation == pytest.approx(1.0)
    assert scores.theil(o[::-1].copy(), o).covariation == pytest.approx(1.0)


def test_a_case_with_a_nan_scores_nan_and_summaries_leave_it_out() -> None:
    draws = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [1.0, 2.0, 3.0]])
    y = np.array([2.0, 2.0, np.nan])
    for score in (scores.crps_ensemble, scores.log_score, scores.pit):
        np.testing.assert_array_equal(np.isnan(score(draws, y)), [False, True, True])
    np.testing.assert_array_equal(np.isnan(scores.covered(draws, y, 0.8)), [False, True, True])
    assert np.isnan(scores.scaled_error(1.0, 2.0, np.array([np.nan, 0.0]))).all()
    assert scores.theil(draws.mean(axis=1), y).cases == 1
    assert scores.theil(np.array([np.nan]), np.array([1.0])).cases == 0


def test_one_draw_is_refused() -> None:
    with pytest.raises(InputError, match="1 draws are given to a score; expected at least 2"):
        scores.crps_ensemble(np.array([1.0]), 1.0)


@pytest.mark.parametrize("level", [0.1, 0.3, 1e-5, 123.456])
@pytest.mark.parametrize("draws", [10, 1000])
def test_identical_draws_have_no_log_score(level: float, draws: int) -> None:
    """Their standard deviation is rounding, 1e-17 and not 0: a density of it would be absurd."""
    assert np.isnan(scores.log_score(np.full(draws, level), level))


def test_a_flat_history_has_no_scaled_error() -> None:
    """The mean absolute change of 0.1 + 0.2 and 0.3 is 1e-17, which is no scale for an error."""
    scale = np.abs(np.diff([0.1 + 0.2, 0.3, 0.1 + 0.2])).mean()
    assert 0 < scale < 1e-16
    assert np.isnan(scores.scaled_error(0.4, 0.3, scale))


def test_ends_of_a_central_interval_are_inside() -> None:
    """Of 0 to 100 the central half is 25 to 75; of two draws all that lies between."""
    draws = np.arange(101.0)
    for y, inside in ((25.0, 1.0), (75.0, 1.0), (24.99, 0.0), (75.01, 0.0)):
        assert float(scores.covered(draws, y, 0.5)) == inside
    assert float(scores.covered(draws, 100.0, 1.0)) == 1.0


@pytest.mark.parametrize(
    ("y", "expected"), [(0.5, 0.5 / 5), (1.0, 1.0 / 5), (2.5, 3.5 / 5), (9.0, 4.5 / 5)]
)
def test_a_pit_is_never_0_or_1(y: float, expected: float) -> None:
    assert float(scores.pit(np.array([1.0, 2.0, 2.0, 3.0]), y)) == pytest.approx(expected)


def test_where_half_of_the_draws_are_equal_the_kernel_has_the_width_of_the_sd() -> None:
    """Both quartiles are 0, and a kernel without width would be no density."""
    draws, y = np.array([0.0] * 9 + [4.0]), 0.3
    sd = draws.std(ddof=1)
    near = norm.pdf(y, draws, 0.9 * sd * 10**-0.2).mean()
    far = norm.pdf(y, draws.mean(), 10 * sd)
    expected = -np.log(0.99 * near + 0.01 * far)
    assert float(scores.log_score(draws, y)) == pytest.approx(expected, rel=1e-12)


def test_theils_parts_are_their_formulas() -> None:
    """With population standard deviations; 2 (1 - r) s_p s_o is the rest."""
    p, o = np.array([1.0, 3.0, 2.0, 6.0]), np.array([2.0, 2.5, 4.0, 3.0])
    found = scores.theil(p, o)
    mse = ((p - o) ** 2).mean()
    r = np.corrcoef(p, o)[0, 1]
    assert found.mse == pytest.approx(mse)
    assert found.bias == pytest.approx((p.mean() - o.mean()) ** 2 / mse)
    assert found.variation == pytest.approx((p.std() - o.std()) ** 2 / mse)
    assert found.covariation == pytest.approx(2 * (1 - r) * p.std() * o.std() / mse)
    assert found.cases == 4


@pytest.mark.parametrize(("scale", "known"), [(0.5, True), (0.0, False), (-1.0, False)])
def test_an_error_is_scaled_by_a_history_that_moves(scale: float, known: bool) -> None:
    found = float(scores.scaled_error(3.0, 4.0, scale))
    assert found == 2.0 if known else np.isnan(found)
