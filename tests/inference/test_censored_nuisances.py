"""Nuisances drawn with the observations that are cut off: against integrals that are known."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm, truncnorm

from beltcast import Model, make_likelihood
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.censored_nuisances import (
    _cut_normal,
    _with_observations,
    bounded_rows,
    completion,
)
from beltcast.study.noise import Definition

OFFSET, OWN = 0.3, 0.1  # standard deviations of the definition "wide" and of a row


@pytest.fixture(scope="module")
def of(small: Model, make: SimpleNamespace):
    """Likelihood of rows of the definition "wide", whose offset they share; one parameter."""

    def build(*rows: object, **noise: object) -> Likelihood:
        definitions = {"wide": Definition("Wide scope", OFFSET, 0.0, 0.0)}
        priors = make.priors("Factor", mu=0.0, sigma=0.5)
        rows = [dataclasses.replace(row, definition="wide") for row in rows]
        return make_likelihood(
            small, priors, make.table(*rows), make.noise(definitions=definitions, **noise)
        )

    return build


def weights(
    one: Likelihood, z: list[float], draws: int, seed: int = 1, *, observations: bool = False
):
    """Unknowns and log weights at each z, (len(z), draws, ...)."""
    many = np.repeat(z, draws)[:, None]
    rows = bounded_rows(one, nothing(one))
    assert rows is not None
    complete = _with_observations(one, rows) if observations else completion(one, nothing(one))
    theta, weight = complete(many, one.answers(many), np.random.default_rng(seed))
    return theta.reshape(len(z), draws, -1), weight.reshape(len(z), draws)


def nothing(one: Likelihood) -> np.ndarray:
    """Every unknown at its centre."""
    return np.zeros(one.size)


def gaps(values: list[float], z: float) -> np.ndarray:
    """Logs of what was published less what East's output of 10 times exp(z) makes expected."""
    return np.log(values) - np.log(10.0) - z


def test_beside_a_number_a_bound_has_its_closed_form_and_nothing_is_left_to_chance(
    of, make: SimpleNamespace
) -> None:
    # Number d1 ~ N(0, o^2 + s^2); the observation of the bound given d1 is normal again.
    one = of(make.row(value=12.0), make.row("lower", start=2016.0, value=11.0))
    z = [-0.4, 0.0, 0.5]
    weight = weights(one, z, 50)[1]
    total, shared = OFFSET**2 + OWN**2, OFFSET**2
    expected = []
    for at in z:
        number, bound = gaps([12.0, 11.0], at)
        middle, sd = shared / total * number, np.sqrt(total - shared**2 / total)
        prior = norm.logpdf(at, scale=0.5)
        log_p = norm.logpdf(number, scale=np.sqrt(total)) + norm.logsf(bound, middle, sd)
        expected.append(log_p + prior)
    assert np.ptp(weight, axis=1).max() < 1e-11
    found = weight[:, 0] - weight[0, 0]
    np.testing.assert_allclose(found, np.array(expected) - expected[0], rtol=1e-11)


def test_a_rounded_number_has_the_probability_of_its_interval(of, make: SimpleNamespace) -> None:
    one = of(dataclasses.replace(make.row(value=12.0), within=(11.5, 12.5)))
    z = [-0.2, 0.15, 0.9]
    weight = weights(one, z, 20)[1]
    sd = np.hypot(OFFSET, OWN)
    expected = [
        np.log(np.diff(norm.cdf(gaps([11.5, 12.5], at), scale=sd))[0]) + norm.logpdf(at, scale=0.5)
        for at in z
    ]
    assert np.ptp(weight, axis=1).max() < 1e-10
    found = weight[:, 0] - weight[0, 0]
    np.testing.assert_allclose(found, np.array(expected) - expected[0], rtol=1e-9)


def test_bounds_that_share_an_offset_have_the_probability_of_their_box_in_the_mean(
    of, make: SimpleNamespace
) -> None:
    one = of(
        make.row("lower", value=11.0),
        make.row("lower", start=2016.0, value=12.0),
        make.row("upper", start=2018.0, value=14.0),
    )
    z, sign = [-0.3, 0.2, 0.6], np.array([1.0, 1.0, -1.0])
    weight = weights(one, z, 20_000, observations=True)[1]
    covariance = (OFFSET**2 + OWN**2 * np.eye(3)) * np.outer(sign, sign)
    expected = np.array(
        [
            np.log(multivariate_normal.cdf(-sign * gaps([11.0, 12.0, 14.0], at), cov=covariance))
            + norm.logpdf(at, scale=0.5)
            for at in z
        ]
    )
    found = logsumexp(weight, axis=1)
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=0.02)
    # Nothing but bounds that contradict each other: here tangents vary less, and are taken.
    taken = weights(one, z, 20_000)[1]
    by_tangents = logsumexp(taken, axis=1)
    np.testing.assert_allclose(by_tangents - by_tangents[0], expected - expected[0], atol=0.02)
    assert taken.std(axis=1).max() < 0.3 < weight.std(axis=1).min()


def test_nuisances_are_those_of_the_cut_normal(of, make: SimpleNamespace) -> None:
    # p(u | z) is proportional to N(u) N(number; u) Phi(bound; u): its moments by quadrature.
    one = of(make.row(value=9.0), make.row("lower", start=2016.0, value=11.0))
    theta, _ = weights(one, [0.0], 40_000)
    u = theta[0, :, list(one.labels).index("offset of East, wide")]
    number, bound = gaps([9.0, 11.0], 0.0)

    def density(x: float, power: int) -> float:
        likely = norm.pdf(number, OFFSET * x, OWN) * norm.sf(bound, OFFSET * x, OWN)
        return float(x**power * norm.pdf(x) * likely)

    norming, first, second = (quad(density, -8, 8, args=(k,), epsabs=1e-14)[0] for k in range(3))
    mean, sd = first / norming, np.sqrt(second / norming - (first / norming) ** 2)
    assert u.mean() == pytest.approx(mean, abs=4.5 * sd / 200)
    assert u.std() == pytest.approx(sd, rel=4.5 / np.sqrt(2 * 40_000))


def test_a_season_makes_weights_vary_little(of, make: SimpleNamespace) -> None:
    rows = [make.row("part-year", end=2014.5, value=4.0), make.row("lower", value=9.0)]
    one = of(*rows, season_mean=0.1, season_sd=0.1)
    weight = weights(one, [0.0], 2000)[1]
    assert 0 < weight.std() < 0.05


def test_what_is_outside_a_prior_or_cannot_be_simulated_has_no_density(
    small: Model, make: SimpleNamespace
) -> None:
    priors = make.priors("Factor", mu=0.0, sigma=0.5, bound=1.0)
    one = make_likelihood(small, priors, make.table(make.row("lower")), make.noise())
    complete = completion(one, nothing(one))
    assert completion(one, np.array([1.5, 0.0])) is not None  # nor is an impossible start a fault
    z = np.array([[0.0], [1.5], [0.0]])
    answers = one.answers(z)
    answers[2] = np.nan
    theta, weight = complete(z, answers, np.random.default_rng(1))
    np.testing.assert_array_equal(np.isfinite(weight), [True, False, False])
    assert np.isfinite(theta).all()


@given(
    st.floats(-40, 40),
    st.floats(1e-6, 80),
    st.sampled_from(["box", "from", "to"]),
    st.floats(1e-9, 1 - 1e-9),
)
def test_a_cut_normal_stays_in_its_interval(
    lower: float, width: float, kind: str, chance: float
) -> None:
    low = -np.inf if kind == "to" else lower
    high = np.inf if kind == "from" else lower + width
    drawn, log_p = _cut_normal(*(np.array([x]) for x in (low, high, chance)))
    assert low <= drawn[0] <= high
    assert np.isfinite(log_p[0])
    assert log_p[0] <= 0.0
    if max(low, -high) < 5:
        # SciPy's own, from the other end where it is cut off below zero.
        usual = truncnorm.ppf(1 - chance if low > -high else chance, low, high)
        assert drawn[0] == pytest.approx(usual, rel=1e-5, abs=1e-5)
