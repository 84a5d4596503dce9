"""Runs a WebAssembly module of a program with wasmtime, as a browser does."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
import wasmtime

from beltcast.engine.nodes import FloatArray
from beltcast.engine.program import Program
from beltcast.engine.run.plan import Method, Plan
from beltcast.engine.run.wasm_backend import (
    LANES,
    Layout,
    WasmModule,
    compile_wasm,
    layout,
)

MEMORY_PAGE = 65536
"""Bytes of a page of WebAssembly memory."""


class WasmRun:
    """A module with a plan in its memory."""

    def __init__(self, module: WasmModule, plan: Plan, members: int) -> None:
        self.plan = plan
        self.members = members
        self.placed: Layout = layout(module, plan, members)
        config = wasmtime.Config()
        config.wasm_simd = True
        self.store = wasmtime.Store(wasmtime.Engine(config))
        pages = -(-self.placed.total // MEMORY_PAGE)
        kind = wasmtime.MemoryType(wasmtime.Limits(pages, None))
        self.memory = wasmtime.Memory(self.store, kind)
        f64 = wasmtime.ValType.f64()
        given: list[Any] = []
        code = wasmtime.Module(self.store.engine, module.code)
        for wanted in code.imports:
            if isinstance(wanted.type, wasmtime.MemoryType):
                given.append(self.memory)
            else:
                count = len(wanted.type.params)
                signature = wasmtime.FuncType([f64] * count, [f64])
                given.append(wasmtime.Func(self.store, signature, _quiet(wanted.name, count)))
        self.exports = wasmtime.Instance(self.store, code, given).exports(self.store)
        self.write(self.placed.base, self.placed.image)

    def write(self, address: int, data: bytes) -> None:
        self.memory.write(self.store, data, address)

    def read(self, address: int, count: int) -> FloatArray:
        data = self.memory.read(self.store, address, address + 8 * count)
        return np.frombuffer(bytes(data), dtype=np.float64)

    def set_values(self, values: FloatArray) -> None:
        missing = self.placed.blocks * LANES - values.shape[1]
        padded = np.concatenate([values, np.repeat(values[:, -1:], missing, axis=1)], axis=1)
        self.write(self.placed.places["values"], padded.tobytes())

    def call(self, name: str, block: int, *more: int) -> None:
        places = self.placed.places
        history = places["history"] + block * self.placed.history_bytes
        address = places["arrays"] + 4 * 17
        self.write(address, np.array([history], dtype="<u4").tobytes())
        rows = places["rows"] + block * self.placed.row_bytes
        self.exports[name](self.store, places["numbers"], places["arrays"], rows, block, *more)

    def result(self) -> FloatArray:
        shape = (len(self.plan.saves), len(self.plan.outputs), 2 * self.placed.blocks)
        out = self.read(self.placed.places["out"], math.prod(shape))
        return out.reshape(shape)[:, :, : self.members].copy()

    def run(self, values: FloatArray) -> FloatArray:
        self.set_values(values)
        for block in range(self.placed.blocks):
            self.call("begin", block)
            self.call("advance", block, 0, len(self.plan.times), 0)
        return self.result()


class WasmKernel:
    """A program that wasmtime runs."""

    def __init__(self, program: Program, method: Method = "euler") -> None:
        self.program = program
        self.module = compile_wasm(program, method)

    def __call__(self, plan: Plan, values: FloatArray) -> FloatArray:
        return WasmRun(self.module, plan, values.shape[1]).run(values)


def _quiet(name: str, count: int) -> Any:
    function = getattr(ctypes.CDLL(None), name)
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * count
    return function
