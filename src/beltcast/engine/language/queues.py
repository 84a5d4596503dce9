"""Queues of XMILE: rows that hold batches in the order of their arrival.

The rules are those of OASIS XMILE 1.0, 3.7.2 and 3.7.3.  Each inflow that is not zero brings one
batch a step, the first inflow of the file first; the initial content is one batch, as isee's help
has it ("Initializing Discrete Stocks").  "The value of a queue outflow is determined by the queue's
inflow, the queue's contents, and what is downstream": what arrives in a step may leave in it.

* An outflow into a cloud or a stock takes everything.
* An outflow onto a conveyor takes what the conveyor accepts in the step: of the first batch only
  (``one_at_a_time``), or of as many as fit; whole batches only (``batch_integrity``), or parts.
* An overflow takes something only if the outflow before it was blocked: if the conveyor did not
  accept all that its rule would have taken.

Batches are held as flows, content per time step, so that what passes through leaves no rounding
behind.  A batch fits if it exceeds the room by less than one part in 10^9, because both are sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from beltcast.engine.language.belts import Belt
from beltcast.engine.nodes import IntArray, Load, Node, apply, const
from beltcast.engine.program import Block

EVERYTHING, FIRST, FITTING = 0, 1, 2
"""What an outflow takes: everything, of the first batch, of as many batches as fit."""

_WITHIN = const(1.0 - 1e-9)


@dataclass(frozen=True, eq=False)
class Outlet:
    """A way out of a queue.

    Attributes
    ----------
    takes : int
        `EVERYTHING`, `FIRST` or `FITTING`.
    whole : bool
        Whether batches stay whole.
    overflow : bool
        Whether it takes something only where the way before it is blocked.
    room : Node
        The most that may leave.
    """

    takes: int
    whole: bool
    overflow: bool
    room: Node

    @property
    def by_batch(self) -> bool:
        """Whether it matters which batches there are."""
        return self.takes == FIRST or (self.takes == FITTING and self.whole)


@dataclass(frozen=True, eq=False)
class Line(Belt):
    """A line of batches, for the n elements of an equation at once.

    Slats hold batches, the first in the line first; those after the last batch hold nothing.
    With a single slat the batches are not told apart.
    """

    def flows(self, inflows: Sequence[Node], initial: Node, ways: Sequence[Outlet]) -> list[Node]:
        """What leaves by each way."""
        content = self._rows()
        line = self._each(self._joined(content, inflows))
        blocked: Node = const(1.0)
        found: list[Node] = []
        for way in ways:
            asked = blocked if way.overflow else const(1.0)
            taken, line, refused = self._served(line, way, asked)
            found.append(self._one(self._spread(taken)))
            blocked = self._one(self._spread(apply("mul", asked, refused)))
        at_first = self._spread(apply("div", initial, self.memory.time_step()))
        first = apply("mul", apply("eq", self._numbers(), const(0.0)), at_first)
        self.memory.parts.keep(self.memory.name, content, first, Load(line))
        return found

    def _joined(self, content: IntArray, inflows: Sequence[Node]) -> Node:
        """The line with what arrives behind the last batch."""
        line: Node = Load(content)
        there = self._each(apply("gt", line, const(0.0)))
        last: Node = Load(self._total(there, started=False))
        for inflow in inflows:
            arriving = self._spread(inflow)
            if self.slats == 1:
                line = apply("add", line, arriving)
                continue
            behind = apply("eq", self._numbers(), self._spread(last))
            line = apply("add", line, apply("mul", behind, arriving))
            last = apply("add", last, apply("gt", self._one(arriving), const(0.0)))
        return line

    def _served(self, line: IntArray, way: Outlet, asked: Node) -> tuple[Node, IntArray, Node]:
        """What a way takes, the line after it, and whether something was refused."""
        n = self.memory.n
        if way.takes == EVERYTHING:
            total = Load(self._total(line, started=False))
            left = self._each(apply("if", self._spread(asked), const(0.0), Load(line)))
            return apply("mul", asked, total), left, const(0.0)
        room = self._spread(apply("if", asked, way.room, const(0.0)))
        if way.takes == FITTING and self.slats > 1:
            return self._fitting(line, room, whole=way.whole)
        front = Load(line[:n])
        fits = self._spread(apply("le", apply("mul", front, _WITHIN), self._one(room)))
        part = const(0.0) if way.whole else self._one(room)
        taken = self._spread(apply("if", self._one(fits), front, part))
        in_part = apply("mul", apply("eq", self._numbers(), const(0.0)), taken)
        rest = apply("sub", Load(line), in_part)
        left = self._each(apply("if", fits, self._up(line, 1), rest))
        return self._one(taken), left, apply("sub", const(1.0), self._one(fits))

    def _fitting(self, line: IntArray, room: Load, *, whole: bool) -> tuple[Node, IntArray, Node]:
        """As many batches from the front as fit, and a part of the next unless they stay whole."""
        n = self.memory.n
        up_to = line  # content of each batch and of those before it
        distance = 1
        while distance < self.slats:
            before = np.concatenate([np.tile(self._nothing(), distance), up_to[: -distance * n]])
            up_to = self._each(apply("add", Load(up_to), Load(before)))
            distance *= 2
        fits = self._each(apply("le", apply("mul", Load(up_to), _WITHIN), room))
        kept: Node = Load(line)
        if not whole:
            kept = apply("min", kept, apply("sub", Load(up_to), room))
        left = self._each(apply("if", Load(fits), const(0.0), kept))
        gone = self._each(apply("sub", Load(line), Load(left)))
        taken = Load(self._total(gone, started=False))
        # Those that are left move to the front, by as many places as batches fitted.
        places = Load(self._total(fits, started=False))
        for bit in reversed(range(self.slats.bit_length())):
            whole_part = apply("floor", apply("div", places, const(2.0**bit)))
            half = apply("floor", apply("mul", whole_part, const(0.5)))
            odd = apply("sub", whole_part, apply("mul", const(2.0), half))
            left = self._each(apply("if", self._spread(odd), self._up(left, 2**bit), Load(left)))
        return taken, left, apply("sub", const(1.0), Load(fits[-n:]))

    def _up(self, line: IntArray, places: int) -> Load:
        """The line moved towards its front."""
        behind = np.tile(self._nothing(), min(places, self.slats))
        return Load(np.concatenate([line[len(behind) :], behind]))

    def _nothing(self) -> IntArray:
        """Rows that are always 0."""
        rows = self.memory.parts.new_rows(self.memory.n)
        self.memory.parts.starts.append(Block(self.memory.name, (rows,), (const(0.0),)))
        return rows

    def _numbers(self) -> Node:
        """Place of each batch in the line, from 0."""
        return self._by_slat(np.arange(float(self.slats)))
