"""The forecast on disk, from which every output reads the same numbers.

``beltcast forecast`` writes ``forecast.nc`` from all its draws and keeps some of them in
``draws.nc``.  Summary, page, report and export read the numbers of the study's scenarios from the
first file; the kept draws only say how an answer changes when a reader changes something.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from beltcast.errors import InputError
from beltcast.files.netcdf import check_variables, read_netcdf
from beltcast.files.shipped import shipped
from beltcast.forecasting.forecast import forecast_draws
from beltcast.inference.sampling.draws_file import DEPENDS_ON, KeptFit, open_fit, results_folder
from beltcast.inference.sampling.posterior import sample_prior
from beltcast.schema import MEMBER, PLACE, SCENARIO, YEAR
from beltcast.streams import Streams
from beltcast.study.study import Study

FORECAST_FILE = "forecast.nc"
"""Name of the file in a folder of results."""


def open_forecast(given: str | Path | None = None) -> tuple[Study, KeptFit, xr.Dataset]:
    """Open a fitted study with its forecast.

    Parameters
    ----------
    given : str or Path, optional
        As for `open_fit`: a folder of results or a study; the shipped results by default.

    Returns
    -------
    study : Study
    kept : KeptFit
    forecast : xarray.Dataset
        As `forecast` returns it, perhaps without its members.

    Raises
    ------
    InputError
        There are no results, or they belong to another version of the study.

    Examples
    --------
    >>> from beltcast.forecasting.forecast_file import open_forecast
    >>> study, kept, forecast = open_forecast()
    >>> forecast.attrs["target"] == study.target
    True
    """
    study, kept = open_fit(given)
    folder = shipped("calibration/results") if given is None else results_folder(given)
    path = folder / FORECAST_FILE
    if not path.is_file():
        # Results of earlier versions kept only the draws.
        return study, kept, forecast_kept(study, kept)
    forecast = read_netcdf(path, give="run beltcast forecast again")
    if "figures" in forecast:  # until version 0.2
        forecast = forecast.rename({"figures": "observation_count"})
    counts = {"chance_of_more_draws": (SCENARIO, PLACE, YEAR)}  # older files have none
    check_variables(forecast, counts, path, "run beltcast forecast again")
    changed = [
        words
        for name, words in DEPENDS_ON.items()
        if forecast.attrs.get(f"{name}_sha256") != study.hashes.get(name)
    ]
    if changed:
        raise InputError(
            f"this forecast belongs to another version of the study: {', '.join(changed)} changed "
            "since; run beltcast forecast again",
            path,
        )
    return study, kept, forecast


def forecast_kept(study: Study, kept: KeptFit, *, seed: int = 1) -> xr.Dataset:
    """Forecast with only the kept draws, for results that lack ``forecast.nc``."""
    streams = Streams(seed)
    prior = sample_prior(kept.posterior.likelihood, len(kept.posterior), rng=streams.prior)
    return forecast_draws(study, kept.posterior, prior, kept.optimum, rng=streams)


def without_members(forecast: xr.Dataset) -> xr.Dataset:
    """Drop variables stored by member: a twentieth of the size, and the same quantiles."""
    return forecast.drop_dims(MEMBER, errors="ignore")
