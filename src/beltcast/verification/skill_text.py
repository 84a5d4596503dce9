"""Summary of a backtest, as text for a console and as tables in Markdown."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from beltcast.display.tables import page_table
from beltcast.display.translations import counted_in
from beltcast.errors import InputError, did_you_mean
from beltcast.schema import CASE, FORECASTER, Language
from beltcast.verification.skill import (
    common_cases,
    coverage_table,
    error_table,
    place_years,
    score_table,
    skill_table,
    worst_misses,
)

HEADINGS = {
    "log_crps": "CRPS of logs",
    "log_score": "log score",
    "crps": "CRPS",
    "mae": "MAE",
    "mase": "MASE",
    "covered_80": "in 80%",
}
"""Columns of a table of scores; for all but the last, smaller is better."""

TableCell = str | float | int


def summarise_skill(
    scores: xr.Dataset,
    forecaster: str,
    *,
    most: int = 8,
    units: Mapping[str, str] | None = None,
    language: Language = "en",
) -> RenderableType:
    """Return the summary of one forecaster of a backtest among the others, for a `rich` console.

    Parameters
    ----------
    scores : xarray.Dataset
        As `beltcast.verification.skill.case_scores` returns it.
    forecaster : str
        The one that is compared with the others.
    most : int
        Number of the worst misses to list.
    units : mapping of str to str, optional
        Unit of each quantity in the model: in Chinese, money is counted in 亿.
    language : 'en' or 'zh'

    Raises
    ------
    InputError
        The forecaster does not exist.
    """
    names = [str(f) for f in scores[FORECASTER].values]
    if forecaster not in names:
        raise InputError(f"no forecaster is called '{forecaster}'{did_you_mean(forecaster, names)}")
    return Group(
        Text(_what_was_asked(scores), style="bold"),
        *map(Text, _notes(scores)),
        _scores(scores),
        _skill(scores, forecaster),
        _errors(scores, forecaster),
        _coverage(scores),
        _misses(worst_misses(scores, forecaster, most=most), forecaster, units or {}, language),
    )


def skill_markdown(scores: xr.Dataset, forecaster: str) -> str:
    """Return the table for a README: every forecaster's scores, and the gain of one on each.

    All numbers are for the cases that all answer.

    Parameters
    ----------
    scores : xarray.Dataset
        As `beltcast.verification.skill.case_scores` returns it.
    forecaster : str

    Returns
    -------
    str
        A table in Markdown, ending with a newline.
    """
    common = common_cases(scores)
    table = score_table(common)
    gains = skill_table(common, forecaster).set_index("against").to_dict("index")
    headings = ("forecaster", "cases", "CRPS of logs", "MASE", "in 80%")
    rows: list[Sequence[str]] = []
    for row in table.to_dict("records"):
        own = row["forecaster"] == forecaster
        gain = "" if own else _gain(gains[row["forecaster"]])
        name = f"**{row['forecaster']}**" if own else row["forecaster"]
        shown = (row["cases"], row["log_crps"], row["mase"], _percent(row["covered_80"]))
        rows.append((name, *(_number(cell) for cell in shown), gain))
    return markdown((*headings, f"{forecaster} gains (95%)"), rows)


AGAINST = ("drift", "damped drift", "damped trend", "sd + drift", "sd + damped trend")
"""Forecasters beside the model's in tables of places and years."""


def place_year_markdown(
    scores: xr.Dataset, forecaster: str, *, against: Sequence[str] = AGAINST
) -> str:
    """Return two tables: scores averaged by place and year, and the means over these.

    Parameters
    ----------
    scores : xarray.Dataset
        As `beltcast.verification.skill.case_scores` returns it.
    forecaster : str
    against : sequence of str
        Other forecasters; those missing from the backtest are left out.

    Returns
    -------
    str
        Two tables in markdown.  A cell has the CRPS of logs and the share in the 80% band, and in
        the first table the mean log error.  The place with most years is counted once, and left
        out, in rows of their own.
    """
    names = [n for n in (forecaster, *against) if n in scores[FORECASTER].values]
    common = common_cases(scores, names)
    events = place_years(common)
    single = []
    for i in range(events.sizes[CASE]):
        own = events.isel({CASE: i})
        cells = [_event(own.sel({FORECASTER: name})) for name in names]
        label = f"{own['place'].item()} {own['year'].item()}"
        single.append((label, f"{own['count'].item()}", *cells))
    of_parts = events["place"].values[events["scope"].values == "parts"]
    often = max(dict.fromkeys(of_parts), key=of_parts.tolist().count, default="")
    once = place_years(common, once=[often])
    parts, of_once = (part["scope"].values == "parts" for part in (events, once))
    groups = {
        "all": events,
        f"all, {often} once": once,
        "whole": events.isel({CASE: ~parts}),
        "parts": events.isel({CASE: parts}),
        f"parts, {often} once": once.isel({CASE: of_once}),
        f"parts without {often}": events.isel({CASE: parts & (events["place"].values != often)}),
    }
    pooled = [
        (name, f"{part.sizes[CASE]}", *(_pooled(part, n, forecaster) for n in names))
        for name, part in groups.items()
        if part.sizes[CASE]
    ]
    first = markdown(("place and year", "cases", *names), single)
    return first + "\n" + markdown(("mean over", "place-years", *names), pooled)


def _event(scores: xr.Dataset) -> str:
    inside = _percent(float(scores["covered"].sel(level=0.8)))
    return f"{float(scores['log_crps']):.3f} ({float(scores['log_error']):+.2f}, {inside})"


def _pooled(scores: xr.Dataset, name: str, forecaster: str) -> str:
    own = scores.sel({FORECASTER: name})
    inside = _percent(float(own["covered"].sel(level=0.8).mean()))
    text = f"{float(own['log_crps'].mean()):.3f} ({inside})"
    if name == forecaster:
        return text
    gain = skill_table(scores, forecaster, against=[name]).iloc[0]
    return (
        f"{text}; {_percent(gain['skill'])} ({_percent(gain['low'])} to {_percent(gain['high'])})"
    )


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, the first column left-aligned and the others right-aligned.

    Examples
    --------
    >>> from beltcast.verification.skill_text import markdown
    >>> print(markdown(["name", "loss"], [["sd", "0.1"]]), end="")
    | name | loss |
    |:---|---:|
    | sd | 0.1 |
    """
    rule = "|:---|" + "---:|" * (len(headings) - 1)
    # A name from a file must not end its cell, or the line.
    clean = [[" ".join(c.replace("|", "\\|").split()) for c in row] for row in (headings, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in clean]
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def _what_was_asked(scores: xr.Dataset) -> str:
    origins = np.unique(scores["origin"].values)
    pairs = set(zip(scores["place"].values, scores["year"].values, strict=True))
    return (
        f"{scores.sizes[CASE]} cases from {len(origins)} origins, {origins.min():g} to "
        f"{origins.max():g}: {len(pairs)} targets (places by years), leads "
        f"{int(scores['lead'].min())} to {int(scores['lead'].max())} years"
    )


def _notes(scores: xr.Dataset) -> list[str]:
    """The backtest's own notes: its inputs, and forecasters that are missing."""
    words = {
        "information": "Inputs",
        "left_out": "Left out, since their packages are not installed",
    }
    said = {key: str(scores.attrs.get(key, "")) for key in words}
    return [f"{words[key]}: {text}" for key, text in said.items() if text]


def _scores(scores: xr.Dataset) -> Table:
    table = score_table(scores)
    answered = int(table["cases"].iloc[0]) if len(table) else 0
    drawn = page_table(f"Mean scores over the {answered} cases that all answer; smaller is better")
    _columns(drawn, "forecaster", *HEADINGS.values())
    for row in table.to_dict("records"):
        cells = [_number(row[name]) for name in list(HEADINGS)[:-1]]
        drawn.add_row(str(row["forecaster"]), *cells, _percent(row["covered_80"]))
    return drawn


def _skill(scores: xr.Dataset, forecaster: str) -> Table:
    table = skill_table(scores, forecaster)
    drawn = page_table(
        f"Gain of '{forecaster}' over each in CRPS of logs: 95% interval clustered by year and "
        "place; p adjusted for the number of forecasters"
    )
    _columns(drawn, "against", "cases", "targets", "years", "gain", "interval", "p", "verdict")
    for row in table.to_dict("records"):
        drawn.add_row(
            str(row["against"]),
            *(_number(row[name]) for name in ("cases", "targets", "years")),
            _percent(row["skill"]),
            f"{_percent(row['low'])} to {_percent(row['high'])}",
            "<0.001" if row["p_adjusted"] < 0.001 else _number(row["p_adjusted"]),
            str(row["verdict"]),
        )
    return drawn


def _errors(scores: xr.Dataset, forecaster: str) -> Table:
    drawn = page_table(
        f"Errors of '{forecaster}': the log of its median less that of the observation, on all "
        "cases that it answers"
    )
    _columns(drawn, "where", "cases", "targets", "error", "bias", "sd", "80% band", "in 80%")
    for by in ("scope", "first", "lead", "origin"):
        if by not in scores.coords:
            continue
        for row in error_table(scores, forecaster, by=by).to_dict("records"):
            drawn.add_row(
                _where(by, row[by]),
                *(_number(row[name]) for name in ("cases", "targets", "error")),
                f"{row['bias']:+.3f}",
                *(_number(row[name]) for name in ("sd", "band")),
                _percent(row["covered_80"]),
            )
    return drawn


def _where(by: str, value: TableCell) -> str:
    """Name of a group of cases."""
    if by == "scope":
        return str(value)
    if by == "first":
        return "never published before" if value else "published before"
    return f"{by} {value:g}"


def _coverage(scores: xr.Dataset) -> Table:
    """Tabulate coverage, first observations of a series separately: they test another claim."""
    by = "first" if "first" in scores.coords else None
    table = coverage_table(scores, by=by)
    levels = sorted(table["level"].unique())
    drawn = page_table("Share of observations in central intervals (95% of Clopper and Pearson)")
    _columns(drawn, "forecaster", "where", "cases", *(_percent(level) for level in levels))
    for name in table["forecaster"].unique():
        own = table[table["forecaster"] == name]
        for value, part in own.groupby(by) if by else [(None, own)]:
            cases = int(part["cases"].iloc[0])
            if not cases:
                continue
            cells = [
                f"{_percent(row['share'])} ({_percent(row['low'])}–{_percent(row['high'])})"
                for row in part.sort_values("level").to_dict("records")
            ]
            where = "all" if value is None else _where("first", value)
            drawn.add_row(str(name), where, str(cases), *cells)
    return drawn


def _misses(
    table: pd.DataFrame, forecaster: str, units: Mapping[str, str], language: Language
) -> Table:
    drawn = page_table(f"Largest losses of '{forecaster}', in the model's units")
    columns = ("place", "year", "origin", "definition", "observed", "median", "80% band", "ratio")
    _columns(drawn, *columns)
    for row in table.to_dict("records"):
        factor = counted_in(units.get(row["quantity"], ""), language, {})[0]
        observed, median, low, high = (
            _number(factor * row[name]) for name in ("observed", "median", "p10", "p90")
        )
        drawn.add_row(
            str(row["place"]),
            str(int(row["year"])),
            f"{row['origin']:g}",
            str(row["definition"]),
            observed,
            median,
            f"{low}–{high}",
            f"{row['ratio']:.2f}",
        )
    return drawn


def _gain(row: Mapping[Hashable, Any]) -> str:
    text = f"{_percent(row['skill'])} ({_percent(row['low'])} to {_percent(row['high'])})"
    return f"{text}, {row['verdict']}"


def _columns(table: Table, *names: str) -> None:
    words = ("forecaster", "against", "place", "where", "definition", "verdict")
    for name in names:
        side = "left" if name in words else "right"
        table.add_column(name, justify="left" if side == "left" else "right", no_wrap=True)


def _number(value: TableCell) -> str:
    if isinstance(value, str):
        return value
    if not np.isfinite(value):
        return "-"
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{int(value)}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if np.isfinite(share) else "-"
