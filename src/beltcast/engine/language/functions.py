"""The functions of the language, said in primitives.

`LANGUAGE` maps the functions of Vensim onto `beltcast.engine.language.primitives`; those with a
memory (stocks, delays, smooths) live in `beltcast.engine.language.stateful`, because they add rows.
`REDUCTIONS` run over ranges, `INPUTS` are functions of time, `INSTEAD` are refused by name.
Functions of graphs, of vectors and of chance have modules of their own: `lookups`, `vectors` and
`chance`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from beltcast.engine.nodes import Apply, Clock, Const, Node, apply, const

SMALL = 1e-6
"""PySD and Vensim take a divisor below this for zero in XIDZ and ZIDZ."""


def _not(x: Node) -> Node:
    return apply("eq", x, const(0.0))


def _and(x: Node, y: Node) -> Node:
    return apply("mul", apply("ne", x, const(0.0)), apply("ne", y, const(0.0)))


def _or(x: Node, y: Node) -> Node:
    return apply("max", apply("ne", x, const(0.0)), apply("ne", y, const(0.0)))


def _xidz(top: Node, bottom: Node, otherwise: Node) -> Node:
    small = apply("lt", apply("abs", bottom), const(SMALL))
    # Where the divisor is small the quotient is not used; dividing by 1 there keeps its
    # derivative finite, so that 0 * inf never enters the unused side.
    safe = apply("if", small, const(1.0), bottom)
    return apply("if", small, otherwise, apply("div", top, safe))


def _quantum(x: Node, step: Node) -> Node:
    rounded = apply("mul", step, apply("trunc", apply("div", x, step)))
    return apply("if", apply("lt", step, const(SMALL)), x, rounded)


def _power(x: Node, y: Node) -> Node:
    if isinstance(y, Const) and len(y.values) == 1 and y.values[0] == 2.0:
        return apply("mul", x, x)
    return apply("pow", x, y)


def fold(op: str) -> Callable[..., Node]:
    """Join any number of nodes, as a tree of pairs: a chain would be as deep as it is long."""

    def build(*nodes: Node) -> Node:
        if len(nodes) == 1:
            return nodes[0]
        half = (len(nodes) + 1) // 2
        return apply(op, build(*nodes[:half]), build(*nodes[half:]))

    return build


def _same(op: str) -> Callable[..., Node]:
    def build(*arguments: Node) -> Node:
        return Apply(op, arguments)

    return build


@dataclass(frozen=True)
class LanguageFunction:
    """A function of the modelling language written in primitives."""

    name: str
    arity: tuple[int, int]
    build: Callable[..., Node]


LANGUAGE: Mapping[str, LanguageFunction] = {
    function.name: function
    for function in (
        LanguageFunction("+", (2, 2), _same("add")),
        LanguageFunction("-", (2, 2), _same("sub")),
        LanguageFunction("*", (2, 2), _same("mul")),
        LanguageFunction("/", (2, 2), _same("div")),
        LanguageFunction("^", (2, 2), _power),
        LanguageFunction("POWER", (2, 2), _power),
        LanguageFunction("negative", (1, 1), _same("neg")),
        LanguageFunction("=", (2, 2), _same("eq")),
        LanguageFunction("<>", (2, 2), _same("ne")),
        LanguageFunction("<", (2, 2), _same("lt")),
        LanguageFunction("<=", (2, 2), _same("le")),
        LanguageFunction(">", (2, 2), _same("gt")),
        LanguageFunction(">=", (2, 2), _same("ge")),
        LanguageFunction(":NOT:", (1, 1), _not),
        LanguageFunction(":AND:", (2, 2), _and),
        LanguageFunction(":OR:", (2, 2), _or),
        LanguageFunction("MIN", (2, 2), _same("min")),
        LanguageFunction("MAX", (2, 2), _same("max")),
        LanguageFunction("IF THEN ELSE", (3, 3), _same("if")),
        LanguageFunction("ABS", (1, 1), _same("abs")),
        LanguageFunction("EXP", (1, 1), _same("exp")),
        LanguageFunction("LN", (1, 1), _same("log")),
        LanguageFunction(
            "LOG", (2, 2), lambda x, b: apply("div", apply("log", x), apply("log", b))
        ),
        LanguageFunction("SQRT", (1, 1), _same("sqrt")),
        LanguageFunction("INTEGER", (1, 1), _same("trunc")),
        LanguageFunction("QUANTUM", (2, 2), _quantum),
        LanguageFunction("MODULO", (2, 2), lambda x, m: apply("sub", x, _quantum(x, m))),
        LanguageFunction(
            "LOG10", (1, 1), lambda x: apply("div", apply("log", x), const(math.log(10.0)))
        ),
        LanguageFunction("SIN", (1, 1), _same("sin")),
        LanguageFunction("COS", (1, 1), _same("cos")),
        LanguageFunction("TAN", (1, 1), _same("tan")),
        LanguageFunction("ARCSIN", (1, 1), _same("asin")),
        LanguageFunction("ARCCOS", (1, 1), _same("acos")),
        LanguageFunction("ARCTAN", (1, 1), _same("atan")),
        LanguageFunction("SINH", (1, 1), _same("sinh")),
        LanguageFunction("COSH", (1, 1), _same("cosh")),
        LanguageFunction("TANH", (1, 1), _same("tanh")),
        LanguageFunction("GAMMA LN", (1, 1), _same("lgamma")),
        LanguageFunction("XIDZ", (3, 3), _xidz),
        LanguageFunction("ZIDZ", (2, 2), lambda x, y: _xidz(x, y, const(0.0))),
    )
}

REDUCTIONS: Mapping[str, Callable[..., Node]] = {
    "SUM": fold("add"),
    "PROD": fold("mul"),
    "VMIN": fold("min"),
    "VMAX": fold("max"),
}


def step_function(height: Node, start: Node, step: Node) -> Node:
    """STEP(height, start): height from the first step whose middle lies past the start (PySD)."""
    middle = apply("add", Clock(frozen=True), apply("mul", step, const(0.5)))
    return apply("mul", height, apply("gt", middle, start))


def ramp_function(slope: Node, start: Node, end: Node | None) -> Node:
    """RAMP(slope, start, end): grows with `slope` between start and end, level afterwards."""
    clock = Clock(frozen=True)
    running = apply("gt", clock, start)
    until = clock if end is None else apply("min", clock, end)
    return apply("mul", running, apply("mul", slope, apply("sub", until, start)))


def pulse_function(start: Node, width: Node, step: Node) -> Node:
    """PULSE(start, width): 1 from start for `width`, at least one step long."""
    clock = Clock(frozen=True)
    lasting = apply("max", width, step)
    begun = apply("le", apply("sub", start, const(SMALL)), clock)
    return apply("mul", begun, apply("lt", clock, apply("add", start, lasting)))


def pulse_train_function(start: Node, width: Node, interval: Node, end: Node, step: Node) -> Node:
    """PULSE TRAIN(start, width, interval, end): a pulse every interval, until the end."""
    clock = Clock(frozen=True)
    since = apply("add", apply("sub", clock, start), const(SMALL))
    repeats = apply("gt", interval, const(0.0))
    every = apply("if", repeats, interval, const(1.0))
    past = apply("sub", since, apply("mul", every, apply("floor", apply("div", since, every))))
    place = apply("if", repeats, past, since)
    lasting = apply("max", width, step)
    on = apply("mul", apply("ge", since, const(0.0)), apply("lt", place, lasting))
    return apply("mul", on, apply("lt", clock, end))


INPUTS: Mapping[str, LanguageFunction] = {
    function.name: function
    for function in (
        # XMILE's PULSE: a quantity given within one step, at once or again and again.
        LanguageFunction(
            "XPULSE",
            (2, 2),
            lambda step, start, size: apply(
                "mul", apply("div", size, step), pulse_function(start, const(0.0), step)
            ),
        ),
        LanguageFunction(
            "XPULSE TRAIN",
            (3, 3),
            lambda step, start, interval, size: apply(
                "mul",
                apply("div", size, step),
                pulse_train_function(start, const(0.0), interval, const(np.inf), step),
            ),
        ),
        LanguageFunction(
            "STEP", (2, 2), lambda step, height, start: step_function(height, start, step)
        ),
        LanguageFunction(
            "RAMP", (2, 3), lambda step, slope, start, end=None: ramp_function(slope, start, end)
        ),
        LanguageFunction(
            "PULSE", (2, 2), lambda step, start, width: pulse_function(start, width, step)
        ),
        LanguageFunction(
            "PULSE TRAIN",
            (4, 4),
            lambda step, start, width, interval, end: pulse_train_function(
                start, width, interval, end, step
            ),
        ),
    )
}
"""Functions of time, and of the time step given first (which the arity does not count)."""


INSTEAD: Mapping[str, str] = {
    "DELAY PROFILE": "Vensim does not say how it spreads the profile over steps; add up several "
    "DELAY N or DELAY FIXED with weights",
    "DELAY MATERIAL": "write DELAY FIXED if the delay time is constant, else DELAY N",
    "DELAY INFORMATION": "write DELAY FIXED if the delay time is constant, else SMOOTH N",
    "DELAY CONVEYOR": "write DELAY FIXED, and the leak as a flow of its own",
    "DELAY BATCH": "write the batches with SAMPLE IF TRUE",
    "REINITIAL": "write INITIAL, which is the value at INITIAL TIME, where every run starts",
    "RANDOM LOOKUP": "call a lookup that gives the number for its share, with RANDOM UNIFORM(0, 1)",
    "RANDOM PINK NOISE": "write the noise as a SMOOTH of RANDOM NORMAL",
}
"""Functions of Vensim that are refused by name, because its manual leaves open what they compute
or nothing here computes it, and the nearest thing that works."""
