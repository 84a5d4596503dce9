"""Contents and scores of a frozen forecast, as tables for a console."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Group, RenderableType
from rich.table import Table

from beltcast.display.tables import page_table
from beltcast.display.translations import counted_in, period_words
from beltcast.schema import CASE, DRAW, FORECASTER, Language
from beltcast.verification.frozen import CONTENT, Scored

_NO_UNITS: Mapping[str, str] = MappingProxyType({})
_SCOPE = ("place", "quantity", "definition", "period", "release")


def summarise_frozen(
    frozen: xr.Dataset, *, units: Mapping[str, str] = _NO_UNITS, language: Language = "en"
) -> RenderableType:
    """Return the cases of a frozen forecast with the quantiles of the model, for a console.

    Parameters
    ----------
    frozen : xarray.Dataset
        As `beltcast.freeze` returns it.
    units : mapping of str to str
        Unit of each quantity in the model: in Chinese, money is counted in 亿.
    language : 'en' or 'zh'
    """
    attrs = frozen.attrs
    table = page_table("Forecasts of 'sd': median and 80% band, in the model's units")
    for name in (*_SCOPE, "median", "80% band"):
        _column(table, name)
    draws = frozen["forecast"].sel({FORECASTER: "sd"})
    fan = draws.quantile([0.1, 0.5, 0.9], DRAW).values
    for number in range(frozen.sizes[CASE]):
        low, middle, high = map(_digits, fan[:, number] * _factor(frozen, number, units, language))
        table.add_row(*_scope(frozen, number, language), middle, f"{low}–{high}")
    return Group(
        f"Frozen on {attrs['frozen_on']} by beltcast {attrs['beltcast']}; data until "
        f"{float(attrs['data_until']):g}; content {attrs[CONTENT][:12]}",
        f"{frozen.sizes[CASE]} observations to come, {frozen.sizes[FORECASTER]} forecasters",
        table,
    )


def forecaster_table(scored: Scored, *, reference: str = "sd") -> pd.DataFrame:
    """Score every forecaster on the rows that it answers, beside the reference on the same rows.

    Returns
    -------
    pandas.DataFrame
        ``forecaster``, ``cases``, mean ``log_crps``, ``reference`` (that of the reference on the
        same cases), ``rms_z`` and ``covered_80`` (share); the best first.
    """
    scores = scored.scores
    other = scores["log_crps"].sel({FORECASTER: reference}).values
    rows = []
    for name in map(str, scores[FORECASTER].values):
        own = scores.sel({FORECASTER: name})
        loss = own["log_crps"].values
        known = np.isfinite(loss) & np.isfinite(other)
        if not known.any():
            continue
        inside = own["covered"].sel(level=0.8).values[known]
        rows.append(
            {
                "forecaster": name,
                "cases": int(known.sum()),
                "log_crps": float(loss[known].mean()),
                "reference": float(other[known].mean()),
                "rms_z": float(np.sqrt((own["z"].values[known] ** 2).mean())),
                "covered_80": float(inside.mean()),
            }
        )
    return pd.DataFrame(rows).sort_values("log_crps", kind="stable", ignore_index=True)


def summarise_score(
    scored: Scored, *, units: Mapping[str, str] = _NO_UNITS, language: Language = "en"
) -> RenderableType:
    """Return the scores of a frozen forecast for a console: row by row, then by forecaster.

    Units and language are as for `summarise_frozen`.
    """
    scores = scored.scores
    own = scores.sel({FORECASTER: "sd"})
    rows = page_table(
        "Published values beside the forecast of 'sd' (CRPS of logs); * published before the freeze"
    )
    for name in (*_SCOPE, "observed", "median", "80% band", "z", "in 80%", "CRPS"):
        _column(rows, name)
    for number in range(scores.sizes[CASE]):
        one = own.isel({CASE: number})
        early = "*" if int(one["early"]) else ""
        factor = _factor(scores, number, units, language)
        observed, middle, low, high = (
            _digits(factor * float(one[name])) for name in ("observed", "median", "p10", "p90")
        )
        rows.add_row(
            *_scope(scores, number, language),
            observed + early,
            middle,
            f"{low}–{high}",
            f"{float(one['z']):+.2f}",
            "yes" if float(one["covered"].sel(level=0.8)) else "no",
            f"{float(one['log_crps']):.3f}",
        )
    means = page_table("Forecasters on the rows that each answers; smaller is better")
    headings = ("forecaster", "rows", "CRPS of logs", "sd on the same", "rms z", "in 80%")
    for name in headings:
        means.add_column(name, justify="left" if name == "forecaster" else "right", no_wrap=True)
    for row in forecaster_table(scored).to_dict("records"):
        means.add_row(
            str(row["forecaster"]),
            str(row["cases"]),
            f"{row['log_crps']:.3f}",
            f"{row['reference']:.3f}",
            f"{row['rms_z']:.2f}",
            f"{100 * row['covered_80']:.0f}%",
        )
    left = [
        *(f"Line {row.line} is not in the frozen forecast." for row in scored.unmatched),
        *(f"Line {row.line} was published before the data ended." for row in scored.known),
    ]
    return Group(rows, means, *left)


def _factor(data: xr.Dataset, number: int, units: Mapping[str, str], language: Language) -> float:
    quantity = str(data["quantity"].values[number])
    return counted_in(units.get(quantity, ""), language, {})[0]


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _scope(data: xr.Dataset, number: int, language: Language) -> list[str]:
    one = data.isel({CASE: number})
    period = period_words(float(one["start"]), float(one["end"]), language)
    return [*(str(one[name].values) for name in _SCOPE[:3]), period, str(one["vintage"].values)]


def _column(table: Table, name: str) -> None:
    """Add a column: only names may wrap."""
    table.add_column(
        name,
        justify="left" if name in _SCOPE else "right",
        no_wrap=name not in _SCOPE[:3],
        overflow="fold",
    )
