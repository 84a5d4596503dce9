"""Chart of a fit: every published number against the fitted one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from beltcast.display.colours import COLOURS
from beltcast.display.lines import finish_axes, new_axes
from beltcast.display.style import house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 3
"""Number of observations that get a label, those farthest from the model."""


@house_style
def plot_fit(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw published numbers against fitted ones, both on logarithmic axes.

    Points on the diagonal fit exactly.  A bar is one standard deviation of the observation error;
    the observations with the largest standardised residual are labelled with place and period.

    Parameters
    ----------
    table : pandas.DataFrame
        As `beltcast.Calibration.fit_table` returns it.
    ax : matplotlib.axes.Axes, optional
    """
    ax = ax or new_axes(6.0, 6.0)
    for i, (quantity, rows) in enumerate(table.groupby("quantity", sort=False)):
        published, fitted = rows["published"].to_numpy(), rows["fitted"].to_numpy()
        sd = rows["sd"].to_numpy()
        # Errors are of logarithms: a bar is not symmetric in the number itself.
        bars = [fitted * (1.0 - np.exp(-sd)), fitted * (np.exp(sd) - 1.0)]
        ax.errorbar(
            published,
            fitted,
            yerr=bars,
            fmt="o",
            markersize=3,
            lw=0.6,
            color=COLOURS[i % len(COLOURS)],
            label=f"{quantity} ({len(rows)})",
        )
    ends = [table[["published", "fitted"]].min().min(), table[["published", "fitted"]].max().max()]
    ax.plot(ends, ends, color="0.4", lw=0.8)
    if ends[0] > 0:
        ax.set_xscale("log")
        ax.set_yscale("log")
    for at in table["z"].abs().nlargest(NAMED).index:
        row = table.loc[at]
        ax.annotate(
            f"{row['place']} {row['start']:g}-{row['end']:g} (z = {row['z']:.1f})",
            (row["published"], row["fitted"]),
            fontsize=7,
            xytext=(4, 4),
            textcoords="offset points",
        )
    return finish_axes(ax, title="Published and fitted", x="published", y="fitted")
