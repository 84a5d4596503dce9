"""From a file to its first number, in a new process: processor seconds of each part.

::

    python tests/benchmarks/first_number.py
    python tests/benchmarks/first_number.py mine.mdl

The process starts with a cache that an earlier one has filled; the shortest of five is printed.
Importing is kept apart, because Python's libraries take most of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

MODEL = Path(__file__).resolve().parents[2] / "models" / "belt" / "belt.mdl"
PARTS = (
    "importing beltcast",
    "importing pandas and xarray",
    "load_model",
    "simulate, one number",
    "simulate again",
    "largest memory, MB",
)
RUN = """
import resource, sys, time
times = [time.process_time()]
def lap(): times.append(time.process_time())
from beltcast import load_model; lap()
import pandas, xarray; lap()
model = load_model(sys.argv[1]); lap()
run = model.simulate(); run[list(run)[0]].values.flat[-1]; lap()
run = model.simulate(); lap()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(*(b - a for a, b in zip(times, times[1:])), memory)
"""


def main() -> None:
    """Print the shortest processor time of each part."""
    path = sys.argv[1] if len(sys.argv) > 1 else str(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", RUN, path]
        environment = {**os.environ, "BELTCAST_CACHE": folder}
        laps = [
            subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            for _ in range(6)
        ]
    seconds = [[float(x) for x in lap.stdout.split()] for lap in laps]
    print("| processor seconds | without the cache | with it |\n|---|---:|---:|")
    for part, first, *later in zip(PARTS, *seconds, strict=True):
        digits = 0 if "MB" in part else 2
        print(f"| {part} | {first:.{digits}f} | {min(later):.{digits}f} |")


if __name__ == "__main__":
    main()
