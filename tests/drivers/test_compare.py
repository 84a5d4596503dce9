"""Differences between scenarios are taken within a draw, and dated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast import (
    Scenario,
    compare,
    load_model,
    make_likelihood,
    read_study,
    run_ensemble,
    sample_prior,
)
from beltcast.drivers.compare import compare_runs, comparison_table, difference_table
from beltcast.errors import InputError, ScenarioError
from beltcast.forecasting.summary import as_text
from beltcast.study.scenarios import Size, draw_sizes, read_scenarios
from beltcast.study.study import Study

from ..stand_in import StandIn


def runs(*paths: list[float]) -> xr.DataArray:
    """A baseline of 100 and one other scenario with the given paths, one a member."""
    other = np.array(paths)[:, None, :]
    years = 2026 + np.arange(other.shape[-1])
    return xr.DataArray(
        np.stack([np.full_like(other, 100.0), other]),
        {"scenario": ["base", "other"], "place": ["China"], "year": years},
        ("scenario", "member", "place", "year"),
    )


def test_a_loss_is_dated_at_its_first_year_and_recovery_counted_from_there() -> None:
    result = compare_runs(runs([100, 91, 90, 85, 91, 80], [100, 99, 98, 97, 96, 95]))
    other = result.sel(scenario="other", place="China")
    # 90 is a loss of 10%: the bound belongs to the loss. 91 in 2030 ends it after two years.
    np.testing.assert_array_equal(other["loss_year"], [2028.0, np.nan])
    np.testing.assert_array_equal(other["recovery_time"], [2.0, np.nan])
    assert other["chance_of_loss"].item() == 0.5
    assert other["chance_of_recovery"].item() == 1.0


def test_a_loss_that_lasts_is_not_recovered() -> None:
    other = compare_runs(runs([100, 80, 80])).sel(scenario="other", place="China")
    assert np.isnan(other["recovery_time"].item())
    assert other["chance_of_recovery"].item() == 0.0


def test_a_failed_member_counts_neither_for_nor_against() -> None:
    result = compare_runs(runs([100, 120], [np.nan, np.nan], [100, 90]))
    at = result.sel(scenario="other", place="China")
    assert at["chance_of_more"].sel(year=2027).item() == 0.5
    assert at["chance_of_loss"].item() == 0.5


def test_differences_are_taken_within_a_draw() -> None:
    # Two draws far apart, each 10 more: the difference has no standard deviation at all.
    output = runs([110.0], [1010.0])
    output[0, 1] = 1000.0
    band = compare_runs(output)["difference_quantile"].sel(scenario="other", place="China")
    np.testing.assert_array_equal(band, 10.0)


def test_the_table_of_differences_says_by_how_much_and_how_often() -> None:
    # Ten years to 2035: every draw lies 10% below in 2030, and one of four above at the end.
    down = [100.0] * 4 + [90.0] * 6
    up = [100.0] * 4 + [90.0] * 5 + [120.0]
    result = compare_runs(runs(*[down] * 75, *[up] * 25))
    text = as_text(difference_table(result, "China"))
    (row,) = (line for line in text.splitlines() if line.startswith("other"))
    assert "-10.0 (-10.0 to -10.0) %" in row
    # Agresti and Coull: the root of (27 / 104) (77 / 104) / 104 is 0.043.
    assert row.rstrip().endswith("25 ± 4 %")
    few = as_text(difference_table(compare_runs(runs(down, up)), "China"))
    assert "too few draws" in few
    same = as_text(difference_table(compare_runs(runs(*[[100.0] * 10] * 100)), "China"))
    assert "no change" in same


@pytest.mark.parametrize("loss", [0.0, 1.0, -0.1])
def test_a_loss_of_nothing_or_all_is_refused(loss: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        compare_runs(runs([100.0]), loss=loss)


def test_a_share_of_zero_has_no_year_and_a_year_has_no_share_of_zero() -> None:
    """One of 500 draws loses half in its second year; in the other scenario none does."""
    levels = np.full((3, 500, 1, 2), 100.0)
    levels[1, 0, 0, 1] = 50.0
    output = xr.DataArray(
        levels,
        {"scenario": ["base", "rare", "never"], "place": ["all"], "year": [2024, 2025]},
        ("scenario", "member", "place", "year"),
    )
    result = compare_runs(output, loss=0.5)
    result.attrs["whole"] = "all"
    lines = as_text(comparison_table(result)).splitlines()
    cells = {line.split()[0]: line.split()[1:] for line in lines if line.startswith(("ra", "ne"))}
    assert cells["rare"][:5] == ["0.2", "±", "0.3", "%", "2025"]
    assert cells["never"] == ["0.0", "±", "0.3", "%", "none"]


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


def test_the_belt_study_compares_and_its_table_fits(study: Study) -> None:
    likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    rng = np.random.default_rng(2)
    result = compare(study, sample_prior(likelihood, 6, rng=rng), rng=rng)
    assert (result["ratio_quantile"].sel(scenario="baseline") == 1.0).all()
    # A tariff of 60% on the US share costs output in every draw: its elasticity is positive.
    shock = result["chance_of_more"].sel(scenario="tariff-shock", place="China", year=2030)
    assert shock.item() == 0.0
    page = as_text(comparison_table(result))
    assert "tariff-shock" in page
    assert "…" not in page


TARIFF = """
[baseline]
title = "Baseline"

[unsure]
extends = "baseline"
title = "Unsure"
constants = { "Export Share" = { distribution = "normal", mean = 0.3, sd = 0.1, bounds = [0, 1] } }

[sure]
extends = "unsure"
title = "Sure"
constants = { "Export Share" = 0.5 }

[heir]
extends = "unsure"
title = "Heir"
"""


def read(tmp_path: Path, text: str) -> dict[str, Scenario]:
    path = tmp_path / "scenarios.toml"
    path.write_text(text, encoding="utf-8")
    return read_scenarios(path, StandIn())


def test_an_uncertain_size_is_inherited_until_a_number_replaces_it(tmp_path: Path) -> None:
    found = read(tmp_path, TARIFF)
    size = Size("normal", 0.3, 0.1, 0.0, 1.0)
    assert found["unsure"].uncertain == {"Export Share": size} == found["heir"].uncertain
    # Bounds of -3 and +7 sd move the median by less than a thousandth of the sd.
    assert found["unsure"].constants["Export Share"] == pytest.approx(0.3, abs=1e-3)
    assert not found["sure"].uncertain
    assert found["sure"].constants["Export Share"] == 0.5


def test_sizes_have_the_distribution_that_was_asked_for() -> None:
    scenario = Scenario("s", "S", uncertain={"x": Size("normal", 0.3, 0.1, 0.0, 1.0)})
    drawn = draw_sizes(scenario, 4000, rng=3)["x"]
    # Standard error of the mean 0.1 / sqrt(4000) = 0.0016; four of them.
    assert drawn.mean() == pytest.approx(0.3, abs=0.0064)
    assert drawn.std() == pytest.approx(0.1, abs=0.005)
    assert drawn.min() >= 0.0


@pytest.mark.parametrize(
    ("size", "p", "expected"),
    [
        (Size("lognormal", 2.0, 0.5), 0.8413447460685429, 2.0 * np.exp(0.5)),
        (Size("logitnormal", 0.2, 1.0), 0.5, 0.2),
        # Half a normal: its median is the upper quartile of the whole one.
        (Size("normal", 0.0, 1.0, 0.0, np.inf), 0.5, 0.6744897501960817),
        (Size("lognormal", 1.0, 1.0, 1.0, np.inf), 0.5, np.exp(0.6744897501960817)),
    ],
)
def test_quantiles_of_sizes_are_those_of_the_truncated_gaussian(
    size: Size, p: float, expected: float
) -> None:
    assert float(size.quantile(p)) == pytest.approx(expected, rel=1e-12)


def test_scenarios_share_the_random_numbers_of_a_size() -> None:
    small = Scenario("a", "A", uncertain={"x": Size("normal", 0.0, 1.0)})
    large = Scenario("b", "B", uncertain={"y": Size("normal", 0, 1), "x": Size("normal", 10, 2)})
    one, other = draw_sizes(small, 50, rng=1)["x"], draw_sizes(large, 50, rng=1)["x"]
    np.testing.assert_allclose(other, 10.0 + 2.0 * one, rtol=1e-12)


def test_a_drawn_size_reaches_the_run_member_by_member(root: Path) -> None:
    model = load_model(root / "models/decay/decay.mdl")
    scenario = Scenario(
        "s", "S", constants={"Lifetime": 2.0}, uncertain={"Lifetime": Size("lognormal", 2.0, 0.3)}
    )
    members = ((), np.empty((3, 0)))
    run = run_ensemble(
        model, {"s": scenario}, members, outputs=["Stock"], rng=np.random.default_rng(4)
    )
    seed = int(np.random.default_rng(4).integers(2**63))
    lifetimes = draw_sizes(scenario, 3, rng=seed)["Lifetime"]
    for member, lifetime in enumerate(lifetimes):
        alone = model.simulate({"Lifetime": lifetime}, outputs=["Stock"])["Stock"]
        times = run["time"].values
        np.testing.assert_array_equal(
            run["Stock"].isel(scenario=0, member=member), alone.sel(time=times)
        )


def test_uncertain_sizes_without_chance_are_refused(root: Path) -> None:
    model = load_model(root / "models/decay/decay.mdl")
    scenario = Scenario(
        "s", "S", constants={"Lifetime": 2.0}, uncertain={"Lifetime": Size("lognormal", 2.0, 0.3)}
    )
    with pytest.raises(ScenarioError, match="give run_ensemble an rng"):
        run_ensemble(model, {"s": scenario}, ((), np.empty((3, 0))), outputs=["Stock"])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('{ "2026" = 0.1, "2028" = 0.3 }', "a constant holds for a whole run; write years under"),
        ('{ distribution = "gamma", mean = 1 }', "expected one of 'lognormal', 'normal'"),
        ('{ distribution = "normal", mean = 1 }', "sd of 'Export Share' is missing"),
        (
            '{ distribution = "normal", mean = 1, sd = 0 }',
            "sd of 'Export Share' is 0; expected a number above 0",
        ),
        ('{ distribution = "normal", mean = 1, sd = 1, bounds = [2, 3] }', "outside its bounds"),
        (
            '{ distribution = "lognormal", median = -1, log_sd = 1 }',
            "is -1; expected a number above 0",
        ),
        ('{ distribution = "normal", mean = 1, sd = 1, top = 3 }', "unknown key 'top'"),
    ],
)
def test_a_size_that_makes_no_sense_is_refused_by_line(
    tmp_path: Path, value: str, words: str
) -> None:
    text = f'[baseline]\ntitle = "B"\n[baseline.constants]\n"Export Share" = {value}\n'
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path, text)
    assert words in caught.value.sentence
    assert caught.value.line == 4
