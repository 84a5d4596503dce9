"""Reality checks: whether a model satisfies its statements for any draw and in every scenario.

`check_statements` runs the members once for each scenario and once for each set of constants that a
statement sets, at the model's saved instants, and reports every statement that fails: in what share
of the draws, when first, and in which draw.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.ensembles.ensemble import member_constants
from beltcast.model.model import Model
from beltcast.schema import MEMBER, TIME
from beltcast.study.scenarios import Scenario
from beltcast.study.statements import RealityCheck, Side

_Run = dict[str, xr.Variable]
"""Of each variable (time, subscripts..., member), and the instants.  All runs have the same labels,
which Datasets would compare at each operation."""


@dataclass(frozen=True)
class Violation:
    """A statement that does not hold.

    Attributes
    ----------
    statement : RealityCheck
    condition : str
        The scenario, or the constants that were set.
    share : float
        Of the draws.
    time : float  [time]
        When it first fails in any draw.
    draw : int
        The first draw that fails at that time.
    """

    statement: RealityCheck
    condition: str
    share: float
    time: float
    draw: int


def check_statements(
    model: Model,
    statements: Sequence[RealityCheck],
    scenarios: Mapping[str, Scenario],
    draws: tuple[Sequence[str], FloatArray],
) -> tuple[Violation, ...]:
    """Report the statements that fail.

    Parameters
    ----------
    model : Model
    statements : sequence of RealityCheck
    scenarios : mapping of str to Scenario
        Uncertain sizes are taken at their medians.
    draws : labels (n,) and values (N, n)

    Returns
    -------
    tuple of Violation
        In the order of the statements; one for each scenario or set of constants that fails.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import read_study
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.study.statements import read_statements
    >>> study = read_study()
    >>> statements = read_statements(shipped("models/belt/checks.toml"), study.model)[:1]
    >>> one = {"baseline": study.scenarios["baseline"]}
    >>> check_statements(study.model, statements, one, ((), np.empty((1, 0))))
    ()
    """
    everywhere = [s for s in statements if not s.conditions()]
    first = next(iter(scenarios.values()))
    # One request for all runs, so that one kernel serves them.
    names = tuple(dict.fromkeys(name for s in statements for name in s.names))
    found: dict[int, list[Violation]] = {}

    def judge(statement: RealityCheck, run: _Run, plain: _Run, condition: str) -> None:
        violation = _violation(statement, run, plain, condition)
        if violation is not None:
            found.setdefault(id(statement), []).append(violation)

    for scenario in scenarios.values() if everywhere else ():
        run = _run(model, scenario, draws, names)
        for statement in everywhere:
            judge(statement, run, run, f"scenario {scenario.name}")
    asked: dict[tuple[tuple[str, float], ...], list[RealityCheck]] = {}
    for statement in statements:
        for condition in statement.conditions():
            given = _constants(model, statement, condition)
            asked.setdefault(tuple(given.items()), []).append(statement)
    compared = any(s.compared or s.loss_at_most is not None for s in statements)
    plain = _run(model, first, draws, names) if compared else {}
    for items, about in asked.items():
        scenario = dataclasses.replace(first, constants={**first.constants, **dict(items)})
        run = _run(model, scenario, draws, names)
        words = ", ".join(f"{label} = {value:g}" for label, value in items)
        for statement in about:
            judge(statement, run, plain, words)
    return tuple(v for statement in statements for v in found.get(id(statement), ()))


def _constants(
    model: Model, statement: RealityCheck, condition: Mapping[str, float]
) -> Mapping[str, float]:
    """Values to set; those of `vary` are factors of the defaults."""
    if not statement.vary:
        return condition
    return {label: factor * model.value(label) for label, factor in condition.items()}


def _run(
    model: Model,
    scenario: Scenario,
    draws: tuple[Sequence[str], FloatArray],
    names: Sequence[str],
) -> _Run:
    """Run all members; (time, subscripts..., member) at the saved instants."""
    rows, members = member_constants(model, draws, scenario)
    grid = model.grid(scenario.constants, scenario.inputs)
    saves = np.arange(np.ceil(grid.start), np.floor(grid.end) + 0.5)
    result = model.batch(
        rows,
        members,
        outputs=np.concatenate([model.rows(name) for name in names]),
        saves=saves,
        grid=grid,
        inputs=scenario.inputs,
    )
    run: _Run = {TIME: xr.Variable(TIME, saves)}
    first = 0
    for name in names:
        dims = model.variables[name].dims
        shape = tuple(len(model.subscripts[d]) for d in dims)
        count = int(np.prod(shape))
        own = result[:, first : first + count].reshape(len(saves), *shape, -1)
        run[name] = xr.Variable((TIME, *dims, MEMBER), own)
        first += count
    return run


def _violation(statement: RealityCheck, run: _Run, plain: _Run, condition: str) -> Violation | None:
    value = run[statement.variable].sum(statement.sum, skipna=False)
    finite = abs(value) < np.inf  # false for NaN too
    bad = ~finite | _broken(statement, value, run, plain)
    if statement.when is not None:
        name, low, high = statement.when
        if low is not None:
            bad = bad & (run[name] >= low)
        if high is not None:
            bad = bad & (run[name] <= high)
    if statement.start is not None:
        bad = bad & (run[TIME] >= statement.start)
    fails = bad.any([d for d in bad.dims if d not in (TIME, MEMBER)]).transpose(TIME, MEMBER)
    table = fails.to_numpy()
    if not table.any():
        return None
    at = int(np.flatnonzero(table.any(axis=1))[0])
    return Violation(
        statement=statement,
        condition=condition,
        share=float(table.any(axis=0).mean()),
        time=float(run[TIME].to_numpy()[at]),
        draw=int(np.flatnonzero(table[at])[0]),
    )


def _broken(statement: RealityCheck, value: xr.Variable, run: _Run, plain: _Run) -> xr.Variable:
    """Where a condition of the statement is not met."""
    broken = xr.zeros_like(value, dtype=bool)

    def slack(side: xr.Variable) -> xr.Variable:
        own, other = abs(value), abs(side)
        larger: xr.Variable = xr.apply_ufunc(np.where, own > other, own, other)
        return statement.tolerance * larger.max([d for d in larger.dims if d != MEMBER])

    def side(one: Side) -> xr.Variable:
        return run[one] if isinstance(one, str) else xr.Variable((), one)

    if statement.at_least is not None:
        bound = side(statement.at_least)
        broken = broken | (value < bound - slack(bound))
    if statement.at_most is not None:
        bound = side(statement.at_most)
        broken = broken | (value > bound + slack(bound))
    if statement.equals is not None:
        bound = side(statement.equals)
        broken = broken | (abs(value - bound) > slack(bound))
    if statement.compared or statement.loss_at_most is not None:
        without = plain[statement.variable].sum(statement.sum, skipna=False)
        margin = slack(without)
        if statement.compared == "less":
            broken = broken | (value >= without)
        elif statement.compared == "more":
            broken = broken | (value <= without)
        elif statement.compared == "not more":
            broken = broken | (value > without + margin)
        elif statement.compared == "not less":
            broken = broken | (value < without - margin)
        if statement.loss_at_most is not None:
            one = statement.loss_at_most
            most = plain[one] if isinstance(one, str) else one
            broken = broken | (without - value > most * without + margin)
    return broken
