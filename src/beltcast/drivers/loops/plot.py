"""Chart of loop scores: the loops of a partition stacked over time.

Reinforcing loops are stacked above zero and balancing ones below; together they are 100% high.
Colours are from the colour-blind safe palette of Okabe and Ito (2008).
"""

from __future__ import annotations

import textwrap

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from beltcast.display.colours import COLOURS
from beltcast.display.lines import new_axes
from beltcast.drivers.loops.loop_scores import LOOP
from beltcast.drivers.loops.page import loop_words
from beltcast.schema import MEMBER, TIME

REST = "#CCCCCC"


def loops_over_time(
    scores: xr.Dataset, *, partition: int = 0, most: int = 7, ax: Axes | None = None
) -> Axes:
    """Draw the relative scores of a partition's loops, stacked.

    Parameters
    ----------
    scores : xarray.Dataset
        As `beltcast.loops` returns it; over members the mean is drawn.
    partition : int
        0 is the largest.
    most : int
        Loops with a colour of their own; the others form one grey area.
    ax : matplotlib.axes.Axes, optional
    """
    ax = ax or new_axes(11.0, 5.5)
    own = scores["relative_score"].isel(
        {LOOP: (scores["loop_partition"] == partition).values}, drop=True
    )
    if MEMBER in own.dims:
        own = own.mean(MEMBER)
    own = own.transpose(LOOP, TIME)
    order = np.argsort(-abs(own).mean(TIME).values, kind="stable")
    chosen, rest = order[:most], order[most:]
    shares = [own.values[i] for i in chosen]
    labels = [_label(own.isel({LOOP: i})) for i in chosen]
    colours = [COLOURS[k % len(COLOURS)] for k in range(len(chosen))]
    if len(rest):
        others = own.values[rest]
        shares += [np.maximum(others, 0).sum(axis=0), np.minimum(others, 0).sum(axis=0)]
        labels += [f"{len(rest)} weaker loops", ""]
        colours += [REST, REST]
    times = own[TIME].values
    for side in (1.0, -1.0):
        parts = [100 * side * np.maximum(side * share, 0.0) for share in shares]
        named = [label if side > 0 else "" for label in labels]
        ax.stackplot(times, parts, colors=colours, labels=named, lw=0)
    ax.axhline(0, color="0.2", lw=0.8)
    inside = f", {scores.attrs['within']}" if scores.attrs.get("within") else ""
    ax.set_title(f"{scores.attrs['model']}{inside}: loop dominance over time", loc="left")
    ax.set_ylabel("share (%): above 0 reinforcing, below 0 balancing")
    ax.set_xlim(times[0], times[-1])
    ax.set_ylim(-100, 100)
    handles, names = ax.get_legend_handles_labels()
    kept = [(h, n) for h, n in zip(handles, names, strict=True) if n and not n.startswith("_")]
    ax.legend(
        *zip(*kept, strict=True), fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1)
    )
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _label(loop: xr.DataArray) -> str:
    return "\n".join(textwrap.wrap(f"{loop[LOOP].item()}: {loop_words(loop)}", 56, max_lines=4))
