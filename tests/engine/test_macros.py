"""Macros of Vensim written out: further outputs, and calls inside sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.run.prepare import Backend
from beltcast.errors import ModelFileError, UnsupportedConstruct
from beltcast.model.model import Model

from ..small_models import text, write
from .language_models import close, model_of, values

BACKENDS: tuple[Backend, ...] = ("numpy", "llvm")
ADD3 = (
    ":MACRO: ADD3(val1, val2, val3 : minval,\n\tmaxval)\n"
    "ADD3 = val1 + val2 + val3 ~~|\n"
    "minval = MIN(val1, MIN(val2, val3)) ~~|\n"
    "maxval = MAX(val1, MAX(val2, val3)) ~~|\n:END OF MACRO:\n"
)
"""The example of Vensim's help (22150)."""


def with_macro(folder: Path, macro: str, *equations: str) -> Model:
    return load_model(
        write(folder, macro + text(*equations, TIME_STEP="1").removeprefix("{UTF-8}"))
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_further_outputs_are_variables_of_the_model(tmp_path: Path, backend: Backend) -> None:
    model = with_macro(
        tmp_path,
        ADD3,
        "s: A, B",
        "v[s] = 1, 9",
        "Total[s] = Add3(v[s], Time, 3 : The Low[s],\\\n\tThe_High[s])",
        "spread[s] = the high[s] - the low[s]",
        "plain = ADD3(SUM(v[s!]), 1, 2)",
    )
    run = model.simulate(backend=backend)
    assert run["Total"].T.values.tolist() == [[4, 5, 6, 7, 8], [12, 13, 14, 15, 16]]
    assert run["The Low"].T.values.tolist() == [[0, 1, 1, 1, 1], [0, 1, 2, 3, 3]]
    assert run["spread"].T.values.tolist() == [[3, 2, 2, 2, 3], [9, 8, 7, 6, 6]]
    assert run["plain"].values.tolist() == [13] * 5


def test_an_output_needs_a_name_and_an_equation(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="output of the macro 'add3' is given as an ex"):
        with_macro(tmp_path, ADD3, "x = ADD3(1, 2, 3 : 2*low, high)")
    with pytest.raises(ModelFileError, match="3 arguments, or 2 outputs more, and is given 4"):
        with_macro(tmp_path, ADD3, "x = ADD3(1, 2, 3 : low)")
    with pytest.raises(ModelFileError, match="no equation of the name 'half'"):
        with_macro(tmp_path, ":MACRO: M(a : half)\nM = a ~~|\n:END OF MACRO:\n", "x = M(1 : h)")


def test_statistics_of_a_fit_count_the_points_there_are(tmp_path: Path) -> None:
    """As macros for Theil's inequality do: raw data, a flag where there are some, flag * data."""
    statistics = (
        ":MACRO: FIT(historical, simulated : R2, Count)\n"
        "FIT = IF THEN ELSE(pick, Xi - Yi, :NA:) ~~|\n"
        "R2 = ZIDZ(Mxy - MX*MY, Sx*Sy)^2 ~~|\n"
        "Count = INTEG(pick/dt, 0) ~~|\n"
        "pick = IF THEN ELSE(Y = :NA: :OR: X = :NA:, 0, 1) ~~|\n"
        "dt = TIME STEP$ ~~|\n"
        "Xi = pick*X ~~|\nYi = Y*pick ~~|\n"
        "MX = ZIDZ(INTEG(Xi/dt, 0), Count) ~~|\nMY = ZIDZ(INTEG(Yi/dt, 0), Count) ~~|\n"
        "Mxy = ZIDZ(INTEG(Xi*Yi/dt, 0), Count) ~~|\n"
        "Sx = SQRT(MAX(0, ZIDZ(INTEG(Xi*Xi/dt, 0), Count) - MX*MX)) ~~|\n"
        "Sy = SQRT(MAX(0, ZIDZ(INTEG(Yi*Yi/dt, 0), Count) - MY*MY)) ~~|\n"
        "Y :RAW: := historical ~~|\nX := simulated ~~|\n:END OF MACRO:\n"
    )
    model = with_macro(
        tmp_path,
        statistics,
        "seen",
        "result = 5 + SIN(Time)",
        "residual = FIT(seen, result : r squared, points)",
        "later = INTEG(Time, 0)",
    )
    times, values = np.array([0.0, 1.0, 3.0]), np.array([4.0, 7.0, 5.0])
    run = model.simulate(inputs={"seen": (times, values)})
    expected = np.corrcoef(5 + np.sin(times), values)[0, 1] ** 2
    assert run["points"].values.tolist() == [0, 1, 2, 2, 3]
    assert float(run["r squared"][-1]) == pytest.approx(expected, rel=1e-9)
    assert np.isnan(run["residual"].values).tolist() == [False, False, True, False, True]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_macro_may_stand_in_a_sum(tmp_path: Path, backend: Backend) -> None:
    grow = ":MACRO: GROW(a)\nGROW = INTEG(a, 1) ~~|\n:END OF MACRO:\n"
    model = with_macro(
        tmp_path,
        grow,
        "s: A, B",
        "u: C, D",
        "v[s] = 1, 10",
        "w[u] = 100, 1000",
        "x = SUM(GROW(v[s!]))",
        "y[u] = SUM(GROW(v[s!] + w[u])) + 1",
    )
    run = model.simulate(backend=backend)
    assert run["x"].values.tolist() == [2, 13, 24, 35, 46]
    assert run["y"][:2].values.tolist() == [[3, 3], [214, 2014]]
    with pytest.raises(UnsupportedConstruct, match="inside a SUM over a range of the equation"):
        with_macro(tmp_path, grow, "s: A, B", "v[s] = 1, 10", "x[s] = v[s] + SUM(GROW(v[s!]))")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_delay_with_its_pipeline_is_a_delay_and_what_is_in_it(
    tmp_path: Path, backend: Backend
) -> None:
    """fn_delayp: "The following equations have the same effect"."""
    model = with_macro(
        tmp_path,
        "",
        "starts = 10 + STEP(5, 1)",
        "lead = 3",
        "done = DELAYP(starts, lead : in work)",
        "done again = DELAY3(starts, lead)",
        "in work again = INTEG(starts - done again, starts*lead)",
        "both = DELAYP(starts, lead)",
    )
    run = model.simulate(backend=backend)
    np.testing.assert_allclose(run["done"], run["done again"], rtol=1e-14)
    np.testing.assert_allclose(run["in work"], run["in work again"], rtol=1e-14)
    assert run["both"].values.tolist() == run["done"].values.tolist()
    assert run["in work"].values[:3].tolist() == [30, 30, 35]


def test_each_call_of_a_macro_has_its_own_stock(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        ":MACRO: GROW(inflow, start)\nGROW = INTEG(twice, start) ~~|\n"
        "twice = inflow*2 ~~|\n:END OF MACRO:\n"
        "d: A, B ~~|\nrate[d] = 1, 10 ~~|\n"
        "y[d] = GROW(rate[d], 0) ~~|\nz = GROW(Time, 5) + 1 ~~|",
        end=2,
    )
    close(values(model, "y", backend), [[0, 0], [2, 20], [4, 40]])
    close(values(model, "z", backend), [6, 6, 8])


def test_a_macro_that_calls_itself_is_refused(tmp_path: Path) -> None:
    text = ":MACRO: M(x)\nM = M(x) + 1 ~~|\n:END OF MACRO:\ny = M(1) ~~|"
    with pytest.raises(ModelFileError, match="'m' calls itself"):
        model_of(tmp_path, text)
