"""The plan of a run: its times, the constants that vary, and what is saved.

The time grid is made here, once, for both back ends, as multiples of the step (`time_grid`): on
two grids that differ by rounding, ``Time >= 2010`` may come true one step apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray, marked
from beltcast.engine.program import Program
from beltcast.engine.syntax import Data
from beltcast.errors import InputError, SimulationError, one_of

Method = Literal["euler", "rk2", "rk4", "adaptive", "stiff"]

METHODS: tuple[Method, ...] = ("euler", "rk2", "rk4")
"""Methods of fixed steps, one TIME STEP each."""

RTOL, ATOL = 1e-7, 1e-16
"""Default tolerance of steps that adapt."""

SMALLEST_RTOL = 1e-13
"""Least relative tolerance; below it rounding decides the length of a step."""

ADAPTIVE: tuple[Method, ...] = ("adaptive", "stiff")
"""Methods whose steps adapt to a tolerance (`beltcast.engine.run.adaptive`)."""


@dataclass(frozen=True)
class Stepping:
    """A method of integration, and the tolerance of one whose steps adapt.

    Attributes
    ----------
    method : str
    rtol : float
        Error that one step may make, over the value of a stock.
    atol : float
        Error of one step that is always allowed, in the unit of the stock.
    """

    method: Method
    rtol: float = RTOL
    atol: float = ATOL

    def __str__(self) -> str:
        if (self.rtol, self.atol) == (RTOL, ATOL):
            return self.method
        return f"{self.method}, rtol {self.rtol:g}, atol {self.atol:g}"


def stepping(name: str, rtol: float | None = None, atol: float | None = None) -> Stepping:
    """Return a method with its tolerance.

    Raises
    ------
    InputError
        There is no such method, its steps are fixed, or a tolerance is not possible.

    Examples
    --------
    >>> print(stepping("stiff", rtol=1e-9))
    stiff, rtol 1e-09, atol 1e-16
    """
    method = integration_method(name)
    if (rtol, atol) != (None, None) and method not in ADAPTIVE:
        raise InputError(
            f"a tolerance (rtol, atol) goes with steps that adapt, and {method} takes fixed ones; "
            f"expected one of {', '.join(ADAPTIVE)}"
        )
    found = Stepping(method, RTOL if rtol is None else rtol, ATOL if atol is None else atol)
    if not (SMALLEST_RTOL <= found.rtol < 1 and 0 < found.atol < np.inf):
        raise InputError(
            f"rtol is {found.rtol:g} and atol {found.atol:g}; expected rtol from "
            f"{SMALLEST_RTOL:g} to 1 and atol above 0"
        )
    return found


def integration_method(name: str) -> Method:
    """Return a method of integration by its name.

    Raises
    ------
    InputError
        The method does not exist.
    """
    return one_of(name, (*METHODS, *ADAPTIVE), "method of integration")


LARGEST_RUN = 10_000_000
"""Steps above which a run is refused: a typing error, or a hostile file."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A run, except for the values of its parameters.

    Attributes
    ----------
    parameters : (p,)
        Rows of the constants that a member sets.
    outputs : (o,)
        Rows to save.
    times : (steps + 1,)  [time]
    steps : (steps + 1,)  [time]
        Length of the step that starts at each time.
    saves : (s,)
        Numbers of the steps at whose start the outputs are saved, ascending.
    inputs : (steps + 1, k)
        Value of each exogenous series at each step, in the order of ``Program.inputs``.
    method : str
        Inputs are frozen within a TIME STEP under every method, as Vensim does.
    tolerance : (2,)
        Relative and absolute, of steps that adapt.
    """

    parameters: IntArray
    outputs: IntArray
    times: FloatArray
    steps: FloatArray
    saves: IntArray
    inputs: FloatArray
    method: Method
    tolerance: tuple[float, float] = (RTOL, ATOL)


def count_steps(start: float, end: float, step: float) -> int:
    """Return the number of steps of a run, before any memory is taken for them.

    Raises
    ------
    SimulationError
        The step is not positive, the end lies before the start, or the run has no end.
    """
    if not (np.isfinite([start, end, end - start, step]).all() and step > 0 and end >= start):
        raise SimulationError(
            f"a run from {start:g} to {end:g} in steps of {step:g} is impossible; "
            "the step must be positive and the end after the start"
        )
    steps = np.ceil((end - start) / step - 1e-5)
    if steps > LARGEST_RUN:
        raise SimulationError(
            f"a run from {start:g} to {end:g} in steps of {step:g} has {steps:.10g} steps; "
            f"at most {LARGEST_RUN} are allowed, take a larger step"
        )
    return int(steps)


LONGEST_DECIMAL = 9
"""Digits after the point up to which a TIME STEP is taken as the decimal that it is written as."""


def time_grid(start: float, end: float, step: float) -> FloatArray:
    """Return the times of all steps from start to end.

    Where start and step are short decimals, so is every time: no rounding of 0.2 adds up.

    Raises
    ------
    SimulationError
        As `count_steps`.

    Examples
    --------
    >>> from beltcast.engine.run.plan import time_grid
    >>> 2100.0 in time_grid(1900, 2100, 0.2), time_grid(0, 0.3, 0.1).tolist()
    (True, [0.0, 0.1, 0.2, 0.3])
    """
    times = start + step * np.arange(count_steps(start, end, step) + 1.0)
    places = max(_decimals(start), _decimals(step))
    # Beyond 2^53 a number times a power of ten is not exact.
    if places <= LONGEST_DECIMAL and np.abs(times[[0, -1]]).max() * 10.0**places < 2.0**53:
        times = np.round(times, places)
    return times


def _decimals(number: float) -> int:
    """Count the digits after the point of the shortest decimal that is this number."""
    exponent = Decimal(repr(float(number))).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def steps_at(times: FloatArray, wanted: Sequence[float] | FloatArray) -> IntArray:
    """Return the number of the step that starts at each wanted time.

    Raises
    ------
    SimulationError
        A wanted time is not on the grid.
    """
    wanted = np.asarray(wanted, dtype=np.float64)
    step = np.diff(times).min() if len(times) > 1 else 1.0
    near = np.clip(np.searchsorted(times, wanted - 0.5 * step), 0, len(times) - 1)
    off = np.abs(times[near] - wanted) > 1e-5 * step
    if np.any(off):
        raise SimulationError(
            f"time {wanted[off][0]:g} is not one of the run's steps ({times[0]:g} to "
            f"{times[-1]:g} by {step:g}); choose a time on that grid"
        )
    return near.astype(np.int64)


def make_plan(
    program: Program,
    *,
    parameters: Sequence[int] | IntArray,
    outputs: Sequence[int] | IntArray,
    times: FloatArray,
    step: float | FloatArray,
    saves: IntArray,
    inputs: Mapping[int, Data] | None = None,
    method: Method = "euler",
    tolerance: tuple[float, float] = (RTOL, ATOL),
) -> Plan:
    """Assemble a plan.

    `step` is one length for all steps, or (steps + 1,) one for each; `inputs` replaces exogenous
    series by row.
    """
    series = [
        marked(series_at((inputs or {}).get(row, data), times))
        for row, data in program.inputs.items()
    ]
    return Plan(
        parameters=np.asarray(parameters, dtype=np.int64),
        outputs=np.asarray(outputs, dtype=np.int64),
        times=times,
        steps=np.full(len(times), step, dtype=np.float64),
        saves=np.asarray(saves, dtype=np.int64),
        inputs=np.array(series, dtype=np.float64).T.reshape(len(times), len(series)),
        method=method,
        tolerance=tolerance,
    )


def series_at(data: Data, times: FloatArray) -> FloatArray:
    """Value of an exogenous series at each time; beyond its ends it keeps the end value.

    The clock is a sum of steps, so a time within 1e-5 of a step of a point is at that point.
    """
    if not len(data.times):
        return np.full(len(times), np.nan)
    slack = 1e-5 * np.diff(times).min() if len(times) > 1 else 1e-6
    if data.method == "raw":
        place = np.clip(np.searchsorted(data.times, times - slack), 0, len(data.times) - 1)
        there = np.abs(data.times[place] - times) <= slack
        return np.where(there, data.values[place], np.nan)
    if data.method == "interpolate":
        return np.interp(times, data.times, data.values)
    if data.method == "look forward":
        place = np.searchsorted(data.times, times - slack, side="left")
    else:
        place = np.searchsorted(data.times, times + slack, side="right") - 1
    return data.values[np.clip(place, 0, len(data.times) - 1)]
