"""What a command found, as one JSON object for programs.

The same numbers as on the printed page, none rounded: quantiles of a forecast by scenario, place
and year, estimates beside their priors, differences of scenarios.  A number that is not finite is
null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from beltcast.inference.calibrate import Calibration
from beltcast.schema import PLACE, QUANTILE, SCENARIO, YEAR

__all__ = ["calibration_facts", "comparison_facts", "forecast_facts", "json_text", "price_facts"]

SHOWN = (0.1, 0.5, 0.9)
"""Quantiles: the median and the 80% band."""


def json_text(facts: Mapping[str, Any]) -> str:
    """Write facts as JSON, NumPy's numbers included; one object, readable by any program.

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
        ``figures``, ``examples`` (figures that a template invented), ``at_bound`` and
        ``parameters``: label to the columns of `Calibration.table`.
    """
    observations = calibration.likelihood.observations
    return {
        "cost": calibration.cost,
        "refined": len(calibration.refined),
        "agreeing": calibration.agreeing,
        "figures": len(observations),
        "examples": len(observations.examples()),
        "at_bound": list(calibration.at_bound),
        "parameters": calibration.table().to_dict(orient="index"),
    }


def forecast_facts(forecast: xr.Dataset) -> dict[str, Any]:
    """Return the bands of a forecast and what they rest on.

    Returns
    -------
    dict
        ``target``, ``unit``, ``draws``, ``years``; ``places``: name to ``figures`` and, by year,
        ``spread_ratio``; ``scenarios``: name to place to ``p10``, ``p50``, ``p90`` of a published
        figure by year; ``chance_of_more`` and ``prior_chance_of_more`` by scenario, place, year.
    """
    fan = forecast["published_quantile"]
    places = [str(place) for place in forecast[PLACE].values]
    return {
        "target": forecast.attrs["target"],
        "unit": forecast.attrs["unit"],
        "whole": forecast.attrs["whole"],
        "draws": forecast.attrs["draws"],
        "years": forecast[YEAR].values,
        "places": {
            place: {
                "figures": int(forecast["figures"].sel({PLACE: place})),
                "spread_ratio": forecast["spread_ratio"].sel({PLACE: place}).values,
            }
            for place in places
        },
        "scenarios": _by_scenario(fan, places),
        **{
            name: _by_scenario(forecast[name], places)
            for name in ("chance_of_more", "prior_chance_of_more")
        },
    }


def comparison_facts(comparison: xr.Dataset) -> dict[str, Any]:
    """Return how scenarios differ from the first, draw by draw.

    Returns
    -------
    dict
        ``years``; ``ratio`` and ``difference``: scenario to place to ``p10``, ``p50``, ``p90`` by
        year; ``chance_of_more`` by year; ``chance_of_loss`` and ``chance_of_recovery``.
    """
    places = [str(place) for place in comparison[PLACE].values]
    return {
        "years": comparison[YEAR].values,
        "ratio": _by_scenario(comparison["ratio_quantile"], places),
        "difference": _by_scenario(comparison["difference_quantile"], places),
        **{
            name: _by_scenario(comparison[name], places)
            for name in ("chance_of_more", "chance_of_loss", "chance_of_recovery")
        },
    }


def price_facts(prices: xr.Dataset) -> dict[str, Any]:
    """Return what scenarios cost and bring against the first, and the price of output.

    Returns
    -------
    dict
        ``years``, ``judged`` and ``drawn`` (constants); ``level``: flow to place to ``p10``,
        ``p50``, ``p90`` of the first scenario; ``change``: flow to scenario to place to the three;
        ``chance_of_more`` likewise; ``price``: flow that is paid to
        scenario to place to the three, CNY for a CNY of output; ``direction``: scenario to place.
    """
    places = [str(place) for place in prices[PLACE].values]
    attrs = prices.attrs

    def by_flow(name: str, dim: str) -> dict[str, Any]:
        own = prices[name]
        return {str(f): _by_scenario(own.sel({dim: f}), places) for f in own[dim].values}

    return {
        "years": [attrs["first_year"], attrs["last_year"]],
        "judged": [name for name in attrs["judged"].split(", ") if name],
        "drawn": [name for name in attrs["drawn"].split(", ") if name],
        "level": {
            str(f): {
                place: _bands(prices["level"].sel({"flow": f, PLACE: place})) for place in places
            }
            for f in prices["flow"].values
        },
        "change": by_flow("change", "flow"),
        "chance_of_more": by_flow("chance_of_more", "flow"),
        "price": by_flow("price", "paid"),
        "direction": _by_scenario(prices["direction"], places),
    }


def _by_scenario(values: xr.DataArray, places: list[str]) -> dict[str, Any]:
    """Scenario -> place -> values by year, or the three quantiles of them."""
    return {
        str(scenario): {
            place: _bands(values.sel({SCENARIO: scenario, PLACE: place})) for place in places
        }
        for scenario in values[SCENARIO].values
    }


def _bands(values: xr.DataArray) -> Any:
    if QUANTILE not in values.dims:
        return values.values
    return {f"p{100 * q:.0f}": values.sel({QUANTILE: q}).values for q in SHOWN}


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
