"""The stages of a program and the order in each: every equation reads only what is known.

`Parts` is the result of lowering, in the order of the text.  `arrange` decides for each equation
how often it must run (once from constants, once from initial values, or at every step) and sorts
each stage; a circle of equations that need each other at one instant is an error.  What the
stages are described in `beltcast.engine.program`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from beltcast.engine.nodes import Clock, IntArray, Load, Node, all_nodes, marked
from beltcast.engine.program import NO_PASTS, Block, Pasts, Program, Slot
from beltcast.engine.syntax import Data, Source
from beltcast.errors import ModelFileError


@dataclass(frozen=True, eq=False)
class Shift:
    """Elements of a stock that move up by one where a condition holds (SHIFT IF TRUE).

    Attributes
    ----------
    chain : (elements, n)
        Rows of the stock, the element that is entered first.
    condition, adding, entering : Node
        Whether they move, whether the last adds up, and what enters.
    step : Node
        The time step.
    removed : (n,)
        Rows for what leaves the last.
    """

    name: str
    chain: IntArray
    condition: Node
    adding: Node
    entering: Node
    step: Node
    removed: IntArray


@dataclass
class Parts:
    """Result of lowering before it is put in order."""

    n_rows: int
    constants: dict[int, float] = field(default_factory=dict)
    inputs: dict[int, Data] = field(default_factory=dict)
    data_of_data: dict[int, Data] = field(default_factory=dict)  # rows that have points of others
    followers: dict[int, tuple[int, ...]] = field(default_factory=dict)  # by the row with points
    auxiliaries: list[Block] = field(default_factory=list)
    starts: list[Block] = field(default_factory=list)  # initial values of stocks and INITIAL()
    stocks: list[IntArray] = field(default_factory=list)
    flows: list[Block] = field(default_factory=list)
    held: list[IntArray] = field(default_factory=list)  # rows that change between steps only
    hold: list[Block] = field(default_factory=list)
    after: list[Block] = field(default_factory=list)
    pasts: Pasts = NO_PASTS
    fixed: dict[int, str] = field(default_factory=dict)
    draws: int = 0
    belts: dict[object, tuple[Node, ...]] = field(default_factory=dict)
    shifts: list[Shift] = field(default_factory=list)

    def new_rows(self, n: int) -> IntArray:
        """Number rows that no name of the model has."""
        rows = np.arange(self.n_rows, self.n_rows + n)
        self.n_rows += n
        return rows

    def stock(self, name: str, rows: IntArray, initial: Node, rate: Node) -> None:
        """Make rows that start at `initial` and change by `rate`."""
        self.starts.append(Block(name, (rows,), (initial,)))
        self.stocks.append(rows)
        self.flows.append(Block(name, (self.new_rows(len(rows)),), (rate,)))

    def keep(self, name: str, rows: IntArray, initial: Node, following: Node) -> None:
        """Make rows that take the value of `following`, as of the start of a step, at its end."""
        self.starts.append(Block(name, (rows,), (initial,)))
        self.proceed(name, rows, following)

    def proceed(self, name: str, rows: IntArray, following: Node) -> None:
        """Let rows take a value of the start of a step at its end."""
        pending = self.new_rows(len(rows))
        self.held.append(rows)
        self.hold.append(Block(name, (pending,), (following,)))
        self.after.append(Block(name, (rows,), (Load(pending),)))


def arrange(slots: Mapping[str, Slot], parts: Parts, source: Source) -> Program:
    """Put the parts of a model into stages, and each stage in order.

    Raises
    ------
    ModelFileError
        Equations that need each other at the same instant.
    """
    stocks = _joined(parts.stocks)
    constants = np.array(sorted(parts.constants), dtype=np.int64)
    given = set(parts.constants) | set(parts.inputs)
    started = {row for block in parts.starts for row in block.targets[0].tolist()}
    held = set(_joined(parts.held).tolist())
    # INITIAL() values: known once, then constant
    remembered = started - set(stocks.tolist()) - held
    reads_of = cache(Block.reads)  # asked for again in each stage
    ordered = _in_order(parts.auxiliaries, given | started, source, reads_of)

    moving = set(stocks.tolist()) | set(parts.inputs) | held
    setup, settle, step = [], [], []
    late: set[int] = set(remembered)
    for block in ordered:
        reads = reads_of(block)
        targets = {row for t in block.targets for row in t.tolist()}
        if (
            reads & moving
            or block.initially is not None
            or any(isinstance(x, Clock) for e in block.expressions for x in all_nodes(e))
        ):
            moving |= targets
            step.append(block)
        elif reads & late:
            late |= targets
            settle.append(block)
        else:
            setup.append(block)

    done = {row for block in setup for t in block.targets for row in t.tolist()}
    first = _in_order(
        [*parts.starts, *settle, *map(_at_start, step)], given | done, source, reads_of, started
    )
    flows = _joined([block.targets[0] for block in parts.flows])
    return Program(
        slots=slots,
        n_rows=parts.n_rows,
        constants=constants,
        constant_values=marked(
            np.array([parts.constants[int(row)] for row in constants], dtype=np.float64)
        ),
        inputs=parts.inputs,
        followers=parts.followers,
        setup=tuple(setup),
        initial=tuple(first),
        settle=tuple(settle),
        step=tuple(step),
        rates=tuple(parts.flows),
        stocks=stocks,
        flows=flows,
        hold=tuple(parts.hold),
        after=tuple(parts.after),
        pasts=parts.pasts,
        fixed=parts.fixed,
    )


def _at_start(block: Block) -> Block:
    """Return the block as it is while initial values are found."""
    if block.initially is None:
        return block
    return Block(block.name, block.targets, block.initially)


def _joined(pieces: Sequence[IntArray]) -> IntArray:
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)


def _in_order(
    blocks: Sequence[Block],
    given: set[int],
    source: Source,
    reads_of: Callable[[Block], set[int]],
    wanted: set[int] | None = None,
) -> list[Block]:
    """Sort blocks so that each reads only given rows and rows of blocks before it.

    With `wanted`, only the blocks that those rows need.  Blocks that depend on each other in a
    circle are taken apart element by element; a circle that remains is an error.
    """
    blocks = list(blocks)
    while True:
        maker = {row: i for i, b in enumerate(blocks) for t in b.targets for row in t.tolist()}
        needs = [{maker[row] for row in reads_of(b) - given if row in maker} for b in blocks]
        starts = range(len(blocks)) if wanted is None else sorted({maker[row] for row in wanted})
        order, circles = _depth_first(needs, starts)
        if not circles:
            return [blocks[i] for i in order]
        for circle in circles:
            if all(blocks[i].n == 1 for i in circle):
                once = list(dict.fromkeys(blocks[i].name for i in circle))
                names = " -> ".join([*once, once[0]])
                line = next(
                    (e.line for e in source.equations if e.name == blocks[circle[0]].name), None
                )
                raise ModelFileError(
                    f"these equations need each other at the same instant: {names}; "
                    "break the circle with a stock or a delay",
                    source.path,
                    line,
                )
        apart = {i for circle in circles for i in circle}
        blocks = [
            piece
            for i, block in enumerate(blocks)
            for piece in (block.split() if i in apart else [block])
        ]


def _depth_first(
    needs: Sequence[set[int]], starts: Iterable[int]
) -> tuple[list[int], list[list[int]]]:
    """Order the starts and all that they need, each after its own needs; and disjoint cycles.

    Each member of a cycle needs the next one, and the last the first.
    """
    order: list[int] = []
    circles: list[list[int]] = []
    circling: set[int] = set()
    met: set[int] = set()
    for start in starts:
        if start in met:
            continue
        met.add(start)
        path, ahead, place = [start], [iter(needs[start])], {start: 0}
        while path:
            i = next(ahead[-1], None)
            if i is None:
                order.append(path.pop())
                del ahead[-1], place[order[-1]]
            elif i not in met:
                met.add(i)
                place[i] = len(path)
                path.append(i)
                ahead.append(iter(needs[i]))
            elif i in place and circling.isdisjoint(path[place[i] :]):
                circles.append(path[place[i] :])
                circling.update(circles[-1])
    return order, circles
