"""The page in a real browser: Debian's chromium, driven by Playwright, from ``file://``.

What is shown is compared with what Python computes from the same draws.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from beltcast.app.page_data import SEED, chosen_draws
from beltcast.display.translations import amount
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import by_place
from beltcast.forecasting.published_factor import published_factor
from beltcast.schema import PLACE, QUANTILE, SCENARIO, YEAR, Label
from beltcast.streams import Streams
from beltcast.study.scenarios import Scenario, read_scenarios

from ..second_study import WORDS

expect.set_options(timeout=60_000)  # a busy machine is slow, and slowness is not the claim here
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


class Opened:
    """A page that must ask for nothing and end without an error in it."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        given = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US", **options}
        self.context = browser.new_context(accept_downloads=True, **given)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda problem: self.errors.append(str(problem)))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.address = path.as_uri()

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "blob:")):
            self.errors.append(f"asked for {url}")

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.errors.append(text)

    def open(self, fragment: str = "") -> Page:
        self.page.goto(self.address + fragment)
        self.page.wait_for_selector("html[data-ready='2']", state="attached")
        return self.page


@pytest.fixture
def opened(browser: Browser, made, request: pytest.FixtureRequest) -> Iterator[Opened]:
    own = Opened(browser, made.path, **getattr(request, "param", {}))
    yield own
    own.context.close()
    assert not own.errors


def with_options(*options: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("opened", options, indirect=True)


def shown(made, value: float, language: Any = "en") -> str:
    unit = str(made.forecast.attrs["unit"])
    return amount(value, unit, made.study.labels().get(unit, Label(unit)), language)


def published(made, place: str, scenario: str, q: float = 0.5) -> float:
    bands = made.forecast["published_quantile"].isel({YEAR: -1})
    return float(bands.sel({PLACE: place, SCENARIO: scenario, QUANTILE: q}))


def first_and_whole(made) -> tuple[Scenario, str]:
    return next(iter(made.study.scenarios.values())), made.study.shown()[0]


def test_the_headline_is_the_forecast(opened: Opened, made) -> None:
    page = opened.open()
    first, whole = first_and_whole(made)
    headline = page.locator("#headline")
    expect(headline).to_have_text(shown(made, published(made, whole, first.name)))
    other, late = made.study.shown()[3], list(made.study.scenarios)[1]
    page.locator("#place").select_option(other)
    expect(headline).to_have_text(shown(made, published(made, other, first.name)))
    page.locator("#scenario").select_option(late)
    expect(headline).to_have_text(shown(made, published(made, other, late)))


MARKS = """() => {
  const page = beltcastPage, state = page.state, found = [];
  for (const { name, points } of page.data.places) {
    page.state = { ...state, place: name };
    const dots = page.dots(9999);
    dots.at.forEach((i, k) => found.push([points.kind[i], dots.mark[k]]));
  }
  page.state = state;
  return found;
}"""


def test_only_bounds_are_marked_as_bounds(opened: Opened) -> None:
    marks = opened.open().evaluate(MARKS)
    assert "over" in {kind for kind, _ in marks}
    for kind, mark in marks:
        assert (mark == "bound") == (kind in ("over", "lower", "upper")), kind


@with_options({"locale": "zh-CN"})
def test_a_chinese_browser_gets_chinese_with_amounts_as_officials_write_them(
    opened: Opened, made
) -> None:
    page = opened.open()
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    first, whole = first_and_whole(made)
    text = shown(made, published(made, whole, first.name), "zh")
    assert text.endswith("万亿元")
    expect(page.locator("#headline")).to_have_text(text)
    assert "十亿" not in page.locator("body").inner_text()
    page.locator("#language-0").click()
    assert page.locator("html").get_attribute("lang") == "en"
    assert "language=en" in page.url


def median_with(made, scenario: Scenario, place: str) -> float:
    """Median of the last year over the page's draws, with shocks and noise."""
    study = made.study
    draws = chosen_draws(study, made.kept.posterior, first_and_whole(made)[0])
    runs = run_ensemble(
        study.model,
        {scenario.name: scenario},
        (draws.labels, draws.values),
        outputs=[study.target],
        rng=Streams(SEED),
    )
    output = by_place(runs[study.target], study.whole(study.target)).isel({SCENARIO: 0}, drop=True)
    factor = published_factor(study, draws, output, rng=Streams(SEED))
    return float(np.quantile((output * factor).sel({PLACE: place}).isel({YEAR: -1}), 0.5))


def test_a_lever_moves_the_headline_as_the_model_in_python_does(opened: Opened, made) -> None:
    """To the digits shown: the base from the file, times the ratio of the kept draws' medians."""
    page = opened.open()
    scenario, whole = first_and_whole(made)
    lever = made.study.roles.levers[0]
    page.locator(f"#lever-{lever.key}").fill(str(lever.low))
    expect(page.locator("#reset")).to_be_enabled()
    moved = replace(scenario, constants={**scenario.constants, lever.name: lever.low})
    ratio = median_with(made, moved, whole) / median_with(made, scenario, whole)
    assert abs(ratio - 1) > 1e-3
    base = published(made, whole, scenario.name)
    expect(page.locator("#headline")).to_have_text(shown(made, base * ratio))
    assert f"{lever.key}=" in page.url
    page.locator("#reset").click()
    expect(page.locator("#headline")).to_have_text(shown(made, base))


def test_the_fragment_restores_what_was_shown_and_refuses_what_is_not_there(
    opened: Opened, made
) -> None:
    place, lever = made.study.shown()[2], made.study.roles.levers[0]
    page = opened.open(f"#place={place}&horizon=2030&{lever.key}={lever.high}&nonsense=7")
    expect(page.locator("#place")).to_have_value(place)
    expect(page.locator(f"#lever-{lever.key}")).to_have_value(f"{lever.high:g}")
    expect(page.locator(".headline .year")).to_have_text("2030")
    expect(page.locator(".notice")).to_contain_text("nonsense=7")


def test_the_drivers_add_up_to_the_headline(opened: Opened, made) -> None:
    page = opened.open()
    page.wait_for_selector("html[data-drivers]", state="attached")
    fold = page.locator("section.card details").first
    fold.locator("summary").click()
    row = fold.locator("tbody tr").last.locator("td")
    expect(row).to_have_count(len(made.study.roles.switches) + 2)  # the table follows its fold
    numbers = [float(cell.split(" ")[0].replace(",", "")) for cell in row.all_inner_texts()]
    # Each part is rounded to a whole unit or finer.
    assert abs(sum(numbers[:-1]) - numbers[-1]) <= 0.5 * len(numbers)


def test_a_downloaded_scenario_is_one_that_the_package_reads(
    opened: Opened, made, tmp_path: Path
) -> None:
    page = opened.open()
    lever = made.study.roles.levers[0]
    page.locator(f"#lever-{lever.key}").fill(str(lever.high))
    with page.expect_download() as waiting:
        page.locator("#toml").click()
    waiting.value.save_as(tmp_path / "scenario.toml")
    (scenario,) = read_scenarios(tmp_path / "scenario.toml", made.study.model).values()
    assert scenario.constants[lever.name] == lever.high


def test_the_table_that_is_downloaded_holds_the_forecast(
    opened: Opened, made, tmp_path: Path
) -> None:
    page = opened.open()
    with page.expect_download() as waiting:
        page.locator("#csv").click()
    waiting.value.save_as(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_bytes().startswith("\ufeff".encode())
    table = pd.read_csv(tmp_path / "table.csv")
    first, whole = first_and_whole(made)
    theirs = made.forecast["published_quantile"].sel({PLACE: whole, SCENARIO: first.name})
    np.testing.assert_allclose(table["p50"], theirs.sel({QUANTILE: 0.5}), rtol=1e-6)


def test_the_diagram_says_more_of_a_variable_that_is_chosen(opened: Opened) -> None:
    page = opened.open()
    page.get_by_text("Stock-flow diagram of the model", exact=True).click()
    node = page.locator(".diagram svg [data-name]").first
    name = node.get_attribute("data-name")
    node.dispatch_event("click")
    expect(page.locator(".about h3")).to_contain_text(str(name))
    before = page.locator(".diagram svg").get_attribute("viewBox")
    page.get_by_role("button", name="Zoom in").click()
    assert page.locator(".diagram svg").get_attribute("viewBox") != before


@with_options(PHONE, {**PHONE, "locale": "zh-CN"})
def test_on_a_phone_headline_and_chart_stay_in_sight_while_a_lever_moves(
    opened: Opened, made
) -> None:
    page = opened.open()
    lever = made.study.roles.levers[0]
    slider = page.locator(f"#lever-{lever.key}")
    slider.evaluate("element => element.scrollIntoView({block: 'end'})")
    names = [f"#lever-{lever.key}", "#headline", ".stage .chart"]
    handle, head, chart = page.locator("html").evaluate(
        """(html, names) => names.map((name) => {
          const box = html.querySelector(name).getBoundingClientRect();
          return [box.top, box.bottom];
        })""",
        names,
    )
    assert head[0] >= 0
    assert chart[1] <= handle[0] + 1
    assert handle[1] - handle[0] >= 44
    assert page.locator("html").evaluate("element => element.scrollWidth") <= 390


@with_options({}, {"locale": "zh-CN"})
def test_a_page_is_printed_on_at_most_eight_sheets(opened: Opened) -> None:
    page = opened.open()
    page.wait_for_selector("html[data-drivers]", state="attached")
    printed = page.pdf(format="A4", prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) <= 8


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: cd web && npm ci")
@with_options({"bypass_csp": True}, {**PHONE, "bypass_csp": True})
def test_axe_finds_nothing_serious(opened: Opened) -> None:
    page = opened.open()
    page.wait_for_selector("html[data-drivers]", state="attached")
    page.locator("details").first.locator("summary").click()
    page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations")
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    facts = [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in bad]
    assert not bad, json.dumps(facts, indent=1)


def test_the_page_of_an_epidemic_works_the_same_way(browser: Browser, epidemic) -> None:
    own = Opened(browser, epidemic.path)
    page = own.open()
    first, whole = first_and_whole(epidemic)
    base = shown(epidemic, published(epidemic, whole, first.name))
    headline = page.locator("#headline")
    expect(headline).to_have_text(base)
    slider = page.locator("input[type=range][id^=lever]").first
    slider.fill(str(slider.get_attribute("min")))
    expect(headline).not_to_have_text(base)
    page.locator("#reset").click()
    expect(headline).to_have_text(base)
    text = page.locator("body").inner_text()
    assert "infection" in text
    assert not WORDS.findall(text.replace("beltcast", ""))
    own.context.close()
    assert not own.errors
