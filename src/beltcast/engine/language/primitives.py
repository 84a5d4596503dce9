"""The primitives of both back ends: each with its value and the rule of its derivative.

A primitive is a name, the NumPy function that is its meaning, and a rule for its derivative written
in the same primitives.  `beltcast.engine.language.functions` expresses the language in them.

Kinks (MIN, MAX, IF THEN ELSE, lookups, ABS) take the derivative of the side in use; at a tie MIN
and MAX take that of their second argument, and ABS at 0 that of the right side.  Comparisons and
steps have derivative zero.  Where a slope is infinite (SQRT, LN and powers below 1 at 0, ARCSIN and
ARCCOS at their ends) it counts as zero, so that a tangent is finite wherever the value is: the
usual subgradient of such a point, and exact where the argument itself does not move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beltcast.engine.language.distributions import DISTRIBUTIONS, digamma, log_gamma, uniform_value
from beltcast.engine.nodes import FloatArray, Node, apply, const
from beltcast.errors import UnsupportedConstruct

Tangent = Node | None
"""The derivative of a node in one direction; None if it is zero in every direction."""


@dataclass(frozen=True)
class Primitive:
    """A function that both back ends implement.

    Parameters
    ----------
    value : callable
        NumPy arrays in, array out, element by element.
    derivative : callable
        ``(arguments, result, tangents) -> tangent`` in nodes.
    """

    name: str
    value: Callable[..., FloatArray]
    derivative: Callable[[Sequence[Node], Node, Sequence[Tangent]], Tangent]


def tangent_sum(*terms: Tangent) -> Tangent:
    """Add tangents, leaving out those that are zero."""
    total: Tangent = None
    for term in terms:
        if term is not None:
            total = term if total is None else apply("add", total, term)
    return total


def tangent_times(tangent: Tangent, factor: Node) -> Tangent:
    """Scale a tangent."""
    return None if tangent is None else apply("mul", tangent, factor)


def _negative(tangent: Tangent) -> Tangent:
    return None if tangent is None else apply("neg", tangent)


def _or_zero(tangent: Tangent) -> Node:
    return const(0.0) if tangent is None else tangent


def _choose(condition: Node, yes: Tangent, no: Tangent) -> Tangent:
    if yes is None and no is None:
        return None
    return apply("if", condition, _or_zero(yes), _or_zero(no))


def _flat(_a: Sequence[Node], _r: Node, _d: Sequence[Tangent]) -> Tangent:
    return None


def _chain(
    slope: Callable[[Node, Node], Node],
) -> Callable[[Sequence[Node], Node, Sequence[Tangent]], Tangent]:
    """Rule of a function of one argument from its slope at (argument, result)."""

    def rule(a: Sequence[Node], r: Node, d: Sequence[Tangent]) -> Tangent:
        return None if d[0] is None else apply("mul", d[0], slope(a[0], r))

    return rule


def _divide_rule(a: Sequence[Node], r: Node, d: Sequence[Tangent]) -> Tangent:
    # d(x/y) = (dx - (x/y) dy) / y
    top = tangent_sum(d[0], _negative(tangent_times(d[1], r)))
    return None if top is None else apply("div", top, a[1])


def _remainder_rule(a: Sequence[Node], r: Node, d: Sequence[Tangent]) -> Tangent:
    # x rem y = x - y trunc(x/y), and trunc is flat.
    turns = apply("trunc", apply("div", a[0], a[1]))
    return tangent_sum(d[0], _negative(tangent_times(d[1], turns)))


def _power_rule(a: Sequence[Node], r: Node, d: Sequence[Tangent]) -> Tangent:
    # d(x^y) = y x^(y-1) dx + x^y ln(x) dy.  At x = 0, r/x has no value: the slope is 1 for y = 1,
    # 0 above, and infinite below, where it counts as 0 (see the head of this module); and the
    # second term is 0 where x^y is 0.
    x, y = a
    by_base: Tangent = None
    if d[0] is not None:
        at_zero = apply("eq", y, const(1.0))
        flat = apply("eq", y, const(0.0))
        slope = apply("if", apply("eq", x, const(0.0)), at_zero, apply("div", r, x))
        by_base = tangent_times(d[0], apply("if", flat, const(0.0), apply("mul", y, slope)))
    by_exponent: Tangent = None
    if d[1] is not None:
        log = apply("if", apply("gt", x, const(0.0)), apply("log", x), const(0.0))
        by_exponent = tangent_times(d[1], apply("mul", r, log))
    return tangent_sum(by_base, by_exponent)


def _truth(function: Callable[..., np.ndarray]) -> Callable[..., FloatArray]:
    def value(*arguments: FloatArray) -> FloatArray:
        return function(*arguments).astype(np.float64)

    return value


def _select(condition: FloatArray, yes: FloatArray, no: FloatArray) -> FloatArray:
    return np.where(condition != 0.0, yes, no)


def _or_flat(top: float, bottom: Node) -> Node:
    """The slope ``top / bottom``, or 0 where the bottom is 0 and the slope infinite."""
    infinite = apply("eq", bottom, const(0.0))
    slope = apply("div", const(top), apply("if", infinite, const(1.0), bottom))
    return apply("if", infinite, const(0.0), slope)


def _square(node: Node) -> Node:
    return apply("mul", node, node)


def _one_minus_square(x: Node) -> Node:
    return apply("sub", const(1.0), _square(x))


_RULES: tuple[Primitive, ...] = (
    Primitive("add", np.add, lambda a, r, d: tangent_sum(d[0], d[1])),
    Primitive("sub", np.subtract, lambda a, r, d: tangent_sum(d[0], _negative(d[1]))),
    Primitive(
        "mul",
        np.multiply,
        lambda a, r, d: tangent_sum(tangent_times(d[0], a[1]), tangent_times(d[1], a[0])),
    ),
    Primitive("div", np.divide, _divide_rule),
    Primitive("neg", np.negative, lambda a, r, d: _negative(d[0])),
    Primitive("pow", np.power, _power_rule),
    Primitive("rem", np.fmod, _remainder_rule),
    Primitive("still", np.positive, _flat),
    Primitive(
        "min",
        np.minimum,
        lambda a, r, d: _choose(apply("lt", a[0], a[1]), d[0], d[1]),
    ),
    Primitive(
        "max",
        np.maximum,
        lambda a, r, d: _choose(apply("gt", a[0], a[1]), d[0], d[1]),
    ),
    Primitive("if", _select, lambda a, r, d: _choose(a[0], d[1], d[2])),
    Primitive("lt", _truth(np.less), _flat),
    Primitive("le", _truth(np.less_equal), _flat),
    Primitive("gt", _truth(np.greater), _flat),
    Primitive("ge", _truth(np.greater_equal), _flat),
    Primitive("eq", _truth(np.equal), _flat),
    Primitive("ne", _truth(np.not_equal), _flat),
    Primitive("floor", np.floor, _flat),
    Primitive("trunc", np.trunc, _flat),
    Primitive("exp", np.exp, _chain(lambda x, r: r)),
    Primitive("log", np.log, _chain(lambda x, r: _or_flat(1.0, x))),
    Primitive("sqrt", np.sqrt, _chain(lambda x, r: _or_flat(0.5, r))),
    Primitive(
        "abs",
        np.abs,
        lambda a, r, d: _choose(apply("lt", a[0], const(0.0)), _negative(d[0]), d[0]),
    ),
    Primitive("sin", np.sin, _chain(lambda x, r: apply("cos", x))),
    Primitive("cos", np.cos, _chain(lambda x, r: apply("neg", apply("sin", x)))),
    Primitive("tan", np.tan, _chain(lambda x, r: apply("add", const(1.0), _square(r)))),
    Primitive(
        "asin",
        np.arcsin,
        _chain(lambda x, r: _or_flat(1.0, apply("sqrt", _one_minus_square(x)))),
    ),
    Primitive(
        "acos",
        np.arccos,
        _chain(lambda x, r: _or_flat(-1.0, apply("sqrt", _one_minus_square(x)))),
    ),
    Primitive(
        "atan",
        np.arctan,
        _chain(lambda x, r: apply("div", const(1.0), apply("add", const(1.0), _square(x)))),
    ),
    Primitive("sinh", np.sinh, _chain(lambda x, r: apply("cosh", x))),
    Primitive("cosh", np.cosh, _chain(lambda x, r: apply("sinh", x))),
    Primitive("tanh", np.tanh, _chain(lambda x, r: _one_minus_square(r))),
    Primitive("uniform", uniform_value, _flat),
)


# --- distributions ----------------------------------------------------------------------------


def _refused(what: str) -> Callable[[Sequence[Node], Node, Sequence[Tangent]], Tangent]:
    def rule(_a: Sequence[Node], _r: Node, _d: Sequence[Tangent]) -> Tangent:
        raise UnsupportedConstruct(
            f"{what} has no derivative here, and a chosen constant moves it; leave that constant "
            "out of the fit"
        )

    return rule


def _gamma_density(x: Node, shape: Node) -> Node:
    # x^(a-1) exp(-x) / Gamma(a), by its logarithm.
    power = apply("mul", apply("sub", shape, const(1.0)), apply("log", x))
    inside = apply("exp", apply("sub", apply("sub", power, x), apply("lgamma", shape)))
    return apply("if", apply("gt", x, const(0.0)), inside, const(0.0))


def _beta_density(x: Node, a: Node, b: Node) -> Node:
    # x^(a-1) (1-x)^(b-1) Gamma(a+b) / (Gamma(a) Gamma(b)), by its logarithm.
    rest = apply("sub", const(1.0), x)
    powers = apply(
        "add",
        apply("mul", apply("sub", a, const(1.0)), apply("log", x)),
        apply("mul", apply("sub", b, const(1.0)), apply("log", rest)),
    )
    whole = apply("sub", apply("lgamma", apply("add", a, b)), apply("lgamma", a))
    inside = apply("exp", apply("add", powers, apply("sub", whole, apply("lgamma", b))))
    within = apply("mul", apply("gt", x, const(0.0)), apply("gt", rest, const(0.0)))
    return apply("if", within, inside, const(0.0))


_DENSITIES: Mapping[str, Callable[..., Node]] = {"gamma": _gamma_density, "beta": _beta_density}


def _distribution(name: str) -> tuple[Primitive, Primitive]:
    """Share and quantile; their slope is the density if there is one; none for the shapes."""
    law, density = DISTRIBUTIONS[name], _DENSITIES.get(name)
    by_shape = _refused(f"a {name} distribution by its shape")
    no_density = _refused(f"a {name} distribution, whose numbers jump,")

    def share(a: Sequence[Node], r: Node, d: Sequence[Tangent]) -> Tangent:
        if density is None or any(t is not None for t in d[1:]):
            return (by_shape if density else no_density)(a, r, d)
        return tangent_times(d[0], density(*a))

    def quantile(a: Sequence[Node], r: Node, d: Sequence[Tangent]) -> Tangent:
        if density is None or any(t is not None for t in d[1:]):
            return (by_shape if density else no_density)(a, r, d)
        return None if d[0] is None else apply("div", d[0], density(r, *a[1:]))

    return (
        Primitive(f"{name} share", law.share, share),
        Primitive(f"{name} quantile", law.quantile, quantile),
    )


_LEFT: tuple[Primitive, ...] = (
    Primitive("lgamma", log_gamma, _chain(lambda x, r: apply("digamma", x))),
    Primitive("digamma", digamma, _refused("a second derivative of the gamma function")),
    *(primitive for name in DISTRIBUTIONS for primitive in _distribution(name)),
)

LEFT_TO_NUMPY: frozenset[str] = frozenset(rule.name for rule in _LEFT)
"""Primitives that no vector instruction computes: compiled code calls back for them."""

PRIMITIVES: Mapping[str, Primitive] = {rule.name: rule for rule in (*_RULES, *_LEFT)}
