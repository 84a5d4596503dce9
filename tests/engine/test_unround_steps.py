"""Functions of XMILE and Vensim where the run starts at 2.5 and its step is 0.3.

At a step of 1 from time 0 a factor of the step or of the start is one that nobody sees.  Each
expected series is a recurrence written out here, with Euler's steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import special, stats
from tests import xmile_texts

from beltcast import load_model

START, STEP, COUNT = 2.5, 0.3, 15
T = START + STEP * np.arange(COUNT)
X = 10.0 + 3.0 * np.sin(T)


def chain(x: np.ndarray, time: float, order: int, initial: float) -> np.ndarray:
    """What the last stage holds; over its constant time that is what leaves it."""
    part = time / order
    stages = np.full(order, initial)
    out = np.empty(len(x))
    for k in range(len(x)):
        out[k] = stages[-1]
        inflow = np.append(x[k], stages[:-1])
        stages = stages + STEP * (inflow - stages) / part
    return out


def late(x: np.ndarray, steps: int, initial: float) -> np.ndarray:
    return np.append(np.full(steps, initial), x)[: len(x)]


def at(indices: list[int], size: float) -> np.ndarray:
    found = np.zeros(COUNT)
    found[indices] = size / STEP
    return found


def trend(x: np.ndarray, time: float, initial: float) -> np.ndarray:
    average = x[0] / (1.0 + initial * time)
    out = np.empty(len(x))
    for k in range(len(x)):
        out[k] = (x[k] - average) / (average * time)
        average += STEP * (x[k] - average) / time
    return out


CASES: dict[str, np.ndarray] = {
    "CGROWTH(10)": np.full(COUNT, (1.1**STEP - 1.0) / STEP),
    "SINWAVE(3, 4)": 3.0 * np.sin(2.0 * np.pi * T / 4.0),
    "COSWAVE(3, 4)": 3.0 * np.cos(2.0 * np.pi * T / 4.0),
    "PULSE(2)": np.full(COUNT, 2.0 / STEP),
    "PULSE(2, 3.7)": at([4], 2.0),
    "PULSE(2, 3.4, 0.9)": at([3, 6, 9, 12], 2.0),
    "PULSE(2, 3.4, 1.2)": at([3, 7, 11], 2.0),
    "STEP(2, 3.4)": np.where(np.arange(COUNT) >= 3, 2.0, 0.0),
    "RAMP(0.5, 3.1)": 0.5 * np.maximum(T - 3.1, 0.0),
    "RAMP(0.5, 3.1, 4)": 0.5 * np.clip(T - 3.1, 0.0, 0.9),
    "PREVIOUS(x, 7)": late(X, 1, 7.0),
    "DELAY(x, 0.9, 1)": late(X, 3, 1.0),
    "DELAY(x, 0.9)": late(X, 3, X[0]),
    "HISTORY(x, TIME - 0.6)": late(X, 2, 0.0),
    "HISTORY(x, TIME - 0)": X,
    "DELAY1(x, 2)": chain(X, 2.0, 1, X[0]),
    "DELAY1(x, 2, 4)": chain(X, 2.0, 1, 4.0),
    "DELAY3(x, 2)": chain(X, 2.0, 3, X[0]),
    "DELAY3(x, 2, 4)": chain(X, 2.0, 3, 4.0),
    "DELAYN(x, 2, 4)": chain(X, 2.0, 4, X[0]),
    "DELAYN(x, 2, 4, 1)": chain(X, 2.0, 4, 1.0),
    "SMTH1(x, 2)": chain(X, 2.0, 1, X[0]),
    "SMTH3(x, 2, 4)": chain(X, 2.0, 3, 4.0),
    "SMTHN(x, 2, 4)": chain(X, 2.0, 4, X[0]),
    "SMTHN(x, 2, 4, 1)": chain(X, 2.0, 4, 1.0),
    "TREND(x, 2)": trend(X, 2.0, 0.0),
    "TREND(x, 2, 0.1)": trend(X, 2.0, 0.1),
    "FORCST(x, 2, 3)": X * (1.0 + 3.0 * trend(X, 2.0, 0.0)),
    "FORCST(x, 2, 3, 0.1)": X * (1.0 + 3.0 * trend(X, 2.0, 0.1)),
    "DERIVN(TIME^2, 1)": np.append(0.0, np.diff(T**2) / STEP),
    "INIT(x)": np.full(COUNT, X[0]),
    "MEAN(1, x, 5, 7)": (13.0 + X) / 4.0,
    "MIN(9, x, 11)": np.minimum(9.0, np.minimum(X, 11.0)),
    "MAX(9, x, 11)": np.maximum(11.0, X),
    "ROUND(x - 10.2)": np.sign(X - 10.2) * np.floor(np.abs(X - 10.2) + 0.5),
    "INT(x - 10.2)": np.floor(X - 10.2),
    "(x - 10.2) MOD 1.5": np.fmod(X - 10.2, 1.5),
    "NORMALCDF(7, x)": stats.norm.cdf(X) - stats.norm.cdf(7.0),
    "NORMALCDF(7, x, 9, 2)": stats.norm.cdf(X, 9.0, 2.0) - stats.norm.cdf(7.0, 9.0, 2.0),
    "INVNORM(x/20)": stats.norm.ppf(X / 20.0),
    "INVNORM(x/20, 3, 0.5)": stats.norm.ppf(X / 20.0, 3.0, 0.5),
    "SAFEDIV(x, TIME - 2.5)": np.append(0.0, X[1:] / (T[1:] - 2.5)),
    "SAFEDIV(x, TIME - 2.5, 8)": np.append(8.0, X[1:] / (T[1:] - 2.5)),
    "STARTTIME + DT": np.full(COUNT, 2.8),
    "STOPTIME - TIME": T[-1] - T,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    each = "\n".join(xmile_texts.aux(f"y{k}", equation) for k, equation in enumerate(CASES))
    text = xmile_texts.xmile(
        xmile_texts.aux("x", "10 + 3*SIN(TIME)") + each, stop=repr(float(T[-1])), dt="0.3"
    ).replace("<start>0</start>", "<start>2.5</start>")
    path: Path = tmp_path_factory.mktemp("steps") / "steps.stmx"
    path.write_text(text, encoding="utf-8")
    return load_model(path).simulate(backend="numpy")


@pytest.mark.parametrize("equation", CASES)
def test_a_function_of_xmile_is_its_recurrence_at_any_start_and_step(
    run: xr.Dataset, equation: str
) -> None:
    found = run[f"y{list(CASES).index(equation)}"].to_numpy()
    assert found.shape == (COUNT,)
    np.testing.assert_allclose(found, CASES[equation], rtol=1e-9, atol=1e-9)


def on(*indices: int) -> np.ndarray:
    return np.isin(np.arange(COUNT), indices).astype(float)


def sampled(condition: np.ndarray, x: np.ndarray, initial: float) -> np.ndarray:
    held, out = initial, []
    for now, value in zip(condition, x, strict=True):
        held = value if now else held
        out.append(held)
    return np.array(out)


def present_value(x: np.ndarray, rate: float, initial: float, factor: float) -> np.ndarray:
    discount = (1.0 + rate * STEP) ** -np.arange(len(x))
    return np.asarray(factor * (initial + np.cumsum(x * STEP * discount)))


def moving(x: np.ndarray, times: np.ndarray, order: int, initial: float) -> np.ndarray:
    """A smooth whose time changes."""
    stages, out = np.full(order, initial), np.empty(len(x))
    for k in range(len(x)):
        out[k] = stages[-1]
        inflow = np.append(x[k], stages[:-1])
        stages = stages + STEP * (inflow - stages) / (times[k] / order)
    return out


def stock(rate: np.ndarray, initial: float) -> np.ndarray:
    return np.append(initial, initial + STEP * np.cumsum(rate[:-1]))


VENSIM: dict[str, np.ndarray] = {
    "PULSE(3.4, 0.6)": on(3, 4),
    "PULSE(3.4, 0)": on(3),
    "PULSE(3.35, 0.3)": on(3),
    "PULSE TRAIN(2.8, 0.3, 0.9, 5.2)": on(1, 4, 7),
    "PULSE TRAIN(2.8, 0.6, 1.2, 9)": on(1, 2, 5, 6, 9, 10, 13, 14),
    "STEP(2, 3.4)": np.where(np.arange(COUNT) >= 3, 2.0, 0.0),
    "RAMP(0.5, 3.1, 4)": 0.5 * np.clip(T - 3.1, 0.0, 0.9),
    "SMOOTH(x, 2)": chain(X, 2.0, 1, X[0]),
    "SMOOTHI(x, 2, 4)": chain(X, 2.0, 1, 4.0),
    "SMOOTH3(x, 2)": chain(X, 2.0, 3, X[0]),
    "SMOOTH3I(x, 2, 4)": chain(X, 2.0, 3, 4.0),
    "SMOOTH N(x, 2, 4, 5)": chain(X, 2.0, 5, 4.0),
    "SMOOTH3I(x, Time, 4)": moving(X, T, 3, 4.0),
    "DELAY1(x, 2)": chain(X, 2.0, 1, X[0]),
    "DELAY1I(x, 2, 4)": chain(X, 2.0, 1, 4.0),
    "DELAY3(x, 2)": chain(X, 2.0, 3, X[0]),
    "DELAY3I(x, 2, 4)": chain(X, 2.0, 3, 4.0),
    "DELAY N(x, 2, 4, 5)": chain(X, 2.0, 5, 4.0),
    "DELAY FIXED(x, 0.9, 1)": late(X, 3, 1.0),
    "DELAY FIXED(x, 0, 1)": late(X, 1, 1.0),
    "TREND(x, 2, 0.1)": trend(X, 2.0, 0.1),
    "FORECAST(x, 2, 3)": X * (1.0 + 3.0 * trend(X, 2.0, 0.0)),
    "SAMPLE IF TRUE(x > 11, x, 7)": sampled(X > 11, X, 7.0),
    "INITIAL(x)": np.full(COUNT, X[0]),
    "ACTIVE INITIAL(x, 5)": X,
    "NPV(x, 0.1, 2, 3)": present_value(X, 0.1, 2.0, 3.0),
    "INTEG(x, 3)": stock(X, 3.0),
    "MODULO(x - 10.2, 1.5)": np.fmod(X - 10.2, 1.5),
    "QUANTUM(x - 10.2, 0.7)": 0.7 * np.trunc((X - 10.2) / 0.7),
    "INTEGER(x - 10.2)": np.trunc(X - 10.2),
    "ZIDZ(x, Time - 2.5)": np.append(0.0, X[1:] / (T[1:] - 2.5)),
    "XIDZ(x, Time - 2.5, 8)": np.append(8.0, X[1:] / (T[1:] - 2.5)),
    "GAMMA LN(x)": special.gammaln(X),
    "POWER(x, 0.3)": X**0.3,
    "LOG(x, 3)": np.log(X) / np.log(3.0),
    "ARCTAN(x - 10)": np.arctan(X - 10.0),
    "IF THEN ELSE(x >= INITIAL(x), 1, 2)": np.where(X[0] <= X, 1.0, 2.0),
    "INITIAL TIME + TIME STEP": np.full(COUNT, 2.8),
}


@pytest.fixture(scope="module")
def vensim_run(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """INTEG stands alone in an equation; of the others one each."""
    each = "".join(f"y{k} = {equation}\n ~ ~ |\n" for k, equation in enumerate(VENSIM))
    controls = f"INITIAL TIME = 2.5 ~~|\nFINAL TIME = {float(T[-1])!r} ~~|\nTIME STEP = 0.3 ~~|\n"
    text = f"{{UTF-8}}\nx = 10 + 3*SIN(Time)\n ~ ~ |\n{each}{controls}SAVEPER = TIME STEP ~~|\n"
    path: Path = tmp_path_factory.mktemp("steps") / "steps.mdl"
    path.write_text(text, encoding="utf-8")
    return load_model(path).simulate(backend="numpy")


@pytest.mark.parametrize("equation", VENSIM)
def test_a_function_of_vensim_is_its_recurrence_at_any_start_and_step(
    vensim_run: xr.Dataset, equation: str
) -> None:
    found = vensim_run[f"y{list(VENSIM).index(equation)}"].to_numpy()
    found = np.broadcast_to(found, COUNT) if found.ndim == 0 else found
    assert found.shape == (COUNT,)
    np.testing.assert_allclose(found, VENSIM[equation], rtol=1e-9, atol=1e-9)
