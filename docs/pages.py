"""Pages that are made, not written: commands, modules, and the notebooks with their outputs.

``docs/conf.py`` calls `write_pages` at each build, so these pages cannot grow stale.  A new module
or command appears by itself.
"""

from __future__ import annotations

import ast
import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "beltcast"


def write_pages(folder: Path) -> None:
    """Write all of them into a folder that holds nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("modules", "engine", "notebooks"):
        (folder / name).mkdir(parents=True)
    (folder / "commands.md").write_text(commands(), encoding="utf-8")
    for module, _ in modules():
        page = f"# {module}\n\n```{{eval-rst}}\n.. automodule:: beltcast.{module}\n```\n"
        (folder / f"{_page(module)}.md").write_text(page, encoding="utf-8")
    (folder / "public.inc").write_text(public_names(), encoding="utf-8")
    rows = [
        f"* [`{module}`](../generated/{_page(module)}.md): {title}" for module, title in modules()
    ]
    (folder / "modules.inc").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        shutil.copy(notebook, folder / "notebooks" / notebook.name)


def live_page(folder: Path) -> None:
    """Write the page of the shipped forecast, which the documentation links to as an example."""
    from beltcast.app.page import page
    from beltcast.forecasting.forecast_file import open_forecast

    folder.mkdir(exist_ok=True)
    (folder / "page.html").write_text(page(*open_forecast()), encoding="utf-8")


def _page(module: str) -> str:
    """Where a module's page stands: the engine is a part of its own."""
    return f"{'engine' if module.startswith('engine.') else 'modules'}/{module}"


def modules() -> Iterator[tuple[str, str]]:
    """Every module of the package and the first line of its docstring, the engine's last."""
    paths = sorted(PACKAGE.rglob("*.py"), key=lambda path: (path.parent != PACKAGE, path))
    for path in paths:
        if path.stem.startswith("_") or path.stem == "cli":
            continue
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()
        yield module, " ".join(first.split("\n\n")[0].split())


def public_names() -> str:
    """Return a table of what `import beltcast` gives, linked to where it is explained."""
    import beltcast

    homes = beltcast._homes()  # which module a public name comes from
    rows = [f"   ~{homes[name]}.{name}" for name in sorted(homes, key=str.casefold)]
    return "\n".join(["```{eval-rst}", ".. autosummary::", "", *rows, "```", ""])


def commands() -> str:
    """Return a page of all commands from the application itself, with an address per option."""
    from typer.main import get_command

    from beltcast.cli import _PANELS, app

    group = get_command(app)
    known = group.commands  # type: ignore[attr-defined]  # the root command is a group
    lines = [
        "# Commands",
        "",
        "`beltcast COMMAND --help` prints the same. Exit codes: 0 success; 1 the computation",
        "failed or a check found a fault; 2 the input is wrong; 130 interrupted.",
        "",
    ]
    for panel, functions in _PANELS.items():
        lines += [f"## {panel}", ""]
        for function in functions:
            name = function.__name__.removesuffix("_command").replace("_", "-")
            lines += _command(name, known[name])
    return "\n".join(lines)


def _command(name: str, command: Any) -> list[str]:
    """Section of a command: its help, then its arguments and options."""
    program = f"beltcast {name}"
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    shown = [one.name.upper() if one.required else f"[{one.name.upper()}]" for one in arguments]
    directives = [f".. program:: {program}", ""]
    for parameter in command.params:
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        if parameter in arguments:
            names = parameter.name.upper()
        directives += [f".. option:: {names}{_value(parameter)}", ""]
        text = f"{parameter.help or ''}{_default(parameter)}".strip()
        directives += [f"   {_rst(text)}", ""] if text else []
    return [
        f"### {program}",
        "",
        *_help(command.help or ""),
        "```text",
        " ".join([program, *shown, "[OPTIONS]"]),
        "```",
        "",
        "```{eval-rst}",
        *directives,
        "```",
        "",
    ]


def _help(text: str) -> list[str]:
    """Help as Markdown: the examples, which are indented, become one block of code."""
    lines: list[str] = []
    examples: list[str] = []
    for paragraph in inspect.cleandoc(text).replace("\b\n", "").split("\n\n"):
        if paragraph.startswith("    "):
            examples += [line.strip() for line in paragraph.splitlines()]
        else:
            lines += [*paragraph.splitlines(), ""]
    return [*lines, "```", *examples, "```", ""] if examples else lines


_KINDS = {"str": "text", "float": "number", "int": "integer", "Path": "path"}


def _value(parameter: Any) -> str:
    """What stands after the name of an option: the type of its value."""
    if parameter.param_type_name == "argument" or parameter.is_flag:
        return ""
    annotation = parameter.type_descriptor.annotation
    (inner,) = get_args(annotation) or (annotation,)  # of list[Path], the Path
    return f" <{_KINDS.get(inner.__name__, inner.__name__)}>"


def _default(parameter: Any) -> str:
    """Default of an option, and whether it may be repeated, where the help does not say so."""
    value = parameter.default
    several = " May be repeated." if parameter.multiple else ""
    flag = getattr(parameter, "is_flag", False)
    if callable(value) or value in (None, False, "", ()) or flag or "efault" in parameter.help:
        return several
    shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f" Default: {shown}.{several}"


def _rst(text: str) -> str:
    """Text that reStructuredText takes as it is."""
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("`", "\\`").replace("|", "\\|")
