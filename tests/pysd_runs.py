"""PySD's own runs of the belt model, kept for the tests that compare ours with them.

    python -m tests.pysd_runs

PySD takes a minute of processor time for the four runs, and their numbers depend on the files of
the model alone.  So `tests/engine/pysd_runs.npz` keeps every fifth year of them, with the hash of
these files; `pytest -m long` makes them again and compares.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from beltcast import load_model
from beltcast.model.model import Model

FOLDER = Path(__file__).resolve().parent.parent / "models" / "belt"
KEPT = Path(__file__).resolve().parent / "engine" / "pysd_runs.npz"
RENEW = "renew the runs: python -m tests.pysd_runs"

UNCHANGED = "unchanged"
# Every lever of the model is moved in one of them.
SCENARIOS: dict[str, dict[str, float]] = {
    UNCHANGED: {},
    "support and trade": {
        "Support Final Multiplier": 0.0,
        "Tariff Add": 0.6,
        "Tariff Start": 2025.34,
        "Ad Cost Final Multiplier": 1.5,
    },
    "drive": {
        "Belt Deepening Multiplier": 1.5,
        "Brand Propensity Final Multiplier": 1.5,
        "Tilt Final Multiplier": 1.5,
    },
    "stop": {
        "Zone Stop": 1.0,
        "Zone Stop Year": 2019.0,
        "Threshold Final Multiplier": 1.5,
        "Demand Final Multiplier": 0.8,
        "SW Market": 0.0,
    },
}
# A step four times the file's keeps three of the runs together under a minute.
STEP, END = 0.25, 2030.0


def controls(name: str) -> dict[str, float]:
    """Time step and end of a run, as constants; none for the file as it is."""
    return {} if name == UNCHANGED else {"TIME STEP": STEP, "FINAL TIME": END}


def belt_model() -> Model:
    return load_model(FOLDER / "belt.mdl")


def model_hash() -> str:
    """SHA-256 of the model, and of the name and content of what it reads."""
    text = (FOLDER / "belt.mdl").read_text(encoding="utf-8")
    made = hashlib.sha256()
    for name in ("belt.mdl", *sorted(set(re.findall(r"GET [A-Z ]+\(\s*'([^']+)'", text)))):
        made.update(name.encode() + b"\0" + (FOLDER / name).read_bytes())
    return made.hexdigest()


def runs() -> Iterator[tuple[str, pd.DataFrame]]:
    """Run PySD on every scenario: a row for every fifth year, a column for each element."""
    model = belt_model()
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PySD's own; not what is tested here
        import pysd

        folder = Path(scratch) / "belt"
        shutil.copytree(FOLDER, folder)  # PySD writes beside the model
        pysd.read_vensim(str(folder / "belt.mdl"), missing_values="ignore")
        for name, constants in SCENARIOS.items():
            # Loaded again: PySD remembers the parameters of the run before.
            other = pysd.load(str(folder / "belt.py"), missing_values="ignore")
            given = {key.lower().replace(" ", "_"): v for key, v in controls(name).items()}
            frame = other.run(dict(constants), model.computed, **given)
            assert isinstance(frame, pd.DataFrame)
            times = frame.index.to_numpy(dtype=float)
            yield name, frame.loc[np.abs(times / 5.0 - np.rint(times / 5.0)) < 1e-9]


def save(path: Path) -> None:
    """Write all runs to a file."""
    arrays: dict[str, np.ndarray] = {"sha256": np.array(model_hash())}
    for name, frame in runs():
        arrays[f"{name}: times"] = frame.index.to_numpy(dtype=np.float64)
        arrays[f"{name}: labels"] = np.array(frame.columns, dtype=np.str_)
        arrays[f"{name}: values"] = frame.to_numpy(dtype=np.float64)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read(path: Path = KEPT) -> Mapping[str, pd.DataFrame]:
    """Read the runs of a file, which must be of the model as it is now."""
    with np.load(path, allow_pickle=False) as kept:
        assert str(kept["sha256"]) == model_hash(), RENEW
        return {
            name: pd.DataFrame(
                kept[f"{name}: values"],
                index=kept[f"{name}: times"],
                columns=kept[f"{name}: labels"],
            )
            for name in SCENARIOS
        }


if __name__ == "__main__":
    save(KEPT)
    print(f"{KEPT}: {KEPT.stat().st_size:,} bytes")
