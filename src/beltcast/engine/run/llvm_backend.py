"""The program as machine code: explicit vectors of sixteen members or more, through llvmlite.

Every primitive becomes one instruction on ``<16 x double>``, so there is no loop for a vectoriser
to find or to miss.  An equation over a subscript range is a loop over its elements.  Members come
in blocks of sixteen (32 for large ensembles of small models), each block with a scratch table of
rows that stays in the processor's cache; blocks are shared among threads, whose calls release
Python's lock.  Arithmetic is strict IEEE: neither the block, the thread, the order nor the
neighbours of a member change a bit of it.

What is computed is the same as in `beltcast.engine.run.numpy_backend`; the two agree to rounding of
exp, log and pow.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from threading import Lock

import llvmlite.binding as llvm
import numpy as np

from beltcast.engine.cache import Cache
from beltcast.engine.nodes import FloatArray
from beltcast.engine.program import Block, Program
from beltcast.engine.run.llvm_compile import load_code
from beltcast.engine.run.llvm_module import module_text
from beltcast.engine.run.numpy_backend import assign
from beltcast.engine.run.plan import Method, Plan
from beltcast.engine.run.reciprocals import with_reciprocals
from beltcast.engine.run.threads import processors, side_by_side
from beltcast.errors import SimulationError

WIDTH = 16
"""Members per vector: two AVX-512 registers."""

WIDE = 32
"""Members per vector for ensembles of small models: a polynomial's steps wait for each other, and
four registers fill the time that two leave."""

WIDEST_TABLE = 128 * 2**10
"""Largest table of rows, in bytes, for which `WIDE` pays: a larger one waits for the cache."""

MANY = 4096
"""Members that a kernel has run when wider code pays its compilation."""

LARGEST_HISTORY = 2e9
"""Bytes a thread may use for what DELAY FIXED remembers."""

QUICK = 2_000
"""Values of rows for each letter of a module that code takes which is not optimised.

Optimising costs 1 to 2 microseconds a letter and gains 0.1 ns a value, so that code as quickly made
as possible pays up to ten thousand; it is lower because the first code is then in vain.
"""

ONE_THREAD = 1_000_000
"""Values of rows that one thread computes sooner than two can be started."""

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
    method : str
        Its text is made at once; others when they are first asked for.
    """

    def __init__(
        self,
        program: Program,
        width: int = WIDTH,
        *,
        cache: Cache | None = None,
        method: Method = "euler",
    ) -> None:
        self._given = program
        self.program = program = with_reciprocals(program)
        self.width = width
        self.cache = cache
        self._members = 0
        self._wide: LlvmKernel | None = None
        text, foreign = module_text(program, width, method)
        self._texts: dict[Method, str] = {method: text}  # of what is not compiled in full
        self._callback = _CALLBACK(_foreign_caller(foreign, program.n_rows, width))
        self._codes: list[llvm.ExecutionEngine] = []  # all are kept: a thread may still run one
        self._functions: dict[str, Callable[..., None]] = {}
        self._values = 0  # computed so far
        self._ready = Lock()

    def _compile(self, method: Method, *, quick: bool) -> None:
        code = load_code(self._texts[method], self.cache, quick=quick)
        self._codes.append(code)
        self._functions[method] = _SIGNATURE(code.get_function_address(f"run_{method}"))
        if not quick:
            self._texts[method] = ""

    def _make_ready(self, plan: Plan, blocks: int, *, often: bool = False) -> None:
        """Compile a method: quickly at first, in full once it computes much or will run often."""
        method = plan.method
        with self._ready:
            if method not in self._texts:
                self._texts[method], _ = module_text(self.program, self.width, method)
            text = self._texts[method]
            if not text:
                return
            self._values += blocks * self._values_a_block(plan)
            if often or self._values > QUICK * len(text):
                self._compile(method, quick=False)
            elif method not in self._functions:
                self._compile(method, quick=True)

    def _values_a_block(self, plan: Plan) -> int:
        return self.program.n_rows * self.width * len(plan.times)

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
        if self._prefers_wide(members):
            self._wide = self._wide or LlvmKernel(
                self._given, WIDE, cache=self.cache, method=plan.method
            )
            self._wide._values = self._values  # what was much is much
            return self._wide(plan, values, threads)
        blocks = -(-members // width)
        self._make_ready(plan, blocks)
        lanes = self._lanes(members)
        padded = np.empty((len(plan.parameters), lanes))
        padded[:, :members] = values
        padded[:, members:] = values[:, -1:]
        out = np.empty((len(plan.saves), len(plan.outputs), lanes))
        make = self._bound(plan, padded, out)
        a_block = self._values_a_block(plan)
        threads = (threads or processors()) if blocks * a_block > ONE_THREAD else 1
        # Eight for each thread compensate for other work on the machine.
        share = max(1, min(blocks // (8 * threads), SLICE // a_block))
        slices = [(first, min(blocks, first + share)) for first in range(0, blocks, share)]
        for _ in side_by_side(lambda ends: make()(*ends), slices, threads):
            pass
        return out[:, :, :members]

    def _prefers_wide(self, members: int) -> bool:
        """Whether many members have run, and the rows of wider blocks stay in a near cache."""
        self._members += members
        fits = 8 * WIDE * self.program.n_rows <= WIDEST_TABLE
        return fits and self.width < WIDE < members / 8 and self._members >= MANY

    def bind(self, plan: Plan, members: int) -> Callable[[FloatArray], FloatArray]:
        """Return a function that runs a plan repeatedly on this thread; only values vary."""
        blocks = -(-members // self.width)
        self._make_ready(plan, blocks, often=True)
        lanes = self._lanes(members)
        padded = np.empty((len(plan.parameters), lanes))
        out = np.empty((len(plan.saves), len(plan.outputs), lanes))
        run = self._bound(plan, padded, out)()

        def again(values: FloatArray) -> FloatArray:
            padded[:, :members] = values
            padded[:, members:] = values[:, -1:]
            run(0, blocks)
            return out[:, :, :members].copy()

        return again

    def _lanes(self, members: int) -> int:
        """Members padded to whole blocks; one alone has no padding, which would fill the memory."""
        return 1 if members == 1 else -(-members // self.width) * self.width

    def _bound(
        self, plan: Plan, values: FloatArray, out: FloatArray
    ) -> Callable[[], Callable[[int, int], None]]:
        """Return what makes the machine function with everything but the blocks given."""
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

        def room() -> Callable[[int, int], None]:
            """Return the machine function with memory of its own, for one thread at a time."""
            numbers = header.copy()
            scratch, address = _aligned(rows * self.width)
            history = np.empty(len(program.pasts) * len(plan.times) * self.width)
            pointers = (ctypes.c_void_p * (len(arrays) + 2))(
                *addresses, history.ctypes.data, callback
            )
            at = numbers.ctypes.data

            kept = (arrays, scratch, history)  # machine code knows their addresses only

            def run(first: int, last: int, kept: object = kept) -> None:
                numbers[8:] = first, last
                function(at, pointers, address)

            return run

        return room


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
