"""Functions of whole vectors and matrices, computed by NumPy for both back ends.

Inverting a matrix or allocating a supply is not a chain of vector instructions.  Compiled code
calls back for them, one block of members at a time: correct, and slow if there are many.  They
have no derivative here; a calibration that needs one is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from beltcast.engine.language.random_functions import normal_share
from beltcast.engine.nodes import MISSING, FloatArray, Node, apply, const, undefined


@dataclass(frozen=True)
class ForeignFunction:
    """A function that the back ends leave to NumPy.

    Attributes
    ----------
    arguments : tuple of str
        What each argument of the language is: a 'vector' (all its elements), 'one' number, a
        'profile' (four vectors), or 'none', which is not read.
    value : callable
        Arrays (size or 1, members) to an array (size, members).
    """

    arguments: tuple[str, ...]
    value: Callable[..., FloatArray]

    @property
    def count(self) -> int:
        """Number of arguments in the language."""
        return len(self.arguments)


def invert_matrix(matrix: FloatArray) -> FloatArray:
    """INVERT MATRIX, row by row; NaN where the matrix has no inverse.

    Parameters
    ----------
    matrix : (n * n, members)
    """
    n = math.isqrt(len(matrix))
    stacked = np.moveaxis(matrix.reshape(n, n, -1), -1, 0)
    result = np.full_like(stacked, np.nan)
    for m, one in enumerate(stacked):
        if np.isfinite(one).all():
            try:
                result[m] = np.linalg.inv(one)
            except np.linalg.LinAlgError:
                continue
    return np.moveaxis(result, 0, -1).reshape(matrix.shape)


def allocate_available(
    request: FloatArray,
    shape: FloatArray,
    priority: FloatArray,
    width: FloatArray,
    extra: FloatArray,
    available: FloatArray,
) -> FloatArray:
    """ALLOCATE AVAILABLE: allocate a supply by priority curves.

    Each target's curve is its request times the share of a distribution that lies above a price:
    shape 1 rectangular, 2 triangular, 3 normal, 4 exponential.  The price is that at which the
    targets together take what is available.  Shape 0 is a fixed quantity, whatever the price:
    such targets are served first, in proportion to their requests if there is not enough
    (Vensim's published output of SDEverywhere's `allocate_ptype`).  NaN for a negative request or
    supply, and for shapes 5 and 6, whose curves Vensim does not follow.

    Parameters
    ----------
    request, shape, priority, width, extra : (targets or 1, members)
    available : (1, members)
    """
    arrays = np.broadcast_arrays(request, shape, priority, width, available)
    return np.stack(
        [_allocated(*(a[:, m] for a in arrays)) for m in range(arrays[0].shape[1])], axis=-1
    )


def _allocated(
    request: FloatArray,
    shape: FloatArray,
    priority: FloatArray,
    width: FloatArray,
    available: FloatArray,
) -> FloatArray:
    supply = float(available[0])
    wanted = float(request.sum())
    if not np.all(request >= 0) or not supply >= 0 or not np.isin(shape, (0, 1, 2, 3, 4)).all():
        return np.full(len(request), np.nan)
    if supply >= wanted:
        return request
    if supply == 0:
        return np.zeros(len(request))
    fixed = shape == 0
    if fixed.any():
        served = np.where(fixed, request, 0.0)
        if served.sum() >= supply:
            return np.asarray(served * (supply / served.sum()))
        rest = np.array([supply - served.sum()])
        others = (np.where(fixed, 0.0, request), np.where(fixed, 1.0, shape), priority, width)
        return served + _allocated(*others, rest)

    def taken(price: float) -> FloatArray:
        shares = [_above(price, *t) for t in zip(shape, priority, width, strict=True)]
        return np.asarray(request * np.array(shares), dtype=np.float64)

    reach = 40.0 * float(np.abs(width).max()) + 1.0
    low, high = float(priority.min()) - reach, float(priority.max()) + reach
    for _ in range(200):  # bisection, to the last bit
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if taken(middle).sum() > supply:
            low = middle
        else:
            high = middle
    above, below = taken(low), taken(high)
    # On a jump of the curves the targets at the jump share what is left.
    gap = float(above.sum() - below.sum())
    share = (supply - float(below.sum())) / gap if gap > 0 else 0.0
    return below + share * (above - below)


def _above(price: float, shape: float, priority: float, width: float) -> float:
    """Share of a target's request that it takes at a price: 1 when low, 0 when high."""
    if width <= 0:
        return float(price < priority)
    x = (price - priority) / width
    if shape == 1:
        return min(max(0.5 - x, 0.0), 1.0)
    if shape == 2:
        if abs(x) >= 0.5:
            return float(x < 0)
        return 1.0 - 2.0 * (x + 0.5) ** 2 if x < 0 else 2.0 * (0.5 - x) ** 2
    if shape == 3:
        return 0.5 * math.erfc(x / math.sqrt(2.0))
    return 1.0 - 0.5 * math.exp(x) if x < 0 else 0.5 * math.exp(-x)


def allocate_by_priority(
    request: FloatArray, priority: FloatArray, width: FloatArray, supply: FloatArray
) -> FloatArray:
    """ALLOCATE BY PRIORITY: allocate a supply, the highest priority first.

    The supply goes to the highest priority; a target joins when the one before it has received
    the share ``(difference in priority) / width`` of its request, and those that take part
    receive in proportion to their requests.  NaN for a negative request or supply, or a width
    that is not positive.

    Parameters
    ----------
    request, priority : (targets or 1, members)
    width, supply : (1, members)
    """
    arrays = np.broadcast_arrays(request, priority, width, supply)
    return np.stack(
        [_by_priority(*(a[:, m] for a in arrays)) for m in range(arrays[0].shape[1])], axis=-1
    )


def _by_priority(
    request: FloatArray, priority: FloatArray, width: FloatArray, supply: FloatArray
) -> FloatArray:
    left, apart = float(supply[0]), float(width[0])
    if not np.all(request >= 0) or not left >= 0 or not apart > 0:
        return np.full(len(request), np.nan)
    if left >= request.sum():
        return request
    order = [i for i in np.argsort(-priority, kind="stable") if request[i] > 0]
    given = np.zeros(len(request))
    active = order[:1]
    waiting = order[1:]
    last = order[0] if order else 0
    while left > 0 and (active or waiting):
        if not active:
            last = waiting.pop(0)
            active = [last]
        total = sum(request[i] for i in active)
        # Everything is measured in the share of a request that each active target receives.
        to_full = min((request[i] - given[i]) / request[i] for i in active)
        to_next = math.inf
        if waiting:
            gap = min((priority[last] - priority[waiting[0]]) / apart, 1.0)
            to_next = max(gap - given[last] / request[last], 0.0)
        to_empty = left / total
        share = min(to_full, to_next, to_empty)
        for i in active:
            given[i] += share * request[i]
        left -= share * total
        if share == to_empty:
            break
        if share == to_full:
            full = [i for i in active if given[i] >= request[i] * (1.0 - 1e-12)]
            for i in full:
                given[i] = request[i]
            active = [i for i in active if i not in full]
        if waiting and share >= to_next:
            last = waiting.pop(0)
            active.append(last)
    return given


def market_price(count: FloatArray, *curves: FloatArray) -> FloatArray:
    """FIND MARKET PRICE: the price at which demand equals supply.

    Each curve is a quantity times the share of a distribution above a price for demand, below it
    for supply.  Where supply exceeds demand at every price it is the lowest price of any curve,
    where demand exceeds supply the highest: half a width from the middle of the rectangular and
    triangular curves, 5 widths of the normal and 10 of the exponential (Vensim's published output
    of SDEverywhere's `allocate_price`).

    Parameters
    ----------
    count : (n, members)
        How many of the curves are demanded; the rest is supplied.
    curves : (n or 1, members) each
        Quantity, shape, priority and width of each curve.
    """
    demanded = int(count[0, 0])
    arrays = np.stack(np.broadcast_arrays(*curves, np.zeros_like(count))[:-1])
    grouped = arrays.reshape(-1, 4, *arrays.shape[1:])
    result = np.empty(arrays.shape[1:])
    for place in np.ndindex(*result.shape):
        result[place] = _clearing_price(grouped[(slice(None), slice(None), *place)], demanded)
    return result


_REACH = np.array([0.0, 0.5, 0.5, 5.0, 10.0])
"""Widths from the middle of a curve to where it ends, by its shape."""


def _clearing_price(curves: FloatArray, demanded: int) -> float:
    """The price for curves of (quantity, shape, priority, width)."""
    if not np.isin(curves[:, 1], (0, 1, 2, 3, 4)).all() or not (curves[:, 0] >= 0).all():
        return math.nan
    reach = _REACH[curves[:, 1].astype(int)] * curves[:, 3]
    low, high = float((curves[:, 2] - reach).min()), float((curves[:, 2] + reach).max())

    def excess(price: float) -> float:
        shares = [
            1.0 if shape == 0 else _above(price, shape, priority, width)
            for _, shape, priority, width in curves
        ]
        bought = float(sum(q * s for q, s in zip(curves[:demanded, 0], shares, strict=False)))
        sold = sum(
            q * (1.0 if shape == 0 else 1.0 - share)
            for (q, shape, _, _), share in zip(curves[demanded:], shares[demanded:], strict=True)
        )
        return bought - float(sold)

    if excess(low) <= 0.0:
        return low
    for _ in range(200):  # bisection, to the last bit
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if excess(middle) > 0.0:
            low = middle
        else:
            high = middle
    return high


def rate_of_return(flows: FloatArray, paid: FloatArray, when: FloatArray) -> FloatArray:
    """INTERNAL RATE OF RETURN: the rate at which the payments are worth nothing in total.

    ``:NA:`` unless the total has different signs at the rates -1 and 1, between which it is looked
    for (Vensim's manual, fn_internal_rate_of_return).

    Parameters
    ----------
    flows : (periods, members)
        Totals of the fiscal periods, each paid at the end of its own.
    paid, when : (1, members)
        One more payment, and the periods to it.
    """
    found = [
        _rate_of_return(*(a[:, m] for a in np.broadcast_arrays(flows, paid, when)))
        for m in range(flows.shape[1])
    ]
    return np.broadcast_to(np.array(found), flows.shape)


def _rate_of_return(flows: FloatArray, paid: FloatArray, when: FloatArray) -> float:
    amounts = np.append(flows, paid[0])
    times = np.append(np.arange(1.0, len(flows) + 1.0), when[0])
    amounts, times = amounts[amounts != 0.0], times[amounts != 0.0]
    if not len(amounts) or not np.isfinite(amounts).all():
        return MISSING
    left = times.max() - times  # worth at the last payment, which is finite at a rate of -1 too

    def worth(growth: float) -> float:
        return float(amounts @ growth**left)

    low, high = 0.0, 2.0
    falling = worth(low) > 0.0
    if worth(high) == 0.0:
        return high - 1.0
    if (worth(high) > 0.0) == falling:
        return MISSING
    for _ in range(200):  # bisection, to the last bit
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if (worth(middle) > 0.0) == falling:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high) - 1.0


def quantity_at_price(
    quantity: Node, shape: Node, priority: Node, width: Node, price: Node, *, supply: bool
) -> Node:
    """DEMAND AT PRICE or SUPPLY AT PRICE: a quantity by its curve, written in primitives.

    The curves are those of `allocate_available`; NaN for shapes 5 and 6.
    """
    safe = apply("if", apply("gt", width, const(0.0)), width, const(1.0))
    x = apply("div", apply("sub", price, priority), safe)
    if supply:  # the share below a price is the share above its mirror image
        x = apply("neg", x)
    half = apply("sub", const(0.5), apply("abs", x))
    tail = apply("mul", apply("max", half, const(0.0)), apply("max", half, const(0.0)))
    tail = apply("mul", const(2.0), tail)
    below = apply("lt", x, const(0.0))

    def both_sides(upper: Node) -> Node:
        return apply("if", below, apply("sub", const(1.0), upper), upper)

    shares: tuple[Node, ...] = (
        const(1.0),
        apply("min", apply("max", apply("sub", const(0.5), x), const(0.0)), const(1.0)),
        both_sides(tail),
        normal_share(apply("neg", x)),
        both_sides(apply("mul", const(0.5), apply("exp", apply("neg", apply("abs", x))))),
    )
    share: Node = undefined()
    for number, own in enumerate(shares):
        share = apply("if", apply("eq", shape, const(float(number))), own, share)
    step = apply("gt" if supply else "lt", price, priority)
    narrow = apply("mul", apply("le", width, const(0.0)), apply("gt", shape, const(0.0)))
    return apply("mul", quantity, apply("if", narrow, step, share))


FOREIGN: Mapping[str, ForeignFunction] = {
    "INVERT MATRIX": ForeignFunction(("vector", "none"), invert_matrix),
    "ALLOCATE AVAILABLE": ForeignFunction(("vector", "profile", "one"), allocate_available),
    "ALLOCATE BY PRIORITY": ForeignFunction(
        ("vector", "vector", "none", "one", "one"), allocate_by_priority
    ),
    "FIND MARKET PRICE": ForeignFunction(("market",) * 4, market_price),
    "INTERNAL RATE OF RETURN": ForeignFunction(("flows", "one", "one"), rate_of_return),
}
