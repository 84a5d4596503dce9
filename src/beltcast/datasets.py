"""Datasets of plain arrays, built without what xarray would import to look for other kinds.

Given arrays, xarray asks whether they belong to dask, CuPy or pint, and to ask it imports whichever
of them is installed: longer than ten thousand runs of a model take.  Variables and indexes made
here are known to be NumPy's, so that nothing is asked before a number is read from ``values``.
(Arithmetic, ``sel`` and ``to_numpy`` ask after all.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["make_dataset"]


def make_dataset(
    variables: Mapping[str, tuple[tuple[str, ...], NDArray[Any], Mapping[str, Any]]],
    coordinates: Mapping[str, tuple[NDArray[Any], Mapping[str, Any]]],
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Label arrays.

    Parameters
    ----------
    variables : mapping
        By name: dimensions, values and attributes.
    coordinates : mapping
        By dimension: values and attributes.
    attrs : mapping
        Of the dataset.

    Returns
    -------
    xarray.Dataset
        The same as `xarray.Dataset` makes of them.

    Examples
    --------
    >>> import numpy as np
    >>> times = np.array([0.0, 1.0])
    >>> made = make_dataset({"x": (("time",), 2 * times, {})}, {"time": (times, {})}, {})
    >>> made["x"].to_numpy()
    array([0., 2.])
    """
    # Imported late: with pandas it takes longer than most runs.
    import pandas as pd
    import xarray as xr

    indexes: dict[str, xr.Index] = {}
    held: dict[str, xr.Variable] = {}
    for dim, (values, of_dim) in coordinates.items():
        plain = np.asarray(values)
        names = pd.Index(plain, dtype=object if plain.dtype.kind == "U" else None)
        indexes[dim] = xr.indexes.PandasIndex(names, dim, coord_dtype=plain.dtype)
        held.update(indexes[dim].create_variables())
        held[dim].attrs.update(of_dim)
    return xr.Dataset(
        {
            name: xr.Variable(dims, values, dict(own), fastpath=True)
            for name, (dims, values, own) in variables.items()
        },
        xr.Coordinates(held, indexes),
        dict(attrs),
    )
