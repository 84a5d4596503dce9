"""The fit: known parameters recovered, chance reproducible, failures named."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from beltcast import Calibration, Likelihood, Model, Study, calibrate, make_likelihood, read_study
from beltcast.errors import CalibrationError
from beltcast.files.resume import NOT_KEPT, keep_pieces
from beltcast.forecasting.summary import fit_summary
from beltcast.inference.calibrate import calibrate_from, estimate_verdict, estimates_table
from beltcast.inference.sampling.posterior import sample_prior
from beltcast.inference.starts import starting_points
from beltcast.study.observations import Observations


def synthetic(likelihood: Likelihood, theta: np.ndarray, rng: np.random.Generator) -> Observations:
    """Observations that the noise model would publish, for known parameters.

    The same rows, kinds and gaps as the real file.  A bound is put one standard deviation on its
    safe side of what it bounds.
    """
    logs = likelihood.expected(theta[None])[0]
    noise = likelihood.sds * rng.standard_normal(len(logs))
    values = np.exp(logs + np.where(likelihood.side == 0, noise, likelihood.side * likelihood.sds))
    rows = [
        dataclasses.replace(row, value=float(value))
        for row, value in zip(likelihood.observations, values, strict=True)
    ]
    return dataclasses.replace(likelihood.observations, rows=tuple(rows))


@pytest.fixture(scope="module")
def recovery(study: Study, likelihood: Likelihood) -> SimpleNamespace:
    """A fit to observations made from parameters drawn from the priors."""
    rng = np.random.default_rng(20)
    theta = sample_prior(likelihood, 1, rng=rng).theta[0]
    made = synthetic(likelihood, theta, rng)
    own = make_likelihood(study.model, study.priors, made, study.noise)
    return SimpleNamespace(truth=theta, fit=calibrate_from(own, theta))


def test_synthetic_observations_have_the_shape_of_the_real_file(
    study: Study, recovery: SimpleNamespace
) -> None:
    made, real = recovery.fit.likelihood.observations, study.observations
    assert len(made) == len(real)
    for one, other in zip(made, real, strict=True):
        assert dataclasses.replace(one, value=other.value) == other
    assert all(row.value > 0 and np.isfinite(row.value) for row in made)


def test_known_parameters_are_recovered_within_their_stated_uncertainty(
    recovery: SimpleNamespace,
) -> None:
    # Truth from the prior, observations from the noise model: then (estimate - truth) / standard
    # deviation is standard normal for every unknown, informed or not.
    fit = recovery.fit
    error = (fit.theta - recovery.truth) / np.sqrt(np.diag(fit.covariance))
    # 172 unknowns: the largest of so many normals is below 3.3 with probability 0.85 (the seed
    # is fixed), and a wrong loading or standard deviation gives 5 and more.
    assert np.abs(error).max() < 3.3
    # Those that the observations inform: standard deviation below 0.7 of the prior's. With twice or
    # half the right standard deviation their mean square would be 0.25 or 4. (Parameter by
    # parameter, not along the sharpest directions: those bend within the posterior, and a straight
    # line leaves them.)
    priors = fit.likelihood.priors
    sigma = np.concatenate([priors.sigma, np.ones(len(fit.likelihood.nuisances))])
    informed = np.sqrt(np.diag(fit.covariance)) < 0.7 * sigma
    assert informed.sum() > 50
    assert 0.6 < np.mean(error[informed] ** 2) < 1.5
    # Measured over the seeds 20 to 27: 0.80 to 1.33, mean 1.05.


def test_the_truth_is_as_far_below_the_optimum_as_it_should_be(recovery: SimpleNamespace) -> None:
    # Twice the log density lost is chi squared with one degree of freedom for each unknown
    # (Wilks), however the posterior bends; measured over the seeds 20 to 27: 143 to 199 for 172.
    lost = recovery.fit.likelihood.log_density(recovery.truth[None])[0] + recovery.fit.cost
    size = recovery.fit.likelihood.size
    assert stats.chi2(size).ppf(0.001) < -2 * lost < stats.chi2(size).ppf(0.999)


@pytest.mark.long
def test_refined_starts_reach_optima_that_are_nearly_as_good(likelihood: Likelihood) -> None:
    found = calibrate(likelihood, rng=np.random.default_rng(1), starts=8, refine=2)
    assert found.converged.all()
    assert found.agreeing >= 1
    assert np.ptp(found.refined_costs) < 1.0


def test_refinement_only_lowers_the_cost(fit: Calibration) -> None:
    assert (fit.refined_costs < fit.start_costs[fit.refined]).all()
    assert fit.cost == fit.refined_costs.min()
    assert fit.cost == pytest.approx(-fit.likelihood.log_density(fit.theta[None])[0], rel=1e-12)


def test_the_gradient_vanishes_at_the_optimum_but_for_bounds(fit: Calibration) -> None:
    likelihood = fit.likelihood
    gradient = likelihood.jacobian(fit.theta).T @ likelihood.residuals(fit.theta)
    free = ~np.isin(np.array(likelihood.labels), fit.at_bound)
    # Newton's distance to the exact optimum, in posterior standard deviations: far below what
    # matters.
    step = fit.covariance @ np.where(free, gradient, 0.0)
    assert np.abs(step / np.sqrt(np.diag(fit.covariance))).max() < 0.02


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(foshan: Path) -> None:
    study = read_study(foshan)
    one, two = (
        calibrate(study, rng=np.random.default_rng(1), starts=8, refine=2, threads=threads)
        for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.theta, two.theta)
    np.testing.assert_array_equal(one.covariance, two.covariance)
    np.testing.assert_array_equal(one.start_costs, two.start_costs)
    np.testing.assert_array_equal(one.evaluations, two.evaluations)


def test_the_table_sets_every_estimate_beside_its_prior(fit: Calibration, study: Study) -> None:
    table = fit.table()
    assert tuple(table.index) == study.priors.labels
    assert (table["p10"] < table["median"]).all()
    assert (table["median"] < table["p90"]).all()
    assert table["verdict"].isin(["mostly prior", "data and prior", "mostly data"]).all()
    # Gauss-Newton's precision is the prior's plus J'J, so no standard deviation exceeds its
    # prior's.
    assert table["sd_ratio"].between(0, 1 + 1e-9).all()


def test_the_table_of_the_fit_holds_every_published_observation(
    fit: Calibration, study: Study
) -> None:
    table = fit.fit_table()
    assert table["line"].tolist() == [row.line for row in study.observations]
    plain = table["kind"] != "over"  # the z of a number that was just exceeded has another centre
    assert plain.sum() > 100
    np.testing.assert_allclose(
        (np.log(table["published"] / table["fitted"]) / table["sd"])[plain],
        table["z"][plain],
        rtol=1e-9,
    )


@pytest.mark.parametrize(
    ("ratio", "word"), [(0.99, "mostly prior"), (0.5, "data and prior"), (0.1, "mostly data")]
)
def test_a_ratio_of_standard_deviations_is_said_in_words(ratio: float, word: str) -> None:
    assert estimate_verdict(ratio) == word


# --- a model with an exact answer -------------------------------------------------------------


def test_a_linear_problem_is_solved_exactly(small: Model, make: SimpleNamespace) -> None:
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    rows = [make.row(start=2014.0 + k, value=v) for k, v in enumerate((11.0, 12.5, 14.0))]
    one = make_likelihood(small, priors, make.table(*rows), make.noise())
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=2)
    # log y = log 10 + z + 0.1 e, z ~ N(0, 0.5): precision-weighted mean of prior and observations.
    precision = 1 / 0.5**2 + 3 / 0.1**2
    mean = np.log(np.array([1.1, 1.25, 1.4])).sum() / 0.1**2 / precision
    assert fit.theta[0] == pytest.approx(mean, rel=1e-8)
    assert fit.covariance[0, 0] == pytest.approx(1 / precision, rel=1e-8)
    assert fit.at_bound == ()


def test_printed_estimates_stand_under_their_heads(small: Model, make: SimpleNamespace) -> None:
    one = make_likelihood(
        small, make.priors("Factor", mu=0.0, sigma=0.5), make.table(make.row()), make.noise()
    )
    fit = calibrate(one, rng=np.random.default_rng(0), starts=2, refine=1)
    *_, empty, head, row = fit_summary(fit).splitlines()
    assert (empty, head.split()[0], row.split()[0]) == ("", "parameter", "Factor")
    for name in ("prior", "posterior"):
        end = head.index(f" {name} ") + len(name) + 1
        assert row[end - 1] != " " == row[end]


def test_the_evidence_of_a_linear_problem_is_the_density_of_its_observations(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [make.row(value=11.0), make.row(start=2016.0, value=13.0, grade="B")]
    priors = make.priors("Level[East]", mu=np.log(10.0), sigma=0.5)
    noise = make.noise(year_shock=0.3)
    fit = calibrate(
        make_likelihood(small, priors, make.table(*rows), noise),
        rng=np.random.default_rng(1),
        starts=2,
        refine=1,
    )
    # Logs of the observations: one level, a shock for each of two years, and the errors of the
    # grades.
    covariance = 0.5**2 + np.diag([0.3**2 + 0.1**2, 0.3**2 + 0.2**2])
    density = stats.multivariate_normal(np.full(2, np.log(10.0)), covariance)
    assert fit.log_evidence == pytest.approx(density.logpdf(np.log([11.0, 13.0])), abs=1e-6)


@pytest.mark.parametrize(("value", "side"), [(1000.0, "upper"), (0.1, "lower")])
def test_an_estimate_at_its_bound_is_flagged(
    small: Model, make: SimpleNamespace, value: float, side: str
) -> None:
    priors = make.priors("Factor", "Growth", mu=[0.0, -3.0], sigma=[0.5, 0.1], bound=0.4)
    one = make_likelihood(small, priors, make.table(make.row(value=value)), make.noise())
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=2)
    assert "Factor" in fit.at_bound
    assert fit.theta[0] == pytest.approx(0.4 if side == "upper" else -0.4, abs=1e-6)


def test_bounds_narrower_than_the_standard_deviation_are_no_obstacle(
    small: Model, make: SimpleNamespace
) -> None:
    priors = make.priors("Factor", mu=0.0, sigma=1.0, bound=1e-4)
    one = make_likelihood(small, priors, make.table(make.row(value=11.0)), make.noise())
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=2)
    assert abs(fit.theta[0]) <= 1e-4


def test_starts_that_cannot_be_simulated_are_left_out(small: Model, make: SimpleNamespace) -> None:
    # Half of this prior is negative output, whose log is no number.
    priors = make.priors("Factor", mu=0.0, sigma=1.0, family="normal")
    one = make_likelihood(small, priors, make.table(make.row(value=11.0)), make.noise())
    fit = calibrate(one, rng=np.random.default_rng(0), starts=16, refine=16)
    assert np.isinf(fit.start_costs).any()
    assert np.isfinite(fit.start_costs[fit.refined]).all()
    assert fit.theta[0] == pytest.approx(1.1, abs=0.05)


def test_no_start_that_can_be_simulated_is_an_error(small: Model, make: SimpleNamespace) -> None:
    priors = make.priors("Factor", mu=-1.0, sigma=0.1, bound=0.5, family="normal")
    one = make_likelihood(small, priors, make.table(make.row()), make.noise())
    with pytest.raises(CalibrationError, match="none of 4 starts could be simulated"):
        calibrate(one, rng=np.random.default_rng(0), starts=4)


def test_no_observation_is_an_error(study: Study) -> None:
    nothing = study.observations.published_by(1900.0)
    with pytest.raises(CalibrationError, match="no observation to fit"):
        make_likelihood(study.model, study.priors, nothing, study.noise)


def test_progress_is_told(small: Model, make: SimpleNamespace) -> None:
    told = []
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    one = make_likelihood(small, priors, make.table(make.row()), make.noise())
    calibrate(
        one,
        rng=np.random.default_rng(0),
        starts=4,
        refine=2,
        progress=lambda *told_: told.append(told_),
    )
    assert told == [
        ("starts", 0, 4),
        ("starts", 4, 4),
        ("refinements", 1, 2),
        ("refinements", 2, 2),
    ]


def test_a_stopped_fit_goes_on_to_the_bits_of_an_undisturbed_one(
    small: Model, make: SimpleNamespace, tmp_path: Path
) -> None:
    priors = make.priors("Level[East]", "Level[West]", "Factor", mu=0.5, sigma=1.0, bound=9.0)
    table = make.table(make.row(value=12.0), make.row(place="West", elements=("West",), value=15.0))
    likelihood = make_likelihood(small, priors, table, make.noise())
    computed: list[int] = []

    def run(resume: bool, most: int | None = None, keep: bool = True) -> Calibration:
        def stop(what: str, done: int, _total: int) -> None:
            if what == "refinements":
                computed.append(done)
                if done == most:
                    raise KeyboardInterrupt

        pieces = keep_pieces(tmp_path / "fit", {}, resume=resume) if keep else NOT_KEPT
        return calibrate(
            likelihood, rng=np.random.default_rng(3), starts=16, refine=14, threads=1,
            pieces=pieces, progress=stop,
        )  # fmt: skip

    whole = run(resume=False, keep=False)
    for most in (1, 7, 13):  # stopped three times, each six refinements further
        with pytest.raises(KeyboardInterrupt):
            run(resume=most > 1, most=most)
        assert len(list((tmp_path / "fit").glob("refinement *.npz"))) == 1 + most // 6
    resumed = run(resume=True)
    for name in ("theta", "covariance", "start_costs", "refined", "refined_costs", "converged"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    assert resumed.history().equals(whole.history())


def test_a_kept_refinement_is_not_made_again(
    small: Model, make: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    priors = make.priors("Factor", mu=0.5, sigma=1.0, bound=9.0)
    likelihood = make_likelihood(small, priors, make.table(make.row(value=12.0)), make.noise())

    def run(resume: bool) -> Calibration:
        pieces = keep_pieces(tmp_path / "fit", {}, resume=resume)
        return calibrate(
            likelihood, rng=np.random.default_rng(3), starts=2, refine=2, pieces=pieces
        )

    first = run(resume=False)
    monkeypatch.setattr("beltcast.inference.calibrate.refine_starts", None)
    assert run(resume=True).cost == first.cost


def test_starts_lie_in_the_middle_nine_tenths_of_the_priors_and_within_the_bounds(
    small: Model, make: SimpleNamespace
) -> None:
    """The first is the centre; a bound is kept at a distance of a quarter of a narrow range."""
    priors = make.priors("Level", "Factor", mu=[np.log(10.0), 0.0], sigma=[0.5, 0.3])
    lower, upper = priors.lower.copy(), priors.upper.copy()
    lower[1], upper[1] = -0.1, -0.1 + 1e-4
    priors = dataclasses.replace(priors, lower=lower, upper=upper)
    one = make_likelihood(small, priors, make.table(make.row()), make.noise(year_shock=0.05))
    theta, answers = starting_points(one, np.random.default_rng(1), 13)
    assert theta.shape == (13, one.size)
    assert theta[0, 0] == priors.mu[0]
    reach = 0.5 * stats.norm.ppf(0.95)
    assert (np.abs(theta[:, 0] - priors.mu[0]) <= reach + 1e-12).all()
    assert np.ptp(theta[:, 0]) > 1.5 * reach
    assert theta[:, 1].min() >= lower[1] + 0.25e-4 - 1e-15
    assert theta[:, 1].max() <= upper[1] - 0.25e-4 + 1e-15
    np.testing.assert_allclose(answers, one.answers(theta[:, :2]), rtol=1e-12)
    # Nuisances are those that the answers imply.
    np.testing.assert_allclose(theta[:, 2:], one.nuisances_given(answers)[0], rtol=1e-9, atol=1e-12)


def test_half_of_the_starts_are_the_most_probable_of_their_part_of_the_sequence(
    small: Model, make: SimpleNamespace
) -> None:
    priors = make.priors("Level", "Factor", mu=[np.log(10.0), 0.0], sigma=[0.5, 0.3])
    one = make_likelihood(small, priors, make.table(make.row()), make.noise(year_shock=0.05))
    theta, answers = starting_points(one, np.random.default_rng(1), 8, tried=3)
    every, _ = starting_points(one, np.random.default_rng(1), 4 + 4 * 6)
    np.testing.assert_array_equal(theta[:4], every[:4])
    best = -one.log_density(every[4:]).reshape(4, 6)
    found = -one.log_density(theta[4:], answers[4:])
    np.testing.assert_allclose(found, best.min(axis=1), rtol=1e-12)


def test_estimates_stand_beside_the_quantiles_of_their_priors(make: SimpleNamespace) -> None:
    """Lognormal and normal, each cell in closed form: 10% and 90% lie 1.2816 sd from the median."""
    z = 1.2815515655446004
    priors = make.priors("Level", "Factor", mu=np.log([10.0, 2.0]), sigma=[0.5, 0.2])
    center, covariance = np.log([12.0, 1.5]), np.array([[0.04, 0.01], [0.01, 0.0225]])
    table = estimates_table(priors, center, covariance)
    for column, middle, sds in (
        ("prior_p10", [10.0, 2.0], [-0.5, -0.2]),
        ("prior_median", [10.0, 2.0], [0.0, 0.0]),
        ("prior_p90", [10.0, 2.0], [0.5, 0.2]),
        ("p10", [12.0, 1.5], [-0.2, -0.15]),
        ("median", [12.0, 1.5], [0.0, 0.0]),
        ("p90", [12.0, 1.5], [0.2, 0.15]),
    ):
        np.testing.assert_allclose(table[column], middle * np.exp(z * np.array(sds)), rtol=1e-9)
    np.testing.assert_allclose(table["sd_ratio"], [0.4, 0.75])


@pytest.mark.parametrize(("starts", "tried", "points"), [(4, 1, 4), (4, 2, 10), (5, 3, 15)])
def test_the_second_half_of_the_starts_are_the_best_of_twice_as_many_points(
    small: Model,
    make: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    starts: int,
    tried: int,
    points: int,
) -> None:
    priors = make.priors("Level", "Factor", mu=[np.log(10.0), 0.0], sigma=[0.5, 0.3])
    rows = make.table(make.row(start=2014.0, value=11.0))
    likelihood = make_likelihood(small, priors, rows, make.noise())
    asked, answers = [], Likelihood.answers
    monkeypatch.setattr(
        Likelihood, "answers", lambda one, theta: asked.append(theta) or answers(one, theta)
    )
    theta, _ = starting_points(likelihood, np.random.default_rng(1), starts, tried=tried)
    every = np.concatenate(asked)
    assert len(every) == points
    np.testing.assert_array_equal(every[0], priors.mu)
    # The middle 90% of each prior.
    assert (np.abs((every - priors.mu) / priors.sigma) <= 1.6449).all()
    plain = starts if tried == 1 else -(-starts // 2)
    np.testing.assert_array_equal(theta[:plain, :2], every[:plain])
    groups = every[plain:].reshape(starts - plain, 2 * tried, 2)
    for one, group in zip(theta[plain:, :2], groups, strict=True):
        costs = [0.5 * (likelihood.residuals(np.append(g, theta[0, 2:])) ** 2).sum() for g in group]
        np.testing.assert_array_equal(one, group[np.argmin(costs)])
