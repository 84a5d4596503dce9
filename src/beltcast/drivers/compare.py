"""Compare scenarios with the first of them, draw by draw.

A member is the same draw in all scenarios, so a difference within a member is caused by the
scenario alone, and is far less uncertain than either of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from rich.console import RenderableType

from beltcast.display.tables import console_table, titled
from beltcast.display.translations import called, word
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import (
    by_place,
    chance,
    chance_positive,
    chance_text,
    chances,
    more_than,
    quantiles,
)
from beltcast.errors import InputError
from beltcast.inference.sampling.posterior import Draws
from beltcast.schema import MEMBER, PLACE, QUANTILE, SCENARIO, YEAR, Label, Language
from beltcast.streams import Random
from beltcast.study.study import Study

LOSS = 0.10
"""Part of the baseline whose loss is dated."""


def compare(
    study: Study,
    draws: Draws,
    *,
    rng: Random,
    target: str | None = None,
    loss: float = LOSS,
) -> xr.Dataset:
    """Run the scenarios of a study and compare each with the first.

    Parameters
    ----------
    study : Study
    draws : Draws
    rng : Streams, numpy.random.Generator or int
        Draws uncertain sizes, the same in all scenarios.
    target : str, optional
        A flow, over places or over none; the study's target by default.
    loss : float  [1]
        See `compare_runs`.

    Returns
    -------
    xarray.Dataset
        As `compare_runs` returns it.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import read_study, sample_prior
    >>> from beltcast.drivers.compare import compare
    >>> study, rng = read_study(), np.random.default_rng(1)
    >>> result = compare(study, sample_prior(study, 8, rng=rng), rng=rng)
    >>> float(result["ratio_quantile"].sel(scenario="baseline", place="China").max())
    1.0
    """
    name = study.model.find(target or study.target).name
    runs = run_ensemble(
        study.model, study.scenarios, (draws.labels, draws.values), outputs=[name], rng=rng
    )
    result = compare_runs(by_place(runs[name], study.whole(name)), loss=loss)
    return result.assign_attrs({**runs.attrs, **result.attrs, **study.provenance()})


def compare_runs(output: xr.DataArray, *, loss: float = LOSS) -> xr.Dataset:
    """Compare every scenario with the first.

    Parameters
    ----------
    output : (scenario, member, place, year)
        Totals of years, such as ``output`` of a forecast.
    loss : float  [1]
        A draw has *lost* from the first year in which it falls short of the first scenario by at
        least this part, and has *recovered* in the first later year in which it no longer does.

    Returns
    -------
    xarray.Dataset
        ``difference_quantile`` and ``ratio_quantile`` (scenario, place, year, quantile);
        ``chance_of_more`` (scenario, place, year); ``loss_year`` and ``recovery_time`` (scenario,
        member, place), NaN where it does not happen; ``chance_of_loss`` and
        ``chance_of_recovery`` (scenario, place), the latter among the draws that lost; and of each
        chance ``..._draws``, how many draws it is a share of.

    Raises
    ------
    InputError
        The loss is not between 0 and 1.

    Examples
    --------
    >>> import xarray as xr
    >>> from beltcast.drivers.compare import compare_runs
    >>> compare_runs(xr.open_dataset("runs/belt/forecast.nc")["output"])  # doctest: +SKIP
    """
    if not 0.0 < loss < 1.0:
        raise InputError(f"loss is {loss:g}; expected a part of the baseline between 0 and 1")
    output = output.transpose(SCENARIO, MEMBER, PLACE, YEAR)
    base = output.isel({SCENARIO: 0}, drop=True)
    difference, ratio = more_than(output, base), output / base
    lost_at, back_after = _dates(ratio.values, output[YEAR].values.astype(float), loss)
    lost = (SCENARIO, MEMBER, PLACE)
    loss_year = output.isel({YEAR: 0}, drop=True).copy(data=lost_at)
    recovery = loss_year.copy(data=back_after)
    any_known, had_lost = ratio.notnull().any(YEAR), loss_year.notnull()
    result = xr.Dataset(
        {
            "difference_quantile": quantiles(difference),
            "ratio_quantile": quantiles(ratio),
            "loss_year": loss_year.transpose(*lost),
            "recovery_time": recovery.transpose(*lost),
            **chances(
                chance_of_more=(chance_positive(difference), difference.notnull()),
                chance_of_loss=(chance(had_lost, any_known), any_known),
                chance_of_recovery=(chance(recovery.notnull(), had_lost), had_lost),
            ),
        },
        attrs={
            "loss": loss,
            "baseline": str(output[SCENARIO].values[0]),
            "whole": str(output[PLACE].values[0]),
        },
    )
    return _described(result, str(output.attrs.get("units", "")))


def comparison_table(
    comparison: xr.Dataset,
    place: str | None = None,
    language: Language = "en",
    labels: Mapping[str, Label] | None = None,
) -> RenderableType:
    """Lay out, for a `rich` console, which scenarios reach a loss, when, and whether they recover.

    Parameters
    ----------
    comparison : xarray.Dataset
        As `compare_runs` returns it.
    place : str, optional
        The total by default.
    language : {'en', 'zh'}
    labels : mapping of str to Label, optional
        What the study calls scenarios and places, as `Study.labels` returns it.
    """
    place = place or str(comparison.attrs["whole"])
    last = int(comparison[YEAR].values[-1])
    zh = (labels or {}) if language == "zh" else {}  # an English table has the names themselves
    title = word(
        "losses",
        language,
        loss=100 * comparison.attrs["loss"],
        first=called(str(comparison.attrs["baseline"]), language, zh),
        place=called(place, language, zh),
        last=last,
    )
    headings = ("scenario_head", "chance", "year", "recover")
    table = console_table(*(word(name, language) for name in headings))
    at = comparison.sel({PLACE: place})
    for name in map(str, comparison[SCENARIO].values[1:]):
        own = at.sel({SCENARIO: name})
        when, back = word("never", language), ""
        if float(own["chance_of_loss"]) > 0:
            ends = quantiles(own["loss_year"], (0.1, 0.5, 0.9))
            low, middle, high = (round(float(v)) for v in ends.values)
            when = f"{middle} ({low}–{high})"
            back = word(chance_text(own, "chance_of_recovery", {}), language)
        share = word(chance_text(own, "chance_of_loss", {}), language)
        table.add_row(called(name, language, zh), share, when, back)
    return titled(title, table)


def difference_table(comparison: xr.Dataset, place: str | None = None) -> RenderableType:
    """Lay out, for a `rich` console, how far scenarios lie from the first: a band, and the sign."""
    place = place or str(comparison.attrs["whole"])
    at = comparison.sel({PLACE: place})
    last = int(at[YEAR].values[-1])
    fifth = [year for year in at[YEAR].values.tolist() if year % 5 == 0 and last - year <= 10]
    years = fifth or [last]
    title = (
        f"Change against '{comparison.attrs['baseline']}', {place}, draw by draw: median (80% "
        f"band),\nand the share of draws with more in {last} (± Monte Carlo standard error)"
    )
    table = console_table("scenario", *map(str, years), "more")
    for name in map(str, comparison[SCENARIO].values[1:]):
        own = at.sel({SCENARIO: name})
        percent = 100.0 * (own["ratio_quantile"] - 1.0)
        more = chance_text(own, "chance_of_more", {YEAR: last})
        table.add_row(name, *(_band(percent.sel({YEAR: y})) for y in years), more)
    return titled(title, table)


def _band(percent: xr.DataArray) -> str:
    low, middle, high = (float(percent.sel({QUANTILE: q})) + 0.0 for q in (0.1, 0.5, 0.9))
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f}) %"


def _dates(ratio: np.ndarray, years: np.ndarray, loss: float) -> tuple[np.ndarray, np.ndarray]:
    """Year of the loss, and years until recovery; (..., year) -> (...) twice."""
    with np.errstate(invalid="ignore"):
        # A rounding error is neither a loss nor a recovery.
        short = ratio <= 1.0 - loss + 1e-12
    first = short.argmax(axis=-1)
    lost = short.any(axis=-1)
    after = np.arange(len(years)) > first[..., None]
    back = after & ~short & np.isfinite(ratio)
    returned = lost & back.any(axis=-1)
    year = np.where(lost, years[first], np.nan)
    time = np.where(returned, years[back.argmax(axis=-1)] - years[first], np.nan)
    return year, time


def _described(result: xr.Dataset, unit: str) -> xr.Dataset:
    texts: dict[str, Any] = {
        "difference_quantile": (unit, "Quantiles of the difference to the first scenario"),
        "ratio_quantile": ("1", "Quantiles of the ratio to the first scenario"),
        "chance_of_more": ("1", "Share of draws above the first scenario; a tie counts one half"),
        "loss_year": ("Year", "First year of the loss"),
        "recovery_time": ("Year", "Years from the loss until recovery"),
        "chance_of_loss": ("1", "Share of draws that reach the loss"),
        "chance_of_recovery": ("1", "Share of those draws that recover"),
    }
    for name, (units, text) in texts.items():
        result[name].attrs = {"units": units, "long_name": text}
    return result
