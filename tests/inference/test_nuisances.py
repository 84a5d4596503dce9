"""What rows share: covariances in closed form, and exact derivatives of every option."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from beltcast import Likelihood, Model, approximate_posterior, calibrate, make_likelihood
from beltcast.errors import CalibrationError
from beltcast.inference.likelihood import SCALE_LIMIT
from beltcast.inference.nuisances import _season, _shocked
from beltcast.study.noise import Definition, Discrepancy

WIDE = {
    "full": Definition("Full scope", 0.0, 0.0, 0.0),
    "wide": Definition("Wide scope", 0.5, 0.1, 0.05),
}
ALL = {
    "tails": 4.0,
    "error_scale_sd": 0.5,
    "error_scale_by": ("grade", "kind"),
    "autocorrelation": 0.5,
    "shared": 0.6,
    "revisions": True,
    "trend_fades": 3.0,
    "trend_common": 0.5,
    "offset_common": 0.5,
    "discrepancy": Discrepancy(0.05, 0.08, 0.04, 0.06, 0.7),
    "vintage": {"final": 0.0, "revised": 0.01, "preliminary": 0.04, "only": 0.0},
    "year_shock": 0.05,
    "definitions": WIDE,
}


def likely(small: Model, make: SimpleNamespace, *rows, **noise) -> Likelihood:
    priors = make.priors("Level", "Factor", mu=[np.log(10.0), 0.0], sigma=[0.5, 0.3])
    return make_likelihood(small, priors, make.table(*rows), make.noise(**noise))


def mixed(make: SimpleNamespace) -> list:
    return [
        make.row(start=2014.0, value=11.0),
        make.row(start=2015.0, value=14.0, grade="B"),
        make.row("growth", 2016.0, value=1.2, grade="B"),
        make.row(start=2016.0, value=12.0, vintage="preliminary"),
        make.row("part-year", 2016.0, 2016.5, value=7.0, vintage="preliminary", definition="wide"),
        make.row(start=2016.0, value=12.5, vintage="preliminary", definition="wide"),
        make.row("lower", 2018.0, value=9.0),
        make.row("lower", 2018.0, value=9.0, definition="wide", within=(9.0, 10.0)),
        make.row(start=2019.0, value=9.5, grade="C", within=(9.0, 10.0)),
        make.row(start=2020.0, value=13.0, within=(12.5, 13.5)),
    ]


def covariance(one: Likelihood, begins: str) -> np.ndarray:
    """Of the rows' logs, from what is their own and nuisances of one kind."""
    felt = [name.startswith(begins) for name in one.nuisances[:-1]]
    return one.loadings[:, felt] @ one.loadings[:, felt].T + np.diag(one.sds**2)


# --- in the limit nothing changes -------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        {"tails": np.inf},
        {"tails": 1e12},
        {"error_scale_sd": 1e-12},
        {"autocorrelation": 1e-14, "shared": 1e-14},
        {"trend_common": 0.0, "trend_fades": np.inf, "discrepancy": None},
    ],
)
def test_each_option_at_its_limit_is_the_plain_noise(
    small: Model, make: SimpleNamespace, option: dict
) -> None:
    plain = likely(small, make, *mixed(make), definitions=WIDE)
    one = likely(small, make, *mixed(make), definitions=WIDE, **option)
    # Other nuisances stay 0; the heights add a constant.
    theta = np.zeros((2, one.size))
    theta[:, :2] = [[np.log(12.0), 0.1], [np.log(9.0), -0.1]]
    fewer = theta[:, : plain.size]
    np.testing.assert_allclose(
        np.diff(one.log_density(theta)),
        np.diff(plain.log_density(fewer)),
        # SciPy's stdtr has six digits for so many degrees of freedom.
        rtol=1e-5 if option.get("tails") == 1e12 else 1e-9,
    )


def test_the_shipped_study_says_how_drifts_and_its_model_s_errors_persist(
    likelihood: Likelihood,
) -> None:
    noise = likelihood.noise
    assert (noise.trend_fades, noise.trend_common) == (3.0, 0.0)
    assert noise.discrepancy == Discrepancy(0.05, 0.08, 0.05, 0.05, 0.8)
    assert (noise.trend_own, noise.trend_detail, noise.exceeds) == (0.4, 0.01, 0.05)
    assert (noise.tails, noise.error_scale_sd, noise.autocorrelation) == (np.inf, 0.0, 0.0)
    assert noise.offset_common == 0.0
    assert noise.error_scale_by == ("scope",)
    assert noise.error_scale_factors == {"scope reference": 0.79, "scope other": 1.19}
    assert noise.revisions
    assert not likelihood.half.any()
    assert not likelihood.scale_loadings.any()


# --- drifts that persist -------------------------------------------------------------------------

KERNEL_3 = {  # tau 3: tau^2 (2 t / tau + 2 exp(-t / tau) - 2) at t = 1 and 2
    1.0: 9.0 * (2.0 / 3.0 + 2.0 * np.exp(-1.0 / 3.0) - 2.0),
    2.0: 9.0 * (4.0 / 3.0 + 2.0 * np.exp(-2.0 / 3.0) - 2.0),
}


def test_a_drift_s_variance_is_the_closed_form_whatever_part_is_common(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [
        make.row(start=2018.5, value=9.0, definition="wide"),
        make.row("growth", 2019.5, value=1.1, definition="wide"),
    ]
    for common in (0.0, 0.5):
        noise = {"trend_fades": 3.0, "trend_common": common, "reference": 2018.0}
        one = likely(small, make, *rows, definitions=WIDE, **noise)
        felt = [name.startswith("trend of") for name in one.nuisances[:-1]]
        got = (one.loadings[:, felt] ** 2).sum(axis=1)
        # The level's middle is 2019.0; the growth compares 2020.0 with 2019.0, and the change of
        # one year has the variance of lag 1 wherever it begins: rates are stationary.
        np.testing.assert_allclose(got, 0.01 * KERNEL_3[1.0], rtol=1e-9)


def test_places_share_just_the_common_part_of_a_definition_s_offset(
    small: Model, make: SimpleNamespace
) -> None:
    scopes = {name: Definition("", sd, 0.0, 0.0) for name, sd in (("wide", 2.0), ("other", 1.0))}
    rows = [
        make.row(start=2015.0, definition="wide"),
        make.row(place="West", elements=("West",), start=2019.0, definition="wide"),
        make.row(place="West", elements=("West",), start=2019.0, definition="other"),
    ]
    one = likely(small, make, *rows, definitions=scopes, offset_common=0.3)
    expected = np.array([[4.0, 1.2, 0.0], [1.2, 4.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(covariance(one, "offset"), expected + 0.01 * np.eye(3))


def test_what_one_place_shows_of_a_definition_is_expected_of_another(
    small: Model, make: SimpleNamespace
) -> None:
    # East prints a tenth of the model's 10; West has printed nothing. With half of the variance 4
    # in common West's offset is expected at 2 / (4 + 0.01) of East's.
    scopes = {"wide": Definition("", 2.0, 0.0, 0.0)}
    rows = [
        make.row(start=2015.0, value=1.0, definition="wide"),
        make.row(place="West", elements=("West",), start=2016.0, value=1.0, definition="wide"),
    ]
    one = likely(small, make, *rows, definitions=scopes, offset_common=0.5).without([False, True])
    answers = np.log([[10.0, 20.0]])
    mean, _ = one.nuisances_given(answers)
    offsets = mean[0, :-1] @ one.loadings.T
    assert offsets == pytest.approx(-np.log(10.0) * np.array([4.0, 2.0]) / 4.01)


def test_definitions_share_just_the_common_part_of_their_drifts(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [
        make.row(start=2019.5, value=9.0, definition="wide"),
        make.row(place="West", start=2019.5, value=9.0, definition="wide"),
    ]
    one = likely(
        small, make, *rows, definitions=WIDE, trend_fades=3.0, trend_common=0.3, reference=2018.0
    )
    felt = [name.startswith("trend of") for name in one.nuisances[:-1]]
    shared = one.loadings[:, felt] @ one.loadings[:, felt].T
    assert shared[0, 1] / shared[0, 0] == pytest.approx(0.3, rel=1e-9)
    assert shared[0, 0] == pytest.approx(0.01 * KERNEL_3[2.0], rel=1e-9)


def test_places_share_a_definition_s_drift_but_for_their_own_part(
    small: Model, make: SimpleNamespace
) -> None:
    scopes = {name: Definition("", 1.0, 0.1, 0.0) for name in ("wide", "other")}
    rows = [
        make.row(start=2019.5, value=9.0, definition="wide"),
        make.row(place="West", elements=("West",), start=2019.5, value=9.0, definition="wide"),
        make.row(start=2019.5, value=9.0, definition="other"),
    ]
    for common, own in ((0.0, 0.3), (0.0, 0.0), (0.0, 1.0), (0.2, 0.3)):
        parts = {"trend_common": common, "trend_own": own}
        one = likely(
            small, make, *rows, definitions=scopes, trend_fades=3.0, reference=2018.0, **parts
        )
        # Variance of the drift over two years; places share the definition's and the common part.
        shared = common + (1.0 - common) * (1.0 - own)
        expected = np.array([[1.0, shared, common], [shared, 1.0, common], [common, common, 1.0]])
        drifts = covariance(one, "trend") - np.diag(one.sds**2)
        np.testing.assert_allclose(drifts, 0.01 * KERNEL_3[2.0] * expected, rtol=1e-9, atol=1e-15)


# --- derivatives ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "left_out",
    [
        "nothing",
        "tails",
        "error_scale_sd",
        "autocorrelation",
        "revisions",
        "trend_fades",
        "discrepancy",
    ],
)
def test_the_jacobian_is_exact_with_every_option(
    small: Model, make: SimpleNamespace, seed: int, left_out: str
) -> None:
    noise = {k: v for k, v in ALL.items() if k != left_out}
    one = likely(small, make, *mixed(make), **noise)
    rng = np.random.default_rng(seed)
    theta = 0.7 * rng.standard_normal(one.size)
    theta[:2] = one.priors.mu + one.priors.sigma * theta[:2]
    step = 1e-6 * np.eye(one.size)
    both = one.residuals(np.concatenate([theta + step, theta - step]))
    differences = ((both[: one.size] - both[one.size :]) / 2e-6).T
    np.testing.assert_allclose(one.jacobian(theta), differences, rtol=1e-6, atol=2e-6)


# --- estimated standard deviations -----------------------------------------------------------


def test_an_estimated_standard_deviation_enters_the_density_with_its_height(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [
        make.row(start=2014.0, value=11.0),
        make.row(start=2015.0, value=8.0),
        make.row("lower", 2016.0, value=9.0),
        make.row(start=2017.0, value=12.0, within=(11.5, 12.5)),
    ]
    one = likely(small, make, *rows, error_scale_sd=0.5)
    assert one.nuisances == ("error scale of grade A", "season")

    def direct(eta: float) -> float:
        # Grade A is 0.1 and 10 is what the model says every year.
        p = stats.norm(np.log(10.0), 0.1 * np.exp(0.5 * eta))
        rounded = np.log(p.cdf(np.log(12.5)) - p.cdf(np.log(11.5)))
        numbers = p.logpdf(np.log([11.0, 8.0])).sum()
        return numbers + p.logsf(np.log(9.0)) + rounded - 0.5 * eta**2

    etas = (-2.0, -0.5, 0.0, 1.0, 3.0)
    theta = np.array([[np.log(10.0), 0.0, eta, 0.0] for eta in etas])
    got = one.log_density(theta)
    want = np.array([direct(eta) for eta in etas])
    np.testing.assert_allclose(got - got[0], want - want[0], rtol=1e-9)
    assert np.isneginf(one.log_density(np.array([[2.3, 0.0, -SCALE_LIMIT - 0.1, 0.0]])))


def test_the_rule_about_a_point_holds_sd_factors_there_with_their_own_curvature(
    small: Model, make: SimpleNamespace
) -> None:
    """Other nuisances: least squares with the sds of that point, by numerical derivatives."""
    rows = [
        make.row(start=2014.0 + k % 4, value=8.0 + k, grade="AB"[k % 2], definition=scope)
        for k, scope in enumerate(["full", "wide", "wide", "full", "wide", "full", "full"])
    ]
    noise = {"error_scale_sd": 0.5, "year_shock": 0.05, "definitions": WIDE}
    one = likely(small, make, *rows, **noise)
    rng = np.random.default_rng(8)
    near = np.concatenate([[np.log(11.0), 0.05], 0.6 * rng.standard_normal(one.size - 2)])
    near[-1] = 0.0  # no part of a year: the season moves nothing
    rule = one.nuisance_rule(near)
    felt = np.array([name.startswith("error scale of") for name in one.nuisances])
    assert felt.sum() == 2
    step = 1e-6 * np.eye(one.size)[2:]
    slopes = (one.residuals(near + step) - one.residuals(near - step)).T / 2e-6
    linear, scales = slopes[:, ~felt], slopes[:, felt]
    both = rule.precision
    np.testing.assert_allclose(both[np.ix_(~felt, ~felt)], linear.T @ linear, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.diag(both)[felt], (scales**2).sum(axis=0), rtol=1e-6)
    assert (both[np.ix_(felt, ~felt)] == 0).all()
    assert both[felt][:, felt][0, 1] == 0.0
    mean = rule.mean(one.answers(near[None]))[0]
    np.testing.assert_array_equal(mean[felt], near[2:][felt])
    without = near.copy()
    without[2:][~felt] = 0.0
    gap = np.linalg.lstsq(linear, -one.residuals(without), rcond=None)[0]
    np.testing.assert_allclose(mean[~felt], gap, rtol=1e-5, atol=1e-7)


def test_without_a_point_a_bound_is_left_out_of_the_rule(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [
        make.row(value=11.0, definition="wide"),
        make.row("lower", 2015.0, value=90.0, definition="wide"),
    ]
    one = likely(small, make, *rows, definitions=WIDE, reference=2016.0)
    alone = likely(small, make, rows[0], definitions=WIDE, reference=2016.0)
    answers = np.log([[10.0, 10.0]])
    got, want = one.nuisances_given(answers)[0][0], alone.nuisances_given(answers[:, :1])[0][0]
    known = dict(zip(alone.nuisances, want, strict=True))
    for name, value in zip(one.nuisances, got, strict=True):
        assert value == pytest.approx(known.get(name, 0.0), abs=1e-12)


def test_a_bound_with_digits_is_a_number_that_measures_a_standard_deviation(
    small: Model, make: SimpleNamespace
) -> None:
    """Rounded, it stands for an interval on both sides, whatever its kind says."""
    rounded = make.row("lower", 2015.0, value=8.0, grade="C", within=(7.5, 8.5))
    one = likely(small, make, make.row(value=11.0), rounded, error_scale_sd=0.5)
    assert one.nuisances == ("error scale of grade A", "error scale of grade C", "season")
    assert one.side.tolist() == [0, 0]
    logs = np.log([7.5, 8.5])
    assert one.published[1] == pytest.approx(logs.mean())
    assert one.half[1] == pytest.approx(0.5 * (logs[1] - logs[0]))


def test_a_standard_deviation_that_only_bounds_would_measure_is_not_estimated(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [make.row(value=11.0), make.row("lower", 2015.0, value=8.0, grade="C")]
    assert likely(small, make, *rows, error_scale_sd=0.5).nuisances == (
        "error scale of grade A",
        "season",
    )


def test_a_standard_deviation_is_found_where_many_observations_show_it(
    small: Model, make: SimpleNamespace
) -> None:
    # 200 observations of grade A, said to be within 0.1, that scatter by 0.2: the estimate is the
    # root of their mean square but for the pull of the prior, (log 2 / 0.5)^2 of 200 observations.
    rng = np.random.default_rng(3)
    scatter = rng.standard_normal(200)
    scatter *= 0.2 / np.sqrt(np.mean(scatter**2))
    rows = [
        make.row(start=2014.0 + k % 9, value=10.0 * np.exp(e), definition=f"d{k}")
        for k, e in enumerate(scatter)
    ]
    plain = {f"d{k}": Definition("", 0.0, 0.0, 0.0) for k in range(200)}
    priors = make.priors("Factor", mu=0.0, sigma=1e-3)
    noise = make.noise(definitions=plain, error_scale_sd=0.5)
    one = make_likelihood(small, priors, make.table(*rows), noise)
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=2)
    eta = fit.theta[1]
    # At the optimum n (1 - S / s^2) tau + eta = 0, with S / s^2 = exp(2 (log 2 - tau eta)).
    # The curvature there is 100, so 0.2 is a distance of 0.002, a fiftieth of the sd.
    assert 200 * 0.5 * (1 - np.exp(2 * (np.log(2) - 0.5 * eta))) + eta == pytest.approx(0, abs=0.2)
    # Draws have the standard deviation of the exact conditional: curvature 2 n tau^2 exp(...) + 1.
    draws = approximate_posterior(fit, 500, rng=np.random.default_rng(1), moves=30).theta[:, 1]
    exact = 1 / np.sqrt(2 * 200 * 0.25 * np.exp(2 * (np.log(2) - 0.5 * eta)) + 1)
    assert draws.mean() == pytest.approx(eta, abs=0.2 * exact)
    assert draws.std() == pytest.approx(exact, rel=0.15)


def test_what_is_left_out_measures_no_standard_deviation(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [make.row(start=2014.0, value=11.0), make.row(start=2015.0, value=30.0)]
    one = likely(small, make, *rows, error_scale_sd=0.5)
    alone = likely(small, make, rows[0], error_scale_sd=0.5)
    theta = np.array([[2.3, 0.0, eta, 0.0] for eta in (-1.0, 0.0, 2.0)])
    np.testing.assert_allclose(
        np.diff(one.without([False, True]).log_density(theta)),
        np.diff(alone.log_density(theta)),
        rtol=1e-7,
    )


def test_bounds_left_alone_measure_no_standard_deviation(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [make.row("lower", 2014.0, value=9.0), make.row(start=2015.0, value=30.0)]
    both = likely(small, make, *rows, error_scale_sd=0.5)
    assert both.scale_loadings.any()
    one = both.without([False, True])
    assert not one.scale_loadings.any()
    assert np.isfinite(one.jacobian(np.zeros(one.size))).all()


# --- correlated errors ------------------------------------------------------------------------


def test_errors_of_a_series_are_correlated_exactly_over_any_gap(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [make.row(start=year) for year in (2014.0, 2015.0, 2019.0)]
    rows.append(make.row(start=2015.0, place="West", elements=("West",)))
    one = likely(small, make, *rows, autocorrelation=0.5, shared=0.6)
    # Variance 0.1^2; 0.6 of it in the series, 0.5 from year to year.
    want = 0.01 * (0.4 * np.eye(4))
    for i, a in enumerate((2014, 2015, 2019)):
        for j, b in enumerate((2014, 2015, 2019)):
            want[i, j] += 0.01 * 0.6 * 0.5 ** abs(a - b)
    want[3, 3] = 0.01
    np.testing.assert_allclose(covariance(one, "error of"), want, rtol=1e-12, atol=1e-18)


def test_a_growth_rate_carries_the_difference_of_two_correlated_errors(
    small: Model, make: SimpleNamespace
) -> None:
    one = likely(
        small,
        make,
        make.row("growth", 2016.0),
        make.row(start=2016.0),
        autocorrelation=0.5,
        shared=0.6,
    )
    got = covariance(one, "error of")
    # var(e1 - e0) = 2 v (1 - rho) of the series and 2 v of the rest, v = 0.01.
    assert got[0, 0] == pytest.approx(0.02 * (0.6 * 0.5 + 0.4), rel=1e-12)
    # cov(e1 - e0, e1) = v (1 - rho)
    assert got[0, 1] == pytest.approx(0.01 * 0.6 * 0.5, rel=1e-12)


def test_a_first_release_has_the_error_of_the_final_observation_and_a_revision(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [
        make.row(start=2016.0, vintage="preliminary"),
        make.row("part-year", 2016.0, 2016.5, vintage="preliminary"),
        make.row(start=2016.0, vintage="final"),
        make.row(start=2017.0, vintage="preliminary"),
    ]
    vintage = {"final": 0.0, "revised": 0.01, "preliminary": 0.04, "only": 0.0}
    one = likely(small, make, *rows, revisions=True, shared=0.6, vintage=vintage)
    got = covariance(one, "")
    base, revision = 0.01, 0.0016
    want = 0.6 * base * np.ones((4, 4))
    want[:2, :2] += revision
    want[3, :3] = want[:3, 3] = 0.0
    want[np.diag_indices(4)] = base + revision * np.array([1, 1, 0, 1])
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-18)


def test_the_optimum_under_correlated_errors_is_that_of_generalised_least_squares(
    small: Model, make: SimpleNamespace
) -> None:
    years = np.array([2014, 2015, 2016, 2021])
    logs = np.array([0.3, 0.25, 0.2, -0.4])
    rows = [
        make.row(start=float(y), value=10.0 * np.exp(v)) for y, v in zip(years, logs, strict=True)
    ]
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    noise = make.noise(autocorrelation=0.8, shared=0.9)
    one = make_likelihood(small, priors, make.table(*rows), noise)
    fit = calibrate(one, rng=np.random.default_rng(0), starts=4, refine=2)
    v = 0.01 * (0.1 * np.eye(4) + 0.9 * 0.8 ** np.abs(years[:, None] - years))
    weights = np.linalg.solve(v, np.ones(4))
    precision = weights.sum() + 1 / 0.5**2
    assert fit.theta[0] == pytest.approx(weights @ logs / precision, rel=1e-6)
    assert fit.covariance[0, 0] == pytest.approx(1 / precision, rel=1e-6)


def test_an_outlier_pulls_less_under_tails(small: Model, make: SimpleNamespace) -> None:
    # The posterior of one parameter by quadrature, and the draws of it.
    values = [10.2, 9.9, 10.1, 17.0]
    rows = [make.row(start=2014.0 + k, value=v) for k, v in enumerate(values)]
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    one = make_likelihood(small, priors, make.table(*rows), make.noise(tails=3.0))
    fit = calibrate(one, rng=np.random.default_rng(0), starts=8, refine=4)
    grid = np.linspace(-0.5, 0.8, 4001)
    log_p = stats.norm(0, 0.5).logpdf(grid) + sum(
        stats.t(3.0, loc=grid, scale=0.1).logpdf(np.log(v / 10.0)) for v in values
    )
    weight = np.exp(log_p - log_p.max())
    weight /= weight.sum()
    mean = weight @ grid
    sd = np.sqrt(weight @ (grid - mean) ** 2)
    assert fit.theta[0] == pytest.approx(grid[log_p.argmax()], abs=4e-4)
    z = approximate_posterior(fit, 500, rng=np.random.default_rng(1), moves=30).theta[:, 0]
    assert z.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(500))
    assert z.std() == pytest.approx(sd, rel=0.1)


def test_a_row_without_any_standard_deviation_is_refused(
    small: Model, make: SimpleNamespace
) -> None:
    with pytest.raises(CalibrationError, match="row of line 2 has no standard deviation"):
        likely(small, make, make.row(), grade={"A": 0.0, "B": 0.1, "C": 0.1})


@pytest.mark.parametrize(
    ("kind", "start", "end", "felt"),
    [
        ("level", 2014.0, 2015.0, {2014: 1.0}),
        ("level", 2014.0, 2016.0, {2014: 0.5, 2015: 0.5}),
        ("level", 2013.0, 2017.0, dict.fromkeys(range(2013, 2017), 0.25)),
        ("level", 2014.5, 2015.5, {2014: 0.5, 2015: 0.5}),
        ("level", 2014.25, 2014.75, {2014: 1.0}),
        ("level", 2014.5, 2014.5, {2014: 1.0}),  # a stock, at a time
        ("level", 2014.0 - 1e-9, 2015.0 + 1e-9, {2014: 1.0}),  # rounded thirds of months
        ("growth", 2014.0, 2015.0, {2014: 1.0, 2013: -1.0}),
        ("growth", 2014.0, 2014.5, {2014: 1.0, 2013: -1.0}),
    ],
)
def test_a_row_feels_the_shocks_of_its_calendar_years_in_equal_parts(
    make: SimpleNamespace, kind: str, start: float, end: float, felt: dict[int, float]
) -> None:
    assert dict(_shocked(make.row(kind, start, end))) == felt


@pytest.mark.parametrize(
    ("kind", "start", "end", "season"),
    [
        ("part-year", 2014.0, 2014.5, -0.5),
        ("part-year", 2014.25, 2015.0, 0.25),
        ("part-year", 2014.25, 2014.75, 0.0),
        ("part-year", 2014.5, 2014.75, 0.25),
        ("level", 2014.0, 2015.0, 0.0),
        ("level", 2014.5, 2015.75, 0.0),
        ("level", 2014.0, 2016.0, 0.0),
        ("growth", 2014.0, 2014.5, 0.0),
        ("share", 2014.0, 2014.5, 0.0),
    ],
)
def test_a_part_of_a_year_feels_its_season_by_how_late_it_lies(
    small: Model, make: SimpleNamespace, kind: str, start: float, end: float, season: float
) -> None:
    """The mean of u0 and u1 lies (u0 + u1 - 1) / 2 after the middle of the year."""
    assert _season(small, make.row(kind, start, end)) == pytest.approx(season)
