"""Residuals of counts and of mixed columns against SciPy's distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from beltcast.inference.families import (
    BINOMIAL,
    NEGATIVE_BINOMIAL,
    NUMBER,
    POISSON,
    RowFamilies,
    draw_count,
)

COUNTS = np.array([0.0, 1.0, 7.0, 40.0])
TRIALS, PHI = 50.0, 3.0


def rows(code: int) -> RowFamilies:
    size = {POISSON: 0.0, NEGATIVE_BINOMIAL: PHI, BINOMIAL: TRIALS}[code]
    return RowFamilies(
        log=np.zeros(4, dtype=bool),
        codes=np.full(4, code),
        tails=np.full(4, np.inf),
        counts=COUNTS,
        size=np.full(4, size),
    )


def scipy_log_pmf(code: int, mean: float, phi: float = PHI) -> np.ndarray:
    if code == POISSON:
        return stats.poisson(mean).logpmf(COUNTS)
    if code == BINOMIAL:
        return stats.binom(TRIALS, mean / TRIALS).logpmf(COUNTS)
    return stats.nbinom(phi, phi / (phi + mean)).logpmf(COUNTS)


def ours(one: RowFamilies, mean: float, phi: float = PHI) -> np.ndarray:
    half = np.where(one.dispersed, phi, one.size)[None]
    r = one.residual((COUNTS - mean)[None], np.zeros(4, dtype=int), half)
    return (one.log_best(half, np.zeros(4, dtype=bool))[0] - 0.5 * r**2)[0]


@pytest.mark.parametrize("code", [POISSON, NEGATIVE_BINOMIAL, BINOMIAL])
@pytest.mark.parametrize("mean", [0.3, 6.99999, 7.0, 7.01, 39.0])
def test_height_less_half_the_squared_residual_is_the_log_probability(
    code: int, mean: float
) -> None:
    np.testing.assert_allclose(ours(rows(code), mean), scipy_log_pmf(code, mean), atol=1e-8)


@pytest.mark.parametrize("code", [POISSON, NEGATIVE_BINOMIAL, BINOMIAL])
def test_slopes_are_derivatives_by_model_value_and_dispersion(code: int) -> None:
    one, mean, h = rows(code), 5.3, 1e-6
    side, half = np.zeros(4, dtype=int), one.size[None].copy()
    z = (COUNTS - mean)[None]
    by_z, by_half = one.slopes(z, side, half)
    up, down = (one.residual(z + d, side, half) for d in (h, -h))
    np.testing.assert_allclose(by_z, (up - down) / (2 * h), rtol=1e-6)
    if code == NEGATIVE_BINOMIAL:
        up, down = (one.residual(z, side, half + d) for d in (h, -h))
        np.testing.assert_allclose(by_half, (up - down) / (2 * h), rtol=1e-5, atol=1e-9)


def test_each_row_has_its_own_distribution() -> None:
    mixed = RowFamilies(
        log=np.zeros(3, dtype=bool),
        codes=np.array([NUMBER, NUMBER, POISSON]),
        tails=np.array([np.inf, 4.0, np.inf]),
        counts=np.array([0.0, 0.0, 3.0]),
        size=np.zeros(3),
    )
    z, half = np.array([[1.5, 1.5, -2.0]]), np.zeros((1, 3))
    r = mixed.residual(z, np.zeros(3, dtype=int), half)
    best = mixed.log_best(half, np.zeros(3, dtype=bool))[0]
    want = [stats.norm.logpdf(1.5), stats.t(4.0).logpdf(1.5), stats.poisson(5.0).logpmf(3)]
    np.testing.assert_allclose((best - 0.5 * r**2)[0], want, rtol=1e-12)


def test_a_model_value_below_zero_costs_more_the_lower_it_is() -> None:
    one = rows(POISSON)
    costs = [one.residual((COUNTS + d)[None], np.zeros(4, int), np.zeros((1, 4))) for d in (1, 2)]
    assert (np.abs(costs[1]) > np.abs(costs[0])).all()


def test_counts_are_drawn_with_the_variance_that_their_family_states() -> None:
    rng = np.random.default_rng(1)
    mean = np.full(200_000, 4.0)
    many = draw_count(NEGATIVE_BINOMIAL, mean, np.full(200_000, PHI), rng)
    # Variance m + m^2 / phi = 9.33; that of 200,000 draws is within 2% (5 standard errors).
    assert many.mean() == pytest.approx(4.0, abs=0.04)
    assert many.var() == pytest.approx(4.0 + 16.0 / PHI, rel=0.02)
