"""What an update says, in a page of text.

First which way was used and why; then each new figure beside what was expected of it, the year
that is running before and after, the forecast before and after, and the parameters that moved.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from beltcast.forecasting.before_after import changes, nowcast_years
from beltcast.forecasting.summary import titled
from beltcast.inference.updating.update import Update
from beltcast.schema import PLACE

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

SURPRISE = 0.05
"""Probability below which a figure is called a surprise."""

LEAST_SHIFT = 0.1
"""Shift, in spreads, below which a parameter is not said to have moved."""


def summarise_update(result: xr.Dataset, change: Update, notes: str = "") -> RenderableType:
    """Return the summary of an update, for a `rich` console.

    Parameters
    ----------
    result : xarray.Dataset
        As `beltcast.forecasting.before_after.outlook` returns it.
    change : Update
    notes : str
        Lines to put first, such as which rows were no news.
    """
    table = changes(result)
    parts: list[RenderableType] = [
        Text(f"{result.attrs['title']}: {_figures(len(change.surprises))}", style="bold"),
        *([Text(notes)] if notes else []),
        _way(change),
        _surprises(change.surprises),
        Text("\n" + surprise_words(change)),
    ]
    whole = str(result.attrs["whole"])
    for year, places in sorted(nowcast_years(change).items()):
        shown = [p for p in dict.fromkeys([whole, *places]) if p in result[PLACE].values]
        title = (
            f"The year {year}, of which a part is published: {_of(result)}, as a figure of the\n"
            "model's own scope would be published: median (80% band)"
        )
        nowcast = table[(table["year"] == year) & table["place"].isin(shown)]
        parts.append(_before_and_after(title, nowcast))
    title = f"The forecast before and after, scenario '{result.attrs['scenario']}': {_of(result)}"
    parts += [_before_and_after(title, _chosen(table, whole, result)), _moved(change)]
    return Group(*parts)


def surprise_words(change: Update) -> str:
    """Say in a sentence or two how surprising the new figures are."""
    table = change.surprises
    count = int((table["p"] < SURPRISE).sum())
    first = table.iloc[0]
    period = _period(first["start"], first["end"])
    few = "figure lies" if len(table) == 1 else "figures lie"
    one = (
        f"{count} of {len(table)} {few} where less than 1 in 20 would be expected; by chance it "
        f"would be {SURPRISE * len(table):.1f}. The farthest: {first['place']}, "
        f"{first['definition']}, {period}, p {_p(first['p'])}; alone it would move "
        f"{first['nuisance']} by {first['nuisance_shift']:+.2f} and "
        f"{first['parameter']} by {first['parameter_shift']:+.2f} spreads."
    )
    # One number's is its own p, but for the tails.
    if np.isnan(change.together) or len(table) == 1:
        return one
    return f"{one} Taken together, with what they share, the figures have p {_p(change.together)}."


def _figures(count: int) -> str:
    return "1 new figure" if count == 1 else f"{count} new figures"


def _chosen(table: pd.DataFrame, whole: str, result: xr.Dataset) -> pd.DataFrame:
    """Rows of the page: the whole in the study's years, each other place in the middle one."""
    wanted = np.atleast_1d(result.attrs.get("shown_years", [])).tolist()
    known = table["year"].tolist()
    years = [y for y in wanted if y in known] or [max(known)]
    nation = (table["place"] == whole) & table["year"].isin(years)
    middle = years[len(years) // 2]
    rows: pd.DataFrame = table[nation | ((table["place"] != whole) & (table["year"] == middle))]
    return rows


def _way(change: Update) -> Text:
    meaning = {
        "reweight": "the draws were weighted by the new figures",
        "smoother": "the draws were moved by a Kalman update, then weighted",
        "refit": "the model was fitted again, from the old optimum",
    }[change.method]
    return Text(f"Method {change.method}: {meaning}.\n({change.why}.)")


def _surprises(surprises: pd.DataFrame) -> RenderableType:
    table = _table()
    for name in ("figure", "period", "published", "expected (80%)", "z", "p", "would move most"):
        left = name in ("figure", "would move most")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "figure")
    for _, row in surprises.iterrows():
        sign = {"over": ">", "lower": ">", "upper": "<"}.get(row["kind"], "")
        nuisance = _short(row["nuisance"], row["place"], row["definition"])
        table.add_row(
            f"{row['place']}, {row['quantity']}\n{row['definition']}",
            _period(row["start"], row["end"]),
            f"{sign}{_value(row['published'], row['kind'])}",
            _expected(row),
            f"{row['z']:+.1f}",
            _p(row["p"]),
            f"{nuisance} {row['nuisance_shift']:+.2f}\n"
            f"{row['parameter']} {row['parameter_shift']:+.2f}",
        )
    title = (
        "New figures against what was expected of them under their own definitions (the most "
        "surprising first,\nin the model's units), and what each alone would move most, in spreads"
    )
    return titled(title, table)


def _short(nuisance: str, place: str, definition: str) -> str:
    """A nuisance of the row's own place and definition needs no more than its kind."""
    return nuisance.replace(f" of {place}, {definition}", "")


def _before_and_after(title: str, rows: pd.DataFrame) -> RenderableType:
    table = _table()
    for name in ("place", "year", "before", "after", "change", "width"):
        table.add_column(name, justify="left" if name == "place" else "right", no_wrap=True)
    for _, row in rows.iterrows():
        table.add_row(
            str(row["place"]),
            str(row["year"]),
            *(
                f"{row[f'median {s}']:,.0f} ({row[f'low {s}']:,.0f}–{row[f'high {s}']:,.0f})"
                for s in ("before", "after")
            ),
            f"{100 * (row['change'] - 1):+.1f} %",
            f"{row['width']:.2f}",
        )
    return titled(f"{title}; width: of the band, after over before", table)


def _moved(change: Update) -> RenderableType:
    moved = change.moved()
    chosen = moved[moved["shift"].abs() >= LEAST_SHIFT].head(8)
    if chosen.empty:
        largest = moved.iloc[0]
        return Text(
            f"\nNo parameter moved by a tenth of its spread; most did {moved.index[0]}, "
            f"{largest['shift']:+.2f} spreads."
        )
    table = _table()
    for name in ("parameter", "before", "after", "shift", "ratio of spreads"):
        table.add_column(name, justify="left" if name == "parameter" else "right", no_wrap=True)
    for label, row in chosen.iterrows():
        table.add_row(
            str(label),
            f"{row['before']:.3g}",
            f"{row['after']:.3g}",
            f"{row['shift']:+.2f}",
            f"{row['ratio']:.2f}",
        )
    return titled("Parameters that moved most: medians; shift of the mean in spreads before", table)


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0))


def _of(result: xr.Dataset) -> str:
    return f"{result.attrs['target']}, {result.attrs['unit']} a year"


def _expected(row: pd.Series) -> str:
    low, middle, high = (_value(row[name], row["kind"]) for name in ("low", "median", "high"))
    if row["kind"] == "growth":
        return f"{middle} ({low.removesuffix(' %')} to {high})"
    return f"{middle} ({low}–{high})"


def _value(value: float, kind: str) -> str:
    if kind == "growth":
        return f"{100 * (value - 1):+.0f} %"
    if kind == "share":
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _period(start: float, end: float) -> str:
    """A year, an instant, or months: '2025', '2015.90', 'Jan-Jun 2025'."""
    year = int(np.floor(start + 1e-3))
    first, months = round(12 * (start - year)), round(12 * (end - start))
    if months == 0:
        return f"{start:.2f}"
    if first == 0 and months == 12:
        return str(year)
    if first + months > 12:
        return f"{start:.2f}-{end:.2f}"
    names = [MONTHS[first], MONTHS[first + months - 1]]
    return f"{'-'.join(dict.fromkeys(names))} {year}"


def _p(p: float) -> str:
    return f"{p:.2f}" if p >= 0.01 else f"{p:.1g}"
