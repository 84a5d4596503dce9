"""Conveyor belts: rows that move material one place per step from inflow to outflow.

An XMILE conveyor that leaks or stops, and Vensim's DELAY CONVEYOR, consist of slats. Each slat
holds the inflow of one step. All slats are rows of one block, so that a long belt compiles as fast
as a short one. A conveyor without leaks and stops is a DELAY FIXED and does not use this module.

The rules are those of isee's help ("Conveyor Computation", "Steady-State Initialization of
Conveyors") and of OASIS XMILE 1.0, 3.7.2.  In each step, each leak removes its share from every
slat in its zone; then the first slat becomes the outflow, the others move up, and the inflow fills
the last.

* A **linear** leak removes a fraction of the inflow, evenly over the slats of its zone, whatever
  else leaks. If several leaks together exceed the content of a slat, the first one in the file
  takes its share first.
* An **exponential** leak removes a fraction of the content of the slat per unit of time; the
  fractions of several leaks add up.
* The initial content is distributed as a steady inflow would distribute it, less what would have
  leaked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from beltcast.engine.language.functions import REDUCTIONS
from beltcast.engine.language.stateful import Memory
from beltcast.engine.nodes import Const, FloatArray, IntArray, Load, Node, apply, const
from beltcast.engine.program import Block
from beltcast.engine.syntax import Table

_NEARLY = const(0.5 + 1e-6)
"""Rounds to whole steps, halves up, as DELAY FIXED does."""

Leak = tuple[Node, float, float]
"""Its fraction, and where its zone starts and ends, as shares of the belt from the inflow."""


@dataclass(frozen=True, eq=False)
class Belt:
    """A belt of some slats, for the n elements of an equation at once.

    Rows are ordered by slat; the slat that leaves next comes first.
    """

    memory: Memory
    slats: int

    def vensim(self, inflow: Node, leak: Node, total: Node) -> Node:
        """The outflow of Vensim's DELAY CONVEYOR with a flat initial profile.

        The inflow leaks in the step in which it enters; the outflow does not leak in the step in
        which it leaves ("ahead level" in Vensim's manual).
        """
        step = self.memory.time_step()
        kept = apply("sub", const(1.0), apply("mul", leak, step))
        first = self._spread(apply("div", total, const(float(self.slats))))
        content = self._rows()
        self._move(content, first, Load(content), apply("mul", inflow, step), None, kept)
        return apply("div", Load(content[: self.memory.n]), step)

    def xmile(
        self,
        inflow: Node,
        initial: Node,
        arrest: Node,
        leaks: Sequence[Leak],
        *,
        exponential: bool,
    ) -> tuple[Node, ...]:
        """The outflow and the leak flows of an XMILE conveyor."""
        step = self.memory.time_step()
        running = self._spread(apply("eq", arrest, const(0.0)))
        shape = self._profile(leaks, exponential=exponential)
        scale = self._started(apply("div", initial, Load(self._total(shape, started=True))))
        content, entered = self._rows(), self._rows()
        wanted = self._exponential(content, leaks) if exponential else self._linear(entered, leaks)
        left: Node = Load(content)
        taken: list[IntArray] = []
        for want in wanted:
            own = self._each(apply("mul", running, apply("min", want, left)))
            taken.append(own)
            left = apply("sub", left, Load(own))
        rest = self._each(left)
        onto = apply("mul", inflow, step)
        first = apply("mul", Load(np.tile(scale, self.slats)), Load(shape))
        self._move(content, first, Load(rest), onto, running, None)
        if not exponential:
            at_first = Load(np.tile(scale, self.slats))
            self._move(entered, at_first, Load(entered), onto, running, None)
        n = self.memory.n
        off = apply("mul", self._one(running), Load(rest[:n]))
        flows: list[Node] = [off, *(Load(self._total(own, started=False)) for own in taken)]
        return tuple(apply("div", flow, step) for flow in flows)

    def profile(self, arriving: FloatArray, inflow: Node, initial: Node, growth: float) -> Node:
        """DELAY PROFILE of Vensim: what comes off, of inputs that are spread over all slats.

        Parameters
        ----------
        arriving : (slats,)
            Share of an input that comes off after each number of steps, from 1 on.
        inflow, initial : Node
            The input, and what comes off at first.
        growth : float
            By which factor the input grew from step to step before the start.
        """
        before = growth ** -np.arange(1.0, self.slats + 1.0)  # inputs so many steps before
        at_first = np.array([arriving[i:] @ before[: self.slats - i] for i in range(self.slats)])
        content = self._rows()
        first = apply("mul", self._spread(initial), self._by_slat(at_first / at_first[0]))
        onto = apply("mul", self._spread(inflow), self._by_slat(arriving))
        n = self.memory.n
        nothing = self.memory.parts.new_rows(n)
        self.memory.parts.starts.append(Block(self.memory.name, (nothing,), (const(0.0),)))
        above = Load(np.concatenate([content[n:], nothing]))
        self.memory.parts.keep(self.memory.name, content, first, apply("add", above, onto))
        return Load(content[:n])

    def information(self, inflow: Node, time: Node, initial: Node) -> Node:
        """DELAY INFORMATION of Vensim with a delay time that moves: the latest input to arrive.

        Each slat holds what comes out after so many steps as far as is known: an input replaces all
        that would come out with it or after it.
        """
        content, n = self._rows(), self.memory.n
        arrived = apply("ge", self._ahead(), self._steps(time))
        later = Load(np.concatenate([content[n:], content[-n:]]))
        following = apply("if", arrived, self._spread(inflow), later)
        self.memory.parts.keep(self.memory.name, content, self._spread(initial), following)
        return Load(content[:n])

    def material(self, inflow: Node, time: Node, initial: Node, missing: Node) -> Node:
        """DELAY MATERIAL of Vensim with a delay time that moves: every input, once.

        Each slat holds the sum of what comes out after so many steps, and how many inputs that
        is: where it is none, the missing value comes out.  What comes out before the first input
        is the initial value, for the delay time of the start, as in DELAY FIXED.
        """
        n = self.memory.n
        steps, ahead = self._steps(time), self._ahead()
        lands = apply("eq", ahead, steps)
        nothing = self.memory.parts.new_rows(n)
        self.memory.parts.starts.append(Block(self.memory.name, (nothing,), (const(0.0),)))
        there_at_first = apply("le", ahead, steps)
        kept: list[Node] = []
        for first, onto in ((self._spread(initial), self._spread(inflow)), (None, None)):
            rows = self._rows()
            later = Load(np.concatenate([rows[n:], nothing]))
            one = const(1.0)
            start = apply("if", there_at_first, first or one, const(0.0))
            more = apply("if", lands, onto or one, const(0.0))
            self.memory.parts.keep(self.memory.name, rows, start, apply("add", later, more))
            kept.append(Load(rows[:n]))
        total, count = kept
        return apply("if", apply("gt", count, const(0.0)), total, missing)

    def _steps(self, time: Node) -> Load:
        """The delay time in whole steps, at least one, for all slats."""
        whole = apply("floor", apply("add", apply("div", time, self.memory.time_step()), _NEARLY))
        return self._spread(apply("max", whole, const(1.0)))

    def _ahead(self) -> Const:
        """After how many steps each slat comes out."""
        return self._by_slat(np.arange(1.0, self.slats + 1.0))

    # --- leaks

    def _linear(self, entered: IntArray, leaks: Sequence[Leak]) -> list[Node]:
        found: list[Node] = []
        for fraction, *zone in leaks:
            inside = self._inside(*zone)
            share = inside / max(inside.sum(), 1.0)
            own = apply("mul", self._spread(fraction), self._by_slat(share))
            found.append(apply("mul", own, Load(entered)))
        return found

    def _exponential(self, content: IntArray, leaks: Sequence[Leak]) -> list[Node]:
        step = self.memory.time_step()
        shares = [
            self._each(
                apply(
                    "mul",
                    self._by_slat(self._inside(*zone)),
                    apply("mul", self._spread(fraction), step),
                )
            )
            for fraction, *zone in leaks
        ]
        total: Node = const(0.0)
        for share in shares:
            total = apply("add", total, Load(share))
        # Never more than all of it.
        most = apply("max", total, const(1.0))
        return [apply("div", apply("mul", Load(content), Load(share)), most) for share in shares]

    def _profile(self, leaks: Sequence[Leak], *, exponential: bool) -> IntArray:
        """Content of each slat under a steady inflow of 1 a slat, computed once at the start."""
        step = self.memory.time_step()
        if not exponential:
            lost: Node = self._by_slat(np.zeros(self.slats))
            for fraction, *zone in leaks:
                inside = self._inside(*zone)
                before = (inside.sum() - np.cumsum(inside)) / max(inside.sum(), 1.0)
                own = apply("mul", self._spread(fraction), self._by_slat(before))
                lost = apply("add", lost, own)
            return self._started(apply("max", apply("sub", const(1.0), lost), const(0.0)))
        kept: Node = self._by_slat(np.ones(self.slats))
        zones = [self._inside(*zone) for _, *zone in leaks]
        for pattern in {tuple(column) for column in np.array(zones).T} if zones else ():
            same = np.all(np.equal(np.array(zones).T, pattern), axis=1).astype(np.float64)
            before = same.sum() - np.cumsum(same)
            rate: Node = const(0.0)
            for (fraction, *_), member in zip(leaks, pattern, strict=True):
                if member:
                    rate = apply("add", rate, self._spread(fraction))
            base = apply("max", apply("sub", const(1.0), apply("mul", rate, step)), const(0.0))
            kept = apply("mul", kept, apply("pow", base, self._by_slat(before)))
        return self._started(kept)

    def _inside(self, start: float, end: float) -> np.ndarray:
        """1 for each slat whose middle lies in a zone, 0 for the others."""
        place = 1.0 - (np.arange(self.slats) + 0.5) / self.slats
        return ((place >= start) & (place <= end)).astype(np.float64)

    # --- rows

    def _rows(self) -> IntArray:
        return self.memory.parts.new_rows(self.slats * self.memory.n)

    def _by_slat(self, values: np.ndarray) -> Const:
        """One number for each slat, the same for all elements."""
        return Const(np.repeat(np.asarray(values, dtype=np.float64), self.memory.n))

    def _one(self, spread: Node) -> Node:
        """The value for the elements, of one that is spread over the slats."""
        assert isinstance(spread, Load)
        return Load(spread.rows[: self.memory.n])

    def _spread(self, node: Node) -> Load:
        """The value of each element, for all slats."""
        rows = self.memory.parts.new_rows(self.memory.n)
        self.memory.parts.auxiliaries.append(Block(self.memory.name, (rows,), (node,)))
        return Load(np.tile(rows, self.slats))

    def _each(self, node: Node) -> IntArray:
        """Rows for a value of each slat."""
        rows = self._rows()
        self.memory.parts.auxiliaries.append(Block(self.memory.name, (rows,), (node,)))
        return rows

    def _started(self, node: Node) -> IntArray:
        """Rows for a value that is computed once, at the start."""
        whole = isinstance(node, Const) or _size(node) > self.memory.n
        rows = self._rows() if whole else self.memory.parts.new_rows(self.memory.n)
        self.memory.parts.starts.append(Block(self.memory.name, (rows,), (node,)))
        return rows

    def _total(self, rows: IntArray, *, started: bool) -> IntArray:
        """Sum the slats pairwise: a loop for each level instead of one long expression."""
        parts, n = self.memory.parts, self.memory.n
        place = parts.starts if started else parts.auxiliaries
        columns: IntArray = rows.reshape(-1, n)
        while len(columns) > 1:
            half = (len(columns) + 1) // 2
            pairs = len(columns) - half
            joined = parts.new_rows(pairs * n)
            sides = Load(columns[:pairs].reshape(-1)), Load(columns[half:].reshape(-1))
            place.append(Block(self.memory.name, (joined,), (REDUCTIONS["SUM"](*sides),)))
            columns = np.concatenate([joined.reshape(-1, n), columns[pairs:half]])
        total: IntArray = columns[0]
        return total

    def _move(
        self,
        rows: IntArray,
        initial: Node,
        rest: Load,
        onto: Node,
        running: Node | None,
        factor: Node | None,
    ) -> None:
        """Move all slats up by one at the end of a step, and fill the last."""
        parts, n = self.memory.parts, self.memory.n
        last = parts.new_rows(n)
        parts.auxiliaries.append(Block(self.memory.name, (last,), (onto,)))
        following: Node = Load(np.concatenate([rest.rows[n:], last]))
        if factor is not None:
            following = apply("mul", following, self._spread(factor))
        if running is not None:
            following = apply("if", running, following, Load(rows))
        parts.keep(self.memory.name, rows, initial, following)


def profile_shares(table: Table, steps: float) -> FloatArray:
    """Share of an input that a DELAY PROFILE lets out after 1, 2, ... steps.

    The profile is stretched so that its mean is the delay time, and each moment of it goes to the
    two steps around it, nearer first, so that the mean stays what it is.  What would come out
    before the first step comes out after it.

    Parameters
    ----------
    table : Table
        The profile, from the moment of the input on.
    steps : float
        Mean delay, in steps.

    Raises
    ------
    ValueError
        It is no profile.

    Examples
    --------
    >>> profile_shares(Table((0.0, 2.0), (1.0, 1.0)), 2.0).tolist()
    [0.375, 0.25, 0.25, 0.125]
    """
    x, y = np.array(table.x), np.array(table.y)
    if len(x) < 2 or x[0] < 0.0 or (y < 0.0).any() or not (y > 0.0).any():
        raise ValueError("whose profile is negative, starts before 0 or is 0 throughout")
    mean = _integral(x, y, x) / _integral(x, y, np.ones_like(x))
    x = x * (steps / mean)
    last = int(np.ceil(x[-1]))
    if last > LONGEST_PROFILE:
        raise ValueError(f"that ends after {last} steps, of which {LONGEST_PROFILE} work")
    at = np.union1d(x, np.arange(max(0.0, np.floor(x[0])), last + 1.0))
    height = np.interp(at, x, y, left=0.0, right=0.0)
    height[at < x[0]] = 0.0
    shares = np.zeros(max(last, 1) + 1)
    for a, b, u, v in zip(at[:-1], at[1:], height[:-1], height[1:], strict=True):
        if a < x[0] or b > x[-1]:
            continue
        whole = int(np.floor(0.5 * (a + b)))
        piece, own = np.array([a, b]), np.array([u, v])
        later = _integral(piece, own, piece - whole)
        shares[min(whole + 1, len(shares) - 1)] += later
        shares[whole] += _integral(piece, own, np.ones(2)) - later
    shares[1] += shares[0]
    return np.asarray(shares[1:] / shares[1:].sum())


def _integral(x: FloatArray, y: FloatArray, z: FloatArray) -> float:
    """Integral of the product of two functions that are straight between the points."""
    ends = y[:-1] * z[:-1] + y[1:] * z[1:]
    middles = (y[:-1] + y[1:]) * (z[:-1] + z[1:])
    return float(np.diff(x) @ (ends + middles) / 6.0)


LONGEST_PROFILE = 2_000
"""Steps over which a DELAY PROFILE may spread an input."""


def _size(node: Node) -> int:
    """Number of elements of a node; 1 if one value serves all."""
    if isinstance(node, Const):
        return len(node.values)
    if isinstance(node, Load):
        return len(node.rows)
    return max((_size(a) for a in getattr(node, "arguments", ())), default=1)
