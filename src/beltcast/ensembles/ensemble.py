"""Ensembles: many runs as one labelled dataset, scenarios by members.

A member is one draw of the parameters, and is the same draw in all scenarios, so that two scenarios
differ within a member only by the scenario.  Flows are totalled over calendar years; everything
else is known at instants.  Members whose run produces NaN or infinity are marked in ``status``
and continue as NaN; it is an error only if all members fail.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from beltcast.engine.nodes import FloatArray, is_missing
from beltcast.engine.run.prepare import Backend
from beltcast.errors import ScenarioError, SimulationError
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.model.model import Model
from beltcast.model.quantities import is_flow
from beltcast.schema import MEMBER, SCENARIO, TIME, YEAR, Progress
from beltcast.streams import Random, Streams
from beltcast.study.scenarios import Scenario, draw_sizes


def run_ensemble(
    model: Model,
    scenarios: Mapping[str, Scenario],
    draws: tuple[Sequence[str], FloatArray] | None = None,
    *,
    outputs: Sequence[str],
    end: float | None = None,
    backend: Backend = "auto",
    rng: Random | None = None,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Run every scenario with every draw.

    Parameters
    ----------
    model : Model
    scenarios : mapping of str to Scenario
        A constant that a scenario sets overrides a drawn one.
    draws : tuple of labels and values, optional
        Labels (n,) of parameters and their values (N, n), as of `Draws`; the model's own
        constants, one member, by default.
    outputs : sequence of str
        Variables to keep.
    end : float, optional
        Last instant; the model's FINAL TIME by default.
    backend : 'auto', 'llvm' or 'numpy'
    rng : Streams, numpy.random.Generator or int, optional
        The uncertain sizes of scenarios are drawn from its streams, the same numbers in all
        scenarios. A single member takes the medians if none is given.
    pieces : Pieces, optional
        Store of finished blocks of members, so that a resumed run gives the same bits.
    progress : Progress, optional
        Called with (what, done, total) members, after each block that is kept, or scenario.

    Returns
    -------
    xarray.Dataset
        (scenario, member, subscripts..., year) for flows, the total of each calendar year, and
        (scenario, member, subscripts..., time) for the rest; ``status`` (scenario, member) is 0
        for a good run and 1 for one that produced NaN or infinity.

    Raises
    ------
    SimulationError
        All members of a scenario failed.
    ScenarioError
        A scenario has an uncertain size, and there is no `rng` to draw it.

    Examples
    --------
    >>> from beltcast import read_study, run_ensemble
    >>> study = read_study()
    >>> runs = run_ensemble(study.model, study.scenarios, outputs=["national output"])
    >>> runs["national output"].dims
    ('scenario', 'member', 'year')
    """
    labels, values = draws if draws is not None else ((), np.empty((1, 0)))
    names = [model.find(name).name for name in outputs]
    streams = None if rng is None else Streams.of(rng)
    results: dict[str, list[FloatArray]] = {name: [] for name in names}
    status = []
    for i, scenario in enumerate(scenarios.values()):
        found, good = run_scenario(
            model,
            scenario,
            (labels, values),
            outputs=names,
            end=end,
            rng=streams,
            backend=backend,
            pieces=pieces.of(f"scenario {i}"),
            tell=None if progress is None else partial(_told, progress, i, len(scenarios)),
        )
        if not good.any():
            raise SimulationError(
                f"all {good.size} members of the scenario '{scenario.name}' produced NaN or "
                "infinity; check its constants"
            )
        status.append(np.where(good, 0, 1))
        for name, piece in found.items():
            results[name].append(piece)
    variables: dict[str, Any] = {
        name: (output_dims(model, name), np.stack(parts), output_attributes(model, name))
        for name, parts in results.items()
    }
    variables["status"] = ((SCENARIO, MEMBER), np.stack(status), STATUS_ATTRS)
    return xr.Dataset(
        variables,
        output_coordinates(model, names, scenarios, len(values), end),
        {**versions(), **_model_attributes(model)},
    )


def run_scenario(
    model: Model,
    scenario: Scenario,
    draws: tuple[Sequence[str], FloatArray],
    *,
    outputs: Sequence[str],
    end: float | None = None,
    rng: Random | None = None,
    backend: Backend = "auto",
    pieces: Pieces = NOT_KEPT,
    tell: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, FloatArray], NDArray[np.bool_]]:
    """Run one scenario, without labels: the part that `run_ensemble` and a store are made of.

    Parameters
    ----------
    model, scenario, draws, end, rng, backend, pieces
        As for `run_ensemble`.
    outputs : sequence of str
        Names as the model writes them.
    tell : callable, optional
        Called with how many members are done, and of how many.

    Returns
    -------
    pieces : dict of str to (member, subscripts..., year or time)
        NaN in members that failed.
    good : (member,)
        Which members produced finite numbers only, and what the model marks as missing.

    Raises
    ------
    ScenarioError
        The scenario has an uncertain size, and there is no `rng` to draw it.
    """
    labels, values = draws
    flows = [n for n in outputs if is_flow(model.variables[n].unit)]
    instants = [n for n in outputs if n not in flows]
    rows, combined = member_constants(model, (labels, values), scenario)
    combined = _with_sizes(model, rows, combined, scenario, rng)

    def batch(members: FloatArray) -> FloatArray:
        return model.batch(
            rows,
            members,
            outputs=_rows(model, instants),
            totals=_rows(model, flows),
            saves=_instants(model, end),
            # A scenario may set TIME STEP: the grid must follow its constants and series.
            grid=model.grid(scenario.constants, scenario.inputs),
            inputs=scenario.inputs,
            backend=backend,
        )

    run = _in_blocks(batch, combined, pieces, tell or _told_nobody)
    known = np.isfinite(run)
    if not known.all():
        known |= is_missing(run)
    good = np.asarray(known.all(axis=(0, 1)))
    # A year before the run produced NaN or infinity is not reliable either.
    run[:, :, ~good] = np.nan
    return dict(_pieces(model, run, instants, flows)), good


def _in_blocks(
    batch: Callable[[FloatArray], FloatArray],
    members: FloatArray,
    pieces: Pieces,
    tell: Callable[[int, int], None],
) -> FloatArray:
    """Run all members, or kept blocks of them; a member gives the same bits in any block."""
    count = members.shape[1]
    block = count if pieces.folder is None else BLOCK
    runs = []
    for first in range(0, count, block):
        own = np.ascontiguousarray(members[:, first : first + block])
        runs.append(pieces.take(f"from {first}", partial(_one_block, batch, own))["run"])
        tell(min(first + block, count), count)
    return runs[0] if len(runs) == 1 else np.concatenate(runs, axis=2)


def _one_block(batch: Callable[[FloatArray], FloatArray], own: FloatArray) -> dict[str, FloatArray]:
    return {"run": batch(own)}


def _told(progress: Progress, scenario: int, scenarios: int, done: int, members: int) -> None:
    progress("runs", scenario * members + done, scenarios * members)


def _told_nobody(done: int, members: int) -> None:
    """Report nothing."""


BLOCK = 1024
"""Members that are kept together: the most of a scenario that a stopped run may lose."""

STATUS_ATTRS = {"long_name": "0: good run, 1: produced NaN or infinity", "units": "1"}


def output_dims(model: Model, name: str) -> tuple[str, ...]:
    """Dimensions of an output of an ensemble."""
    variable = model.variables[name]
    return (SCENARIO, MEMBER, *variable.dims, YEAR if is_flow(variable.unit) else TIME)


def _instants(model: Model, end: float | None) -> FloatArray:
    """Whole years of a run, which it saves."""
    grid = model.grid()
    return np.arange(np.ceil(grid.start), np.floor(grid.end if end is None else end) + 0.5)


def member_constants(
    model: Model, draws: tuple[Sequence[str], FloatArray] | None, scenario: Scenario
) -> tuple[NDArray[np.int64], FloatArray]:
    """Rows of the constants that members set, and their values; the scenario overrides.

    Without draws there is one member, with the model's own constants.

    Returns
    -------
    (p,), (p, N)
    """
    labels, values = draws or ((), np.empty((1, 0)))
    rows, columns = model.targets(labels)
    members = np.ascontiguousarray(values.T[columns])
    own, given = model.constant_values(scenario.constants)
    kept = ~np.isin(rows, own)
    fixed = np.repeat(given[:, None], members.shape[1], axis=1)
    return np.concatenate([rows[kept], own]), np.concatenate([members[kept], fixed])


def _with_sizes(
    model: Model, rows: np.ndarray, values: FloatArray, scenario: Scenario, rng: Random | None
) -> FloatArray:
    """Replace the medians of uncertain sizes by drawn ones."""
    members = values.shape[1]
    if not scenario.uncertain or (rng is None and members == 1):
        return values
    if rng is None:
        raise ScenarioError(
            f"the scenario '{scenario.name}' has uncertain sizes "
            f"({', '.join(scenario.uncertain)}); give run_ensemble an rng to draw them"
        )
    # Of two labels for an element, its own overrides; `targets` handles that.
    labels = list(scenario.constants)
    own, column = model.targets(labels)
    values = values.copy()
    for label, size in draw_sizes(scenario, members, rng=rng).items():
        values[np.isin(rows, own[column == labels.index(label)])] = size
    return values


def _rows(model: Model, names: Sequence[str]) -> np.ndarray:
    rows = [model.rows(name) for name in names]
    return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)


def _pieces(
    model: Model, run: FloatArray, instants: Sequence[str], flows: Sequence[str]
) -> list[tuple[str, FloatArray]]:
    """Each variable of a run as (member, subscripts..., time or year)."""
    pieces = []
    first = 0
    for name in (*instants, *flows):
        shape = tuple(len(model.subscripts[d]) for d in model.variables[name].dims)
        count = int(np.prod(shape))
        own = run[:, first : first + count]
        first += count
        if name in flows:
            own = np.diff(own, axis=0)
        pieces.append((name, np.moveaxis(own.reshape(len(own), *shape, -1), (0, -1), (-1, 0))))
    return pieces


def output_attributes(model: Model, name: str) -> dict[str, str]:
    """Unit and meaning of an output of an ensemble."""
    attributes = model.attributes(name)
    if is_flow(model.variables[name].unit):
        attributes["units"] = attributes["units"].removesuffix("/Year")
        attributes["cell_methods"] = "year: sum (total from year to year + 1)"
    return attributes


def output_coordinates(
    model: Model,
    names: Sequence[str],
    scenarios: Mapping[str, Scenario],
    members: int,
    end: float | None = None,
) -> dict[str, Any]:
    """Coordinates of an ensemble of these outputs."""
    whole = _instants(model, end)
    used = {d for name in names for d in model.variables[name].dims}
    return {
        SCENARIO: list(scenarios),
        "title": (SCENARIO, [s.title for s in scenarios.values()]),
        MEMBER: np.arange(members),
        **{d: list(model.subscripts[d]) for d in model.subscripts if d in used},
        TIME: (TIME, whole, {"units": model.time_unit, "long_name": "instant, model time"}),
        YEAR: (YEAR, whole[:-1].astype(int), {"long_name": "calendar year"}),
    }


def _model_attributes(model: Model) -> dict[str, str]:
    return {"model": model.name, "model_sha256": model.source.text_sha256}


def versions() -> dict[str, str]:
    """Versions of the software that computed a result."""
    packages = ("beltcast", "numpy", "scipy", "xarray", "pysd")
    text = " ".join(f"{p}={version(p)}" for p in packages)
    return {"versions": f"python={platform.python_version()} {text}"}
