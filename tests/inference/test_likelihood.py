"""The one definition of how probable published numbers are."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from beltcast import Likelihood, Model, make_likelihood
from beltcast.errors import CalibrationError, TableError
from beltcast.inference.likelihood import BLAME
from beltcast.inference.nuisances import SHOCK
from beltcast.inference.residuals import residual, slopes
from beltcast.inference.sampling.posterior import sample_prior
from beltcast.study.error_models import ErrorModel
from beltcast.study.noise import Definition

SCOPES = {
    "full": Definition("Full scope", 0.0, 0.0, 0.0),
    "wide": Definition("Wide scope", 0.5, 0.1, 0.05),
}


def likely(small: Model, make: SimpleNamespace, *rows, **noise) -> Likelihood:
    priors = make.priors("Level", "Factor", mu=[np.log(10.0), 0.0], sigma=[0.5, 0.3])
    return make_likelihood(small, priors, make.table(*rows), make.noise(**noise))


def loading(likelihood: Likelihood, name: str) -> list[float]:
    return likelihood.loadings[:, likelihood.nuisances.index(name)].tolist()


# --- density ----------------------------------------------------------------------------------


def test_residuals_are_the_negative_log_density_of_every_kind(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [
        make.row("level", 2014.0, value=11.0),
        make.row("growth", 2016.0, value=1.2, grade="B"),
        make.row("lower", 2018.0, value=14.0),
        make.row("upper", 2019.0, value=9.0, grade="C"),
    ]
    one = likely(small, make, *rows)
    theta = np.array([np.log(12.0), 0.1, 0.4])
    squares = 0.5 * one.residuals(theta) ** 2
    # The model: output = 12 e^0.1 all the time, so a year's total is that and growth is 1.
    mu = np.log(12.0) + 0.1
    level = stats.norm(mu, 0.1)
    growth = stats.norm(0.0, 0.2 * np.sqrt(2.0))
    want = [
        level.logpdf(mu) - level.logpdf(np.log(11.0)),
        growth.logpdf(0.0) - growth.logpdf(np.log(1.2)),
        -stats.norm(mu, 0.1).logsf(np.log(14.0)),  # the truth lies above 14
        -stats.norm(mu, 0.4).logcdf(np.log(9.0)),  # the truth lies below 9
    ]
    np.testing.assert_allclose(squares[:4], want, rtol=1e-12)
    priors = [
        stats.norm(np.log(10.0), 0.5).logpdf(np.log(10.0))
        - stats.norm(np.log(10.0), 0.5).logpdf(np.log(12.0)),
        stats.norm(0.0, 0.3).logpdf(0.0) - stats.norm(0.0, 0.3).logpdf(0.1),
        0.5 * 0.4**2,
    ]
    np.testing.assert_allclose(squares[4:], priors, rtol=1e-11)
    np.testing.assert_allclose(
        one.log_density(theta[None]), [-np.sum(want) - np.sum(priors)], rtol=1e-11
    )


@given(z=st.floats(-30.0, 30.0), side=st.sampled_from([-1, 1]))
def test_a_bound_costs_minus_the_log_of_the_tail_probability(z: float, side: int) -> None:
    # A lower bound y is kept with probability P(truth > y) = Phi(-z), z = (log y - mu) / sd.
    tail = stats.norm.logsf(z) if side < 0 else stats.norm.logcdf(z)
    got = 0.5 * residual(np.array([z]), np.array([side]))[0] ** 2
    assert got == pytest.approx(-tail, rel=1e-11, abs=1e-300)


@given(z=st.floats(-25.0, 25.0), side=st.sampled_from([-1, 0, 1]))
def test_slopes_of_residuals_are_their_derivatives(z: float, side: int) -> None:
    h, where = 1e-5, np.array([side])
    up, down = (residual(np.array([z + d]), where)[0] for d in (h, -h))
    slope = slopes(np.array([z]), where)[0][0]
    # Central differences: h^2 of the third derivative, and rounding of 1e-16 r / h.
    assert slope == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("side", [-1, 0, 1])
def test_residuals_and_slopes_are_finite_and_silent_far_out(side: int) -> None:
    z = np.array([-1e6, -400.0, -40.0, 0.0, 40.0, 400.0, 1e6])
    where = np.full(len(z), side)
    assert np.isfinite(residual(z, where)).all()
    assert np.isfinite(slopes(z, where)).all()


def test_theta_outside_the_bounds_has_no_density(small: Model, make: SimpleNamespace) -> None:
    priors = make.priors("Factor", mu=0.0, sigma=0.3, bound=0.5)
    one = make_likelihood(small, priors, make.table(make.row()), make.noise())
    density = one.log_density(np.array([[0.5, 0.0], [0.5000001, 0.0]]))
    assert np.isfinite(density[0])
    assert density[1] == -np.inf


# --- nuisances --------------------------------------------------------------------------------


def test_offsets_are_shared_by_the_rows_of_a_place_and_definition_but_not_by_growth(
    small: Model, make: SimpleNamespace
) -> None:
    one = likely(
        small,
        make,
        make.row(start=2014.0, definition="wide"),
        make.row(start=2016.0, definition="wide", kind="lower"),
        make.row("growth", 2016.0, definition="wide"),
        make.row(start=2015.0, definition="wide", place="West", elements=("West",)),
        make.row(start=2015.0, definition="full"),
        definitions=SCOPES,
    )
    assert loading(one, "offset of East, wide") == [0.5, 0.5, 0.0, 0.0, 0.0]
    assert loading(one, "offset of West, wide") == [0.0, 0.0, 0.0, 0.5, 0.0]
    assert not any("full" in name for name in one.nuisances)


def test_a_trend_counts_from_one_date_for_all_places_and_is_one_year_in_growth(
    small: Model, make: SimpleNamespace
) -> None:
    one = likely(
        small,
        make,
        make.row(start=2014.0, definition="wide"),
        make.row(start=2018.0, definition="wide"),
        make.row("growth", 2016.0, definition="wide"),
        definitions=SCOPES,
    )
    # Middles 2014.5 and 2018.5, the last date of all rows 2019.0; trend_sd is 0.1 a year.
    np.testing.assert_allclose(loading(one, "trend of East, wide"), [-0.45, -0.05, 0.1], rtol=1e-12)


def test_year_shocks_are_shared_by_places_felt_with_both_signs_in_growth_and_not_in_shares(
    small: Model, make: SimpleNamespace
) -> None:
    one = likely(
        small,
        make,
        make.row(start=2020.0),
        make.row(start=2020.0, place="West", elements=("West",)),
        make.row("growth", 2020.0),
        make.row("part-year", 2020.0, 2020.5),
        make.row("level", 2019.0, 2021.0),
        make.row("share", 2020.0),
        make.row(start=2020.0, end=2020.0, quantity="firms", unit="firm"),
        year_shock=0.05,
        year_shocks={2020: 0.1},
    )
    assert loading(one, f"{SHOCK}2020") == [0.1, 0.1, 0.1, 0.1, 0.05, 0.0, 0.0]
    assert loading(one, f"{SHOCK}2019") == [0.0, 0.0, -0.05, 0.0, 0.025, 0.0, 0.0]


def test_the_season_is_the_mean_of_its_line_over_the_part_of_the_year(
    small: Model, make: SimpleNamespace
) -> None:
    periods = [(2015.0, 2016.0), (2015.0, 2015.5), (2015.5, 2016.0), (2015.75, 2016.0)]
    rows = [make.row("part-year", *period) for period in periods]
    one = likely(small, make, *rows, season_mean=0.1, season_sd=0.05)
    for u in (-1.0, 0.0, 2.0):
        theta = np.array([[np.log(10.0), 0.0, u]])
        a = 0.1 + 0.05 * u
        # The mean of 1 + a (2 v - 1) over v, by Simpson's rule, which is exact for a line.
        want = [
            np.log(10.0 * (e - s)) + np.log(1 + a * ((s - 2015) + (e - 2015) - 1))
            for s, e in periods
        ]
        np.testing.assert_allclose(one.expected(theta)[0], want, rtol=1e-12)
    # The four quarters of a year make the year, whatever the season.
    quarters = [make.row("part-year", 2015 + k / 4, 2015.25 + k / 4) for k in range(4)]
    parts = likely(small, make, *quarters, season_mean=0.3, season_sd=0.0)
    assert np.exp(parts.expected(np.array([[np.log(10.0), 0.0, 0.0]]))).sum() == pytest.approx(
        10.0, rel=1e-12
    )


def test_a_season_never_takes_more_than_nineteen_twentieths(
    small: Model, make: SimpleNamespace
) -> None:
    """1 + a (u0 + u1 - 1) is held at 0.05, so that its log stays finite."""
    one = likely(small, make, make.row("part-year", 2015.0, 2015.5), season_mean=0.0, season_sd=1.0)
    for u, factor in ((1.8, 0.1), (1.96, 0.05), (40.0, 0.05), (-1.0, 1.5)):
        theta = np.array([[np.log(10.0), 0.0, u]])
        assert one.expected(theta)[0, 0] == pytest.approx(np.log(5.0 * factor), rel=1e-12)


@pytest.mark.parametrize(
    ("start", "end", "season"),
    [
        (2015.0, 2015.25, -0.75),
        (2015.25, 2015.75, 0.0),
        (2015.5, 2016.0, 0.5),
        (2015.0, 2016.0, 0.0),  # a whole year has none
        (2015.0, 2016.5, 0.0),  # more than a year neither
        (2015.5, 2016.5, 0.0),
    ],
)
def test_a_part_of_one_calendar_year_has_a_season(
    small: Model, make: SimpleNamespace, start: float, end: float, season: float
) -> None:
    one = likely(small, make, make.row("part-year", start, end), season_mean=0.1, season_sd=0.1)
    assert one.season.tolist() == pytest.approx([season])


def test_growth_and_shares_do_not_feel_the_season(small: Model, make: SimpleNamespace) -> None:
    rows = [make.row(kind, 2015.0, 2015.5) for kind in ("growth", "share")]
    one = likely(small, make, *rows, season_mean=0.3, season_sd=0.1)
    assert one.season.tolist() == [0.0, 0.0]


def test_nuisances_given_answers_are_the_optimum_of_the_quadratic(
    small: Model, make: SimpleNamespace
) -> None:
    rng = np.random.default_rng(3)
    rows = [
        make.row("level", 2014.0 + k % 5, definition=d, place=p, elements=(p,), value=v)
        for k, (d, p, v) in enumerate(
            zip(
                rng.choice(["full", "wide"], 9),
                rng.choice(["East", "West"], 9),
                rng.uniform(5.0, 40.0, 9),
                strict=True,
            )
        )
    ]
    one = likely(small, make, *rows, definitions=SCOPES, year_shock=0.05)
    z = np.array([[np.log(12.0), -0.1]])
    mean, precision = one.nuisances_given(one.answers(z))
    # Brute force: the cost is a quadratic in u, known from its values at 0, e_i and e_i + e_j.
    n = len(one.nuisances)

    def cost(u: np.ndarray) -> float:
        return float(-one.log_density(np.concatenate([z[0], u])[None])[0])

    eye, zero = np.eye(n), cost(np.zeros(n))
    single = np.array([cost(e) for e in eye])
    pairs = np.array([[cost(a + b) for b in eye] for a in eye])
    hessian = pairs - single[:, None] - single[None, :] + zero
    gradient = single - zero - 0.5 * np.diag(hessian)
    np.testing.assert_allclose(precision, hessian, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(mean[0], np.linalg.solve(hessian, -gradient), rtol=1e-7, atol=1e-8)


# --- what cannot be answered ------------------------------------------------------------------


def test_an_answer_that_is_not_positive_is_a_finite_wall(
    small: Model, make: SimpleNamespace
) -> None:
    # A normal prior lets Factor be 0 or negative, and with it the total.
    priors = make.priors("Factor", mu=1.0, sigma=1.0, family="normal")
    rows = [make.row(), make.row("lower", 2015.0), make.row("growth", 2016.0)]
    one = make_likelihood(small, priors, make.table(*rows), make.noise(year_shock=0.05))
    for factor in (0.0, -1.0):
        theta = np.concatenate([[factor], np.zeros(len(one.nuisances))])
        residuals = one.residuals(theta)
        assert residuals[:2].tolist() == [BLAME, BLAME]
        assert np.isfinite(one.log_density(theta[None])).all()
        jacobian = one.jacobian(theta)
        assert np.isfinite(jacobian).all()
        assert (jacobian[:2] == 0).all()
        assert np.isfinite(one.nuisances_given(one.answers(theta[None]))[0]).all()


def test_nothing_to_fit_is_refused(small: Model, make: SimpleNamespace) -> None:
    priors = make.priors("Factor", mu=0.0, sigma=1.0)
    with pytest.raises(CalibrationError, match="no observation to fit"):
        make_likelihood(small, priors, make.table(), make.noise())
    with pytest.raises(CalibrationError, match="no parameter to estimate"):
        make_likelihood(small, priors.subset([]), make.table(make.row()), make.noise())


def test_a_row_before_the_run_is_refused_with_its_line(small: Model, make: SimpleNamespace) -> None:
    with pytest.raises(TableError, match=r"^table\.csv:2: "):
        likely(small, make, make.row("growth", 2013.0))


# --- derivatives ------------------------------------------------------------------------------


def differences(likelihood: Likelihood, theta: np.ndarray, h: float) -> np.ndarray:
    """Central differences of the residuals, (m + size, size), as one ensemble."""
    step = h * np.eye(len(theta))
    both = likelihood.residuals(np.concatenate([theta + step, theta - step]))
    return ((both[: len(theta)] - both[len(theta) :]) / (2 * h)).T


def one_sided(likelihood: Likelihood, theta: np.ndarray, h: float) -> np.ndarray:
    """Differences to one side, of second order, (m + size, size); h below 0 is the other side."""
    step, n = h * np.eye(len(theta)), len(theta)
    at = likelihood.residuals(np.concatenate([theta[None], theta + step, theta + 2.0 * step]))
    return ((-3.0 * at[0] + 4.0 * at[1 : n + 1] - at[n + 1 :]) / (2.0 * h)).T


@pytest.mark.parametrize("where", ["centre of the priors", "a draw from the priors", "the optimum"])
def test_the_jacobian_is_exact_in_every_column(likelihood: Likelihood, request, where: str) -> None:
    theta = np.concatenate([likelihood.priors.mu, np.zeros(len(likelihood.nuisances))])
    if where == "a draw from the priors":
        theta = sample_prior(likelihood, 1, rng=np.random.default_rng(4)).theta[0]
    if where == "the optimum":
        theta = request.getfixturevalue("fit").theta
    exact = likelihood.jacobian(theta)
    # Large steps may cross a kink (MIN, MAX), small ones suffer from rounding, and an optimum may
    # lie on a kink, where the derivative is that of one side; an exact column is met by one of the
    # differences. A wrong one is met by none.
    scale = np.abs(exact).max(axis=0)
    tries = [(differences, h) for h in (1e-5, 1e-4, 1e-6)]
    tries += [(one_sided, h) for size in (1e-5, 1e-6) for h in (size, -size)]
    error = np.full(len(theta), np.inf)
    for of, h in tries:
        if (error > 1e-6).any():
            found = of(likelihood, theta, h)
            error = np.minimum(error, np.abs(found - exact).max(axis=0) / scale)
    assert dict(zip(likelihood.labels, error, strict=True)) == pytest.approx(
        dict.fromkeys(likelihood.labels, 0.0), abs=1e-6
    )


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10)
def test_the_jacobian_of_the_small_model_is_exact(
    small: Model, make: SimpleNamespace, seed: int
) -> None:
    one = likely(
        small,
        make,
        make.row(value=11.0, definition="wide"),
        make.row("lower", 2016.0, value=14.0),
        make.row("upper", 2016.0, value=9.0),
        make.row("part-year", 2017.0, 2017.25, value=2.0),
        definitions=SCOPES,
        year_shock=0.05,
        season_mean=0.1,
        season_sd=0.05,
    )
    theta = sample_prior(one, 1, rng=np.random.default_rng(seed)).theta[0]
    np.testing.assert_allclose(
        differences(one, theta, 1e-6), one.jacobian(theta), rtol=1e-6, atol=1e-6
    )


def test_rows_that_print_one_year_twice_share_a_part_of_their_variance(
    small: Model, make: SimpleNamespace
) -> None:
    rows = (
        make.row(start=2018.0, definition="wide"),
        make.row("growth", 2018.0, definition="wide"),
        make.row(start=2019.0, definition="wide"),
    )
    alone = likely(small, make, *rows, definitions=SCOPES)
    one = likely(small, make, *rows, definitions=SCOPES, shared=0.75)
    common = np.array(loading(one, "error of East, wide, final, 2018"))
    # The variance of each row is what it was: three quarters of one year's is common to the two
    # rows of 2018, and the row of 2019 stands alone.
    np.testing.assert_allclose(one.sds**2 + common**2, alone.sds**2, rtol=1e-12)
    np.testing.assert_allclose(common[:2], np.sqrt(0.75) * alone.sds[0], rtol=1e-12)
    assert common[2] == 0.0


def test_two_quantities_of_one_statistic_share_an_offset_but_for_a_little(
    small: Model, make: SimpleNamespace
) -> None:
    one = likely(
        small,
        make,
        make.row(start=2018.0, definition="wide"),
        make.row(start=2019.0, definition="wide", quantity="firms"),
        definitions=SCOPES,
        quantity_sd=0.15,
    )
    assert np.ptp(loading(one, "offset of East, wide")) == 0.0
    np.testing.assert_array_equal(loading(one, "firms within East, wide"), [0.0, 0.15])


# --- rows of every family ---------------------------------------------------------------------

OWN = {
    "full": Definition("Full scope", 0.0, 0.0, 0.0),
    "plain": Definition("", 0, 0, 0, ErrorModel("normal", 1.5, 0.8, name="plain")),
    "heavy": Definition("", 0, 0, 0, ErrorModel("student", 1.5, df=4.0, name="heavy")),
    "count": Definition("", 0, 0, 0, ErrorModel("poisson", name="count")),
    "over": Definition("", 0, 0, 0, ErrorModel("negative_binomial", 0.2, 0.6, name="over")),
    "out of": Definition("", 0, 0, 0, ErrorModel("binomial", trials=30.0, name="out of")),
    "scaled": Definition(
        "", 0, 0, 0, ErrorModel("normal", 0.5, scale_by="Factor", scale_power=-1.0, name="scaled")
    ),
}


def every_family(make: SimpleNamespace) -> list[Any]:
    return [
        make.row(start=2014.0, value=11.0),
        make.row(start=2014.0, value=11.0, within=(10.5, 11.5)),
        make.row("lower", 2015.0, value=12.0, grade="B"),
        make.row(start=2014.0, value=13.0, definition="plain"),
        make.row(start=2015.0, value=8.0, definition="plain", within=(7.0, 9.0)),
        make.row("upper", 2015.0, value=14.0, definition="plain"),
        make.row(start=2014.0, value=15.0, definition="heavy"),
        make.row(start=2014.0, value=9.0, definition="count"),
        make.row(start=2014.0, value=14.0, definition="over"),
        make.row(start=2016.0, value=0.0, definition="over"),
        make.row(start=2016.0, value=12.5, definition="scaled"),
    ]


def test_the_log_likelihood_of_each_family_is_that_of_scipy(
    small: Model, make: SimpleNamespace
) -> None:
    """Of what is compared: a log for relative errors; scales as the unknowns say."""
    one = likely(small, make, *every_family(make), definitions=OWN, seasonal=False)
    assert one.nuisances == ("overdispersion of over", "sd of plain")
    theta = np.array([[np.log(12.0), 0.2, -0.5, 0.7], [np.log(9.0), -0.1, 1.1, -0.4]])
    for (level, factor, over, plain), found in zip(theta, one.log_likelihood(theta), strict=True):
        m = np.exp(level + factor)
        log = stats.norm(level + factor, 0.1)
        own = stats.norm(m, 1.5 * np.exp(0.8 * plain))
        phi = 1 / (0.2 * np.exp(0.6 * over))
        negative = stats.nbinom(phi, phi / (phi + m))
        expected = [
            log.logpdf(np.log(11.0)),
            np.log(log.cdf(np.log(11.5)) - log.cdf(np.log(10.5))),
            stats.norm(level + factor, 0.2).logsf(np.log(12.0)),
            own.logpdf(13.0),
            np.log(own.cdf(9.0) - own.cdf(7.0)),
            own.logcdf(14.0),
            stats.t(4, m, 1.5).logpdf(15.0),
            stats.poisson(m).logpmf(9),
            negative.logpmf(14),
            negative.logpmf(0),
            stats.norm(m, 0.5 / np.exp(factor)).logpdf(12.5),  # Factor is 1 in the model
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_binomial_row_has_the_probability_that_the_model_says(
    small: Model, make: SimpleNamespace
) -> None:
    """Thirty trials; the share is 10 e^-3 times the factor."""
    row = make.row(start=2014.0, value=21.0, definition="out of")
    one = likely(small, make, row, definitions=OWN, seasonal=False)
    theta = np.array([[np.log(10.0) - 3.0, 0.1], [np.log(10.0) - 2.8, 0.0]])
    p = np.exp(theta.sum(axis=1))
    np.testing.assert_allclose(
        one.log_likelihood(theta)[:, 0], stats.binom(30, p).logpmf(21), rtol=1e-9
    )


def test_rows_left_out_in_place_are_as_if_they_had_never_been(
    small: Model, make: SimpleNamespace
) -> None:
    """But for a constant, and for the scale that no other row measures: it has its prior."""
    rows = every_family(make)
    keep = np.array([True, False, False, True, False, False, False, False, False, False, False])
    whole = likely(small, make, *rows, definitions=OWN, seasonal=False)
    part = whole.without(~keep)
    alone = likely(
        small,
        make,
        *(r for r, k in zip(rows, keep, strict=True) if k),
        definitions=OWN,
        seasonal=False,
    )
    assert alone.nuisances == ("sd of plain",)
    theta = np.array([[np.log(12.0), 0.2, 0.0, 0.7], [np.log(9.0), -0.1, 0.0, -0.4]])
    fewer = theta[:, [0, 1, 3]]
    np.testing.assert_allclose(
        np.diff(part.log_density(theta)), np.diff(alone.log_density(fewer)), rtol=1e-8
    )
    for column in (0, 1, 3):
        found = (part.jacobian(theta[0]).T @ part.residuals(theta[0]))[column]
        expected = (alone.jacobian(fewer[0]).T @ alone.residuals(fewer[0]))[[0, 1, 9, 2][column]]
        assert found == pytest.approx(expected, rel=1e-9)
    # Without the rows that measure an overdispersion its unknown costs as much as its prior.
    for eta in (-2.0, 1.5):
        moved = np.array([theta[0], theta[0]])
        moved[1, 2] = eta
        assert np.diff(part.log_density(moved))[0] == pytest.approx(-0.5 * eta**2, rel=1e-9)


def test_only_scales_are_bounded_and_at_four_prior_sds(small: Model, make: SimpleNamespace) -> None:
    one = likely(small, make, *every_family(make), definitions=OWN, year_shock=0.05)
    lower, upper = one.bounds()
    scales = [name.startswith(("sd of", "overdispersion of")) for name in one.labels]
    assert sum(scales) == 2
    expected = np.where(scales, 4.0, np.inf)
    np.testing.assert_array_equal(upper, expected)
    np.testing.assert_array_equal(lower, -expected)
    theta = np.zeros((2, one.size))
    theta[:, 0] = np.log(10.0)
    theta[:, scales.index(True)] = [4.0, 4.0000001]
    assert np.isfinite(one.log_density(theta)).tolist() == [True, False]


def test_weights_of_priors_multiply_their_residuals_and_slopes(
    small: Model, make: SimpleNamespace
) -> None:
    one = likely(small, make, make.row(value=11.0), definitions=OWN, year_shock=0.05)
    weights = np.linspace(0.0, 2.0, one.size)
    given = replace(one, prior_weights=weights)
    theta = np.append([np.log(13.0), 0.2], np.linspace(-1.0, 1.0, one.size - 2))
    np.testing.assert_allclose(given.residuals(theta)[1:], one.residuals(theta)[1:] * weights)
    np.testing.assert_allclose(given.residuals(theta)[0], one.residuals(theta)[0])
    np.testing.assert_allclose(
        given.jacobian(theta)[1:], one.jacobian(theta)[1:] * weights[:, None]
    )


def test_what_is_expected_without_shocks_leaves_the_unknowns_alone(
    small: Model, make: SimpleNamespace
) -> None:
    one = likely(small, make, make.row(start=2020.0), year_shock=0.05)
    theta = np.zeros((1, one.size))
    theta[0, one.labels.index(f"{SHOCK}2020")] = 2.0
    before = theta.copy()
    with_shock, without = one.expected(theta), one.expected(theta, shocks=False)
    np.testing.assert_array_equal(theta, before)
    assert (with_shock - without)[0, 0] == pytest.approx(0.1, rel=1e-12)


def test_the_rule_of_numbers_is_least_squares_about_a_season(
    small: Model, make: SimpleNamespace
) -> None:
    """The log of 1 + a s is linear about the season that is given: its tangent, solved at once."""
    rows = [
        make.row("part-year", 2015.0, 2015.5, value=4.0),
        make.row("part-year", 2015.5, 2015.75, value=3.0, grade="B"),
        make.row(start=2016.0, value=12.0, definition="wide"),
        make.row("lower", 2016.0, value=14.0),
    ]
    one = likely(
        small, make, *rows, definitions=SCOPES, year_shock=0.1, season_mean=0.1, season_sd=0.2
    )
    numbers, at = np.array([True, True, True, False]), 0.7
    answers = one.answers(np.array([[np.log(10.0), 0.1, *np.zeros(len(one.nuisances))]]))
    rule = one.rule_of_numbers(numbers, at)
    s = np.array([-0.5, 0.25, 0.0, 0.0])
    factor = 1 + (0.1 + 0.2 * at) * s
    slope = 0.2 * s / factor
    design = np.column_stack([one.loadings, slope])[numbers] / one.sds[numbers, None]
    target = one.published - answers[0] - np.log(factor) + slope * at
    target = target[numbers] / one.sds[numbers]
    whole = np.concatenate([design, np.eye(len(one.nuisances))])
    both = np.concatenate([target, np.zeros(len(one.nuisances))])
    expected = np.linalg.lstsq(whole, both, rcond=None)[0]
    np.testing.assert_allclose(rule.mean(answers)[0], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(rule.precision, whole.T @ whole, rtol=1e-12)


def test_before_a_fit_the_variance_of_a_count_is_taken_as_the_count_and_one(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [
        make.row(start=2014.0, value=v, definition=d)
        for v, d in ((9.0, "count"), (0.0, "count"), (14.0, "over"))
    ]
    one = likely(small, make, *rows, definitions=OWN, year_shock=0.1, seasonal=False)
    precision = one.nuisance_rule().precision
    k = one.nuisances.index(f"{SHOCK}2014")
    expected = 1.0 + (one.loadings[:, k] ** 2 / np.array([10.0, 1.0, 15.0])).sum()
    assert precision[k, k] == pytest.approx(expected, rel=1e-12)
