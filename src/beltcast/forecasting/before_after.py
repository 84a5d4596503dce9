"""The forecast before and after new observations, and what changed.

Both are made like `beltcast.forecast`: runs of the draws, the shock of each year and the noise of
an observation.  Draws before and after use the same random numbers, so that the two differ only in
the posterior: the parameters, and the shock of a year that now has an observation.  So a half-year
or a quarter gives a nowcast of the current year.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import by_place, quantiles
from beltcast.forecasting.published_factor import published_factor
from beltcast.inference.updating.update import Update
from beltcast.model.quantities import is_flow
from beltcast.schema import PARAMETER, PLACE, QUANTILE, ROW, SCENARIO, YEAR
from beltcast.streams import Random, Streams
from beltcast.study.study import Study

STATE = "state"
"""Dimension: before the new observations, or after."""

BEFORE, AFTER = "before", "after"


def outlook(
    study: Study,
    change: Update,
    *,
    rng: Random,
    scenario: str | None = None,
) -> xr.Dataset:
    """Forecast before and after an update, in one scenario.

    Parameters
    ----------
    study : Study
    change : Update
    rng : Streams, numpy.random.Generator or int
        As for `beltcast.forecasting.forecast.forecast_draws`.
    scenario : str, optional
        The study's first by default.

    Returns
    -------
    xarray.Dataset
        Along ``state`` (before, after): ``output`` (state, member, place, year), totals of the
        model without shocks; ``output_quantile`` and ``published_quantile`` (state, place, year,
        quantile), without and with shocks and noise; ``parameter_value`` (state, member,
        parameter).  ``parameter_shift`` (parameter), of the mean in standard deviations before, and
        ``parameter_ratio`` of the standard deviations; and the table of surprises along ``row``.
    """
    own = study.scenario(scenario)
    streams = Streams.of(rng)
    outputs, published = {}, {}
    for state, draws in ((BEFORE, change.before), (AFTER, change.after)):
        run = run_ensemble(
            study.model,
            {own.name: own},
            (draws.labels, draws.values),
            outputs=[study.target],
            rng=streams,
        )
        output = by_place(run[study.target], study.whole(study.target))
        output = output.isel({SCENARIO: 0}, drop=True)
        factor = published_factor(study, draws, output, rng=streams)
        outputs[state], published[state] = output, output * factor
    states = pd.Index([BEFORE, AFTER], name=STATE)
    moved = change.moved().loc[list(change.before.labels)]
    values = np.stack([change.before.values, change.after.values])
    result = xr.Dataset(
        {
            "output": xr.concat(outputs.values(), states).astype(np.float32),
            "output_quantile": xr.concat([quantiles(o) for o in outputs.values()], states),
            "published_quantile": xr.concat([quantiles(o) for o in published.values()], states),
            "parameter_value": ((STATE, "member", PARAMETER), values.astype(np.float32)),
            "parameter_shift": (PARAMETER, moved["shift"].to_numpy()),
            "parameter_ratio": (PARAMETER, moved["ratio"].to_numpy()),
            **{
                f"row_{column}": (ROW, change.surprises[column].to_numpy())
                for column in change.surprises
            },
        },
        coords={PARAMETER: list(change.before.labels)},
        attrs={
            **run.attrs,
            "target": study.target,
            "whole": study.whole(study.target),
            "shown_years": list(study.years.shown),
            "unit": run[study.target].attrs["units"],
            "scenario": own.name,
            "method": change.method,
            "why": change.why,
            "together": change.together,
            **study.provenance(),
        },
    )
    return _described(result)


def changes(result: xr.Dataset) -> pd.DataFrame:
    """Lay the published totals before and after out as a table.

    Parameters
    ----------
    result : xarray.Dataset
        As `outlook` returns it.

    Returns
    -------
    pandas.DataFrame
        A row for each place and year: ``median``, ``low`` and ``high`` (80% band) ``before`` and
        ``after``; ``change`` of the median and ``width`` of the band in logs, each as the ratio of
        after to before.
    """
    fan = result["published_quantile"].sel({QUANTILE: [0.1, 0.5, 0.9]})
    columns = {
        f"{name} {state}": fan.sel({STATE: state, QUANTILE: level}).stack(at=(PLACE, YEAR)).values
        for state in (BEFORE, AFTER)
        for name, level in (("median", 0.5), ("low", 0.1), ("high", 0.9))
    }
    index = pd.MultiIndex.from_product(
        [fan[PLACE].values, fan[YEAR].values], names=["place", "year"]
    )
    table = pd.DataFrame(columns, index=index)
    width = {s: np.log(table[f"high {s}"] / table[f"low {s}"]) for s in (BEFORE, AFTER)}
    table["change"] = table["median after"] / table["median before"]
    table["width"] = width[AFTER] / width[BEFORE]
    return table.reset_index()


def nowcast_years(change: Update) -> dict[int, list[str]]:
    """Years published in part, with the places of these parts."""
    model = change.after.likelihood.model
    years: dict[int, list[str]] = {}
    for _, row in change.surprises.iterrows():
        part = 0.0 < row["end"] - row["start"] < 1.0 - 1e-3
        if part and is_flow(model.variables[row["quantity"]].unit):
            places = years.setdefault(int(np.floor(row["start"] + 1e-6)), [])
            if row["place"] not in places:
                places.append(row["place"])
    return years


def _described(result: xr.Dataset) -> xr.Dataset:
    """Describe each variable."""
    unit = result.attrs["unit"]
    texts = {
        "output": (unit, "Total of the year, without shocks."),
        "output_quantile": (unit, "Quantiles over draws of the parameters, without shocks."),
        "published_quantile": (unit, "Quantiles of a published value: with shocks and noise."),
        "parameter_value": ("", "Draws of the parameters, each in its own unit."),
        "parameter_shift": (
            "1",
            "Shift of the mean in standard deviations before the update, on the working scale.",
        ),
        "parameter_ratio": (
            "1",
            "Standard deviation after over that before, on the working scale.",
        ),
        "row_p": ("1", "Probability of a value as surprising; for a bound, that it holds."),
        "row_z": ("1", "Distance from the expected log, in its standard deviations."),
    }
    for name, (units, text) in texts.items():
        result[name].attrs.update(units=units, long_name=text)
    return result
