"""The discrepancy of a model against the recursions of Kalman and of Rauch, Tung and Striebel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import multivariate_normal

from beltcast import Likelihood, Model, Streams, make_likelihood
from beltcast.errors import CalibrationError
from beltcast.inference.discrepancy import ALL, DISCREPANCY, paths
from beltcast.inference.updating.carry_draws import predictive
from beltcast.study.noise import Discrepancy

PROCESS = Discrepancy(0.05, 0.08, 0.04, 0.06, 0.7)
LEVELS = {2014.0: 11.0, 2015.0: 14.0, 2016.25: 3.1, 2018.0: 9.0, 2019.0: 9.5}
START = 2013.0


def likely(small: Model, make: SimpleNamespace, *rows, process=PROCESS) -> Likelihood:
    priors = make.priors("Level", "Factor", mu=[np.log(10.0), 0.0], sigma=[0.5, 0.3])
    return make_likelihood(small, priors, make.table(*rows), make.noise(discrepancy=process))


def of_the_whole(make: SimpleNamespace, kind: str = "level", start: float = 2014.0, **fields):
    return make.row(kind, start, place="All", elements=("East", "West"), **fields)


# --- an oracle: continuous time, discretised by Van Loan's matrix exponential ---------------------


def transition(gap: float, level: float, growth: float, damping: float):
    """Matrix and covariance of (D, r) over a time, from the differential equation alone."""
    rate = -np.log(damping)
    drift = np.array([[0.0, 1.0], [0.0, -rate]])
    noise = np.diag([level**2, 2.0 * rate * growth**2])
    both = np.block([[-drift, noise], [np.zeros((2, 2)), drift.T]]) * gap
    whole = expm(both)
    step = whole[2:, 2:].T
    return step, step @ whole[:2, 2:]


def kalman(times, gaps, sds, level: float, growth: float, damping: float, ahead=()):
    """Log likelihood of gaps (NaN: none), and mean and variance of D at later times."""
    state, cov = np.zeros(2), np.diag([0.0, growth**2])
    before, total, later = START, 0.0, []
    for time, gap, sd in [*zip(times, gaps, sds, strict=True), *((t, np.nan, 1.0) for t in ahead)]:
        step, noise = transition(time - before, level, growth, damping)
        state, cov, before = step @ state, step @ cov @ step.T + noise, time
        if np.isnan(gap):
            later.append((state[0], cov[0, 0]))
            continue
        variance = cov[0, 0] + sd**2
        total -= 0.5 * (np.log(2.0 * np.pi * variance) + (gap - state[0]) ** 2 / variance)
        gain = cov[:, 0] / variance
        state, cov = state + gain * (gap - state[0]), cov - np.outer(gain, cov[0])
    return total, np.array(later)


def of_all(one: Likelihood) -> dict[str, float]:
    process = one.noise.discrepancy
    return {
        "level": process.level_common,
        "growth": process.growth_common,
        "damping": process.damping,
    }


def test_the_marginal_likelihood_is_that_of_a_kalman_filter(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [of_the_whole(make, start=t, value=v) for t, v in LEVELS.items()]
    one = likely(small, make, *rows)
    z = np.array([[np.log(10.0), 0.0]])
    gaps = (one.published - one.answers(z))[0]
    covariance = one.loadings @ one.loadings.T + np.diag(one.sds**2)
    found = multivariate_normal(np.zeros(len(rows)), covariance).logpdf(gaps)
    times = np.array(list(LEVELS)) + 0.5
    want, _ = kalman(times, gaps, one.sds, **of_all(one))
    assert found == pytest.approx(want, rel=1e-10)


def test_rows_to_come_have_the_mean_and_covariance_of_a_kalman_filter(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [of_the_whole(make, start=t, value=v) for t, v in LEVELS.items()]
    rows += [of_the_whole(make, start=t, value=1.0) for t in (2020.0, 2022.0)]
    one = likely(small, make, *rows)
    z = np.array([[np.log(10.0), 0.0]])
    answers = one.answers(z)[0]
    asked = np.arange(len(rows)) >= len(LEVELS)
    found = predictive(one, asked, z, np.zeros(one.size))
    gaps = (one.published - answers)[: len(LEVELS)]
    times = np.array(list(LEVELS)) + 0.5
    _, later = kalman(times, gaps, one.sds[:5], **of_all(one), ahead=[2020.5, 2022.5])
    np.testing.assert_allclose(found.middle[0] - answers[asked], later[:, 0], rtol=1e-10)
    np.testing.assert_allclose(
        np.diag(found.covariance), later[:, 1] + one.sds[asked] ** 2, rtol=1e-10
    )


def test_paths_go_on_from_the_innovations_as_a_kalman_filter_does(
    small: Model, make: SimpleNamespace
) -> None:
    # Levels known exactly: the filter without noise of rows.
    rows = [of_the_whole(make, start=t, value=v) for t, v in LEVELS.items()]
    one = likely(small, make, *rows)
    gaps = np.array([0.05, 0.12, 0.2, 0.35, 0.31])
    units = np.linalg.solve(one.loadings, gaps)
    n, ahead = 20000, np.array([2019.5, 2020.5, 2024.5])
    drawn = dict(zip(one.nuisances, np.tile(units[:, None], n), strict=False))
    found = paths(
        small, rows, one.noise, drawn, places=["All"], whole="All", dates=ahead, rng=Streams(1)
    )[:, 0]
    times = np.array(list(LEVELS)) + 0.5
    _, later = kalman(times, gaps, np.full(5, 1e-9), **of_all(one), ahead=ahead[1:])
    # The level that is known is kept.
    np.testing.assert_allclose(found[:, 0], gaps[-1], atol=1e-7)
    sd = np.sqrt(later[:, 1])
    np.testing.assert_allclose(found[:, 1:].mean(axis=0), later[:, 0], atol=4 * sd[1] / n**0.5)
    np.testing.assert_allclose(found[:, 1:].std(axis=0), sd, rtol=4 / np.sqrt(2 * n))


def test_a_forecast_starts_from_the_last_level_and_its_momentum_is_damped(
    small: Model, make: SimpleNamespace
) -> None:
    # After ten years of 0.1 a year more than the model says, what is added falls by 0.7 a year.
    rows = [of_the_whole(make, start=t, value=1.0) for t in np.arange(2013.0, 2023.0)]
    one = likely(small, make, *rows)
    gaps = 0.1 * np.arange(1.0, 11.0)
    units = np.linalg.solve(one.loadings, gaps)
    drawn = dict(zip(one.nuisances, units[:, None], strict=False))
    ahead = 2022.5 + np.arange(0.0, 6.0)

    def path(numbers: dict) -> np.ndarray:
        return paths(
            small, rows, one.noise, numbers, places=["All"], whole="All", dates=ahead,
            rng=Streams(1),
        )[0, 0]  # fmt: skip

    # The same random numbers without any gap: the difference is the mean.
    mean = path(drawn) - path({name: 0.0 * u for name, u in drawn.items()})
    assert mean[0] == pytest.approx(1.0, abs=1e-9)
    steps = np.diff(mean)
    assert 0.0 < steps[0] < 0.1
    np.testing.assert_allclose(steps[1:] / steps[:-1], 0.7, rtol=1e-9)


# --- who feels what -------------------------------------------------------------------------------


def test_the_whole_feels_what_is_common_a_place_its_own_too_and_a_share_only_its_own(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [
        of_the_whole(make),
        make.row(),
        make.row("share", value=0.4),
        make.row(place="West", elements=("West",)),
        make.row("growth", start=2015.0, value=1.1),
    ]
    one = likely(small, make, *rows)
    parts = [
        {name.removeprefix(DISCREPANCY).partition(",")[0] for name in felt}
        for felt in (
            [n for n, x in zip(one.nuisances, loading, strict=False) if x and DISCREPANCY in n]
            for loading in one.loadings
        )
    ]
    assert parts == [{ALL}, {ALL, "East"}, {"East"}, {ALL, "West"}, {ALL, "East"}]
    shared = one.loadings @ one.loadings.T
    # Level and growth of 2014 and 2015: what is common to a place and the whole is the common part.
    assert shared[0, 1] == pytest.approx(shared[0, 0], rel=1e-12)
    assert shared[1, 3] == pytest.approx(shared[0, 0], rel=1e-12)
    assert shared[0, 2] == 0.0


def test_growth_feels_the_difference_of_two_years(small: Model, make: SimpleNamespace) -> None:
    rows = [
        of_the_whole(make, start=2014.0),
        of_the_whole(make, start=2015.0),
        of_the_whole(make, "growth", start=2015.0, value=1.1),
    ]
    one = likely(small, make, *rows)
    np.testing.assert_allclose(one.loadings[2], one.loadings[1] - one.loadings[0], atol=1e-15)


def test_what_is_expected_of_a_right_model_has_no_discrepancy(
    small: Model, make: SimpleNamespace
) -> None:
    one = likely(small, make, of_the_whole(make), make.row(start=2016.0))
    theta = np.ones((1, one.size))
    theta[:, :2] = [np.log(10.0), 0.0]
    np.testing.assert_allclose(one.expected(theta, shocks=False), one.answers(theta), rtol=1e-15)


def test_a_discrepancy_without_a_total_of_a_flow_is_refused(
    small: Model, make: SimpleNamespace
) -> None:
    with pytest.raises(CalibrationError, match="no row is such a total"):
        likely(small, make, make.row(quantity="firms", start=2014.0, end=2014.0))


def test_without_a_discrepancy_there_is_none(small: Model, make: SimpleNamespace) -> None:
    one = likely(small, make, make.row(), process=None)
    assert not [n for n in one.nuisances if n.startswith(DISCREPANCY)]
    none = paths(
        small, one.observations.rows, one.noise, {"season": np.zeros(3)},
        places=["East"], whole="All", dates=np.array([2020.5]), rng=Streams(1),
    )  # fmt: skip
    np.testing.assert_array_equal(none, np.zeros((3, 1, 1)))
