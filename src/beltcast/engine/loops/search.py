"""Feedback loops: all of them, or if they are too many those that a strong path closes.

A graph of a dozen stocks can have millions of loops.  Up to a limit all are listed (Johnson 1975).
Beyond it each stock starts a walk along its strongest links, at one instant after the other, that
gives up wherever a stronger path has been before (Eberlein and Schoenberg 2020).  That is a
heuristic, as its authors say: it can miss a loop, and those it misses share most of their links
with one it finds.  Unlike in the paper, each stock starts afresh, which never finds fewer loops.

References
----------
Eberlein, R. and Schoenberg, W. (2020): Finding the Loops that Matter. Proceedings of the
International System Dynamics Conference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from beltcast.engine.loops.graph import elementary_circuits, strong_components
from beltcast.engine.loops.link_scores import RowLinks
from beltcast.engine.nodes import FloatArray

Circuit = tuple[int, ...]
Graph = Mapping[int, Sequence[int]]


def find_circuits(
    graph: Graph, links: RowLinks, stocks: set[int], limit: int
) -> tuple[list[list[Circuit]], list[bool]]:
    """Find the loops of each group of rows that drive each other.

    Parameters
    ----------
    graph : mapping of int to sequence of int
    links : RowLinks
        Scores (links, columns) to walk by, where there are too many loops.
    stocks : set of int
        Rows at which a walk starts.
    limit : int
        Most loops of a group to list in full.

    Returns
    -------
    circuits : list of list of tuple of int
        By group, the largest group first; each circuit starts at its smallest row.
    complete : list of bool
        Whether those are all.
    """
    groups = sorted(strong_components(graph), key=lambda g: (-len(g), min(g)))
    circuits, complete = [], []
    for group in groups:
        inside = {row: [t for t in graph[row] if t in group] for row in sorted(group)}
        some = list(islice(elementary_circuits(inside), limit + 1))
        everything = len(some) <= limit
        if not everything:
            some = _by_strength(inside, links, sorted(stocks & group))
        if some:
            circuits.append(sorted({_turned(c) for c in some}))
            complete.append(everything)
    return circuits, complete


def _turned(circuit: Sequence[int]) -> Circuit:
    start = circuit.index(min(circuit))
    return (*circuit[start:], *circuit[:start])


def _by_strength(graph: Graph, links: RowLinks, starts: Sequence[int]) -> list[Circuit]:
    found: set[Circuit] = set()
    for column in range(links.scores.shape[1]):
        strength: FloatArray = np.abs(links.scores[:, column])
        by_row = {
            row: sorted(((float(strength[links.at[row, t]]), t) for t in targets), reverse=True)
            for row, targets in graph.items()
        }
        # A link that is idle now closes no loop that matters now.
        live = {row: [(s, t) for s, t in out if s > 0] for row, out in by_row.items()}
        for start in starts:
            found.update(_turned(c) for c in _strong_paths(live, start))
    return list(found)


def _strong_paths(
    graph: Mapping[int, Sequence[tuple[float, int]]], start: int
) -> Iterator[Circuit]:
    """Yield the loops through one row that no stronger path to one of their rows cuts off."""
    best = {start: 1.0}
    path, on_path = [start], {start}
    work = [(1.0, iter(graph[start]))]
    while work:
        score, targets = work[-1]
        for strength, target in targets:
            reached = score * strength
            if target == start:
                yield tuple(path)
            elif target not in on_path and reached >= best.get(target, 0.0):
                best[target] = reached
                path.append(target)
                on_path.add(target)
                work.append((reached, iter(graph[target])))
                break
        else:
            work.pop()
            on_path.discard(path.pop())
