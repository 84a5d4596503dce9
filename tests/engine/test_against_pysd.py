"""Runs of the belt model against PySD's own runs of the same file.

PySD shares our reading of the text and nothing after it: it builds Python functions, orders and
runs them itself.  Both add up in binary64 in another order, which 368 steps carry to about 1e-13;
the bound of 1e-9 leaves room for machines and none for a different equation.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from beltcast import load_model
from beltcast.model.model import Model

BOUND = 1e-9

# Every lever of the model is moved in one of them.
SCENARIOS: dict[str, dict[str, float]] = {
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
# A step four times the file's keeps PySD's three runs together under a minute.
STEP, END = 0.25, 2030.0


@pytest.fixture(scope="module")
def belt(root: Path) -> Model:
    return load_model(root / "models" / "belt" / "belt.mdl")


@pytest.fixture(scope="module")
def translated(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PySD's Python file, in a copy of the folder, for PySD writes beside the model."""
    folder = tmp_path_factory.mktemp("pysd") / "belt"
    shutil.copytree(root / "models" / "belt", folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PySD's own; not what is tested here
        import pysd

        pysd.read_vensim(str(folder / "belt.mdl"), missing_values="ignore")
    return folder / "belt.py"


def pysd_run(
    translated: Path, model: Model, constants: Mapping[str, float], **controls: float
) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pysd

        # Loaded again: PySD remembers the parameters of the run before.
        other = pysd.load(str(translated), missing_values="ignore")
        frame = other.run(dict(constants), model.computed, **controls)
    assert isinstance(frame, pd.DataFrame)
    return frame


def columns(run: xr.Dataset) -> dict[str, np.ndarray]:
    """Each element of a run under PySD's name for it."""
    found = {}
    for name, values in run.data_vars.items():
        dims = [d for d in values.dims if d != "time"]
        if not dims:
            found[str(name)] = values.to_numpy()
            continue
        flat = values.stack(element=dims, create_index=False)
        for i in range(flat.sizes["element"]):
            label = ",".join(str(flat[d].to_numpy()[i]) for d in dims)
            found[f"{name}[{label}]"] = flat.isel(element=i).to_numpy()
    return found


def compare(model: Model, frame: pd.DataFrame, constants: Mapping[str, float]) -> None:
    run = model.simulate(constants)
    ours = columns(run)
    np.testing.assert_allclose(frame.index.to_numpy(dtype=float), run["time"], rtol=1e-12)
    assert set(ours) == set(frame.columns), "every variable, no more"
    # What is 0 by construction is a difference of these.
    terms = {
        "firm balance": float(run["Belt Firms"].max()),
        "share balance": 1.0,
        "market balance": float(run["national output"].max()),
    }
    worst = {}
    for label, values in ours.items():
        theirs = frame[label].to_numpy(dtype=np.float64)
        scale = terms.get(label.partition("[")[0], 0.0)
        size = np.maximum(np.maximum(np.abs(values), np.abs(theirs)), scale)
        error = np.abs(values - theirs)
        worst[label] = float(np.max(np.divide(error, size, where=size > 0, out=error.copy())))
    bad = {label: error for label, error in worst.items() if not error <= BOUND}
    assert not bad


@pytest.mark.slow
def test_the_file_unchanged_runs_as_in_pysd(belt: Model, translated: Path) -> None:
    compare(belt, pysd_run(translated, belt, {}), {})


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_run_as_in_pysd(belt: Model, translated: Path, name: str) -> None:
    theirs = pysd_run(translated, belt, SCENARIOS[name], time_step=STEP, final_time=END)
    compare(belt, theirs, SCENARIOS[name] | {"TIME STEP": STEP, "FINAL TIME": END})
