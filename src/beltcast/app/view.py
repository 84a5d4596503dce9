"""Charts of an answer, for Bokeh: data of their sources, and figures that show them.

A figure is made once for a language and a place; a slider then only replaces the data of its
sources.  Colours are those of `beltcast.pictures`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import xarray as xr
from bokeh.models import (
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    NumeralTickFormatter,
    Range1d,
    Span,
)
from bokeh.plotting import figure

from beltcast.app.results import PART, Answer, Opened
from beltcast.app.state import Question
from beltcast.display.colours import COLOURS, OTHER, POINT, POSTERIOR, PRIOR
from beltcast.drivers.attribution.attribute import DRIVER
from beltcast.ensembles.member_statistics import parting
from beltcast.model.model import Model
from beltcast.pictures.diagram import diagram
from beltcast.pictures.translations import a_year, word
from beltcast.schema import MEMBER, PLACE, QUANTILE, TIME, YEAR, Language

Data = dict[str, Any]

GREY = "#777777"

_BANDS = ((0.05, 0.95, 0.15), (0.1, 0.9, 0.2), (0.25, 0.75, 0.3))
_KINDS = (
    # key, kinds of rows, loose, marker, fill
    ("published", ("level",), 0, "circle", POINT),
    ("part", ("part-year",), 0, "diamond", "white"),
    ("loose", ("level", "part-year"), 1, "circle", PRIOR),
    ("bound", ("lower", "upper"), None, "triangle", "white"),
)


def fan_data(question: Question, found: Answer) -> Data:
    """Quantiles of one place up to the horizon, at the middle of each year."""
    fan = found.published.sel({PLACE: question.place, YEAR: slice(None, question.horizon)})
    columns = {f"q{100 * q:.0f}": fan.sel({QUANTILE: q}).values for q in fan[QUANTILE].values}
    return {"year": fan[YEAR].values, "x": fan[YEAR].values + 0.5, **columns}


def other_data(question: Question, found: Answer, other: Answer) -> Data:
    """As `fan_data` of a second scenario, from the last year in which it is the first one."""
    at = {PLACE: question.place, YEAR: slice(None, question.horizon)}
    paths = (answer.output.sel(at).median(MEMBER) for answer in (found, other))
    first = parting(*paths)
    return {name: values[first:] for name, values in fan_data(question, other).items()}


def prior_data(opened: Opened, question: Question) -> Data:
    """The prior's 80% band of one place."""
    band = opened.base["prior_quantile"].sel(
        {PLACE: question.place, YEAR: slice(None, question.horizon)}
    )
    ends = {f"q{100 * q:.0f}": band.sel({QUANTILE: q}).values for q in (0.1, 0.9)}
    return {"x": band[YEAR].values + 0.5, **ends}


def point_data(opened: Opened, place: str, key: str) -> Data:
    """Published figures of one place and one kind of marker, with their sources."""
    base = opened.base
    _, kinds, loose, _, _ = next(kind for kind in _KINDS if kind[0] == key)
    chosen = (base["row_place"].values == place) & np.isin(base["row_kind"].values, kinds)
    if loose is not None:
        chosen &= base["row_loose"].values == loose
    start = base["row_start"].values[chosen].astype(np.float64)
    end = base["row_end"].values[chosen].astype(np.float64)
    names = ("published", "translated", "definition", "source", "line")
    return {
        "x": np.floor(start + 1e-6) + 0.5,
        "span": [_span(a, b) for a, b in zip(start, end, strict=True)],
        **{name: base[f"row_{name}"].values[chosen] for name in names},
    }


def value_range(opened: Opened, question: Question, *answers: Answer) -> tuple[float, float]:
    """Limits of the log axis that hold the bands and the points."""
    at = {PLACE: question.place, YEAR: slice(None, question.horizon)}
    values = [found.published.sel(at).values.ravel() for found in answers]
    mine = opened.base["row_place"].values == question.place
    values.append(opened.base["row_translated"].values[mine].astype(np.float64))
    everything = np.concatenate(values)
    everything = everything[everything > 0]
    return float(max(everything.min(), 1e-3) * 0.6), float(everything.max() * 1.5)


def fan_figure(
    sources: Mapping[str, ColumnDataSource],
    points: Mapping[str, Data],
    limits: Range1d,
    unit: str,
    language: Language,
) -> figure:
    """Draw the fan of a scenario, the median and 80% band of another, the prior and the points.

    Parameters
    ----------
    sources : mapping of str to ColumnDataSource
        ``fan`` and ``other`` as of `fan_data`, ``prior`` as of `prior_data`.
    points : mapping of str to Data
        As of `point_data`, by kind.
    limits : Range1d
        Of the axis of values, from `value_range`.
    unit : str
        Of that axis.
    language : 'en' or 'zh'
    """
    chart = _figure(unit, height=420, y_axis_type="log", y_range=limits)
    chart.varea("x", "q10", "q90", source=sources["other"], color=OTHER, alpha=0.15)
    for low, high, alpha in _BANDS:
        ends = (f"q{100 * low:.0f}", f"q{100 * high:.0f}")
        chart.varea("x", *ends, source=sources["fan"], color=POSTERIOR, alpha=alpha)
    for end in ("q10", "q90"):
        chart.line("x", end, source=sources["prior"], color=GREY, line_dash="dotted")
    chart.line("x", "q50", source=sources["other"], color=OTHER, line_width=2, line_dash="dashed")
    median = chart.line("x", "q50", source=sources["fan"], color=POSTERIOR, line_width=2.5)
    chart.add_tools(
        HoverTool(
            renderers=[median],
            mode="vline",
            tooltips=[
                (word("year", language), "@year"),
                (word("median", language), "@q50{0,0}"),
                (word("band80", language), "@q10{0,0} – @q90{0,0}"),
            ],
        )
    )
    marked = []
    for key, _, loose, marker, fill in _KINDS:
        if len(points[key]["x"]):
            marked.append(
                chart.scatter(
                    "x",
                    "translated",
                    source=ColumnDataSource(points[key]),
                    marker=marker,
                    size=8,
                    fill_color=fill,
                    line_color=GREY if loose else POINT,
                )
            )
    chart.add_tools(
        HoverTool(
            renderers=marked,
            tooltips=[
                (word("year", language), "@span"),
                (word("printed", language), "@published{0,0.0}"),
                (word("here", language), "@translated{0,0.0}"),
                (word("definition", language), "@definition"),
                (word("source", language), "@source"),
                (word("line", language), "@line"),
            ],
        )
    )
    # Bokeh's own ticker of log axes leaves two decades with two labels.
    chart.yaxis.ticker = FixedTicker(ticks=[m * 10.0**k for k in range(-3, 7) for m in (1, 2, 5)])
    return chart


def fan_legend(points: Mapping[str, Data], names: tuple[str, str], language: Language) -> str:
    """Legend of the fan as HTML, which wraps on a narrow screen and can be read aloud.

    Parameters
    ----------
    points : mapping of str to Data
        Kinds without a figure are left out.
    names : (str, str)
        Of the two scenarios; the second is left out where it is empty.
    language : 'en' or 'zh'
    """
    median, eighty = word("median", language), word("band80", language)
    entries = [
        (
            _line(POSTERIOR, band=True),
            word("drawn", language, name=names[0], median=median, band=word("band", language)),
        ),
        (
            _line(OTHER, dash="5 3", band=True),
            word("drawn", language, name=names[1], median=median, band=eighty),
        ),
        (_line(GREY, dash="2 2"), word("prior", language)),
    ]
    if not names[1]:
        del entries[1]
    marks = {
        "circle": "<circle cx='12' cy='7' r='4' {}/>",
        "diamond": "<path d='M12 2l3 5-3 5-3-5z' {}/>",
        "triangle": "<path d='M12 2l5 9H7z' {}/>",
    }
    for key, _, loose, marker, fill in _KINDS:
        if len(points[key]["x"]):
            paint = f"fill='{fill}' stroke='{GREY if loose else POINT}'"
            entries.append((marks[marker].format(paint), word(key, language)))
    return _legend(entries)


def unit_of(opened: Opened, language: Language) -> str:
    """Return the unit of the yearly totals of the target."""
    unit = str(opened.base.attrs["unit"])
    return a_year(unit, language, opened.study.labels())


def colour_legend(names: Sequence[str]) -> str:
    """Legend of areas or bars as HTML, in the order of their colours."""
    box = "<rect x='6' y='1' width='12' height='12' fill='{}'/>"
    pairs = zip(names, COLOURS, strict=False)
    return _legend([(box.format(colour), name) for name, colour in pairs])


def share_data(shares: xr.DataArray, question: Question) -> Data:
    """Shares of one place, stacked from the first tier up."""
    own = shares.sel({PLACE: question.place, TIME: slice(None, question.horizon)})
    top = own.cumsum(PART)
    data: Data = {"x": own[TIME].values}
    for tier in own[PART].values:
        data[f"{tier} low"] = (top - own).sel({PART: tier}).values
        data[f"{tier} high"] = top.sel({PART: tier}).values
        data[f"{tier} share"] = own.sel({PART: tier}).values
    return data


def share_figure(
    source: ColumnDataSource, tiers: Sequence[str], names: Mapping[str, str], language: Language
) -> figure:
    """Draw shares that add up to one."""
    chart = _figure(word("share", language), height=280, y_range=Range1d(0.0, 1.0))
    for tier, colour in zip(tiers, COLOURS, strict=False):
        chart.varea(
            "x",
            f"{tier} low",
            f"{tier} high",
            source=source,
            color=colour,
            alpha=0.75,
        )
    edge = chart.line("x", f"{tiers[0]} high", source=source, line_alpha=0.0)
    shown = [(names[tier], f"@{{{tier} share}}{{0.0%}}") for tier in tiers]
    chart.add_tools(
        HoverTool(
            renderers=[edge],
            mode="vline",
            tooltips=[(word("year", language), "@x{0}"), *shown],
        )
    )
    chart.yaxis.formatter = NumeralTickFormatter(format="0%")
    return chart


def driver_data(attribution: xr.Dataset, question: Question) -> Data:
    """Mean Shapley values by year, positive ones stacked up, negative ones down."""
    at = {PLACE: question.place, YEAR: slice(None, question.horizon)}
    shares = attribution["shapley_level"].sel(at).mean(MEMBER)
    data: Data = {"year": shares[YEAR].values, "x": shares[YEAR].values + 0.5}
    above, below = np.zeros(shares.sizes[YEAR]), np.zeros(shares.sizes[YEAR])
    for name in map(str, shares[DRIVER].values):
        own = shares.sel({DRIVER: name}).values.astype(np.float64)
        base = np.where(own >= 0, above, below)
        data[f"{name} low"], data[f"{name} high"], data[name] = base, base + own, own
        above, below = above + np.maximum(own, 0.0), below + np.minimum(own, 0.0)
    return data


def driver_figure(source: ColumnDataSource, names: Mapping[str, str], unit: str) -> figure:
    """Draw what each driver added, year by year."""
    chart = _figure(unit, height=300)
    bars = [
        chart.vbar(
            "x",
            0.8,
            f"{name} high",
            f"{name} low",
            source=source,
            color=colour,
        )
        for name, colour in zip(names, COLOURS, strict=False)
    ]
    chart.add_layout(Span(location=0.0, dimension="width", line_color=GREY))
    shown = [(names[name], f"@{{{name}}}{{+0,0.0}}") for name in names]
    chart.add_tools(HoverTool(renderers=bars[:1], mode="vline", tooltips=[("", "@year"), *shown]))
    return chart


def diagram_html(model: Model, language: Language) -> str:
    """Stock-flow diagram of a model, folded away."""
    data = b64encode(diagram(model).encode("utf-8")).decode("ascii")
    text = escape(word("diagram", language))
    return (
        f"<details><summary>{text}</summary><img alt='{text}' style='max-width:100%' "
        f"src='data:image/svg+xml;base64,{data}'></details>"
    )


def _figure(axis: str, **options: Any) -> figure:
    chart = figure(
        sizing_mode="stretch_width", tools="", toolbar_location=None, min_width=260, **options
    )
    chart.yaxis.axis_label = axis
    chart.yaxis.axis_label_text_font_style = "normal"  # slanted Chinese is hard to read
    chart.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    chart.xgrid.visible = False
    chart.outline_line_color = None
    chart.xaxis.ticker.desired_num_ticks = 6
    return chart


def _line(colour: str, dash: str = "", band: bool = False) -> str:
    area = f"<rect y='2' width='24' height='10' fill='{colour}' opacity='0.25'/>" if band else ""
    return f"{area}<path d='M0 7h24' stroke='{colour}' stroke-width='2' stroke-dasharray='{dash}'/>"


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        "<li style='display:flex;align-items:center;gap:6px'>"
        f"<svg width='24' height='14' aria-hidden='true'>{drawn}</svg>{escape(text)}</li>"
        for drawn, text in entries
    )
    return (
        "<ul style='list-style:none;display:flex;flex-wrap:wrap;gap:2px 16px;margin:0;padding:0;"
        f"font-size:14px'>{items}</ul>"
    )


def _span(start: float, end: float) -> str:
    """A year, or the part of it that a figure covers."""
    year = int(np.floor(start + 1e-6))
    if abs(end - start - 1.0) < 1e-3 and abs(start - year) < 1e-3:
        return str(year)
    first, last = round(12 * (start - year)) + 1, round(12 * (end - year))
    return f"{year}-{first:02d}" if last <= first else f"{year}-{first:02d}–{last:02d}"
