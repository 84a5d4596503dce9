"""Pieces of XMILE from which the tests write small models."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from beltcast import load_model
from beltcast.engine.run.prepare import Backend
from beltcast.model.model import Model

HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<xmile version="1.0" xmlns="http://docs.oasis-open.org/xmile/ns/XMILE/v1.0">\n'
)


def xmile(
    variables: str,
    *,
    method: str = "Euler",
    dimensions: str = "",
    more: str = "",
    stop: str = "4",
    dt: str = "1",
) -> str:
    """A model from time 0 on; the variables begin on line 5, `more` stands after the model."""
    times = f"<start>0</start><stop>{stop}</stop><dt>{dt}</dt>"
    return (
        f'{HEAD}<sim_specs method="{method}">{times}</sim_specs>\n'
        f"{dimensions}<model><variables>\n{variables}\n</variables></model>{more}</xmile>\n"
    )


def write(
    folder: Path, variables: str, *, method: str = "Euler", dimensions: str = "", more: str = ""
) -> Path:
    path = folder / "model.stmx"
    path.write_text(
        xmile(variables, method=method, dimensions=dimensions, more=more), encoding="utf-8"
    )
    return path


def aux(name: str, equation: str, dims: str = "") -> str:
    """An auxiliary; `dims` are names of dimensions separated by blanks."""
    return f'<aux name="{name}">{of(dims)}<eqn>{equation}</eqn></aux>'


def of(dims: str) -> str:
    each = "".join(f'<dim name="{d}"/>' for d in dims.split())
    return f"<dimensions>{each}</dimensions>" if each else ""


def element(subscript: str, equation: str) -> str:
    return f'<element subscript="{subscript}"><eqn>{equation}</eqn></element>'


def dim(name: str, elements: str) -> str:
    each = "".join(f'<elem name="{e}"/>' for e in elements.split())
    return f'<dim name="{name}">{each}</dim>'


def dimensions(*each: str) -> str:
    return f"<dimensions>{''.join(each)}</dimensions>"


def y(model: Model, backend: Backend, label: str = "y") -> np.ndarray:
    return model.simulate(backend=backend)[label].to_numpy()


def first(folder: Path, variables: str, *, more: str = "", dims: str = "") -> np.ndarray:
    """The first value of y."""
    model = load_model(write(folder, variables, dimensions=dims, more=more))
    return np.asarray(y(model, "numpy")[0])
