"""Nuisances: errors that observations share, each a standard normal number.

A nuisance adds to the *log* of some rows (an offset, a drift, a year's shock, an error that rows
share: `loadings`) or to the log of their *standard deviation* (`scale_loadings`); the season,
last of all, is not linear and has an entry for each row.  Which nuisance affects which row, and by
how much, follows from the rows and from `beltcast.study.noise` alone; the model only supplies
units.

A statistic reports one year of one place several times: trade and exports, a half and ten months,
a level and its growth.  An error in one of them is in the others too, so a part
``shared`` of the variance of rows of one place, definition, vintage and year is common to them.
With *autocorrelation* rho these common errors e of the years of a series are a Gaussian process::

    cov(e_t, e_t') = rho^|t - t'| = exp(-|t - t'| / tau),

exact for any gap, written as ``e = L u`` with L the Cholesky factor of that matrix and u standard
normal.  (So bounds and rounded numbers may stand in a series, which whitened residuals could not
allow.)  Year shocks and the drifts of offsets are such processes too (`processes`); a
drift that fades has several components, numbered in the names of its nuisances.  With *revisions*
a first release is the final observation times a revision error: vintages of one year share the
error above, and rows of one release share its revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.errors import CalibrationError
from beltcast.inference.discrepancy import compared_dates, discrepancy_columns
from beltcast.inference.processes import drift_factor
from beltcast.model.model import Model
from beltcast.model.quantities import is_flow
from beltcast.study.noise import Noise
from beltcast.study.observations import Observation, Observations

SHOCK = "shock of "
"""Prefix of the nuisances that are year shocks, before the year."""

ERROR = "error of "
"""Prefix of nuisances that are a part of rows' own errors; they scale with the sd."""

ErrorSeries = tuple[str, str, str]
"""Place, definition and vintage; no vintage if revisions have errors of their own."""


@dataclass(frozen=True, eq=False)
class Nuisances:
    """Names and loadings of the nuisances of m rows.

    Attributes
    ----------
    names : (u,) str
        The season last, if the noise has one.
    loadings : (m, u - 1)
        What a unit of each nuisance adds to the log of each row; the season apart.
    scale_loadings : (m, u - 1)
        What a unit of each nuisance adds to the log of the standard deviation of each row.
    sds : (m,)
        Standard deviation of the error of the row alone.
    season : (m,)
        ``u0 + u1 - 1`` for a part of a year, 0 otherwise.
    """

    names: tuple[str, ...]
    loadings: FloatArray
    scale_loadings: FloatArray
    sds: FloatArray
    season: FloatArray


def nuisances_of(model: Model, observations: Observations, noise: Noise) -> Nuisances:
    """Determine the errors that rows share.

    Raises
    ------
    CalibrationError
        The standard deviation of a row is zero.
    """
    rows = observations.rows
    sds, columns = _errors(rows, noise)
    for row, sd in zip(rows, sds, strict=True):
        if not sd > 0:
            raise CalibrationError(
                f"the row of line {row.line} has no standard deviation; give its grade, vintage "
                "or definition one above 0"
            )
    _add_common(columns, model, rows, noise)
    by_sd = _scale_loadings(rows, noise)
    # The nuisance of an sd factor adds nothing to a log, and the others nothing to an sd.
    nothing = np.zeros(len(rows))
    names = sorted({*columns, *by_sd})
    shape = (len(names), len(rows))
    return Nuisances(
        names=(*names, "season") if noise.seasonal else tuple(names),
        loadings=np.array([columns.get(n, nothing) for n in names]).reshape(shape).T,
        scale_loadings=np.array([by_sd.get(n, nothing) for n in names]).reshape(shape).T,
        sds=sds,
        season=np.array([_season(model, row) for row in rows]),
    )


def _errors(
    rows: tuple[Observation, ...], noise: Noise
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Sd of each row's own error, (m,), and loadings of the errors that rows share."""
    series: dict[ErrorSeries, dict[int, list[int]]] = {}
    for i, row in enumerate(rows):
        vintage = "" if noise.revisions else row.vintage
        years = series.setdefault((row.place, row.definition, vintage), {})
        years.setdefault(_year(row), []).append(i)
    own = np.array([noise.row_sd(row) for row in rows])
    common: dict[str, FloatArray] = {}
    for key, years in series.items():
        if noise.autocorrelation > 0.0:
            common |= _correlated(key, years, rows, own, noise)
        elif noise.shared > 0.0:
            common |= _shared(key, years, rows, own, noise)
    if noise.revisions:
        common |= _revisions(rows, own, noise)
    return own, common


def _shared(
    key: ErrorSeries,
    years: Mapping[int, list[int]],
    rows: tuple[Observation, ...],
    own: FloatArray,
    noise: Noise,
) -> dict[str, FloatArray]:
    """Errors of single years, independent of each other; subtracts their part from `own`.

    The other year of a growth rate has an error of its own.
    """
    common = {}
    for year, members in years.items():
        if len(members) == 1:
            continue
        loading = np.zeros(len(rows))
        for i in members:
            one_year = own[i] / np.sqrt(2.0) if rows[i].kind == "growth" else own[i]
            loading[i] = np.sqrt(noise.shared) * one_year
        own[:] = np.sqrt(own**2 - loading**2)
        common[_error_name(key, year)] = loading
    return common


def _correlated(
    key: ErrorSeries,
    years: Mapping[int, list[int]],
    rows: tuple[Observation, ...],
    own: FloatArray,
    noise: Noise,
) -> dict[str, FloatArray]:
    """Errors of the years of a series, each correlated with the one before; subtracts from `own`.

    A growth rate has the error of its year less that of the year before, so what persists
    cancels.
    """
    growth = {year - 1 for year, members in years.items() for i in members if _grows(rows[i])}
    dates = np.array(sorted({*years, *growth}))
    by_year = np.zeros((len(rows), len(dates)))
    for year, members in years.items():
        at = int(np.searchsorted(dates, year))
        for i in members:
            one_year = own[i] / np.sqrt(2.0) if _grows(rows[i]) else own[i]
            by_year[i, at] = np.sqrt(noise.shared) * one_year
            if _grows(rows[i]):
                by_year[i, int(np.searchsorted(dates, year - 1))] = -by_year[i, at]
            own[i] *= np.sqrt(1.0 - noise.shared)
    correlation = noise.autocorrelation ** np.abs(dates[:, None] - dates[None, :])
    loadings = by_year @ np.linalg.cholesky(correlation)
    return {_error_name(key, int(y)): loadings[:, k] for k, y in enumerate(dates)}


def _revisions(
    rows: tuple[Observation, ...], own: FloatArray, noise: Noise
) -> dict[str, FloatArray]:
    """Revision errors, shared by the rows of one release; adds to `own` if a row is alone.

    The growth that a first release reports compares it with the year before, which is revised by
    then: it has the revision error of one year.
    """
    releases: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if noise.vintage[row.vintage] > 0:
            name = f"revision of {row.place}, {row.definition}, {row.vintage}, {_year(row)}"
            releases.setdefault(name, []).append(i)
    common = {}
    for name, members in releases.items():
        loading = np.zeros(len(rows))
        for i in members:
            loading[i] = noise.vintage[rows[i].vintage]
        if len(members) == 1:
            own[:] = np.hypot(own, loading)
        else:
            common[name] = loading
    return common


def _add_common(
    columns: dict[str, FloatArray], model: Model, rows: tuple[Observation, ...], noise: Noise
) -> None:
    """Add loadings of offsets, trends, year shocks and the discrepancy to the columns."""
    columns |= _offsets(rows, noise)
    columns |= _trends(rows, noise)
    columns |= _shocks(model, rows, noise)
    columns |= discrepancy_columns(model, rows, noise)


def _offsets(rows: tuple[Observation, ...], noise: Noise) -> dict[str, FloatArray]:
    """Offsets of places by definitions, with the part that a definition shares in all places."""
    own, common = np.sqrt(1.0 - noise.offset_common), np.sqrt(noise.offset_common)
    columns: dict[str, FloatArray] = {}
    first_quantity: dict[str, str] = {}
    for i, row in enumerate(rows):
        definition = noise.definitions[row.definition]
        if definition.offset_sd > 0 and row.kind != "growth":
            key = _statistic(row)
            _column(columns, f"offset of {key}", len(rows))[i] = own * definition.offset_sd
            if common > 0:
                of_all = _column(columns, f"offset of all, {row.definition}", len(rows))
                of_all[i] = common * definition.offset_sd
            other = first_quantity.setdefault(key, row.quantity) != row.quantity
            if other and noise.quantity_sd > 0:
                # Trade and exports of one statistic: nearly the same offset, but not exactly.
                within = f"{row.quantity} within {key}"
                _column(columns, within, len(rows))[i] = noise.quantity_sd
    return columns


def _trends(rows: tuple[Observation, ...], noise: Noise) -> dict[str, FloatArray]:
    """Drift of offsets from the reference date on; growth has a year's worth of it.

    The reference is the same for all places: if it were the middle of each place's own rows, an old
    observation would widen the prior of today's size.
    """
    reference = noise.reference if noise.reference is not None else max(row.end for row in rows)
    drifting = [i for i, row in enumerate(rows) if noise.definitions[row.definition].trend_sd > 0]
    dates = sorted({d for i in drifting for d in compared_dates(rows[i])})
    # Contribution of the drift to each row up to each date.
    felt = np.zeros((len(rows), len(dates)))
    for i in drifting:
        sd = noise.definitions[rows[i].definition].trend_sd
        for date, sign in compared_dates(rows[i]).items():
            felt[i, dates.index(date)] += sign * sd
    lags = np.array(dates) - reference
    statistics = {row.definition: set[str]() for row in rows}
    for row in rows:
        statistics[row.definition].add(_statistic(row))
    # A definition of one place has one drift.
    alone = np.array([len(statistics[row.definition]) == 1 for row in rows])
    rest = 1.0 - noise.trend_common
    own = np.where(alone, 1.0, noise.trend_own)
    # Parts of the variance, and what has one drift of each: everything, a definition, a place.
    parts = (
        (noise.trend_common * np.ones(len(rows)), ["all"] * len(rows)),
        (rest * (1.0 - own), [row.definition for row in rows]),
        (rest * own, [_statistic(row) for row in rows]),
    )
    columns: dict[str, FloatArray] = {}
    for part, kept_by in parts:
        for key in dict.fromkeys(kept_by[i] for i in drifting if part[i] > 0):
            there = np.sqrt(part) * np.array([kept == key for kept in kept_by])
            columns |= _drift(f"trend of {key}", there[:, None] * felt, lags, noise)
    return columns


def _drift(name: str, felt: FloatArray, lags: FloatArray, noise: Noise) -> dict[str, FloatArray]:
    """Columns of one drifting offset, with the weights of rows at these lags; (m, n), (n,)."""
    at = felt.any(axis=0) & (lags != 0.0)
    if not at.any():
        return {}
    factor = drift_factor(lags[at], noise.trend_fades, noise.trend_detail)
    loadings = felt[:, at] @ factor
    if np.isinf(noise.trend_fades):
        return {name: loadings[:, 0]} if loadings.any() else {}
    return {f"{name}, {k + 1}": loadings[:, k] for k in range(loadings.shape[1])}


def _shocks(model: Model, rows: tuple[Observation, ...], noise: Noise) -> dict[str, FloatArray]:
    """Shocks of single years, without persistence."""
    columns: dict[str, FloatArray] = {}
    for i, row in enumerate(rows):
        if not is_flow(model.find(row.quantity).unit) or row.kind == "share":
            continue  # a shock is common to all places, so it does not affect a share
        for year, sign in _shocked(row):
            if noise.shock_sd(year) > 0:
                _column(columns, f"{SHOCK}{year}", len(rows))[i] += sign * noise.shock_sd(year)
    return columns


def _column(columns: dict[str, FloatArray], name: str, size: int) -> FloatArray:
    return columns.setdefault(name, np.zeros(size))


def _statistic(row: Observation) -> str:
    """Place and definition, which have one offset."""
    return f"{row.place}, {row.definition}"


def _scale_loadings(rows: tuple[Observation, ...], noise: Noise) -> dict[str, FloatArray]:
    """Contribution of a unit of each estimated sd factor to the log of the sd of each row."""
    columns: dict[str, FloatArray] = {}
    measured: set[str] = set()
    for i, row in enumerate(rows):
        name, log_sd = noise.scale_of(row)
        if log_sd == 0.0:
            continue
        columns.setdefault(name, np.zeros(len(rows)))[i] = log_sd
        if row.kind not in ("lower", "upper") or row.within is not None:
            measured.add(name)
    # Bounds alone would not identify a factor: a bound is satisfied best by no sd, or by any.
    return {name: column for name, column in columns.items() if name in measured}


def _error_name(key: ErrorSeries, year: int) -> str:
    return ERROR + ", ".join([*(part for part in key if part), str(year)])


def _grows(row: Observation) -> bool:
    return row.kind == "growth"


def _year(row: Observation) -> int:
    return int(np.floor(row.start + 1e-6))


def _shocked(row: Observation) -> list[tuple[int, float]]:
    """Calendar years whose shocks affect a row, with sign and weight."""
    first, last = _year(row), int(np.ceil(row.end - 1e-6))
    years = list(range(first, max(last, first + 1)))
    felt = [(year, 1.0 / len(years)) for year in years]
    if row.kind == "growth":
        felt += [(year - 1, -weight) for year, weight in felt]
    return felt


def _season(model: Model, row: Observation) -> float:
    """``u0 + u1 - 1`` of a part of one calendar year; growth and shares cancel the season."""
    if row.kind in ("growth", "share") or not is_flow(model.find(row.quantity).unit):
        return 0.0
    year = np.floor(row.start + 1e-6)
    u0, u1 = row.start - year, row.end - year
    if u1 > 1.0 + 1e-6 or (abs(u0) < 1e-6 and abs(u1 - 1.0) < 1e-6):
        return 0.0
    return float(u0 + u1 - 1.0)
