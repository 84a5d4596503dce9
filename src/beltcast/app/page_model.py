"""The model of a page: WebAssembly, its memory, and how draws, scenarios and levers set it.

A page runs the model for the kept draws.  Everything that can differ between members is a parameter
of one plan: the constants that the draws, the scenarios and the levers set, and the switches of
drivers.  Levers of most studies act late; `agreement` finds up to which year the state of the model
does not depend on them, so that the page keeps that state and runs only the years after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.program import accumulate, restrict
from beltcast.engine.run.plan import ADAPTIVE, make_plan, steps_at
from beltcast.engine.run.wasm_backend import Layout, WasmModule, compile_wasm, layout
from beltcast.engine.syntax import CONTROLS, canonical
from beltcast.errors import InputError, UnsupportedConstruct
from beltcast.model.model import Model
from beltcast.model.quantities import is_flow
from beltcast.study.roles import Lever
from beltcast.study.scenarios import Scenario

PROBES = 4
"""Number of draws with which `agreement` looks for the first year that a lever changes."""


@dataclass(frozen=True)
class PlanOutput:
    """Position of an output among those of the plan.

    Attributes
    ----------
    name : str
    first, count : int
        Columns of the plan's outputs.
    elements : tuple of tuple of str
        Elements of its subscript ranges, the last range varying fastest.
    total : bool
        Whether the columns are running totals, so that years are their differences.
    """

    name: str
    first: int
    count: int
    elements: tuple[tuple[str, ...], ...]
    total: bool


@dataclass(frozen=True, eq=False)
class PageModel:
    """A compiled model with its plan.

    Attributes
    ----------
    module : WasmModule
    placed : Layout
    parameters : (p,)
        Rows of the constants that a member sets.
    defaults : (p,)
    columns : (p,)
        Column of the draws that gives each parameter; -1 where the draws do not.
    saves : (s,)
        Steps that are saved: the start of every year, and the end.
    steps : int
        Steps of a run, including the last save.
    resume : int
        Step from which runs with levers start; 0 if they begin at the start.
    outputs : tuple of PlanOutput
    late : mapping of str to bool
        Whether a lever (by name) or a scenario (by ``scenario NAME``) does not change the years
        before `resume`.
    """

    module: WasmModule
    placed: Layout
    parameters: IntArray
    defaults: FloatArray
    columns: IntArray
    saves: IntArray
    steps: int
    resume: int
    outputs: tuple[PlanOutput, ...]
    late: Mapping[str, bool]

    def positions(self, rows: IntArray) -> list[int]:
        """Return the positions of rows among the parameters."""
        return [int(i) for i in np.searchsorted(self.parameters, rows)]


def page_model(
    model: Model,
    *,
    outputs: Sequence[str],
    labels: Sequence[str],
    values: FloatArray,
    scenarios: Mapping[str, Scenario],
    levers: Sequence[Lever],
    switches: Sequence[str] = (),
    members: int,
) -> PageModel:
    """Compile what a page needs of a model.

    Parameters
    ----------
    model : Model
    outputs : sequence of str
        Variables to save: flows as yearly totals, the rest at the start of each year.
    labels, values : (n,), (N, n)
        Constants that the draws set.
    scenarios : mapping of str to Scenario
    levers : sequence of Lever
    switches : sequence of str
        Constants that are 1 with their driver and 0 without.
    members : int
        Number of members that the memory holds.

    Raises
    ------
    UnsupportedConstruct
        The model uses a function that a page cannot compute, its time step changes during the
        run, or a scenario sets a control such as TIME STEP.
    """
    grid = model.grid()
    _refuse_moving_grids(model, scenarios)
    if model.source.method in ADAPTIVE:
        raise InputError(
            f"a page cannot integrate by the method '{model.source.method}'; choose euler, rk2 or "
            "rk4",
            model.path,
        )
    drawn, column = model.targets(labels)
    rows = np.unique(
        np.concatenate(
            [
                drawn,
                *(model.constant_values(s.constants)[0] for s in scenarios.values()),
                *(model.targets([lever.name])[0] for lever in levers),
                *(model.targets([switch])[0] for switch in switches),
            ]
        )
    ).astype(np.int64)
    columns = np.full(len(rows), -1, dtype=np.int64)
    columns[np.searchsorted(rows, drawn)] = column
    chosen = [model.find(name).name for name in outputs]
    flows = [n for n in chosen if is_flow(model.variables[n].unit)]
    instants = [n for n in chosen if n not in flows]
    summing, totals = accumulate(model.program, _rows(model, flows))
    wanted = np.concatenate([_rows(model, instants), totals])
    program = restrict(summing, wanted.tolist())
    years = np.arange(np.ceil(grid.start), np.floor(grid.end) + 0.5)
    times = grid.times(until=float(years[-1]))
    saves = steps_at(times, years)
    plan = make_plan(
        program,
        parameters=rows,
        outputs=wanted,
        times=times,
        step=grid.steps(times),
        saves=saves,
        method=model.source.method,
    )
    module = compile_wasm(program, model.source.method)
    same = agreement(model, (labels, values[:PROBES]), scenarios, levers)
    start = float(years[0])
    moving = [same[lever.name] for lever in levers if same[lever.name] > start]
    resume = min(moving, default=start)
    return PageModel(
        module=module,
        placed=layout(module, plan, members),
        parameters=rows,
        defaults=np.array([model.program.default(int(row)) for row in rows]),
        columns=columns,
        saves=saves,
        steps=len(times),
        resume=int(steps_at(times, [resume])[0]),
        outputs=_outputs(model, instants, flows),
        late={name: year >= resume for name, year in same.items()},
    )


def agreement(
    model: Model,
    draws: tuple[Sequence[str], FloatArray],
    scenarios: Mapping[str, Scenario],
    levers: Sequence[Lever],
) -> dict[str, float]:
    """Find the last year up to which each lever and scenario leaves the state unchanged.

    The state is every row that a run carries from step to step.  A lever is compared at both ends
    of its range with the first scenario, a scenario with the first one, bit by bit.

    Parameters
    ----------
    model : Model
    draws : labels and values, (n,) and (N, n)
    scenarios : mapping of str to Scenario
    levers : sequence of Lever

    Returns
    -------
    dict of str to float
        By the name of the lever, and by ``scenario NAME``: the last year whose state is the same;
        the start of the run if there is none, the end if nothing changes.
    """
    grid = model.grid()
    years = np.arange(np.ceil(grid.start), np.floor(grid.end) + 0.5)
    state = _state(model)
    first = next(iter(scenarios.values()), Scenario("baseline", "Baseline"))

    def run(scenario: Scenario) -> FloatArray:
        from beltcast.ensembles.ensemble import member_constants

        rows, values = member_constants(model, draws, scenario)
        return model.batch(rows, values, outputs=state, saves=years, inputs=scenario.inputs)

    base = run(first)

    def last_same(scenario: Scenario) -> float:
        differ = ~_equal(run(scenario), base).all(axis=(1, 2))
        if not differ.any():
            return float(years[-1])
        return float(years[max(int(np.argmax(differ)) - 1, 0)])

    found = {f"scenario {name}": last_same(scenario) for name, scenario in scenarios.items()}
    for lever in levers:
        ends = (
            replace(first, constants={**first.constants, lever.name: value})
            for value in (lever.low, lever.high)
        )
        found[lever.name] = min(last_same(scenario) for scenario in ends)
    return found


def _equal(a: FloatArray, b: FloatArray) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (a == b) | (np.isnan(a) & np.isnan(b))
    return same


def _state(model: Model) -> IntArray:
    """Rows that a run carries from one step to the next."""
    program = model.program
    held = [
        t
        for stage in (program.initial, program.hold, program.after)
        for b in stage
        for t in b.targets
    ]
    rows = np.concatenate([program.stocks, program.pasts.inputs, program.pasts.rows, *held])
    return np.unique(rows).astype(np.int64)


def _rows(model: Model, names: Sequence[str]) -> IntArray:
    rows = [model.rows(name) for name in names]
    return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)


def _outputs(model: Model, instants: Sequence[str], flows: Sequence[str]) -> tuple[PlanOutput, ...]:
    found, first = [], 0
    for name in (*instants, *flows):
        dims = model.variables[name].dims
        elements = tuple(tuple(model.subscripts[dim]) for dim in dims)
        count = len(model.rows(name))
        found.append(PlanOutput(name, first, count, elements, name in flows))
        first += count
    return tuple(found)


def _refuse_moving_grids(model: Model, scenarios: Mapping[str, Scenario]) -> None:
    if model.grid().course is not None:
        raise UnsupportedConstruct(
            "TIME STEP or SAVEPER changes during the run, which a page cannot follow; give them "
            "as numbers",
            model.path,
        )
    for scenario in scenarios.values():
        controls = [label for label in scenario.constants if canonical(label) in CONTROLS]
        if controls:
            raise UnsupportedConstruct(
                f"the scenario '{scenario.name}' sets {controls[0]}, which a page cannot change; "
                "leave the scenario out",
                model.path,
            )


def model_facts(made: PageModel) -> dict[str, Any]:
    """Return the numbers that the page's script needs, without the arrays."""
    return {
        "base": made.placed.base,
        "at": dict(made.placed.places),
        "blocks": made.placed.blocks,
        "rowBytes": made.placed.row_bytes,
        "historyBytes": made.placed.history_bytes,
        "total": made.placed.total,
        "columns": made.columns.tolist(),
        "defaults": made.defaults.tolist(),
        "saves": made.saves.tolist(),
        "steps": made.steps,
        "resume": made.resume,
        "inputs": len(made.module.program.inputs),
        "outputs": [
            {
                "name": o.name,
                "first": o.first,
                "count": o.count,
                "elements": o.elements,
                "total": o.total,
            }
            for o in made.outputs
        ],
    }
