"""Comparison with another program's run of the same model: the first number that differs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from beltcast.engine.syntax import canonical, split_label
from beltcast.errors import SimulationError, UnsupportedConstruct
from beltcast.files.extras import need
from beltcast.model.model import Model


@dataclass(frozen=True)
class Opinion:
    """Result of a comparison with another program.

    Attributes
    ----------
    program : str
    compared : int
        Number of series that both programs have.
    variable : str or None
        The first that differs, with its element; None if all agree.
    time : float or None  [model time]
    ours, theirs : float or None  [unit of the variable]
    """

    program: str
    compared: int
    variable: str | None = None
    time: float | None = None
    ours: float | None = None
    theirs: float | None = None

    def sentence(self) -> str:
        """Return the finding as one line."""
        if self.variable is None:
            return f"{self.program} agrees on {self.compared} series"
        return (
            f"{self.program} differs: '{self.variable}' at {self.time:g} is {self.ours:.9g} here "
            f"and {self.theirs:.9g} there"
        )


def second_opinion(
    model: Model, program: str = "pysd", *, rtol: float = 1e-6, atol: float = 1e-9
) -> Opinion:
    """Run a model in another program and find the first number that differs.

    Parameters
    ----------
    model : Model
        Read from a file.
    program : {'pysd', 'pysimlin'}
    rtol, atol : float
        Differences up to ``rtol`` times the largest value of a series, plus ``atol``, are rounding.

    Raises
    ------
    UnsupportedConstruct
        The other program cannot open or run the model.
    MissingExtra
        pysimlin is not installed.
    SimulationError
        The model has no file, or the two have no series in common.
    """
    if model.path is None:
        raise SimulationError("the model was not read from a file; save it first")
    name, compute = PROGRAMS[program]
    times, theirs = compute(model)
    run = model.simulate()
    ours: dict[str, tuple[str, np.ndarray]] = {}
    for variable, values in run.data_vars.items():
        rest = [d for d in values.dims if d != "time"]
        for element in np.ndindex(*(values.sizes[d] for d in rest)):
            at = dict(zip(rest, element, strict=True))
            labels = [str(run[d].values[i]) for d, i in at.items()]
            label = f"{variable}[{','.join(labels)}]" if labels else str(variable)
            ours[_key(label)] = (label, values.isel(at).to_numpy())
    common = [key for key in ours if key in theirs]
    if not common:
        raise SimulationError(f"{name} has no series of this model; compare another way")
    grid = run["time"].to_numpy()
    place = np.clip(np.searchsorted(times, grid - 1e-6), 0, len(times) - 1)
    near = np.abs(times[place] - grid) < 1e-4 * max(1.0, float(np.ptp(grid)))
    first: tuple[int, str] | None = None
    for key in common:
        mine, other = ours[key][1], theirs[key][place]
        scale = float(np.nanmax(np.abs(mine), initial=0.0))
        with np.errstate(invalid="ignore"):
            apart = ~(np.abs(mine - other) <= rtol * scale + atol) & near
        apart &= ~(np.isnan(mine) & np.isnan(other))
        if apart.any() and (first is None or int(np.argmax(apart)) < first[0]):
            first = int(np.argmax(apart)), key
    if first is None:
        return Opinion(name, len(common))
    k, key = first
    return Opinion(
        name,
        len(common),
        ours[key][0],
        float(grid[k]),
        float(ours[key][1][k]),
        float(theirs[key][place[k]]),
    )


def _key(label: str) -> str:
    name, bracket, inside = split_label(label)
    if not bracket:
        return canonical(name)
    elements = ",".join(map(canonical, inside.rstrip("]").split(",")))
    return f"{canonical(name)}[{elements}]"


def _run_pysd(model: Model) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    other = model.to_pysd()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frame = other.run(flatten_output=True)
        except Exception as problem:  # whatever PySD raises is reported, not hidden
            words = " ".join(str(problem).split())[:200] or type(problem).__name__
            raise UnsupportedConstruct(f"PySD cannot run the model: {words}", model.path) from None
    columns = {
        _key(str(c)): frame[c].to_numpy(dtype=np.float64)
        for c in frame.columns
        if frame[c].dtype.kind in "fiub"
    }
    return frame.index.to_numpy(dtype=np.float64), columns


def _run_simlin(model: Model) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    simlin = need("simlin", "simlin", to="--against pysimlin", otherwise="compare with pysd")
    try:
        frame = simlin.load(model.path).run().results
    except Exception as problem:  # whatever Simlin meets: it is said, not hidden
        words = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise UnsupportedConstruct(f"pysimlin cannot run the model: {words}", model.path) from None
    columns = {_key(str(c)): frame[c].to_numpy(dtype=np.float64) for c in frame.columns}
    return frame.index.to_numpy(dtype=np.float64), columns


PROGRAMS = {"pysd": ("PySD", _run_pysd), "pysimlin": ("pysimlin", _run_simlin)}
"""By the word of the command line: what it is called, and how it runs a model."""
