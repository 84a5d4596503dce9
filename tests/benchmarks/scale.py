"""Time, memory and disk of a large ensemble: the figures of docs/howto/large-ensembles.md.

Run it on a quiet machine::

    python tests/benchmarks/scale.py            # 20,000 members
    python tests/benchmarks/scale.py 1000000

The belt model in two scenarios, five variables of every year. Each run is a process of its own,
with machine code from an empty cache; its time includes the start of Python, and compilation.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLAN = """[run]
only = ["baseline", "headwinds"]
outputs = [
  "national output", "national trade", "output", "active sellers", "brand share of output",
]
members = {members}
store = "{name}.zarr"
"""

RUN = """
import resource, sys
from beltcast.cli import main
if __name__ == "__main__":
    sys.argv = ["beltcast", "run", *sys.argv[1:]]
    try:
        main()
    finally:
        # Of this process: dask's workers may outlive the count.
        print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""

WAYS = {
    "threads of one process": (),
    "dask, 1 worker": ("--workers", "1"),
    "dask, 2 workers": ("--workers", "2"),
}


def main() -> None:
    """Print the table."""
    members = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    print(f"{members} members, two scenarios, on {os.cpu_count()} cores, load {os.getloadavg()[0]}")
    print("| how | time | main process | on disk |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for number, (how, options) in enumerate(WAYS.items()):
            seconds, gigabytes, size = measured(Path(folder), f"way{number}", members, options)
            print(
                f"| {how} | {seconds:.1f} s | {gigabytes:.2f} GB | {size / 1e6:.0f} MB |",
                flush=True,
            )


def measured(
    folder: Path, name: str, members: int, options: tuple[str, ...]
) -> tuple[float, float, int]:
    """Wall time [s], memory of the main process [GB], size of the store [byte]."""
    plan, script = folder / f"{name}.toml", folder / "run.py"
    plan.write_text(PLAN.format(members=members, name=name))
    script.write_text(RUN)
    (folder / f"cache-{name}").mkdir()
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(script), str(plan), *options],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "BELTCAST_CACHE": str(folder / f"cache-{name}")},
    )
    seconds = time.perf_counter() - start
    files = (folder / f"{name}.zarr").rglob("*")
    size = sum(file.stat().st_size for file in files if file.is_file())
    return seconds, float(done.stdout.rsplit("PEAK", 1)[1]), size


if __name__ == "__main__":
    main()
