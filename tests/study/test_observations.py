"""Published numbers arrive in the model's units with their whole story."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beltcast.display.translations import WORDS
from beltcast.errors import TableError, UnitError
from beltcast.model.quantities import convert, is_flow, mean_rate, same_unit
from beltcast.study.observations import Observations, clash
from beltcast.study.observations_file import COLUMNS, read_observations
from beltcast.study.places import read_places

from ..stand_in import StandIn

ROW = {
    "place": "Shenzhen",
    "quantity": "output",
    "kind": "level",
    "start": "2023",
    "end": "2024.0",
    "value": "100",
    "unit": "bn CNY",
    "definition": "city-full",
    "vintage": "final",
    "grade": "A",
    "published": "2024.3",
    "source": "Customs",
    "url": "",
    "quote": "",
    "note": "",
}
PLACES = {"China": ("Shenzhen", "Foshan", "Yiwu"), "Guangdong": ("Shenzhen", "Foshan")}
USD_CNY = {2022: 6.7261, 2023: 7.0467}


def read_digits(path: Path, **change: str) -> Observations:
    table = path / "digits.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "digits"])
        writer.writeheader()
        writer.writerow(ROW | change)
    return read_observations(table, StandIn(), PLACES, usd_cny=USD_CNY)


def write(path: Path, *changes: dict[str, str], encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(ROW | change for change in changes)
    return path


def read(path: Path, *changes: dict[str, str], encoding: str = "utf-8") -> Observations:
    table = write(path / "observations.csv", *changes, encoding=encoding)
    return read_observations(table, StandIn(), PLACES, usd_cny=USD_CNY)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"unit": "bn CNY"}, 100.0),
        ({"unit": "100m CNY"}, 10.0),
        ({"unit": "亿元"}, 10.0),
        ({"unit": "万元"}, 0.001),
        ({"unit": "bn USD"}, 704.67),
        ({"unit": "亿美元"}, 70.467),
        ({"kind": "growth", "unit": "%"}, 2.0),
        ({"kind": "growth", "unit": "%", "value": "-12.5"}, 0.875),
        ({"kind": "share", "unit": "%", "value": "38.4"}, 0.384),
        ({"quantity": "active sellers", "start": "2024", "unit": "户"}, 100.0),
        ({"quantity": "brand share of output", "value": "9.5", "unit": "%"}, 0.095),
        ({"kind": "part-year", "end": "2023.8333"}, 100.0),
        ({"kind": "lower", "end": "2023.8333"}, 100.0),
    ],
)
def test_a_published_number_is_converted(
    tmp_path: Path, change: dict[str, str], expected: float
) -> None:
    (row,) = read(tmp_path, change)
    assert row.value == pytest.approx(expected, rel=1e-14)


def test_dollars_over_two_years_take_the_rates_of_both_by_time() -> None:
    assert mean_rate(USD_CNY, 2022.75, 2023.75) == pytest.approx(
        0.25 * 6.7261 + 0.75 * 7.0467, rel=1e-12
    )
    # October to December, written with four decimals, ends within the year.
    assert mean_rate({2022: 6.7261}, 2022.75, 2023.0) == 6.7261
    assert mean_rate({2023: 7.0467}, 2022.9999, 2024.0) == 7.0467


@given(
    st.floats(1e-6, 1e12),
    st.sampled_from([("bn CNY", 1.0), ("100m CNY", 10.0), ("10k CNY", 1e5), ("bn USD", 1 / 7)]),
)
def test_the_same_amount_in_other_words_is_the_same_amount(
    amount: float, unit: tuple[str, float]
) -> None:
    word, count = unit
    found = convert(amount * count, word, "bnCNY", start=2023, end=2024, usd_cny={2023: 7.0})
    assert found == pytest.approx(amount, rel=1e-14)


@given(st.sampled_from(["firm", "Mcust", "bnCNY/firm", "visit/Day"]))
def test_money_converts_to_nothing_but_money(unit: str) -> None:
    with pytest.raises(UnitError, match="does not convert"):
        convert(1.0, "bn CNY", unit, start=2023, end=2024, usd_cny={})


def test_reading_units_leaves_nothing_behind() -> None:
    assert is_flow("widget/Year")
    with pytest.raises(UnitError):
        convert(1.0, "widget", "bnCNY", start=2023, end=2024, usd_cny={})


def test_a_number_may_be_in_the_unit_of_the_model() -> None:
    assert convert(3.0, "kt", "kt/Year * Year", start=2023, end=2024, usd_cny={}) == 3.0
    assert convert(24.0, "Month", "Year", start=2023, end=2023, usd_cny={}) == pytest.approx(2.0)
    with pytest.raises(UnitError, match="or the model's own, 'kt'"):
        convert(3.0, "t", "kt", start=2023, end=2024, usd_cny={})


def test_units_are_compared_without_blanks_case_and_synonyms() -> None:
    assert same_unit("bnCNY / Year", "bncny/years")
    assert same_unit("fraction", "Dmnl")
    assert not same_unit("firm", "firm/Year")


def test_a_place_is_its_belts_and_an_element_needs_no_row(tmp_path: Path) -> None:
    guangdong, foshan, nation = read(
        tmp_path,
        {"place": "guangdong"},
        {"place": "foshan"},
        {"place": "China", "quantity": "national trade"},
    )
    assert (guangdong.place, guangdong.elements) == ("Guangdong", ("Shenzhen", "Foshan"))
    assert (foshan.place, foshan.elements) == ("Foshan", ("Foshan",))
    assert nation.elements == ()


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40),
    st.text(st.characters(codec="gb2312", exclude_categories=("Cc",)), max_size=40),
)
def test_quotes_survive_the_table(
    tmp_path_factory: pytest.TempPathFactory, quote: str, note: str
) -> None:
    path = tmp_path_factory.mktemp("observations")
    (row,) = read(path, {"quote": quote, "note": note})
    assert (row.quote, row.note) == (quote.strip(), note.strip())


def test_a_line_is_counted_over_quoted_line_breaks(tmp_path: Path) -> None:
    rows = read(tmp_path, {"quote": "one\ntwo\nthree"}, {"place": "Yiwu"}).rows
    assert [row.line for row in rows] == [2, 5]


def test_gb18030_is_read_and_said(tmp_path: Path) -> None:
    quote = {"quote": "跨境电商进出口额达到3265亿元,增长迅速"}
    found = read(tmp_path, quote, encoding="gb18030")
    assert found.encoding == "gb18030"
    assert found.rows == read(tmp_path, quote).rows


@pytest.mark.parametrize(
    ("cell", "kind"),
    [(zh, key.removeprefix("kind ")) for key, (_, zh) in WORDS.items() if key.startswith("kind ")]
    + [("全年", "level"), ("同比增长", "growth"), ("份额", "share"), ("累计", "part-year")],
)
def test_a_kind_that_reports_print_in_chinese_is_read(tmp_path: Path, cell: str, kind: str) -> None:
    part = {"end": "2023.5"} if kind == "part-year" else {}
    percent = {"unit": "%", "value": "12"} if kind in ("growth", "share") else {}
    (row,) = read(tmp_path, {"kind": cell, "vintage": "最终", **part, **percent})
    assert (row.kind, row.vintage) == (kind, "final")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert read(tmp_path, {}, encoding="utf-8-sig").rows == read(tmp_path, {}).rows


def test_nested_periods_and_other_scopes_are_no_repetition(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {},
        {"kind": "part-year", "end": "2023.5"},
        {"kind": "part-year", "end": "2023.8333"},
        {"start": "2022"},
        {"definition": "city-platform"},
        {"vintage": "preliminary"},
        {"kind": "growth", "unit": "%"},
    )
    assert len(found) == 7


def test_published_by_and_select_keep_rows_and_origin(tmp_path: Path) -> None:
    found = read(tmp_path, {}, {"place": "Yiwu", "published": "2025.9"})
    early = found.published_by(2024.3)
    assert [row.place for row in early] == ["Shenzhen"]
    assert found.select(np.array([False, True])).rows == (found.rows[1],)
    assert early.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match="expected booleans"):
        found.select([0, 1])


def test_a_table_has_one_line_for_each_row(tmp_path: Path) -> None:
    table = read(tmp_path, {"place": "Guangdong"}, {}).table()
    assert table["elements"].tolist() == ["Shenzhen;Foshan", "Shenzhen"]
    assert table["value"].dtype == np.float64


def test_places_are_read_as_the_model_spells_belts(tmp_path: Path) -> None:
    path = tmp_path / "places.csv"
    path.write_text("place,title,belts\nGuangdong,,shenzhen; Foshan\nYiwu,,Yiwu\n")
    expected = {"Guangdong": ("Shenzhen", "Foshan"), "Yiwu": ("Yiwu",)}
    assert read_places(path, StandIn()) == expected


@pytest.mark.parametrize(
    ("change", "within"),
    [
        ({"value": "1.7", "digits": "2"}, (1.65, 1.75)),
        ({"value": "2000", "digits": "1", "kind": "lower"}, (2000.0, 3000.0)),
        ({"value": "0.42", "digits": "2", "kind": "upper"}, (0.41, 0.42)),
        ({"value": "31.2", "digits": "3", "unit": "%", "kind": "growth"}, (1.3115, 1.3125)),
        ({"value": "-5", "digits": "1", "unit": "%", "kind": "growth"}, (0.945, 0.955)),
        ({"value": "17", "digits": "2", "unit": "亿元"}, (1.65, 1.75)),
    ],
)
def test_a_number_known_to_some_digits_stands_for_all_that_it_may_be(
    tmp_path: Path, change: dict[str, str], within: tuple[float, float]
) -> None:
    (row,) = read_digits(tmp_path, **change)
    assert row.within == pytest.approx(within, rel=1e-12)
    assert read_digits(tmp_path, **(change | {"digits": ""})).rows[0].within is None


@pytest.mark.parametrize("digits", ["0", "two", "-1", "1.5", "99"])
def test_digits_that_are_no_count_are_refused_with_their_line(tmp_path: Path, digits: str) -> None:
    with pytest.raises(TableError, match=r"digits\.csv:2: digits is .* number of known digits"):
        read_digits(tmp_path, digits=digits)


def rows_of(path: Path, *changes: dict[str, str]) -> Observations:
    """Rows with the optional columns, which are empty unless a change fills them."""
    table = path / "optional.csv"
    columns = [*COLUMNS, "digits", "reading", "rounded"]
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(ROW | change for change in changes)
    return read_observations(table, StandIn(), PLACES, usd_cny=USD_CNY)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "growth", "unit": "%", "value": "-100"}, "more than -100 %"),
        ({"kind": "growth", "unit": "%", "value": "-99.9"}, ""),
        ({"kind": "share", "unit": "%", "value": "100"}, ""),
        ({"kind": "share", "unit": "%", "value": "100.1"}, "up to 100 %"),
        ({"kind": "share", "unit": "%", "value": "0"}, "above 0"),
        ({"value": "0"}, "expected a number above 0"),
        ({"published": "2023"}, ""),  # on the first day of its period
        ({"published": "2022.9"}, "before the period begins"),
        ({"end": "2023.5"}, "a level is over whole years"),
        ({"end": "2023.0005"}, "a level is over whole years"),  # hours are no year
        ({"kind": "part-year"}, "whole years and no part-year"),
        ({"kind": "part-year", "start": "2022", "end": "2024"}, "whole years and no part-year"),
        ({"kind": "growth", "unit": "%", "end": "2024"}, ""),  # a whole year against the one before
        ({"kind": "growth", "unit": "%", "end": "2024.0005"}, ""),
        ({"kind": "growth", "unit": "%", "end": "2024.5"}, "overlap with the year before"),
        ({"end": "2023"}, "the period is empty"),
        ({"start": "2024.5"}, "before it starts"),
        ({"quantity": "active sellers", "unit": "firm"}, "observed at an instant"),
        ({"quantity": "active sellers", "unit": "firm", "start": "2024"}, ""),
        ({"quantity": "brand share of output", "unit": "%"}, ""),  # its mean over the period
        ({"reading": "value"}, "read at an instant"),
        ({"reading": "value", "start": "2024", "unit": "bnCNY/Year"}, ""),
        ({"reading": "total", "start": "2024"}, "is read over a period"),
        ({"reading": "increase", "start": "2024"}, "is read over a period"),
        ({"reading": "increase", "unit": "bnCNY/Year", "value": "-3"}, ""),
        ({"digits": "1"}, ""),
        ({"digits": "15"}, ""),
        ({"digits": "16"}, "number of known digits"),
    ],
)
def test_every_documented_end_of_a_row_is_possible_and_the_next_is_not(
    tmp_path: Path, change: dict[str, str], says: str
) -> None:
    if not says:
        assert len(rows_of(tmp_path, change)) == 1
        return
    with pytest.raises(TableError) as caught:
        rows_of(tmp_path, change)
    assert says in caught.value.sentence


@pytest.mark.parametrize(
    ("change", "value", "within"),
    [
        ({"value": "15%", "unit": "", "kind": "growth"}, 1.15, None),
        ({"value": "15%", "unit": "%", "kind": "share"}, 0.15, None),
        ({"value": "130", "rounded": "10"}, 130.0, (125.0, 135.0)),
        ({"value": "130", "rounded": "10", "unit": "亿元"}, 13.0, (12.5, 13.5)),
        ({"value": "8", "digits": "1", "kind": "over"}, 8.0, (8.0, 9.0)),
        ({"value": "0.2", "digits": "1", "kind": "upper"}, 0.2, (0.1, 0.2)),
        ({"value": "100", "digits": "3"}, 100.0, (99.5, 100.5)),
        ({"value": "7", "reading": "total", "unit": "亿元"}, 0.7, None),
        ({"value": "7", "reading": "total", "unit": "bnCNY/Year * Year"}, 7.0, None),
        ({"value": "7", "reading": "value", "start": "2024", "unit": "bnCNY/Year"}, 7.0, None),
    ],
)
def test_what_is_known_of_a_number_comes_in_the_unit_of_the_model(
    tmp_path: Path, change: dict[str, str], value: float, within: tuple[float, float] | None
) -> None:
    (row,) = rows_of(tmp_path, change)
    assert row.value == pytest.approx(value, rel=1e-12)
    assert row.within == (within if within is None else pytest.approx(within, rel=1e-12))


def test_replicates_of_a_reading_are_kept_and_levels_given_twice_are_not(tmp_path: Path) -> None:
    read = {"reading": "value", "start": "2024", "unit": "bnCNY/Year"}
    assert len(rows_of(tmp_path, read, read)) == 2
    with pytest.raises(TableError, match="repeats the period of line 2"):
        rows_of(tmp_path, {}, {})


def test_a_date_that_begins_and_ends_a_stock_is_one_instant(tmp_path: Path) -> None:
    """The end of that day: 30 June is the half of the year."""
    (row,) = rows_of(
        tmp_path,
        {"quantity": "active sellers", "unit": "firm", "start": "2023-06-30", "end": "2023-06-30"},
    )
    assert (row.start, row.end) == (2023.5, 2023.5)
    (flow,) = rows_of(tmp_path, {"start": "2023-01-01", "end": "2023-12-31"})
    assert (flow.start, flow.end) == (2023.0, 2024.0)


def test_the_whole_of_a_range_is_all_of_its_elements(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, {"place": "total"})
    assert (row.place, row.elements) == ("total", ("Shenzhen", "Foshan", "Yiwu"))
    (of_none,) = rows_of(tmp_path, {"place": "total", "quantity": "national trade"})
    assert of_none.elements == ()


@pytest.mark.parametrize(
    ("kind", "other", "says"),
    [
        ("level", (2023.0, 2024.0), "repeats"),
        ("level", (2023.0009, 2023.9991), "repeats"),
        ("level", (2023.0, 2025.0), ""),  # one inside the other
        ("level", (2022.5, 2024.5), ""),
        ("level", (2022.0, 2023.0), ""),  # neighbours
        ("level", (2022.5, 2023.5), "overlaps"),
        ("level", (2023.5, 2024.5), "overlaps"),
        ("level", (2022.9995, 2023.9995), "repeats"),
        ("level", (2023.002, 2024.002), "overlaps"),
        ("level", (2023.0005, 2025.0), ""),  # begins together but for rounding
        ("level", (2022.0, 2024.0005), ""),
        ("part-year", (2022.5, 2023.5), ""),
    ],
)
def test_periods_of_one_scope_repeat_overlap_or_stand_together(
    kind: str, other: tuple[float, float], says: str, make: SimpleNamespace
) -> None:
    one, two = make.row(kind, 2023.0, 2024.0), make.row(kind, *other)
    for how in (clash(one, two), clash(two, one)):
        assert how.startswith(says) if says else not how
