"""Sensitivity indices are those of functions whose indices are published."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from beltcast import Model, load_model, read_study
from beltcast.drivers.sensitivity.page import pair_words, summarise_sensitivity
from beltcast.drivers.sensitivity.ranks import rank_ranges, ranked, unsettled
from beltcast.drivers.sensitivity.sensitivity import SensitivityMethod, sensitivity_indices
from beltcast.errors import InputError, UnknownName
from beltcast.forecasting.summary import as_text

# Ishigami and Homma (1990) with a = 7, b = 0.1; "nothing" has no effect.
ISHIGAMI = """{UTF-8}
x1 = 0 ~ Dmnl ~ |
x2 = 0 ~ Dmnl ~ |
x3 = 0 ~ Dmnl ~ |
nothing = 0 ~ Dmnl ~ |
y = SIN(x1) + 7*SIN(x2)^2 + 0.1*x3^4*SIN(x1) + 0*nothing ~ Dmnl ~ |
only x1 later = IF THEN ELSE(Time > 0.5, x1, x2) ~ Dmnl ~ |
Sum = INTEG(y, 0) ~ Year ~ |
INITIAL TIME = 0 ~ Year ~ |
FINAL TIME = 1 ~ Year ~ |
TIME STEP = 1 ~ Year ~ |
SAVEPER = 1 ~ Year ~ |
"""
CLOCK = {"INITIAL TIME": 0, "FINAL TIME": 1, "TIME STEP": 1, "SAVEPER": 1}
RANGES = dict.fromkeys(("x1", "x2", "x3", "nothing"), (-math.pi, math.pi))
METHODS: tuple[SensitivityMethod, ...] = ("sobol", "morris", "pawn")


@pytest.fixture(scope="module")
def ishigami(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path: Path = tmp_path_factory.mktemp("ishigami") / "ishigami.mdl"
    path.write_text(ISHIGAMI, encoding="utf-8")
    return load_model(path)


def test_sobol_indices_of_the_ishigami_function_are_the_published_ones(ishigami: Model) -> None:
    rng = np.random.default_rng(1)
    found = sensitivity_indices(ishigami, RANGES, target="y", rng=rng, base=2048).sel(time=1.0)
    a, b, pi4 = 7.0, 0.1, math.pi**4
    v1 = 0.5 * (1 + b * pi4 / 5) ** 2
    v2 = a**2 / 8
    v13 = b**2 * math.pi**8 * (1 / 18 - 1 / 50)
    v = v1 + v2 + v13
    # The estimate's own 95% half width is 0.03 to 0.09 at 2048 points; its errors are far smaller
    # on a Sobol' sequence.
    np.testing.assert_allclose(found["first"], [v1 / v, v2 / v, 0.0, 0.0], atol=0.02)
    np.testing.assert_allclose(found["total"], [(v1 + v13) / v, v2 / v, v13 / v, 0.0], atol=0.02)
    assert (
        unsettled(sensitivity_indices(ishigami, RANGES, target="y", rng=rng, base=2048), 1.0) < 0.05
    )


def test_pairs_of_the_ishigami_function_explain_what_is_published(ishigami: Model) -> None:
    rng = np.random.default_rng(1)
    found = sensitivity_indices(ishigami, RANGES, target="y", rng=rng, base=4096, pairs=True)
    a, b, pi4 = 7.0, 0.1, math.pi**4
    v13 = b**2 * math.pi**8 * (1 / 18 - 1 / 50)
    v = 0.5 * (1 + b * pi4 / 5) ** 2 + a**2 / 8 + v13
    second = found["second"].sel(time=1.0)
    # S13 = 0.244; only x1 and x3 multiply, all other pairs explain nothing together.
    expected = np.zeros((4, 4))
    expected[0, 2] = expected[2, 0] = v13 / v
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(second, expected, atol=0.03)
    np.testing.assert_allclose(found["first"].sel(time=1.0), [0.314, 0.442, 0, 0], atol=0.02)
    assert found.attrs["runs"] == 4096 * (2 * 4 + 2)
    words = pair_words(found.sel(time=1.0))
    assert words[0].endswith(":")
    assert words[1].startswith("  x3 and x1: 0.2")
    page = as_text(summarise_sensitivity(found, when=1.0))
    assert "x3 and x1" in page
    # What rounding leaves of the variance of an idle constant is written as zero.
    (idle,) = (line.split() for line in page.splitlines() if line.startswith("nothing"))
    assert {"0"} == set(idle[2:4])
    assert "e-" not in page


def test_pairs_are_of_sobol_and_of_two_constants(ishigami: Model) -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match="not of morris with 4"):
        sensitivity_indices(ishigami, RANGES, target="y", method="morris", rng=rng, pairs=True)
    with pytest.raises(InputError, match="not of sobol with 1"):
        sensitivity_indices(ishigami, {"x1": (0.0, 1.0)}, target="y", rng=rng, pairs=True)


def test_indices_follow_the_output_over_time(ishigami: Model) -> None:
    rng = np.random.default_rng(2)
    found = sensitivity_indices(ishigami, RANGES, target="only x1 later", rng=rng, base=256)
    total = found["total"]
    np.testing.assert_allclose(total.sel(time=0.0), [0, 1, 0, 0], atol=0.02)
    np.testing.assert_allclose(total.sel(time=1.0), [1, 0, 0, 0], atol=0.02)
    assert ranked(found, 0.0)[0] == "x2"
    assert ranked(found, 1.0)[0] == "x1"
    with pytest.raises(UnknownName, match="time 1900 is not among the results; choose one of 0 to"):
        ranked(found, 1900.0)


def test_a_constant_output_has_no_indices(ishigami: Model) -> None:
    found = sensitivity_indices(
        ishigami, RANGES, target="Sum", rng=np.random.default_rng(3), base=16
    )
    assert found["total"].sel(time=0.0).isnull().all()
    assert found["total"].sel(time=1.0).notnull().all()


def test_indices_of_an_output_that_changes_by_rounding_alone_are_not_numbers(
    tmp_path: Path,
) -> None:
    path = tmp_path / "flat.mdl"
    path.write_text(
        "{UTF-8}\na = 1 ~ ~ |\nb = 1 ~ ~ |\ny = a/b*b/a*(b/3)*(3/b) ~ ~ |\n"
        + "".join(f"{k} = {v} ~ ~ |\n" for k, v in CLOCK.items()),
        encoding="utf-8",
    )
    ranges = {"a": (0.5, 2.0), "b": (0.5, 2.0)}
    for logs in (True, False):
        rng = np.random.default_rng(1)
        found = sensitivity_indices(
            load_model(path), ranges, target="y", base=64, rng=rng, logs=logs
        )
        assert found["total"].isnull().all()
        page = as_text(summarise_sensitivity(found, when=1.0))
        assert "does not change with any of these constants" in page
        assert "%" not in page


def test_pawn_prints_what_an_input_without_effect_gets(ishigami: Model) -> None:
    rng = np.random.default_rng(4)
    found = sensitivity_indices(ishigami, RANGES, target="y", method="pawn", rng=rng, base=512)
    at = found.sel(time=1.0)
    floor = at["median_dummy"].item()
    # An inert constant is noise as the dummies are; each is a median of ten distances of 50 runs.
    assert at["median"].sel(parameter="nothing").item() == pytest.approx(floor, abs=0.05)
    assert rank_ranges(found, 1.0)["nothing"][1] == 4
    assert at["median"].sel(parameter="x2").item() > 1.5 * floor
    assert "An input without effect gets at most" in as_text(summarise_sensitivity(found, when=1.0))
    with pytest.raises(InputError, match="at least 100, 10 runs in each of 10 slices"):
        sensitivity_indices(ishigami, RANGES, target="y", method="pawn", rng=rng, base=99)


def test_ranks_that_the_errors_leave_open_are_ranges(ishigami: Model) -> None:
    rng = np.random.default_rng(4)
    found = sensitivity_indices(ishigami, RANGES, target="y", method="sobol", rng=rng, base=2048)
    ranges = rank_ranges(found, 1.0)
    # Total indices 0.56, 0.44, 0.24 and 0: the last is last for sure.
    assert ranges["nothing"] == (4, 4)
    assert ranges["x3"] == (3, 3)
    wide = found.assign(total_error=found["total_error"] + 1.0)
    assert set(rank_ranges(wide, 1.0).values()) == {(1, 4)}


def test_a_tornado_ranks_by_settings_of_the_other_constants(tmp_path: Path) -> None:
    """y = a + b c + 0 d: the bar of c is 0.9 wide times b, of b times c; both from 0 to 1."""
    path = tmp_path / "product.mdl"
    names = "".join(f"{name} = 1 ~ ~ |\n" for name in "abcd")
    clock = "".join(f"{k} = {v} ~ ~ |\n" for k, v in CLOCK.items())
    path.write_text("{UTF-8}\n" + names + "y = a + b*c + 0*d ~ ~ |\n" + clock, encoding="utf-8")
    ranges = dict.fromkeys("abcd", (0.0, 1.0))
    rng = np.random.default_rng(2)
    found = sensitivity_indices(load_model(path), ranges, target="y", method="tornado", rng=rng)
    np.testing.assert_allclose(found["swing"].sel(time=1.0), [0.9, 0.45, 0.45, 0.0])
    ranges = rank_ranges(found, 1.0)
    # a is first in every setting and d last; b and c change places, and tie at the medians.
    assert ranges == {"a": (1, 1), "b": (2, 3), "c": (2, 3), "d": (4, 4)}
    page = as_text(summarise_sensitivity(found, when=1.0))
    assert "95% of the ranks over 20 random settings" in page


def test_morris_ranks_by_resampled_trajectories(ishigami: Model) -> None:
    pytest.importorskip("SALib")
    rng = np.random.default_rng(5)
    few = sensitivity_indices(ishigami, RANGES, target="y", method="morris", rng=rng, base=8)
    ranges = rank_ranges(few, 1.0)
    # What has no effect is last in every resample; eight trajectories leave the others open.
    assert ranges["nothing"] == (4, 4)
    assert sum(low != high for low, high in ranges.values()) >= 2
    many = sensitivity_indices(ishigami, RANGES, target="y", method="morris", rng=rng, base=512)
    assert all(low == high for low, high in rank_ranges(many, 1.0).values())


@pytest.mark.parametrize("method", METHODS)
def test_what_has_no_effect_comes_last(ishigami: Model, method: SensitivityMethod) -> None:
    rng = np.random.default_rng(4)
    found = sensitivity_indices(ishigami, RANGES, target="y", method=method, rng=rng, base=512)
    assert ranked(found, 1.0)[-1] == "nothing"


def test_elementary_effects_of_a_line_are_its_slope_over_the_range(ishigami: Model) -> None:
    ranges = {"x1": (0.0, 2.0), "x2": (0.0, 1.0)}
    found = sensitivity_indices(
        ishigami,
        ranges,
        target="only x1 later",
        method="morris",
        rng=np.random.default_rng(5),
        base=8,
    ).sel(time=1.0)
    # Effects are for the whole way from the 5% to the 95% quantile: 0.9 of the range of 2.
    np.testing.assert_allclose(found["mu"], [1.8, 0.0], atol=1e-9)
    np.testing.assert_allclose(found["sigma"], 0.0, atol=1e-9)


def test_a_tornado_runs_to_the_5_and_the_95_percent_quantile(ishigami: Model) -> None:
    rng = np.random.default_rng(6)
    ranges = {"x2": (0.0, 1.0), "x1": (0.0, 10.0)}
    found = sensitivity_indices(
        ishigami, ranges, target="only x1 later", method="tornado", rng=rng
    ).sel(time=1.0)
    # The 5%, 50% and 95% quantiles of a uniform number between 0 and 10; x2 does nothing here.
    np.testing.assert_allclose(found["low"], [5.0, 0.5])
    np.testing.assert_allclose(found["high"], [5.0, 9.5])
    assert found["middle"].item() == pytest.approx(5.0)


def test_the_same_seed_gives_the_same_indices(ishigami: Model) -> None:
    one, other = (
        sensitivity_indices(ishigami, RANGES, target="y", rng=np.random.default_rng(7), base=16)
        for _ in range(2)
    )
    assert one.identical(other)


def test_belts_are_named_as_elements() -> None:
    study = read_study()
    priors = study.priors.subset(["Support Gain", "Offer Elasticity"])
    rng = np.random.default_rng(8)
    found = sensitivity_indices(
        study.model, priors, target="output[Shenzhen]", method="tornado", rng=rng
    )
    assert found["swing"].dims == ("parameter", "year")
    # More support gain, more sellers enter: no output is lost to it.
    assert found["swing"].sel(parameter="Support Gain", year=2024).item() > 0
    with pytest.raises(InputError, match=r"name one element, as in output\[Shenzhen\]"):
        sensitivity_indices(study.model, priors, target="output", method="tornado", rng=rng)


def test_base_points_of_sobol_are_a_power_of_two(ishigami: Model) -> None:
    with pytest.raises(InputError, match="power of two"):
        sensitivity_indices(ishigami, RANGES, target="y", rng=np.random.default_rng(9), base=1000)


def test_the_half_is_what_half_of_the_points_give(ishigami: Model) -> None:
    """A scrambled Sobol' sequence of 64 points begins with that of 32 and the same seed."""
    whole, half = (
        sensitivity_indices(ishigami, RANGES, target="y", rng=np.random.default_rng(7), base=base)
        for base in (64, 32)
    )
    for name in ("first", "total"):
        np.testing.assert_allclose(whole[f"{name}_half"], half[name], rtol=1e-9, atol=1e-12)
    at = whole.sel(time=1.0)
    moved = np.abs(at["total"].values - at["total_half"].values)
    assert moved.max() > 2 * moved.min()
    assert unsettled(whole, 1.0) == moved.max()


def test_held_constants_are_held_unless_they_are_moved(ishigami: Model) -> None:
    """y = sin x1 + 7 sin^2 x2 + 0.1 x3^4 sin x1, with x3 held at 2: 2.6 sin x1 + 7 sin^2 x2."""
    ranges = {"x1": (0.0, math.pi / 2), "x2": (0.0, math.pi / 2)}
    rng = np.random.default_rng(6)
    held = {"x3": 2.0, "x1": 99.0}
    found = sensitivity_indices(
        ishigami, ranges, target="y", method="tornado", rng=rng, at=held
    ).sel(time=1.0)
    low, high = (math.sin(p * math.pi / 2) for p in (0.05, 0.95))
    swing = [2.6 * (high - low), 7 * (high**2 - low**2)]
    np.testing.assert_allclose(found["swing"], swing, rtol=1e-12)
    middle = math.sin(math.pi / 4)
    assert found["middle"].item() == pytest.approx(2.6 * middle + 7 * middle**2, rel=1e-12)


@pytest.mark.parametrize(("method", "least"), [("sobol", 4), ("morris", 4), ("pawn", 100)])
def test_the_least_base_is_enough(ishigami: Model, method: SensitivityMethod, least: int) -> None:
    rng = np.random.default_rng(6)
    found = sensitivity_indices(ishigami, RANGES, target="y", method=method, rng=rng, base=least)
    assert found.attrs["base"] == least
    for few in (least - 1, least // 2):
        with pytest.raises(InputError, match=f"base is {few}; expected"):
            sensitivity_indices(ishigami, RANGES, target="y", method=method, rng=rng, base=few)


def test_ranks_by_errors_are_those_of_the_definition(ishigami: Model) -> None:
    """One above another for sure: apart by more than the error of the difference."""
    found = sensitivity_indices(ishigami, RANGES, target="y", rng=np.random.default_rng(1), base=8)
    found["total"].values[:, -1] = [1.0, 0.5, 0.2, 0.2]
    found["total_error"].values[:, -1] = [0.3, 0.4, 0.3, 0.0]
    # 1.0 and 0.5 are 0.5 apart, exactly the error hypot(0.3, 0.4) of their difference.
    assert rank_ranges(found, 1.0) == {
        "x1": (1, 2),
        "x2": (1, 4),
        "x3": (2, 4),
        "nothing": (2, 4),
    }
    found["total_error"].values[:, -1] = 0.0
    assert rank_ranges(found, 1.0) == {
        "x1": (1, 1),
        "x2": (2, 2),
        "x3": (3, 4),
        "nothing": (3, 4),
    }


def test_what_is_not_above_the_dummies_shares_the_last_ranks(ishigami: Model) -> None:
    rng = np.random.default_rng(4)
    found = sensitivity_indices(ishigami, RANGES, target="y", method="pawn", rng=rng, base=100)
    for name, values in (
        ("median", [0.9, 0.3, 0.2, 0.1]),
        ("median_error", [0.0] * 4),
        ("median_dummy", 0.2),
    ):
        found[name] = found[name].copy(data=np.broadcast_to(values, found[name].T.shape).T)
    assert rank_ranges(found, 1.0) == {
        "x1": (1, 1),
        "x2": (2, 2),
        "x3": (3, 4),
        "nothing": (3, 4),
    }
