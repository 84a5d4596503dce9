"""Charts of runs: variables over time, one panel each, for one run, several, or an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from beltcast.display.colours import COLOURS
from beltcast.display.lines import finish_axes, new_figure, plot_band
from beltcast.display.style import house_style
from beltcast.errors import InputError, UnknownName, did_you_mean
from beltcast.schema import MEMBER, SCENARIO, TIME

MOST_LINES = 8
"""Most elements drawn of a variable; the colours of more could not be told apart."""
MOST_PANELS = 12
"""Variables drawn by default."""


@house_style
def plot_run(
    run: xr.Dataset | Mapping[str, xr.Dataset],
    variables: str | Sequence[str] | None = None,
    **elements: str | Sequence[str],
) -> Figure:
    """Draw variables over time.

    Parameters
    ----------
    run : xarray.Dataset or mapping of str to xarray.Dataset
        What `Model.simulate` or `run_ensemble` returns, or several named runs.  For an
        ensemble the median and the middle 80% are drawn; scenarios and runs are lines of one
        panel, and so are the elements of a subscript range.
    variables : str or sequence of str, optional
        One panel each; by default the first twelve variables of the run.
    **elements : str or sequence of str
        Elements of a dimension to draw: ``Belt="Shenzhen"``, ``scenario=["baseline"]``.

    Raises
    ------
    UnknownName
        The run does not have such a variable.
    InputError
        A dimension or element does not exist, or there are more lines than a panel can hold.

    Examples
    --------
    >>> from beltcast import load_model, plot_run
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> runs = {"default": model.simulate(), "faster": model.simulate({"Lifetime": 2.0})}
    >>> len(plot_run(runs, ["Stock", "outflow"]).axes)
    2
    """
    runs = dict(run) if not isinstance(run, xr.Dataset) else {"": run}
    first = next(iter(runs.values()))
    names = _chosen(first, variables)
    figure = new_figure(7.0, 1.0 + 2.2 * len(names))
    for i, name in enumerate(names):
        ax = figure.add_subplot(len(names), 1, i + 1)
        lines = [
            (label, array)
            for title, one in runs.items()
            for label, array in _lines(_selected(one[name], elements), title)
        ]
        if len(lines) > MOST_LINES:
            raise InputError(
                f"'{name}' would be {len(lines)} lines, and a panel holds {MOST_LINES}; choose "
                f"elements, such as {_example(first[name])}"
            )
        for k, (label, array) in enumerate(lines):
            times = array[TIME].values.astype(np.float64)
            members = array.values if MEMBER in array.dims else array.values[None]
            plot_band(ax, times, members, label=label or "_nolegend_", colour=COLOURS[k])
        last = i == len(names) - 1
        unit = first[name].attrs.get("units", "")
        finish_axes(ax, title=name, x=first[TIME].attrs.get("units", "") if last else "", y=unit)
    return figure


def _chosen(run: xr.Dataset, variables: str | Sequence[str] | None) -> list[str]:
    drawable = [str(name) for name, array in run.data_vars.items() if TIME in array.dims]
    if variables is None:
        return drawable[:MOST_PANELS]
    wanted = [variables] if isinstance(variables, str) else list(variables)
    by_fold = {name.casefold().replace("_", " "): name for name in drawable}
    names = [by_fold.get(name.casefold().replace("_", " ")) for name in wanted]
    for name, known in zip(wanted, names, strict=True):
        if known is None:
            raise UnknownName(f"the run has no variable '{name}'{did_you_mean(name, drawable)}")
    return [name for name in names if name is not None]


def _selected(array: xr.DataArray, elements: Mapping[str, Any]) -> xr.DataArray:
    for dim, chosen in elements.items():
        if dim not in array.dims:
            continue
        wanted = [chosen] if isinstance(chosen, str) else list(chosen)
        known = array[dim].values.tolist()
        for element in wanted:
            if element not in known:
                meant = did_you_mean(str(element), map(str, known))
                raise InputError(f"'{element}' is not an element of {dim}{meant}")
        array = array.sel({dim: wanted})
    return array


def _lines(array: xr.DataArray, title: str) -> list[tuple[str, xr.DataArray]]:
    """One line for each scenario and element, with its label."""
    across = [d for d in array.dims if d not in (TIME, MEMBER)]
    if not across:
        return [(title, _ordered(array))]
    lines = []
    for place in np.ndindex(*(array.sizes[d] for d in across)):
        one = array.isel(dict(zip(across, place, strict=True)))
        words = [str(one[d].item()) for d in across if array.sizes[d] > 1 or d != SCENARIO]
        lines.append((", ".join(([title] if title else []) + words), _ordered(one)))
    return lines


def _ordered(array: xr.DataArray) -> xr.DataArray:
    return array.transpose(*(d for d in (MEMBER, TIME) if d in array.dims))


def _example(array: xr.DataArray) -> str:
    dim = max((d for d in array.dims if d not in (TIME, MEMBER)), key=lambda d: array.sizes[d])
    return f"{dim}={array[dim].values[0].item()!r}" if array[dim].size else f"{dim}=..."
