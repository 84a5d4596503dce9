"""Many runs as one labelled dataset: scenarios by members.

A member is one draw of the parameters, and is the same draw in all scenarios: what differs between
two scenarios within a member is the scenario.  Flows are totalled over calendar years; everything
else is known at instants.  Members whose run leaves the finite numbers are marked in ``status``
and go on as NaN; only when all fail is that an error.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.errors import ScenarioError, SimulationError
from beltcast.model import Backend, Constants, Model
from beltcast.quantities import is_flow
from beltcast.scenarios import Scenario, draw_sizes
from beltcast.schema import MEMBER, SCENARIO, TIME, YEAR


def run_ensemble(
    model: Model,
    scenarios: Mapping[str, Scenario],
    draws: tuple[Sequence[str], FloatArray] | None = None,
    *,
    outputs: Sequence[str],
    end: float | None = None,
    provenance: Mapping[str, str] | None = None,
    backend: Backend = "auto",
    rng: np.random.Generator | None = None,
) -> xr.Dataset:
    """Run every scenario with every draw.

    Parameters
    ----------
    model : Model
    scenarios : mapping of str to Scenario
        A constant that a scenario sets wins over a drawn one.
    draws : tuple of labels and values, optional
        Labels (n,) of parameters and their values (N, n), as of `Draws`; the model's own
        constants, one member, by default.
    outputs : sequence of str
        Variables to keep.
    end : float, optional
        Last instant; the model's FINAL TIME by default.
    provenance : mapping, optional
        Attributes to add: hashes, seed.
    backend : 'auto', 'llvm' or 'numpy'
    rng : numpy.random.Generator, optional
        Draws the uncertain sizes of scenarios, the same numbers in all of them. A single member
        can do without and takes the medians.

    Returns
    -------
    xarray.Dataset
        (scenario, member, subscripts..., year) for flows, the total of each calendar year, and
        (scenario, member, subscripts..., time) for the rest; ``status`` (scenario, member) is 0
        for a good run and 1 for one that left the finite numbers.

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
    flows = [n for n in names if is_flow(model.variables[n].unit)]
    instants = [n for n in names if n not in flows]
    start, stop = model.grid().start, model.grid().end if end is None else end
    whole = np.arange(np.ceil(start), np.floor(stop) + 0.5)
    parameters, columns = model.targets(labels)
    member_values = np.ascontiguousarray(values.T[columns])
    results: dict[str, list[FloatArray]] = {name: [] for name in names}
    status = []
    seed = None if rng is None else int(rng.integers(2**63))
    for scenario in scenarios.values():
        rows, combined = _override(model, parameters, member_values, scenario.constants)
        combined = _with_sizes(model, rows, combined, scenario, seed)
        run = model.batch(
            rows,
            combined,
            outputs=_rows(model, instants),
            totals=_rows(model, flows),
            saves=whole,
            # A scenario may set TIME STEP: the grid must be the one that its constants say.
            grid=model.grid(scenario.constants),
            inputs=scenario.inputs,
            backend=backend,
        )
        good = np.asarray(np.isfinite(run).all(axis=(0, 1)))
        if not good.any():
            raise SimulationError(
                f"all {good.size} members of the scenario '{scenario.name}' left the finite "
                "numbers; look at its constants"
            )
        # A year before the run left the numbers is not to be trusted either.
        run[:, :, ~good] = np.nan
        status.append(np.where(good, 0, 1))
        for name, piece in _pieces(model, run, instants, flows):
            results[name].append(piece)
    variables: dict[str, Any] = {
        name: (
            (SCENARIO, MEMBER, *model.variables[name].dims, YEAR if name in flows else TIME),
            np.stack(pieces),
            _attributes(model, name, name in flows),
        )
        for name, pieces in results.items()
    }
    variables["status"] = (
        (SCENARIO, MEMBER),
        np.stack(status),
        {"long_name": "0 good run, 1 left the finite numbers", "units": "1"},
    )
    return xr.Dataset(
        variables,
        _coordinates(model, names, scenarios, len(values), whole),
        {**_versions(), **_model_attributes(model), **(provenance or {})},
    )


def _override(
    model: Model, rows: np.ndarray, values: FloatArray, constants: Constants
) -> tuple[np.ndarray, FloatArray]:
    """Add the scenario's constants to the members' parameters; the scenario wins."""
    own, given = model.constant_values(constants)
    kept = ~np.isin(rows, own)
    fixed = np.repeat(given[:, None], values.shape[1], axis=1)
    return np.concatenate([rows[kept], own]), np.concatenate([values[kept], fixed])


def _with_sizes(
    model: Model, rows: np.ndarray, values: FloatArray, scenario: Scenario, seed: int | None
) -> FloatArray:
    """Put the drawn uncertain sizes in the place of their medians."""
    members = values.shape[1]
    if not scenario.uncertain or (seed is None and members == 1):
        return values
    if seed is None:
        raise ScenarioError(
            f"the scenario '{scenario.name}' has uncertain sizes "
            f"({', '.join(scenario.uncertain)}); give run_ensemble an rng to draw them"
        )
    # Of two labels that reach an element, its own wins; `targets` knows.
    labels = list(scenario.constants)
    own, column = model.targets(labels)
    values = values.copy()
    for label, size in draw_sizes(scenario, members, seed=seed).items():
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


def _attributes(model: Model, name: str, total: bool) -> dict[str, str]:
    attributes = model.attributes(name)
    if total:
        attributes["units"] = attributes["units"].removesuffix("/Year")
        attributes["cell_methods"] = "year: sum (total from year to year + 1)"
    return attributes


def _coordinates(
    model: Model,
    names: Sequence[str],
    scenarios: Mapping[str, Scenario],
    members: int,
    whole: FloatArray,
) -> dict[str, Any]:
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


def _versions() -> dict[str, str]:
    packages = ("beltcast", "numpy", "scipy", "xarray", "pysd")
    versions = " ".join(f"{p}={version(p)}" for p in packages)
    return {"versions": f"python={platform.python_version()} {versions}"}
