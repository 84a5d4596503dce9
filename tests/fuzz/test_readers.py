"""Every reader answers any bytes with a result or with one sentence, soon and in little memory.

Each reader has a file that it reads, and a mutator of bytes and words that damages it. CI tries a
few mutations of each, by a fixed seed. The long run is

    pytest tests/fuzz --fuzz-cases 20000

with that many mutations of all readers together. A case is its number: what breaks is broken again
by the same command, and is added to `BROKEN`, which every run tries. Models are also fuzzed in
``tests/engine/test_hostile.py``, which knows their language.
"""

from __future__ import annotations

import functools
import json
import random
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast.engine.external import read_sheet_series
from beltcast.errors import BeltcastError
from beltcast.inference.saved import _content
from beltcast.model.model import Model, load_model
from beltcast.reports.export import iamc_table, read_results
from beltcast.scale.blocks import run_plan
from beltcast.scale.resample import read_sample
from beltcast.scale.runplan import read_plan
from beltcast.scale.store import check_store, open_store
from beltcast.study.new_rows import read_new_rows
from beltcast.study.priors_file import read_priors
from beltcast.study.series import read_series
from beltcast.study.study import Study, read_study
from beltcast.study.vensim_files import read_cin, read_voc, read_vpd

from ..files.test_door import book
from ..model_texts import SIR, model_text
from ..scale.test_store import plan_in
from ..second_study import write_fish

SOON = 20.0
"""Processor seconds that a case may take."""

WORDS = [
    *(b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b",", b'"', b"'", b"[", b"]", b"{", b"}"),
    *(b"=", b"<", b">", b"#", b":", b";", b"|", b"-", b".", b"..", b"/", b"../", b"/dev/zero"),
    *(b"0", b"-1", b"1e999", b"nan", b"inf", b"-inf", b"1e308", b"1e-320", b"99999999999999999999"),
    *(b"true", b"null", b"NaN", b"[[", b"]]", b"{}", b"[]", b'""', b'"""', b"2024-01-01", b"12:00"),
    *("名".encode(), "é".encode("latin-1"), "\u202e".encode(), b"%s", b"\\", b"\\u0000", b"Year"),
]


@dataclass(frozen=True)
class Reader:
    """A file that is damaged, and who reads it."""

    file: Path
    read: Callable[[Path], object]
    folder: Path | None = None  # copied whole for each case; only the file by default


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Change a content in one to four places: bits, words, numbers, parts left out or repeated."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + int(rng.random() ** 4 * 300) + 1)
        kind = rng.choice(("flip", "word", "replace", "leave out", "repeat", "number", "cut off"))
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == "word":
            data[at:at] = rng.choice(WORDS)
        elif kind == "replace":
            word = rng.choice(WORDS)
            data[at : at + len(word)] = word
        elif kind == "leave out":
            del data[at:end]
        elif kind == "repeat":
            data[at:at] = data[at:end]
        elif kind == "number":
            digits = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
            if digits:
                i = rng.choice(digits)
                data[i : i + 1] = rng.choice(WORDS[22:31])
        elif kind == "cut off" and rng.random() < 0.2:
            del data[at:]
    return bytes(data)


def survive(reader: Reader, content: bytes, place: Path) -> None:
    """Read a damaged file; anything but a result or a BeltcastError, or a hang, is a fault."""
    shutil.rmtree(place, ignore_errors=True)
    if reader.folder is None:
        place.mkdir()
        file = place / reader.file.name
    else:
        shutil.copytree(reader.folder, place)
        file = place / reader.file.relative_to(reader.folder)
    file.write_bytes(content)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            reader.read(file)
        except BeltcastError as problem:
            lines = str(problem).splitlines()
            if len(lines) != 1:
                raise AssertionError(f"an error of {len(lines)} lines") from problem
    assert time.process_time() - start < SOON


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    top = tmp_path_factory.mktemp("bases")
    sir = top / "sir.mdl"
    sir.write_text(model_text(SIR), encoding="utf-8")
    model = load_model(sir)
    constant = next(v.name for v in model.variables.values() if v.kind == "constant" and not v.dims)
    output = next(name for name in model.computed)
    made = _texts(top, model, constant, output)
    fish = top / "fish"
    fish.mkdir()
    study_file = write_fish(fish)
    study = read_study(study_file)
    for name in ("study", "priors", "scenarios", "observations", "places"):
        file = next(p for p in fish.iterdir() if p.stem == name or name == "study" == p.stem)
        made[f"{name} of a study"] = Reader(
            file, functools.partial(_study, name=study_file.name), fish
        )
    made["new rows"] = Reader(fish / "observations.csv", functools.partial(_new_rows, study=study))
    made["mdl"] = Reader(sir, _run)
    books = top / "books"
    books.mkdir()
    book(books)
    made["xlsx"] = Reader(books / "t.xlsx", _sheet)
    plans = top / "plans"
    plans.mkdir()
    plan = plan_in(plans)
    made["plan"] = Reader(plan, read_plan, plans)
    stored = read_plan(plan_in(plans, members=16))
    run_plan(stored)
    made["zarr metadata"] = Reader(stored.store / "zarr.json", _store, stored.store)
    made["zarr chunk"] = Reader(
        next(p for p in (stored.store / "x" / "c").rglob("*") if p.is_file()), _store, stored.store
    )
    made["zarr list"] = Reader(stored.store / "complete" / "0-0.json", _store, stored.store)
    results = top / "run.nc"
    xr.Dataset(
        {"output": (("scenario", "time"), np.ones((2, 3)), {"units": "bnCNY/Year"})},
        {"scenario": ["a", "b"], "time": [1.0, 2.0, 3.0]},
        {"labels": '{"kt": ["kilotonnes", "千吨"]}', "title": "x"},
    ).to_netcdf(results, engine="netcdf4")
    made["nc"] = Reader(results, _results)
    sampled, priors = load_model(plans / "small.mdl"), plans / "priors.toml"
    made["draws"] = Reader(
        results, functools.partial(read_sample, model=sampled, priors=read_priors(priors, sampled))
    )
    return made


def _texts(top: Path, model: Model, constant: str, output: str) -> dict[str, Reader]:
    optimum = {"theta": [0.1], "cost": 2.0, "costs": [3.0, 2.0], "converged": True}
    calibration = {
        "format": 1, "sha256": {"model": "0"}, "labels": ["a"], "theta": [0.1], "cost": 2.0,
        "method": "least_squares", "start_costs": [2.0, None], "refined": [0], "optima": [optimum],
    }  # fmt: skip
    contents: dict[str, tuple[str, Callable[[Path], object]]] = {
        "a.voc": (
            f":OPTIMIZER=Powell\n:MAX_ITERATIONS=1000\n0.5<={constant}=2<=10\n",
            functools.partial(read_voc, model=model),
        ),
        "a.vpd": (f"*C\n{output}|Observed/0.5\n", functools.partial(read_vpd, model=model)),
        "a.cin": (f"{constant} = 2.5\n", functools.partial(read_cin, model=model)),
        "series.csv": (
            f"Time,{output}\n1,2.5\n2,3.5\n3,4\n",
            functools.partial(read_series, model=model),
        ),
        "calibration.json": (json.dumps(calibration), functools.partial(_content, renew="x")),
    }
    made = {}
    for name, (text, read) in contents.items():
        (top / name).write_text(text, encoding="utf-8")
        made[name] = Reader(top / name, read)
    return made


def _run(path: Path) -> None:
    model = load_model(path)
    if len(model.grid().times()) <= 2000:
        model.simulate(backend="numpy")


def _study(path: Path, name: str) -> None:
    read_study(path.with_name(name))


def _new_rows(path: Path, study: Study) -> None:
    read_new_rows(path, study)


def _sheet(path: Path) -> None:
    read_sheet_series(path.with_name("m.mdl"), 1, path.name, "S", "times", "flow")


def _results(path: Path) -> None:
    iamc_table(read_results(path))


def _store(path: Path) -> None:
    store = next(p for p in (path, *path.parents) if (p / "complete").is_dir())
    check_store(store)
    open_store(store, partial=True)


NAMES = [
    *("study of a study", "priors of a study", "scenarios of a study", "observations of a study"),
    *("places of a study", "new rows", "mdl", "xlsx", "plan", "zarr metadata", "zarr chunk"),
    *("zarr list", "nc", "draws", "a.voc", "a.vpd", "a.cin", "series.csv", "calibration.json"),
]


BROKEN = {"draws": (2,)}
"""Cases that once broke a reader."""


@pytest.mark.parametrize("name", NAMES)
def test_no_mutation_ends_in_a_traceback(
    readers: dict[str, Reader], name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert set(NAMES) == set(readers)
    reader = readers[name]
    whole = reader.file.read_bytes()
    asked: int = request.config.getoption("--fuzz-cases")
    cases = 10 if asked <= 100 else -(-asked // len(NAMES))
    for case in (*range(cases), *BROKEN.get(name, ())):
        content = mutated(whole, random.Random(f"{name} {case}"))
        try:
            survive(reader, content, tmp_path / "case")
        except Exception as problem:
            kept = tmp_path / f"broken-{case}-{reader.file.name}"
            kept.write_bytes(content)
            raise AssertionError(f"case {case} of '{name}', kept as {kept}") from problem
