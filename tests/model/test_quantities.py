"""Published words of units, each with its amount in the unit of a model."""

from __future__ import annotations

import pytest

from beltcast.errors import UnitError
from beltcast.model.quantities import PUBLISHED_UNITS, convert, is_flow, mean_rate, same_unit

RATE = {2023: 7.0}
WORDS = {
    # 亿 is 10^8, 万 is 10^4; the model counts in 10^9 yuan.
    "bn CNY": ("bnCNY", 1.0),
    "100m CNY": ("bnCNY", 0.1),
    "亿元": ("bnCNY", 0.1),
    "trn CNY": ("bnCNY", 1000.0),
    "万亿元": ("bnCNY", 1000.0),
    "10k CNY": ("bnCNY", 1e-5),
    "万元": ("bnCNY", 1e-5),
    "bn USD": ("bnCNY", 7.0),
    "100m USD": ("bnCNY", 0.7),
    "亿美元": ("bnCNY", 0.7),
    "万亿美元": ("bnCNY", 7000.0),
    "%": ("Dmnl", 0.01),
    "firm": ("firm", 1.0),
    "firms": ("firm", 1.0),
    "enterprises": ("firm", 1.0),
    "sellers": ("firm", 1.0),
    "户": ("firm", 1.0),
    "家": ("firm", 1.0),
}


def converted(value: float, unit: str, model_unit: str) -> float:
    return convert(value, unit, model_unit, start=2023.0, end=2024.0, usd_cny=RATE)


def test_every_published_word_has_its_amount() -> None:
    assert set(WORDS) == set(PUBLISHED_UNITS)
    for word, (unit, amount) in WORDS.items():
        for written in (word, f"  {word.upper()} "):
            assert converted(3.0, written, unit) == pytest.approx(3.0 * amount, rel=1e-14)
    assert converted(3.0, "亿元人民币", "bnCNY") == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("unit", "model_unit", "amount"),
    [
        ("bnCNY/Month", "bnCNY/Year", 12.0),
        ("bnCNY/Week", "bnCNY/Year", 52.0),
        ("bnCNY/Day", "bnCNY/Year", 365.0),
        ("Year", "Month", 12.0),
        ("Month", "Day", 365.0 / 12.0),
        ("bn USD", "bnUSD", 1.0),
        ("bn CNY", "bnCNY*Month/Year", 12.0),
        ("widget/Year", "widget/Month", 1.0 / 12.0),
    ],
)
def test_a_unit_made_of_the_model_s_words_converts_by_its_size(
    unit: str, model_unit: str, amount: float
) -> None:
    assert converted(1.0, unit, model_unit) == pytest.approx(amount, rel=1e-14)


@pytest.mark.parametrize(
    ("unit", "model_unit", "message"),
    [
        ("bn CNY", "firm", "unit 'bn CNY' does not convert to 'firm' of the model"),
        ("%", "bnCNY", "unit '%' does not convert to 'bnCNY'"),
        ("bnCNY/Year", "bnCNY", "unknown unit 'bnCNY/Year'; expected one of 'bn CNY', "),
        ("gadget", "widget", "or the model's own, 'widget'"),
    ],
)
def test_a_unit_of_other_dimensions_is_refused(unit: str, model_unit: str, message: str) -> None:
    with pytest.raises(UnitError, match=message):
        converted(1.0, unit, model_unit)


def test_a_rate_is_needed_for_each_year_that_the_period_touches() -> None:
    rates = {2022: 6.0, 2023: 7.0, 2024: 8.0}
    assert mean_rate(rates, 2022.5, 2024.5) == pytest.approx(0.25 * 6 + 0.5 * 7 + 0.25 * 8)
    assert mean_rate(rates, 2023.0, 2023.0) == 7.0  # an instant takes the rate of its year
    assert mean_rate({2023: 7.0}, 2023.0, 2024.0) == 7.0  # the end belongs to the year before
    with pytest.raises(UnitError, match="the rate of 2024 is not in usd_cny"):
        mean_rate({2022: 6.0, 2023: 7.0}, 2022.5, 2024.25)


def test_a_flow_is_an_amount_per_one_time_and_units_are_read_without_case_or_spaces() -> None:
    flows = ("bnCNY/Year", "firm/Day", "1/Month", "firm*firm/Year")
    stocks = ("bnCNY", "Dmnl", "Year", "firm/Year/Year", "Year/Month")
    assert [is_flow(unit) for unit in (*flows, *stocks)] == [True] * 4 + [False] * 5
    for one, other in (("firms", "Firm"), ("bnCNY / Years", "bncny/year"), ("1", "dimensionless")):
        assert same_unit(one, other)
    assert same_unit("", "Dmnl")
    assert not same_unit("firm", "firm/Year")
