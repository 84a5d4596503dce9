"""The notebooks run from top to bottom, and each is kept with the outputs of a run."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import jupytext
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))
REFRESH = "run python notebooks/refresh.py"

LARGEST = 600_000
"""Bytes of a notebook with its outputs: a difference of two versions stays readable."""


def cells(path: Path) -> list[Any]:
    return json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]


def test_there_are_notebooks() -> None:
    assert SCRIPTS
    assert {p.stem for p in FOLDER.glob("*.ipynb")} == {p.stem for p in SCRIPTS}


SLOW = ("02-reading-a-calibration", "04-what-drives-the-belt")
"""Each half a minute of processor time."""


@pytest.mark.usefixtures("saved_fit", "short_walks")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.long] if path.stem in SLOW else [])
        for path in SCRIPTS
    ],
)
def test_notebook_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A percent script is the notebook's cells in order; what a cell prints must not be empty.
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path))
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_and_its_script_have_the_same_cells(path: Path) -> None:
    edited = [(c.cell_type, c.source) for c in jupytext.read(path).cells]
    kept = [(c["cell_type"], "".join(c["source"])) for c in cells(path)]
    assert kept == edited, REFRESH


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_small_outputs_and_without_errors(path: Path) -> None:
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert all(cell["execution_count"] for cell in code), REFRESH
    assert outputs, REFRESH
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert path.with_suffix(".ipynb").stat().st_size < LARGEST
