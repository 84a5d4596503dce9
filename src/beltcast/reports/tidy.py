"""Results as tidy tables, one for each question: places, scenarios, drivers, observations.

A row is one quantity at one place and year, with p10, p50 and p90 beside each other and its unit.
Results kept member by member are excluded unless requested; their quantiles are included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.errors import InputError
from beltcast.schema import MEMBER, PLACE, QUANTILE, SCENARIO, YEAR

_SHOWN = (0.1, 0.5, 0.9)


def tables_without_members(results: xr.Dataset) -> xr.Dataset:
    """Drop results kept member by member, if there are others."""
    kept = [str(name) for name, values in results.data_vars.items() if MEMBER not in values.dims]
    tables = [name for name in kept if results[name].ndim]
    return results[kept] if tables else results


def tidy_tables(results: xr.Dataset, *, members: bool = False) -> dict[str, pd.DataFrame]:
    """Lay out results as one table for each question.

    Parameters
    ----------
    results : xarray.Dataset
        Of a forecast, an attribution, a comparison or an ensemble.
    members : bool
        Also results kept member by member.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``places`` (the first scenario by place and year), ``scenarios`` (all of them), ``drivers``,
        ``observations`` (rows that were fitted), and other tables by the name of their labels.
        Columns: ``quantity``, ``unit``, the labels, and ``p10``, ``p50``, ``p90`` or ``value``.

    Raises
    ------
    InputError
        There is no table of numbers among the results.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> values = xr.DataArray(np.ones((1, 2, 3)), dims=("place", "year", "quantile"),
    ...     coords={"place": ["A"], "year": [2025, 2026], "quantile": [0.1, 0.5, 0.9]})
    >>> list(tidy_tables(xr.Dataset({"output_quantile": values}))["places"].columns)
    ['quantity', 'unit', 'place', 'year', 'p10', 'p50', 'p90']
    """
    chosen = results if members else tables_without_members(results)
    parts: dict[str, list[pd.DataFrame]] = {}
    row: dict[str, xr.DataArray] = {}
    for key, values in chosen.data_vars.items():
        labels = [str(d) for d in values.dims if d != QUANTILE]
        if labels == ["row"]:
            row[str(key).removeprefix("row_")] = values
        elif labels and np.issubdtype(values.dtype, np.number):
            question = _question(labels)
            parts.setdefault(question, []).append(_part(str(key), values, labels))
            if question == "scenarios" and labels == [SCENARIO, PLACE, YEAR]:
                first = values.isel({SCENARIO: 0})
                parts.setdefault("places", []).append(_part(str(key), first, [PLACE, YEAR]))
    tables = {name: _joined(of) for name, of in parts.items()}
    if row:
        tables["observations"] = pd.DataFrame({name: v.values for name, v in row.items()})
    if not tables:
        raise InputError("there is no table of numbers among the results")
    order = ["places", "scenarios", "drivers", "observations"]
    ranked = sorted(tables, key=lambda name: order.index(name) if name in order else len(order))
    return {name: tables[name] for name in ranked}


def shown_quantiles(known: Sequence[float]) -> list[float]:
    """Return p10, p50 and p90 if they are kept; all quantiles otherwise."""
    found = [q for q in known if any(abs(q - shown) < 1e-9 for shown in _SHOWN)]
    return found if len(found) == len(_SHOWN) else list(known)


def _question(labels: Sequence[str]) -> str:
    if MEMBER in labels:
        return "members by " + " ".join(d for d in labels if d != MEMBER)
    if "driver" in labels:
        return "drivers"
    if set(labels) == {PLACE, YEAR}:
        return "places"
    if set(labels) == {SCENARIO, PLACE, YEAR}:
        return "scenarios"
    return "by " + " ".join(labels)


def _part(key: str, values: xr.DataArray, labels: Sequence[str]) -> pd.DataFrame:
    plain = values.drop_vars([c for c in values.coords if c not in values.dims])
    unit = str(values.attrs.get("units", ""))
    if QUANTILE in values.dims:
        shown = shown_quantiles([float(q) for q in values[QUANTILE].values])
        columns = {
            f"p{100 * q:02.0f}": plain.sel({QUANTILE: q}, method="nearest", drop=True)
            for q in shown
        }
    else:
        columns = {"value": plain}
    flat = {
        name: array.transpose(*labels).to_series().rename(name) for name, array in columns.items()
    }
    table = pd.concat(flat.values(), axis=1).reset_index()
    table.insert(0, "quantity", key.removesuffix("_quantile"))
    table.insert(1, "unit", unit)
    return table


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    joined = pd.concat(parts, ignore_index=True)
    if "value" in joined:  # the last column, also where the first quantity has it
        joined = joined[[*(c for c in joined.columns if c != "value"), "value"]]
    return joined
