"""Chart of policies in two aspects: gain against cost or risk."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from beltcast.display.style import house_style
from beltcast.drivers.policy.policy import SMALL_IS_GOOD

CRITERION_WORDS = {
    "mean": "mean gain",
    "percentile": "gain that 90% of the cases exceed",
    "satisficing": "share of the cases that reach the goal",
    "regret": "largest regret",
    "mean_cost": "mean cost",
}


@house_style
def policy_chart(compared: xr.Dataset) -> Figure:
    """Draw the affordable policies in the first two aspects of the Pareto set, and that set.

    With more aspects the mean gain is drawn over the mean cost.

    Parameters
    ----------
    compared : xarray.Dataset
        As `beltcast.drivers.policy.policy.compare_policies` returns it.
    """
    aspects = str(compared.attrs["pareto"]).split(", ")
    up, across = aspects if len(aspects) == 2 else ("mean", "mean_cost")
    able = compared["affordable"].values.astype(bool)
    kept = compared["pareto"].values.astype(bool)
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    ax = figure.add_subplot()
    x, y = compared[across].values, compared[up].values
    ax.plot(x[able & ~kept], y[able & ~kept], "o", color="0.7", ms=5, label="dominated")
    ax.plot(x[kept], y[kept], "o", color="#0072B2", ms=6, label=f"undominated in {len(aspects)}")
    for name, axis in ((across, ax.set_xlabel), (up, ax.set_ylabel)):
        small = ", small is good" if name in SMALL_IS_GOOD else ""
        axis(f"{CRITERION_WORDS[name]} ({compared[name].attrs['units']}{small})")
    ax.legend(fontsize="small", frameon=False)
    ax.grid(True, alpha=0.25)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return figure
