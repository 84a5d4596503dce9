"""The steps of a run whose TIME STEP or SAVEPER varies with time.

The steps are found before the run, from the equations of the controls alone: these may read the
time, data and constants, so that all members of an ensemble take the same steps. A TIME STEP that
reads a stock would give each member different steps; it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.engine.program import Program, restrict
from beltcast.engine.run.numpy_backend import assign
from beltcast.engine.run.plan import series_at
from beltcast.engine.syntax import Data
from beltcast.errors import SimulationError, UnsupportedConstruct

NEAR = 1e-5
"""Share of a step within which two times are one."""

LONGEST_SEARCH = 200_000
"""Steps that are tried, in seconds, to find the course or the end of a run that moves."""


@dataclass(frozen=True, eq=False)
class Course:
    """Times of the steps of a run.

    Attributes
    ----------
    times : (steps + 1,)  [time]
    steps : (steps + 1,)  [time]
        Length of the step that starts at each time.
    saved : (s,)  [time]
        Times at which results are kept by default.
    """

    times: FloatArray
    steps: FloatArray
    saved: FloatArray


def moving_course(
    program: Program,
    settled: FloatArray,
    controls: Mapping[str, float | int],
    inputs: Mapping[int, Data],
) -> Course:
    """Follow the controls from the start of a run to its end.

    Parameters
    ----------
    program : Program
    settled : (n_rows,)
        Rows that depend on constants alone; NaN elsewhere.
    controls : mapping
        'initial time', 'final time', 'time step' and 'saveper', each a number or the row (int)
        that computes it.
    inputs : mapping of row to Data
        Replaces exogenous series.

    Returns
    -------
    Course
        A SAVEPER that moves counts from the last time that was saved, as Vensim does.

    Raises
    ------
    UnsupportedConstruct
        A control depends on a stock.
    SimulationError
        A step is not positive, or the run has no end.
    """
    clock = _Clock(program, settled, controls, inputs)
    time = clock.start()
    times, steps, saved = [time], [], [time]
    end, step, save_every = clock.at(time)
    due = time + save_every
    while time < end - NEAR * step:
        steps.append(step)
        time += step
        times.append(time)
        if len(times) > LONGEST_SEARCH:
            raise SimulationError(
                f"a run whose TIME STEP or SAVEPER moves may have {LONGEST_SEARCH} steps, and this "
                "one has more; take larger steps"
            )
        end, step, save_every = clock.at(time)
        if time >= due - NEAR * step:
            saved.append(time)
            due = time + save_every
    return Course(np.array(times), np.array([*steps, step]), np.array(saved))


class _Clock:
    """The controls as functions of time."""

    def __init__(
        self,
        program: Program,
        settled: FloatArray,
        controls: Mapping[str, float | int],
        inputs: Mapping[int, Data],
    ) -> None:
        self.controls = controls
        rows = [row for row in controls.values() if isinstance(row, int)]
        self.program = restrict(program, rows)
        if len(self.program.stocks) or len(self.program.pasts):
            raise UnsupportedConstruct(
                "TIME STEP or SAVEPER depends on a stock or a delay, which would give each run "
                "steps of its own; make it an expression of Time and constants"
            )
        self.rows = settled[:, None].copy()
        self.series = {row: inputs.get(row, data) for row, data in self.program.inputs.items()}

    def start(self) -> float:
        """INITIAL TIME; one that depends on time is evaluated at 0 and must be consistent there."""
        given = self.controls["initial time"]
        if not isinstance(given, int):
            return float(given)
        first = self._compute(0.0)[given]
        if self._compute(first)[given] != first:
            raise SimulationError(
                f"INITIAL TIME is {first:g} at time 0 and {self._compute(first)[given]:g} at time "
                f"{first:g}; make it a number"
            )
        return float(first)

    def at(self, time: float) -> tuple[float, float, float]:
        """FINAL TIME, TIME STEP and SAVEPER at a time."""
        rows = self._compute(time)
        end, step, save_every = (
            float(rows[control]) if isinstance(control, int) else float(control)
            for control in (self.controls[n] for n in ("final time", "time step", "saveper"))
        )
        if not (np.isfinite([end, step, save_every]).all() and step > 0 and save_every > 0):
            raise SimulationError(
                f"at time {time:g}, FINAL TIME is {end:g}, TIME STEP {step:g} and SAVEPER "
                f"{save_every:g}; the step and SAVEPER must be positive numbers"
            )
        return end, step, save_every

    def _compute(self, time: float) -> FloatArray:
        program, here = self.program, np.array([time])
        for row, data in self.series.items():
            self.rows[row] = series_at(data, here)
        with np.errstate(all="ignore"):
            for stage in (program.initial, program.settle, program.step):
                for block in stage:
                    assign(block, self.rows, time, time)
        return self.rows[:, 0].copy()
