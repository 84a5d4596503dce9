"""Posterior draws that the members of a plan are taken from, whichever command wrote them.

``beltcast sample`` writes ``posterior.nc`` (values in their own units), ``beltcast forecast``
``draws.nc`` (values on working scales).  Both name their model and priors, and are refused for
others.  A plan with more members than draws repeats draws; such members still differ where
scenarios have uncertain sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError
from beltcast.files.netcdf import read_netcdf
from beltcast.model.model import Model
from beltcast.schema import CHAIN, DRAW, MEMBER, PARAMETER
from beltcast.study.priors import Priors


@dataclass(frozen=True, eq=False)
class Sample:
    """Draws of a model's constants, to take members from.

    Attributes
    ----------
    labels : tuple of str
    values : (draw, label)  [unit of each]
    """

    labels: tuple[str, ...]
    values: FloatArray

    def take(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Draws taken with replacement, (size, label).

        Examples
        --------
        >>> import numpy as np
        >>> from beltcast.scale.resample import Sample
        >>> Sample(("rate",), np.array([[0.1], [0.2]])).take(np.random.default_rng(1), 3).shape
        (3, 1)
        """
        return self.values[rng.integers(len(self.values), size=size)]


def read_sample(path: str | Path, model: Model, priors: Priors) -> Sample:
    """Read the draws that `beltcast sample` or `beltcast forecast` wrote.

    Parameters
    ----------
    path : str or Path
        ``posterior.nc`` or ``draws.nc``.
    model : Model
    priors : Priors
        Those of the fit: they name the constants and give their scales.

    Raises
    ------
    InputError
        The file is neither, or belongs to another model or other priors.
    """
    path = Path(path)
    data = _opened(path)
    made_from = {"model": model.source.text_sha256, "priors": priors.sha256}
    changed = [f"the {key}" for key, value in made_from.items() if _differs(data, key, value)]
    if changed:
        raise InputError(
            f"these draws are of another study: {' and '.join(changed)} changed since; remake them",
            path,
        )
    labels = tuple(priors.labels[i] for i in priors.settable)
    # As `chain_files` writes them: a slash would make a group of a NetCDF file.
    columns = {label: label.replace("/", "_") for label in labels}
    values = _working(data, priors) if "theta" in data else _plain(data, columns)
    if values is None or not len(values) or not np.isfinite(values).all():
        raise InputError(
            "there is not a finite draw of each constant in this file; give posterior.nc of "
            "beltcast sample or draws.nc of beltcast forecast, and the priors of that study",
            path,
        )
    return Sample(labels, values)


def _opened(path: Path) -> xr.Dataset:
    """The root of draws.nc; else the group 'posterior' if there is one."""
    give = "give posterior.nc of beltcast sample or draws.nc of beltcast forecast"
    top = read_netcdf(path, what="draws", give=give)
    if "theta" in top:
        return top
    try:
        return read_netcdf(path, what="draws", give=give, group="posterior")
    except InputError:  # no such group: the root is checked as it is
        return top


def _differs(data: xr.Dataset, key: str, value: str) -> bool:
    return str(data.attrs.get(f"{key}_sha256", value)) != value


def _working(data: xr.Dataset, priors: Priors) -> FloatArray | None:
    """Values from draws.nc, (draw, label); parameters come first there, then nuisances."""
    theta = data["theta"]
    if theta.dims != (MEMBER, PARAMETER) or theta.dtype.kind not in "fiu":
        return None
    if PARAMETER not in data.coords:
        return None
    if tuple(map(str, data[PARAMETER].values[: len(priors)])) != priors.labels:
        return None
    z = theta.values[:, : len(priors)].astype(np.float64)
    return priors.natural(z)[:, priors.settable]


def _plain(data: xr.Dataset, columns: Mapping[str, str]) -> FloatArray | None:
    """Values from posterior.nc, (chain x draw, label)."""
    numbers = {c: data[c].dtype.kind in "fiu" for c in columns.values() if c in data}
    if any(not numbers.get(c) or data[c].dims != (CHAIN, DRAW) for c in columns.values()):
        return None
    return np.stack([data[c].values.astype(np.float64).ravel() for c in columns.values()], axis=1)
