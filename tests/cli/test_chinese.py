"""What the command line says in Chinese: help, errors and what commands print."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from beltcast import cli
from beltcast.display.chinese import _catalogue, in_chinese
from beltcast.schema import Label

SOURCE = Path(cli.__file__).parents[1]
OTHERS = {"UnknownName", "UnsupportedConstruct", "MissingExtra", "RunStopped", "fail"}


def parts_of_help() -> list[str]:
    """Paragraphs of help, panels and helps of options, of all commands."""
    group: Any = typer.main.get_command(cli.app)
    texts: list[str] = []
    for command in (group, *group.commands.values()):
        texts += [command.help, getattr(command, "rich_help_panel", None)]
        texts += [getattr(parameter, "help", None) for parameter in command.params]
    paragraphs = (" ".join(one.split()) for text in texts if text for one in text.split("\n\n"))
    return [one for one in paragraphs if one and not one.startswith("beltcast ")]


def test_all_help_of_all_commands_is_in_the_catalogue() -> None:
    assert [one for one in parts_of_help() if one not in _catalogue()[0]] == []


def test_a_template_says_in_chinese_as_many_things_as_it_takes() -> None:
    exact, templates = _catalogue()
    for pattern, chinese in templates:
        assert len(re.findall(r"\{\d*\}", chinese)) == pattern.groups, chinese
    foreign = [english for english, chinese in exact.items() if english == chinese]
    assert foreign == ["R-hat"]


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[str, int]:
    monkeypatch.setattr(sys, "argv", ["beltcast", *words])
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    return told.out + told.err, int(ended.value.code or 0)


def test_help_is_in_the_language_of_the_locale_or_of_the_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    chinese, _ = printed(monkeypatch, capsys, "init", "--help")
    assert "用法：" in chinese
    assert "要新建的文件夹。" in chinese
    assert "Show this" not in chinese
    english, _ = printed(monkeypatch, capsys, "check", "--language", "en", "--help")
    assert "Print the findings as JSON." in english
    assert not re.search("[\u4e00-\u9fff]", english)


def test_a_wrong_option_and_a_wrong_argument_are_answered_in_chinese(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told, code = printed(monkeypatch, capsys, "forecast", "--language", "zh", "--draws", "x")
    assert (code, "的值无效" in told) == (2, True)
    told, code = printed(monkeypatch, capsys, "update", "--language", "zh")
    assert (code, told) == (2, "beltcast: 没有新的公布数据；请给出文件，或用 --as-of 给出日期\n")


def test_what_varies_in_a_sentence_is_said_in_chinese_too_and_names_stay() -> None:
    told = in_chinese("unknown place 'Foshn'; did you mean 'Foshan'?")
    assert told == "未知地区 'Foshn'；是否指 'Foshan'？"
    assert in_chinese("what no catalogue has; keep one of them") == (
        "what no catalogue has; 请只保留一个"
    )


def test_a_term_keeps_its_number_and_its_brackets() -> None:
    labels = {
        "Size": Label("Size", "规模"),
        "East": Label("East", "东部"),
        "pull": Label("pull", "拉动"),
    }
    told = in_chinese("1. (8.5) Size[East] +0.87, pull -0.35, Size[East] -0.23", labels)
    assert told == "1. (8.5) 规模[东部] +0.87，拉动 -0.35，规模[东部] -0.23"
    told = in_chinese("Size[East] and pull: correlation +0.93", labels)
    assert told == "规模[东部] 与 拉动：相关系数 +0.93"


def template(node: ast.expr) -> str:
    """A text with {} for what varies."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return template(left) + template(right)
    return "{}"


def clauses_of_errors() -> dict[str, str]:
    """Clauses that errors are raised with, and where; those of the engine apart."""
    found: dict[str, str] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[given, *_]):
                    if name.endswith("Error") or name in OTHERS:
                        where = f"{path.relative_to(SOURCE)}:{node.lineno}"
                        found |= dict.fromkeys(template(given).split("; "), where)
    return {one: where for one, where in found.items() if not where.startswith("engine/")}


def test_every_error_outside_the_engine_is_in_the_catalogue() -> None:
    """A clause of two words or more that the source writes out."""
    missing = {}
    for clause, where in clauses_of_errors().items():
        if len(re.findall("[a-z]{2,}", clause.replace("{}", " "))) < 2:
            continue
        # What ends a word, as did_you_mean does, begins with a semicolon and is a clause itself.
        told = re.sub(r"(?<=[\w'])\{\}$", "", clause).replace("{}", "X")
        if in_chinese(told) == told:
            missing[where] = clause
    assert missing == {}
