"""The quick reader of expressions gives what PySD's grammar gives, or leaves it to PySD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pysd.translators.vensim import vensim_element

from beltcast.engine.vensim import translator
from beltcast.engine.vensim.plain_expressions import plain_expression
from beltcast.files.shipped import shipped

from .. import random_models as rm


def by_grammar(text: str) -> Any:
    with translator.literals_only():
        component = vensim_element.Component("x", ([], []), text)
        component.parse()
        return component.ast


def alike(one: Any, other: Any) -> bool:
    """Equal, and of the same types throughout."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(alike, one, other))
    if hasattr(one, "__dict__"):
        return alike(list(vars(one).values()), list(vars(other).values()))
    return bool(one == other)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "-1",
        "+.5e-3",
        "- 2.",
        "x",
        "-x",
        "A Name_of  words",
        '"a \\" quoted, (name)"',
        '"a"[b , "c d"] + 1',
        "x[a!, b !]",
        "-2^2*x",
        "(-2)^2 + x",
        "-x^-y",
        "a^b^c",
        "-a^b^-c",
        "a - b - c*d/e",
        "a*-3",
        "x - -2",
        "((a))",
        "a = b",
        "a <> b + 1",
        "a > 1 :AND: b < 2 :OR: c >= 3",
        ":NOT: a <= b",
        "IF THEN ELSE(a > 0, b[c], -d)",
        "table(x)",
        "table[a](x + 1)",
        "INTEG(a - b, 10)",
        "SMOOTH(x, 3) + DELAY3I(x, 2, 1)",
        "PULSE TRAIN(1, 2, 3, 4)",
        "MAX(a, MIN(b, c))^2",
        "x$ y'",
    ],
)
def test_a_plain_expression_is_read_alike(text: str) -> None:
    read = plain_expression(text)
    assert read is not None
    assert alike(read, by_grammar(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2,3",
        "41 + 1",
        ":NA:",
        "--3",
        "2 x",
        "a b(",
        "f()",
        "f(a,)",
        "a < b < c",
        "GET XLS DATA('f', 't', 'A', 'B2')",
        "WITH LOOKUP(x, ((0,0),(1,1)))",
        "TABBED ARRAY(1 2 3)",
        "SMOOTH(x)",
        "a :and: b",
        "x[",
        "(" * 5000,
        "x[" + "a , " * 3000,
    ],
)
def test_any_other_is_left_to_pysd(text: str) -> None:
    assert plain_expression(text) is None


@pytest.mark.parametrize("seed", range(20))
def test_random_equations_are_read_alike(seed: int) -> None:
    equations, _ = rm.Writer(seed, smooth=False).model()
    rights = [e.partition("=")[2].strip() for e in equations if "=" in e]
    for text in rights:
        read = plain_expression(text)
        assert read is None or alike(read, by_grammar(text)), text


def test_nearly_all_of_the_belt_model_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each plain expression is compared with the grammar, and few are left to it."""
    count = {True: 0, False: 0}

    def compared(text: str) -> Any:
        read = plain_expression(text)
        count[read is not None] += 1
        if read is not None:
            component = vensim_element.Component("x", ([], []), text)
            component.parse()
            assert alike(read, component.ast), text
        return read

    monkeypatch.setattr(translator, "plain_expression", compared)
    from beltcast.engine.vensim.reader import read_source

    read_source(Path(shipped("models/belt/belt.mdl")))
    assert count[True] > 10 * count[False]
