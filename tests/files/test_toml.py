"""The reader of TOML files: what each kind of value accepts, and where an error points."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from beltcast.errors import InputError, PriorError
from beltcast.files.toml import TomlTable, read_table, read_toml

TEXT = """
[one]
zero = 0
half = 0.5
two = 2
big = inf
wrong = nan
truth = true
word = "up"
blank = " "
names = ["a", "b"]
ends = [0.0, inf]
crossed = [2, 1]
same = [1, 1]
unit = "CNY/Year"
list = [{ x = 1 }, { x = "y" }]
[one.inner]
deep = "x"
"""


@pytest.fixture
def one(tmp_path: Path) -> TomlTable:
    path = tmp_path / "a.toml"
    path.write_text(TEXT, encoding="utf-8")
    return read_table(read_toml(path, InputError), "one")


def test_ends_of_a_range_belong_to_it_or_not_as_it_says(one: TomlTable) -> None:
    # At least and at most keep their tie, above and below do not.
    assert one.number("zero", least=0.0) == 0.0
    assert one.number("two", most=2.0) == 2.0
    with pytest.raises(InputError, match=r"one\.zero is 0; expected a number above 0"):
        one.number("zero", above=0.0)
    with pytest.raises(InputError, match=r"one\.two is 2; expected a number below 2"):
        one.number("two", below=2.0)
    with pytest.raises(InputError, match="of at least 0 and at most 1"):
        one.number("two", least=0.0, most=1.0)
    assert one.number("big", finite=False) == math.inf
    assert one.number("absent", 3.0) == 3.0


@pytest.mark.parametrize(
    ("read", "line", "says"),
    [
        (lambda t: t.number("wrong"), 7, "one.wrong is nan; expected a finite number"),
        (lambda t: t.number("big"), 6, "one.big is inf; expected a finite number"),
        (lambda t: t.number("truth"), 8, "one.truth is True; expected a finite number"),
        (lambda t: t.number("absent"), 2, "one.absent is missing; add absent = a finite number"),
        (lambda t: t.integer("half", least=1), 4, "one.half is 0.5; expected a whole number of"),
        (lambda t: t.integer("zero", least=1), 3, "one.zero is 0; expected a whole number of at"),
        (lambda t: t.flag("zero"), 3, "one.zero is 0; expected true or false"),
        (lambda t: t.text("blank"), 10, "one.blank is ' '; expected a text"),
        (lambda t: t.text("two"), 5, "one.two is 2; expected a text"),
        (lambda t: t.choice("word", ("ups", "b")), 9, "one.word is 'up'; did you mean 'ups'?"),
        (lambda t: t.texts("word"), 9, "one.word is 'up'; expected a list of names"),
        (lambda t: t.pair("crossed"), 13, "expected [lower, upper], the lower one first"),
        (lambda t: t.pair("same"), 14, "expected [lower, upper], the lower one first"),
        (lambda t: t.pair("ends", finite=True), 12, "two finite numbers"),
        (lambda t: t.pair("names"), 11, "expected [lower, upper], two numbers"),
        (lambda t: t.table("two"), 5, "one.two is 2; expected a table"),
        (lambda t: t.table("other"), 2, "the table [one.other] is missing; add it"),
        (lambda t: t.table("inner").number("deep"), 18, "one.inner.deep is 'x'"),
        (lambda t: t.tables("names"), 11, "one.names is ['a', 'b']; expected a list of tables"),
        (lambda t: t.tables("list")[1].number("x"), 16, "one.x in list is 'y'"),
        (lambda t: t.only(("zero", "word")), 4, "unknown key 'half' of [one]"),
        (
            lambda t: t.unit("unit", "CNY", str.__eq__, "price"),
            15,
            "'price' has unit 'CNY/Year' here and 'CNY' in the model; make them the same",
        ),
    ],
)
def test_an_error_says_what_was_given_what_was_expected_and_where(
    one: TomlTable, read: Callable[[TomlTable], object], line: int, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(one)
    assert says in caught.value.sentence
    assert caught.value.line == line


def test_a_reader_gives_its_own_class_of_error_and_its_own_names(one: TomlTable) -> None:
    own = TomlTable(one.file, one.keys, one.values, PriorError, "{} of 'Exit Rate'")
    with pytest.raises(PriorError, match="zero of 'Exit Rate' is 0; expected a number above 0"):
        own.number("zero", above=0.0)


def test_good_values_come_back_as_they_are(one: TomlTable) -> None:
    assert one.pair("ends") == (0.0, math.inf)
    assert one.texts("names") == ["a", "b"]
    assert one.choice("word", ("up", "down")) == "up"
    assert one.flag("absent") is False
    one.unit("unit", "CNY/Year", str.__eq__, "price")
