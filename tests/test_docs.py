"""What the documentation tells a user to type is accepted; what it links to is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from beltcast import cli, read_study
from beltcast.files.shipped import shipped
from beltcast.study.scenarios import read_scenarios

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    shipped("models/templates/common/README.md"),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "howto").glob("*.md")),
]


def command_lines() -> list[tuple[str, str]]:
    """Page and line of every command of ours in a block of code."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            for line in block.splitlines():
                for part in re.split(r"&&|\||;", line.partition("#")[0]):
                    if part.strip().startswith("beltcast "):
                        found.append((page.name, part.strip()))
    return found


def test_commands_are_found() -> None:
    assert len(command_lines()) > 20


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_a_command_of_the_documentation_is_accepted(page: str, line: str) -> None:
    group = get_command(cli.app)
    _, name, *arguments = shlex.split(line)
    if name in ("--version", "--install-completion"):
        return
    # Names, options and types are checked; nothing is run.
    group.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_relative_link_leads_somewhere(page: Path) -> None:
    if page.parent.name == "common":
        return  # its links are those of the folder that it is copied to
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        made = "generated/" in target  # pages of the build, see docs/pages.py
        if not re.match(r"\w+:", target) and not made:
            assert (page.parent / target).exists(), target


def test_the_scenario_of_the_tutorial_fits_the_belt_model() -> None:
    (scenario,) = read_scenarios(ROOT / "docs/howto/mine.toml", read_study().model).values()
    assert scenario.uncertain
