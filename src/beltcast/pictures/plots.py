"""Charts of a forecast and of a fit.

Every function draws on the axes passed to it, or on new ones, and returns them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from beltcast.display.colours import OTHER, POINT, POSTERIOR, PRIOR
from beltcast.display.lines import new_axes, save_chart
from beltcast.display.style import house_style
from beltcast.display.translations import amount, called, timed, total_unit, word
from beltcast.ensembles.member_statistics import parting
from beltcast.inference.audit.profiles import CUT, Profile
from beltcast.inference.calibrate import MOSTLY_PRIOR, Calibration
from beltcast.schema import PLACE, QUANTILE, SCENARIO, YEAR, Label, Language, labels_of


@house_style
def fan_chart(
    forecast: xr.Dataset,
    place: str,
    *,
    scenario: str | None = None,
    compare: str | None = None,
    title: str | None = None,
    language: Language = "en",
    ax: Axes | None = None,
) -> Axes:
    """Draw the fan of one place: 50%, 80% and 90% bands, and the observations.

    Parameters
    ----------
    forecast : xarray.Dataset
        As `beltcast.forecast` returns it.
    place : str
    scenario : str, optional
        The first by default.
    compare : str, optional
        A second scenario, drawn as its median and 80% band.
    title : str, optional
        The place by default.
    language : 'en' or 'zh'
        Language of texts and of scenario titles.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        The target over calendar years, drawn at the middle of each year.

    Examples
    --------
    >>> import xarray as xr
    >>> from beltcast.pictures.plots import fan_chart
    >>> fan_chart(xr.open_dataset("runs/belt/forecast.nc"), "Shenzhen")  # doctest: +SKIP
    """
    ax = ax or new_axes(8.0, 5.0)
    names = [str(s) for s in forecast[SCENARIO].values]
    scenario = scenario or names[0]
    fan = forecast["published_quantile"].sel({PLACE: place})
    middle = forecast[YEAR].values + 0.5
    _prior(ax, forecast, place, middle, language)
    name = _label(forecast, scenario, language)
    legend = word("full_bands", language, name=name)
    _bands(ax, fan.sel({SCENARIO: scenario}), middle, POSTERIOR, legend, full=True)
    drawn = [fan.sel({SCENARIO: scenario}).values.ravel()]
    if compare in names and compare != scenario:
        path = forecast["output_quantile"].sel({PLACE: place, QUANTILE: 0.5})
        apart = parting(path.sel({SCENARIO: scenario}), path.sel({SCENARIO: compare}))
        other = fan.sel({SCENARIO: compare}).isel({YEAR: slice(apart, None)})
        legend = word("one_band", language, name=_label(forecast, str(compare), language))
        drawn.append(other.sel({QUANTILE: [0.1, 0.9]}).values.ravel())
        _bands(ax, other, middle[apart:], OTHER, legend, full=False)
    _points(ax, forecast, place, language)
    marked = forecast["row_translated"].values[forecast["row_place"].values == place]
    everything = np.concatenate([*drawn, marked.astype(np.float64)])
    ax.set_yscale("log")
    ax.set_ylim(max(everything.min(), 1e-3) * 0.6, everything.max() * 1.5)
    ax.set_xlim(middle[0] - 0.5, middle[-1] + 0.5)
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_title(title or place, loc="left")
    target, unit = (str(forecast.attrs[name]) for name in ("target", "unit"))
    labels, time = labels_of(forecast.attrs), str(forecast.attrs.get("time_unit", ""))
    what, each_year = called(target, language, labels), total_unit(unit, language, labels)
    if language == "zh":  # amounts as officials write them, each with its unit
        label = labels.get(unit, Label(unit))
        ax.yaxis.set_major_formatter(
            lambda value, _: re.sub(r"\.0+(?!\d)", "", amount(value, unit, label, language))
        )
    else:
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    ax.set_ylabel(word("of", language, what=what, unit=each_year))
    ax.grid(True, axis="y", alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", fontsize="small", frameon=False)
    ax.annotate(
        timed(word("fan_note", language), language, time),
        (0, -0.09),
        xycoords="axes fraction",
        fontsize="x-small",
        color="0.35",
        va="top",
    )
    return ax


@house_style
def starts_chart(calibration: Calibration, *, ax: Axes | None = None) -> Axes:
    """Draw the cost of every start and the cost that refined ones reached, in order of cost.

    If refined starts reach one level, they found one optimum; a staircase means many optima.
    """
    ax = ax or new_axes(8.0, 5.0)
    costs = np.sort(calibration.start_costs[np.isfinite(calibration.start_costs)])
    reached = np.sort(calibration.refined_costs)
    ax.plot(np.arange(1, len(costs) + 1), costs, ".", color=PRIOR, label="starts")
    ax.plot(np.arange(1, len(reached) + 1), reached, "o", color=POSTERIOR, label="refined")
    ax.set_yscale("log")
    ax.set_xlabel("start, best first")
    ax.set_ylabel("negative log posterior density")
    ax.set_title(f"{calibration.agreeing} of {len(reached)} refined starts agree", loc="left")
    ax.legend(frameon=False)
    return ax


@house_style
def sd_ratio_chart(calibration: Calibration, *, most: int = 30, ax: Axes | None = None) -> Axes:
    """Draw the posterior-to-prior sd ratio of each parameter, the smallest first."""
    ax = ax or new_axes(8.0, 5.0)
    ratio = calibration.table()["sd_ratio"].sort_values().head(most)[::-1]
    ax.barh(np.arange(len(ratio)), ratio, color=POSTERIOR, height=0.7)
    ax.axvline(1.0, color=PRIOR, lw=1)
    ax.axvline(MOSTLY_PRIOR, color=PRIOR, lw=1, ls=":")
    ax.set_yticks(np.arange(len(ratio)), ratio.index, fontsize="x-small")
    ax.set_xlabel("posterior-to-prior sd ratio (right of the dotted line: mostly prior)")
    ax.set_title("How much the observations narrow each parameter", loc="left")
    return ax


@house_style
def profile_chart(profile: Profile, *, ax: Axes | None = None) -> Axes:
    """Draw a profile: rise of the cost along one parameter, with and without its prior."""
    ax = ax or new_axes(8.0, 5.0)
    ax.plot(
        profile.grid,
        profile.likelihood_rise,
        "o-",
        color=POSTERIOR,
        ms=3,
        label="without its own prior",
    )
    ax.plot(profile.grid, profile.posterior_rise, "--", color=PRIOR, label="with its prior")
    ax.axhline(CUT, color=OTHER, lw=0.8)
    ax.set_ylim(-0.2, 3 * CUT)
    ax.set_xlabel(f"{profile.label} [{profile.unit}]")
    ax.set_ylabel("rise of the cost")
    ax.legend(frameon=False, fontsize="small")
    return ax


def save_fan_charts(
    forecast: xr.Dataset,
    folder: str,
    *,
    titles: Mapping[str, str] | None = None,
    compare: str | None = None,
    language: Language = "en",
) -> list[str]:
    """Write a fan chart for each place into a folder; return the paths."""
    paths = []
    for place in map(str, forecast[PLACE].values):
        title = (titles or {}).get(place, place)
        ax = fan_chart(forecast, place, compare=compare, title=title, language=language)
        slug = place.lower().replace(" ", "-")
        path = f"{folder}/fan-{slug}.png"
        save_chart(ax, path)
        paths.append(path)
    return paths


def _label(forecast: xr.Dataset, scenario: str, language: Language) -> str:
    """Title of a scenario, for a legend."""
    title = str(forecast["title"].sel({SCENARIO: scenario}).item())
    return called(scenario, language, {scenario: Label(title), **labels_of(forecast.attrs)})


def _prior(
    ax: Axes, forecast: xr.Dataset, place: str, middle: np.ndarray, language: Language
) -> None:
    prior = forecast["prior_quantile"].sel({PLACE: place})
    for level, label in ((0.1, word("prior", language)), (0.9, None)):
        ax.plot(
            middle, prior.sel({QUANTILE: level}), color=PRIOR, lw=0.9, ls=":", label=label, zorder=1
        )


def _bands(
    ax: Axes, fan: xr.DataArray, middle: np.ndarray, colour: str, legend: str, *, full: bool
) -> None:
    wide = ((0.05, 0.95, 0.15), (0.1, 0.9, 0.2), (0.25, 0.75, 0.3))
    for low, high, alpha in wide if full else ((0.1, 0.9, 0.15),):
        ax.fill_between(
            middle,
            fan.sel({QUANTILE: low}),
            fan.sel({QUANTILE: high}),
            color=colour,
            alpha=alpha,
            lw=0,
            zorder=2,
        )
    ax.plot(
        middle,
        fan.sel({QUANTILE: 0.5}),
        color=colour,
        lw=1.8,
        ls="-" if full else "--",
        label=legend,
        zorder=3,
    )


def _points(ax: Axes, forecast: xr.Dataset, place: str, language: Language) -> None:
    mine = forecast["row_place"].values == place
    kinds = forecast["row_kind"].values
    loose = forecast["row_loose"].values.astype(bool)
    # A part of a year is scaled to the whole year, so it is drawn at the middle of the year.
    when = np.floor(forecast["row_start"].values.astype(np.float64) + 1e-6) + 0.5
    value = forecast["row_translated"].values
    for names, free, marker, face, key in (
        (("level",), False, "o", POINT, "published"),
        (("part-year",), False, "d", "white", "part"),
        (("level", "part-year"), True, "o", PRIOR, "loose"),
        (("lower", "over"), None, "^", "white", "lower"),
        (("upper",), None, "v", "white", "upper"),
    ):
        chosen = mine & np.isin(kinds, names)
        if free is not None:
            chosen &= loose == free
        if chosen.any():
            ax.scatter(
                when[chosen],
                value[chosen],
                marker=marker,
                s=18,
                facecolor=face,
                edgecolor=PRIOR if free else POINT,
                linewidth=0.8,
                label=word(key, language),
                zorder=4,
            )
