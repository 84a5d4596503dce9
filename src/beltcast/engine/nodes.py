"""The arithmetic of a lowered model: expressions over numbered rows.

A running model is a table of rows, one row for each scalar of the model (a stock, a constant, one
element of a subscripted auxiliary) and one column for each member of the ensemble.  An expression
reads rows and yields ``n`` values per member, because an equation over a subscript range is kept
whole: ``output[Belt] = price[Belt] * volume[Belt]`` is one expression whose two leaves each name
``len(Belt)`` rows.  A leaf with a single entry serves all ``n`` elements.

Nodes compare by identity: a node that is used twice is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from beltcast.engine.syntax import Table

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Const:
    """Numbers known when the model is read; shape (n,) or (1,)."""

    values: FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class Load:
    """The present value of rows; shape (n,) or (1,)."""

    rows: IntArray


@dataclass(frozen=True, eq=False, slots=True)
class Clock:
    """Model time.

    ``frozen`` is the time at the start of the step even inside a Runge-Kutta stage, which is what
    Vensim gives to STEP, RAMP, PULSE and data.
    """

    frozen: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Apply:
    """A primitive of `primitives.PRIMITIVES` applied element by element."""

    op: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, eq=False, slots=True)
class LookupAt:
    """A graphical function at an argument."""

    table: Table
    argument: Node


@dataclass(frozen=True, eq=False, slots=True)
class Foreign:
    """A function of `array_functions` applied to whole vectors or matrices.

    The arguments have ``size`` elements, or one that serves all of them; the result has ``size``,
    of which ``place`` (n,) picks those that are wanted.
    """

    function: str
    arguments: tuple[Node, ...]
    size: int
    place: IntArray


Node = Const | Load | Clock | Apply | LookupAt | Foreign


MISSING_BITS = np.uint64(0x7FF8000000004E41)
"""Bits of the NaN that stands for ``:NA:``, with "NA" as its payload.

Arithmetic hands a NaN on with its payload, and what has no value by itself, such as 0/0, is a NaN
without one: so a result distinguishes what the model marks as missing from errors.
"""

MISSING = float(np.array([MISSING_BITS]).view(np.float64)[0])


def marked(values: FloatArray) -> FloatArray:
    """Return numbers with each NaN as the one that stands for ``:NA:``."""
    return np.where(np.isnan(values), MISSING, values)


def is_missing(values: FloatArray) -> NDArray[np.bool_]:
    """Return which numbers are ``:NA:``, or were computed from it."""
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)
    found: NDArray[np.bool_] = bits & np.uint64(0x7FFFFFFFFFFFFFFF) == MISSING_BITS
    return found


def const(value: float) -> Const:
    """Return one number as a node; NaN is ``:NA:``."""
    return Const(np.array([value if value == value else MISSING], dtype=np.float64))


def undefined() -> Const:
    """Return a NaN that is an error of the model, not ``:NA:``: a run that meets it is refused."""
    return Const(np.array([np.nan]))


def load(row: int) -> Load:
    """Return one row as a node."""
    return Load(np.array([row], dtype=np.int64))


def apply(op: str, *arguments: Node) -> Apply:
    """Return a primitive applied to its arguments."""
    return Apply(op, arguments)


def all_nodes(node: Node) -> Iterator[Node]:
    """Yield the node and everything below it, each once."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, (Apply, Foreign)):
            waiting.extend(current.arguments)
        elif isinstance(current, LookupAt):
            waiting.append(current.argument)


def rows_read(node: Node) -> set[int]:
    """Return the rows that an expression reads."""
    rows: set[int] = set()
    for leaf in all_nodes(node):
        if isinstance(leaf, Load):
            rows.update(leaf.rows.tolist())
    return rows


def pick(node: Node, element: int) -> Node:
    """Return the expression of one element of an equation over a subscript range."""
    return _pick(node, element, {})


def _pick(node: Node, element: int, known: dict[int, Node]) -> Node:
    # What is used twice stays one node: else a power of a power ... would double each time.
    if id(node) not in known:
        known[id(node)] = _picked(node, element, known)
    return known[id(node)]


def _picked(node: Node, element: int, known: dict[int, Node]) -> Node:
    match node:
        case Const(values=values):
            return Const(values[[element]]) if len(values) > 1 else node
        case Load(rows=rows):
            return Load(rows[[element]]) if len(rows) > 1 else node
        case Clock():
            return node
        case Apply(op=op, arguments=arguments):
            return Apply(op, tuple(_pick(a, element, known) for a in arguments))
        case LookupAt(table=table, argument=argument):
            return LookupAt(table, _pick(argument, element, known))
        case Foreign(function=function, arguments=arguments, size=size, place=place):
            return Foreign(function, arguments, size, place[[element]])
        case _:
            assert_never(node)
