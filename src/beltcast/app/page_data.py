"""Data of a page: plain values made from a fitted study and its forecast.

The base numbers are those of ``forecast.nc``. The page also holds `DRAWS` draws of the posterior
and as many of the prior, with which its script runs the model: the quantiles after a change are the
base quantiles times the ratio of the quantiles of the kept draws after and before.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from beltcast.app.page_diagram import diagram_facts
from beltcast.app.page_model import PageModel, model_facts, page_model
from beltcast.display.translations import PAGE, SHARED, money_steps, timed
from beltcast.engine.run.plan import series_at
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import by_place
from beltcast.files.text import slug
from beltcast.forecasting.published_factor import published_factor
from beltcast.inference.sampling.draws_file import KeptFit
from beltcast.inference.sampling.posterior import Draws, sample_prior
from beltcast.model.model import Model
from beltcast.schema import (
    LANGUAGES,
    MEMBER,
    PLACE,
    QUANTILE,
    SCENARIO,
    TIME,
    YEAR,
    Label,
    Language,
)
from beltcast.streams import Streams
from beltcast.study.roles import Lever
from beltcast.study.scenarios import Scenario, draw_sizes
from beltcast.study.study import Study

DRAWS = 64
"""Draws of the posterior, and of the prior: either end of a normal 80% band of their quantiles is
known to 0.21 standard deviations.  They serve for changes only."""

COARSE = 16
"""Number of draws of the first, coarse answer."""

MOST_LEVERS = 8
"""Number of levers for a study that names none; more would push the chart out of sight."""

SEED = 1
"""Seed of the prior, the noise and uncertain sizes: the same results give the same page."""

POINTS = (
    "start",
    "end",
    "kind",
    "published",
    "translated",
    "definition",
    "loose",
    "source",
    "line",
)
"""Columns of the observations on the chart."""


def page_data(
    study: Study,
    kept: KeptFit,
    forecast: xr.Dataset,
    *,
    sections: Mapping[Language, Mapping[str, str]],
) -> dict[str, Any]:
    """Collect the data of a page.

    Parameters
    ----------
    study : Study
    kept : KeptFit
    forecast : xarray.Dataset
        As `beltcast.forecasting.forecast_file.open_forecast` returns them.
    sections : mapping of language to (mapping of place to HTML)
        The text on each place, to go with its charts.

    Returns
    -------
    dict
        Numbers, texts, lists and dicts; arrays are packed by `packed`.

    Raises
    ------
    UnsupportedConstruct
        The model uses what a page cannot compute.
    """
    model, roles = study.model, study.roles
    names = [str(n) for n in forecast[SCENARIO].values if str(n) in study.scenarios]
    scenarios = {name: study.scenarios[name] for name in names}
    streams = Streams(SEED)
    prior = sample_prior(kept.posterior.likelihood, DRAWS, rng=streams.prior)
    draws = chosen_draws(study, kept.posterior, next(iter(scenarios.values())))
    companions = [n for n in roles.companions if n in forecast and len(model.variables[n].dims) < 2]
    shares = [name for own in roles.shares.values() for name in (own.variable, own.weight)]
    values = np.concatenate([draws.values, prior.values])
    levers = roles.levers or drawn_levers(draws, prior)
    made = page_model(
        model,
        outputs=list(dict.fromkeys([study.target, *companions, *shares])),
        labels=draws.labels,
        values=draws.values,
        scenarios=scenarios,
        levers=levers,
        switches=roles.switches,
        members=len(values),
    )
    factor = published_factor(study, draws, _outputs(study, draws, scenarios), rng=streams)
    return {
        "title": _label(Label(study.title, study.title_zh)),
        "name": model.name,
        "target": _label(_named(study, study.target)),
        "targetName": study.target,
        "unit": _unit(study, str(forecast.attrs["unit"])),
        "whole": study.whole(study.target),
        "years": forecast[YEAR].values.astype(int).tolist(),
        "now": int(_first_open_year(study, forecast)),
        "quantiles": forecast[QUANTILE].values.tolist(),
        "places": [_place(study, forecast, str(p)) for p in forecast[PLACE].values],
        "scenarios": [
            _scenario(study, made, s, len(draws), len(prior)) for s in scenarios.values()
        ],
        "levers": _levers(study, made, levers),
        "drivers": [
            {"label": _label(label), "at": made.positions(model.targets([switch])[0])}
            for switch, label in roles.drivers.items()
        ],
        "compare": roles.compare if roles.compare in scenarios else "",
        "draws": len(draws),
        "file_draws": [
            int(forecast[name].max())
            for name in ("chance_of_more_draws", "prior_chance_of_more_draws")
        ],
        "coarse": COARSE,
        "observations": len(study.observations),
        "base": _base(forecast, names),
        "factor": packed(factor.values, "f4"),
        "companions": [_companion(study, forecast, n, names) for n in companions],
        "shares": [
            {
                "key": key,
                "title": _label(own.title),
                "variable": own.variable,
                "weight": own.weight,
                "parts": [
                    _label(_named(study, part))
                    for part in model.subscripts[model.variables[own.variable].dims[1]]
                ],
                "rest": _label(own.rest) if own.rest.en else None,
            }
            for key, own in roles.shares.items()
        ],
        "diagram": diagram_facts(study),
        "sections": [dict(sections[language]) for language in LANGUAGES],
        "model": {
            **model_facts(made),
            "wasm": base64.b64encode(made.module.code).decode("ascii"),
            "image": base64.b64encode(made.placed.image).decode("ascii"),
            "draws": packed(values.T, "f8"),
        },
        "texts": {
            key: [timed(t, c, model.time_unit) for t, c in zip(pair, LANGUAGES, strict=True)]
            for key, pair in {**SHARED, **PAGE}.items()
        },
    }


def packed(values: Any, kind: str) -> dict[str, Any]:
    """Pack an array for JSON: little-endian bytes as base64, with its shape.

    Parameters
    ----------
    values : array_like
    kind : str
        'f4' or 'f8'.

    Examples
    --------
    >>> packed([[1.0, 2.0]], "f4")
    {'f4': 'AACAPwAAAEA=', 'shape': [1, 2]}
    """
    array = np.ascontiguousarray(values, dtype=f"<{kind}")
    return {kind: base64.b64encode(array.tobytes()).decode("ascii"), "shape": list(array.shape)}


def squeezed(text: str) -> str:
    """Compress a text as raw deflate in base64, which a browser reads without a library."""
    work = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(work.compress(text.encode("utf-8")) + work.flush()).decode("ascii")


def chosen_draws(study: Study, draws: Draws, scenario: Scenario) -> Draws:
    """Choose `DRAWS` draws at evenly spaced ranks of the last total, so that quantiles match.

    The ranks of the first `COARSE` of them are evenly spaced too.

    Parameters
    ----------
    study : Study
    draws : Draws
    scenario : Scenario
        In which the total of all places is ranked.
    """
    output = _outputs(study, draws, {scenario.name: scenario})
    last = output.sel({PLACE: study.whole(study.target)}).isel({YEAR: -1}).values
    order = np.argsort(np.where(np.isfinite(last), last, np.inf), kind="stable")
    ranks = (np.arange(DRAWS) + 0.5) * len(order) / DRAWS
    chosen = order[np.minimum(ranks.astype(int), len(order) - 1)]
    every = DRAWS // COARSE
    first = np.arange(DRAWS) % every == every // 2
    chosen = np.concatenate([chosen[first], chosen[~first]])
    return Draws(
        draws.likelihood,
        draws.theta[chosen],
        draws.kind,
        draws.acceptance,
        draws.start_correlation,
    )


def _outputs(study: Study, draws: Draws, scenarios: Mapping[str, Scenario]) -> xr.DataArray:
    """Totals of the target in the first scenario, (member, place, year)."""
    name, scenario = next(iter(scenarios.items()))
    runs = run_ensemble(
        study.model,
        {name: scenario},
        (draws.labels, draws.values),
        outputs=[study.target],
        rng=Streams(SEED),
    )
    return by_place(runs[study.target], study.whole(study.target)).isel({SCENARIO: 0}, drop=True)


def _first_open_year(study: Study, forecast: xr.Dataset) -> int:
    """First year without any observation."""
    ends = [row.end for row in study.observations]
    years = forecast[YEAR].values
    return int(np.clip(np.ceil(max(ends, default=years[0]) - 1e-6), years[0], years[-1]))


def _place(study: Study, forecast: xr.Dataset, place: str) -> dict[str, Any]:
    mine = np.flatnonzero(forecast["row_place"].values == place)
    points = {name: forecast[f"row_{name}"].values[mine].tolist() for name in POINTS}
    points["definition"] = [_label(_named(study, title)) for title in points["definition"]]
    points["translated"] = [v if np.isfinite(v) else 0.0 for v in points["translated"]]
    return {
        "name": place,
        "label": [study.title_of(place, "en"), study.title_of(place, "zh")],
        "observations": int(forecast["observation_count"].sel({PLACE: place})),
        "points": points,
    }


def _scenario(
    study: Study, made: PageModel, scenario: Scenario, posterior: int, prior: int
) -> dict[str, Any]:
    model = study.model
    rows, values = model.constant_values(scenario.constants)
    labels = list(scenario.constants)
    own, column = model.targets(labels)
    sizes = []
    for label, size in draw_sizes(scenario, posterior + prior, rng=Streams(SEED)).items():
        at = own[column == labels.index(label)]
        sizes.append({"at": made.positions(at), "values": packed(size, "f4")})
    return {
        "name": scenario.name,
        "label": _label(Label(scenario.title, scenario.title_zh)),
        "text": _label(scenario.description),
        "code": scenario.code,
        "constants": dict(scenario.constants),
        "uncertain": bool(scenario.uncertain),
        "at": made.positions(rows),
        "values": values.tolist(),
        "sizes": sizes,
        "inputs": _inputs(model, made, scenario),
        "points": {
            name: [list(map(float, times)), list(map(float, numbers))]
            for name, (times, numbers) in scenario.inputs.items()
        },
        "late": made.late[f"scenario {scenario.name}"],
    }


def _inputs(model: Model, made: PageModel, scenario: Scenario) -> list[dict[str, Any]]:
    """Series that a scenario replaces, at every step."""
    program = made.module.program
    grid = model.grid()
    times = grid.times()[: made.steps]
    order = list(program.inputs)
    return [
        {"at": order.index(row), "values": packed(series_at(data, times), "f8")}
        for row, data in model.input_series(scenario.inputs).items()
        if row in program.inputs
    ]


def drawn_levers(draws: Draws, prior: Draws) -> tuple[Lever, ...]:
    """Make levers from the fitted constants, for a study that names none.

    A lever covers 90 % of its prior and stands at the posterior median; moving it sets the constant
    to one value in all draws.
    """
    found: list[Lever] = []
    for column, name in enumerate(draws.labels):
        if "[" in name or len(found) == MOST_LEVERS:
            continue
        low, high = np.quantile(prior.values[:, column], (0.05, 0.95))
        if not low < high:
            continue
        step = 10.0 ** np.floor(np.log10((high - low) / 40.0))
        low, high = np.floor(low / step) * step, np.ceil(high / step) * step
        middle = float(np.clip(np.median(draws.values[:, column]), low, high))
        found.append(
            Lever(
                name=name,
                low=float(low),
                high=float(high),
                idle=float(low + np.round((middle - low) / step) * step),
                label=Label(name),
                key=slug(name),
                step=float(step),
            )
        )
    return tuple(found)


def _levers(study: Study, made: PageModel, levers: Sequence[Lever]) -> list[dict[str, Any]]:
    return [
        {
            "key": lever.key,
            "name": lever.name,
            "label": _label(lever.label),
            "one": _label(lever.one),
            "driver": _label(study.roles.drivers[lever.driver]) if lever.driver else ["", ""],
            "unit": lever.unit,
            "low": lever.low,
            "high": lever.high,
            "step": lever.step,
            "idle": lever.idle,
            "at": made.positions(study.model.targets([lever.name])[0]),
            "late": made.late[lever.name],
        }
        for lever in levers
    ]


def _base(forecast: xr.Dataset, names: Sequence[str]) -> dict[str, Any]:
    """Quantiles of the file; places first, so that scenarios that begin alike compress."""
    published = forecast["published_quantile"].sel({SCENARIO: list(names)})
    order = (PLACE, SCENARIO, YEAR, QUANTILE)
    chances = forecast["chance_of_more"].sel({SCENARIO: list(names)})
    believed = forecast["prior_chance_of_more"].sel({SCENARIO: list(names)})
    changes = forecast["change_quantile"].sel({SCENARIO: list(names), QUANTILE: [0.1, 0.5, 0.9]})
    return {
        "published": packed(published.transpose(*order).values, "f8"),
        "prior": packed(forecast["prior_quantile"].transpose(PLACE, YEAR, QUANTILE).values, "f8"),
        "change": packed(changes.transpose(*order).values, "f4"),
        "more": packed(chances.transpose(PLACE, SCENARIO, YEAR).values, "f4"),
        "prior_more": packed(believed.transpose(PLACE, SCENARIO, YEAR).values, "f4"),
        "ratio": packed(forecast["sd_ratio"].transpose(PLACE, YEAR).values, "f4"),
    }


def _companion(
    study: Study, forecast: xr.Dataset, name: str, names: Sequence[str]
) -> dict[str, Any]:
    bands = forecast[name].sel({SCENARIO: list(names), QUANTILE: [0.1, 0.5, 0.9]})
    time = YEAR if YEAR in bands.dims else TIME
    own = [str(d) for d in bands.dims if d not in (SCENARIO, time, QUANTILE, MEMBER)]
    ordered = bands.transpose(*own, SCENARIO, time, QUANTILE)
    return {
        "name": name,
        "label": _label(_named(study, name)),
        "unit": _unit(study, study.model.variables[name].unit),
        "times": ordered[time].values.astype(float).tolist(),
        "elements": [str(e) for e in ordered[own[0]].values] if own else [],
        "bands": packed(ordered.values, "f4"),
    }


def _named(study: Study, name: str) -> Label:
    return study.labels().get(name, Label(name))


def _unit(study: Study, unit: str) -> dict[str, Any]:
    """Unit of a number and, for each language, its steps (from, factor, word, decimals)."""
    label = study.labels().get(unit, Label(unit))
    return {"name": unit, "label": _label(label), "steps": money_steps(unit, label)}


def _label(label: Label) -> list[str]:
    return [label.text("en"), label.text("zh")]
