"""Estimated standard deviations of errors: against restricted maximum likelihood in closed form."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import brentq
from typer.testing import CliRunner

from beltcast import Model, calibrate, error_scales, make_likelihood, read_study
from beltcast.cli import app
from beltcast.errors import InputError
from beltcast.files.toml import read_toml
from beltcast.inference.audit.error_scales import ErrorScales, _sds, _table
from beltcast.inference.likelihood import Likelihood
from beltcast.study.noise import noise_from_table

VALUES = {"East": [9.1, 11.5, 10.2, 12.9, 8.7], "West": [21.0, 18.2, 24.5]}


@pytest.fixture(scope="module")
def eight_rows(small: Model, make: SimpleNamespace) -> Likelihood:
    """Five rows about one level and three about another, each level with a wide prior."""
    rows = [
        make.row(start=2014.0 + i, value=value, place=place, elements=(place,))
        for place, values in VALUES.items()
        for i, value in enumerate(values)
    ]
    priors = make.priors("Level[East]", "Level[West]", mu=np.log([10.0, 20.0]), sigma=50.0)
    return make_likelihood(small, priors, make.table(*rows), make.noise(error_scale_sd=2.0))


@pytest.fixture(scope="module")
def found(eight_rows: Likelihood) -> ErrorScales:
    return error_scales(eight_rows, rng=np.random.default_rng(1), starts=4)


def rss() -> float:
    logs = [np.log(values) for values in VALUES.values()]
    return float(sum(((one - one.mean()) ** 2).sum() for one in logs))


def test_a_linear_model_has_the_restricted_maximum_likelihood(found: ErrorScales) -> None:
    # With v the log of the factor of 0.1: (8 - 2) v + RSS / (2 0.1^2 e^2v) + v^2 / (2 2^2).
    scaled = rss() / 0.1**2
    mode = brentq(lambda v: 6.0 - scaled * np.exp(-2 * v) + v / 4.0, -3, 3)
    sd = 1 / np.sqrt(2 * scaled * np.exp(-2 * mode) + 1 / 4.0)
    row = found.table.loc["grade A"]
    assert row.rows == 8
    assert np.log(row.factor) == pytest.approx(mode, abs=2e-3)
    assert np.log(row.high / row.low) / (2 * 1.2815515655) == pytest.approx(sd, rel=0.02)
    assert row.contraction == pytest.approx(1 - (sd / 2) ** 2, abs=0.01)


def test_standard_deviations_of_factors_are_those_of_their_normal() -> None:
    precision = np.array([[9.0, 3.0, 0.0], [3.0, 25.0, -4.0], [0.0, -4.0, 16.0]])
    at = np.array([0.3, -0.2, 0.1])
    found = _sds(lambda x: 0.5 * float((x - at) @ precision @ (x - at)), at, prior=0.5)
    np.testing.assert_allclose(found, np.sqrt(np.diag(np.linalg.inv(precision))), rtol=1e-9)
    # Where the evidence bends the wrong way they are the prior's.
    np.testing.assert_allclose(_sds(lambda x: -float(x @ x), np.zeros(2), prior=0.5), 0.5)


def test_the_joint_optimum_is_narrower(eight_rows: Likelihood, found: ErrorScales) -> None:
    # Of 8 rows it takes 8 for degrees of freedom, not 6.
    joint = calibrate(eight_rows, rng=np.random.default_rng(1), starts=4, refine=1)
    eta = joint.theta[list(eight_rows.labels).index("error scale of grade A")]
    ratio = np.exp(2.0 * eta) / found.table.loc["grade A", "factor"]
    assert ratio == pytest.approx(np.sqrt(6 / 8), rel=0.02)


def test_the_fit_takes_them_for_given(found: ErrorScales) -> None:
    one = found.calibration.likelihood
    assert one.nuisances == ("season",)
    np.testing.assert_allclose(one.sds, 0.1 * found.table.loc["grade A", "factor"])
    given = dataclasses.replace(one.noise, error_scale_factors={})
    before = make_likelihood(one.model, one.priors, one.observations, given)
    first = calibrate(before, rng=np.random.default_rng(1), starts=4, refine=1)
    assert found.gain == pytest.approx(found.calibration.log_evidence - first.log_evidence)
    assert found.gain > 0


def test_what_no_row_tells_of_stays_with_its_prior(small: Model, make: SimpleNamespace) -> None:
    # One row of grade B and a level of its own: any standard deviation fits it alike.
    rows = [make.row(value=v, start=2014.0 + i) for i, v in enumerate(VALUES["East"])]
    rows.append(make.row(value=20.0, place="West", elements=("West",), grade="B"))
    priors = make.priors("Level[East]", "Level[West]", mu=np.log([10.0, 20.0]), sigma=50.0)
    one = make_likelihood(small, priors, make.table(*rows), make.noise(error_scale_sd=0.5))
    found = error_scales(one, rng=np.random.default_rng(1), starts=4)
    assert found.table.loc["grade B", "factor"] == pytest.approx(1.0, abs=1e-3)
    assert found.table.loc["grade B", "contraction"] == pytest.approx(0.0, abs=0.01)
    assert "grade B: 1.00 times the given sd" in found.words()
    assert "mostly prior" in found.words()


def test_the_line_that_is_printed_is_read_again(found: ErrorScales, tmp_path: Path) -> None:
    line = found.words().splitlines()[-1]
    assert read_noise(tmp_path, line).error_scale_factors == pytest.approx(
        {"grade A": found.table.loc["grade A", "factor"]}, rel=1e-2
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{ by = ['grade'] }", "one of the two"),
        ("{ sd = 0.5, factors = { 'grade A' = 1.0 } }", "one of the two"),
        ("{ factors = { 'grade A' = 0.0 } }", "grade A is 0.0; expected a number above 0"),
        ("{ factors = { 'kind level' = 1.0 } }", "expected one of 'grade A'"),
        ("{ factors = { 'grade D' = 1.0 } }", "unknown key 'grade D'"),
        ("{ by = ['kind'], factors = { 'kind levels' = 1.0 } }", "did you mean 'kind level'"),
        ("{ factors = { 'grade A' = 'wide' } }", "grade A"),
    ],
)
def test_factors_that_cannot_be_are_refused(given: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        read_noise(tmp_path, f"error_scales = {given}")


def test_standard_deviations_that_are_given_are_not_estimated(
    small: Model, make: SimpleNamespace
) -> None:
    one = make_likelihood(
        small, make.priors("Factor", mu=0.0, sigma=1.0), make.table(make.row()), make.noise()
    )
    with pytest.raises(InputError, match=r"error_scales = \{ sd = 0.5"):
        error_scales(one, rng=np.random.default_rng(1))


def test_the_command_leaves_a_line_that_a_study_takes(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    home, target = tmp_path / "home", tmp_path / "found"
    run("init", str(home), "--from", "blank")
    asked = ("error-scales", str(home), "--starts", "2", "--by", "grade", "--by", "kind")
    facts = json.loads(run(*asked, "--output", str(target), "--json"))
    assert {path.name for path in target.iterdir()} == {"error-scales.csv", "summary.txt"}
    by_group = {name: row["factor"] for name, row in facts["error_scales"].items()}
    assert "grade A, kind part-year" in by_group
    line = (target / "summary.txt").read_text(encoding="utf-8").splitlines()[-1]
    study = home / "study.toml"
    text = study.read_text(encoding="utf-8").replace("[noise]", f"[noise]\n{line}")
    study.write_text(text, encoding="utf-8")
    noise = read_study(home).noise
    assert noise.error_scale_by == ("grade", "kind")
    assert noise.error_scale_factors == pytest.approx(by_group, rel=1e-2)


def test_standard_deviations_are_told_apart_by_what_rows_have(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--by has 'place'; expected grade, kind or scope"):
        CliRunner().invoke(app, ["error-scales", "--by", "place"], catch_exceptions=False)


def read_noise(folder: Path, line: str):
    path = folder / "study.toml"
    path.write_text(
        f"""[noise]
grade = {{ A = 0.1, B = 0.2, C = 0.4 }}
vintage = {{ final = 0.0, revised = 0.0, preliminary = 0.0, only = 0.0 }}
year_shock = 0.0
season = {{ mean = 0.0, sd = 0.0 }}
{line}

[definitions.full]
title = "Full scope"
offset_sd = 0.0
trend_sd = 0.0
noise = 0.0
""",
        encoding="utf-8",
    )
    return noise_from_table(read_toml(path, InputError))


def test_standard_deviations_are_told_with_priors_of_unequal_widths() -> None:
    """Of a normal of three variables; a direction without curvature keeps its prior."""
    prior = np.array([0.5, 2.0, 3.0])
    precision = np.diag(prior**-2.0) + np.outer([3.0, -1.0, 0.0], [3.0, -1.0, 0.0])
    middle = np.array([0.3, -0.2, 1.0])
    sds = _sds(lambda x: 0.5 * float((x - middle) @ precision @ (x - middle)), middle, prior)
    np.testing.assert_allclose(sds, np.sqrt(np.diag(np.linalg.inv(precision))), rtol=1e-9)
    assert sds[2] == pytest.approx(3.0)


def test_a_quartic_is_differenced_over_a_fifth() -> None:
    """x^4 has the second difference 2 h^2, over h = 0.2; a known curvature of 100 is added."""
    sds = _sds(lambda x: float(50.0 * x[0] ** 2 + 1e4 * x[0] ** 4), np.zeros(1), np.ones(1))
    assert sds.item() == pytest.approx((100.0 + 2e4 * 0.2**2) ** -0.5)


def test_the_table_of_factors_has_the_interval_and_what_was_learnt() -> None:
    table = _table({"A": 5, "B": 2}, np.log([2.0, 0.5]), np.array([0.1, 0.4]), np.array([0.5, 0.4]))
    np.testing.assert_array_equal(table["rows"], [5, 2])
    np.testing.assert_allclose(table["factor"], [2.0, 0.5])
    # 1.2816 standard deviations of the log to either side: 80%.
    np.testing.assert_allclose(table["low"], [2.0 * 0.87973, 0.5 * 0.59892], rtol=1e-4)
    np.testing.assert_allclose(table["high"], [2.0 * 1.13671, 0.5 * 1.66967], rtol=1e-4)
    np.testing.assert_allclose(table["contraction"], [0.96, 0.0], atol=1e-12)
