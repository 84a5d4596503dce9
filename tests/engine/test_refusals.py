"""What the engine does not support is refused with its line and what to write instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.errors import SimulationError, UnsupportedConstruct

from .language_models import model_of, write


@pytest.mark.parametrize(
    ("equations", "words"),
    [
        ("y = RANDOM LOOKUP(1, 2, 3) ~~|", "RANDOM LOOKUP is not supported; call a lookup"),
        ("y = GET TIME VALUE(1, 0, 3) ~~|", "no settings that date its time"),
        ("y = GET TIME VALUE(2, 0, 0) ~~|", "the computer.s clock"),
        ("k = INTEG(1, 0) ~~|\ny = SMOOTH N(Time, 2, 0, k) ~~|", "order is not a whole number"),
        ("d: A, B ~~|\nx[d] = 1 ~~|\ny = INVERT MATRIX(x[A], 1) + 1 ~~|", "inside an expression"),
        ("f((0,1),(1,0),(2,1)) ~~|\ny = LOOKUP INVERT(f, Time) ~~|", "neither rises nor falls"),
        ("f((0,1),(1,1),(2,0)) ~~|\ny = LOOKUP INVERT(f, Time) ~~|", "neither rises nor falls"),
        ("f((0,0),(1,1),(2,1)) ~~|\ny = LOOKUP INVERT(f, Time) ~~|", "neither rises nor falls"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_line(
    equations: str, words: str, tmp_path: Path
) -> None:
    path = write(tmp_path, equations)
    with pytest.raises(UnsupportedConstruct, match=words) as problem:
        load_model(path)
    assert problem.value.line == 1 + equations.count("\n") + 1


def test_a_constant_that_shaped_the_model_cannot_be_set(tmp_path: Path) -> None:
    model = model_of(tmp_path, "k = 2 ~~|\ny = SMOOTH N(Time, 2, 0, k) ~~|")
    with pytest.raises(SimulationError, match="'k' cannot be set for a run: it makes the order"):
        model.simulate({"k": 3.0})


def test_a_function_without_derivative_is_refused_in_a_fit(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        "k = 2 ~~|\nr: A, B ~~|\nc: K, L ~~|\nm[r, c] = 2, 1; 1, 3; ~~|\n"
        "t[r, c] = m[r, c]*k ~~|\ni[r, c] = INVERT MATRIX(t[r, c], 2) ~~|",
    )
    with pytest.raises(UnsupportedConstruct, match="INVERT MATRIX has no derivative"):
        model.batch(
            model.rows("k"),
            np.array([[2.0]]),
            outputs=model.rows("i"),
            saves=[0.0],
            directions=np.array([0]),
        )
