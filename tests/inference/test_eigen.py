"""Eigenvectors: whatever sign and order LAPACK returns, the result is the same."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from beltcast.inference.eigen import eigenpairs
from beltcast.inference.processes import drift_factor

LAGS = np.array([-6.5, -3.0, -0.25, 0.0, 0.5, 2.0, 2.01, 7.0])


def flipped(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what another kernel may: every second vector with the other sign."""
    values, vectors = EIGH(matrix)
    return values, vectors * (-1.0) ** np.arange(len(values))


EIGH = np.linalg.eigh


def test_the_sign_that_lapack_chooses_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = drift_factor(LAGS, 4.0)
    monkeypatch.setattr(np.linalg, "eigh", flipped)
    np.testing.assert_array_equal(drift_factor(LAGS, 4.0), before)


def test_a_vector_of_equally_large_components_has_a_sign_that_rounding_cannot_change() -> None:
    # The eigenvectors are (1, 1) and (1, -1): the last bits of the matrix decide which of the two
    # components is larger, and must not decide the sign.
    for nudge in (0.0, 1e-15, -1e-15):
        _, vectors = eigenpairs(np.array([[2.0 + nudge, -1.0], [-1.0, 2.0]]))
        np.testing.assert_allclose(vectors, np.array([[1, 1], [-1, 1]]) / np.sqrt(2), rtol=1e-12)


def test_pairs_satisfy_the_definition_and_descend() -> None:
    matrix = np.cov(np.random.default_rng(1).standard_normal((6, 40)))
    values, vectors = eigenpairs(matrix)
    # Rounding of a 6 by 6 matrix with entries near 1.
    np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-13)
    assert np.all(np.diff(values) <= 0)


def test_no_module_takes_eigenvectors_past_the_convention(root: Path) -> None:
    taken = re.compile(r"linalg\.(eigh?|svd)\b")
    found = [
        path.relative_to(root).as_posix()
        for path in sorted((root / "src").rglob("*.py"))
        if taken.search(path.read_text(encoding="utf-8").split('"""', 2)[-1])
    ]
    # A descent inverts a matrix by its eigenvectors and those transposed; the surrogate rotates
    # residuals and takes the sum of their squares.  No sign changes either.
    assert found == [
        "src/beltcast/inference/descent.py",
        "src/beltcast/inference/eigen.py",
        "src/beltcast/inference/sampling/surrogate.py",
    ]
