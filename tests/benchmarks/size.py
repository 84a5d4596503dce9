"""Time and memory of a model by its number of scalar equations.

Run it on a quiet machine::

    python -m tests.benchmarks.size 1000 10000 100000

Each stage is a process of its own: a load without and with the cache, the first result with nothing
cached, and one with everything cached.  Seconds are of processor time, so that other work on the
machine counts little.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .models import generated

STAGE = """
import resource, sys, time
from beltcast import load_model
began = time.process_time()
model = load_model(sys.argv[1])
if sys.argv[2] == "run":
    model.simulate()
print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""


def stage(path: Path, what: str, cache: Path) -> tuple[float, float]:
    """Processor time and peak memory (MB) of one process."""
    made = subprocess.run(
        [sys.executable, "-c", STAGE, str(path), what],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"BELTCAST_CACHE": str(cache)},
    )
    seconds, memory = map(float, made.stdout.split())
    return seconds, memory


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    print("| equations | load | load, cached | first result | first result, cached | memory |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, arguments or ("1000", "10000")):
            own = Path(folder) / str(count)
            own.mkdir()
            path = generated(own, count)
            load, _ = stage(path, "load", own / "one")
            again, _ = stage(path, "load", own / "one")
            first, memory = stage(path, "run", own / "two")
            second, _ = stage(path, "run", own / "two")
            print(
                f"| {count:,} | {load:.1f} s | {again:.2f} s | {first:.1f} s | {second:.2f} s "
                f"| {memory:.0f} MB |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
