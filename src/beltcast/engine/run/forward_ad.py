"""A program and its exact derivatives, as one program.

`differentiate` adds to each row that depends on a chosen constant a second row, its tangent, and
to each equation the equation of that tangent (forward mode: Griewank and Walther, *Evaluating
Derivatives*, 2008, chapter 3).  The result is a program like any other: either back end runs it,
and a member of the ensemble carries one direction.  Seeding the tangent of one constant with 1
gives the derivative of every row with respect to that constant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

import numpy as np

from beltcast.engine.language.lookups import lookup_derivative
from beltcast.engine.language.primitives import PRIMITIVES, Tangent
from beltcast.engine.nodes import (
    Apply,
    Clock,
    Const,
    Foreign,
    IntArray,
    Load,
    LookupAt,
    Node,
    const,
)
from beltcast.engine.program import Block, Pasts, Program
from beltcast.errors import UnsupportedConstruct


def differentiate(program: Program, constants: Iterable[int]) -> tuple[Program, IntArray]:
    """Add tangent rows for derivatives with respect to constants.

    Parameters
    ----------
    program : Program
    constants : iterable of int
        Rows that a direction may move.

    Returns
    -------
    program : Program
        Its tangent rows are zero unless seeded; seed those of `constants` as parameters.
    tangent_rows : (n_rows of the argument,)
        Row of each row's tangent; -1 where the row does not depend on the chosen constants.
    """
    tangent_rows = np.full(program.n_rows, -1, dtype=np.int64)
    active = _active(program, set(constants))
    tangent_rows[active] = np.arange(program.n_rows, program.n_rows + len(active))

    def extend(stage: tuple[Block, ...]) -> tuple[Block, ...]:
        return tuple(_extend(block, tangent_rows) for block in stage)

    moving = tangent_rows[program.stocks] >= 0
    pasts = program.pasts.chosen(tangent_rows[program.pasts.rows] >= 0)
    return (
        replace(
            program,
            n_rows=program.n_rows + len(active),
            setup=extend(program.setup),
            initial=extend(program.initial),
            settle=extend(program.settle),
            step=extend(program.step),
            rates=extend(program.rates),
            hold=extend(program.hold),
            after=extend(program.after),
            pasts=program.pasts.joined(
                Pasts(
                    tangent_rows[pasts.rows],
                    tangent_rows[pasts.inputs],
                    pasts.orders,
                    tangent_rows[pasts.initials],
                )
            ),
            stocks=np.concatenate([program.stocks, tangent_rows[program.stocks[moving]]]),
            flows=np.concatenate([program.flows, tangent_rows[program.flows[moving]]]),
        ),
        tangent_rows,
    )


def _active(program: Program, seeds: set[int]) -> list[int]:
    """Rows that can depend on the seeds, by following the equations until nothing is added."""
    active = set(seeds)
    blocks = [
        (block.reads(), {row for t in block.targets for row in t.tolist()})
        for stage in program.stages
        for block in stage
    ]
    pasts = [
        {int(row), int(i), int(b)}
        for row, i, b in zip(
            program.pasts.rows, program.pasts.inputs, program.pasts.initials, strict=True
        )
    ]
    flow_of = list(zip(program.stocks.tolist(), program.flows.tolist(), strict=True))
    while True:
        before = len(active)
        for reads, targets in blocks:
            # A block is differentiated whole or not at all.
            if (reads | targets) & active:
                active |= targets
        for stock, flow in flow_of:
            if stock in active or flow in active:
                active |= {stock, flow}
        for past in pasts:
            if past & active:
                active |= past
        if len(active) == before:
            return sorted(active)


def _extend(block: Block, tangent_rows: IntArray) -> Block:
    """Return the block with the tangents of its targets."""
    tangents: dict[int, Tangent] = {}
    targets: list[IntArray] = list(block.targets)
    expressions: list[Node] = list(block.expressions)
    for target, expression in zip(block.targets, block.expressions, strict=True):
        if tangent_rows[target[0]] < 0:
            continue
        tangent = _tangent(expression, tangent_rows, tangents)
        targets.append(tangent_rows[target])
        expressions.append(const(0.0) if tangent is None else tangent)
    return Block(block.name, tuple(targets), tuple(expressions))


def _tangent(node: Node, tangent_rows: IntArray, known: dict[int, Tangent]) -> Tangent:
    if id(node) not in known:
        known[id(node)] = _tangent_of(node, tangent_rows, known)
    return known[id(node)]


def _tangent_of(node: Node, tangent_rows: IntArray, known: dict[int, Tangent]) -> Tangent:
    match node:
        case Load(rows=rows):
            return _load(tangent_rows[rows])
        case Apply(op=op, arguments=arguments):
            inner = [_tangent(a, tangent_rows, known) for a in arguments]
            if all(t is None for t in inner):
                return None
            return PRIMITIVES[op].derivative(arguments, node, inner)
        case LookupAt():
            return lookup_derivative(node, _tangent(node.argument, tangent_rows, known))
        case Foreign(function=function, arguments=arguments):
            if any(_tangent(a, tangent_rows, known) is not None for a in arguments):
                raise UnsupportedConstruct(
                    f"{function} has no derivative here, and a chosen constant moves its "
                    "arguments; leave that constant out of the fit"
                )
            return None
        case Const() | Clock():
            return None
        case _:
            assert_never(node)


def _load(rows: IntArray) -> Tangent:
    if np.all(rows < 0):
        return None
    if np.all(rows >= 0):
        return Load(rows)
    # Only some elements depend on the constants: read any active row for the others and mask it.
    some = np.where(rows >= 0, rows, rows[rows >= 0][0])
    return Apply("mul", (Load(some), Const((rows >= 0).astype(np.float64))))
