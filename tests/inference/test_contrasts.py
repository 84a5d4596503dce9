"""Contrasts in the likelihood: published differences between two runs of the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from beltcast import Study, read_study
from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError, TableError
from beltcast.inference.assemble import likelihood_of
from beltcast.inference.calibrate import Calibration, calibrate_from
from beltcast.inference.contrast_rows import ContrastRows, make_contrast_rows
from beltcast.inference.sampling.sampler import SampleOptions, sample

MODEL = """{UTF-8}
Belt: North, South ~ ~ |
Tier: One, Two ~ ~ |
INITIAL TIME = 2019 ~ Year ~ |
FINAL TIME = 2024 ~ Year ~ |
TIME STEP = 0.25 ~ Year ~ |
SAVEPER = 1 ~ Year ~ |
Gain = 0.1 ~ Dmnl ~ |
Size = 90 ~ thing/Year ~ |
Opened[Belt] = 1, 1 ~ Dmnl ~ |
Price = 0 ~ Dmnl ~ |
Elasticity = 2 ~ Dmnl ~ |
flow[Belt] = Size*EXP(Gain*Opened[Belt] - Elasticity*Price) ~ thing/Year ~ |
part[Belt,Tier] = 0.5*flow[Belt] ~ thing/Year ~ |
plain = Size ~ thing/Year ~ |
"""
OBSERVATIONS = (
    "place,quantity,kind,start,end,value,unit,definition,vintage,grade,published,source,url,quote,"
    "note\ntotal,plain,level,2020,2021,100,thing,count,final,A,2021.1,a page,,,\n"
)
STUDY = """
[study]
model = "small.mdl"
observations = "rows.csv"
priors = "priors.toml"
contrasts = "contrasts.csv"
target = "flow"
[noise]
grade = { A = 0.1, B = 0.1, C = 0.1 }
vintage = { final = 0.0, revised = 0.0, preliminary = 0.0, only = 0.0 }
year_shock = { default = 0.0 }
[definitions.count]
offset_sd = 0.0
trend_sd = 0.0
noise = 0.0
"""
PRIORS = """
[Gain]
distribution = "normal"
mean = 0.1
sd = 0.5
bounds = [-5.0, 5.0]
unit = "Dmnl"
role = "driver"
source = "none"
[Size]
distribution = "lognormal"
median = 90
log_sd = 0.3
bounds = [1.0, 10000.0]
unit = "thing/Year"
role = "pooled"
source = "none"
"""
HEADER = "id,place,quantity,start,end,change,per,log_difference,standard_error,group,grade"
ONE = "own,total,flow,2020,2021,Opened = 0,-1,0.3,0.2,g,A"


def study_of(folder: Path, *rows: str, settings: str = "") -> Study:
    """The study of ``flow = Size exp(Gain Opened)``, with contrasts."""
    (folder / "small.mdl").write_text(MODEL)
    (folder / "rows.csv").write_text(OBSERVATIONS)
    (folder / "priors.toml").write_text(PRIORS)
    (folder / "study.toml").write_text(STUDY + settings)
    table = [f"{HEADER},published,source,use"]
    table += [f"{row},2024,a paper,yes" for row in rows]
    (folder / "contrasts.csv").write_text("\n".join(table) + "\n")
    return read_study(folder)


def rows_of(study: Study) -> ContrastRows:
    contrasts = study.observations.contrasts
    assert contrasts is not None
    return make_contrast_rows(study.model, study.priors, contrasts)


def fit_of(study: Study) -> Calibration:
    likelihood = likelihood_of(study)
    return calibrate_from(likelihood, np.append(study.priors.mu, np.zeros(likelihood.size - 2)))


def test_one_contrast_and_a_normal_prior_give_the_normal_posterior(tmp_path: Path) -> None:
    fit = fit_of(study_of(tmp_path, ONE))
    precision = 1 / 0.5**2 + 1 / 0.2**2
    assert fit.theta[0] == pytest.approx((0.1 / 0.5**2 + 0.3 / 0.2**2) / precision, abs=1e-6)
    assert fit.covariance[0, 0] ** 0.5 == pytest.approx(precision**-0.5, rel=1e-6)


def test_chains_have_the_same_posterior(tmp_path: Path) -> None:
    fit = fit_of(study_of(tmp_path, ONE))
    rng = np.random.default_rng(1)
    options = SampleOptions(draws=400, method="walkers", every=4, burn_in=100)
    draws = sample(fit, options, rng=rng).theta[..., 0]
    precision = 1 / 0.5**2 + 1 / 0.2**2
    mean, sd = (0.1 / 0.5**2 + 0.3 / 0.2**2) / precision, precision**-0.5
    # Four standard errors of 400 effective draws.
    assert draws.mean() == pytest.approx(mean, abs=4 * sd / 400**0.5)
    assert draws.std() == pytest.approx(sd, rel=4 / 800**0.5)


def test_two_rows_of_one_group_are_worth_as_much_as_their_correlation_leaves(
    tmp_path: Path,
) -> None:
    other = ONE.replace("own", "other")
    correlated = fit_of(study_of(tmp_path, ONE, other))
    # The mean of two estimates with sd s and correlation rho has the variance s^2 (1 + rho) / 2.
    precision = 1 / 0.5**2 + 1 / (0.2**2 * (1 + 0.7) / 2)
    assert correlated.covariance[0, 0] == pytest.approx(1 / precision, rel=1e-6)
    apart = fit_of(study_of(tmp_path, ONE, other.replace(",g,", ",h,")))
    assert apart.covariance[0, 0] == pytest.approx(1 / (1 / 0.5**2 + 2 / 0.2**2), rel=1e-6)


def test_the_factor_of_publication_bias_is_integrated_out(tmp_path: Path) -> None:
    settings = "[contrasts]\nbias = { B = 0.5, C = 1.0 }\ncorrelation = 0.4\n"
    rows = ONE.replace(",A", ",C"), ONE.replace("own", "b").replace(",A", ",B")
    contrasts = rows_of(study_of(tmp_path, *rows, settings=settings))
    z = np.array([[-0.5, 4.5], [0.29, 4.5], [2.0, 4.5]])
    for at, found in zip(z, contrasts.log_density(z), strict=True):
        gaps = np.array([0.3, 0.3]) - at[0]

        def density(x: float, gaps: FloatArray = gaps) -> float:
            sds = 0.2 * np.exp(np.array([1.0, 0.5]) * x)
            covariance = np.array([[1, 0.4], [0.4, 1]]) * np.outer(sds, sds)
            normal = multivariate_normal(cov=covariance).pdf(gaps)
            return float(normal * 2 * norm.pdf(x))

        assert found == pytest.approx(np.log(quad(density, 0, 8)[0]), abs=1e-6)


def test_half_the_squared_residuals_are_the_fall_from_the_best_density(tmp_path: Path) -> None:
    rows = ONE.replace(",A", ",C"), ONE.replace("own", "b").replace("0.3", "-0.1")
    contrasts = rows_of(study_of(tmp_path, *rows))
    z = np.array([[-0.5, 4.5], [0.1, 4.5], [0.2, 4.5], [3.0, 4.5]])
    squares = (contrasts.residuals(z) ** 2).sum(axis=1)
    density = contrasts.log_density(z)
    np.testing.assert_allclose(density - density[0], -0.5 * (squares - squares[0]), rtol=1e-12)


def test_the_jacobian_is_the_derivative_of_the_residuals(tmp_path: Path) -> None:
    rows = (
        ONE.replace(",A", ",C"),
        ONE.replace("own", "b").replace("0.3", "-0.1").replace(",A", ",B"),
        "itself,North,part,2020,2021,Gain = 0.4; Size = 50,,0.2,0.1,h,C",
    )
    likelihood = likelihood_of(study_of(tmp_path, *rows))
    theta = np.array([0.37, 4.4])
    step = 1e-6
    both = [theta + sign * step * np.eye(2)[:, None] for sign in (1, -1)]
    one, other = (np.array([likelihood.residuals(at[0]) for at in ats]) for ats in both)
    np.testing.assert_allclose(
        likelihood.jacobian(theta), ((one - other) / (2 * step)).T, rtol=1e-6, atol=1e-8
    )


def test_a_constant_that_the_second_run_sets_does_not_follow_its_parameter(tmp_path: Path) -> None:
    contrasts = rows_of(study_of(tmp_path, "a,North,part,2020,2021,Gain = 0.4,,0.2,0.1,h,A"))
    assert contrasts.answers(np.array([[0.1, 4.0], [0.3, 4.0]])) == pytest.approx(
        np.array([[0.3], [0.1]]), abs=1e-12
    )


def test_an_estimate_over_several_places_and_periods_is_of_their_mean(tmp_path: Path) -> None:
    row = "a,North; South,flow,2020; 2021,2022,Opened[North] = 0,0.5,0.2,0.1,h,A"
    contrasts = rows_of(study_of(tmp_path, row))
    # North loses its gain of 0.1, South keeps its own; divided by 0.5.
    assert contrasts.answers(np.array([[0.1, 4.0]])) == pytest.approx(np.array([[-0.1]]))


def test_an_elasticity_is_divided_by_the_log_change_of_the_price(tmp_path: Path) -> None:
    row = "a,total,flow,2020,2021,Price = 0.01,0.01,-2,0.1,h,A"
    answer = rows_of(study_of(tmp_path, row)).answers(np.array([[0.1, 4.0]]))
    assert answer == pytest.approx(np.array([[-2.0]]))


def test_rows_with_the_same_change_share_a_second_run(tmp_path: Path) -> None:
    rows = ONE, ONE.replace("own", "b"), "c,total,flow,2020,2021,Price = 0.01,0.01,-2,0.1,h,A"
    assert len(rows_of(study_of(tmp_path, *rows)).changes) == 2


def test_contrasts_are_known_from_the_date_of_their_publication(tmp_path: Path) -> None:
    study = study_of(tmp_path, ONE)
    early = likelihood_of(replace(study, observations=study.observations.published_by(2023.0)))
    assert early.contrasts is None
    late = likelihood_of(replace(study, observations=study.observations.published_by(2024.0)))
    assert late.contrasts is not None


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (ONE.replace("Opened = 0", "Openned = 0"), "did you mean 'Opened'"),
        (ONE.replace("Opened = 0", "Opened[Nord] = 0"), "'Nord' is not an element of 'Belt'"),
        (
            ONE.replace("Opened = 0", "flow = 0"),
            "'flow' is not a constant that a second run can set",
        ),
        (ONE.replace("Opened = 0", "Opened"), "write 'Constant = value'"),
        (ONE.replace(",flow,", ",flaw,"), "unknown quantity"),
        (ONE.replace("total", "Norht"), "unknown place 'Norht'"),
        (ONE.replace("0.2,g", "0,g"), "expected a number above 0"),
        (ONE.replace(",A", ",D"), "expected one of A, B, C"),
        (ONE.replace("2020,2021", "2020,2031"), "the model runs from 2019 to 2024"),
    ],
)
def test_a_wrong_row_is_refused_with_file_and_line(tmp_path: Path, row: str, what: str) -> None:
    with pytest.raises(TableError, match=r"contrasts\.csv:3") as refused:
        likelihood_of(study_of(tmp_path, ONE, row.replace("own", "b")))
    assert what in str(refused.value)


def test_a_row_that_is_left_out_keeps_its_reason(tmp_path: Path) -> None:
    study_of(tmp_path, ONE)
    path = tmp_path / "contrasts.csv"
    path.write_text(path.read_text() + "b,any belt,,,,,,,,zones,C,2024,a paper,a sign only\n")
    contrasts = read_study(tmp_path).observations.contrasts
    assert contrasts is not None
    assert [row.name for row in contrasts.rows] == ["own"]
    assert contrasts.left_out == {"b": "a sign only"}


@pytest.mark.parametrize("settings", ["correlation = 1.0", "bias = { A = -1 }", "rho = 0.5"])
def test_a_wrong_setting_is_refused_with_file_and_line(tmp_path: Path, settings: str) -> None:
    with pytest.raises(InputError, match=r"study.toml:\d+"):
        study_of(tmp_path, ONE, settings=f"[contrasts]\n{settings}\n")


def test_a_changed_contrast_makes_kept_results_another_study_s(tmp_path: Path) -> None:
    one = study_of(tmp_path, ONE).hashes["contrasts"]
    other = study_of(tmp_path, ONE.replace("0.3", "0.31")).hashes["contrasts"]
    wider = study_of(tmp_path, ONE, settings="[contrasts]\ncorrelation = 0.5\n")
    assert len({one, other, wider.hashes["contrasts"]}) == 3
