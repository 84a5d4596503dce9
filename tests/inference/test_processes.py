"""How drifts persist: closed forms and limits."""

from __future__ import annotations

import numpy as np
import pytest

from beltcast.inference.processes import drift_factor

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
