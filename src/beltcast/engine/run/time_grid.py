"""Start, end, step and saving times of a run: the controls of a model, found before the run.

A control may be a number, an expression of constants (SAVEPER = TIME STEP), or change during the
run.  A FINAL TIME that changes is found by a run; a TIME STEP or SAVEPER that changes is followed
by `beltcast.engine.run.variable_step`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.program import Program
from beltcast.engine.run.numpy_backend import assign
from beltcast.engine.run.plan import count_steps, make_plan, time_grid
from beltcast.engine.run.prepare import Prepared, available, prepare
from beltcast.engine.run.variable_step import LONGEST_SEARCH, NEAR, Course, moving_course
from beltcast.engine.syntax import Data, Source
from beltcast.errors import SimulationError, UnsupportedConstruct


@dataclass(frozen=True)
class Grid:
    """Start, end, step and saving interval of a run; all in the model's time unit.

    Where TIME STEP or SAVEPER moves, `course` holds all of it and `step` and `save_every` are
    those of the start.
    """

    start: float
    end: float
    step: float
    save_every: float
    course: Course | None = None

    def times(self, until: float | None = None) -> FloatArray:
        """Return the time at the start of every step, (steps + 1,), to the end or another time."""
        if self.course is None:
            return time_grid(self.start, self.end if until is None else until, self.step)
        times, steps = self.course.times, self.course.steps
        return times if until is None else times[times < until + NEAR * steps]

    def steps(self, times: FloatArray) -> float | FloatArray:
        """Return the length of the steps that start at the first of the grid's times."""
        return self.step if self.course is None else self.course.steps[: len(times)]

    def saved(self) -> FloatArray:
        """Return the times at which results are kept by default.

        They are the first steps at or after each multiple of SAVEPER since the start, as Vensim
        saves them; a SAVEPER below TIME STEP saves every step.

        Raises
        ------
        SimulationError
            SAVEPER is not a positive number.
        """
        if self.course is not None:
            return self.course.saved
        times = self.times()
        ratio = self.save_every / self.step
        if not (np.isfinite(ratio) and ratio > 0):
            raise SimulationError(
                f"SAVEPER = {self.save_every:g} is not a positive number; set it to a multiple of "
                "TIME STEP, or give the times to save"
            )
        if ratio <= 1:
            return times
        if abs(ratio - round(ratio)) < 1e-5 * ratio:
            return times[:: round(ratio)]
        count = int((len(times) - 1) / ratio + NEAR) + 1
        first = np.ceil(np.arange(count) * ratio - NEAR).astype(np.int64)
        kept: FloatArray = times[first[first < len(times)]]
        return kept


def find_grid(
    source: Source,
    program: Program,
    rows: IntArray,
    values: FloatArray,
    given: Mapping[str, float],
    inputs: Mapping[int, Data],
) -> Grid:
    """Find the time grid of a run.

    Parameters
    ----------
    source : Source
    program : Program
    rows, values : (p,)
        Constants that the run sets, by row.
    given : mapping
        Controls that the run sets, by canonical name.
    inputs : mapping of row to Data
        Exogenous series that the run replaces.

    Raises
    ------
    UnsupportedConstruct
        TIME STEP or SAVEPER depends on a stock.
    SimulationError
        A control is not a number, or the run has no end.
    """

    @cache  # most models do not need it
    def settled() -> FloatArray:
        return _settled(program, rows, values, given)

    controls = _controls(source, program, settled, given)
    moving = [name for name, value in controls.items() if isinstance(value, int)]
    if not moving:
        start, end, step, save_every = controls.values()
        count_steps(start, end, step)  # refuses too many before the times are laid out
        return Grid(start, end, step, save_every)
    if moving == ["final time"]:
        start, row, step, save_every = controls.values()
        end = _end_of(source, program, int(row), start, step, rows, values, inputs)
        return Grid(start, end, step, save_every)
    try:
        course = moving_course(program, settled(), controls, inputs)
    except UnsupportedConstruct as problem:
        written = [name for name in moving if name in source.controls]  # SAVEPER may be left out
        line = source.controls[written[-1]].line
        raise UnsupportedConstruct(problem.sentence, source.path, line) from None
    times, save_every = course.times, controls["saveper"]
    if isinstance(save_every, int):
        save_every = float(np.diff(course.saved[:2]).sum())
    return Grid(times[0], times[-1], course.steps[0], save_every, course)


def _controls(
    source: Source,
    program: Program,
    settled: Callable[[], FloatArray],
    given: Mapping[str, float],
) -> dict[str, float | int]:
    """Each control of the run: a number, or the row (int) of one that changes with time."""

    def control(name: str) -> float | int:
        if name in given:
            return given[name]
        if name == "saveper" and name not in source.controls:
            return control("time step")
        slot = program.slots[name]
        row = int(slot.rows.reshape(-1)[0])
        if slot.kind == "constant":
            return program.default(row)
        # Such as SAVEPER = TIME STEP, or FINAL TIME = INITIAL TIME + 10.
        value = float(settled()[row])
        return row if np.isnan(value) else value

    return {name: control(name) for name in ("initial time", "final time", "time step", "saveper")}


def _settled(
    program: Program, chosen: IntArray, values: FloatArray, given: Mapping[str, float]
) -> FloatArray:
    """Rows that depend on constants alone, for given constants; NaN elsewhere."""
    rows = np.full((program.n_rows, 1), np.nan)
    rows[program.constants, 0] = program.constant_values
    rows[chosen, 0] = values
    for name in ("initial time", "final time", "saveper"):
        if name in given and name in program.slots:
            # controls have no elements
            rows[program.slots[name].rows.reshape(-1), 0] = given[name]
    with np.errstate(all="ignore"):
        for block in program.setup:
            assign(block, rows, np.nan, np.nan)
    return rows[:, 0]


def _end_of(
    source: Source,
    program: Program,
    row: int,
    start: float,
    step: float,
    rows: IntArray,
    values: FloatArray,
    inputs: Mapping[int, Data],
) -> float:
    """First time that is not before a FINAL TIME that changes during the run."""
    # Compiled if it can be: the search takes as many steps as the run.
    found = prepare(program, available("auto"), np.array([row]))
    assert isinstance(found, Prepared)  # steps are fixed
    needed, kernel = found.program, found.kernel
    count = 1
    while True:
        times = time_grid(start, start + count * step, step)
        plan = make_plan(
            needed,
            parameters=rows,
            outputs=[row],
            times=times,
            step=step,
            saves=np.arange(len(times)),
            inputs=inputs,
            method=source.method,
        )
        final = kernel(plan, values[:, None])[:, 0, 0]
        ended = np.isnan(final) | (times + NEAR * step >= final)
        if ended.any():
            first = int(np.argmax(ended))
            if np.isnan(final[first]):
                raise SimulationError("FINAL TIME is not a number; check its equation", source.path)
            return float(times[first])
        if count == LONGEST_SEARCH:
            raise SimulationError(
                f"FINAL TIME moves and is not reached within {LONGEST_SEARCH} steps; take a larger "
                "TIME STEP or make FINAL TIME a number",
                source.path,
            )
        count = min(4 * count, LONGEST_SEARCH)
