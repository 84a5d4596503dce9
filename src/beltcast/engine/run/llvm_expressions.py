"""Expressions as machine code: each node becomes instructions on a vector of members."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import assert_never

import numpy as np

from beltcast.engine.language.distributions import MIX
from beltcast.engine.language.lookups import segments
from beltcast.engine.nodes import (
    Apply,
    Clock,
    Const,
    FloatArray,
    Foreign,
    IntArray,
    Load,
    LookupAt,
    Node,
    all_nodes,
)
from beltcast.engine.program import Block
from beltcast.engine.run.llvm_text import Body, double
from beltcast.engine.run.vector_math import reciprocal

MOST_PIECES = 16
"""Points of a lookup that is a chain of selections; a longer one is searched by halves."""


class Shared:
    """What the expressions of a module share: constant tables, and the functions they call."""

    def __init__(self) -> None:
        self.tables: list[str] = []
        self.intrinsics: set[str] = set()
        self.searched = False
        self._known: dict[tuple[str, bytes], str] = {}

    def table(self, kind: str, values: np.ndarray) -> str:
        """Return a constant array of i64 or double, each written once."""
        key = (kind, values.tobytes())
        if key not in self._known:
            name = f"@table{len(self._known)}"
            write = str if kind == "i64" else double
            entries = ", ".join(f"{kind} {write(x)}" for x in values.tolist())
            self.tables.append(f"{name} = internal constant [{len(values)} x {kind}] [{entries}]")
            self._known[key] = name
        return self._known[key]


class Writer:
    """Writes the expressions of one block for one element, or for the loop's element."""

    def __init__(
        self,
        shared: Shared,
        body: Body,
        clocks: Mapping[bool, str],
        index: str,
        element: int | None,
        before: Writer | None = None,
    ) -> None:
        self.shared = shared
        self.body = body
        self.clocks = clocks
        self.index = index
        self.element = element
        self.known: dict[int, str] = dict(before.known) if before else {}
        self.reciprocals: Mapping[int, str] = before.reciprocals if before else {}

    def invariants(self, block: Block) -> Writer:
        """Write, before the loop, what is the same for all elements of a block.

        A divisor that is the same for all is turned into its reciprocal, which gives the same
        quotients: divisions take longest of all instructions.

        LLVM cannot prove it: a store to one row might change another.  None does:
        a block that reads what it writes was taken apart when the program was put in order.
        """
        nodes = {id(n): n for e in block.expressions for n in all_nodes(e)}.values()
        for node in nodes:
            if _is_same_for_all(node) and isinstance(node, (Apply, LookupAt)):
                self.value(node)
        reciprocals = {}
        for node in nodes:
            if isinstance(node, Apply) and node.op == "div" and not _is_same_for_all(node):
                divisor = node.arguments[1]
                if (
                    self.body.v.fused
                    and _is_same_for_all(divisor)
                    and not _is_power_of_two(divisor)
                ):
                    reciprocals[id(divisor)] = reciprocal(self.body, self.value(divisor))
        self.reciprocals = reciprocals
        return self

    def assign(self, block: Block) -> None:
        """Compute all expressions, then store them."""
        results = [self.value(e) for e in block.expressions]
        for target, result in zip(block.targets, results, strict=True):
            place = self._address(target)
            self.body.line(f"store {self.body.v.doubles} {result}, ptr {place}, align 64")

    def value(self, node: Node) -> str:
        """Return the name of a node's value."""
        if id(node) not in self.known:
            self.known[id(node)] = self._write(node)
        return self.known[id(node)]

    def _write(self, node: Node) -> str:
        match node:
            case Const(values=values):
                return self._constant(values)
            case Load(rows=rows):
                place = self._address(rows)
                return self.body.let(f"load {self.body.v.doubles}, ptr {place}, align 64")
            case Clock(frozen=frozen):
                return self.clocks[frozen]
            case Apply(op="div", arguments=(a, b)) if id(b) in self.reciprocals:
                return self.body.own(
                    "vquotient", self.value(a), self.value(b), self.reciprocals[id(b)]
                )
            case Apply(op="quotient", arguments=arguments):
                return self.body.own("vquotient", *map(self.value, arguments))
            case Apply(op="reciprocal", arguments=(a,)):
                return reciprocal(self.body, self.value(a))
            case Apply(op=op, arguments=arguments):
                return self._apply(op, [self.value(a) for a in arguments])
            case LookupAt():
                return self._lookup(node)
            case Foreign():
                raise AssertionError("a block with a foreign function is left to NumPy")
            case _:
                assert_never(node)

    def _constant(self, values: FloatArray) -> str:
        if self.element is not None and len(values) > 1:
            values = values[[self.element]]
        if len({double(value) for value in values.tolist()}) == 1:  # by bits: 0 is not -0
            return self.body.splat(float(values[0]))
        table = self.shared.table("double", values)
        place = self.body.let(
            f"getelementptr inbounds [{len(values)} x double], ptr {table}, i64 0, i64 {self.index}"
        )
        return self.body.broadcast(self.body.let(f"load double, ptr {place}"))

    def _address(self, rows: IntArray) -> str:
        """Address of the row of this element: a number, a stride, or an entry of a table."""
        if self.element is not None and len(rows) > 1:
            rows = rows[[self.element]]
        number = str(int(rows[0])) if len(rows) == 1 else self._row_number(rows)
        return self.body.let(
            f"getelementptr inbounds {self.body.v.doubles}, ptr %rows, i64 {number}"
        )

    def _row_number(self, rows: IntArray) -> str:
        strides = set(np.diff(rows).tolist())
        if len(strides) == 1:
            offset = self.body.let(f"mul nsw i64 {self.index}, {strides.pop()}")
            return self.body.let(f"add nsw i64 {offset}, {int(rows[0])}")
        table = self.shared.table("i64", rows)
        place = self.body.let(
            f"getelementptr inbounds [{len(rows)} x i64], ptr {table}, i64 0, i64 {self.index}"
        )
        return self.body.let(f"load i64, ptr {place}")

    def _apply(self, op: str, a: list[str]) -> str:
        b = self.body
        if op == "rem" and not b.v.fused:
            return self._remainder(*a)
        if op in _INSTRUCTIONS:
            return b.binary(_INSTRUCTIONS[op], a[0], a[1])
        if op in _COMPARISONS:
            return b.select(b.fcmp(_COMPARISONS[op], a[0], a[1]), b.splat(1.0), b.splat(0.0))
        if op in ("min", "max"):
            # As NumPy: NaN wins, whichever side it is on.
            chosen = b.select(b.fcmp("olt" if op == "min" else "ogt", a[0], a[1]), a[0], a[1])
            return b.select(b.fcmp("uno", a[0], a[0]), a[0], chosen)
        if op == "if":
            return b.select(b.fcmp("une", a[0], b.splat(0.0)), a[1], a[2])
        if op == "neg":
            return b.fneg(a[0])
        if op == "still":
            return a[0]
        if op == "uniform":
            return self._uniform(a)
        if op in _OWN:
            return b.own(_OWN[op], *a)
        intrinsic = _INTRINSICS[op]
        if intrinsic not in _DECLARED:
            self.shared.intrinsics.add(intrinsic)
        return b.call(intrinsic, *a)

    def _remainder(self, x: str, y: str) -> str:
        """Remainder of C where the host has no fmod, exact while x / y is below 2^53."""
        b = self.body
        turns = b.call("llvm.trunc", b.fdiv(x, y))
        self.shared.intrinsics.add("llvm.trunc")
        product = b.fmul(turns, y)
        rest = b.fsub(b.fsub(x, product), b.product_error(turns, y, product))
        # The quotient may have been rounded to the next whole number, in either direction.
        size = b.call("llvm.fabs", y)
        turn = b.select(b.fcmp("olt", x, b.splat(0.0)), b.fneg(size), size)
        wrong = b.fcmp("olt", b.fmul(rest, turn), b.splat(0.0))
        rest = b.select(wrong, b.fadd(rest, turn), rest)
        whole = b.fcmp("oge", b.call("llvm.fabs", rest), size)
        rest = b.select(whole, b.fsub(rest, turn), rest)
        endless = b.splat(float("inf"))
        within = b.logic(
            "and", b.fcmp("oeq", size, endless), b.fcmp("olt", b.call("llvm.fabs", x), endless)
        )
        return b.select(within, x, rest)

    def _uniform(self, keys: list[str]) -> str:
        """The same mixing as `distributions.uniform_value`, bit for bit."""
        b = self.body
        state = b.isplat(0)
        for key in keys:
            bits = b.to_bits(b.fadd(key, b.splat(0.0)))
            state = b.integer("add", b.integer("xor", state, bits), b.isplat(_signed(MIX[2])))
            for shift, factor in ((30, MIX[0]), (27, MIX[1]), (31, None)):
                state = b.integer("xor", state, b.integer("lshr", state, b.isplat(shift)))
                if factor is not None:
                    state = b.integer("mul", state, b.isplat(_signed(factor)))
        return b.fmul(b.to_double(b.integer("lshr", state, b.isplat(11))), b.splat(2.0**-53))

    def _lookup(self, node: LookupAt) -> str:
        """Choose the segment by a chain of comparisons, then one multiply and one add."""
        knots, heights, slopes = segments(node.table)
        if len(knots) > MOST_PIECES:
            return self._searched(
                node.table.kind, knots, heights, slopes, self.value(node.argument)
            )
        b = self.body
        x = self.value(node.argument)
        if node.table.kind == "hold":
            value = b.splat(float(heights[0]))
            for knot, height in zip(knots[1:], heights[1:], strict=True):
                value = b.select(
                    b.fcmp("oge", x, b.splat(float(knot))), b.splat(float(height)), value
                )
            return b.select(b.fcmp("uno", x, x), x, value)
        left, low, slope = (b.splat(float(s[0])) for s in (knots, heights, slopes))
        for knot, height, grade in zip(knots[1:-1], heights[1:-1], slopes[1:], strict=True):
            past = b.fcmp("oge", x, b.splat(float(knot)))
            left = b.select(past, b.splat(float(knot)), left)
            low = b.select(past, b.splat(float(height)), low)
            slope = b.select(past, b.splat(float(grade)), slope)
        value = b.fadd(low, b.fmul(slope, b.fsub(x, left)))
        if node.table.kind == "extrapolate":
            return value
        last, first = float(knots[-1]), float(knots[0])
        value = b.select(b.fcmp("oge", x, b.splat(last)), b.splat(float(heights[-1])), value)
        return b.select(b.fcmp("olt", x, b.splat(first)), b.splat(float(heights[0])), value)

    def _searched(
        self, kind: str, knots: FloatArray, heights: FloatArray, slopes: FloatArray, x: str
    ) -> str:
        """Find the segment of each lane by halves; the same arithmetic as the chain's."""
        self.shared.searched = True
        d, name = self.body.v.doubles, {"hold": "vheld"}.get(kind, "vline")
        tables = (self.shared.table("double", values) for values in (knots, heights, slopes))
        given = ", ".join(f"ptr {table}" for table in tables)
        value = self.body.let(f"call {d} @{name}({d} {x}, {given}, i64 {len(knots)})")
        if kind != "interpolate":
            return value
        b = self.body
        last = b.fcmp("oge", x, b.splat(float(knots[-1])))
        value = b.select(last, b.splat(float(heights[-1])), value)
        first = b.fcmp("olt", x, b.splat(float(knots[0])))
        return b.select(first, b.splat(float(heights[0])), value)


def _is_same_for_all(node: Node) -> bool:
    """Whether a node has one value for all elements of its block."""
    return all(
        len(x.rows if isinstance(x, Load) else x.values) == 1
        for x in all_nodes(node)
        if isinstance(x, (Load, Const))
    )


def _is_power_of_two(node: Node) -> bool:
    """Whether LLVM turns a division by a node into a multiplication."""
    return isinstance(node, Const) and math.frexp(abs(float(node.values[0])))[0] == 0.5


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


_INSTRUCTIONS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "rem": "frem"}
_COMPARISONS = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_OWN = {"exp": "vexp", "log": "vlog", "pow": "vpow"}
_INTRINSICS = {
    "floor": "llvm.floor",
    "trunc": "llvm.trunc",
    "sqrt": "llvm.sqrt",
    "abs": "llvm.fabs",
    **{name: f"llvm.{name}" for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: f"llvm.{name}" for name in ("sinh", "cosh", "tanh")},
}
_DECLARED = {"llvm.floor", "llvm.fabs", "llvm.fma"}  # by vector_math

OPERATIONS = frozenset(
    {*_INSTRUCTIONS, *_COMPARISONS, *_OWN, *_INTRINSICS}
    | {"min", "max", "if", "neg", "still", "uniform"}
)
"""Primitives that this back end prints; a test finds all others in `LEFT_TO_NUMPY`."""
