"""Power-scaling, held against normal posteriors, where every power is a normal again."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import norm

from beltcast import Model, make_likelihood
from beltcast.errors import InputError
from beltcast.inference.audit.power_scaling import (
    ALPHA,
    LIKELIHOOD,
    NUISANCES,
    _sensitivity,
    log_parts,
)
from beltcast.inference.audit.power_scaling import (
    power_scaling as power_scaling_of,
)
from beltcast.inference.sampling.posterior import Draws
from beltcast.inference.sampling.psis import smoothed
from beltcast.study.noise import Definition


def power_scaling(values: xr.DataArray, parts: dict[str, np.ndarray]) -> pd.DataFrame:
    return power_scaling_of(values, parts, rng=np.random.default_rng(0))


Z = norm.ppf((np.arange(4000) + 0.5) / 4000)  # normal draws without chance


def answers(*columns: np.ndarray) -> xr.DataArray:
    names = [f"a{k}" for k in range(len(columns))]
    return xr.DataArray(np.stack(columns, axis=1), {"answer": names}, ("member", "answer"))


def normal_case(prior_mean: float, prior_sd: float, figure: float, figure_sd: float):
    """Posterior draws of a normal mean, and the log density of both factors there."""
    precision = prior_sd**-2 + figure_sd**-2
    mean = (prior_mean / prior_sd**2 + figure / figure_sd**2) / precision
    theta = mean + Z / np.sqrt(precision)
    parts = {
        LIKELIHOOD: -0.5 * ((figure - theta) / figure_sd) ** 2,
        "prior": -0.5 * ((theta - prior_mean) / prior_sd) ** 2,
    }
    return theta, parts


def exact_shift(m0: float, s0: float, y: float, s: float) -> float:
    """Shift of the posterior mean per doubling of the prior's power, in posterior sds."""

    def mean(alpha: float) -> float:
        return (alpha * m0 / s0**2 + y / s**2) / (alpha / s0**2 + 1 / s**2)

    return (mean(ALPHA) - mean(1 / ALPHA)) * np.sqrt(s0**-2 + s**-2) / (2.0 * np.log2(ALPHA))


@pytest.mark.parametrize("case", [(0.0, 1.0, 1.0, 1.0), (0.0, 0.5, 2.0, 1.0), (0.0, 2.0, 3.0, 0.5)])
def test_the_posterior_mean_moves_as_the_powered_prior_says(case: tuple[float, ...]) -> None:
    theta, parts = normal_case(*case)
    table = power_scaling(answers(theta), parts)
    # 4000 quantiles cut the tails off at 3.7 standard deviations: 0.02 is ample for that.
    assert table.loc[("a0", "prior"), "shift"] == pytest.approx(exact_shift(*case), abs=0.02)


def distance(values: np.ndarray, weights: np.ndarray) -> float:
    """Distance of weighted from equal draws, from the slope per doubling of the power."""
    return float(_sensitivity(values[None], weights, weights)[0] * np.log2(ALPHA))


def test_the_distance_is_the_integral_of_its_definition() -> None:
    values = np.array([0.0, 1.0, 2.0, 3.0])
    assert distance(values, np.full(4, 0.25)) == pytest.approx(0.0, abs=1e-12)
    # All weight on the first against 1/4 each: P = 1/4, 1/2, 3/4, Q = 1 on three unit bins, so the
    # integrals of the definition are sums of three; mirrored, P = 3/4, 1/2, 1/4 and Q = 0.
    p = np.array([0.25, 0.5, 0.75])
    one = (p * np.log2(2 * p / (p + 1)) + np.log2(2 / (p + 1))).sum() / (p + 1).sum()
    mirrored = 1.0  # P log2(2) over P: the largest distance there is
    assert distance(values, np.array([1.0, 0.0, 0.0, 0.0])) == pytest.approx(
        max(np.sqrt(one), mirrored)
    )


def test_the_threshold_is_a_quarter_of_a_standard_deviation_a_doubling() -> None:
    sd = 0.235 * np.log2(ALPHA)
    tilted = np.exp(sd * Z)
    found = distance(Z, tilted / tilted.sum())
    assert found / np.log2(ALPHA) == pytest.approx(0.05, abs=0.002)


def test_a_prior_that_the_observations_contradict_is_a_conflict() -> None:
    theta, parts = normal_case(0.0, 1.0, 5.0, 1.0)
    assert power_scaling(answers(theta), parts).loc[("a0", "prior"), "diagnosis"] == (
        "prior-data conflict"
    )


def test_a_prior_without_data_is_strong_and_a_wide_one_harmless() -> None:
    theta, parts = normal_case(0.0, 0.5, 0.1, 10.0)
    strong = power_scaling(answers(theta), parts).loc[("a0", "prior")]
    assert strong["diagnosis"] == "strong prior"
    theta, parts = normal_case(0.0, 10.0, 0.1, 0.5)
    assert power_scaling(answers(theta), parts).loc[("a0", "prior"), "diagnosis"] == ""


def test_an_answer_that_a_prior_does_not_touch_does_not_move() -> None:
    grid = norm.ppf((np.arange(64) + 0.5) / 64)
    one, other = (axis.ravel() for axis in np.meshgrid(grid, grid))
    parts = {LIKELIHOOD: 0 * one, "of one": -0.5 * one**2}
    table = power_scaling(answers(one, other), parts)
    assert table.loc[("a0", "of one"), "sensitivity"] > 0.05
    # Ties on the grid are smoothed by their order, hence not exactly nothing.
    assert table.loc[("a1", "of one"), "sensitivity"] < 0.01
    assert table.loc[("a0", LIKELIHOOD), "sensitivity"] == 0.0


def test_what_chance_does_is_not_told_as_a_move() -> None:
    # 200 answers that have nothing to do with a part of standard deviation 3: one in 20 exceeds its
    # noise, with a standard error of sqrt(0.05 * 0.95 / 200) = 0.015; 0.11 is 4 of them.
    rng = np.random.default_rng(4)
    values = answers(*rng.standard_normal((200, 300)))
    parts = {LIKELIHOOD: np.zeros(300), "prior": 3.0 * rng.standard_normal(300)}
    table = power_scaling(values, parts).xs("prior", level="part")
    assert (table["sensitivity"] > 0.05).mean() > 0.3  # told as moves without it
    assert (table["diagnosis"] != "").mean() < 0.11


def test_a_likelihood_that_cannot_be_weighted_makes_no_conflict() -> None:
    theta, parts = normal_case(0.0, 1.0, 5.0, 1.0)
    wild = {**parts, LIKELIHOOD: 200.0 * np.exp(np.abs(theta))}
    told = power_scaling(answers(theta), wild).loc[("a0", "prior"), "diagnosis"]
    assert told == "moved, likelihood unclear"


def test_draws_without_an_answer_are_left_out() -> None:
    theta, parts = normal_case(0.0, 1.0, 1.0, 1.0)
    holed = np.where(np.arange(len(theta)) % 7 == 0, np.nan, theta)
    table = power_scaling(answers(holed), parts)
    exact = exact_shift(0.0, 1.0, 1.0, 1.0)
    assert table.loc[("a0", "prior"), "shift"] == pytest.approx(exact, abs=0.02)
    with pytest.raises(InputError, match="take more draws"):
        power_scaling(answers(np.nan * theta), parts)
    with pytest.raises(InputError, match="expected 'likelihood'"):
        power_scaling(answers(theta), {"prior": parts["prior"]})


def test_weights_of_a_narrow_sample_for_a_wide_target_are_refused() -> None:
    # Target N(0, 1) from N(0, s^2): the weights have a Pareto tail of shape 1 - s^2.
    rng = np.random.default_rng(2)
    for s, low, high in ((0.4, 0.7, 1.0), (0.9, -0.1, 0.5)):
        z = s * rng.standard_normal(20000)
        k = smoothed(-0.5 * z**2 + 0.5 * (z / s) ** 2).k
        assert low < k < high
    theta, parts = normal_case(0.0, 1.0, 1.0, 1.0)
    wild = {LIKELIHOOD: parts[LIKELIHOOD], "prior": 200.0 * np.exp(np.abs(theta))}
    assert power_scaling(answers(theta), wild).loc[("a0", "prior"), "diagnosis"] == (
        "weights too poor"
    )


def test_the_parts_are_the_posterior(small: Model, make: SimpleNamespace) -> None:
    definitions = {
        "full": Definition("Full scope", 0.0, 0.0, 0.0),
        "wide": Definition("Wide scope", 0.5, 0.0, 0.0),
    }
    rows = [make.row(value=11.0), make.row(start=2015.0, value=14.0, definition="wide")]
    priors = make.priors("Level[East]", "Factor", mu=np.log([10.0, 1.0]), sigma=[0.5, 0.2])
    likelihood = make_likelihood(
        small, priors, make.table(*rows), make.noise(definitions=definitions)
    )
    rng = np.random.default_rng(3)
    theta = np.append(priors.mu, np.zeros(2)) + 0.3 * rng.standard_normal((50, likelihood.size))
    parts = log_parts(Draws(likelihood, theta, "posterior"), by="parameter")
    assert list(parts) == [LIKELIHOOD, "Level[East]", "Factor", NUISANCES]
    np.testing.assert_allclose(sum(parts.values()), likelihood.log_density(theta), atol=1e-12)
    own = norm.logpdf(theta[:, 1], 0.0, 0.2)
    np.testing.assert_allclose(np.diff(parts["Factor"]), np.diff(own), atol=1e-12)
    # log 11 and log 14 with errors of 0.1; the second is also off by its offset, u of 0.5.
    both = norm.logpdf(np.log(11.0), theta[:, 0] + theta[:, 1], 0.1) + norm.logpdf(
        np.log(14.0), theta[:, 0] + theta[:, 1] + 0.5 * theta[:, 2], 0.1
    )
    np.testing.assert_allclose(np.diff(parts[LIKELIHOOD]), np.diff(both), atol=1e-8)
    with pytest.raises(InputError, match="not by 'belt'"):
        log_parts(Draws(likelihood, theta, "posterior"), by="belt")
