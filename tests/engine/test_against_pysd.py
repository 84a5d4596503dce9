"""Runs of the belt model against PySD's own runs of the same file.

PySD shares our reading of the text and nothing after it: it builds Python functions, orders and
runs them itself.  Both add up in binary64 in another order, which 368 steps carry to about 1e-13;
the bound of 1e-9 leaves room for machines and none for a different equation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from beltcast.model.model import Model

from .. import pysd_runs

BOUND = 1e-9


@pytest.fixture(scope="module")
def belt() -> Model:
    return pysd_runs.belt_model()


@pytest.fixture(scope="module")
def kept() -> Mapping[str, pd.DataFrame]:
    return pysd_runs.read()


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
    run = model.simulate(constants).sel(time=frame.index.to_numpy(), method="nearest")
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


@pytest.mark.parametrize("name", pysd_runs.SCENARIOS)
def test_the_belt_model_runs_as_in_pysd(
    belt: Model, kept: Mapping[str, pd.DataFrame], name: str
) -> None:
    compare(belt, kept[name], {**pysd_runs.SCENARIOS[name], **pysd_runs.controls(name)})


@pytest.mark.long
def test_what_is_kept_of_pysd_is_what_it_computes(kept: Mapping[str, pd.DataFrame]) -> None:
    for name, frame in pysd_runs.runs():
        pd.testing.assert_frame_equal(kept[name], frame, check_names=False, rtol=1e-12, atol=1e-12)
