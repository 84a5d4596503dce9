"""Time, memory and disk of a large ensemble: the numbers of docs/howto/large-ensembles.md.

Run it on a quiet machine::

    python tests/benchmarks/scale.py                # 50,000 members
    python tests/benchmarks/scale.py 1000000 threads
    python tests/benchmarks/scale.py blocks         # what dask adds, in processor seconds
    python tests/benchmarks/scale.py profile        # where the time of a block goes

The belt model in two scenarios, five variables of every year. Each run is a process of its own,
with machine code from an empty cache; its time includes the start of Python, and compilation.
Processes are looked at ten times a second: what a worker does in the last tenth is not seen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

PLAN = """[run]
only = ["baseline", "headwinds"]
outputs = [
  "national output", "national trade", "output", "active sellers", "brand share of output",
]
members = {members}
store = "{name}.zarr"
"""

SMALL = """[run]
only = ["baseline"]
outputs = ["national output"]
members = {members}
block = 16
store = "{name}.zarr"
"""
"""Blocks that are computed at once, so that what is around them shows."""

WAYS = {
    "threads": (),
    "1 worker": ("--workers", "1"),
    "2 workers": ("--workers", "2"),
}


class Measured(NamedTuple):
    """What a run took."""

    seconds: float
    processor: float
    main: float
    worker: float
    disk: float

    def __str__(self) -> str:
        worker = f"{self.worker:.2f} GB" if self.worker else "-"
        return (
            f"{self.seconds:.1f} s | {self.processor:.1f} s | {self.main:.2f} GB | {worker} | "
            f"{self.disk / 1e6:.0f} MB"
        )


def main() -> None:
    """Print what was requested."""
    asked = sys.argv[1:] or ["50000"]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        if asked[0] == "profile":
            profile(Path(folder))
        elif asked[0] == "blocks":
            blocks(Path(folder))
        else:
            table(Path(folder), int(asked[0]), asked[1:] or list(WAYS))


def table(folder: Path, members: int, ways: list[str]) -> None:
    """Each way once."""
    print(f"{members} members, two scenarios")
    print("| how | time | processor | main process | largest worker | on disk |")
    print("|---|---|---|---|---|---|")
    for how in ways:
        print(f"| {how} | {measured(folder, PLAN, how, members)} |", flush=True)


def blocks(folder: Path) -> None:
    """Processor seconds of runs of few and many small blocks: a constant part, and one a block."""
    few, many = 100, 600
    for how in ("threads", "1 worker"):
        took = [measured(folder, SMALL, how, 16 * count).processor for count in (few, many)]
        a_block = (took[1] - took[0]) / (many - few)
        print(
            f"{how}: {1e3 * a_block:.1f} ms of processor a block, {took[0] - few * a_block:.1f} s "
            "before the first",
            flush=True,
        )


def profile(folder: Path) -> None:
    """Processor seconds of the parts of 20,000 members, by what is called."""
    from beltcast.engine.run.llvm_backend import LlvmKernel
    from beltcast.ensembles.ensemble import run_scenario
    from beltcast.scale.runplan import read_plan
    from beltcast.scale.store import create_store

    (folder / "plan.toml").write_text(PLAN.format(members=20_000, name="profile"))
    plan = read_plan(folder / "plan.toml")
    store, spent = create_store(plan), dict.fromkeys(("draws", "engine", "around it", "store"), 0.0)
    engine = LlvmKernel.__call__

    def timed(*arguments: object, **named: object) -> object:
        start = time.process_time()
        try:
            return engine(*arguments, **named)  # type: ignore[arg-type]
        finally:
            spent["engine"] += time.process_time() - start

    LlvmKernel.__call__ = timed  # type: ignore[method-assign, assignment]
    scenarios = list(plan.scenarios.values())
    labels, values = plan.draws(plan.blocks()[0])
    run_scenario(plan.model, scenarios[0], (labels, values[:16]), outputs=plan.outputs, rng=1)
    spent["engine"] = 0.0  # of that run only compiled
    for block in plan.blocks():
        times, before = [time.process_time()], spent["engine"]
        draws = plan.draws(block)
        times.append(time.process_time())
        pieces, good = run_scenario(
            plan.model, scenarios[block.scenario], draws, outputs=plan.outputs,
            rng=plan.streams(block),
        )  # fmt: skip
        times.append(time.process_time())
        store.write(block, pieces, good)
        times.append(time.process_time())
        spent["draws"] += times[1] - times[0]
        spent["around it"] += times[2] - times[1] - (spent["engine"] - before)
        spent["store"] += times[3] - times[2]
    for part, seconds in spent.items():
        print(f"| {part} | {seconds:.2f} s | {seconds / sum(spent.values()):.1%} |")


def measured(folder: Path, plan: str, how: str, members: int) -> Measured:
    """Run a plan and watch all its processes."""
    name = f"{how.replace(' ', '-')}-{members}"
    path, cache = folder / f"{name}.toml", folder / f"cache-{name}"
    path.write_text(plan.format(members=members, name=name))
    cache.mkdir()
    start = time.perf_counter()
    run = subprocess.Popen(
        [sys.executable, "-m", "beltcast", "run", str(path), *WAYS[how]],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "BELTCAST_CACHE": str(cache)},
    )
    peak: dict[int, float] = {}
    spent: dict[int, float] = {}
    while run.poll() is None:
        look(run.pid, peak, spent)
        time.sleep(0.1)
    seconds = time.perf_counter() - start
    if run.returncode:
        sys.exit(f"the run by {how} ended with {run.returncode}")
    files = (folder / f"{name}.zarr").rglob("*")
    disk = sum(file.stat().st_size for file in files if file.is_file())
    main = peak.pop(run.pid)
    return Measured(seconds, sum(spent.values()), main, max(peak.values(), default=0.0), disk)


def look(pid: int, peak: dict[int, float], spent: dict[int, float]) -> None:
    """Most memory [GB] and processor time [s] of a process and its children until now."""
    try:
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            status = Path(f"/proc/{process.pid}/status").read_text()
            if "VmHWM:" in status:
                peak[process.pid] = float(status.partition("VmHWM:")[2].split()[0]) / 1e6
                spent[process.pid] = sum(process.cpu_times()[:2])
    except (psutil.Error, OSError):
        return  # ended while it was looked at


if __name__ == "__main__":
    main()
