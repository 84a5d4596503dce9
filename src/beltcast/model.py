"""A model as a value: its variables, and runs of it.

`load_model` reads a file; `Model.simulate` runs it once and labels the result; `Model.batch` is
the unlabelled run of many members, which ensembles and fits are made of.  A run is pure: what is
set for one run is forgotten after it, and the same arguments give the same bits.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Required, TypedDict

import numpy as np

from beltcast.engine.cache import open_cache
from beltcast.engine.course import NEAR, Course, moving_course
from beltcast.engine.lowering import lower
from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.numpy_backend import NumpyKernel, assign
from beltcast.engine.parsed import read_parsed
from beltcast.engine.plan import Method, Plan, make_plan, steps_at, time_grid
from beltcast.engine.program import Program, accumulate, restrict
from beltcast.engine.syntax import CONTROLS, Data, Equation, Source, canonical
from beltcast.engine.tangent import differentiate
from beltcast.errors import (
    ModelError,
    ModelFileError,
    SimulationError,
    UnknownName,
    UnsupportedConstruct,
    did_you_mean,
)
from beltcast.schema import TIME

if TYPE_CHECKING:
    import xarray as xr

Backend = Literal["auto", "llvm", "numpy"]
Kind = Literal["stock", "auxiliary", "constant", "input", "lookup"]
Constants = Mapping[str, float | Mapping[str, float]]
Inputs = Mapping[str, tuple[Sequence[float], Sequence[float]]]

LARGEST_RESULT = 4e9
"""Bytes beyond which a result is refused rather than left to exhaust the memory."""


@dataclass(frozen=True)
class Variable:
    """A variable of a model.

    Attributes
    ----------
    name : str
        As the model file spells it.
    kind : str
        stock, auxiliary, constant, input or lookup.
    dims : tuple of str
        Subscript ranges.
    unit, doc : str
        As the model file says.
    line : int
        Line of the file.
    """

    name: str
    kind: Kind
    dims: tuple[str, ...]
    unit: str
    doc: str
    line: int


class Kernel(Protocol):
    """A program ready to run, by either back end."""

    def __call__(self, plan: Plan, values: FloatArray) -> FloatArray:
        """Run all members; `values` is (p, N), the result (s, o, N)."""
        ...


@dataclass(frozen=True)
class Grid:
    """When a run starts, ends, steps and saves; all in the model's time unit.

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

        Raises
        ------
        SimulationError
            SAVEPER is not a whole number of steps.
        """
        if self.course is not None:
            return self.course.saved
        times = self.times()
        ratio = self.save_every / self.step
        if not (np.isfinite(ratio) and ratio > 0.5 and abs(ratio - round(ratio)) < 1e-5 * ratio):
            raise SimulationError(
                f"SAVEPER = {self.save_every:g} is not a whole number of steps of "
                f"{self.step:g}; set SAVEPER to a multiple of TIME STEP, or give the times to save"
            )
        return times[:: round(ratio)]


class Question(TypedDict, total=False):
    """What `Model.batch` is asked, apart from the members: its keyword arguments."""

    outputs: Required[IntArray]
    saves: Required[Sequence[float] | FloatArray]
    totals: IntArray | None
    grid: Grid | None
    inputs: Inputs | None
    directions: IntArray | None
    method: Method | None
    backend: Backend


@dataclass(frozen=True, eq=False)
class Model:
    """A stock-flow model.

    Made by `load_model`.

    Attributes
    ----------
    source : Source
        The equations as read.
    program : Program
        The equations in order.
    variables : mapping of str to Variable
        By the name in the file.
    subscripts : mapping of str to tuple of str
        Elements of each subscript range.
    """

    source: Source
    program: Program
    variables: Mapping[str, Variable]
    subscripts: Mapping[str, tuple[str, ...]]
    # Compiled questions; a cache, so it never shows in a result.
    _kernels: dict[Any, tuple[Kernel, Program, IntArray, IntArray]] = field(
        default_factory=dict, repr=False
    )

    @property
    def path(self) -> Path | None:
        """File of the model."""
        return self.source.path

    @property
    def name(self) -> str:
        """Name of the file without its ending."""
        return self.path.stem if self.path else "model"

    @property
    def time_unit(self) -> str:
        """Unit of time."""
        return self.source.controls["time step"].unit

    def find(self, name: str, /) -> Variable:
        """Find a variable, whatever the case and the underscores.

        Raises
        ------
        UnknownName
        """
        slot = self.program.slots.get(canonical(name))
        if slot is None:
            names = [*self.variables]
            raise UnknownName(
                f"'{name}' is not a variable of {self.name}{did_you_mean(name, names)}"
            )
        return self.variables[slot.name]

    def rows(self, label: str, /) -> IntArray:
        """Rows of a variable, or of one element: ``Belt Size`` or ``Belt Size[Shenzhen]``.

        Returns
        -------
        (n,)
            In the order of the elements, last subscript fastest.

        Raises
        ------
        UnknownName
        """
        name, _, inside = label.partition("[")
        variable = self.find(name.strip())
        rows = self.program.slots[canonical(variable.name)].rows
        if not inside:
            return rows.reshape(-1)
        elements = [e.strip() for e in inside.rstrip("]").split(",")]
        if len(elements) != len(variable.dims):
            raise UnknownName(
                f"'{label}' gives {len(elements)} elements, but '{variable.name}' has the "
                f"dimensions ({', '.join(variable.dims)})"
            )
        place = tuple(
            self._position(label, e, d) for e, d in zip(elements, variable.dims, strict=True)
        )
        return np.atleast_1d(rows[place])

    def _position(self, label: str, element: str, dim: str) -> int:
        names = self.subscripts[dim]
        for i, name in enumerate(names):
            if canonical(name) == canonical(element):
                return i
        raise UnknownName(
            f"'{label}' names '{element}', which is no element of {dim}"
            + did_you_mean(element, names)
        )

    def value(self, label: str, /) -> float:
        """Default of a scalar constant, or of one element of a constant.

        Raises
        ------
        UnknownName
            There is no such constant, or it has several elements.
        """
        rows = self._constant_rows(label)
        if len(rows) != 1:
            raise UnknownName(f"'{label}' has {len(rows)} elements; name one, as in Name[Element]")
        return self.program.default(int(rows[0]))

    def _constant_rows(self, label: str) -> IntArray:
        rows = self.rows(label)
        variable = self.find(label.partition("[")[0].strip())
        if variable.kind != "constant":
            raise UnknownName(
                f"'{variable.name}' is not a constant of {self.name} (kind: {variable.kind}); "
                "only constants can be set"
            )
        return rows[rows >= 0]

    def targets(self, labels: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Rows that labelled parameters set, and the position of each row's label.

        A name alone stands for all elements of its constant; an element that has a label of its
        own is left to that one.

        Returns
        -------
        (p,), (p,)

        Raises
        ------
        UnknownName
            A label is not a constant of the model.
        ModelError
            Two labels are the same constant or element.
        """
        owner: dict[int, int] = {}
        for column, label in sorted(enumerate(labels), key=lambda pair: "[" in pair[1]):
            for row in self._constant_rows(label).tolist():
                other = labels[owner[row]] if row in owner else ""
                if other and ("[" in other) == ("[" in label):
                    raise ModelError(
                        f"'{other}' and '{label}' set the same constant of {self.name}; keep one"
                    )
                owner[row] = column
        rows = sorted(owner)
        return np.array(rows, dtype=np.int64), np.array([owner[r] for r in rows], dtype=np.int64)

    def grid(self, constants: Constants | None = None) -> Grid:
        """Time grid of the model; INITIAL TIME, FINAL TIME, TIME STEP, SAVEPER may be set.

        A FINAL TIME that changes during the run is found by a run with these constants, and the
        steps of a TIME STEP or SAVEPER that changes by following it (`beltcast.engine.course`).
        """
        controls = self._controls(constants)
        moving = [name for name, value in controls.items() if isinstance(value, int)]
        if not moving:
            start, end, step, save_every = controls.values()
            return Grid(start, end, step, save_every)
        if moving == ["final time"]:
            start, row, step, save_every = controls.values()
            return Grid(start, self._end_of(int(row), start, step, constants), step, save_every)
        try:
            course = moving_course(self.program, self._settled(constants), controls)
        except UnsupportedConstruct as problem:
            line = self.source.controls[moving[-1]].line
            raise UnsupportedConstruct(problem.sentence, self.path, line) from None
        times, save_every = course.times, controls["saveper"]
        if isinstance(save_every, int):
            save_every = float(np.diff(course.saved[:2]).sum())
        return Grid(times[0], times[-1], course.steps[0], save_every, course)

    def _controls(self, constants: Constants | None) -> dict[str, float | int]:
        """Each control of the run: a number, or the row (int) of one that changes with time."""
        given = {canonical(k): v for k, v in (constants or {}).items()}
        settled: FloatArray | None = None

        def control(name: str) -> float | int:
            nonlocal settled
            if name in given:
                return float(given[name])  # type: ignore[arg-type]  # controls have no elements
            if name == "saveper" and name not in self.source.controls:
                return control("time step")
            slot = self.program.slots[name]
            row = int(slot.rows.reshape(-1)[0])
            if slot.kind == "constant":
                return self.program.default(row)
            # Such as SAVEPER = TIME STEP, or FINAL TIME = INITIAL TIME + 10.
            if settled is None:
                settled = self._settled(constants)
            return row if np.isnan(settled[row]) else float(settled[row])

        return {
            name: control(name) for name in ("initial time", "final time", "time step", "saveper")
        }

    def _end_of(self, row: int, start: float, step: float, constants: Constants | None) -> float:
        """First time that is not before a FINAL TIME that changes during the run."""
        parameters, values = self.constant_values(constants)
        horizon = start + step
        while True:
            times = time_grid(start, horizon, step)  # refuses a run without end
            final = self.batch(
                parameters,
                values[:, None],
                outputs=np.array([row]),
                saves=times,
                grid=Grid(start, horizon, step, step),
                backend="numpy",
            )[:, 0, 0]
            if np.isnan(final).any():
                raise SimulationError("FINAL TIME is not a number; check its equation", self.path)
            reached = times + 1e-5 * step >= final
            if reached.any():
                return float(times[np.argmax(reached)])
            horizon = min(float(final.max()), start + 4 * (horizon - start))

    def _settled(self, constants: Constants | None) -> FloatArray:
        """Rows that constants alone decide, for given constants; NaN elsewhere."""
        program = self.program
        rows = np.full((program.n_rows, 1), np.nan)
        rows[program.constants, 0] = program.constant_values
        chosen, values = self.constant_values(constants)
        rows[chosen, 0] = values
        for name, value in (constants or {}).items():
            if canonical(name) in ("initial time", "final time", "saveper"):
                # controls have no elements
                rows[program.slots[canonical(name)].rows.reshape(-1), 0] = value
        with np.errstate(all="ignore"):
            for block in program.setup:
                assign(block, rows, np.nan, np.nan)
        return rows[:, 0]

    def simulate(
        self,
        constants: Constants | None = None,
        inputs: Inputs | None = None,
        *,
        outputs: Sequence[str] | None = None,
        save_at: Sequence[float] | None = None,
        method: Method | None = None,
        backend: Backend = "auto",
    ) -> xr.Dataset:
        """Run the model once.

        Parameters
        ----------
        constants : mapping, optional
            Constants to set for this run: ``{"Belt Size": {"Shenzhen": 2.0}}``,
            ``{"Belt Size[Shenzhen]": 2.0}``, or one number for all elements.  TIME STEP, FINAL
            TIME and SAVEPER may be set too.
        inputs : mapping, optional
            Exogenous series to replace from the first given time on: ``{name: (times, values)}``.
        outputs : sequence of str, optional
            Variables to return; all by default.
        save_at : sequence of float, optional
            Times to save, on the grid of steps; every SAVEPER by default.
        method : 'euler', 'rk2' or 'rk4', optional
            As the file says by default.
        backend : 'auto', 'llvm' or 'numpy'
            'auto' compiles where llvmlite is installed.

        Returns
        -------
        xarray.Dataset
            Under the model's own names, over time and the subscript ranges.

        Raises
        ------
        UnknownName
            A name that the model does not have.
        SimulationError
            A variable left the finite numbers; the message says which and when.

        Examples
        --------
        >>> from beltcast import load_model
        >>> from beltcast.resources import shipped
        >>> model = load_model(shipped("models/decay/decay.mdl"))
        >>> run = model.simulate({"Lifetime": 2.0}, save_at=[0.0, 1.0])
        >>> run["Stock"].dims
        ('time',)
        """
        grid = self.grid(constants)
        names = [self.find(n).name for n in outputs] if outputs is not None else self.computed
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
        result[:, flat < 0] = np.nan
        self._check_finite(result[:, flat >= 0], flat[flat >= 0], times)
        return self._labelled(names, rows, result, times)

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
            Times to save; a run goes no further than the last of them.
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
        grid = grid or self.grid()
        totals = np.empty(0, dtype=np.int64) if totals is None else totals
        wanted = np.asarray(saves, dtype=np.float64)
        times = grid.times(until=float(wanted.max()))
        steps, place = np.unique(steps_at(times, wanted), return_inverse=True)
        moved = None if directions is None else parameters[directions]
        self._check_settable(parameters)
        numbers = len(steps) * (len(outputs) + len(totals)) * values.shape[1]
        _check_size(numbers if moved is None else numbers * (1 + len(moved)))
        kernel, program, rows, tangents = self._kernel(outputs, totals, moved, backend)
        self._check_given(program, inputs)

        def run(parameters: IntArray, rows: IntArray, values: FloatArray) -> FloatArray:
            plan = make_plan(
                program,
                parameters=parameters,
                outputs=rows,
                times=times,
                step=grid.steps(times),
                saves=steps,
                inputs=self.input_series(inputs),
                method=method or self.source.method,
            )
            out = kernel(plan, values)
            return out if np.array_equal(place, np.arange(len(steps))) else out[place]

        if moved is None:
            return run(parameters, rows, values)
        return _differentiated(run, parameters, values, rows, tangents, moved)

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
        for row, data in program.inputs.items():
            if row not in given and not len(data.times):
                raise SimulationError(
                    f"the model holds no numbers for the data variable '{self.label(row)}'; give "
                    "them as inputs={name: (times, values)}",
                    self.path,
                )

    def _kernel(
        self, outputs: IntArray, totals: IntArray, moved: IntArray | None, backend: Backend
    ) -> tuple[Kernel, Program, IntArray, IntArray]:
        """Compile the part of the model that a question needs; remembered."""
        kind = _available(backend)
        key = (
            kind,
            outputs.tobytes(),
            totals.tobytes(),
            None if moved is None else moved.tobytes(),
        )
        if key not in self._kernels:
            program, summed = accumulate(self.program, totals)
            rows = np.concatenate([outputs, summed])
            program = restrict(program, rows.tolist())
            tangents = np.empty(0, dtype=np.int64)
            if moved is not None:
                program, tangents = differentiate(program, moved.tolist())
            self._kernels[key] = (_build(kind, program), program, rows, tangents)
        return self._kernels[key]

    def constant_values(self, constants: Constants | None) -> tuple[IntArray, FloatArray]:
        """Rows and values of the constants that a run sets.

        As in `targets`, the label of an element goes before that of its constant.  A control that
        the file does not give as a number, such as SAVEPER = TIME STEP, is left to `grid`.

        Returns
        -------
        (p,), (p,)

        Raises
        ------
        UnknownName, ModelError
            As `targets`.
        """
        chosen: list[tuple[str, float]] = []
        for label, given in (constants or {}).items():
            if canonical(label) in CONTROLS and self._follows(label):
                continue
            if isinstance(given, Mapping):
                chosen += [(f"{label}[{element}]", float(v)) for element, v in given.items()]
            else:
                chosen.append((label, float(given)))
        rows, place = self.targets([label for label, _ in chosen])
        return rows, np.array([v for _, v in chosen], dtype=np.float64)[place]

    def _follows(self, control: str) -> bool:
        """Whether a control is computed from another, or left out of the file."""
        slot = self.program.slots.get(canonical(control))
        return slot is None or slot.kind != "constant"

    def input_series(self, inputs: Inputs | None) -> dict[int, Data]:
        """Replace input series from the first given time on, by row.

        Raises
        ------
        UnknownName
            A name is not an input of the model.
        SimulationError
            The times do not ascend, or times and values do not pair.
        """
        series: dict[int, Data] = {}
        for name, (times, values) in (inputs or {}).items():
            variable = self.find(name.partition("[")[0])
            if variable.kind != "input":
                raise UnknownName(
                    f"'{variable.name}' is not an input of {self.name} (kind: {variable.kind}); "
                    f"its inputs are {', '.join(self.inputs) or 'none'}"
                )
            t, y = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
            pairs = t.ndim == 1 and t.shape == y.shape and len(t) > 0
            if not (pairs and np.isfinite(t).all() and (np.diff(t) > 0).all()):
                raise SimulationError(
                    f"the points given for the input '{variable.name}' must be pairs of a time and "
                    "a value, in ascending time"
                )
            for row in self.rows(name).tolist():
                if row < 0:
                    continue
                own = self.program.inputs[row]
                kept = own.times < t[0]
                series[row] = Data(
                    np.concatenate([own.times[kept], t]),
                    np.concatenate([own.values[kept], y]),
                    own.method,
                )
        return series

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the exogenous series."""
        return tuple(v.name for v in self.variables.values() if v.kind == "input")

    @property
    def computed(self) -> list[str]:
        """Names of everything that has a value in a run."""
        controls = {self.source.controls[c].name for c in CONTROLS if c in self.source.controls}
        return [
            v.name for v in self.variables.values() if v.kind != "lookup" and v.name not in controls
        ]

    def _check_finite(self, result: FloatArray, rows: IntArray, times: FloatArray) -> None:
        bad = ~np.isfinite(result)
        if not bad.any():
            return
        when = int(np.argmax(bad.any(axis=1)))
        row = int(rows[np.argmax(bad[when])])
        raise SimulationError(
            f"'{self.label(row)}' is {result[when][np.argmax(bad[when])]} at time "
            f"{times[when]:g}; check its equation for a division by zero, a logarithm or a power "
            "of a negative number, or take a smaller TIME STEP",
            self.path,
            self.variables[self.label(row).partition("[")[0]].line,
        )

    def label(self, row: int) -> str:
        """Name of the variable, and element, that lives in a row."""
        for slot in self.program.slots.values():
            where = np.argwhere(slot.rows == row)
            if len(where):
                elements = [self.subscripts[d][i] for d, i in zip(slot.dims, where[0], strict=True)]
                return slot.name + (f"[{', '.join(elements)}]" if elements else "")
        return f"row {row}"

    def _labelled(
        self, names: Sequence[str], rows: Sequence[IntArray], result: FloatArray, times: FloatArray
    ) -> xr.Dataset:
        # Imported late: with pandas it takes as long as ten thousand runs, and `batch` needs none.
        import xarray as xr

        variables = {}
        first = 0
        for name, own in zip(names, rows, strict=True):
            dims = self.variables[name].dims
            shape = (len(times), *(len(self.subscripts[d]) for d in dims))
            values = result[:, first : first + len(own)].reshape(shape)
            variables[name] = ((TIME, *dims), values, self.attributes(name))
            first += len(own)
        used = {d for name in names for d in self.variables[name].dims}
        coords: dict[str, Any] = {d: list(self.subscripts[d]) for d in self.subscripts if d in used}
        coords[TIME] = (TIME, times, {"units": self.time_unit, "long_name": "model time"})
        attrs = {"model": self.name, "model_sha256": self.source.text_sha256}
        return xr.Dataset(variables, coords, attrs)

    def attributes(self, name: str) -> dict[str, str]:
        """Unit, meaning and kind of a variable, for a dataset."""
        variable = self.variables[name]
        return {"units": variable.unit, "long_name": variable.doc or name, "kind": variable.kind}


def load_model(path: str | Path) -> Model:
    """Read a model file.

    Parameters
    ----------
    path : str or Path
        A Vensim ``.mdl`` file in UTF-8, GB18030 or Latin-1, or an XMILE file.  Tables that
        it refers to lie in its folder.

    Returns
    -------
    Model

    Raises
    ------
    ModelFileError
        The file is missing, cut short, not a model, or its equations do not fit together.
    UnsupportedConstruct
        It uses something that the engine does not know; nothing is ever approximated.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.resources import shipped
    >>> load_model(shipped("models/belt/belt.mdl")).subscripts["Tier"]
    ('Brand', 'Factory', 'Distributor')
    """
    source = read_parsed(path, open_cache())
    try:
        program = lower(source)
    except RecursionError:
        raise ModelFileError(
            "an expression is nested too deeply to be read; split it into several equations",
            source.path,
        ) from None
    except ModelError as problem:
        if problem.path is None:
            problem.path = source.path
        raise
    texts: dict[str, Equation] = {}
    for equation in (*source.controls.values(), *source.equations):
        texts.setdefault(canonical(equation.name), equation)
    variables = {
        slot.name: Variable(
            name=slot.name,
            kind=slot.kind,  # type: ignore[arg-type]  # lower() gives one of the literals
            dims=slot.dims,
            unit=texts[name].unit,
            doc=texts[name].doc,
            line=texts[name].line,
        )
        for name, slot in program.slots.items()
    }
    return Model(source, program, variables, dict(source.subscripts))


def _available(backend: Backend) -> Literal["llvm", "numpy"]:
    if backend == "auto":
        return "llvm" if importlib.util.find_spec("llvmlite") else "numpy"
    return backend


def _build(kind: Literal["llvm", "numpy"], program: Program) -> Kernel:
    if kind == "numpy":
        return NumpyKernel(program)
    # Imported late: where llvmlite has no wheel, NumPy runs everything.
    from beltcast.engine.llvm_backend import LlvmKernel

    return LlvmKernel(program, cache=open_cache())


def _differentiated(
    run: Callable[[IntArray, IntArray, FloatArray], FloatArray],
    parameters: IntArray,
    values: FloatArray,
    rows: IntArray,
    tangents: IntArray,
    moved: IntArray,
) -> FloatArray:
    """Run every member in every direction; (s, o, N, 1 + d)."""
    n, d = values.shape[1], len(moved)
    known = tangents[rows] >= 0
    # Member m in direction j is column m * d + j.
    spread, seeds = np.repeat(values, d, axis=1), np.tile(np.eye(d), n)
    out = run(
        np.concatenate([parameters, tangents[moved]]),
        np.concatenate([rows, tangents[rows[known]]]),
        np.concatenate([spread, seeds]),
    ).reshape(-1, len(rows) + int(known.sum()), n, d)
    result = np.zeros((len(out), len(rows), n, 1 + d))
    result[..., 0] = out[:, : len(rows), :, 0]
    result[:, known, :, 1:] = out[:, len(rows) :]
    return result


def _check_size(numbers: int) -> None:
    if 8 * numbers > LARGEST_RESULT:
        raise SimulationError(
            f"this run would return {8 * numbers / 1e9:.1f} GB at once; ask for fewer members, "
            "outputs or times"
        )
