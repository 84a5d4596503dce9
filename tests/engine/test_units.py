"""Units: the algebra, one case right and one wrong for each rule, and the belt model itself."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beltcast.engine.syntax import (
    Array,
    Call,
    Equation,
    Expr,
    Number,
    Ref,
    Source,
    Table,
    canonical,
    references,
    show,
)
from beltcast.engine.units.check import UnitProblem, check_units
from beltcast.engine.units.units import DIMENSIONLESS, Unit, parse_unit
from beltcast.engine.vensim.reader import read_source
from beltcast.errors import UnitError

# The variables of the small cases below, and their units.
DECLARED = {
    "money": "CNY",
    "more money": "CNY",
    "income": "CNY/Year",
    "delay": "Year",
    "rate": "1/Year",
    "share": "Dmnl",
    "elasticity": "Dmnl",
    "firms": "firm",
    "effect": "CNY/firm",  # a named lookup
}


def ref(name: str) -> Ref:
    return Ref(name)


def call(function: str, *arguments: Expr | str | float) -> Call:
    """A call whose arguments may be written as names and numbers."""
    nodes = tuple(
        Ref(a) if isinstance(a, str) else Number(a) if isinstance(a, float | int) else a
        for a in arguments
    )
    return Call(function, nodes)


def problems_of(expression: Expr, unit: str) -> list[UnitProblem]:
    """Problems of one equation `x = expression` among the declared variables."""
    table = Table((0.0, 1.0), (0.0, 1.0))
    constants = tuple(
        Equation(name, (), (), table if name == "effect" else Number(1.0), text)
        for name, text in DECLARED.items()
    )
    equation = Equation("x", (), (), expression, unit, line=7)
    step = Equation("TIME STEP", (), (), Number(1.0), "Year")
    source = Source(None, "", "utf-8", (*constants, equation), controls={"time step": step})
    return check_units(source)


CURVE = Table((0.0, 1.0), (1.0, 2.0))
YES = call(">", "share", 0)

# expression, its unit, and a unit that it does not have
RIGHT = {
    "sum": (call("+", "money", "more money"), "CNY"),
    "difference": (call("-", "money", "more money"), "CNY"),
    "negative": (call("negative", "money"), "CNY"),
    "product": (call("*", "income", "delay"), "CNY"),
    "quotient": (call("/", "money", "firms"), "CNY/firm"),
    "zidz": (call("ZIDZ", "money", "firms"), "CNY/firm"),
    "xidz": (call("XIDZ", "money", "money", 1), "Dmnl"),
    "literal power": (call("^", "delay", 2), "Year^2"),
    "literal fraction": (call("^", "money", call("/", 1, 2)), "CNY^0.5"),
    "variable power": (call("^", call("/", "money", "more money"), "elasticity"), "Dmnl"),
    "root": (call("SQRT", "money"), "CNY^(1/2)"),
    "exponential": (call("EXP", call("*", "rate", "Time")), "Dmnl"),
    "logarithm": (call("LN", "share"), "Dmnl"),
    "minimum": (call("MIN", "money", "more money"), "CNY"),
    "maximum with zero": (call("MAX", 0, "money"), "CNY"),
    "absolute": (call("ABS", "money"), "CNY"),
    "branches": (call("IF THEN ELSE", YES, "money", 0), "CNY"),
    "comparison": (call("<=", "money", "more money"), "Dmnl"),
    "logic": (call(":AND:", YES, call(":NOT:", YES)), "Dmnl"),
    "stock": (call("INTEG", "income", "money"), "CNY"),
    "stock from zero": (call("INTEG", call("-", "income", 0), 0), "CNY"),
    "initial": (call("INITIAL", "money"), "CNY"),
    "reduction": (call("SUM", Ref("money", ("Belt!",))), "CNY"),
    "smooth": (call("SMOOTH", "money", "delay", "more money", 1), "CNY"),
    "delay": (call("DELAY", "income", "delay", "income", 3), "CNY/Year"),
    "named lookup": (call("LOOKUP", "effect", "share"), "CNY/firm"),
    "inline lookup": (call("WITH LOOKUP", CURVE, "share"), "CNY"),
    "step": (call("STEP", "money", "delay"), "CNY"),
    "ramp": (call("RAMP", "income", "delay", "delay"), "CNY"),
    "pulse": (call("PULSE", "delay", "delay"), "Dmnl"),
    "trend": (call("TREND", "money", "delay", "rate"), "1/Year"),
    "sample": (call("SAMPLE IF TRUE", YES, "money", 0), "CNY"),
    "time": (call("-", "Time", "delay"), "Year"),
    "constant": (Number(5.0), "CNY"),
    "constant from numbers": (call("/", 1, 16), "Year"),
    "list of constants": (Array(np.array([1.0, 2.0])), "CNY"),
}


@pytest.mark.parametrize(("expression", "unit"), RIGHT.values(), ids=RIGHT)
def test_a_right_equation_passes(expression: Expr, unit: str) -> None:
    assert problems_of(expression, unit) == []


FREE = {"inline lookup", "constant", "constant from numbers", "list of constants"}


@pytest.mark.parametrize("case", sorted(RIGHT.keys() - FREE))
def test_the_same_equation_with_another_unit_fails(case: str) -> None:
    expression, unit = RIGHT[case]
    assert problems_of(expression, f"({unit})*kg") != []


# expression, declared unit, and the part that must be named with what it has and should have
WRONG = {
    "sum": (call("+", "money", "income"), "CNY", "income", "CNY/Year", "CNY"),
    "sum, wrong term first": (call("-", "income", "money"), "CNY", "income", "CNY/Year", "CNY"),
    "long sum": (
        call("+", call("-", "money", "more money"), "income"), "CNY", "income", "CNY/Year", "CNY",
    ),
    "number in a sum": (call("+", "money", 3), "CNY", "3", "Dmnl", "CNY"),
    "product": (
        call("*", "income", "rate"), "CNY", "income*rate", "CNY/Year^2", "CNY",
    ),
    "exponent": (call("^", "share", "delay"), "Dmnl", "delay", "Year", "Dmnl"),
    "base": (call("^", "money", "elasticity"), "Dmnl", "money", "CNY", "Dmnl"),
    "exponential": (call("EXP", "rate"), "Dmnl", "rate", "1/Year", "Dmnl"),
    "logarithm": (call("LN", "money"), "Dmnl", "money", "CNY", "Dmnl"),
    "number in a maximum": (call("MAX", "money", 1), "CNY", "1", "Dmnl", "CNY"),
    "comparison": (
        call("IF THEN ELSE", call(">", "money", "firms"), 1, 0),
        "Dmnl", "firms", "firm", "CNY",
    ),
    "date as a number": (
        call("IF THEN ELSE", call(">", "Time", 2020), 1, 0), "Dmnl", "2020", "Dmnl", "Year",
    ),
    "condition": (call("IF THEN ELSE", "money", 1, 0), "Dmnl", "money", "CNY", "Dmnl"),
    "branch": (
        call("IF THEN ELSE", YES, "money", "firms"), "CNY", "firms", "firm", "CNY",
    ),
    "flow": (call("INTEG", "money", "money"), "CNY", "money", "CNY", "CNY/Year"),
    "start of a stock": (call("INTEG", "income", "firms"), "CNY", "firms", "firm", "CNY"),
    "part of a flow": (
        call("INTEG", call("-", "income", call("*", "rate", "firms")), 0),
        "CNY", "rate*firms", "firm/Year", "CNY/Year",
    ),
    "smoothing time": (
        call("SMOOTH", "money", "rate", "money", 1), "CNY", "rate", "1/Year", "Year",
    ),
    "delay as a number": (call("DELAY", "money", 2, "money", 3), "CNY", "2", "Dmnl", "Year"),
    "start of a smooth": (
        call("SMOOTH", "money", "delay", "firms", 1), "CNY", "firms", "firm", "CNY",
    ),
    "inside a lookup": (
        call("WITH LOOKUP", CURVE, call("+", "money", "firms")), "Dmnl", "firms", "firm", "CNY",
    ),
    "start of a ramp": (call("RAMP", "income", "rate", "delay"), "CNY", "rate", "1/Year", "Year"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "unit", "part", "found", "expected"), WRONG.values(), ids=WRONG
)
def test_a_wrong_equation_is_named_at_the_part_that_is_wrong(
    expression: Expr, unit: str, part: str, found: str, expected: str
) -> None:
    (problem,) = problems_of(expression, unit)
    assert (problem.expression, problem.found, problem.expected) == (part, found, expected)
    assert (problem.equation, problem.line) == ("x", 7)
    assert all(word in problem.sentence for word in ("'x'", part, found, expected))


def test_a_missing_unit_is_reported_once_and_then_fits() -> None:
    (problem,) = problems_of(call("+", "money", "firms"), "")[:1]
    assert problem.sentence == "'x' has no unit; give one, or Dmnl if it is dimensionless"


def test_an_unreadable_unit_is_reported_with_its_text() -> None:
    (problem,) = problems_of(Ref("money"), "CNY//Year")
    assert problem.sentence.startswith("the unit of 'x' cannot be read: 'CNY//Year' is not a unit")


def test_a_planted_error_in_a_model_file_is_named(tmp_path: Path) -> None:
    text = (
        "{UTF-8}\n"
        "Stock = INTEG(Inflow - Stock*Loss Rate, 100)\n\t~\tfirm\n\t~\t\n\t|\n\n"
        "Inflow = 5\n\t~\tfirm/Year\n\t~\t\n\t|\n\n"
        "Loss Rate = 0.1\n\t~\tUNIT\n\t~\t\n\t|\n\n"
        "INITIAL TIME = 0\n\t~\tYear\n\t~\t\n\t|\n\n"
        "FINAL TIME = 1\n\t~\tYear\n\t~\t\n\t|\n\n"
        "TIME STEP = 1\n\t~\tYear\n\t~\t\n\t|\n\n"
        "SAVEPER = 1\n\t~\tYear\n\t~\t\n\t|\n"
    )
    path = tmp_path / "small.mdl"
    path.write_text(text.replace("UNIT", "1/Year"), encoding="utf-8")
    problems = check_units(read_source(path))
    # 100 is a number where a constant with a unit belongs.
    assert [problem.expression for problem in problems] == ["100"]

    path.write_text(text.replace("UNIT", "Dmnl").replace("100", "0"), encoding="utf-8")
    (problem,) = check_units(read_source(path))
    assert problem == UnitProblem(
        equation="Stock",
        line=2,
        expression="Stock*Loss Rate",
        found="firm",
        expected="firm/Year",
        sentence="in 'Stock', Stock*Loss Rate has the unit firm where firm/Year is expected",
    )


@pytest.fixture(scope="module")
def belt(root: Path) -> Source:
    return read_source(root / "models" / "belt" / "belt.mdl")


def test_the_units_of_the_belt_model_fit(belt: Source) -> None:
    assert [problem.sentence for problem in check_units(belt)] == []


def test_no_unit_of_the_belt_model_could_be_another(belt: Source) -> None:
    """The check is not blind: a foreign factor in the unit of every fourth variable is seen."""
    used = {canonical(r.name) for e in belt.equations for r in references(e.expression)}
    # Two series are used over their own INITIAL alone: there any unit cancels.
    free = {"brand research share", "third party share of sales"}
    named = sorted(used & {canonical(equation.name) for equation in belt.equations})
    unseen = set()
    for name in {*named[::4], *free}:
        foreign = tuple(
            replace(e, unit=f"({e.unit})*alien") if canonical(e.name) == name else e
            for e in belt.equations
        )
        if not check_units(replace(belt, equations=foreign)):
            unseen.add(name)
    assert unseen == free


# --- the algebra ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("bnCNY/(Mcust*Year)", "bnCNY/(Mcust*Year)"),
        ("1/Day", "1/Day"),
        ("Dmnl", "Dmnl"),
        ("fraction", "Dmnl"),
        ("1", "Dmnl"),
        ("visit/(Year*buyer)", "visit/(buyer*Year)"),
        ("visit/Year/buyer", "visit/(buyer*Year)"),
        ("a/b*b", "a"),
        ("firm_year ^ 2", "firm year^2"),
        ("CNY^(1/2)", "CNY^(1/2)"),
        ("CNY^-1", "1/CNY"),
    ],
)
def test_a_unit_is_read_and_printed(text: str, printed: str) -> None:
    assert str(parse_unit(text)) == printed


@pytest.mark.parametrize("other", ["Years", "years", "yr", "YEAR", "Year*Dmnl", "1/(1/Year)"])
def test_synonyms_are_one_unit(other: str) -> None:
    assert parse_unit("Year") == parse_unit(other)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a unit is missing"),
        ("a*", "a unit is missing"),
        ("a//b", "a unit is missing"),
        ("(a*b", "a bracket is not closed"),
        ("a)", "'\\)' is not expected there"),
        ("1000*firm", "'1000' is a number, and units have no size"),
        ("a^b", "an exponent must be a number, not 'b'"),
        ("a^", "an exponent must be a number, not 'nothing'"),
    ],
)
def test_what_is_not_a_unit_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UnitError, match=f"is not a unit: {reason}"):
        parse_unit(text)


words = st.sampled_from(["bnCNY", "firm", "Mcust", "Year", "visit", "Day", "own word"])
exponents = st.fractions(min_value=-4, max_value=4, max_denominator=6)


@st.composite
def units(draw: st.DrawFn) -> Unit:
    result = DIMENSIONLESS
    for word, exponent in draw(st.dictionaries(words, exponents, max_size=4)).items():
        result = result * parse_unit(word) ** exponent
    return result


@given(units())
def test_a_printed_unit_reads_back_the_same(unit: Unit) -> None:
    assert parse_unit(str(unit)) == unit


@given(units(), units(), units())
def test_units_form_a_group(a: Unit, b: Unit, c: Unit) -> None:
    assert (a * b) * c == a * (b * c)
    assert a * b == b * a
    assert a / a == DIMENSIONLESS
    assert (a * b) ** Fraction(1, 3) == a ** Fraction(1, 3) * b ** Fraction(1, 3)


# --- the text of an expression, as messages show it --------------------------------------------


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (call("-", "a", call("-", "b", "c")), "a - (b - c)"),
        (call("-", call("-", "a", "b"), "c"), "a - b - c"),
        (call("/", "a", call("*", "b", "c")), "a/(b*c)"),
        (call("^", -2, 2), "(-2)^2"),
        (call("negative", call("^", "a", 2)), "-(a^2)"),
        (call("*", call("negative", "a"), "b"), "-a*b"),
        (call("+", "a", -1), "a + (-1)"),
        (call(":AND:", call(">", "a", 1), call(":NOT:", "b")), "a > 1 :AND: :NOT: b"),
        (call(":NOT:", call(":OR:", "a", "b")), ":NOT: (a :OR: b)"),
        (call("SUM", Ref("Sellers", ("Belt", "Tier!"))), "SUM(Sellers[Belt, Tier!])"),
        (call("WITH LOOKUP", CURVE, "a"), "WITH LOOKUP(a, ((0,1),(1,2)))"),
        (call("LOOKUP", Ref("effect", ("Belt",)), "a"), "effect[Belt](a)"),
        (call("SMOOTH", "a", "t", 1), "SMOOTH(a, t)"),
        (call("SMOOTH", "a", "t", "b", 3), "SMOOTH3I(a, t, b)"),
        (call("DELAY", "a", "t", 1), "DELAY1(a, t)"),
        (call("DELAY", "a", "t", "b", 2), "DELAY N(a, t, b, 2)"),
        (ref("R&D share"), '"R&D share"'),
        (Array(np.array([[1.0, 2.5], [3.0, 4.0]])), "1, 2.5; 3, 4;"),
        (Number(float("nan")), ":NA:"),
    ],
)
def test_an_expression_is_shown_as_vensim_text(expression: Expr, text: str) -> None:
    assert show(expression) == text


def test_names_are_compared_without_case_blanks_and_quotes() -> None:
    same = ["Belt Size", "belt_size", ' "Belt  Size"', "BELT \t SIZE", "Belt_ Size "]
    assert {canonical(name) for name in same} == {"belt size"}


def test_values_with_arrays_compare_by_content_and_cannot_be_written_to() -> None:
    a, b = Array(np.array([1.0, np.nan])), Array(np.array([1.0, np.nan]))
    assert a == b
    assert hash(a) == hash(b)
    with pytest.raises(ValueError, match="read-only"):
        a.values[0] = 2.0


@pytest.mark.parametrize(
    ("chinese", "english"),
    [
        ("万元/年", "万元/Year"),
        ("件/(户*天)", "item/(household*Day)"),
        ("家", "firm"),
        ("标箱/月", "TEU/Month"),
        ("亿元/(人*年)", "亿元/(person*years)"),
        ("元/人民币", "Dmnl"),
    ],
)
def test_chinese_words_are_the_units_that_they_name(chinese: str, english: str) -> None:
    assert parse_unit(chinese) == parse_unit(english)


SPELLINGS = {
    "Dmnl": "dimensionless fraction 1 DMNL",
    "Year": "years yr yrs YEAR",
    "Month": "month months",
    "Week": "week weeks",
    "Day": "day days",
    "Hour": "hour hours",
    "person": "people persons Person",
    "unit": "units",
    "$": "dollar dollars $s",
    "CNY": "rmb RMB yuan",
    "item": "items piece pieces pcs",
    "household": "households",
    "firm": "firms company companies",
    "TEU": "teu teus",
    "mg": "milligram milligrams",
    "mol": "mole moles",
}


@pytest.mark.parametrize("unit", SPELLINGS)
def test_every_spelling_of_a_unit_is_that_unit_and_no_other(unit: str) -> None:
    for spelling in SPELLINGS[unit].split():
        assert parse_unit(spelling) == parse_unit(unit), spelling
    assert [other for other in SPELLINGS if parse_unit(other) == parse_unit(unit)] == [unit]


def test_blanks_and_underscores_in_a_word_are_one_blank() -> None:
    assert parse_unit("cross_border  seller") == parse_unit("Cross Border _Seller")
    assert parse_unit("cross border seller") != parse_unit("crossborder seller")


def test_ten_thousand_yuan_are_not_a_hundred_million() -> None:
    """Units have no size here: a sum of 万元, 亿元 and 元 would be wrong by powers of ten."""
    assert len({parse_unit(text) for text in ("万元", "亿元", "元")}) == 3


@pytest.mark.parametrize(
    ("spelling", "unit"),
    [("people", "person"), ("moles/L", "mol/L"), ("milligrams/mL", "mg/mL"), ("摩尔", "mol")],
)
def test_persons_moles_and_milligrams_are_units_in_every_spelling(spelling: str, unit: str) -> None:
    assert parse_unit(spelling) == parse_unit(unit)


@pytest.mark.parametrize(
    "spellings",
    [
        "Dmnl 无量纲",
        "Year 年",
        "Month 月 个月",
        "Week 周 星期",
        "Day 天 日",
        "Hour 小时",
        "person 人",
        "$ 美元",
        "CNY 元 人民币",
        "万元 万人民币",
        "亿元 亿人民币",
        "item 件 个",
        "household 户",
        "firm 家",
        "TEU 标箱 标准箱",
        "mg 毫克",
        "mol 摩尔",
    ],
)
def test_every_chinese_spelling_is_its_unit_and_no_other(spellings: str) -> None:
    first, *others = spellings.split()
    for other in others:
        assert parse_unit(other) == parse_unit(first), other
        assert parse_unit(f"{other}^2/kg") == parse_unit(f"{first}*{first}/kg")


def test_a_product_is_printed_as_its_first_factor_spells_each_word() -> None:
    assert str(parse_unit("Firms") * parse_unit("companies")) == "Firms^2"
    assert str(parse_unit("companies") * parse_unit("Firms*kg")) == "companies^2*kg"
    assert str(parse_unit("kg/Years") / parse_unit("yr")) == "kg/Years^2"
