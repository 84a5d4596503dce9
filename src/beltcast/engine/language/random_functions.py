"""Random draws: a number between 0 and 1 becomes a number of a distribution truncated at both ends.

`CHANCE` maps the RANDOM functions of Vensim, and two of XMILE, onto primitives.  A draw is the
quantile at a share between those of the two ends.  Vensim draws again until a number falls between
the ends, which has the same distribution.  Both ends may be drawn.  Where a distribution has
negligible probability between the ends (less than the last bit), the draw is NaN, which stops a
run; a normal distribution returns the nearest end.  Shift and stretch are defined as in Vensim: the
number is stretched, then shifted, then cut off.

Derivatives hold the probability fixed. A whole number has no derivative, because it jumps when its
mean moves; the derivatives by the shapes of RANDOM GAMMA and RANDOM BETA are not implemented. A fit
that needs one of these is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from beltcast.engine.language.functions import LanguageFunction
from beltcast.engine.nodes import Node, apply, const, undefined

LAST = 1.0 - 2.0**-53
"""Largest share below 1."""


def uniform_draw(u: Node, least: Node, most: Node) -> Node:
    """RANDOM UNIFORM(least, most)."""
    return apply("add", least, apply("mul", u, apply("sub", most, least)))


def normal_draw(u: Node, least: Node, most: Node, mean: Node, sd: Node) -> Node:
    """RANDOM NORMAL(least, most, mean, sd)."""
    low = normal_share(apply("div", apply("sub", least, mean), sd))
    high = normal_share(apply("div", apply("sub", most, mean), sd))
    share = apply("add", low, apply("mul", u, apply("sub", high, low)))
    # A share of 0 or 1 has no quantile.
    share = apply("min", apply("max", share, const(2.0**-54)), const(LAST))
    value = apply("add", mean, apply("mul", sd, normal_quantile(share)))
    return _between(value, least, most)


def exponential_draw(u: Node, least: Node, most: Node, shift: Node, stretch: Node) -> Node:
    """RANDOM EXPONENTIAL(least, most, shift, stretch): of mean 1."""
    return _cut_off(u, least, most, shift, stretch, _exponential_share, _exponential_quantile)


def gamma_draw(u: Node, least: Node, most: Node, shape: Node, shift: Node, stretch: Node) -> Node:
    """XRANDOM GAMMA(least, most, shape, shift, stretch): of scale 1."""
    share, quantile = _law("gamma", shape)
    return _cut_off(u, least, most, shift, stretch, share, quantile)


def vensim_gamma_draw(
    u: Node, least: Node, most: Node, order: Node, shift: Node, stretch: Node
) -> Node:
    """RANDOM GAMMA(least, most, order, shift, stretch): an order below 1 counts as 1 in Vensim."""
    return gamma_draw(u, least, most, apply("max", order, const(1.0)), shift, stretch)


def beta_draw(
    u: Node, least: Node, most: Node, a: Node, b: Node, shift: Node, stretch: Node
) -> Node:
    """RANDOM BETA(least, most, a, b, shift, stretch)."""
    share, quantile = _law("beta", a, b)
    return _cut_off(u, least, most, shift, stretch, share, quantile)


def weibull_draw(u: Node, least: Node, most: Node, shape: Node, shift: Node, stretch: Node) -> Node:
    """RANDOM WEIBULL(least, most, shape, shift, stretch): of mean 1, as Vensim's manual says.

    The mean of a Weibull distribution is its scale times Gamma(1 + 1 / shape).
    """
    inverse = apply("div", const(1.0), shape)
    scale = apply("exp", apply("neg", apply("lgamma", apply("add", const(1.0), inverse))))

    def share(x: Node) -> Node:
        above = apply("max", apply("div", x, scale), const(0.0))
        return _exponential_share(apply("pow", above, shape))

    def quantile(p: Node) -> Node:
        return apply("mul", scale, apply("pow", _exponential_quantile(p), inverse))

    return _cut_off(u, least, most, shift, stretch, share, quantile)


def triangular_draw(u: Node, least: Node, most: Node, start: Node, peak: Node, stop: Node) -> Node:
    """RANDOM TRIANGULAR(least, most, start, peak, stop)."""
    width = apply("sub", stop, start)
    rising = apply("mul", width, apply("sub", peak, start))
    falling = apply("mul", width, apply("sub", stop, peak))

    def share(x: Node) -> Node:
        up, down = apply("sub", x, start), apply("sub", stop, x)
        first = apply("div", apply("mul", up, up), rising)
        second = apply("sub", const(1.0), apply("div", apply("mul", down, down), falling))
        before = apply("if", apply("lt", x, peak), first, second)
        started = apply("if", apply("gt", x, start), before, const(0.0))
        return apply("if", apply("lt", x, stop), started, const(1.0))

    def quantile(p: Node) -> Node:
        first = apply("add", start, apply("sqrt", apply("mul", p, rising)))
        rest = apply("mul", apply("sub", const(1.0), p), falling)
        second = apply("sub", stop, apply("sqrt", rest))
        at_peak = apply("div", apply("sub", peak, start), width)
        return apply("if", apply("lt", p, at_peak), first, second)

    inside = _cut_off(u, least, most, const(0.0), const(1.0), share, quantile)
    ordered = apply("mul", apply("le", start, peak), apply("le", peak, stop))
    return apply("if", ordered, inside, undefined())


def poisson_draw(u: Node, least: Node, most: Node, mean: Node, shift: Node, stretch: Node) -> Node:
    """RANDOM POISSON(least, most, mean, shift, stretch)."""
    return _counted(u, least, most, shift, stretch, *_law("poisson", mean))


def binomial_draw(
    u: Node, least: Node, most: Node, chance: Node, trials: Node, shift: Node, stretch: Node
) -> Node:
    """RANDOM BINOMIAL(least, most, chance, trials, shift, stretch): successes among the trials."""
    return _counted(u, least, most, shift, stretch, *_law("binomial", chance, trials))


def waiting_draw(
    u: Node, least: Node, most: Node, chance: Node, successes: Node, shift: Node, stretch: Node
) -> Node:
    """RANDOM NEGATIVE BINOMIAL(least, most, chance, successes, shift, stretch).

    The number of trials until so many have succeeded, the last of them counted.
    """
    return _counted(u, least, most, shift, stretch, *_law("waiting", chance, successes))


CHANCE: Mapping[str, LanguageFunction] = {
    function.name: function
    for function in (
        LanguageFunction("RANDOM UNIFORM", (2, 2), uniform_draw),
        LanguageFunction("RANDOM NORMAL", (4, 4), normal_draw),
        LanguageFunction("RANDOM EXPONENTIAL", (4, 4), exponential_draw),
        LanguageFunction("RANDOM GAMMA", (5, 5), vensim_gamma_draw),
        LanguageFunction("XRANDOM GAMMA", (5, 5), gamma_draw),  # XMILE's
        LanguageFunction("RANDOM BETA", (6, 6), beta_draw),
        LanguageFunction("RANDOM WEIBULL", (5, 5), weibull_draw),
        LanguageFunction("RANDOM TRIANGULAR", (5, 5), triangular_draw),
        LanguageFunction("RANDOM POISSON", (5, 5), poisson_draw),
        LanguageFunction("RANDOM BINOMIAL", (6, 6), binomial_draw),
        LanguageFunction("RANDOM NEGATIVE BINOMIAL", (6, 6), waiting_draw),
    )
}
"""By name; the number that they are made of comes first, and the arity does not count it."""


# --- cutting off ------------------------------------------------------------------------------

_Map = Callable[[Node], Node]


def _cut_off(
    u: Node, least: Node, most: Node, shift: Node, stretch: Node, share: _Map, quantile: _Map
) -> Node:
    """A number with a density, between two ends."""
    low, high = (share(_place(end, shift, stretch)) for end in (least, most))
    value = _scaled(quantile(_level(u, low, high)), shift, stretch)
    return _between(value, least, most)


def _counted(
    u: Node, least: Node, most: Node, shift: Node, stretch: Node, share: _Map, quantile: _Map
) -> Node:
    """A whole number between two ends, each of which may be drawn."""
    ends = [_place(end, shift, stretch) for end in (least, most)]
    first = apply("neg", apply("floor", apply("neg", apply("min", *ends))))
    last = apply("floor", apply("max", *ends))
    low, high = share(apply("sub", first, const(1.0))), share(last)
    count = _between(quantile(_level(u, low, high)), first, last)
    return _scaled(count, shift, stretch)


def _scaled(value: Node, shift: Node, stretch: Node) -> Node:
    """A draw on its scale; the shift itself where it has no width, as with RANDOM NORMAL."""
    nothing = apply("eq", stretch, const(0.0))
    return apply("if", nothing, shift, apply("add", shift, apply("mul", stretch, value)))


def _place(end: Node, shift: Node, stretch: Node) -> Node:
    return apply("div", apply("sub", end, shift), stretch)


def _level(u: Node, low: Node, high: Node) -> Node:
    """A share above that of one end, up to and with that of the other; below 1."""
    inside = apply("sub", high, apply("mul", u, apply("sub", high, low)))
    known = apply("if", apply("eq", low, high), undefined(), inside)
    return apply("min", known, const(LAST))


def _between(value: Node, least: Node, most: Node) -> Node:
    return apply("min", apply("max", value, least), most)


# --- distributions ----------------------------------------------------------------------------


def _law(name: str, *parameters: Node) -> tuple[_Map, _Map]:
    """Share and quantile of a distribution of `beltcast.engine.language.distributions`."""
    return (
        lambda x: apply(f"{name} share", x, *parameters),
        lambda p: apply(f"{name} quantile", p, *parameters),
    )


def _exponential_share(x: Node) -> Node:
    inside = apply("sub", const(1.0), apply("exp", apply("neg", x)))
    return apply("if", apply("gt", x, const(0.0)), inside, const(0.0))


def _exponential_quantile(p: Node) -> Node:
    return apply("neg", apply("log", apply("sub", const(1.0), p)))


def _polynomial(x: Node, coefficients: Sequence[float]) -> Node:
    """Horner's rule, highest power first."""
    result: Node = const(coefficients[0])
    for c in coefficients[1:]:
        result = apply("add", apply("mul", result, x), const(c))
    return result


def normal_share(x: Node) -> Node:
    """Standard normal distribution function, to 1e-15 of the whole (Hart 1968, algorithm 5666)."""
    size = apply("min", apply("abs", x), const(37.0))
    e = apply("exp", apply("mul", const(-0.5), apply("mul", size, size)))
    near = apply(
        "mul", e, apply("div", _polynomial(size, _HART_TOP), _polynomial(size, _HART_BOTTOM))
    )
    tail: Node = apply("add", size, const(0.65))
    for number in (4.0, 3.0, 2.0, 1.0):
        tail = apply("add", size, apply("div", const(number), tail))
    far = apply("div", e, apply("mul", tail, const(math.sqrt(2.0 * math.pi))))
    upper = apply("if", apply("lt", size, const(7.07106781186547)), near, far)
    return apply("if", apply("gt", x, const(0.0)), apply("sub", const(1.0), upper), upper)


def normal_quantile(p: Node) -> Node:
    """Standard normal quantile, to 1e-15 (Wichura 1988, algorithm AS 241)."""
    q = apply("sub", p, const(0.5))
    r = apply("sub", const(0.180625), apply("mul", q, q))
    middle = apply("mul", q, apply("div", _polynomial(r, _AS241[0]), _polynomial(r, _AS241[1])))
    tail = apply("min", p, apply("sub", const(1.0), p))
    s = apply("sqrt", apply("neg", apply("log", tail)))
    near, far = apply("sub", s, const(1.6)), apply("sub", s, const(5.0))
    outer = apply(
        "if",
        apply("le", s, const(5.0)),
        apply("div", _polynomial(near, _AS241[2]), _polynomial(near, _AS241[3])),
        apply("div", _polynomial(far, _AS241[4]), _polynomial(far, _AS241[5])),
    )
    signed = apply("if", apply("lt", q, const(0.0)), apply("neg", outer), outer)
    return apply("if", apply("le", apply("abs", q), const(0.425)), middle, signed)


_HART_TOP = (
    3.52624965998911e-02,
    0.700383064443688,
    6.37396220353165,
    33.912866078383,
    112.079291497871,
    221.213596169931,
    220.206867912376,
)
_HART_BOTTOM = (
    8.83883476483184e-02,
    1.75566716318264,
    16.064177579207,
    86.7807322029461,
    296.564248779674,
    637.333633378831,
    793.826512519948,
    440.413735824752,
)
_AS241 = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ),
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)
