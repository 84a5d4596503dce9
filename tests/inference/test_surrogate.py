"""A surrogate proposes, and the posterior stays what it is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from beltcast import Likelihood, Model, approximate_posterior, calibrate, make_likelihood
from beltcast.engine.nodes import FloatArray
from beltcast.inference.sampling.surrogate import Surrogate, make_surrogate, may_have_surrogate

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


def test_the_gradient_is_the_slope(linear: Surrogate) -> None:
    x = np.array([[0.3, -0.7, 1.1]])
    step = 1e-6
    slopes = [
        (linear._value(x + step * e)[0] - linear._value(x - step * e)[0])[0] / (2 * step)
        for e in np.eye(3)
    ]
    np.testing.assert_allclose(linear._value(x)[1][0], slopes, rtol=1e-6, atol=1e-7)


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
    z = approximate_posterior(fit, 8000, rng=np.random.default_rng(5)).theta[:, 0]
    grid = np.linspace(-3, 3, 20001)
    density = stats.norm.pdf(grid, 0, 0.5) * stats.norm.cdf((grid - np.log(1.2)) / 0.1)
    density /= density.sum()
    mean = (grid * density).sum()
    sd = np.sqrt(((grid - mean) ** 2 * density).sum())
    # At least 1,000 effective draws: 4 standard errors.
    assert z.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(1000))
    assert z.std() == pytest.approx(sd, rel=4 / np.sqrt(2000))


def test_counts_and_estimated_scales_have_no_surrogate(small: Model, make: SimpleNamespace) -> None:
    rows = make.table(make.row())
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    assert may_have_surrogate(make_likelihood(small, priors, rows, make.noise()))
    assert not may_have_surrogate(
        make_likelihood(small, priors, rows, make.noise(error_scale_sd=0.5))
    )
