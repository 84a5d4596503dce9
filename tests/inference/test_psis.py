"""Smoothed weights, held against tails whose shape is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from arviz_stats.base import array_stats
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

from beltcast.inference.sampling.psis import Weights, fit_pareto, pareto_quantile, smoothed


@pytest.mark.parametrize("shape", [-0.3, 0.2, 0.5, 0.9, 1.5])
def test_the_fitted_shape_is_that_of_the_sample(shape: float) -> None:
    n = 20_000
    x = np.sort(stats.genpareto.rvs(shape, scale=3.0, size=n, random_state=1))
    k, scale = fit_pareto(x)
    # The maximum-likelihood estimate has variance (1 + k)^2 / n; the pull to 1/2 is 10 / n.
    assert k == pytest.approx(shape, abs=4 * (1 + shape) / np.sqrt(n) + 10 / n)
    assert scale == pytest.approx(3.0, rel=0.1)


def test_quantiles_are_those_of_scipy() -> None:
    p = np.linspace(0.01, 0.99, 9)
    for shape in (-0.4, 0.0, 0.7):
        want = stats.genpareto.ppf(p, shape, scale=2.0)
        np.testing.assert_allclose(pareto_quantile(p, shape, 2.0), want, rtol=1e-10)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_k_of_pareto_weights_is_their_shape(shape: float) -> None:
    # Beyond any threshold a generalised Pareto distribution keeps its shape.
    n = 20_000
    weights = stats.genpareto.rvs(shape, size=n, random_state=2)
    tail = 3 * np.sqrt(n)
    error = 4 * (1 + shape) / np.sqrt(tail) + 10 / tail
    assert smoothed(np.log(weights)).k == pytest.approx(shape, abs=error)


def test_alike_weights_have_no_tail_and_are_all_worth_a_draw() -> None:
    weights = smoothed(np.full(500, -1234.5))
    assert weights.k == -np.inf
    assert weights.effective == pytest.approx(500)
    assert weights.good


def test_impossible_draws_weigh_nothing() -> None:
    logs = np.random.default_rng(0).standard_normal(1000) * 0.1
    logs[:100], logs[100] = -np.inf, np.nan
    weights = smoothed(logs)
    assert (weights.values[:101] == 0).all()
    assert not set(weights.resample(np.random.default_rng(1))) & set(range(101))


def test_no_possible_draw_is_said_by_k() -> None:
    weights = smoothed(np.full(200, -np.inf))
    assert (weights.k, weights.effective, weights.good) == (np.inf, 0.0, False)


def test_one_weight_that_is_everything_is_not_good() -> None:
    logs = np.zeros(1000)
    logs[7] = 50.0
    weights = smoothed(logs)
    assert not weights.good
    assert weights.effective < 2


def test_the_limit_is_lower_for_fewer_draws() -> None:
    # Vehtari and others 2024: 1 - 1 / log10(S), at most 0.7, which 2,200 draws reach.
    assert smoothed(np.zeros(1000)).limit == pytest.approx(2 / 3)
    assert smoothed(np.zeros(10_000)).limit == 0.7


def test_smoothing_brings_a_mean_nearer() -> None:
    # Normal(0, 1) weighted to normal(2, 1): mean 2, with a tail of log-normal weights.
    errors: dict[str, list[float]] = {"raw": [], "smooth": []}
    for seed in range(200):
        x = np.random.default_rng(seed).standard_normal(400)
        raw = np.exp(2 * x)
        errors["raw"].append(float((raw * x).sum() / raw.sum() - 2))
        errors["smooth"].append(float((smoothed(2 * x).values * x).sum() - 2))
    size = {name: float(np.sqrt(np.mean(np.square(e)))) for name, e in errors.items()}
    print(size)
    assert size["smooth"] < size["raw"]


@given(st.lists(st.integers(-300, 50), min_size=30, max_size=300), st.integers(-500, 500))
def test_weights_sum_to_one_keep_their_order_and_ignore_a_constant(
    tenths: list[int], constant: int
) -> None:
    given_logs = np.array(tenths) / 8  # exact, so that a constant breaks no tie
    weights = smoothed(given_logs)
    assert weights.values.sum() == pytest.approx(1.0)
    assert (np.diff(weights.values[np.argsort(given_logs, kind="stable")]) >= -1e-12).all()
    moved = smoothed(given_logs + constant)
    np.testing.assert_allclose(moved.values, weights.values, rtol=1e-6, atol=1e-12)


@given(st.lists(st.floats(-5, 5), min_size=30, max_size=200), st.integers(0, 99))
def test_resampling_rounds_each_share_up_or_down(logs: list[float], seed: int) -> None:
    weights = smoothed(np.array(logs))
    n = len(logs)
    times = np.bincount(weights.resample(np.random.default_rng(seed)), minlength=n)
    assert times.sum() == n
    assert (np.abs(times - n * weights.values) < 1 + 1e-9).all()


@pytest.mark.parametrize(("n", "shape"), [(60, 0.2), (100, 0.3), (400, 0.6)])
def test_weights_and_k_are_those_of_arviz(n: int, shape: float) -> None:
    """An oracle for the size of the tail, the pull of k to 1/2 and the cut at the largest weight.

    Sizes at which ArviZ, which rounds the tail's size down and not up, has the same tail: a fifth
    of the draws below 225 of them, else three roots.
    """
    logs = np.log(stats.genpareto.rvs(shape, size=n, random_state=n))
    theirs, k = array_stats.psislw(-logs)
    mine = smoothed(logs)
    assert mine.k == pytest.approx(float(k), rel=1e-9)
    np.testing.assert_allclose(mine.values, np.exp(theirs - logsumexp(theirs)), rtol=1e-9)


def test_the_tail_is_three_roots_rounded_up() -> None:
    """Vehtari and others 2024, section 2.3: M = ceil(min(0.2 N, 3 sqrt N)); 95 of 1000 draws.

    The 96th largest weight is the threshold and stays; the 95th is moved.
    """
    logs = np.log(stats.genpareto.rvs(0.5, size=1000, random_state=3))
    order = np.argsort(-logs)
    ratio = smoothed(logs).values[order] / np.exp(logs[order])
    assert ratio[95] == pytest.approx(ratio[-1], rel=1e-12)
    assert ratio[94] != pytest.approx(ratio[-1], rel=1e-12)


def test_a_limit_needs_more_than_ten_draws() -> None:
    assert Weights(np.full(10, 0.1), 0.0).limit == 0.0
    assert Weights(np.full(11, 1 / 11), 0.0).limit == pytest.approx(1 - 1 / np.log10(11))


def test_a_hundred_effective_draws_and_a_shape_at_its_limit_are_enough() -> None:
    equal = Weights(np.full(100, 0.01), 0.5)  # 1 - 1 / log10(100) = 0.5
    assert equal.effective == pytest.approx(100.0)
    assert dataclasses.replace(equal, values=np.full(128, 1 / 128), k=0.5).good
    assert not dataclasses.replace(equal, values=np.full(64, 1 / 64)).good
    assert Weights(np.full(128, 1 / 128), 1 - 1 / np.log10(128)).good
    assert not Weights(np.full(128, 1 / 128), 1 - 1 / np.log10(128) + 1e-9).good


def test_a_tail_of_five_is_fitted_and_one_of_four_is_not() -> None:
    """A fifth of the draws, rounded up: 4 of 20 draws, 5 of 21."""
    logs = np.random.default_rng(4).standard_normal(21)
    assert smoothed(logs[:20]).k == np.inf
    assert np.isfinite(smoothed(logs).k)
    raw = np.exp(logs[:20])
    np.testing.assert_allclose(smoothed(logs[:20]).values, raw / raw.sum(), rtol=1e-12)


def test_ties_at_the_threshold_have_no_shape() -> None:
    """Most exceedances are 0 where many weights are alike: no tail can be fitted."""
    logs = np.zeros(400)
    logs[:5] = 3.0
    weights = smoothed(logs)
    assert weights.k == np.inf
    raw = np.exp(logs)
    np.testing.assert_allclose(weights.values, raw / raw.sum(), rtol=1e-12)


def test_effective_draws_are_one_over_the_sum_of_squares() -> None:
    assert Weights(np.array([0.5, 0.3, 0.2]), 0.0).effective == pytest.approx(1 / 0.38)
    assert Weights(np.zeros(3), np.inf).effective == 0.0


class _Fixed(np.random.Generator):
    """A generator whose next number is known."""

    def __init__(self, value: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.value = value

    def random(self, *_: object, **__: object) -> float:  # type: ignore[override]
        return self.value


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.999999])
def test_a_comb_falls_on_the_cumulative_weights(shift: float) -> None:
    values = np.array([0.1, 0.0, 0.45, 0.2, 0.25, 0.0])
    got = Weights(values, 0.0).resample(_Fixed(shift))
    edges = np.cumsum(values)
    want = [next(i for i, e in enumerate(edges) if e >= (shift + k) / 6 - 1e-15) for k in range(6)]
    assert got.tolist() == [min(i, 4) for i in want]
