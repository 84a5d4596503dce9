"""Standard deviations between elements against the exact marginal likelihood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import multivariate_normal

from beltcast import calibrate
from beltcast.inference.calibrate import Calibration
from beltcast.inference.pool_scales import given_pool_scales, pool_scales
from beltcast.inference.statistics import fit_statistics
from beltcast.workflows.calibrate import CalibrateOptions, calibrate_study
from beltcast.workflows.own_model import OwnModel, read_own_model

MODEL = """{UTF-8}
Unit: a, b, c, d, e, f ~ ~ |
level[Unit] = 10 ~ g ~ |
seen[Unit] = INTEG(0, level[Unit]) ~ g ~ |
INITIAL TIME = 0 ~ Day ~ |
FINAL TIME = 2 ~ Day ~ |
TIME STEP = 1 ~ Day ~ |
SAVEPER = 1 ~ Day ~ |
"""
VALUES = np.array([[8.1, 7.4], [9.7, 10.6], [12.3, 11.2], [10.4, 10.9], [6.9, 7.8], [13.0, 12.1]])


@pytest.fixture
def own(tmp_path: Path, request: pytest.FixtureRequest) -> OwnModel:
    errors = getattr(request, "param", '{ family = "normal", scale = 0.5 }')
    (tmp_path / "m.mdl").write_text(MODEL, encoding="utf-8")
    header = "Day," + ",".join(f"seen[{u}]" for u in "abcdef")
    lines = [f"{t + 1}," + ",".join(map(str, VALUES[:, t])) for t in range(2)]
    (tmp_path / "d.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    (tmp_path / "p.toml").write_text(
        '[level]\ndistribution = "normal"\nmean = 10\nsd = 5\npool = "partial"\n'
        'per = "Unit"\nbetween = 1.0\nbetween_log_sd = 1.0\n',
        encoding="utf-8",
    )
    columns = "\n".join(f'["seen[{u}]"]\nerrors = {errors}\n' for u in "abcdef")
    (tmp_path / "c.toml").write_text(columns, encoding="utf-8")
    return read_own_model(
        tmp_path / "m.mdl", tmp_path / "d.csv", tmp_path / "p.toml", columns=tmp_path / "c.toml"
    )


@pytest.fixture
def fit(own: OwnModel) -> Calibration:
    return calibrate(own.likelihood, rng=np.random.default_rng(1), starts=8, refine=2)


def test_the_scale_of_a_linear_model_is_that_of_its_exact_marginal_likelihood(
    fit: Calibration,
) -> None:
    found = pool_scales(fit)

    def cost(log_tau: np.ndarray) -> float:
        # y = mean + tau z_unit + error: one multivariate normal.
        same = np.kron(np.eye(6), np.ones((2, 2)))
        covariance = 25.0 + np.exp(2 * log_tau[0]) * same + 0.25 * np.eye(12)
        density = multivariate_normal(np.full(12, 10.0), covariance).logpdf(VALUES.ravel())
        return float(-density + 0.5 * log_tau[0] ** 2)

    exact = np.exp(minimize(cost, [0.0], tol=1e-10).x[0])
    # The search stops at a slope of 1e-2 of the log, whose curvature is about 8.
    assert found.loc["sd of level", "estimate"] == pytest.approx(exact, rel=0.01)
    assert np.isnan(fit.table().loc["sd of level", "median"])


def test_the_common_mean_has_the_standard_error_of_its_marginal_likelihood(
    fit: Calibration,
) -> None:
    between = pool_scales(fit)
    found = fit_statistics(given_pool_scales(fit, between)).estimates.loc["level"]
    # Six means of two rows, each with variance tau^2 + 0.5^2 / 2, and a prior of sd 5.
    variance = between.loc["sd of level", "estimate"] ** 2 + 0.125
    exact = (6.0 / variance + 1.0 / 25.0) ** -0.5
    assert found["standard_error"] == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize(
    "own",
    ['{ family = "normal", name = "seen" }'],
    indirect=True,
)
def test_the_sd_of_errors_maximises_the_likelihood_with_the_elements_integrated_out(
    fit: Calibration,
) -> None:
    given = given_pool_scales(fit, pool_scales(fit))
    assert np.ptp(fit.likelihood.sds) == 0.0  # columns of one name have one scale
    found = fit_statistics(given).estimates["estimate"]
    tau = given.likelihood.priors.mu[given.likelihood.priors.pools[0].sd]

    def cost(log_sd: float) -> float:
        same = np.kron(np.eye(6), np.ones((2, 2)))
        covariance = np.exp(2 * tau) * same + np.exp(2 * log_sd) * np.eye(12)
        density = multivariate_normal(np.full(12, found["level"]), covariance)
        return -float(density.logpdf(VALUES.ravel()))

    exact = np.exp(minimize_scalar(cost, bounds=(-3, 2), method="bounded").x)
    # A tenth of the standard error of its log, which is 12 ** -0.5.
    assert np.log(found["sd of seen"] / exact) == pytest.approx(0.0, abs=0.1 * 12**-0.5)


def test_the_summary_has_the_scale_that_is_found_and_says_what_the_likelihood_is_given(
    own: OwnModel, tmp_path: Path
) -> None:
    found = calibrate_study(own.study, CalibrateOptions(starts=4, refine=1), rng=1)
    page, row = found.page(), found.table().loc["sd of level"]
    assert row["median"] == found.between.loc["sd of level", "estimate"]
    # Of a log-normal, the ratio of log widths is that of the standard deviations.
    widths = [np.log(row[f"{of}p90"] / row[f"{of}p10"]) for of in ("", "prior_")]
    assert row["sd_ratio"] == pytest.approx(widths[0] / widths[1])
    (line,) = [line for line in page.splitlines() if line.startswith("sd of level")]
    assert f"{row['sd_ratio']:.2f} {row['verdict']}" in line
    assert "nan" not in page
    assert "AIC and BIC are given the elements of pooled constants" in page
    found.save(tmp_path)
    assert np.isfinite(pd.read_csv(tmp_path / "calibration.csv")["median"]).all()
