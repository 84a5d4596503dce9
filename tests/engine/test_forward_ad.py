"""Exact derivatives of whole runs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.prepare import Backend
from beltcast.model.model import Model

from ..small_models import small
from .language_models import model_of

PARAMETERS = (
    "Imitation Rate",
    "Exit Rate[Distributor]",
    "Belt Size[Foshan]",
    "Support Gain",
    "Tilt Scale",
    "Goodwill Elasticity",
    "Price War Elasticity",
    "Quality Elasticity",
    "Capacity Adjustment Time",
    "Demand Trend Error",
)
OUTPUTS = ("output", "brand share of output", "active sellers", "national trade")


@pytest.fixture(scope="module")
def belt(root: Path) -> Model:
    return load_model(root / "models" / "belt" / "belt.mdl")


def test_the_jacobian_of_the_belt_model_against_central_differences(belt: Model) -> None:
    """A central difference over h errs by h^2/6 of the third derivative and 1e-14/h of rounding.

    Off the kinks 1e-5 of the parameter's size leaves about 1e-9 of either; 1e-6 is requested.
    """
    rows = np.concatenate([belt.rows(label) for label in PARAMETERS])
    outputs = np.concatenate([belt.rows(name) for name in OUTPUTS])
    base = np.array([belt.value(label) for label in PARAMETERS])
    h = 1e-5 * np.maximum(np.abs(base), 0.1)
    saves = [2018.0, 2024.0, 2035.0]
    exact = {
        backend: belt.batch(
            rows,
            base[:, None],
            outputs=outputs,
            totals=belt.rows("national output"),
            saves=saves,
            directions=np.arange(len(rows)),
            backend=backend,
        )[:, :, 0]
        for backend in ("numpy", "llvm")
    }
    around = np.concatenate([base[:, None] + np.diag(h), base[:, None] - np.diag(h)], axis=1)
    moved = belt.batch(
        rows, around, outputs=outputs, totals=belt.rows("national output"), saves=saves
    )
    d = len(rows)
    difference = (moved[:, :, :d] - moved[:, :, d:]) / (2 * h)
    # Relative to the largest effect of the parameter on that output: small effects are
    # differences of large ones.
    scale = np.abs(difference).max(axis=0, keepdims=True)
    assert (scale > 0).any(axis=1).all(), "every parameter moves something"
    error = np.abs(exact["llvm"][..., 1:] - difference)
    # Rounding of the runs themselves, where an effect is tiny beside its output.
    floor = 1e-13 * np.abs(moved[:, :, :1]) / h
    assert (error <= 1e-6 * scale + floor).all()
    np.testing.assert_allclose(
        exact["numpy"], exact["llvm"], rtol=1e-12, atol=1e-12 * float(np.abs(difference).max())
    )


def test_values_beside_derivatives_are_those_of_a_plain_run(belt: Model) -> None:
    rows = np.concatenate([belt.rows(label) for label in PARAMETERS[:3]])
    values = np.array([[belt.value(label)] * 2 for label in PARAMETERS[:3]])
    values[0, 1] *= 1.1
    outputs = belt.rows("output")
    plain = belt.batch(rows, values, outputs=outputs, saves=[2024.0])
    both = belt.batch(rows, values, outputs=outputs, saves=[2024.0], directions=np.arange(3))
    assert both.shape == (1, 15, 2, 4)
    np.testing.assert_allclose(both[..., 0], plain, rtol=1e-13)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_derivatives_of_decay_are_those_of_its_euler_solution(root: Path, backend: str) -> None:
    """S = S0 (1 - dt/L)^n: dS/dL = S n dt / (L^2 (1 - dt/L)), dS/dS0 = S/S0."""
    model = load_model(root / "models" / "decay" / "decay.mdl")
    rows = np.concatenate([model.rows("Lifetime"), model.rows("Initial Stock")])
    values = np.array([[5.0, 2.0], [100.0, 30.0]])
    result = model.batch(
        rows,
        values,
        outputs=model.rows("Stock"),
        saves=[0.0, 4.0],
        directions=np.array([0, 1]),
        backend=backend,  # type: ignore[arg-type]
    )
    dt, n = 0.0625, 64
    for m, (lifetime, start) in enumerate(values.T):
        stock = start * (1 - dt / lifetime) ** n
        slope = stock * n * dt / (lifetime**2 * (1 - dt / lifetime))
        np.testing.assert_allclose(result[1, 0, m], [stock, slope, stock / start], rtol=1e-12)
        np.testing.assert_allclose(result[0, 0, m], [start, 0.0, 1.0], rtol=1e-15)


def test_a_lookup_beyond_its_ends_passes_no_derivative_on(tmp_path: Path) -> None:
    model = small(tmp_path, "f((0,0),(1,3))", "k = 0", "y = f(k)", "z = k*y")
    rows, outputs = model.rows("k"), np.concatenate([model.rows("y"), model.rows("z")])
    for backend in ("numpy", "llvm"):
        result = model.batch(
            rows,
            np.array([[-2.0, 0.5, 7.0]]),
            outputs=outputs,
            saves=[1.0],
            directions=np.array([0]),
            backend=backend,  # type: ignore[arg-type]
        )
        assert result[0, 0, :, 1].tolist() == [0.0, 3.0, 0.0]
        assert result[0, 1, :, 1].tolist() == [0.0, 3.0, 3.0]


def test_what_does_not_depend_has_derivative_zero(tmp_path: Path) -> None:
    model = small(tmp_path, "a = 1", "b = 2", "S = INTEG(a, b)", "t = 3*b", "u = a*b")
    outputs = np.concatenate([model.rows(n) for n in ("S", "t", "u")])
    result = model.batch(
        np.concatenate([model.rows("a"), model.rows("b")]),
        np.array([[1.0], [2.0]]),
        outputs=outputs,
        saves=[4.0],
        directions=np.array([0]),
    )
    assert result[0, :, 0].tolist() == [[6.0, 4.0], [6.0, 0.0], [2.0, 2.0]]
    for backend in ("numpy", "llvm"):
        by_start = model.batch(
            model.rows("b"),
            np.array([[2.0]]),
            outputs=outputs,
            saves=[4.0],
            directions=np.array([0]),
            backend=backend,  # type: ignore[arg-type]
        )
        assert by_start[0, :, 0].tolist() == [[6.0, 1.0], [6.0, 3.0], [2.0, 1.0]]


def test_derivatives_pass_through_every_stage_of_a_model(tmp_path: Path) -> None:
    """Initial values, INITIAL, delays, sums over part of a range: against the closed form."""
    model = small(
        tmp_path,
        "All: North, South, East, West",
        "k = 1.3",
        "x[All] = 1, 2, 3, 4",
        "y[North] = k^2",
        "y[South] = 5",
        "y[East] = EXP(k)",
        "y[West] = INITIAL(k*S)",
        "S = INTEG(0, SIN(k))",
        "z[All] = y[All]*x[All]",
        "total = SUM(z[All!])",
        "whole[All] = z[All]^2",
        "d = SMOOTHI(total, 1, total)",
    )
    k = 1.3
    exact = 2 * k + 3 * math.exp(k) + 4 * (math.sin(k) + k * math.cos(k))
    for backend in ("numpy", "llvm"):
        result = model.batch(
            model.rows("k"),
            np.array([[k]]),
            outputs=np.concatenate([model.rows(n) for n in ("total", "d", "whole[South]")]),
            saves=[0.0, 4.0],
            directions=np.array([0]),
            backend=backend,  # type: ignore[arg-type]
        )
        np.testing.assert_allclose(result[:, :2, 0, 1], exact, rtol=1e-13)
        assert result[:, 2, 0].tolist() == [[100.0, 0.0]] * 2


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_derivatives_by_an_initial_value_and_at_a_divisor_of_zero(
    tmp_path: Path, backend: str
) -> None:
    """DELAY FIXED passes its initial value on for the delay; XIDZ has its third argument at 0."""
    model = small(
        tmp_path,
        "start = 3",
        "a = 5",
        "b = 0",
        "late = DELAY FIXED(Time, 2, start)",
        "safe = XIDZ(a, b, start)",
        TIME_STEP="0.5",
    )
    rows = np.concatenate([model.rows(name) for name in ("start", "a")])
    outputs = np.concatenate([model.rows(name) for name in ("late", "safe")])
    result = model.batch(
        rows,
        np.array([[3.0], [5.0]]),
        outputs=outputs,
        saves=[0.0, 1.5, 2.0, 4.0],
        directions=np.array([0, 1]),
        backend=backend,  # type: ignore[arg-type]
    )
    late, safe = result[:, 0, 0], result[:, 1, 0]
    assert late.tolist() == [[3, 1, 0], [3, 1, 0], [0, 0, 0], [2, 0, 0]]
    assert safe.tolist() == [[3, 1, 0]] * 4


@pytest.mark.parametrize(
    "expression",
    [
        "SAMPLE IF TRUE(Time > 1, k*Time, k)",
        "DELAY FIXED(k*k*Time, 2, k)",
        "DELAY N(k*Time, 3 + STEP(1, 1), k, 2)",
        "TREND(k + Time, 2, k)",
        "FORECAST(k + Time*k, 2, 3)",
        "ACTIVE INITIAL(k*Time, k)",
    ],
)
def test_derivatives_pass_through_memory(expression: str, tmp_path: Path, backend: Backend) -> None:
    model = model_of(tmp_path, f"k = 1.5 ~~|\ny = {expression} ~~|\ns = INTEG(y, k) ~~|")
    saves = model.grid().saved()
    rows = np.concatenate([model.rows("y"), model.rows("s")])
    parameters = model.rows("k")

    def at(k: float) -> FloatArray:
        return model.batch(parameters, np.array([[k]]), outputs=rows, saves=saves, backend=backend)[
            :, :, 0
        ]

    exact = model.batch(
        parameters,
        np.array([[1.5]]),
        outputs=rows,
        saves=saves,
        directions=np.array([0]),
        backend=backend,
    )[:, :, 0, 1]
    # Central differences: error of third order, about 1e-10 with this step.
    slope = (at(1.5 + 1e-5) - at(1.5 - 1e-5)) / 2e-5
    np.testing.assert_allclose(exact, slope, rtol=1e-7, atol=1e-8)
