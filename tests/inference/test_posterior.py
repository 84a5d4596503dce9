"""Draws, held against a posterior that is known exactly."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from beltcast import (
    Likelihood,
    Model,
    approximate_posterior,
    calibrate,
    make_likelihood,
    sample_prior,
)
from beltcast.errors import CalibrationError
from beltcast.inference.calibrate import Calibration
from beltcast.study.noise import Definition

DRAWS = 800


@pytest.fixture(scope="module")
def exact(small: Model, make: SimpleNamespace) -> SimpleNamespace:
    """A normal posterior: log output = log Level + log Factor, with an offset and shocks."""
    definitions = {
        "full": Definition("Full scope", 0.0, 0.0, 0.0),
        "wide": Definition("Wide scope", 0.5, 0.0, 0.0),
    }
    rows = [
        make.row(start=2014.0, value=11.0),
        make.row(start=2015.0, value=14.0, definition="wide"),
        make.row(start=2015.0, value=30.0, place="West", elements=("West",)),
    ]
    priors = make.priors(
        "Level[East]", "Level[West]", "Factor", mu=np.log([10.0, 20.0, 1.0]), sigma=[0.5, 0.5, 0.2]
    )
    noise = make.noise(definitions=definitions, year_shock=0.05)
    one = make_likelihood(small, priors, make.table(*rows), noise)
    # Unknowns: two levels, the factor, offset of (East, wide), shocks of 2014 and 2015, season.
    assert one.nuisances == ("offset of East, wide", "shock of 2014", "shock of 2015", "season")
    design = np.array(
        [
            [1, 0, 1, 0.0, 0.05, 0.0, 0],
            [1, 0, 1, 0.5, 0.0, 0.05, 0],
            [0, 1, 1, 0.0, 0.0, 0.05, 0],
        ]
    )
    sds = np.array([0.5, 0.5, 0.2, 1, 1, 1, 1])
    mu = np.concatenate([np.log([10.0, 20.0, 1.0]), np.zeros(4)])
    covariance = np.linalg.inv(design.T @ design / 0.1**2 + np.diag(sds**-2.0))
    data = np.log([11.0, 14.0, 30.0]) - design @ mu
    mean = mu + covariance @ design.T @ data / 0.1**2
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=2)
    return SimpleNamespace(likelihood=one, fit=fit, mean=mean, covariance=covariance)


def close_to_exact(theta: np.ndarray, exact: SimpleNamespace) -> None:
    """Means and sds within Monte Carlo error of independent draws, 4 standard errors."""
    sd = np.sqrt(np.diag(exact.covariance))
    n = len(theta)
    assert np.abs((theta.mean(axis=0) - exact.mean) / sd).max() < 4 / np.sqrt(n)
    assert np.abs(theta.std(axis=0) / sd - 1).max() < 4 / np.sqrt(2 * n)
    correlation = exact.covariance / np.outer(sd, sd)
    assert np.abs(np.corrcoef(theta.T) - correlation).max() < 4.5 / np.sqrt(n)


def test_laplace_is_exact_where_the_posterior_is_normal(exact: SimpleNamespace) -> None:
    np.testing.assert_allclose(exact.fit.theta, exact.mean, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(exact.fit.covariance, exact.covariance, rtol=1e-7, atol=1e-10)
    draws = approximate_posterior(exact.fit, DRAWS, rng=np.random.default_rng(1), moves=0)
    assert draws.kind == "laplace"
    assert np.isnan(draws.acceptance)
    close_to_exact(draws.theta, exact)


def test_moves_leave_an_exact_posterior_as_it_is(exact: SimpleNamespace) -> None:
    draws = approximate_posterior(exact.fit, DRAWS, rng=np.random.default_rng(2), moves=12)
    assert draws.kind == "posterior"
    assert 0.5 < draws.acceptance < 1.0
    close_to_exact(draws.theta, exact)


def test_moves_correct_a_wrong_starting_point(exact: SimpleNamespace) -> None:
    # Laplace's normal shifted by half a standard deviation and twice as wide: only the acceptance
    # knows.
    sd = np.sqrt(np.diag(exact.covariance))
    wrong = dataclasses.replace(
        exact.fit, theta=exact.mean + 0.5 * sd, covariance=2.0 * exact.covariance
    )
    draws = approximate_posterior(wrong, DRAWS, rng=np.random.default_rng(3), moves=40)
    assert 0.3 < draws.acceptance < 0.99
    close_to_exact(draws.theta, exact)


def test_moves_correct_bounds_which_laplace_does_not_know(
    small: Model, make: SimpleNamespace
) -> None:
    # A half normal: mean sqrt(2 / pi) sd, standard deviation sqrt(1 - 2 / pi) sd.
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    priors = dataclasses.replace(priors, lower=np.array([0.0]))
    rows = make.table(make.row(value=10.0, grade="C"))
    one = make_likelihood(small, priors, rows, make.noise())
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=1)
    z = approximate_posterior(fit, DRAWS, rng=np.random.default_rng(4), moves=40).theta[:, 0]
    sd = 1 / np.sqrt(1 / 0.5**2 + 1 / 0.4**2)
    assert z.min() >= 0
    assert z.mean() == pytest.approx(np.sqrt(2 / np.pi) * sd, abs=4 * 0.6 * sd / np.sqrt(DRAWS))
    assert z.std() == pytest.approx(np.sqrt(1 - 2 / np.pi) * sd, rel=4 / np.sqrt(2 * DRAWS))


def test_a_censored_row_is_sampled_as_its_density_says(small: Model, make: SimpleNamespace) -> None:
    # One parameter, one lower bound: the density phi(z / 0.5) Phi((z - c) / 0.1), by quadrature.
    rows = make.table(make.row("lower", value=12.0))
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    one = make_likelihood(small, priors, rows, make.noise())
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=1)
    z = approximate_posterior(fit, DRAWS, rng=np.random.default_rng(5), moves=60).theta[:, 0]
    grid = np.linspace(-3, 3, 20001)
    density = stats.norm.pdf(grid, 0, 0.5) * stats.norm.cdf((grid - np.log(1.2)) / 0.1)
    density /= density.sum()
    mean = (grid * density).sum()
    sd = np.sqrt(((grid - mean) ** 2 * density).sum())
    # Chains may still be a little correlated with where they began; 5 standard errors.
    assert z.mean() == pytest.approx(mean, abs=5 * sd / np.sqrt(DRAWS))
    assert z.std() == pytest.approx(sd, rel=5 / np.sqrt(2 * DRAWS) * 1.5)


def test_the_same_seed_gives_the_same_bits(exact: SimpleNamespace) -> None:
    one, other = (
        approximate_posterior(exact.fit, 50, rng=np.random.default_rng(6), moves=3)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.theta, other.theta)


def test_draws_know_their_parameters_and_nuisances(exact: SimpleNamespace) -> None:
    draws = approximate_posterior(exact.fit, 20, rng=np.random.default_rng(7), moves=0)
    assert len(draws) == 20
    assert draws.labels == ("Level[East]", "Level[West]", "Factor")
    np.testing.assert_allclose(draws.values, np.exp(draws.theta[:, :3]), rtol=1e-15)
    np.testing.assert_array_equal(draws.nuisance("shock of 2015"), draws.theta[:, 5])
    assert draws.nuisance("shock of 1999") is None


def test_no_draw_that_can_be_simulated_is_an_error(small: Model, make: SimpleNamespace) -> None:
    priors = make.priors("Factor", mu=1.0, sigma=0.1, family="normal")
    one = make_likelihood(small, priors, make.table(make.row()), make.noise())
    fit = calibrate(one, rng=np.random.default_rng(0), starts=2, refine=1)
    # Negative output, whose log is no number.
    lost = dataclasses.replace(fit, theta=np.array([-5.0, 0.0]))
    with pytest.raises(CalibrationError, match="no draw of the posterior could be simulated"):
        approximate_posterior(lost, 10, rng=np.random.default_rng(0), moves=0)


# --- the prior --------------------------------------------------------------------------------


def test_prior_draws_have_the_priors_quantiles_and_stay_in_bounds(likelihood: Likelihood) -> None:
    draws = sample_prior(likelihood, DRAWS, rng=np.random.default_rng(8))
    lower, upper = likelihood.bounds()
    assert ((draws.theta >= lower) & (draws.theta <= upper)).all()
    priors = likelihood.priors
    for p in (0.1, 0.5, 0.9):
        below = (draws.values <= priors.quantiles(p)).mean(axis=0)
        # A binomial share; the largest of 93 parameters is within 4 standard errors.
        assert np.abs(below - p).max() < 4 * np.sqrt(p * (1 - p) / DRAWS)
    nuisances = draws.theta[:, likelihood.n_parameters :]
    assert np.abs(nuisances.mean(axis=0)).max() < 4 / np.sqrt(DRAWS)
    assert np.abs(nuisances.std(axis=0) - 1).max() < 4 / np.sqrt(2 * DRAWS)


def test_posterior_draws_of_the_study_stay_in_bounds(fit: Calibration) -> None:
    draws = approximate_posterior(fit, 40, rng=np.random.default_rng(9), moves=6)
    lower, upper = fit.likelihood.bounds()
    assert ((draws.theta >= lower) & (draws.theta <= upper)).all()
    assert np.isfinite(fit.likelihood.log_density(draws.theta)).all()
    assert 0.0 < draws.acceptance < 1.0
