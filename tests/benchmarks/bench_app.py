"""How fast the app answers: a lever moved, and the shipped results opened.

::

    pytest tests/benchmarks -o python_files='bench_app.py' -s

Figures are printed, and asserted nowhere: asked are 0.2 s for a lever and 5 s for opening.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from beltcast.app.page import Page
from beltcast.app.results import open_results

OPEN = """
import sys, time
from beltcast.app import server
from beltcast.app.page import Page
from beltcast.app.results import open_results

def took():
    return f"{time.time() - float(sys.argv[1]):.2f} s ({time.process_time():.2f} s of processor)"

Page._soon = lambda page: None  # the drivers follow when the browser has the page
page = Page(open_results(), {})
print(f"page {took()}, ", end="")
page._settle()
print(f"drivers {took()}")
"""


def test_a_lever_and_the_whole_page(monkeypatch) -> None:
    page = Page(open_results(), {})
    monkeypatch.setattr(page, "_soon", lambda: None)  # the drivers wait until levers rest
    took = []
    for step in range(20):
        start = time.perf_counter()
        page._move("tilt", 1.0 + 0.05 * step)
        took.append(time.perf_counter() - start)
    took.sort()
    print(
        f"\na lever: median {1000 * took[10]:.0f} ms, longest {1000 * took[-1]:.0f} ms (200 asked)"
    )
    start = time.perf_counter()
    page._settle()
    print(f"the drivers, when the levers rest: {time.perf_counter() - start:.2f} s")


def test_opening_with_the_shipped_results(tmp_path: Path) -> None:
    """From a new process to a page that can be sent, and to its slow part."""
    own_cache = {**os.environ, "BELTCAST_CACHE": str(tmp_path)}  # the tests' own is none
    print()
    for cache in ("empty", "warm"):
        command = [sys.executable, "-c", OPEN, f"{time.time():.3f}"]
        found = subprocess.run(
            command, check=True, capture_output=True, text=True, env=own_cache
        ).stdout.strip()
        print(f"opening, cache {cache}: {found} (5 s asked for the page)")
