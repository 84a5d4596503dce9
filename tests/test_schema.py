"""Datasets of plain arrays: the same as xarray's own, without what xarray would import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast.schema import make_dataset

from . import xmile_texts

TIMES = np.array([2020.0, 2021.0, 2022.0])
VALUES = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    "belts", [np.array(["North", "South"]), np.array([3, 4]), np.array([0.5, 0.25])]
)
def test_a_dataset_is_the_one_that_xarray_makes(belts: np.ndarray) -> None:
    made = make_dataset(
        {"x": (("time", "Belt"), VALUES, {"units": "1"}), "y": ((), np.array(4.0), {})},
        {"Belt": (belts, {}), "time": (TIMES, {"units": "Year"})},
        {"model": "m"},
    )
    expected = xr.Dataset(
        {"x": (("time", "Belt"), VALUES, {"units": "1"}), "y": ((), np.array(4.0), {})},
        {"Belt": belts, "time": ("time", TIMES, {"units": "Year"})},
        {"model": "m"},
    )
    assert made.identical(expected)
    for name in ("Belt", "time"):
        assert made[name].dtype == expected[name].dtype
        assert made.indexes[name].dtype == expected.indexes[name].dtype
    assert made["x"].sel(Belt=belts[1], time=2021.0) == 3.0
    assert xr.concat([made, expected], "run").sizes == {"run": 2, "time": 3, "Belt": 2}


def test_a_first_number_waits_for_no_other_kind_of_array(tmp_path: Path) -> None:
    path = xmile_texts.write(tmp_path, xmile_texts.aux("y", "TIME"))
    code = (
        f"import sys; from beltcast import load_model; run = load_model({str(path)!r}).simulate(); "
        "run['y'].values; print('dask' in sys.modules, 'pint' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]
