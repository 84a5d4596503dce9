"""Models of a few equations, and the values of their variables on one back end."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from beltcast import load_model
from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.plan import Method
from beltcast.engine.run.prepare import Backend
from beltcast.model.model import Model

CONTROLS = """
INITIAL TIME = 0 ~~|
FINAL TIME = {end} ~~|
TIME STEP = {step} ~~|
SAVEPER = TIME STEP ~~|
"""


def write(folder: Path, equations: str, *, end: float = 4, step: float = 1) -> Path:
    """A model file with these equations; each ends where the next line begins a new one."""
    path = folder / "model.mdl"
    text = "{UTF-8}\n" + equations.strip() + "\n" + CONTROLS.format(end=end, step=step)
    path.write_text(text, encoding="utf-8")
    return path


def model_of(folder: Path, equations: str, *, end: float = 4, step: float = 1) -> Model:
    return load_model(write(folder, equations, end=end, step=step))


def values(model: Model, label: str, backend: Backend, *, method: Method = "euler") -> FloatArray:
    """Values of one label at every saved time, or the table of all its elements."""
    return values_of(model, [label], backend, method=method)[0]


def values_of(
    model: Model, labels: list[str], backend: Backend, *, method: Method = "euler"
) -> list[FloatArray]:
    rows = [model.rows(label) for label in labels]
    parameters, given = model.constant_values(None)
    out = model.batch(
        parameters,
        given[:, None],
        outputs=np.concatenate(rows),
        saves=model.grid().saved(),
        backend=backend,
        method=method,
    )[:, :, 0]
    ends = np.cumsum([len(r) for r in rows])
    return [piece.squeeze() for piece in np.split(out, ends[:-1], axis=1)]


def close(a: FloatArray, b: object) -> None:
    np.testing.assert_allclose(a, np.asarray(b, dtype=float), rtol=1e-12, atol=1e-12)
