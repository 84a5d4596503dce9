"""Factors between the model's totals, what happens, and what would be published of it.

Lasting errors of the model (`discrepancy_factor`), shocks of single years and the noise of an
observation are drawn from the standard deviations that the fit used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.inference.discrepancy import paths
from beltcast.inference.nuisances import SHOCK
from beltcast.inference.residuals import draw_errors
from beltcast.inference.sampling.posterior import Draws
from beltcast.schema import MEMBER, PLACE, YEAR
from beltcast.streams import Random, Streams
from beltcast.study.study import Study


def published_factor(
    study: Study, draws: Draws, output: xr.DataArray, *, rng: Random
) -> xr.DataArray:
    """Draw the factor between the model's totals and what would be published of them.

    On the model's own scope: the whole is published at grade A, a belt at grade B.  Offsets and
    drifts of other definitions are excluded.  Shocks of years that the fit knows are its draws;
    those of other years are drawn again, the same for all places.  Errors have the tails and the
    estimated sd factors of the fit, and are drawn again for each year, also if the fit has them
    correlated from year to year.

    Parameters
    ----------
    study : Study
    draws : Draws
    output : (..., member, place, year)
        Totals of the model, for their places and years.
    rng : Streams, numpy.random.Generator or int
        Its streams ``discrepancy``, ``year_shocks`` and ``noise`` are used.

    Returns
    -------
    (member, place, year)  [1]
        Discrepancy of the model times shocks of years times the noise of an observation.
    """
    streams = Streams.of(rng)
    places, years = output[PLACE].values, output[YEAR].values
    noise, n = study.noise, len(draws)

    shocks = streams.year_shocks.standard_normal((n, len(years)))
    for i, year in enumerate(years):
        known = draws.nuisance(f"{SHOCK}{year}")
        if known is not None:
            shocks[:, i] = known
    shocks *= [noise.shock_sd(int(year)) for year in years]

    grades = ["A" if p == study.whole(study.target) else "B" for p in places]
    sds = np.array(
        [noise.grade[grade] * noise.error_scale_factor(grade, "level") for grade in grades]
    )
    errors = draw_errors(streams.noise, noise.tails, (n, len(places), len(years)))
    errors *= (sds * _estimated_scales(study, draws, grades))[:, :, None]

    log = shocks[:, None, :] + errors
    passing = xr.DataArray(
        np.exp(log), dims=(MEMBER, PLACE, YEAR), coords={PLACE: places, YEAR: years}
    )
    return discrepancy_factor(study, draws, output, rng=streams) * passing


def discrepancy_factor(
    study: Study, draws: Draws, output: xr.DataArray, *, rng: Random
) -> xr.DataArray:
    """Draw the factor between the model's totals and what happens.

    Parameters
    ----------
    study : Study
    draws : Draws
    output : (..., member, place, year)
        Totals of the model, for their places and years.
    rng : Streams, numpy.random.Generator or int
        Its streams ``discrepancy`` are used.

    Returns
    -------
    (member, place, year)  [1]
        Informed where a place and year has observations, and continued from there.
    """
    likelihood = draws.likelihood
    places, years = output[PLACE].values, output[YEAR].values
    log = paths(
        likelihood.model,
        likelihood.observations.rows,
        likelihood.noise,
        dict(zip(likelihood.nuisances, draws.theta[:, likelihood.n_parameters :].T, strict=True)),
        places=[str(place) for place in places],
        whole=study.whole(study.target),
        dates=years + 0.5,
        rng=Streams.of(rng).under("discrepancy"),
    )
    coords = {PLACE: places, YEAR: years}
    return xr.DataArray(np.exp(log), dims=(MEMBER, PLACE, YEAR), coords=coords)


def _estimated_scales(study: Study, draws: Draws, grades: Sequence[str]) -> FloatArray:
    """Factor of the standard deviation of each grade, (N, len(grades)); 1 if none was fitted."""
    factors = np.ones((len(draws), len(grades)))
    for k, grade in enumerate(grades):
        eta = draws.nuisance(study.noise.error_scale_name(grade, "level"))
        if eta is not None:
            factors[:, k] = np.exp(study.noise.error_scale_sd * eta)
    return factors
