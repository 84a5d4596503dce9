"""Updates held against a posterior that is known exactly, and against a refit."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from beltcast import (
    Calibration,
    Draws,
    Model,
    approximate_posterior,
    calibrate,
    make_likelihood,
    update,
)
from beltcast.errors import CalibrationError, InputError, TableError, one_of
from beltcast.inference.updating.carry_draws import carried, extended, predictive
from beltcast.inference.updating.predictive_checks import surprises, together
from beltcast.inference.updating.update import UPDATE_METHODS, Update, UpdateMethod
from beltcast.study.noise import Definition

DRAWS = 4000

PRIOR_SD = np.array([0.5, 0.5, 0.2])
"""Of the logs of Level[East], Level[West] and Factor."""


@pytest.fixture(scope="module")
def exact(small: Model, make: SimpleNamespace) -> SimpleNamespace:
    """A normal posterior: log output = log Level + log Factor, with an offset and shocks."""
    definitions = {
        "full": Definition("Full scope", 0.0, 0.0, 0.0),
        "wide": Definition("Wide scope", 0.5, 0.0, 0.0),
    }
    rows = make.table(
        make.row(start=2014.0, value=11.0),
        make.row(start=2015.0, value=14.0, definition="wide"),
        make.row(start=2015.0, value=30.0, place="West", elements=("West",)),
    )
    labels = ("Level[East]", "Level[West]", "Factor")
    priors = make.priors(*labels, mu=np.log([10.0, 20.0, 1.0]), sigma=PRIOR_SD)
    noise = make.noise(definitions=definitions, year_shock=0.05, shared=0.75)
    likelihood = make_likelihood(small, priors, rows, noise)
    fit = calibrate(likelihood, rng=np.random.default_rng(0), starts=4, refine=2)
    draws = approximate_posterior(fit, DRAWS, rng=np.random.default_rng(1), moves=0)
    return SimpleNamespace(fit=fit, draws=draws)


def posterior_of(fit: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the parameters in the linear case, by the Jacobian's normal law."""
    n = fit.likelihood.n_parameters
    return fit.theta[:n], fit.covariance[:n, :n]


def with_rows(fit: Calibration, new) -> Calibration:
    """The fit to the old rows and the new."""
    old = fit.likelihood
    rows = dataclasses.replace(old.observations, rows=old.observations.rows + new.rows)
    one = make_likelihood(old.model, old.priors, rows, old.noise)
    return calibrate(one, rng=np.random.default_rng(0), starts=4, refine=2)


def close(after: Draws, fit: Calibration, effective: float) -> None:
    """Means and standard deviations within four Monte Carlo errors of draws worth so many."""
    mean, covariance = posterior_of(fit)
    sd = np.sqrt(np.diag(covariance))
    z = after.theta[:, : len(mean)]
    assert np.abs((z.mean(axis=0) - mean) / sd).max() < 4 / np.sqrt(effective)
    assert np.abs(z.std(axis=0) / sd - 1).max() < 4 / np.sqrt(2 * effective)
    correlation = covariance / np.outer(sd, sd)
    assert np.abs(np.corrcoef(z.T) - correlation).max() < 4.5 / np.sqrt(effective)


def news(make: SimpleNamespace):
    """A row that shares its error with a known one, a level of a new year, and a growth rate."""
    return make.table(
        make.row("growth", start=2015.0, value=1.05, definition="wide"),
        make.row(start=2016.0, value=11.5),
        make.row("growth", start=2016.0, value=1.02, place="West", elements=("West",)),
    )


@pytest.mark.parametrize("method", ["reweight", "smoother", "refit"])
def test_each_method_gives_the_exact_posterior_where_all_is_normal(
    exact: SimpleNamespace, make: SimpleNamespace, method: UpdateMethod
) -> None:
    new = news(make)
    change = update(
        exact.fit, exact.draws, new, rng=np.random.default_rng(3), method=method, moves=2
    )
    assert change.method == method
    effective = change.attempts[-1].effective if change.attempts else DRAWS
    assert effective > DRAWS / 4
    close(change.after, with_rows(exact.fit, new), effective)


def test_nuisances_are_updated_with_the_parameters(
    exact: SimpleNamespace, make: SimpleNamespace
) -> None:
    new = news(make)
    whole = with_rows(exact.fit, new)
    change = update(exact.fit, exact.draws, new, rng=np.random.default_rng(3), method="reweight")
    sd = np.sqrt(np.diag(whole.covariance))
    error = 4 / np.sqrt(change.attempts[0].effective)
    assert change.after.likelihood.labels == whole.likelihood.labels
    assert np.abs((change.after.theta.mean(axis=0) - whole.theta) / sd).max() < error
    # The shock of a year that no row spoke of is new, and known now.
    assert exact.draws.nuisance("shock of 2016") is None
    assert change.after.nuisance("shock of 2016").std() < 1.0


def test_rows_that_say_nothing_leave_all_weights_alike(
    exact: SimpleNamespace, make: SimpleNamespace
) -> None:
    # The marginal law of the old rows is the same, though the new ones bring shared errors.
    old, new = exact.fit.likelihood, news(make)
    rows = dataclasses.replace(old.observations, rows=old.observations.rows + new.rows)
    both = make_likelihood(old.model, old.priors, rows, old.noise)
    assert set(old.nuisances) < set(both.nuisances)
    silent = both.without(np.arange(6) >= 3)
    theta = exact.draws.theta
    near = (exact.fit.theta, extended(old, silent, exact.fit.theta))
    _, logs = carried(old, silent, theta, theta[:, :3], near=near, rng=np.random.default_rng(0))
    np.testing.assert_allclose(logs, logs[0], atol=1e-6)


def test_the_kalman_step_needs_no_weights_where_all_is_normal(
    exact: SimpleNamespace, make: SimpleNamespace
) -> None:
    # Three standard deviations off: weights alone fail, and the moved draws are nearly all worth
    # one.
    new = make.table(make.row(start=2016.0, value=40.0))
    tried = [
        update(exact.fit, exact.draws, new, rng=np.random.default_rng(3), method=method).attempts[0]
        for method in ("reweight", "smoother")
    ]
    assert not tried[0].good
    assert tried[1].good
    assert tried[1].effective > 0.9 * DRAWS


def test_auto_takes_the_first_that_is_good_enough_and_says_so(
    exact: SimpleNamespace, make: SimpleNamespace
) -> None:
    near, far = news(make), make.table(make.row(start=2016.0, value=40.0))
    one = update(exact.fit, exact.draws, near, rng=np.random.default_rng(3))
    assert (one.method, len(one.attempts)) == ("reweight", 1)
    other = update(exact.fit, exact.draws, far, rng=np.random.default_rng(3))
    assert other.method == "smoother"
    assert [attempt.good for attempt in other.attempts] == [False, True]
    assert "reweight: k" in other.why
    assert "not good enough; smoother: k" in other.why
    few = dataclasses.replace(exact.draws, theta=exact.draws.theta[:60])
    last = update(exact.fit, few, near, rng=np.random.default_rng(3), moves=2)
    assert last.method == "refit"
    assert last.why.endswith("so refit")


def test_a_bad_method_is_used_when_asked_for_with_a_warning(
    exact: SimpleNamespace, make: SimpleNamespace
) -> None:
    far = make.table(make.row(start=2016.0, value=40.0))
    change = update(exact.fit, exact.draws, far, rng=np.random.default_rng(3), method="reweight")
    assert change.method == "reweight"
    assert change.attempts[0].k > 0.7
    assert "unreliable" in change.why


def test_bounds_are_weighed_as_their_density_says(
    exact: SimpleNamespace, make: SimpleNamespace
) -> None:
    # Where all else is normal, draws weighted by Phi: more than 13 where 11 is expected.
    row = make.row("lower", start=2016.0, value=13.0)
    change = update(
        exact.fit, exact.draws, make.table(row), rng=np.random.default_rng(3), method="reweight"
    )
    z = exact.draws.theta[:, [0, 2]].sum(axis=1)
    weights = stats.norm.cdf((z - np.log(13.0)) / np.hypot(0.1, 0.05))
    want = np.average(z, weights=weights)
    got = change.after.theta[:, [0, 2]].sum(axis=1).mean()
    error = 4 * z.std() / np.sqrt(change.attempts[0].effective)
    assert got == pytest.approx(want, abs=error)
    assert got > z.mean() + error
    # The p-value of a bound is the probability that it holds.
    assert change.surprises["p"][0] == pytest.approx(weights.mean(), abs=0.02)


def test_the_prediction_is_that_of_the_normal_law(
    exact: SimpleNamespace, make: SimpleNamespace
) -> None:
    new = news(make)
    whole = with_rows(exact.fit, new).likelihood
    asked = np.arange(6) >= 3
    near = extended(exact.fit.likelihood, whole, exact.fit.theta)
    found = predictive(whole, asked, exact.draws.theta[:, :3], near)
    # All unknowns of the joint law, their prior, and what each row is of them.
    sds = np.concatenate([PRIOR_SD, np.ones(len(whole.nuisances))])
    slope = -whole.jacobian(near)[:6] * whole.sds[:, None]
    joint = (slope * sds**2) @ slope.T + np.diag(whole.sds**2)
    gain = np.linalg.solve(joint[:3, :3], joint[:3, 3:]).T
    want = joint[3:, 3:] - gain @ joint[:3, 3:]
    got = np.cov(found.middle, rowvar=False) + found.covariance
    np.testing.assert_allclose(got, want, atol=4 * np.sqrt(2 / DRAWS) * np.diag(want).max())


def test_p_values_are_uniform_under_the_model(small: Model, make: SimpleNamespace) -> None:
    # Truth drawn from the prior, observations from the truth: the p of a later one is uniform.
    rng = np.random.default_rng(5)
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    noise = make.noise(year_shock=0.05, shared=0.5)
    found, jointly = [], []
    for _ in range(200):
        z = 0.5 * rng.standard_normal()
        shocks = 0.05 * rng.standard_normal(3)
        logs = np.log(10.0) + z + shocks + 0.1 * rng.standard_normal(3)
        rows = [make.row(start=2014.0 + i, value=float(np.exp(logs[i]))) for i in range(3)]
        whole = make_likelihood(small, priors, make.table(*rows), noise)
        # Given the first row the parameter is normal, exactly.
        precision = 1 / 0.5**2 + 1 / (0.1**2 + 0.05**2)
        mean = (logs[0] - np.log(10.0)) / (0.1**2 + 0.05**2) / precision
        draws = mean + rng.standard_normal((400, 1)) / np.sqrt(precision)
        asked = np.array([False, True, True])
        expected = predictive(whole, asked, draws, np.zeros(whole.size))
        found.append(surprises(whole, asked, draws, expected)["p"].iloc[rng.integers(2)])
        jointly.append(together(whole, asked, expected))
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert stats.kstest(jointly, "uniform").pvalue > 0.01


def test_the_unknown_that_explains_a_surprise_is_named(
    exact: SimpleNamespace, make: SimpleNamespace
) -> None:
    # A new definition's offset (0.5) is wider than what is left open of West's level.
    row = make.row(start=2016.0, value=60.0, place="West", elements=("West",), definition="wide")
    change = update(exact.fit, exact.draws, make.table(row), rng=np.random.default_rng(3))
    first = change.surprises.iloc[0]
    assert first["nuisance"] == "offset of West, wide"
    assert first["parameter"] == "Level[West]"
    assert first["z"] > 0
    assert first["nuisance_shift"] > 0
    assert first["p"] == pytest.approx(2 * stats.norm.sf(first["z"]), rel=0.1)


def test_the_predicted_shift_is_what_the_update_does(
    exact: SimpleNamespace, make: SimpleNamespace
) -> None:
    new = make.table(make.row(start=2016.0, value=13.0))
    change = update(exact.fit, exact.draws, new, rng=np.random.default_rng(3), method="reweight")
    first, moved = change.surprises.iloc[0], change.moved()
    error = 5 / np.sqrt(change.attempts[0].effective)
    assert moved.index[0] == first["parameter"]
    assert moved["shift"].iloc[0] == pytest.approx(first["parameter_shift"], abs=error)
    assert moved["ratio"].iloc[0] < 1.0


def test_the_same_seed_gives_the_same_bits(exact: SimpleNamespace, make: SimpleNamespace) -> None:
    one, other = (
        update(exact.fit, exact.draws, news(make), rng=np.random.default_rng(3)).after.theta
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_faults_are_said(exact: SimpleNamespace, make: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"'rewieght'; did you mean 'reweight'\?"):
        one_of("rewieght", UPDATE_METHODS, "method of updating")
    with pytest.raises(CalibrationError, match="no new row"):
        update(exact.fit, exact.draws, make.table(), rng=rng)
    late = dataclasses.replace(make.table(make.row(start=2050.0)), path=make.table().path)
    with pytest.raises(TableError, match=r"table\.csv:2"):
        update(exact.fit, exact.draws, late, rng=rng)


def test_new_rows_do_not_move_the_date_that_drifts_count_from(
    small: Model, make: SimpleNamespace
) -> None:
    # Without a reference date of the study it is the last date of the rows that were fitted.
    definitions = {"full": Definition("Full scope", 0.3, 0.2, 0.0)}
    rows = make.table(make.row(start=2014.0, value=11.0), make.row(start=2016.0, value=12.0))
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    noise = make.noise(definitions=definitions)
    fit = calibrate(
        make_likelihood(small, priors, rows, noise), rng=np.random.default_rng(0), starts=2
    )
    draws = approximate_posterior(fit, 200, rng=np.random.default_rng(1), moves=0)
    new = make.table(make.row(start=2020.0, value=12.0))
    after = update(fit, draws, new, rng=np.random.default_rng(3), method="reweight").after
    assert after.likelihood.nuisances == fit.likelihood.nuisances
    np.testing.assert_array_equal(after.likelihood.loadings[:2], fit.likelihood.loadings)


def test_the_table_of_what_moved_is_that_of_the_draws(small: Model, make: SimpleNamespace) -> None:
    """Medians in the parameter's unit; means and standard deviations on the working scale."""
    priors = make.priors("Level[East]", "Factor", "Divisor", mu=np.log([10, 1, 1]), sigma=0.5)
    one = make_likelihood(small, priors, make.table(make.row()), make.noise(year_shock=0.1))
    rng = np.random.default_rng(1)
    # Uneven, so that a mean is no median.
    before = 0.5 + rng.gamma(1.0, 0.3, (50, one.size))
    after = before.mean(axis=0) - 0.4 * np.arange(one.size) + rng.gamma(1.0, 0.2, (70, one.size))
    after[:, 1] *= 1.7
    change = Update(
        Draws(one, before, "posterior"),
        Draws(one, after, "posterior"),
        "reweight",
        "a test",
        (),
        pd.DataFrame(),
        1.0,
    )
    moved = change.moved()
    shift = [(after[:, k].mean() - before[:, k].mean()) / before[:, k].std() for k in range(3)]
    order = sorted(range(3), key=lambda k: -abs(shift[k]))
    assert list(moved.index) == [priors.labels[k] for k in order]
    np.testing.assert_allclose(moved["shift"], [shift[k] for k in order], rtol=1e-12)
    assert min(shift) < 0
    for name, theta in (("before", before), ("after", after)):
        medians = [np.exp(np.median(theta[:, k])) for k in order]
        np.testing.assert_allclose(moved[name], medians, rtol=0.02)
        natural = [np.median(np.exp(theta[:, k])) for k in order]
        np.testing.assert_allclose(moved[name], natural, rtol=1e-12)
    ratios = [after[:, k].std() / before[:, k].std() for k in order]
    np.testing.assert_allclose(moved["ratio"], ratios, rtol=1e-12)
