"""Pages that are made, not written: commands, modules, and the notebooks with their outputs.

``docs/conf.py`` calls `write_pages` at each build, so these pages cannot grow stale.  A new module
or command appears by itself.
"""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

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
    from beltcast.app.page import page_html
    from beltcast.forecasting.forecast_file import open_forecast

    folder.mkdir(exist_ok=True)
    (folder / "page.html").write_text(page_html(*open_forecast()), encoding="utf-8")


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

    homes = beltcast._HOME  # which module a public name comes from
    rows = [f"   ~beltcast.{homes[name]}.{name}" for name in sorted(homes, key=str.casefold)]
    return "\n".join(["```{eval-rst}", ".. autosummary::", "", *rows, "```", ""])


def commands() -> str:
    """Return the help of every command as a page, as a terminal of 88 columns shows it."""
    os.environ.update(COLUMNS="88", TERM="dumb", NO_COLOR="1")
    from typer.main import get_command
    from typer.testing import CliRunner

    from beltcast.cli import app

    lines = ["# Commands", "", "Each as `beltcast COMMAND --help` prints it.", ""]
    for name in sorted(get_command(app).commands):  # type: ignore[attr-defined]  # a group has them
        told = CliRunner().invoke(app, [name, "--help"], prog_name="beltcast").stdout
        text = "\n".join(line.rstrip() for line in told.strip().splitlines())
        lines += [f"## beltcast {name}", "", "```text", text, "```", ""]
    return "\n".join(lines)
