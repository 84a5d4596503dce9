"""Random models: the back ends agree, and tangents are those of differences.

``python -m tests.random_models 5000`` runs as many as one likes; here a few of each kind.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .. import random_models as rm


@pytest.mark.parametrize("seed", range(9))
def test_both_back_ends_run_a_random_model_alike(tmp_path: Path, seed: int) -> None:
    model = rm.random_model(seed, tmp_path)
    assert rm.back_ends_apart(model, rm.METHODS[seed % 3]) < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_optimising_a_random_model_changes_no_bit(tmp_path: Path, seed: int) -> None:
    quick, optimised = rm.optimised_bits(rm.random_model(seed, tmp_path), rm.METHODS[seed])
    assert quick == optimised
    assert len(quick) > 1000


@pytest.mark.parametrize("seed", [100, 101, 185])
def test_tangents_of_a_random_model_are_those_of_differences(tmp_path: Path, seed: int) -> None:
    assert rm.tangents_apart(rm.random_model(seed, tmp_path, smooth=True)) < 1e-5


@pytest.mark.parametrize("seed", range(200, 203))
def test_tangents_are_finite_where_values_are(tmp_path: Path, seed: int) -> None:
    """With kinks and steps too, where a difference says nothing."""
    import numpy as np

    model = rm.random_model(seed, tmp_path)
    moved = np.array([int(model.rows("con 0")[0])])
    rows = np.concatenate([model.rows(n) for n in model.computed])
    values = np.array([[model.program.default(int(moved[0]))]])
    out = model.batch(
        moved, values, outputs=rows, saves=model.grid().saved(), directions=np.array([0])
    )
    assert np.isfinite(out).all()
