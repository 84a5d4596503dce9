"""The summary of an update, as a page of text.

It gives the method and why it was chosen; each new observation beside its predictive distribution;
the current year and the forecast before and after; and the parameters that moved.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Group, RenderableType
from rich.text import Text

from beltcast.display.numbers import rounded
from beltcast.display.tables import console_table, titled
from beltcast.display.translations import counted_in, period_words, table_unit
from beltcast.forecasting.before_after import changes, nowcast_years
from beltcast.inference.updating.update import Update
from beltcast.schema import PLACE, Language, labels_of

SURPRISE = 0.05
"""Probability below which an observation is called a surprise."""

LEAST_SHIFT = 0.1
"""Shift, in standard deviations, below which a parameter counts as unmoved."""


def summarise_update(
    result: xr.Dataset, change: Update, notes: str = "", language: Language = "en"
) -> RenderableType:
    """Return the summary of an update, for a `rich` console.

    Parameters
    ----------
    result : xarray.Dataset
        As `beltcast.forecasting.before_after.outlook` returns it.
    change : Update
    notes : str
        Lines to print first, such as which rows the study already had.
    language : 'en' or 'zh'
        In which periods are named and money is counted: 亿元 in Chinese.
    """
    factor, unit = table_unit(result.attrs["unit"], language, labels_of(result.attrs))
    of = f"{result.attrs['target']}, {unit}"
    table = changes(result)
    parts: list[RenderableType] = [
        Text(f"{result.attrs['title']}: {_count(len(change.surprises))}", style="bold"),
        *([Text(notes)] if notes else []),
        _way(change),
        _surprises(change, language),
        Text("\n" + surprise_words(change, language)),
    ]
    whole = str(result.attrs["whole"])
    for year, places in sorted(nowcast_years(change).items()):
        shown = [p for p in dict.fromkeys([whole, *places]) if p in result[PLACE].values]
        title = (
            f"The year {year}, published in part: {of}, as an observation on the model's\n"
            "own scope: median (80% band)"
        )
        nowcast = table[(table["year"] == year) & table["place"].isin(shown)]
        parts.append(_before_and_after(title, nowcast, factor))
    title = f"The forecast before and after, scenario '{result.attrs['scenario']}': {of}"
    parts += [_before_and_after(title, _chosen(table, whole, result), factor), _moved(change)]
    return Group(*parts)


def surprise_words(change: Update, language: Language = "en") -> str:
    """Say in a sentence or two how surprising the new observations are."""
    table = change.surprises
    count = int((table["p"] < SURPRISE).sum())
    first = table.iloc[0]
    period = period_words(first["start"], first["end"], language)
    few = "observation has" if len(table) == 1 else "observations have"
    one = (
        f"{count} of {len(table)} new {few} p below {SURPRISE:g}; by chance it would be "
        f"{SURPRISE * len(table):.1f}. The most surprising: {first['place']}, "
        f"{first['definition']}, {period}, p {_p(first['p'])}; alone it would move "
        f"{first['nuisance']} by {first['nuisance_shift']:+.2f} and "
        f"{first['parameter']} by {first['parameter_shift']:+.2f} standard deviations."
    )
    # The joint p of one observation is its own p, up to the tails.
    if np.isnan(change.together) or len(table) == 1:
        return one
    return f"{one} Jointly, with their shared errors, they have p {_p(change.together)}."


def _count(count: int) -> str:
    return "1 new observation" if count == 1 else f"{count} new observations"


def _chosen(table: pd.DataFrame, whole: str, result: xr.Dataset) -> pd.DataFrame:
    """Rows to print: the total in the study's years, each other place in the middle one."""
    wanted = np.atleast_1d(result.attrs.get("shown_years", [])).tolist()
    known = table["year"].tolist()
    years = [y for y in wanted if y in known] or [max(known)]
    nation = (table["place"] == whole) & table["year"].isin(years)
    middle = years[len(years) // 2]
    rows: pd.DataFrame = table[nation | ((table["place"] != whole) & (table["year"] == middle))]
    return rows


def _way(change: Update) -> Text:
    meaning = {
        "reweight": "the draws were reweighted by the new observations",
        "smoother": "the draws were moved by a Kalman update, then reweighted",
        "refit": "the model was refitted, starting from the old optimum",
    }[change.method]
    return Text(f"Method {change.method}: {meaning}.\n({change.why}.)")


def _surprises(change: Update, language: Language) -> RenderableType:
    variables, table = change.after.likelihood.model.variables, console_table()
    series, moves = "series", "moves most (sd)"
    for name in (series, "period", "published", "expected (80%)", "z", "p", moves):
        left = name in (series, moves)
        # Names may be long: they wrap, each in at least the width of a word or two.
        table.add_column(
            name, justify="left" if left else "right", overflow="fold", min_width=20 * left
        )
    for _, row in change.surprises.iterrows():
        factor, _ = counted_in(variables[row["quantity"]].unit, language, {})
        sign = {"over": ">", "lower": ">", "upper": "<"}.get(row["kind"], "")
        nuisance = _short(row["nuisance"], row["place"], row["definition"])
        table.add_row(
            f"{row['place']}, {row['quantity']}\n{row['definition']}",
            period_words(row["start"], row["end"], language),
            f"{sign}{_value(row['published'], row['kind'], factor)}",
            _expected(row, factor),
            f"{row['z']:+.1f}",
            _p(row["p"]),
            f"{nuisance} {row['nuisance_shift']:+.2f}\n"
            f"{row['parameter']} {row['parameter_shift']:+.2f}",
        )
    title = (
        "New observations beside their predictive distributions, the most surprising first, in the "
        "model's\nunits; and what each alone would move most, in standard deviations"
    )
    return titled(title, table)


def _short(nuisance: str, place: str, definition: str) -> str:
    """Shorten a nuisance of the row's own place and definition to its kind."""
    return nuisance.replace(f" of {place}, {definition}", "")


def _before_and_after(title: str, rows: pd.DataFrame, factor: float) -> RenderableType:
    table = console_table("place", "year", "before", "after", "change", "width")
    for _, row in rows.iterrows():
        table.add_row(
            str(row["place"]),
            str(row["year"]),
            *(
                "{:,.0f} ({:,.0f}–{:,.0f})".format(
                    *(factor * row[f"{name} {state}"] for name in ("median", "low", "high"))
                )
                for state in ("before", "after")
            ),
            f"{100 * (row['change'] - 1):+.1f} %",
            f"{row['width']:.2f}",
        )
    return titled(f"{title}; width: of the band, ratio of after to before", table)


def _moved(change: Update) -> RenderableType:
    moved = change.moved()
    chosen = moved[moved["shift"].abs() >= LEAST_SHIFT].head(8)
    if chosen.empty:
        largest = moved.iloc[0]
        return Text(
            f"\nNo parameter moved by {LEAST_SHIFT:g} standard deviations; the largest shift is "
            f"that of {moved.index[0]}, {largest['shift']:+.2f}."
        )
    table = console_table("parameter", "before", "after", "shift", "sd ratio")
    for label, row in chosen.iterrows():
        table.add_row(
            str(label),
            rounded(row["before"]),
            rounded(row["after"]),
            f"{row['shift']:+.2f}",
            f"{row['ratio']:.2f}",
        )
    title = (
        "Parameters that moved most: medians; shift of the mean, in standard deviations before; "
        "sd ratio,\nafter to before"
    )
    return titled(title, table)


def _expected(row: pd.Series, factor: float) -> str:
    low, middle, high = (
        _value(row[name], row["kind"], factor) for name in ("low", "median", "high")
    )
    if row["kind"] == "growth":
        return f"{middle} ({low.removesuffix(' %')} to {high})"
    return f"{middle} ({low}–{high})"


def _value(value: float, kind: str, factor: float) -> str:
    if kind == "growth":
        return f"{100 * (value - 1):+.0f} %"
    if kind == "share":
        return f"{100 * value:.1f} %"
    value *= factor
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _p(p: float) -> str:
    return f"{p:.2f}" if p >= 0.01 else f"{p:.1g}"
