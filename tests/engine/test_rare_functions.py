"""Functions of Vensim and isee that few models use, against the rule of their manual by hand.

FIND MARKET PRICE, DEMAND AT PRICE and SUPPLY AT PRICE are compared with Vensim's output published
with SDEverywhere's `allocate_price` by `python -m tests.sdeverywhere`.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from scipy import stats

from beltcast import load_model
from beltcast.engine.language.lookups import area_from_start, lookup_value
from beltcast.engine.language.primitives import PRIMITIVES
from beltcast.engine.nodes import Apply, Const, LookupAt, Node
from beltcast.engine.run.plan import Method
from beltcast.engine.run.prepare import Backend
from beltcast.engine.syntax import Table
from beltcast.errors import ModelFileError, UnsupportedConstruct

from ..small_models import small, text, write
from ..xmile_texts import aux, y
from ..xmile_texts import write as write_xmile
from .test_wasm_backend import assert_same

BACKENDS: tuple[Backend, ...] = ("numpy", "llvm")
STEPS = {"TIME_STEP": "1", "FINAL_TIME": "4"}
VECTOR = ("R: r1, r2, r3", "v[R] = 1, 3, 2")
CURVE = "look((0,1),(1,1),(2,2))"


def series(folder: Path, equation: str, backend: Backend, *more: str, **controls: str) -> list:
    model = small(folder, *more, f"x = {equation}", **STEPS | controls)
    return model.simulate(backend=backend)["x"].values.tolist()


# The vector lies at 0, 10 and 20: 1, 3, 2.  Time is 0 to 4.
LOOKUPS = [
    ("VECTOR LOOKUP(v[r1], 5*Time, 0, 20, 0)", [1, 2, 3, 2.5, 2]),
    ("VECTOR LOOKUP(v[r1], 10*Time - 5, 0, 20, 0)", [1, 2, 2.5, 2, 2]),
    ("VECTOR LOOKUP(v[r1], 10*Time - 5, 0, 20, 3)", [0, 2, 2.5, 1.5, 0.5]),
    # From 0 on: 10 * 2 under the first line, 10 * 2.5 under the second, then 2 a unit.
    ("VECTOR LOOKUP(v[r1], 10*Time, 0, 20, 1)", [0, 20, 45, 65, 85]),
    ("VECTOR LOOKUP(v[r1], 10*Time - 10, 0, 20, 1)", [-10, 0, 20, 45, 65]),
    # The second line falls by 0.1 a unit: 2*10 - 0.05*100 more.
    ("VECTOR LOOKUP(v[r1], 10*Time, 0, 20, 7)", [0, 20, 45, 60, 65]),
    # The first line rises by 0.2 a unit: on the left of 0 it is 1 - 0.2*10 at -10, area 0.
    ("VECTOR LOOKUP(v[r1], 10*Time - 10, 0, 20, 7)", [0, 0, 20, 45, 60]),
    ("VECTOR LOOKUP(v[r1], 6*Time, 0, 20, 2)", [1, 1, 3, 3, 2]),
    ("VECTOR LOOKUP(v[r1], 6*Time, 0, 20, 4)", [1, 3, 2, 2, 2]),
    # An inverse needs a vector that rises: 1, 3, 4 by the sum below.
    ("VECTOR LOOKUP(w[r1], Time, 0, 20, 5)", [0, 0, 5, 10, 20]),
    ("VECTOR LOOKUP(w[r1], Time + 1, 0, 20, 8)", [0, 5, 10, 20, 30]),
    ("VECTOR LOOKUP(fall[r1], Time, 0, 20, 5)", [20, 20, 15, 10, 0]),
    # The examples of Vensim's manual.
    ("LOOKUP AREA(look, 0, 1)", [1] * 5),
    ("LOOKUP AREA(look, 2, 4)", [4] * 5),
    ("LOOKUP AREA(look, 0.5, 2.5)", [3] * 5),
    ("LOOKUP AREA(look, 0, Time)", [0, 1, 2.5, 4.5, 6.5]),
    ("LOOKUP AREA(look, Time - 2, 0)", [2, 1, 0, -1, -2.5]),
]
VECTORS = (*VECTOR, "w[R] = v[R] + add[R]", "add[R] = 0, 0, 2", CURVE, "fall[R] = 4, 3, 1")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("equation", "expected"), LOOKUPS)
def test_areas_and_vectors_as_lookups(
    tmp_path: Path, equation: str, expected: list[float], backend: Backend
) -> None:
    found = series(tmp_path, equation, backend, *VECTORS)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_vector_that_turns_has_no_inverse(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="'x'"):
        series(tmp_path, "VECTOR LOOKUP(v[r1], 2, 0, 20, 5)", "numpy", *VECTOR)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        # Each value of the input, one step late, until time 2; then it stays.
        ("SAMPLE UNTIL(2, Time, -1)", [-1, 0, 1, 1, 1]),
        ("SSHAPE(Time/4, 1)", [0, 0.25, 0.5, 0.75, 1]),
        ("SSHAPE(Time/4, 2)", [0, 0.125, 0.5, 0.875, 1]),
        ("SSHAPE(Time - 2, 3)", [0, 0, 0, 1, 1]),
        ("RAMP FROM TO(2, 8, 1, 3, 1)", [2, 2, 5, 8, 8]),
        ("RAMP FROM TO(2, 8, 1, 3, 0)", [2, 2, 4, 8, 8]),
        # Constant growth from any positive value to any other; a straight line from or to 0.
        ("RAMP FROM TO(0.5, 0.125, 1, 3, 0)", [0.5, 0.5, 0.25, 0.125, 0.125]),
        ("RAMP FROM TO(0, 8, 1, 3, 0)", [0, 0, 4, 8, 8]),
        ("RAMP FROM TO(8, 0, 1, 3, 0)", [8, 8, 4, 0, 0]),
        ("RAMP FROM TO(-2, 8, 1, 3, 0)", [-2, -2, 3, 8, 8]),
        ("NORMAL CDF(Time - 2)", stats.norm.cdf([-2, -1, 0, 1, 2])),
        ("DELAY MATERIAL(Time, 2, 7, -5)", [7, 7, 0, 1, 2]),
        ("DELAY INFORMATION(Time, 2, 7)", [7, 7, 0, 1, 2]),
        # Each value of the clock comes out 2 later; from time 2 on after 1: 2 comes before 1 would.
        ("DELAY INFORMATION(Time, 2 - STEP(1, 2), 7)", [7, 7, 0, 2, 3]),
        # From time 2 on after 3: nothing new comes out before 5.
        ("DELAY INFORMATION(Time, 1 + STEP(2, 2), 7)", [7, 0, 1, 1, 1]),
        # The clock's 1 and 2 come out together at time 3; 7 for the delay time of the start.
        ("DELAY MATERIAL(Time, 2 - STEP(1, 2), 7, -5)", [7, 7, 0, 1 + 2, 3]),
        # From time 2 on after 3: nothing comes out at 3 and 4, which gives the missing value.
        ("DELAY MATERIAL(Time, 1 + STEP(2, 2), 7, -5)", [7, 0, 1, -5, -5]),
        # After 3 at time 0, after 1 from time 1 on: what comes out joins the last initial value.
        ("DELAY MATERIAL(3 + Time, 3 - STEP(2, 1), 7, -5)", [7, 7, 7 + 4, 3 + 5, 6]),
        # 12 on it at first, 4 a step; a tenth of what is on it leaks each step: what flows on at
        # time 0 has leaked three times when it comes off.
        ("DELAY CONVEYOR(10, 3, 0, flat, 12, 3)", [4, 4, 4, 10, 10]),
        ("DELAY CONVEYOR(10, 3, 0.1, flat, 12, 3)", [4, 3.6, 3.24, 7.29, 7.29]),
    ],
)
def test_functions_of_time_and_memory(
    tmp_path: Path, equation: str, expected: list[float], backend: Backend
) -> None:
    found = series(tmp_path, equation, backend, "flat((0,1),(1,1))")
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        # A profile from 0 to 2 has the mean 1; with a delay of 2 it lasts from 0 to 4.  Half of
        # each quarter goes to the step before it: 1/8 at 0, which leaves one step later, and at 4.
        ("DELAY PROFILE(even, PULSE(0, 1), 2, 0, 0)", [0, 3 / 8, 1 / 4, 1 / 4, 1 / 8]),
        # A narrow profile is a fixed delay, and lets out its initial value until then.
        ("DELAY PROFILE(late, 3 + Time, 2, 7, 0)", [7, 7, 3, 4, 5]),
        # What grew by a tenth a step before the start goes on growing if the input does.
        ("DELAY PROFILE(late, 1.1^Time, 2, 1.1^-2, LN(1.1))", 1.1 ** np.arange(-2.0, 3.0)),
        # Paid at the ends of periods 1 and 2: 100 = 55/1.1 + 60.5/1.1^2.
        (
            "INTERNAL RATE OF RETURN(IF THEN ELSE(Time < 1, 55, 60.5), 1, -100, 0)",
            [None, -0.45, 0.1],
        ),
        # Two steps a period: 60 and 61 are paid together at its end.
        ("INTERNAL RATE OF RETURN(60 + Time, 2, -110, 0)", [None, -5 / 11, 0.1]),
        # Nobody is paid back.
        ("INTERNAL RATE OF RETURN(5, 1, 100, 0)", [None, None, None, None, None]),
        # The rate would be 9, beyond the largest of 1.
        ("INTERNAL RATE OF RETURN(1000, 4, -100, 0)", [None, None, None, None, None]),
        ("REINITIAL(3 + Time)", [3, 3, 3, 3, 3]),
    ],
)
def test_functions_of_a_whole_past(
    tmp_path: Path, equation: str, expected: list[float | None], backend: Backend
) -> None:
    profiles = ("even((0,1),(2,1))", "late((1,0),(1.0001,1),(1.0002,0))")
    found = series(tmp_path, equation, backend, *profiles)[: len(expected)]
    np.testing.assert_allclose(found, np.array(expected, dtype=float), rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("adding", "size", "last", "gone"),
    [
        (0, "3", [1, 2, 2, 3.5, 3.5], [0, 1, 0, 2, 0]),
        (1, "ELMCOUNT(chain)", [1, 3, 3, 6.5, 6.5], [0, 0, 0, 0, 0]),
    ],
)
def test_a_chain_is_shifted_before_anything_else_is_computed(
    tmp_path: Path, adding: float, size: str, last: list[float], gone: list[float], backend: Backend
) -> None:
    """At times 1 and 3, while half a unit a step flows into the first of three."""
    run = small(
        tmp_path,
        "A: before, a1, a2, a3",
        "chain: a1, a2, a3",
        "p[before] = INTEG(1, 0)",
        "p[chain] = INTEG(births[chain], first[chain])",
        "births[chain] = 0.5, 0, 0",
        "first[chain] = 3, 2, 1",
        f"gone = SHIFT IF TRUE(p[a1], MODULO(Time, 2) = 1, {size}, {adding}, 10)",
        "total = SUM(p[chain!])",
        **STEPS,
    ).simulate(backend=backend)
    expected = [[0, 3, 2, 1], [1, 10, 3.5], [2, 10.5, 3.5], [3, 10, 11], [4, 10.5, 11]]
    for row, own in zip(run["p"].values, expected, strict=True):
        np.testing.assert_array_equal(row[: len(own)], own)
    np.testing.assert_array_equal(run["p"].values[:, 3], last)
    np.testing.assert_array_equal(run["gone"].values, gone)
    np.testing.assert_array_equal(run["total"].values, run["p"].values[:, 1:].sum(axis=1))


def test_a_shift_of_many_chains_and_a_part_of_the_model(tmp_path: Path) -> None:
    model = small(
        tmp_path,
        "A: a1, a2, a3",
        "G: m, f",
        "p[G, A] = INTEG(0, start[G, A])",
        "start[G, A] = 1, 2, 3; 4, 5, 6;",
        "gone[G] = SHIFT IF TRUE(p[G, a1], Time = 2, 2, 0, 0)",
        **STEPS,
    )
    run = model.simulate(outputs="p")
    assert run["p"].values[-1].tolist() == [[0, 1, 3], [0, 4, 6]]


def test_what_leaks_off_a_delay_conveyor_is_what_the_manual_says(tmp_path: Path) -> None:
    """Its four equations of the leakage, around a conveyor: nothing is made or lost."""
    run = small(
        tmp_path,
        "flat((0,1),(1,1))",
        "inflow = 5 + STEP(3, 1)",
        "out = DELAY CONVEYOR(inflow, 2, leak rate, flat, 8, 2)",
        "leak rate = 0.2",
        "ahead level = convey total + TIME STEP*(inflow - out)",
        "total leakage = ahead level*leak rate",
        "convey total = INTEG(inflow - out - total leakage, 8)",
        "gone = INTEG(out + total leakage, 0)",
        FINAL_TIME="9",
        TIME_STEP="0.25",
    ).simulate()
    # All that is on it came within the last 8 steps and has leaked as often as it moved.
    kept = 1 - 0.2 * 0.25
    on_it = sum(8 * 0.25 * kept ** (k + 1) for k in range(8))
    assert float(run["convey total"][-1]) == pytest.approx(on_it, rel=1e-12)
    assert float(run["out"][-1]) == pytest.approx(8 * kept**8, rel=1e-12)


@pytest.mark.parametrize(
    "name", ["lookup", "area", "vector", "inverse", "memory", "conveyor", "price", "calendar"]
)
def test_every_backend_gives_the_same(tmp_path: Path, name: str) -> None:
    pprofile = ("P: ptype, ppriority, pwidth, pextra", "pp[P] = 2, 1, 2, 0")
    models = {
        "lookup": ["y = SSHAPE(Time/4, 1.5) + RAMP FROM TO(1, 4, 1, 3, 0) + NORMAL CDF(Time - 2)"],
        "area": [CURVE, "y = LOOKUP AREA(look, Time/7, Time)"],
        "vector": [*VECTORS, "y = VECTOR LOOKUP(v[r1], 5*Time, 1, 19, 7)"],
        "inverse": [*VECTORS, "y = VECTOR LOOKUP(w[r1], Time, 1, 19, 8)"],
        "memory": ["y = SAMPLE UNTIL(2, Time, k)", "k = 3"],
        "conveyor": ["flat((0,1),(1,1))", "y = DELAY CONVEYOR(Time, 2, k, flat, 9, 2)", "k = 0.1"],
        "price": [*pprofile, "y = DEMAND AT PRICE(k, pp[ptype], Time/2)", "k = 3"],
        "calendar": ["y = GET TIME VALUE(0, 40*Time, 4) + GET TIME VALUE(0, 0, 1)"],
    }
    path = write(tmp_path, dated(*models[name], unit=4))
    assert_same(load_model(path), "euler")


def test_pink_noise_has_the_mean_the_standard_deviation_and_the_memory_asked_for(
    tmp_path: Path,
) -> None:
    """A first-order process: two values a time apart correlate by (1 - step/time)^steps."""
    model = small(
        tmp_path,
        "x = RANDOM PINK NOISE(5, 2, 4, 1)",
        "NOISE SEED = 1",
        FINAL_TIME="20000",
        TIME_STEP="0.5",
    )
    x = model.simulate()["x"].values
    short = [model.simulate({"FINAL TIME": 9}, backend=b)["x"].values for b in BACKENDS]
    np.testing.assert_allclose(*short, rtol=1e-13)
    # 20,000 / (2 * 4) independent values: 3 standard errors.
    assert x.mean() == pytest.approx(5, abs=3 * 2 / math.sqrt(2500))
    assert x.std() == pytest.approx(2, rel=0.06)
    lag = np.corrcoef(x[:-8], x[8:])[0, 1]
    assert lag == pytest.approx((1 - 0.5 / 4) ** 8, abs=0.05)
    assert x[0] != 5


def test_pink_noise_smooths_normal_numbers_that_are_cut_off_at_six_deviations(
    tmp_path: Path,
) -> None:
    """By its recurrence, from the first two random numbers of a model: the start and the noise."""
    normal = "RANDOM NORMAL(-6, 6, 0, 1, 1)"
    pair = (f"a = {normal}", f"b = {normal}")
    drawn = small(tmp_path, *pair, "NOISE SEED = 1", TIME_STEP="0.5")
    pink = small(tmp_path, "x = RANDOM PINK NOISE(5, 2, 4, 1)", "NOISE SEED = 1", TIME_STEP="0.5")
    white = drawn.simulate(backend="numpy")
    share = 0.5 / 4
    expected = [5 + 2 * float(white["a"][0])]
    for one in white["b"].values[:-1]:
        scaled = 5 + 2 * one * math.sqrt((2 - share) / share)
        expected.append(expected[-1] + share * (scaled - expected[-1]))
    np.testing.assert_allclose(pink.simulate(backend="numpy")["x"], expected, rtol=1e-13)


# --- the calendar -----------------------------------------------------------------------------


def dated(*equations: str, unit: int, first: str = "37:1999\n38:12\n39:31\n", **controls) -> str:
    """A model whose time has dates."""
    sketch = "\\\\\\---/// Sketch information\nV300\n*View\n$0\n///---\\\\\\\n"
    return f"{text(*equations, **STEPS | controls)}{sketch}:L\x7f<%^E!@\n{first}40:{unit}\n"


def test_days_are_those_of_the_calendar(tmp_path: Path) -> None:
    """Every eleventh day of 500 years, against Python's calendar."""
    names = {1: "year", 2: "quarter", 3: "month", 4: "day", 5: "weekday", 6: "days"}
    equations = (f"{name} = GET TIME VALUE(0, -1000, {m})" for m, name in names.items())
    path = write(tmp_path, dated(*equations, unit=4, TIME_STEP="11", FINAL_TIME="182600"))
    run = load_model(path).simulate()
    dates = [date(1999, 12, 31) + timedelta(int(t) - 1000) for t in run["time"].values]
    expected = {
        "year": [d.year for d in dates],
        "quarter": [(d.month + 2) // 3 for d in dates],
        "month": [d.month for d in dates],
        "day": [d.day for d in dates],
        "weekday": [(d.weekday() + 1) % 7 for d in dates],
        "days": [d.toordinal() + 365 for d in dates],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(run[name].values, values, err_msg=name)


def test_four_quarters_of_90_days_are_a_year(tmp_path: Path) -> None:
    names = {1: "year", 2: "quarter", 3: "month", 4: "day"}
    equations = (f"{name} = GET TIME VALUE(0, 0, {m})" for m, name in names.items())
    content = dated(*equations, unit=1, first="37:1999\n38:10\n39:1\n", TIME_STEP="1")
    run = load_model(write(tmp_path, content)).simulate()
    assert run["time"].values.tolist() == [0, 1, 2, 3, 4]
    assert run["year"].values.tolist() == [1999, 2000, 2000, 2000, 2000]
    assert run["quarter"].values.tolist() == [4, 1, 2, 3, 4]
    assert run["month"].values.tolist() == [10, 1, 4, 7, 10]
    assert run["day"].values.tolist() == [1] * 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_year_of_months_has_360_days(tmp_path: Path, backend: Backend) -> None:
    content = dated(
        "year = GET TIME VALUE(0, 0, 1)",
        "quarter = GET TIME VALUE(0, 0, 2)",
        "month = GET TIME VALUE(1, Time, 3)",
        "day = GET TIME VALUE(0, 0, 4)",
        unit=2,
        first="37:1999\n38:11\n39:16\n",
        TIME_STEP="0.5",
    )
    run = load_model(write(tmp_path, content)).simulate(backend=backend)
    assert run["month"].values.tolist() == [11, 12, 12, 1, 1, 2, 2, 3, 3]
    assert run["day"].values.tolist() == [16, 1, 16, 1, 16, 1, 16, 1, 16]
    assert run["year"].values.tolist() == [1999] * 3 + [2000] * 6
    assert run["quarter"].values.tolist() == [4] * 3 + [1] * 6


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (dated("x = GET TIME VALUE(0, 0, 5)", unit=2), "not defined for a model in months"),
        (dated("x = GET TIME VALUE(0, 0, 7)", unit=4), "hours and the clock"),
        (dated("x = GET TIME VALUE(0, 0, 1)", unit=6), "for a model in minutes"),
        (dated("x = GET TIME VALUE(2, 0, 1)", unit=4), "the computer's clock"),
        (text("x = GET TIME VALUE(0, 0, 1)"), "no settings that date its time"),
    ],
)
def test_what_the_manual_leaves_open_of_the_calendar_is_refused(
    tmp_path: Path, content: str, words: str
) -> None:
    with pytest.raises(UnsupportedConstruct, match=words):
        load_model(write(tmp_path, content)).simulate()


# --- refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equation", "words"),
    [
        ("VECTOR LOOKUP(v[r1], Time, 0, 1, 6)", "a slope is the difference of two calls"),
        ("LOOKUP SLOPE(look, Time, 1)", "leaves open the slope at a point"),
        ("ARCTAN2(Time, 1)", r"write ARCTAN\(y/x\)"),
        ("SHIFT IF TRUE(v[r1], Time > 1, 3, 1, 0)", "of what is no stock"),
        ("INTERNAL RATE OF RETURN(1, Time, 0, 0)", "fiscal period is no positive constant"),
        ("DELAY PROFILE(look, Time, 2 + Time, 0, 0)", "a delay time or a growth rate that moves"),
        ("PROBABILITY OF(0.1, 0.2)", "multiply the probabilities"),
        ("DELAY CONVEYOR(Time, 2, 0, look, 9, 2)", "initial profile is not flat"),
    ],
)
def test_what_no_manual_defines_is_refused_with_what_works(
    tmp_path: Path, equation: str, words: str
) -> None:
    with pytest.raises(UnsupportedConstruct, match=words):
        series(tmp_path, equation, "numpy", *VECTOR, CURVE)


# --- isee -------------------------------------------------------------------------------------

GRAPH = '<gf name="g"{kind}><xpts>0,1,2</xpts><ypts>1,1,2</ypts></gf>' + aux("t", "TIME")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("kind", "equation", "expected"),
    [
        ("", "LOOKUPAREA(g)", [2.5] * 5),
        ("", "LOOKUPAREA(g, TIME)", [0, 1, 2.5, 2.5, 2.5]),
        ("", "LOOKUPAREA(g, 1, TIME)", [1, 0, 1.5, 1.5, 1.5]),
        (' type="extrapolate"', "LOOKUPAREA(g, TIME)", [0, 1, 2.5, 5, 8.5]),
        (' type="discrete"', "LOOKUPAREA(g, TIME/2)", [0, 0.5, 1, 1.5, 2]),
        ("", "NORMALCDF(-1, 1)", [stats.norm.cdf(1) - stats.norm.cdf(-1)] * 5),
        (
            "",
            "NORMALCDF(0, TIME, 2, 3)",
            stats.norm.cdf(range(5), 2, 3) - stats.norm.cdf(0, 2, 3),
        ),
        ("", "INVNORM(0.975, 10, 2)", [10 + 2 * stats.norm.ppf(0.975)] * 5),
        ("", "HISTORY(t, TIME - 2)", [0, 0, 0, 1, 2]),
        ("", "HISTORY(t + 5, TIME - 2)", [0, 0, 5, 6, 7]),
        ("", "HISTORY(t, TIME)", [0, 1, 2, 3, 4]),
    ],
)
def test_functions_of_isee(
    tmp_path: Path, kind: str, equation: str, expected: list[float], backend: Backend
) -> None:
    model = load_model(write_xmile(tmp_path, GRAPH.format(kind=kind) + aux("y", equation)))
    np.testing.assert_allclose(y(model, backend), expected, rtol=1e-14, atol=1e-15)


def test_a_graphical_function_is_inverted(tmp_path: Path) -> None:
    graph = '<gf name="g"><xpts>0,1,2</xpts><ypts>1,3,4</ypts></gf>'
    model = load_model(write_xmile(tmp_path, graph + aux("y", "LOOKUPINV(g, TIME + 1)")))
    assert y(model, "numpy").tolist() == [0, 0.5, 1, 2, 2]


@pytest.mark.parametrize(
    ("equation", "words"),
    [
        ("COUNTER(1, 5)", "MOD"),
        ("LOOKUPMEAN(g)", "divide LOOKUPAREA"),
        ("HISTORY(t, 3)", "keep the value with a stock"),
        ("HISTORY(t, TIME - t)", "HISTORY with a delay time that moves"),
    ],
)
def test_what_isee_leaves_open_is_refused(tmp_path: Path, equation: str, words: str) -> None:
    with pytest.raises(UnsupportedConstruct, match=words):
        load_model(write_xmile(tmp_path, GRAPH.format(kind="") + aux("y", equation))).simulate()


@pytest.mark.parametrize("backend", BACKENDS)
def test_sinteg_stays_within_its_limits_and_rests_at_its_special_value(
    backend: Backend, tmp_path: Path
) -> None:
    """The examples of Vensim's manual (fn_sinteg), and both limits at once."""
    na = ", :NA:"
    equations = {
        f"SINTEG(-1, 2, 0{na * 4})": [2, 1, 0, 0, 0],
        f"SINTEG(1, 9, 0, 5{na * 3})": [5, 5, 5, 5, 5],
        f"SINTEG(1, 0{na * 5})": [0, 1, 2, 3, 4],
        # 0.25 is nearer to 0 than 0.5, so that it rests there.
        f"SINTEG(0.25, 0{na * 3}, 0, 0.5)": [0, 0, 0, 0, 0],
        f"SINTEG(0.75, -2.25{na * 3}, 0, 0.5)": [-2.25, -1.5, -0.75, 0, 0.75],
    }
    for equation, expected in equations.items():
        assert series(tmp_path, equation, backend) == expected, equation


def test_sinteg_on_a_grid_of_multiples_is_refused(tmp_path: Path) -> None:
    """The manual does not say which multiple is taken."""
    with pytest.raises(UnsupportedConstruct, match="SINTEG with multiples"):
        series(tmp_path, "SINTEG(1, 0, 0, 100, 1, :NA:, :NA:)", "numpy")
    with pytest.raises(UnsupportedConstruct, match="XMILE has no SINTEG"):
        small(tmp_path, "x = SINTEG(1, 0, 0, 5, :NA:, :NA:, :NA:)").save(tmp_path / "x.xmile")


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_element_of_a_range_begins_with_itself(tmp_path: Path, backend: Backend) -> None:
    run = small(
        tmp_path,
        *VECTOR,
        "off[R] = 0, 1, 1",
        "own[R] = VECTOR ELM MAP(v[R], off[R])",
        "mode = 2",
        "x = VECTOR LOOKUP(v[r1], 6*Time, 0, 20, mode)",
        **STEPS,
    ).simulate(backend=backend)
    np.testing.assert_array_equal(run["own"].values[0], [1, 2, np.nan])
    np.testing.assert_array_equal(run["x"].values, [1, 1, 3, 3, 2])


def test_functions_that_a_translator_did_not_know_are_read_as_calls(tmp_path: Path) -> None:
    variables = aux("a", "LOOKUP(COSH, TIME)") + aux("b", "IF TIME &gt; 1 THEN NAN ELSE 2")
    run = load_model(write_xmile(tmp_path, variables)).simulate()
    np.testing.assert_allclose(run["a"].values, np.cosh(run["time"].values), rtol=1e-15)
    assert run["b"].values[0] == 2
    assert np.isnan(run["b"].values[-1])


def test_round_of_isee_takes_halves_away_from_zero(tmp_path: Path) -> None:
    variables = aux("a", "ROUND(TIME - 2.5)") + aux("b", "ROUND(TIME/3)")
    run = load_model(write_xmile(tmp_path, variables)).simulate()
    np.testing.assert_array_equal(run["a"].values[:4], [-3, -2, -1, 1])
    np.testing.assert_array_equal(run["b"].values[:4], [0, 0, 1, 1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_market_clears_where_straight_curves_cross(tmp_path: Path, backend: Backend) -> None:
    """Between 5 and 7 buyers want 10 (7 - p)/4 + 4 (7 - p)/2, and the seller gives 30 (p - 5)/2."""
    price = "FIND MARKET PRICE(wanted[b1], w[b1,kind], given[s1], g[s1,kind])"
    model = small(
        tmp_path,
        "B: b1, b2",
        "S: s1",
        "P: kind, middle, width, other",
        "wanted[B] = 10, 4",
        "given[S] = 30",
        "w[B,P] = 1,5,4,0; 1,6,2,0;",
        "g[S,P] = 1,6,2,0;",
        f"price = {price}",
        "bought[B] = DEMAND AT PRICE(wanted[B], w[B,kind], price)",
        "sold[S] = SUPPLY AT PRICE(given[S], g[S,kind], price)",
        **STEPS,
    )
    run = model.simulate(backend=backend)
    p = (4.5 * 7 + 15 * 5) / 19.5
    np.testing.assert_allclose(run["price"].values, p, rtol=1e-9)
    np.testing.assert_allclose(run["bought"].values[0], [10 * (7 - p) / 4, 2 * (7 - p)], rtol=1e-8)
    np.testing.assert_allclose(run["sold"].values[0], [15 * (p - 5)], rtol=1e-8)
    with pytest.raises(UnsupportedConstruct, match="FIND MARKET PRICE inside an expression"):
        small(
            tmp_path, "B: b1", "P: kind, a, b, c", "v[B] = 1", "w[B,P] = 1,5,4,0;", "x = 2*" + price
        )


ARITIES = {
    1: "ABS EXP LN SQRT INTEGER SIN COS TAN ARCSIN ARCCOS ARCTAN SINH COSH TANH GAMMA_LN "
    "NORMAL_CDF SUM PROD VMIN VMAX REINITIAL",
    2: "LOG MIN MAX MODULO QUANTUM POWER STEP PULSE ZIDZ SSHAPE ACTIVE_INITIAL VECTOR_SORT_ORDER "
    "VECTOR_RANK VECTOR_REORDER INVERT_MATRIX",
    3: "XIDZ IF_THEN_ELSE RANDOM_UNIFORM DELAY_INFORMATION SAMPLE_UNTIL LOOKUP_AREA "
    "GET_DATA_BETWEEN_TIMES DEMAND_AT_PRICE SUPPLY_AT_PRICE",
    4: "NPV DELAY_MATERIAL FIND_MARKET_PRICE INTERNAL_RATE_OF_RETURN",
    5: "RANDOM_NORMAL RANDOM_EXPONENTIAL VECTOR_SELECT DELAY_PROFILE RAMP_FROM_TO VECTOR_LOOKUP",
    6: "RANDOM_POISSON DELAY_CONVEYOR",
}
"""Functions by the number of arguments that Vensim's reference manual states."""


@pytest.mark.parametrize("count", ARITIES)
def test_a_function_with_one_argument_too_few_or_too_many_is_refused(
    tmp_path: Path, count: int
) -> None:
    takes = "one argument" if count == 1 else f"{count} arguments"
    for name in ARITIES[count].split():
        function = name.replace("_", " ")
        for given in (count - 1, count + 1):
            with pytest.raises(ModelFileError) as refused:
                small(tmp_path, f"x = {function}({', '.join(['1'] * given)})")
            assert f"{function} takes {takes} and is given {given}" in str(refused.value)


def test_a_stock_with_a_third_argument_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedConstruct, match="a third argument of INTEG is not supported"):
        small(tmp_path, "x = INTEG(1, 2, 3)")


def at(node: Node) -> np.ndarray:
    match node:
        case Const(values):
            return values
        case LookupAt(table, x):
            return lookup_value(table, at(x))
        case Apply(op, arguments):
            return PRIMITIVES[op].value(*map(at, arguments))
    raise AssertionError(node)


@pytest.mark.parametrize("kind", ["interpolate", "extrapolate"])
@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((2.0,), (5.0,)),
        ((2.0, 5.0), (3.0, -1.0)),
        ((-1.0, 0.5, 3.0, 7.0), (2.0, 6.0, -3.0, 0.5)),
    ],
)
def test_the_area_under_a_table_is_that_of_its_trapezia(
    kind: Literal["interpolate", "extrapolate"], x: tuple[float, ...], y: tuple[float, ...]
) -> None:
    """Also beyond its ends, where the values are held or go on; a sum of exact trapezia."""
    table = Table(x, y, kind)
    ends = np.array([-4.0, -1.0, 0.3, 2.0, 2.1, 5.0, 6.5, 7.0, 11.0])
    found = at(area_from_start(table, Const(ends)))
    for end, area in zip(ends, found, strict=True):
        low, high = sorted((x[0], end))
        corners = np.unique([low, *(k for k in x if low < k < high), high])
        heights = lookup_value(table, corners)
        whole = float((0.5 * (heights[1:] + heights[:-1]) * np.diff(corners)).sum())
        assert area == pytest.approx(whole if end >= x[0] else -whole, abs=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", ["euler", "rk2", "rk4"])
def test_a_stock_is_kept_within_its_limit_after_each_step_of_any_method(
    method: Method, backend: Backend, tmp_path: Path
) -> None:
    limited = f"S = SINTEG(-1.5, 2, 0{', :NA:' * 4})"
    model = small(tmp_path, limited, TIME_STEP="1")
    found = model.simulate(method=method, backend=backend)["S"].values
    assert found.tolist() == [2.0, 0.5, 0.0, 0.0, 0.0]
