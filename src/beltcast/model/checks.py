"""Checks of a model: faults and doubts, as values and as text.

`check_model` answers five questions: are the units consistent, does a smaller time step change the
result, do stocks go negative, what happens at extreme values of a constant, and which feedback
loops are there.  Only inconsistent units are faults; the modeller judges everything else.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beltcast.display.translations import element_called, word
from beltcast.engine.loops.graph import Component, causal_links, feedback_loops
from beltcast.engine.nodes import FloatArray, IntArray, is_missing
from beltcast.engine.syntax import CONTROLS, canonical, split_label
from beltcast.engine.units.check import UnitProblem, check_units
from beltcast.model.model import Model
from beltcast.schema import Label, Language, Progress, no_progress

FACTORS = (0.0, 0.1, 10.0)
"""Factors on each constant: zero, and an order of magnitude either way."""

NEGATIVE = 1e-9
"""A stock is negative when it lies below zero by more than this share of its largest size."""

_CHUNK = 20_000_000
"""Numbers that one batch of runs may return: 160 MB."""


@dataclass(frozen=True)
class StepError:
    """How much a stock depends on the time step.

    Attributes
    ----------
    stock : str
    error : float
        Largest change of any element when TIME STEP is halved, as a share of the largest size
        of the stock.  The error that remains is about as large for Euler.
    """

    stock: str
    error: float


@dataclass(frozen=True)
class Fault:
    """A variable, or an element of it, and the first saved time at which it is faulty.

    ``kind`` is 'not finite' or 'negative stock'.
    """

    variable: str
    kind: str
    time: float
    value: float


@dataclass(frozen=True)
class Extreme:
    """A constant at an extreme value, and the faults that do not occur at its default.

    ``factor`` multiplies every element of the constant.
    """

    constant: str
    factor: float
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Checked:
    """What `check_model` found.

    Attributes
    ----------
    model : str
        Name of the model.
    variables, stocks : int
        How many there are.
    without_equation : tuple of str
        Elements of arrays that no equation defines, whose results are missing.
    units : tuple of UnitProblem
        The faults.
    step : float  [time]
    step_errors : tuple of StepError
        Largest first; empty where the step is computed by the model.
    negative : tuple of Fault
        Stocks that go negative with the model's own constants.
    extremes_tried, extremes_all : int
        Number of runs with an extreme constant that were made, and that there are in all.
    extremes : tuple of Extreme
        Only those with a fault.
    components : tuple of Component
        Feedback loops.
    """

    model: str
    variables: int
    stocks: int
    encoding: str
    units: tuple[UnitProblem, ...]
    step: float
    step_errors: tuple[StepError, ...]
    negative: tuple[Fault, ...]
    extremes_tried: int
    extremes_all: int
    extremes: tuple[Extreme, ...]
    components: tuple[Component, ...]
    without_equation: tuple[str, ...] = ()


EXTREMES_SECONDS = 60.0
"""How long runs with extreme constants may take."""


def check_model(
    model: Model, *, progress: Progress = no_progress, seconds: float = EXTREMES_SECONDS
) -> Checked:
    """Check a model.

    Parameters
    ----------
    model : Model
    progress : callable
        Called with the number of finished runs with an extreme constant, and their total.
    seconds : float
        Time limit for runs with extreme constants; the first one is always made.

    Raises
    ------
    SimulationError
        The model does not run with its own constants.
    """
    progress("a run", 0, 1)
    model.simulate()  # raises, with name and time, on NaN or infinity
    progress("a run", 1, 1)
    stocks = _of_kind(model, "stock")
    (negative,) = _negative(model, _rows(model, stocks)[0], _run(model, {}, stocks))
    already = {split_label(fault.variable)[0] for fault in negative}
    tried, of_all, extremes = _extremes(model, stocks, already, progress, seconds)
    return Checked(
        model=model.name,
        variables=len(model.variables),
        stocks=len(stocks),
        encoding=model.source.encoding,
        units=tuple(check_units(model.source)),
        step=model.grid().step,
        step_errors=_step_errors(model, stocks),
        negative=negative,
        extremes_tried=tried,
        extremes_all=of_all,
        extremes=extremes,
        components=_components(model),
        without_equation=tuple(e for name in model.variables for e in model.without_equation(name)),
    )


# --- runs -------------------------------------------------------------------------------------


def _of_kind(model: Model, kind: str) -> list[str]:
    return [v.name for v in model.variables.values() if v.kind == kind]


def _rows(model: Model, names: Sequence[str]) -> tuple[IntArray, list[str]]:
    """Rows of all elements that are defined, and the variable of each."""
    pairs = [(row, name) for name in names for row in model.rows(name).tolist() if row >= 0]
    return np.array([row for row, _ in pairs], dtype=np.int64), [name for _, name in pairs]


def _run(model: Model, constants: dict[str, float], names: Sequence[str]) -> FloatArray:
    """Values of the rows of some variables at the saved times, (s, rows, 1)."""
    parameters, values = model.constant_values(constants)
    return model.batch(
        parameters,
        values[:, None],
        outputs=_rows(model, names)[0],
        saves=model.grid().saved(),
        grid=model.grid(constants),
    )


def _step_errors(model: Model, stocks: Sequence[str]) -> tuple[StepError, ...]:
    step = model.source.controls["time step"].name
    if model.variables[step].kind != "constant" or int(model.rows(step)[0]) in model.program.fixed:
        return ()
    coarse = _run(model, {}, stocks)
    fine = _run(model, {"TIME STEP": model.grid().step / 2}, stocks)
    owners = np.array(_rows(model, stocks)[1])
    errors = []
    for stock in stocks:
        own = owners == stock
        scale = float(np.abs(fine[:, own]).max(initial=0.0)) or 1.0
        change = float(np.abs(coarse[:, own] - fine[:, own]).max(initial=0.0))
        errors.append(StepError(stock, change / scale))
    return tuple(sorted(errors, key=lambda e: (-e.error, e.stock)))


def _negative(model: Model, rows: IntArray, values: FloatArray) -> list[tuple[Fault, ...]]:
    """First negative element of each stock; `values` is (s, rows, N), one tuple a member."""
    finite = np.where(np.isfinite(values), values, 0.0)
    below = finite < -NEGATIVE * np.abs(finite).max(axis=0)
    found: list[dict[str, Fault]] = [{} for _ in range(values.shape[2])]
    times = model.grid().saved()
    for column, member in np.argwhere(below.any(axis=0)).tolist():
        label = model.label(int(rows[column]))
        when = int(np.argmax(below[:, column, member]))
        fault = Fault(
            label, "negative stock", float(times[when]), float(values[when, column, member])
        )
        found[member].setdefault(split_label(label)[0], fault)
    return [tuple(faults.values()) for faults in found]


def _not_finite(model: Model, rows: IntArray, values: FloatArray) -> list[tuple[Fault, ...]]:
    """The first value that is not finite, in order of time and then of computation, by member.

    One division by zero spreads through the whole model within a step or two, so only the first is
    reported.
    """
    wild = ~(np.isfinite(values) | is_missing(values))
    never = values.shape[0]
    first = np.where(wild.any(axis=0), wild.argmax(axis=0), never)  # (rows, N)
    times = model.grid().saved()
    found: list[tuple[Fault, ...]] = []
    for member, column in enumerate(first.argmin(axis=0).tolist() if len(rows) else []):
        when = int(first[column, member])
        if when == never:
            found.append(())
            continue
        label = model.label(int(rows[column]))
        value = float(values[when, column, member])
        found.append((Fault(label, "not finite", float(times[when]), value),))
    return found


def _in_order_of_computation(model: Model) -> IntArray:
    """Rows of auxiliaries in the order of computation, then of stocks, which are updated last."""
    program = model.program
    own = {
        row: slot.kind for slot in program.slots.values() for row in slot.rows.reshape(-1).tolist()
    }
    computed = [
        row
        for block in (*program.setup, *program.settle, *program.step)
        for target in block.targets
        for row in target.tolist()
        if own.get(row) == "auxiliary"
    ]
    stocks = [row for row in program.stocks.tolist() if own.get(row) == "stock"]
    return np.array([*dict.fromkeys(computed), *stocks], dtype=np.int64)


# --- extreme constants ------------------------------------------------------------------------


def _extremes(
    model: Model, stocks: Sequence[str], already: set[str], progress: Progress, seconds: float
) -> tuple[int, int, tuple[Extreme, ...]]:
    """Run every constant at every factor, as far as time allows.

    Returns how many runs were made, how many there are, and those with a fault.
    """
    began = time.monotonic()
    names = [n for n in _of_kind(model, "constant") if canonical(n) not in CONTROLS]
    rows, owners = _rows(model, names)
    if not len(rows):
        return 0, 0, ()
    defaults = np.array([model.program.default(int(row)) for row in rows])
    trials = [
        (name, factor)
        for name in names
        if np.any(defaults[[o == name for o in owners]] != 0.0)  # zero times ten is still zero
        for factor in FACTORS
    ]
    owner = np.array(owners)
    values = np.repeat(defaults[:, None], len(trials), axis=1)
    for column, (name, factor) in enumerate(trials):
        values[owner == name, column] *= factor
    watched = _in_order_of_computation(model)
    if not len(watched):
        return 0, 0, ()
    times = model.grid().saved()
    stock_rows = _rows(model, stocks)[0]
    is_stock = np.isin(watched, stock_rows)
    chunk = max(16, _CHUNK // max(1, len(times) * len(watched)))
    found = []
    done = 0
    for first in range(0, len(trials), chunk):
        if first and time.monotonic() - began > seconds:
            break
        progress("extreme constants", first, len(trials))
        result = model.batch(rows, values[:, first : first + chunk], outputs=watched, saves=times)
        wild = _not_finite(model, watched, result)
        negative = _negative(model, watched[is_stock], result[:, is_stock])
        for (name, factor), broken, below in zip(
            trials[first : first + chunk], wild, negative, strict=True
        ):
            new = tuple(f for f in below if split_label(f.variable)[0] not in already)
            if broken or new:
                found.append(Extreme(name, factor, (*broken, *new)))
        done = min(first + chunk, len(trials))
    progress("extreme constants", done, len(trials))
    return done, len(trials), tuple(found)


# --- loops ------------------------------------------------------------------------------------


def _components(model: Model) -> tuple[Component, ...]:
    """Loops, with the signs at the start, in the middle and at the end of a run."""
    states, instants = model.states()
    return feedback_loops(causal_links(model.program, states, instants))


# --- text -------------------------------------------------------------------------------------


def as_json(checked: Checked) -> dict[str, Any]:
    """Return the findings as plain values; a number that is not finite is None."""
    return _plain(dataclasses.asdict(checked))  # type: ignore[no-any-return]  # a dict gives a dict


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value


_ENCODINGS = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "gb18030": "GB18030", "latin-1": "Latin-1"}


def check_text(
    checked: Checked,
    path: object = None,
    most: int = 20,
    language: Language = "en",
    labels: Mapping[str, Label] | None = None,
) -> str:
    """Return the findings as lines of text, faults first.

    Parameters
    ----------
    checked : Checked
    path : optional
        Printed before the line of each fault, as compilers do.
    most : int
        Largest number of lines of one kind to print.
    language : {'en', 'zh'}
        Faults themselves are in English.
    labels : mapping of str to Label, optional
        What to call variables.
    """
    say = _Words(language, labels or {}, most)
    place = checked.model if path is None else path
    lines = [f"{place}:{p.line}: {p.sentence}" for p in checked.units]
    encoding = _ENCODINGS.get(checked.encoding, checked.encoding)
    lines.append(
        say("counts", variables=checked.variables, stocks=checked.stocks, encoding=encoding)
    )
    lines += say.cut([say("without equation", element=e) for e in checked.without_equation])
    lines += _step_text(checked, say)
    negative = [
        say("negative stock", stock=say.name(f.variable), value=f.value, time=f.time)
        for f in checked.negative
    ]
    lines += say.cut(negative) or [say("no negative stock")]
    lines.append(say("extremes", tried=checked.extremes_tried, found=len(checked.extremes)))
    if checked.extremes_tried < checked.extremes_all:
        left = checked.extremes_all - checked.extremes_tried
        lines.append(say("extremes left", left=left))
    lines += say.cut([_extreme_text(e, say) for e in checked.extremes])
    for component in checked.components:
        lines += _component_text(component, say)
    if not checked.components:
        lines.append(say("no loop"))
    return "\n".join(lines)


@dataclass(frozen=True)
class _Words:
    """Texts in one language."""

    language: Language
    labels: Mapping[str, Label]
    most: int

    def __call__(self, key: str, **parts: object) -> str:
        return word(key, self.language, **parts)

    def name(self, label: str) -> str:
        """What to call a variable or one of its elements."""
        return element_called(label, self.language, self.labels)

    def cut(self, lines: list[str]) -> list[str]:
        """The first lines, and how many more there are."""
        if len(lines) <= self.most:
            return lines
        return [*lines[: self.most], self("and more", count=len(lines) - self.most)]


def _step_text(checked: Checked, say: _Words) -> list[str]:
    if not checked.step_errors:
        return [say("step computed")]
    worst, *others = checked.step_errors
    lines = [
        say(
            "step halved",
            step=checked.step,
            percent=100 * worst.error,
            stock=say.name(worst.stock),
        )
    ]
    coarse = [e for e in others if e.error > 0.01]
    return lines + [
        say("step stock", stock=say.name(e.stock), percent=100 * e.error) for e in coarse
    ]


def _extreme_text(extreme: Extreme, say: _Words) -> str:
    faults = [
        say("extreme fault", variable=say.name(f.variable), value=f.value, time=f.time)
        for f in extreme.faults[:3]
    ]
    if len(extreme.faults) > 3:
        faults.append(say("more faults", count=len(extreme.faults) - 3))
    change = "= 0" if extreme.factor == 0 else f"x {extreme.factor:g}"
    return say(
        "extreme",
        constant=say.name(extreme.constant),
        change=change,
        faults=say("; ").join(faults),
    )


def _component_text(component: Component, say: _Words) -> list[str]:
    size = len(component.variables)
    among = say("one variable") if size == 1 else say("variables", count=size)
    key = "one loop" if len(component.loops) == 1 else "loops"
    key = key if component.complete else "too many loops"
    loops = [
        f"  {loop.polarity:4s} " + " -> ".join(map(say.name, (*loop.variables, loop.variables[0])))
        for loop in component.loops
    ]
    return [say(key, variables=among, count=len(component.loops)), *say.cut(loops)]
