"""How shocks and drifts persist: closed forms, limits, and chains against matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beltcast.inference.processes import drift_factor, shock_factor, shock_path

LAGS = np.array([-6.5, -3.0, -0.25, 0.5, 2.0, 2.01, 7.0])


def covariance(lags: np.ndarray, fades: float) -> np.ndarray:
    factor = drift_factor(lags, fades)
    return factor @ factor.T


def test_the_covariance_of_drifts_is_that_of_integrated_rates() -> None:
    # The double integral of exp(-|u - v| / tau) over [0, s] x [0, t], by midpoints; signed.
    tau, n = 3.0, 2000
    u = (np.arange(n) + 0.5) / n
    for i, s in enumerate(LAGS):
        for j, t in enumerate(LAGS):
            apart = np.abs(s * u[:, None] - t * u[None, :])
            want = s * t * np.exp(-apart / tau).mean()
            # The kink of |u - v| costs the midpoint rule a few parts in n^2.
            assert covariance(LAGS, tau)[i, j] == pytest.approx(want, abs=1e-5)


def test_a_drift_that_hardly_fades_is_a_straight_line() -> None:
    np.testing.assert_allclose(covariance(LAGS, np.inf), np.outer(LAGS, LAGS), rtol=1e-15)
    # To first order the covariance loses a part |lag| / tau.
    np.testing.assert_allclose(covariance(LAGS, 1e6), np.outer(LAGS, LAGS), atol=1e-3)


def test_a_drift_is_expected_to_end_as_a_damped_trend() -> None:
    # Given the rate at the reference date (a lag close to it), the offset is expected at
    # r tau (1 - exp(-t / tau)); Gardner and McKenzie (1985) in continuous time.
    tau, small = 3.0, 1e-2
    joint = covariance(np.array([-small, 1.0, 5.0, 40.0]), tau)
    expected = joint[1:, 0] / joint[0, 0] * -small
    later = np.array([1.0, 5.0, 40.0])
    np.testing.assert_allclose(expected, tau * (1.0 - np.exp(-later / tau)), rtol=5e-3)


def test_shocks_of_years_in_a_row_have_unit_spread_and_fade_by_powers() -> None:
    factor = shock_factor(4, 0.5)
    want = [[1, 0.5, 0.25, 0.125], [0.5, 1, 0.5, 0.25], [0.25, 0.5, 1, 0.5], [0.125, 0.25, 0.5, 1]]
    np.testing.assert_allclose(factor @ factor.T, want, rtol=1e-12)


@given(
    rho=st.floats(0.0, 0.99),
    first=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_path_of_shocks_goes_on_as_the_factor_says(rho: float, first: int, seed: int) -> None:
    units = np.random.default_rng(seed).standard_normal((3, 6))
    path = shock_path(units, first, rho)
    later = units[:, first:] @ shock_factor(6 - first, rho).T
    np.testing.assert_allclose(path[:, first:], later, rtol=1e-9, atol=1e-9)


def test_a_path_has_the_same_law_wherever_it_begins() -> None:
    # The path is linear in its units, so its covariance is that of the images of unit vectors.
    for first in range(4):
        images = shock_path(np.eye(4), first, 0.7)
        want = 0.7 ** np.abs(np.subtract.outer(range(4), range(4)))
        np.testing.assert_allclose(images.T @ images, want, rtol=1e-12)


def test_independent_shocks_are_their_units() -> None:
    units = np.random.default_rng(1).standard_normal((3, 5))
    np.testing.assert_array_equal(shock_path(units, 2, 0.0), units)
