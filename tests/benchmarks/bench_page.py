"""How fast the page stands and answers, in chromium.

::

    pytest tests/benchmarks -o python_files='bench_page.py' -s

Numbers are printed and asserted nowhere: asked are 1 s until the page stands and 100 ms for a
lever, the median over 20 moves with all draws.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from beltcast import page as page_of
from beltcast.forecasting.forecast_file import open_forecast

from ..conftest import CHROMIUM, QUIET


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
def test_the_page_of_the_shipped_forecast(tmp_path: Path) -> None:
    since = time.perf_counter()
    study, kept, forecast = open_forecast()
    opening = time.perf_counter() - since
    since = time.perf_counter()
    html = page_of(study, kept, forecast)
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    writing = time.perf_counter() - since
    size = len(html.encode()) / 1e3
    print(f"\nopened in {opening:.1f} s, written in {writing:.1f} s: {size:.0f} kB")
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        since = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("#headline")
        standing = time.perf_counter() - since
        page.wait_for_selector("html[data-drivers]", state="attached")
        drivers = time.perf_counter() - since
        print(
            f"the page stands after {standing:.2f} s (1 asked), its drivers after {drivers:.2f} s"
        )
        lever = study.roles.levers[0]
        slider, root = page.locator(f"#lever-{lever.key}"), page.locator("html")
        took = []
        for move in range(20):
            root.evaluate("element => { delete element.dataset.took; }")
            slider.fill(f"{lever.low + lever.step * move:g}")
            page.wait_for_selector("html[data-took]", state="attached")
            took.append(float(str(root.get_attribute("data-took"))))
            page.wait_for_selector("html[data-ready='2']", state="attached")
        took.sort()
        print(
            f"a lever, all draws: median {took[10]:.0f} ms, longest {took[-1]:.0f} ms (100 asked)"
        )
        browser.close()
