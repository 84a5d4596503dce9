"""Two tests of an attribution against the observations.

`against_null` tests whether the drivers need to interact: the model and its version without
interaction (`beltcast.model.variants.without_interaction`) are fitted to what was published by a
date, with the same priors, and each is scored by its density of levels published later.

`placebo` tests whether an effect depends on the dates at which it began: the dates are moved, the
model is fitted again, and the estimate of the effect should shrink and the fit worsen. If they do
not, the observations cannot distinguish the effect from a trend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from beltcast.engine.nodes import FloatArray
from beltcast.errors import CalibrationError, InputError
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.inference.assemble import make_likelihood
from beltcast.inference.calibrate import Calibration, calibrate
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.residuals import precisions
from beltcast.inference.sampling.posterior import approximate_posterior
from beltcast.inference.updating.carry_draws import predictive
from beltcast.model.variants import move, without_interaction
from beltcast.schema import ROW, Progress
from beltcast.streams import Random, Streams
from beltcast.study.study import Study

TELLING = 2.0
"""Difference of log evidence that counts as evidence."""

FEWEST_ROWS = 10
"""Held-out levels below which a bootstrap over them gives no interval to judge by."""


def against_null(
    study: Study,
    *,
    rng: Random,
    published_by: float,
    switches: Sequence[str] | None = None,
    draws: int = 400,
    moves: int = 30,
    starts: int = 32,
    refine: int = 3,
    resamples: int = 4000,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Score the model and its version without interaction on levels published after a date.

    The density of a row is that of the posterior predictive: for each draw of the model's
    parameters a normal in logs (`beltcast.inference.updating.carry_draws`; with Student's tails a
    mixture of them), whose mean and variance include what the early observations say about offsets,
    trends and shocks, then the mean over draws.  Sampled offsets, whose standard deviation is 1.5
    against 0.1 of a row, would let a few draws decide the result.  Each row is scored separately:
    rows of one year or definition share their surprises, and some are about years before the date,
    so that the interval, a bootstrap over rows, is if anything too narrow.

    Parameters
    ----------
    study : Study
    rng : Streams, numpy.random.Generator or int
        Both models get the same child streams, so that they differ only in the interaction.
    published_by : float  [Year]
        Rows published at this date or before are fitted; levels published later are scored.
    switches : sequence of str, optional
        Those of the study's table ``[drivers]`` by default.
    draws, moves, starts, refine : int
        As for `sample` and `calibrate`.
    resamples : int
        Number of bootstrap samples.
    pieces : Pieces, optional
        Store of finished refinements of the fits, to resume from.
    progress : Progress, optional

    Returns
    -------
    xarray.Dataset
        ``log_density`` (version, row) of the log of the observation, with ``place``, ``end`` and
        ``line`` of each row; ``log_evidence`` (version) of the fitted observations, by Laplace's
        approximation and up to a constant that both share; attributes ``difference``, the full
        model's sum minus the null model's, and its 80% interval ``difference_p10`` to
        ``difference_p90``.

    Raises
    ------
    InputError
        No level was published after the date, or nothing before it.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import read_study
    >>> from beltcast.drivers.attribution.null_models import against_null
    >>> study, rng = read_study(), np.random.default_rng(1)
    >>> score = against_null(study, rng=rng, published_by=2023.5)  # doctest: +SKIP
    """
    rows = study.observations.rows
    later, scored = held_out(study, published_by)
    streams = Streams.of(rng)
    densities, evidence = [], []
    off = study.roles.switches if switches is None else switches
    models = (study.model, without_interaction(study.model, off))
    for number, model in enumerate(models):
        whole = make_likelihood(model, study.priors, study.observations, study.noise)
        early = whole.without(later)
        own = pieces.of(f"null {number}")
        fit = calibrate(early, rng=streams.fit, starts=starts, refine=refine, pieces=own)
        posterior = approximate_posterior(fit, draws, rng=streams.posterior, moves=moves)
        densities.append(_log_density(whole, later, fit.theta, posterior.theta)[scored[later]])
        evidence.append(_evidence(fit))
        if progress is not None:
            progress("null", number + 1, len(models))
    table = np.stack(densities)
    low, high = _bootstrap(table[0] - table[1], resamples, streams.bootstrap)
    kept = [row for row, is_scored in zip(rows, scored, strict=True) if is_scored]
    return xr.Dataset(
        {
            "log_density": (
                ("version", ROW),
                table,
                {"units": "1", "long_name": "Log of the predictive density of log(value)"},
            ),
            "log_evidence": ("version", evidence, {"units": "1"}),
        },
        {
            "version": ["full", "no interaction"],
            "place": (ROW, [row.place for row in kept]),
            "end": (ROW, [row.end for row in kept]),
            "line": (ROW, [row.line for row in kept]),
        },
        {
            "published_by": published_by,
            "fitted_rows": int((~later).sum()),
            "difference": float((table[0] - table[1]).sum()),
            "difference_p10": low,
            "difference_p90": high,
        },
    )


def held_out(study: Study, published_by: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find the rows that a test holds out.

    Parameters
    ----------
    study : Study
    published_by : float  [Year]

    Returns
    -------
    later, scored : (row,) of bool
        Rows published after the date, and the levels among them.

    Raises
    ------
    InputError
        No level was published after the date, or nothing before it.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.drivers.attribution.null_models import held_out
    >>> later, scored = held_out(read_study(), 2023.5)
    >>> bool(later.sum() > scored.sum() > 0)
    True
    """
    rows = study.observations.rows
    later = np.array([row.published > published_by for row in rows])
    scored = later & np.array([row.kind == "level" for row in rows])
    if not scored.any() or later.all():
        raise InputError(
            f"{int(scored.sum())} levels were published after {published_by:g} and "
            f"{int((~later).sum())} by then; choose a date between the first and the last"
        )
    return later, scored


def placebo(
    study: Study,
    constant: str,
    gain: str,
    *,
    rng: Random,
    shifts: Sequence[float] = (-2.0, 2.0),
    starts: int = 32,
    refine: int = 3,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Fit the model with dates moved and follow the estimate of a gain.

    Parameters
    ----------
    study : Study
    constant : str
        The dates: a constant over one subscript range.
    gain : str
        Parameter whose estimate is followed.
    rng : Streams, numpy.random.Generator or int
        Every fit gets the same starts.
    shifts : sequence of float  [Year]
        Shifts of all dates; the true dates are always fitted first.
    starts, refine : int
        As for `calibrate`.
    pieces : Pieces, optional
        Store of finished refinements of the fits, to resume from.
    progress : Progress, optional

    Returns
    -------
    xarray.Dataset
        Along ``shift``: ``gain`` and ``gain_sd`` (posterior, at the optimum), ``gain_chance`` of a
        positive one, ``cost`` (negative log posterior density) and ``log_evidence`` (Laplace's
        approximation, up to a constant that all shifts share).

    Raises
    ------
    UnknownName, CalibrationError
        The constant or the parameter does not exist.
    InputError
        The constant does not hold one date for each element of a range.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.drivers.attribution.null_models import placebo
    >>> dates, gain = "Zone Year", "Support Gain"
    >>> table = placebo(read_study(), dates, gain, rng=1)  # doctest: +SKIP
    """
    true = true_dates(study, constant, gain)
    streams = Streams.of(rng)
    moved = (0.0, *(s for s in shifts if s != 0.0))
    fits = []
    for number, shift in enumerate(moved):
        dates: Mapping[str, float] = {e: year + shift for e, year in true.items()}
        model = move(study.model, {constant: dates})
        likelihood = make_likelihood(model, study.priors, study.observations, study.noise)
        own = pieces.of(f"placebo {number}")
        fits.append(
            calibrate(likelihood, rng=streams.fit, starts=starts, refine=refine, pieces=own)
        )
        if progress is not None:
            progress("placebo", number + 1, len(moved))
    i = study.priors.labels.index(gain)
    middle = np.array([fit.theta[i] for fit in fits])
    sd = np.array([np.sqrt(fit.covariance[i, i]) for fit in fits])
    return xr.Dataset(
        {
            "gain": ("shift", middle, {"units": "1", "long_name": f"{gain}, working scale"}),
            "gain_sd": ("shift", sd, {"units": "1", "long_name": "Its standard deviation"}),
            "gain_chance": ("shift", norm.cdf(middle / sd), {"units": "1"}),
            "cost": ("shift", [fit.cost for fit in fits], {"units": "1"}),
            "log_evidence": ("shift", [_evidence(fit) for fit in fits], {"units": "1"}),
        },
        {"shift": ("shift", list(moved), {"units": "Year"})},
        {"constant": constant, "parameter": gain, "prior_sd": float(study.priors.sigma[i])},
    )


def true_dates(study: Study, constant: str, gain: str) -> dict[str, float]:
    """Return the dates that a placebo moves, by element.

    Raises
    ------
    UnknownName, CalibrationError
        The constant or the parameter does not exist.
    InputError
        The constant does not hold one date for each element of a range.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.drivers.attribution.null_models import true_dates
    >>> min(true_dates(read_study(), "Zone Year", "Support Gain").values()) > 2014
    True
    """
    if gain not in study.priors.labels:
        raise CalibrationError(f"'{gain}' has no prior, so no fit estimates it")
    dims = study.model.find(constant).dims
    if len(dims) != 1:
        raise InputError(
            f"'{constant}' is not a constant over one range; name one that holds dates"
        )
    return {e: study.model.value(f"{constant}[{e}]") for e in study.model.subscripts[dims[0]]}


def null_words(score: xr.Dataset) -> str:
    """Say whether interaction is supported: only if the 80% interval lies above zero.

    Parameters
    ----------
    score : xarray.Dataset
        As `against_null` returns it.
    """
    a = score.attrs
    if score.sizes[ROW] < FEWEST_ROWS:
        return (
            f"Held out: too few levels ({score.sizes[ROW]}, at least {FEWEST_ROWS}) published "
            f"after {a['published_by']:g} to compare the model with the null model."
        )
    if not np.isfinite(a["difference"]):
        return "Held out: a level has no density under one of the models, so they do not compare."
    if a["difference_p10"] > 0:
        words = "the interaction of the drivers is supported"
    elif a["difference_p90"] < 0:
        words = "the model without interaction forecasts better: synergy is not supported"
    else:
        words = "the model without interaction forecasts as well: synergy is not supported"
    return (
        f"Held out: {score.sizes[ROW]} levels published after {a['published_by']:g}, the model "
        f"fitted to the {a['fitted_rows']} observations before; log score {a['difference']:+.2f} "
        f"relative to the null model without interaction (80% interval {a['difference_p10']:+.2f} "
        f"to {a['difference_p90']:+.2f}): {words}."
    )


def placebo_words(table: xr.Dataset) -> str:
    """Say whether a gain depends on its dates.

    It does if every wrong date costs more than `TELLING` (2) of log evidence, a Bayes factor of
    about 7, which is called positive evidence (Kass and Raftery 1995).
    """
    a = table.attrs
    evidence = table["log_evidence"].values
    loss = evidence[0] - evidence[1:]
    if not np.isfinite(loss).all():
        return f"Placebo dates ({a['constant']} moved): a fit has no evidence, so none compares."
    parts = [
        f"{float(s):+g} years {float(g):.2f} ± {float(sd):.2f} (log evidence {-d:+.1f})"
        for s, g, sd, d in zip(
            table["shift"].values[1:],
            table["gain"].values[1:],
            table["gain_sd"].values[1:],
            loss,
            strict=True,
        )
    ]
    if (loss > TELLING).all():
        words = "the observations favour the true dates"
    else:
        best = float(table["shift"][1:][int(np.argmin(loss))])
        words = (
            f"the observations do not favour the true dates over dates moved by {best:+g} years, "
            "so the gain is no finding about the dates"
        )
    return (
        f"Placebo dates ({a['constant']} moved): {a['parameter']} "
        f"{float(table['gain'][0]):.2f} ± {float(table['gain_sd'][0]):.2f} with the true dates; "
        + "; ".join(parts)
        + f": {words}."
    )


def _log_density(
    whole: Likelihood, later: NDArray[np.bool_], near: FloatArray, theta: FloatArray
) -> FloatArray:
    """Posterior predictive density of the log of each later row; (N, size) -> (k,).

    If standard deviations are estimated, each draw has its own for a row, and errors that rows
    share have that of the optimum.
    """
    expected = predictive(whole, later, theta[:, : whole.n_parameters], near)
    good = np.isfinite(expected.middle).all(axis=1)
    shared = np.diag(expected.covariance) - expected.own**2
    own = whole.row_sds(theta[good])[:, later] ** 2
    # Student's t is a mixture of normals, and shared errors add their variance to each of them.
    precision, weight = precisions(whole.noise.tails)
    sd = np.sqrt(shared + own / precision[:, None, None])
    logs = norm.logpdf(whole.published[later], expected.middle[good], sd)
    density: FloatArray = logsumexp(logs, axis=(0, 1), b=weight[:, None, None] / good.sum())
    return density


def _bootstrap(
    differences: FloatArray, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """80% interval of the sum, by drawing rows with replacement."""
    n = len(differences)
    sums = differences[rng.integers(0, n, (resamples, n))].sum(axis=1)
    low, high = np.quantile(sums, [0.1, 0.9])
    return float(low), float(high)


def _evidence(fit: Calibration) -> float:
    """Laplace's approximation to the log evidence, up to a constant."""
    _, log_det = np.linalg.slogdet(fit.covariance)
    return float(-fit.cost + 0.5 * log_det)
