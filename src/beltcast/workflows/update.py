"""Update the forecast of a study with new observations, or with its own later ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import xarray as xr
from rich.console import RenderableType

from beltcast.errors import InputError, one_of
from beltcast.forecasting.before_after import changes, outlook
from beltcast.forecasting.update_text import summarise_update
from beltcast.inference.sampling.posterior import approximate_posterior
from beltcast.inference.updating.update import UPDATE_METHODS, Update, update
from beltcast.schema import Language, Progress
from beltcast.streams import Random, Streams
from beltcast.study.new_rows import NewRows, read_new_rows
from beltcast.study.study import Study
from beltcast.verification.origin import as_known, later_rows, scales_as_known
from beltcast.workflows.draws import FitOptions, fit_study


@dataclass(frozen=True)
class UpdateOptions:
    """How to update.

    Attributes
    ----------
    fit : FitOptions
    method : str
        'auto', 'reweight', 'smoother' or 'refit'.
    as_of : float, optional  [Year]
        Fit to what was published by this date; without new rows, later observations are new.
    """

    fit: FitOptions = field(default_factory=FitOptions)
    method: str = "auto"
    as_of: float | None = None


@dataclass(frozen=True, eq=False)
class Updated:
    """A forecast before and after new observations.

    Attributes
    ----------
    change : Update
    outlook : xarray.Dataset
        As `beltcast.forecasting.before_after.outlook` returns it.
    notes : str
        What was left out of the new rows, and why.
    """

    change: Update
    outlook: xr.Dataset
    notes: str

    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Every table, by name."""
        return {"surprises": self.change.surprises, "changes": changes(self.outlook)}

    def page(self, language: Language = "en") -> RenderableType:
        """Return the summary, for a `rich` console."""
        return summarise_update(self.outlook, self.change, self.notes, language)


def update_study(
    study: Study,
    rows: Path | None = None,
    options: UpdateOptions | None = None,
    *,
    rng: Random,
    progress: Progress | None = None,
) -> Updated:
    """Fit a study to its own observations, and update the fit and the forecast with new ones.

    Parameters
    ----------
    study : Study
    rows : Path, optional
        New observations (.csv or .xlsx).
    options : UpdateOptions, optional
    rng : Streams, numpy.random.Generator or int
    progress : Progress, optional

    Raises
    ------
    InputError
        There are no new observations, or a saved calibration was made with later ones.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.workflows.draws import FitOptions
    >>> from beltcast.workflows.update import UpdateOptions, update_study
    >>> options = UpdateOptions(FitOptions(draws=40, starts=2), method="reweight", as_of=2025.5)
    >>> found = update_study(read_study(), options=options, rng=1)  # doctest: +SKIP
    """
    options = options or UpdateOptions()
    streams, fitting, as_of = Streams.of(rng), options.fit, options.as_of
    way = one_of(options.method, UPDATE_METHODS, "method of updating")
    noted = {"seed": str(streams.seed)}
    if as_of is not None:
        if fitting.calibration is not None:
            raise InputError(
                f"--as-of is {as_of:g} and --calibration is given as well; a saved "
                f"calibration uses all of today's observations, so leave it out"
            )
        known = as_known(study, as_of)
        new = read_new_rows(rows, known) if rows else NewRows(later_rows(study, as_of))
        study = scales_as_known(study, known, rng=streams.scales, starts=fitting.starts)
        noted["as_of"] = f"{as_of:g}"
    elif rows is not None:
        new = read_new_rows(rows, study)
    else:
        raise InputError("there are no new observations; name a file, or a date with --as-of")
    fit = fit_study(study, fitting, rng=streams.fit, progress=progress)
    posterior = approximate_posterior(fit, fitting.draws, rng=streams.posterior, progress=progress)
    change = update(
        fit, posterior, new.rows, rng=streams.under("update"), method=way, progress=progress
    )
    noted["new_rows_sha256"] = new.rows.sha256
    result = outlook(study, change, rng=streams).assign_attrs(noted)
    return Updated(change, result, new.known_words())
