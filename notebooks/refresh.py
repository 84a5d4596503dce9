"""Execute the notebooks and keep their outputs: ``python notebooks/refresh.py [NAME ...]``.

Each notebook exists twice: ``NAME.py``, a percent script in which differences can be read and which
is edited, and ``NAME.ipynb``, made from it here with the outputs of a run.  Opened in Jupyter with
jupytext, the two stay paired (``jupytext.toml``).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent

TIMEOUT = 1800
"""Seconds that a cell may take on a busy machine."""

SETTINGS = """
import matplotlib
from IPython import get_ipython

get_ipython().run_line_magic("matplotlib", "inline")
matplotlib.rcParams["figure.dpi"] = 60
"""
"""Run before the first cell: small pictures, since outputs are kept under version control."""


def refresh(script: Path) -> Path:
    """Execute a percent script as a notebook and write it beside the script."""
    notebook = jupytext.read(script)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # a random one would differ at each refresh
    settings = nbformat.v4.new_code_cell(SETTINGS, id="settings")
    notebook.cells.insert(0, settings)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": folder}})
        client.execute()
    notebook.cells.remove(settings)
    for number, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
        cell["execution_count"] = number + 1
        for output in cell["outputs"]:
            if "execution_count" in output:
                output["execution_count"] = number + 1
        cell["metadata"].pop("execution", None)  # when each cell ran
    notebook.metadata.pop("language_info", None)
    path = script.with_suffix(".ipynb")
    nbformat.write(notebook, path)
    return path


def scripts() -> list[Path]:
    """Percent scripts of all notebooks, in their order."""
    return sorted(HERE.glob("[0-9]*.py"))


if __name__ == "__main__":
    for one in scripts():
        if not sys.argv[1:] or one.stem in sys.argv[1:]:
            print(f"Wrote {refresh(one)}")
