"""Shapley values share out all there is, and only what is there."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast import Draws, attribute, load_model, make_likelihood, read_study, sample_prior
from beltcast.drivers.attribution.attribute import (
    dividend_weights,
    driver_names,
    shapley_weights,
    sign_source,
)
from beltcast.drivers.attribution.page import (
    attribution_draws,
    complement_words,
    summarise_attribution,
)
from beltcast.drivers.attribution.plot import contribution_areas, waterfall
from beltcast.ensembles.verdicts import positive_share, ratio_of
from beltcast.errors import InputError, UnknownName
from beltcast.forecasting.summary import as_text
from beltcast.schema import Label
from beltcast.study.roles import Roles
from beltcast.study.scenarios import Scenario
from beltcast.study.study import Study

# A game whose answer is known: 2 e^(0.3 a) e^(0.2 b) (1 + 0.5 a b) a year, c without effect.
GAME = """{UTF-8}
SW A = 1 ~ Dmnl ~ |
SW B = 1 ~ Dmnl ~ |
SW C = 1 ~ Dmnl ~ |
Effect A = 0.3 ~ Dmnl ~ |
sales = 2*EXP(Effect A*SW A + 0.2*SW B)*(1 + 0.5*SW A*SW B) + 0*SW C ~ bnCNY/Year ~ |
Sold = INTEG(sales, 0) ~ bnCNY ~ |
INITIAL TIME = 2020 ~ Year ~ |
FINAL TIME = 2022 ~ Year ~ |
TIME STEP = 0.5 ~ Year ~ |
SAVEPER = 1 ~ Year ~ |
"""


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


@pytest.fixture(scope="module")
def draws(study: Study) -> Draws:
    likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    return sample_prior(likelihood, 12, rng=np.random.default_rng(5))


@pytest.fixture(scope="module")
def shares(study: Study, draws: Draws) -> xr.Dataset:
    return attribute(study, draws, prior=draws, since=2018)


@pytest.fixture(scope="module")
def game(study: Study, draws: Draws, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    path: Path = tmp_path_factory.mktemp("game") / "game.mdl"
    path.write_text(GAME, encoding="utf-8")
    own = replace(
        study,
        model=load_model(path),
        scenarios={"baseline": Scenario("baseline", "Baseline")},
        roles=Roles(drivers={f"SW {name}": Label(name) for name in "ABC"}),
    )
    nothing = _NoDraws(draws)
    return attribute(own, nothing, target="sales", switches=["SW A", "SW B", "SW C"])


class _NoDraws(Draws):
    """One member that sets nothing."""

    def __init__(self, draws: Draws) -> None:
        super().__init__(draws.likelihood, np.zeros((1, 0)), "prior")

    @property
    def labels(self) -> tuple[str, ...]:
        return ()

    @property
    def values(self) -> np.ndarray:
        return np.empty((1, 0))


@pytest.mark.parametrize("drivers", [1, 2, 3, 5])
def test_shapley_values_are_the_mean_over_all_orders_of_joining(drivers: int) -> None:
    worth = np.random.default_rng(drivers).normal(size=2**drivers)
    orders = list(itertools.permutations(range(drivers)))
    expected = np.zeros(drivers)
    for order in orders:
        joined = 0
        for i in order:
            expected[i] += worth[joined | 1 << i] - worth[joined]
            joined |= 1 << i
    # The definition of 1953 itself; sums of at most 5! terms of order one.
    np.testing.assert_allclose(shapley_weights(drivers) @ worth, expected / len(orders), atol=1e-12)


@pytest.mark.parametrize("drivers", [1, 2, 3, 6])
def test_dividends_add_up_to_the_worth_of_every_set(drivers: int) -> None:
    worth = np.random.default_rng(drivers).normal(size=2**drivers)
    dividends = dividend_weights(drivers) @ worth
    for s in range(2**drivers):
        inside = sum(dividends[t] for t in range(2**drivers) if t & s == t)
        assert math.isclose(inside, worth[s], abs_tol=1e-11)


def test_a_shapley_value_is_the_drivers_part_of_its_dividends() -> None:
    worth = np.random.default_rng(1).normal(size=16)
    dividends = dividend_weights(4) @ worth
    for i in range(4):
        part = sum(dividends[s] / s.bit_count() for s in range(16) if s & 1 << i)
        assert math.isclose((shapley_weights(4) @ worth)[i], part, abs_tol=1e-12)


def test_like_drivers_get_alike_and_a_null_driver_gets_nothing() -> None:
    # Drivers 0 and 1 enter as their number only; driver 2 is in no term.
    worth = np.array([float((s & 3).bit_count() ** 2) for s in range(8)])
    np.testing.assert_allclose(shapley_weights(3) @ worth, [2.0, 2.0, 0.0], atol=1e-12)


def test_a_known_game_is_shared_out_as_on_paper(game: xr.Dataset) -> None:
    at = {"member": 0, "place": "total", "year": 2021}
    # log v = log 2 + 0.3 a + 0.2 b + log(1.5) a b: the pair's dividend is halved between the two.
    pair = math.log(1.5)
    logs = game["shapley_log"].sel(at)
    # float32 keeps seven digits.
    np.testing.assert_allclose(logs, [0.3 + pair / 2, 0.2 + pair / 2, 0.0], atol=1e-6)
    assert game["synergy_log"].sel(at).item() == pytest.approx(pair, abs=1e-6)
    v = {
        (a, b): 2 * math.exp(0.3 * a + 0.2 * b) * (1 + 0.5 * a * b) for a in (0, 1) for b in (0, 1)
    }
    synergy = v[1, 1] - v[1, 0] - v[0, 1] + v[0, 0]
    assert game["synergy_level"].sel(at).item() == pytest.approx(synergy, rel=1e-6)
    dividends = game["dividend_log_quantile"].sel(place="total", year=2021, quantile=0.5)
    assert dividends.sel(coalition="A + B").item() == pytest.approx(pair, abs=1e-12)
    assert dividends.sel(coalition="A + B + C").item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("scale", ["log", "level"])
def test_shapley_values_add_up_to_the_joint_gain_in_every_draw(
    study: Study, draws: Draws, shares: xr.Dataset, scale: str
) -> None:
    from beltcast import run_ensemble

    first = dict(list(study.scenarios.items())[:1])
    run = run_ensemble(study.model, first, (draws.labels, draws.values), outputs=["output"])
    on = run["output"].isel(scenario=0).rename({"Belt": "place"})
    off = shares[f"without_{scale}"].sel(place=on["place"])
    gain = (np.log(on) if scale == "log" else on) - off
    total = shares[f"shapley_{scale}"].sum("driver").sel(place=on["place"])
    # Kept as float32, seven digits of the largest number that enters; three are added.
    size = float(abs(off).max())
    np.testing.assert_allclose(total.transpose(*gain.dims), gain, rtol=1e-5, atol=3e-7 * size)


def test_dividends_of_two_and_more_drivers_are_the_synergy(study: Study, draws: Draws) -> None:
    # The quantiles of a single draw are the draw.
    one = attribute(study, replace(draws, theta=draws.theta[:1]))
    dividends = one["dividend_log_quantile"].isel(quantile=0).sum("coalition")
    synergy = one["synergy_log"].isel(member=0)
    np.testing.assert_allclose(dividends.transpose(*synergy.dims), synergy, atol=1e-6)


def test_attribution_of_growth_is_the_difference_of_two_years(shares: xr.Dataset) -> None:
    phi = shares["shapley_log"]
    growth = (phi.sel(year=2024) - phi.sel(year=2018)).quantile(0.5, "member")
    kept = shares["growth_log_quantile"].sel(year=2024, quantile=0.5)
    np.testing.assert_allclose(growth.transpose(*kept.dims), kept, atol=1e-6)


def test_levels_of_the_belts_add_up_to_the_nations(shares: xr.Dataset) -> None:
    # Linearity: the nation's output is the sum of the belts', so its Shapley values are too.
    phi = shares["shapley_level"]
    belts = phi.isel(place=slice(1, None)).sum("place")
    scale = float(abs(phi).max())
    np.testing.assert_allclose(belts, phi.sel(place="China"), atol=1e-6 * scale)


def test_the_order_of_switches_does_not_matter(
    study: Study, draws: Draws, shares: xr.Dataset
) -> None:
    turned = attribute(study, draws, switches=["SW Platform", "SW Government", "SW Market"])
    again = turned["shapley_log"].sel(driver=shares["driver"])
    np.testing.assert_allclose(again, shares["shapley_log"], atol=1e-6)


def test_the_prior_beside_itself_is_no_news(shares: xr.Dataset) -> None:
    ratio = shares["shapley_log_sd_ratio"].sel(year=2024)
    np.testing.assert_allclose(ratio, 1.0, rtol=1e-12)
    np.testing.assert_array_equal(shares["synergy_log_chance"], shares["prior_synergy_log_chance"])


@pytest.mark.parametrize(
    ("posterior", "prior", "words"),
    [
        (0.99, 0.98, "built in"),
        (0.01, 0.05, "built in"),
        (0.75, 0.95, "left open"),
        (0.05, 0.95, "reversed"),
        (0.95, 0.60, "decided by the data"),
        (0.60, 0.55, "undecided"),
    ],
)
def test_words_follow_the_table(posterior: float, prior: float, words: str) -> None:
    assert sign_source(posterior, prior) == words


def test_twelve_draws_are_too_few_for_a_verdict(shares: xr.Dataset) -> None:
    words = complement_words(shares)
    assert "12 draws are too few to judge the sign (at least 100)" in words
    assert "built into" not in words
    page = as_text(summarise_attribution(shares))
    assert words.split(":")[0][:40] in page
    assert "…" not in page  # every column fits
    assert "China in 2024" in page


def with_synergy(shares: xr.Dataset, values: np.ndarray, prior: np.ndarray) -> xr.Dataset:
    """An attribution of one place and year whose synergy has these draws."""
    own = shares.isel(member=np.zeros(len(values), dtype=int)).copy(deep=True)
    for mark, draws in (("", values), ("prior_", prior)):
        synergy = own["synergy_log"].isel(place=0, year=0) * 0.0 + draws
        quantile = np.quantile(draws, own["quantile"].values)
        own[f"{mark}synergy_log_quantile"].values[...] = quantile
        own[f"{mark}synergy_log_chance"].values[...] = positive_share(synergy.values, 1.0)
    own["synergy_log_sd_ratio"].values[...] = ratio_of(values.std(), prior.std(), 1.0)
    return own.assign_attrs(prior_draws=len(prior))


NORMAL = np.random.default_rng(1).standard_normal(400)


@pytest.mark.parametrize(
    ("values", "prior", "words"),
    [
        (0.1 * NORMAL + 0.5, 0.1 * NORMAL + 0.5, "the priors alone decide that the drivers comp"),
        (0.1 * NORMAL - 0.5, 0.1 * NORMAL - 0.5, "the priors alone decide that the drivers subs"),
        (0.1 * NORMAL - 0.5, 0.1 * NORMAL + 0.5, "the model assumes that the drivers complement"),
        (0.1 * NORMAL - 0.5, NORMAL, "the data decide that the drivers substitute for each"),
        (NORMAL, NORMAL, "neither the data nor the priors"),
        (0.0 * NORMAL, 0.0 * NORMAL, "no joint effect"),
        ((0.1 * NORMAL + 0.5)[:2], (0.1 * NORMAL + 0.5)[:2], "2 draws are too few"),
        (np.repeat(0.5, 400), np.repeat(0.5, 400), "the priors alone decide that the drivers comp"),
    ],
    ids=["built in", "wrong sign", "reversed", "data", "tie", "no effect", "two draws", "constant"],
)
def test_each_verdict_is_given_in_its_case_and_no_other(
    shares: xr.Dataset, values: np.ndarray, prior: np.ndarray, words: str
) -> None:
    told = complement_words(with_synergy(shares, values, prior))
    assert words in told.replace("The ", "the ").replace("Neither", "neither")
    assert "nan" not in told


def test_drivers_that_do_nothing_have_no_synergy_and_no_share(
    study: Study, draws: Draws, tmp_path: Path
) -> None:
    """Multiplied by zero: what is left of the logs is rounding, which has no sign."""
    path = tmp_path / "inert.mdl"
    text = GAME.replace("EXP(Effect A*SW A + 0.2*SW B)*(1 + 0.5*SW A*SW B)", "EXP(0*SW A+0*SW B)")
    path.write_text(text, encoding="utf-8")
    own = replace(
        study,
        model=load_model(path),
        scenarios={"base": Scenario("base", "Base")},
        roles=Roles(drivers={f"SW {name}": Label(name) for name in "AB"}),
    )
    inert = attribute(own, _NoDraws(draws), target="sales", switches=["SW A", "SW B"])
    assert float(abs(inert["synergy_log"]).max()) == 0.0
    assert np.isnan(inert["synergy_log_chance"]).all()


def test_a_share_that_moved_is_not_called_mostly_prior(shares: xr.Dataset) -> None:
    few = as_text(summarise_attribution(shares))
    assert "*" not in next(line for line in few.splitlines() if line.startswith("Ningbo"))
    shares = shares.isel(member=np.zeros(100, dtype=int)).assign_attrs(prior_draws=100)
    page = as_text(summarise_attribution(shares))
    (line,) = [line for line in page.splitlines() if line.startswith("Ningbo")]
    assert line.count("*") == 3  # the prior beside itself
    moved = shares.copy()
    ratio = float(shares["shapley_log_sd_ratio"].max())
    assert ratio == pytest.approx(1.0)
    moved["shapley_log_quantile"] = shares["shapley_log_quantile"] + 5.0
    page = as_text(summarise_attribution(moved))
    (line,) = [line for line in page.splitlines() if line.startswith("Ningbo")]
    assert "*" not in line


def test_eleven_switches_are_refused_with_the_number_of_runs(study: Study, draws: Draws) -> None:
    names = [v.name for v in study.model.variables.values() if v.kind == "constant" and not v.dims]
    with pytest.raises(InputError, match="2048 runs a draw"):
        attribute(study, draws, switches=names[:11])


def test_a_switch_given_twice_or_unknown_is_refused(study: Study, draws: Draws) -> None:
    with pytest.raises(InputError, match="once"):
        attribute(study, draws, switches=["SW Market", "sw market"])
    with pytest.raises(UnknownName, match="did you mean 'SW Market'"):
        attribute(study, draws, switches=["SW Markt"])


def test_a_year_that_was_not_run_is_refused_by_texts_and_pictures(shares: xr.Dataset) -> None:
    for told in (summarise_attribution, complement_words, waterfall):
        with pytest.raises(UnknownName, match="year 1900 is not run; choose one of"):
            told(shares, year=1900)


def test_pictures_draw_on_the_axes_they_are_given(shares: xr.Dataset) -> None:
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert contribution_areas(shares, "Shenzhen", ax=ax) is ax
    other = waterfall(shares, "Shenzhen", year=2024)
    heights = [bar.get_height() for bar in other.patches]
    # without, three drivers, with all: the steps lead from the first bar to the last.
    assert sum(heights[:4]) == pytest.approx(heights[4], rel=1e-6)


class _Given(_NoDraws):
    """Members that set one constant."""

    def __init__(self, draws: Draws, effects: list[float]) -> None:
        super().__init__(draws)
        self.effects = effects

    def __len__(self) -> int:
        return len(self.effects)

    @property
    def labels(self) -> tuple[str, ...]:
        return ("Effect A",)

    @property
    def values(self) -> np.ndarray:
        return np.array(self.effects)[:, None]


def test_a_member_that_fails_with_one_set_of_drivers_is_left_out_of_all(
    study: Study, draws: Draws, tmp_path: Path
) -> None:
    """Below an effect of 0.1 the root of driver B is of a negative number; without B all run."""
    path = tmp_path / "half.mdl"
    text = GAME.replace("+ 0*SW C", "+ 0*SW C + 0*SQRT(Effect A - 0.1*SW B)")
    path.write_text(text, encoding="utf-8")
    own = replace(
        study,
        model=load_model(path),
        scenarios={"base": Scenario("base", "Base")},
        roles=Roles(drivers={f"SW {name}": Label(name) for name in "AB"}),
    )
    good, bad = [0.2, 0.35, 0.8, 0.55], [0.05, 0.02]
    asked = {"target": "sales", "switches": ["SW A", "SW B"]}
    both = attribute(own, _Given(draws, [*good, *bad]), **asked)
    alone = attribute(own, _Given(draws, good), **asked)
    for name, values in alone.items():
        if "member" in values.dims:
            kept = both[name].transpose(*values.dims)
            np.testing.assert_array_equal(kept.isel(member=slice(4)), values)
            assert kept.isel(member=slice(4, None)).isnull().all()
        else:
            np.testing.assert_allclose(both[name], values, rtol=1e-12, err_msg=str(name))
    assert attribution_draws(both.sel(place="total", year=2021)) == (4, 4)


def test_ten_switches_are_not_too_many(study: Study, draws: Draws) -> None:
    names = [v.name for v in study.model.variables.values() if v.kind == "constant" and not v.dims]
    assert len(driver_names(study, names[:10])) == 10
