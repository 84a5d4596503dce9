"""The text of an equation, against Python's own arithmetic and the grammar of the standard."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beltcast.engine.syntax import Array, Call, Expr, Number, Ref, show
from beltcast.engine.xmile.expression import parse_expression, plain_name
from beltcast.errors import ModelFileError


def fail(sentence: str, at: int) -> ModelFileError:
    return ModelFileError(f"{at}: {sentence}")


def parse(text: str) -> Expr:
    return parse_expression(text, fail)


VALUES: dict[str, Callable[..., float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda x, y: x / y if y else math.nan,
    "negative": operator.neg,
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    ":AND:": lambda x, y: float(bool(x) and bool(y)),
    ":OR:": lambda x, y: float(bool(x) or bool(y)),
    ":NOT:": operator.not_,
    "IF THEN ELSE": lambda c, x, y: x if c else y,
}


def value(tree: Expr) -> float:
    """The number that a tree without names stands for."""
    if isinstance(tree, Number):
        return tree.value
    assert isinstance(tree, Call)
    numbers = [value(a) for a in tree.arguments]
    if tree.function == "^":
        return float(numbers[0] ** numbers[1])
    return float(VALUES[tree.function](*numbers))


# Python's own operators have the same order as XMILE's, but for NOT and comparisons that follow
# each other; those stand in brackets below.  Powers of small whole numbers stay finite.
numbers = st.integers(0, 9).map(str) | st.floats(0, 100).map(lambda x: f"{x:.3g}")
blanks = st.sampled_from(["", " ", "\t", " {a comment} ", "\n"])


def joined(children: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    """Texts in XMILE and in Python, of larger expressions."""

    def binary(pair: tuple[tuple[str, str], str, str, tuple[str, str]]) -> tuple[str, str]:
        (left, mine), sign, blank, (right, theirs) = pair
        return f"{left}{blank}{sign}{blank}{right}", f"{mine} {sign} {theirs}"

    def bracketed(pair: tuple[tuple[str, str], str, tuple[str, str]]) -> tuple[str, str]:
        (left, mine), sign, (right, theirs) = pair
        spelled = {"=": "==", "<>": "!=", "AND": "and", "OR": "or"}.get(sign, sign)
        truth = (f"bool({mine})", f"bool({theirs})") if sign in ("AND", "OR") else (mine, theirs)
        return f"(({left}) {sign} ({right}))", f"(({truth[0]}) {spelled} ({truth[1]}))"

    return st.one_of(
        st.tuples(children, st.sampled_from("+-*"), blanks, children).map(binary),
        st.tuples(children, blanks).map(lambda p: (f"({p[1]}{p[0][0]})", f"({p[0][1]})")),
        children.map(lambda p: (f"-({p[0]})", f"-({p[1]})")),
        children.map(lambda p: (f"(NOT ({p[0]}))", f"(not ({p[1]}))")),
        st.tuples(
            children, st.sampled_from(["=", "<>", "<", "<=", ">", ">=", "AND", "or"]), children
        ).map(lambda t: bracketed((t[0], t[1].upper(), t[2]))),
        st.tuples(children, children, children).map(
            lambda t: (
                f"(IF {t[0][0]} THEN {t[1][0]} ELSE {t[2][0]})",
                f"(({t[1][1]}) if ({t[0][1]}) else ({t[2][1]}))",
            )
        ),
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)).map(
            lambda t: (f"-{t[0]}^{t[1]}^{t[2]}", f"-{t[0]}**{t[1]}**{t[2]}")
        ),
    )


@given(st.recursive(numbers.map(lambda n: (n, n)), joined, max_leaves=12))
def test_an_expression_has_the_value_that_python_gives_it(pair: tuple[str, str]) -> None:
    text, python = pair
    expected = float(eval(python, {"__builtins__": {}, "bool": bool}))  # the oracle, on our text
    assert value(parse(text)) == expected


names = st.builds(Ref, st.sampled_from(["a", "birth rate", "出生", "x_1"]))
trees: st.SearchStrategy[Expr] = st.recursive(
    st.floats(0, 1e6, allow_nan=False).map(lambda x: Number(x + 0.0)) | names,
    lambda inner: st.builds(
        lambda sign, x, y: Call(sign, (x, y)),
        st.sampled_from(["+", "-", "*", "/", "^", "<", ">="]),
        inner,
        inner,
    ),
    max_leaves=20,
)


def printed(tree: Expr) -> str:
    """The tree as XMILE, in brackets throughout."""
    match tree:
        case Number(value=number):
            return repr(number)
        case Ref(name=name):
            return name.replace(" ", "_")
        case Call(function=function, arguments=(x, y)):
            return f"({printed(x)} {function} {printed(y)})"
    raise AssertionError(tree)


def underlined(tree: Expr) -> str:
    return show(tree).replace(" ", "").replace("_", "")


@given(trees)
def test_what_is_printed_is_read_back(tree: Expr) -> None:
    assert underlined(parse(printed(tree))) == underlined(tree)


@given(st.text(alphabet="ab1.,()[]+-*/^<>=\"{}:;' \n_¤", max_size=60))
def test_any_text_is_a_tree_or_one_sentence(text: str) -> None:
    try:
        assert isinstance(parse(text), Number | Ref | Call | Array)
    except ModelFileError as problem:
        at = int(problem.sentence.partition(":")[0])
        assert 0 <= at <= len(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a mod b * c", "MODULO(a, b)*c"),
        ("not a and b or c", ":NOT: a :AND: b :OR: c"),
        ("a // b", "SAFEDIV(a, b)"),
        ("-a^-b", "-(a^(-b))"),
        ("if a then b else c + 1", "IF THEN ELSE(a, b, c + 1)"),
        ("if a or b then c or d else e or f", "IF THEN ELSE(a :OR: b, c :OR: d, e :OR: f)"),
        ("f(a, g())", "F(a, G())"),
        ("a < b = c", "(a < b) = c"),
        ("x[A, *, 1:3]", "x[A, *, 1:3]"),
        ('"a (b)" + m."c d".e', '"a (b)" + "m.\\"c d\\".e"'),
        ("1e-3 + .5 + 5.", "0.001 + 0.5 + 5"),
    ],
)
def test_operators_bind_as_the_standard_says(text: str, shown: str) -> None:
    assert show(parse(text)) == shown


@pytest.mark.parametrize("opened", ["(", "-", "NOT ", "IF ", "f(", "2^", "1+(", "a["])
def test_deep_nesting_ends_in_one_sentence(opened: str) -> None:
    with pytest.raises(ModelFileError):
        parse(opened * 20_000 + "1")


def test_what_is_too_long_is_refused_with_its_size() -> None:
    with pytest.raises(ModelFileError, match="has 200001 characters"):
        parse("1" + "+1" * 100_000)
    with pytest.raises(ModelFileError, match="a word has 2000 characters"):
        parse("a" * 2000)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("(1", "2: expected '\\)' and found the end"),
        ("1 )", "2: expected an operator or the end and found '\\)'"),
        ("{open", "0: a comment begins and never ends"),
        ('"open', "0: a quoted name begins and never ends"),
        ("IF a THEN b", "11: expected 'ELSE'"),
        ("x[]", "0: a pair of '\\[\\]' is empty"),
        ("", "0: there is no equation"),
        ("and 2", "0: expected a number"),
    ],
)
def test_an_error_says_where_and_what(text: str, sentence: str) -> None:
    with pytest.raises(ModelFileError, match=sentence):
        parse(text)


def test_names_lose_their_quotes_and_escapes() -> None:
    assert plain_name('"a\\"b"') == 'a"b'
    assert plain_name("birth\\nrate ") == "birth rate"
