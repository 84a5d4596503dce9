"""Fit a study, and judge the fit: estimates, optima, and more for a small model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from beltcast.display.lines import save_chart
from beltcast.errors import CalibrationError, one_of
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.forecasting.summary import fit_summary
from beltcast.inference.assemble import likelihood_of
from beltcast.inference.calibrate import EXACT, Calibration, calibrate, estimate_verdict
from beltcast.inference.fit_over_time import plot_fit_over_time
from beltcast.inference.optimise import FIT_METHODS
from beltcast.inference.pool_scales import given_pool_scales, pool_scales
from beltcast.inference.sampling.posterior import Draws, approximate_posterior
from beltcast.inference.saved import save_calibration
from beltcast.inference.statistics import FitStatistics, fit_statistics, scales_of
from beltcast.schema import Language, Progress
from beltcast.streams import Random, Streams
from beltcast.study.study import Study

_PICTURED = 400
"""Draws behind the bands in the picture of a small model."""


@dataclass(frozen=True)
class CalibrateOptions:
    """How to fit.

    Attributes
    ----------
    starts : int
    refine : int, optional
        Starts to refine; by default enough that hardly any optimum is missed.
    method : str
        'least_squares' or 'differential_evolution'.
    """

    starts: int = 64
    refine: int | None = None
    method: str = "least_squares"


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A fit, its statistics and its summary.

    Attributes
    ----------
    study : Study
    fit : Calibration
        What other commands start from.
    shown : Calibration
        The same, given the standard deviations in `between`.
    statistics : FitStatistics or None
        Standard errors and statistics of columns, of a small model.
    between : pandas.DataFrame
        Standard deviations between elements, of a small model with pools; else empty.
    draws : Draws or None
        For the picture of a small model.
    streams : Streams
    """

    study: Study
    fit: Calibration
    shown: Calibration
    statistics: FitStatistics | None
    between: pd.DataFrame
    draws: Draws | None
    streams: Streams

    def page(self, language: Language = "en") -> str:
        """Return the summary."""
        page = fit_summary(self.shown, language, self.study.labels(), self.table())
        if self.statistics is not None:
            page += "\n\n" + "".join(self._nearly_exact()) + self.statistics.words()
        return page

    def table(self) -> pd.DataFrame:
        """Every estimate beside its prior; those of `between` have all else integrated out."""
        table = self.shown.table()
        for label, estimate, low, high in self.between.itertuples(name=None):
            ends = table.loc[label, ["prior_p10", "prior_p90"]].to_numpy(dtype=np.float64)
            ratio = float(np.log(high / low) / np.log(ends[1] / ends[0]))
            table.loc[label, ["p10", "median", "p90"]] = [low, estimate, high]
            table.loc[label, "sd_ratio"] = ratio
            table.loc[label, "verdict"] = estimate_verdict(ratio)
        return table

    def _nearly_exact(self) -> Iterator[str]:
        """A sentence for each column that the model follows more closely than its prior allows."""
        for name, loading, base in scales_of(self.fit.likelihood):
            eta = float(self.fit.theta[self.fit.likelihood.labels.index(name)])
            if name in self.fit.at_bound and eta < 0.0:
                yield (
                    f"{name}: the data are closer to the model than the least value that its prior "
                    f"allows, {base * np.exp(loading * eta):.3g}; intervals of the posterior are "
                    "too wide, those of the best fit below are not. State a smaller `scale` in "
                    "columns.toml.\n\n"
                )

    def save(self, folder: Path) -> None:
        """Write the fit, its tables and its picture."""
        save_calibration(self.fit, folder, self.study.hashes)
        _save_tables(self.shown, self.table(), folder)
        self.fit.clusters().to_csv(folder / "optima.csv", index=False, float_format="%.6g")
        self.fit.history().to_csv(folder / "history.csv", index=False, float_format="%.6g")
        if self.statistics is not None:
            self.statistics.estimates.to_csv(folder / "estimates.csv", float_format="%.6g")
            self.statistics.columns.to_csv(folder / "columns.csv", float_format="%.6g")
        if len(self.between):
            self.between.to_csv(folder / "between.csv", float_format="%.6g")
        if self.draws is None:
            save_chart(self.fit.plot(), folder / "fit.png")
        else:
            drawn, noise = self.draws, self.streams.noise
            picture = plot_fit_over_time(drawn.likelihood, drawn.theta, rng=noise)
            save_chart(picture, folder / "fit.png")


def calibrate_study(
    study: Study,
    options: CalibrateOptions | None = None,
    *,
    rng: Random,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> Calibrated:
    """Fit a study and judge the fit.

    Parameters
    ----------
    study : Study
    options : CalibrateOptions, optional
    rng : Streams, numpy.random.Generator or int
    pieces : Pieces, optional
        Keeps finished refinements, so that a stopped run can resume.
    progress : Progress, optional

    Raises
    ------
    InputError
        There is no such method.
    CalibrationError
        No start could be simulated.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.workflows.calibrate import CalibrateOptions, calibrate_study
    >>> found = calibrate_study(read_study(), CalibrateOptions(2, 1), rng=1)
    >>> found.statistics is None
    True
    """
    options, streams = options or CalibrateOptions(), Streams.of(rng)
    fit = calibrate(
        likelihood_of(study),
        rng=streams.fit,
        starts=options.starts,
        refine=options.refine,
        method=one_of(options.method, FIT_METHODS, "method of calibration", CalibrationError),
        pieces=pieces,
        progress=progress,
    )
    if fit.likelihood.size > EXACT:
        return Calibrated(study, fit, fit, None, pd.DataFrame(), None, streams)
    drawn = approximate_posterior(fit, _PICTURED, rng=streams.posterior, progress=progress)
    between = pool_scales(fit)
    given = given_pool_scales(fit, between)
    shown = replace(fit, theta=given.theta, covariance=given.covariance)
    return Calibrated(study, fit, shown, fit_statistics(given), between, drawn, streams)


def save_fit(fit: Calibration, folder: Path, hashes: Mapping[str, str]) -> None:
    """Write a fit: one file to load again, and two tables to read.

    Examples
    --------
    >>> from beltcast.workflows.calibrate import save_fit
    >>> save_fit(fit, folder, study.hashes)  # doctest: +SKIP
    """
    save_calibration(fit, folder, hashes)
    _save_tables(fit, fit.table(), folder)


def _save_tables(fit: Calibration, table: pd.DataFrame, folder: Path) -> None:
    table.to_csv(folder / "calibration.csv", float_format="%.6g")
    fit.fit_table().to_csv(folder / "fit.csv", index=False, float_format="%.6g")
