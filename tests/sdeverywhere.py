"""Every model of SDEverywhere against the Vensim output published beside it.

The repository is not part of this project: ``BELTCAST_SDEVERYWHERE`` names a checkout.  Run it as

    BELTCAST_SDEVERYWHERE=/path/to/SDEverywhere python -m tests.sdeverywhere

Each folder of ``models`` with a ``NAME.mdl`` and a ``NAME.dat`` is one case; the outcomes are those
of `tests.conformance`.  Numbers are compared to 1e-5 of the largest value of their series: Vensim
prints six digits.  Names between # are what Vensim computes inside a function, no variables.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from beltcast import load_model
from beltcast.engine.syntax import canonical
from beltcast.errors import BeltcastError
from beltcast.model.arguments import Inputs
from beltcast.model.labels import find_label
from beltcast.model.model import Model

from .conformance import VENDOR, Outcome, summary

VARIABLE = "BELTCAST_SDEVERYWHERE"
TOLERANCE = 1e-5
LOOSER = {"allocate": 2e-2, "allocate_price": 1e-3, "allocate_ptype": 1e-3}
"""Vensim ends its search for the price before the last digit; PySD allows 2e-2 there too."""
EXPLAINED = {
    "directlookups_invalidcell": "Vensim gives 0 after a word, which the authors call its fault",
    "directconst_invalidcell": "Vensim refuses the word too, say the authors",
}
"""Outputs that are not those of Vensim for the model as it stands, and why."""
MISSING = -1e32
"""Vensim's :NA: is -2^109; anything below this is that, or computed from it."""

Series = tuple[np.ndarray, np.ndarray]


def checkout() -> Path | None:
    """Return the checkout of the repository, if one is named and there."""
    named = os.environ.get(VARIABLE, "")
    path = Path(named)
    return path if named and (path / "models").is_dir() else None


def read_dat(path: Path) -> dict[str, Series]:
    """Return the series of a .dat file by name; a constant has one point."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    times: list[float] = []
    values: list[float] = []
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        if "\t" not in line:
            times, values = found.setdefault(line.strip(), ([], []))
        else:
            time, value = line.split("\t")[:2]
            times.append(float(time))
            values.append(float(value))
    return {name: (np.array(t), np.array(v)) for name, (t, v) in found.items() if t}


def model_files(root: Path) -> list[Path]:
    """Return the models that have an output beside them."""
    found = (f / f"{f.name}.mdl" for f in sorted((root / "models").iterdir()) if f.is_dir())
    return [p for p in found if p.is_file() and p.with_suffix(".dat").is_file()]


def inputs_of(path: Path, model: Model) -> Inputs:
    """Return the data variables that the case fills from files beside it."""
    spec = path.with_name(f"{path.stem}_spec.json")
    if not spec.is_file():
        return {}
    said = json.loads(spec.read_text())
    files = [*said.get("externalDatfiles", ()), *said.get("datFiles", ())]
    given: dict[str, tuple[list[float], list[float]]] = {}
    for name in files:
        for label, (times, values) in read_dat(path.parent / name).items():
            try:
                variable, _ = find_label(label, model)
            except BeltcastError:
                continue
            if variable.kind == "input":
                given[label] = times.tolist(), values.tolist()
    return given


def check(path: Path) -> Outcome:
    """Compare one model with its published output."""
    name = path.stem
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = load_model(path)
            found = _compare(
                name, model, read_dat(path.with_suffix(".dat")), inputs_of(path, model)
            )
            return _explained(found)
    except BeltcastError as problem:
        place = f"line {problem.line}: " if problem.line else ""
        return _explained(Outcome(name, "refused", place + problem.sentence))
    except Exception as problem:  # a crash is a result here, and the worst one
        return Outcome(name, "crash", f"{type(problem).__name__}: {problem}")


def _explained(found: Outcome) -> Outcome:
    reason = EXPLAINED.get(found.model)
    if reason is None or found.kind not in ("differs", "refused"):
        return found
    return Outcome(found.model, "explained", f"{reason}: {found.detail}")


def _compare(name: str, model: Model, published: dict[str, Series], inputs: Inputs) -> Outcome:
    wanted: dict[str, tuple[str, dict[str, int]]] = {}
    missing: list[str] = []
    for label in published:
        if canonical(label) in VENDOR or label.startswith("#"):
            continue  # "#x>NPV#": what Vensim computes inside a function, no variable of the file
        try:
            variable, elements = find_label(label, model)
        except BeltcastError:
            missing.append(label)
            continue
        if len(elements) == len(variable.dims) and variable.kind != "lookup":
            place = {
                d: list(model.subscripts[d]).index(e)
                for d, e in zip(variable.dims, elements, strict=True)
            }
            wanted[label] = variable.name, place
    names = list(dict.fromkeys(n for n, _ in wanted.values()))
    computed = [n for n in names if model.find(n).kind != "constant"]
    found = model.simulate(inputs=inputs, outputs=computed, backend="numpy")
    tolerance = LOOSER.get(name, TOLERANCE)
    times = found["time"].to_numpy() if computed else np.array([model.grid().start])
    for label, (variable_name, place) in wanted.items():
        at, expected = published[label]
        if variable_name in computed:
            ours = found[variable_name].isel(place).to_numpy()
        else:
            ours = np.full(len(times), model.value(label))
        scale = max(1.0, float(np.abs(expected[expected > MISSING]).max(initial=0.0)))
        for time, value in zip(at.tolist(), expected.tolist(), strict=True):
            k = int(np.argmin(np.abs(times - time)))
            if abs(times[k] - time) > 1e-3:
                continue
            same = (
                math.isnan(ours[k])
                if value < MISSING
                else abs(ours[k] - value)
                <= (tolerance * max(scale if abs(value) < scale else abs(value), 1.0))
            )
            if not same:
                return Outcome(
                    name, "differs", f"{label} at {time:g}: {ours[k]:.9g}, published {value:.9g}"
                )
    if not wanted:
        return Outcome(name, "refused", "no published series is in the model")
    note = f"not in the model: {', '.join(missing[:5])}" if missing else ""
    kind = "ok" if name not in LOOSER else f"ok at {LOOSER[name]:g}"
    return Outcome(name, "incomplete" if missing else kind, note)


def outcomes(root: Path, only: str = "") -> Iterator[Outcome]:
    """Check every model."""
    for path in model_files(root):
        if only in path.stem:
            yield check(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit code is 1 if a number differs or something crashes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="a piece of the name")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args(arguments)
    root = checkout()
    if root is None:
        print(f"skipped: {VARIABLE} does not name a checkout of SDEverywhere")
        return 0
    found = []
    if given.markdown:
        print("| model | result | detail |\n|---|---|---|")
    for outcome in outcomes(root, given.only):
        found.append(outcome)
        detail = outcome.detail.replace("|", "\\|")
        if given.markdown:
            print(f"| {outcome.model} | {outcome.kind} | {detail} |")
        else:
            print(f"{outcome.model:24} {outcome.kind:12} {outcome.detail}")
    print(("\n" if given.markdown else "") + summary(found))
    return int(any(o.kind in ("differs", "crash") for o in found))


if __name__ == "__main__":
    sys.exit(main())
