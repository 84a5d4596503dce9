"""Sensitivity of an output to uncertain constants, over time.

Choose a method by purpose:

=============  ============================  ===================================================
purpose        method                        runs
=============  ============================  ===================================================
a first look   ``tornado``: one at a time    2 D + 1, and 40 D for ranks
to screen      ``morris``: elementary        base (D + 1)
many           effects (Morris 1991)
shares of the  ``sobol``: first and total    base (D + 2)
variance       indices (Sobol' 2001)
and of pairs   the same, ``pairs=True``:     base (2 D + 2)
               second-order indices
no variance    ``pawn``: distance of         base
as measure     distributions (Pianosi and
               Wagener 2018)
=============  ============================  ===================================================

All are ensembles of this package; designs and estimates of the last three are SALib's.  Each
estimate stands beside that from half of the runs: where the two differ, more runs are needed.
Ranks are ranges, see `beltcast.drivers.sensitivity.ranks`.  Constants vary within their priors, in
quantiles, or within given ranges; all others stay at their medians.

References
----------
Sobol', I. M. (2001): Global sensitivity indices for nonlinear mathematical models and their Monte
Carlo estimates. Mathematics and Computers in Simulation 55, 271-280.
Morris, M. D. (1991): Factorial sampling plans for preliminary computational experiments.
Technometrics 33, 161-174.
Pianosi, F. and Wagener, T. (2018): Distribution-based sensitivity analysis from a generic
input-output sample. Environmental Modelling & Software 108, 197-207.
Herman, J. and Usher, W. (2017): SALib. Journal of Open Source Software 2(9), 97.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.engine.syntax import split_label
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.verdicts import negligible
from beltcast.errors import InputError, SimulationError
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.model.model import Model
from beltcast.schema import MEMBER, PARAMETER, SCENARIO, TIME, YEAR, Progress
from beltcast.streams import Random, Streams
from beltcast.study.priors import Priors
from beltcast.study.scenarios import Scenario

SensitivityMethod = Literal["tornado", "morris", "sobol", "pawn"]

SENSITIVITY_METHODS: tuple[SensitivityMethod, ...] = ("sobol", "morris", "pawn", "tornado")
"""All methods."""

TAIL = 0.05
"""Morris and the tornado stay between the 5% and the 95% quantile, since their grids have ends."""

SETTINGS = 20
"""Random settings of the other constants at which the tornado is repeated for its ranks."""

RESAMPLES = 500
"""Resampled sets of Morris' trajectories: 2.5 % of them are 12."""

GRID_LEVELS = 4
"""Levels of the grid of Morris, SALib's and the usual choice."""

DUMMIES = 20
"""Inputs that the model does not have: what PAWN gives them is the noise of the estimate
(Khorashadi Zadeh et al. 2017, Environmental Modelling & Software 91, 210-222)."""

_MEASURES: Mapping[SensitivityMethod, Mapping[str, tuple[str, str]]] = {
    # name here: (name in SALib, what it is)
    "sobol": {
        "first": ("S1", "share of the variance that the constant explains alone"),
        "total": ("ST", "share of the variance that involves the constant"),
        "first_error": ("S1_conf", "half width of the 95% interval of first"),
        "total_error": ("ST_conf", "half width of the 95% interval of total"),
    },
    "morris": {
        "mu": ("mu", "mean elementary effect, scaled to the step from the 5% to the 95% quantile"),
        "mu_star": ("mu_star", "mean size of the elementary effects"),
        "sigma": ("sigma", "standard deviation of the elementary effects"),
        "mu_star_error": ("mu_star_conf", "half width of the 95% interval of mu_star"),
    },
    "pawn": {
        "median": ("median", "median Kolmogorov-Smirnov distance over the slices"),
        "largest": ("maximum", "largest Kolmogorov-Smirnov distance over the slices"),
        "median_error": ("", f"half width of 95% of the medians of {DUMMIES} dummies"),
    },
}
_OF_PAIRS: Mapping[str, tuple[str, str]] = {
    "second": ("S2", "share of the variance that two constants explain only together"),
    "second_error": ("S2_conf", "half width of the 95% interval of second"),
}
SLICES = 10
RUNS_PER_SLICE = 10
"""Smallest number of runs: PAWN compares each slice of an input with all runs."""

OTHER_PARAMETER = "other"
"""Dimension of the second constant of a pair."""


class Space(Protocol):
    """Uncertain constants, and their values at given quantiles."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the constants."""

    def at(self, p: FloatArray) -> FloatArray:
        """Values at quantiles, (N, D) to (N, D)."""


@dataclass(frozen=True)
class Ranges:
    """Constants that are uniform between two numbers each, for a model without priors."""

    ranges: Mapping[str, tuple[float, float]]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the constants."""
        return tuple(self.ranges)

    def at(self, p: FloatArray) -> FloatArray:
        """Values at quantiles, (N, D) to (N, D)."""
        ends = np.array(list(self.ranges.values()), dtype=np.float64)
        values: FloatArray = ends[:, 0] + p * (ends[:, 1] - ends[:, 0])
        return values


@dataclass(frozen=True, eq=False)
class _Believed:
    """Constants within their priors."""

    priors: Priors

    @property
    def labels(self) -> tuple[str, ...]:
        return self.priors.labels

    def at(self, p: FloatArray) -> FloatArray:
        # A point of a scrambled sequence may lie within rounding of 0 or 1, where a normal is
        # infinite.
        return self.priors.natural(self.priors.from_uniform(np.clip(p, 1e-9, 1.0 - 1e-9)))


def sensitivity_indices(
    model: Model,
    space: Priors | Mapping[str, tuple[float, float]],
    *,
    target: str,
    method: SensitivityMethod = "sobol",
    rng: Random,
    base: int = 1024,
    scenario: Scenario | None = None,
    at: Mapping[str, float] | None = None,
    logs: bool = False,
    pairs: bool = False,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Return how much an output depends on each constant, at each time.

    Parameters
    ----------
    model : Model
    space : Priors, or mapping of str to (low, high)
        What varies, see ``Priors.subset``.
    target : str
        A variable without subscripts, or one element: ``output[Shenzhen]``.  A flow is taken as
        the total of each year, everything else at instants.
    method : 'tornado', 'morris', 'sobol' or 'pawn'
    rng : Streams, numpy.random.Generator or int
    base : int
        Base points of Sobol' (a power of two), trajectories of Morris, runs of PAWN.
    scenario : Scenario, optional
    at : mapping, optional
        Values of constants that are held fixed, such as medians of other priors.
    logs : bool
        Take the log of the output, so that shares are of relative variation.
    pairs : bool
        With Sobol', also the second-order index of each pair; nearly doubles the runs.
    pieces : Pieces, optional
        Store of finished runs, to resume from.
    progress : Progress, optional

    Returns
    -------
    xarray.Dataset
        Over (parameter, year) or (parameter, time) the measures of the method, and ``..._half``
        from the first half of the runs; with `pairs` also ``second`` (parameter, other, year), the
        same on both sides of its empty diagonal.  ``tornado``: ``low`` and ``high``, the output at
        the 5% and 95% quantile, ``middle`` with all at their medians, and ``swing = high - low``.
        Tornado and Morris also have ``rank_low`` and ``rank_high``, see `rank_ranges`.

    Raises
    ------
    InputError
        The number of base points or the target does not fit, or pairs are requested of another
        method.
    SimulationError
        A run produced NaN or infinity; no index can be estimated from such a design.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.drivers.sensitivity.sensitivity import sensitivity_indices
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> ranges = {"Lifetime": (4.0, 6.0), "Initial Stock": (90.0, 110.0)}
    >>> rng = np.random.default_rng(1)
    >>> found = sensitivity_indices(model, ranges, target="Stock", method="tornado", rng=rng)
    >>> float(found["swing"].sel(parameter="Initial Stock", time=0.0))
    18.0
    """
    moved: Space = _Believed(space) if isinstance(space, Priors) else Ranges(space)
    if not moved.labels:
        raise InputError("no constant is moved; give at least one prior or range")
    if pairs and (method != "sobol" or len(moved.labels) < 2):
        raise InputError(
            f"pairs are of Sobol' indices and of two constants or more, not of {method} with "
            f"{len(moved.labels)}; choose the method 'sobol' and two constants"
        )
    streams = Streams.of(rng)
    p, problem = _design(moved, method, base, streams.design, pairs)
    needed = 2 * len(moved.labels) + 1 if method == "tornado" else len(p)
    series = _run(model, moved, p, needed, target, scenario, at or {}, pieces, progress)
    y = series.transpose(MEMBER, ...).values
    if logs:
        if (y[:needed] <= 0).any():
            raise InputError(
                f"'{target}' is not always above 0, so it has no log; ask for its level instead, "
                "with --levels or logs=False"
            )
        y = np.log(np.where(y > 0, y, np.nan))
    if method == "tornado":
        measures = _tornado(y, len(moved.labels), logs)
    else:
        seed = int(streams.resampling.integers(2**31))
        measures, half = (
            _estimates(method, problem, p, y, points, seed, pairs, logs)
            for points in (base, base // 2)
        )
        if method == "morris":
            measures |= _ranks_of_trajectories(p, y, 1.0 if logs else None, streams.ranks)
        measures |= {f"{n}_half": values for n, values in half.items() if not n.endswith("_error")}
        if method == "pawn":
            idle = {n: values[-DUMMIES:] for n, values in measures.items()}
            measures = {n: values[:-DUMMIES] for n, values in measures.items()}
            low, high = np.quantile(idle["median"], [0.025, 0.975], axis=0)
            measures["median_error"] = np.broadcast_to(0.5 * (high - low), measures["median"].shape)
            measures |= {
                f"{n}_dummy": np.quantile(idle[n], 0.95, axis=0) for n in ("median", "largest")
            }
    return _labelled(measures, moved, series, method, target, base, len(p), logs)


def _design(
    space: Space, method: SensitivityMethod, base: int, rng: np.random.Generator, pairs: bool
) -> tuple[FloatArray, dict[str, Any]]:
    """Quantiles at which to run, (N, D), and the problem in SALib's terms."""
    d = len(space.labels)
    ends = [TAIL, 1.0 - TAIL] if method in ("morris", "tornado") else [0.0, 1.0]
    dummies = [f"(dummy {k})" for k in range(DUMMIES)] if method == "pawn" else []
    names = [*space.labels, *dummies]
    problem = {"num_vars": len(names), "names": names, "bounds": [ends] * len(names)}
    if method == "tornado":
        settings = [np.full(d, 0.5), *rng.uniform(ends[0], ends[1], size=(SETTINGS, d))]
        bars = [_bars(at, ends) for at in settings]
        bars.insert(1, np.full((1, d), 0.5))
        return np.concatenate(bars), problem
    least = RUNS_PER_SLICE * SLICES if method == "pawn" else 4
    if base < least or (method == "sobol" and base & (base - 1)):
        raise InputError(
            f"base is {base}; expected a power of two of at least 4, such as 1024"
            if method == "sobol"
            else f"base is {base}; expected at least {least}"
            + (f", {RUNS_PER_SLICE} runs in each of {SLICES} slices" if method == "pawn" else "")
        )
    if method == "sobol":
        from SALib.sample import sobol

        return sobol.sample(problem, base, calc_second_order=pairs, seed=rng), problem
    if method == "morris":
        from SALib.sample import morris

        return morris.sample(problem, base, num_levels=GRID_LEVELS, seed=rng), problem
    from SALib.sample import latin

    return latin.sample(problem, base, seed=rng), problem


def _run(
    model: Model,
    space: Space,
    p: FloatArray,
    needed: int,
    target: str,
    scenario: Scenario | None,
    held: Mapping[str, float],
    pieces: Pieces,
    progress: Progress | None,
) -> xr.DataArray:
    """Output of every run, over member and time or year."""
    name, _, inside = split_label(target)
    variable = model.find(name.strip())
    elements = [e.strip() for e in inside.rstrip("]").split(",")] if inside else []
    if len(elements) != len(variable.dims):
        raise InputError(
            f"'{target}' has the dimensions ({', '.join(variable.dims)}); name one element, as in "
            f"{variable.name}[{', '.join(model.subscripts[d][0] for d in variable.dims)}]"
            if variable.dims
            else f"'{variable.name}' has no dimension, but '{target}' names an element"
        )
    values = space.at(p[:, : len(space.labels)])  # without the dummies of PAWN
    others = [label for label in held if label not in space.labels]
    constant = np.tile([held[label] for label in others], (len(p), 1))
    labels = (*space.labels, *others)
    base = scenario or Scenario("default", "Default")
    run = run_ensemble(
        model,
        {base.name: base},
        (labels, np.concatenate([values, constant], axis=1)),
        outputs=[variable.name],
        pieces=pieces,
        progress=progress,
    )
    failed = int(run["status"].values[:, :needed].sum())
    if failed:
        raise SimulationError(
            f"{failed} of {needed} runs produced NaN or infinity; narrow the ranges or bounds"
        )
    places = dict(zip(variable.dims, elements, strict=True))
    return run[variable.name].isel({SCENARIO: 0}, drop=True).sel(places)


def _bars(at: FloatArray, ends: Sequence[float]) -> FloatArray:
    """Points of a tornado around one, (2 D, D): each constant at its low end, then at its high."""
    d = len(at)
    p = np.tile(at, (2 * d, 1))
    p[np.arange(d), np.arange(d)], p[d + np.arange(d), np.arange(d)] = ends
    return p


def _tornado(y: FloatArray, d: int, logs: bool) -> dict[str, FloatArray]:
    """Measures around the medians, and ranks over the other settings that could be run."""
    low, high, middle = y[:d], y[d : 2 * d], y[2 * d]
    scale = np.ones_like(middle) if logs else np.abs(y[: 2 * d + 1]).max(axis=0)
    swing = np.where(negligible(high - low, scale), 0.0, high - low)
    swing = np.where((swing == 0.0).all(axis=0), np.nan, swing)
    others = y[2 * d + 1 :].reshape(SETTINGS, 2, d, -1)
    others = others[np.isfinite(others).all(axis=(1, 2, 3))]
    swings = np.abs(np.concatenate([swing[None], others[:, 1] - others[:, 0]]))
    swings = np.where(negligible(swings, scale), 0.0, swings)
    return {"low": low, "high": high, "swing": swing, "middle": middle, **_rank_range(swings)}


def _ranks_of_trajectories(
    p: FloatArray, y: FloatArray, scale: float | None, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Ranks of the mean size of elementary effects over resampled trajectories of Morris."""
    d = p.shape[1]
    steps = np.diff(p.reshape(-1, d + 1, d), axis=1)
    moved = np.abs(steps).argmax(axis=2)
    size = np.abs(np.diff(y.reshape(len(moved), d + 1, -1), axis=1))
    size = np.where(negligible(size, np.abs(y).max(axis=0) if scale is None else scale), 0.0, size)
    effects = np.empty_like(size)
    which = np.arange(len(moved))[:, None]
    effects[which, moved] = size / np.abs(steps).max(axis=2)[:, :, None]
    counts = rng.multinomial(len(moved), np.full(len(moved), 1.0 / len(moved)), RESAMPLES)
    return _rank_range(np.tensordot(counts / len(moved), effects, axes=(1, 0)))


def _rank_range(weights: FloatArray) -> dict[str, FloatArray]:
    """Lowest and highest rank in 95 % of the rows, (rows, D, times) -> (D, times); ties share."""
    first, last = (np.empty(weights.shape) for _ in range(2))
    for row, own in enumerate(weights):
        other = own[None, :] * (1.0 + 1e-12)
        first[row] = 1 + (own[None, :] > own[:, None] * (1.0 + 1e-12)).sum(axis=1)
        last[row] = (other >= own[:, None]).sum(axis=1)
    return {
        "rank_low": np.quantile(first, 0.025, axis=0, method="lower"),
        "rank_high": np.quantile(last, 0.975, axis=0, method="higher"),
    }


def _estimates(
    method: SensitivityMethod,
    problem: dict[str, Any],
    p: FloatArray,
    y: FloatArray,
    base: int,
    seed: int,
    pairs: bool,
    logs: bool,
) -> dict[str, FloatArray]:
    """Measures from the first `base` points; NaN if the output is constant up to rounding.

    Each is (D, times), those of pairs (D, D, times).
    """
    d = problem["num_vars"]
    of_sobol = base * (2 * d + 2 if pairs else d + 2)
    runs = {"sobol": of_sobol, "morris": base * (d + 1)}.get(method, base)
    found = {name: np.full((d, y.shape[1]), np.nan) for name in _MEASURES[method]}
    if pairs:
        found |= {name: np.full((d, d, y.shape[1]), np.nan) for name in _OF_PAIRS}
    for t in range(y.shape[1]):
        own = np.ascontiguousarray(y[:runs, t])
        if bool(negligible(np.ptp(own), 1.0 if logs else np.abs(own).max())):
            continue
        answer = _analyse(method, problem, p[:runs], own, seed, pairs)
        for name, (theirs, _) in _MEASURES[method].items():
            if theirs:
                found[name][:, t] = np.asarray(answer[theirs], dtype=np.float64)
        for name, (theirs, _) in _OF_PAIRS.items() if pairs else ():
            above = np.asarray(answer[theirs], dtype=np.float64)  # NaN except above the diagonal
            found[name][:, :, t] = np.where(np.isnan(above), above.T, above)
    return found


def _analyse(
    method: SensitivityMethod,
    problem: dict[str, Any],
    p: FloatArray,
    y: FloatArray,
    seed: int,
    pairs: bool,
) -> Mapping[str, Any]:
    analyse = import_module(f"SALib.analyze.{method}").analyze
    with warnings.catch_warnings():
        # SALib divides zero by zero for a constant without effect, and warns each time.
        warnings.simplefilter("ignore")
        if method == "sobol":
            answer = analyse(problem, y, calc_second_order=pairs, seed=seed)
        elif method == "morris":
            answer = analyse(problem, p, y, num_levels=GRID_LEVELS, seed=seed)
        else:
            answer = analyse(problem, p, y, S=SLICES, seed=seed)
    result: Mapping[str, Any] = answer
    return result


def _labelled(
    measures: Mapping[str, FloatArray],
    space: Space,
    series: xr.DataArray,
    method: SensitivityMethod,
    target: str,
    base: int,
    runs: int,
    logs: bool,
) -> xr.Dataset:
    when = YEAR if YEAR in series.dims else TIME
    own = str(series.attrs.get("units", ""))
    unit = "1" if logs or method in ("sobol", "pawn") else own
    texts: dict[str, str] = {
        "low": f"output with the constant at its {100 * TAIL:.0f}% quantile",
        "high": f"output with the constant at its {100 * (1 - TAIL):.0f}% quantile",
        "swing": "high less low",
        "middle": "output with all at their medians",
        "rank_low": "first rank in 95 % of the settings or resamples",
        "rank_high": "last rank in 95 % of the settings or resamples",
    }
    if method != "tornado":
        texts |= {n: text for n, (_, text) in {**_MEASURES[method], **_OF_PAIRS}.items()}
    variables = {}
    for name, values in measures.items():
        dims: Sequence[str] = (*(PARAMETER, OTHER_PARAMETER)[: values.ndim - 1], when)
        text = texts[name.removesuffix("_half").removesuffix("_dummy")]
        ending = ", from half of the runs" if name.endswith("_half") else ""
        ending = ", 95% quantile of the dummies" if name.endswith("_dummy") else ending
        units = "1" if name.startswith("rank") else unit
        variables[name] = (dims, values, {"units": units, "long_name": text + ending})
    pair = (
        {OTHER_PARAMETER: list(space.labels)} if any(v.ndim == 3 for v in measures.values()) else {}
    )
    return xr.Dataset(
        variables,
        {PARAMETER: list(space.labels), when: series[when], **pair},
        {"method": method, "target": target, "base": base, "runs": runs, "log": int(logs)},
    )
