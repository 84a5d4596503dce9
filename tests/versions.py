"""A short selection of tests with the lowest and the newest versions of what beltcast depends on.

    python tests/versions.py lowest
    python tests/versions.py newest
    python tests/versions.py newest --python python3.13

Makes a virtual environment in a temporary folder. ``lowest`` pins each dependency of
pyproject.toml (and of the extras ``scale``, ``parquet`` and ``xls``) to the bound that is declared;
what these bring is left to pip. Prints the versions, and ends with the exit code of pytest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("scale", "parquet", "xls")
SELECTED = (
    "tests/test_journey.py",
    "tests/engine/test_language.py",
    "tests/engine/test_array_functions.py",
    "tests/engine/test_tables.py",
    "tests/study/test_starter.py",
    "tests/study/test_workbooks.py",
    "tests/reports/test_export.py",
    "tests/inference/test_saved.py",
    "tests/scale/test_plan.py",
    "tests/drivers/test_sensitivity.py",
    "tests/files/test_complete.py",
)
TOOLS = ("pytest", "pytest-benchmark", "pytest-xdist", "hypothesis", "playwright", "mpmath")


def pins() -> list[str]:
    """Every declared dependency at its lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"]]
    for extra in EXTRAS:
        lines += project["optional-dependencies"][extra]
    return [line.replace(">=", "==") for line in lines]


def main() -> int:
    """Make the environment and run the tests."""
    plain = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("which", choices=("lowest", "newest"))
    parser.add_argument("--python", default=sys.executable)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="versions-") as scratch:
        venv = Path(scratch) / "venv"
        subprocess.run([asked.python, "-m", "venv", str(venv)], check=True)
        constraints = Path(scratch) / "constraints.txt"
        constraints.write_text("\n".join(pins()) if asked.which == "lowest" else "")
        python = str(venv / "bin" / "python")
        ours = f"{ROOT}[{','.join(EXTRAS)}]"
        pip = [python, "-m", "pip", "install", "--quiet", "-c", str(constraints)]
        subprocess.run([*pip, "-e", ours, *TOOLS], check=True)
        subprocess.run([python, "--version"], check=True)
        shown = subprocess.run(
            [python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True
        ).stdout.decode()
        names = {line.partition("==")[0].lower() for line in pins()}
        print(" ".join(one for one in shown.split() if one.partition("==")[0].lower() in names))
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return subprocess.run(
            [python, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *SELECTED],
            cwd=ROOT, env=environment,
        ).returncode  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
