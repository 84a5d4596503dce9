"""The language in which a command speaks: its help, results, progress and errors.

The option ``--language`` decides, else the locale.  `main` and the wrapper of each command set it,
and all that is printed for people passes through `said`; JSON and files of data stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from typer import rich_utils

from beltcast.display.chinese import CHART_TEXTS, in_chinese
from beltcast.display.translations import checked_language, locale_language
from beltcast.errors import BeltcastError
from beltcast.schema import LANGUAGES

if TYPE_CHECKING:
    from beltcast.schema import Label, Language
    from beltcast.study.study import Study

_SPOKEN: ContextVar[Language] = ContextVar("language", default="en")
_NO_LABELS: Mapping[str, Label] = MappingProxyType({})
_LABELS: ContextVar[Mapping[str, Label]] = ContextVar("labels", default=_NO_LABELS)

_PANELS = tuple(f"{name}_PANEL_TITLE" for name in ("ARGUMENTS", "OPTIONS", "COMMANDS", "ERRORS"))
_AROUND = {
    "DEFAULT_STRING": "[默认：{}]",
    "REQUIRED_LONG_STRING": "[必填]",
    "RICH_HELP": "用 [blue]'{command_path} {help_option}'[/] 查看帮助。",
    "ABORTED_TEXT": "已中止。",
    "rich_format_error": "",
}
"""What typer prints around help and errors."""


def language_of(given: str | None) -> Language:
    """Return the language that is given, else that of the locale."""
    return locale_language(os.environ) if given is None else checked_language(given)


def spoken() -> Language:
    """Return the language in use."""
    return _SPOKEN.get()


def speak(given: str | None) -> None:
    """Use a language from now on, or that of the locale."""
    _SPOKEN.set(language_of(given))
    CHART_TEXTS.set(said)


@contextmanager
def speaking(arguments: Sequence[str]) -> Iterator[None]:
    """Use the language of a command line before it is understood, for its help and its errors."""
    asked = [
        word.partition("=")[2] or after
        for word, after in zip(arguments, [*arguments[1:], ""], strict=False)
        if word.partition("=")[0] == "--language"
    ]
    language = language_of(next((word for word in asked if word in LANGUAGES), None))
    before = {name: getattr(rich_utils, name) for name in (*_PANELS, *_AROUND)}
    spoken, labels = _SPOKEN.set(language), _LABELS.set(_NO_LABELS)
    if language == "zh":
        changed = {name: said(str(before[name])) for name in _PANELS} | dict(_AROUND)
        changed["rich_format_error"] = _error_in_chinese(before["rich_format_error"])
        for name, own in changed.items():
            setattr(rich_utils, name, own)
    try:
        yield
    finally:
        _SPOKEN.reset(spoken)
        _LABELS.reset(labels)
        for name, own in before.items():
            setattr(rich_utils, name, own)


def remember(study: Study) -> Study:
    """Take what a study calls things for what is printed from now on."""
    _LABELS.set(study.labels())
    return study


def said(text: str) -> str:
    """Say a text in the language in use."""
    return in_chinese(text, _LABELS.get()) if _SPOKEN.get() == "zh" else text


def say(text: str, *, err: bool = False) -> None:
    """Print a text in the language in use."""
    typer.echo(said(text), err=err)


def said_page(page: RenderableType) -> RenderableType:
    """Say the texts and the tables of a page in the language in use."""
    if _SPOKEN.get() == "en":
        return page
    match page:
        case str():
            return said(page)
        case Text():
            return Text(said(page.plain), style=page.style)
        case Group():
            return Group(*map(said_page, page.renderables))
        case Table():
            for name in ("title", "caption"):
                setattr(page, name, (own := getattr(page, name)) and said_page(own))
            for column in page.columns:
                column.header = said_page(column.header)
                column._cells = [_said_cell(cell) for cell in column._cells]
        case _:
            pass
    return page


def _said_cell(cell: RenderableType) -> RenderableType:
    """Say a cell line by line: each is a thing of its own."""
    return "\n".join(map(said, cell.split("\n"))) if isinstance(cell, str) else said_page(cell)


def said_error(problem: BeltcastError) -> str:
    """Say an error in the language in use: its place in a file, then its sentence."""
    place = str(problem).removesuffix(problem.sentence)
    return said(place.removesuffix(": ")) + place[-2:] + said(problem.sentence)


def spoken_command(app: typer.Typer) -> Any:
    """Make the command line of an app, with its help in the language in use."""
    command = typer.main.get_command(app)
    if _SPOKEN.get() == "zh":
        for one in (command, *getattr(command, "commands", {}).values()):
            _help_in_chinese(one)
    return command


def _help_in_chinese(command: Any) -> None:
    command.help = "\n\n".join(map(said, (command.help or "").split("\n\n")))
    if panel := getattr(command, "rich_help_panel", None):
        command.rich_help_panel = said(panel)
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = said(parameter.help)
    usage, asked = command.get_usage, command.get_help_option

    def help_option(context: Any) -> Any:
        option = asked(context)
        option.help = said(option.help)
        return option

    command.get_usage = lambda context: usage(context).replace("Usage:", "用法：", 1)
    command.get_help_option = help_option


def _error_in_chinese(shown: Any) -> Any:
    def show(problem: Any) -> None:
        sentence = said(problem.format_message())
        problem.format_message = lambda: sentence
        shown(problem)

    return show
