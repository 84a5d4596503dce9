"""Chart of policies in two aspects: gain against cost or risk."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from matplotlib.figure import Figure

from beltcast.display.style import house_style
from beltcast.display.translations import counted_in
from beltcast.drivers.policy.policy import SMALL_IS_GOOD
from beltcast.schema import Label, Language

CRITERION_WORDS = {
    "mean": "mean gain",
    "percentile": "gain that 90% of the cases exceed",
    "satisficing": "share of the cases that reach the goal",
    "regret": "largest regret",
    "mean_cost": "mean cost",
}


@house_style
def policy_chart(
    compared: xr.Dataset, *, language: Language = "en", labels: Mapping[str, Label] | None = None
) -> Figure:
    """Draw the affordable policies in the first two aspects of the Pareto set, and that set.

    With more aspects the mean gain is drawn over the mean cost.

    Parameters
    ----------
    compared : xarray.Dataset
        As `beltcast.drivers.policy.policy.compare_policies` returns it.
    language : 'en' or 'zh'
        Whose units of money are used: 亿元 in Chinese.
    labels : mapping of str to Label, optional
        What the study calls units.
    """
    aspects = str(compared.attrs["pareto"]).split(", ")
    up, across = aspects if len(aspects) == 2 else ("mean", "mean_cost")
    able = compared["affordable"].values.astype(bool)
    kept = compared["pareto"].values.astype(bool)
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    ax = figure.add_subplot()
    told = {
        name: counted_in(str(compared[name].attrs["units"]), language, labels or {})
        for name in (across, up)
    }
    x, y = (told[name][0] * compared[name].values for name in (across, up))
    ax.plot(x[able & ~kept], y[able & ~kept], "o", color="0.7", ms=5, label="dominated")
    ax.plot(x[kept], y[kept], "o", color="#0072B2", ms=6, label=f"undominated in {len(aspects)}")
    for name, axis in ((across, ax.set_xlabel), (up, ax.set_ylabel)):
        small = ", small is good" if name in SMALL_IS_GOOD else ""
        axis(f"{CRITERION_WORDS[name]} ({told[name][1]}{small})")
    ax.legend(fontsize="small", frameon=False)
    ax.grid(True, alpha=0.25)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return figure
