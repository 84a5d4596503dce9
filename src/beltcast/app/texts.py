"""Sentences of the page that are made from an answer, in English and Chinese.

Numbers come from results only; single words are those of `beltcast.pictures.translations`.
"""

from __future__ import annotations

import xarray as xr

from beltcast.app.results import Answer, Opened
from beltcast.app.state import Question
from beltcast.app.view import unit_of
from beltcast.drivers.attribution.attribute import sign_source
from beltcast.ensembles.member_statistics import chance, quantiles
from beltcast.pictures.translations import word
from beltcast.schema import PLACE, QUANTILE, SCENARIO, YEAR, Label, Language
from beltcast.study.scenarios import Scenario


def place_name(opened: Opened, place: str, language: Language) -> str:
    """What a place is called."""
    return opened.study.title_of(place, language)


def scenario_name(scenario: Scenario, language: Language) -> str:
    """What a scenario is called."""
    return Label(scenario.title, scenario.title_zh).text(language)


def headline(opened: Opened, question: Question, found: Answer) -> str:
    """Say the forecast of the last year that is shown, and what it rests on."""
    place, year = question.place, question.horizon
    low, middle, high = _three(found.published.sel({PLACE: place, YEAR: year}))
    before = _three(opened.base["prior_quantile"].sel({PLACE: place, YEAR: year}))
    figures = int(opened.base["figures"].sel({PLACE: place}))
    unit = unit_of(opened, question.language)
    if question.language == "zh":
        return (
            f"{year} 年：{middle:,.0f} {unit}（80% 区间 {low:,.0f}–{high:,.0f}）；"
            f"仅凭先验为 {before[1]:,.0f}（{before[0]:,.0f}–{before[2]:,.0f}）。"
            f"该地直接公布的数据有 {figures} 条。"
        )
    own = "1 published figure speaks" if figures == 1 else f"{figures} published figures speak"
    return (
        f"{year}: {middle:,.0f} {unit} (80% band {low:,.0f}–{high:,.0f}); the priors alone, in the "
        f"first scenario, give {before[1]:,.0f} ({before[0]:,.0f}–{before[2]:,.0f}). {own} of this "
        "place itself."
    )


def comparison(question: Question, found: Answer, other: Answer) -> str:
    """Say how two scenarios differ in the last year that is shown, draw by draw."""
    at = {PLACE: question.place, YEAR: question.horizon}
    ratio = found.output.sel(at) / other.output.sel(at)
    low, middle, high = (100.0 * (v - 1.0) for v in _three(quantiles(ratio)))
    more = 100.0 * float(chance(ratio > 1.0, ratio.notnull()))
    if question.language == "zh":
        return (
            f"与对比情景相比，{question.horizon} 年 {middle:+.1f}%"
            f"（80% 区间 {low:+.1f}% 至 {high:+.1f}%）；{more:.0f}% 的样本更高。"
        )
    return (
        f"Against the other scenario, {question.horizon}: {middle:+.1f} % (80% band {low:+.1f} to "
        f"{high:+.1f} %), draw by draw; more in {more:.0f} % of the draws."
    )


def synergy(attribution: xr.Dataset, question: Question, year: int) -> str:
    """Say whether the drivers add up to more than their sum, and who says so."""
    at = {PLACE: question.place, YEAR: year}
    after = float(attribution["synergy_log_chance"].sel(at))
    before = float(attribution["prior_synergy_log_chance"].sel(at))
    speaker = sign_source(after, before)
    if question.language == "zh":
        return (
            f"{year} 年各驱动力是否互补：协同为正的概率 {after:.2f}，仅凭先验 {before:.2f}——"
            f"{word(speaker, 'zh')}。"
        )
    return (
        f"Do the drivers complement each other ({year})? Chance that they do {after:.2f}, from the "
        f"priors alone {before:.2f}: {word(speaker, 'en')}."
    )


def foot(opened: Opened, language: Language) -> str:
    """What the page rests on."""
    figures = len(opened.study.observations)
    return word("foot", language, draws=len(opened.draws), figures=figures)


def first_scenario(opened: Opened) -> str:
    """Name of the scenario that the base was made with."""
    return str(opened.base[SCENARIO].values[0])


def _three(values: xr.DataArray) -> tuple[float, float, float]:
    low, middle, high = (float(values.sel({QUANTILE: q})) for q in (0.1, 0.5, 0.9))
    return low, middle, high
