"""Every model of SDXorg/test-models against the output published beside it.

The repository is not part of this project: ``BELTCAST_TEST_MODELS`` names a checkout.  Run it as

    BELTCAST_TEST_MODELS=/path/to/test-models python -m tests.conformance

For each model file one line says one of

``ok``
    every published number is met to 1e-6 of the largest value of its column, and half a unit of
    the last digit printed (most outputs are printed to six digits).
``ok at 1e-5``, ``ok at 0.02`` ...
    the same at the tolerance of PySD's own comparison, or at the one that PySD's list of these
    models allows for this model (`LOOSER`).  Vensim's standard edition computes in single
    precision, which is worth 1e-7 a step.
``incomplete``
    what can be compared is right, but the file lacks variables whose output is published.
``differs``
    the first variable and time that differ, with both numbers.
``explained``
    the same, and why the file is not the model whose output is published (`EXPLAINED`).
``refused``
    the sentence with which the engine refused.
``no reference``
    nothing is published beside the model.

Both back ends run each model, and must agree with each other to 1e-9.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beltcast import load_model
from beltcast.engine.syntax import canonical
from beltcast.errors import BeltcastError
from beltcast.model.arguments import Inputs
from beltcast.model.labels import find_label
from beltcast.model.model import Model

VARIABLE = "BELTCAST_TEST_MODELS"
TOLERANCE = 1e-6
PYSD_TOLERANCE = 1e-5
LOOSER = {"allocate_available": 2e-2, "arguments": 1e-2}
"""Models with a tolerance of their own in PySD's list, by folder."""
AGREEMENT = 1e-9
VENDOR = {"time", "months", "saveper", "time step", "initial time", "final time"}
EXPLAINED = {
    "active_initial/test_active_initial.stmx": "the translation has lost ACTIVE INITIAL",
    "active_initial/test_active_initial.xmile": "the translation has lost ACTIVE INITIAL",
    "zeroled_decimals/test_zeroled_decimals.xmile": "the file asks for RK4, Vensim ran Euler",
}
"""Files that say something else than the model whose output is published, and what."""
GENERATES_DATA = {"model_to_generate_data": "data.tab"}
"""A model whose published output is not that of the other model in its folder."""
NO_REFERENCE = {"test_get_time_value"}
"""A model beside which only the output of another is published."""
DATA = {"test_data_from_other_model": "data.tab"}
"""A model whose data variables are filled from a file beside it, not by the model."""
REFERENCES = ("output.csv", "output.tab", "output_*.csv")


@dataclass(frozen=True)
class Reference:
    """Published numbers: `values` (times, columns), `units` of the last digit printed."""

    times: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray
    units: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """One line of the table."""

    model: str
    kind: str
    detail: str = ""


def checkout() -> Path | None:
    """Return the checkout of the repository, if one is named and there."""
    named = os.environ.get(VARIABLE, "")
    path = Path(named)
    return path if named and (path / "tests").is_dir() else None


def model_files(root: Path, endings: Sequence[str]) -> list[Path]:
    """Return the model files of the repository's tests."""
    found = (p for p in (root / "tests").rglob("*") if p.suffix.lower() in endings)
    return sorted(found, key=lambda p: str(p).lower())


def read_reference(model: Path) -> Reference | None:
    """Return the output published for a model."""
    if model.stem in NO_REFERENCE:
        return None
    own = GENERATES_DATA.get(model.stem)
    for pattern in (own,) if own else REFERENCES:
        for path in sorted(model.parent.glob(pattern)):
            return _parse(path)
    return None


def read_data(model: Path) -> Inputs | None:
    """Return the numbers of data variables that a model leaves to its user."""
    if model.stem not in DATA:
        return None
    table = _parse(model.parent / DATA[model.stem])
    return {
        name: (table.times.tolist(), column.tolist())
        for name, column in zip(table.names, table.values.T, strict=True)
    }


def _parse(path: Path) -> Reference:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    rows = [r for r in csv.reader(text.splitlines(), delimiter=_separator(text)) if any(r)]
    if len(rows[0]) > 1 and _number(rows[0][1]) is not None:
        rows = [list(column) for column in zip(*rows, strict=False)]
    header = [name.strip() for name in rows[0]]
    cells = [row + [""] * (len(header) - len(row)) for row in rows[1:]]
    values = np.array([[_value(c) for c in row[: len(header)]] for row in cells])
    units = np.array([[_unit(c) for c in row[: len(header)]] for row in cells])
    for column in range(1, len(header)):
        # Vensim prints a constant once.
        if len(values) > 1 and np.isnan(values[1:, column]).all():
            values[1:, column], units[1:, column] = values[0, column], units[0, column]
    return Reference(values[:, 0], tuple(header[1:]), values[:, 1:], units[:, 1:])


def _separator(text: str) -> str:
    return "\t" if "\t" in text.splitlines()[0] else ","


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _value(cell: str) -> float:
    number = _number(cell.strip())
    return math.nan if number is None else number


def _unit(cell: str) -> float:
    """Value of one unit in the last digit printed, for decimals; a whole number may be exact."""
    match = re.fullmatch(r"[+-]?\d*(?:\.(\d*))?(?:[eE]([+-]?\d+))?", cell.strip())
    if match is None:
        return 0.0
    decimals, exponent = match.group(1), int(match.group(2) or 0)
    if decimals is None and not match.group(2):
        return 0.0
    return float(10.0 ** (exponent - len(decimals or "")))


def run(
    model: Model,
    labels: Sequence[str],
    times: np.ndarray,
    backend: str,
    data: Inputs | None = None,
) -> np.ndarray:
    """Return labelled outputs at the times, (times, labels), by what users call."""
    wanted = {
        name: series
        for name, series in (data or {}).items()
        if _has(model, name) and model.find(name.partition("[")[0]).kind == "input"
    }
    places = [_place(model, label) for label in labels]
    names = list(dict.fromkeys(name for name, _ in places))
    known = [name for name in names if model.find(name).kind != "constant"]
    found = model.simulate(
        inputs=wanted,
        outputs=known,
        save_at=times.tolist(),
        backend=backend,  # type: ignore[arg-type]
    )
    columns = [
        found[name].isel(where).to_numpy()
        if name in known
        else np.full(len(times), model.value(label))
        for label, (name, where) in zip(labels, places, strict=True)
    ]
    return np.stack(columns, axis=1) if columns else np.empty((len(times), 0))


def _place(model: Model, label: str) -> tuple[str, dict[str, int]]:
    """Name of a variable, and the place of an element in it."""
    variable, elements = find_label(label, model)
    return variable.name, {
        dim: list(model.subscripts[dim]).index(element)
        for dim, element in zip(variable.dims, elements, strict=True)
    }


def check(path: Path, root: Path, backends: Sequence[str]) -> Outcome:
    """Compare one model with its published output."""
    name = path.relative_to(root).as_posix()
    try:
        model = load_model(path)
        reference = read_reference(path)
        if reference is None:
            run(model, [], model.grid().saved(), backends[0])
            return Outcome(name, "no reference", "runs, but nothing is published beside it")
        looser = LOOSER.get(path.parent.name)
        return _compare(name, model, reference, looser, backends, read_data(path))
    except BeltcastError as problem:
        place = f"line {problem.line}: " if problem.line else ""
        return Outcome(name, "refused", place + problem.sentence)
    except Exception as problem:  # a crash is a result here, and the worst one
        return Outcome(name, "crash", f"{type(problem).__name__}: {problem}")


def _compare(
    name: str,
    model: Model,
    reference: Reference,
    looser: float | None,
    backends: Sequence[str],
    data: Inputs | None,
) -> Outcome:
    saved = model.grid().saved()
    near = np.clip(np.searchsorted(saved, reference.times - 1e-5), 0, len(saved) - 1)
    missed = np.abs(saved[near] - reference.times) > 1e-5
    if missed.any() or saved[-1] > reference.times[-1] + 1e-5:
        return Outcome(
            name,
            "differs",
            f"saves {len(saved)} times from {saved[0]:g} to {saved[-1]:g}, published are "
            f"{len(reference.times)} from {reference.times[0]:g} to {reference.times[-1]:g}",
        )
    wanted = [
        (label, column)
        for column, label in enumerate(reference.names)
        if label and canonical(label) not in VENDOR
    ]
    known = [(label, column) for label, column in wanted if _has(model, label)]
    missing = [label for label, column in wanted if not _has(model, label)]
    labels = [label for label, _ in known]
    columns = [column for _, column in known]
    results = [run(model, labels, reference.times, b, data) for b in backends]
    if len(results) > 1:
        apart = _first_apart(results[0], results[1], AGREEMENT * (1.0 + np.abs(results[1])))
        if apart:
            k, j = apart
            return Outcome(
                name,
                "differs",
                f"back ends: {labels[j]} at {reference.times[k]:g}: "
                f"{results[0][k, j]:.17g} and {results[1][k, j]:.17g}",
            )
    expected, units = reference.values[:, columns], reference.units[:, columns]
    scale = np.nanmax(np.abs(np.where(np.isfinite(expected), expected, 0.0)), axis=0, initial=0.0)
    note = f"not in the model: {', '.join(missing)}" if missing else ""
    first = None
    for tolerance in (TOLERANCE, PYSD_TOLERANCE, looser):
        if tolerance is None:
            continue
        floor = 0.0 if tolerance == TOLERANCE else tolerance
        allowed = tolerance * np.maximum(scale, np.abs(expected)) + 0.5001 * units + floor
        apart = _first_apart(results[0], expected, allowed)
        if apart is None:
            kind = "ok" if tolerance == TOLERANCE else f"ok at {tolerance:g}"
            if missing:
                kind = "incomplete"
            return Outcome(name, kind, "; ".join(filter(None, (note, first or ""))))
        k, j = apart
        first = (
            f"{labels[j]} at {reference.times[k]:g}: {results[0][k, j]:.9g}, "
            f"published {expected[k, j]:.9g}"
        )
    for file, reason in EXPLAINED.items():
        if name.endswith(file):
            return Outcome(name, "explained", f"{reason}: {first}")
    return Outcome(name, "differs", first or "")


def _has(model: Model, label: str) -> bool:
    try:
        return len(model.rows(label)) == 1 and bool(model.rows(label)[0] >= 0)
    except (BeltcastError, IndexError):
        return False


def _first_apart(a: np.ndarray, b: np.ndarray, allowed: np.ndarray) -> tuple[int, int] | None:
    """Return the first time, and the first column at that time, where two tables differ."""
    with np.errstate(invalid="ignore"):
        same = (np.abs(a - b) <= allowed) | (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return None
    k = int(np.argmin(same.all(axis=1)))
    return k, int(np.argmin(same[k]))


def outcomes(
    root: Path, endings: Sequence[str], backends: Sequence[str], only: str = ""
) -> Iterator[Outcome]:
    """Check every model file."""
    for path in model_files(root, endings):
        if only in path.as_posix():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PySD's translators warn of what we refuse
                yield check(path, root, backends)


def summary(found: Sequence[Outcome]) -> str:
    """Return the counts by kind, on one line."""
    counts = Counter(o.kind for o in found)
    return f"{len(found)} models: " + ", ".join(f"{n} {k}" for k, n in counts.most_common())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit code is 1 if a number differs or something crashes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="a piece of the path")
    parser.add_argument("--backend", choices=("numpy", "llvm", "both"), default="both")
    parser.add_argument("--format", choices=("mdl", "xmile"), default="mdl")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--bad", action="store_true", help="leave out what is ok")
    given = parser.parse_args(arguments)
    root = checkout()
    if root is None:
        print(f"skipped: {VARIABLE} does not name a checkout of SDXorg/test-models")
        return 0
    endings = (".mdl",) if given.format == "mdl" else (".xmile", ".stmx", ".xml")
    backends = ("llvm", "numpy") if given.backend == "both" else (given.backend,)
    found = []
    if given.markdown:
        print("| model | result | detail |\n|---|---|---|")
    for outcome in outcomes(root, endings, backends, given.only):
        found.append(outcome)
        if given.bad and outcome.kind.startswith("ok"):
            continue
        if given.markdown:
            detail = outcome.detail.replace("|", "\\|")
            print(f"| {outcome.model.removeprefix('tests/')} | {outcome.kind} | {detail} |")
        else:
            print(f"{outcome.model.removeprefix('tests/'):60} {outcome.kind:12} {outcome.detail}")
    print(("\n" if given.markdown else "") + summary(found))
    return int(any(o.kind in ("differs", "crash") for o in found))


if __name__ == "__main__":
    sys.exit(main())
