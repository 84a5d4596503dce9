"""Draw the bands of World2, in its folder: python bands.py ensemble.zarr picture.png.

Prints the highest value of each variable and its year, as medians and 90% intervals of members,
and the share of members whose pollution ratio exceeds 20.
"""

from __future__ import annotations

import sys

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beltcast.display.colours import OTHER, POSTERIOR
from beltcast.model.model import load_model
from beltcast.scale.store import open_store
from beltcast.scale.stream import stored_quantiles

PANELS = {
    "population": (1e9, "Population (billion)"),
    "capital": (1e9, "Capital (billion units)"),
    "pollution ratio": (1.0, "Pollution ratio"),
    "quality of life": (1.0, "Quality of life"),
}
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def draw(ax: Axes, fan: np.ndarray, own: xr.DataArray, title: str) -> None:
    """Draw the bands (time, level) of one variable, and the model with its own constants."""
    time = own["time"]
    for low, high, alpha, label in ((0, 4, 0.2, "90%"), (1, 3, 0.35, "50%")):
        ax.fill_between(
            time, fan[:, low], fan[:, high], color=POSTERIOR, alpha=alpha, lw=0, label=label
        )
    ax.plot(time, fan[:, 2], color=POSTERIOR, lw=1.6, label="median")
    ax.plot(time, own, color=OTHER, lw=1.2, ls="--", label="the book's constants")
    ax.set(title=title, xlim=(1900, 2100), ylim=(0, None))
    ax.grid(alpha=0.25)


def main(store: str, picture: str) -> None:
    """Draw all panels and print the peaks."""
    data = open_store(store).isel(scenario=[0])
    own = load_model("world2.mdl").simulate(outputs=list(PANELS))
    figure = Figure(figsize=(9, 6), layout="constrained")
    for ax, (name, (unit, title)) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        fan = stored_quantiles(data, name, LEVELS).isel(scenario=0).to_numpy() / unit
        draw(ax, fan, own[name] / unit, title)
        runs = data[name].isel(scenario=0)
        peaks = runs.max("time") / unit, runs.idxmax("time")
        said = [np.quantile(peak, (0.5, 0.05, 0.95)) for peak in peaks]
        print(name, *("{:.4g} ({:.4g} to {:.4g})".format(*three) for three in said))
    crises = data["pollution ratio"].isel(scenario=0).max("time") > 20
    print(f"pollution ratio above 20 in {float(crises.mean()):.1%}")
    figure.axes[0].legend(loc="lower right", frameon=False)
    figure.savefig(picture, dpi=90)


main(*sys.argv[1:])
