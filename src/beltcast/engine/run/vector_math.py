"""exp, log and pow on vectors of doubles, as LLVM text.

LLVM has no vector math library of its own: a call of ``exp`` on sixteen doubles would become
sixteen calls of libm.  These functions do the sixteen at once, in strict IEEE arithmetic, with
fused multiply-add where the target has it, without branches, so that the result of a lane never
depends on its neighbours.

``vexp``
    Cody-Waite reduction ``x = n ln2 + r``, Taylor polynomial of degree 13 on ``|r| <= ln2 / 2``
    (remainder below 2e-17), scaling by 2^n in two halves so that overflow gives inf and underflow
    passes through the subnormals.
``vlog``
    fdlibm's ``e_log.c`` (Sun Microsystems, 1993): ``x = 2^k m`` with m in [sqrt(1/2), sqrt(2)),
    ``ln m`` from a polynomial in ``s = f / (2 + f)``.
``vpow``
    ``exp(y ln|x|)`` with the logarithm and the product as sums of two doubles (T. J. Dekker,
    Numerische Mathematik 18, 1971) and one rounding at the end, so that a power that is a double is
    that double: 9^0.5 is 3 and 10^15 is 10^15.  INTEGER, QUANTUM, MODULO and ``=`` would turn the
    last bit into a whole step.  Sign and special values follow IEEE 754-2019, section 9.2.1 (x^0 =
    1, 1^y = 1, a negative base needs a whole exponent).

Bounds, held against mpmath over the whole range, subnormals included, in units in the last place
(measured values in brackets): ``vexp`` 1 (0.83), ``vlog`` 0.75 (0.62), ``vpow`` 0.65 (0.60) up to
``|y ln x| = 100`` and 1 (0.80) beyond, subnormal results included.
"""

from __future__ import annotations

import math

from beltcast.engine.run.llvm_text import Body, Vector

LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
# Adding and subtracting 1.5 * 2^52 rounds to the nearest integer, left in the low bits.
ROUNDING = 6755399441055744.0
SMALLEST_NORMAL = 2.2250738585072014e-308
LARGEST_SHORT = 708.0
"""Up to here e^x and e^-x are normal numbers."""
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
LOG_POLYNOMIAL = (
    1.479819860510658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)
LONG_LOG_POLYNOMIAL = (
    0.1291361767218225,
    0.13285957435193352,
    0.15385574796462032,
    0.18181808247544543,
    0.2222222227110234,
    0.2857142857133851,
    0.40000000000000024,
)
"""P(z) = (2 atanh(s)/s - 2 - 2z/3) / z^2 at z = s^2, fitted at Chebyshev points of its range: to
2^-51, which the factor s^5 turns into 2^-64."""
TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
EXP_POLYNOMIAL = tuple(1.0 / math.factorial(k) for k in range(13, -1, -1))


def vector_math(v: Vector, calls: str | None = None) -> str:
    """Return the LLVM text of the functions for vectors of a type, or of those that a text calls.

    ``vexp``, ``vlog``, ``vpow`` and, with fused arithmetic, ``vquotient``: compiling all of them
    takes longer than compiling a small model.
    """
    functions = {"vexp": _exp_function, "vlog": _log_function, "vpow": _pow_function}
    if v.fused:
        functions["vquotient"] = _quotient_function
    called = [f(v) for name, f in functions.items() if calls is None or f"@{name}(" in calls]
    return "\n".join((_declarations(v), *called))


def _declarations(v: Vector) -> str:
    d = v.doubles
    return "\n".join(
        (
            f"declare {d} @llvm.fma.v{v.width}f64({d}, {d}, {d})",
            f"declare {d} @llvm.fabs.v{v.width}f64({d})",
            f"declare {d} @llvm.floor.v{v.width}f64({d})",
            f"declare i1 @llvm.vector.reduce.and.v{v.width}i1({v.truths})",
        )
    )


def _exp_function(v: Vector) -> str:
    """e^x: a short way where all results are normal numbers, with the same arithmetic."""
    b = Body(v)
    b.branch_if_all(_within(b, "%x", LARGEST_SHORT), "short", "whole")
    b.label("short")
    b.line(f"ret {v.doubles} {_exp(b, '%x', short=True)}")
    b.label("whole")
    return b.function("vexp", ("%x",), _exp(b, "%x", short=False))


def _log_function(v: Vector) -> str:
    b = Body(v)
    high, low = _log(b, "%x", tiny=True)
    total = b.fadd(high, low)
    # 0 -> -inf, inf -> inf, below 0 and NaN -> NaN
    total = b.select(b.fcmp("oeq", "%x", b.splat(0.0)), b.splat(float("-inf")), total)
    total = b.select(b.fcmp("oeq", "%x", b.splat(float("inf"))), "%x", total)
    total = b.select(b.fcmp("oge", "%x", b.splat(0.0)), total, b.splat(float("nan")))
    # A NaN keeps its payload (see beltcast.engine.nodes.MISSING_BITS).
    total = b.select(b.fcmp("uno", "%x", "%x"), "%x", total)
    return b.function("vlog", ("%x",), total)


def _pow_function(v: Vector) -> str:
    """x^y: a short way for ordinary lanes, and the whole of IEEE 754 where any lane needs it.

    On ordinary lanes both ways do the same arithmetic, so the choice never affects a result.
    """
    b = Body(v)
    x, y = "%x", "%y"
    normal = b.logic(
        "and",
        b.fcmp("oge", x, b.splat(SMALLEST_NORMAL)),
        b.fcmp("olt", x, b.splat(float("inf"))),
    )
    product, error = _exponent(b, x, y, tiny=False)
    ordinary = b.logic("and", normal, _within(b, product, LARGEST_SHORT))
    if not v.fused:  # Dekker's splitting of a huge exponent overflows
        ordinary = b.logic("and", ordinary, _within(b, y, 1e6))
    b.branch_if_all(ordinary, "short", "whole")
    b.label("short")
    b.line(f"ret {v.doubles} {_long_exp(b, product, error, short=True)}")
    b.label("whole")
    return b.function("vpow", (x, y), _power_of_anything(b, x, y))


def _quotient_function(v: Vector) -> str:
    """Return a / b from y, the reciprocal of b, to the same bits: q + (a - q b) y with q = a y.

    Correct rounding with 1/b rounded to nearest: N. Brisebarre, J.-M. Muller and S. K. Raina, IEEE
    Transactions on Computers 53 (2004), after P. Markstein, IBM Journal of Research and Development
    34 (1990).  Next to the middle of two doubles, q is one of the two, and the error of y moves the
    sum by less than a quotient of doubles must differ from that middle.  The remainder must not
    underflow, which the sizes of b (else `reciprocal` is NaN) and of the quotient assure; a vector
    with another lane is divided.
    """
    b = Body(v)
    q = b.fmul("%a", "%y")
    quotient = b.fma(b.remainder("%a", q, "%b"), "%y", q)
    b.branch_if_all(_between(b, quotient, 2.0**-400, 2.0**400), "short", "whole")
    b.label("short")
    b.line(f"ret {v.doubles} {quotient}")
    b.label("whole")
    return b.function("vquotient", ("%a", "%b", "%y"), b.fdiv("%a", "%b"))


def reciprocal(b: Body, divisor: str) -> str:
    """Return what ``vquotient`` needs of a divisor."""
    inverse = b.fdiv(b.splat(1.0), divisor)
    safe = _between(b, divisor, 2.0**-500, 2.0**500)
    return b.select(safe, inverse, b.splat(float("nan")))


def _between(b: Body, x: str, least: float, most: float) -> str:
    size = b.call("llvm.fabs", x)
    return b.logic("and", b.fcmp("oge", size, b.splat(least)), b.fcmp("ole", size, b.splat(most)))


def _within(b: Body, x: str, limit: float) -> str:
    """Whether |x| is at most a limit; not where x is NaN."""
    return b.fcmp("ole", b.call("llvm.fabs", x), b.splat(limit))


def _exponent(b: Body, x: str, y: str, *, tiny: bool) -> tuple[str, str]:
    """Product of y and ln x as a sum of two doubles, for positive x and finite y."""
    high, low = _long_log(b, x, tiny=tiny)
    product = b.fmul(high, y)
    error = b.fma(low, y, b.product_error(high, y, product))
    if tiny:
        # Past exp's range the error term may be inf - inf; there the power is 0 or inf anyway.
        # With an exponent beyond 2^990 only ln x = 0 has a product within range, and no error.
        bounded = b.logic(
            "and",
            b.fcmp("olt", b.call("llvm.fabs", product), b.splat(1e10)),
            b.fcmp("olt", b.call("llvm.fabs", y), b.splat(2.0**990)),
        )
        error = b.select(bounded, error, b.splat(0.0))
    return product, error


def _power_of_anything(b: Body, x: str, y: str) -> str:
    one, zero, infinity = b.splat(1.0), b.splat(0.0), b.splat(float("inf"))
    magnitude = b.call("llvm.fabs", x)
    power = _long_exp(b, *_exponent(b, magnitude, y, tiny=True), short=False)
    rising = b.fcmp("ogt", y, zero)
    at_zero = b.select(rising, zero, infinity)
    power = b.select(b.fcmp("oeq", magnitude, zero), at_zero, power)
    at_infinity = b.select(rising, infinity, zero)
    power = b.select(b.fcmp("oeq", magnitude, infinity), at_infinity, power)

    whole = b.fcmp("oeq", b.call("llvm.floor", y), y)
    half = b.fmul(y, b.splat(0.5))
    odd = b.logic("and", whole, b.fcmp("une", b.call("llvm.floor", half), half))
    signed = b.select(odd, b.fneg(power), power)
    # An infinite exponent is a whole, even number to floor(), as IEEE 754 wants it; a zero or
    # infinite base bears any exponent.
    limit = b.logic("or", b.fcmp("oeq", magnitude, infinity), b.fcmp("oeq", magnitude, zero))
    signed = b.select(b.logic("or", whole, limit), signed, b.splat(float("nan")))
    below = b.let(f"icmp slt {b.v.integers} {b.to_bits(x)}, zeroinitializer")  # -0 as well
    power = b.select(below, signed, power)

    power = b.select(b.fcmp("uno", x, y), b.fadd(x, y), power)
    endless = b.fcmp("oeq", b.call("llvm.fabs", y), infinity)
    sign_only = b.logic("and", endless, b.fcmp("oeq", magnitude, one))  # (-1)^inf = 1
    trivial = b.logic("or", b.fcmp("oeq", x, one), b.fcmp("oeq", y, zero))
    trivial = b.logic("or", trivial, sign_only)
    return b.select(trivial, one, power)


def _exp(b: Body, x: str, *, short: bool) -> str:
    rounded, n, r = _reduced(b, x if short else _clamped(b, x))
    r = b.fma(n, b.splat(-LN2_LOW), r)
    return _scaled(b, _horner(b, r, EXP_POLYNOMIAL), rounded, short=short)


def _long_exp(b: Body, high: str, low: str, *, short: bool) -> str:
    """exp(high + low) for a low part below an ulp of the high one, rounded once."""
    rounded, n, first = _reduced(b, high if short else _clamped(b, high))
    r = b.fma(n, b.splat(-LN2_LOW), first)
    rest = b.fma(n, b.splat(-LN2_LOW), b.fsub(first, r))
    small = b.fadd(rest, low)
    # e^(r + small) = 1 + r + p + small (1 + r + p), with p = r^2 (1/2 + r/6 + ...)
    p = b.fmul(b.fmul(r, r), _horner(b, r, EXP_POLYNOMIAL[:-2]))
    tail = b.fadd(p, b.fma(small, b.fadd(r, p), small))
    value = b.fadd(r, b.splat(1.0))
    lost = b.fsub(r, b.fsub(value, b.splat(1.0)))
    return _scaled(b, b.fadd(value, b.fadd(lost, tail)), rounded, short=short)


def _clamped(b: Body, x: str) -> str:
    """Keep x where its power of two has a scale; NaN fails both comparisons and passes through."""
    x = b.select(b.fcmp("olt", x, b.splat(-746.0)), b.splat(-746.0), x)
    return b.select(b.fcmp("ogt", x, b.splat(710.0)), b.splat(710.0), x)


def _reduced(b: Body, x: str) -> tuple[str, str, str]:
    """Return n, the whole number nearest x / ln2, as bits and as a double, and x - n ln2_high."""
    rounded = b.fma(x, b.splat(1.44269504088896338700e00), b.splat(ROUNDING))
    n = b.fsub(rounded, b.splat(ROUNDING))
    return rounded, n, b.fma(n, b.splat(-LN2_HIGH), x)


def _horner(b: Body, x: str, coefficients: tuple[float, ...]) -> str:
    """Value of a polynomial, highest power first."""
    value = b.splat(coefficients[0])
    for coefficient in coefficients[1:]:
        value = b.fma(value, x, b.splat(coefficient))
    return value


def _scaled(b: Body, value: str, rounded: str, *, short: bool) -> str:
    """Return value 2^n, in two halves so that overflow gives inf and underflow is gradual.

    `short`: the result is a normal number, so that n can be added to the exponent.
    """
    bits = b.to_bits(rounded)
    if short:
        power = b.integer("shl", bits, b.isplat(52))
        return b.from_bits(b.integer("add", b.to_bits(value), power))
    whole = b.integer("ashr", b.integer("shl", bits, b.isplat(52)), b.isplat(52))
    first = b.integer("ashr", whole, b.isplat(1))
    second = b.integer("sub", whole, first)
    for half in (first, second):
        exponent = b.integer("shl", b.integer("add", half, b.isplat(1023)), b.isplat(52))
        value = b.fmul(value, b.from_bits(exponent))
    return value


def _split(b: Body, x: str, *, tiny: bool) -> tuple[str, str]:
    """Return k and f of x = 2^k (1 + f), 1 + f from sqrt(1/2) to sqrt(2); `tiny`: or subnormal."""
    if tiny:
        subnormal = b.fcmp("olt", x, b.splat(SMALLEST_NORMAL))
        x = b.select(subnormal, b.fmul(x, b.splat(2.0**54)), x)
    bits = b.to_bits(x)
    k = b.integer("ashr", b.integer("sub", bits, b.isplat(SQRT_HALF_BITS)), b.isplat(52))
    m = b.from_bits(b.integer("sub", bits, b.integer("shl", k, b.isplat(52))))
    exponent = b.to_double(k)
    if tiny:
        exponent = b.select(subnormal, b.fsub(exponent, b.splat(54.0)), exponent)
    return exponent, b.fsub(m, b.splat(1.0))


def _long_log(b: Body, x: str, *, tiny: bool) -> tuple[str, str]:
    """Logarithm of positive finite x as a sum of two doubles, to about 2^-64.

    ln(1 + f) = 2s + 2/3 s^3 + s^5 P(s^2) with s = f / (2 + f), of which the first two terms are
    kept as sums of two doubles.
    """
    exponent, f = _split(b, x, tiny=tiny)
    two = b.splat(2.0)
    divisor = b.fadd(f, two)
    divisor_low = b.fsub(f, b.fsub(divisor, two))
    inverse = b.fdiv(b.splat(1.0), divisor)
    s = b.fmul(f, inverse)
    left = b.remainder(f, s, divisor)
    left = b.fma(b.fneg(s), divisor_low, left)
    s_low = b.fmul(left, inverse)
    z = b.fmul(s, s)
    z_low = b.fma(b.fadd(s, s), s_low, b.product_error(s, s, z))
    cube = b.fmul(s, z)
    cube_low = b.fma(s_low, z, b.fma(s, z_low, b.product_error(s, z, cube)))
    third = b.fmul(cube, b.splat(TWO_THIRDS[0]))
    third_low = b.product_error(cube, b.splat(TWO_THIRDS[0]), third)
    third_low = b.fma(cube, b.splat(TWO_THIRDS[1]), third_low)
    third_low = b.fma(cube_low, b.splat(TWO_THIRDS[0]), third_low)
    rest = b.fmul(b.fmul(cube, z), _horner(b, z, LONG_LOG_POLYNOMIAL))
    # (k ln2_high + 2s) + 2/3 s^3 exactly, each sum with the larger part first; then the rest.
    a = b.fmul(exponent, b.splat(LN2_HIGH))
    twice = b.fadd(s, s)
    first = b.fadd(a, twice)
    lost = b.fsub(twice, b.fsub(first, a))
    second = b.fadd(first, third)
    lost = b.fadd(lost, b.fsub(third, b.fsub(second, first)))
    small = b.fadd(rest, b.fma(two, s_low, third_low))
    low = b.fadd(b.fma(exponent, b.splat(LN2_LOW), small), lost)
    high = b.fadd(second, low)
    return high, b.fsub(low, b.fsub(high, second))


def _log(b: Body, x: str, *, tiny: bool) -> tuple[str, str]:
    """Logarithm of positive finite x, as a high and a low part; `tiny` allows for subnormals."""
    exponent, f = _split(b, x, tiny=tiny)
    s = b.fdiv(f, b.fadd(f, b.splat(2.0)))
    z = b.fmul(s, s)
    rest = b.fmul(_horner(b, z, LOG_POLYNOMIAL), z)
    half_square = b.fmul(b.fmul(f, f), b.splat(0.5))
    correction = b.fmul(s, b.fadd(half_square, rest))
    # (k ln2_high + (f - half_square)) exactly, by Knuth's two-sum, then all the small parts.
    a = b.fmul(exponent, b.splat(LN2_HIGH))
    t = b.fsub(f, half_square)
    high = b.fadd(a, t)
    shadow = b.fsub(high, a)
    low = b.fadd(b.fsub(a, b.fsub(high, shadow)), b.fsub(t, shadow))
    tail = b.fadd(b.fsub(b.fsub(f, t), half_square), correction)
    low = b.fadd(low, b.fadd(tail, b.fmul(exponent, b.splat(LN2_LOW))))
    total = b.fadd(high, low)
    return total, b.fadd(b.fsub(high, total), low)
