"""Simulation-based calibration: whether the inference recovers known truths.

Unknowns are drawn from the prior, observations from the unknowns, and the whole of the inference
(fit, chains) is run on those observations.  If it is right, the rank of each true value among its
posterior draws is uniform (Talts, Betancourt, Simpson, Vehtari and Gelman 2018, arXiv:1804.06788):
ranks that pile up in the middle mean intervals that are too wide, at the ends too narrow, on one
side a bias. The log likelihood is ranked too, as if it were an unknown: it detects an inference
that ignores the observations, which the others do not (Modrák and others 2023, Bayesian Analysis
20, 461-488).  So are answers, outputs of the model in a later year: they are what the inference is
for.

Synthetic observations have the shape of the real file: the same rows, dates, definitions and noise.
A row that is a bound states whether the truth lies above or below a threshold; its synthetic
counterpart keeps the threshold and draws the side; a rounded number lies somewhere in an interval
as wide as the real one's.

A result identifies its density by the density itself: its residuals at fixed points
(`fingerprint`).  A model that has more outputs, or is written in another way, has the same density
and keeps its result; one with other answers does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import binom, chisquare

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.run.threads import side_by_side
from beltcast.errors import CalibrationError, InputError
from beltcast.inference.calibrate import calibrate
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.residuals import draw_errors, log_cdf
from beltcast.inference.sampling.sampler import SampleOptions, sample
from beltcast.inference.simulated import simulate_observations
from beltcast.schema import PARAMETER, SET, Progress
from beltcast.streams import Random, Streams
from beltcast.study.study import Study

FIT = "log likelihood"
"""Name of the log likelihood, which is ranked beside the unknowns."""

WALKERS = 16
"""Walkers of a set: as many as one block of the compiled model, which runs only whole blocks."""

RECORDS = 7
"""Draws of each walker; few and far apart, because ranks need independent draws."""

RANKS = 99
"""Draws, of the 112, that a truth is ranked among: a hundred ranks make ten even bins."""

RANK_BINS = 10

FINGERPRINT_POINT = "point"
RESIDUAL = "residual"

_POINTS = 3
"""Points that identify a density: one would do, if it were not for walls and kinks."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Answers that are ranked beside the unknowns: logs of yearly totals of one run.

    Attributes
    ----------
    rows : mapping of str to (r,) int
        Name to the rows of the program that are summed, such as ``model.rows("output")``.
    year : int
    """

    rows: Mapping[str, IntArray]
    year: int

    @classmethod
    def by_place(cls, study: Study, year: int) -> Asked:
        """Return the target of a study: of all places together, and of each."""
        rows = study.model.rows(study.target)
        whole, *places = study.shown()
        return cls({whole: rows, **{name: rows[[i]] for i, name in enumerate(places)}}, year)

    @property
    def names(self) -> list[str]:
        """Names of the answers."""
        return [f"{name} {self.year}" for name in self.rows]

    def of(self, likelihood: Likelihood, theta: FloatArray) -> FloatArray:
        """Compute them; (N, size) -> (N, answers)."""
        run = likelihood.model.batch(
            likelihood.rows_of,
            likelihood.values(theta[:, : likelihood.n_parameters]),
            outputs=np.empty(0, dtype=np.int64),
            totals=np.concatenate(list(self.rows.values())),
            saves=[self.year, self.year + 1.0],
        )
        ends = np.cumsum([len(rows) for rows in self.rows.values()])[:-1]
        parts = np.split(run[1] - run[0], ends)
        logs: FloatArray = np.log([part.sum(axis=0) for part in parts]).T
        return logs


def sbc(
    likelihood: Likelihood,
    *,
    sets: int,
    rng: Random,
    every: int | None = None,
    burn_in: int | None = None,
    threads: int | None = None,
    asked: Asked | None = None,
    done: xr.Dataset | None = None,
    keep: Callable[[xr.Dataset], None] | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    r"""Rank true unknowns among their posterior draws.

    Parameters
    ----------
    likelihood : Likelihood
        Of the real observations, whose form is used, not their values. Contrasts are excluded.
    sets : int
        Synthetic data sets.
    rng : Streams, numpy.random.Generator or int
        Each set has streams of its own.
    every, burn_in : int, optional
        As for `beltcast.sample`; the burn-in is 20 moves for each parameter by
        default, at least 200: the result shows that such chains are enough.
    threads : int, optional
        Sets in parallel; one per processor by default. The result does not depend on it.
    asked : Asked, optional
        Answers to rank beside the unknowns, at hardly any cost.
    done : xarray.Dataset, optional
        Sets that were finished before, of the same likelihood and seed.
    keep : callable, optional
        Called with all finished sets now and then, to store them.
    progress : Progress, optional

    Returns
    -------
    xarray.Dataset
        ``rank`` (set, parameter), of the truth among `RANKS` draws; ``truth``, ``mean`` and ``sd``
        on working scales; ``fingerprint`` (point, residual) of the density.

    Raises
    ------
    InputError
        `done` has other unknowns, another seed or another density.

    Examples
    --------
    >>> from pathlib import Path
    >>> from beltcast import load_model, make_likelihood, read_series, read_voc, sbc
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> _ = Path("stock.csv").write_text("time,Stock\n1,82\n2,67\n3,55\n")
    >>> _ = Path("decay.voc").write_text("2<=Lifetime=5<=10\n")
    >>> series = read_series("stock.csv", model)
    >>> priors = read_voc("decay.voc", model)
    >>> likelihood = make_likelihood(model, priors, series.observations, series.noise)
    >>> sbc(likelihood, sets=2, rng=1)["rank"].sizes["set"]
    2
    """
    likelihood, streams = likelihood.without_contrasts(), Streams.of(rng)
    key = streams.key.bytes(8).hex()
    answers = len(asked.rows) if asked else 0
    names = [*likelihood.labels, FIT, *(asked.names if asked else [])]
    if done is not None and (done.attrs["key"] != key or list(done[PARAMETER].values) != names):
        raise InputError(
            "the finished sets belong to other unknowns or another seed; give those of that "
            "run, or "
            "start again without --resume"
        )
    if done is not None and not same_density(done, likelihood):
        raise InputError(
            "the finished sets belong to another density: the model, the observations, the "
            "priors or "
            "the noise have changed since; start again without --resume"
        )
    of = fingerprint(likelihood)
    finished = []
    if done is not None:
        sets_done = done.drop_vars("fingerprint")
        finished = [sets_done.isel({SET: [i]}) for i in range(min(sets, done.sizes[SET]))]
    rest = [streams.under(f"set {i}") for i in range(len(finished), sets)]
    for one in side_by_side(
        lambda own: _one_set(likelihood, asked, own, every, burn_in), rest, threads
    ):
        finished.append(one)
        if progress is not None:
            progress("sets", len(finished), sets)
        if keep is not None and len(finished) % 10 == 0:
            keep(_joined(finished, key, answers, of))
    return _joined(finished, key, answers, of)


def fingerprint(likelihood: Likelihood) -> FloatArray:
    """Identify a density by its residuals at fixed points: the centre and draws of the priors.

    Contrasts are excluded, as in `sbc`.

    Returns
    -------
    (point, residual)
    """
    rng = np.random.default_rng(0)
    z = likelihood.priors.draw(rng, _POINTS)
    z[0] = likelihood.priors.mu
    nuisances = rng.standard_normal((_POINTS, len(likelihood.nuisances)))
    theta = np.concatenate([z, nuisances], axis=1)
    return likelihood.without_contrasts().residuals(theta)


def same_density(result: xr.Dataset, likelihood: Likelihood) -> bool:
    """Whether a result has this density, up to rounding.

    Parameters
    ----------
    result : xarray.Dataset
        As `sbc` returns it.
    likelihood : Likelihood
    """
    now = fingerprint(likelihood)
    then = result["fingerprint"].values if "fingerprint" in result else np.empty(0)
    labels = [str(name) for name in result[PARAMETER].values[: likelihood.size]]
    alike = labels == list(likelihood.labels) and then.shape == now.shape
    return alike and bool(np.allclose(then, now, rtol=1e-6, atol=1e-9))


def synthetic(
    likelihood: Likelihood, rng: np.random.Generator, attempts: int = 100
) -> tuple[FloatArray, Likelihood]:
    """Unknowns from the prior, and the likelihood of observations drawn from them.

    Returns
    -------
    theta : (size,)
    synthetic : Likelihood
        Of the same rows with other values, and bounds that hold.

    Raises
    ------
    CalibrationError
        No draw of the prior could be simulated.
    """
    for _ in range(attempts):
        z = likelihood.priors.draw(rng, 1)
        nuisances = rng.standard_normal((1, len(likelihood.nuisances)))
        theta = np.concatenate([z, nuisances], axis=1)
        expected = likelihood.expected(theta)[0]
        # The posterior gives points that cannot be simulated no probability: so must the prior
        # here.
        if np.isfinite(expected).all():
            return theta[0], _simulated(likelihood, theta, expected, rng)
    raise CalibrationError(
        f"none of {attempts} draws of the prior could be simulated; look at the priors with the "
        "command 'beltcast check'"
    )


def uniformity(result: xr.Dataset) -> pd.DataFrame:
    """Uniformity of the ranks of each unknown, and coverage of intervals.

    Parameters
    ----------
    result : xarray.Dataset
        As `sbc` returns it.

    Returns
    -------
    pandas.DataFrame
        By unknown: ``p_value`` of Pearson's chi-squared in ten bins; ``end_p_value`` of as many
        truths beyond all draws, on the worse side, which ten bins are too wide to see (binomial,
        two-sided by doubling); ``coverage``, the share of
        true values in the central 80 % interval; ``bias``, the mean of (mean - truth) / sd;
        ``shrinkage``, 1 minus the mean of sd^2 over the variance of the truths;
        ``recovery``, the correlation of means and truths.
    """
    ranks = result["rank"].values
    bins = np.minimum(ranks * RANK_BINS // (RANKS + 1), RANK_BINS - 1)
    counts = np.array([(bins == b).sum(axis=0) for b in range(RANK_BINS)])
    truth, mean, sd = (result[name].values for name in ("truth", "mean", "sd"))
    with np.errstate(invalid="ignore", divide="ignore"):
        table = {
            "p_value": chisquare(counts, axis=0).pvalue,
            "end_p_value": _beyond_all_draws(ranks),
            "coverage": ((ranks >= 10) & (ranks < 90)).mean(axis=0),
            "bias": ((mean - truth) / sd).mean(axis=0),
            "shrinkage": 1.0 - (sd**2).mean(axis=0) / truth.var(axis=0),
            "recovery": [np.corrcoef(a, b)[0, 1] for a, b in zip(mean.T, truth.T, strict=True)],
        }
    return pd.DataFrame(table, index=pd.Index(result[PARAMETER].values, name=PARAMETER))


def sbc_verdict(result: xr.Dataset) -> str:
    """Summarise in words whether the inference recovers what made the observations."""
    table = uniformity(result)
    sets, ranked = result.sizes[SET], len(table)
    answers = int(result.attrs.get("answers", 0))
    too = f", {answers} answers" if answers else ""
    least = table["p_value"].min() * ranked
    beyond = table["end_p_value"].min() * ranked
    low, high = binom.ppf([0.025, 0.975], sets, 0.8) / sets
    outside = int(((table["coverage"] < low) | (table["coverage"] > high)).sum())
    return "\n".join(
        [
            f"{sets} synthetic data sets, {ranked - 1 - answers} unknowns{too} and the log "
            "likelihood.",
            f"Uniform ranks: the least p-value is {table['p_value'].min():.3g} "
            f"({table['p_value'].idxmin()}), {min(least, 1.0):.2g} after Bonferroni's correction; "
            f"{int((table['p_value'] < 0.05).sum())} of {ranked} are below 0.05, "
            f"{0.05 * ranked:.0f} expected.",
            f"Truths beyond all draws: the least p-value is {table['end_p_value'].min():.3g} "
            f"({table['end_p_value'].idxmin()}), {min(beyond, 1.0):.2g} after Bonferroni's "
            "correction.",
            f"The 80 % interval held {table['coverage'].mean():.1%} of all true values; "
            f"{outside} of them lie outside {low:.1%} to {high:.1%}, {0.05 * ranked:.0f} "
            "expected.",
            _conclusion(table, min(least, beyond), ranked),
        ]
    )


def _conclusion(table: pd.DataFrame, least: float, ranked: int) -> str:
    if np.isnan(least):
        return "No conclusion: there are no ranks."
    if least > 0.05:
        return "The inference is calibrated."
    worst = table[["p_value", "end_p_value"]].min(axis=1) * ranked
    named = ", ".join(str(name) for name in worst.index[worst <= 0.05])
    return f"The inference is NOT calibrated: {named}."


def _beyond_all_draws(ranks: IntArray) -> FloatArray:
    """Return the probability of so many of the lowest, or of the highest, ranks of each unknown."""
    sets = len(ranks)
    most = np.maximum((ranks == 0).sum(axis=0), (ranks == RANKS).sum(axis=0))
    chance: FloatArray = binom.sf(most - 1, sets, 1.0 / (RANKS + 1))
    return np.minimum(2.0 * chance, 1.0)


def _simulated(
    likelihood: Likelihood, theta: FloatArray, expected: FloatArray, rng: np.random.Generator
) -> Likelihood:
    """Likelihood of observations around their expectation, (m,) logs, following its noise."""
    m = len(expected)
    families = likelihood.families
    if not families.number.all() or len(set(families.tails.tolist())) > 1:
        return _columns_of(likelihood, theta, rng)
    tails = float(families.tails[0])
    sds = likelihood.row_sds(theta)[0]
    number = likelihood.side == 0
    errors = draw_errors(rng, tails, m)
    values = np.where(number, expected + sds * errors, likelihood.published)
    z = (likelihood.published - expected) / sds
    above = np.log(rng.random(m)) < log_cdf(-z, tails)
    side = np.where(number, 0, np.where(above, -1, 1))
    # Wherever the grid of rounding lies, the middle of the interval is up to half of it away.
    values += likelihood.half * rng.uniform(-1.0, 1.0, m)
    return replace(likelihood, published=values, side=side)


def _columns_of(likelihood: Likelihood, theta: FloatArray, rng: np.random.Generator) -> Likelihood:
    """Likelihood of observations of several distributions; bounds stay where they are."""
    drawn = simulate_observations(likelihood, theta, rng)[0]
    families = likelihood.families
    values = np.where(families.log, np.log(np.where(families.log, drawn, 1.0)), drawn)
    number = likelihood.side == 0
    values = np.where(number, values, likelihood.published)
    counts = np.where(families.number, 0.0, values)
    return replace(likelihood, published=values, families=replace(families, counts=counts))


def _one_set(
    likelihood: Likelihood,
    asked: Asked | None,
    streams: Streams,
    every: int | None,
    burn_in: int | None,
) -> xr.Dataset:
    truth, made = synthetic(likelihood, streams.data)
    fit = calibrate(made, rng=streams.fit, starts=16, refine=1, threads=1)
    burn_in = burn_in or max(200, 20 * likelihood.n_parameters)
    options = SampleOptions(WALKERS, RECORDS, "walkers", every, burn_in, threads=1)
    chains = sample(fit, options, rng=streams.chains)
    drawn = chains.theta.reshape(-1, made.size)[-RANKS:]
    # The truth is evaluated with its draws, first, so that all are computed in the same way.
    theta = np.concatenate([truth[None], drawn])
    parts = [theta, made.log_likelihood(theta).sum(axis=1, keepdims=True)]
    if asked is not None:
        parts.append(asked.of(made, theta))
    true, *draws = np.concatenate(parts, axis=1)
    return xr.Dataset(
        {
            "rank": ((SET, PARAMETER), (np.array(draws) < true).sum(axis=0)[None]),
            "truth": ((SET, PARAMETER), true[None]),
            "mean": ((SET, PARAMETER), np.mean(draws, axis=0)[None]),
            "sd": ((SET, PARAMETER), np.std(draws, axis=0)[None]),
        },
        {PARAMETER: [*made.labels, FIT, *(asked.names if asked else [])]},
    )


def _joined(finished: Sequence[xr.Dataset], key: str, answers: int, of: FloatArray) -> xr.Dataset:
    whole = xr.concat(finished, SET).assign_attrs(key=key, draws=RANKS, answers=answers)
    # Single precision is enough for comparisons over hundreds of sets, and half as large.
    for name in ("truth", "mean", "sd"):
        whole[name] = whole[name].astype(np.float32)
    whole["rank"] = whole["rank"].astype(np.int16)
    whole["fingerprint"] = ((FINGERPRINT_POINT, RESIDUAL), of)
    whole["fingerprint"].attrs["long_name"] = "Residuals of the density at fixed points."
    whole["rank"].attrs["long_name"] = f"Draws of {RANKS} below the truth."
    whole["mean"].attrs["long_name"] = "Posterior mean, working scale."
    whole["sd"].attrs["long_name"] = "Posterior standard deviation, working scale."
    return whole
