"""A program: a model as ordered equations over numbered rows.

This module owns the values that the rest of the engine passes on: `Slot` (where a variable lives),
`Block` (assignments to the elements of one equation), `Pasts` (rows that repeat the past) and
`Program`, with the two ways of making another program of one: `accumulate` and `restrict`.  How a
program is made from a model is described in `beltcast.engine.lower.lowering`, so that code that
only runs or differentiates a program need not import it.

The stages of a program are:

``setup``
    equations that depend on constants alone; once per run, first.
``initial``
    the initial values of the stocks and everything they need; once per run.
``settle``
    equations that depend on constants and on INITIAL() values; once per run, last.
``step``
    all other auxiliaries; at every step (and every Runge-Kutta stage).
``rates``
    the net flow of each stock; at every step, after ``step``.
``hold``
    values held from the start of a step (SAMPLE IF TRUE); once per step, after the first
    ``rates``.
``after``
    changes after the stocks have moved; once per step, last.

An equation over a subscript range stays one `Block` with one expression, so that the size of a
program does not grow with the size of the ranges; only where elements of one equation depend on
each other is it taken apart.  Both back ends print this program, and
`beltcast.engine.run.forward_ad` differentiates it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from beltcast.engine.nodes import FloatArray, IntArray, Load, Node, const, pick, rows_read
from beltcast.engine.syntax import Data


@dataclass(frozen=True, eq=False)
class Slot:
    """Where a variable lives.

    ``rows`` has one axis per dimension; -1 marks an element that the model does not define.
    """

    name: str
    kind: str
    dims: tuple[str, ...]
    rows: IntArray


@dataclass(frozen=True, eq=False)
class Block:
    """Assignments to ``n`` elements at once; ``targets[i]`` (n,) receives ``expressions[i]``."""

    name: str
    targets: tuple[IntArray, ...]
    expressions: tuple[Node, ...]
    initially: tuple[Node, ...] | None = None
    """Replacement of the expressions while initial values are found (ACTIVE INITIAL)."""

    @property
    def n(self) -> int:
        """Number of elements."""
        return len(self.targets[0])

    def reads(self) -> set[int]:
        """Return the rows that the expressions read."""
        return set().union(*(rows_read(e) for e in self.expressions))

    def split(self) -> list[Block]:
        """Return one block for each element."""
        return [
            Block(
                self.name,
                tuple(t[[i]] for t in self.targets),
                tuple(pick(e, i) for e in self.expressions),
                None if self.initially is None else tuple(pick(e, i) for e in self.initially),
            )
            for i in range(self.n)
        ]


@dataclass(frozen=True, eq=False)
class Pasts:
    """Rows that repeat what another row was some steps ago (DELAY FIXED).

    At step k ``rows[i]`` is the value of ``inputs[i]`` at step ``k - order``, and that of
    ``initials[i]`` before.  The order is read from ``orders[i]``, for each member, and at least 1.
    """

    rows: IntArray
    inputs: IntArray
    orders: IntArray
    initials: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    def joined(self, other: Pasts) -> Pasts:
        """Return these and others."""
        return Pasts(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.inputs, other.inputs]),
            np.concatenate([self.orders, other.orders]),
            np.concatenate([self.initials, other.initials]),
        )

    def chosen(self, mask: NDArray[np.bool_]) -> Pasts:
        """Return some of them."""
        return Pasts(self.rows[mask], self.inputs[mask], self.orders[mask], self.initials[mask])


NO_ROWS: IntArray = np.empty(0, dtype=np.int64)
NO_PASTS = Pasts(NO_ROWS, NO_ROWS, NO_ROWS, NO_ROWS)


@dataclass(frozen=True, eq=False)
class Program:
    """An ordered program.

    Attributes
    ----------
    slots : mapping
        By canonical name; all variables that can be requested.
    n_rows : int
    constants, constant_values : (c,)
        Rows that hold constants, and their defaults.
    inputs : mapping of row to Data
        Exogenous series.
    followers : mapping of row to rows
        Inputs that have the points of another input, by the row of that other.
    setup, initial, settle, step, rates : tuple of Block
    stocks, flows : (s,)
        A step adds ``dt * row[flows[i]]`` to ``row[stocks[i]]``.
    hold, after : tuple of Block
    pasts : Pasts
    fixed : mapping of row to str
        Constants that shaped the program itself, such as the order of a delay, and what they
        shaped: no run can set them.
    """

    slots: Mapping[str, Slot]
    n_rows: int
    constants: IntArray
    constant_values: FloatArray
    inputs: Mapping[int, Data]
    setup: tuple[Block, ...]
    initial: tuple[Block, ...]
    settle: tuple[Block, ...]
    step: tuple[Block, ...]
    rates: tuple[Block, ...]
    stocks: IntArray
    flows: IntArray
    hold: tuple[Block, ...] = ()
    after: tuple[Block, ...] = ()
    pasts: Pasts = NO_PASTS
    fixed: Mapping[int, str] = field(default_factory=dict)
    followers: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def stages(self) -> tuple[tuple[Block, ...], ...]:
        """All stages in the order in which a run first meets them."""
        return (
            self.setup,
            self.initial,
            self.settle,
            self.step,
            self.rates,
            self.hold,
            self.after,
        )

    def default(self, row: int) -> float:
        """Return the default of a constant row."""
        return float(self.constant_values[np.searchsorted(self.constants, row)])


def accumulate(program: Program, rows: IntArray) -> tuple[Program, IntArray]:
    """Add a stock for each row that adds up the row over time.

    The total over a period is then the difference of two values of that stock, exact under the
    model's own integration: Euler moves a stock by ``dt * flow``, and so does the sum.

    Returns
    -------
    program : Program
    totals : (len(rows),)
        The rows of the new stocks.
    """
    n = len(rows)
    totals = np.arange(program.n_rows, program.n_rows + n)
    flows = totals + n
    if n == 0:
        return program, totals
    return (
        replace(
            program,
            n_rows=program.n_rows + 2 * n,
            initial=(*program.initial, Block("totals", (totals,), (const(0.0),))),
            rates=(*program.rates, Block("totals", (flows,), (Load(np.asarray(rows)),))),
            stocks=np.concatenate([program.stocks, totals]),
            flows=np.concatenate([program.flows, flows]),
        ),
        totals,
    )


def restrict(program: Program, wanted: Iterable[int]) -> Program:
    """Drop every equation that the wanted rows do not need."""
    needed = set(wanted)
    flow_of = dict(zip(program.stocks.tolist(), program.flows.tolist(), strict=True))
    blocks = [block for stage in program.stages for block in stage]
    pasts = program.pasts
    past_of = {
        int(row): {int(i), int(o), int(b)}
        for row, i, o, b in zip(pasts.rows, pasts.inputs, pasts.orders, pasts.initials, strict=True)
    }
    makers: dict[int, list[Block]] = {}
    for block in blocks:
        for target in block.targets:
            for row in target.tolist():
                makers.setdefault(row, []).append(block)
    kept: set[int] = set()
    waiting = list(needed)
    while waiting:
        row = waiting.pop()
        more = {flow_of[row]} if row in flow_of else set()
        more |= past_of.get(row, set())
        for block in makers.get(row, []):
            if id(block) not in kept:
                kept.add(id(block))
                more |= block.reads()
        waiting.extend(more - needed)
        needed |= more

    def keep(stage: tuple[Block, ...]) -> tuple[Block, ...]:
        return tuple(block for block in stage if id(block) in kept)

    alive = np.array([s in needed for s in program.stocks.tolist()], dtype=bool)
    return replace(
        program,
        setup=keep(program.setup),
        initial=keep(program.initial),
        settle=keep(program.settle),
        step=keep(program.step),
        rates=keep(program.rates),
        hold=keep(program.hold),
        after=keep(program.after),
        pasts=pasts.chosen(np.array([r in needed for r in pasts.rows.tolist()], dtype=bool)),
        stocks=program.stocks[alive],
        flows=program.flows[alive],
        inputs={row: data for row, data in program.inputs.items() if row in needed},
    )
