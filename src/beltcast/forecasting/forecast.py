"""The forecast: draws of the future, with all sources of uncertainty.

Four kinds of uncertainty are included: the parameters (posterior draws, which are prior draws
wherever observations carry no information), lasting errors of the model
(`published_factor.discrepancy_factor`), shocks of single years, and the noise of an observation.
The last three are drawn from the standard deviations that the fit used.  A member keeps its
parameters, discrepancy, shocks and noise in all scenarios, so that scenarios differ only by the
scenario itself.

Beside the posterior stands the prior, run through the same model: where the two bands are alike,
the observations have added nothing, and ``sd_ratio`` is near 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import (
    by_place,
    chance_positive,
    chances,
    more_than,
    quantiles,
    robust_sd,
)
from beltcast.forecasting.published_factor import published_factor
from beltcast.inference.calibrate import Calibration
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.diagnostics import ENOUGH_DRAWS, effective_draws
from beltcast.inference.sampling.posterior import Draws, approximate_posterior, sample_prior
from beltcast.schema import MEMBER, PLACE, ROW, SCENARIO, YEAR, Progress
from beltcast.streams import Random, Streams
from beltcast.study.observations import Observation
from beltcast.study.study import Study

FORECAST_ENCODING = {"output": {"zlib": True, "complevel": 4}}
"""Compression of the members of a forecast, which are nearly all of its size."""


def forecast(
    study: Study,
    calibration: Calibration,
    *,
    rng: Random,
    draws: int | Draws = 1000,
    moves: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Forecast the output of every belt and of the nation in every scenario.

    Parameters
    ----------
    study : Study
    calibration : Calibration
    rng : Streams, numpy.random.Generator or int
        Its streams ``posterior``, ``prior``, ``discrepancy``, ``year_shocks``, ``noise`` and
        ``sizes`` are used.
    draws : int or Draws
        Members: how many to draw, or existing draws of the posterior.
    moves : int, optional
        Moves between two draws of a walker, as of `beltcast.approximate_posterior`.
    progress : Progress, optional

    Returns
    -------
    xarray.Dataset
        ``output`` (scenario, member, place, year), totals of the model without shocks;
        ``output_quantile`` and ``published_quantile`` (scenario, place, year, quantile), without
        and with shocks and noise; ``change_quantile``, the ratio to the first scenario draw by
        draw, and ``chance_of_more``, the share of draws in which it is above one (a tie counts one
        half; NaN where all draws tie) of ``chance_of_more_draws`` draws; the same chance under the
        priors alone; ``prior_quantile`` and ``sd_ratio`` (place, year), for the
        first scenario; ``observation_count``, the number of observations of each place itself; and
        these observations converted to the model's scope, along ``row``.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import calibrate, forecast, read_study
    >>> study = read_study()
    >>> rng = np.random.default_rng(1)
    >>> fit = calibrate(study, rng=rng, starts=4, refine=1)
    >>> result = forecast(study, fit, rng=rng, draws=16, moves=4)
    >>> float(result["output_quantile"].sel(place="China", year=2030, quantile=0.5)[0]) > 0
    True
    """
    streams = Streams.of(rng)
    if isinstance(draws, int):
        draws = approximate_posterior(
            calibration, draws, rng=streams.posterior, moves=moves, progress=progress
        )
    prior = sample_prior(calibration.likelihood, max(2, len(draws) // 2), rng=streams.prior)
    return forecast_draws(
        study,
        draws,
        prior,
        calibration.theta,
        rng=streams,
        progress=progress,
    )


def forecast_draws(
    study: Study,
    posterior: Draws,
    prior: Draws,
    optimum: FloatArray,
    *,
    rng: Random,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Forecast with existing draws, such as those of `draws_file`.

    Parameters
    ----------
    study : Study
    posterior, prior : Draws
        At most as many of the prior as of the posterior.
    optimum : (size,)
        Most probable unknowns on working scales; they convert published values to the model's
        scope.
    rng : Streams, numpy.random.Generator or int
        Its streams ``discrepancy``, ``year_shocks``, ``noise`` and ``sizes`` (of scenarios) are
        used.
    progress : Progress, optional

    Returns
    -------
    xarray.Dataset
        As `forecast` returns it.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import read_study
    >>> from beltcast.inference.sampling.draws_file import shipped_draws
    >>> from beltcast.forecasting.forecast import forecast_draws
    >>> from beltcast.inference.sampling.posterior import sample_prior
    >>> study, rng = read_study(), np.random.default_rng(1)
    >>> kept = shipped_draws(study)
    >>> prior = sample_prior(kept.posterior.likelihood, 20, rng=rng)
    >>> result = forecast_draws(study, kept.first(20), prior, kept.optimum, rng=rng)
    >>> float(result["output_quantile"].sel(place="China", year=2030, quantile=0.5)[0]) > 0
    True
    """
    target = study.target
    streams = Streams.of(rng)
    likelihood = posterior.likelihood

    runs = _run(study, study.scenarios, posterior, target, streams, progress)
    before = _run(study, study.scenarios, prior, target, streams, None)
    output = by_place(runs[target], study.whole(target))
    prior_output = by_place(before[target], study.whole(target))

    published = output * published_factor(study, posterior, output, rng=streams)
    prior_published = prior_output.isel({SCENARIO: 0})
    prior_published = prior_published * published_factor(study, prior, prior_output, rng=streams)
    change = output / output.isel({SCENARIO: 0})

    result = xr.Dataset(
        {
            "output": output.astype(np.float32),
            "output_quantile": quantiles(output),
            "published_quantile": quantiles(published),
            "change_quantile": quantiles(change),
            **chances(
                chance_of_more=_chance_of_more(output),
                prior_chance_of_more=_chance_of_more(prior_output),
            ),
            "prior_quantile": quantiles(prior_published),
            "sd_ratio": _log_sd(published.isel({SCENARIO: 0})) / _log_sd(prior_published),
            **{name: runs[name] for name in study.roles.companions if name != target},
            "failed": runs["status"].sum(MEMBER) + before["status"].sum(MEMBER),
            "observation_count": _observation_count(likelihood, output[PLACE].values),
            **_published_rows(study, likelihood, optimum, target),
        },
        attrs={
            **runs.attrs,
            "target": target,
            "whole": study.whole(target),
            "shown_years": list(study.years.shown),
            "unit": runs[target].attrs["units"],
            "time_unit": study.model.time_unit,
            "draws": len(posterior),
            "draws_kind": posterior.kind,
            "acceptance": posterior.acceptance,
            "start_correlation": posterior.start_correlation,
            "walkers": posterior.walkers,
            **_effective(study, posterior.walkers, published, change),
            **study.provenance(),
        },
    )
    result["title"] = runs["title"]
    return _described(result, runs[target].attrs)


def _effective(
    study: Study, walkers: int, published: xr.DataArray, change: xr.DataArray
) -> dict[str, Any]:
    """Effective draws behind printed numbers: the fewest, and how many have too few.

    The summary prints every place under the first scenario and the whole under all, in the years
    shown.
    """
    years = [year for year in study.years.shown if year in published[YEAR].values]
    years = years or [int(published[YEAR].values[-1])]
    own = published.isel({SCENARIO: 0}).sel({YEAR: years})
    others = change.isel({SCENARIO: slice(1, None)})
    others = others.sel({PLACE: study.whole(study.target), YEAR: years})
    names, columns = [], []
    for values in (own, others):
        label = PLACE if PLACE in values.dims else SCENARIO
        for name in values[label].values:
            for year in years:
                names.append(f"{name} {year}")
                columns.append(values.sel({label: name, YEAR: year}).values)
    table = np.array(columns, dtype=np.float64).T
    good = np.asarray(np.isfinite(table).all(axis=1))
    # A failed run takes a draw from all, and with it the order of the walkers.
    found = effective_draws(table if good.all() else table[good], walkers if good.all() else 0)
    if not len(found) or np.isnan(found).any():
        return {}
    return {
        "effective_draws": float(found.min()),
        "effective_least": names[int(found.argmin())],
        "effective_few": int((found < ENOUGH_DRAWS).sum()),
        "effective_of": len(names),
    }


def _run(
    study: Study,
    scenarios: Mapping[str, Any],
    draws: Draws,
    target: str,
    streams: Streams,
    progress: Progress | None,
) -> xr.Dataset:
    parts = []
    for number, (name, scenario) in enumerate(scenarios.items()):
        parts.append(
            _thinned(
                run_ensemble(
                    study.model,
                    {name: scenario},
                    (draws.labels, draws.values),
                    outputs=_outputs(study, target),
                    rng=streams,
                ),
                target,
            )
        )
        if progress is not None:
            progress("scenarios", number + 1, len(scenarios))
    return xr.concat(parts, SCENARIO, combine_attrs="override")


def _outputs(study: Study, target: str) -> list[str]:
    return [target, *(n for n in study.roles.companions if n != target)]


def _thinned(runs: xr.Dataset, target: str) -> xr.Dataset:
    """Companions, reduced to quantiles at once: their members would fill the memory."""
    kept = {
        name: quantiles(values) if name not in (target, "status") else values
        for name, values in runs.data_vars.items()
    }
    return xr.Dataset(kept, runs.coords, runs.attrs)


def _chance_of_more(output: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Share of the draws in which a scenario lies above the first, and which draws are known."""
    more = more_than(output, output.isel({SCENARIO: 0}, drop=True))
    return chance_positive(more), more.notnull()


def _log_sd(values: xr.DataArray) -> xr.DataArray:
    return robust_sd(xr.apply_ufunc(np.log, values.where(values > 0)))


def _observation_count(likelihood: Likelihood, places: np.ndarray) -> xr.DataArray:
    """Number of observations of each place itself."""
    named = [row.place for row in likelihood.observations]
    return xr.DataArray([named.count(str(p)) for p in places], dims=PLACE, coords={PLACE: places})


LOOSE = 0.3
"""Standard deviation of a definition (log, with its drift to the row's date) above which the level
of an observation carries little information about the level here."""


ROW_COLUMNS = (
    "place",
    "quantity",
    "start",
    "end",
    "kind",
    "published",
    "translated",
    "definition",
    "grade",
    "loose",
    "source",
    "url",
    "line",
)


def _published_rows(
    study: Study, likelihood: Likelihood, optimum: FloatArray, target: str
) -> dict[str, Any]:
    """Published values converted to the model's scope: the path times published over expected.

    Expected is what the fit would have published under the row's definition and season in a year
    without a shock; so a point lies above the path by as much as it surprises, and a part of a
    year is shown at the level of its whole year.
    """
    theta = optimum[None]
    path = _path(study, likelihood, theta, target)
    expected = likelihood.natural(likelihood.expected(theta, shocks=False)[0])
    points = [
        {
            "place": row.place,
            "quantity": row.quantity,
            "start": row.start,
            "end": row.end,
            "kind": row.kind,
            "published": row.value,
            "translated": path[row.place, _year(row)] * row.value / own,
            "definition": study.noise.definitions[row.definition].title,
            "grade": row.grade,
            "loose": int(_sd_of_scope(study, row) > LOOSE),
            "source": row.source,
            "url": row.url,
            "line": row.line,
        }
        for row, own in zip(likelihood.observations.rows, expected, strict=True)
        if row.kind not in ("growth", "share")
        and (row.place, _year(row)) in path
        and _is_amount(study, row.quantity, target)
    ]
    table = pd.DataFrame(points, columns=list(ROW_COLUMNS))
    return {f"row_{name}": ((ROW,), table[name].to_numpy()) for name in table}


def _sd_of_scope(study: Study, row: Observation) -> float:
    definition = study.noise.definitions[row.definition]
    reference = study.noise.reference
    lag = 0.0 if reference is None else 0.5 * (row.start + row.end) - reference
    return float(np.hypot(definition.offset_sd, definition.trend_sd * lag))


def _year(row: Observation) -> int:
    return int(np.floor(row.start + 1e-6))


def _is_amount(study: Study, quantity: str, target: str) -> bool:
    """Whether a quantity is money like the target, so that a point can be drawn on its chart."""
    variables = study.model.variables
    return variables[quantity].unit == variables[target].unit


def _path(
    study: Study, likelihood: Likelihood, theta: FloatArray, target: str
) -> dict[tuple[str, int], float]:
    """Totals of the target at the optimum, by place and year."""
    draws = Draws(likelihood, theta, "posterior")
    first = dict(list(study.scenarios.items())[:1])
    # All outputs of the forecast, though one is needed: so both run one compiled program.
    outputs = _outputs(study, target)
    run = run_ensemble(study.model, first, (draws.labels, draws.values), outputs=outputs)
    output = by_place(run[target], study.whole(target)).isel({SCENARIO: 0, MEMBER: 0})
    return {
        (str(place), int(year)): float(output.sel({PLACE: place, YEAR: year}))
        for place in output[PLACE].values
        for year in output[YEAR].values
    }


def _described(result: xr.Dataset, target: Mapping[str, str]) -> xr.Dataset:
    """Describe each variable."""
    unit = target.get("units", "")
    texts = {
        "output": (unit, f"{target.get('long_name', '')} Total of the year, without shocks."),
        "output_quantile": (unit, "Quantiles over draws of the parameters, without shocks."),
        "published_quantile": (unit, "Quantiles of a published value: with shocks and noise."),
        "change_quantile": ("1", "Quantiles of the ratio to the first scenario, draw by draw."),
        "chance_of_more": ("1", "Share of draws in which the scenario lies above the first."),
        "prior_chance_of_more": ("1", "The same under the priors alone."),
        "chance_of_more_draws": ("1", "Draws that chance_of_more is a share of."),
        "prior_chance_of_more_draws": ("1", "Draws that prior_chance_of_more is a share of."),
        "failed": ("1", "Members that produced NaN or infinity and are excluded."),
        "observation_count": ("1", "Observations of the place itself."),
        "row_loose": ("1", "1 where the definition's level was fitted almost freely."),
        "prior_quantile": (unit, "As published_quantile, from the priors alone."),
        "sd_ratio": ("1", "Posterior over prior standard deviation of the log."),
        "row_translated": (
            unit,
            "Published value converted to the model's scope and a whole year.",
        ),
        "row_published": (unit, "Published value as printed, in the model's unit."),
    }
    for name, (units, text) in texts.items():
        result[name].attrs.update(units=units, long_name=text)
    return result
