"""A study as known at a date, and the observations to forecast from there.

`as_known` removes everything that looks beyond an origin:

============== ==================================================================================
rows           those published by then; of a value published several times, the release of that time
inputs         values known by then, as known then, extrapolated by a forecaster's rule
dates          constants that are dates move with the origin (`beltcast.verification.origin_rules`)
priors         wider ones, if the shipped ones were centred with later observations in view
year shocks    years known to be larger: complete ones; the rest have the default sd
drifts         of definitions count from the origin, not from a later reference date
error scales   as judged, without factors from later observations; `scales_as_known` estimates
               them from what was known
============== ==================================================================================

`targets` lists the observations to forecast: totals of whole years and of their first months, 1 to
4 years after the last complete year, published after the origin.  The truth of a case is its last
release in the file, whatever its first one: a forecast is about what happened, and the last release
is the best measure of it.  First releases were revised by 2.7 % (root mean square), which is as
large as the differences between forecasts that are compared, and the row's own error of grade
and release is part of each forecast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError
from beltcast.inference.audit.error_scales import error_scales, with_error_scales
from beltcast.model.arguments import Inputs
from beltcast.model.model import Model
from beltcast.model.quantities import is_flow
from beltcast.model.variants import with_numbers
from beltcast.study.noise import Noise
from beltcast.study.observations import Observation, Observations
from beltcast.study.pooling import Pool
from beltcast.study.priors import Priors
from beltcast.study.study import Study
from beltcast.verification.baselines.history import History
from beltcast.verification.origin_rules import (
    NEVER,
    OriginRules,
    PriorRule,
    carried_on,
    known_series,
    rules_of,
)

LEADS = (1, 2, 3, 4)
"""Years after the last complete year that are forecast."""

_RELEASES = ("preliminary", "only", "revised", "final")
"""From the first release to the last; among rows of one date the later wins."""

SeriesKey = tuple[str, str, str]
"""Place, quantity and definition, which make observations comparable."""


@dataclass(frozen=True)
class Case:
    """One observation to forecast from one origin.

    Attributes
    ----------
    row : Observation
        Its last release, the truth.
    lead : int  [Year]
        From the last complete year known.
    year : int
    history : History or None
        Published values of the same series by then, as yearly levels.
    first : bool
        Nothing of the series was known at all: its definition's offset has its prior.
    printed : float  [Year]
        Publication of the first release.
    """

    row: Observation
    lead: int
    year: int
    history: History | None
    first: bool
    printed: float


def as_known(
    study: Study, date: float, rules: OriginRules | None = None, *, ex_post: bool = False
) -> Study:
    """Cut a study to what was known at a date.

    Parameters
    ----------
    study : Study
    date : float  [Year]
        The origin.
    rules : OriginRules, optional
        Publication dates of inputs; by default the file beside the model (`rules_of`).
    ex_post : bool
        Give the model its inputs and dates as known afterwards.

    Returns
    -------
    Study
        Its forecast is the forecast of that date.

    Raises
    ------
    InputError
        Nothing was published by the date.

    Examples
    --------
    >>> from beltcast import as_known, read_study
    >>> known = as_known(read_study(), 2022.5)
    >>> max(row.published for row in known.observations) <= 2022.5
    True
    """
    known = study.observations.published_by(date)
    if not len(known):
        first = min(row.published for row in study.observations)
        raise InputError(
            f"no observation was published by {date:g}; give a date from {first:g} on, when the "
            "first one was"
        )
    rules = rules_of(study) if rules is None else rules
    return replace(
        study,
        model=study.model if ex_post else model_as_known(study.model, date, rules),
        observations=known,
        priors=_priors_as_known(study.priors, date, rules),
        noise=_noise_as_known(
            study.noise, date, nothing_later=len(known) == len(study.observations)
        ),
    )


def scales_as_known(
    study: Study, known: Study, *, rng: np.random.Generator, starts: int = 16
) -> Study:
    """Estimate factors of errors at an origin, if the study has estimated ones.

    Parameters
    ----------
    study : Study
        The whole one.
    known : Study
        As `as_known` returns it.
    rng : numpy.random.Generator
    starts : int
        As for `beltcast.error_scales`.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import as_known, read_study
    >>> from beltcast.verification.origin import scales_as_known
    >>> study, rng = read_study(), np.random.default_rng(1)
    >>> known = scales_as_known(study, as_known(study, 2019.0), rng=rng, starts=2)
    >>> sorted(known.noise.error_scale_factors)  # customs had published nothing of that scope
    ['scope other']
    """
    if known.noise.error_scale_factors == study.noise.error_scale_factors:
        return known
    asked = with_error_scales(known, by=study.noise.error_scale_by)
    found = error_scales(asked, rng=rng, starts=starts).table["factor"]
    factors = {str(name): float(factor) for name, factor in found.items()}
    return replace(known, noise=replace(known.noise, error_scale_factors=factors))


def model_as_known(model: Model, date: float, rules: OriginRules, *, frozen: bool = False) -> Model:
    """Return the model with its inputs and dates as a forecaster had them.

    Parameters
    ----------
    model : Model
    date : float  [Year]
    rules : OriginRules
    frozen : bool
        Hold the inputs that carry drivers at their last known value.
    """
    end = model.grid().end
    inputs: dict[str, tuple[FloatArray, FloatArray]] = {}
    known_until: dict[str, float] = {}
    for name in model.inputs:
        rule = rules.of_input(name)
        for label in _elements(model, name):
            data = model.program.inputs[int(model.rows(label)[0])]
            times, values = known_series(data, rule, date)
            known_until[name] = float(times[-1])
            still = frozen and rule.driver
            inputs[label] = carried_on(times, values, end, rule, frozen=still)
    return with_numbers(model, _dates_as_known(model, date, rules, known_until), _points(inputs))


def _points(inputs: Mapping[str, tuple[FloatArray, FloatArray]]) -> Inputs:
    return {name: (times.tolist(), values.tolist()) for name, (times, values) in inputs.items()}


def _elements(model: Model, name: str) -> list[str]:
    """Labels of the elements of a variable with at most one dimension, or its name."""
    dims = model.find(name).dims
    if not dims:
        return [name]
    return [f"{name}[{element}]" for element in model.subscripts[dims[0]]]


def _dates_as_known(
    model: Model, date: float, rules: OriginRules, known_until: Mapping[str, float]
) -> dict[str, float]:
    dates: dict[str, float] = {}
    for name, rule in rules.constants.items():
        for label in _elements(model, name):
            if rule.kind == "follows":
                dates[label] = known_until[rule.input]
            elif rule.kind == "after":
                dates[label] = math.floor(date) + rule.years
            else:
                value = model.value(label)
                dates[label] = value if value <= date else NEVER
    return dates


def _priors_as_known(priors: Priors, date: float, rules: OriginRules) -> Priors:
    mu, sigma = priors.mu.copy(), priors.sigma.copy()
    pools = {pool.name: pool for pool in priors.pools}
    for name, rule in rules.priors.items():
        if date >= rule.until:
            continue
        if name in pools:
            pools[name] = _pool_as_known(pools[name], priors, rule, mu, sigma)
            continue
        own = [i for i, other in enumerate(priors.names) if other == name]
        mu[own] = _centre(priors, own, rule)
        sigma[own] = np.maximum(sigma[own], rule.sd or 0.0)
    mu = np.clip(mu, priors.lower, priors.upper)
    return replace(priors, mu=mu, sigma=sigma, pools=tuple(pools.values()))


def _pool_as_known(
    pool: Pool, priors: Priors, rule: PriorRule, mu: FloatArray, sigma: FloatArray
) -> Pool:
    """Set the unknowns of a pool, in place, by a rule for each element of a constant.

    A centre is that of the common mean, and elements no longer have their own.  An sd is
    that of an element: the common mean's and the one between elements grow in proportion.
    """
    if rule.sd is not None:
        wider = max(rule.sd / pool.prior_sd(mu, sigma), 1.0)
        sigma[pool.mean] *= wider
        mu[pool.sd] += math.log(wider)
    if rule.centre is None:
        return pool
    # The mean of a pool is that of its elements' centres already.
    mu[pool.mean] = _centre(priors, [pool.mean], rule)[0]
    return replace(pool, offsets=np.zeros(len(pool.offsets)))


def _centre(priors: Priors, own: Sequence[int], rule: PriorRule) -> FloatArray:
    """Centres on the working scale."""
    shipped: FloatArray = priors.mu[list(own)]
    if rule.centre is None:
        return shipped
    if rule.centre == "common":
        return np.full(len(own), shipped.mean())
    return np.array([_working(rule.centre, priors.families[i]) for i in own])


def _working(value: float, family: str) -> float:
    if family == "lognormal":
        return math.log(value)
    return math.log(value / (1.0 - value)) if family == "logitnormal" else value


def _noise_as_known(noise: Noise, date: float, *, nothing_later: bool) -> Noise:
    return replace(
        noise,
        year_shocks={y: sd for y, sd in noise.year_shocks.items() if y < math.floor(date)},
        error_scale_factors=noise.error_scale_factors if nothing_later else {},
        reference=date if noise.reference is None else min(noise.reference, date),
    )


def later_rows(study: Study, date: float) -> Observations:
    """Rows of a study that were published after a date, which `as_known` excludes.

    Raises
    ------
    InputError
        There is no such row.
    """
    rows = tuple(row for row in study.observations if row.published > date)
    if not rows:
        last = max(row.published for row in study.observations)
        raise InputError(
            f"no observation was published after {date:g}; give a date before {last:g}, when the "
            "last one was"
        )
    return replace(study.observations, rows=rows)


def targets(study: Study, date: float, *, leads: Iterable[int] = LEADS) -> tuple[Case, ...]:
    """Observations to forecast from an origin, in the order of the file.

    Parameters
    ----------
    study : Study
        The whole one, with the truth.
    date : float  [Year]
    leads : iterable of int  [Year]
        From the last complete year.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.verification.origin import targets
    >>> cases = targets(read_study(), 2023.5, leads=[1])
    >>> {case.year for case in cases}
    {2023}
    """
    last_year = math.floor(date) - 1
    wanted = {last_year + lead for lead in leads}
    known = study.observations.published_by(date)
    spoken_of = {_series(row) for row in known}
    past: dict[float, dict[SeriesKey, History]] = {}
    truth: dict[tuple[SeriesKey, int, float], Observation] = {}
    printed: dict[tuple[SeriesKey, int, float], float] = {}
    for row in study.observations:
        if not is_total(row, study.model):
            continue
        part = round(row.end - row.start, 3)
        if part not in past:
            past[part] = histories(known, study.noise, part=part)
        key = _series(row), round(row.start), part
        printed[key] = min(row.published, printed.get(key, math.inf))
        if key[1] in wanted and (key not in truth or _age(truth[key]) < _age(row)):
            truth[key] = row
    return tuple(
        Case(
            row,
            year - last_year,
            year,
            before(past[part].get(series), last_year + 1),
            series not in spoken_of,
            printed[series, year, part],
        )
        for (series, year, part), row in sorted(truth.items(), key=lambda item: item[1].line)
        if row.published > date
    )


def is_total(row: Observation, model: Model) -> bool:
    """Whether a row is the total of a flow from the start of a year over at most that year."""
    total = row.kind in ("level", "part-year") and row.reading == ""
    return total and _of_one_year(row) and is_flow(model.find(row.quantity).unit)


def histories(known: Observations, noise: Noise, *, part: float = 1.0) -> dict[SeriesKey, History]:
    """Every series of yearly levels among some rows.

    Of a year published several times the last release counts; a year that was published for another
    part only has the longest of these, converted to the requested part by the noise's season; a
    year without a level has one if the growth of that year, or of the next, leads to it from a
    level (their variances then add up).

    Parameters
    ----------
    known : Observations
    noise : Noise
    part : float  [Year]
        Length of the period from the start of each year; 0.5 gives series of first half-years.

    Returns
    -------
    dict of (place, quantity, definition) to History
    """
    levels: dict[SeriesKey, dict[int, Observation]] = {}
    growth: dict[SeriesKey, dict[int, Observation]] = {}

    def rank(row: Observation) -> tuple[float, float, tuple[float, int]]:
        length = round(row.end - row.start, 3)
        return float(abs(length - part) < 1e-3), length, _age(row)

    for row in known:
        if row.kind in ("level", "part-year", "growth") and _of_one_year(row):
            kept = (growth if row.kind == "growth" else levels).setdefault(_series(row), {})
            year = round(row.start)
            if year not in kept or rank(kept[year]) < rank(row):
                kept[year] = row
    return {
        series: _history(rows, growth.get(series, {}), noise, part)
        for series, rows in levels.items()
    }


def before(history: History | None, year: int) -> History | None:
    """Keep the years of a history before a year; None without any."""
    if history is None or not (history.years < year).any():
        return None
    kept = history.years < year
    return History(history.years[kept], history.values[kept], history.sds[kept])


def _in_part(row: Observation, noise: Noise, part: float) -> tuple[float, float]:
    """Total of the first part of the year of a row, and its log sd, by the mean season."""
    length = row.end - row.start
    if abs(length - part) < 1e-3:
        return row.value, noise.row_sd(row)
    # Of a year the first u are u (1 + a (u - 1)).
    of_part, of_row = (1.0 + noise.season_mean * (u - 1.0) for u in (part, length))
    season = noise.season_sd * abs((part - 1.0) / of_part - (length - 1.0) / of_row)
    value = row.value * (part * of_part) / (length * of_row)
    return value, math.hypot(noise.row_sd(row), season)


def _history(
    levels: Mapping[int, Observation],
    growth: Mapping[int, Observation],
    noise: Noise,
    part: float,
) -> History:
    found = {year: _in_part(row, noise, part) for year, row in levels.items()}
    for year in sorted(growth):
        if year - 1 in found and year not in found:
            value, sd = found[year - 1]
            ratio = growth[year]
            found[year] = value * ratio.value, math.hypot(sd, noise.row_sd(ratio))
    for year in sorted(growth, reverse=True):
        if year in found and year - 1 not in found:
            value, sd = found[year]
            ratio = growth[year]
            found[year - 1] = value / ratio.value, math.hypot(sd, noise.row_sd(ratio))
    years = sorted(found)
    return History(
        years=np.array(years, dtype=np.int64),
        values=np.array([found[year][0] for year in years]),
        sds=np.array([found[year][1] for year in years]),
    )


def _series(row: Observation) -> SeriesKey:
    return row.place, row.quantity, row.definition


def _age(row: Observation) -> tuple[float, int]:
    """Later releases are larger."""
    return row.published, _RELEASES.index(row.vintage)


def _of_one_year(row: Observation) -> bool:
    """Whether a row is of a year from its start on."""
    return abs(row.start - round(row.start)) < 1e-3 and 0 < row.end - row.start < 1.001
