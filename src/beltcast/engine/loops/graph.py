"""Causal links with their signs, and the feedback loops they close.

A link runs from each variable that an equation reads to the variable it defines, and for a stock
from each variable that its net flow reads.  Its polarity is the sign of that partial derivative,
taken from the same rules as the model's exact derivatives, at states of a run: ``+``, ``-``, ``?``
where elements or states disagree or a function has no rule, and ``0`` where the link was inactive
all of them (the unused side of a MIN).  Elements of a subscripted variable are one node, and the
stocks inside a delay or a smooth belong to its variable.

A loop is reinforcing (``R``) when an even number of its links is negative, balancing (``B``) when
it is odd (Sterman, *Business Dynamics*, 2000, chapter 5).  Loops are listed for each strongly
component: all of them (Johnson, SIAM J. Comput. 4, 1975), or, if there are too many to read, the
shortest loop through each link, shortest first, omitting loops whose links have all appeared before
(after Oliva, System Dynamics Review 20, 2004).  Each loop of that set is independent of the others
and every link of the component is in one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from beltcast.engine.language.lookups import lookup_derivative
from beltcast.engine.language.primitives import PRIMITIVES
from beltcast.engine.nodes import (
    Apply,
    Clock,
    Const,
    FloatArray,
    Foreign,
    Load,
    LookupAt,
    Node,
    const,
    load,
    rows_read,
)
from beltcast.engine.program import Block, Program
from beltcast.engine.run.numpy_backend import evaluate
from beltcast.errors import UnsupportedConstruct

Sign = Literal["+", "-", "?", "0"]
Polarity = Literal["R", "B", "?", "idle"]

MOST_LOOPS = 100
"""Loops of a component above which only the independent ones are listed."""


@dataclass(frozen=True, order=True)
class Link:
    """``target`` is computed from ``source``."""

    source: str
    target: str
    sign: Sign


@dataclass(frozen=True)
class Loop:
    """A closed chain of links.

    Attributes
    ----------
    variables : tuple of str
        Each drives the next, and the last drives the first, which is the first in the alphabet.
    polarity : str
        ``R``, ``B``, ``?`` if a sign is unknown, ``idle`` if a link was never active.
    """

    variables: tuple[str, ...]
    polarity: Polarity


@dataclass(frozen=True)
class Component:
    """Variables that all drive each other, and their loops, shortest first.

    ``complete`` is false if the loops are only the independent ones.
    """

    variables: tuple[str, ...]
    loops: tuple[Loop, ...]
    complete: bool


def causal_links(program: Program, states: FloatArray, times: FloatArray) -> tuple[Link, ...]:
    """Find the links of a model between variables that change in a run.

    Parameters
    ----------
    program : Program
    states : (k, n_rows)
        Values of all rows at k instants of a run.
    times : (k,)  [time]
        Those instants.

    Returns
    -------
    tuple of Link
        In alphabetical order.
    """
    owner = owners(program)
    changing = {owner[row] for b in program.step for t in b.targets for row in t.tolist()}
    changing |= {owner[row] for row in program.stocks.tolist()}
    blocks = (*program.step, *program.rates)
    links = signed_links(program, blocks, states, times)
    return tuple(link for link in links if link.source in changing)


def signed_links(
    program: Program, blocks: Sequence[Block], states: FloatArray, times: FloatArray
) -> tuple[Link, ...]:
    """Find the links that some equations of a program make, constants included.

    Parameters
    ----------
    program : Program
    blocks : sequence of Block
        The equations: stages of the program.
    states : (k, n_rows)
        Values of all rows at k instants of a run.
    times : (k,)  [time]
        Those instants.

    Returns
    -------
    tuple of Link
        In alphabetical order.
    """
    owner = owners(program)
    visible = {row for slot in program.slots.values() for row in slot.rows.reshape(-1).tolist()}
    found: dict[tuple[str, str], list[FloatArray]] = {}
    for block in blocks:
        slopes = [_slopes(block, state, float(t)) for state, t in zip(states, times, strict=True)]
        for source, target in slopes[0]:
            if owner[source] == owner[target] and source not in visible:
                continue  # the inside of a delay
            values = np.array([s[source, target] for s in slopes])
            found.setdefault((owner[source], owner[target]), []).append(values)
    return tuple(
        sorted(
            Link(source, target, _sign(np.concatenate(values)))
            for (source, target), values in found.items()
        )
    )


def feedback_loops(links: Sequence[Link], limit: int = MOST_LOOPS) -> tuple[Component, ...]:
    """Find the loops that links close.

    Parameters
    ----------
    links : sequence of Link
    limit : int
        Most loops of a component to list in full.

    Returns
    -------
    tuple of Component
        Largest first.
    """
    signs = {(link.source, link.target): link.sign for link in links}
    graph: dict[str, list[str]] = {}
    for link in sorted(links):
        graph.setdefault(link.source, []).append(link.target)
        graph.setdefault(link.target, [])
    components = []
    for names in strong_components(graph):
        inside = {name: [n for n in graph[name] if n in names] for name in sorted(names)}
        circuits = _first(elementary_circuits(inside), limit)
        complete = circuits is not None
        if circuits is None:
            circuits = _independent(inside)
        if circuits:
            loops = sorted({_loop(c, signs) for c in circuits}, key=_reading_order)
            components.append(Component(tuple(sorted(names)), tuple(loops), complete))
    return tuple(sorted(components, key=lambda c: (-len(c.variables), c.variables)))


def _loop(circuit: Sequence[str], signs: Mapping[tuple[str, str], Sign]) -> Loop:
    start = circuit.index(min(circuit))
    names = (*circuit[start:], *circuit[:start])
    on_it = [signs[pair] for pair in zip(names, (*names[1:], names[0]), strict=True)]
    polarity: Polarity = "B" if on_it.count("-") % 2 else "R"
    if "0" in on_it:
        polarity = "idle"
    elif "?" in on_it:
        polarity = "?"
    return Loop(names, polarity)


def _reading_order(loop: Loop) -> tuple[int, tuple[str, ...]]:
    return len(loop.variables), loop.variables


# --- links ------------------------------------------------------------------------------------


def owners(program: Program) -> dict[int, str]:
    """Return the variable of each row; flows and the inside of a delay belong to its equation."""
    owner = {}
    for block in (b for stage in program.stages for b in stage):
        for target in block.targets:
            owner.update(dict.fromkeys(target.tolist(), block.name))
    for slot in program.slots.values():
        owner.update(dict.fromkeys(slot.rows.reshape(-1).tolist(), slot.name))
    return {row: owner.get(row, f"row {row}") for row in range(-1, program.n_rows)}


def _sign(slopes: FloatArray) -> Sign:
    if np.isnan(slopes).any():
        return "?"
    up, down = bool((slopes > 0).any()), bool((slopes < 0).any())
    if up and down:
        return "?"
    return "+" if up else "-" if down else "0"


def _slopes(block: Block, state: FloatArray, time: float) -> dict[tuple[int, int], float]:
    """Partial derivative of each target of a block by each row it reads, at one state.

    Backwards through each expression: the slope of the whole by a node, times the slope of the
    node by its argument, is the slope of the whole by the argument.
    """
    rows = state[:, None]
    slopes: dict[tuple[int, int], float] = {}
    for target, expression in zip(block.targets, block.expressions, strict=True):
        for leaf, by in _adjoints(expression, rows, time):
            sources = np.broadcast_to(leaf.rows, target.shape)
            values = np.broadcast_to(by, target.shape)
            for source, to, value in zip(sources, target, values, strict=True):
                pair = (int(source), int(to))
                slopes[pair] = slopes.get(pair, 0.0) + float(value)
    return slopes


_WITH_RULES = (Apply, LookupAt, Const, Clock)


def _adjoints(expression: Node, rows: FloatArray, time: float) -> Iterator[tuple[Load, FloatArray]]:
    """Yield each leaf with the slope of the expression by it, (n or 1,)."""
    slope: dict[int, FloatArray] = {id(expression): np.ones(1)}
    for node in _from_the_top(expression):
        by = slope[id(node)]
        if isinstance(node, Load):
            yield node, by
        elif type(node) not in _WITH_RULES:
            # A node without a rule: everything it reads has an unknown sign.
            for row in rows_read(node):
                yield load(row), np.full(1, np.nan)
        for argument, local in _local_slopes(node, rows, time):
            with np.errstate(all="ignore"):
                # An idle branch stays idle, whatever its own slope: 0 times infinity is 0 here.
                part = np.where((by == 0) | (local == 0), 0.0, by * local)
            slope[id(argument)] = slope.get(id(argument), np.zeros(1)) + part


def _local_slopes(node: Node, rows: FloatArray, time: float) -> Iterator[tuple[Node, FloatArray]]:
    match node:
        case Apply(op=op, arguments=arguments):
            for k, argument in enumerate(arguments):
                seeds = [const(1.0) if i == k else None for i in range(len(arguments))]
                try:
                    local = PRIMITIVES[op].derivative(arguments, node, seeds)
                except UnsupportedConstruct:  # a distribution's shape: its sign is unknown
                    local = const(np.nan)
                zero = np.zeros(1)
                yield argument, zero if local is None else evaluate(local, rows, time)[:, 0]
        case LookupAt(argument=argument):
            local = lookup_derivative(node, const(1.0))
            yield argument, np.zeros(1) if local is None else evaluate(local, rows, time)[:, 0]
        case Const() | Load() | Clock() | Foreign():
            return


def _from_the_top(expression: Node) -> list[Node]:
    """Return the nodes of an expression so that each comes after all that use it."""
    order: list[Node] = []
    state: dict[int, int] = {}
    waiting: list[tuple[Node, bool]] = [(expression, False)]
    while waiting:
        node, done = waiting.pop()
        if done:
            order.append(node)
            continue
        if id(node) in state:
            continue
        state[id(node)] = 1
        waiting.append((node, True))
        match node:
            case Apply(arguments=arguments):
                waiting.extend((a, False) for a in arguments)
            case LookupAt(argument=argument):
                waiting.append((argument, False))
            case Const() | Load() | Clock() | Foreign():
                pass
    return order[::-1]


# --- graphs -----------------------------------------------------------------------------------

NamedGraph = Mapping[str, Sequence[str]]
Name = TypeVar("Name", str, int)


def strong_components(graph: Mapping[Name, Sequence[Name]]) -> list[frozenset[Name]]:
    """Strongly connected components (Tarjan, SIAM J. Comput. 1, 1972, without recursion)."""
    index: dict[Name, int] = {}
    low: dict[Name, int] = {}
    path: list[Name] = []
    on_path: set[Name] = set()
    found: list[frozenset[Name]] = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        path.append(root)
        on_path.add(root)
        while work:
            name, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    path.append(target)
                    on_path.add(target)
                    work.append((target, iter(graph[target])))
                    break
                if target in on_path:
                    low[name] = min(low[name], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    at = path.index(name)
                    found.append(frozenset(path[at:]))
                    on_path.difference_update(path[at:])
                    del path[at:]
    return found


def elementary_circuits(graph: Mapping[Name, Sequence[Name]]) -> Iterator[tuple[Name, ...]]:
    """Yield the elementary circuits of a graph (Johnson 1975, without recursion)."""
    rest = {name: list(targets) for name, targets in graph.items()}
    for name in graph:
        if name in rest[name]:
            yield (name,)
            rest[name].remove(name)
    while rest:
        start = min(rest)
        component = next(c for c in strong_components(rest) if start in c)
        inside = {n: [t for t in rest[n] if t in component] for n in component}
        yield from _circuits_from(start, inside)
        del rest[start]
        rest = {n: [t for t in targets if t != start] for n, targets in rest.items()}


def _circuits_from(start: Name, graph: Mapping[Name, Sequence[Name]]) -> Iterator[tuple[Name, ...]]:
    path = [start]
    blocked = {start}
    waiting: dict[Name, set[Name]] = {}
    closed: set[Name] = set()
    work = [(start, list(graph[start]))]
    while work:
        name, targets = work[-1]
        if targets:
            target = targets.pop()
            if target == start:
                yield tuple(path)
                closed.update(path)
            elif target not in blocked:
                path.append(target)
                blocked.add(target)
                closed.discard(target)
                work.append((target, list(graph[target])))
                continue
        if not targets:
            if name in closed:
                _unblock(name, blocked, waiting)
            else:
                for target in graph[name]:
                    waiting.setdefault(target, set()).add(name)
            work.pop()
            path.pop()


def _unblock(name: Name, blocked: set[Name], waiting: dict[Name, set[Name]]) -> None:
    free = [name]
    while free:
        current = free.pop()
        if current in blocked:
            blocked.discard(current)
            free.extend(waiting.pop(current, ()))


def _first(circuits: Iterator[tuple[str, ...]], limit: int) -> list[tuple[str, ...]] | None:
    """Return all circuits, or None if there are more than the limit."""
    found: list[tuple[str, ...]] = []
    for circuit in circuits:
        if len(found) == limit:
            return None
        found.append(circuit)
    return found


def _independent(graph: NamedGraph) -> list[tuple[str, ...]]:
    """Return the shortest circuit through each link, while it shows a link not yet shown."""
    shortest = {
        (source, target): circuit
        for source, targets in graph.items()
        for target in targets
        if (circuit := _shortest(graph, target, source)) is not None
    }
    shown: set[tuple[str, str]] = set()
    chosen = []
    for circuit in sorted(shortest.values(), key=lambda c: (len(c), c)):
        links = set(zip(circuit, (*circuit[1:], circuit[0]), strict=True))
        if not links <= shown:
            shown |= links
            chosen.append(circuit)
    return chosen


def _shortest(graph: NamedGraph, start: str, end: str) -> tuple[str, ...] | None:
    """Return the shortest path from start to end, both included."""
    before: dict[str, str | None] = {start: None}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        if name == end:
            path = []
            step: str | None = name
            while step is not None:
                path.append(step)
                step = before[step]
            return tuple(path[::-1])
        for target in graph[name]:
            if target not in before:
                before[target] = name
                queue.append(target)
    return None
