"""Standard deviations of published numbers, and what a study's tables of them may hold."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from beltcast.errors import InputError, TableError
from beltcast.files.toml import read_toml
from beltcast.study.noise import Definition, Discrepancy, noise_from_table

TABLES = """\
[noise]
grade = { A = 0.03, B = 0.06, C = 0.15 }
vintage = { final = 0.0, revised = 0.01, preliminary = 0.04, only = 0.0 }
year_shock = { default = 0.05, 2020 = 0.1 }
season = { mean = 0.1, sd = 0.05 }

[definitions.full]
title = "Full scope"
offset_sd = 0.0
trend_sd = 0.0
noise = 0.12
"""

DISCREPANCY = (
    "discrepancy = { level = { common = 0.05, own = 0.1 }, growth = { common = 0.04 }, "
    "damping = 0.8 }"
)


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str):
        path = tmp_path / "study.toml"
        path.write_text(text, encoding="utf-8")
        return noise_from_table(read_toml(path, InputError))

    return read


def test_a_row_s_standard_deviation_is_the_root_of_the_sum_of_squares(
    read, make: SimpleNamespace
) -> None:
    # 3-4-12-13: sqrt(0.03^2 + 0.04^2 + 0.12^2) = 0.13
    row = make.row(grade="A", vintage="preliminary")
    assert read(TABLES).row_sd(row) == pytest.approx(0.13, rel=1e-14)


def test_a_growth_rate_carries_the_noise_of_both_its_years(read, make: SimpleNamespace) -> None:
    row = make.row("growth", grade="A", vintage="preliminary")
    assert read(TABLES).row_sd(row) == pytest.approx(0.13 * math.sqrt(2), rel=1e-14)


def test_a_year_without_a_standard_deviation_of_its_own_has_the_default(read) -> None:
    noise = read(TABLES)
    assert (noise.shock_sd(2020), noise.shock_sd(2021)) == (0.1, 0.05)
    plain = read(TABLES.replace("{ default = 0.05, 2020 = 0.1 }", "0.07"))
    assert (plain.shock_sd(2020), plain.shock_sd(2021)) == (0.07, 0.07)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("A = 0.03, ", "", 2, "noise.grade.A"),
        ("B = 0.06", "B = -0.06", 2, "0 or more"),
        ("B = 0.06", "B = nan", 2, "0 or more"),
        ("B = 0.06", "B = inf", 2, "0 or more"),
        ("B = 0.06", "B = true", 2, "0 or more"),
        ("preliminary = 0.04", 'preliminary = "much"', 3, "'much'"),
        ("2020 = 0.1", "2020 = -1", 4, "0 or more"),
        ("2020 = 0.1", "twenty = 0.1", 4, "'twenty'"),
        ("mean = 0.1", 'mean = "high"', 5, "between -1 and 1"),
        ("mean = 0.1", "mean = 1.5", 5, "between -1 and 1"),
        ("mean = 0.1", "mean = 1.0", 5, "between -1 and 1"),
        ("mean = 0.1", "mean = -1.0", 5, "between -1 and 1"),
        ("mean = 0.1", "mean = -1.5", 5, "between -1 and 1"),
        ("sd = 0.05", "sd = -0.05", 5, "0 or more"),
        ("trend_sd = 0.0\n", "", 7, "definitions.full.trend_sd"),
        ("season =", "tail = 4\nseason =", 5, "did you mean 'tails'"),
        ("season =", "tails = 0.5\nseason =", 5, "1 or more"),
        ("season =", "tails = nan\nseason =", 5, "1 or more"),
        ("season =", "tails = true\nseason =", 5, "1 or more"),
        ("season =", "revisions = 1\nseason =", 5, "true or false"),
        ("season =", "shared = 1.0\nseason =", 5, "below 1"),
        ("season =", "autocorrelation = 1.0\nseason =", 5, "below 1"),
        ("season =", "autocorrelation = 0.5\nseason =", 5, "add shared"),
        ("season =", "trend_fades = 0\nseason =", 5, "years above 0"),
        ("season =", "trend_fades = true\nseason =", 5, "years above 0"),
        ("season =", "trend_common = 1.0\nseason =", 5, "below 1"),
        ("season =", "offset_common = 1.0\nseason =", 5, "below 1"),
        ("season =", "discrepancy = 1\nseason =", 5, "table"),
        ("season =", f"{DISCREPANCY.replace('0.8', '1.1')}\nseason =", 5, "after a year"),
        ("season =", f"{DISCREPANCY.replace('own = 0.1', 'own = 0')}\nseason =", 5, "above 0"),
        ("season =", f"{DISCREPANCY.replace('own = 0.1', 'others = 1')}\nseason =", 5, "others"),
        ("season =", "error_scales = { by = ['grade'] }\nseason =", 5, "noise.error_scales.sd"),
        (
            "season =",
            "error_scales = { sd = 0.5, by = ['place'] }\nseason =",
            5,
            "'grade', 'kind' and 'scope'",
        ),
    ],
)
def test_a_wrong_standard_deviation_is_refused_with_its_line(
    read, old: str, new: str, line: int, says: str
) -> None:
    assert old in TABLES
    with pytest.raises(InputError) as caught:
        read(TABLES.replace(old, new))
    assert caught.value.line == line
    assert says in caught.value.sentence
    assert "\n" not in str(caught.value)


def test_the_former_name_of_a_key_is_refused_with_its_new_one(read) -> None:
    with pytest.raises(InputError, match="the key spread is called error_scales now; rename it"):
        read(TABLES.replace("season =", "spread = { sd = 0.5 }\nseason ="))


def test_options_of_the_noise_are_read(read) -> None:
    more = "tails = 4\nerror_scales = { sd = 0.5, by = ['grade', 'kind'] }\nrevisions = true\n"
    noise = read(TABLES.replace("season =", more + "shared = 0.7\nautocorrelation = 0.5\nseason ="))
    assert (noise.tails, noise.error_scale_sd, noise.revisions) == (4.0, 0.5, True)
    assert (noise.shared, noise.autocorrelation) == (0.7, 0.5)
    assert noise.error_scale_name("B", "level") == "error scale of grade B, kind level"
    more = "trend_fades = 3\ntrend_common = 0.4 \n" + DISCREPANCY + "\n"
    noise = read(TABLES.replace("season =", more + "season ="))
    assert (noise.trend_fades, noise.trend_common) == (3.0, 0.4)
    assert noise.discrepancy == Discrepancy(0.05, 0.1, 0.04, 0.0, 0.8)
    assert noise.offset_common == 0.0
    noise = read(TABLES.replace("season =", "offset_common = 0.3\nseason ="))
    assert noise.offset_common == 0.3


def test_a_season_without_an_sd_is_known(read) -> None:
    noise = read(TABLES.replace(", sd = 0.05 }", " }"))
    assert (noise.season_mean, noise.season_sd) == (0.1, 0.0)


def test_only_a_family_with_a_scale_needs_one(read) -> None:
    counted = read(TABLES + 'errors = { family = "poisson" }\n').definitions
    assert [one.errors.family for one in counted.values() if one.errors] == ["poisson"]
    with pytest.raises(InputError, match="have no scale; add one"):
        read(TABLES + 'errors = { family = "normal" }\n')


def test_a_missing_table_is_named(read) -> None:
    with pytest.raises(InputError, match=r"\[noise\] is missing"):
        read("[definitions.full]\nnoise = 0\n")
    with pytest.raises(InputError, match=r"\[definitions\] is missing"):
        read(TABLES.partition("[definitions")[0])


def test_a_definition_without_a_table_is_refused_with_the_row_s_line(
    make: SimpleNamespace,
) -> None:
    noise = make.noise(definitions={"city-full": Definition("City", 0.1, 0.0, 0.0)})
    with pytest.raises(TableError) as caught:
        noise.check(make.table(make.row(definition="city-ful")))
    assert str(caught.value).startswith("table.csv:2: ")
    assert "did you mean 'city-full'" in caught.value.sentence


def test_standard_deviations_of_the_model_s_own_scope_are_told_apart_from_others(
    read, make: SimpleNamespace
) -> None:
    other = '\n[definitions.wide]\ntitle = "Wide"\noffset_sd = 0.5\ntrend_sd = 0.0\nnoise = 0.0\n'
    given = '{ "scope reference" = 0.5, "scope other" = 2.0 }'
    factors = f'error_scales = {{ factors = {given}, by = ["scope"] }}'
    noise = read(TABLES.replace("season =", f"{factors}\nseason =") + other)
    assert noise.row_sd(make.row()) == pytest.approx(0.5 * math.hypot(0.03, 0.12))
    assert noise.row_sd(make.row(definition="wide")) == pytest.approx(2.0 * 0.03)
    # An observation of the forecast is on the model's own scope.
    assert noise.error_scale_factor("A", "level") == 0.5
