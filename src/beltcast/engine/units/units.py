"""Units: products of powers of words.

The words are the modeller's own and have no size: ``bnCNY`` and ``CNY`` are two different words,
and nothing is ever converted. `beltcast.engine.units.check` compares equations with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from beltcast.engine.lower.limits import unit_too_much
from beltcast.errors import UnitError


@dataclass(frozen=True)
class Unit:
    """A product of powers of words.

    Attributes
    ----------
    powers
        Word and exponent, sorted by word, no exponent zero. Words are in lower case: units that
        differ in case alone are one unit.
    spelling
        How to print each word.
    """

    powers: tuple[tuple[str, Fraction], ...] = ()
    spelling: Mapping[str, str] = field(default_factory=dict, compare=False, hash=False)

    def __mul__(self, other: Unit) -> Unit:
        powers = dict(self.powers)
        for word, exponent in other.powers:
            powers[word] = powers.get(word, Fraction(0)) + exponent
        return _unit(powers, {**other.spelling, **self.spelling})

    def __pow__(self, exponent: int | Fraction) -> Unit:
        return _unit({word: p * exponent for word, p in self.powers}, self.spelling)

    def __truediv__(self, other: Unit) -> Unit:
        return self * other**-1

    def __str__(self) -> str:
        above = [self._factor(word, p) for word, p in self.powers if p > 0]
        below = [self._factor(word, -p) for word, p in self.powers if p < 0]
        if not above and not below:
            return "Dmnl"
        text = "*".join(above) or "1"
        if below:
            text += "/" + (below[0] if len(below) == 1 else f"({'*'.join(below)})")
        return text

    def _factor(self, word: str, exponent: Fraction) -> str:
        name = self.spelling.get(word, word)
        if exponent == 1:
            return name
        return f"{name}^{exponent}" if exponent.denominator == 1 else f"{name}^({exponent})"


DIMENSIONLESS = Unit()

# One word for each group, as Vensim has it, and the words of Chinese and English authors for it.
# A measure word such as 家 counts firms. Units have no size here, so 万元 and 元 stay two units.
_SYNONYMS = {
    synonym: words[0]
    for words in (
        ("", "dmnl", "dimensionless", "fraction", "1", "无量纲"),
        ("year", "years", "yr", "yrs", "年"),
        ("month", "months", "月", "个月"),
        ("week", "weeks", "周", "星期"),
        ("day", "days", "天", "日"),
        ("hour", "hours", "小时"),
        ("person", "people", "persons", "人"),
        ("unit", "units"),
        ("$", "dollar", "dollars", "$s", "美元"),
        ("cny", "rmb", "yuan", "元", "人民币"),
        ("万元", "万人民币"),
        ("亿元", "亿人民币"),
        ("item", "items", "piece", "pieces", "pcs", "件", "个"),
        ("household", "households", "户"),
        ("firm", "firms", "company", "companies", "家"),
        ("teu", "teus", "标箱", "标准箱"),
        ("mg", "milligram", "milligrams", "毫克"),
        ("mol", "mole", "moles", "摩尔"),
    )
    for synonym in words
}


def parse_unit(text: str) -> Unit:
    """Read a unit such as ``bnCNY/(Mcust*Year)``, ``1/Day`` or ``Dmnl``.

    ``*`` and ``/`` read from the left, ``^`` takes a number, a word may contain blanks.

    Raises
    ------
    UnitError
        When the text is not a unit.

    Examples
    --------
    >>> str(parse_unit("visit/Year/buyer"))
    'visit/(buyer*Year)'
    """
    problem = unit_too_much(text)
    if problem:
        raise UnitError(problem)
    tokens = [token.strip() for token in re.findall(r"[*/^()]|[^*/^()]+", text) if token.strip()]
    unit, rest = _product(tokens, text)
    if rest:
        raise _unreadable(text, f"'{rest[0]}' is not expected there")
    return unit


def _product(tokens: list[str], text: str) -> tuple[Unit, list[str]]:
    unit, tokens = _power(tokens, text)
    while tokens and tokens[0] in "*/":
        symbol = tokens[0]
        factor, tokens = _power(tokens[1:], text)
        unit = unit * factor if symbol == "*" else unit / factor
    return unit, tokens


def _power(tokens: list[str], text: str) -> tuple[Unit, list[str]]:
    match tokens:
        case ["(", *rest]:
            unit, rest = _product(rest, text)
            if not rest or rest[0] != ")":
                raise _unreadable(text, "a bracket is not closed")
            rest = rest[1:]
        case [word, *rest] if word not in tuple("*/^()"):
            unit = _word(word, text)
        case _:
            raise _unreadable(text, "a unit is missing")
    if rest and rest[0] == "^":
        exponent, rest = _exponent(rest[1:], text)
        unit = unit**exponent
    return unit, rest


def _exponent(tokens: list[str], text: str) -> tuple[Fraction, list[str]]:
    match tokens:
        case ["(", above, "/", below, ")", *rest]:
            number = f"{above}/{below}"
        case ["(", number, ")", *rest] | [number, *rest]:
            pass
        case _:
            number, rest = "nothing", []
    try:
        return Fraction(number), rest
    except (ValueError, ZeroDivisionError):
        raise _unreadable(text, f"an exponent must be a number, not '{number}'") from None


def _word(word: str, text: str) -> Unit:
    spelling = re.sub(r"[\s_]+", " ", word)
    name = spelling.lower()
    if name not in _SYNONYMS and re.match(r"[-+.\d]", name):
        raise _unreadable(text, f"'{word}' is a number, and units have no size")
    name = _SYNONYMS.get(name, name)
    return _unit({name: Fraction(1)}, {name: spelling}) if name else DIMENSIONLESS


def _unit(powers: Mapping[str, Fraction], spelling: Mapping[str, str]) -> Unit:
    kept = tuple(sorted((word, p) for word, p in powers.items() if p))
    return Unit(kept, {word: spelling[word] for word, _ in kept if word in spelling})


def _unreadable(text: str, reason: str) -> UnitError:
    return UnitError(
        f"'{text}' is not a unit: {reason}; write words joined by * and /, as bnCNY/(firm*Year), "
        "or Dmnl"
    )
