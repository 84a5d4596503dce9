"""LLVM text: instructions on vectors of doubles, one line each.

`Body` collects the lines of a function and hands out names for their results.  Arithmetic is
strict IEEE: no fast-math flag is ever written, so that a result depends neither on the vector
width nor on the optimiser.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Vector:
    """Types of a vector of `width` doubles and its companions.

    Attributes
    ----------
    width : int
        Lanes.
    fused : bool
        Whether the target has a fused multiply-add; WebAssembly has none.
    """

    width: int
    fused: bool = True

    @property
    def doubles(self) -> str:
        """Type of the vector."""
        return f"<{self.width} x double>"

    @property
    def integers(self) -> str:
        """Type of a vector of 64-bit integers."""
        return f"<{self.width} x i64>"

    @property
    def truths(self) -> str:
        """Type of a vector of comparisons."""
        return f"<{self.width} x i1>"


def double(value: float) -> str:
    """Return a double as LLVM writes it."""
    return "0x" + struct.pack(">d", value).hex().upper()


class Body:
    """Lines of a function under construction."""

    def __init__(self, vector: Vector) -> None:
        self.v = vector
        self.lines: list[str] = []
        self.count = 0

    def new(self) -> str:
        """Return a fresh name."""
        self.count += 1
        return f"%v{self.count}"

    def line(self, text: str) -> None:
        """Add an instruction without a result."""
        self.lines.append("  " + text)

    def label(self, name: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{name}:")

    def let(self, text: str) -> str:
        """Add an instruction and return the name of its result."""
        name = self.new()
        self.line(f"{name} = {text}")
        return name

    def splat(self, value: float) -> str:
        """Return a constant in all lanes."""
        return f"splat (double {double(value)})"

    def isplat(self, value: int) -> str:
        """Return an integer in all lanes."""
        return f"splat (i64 {value})"

    def broadcast(self, scalar: str) -> str:
        """Return a double variable in all lanes."""
        d = self.v.doubles
        first = self.let(f"insertelement {d} poison, double {scalar}, i64 0")
        return self.let(
            f"shufflevector {d} {first}, {d} poison, <{self.v.width} x i32> zeroinitializer"
        )

    def binary(self, instruction: str, a: str, b: str) -> str:
        """Return ``instruction a, b`` on doubles."""
        return self.let(f"{instruction} {self.v.doubles} {a}, {b}")

    def fadd(self, a: str, b: str) -> str:
        """Return a + b."""
        return self.binary("fadd", a, b)

    def fsub(self, a: str, b: str) -> str:
        """Return a - b."""
        return self.binary("fsub", a, b)

    def fmul(self, a: str, b: str) -> str:
        """Return a * b."""
        return self.binary("fmul", a, b)

    def fdiv(self, a: str, b: str) -> str:
        """Return a / b."""
        return self.binary("fdiv", a, b)

    def fneg(self, a: str) -> str:
        """Return -a."""
        return self.let(f"fneg {self.v.doubles} {a}")

    def fma(self, a: str, b: str, c: str) -> str:
        """Return a * b + c, rounded once if the target can, else after each operation."""
        if not self.v.fused:
            return self.fadd(self.fmul(a, b), c)
        d = self.v.doubles
        return self.let(f"call {d} @llvm.fma.v{self.v.width}f64({d} {a}, {d} {b}, {d} {c})")

    def product_error(self, a: str, b: str, product: str) -> str:
        """Return a * b - product, the rounding error of ``product = fl(a * b)``, exactly.

        Without fma by Dekker's product (T. J. Dekker, Numerische Mathematik 18, 1971), whose
        splitting overflows beyond 2^996.
        """
        if self.v.fused:
            return self.fma(a, b, self.fneg(product))
        (a_high, a_low), (b_high, b_low) = self._halves(a), self._halves(b)
        rest = self.fsub(self.fmul(a_high, b_high), product)
        rest = self.fadd(rest, self.fmul(a_high, b_low))
        rest = self.fadd(rest, self.fmul(a_low, b_high))
        return self.fadd(rest, self.fmul(a_low, b_low))

    def remainder(self, a: str, quotient: str, divisor: str) -> str:
        """Return a - quotient * divisor, rounded once, for a quotient near a / divisor."""
        if self.v.fused:
            return self.fma(self.fneg(quotient), divisor, a)
        whole = self.fmul(quotient, divisor)
        # The first difference is exact: the two are nearly equal.
        return self.fsub(self.fsub(a, whole), self.product_error(quotient, divisor, whole))

    def _halves(self, a: str) -> tuple[str, str]:
        """Split each double into two of 26 bits: Veltkamp's splitting."""
        scaled = self.fmul(a, self.splat(2.0**27 + 1.0))
        high = self.fsub(scaled, self.fsub(scaled, a))
        return high, self.fsub(a, high)

    def call(self, intrinsic: str, *arguments: str) -> str:
        """Return an LLVM intrinsic for vectors."""
        d = self.v.doubles
        given = ", ".join(f"{d} {a}" for a in arguments)
        return self.let(f"call {d} @{intrinsic}.v{self.v.width}f64({given})")

    def own(self, function: str, *arguments: str) -> str:
        """Return a function of `beltcast.engine.run.vector_math`."""
        d = self.v.doubles
        return self.let(f"call {d} @{function}({', '.join(f'{d} {a}' for a in arguments)})")

    def fcmp(self, predicate: str, a: str, b: str) -> str:
        """Return a comparison, one bit a lane."""
        return self.let(f"fcmp {predicate} {self.v.doubles} {a}, {b}")

    def logic(self, instruction: str, a: str, b: str) -> str:
        """Return and, or of comparisons."""
        return self.let(f"{instruction} {self.v.truths} {a}, {b}")

    def select(self, condition: str, yes: str, no: str) -> str:
        """Return yes where the condition holds, no elsewhere."""
        d = self.v.doubles
        return self.let(f"select {self.v.truths} {condition}, {d} {yes}, {d} {no}")

    def branch_if_all(self, condition: str, yes: str, no: str) -> None:
        """End a basic block: go to one label if a condition holds in all lanes, else to another."""
        truths = f"{self.v.truths} {condition}"
        every = self.let(f"call i1 @llvm.vector.reduce.and.v{self.v.width}i1({truths})")
        self.line(f"br i1 {every}, label %{yes}, label %{no}")

    def integer(self, instruction: str, a: str, b: str) -> str:
        """Return an integer instruction."""
        return self.let(f"{instruction} {self.v.integers} {a}, {b}")

    def to_bits(self, a: str) -> str:
        """Return the bits of doubles as integers."""
        return self.let(f"bitcast {self.v.doubles} {a} to {self.v.integers}")

    def from_bits(self, a: str) -> str:
        """Return integers taken as the bits of doubles."""
        return self.let(f"bitcast {self.v.integers} {a} to {self.v.doubles}")

    def to_double(self, a: str) -> str:
        """Return integers converted to doubles."""
        return self.let(f"sitofp {self.v.integers} {a} to {self.v.doubles}")

    def function(self, name: str, arguments: tuple[str, ...], result: str) -> str:
        """Return the body as a function of vectors."""
        d = self.v.doubles
        head = ", ".join(f"{d} {a}" for a in arguments)
        lines = "\n".join(self.lines)
        return f"define internal {d} @{name}({head}) #1 {{\n{lines}\n  ret {d} {result}\n}}"
