"""Equations as mathematics: well-formed, and bracketed where they must be."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from beltcast.engine.syntax import Call, Equation, Expr, Number, Ref
from beltcast.engine.xmile.expression import parse_expression
from beltcast.model.mathml import equation_math, expression_math


def words(math: str) -> str:
    """All text of a formula in the order in which it is read."""
    return " ".join("".join(ElementTree.fromstring(math).itertext()).split())


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("(a + b)*c", "(a+b)·c"),
        ("a + b*c", "a+b·c"),
        ("a - (b - c)", "a−(b−c)"),
        ("(a*b)^c", "(a·b)c"),
        ("a/(b + c)", "ab+c"),
        ("-(a + b)", "−(a+b)"),
        ("(a^b)^c", "(ab)c"),
        ("EXP(a)^b", "(ea)b"),
        ("EXP(-2)^b", "(e−2)b"),
        ("SQRT(a)^b", "ab"),
        ("ABS(a)^b", "|a|b"),
        ("(-a)^b", "(−a)b"),
        ("NOT (a > b)", "not(a>b)"),
    ],
)
def test_brackets_stand_where_the_meaning_needs_them(text: str, read: str) -> None:
    expression = parse_expression(text, fail=AssertionError)
    assert words(expression_math(expression)) == read


def test_a_fraction_has_its_two_parts_and_no_brackets() -> None:
    math = expression_math(Call("/", (Ref("a"), Call("+", (Ref("b"), Number(1.0))))))
    top, bottom = ElementTree.fromstring(math).find(".//mfrac")  # type: ignore[misc]
    assert ("".join(top.itertext()), "".join(bottom.itertext())) == ("a", "b+1")


def test_a_stock_is_its_rate_and_its_initial_value() -> None:
    stock = Equation("S", ("Belt",), (), Call("INTEG", (Ref("f", ("Belt",)), Number(3.0))))
    rows = ElementTree.fromstring(equation_math(stock)).findall(".//mtr")
    assert ["".join(row.itertext()) for row in rows] == ["dSBeltdt=fBelt", "SBelt0=3"]


def test_a_choice_is_set_as_cases_and_a_sum_says_what_it_runs_over() -> None:
    choice: Expr = Call("IF THEN ELSE", (Ref("c"), Ref("a"), Ref("b")))
    assert words(expression_math(choice)) == "{aif cbotherwise"
    total: Expr = Call("SUM", (Ref("x", ("Belt!",)),))
    assert words(expression_math(total)) == "∑BeltxBelt"


def test_a_name_is_escaped_and_leads_to_its_place() -> None:
    math = expression_math(Ref('"a<b"'), lambda name: "#v1")
    link = ElementTree.fromstring(math).find(".//a")
    assert link is not None
    assert (link.get("href"), link.text) == ("#v1", "a<b")


def test_a_negative_number_that_is_raised_has_brackets() -> None:
    squared = Call("^", (Number(-2.0), Number(-3.0)))
    assert words(expression_math(squared)) == "(−2)−3"
    assert words(expression_math(Call("*", (Number(-2.0), Number(-3.0))))) == "−2·−3"
