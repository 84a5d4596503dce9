"""Functions with memory: each becomes rows that hold state, and equations that update them.

Delays, smooths, TREND and FORECAST become stocks; DELAY FIXED, SAMPLE IF TRUE and INITIAL become
rows that change between steps or never; a random number remembers which call it is.  They live
apart from `beltcast.engine.language.functions` because their value is not a formula in their
arguments alone: each adds to the `Parts` of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from beltcast.engine.language.functions import LANGUAGE, LanguageFunction, step_function
from beltcast.engine.language.random_functions import (
    CHANCE,
    normal_draw,
    normal_quantile,
    normal_share,
)
from beltcast.engine.lower.schedule import Parts
from beltcast.engine.lower.symbols import NameTable
from beltcast.engine.nodes import Clock, Const, IntArray, Load, Node, apply, const
from beltcast.engine.program import Block, Pasts


@dataclass(frozen=True, eq=False)
class Memory:
    """State of the equation of one variable, for n elements at once.

    Each method adds rows to the parts and returns the function's value.
    """

    name: str
    n: int
    table: NameTable
    parts: Parts

    def time_step(self) -> Node:
        """Return the time step of the run."""
        return Load(self.table.slots["time step"].rows.reshape(-1))

    def initial(self, value: Node) -> Node:
        """INITIAL: the value at the start of the run, kept throughout."""
        rows = self.parts.new_rows(self.n)
        self.parts.starts.append(Block(self.name, (rows,), (value,)))
        return Load(rows)

    def smooth(self, n: int, value: Node, time: Node, initial: Node) -> Node:
        """n-th order exponential smooth: a chain of first-order adjustments (Vensim SMOOTH N)."""
        part = apply("div", time, const(float(n)))
        for _ in range(n):
            rows = self.parts.new_rows(self.n)
            gap = apply("sub", value, Load(rows))
            self.parts.stock(self.name, rows, initial, apply("div", gap, part))
            value = Load(rows)
        return value

    def delay(self, n: int, value: Node, time: Node, initial: Node) -> Node:
        """n-th order material delay: stocks in a chain that conserve the input (Vensim DELAY N)."""
        part = apply("div", time, const(float(n)))
        for _ in range(n):
            rows = self.parts.new_rows(self.n)
            outflow = apply("div", Load(rows), part)
            start = apply("mul", initial, part)
            self.parts.stock(self.name, rows, start, apply("sub", value, outflow))
            value = outflow
        return value

    def delay_n(self, n: int, value: Node, time: Node, initial: Node) -> Node:
        """DELAY N: what has entered keeps the delay time that held when it entered.

        The delay times travel down the chain one place per step, beside the material; the outflow
        is divided by the time of one step ago.  (PySD's interpretation, which agrees with Vensim's
        output.) With a constant delay time this is `delay`.
        """
        part = apply("div", time, const(float(n)))
        times = [self.parts.new_rows(self.n) for _ in range(n)]
        levels = [self.parts.new_rows(self.n) for _ in range(n)]
        now: list[Node] = [part, *(Load(t) for t in times[:-1])]
        for own, following in zip(times, now, strict=True):
            self.parts.keep(self.name, own, part, following)
        for level, lasting in zip(levels, now, strict=True):
            outflow = apply("div", Load(level), lasting)
            self.parts.stock(
                self.name, level, apply("mul", initial, part), apply("sub", value, outflow)
            )
            value = outflow
        return apply("div", Load(levels[-1]), Load(times[0]))

    def delay_fixed(self, value: Node, time: Node, initial: Node | None = None) -> Node:
        """DELAY FIXED: the input a number of steps ago that is computed at the start."""
        rows, inputs, orders, initials = (self.parts.new_rows(self.n) for _ in range(4))
        name = self.name
        ratio = apply("div", time, self.time_step())
        steps = apply("floor", apply("add", ratio, const(0.5 + 1e-6)))
        self.parts.starts.append(Block(name, (orders,), (apply("max", steps, const(1.0)),)))
        first = value if initial is None else initial
        self.parts.starts.append(Block(name, (initials,), (first,)))
        self.parts.starts.append(Block(name, (rows,), (Load(initials),)))
        self.parts.held.append(rows)
        self.parts.hold.append(Block(name, (inputs,), (value,)))
        self.parts.pasts = self.parts.pasts.joined(Pasts(rows, inputs, orders, initials))
        return Load(rows)

    def sample(self, state: IntArray, condition: Node, value: Node, initial: Node) -> Node:
        """SAMPLE IF TRUE: the input while the condition holds, and its last value otherwise.

        ``state`` are new rows, which hold that last value.
        """
        present = self.parts.new_rows(self.n)
        chosen = apply("if", condition, value, Load(state))
        self.parts.auxiliaries.append(Block(self.name, (present,), (chosen,)))
        self.parts.keep(self.name, state, initial, Load(present))
        return Load(present)

    def sample_until(self, last: Node, value: Node, initial: Node) -> Node:
        """SAMPLE UNTIL(last time, input, initial): the input one step ago, until the last time.

        As the macro of that name in Climate Interactive's C-LEARN has it.
        """
        rows = self.parts.new_rows(self.n)
        step = self.time_step()
        running = apply("sub", const(1.0), step_function(const(1.0), last, step))
        gap = apply("div", apply("sub", value, Load(rows)), step)
        self.parts.stock(self.name, rows, initial, apply("mul", running, gap))
        return Load(rows)

    def pink_noise(self, mean: Node, sd: Node, correlation: Node, stream: Node) -> Node:
        """RANDOM PINK NOISE(mean, standard deviation, correlation time, stream).

        White noise through a first-order smooth, scaled so that mean and sd are those asked
        for whatever the step (E. Anderson and T. Fiddaman, "Pink Noise", 2010, which Vensim's
        manual repeats).  Each draw is a RANDOM NORMAL cut off at six deviations.
        """
        ends = (const(-6.0), const(6.0), const(0.0), const(1.0))
        first, white = (normal_draw(self.draw(stream), *ends) for _ in range(2))
        ratio = apply("div", self.time_step(), correlation)
        scale = apply("sqrt", apply("div", apply("sub", const(2.0), ratio), ratio))
        scaled = apply("add", mean, apply("mul", apply("mul", white, sd), scale))
        rows = self.parts.new_rows(self.n)
        start = apply("add", mean, apply("mul", sd, first))
        gap = apply("sub", scaled, Load(rows))
        self.parts.stock(self.name, rows, start, apply("div", gap, correlation))
        return Load(rows)

    def trend(self, value: Node, time: Node, initial: Node) -> Node:
        """TREND: growth rate of the input against its own average."""
        rows = self.parts.new_rows(self.n)
        start = apply("div", value, apply("add", const(1.0), apply("mul", initial, time)))
        gap = apply("sub", value, Load(rows))
        self.parts.stock(self.name, rows, start, apply("div", gap, time))
        return LANGUAGE["ZIDZ"].build(gap, apply("mul", time, apply("abs", Load(rows))))

    def forecast(self, value: Node, time: Node, horizon: Node, initial: Node) -> Node:
        """FORECAST: the input extrapolated along its own trend, at first the initial one."""
        rows = self.parts.new_rows(self.n)
        start = apply("div", value, apply("add", const(1.0), apply("mul", initial, time)))
        gap = apply("sub", value, Load(rows))
        self.parts.stock(self.name, rows, start, apply("div", gap, time))
        growth = LANGUAGE["ZIDZ"].build(gap, apply("mul", time, Load(rows)))
        return apply("mul", value, apply("add", const(1.0), apply("mul", growth, horizon)))

    def active_initial(self, value: Node, initial: Node) -> Node:
        """ACTIVE INITIAL: another value while initial values are found."""
        rows = self.parts.new_rows(self.n)
        self.parts.auxiliaries.append(Block(self.name, (rows,), (value,), (initial,)))
        return Load(rows)

    def draw(self, stream: Node) -> Node:
        """A number in [0, 1) from the seed, the stream, the call, the element and the step."""
        self.parts.draws += 1
        seed = self.table.slots.get("noise seed")
        key = const(0.0) if seed is None else Load(seed.rows.reshape(-1))
        call = Const(self.parts.draws + np.arange(self.n, dtype=np.float64) / 2**20)
        return apply("uniform", key, stream, call, Clock(frozen=True))

    def present_value(self, stream: Node, rate: Node, initial: Node, factor: Node) -> Node:
        """NPV(stream, rate, initial, factor): the discounted total so far, the present step in it.

        Vensim's manual (function_changes): with a stream and no initial value it starts at
        ``stream * TIME STEP``.  A step divides by ``1 + rate * TIME STEP``, as its output
        published with SDEverywhere's `npv` does.
        """
        discount, total = self.parts.new_rows(self.n), self.parts.new_rows(self.n)
        grown = apply("add", const(1.0), apply("mul", rate, self.time_step()))
        falling = apply("neg", apply("div", apply("mul", Load(discount), rate), grown))
        self.parts.stock(self.name, discount, const(1.0), falling)
        self.parts.stock(self.name, total, initial, apply("mul", stream, Load(discount)))
        now = apply("mul", apply("mul", stream, self.time_step()), Load(discount))
        return apply("mul", apply("add", Load(total), now), factor)

    def depreciate(self, stream: Node, time: Node, _fiscal: Node, initial: Node) -> Node:
        """DEPRECIATE STRAIGHTLINE(stream, time, fiscal year, initial): each amount over its time.

        In each step the amounts of the last ``time``, the present one included, over ``time``
        (Vensim's output published with SDEverywhere's `depreciate`).
        """
        written_off = self.delay_fixed(stream, time, const(0.0))
        book = self.parts.new_rows(self.n)
        self.parts.stock(self.name, book, initial, apply("sub", stream, written_off))
        held = apply("div", Load(book), self.time_step())
        return apply("div", apply("add", held, apply("sub", stream, written_off)), time)

    def derivative(self, value: Node) -> Node:
        """DERIVN(value, 1): the difference to one step ago over the step; 0 at first (isee)."""
        step = self.time_step()
        return apply("div", apply("sub", value, self.delay_fixed(value, step)), step)

    def integ(self, rate: Node, initial: Node) -> Node:
        """INTEG inside an expression: a stock without a name."""
        rows = self.parts.new_rows(self.n)
        self.parts.stock(self.name, rows, initial, rate)
        return Load(rows)


def _drawn(function: LanguageFunction) -> Callable[..., Node]:
    def build(memory: Memory, *arguments: Node) -> Node:
        *parameters, stream = arguments
        return function.build(memory.draw(stream), *parameters)

    return build


CHAINS: Mapping[str, Callable[..., Node]] = {
    "SMOOTH": Memory.smooth,
    "DELAY": Memory.delay,
    "DELAY N": Memory.delay_n,
}

WITH_MEMORY: Mapping[str, Callable[..., Node]] = {
    "INTEG": Memory.integ,
    "INITIAL": Memory.initial,
    "REINITIAL": Memory.initial,  # differs only where a run is resumed, which none is here
    "DELAY FIXED": Memory.delay_fixed,
    "TREND": Memory.trend,
    "FORECAST": Memory.forecast,
    "ACTIVE INITIAL": Memory.active_initial,
    "NPV": Memory.present_value,
    "DEPRECIATE STRAIGHTLINE": Memory.depreciate,
    "XDERIVATIVE": Memory.derivative,
    "SAMPLE UNTIL": Memory.sample_until,
    "RANDOM PINK NOISE": Memory.pink_noise,
    "NORMAL CDF": lambda _, x: normal_share(x),
    "XNORMAL QUANTILE": lambda _, p: normal_quantile(p),
    "RANDOM 0 1": lambda self: self.draw(const(0.0)),
    **{name: _drawn(function) for name, function in CHANCE.items()},
}
"""Functions with a memory, apart from the chains, whose order comes first."""

ARITY: Mapping[str, tuple[int, int]] = {
    "INTEG": (2, 2),
    "INITIAL": (1, 1),
    "REINITIAL": (1, 1),
    "DELAY FIXED": (2, 3),
    "TREND": (3, 3),
    "FORECAST": (4, 4),
    "ACTIVE INITIAL": (2, 2),
    "NPV": (4, 4),
    "DEPRECIATE STRAIGHTLINE": (4, 4),
    "XDERIVATIVE": (1, 1),
    "SAMPLE UNTIL": (3, 3),
    "RANDOM PINK NOISE": (4, 4),
    "NORMAL CDF": (1, 1),
    "XNORMAL QUANTILE": (1, 1),
    "RANDOM 0 1": (0, 0),
    # The stream comes last.
    **{name: (f.arity[0] + 1, f.arity[1] + 1) for name, f in CHANCE.items()},
}
"""How many arguments each of `WITH_MEMORY` takes, at least and at most."""
