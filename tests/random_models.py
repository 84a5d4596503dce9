"""Random models of Vensim: every kind of equation, finite by construction.

    python -m tests.random_models 5000

runs so many (a second number is the first seed), compares the compiled back end with NumPy by
Euler, RK2 and RK4, its optimised code with that of first runs, and tangents with differences;
`tests/engine/test_random_models.py` runs a few.
Flows are bounded and divisors kept from zero, so that a number that differs is a fault of a back
end and not of the model.
"""

from __future__ import annotations

import copy
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from beltcast import load_model
from beltcast.engine.run import llvm_backend
from beltcast.model.model import Model

from .small_models import text, write

METHODS = ("euler", "rk2", "rk4")


class Writer:
    """Equations of one random model."""

    def __init__(self, seed: int, *, smooth: bool = False) -> None:
        self.rng = random.Random(seed)
        self.smooth = smooth
        self.known = ["con 0", "con 1", "con 2"]

    def pick(self, *choices: str) -> str:
        return self.rng.choice(choices)

    def atom(self) -> str:
        return self.pick(*self.known, *self.known, f"{self.rng.uniform(0.2, 4):.3g}")

    def expression(self, depth: int) -> str:
        """A bounded expression; `smooth` leaves out what has kinks or steps."""
        if depth == 0:
            return self.atom()
        a, b = self.expression(depth - 1), self.expression(depth - 1)
        n, t = self.rng.randint(1, 3), self.pick("1", "2.5", "3")
        forms = [
            f"({a} + {b})",
            f"({a} - {b})",
            f"({a}) * ({b}) / (4 + ({b})*({b}))",
            f"({a}) / (1 + ({b})^2)",
            f"EXP(-(({a})/5)^2)",
            f"SQRT(1 + ({a})^2)",
            f"(1 + ({a})^2)^0.{n}",
            f"LN(2 + ({a})*({a}))",
            f"SIN({a}) + COS({b})",
            f"ARCTAN({a})",
            f"SMOOTH({a}, {t})",
            f"DELAY1({a}, {t})",
            f"SMOOTH3I({a}, {t}, {b})",
            f"DELAY N({a}, 4, {b}, {n})",
        ]
        if not self.smooth:
            forms += [
                f"MIN({a}, {b})",
                f"MAX({a}, {b})",
                f"ABS({a})",
                f"IF THEN ELSE({a} > {b}, {a}, 1)",
                f"IF THEN ELSE({a} > 1 :AND: {b} < 2 :OR: :NOT: {a} = {b}, {b}, {a})",
                f"INTEGER({a})",
                f"QUANTUM({a}, 0.5)",
                f"MODULO({a}, 3)",
                f"(INTEGER(ABS({a})))^0.5",
                f"LOG(1 + INTEGER(ABS({a})), 2)",
                f"tab({a})",
                f"STEP({a}, {t})",
                f"PULSE({t}, 1)",
                f"PULSE TRAIN(1, 0.5, {t}, 7)",
                f"RAMP(0.5, 1, {t})",
                f"DELAY FIXED({a}, 1, {b})",
                f"SAMPLE IF TRUE(Time > {t}, {a}, {b})",
                f"XIDZ({a}, {b}, 2)",
                f"TREND({a}, {t}, 0.1)",
                f"SSHAPE({a}, {n})",
                f"RAMP FROM TO({a}, {b}, 1, {t}, {n - 1})",
                f"SAMPLE UNTIL({t}, {a}, {b})",
                f"LOOKUP AREA(tab, 0, MIN(5, {a}))",
                f"NORMAL CDF({a})",
                f"VECTOR LOOKUP(vec[A], MIN(9, {a}), {b}, ({b}) + {n}, {self.pick('0', '1', '2')})",
                f"DELAY MATERIAL({a}, {t}, {b}, 0)",
                f"DELAY CONVEYOR({a}, {t.removesuffix('.5')}, 0.1, flat, {b}, "
                f"{t.removesuffix('.5')})",
            ]
        return self.rng.choice(forms)

    def model(self) -> tuple[list[str], dict[str, str]]:
        """Equations and controls."""
        equations = ["R: A, B, C", "tab((-3,-1),(0,0.5),(1,2),(6,2.5))"]
        equations += ["vec[R] = 1, 3, 2", "flat((0,1),(1,1))"]
        equations += [f"con {i} = {self.rng.uniform(0.5, 2):.4g}" for i in range(3)]
        stocks = [f"stk {i}" for i in range(2)]
        self.known += stocks
        for i in range(4):
            equations.append(f"aux {i} = {self.expression(2)}")
            self.known.append(f"aux {i}")
        equations.append(f"arr[R] = {self.atom()} + R")
        equations.append(f"total = SUM(arr[R!]) + VMAX(arr[R!])/{self.rng.randint(2, 5)}")
        self.known.append("total")
        for stock in stocks:
            inflow = self.expression(2)
            bounded = f"5*ARCTAN({inflow})" if self.smooth else f"MAX(-9, MIN(9, {inflow}))"
            equations.append(f"{stock} = INTEG({bounded} - {stock}/4, con 0)")
        step = self.pick("0.25", "0.125", "0.1", "1")
        return equations, {"FINAL_TIME": "6", "TIME_STEP": step, "SAVEPER": step}


def random_model(seed: int, folder: Path, *, smooth: bool = False) -> Model:
    """Return the random model of a seed."""
    equations, controls = Writer(seed, smooth=smooth).model()
    return load_model(write(folder, text(*equations, **controls), f"random-{seed}.mdl"))


def back_ends_apart(model: Model, method: str) -> float:
    """Largest difference of the back ends, relative to the size of each series."""
    rows = np.concatenate([model.rows(name) for name in model.computed])
    found = [
        model.batch(
            np.empty(0, dtype=np.int64),
            np.empty((0, 1)),
            outputs=rows,
            saves=model.grid().saved(),
            method=method,  # type: ignore[arg-type]
            backend=backend,
        )[:, :, 0]
        for backend in ("numpy", "llvm")
    ]
    scale = 1.0 + np.abs(found[0]).max(axis=0)
    return float((np.abs(found[0] - found[1]) / scale).max())


def optimised_bits(model: Model, method: str) -> tuple[bytes, bytes]:
    """Bits of all series by the code that a first run takes, and by code that is optimised."""
    found, quick = [], llvm_backend.QUICK
    try:
        for llvm_backend.QUICK in (10**9, 0):
            again = copy.copy(model)  # without its compiled code
            run = again.simulate(method=method, backend="llvm")  # type: ignore[arg-type]
            found.append(b"".join(run[name].values.tobytes() for name in sorted(run.data_vars)))
    finally:
        llvm_backend.QUICK = quick
    return found[0], found[1]


def tangents_apart(model: Model) -> float:
    """Largest difference of exact tangents from differences, relative to their size.

    The central differences are extrapolated from two steps: a delay that a long step overshoots
    gives third derivatives of 1e6 (seeds 185 and 500), and a plain difference is then off by 1e-4.
    """
    moved = np.array([int(model.rows(f"con {i}")[0]) for i in range(3)])
    rows = np.concatenate([model.rows(n) for n in model.computed if n not in ("TIME STEP",)])
    values = np.array([[model.program.default(int(r))] for r in moved])
    saves = model.grid().saved()
    exact = model.batch(
        moved, values, outputs=rows, saves=saves, directions=np.arange(3), backend="llvm"
    )[:, :, 0, 1:]
    assert np.isfinite(exact).all(), "a tangent is not finite"
    h = 1e-5
    worst = 0.0
    for j in range(3):
        sides = [
            model.batch(moved, values + s * h * np.eye(3)[:, [j]], outputs=rows, saves=saves)
            for s in (2, 1, -1, -2)
        ]
        far = (sides[0] - sides[3])[:, :, 0] / (4 * h)
        near = (sides[1] - sides[2])[:, :, 0] / (2 * h)
        difference = (4 * near - far) / 3
        scale = 1.0 + np.abs(difference).max(axis=0)
        worst = max(worst, float((np.abs(exact[:, :, j] - difference) / scale).max()))
    return worst


def main(arguments: Sequence[str]) -> int:
    """Run so many models, from a first seed on; print what differs."""
    os.environ["BELTCAST_CACHE"] = ""  # optimised code of an earlier run would be taken at once
    count = int(arguments[0]) if arguments else 100
    start = int(arguments[1]) if arguments[1:] else 0
    bad = 0
    worst, worst_tangent = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(start, start + count):
            model = random_model(seed, Path(folder))
            apart = back_ends_apart(model, METHODS[seed % 3])
            worst = max(worst, apart)
            if not apart < 1e-9:
                bad += 1
                print(f"seed {seed}: the back ends differ by {apart:g}")
            quick, optimised = optimised_bits(model, METHODS[seed % 3])
            if quick != optimised:
                bad += 1
                print(f"seed {seed}: optimised code gives other bits")
            if seed % 5 == 0:
                smooth = random_model(seed, Path(folder), smooth=True)
                slope = tangents_apart(smooth)
                worst_tangent = max(worst_tangent, slope)
                if not slope < 1e-5:
                    bad += 1
                    print(f"seed {seed}: tangents differ by {slope:g}")
    print(f"{count} models, {bad} with a difference; largest {worst:g}, tangents {worst_tangent:g}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
