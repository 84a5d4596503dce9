"""Runs of a compiled model: once with labels, or for many members without.

A run is pure: a setting for one run does not affect the next, and the same arguments give the same
bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Required, TypedDict

import numpy as np

from beltcast.engine.lower.given_series import looked_at, with_series
from beltcast.engine.nodes import MISSING, FloatArray, IntArray, is_missing
from beltcast.engine.program import NO_ROWS, Program
from beltcast.engine.run.adaptive import Adaptive
from beltcast.engine.run.plan import (
    ADAPTIVE,
    Method,
    Plan,
    integration_method,
    make_plan,
    steps_at,
)
from beltcast.engine.run.prepare import Backend, Prepared, available, prepare
from beltcast.engine.run.time_grid import Grid, find_grid
from beltcast.engine.syntax import CONTROLS, Source, canonical, split_label
from beltcast.errors import SimulationError, UnknownName, quoted
from beltcast.model.arguments import Constants, Inputs, plain_constants
from beltcast.model.browsing import Browsable
from beltcast.schema import TIME, make_dataset

if TYPE_CHECKING:
    import xarray as xr

LARGEST_RESULT = 4e9
"""Size in bytes above which a result is refused, since it would exhaust the memory."""


class BatchOptions(TypedDict, total=False):
    """Arguments of `Model.batch` other than the members: its keyword arguments."""

    outputs: Required[IntArray]
    saves: Required[Sequence[float] | FloatArray]
    totals: IntArray | None
    grid: Grid | None
    inputs: Inputs | None
    directions: IntArray | None
    method: Method | None
    backend: Backend


@dataclass(frozen=True, eq=False, repr=False)
class Running(Browsable):
    """A model that can be run; `beltcast.model.model.Model` is one."""

    # Compiled parts; a cache that never affects results.
    _kernels: dict[Any, Prepared | Adaptive] = field(default_factory=dict, repr=False)
    _own_series: bool = field(default=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or another process gets: all but the compiled code of this process."""
        return self.__dict__ | {"_kernels": {}}

    def grid(self, constants: Constants | None = None, inputs: Inputs | None = None) -> Grid:
        """Time grid of the model; INITIAL TIME, FINAL TIME, TIME STEP, SAVEPER may be set.

        A FINAL TIME that changes during the run is found by a run with these constants and series,
        and the steps of a TIME STEP or SAVEPER that changes by following it
        (`beltcast.engine.run.variable_step`).
        """
        if constants is None and inputs is None:
            return self._own_grid
        return self._grid_with({} if constants is None else constants, inputs)

    @cached_property
    def _own_grid(self) -> Grid:
        return self._grid_with({})

    def _grid_with(self, constants: Constants, inputs: Inputs | None = None) -> Grid:
        rows, values = self.constant_values(constants)
        controls = {
            canonical(name): value
            for name, value in plain_constants(constants, self).items()
            if canonical(name) in CONTROLS
        }
        series = self.input_series(inputs)
        return find_grid(self.source, self.program, rows, values, controls, series)

    def simulate(
        self,
        constants: Constants | None = None,
        inputs: Inputs | None = None,
        *,
        outputs: str | Sequence[str] | None = None,
        save_at: Sequence[float] | None = None,
        method: Method | None = None,
        backend: Backend = "auto",
    ) -> xr.Dataset:
        """Run the model once.

        Parameters
        ----------
        constants : mapping or pandas.Series, optional
            Constants to set for this run: ``{"Belt Size": {"Shenzhen": 2.0}}``,
            ``{"Belt Size[Shenzhen]": 2.0}``, one number for all elements, an array with an axis
            for each subscript range, a Series over elements, or a DataArray.  TIME STEP, FINAL
            TIME and SAVEPER may be set too.
        inputs : mapping or pandas.DataFrame, optional
            Exogenous series to replace from the first given time on: ``{name: (times, values)}``,
            or Series (columns) indexed by time.
        outputs : str or sequence of str, optional
            Variables to return; all by default.
        save_at : sequence of float, optional
            Times to save, on the grid of steps; every SAVEPER by default.
        method : 'euler', 'rk2', 'rk4', 'adaptive' or 'stiff', optional
            By default as the file states. The last two choose their own steps, to a relative error
            of 1e-7 per step, and stop at every time to save; `stiff` is implicit. They integrate
            differential equations: a model with DELAY FIXED or SAMPLE IF TRUE is refused.
        backend : 'auto', 'llvm' or 'numpy'
            'auto' compiles if llvmlite is installed.

        Returns
        -------
        xarray.Dataset
            Under the model's own names, over time and the subscript ranges.

        Raises
        ------
        UnknownName
            A name that the model does not have.
        InputError
            A constant or a point of an input is NaN, or an array has the wrong shape.
        SimulationError
            A variable became NaN or infinite; the message names the variable and time.  Values that
            the model itself marks as missing (``:NA:``) are returned as NaN.

        Examples
        --------
        >>> from beltcast import load_model
        >>> from beltcast.files.shipped import shipped
        >>> model = load_model(shipped("models/decay/decay.mdl"))
        >>> run = model.simulate({"Lifetime": 2.0}, save_at=[0.0, 1.0])
        >>> run["Stock"].dims
        ('time',)
        """
        reading = self._reading(inputs)
        if reading is not None:
            return reading.simulate(
                constants,
                inputs,
                outputs=outputs,
                save_at=save_at,
                method=method,
                backend=backend,
            )
        grid = self.grid(constants, inputs)
        asked = [outputs] if isinstance(outputs, str) else outputs
        names = [self._output(n) for n in asked] if asked is not None else self.computed
        times = grid.saved() if save_at is None else np.asarray(save_at, dtype=np.float64)
        if not len(times):
            raise SimulationError("no time to save was given; name at least one")
        rows = [self.rows(n) for n in names]
        flat = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
        parameters, values = self.constant_values(constants)
        result = self.batch(
            parameters,
            values[:, None],
            outputs=np.where(flat < 0, 0, flat),
            saves=times,
            grid=grid,
            inputs=inputs,
            method=method,
            backend=backend,
        )[:, :, 0]
        result[:, flat < 0] = MISSING  # an element without an equation
        self._check_finite(result, flat, times)
        return self._labelled(names, rows, result, times)

    def _output(self, label: str) -> str:
        name, bracket, _ = split_label(label)
        whole = self.find(name).name
        if bracket:
            raise UnknownName(
                f"{quoted(label)} is one element, and an output is a whole variable; ask for "
                f"{quoted(whole)} and select from it"
            )
        return whole

    def states(self, instants: int = 3) -> tuple[FloatArray, FloatArray]:
        """Values of all rows at evenly spaced instants of a run with the model's own constants.

        Returns
        -------
        states : (k, n_rows)
        times : (k,)  [time]
        """
        times = self.grid().times()
        chosen = np.unique(times[np.linspace(0, len(times) - 1, instants).astype(np.int64)])
        states = self.batch(
            NO_ROWS,
            np.empty((0, 1)),
            outputs=np.arange(self.program.n_rows),
            saves=chosen,
        )[:, :, 0]
        return states, chosen

    def batch(
        self,
        parameters: IntArray,
        values: FloatArray,
        *,
        outputs: IntArray,
        totals: IntArray | None = None,
        saves: Sequence[float] | FloatArray,
        grid: Grid | None = None,
        inputs: Inputs | None = None,
        directions: IntArray | None = None,
        method: Method | None = None,
        backend: Backend = "auto",
    ) -> FloatArray:
        """Run many members, without labels.

        Parameters
        ----------
        parameters : (p,)
            Rows of the constants that members set.
        values : (p, N)
        outputs : (o,)
            Rows to save.
        totals : (t,), optional
            Rows whose running totals since the start are saved after the outputs.
        saves : (s,)
            Times to save; a run ends at the last of them.
        grid : Grid, optional
            The model's own by default.
        inputs : mapping, optional
            As for `simulate`.
        directions : (d,), optional
            Positions in `parameters` to differentiate by.  Each member is then run in each
            direction and derivatives follow the values.

        Returns
        -------
        (s, o + t, N), or (s, o + t, N, 1 + d) with directions
            With directions the last axis holds the value, then its derivatives.
        """
        reading = self._reading(inputs)
        if reading is not None:
            return reading.batch(
                parameters,
                values,
                outputs=outputs,
                totals=totals,
                saves=saves,
                grid=grid,
                inputs=inputs,
                directions=directions,
                method=method,
                backend=backend,
            )
        grid = grid or self.grid(inputs=inputs)
        totals = NO_ROWS if totals is None else totals
        wanted = np.asarray(saves, dtype=np.float64)
        times = grid.times(until=float(wanted.max()))
        steps, place = np.unique(steps_at(times, wanted), return_inverse=True)
        moved = None if directions is None else parameters[directions]
        self._check_settable(parameters)
        numbers = len(steps) * (len(outputs) + len(totals)) * values.shape[1]
        _check_size(numbers if moved is None else numbers * (1 + len(moved)))
        way = integration_method(method or self.source.method)
        prepared = self._prepared(outputs, totals, moved, backend, way)
        self._check_given(prepared.program, inputs)

        def plan(parameters: IntArray, rows: IntArray) -> Plan:
            return make_plan(
                prepared.program,
                parameters=parameters,
                outputs=rows,
                times=times,
                step=grid.steps(times),
                saves=steps,
                inputs=self.input_series(inputs),
                method=way,
                tolerance=self.source.tolerance,
            )

        out = prepared.run(plan, parameters, values)
        return out if np.array_equal(place, np.arange(len(steps))) else out[place]

    def _check_settable(self, parameters: IntArray) -> None:
        for row in parameters.tolist():
            if row in self.program.fixed:
                raise SimulationError(
                    f"'{self.label(row)}' cannot be set for a run: it makes "
                    f"{self.program.fixed[row]}; change it in the model file",
                    self.path,
                )

    def _check_given(self, program: Program, inputs: Inputs | None) -> None:
        given = self.input_series(inputs)
        # An element that is not given beside others of its variable is missing, as in Vensim.
        names = {split_label(self.label(row))[0] for row in given}
        for row, data in program.inputs.items():
            if row not in given and not len(data.times):
                label = self.label(row)
                if split_label(label)[0] in names:
                    continue
                raise SimulationError(
                    f"the model holds no numbers for the data variable '{label}'; run it with "
                    f"inputs={{'{label}': (times, values)}}",
                    self.path,
                    self.variables[split_label(label)[0]].line,
                )

    def _prepared(
        self,
        outputs: IntArray,
        totals: IntArray,
        moved: IntArray | None,
        backend: Backend,
        method: Method,
    ) -> Prepared | Adaptive:
        """Compile the part of the model that a request needs, and keep it."""
        kind = available(backend)
        asked = (outputs, totals, NO_ROWS if moved is None else moved)
        way = method if method in ADAPTIVE else "fixed"
        key = (kind, way, moved is None, *(rows.tobytes() for rows in asked))
        if key not in self._kernels:
            self._kernels[key] = prepare(self.program, kind, outputs, totals, moved, method)
        return self._kernels[key]

    def _check_finite(self, result: FloatArray, rows: IntArray, times: FloatArray) -> None:
        good = np.isfinite(result)
        if not good.all():  # a large result would take as much memory again
            good |= is_missing(result)
        if good.all():
            return
        bad = ~good
        when = int(np.argmax(bad.any(axis=1)))
        row = int(rows[np.argmax(bad[when])])
        raise SimulationError(
            f"'{self.label(row)}' is {result[when][np.argmax(bad[when])]} at time "
            f"{times[when]:g}; check its equation for a division by zero, a logarithm or a power "
            "of a negative number, or take a smaller TIME STEP or method='stiff'",
            self.path,
            self.variables[split_label(self.label(row))[0]].line,
        )

    def _labelled(
        self, names: Sequence[str], rows: Sequence[IntArray], result: FloatArray, times: FloatArray
    ) -> xr.Dataset:
        variables: dict[str, tuple[tuple[str, ...], FloatArray, dict[str, str]]] = {}
        first = 0
        for name, own in zip(names, rows, strict=True):
            dims = self.variables[name].dims
            shape = (len(times), *(len(self.subscripts[d]) for d in dims))
            values = result[:, first : first + len(own)].reshape(shape)
            variables[name] = ((TIME, *dims), values, self.attributes(name))
            first += len(own)
        used = {d for name in names for d in self.variables[name].dims}
        coordinates: dict[str, tuple[Any, dict[str, str]]] = {
            d: (np.array(self.subscripts[d]), {}) for d in self.subscripts if d in used
        }
        coordinates[TIME] = (times, {"units": self.time_unit, "long_name": "model time"})
        attrs = {"model": self.name, "model_sha256": self.source.text_sha256}
        return make_dataset(variables, coordinates, attrs)

    def _reading(self, inputs: Inputs | None) -> Running | None:
        """The model with given series in place of its own, where it uses a series as a whole.

        GET DATA BETWEEN TIMES and similar functions are tables made when a model is compiled.
        """
        whole = looked_at(self.source) if inputs is not None else frozenset()
        named = {canonical(split_label(name)[0]) for name in (() if inputs is None else inputs)}
        if not whole & named or self._own_series:
            return None
        source = with_series(self.source, self.program, self.input_series(inputs))
        return replace(self._compiled(source), _own_series=True)

    def _compiled(self, source: Source) -> Running:
        """Return the model of other equations."""
        raise NotImplementedError


def _check_size(numbers: int) -> None:
    if 8 * numbers > LARGEST_RESULT:
        raise SimulationError(
            f"this run would return {8 * numbers / 1e9:.1f} GB at once; request fewer "
            f"members, outputs or times"
        )
