"""Every model file below a folder: read, run, saved in both dialects, read again and compared.

The files are other people's and not part of this project.  With checkouts of their repositories
below one folder,

    python -m tests.round_trips FOLDER

reads each different model file (Vensim's and XMILE), runs it as a user would (`Model.simulate`),
saves it as ``.mdl`` and as ``.xmile``, and compares every variable of the three runs bit for bit.
It prints how many files came how far, and the sentences of the others by how often they occur;
``--lines`` prints each file.  With ``--pysd`` PySD also runs the file and both copies, and its
series are compared with ours (`second_opinion`).  Whatever differs from our own run, crashes or
takes longer than two minutes is a fault and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TypeVar

import numpy as np
import xarray as xr

from beltcast import load_model
from beltcast.engine.syntax import XMILE, canonical
from beltcast.errors import BeltcastError
from beltcast.model.model import Model
from beltcast.model.second_opinion import second_opinion

ENDINGS = (".mdl", *XMILE)
SECONDS = 120
AGAIN = "saved by round_trips"
"""Name of the file that is written beside the model, where its workbooks are."""

T = TypeVar("T")
Steps = dict[str, str]
"""What became of each step: 'ok', 'same', or the sentence."""


class Late(BaseException):
    """A file took too long."""


def model_files(root: Path) -> Iterator[Path]:
    """Yield the model files below a folder, each content once."""
    seen: set[str] = set()
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in ENDINGS or not path.is_file() or path.stem == AGAIN:
            continue
        if path.suffix.lower() == ".xml" and b"<xmile" not in path.read_bytes()[:2000]:
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest not in seen:
            seen.add(digest)
            yield path


def followed(path: Path, *, pysd: bool = False) -> Steps:
    """Take a file through all steps."""
    steps: Steps = {}
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(SECONDS)
    try:
        _follow(path, steps, pysd=pysd)
    except Late:
        steps["time"] = f"fault: more than {SECONDS} s"
    except Exception as problem:  # a crash is a result here, and the worst one
        steps["crash"] = f"fault: {type(problem).__name__} {problem}"
    finally:
        signal.alarm(0)
    return steps


def _late(_signal: int, _frame: FrameType | None) -> None:
    raise Late


def _follow(path: Path, steps: Steps, *, pysd: bool) -> None:
    model = _tried(steps, "read", lambda: load_model(path))
    if model is None:
        return
    run = _tried(steps, "run", model.simulate)
    if pysd and run is not None:
        steps["PySD, as given"] = _opinion(model)
    for ending in (".mdl", ".xmile"):
        again = path.with_name(AGAIN + ending)
        try:
            if _tried(steps, f"save {ending}", partial(model.save, again)) is None:
                continue
            copy = _tried(steps, f"save {ending}", partial(load_model, again), fault=True)
            if copy is not None and run is not None:
                steps[f"save {ending}"] = _compared(run, copy)
                if pysd:
                    steps[f"PySD, {ending}"] = _opinion(copy)
        finally:
            for left in path.parent.glob(f"{AGAIN}*"):
                left.unlink()


def _tried(steps: Steps, name: str, call: Callable[[], T], *, fault: bool = False) -> T | None:
    try:
        result = call()
    except BeltcastError as problem:
        steps[name] = f"fault: {problem}" if fault else str(problem)
        return None
    steps[name] = "ok"
    return result


def _opinion(model: Model) -> str:
    """Return "agrees", or how PySD's run of a file differs or fails."""
    try:
        found = second_opinion(model)
    except BeltcastError as problem:
        return str(problem)
    return "agrees" if found.variable is None else found.sentence()


def _compared(run: xr.Dataset, copy: Model) -> str:
    try:
        again = copy.simulate()
    except BeltcastError as problem:
        return f"fault: {problem}"
    named = {canonical(str(name)): array for name, array in again.data_vars.items()}
    for name, array in run.data_vars.items():
        other = named.get(canonical(str(name)))
        if other is None or not _equal(array, other):
            return f"fault: '{name}' differs"
    return "same"


def _equal(one: xr.DataArray, other: xr.DataArray) -> bool:
    """Same bits for each element; ranges of the same elements may have another order."""
    values = other.values
    for axis, dim in enumerate(one.dims):
        if dim == "time" or one.shape != other.shape:
            continue
        mine, theirs = ([canonical(str(e)) for e in a[a.dims[axis]].values] for a in (one, other))
        if mine != theirs and sorted(mine) == sorted(theirs):
            values = np.take(values, [theirs.index(e) for e in mine], axis=axis)
    return bool(np.array_equal(one.values, values, equal_nan=one.values.dtype.kind == "f"))


def main(arguments: list[str]) -> int:
    """Print what became of every file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="a piece of the path")
    parser.add_argument("--lines", action="store_true", help="one line for each file and step")
    parser.add_argument("--pysd", action="store_true", help="let PySD run each file too")
    asked = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    counts: dict[str, Counter[str]] = {}
    faults = 0
    for path in model_files(asked.folder):
        name = str(path.relative_to(asked.folder))
        if asked.only not in name:
            continue
        for step, result in followed(path, pysd=asked.pysd).items():
            faults += result.startswith("fault")
            counts.setdefault(step, Counter())[_kind(result)] += 1
            if asked.lines or result.startswith("fault"):
                print(f"{name} | {step} | {result}", flush=True)
    for step, kinds in counts.items():
        print(f"\n{step}: {kinds.total()} files")
        for kind, count in kinds.most_common():
            print(f"{count:5d} {kind}")
    return int(faults > 0)


def _kind(result: str) -> str:
    """A sentence without what is different in each file."""
    text = re.sub(
        r"^(fault: )?\S.*?\.(mdl|xmile|stmx|itmx|xml)(:\d+)?: ", r"\1", result, flags=re.I
    )
    return re.sub(r"\d+", "N", re.sub(r"'[^']*'", "'...'", text))[:160]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
