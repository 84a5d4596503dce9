"""What can go wrong, as one tree.

::

    BeltcastError
    ├── ModelError               the model file, or its run
    │   ├── ModelFileError       the file cannot be read as a model
    │   ├── UnsupportedConstruct it uses a construct the engine does not support
    │   ├── UnknownName          a name that the model does not have
    │   └── SimulationError      the run itself failed
    │       └── RunStopped       what it ran on failed: disk, worker, scheduler
    ├── InputError               a file or an argument that comes with a model
    │   ├── TableError           observations, places and other CSV tables
    │   ├── PriorError           parameters.toml
    │   ├── ScenarioError        scenarios.toml
    │   └── UnitError            a unit that does not convert
    ├── CalibrationError         the fit cannot be made
    └── MissingExtra             an optional dependency is not installed

A message is one sentence on one line: what was given, what was expected, what to do. Where it
happened stands in front of it, ``path:line: sentence``, whenever that is known, so that editors
and terminals can jump there; of a workbook, its sheet and cell. Callers catch the most specific
class that they can answer.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

BOOKS = (".xlsx", ".xlsm", ".xls")
"""Endings of workbooks; ``mine.xlsx/places`` is the path of a sheet in one."""


class BeltcastError(Exception):
    """Anything that beltcast refuses, with its place in a file when it has one.

    Parameters
    ----------
    sentence : str
        What was given, what was expected, what to do.
    path : str or Path, optional
        The file at fault.
    line : int, optional
        Its line, counted from 1; of a sheet, its row.
    column : str, optional
        Of a sheet: the letters of its column.
    """

    def __init__(
        self,
        sentence: str,
        path: str | Path | None = None,
        line: int | None = None,
        column: str | None = None,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.path = None if path is None else Path(path)
        self.line = line
        self.column = column

    def __str__(self) -> str:
        if self.path is None:
            return self.sentence
        if self.path.parent.suffix.lower() in BOOKS:
            place = f"{self.path.parent}, sheet {quoted(self.path.name)}"
            if self.line is not None:
                at = f"cell {self.column}{self.line}" if self.column else f"row {self.line}"
                place = f"{place}, {at}"
            return f"{place}: {self.sentence}"
        place = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.sentence}"


class ModelError(BeltcastError):
    """The model, or its run, is at fault."""


class ModelFileError(ModelError):
    """The file cannot be read as a model."""


class UnsupportedConstruct(ModelError):
    """The model uses a construct that the engine does not support."""


class UnknownName(ModelError):
    """A name was requested that the model does not have."""


class SimulationError(ModelError):
    """A run stopped, or produced NaN or infinity."""


class RunStopped(SimulationError):
    """What a run needs is gone: the disk, the workers, the scheduler; it can be resumed."""


class InputError(BeltcastError):
    """What comes with a model is at fault: a file, or an argument of a run."""


class TableError(InputError):
    """A CSV table has a wrong shape or a wrong cell."""


class PriorError(InputError):
    """The file of priors is at fault."""


class ScenarioError(InputError):
    """The file of scenarios, or the choice of a scenario, is at fault."""


class UnitError(InputError):
    """A unit does not convert to the unit of the model."""


class CalibrationError(BeltcastError):
    """The fit cannot be made from what was given."""


class MissingExtra(BeltcastError):
    """An optional dependency is needed and not installed, or does not load."""


class _Gathered:
    # Not by contextlib.contextmanager, whose type does not say that it may swallow an error.

    def __init__(self, faults: list[BeltcastError] | None) -> None:
        self.faults = faults

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> bool:
        if self.faults is None or not isinstance(fault, BeltcastError):
            return False
        self.faults.append(fault)
        return True


def gathered(faults: list[BeltcastError] | None) -> _Gathered:
    """Take the error of one entry of a file into a list, so that the next entry is read too.

    Parameters
    ----------
    faults : list, optional
        Without one the error is raised, as for a reader that stops at the first.

    Examples
    --------
    >>> found = []
    >>> for cell in ("1", "x"):
    ...     with gathered(found):
    ...         if cell == "x":
    ...             raise TableError("x is no number")
    >>> [str(fault) for fault in found]
    ['x is no number']
    """
    return _Gathered(faults)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Clause to end a sentence about an unknown name.

    Parameters
    ----------
    name : str
        What was given.
    names : iterable of str
        What exists.

    Returns
    -------
    str
        ``"; did you mean 'X'?"`` if one is near, ``"; expected one of 'A', 'B'"`` if the choice
        is short, ``""`` otherwise.

    Examples
    --------
    >>> did_you_mean("Shenzen", ["Shenzhen", "Foshan"])
    "; did you mean 'Shenzhen'?"
    """
    known = list(dict.fromkeys(names))
    by_fold = {other.casefold().replace("_", " "): other for other in known}
    near = difflib.get_close_matches(name.casefold().replace("_", " "), by_fold, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {quoted(by_fold[near[0]])}?"
    if 0 < len(known) <= 8:
        return "; expected one of " + ", ".join(quoted(other) for other in known)
    return ""


T = TypeVar("T", bound=str)


def one_of(
    given: str, known: Sequence[T], what: str, error: type[BeltcastError] | None = None
) -> T:
    """Return the one of some names that is given.

    Raises
    ------
    InputError
        There is no such name; as ``error`` if another class is given.

    Examples
    --------
    >>> one_of("zh", ("en", "zh"), "language")
    'zh'
    """
    for one in known:
        if one == given:
            return one
    raise (error or InputError)(f"unknown {what} {quoted(given)}{did_you_mean(given, known)}")


def reason_of(problem: OSError) -> str:
    """Return the reason that the operating system gives for a failure, to stand within a sentence.

    >>> reason_of(FileNotFoundError(2, "No such file or directory"))
    'no such file or directory'
    """
    return (problem.strerror or str(problem) or type(problem).__name__).lower()


def quoted(value: object) -> str:
    r"""Quote what was given, on one line and not longer than a line can bear.

    >>> print(quoted("two\nlines"))
    'two\nlines'
    """
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"
