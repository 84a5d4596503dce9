"""Link scores of Loops That Matter: the share of each change that came along each link.

Over one step a row z = f(x, y, ...) changes by dz and its source x by dx.  Had x alone moved, z
would have changed by d_x z = f(x now, y before, ...) - f(x before, y before, ...).  The score of
the link from x to z is::

    LS(x -> z) = |d_x z / dz| sign(d_x z / dx),    0 where dz = 0 or dx = 0,

after Schoenberg, Davidsen and Eberlein (2020), equation 1.  A stock's net flow is a row of its own
here, so the link from it to its stock scores 1, and a link into it scores by the *change* of the
net flow: that is the correction of Schoenberg, Hayward and Eberlein (2023), equation 3, which they
show to be the same.  What a delay of fixed length or a sample passes on scores 1 too.

Everything is done for a whole equation over a range and for all instants and members at once: the
k-th source of every element is moved together.

References
----------
Schoenberg, W., Davidsen, P. and Eberlein, R. (2020): Understanding model behavior using the Loops
that Matter method. System Dynamics Review 36(2), 158-190.
Schoenberg, W., Hayward, J. and Eberlein, R. (2023): Improving Loops that Matter. System Dynamics
Review 39(2), 140-151.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from beltcast.engine.loops.graph import strong_components
from beltcast.engine.nodes import (
    Apply,
    Clock,
    Const,
    FloatArray,
    Foreign,
    IntArray,
    Load,
    LookupAt,
    Node,
    all_nodes,
    load,
)
from beltcast.engine.program import Block, Program
from beltcast.engine.run.numpy_backend import evaluate

STILL = 1e-12
"""A smaller change of a row, relative to its size, is a rounding error."""


@dataclass(frozen=True, eq=False)
class RowLinks:
    """Links between rows and their scores.

    Attributes
    ----------
    at : mapping of (source, target) to int
        Place of each link.
    scores : (links, columns)
    """

    at: Mapping[tuple[int, int], int]
    scores: FloatArray


def row_graph(program: Program, rows: Iterable[int]) -> dict[int, list[int]]:
    """Find which of some rows drive which, within groups that drive themselves.

    Parameters
    ----------
    program : Program
    rows : iterable of int
        All others are left out.

    Returns
    -------
    mapping of int to list of int
        Targets of each row that lies on a loop.
    """
    kept = set(rows)
    graph: dict[int, list[int]] = {}
    for source, target in _pairs(program):
        if source in kept and target in kept:
            graph.setdefault(source, []).append(target)
            graph.setdefault(target, [])
    found: dict[int, list[int]] = {}
    for group in strong_components(graph):
        for row in sorted(group):
            inside = sorted({t for t in graph[row] if t in group})
            if inside:
                found[row] = inside
    return found


def link_scores(
    program: Program,
    graph: Mapping[int, list[int]],
    before: FloatArray,
    after: FloatArray,
    times: FloatArray,
) -> RowLinks:
    """Score every link of a graph over one step.

    Parameters
    ----------
    program : Program
    graph : mapping of int to list of int
        As of `row_graph`.
    before, after : (n_rows, columns)
        States one step apart; a column is an instant of a member.
    times : (columns,)  [time]
        When `before` was.
    """
    at = {(s, t): i for i, (s, t) in enumerate((s, t) for s in graph for t in graph[s])}
    # A link without an equation (net flow to stock, past to present) scores 1.
    scores = np.ones((len(at), before.shape[1]))
    inside = np.array(sorted(graph), dtype=np.int64)
    for block in _equations(program):
        for target, expression in _pieces(block, inside):
            for sources, partial in _partials(target, expression, before, after, times, inside):
                change, moved = _change(before, after, target), _change(before, after, sources)
                with np.errstate(all="ignore"):
                    score = np.abs(partial / change) * np.sign(partial) * np.sign(moved)
                score = np.where((change == 0) | (moved == 0), 0.0, score)
                for i, pair in enumerate(zip(sources.tolist(), target.tolist(), strict=True)):
                    if pair in at:
                        scores[at[pair]] = score[i]
    return RowLinks(at, scores)


def single_effects(
    program: Program, name: str, before: FloatArray, after: FloatArray, times: FloatArray
) -> Iterator[tuple[int, int, FloatArray]]:
    """Return the effect of each source on a variable, if only that source changes.

    Parameters
    ----------
    program : Program
    name : str
        Of the variable, as its equations spell it.
    before, after : (n_rows, columns)
        Two states that may be of different runs.
    times : (columns,)  [time]
        The clock of both.

    Yields
    ------
    target, source : int
        Rows; of a stock the target is its net flow.
    effect : (columns,)
        ``f(source after, all else before) - f(before)``.
    """
    everything = np.arange(program.n_rows)
    blocks = (*program.setup, *program.settle, *_equations(program))
    seen: set[tuple[int, int]] = set()
    for block in blocks:
        if block.name != name:
            continue
        for target, expression in _pieces(block, everything):
            for sources, effect in _partials(target, expression, before, after, times, everything):
                for i, pair in enumerate(zip(target.tolist(), sources.tolist(), strict=True)):
                    if pair[1] >= 0 and pair not in seen:
                        seen.add(pair)
                        yield *pair, effect[i]


def _change(before: FloatArray, after: FloatArray, rows: IntArray) -> FloatArray:
    change = after[rows] - before[rows]
    size = np.maximum(np.abs(after[rows]), np.abs(before[rows]))
    return np.where(np.abs(change) <= STILL * size, 0.0, change)


# --- references -------------------------------------------------------------------------------


def _equations(program: Program) -> tuple[Block, ...]:
    return (*program.step, *program.rates, *program.hold)


def _pairs(program: Program) -> Iterator[tuple[int, int]]:
    """Yield every pair of a source and what it drives, row by row."""
    everything = np.arange(program.n_rows)
    for block in (*_equations(program), *program.after):
        for target, expression in _pieces(block, everything):
            for leaf in _leaves(expression):
                yield from zip(_spread(leaf, target).tolist(), _owners(leaf, target), strict=True)
    yield from zip(program.flows.tolist(), program.stocks.tolist(), strict=True)
    yield from zip(program.pasts.inputs.tolist(), program.pasts.rows.tolist(), strict=True)


def _owners(leaf: Load, target: IntArray) -> list[int]:
    """Target of each row of a leaf, as `_spread` lays it out."""
    if len(target) == 1:
        return [int(target[0])] * len(leaf.rows)
    return [int(t) for t in target]


def _spread(leaf: Load, target: IntArray) -> IntArray:
    """Rows of a leaf, one for each element where the equation has several."""
    return leaf.rows if len(target) == 1 else np.broadcast_to(leaf.rows, target.shape)


def _pieces(block: Block, inside: IntArray) -> Iterator[tuple[IntArray, Node]]:
    """Yield the assignments of a block that matter, so that elements stand side by side.

    A function of whole vectors reads all elements for each of them: such a block is taken apart.
    """
    foreign = any(isinstance(node, Foreign) for e in block.expressions for node in all_nodes(e))
    for part in block.split() if foreign else [block]:
        for target, expression in zip(part.targets, part.expressions, strict=True):
            if np.isin(target, inside).any():
                yield target, expression


def _leaves(expression: Node) -> list[Load]:
    return [node for node in all_nodes(expression) if isinstance(node, Load)]


# --- one source at a time ---------------------------------------------------------------------


def _partials(
    target: IntArray,
    expression: Node,
    before: FloatArray,
    after: FloatArray,
    times: FloatArray,
    inside: IntArray,
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield a source of each element, (n,), and what it alone changes, (n, columns).

    Elements with fewer sources than others repeat their last one.
    """
    leaves = _leaves(expression)
    if not leaves:
        return
    n = len(target)
    rows = np.concatenate([_spread(leaf, target) for leaf in leaves])
    elements = np.concatenate(
        [np.zeros(len(leaf.rows), dtype=np.int64) if n == 1 else np.arange(n) for leaf in leaves]
    )
    moving = np.isin(rows, inside)
    sources = [np.unique(rows[(elements == i) & moving]) for i in range(n)]
    rounds = max(len(own) for own in sources)
    if not rounds:
        return
    # The clock stands still: changes by time alone belong to no source.
    table = np.concatenate([before[rows], times[None, :]])
    local = _localised(expression, leaves, target)
    start = np.broadcast_to(evaluate(local, table, 0.0), (n, len(times)))
    for k in range(rounds):
        chosen = np.array([own[min(k, len(own) - 1)] if len(own) else -1 for own in sources])
        moved = np.flatnonzero(rows == chosen[elements])
        trial = table.copy()
        trial[moved] = after[rows[moved]]
        yield chosen, np.broadcast_to(evaluate(local, trial, 0.0), start.shape) - start


def _localised(expression: Node, leaves: list[Load], target: IntArray) -> Node:
    """Return the expression over a table that holds each leaf's own rows, then the time."""
    known: dict[int, Node] = {}
    first = 0
    for leaf in leaves:
        size = len(_spread(leaf, target))
        known[id(leaf)] = Load(np.arange(first, first + size))
        first += size
    clock = load(first)

    def rewritten(node: Node) -> Node:
        if id(node) not in known:
            known[id(node)] = renewed(node)
        return known[id(node)]

    def renewed(node: Node) -> Node:
        match node:
            case Clock():
                return clock
            case Apply(op=op, arguments=arguments):
                return Apply(op, tuple(rewritten(a) for a in arguments))
            case LookupAt(table=table, argument=argument):
                return LookupAt(table, rewritten(argument))
            case Foreign(function=function, arguments=arguments, size=size, place=place):
                return Foreign(function, tuple(rewritten(a) for a in arguments), size, place)
            case Const() | Load():
                return node

    return rewritten(expression)
