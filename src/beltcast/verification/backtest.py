"""Forecasts from one origin of a backtest, and what was published later.

At every origin the study is cut to what was known (`origin`), everything is fitted again
and each later observation is forecast *in its own definition*: a draw is the number that would be
published, with its definition's offset and drift, the shock of its year and its own noise.

Forecasters of the model, all with the same random numbers:

==================  ==============================================================================
sd                  the posterior, inputs extrapolated by the rules of the origin
sd frozen drivers   the same draws, with the series of the drivers constant from the origin on
                    (not ex post, where there is no such date)
no interaction      the model whose drivers act alone (`variants`), fitted separately
sd prior            draws of the prior, offsets included
==================  ==============================================================================

They are compared with the baselines of `baselines`, which see the series' own history and the panel
of all series, as published by the origin; if a series has no history they give no forecast (NaN).
The pools of `pool` average the quantiles of ``sd`` and one baseline with equal weights; if the
baseline gives none they are ``sd`` alone.

The rows to forecast enter the fit with a placeholder for their value and no weight, so that their
nuisances (an offset never seen, the shock of a future year, an error shared by two rows of one
release) are drawn with the rest, correlated as in the noise model.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.threads import pause
from beltcast.errors import CalibrationError, InputError, MissingExtra
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.inference.assemble import make_likelihood
from beltcast.inference.calibrate import Calibration, calibrate, one_blas_thread
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.residuals import draw_errors
from beltcast.inference.sampling.posterior import Draws, approximate_posterior, sample_prior
from beltcast.model.model import Model
from beltcast.model.variants import without_interaction
from beltcast.schema import CASE, DRAW, FORECASTER
from beltcast.streams import Streams
from beltcast.study.study import Study
from beltcast.verification.baselines.baselines import BASELINES
from beltcast.verification.baselines.history import Baseline, History, Request
from beltcast.verification.origin import (
    LEADS,
    Case,
    as_known,
    histories,
    model_as_known,
    scales_as_known,
    targets,
)
from beltcast.verification.origin_rules import OriginRules
from beltcast.verification.pool import pools

BACKTEST_ENCODING = {"forecast": {"zlib": True, "complevel": 4, "shuffle": True}}
"""The draws are nearly all of a backtest's size."""

FITTED = ("sd", "no interaction")
"""Forecasters with a fit of their own."""


@dataclass(frozen=True)
class Settings:
    """Amount of work per origin.

    Attributes
    ----------
    draws, moves : int
        As for `sample`; the baselines give as many draws.  At early origins there are few
        observations, the posterior is far from Laplace's normal, and 30 moves are too few to leave
        it.
    starts, refine : int
        As for `calibrate`.
    switches : tuple of str, optional
        Constants that turn drivers off, for the forecaster without interaction; those of the
        study's table ``[drivers]`` by default.  Without any, there is no such forecaster.
    leads : tuple of int  [Year]
    ex_post : bool
        Give the model its inputs as known afterwards: not a forecast, but a way to split the error
        into that of the inputs and that of the model.
    seed : int
    """

    draws: int = 500
    moves: int = 100
    starts: int = 16
    refine: int = 3
    switches: tuple[str, ...] | None = None
    leads: tuple[int, ...] = LEADS
    ex_post: bool = False
    seed: int = 1


def usual_origins(study: Study) -> tuple[float, ...]:
    """Every half-year of five years, the last a year and a half after the end of the study's past.

    By the middle of a year customs and most cities have published the year before; at its start the
    year before is known to its third quarter.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.verification.backtest import usual_origins
    >>> usual_origins(read_study())[::5]
    (2020.5, 2023.0, 2025.5)
    """
    last = study.years.past[1] + 1.5
    return tuple(last - 0.5 * k for k in range(10, -1, -1))


def joined(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Combine origins.

    Raises
    ------
    InputError
        There is no origin.
    """
    if not parts:
        raise InputError("no origin was given; name at least one date such as 2022.5")
    return xr.concat(
        list(parts), CASE, data_vars="all", coords="different", compat="equals",
        join="exact", combine_attrs="override",
    )  # fmt: skip


@one_blas_thread()
def at_origin(
    study: Study,
    rules: OriginRules,
    date: float,
    *,
    settings: Settings | None = None,
    baselines: Mapping[str, Baseline] = BASELINES,
    pieces: Pieces = NOT_KEPT,
    cases: Sequence[Case] | None = None,
) -> xr.Dataset:
    """Forecast from one origin; the random numbers depend only on the seed and the date.

    Parameters
    ----------
    study : Study
        The whole one.
    rules : OriginRules
    date : float  [Year]
    settings : Settings, optional
    baselines : mapping
    pieces : Pieces, optional
        Store of finished fits and their draws.
    cases : sequence of Case, optional
        What to forecast; by default `targets`.

    Returns
    -------
    xarray.Dataset
        ``forecast`` (case, forecaster, draw), draws of the published number, and ``observed``
        (case), its last release [both in the model's unit of that row].  Along ``case``:
        ``origin``, ``lead`` (from the last complete year), ``year``, ``place``, ``definition``,
        ``quantity``, ``vintage`` and ``line`` of the row, its ``source``; ``last`` and ``scale``,
        the last level of the series' history and its mean absolute change of one year (NaN where
        there is none); ``history_years``, the number of years of that history; ``first``, 1 if
        nothing of the series had been published; ``fitted_rows``, and of the fits ``cost``,
        ``acceptance`` and ``start_correlation`` (case, fitted).  The attribute ``left_out`` names
        the baselines whose extra is not installed.

    Raises
    ------
    InputError
        Nothing was published by the date, or there is nothing to forecast.
    """
    chosen = settings or Settings()
    cases = targets(study, date, leads=chosen.leads) if cases is None else cases
    published = len(study.observations.published_by(date))
    if not cases or not published:
        raise InputError(
            f"the origin {date:g} has {published} observations to fit and {len(cases)} to "
            "forecast; choose one between the first and the last publication"
        )
    known = as_known(study, date, rules, ex_post=chosen.ex_post)
    streams = Streams(chosen.seed).under(f"origin {date:.4f}")
    known = scales_as_known(study, known, rng=streams.scales, starts=chosen.starts)
    # The later course of inputs is known ex post: there is no origin from which to hold them.
    frozen = None if chosen.ex_post else model_as_known(study.model, date, rules, frozen=True)
    forecasts, fits = _of_the_model(known, frozen, cases, chosen, streams, pieces)
    forecasts |= _of_baselines(known, cases, baselines, chosen.draws, streams.under("baselines"))
    forecasts |= pools(forecasts)
    result = _dataset(study, rules, known, date, cases, forecasts, fits, chosen)
    return result.assign_attrs(left_out=", ".join(sorted(baselines.keys() - forecasts.keys())))


def _of_the_model(
    known: Study,
    frozen: Model | None,
    cases: Sequence[Case],
    settings: Settings,
    streams: Streams,
    pieces: Pieces,
) -> tuple[dict[str, FloatArray], dict[str, tuple[Calibration, Draws]]]:
    """Draws of each forecaster of the model, (draws, cases), and their fits."""
    errors = draw_errors(streams.noise, known.noise.tails, (settings.draws, len(cases)))
    models: dict[str, Model] = {"sd": known.model}
    off = known.roles.switches if settings.switches is None else settings.switches
    if off:
        models["no interaction"] = without_interaction(known.model, off)
    forecasts: dict[str, FloatArray] = {}
    fits: dict[str, tuple[Calibration, Draws]] = {}
    for name in models:
        asked = _asked(replace(known, model=models[name]), cases)
        blind = asked.without(np.arange(len(asked.sds)) >= len(known.observations))
        own = pieces.of(name)
        fit = calibrate(
            blind,
            rng=streams.fit,
            starts=settings.starts,
            refine=settings.refine,
            threads=1,
            pieces=own,
        )
        posterior = approximate_posterior(
            fit, settings.draws, rng=streams.posterior, moves=settings.moves, pieces=own
        )
        forecasts[name] = _printed(asked, posterior.theta, errors)
        fits[name] = fit, posterior
    asked = _asked(known, cases)
    if frozen is not None:
        still = replace(asked, model=frozen)
        forecasts["sd frozen drivers"] = _printed(still, fits["sd"][1].theta, errors)
    prior = sample_prior(asked, settings.draws, rng=streams.prior)
    forecasts["sd prior"] = _printed(asked, prior.theta, errors)
    order = ("sd", "sd frozen drivers", "no interaction", "sd prior")
    return {name: forecasts[name] for name in order if name in forecasts}, fits


def _asked(known: Study, cases: Sequence[Case]) -> Likelihood:
    """The likelihood of the known rows, with the rows to forecast at the end.

    Their values are not used: the placeholder is one unit.
    """
    asked = tuple(replace(case.row, value=1.0, within=None) for case in cases)
    rows = replace(known.observations, rows=known.observations.rows + asked)
    return make_likelihood(known.model, known.priors, rows, known.noise)


def _printed(asked: Likelihood, theta: FloatArray, errors: FloatArray) -> FloatArray:
    """Published numbers, (draws, cases), with errors in standard deviations of the same shape.

    A draw whose run is not positive is replaced by another.
    """
    n = errors.shape[1]
    logs = asked.expected(theta)[:, -n:]
    good = np.isfinite(logs).all(axis=1)
    if not good.any():
        raise CalibrationError(
            f"none of {len(theta)} draws gives a positive value; look at the priors with the "
            "command 'beltcast check'"
        )
    kept = np.arange(len(theta))
    kept[~good] = np.resize(np.flatnonzero(good), int((~good).sum()))
    printed: FloatArray = np.exp(logs[kept] + asked.row_sds(theta)[kept, -n:] * errors)
    return printed


def _of_baselines(
    known: Study,
    cases: Sequence[Case],
    baselines: Mapping[str, Baseline],
    draws: int,
    streams: Streams,
) -> dict[str, FloatArray]:
    """Draws of each baseline, (draws, cases); one whose extra is not installed is left out."""
    panel = list(histories(known.observations, known.noise).values())
    out: dict[str, FloatArray] = {}
    for name, baseline in baselines.items():
        try:
            out[name] = _of_baseline(baseline, cases, panel, draws, streams.stream(name))
        except MissingExtra:
            continue
    return out


def _of_baseline(
    baseline: Baseline,
    cases: Sequence[Case],
    panel: Sequence[History],
    draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    forecast = np.full((draws, len(cases)), np.nan)
    with_history = [i for i, case in enumerate(cases) if case.history is not None]

    def series(i: int) -> tuple[str, str, str, float]:
        row = cases[i].row
        return row.place, row.quantity, row.definition, round(row.end - row.start, 3)

    for _, group in itertools.groupby(sorted(with_history, key=series), key=series):
        pause()
        members = list(group)
        history = cases[members[0]].history
        assert history is not None
        # Two releases of one year have one forecast.
        years, column = np.unique([cases[i].year for i in members], return_inverse=True)
        drawn = baseline(Request(history, years, panel, draws), rng=rng)
        forecast[:, members] = drawn[:, column]
    return forecast


def _dataset(
    study: Study,
    rules: OriginRules,
    known: Study,
    date: float,
    cases: Sequence[Case],
    forecasts: Mapping[str, FloatArray],
    fits: Mapping[str, tuple[Calibration, Draws]],
    settings: Settings,
) -> xr.Dataset:
    rows = [case.row for case in cases]
    n = len(cases)

    def of_fits(values: Sequence[float]) -> tuple[tuple[str, str], FloatArray]:
        return (CASE, "fitted"), np.tile(np.array(values, dtype=np.float64), (n, 1))

    stacked = np.stack([forecasts[name].T for name in forecasts], axis=1)
    return xr.Dataset(
        {
            "forecast": (
                (CASE, FORECASTER, DRAW),
                stacked.astype(np.float32),
                {"long_name": "Draws of the published number", "units": "unit of the case"},
            ),
            "observed": (
                CASE,
                [row.value for row in rows],
                {"long_name": "Last release of the number", "units": "unit of the case"},
            ),
            "cost": of_fits([fits[name][0].cost for name in fits]),
            "acceptance": of_fits([fits[name][1].acceptance for name in fits]),
            "start_correlation": of_fits([fits[name][1].start_correlation for name in fits]),
        },
        {
            FORECASTER: list(forecasts),
            "fitted": list(fits),
            "origin": (CASE, np.full(n, date), {"units": "Year"}),
            "lead": (CASE, [case.lead for case in cases], {"units": "Year"}),
            "year": (CASE, [case.year for case in cases]),
            "place": (CASE, [row.place for row in rows]),
            "quantity": (CASE, [row.quantity for row in rows]),
            "definition": (CASE, [row.definition for row in rows]),
            "vintage": (CASE, [row.vintage for row in rows]),
            "printed": (CASE, [case.printed for case in cases]),
            "unit": (CASE, [_unit(study, row.quantity) for row in rows]),
            "line": (CASE, [row.line for row in rows]),
            "source": (CASE, [row.source for row in rows]),
            "last": (CASE, [_last(case.history) for case in cases]),
            "scale": (CASE, [_scale(case.history) for case in cases]),
            "history_years": (
                CASE,
                [0 if c.history is None else len(c.history.years) for c in cases],
            ),
            "first": (CASE, np.array([case.first for case in cases], dtype=np.int8)),
            "fitted_rows": (CASE, np.full(n, len(known.observations))),
        },
        {
            "whole": study.whole(study.target),
            "information": "inputs ex post" if settings.ex_post else "as known at the origin",
            "draws": settings.draws,
            "seed": settings.seed,
            **provenance(study, rules),
        },
    )


def provenance(study: Study, rules: OriginRules) -> dict[str, str]:
    """Return the title, labels and hashes of all files that a backtest depends on."""
    return {**study.provenance(), "rules_sha256": rules.sha256}


def _unit(study: Study, quantity: str) -> str:
    return study.model.find(quantity).unit.removesuffix("/Year")


def _last(history: History | None) -> float:
    return float("nan") if history is None else float(history.values[-1])


def _scale(history: History | None) -> float:
    """Mean absolute change from one year to the next; NaN if no two years follow each other."""
    if history is None:
        return float("nan")
    one_year = np.diff(history.years) == 1
    changes = np.abs(np.diff(history.values))[one_year]
    return float(changes.mean()) if len(changes) else float("nan")
