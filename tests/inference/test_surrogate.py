"""A surrogate proposes, and the posterior stays what it is."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from beltcast import Likelihood, Model, approximate_posterior, calibrate, make_likelihood
from beltcast.engine.nodes import FloatArray
from beltcast.inference.sampling.censored_nuisances import completion
from beltcast.inference.sampling.surrogate import (
    Surrogate,
    _coefficients,
    _features,
    _reduced,
    _tuned,
    make_surrogate,
    may_have_surrogate,
)

POINTS = 400


@pytest.fixture(scope="module")
def one(small: Model, make: SimpleNamespace) -> Likelihood:
    """Three parameters that multiply: logs of answers are linear in the working values."""
    rows = [
        make.row(start=2014.0, value=11.0),
        make.row(start=2015.0, value=30.0, place="West", elements=("West",)),
    ]
    priors = make.priors(
        "Level[East]", "Level[West]", "Factor", mu=np.log([10.0, 20.0, 1.0]), sigma=[0.5, 0.5, 0.2]
    )
    return make_likelihood(small, priors, make.table(*rows), make.noise(year_shock=0.05))


@pytest.fixture(scope="module")
def linear(one: Likelihood) -> Surrogate:
    near = np.append(one.priors.mu, np.zeros(len(one.nuisances)))
    past = one.priors.draw(np.random.default_rng(1), POINTS)
    made = make_surrogate(one, near, past, np.diag(one.priors.sigma), one.answers)
    assert made is not None
    return made


def test_a_surrogate_of_linear_answers_is_the_posterior_with_nuisances_integrated_out(
    one: Likelihood, linear: Surrogate
) -> None:
    z = one.priors.draw(np.random.default_rng(2), 6)
    near = np.append(one.priors.mu, np.zeros(len(one.nuisances)))
    rule = one.nuisance_rule(near)
    # log p(z, u) - log p(u | z) is log p(z), whatever u is; u the mean has the constant density.
    theta = np.concatenate([z, rule.mean(one.answers(z))], axis=1)
    want = one.log_density(theta)
    found = linear.log_density(z)
    np.testing.assert_allclose(found - found[0], want - want[0], rtol=1e-4, atol=1e-3)


@pytest.fixture(scope="module")
def bounded(small: Model, make: SimpleNamespace) -> tuple[Likelihood, Surrogate]:
    """A number, and a bound that the prior crosses."""
    rows = make.table(
        make.row(start=2014.0, value=11.0),
        make.row("lower", value=25.0, place="West", elements=("West",)),
    )
    priors = make.priors("Level[East]", "Level[West]", mu=np.log([10.0, 20.0]), sigma=[0.5, 0.5])
    likelihood = make_likelihood(small, priors, rows, make.noise(year_shock=0.05))
    near = np.append(priors.mu, np.zeros(len(likelihood.nuisances)))
    past = priors.draw(np.random.default_rng(1), POINTS)
    made = make_surrogate(likelihood, near, past, np.diag(priors.sigma), likelihood.answers)
    assert made is not None
    return likelihood, made


def test_a_surrogate_knows_a_bound_by_its_probability_and_not_by_a_tangent(
    bounded: tuple[Likelihood, Surrogate],
) -> None:
    likelihood, made = bounded
    z = likelihood.priors.draw(np.random.default_rng(2), 8)
    near = np.append(likelihood.priors.mu, np.zeros(len(likelihood.nuisances)))
    # One bound beside numbers: the weight is the density of z, whatever is drawn.
    complete = completion(likelihood, near)
    want = complete(z, likelihood.answers(z), np.random.default_rng(3))[1]
    found = made.log_density(z)
    np.testing.assert_allclose(found - found[0], want - want[0], rtol=1e-3, atol=1e-2)


def test_the_gradient_is_the_slope(
    linear: Surrogate, bounded: tuple[Likelihood, Surrogate]
) -> None:
    step = 1e-6
    for made, x in ((linear, [0.3, -0.7, 1.1]), (bounded[1], [0.3, -1.7])):
        at = np.array([x])
        slopes = [
            (made._value(at + step * e)[0] - made._value(at - step * e)[0])[0] / (2 * step)
            for e in np.eye(len(x))
        ]
        np.testing.assert_allclose(made._value(at)[1][0], slopes, rtol=1e-6, atol=1e-7)


def test_a_surrogate_covers_the_posterior_although_walkers_have_hardly_moved(
    one: Likelihood,
) -> None:
    near = np.append(one.priors.mu, np.zeros(len(one.nuisances)))
    narrow = 0.2 * one.priors.sigma
    rng = np.random.default_rng(1)
    past = one.priors.mu + narrow * rng.standard_normal((POINTS, 3))
    made = make_surrogate(one, near, past, np.diag(narrow), one.answers)
    assert made is not None
    # Answers are linear: the posterior is normal, with the curvature of log p as its precision.
    jacobian = one.jacobian(near)[:, :3]
    rule = one.nuisance_rule(near)
    rows = len(rule.free)
    covariance = np.eye(rows) + rule.loadings @ rule.loadings.T
    slopes = jacobian[:rows]
    precision = slopes.T @ np.linalg.solve(covariance, slopes) + np.diag(one.priors.sigma**-2.0)
    want = np.sqrt(np.diag(np.linalg.inv(precision)))
    covered = np.sqrt((made.root**2).sum(axis=1))
    # Points stay within the first likeness's draws: 3,000 of them, correlated over a few records.
    np.testing.assert_allclose(covered, want, rtol=0.15)


def test_proposals_leave_the_surrogate_unchanged(linear: Surrogate) -> None:
    rng = np.random.default_rng(3)
    z = linear.center + rng.standard_normal((4000, 3)) @ linear.root.T
    for _ in range(12):
        z = linear.propose(z, rng)
    first = z
    for _ in range(12):
        z = linear.propose(z, rng)
    sd = first.std(axis=0)
    assert np.abs((z.mean(axis=0) - first.mean(axis=0)) / sd).max() < 5 * np.sqrt(2 / 4000)
    assert np.abs(z.std(axis=0) / sd - 1).max() < 5 / np.sqrt(4000)


def test_draws_with_a_poor_surrogate_are_still_of_the_posterior(
    small: Model, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lower bound: the density phi(z / 0.5) Phi((z - c) / 0.1), by quadrature."""

    def poor(*arguments: object) -> Surrogate | None:
        made = make_surrogate(*arguments)  # type: ignore[arg-type]
        assert made is not None
        middle: FloatArray = made.center + 0.3
        return Surrogate(**{**vars(made), "center": middle})

    monkeypatch.setattr("beltcast.inference.sampling.walker_density.make_surrogate", poor)
    rows = make.table(make.row("lower", value=12.0))
    likelihood = make_likelihood(
        small, make.priors("Factor", mu=0.0, sigma=0.5), rows, make.noise()
    )
    fit = calibrate(likelihood, rng=np.random.default_rng(0), starts=4, refine=1)
    z = approximate_posterior(fit, 1600, rng=np.random.default_rng(5)).theta[:, 0]
    grid = np.linspace(-3, 3, 20001)
    density = stats.norm.pdf(grid, 0, 0.5) * stats.norm.cdf((grid - np.log(1.2)) / 0.1)
    density /= density.sum()
    mean = (grid * density).sum()
    sd = np.sqrt(((grid - mean) ** 2 * density).sum())
    # At least 500 effective draws: 4 standard errors.
    assert z.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(500))
    assert z.std() == pytest.approx(sd, rel=4 / np.sqrt(1000))


@pytest.mark.parametrize(("most", "may"), [(1, True), (0, False)])
def test_a_surrogate_is_of_as_many_parameters_as_are_said_and_no_more(
    small: Model, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, most: int, may: bool
) -> None:
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    likelihood = make_likelihood(small, priors, make.table(make.row()), make.noise())
    monkeypatch.setattr("beltcast.inference.sampling.surrogate.MOST_MOVED", most)
    assert may_have_surrogate(likelihood) == may


def test_counts_and_estimated_scales_have_no_surrogate(small: Model, make: SimpleNamespace) -> None:
    rows = make.table(make.row())
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    assert may_have_surrogate(make_likelihood(small, priors, rows, make.noise()))
    assert not may_have_surrogate(
        make_likelihood(small, priors, rows, make.noise(error_scale_sd=0.5))
    )


def test_a_polynomial_is_taken_apart_into_its_terms() -> None:
    """f = 5 + 2x - 3y + 7x^2 + 11xy - 13y^2, and another."""
    one, other = np.triu_indices(2)
    flat = np.array([[5.0, 2.0, -3.0, 7.0, 11.0, -13.0], [1.0, 0.0, 4.0, 0.0, -6.0, 8.0]]).T
    constant, linear, quadratic = _coefficients(flat, 2, one, other)
    x = np.array([0.5, -2.0])
    bend = (x @ quadratic).reshape(2, 2)
    expected = [5 + 1 + 6 + 7 / 4 - 11 - 13 * 4, 1 - 8 + 6 + 8 * 4]
    np.testing.assert_allclose(constant + x @ linear + x @ bend, expected)
    np.testing.assert_allclose((_features(x[None], one, other) @ flat)[0], expected)


def test_few_residuals_have_the_squares_of_many_up_to_a_constant() -> None:
    """Ten residuals, of which a combination varies and the others only by a hundredth."""
    rng = np.random.default_rng(6)
    one, other = np.triu_indices(2)
    x = rng.standard_normal((400, 2))
    of_rows = np.outer(np.array([0.0, 1.0, -2.0, 0.0, 0.0, 0.0]), rng.standard_normal(10))
    of_rows += 1e-3 * rng.standard_normal(of_rows.shape)
    of_rows[0] = np.linspace(3.0, -4.0, 10)  # their means are not 0
    fewer, kept = _reduced(of_rows, x, one, other)
    assert kept == 1
    features = _features(x, one, other)
    density = -0.5 * ((features @ of_rows) ** 2).sum(axis=1)
    short = -0.5 * ((features @ fewer[:, :1]) ** 2).sum(axis=1) + features @ fewer[:, 1]
    away = density - short
    assert density.std() > 1.0
    assert np.ptp(away) < 1e-3


@pytest.mark.parametrize(("accepted", "step"), [(1.0, 0.1 * np.exp(1.5)), (0.75, 0.1), (0.0, 0.01)])
def test_the_step_of_trajectories_grows_while_more_than_three_in_four_are_accepted(
    linear: Surrogate, monkeypatch: pytest.MonkeyPatch, accepted: float, step: float
) -> None:
    """Twelve times by exp((accepted - 3/4) / 2), no further than from 0.01 to 0.6."""
    monkeypatch.setattr(Surrogate, "_moved", lambda one, z, rng, steps: (z, accepted))
    start = dataclasses.replace(linear, step=0.1)
    tuned = _tuned(start, np.zeros((2, 2)), np.random.default_rng(0))
    assert tuned.step == pytest.approx(step)


def test_a_step_stays_below_its_limit(linear: Surrogate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Surrogate, "_moved", lambda one, z, rng, steps: (z, 1.0))
    assert _tuned(linear, np.zeros((2, 2)), np.random.default_rng(0)).step == 0.6
