"""The numbers under "How fast" in the README, measured here and now.

Run it on a quiet machine::

    python tests/benchmarks/speed.py

Each number is the best of three, in a process of its own where memory is requested.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MEMORY = """
import resource, sys
from beltcast.cli import main
sys.argv = ["beltcast", "forecast", "--output", sys.argv[1]]
try:
    main()
except SystemExit:
    pass
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""


def main() -> None:
    """Print the table."""
    os.environ["BELTCAST_CACHE"] = ""  # as on a machine that has never seen the model
    print("| what | measured | asked |")
    print("|---|---|---|")
    seconds, gigabytes = forecast()
    print(
        f"| `beltcast forecast`, 1,000 draws, 14 scenarios, from a cold start | {seconds:.0f} s, "
        f"{gigabytes:.2f} GB | 60 s, 1 GB |"
    )
    print(f"| one calibration from 64 starts | {calibration():.1f} s | 20 s |")
    print(f"| 10,000 members of the belt model, annual output | {members():.1f} s | 5 s |")
    print()
    print(f"On {os.cpu_count()} cores, Python {sys.version.split()[0]}.")


def forecast() -> tuple[float, float]:
    """Wall time and peak memory of the whole main job in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(Path(folder) / "out")],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - start
    return seconds, float(done.stdout.rsplit("PEAK", 1)[1])


def calibration() -> float:
    """Wall time of a calibration, compilation included."""
    import beltcast

    best = np.inf
    for _ in range(3):
        study = beltcast.read_study()
        start = time.perf_counter()
        likelihood = beltcast.make_likelihood(
            study.model, study.priors, study.observations, study.noise
        )
        beltcast.calibrate(likelihood, rng=np.random.default_rng(1), starts=64)
        best = min(best, time.perf_counter() - start)
    return best


def members() -> float:
    """Wall time of 10,000 members to 2035, annual output of all belts."""
    import beltcast

    study = beltcast.read_study()
    rows, columns = study.model.targets(study.priors.labels)
    z = study.priors.draw(np.random.default_rng(1), 10_000)
    values = study.priors.natural(z).T[columns]
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        study.model.batch(
            rows,
            values,
            outputs=np.empty(0, dtype=np.int64),
            totals=study.model.rows("output"),
            saves=np.arange(2013.0, 2037.0),
        )
        best = min(best, time.perf_counter() - start)
    return best


if __name__ == "__main__":
    main()
