"""Renew what README.md and calibration/results take from a run of the main job.

Run it on a quiet machine after a change of the model, the figures or the engine::

    python docs/refresh.py
    python docs/refresh.py verify     # the backtest, ten minutes or more
    python docs/refresh.py skill      # README's table from the backtest that is kept
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "runs" / "belt"
KEPT = ("calibration.csv", "draws.nc", "fit.csv", "summary.txt")
VERIFICATION = ROOT / "calibration" / "results" / "verification.nc"
SKILL = "skill: python docs/refresh.py skill"


def main() -> None:
    """Do what is asked for, the main job by default."""
    {"": main_job, "verify": verify, "skill": skill}["".join(sys.argv[1:])]()


def verify() -> None:
    """Run the backtest, keep it and renew its table; fewer draws than usual keep the file small."""
    command = [sys.executable, "-m", "beltcast", "verify", "--draws", "300"]
    subprocess.run(command, cwd=ROOT, check=True)
    shutil.copy(ROOT / "runs" / "belt-verified" / VERIFICATION.name, VERIFICATION)
    skill()


def skill() -> None:
    """Put the table of skill into README.md."""
    # Here and not above: the other jobs need no package in this process.
    import xarray as xr

    from beltcast.verification.skill import case_scores
    from beltcast.verification.skill_text import skill_markdown

    with xr.open_dataset(VERIFICATION) as backtest:
        scores = case_scores(backtest.load())
    table = skill_markdown(scores, "sd")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(between(text, SKILL, table.strip()), encoding="utf-8")


def main_job() -> None:
    """Run the commands and put their output between the markers."""
    subprocess.run([sys.executable, "-m", "beltcast", "forecast"], cwd=ROOT, check=True)
    shutil.copy(RESULTS / "fan-china.png", ROOT / "docs" / "images" / "fan-china.png")
    for name in KEPT:
        shutil.copy(RESULTS / name, ROOT / "calibration" / "results" / name)
    summary = (RESULTS / "summary.txt").read_text(encoding="utf-8")
    speed = subprocess.run(
        [sys.executable, "tests/benchmarks/speed.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    shown = summary.split("\nWhat the figures narrowed most")[0]  # the first tables are enough
    trimmed = "\n".join(line.rstrip() for line in shown.strip().splitlines())
    text = between(text, "summary: beltcast forecast", f"```\n{trimmed}\n```")
    text = between(
        text,
        "speed: python tests/benchmarks/speed.py",
        f"Measured by `python tests/benchmarks/speed.py`:\n\n{speed.strip()}",
    )
    readme.write_text(text, encoding="utf-8")


def between(text: str, marker: str, content: str) -> str:
    """Replace what stands between a marker and the next end."""
    pattern = re.compile(rf"(<!-- {re.escape(marker)} -->\n).*?(<!-- end -->)", re.DOTALL)
    found = pattern.search(text)
    if found is None:
        raise SystemExit(f"README.md has no marker '{marker}'")
    return text[: found.end(1)] + content + "\n" + text[found.start(2) :]


if __name__ == "__main__":
    main()
