"""Forecast of the columns of your own data: what would be observed after the last row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from beltcast.display.lines import save_chart
from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError
from beltcast.inference.assemble import likelihood_of, make_likelihood
from beltcast.inference.calibrate import Calibration
from beltcast.inference.fit_over_time import plot_fit_over_time
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.posterior import Draws, approximate_posterior
from beltcast.inference.simulated import simulate_observations
from beltcast.schema import Progress
from beltcast.streams import Random, Streams
from beltcast.study.observations import Observation
from beltcast.study.study import Study
from beltcast.workflows.calibrate import save_fit
from beltcast.workflows.draws import FitOptions, fit_study

LEVELS = {"low_95": 0.025, "low_80": 0.1, "median": 0.5, "high_80": 0.9, "high_95": 0.975}
FURTHEST = 1000
"""Times of a column that are forecast at most."""


@dataclass(frozen=True, eq=False)
class OwnForecast:
    """What `forecast_columns` finds.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each column and time: quantiles of what would be observed, errors included, and
        the median of the model.
    figure : matplotlib.figure.Figure
        Observations and forecast, with bands of 80% and 95%.
    fit : Calibration or None
        The fit behind the draws, from `forecast_own`.
    hashes : mapping of str to str
        Of its files.
    """

    table: pd.DataFrame
    figure: Figure
    fit: Calibration | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)

    def words(self) -> str:
        """State the last time of each column."""
        last = self.table.groupby("column", sort=False).tail(1)
        lines = ["Forecast of what would be observed (80% and 95% bands), at the last time:"]
        for row in last.itertuples():
            lines.append(
                f"  {row.column} at {row.time:g}: {row.median:.4g} ({row.low_80:.4g} to "
                f"{row.high_80:.4g}; {row.low_95:.4g} to {row.high_95:.4g})"
            )
        return "\n".join(lines)

    def save(self, folder: Path) -> None:
        """Write the table, the picture, and the fit if there is one."""
        if self.fit is not None:
            save_fit(self.fit, folder, self.hashes)
        self.table.to_csv(folder / "forecast.csv", index=False, float_format="%.6g")
        save_chart(self.figure, folder / "forecast.png")


def forecast_own(
    study: Study, options: FitOptions, *, rng: Random, progress: Progress | None = None
) -> OwnForecast:
    """Fit a study in memory, draw from it, and forecast its columns.

    Examples
    --------
    >>> from beltcast.workflows.own_forecast import forecast_own
    >>> forecast_own(own.study, FitOptions(draws=400), rng=1).table  # doctest: +SKIP
    """
    streams = Streams.of(rng)
    rows_to_come(likelihood_of(study))  # before the fit takes its time
    fit = fit_study(study, options, rng=streams.fit, progress=progress)
    draws = approximate_posterior(fit, options.draws, rng=streams.posterior, progress=progress)
    return replace(forecast_columns(draws, rng=streams), fit=fit, hashes=study.hashes)


def forecast_columns(draws: Draws, *, rng: Random) -> OwnForecast:
    """Forecast each column of data at the spacing of its rows, until FINAL TIME.

    Parameters
    ----------
    draws : Draws
        Of the posterior.
    rng : Streams, numpy.random.Generator or int
        Its stream ``noise`` is used.

    Raises
    ------
    InputError
        The model ends when the data do.

    Examples
    --------
    >>> from beltcast.workflows.own_forecast import forecast_columns
    >>> forecast_columns(draws, rng=1).table  # doctest: +SKIP
    """
    streams = Streams.of(rng)
    likelihood = draws.likelihood
    rows = likelihood.observations.rows
    to_come = rows_to_come(likelihood)
    observations = replace(likelihood.observations, rows=(*rows, *to_come))
    longer = make_likelihood(likelihood.model, likelihood.priors, observations, likelihood.noise)
    assert longer.nuisances == likelihood.nuisances
    drawn = simulate_observations(longer, draws.theta, streams.noise)[:, len(rows) :]
    model = longer.natural(longer.expected(draws.theta))[:, len(rows) :]
    titles = likelihood.noise.definitions
    table = pd.DataFrame(
        {
            "column": [titles[row.definition].title for row in to_come],
            "time": [row.end for row in to_come],
            **{name: np.nanquantile(drawn, level, axis=0) for name, level in LEVELS.items()},
            "model_median": np.nanmedian(model, axis=0),
        }
    )
    figure = plot_fit_over_time(longer, draws.theta, rng=streams.noise, observed=len(rows))
    return OwnForecast(table, figure)


def rows_to_come(likelihood: Likelihood) -> list[Observation]:
    """Rows of data that would follow, until FINAL TIME.

    Raises
    ------
    InputError
        There are none.
    """
    names = _columns(likelihood.observations.rows)
    found = [row for name in names for row in _following(likelihood, name)]
    if not found:
        raise InputError(
            f"the model '{likelihood.model.name}' ends at {likelihood.model.grid().end:g}, before "
            "another row of data is due; set a later FINAL TIME in the model file"
        )
    return found


def _columns(rows: tuple[Observation, ...]) -> list[str]:
    return list(dict.fromkeys(row.definition for row in rows))


def _following(likelihood: Likelihood, name: str) -> list[Observation]:
    """Rows of a column after its last one, at its usual spacing."""
    own = [row for row in likelihood.observations.rows if row.definition == name]
    ends: FloatArray = np.unique([row.end for row in own])
    if len(ends) < 2:
        return []
    distance = float(np.median(np.diff(ends)))
    grid = likelihood.model.grid()
    step = max(1, round(distance / grid.step)) * grid.step
    last = max(own, key=lambda row: row.end)
    count = int(min((grid.end - last.end) / step + 1e-6, FURTHEST))
    # A value that any family can have: a forecast does not read it.
    return [
        replace(
            last,
            start=last.start + k * step,
            end=last.end + k * step,
            value=1.0,
            within=None,
            line=0,
        )
        for k in range(1, count + 1)
    ]
