"""Charts of an attribution: contributions of the drivers over the years and in one year.

Every function draws on the axes it is given, or on new ones, and returns them.  Bars and areas are
means over the draws, because means add up and medians do not; whiskers and bands are 80%.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from beltcast.display.colours import COLOURS
from beltcast.display.lines import gridded, new_axes
from beltcast.display.style import house_style
from beltcast.display.translations import a_year, called, counted_in, word
from beltcast.drivers.attribution.attribute import DRIVER
from beltcast.ensembles.member_statistics import at_year
from beltcast.schema import MEMBER, PLACE, QUANTILE, YEAR, Language, labels_of

ShareScale = Literal["log", "level"]


@house_style
def contribution_areas(
    attribution: xr.Dataset,
    place: str | None = None,
    *,
    scale: ShareScale = "level",
    title: str | None = None,
    language: Language = "en",
    ax: Axes | None = None,
) -> Axes:
    """Draw the drivers' contributions by year, stacked; negative ones lie below zero.

    Parameters
    ----------
    attribution : xarray.Dataset
        As `beltcast.attribute` returns it.
    place : str, optional
        The whole by default.
    scale : 'log' or 'level'
    title : str, optional
    language : 'en' or 'zh'
        Of the axis; the command line says the other texts.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        Mean contribution [unit of the target, or log] over calendar years, with the joint gain and
        its 80% band.

    Examples
    --------
    >>> import xarray as xr
    >>> from beltcast.drivers.attribution.plot import contribution_areas
    >>> contribution_areas(xr.open_dataset("runs/drivers/attribution.nc"))  # doctest: +SKIP
    """
    ax, attribution = ax or new_axes(8.0, 5.0), _counted(attribution, language)
    place = place or str(attribution.attrs["whole"])
    at = attribution.sel({PLACE: place})
    middle = at[YEAR].values + 0.5
    shares = at[f"shapley_{scale}"].mean(MEMBER).transpose(DRIVER, YEAR)
    above, below = np.zeros(len(middle)), np.zeros(len(middle))
    for name, colour in zip(shares[DRIVER].values, _colours(shares.sizes[DRIVER]), strict=True):
        own = shares.sel({DRIVER: name}).values
        up, down = np.maximum(own, 0.0), np.minimum(own, 0.0)
        ax.fill_between(middle, above, above + up, color=colour, lw=0, label=str(name))
        ax.fill_between(middle, below, below + down, color=colour, lw=0)
        above, below = above + up, below + down
    gain = at[f"gain_{scale}_quantile"]
    for level in (0.1, 0.9):
        label = "all together, 80%" if level == 0.1 else None
        ax.plot(middle, gain.sel({QUANTILE: level}), color="black", lw=0.9, ls=":", label=label)
    ax.plot(middle, shares.sum(DRIVER), color="black", lw=1.6, label="all together, mean")
    ax.axhline(0.0, color="0.3", lw=0.8)
    ax.set_title(title or f"{place}: what the drivers added", loc="left")
    ax.set_ylabel(_unit(attribution, scale, language))
    return _finished(ax)


@house_style
def waterfall(
    attribution: xr.Dataset,
    place: str | None = None,
    *,
    year: int | None = None,
    scale: ShareScale = "level",
    title: str | None = None,
    language: Language = "en",
    ax: Axes | None = None,
) -> Axes:
    """Draw one year as steps: without the drivers, each driver, with all of them.

    Parameters
    ----------
    attribution : xarray.Dataset
        As `beltcast.attribute` returns it.
    place : str, optional
        The whole by default.
    year : int, optional
        That of the attribution's attributes by default.
    scale : 'log' or 'level'
        On the log scale the steps begin at zero, the output without drivers.
    title : str, optional
    language : 'en' or 'zh'
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        Means over draws, with whiskers of 80%.

    Examples
    --------
    >>> import xarray as xr
    >>> from beltcast.drivers.attribution.plot import waterfall
    >>> waterfall(xr.open_dataset("runs/drivers/attribution.nc"), year=2024)  # doctest: +SKIP
    """
    ax, attribution = ax or new_axes(8.0, 5.0), _counted(attribution, language)
    place = place or str(attribution.attrs["whole"])
    year = int(attribution.attrs["year"]) if year is None else year
    at = at_year(attribution, year).sel({PLACE: place})
    shares = at[f"shapley_{scale}"].mean(MEMBER)
    bands = at[f"shapley_{scale}_quantile"]
    names = [str(n) for n in shares[DRIVER].values]
    level = float(at[f"without_{scale}"].mean(MEMBER)) if scale == "level" else 0.0
    known = labels_of(attribution.attrs)
    drivers = [called(name, language, known) for name in names]
    labels = [word("without", language), *drivers, word("with_all", language)]
    ax.bar(0, level, color="0.75")
    for i, (name, colour) in enumerate(zip(names, _colours(len(names)), strict=True), start=1):
        step = float(shares.sel({DRIVER: name}))
        ends = [level + float(bands.sel({DRIVER: name, QUANTILE: q})) for q in (0.1, 0.9)]
        ax.bar(i, step, bottom=level, color=colour)
        ax.plot([i - 1 - 0.4, i + 0.4], [level, level], color="0.3", lw=0.8)
        ax.plot([i, i], ends, color="black", lw=1.2)
        ax.annotate(
            f"{step:+,.0f}" if scale == "level" else f"{step:+.2f}",
            (i, max(*ends, level + step, level)),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )
        level += step
    ax.bar(len(names) + 1, level, color="0.45")
    ax.set_xticks(range(len(labels)), labels)
    ax.set_title(title or word("waterfall", language, place=place, year=year), loc="left")
    ax.set_ylabel(_unit(attribution, scale, language))
    return _finished(ax, legend=False)


def attribution_charts(
    attribution: xr.Dataset, year: int, language: Language = "en"
) -> dict[str, Axes]:
    """Draw the whole by year, in levels and in logs, and in one year; by the name of the file."""
    return {
        "drivers-by-year": contribution_areas(attribution, language=language),
        "drivers-by-year-log": contribution_areas(attribution, scale="log", language=language),
        f"drivers-in-{year}": waterfall(attribution, year=year, language=language),
    }


def _counted(attribution: xr.Dataset, language: Language) -> xr.Dataset:
    """Return the amounts in the unit that readers of a language count in."""
    unit = str(attribution["without_level"].attrs.get("units", ""))
    factor, name = counted_in(unit, language, labels_of(attribution.attrs))
    if factor == 1.0:
        return attribution
    levels = [str(variable) for variable in attribution.data_vars if "_level" in str(variable)]
    return attribution.assign(
        {level: (factor * attribution[level]).assign_attrs(units=name) for level in levels}
    )


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _unit(attribution: xr.Dataset, scale: ShareScale, language: Language = "en") -> str:
    labels = labels_of(attribution.attrs)
    if scale == "log":
        what = called(str(attribution.attrs["target"]), language, labels)
        return word("log of", language, what=what)
    unit = str(attribution["without_level"].attrs.get("units", ""))
    return a_year(unit, language, labels).strip()


def _finished(ax: Axes, *, legend: bool = True) -> Axes:
    if legend:
        ax.legend(loc="upper left", fontsize="small", frameon=False)
    return gridded(ax, axis="y")
