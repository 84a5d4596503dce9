"""Partial pooling, held against the normal-normal model and a posterior by quadrature."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from beltcast import (
    Model,
    approximate_posterior,
    calibrate,
    load_model,
    make_likelihood,
    read_priors,
)
from beltcast.errors import PriorError
from beltcast.inference.audit.shrinkage import shrinkage, shrinkage_words
from beltcast.study.pooling import Pool
from beltcast.study.priors import Priors

SCHOOLS = ("A", "B", "C", "D", "E", "F", "G", "H")
# Rubin 1981, Journal of Educational Statistics 6: effects of coaching and their standard errors.
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])

TABLE = """\
["Level"]
distribution = "{family}"
{centre}
bounds = [{bounds}]
unit = "bnCNY/Year"
per = "Place"
pool = "{pool}"
{more}
source = "a test"
"""


@pytest.fixture(scope="module")
def schools(tmp_path_factory: pytest.TempPathFactory, make: SimpleNamespace) -> Model:
    """Eight places whose yearly output is Level, 1 by default."""
    text = make.model.replace("East, West", ", ".join(SCHOOLS)).replace(
        "10,20", ",".join(["1"] * len(SCHOOLS))
    )
    path = tmp_path_factory.mktemp("schools") / "schools.mdl"
    path.write_text(text, encoding="utf-8")
    return load_model(path)


def priors_of(tmp_path: Path, model: Model, pool: str = "partial", **given: str) -> Priors:
    fill = {
        "family": "lognormal",
        "centre": "median = 1.0\nlog_sd = 0.3",
        "bounds": "0.001, 1000.0",
        "more": "between = 0.2\nbetween_log_sd = 0.4" if pool == "partial" else "",
        "pool": pool,
    }
    path = tmp_path / "parameters.toml"
    path.write_text(TABLE.format(**(fill | given)), encoding="utf-8")
    return read_priors(path, model)


def observations(make: SimpleNamespace, logs: np.ndarray) -> list:
    return [
        make.row(value=float(np.exp(v)), place=s, elements=(s,), definition=f"d{k}", grade="A")
        for k, (s, v) in enumerate(zip(SCHOOLS, logs, strict=True))
    ]


def noise_of(make: SimpleNamespace, sds: np.ndarray):
    from beltcast.study.noise import Definition

    small = {"A": 1e-9, "B": 0.1, "C": 0.1}
    definitions = {f"d{k}": Definition("", 0.0, 0.0, sd) for k, sd in enumerate(sds)}
    return make.noise(grade=small, definitions=definitions)


# --- what the file says -----------------------------------------------------------------------


def test_each_pool_gives_its_parameters(tmp_path: Path, schools: Model) -> None:
    each = tuple(f"Level[{s}]" for s in SCHOOLS)
    assert priors_of(tmp_path, schools, "each").labels == each
    assert priors_of(tmp_path, schools, "pooled").labels == ("Level",)
    partial = priors_of(tmp_path, schools)
    assert partial.labels == ("Level", "sd of Level", *each)
    assert partial.settable.tolist() == [0, *range(2, 10)]
    # A fixed constant keeps the model's value, and another prior stays.
    path = tmp_path / "parameters.toml"
    more = (
        '["Factor"]\ndistribution = "uniform"\nbounds = [0.5, 2.0]\nunit = "Dmnl"\nsource = "x"\n'
    )
    fixed = TABLE.format(
        family="lognormal", centre="log_sd = 0.3", bounds="0.1, 9.0", pool="fixed", more=""
    )
    path.write_text(fixed + more, encoding="utf-8")
    assert read_priors(path, schools).labels == ("Factor",)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"pool": "partially"}, "did you mean 'partial'"),
        ({"more": ""}, "between of 'Level' is missing; add between = the median sd"),
        (
            {"more": "between = 0.0"},
            "between of 'Level' is 0.0; expected the median sd of",
        ),
        ({"more": "between = 0.1\nbetween_log_sd = -1"}, "between_log_sd of 'Level' is -1"),
        ({"pool": "each", "more": "between = 0.2"}, "unknown key 'between'"),
        ({"centre": "median = 1.0\nlog_sd = { A = 0.3, default = 0.2 }"}, "of the common mean"),
        ({"family": "uniform", "centre": ""}, "no partial pooling"),
    ],
)
def test_a_wrong_pool_is_refused_with_file_and_line(
    tmp_path: Path, schools: Model, given: dict[str, str], says: str
) -> None:
    with pytest.raises(PriorError, match=says) as caught:
        priors_of(tmp_path, schools, **given)
    assert caught.value.line is not None


# --- the transform ----------------------------------------------------------------------------


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20)
def test_pull_back_is_the_exact_derivative(seed: int, tmp_path_factory, schools: Model) -> None:
    priors = priors_of(tmp_path_factory.getbasetemp(), schools, bounds="0.5, 2.0")
    z = priors.draw(np.random.default_rng(seed), 1)[0]
    step = 1e-6 * np.eye(len(z))
    jacobian = (priors.natural(z + step) - priors.natural(z - step)).T / 2e-6
    np.testing.assert_allclose(priors.pull_back(np.eye(len(z)), z), jacobian, rtol=1e-6, atol=1e-8)


def test_working_is_the_inverse_of_natural(tmp_path: Path, schools: Model) -> None:
    priors = priors_of(tmp_path, schools)
    z = priors.draw(np.random.default_rng(1), 50)
    np.testing.assert_allclose(priors.working(priors.natural(z)), z, atol=1e-9)


def test_prior_draws_have_the_quantiles_that_are_printed(tmp_path: Path, schools: Model) -> None:
    bounded = priors_of(tmp_path, schools, bounds="0.8, 5.0")
    values = bounded.natural(bounded.draw(np.random.default_rng(2), 2000))[:, 2:]
    assert values.min() >= 0.8  # a belt stays within the constant's bounds
    np.testing.assert_allclose(bounded.quantiles(0.0)[2:], 0.8)
    np.testing.assert_allclose(bounded.quantiles(1.0)[2:], 5.0)
    priors = priors_of(tmp_path, schools)
    values = priors.natural(priors.draw(np.random.default_rng(2), 40_000))
    for p in (0.1, 0.5, 0.9):
        below = (values <= priors.quantiles(p)).mean(axis=0)
        assert np.abs(below - p).max() < 4 * np.sqrt(p * (1 - p) / 40_000)


def test_a_subset_that_splits_a_pool_has_the_members_own_variance(
    tmp_path: Path, schools: Model
) -> None:
    priors = priors_of(tmp_path, schools)
    one = priors.subset(["Level[B]"])
    # E tau^2 of a lognormal with median 0.2 and log sd 0.4.
    want = np.sqrt(0.3**2 + 0.04 * np.exp(2 * 0.16))
    assert one.sigma[0] == pytest.approx(want, rel=1e-12)
    assert one.pools == ()
    whole = priors.subset(priors.labels[::-1])
    z = priors.draw(np.random.default_rng(3), 5)
    np.testing.assert_array_equal(whole.natural(z[:, ::-1]), priors.natural(z)[:, ::-1])


def test_a_member_outside_its_pool_keeps_its_own_centre_and_bounds(
    tmp_path: Path, schools: Model
) -> None:
    centre = "median = { B = 3.0, default = 1.0 }\nlog_sd = 0.3"
    priors = priors_of(tmp_path, schools, centre=centre, bounds="0.5, 4.0")
    split = priors.subset(["Level[C]", "Level[B]"])
    np.testing.assert_allclose(np.exp(split.mu), [1.0, 3.0], rtol=1e-12)
    np.testing.assert_allclose(np.exp(split.lower), 0.5, rtol=1e-12)
    np.testing.assert_allclose(np.exp(split.upper), 4.0, rtol=1e-12)
    np.testing.assert_allclose(split.natural(split.mu), [1.0, 3.0], rtol=1e-12)


@pytest.mark.parametrize("bounds", ["0.001, 1000.0", "0.7, 1.6"])
def test_an_interval_follows_the_pool_and_ends_at_the_bounds(
    tmp_path: Path, schools: Model, bounds: str
) -> None:
    """The delta method with numerical derivatives is the oracle; w is the log of a level."""
    centre = "median = { B = 1.2, default = 1.0 }\nlog_sd = 0.3"
    priors = priors_of(tmp_path, schools, centre=centre, bounds=bounds)
    rng = np.random.default_rng(5)
    n = len(priors)
    z = priors.mu + 0.1 * rng.standard_normal(n)
    root = 0.3 * rng.standard_normal((n, n))
    covariance = root @ root.T
    low, high, ratio = priors.interval(z, covariance, 1.28)
    step = 1e-6 * np.eye(n)
    logs = np.log(priors.natural(np.concatenate([z + step, z - step, z[None]])))
    slopes = (logs[:n] - logs[n : 2 * n]) / 2e-6
    sd = np.sqrt(np.einsum("ji,jk,ki->i", slopes, covariance, slopes))
    member = [label.startswith("Level[") for label in priors.labels]
    least, most = map(float, bounds.split(","))
    want = np.exp(logs[-1] - 1.28 * sd), np.exp(logs[-1] + 1.28 * sd)
    for i in np.flatnonzero(member):
        assert low[i] == pytest.approx(max(want[0][i], least), rel=1e-5)
        assert high[i] == pytest.approx(min(want[1][i], most), rel=1e-5)
    # E tau^2 of a lognormal with median 0.2 and log sd 0.4, beside the common mean's 0.3.
    prior = np.sqrt(0.3**2 + 0.04 * np.exp(2 * 0.16))
    np.testing.assert_allclose(ratio[member], sd[member] / prior, rtol=1e-5)
    if bounds == "0.7, 1.6":
        assert (low[member] < 0.7 + 1e-9).any()
        assert (high[member] > 1.6 - 1e-9).any()


# --- shrinkage --------------------------------------------------------------------------------


def test_the_likelihood_s_jacobian_follows_the_pool(
    tmp_path: Path, schools: Model, make: SimpleNamespace
) -> None:
    priors = priors_of(tmp_path, schools)
    one = make_likelihood(
        schools, priors, make.table(*observations(make, EFFECTS / 50)), noise_of(make, ERRORS / 50)
    )
    theta = np.append(priors.draw(np.random.default_rng(4), 1)[0], 0.3)
    step = 1e-6 * np.eye(one.size)
    both = one.residuals(np.concatenate([theta + step, theta - step]))
    want = ((both[: one.size] - both[one.size :]) / 2e-6).T
    np.testing.assert_allclose(one.jacobian(theta), want, rtol=1e-6, atol=1e-7)


def test_belts_shrink_as_the_normal_normal_model_says(
    tmp_path: Path, schools: Model, make: SimpleNamespace
) -> None:
    # Mean and standard deviation all but known: belts are independent, and each is found at
    # m + (y - m) tau^2 / (tau^2 + s^2).
    logs, sds, tau = EFFECTS / 50, ERRORS / 50, 0.2
    priors = priors_of(
        tmp_path,
        schools,
        centre="median = 1.1\nlog_sd = 1e-6",
        more=f"between = {tau}\nbetween_log_sd = 1e-6",
    )
    one = make_likelihood(
        schools, priors, make.table(*observations(make, logs)), noise_of(make, sds)
    )
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=2)
    m, keep = np.log(1.1), tau**2 / (tau**2 + sds**2)
    got = np.log(priors.natural(fit.theta[: len(priors)]))[2:]
    np.testing.assert_allclose(got, m + (logs - m) * keep, atol=1e-6)
    table = shrinkage(fit)
    np.testing.assert_allclose(table["borrowed"], 1 - keep, rtol=1e-5)
    np.testing.assert_allclose(np.log(table["own"]), logs, atol=1e-5)
    np.testing.assert_allclose(np.log(table["common"]), m, atol=1e-6)
    assert table["observations"].tolist() == [1] * 8
    # The printed standard deviation is that of the belt, not of its z: tau s / sqrt(tau^2 + s^2).
    printed = fit.table().iloc[2:]
    sd = np.log(printed["p90"] / printed["median"]) / stats.norm.ppf(0.9)
    np.testing.assert_allclose(sd, tau * sds / np.sqrt(tau**2 + sds**2), rtol=1e-5)
    words = shrinkage_words(table)
    assert words.count("\n") == 9
    assert "Level[A]" in words


def test_nothing_pooled_has_no_table(tmp_path: Path, schools: Model, make: SimpleNamespace) -> None:
    priors = priors_of(tmp_path, schools, "each")
    rows = make.table(*observations(make, EFFECTS / 50))
    one = make_likelihood(schools, priors, rows, noise_of(make, ERRORS / 50))
    fit = calibrate(one, rng=np.random.default_rng(0), starts=2, refine=1)
    assert shrinkage(fit).empty
    assert shrinkage_words(shrinkage(fit)) == ""


def test_eight_schools_are_sampled_as_quadrature_says(
    tmp_path: Path, schools: Model, make: SimpleNamespace
) -> None:
    # Rubin's data in units of 50, as logs. Given tau all is normal; tau is integrated on a grid.
    y, s = EFFECTS / 50, ERRORS / 50
    priors = priors_of(tmp_path, schools)
    one = make_likelihood(schools, priors, make.table(*observations(make, y)), noise_of(make, s))
    fit = calibrate(one, rng=np.random.default_rng(0), starts=16, refine=4)
    draws = approximate_posterior(fit, 600, rng=np.random.default_rng(1), moves=40)
    log_tau = np.log(0.2) + 0.4 * np.linspace(-5, 5, 401)
    log_p, means = [], []
    for tau in np.exp(log_tau):
        v = s**2 + tau**2
        precision = (1 / v).sum() + 1 / 0.3**2
        m = (y / v).sum() / precision
        cov = np.diag(v) + 0.3**2
        log_p.append(stats.multivariate_normal(np.zeros(8), cov).logpdf(y))
        means.append(m + (y - m) * tau**2 / v)
    log_p = np.array(log_p) + stats.norm(np.log(0.2), 0.4).logpdf(log_tau)
    weight = np.exp(log_p - log_p.max())
    weight /= weight.sum()
    want = weight @ np.array(means)
    got = np.log(draws.values[:, 1:])  # the mean comes first, then the belts
    assert draws.labels[1:] == tuple(f"Level[{c}]" for c in SCHOOLS)
    error = (got.mean(axis=0) - want) / (got.std(axis=0) / np.sqrt(600))
    assert np.abs(error).max() < 4
    tau = draws.theta[:, 1]
    assert tau.mean() == pytest.approx(weight @ log_tau, abs=4 * 0.4 / np.sqrt(600))


POOL = Pool("x", 0, 1, np.array([2, 3, 4]), np.array([-0.1, 0.0, 0.2]), -0.5, 0.7)
"""Three members around a mean, on a working scale from -0.5 to 0.7."""


def test_a_member_beyond_a_bound_is_at_it_and_does_not_move() -> None:
    """Mean 0.1, sd 0.5: unbounded the members are -1.5, 0.3 and 1.3."""
    z = np.array([0.1, np.log(0.5), -3.0, 0.4, 2.0])
    np.testing.assert_allclose(POOL.place(z), [-0.5, 0.3, 0.7], rtol=1e-14)
    by_own, by_mean, by_sd = POOL.slopes(z)
    np.testing.assert_allclose(by_own, [0.0, 0.5, 0.0], rtol=1e-14)
    np.testing.assert_allclose(by_mean, [0.0, 1.0, 0.0], rtol=1e-14)
    np.testing.assert_allclose(by_sd, [0.0, 0.2, 0.0], rtol=1e-14)
    np.testing.assert_allclose(POOL.unplace(np.array([-1.5, 0.3, 1.3]), z), z[2:], rtol=1e-14)


def test_prior_quantiles_of_members_integrate_over_the_sd_and_end_at_the_bounds() -> None:
    """A mixture of normals by quadrature; its variance is that of the mean plus E tau^2."""
    mu, sigma = np.array([0.05, np.log(0.2), 0, 0, 0]), np.array([0.3, 0.4, 1, 1, 1])

    def below(gap: float) -> float:
        def of(u: float) -> float:
            sd = np.hypot(0.3, 0.2 * np.exp(0.4 * u))
            return float(stats.norm.cdf(gap / sd) * stats.norm.pdf(u))

        return integrate.quad(of, -9, 9)[0]

    for p in (0.2, 0.5, 0.6):
        found = POOL.quantiles(p, mu, sigma)
        inside = (found > -0.5) & (found < 0.7)
        assert inside[1]
        np.testing.assert_allclose(found[inside], (found[1] + POOL.offsets)[inside], rtol=1e-12)
        assert below(found[1] - 0.05) == pytest.approx(p, abs=1e-9)
    np.testing.assert_array_equal(POOL.quantiles(1e-9, mu, sigma), [-0.5] * 3)
    np.testing.assert_array_equal(POOL.quantiles(1.0, mu, sigma), [0.7] * 3)
    np.testing.assert_array_equal(POOL.quantiles(0.0, mu, sigma), [-0.5] * 3)

    def square(u: float) -> float:
        return float((0.2 * np.exp(0.4 * u)) ** 2 * stats.norm.pdf(u))

    variance = 0.3**2 + integrate.quad(square, -9, 9)[0]
    assert POOL.prior_sd(mu, sigma) == pytest.approx(np.sqrt(variance), rel=1e-9)


@pytest.mark.parametrize(("family", "unit"), [("lognormal", "Dmnl"), ("normal", "bnCNY/Year")])
def test_the_parts_of_a_pool_are_those_of_its_table(
    tmp_path: Path, schools: Model, family: str, unit: str
) -> None:
    """Medians 2 of A and 1 of the others: the mean of the centres, and each one's distance."""
    key, sd = ("median", "log_sd") if family == "lognormal" else ("mean", "sd")
    centre = f"{key} = {{ A = 2.0, default = 1.0 }}\n{sd} = 0.3"
    priors = priors_of(tmp_path, schools, family=family, centre=centre, more="between = 0.2")
    scale = np.log if family == "lognormal" else np.float64
    mean = (scale(2.0) + 7 * scale(1.0)) / 8
    np.testing.assert_allclose(priors.mu, [mean, np.log(0.2), *[0.0] * 8], rtol=1e-14)
    np.testing.assert_allclose(priors.sigma, [0.3, 0.5, *[1.0] * 8], rtol=1e-14)
    (pool,) = priors.pools
    centres = [scale(2.0), *[scale(1.0)] * 7]
    np.testing.assert_allclose(pool.offsets, np.array(centres) - mean, atol=1e-14)
    np.testing.assert_allclose([pool.lower, pool.upper], scale([0.001, 1000.0]), rtol=1e-14)
    assert priors.units[1] == unit
    # At the centre each place has its own median.
    np.testing.assert_allclose(priors.natural(priors.mu)[2:], [2.0] + [1.0] * 7, rtol=1e-14)
    assert np.isinf([priors.lower[2:], priors.upper[2:]]).all()
