"""Numbers that must not be off by a bit, because something below turns the bit into a step.

INTEGER, QUANTUM, MODULO, comparisons and staircases are discontinuous; what feeds them must be
exact where mathematics is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.llvm_backend import MANY, LlvmKernel
from beltcast.engine.run.prepare import Backend, Prepared
from beltcast.model.model import Model

from ..small_models import small, write
from ..xmile_texts import aux, xmile

BACKENDS: tuple[Backend, ...] = ("numpy", "llvm")


def of_two(model: Model, a: FloatArray, b: FloatArray, backend: Backend) -> FloatArray:
    """The row 'y' of a model of the constants 'a' and 'b', for many of them."""
    rows = np.array([int(model.rows("a")[0]), int(model.rows("b")[0])])
    out = np.array([int(model.rows("y")[0])])
    values = np.stack(np.broadcast_arrays(a, b)).astype(float)
    return model.batch(rows, values, outputs=out, saves=[0.0], backend=backend)[0, 0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_whole_powers_of_whole_numbers_are_whole(tmp_path: Path, backend: Backend) -> None:
    model = small(tmp_path, "a = 2", "b = 2", "y = INTEGER(a^b)")
    pairs = [(x, k) for x in range(1, 1001) for k in range(54) if x**k < 2**53]
    a, b = np.array(pairs, dtype=float).T
    expected = [float(x**k) for x, k in pairs]
    np.testing.assert_array_equal(of_two(model, a, b, backend), expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("power", "product"),
    [(2, lambda x: x * x), (3, lambda x: x * x * x), (4, lambda x: (x * x) * (x * x))],
)
def test_a_small_power_is_a_product_to_the_bit(
    tmp_path: Path, backend: Backend, power: int, product: Callable[[FloatArray], FloatArray]
) -> None:
    model = small(tmp_path, "a = 2", "b = 2", f"y = a^{power}")
    x = np.random.default_rng(1).uniform(-3.0, 3.0, 1000)
    np.testing.assert_array_equal(of_two(model, x, np.array([0.0]), backend), product(x))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("root", [2, 4, 8])
def test_roots_of_powers_are_whole(tmp_path: Path, backend: Backend, root: int) -> None:
    model = small(tmp_path, "a = 2", "b = 2", "y = INTEGER(a^b)")
    x = [n for n in range(1, 5001) if n**root < 2**53]
    powers = np.array([float(n**root) for n in x])
    np.testing.assert_array_equal(of_two(model, powers, np.array([1 / root]), backend), x)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("equation", "value"),
    [
        ("base^0.5", 3.0),
        ("base^half", 3.0),
        ("base^2", 81.0),
        ("base^3", 729.0),
        ("base^4", 6561.0),
        ("base^5", 59049.0),
        ("base^(-1)*9", 1.0),
        ("base^1.5", 27.0),
        ("POWER(base, half)", 3.0),
        ("LOG(1000, 10)", 3.0),
        ("LOG(base^7, base)", 7.0),
        ("LOG(0.125, 2)", -3.0),
        ("LOG(1e15, 10)", 15.0),
        ("QUANTUM(base^half, 3)", 3.0),
        ("MODULO(base^half, 3)", 0.0),
        ("IF THEN ELSE(base^half = 3, 1, 0)", 1.0),
        ("WITH LOOKUP(base^half - 3, ((-1,0),(0,5),(1,0)))", 5.0),
        ("MODULO(7, -3)", 1.0),
        ("MODULO(-7, 3)", -1.0),
        ("MODULO(-7, -3)", -1.0),
        ("MODULO(0.5, 2e-7)", math.fmod(0.5, 2e-7)),
        ("MODULO(1e15 + 1, 3)", math.fmod(1e15 + 1, 3)),
        ("QUANTUM(0.5, 2e-7)", 2e-7 * math.trunc(0.5 / 2e-7)),
        ("QUANTUM(-2.7, 0.5)", -2.5),
        ("QUANTUM(2.7, -1)", 2.7),
        ("QUANTUM(2.7, 0)", 2.7),
    ],
)
def test_a_step_comes_where_mathematics_has_it(
    tmp_path: Path, equation: str, value: float, backend: Backend
) -> None:
    model = small(tmp_path, "base = 9", "half = 0.5", f"y = {equation}", "whole = INTEGER(y)")
    run = model.simulate(backend=backend)
    assert float(run["y"][0]) == value
    assert float(run["whole"][0]) == math.trunc(value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("base", [2, 3, 5, 10])
def test_logarithms_of_powers_are_whole(tmp_path: Path, backend: Backend, base: int) -> None:
    model = small(tmp_path, "a = 2", "b = 2", "y = LOG(a, b)")
    k = [n for n in range(1, 50) if base**n < 2**53]
    powers = np.array([float(base**n) for n in k])
    np.testing.assert_array_equal(of_two(model, powers, np.array([float(base)]), backend), k)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("equation", "value"),
    [
        ("SAFEDIV(1e-9, 1e-8)", 0.1),
        ("SAFEDIV(5, 0)", 0.0),
        ("SAFEDIV(5, 0, 3)", 3.0),
        ("SAFEDIV(5, -1e-300, 3)", -5e300),
        ("1e-9 // 1e-8", 0.1),
        ("5 // 0", 0.0),
        ("INT(2.7)", 2.0),
        ("INT(-2.7)", -3.0),
        ("INT(-3)", -3.0),
        ("-7 MOD 3", -1.0),
        ("7 MOD -3", 1.0),
    ],
)
def test_division_and_rounding_of_isee(
    tmp_path: Path, equation: str, value: float, backend: Backend
) -> None:
    """SAFEDIV: the alternative only for a zero divisor; INT rounds down; MOD is C's remainder."""
    path = write(tmp_path, xmile(aux("y", equation)), "y.xmile")
    assert float(load_model(path).simulate(backend=backend)["y"][0]) == pytest.approx(
        value, rel=1e-15, abs=0
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("equation", "slope"),
    [
        ("SQRT(ABS(a - 1))", 0.0),
        ("(a - 1)^0.5", 0.0),
        ("(a - 1)^half", 0.0),
        ("(a - 1)^2", 0.0),
        ("(a - 1)^1", 1.0),
        ("ABS(a - 1)", 1.0),
        ("ARCSIN(a)", 0.0),
        ("ARCCOS(a)", 0.0),
        ("SQRT(0*a)", 0.0),
        ("XIDZ(a, a - 1, 3)", 0.0),
        ("LOG(1000*a, 10)", 1 / math.log(10)),
        ("MODULO(7.5*a, 2)", 7.5),
    ],
)
def test_a_tangent_is_finite_where_the_value_is(
    tmp_path: Path, equation: str, slope: float, backend: Backend
) -> None:
    """At a = 1.  Where the slope is infinite it counts as zero, as `primitives` says."""
    model = small(tmp_path, "a = 1", "half = 0.5", f"y = {equation}")
    row = np.array([int(model.rows("a")[0])])
    out = model.batch(
        row,
        np.array([[1.0]]),
        outputs=np.array([int(model.rows("y")[0])]),
        saves=[0.0],
        directions=np.array([0]),
        backend=backend,
    )
    assert float(out[0, 0, 0, 1]) == pytest.approx(slope, abs=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_the_root_of_a_negative_zero_is_zero_as_its_power_is(
    tmp_path: Path, backend: Backend
) -> None:
    # C's pow(-0.0, 0.5) is +0, and 1/(+0) is infinite upwards.
    model = small(tmp_path, "a = 1", "y = ARCTAN(1/((0*-a)^0.5))")
    assert float(model.simulate(backend=backend)["y"][0]) == pytest.approx(math.pi / 2)


def test_compiled_quotients_are_those_of_numpy_to_the_bit(tmp_path: Path) -> None:
    """By constants of a run and by what is equal for all elements: both use reciprocals."""
    model = small(
        tmp_path,
        "R: E1, E2, E3, E4, E5",
        "a = 1",
        "b = 1",
        "c[R] = 7, 0, 1e-300, 49, -3",
        "x = INTEG(1, 1)",
        "y[R] = a/c[R] + x/(c[R] + x) - c[R]/b/x + b/(x*a)",
        "z[R] = c[R]/x",
    )
    rng = np.random.default_rng(8)
    values = np.ldexp(rng.uniform(-1, 1, (2, 500)), rng.integers(-30, 30, (2, 500)))
    values[0, :3], values[1, 3:5] = 0.0, np.inf
    rows = np.concatenate([model.rows("a"), model.rows("b")])
    outputs = np.concatenate([model.rows("y"), model.rows("z")])
    plain, compiled = (
        model.batch(rows, values, outputs=outputs, saves=[0.0, 1.0], backend=b) for b in BACKENDS
    )
    np.testing.assert_array_equal(plain, compiled)
    assert np.isfinite(plain).any()


def test_wider_blocks_of_a_large_ensemble_give_the_same_bits(tmp_path: Path) -> None:
    model = small(tmp_path, "a = 1", "x = INTEG(EXP(-a*x)/x^a - x/a, a)")
    values = np.random.default_rng(9).uniform(0.5, 2, (1, MANY + 7))
    few, many = (
        model.batch(model.rows("a"), v, outputs=model.rows("x"), saves=[1.0])
        for v in (values[:, -100:], values)
    )
    (kernel,) = (k.kernel for k in model._kernels.values() if isinstance(k, Prepared))
    assert isinstance(kernel, LlvmKernel)
    assert kernel._wide is not None
    np.testing.assert_array_equal(few[..., :], many[..., -100:])
