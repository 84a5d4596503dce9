"""How numbers, lists and tables are written, at the values where their form changes."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table

from beltcast.display.facts import html_of, listed, text_of
from beltcast.display.numbers import digits, filled, rounded
from beltcast.display.tables import console_table, narrowed
from beltcast.forecasting.summary import as_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-9, "0.000"),
        (9.9e-10, "0"),
        (-9.9e-10, "0"),
        (0.9994, "0.999"),
        (-0.5, "-0.500"),
        (1.0, "1.00"),
        (9.994, "9.99"),
        (10.0, "10.0"),
        (99.94, "99.9"),
        (100.0, "100"),
        (-1234.5, "-1,234"),
        (1e6, "1,000,000"),
    ],
)
def test_three_digits_and_at_least_the_whole_part(value: float, text: str) -> None:
    assert digits(value) == text


@pytest.mark.parametrize(("decimals", "text"), [(0, "1,235"), (1, "1,234.6"), (3, "1,234.567")])
def test_as_many_decimals_as_are_asked_for(decimals: int, text: str) -> None:
    assert digits(1234.567, decimals) == text


@pytest.mark.parametrize(
    ("value", "figures", "text"),
    [
        (9.9e-13, 3, "0"),
        (1e-12, 3, "1e-12"),
        (0.0123456, 3, "0.0123"),
        (0.0123456, 5, "0.012346"),
        (999.4, 3, "999"),
        (999.6, 2, "1000"),
        (1000.0, 3, "1000"),
        (2018.6, 2, "2019"),  # a year is a year
        (9999.4, 3, "9999"),
        (10_000.0, 3, "10,000"),
        (-123_456.7, 3, "-123,457"),
        (159.7, 2, "160"),
        (-0.5, 3, "-0.5"),
    ],
)
def test_a_few_digits_in_full(value: float, figures: int, text: str) -> None:
    assert rounded(value, figures) == text


@pytest.mark.parametrize(
    ("text", "width", "found"),
    [
        ("ab", 4, "ab  "),
        ("ab", -4, "  ab"),
        ("产", 4, "产  "),
        ("产出", -5, " 产出"),
        ("abc", 2, "abc"),
        ("abc", -3, "abc"),
    ],
)
def test_columns_of_text_count_a_chinese_character_twice(text: str, width: int, found: str) -> None:
    assert filled(text, width) == found


@pytest.mark.parametrize(("count", "text"), [(1, "a"), (3, "a, b, c"), (4, "a, b, c, and 1 more")])
def test_a_list_says_how_many_names_are_left(count: int, text: str) -> None:
    assert listed(list("abcdefg")[:count], 3) == text
    assert listed(list("abcdef")) == "a, b, c, d, e, f"
    assert listed(list("abcdefgh")).endswith("f, and 2 more")


def test_facts_stand_below_each_other_and_are_escaped() -> None:
    facts = [("a", "1"), ("long", "<2>")]
    assert text_of("T", facts) == "T\n  a     1\n  long  <2>"
    assert text_of("T", []) == "T"
    assert html_of("T", facts).endswith("<tr><th>long</th><td>&lt;2&gt;</td></tr></table>")


def table() -> Table:
    made = console_table("name", "value", "remark", text=("remark",))
    made.add_row("alpha", "1.25", "a remark of several words")
    made.add_row("beta", "", "short")
    return made


def test_columns_of_numbers_are_on_the_right_and_of_text_on_the_left() -> None:
    assert [column.justify for column in table().columns] == ["left", "right", "left"]
    assert as_text(table()).splitlines()[1].startswith("alpha   1.25  a remark")


@pytest.mark.parametrize(("width", "whole"), [(27, True), (26, True), (25, False)])
def test_a_table_is_listed_where_a_cell_would_be_cut(width: int, whole: bool) -> None:
    """Names need 5 columns, a head 5, remarks that fold 10, and a gap of 2 after each: 26."""
    assert isinstance(narrowed(table(), width), Table) == whole


def test_a_listed_row_names_its_cells_and_leaves_empty_ones_out() -> None:
    found = narrowed(Group(table()), 5)
    lines = [line.rstrip() for line in as_text(found).splitlines()]
    assert lines == [
        "name alpha",
        "  value 1.25; remark a remark of several words",
        "name beta",
        "  remark short",
    ]
    assert max(map(cell_len, lines)) < 60
