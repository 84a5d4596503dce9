"""Divisors that do not change during a run: their reciprocals are computed once, before its steps.

A division takes a vector unit of a processor as long as some thirty multiplications.  With the
reciprocal known, ``vquotient`` of `beltcast.engine.run.vector_math` finds the same quotient, to the
bit, in three steps.  Only compiled code for processors with a fused multiply-add uses this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from beltcast.engine.language.primitives import LEFT_TO_NUMPY
from beltcast.engine.nodes import Apply, Foreign, IntArray, Load, LookupAt, Node, all_nodes
from beltcast.engine.program import Block, Program


def with_reciprocals(program: Program) -> Program:
    """Return a program whose steps divide by rows that are constant during a run with ``quotient``.

    ``quotient`` has the arguments a, b and the reciprocal of b.  The reciprocals have rows after
    those of the program, and blocks at the end of ``settle``.
    """
    constant = np.zeros(program.n_rows, dtype=bool)
    constant[program.constants] = True
    for block in (*program.setup, *program.settle):
        for target in block.targets:
            constant[target] = True
    divisors: dict[bytes, tuple[IntArray, IntArray]] = {}
    count = program.n_rows

    def reciprocal_of(divisor: Node) -> Node | None:
        nonlocal count
        if not isinstance(divisor, Load) or not constant[divisor.rows].all():
            return None
        key = divisor.rows.tobytes()
        if key not in divisors:
            n = len(divisor.rows)
            divisors[key] = (np.arange(count, count + n), divisor.rows)
            count += n
        return Load(divisors[key][0])

    step, rates = (
        tuple(_divided(block, reciprocal_of) for block in stage)
        for stage in (program.step, program.rates)
    )
    made = (
        Block("reciprocals", (rows,), (Apply("reciprocal", (Load(of),)),))
        for rows, of in divisors.values()
    )
    return replace(program, n_rows=count, step=step, rates=rates, settle=(*program.settle, *made))


def is_left(node: Node) -> bool:
    """Whether compiled code calls back for a node, and so for its whole block."""
    return isinstance(node, Foreign) or (isinstance(node, Apply) and node.op in LEFT_TO_NUMPY)


def _divided(block: Block, reciprocal_of: Callable[[Node], Node | None]) -> Block:
    if any(is_left(node) for e in block.expressions for node in all_nodes(e)):
        return block
    known: dict[int, Node] = {}

    def changed(node: Node) -> Node:
        if id(node) not in known:
            known[id(node)] = written(node)
        return known[id(node)]

    def written(node: Node) -> Node:
        if isinstance(node, LookupAt):
            inner = changed(node.argument)
            return node if inner is node.argument else LookupAt(node.table, inner)
        if not isinstance(node, Apply):
            return node
        arguments = tuple([changed(a) for a in node.arguments])
        if node.op == "div":
            reciprocal = reciprocal_of(node.arguments[1])
            if reciprocal is not None:
                return Apply("quotient", (*arguments, reciprocal))
        same = all(a is b for a, b in zip(arguments, node.arguments, strict=True))
        return node if same else Apply(node.op, arguments)

    return replace(block, expressions=tuple([changed(e) for e in block.expressions]))
