"""Fit a study or take the fit of an earlier run, draw from it, and forecast its scenarios."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr
from rich.console import Group, RenderableType

from beltcast.display.translations import word
from beltcast.drivers.compare import compare_runs, comparison_table
from beltcast.errors import InputError
from beltcast.forecasting.forecast import FORECAST_ENCODING, forecast
from beltcast.forecasting.summary import summarise
from beltcast.inference.calibrate import Calibration
from beltcast.inference.sampling.draws_file import DRAWS_FILE, kept_fit, save_draws, study_link
from beltcast.inference.sampling.posterior import Draws, approximate_posterior
from beltcast.pictures.plots import save_fan_charts
from beltcast.schema import SCENARIO, Language, Progress
from beltcast.streams import Streams
from beltcast.study.events import WITHOUT, given_events
from beltcast.study.study import Study
from beltcast.verification.origin import as_known, scales_as_known
from beltcast.workflows.calibrate import save_fit
from beltcast.workflows.draws import FitOptions, drawn_before, fit_study, keep_drawn


@dataclass(frozen=True)
class ForecastOptions:
    """How to forecast.

    Attributes
    ----------
    fit : FitOptions
    as_of : float, optional  [Year]
        Use only what was published by this date.
    given : Path, optional
        Announced events (.toml) to add to every scenario.
    seed : int
    """

    fit: FitOptions = field(default_factory=FitOptions)
    as_of: float | None = None
    given: Path | None = None
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Forecasted:
    """A forecast, with the fit and the draws behind it.

    Attributes
    ----------
    study : Study
        As known at the date, with the given events.
    fit : Calibration
    draws : Draws
    result : xarray.Dataset
        As `beltcast.forecast` returns it.
    options : ForecastOptions
    """

    study: Study
    fit: Calibration
    draws: Draws
    result: xr.Dataset
    options: ForecastOptions

    def page(self, language: Language = "en") -> RenderableType:
        """Return the summary, for a `rich` console."""
        page = summarise(self.result, self.fit, language)
        if self.result.sizes[SCENARIO] > 1:
            losses = compare_runs(self.result["output"])
            table = comparison_table(losses, language=language, labels=self.study.labels())
            page = Group(page, table)
        if self.options.as_of is None:
            return page
        rows = len(self.study.observations)
        return Group(word("as known", language, date=self.options.as_of, rows=rows), page)

    def save(self, folder: Path, place: Path, language: Language = "en") -> None:
        """Write forecast, fit, draws and fan charts; `place` is the final path of the folder."""
        options, study = self.options, self.study
        if options.fit.calibration is None:
            keep_drawn(folder, self.draws, study, options.fit, options.seed)
        save_fit(self.fit, folder, study.hashes)
        if options.as_of is None:
            origin = {"study_path": study_link(options.fit.study, place), "seed": str(options.seed)}
            kept = kept_fit(self.fit, self.draws)
            save_draws(kept, study, folder / DRAWS_FILE, provenance=origin)
        self.result.to_netcdf(folder / "forecast.nc", engine="netcdf4", encoding=FORECAST_ENCODING)
        compare = study.roles.compare if options.given is None else WITHOUT
        titles = {shown: study.title_of(shown, language) for shown in study.shown()}
        save_fan_charts(self.result, str(folder), titles=titles, compare=compare, language=language)


def forecast_study(
    study: Study,
    options: ForecastOptions | None = None,
    *,
    before: Path | None = None,
    progress: Progress | None = None,
) -> Forecasted:
    """Fit a study, draw from it and forecast.

    Parameters
    ----------
    study : Study
    options : ForecastOptions, optional
    before : Path, optional
        Results of an earlier run, whose fit and draws are reused if nothing has changed since.
    progress : Progress, optional

    Raises
    ------
    InputError
        A date is given together with a saved calibration, which includes today's observations.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.workflows.draws import FitOptions
    >>> from beltcast.workflows.forecast import ForecastOptions, forecast_study
    >>> options = ForecastOptions(FitOptions(draws=8, starts=2))
    >>> forecast_study(read_study(), options).result.sizes["member"]  # doctest: +SKIP
    8
    """
    options = options or ForecastOptions()
    fitting, seed, as_of = options.fit, options.seed, options.as_of
    streams, provenance = Streams(seed), {"seed": str(seed)}
    if as_of is not None:
        if fitting.calibration is not None:
            raise InputError(
                f"--as-of is {as_of:g} and --calibration is given as well; a saved "
                f"calibration uses all of today's observations, so leave it out"
            )
        provenance["as_of"] = f"{as_of:g}"
        known = as_known(study, as_of)
        study = scales_as_known(study, known, rng=streams.scales, starts=fitting.starts)
    if options.given is not None:
        study, provenance["events_sha256"] = given_events(study, options.given)
    again = before is not None and fitting.calibration is None
    kept = drawn_before(before, study, fitting, seed) if before and again else None
    if kept is None:
        fit = fit_study(study, fitting, rng=streams.fit, progress=progress)
        # Drawn here and not within `forecast`, since the draws are written too.
        drawn = approximate_posterior(fit, fitting.draws, rng=streams.posterior, progress=progress)
    else:
        fit, drawn = kept
    result = forecast(study, fit, draws=drawn, rng=streams, progress=progress)
    return Forecasted(study, fit, drawn, result.assign_attrs(provenance), options)
