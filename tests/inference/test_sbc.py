"""Simulation-based calibration of the real inference, and of inferences that are wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from beltcast import Likelihood, Model, make_likelihood
from beltcast.errors import InputError
from beltcast.files.shipped import shipped
from beltcast.inference.audit.sbc import (
    RANKS,
    Asked,
    same_density,
    sbc,
    sbc_verdict,
    synthetic,
    uniformity,
)
from beltcast.workflows.own_model import read_own_model


@pytest.fixture(scope="module")
def little(small: Model, make: SimpleNamespace) -> Likelihood:
    """A level, a factor with bounds, growth; numbers, a growth rate and a bound."""
    priors = make.priors(
        "Level[East]",
        "Factor",
        "Growth",
        mu=[2.3, 0.0, 0.0],
        sigma=[0.5, 0.3, 0.05],
        family="normal",
    )
    families = ("lognormal", "lognormal", "normal")
    priors = dataclasses.replace(
        priors,
        families=families,
        lower=np.array([-np.inf, -0.4, -0.1]),
        upper=np.array([np.inf, 0.4, np.inf]),
    )
    rows = [
        make.row(start=2014.0, value=11.0),
        make.row("lower", start=2016.0, value=11.0),
        make.row("growth", start=2019.0, value=1.05),
        make.row(start=2021.0, value=14.0, grade="B"),
    ]
    return make_likelihood(small, priors, make.table(*rows), make.noise(year_shock=0.05))


def test_the_real_inference_is_calibrated(little: Likelihood) -> None:
    result = sbc(little, sets=20, rng=np.random.default_rng(1), every=5, burn_in=60)
    table = uniformity(result)
    # Twenty sets: what is looked for is a blunder. Bonferroni over the unknowns.
    assert table["p_value"].min() > 0.01 / len(table)
    held = table["coverage"].to_numpy() * 20
    assert stats.binom.sf(held.max() - 1, 20, 0.8) > 0.001
    assert stats.binom.cdf(held.min(), 20, 0.8) > 0.001
    assert np.abs(table["bias"]).max() < 4 / np.sqrt(20)


def ranks_of(draw: Callable[[float, float, np.random.Generator], np.ndarray]) -> xr.Dataset:
    """Sets of theta ~ N(0, 1), y ~ N(theta, 1) and whatever is drawn as their posterior."""
    rng = np.random.default_rng(2)
    truth = rng.standard_normal(200)
    y = truth + rng.standard_normal(200)
    # The true posterior is N(y / 2, 1 / 2).
    draws = np.array([draw(one / 2, np.sqrt(0.5), rng) for one in y])
    return xr.Dataset(
        {
            "rank": (("set", "parameter"), (draws < truth[:, None]).sum(axis=1)[:, None]),
            "truth": (("set", "parameter"), truth[:, None]),
            "mean": (("set", "parameter"), draws.mean(axis=1)[:, None]),
            "sd": (("set", "parameter"), draws.std(axis=1)[:, None]),
        },
        {"parameter": ["theta"]},
    )


def ranks_only(ranks: np.ndarray) -> xr.Dataset:
    """A result with these ranks of one unknown, and no more said of it."""
    nothing = (("set", "parameter"), np.zeros((len(ranks), 1)))
    names = ("truth", "mean", "sd")
    return xr.Dataset(
        {"rank": (("set", "parameter"), ranks[:, None]), **dict.fromkeys(names, nothing)},
        {"parameter": ["theta"]},
    )


def test_an_exact_posterior_passes_and_knows_its_shrinkage() -> None:
    result = ranks_of(lambda mean, sd, rng: mean + sd * rng.standard_normal(RANKS))
    row = uniformity(result).loc["theta"]
    assert row["p_value"] > 0.01
    assert row["coverage"] == pytest.approx(0.8, abs=4 * 0.4 / np.sqrt(200))
    # Half of the variance goes; the correlation of mean and truth is sqrt(1/2).
    assert row["shrinkage"] == pytest.approx(0.5, abs=0.2)
    assert row["recovery"] == pytest.approx(np.sqrt(0.5), abs=0.15)
    assert sbc_verdict(result).endswith("The inference is calibrated.")


@pytest.mark.parametrize(
    ("fault", "draw"),
    [
        ("narrow", lambda mean, sd, rng: mean + 0.6 * sd * rng.standard_normal(RANKS)),
        ("wide", lambda mean, sd, rng: mean + 1.7 * sd * rng.standard_normal(RANKS)),
        ("biased", lambda mean, sd, rng: mean + sd * (0.5 + rng.standard_normal(RANKS))),
    ],
)
def test_a_wrong_posterior_is_found_out(fault: str, draw: Callable[..., np.ndarray]) -> None:
    result = ranks_of(draw)
    assert uniformity(result).loc["theta", "p_value"] < 1e-4, fault
    assert "NOT calibrated" in sbc_verdict(result)


def test_truths_beyond_all_draws_are_found_out_where_ten_bins_see_nothing() -> None:
    # Uniform ranks, but for eight truths of the lowest tenth that lie below every draw.
    ranks = np.arange(100).repeat(2)
    ranks[2:10] = 0
    table = uniformity(ranks_only(ranks))
    assert table.loc["theta", "p_value"] == 1.0
    # Ten of 200 where one in a hundred is expected: P(X >= 10) of a binomial, either end.
    expected = 2.0 * stats.binom.sf(9, 200, 0.01)
    assert table.loc["theta", "end_p_value"] == pytest.approx(expected)
    assert sbc_verdict(ranks_only(ranks)).endswith("NOT calibrated: theta.")


def test_synthetic_observations_have_the_standard_deviation_of_their_rows(
    little: Likelihood,
) -> None:
    rng = np.random.default_rng(3)
    made = [synthetic(little, rng) for _ in range(600)]
    number = little.side == 0
    z = np.array([(m.published - m.expected(t[None])[0]) / m.sds for t, m in made])
    assert np.abs(z[:, number].mean(axis=0)).max() < 4 / np.sqrt(600)
    assert np.abs(z[:, number].std(axis=0) - 1).max() < 4 / np.sqrt(1200)
    # A bound keeps its threshold, and says what is above it as often as it is.
    assert all(m.published[1] == little.published[1] for _, m in made)
    chance = np.mean(stats.norm.cdf(-z[:, 1]))
    above = np.mean([m.side[1] == -1 for _, m in made])
    assert above == pytest.approx(chance, abs=4 * 0.5 / np.sqrt(600))


def test_synthetic_observations_follow_tails_estimated_standard_deviations_and_rounding(
    small: Model, make: SimpleNamespace
) -> None:
    rows = [
        make.row(start=2014.0, value=11.0),
        dataclasses.replace(make.row(start=2016.0, value=11.0), within=(8.0, 14.0)),
        make.row("lower", start=2018.0, value=10.0),
    ]
    noise = make.noise(tails=3.0, error_scale_sd=0.5)
    priors = make.priors("Factor", mu=0.0, sigma=0.1)
    one = make_likelihood(small, priors, make.table(*rows), noise)
    rng = np.random.default_rng(4)
    made = [synthetic(one, rng) for _ in range(1000)]
    z = np.array([(m.published - m.expected(t[None])[0]) / m.row_sds(t[None])[0] for t, m in made])
    assert stats.kstest(z[:, 0], stats.t(3.0).cdf).pvalue > 0.01
    # The middle of an interval: Student's error, and how far the ruler lies from it.
    sds = np.array([m.row_sds(t[None])[0, 1] for t, m in made])
    apart = np.random.default_rng(5)
    error = sds * apart.standard_t(3.0, 1000) + one.half[1] * apart.uniform(-1.0, 1.0, 1000)
    assert stats.ks_2samp(z[:, 1] * sds, error).pvalue > 0.01
    chance = stats.t(3.0).cdf(-z[:, 2])
    above = np.array([m.side[2] == -1 for _, m in made])
    assert above.mean() == pytest.approx(chance.mean(), abs=4 * 0.5 / np.sqrt(1000))


def test_sets_go_on_where_they_stopped(little: Likelihood) -> None:
    kept: list[xr.Dataset] = []

    def run(**given: object) -> xr.Dataset:
        settings = {"sets": 11, "rng": np.random.default_rng(4), "every": 1, "burn_in": 5}
        return sbc(little, **settings | given)  # type: ignore[arg-type]

    whole = run(keep=kept.append)
    assert [part.sizes["set"] for part in kept] == [10]
    xr.testing.assert_identical(run(done=kept[0]), whole)
    # A set depends on the seed and its own number, so that a longer run begins with the same sets.
    xr.testing.assert_identical(run(sets=10, threads=1), kept[0])
    with pytest.raises(InputError, match="belong to other unknowns or another seed"):
        run(done=kept[0], rng=np.random.default_rng(5))


def test_answers_are_ranked_beside_the_unknowns(little: Likelihood) -> None:
    rows = little.model.rows("output")
    asked = Asked({"all": rows, "East": rows[:1]}, 2020)
    # Without growth a year's total is the level of East, drawn, and that of West, 20.
    theta = np.zeros((2, little.size))
    theta[:, 0] = np.log([9.0, 12.0])
    expected = np.log([[29.0, 9.0], [32.0, 12.0]])
    np.testing.assert_allclose(asked.of(little, theta), expected, rtol=1e-12)
    result = sbc(little, sets=10, rng=np.random.default_rng(4), every=2, burn_in=30, asked=asked)
    assert list(result["parameter"].values[-3:]) == ["log likelihood", "all 2020", "East 2020"]
    assert "unknowns, 2 answers and the log likelihood" in sbc_verdict(result)
    # Four observations with a noise of a few per cent fix an answer that the prior knows to a half.
    assert uniformity(result).loc["East 2020", "recovery"] > 0.9


def test_a_result_knows_its_density_and_no_other(
    little: Likelihood, small: Model, make: SimpleNamespace
) -> None:
    settings = {"sets": 3, "every": 1, "burn_in": 5}
    rng = np.random.default_rng(4)
    done = sbc(little, rng=rng, **settings)  # type: ignore[arg-type]
    assert same_density(done, little)
    # Another prior, another figure: another density, and no place to go on from.
    wider = dataclasses.replace(little.priors, sigma=2.0 * little.priors.sigma)
    observations = dataclasses.replace(little, published=little.published + 0.1)
    for other in (dataclasses.replace(little, priors=wider), observations):
        assert not same_density(done, other)
        with pytest.raises(InputError, match="belong to another density"):
            sbc(
                other,
                rng=np.random.default_rng(4),
                done=done,
                **settings,  # type: ignore[arg-type]
            )


def test_the_kept_result_is_of_the_belt_study_as_it_is(likelihood: Likelihood) -> None:
    with xr.open_dataset(shipped("calibration/results/sbc.nc"), engine="netcdf4") as kept:
        # If not: docs/sampling.md has the command that makes it anew.
        assert same_density(kept, likelihood)
        assert int(kept.attrs["answers"]) == 16


def test_the_page_quotes_what_is_said_of_the_kept_result(root: Path) -> None:
    with xr.open_dataset(shipped("calibration/results/sbc.nc"), engine="netcdf4") as kept:
        said = sbc_verdict(kept)
    assert said in (root / "docs" / "sampling.md").read_text(encoding="utf-8")


MIXED = {
    "mdl": (
        "{UTF-8}\nk = 0.3 ~ 1/Day ~ |\nX = INTEG(-Out, 10) ~ g ~ |\nOut = k*X ~ g/Day ~ |\n"
        "Low = X - 5 ~ g ~ |\nGone = INTEG(Out, 0) ~ g ~ |\nINITIAL TIME = 0 ~ Day ~ |\n"
        "FINAL TIME = 4 ~ Day ~ |\nTIME STEP = 0.25 ~ Day ~ |\nSAVEPER = 1 ~ Day ~ |\n"
    ),
    "csv": "Day,X,Low,Gone\n1,6,1,4\n2,3.6,-1.4,6\n3,2.2,-2.8,8\n",
    "voc": "0.01 <= k = 0.3 <= 5\n",
    "toml": (
        '[X]\nerrors = { family = "lognormal", scale = 0.2 }\n'
        '[Low]\nerrors = { family = "normal", scale = 0.5 }\n'
        '[Gone]\nerrors = { family = "poisson" }\n'
    ),
}


def test_synthetic_columns_follow_the_distribution_that_each_states(tmp_path: Path) -> None:
    """A lognormal column keeps logs, a normal one numbers, one of counts whole numbers."""
    paths = [tmp_path / f"m.{end}" for end in MIXED]
    for path, content in zip(paths, MIXED.values(), strict=True):
        path.write_text(content, encoding="utf-8")
    one = read_own_model(*paths[:3], columns=paths[3]).likelihood
    rng = np.random.default_rng(3)
    theta, made = zip(*(synthetic(one, rng) for _ in range(200)), strict=True)
    expected = one.expected(np.stack(theta))
    drawn = np.stack([each.published for each in made])
    names = np.array([row.quantity for row in one.observations])
    for name, sd in (("X", 0.2), ("Low", 0.5)):
        errors = (drawn - expected)[:, names == name].ravel() / sd
        assert stats.kstest(errors, "norm").pvalue > 1e-3
    counts = drawn[:, names == "Gone"]
    assert (counts == np.round(counts)).all()
    # The counts of each set are those with which it is compared; Poisson: variance is the mean.
    own = np.stack([each.families.counts for each in made])
    np.testing.assert_array_equal(own[:, names == "Gone"], counts)
    assert not own[:, names != "Gone"].any()
    mean = expected[:, names == "Gone"]
    scaled = (counts - mean) / np.sqrt(mean)
    assert scaled.mean() == pytest.approx(0.0, abs=4 / np.sqrt(scaled.size))
    assert scaled.var() == pytest.approx(1.0, abs=0.25)  # 4 standard errors of 600
