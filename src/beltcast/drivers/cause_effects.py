"""The cause that moved a variable most between two scenarios, at each instant and in each member.

Both scenarios run with the same members.  At an instant, a variable is ``y = f(causes)`` in both
runs.  The effect of one cause is the change of ``f`` when only that cause takes its value from the
second run::

    effect(x) = f(x of the second run, all else of the first) - f(of the first run)

Effects need not add up to the whole difference: the rest comes from causes that change together,
and is reported as ``together``.  For a stock, the net flow is decomposed in the same way, since the
stock itself is the sum of all flows before.  Internal states of a delay or smooth in the equation
belong to the variable itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from beltcast.engine.loops.graph import owners
from beltcast.engine.loops.link_scores import single_effects
from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.plan import steps_at
from beltcast.engine.syntax import canonical
from beltcast.ensembles.ensemble import member_constants
from beltcast.errors import SimulationError
from beltcast.model.model import Model
from beltcast.schema import MEMBER, TIME
from beltcast.study.scenarios import Scenario

CAUSE = "cause"


def compare_causes(
    model: Model,
    variable: str,
    first: Scenario | Mapping[str, Any] | None,
    second: Scenario | Mapping[str, Any],
    *,
    draws: tuple[Sequence[str], FloatArray] | None = None,
    times: Sequence[float] | None = None,
) -> xr.Dataset:
    """Split the difference of a variable between two scenarios by its causes.

    Parameters
    ----------
    model : Model
    variable : str
    first, second : Scenario or mapping
        Scenarios, or constants as for `Model.simulate`; None is the model as it stands.
    draws : (labels, values), optional
        Labels (n,) of parameters and their values (N, n), the same in both scenarios.
    times : sequence of float, optional  [time]
        Instants on the grid of steps; every SAVEPER by default.

    Returns
    -------
    xarray.Dataset
        In the unit of the variable (of a stock: per unit of time), over the subscript ranges of
        the variable, (member,) and time: ``effect`` (cause, ...), ``difference`` and ``together``.
        ``largest`` names the cause with the largest effect in absolute value; it is empty where
        nothing differs.

    Raises
    ------
    UnknownName
    SimulationError
        A run produced NaN or infinity.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.drivers.cause_effects import compare_causes
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> found = compare_causes(model, "outflow", None, {"Lifetime": 2.5}, times=[0.0])
    >>> {c: float(found["effect"].sel(cause=c)[0]) for c in found["cause"].values.tolist()}
    {'Lifetime': 20.0, 'Stock': 0.0}
    """
    name = model.find(variable).name
    slot = model.program.slots[canonical(name)]
    scenarios = _scenario(first), _scenario(second)
    grid = model.grid(scenarios[0].constants)
    instants = grid.saved() if times is None else np.asarray(times, dtype=np.float64)
    instants = grid.times()[steps_at(grid.times(), instants)]
    states = [_states(model, scenario, draws, instants) for scenario in scenarios]
    members = states[0].shape[-1] // len(instants)
    clock = np.tile(instants, members)
    flow_of = dict(zip(model.program.stocks.tolist(), model.program.flows.tolist(), strict=True))
    rows = slot.rows.reshape(-1).tolist()
    targets = {flow_of.get(row, row): place for place, row in enumerate(rows) if row >= 0}
    owner = owners(model.program)
    effects: dict[str, FloatArray] = {}
    shape = (len(rows), len(clock))
    for target, source, effect in single_effects(model.program, name, states[0], states[1], clock):
        if target in targets:
            own = effects.setdefault(owner[source], np.zeros(shape))
            own[targets[target]] += effect
    difference = np.full(shape, np.nan)
    for target, place in targets.items():
        difference[place] = states[1][target] - states[0][target]
    causes = sorted(effects)
    split = np.array([effects[c] for c in causes]).reshape(len(causes), *shape)
    return _labelled(model, name, causes, split, difference, instants, members, draws is not None)


def _scenario(given: Scenario | Mapping[str, Any] | None) -> Scenario:
    return given if isinstance(given, Scenario) else Scenario("", "", constants=given or {})


def _states(
    model: Model,
    scenario: Scenario,
    draws: tuple[Sequence[str], FloatArray] | None,
    instants: FloatArray,
) -> FloatArray:
    """Values of all rows, (rows, members x instants)."""
    run = model.batch(
        *member_constants(model, draws, scenario),
        outputs=np.arange(model.program.n_rows),
        saves=instants,
        grid=model.grid(scenario.constants),
        inputs=scenario.inputs,
    )
    if not np.isfinite(run[:, _visible(model)]).all():
        raise SimulationError("a run produced NaN or infinity, so its causes cannot be compared")
    return np.ascontiguousarray(np.moveaxis(run, 0, -1).reshape(run.shape[1], -1))


def _visible(model: Model) -> list[int]:
    slots = model.program.slots.values()
    return sorted({row for slot in slots for row in slot.rows.reshape(-1).tolist() if row >= 0})


def _labelled(
    model: Model,
    name: str,
    causes: list[str],
    effects: FloatArray,
    difference: FloatArray,
    instants: FloatArray,
    members: int,
    ensemble: bool,
) -> xr.Dataset:
    variable = model.variables[name]
    lengths = [len(model.subscripts[d]) for d in variable.dims]
    shape = (*lengths, members, len(instants))
    dims = (*variable.dims, MEMBER, TIME)
    split = effects.reshape(len(causes), *shape)
    whole = difference.reshape(shape)
    largest = np.full(shape, "", dtype=object)
    if causes:
        chosen = np.abs(split).argmax(axis=0)
        moved = np.abs(split).max(axis=0) > 0
        largest[moved] = np.array(causes, dtype=object)[chosen[moved]]
    per = f" per {model.time_unit}" if variable.kind == "stock" else ""
    about = {"units": variable.unit + per}
    found = xr.Dataset(
        {
            "effect": ((CAUSE, *dims), split, about),
            "difference": (dims, whole, about),
            "together": (dims, whole - split.sum(axis=0), about),
            "largest": (dims, largest.astype(str)),
        },
        {
            CAUSE: np.array(causes, dtype=str),
            **{d: np.array(model.subscripts[d]) for d in variable.dims},
            MEMBER: np.arange(members),
            TIME: (TIME, instants, {"units": model.time_unit}),
        },
        {"model": model.name, "variable": name},
    )
    return found if ensemble else found.isel({MEMBER: 0}, drop=True)
