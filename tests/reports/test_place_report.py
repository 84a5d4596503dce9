"""Reports: their numbers are the results', nothing is loaded from outside, all text is escaped."""

from __future__ import annotations

import dataclasses
import html
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import Browser

from beltcast import Calibration, Study, approximate_posterior, attribute, sample_prior
from beltcast.display.numbers import digits, rounded
from beltcast.display.translations import REPORT, amount
from beltcast.drivers.attribution.page import attribution_draws
from beltcast.ensembles.verdicts import FEWEST_DRAWS, chance_words
from beltcast.errors import MissingExtra
from beltcast.pictures.plots import fan_chart
from beltcast.reports.pdf import print_pdf
from beltcast.reports.place_report import Evidence, index_page, place_report

HOSTILE = "Fo<script>shan</script> & 'co' \"x\""


class Parsed(HTMLParser):
    """Tables by id (rows of cells), and every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._rows: list[list[str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self._rows = self.tables.setdefault(str(dict(attrs)["id"]), [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._rows = []

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._rows and self._rows[-1]:
            self._rows[-1][-1] += data


@pytest.fixture(scope="module")
def evidence(study: Study, fit: Calibration, result: xr.Dataset) -> Evidence:
    rng = np.random.default_rng(3)
    shares = attribute(
        study,
        approximate_posterior(fit, 6, rng=rng, moves=0),
        prior=sample_prior(fit.likelihood, 6, rng=rng),
    )
    return Evidence(study, result, shares, fit.table())


@pytest.fixture(scope="module")
def henan(evidence: Evidence) -> Parsed:
    return Parsed(place_report(evidence, "Henan"))


def band(values: xr.DataArray, form: str) -> str:
    low, middle, high = (form.format(float(values.sel(quantile=q))) for q in (0.1, 0.5, 0.9))
    return f"{middle} ({low} to {high})"


def amounts(values: xr.DataArray) -> str:
    low, middle, high = (digits(float(values.sel(quantile=q))) for q in (0.1, 0.5, 0.9))
    return f"{middle} ({low} to {high})"


def test_the_forecast_table_is_the_datasets(henan: Parsed, result: xr.Dataset) -> None:
    rows = {row[0]: row[1:] for row in henan.tables["forecast"][1:]}
    assert set(rows) == {"2025", "2030", "2035"}
    for year, cells in rows.items():
        at = {"place": "Henan", "year": int(year)}
        fan = result["published_quantile"].sel(at).sel(scenario="baseline")
        assert cells[0] == amounts(fan)
        assert cells[1] == amounts(result["prior_quantile"].sel(at))
        assert cells[2] == f"{float(result['sd_ratio'].sel(at)):.2f}"


def test_the_scenarios_and_drivers_are_the_datasets(henan: Parsed, evidence: Evidence) -> None:
    result, shares = evidence.forecast, evidence.attribution
    rows = {row[0]: row[1:] for row in henan.tables["scenarios"][1:]}
    for name in map(str, result["scenario"].values[1:]):
        at = result.sel(scenario=name, place="Henan", year=2035)
        known = evidence.study.scenarios[name]
        cells = rows[known.title + known.description.en]
        assert cells[1] == band(100 * (at["change_quantile"] - 1), "{:+.1f}") + " %"
        for cell, chance in zip(
            cells[2:4], ("chance_of_more", "prior_chance_of_more"), strict=True
        ):
            assert cell == chance_words(at[chance].item(), at[f"{chance}_draws"].item())
    assert shares is not None
    at = shares.sel(place="Henan", year=2024)
    draws, believed = attribution_draws(at)
    chances = []
    for driver, shapley, alone, positive, before, *_ in henan.tables["drivers"][1:]:
        assert shapley == band(at["shapley_log_quantile"].sel(driver=driver), "{:+.2f}")
        own = at.sel(driver=driver)
        assert alone == band(own["prior_shapley_log_quantile"], "{:+.2f}")
        assert positive == chance_words(own["shapley_log_chance"].item(), draws)
        assert before == chance_words(own["prior_shapley_log_chance"].item(), believed)
        chances.append(positive == before)
    # Were all of them equal, a swap of the two columns would go unseen; too few draws say nothing.
    assert not all(chances) or min(draws, believed) < FEWEST_DRAWS


def test_every_observation_of_the_place_stands_with_its_line(henan: Parsed, study: Study) -> None:
    own = [row for row in study.observations if row.place == "Henan"]
    table = henan.tables["observations"][1:]
    assert [int(row[-1]) for row in table] == [row.line for row in own]
    assert (
        f"{len(own)} of the study's {len(study.observations)} published observations" in henan.text
    )
    counts = [sum(row.kind == kind for row in own) for kind in ("level", "part-year")]
    assert min(counts) > 0
    assert f"{sum(counts)} observations of the place are levels" in henan.text
    links = {attributes.get("href") for tag, attributes in henan.tags if tag == "a"}
    assert {row.url for row in own if row.url.startswith("http")} <= links


def test_a_place_without_observations_says_so(evidence: Evidence) -> None:
    page = Parsed(place_report(evidence, "Foshan"))
    assert "observations" not in page.tables
    assert "No observation is about this place itself" in page.text


def numbers(rows: list[list[str]]) -> list[list[str]]:
    """The numbers of a table's own columns, without its words."""
    return [re.findall(r"[-+]?\d[\d,.]*", " ".join(row[1:4])) for row in rows[1:]]


def test_a_chinese_report_describes_every_scenario_in_chinese(evidence: Evidence) -> None:
    page = html.unescape(place_report(evidence, "China", language="zh"))
    for scenario in evidence.study.scenarios.values():
        assert scenario.text_zh
        assert scenario.description.en not in page
        if scenario.name != "baseline":  # the first scenario is the forecast itself
            assert scenario.description.zh in page


def test_a_chinese_report_has_the_same_numbers_and_none_of_our_english(
    evidence: Evidence, henan: Parsed
) -> None:
    page = place_report(evidence, "Henan", language="zh")
    chinese = Parsed(page)
    assert '<html lang="zh-CN">' in page
    assert set(chinese.tables) == set(henan.tables)
    for name in ("estimates", "drivers", "scenarios"):
        assert numbers(chinese.tables[name]) == numbers(henan.tables[name]), name
    heads = [cell for rows in chinese.tables.values() for cell in rows[0] if cell]
    heads += re.findall("<h2>(.*?)</h2>", page)
    words = [head for head in heads if not head.isdigit()]
    assert len(words) > 25
    assert not [head for head in words if not re.search("[\u4e00-\u9fff]", head)]
    # Whatever is in English there comes from a file.
    ours = {english for english, _ in REPORT.values() if len(english) > 20 and "{" not in english}
    assert not [sentence for sentence in ours if sentence in page]


def test_amounts_of_a_chinese_report_are_written_as_officials_write_them(
    evidence: Evidence, result: xr.Dataset
) -> None:
    chinese = Parsed(place_report(evidence, "China", language="zh"))
    cells = {row[0]: row[1] for row in chinese.tables["forecast"][1:]}
    median = result["published_quantile"].sel(place="China", year=2035, quantile=0.5)
    unit = str(result.attrs["unit"])
    written = amount(float(median[0]), unit, evidence.study.labels()[unit], "zh")
    assert written.endswith("万亿元")
    assert cells["2035"].startswith(written)
    assert "十亿" not in chinese.text
    assert not re.search(r"\d\.\d\d[-–]\d{4}\.\d\d", chinese.text)


def test_a_picture_speaks_chinese_to_its_last_word(result: xr.Dataset) -> None:
    ax = fan_chart(result, "Henan", compare="tilt-up", title="河南", language="zh")
    legend = ax.get_legend()
    assert legend is not None
    texts = [ax.get_title(loc="left"), ax.get_ylabel(), *(t.get_text() for t in ax.texts)]
    texts += [entry.get_text() for entry in legend.get_texts()]
    assert len(texts) > 6
    assert not [text for text in texts if re.search("[a-z]", text)]


def test_nothing_is_loaded_from_outside(henan: Parsed) -> None:
    """Links are followed by a reader only; what a browser loads by itself is in the file."""
    for tag, attributes in henan.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        assert not any(name.startswith("on") for name in attributes)
        if tag == "img":
            assert str(attributes["src"]).startswith("data:image/png;base64,")
            assert attributes["alt"]
        elif tag != "a":
            assert not {"src", "href", "srcset", "data", "poster"} & set(attributes)


def test_text_of_files_is_escaped(evidence: Evidence) -> None:
    study = evidence.study
    rows = [
        dataclasses.replace(row, source=HOSTILE, url="javascript:alert(1)", unit=HOSTILE)
        for row in study.observations
    ]
    hostile = dataclasses.replace(
        study,
        titles=dict.fromkeys(study.titles, HOSTILE),
        scenarios={
            name: dataclasses.replace(scenario, title=HOSTILE, text=HOSTILE)
            for name, scenario in study.scenarios.items()
        },
        observations=dataclasses.replace(study.observations, rows=tuple(rows)),
    )
    other = dataclasses.replace(evidence, study=hostile, attribution=None)
    for page in (place_report(other, "Henan"), index_page(other, [("Henan", HOSTILE)])):
        parsed = Parsed(page)
        assert HOSTILE in parsed.text
        assert "script" not in {tag for tag, _ in parsed.tags}
        assert not any("javascript" in str(a.get("href")) for _, a in parsed.tags)
        names = {name for _, attributes in parsed.tags for name in attributes}
        assert names <= {
            "lang", "charset", "name", "content", "class", "id", "href", "rel", "alt", "src",
            "scope", "tabindex", "role", "aria-label",
        }  # fmt: skip


def test_without_a_browser_pdf_is_answered_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match="apt-get install chromium"):
        print_pdf(tmp_path / "a.html", tmp_path / "a.pdf")


@pytest.mark.skipif(
    shutil.which("chromium") is None, reason="needs Debian's chromium: apt-get install chromium"
)
def test_a_report_is_printed(evidence: Evidence, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>佛山 &amp; Foshan</p>", encoding="utf-8")
    print_pdf(tmp_path / "a.html", tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    assert sorted(os.listdir(tmp_path)) == ["a.html", "a.pdf"]


def test_numbers_of_any_size_are_written_out() -> None:
    given = (1498.0, 0.00245, 12345678.0, -0.0513, 1e-15, 0.0)
    written = ("1498", "0.00245", "12,345,678", "-0.0513", "0", "0")
    assert tuple(map(rounded, given)) == written


NARROW = """() => [...document.querySelectorAll("td:not(.n):not(.short), th:not(.n):not(.short)")]
  .filter((cell) => cell.innerText.trim().length > 5)
  .map((cell) => {
    const style = getComputedStyle(cell);
    const room = cell.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    return [room / parseFloat(style.fontSize), cell.innerText];
  })
  // A letter is about half as wide as it is high.
  .filter(([room]) => room < 3)"""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_report_has_at_most_eight_pages_and_no_narrow_column(
    evidence: Evidence, tmp_path: Path, language: str, browser: Browser
) -> None:
    """The place with the most observations; at 1440 and 390 pixels and on A4."""
    path = tmp_path / "a.html"
    path.write_text(place_report(evidence, "China", language=language), encoding="utf-8")
    print_pdf(path, path.with_suffix(".pdf"))
    pages = re.findall(rb"/Type\s*/Page\b(?!s)", path.with_suffix(".pdf").read_bytes())
    assert 1 <= len(pages) <= 8
    for width, medium in ((1440, "screen"), (390, "screen"), (688, "print")):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.emulate_media(media=medium)
        page.goto(path.as_uri())
        assert page.evaluate(NARROW) == []
        if medium == "screen":
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()
