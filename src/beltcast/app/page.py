"""One page in one browser: widgets, and what they change.

A `Page` is the only thing here that has a state, and that is one `Question` (with the scenarios
that were uploaded): a widget replaces it, and what is shown follows from it.  A lever replaces the
data of charts that stand; every other choice draws them anew.  What is slow (the drivers, 8 runs)
waits until the levers have been left alone for a moment.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any
from urllib.parse import urlencode

import panel as pn
import xarray as xr
from bokeh.models import ColumnDataSource, Range1d

from beltcast.app import files, texts, view
from beltcast.app.levers import position
from beltcast.app.results import PART, Opened, answer, asked, drivers, full_forecast
from beltcast.app.state import Question, read_query, write_query
from beltcast.drivers.attribution.attribute import DRIVER
from beltcast.errors import ScenarioError
from beltcast.pictures.translations import called, word
from beltcast.schema import PLACE, QUANTILE, YEAR, Label
from beltcast.study.scenarios import Scenario

PAUSE = 400
"""Milliseconds without a change after which the slow part follows."""

WIDGET_CSS = """
:host { font-family: inherit; }
select, input, button { min-height: 36px; font-size: 15px; }
.bk-btn, .bk-slider-title, label { font-size: 14px !important; }
*:focus-visible { outline: 3px solid #0072B2; outline-offset: 2px; }
"""

GRID_CSS = """
:host { display: grid !important; gap: 0 28px; align-items: start;
        grid-template: "asked main" auto "files main" 1fr / 330px minmax(0, 1fr); }
@media (max-width: 760px) {
  :host { grid-template: "asked" auto "main" auto "files" auto / minmax(0, 1fr); }
}
"""
"""On a narrow screen the chart comes right after what is asked, and files last."""


class Page:
    """What one browser shows.

    Parameters
    ----------
    opened : Opened
    query : dict of str to str
        Parameters of the address, see `beltcast.app.state`.
    """

    def __init__(self, opened: Opened, query: dict[str, str]) -> None:
        self.opened = opened
        self.own: dict[str, Scenario] = {}
        self.question, refused = read_query(query, opened.choices)
        self._beyond = {k: v for k, v in query.items() if k == "token"}
        self._document = pn.state.curdoc
        self._later: Any = None
        self._quiet = False
        self._synergy: xr.Dataset | None = None
        self._notice = _html()
        self.root = pn.Column(sizing_mode="stretch_width", css_classes=["page"])
        self._build()
        if refused:
            self._say("refused", what=", ".join(refused))

    # --- what is on the page ---

    def _build(self) -> None:
        """Make everything anew, in the question's language."""
        language = self.question.language
        self._diagram = view.diagram_html(self._model, language)
        self._main = pn.Column(
            sizing_mode="stretch_width", styles={"grid-area": "main", "min-width": "0"}
        )
        speech = pn.widgets.RadioButtonGroup(
            options={"English": "en", "中文": "zh"},
            value=language,
            stylesheets=[WIDGET_CSS],
            width=150,
        )
        speech.param.watch(lambda event: self._ask(language=event.new), "value")
        title = pn.pane.HTML(
            f"<h1 style='font-size:1.5rem;margin:0'>{escape(self._title())}</h1>",
            styles={"flex": "1 1 260px"},
        )
        self.root[:] = [
            pn.FlexBox(title, speech, align_items="center", sizing_mode="stretch_width"),
            self._notice,
            pn.Column(
                self._controls(),
                self._main,
                pn.Column(*self._exchange(), styles={"grid-area": "files"}),
                stylesheets=[GRID_CSS],
                sizing_mode="stretch_width",
            ),
        ]
        self._draw()

    def _controls(self) -> pn.Column:
        question, choices = self.question, self.opened.choices
        language = question.language
        names = {
            texts.scenario_name(s, language) + ("" if n in self.opened.study.scenarios else " *"): n
            for n, s in self._scenarios().items()
        }
        places = {texts.place_name(self.opened, p, language): p for p in choices.places}
        self._sliders = {
            lever.key: self._widget(
                pn.widgets.FloatSlider,
                lever.label.text(language),
                partial(self._move, lever.key),
                start=lever.low,
                end=lever.high,
                step=lever.step,
                value=self._position(lever.key),
                format="0.00",
            )
            for lever in choices.levers
        }
        back = pn.widgets.Button(label=word("reset", language), stylesheets=[WIDGET_CSS])
        back.on_click(lambda _: self._ask(levers=()))
        heading = (
            f"<h2 style='font-size:1rem;margin:8px 0 0'>{escape(word('levers', language))}</h2>"
        )
        select = pn.widgets.Select
        return pn.Column(
            self._choice(select, "place", options=places),
            self._choice(select, "scenario", options=names),
            self._choice(select, "compare", options=names),
            self._choice(
                pn.widgets.IntSlider,
                "horizon",
                start=choices.horizons[0],
                end=max(choices.horizons[-1], choices.horizons[0] + 1),
            ),
            *([pn.pane.HTML(heading), *self._sliders.values(), back] if self._sliders else []),
            styles={"grid-area": "asked"},
        )

    def _exchange(self) -> list[Any]:
        """Downloads, the upload and the words on the link."""
        language = self.question.language
        makers: dict[str, tuple[str, Callable[[], bytes]]] = {
            "csv": ("forecast.csv", self._csv),
            "netcdf": ("forecast.nc", self._netcdf),
            "png": ("forecast.png", self._png),
            "toml": ("scenario.toml", self._toml),
        }
        downloads = [
            pn.widgets.FileDownload(
                callback=partial(_stream, make),
                filename=filename,
                label=word(key, language),
                sizing_mode="stretch_width",
                stylesheets=[WIDGET_CSS],
            )
            for key, (filename, make) in makers.items()
        ]
        self._upload = pn.widgets.FileInput(
            accept=".toml", sizing_mode="stretch_width", stylesheets=[WIDGET_CSS]
        )
        self._upload.param.watch(lambda _: self._take_upload(), "value")
        heading = "<h2 style='font-size:1rem;margin:8px 0 0'>{}</h2>"
        return [
            pn.pane.HTML(heading.format(escape(word("download", language)))),
            pn.Column(
                *downloads,
                stylesheets=[_columns("120px")],
                sizing_mode="stretch_width",
            ),
            pn.pane.HTML(heading.format(escape(word("upload", language)))),
            self._upload,
            pn.pane.HTML(f"<p style='color:#555'>{escape(word('link', language))}</p>"),
        ]

    def _choice(self, kind: Any, name: str, **options: Any) -> Any:
        """A widget for one part of the question."""
        return self._widget(
            kind,
            word(name, self.question.language),
            lambda value: self._ask(**{name: value}),
            value=getattr(self.question, name),
            **options,
        )

    def _widget(self, kind: Any, label: str, change: Callable[[Any], None], **options: Any) -> Any:
        made = kind(
            label=label,
            sizing_mode="stretch_width",
            stylesheets=[WIDGET_CSS],
            **options,
        )
        made.param.watch(lambda event: change(event.new), "value")
        return made

    # --- what changes it ---

    def _ask(self, **changes: Any) -> None:
        """Replace parts of the question and show the answer."""
        if self._quiet:
            return
        before = self.question
        if "scenario" in changes:  # the levers stand where the new scenario puts them
            changes["levers"] = ()
        self.question = replace(before, **changes)
        if self.question.language != before.language:
            self._notice.object = ""
            self._build()
            return
        asked = (self.question.scenario, self.question.levers)
        if asked != (before.scenario, before.levers):
            self._put_levers()
        self._draw()

    def _put_levers(self) -> None:
        self._quiet = True
        try:
            for key, slider in self._sliders.items():
                slider.value = self._position(key)
        finally:
            self._quiet = False

    def _move(self, key: str, value: float) -> None:
        """Move a lever: new data for the charts that stand."""
        if self._quiet:
            return
        at_rest = position(self._lever(key), self._scenarios()[self.question.scenario], self._model)
        levers = {k: v for k, v in self.question.levers if k != key}
        if abs(value - at_rest) > 1e-9:
            levers[key] = value
        self.question = replace(self.question, levers=tuple(sorted(levers.items())))
        self._found = answer(self.opened, self._asked())
        self._refill()
        self._soon()

    def _take_upload(self) -> None:
        data, name = self._upload.value, str(self._upload.filename or "")
        if not data:
            return
        try:
            read = files.read_upload(data, name, self._model)
        except ScenarioError as problem:
            self._notice.object = _alert(str(problem))
            return
        study = self.opened.study.scenarios
        own = {f"{n} (file)" if n in study else n: s for n, s in read.items()}
        self.own = {**self.own, **{n: replace(s, name=n) for n, s in own.items()}}
        self.question = replace(self.question, scenario=next(iter(own)), levers=())
        self._build()
        self._say("uploaded", file=name, names=", ".join(own))

    # --- what is shown ---

    def _draw(self) -> None:
        """Draw all charts of the question."""
        question, opened = self.question, self.opened
        language = question.language
        self._found = answer(opened, self._asked())
        self._other = answer(opened, self._scenarios()[question.compare])
        self._sources = {name: ColumnDataSource() for name in ("fan", "other", "prior")}
        self._limits = Range1d(*view.value_range(opened, question, self._found, self._other))
        points = {
            key: view.point_data(opened, question.place, key)
            for key in ("published", "part", "loose", "bound")
        }
        self._points = points
        self._headline, self._legend, self._table = _html(), _html(), _html()
        self._shares: dict[str, ColumnDataSource] = {}
        parts: list[Any] = []
        labels = opened.study.labels()
        for key, shares in self._found.shares.items():
            said = opened.study.roles.shares[key]
            labels[said.rest.en] = said.rest
            self._shares[key] = ColumnDataSource(view.share_data(shares, question))
            tiers = [str(t) for t in shares[PART].values]
            names = {tier: called(tier, language, labels) for tier in tiers}
            chart = view.share_figure(self._shares[key], tiers, names, language)
            parts.append(
                pn.Column(
                    _heading(said.title.text(language)),
                    pn.pane.Bokeh(chart, sizing_mode="stretch_width"),
                    _html(view.colour_legend(list(names.values()))),
                    sizing_mode="stretch_width",
                )
            )
        self._refill()
        chart = view.fan_figure(self._sources, points, self._limits, self._unit(), language)
        self._drivers = pn.Column(sizing_mode="stretch_width")
        place = texts.place_name(opened, question.place, language)
        title = word("titled", language, place=place, what=word("fan", language))
        self._main[:] = [
            _heading(title),
            self._headline,
            pn.pane.Bokeh(chart, sizing_mode="stretch_width"),
            self._legend,
            _html(f"<p style='color:#555;margin:0'>{escape(word('scope', language))}</p>"),
            self._table,
            pn.Column(*parts, stylesheets=[_columns("300px")], sizing_mode="stretch_width"),
            self._drivers,
            _html(self._diagram),
            _html(f"<p style='color:#555'>{escape(texts.foot(opened, language))}</p>"),
        ]
        self._soon()

    def _refill(self) -> None:
        """Put the answer into the charts and sentences that stand."""
        question = self.question
        self._sources["fan"].data = view.fan_data(question, self._found)
        self._sources["other"].data = view.other_data(question, self._found, self._other)
        self._sources["prior"].data = view.prior_data(self.opened, question)
        low, high = view.value_range(self.opened, question, self._found, self._other)
        self._limits.update(start=low, end=high)
        for key, source in self._shares.items():
            source.data = view.share_data(self._found.shares[key], question)
        lines = [texts.headline(self.opened, question, self._found)]
        differ = bool(question.levers) or question.scenario != question.compare
        self._legend.object = view.fan_legend(self._points, self._names(differ), question.language)
        if differ:
            lines.append(texts.comparison(question, self._found, self._other))
        words = "".join(f"<p style='margin:4px 0'>{escape(line)}</p>" for line in lines)
        self._headline.object = f"<div aria-live='polite'>{words}</div>"
        self._table.object = self._numbers()

    def _numbers(self) -> str:
        """The fan as a table, for those who do not see the chart."""
        question = self.question
        language = question.language
        fan = self._found.published.sel(
            {PLACE: question.place, YEAR: slice(None, question.horizon), QUANTILE: [0.1, 0.5, 0.9]}
        )
        rows = "".join(
            f"<tr><th scope='row'>{int(year)}</th>"
            + "".join(f"<td style='text-align:right;padding-left:16px'>{v:,.1f}</td>" for v in own)
            + "</tr>"
            for year, own in zip(fan[YEAR].values, fan.values, strict=True)
        )
        heads = "".join(
            f"<th scope='col' style='text-align:right;padding-left:16px'>{escape(text)}</th>"
            for text in ("10 %", word("median", language), "90 %")
        )
        year, unit = word("year", language), self._unit()
        return (
            f"<details><summary>{escape(word('numbers', language))}</summary><table>"
            f"<caption style='text-align:left'>{escape(unit)}</caption>"
            f"<thead><tr><th scope='col'>{escape(year)}</th>{heads}</tr></thead>"
            f"<tbody>{rows}</tbody></table></details>"
        )

    def _soon(self) -> None:
        """Let the slow part and the address follow when the levers rest."""
        if self._document is None or self._document.session_context is None:
            self._settle()  # no browser: nothing to wait for
            return
        if not pn.state.loaded:
            # What changes before the browser has the page may never reach it.
            pn.state.onload(self._settle)
            return
        if self._later is not None:
            self._document.remove_timeout_callback(self._later)
        self._later = self._document.add_timeout_callback(self._settle, PAUSE)

    def _settle(self) -> None:
        self._later = None
        if pn.state.location is not None:
            query = {**self._beyond, **write_query(self._linked(), self.opened.choices)}
            pn.state.location.search = f"?{urlencode(query)}" if query else ""
        question, language = self.question, self.question.language
        attribution = drivers(self.opened, self._asked())
        if attribution is None:
            return
        labels = self.opened.study.labels()
        names = {str(n): called(str(n), language, labels) for n in attribution[DRIVER].values}
        source = ColumnDataSource(view.driver_data(attribution, question))
        if self._synergy is None:  # levers act later than the year it speaks of
            first = self.opened.study.scenarios[texts.first_scenario(self.opened)]
            self._synergy = drivers(self.opened, first, prior=True)
        assert self._synergy is not None
        year = self.opened.choices.horizons[0] - 1
        said = texts.synergy(self._synergy, question, year)
        self._drivers[:] = [
            _heading(word("drivers", language)),
            pn.pane.Bokeh(
                view.driver_figure(source, names, self._unit()), sizing_mode="stretch_width"
            ),
            _html(view.colour_legend(list(names.values()))),
            _html(f"<p>{escape(said)} {escape(word('drivers_note', language))}</p>"),
        ]

    # --- files ---

    def _forecast(self) -> xr.Dataset:
        question = self.question
        other = self._scenarios()[question.compare]
        asked_for = self._asked()
        name = f"{question.scenario} (moved)" if question.levers else question.scenario
        return full_forecast(
            self.opened, {question.compare: other, name: replace(asked_for, name=name)}
        ).assign_attrs(asked=name)

    def _csv(self) -> bytes:
        return files.table_csv(self._forecast(), self.question.place)

    def _netcdf(self) -> bytes:
        return files.netcdf_bytes(self._forecast())

    def _png(self) -> bytes:
        made = self._forecast()
        question, shown = self.question, str(made.attrs["asked"])
        language = question.language
        return files.picture_png(
            made,
            question.place,
            shown,
            question.compare,
            title=texts.place_name(self.opened, question.place, language),
            language=language,
        )

    def _toml(self) -> bytes:
        scenario = self._asked()
        if self.question.levers:
            scenario = replace(
                scenario,
                name=f"{scenario.name.replace(' (file)', '')}-moved",
                title=f"{scenario.title} ({word('moved', 'en')})",
                code="",
            )
        return files.scenario_toml(scenario).encode("utf-8")

    # --- small things ---

    @property
    def _model(self) -> Any:
        return self.opened.study.model

    def _title(self) -> str:
        study = self.opened.study
        return Label(study.title, study.title_zh).text(self.question.language)

    def _unit(self) -> str:
        return view.unit_of(self.opened, self.question.language)

    def _scenarios(self) -> dict[str, Scenario]:
        return {**self.opened.study.scenarios, **self.own}

    def _asked(self) -> Scenario:
        return asked(self.opened, self.question, self.own)

    def _names(self, differ: bool) -> tuple[str, str]:
        """What the two scenarios are called; the second is empty if it is the first."""
        language, scenarios = self.question.language, self._scenarios()
        shown = texts.scenario_name(scenarios[self.question.scenario], language)
        if self.question.levers:
            shown += f" ({word('moved', language)})"
        other = texts.scenario_name(scenarios[self.question.compare], language)
        return shown, other if differ else ""

    def _lever(self, key: str) -> Any:
        return next(lever for lever in self.opened.choices.levers if lever.key == key)

    def _position(self, key: str) -> float:
        moved = dict(self.question.levers)
        if key in moved:
            return moved[key]
        return position(self._lever(key), self._scenarios()[self.question.scenario], self._model)

    def _linked(self) -> Question:
        """The question as far as a link can carry it: without uploaded scenarios."""
        question, first = self.question, self.opened.choices.scenarios[0]
        if question.scenario in self.own:
            question = replace(question, scenario=first)
        if question.compare in self.own:
            question = replace(question, compare=first)
        return question

    def _say(self, key: str, **parts: object) -> None:
        self._notice.object = (
            f"<p role='status'>{escape(word(key, self.question.language, **parts))}</p>"
        )


def _stream(make: Callable[[], bytes]) -> io.BytesIO:
    return io.BytesIO(make())


def _columns(narrowest: str) -> str:
    """Style of a column whose parts stand side by side where there is room."""
    part = f"minmax(min({narrowest}, 100%), 1fr)"
    return (
        ":host { display: grid !important; gap: 0 12px;"
        f" grid-template-columns: repeat(auto-fit, {part}); }}"
    )


def _html(text: str = "") -> pn.pane.HTML:
    return pn.pane.HTML(text, sizing_mode="stretch_width", styles={"font-size": "15px"})


def _heading(text: str) -> pn.pane.HTML:
    return _html(f"<h2 style='font-size:1.2rem;margin:12px 0 0'>{escape(text)}</h2>")


def _alert(text: str) -> str:
    return (
        "<p role='alert' style='border-left:4px solid #D55E00;padding:8px;background:#fdf1ea'>"
        f"{escape(text)}</p>"
    )
