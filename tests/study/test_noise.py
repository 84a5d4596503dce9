"""Standard deviations of published numbers, and what a study's tables of them may hold."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from beltcast.errors import InputError, TableError
from beltcast.files.toml import read_toml
from beltcast.study.error_models import ErrorModel
from beltcast.study.noise import Definition, Discrepancy, Noise, noise_from_table

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


def test_what_a_noise_leaves_out_is_off(read) -> None:
    """Every key that may be left out, at its neutral value."""
    found = read(
        "[noise]\ngrade = { A = 0.1, B = 0.2, C = 0.3 }\n"
        "vintage = { final = 0.4, revised = 0.5, preliminary = 0.6, only = 0.7 }\n"
        "[definitions.full]\noffset_sd = 0.1\ntrend_sd = 0.2\nnoise = 0.3\n"
    )
    assert found == Noise(
        grade={"A": 0.1, "B": 0.2, "C": 0.3},
        vintage={"final": 0.4, "revised": 0.5, "preliminary": 0.6, "only": 0.7},
        year_shock=0.0,
        year_shocks={},
        season_mean=0.0,
        season_sd=0.0,
        definitions={"full": Definition("full", 0.1, 0.2, 0.3)},
        seasonal=False,
    )
    assert (found.trend_own, found.trend_detail, found.trend_fades) == (1.0, 1e-9, math.inf)
    assert (found.tails, found.error_scale_by, found.reference) == (math.inf, ("grade",), None)


KEYS = {
    "reference": 2020.5,
    "quantity": 0.11,
    "offset_common": 0.12,
    "shared": 0.13,
    "tails": 5.0,
    "autocorrelation": 0.14,
    "trend_fades": 6.0,
    "trend_own": 0.15,
    "trend_detail": 0.16,
    "exceeds": 0.17,
    "trend_common": 0.18,
}


def test_each_key_of_a_noise_is_its_own_number(read) -> None:
    """All different, so that no key can stand in for another."""
    more = "".join(f"{key} = {value}\n" for key, value in KEYS.items())
    parts = (
        "discrepancy = { level = { common = 0.21, own = 0.22 }, growth = { common = 0.23, "
        "own = 0.24 }, damping = 1.0 }\n"
    )
    found = read(TABLES.replace("season =", more + parts + "season ="))
    names = {"quantity": "quantity_sd"}
    assert {key: getattr(found, names.get(key, key)) for key in KEYS} == KEYS
    assert found.discrepancy == Discrepancy(0.21, 0.22, 0.23, 0.24, 1.0)


def test_shares_of_a_variance_may_be_0_and_independent_years_need_no_part(read) -> None:
    zeros = "shared = 0\nautocorrelation = 0\noffset_common = 0\ntrend_own = 0\nexceeds = 0\n"
    found = read(TABLES.replace("season =", zeros + "season ="))
    assert (found.shared, found.autocorrelation, found.trend_own) == (0.0, 0.0, 0.0)


def test_a_number_just_exceeded_is_a_half_normal_by_mean_and_sd(make: SimpleNamespace) -> None:
    """|N(0, s)| has the mean s sqrt(2 / pi) and the variance s^2 (1 - 2 / pi)."""
    noise = make.noise(exceeds=0.3)
    row = make.row("over")
    assert noise.excess(row) == pytest.approx(0.3 * math.sqrt(2 / math.pi), rel=1e-14)
    own = math.sqrt(0.1**2 + 0.3**2 * (1 - 2 / math.pi))
    assert noise.row_sd(row) == pytest.approx(own, rel=1e-14)
    assert noise.excess(make.row()) == 0.0
    # A definition with errors of its own takes the number as it is.
    errors = ErrorModel("lognormal", 0.2, name="own")
    given = make.noise(exceeds=0.3, definitions={"full": Definition("", 0.0, 0.0, 0.0, errors)})
    assert (given.excess(row), given.row_sd(row)) == (0.0, 0.2)


@pytest.mark.parametrize("kind", ["level", "part-year", "share", "lower", "upper"])
def test_only_growth_has_the_errors_of_two_years(make: SimpleNamespace, kind: str) -> None:
    assert make.noise().row_sd(make.row(kind)) == 0.1


def test_a_release_with_revisions_has_no_wider_error_of_its_own(make: SimpleNamespace) -> None:
    vintage = {"final": 0.0, "revised": 0.2, "preliminary": 0.4, "only": 0.0}
    row = make.row(vintage="preliminary", grade="B")
    plain = make.noise(vintage=vintage)
    assert plain.row_sd(row) == pytest.approx(math.hypot(0.2, 0.4), rel=1e-14)
    assert make.noise(vintage=vintage, revisions=True).row_sd(row) == 0.2


def test_a_factor_that_was_found_is_taken_as_given(make: SimpleNamespace) -> None:
    errors = ErrorModel("normal", 2.0, 0.7, name="Hare")
    definitions = {"full": Definition("", 0.0, 0.0, 0.0, errors)}
    row = make.row()
    free = make.noise(definitions=definitions)
    assert (free.row_sd(row), free.scale_of(row)) == (2.0, ("sd of Hare", 0.7))
    known = make.noise(definitions=definitions, error_scale_factors={"sd of Hare": 0.25})
    assert (known.row_sd(row), known.scale_of(row)) == (0.5, ("sd of Hare", 0.0))
    counted = ErrorModel("negative_binomial", 0.1, 0.7, name="Hare")
    assert counted.scale_name == "overdispersion of Hare"


def test_factors_of_groups_multiply_the_whole_error_of_their_rows(
    read, make: SimpleNamespace
) -> None:
    factors = '{ factors = { "grade B, kind growth" = 3.0 }, by = ["grade", "kind"] }'
    noise = read(TABLES.replace("season =", f"error_scales = {factors}\nseason ="))
    own = math.hypot(0.06, 0.12)
    assert noise.row_sd(make.row(grade="B")) == pytest.approx(own, rel=1e-14)
    growth = make.row("growth", grade="B")
    assert noise.row_sd(growth) == pytest.approx(3.0 * own * math.sqrt(2), rel=1e-14)
    estimated = read(
        TABLES.replace("season =", 'error_scales = { sd = 0.5, by = ["kind"] }\nseason =')
    )
    assert estimated.scale_of(growth) == ("error scale of kind growth", 0.5)
