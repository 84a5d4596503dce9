"""The program as WebAssembly: the compiled back end for a browser, without a linker.

LLVM compiles the module of `beltcast.engine.run.llvm_module`, printed at two members per vector
and without fused multiply-add, to a relocatable WebAssembly object.  Such an object already holds
its final function numbers and addresses, counted from 0, so that `_finished` only drops the
sections for a linker and adds the table of exports.  The module imports its memory and, where the
model uses them, the trigonometric and hyperbolic functions of the host.

The exports ``begin``, ``renew`` and ``advance`` are those of
`beltcast.engine.run.llvm_driver.resumable`; `layout` puts a plan into memory for them. Blocks that
the compiled back end leaves to NumPy are refused, because a page has no NumPy to call back.

References
----------
WebAssembly Core Specification 2.0, section 5 (binary format); the WebAssembly tool conventions,
"Linking" (symbol table of an object).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import llvmlite.binding as llvm
import numpy as np

from beltcast.engine.nodes import Apply, Foreign, all_nodes
from beltcast.engine.program import Program
from beltcast.engine.run.llvm_compile import machine_code
from beltcast.engine.run.llvm_driver import resumable
from beltcast.engine.run.llvm_module import assemble
from beltcast.engine.run.llvm_text import Vector
from beltcast.engine.run.plan import Method, Plan
from beltcast.errors import UnsupportedConstruct

LANES = 2
"""Members per vector: the 128 bits of a WebAssembly vector."""

EXPORTS = ("begin", "renew", "advance")

TRIPLE = "wasm32-unknown-unknown"
FEATURES = "+simd128,+bulk-memory,+nontrapping-fptoint"

STACK = 65536
"""Bytes below the first address of a plan, for spilled registers."""


@dataclass(frozen=True, eq=False)
class WasmModule:
    """A compiled program.

    Attributes
    ----------
    code : bytes
        The module; it imports ``env.__linear_memory``.
    program : Program
    method : 'euler', 'rk2' or 'rk4'
    heap : int
        First address that the module itself does not use.
    """

    code: bytes
    program: Program
    method: Method
    heap: int


@dataclass(frozen=True, eq=False)
class Layout:
    """Layout of a plan in the memory of a module.

    Attributes
    ----------
    image : bytes
        Initial contents, from address `base` on.
    base : int
    places : mapping of str to int
        Address of each array of a plan, of ``values`` (parameter, padded members), ``out``
        (saved time, output, padded members), ``history`` and ``rows`` (one part per block each),
        and of the arguments ``numbers`` and ``arrays``.
    blocks : int
        Blocks of `LANES` members.
    row_bytes, history_bytes : int
        Size of a block's part of ``rows`` and of ``history``.
    total : int
        Bytes of memory needed.
    """

    image: bytes
    base: int
    places: Mapping[str, int]
    blocks: int
    row_bytes: int
    history_bytes: int
    total: int


def compile_wasm(program: Program, method: Method) -> WasmModule:
    """Compile a program to WebAssembly.

    Parameters
    ----------
    program : Program
    method : 'euler', 'rk2' or 'rk4'

    Raises
    ------
    UnsupportedConstruct
        An equation uses a function that compiled code leaves to NumPy, such as RANDOM GAMMA or
        INVERT MATRIX, or random numbers.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.engine.run.wasm_backend import compile_wasm
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> compile_wasm(model.program, "euler").code[1:4]
    b'asm'
    """
    _refuse_what_calls_back(program)
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu="generic", features=FEATURES, opt=2
    )
    v = Vector(LANES, fused=False)
    text, _ = assemble(
        program,
        v,
        head=f'target datalayout = "{machine.target_data}"\ntarget triple = "{TRIPLE}"',
        attributes=f'nounwind "target-cpu"="generic" "target-features"="{FEATURES}"',
        drivers=lambda stages: resumable(method, v, stages, program),
    )
    code, data_end = _finished(machine_code(text, machine))
    return WasmModule(code, program, method, data_end)


def layout(module: WasmModule, plan: Plan, members: int) -> Layout:
    """Lay a plan out in the memory of a module.

    Parameters
    ----------
    module : WasmModule
    plan : Plan
        Of the module's program and method.
    members : int
        Padded to whole blocks; the caller fills ``values``, the last member in the padding.
    """
    program = module.program
    blocks = -(-members // LANES)
    padded = blocks * LANES
    pasts = program.pasts
    saves = np.zeros(len(plan.times), dtype=np.int8)
    saves[plan.saves] = 1
    arrays: dict[str, np.ndarray] = {
        "constants": program.constants,
        "constant_values": program.constant_values,
        "parameters": plan.parameters,
        "values": np.zeros((len(plan.parameters), padded)),
        "input_rows": np.array(list(program.inputs), dtype=np.int64),
        "inputs": plan.inputs,
        "times": plan.times,
        "lengths": plan.steps,
        "saves": saves,
        "outputs": plan.outputs,
        "out": np.zeros(0),
        "stocks": program.stocks,
        "flows": program.flows,
        "past_rows": pasts.rows,
        "past_inputs": pasts.inputs,
        "past_orders": pasts.orders,
        "past_initials": pasts.initials,
    }
    numbers = np.array(
        [
            len(program.constants),
            len(plan.parameters),
            padded,
            len(program.inputs),
            len(plan.times) - 1,
            len(plan.outputs),
            len(program.stocks),
            len(pasts),
            0,
            0,
        ],
        dtype=np.int64,
    )
    base = _aligned(max(module.heap, STACK))
    places: dict[str, int] = {}
    image = bytearray()

    def put(name: str, data: bytes) -> None:
        image.extend(bytes(-len(image) % 64))
        places[name] = base + len(image)
        image.extend(data)

    for name, array in arrays.items():
        put(name, np.ascontiguousarray(array).tobytes())
    put("numbers", numbers.tobytes())
    # 17 arrays, the history and the callback, 4 bytes per address.
    put("arrays", bytes(4 * (len(arrays) + 2)))
    extra = 0 if module.method == "euler" else 2 * len(program.stocks)
    row_bytes = _aligned((program.n_rows + extra) * LANES * 8)
    history_bytes = _aligned(len(pasts) * len(plan.times) * LANES * 8)
    places["out"] = _aligned(base + len(image))
    out_bytes = len(plan.saves) * len(plan.outputs) * padded * 8
    places["rows"] = _aligned(places["out"] + out_bytes)
    places["history"] = places["rows"] + blocks * row_bytes
    addresses = [places[name] for name in arrays] + [places["history"], 0]
    at = places["arrays"] - base
    image[at : at + 4 * len(addresses)] = np.array(addresses, dtype="<u4").tobytes()
    total = places["history"] + blocks * history_bytes
    return Layout(bytes(image), base, places, blocks, row_bytes, history_bytes, total)


def _refuse_what_calls_back(program: Program) -> None:
    from beltcast.engine.language.primitives import LEFT_TO_NUMPY

    for stage in program.stages:
        for block in stage:
            for node in (n for e in block.expressions for n in all_nodes(e)):
                name = ""
                if isinstance(node, Foreign):
                    name = node.function
                elif isinstance(node, Apply) and (node.op in LEFT_TO_NUMPY or node.op == "uniform"):
                    name = "a RANDOM function" if node.op == "uniform" else node.op
                if name:
                    raise UnsupportedConstruct(
                        f"'{block.name}' uses {name}, which a page cannot compute; replace it with "
                        "an input or a constant, or run the model with beltcast run"
                    )


def _aligned(size: int) -> int:
    return -(-size // 64) * 64


# --- from an object to a module ---------------------------------------------------------------

_CUSTOM, _EXPORT, _DATA = 0, 7, 11
_SYMBOL_TABLE = 8
_FUNCTION, _DATUM, _SECTION = 0, 1, 3
_UNDEFINED, _EXPLICIT_NAME = 0x10, 0x40


def _finished(code: bytes) -> tuple[bytes, int]:
    """Make a module from a relocatable object; return it with the end of its data."""
    sections = list(_sections(code))
    functions = next(
        _functions(body) for kind, body in sections if kind == _CUSTOM and _is(body, b"linking")
    )
    table = b"".join(_string(name.encode()) + b"\x00" + _uleb(functions[name]) for name in EXPORTS)
    exports = _section(_EXPORT, _uleb(len(EXPORTS)) + table)
    out, done, end = code[:8], False, 0
    for kind, body in sections:
        if kind == _CUSTOM:
            continue
        if not done and kind > _EXPORT:
            out, done = out + exports, True
        if kind == _DATA:
            end = _end_of_data(body)
        out += _section(kind, body)
    return out, end


def _functions(body: bytes) -> dict[str, int]:
    """Number of each defined function, from the symbol table of a section named linking."""
    found: dict[str, int] = {}
    i = len(_string(b"linking"))
    _, i = _read(body, i)  # version
    while i < len(body):
        kind = body[i]
        size, i = _read(body, i + 1)
        if kind == _SYMBOL_TABLE:
            found.update(_symbols(body, i))
        i += size
    return found


def _symbols(body: bytes, i: int) -> Iterator[tuple[str, int]]:
    count, i = _read(body, i)
    for _ in range(count):
        kind = body[i]
        flags, i = _read(body, i + 1)
        if kind == _SECTION:
            _, i = _read(body, i)
        elif kind == _DATUM:
            n, i = _read(body, i)
            i += n
            if not flags & _UNDEFINED:
                for _ in range(3):
                    _, i = _read(body, i)
        else:
            index, i = _read(body, i)
            if not flags & _UNDEFINED or flags & _EXPLICIT_NAME:
                n, i = _read(body, i)
                if kind == _FUNCTION:
                    yield body[i : i + n].decode(), index
                i += n


def _end_of_data(body: bytes) -> int:
    """First address after all segments, each at a constant address."""
    count, i = _read(body, 0)
    end = 0
    for _ in range(count):
        _, i = _read(body, i)  # flags: 0, an active segment
        assert body[i] == 0x41, "an i32.const gives the address of a segment"
        address, i = _read(body, i + 1)
        i += 1  # end of the expression
        size, i = _read(body, i)
        i += size
        end = max(end, (address & 0x7FFFFFFF) + size)
    return end


def _sections(code: bytes) -> Iterator[tuple[int, bytes]]:
    i = 8
    while i < len(code):
        kind = code[i]
        size, i = _read(code, i + 1)
        yield kind, code[i : i + size]
        i += size


def _section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _string(body)


def _is(body: bytes, name: bytes) -> bool:
    return body.startswith(_string(name))


def _string(text: bytes) -> bytes:
    return _uleb(len(text)) + text


def _uleb(n: int) -> bytes:
    """Unsigned LEB128."""
    out = b""
    while True:
        low, n = n & 0x7F, n >> 7
        out += bytes([low | (0x80 if n else 0)])
        if not n:
            return out


def _read(code: bytes, i: int) -> tuple[int, int]:
    """Read an unsigned LEB128; return it with the place after it."""
    result = shift = 0
    while True:
        byte = code[i]
        i += 1
        result |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return result, i
