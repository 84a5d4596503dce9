"""Prepared requests: the part of a program that computes certain rows, with their derivatives.

A request consists of rows, running totals of rows, and derivatives with respect to constants.
`prepare` cuts the program down to it and compiles; `Prepared.run` answers it for many members.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from beltcast.engine.cache import open_cache
from beltcast.engine.collection import uncollected
from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.program import NO_ROWS, Program, accumulate, restrict
from beltcast.engine.run.adaptive import Adaptive, make_adaptive
from beltcast.engine.run.forward_ad import differentiate
from beltcast.engine.run.numpy_backend import NumpyKernel
from beltcast.engine.run.plan import ADAPTIVE, Method, Plan

Backend = Literal["auto", "llvm", "numpy"]


class Kernel(Protocol):
    """A program ready to run, by either back end."""

    def __call__(self, plan: Plan, values: FloatArray) -> FloatArray:
        """Run all members; `values` is (p, N), the result (s, o, N)."""
        ...

    def bind(self, plan: Plan, members: int) -> Callable[[FloatArray], FloatArray]:
        """Return a function that runs one plan repeatedly, for so many members."""
        ...


@dataclass(frozen=True, eq=False)
class Prepared:
    """A request ready to run.

    Attributes
    ----------
    kernel : Kernel
    program : Program
        The part of the model that the request needs.
    rows : (o,)
        Rows that are saved, those of the totals last.
    moved : (d,) or None
        Rows of the constants that are differentiated by.
    tangents : (n_rows,)
        Row of each row's tangent, -1 where there is none; empty without derivatives.
    """

    kernel: Kernel
    program: Program
    rows: IntArray
    moved: IntArray | None
    tangents: IntArray

    def run(
        self, make: Callable[[IntArray, IntArray], Plan], parameters: IntArray, values: FloatArray
    ) -> FloatArray:
        """Run all members.

        Parameters
        ----------
        make : callable
            From rows of parameters and rows to save to a plan.
        parameters : (p,)
            Rows of the constants that members set.
        values : (p, N)

        Returns
        -------
        (s, o, N), or (s, o, N, 1 + d) with derivatives
            With derivatives the last axis holds the value, then its derivatives.
        """
        if self.moved is None:
            return self.kernel(make(parameters, self.rows), values)
        n, d = values.shape[1], len(self.moved)
        known = self.tangents[self.rows] >= 0
        plan = make(
            np.concatenate([parameters, self.tangents[self.moved]]),
            np.concatenate([self.rows, self.tangents[self.rows[known]]]),
        )
        # Member m in direction j is column m * d + j.
        spread, seeds = np.repeat(values, d, axis=1), np.tile(np.eye(d), n)
        out = self.kernel(plan, np.concatenate([spread, seeds]))
        out = out.reshape(-1, len(self.rows) + int(known.sum()), n, d)
        result = np.zeros((len(out), len(self.rows), n, 1 + d))
        result[..., 0] = out[:, : len(self.rows), :, 0]
        result[:, known, :, 1:] = out[:, len(self.rows) :]
        return result


@uncollected()
def prepare(
    program: Program,
    kind: Literal["llvm", "numpy"],
    outputs: IntArray,
    totals: IntArray = NO_ROWS,
    moved: IntArray | None = None,
    method: Method = "euler",
) -> Prepared | Adaptive:
    """Prepare a request.

    Parameters
    ----------
    program : Program
    kind : 'llvm' or 'numpy'
    outputs : (o,)
        Rows to save.
    totals : (t,), optional
        Rows whose running totals since the start are saved after the outputs.
    moved : (d,), optional
        Rows of the constants to differentiate with respect to.
    method : str
        Of `beltcast.engine.run.plan`; all with fixed steps are prepared alike.

    Raises
    ------
    UnsupportedConstruct
        The method has steps that adapt, and the model changes once a step.
    """
    summing, summed = accumulate(program, totals)
    rows = np.concatenate([outputs, summed])
    needed = restrict(summing, rows.tolist())

    def fixed(program: Program, rows: IntArray) -> Prepared:
        if moved is None:
            return Prepared(_kernel(kind, program, method), program, rows, moved, NO_ROWS)
        both, tangents = differentiate(program, moved.tolist())
        return Prepared(_kernel(kind, both, method), both, rows, moved, tangents)

    if method in ADAPTIVE:
        return make_adaptive(
            needed, method, rows, moved, start=fixed, kernel=lambda program: _kernel(kind, program)
        )
    return fixed(needed, rows)


def available(backend: Backend) -> Literal["llvm", "numpy"]:
    """Return the back end of 'auto': the compiled one if llvmlite is installed."""
    if backend == "auto":
        return "llvm" if importlib.util.find_spec("llvmlite") else "numpy"
    return backend


def _kernel(kind: Literal["llvm", "numpy"], program: Program, method: Method = "euler") -> Kernel:
    if kind == "numpy":
        return NumpyKernel(program)
    # Imported late: without a wheel of llvmlite, NumPy runs everything.
    from beltcast.engine.run.llvm_backend import LlvmKernel

    fixed: Method = "euler" if method in ADAPTIVE else method
    return LlvmKernel(program, cache=open_cache(), method=fixed)
