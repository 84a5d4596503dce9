"""A report of one place as one HTML file that needs nothing else, fit for the screen and for paper.

Every number and every sentence with one is read off the results; what is typed here are headings
and the words around them.  All text that comes from files is escaped, pictures stand inside as
data, and a link goes out only when a reader follows it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beltcast.data.observations import Observation
from beltcast.drivers.attribute import DRIVER, who_speaks
from beltcast.drivers.attribution_text import complement_words
from beltcast.drivers.plots_attribution import waterfall
from beltcast.inference.calibrate import verdict
from beltcast.pictures.plots import fan_chart
from beltcast.schema import PLACE, QUANTILE, SCENARIO, YEAR
from beltcast.study import Study
from beltcast.summary import HORIZONS

CSS = """
body { font-family: system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
       line-height: 1.45; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; }
p.under { color: #555; margin-top: .2rem; } figure { margin: 1rem 0; } img { max-width: 100%; }
table { border-collapse: collapse; font-size: .85rem; margin: .8rem 0; width: 100%; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .2rem .7rem .2rem 0;
         border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; white-space: nowrap; overflow-wrap: normal; }
div.wide { overflow-x: auto; } li { margin: .2rem 0; } code { font-size: .8rem; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; } a { color: inherit; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; } @page { margin: 18mm; } }
"""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a report is read off.

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


def place_report(evidence: Evidence, place: str, *, year: int = 2024) -> str:
    """Write the report of one place.

    Parameters
    ----------
    evidence : Evidence
    place : str
        One of the forecast's.
    year : int
        Of the drivers' shares.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.inference.draws_file import open_fit
    >>> from beltcast.forecast import forecast_draws
    >>> from beltcast.inference.posterior import sample_prior
    >>> from beltcast.report import Evidence, place_report
    >>> (study, kept), rng = open_fit(), np.random.default_rng(1)
    >>> prior = sample_prior(kept.posterior.likelihood, 8, rng=rng)
    >>> made = forecast_draws(study, kept.first(8), prior, kept.optimum, rng=rng)
    >>> page = place_report(Evidence(study, made, None, kept.estimates()), "Foshan")
    >>> "<h1>Foshan furniture</h1>" in page
    True
    """
    title = evidence.study.titles.get(place, place)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class='under'>{escape(str(evidence.forecast.attrs['title']))}</p>",
        _forecast(evidence, place),
        _what_it_rests_on(evidence, place),
        _drivers(evidence, place, year),
        _scenarios(evidence, place),
        _cannot_tell(evidence, place, year),
        _sources(evidence, place),
        _how(evidence),
    ]
    return _document(title, parts)


def index_page(evidence: Evidence, files: Sequence[tuple[str, str]]) -> str:
    """Write a page of links to reports; files are (place, file name) pairs."""
    titles = evidence.study.titles
    items = "".join(
        f"<li><a href='{escape(name)}'>{escape(titles.get(place, place))}</a></li>"
        for place, name in files
    )
    title = str(evidence.forecast.attrs["title"])
    return _document(title, [f"<h1>{escape(title)}</h1>", f"<ul>{items}</ul>"])


# --- the sections ---


def _forecast(evidence: Evidence, place: str) -> str:
    forecast = evidence.forecast
    first = _first(forecast)
    fan = forecast["published_quantile"].sel({SCENARIO: first, PLACE: place})
    prior = forecast["prior_quantile"].sel({PLACE: place})
    ratio = forecast["spread_ratio"].sel({PLACE: place})
    rows = [
        (
            str(year),
            _band(fan.sel({YEAR: year})),
            _band(prior.sel({YEAR: year})),
            f"{float(ratio.sel({YEAR: year})):.2f}",
            verdict(float(ratio.sel({YEAR: year}))),
        )
        for year in _horizons(forecast)
    ]
    heads = ("year", "median (80% band)", "the priors alone", "ratio of widths", "")
    what = f"{forecast.attrs['target']}, {_unit(forecast)} a year, scenario '{first}'"
    other = "de-minimis-ends" if "de-minimis-ends" in forecast[SCENARIO].values else None
    chart = fan_chart(forecast, place, compare=other, title=evidence.study.titles.get(place, place))
    return (
        "<h2>Forecast</h2>"
        + _picture(chart, f"Fan chart: {what}")
        + _table("forecast", what, heads, rows, numbers=(1, 2, 3))
    )


def _what_it_rests_on(evidence: Evidence, place: str) -> str:
    own = _own_rows(evidence.study, place)
    known = len(evidence.study.observations)
    words = evidence.estimates["verdict"].value_counts()
    counts = ", ".join(f"{count} {word}" for word, count in words.items())
    text = (
        f"{len(own)} of the {known} published figures of the study speak of this place itself. Of "
        f"{len(evidence.estimates)} parameters {counts}."
    )
    rows = [
        (
            _period(row),
            row.quantity,
            row.kind,
            _value(row),
            evidence.study.noise.definitions[row.definition].title,
            row.grade,
            str(row.line),
        )
        for row in own
    ]
    heads = ("period", "quantity", "kind", "figure", "definition", "grade", "line")
    source = evidence.study.observations.path.name
    figures = (
        _table("figures", f"Published figures, by line of {source}", heads, rows, numbers=(3, 6))
        if rows
        else ""
    )
    return f"<h2>What it rests on</h2><p>{escape(text)}</p>{figures}{_estimates(evidence, place)}"


def _estimates(evidence: Evidence, place: str) -> str:
    """What is estimated for the place itself."""
    table = evidence.estimates
    own = table[[str(label).endswith(f"[{place}]") for label in table.index]]
    rows = [
        (
            str(label),
            _three(row["prior_p10"], row["prior_median"], row["prior_p90"]),
            _three(row["p10"], row["median"], row["p90"]),
            f"{row['spread_ratio']:.2f}",
            str(row["verdict"]),
        )
        for label, row in own.iterrows()
    ]
    heads = ("parameter", "prior", "with the figures", "ratio", "")
    title = "Estimates of the place itself: median (80% band)"
    return _table("estimates", title, heads, rows, numbers=(1, 2, 3)) if rows else ""


def _drivers(evidence: Evidence, place: str, year: int) -> str:
    attribution = evidence.attribution
    if attribution is None:
        return ""
    at = attribution.sel({PLACE: place, YEAR: year})
    rows = [
        (
            str(driver),
            _band(own["shapley_log_quantile"], "{:+.2f}"),
            _band(own["prior_shapley_log_quantile"], "{:+.2f}"),
            _share(own["shapley_log_chance"]),
            _share(own["prior_shapley_log_chance"]),
            who_speaks(float(own["shapley_log_chance"]), float(own["prior_shapley_log_chance"])),
        )
        for driver in at[DRIVER].values
        for own in [at.sel({DRIVER: driver})]
    ]
    heads = ("driver", "Shapley value, log", "the priors alone", "P>0", "prior", "")
    title = f"What each driver added to the log of output in {year}: median (80% band)"
    return (
        "<h2>What drives it</h2>"
        + _picture(waterfall(attribution, place, year=year), title)
        + _table("drivers", title, heads, rows, numbers=(1, 2, 3, 4))
        + f"<p>{escape(complement_words(attribution, place=place, year=year))}</p>"
    )


def _scenarios(evidence: Evidence, place: str) -> str:
    forecast = evidence.forecast
    years = _horizons(forecast)[1:] or _horizons(forecast)
    rows = []
    for name in map(str, forecast[SCENARIO].values[1:]):
        at = forecast.sel({SCENARIO: name, PLACE: place})
        last = at.sel({YEAR: years[-1]})
        change = 100.0 * (at["change_quantile"] - 1.0)
        scenario = evidence.study.scenarios[name]
        rows.append(
            (
                scenario.title,
                *(_band(change.sel({YEAR: year}), "{:+.1f}") + " %" for year in years),
                _share(last["chance_of_more"]),
                _share(last["prior_chance_of_more"]),
                scenario.text,
            )
        )
    if not rows:
        return ""
    heads = ("scenario", *map(str, years), "chance of more", "prior chance", "what it is")
    title = f"Change against '{_first(forecast)}', draw by draw: median (80% band)"
    numbers = tuple(range(1, len(years) + 3))
    return "<h2>Scenarios</h2>" + _table("scenarios", title, heads, rows, numbers=numbers)


def _cannot_tell(evidence: Evidence, place: str, year: int) -> str:
    """Sentences on what is prior, structure or another statistic; each from the results."""
    forecast = evidence.forecast
    last = _horizons(forecast)[-1]
    own = _own_rows(evidence.study, place)
    ratio = float(forecast["spread_ratio"].sel({PLACE: place, YEAR: last}))
    lines = []
    if not own:
        lines.append(
            "No published figure speaks of this place itself: its size comes from sums that it is "
            "part of, and from the prior."
        )
    lines.append(
        f"The band of {last} is {verdict(ratio)}: its width is {ratio:.2f} of that of the priors "
        "alone, in logs."
    )
    levels = [row for row in own if row.kind in ("level", "part-year")]
    loose = int(forecast["row_loose"].values[forecast["row_place"].values == place].sum())
    if loose:
        lines.append(
            f"{loose} of the points on the chart are of statistics whose size against the model's "
            f"scope is itself fitted; {len(levels)} figures of the place are levels."
        )
    lines += _prior_drivers(evidence.attribution, place, year)
    lines += _decided_by_structure(evidence, place, last)
    return "<h2>What the data cannot tell</h2>" + _list(lines)


def _prior_drivers(attribution: xr.Dataset | None, place: str, year: int) -> list[str]:
    if attribution is None:
        return []
    ratios = attribution["shapley_log_spread_ratio"].sel({PLACE: place, YEAR: year})
    return [
        f"The share of {driver} is {verdict(value)} (ratio of spreads {value:.2f})."
        for driver, value in zip(map(str, ratios[DRIVER].values), ratios.values, strict=True)
        if verdict(float(value)) == "mostly prior"
    ]


def _decided_by_structure(evidence: Evidence, place: str, year: int) -> list[str]:
    """Name the scenarios whose sign the priors alone decide."""
    at = evidence.forecast.sel({PLACE: place, YEAR: year})
    titles = [
        evidence.study.scenarios[str(own[SCENARIO].values)].title
        for own in (at.sel({SCENARIO: name}) for name in at[SCENARIO].values[1:])
        if who_speaks(float(own["chance_of_more"]), float(own["prior_chance_of_more"]))
        == "the structure speaks"
    ]
    if not titles:
        return []
    return [
        "Whether these scenarios bring more or less follows from the structure of the model, not "
        f"from the figures: {'; '.join(titles)}."
    ]


def _sources(evidence: Evidence, place: str) -> str:
    rows = _own_rows(evidence.study, place)
    whole = str(evidence.forecast.attrs["whole"])
    if place != whole:  # the nation's figures bear on each of its parts
        rows = [*rows, *_own_rows(evidence.study, whole)]
    lines: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        lines.setdefault((row.source, row.url), []).append(row.line)
    table = evidence.study.observations.path.name
    items = "".join(
        f"<li>{_link(source, url)} <span>({escape(table)}, "
        f"{'line' if len(at) == 1 else 'lines'} {', '.join(map(str, at))})</span></li>"
        for (source, url), at in lines.items()
    )
    of = escape(place) if place == whole else f"{escape(place)} and of {escape(whole)}"
    return f"<h2>Sources</h2><p>Of the figures of {of}:</p><ol id='sources'>{items}</ol>"


def _how(evidence: Evidence) -> str:
    attributes = evidence.forecast.attrs
    text = (
        f"{attributes['draws']} draws of the {attributes['draws_kind']}; "
        f"{attributes.get('versions', '')}"
    )
    hashes = "".join(
        f"<li><code>{escape(name)} sha256 {escape(value)}</code></li>"
        for name, value in evidence.study.hashes.items()
    )
    return f"<h2>How it was made</h2><p>{escape(text)}</p><ul>{hashes}</ul>"


# --- small parts ---


def _document(title: str, parts: Iterable[str]) -> str:
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body>"
        + "\n".join(part for part in parts if part)
        + "</body></html>\n"
    )


def _table(
    name: str,
    title: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int],
) -> str:
    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in numbers else ''}>{escape(text)}</{tag}>"
            for i, text in enumerate(texts)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f"<div class='wide'><table id='{name}'><caption>{escape(title)}</caption>"
        f"<thead><tr>{cells('th', heads)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _link(text: str, url: str) -> str:
    """A link, if the address is one of the web; else the text alone."""
    if not url.startswith(("http://", "https://")):
        return escape(text)
    return f"<a href='{escape(url)}' rel='noreferrer'>{escape(text)}</a>"


def _picture(ax: Axes, text: str) -> str:
    figure = ax.figure
    assert isinstance(figure, Figure)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=150, format="png")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f"<figure><img alt='{escape(text)}' src='data:image/png;base64,{data}'></figure>"


def _own_rows(study: Study, place: str) -> list[Observation]:
    return [row for row in study.observations if row.place == place]


def _period(row: Observation) -> str:
    whole = abs(row.end - row.start - 1.0) < 1e-3 and abs(row.start - round(row.start)) < 1e-3
    return f"{row.start:.0f}" if whole else f"{row.start:.2f}–{row.end:.2f}"


def _value(row: Observation) -> str:
    if row.kind == "growth":
        return f"{100 * (row.value - 1):+.1f} %"
    if row.kind == "share":
        return f"{100 * row.value:.1f} %"
    return f"{row.value:,.4g} {row.unit}" if row.value < 1000 else f"{row.value:,.0f} {row.unit}"


def _first(forecast: xr.Dataset) -> str:
    return str(forecast[SCENARIO].values[0])


def _unit(forecast: xr.Dataset) -> str:
    return str(forecast.attrs["unit"]).replace("bnCNY", "bn CNY")


def _horizons(forecast: xr.Dataset) -> list[int]:
    years = [int(y) for y in forecast[YEAR].values]
    return [y for y in HORIZONS if y in years] or years[-1:]


def _share(value: xr.DataArray) -> str:
    return f"{100 * float(value):.0f} %"


def _band(values: xr.DataArray, form: str = "{:,.0f}") -> str:
    low, middle, high = (form.format(float(values.sel({QUANTILE: q}))) for q in (0.1, 0.5, 0.9))
    return f"{middle} ({low} to {high})"


def _three(low: float, middle: float, high: float) -> str:
    low, middle, high = (0.0 if abs(v) < 1e-12 else v for v in (low, middle, high))
    return f"{middle:,.3g} ({low:,.3g} to {high:,.3g})"
