"""Priors are Gaussians on their working scales, truncated, and know where they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from beltcast.errors import PriorError, UnknownName
from beltcast.study.priors import Priors
from beltcast.study.priors_file import read_priors

from ..stand_in import StandIn

TEXT = """
["imitation_rate"]
distribution = "lognormal"
median = 0.5
log_sd = 0.3
bounds = [0.05, 1.5]
unit = "1 / year"
role = "driver"
source = "judgement: test"

["Exit Rate[distributor]"]
distribution = "lognormal"
log_sd = 0.2
unit = "1/Year"
role = "literature"
source = "judgement: test"

["Belt Size"]
distribution = "lognormal"
log_sd = { default = 0.6, Yiwu = 1.0 }
median = { Shenzhen = 70 }
per = "Belt"
unit = "bnCNY/Year"
role = "belt"
source = "judgement: test"

["Support Entry Gain"]
distribution = "normal"
sd = 2
bounds = [-1, inf]
unit = "Dmnl"
source = "judgement: test"

["Export Share"]
distribution = "logitnormal"
logit_sd = 0.5
bounds = [0.0, 0.9]
unit = "1"
source = "judgement: test"

["Belt Brand Factor"]
distribution = "lognormal"
log_sd = 0.25
unit = "Dmnl"
source = "judgement: test"
"""


@pytest.fixture
def priors(tmp_path: Path) -> Priors:
    path = tmp_path / "parameters.toml"
    path.write_text(TEXT, encoding="utf-8")
    return read_priors(path, StandIn())


def test_labels_are_spelt_as_the_model_spells_them(priors: Priors) -> None:
    assert priors.labels == (
        "Imitation Rate",
        "Exit Rate[Distributor]",
        "Belt Size[Shenzhen]",
        "Belt Size[Foshan]",
        "Belt Size[Yiwu]",
        "Support Entry Gain",
        "Export Share",
        "Belt Brand Factor",
    )
    assert priors.names[2:5] == ("Belt Size",) * 3
    assert priors.units[0] == "1/Year"
    assert priors.roles[5] == "other"


def test_the_median_of_a_prior_is_the_files_or_else_the_models(priors: Priors) -> None:
    # 0.5 and 70 are in the file; the rest are StandIn's defaults. exp(log x) is good to 2 ulp.
    expected = [0.5, 0.2, 70.0, 10.0, 20.0, 0.0, 0.775, 1.0]
    np.testing.assert_allclose(priors.natural(priors.mu), expected, rtol=1e-15)


def test_a_standard_deviation_may_differ_by_element(priors: Priors) -> None:
    assert priors.sigma.tolist() == [0.3, 0.2, 0.6, 0.6, 1.0, 2.0, 0.5, 0.25]


def test_a_bound_at_the_end_of_the_domain_is_none(priors: Priors) -> None:
    np.testing.assert_allclose(np.exp([priors.lower[0], priors.upper[0]]), [0.05, 1.5])
    assert priors.lower[6] == -np.inf
    assert priors.upper[6] == pytest.approx(np.log(0.9 / 0.1), rel=1e-14)
    assert (priors.lower[5], priors.upper[5]) == (-1.0, np.inf)
    assert (priors.lower[1], priors.upper[1]) == (-np.inf, np.inf)


@given(st.lists(st.floats(-8, 8), min_size=8, max_size=8))
def test_working_undoes_natural(tmp_path_factory: pytest.TempPathFactory, z: list[float]) -> None:
    path = tmp_path_factory.mktemp("priors") / "parameters.toml"
    path.write_text(TEXT, encoding="utf-8")
    priors = read_priors(path, StandIn())
    # A logit of 8 is a share of 0.9997, whose last bit is 3e-13 on the logit scale.
    np.testing.assert_allclose(priors.working(priors.natural(z)), z, rtol=0, atol=1e-12)


def test_slope_is_the_derivative_of_natural(priors: Priors) -> None:
    z = priors.mu + np.linspace(-1.5, 1.5, 5)[:, np.newaxis] * priors.sigma
    step = 1e-6
    central = (priors.natural(z + step) - priors.natural(z - step)) / (2 * step)
    # Truncation 1e-12 of the third derivative, rounding 1e-16 / 1e-6.
    np.testing.assert_allclose(priors.slope(z), central, rtol=1e-8)


def test_working_refuses_what_its_family_cannot_be(priors: Priors) -> None:
    values = priors.natural(priors.mu)
    values[6] = 1.2
    with pytest.raises(ValueError, match=r"Export Share = 1\.2 .* between 0 and 1"):
        priors.working(values)


def test_draws_follow_the_truncated_gaussian(priors: Priors) -> None:
    z = priors.draw(np.random.default_rng(1), 4000)
    for i in range(len(priors)):
        a = (priors.lower[i] - priors.mu[i]) / priors.sigma[i]
        b = (priors.upper[i] - priors.mu[i]) / priors.sigma[i]
        expected = stats.truncnorm(a, b, loc=priors.mu[i], scale=priors.sigma[i])
        assert (z[:, i] >= priors.lower[i]).all()
        assert (z[:, i] <= priors.upper[i]).all()
        # Eight tests at 1e-4 fail once in 1250 seeds; this seed passes.
        assert stats.kstest(z[:, i], expected.cdf).pvalue > 1e-4


def test_bounds_of_one_parameter_leave_the_draws_of_others_alone(tmp_path: Path) -> None:
    path = tmp_path / "parameters.toml"
    draws = []
    for bounds in ("[0.05, 1.5]", "[0.4, 0.6]"):
        path.write_text(TEXT.replace("[0.05, 1.5]", bounds), encoding="utf-8")
        draws.append(read_priors(path, StandIn()).draw(np.random.default_rng(2), 50))
    assert (draws[0][:, 1:] == draws[1][:, 1:]).all()
    assert (draws[0][:, 0] != draws[1][:, 0]).any()


def test_quantiles_are_those_of_many_draws(priors: Priors) -> None:
    z = priors.draw(np.random.default_rng(3), 40_000)
    p = np.array([0.1, 0.5, 0.9])
    sampled = np.quantile(z, p, axis=0)
    exact = priors.working(priors.quantiles(p))
    # The standard error of a 10 % quantile is about 1.7 sigma / 200; five of them are allowed.
    assert (abs(sampled - exact) < 5 * 1.7 / 200 * priors.sigma).all()


def test_each_density_integrates_to_one(priors: Priors) -> None:
    for label in priors.labels:
        one = priors.subset([label])
        low = max(one.lower[0], one.mu[0] - 12 * one.sigma[0])
        high = min(one.upper[0], one.mu[0] + 12 * one.sigma[0])
        total, _ = integrate.quad(
            lambda z, one=one: float(np.exp(one.log_density(np.array([z])))), low, high
        )
        assert total == pytest.approx(1.0, abs=1e-7)


def test_inside_the_bounds_the_density_is_the_residual_and_outside_there_is_none(
    priors: Priors,
) -> None:
    inside = priors.mu + 0.1 * priors.sigma
    difference = priors.log_density(inside) - priors.log_density(priors.mu)
    assert difference == pytest.approx(-0.5 * len(priors) * 0.1**2, rel=1e-9)
    outside = priors.mu.copy()
    outside[0] = priors.upper[0] + 0.01
    assert priors.log_density(np.stack([priors.mu, outside]))[1] == -np.inf


def test_a_subset_is_in_the_order_asked_for(priors: Priors) -> None:
    some = priors.subset(["Export Share", "Belt Size[Foshan]"])
    np.testing.assert_allclose(some.natural(some.mu), [0.775, 10.0], rtol=1e-15)
    assert some.families == ("logitnormal", "lognormal")
    with pytest.raises(UnknownName, match="did you mean 'Export Share'"):
        priors.subset(["Export Shar"])


def test_priors_cannot_be_changed(priors: Priors) -> None:
    with pytest.raises(ValueError, match="read-only"):
        priors.mu[0] = 0.0


@pytest.mark.parametrize(
    ("low", "high"),
    [
        *((9.0, 15.0), (-15.0, -9.0), (40.0, 41.0), (-41.0, -40.0), (6.0, np.inf)),
        *((9.0, 9.02), (-9.02, -9.0)),
    ],
)
def test_a_prior_cut_far_in_a_tail_has_the_quantiles_of_the_truncated_normal(
    low: float, high: float, make: SimpleNamespace
) -> None:
    priors = replace(
        make.priors("a", mu=0.0, sigma=1.0, family="normal"),
        lower=np.array([low]),
        upper=np.array([high]),
    )
    p = np.array([0.05, 0.5, 0.95])
    oracle = stats.truncnorm(low, high)
    np.testing.assert_allclose(priors.quantiles(p).ravel(), oracle.ppf(p), rtol=1e-9)
    middle = float(oracle.ppf(0.5))
    assert priors.log_density([[middle]]).item() == pytest.approx(oracle.logpdf(middle), rel=1e-9)


def test_an_interval_is_that_of_a_normal_cut_at_the_bounds(make: SimpleNamespace) -> None:
    """Half the width is the reach times the sd; each end stops at its own bound."""
    priors = make.priors("a", "b", "c", mu=[0.0, 1.0, 2.0], sigma=[0.5, 2.0, 1.0], bound=0.4)
    z = np.array([0.1, 1.0, 2.39])
    covariance = np.diag([0.1, 0.5, 0.05]) ** 2
    covariance[0, 2] = covariance[2, 0] = 0.001
    low, high, ratio = priors.interval(z, covariance, 1.5)
    np.testing.assert_allclose(np.log(low), [-0.05, 0.6, 2.315], rtol=1e-12)
    np.testing.assert_allclose(np.log(high), [0.25, 1.4, 2.4], rtol=1e-12)
    np.testing.assert_allclose(ratio, [0.2, 0.25, 0.05], rtol=1e-12)


def test_a_bound_itself_is_possible_and_beyond_it_nothing(make: SimpleNamespace) -> None:
    priors = make.priors("a", "b", mu=0.0, sigma=1.0, family="normal", bound=0.5)
    for end in (-0.5, 0.5):
        assert np.isfinite(priors.log_density([[end, 0.0]])).all()
        outside = np.nextafter(end, 2 * end)
        assert np.isneginf(priors.log_density([[outside, 0.0]])).all()
    # The last number of a uniform sequence must not lie beyond a bound by rounding.
    z = priors.from_uniform([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(z, [[-0.5, 0.5], [0.5, -0.5]])


@pytest.mark.parametrize("low", [-5.0, -5.001, 5.0, 5.001])
def test_quantiles_agree_where_the_way_of_computing_them_changes(
    low: float, make: SimpleNamespace
) -> None:
    """At five standard deviations both ways have nine digits."""
    ends = (low, np.inf) if low > 0 else (-np.inf, low)
    priors = replace(
        make.priors("a", mu=0.0, sigma=1.0, family="normal"),
        lower=np.array([ends[0]]),
        upper=np.array([ends[1]]),
    )
    p = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(
        priors.quantiles(p).ravel(), stats.truncnorm(*ends).ppf(p), rtol=1e-8
    )


BOUNDED = """
["Imitation Rate"]
distribution = "uniform"
bounds = [0.1, 0.9]

["Support Entry Gain"]
distribution = "student"
df = 4
mean = 1
scale = 2
bounds = [0, 3]

["Export Share"]
distribution = "log_uniform"
bounds = [0.01, 0.5]

["Belt Brand Factor"]
distribution = "normal"
mean = 1.0
sd = 0.25
bounds = [1.0, 1.5]
"""


def test_a_subset_keeps_the_ends_and_shapes_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "parameters.toml"
    path.write_text(BOUNDED, encoding="utf-8")
    whole = read_priors(path, StandIn())
    p = np.array([0.0, 0.25, 0.5, 1.0])
    expected = dict(zip(whole.labels, whole.quantiles(p).T, strict=True))
    np.testing.assert_allclose(expected["Imitation Rate"], [0.1, 0.3, 0.5, 0.9], rtol=1e-12)
    np.testing.assert_allclose(
        expected["Export Share"], 0.01 * 50.0**p, rtol=1e-9
    )  # equal shares of the log
    t = stats.t(4, 1, 2)
    cut = t.ppf(t.cdf(0.0) + p * (t.cdf(3.0) - t.cdf(0.0)))
    np.testing.assert_allclose(expected["Support Entry Gain"], cut, rtol=1e-9, atol=1e-9)
    for labels in (["Export Share", "Imitation Rate"], ["Support Entry Gain"]):
        some = whole.subset(labels)
        np.testing.assert_array_equal(some.quantiles(p).T, [expected[label] for label in labels])


@pytest.mark.parametrize(
    ("label", "value", "possible"),
    [
        ("Imitation Rate", 0.1, False),
        ("Imitation Rate", np.nextafter(0.1, 1), True),
        ("Imitation Rate", 0.9, False),
        ("Export Share", 0.01, False),
        ("Export Share", 0.5, False),
        ("Export Share", 0.011, True),
        ("Support Entry Gain", -9.0, True),  # a student has no domain; its bounds are on z
    ],
)
def test_the_ends_of_a_domain_are_outside_it(
    tmp_path: Path, label: str, value: float, possible: bool
) -> None:
    path = tmp_path / "parameters.toml"
    path.write_text(BOUNDED, encoding="utf-8")
    priors = read_priors(path, StandIn()).subset([label])
    if possible:
        np.testing.assert_allclose(priors.natural(priors.working([value])), [value], rtol=1e-12)
    else:
        with pytest.raises(ValueError, match="outside the domain"):
            priors.working([value])


@pytest.mark.parametrize(
    ("family", "value"), [("lognormal", 0.0), ("logitnormal", 0.0), ("logitnormal", 1.0)]
)
def test_a_value_without_a_working_scale_is_outside(
    family: Any, value: float, make: SimpleNamespace
) -> None:
    with pytest.raises(ValueError, match="outside the domain"):
        make.priors("a", mu=0.0, sigma=1.0, family=family).working([value])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("mean = 1.0", "mean = 0.99", "outside its bounds"),
        ("sd = 0.25", "sd = 0.0", "expected a number above 0"),
        ("bounds = [0.01, 0.5]", "bounds = [0.0, 0.5]", "two numbers above 0"),
        ('"normal"\nmean', '"lognormal"\nmedian', "has no log_sd"),
    ],
)
def test_a_number_beyond_its_tie_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    """The file itself has a mean at its own bound, which is possible."""
    path = tmp_path / "parameters.toml"
    assert old in BOUNDED
    text = BOUNDED.replace(old, new)
    path.write_text(text.replace("sd = 0.25", "") if "log_sd" in says else text, encoding="utf-8")
    with pytest.raises(PriorError, match=says):
        read_priors(path, StandIn())


def test_one_parameter_for_all_elements_needs_one_value_in_the_model(tmp_path: Path) -> None:
    """Two of three tiers may agree: 0.05, 0.1 and 0.1 are several values all the same."""
    path = tmp_path / "parameters.toml"
    path.write_text('["Exit Rate"]\ndistribution = "lognormal"\nlog_sd = 0.2\n', encoding="utf-8")

    class Two(StandIn):
        def value(self, label: str) -> float:
            return super().value(label.replace("Distributor", "Factory"))

    for model in (StandIn(), Two()):
        with pytest.raises(PriorError, match="several values in the model"):
            read_priors(path, model)


def test_slopes_of_bounded_families_are_derivatives(tmp_path: Path) -> None:
    path = tmp_path / "parameters.toml"
    path.write_text(BOUNDED, encoding="utf-8")
    priors = read_priors(path, StandIn())
    z = np.array([[-1.5, -0.1, 0.3, 1.1], [0.4, 0.6, -2.0, 1.3]])
    step = 1e-6
    central = (priors.natural(z + step) - priors.natural(z - step)) / (2 * step)
    np.testing.assert_allclose(priors.slope(z), central, rtol=1e-7)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('["Imitation Rate"]\ndistribution = "lognormal"\nmedian = 0\nlog_sd = 1', "above 0"),
        (
            '["Export Share"]\ndistribution = "logitnormal"\nmedian = 1\nlogit_sd = 1',
            "between 0 and",
        ),
        (
            '["Imitation Rate"]\ndistribution = "lognormal"\nlog_sd = 1\nbounds = [-0.1, 2]',
            "leave the domain",
        ),
        (
            '["Export Share"]\ndistribution = "logitnormal"\nlogit_sd = 1\nbounds = [0.1, 1.1]',
            "leave the domain",
        ),
        (
            '["Belt Brand Factor"]\ndistribution = "normal"\nsd = 1\n'
            '["Belt Brand Factor[Yiwu]"]\ndistribution = "normal"\nsd = 1',
            "given twice, first in line 1",
        ),
        (
            '["Belt Brand Factor[Yiwu]"]\ndistribution = "normal"\nsd = 1\n'
            '["Belt Brand Factor"]\ndistribution = "normal"\nsd = 1',
            "given twice, first in line 1",
        ),
        (
            '["Belt Size"]\ndistribution = "lognormal"\nper = "Belt"\npool = "pooled"\n'
            "median = { Yiwu = 3, default = 2 }\nlog_sd = 1",
            "median",
        ),
    ],
)
def test_an_impossible_prior_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "parameters.toml"
    path.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(PriorError) as caught:
        read_priors(path, StandIn())
    assert says in caught.value.sentence
