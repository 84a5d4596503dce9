"""Subscripts of Vensim as numbers of their family, and mappings between families."""

from __future__ import annotations

from pathlib import Path

import pytest

from beltcast.engine.run.prepare import Backend
from beltcast.errors import ModelFileError

from .language_models import close, model_of, values, values_of


def test_subscripts_are_numbers_in_their_family(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "dim: A, B, C ~~|\nsub: C, A ~~|\n"
        "y[dim] = dim*10 ~~|\nz[sub] = sub ~~|\nw[dim] = IF THEN ELSE(dim = B, 1, 0) ~~|\n"
        "n = ELMCOUNT(dim) + ELMCOUNT(sub)*10 ~~|",
        end=1,
    )
    close(values(model, "y", backend)[0], [10, 20, 30])
    close(values(model, "z", backend)[0], [3, 1])
    close(values(model, "w", backend)[0], [0, 1, 0])
    close(values(model, "n", backend), [23, 23])


def test_a_mapping_may_name_elements(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "A: a1, a2 -> (B: b2, b1) ~~|\nB: b1, b2 ~~|\n"
        "R: north, south -> (C: warm, c3) ~~|\nC: c1, c2, c3 ~~|\nwarm: c1, c2 ~~|\n"
        "x[A] = 1, 2 ~~|\ny[B] = x[A]*Time ~~|\n"
        "r[R] = 5, 7 ~~|\nz[C] = r[R]*Time ~~|\n",
        end=1,
    )
    y, z = values_of(model, ["y", "z"], backend)
    close(y[1], [2, 1])
    close(z[1], [5, 5, 7])


def test_a_plain_mapping_goes_by_position(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "A: a1, a2 -> B ~~|\nB: b1, b2 ~~|\nx[A] = 1, 2 ~~|\ny[B] = x[A]*Time ~~|",
        end=1,
    )
    close(values(model, "y", backend)[1], [1, 2])


@pytest.mark.parametrize(
    ("equations", "words"),
    [
        ("A: a1, a2 -> (B: b2) ~~|\nB: b1, b2 ~~|\ny = 1 ~~|", "names 1 elements for 2"),
        ("A: a1, a2 -> (B: b2, b9) ~~|\nB: b1, b2 ~~|\ny = 1 ~~|", "'b9', which is neither"),
        (
            "A: a1, a2 -> B ~~|\nB: b1, b2, b3 ~~|\nx[A] = 1 ~~|\ny[B] = x[A]*Time ~~|",
            "has 2 elements and 'b', to which it is mapped, 3",
        ),
        (
            "A: p, q ~~|\nB: p, q ~~|\nC: p, q ~~|\nx[C] = 1, 2 ~~|\ny[A, B] = x[C]*Time ~~|",
            "could both stand for it",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(equations: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=words):
        model_of(tmp_path, equations)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("1, 1", "ELMCOUNT takes one argument and is given 2"),
        ("7", "ELMCOUNT counts the elements of a subscript range; name one"),
    ],
)
def test_what_has_no_elements_is_not_counted(given: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=words):
        model_of(tmp_path, f"dim: A, B ~~|\nn = ELMCOUNT({given}) ~~|")
