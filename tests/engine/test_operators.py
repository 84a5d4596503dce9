"""How operators bind, in both dialects, for every pair of them.

The tables are those of the manuals: Vensim's "Operators" (vensim.com/documentation/operators.html)
and OASIS XMILE 1.0, section 3.3.1.  Where Vensim's table puts the signs and :NOT: is decided by its
output: published runs of SDXorg/test-models have ``:NOT: Time > 5`` as the opposite of
``Time > 5``, and translators of Vensim agree on ``-2^2 = -4``.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.model.model import Model

from ..small_models import small, write
from ..xmile_texts import aux, xmile

# From the strongest; the operators of one level are read from the left, ^ from the right.
VENSIM = (("^",), ("*", "/"), ("+", "-"), ("=", "<>", "<", ">", "<=", ">="), (":AND:",), (":OR:",))
XMILE = (
    ("^",),
    ("*", "/", "MOD"),
    ("+", "-"),
    ("<", ">", "<=", ">="),
    ("=", "<>"),
    ("AND",),
    ("OR",),
)


def bracketed(levels: tuple[tuple[str, ...], ...], first: str, second: str) -> str:
    """``a first b second c`` with the brackets that the table puts."""
    strength = {operator: i for i, level in enumerate(levels) for operator in level}
    right = strength[second] < strength[first] or first == second == "^"
    return f"a {first} (b {second} c)" if right else f"(a {first} b) {second} c"


def chains(levels: tuple[tuple[str, ...], ...]) -> list[tuple[str, str]]:
    """Every pair, but for two comparisons in a chain, which no manual gives a meaning."""
    flat = [operator for level in levels for operator in level]
    compared = {"=", "<>", "<", ">", "<=", ">="}
    return [p for p in itertools.product(flat, flat) if not set(p) <= compared]


# Values for which the two ways to put the brackets differ wherever they can.
VALUES = list(itertools.product((0.0, 1.0, 2.0, 3.0), repeat=3))


def test_vensim_operators_bind_as_in_its_table(tmp_path: Path) -> None:
    pairs = chains(VENSIM)
    equations = ["a = 1", "b = 1", "c = 1"]
    for i, (first, second) in enumerate(pairs):
        # Logical operators stand inside IF THEN ELSE in Vensim.
        equations.append(f"x{i} = IF THEN ELSE(a {first} b {second} c, 1, 0)")
        equations.append(f"y{i} = IF THEN ELSE({bracketed(VENSIM, first, second)}, 1, 0)")
        if not {first, second} & {":AND:", ":OR:"}:
            equations[-2:] = [
                f"x{i} = a {first} b {second} c",
                f"y{i} = {bracketed(VENSIM, first, second)}",
            ]
    compare(small(tmp_path, *equations), pairs)


def test_xmile_operators_bind_as_in_its_table(tmp_path: Path) -> None:
    pairs = chains(XMILE)
    body = aux("a", "1") + aux("b", "1") + aux("c", "1")
    for i, (first, second) in enumerate(pairs):
        text = f"a {first} b {second} c"
        for name, equation in (("x", text), ("y", bracketed(XMILE, first, second))):
            escaped = equation.replace("<", "&lt;").replace(">", "&gt;")
            body += aux(f"{name}{i}", escaped)
    compare(load_model(write(tmp_path, xmile(body), "operators.xmile")), pairs)


def compare(model: Model, pairs: list[tuple[str, str]]) -> None:
    rows = np.array([int(model.rows(n)[0]) for n in "abc"])
    out = np.array([int(model.rows(f"{n}{i}")[0]) for n in "xy" for i in range(len(pairs))])
    values = np.array(VALUES).T
    found = model.batch(rows, values, outputs=out, saves=[0.0], backend="numpy")[0]
    for i, pair in enumerate(pairs):
        np.testing.assert_array_equal(found[i], found[len(pairs) + i], err_msg=" ".join(pair))


@pytest.mark.parametrize(
    ("equation", "value"),
    [
        ("-2^2", -4.0),
        ("(-2)^2", 4.0),  # "Precedence can be overridden using parentheses" (operators.html)
        ("((-2))^b*-(-3)^b", -36.0),
        ("MAX((-a)^2, ( - 2.5e0 ) ^2)", 9.0),
        ("2^(-2)", 0.25),
        ("2^-1", 0.5),
        ("2^3^2", 512.0),
        ("-a*b", -6.0),
        ("a - -b", 5.0),
        ("IF THEN ELSE(:NOT: a > b, 1, 0)", 0.0),
        ("IF THEN ELSE(:NOT: a < b :AND: a > b, 1, 0)", 1.0),
        ("IF THEN ELSE(a > b :OR: a < b :AND: a = b, 1, 0)", 1.0),
        ("IF THEN ELSE(a > b :OR: a < b :OR: a = b :AND: a < b, 1, 0)", 1.0),
        ("IF THEN ELSE(a < b :AND: a > b :OR: a > b, 1, 0)", 1.0),
    ],
)
def test_signs_and_logic_of_vensim(tmp_path: Path, equation: str, value: float) -> None:
    run = small(tmp_path, "a = 3", "b = 2", f"x = {equation}").simulate()
    assert float(run["x"][0]) == value


@pytest.mark.parametrize(
    ("equation", "value"),
    [
        ("-2^2", -4.0),
        ("(-2)^2", 4.0),
        ("2^-1", 0.5),
        ("2^3^2", 512.0),
        ("-a*b", -6.0),
        ("NOT a OR b", 1.0),
        ("NOT (a &gt; b)", 0.0),
        ("a &gt; b OR a &lt; b AND a = b", 1.0),
    ],
)
def test_signs_and_logic_of_xmile(tmp_path: Path, equation: str, value: float) -> None:
    path = write(tmp_path, xmile(aux("a", "3") + aux("b", "2") + aux("x", equation)), "s.xmile")
    assert float(load_model(path).simulate()["x"][0]) == value
