"""Nulls are models like any other, and win or lose where they should."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from beltcast import (
    Model,
    Observations,
    Priors,
    Scenario,
    Study,
    load_model,
    make_likelihood,
    observe,
    read_study,
)
from beltcast.drivers.attribution.null_models import (
    against_null,
    null_words,
    placebo,
    placebo_words,
)
from beltcast.errors import CalibrationError, InputError
from beltcast.model.variants import move, without_interaction
from beltcast.study.noise import Definition, Noise
from beltcast.study.observations import Observation
from beltcast.workflows.attribution import AttributeOptions, attribute_study

# Two drivers; Gain acts from each belt's Start, Joint only where both drivers are on.
TWO = """{UTF-8}
Belt: One, Two ~ ~ |
SW A = 1 ~ Dmnl ~ |
SW B = 1 ~ Dmnl ~ |
Gain = 0.15 ~ 1/Year ~ |
Joint = 0 ~ 1/Year ~ |
Start[Belt] = 2016, 2019 ~ Year ~ |
sales[Belt] = 10*EXP(0.05*(Time - 2014) + Gain*SW A*MAX(0, Time - Start[Belt])
 + 0.05*SW B*(Time - 2014) + Joint*SW A*SW B*(Time - 2014)) ~ bnCNY/Year ~ |
Sold[Belt] = INTEG(sales[Belt], 0) ~ bnCNY ~ |
INITIAL TIME = 2014 ~ Year ~ |
FINAL TIME = 2026 ~ Year ~ |
TIME STEP = 0.25 ~ Year ~ |
SAVEPER = 1 ~ Year ~ |
"""
SWITCHES = ("SW A", "SW B")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path: Path = tmp_path_factory.mktemp("two") / "two.mdl"
    path.write_text(TWO, encoding="utf-8")
    return load_model(path)


def made_up(two: Model, **truth: float) -> Study:
    """A study of both belts, 2015 to 2024, published a year later and true to the digit."""
    rows = [
        Observation(
            line,
            place,
            (place,),
            "sales",
            "level",
            year,
            year + 1.0,
            1.0,
            "bn CNY",
            "d",
            "final",
            "A",
            year + 1.5,
            "made up",
        )
        for line, (place, year) in enumerate(
            (place, float(year)) for place in ("One", "Two") for year in range(2015, 2025)
        )
    ]
    empty = Observations(tuple(rows), Path("made-up.csv"), "")
    values = observe(two, empty, truth)
    full = tuple(
        dataclasses.replace(row, value=float(value))
        for row, value in zip(rows, values, strict=True)
    )
    labels = ("Gain", "Joint")
    return Study(
        title="Made up",
        target="sales",
        model=two,
        observations=Observations(full, Path("made-up.csv"), ""),
        places={},
        titles={},
        priors=Priors(
            labels, labels, ("driver",) * 2, ("1/Year",) * 2, ("test",) * 2, ("normal",) * 2,
            np.zeros(2), np.full(2, 0.2), np.full(2, -1.0), np.full(2, 1.0),
        ),
        scenarios={"baseline": Scenario("baseline", "Baseline")},
        noise=Noise(
            {"A": 0.05, "B": 0.1, "C": 0.2},
            {"final": 0.0, "revised": 0.0, "preliminary": 0.0, "only": 0.0},
            0.02, {}, 0.0, 0.0, {"d": Definition("d", 0.0, 0.0, 0.0)},
        ),
        hashes={},
    )  # fmt: skip


def test_a_moved_model_is_the_model_with_those_constants(two: Model) -> None:
    moved = move(two, {"Start": {"One": 2018.0}, "Gain": 0.2})
    same = two.simulate({"Start[One]": 2018.0, "Gain": 0.2})
    np.testing.assert_array_equal(moved.simulate()["sales"], same["sales"])
    # What a run sets itself wins.
    own = moved.simulate({"Gain": 0.1})["sales"]
    np.testing.assert_array_equal(own, two.simulate({"Start[One]": 2018.0, "Gain": 0.1})["sales"])


def test_without_interaction_gains_add_up_in_logs(two: Model) -> None:
    null = without_interaction(two, SWITCHES).simulate({"Joint": 0.3}, outputs=["sales"])["sales"]
    # The joint term needs both drivers, so it is in no single-driver run; all else is additive.
    same = two.simulate({"Joint": 0.0}, outputs=["sales"])["sales"]
    np.testing.assert_allclose(null, same, rtol=1e-12)


def test_a_driver_that_is_off_adds_nothing_to_the_null(two: Model) -> None:
    null = without_interaction(two, SWITCHES).simulate({"SW A": 0.0}, outputs=["sales"])["sales"]
    same = two.simulate({"SW A": 0.0}, outputs=["sales"])["sales"]
    np.testing.assert_allclose(null, same, rtol=1e-12)


def test_a_driver_that_is_set_on_is_as_one_that_is_not_set(two: Model) -> None:
    null = without_interaction(two, SWITCHES)
    told = null.simulate({"SW A": 1.0, "Joint": 0.3}, outputs=["sales"])["sales"]
    silent = null.simulate({"Joint": 0.3}, outputs=["sales"])["sales"]
    np.testing.assert_array_equal(told, silent)


def test_the_nulls_derivatives_are_exact() -> None:
    study = read_study()
    null = without_interaction(study.model, ("SW Government", "SW Market", "SW Platform"))
    likelihood = make_likelihood(null, study.priors, study.observations, study.noise)
    theta = np.zeros(likelihood.size)
    theta[: likelihood.n_parameters] = study.priors.mu
    jacobian = likelihood.jacobian(theta)
    # Central differences at h = 1e-5 err by h^2 and by rounding / h: 1e-9 of values of order 10.
    for column in (0, 3, 7, 20, 50, likelihood.n_parameters - 1):
        step = np.zeros(likelihood.size)
        step[column] = 1e-5 * max(1.0, abs(theta[column]))
        high, low = likelihood.residuals(theta + step), likelihood.residuals(theta - step)
        expected = (high - low) / (2 * step[column])
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(jacobian[:, column], expected, atol=2e-6 * scale)


def test_interaction_is_supported_where_it_is_in_the_observations(two: Model) -> None:
    study = made_up(two, Joint=0.1)
    score = against_null(
        study, rng=np.random.default_rng(1), published_by=2020.5, switches=SWITCHES, draws=100,
        moves=3, starts=4, refine=1,
    )  # fmt: skip
    # Both belts, the years 2020 to 2024.
    assert score.sizes["row"] == 10
    assert score.attrs["difference_p10"] > 0
    assert null_words(score).endswith("the interaction of the drivers is supported.")


def test_interaction_is_not_supported_where_it_is_not_in_the_observations(two: Model) -> None:
    study = made_up(two, Joint=0.0)
    score = against_null(
        study, rng=np.random.default_rng(1), published_by=2020.5, switches=SWITCHES, draws=100,
        moves=3, starts=4, refine=1,
    )  # fmt: skip
    assert "synergy is not supported" in null_words(score)


def test_rows_that_a_fit_must_not_see_do_not_move_it(two: Model) -> None:
    # The late observations of one study are absurd; both are fitted to the same early ones.
    study = made_up(two)
    absurd = tuple(
        dataclasses.replace(row, value=row.value * (1e3 if row.published > 2020.5 else 1.0))
        for row in study.observations
    )
    observations = dataclasses.replace(study.observations, rows=absurd)
    plain, odd = (
        against_null(
            s, rng=np.random.default_rng(2), published_by=2020.5, switches=SWITCHES, draws=30,
            moves=0, starts=4, refine=1,
        )
        for s in (study, dataclasses.replace(study, observations=observations))
    )  # fmt: skip
    np.testing.assert_allclose(plain["log_evidence"], odd["log_evidence"], rtol=1e-6)
    assert (odd["log_density"] < plain["log_density"] - 100).all()


def test_a_date_without_later_levels_is_refused(two: Model) -> None:
    with pytest.raises(InputError, match="0 levels were published after 2030"):
        against_null(
            made_up(two), rng=np.random.default_rng(1), published_by=2030.0, switches=SWITCHES
        )


def test_false_dates_cost_evidence_where_the_dates_matter(two: Model) -> None:
    table = placebo(
        made_up(two), "Start", "Gain", rng=np.random.default_rng(3),
        shifts=(-1.5, 1.5), starts=4, refine=1,
    )  # fmt: skip
    assert table["gain"][0].item() == pytest.approx(0.15, abs=0.03)
    assert (table["log_evidence"][0] - table["log_evidence"][1:] > 2).all()
    assert "the observations favour the true dates" in placebo_words(table)


def test_dates_that_are_a_single_number_are_refused(two: Model) -> None:
    with pytest.raises(InputError, match="'Gain' is not a constant over one range"):
        placebo(made_up(two), "Gain", "Gain", rng=1)


def test_false_dates_are_as_good_where_there_is_no_gain(two: Model) -> None:
    table = placebo(
        made_up(two, Gain=0.0), "Start", "Gain", rng=np.random.default_rng(3),
        shifts=(-1.5, 1.5), starts=4, refine=1,
    )  # fmt: skip
    assert "do not favour the true dates" in placebo_words(table)
    assert math.isclose(table["gain"][0].item(), 0.0, abs_tol=0.03)


def test_a_gain_without_a_prior_cannot_be_followed(two: Model) -> None:
    with pytest.raises(CalibrationError, match="'Grain' has no prior"):
        placebo(made_up(two), rng=np.random.default_rng(1), constant="Start", gain="Grain")


def known_but_for_noise(two: Model, **noise: object) -> Study:
    """A study with every parameter known and every observation three times the model's answer."""
    study = made_up(two)
    tripled = tuple(dataclasses.replace(row, value=3.0 * row.value) for row in study.observations)
    return dataclasses.replace(
        study,
        observations=dataclasses.replace(study.observations, rows=tripled),
        priors=dataclasses.replace(study.priors, mu=np.array([0.15, 0.0]), sigma=np.full(2, 1e-7)),
        noise=dataclasses.replace(study.noise, year_shock=0.0, **noise),
    )


def test_the_density_of_later_observations_is_the_exact_posterior_predictive(two: Model) -> None:
    # All that is unknown is one offset a place, u ~ N(0, 1), seen in n = 5 early rows of sd s that
    # all lie log 3 above the model: u | y is normal, and so is the next row.
    study = known_but_for_noise(two, definitions={"d": Definition("d", 1.0, 0.0, 0.0)})
    score = against_null(
        study, rng=np.random.default_rng(4), published_by=2020.5, switches=SWITCHES, draws=10,
        moves=0, starts=2, refine=1,
    )  # fmt: skip
    n, s = 5, 0.05
    precision = n / s**2 + 1.0
    mean = (n * math.log(3.0) / s**2) / precision
    sd = math.sqrt(s**2 + 1.0 / precision)
    expected = -0.5 * ((math.log(3.0) - mean) / sd) ** 2 - math.log(sd * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(score["log_density"].sel(version="full"), expected, atol=1e-5)
    # The null multiplies totals of a year instead of rates of a moment.
    np.testing.assert_allclose(score["log_density"], expected, atol=5e-4)


def test_later_observations_are_scored_by_the_tails_of_the_noise(two: Model) -> None:
    # Nothing is unknown but a row's own noise: its density is Student's t, 22 standard deviations
    # out.
    score = against_null(
        known_but_for_noise(two, tails=4.0), rng=np.random.default_rng(4), published_by=2020.5,
        switches=SWITCHES, draws=10, moves=0, starts=2, refine=1,
    )  # fmt: skip
    expected = stats.t.logpdf(math.log(3.0) / 0.05, 4.0) - math.log(0.05)
    np.testing.assert_allclose(score["log_density"].sel(version="full"), expected, atol=1e-4)


def test_later_observations_are_scored_by_the_standard_deviation_that_the_earlier_ones_show(
    two: Model,
) -> None:
    # Ten observations that lie log 3 off, for a standard deviation of 0.05 with a wide prior: s is
    # near log 3, and the next such observation lies near one standard deviation out.
    score = against_null(
        known_but_for_noise(two, error_scale_sd=2.0), rng=np.random.default_rng(4),
        published_by=2020.5, switches=SWITCHES, draws=100, moves=6, starts=2, refine=1,
    )  # fmt: skip
    near = stats.norm.logpdf(1.0) - math.log(math.log(3.0))
    np.testing.assert_allclose(score["log_density"].sel(version="full"), near, atol=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (AttributeOptions(null=True, held_out=2100), "0 levels were published after 2100"),
        (AttributeOptions(placebo=("Zone Year", "No Gain")), "'No Gain' has no prior"),
        (AttributeOptions(placebo=("Income Tax Rate", "Support Gain")), "not a constant over one"),
    ],
)
def test_a_test_that_cannot_be_made_is_refused_before_the_fit(
    study: Study, options: AttributeOptions, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(*_: object, **__: object) -> None:
        pytest.fail("it is fitted first")

    monkeypatch.setattr("beltcast.workflows.attribution.fit_study", too_late)
    with pytest.raises((CalibrationError, InputError), match=message):
        attribute_study(study, options, rng=1)
