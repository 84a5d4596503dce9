"""What the observations determine, and what they do not: every check of a fit, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from rich.console import Group, RenderableType

from beltcast.display.lines import save_chart
from beltcast.drivers.answers import shown
from beltcast.drivers.attribution.attribute import attribute
from beltcast.drivers.attribution.evidence import driver_evidence, evidence_page
from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.files.text import slug
from beltcast.forecasting.summary import (
    answers_identified,
    as_text,
    identification,
    shared_parameters,
)
from beltcast.inference.audit import identify as audit
from beltcast.inference.audit.contraction import ANSWER, OF, QUANTITY, contraction
from beltcast.inference.audit.power_scaling import log_parts, power_scaling
from beltcast.inference.audit.profiles import Profile, profiles
from beltcast.inference.audit.shrinkage import shrinkage, shrinkage_words
from beltcast.inference.calibrate import Calibration
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.posterior import Draws, approximate_posterior, sample_prior
from beltcast.pictures import plots, plots_identified
from beltcast.schema import MEMBER, PLACE, Progress, no_progress
from beltcast.streams import Random, Streams
from beltcast.study.study import Study
from beltcast.workflows.draws import draw_without_contrasts

PAIRS = 6
"""Number of charts of confounded pairs, the strongest first."""


@dataclass(frozen=True)
class IdentifyOptions:
    """Extent of `identify`.

    Attributes
    ----------
    year : int, optional
        Year of the answers; that of the study by default.
    draws : int
        Draws of the posterior and of the prior.
    profiles : int
        Number of parameters to profile: the best-known ones that places share.
    sources : int
        Number of sources to leave out, one at a time: those with the most rows.
    by : 'role' or 'parameter'
        Power-scale the priors of each role together, or of each parameter.
    """

    year: int | None = None
    draws: int = 400
    profiles: int = 6
    sources: int = 8
    by: str = "role"


@dataclass(frozen=True, eq=False)
class Identification:
    """What `identify` finds.

    Attributes
    ----------
    fit : Calibration
    posterior : Draws
    answer : str
        The answer watched: the target of the whole in the year.
    whole : str
        Name of the place that is the sum of all.
    spectrum : Spectrum
    confounded, left_out, left_out_sources, answers, power_scaling, shrinkage : pandas.DataFrame
    drivers : pandas.DataFrame
        Contribution of each driver under the priors, with the data and with the contrasts
        (`beltcast.drivers.attribution.evidence`); empty for a study without contrasts or drivers.
    prior_pull : pandas.Series
    profiles : list of Profile
    """

    fit: Calibration
    posterior: Draws
    answer: str
    whole: str
    spectrum: audit.Spectrum
    confounded: pd.DataFrame
    prior_pull: pd.Series
    left_out: pd.DataFrame
    left_out_sources: pd.DataFrame
    profiles: list[Profile]
    answers: pd.DataFrame
    power_scaling: pd.DataFrame
    shrinkage: pd.DataFrame
    drivers: pd.DataFrame

    @property
    def whole_answers(self) -> pd.DataFrame:
        """Answers about the whole."""
        return self.answers[self.answers["place"] == self.whole]

    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Every table, by name."""
        return {
            "confounded": self.confounded,
            "prior_pull": self.prior_pull.to_frame("posterior sd"),
            "left_out": self.left_out,
            "left_out_sources": self.left_out_sources,
            "answers": self.answers,
            "power_scaling": self.power_scaling,
            "shrinkage": self.shrinkage,
            "drivers": self.drivers,
        }

    def page(self) -> RenderableType:
        """Lay out the findings for a `rich` console."""
        nation = self.whole_answers
        moves = self.power_scaling.loc[list(nation.index)]
        parts: list[RenderableType] = [
            identification(
                self.spectrum,
                self.confounded,
                self.prior_pull,
                self.left_out,
                self.profiles,
                self.answer,
            ),
            answers_identified(nation, moves, self.left_out_sources, nation.index[0]),
        ]
        if len(self.shrinkage):
            parts.append("\n" + shrinkage_words(self.shrinkage))
        if len(self.drivers):
            parts.append(evidence_page(self.drivers, self.whole, self.drivers.attrs["year"]))
        return Group(*parts)


def identify(
    study: Study,
    fit: Calibration,
    options: IdentifyOptions | None = None,
    *,
    rng: Random,
    posterior: Draws | None = None,
    progress: Progress | None = None,
) -> Identification:
    """Find what the observations of a study determine and what only the priors do.

    Parameters
    ----------
    study : Study
    fit : Calibration
        Of the study.
    options : IdentifyOptions, optional
    rng : Streams, numpy.random.Generator or int
    posterior : Draws, optional
        Draws to use, such as those of `beltcast.sample`; those of `approximate_posterior` by
        default.
    progress : Progress, optional

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import calibrate, identify, read_study
    >>> study = read_study()
    >>> found = identify(study, calibrate(study, rng=rng), rng=1)  # doctest: +SKIP
    """
    options, tell = options or IdentifyOptions(), progress or no_progress
    streams = Streams.of(rng)
    likelihood = fit.likelihood
    watched: _Target | _LastRows
    if study.target:
        year = study.years.answer if options.year is None else options.year
        watched = _Target(study, year, streams)
    else:
        watched = _LastRows.of_columns(likelihood)
    leave_out = partial(audit.leave_out, fit, answer=watched.at, progress=progress)
    observations = likelihood.observations
    left_out = leave_out([row.definition for row in observations])
    by_source = leave_out([row.source for row in observations], most=options.sources)
    table = fit.table()
    places = study.shown() if study.target else []
    shared = shared_parameters(table, places).sort_values("sd_ratio")
    shared = shared.head(options.profiles)
    profiled = profiles(fit, list(shared.index), progress=progress)
    if posterior is None:
        posterior = approximate_posterior(
            fit, options.draws, rng=streams.posterior, progress=progress
        )
    prior = sample_prior(likelihood, options.draws, rng=streams.prior)
    tell("answers", 0, 2)
    answers = watched.answers(posterior)
    tell("answers", 1, 2)
    narrowed = contraction(answers, watched.answers(prior))
    tell("answers", 2, 2)
    kept = answers.sel(answer=narrowed.index)
    drivers = _drivers(study, fit, posterior, prior, streams, progress)
    return Identification(
        fit=fit,
        posterior=posterior,
        answer=watched.name,
        whole=watched.whole,
        spectrum=audit.spectrum(fit),
        confounded=audit.confounded(fit),
        prior_pull=audit.prior_pull(fit, watched.gradient(fit)),
        left_out=left_out,
        left_out_sources=by_source,
        profiles=profiled,
        answers=narrowed,
        power_scaling=power_scaling(
            kept, log_parts(posterior, options.by), rng=streams.permutation
        ),
        shrinkage=shrinkage(fit),
        drivers=drivers,
    )


def _drivers(
    study: Study,
    fit: Calibration,
    posterior: Draws,
    prior: Draws,
    streams: Streams,
    progress: Progress | None,
) -> pd.DataFrame:
    """Contribution of each driver by the end of the past: prior, data, data with contrasts."""
    data = draw_without_contrasts(fit, len(prior), rng=streams, progress=progress)
    if data is None or not study.roles.switches:
        return pd.DataFrame()
    table = driver_evidence(attribute(study, posterior, prior=prior, data=data))
    table.attrs["year"] = study.years.past[1]
    return table


@dataclass(frozen=True)
class _Target:
    """The target of a study in a year, as the answer that is watched."""

    study: Study
    year: int
    streams: Streams

    @property
    def name(self) -> str:
        return f"{self.study.target} of {self.year}"

    @property
    def whole(self) -> str:
        return self.study.whole(self.study.target)

    @property
    def rows(self) -> IntArray:
        return self.study.model.rows(self.study.target)

    def at(self, fit: Calibration) -> FloatArray:
        return audit.log_total(fit, self.rows, self.year + 1.0)

    def gradient(self, fit: Calibration) -> FloatArray:
        return audit.answer_gradient(fit, self.rows, self.year + 1.0)

    def answers(self, draws: Draws) -> xr.DataArray:
        return shown(self.study, draws, years=[self.year], rng=self.streams)


@dataclass(frozen=True)
class _LastRows:
    """The last value of each column of data, as the answers of a model without a target."""

    rows: IntArray
    names: tuple[str, ...]
    whole: str = "last values"

    @classmethod
    def of_columns(cls, likelihood: Likelihood) -> _LastRows:
        """Find them; columns that may be zero or negative are left out if others are not."""
        last: dict[str, int] = {}
        rows = likelihood.observations.rows
        for k, row in enumerate(rows):
            if row.definition not in last or row.end >= rows[last[row.definition]].end:
                last[row.definition] = k
        titles = likelihood.noise.definitions
        named = {f"{titles[name].title} at {rows[k].end:g}": k for name, k in last.items()}
        return cls(np.array(list(named.values())), tuple(named))

    @property
    def name(self) -> str:
        return self.names[0]

    def logs(self, likelihood: Likelihood, theta: FloatArray) -> FloatArray:
        expected = likelihood.natural(likelihood.expected(theta))[:, self.rows]
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(expected)
        return np.where(np.isfinite(logs), logs, np.nan)

    def at(self, fit: Calibration) -> FloatArray:
        return self.logs(fit.likelihood, fit.theta[None])[0, :1]

    def gradient(self, fit: Calibration) -> FloatArray:
        steps = 1e-3 * np.sqrt(np.diag(fit.covariance))
        moved = np.concatenate([fit.theta + np.diag(steps), fit.theta - np.diag(steps)])
        logs = self.logs(fit.likelihood, moved)[:, 0]
        slopes: FloatArray = (logs[: len(steps)] - logs[len(steps) :]) / (2.0 * steps)
        return slopes

    def answers(self, draws: Draws) -> xr.DataArray:
        along = {QUANTITY: "output", OF: "baseline", PLACE: self.whole}
        return xr.DataArray(
            self.logs(draws.likelihood, draws.theta),
            dims=(MEMBER, ANSWER),
            coords={
                ANSWER: list(self.names),
                **{name: (ANSWER, [text] * len(self.names)) for name, text in along.items()},
            },
        )


def save_identification(found: Identification, folder: Path) -> None:
    """Write tables (CSV), charts (PNG) and the summary (summary.txt) into a folder."""
    known, index = found.spectrum, found.fit.table().index
    directions = {f"direction {k + 1}": known.directions[:, k] for k in range(known.informed)}
    spectrum = pd.DataFrame(directions, index=index).assign(informed_share=known.share())
    spectrum.to_csv(folder / "spectrum.csv", float_format="%.4g")
    found.confounded.to_csv(folder / "confounded.csv", index=False, float_format="%.4g")
    pull = found.prior_pull
    pull.to_csv(folder / "prior-pull.csv", header=["posterior sd"], float_format="%.4g")
    found.left_out.to_csv(folder / "left-out.csv", float_format="%.4g")
    found.left_out_sources.to_csv(folder / "left-out-sources.csv", float_format="%.4g")
    found.answers.to_csv(folder / "contraction.csv", float_format="%.4g")
    found.power_scaling.to_csv(folder / "power-scaling.csv", float_format="%.4g")
    if len(found.drivers):
        found.drivers.to_csv(folder / "drivers.csv", float_format="%.4g")
    if len(found.shrinkage):
        found.shrinkage.to_csv(folder / "shrinkage.csv", index=False, float_format="%.4g")
    _profile_table(found.profiles).to_csv(folder / "profiles.csv", index=False, float_format="%.6g")
    for name, chart in _charts(found).items():
        save_chart(chart, folder / f"{name}.png")
    (folder / "summary.txt").write_text(as_text(found.page()), encoding="utf-8")


def _profile_table(profiles: list[Profile]) -> pd.DataFrame:
    columns = ("parameter", "value", "observations", "with prior")
    rows = [
        (one.label, *values)
        for one in profiles
        for values in zip(one.grid, one.likelihood_rise, one.posterior_rise, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def _charts(found: Identification) -> dict[str, Axes]:
    nation, answers = found.whole_answers, found.answers
    outputs = answers[answers["quantity"] == "output"]
    moves = found.power_scaling.loc[list(nation.index)]
    charts = {
        "waterfall": plots.starts_chart(found.fit),
        "sd-ratios": plots.sd_ratio_chart(found.fit),
        "answers": plots_identified.answers_chart(pd.concat([outputs, nation[1:]])),
        "power-scaling": plots_identified.power_chart(moves),
    }
    for row in found.confounded.head(PAIRS).itertuples():
        one, other = str(row.one), str(row.other)
        chart = plots_identified.pair_chart(found.posterior, one, other)
        charts[f"pair-{slug(one)}-{slug(other)}"] = chart
    return charts | {
        f"profile-{slug(one.label)}": plots.profile_chart(one) for one in found.profiles
    }
