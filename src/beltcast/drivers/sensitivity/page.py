"""Results of a sensitivity study, as a table of text."""

from __future__ import annotations

import xarray as xr
from rich.console import Group, RenderableType
from rich.text import Text

from beltcast.display.tables import console_table
from beltcast.drivers.sensitivity.ranks import CHIEF, at_time, rank_ranges, ranked, unsettled
from beltcast.drivers.sensitivity.sensitivity import OTHER_PARAMETER, RESAMPLES, SETTINGS
from beltcast.ensembles.verdicts import negligible
from beltcast.schema import PARAMETER

_RANKS = {
    "pawn": "the ranks that are possible within the errors, which dummy inputs give",
    "sobol": "the ranks that are possible within the 95% errors of the indices",
    "morris": f"95% of the ranks over {RESAMPLES} resampled sets of trajectories",
    "tornado": f"95% of the ranks over {SETTINGS} random settings of the other constants; all else "
    "with these at their medians",
}


def summarise_sensitivity(result: xr.Dataset, *, when: float, rows: int = 20) -> RenderableType:
    """Return the most influential constants at one time, for a `rich` console.

    Parameters
    ----------
    result : xarray.Dataset
        As `beltcast.sensitivity` returns it.
    when : float  [Year]
    rows : int
        How many constants to list.
    """
    method = str(result.attrs["method"])
    chief = CHIEF[method]
    measures = [
        str(name)
        for name in result.data_vars
        if not str(name).startswith("rank_")
        and not str(name).endswith("_half")
        and PARAMETER in result[name].dims
        and OTHER_PARAMETER not in result[name].dims
    ]
    a = result.attrs
    of = f"log of '{a['target']}'" if a["log"] else f"'{a['target']}'"
    title = Text(
        f"Constants that {of} depends on at {when:g}, each varied over its prior: {method}, "
        f"{a['runs']:,} runs",
        style="bold",
    )
    table = console_table("parameter", "rank", *map(_heading, measures))
    at = at_time(result, when)
    if at[chief].isnull().all():
        flat = "The output does not change with any of these constants (but for rounding)."
        return Group(title, Text(flat))
    ranges = rank_ranges(result, when)
    largest = float(abs(at[chief]).max())
    for label in ranked(result, when)[:rows]:
        own = at.sel({PARAMETER: label})
        first, last = ranges[label]
        rank = f"{first}" if first == last else f"{first}–{last}"
        table.add_row(label, rank, *(_three(float(own[name]), largest) for name in measures))
    notes = [f"{_heading(name)}: {result[name].attrs['long_name']}" for name in measures]
    if method != "tornado":
        change = unsettled(result, when)
        notes.append(f"With half of the runs, {chief} differs by at most {change:.3g}.")
    if method == "sobol":
        alone = float(at["first"].sum())
        notes.append(f"The constants explain {100 * alone:.0f}% of the variance one by one.")
    if method in _RANKS:
        notes.append(f"rank: {_RANKS[method]}.")
    if method == "pawn":
        floor = float(at[f"{chief}_dummy"])
        idle = int((at[chief] <= floor).sum())
        notes.append(
            f"An input without effect gets at most {floor:.3g} (95%): {idle} of "
            f"{at.sizes[PARAMETER]} constants are not above that."
        )
    if "second" in result:
        notes += ["", *pair_words(at)]
    return Group(title, table, Text("\n" + "\n".join(notes)))


def _heading(measure: str) -> str:
    return measure.replace("_error", " ±").replace("_", " ")


def _three(value: float, scale: float) -> str:
    """Write three digits; a value that is zero up to rounding, such as -1.39e-17, is 0."""
    return "0" if negligible(value, scale) else f"{value:.3g}"


def pair_words(at: xr.Dataset, most: int = 8) -> list[str]:
    """List the pairs with the largest joint effect, among those larger than their error.

    Parameters
    ----------
    at : xarray.Dataset
        As `beltcast.sensitivity` returns it with pairs, at one time.
    most : int
    """
    second, error = at["second"].values, at["second_error"].values
    labels = [str(name) for name in at[PARAMETER].values]
    found = sorted(
        (-second[i, j], f"{labels[i]} and {labels[j]}: {second[i, j]:.3g} ± {error[i, j]:.2g}")
        for i in range(len(labels))
        for j in range(i)
        if second[i, j] > error[i, j]
    )
    total = len(labels) * (len(labels) - 1) // 2
    head = f"second: {at['second'].attrs['long_name']}. Of {total} pairs {len(found)} stand out"
    return [head + (":" if found else "."), *(f"  {words}" for _, words in found[:most])]
