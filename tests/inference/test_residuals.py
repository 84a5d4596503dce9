"""A row's term in the density, held against integrals and distribution functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import logsumexp

from beltcast.inference.residuals import as_normal, log_height, precisions, residual, slopes

TAILS = (np.inf, 4.0, 1.5)
NUMBER = np.array([0])


def distribution(tails: float):
    return stats.norm() if tails == np.inf else stats.t(tails)


def one(z: float, side: int = 0, half: float = 0.0, tails: float = np.inf) -> float:
    return float(residual(np.array([z]), np.array([side]), half, tails)[0])


@given(
    z=st.floats(-30, 30), side=st.sampled_from([-1, 0, 1]), tails=st.sampled_from([4.0, 1.0, 30.0])
)
def test_half_the_square_is_minus_the_log_density_of_student_over_its_height(
    z: float, side: int, tails: float
) -> None:
    t = stats.t(tails)
    want = {0: t.logpdf(0) - t.logpdf(z), -1: -t.logsf(z), 1: -t.logcdf(z)}[side]
    # SciPy's logcdf is the log of 1 - small on one side: 1e-16 absolute.
    assert 0.5 * one(z, side, tails=tails) ** 2 == pytest.approx(want, rel=1e-9, abs=1e-14)


@given(z=st.floats(-8, 8), half=st.floats(1e-3, 7.0), tails=st.sampled_from(TAILS))
def test_half_the_square_is_minus_the_log_probability_of_an_interval_over_the_best(
    z: float, half: float, tails: float
) -> None:
    p = distribution(tails)
    x = abs(z)  # both ends to the left of the middle, where the function keeps its digits
    inside = p.cdf(half - x) - p.cdf(-half - x)
    best = p.cdf(half) - p.cdf(-half)
    if inside < 1e-12:  # the difference of two numbers has lost its digits; see the test far out
        return
    error = 4e-16 / inside + 4e-16 / best
    assert 0.5 * one(z, 0, half, tails) ** 2 == pytest.approx(
        np.log(best / inside), rel=1e-9, abs=10 * error
    )
    height = log_height(np.array([half]), tails)[0][0]
    assert height == pytest.approx(np.log(best), abs=10 * error)


@pytest.mark.parametrize("tails", TAILS)
def test_the_density_of_a_number_integrates_to_one(tails: float) -> None:
    peak = distribution(tails).pdf(0.0)
    total = integrate.quad(
        lambda z: peak * np.exp(-0.5 * one(z, tails=tails) ** 2), -np.inf, np.inf
    )
    assert total[0] == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize("tails", TAILS)
@pytest.mark.parametrize("width", [0.02, 1.0, 6.0])
def test_the_probabilities_of_all_rounded_numbers_add_up_to_one(tails: float, width: float) -> None:
    # A ruler of intervals of that width, wherever it is laid.
    z = 0.3 + width * np.arange(-200_000 if tails < 3 else -3000, 200_000 if tails < 3 else 3000)
    half = np.full(len(z), 0.5 * width)
    squares = residual(z, np.zeros(len(z), dtype=int), half, tails) ** 2
    total = np.exp(log_height(half[:1], tails)[0] - 0.5 * squares).sum()
    beyond = 2 * distribution(tails).sf(z[-1])
    assert total == pytest.approx(1.0 - beyond, abs=2e-6)


@given(z=st.floats(-6, 6))
def test_student_of_many_degrees_is_the_normal(z: float) -> None:
    # log(1 + z^2/nu) (nu + 1) = z^2 + O(z^4 / nu)
    assert one(z, tails=1e9) == pytest.approx(z, rel=1e-7, abs=1e-12)
    assert one(z, 1, tails=1e9) == pytest.approx(one(z, 1), rel=1e-6, abs=1e-12)


@given(z=st.floats(-20, 20), tails=st.sampled_from(TAILS))
def test_a_number_rounded_ever_less_is_the_number(z: float, tails: float) -> None:
    # The mean of a density over +-h is its middle + O(h^2).
    assert one(z, 0, 1e-5, tails) == pytest.approx(one(z, tails=tails), rel=1e-6, abs=1e-8)
    height = log_height(np.array([1e-5]), tails)[0][0]
    assert height == pytest.approx(np.log(2e-5) + distribution(tails).logpdf(0.0), abs=1e-9)


@given(
    z=st.floats(-12, 12),
    side=st.sampled_from([-1, 0, 1]),
    half=st.sampled_from([0.0, 0.01, 0.7, 1.9, 2.1, 5.0]),
    tails=st.sampled_from(TAILS),
)
def test_slopes_are_derivatives(z: float, side: int, half: float, tails: float) -> None:
    if side:
        half = 0.0
    d = 1e-5
    by_z, by_half = (s[0] for s in slopes(np.array([z]), np.array([side]), half, tails))
    by_differences = (one(z + d, side, half, tails) - one(z - d, side, half, tails)) / (2 * d)
    # Rounding of the differences: 1e-8 in r at worst where the interval is wide and flat.
    assert by_z == pytest.approx(by_differences, rel=2e-5, abs=2e-5 if abs(z) > 0.01 else 2e-3)
    if half:
        wider = (one(z, side, half + d, tails) - one(z, side, half - d, tails)) / (2 * d)
        assert by_half == pytest.approx(wider, rel=2e-5, abs=2e-5 if abs(z) > 0.01 else 2e-3)
        up, down = (log_height(np.array([half + e]), tails)[0][0] for e in (d, -d))
        slope = log_height(np.array([half]), tails)[1][0]
        assert slope == pytest.approx((up - down) / (2 * d), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("tails", TAILS)
@pytest.mark.parametrize("half", [0.0, 1e-9, 0.5, 3.0, 50.0])
def test_nothing_overflows_far_out(half: float, tails: float) -> None:
    z = np.array([-1e100, -1e12, -1e8, -1e3, -40.0, 0.0, 1e-9, 40.0, 1e3, 1e8, 1e12, 1e100])
    n = len(z)
    for side in (np.zeros(n, dtype=int), np.full(n, -1), np.full(n, 1)):
        width = np.where(side == 0, half, 0.0)
        values = residual(z, side, width, tails)
        assert np.isfinite(values).all()
        assert all(np.isfinite(s).all() for s in slopes(z, side, width, tails))
        assert all(np.isfinite(s).all() for s in as_normal(z, side, width, tails))
    # A residual of a number or an interval has the sign of z and never falls.
    assert (np.diff(residual(z, np.zeros(n, dtype=int), half, tails)) >= 0).all()


def test_weights_of_student_are_those_of_reweighted_least_squares() -> None:
    # Lange, Little and Taylor 1989: (nu + 1) / (nu + z^2); for nu = 4 and z = 1: 5 / 5.
    z = np.array([0.0, 1.0, 6.0])
    weight, middle = as_normal(z, np.zeros(3, dtype=int), 0.0, 4.0)
    np.testing.assert_allclose(weight**2, [1.25, 1.0, 0.125], rtol=1e-12)
    assert middle.tolist() == [0.0, 0.0, 0.0]
    # A normal row with that weight has the gradient of the term itself.
    slope = slopes(z, np.zeros(3, dtype=int), 0.0, 4.0)[0]
    np.testing.assert_allclose(
        weight**2 * z, residual(z, np.zeros(3, dtype=int), 0.0, 4.0) * slope, rtol=1e-12
    )


@pytest.mark.parametrize("tails", [1.0, 2.5, 4.0, 30.0, np.inf])
def test_the_mixture_of_normals_is_the_distribution(tails: float) -> None:
    z = np.array([0.0, 0.3, 2.0, 8.0, 30.0, 90.0])[:, None]
    w, weight = precisions(tails)
    mixed = logsumexp(stats.norm.logpdf(z, scale=1.0 / np.sqrt(w)), b=weight, axis=1)
    np.testing.assert_allclose(mixed, distribution(tails).logpdf(z[:, 0]), rtol=1e-6)
