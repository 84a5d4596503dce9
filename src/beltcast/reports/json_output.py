"""Results of a command as one JSON object for programs.

The numbers are those of the printed page, unrounded. Labels (places, scenarios, drivers,
parameters) become keys, quantiles ``p10``, ``p50`` and ``p90``; other dimensions, such as years,
become lists with their axis beside them. Single draws are only in the files. A number that is not
finite is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.forecasting.before_after import changes
from beltcast.inference.calibrate import Calibration
from beltcast.inference.updating.update import Update
from beltcast.schema import CHAIN, DRAW, MEMBER, PLACE, QUANTILE, SET, YEAR

SHOWN_QUANTILES = (0.1, 0.5, 0.9)
"""Quantiles: the median and the 80% band."""

SINGLE = (MEMBER, DRAW, CHAIN, SET)
"""Dimensions of single draws, which only the files contain."""


def json_text(facts: Mapping[str, Any]) -> str:
    """Write facts, including NumPy's numbers, as one JSON object.

    >>> import numpy as np
    >>> print(json_text({"place": "佛山", "sizes": np.array([1.5, np.nan])}))
    {
     "place": "佛山",
     "sizes": [
      1.5,
      null
     ]
    }
    """
    return json.dumps(_plain(facts), ensure_ascii=False, indent=1, allow_nan=False)


def calibration_facts(calibration: Calibration) -> dict[str, Any]:
    """Return the optimum and every estimate beside its prior.

    Returns
    -------
    dict
        ``cost``, ``refined``, ``agreeing`` (how many refined starts reached the best optimum),
        ``observations``, ``examples`` (observations invented by a template), ``at_bound`` and
        ``parameters``: label to the columns of `Calibration.table`.
    """
    observations = calibration.likelihood.observations
    return {
        "cost": calibration.cost,
        "refined": len(calibration.refined),
        "agreeing": calibration.agreeing,
        "observations": len(observations),
        "examples": len(observations.examples()),
        "at_bound": list(calibration.at_bound),
        "parameters": calibration.table().to_dict(orient="index"),
    }


def forecast_facts(forecast: xr.Dataset) -> dict[str, Any]:
    """Return the bands of a forecast and its basis.

    Returns
    -------
    dict
        ``target``, ``unit``, ``draws``, ``years``; ``places``: name to ``observations`` and, by
        year, ``sd_ratio``; ``scenarios``: name to place to ``p10``, ``p50``, ``p90`` of an
        observation by year; ``chance_of_more`` and ``prior_chance_of_more`` by scenario, place,
        year.
    """
    places = [str(place) for place in forecast[PLACE].values]
    return {
        "target": forecast.attrs["target"],
        "unit": forecast.attrs["unit"],
        "whole": forecast.attrs["whole"],
        "draws": forecast.attrs["draws"],
        "years": forecast[YEAR].values,
        "places": {
            place: {
                "observations": int(forecast["observation_count"].sel({PLACE: place})),
                "sd_ratio": forecast["sd_ratio"].sel({PLACE: place}).values,
            }
            for place in places
        },
        "scenarios": _by_label(forecast["published_quantile"]),
        **{name: _by_label(forecast[name]) for name in ("chance_of_more", "prior_chance_of_more")},
    }


def comparison_facts(comparison: xr.Dataset) -> dict[str, Any]:
    """Return the differences between scenarios and the first, draw by draw.

    Returns
    -------
    dict
        ``years``; ``ratio`` and ``difference``: scenario to place to ``p10``, ``p50``, ``p90`` by
        year; ``chance_of_more`` by year; ``chance_of_loss`` and ``chance_of_recovery``.
    """
    return {
        "years": comparison[YEAR].values,
        "ratio": _by_label(comparison["ratio_quantile"]),
        "difference": _by_label(comparison["difference_quantile"]),
        **{
            name: _by_label(comparison[name])
            for name in ("chance_of_more", "chance_of_loss", "chance_of_recovery")
        },
    }


def update_facts(change: Update, outlook: xr.Dataset) -> dict[str, Any]:
    """Return what new observations changed.

    Returns
    -------
    dict
        ``method`` and ``why``; ``together``, the joint probability of observations this surprising;
        ``surprises``, a row for each of them; ``changes`` of the forecast, a row for each place
        and year; ``moved``, parameter to its medians before and after.
    """
    return {
        "method": change.method,
        "why": change.why,
        "together": change.together,
        "surprises": table_facts(change.surprises),
        "changes": table_facts(changes(outlook)),
        "moved": table_facts(change.moved()),
    }


def dataset_facts(result: xr.Dataset) -> dict[str, Any]:
    """Return everything in a Dataset except single draws, under its own names.

    Returns
    -------
    dict
        ``attributes``, and each variable and coordinate without a dimension of draws.

    Examples
    --------
    >>> import xarray as xr
    >>> from beltcast.reports.json_output import dataset_facts
    >>> share = xr.DataArray([[0.1, 0.2]], {"driver": ["Market"], "year": [2024, 2025]})
    >>> facts = dataset_facts(xr.Dataset({"share": share, "draw": ("member", [0.3])}))
    >>> {name: facts[name] for name in ("share", "year")}
    {'share': {'Market': array([0.1, 0.2])}, 'year': array([2024, 2025])}
    """
    kept = result.drop_dims([dim for dim in SINGLE if dim in result.dims])
    axes = {
        str(name): kept[name].values
        for name in kept.coords
        if name in kept.dims and name != QUANTILE  # whose values are the keys p10 ...
    }
    others = {
        str(name): _by_label(kept[name])
        for name in (*kept.coords, *kept.data_vars)
        if name not in kept.dims
    }
    return {"attributes": dict(result.attrs), **axes, **others}


def table_facts(table: pd.DataFrame) -> Any:
    """Return the rows of a table: by their label, or as a list if they have none.

    >>> import pandas as pd
    >>> table_facts(pd.DataFrame({"k": [0.1]}, index=["Zone Year"]))
    {'Zone Year': {'k': 0.1}}
    """
    if isinstance(table.index, pd.MultiIndex):
        table = table.reset_index()
    by_label = not isinstance(table.index, pd.RangeIndex) and table.index.is_unique
    return table.to_dict(orient="index" if by_label else "records")


def _by_label(values: xr.DataArray) -> Any:
    """Nest values by the labels of their dimensions; quantiles come last, numbers stay arrays."""
    if QUANTILE in values.dims:
        values = values.isel({QUANTILE: np.isin(values[QUANTILE].values, SHOWN_QUANTILES)})
    keys = {
        dim: [str(label) for label in values[dim].values]
        for dim in values.dims
        if dim in values.coords and values[dim].dtype.kind in "OU"
    }
    if QUANTILE in values.dims:
        keys[QUANTILE] = [f"p{100 * q:.0f}" for q in values[QUANTILE].values]
    return _nested(values.transpose(*keys, ...).values, list(keys.values()))


def _nested(values: np.ndarray, keys: list[list[str]]) -> Any:
    if not keys:
        return values
    return {key: _nested(own, keys[1:]) for key, own in zip(keys[0], values, strict=True)}


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case np.ndarray() | np.generic():
            return _plain(value.tolist())
        case float() if not math.isfinite(value):
            return None
    return value
