"""Three optimisers, one answer; and what they do where the model has none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from beltcast import Likelihood, Model, calibrate, make_likelihood
from beltcast.errors import CalibrationError
from beltcast.inference.likelihood import BLAME
from beltcast.inference.optimise import FitMethod, optimise

METHODS = get_args(FitMethod)


def linear(small: Model, make: SimpleNamespace) -> Likelihood:
    rows = [make.row(start=2014.0 + k, value=v) for k, v in enumerate((11.0, 12.5, 14.0))]
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    return make_likelihood(small, priors, make.table(*rows), make.noise(year_shock=0.05))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_solves_a_linear_problem(
    small: Model, make: SimpleNamespace, method: FitMethod
) -> None:
    one = linear(small, make)
    fit = calibrate(one, rng=np.random.default_rng(0), starts=8, refine=3, method=method)
    # A year's shock of 0.05 stands beside each observation's 0.1: precision-weighted mean.
    v = 0.1**2 + 0.05**2
    precision = 1 / 0.5**2 + 3 / v
    mean = np.log(np.array([1.1, 1.25, 1.4])).sum() / v / precision
    assert fit.theta[0] == pytest.approx(mean, rel=1e-5)
    assert fit.covariance[0, 0] == pytest.approx(1 / precision, rel=1e-6)
    assert fit.converged.all()
    assert fit.method == method


@pytest.mark.parametrize("method", METHODS)
def test_a_start_in_the_part_where_the_model_fails_finds_its_way_back(
    small: Model, make: SimpleNamespace, method: FitMethod
) -> None:
    # Below 0 there is no log of output; the prior is centred at 1 and the observations say 1.1.
    priors = make.priors("Factor", mu=1.0, sigma=1.0, family="normal")
    one = make_likelihood(small, priors, make.table(make.row(value=11.0)), make.noise())
    lost = np.array([[-2.5, 0.3]])
    there, nearer = one.residuals(lost)[0], one.residuals(lost + np.array([[0.5, 0.0]]))[0]
    assert np.isfinite(there).all()
    assert there[0] == BLAME
    assert there @ there > nearer @ nearer  # it slopes towards the centre of the prior
    found = optimise(one, lost, method, rng=np.random.default_rng(1))
    assert found.theta[0] == pytest.approx(1.1, abs=0.02)
    assert found.cost < 1.0


@pytest.mark.parametrize("method", METHODS)
def test_costs_are_those_of_all_evaluations_and_come_down(
    small: Model, make: SimpleNamespace, method: FitMethod
) -> None:
    one = linear(small, make)
    far = np.append([1.5], np.zeros(one.size - 1))[None]
    found = optimise(one, far, method, rng=np.random.default_rng(1))
    r = one.residuals(far)[0]
    # A population holds its starts in the first of its generations, at nuisances given parameters.
    assert found.costs[0] <= 0.5 * float(r @ r)
    assert found.costs[-1] == pytest.approx(found.cost)
    # A linear problem takes two steps; a population is evaluated once a generation before them.
    assert len(found.costs) >= {"least_squares": 2, "differential_evolution": 10}[method]


def two_valleys(small: Model, make: SimpleNamespace) -> Likelihood:
    # Under tails as heavy as Cauchy's, two observations that contradict each other are two valleys.
    rows = [make.row(start=2014.0, value=5.0), make.row(start=2015.0, value=20.0)]
    priors = make.priors("Factor", mu=0.5, sigma=0.7)
    return make_likelihood(small, priors, make.table(*rows), make.noise(tails=1.0))


def test_a_population_leaves_a_valley_that_a_descent_stays_in(
    small: Model, make: SimpleNamespace
) -> None:
    one = two_valleys(small, make)
    shallow, deep = np.log(0.5), np.log(2.0)
    starts = np.array([[shallow, 0.0]])
    ends = {m: optimise(one, starts, m, rng=np.random.default_rng(2)).theta[0] for m in METHODS}
    assert ends["least_squares"] == pytest.approx(shallow, abs=0.05)
    assert ends["differential_evolution"] == pytest.approx(deep, abs=0.05)


def test_two_optima_are_told_apart_and_counted(small: Model, make: SimpleNamespace) -> None:
    one = two_valleys(small, make)
    fit = calibrate(one, rng=np.random.default_rng(0), starts=16, refine=12)
    table = fit.clusters()
    assert table["starts"].sum() == 12
    assert len(table) == 2
    assert table["cost"].is_monotonic_increasing
    assert table.loc[0, "distance"] == 0.0
    assert table.loc[1, "furthest"] == "Factor"
    # The prior is centred above 1, so the valley at 2 is the deeper one.
    assert fit.theta[0] == pytest.approx(np.log(2.0), abs=0.05)


def test_the_history_has_every_start_and_every_evaluation(
    small: Model, make: SimpleNamespace
) -> None:
    one = linear(small, make)
    fit = calibrate(one, rng=np.random.default_rng(0), starts=8, refine=2)
    table = fit.history()
    assert table["start"].nunique() == 8
    assert len(table) == 8 + fit.evaluations.sum()
    first = table[table["evaluation"] == 0]["cost"]
    np.testing.assert_array_equal(first, fit.start_costs)
    for start, reached in zip(fit.refined, fit.refined_costs, strict=True):
        assert table[table["start"] == start]["cost"].min() == pytest.approx(reached, rel=1e-9)


def test_a_population_is_the_same_from_the_same_seed(small: Model, make: SimpleNamespace) -> None:
    one = two_valleys(small, make)
    fits = [
        calibrate(
            one, rng=np.random.default_rng(4), starts=8, method="differential_evolution", threads=k
        )
        for k in (1, 2)
    ]
    np.testing.assert_array_equal(fits[0].theta, fits[1].theta)
    np.testing.assert_array_equal(fits[0].history(), fits[1].history())


def test_an_unknown_method_is_refused(small: Model, make: SimpleNamespace) -> None:
    with pytest.raises(CalibrationError, match="unknown method of calibration 'powell'"):
        calibrate(linear(small, make), rng=np.random.default_rng(0), starts=2, method="powell")  # type: ignore[arg-type]
