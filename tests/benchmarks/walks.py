"""Files that three walks of CONTRIBUTING.md enter: an observation, a constant, an equation.

Run ``python tests/benchmarks/walks.py``; it names the files that are listed and not entered (there
should be none), and those that are entered and not listed (helpers of all walks).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

os.environ["BELTCAST_CACHE"] = ""  # an equation is read from its text, not from a cache

import numpy as np

import beltcast
from beltcast import likelihood_of, load_model, read_scenarios, read_study, run_ensemble
from beltcast.files.shipped import shipped

HERE = Path(beltcast.__file__).parent
DOCUMENT = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


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


def main() -> None:
    """Print two lines for each walk."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("## Four walks")[2]
    walks = re.split(r"\n- \*\*", text)[1:4]
    for part, walk in zip(walks, (observation, constant, equation), strict=True):
        listed = re.findall(r"`([\w/]+\.py)`", part)
        found = entered(walk)
        print(f"{walk.__name__}: listed, not entered: {sorted(set(listed) - set(found))}")
        print(f"  entered, not listed: {[file for file in found if file not in listed]}")


if __name__ == "__main__":
    main()
