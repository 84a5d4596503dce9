"""What the documentation tells a user to type is accepted; what it links to is there."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import openpyxl
import pytest
from typer.main import get_command

from beltcast import cli, read_study
from beltcast.files.shipped import shipped
from beltcast.study.observations_file import COLUMNS
from beltcast.study.scenarios import read_scenarios
from beltcast.study.starter import init

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MADE = {DOCS / "generated", DOCS / "_build"}
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh-CN.md",
    shipped("models/templates/common/README.md"),
    *sorted(path for path in DOCS.rglob("*.md") if not MADE & set(path.parents)),
]


def plain_lines(text: str) -> list[str]:
    """Lines of the blocks of code without a language, which hold what a user types."""
    lines: list[str] = []
    fence: str | None = None
    for line in text.splitlines():
        if line.startswith("```"):
            fence = line[3:] if fence is None else None
        elif fence == "":
            lines.append(line)
    return lines


def place_of(page: Path) -> str:
    """Path of a page from the root: the names of two pages may be the same."""
    return Path(os.path.relpath(page, ROOT)).as_posix()


def command_lines() -> list[tuple[str, str]]:
    """Page and line of every command of ours in a block of code."""
    found = []
    for page in PAGES:
        for line in plain_lines(page.read_text(encoding="utf-8")):
            for part in re.split(r"&&|\||;", line.partition("#")[0]):
                if part.strip().startswith("beltcast "):
                    found.append((place_of(page), part.strip()))
    return found


def inline_commands() -> list[tuple[str, str]]:
    """Page and text of every command of ours within a sentence."""
    return [
        (place_of(page), " ".join(text.split()))
        for page in PAGES
        for text in re.findall(r"(?<!`)`(beltcast [^`]+)`(?!`)", page.read_text(encoding="utf-8"))
    ]


def test_commands_are_found() -> None:
    assert len(command_lines()) > 60
    assert len(inline_commands()) > 40


@pytest.mark.parametrize(("page", "text"), sorted(set(inline_commands())))
def test_a_command_within_a_sentence_exists_with_its_options(page: str, text: str) -> None:
    name, *words = text.removeprefix("beltcast ").partition(";")[0].split()
    if name.startswith("--") or name in ("COMMAND", "命令"):
        return
    known = {name for p in get_command(cli.app).commands[name].params for name in p.opts}
    known |= {name for p in get_command(cli.app).commands[name].params for name in p.secondary_opts}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in {*known, "--help"}, page


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


def python_blocks() -> list[tuple[str, str]]:
    """Page and text of every block of Python."""
    return [
        (place_of(page), block)
        for page in PAGES
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    ]


def test_blocks_of_python_are_found() -> None:
    assert len(python_blocks()) > 8


@pytest.mark.parametrize(("page", "block"), python_blocks())
def test_what_a_block_of_python_imports_exists(page: str, block: str) -> None:
    """It is Python, and each name that it takes from the package is there, as is each argument."""
    known: dict[str, object] = {}
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("beltcast"):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                assert hasattr(module, name.name), (page, name.name)
                known[name.asname or name.name] = getattr(module, name.name)
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.startswith("beltcast"):
                    known[name.asname or name.name] = importlib.import_module(name.name)
    for node in ast.walk(ast.parse(block)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            owner = known.get(called.value.id)
            if not inspect.ismodule(owner):
                continue
            assert hasattr(owner, called.attr), (page, called.attr)
            function = getattr(owner, called.attr)
        elif isinstance(called, ast.Name) and called.id in known:
            function = known[called.id]
        else:
            continue
        allowed = inspect.signature(function).parameters  # type: ignore[arg-type]
        if any(p.kind is p.VAR_KEYWORD for p in allowed.values()):
            continue
        for keyword in node.keywords:
            assert keyword.arg is None or keyword.arg in allowed, (page, keyword.arg)


def test_the_scenario_of_the_tutorial_fits_the_belt_model() -> None:
    (scenario,) = read_scenarios(ROOT / "docs/howto/mine.toml", read_study().model).values()
    assert scenario.uncertain


OUTPUTS = re.compile(
    r"<!-- output (\S+): (beltcast .*?) -->\n```text\n(.*?)\n```\n<!-- end -->", re.S
)


def test_every_shown_output_belongs_to_a_command_of_its_page() -> None:
    shown = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for _, command, output in OUTPUTS.findall(text):
            assert command in plain_lines(text), (page, command)
            assert output.strip(), (page, command)
            shown += 1
    assert shown > 10


# Smaller than documented, so that a page takes minutes: few draws, starts, sets and runs.
SMALLER = {
    "--draws": "20",
    "--starts": "2",
    "--refine": "1",
    "--moves": "2",
    "--burn-in": "4",
    "--every": "2",
    "--sets": "10",
    "--base": "4",
    "--generations": "2",
    "--policies": "8",
    "--profiles": "1",
    "--sources": "1",
    "--chains": "2",
}

ELSEWHERE = {
    "docs/howto/large-ensembles.md": "a scheduler on another machine; tests/scale runs its plans",
    "docs/howto/how-sure.md": "half an hour of fits; tests/inference asks each of its questions",
    "docs/sampling.md": "half an hour; tests/inference and tests/files run and resume each command",
    "docs/verification.md": "ten minutes or more; python docs/refresh.py verify runs it",
    "models/templates/common/README.md": "tests/study/test_starter.py, in a study of its own",
}
"""Pages whose commands no test runs as they stand, and why."""

RUN = [
    "README.md",
    "README.zh-CN.md",
    "docs/tutorials/first-forecast.md",
    "docs/tutorials/own-model.md",
    "docs/tutorials/reading-a-calibration.md",
    "docs/zh/tutorial.md",
    "docs/drivers.md",
    "docs/loops.md",
    "docs/robust.md",
    "docs/gallery/index.md",
    "docs/reference/schemas.md",
    *sorted({page for page, _ in command_lines() if page.startswith("docs/howto")} - {*ELSEWHERE}),
]
"""Pages whose commands a test runs, with the files of `OWN` in the place of their reader's own."""

GALLERY = "docs/gallery/"
HARE = {name: f"{GALLERY}hare-lynx/{name}" for name in ("data.csv", "priors.toml", "columns.toml")}
BASS = {"sir.mdl": f"{GALLERY}bass/model.mdl"}
HARES = (
    (ROOT / GALLERY / "hare-lynx" / "model.mdl")
    .read_text(encoding="utf-8")
    .replace("alpha*Hare -", "hare births -")
    .replace("Hare0 =", "hare births = alpha*Hare ~ kpelt/Year ~ |\nHare0 =")
)
"""A model with a flow that has a name, so that a study can forecast it."""

RABBITS = """{UTF-8}
rabbits = INTEG(births - deaths, 100) ~ rabbit ~ |
births = rabbits*birth rate ~ rabbit/Year ~ |
deaths = rabbits/lifetime ~ rabbit/Year ~ |
birth rate = 0.3 ~ 1/Year ~ |
lifetime = 4 ~ Year ~ |
INITIAL TIME = 0 ~ Year ~ |
FINAL TIME = 10 ~ Year ~ |
TIME STEP = 0.125 ~ Year ~ |
SAVEPER = TIME STEP ~ Year ~ |
"""
HEADER = ",".join(COLUMNS) + "\n"
OWN: dict[str, dict[str, str]] = {
    "docs/gallery/index.md": {
        **HARE,
        "model.mdl": f"{GALLERY}hare-lynx/model.mdl",
        **{n: f"{GALLERY}world2/{n}" for n in ("plan.toml", "uncertain.toml", "world2.mdl")},
    },
    "docs/howto/compare-and-document.md": {
        "old.mdl": RABBITS,
        "new.mdl": RABBITS.replace("0.3", "0.2"),
        "mine.mdl": RABBITS,
    },
    "docs/howto/events.md": {"models/belt/events.toml": "models/belt/events.toml"},
    "docs/howto/export.md": {"runs/belt/forecast.nc": "calibration/results/forecast.nc"},
    "docs/howto/frozen-forecasts.md": {
        "new-rows.csv": HEADER + "China,output,part-year,2026,2026.5,1090,bn CNY,gacc,preliminary,"
        "A,2026.54,a test,,,\n"
    },
    "docs/howto/own-model.md": {
        **HARE,
        "mine.mdl": HARES,
        # As the page says, implicit steps need no short TIME STEP.
        "model.mdl": HARES.replace("TIME STEP = 0.0625", "TIME STEP = 1"),
    },
    "docs/loops.md": {"mine.mdl": RABBITS},
    "docs/reference/schemas.md": {"mine.mdl": RABBITS},
    "docs/howto/study.md": {
        **BASS,
        "flu.csv": f"{GALLERY}bass/data.csv",
        "sir.voc": f"{GALLERY}bass/search.voc",
    },
    "docs/howto/trace-causes.md": {"mine.mdl": RABBITS},
    "docs/howto/update.md": {
        "new-rows.csv": HEADER + "China,output,part-year,2026,2026.5,1090,bn CNY,gacc,preliminary,"
        "A,2026.54,a test,,,\n",
        "my-rows.csv": HEADER + "Foshan,output,level,2026,2027,30,bn CNY,reference,final,B,2027.2,"
        "a test,,,\n",
        "calibration/data/half-year-2025.csv": "calibration/data/half-year-2025.csv",
    },
    "docs/howto/vensim-files.md": {
        **BASS,
        "cases.csv": f"{GALLERY}bass/data.csv",
        "search.voc": f"{GALLERY}bass/search.voc",
        "fit.vpd": "*C\nSales|Sales/100\n",
        "base.cin": "m = 50000\n",
    },
}


def write_own_files(page: str, folder: Path) -> None:
    """Write what a page takes its reader to have: a file of the repository, or its text."""
    for name, given in OWN.get(page, {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if "\n" in given:
            path.write_text(given, encoding="utf-8")
        else:
            shutil.copy(ROOT / given, path)
    if page == "docs/howto/update.md":
        init(folder / "mine", belts=["Foshan"])
    if page == "docs/howto/excel.md":
        write_own_workbooks(folder)


def write_own_workbooks(folder: Path) -> None:
    """Write workbooks as an analyst saves them, with one sheet each."""
    init(folder / "like", belts=["Foshan", "东莞"], workbook=True)
    known = openpyxl.load_workbook(folder / "like" / "like.xlsx")
    header, first = (
        list(row) for row in known["observations"].iter_rows(max_row=2, values_only=True)
    )
    new = dict(zip(header, first, strict=True)) | {
        "kind": "part-year",
        "period": "2026年上半年",
        "value": 160,
        "unit": "亿元",
        "vintage": "初步",
        "published": 2026.6,
    }
    sheets = {
        "ideas": list(known["scenarios"].iter_rows(values_only=True)),
        "new": [header, list(new.values())],
        "cases": [("Year", "Sales"), *((1.0 + k, 800 * 1.5**k) for k in range(6))],
        "sir": [
            ("parameter", "distribution", "median", "log_sd"),
            ("m", "lognormal", 60000, 0.5),
            ("p", "lognormal", 0.01, 0.5),
            ("q", "lognormal", 0.5, 0.3),
        ],
    }
    for name, rows in sheets.items():
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(list(row))
        book.save(folder / f"{name}.xlsx")
    shutil.copy(ROOT / BASS["sir.mdl"], folder / "sir.mdl")


def smaller(name: str, arguments: list[str]) -> list[str]:
    """Arguments of a command with fewer draws, starts and so on, where it has such options."""
    options = {opt for p in get_command(cli.app).commands[name].params for opt in p.opts}
    kept = list(arguments)
    for option, value in SMALLER.items():
        if option in options:
            while option in kept:
                at = kept.index(option)
                del kept[at : at + 2]
            kept += [option, value]
    return kept


@pytest.mark.long
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_run_in_their_order(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("HOME", str(tmp_path))
    text = (ROOT / page).read_text(encoding="utf-8")
    folders = [DOCS / "howto", *map(ROOT.joinpath, re.findall(r"<!-- files: (\S+) -->", text))]
    write_own_files(page, tmp_path)
    for folder in folders:
        for file in folder.iterdir():
            if file.suffix in (".toml", ".mdl", ".csv", ".voc"):
                shutil.copy(file, tmp_path)
    for known, line in command_lines():
        if known != page or line.split()[1].startswith("--"):
            continue
        _, name, *arguments = shlex.split(line)
        monkeypatch.setattr(sys, "argv", ["beltcast", name, *smaller(name, arguments)])
        monkeypatch.setattr("webbrowser.open", lambda _: True)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        # Of two models that differ, `diff` says so with 1.
        assert (ended.value.code or 0) == int(name == "diff"), (line, capsys.readouterr().err)


def test_every_page_with_commands_is_run_or_says_where_they_are() -> None:
    assert {page for page, _ in command_lines()} == {*RUN, *ELSEWHERE}


def other_commands() -> list[tuple[str, str]]:
    """Page and text of every command in a block or a sentence that runs a file of the checkout."""
    found = []
    for page in (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "models" / "belt" / "README.md"):
        text = page.read_text(encoding="utf-8")
        inline = (" ".join(words.split()) for words in re.findall(r"(?<!`)`([^`]+)`(?!`)", text))
        for line in (*plain_lines(text), *inline):
            if re.match(r"(?:\w+=\S+ )*(?:python|pytest) ", line):
                found.append((place_of(page), line.partition(" #")[0]))
    return sorted(set(found))


@pytest.mark.parametrize(("page", "line"), other_commands())
def test_a_script_or_test_of_the_documentation_is_there(page: str, line: str) -> None:
    words = [word for word in shlex.split(line) if "=" not in word]
    if words[:2] == ["python", "-m"]:
        module = words[2]
        assert module == "beltcast" or (ROOT / f"{module.replace('.', '/')}.py").exists(), page
    for word in words[1:]:
        path = word.partition("::")[0]
        if path.startswith(("tests/", "docs/", "calibration/")):
            assert (ROOT / path).exists(), (page, word)
    if words[0] == "pytest" and "-k" in words and "or" not in words[words.index("-k") + 1].split():
        file = next((word for word in words[1:] if word.startswith("tests/")), None)
        if file is None:
            return  # a form, not a command
        chosen = words[words.index("-k") + 1]
        paths = [ROOT / file] if file.endswith(".py") else (ROOT / file).rglob("test_*.py")
        names = [name for path in paths for name in re.findall(r"def (test_\w+)", path.read_text())]
        assert any(chosen in name for name in [*names, file]), (page, line)


def test_a_name_of_the_package_within_a_sentence_exists() -> None:
    found = 0
    for page in PAGES:
        for name in re.findall(r"`(beltcast(?:\.\w+)+)", page.read_text(encoding="utf-8")):
            owner: object = importlib.import_module("beltcast")
            for at, part in enumerate(parts := name.split(".")[1:], start=1):
                if not hasattr(owner, part):
                    owner = importlib.import_module(".".join(["beltcast", *parts[:at]]))
                else:
                    owner = getattr(owner, part)
            found += 1
    assert found > 20


def test_a_verdict_is_printed_by_commands_that_exist() -> None:
    page = (DOCS / "how-sure.md").read_text(encoding="utf-8")
    conditions = page.partition("## Conditions")[2].partition("\n## ")[0]
    columns = re.findall(r"^\| [^|]+ \| (`[^|]+`) \|", conditions, re.M)
    named = {words.split()[0] for column in columns for words in re.findall(r"`([^`]+)`", column)}
    assert len(named) > 8
    assert named <= set(get_command(cli.app).commands)


def test_the_table_of_extras_is_complete() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (DOCS / "reference" / "extras.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == set(project["optional-dependencies"])
