"""Chinese translations of English sentences: help, errors, tables and progress of commands.

An error is raised in English, deep in the package, and is not translated in Python. The command
line translates it: `in_chinese` finds a sentence, or each of its clauses, in the catalogue
``chinese.tsv``, where ``{}`` stands for the parts that vary, and translates these too if it can.
Text that is not in the catalogue stays English; tests check that no help and no error is missing.
Texts that are composed by language are in `translations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import MappingProxyType

from beltcast.display.translations import WORDS, element_called
from beltcast.schema import Label

CHART_TEXTS: ContextVar[Callable[[str], str]] = ContextVar("chart_texts", default=str)
"""How the texts of a chart are said as it is written to a file; the command line sets it."""

_NOTHING: Mapping[str, Label] = MappingProxyType({})
_VARYING = r"((?:(?!; |\. ).)*?)"  # within one clause
_WEIGHED = re.compile(r"(\([\d.,]+\) |\S+ < )?(.*?[^\W\d].*?)( [+-]\d[\d.]*| [<>] [-\d]\S*)?")
"""A term of a sum, or a limit: a name between what stays as it is."""

_NAMED = re.compile(r"\{(\w+)[^}]*\}")
_MARKS = (
    ("\n", "\n"),
    ("; ", "；"),
    (". ", "。"),
    (": ", "："),
    (", ", "，"),
    (" + ", " + "),
    (" -> ", " → "),
)
"""What ends a clause, from the longest piece to the shortest, in English and in Chinese."""


def in_chinese(text: str, labels: Mapping[str, Label] = _NOTHING) -> str:
    """Translate an English text, as far as the catalogue and the labels of a study allow.

    Parameters
    ----------
    text : str
    labels : mapping of str to Label
        A study's names of its variables, places and scenarios.

    Examples
    --------
    >>> in_chinese("the belt 'Foshan' is given twice; keep one of them")
    "产业带 'Foshan' 重复；请只保留一个"
    >>> in_chinese("Foshan", {"Foshan": Label("Foshan", "佛山")}), in_chinese("a sentence unknown")
    ('佛山', 'a sentence unknown')
    """
    if not re.search("[A-Za-z]{2}", text):
        return text
    lead = text[: len(text) - len(text.lstrip())]
    plain = " ".join(text.split())
    whole = _entry(plain, labels)
    if whole is not None:
        return lead + whole
    if plain.endswith(".") and (whole := _entry(plain[:-1], labels)) is not None:
        return f"{lead}{whole}。"
    for mark, chinese in _MARKS:
        parts = text.split(mark)
        told = [in_chinese(part, labels) for part in parts] if len(parts) > 1 else parts
        if told != parts:
            new = [one != other for one, other in zip(told, parts, strict=True)]
            joined = told[0]
            for k, part in enumerate(told[1:]):
                joined += (chinese if new[k] and new[k + 1] else mark) + part
            return joined
    return text


def _entry(plain: str, labels: Mapping[str, Label]) -> str | None:
    """Look up a piece of text: literally, as a label, or by the template that it fills."""
    exact, templates = _catalogue()
    if plain in exact:
        return exact[plain]
    if plain in labels:
        return labels[plain].text("zh")
    if plain.partition("[")[0] in labels and plain.find("]") == len(plain) - 1:
        return element_called(plain, "zh", labels)
    for pattern, chinese in templates:
        if found := pattern.fullmatch(plain):
            return _filled(chinese, [in_chinese(part, labels) for part in found.groups()])
    if (term := _WEIGHED.fullmatch(plain)) and (term[1] or term[3]):
        return f"{term[1] or ''}{in_chinese(term[2], labels)}{term[3] or ''}"
    return None


def _filled(chinese: str, parts: Sequence[str]) -> str:
    """Put parts into ``{}``, in turn, and into ``{0}``, ``{1}`` by number; other braces stay."""
    turn = iter(parts)
    return re.sub(r"\{(\d*)\}", lambda at: parts[int(at[1])] if at[1] else next(turn), chinese)


@cache
def _catalogue() -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    """Fixed texts, and templates, the most specific one first."""
    text = Path(__file__).with_name("chinese.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    pairs = {**dict(map(_by_number, WORDS.values())), **dict(lines)}
    exact = {english: chinese for english, chinese in pairs.items() if "{}" not in english}
    varying = [english for english in pairs if re.search("[a-z]{2}", english) and "{}" in english]
    varying.sort(key=lambda english: -len(english.replace("{}", "")))
    return exact, [
        (re.compile(_VARYING.join(map(re.escape, english.split("{}")))), pairs[english])
        for english in varying
    ]


def _by_number(pair: tuple[str, str]) -> tuple[str, str]:
    """Number the parts of a text that is composed by language, instead of naming them."""
    names = _NAMED.findall(pair[0])
    chinese = _NAMED.sub(lambda at: f"{{{names.index(at[1])}}}", pair[1])
    return " ".join(_NAMED.sub("{}", pair[0]).split()), chinese
