"""The app in a real browser: Debian's chromium, driven by playwright.

Without chromium these tests are skipped; `.ci/run` installs it.  What is shown is compared with
what the functions below the page say in this process: the same study, draws and seeds.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
import xarray as xr
from playwright.sync_api import Browser, Download, Page, expect, sync_playwright

from beltcast.app import texts
from beltcast.app.levers import moved
from beltcast.app.results import Opened, answer, open_results
from beltcast.app.state import Question
from beltcast.study.scenarios import read_scenarios

CHROMIUM = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium fonts-noto-cjk"
)
expect.set_options(timeout=60_000)  # a busy machine is slow, and slowness is not the claim here
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def opened() -> Opened:
    return open_results()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running `beltcast app`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("app") / "log.txt"
    command = [sys.executable, "-m", "beltcast", "app", "--no-show", "--port", str(port)]
    with log.open("w") as stream:
        server = subprocess.Popen(command, stdout=stream, stderr=stream, env=dict(os.environ))
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(240):
            assert server.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(url, timeout=60).close()
                break
            except OSError:
                time.sleep(0.25)
        yield url
    finally:
        server.terminate()
        server.wait(30)
    # A browser that leaves in the middle of a message is the server's everyday; a fault of ours is
    # a traceback through our files.
    assert "beltcast/app" not in log.read_text(), log.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page that must end without an error in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    made = context.new_page()
    made.set_default_timeout(60_000)
    errors: list[str] = []
    made.on("pageerror", lambda problem: errors.append(str(problem)))
    yield made
    context.close()
    assert not errors


def headline(opened: Opened, place: str = "China", scenario: str = "baseline", **levers: float):
    """The sentence that the page must show."""
    question = Question(place, scenario, "baseline", 2035, tuple(levers.items()))
    asked = moved(opened.study.scenarios[scenario], question.levers)
    return texts.headline(opened, question, answer(opened, asked))


def shows(page: Page, sentence: str) -> None:
    expect(page.get_by_text(sentence, exact=True)).to_be_visible()


def settled(page: Page) -> None:
    """Wait for the slow part, which comes last."""
    expect(page.get_by_text(re.compile("Shapley|沙普利"))).to_be_visible()


def downloaded(page: Page, label: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_text(label, exact=True).click()
    made: Download = waiting.value
    return Path(made.path()).read_bytes()


def test_the_page_shows_the_answer_and_asks_no_other_machine(
    page: Page, address: str, opened: Opened
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    shows(page, headline(opened))
    settled(page)
    others = [url for url in asked if not url.startswith((address, "blob:", "data:"))]
    assert asked
    assert not others
    page.get_by_text("The numbers of the chart").click()
    last = page.locator("tbody tr").last
    expect(last.locator("th")).to_have_text("2035")


def test_a_lever_moves_by_the_keyboard_and_the_link_restores_it(
    page: Page, address: str, opened: Opened
) -> None:
    page.goto(address)
    shows(page, headline(opened))
    handle = page.get_by_role("slider", name="Platform: traffic tilt to brands", exact=True)
    handle.focus()
    handle.press("ArrowRight")
    handle.press("ArrowRight")
    sentence = headline(opened, tilt=1.1)
    assert sentence != headline(opened)
    shows(page, sentence)
    expect(page).to_have_url(re.compile("tilt=1.1$"))
    link = page.url
    assert parse_qs(urlsplit(link).query) == {"tilt": ["1.1"]}
    page.goto("about:blank")
    page.goto(link)
    shows(page, sentence)
    page.get_by_text("Levers back to the scenario").click()
    shows(page, headline(opened))


def test_choices_of_scenario_and_belt_are_followed(
    page: Page, address: str, opened: Opened
) -> None:
    page.goto(address)
    shows(page, headline(opened))
    page.get_by_label("Scenario", exact=True).select_option(label="Brand push")
    shows(page, headline(opened, scenario="brand-push"))
    expect(page.get_by_text(re.compile("^Against the other scenario, 2035: \\+"))).to_be_visible()
    expect(page.get_by_text("Market: brand investment:")).to_contain_text("1.50")
    page.get_by_label("Belt", exact=True).select_option(label="Foshan furniture")
    shows(page, headline(opened, "Foshan", "brand-push"))
    expect(page.get_by_text("0 published figures speak of this place")).to_be_visible()


def test_downloads_hold_what_is_shown(
    page: Page, address: str, opened: Opened, tmp_path: Path
) -> None:
    page.goto(f"{address}?place=Foshan&scenario=tilt-up&brand=2")
    sentence = headline(opened, "Foshan", "tilt-up", brand=2.0)
    shows(page, sentence)
    (tmp_path / "scenario.toml").write_bytes(downloaded(page, "Scenario (TOML)"))
    (read,) = read_scenarios(tmp_path / "scenario.toml", opened.study.model).values()
    assert dict(read.constants) == {
        "Tilt Final Multiplier": 1.5,
        "Brand Propensity Final Multiplier": 2.0,
    }
    table = pd.read_csv(io.BytesIO(downloaded(page, "Table (CSV)")))
    shown = table[
        (table.variable == "published_quantile")
        & (table.scenario == "tilt-up (moved)")
        & (table.year == 2035)
        & (table["quantile"] == 0.5)
    ]
    assert f"2035: {shown.value.item():,.0f} bn CNY" in sentence
    (tmp_path / "forecast.nc").write_bytes(downloaded(page, "Results (NetCDF)"))
    with xr.open_dataset(tmp_path / "forecast.nc") as results:
        at = {"place": "Foshan", "scenario": "tilt-up (moved)", "year": 2035, "quantile": 0.5}
        value = float(results["published_quantile"].sel(at))
    assert value == pytest.approx(shown.value.item(), rel=1e-12)
    assert downloaded(page, "Picture (PNG)").startswith(b"\x89PNG")


def test_a_bad_upload_is_answered_in_one_sentence_and_a_good_one_is_run(
    page: Page, address: str
) -> None:
    page.goto(address)
    settled(page)
    chooser = page.locator("input[type=file]")
    bad = b'[mine]\ntitle = "Mine"\nconstants = { "Tilt Final Multiplyer" = 2 }\n'
    chooser.set_input_files({"name": "mine.toml", "mimeType": "text/plain", "buffer": bad})
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("mine.toml:3: ")
    expect(alert).to_contain_text("did you mean 'Tilt Final Multiplier'")
    good = b'[mine]\ntitle = "<b>Mine</b>"\nconstants = { "Tilt Final Multiplier" = 2 }\n'
    chooser.set_input_files({"name": "mine.toml", "mimeType": "text/plain", "buffer": good})
    expect(page.get_by_role("status")).to_contain_text("Read from mine.toml: mine.")
    expect(alert).to_have_count(0)
    expect(page.get_by_text("Platform: traffic tilt to brands:")).to_contain_text("2.00")
    expect(page.get_by_text("<b>Mine</b>: median, 50, 80, 90% bands")).to_be_visible()


def test_the_page_speaks_chinese(page: Page, address: str) -> None:
    page.goto(f"{address}?place=Foshan")
    settled(page)
    page.get_by_text("中文", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("跨境电商产业带预测")
    expect(page.get_by_text("佛山家具：预测")).to_be_visible()
    expect(page.get_by_text("沙普利")).to_be_visible()
    expect(page).to_have_url(re.compile("language=zh"))
    assert downloaded(page, "图片 (PNG)").startswith(b"\x89PNG")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_on_a_phone_nothing_is_cut_and_the_chart_comes_before_the_files(
    page: Page, address: str, language: str
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{address}?language={language}&compare=de-minimis-ends")
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    chart = page.locator(".bk-Figure, .bk-Canvas").first.bounding_box()
    files = page.locator("input[type=file]").bounding_box()
    assert chart is not None
    assert files is not None
    assert 260 <= chart["width"] <= 360
    assert chart["y"] < files["y"]


def test_a_link_to_what_is_not_there_is_answered(page: Page, address: str, opened: Opened) -> None:
    page.goto(f"{address}?place=Atlantis&tilt=<script>alert(1)</script>")
    shows(page, headline(opened))
    status = page.get_by_role("status")
    expect(status).to_contain_text("place='Atlantis'")
    expect(status).to_contain_text("tilt='<script>alert(1)</script>'")
