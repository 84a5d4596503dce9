"""The causes strip: a variable above each of its causes, over time, on one time axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import xarray as xr
from matplotlib.figure import Figure

from beltcast.model.model import Model
from beltcast.pictures.runs import MOST_LINES, plot_run


def plot_causes(
    model: Model,
    variable: str,
    run: xr.Dataset | Mapping[str, xr.Dataset] | None = None,
    **elements: str | Sequence[str],
) -> Figure:
    """Draw a variable above its causes over time.

    Parameters
    ----------
    model : Model
    variable : str
    run : xarray.Dataset or mapping of str to xarray.Dataset, optional
        A run, an ensemble or several scenarios that hold the variable and its causes, as for
        `beltcast.plot_run`; by default a run with the model's own constants.
    **elements : str or sequence of str
        Elements of a subscript range to draw: ``Belt="Shenzhen"``.  Where a variable has more
        elements than a panel holds and none are named, the first of each range is drawn, and the
        title says which.

    Raises
    ------
    UnknownName
        The model has no such variable, or the run does not hold it and its causes.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.pictures.causes_strip import plot_causes
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> [ax.get_title(loc="left") for ax in plot_causes(model, "outflow").axes]
    ['outflow', 'Stock', 'Lifetime']
    """
    tree = model.causes(variable, depth=1)
    drawn = [tree.variable, *(b.variable for b in tree if b.kind not in ("lookup", "time"))]
    names = list(dict.fromkeys(drawn))
    if run is None:
        run = model.simulate(outputs=names)
    chosen = dict(elements)
    for name in names:
        dims = [d for d in model.variables[name].dims if d not in chosen]
        if math.prod(len(model.subscripts[d]) for d in dims) > MOST_LINES:
            chosen |= {d: model.subscripts[d][0] for d in dims}
    figure = plot_run(run, names, **chosen)
    for ax, name in zip(figure.axes, names, strict=True):
        used = [f"{d}: {chosen[d]}" for d in model.variables[name].dims if d in chosen]
        if used:
            ax.set_title(f"{name} ({', '.join(used)})", loc="left", fontsize=10)
    return figure
