"""Variants of a model: other values, or drivers that cannot interact.

A variant is a model: it runs, fits, samples and forecasts like any other, with exact derivatives,
so that a null hypothesis is tested against the observations in the same way as the model itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.model.arguments import Constants, Inputs
from beltcast.model.model import Model
from beltcast.model.running import BatchOptions


@dataclass(frozen=True, eq=False, repr=False)
class Moved(Model):
    """A model with other values of some constants; see `move`."""

    moved_rows: IntArray | None = None
    moved_values: FloatArray | None = None

    def batch(
        self, parameters: IntArray, values: FloatArray, **question: Unpack[BatchOptions]
    ) -> FloatArray:
        """Run many members; constants that the members set override, as in `Model.batch`."""
        assert self.moved_rows is not None
        assert self.moved_values is not None
        free = ~np.isin(self.moved_rows, parameters)
        own = np.repeat(self.moved_values[free, None], values.shape[1], axis=1)
        return super().batch(
            np.concatenate([parameters, self.moved_rows[free]]),
            np.concatenate([values, own]),
            **question,
        )


def move(model: Model, constants: Constants) -> Moved:
    """Return the model with other values of some constants.

    Parameters
    ----------
    model : Model
    constants : mapping
        As for `Model.simulate`.

    Raises
    ------
    UnknownName

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.model.variants import move
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> moved = move(model, {"Lifetime": 2.0}).simulate(save_at=[1.0])["Stock"]
    >>> bool(moved == model.simulate({"Lifetime": 2.0}, save_at=[1.0])["Stock"])
    True
    """
    rows, values = model.constant_values(constants)
    return Moved(
        model.source,
        model.program,
        model.variables,
        model.subscripts,
        moved_rows=rows,
        moved_values=values,
    )


def with_numbers(model: Model, constants: Constants, inputs: Inputs) -> Model:
    """Return the model with other values in its file: defaults of constants, input series.

    Unlike `move`, this makes a plain model, of which further variants can be made.

    Parameters
    ----------
    model : Model
    constants : mapping
        As for `Model.simulate`.
    inputs : mapping
        Name to whole series, (times, values); the old series is dropped.

    Raises
    ------
    UnknownName, SimulationError
        As `Model.simulate`.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.model.variants import with_numbers
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> with_numbers(model, {"Lifetime": 2.0}, {}).value("Lifetime")
    2.0
    """
    program = model.program
    rows, values = model.constant_values(constants)
    defaults = program.constant_values.copy()
    defaults[np.searchsorted(program.constants, rows)] = values
    # The series of a model that holds none of these inputs: only the given points remain.
    given = {
        row: replace(program.inputs[row], times=np.asarray(times), values=np.asarray(levels))
        for name, (times, levels) in inputs.items()
        for row in model.input_series({name: (times, levels)})
    }
    changed = replace(program, constant_values=defaults, inputs={**program.inputs, **given})
    return replace(model, program=changed, _kernels={})


@dataclass(frozen=True, eq=False, repr=False)
class NoInteraction(Model):
    """A model whose drivers act alone and whose gains add up in logs.

    With ``v0`` a run without drivers and ``v_i`` one with driver i alone, every quantity is

        log v = log v0 + sum_i (log v_i - log v0)

    The drift is the model's own: its trend parameters are in each of the runs.  For a total over
    time the relation holds for what accrues between two saved instants.  Where a run is not
    positive, gains are added as they are, ``v = v0 + sum_i (v_i - v0)``.

    Attributes
    ----------
    switches : tuple of str
        Constants that are 1 with their driver and 0 without.
    """

    switches: tuple[str, ...] = ()

    def batch(
        self, parameters: IntArray, values: FloatArray, **question: Unpack[BatchOptions]
    ) -> FloatArray:
        """Run many members, as `Model.batch`; one run without drivers and one for each of them."""
        saves = np.asarray(question["saves"], dtype=np.float64)
        when, place = np.unique(saves, return_inverse=True)
        question["saves"] = when  # among this call's own keywords
        instants = len(question["outputs"])
        rows = np.array([int(self.rows(name)[0]) for name in self.switches], dtype=np.int64)
        # A switch that a caller sets is turned off only if the caller turned it off.
        set_by_caller = {int(r): i for i, r in enumerate(parameters) if r in rows}
        free = np.array([r for r in rows if int(r) not in set_by_caller], dtype=np.int64)
        runs = []
        for alone in (None, *rows.tolist()):
            own, added = values.copy(), np.zeros((len(free), values.shape[1]))
            for row, i in set_by_caller.items():
                own[i] = own[i] if row == alone else 0.0
            added[free == alone] = 1.0
            run = super().batch(
                np.concatenate([parameters, free]),
                np.concatenate([own, added]),
                **question,
            )
            # Running totals become the amounts accrued since the last saved instant.
            run[1:, instants:] = np.diff(run[:, instants:], axis=0)
            runs.append(run)
        joint = _joined(np.stack(runs), with_derivatives=question.get("directions") is not None)
        joint[:, instants:] = np.cumsum(joint[:, instants:], axis=0)
        return np.asarray(joint[place])


def without_interaction(model: Model, switches: Sequence[str]) -> NoInteraction:
    """Return the null model in which the drivers do not interact.

    Raises
    ------
    UnknownName

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.model.variants import without_interaction
    >>> null = without_interaction(read_study().model, ["SW Government", "SW Market"])
    >>> float(null.simulate(outputs=["national output"])["national output"][0]) > 0
    True
    """
    names = tuple(model.find(name).name for name in switches)
    for name in names:
        model.value(name)  # a scalar constant, or an error that names it
    return NoInteraction(
        model.source, model.program, model.variables, model.subscripts, switches=names
    )


def _joined(runs: FloatArray, *, with_derivatives: bool) -> FloatArray:
    """Combine the run without drivers and those with one; (1 + k, ...) -> (...)."""
    values = runs[..., 0] if with_derivatives else runs
    none, alone = values[0], values[1:]
    positive = np.asarray(np.all(values > 0, axis=0))
    safe = np.where(positive, values, 1.0)
    logs = np.log(safe)
    product = np.exp(logs[1:].sum(axis=0) - (len(alone) - 1) * logs[0])
    joint: FloatArray = np.where(positive, product, none + (alone - none).sum(axis=0))
    if not with_derivatives:
        return joint
    slopes = runs[..., 1:]
    relative = slopes / safe[..., None]
    of_logs = relative[1:].sum(axis=0) - (len(alone) - 1) * relative[0]
    of_sums = slopes[0] + (slopes[1:] - slopes[0]).sum(axis=0)
    derivative = np.where(positive[..., None], product[..., None] * of_logs, of_sums)
    both: FloatArray = np.concatenate([joint[..., None], derivative], axis=-1)
    return both
