"""Files that the four walks of CONTRIBUTING.md enter: observation, constant, equation, click.

Run ``python tests/benchmarks/walks.py``; it names the files that are listed and not entered (there
should be none), and those that are entered and not listed (helpers of all walks).  The click needs
chromium, and the packages that ``npm ci`` installs in ``web``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

os.environ["BELTCAST_CACHE"] = ""  # an equation is read from its text, not from a cache

import numpy as np
from playwright.sync_api import sync_playwright

import beltcast
from beltcast import likelihood_of, load_model, read_scenarios, read_study, run_ensemble
from beltcast.app import page
from beltcast.files.shipped import shipped
from beltcast.forecasting.forecast_file import open_forecast

HERE = Path(beltcast.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "CONTRIBUTING.md"


def entered(walk: Callable[[], object]) -> list[str]:
    """Files of the package whose functions a call enters, in order."""
    files: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and frame.f_code.co_name != "<module>" and HERE in path.parents:
            files.setdefault(path.relative_to(HERE).as_posix())

    sys.setprofile(note)
    try:
        walk()
    finally:
        sys.setprofile(None)
    return list(files)


def observation() -> None:
    """From the row of a file to its residual."""
    likelihood = likelihood_of(read_study())
    theta = np.zeros((1, likelihood.size))
    theta[0, : likelihood.n_parameters] = likelihood.priors.mu
    likelihood.residuals(theta)


def constant() -> None:
    """From the line of a scenario to a run."""
    model = load_model(shipped("models/belt/belt.mdl"))
    scenarios = read_scenarios(shipped("models/belt/scenarios.toml"), model)
    run_ensemble(model, scenarios, outputs=["output"], rng=1)


def equation() -> None:
    """From its text to machine code."""
    load_model(shipped("models/belt/belt.mdl")).simulate(outputs=["output"])


def click() -> list[str]:
    """Files of the page's script that one move of a lever enters, until its charts are drawn.

    A build of the script logs the file of each function it enters, in the page and in its workers.
    """
    files: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as tools:
        subprocess.run(["node", ROOT / "web" / "build.mjs", folder, "--traced"], check=True)
        page.asset = lambda name: Path(folder, name).read_text(encoding="utf-8")
        path = Path(folder, "page.html")
        path.write_text(page.page(*open_forecast()), encoding="utf-8")
        browser = tools.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        opened = browser.new_page()
        opened.goto(path.as_uri())
        opened.wait_for_selector("html[data-drivers]", state="attached")
        opened.wait_for_timeout(500)
        opened.on("console", lambda said: files.setdefault(said.text.removeprefix("entered ")))
        opened.evaluate("delete document.documentElement.dataset.took")
        opened.locator("input[id^=lever-]").first.press("ArrowRight")
        opened.wait_for_selector("html[data-took][data-ready='2']", state="attached")
        browser.close()
    return list(files)


def main() -> None:
    """Print two lines for each walk."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("## Four walks")[2].partition("\n## ")[0]
    parts = re.split(r"\n- \*\*", text)[1:5]
    walks: list[tuple[str, Callable[[], list[str]]]] = [
        (walk.__name__, partial(entered, walk)) for walk in (observation, constant, equation)
    ]
    for part, (name, walk) in zip(parts, [*walks, ("click", click)], strict=True):
        listed = [
            Path(f).name if f.endswith(".ts") else f
            for f in re.findall(r"`([\w/]+\.(?:py|ts))`", part)
        ]
        found = walk()
        print(f"{name}: listed, not entered: {sorted(set(listed) - set(found))}")
        print(f"  entered, not listed: {[file for file in found if file not in listed]}")


if __name__ == "__main__":
    main()
