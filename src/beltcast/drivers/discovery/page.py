"""Results of scenario discovery, as text and as a chart of the peeling trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from beltcast.display.lines import new_axes
from beltcast.display.translations import counted_in
from beltcast.drivers.discovery.discover import LEAF, box_words
from beltcast.drivers.discovery.prim import FEWEST_CASES
from beltcast.ensembles.verdicts import share_error
from beltcast.schema import PARAMETER, Language, labels_of


def summarise_discovery(found: xr.Dataset, language: Language = "en") -> RenderableType:
    """Lay out, for a `rich` console, the chosen box and the tree.

    Parameters
    ----------
    found : xarray.Dataset
        As `beltcast.discover` returns it.
    language : 'en' or 'zh'
        Whose units of money are used: 亿元 in Chinese.
    """
    a = found.attrs
    unit = str(found["outcome"].attrs.get("units", ""))
    factor, name = counted_in(unit, language, labels_of(a))
    crossing = f"{a['side']} {factor * a['limit']:,g} {name}"
    title = (
        f"When is {a['target']} of {a['place']} in {a['year']} {crossing}, scenario "
        f"'{a['scenario']}'?"
    )
    base = a["of_interest"] / a["cases"]
    error = float(share_error(base, a["cases"]))
    words = box_words(found, "chosen_")
    lines = [
        Text(title, style="bold"),
        Text(
            f"{a['of_interest']} of {a['cases']} draws ({a['draws_kind']}): "
            f"{100 * base:.0f} % (Monte Carlo standard error {100 * error:.1f}). "
            + _telling(a)
            + (" The box, surest limit first:" if words else " No limit stands out.")
        ),
    ]
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    names = [str(n) for n in found[PARAMETER].values]
    for word in words:
        own = next(n for n in sorted(names, key=len, reverse=True) if n in word)
        p = float(found["chosen_p_value"].sel({PARAMETER: own}))
        halves = float(found["chosen_stability"].sel({PARAMETER: own}))
        table.add_row(
            word,
            f"quasi p {p:.2g}" if p >= 1e-4 else "quasi p < 0.0001",
            f"limited in {100 * halves:.0f} % of half-samples",
        )
    summary = Text(
        f"the box holds {100 * float(found['chosen_coverage']):.0f} % of these draws (coverage); "
        f"{100 * float(found['chosen_density']):.0f} % of the {a['cases']} x "
        f"{float(found['chosen_mass']):.2f} draws in it are such (density)"
    )
    leaf = found.isel({LEAF: 0})
    tree = ", ".join(box_words(leaf, "leaf_")) or "no split"
    return Group(
        *lines,
        table,
        summary,
        Text(
            f"A tree's densest leaf: {tree} (coverage {100 * float(leaf['leaf_coverage']):.0f} %, "
            f"density {100 * float(leaf['leaf_density']):.0f} %)"
        ),
    )


def _telling(a: Mapping[str, Any]) -> str:
    """Say how many inputs separate the draws of interest, and whether the draws suffice."""
    few = min(a["of_interest"], a["cases"] - a["of_interest"])
    if few < FEWEST_CASES:
        return (
            f"Too few draws on one side ({few}, at least {FEWEST_CASES}) to say which of "
            f"{a['inputs_tried']} inputs tell them apart."
        )
    if not a["inputs_telling"]:
        return f"None of {a['inputs_tried']} inputs tells them apart by itself."
    return f"Of {a['inputs_tried']} inputs {a['inputs_telling']} tell them apart."


def peeling_chart(found: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the peeling trajectory: density against coverage, the number of limits as colour.

    Parameters
    ----------
    found : xarray.Dataset
        As `beltcast.discover` returns it.
    ax : matplotlib.axes.Axes, optional
    """
    ax = ax or new_axes(7.0, 5.0)
    limited = np.isfinite(found["low"].values) | np.isfinite(found["high"].values)
    limits = limited.sum(axis=found["low"].get_axis_num(PARAMETER))
    drawn = ax.scatter(found["coverage"], found["density"], c=limits, cmap="viridis", s=22)
    ax.plot(found["coverage"], found["density"], color="0.7", lw=0.8, zorder=0)
    ax.scatter(
        [float(found["chosen_coverage"])],
        [float(found["chosen_density"])],
        marker="*",
        s=180,
        color="#D55E00",
        label="chosen, widened and simplified",
    )
    a = found.attrs
    ax.set_title(f"{a['target']} of {a['place']} {a['side']} {a['limit']:g}", loc="left")
    ax.set_xlabel("coverage: share of the cases of interest in the box")
    ax.set_ylabel("density: share of the box that is of interest")
    ax.set_xlim(0, 1.03)
    ax.set_ylim(0, 1.03)
    ax.legend(frameon=False, loc="lower left")
    ax.figure.colorbar(drawn, ax=ax, label="inputs with a limit")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
