"""Fit the cases of the gallery and draw them: python docs/gallery/pictures.py [CASE ...].

Leaves picture.png in the folder of each case: observations with predictive bands, and residuals.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

GALLERY = Path(__file__).parent


def draw(case: str) -> None:
    """Run ``beltcast calibrate`` in the folder of a case and keep its picture."""
    folder = GALLERY / case
    priors = "search.voc" if (folder / "search.voc").exists() else "priors.toml"
    files = ["--model", "model.mdl", "--data", "data.csv", "--columns", "columns.toml"]
    with TemporaryDirectory() as scratch:
        out = Path(scratch) / "fit"
        command = ["beltcast", "calibrate", *files, "--priors", priors, "--output", str(out)]
        if case == "boehm":
            command += ["--integration", "stiff"]
        subprocess.run(command, cwd=folder, check=True)
        shutil.copy(out / "fit.png", folder / "picture.png")


for name in sys.argv[1:] or sorted(p.parent.name for p in GALLERY.glob("*/model.mdl")):
    draw(name)
