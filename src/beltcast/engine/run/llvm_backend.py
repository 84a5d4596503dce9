"""The program as machine code: explicit vectors of sixteen members, through llvmlite.

Every primitive becomes one instruction on ``<16 x double>``, so there is no loop for a vectoriser
to find or to miss.  An equation over a subscript range is a loop over its elements.  Members come
in blocks of sixteen, each block with a scratch table of rows that stays in the processor's cache;
blocks are shared among threads, whose calls release Python's lock.  Arithmetic is strict IEEE:
neither the block, the thread, the order nor the neighbours of a member change a bit of it.

What is computed is the same as in `beltcast.engine.run.numpy_backend`; the two agree to rounding of
exp, log and pow.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from beltcast.engine.cache import Cache, engine_fingerprint, key_of
from beltcast.engine.language.distributions import MIX
from beltcast.engine.language.lookups import segments
from beltcast.engine.language.primitives import LEFT_TO_NUMPY
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
from beltcast.engine.program import Block, Program
from beltcast.engine.run.llvm_driver import driver
from beltcast.engine.run.llvm_text import Body, Vector, double
from beltcast.engine.run.numpy_backend import assign
from beltcast.engine.run.plan import METHODS, Plan
from beltcast.engine.run.threads import side_by_side
from beltcast.engine.run.vector_math import vector_math
from beltcast.errors import SimulationError

WIDTH = 16
"""Members per vector: two AVX-512 registers."""

BLOCKS_A_FUNCTION = 40
"""Longer functions make LLVM's passes more than linear in time."""

UNROLLED = 3
"""Ranges up to this length are written out: the tiers of a belt need no loop."""

MOST_PIECES = 16
"""Points of a lookup that is a chain of selections; a longer one is searched by halves."""


LARGEST_HISTORY = 2e9
"""Bytes a thread may use for what DELAY FIXED remembers."""

SLICE = 100_000_000
"""Values of rows that are computed without a pause, and delay an interruption."""


class LlvmKernel:
    """A compiled program.

    Parameters
    ----------
    program : Program
    width : int
        Members per vector.
    cache : Cache, optional
        Where machine code is kept between processes.
    """

    def __init__(self, program: Program, width: int = WIDTH, *, cache: Cache | None = None) -> None:
        self.program = program
        self.width = width
        text, foreign = module_text(program, width)
        self._code = _compile(text, cache)
        self._callback = _CALLBACK(_foreign_caller(foreign, program.n_rows, width))
        self._functions = {
            method: _SIGNATURE(self._code.get_function_address(f"run_{method}"))
            for method in METHODS
        }

    def __call__(self, plan: Plan, values: FloatArray, threads: int | None = None) -> FloatArray:
        """Run all members.

        Parameters
        ----------
        plan : Plan
        values : (p, N)
            Value of each parameter of the plan for each member.
        threads : int, optional
            Default: one per processor.

        Returns
        -------
        (s, o, N)
            Outputs at the saved steps.
        """
        width, members = self.width, values.shape[1]
        blocks = -(-members // width)
        padded = np.empty((len(plan.parameters), blocks * width))
        padded[:, :members] = values
        padded[:, members:] = values[:, -1:]
        out = np.empty((len(plan.saves), len(plan.outputs), blocks * width))
        run = self._bound(plan, padded, out)
        threads = (threads or os.cpu_count() or 1) if blocks > 1 else 1
        # Eight for each thread compensate for other work on the machine.
        a_block = self.program.n_rows * width * len(plan.times)
        share = max(1, min(blocks // (8 * threads), SLICE // a_block))
        slices = [(first, min(blocks, first + share)) for first in range(0, blocks, share)]
        for _ in side_by_side(lambda ends: run(*ends), slices, threads):
            pass
        return out[:, :, :members]

    def bind(self, plan: Plan, members: int) -> Callable[[FloatArray], FloatArray]:
        """Return a function that runs a plan repeatedly on this thread; only values vary."""
        blocks = -(-members // self.width)
        padded = np.empty((len(plan.parameters), blocks * self.width))
        out = np.empty((len(plan.saves), len(plan.outputs), blocks * self.width))
        run = self._bound(plan, padded, out)

        def again(values: FloatArray) -> FloatArray:
            padded[:, :members] = values
            padded[:, members:] = values[:, -1:]
            run(0, blocks)
            return out[:, :, :members].copy()

        return again

    def _bound(self, plan: Plan, values: FloatArray, out: FloatArray) -> Callable[[int, int], None]:
        """Return the machine function with everything but the blocks given."""
        program = self.program
        arrays: tuple[np.ndarray, ...] = (
            program.constants,
            program.constant_values,
            plan.parameters,
            values,
            np.array(list(program.inputs), dtype=np.int64),
            np.ascontiguousarray(plan.inputs),
            plan.times,
            plan.steps,
            _save_flags(plan),
            plan.outputs,
            out,
            program.stocks,
            program.flows,
            program.pasts.rows,
            program.pasts.inputs,
            program.pasts.orders,
            program.pasts.initials,
        )
        arrays = tuple(np.ascontiguousarray(a) for a in arrays)
        header = np.array(
            [
                len(program.constants),
                len(plan.parameters),
                values.shape[1],
                len(program.inputs),
                len(plan.times) - 1,
                len(plan.outputs),
                len(program.stocks),
                len(program.pasts),
                0,
                0,
            ],
            dtype=np.int64,
        )
        function = self._functions[plan.method]
        kept = 8 * len(program.pasts) * len(plan.times) * self.width
        if kept > LARGEST_HISTORY:
            raise SimulationError(
                f"DELAY FIXED would keep {kept / 1e9:.1f} GB of the past; take a larger TIME STEP"
            )
        extra = 0 if plan.method == "euler" else 2 * len(program.stocks)
        rows = program.n_rows + extra
        addresses = [a.ctypes.data for a in arrays]
        callback = ctypes.cast(self._callback, ctypes.c_void_p).value

        def run(first: int, last: int) -> None:
            numbers = header.copy()
            numbers[8:] = first, last
            scratch, address = _aligned(rows * self.width)
            history = np.empty(len(program.pasts) * len(plan.times) * self.width)
            function(
                numbers.ctypes.data,
                (ctypes.c_void_p * (len(arrays) + 2))(*addresses, history.ctypes.data, callback),
                address,
            )
            del scratch, history

        return run


_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


_CALLBACK = ctypes.CFUNCTYPE(
    None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_double, ctypes.c_double
)


def _foreign_caller(
    blocks: Sequence[Block], n_rows: int, width: int
) -> Callable[[int, int, float, float], None]:
    """Return the callbacks of compiled code for the blocks that it leaves to NumPy."""

    def call(number: int, address: int, time: float, frozen: float) -> None:
        memory = ctypes.cast(address, ctypes.POINTER(ctypes.c_double))
        rows = np.ctypeslib.as_array(memory, (n_rows, width))
        try:
            with np.errstate(all="ignore"):
                assign(blocks[number], rows, time, frozen)
        except Exception:  # nothing can be raised through machine code; NaN stops the run
            for target in blocks[number].targets:
                rows[target] = np.nan

    return call


def _aligned(size: int) -> tuple[FloatArray, int]:
    """Zeros that begin at a multiple of 64 bytes, and their address."""
    memory = np.zeros(size + 8)
    return memory, memory.ctypes.data + (-memory.ctypes.data) % 64


def _save_flags(plan: Plan) -> np.ndarray:
    flags = np.zeros(len(plan.times), dtype=np.int8)
    flags[plan.saves] = 1
    return flags


# --- the module -------------------------------------------------------------------------------


def module_text(program: Program, width: int) -> tuple[str, list[Block]]:
    """Return the module, and the blocks for which it calls back."""
    target = (
        f'nounwind "target-cpu"="{llvm.get_host_cpu_name()}" '
        f'"target-features"="{llvm.get_host_cpu_features().flatten()}" '
        '"prefer-vector-width"="512"'
    )
    v = Vector(width)
    return assemble(
        program,
        v,
        head=f'target triple = "{llvm.get_process_triple()}"',
        attributes=target,
        drivers=lambda stages: [driver(method, v, stages, program) for method in METHODS],
    )


def assemble(
    program: Program,
    v: Vector,
    *,
    head: str,
    attributes: str,
    drivers: Callable[[Mapping[str, list[str]]], list[str]],
) -> tuple[str, list[Block]]:
    """Return the module of a program for any target, and the blocks for which it calls back.

    Parameters
    ----------
    program : Program
    v : Vector
    head : str
        Lines that name the target.
    attributes : str
        Of every function.
    drivers : callable
        From the names of the functions of each stage to the text of the exported functions.
    """
    text = _Module(v)
    stages = {
        name: text.stage(name, getattr(program, name))
        for name in ("setup", "initial", "settle", "step", "rates", "hold", "after")
    }
    module = "\n".join(
        (
            head,
            vector_math(v),
            *(table_search(v) if text.searched else ()),
            *(
                f"declare {v.doubles} @{name}.v{v.width}f64({v.doubles})"
                for name in sorted(text.intrinsics)
            ),
            *text.tables,
            *text.functions,
            *drivers(stages),
            f"attributes #0 = {{ {attributes} }}",
            f"attributes #1 = {{ {attributes} noinline willreturn memory(none) }}",
            f"attributes #2 = {{ {attributes} noinline }}",
        )
    )
    return module, text.foreign


class _Module:
    """Functions and constant tables of a program, as text."""

    def __init__(self, vector: Vector) -> None:
        self.v = vector
        self.functions: list[str] = []
        self.tables: list[str] = []
        self.intrinsics: set[str] = set()
        self.foreign: list[Block] = []
        self.searched = False
        self._known: dict[tuple[str, bytes], str] = {}

    def stage(self, name: str, blocks: Sequence[Block]) -> list[str]:
        """Write the blocks of a stage; return the names of its functions."""
        names = []
        for start in range(0, len(blocks), BLOCKS_A_FUNCTION):
            body = Body(self.v)
            clocks = {False: body.broadcast("%time"), True: body.broadcast("%frozen")}
            for block in blocks[start : start + BLOCKS_A_FUNCTION]:
                self._block(body, block, clocks)
            function = f"{name}_{start // BLOCKS_A_FUNCTION}"
            lines = "\n".join(body.lines)
            self.functions.append(
                f"define internal void @{function}(ptr noalias %rows, double %time, "
                f"double %frozen, ptr %callback) #2 {{\n{lines}\n  ret void\n}}"
            )
            names.append(function)
        return names

    def _block(self, body: Body, block: Block, clocks: Mapping[bool, str]) -> None:
        if any(_is_left(x) for e in block.expressions for x in all_nodes(e)):
            number = len(self.foreign)
            self.foreign.append(block)
            body.line(f"call void %callback(i64 {number}, ptr %rows, double %time, double %frozen)")
            return
        if block.n <= UNROLLED:
            for element in range(block.n):
                _Writer(self, body, clocks, str(element), element).assign(block)
            return
        before = _Writer(self, body, clocks, "0", None)
        known = before.invariants(block)
        index = self._loop_head(body)
        _Writer(self, body, clocks, index, None, known).assign(block)
        self._loop_end(body, index, block.n)

    def _loop_head(self, body: Body) -> str:
        body.count += 1
        label = f"loop{body.count}"
        index = f"%i{body.count}"
        body.line(f"br label %{label}.head")
        body.label(f"{label}.head")
        body.line(f"br label %{label}")
        body.label(label)
        body.line(f"{index} = phi i64 [ 0, %{label}.head ], [ {index}.next, %{label} ]")
        return index

    def _loop_end(self, body: Body, index: str, n: int) -> None:
        label = f"loop{index[2:]}"
        body.line(f"{index}.next = add nuw nsw i64 {index}, 1")
        body.line(f"{index}.more = icmp ult i64 {index}.next, {n}")
        body.line(f"br i1 {index}.more, label %{label}, label %{label}.end")
        body.label(f"{label}.end")

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


def _is_left(node: Node) -> bool:
    """Whether compiled code calls back for a node, and so for its whole block."""
    return isinstance(node, Foreign) or (isinstance(node, Apply) and node.op in LEFT_TO_NUMPY)


class _Writer:
    """Writes the expressions of one block for one element, or for the loop's element."""

    def __init__(
        self,
        module: _Module,
        body: Body,
        clocks: Mapping[bool, str],
        index: str,
        element: int | None,
        known: Mapping[int, str] | None = None,
    ) -> None:
        self.module = module
        self.body = body
        self.clocks = clocks
        self.index = index
        self.element = element
        self.known: dict[int, str] = dict(known or {})

    def invariants(self, block: Block) -> Mapping[int, str]:
        """Write, before the loop, what is the same for all elements of a block.

        LLVM cannot prove it: a store to one row might change another.  None does:
        a block that reads what it writes was taken apart when the program was put in order.
        """
        for node in (n for e in block.expressions for n in all_nodes(e)):
            leaves = [x for x in all_nodes(node) if isinstance(x, (Load, Const))]
            same = all(len(x.rows if isinstance(x, Load) else x.values) == 1 for x in leaves)
            if same and isinstance(node, (Apply, LookupAt)):
                self.value(node)
        return self.known

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
        table = self.module.table("double", values)
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
        table = self.module.table("i64", rows)
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
            self.module.intrinsics.add(intrinsic)
        return b.call(intrinsic, *a)

    def _remainder(self, x: str, y: str) -> str:
        """Remainder of C where the host has no fmod, exact while x / y is below 2^53."""
        b = self.body
        turns = b.call("llvm.trunc", b.fdiv(x, y))
        self.module.intrinsics.add("llvm.trunc")
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
        """The mixing of `special.uniform_value`, to the bit."""
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
        self.module.searched = True
        d, name = self.body.v.doubles, {"hold": "vheld"}.get(kind, "vline")
        tables = (self.module.table("double", values) for values in (knots, heights, slopes))
        given = ", ".join(f"ptr {table}" for table in tables)
        value = self.body.let(f"call {d} @{name}({d} {x}, {given}, i64 {len(knots)})")
        if kind != "interpolate":
            return value
        b = self.body
        last = b.fcmp("oge", x, b.splat(float(knots[-1])))
        value = b.select(last, b.splat(float(heights[-1])), value)
        first = b.fcmp("olt", x, b.splat(float(knots[0])))
        return b.select(first, b.splat(float(heights[0])), value)


def table_search(v: Vector) -> list[str]:
    """Return the functions that find a place in a table and compute the value there.

    ``vplace`` gives for each lane the last point at or before it, the first where there is none:
    each round takes half as many points as the one before.
    """
    d, n, w = v.doubles, v.integers, v.width
    pointers = f"<{w} x ptr>"

    def gathered(table: str, places: str, name: str) -> str:
        return (
            f"  %{name}.at = getelementptr inbounds double, ptr {table}, {n} {places}\n"
            f"  %{name} = call {d} @llvm.masked.gather.v{w}f64.v{w}p0({pointers} %{name}.at, "
            f"i32 8, {v.truths} splat (i1 true), {d} zeroinitializer)"
        )

    reads = "noinline nounwind willreturn memory(argmem: read)"
    arguments = f"{d} %x, ptr %knots, ptr %heights, ptr %slopes, i64 %count"
    splats = "\n".join(
        f"  %{name}.one = insertelement {n} poison, i64 %{name}, i64 0\n"
        f"  %{name}.all = shufflevector {n} %{name}.one, {n} poison, <{w} x i32> zeroinitializer"
        for name in ("last",)
    )
    place = f"""define internal {n} @vplace({d} %x, ptr %knots, i64 %count) {reads} #0 {{
entry:
  %last = sub i64 %count, 1
{splats}
  %zeros = call i64 @llvm.ctlz.i64(i64 %last, i1 false)
  %shift = sub i64 63, %zeros
  %first = shl i64 1, %shift
  br label %round
round:
  %step = phi i64 [ %first, %entry ], [ %half, %round ]
  %low = phi {n} [ zeroinitializer, %entry ], [ %next, %round ]
  %step.one = insertelement {n} poison, i64 %step, i64 0
  %step.all = shufflevector {n} %step.one, {n} poison, <{w} x i32> zeroinitializer
  %high = add {n} %low, %step.all
  %inside = icmp ule {n} %high, %last.all
  %probe = select {v.truths} %inside, {n} %high, {n} %last.all
{gathered("%knots", "%probe", "knot")}
  %reached = fcmp oge {d} %x, %knot
  %taken = and {v.truths} %inside, %reached
  %next = select {v.truths} %taken, {n} %high, {n} %low
  %half = lshr i64 %step, 1
  %more = icmp ne i64 %half, 0
  br i1 %more, label %round, label %done
done:
  ret {n} %next
}}"""
    line = f"""define internal {d} @vline({arguments}) {reads} #0 {{
  %found = call {n} @vplace({d} %x, ptr %knots, i64 %count)
  %last = sub i64 %count, 2
{splats}
  %low = icmp ult {n} %found, %last.all
  %place = select {v.truths} %low, {n} %found, {n} %last.all
{gathered("%knots", "%place", "knot")}
{gathered("%heights", "%place", "height")}
{gathered("%slopes", "%place", "slope")}
  %since = fsub {d} %x, %knot
  %rise = fmul {d} %slope, %since
  %value = fadd {d} %height, %rise
  ret {d} %value
}}"""
    held = f"""define internal {d} @vheld({arguments}) {reads} #0 {{
  %place = call {n} @vplace({d} %x, ptr %knots, i64 %count)
{gathered("%heights", "%place", "height")}
  %missing = fcmp uno {d} %x, %x
  %value = select {v.truths} %missing, {d} %x, {d} %height
  ret {d} %value
}}"""
    return [
        f"declare {d} @llvm.masked.gather.v{w}f64.v{w}p0({pointers}, i32, {v.truths}, {d})",
        "declare i64 @llvm.ctlz.i64(i64, i1)",
        place,
        line,
        held,
    ]


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


# --- compilation ------------------------------------------------------------------------------


def _compile(text: str, cache: Cache | None = None) -> llvm.ExecutionEngine:
    """Return the machine code of a module, made now or kept from another process."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=2,
        codemodel="jitdefault",
        jit=True,
    )
    key = _code_key(text) if cache is not None else None
    code = cache.get(key) if cache is not None and key is not None else None
    if code is None:
        code = machine_code(text, machine)
        if cache is not None and key is not None:
            cache.put(key, code)
    # A fresh object takes the same way as a kept one, so that the two cannot differ.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def machine_code(text: str, machine: llvm.TargetMachine) -> bytes:
    """Compile the text of a module to an object file for a machine."""
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = False  # the text is vectors already
    options.slp_vectorization = False
    options.loop_unrolling = False
    llvm.create_pass_builder(machine, options).getModulePassManager().run(
        module, llvm.create_pass_builder(machine, options)
    )
    code: bytes = machine.emit_object(module)
    return code


def _code_key(text: str) -> str | None:
    """Hash of all that machine code depends on; the text names processor and features too."""
    engine = engine_fingerprint()
    if engine is None:
        return None
    versions = (llvmlite.__version__, ".".join(map(str, llvm.llvm_version_info)))
    target = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    return key_of(("machine code", engine, *versions, *target, text))
