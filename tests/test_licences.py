"""What copyleft packages a model in text needs (none), and the list that says which there are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COPYLEFT = ("odf", "portion", "pyxlsb")
"""What PySD brings: intervals, and readers of spreadsheets by way of pandas."""


def test_a_model_in_text_is_read_without_any_copyleft_package(root: Path) -> None:
    code = (
        f"import sys\nfor name in {COPYLEFT}: sys.modules[name] = None\n"
        "from beltcast import load_model\n"
        f"load_model({str(root / 'models' / 'sir' / 'sir.mdl')!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "BELTCAST_CACHE": ""},  # so that the parser is needed
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""


def test_the_list_of_licences_names_every_package_and_marks_copyleft(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "docs" / "licences.py")], capture_output=True, text=True
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert any(line.startswith("  numpy ") and "beltcast" in line for line in lines)
    marked = {line.split()[1] for line in lines if line.startswith("*")}
    assert marked <= {"odfpy", "portion", "pyxlsb"}, "a new dependency under copyleft: say so"
