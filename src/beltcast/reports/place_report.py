"""A report on one place as one self-contained HTML file, for screen and paper.

Every number is read from the results, and the sentences around the numbers are those of
`beltcast.display.translations`, in English or Chinese; the templates of `beltcast.reports.html`
lay them out, for the report and for the page alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import xarray as xr

from beltcast.display.numbers import digits
from beltcast.display.translations import (
    amount,
    called,
    element_called,
    money_unit,
    period_words,
    timed,
    total_unit,
    word,
)
from beltcast.drivers.attribution.attribute import DRIVER, sign_source
from beltcast.drivers.attribution.page import attribution_draws, complement_words
from beltcast.drivers.attribution.plot import waterfall
from beltcast.ensembles.member_statistics import at_year, chance_text
from beltcast.ensembles.verdicts import chance_words
from beltcast.forecasting.summary import draws_behind, shown_years, three_words
from beltcast.inference.calibrate import estimate_verdict
from beltcast.inference.sampling.draws_file import KeptFit
from beltcast.model.quantities import is_flow
from beltcast.pictures.plots import fan_chart
from beltcast.reports.html import picture, rendered, sections_html, web_address
from beltcast.schema import PLACE, QUANTILE, SCENARIO, YEAR, Label, Language
from beltcast.study.observations import Observation
from beltcast.study.study import Study


@dataclass(frozen=True, eq=False)
class Evidence:
    """All results that a report reads.

    Attributes
    ----------
    study : Study
    forecast : xarray.Dataset
        Of all scenarios, as `beltcast.forecast` returns it.
    attribution : xarray.Dataset or None
        With the prior beside it, as `beltcast.attribute` returns it.
    estimates : pandas.DataFrame
        As `Calibration.table` gives it.
    """

    study: Study
    forecast: xr.Dataset
    attribution: xr.Dataset | None
    estimates: pd.DataFrame


def place_report(
    evidence: Evidence, place: str, *, year: int | None = None, language: Language = "en"
) -> str:
    """Write the report of one place.

    Parameters
    ----------
    evidence : Evidence
    place : str
        One of the forecast's.
    year : int, optional
        Year of the drivers' shares; the last of the study's years ``past`` by default.
    language : 'en' or 'zh'
        Text from files (sources, definitions) keeps its language.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.inference.sampling.draws_file import open_fit
    >>> from beltcast.forecasting.forecast import forecast_draws
    >>> from beltcast.inference.sampling.posterior import sample_prior
    >>> from beltcast.reports.place_report import Evidence, place_report
    >>> (study, kept), rng = open_fit(), np.random.default_rng(1)
    >>> prior = sample_prior(kept.posterior.likelihood, 8, rng=rng)
    >>> made = forecast_draws(study, kept.first(8), prior, kept.optimum, rng=rng)
    >>> page = place_report(Evidence(study, made, None, kept.estimates()), "Foshan")
    >>> "<h1>Foshan furniture</h1>" in page
    True
    """
    past = evidence.study.years.past[1]
    asked = _Asked(place, past if year is None else year, language, evidence.study.model.time_unit)
    parts = [
        _forecast(evidence, asked),
        _what_it_rests_on(evidence, asked),
        _drivers(evidence, asked),
        _scenarios(evidence, asked),
        _cannot_tell(evidence, asked),
        _sources(evidence, asked),
        _how(evidence, asked),
    ]
    return rendered(
        "report.html.j2",
        language,
        title=evidence.study.title_of(place, language),
        under=_study_title(evidence.study, language),
        parts=[part for part in parts if part],
    )


def place_sections(
    study: Study, kept: KeptFit, forecast: xr.Dataset, language: Language
) -> dict[str, str]:
    """Write the sections of a page on each place, as HTML by place."""
    evidence = Evidence(study, forecast, None, kept.estimates())
    found = {}
    for place in map(str, forecast[PLACE].values):
        asked = _Asked(place, 0, language, study.model.time_unit)
        parts = (_what_it_rests_on, _scenarios, _cannot_tell, _sources, _how)
        found[place] = sections_html([p for part in parts if (p := part(evidence, asked))])
    return found


def index_page(
    evidence: Evidence, files: Sequence[tuple[str, str]], *, language: Language = "en"
) -> str:
    """Write a page of links to reports; files are (place, file name) pairs."""
    return rendered(
        "index.html.j2",
        language,
        title=_study_title(evidence.study, language),
        links=[(evidence.study.title_of(place, language), name) for place, name in files],
    )


Part = dict[str, Any]
"""A section for the templates; empty if it has no content."""


def _part(title: str, **given: Any) -> Part:
    nothing: Part = {
        "texts": (),
        "picture": None,
        "tables": (),
        "after": (),
        "bullets": (),
        "sources": (),
        "code": (),
    }
    return {**nothing, "title": title, **given}


def _table(
    name: str, caption: str, heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]
) -> Part:
    """A table; each head is (text, kind of its column): 'n' numbers, 'short' words, '' text."""
    columns = [{"text": text, "kind": kind} for text, kind in heads]
    return {"name": name, "caption": caption, "heads": columns, "rows": rows}


@dataclass(frozen=True)
class _Asked:
    """Options of a report."""

    place: str
    year: int
    language: Language
    time: str

    def say(self, key: str, **parts: object) -> str:
        return timed(word(key, self.language, **parts), self.language, self.time)

    def band(self, values: xr.DataArray, form: str = "{:,.0f}") -> str:
        """Median and 80% band."""
        low, middle, high = (form.format(float(values.sel({QUANTILE: q}))) for q in (0.1, 0.5, 0.9))
        return self.say("to", low=low, middle=middle, high=high)

    def amounts(self, values: xr.DataArray, unit: str, label: Label) -> str:
        """Median and 80 % band of amounts; in Chinese with their unit, which varies with size."""

        def written(value: float) -> str:
            return amount(value, unit, label, "zh") if self.language == "zh" else digits(value)

        low, middle, high = (written(float(values.sel({QUANTILE: q}))) for q in (0.1, 0.5, 0.9))
        return self.say("to", low=low, middle=middle, high=high)

    def three(self, low: float, middle: float, high: float) -> str:
        """The same for three numbers of any size."""
        return three_words(low, middle, high, self.language)


# --- the sections ---


def _forecast(evidence: Evidence, asked: _Asked) -> Part:
    forecast, say = evidence.forecast, asked.say
    first = _first(forecast)
    fan = forecast["published_quantile"].sel({SCENARIO: first, PLACE: asked.place})
    prior = forecast["prior_quantile"].sel({PLACE: asked.place})
    ratio = forecast["sd_ratio"].sel({PLACE: asked.place})
    target, unit = (str(forecast.attrs[name]) for name in ("target", "unit"))
    labels = evidence.study.labels()
    label = labels.get(unit, Label(unit))
    rows = [
        (
            str(year),
            asked.amounts(fan.sel({YEAR: year}), unit, label),
            asked.amounts(prior.sel({YEAR: year}), unit, label),
            f"{float(ratio.sel({YEAR: year})):.2f}",
            say(estimate_verdict(float(ratio.sel({YEAR: year})), draws_behind(forecast))),
        )
        for year in shown_years(forecast)
    ]
    heads = [
        (say("year"), "short"),
        (say("median_band"), "n"),
        (say("priors_alone"), "n"),
        (say("ratio_widths"), "n"),
        ("", ""),
    ]
    what = say(
        "caption_forecast",
        what=say(
            "of",
            what=_called(evidence, target, asked),
            unit=total_unit(unit, asked.language, labels),
        ),
        scenario=_named(evidence, first, asked),
    )
    chart = fan_chart(
        forecast,
        asked.place,
        compare=evidence.study.roles.compare,
        title=evidence.study.title_of(asked.place, asked.language),
        language=asked.language,
    )
    return _part(
        say("fan"),
        picture=picture(chart, say("alt_fan", what=what)),
        tables=[_table("forecast", what, heads, rows)],
    )


def _what_it_rests_on(evidence: Evidence, asked: _Asked) -> Part:
    say, study, labels = asked.say, evidence.study, evidence.study.labels()
    own = _own_rows(study, asked.place)
    words = evidence.estimates["verdict"].value_counts()
    counts = say(", ").join(f"{count} {say(str(name))}" for name, count in words.items())
    text = say(
        "rests",
        own=len(own),
        all=len(study.observations),
        count=len(evidence.estimates),
        counts=counts,
    )
    rows = [
        (
            period_words(row.start, row.end, asked.language),
            _called(evidence, row.quantity, asked),
            say(f"kind {row.kind}"),
            _value(row, study.model.variables[row.quantity].unit, asked.language, labels),
            _called(evidence, study.noise.definitions[row.definition].title, asked),
            row.grade,
            str(row.line),
        )
        for row in own
    ]
    heads = [
        (say("period"), ""),
        (say("quantity"), ""),
        (say("kind"), ""),
        (say("figure"), "n"),
        (say("definition"), ""),
        (say("grade"), "short"),
        (say("row"), "n"),
    ]
    title = say("caption_observations", table=study.observations.path.name)
    tables = [_table("observations", title, heads, rows)] if rows else []
    return _part(say("h_rests"), texts=[text], tables=[*tables, *_estimates(evidence, asked)])


def _estimates(evidence: Evidence, asked: _Asked) -> list[Part]:
    """Estimates of the place itself."""
    estimates, labels = evidence.estimates, evidence.study.labels()
    own = estimates[[str(label).endswith(f"[{asked.place}]") for label in estimates.index]]
    rows = [
        (
            element_called(str(label), asked.language, labels),
            asked.three(row["prior_p10"], row["prior_median"], row["prior_p90"]),
            asked.three(row["p10"], row["median"], row["p90"]),
            f"{row['sd_ratio']:.2f}",
            asked.say(str(row["verdict"])),
        )
        for label, row in own.iterrows()
    ]
    heads = [
        (asked.say("parameter"), ""),
        (asked.say("prior_short"), "n"),
        (asked.say("with_data"), "n"),
        (asked.say("ratio"), "n"),
        ("", ""),
    ]
    title = asked.say("caption_estimates")
    return [_table("estimates", title, heads, rows)] if rows else []


def _drivers(evidence: Evidence, asked: _Asked) -> Part:
    attribution, say = evidence.attribution, asked.say
    if attribution is None:
        return {}
    at = at_year(attribution, asked.year).sel({PLACE: asked.place})
    draws, believed = attribution_draws(at)
    rows = [
        (
            _called(evidence, str(driver), asked),
            asked.band(own["shapley_log_quantile"], "{:+.2f}"),
            asked.band(own["prior_shapley_log_quantile"], "{:+.2f}"),
            say(chance_words(float(own["shapley_log_chance"]), draws)),
            say(chance_words(float(own["prior_shapley_log_chance"]), believed)),
            say(_speaker(own, "shapley_log_chance", min(draws, believed))),
        )
        for driver in at[DRIVER].values
        for own in [at.sel({DRIVER: driver})]
    ]
    keys = ("shapley", "priors_alone", "positive", "prior_short")
    heads = [(say("driver"), ""), *((say(key), "n") for key in keys), ("", "")]
    what = _called(evidence, evidence.study.target, asked)
    title = say("caption_drivers", what=what, year=asked.year)
    named = evidence.study.title_of(asked.place, asked.language)
    chart = waterfall(
        attribution,
        asked.place,
        year=asked.year,
        title=say("waterfall", place=named, year=asked.year),
        language=asked.language,
    )
    sentence = complement_words(
        attribution, place=asked.place, year=asked.year, language=asked.language, title=named
    )
    return _part(
        say("h_drives"),
        picture=picture(chart, title),
        tables=[_table("drivers", title, heads, rows)],
        after=[sentence],
    )


def _scenarios(evidence: Evidence, asked: _Asked) -> Part:
    forecast, say = evidence.forecast, asked.say
    years = shown_years(forecast)[1:] or shown_years(forecast)
    rows = []
    for name in map(str, forecast[SCENARIO].values[1:]):
        at = forecast.sel({SCENARIO: name, PLACE: asked.place})
        last = at.sel({YEAR: years[-1]})
        change = 100.0 * (at["change_quantile"] - 1.0)
        known = evidence.study.scenarios.get(name)
        rows.append(
            (
                {
                    "text": _titled(evidence, name, asked),
                    "note": "" if known is None else known.description.text(asked.language),
                },
                *(
                    say("percent", band=asked.band(change.sel({YEAR: year}), "{:+.1f}"))
                    for year in years
                ),
                say(chance_text(last, "chance_of_more", {})),
                say(chance_text(last, "prior_chance_of_more", {})),
            )
        )
    if not rows:
        return {}
    title = say("caption_scenarios", first=_named(evidence, _first(forecast), asked))
    heads = [
        (say("scenario_head"), ""),
        *((str(year), "n") for year in years),
        (say("more"), "n"),
        (say("more_prior"), "n"),
    ]
    return _part(say("h_scenarios"), tables=[_table("scenarios", title, heads, rows)])


def _cannot_tell(evidence: Evidence, asked: _Asked) -> Part:
    """Sentences, from the results, on what is prior, structure or another statistic."""
    forecast, say = evidence.forecast, asked.say
    last = shown_years(forecast)[-1]
    own = _own_rows(evidence.study, asked.place)
    ratio = float(forecast["sd_ratio"].sel({PLACE: asked.place, YEAR: last}))
    words = estimate_verdict(ratio, draws_behind(forecast))
    levels = sum(row.kind in ("level", "part-year") for row in own)
    mine = forecast["row_place"].values == asked.place
    loose = int(forecast["row_loose"].values[mine].sum())
    lines = [
        *([] if own else [say("no_figure")]),
        # A band of zero width has no ratio.
        *(
            [say("band_is", year=last, verdict=say(words), ratio=ratio)]
            if math.isfinite(ratio)
            else []
        ),
        *([say("loose_points", loose=loose, levels=levels)] if loose else []),
        *_prior_drivers(evidence, asked),
        *_decided_by_structure(evidence, asked, last),
    ]
    return _part(say("h_cannot"), bullets=lines) if lines else {}


def _prior_drivers(evidence: Evidence, asked: _Asked) -> list[str]:
    attribution = evidence.attribution
    if attribution is None:
        return []
    at = at_year(attribution, asked.year).sel({PLACE: asked.place})
    ratios, draws = at["shapley_log_sd_ratio"], min(attribution_draws(at))
    pairs = zip(map(str, ratios[DRIVER].values), map(float, ratios.values), strict=True)
    return [
        asked.say(
            "share_prior",
            driver=_called(evidence, driver, asked),
            verdict=asked.say(estimate_verdict(ratio)),
            ratio=ratio,
        )
        for driver, ratio in pairs
        if estimate_verdict(ratio, draws) == "mostly prior"
    ]


def _decided_by_structure(evidence: Evidence, asked: _Asked, year: int) -> list[str]:
    """Name the scenarios whose sign the priors alone determine."""
    at = evidence.forecast.sel({PLACE: asked.place, YEAR: year})
    titles = [
        _titled(evidence, str(own[SCENARIO].values), asked)
        for own in (at.sel({SCENARIO: name}) for name in at[SCENARIO].values[1:])
        if _speaker(own, "chance_of_more", draws_behind(evidence.forecast)) == "built in"
    ]
    return [asked.say("structure_decides", titles=asked.say("; ").join(titles))] if titles else []


def _sources(evidence: Evidence, asked: _Asked) -> Part:
    study, say = evidence.study, asked.say
    rows = _own_rows(study, asked.place)
    whole = str(evidence.forecast.attrs["whole"])
    if asked.place != whole:  # observations of the whole inform each of its parts
        rows = [*rows, *_own_rows(study, whole)]
    lines: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        lines.setdefault((row.source, row.url), []).append(row.line)
    sources = [
        {
            "text": source,
            "url": web_address(url),
            "lines": say(
                "one_line" if len(at) == 1 else "lines", lines=say(", ").join(map(str, at))
            ),
        }
        for (source, url), at in lines.items()
    ]
    of = say(
        "observations_of" if asked.place == whole else "observations_of_both",
        place=study.title_of(asked.place, asked.language),
        whole=study.title_of(whole, asked.language),
    )
    return _part(say("h_sources"), texts=[of], sources=sources)


def _how(evidence: Evidence, asked: _Asked) -> Part:
    attributes = evidence.forecast.attrs
    text = asked.say(
        "draws_of",
        draws=attributes["draws"],
        kind=asked.say(attributes["draws_kind"]),
        versions=attributes.get("versions", ""),
    )
    hashes = [f"{name} sha256 {value}" for name, value in evidence.study.hashes.items()]
    return _part(asked.say("h_how"), texts=[text], code=hashes)


# --- small parts ---


def _own_rows(study: Study, place: str) -> list[Observation]:
    return [row for row in study.observations if row.place == place]


def _study_title(study: Study, language: Language) -> str:
    return Label(study.title, study.title_zh).text(language)


def _value(row: Observation, unit: str, language: Language, labels: Mapping[str, Label]) -> str:
    """A value in the unit of the model; a total is an amount of the flow."""
    if row.kind == "growth":
        return f"{100 * (row.value - 1):+.1f} %"
    if row.kind == "share" or row.unit == "%":
        return f"{100 * row.value:.1f} %"
    measure = unit.partition("/")[0].strip() if is_flow(unit) else unit
    label = labels.get(measure, Label(measure))
    if language == "zh" and money_unit(measure):
        return amount(row.value, measure, label, language)
    number = f"{row.value:,.4g}" if row.value < 1000 else f"{row.value:,.0f}"
    return f"{number} {label.text(language)}"


def _first(forecast: xr.Dataset) -> str:
    return str(forecast[SCENARIO].values[0])


def _named(evidence: Evidence, scenario: str, asked: _Asked) -> str:
    """Name of a scenario in a caption: as in files; in Chinese its title."""
    return scenario if asked.language == "en" else _titled(evidence, scenario, asked)


def _titled(evidence: Evidence, scenario: str, asked: _Asked) -> str:
    return _called(evidence, scenario, asked)


def _called(evidence: Evidence, name: str, asked: _Asked) -> str:
    return called(name, asked.language, evidence.study.labels())


def _speaker(at: xr.Dataset, chance: str, draws: int) -> str:
    return sign_source(float(at[chance]), float(at[f"prior_{chance}"]), draws)
