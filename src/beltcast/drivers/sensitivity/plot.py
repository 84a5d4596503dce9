"""Charts of a sensitivity study: indices over time, or the bars of a tornado.

Both draw on the axes they are given, or on new ones, and return them.  Colours are from the
colour-blind safe palette of Okabe and Ito (2008); line styles distinguish what colours may not.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from beltcast.display.colours import COLOURS
from beltcast.display.lines import gridded, new_axes
from beltcast.display.style import house_style
from beltcast.drivers.sensitivity.ranks import CHIEF, at_time, ranked
from beltcast.schema import PARAMETER

STYLES = ("-", "--", ":", "-.")


@house_style
def weights_over_time(
    result: xr.Dataset, *, when: float, most: int = 8, ax: Axes | None = None
) -> Axes:
    """Draw the main index of the most influential constants over time.

    Parameters
    ----------
    result : xarray.Dataset
        As `beltcast.sensitivity` returns it, any method.
    when : float  [Year]
        The most influential at this time are drawn.
    most : int
        How many of them.
    ax : matplotlib.axes.Axes, optional
    """
    ax = ax or new_axes(8.0, 5.0)
    chief = CHIEF[str(result.attrs["method"])]
    values = result[chief]
    (dim,) = [str(d) for d in values.dims if d != PARAMETER]
    for i, label in enumerate(ranked(result, when)[:most]):
        ax.plot(
            result[dim],
            values.sel({PARAMETER: label}),
            color=COLOURS[i % len(COLOURS)],
            ls=STYLES[i // 2 % len(STYLES)],
            lw=1.6,
            label=label,
        )
    ax.set_title(f"{result.attrs['target']}: {chief}, {result.attrs['method']}", loc="left")
    ax.set_ylabel(f"{chief} ({values.attrs.get('units', '')})")
    ax.legend(fontsize="small", frameon=False)
    return gridded(ax)


@house_style
def tornado_chart(
    result: xr.Dataset, *, when: float, most: int = 15, ax: Axes | None = None
) -> Axes:
    """Draw the output at the 5% and 95% quantile of each constant, the widest bar on top.

    Parameters
    ----------
    result : xarray.Dataset
        As `beltcast.sensitivity` returns it for the method 'tornado'.
    when : float  [Year]
    most : int
        How many bars.
    ax : matplotlib.axes.Axes, optional
    """
    ax = ax or new_axes(8.0, 5.0)
    at = at_time(result, when)
    labels = ranked(result, when)[:most][::-1]
    rows = np.arange(len(labels))
    middle = float(at["middle"])
    for name, colour in (("low", "#0072B2"), ("high", "#E69F00")):
        ends = np.array([float(at[name].sel({PARAMETER: label})) for label in labels])
        ax.barh(rows, ends - middle, left=middle, color=colour, label=f"{name} (5%, 95%)")
    ax.axvline(middle, color="0.3", lw=0.8)
    ax.set_yticks(rows, labels, fontsize="small")
    ax.set_title(f"{result.attrs['target']}, {when:g}: one constant at a time", loc="left")
    ax.set_xlabel(str(at["low"].attrs.get("units", "")))
    ax.legend(fontsize="small", frameon=False, loc="lower right")
    return gridded(ax)


def sensitivity_chart(result: xr.Dataset, *, when: float) -> Axes:
    """Draw the chart that suits the method."""
    draw = tornado_chart if result.attrs["method"] == "tornado" else weights_over_time
    return draw(result, when=when)
