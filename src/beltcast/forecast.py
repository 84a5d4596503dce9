"""The forecast: draws of the future, with everything that makes it uncertain.

Three kinds of uncertainty are carried: the parameters (posterior draws, which are prior draws
wherever the figures are silent), the shocks of single years, and the noise of a published figure.
The last two are drawn from the same spreads that the fit used.  A member keeps its parameters,
shocks and noise in all scenarios, so that scenarios differ by nothing but the scenario.

Beside the posterior stands the prior, run through the same model: where the two bands are alike,
the figures have said nothing, and ``spread_ratio`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.calibrate import Calibration
from beltcast.engine.nodes import FloatArray
from beltcast.ensemble import run_ensemble
from beltcast.likelihood import SHOCK, Likelihood
from beltcast.observations import Observation
from beltcast.posterior import Draws, sample, sample_prior
from beltcast.schema import MEMBER, PLACE, QUANTILE, QUANTILES, ROW, SCENARIO, YEAR
from beltcast.study import Study

TARGET = "output"
"""The variable that a forecast is about."""

COMPANIONS = (
    "brand share of output",
    "own site share of output",
    "active sellers",
    "Policy Support",
    "Supervision Maturity",
)
"""Kept as quantiles beside it, where the model has them."""

Progress = Callable[[str, int, int], None]


def forecast(
    study: Study,
    calibration: Calibration,
    *,
    rng: np.random.Generator,
    draws: int = 1000,
    moves: int = 30,
    target: str = TARGET,
    progress: Progress | None = None,
    provenance: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """Forecast the output of every belt and of the nation in every scenario.

    Parameters
    ----------
    study : Study
    calibration : Calibration
    rng : numpy.random.Generator
        Children are spawned for the posterior, the prior and the noise, so that the number of
        draws of one does not change the others.
    draws : int
        Members.
    moves : int
        Metropolis moves a draw, see `beltcast.posterior`.
    target : str
        A flow of the model over one subscript range of places.
    progress : callable, optional
        Told (what, done, of how many).
    provenance : mapping, optional
        Attributes to add.

    Returns
    -------
    xarray.Dataset
        ``output`` (scenario, member, place, year), totals of the model without shocks;
        ``output_quantile`` and ``published_quantile`` (scenario, place, year, quantile), without
        and with shocks and noise; ``change_quantile``, the ratio to the first scenario draw by
        draw, and ``chance_of_more``, the share of draws in which it is above one; the same chance
        under the priors alone; ``prior_quantile`` and ``spread_ratio`` (place, year), for the
        first scenario; ``figures``, how many published figures speak of each place; and those
        figures brought to the model's scope, along ``row``.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import calibrate, forecast, make_likelihood, read_study
    >>> study = read_study()
    >>> likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    >>> rng = np.random.default_rng(1)
    >>> fit = calibrate(likelihood, rng=rng, starts=4, refine=1)
    >>> result = forecast(study, fit, rng=rng, draws=16, moves=4)
    >>> float(result["output_quantile"].sel(place="China", year=2030, quantile=0.5)[0]) > 0
    True
    """
    for_posterior, for_prior, for_noise = rng.spawn(3)
    likelihood = calibration.likelihood
    posterior = sample(calibration, draws, rng=for_posterior, moves=moves, progress=progress)
    prior = sample_prior(likelihood, max(2, draws // 2), rng=for_prior)

    runs = _run(study, study.scenarios, posterior, target, progress)
    before = _run(study, study.scenarios, prior, target, None)
    output = _by_place(runs[target], study.whole)
    prior_output = _by_place(before[target], study.whole)

    years = output[YEAR].values
    noise_of = _published_noise(study, likelihood, output, years, for_noise)
    published = output * noise_of(posterior)
    prior_published = prior_output.isel({SCENARIO: 0}) * noise_of(prior)
    change = output / output.isel({SCENARIO: 0})

    result = xr.Dataset(
        {
            "output": output.astype(np.float32),
            "output_quantile": _quantiles(output),
            "published_quantile": _quantiles(published),
            "change_quantile": _quantiles(change),
            "chance_of_more": _chance(output),
            "prior_chance_of_more": _chance(prior_output),
            "prior_quantile": _quantiles(prior_published),
            "spread_ratio": _spread(published.isel({SCENARIO: 0})) / _spread(prior_published),
            **{name: runs[name] for name in COMPANIONS if name in runs and name != target},
            "failed": runs["status"].sum(MEMBER),
            "figures": _figures(likelihood, output[PLACE].values),
            **_published_rows(study, calibration, target),
        },
        attrs={
            **runs.attrs,
            "title": study.title,
            "target": target,
            "whole": study.whole,
            "draws": draws,
            "draws_kind": posterior.kind,
            "acceptance": posterior.acceptance,
            **{f"{name}_sha256": value for name, value in study.hashes.items()},
            **(provenance or {}),
        },
    )
    result["title"] = runs["title"]
    return _described(result, runs[target].attrs)


def _run(
    study: Study,
    scenarios: Mapping[str, Any],
    draws: Draws,
    target: str,
    progress: Progress | None,
) -> xr.Dataset:
    companions = [n for n in COMPANIONS if n in study.model.variables and n != target]
    parts = []
    for number, (name, scenario) in enumerate(scenarios.items()):
        parts.append(
            _thinned(
                run_ensemble(
                    study.model,
                    {name: scenario},
                    (draws.labels, draws.values),
                    outputs=[target, *companions],
                ),
                target,
            )
        )
        if progress is not None:
            progress("scenarios", number + 1, len(scenarios))
    return xr.concat(parts, SCENARIO, combine_attrs="override")


def _thinned(runs: xr.Dataset, target: str) -> xr.Dataset:
    """Companions as quantiles at once: their members would fill the memory."""
    kept = {
        name: _quantiles(values) if name not in (target, "status") else values
        for name, values in runs.data_vars.items()
    }
    return xr.Dataset(kept, runs.coords, runs.attrs)


def _by_place(output: xr.DataArray, whole: str) -> xr.DataArray:
    """Rename the subscript range to `place` and add the sum of all."""
    (belt,) = (str(d) for d in output.dims if d not in (SCENARIO, MEMBER, YEAR))
    total = output.sum(belt, keepdims=True).assign_coords({belt: [whole]})
    return xr.concat([total, output], belt).rename({belt: PLACE})


def _published_noise(
    study: Study,
    likelihood: Likelihood,
    output: xr.DataArray,
    years: np.ndarray,
    rng: np.random.Generator,
) -> Callable[[Draws], xr.DataArray]:
    """Factor between the model's total and a published one, (member, place, year).

    The whole is published at grade A, a belt at grade B.  Shocks of years that the fit knows are
    its draws; those of other years are drawn anew, the same for all places.
    """
    members = output.sizes[MEMBER]  # the prior may have fewer; it takes the first of these
    places = output[PLACE].values
    fresh = rng.standard_normal((members, len(years)))
    grade = np.array([study.noise.grade["A" if p == study.whole else "B"] for p in places])
    own = rng.standard_normal((members, len(places), len(years))) * grade[:, None]

    def factor(draws: Draws) -> xr.DataArray:
        n = len(draws)
        shocks = np.empty((n, len(years)))
        for i, year in enumerate(years):
            known = draws.nuisance(f"{SHOCK}{year}")
            unit = fresh[:n, i] if known is None else known
            shocks[:, i] = study.noise.shock_sd(int(year)) * unit
        return xr.DataArray(
            np.exp(shocks[:, None, :] + own[:n]),
            dims=(MEMBER, PLACE, YEAR),
            coords={PLACE: places, YEAR: years},
        )

    return factor


def _quantiles(values: xr.DataArray) -> xr.DataArray:
    """Quantiles over members; members that failed are left out."""
    levels = np.array(QUANTILES)
    axis = values.get_axis_num(MEMBER)
    bad = ~np.isfinite(values.values)
    function = np.nanquantile if bad.any() else np.quantile
    result = function(np.where(bad, np.nan, values.values), levels, axis=axis)
    dims = [d for d in values.dims if d != MEMBER]
    coords = {d: values[d] for d in dims if d in values.coords}
    return xr.DataArray(
        np.moveaxis(result, 0, -1),
        dims=(*dims, QUANTILE),
        coords={**coords, QUANTILE: levels},
        attrs=values.attrs,
    )


def _spread(values: xr.DataArray) -> xr.DataArray:
    """Robust spread of the log over members: half the width of the central 68%."""
    logs = xr.apply_ufunc(np.log, values.where(values > 0))
    levels = logs.quantile([0.16, 0.84], dim=MEMBER)
    low, high = (levels.isel({QUANTILE: i}, drop=True) for i in (0, 1))
    half: xr.DataArray = 0.5 * (high - low)
    return half


def _chance(output: xr.DataArray) -> xr.DataArray:
    """Share of the draws in which a scenario lies above the first."""
    first = output.isel({SCENARIO: 0})
    above = (output > first).sum(MEMBER)
    known = (output.notnull() & first.notnull()).sum(MEMBER)
    return above / known


def _figures(likelihood: Likelihood, places: np.ndarray) -> xr.DataArray:
    """How many published figures speak of each place itself."""
    named = [row.place for row in likelihood.observations]
    return xr.DataArray([named.count(str(p)) for p in places], dims=PLACE, coords={PLACE: places})


LOOSE = 0.5
"""Offset spread of a definition (log) above which its level says little about the level here."""


def _published_rows(study: Study, calibration: Calibration, target: str) -> dict[str, Any]:
    """Published figures brought to the model's scope: the path times published over expected.

    Expected is what the fit would have published under the row's definition and season in a year
    without a shock; so a figure lies above the path by as much as it surprises, and a part of a
    year is shown at the level of its whole year.
    """
    likelihood = calibration.likelihood
    theta = calibration.theta[None]
    path = _path(study, likelihood, theta, target)
    expected = np.exp(likelihood.expected(theta, shocks=False)[0])
    points = [
        {
            "place": row.place,
            "start": row.start,
            "end": row.end,
            "kind": row.kind,
            "published": row.value,
            "translated": path[row.place, _year(row)] * row.value / own,
            "definition": study.noise.definitions[row.definition].title,
            "grade": row.grade,
            "loose": int(study.noise.definitions[row.definition].offset_sd > LOOSE),
            "source": row.source,
            "url": row.url,
            "line": row.line,
        }
        for row, own in zip(likelihood.observations.rows, expected, strict=True)
        if row.kind not in ("growth", "share")
        and (row.place, _year(row)) in path
        and _is_amount(study, row.quantity, target)
    ]
    table = pd.DataFrame(points)
    return {f"row_{name}": ((ROW,), table[name].to_numpy()) for name in table}


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
    values = likelihood.priors.natural(theta[:, : likelihood.n_parameters])
    first = dict(list(study.scenarios.items())[:1])
    run = run_ensemble(study.model, first, (likelihood.priors.labels, values), outputs=[target])
    output = _by_place(run[target], study.whole).isel({SCENARIO: 0, MEMBER: 0})
    return {
        (str(place), int(year)): float(output.sel({PLACE: place, YEAR: year}))
        for place in output[PLACE].values
        for year in output[YEAR].values
    }


def _described(result: xr.Dataset, target: Mapping[str, str]) -> xr.Dataset:
    """Say what each variable is."""
    unit = target.get("units", "")
    texts = {
        "output": (unit, f"{target.get('long_name', '')} Total of the year, without shocks."),
        "output_quantile": (unit, "Quantiles over draws of the parameters, without shocks."),
        "published_quantile": (unit, "Quantiles of a published figure: with shocks and noise."),
        "change_quantile": ("1", "Quantiles of the ratio to the first scenario, draw by draw."),
        "chance_of_more": ("1", "Share of draws in which the scenario lies above the first."),
        "prior_chance_of_more": ("1", "The same under the priors alone."),
        "failed": ("1", "Members that left the finite numbers and are left out."),
        "figures": ("1", "Published figures that speak of the place."),
        "row_loose": ("1", "1 where the definition's level was fitted almost freely."),
        "prior_quantile": (unit, "As published_quantile, from the priors alone."),
        "spread_ratio": ("1", "Spread of the posterior over that of the prior, of the log."),
        "row_translated": (unit, "Published figure brought to the model's scope and whole year."),
        "row_published": (unit, "Published figure as printed, in the model's unit."),
    }
    for name, (units, text) in texts.items():
        result[name].attrs.update(units=units, long_name=text)
    return result
