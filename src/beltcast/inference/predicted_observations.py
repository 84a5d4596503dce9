"""Numbers that the model would have published.

An observation is a question on a run: the total of a flow over a period, its ratio to the year
before, its share of the nation, a stock at an instant, each summed over the belts of a place.
All of these are ratios of linear functions of a few saved numbers: the running totals of flows
and the values of stocks at the steps around the dates in question.  (Under Euler a flow is
constant within a step, so that a total over any period, a month say, is exact by straight-line
interpolation of the running total.)  `questions` derives those functions once; answering them
for thousands of members, or differentiating them, is then a product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.errors import TableError
from beltcast.model.arguments import Constants, Inputs
from beltcast.model.model import Model
from beltcast.model.quantities import is_flow, same_unit
from beltcast.study.observations import Observation, Observations


@dataclass(frozen=True, eq=False)
class Questions:
    """What to run, and how to compute the answers.

    Attributes
    ----------
    outputs, totals : (o,), (t,)
        Rows of stocks, and of flows to be totalled, for `Model.batch`.
    saves : (s,)  [time]
    top, bottom : (m, s * (o + t)) sparse
        Numerator and denominator of each row; a row of `bottom` is empty if there is none.
    has_bottom : (m,) bool
    log : (m,) bool
        Whether the answer is a log.
    """

    outputs: IntArray
    totals: IntArray
    saves: FloatArray
    top: sparse.csr_array
    bottom: sparse.csr_array
    has_bottom: np.ndarray
    log: np.ndarray

    def answer(self, run: FloatArray) -> FloatArray:
        """The model's answers, as logs if ``log``.

        Parameters
        ----------
        run : (s, o + t, N)
            What `Model.batch` returned.

        Returns
        -------
        (m, N)
            NaN or infinite if a log is requested and a total is not positive.
        """
        flat = run.reshape(-1, run.shape[2])
        with np.errstate(all="ignore"):
            out: FloatArray = np.asarray(self.top @ flat)
            has = self.has_bottom
            out[has] /= (self.bottom @ flat)[has]
            out[self.log] = np.log(out[self.log])
        return out

    def derivative(self, run: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Answers of one member, as logs if ``log``, and their derivatives.

        Parameters
        ----------
        run : (s, o + t, 1 + d)
            What `Model.batch` returned for it with directions.

        Returns
        -------
        (m,), (m, d)
        """
        flat = run.reshape(-1, run.shape[2])
        top, bottom = self.top @ flat, self.bottom @ flat
        with np.errstate(all="ignore"):
            value, slopes = top[:, 0].copy(), top[:, 1:].copy()
            has = self.has_bottom
            value[has] /= bottom[has, 0]
            slopes[has] -= value[has, None] * bottom[has, 1:]
            slopes[has] /= bottom[has, :1]
            slopes[self.log] /= value[self.log, None]
            value[self.log] = np.log(value[self.log])
        return value, slopes


def observe(
    model: Model,
    observations: Observations,
    constants: Constants | None = None,
    inputs: Inputs | None = None,
) -> FloatArray:
    """Return what the model would have published for each row, under its own scope.

    Definitions, seasons and shocks are left to `inference.likelihood`: this is the model's side
    only.

    Parameters
    ----------
    model : Model
    observations : Observations
    constants, inputs : mapping, optional
        As for `Model.simulate`.

    Returns
    -------
    (rows,)
        In the units of ``Observation.value``: totals in the model's unit, growth as a ratio,
        shares as fractions.

    Examples
    --------
    >>> from beltcast import observe, read_study
    >>> study = read_study()
    >>> observe(study.model, study.observations).shape == (len(study.observations),)
    True
    """
    grid = model.grid(constants, inputs)
    asked = questions(model, observations, grid.times(), log=np.zeros(len(observations), bool))
    parameters, values = model.constant_values(constants)
    run = model.batch(
        parameters,
        values[:, None],
        outputs=asked.outputs,
        totals=asked.totals,
        saves=asked.saves,
        grid=grid,
        inputs=inputs,
    )
    return asked.answer(run)[:, 0]


def questions(
    model: Model,
    observations: Observations,
    times: FloatArray,
    *,
    log: NDArray[np.bool_] | None = None,
    times_as: FloatArray | None = None,
) -> Questions:
    """Determine what to save, and the matrices that compute the answers.

    Parameters
    ----------
    model : Model
    observations : Observations
    times : (steps + 1,)  [time]
        The grid of the run.
    log : (m,) bool, optional
        Rows whose answers are logs; all by default.
    times_as : (m,), optional
        Factor of each answer; 1 by default.

    Raises
    ------
    TableError
        With file and line: a row refers to a time that the model does not cover, or adds up what
        cannot be added.
    """
    terms = []
    for row in observations:
        try:
            terms.append(_terms(model, row, times))
        except TableError as problem:
            raise TableError(problem.sentence, observations.path, row.line) from None
    every = [term for top, bottom in terms for term in top + bottom]
    outputs = np.array(sorted({r for r, _, _, total in every if not total}), dtype=np.int64)
    totals = np.array(sorted({r for r, _, _, total in every if total}), dtype=np.int64)
    dates = sorted({t for _, _, t, _ in every})
    saves = times[sorted({k for t in dates for k, _ in _around(t, times)})]
    column = {
        **{(int(r), False): i for i, r in enumerate(outputs)},
        **{(int(r), True): len(outputs) + i for i, r in enumerate(totals)},
    }
    width = len(outputs) + len(totals)
    place = {float(t): i for i, t in enumerate(saves)}

    def matrix(side: int) -> sparse.csr_array:
        entries: dict[tuple[int, int], float] = {}
        for i, pair in enumerate(terms):
            for r, weight, t, total in pair[side]:
                for k, part in _around(t, times):
                    at = place[float(times[k])] * width + column[r, total]
                    if times_as is not None and side == 0:
                        part *= float(times_as[i])
                    entries[i, at] = entries.get((i, at), 0.0) + weight * part
        where = np.array(list(entries), dtype=np.int64).reshape(-1, 2)
        shape = (len(observations), len(saves) * width)
        return sparse.csr_array((list(entries.values()), (where[:, 0], where[:, 1])), shape=shape)

    return Questions(
        outputs=outputs,
        totals=totals,
        saves=saves,
        top=matrix(0),
        bottom=matrix(1),
        has_bottom=np.array([bool(bottom) for _, bottom in terms], dtype=bool),
        log=np.ones(len(observations), dtype=bool) if log is None else log,
    )


Term = tuple[int, float, float, bool]
"""Row, weight, time, and whether the running total since the start is meant."""


def _terms(model: Model, row: Observation, times: FloatArray) -> tuple[list[Term], list[Term]]:
    """Numerator and denominator of a row."""
    top = _amount(model, row, row.elements, row.start, row.end, times)
    if row.kind == "growth":
        return top, _amount(model, row, row.elements, row.start - 1.0, row.end - 1.0, times)
    if row.kind == "share":
        # A share is one of all elements of the variable's own range.
        whole = model.subscripts[model.find(row.quantity).dims[0]]
        return top, _amount(model, row, whole, row.start, row.end, times)
    return top, []


def _amount(
    model: Model,
    row: Observation,
    belts: tuple[str, ...],
    start: float,
    end: float,
    times: FloatArray,
) -> list[Term]:
    """Terms of a row over one period: a total, an average or a value."""
    variable = model.find(row.quantity)
    if variable.dims and len(belts) > 1 and same_unit(variable.unit, "Dmnl"):
        raise TableError(
            f"'{variable.name}' has no dimension, and {len(belts)} places are to be added up; "
            "name a single place, or leave the row out"
        )
    numbers = _rows(model, variable.name, variable.dims, belts)
    if start < times[0] - 1e-6 or end > times[-1] + 1e-6:
        raise TableError(
            f"the row refers to {start:g} to {end:g}, and the model runs from {times[0]:g} to "
            f"{times[-1]:g}; leave the row out or let the model run longer"
        )
    start, end = max(start, float(times[0])), min(end, float(times[-1]))
    if row.reading == "value":
        return [(r, 1.0, end, False) for r in numbers]
    if row.reading == "increase":
        ends = ((1.0, end), (-1.0, start))
        return [(r, sign, t, False) for r in numbers for sign, t in ends]
    if row.reading == "total":
        ends = ((1.0, end), (-1.0, start))
        return [(r, sign, t, True) for r in numbers for sign, t in ends]
    if is_flow(variable.unit) or end > start:
        # A share has a period without being a flow: its average over the period.
        weight = 1.0 if is_flow(variable.unit) else 1.0 / (end - start)
        return [
            term for r in numbers for term in ((r, weight, end, True), (r, -weight, start, True))
        ]
    return [(r, 1.0, end, False) for r in numbers]


def _rows(model: Model, name: str, dims: tuple[str, ...], elements: tuple[str, ...]) -> list[int]:
    """Rows of some elements of the first dimension of a variable, and all of any other."""
    if not dims:
        return [int(model.rows(name)[0])]
    own = model.subscripts[dims[0]]
    by_element = model.rows(name).reshape(len(own), -1)
    return [int(row) for element in elements for row in by_element[own.index(element)]]


def _around(t: float, times: FloatArray) -> list[tuple[int, float]]:
    """Steps on either side of a time, with the weights of straight-line interpolation."""
    k = int(np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 1))
    if k == len(times) - 1 or t == times[k]:
        return [(k, 1.0)]
    part = float((t - times[k]) / (times[k + 1] - times[k]))
    # Dates such as 2023.8333 are k/12 rounded; a rounding error off the grid is on it.
    if part < 1e-9:
        return [(k, 1.0)]
    return [(k, 1.0 - part), (k + 1, part)]
