"""Chart of the price of output: one panel per lever, one band per place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from beltcast.display.style import house_style
from beltcast.drivers.price.page import paying, price_unit
from beltcast.drivers.price.price import PAID
from beltcast.schema import PLACE, QUANTILE, SCENARIO


@house_style
def price_chart(prices: xr.Dataset, scenarios: Sequence[str] | None = None) -> Figure:
    """Draw the price of output by place, median and 80% band, one panel per scenario.

    Parameters
    ----------
    prices : xarray.Dataset
        As `beltcast.price` returns it.
    scenarios : sequence of str, optional
        Those that gain output and pay for it by default.
    """
    names = list(scenarios or paying(prices)) or [str(prices[SCENARIO].values[-1])]
    paid = str(prices[PAID].values[0])
    places = [str(place) for place in prices[PLACE].values]
    rows = np.arange(len(places))[::-1]
    figure = Figure(figsize=(2.2 + 2.6 * len(names), 1.4 + 0.3 * len(places)), layout="constrained")
    for i, (ax, name) in enumerate(
        zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True)
    ):
        low, middle, high = (
            prices["price"].sel({PAID: paid, SCENARIO: name, QUANTILE: q}).values
            for q in (0.1, 0.5, 0.9)
        )
        ax.hlines(rows, low, high, color="#0072B2", lw=2, alpha=0.6)
        ax.plot(middle, rows, "o", color="#0072B2", ms=5)
        ax.axvline(0.0, color="0.3", lw=0.8)
        ax.set_yticks(rows, places if i == 0 else [""] * len(places), fontsize="small")
        ax.set_title(name, loc="left", fontsize="medium")
        ax.grid(True, alpha=0.25)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(f"{paid} for each {price_unit(prices)} gained", fontsize="small")
    return figure
