"""Contributions of drivers: Shapley values over the runs with every set of drivers switched on.

A model has k drivers, each with a switch (1 on, 0 frozen as at the start).  Let ``v(S)`` be an
output when the drivers of the set S are on.  For each draw of the parameters all 2^k runs are made,
and their outputs are decomposed in three ways::

    Shapley    phi_i = sum over S without i of |S|! (k - |S| - 1)! / k! (v(S + i) - v(S))
    dividend   d(S) = sum over T within S of (-1)^(|S| - |T|) v(T)              (Harsanyi)
    synergy    v(all) - v(none) - sum_i (v(i) - v(none)) = sum of d(S) over |S| >= 2

Shapley values are the only shares that add up to the joint gain, treat equal drivers equally, give
a driver without effect nothing and are linear in v (Shapley 1953); ``phi_i`` is also the sum of
``d(S) / |S|`` over the sets that hold i (Harsanyi 1963).  All three are linear in v, so that the
attribution of growth since a year is the attribution of the later year minus that of the earlier.

They are computed for ``v = log output``, where drivers that multiply have no synergy, and for
output itself, where they have.  In a multiplicative model, synergy in levels is built in; in logs
the model's structure may still imply it.  Hence the prior stands beside the posterior, and
`sign_source` tells which of the two determines the sign.

References
----------
Shapley, L. S. (1953): A value for n-person games. Contributions to the Theory of Games 2, 307-317.
Harsanyi, J. C. (1963): A simplified bargaining model for the n-person cooperative game.
International Economic Review 4, 194-220.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import by_place, chance_positive, quantiles, robust_sd
from beltcast.ensembles.verdicts import negligible, ratio_of, sign_of
from beltcast.errors import InputError
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.inference.sampling.posterior import Draws
from beltcast.model.running import LARGEST_RESULT
from beltcast.schema import MEMBER, PLACE, SCENARIO, YEAR, Progress
from beltcast.study.study import Study

MOST_DRIVERS = 10
"""Largest number of switches: with more, 2^k runs per draw are hardly intended."""

DRIVER = "driver"
COALITION = "coalition"
SCALES = ("log", "level")

SignSource = Literal[
    "built in",
    "left open",
    "reversed",
    "decided by the data",
    "undecided",
    "no effect",
    "too few draws",
]
"""What determines a sign, see `sign_source`."""


def attribute(
    study: Study,
    draws: Draws,
    *,
    switches: Sequence[str] | None = None,
    target: str | None = None,
    prior: Draws | None = None,
    data: Draws | None = None,
    scenario: str | None = None,
    since: int | None = None,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Attribute an output and its growth to the drivers, by place and year.

    Parameters
    ----------
    study : Study
    draws : Draws
        Of the posterior.
    switches : sequence of str, optional
        Constants that are 1 with their driver and 0 without; those of the study's table
        ``[drivers]`` by default.
    target : str, optional
        A flow of the model, over one subscript range of places or over none; the study's target
        by default.
    prior : Draws, optional
        Of the priors alone, run in the same way and reported beside the posterior.
    data : Draws, optional
        Of the posterior without contrasts, reported beside it too.
    scenario : str, optional
        The study's first by default.
    since : int, optional
        Base year of growth; the first by default.
    pieces : Pieces, optional
        Store of finished runs, to resume from.
    progress : Progress, optional

    Returns
    -------
    xarray.Dataset
        For each scale, ``log`` and ``level``: ``shapley_<scale>`` (driver, member, place, year),
        ``synergy_<scale>`` and ``without_<scale>``, the output with no driver (member, place,
        year); quantiles of these, of ``growth_<scale>`` (Shapley values of the growth since a
        year), of ``dividend_<scale>`` (coalition, place, year) and of the joint
        ``gain_<scale>``.  ``<name>_chance`` is the share of draws above zero,
        ``<name>_sd_ratio`` the posterior-to-prior ratio of standard deviations, and
        ``prior_...`` and ``data_...`` the same of the priors and of the posterior without
        contrasts.

    Raises
    ------
    InputError
        There is no switch, one is given twice, or there are more than ten.
    UnknownName
        A switch or the target is not in the model.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import read_study, sample_prior
    >>> from beltcast.drivers.attribution.attribute import attribute
    >>> study = read_study()
    >>> draws = sample_prior(study, 8, rng=np.random.default_rng(1))
    >>> shares = attribute(study, draws)
    >>> shares["shapley_log_quantile"].dims
    ('driver', 'place', 'year', 'quantile')
    """
    names = driver_names(study, study.roles.switches if switches is None else switches)
    target = study.model.find(target or study.target).name
    arguments = (study, names, target, scenario)
    worth, attributes = _worth(*arguments, draws, pieces.of("posterior"), progress)
    drivers = [study.roles.driver(name) for name in names]
    results = _shares(worth, drivers, since)
    variables: dict[str, Any] = {**_members(results), **_summaries(results, "")}
    counts = {"draws": len(draws)}
    if prior is not None:
        counts["prior_draws"] = len(prior)
        believed = _shares(_worth(*arguments, prior, pieces.of("prior"), None)[0], drivers, since)
        variables.update(_summaries(believed, "prior_"))
        for name, values in results.items():
            variables[f"{name}_sd_ratio"] = _ratio(robust_sd(values), robust_sd(believed[name]))
    if data is not None:
        without = _worth(*arguments, data, pieces.of("data"), None)[0]
        variables.update(_summaries(_shares(without, drivers, since), "data_"))
    years = worth[YEAR].values
    result = xr.Dataset(
        variables,
        attrs={
            **attributes,
            "target": target,
            "whole": study.whole(target),
            "switches": ", ".join(names),
            "scenario": scenario or next(iter(study.scenarios)),
            "since": int(years[0] if since is None else since),
            "year": int(np.clip(study.years.past[1], years[0], years[-1])),
            **counts,
            "draws_kind": draws.kind,
            **study.provenance(),
        },
    )
    return _described(result, worth.attrs.get("units", ""))


def shapley_weights(drivers: int) -> FloatArray:
    """Weights that turn the worth of all sets into Shapley values.

    Set number s holds driver i when bit i of s is 1.

    Parameters
    ----------
    drivers : int
        k.

    Returns
    -------
    (k, 2^k)

    Examples
    --------
    >>> shapley_weights(2).tolist()
    [[-0.5, 0.5, -0.5, 0.5], [-0.5, -0.5, 0.5, 0.5]]
    """
    weights = np.zeros((drivers, 2**drivers))
    for s in range(2**drivers):
        size = s.bit_count()
        for i in range(drivers):
            if s & 1 << i:  # what i adds by joining the others of s
                weight = math.factorial(size - 1) * math.factorial(drivers - size)
                weights[i, s] += weight / math.factorial(drivers)
                weights[i, s ^ 1 << i] -= weight / math.factorial(drivers)
    return weights


def dividend_weights(drivers: int) -> FloatArray:
    """Weights that turn the worth of all sets into their Harsanyi dividends.

    The dividend of the empty set is its worth.

    Parameters
    ----------
    drivers : int
        k.

    Returns
    -------
    (2^k, 2^k)

    Examples
    --------
    >>> dividend_weights(2)[3].tolist()
    [1.0, -1.0, -1.0, 1.0]
    """
    weights = np.zeros((2**drivers, 2**drivers))
    for s in range(2**drivers):
        for t in range(2**drivers):
            if t & s == t:
                weights[s, t] = (-1.0) ** (s.bit_count() - t.bit_count())
    return weights


def sign_source(
    posterior: float, prior: float, draws: float = math.inf, *, size: float = math.inf
) -> SignSource:
    """Return whether the data or the structure of the model determine a sign.

    ================  =========================  ===================
    priors alone      with the data              returns
    ================  =========================  ===================
    decided           decided, the same          built in
    decided           undecided                  left open
    decided           decided, the other         reversed
    undecided         decided                    decided by the data
    undecided         undecided                  undecided
    ================  =========================  ===================

    A sign is decided as `beltcast.ensembles.verdicts.sign_of` decides it: at a share of at least
    0.9 or at most 0.1, over at least 100 draws.

    Parameters
    ----------
    posterior, prior : float  [1]
        Share of draws above zero.
    draws : float
        Effective draws of the smaller of the two samples.
    size : float
        Largest size of the effect; 0 is 'no effect'.

    Examples
    --------
    >>> sign_source(posterior=0.99, prior=0.98)
    'built in'
    >>> sign_source(posterior=1.0, prior=1.0, draws=2)
    'too few draws'
    """
    after = sign_of(posterior, draws, size=size)
    before = sign_of(prior, draws)
    if after == "no effect" or after == "too few draws":
        return after
    if before == "undecided":
        return "undecided" if after == "undecided" else "decided by the data"
    if after == "undecided":
        return "left open"
    return "built in" if after == before else "reversed"


def driver_names(study: Study, switches: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the drivers' switches as the model has them.

    Raises
    ------
    InputError
        There is none, one is given twice, or there are too many.
    UnknownName
        The model has no such constant.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.drivers.attribution.attribute import driver_names
    >>> driver_names(read_study(), ["sw market"])
    ('SW Market',)
    """
    names = tuple(study.model.find(name).name for name in switches)
    if not names:
        raise InputError(
            'the study names no drivers; add a table [drivers."..."] for each constant of the '
            "model that is 1 with a driver and 0 without"
        )
    if len(set(names)) < len(names):
        raise InputError(f"the switches are {', '.join(names)}; give each driver's switch once")
    if len(names) > MOST_DRIVERS:
        raise InputError(
            f"{len(names)} switches need {2 ** len(names)} runs a draw; give at most "
            f"{MOST_DRIVERS}, or join drivers under one switch"
        )
    return names


def _worth(
    study: Study,
    switches: tuple[str, ...],
    target: str,
    scenario: str | None,
    draws: Draws,
    pieces: Pieces,
    progress: Progress | None,
) -> tuple[xr.DataArray, dict[str, Any]]:
    """Output for every set of drivers, (coalition, member, place, year), and its provenance."""
    base = study.scenario(scenario)
    count = 2 ** len(switches)
    runs = []
    for s in range(count):
        own = {name: float(bool(s & 1 << i)) for i, name in enumerate(switches)}
        on = replace(base, constants={**base.constants, **own})
        run = run_ensemble(
            study.model,
            {base.name: on},
            (draws.labels, draws.values),
            outputs=[target],
            pieces=pieces.of(f"set {s}"),
        )
        name = study.model.find(target).name
        if YEAR not in run[name].dims:
            raise InputError(f"'{name}' is not a flow per year; attribute shares out yearly totals")
        values = by_place(run[name].isel({SCENARIO: 0}, drop=True), study.whole(target))
        if values.nbytes * count > LARGEST_RESULT:
            raise InputError(
                f"{count} runs of {len(draws)} draws need {values.nbytes * count / 1e9:.1f} GB; "
                "take fewer draws"
            )
        runs.append(values)
        if progress is not None:
            progress("drivers", s + 1, count)
    worth = xr.concat(runs, COALITION).transpose(COALITION, MEMBER, PLACE, YEAR)
    # A member that failed in one run has no attribution.
    complete = worth.notnull().all(COALITION)
    worth = worth.where(complete).assign_attrs(values.attrs)
    names = [study.roles.driver(s) for s in switches]
    return worth.assign_coords({COALITION: _coalitions(names)}), dict(run.attrs)


def _coalitions(names: Sequence[str]) -> list[str]:
    return [
        " + ".join(n for i, n in enumerate(names) if s & 1 << i) or "none"
        for s in range(2 ** len(names))
    ]


def _shares(
    worth: xr.DataArray, drivers: Sequence[str], since: int | None
) -> dict[str, xr.DataArray]:
    """All quantities that are attributed, member by member."""
    k = len(drivers)
    years = worth[YEAR].values
    base = int(years[0]) if since is None else since
    if base not in years:
        raise InputError(f"since = {base} is not among the years {years[0]} to {years[-1]}")
    together = worth[COALITION].values[[s.bit_count() >= 2 for s in range(2**k)]]
    results: dict[str, xr.DataArray] = {}
    for scale in SCALES:
        v = _logs(worth) if scale == "log" else worth
        phi = _combined(shapley_weights(k), v, DRIVER, drivers)
        dividends = _combined(dividend_weights(k), v, COALITION, _coalitions(drivers))
        dividends = dividends.sel({COALITION: together})
        none, joint = v.isel({COALITION: 0}, drop=True), v.isel({COALITION: -1}, drop=True)
        results[f"shapley_{scale}"] = phi
        results[f"growth_{scale}"] = phi - phi.sel({YEAR: base})
        results[f"gain_{scale}"] = joint - none
        results[f"without_{scale}"] = none
        results[f"dividend_{scale}"] = dividends
        results[f"synergy_{scale}"] = dividends.sum(COALITION, skipna=False)
        size = 1.0 + abs(none) if scale == "log" else abs(joint) + abs(none)
        for name in ("shapley", "growth", "gain", "dividend", "synergy"):
            results[f"{name}_{scale}"] = _cleared(results[f"{name}_{scale}"], size)
    return results


def _cleared(values: xr.DataArray, size: xr.DataArray) -> xr.DataArray:
    """Differences, with rounding errors set to zero."""
    aligned = size.broadcast_like(values).transpose(*values.dims)
    return values.copy(data=np.where(negligible(values.values, aligned.values), 0.0, values.values))


def _ratio(after: xr.DataArray, before: xr.DataArray) -> xr.DataArray:
    """Ratio of two standard deviations, NaN where the second is zero."""
    return after.copy(data=ratio_of(after.values, before.transpose(*after.dims).values))


def _logs(values: xr.DataArray) -> xr.DataArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return values.copy(data=np.log(values.values))


def _combined(weights: FloatArray, v: xr.DataArray, dim: str, names: Sequence[str]) -> xr.DataArray:
    """Linear combinations of the worth of all sets."""
    values = np.tensordot(weights, v.values, axes=(1, 0))
    rest = {d: v[d] for d in (MEMBER, PLACE, YEAR)}
    return xr.DataArray(values, {dim: list(names), **rest}, (dim, MEMBER, PLACE, YEAR))


def _members(results: Mapping[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """Variables kept draw by draw; the others are kept as bands."""
    names = ("shapley", "synergy", "without")
    kept = [f"{name}_{scale}" for name in names for scale in SCALES]
    return {name: results[name].astype(np.float32) for name in kept}


def _summaries(results: Mapping[str, xr.DataArray], mark: str) -> dict[str, xr.DataArray]:
    found = {}
    for name, values in results.items():
        found[f"{mark}{name}_quantile"] = quantiles(values)
        if not name.startswith("without"):
            found[f"{mark}{name}_chance"] = chance_positive(values)
    return found


_TEXTS = {
    "shapley": "Shapley value of the driver",
    "growth": "Shapley value of the driver in the growth since the base year",
    "gain": "With all drivers against none",
    "without": "With no driver",
    "dividend": "Harsanyi dividend: what the drivers add only together",
    "synergy": "Joint gain less the sum of the gains of single drivers",
}


def _described(result: xr.Dataset, unit: str) -> xr.Dataset:
    """Describe each variable."""
    for name in result.data_vars:
        kind, scale, *rest = str(name).removeprefix("prior_").removeprefix("data_").split("_")
        of = "of the log of the year's total" if scale == "log" else "of the year's total"
        pure = bool(rest) and rest[0] in ("chance", "sd")
        ending = {
            "chance": ", share of draws above zero",
            "sd": ", posterior-to-prior standard deviation ratio",
            "quantile": ", quantiles over draws",
        }.get(rest[0] if rest else "", "")
        source = ", priors alone" if str(name).startswith("prior_") else ""
        source = ", without contrasts" if str(name).startswith("data_") else source
        result[name].attrs = {
            "units": "1" if scale == "log" or pure else unit,
            "long_name": f"{_TEXTS[kind]}, {of}{ending}{source}",
        }
    return result
