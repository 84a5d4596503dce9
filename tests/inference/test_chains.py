"""Chains of a fit: against posteriors that are known exactly, and stopped and resumed."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from beltcast import Calibration, Model, SampleOptions, calibrate, make_likelihood, sample
from beltcast.errors import CalibrationError, InputError, MissingExtra
from beltcast.inference.sampling.chain_files import load_unfinished, save_unfinished
from beltcast.inference.sampling.chains import Chains
from beltcast.inference.sampling.diagnostics import ess_bulk
from beltcast.inference.sampling.sampler import Unfinished
from beltcast.study.noise import Definition

METHODS = ["walkers", "nuts"]


def needs(method: str) -> None:
    if method == "nuts":
        pytest.importorskip("nutpie", reason="the extra 'bayes' is not installed")


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
    design = np.array(
        [[1, 0, 1, 0.0, 0.05, 0.0, 0], [1, 0, 1, 0.5, 0.0, 0.05, 0], [0, 1, 1, 0.0, 0.0, 0.05, 0]]
    )
    sds = np.array([0.5, 0.5, 0.2, 1, 1, 1, 1])
    mu = np.concatenate([np.log([10.0, 20.0, 1.0]), np.zeros(4)])
    covariance = np.linalg.inv(design.T @ design / 0.1**2 + np.diag(sds**-2.0))
    data = np.log([11.0, 14.0, 30.0]) - design @ mu
    mean = mu + covariance @ design.T @ data / 0.1**2
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=2)
    return SimpleNamespace(fit=fit, mean=mean, covariance=covariance)


def some(fit: Calibration, seed: int = 1, **given: object) -> Chains:
    told = {name: given.pop(name) for name in ("resume", "keep", "progress") if name in given}
    settings = {"chains": 2, "draws": 40, "every": 2, "burn_in": 100} | given
    options = SampleOptions(**settings)  # type: ignore[arg-type]  # tests mix types
    return sample(fit, options, rng=np.random.default_rng(seed), **told)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_a_linear_model_with_normal_errors_has_its_closed_form(
    exact: SimpleNamespace, method: str
) -> None:
    needs(method)
    # Chains start from a wrong fit, shifted and too wide: only the density knows better.
    sd = np.sqrt(np.diag(exact.covariance))
    wrong = dataclasses.replace(
        exact.fit, theta=exact.mean + 0.5 * sd, covariance=2.0 * exact.covariance
    )
    chains = some(
        wrong,
        method=method,
        chains=4 if method == "walkers" else 2,
        draws=1000 if method == "walkers" else 150,
        every=9,
        burn_in=600 if method == "walkers" else 150,
    )
    assert chains.table()["rhat"].max() < 1.05
    flat = chains.theta.reshape(-1, 7)
    error = sd / np.sqrt(ess_bulk(chains.separate))
    assert np.abs((flat.mean(axis=0) - exact.mean) / error).max() < 4
    assert np.abs(flat.std(axis=0) / sd - 1).max() < 4 * (error / sd).max()
    correlation = exact.covariance / np.outer(sd, sd)
    assert np.abs(np.corrcoef(flat.T) - correlation).max() < 4.5 * (error / sd).max()


@pytest.mark.parametrize("method", ["walkers", pytest.param("nuts", marks=pytest.mark.long)])
def test_bounds_are_kept_and_their_half_normal_is_met(
    small: Model, make: SimpleNamespace, method: str
) -> None:
    needs(method)
    # The optimum lies on the bound: mean sqrt(2 / pi) sd, standard deviation sqrt(1 - 2 / pi) sd.
    priors = dataclasses.replace(make.priors("Factor", mu=0.0, sigma=0.5), lower=np.array([0.0]))
    one = make_likelihood(small, priors, make.table(make.row(value=10.0, grade="C")), make.noise())
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=1)
    few = {"draws": 1000, "burn_in": 100} if method == "walkers" else {"draws": 60, "burn_in": 60}
    chains = some(fit, method=method, chains=2, every=8, **few)
    z = chains.theta[:, :, 0]
    sd = 1 / np.sqrt(1 / 0.5**2 + 1 / 0.4**2)
    size = ess_bulk(chains.separate)[0]
    assert z.min() >= 0
    assert z.mean() == pytest.approx(np.sqrt(2 / np.pi) * sd, abs=4 * 0.6 * sd / np.sqrt(size))
    assert z.std() == pytest.approx(np.sqrt(1 - 2 / np.pi) * sd, rel=4 / np.sqrt(2 * size))


@pytest.mark.long
def test_both_methods_say_the_same_where_the_model_bends(
    small: Model, make: SimpleNamespace
) -> None:
    needs("nuts")
    # Growth and Level of one row of 2022: a ridge, and a lower bound on top.
    priors = make.priors("Level[East]", "Factor", mu=[2.3, 0.0], sigma=[0.7, 0.7])
    rows = make.table(make.row(value=12.0), make.row("lower", start=2016.0, value=14.0))
    one = make_likelihood(small, priors, rows, make.noise())
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=1)
    values = some(fit, chains=4, draws=500, every=6, burn_in=300)
    slopes = some(fit, chains=2, draws=200, burn_in=80, method="nuts")
    a, b = (c.theta.reshape(-1, one.size)[:, :2] for c in (values, slopes))
    error = a.std(axis=0) * np.sqrt(
        1 / ess_bulk(values.separate)[:2] + 1 / ess_bulk(slopes.separate)[:2]
    )
    assert np.abs((a.mean(axis=0) - b.mean(axis=0)) / error).max() < 4
    assert np.abs(a.std(axis=0) / b.std(axis=0) - 1).max() < 0.15


# In the burn-in and in the draws; of nuts after the first chain.
@pytest.mark.parametrize(("method", "blocks"), [("walkers", 3), ("walkers", 22), ("nuts", 1)])
def test_a_stopped_run_ends_where_it_would_have_ended(
    exact: SimpleNamespace, tmp_path: Path, method: str, blocks: int
) -> None:
    needs(method)
    whole = some(exact.fit, method=method)

    class Stopped(Exception):
        pass

    path = tmp_path / "unfinished.npz"

    def stop(state: Unfinished) -> None:
        save_unfinished(state, path)
        if state.block == blocks:
            raise Stopped

    with pytest.raises(Stopped):
        some(exact.fit, method=method, keep=stop)
    rest = some(exact.fit, method=method, resume=load_unfinished(path))
    np.testing.assert_array_equal(rest.theta, whole.theta)
    np.testing.assert_array_equal(rest.stats["lp"], whole.stats["lp"])
    assert rest.evaluations == whole.evaluations


def test_another_run_is_not_gone_on_with(exact: SimpleNamespace, tmp_path: Path) -> None:
    states: list[Unfinished] = []
    some(exact.fit, keep=states.append)
    moved = dataclasses.replace(exact.fit, theta=exact.fit.theta + 1e-9)
    for fit, other in (
        (exact.fit, {"seed": 2}),
        (exact.fit, {"draws": 50}),
        (exact.fit, {"every": 3}),
        (moved, {}),
    ):
        with pytest.raises(InputError, match="another fit, with other settings or another seed"):
            some(fit, resume=states[3], **other)
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(InputError, match="not an unfinished run"):
        load_unfinished(broken)
    with pytest.raises(InputError, match="no unfinished run"):
        load_unfinished(tmp_path / "missing.npz")


def test_threads_do_not_change_a_bit(exact: SimpleNamespace) -> None:
    one, two = (some(exact.fit, threads=threads).theta for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_chains_start_from_all_optima_within_reach(exact: SimpleNamespace) -> None:
    # A second optimum 30 standard deviations away, a copy of each, and a third that costs too much.
    sd = np.sqrt(np.diag(exact.covariance))
    best = exact.fit.optima[0]
    far = dataclasses.replace(best, theta=best.theta + 30 * sd, cost=best.cost + 5)
    lost = dataclasses.replace(best, theta=best.theta - 30 * sd, cost=best.cost + 50)
    fit = dataclasses.replace(exact.fit, optima=(lost, best, far, best, far))
    assert [len(fit.distinct(within=w)) for w in (1, 10, 100)] == [1, 2, 3]
    assert len(dataclasses.replace(fit, optima=()).distinct(within=10)) == 1
    assert fit.clusters()["starts"].tolist() == [2, 2, 1]
    states: list[Unfinished] = []
    some(fit, chains=3, draws=80, burn_in=20, every=1, keep=states.append)
    walkers = states[0].walkers
    assert walkers is not None
    away = (walkers.theta[:, :3] - best.theta[:3]) / sd[:3]
    by_chain = np.abs(away.reshape(3, 8, 3)).mean(axis=(1, 2))
    assert by_chain[[0, 2]].max() < 5
    assert by_chain[1] > 15


def test_a_chain_is_its_walkers_one_after_the_other(exact: SimpleNamespace) -> None:
    chains = some(exact.fit, chains=3, draws=80)
    assert chains.theta.shape == (3, 80, 7)
    assert chains.walker.tolist() == [w for w in range(8) for _ in range(10)]
    assert chains.separate.shape == (24, 10, 7)
    np.testing.assert_array_equal(chains.separate[9], chains.theta[1, 10:20])
    likelihood = exact.fit.likelihood
    np.testing.assert_allclose(
        chains.stats["lp"].ravel(), likelihood.log_density(chains.theta.reshape(-1, 7)), rtol=1e-12
    )
    assert len(chains.draws()) == 240


def test_the_log_likelihood_of_rows_is_that_of_their_distribution(
    small: Model, make: SimpleNamespace
) -> None:
    from scipy.stats import norm

    rows = make.table(
        make.row(value=12.0), make.row("lower", value=9.0), make.row("upper", value=9.5)
    )
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    one = make_likelihood(small, priors, rows, make.noise())
    theta = np.array([[0.1, 0.0], [-0.2, 0.3]])
    level = np.log(10.0) + theta[:, 0]
    expected = [
        norm.logpdf(np.log(12.0), level, 0.1),
        norm.logcdf((level - np.log(9.0)) / 0.1),
        norm.logcdf((np.log(9.5) - level) / 0.1),
    ]
    np.testing.assert_allclose(one.log_likelihood(theta), np.transpose(expected), rtol=1e-9)


def test_the_log_likelihood_knows_tails_estimated_standard_deviations_and_rounding(
    small: Model, make: SimpleNamespace
) -> None:
    from scipy.stats import t

    rows = make.table(
        make.row(value=12.0),
        dataclasses.replace(make.row(value=12.0), within=(11.5, 12.5)),
        make.row("lower", value=9.0),
    )
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    one = make_likelihood(small, priors, rows, make.noise(tails=4.0, error_scale_sd=0.5))
    assert one.nuisances == ("error scale of grade A", "season")
    theta = np.array([[0.1, 0.0, 0.0], [-0.2, 1.0, 0.3]])
    level = np.log(10.0) + theta[:, 0]
    sd = 0.1 * np.exp(0.5 * theta[:, 1])
    low, high = ((np.log(end) - level) / sd for end in (11.5, 12.5))
    bound = (np.log(9.0) - level) / (0.1 if one.scale_loadings[2, 0] == 0 else sd)
    expected = [
        t.logpdf((np.log(12.0) - level) / sd, 4.0) - np.log(sd),
        np.log(t.cdf(high, 4.0) - t.cdf(low, 4.0)),
        t.logsf(bound, 4.0),
    ]
    np.testing.assert_allclose(one.log_likelihood(theta), np.transpose(expected), rtol=1e-9)


@pytest.mark.parametrize("given", [{"every": 0}, {"every": -3}, {"burn_in": -1}])
def test_moves_that_cannot_be_made_are_refused(
    exact: SimpleNamespace, given: dict[str, int]
) -> None:
    with pytest.raises(InputError, match="give 1 or more, or leave it out"):
        some(exact.fit, **given)


def test_progress_tells_draws_and_acceptance(exact: SimpleNamespace) -> None:
    told: list[tuple[str, int, int]] = []
    some(exact.fit, progress=lambda *news: told.append(news))
    burn_in = [news for news in told if news[0] == "burn-in"]
    assert [done for _, done, _ in burn_in] == list(range(1, burn_in[0][2] + 1))
    assert told[-1][0].startswith("draws: acceptance ")
    assert told[-1][1:] == (80, 80)


def test_wrong_settings_are_refused(exact: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="unknown method of sampling 'gibbs'"):
        some(exact.fit, method="gibbs")
    with pytest.raises(InputError, match="at least 4 draws"):
        some(exact.fit, draws=3)


def test_no_walker_that_can_be_simulated_is_an_error(small: Model, make: SimpleNamespace) -> None:
    priors = make.priors("Factor", mu=1.0, sigma=0.1, family="normal")
    one = make_likelihood(small, priors, make.table(make.row()), make.noise())
    fit = calibrate(one, rng=np.random.default_rng(0), starts=2, refine=1)
    # Negative output, whose log is no number.
    lost = dataclasses.replace(fit, theta=np.array([-5.0, 0.0]))
    with pytest.raises(CalibrationError, match="no draw of the posterior could be simulated"):
        some(lost)


def test_without_nutpie_nuts_says_what_to_install(
    exact: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nutpie", None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[bayes\]'"):
        some(exact.fit, method="nuts")


@pytest.mark.parametrize("away", [1e2, 1e6, 1e12])
def test_far_from_the_optimum_nuts_sees_a_finite_gradient_or_no_probability(
    fit: Calibration, away: float
) -> None:
    from beltcast.inference.sampling.nuts import _log_density, _Whitened

    for seed in range(3):
        x = away * np.random.default_rng(seed).standard_normal(fit.likelihood.size)
        with np.errstate(all="ignore"):
            density, gradient = _log_density(fit, _Whitened.at(fit), x)
        assert not np.isnan(density)
        assert np.isfinite(gradient).all()
        assert np.isfinite(density) or not gradient.any()


def test_the_gradient_that_nuts_sees_is_the_slope_of_its_density(fit: Calibration) -> None:
    from beltcast.inference.sampling.nuts import _log_density, _Whitened

    # Around a point off the optimum of the belt study, whose bounds are all in use.
    to_theta = _Whitened.at(fit)
    rng = np.random.default_rng(3)
    x = 0.3 * rng.standard_normal(fit.likelihood.size)
    _, gradient = _log_density(fit, to_theta, x)
    for _ in range(3):
        step = rng.standard_normal(len(x))
        step *= 1e-4 / np.linalg.norm(step)
        ahead, behind = (_log_density(fit, to_theta, x + s * step)[0] for s in (1, -1))
        assert (ahead - behind) / 2 == pytest.approx(gradient @ step, rel=1e-4, abs=1e-8)


def test_the_map_of_nuts_knows_its_slopes_and_its_inverse() -> None:
    """With two limits, one below, one above and none; all limits and units unlike 0 and 1."""
    from beltcast.inference.sampling.nuts import _Whitened

    lower, upper = np.array([2.0, 3.0, -np.inf, -np.inf]), np.array([7.0, np.inf, -4.0, np.inf])
    line = _Whitened(lower, upper, np.array([0.3, 0.4, 0.6, 0.7]), np.zeros(4), np.eye(4))
    for y in (np.full(4, -1.7), np.full(4, 0.2), np.array([0.4, 2.1, 3.0, -5.0])):
        theta, log_slope, bend = line(y)
        assert ((theta > lower) & (theta < upper)).all()
        np.testing.assert_allclose(line._inverse(theta), y, rtol=1e-9)
        ahead, behind = line(y + 1e-5), line(y - 1e-5)
        np.testing.assert_allclose((ahead[0] - behind[0]) / 2e-5, np.exp(log_slope), rtol=1e-7)
        np.testing.assert_allclose((ahead[1] - behind[1]) / 2e-5, bend, rtol=1e-6, atol=1e-9)
    # Far from a single limit the map has the slope of the unit.
    far = line(np.array([0.0, 40.0, -40.0, 9.0]))
    np.testing.assert_allclose(far[0], [4.5, 3.0 + 0.4 * 40, -4.0 - 0.6 * 40, 9.0])
    np.testing.assert_allclose(np.exp(far[1]), [5 / 4, 0.4, 0.6, 1.0])
