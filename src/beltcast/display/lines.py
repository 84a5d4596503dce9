"""Line charts over one axis: lines, bands between quantiles, and points.

Values of the lower rooms use these to draw themselves; charts with their own design are in
`beltcast.pictures`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter
from numpy.typing import NDArray

from beltcast.display.chinese import CHART_TEXTS
from beltcast.display.colours import COLOURS
from beltcast.display.style import chinese_fonts

BAND = (0.1, 0.9)
"""Quantiles between which a band is drawn: the middle 80% of the members."""


def new_figure(width: float = 7.0, height: float = 4.0) -> Figure:
    """Return an empty figure that is not attached to any window."""
    return Figure(figsize=(width, height), layout="constrained")


def new_axes(width: float = 7.0, height: float = 4.0) -> Axes:
    """Return the only axes of a new figure."""
    axes: Axes = new_figure(width, height).add_subplot()
    return axes


def save_chart(drawn: Axes | Figure, path: str | Path) -> None:
    """Write a figure, or that of some axes, to a PNG file."""
    figure = drawn.figure if isinstance(drawn, Axes) else drawn
    assert isinstance(figure, Figure)
    _say_texts(figure, CHART_TEXTS.get())
    figure.savefig(path, dpi=110)


def _say_texts(figure: Figure, say: Callable[[str], str]) -> None:
    """Translate titles, legends, notes and labels."""
    if say is str:
        return
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(say(text.get_text()))
        text.set_fontfamily([*text.get_fontfamily(), *chinese_fonts()])
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if isinstance(named := axis.get_major_formatter(), FixedFormatter):
                named.seq = [say(label) for label in named.seq]


def plot_points(ax: Axes, x: Sequence[float], y: Sequence[float], **style: Any) -> Axes:
    """Draw points joined by lines: a graphical function.  Both are (points,)."""
    ax.plot(x, y, **{"color": COLOURS[0], "marker": "o", "markersize": 3, **style})
    return ax


def plot_band(
    ax: Axes,
    times: NDArray[np.float64],
    members: NDArray[np.float64],
    *,
    label: str = "",
    colour: str = COLOURS[0],
) -> Axes:
    """Draw one line, or the median of many with the band of their middle 80%.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    times : (times,)
    members : (members, times)
    label : str
    colour : str
    """
    ax.plot(times, np.median(members, axis=0), color=colour, label=label)
    if len(members) > 1:
        low, high = np.quantile(members, BAND, axis=0)
        ax.fill_between(times, low, high, color=colour, alpha=0.2, lw=0)
    return ax


def finish_axes(ax: Axes, *, title: str = "", x: str = "", y: str = "") -> Axes:
    """Label axes, drop the frame on two sides, and add a legend where lines have labels."""
    ax.set_title(title, loc="left", fontsize=10)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=8)
    return ax


def gridded(ax: Axes, *, axis: Literal["both", "x", "y"] = "both") -> Axes:
    """Draw a faint grid behind a chart, and drop the frame on two sides."""
    ax.grid(True, axis=axis, alpha=0.25)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
