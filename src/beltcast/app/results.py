"""Answers: what ships (or a folder of results) opened, and scenarios run with thinned draws.

The model stays compiled and the draws in memory, so that one scenario is a run of `DRAWS` members
and the quantiles over them.  A draw keeps its shocks and its noise in all scenarios, as in
`beltcast.forecast`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import xarray as xr

from beltcast.app.levers import moved
from beltcast.app.state import Choices, Question
from beltcast.drivers.attribution.attribute import attribute
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import by_place, quantiles
from beltcast.forecasting.forecast import forecast_draws, published_factor
from beltcast.inference.sampling.draws_file import KeptFit, open_fit
from beltcast.inference.sampling.posterior import Draws, sample_prior
from beltcast.schema import MEMBER, PLACE, SCENARIO, TIME, YEAR
from beltcast.streams import Streams
from beltcast.study.roles import Shares
from beltcast.study.scenarios import Scenario
from beltcast.study.study import Study

DRAWS = 64
"""Members of an answer: either end of a normal 80% band is then known to 0.21 standard deviations,
and a run is fast enough to follow a slider."""

STREAMS = Streams(1)
"""Of the prior, the noise and uncertain sizes: the same question has the same answer, and a file
shows what the page shows."""

PART = "part"
"""Dimension of shares."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A fitted study, ready to be asked.

    Attributes
    ----------
    study : Study
    kept : KeptFit
    draws, prior : Draws
        `DRAWS` of each.
    base : xarray.Dataset
        Forecast of the first scenario: the prior's bands and the published figures are its.
    factor : (member, place, year)  [1]
        See `beltcast.forecasting.forecast.published_factor`.
    choices : Choices
    """

    study: Study
    kept: KeptFit
    draws: Draws
    prior: Draws
    base: xr.Dataset
    factor: xr.DataArray
    choices: Choices


@dataclass(frozen=True, eq=False)
class Answer:
    """What one scenario gives.

    Attributes
    ----------
    output : (member, place, year)  [unit of the target]
        Totals without shocks and noise.
    published : (place, year, quantile)
        Quantiles with them.
    shares : mapping of str to (place, part, time)  [1]
        Mean shares at the start of each year, by key of the study's table ``[shares]``; means add
        up to one, medians do not.
    """

    output: xr.DataArray
    published: xr.DataArray
    shares: Mapping[str, xr.DataArray]


def open_results(given: str | Path | None = None) -> Opened:
    """Open a fit for questions.

    Parameters
    ----------
    given : str or Path, optional
        As for `beltcast.inference.sampling.draws_file.open_fit`, whose refusals are those of this
        function.

    Returns
    -------
    Opened

    Examples
    --------
    >>> from beltcast.app.results import open_results
    >>> opened = open_results()
    >>> opened.choices.places[0], len(opened.draws)
    ('China', 64)
    """
    study, kept = open_fit(given)
    likelihood = kept.posterior.likelihood
    draws = kept.first(DRAWS)
    prior = sample_prior(likelihood, len(draws), rng=STREAMS.prior)
    first = next(iter(study.scenarios))
    only = replace(study, scenarios={first: study.scenarios[first]})
    base = forecast_draws(only, draws, prior, kept.optimum, rng=STREAMS)
    output = base["output"].isel({SCENARIO: 0}, drop=True)
    known = _last_known(study)
    choices = Choices(
        places=[str(p) for p in base[PLACE].values],
        scenarios=list(study.scenarios),
        horizons=[int(y) for y in base[YEAR].values if y > known] or [int(base[YEAR].values[-1])],
        levers=study.roles.levers,
    )
    factor = published_factor(study, draws, output, rng=STREAMS)
    return Opened(study, kept, draws, prior, base, factor, choices)


def asked(opened: Opened, question: Question, own: dict[str, Scenario]) -> Scenario:
    """Scenario of a question, its levers moved; ``own`` are scenarios that were uploaded."""
    scenario = {**opened.study.scenarios, **own}[question.scenario]
    return moved(scenario, question.levers, opened.choices.levers)


def answer(opened: Opened, scenario: Scenario) -> Answer:
    """Run a scenario with the thinned draws.

    Parameters
    ----------
    opened : Opened
    scenario : Scenario

    Returns
    -------
    Answer

    Examples
    --------
    >>> from beltcast.app.results import answer, open_results
    >>> opened = open_results()
    >>> found = answer(opened, opened.study.scenarios["brand-push"])
    >>> float(found.shares["tiers"].sel(place="China").isel(time=-1).sum().round(6))
    1.0
    """
    study = opened.study
    shares = study.roles.shares
    outputs = [name for one in shares.values() for name in (one.weight, one.variable)]
    runs = run_ensemble(
        study.model,
        {scenario.name: scenario},
        (opened.draws.labels, opened.draws.values),
        outputs=list(dict.fromkeys([study.target, *outputs])),
        rng=STREAMS,
    ).isel({SCENARIO: 0}, drop=True)
    whole = study.whole(study.target)
    output = by_place(runs[study.target], whole)
    return Answer(
        output,
        quantiles(output * opened.factor),
        {key: _shares(runs, one, whole) for key, one in shares.items()},
    )


def drivers(opened: Opened, scenario: Scenario, *, prior: bool = False) -> xr.Dataset | None:
    """Share the output of a scenario among the drivers, or None if the model has no switches.

    Parameters
    ----------
    opened : Opened
    scenario : Scenario
        Uncertain sizes are taken at their medians.
    prior : bool
        Put the priors alone beside it; takes twice as long.
    """
    if not opened.study.roles.switches:
        return None
    certain = replace(scenario, uncertain={})
    study = replace(opened.study, scenarios={scenario.name: certain})
    beside = opened.prior if prior else None
    return attribute(study, opened.draws, prior=beside)


def full_forecast(opened: Opened, scenarios: dict[str, Scenario]) -> xr.Dataset:
    """Forecast scenarios as ``beltcast forecast`` does, for files to download."""
    first = next(iter(opened.study.scenarios))
    study = replace(opened.study, scenarios={first: opened.study.scenarios[first], **scenarios})
    return forecast_draws(study, opened.draws, opened.prior, opened.kept.optimum, rng=STREAMS)


def _last_known(study: Study) -> float:
    """Last year with a published figure."""
    return max(float(row.start) for row in study.observations)


def _shares(runs: xr.Dataset, shares: Shares, whole: str) -> xr.DataArray:
    """Mean shares by place; those of the whole are weighted by the total of the year.

    A share is known at the start of a year, its weight over the year; between two places they
    differ by what the one outgrows the other in half a year.
    """
    share = runs[shares.variable].isel({TIME: slice(0, runs.sizes[YEAR])})
    amount = runs[shares.weight].rename({YEAR: TIME}).assign_coords({TIME: share[TIME]})
    (over,) = (str(d) for d in amount.dims if d not in (MEMBER, TIME))
    (part,) = (str(d) for d in share.dims if d not in (MEMBER, TIME, over))
    total = (share * amount).sum(over) / amount.sum(over)
    joined = xr.concat([total.expand_dims({over: [whole]}), share], over)
    found = joined.rename({over: PLACE, part: PART}).mean(MEMBER).transpose(PLACE, PART, TIME)
    if not shares.rest.en:
        return found
    rest = (1.0 - found.sum(PART)).expand_dims({PART: [shares.rest.en]})
    return xr.concat([found, rest], PART).transpose(*found.dims)
