"""What the guidelines ask for: what is counted, what is missing, and who is named for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from beltcast import load_model
from beltcast.reports.guidelines import ReportItem, report_items

MODEL = """{UTF-8}
a = 1 ~ m ~ measured [Smith 2001] |
b = 2 ~ ~ a guess |
c = 3 ~ m ~ (1999) |
Stock = INTEG(a*f(Time), b) ~ m ~ |
f((0,0),(1,2)) ~ m ~ see https://example.org |
g((0,0),(1,2)) ~ ~ drawn by hand |
other = 2*b{more} ~ m ~ an auxiliary needs a guess |
INITIAL TIME = 3 ~ Year ~ |
FINAL TIME = 9 ~ Year ~ |
TIME STEP = 0.25 ~ {unit} ~ |
SAVEPER = 1 ~ Year ~ |
"""


def items(folder: Path, more: str = "", unit: str = "Year", extra: str = "") -> list[ReportItem]:
    path = folder / "m.mdl"
    text = MODEL.replace("{more}", more).replace("{unit}", unit)
    path.write_text(text.replace("INITIAL", extra + "INITIAL"), encoding="utf-8")
    return list(report_items(load_model(path)))


def test_each_item_counts_its_own_kind_and_no_control_of_the_run(tmp_path: Path) -> None:
    found = items(tmp_path)
    assert [item.level for item in found] == ["minimum"] * 8 + ["preferred"] * 3
    assert [item.answer for item in found] == [
        "7 variables",
        "3 constants",
        "1 stocks",
        "0 inputs",
        "INITIAL TIME = 3; FINAL TIME = 9",
        "TIME STEP = 0.25; euler",
        "no random numbers",
        "Year",
        "6 of 7",  # b; a lookup needs no unit
        "6 of 7",  # Stock has no comment
        "b, g",
    ]
    missing = {item.text.split(" (")[0]: item.missing for item in found if not item.there}
    assert missing == {
        "a unit for each variable": ("b",),
        "a definition of each variable": ("Stock",),
        "a source for each constant, input and lookup": ("b", "g"),
    }


@pytest.mark.parametrize(
    ("more", "extra", "answer", "missing"),
    [
        (" + RANDOM UNIFORM(0, 1, 0)", "", "no NOISE SEED", ("other",)),
        (" + 2*RANDOM UNIFORM(0, 1, 0)*RANDOM UNIFORM(0, 1, 1)", "", "no NOISE SEED", ("other",)),
        (" + RANDOM UNIFORM(0, 1, 0)", "NOISE SEED = 4 ~ Dmnl ~ |\n", "NOISE SEED", ()),
        ("", "NOISE SEED = 4 ~ Dmnl ~ |\n", "NOISE SEED", ()),
    ],
)
def test_random_numbers_need_a_seed(
    tmp_path: Path, more: str, extra: str, answer: str, missing: tuple[str, ...]
) -> None:
    found = items(tmp_path, more, extra=extra)[6]
    assert (found.answer, found.missing) == (answer, missing)


def test_time_needs_a_unit(tmp_path: Path) -> None:
    found = items(tmp_path, unit="")[7]
    assert (found.answer, found.missing, found.there) == ("not given", ("TIME STEP",), False)


@pytest.mark.parametrize(
    ("doc", "sourced"),
    [
        ("[1]", True),
        ("doi 10.1/2", True),
        ("Source: customs", True),
        ("来源：海关", True),
        ("http://x.org", True),
        ("(2024)", True),
        ("(1899)", False),
        ("in 2024", False),
        ("(20245)", False),
        ("resources", False),
        ("doing", False),
        ("[]", False),
    ],
)
def test_a_source_is_marked_in_one_of_these_ways(tmp_path: Path, doc: str, sourced: bool) -> None:
    path = tmp_path / "m.mdl"
    path.write_text(
        MODEL.replace("a guess", doc).replace("{more}", "").replace("{unit}", "m"), "utf-8"
    )
    assert ("b" not in report_items(load_model(path))[10].missing) == sourced
