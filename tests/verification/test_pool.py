"""Equal-weight pools: averaged quantiles in closed form, joint draws, silent parts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from beltcast.errors import InputError
from beltcast.verification.pool import POOLS, average_quantiles, pools

LEVELS = (np.arange(1, 100) / 100)[:, None]


def lognormal(mean: float, sd: float) -> np.ndarray:
    """The 99 percentiles of a lognormal, (draw, 1)."""
    return np.exp(norm.ppf(LEVELS, mean, sd))


def test_the_pool_of_two_lognormals_has_the_mean_of_their_means_and_standard_deviations() -> None:
    pooled = average_quantiles(lognormal(1.0, 0.1), lognormal(2.0, 0.5))
    np.testing.assert_allclose(pooled, lognormal(1.5, 0.3), rtol=1e-12)


def test_a_pool_does_not_depend_on_the_order_of_the_baseline_s_draws() -> None:
    own, other = lognormal(1.0, 0.1), lognormal(2.0, 0.5)
    shuffled = np.random.default_rng(1).permutation(other)
    np.testing.assert_array_equal(average_quantiles(own, other), average_quantiles(own, shuffled))


def test_joint_draws_keep_the_ranks_of_the_model() -> None:
    rng = np.random.default_rng(2)
    own, other = np.exp(rng.normal(size=(2, 50, 3)))
    pooled = average_quantiles(own, other)
    np.testing.assert_array_equal(pooled.argsort(axis=0), own.argsort(axis=0))


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0])
def test_a_pool_is_the_model_alone_where_the_baseline_is_silent(bad: float) -> None:
    own = np.array([[1.0, 1.0], [4.0, 4.0]])
    other = np.array([[9.0, bad], [1.0, 16.0]])
    pooled = average_quantiles(own, other)
    np.testing.assert_allclose(pooled, [[1.0, 1.0], [6.0, 4.0]])


def test_forecasts_of_different_sizes_are_refused() -> None:
    with pytest.raises(InputError, match=r"shapes \(3, 2\) and \(2, 2\)"):
        average_quantiles(np.ones((3, 2)), np.ones((2, 2)))


def test_only_pairs_that_were_forecast_are_pooled() -> None:
    one = np.ones((2, 1))
    assert list(pools({"sd": one, "drift": one, "ETS": one})) == ["sd + drift"]
    assert list(pools({"drift": one})) == []
    assert list(POOLS) == ["sd + drift", "sd + damped trend"]
