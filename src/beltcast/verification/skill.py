"""Skill of every forecaster of a backtest, case by case and in tables.

The first score is the CRPS of the *log* of the level.  Places may differ in size by a factor of a
hundred: in the unit of the series only the largest would count, while an error of ten percent is
the same in logs for all.  It can be read as a relative error (0.1 is about 10%), stays proper, and
does not change with the unit (Bosse et al. 2023).  The CRPS of levels and the MASE are reported
too.

Forecasters are compared on the cases that all of them answer; the number is in every table.
"Better" and "worse" are given only if errors clustered by year and place exclude equal losses,
with Holm's correction for the number of forecasters compared, over at least ten years (`paired`).

References
----------
Bosse, N. I. et al. (2023): Scoring epidemiological forecasts on transformed scales. PLoS
Computational Biology 19(8), e1011393.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError, did_you_mean
from beltcast.schema import CASE, DRAW, FORECASTER
from beltcast.verification import scores as rules
from beltcast.verification.paired import diebold_mariano, holm, paired_skill

LEVEL = "level"
SCOPE = "scope"

FEWEST_YEARS = 10
"""Years below which no verdict is given.  Places share the shocks of a year, so that years
count; tests/verification/test_skill.py simulates the rate of false verdicts."""

LEVEL_OF_TEST = 0.05
"""Share of false verdicts among equal forecasters, over all comparisons of one table together."""


def case_scores(backtest: xr.Dataset, *, whole: str | None = None) -> xr.Dataset:
    """Score every forecaster on every case.

    Parameters
    ----------
    backtest : xarray.Dataset
        ``forecast`` (case, forecaster, draw), draws of the published level; ``observed`` (case);
        along case ``origin``, ``lead``, ``year``, ``place``, ``definition``, ``quantity`` and
        ``scale``, the mean absolute change of the known history.
    whole : str, optional
        The place that is the whole; by default the attribute ``whole``, else 'China'.

    Returns
    -------
    xarray.Dataset
        Along (case, forecaster): ``log_crps`` and ``log_score`` of the log of the level,
        ``log_error``, the log of the median minus that of the observed level, ``crps`` and
        ``absolute_error`` in the unit of the case, ``scaled_error`` (its mean is the MASE),
        ``pit``, quantiles ``p10``, ``median`` and ``p90``; ``covered`` also along ``level``.  The
        coordinate ``scope`` is 'whole' or 'parts'.  NaN if a forecaster gives none.

    Raises
    ------
    InputError
        A variable that the table needs is missing.
    """
    _check(backtest)
    whole = whole or str(backtest.attrs["whole"])
    names = [str(f) for f in backtest[FORECASTER].values]
    observed = backtest["observed"].values.astype(np.float64)
    scale = backtest["scale"].values.astype(np.float64)
    forecast = backtest["forecast"].transpose(FORECASTER, CASE, DRAW)
    parts = [
        _scores_of(forecast.sel({FORECASTER: name}).values.astype(np.float64), observed, scale)
        for name in names
    ]
    measures: dict[str, tuple[tuple[str, ...], FloatArray]] = {
        key: ((CASE, FORECASTER), np.stack([part[key] for part in parts], axis=1))
        for key in parts[0]
        if key != "covered"
    }
    measures["covered"] = (
        (CASE, FORECASTER, LEVEL),
        np.stack([part["covered"] for part in parts], axis=1),
    )
    scope = np.where(backtest["place"].values == whole, "whole", "parts")
    along = {n: c for n, c in backtest.coords.items() if c.dims == (CASE,)}
    coords = {FORECASTER: names, LEVEL: list(rules.COVERAGE_LEVELS), SCOPE: (CASE, scope), **along}
    attrs = {"whole": whole, **{k: backtest.attrs.get(k, "") for k in ("information", "left_out")}}
    result = xr.Dataset(measures, coords, attrs)
    result["observed"] = (CASE, observed)
    return result


def common_cases(scores: xr.Dataset, forecasters: Sequence[str] | None = None) -> xr.Dataset:
    """Keep some forecasters (all by default), and the cases that all of them answer.

    Baselines give no forecast if a series has no observation yet: tables of the model and its
    variants alone hold more cases than tables of all.

    Raises
    ------
    InputError
        The forecaster does not exist.
    """
    names = [str(f) for f in scores[FORECASTER].values]
    chosen = names if forecasters is None else list(forecasters)
    _known(names, chosen)
    kept = scores.sel({FORECASTER: chosen})
    return kept.isel({CASE: _answered(kept, None)})


def place_years(scores: xr.Dataset, *, once: Sequence[str] = ()) -> xr.Dataset:
    """Average the scores of all cases of one place and year, which are one event.

    Parameters
    ----------
    scores : xarray.Dataset
        As `case_scores` or `common_cases` returns it.
    once : sequence of str
        Places of which all years together count as one event.

    Returns
    -------
    xarray.Dataset
        The same scores, where a case is now an event: ``place``, ``year`` (the first one),
        ``scope``, and ``count``, its cases.  The shares in ``covered`` lie between 0 and 1.  NaN
        if a forecaster gives none for any of them.
    """
    places, years = (scores[name].values for name in ("place", "year"))
    labels = [
        (str(place), 0 if place in once else int(year))
        for place, year in zip(places, years, strict=True)
    ]
    events = list(dict.fromkeys(labels))
    parts, first = [], []
    for event in events:
        members = np.array([label == event for label in labels])
        own = scores.isel({CASE: members})
        kept = [name for name, values in own.data_vars.items() if FORECASTER in values.dims]
        parts.append(own[kept].drop_vars(_along_cases(own)).mean(CASE, skipna=False))
        first.append(int(years[members].min()))
    if not parts:
        return scores.assign_coords(count=(CASE, np.zeros(0, dtype=int)))
    whole = str(scores.attrs["whole"])
    return xr.concat(parts, CASE).assign_coords(
        place=(CASE, [place for place, _ in events]),
        year=(CASE, first),
        origin=(CASE, first),
        lead=(CASE, np.ones(len(events))),
        scope=(CASE, ["whole" if place == whole else "parts" for place, _ in events]),
        count=(CASE, [labels.count(event) for event in events]),
    )


def score_table(scores: xr.Dataset, *, by: str | None = None) -> pd.DataFrame:
    """Mean scores of every forecaster over the cases that all answer, best first.

    Parameters
    ----------
    scores : xarray.Dataset
        As `case_scores` or `common_cases` returns it.
    by : str, optional
        A coordinate of the cases that splits the table, such as ``lead`` or ``scope``.

    Returns
    -------
    pandas.DataFrame
        ``forecaster``, ``cases``, ``log_crps``, ``log_score``, ``crps``, ``mae``, ``mase`` (over
        the cases with a scale), ``covered_80`` (share); in front ``by``, if given.
    """
    rows = []
    for group, part in _groups(scores, by):
        common = common_cases(part)
        for name in map(str, common[FORECASTER].values):
            own = common.sel({FORECASTER: name})
            rows.append(
                {
                    **group,
                    "forecaster": name,
                    "cases": common.sizes[CASE],
                    "log_crps": _mean(own["log_crps"]),
                    "log_score": _mean(own["log_score"]),
                    "crps": _mean(own["crps"]),
                    "mae": _mean(own["absolute_error"]),
                    "mase": _mean(own["scaled_error"]),
                    "covered_80": _mean(own["covered"].sel({LEVEL: 0.8})),
                }
            )
    return _sorted(pd.DataFrame(rows), by, "log_crps")


def skill_table(
    scores: xr.Dataset,
    forecaster: str,
    *,
    against: Sequence[str] | None = None,
    by: str | None = None,
    score: str = "log_crps",
) -> pd.DataFrame:
    """Compare one forecaster with others, pair by pair, on the cases that both answer.

    Parameters
    ----------
    scores : xarray.Dataset
        As `case_scores` returns it.
    forecaster : str
    against : sequence of str, optional
        All others by default.
    by : str, optional
        A coordinate that splits the table.
    score : str
        A loss, such as ``log_crps``, ``crps`` or ``scaled_error``.

    Returns
    -------
    pandas.DataFrame
        ``against``, ``cases``, ``targets`` (places by years), ``years``, mean loss ``own`` and
        ``other``, ``skill`` (1 minus their ratio) with ``low`` and ``high`` of `paired_skill`,
        its ``p`` and ``p_adjusted`` by Holm's method over the forecasters compared; ``dm`` and
        ``dm_p`` of Diebold and Mariano's test on the means of each origin, at the longest lead;
        ``verdict``: 'better', 'worse', 'not told apart' or 'too few years'.

    Raises
    ------
    InputError
        The forecaster or score does not exist.
    """
    names = [str(f) for f in scores[FORECASTER].values]
    others = [n for n in names if n != forecaster] if against is None else list(against)
    _known(names, [forecaster, *others])
    if score not in scores or score == "log_score":
        raise InputError(
            f"the skill of '{score}' is requested; expected a loss that cannot be negative, such "
            "as 'log_crps'"
        )
    rows = []
    for group, part in _groups(scores, by):
        found = []
        for other in others:
            both = part.isel({CASE: _answered(part, [forecaster, other], score)})
            found.append({**group, **_compared(both, forecaster, other, score)})
        for row, p in zip(found, holm([float(row["p"]) for row in found]), strict=True):
            rows.append({**row, "p_adjusted": p, "verdict": _verdict(row, float(p))})
    return _sorted(pd.DataFrame(rows), by, "skill")


def coverage_table(scores: xr.Dataset, *, by: str | None = None) -> pd.DataFrame:
    """Coverage of central intervals, with Clopper and Pearson's interval.

    Returns
    -------
    pandas.DataFrame
        ``forecaster``, ``level``, ``hits``, ``cases``, ``share``, ``low`` and ``high`` (95%, too
        narrow for correlated cases); in front ``by``, if given.  Every forecaster is counted
        on all cases that it answers.
    """
    rows = []
    for group, part in _groups(scores, by):
        for name in map(str, part[FORECASTER].values):
            for level in part[LEVEL].values:
                inside = part["covered"].sel({FORECASTER: name, LEVEL: level}).values
                known = inside[np.isfinite(inside)]
                hits, cases = int(known.sum()), len(known)
                low, high = rules.binomial_interval(hits, cases)
                share = hits / cases if cases else np.nan
                counts = {"hits": hits, "cases": cases, "share": share, "low": low, "high": high}
                rows.append({**group, "forecaster": name, "level": float(level), **counts})
    return pd.DataFrame(rows)


def error_table(scores: xr.Dataset, forecaster: str, *, by: str | None = None) -> pd.DataFrame:
    """Split the errors of one forecaster's log medians into bias and standard deviation, by groups.

    Returns
    -------
    pandas.DataFrame
        ``cases``, ``targets``; ``error``, the mean absolute error; ``bias``, the mean error, above
        0 if forecasts were too high; ``sd``, the root mean square around it; ``band``, the
        mean width of the 80% band; ``covered_80``.  All of logs; in front ``by``, if given.
        All cases that the forecaster answers count.

    Raises
    ------
    InputError
        The forecaster or coordinate does not exist.
    """
    rows = []
    for group, part in _groups(common_cases(scores, [forecaster]), by):
        own = part.sel({FORECASTER: forecaster})
        low, median, high = (rules.log_levels(own[q].values) for q in ("p10", "median", "p90"))
        rest = median - rules.log_levels(own["observed"].values)
        rows.append(
            {
                **group,
                "cases": len(rest),
                "targets": len(set(_targets(own))),
                "error": float(np.abs(rest).mean()),
                "bias": float(rest.mean()),
                "sd": float(rest.std()),
                "band": float((high - low).mean()),
                "covered_80": _mean(own["covered"].sel({LEVEL: 0.8})),
            }
        )
    return pd.DataFrame(rows)


def pit_counts(scores: xr.Dataset, *, bins: int = 10) -> pd.DataFrame:
    """Count the probability integral transforms in equal bins: flat for a calibrated forecaster.

    Returns
    -------
    pandas.DataFrame
        (forecaster, bin), the columns named by the upper end of each bin.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    counts = {
        str(name): np.histogram(_finite(scores["pit"].sel({FORECASTER: name}).values), edges)[0]
        for name in scores[FORECASTER].values
    }
    return pd.DataFrame.from_dict(counts, orient="index", columns=np.round(edges[1:], 3))


def theil_table(scores: xr.Dataset) -> pd.DataFrame:
    """Theil's split of the mean squared error of the log medians, over common cases."""
    common = common_cases(scores)
    observed = rules.log_levels(common["observed"].values)
    return pd.DataFrame(
        [
            {"forecaster": name, **asdict(rules.theil(rules.log_levels(own), observed))}
            for name in map(str, common[FORECASTER].values)
            for own in [common["median"].sel({FORECASTER: name}).values]
        ]
    )


def worst_misses(scores: xr.Dataset, forecaster: str, *, most: int = 10) -> pd.DataFrame:
    """Cases with the largest loss of a forecaster, by the CRPS of logs, the worst first.

    Returns
    -------
    pandas.DataFrame
        ``origin``, ``lead``, ``year``, ``place``, ``quantity``, ``definition``, ``observed``, the
        forecast's ``p10``, ``median`` and ``p90``, ``ratio`` of observed to median, ``log_crps``.
    """
    own = scores.sel({FORECASTER: forecaster})
    table = pd.DataFrame(
        {
            name: own[name].values
            for name in (
                *("origin", "lead", "year", "place", "quantity", "definition"),
                *("observed", "p10", "median", "p90", "log_crps"),
            )
        }
    )
    table.insert(10, "ratio", table["observed"] / table["median"])
    return table.nlargest(most, "log_crps").reset_index(drop=True)


def _check(backtest: xr.Dataset) -> None:
    needed = ("forecast", "observed", "origin", "lead", "year", "place", "scale")
    missing = [name for name in needed if name not in backtest.variables]
    if missing:
        raise InputError(
            f"the backtest has no {', '.join(missing)}; give the dataset of beltcast.backtest"
        )


def _known(names: Sequence[str], asked: Sequence[str]) -> None:
    for name in asked:
        if name not in names:
            raise InputError(f"no forecaster is called '{name}'{did_you_mean(name, names)}")


def _along_cases(scores: xr.Dataset) -> list[str]:
    return [str(name) for name, values in scores.coords.items() if CASE in values.dims]


def _scores_of(draws: FloatArray, observed: FloatArray, scale: FloatArray) -> dict[str, FloatArray]:
    logs, log_observed = rules.log_levels(draws), rules.log_levels(observed)
    low, median, high = np.quantile(draws, [0.1, 0.5, 0.9], axis=-1)
    return {
        "log_crps": rules.crps_ensemble(logs, log_observed),
        "log_score": rules.log_score(logs, log_observed),
        "log_error": rules.log_levels(median) - log_observed,
        "crps": rules.crps_ensemble(draws, observed),
        "absolute_error": rules.absolute_error(median, observed),
        "scaled_error": rules.scaled_error(median, observed, scale),
        "pit": rules.pit(draws, observed),
        "p10": low,
        "median": median,
        "p90": high,
        "covered": np.stack(
            [rules.covered(draws, observed, x) for x in rules.COVERAGE_LEVELS], axis=-1
        ),
    }


def _groups(scores: xr.Dataset, by: str | None) -> Iterator[tuple[dict[str, object], xr.Dataset]]:
    """The whole, or each value of a coordinate and its cases."""
    if by is None:
        yield {}, scores
        return
    if by not in scores.coords or scores[by].dims != (CASE,):
        known = [str(n) for n, c in scores.coords.items() if c.dims == (CASE,)]
        raise InputError(f"the cases have no coordinate '{by}'{did_you_mean(by, known)}")
    for value in np.unique(scores[by].values):
        yield {by: value}, scores.isel({CASE: scores[by].values == value})


def _answered(
    scores: xr.Dataset, names: Sequence[str] | None, score: str = "log_crps"
) -> np.ndarray:
    """Cases on which all these forecasters have a score, (case,) of bool."""
    values = scores[score] if names is None else scores[score].sel({FORECASTER: list(names)})
    known: np.ndarray = np.isfinite(values.transpose(CASE, FORECASTER).values).all(axis=1)
    return known


def _compared(both: xr.Dataset, forecaster: str, other: str, score: str) -> dict[str, Any]:
    own, theirs = (both[score].sel({FORECASTER: n}).values for n in (forecaster, other))
    years = both["year"].values
    counts = {
        "against": other,
        "cases": len(own),
        "targets": len(set(_targets(both))),
        "years": len(np.unique(years)),
    }
    if not len(own):
        blank = ("own", "other", "skill", "low", "high", "p", "dm", "dm_p")
        return {**counts, **dict.fromkeys(blank, np.nan)}
    found = paired_skill(own, theirs, years, both["place"].values)
    by_origin = pd.Series(own - theirs).groupby(both["origin"].values).mean()
    lead = max(1, int(np.ceil(float(both["lead"].values.max()))))
    test = diebold_mariano(by_origin.to_numpy(), lead=lead)
    return {
        **counts,
        "own": float(own.mean()),
        "other": float(theirs.mean()),
        "skill": found.skill,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "dm": test.statistic,
        "dm_p": test.p,
    }


def _targets(scores: xr.Dataset) -> list[str]:
    """Place and year of each case: one event, however often it is forecast."""
    pairs = zip(scores["place"].values, scores["year"].values, strict=True)
    return [f"{place} {year}" for place, year in pairs]


def _verdict(row: Mapping[str, Any], p: float) -> str:
    if row["years"] < FEWEST_YEARS:
        return "too few years"
    if not p < LEVEL_OF_TEST:  # NaN: losses that differ only by rounding
        return "not told apart"
    return "better" if row["skill"] > 0 else "worse"


def _mean(values: xr.DataArray) -> float:
    known = _finite(values.values)
    return float(known.mean()) if len(known) else np.nan


def _finite(values: FloatArray) -> FloatArray:
    return values[np.isfinite(values)]


def _sorted(table: pd.DataFrame, by: str | None, value: str) -> pd.DataFrame:
    columns = [value] if by is None else [by, value]
    return table.sort_values(columns, kind="stable", ignore_index=True)
