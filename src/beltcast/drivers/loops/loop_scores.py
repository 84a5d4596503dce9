"""Loop dominance over time and over members, by the method Loops That Matter.

A loop's score is the product of the scores of its links, of `beltcast.engine.loops.link_scores`;
its *relative* score is that divided by the sum of the sizes of all loop scores in its partition,
the variables that all drive each other (Schoenberg, Davidsen and Eberlein 2020, equations 3 and 4).
So at each instant the sizes of the relative scores of a partition add up to 1; a positive score is
a reinforcing loop, a negative one a balancing loop.  Loops with half of the total or more, alone or
together, are dominant.  Where nothing changes, all scores are 0: in a model at rest no loop
dominates.

Loops are found between elements.  Those that run through the same variables and have the same
polarity throughout the run are shown as one, and their scores added.  The inside of a delay or a
smooth belongs to its variable; a loop that stays inside is neither shown nor counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from beltcast.engine.loops.graph import owners
from beltcast.engine.loops.link_scores import RowLinks, link_scores, row_graph
from beltcast.engine.loops.search import Circuit, find_circuits
from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.plan import steps_at
from beltcast.engine.syntax import canonical, split_label
from beltcast.ensembles.ensemble import member_constants
from beltcast.errors import InputError, SimulationError, UnknownName
from beltcast.model.model import Model
from beltcast.schema import MEMBER, TIME
from beltcast.study.scenarios import Scenario

LOOP = "loop"
PARTITION = "partition"
VARIABLE = "variable"

ARROW = " -> "
"""Separator of the variables of a path."""

MOST_PARTITION_LOOPS = 1000
"""Loops of a partition up to which all are listed, as in Eberlein and Schoenberg (2020)."""

_CHUNK = 8_000_000
"""Numbers in the states of one batch of members: 64 MB, twice."""


def loops(
    model: Model,
    *,
    scenario: Scenario | None = None,
    draws: tuple[Sequence[str], FloatArray] | None = None,
    times: Sequence[float] | None = None,
    within: Mapping[str, str] | None = None,
    limit: int = MOST_PARTITION_LOOPS,
) -> xr.Dataset:
    """Score every feedback loop of a model over time.

    Parameters
    ----------
    model : Model
    scenario : Scenario, optional
        Its constants and inputs apply; an uncertain size takes its median.
    draws : (labels, values), optional
        Labels (n,) of parameters and their values (N, n); the model's own constants by default.
    times : sequence of float, optional  [time]
        Instants; a score is of the step that ends there.  Every SAVEPER but the first by default.
    within : mapping, optional
        ``{"Belt": "Shenzhen"}``: only this element of that range, and variables without the range.
    limit : int
        Loops of a partition up to which all are listed.  Beyond it, loops closed by strong paths
        are found, at each instant of the first member (see `beltcast.engine.loops.search`), and
        ``complete`` is 0 there.

    Returns
    -------
    xarray.Dataset
        ``relative_score`` and ``loop_score`` (loop, member, time)  [1], without member if there are
        no draws.  Loops are named R1, R2, ... if they reinforce throughout, B1, ... if they
        balance, U1, ... if they do both, in the order of their mean size; their
        coordinates are ``path`` (the variables in turn), ``stocks`` (those of them that are
        stocks), ``loop_partition`` and ``circuits`` (how many loops between elements it stands
        for).  ``complete`` and ``variables`` are over (partition).

    Raises
    ------
    UnknownName
        The range or element does not exist.
    InputError
        A time is the start of the run, before which there is no step.
    SimulationError
        A member produced NaN or infinity.

    Examples
    --------
    >>> from beltcast import load_model, loops
    >>> from beltcast.files.shipped import shipped
    >>> found = loops(load_model(shipped("models/decay/decay.mdl")))
    >>> found["loop"].values.tolist(), float(found["relative_score"].max())
    (['B1'], -1.0)
    """
    scenario = scenario or Scenario("", "")
    instants = _instants(model, scenario, times)
    graph = row_graph(model.program, _rows_within(model, within or {}))
    chunks = _states(model, scenario, draws, instants)
    circuits: list[list[Circuit]] | None = None
    complete: list[bool] = []
    signs, logs = [], []
    for before, after, when in chunks:
        links = link_scores(model.program, graph, before, after, when)
        if circuits is None:
            first = RowLinks(links.at, links.scores[:, : len(instants)])
            circuits, complete = find_circuits(
                graph, first, set(model.program.stocks.tolist()), limit
            )
            circuits, complete = _shown(model, circuits, complete)
        sign, log = _products(links, [c for group in circuits for c in group])
        signs.append(sign)
        logs.append(log)
    assert circuits is not None  # there is at least one member
    sign, log = np.concatenate(signs, axis=1), np.concatenate(logs, axis=1)
    result = _labelled(model, circuits, complete, sign, log, instants, within or {})
    return result if draws is not None else result.isel({MEMBER: 0}, drop=True)


def strongest(scores: xr.Dataset, when: float) -> list[str]:
    """Names of the loops at an instant, the strongest first; over members, by their mean size.

    Parameters
    ----------
    scores : xarray.Dataset
        As `loop_scores` returns it.
    when : float  [time]
    """
    size = abs(scores["relative_score"].sel({TIME: when}, method="nearest"))
    if MEMBER in size.dims:
        size = size.mean(MEMBER)
    order = np.argsort(-size.values, kind="stable")
    return [str(scores[LOOP].values[i]) for i in order if size.values[i] > 0]


def participation(scores: xr.Dataset, of: Literal["path", "stocks"] = "path") -> xr.DataArray:
    """Share of a partition's loop scores that passes through each variable.

    Where hundreds of loops share the total none is large; the variables they share are informative.

    Parameters
    ----------
    scores : xarray.Dataset
        As `loop_scores` returns it; all of one partition.
    of : 'path' or 'stocks'
        All variables, or stocks only.

    Returns
    -------
    xarray.DataArray
        (variable, ..., time)  [1], between 0 and 1, the largest mean first.
    """
    size = abs(scores["relative_score"])
    paths = [
        {split_label(step)[0] for step in str(path).split(ARROW)} for path in scores[of].values
    ]
    names = sorted(set().union(*paths))
    on_path = xr.DataArray(
        np.array([[name in path for name in names] for path in paths], dtype=np.float64).reshape(
            len(paths), len(names)
        ),
        dims=(LOOP, VARIABLE),
        coords={VARIABLE: np.array(names, dtype=str)},
    )
    shares = on_path.dot(size.drop_vars([c for c in size.coords if LOOP in size[c].dims]), LOOP)
    order = np.argsort(-shares.mean([d for d in shares.dims if d != VARIABLE]).values)
    shares.attrs = {"units": "1", "long_name": "Share of loop scores through the variable"}
    return shares.isel({VARIABLE: order})


# --- runs -------------------------------------------------------------------------------------


def _instants(model: Model, scenario: Scenario, times: Sequence[float] | None) -> FloatArray:
    grid = model.grid(scenario.constants)
    if times is None:
        return grid.saved()[1:]
    wanted = np.asarray(times, dtype=np.float64)
    if not len(wanted) or (steps_at(grid.times(), wanted) == 0).any():
        raise InputError(
            f"loops were requested at {', '.join(f'{t:g}' for t in wanted) or 'no time'}; give "
            f"times after the start of the run ({grid.start:g}), when there has been a step"
        )
    return wanted


def _states(
    model: Model,
    scenario: Scenario,
    draws: tuple[Sequence[str], FloatArray] | None,
    instants: FloatArray,
) -> Any:
    """Yield the states before and after each instant's step, (rows, members x instants) each."""
    rows, members = member_constants(model, draws, scenario)
    grid = model.grid(scenario.constants)
    steps = grid.times()
    place = steps_at(steps, instants)
    saves = np.stack([steps[place - 1], steps[place]], axis=1).reshape(-1)
    size = max(1, _CHUNK // (2 * len(instants) * model.program.n_rows))
    for start in range(0, members.shape[1], size):
        some = np.ascontiguousarray(members[:, start : start + size])
        run = model.batch(
            rows,
            some,
            outputs=np.arange(model.program.n_rows),
            saves=saves,
            grid=grid,
            inputs=scenario.inputs,
        )
        visible = np.array(sorted(_visible(model)))
        bad = ~np.isfinite(run[:, visible]).all(axis=(0, 1))
        if bad.any():
            raise SimulationError(
                f"member {start + int(np.argmax(bad))} produced NaN or infinity, so its loops "
                "have no scores; leave it out"
            )
        # (instant, side, row, member) -> (side, row, member, instant)
        sides = np.moveaxis(run.reshape(len(instants), 2, *run.shape[1:]), 0, -1)
        before, after = (np.ascontiguousarray(s.reshape(s.shape[0], -1)) for s in sides)
        yield before, after, np.tile(steps[place - 1], some.shape[1])


# --- rows and loops ---------------------------------------------------------------------------


def _visible(model: Model) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Variable and elements of each row that a name of the model reaches."""
    found = {}
    for slot in model.program.slots.values():
        for place in np.ndindex(slot.rows.shape):
            elements = [model.subscripts[d][i] for d, i in zip(slot.dims, place, strict=True)]
            if slot.rows[place] >= 0:
                found[int(slot.rows[place])] = (slot.name, tuple(elements))
    return found


def _rows_within(model: Model, within: Mapping[str, str]) -> list[int]:
    """All rows except those of other elements of the ranges in question."""
    dropped: set[int] = set()
    for name, element in within.items():
        ranges = {canonical(r): r for r in model.subscripts}
        if canonical(name) not in ranges:
            raise UnknownName(
                f"'{name}' is not a subscript range of {model.name}; its ranges are "
                f"{', '.join(model.subscripts) or 'none'}"
            )
        elements = model.subscripts[ranges[canonical(name)]]
        wanted = [e for e in elements if canonical(e) == canonical(element)]
        if not wanted:
            raise UnknownName(
                f"'{element}' is not an element of {name}; choose one of {', '.join(elements)}"
            )
        others = set(elements) - set(wanted)
        for slot in model.program.slots.values():
            for axis, dim in enumerate(slot.dims):
                for i, own in enumerate(model.subscripts[dim]):
                    # A range made of elements of this one, such as Upgrader of Tier, counts too.
                    if own in others and set(model.subscripts[dim]) <= set(elements):
                        dropped.update(np.take(slot.rows, i, axis=axis).reshape(-1).tolist())
    return [row for row in range(model.program.n_rows) if row not in dropped]


def _shown(
    model: Model, circuits: list[list[Circuit]], complete: list[bool]
) -> tuple[list[list[Circuit]], list[bool]]:
    """Drop loops that stay inside a delay."""
    visible = _visible(model)
    groups = [[c for c in group if any(row in visible for row in c)] for group in circuits]
    pairs = [(g, all_) for g, all_ in zip(groups, complete, strict=True) if g]
    return [g for g, _ in pairs], [all_ for _, all_ in pairs]


def _products(links: RowLinks, circuits: Sequence[Circuit]) -> tuple[FloatArray, FloatArray]:
    """Sign and log size of the score of each circuit, (circuits, columns) each.

    In logs, since a product of scores near an inflection can overflow.
    """
    columns = links.scores.shape[1]
    sign, log = np.empty((len(circuits), columns)), np.empty((len(circuits), columns))
    signs = np.sign(links.scores)
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(links.scores))
    for i, circuit in enumerate(circuits):
        pairs = zip(circuit, (*circuit[1:], circuit[0]), strict=True)
        on_it = [links.at[pair] for pair in pairs]
        sign[i], log[i] = signs[on_it].prod(axis=0), logs[on_it].sum(axis=0)
    return sign, log


def _relative(sign: FloatArray, log: FloatArray) -> FloatArray:
    """Scores of one partition over the sum of their sizes; 0 where nothing changes."""
    with np.errstate(invalid="ignore"):
        size = np.exp(log - log.max(axis=0))
    size = np.where(np.isnan(size), 0.0, size)
    total = size.sum(axis=0)
    relative: FloatArray = sign * size / np.where(total > 0, total, 1.0)
    return relative


# --- names ------------------------------------------------------------------------------------


def _labelled(
    model: Model,
    circuits: list[list[Circuit]],
    complete: list[bool],
    sign: FloatArray,
    log: FloatArray,
    instants: FloatArray,
    within: Mapping[str, str],
) -> xr.Dataset:
    visible, owner = _visible(model), owners(model.program)
    relatives, scores, rows = [], [], []
    first = 0
    for partition, group in enumerate(circuits):
        own = slice(first, first + len(group))
        first += len(group)
        relative = _relative(sign[own], log[own])
        with np.errstate(over="ignore"):
            score = sign[own] * np.exp(log[own])
        kinds: dict[tuple[tuple[str, ...], str], list[int]] = {}
        for i, circuit in enumerate(group):
            kind = _polarity(sign[own][i])
            # A loop that changes its sign is not merged with others: nothing may cancel.
            path = _path(circuit, visible, owner, elements=kind == "U")
            kinds.setdefault((path, kind), []).append(i)
        for (path, kind), members in kinds.items():
            relatives.append(relative[members].sum(axis=0))
            scores.append(score[members].sum(axis=0))
            rows.append((path, kind, partition, len(members)))
    shape = (len(rows), sign.shape[1] // len(instants), len(instants))
    order = _order(relatives, rows)
    names = _names([rows[i][1] for i in order])
    values = [np.array([v[i] for i in order]).reshape(shape) for v in (relatives, scores)]
    dims = (LOOP, MEMBER, TIME)
    return xr.Dataset(
        {
            "relative_score": (dims, values[0], {"units": "1", "long_name": "Relative loop score"}),
            "loop_score": (dims, values[1], {"units": "1", "long_name": "Loop score"}),
            "complete": (
                PARTITION,
                np.array(complete, dtype=np.int8),
                {"units": "1", "long_name": "1 all loops, 0 those that strong paths close"},
            ),
            "variables": (
                PARTITION,
                np.array(
                    [len({v for c in g for v in _path(c, visible, owner)}) for g in circuits],
                    dtype=np.int64,
                ),
                {"units": "1", "long_name": "Variables that drive each other"},
            ),
        },
        {
            LOOP: np.array(names, dtype=str),
            "path": (LOOP, np.array([ARROW.join(rows[i][0]) for i in order], dtype=str)),
            "stocks": (LOOP, np.array([_stocks(model, rows[i][0]) for i in order], dtype=str)),
            PARTITION: np.arange(len(circuits)),
            "loop_partition": (LOOP, np.array([rows[i][2] for i in order], dtype=np.int64)),
            "circuits": (LOOP, np.array([rows[i][3] for i in order], dtype=np.int64)),
            MEMBER: np.arange(shape[1]),
            TIME: (TIME, instants, {"units": model.time_unit, "long_name": "end of a step"}),
        },
        {
            "model": model.name,
            "model_sha256": model.source.text_sha256,
            "within": ", ".join(f"{name}={element}" for name, element in within.items()),
        },
    )


def _polarity(sign: FloatArray) -> str:
    up, down = bool((sign > 0).any()), bool((sign < 0).any())
    return "U" if up and down else "R" if up else "B" if down else "idle"


def _path(
    circuit: Circuit,
    visible: Mapping[int, tuple[str, tuple[str, ...]]],
    owner: Mapping[int, str],
    elements: bool = False,
) -> tuple[str, ...]:
    """Variables of a circuit in turn from the alphabetically first; hidden rows are dropped."""
    names: list[str] = []
    start = next(i for i, row in enumerate(circuit) if row in visible)
    for row in (*circuit[start:], *circuit[:start]):
        if row in visible:
            name, own = visible[row]
            names.append(f"{name}[{', '.join(own)}]" if elements and own else name)
        elif owner[row] not in (split_label(names[-1])[0], *_next_name(circuit, row, visible)):
            names.append(owner[row])
    turns = [tuple(names[i:] + names[:i]) for i in range(len(names))]
    return min(turns)


def _stocks(model: Model, path: Sequence[str]) -> str:
    """Stocks of a path in turn; those inside a delay have no name and are dropped."""
    kept = [step for step in path if model.variables[split_label(step)[0]].kind == "stock"]
    return ARROW.join(kept)


def _next_name(
    circuit: Circuit, row: int, visible: Mapping[int, tuple[str, tuple[str, ...]]]
) -> tuple[str, ...]:
    """Name of the first visible row after a hidden one, which is a part of it if it owns it."""
    i = circuit.index(row)
    for later in (*circuit[i + 1 :], *circuit[:i]):
        if later in visible:
            return (visible[later][0],)
    return ()


def _order(
    relatives: Sequence[FloatArray], rows: Sequence[tuple[tuple[str, ...], str, int, int]]
) -> list[int]:
    """Sort by partition, the heaviest first; break ties by length and alphabet."""
    size = [float(np.abs(r).mean()) for r in relatives]
    return sorted(
        range(len(rows)), key=lambda i: (rows[i][2], -size[i], len(rows[i][0]), rows[i][0])
    )


def _names(kinds: Sequence[str]) -> list[str]:
    counts: Counter[str] = Counter()
    names = []
    for kind in kinds:
        counts[kind] += 1
        names.append(f"{kind}{counts[kind]}")
    return names
