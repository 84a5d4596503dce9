"""The functions of the language, written in primitives.

`LANGUAGE` maps the functions of Vensim onto `beltcast.engine.language.primitives`; those with a
memory (stocks, delays, smooths) live in `beltcast.engine.language.stateful`, because they add rows.
`REDUCTIONS` run over ranges, `INPUTS` are functions of time, `INSTEAD` are refused by name.
Graphical functions, functions of vectors and random functions have modules of their own: `lookups`,
`vectors` and `random_functions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from beltcast.engine.nodes import Apply, Clock, Const, Node, apply, const

SMALL = 1e-6
"""PySD and Vensim treat a smaller divisor as zero in XIDZ and ZIDZ."""


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


def _safe_division(top: Node, bottom: Node, otherwise: Node | None = None) -> Node:
    """SAFEDIV of isee: the alternative, or 0, only where the divisor is exactly zero."""
    otherwise = const(0.0) if otherwise is None else otherwise
    zero = apply("eq", bottom, const(0.0))
    return apply("if", zero, otherwise, apply("div", top, apply("if", zero, const(1.0), bottom)))


def _quantum(x: Node, step: Node) -> Node:
    """QUANTUM: the largest multiple of the step, towards zero; x itself for a step <= 0."""
    positive = apply("gt", step, const(0.0))
    safe = apply("if", positive, step, const(1.0))
    return apply("if", positive, apply("mul", step, apply("trunc", apply("div", x, safe))), x)


def _modulo(x: Node, divisor: Node) -> Node:
    """MODULO: the remainder of C, exact and with the sign of x; 0 for a zero divisor.

    Vensim's manual defines it by C's rule, ``(a/b)*b + a%b = a``, which leaves a zero divisor
    open, and by ``a - QUANTUM(a, b)``, which gives 0 there.
    """
    zero = apply("eq", divisor, const(0.0))
    return apply("if", zero, const(0.0), apply("rem", x, apply("if", zero, const(1.0), divisor)))


MOST_FACTORS = 4
"""Largest whole exponent that is multiplied out."""


def _power(x: Node, y: Node) -> Node:
    """A power; exponents known when the model is read are computed exactly if possible."""
    exponent = float(y.values[0]) if isinstance(y, Const) and len(y.values) == 1 else math.nan
    if exponent == 0.5:
        # -0.0 + 0.0 is 0.0, as the power of -0.0 is, where sqrt(-0.0) is -0.0.
        return apply("add", apply("sqrt", x), const(0.0))
    if exponent == -1.0:
        return apply("div", const(1.0), x)
    if exponent == 1.0:
        return x
    if exponent in range(2, MOST_FACTORS + 1):
        square = apply("mul", x, x)
        return {2.0: square, 3.0: apply("mul", square, x), 4.0: apply("mul", square, square)}[
            exponent
        ]
    return apply("pow", x, y)


def _logarithm(x: Node, base: Node) -> Node:
    """LOG: ``ln x / ln base``, and the whole number where x is exactly that power of the base.

    The quotient of two rounded logarithms misses LOG(1000, 10) = 3 by a bit, which INTEGER would
    turn into 2.  The correction is held back from the derivative, which stays that of the
    quotient.
    """
    quotient = apply("div", apply("log", x), apply("log", base))
    whole = apply("floor", apply("add", quotient, const(0.5)))
    exact = apply("eq", apply("pow", base, whole), x)
    correction = apply("if", exact, apply("sub", whole, quotient), const(0.0))
    return apply("add", quotient, apply("still", correction))


def s_shape(x: Node, profile: Node) -> Node:
    """SSHAPE(x, profile): from (0, 0) through (0.5, 0.5) to (1, 1); 1 is straight, 2 quadratic.

    As the macro of that name in Climate Interactive's C-LEARN has it.
    """
    inside = apply("min", apply("max", x, const(0.0)), const(1.0))
    scale = apply("div", const(0.5), _power(const(0.5), profile))
    rest = _power(apply("sub", const(1.0), inside), profile)
    upper = apply("sub", const(1.0), apply("mul", rest, scale))
    lower = apply("mul", _power(inside, profile), scale)
    return apply("if", apply("gt", inside, const(0.5)), upper, lower)


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
        LanguageFunction("LOG", (2, 2), _logarithm),
        LanguageFunction("SQRT", (1, 1), _same("sqrt")),
        LanguageFunction("INTEGER", (1, 1), _same("trunc")),
        LanguageFunction("QUANTUM", (2, 2), _quantum),
        LanguageFunction("MODULO", (2, 2), _modulo),
        LanguageFunction("LOG10", (1, 1), lambda x: _logarithm(x, const(10.0))),
        LanguageFunction("XINT", (1, 1), _same("floor")),
        LanguageFunction("XSAFEDIV", (2, 3), _safe_division),
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
        LanguageFunction("SSHAPE", (2, 2), s_shape),
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


# --- functions of time ------------------------------------------------------------------------
#
# The comparison of the clock with a threshold is defined here only.  The clock is a sum of
# steps and misses round numbers by a few bits, so that nothing compares with it directly:
# Vensim compares the middle of the step ("time plus" in its manual), which lies half a step from
# every point of the grid, and a threshold at the middle itself is neither passed nor still to come;
# XMILE's "at or after" allows for `SLACK` of a step.

SLACK = 1e-5
"""Share of a step by which the clock may miss a threshold and still have reached it."""


def middle_of_step(step: Node, slack: float = 0.0) -> Node:
    """Return Vensim's "time plus", the time half a step from now, moved by a share of the step."""
    return apply("add", Clock(frozen=True), apply("mul", step, const(0.5 + slack)))


def _passed(step: Node, start: Node) -> Node:
    """Return whether the middle of the step lies after a start."""
    return apply("gt", middle_of_step(step, -SLACK), start)


def _to_come(step: Node, end: Node) -> Node:
    """Return whether the middle of the step lies before an end."""
    return apply("lt", middle_of_step(step, SLACK), end)


def clock_and_slack(step: Node) -> Node:
    """Return the clock plus its slack: at least a threshold that has been reached."""
    return apply("add", Clock(frozen=True), apply("mul", step, const(SLACK)))


def step_function(height: Node, start: Node, step: Node) -> Node:
    """STEP(height, start): height from the first step whose middle lies after the start.

    As PySD and simlin have it; on the grid this is "from start on".
    """
    return apply("mul", height, _passed(step, start))


def ramp_function(slope: Node, start: Node, end: Node | None) -> Node:
    """RAMP(slope, start, end): grows with `slope` between start and end, level afterwards."""
    clock = Clock(frozen=True)
    running = apply("gt", clock, start)
    until = clock if end is None else apply("min", clock, end)
    return apply("mul", running, apply("mul", slope, apply("sub", until, start)))


def ramp_from_to(step: Node, first: Node, last: Node, start: Node, end: Node, linear: Node) -> Node:
    """RAMP FROM TO(first, last, start, end, linear): from one value to another.

    Along a straight line where `linear` is not zero or a value is not positive, else by constant
    growth.  As the macro of that name in Climate Interactive's C-LEARN has it.
    """
    clock = Clock(frozen=True)
    lasting = apply("max", apply("sub", end, start), step)
    slope = apply("div", apply("sub", last, first), lasting)
    line = apply("add", first, ramp_function(slope, start, end))
    positive = apply("mul", apply("gt", first, const(0.0)), apply("gt", last, const(0.0)))
    ratio = apply("if", positive, apply("div", last, first), const(1.0))
    rate = apply("div", apply("log", ratio), lasting)
    inside = apply("min", apply("max", apply("sub", clock, start), const(0.0)), lasting)
    curve = apply("mul", first, apply("exp", apply("mul", rate, inside)))
    curve = apply("if", apply("gt", clock, end), last, curve)
    straight = apply("if", positive, linear, const(1.0))
    return apply("if", straight, line, curve)


def pulse_function(start: Node, width: Node, step: Node) -> Node:
    """PULSE(start, width): 1 while ``start < Time + TIME STEP/2 < start + width``.

    Vensim's manual (fn_pulse); a width of 0 stands for TIME STEP.
    """
    lasting = apply("if", apply("eq", width, const(0.0)), step, width)
    return apply("mul", _passed(step, start), _to_come(step, apply("add", start, lasting)))


def pulse_train_function(start: Node, width: Node, interval: Node, end: Node, step: Node) -> Node:
    """PULSE TRAIN(start, width, interval, end): a PULSE every interval, up to and with the end.

    Vensim's manual (fn_pulse_train): a width of at most TIME STEP lasts one step, and an interval
    shorter than the width is no interval.  That the end is included is Vensim's published output.
    """
    since = apply("sub", middle_of_step(step), start)
    place = _place_in_interval(since, interval)
    slack = apply("mul", step, const(SLACK))
    lasting = apply("sub", apply("max", width, step), slack)
    goes_on = apply("gt", lasting, interval)  # at the start of a pulse, the one before still lasts
    begun = apply("max", apply("gt", place, slack), goes_on)
    on = apply("mul", _passed(step, start), begun)
    on = apply("mul", on, apply("lt", place, lasting))
    ended = apply("gt", Clock(frozen=True), apply("add", end, apply("mul", step, const(SLACK))))
    return apply("mul", on, apply("eq", ended, const(0.0)))


def _place_in_interval(since: Node, interval: Node) -> Node:
    """Time since the last of the pulses; without an interval since the only one."""
    repeats = apply("gt", interval, const(0.0))
    every = apply("if", repeats, interval, const(1.0))
    past = apply("sub", since, apply("mul", every, apply("floor", apply("div", since, every))))
    return apply("if", repeats, past, since)


def xmile_pulse(step: Node, start: Node, size: Node) -> Node:
    """PULSE of XMILE: the size within one step, the first at or after the start."""
    return xmile_pulse_train(step, start, const(0.0), size)


def xmile_pulse_train(step: Node, start: Node, interval: Node, size: Node) -> Node:
    """PULSE of XMILE with an interval: the size within the first step of each interval."""
    since = apply("sub", clock_and_slack(step), start)
    place = _place_in_interval(since, interval)
    on = apply("mul", apply("ge", since, const(0.0)), apply("lt", place, step))
    return apply("mul", apply("div", size, step), on)


INPUTS: Mapping[str, LanguageFunction] = {
    function.name: function
    for function in (
        # XMILE's PULSE: a quantity given within one step, at once or again and again.
        LanguageFunction("XPULSE", (2, 2), xmile_pulse),
        LanguageFunction("XPULSE TRAIN", (3, 3), xmile_pulse_train),
        LanguageFunction(
            "STEP", (2, 2), lambda step, height, start: step_function(height, start, step)
        ),
        LanguageFunction(
            "RAMP", (2, 3), lambda step, slope, start, end=None: ramp_function(slope, start, end)
        ),
        LanguageFunction("RAMP FROM TO", (5, 5), ramp_from_to),
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
    "ARCTAN2": "Vensim's manual has no such function; write ARCTAN(y/x), and its quadrant with IF "
    "THEN ELSE",
    "DELAY BATCH": "write the batches with SAMPLE IF TRUE",
    "FIND ZERO": "solve the equations for it, or let a stock approach the solution",
    "LOOKUP SLOPE": "the manual leaves open the slope at a point; write the difference of two "
    "calls of the lookup",
    "NORMALIZE": "Vensim's manual has no such function; divide by SUM(x[range!])",
    "PROBABILITY OF": "Vensim's manual has no such function; multiply the probabilities of "
    "independent events",
    "RANDOM LOOKUP": "call a lookup that gives the number for its share, with RANDOM UNIFORM(0, 1)",
    "SIMULTANEOUS": "solve the circle for it, or break it with a stock or a delay",
    "VMEDIAN": "Vensim's manual has no such function; pick the middle of VECTOR SORT ORDER",
}
"""Functions that are refused by name, because no manual says exactly what they compute or nothing
here computes it, and the nearest thing that works."""
