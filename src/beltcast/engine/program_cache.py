"""A lowered program, kept between processes beside the parse that it was made from.

Putting a large model in order takes several times as long as reading its kept parse.  A program is
kept as JSON of its blocks and nodes, followed by two arrays with the numbers that they hold:
reading it back makes values of `beltcast.engine.program` and `beltcast.engine.nodes` and nothing
else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, assert_never

import numpy as np

from beltcast.engine.cache import Cache, key_of
from beltcast.engine.lower.lowering import lower
from beltcast.engine.nodes import Apply, Clock, Const, Foreign, IntArray, Load, LookupAt, Node
from beltcast.engine.parse_cache import plain_value, value_of
from beltcast.engine.program import Block, Pasts, Program, Slot
from beltcast.engine.syntax import Data, Source

_LITTLE = sys.byteorder == "little"
_STAGES = ("setup", "initial", "settle", "step", "rates", "hold", "after")
_ARRAYS = ("constants", "constant_values", "stocks", "flows")
_PASTS = ("rows", "inputs", "orders", "initials")


def read_lowered(source: Source, cache: Cache | None, key: str | None) -> Program:
    """Return the program of a model, kept or made now.

    Parameters
    ----------
    source : Source
    cache : Cache, optional
    key : str, optional
        Of the parse (`beltcast.engine.parse_cache.read_keyed`).

    Raises
    ------
    UnknownName, UnsupportedConstruct, ModelFileError
        As `beltcast.engine.lower.lowering.lower`; what is refused is never kept.
    """
    if cache is None or key is None:
        return lower(source)
    # Lowering depends on the method too: some functions need Euler's.
    own = key_of(["program", key, source.method])
    kept = cache.get(own)
    if kept is not None:
        try:
            return load_program(kept)
        except (ValueError, TypeError, KeyError, IndexError):
            pass  # written by a program that was interrupted: make it again
    program = lower(source)
    with suppress(TypeError, RecursionError):  # what is too deep to be written is made each time
        cache.put(own, dump_program(program))
    return program


def dump_program(program: Program) -> bytes:
    """Return a program as JSON and numbers."""
    writer = _Writer()
    plain: dict[str, Any] = {
        "rows": program.n_rows,
        "slots": [
            [key, slot.name, slot.kind, slot.dims, writer.shaped(slot.rows)]
            for key, slot in program.slots.items()
        ],
        "stages": [[writer.block(block) for block in getattr(program, s)] for s in _STAGES],
        "arrays": [writer.array(getattr(program, name)) for name in _ARRAYS],
        "pasts": [writer.array(getattr(program.pasts, name)) for name in _PASTS],
        "inputs": [[row, writer.data(data)] for row, data in program.inputs.items()],
        "fixed": [*program.fixed.items()],
        "followers": [*program.followers.items()],
        "nodes": writer.nodes,
        "tables": writer.tables,
        "series": writer.series,
        "pieces": writer.pieces,
    }
    text = json.dumps(plain, ensure_ascii=True, separators=(",", ":")).encode()
    return text + b"\n" + b"".join(writer.bytes)


def load_program(content: bytes) -> Program:
    """Return the program that `dump_program` wrote.

    Raises
    ------
    ValueError, TypeError, KeyError, IndexError
        The content is something else.
    """
    text, _, numbers = content.partition(b"\n")
    plain = json.loads(text)
    reader = _Reader(plain, np.frombuffer(numbers, "<i8").astype(np.int64))
    array, block = reader.arrays.__getitem__, reader.block
    arrays: dict[str, Any] = dict(zip(_ARRAYS, map(array, plain["arrays"]), strict=True))
    stages: dict[str, Any] = {
        name: tuple([block(b) for b in blocks])
        for name, blocks in zip(_STAGES, plain["stages"], strict=True)
    }
    return Program(
        slots={
            key: Slot(name, kind, tuple(dims), reader.shaped(rows))
            for key, name, kind, dims, rows in plain["slots"]
        },
        n_rows=plain["rows"],
        inputs={row: reader.series[place] for row, place in plain["inputs"]},
        pasts=Pasts(*map(array, plain["pasts"])),
        fixed=dict(plain["fixed"]),
        followers={row: tuple(rows) for row, rows in plain["followers"]},
        **stages,
        **arrays,
    )


class _Writer:
    """Nodes, tables, series and arrays of a program, each written once and referred to by number.

    What is used twice stays one node, which is computed once.
    """

    def __init__(self) -> None:
        self.nodes: list[list[Any]] = []
        self.tables: list[Any] = []
        self.series: list[list[Any]] = []
        self.pieces: list[list[int]] = []  # of each array: whether it holds doubles, and its ends
        self.bytes: list[bytes] = []
        self._size = 0
        self._known: dict[tuple[str, bytes] | int, int] = {}
        self._met: list[object] = []  # alive, so that nothing else takes their ids

    def array(self, values: np.ndarray) -> int:
        """Write an array without its shape."""
        kind = values.dtype.kind
        content = values.tobytes() if _LITTLE else values.astype(f"<{kind}8").tobytes()
        number = self._known.get((kind, content))
        if number is None:
            number = self._known[kind, content] = len(self.pieces)
            self.pieces.append([int(kind == "f"), self._size, self._size + values.size])
            self.bytes.append(content)
            self._size += values.size
        return number

    def shaped(self, values: np.ndarray) -> list[int]:
        """Write an array, and its shape after its number."""
        return [self.array(values), *values.shape]

    def block(self, block: Block) -> list[Any]:
        """Return the assignments of a block."""
        initially = block.initially
        return [
            block.name,
            [self.array(target) for target in block.targets],
            [self.node(e) for e in block.expressions],
            None if initially is None else [self.node(e) for e in initially],
        ]

    def data(self, data: Data) -> int:
        """Write a series."""
        return self._once(
            data,
            self.series,
            lambda: [
                *(self.shaped(values) for values in (data.times, data.values)),
                data.method,
                plain_value(data.of),
            ],
        )

    def node(self, node: Node) -> int:
        """Write a node after all that it needs."""
        number = self._known.get(id(node))
        if number is None:
            plain = self._plain(node)
            number = self._keep(node, plain, self.nodes)
        return number

    def _once(self, value: object, written: list[Any], write: Callable[[], Any]) -> int:
        number = self._known.get(id(value))
        return self._keep(value, write(), written) if number is None else number

    def _keep(self, value: object, plain: Any, written: list[Any]) -> int:
        number = self._known[id(value)] = len(written)
        self._met.append(value)
        written.append(plain)
        return number

    def _plain(self, node: Node) -> list[Any]:
        match node:
            case Apply(op=op, arguments=arguments):
                return ["a", op, *map(self.node, arguments)]
            case Load(rows=rows):
                return ["r", self.array(rows)]
            case Const(values=values):
                return ["c", self.array(values)]
            case Clock(frozen=frozen):
                return ["t", frozen]
            case LookupAt(table=table, argument=argument):
                place = self._once(table, self.tables, lambda: plain_value(table))
                return ["l", place, self.node(argument)]
            case Foreign(function=function, arguments=arguments, size=size, place=where):
                return ["f", function, size, self.array(where), *map(self.node, arguments)]
            case _:
                assert_never(node)


class _Reader:
    """Nodes, tables, series and arrays by their numbers."""

    def __init__(self, plain: dict[str, Any], numbers: IntArray) -> None:
        numbers.setflags(write=False)
        kinds = (numbers, numbers.view(np.float64))
        self.arrays: list[Any] = [kinds[double][a:b] for double, a, b in plain["pieces"]]
        self.series = [
            Data(self.shaped(times), self.shaped(values), method, value_of(of))
            for times, values, method, of in plain["series"]
        ]
        self.nodes: list[Node] = []
        tables = [value_of(table) for table in plain["tables"]]
        for kind, first, *rest in plain["nodes"]:
            self.nodes.append(self._node(kind, first, rest, tables))

    def shaped(self, written: Sequence[int]) -> Any:
        """Return an array with its shape."""
        number, *shape = written
        return self.arrays[number].reshape(shape)

    def block(self, written: Sequence[Any]) -> Block:
        """Return a block."""
        name, targets, expressions, initially = written
        return Block(
            name,
            tuple([self.arrays[t] for t in targets]),
            tuple([self.nodes[e] for e in expressions]),
            None if initially is None else tuple([self.nodes[e] for e in initially]),
        )

    def _node(self, kind: str, first: Any, rest: list[Any], tables: list[Any]) -> Node:
        if kind == "a":
            return Apply(first, tuple([self.nodes[i] for i in rest]))
        if kind == "r":
            return Load(self.arrays[first])
        if kind == "c":
            return Const(self.arrays[first])
        if kind == "t":
            return Clock(first)
        if kind == "l":
            return LookupAt(tables[first], self.nodes[rest[0]])
        if kind == "f":
            size, place, *arguments = rest
            chosen = tuple([self.nodes[i] for i in arguments])
            return Foreign(first, chosen, size, self.arrays[place])
        raise ValueError(f"{kind} is no node")
