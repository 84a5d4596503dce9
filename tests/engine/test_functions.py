"""Each function once: its value against libm and PySD, its derivative against differences.

Functions are asked through programs of one block, so that both back ends answer.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beltcast import load_model
from beltcast.engine.language.distributions import DISTRIBUTIONS
from beltcast.engine.language.functions import LANGUAGE, REDUCTIONS
from beltcast.engine.language.lookups import lookup_value, slope_table
from beltcast.engine.language.primitives import LEFT_TO_NUMPY, PRIMITIVES
from beltcast.engine.nodes import FloatArray, LookupAt, Node, apply, load
from beltcast.engine.program import Block, Program
from beltcast.engine.run.forward_ad import differentiate
from beltcast.engine.run.llvm_backend import LlvmKernel
from beltcast.engine.run.llvm_expressions import OPERATIONS
from beltcast.engine.run.numpy_backend import NumpyKernel
from beltcast.engine.run.plan import make_plan
from beltcast.engine.syntax import Table

from ..small_models import text, write

ARITY = {"neg": 1, "if": 3} | dict.fromkeys(
    [
        "floor",
        "trunc",
        "exp",
        "log",
        "sqrt",
        "abs",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "lgamma",
        "digamma",
    ],
    1,
)
ARITY |= {
    f"{name} {what}": 1 + law.parameters
    for name, law in DISTRIBUTIONS.items()
    for what in ("share", "quantile")
}
MOST = 3

INF = math.inf
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 1e-310, 5e-324, -1e-300, 1e16, 710.0, -746.0]
EDGES += [1.7976931348623157e308, -1.7976931348623157e308, INF, -INF, math.nan]
numbers = st.one_of(
    st.sampled_from(EDGES),
    st.floats(-50, 50),
    st.floats(allow_nan=True, allow_infinity=True),
)

TABLES = {
    "one point": Table((1.0,), (4.0,)),
    "two points": Table((0.0, 1.0), (2.0, 5.0)),
    "plain": Table((-1.0, 0.0, 0.5, 3.0), (2.0, -1.0, 7.0, 7.5)),
    "extrapolate": Table((-1.0, 0.0, 0.5, 3.0), (2.0, -1.0, 7.0, 7.5), "extrapolate"),
    "extrapolate two": Table((0.0, 1.0), (2.0, 5.0), "extrapolate"),
    "hold": Table((-1.0, 0.0, 0.5, 3.0), (2.0, -1.0, 7.0, 7.5), "hold"),
}
LONG = tuple(i * i / 40.0 - 20.0 for i in range(41)), tuple(math.sin(i) for i in range(41))
"""Points of a lookup that is searched by halves; they lie at edges of the random numbers too."""
TABLES |= {
    "long": Table(*LONG),
    "long extrapolate": Table(*LONG, "extrapolate"),
    "long hold": Table(*LONG, "hold"),
    "seventeen": Table(LONG[0][:17], LONG[1][:17]),
    "a power of two and one": Table(LONG[0][:33], LONG[1][:33], "hold"),
}


def program(nodes: Sequence[Node]) -> Program:
    """Constants in rows 0 to MOST - 1; expression i in row MOST + i."""
    n = len(nodes)
    blocks = tuple(Block(f"f{i}", (np.array([MOST + i]),), (node,)) for i, node in enumerate(nodes))
    none = np.empty(0, dtype=np.int64)
    return Program(
        slots={},
        n_rows=MOST + n,
        constants=np.arange(MOST),
        constant_values=np.zeros(MOST),
        inputs={},
        setup=(),
        initial=(),
        settle=(),
        step=blocks,
        rates=(),
        stocks=none,
        flows=none,
    )


@cache
def nodes() -> dict[str, Node]:
    """Every primitive and every table, of the rows 0, 1 and 2."""
    a = [load(i) for i in range(MOST)]
    made: dict[str, Node] = {name: apply(name, *a[: ARITY.get(name, 2)]) for name in PRIMITIVES}
    return made | {f"table {n}": LookupAt(t, a[0]) for n, t in TABLES.items()}


@cache
def language() -> dict[str, Node]:
    a = [load(i) for i in range(MOST)]
    made = {name: f.build(*a[: f.arity[0]]) for name, f in LANGUAGE.items()}
    return made | {name: build(*a) for name, build in REDUCTIONS.items()}


@cache
def kernels(kind: str) -> tuple[NumpyKernel, LlvmKernel]:
    p = program(list({"primitives": nodes, "language": language}[kind]().values()))
    return NumpyKernel(p), LlvmKernel(p)


def run(
    kernel: Callable[..., FloatArray], p: Program, values: FloatArray, rows: Sequence[int]
) -> FloatArray:
    """Outputs (rows, N) for parameters (p, N)."""
    plan = make_plan(
        p,
        parameters=np.arange(len(values)),
        outputs=np.asarray(rows),
        times=np.array([0.0, 1.0]),
        step=1.0,
        saves=np.array([0]),
    )
    return kernel(plan, values)[0]


def both(kind: str, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    plain, compiled = kernels(kind)
    rows = range(MOST, plain.program.n_rows)
    return (
        run(plain, plain.program, values, rows),
        run(compiled, plain.program, values, rows),
    )


def assert_agree(names: Sequence[str], a: FloatArray, b: FloatArray, values: FloatArray) -> None:
    for name, x, y in zip(names, a, b, strict=True):
        np.testing.assert_allclose(
            x, y, rtol=1e-12, atol=1e-300, err_msg=f"{name} of {values.tolist()}"
        )


def test_the_compiled_back_end_prints_every_primitive_and_no_other() -> None:
    assert set(PRIMITIVES) == OPERATIONS | LEFT_TO_NUMPY
    assert not OPERATIONS & LEFT_TO_NUMPY


@pytest.mark.parametrize("kind", ["primitives", "language"])
def test_both_back_ends_agree_on_all_edge_values(kind: str) -> None:
    names = list({"primitives": nodes, "language": language}[kind]())
    values = np.array(np.meshgrid(EDGES, EDGES, EDGES)).reshape(3, -1)
    assert_agree(names, *both(kind, values), values[:, :0])


@pytest.mark.parametrize("kind", ["primitives", "language"])
@given(a=numbers, b=numbers, c=numbers)
@settings(max_examples=300)
def test_both_back_ends_agree_on_any_arguments(kind: str, a: float, b: float, c: float) -> None:
    names = list({"primitives": nodes, "language": language}[kind]())
    values = np.array([[a], [b], [c]])
    assert_agree(names, *both(kind, values), values)


# Where each function is smooth, away from its kinks and its poles.
INSIDE = {
    "log": (0.3, 3.0),
    "LN": (0.3, 3.0),
    "LOG": (1.5, 3.0),
    "LOG10": (0.3, 3.0),
    "sqrt": (0.3, 3.0),
    "SQRT": (0.3, 3.0),
    "pow": (0.3, 3.0),
    "^": (0.3, 3.0),
    "POWER": (0.3, 3.0),
    "asin": (-0.8, 0.8),
    "acos": (-0.8, 0.8),
    "ARCSIN": (-0.8, 0.8),
    "ARCCOS": (-0.8, 0.8),
    "tan": (-1.2, 1.2),
    "TAN": (-1.2, 1.2),
    "div": (0.5, 3.0),
    "/": (0.5, 3.0),
    "XIDZ": (0.5, 3.0),
    "ZIDZ": (0.5, 3.0),
    "MODULO": (0.5, 3.0),
    "rem": (0.5, 3.0),
    "XSAFEDIV": (0.5, 3.0),
    "GAMMA LN": (0.5, 3.0),
    "SSHAPE": (0.1, 0.9),
}


@pytest.mark.parametrize("kind", ["primitives", "language"])
def test_derivative_rules_against_central_differences(kind: str) -> None:
    """A difference over 2e-6 is exact to about 1e-9 where the third derivative is moderate."""
    made = {"primitives": nodes, "language": language}[kind]()
    # Of those left to NumPy, test_chance.py has the derivatives that there are.
    made = {name: node for name, node in made.items() if name not in LEFT_TO_NUMPY}
    p = program(list(made.values()))
    q, tangents = differentiate(p, range(MOST))
    compiled = LlvmKernel(q)
    rng = np.random.default_rng(1)
    h, n = 1e-6, 40
    for i, name in enumerate(made):
        if name in ("uniform", "still"):  # what their derivative leaves out, they are made for
            continue
        low, high = INSIDE.get(name, (-2.0, 2.0))
        x = rng.uniform(low, high, (MOST, n))
        # No kink within the difference: of MIN, of INTEGER, of a table.
        kinks = np.array([-1.0, 0.0, 0.5, 1.0, 3.0, *LONG[0]])
        near = np.abs(x[:, :, None] - kinks).min(axis=(0, 2)) < 1e-3
        near |= np.abs(np.diff(x, axis=0)).min(axis=0) < 1e-3
        if name in ("QUANTUM", "MODULO", "rem"):
            near |= np.abs(x[0] / x[1] - np.round(x[0] / x[1])) < 1e-3
        x = x[:, ~near]
        row = MOST + i
        slope = tangents[row]
        for j in range(MOST):
            step = h * np.eye(MOST)[:, [j]]
            difference = (
                run(NumpyKernel(p), p, x + step, [row]) - run(NumpyKernel(p), p, x - step, [row])
            )[0] / (2 * h)
            seeds = np.zeros_like(x)
            seeds[j] = 1.0
            plan = make_plan(
                q,
                parameters=np.concatenate([np.arange(MOST), tangents[:MOST]]),
                outputs=np.array([slope]),
                times=np.array([0.0, 1.0]),
                step=1.0,
                saves=np.array([0]),
            )
            stacked = np.concatenate([x, seeds])
            exact = {k: f(plan, stacked)[0, 0] for k, f in (("n", NumpyKernel(q)), ("l", compiled))}
            message = f"{name}, argument {j}"
            np.testing.assert_allclose(
                exact["n"], difference, rtol=3e-7, atol=3e-8, err_msg=message
            )
            np.testing.assert_allclose(exact["l"], exact["n"], rtol=1e-12, err_msg=message)


def test_derivative_of_a_power_at_zero_is_that_of_mathematics() -> None:
    """d(x^y)/dx at x = 0: 0 for y > 1, 1 for y = 1, 0 for y = 0; infinite for 0 < y < 1: 0 here."""
    p = program([apply("pow", load(0), load(1))])
    q, tangents = differentiate(p, [0])
    plan = make_plan(
        q,
        parameters=np.array([0, 1, tangents[0]]),
        outputs=tangents[[MOST]],
        times=np.array([0.0, 1.0]),
        step=1.0,
        saves=np.array([0]),
    )
    values = np.array([[0.0] * 4, [2.0, 1.0, 0.5, 0.0], [1.0] * 4])
    for kernel in (NumpyKernel(q), LlvmKernel(q)):
        np.testing.assert_array_equal(kernel(plan, values)[0, 0], [0.0, 1.0, 0.0, 0.0])


# --- lookups ----------------------------------------------------------------------------------


def test_a_lookup_joins_its_points_and_holds_its_ends() -> None:
    x = np.array([-9.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.75, 3.0, 9.0])
    expected = [2.0, 2.0, 0.5, -1.0, 3.0, 7.0, 7.25, 7.5, 7.5]
    np.testing.assert_allclose(lookup_value(TABLES["plain"], x), expected, rtol=1e-15)


def test_an_extrapolating_lookup_goes_on_along_its_end_segments() -> None:
    x = np.array([-2.0, 4.0])
    np.testing.assert_allclose(lookup_value(TABLES["extrapolate"], x), [5.0, 7.7], rtol=1e-15)


def test_a_holding_lookup_keeps_the_point_to_the_left() -> None:
    x = np.array([-9.0, -1.0, -0.5, 0.0, 0.49, 0.5, 3.0, 9.0])
    expected = [2.0, 2.0, 2.0, -1.0, -1.0, 7.0, 7.5, 7.5]
    np.testing.assert_array_equal(lookup_value(TABLES["hold"], x), expected)


def test_beyond_its_ends_a_lookup_has_slope_zero() -> None:
    slopes = lookup_value(slope_table(TABLES["plain"]), np.array([-9.0, -0.5, 0.25, 1.0, 9.0]))
    np.testing.assert_allclose(slopes, [0.0, -3.0, 16.0, 0.2, 0.0], rtol=1e-15)


# --- the language against PySD ------------------------------------------------------------------

# x runs from -2 to 2 over the run; PySD has no PROD, and writes LN and ARCSIN of what has none
# as NaN like us.
EQUATIONS = {
    "arithmetic": "x*x - 3/(x + 5) + (-x)^2 - 2^x",
    "powers": "(x + 3)^(x/2) + 2^3^0.5",
    "sign before a power": "-2^2 + x",
    "comparisons": "(x > 0.5) + 10*(x >= 1) + 100*(x < -0.5) + 1000*(x <= 0)",
    "equality": "IF THEN ELSE(x = 0, 1, 0) + IF THEN ELSE(x <> 0, 10, 0)",
    "logic": "IF THEN ELSE(x > -1 :AND: x < 1 :OR: :NOT: x < 1.5, 1, 0)",
    "extremes": "MIN(x, 0.5) + MAX(x, -0.5)",
    "exponentials": "EXP(x) + LN(x + 3) + LOG(x + 3, 10) + SQRT(x + 2)",
    "integer": "INTEGER(1.7*x)",
    "quantum": "QUANTUM(x, 0.3)",
    "modulo": "MODULO(x, 0.7)",
    "circular": "SIN(x) + COS(x) + TAN(x/2)",
    "inverse": "ARCSIN(x/2) + ARCCOS(x/2) + ARCTAN(x)",
    "hyperbolic": "SINH(x) + COSH(x) + TANH(x)",
    "guarded": "XIDZ(1, x, 7) + ZIDZ(1, x)",
    "absolute": "ABS(x)",
    "step": "STEP(3, 1) + STEP(x, 0.3)",
    "ramp": "RAMP(2, 1, 3) + RAMP(1, 2.1, 2.6)",
    "pulse": "PULSE(1, 0.5) + PULSE(2.1, 0.6)",
    "with lookup": "WITH LOOKUP(x, ((-1,2),(0,-1),(0.5,7),(1.5,7.5)))",
    "named lookup": "curve(x)",
    "smooth": "SMOOTH(x, 0.8)",
    "smooth 3": "SMOOTH3I(x, 0.8, 1)",
    "delay": "DELAY1(x, 0.8)",
    "delay 3": "DELAY3I(x, 0.8, 1)",
    "initial": "INITIAL(x + 5)",
}


def test_every_function_of_the_language_is_that_of_pysd(tmp_path: Path) -> None:
    # PySD confuses a variable 'ramp' with the function.
    names = [f"{name} of x" for name in EQUATIONS]
    equations = [f"{name} of x = {right}" for name, right in EQUATIONS.items()]
    path = write(
        tmp_path,
        text("x = Time - 2", "curve((-1,2),(0,-1),(0.5,7),(1.5,7.5))", *equations),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pysd

        theirs = pysd.read_vensim(str(path)).run(return_columns=names)
    for backend in ("numpy", "llvm"):
        ours = load_model(path).simulate(outputs=names, backend=backend)
        for name in names:
            np.testing.assert_allclose(
                ours[name], theirs[name].to_numpy(dtype=float), rtol=1e-12, atol=1e-14, err_msg=name
            )
