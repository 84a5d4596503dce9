"""The program as the text of one LLVM module, for this processor or any other target.

An equation over a subscript range is a loop over its elements; blocks of equations share functions.
`beltcast.engine.run.llvm_expressions` prints what stands inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import llvmlite.binding as llvm

from beltcast.engine.nodes import all_nodes
from beltcast.engine.program import Block, Program
from beltcast.engine.run.llvm_driver import driver
from beltcast.engine.run.llvm_expressions import Shared, Writer
from beltcast.engine.run.llvm_tables import table_search
from beltcast.engine.run.llvm_text import Body, Vector
from beltcast.engine.run.plan import Method
from beltcast.engine.run.reciprocals import is_left
from beltcast.engine.run.vector_math import vector_math

BLOCKS_A_FUNCTION = 40
"""Longer functions make LLVM's passes more than linear in time."""

UNROLLED = 3
"""Ranges up to this length are written out: the tiers of a belt need no loop."""


def module_text(program: Program, width: int, method: Method = "euler") -> tuple[str, list[Block]]:
    """Return the module of one method, and the blocks for which it calls back.

    A driver takes longer to compile than the equations of a small model.
    """
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
        drivers=lambda stages: [driver(method, v, stages, program)],
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
    functions = "\n".join((*text.functions, *drivers(stages)))
    module = "\n".join(
        (
            head,
            vector_math(v, functions),
            *(table_search(v) if text.shared.searched else ()),
            *(
                f"declare {v.doubles} @{name}.v{v.width}f64({v.doubles})"
                for name in sorted(text.shared.intrinsics)
            ),
            *text.shared.tables,
            functions,
            f"attributes #0 = {{ {attributes} }}",
            f"attributes #1 = {{ {attributes} noinline willreturn memory(none) }}",
            f"attributes #2 = {{ {attributes} noinline }}",
        )
    )
    return module, text.foreign


class _Module:
    """Functions of a program, as text."""

    def __init__(self, vector: Vector) -> None:
        self.v = vector
        self.functions: list[str] = []
        self.shared = Shared()
        self.foreign: list[Block] = []

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
        if any(is_left(x) for e in block.expressions for x in all_nodes(e)):
            number = len(self.foreign)
            self.foreign.append(block)
            body.line(f"call void %callback(i64 {number}, ptr %rows, double %time, double %frozen)")
            return
        if block.n <= UNROLLED:
            for element in range(block.n):
                Writer(self.shared, body, clocks, str(element), element).assign(block)
            return
        before = Writer(self.shared, body, clocks, "0", None).invariants(block)
        index = self._loop_head(body)
        Writer(self.shared, body, clocks, index, None, before).assign(block)
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
