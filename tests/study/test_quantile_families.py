"""Priors that are reached through their quantiles, against SciPy's distributions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from beltcast import load_model, read_priors
from beltcast.errors import PriorError
from beltcast.files.shipped import shipped
from beltcast.study.quantile_families import QUANTILE_FAMILIES, density_at, value_at, working_at

CASES = {
    "beta": ((2.0, 5.0, 0.0), stats.beta(2, 5)),
    "gamma": ((3.0, 2.0, 0.0), stats.gamma(3, scale=0.5)),
    "inverse_gamma": ((3.0, 2.0, 0.0), stats.invgamma(3, scale=2)),
    "exponential": ((2.0, 0.0, 0.0), stats.expon(scale=0.5)),
    "half_normal": ((1.5, 0.0, 0.0), stats.halfnorm(scale=1.5)),
    "half_cauchy": ((1.5, 0.0, 0.0), stats.halfcauchy(scale=1.5)),
    "student": ((4.0, -1.0, 2.0), stats.t(4, -1, 2)),
    "log_uniform": ((1e-5, 10.0, 0.0), stats.loguniform(1e-5, 10)),
}


@pytest.mark.parametrize("family", CASES)
def test_quantiles_densities_and_their_inverse_are_those_of_scipy(family: str) -> None:
    shape, known = CASES[family]
    z = np.array([-4.0, -1.0, 0.0, 0.5, 3.0])
    x = value_at(family, z, shape)
    np.testing.assert_allclose(x, known.ppf(stats.norm.cdf(z)), rtol=1e-9)
    np.testing.assert_allclose(density_at(family, x, shape), known.pdf(x), rtol=1e-9)
    np.testing.assert_allclose(working_at(family, x, shape), z, atol=1e-9)


def test_the_domain_of_a_family_is_the_support_that_scipy_states() -> None:
    """Bounds of a log-uniform prior are its parameters; no bounds lie at or below 0."""
    known = {family: shape.support() for family, (_, shape) in CASES.items()}
    known["log_uniform"] = (0.0, np.inf)
    assert {name: (one.low, one.high) for name, one in QUANTILE_FAMILIES.items()} == known


@pytest.mark.parametrize(
    "text",
    [
        'distribution = "beta"\nalpha = 2\nbeta = 2',
        'distribution = "gamma"\nalpha = 2\nbeta = 2',
        'distribution = "inverse_gamma"\nalpha = 2\nbeta = 2',
        'distribution = "exponential"\nrate = 2',
        'distribution = "half_normal"\nsd = 2\nbounds = [0.1, 3]',
        'distribution = "half_cauchy"\nscale = 2',
        'distribution = "student_t"\ndf = 4\nmean = 1\nscale = 2\nbounds = [0, 10]',
        'distribution = "loguniform"\nbounds = [1e-3, 1e2]',
    ],
)
def test_a_prior_needs_neither_unit_nor_source(tmp_path: Path, text: str) -> None:
    file = tmp_path / "priors.toml"
    file.write_text(f'["Contact Rate"]\n{text}\n', encoding="utf-8")
    priors = read_priors(file, load_model(shipped("models/sir/sir.mdl")))
    z = priors.draw(np.random.default_rng(1), 200)
    x = priors.natural(z)
    assert (x > 0).all()
    np.testing.assert_allclose(priors.working(x), z, atol=1e-6)
    step = 1e-6
    slope = (priors.natural(z + step) - priors.natural(z - step)) / (2 * step)
    np.testing.assert_allclose(priors.slope(z), slope, rtol=1e-4)


def test_a_shape_that_is_not_above_zero_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "priors.toml"
    file.write_text('["Contact Rate"]\ndistribution = "gamma"\nalpha = 0\nbeta = 1\n', "utf-8")
    with pytest.raises(PriorError, match="is 0; expected a number above 0") as caught:
        read_priors(file, load_model(shipped("models/sir/sir.mdl")))
    assert caught.value.line == 3


def test_bounds_of_flat_priors_become_bounds_of_the_constant_or_of_its_log(tmp_path: Path) -> None:
    """Ends 2 and 10: centre 6, a quarter of the width 2; of a log-uniform prior those of logs."""
    model = load_model(shipped("models/decay/decay.mdl"))
    path = tmp_path / "priors.toml"
    for family, of, scale in (
        ("uniform", "normal", np.float64),
        ("log_uniform", "lognormal", np.log),
    ):
        path.write_text(f'["Lifetime"]\ndistribution = "{family}"\nbounds = [2.0, 10.0]\n')
        boxed = read_priors(path, model).boxed()
        low, high = scale(2.0), scale(10.0)
        assert boxed.families == (of,)
        for name, value in (
            ("lower", low),
            ("upper", high),
            ("mu", 0.5 * (low + high)),
            ("sigma", 0.25 * (high - low)),
        ):
            np.testing.assert_allclose(getattr(boxed, name), [value], rtol=1e-14)
    path.write_text('["Lifetime"]\ndistribution = "lognormal"\nmedian = 5\nlog_sd = 0.2\n')
    plain = read_priors(path, model)
    assert plain.boxed().families == plain.families
    np.testing.assert_array_equal(plain.boxed().mu, plain.mu)


@pytest.mark.parametrize("family", CASES)
def test_far_tails_keep_their_digits(family: str) -> None:
    """Beyond 8 sds the distribution function is 1 - 6e-16: it is read from the upper tail."""
    shape, known = CASES[family]
    z = np.array([-8.5, 6.0, 8.5])
    x = value_at(family, z, shape)
    p = stats.norm.sf(np.abs(z))
    if family == "log_uniform":  # its ends are bounds, and the share of the range has their digits
        expected = shape[0] ** (1 - stats.norm.cdf(z)) * shape[1] ** stats.norm.cdf(z)
    else:
        expected = np.where(z < 0, known.ppf(p), known.isf(p))
    if family in ("half_normal", "half_cauchy"):  # near 0 the density is that of 0
        expected[0] = p[0] / known.pdf(0.0)
    np.testing.assert_allclose(x, expected, rtol=1e-9)
    if family not in ("log_uniform", "beta"):
        np.testing.assert_allclose(working_at(family, x, shape), z, atol=1e-7)
