"""NetCDF files: one reader, which handles damaged files, and one writer of complete ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from beltcast.errors import InputError, reason_of
from beltcast.files.complete import appearing, remove_dead_parts
from beltcast.files.door import ADVICE, regular_size

if TYPE_CHECKING:
    import xarray as xr

LARGEST_NETCDF = 2 * 10**9
"""Largest size in bytes of a file, and of all its variables when unpacked."""

_SIGNATURES = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05")


def read_netcdf(
    path: str | Path,
    error: type[InputError] = InputError,
    *,
    what: str = "",
    give: str = "give a file of results",
    group: str | None = None,
) -> xr.Dataset:
    """Read a NetCDF file completely.

    Parameters
    ----------
    path : str or Path
    error : type
        Error class of the calling reader.
    what : str
        Subject of the error: ``draws``; nothing by default.
    give : str
        What to do instead, for the error.
    group : str, optional
        Of the file; its root by default.

    Raises
    ------
    InputError
        As ``error``: no regular file, not NetCDF, damaged, too large, or without the group.
    """
    import xarray as xr

    path = Path(path)

    def refusal(reason: str) -> InputError:
        return error(f"{what} cannot be read ({reason}); {give}".lstrip(), path)

    try:
        regular_size(path, error, what=what, largest=LARGEST_NETCDF)
    except InputError as problem:
        sentence = problem.sentence.replace(ADVICE, give)
        raise error(sentence, path) from None
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as problem:
        raise refusal(reason_of(problem)) from None
    if not start.startswith(_SIGNATURES):
        raise refusal("not a NetCDF file")
    try:
        with xr.open_dataset(path, group=group, engine="netcdf4") as opened:
            # A few bytes can declare a variable of terabytes that holds nothing but fill values.
            size = sum(variable.nbytes for variable in opened.variables.values())
            if size > LARGEST_NETCDF:
                raise refusal(f"{size} bytes when unpacked, and at most {LARGEST_NETCDF} are read")
            return opened.load()
    except InputError:
        raise
    except OSError as problem:
        raise refusal(str(problem.strerror or "damaged").lower()) from None
    except Exception as problem:  # HDF5, netCDF4 and xarray document none of their classes
        words = " ".join(str(problem).split())[:100]
        raise refusal(f"damaged: {words or type(problem).__name__}") from None


def write_netcdf(
    path: str | Path,
    groups: Mapping[str, xr.Dataset],
    encoding: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write a NetCDF file, which appears when it is complete.

    Parameters
    ----------
    path : str or Path
        Its folder is made.
    groups : mapping of str to xarray.Dataset
        ``/`` is the root.
    encoding : mapping, optional
        Of variables, as xarray takes it; by default all are compressed a little.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_dead_parts(path.parent, path.name)
        with appearing(path) as part:
            for number, (name, group) in enumerate(groups.items()):
                packed = encoding or {
                    str(v): {"zlib": True, "complevel": 1} for v in group.data_vars
                }
                mode: Literal["a", "w"] = "a" if number else "w"
                group.to_netcdf(part, mode, group=name, engine="netcdf4", encoding=packed)
    except OSError as problem:
        raise InputError(
            f"'{path}' cannot be written ({reason_of(problem)}); choose another place"
        ) from None


def check_variables(
    data: xr.Dataset, dims: Mapping[str, tuple[str, ...]], path: Path, give: str
) -> None:
    """Refuse a dataset without these variables, over these dimensions, of finite numbers.

    Raises
    ------
    InputError
        Names the variable that is missing or wrong, and what was expected.
    """
    for name, expected in dims.items():
        found = data.get(name)
        if found is None or found.dims != expected:
            over = "is missing" if found is None else f"is over ({', '.join(map(str, found.dims))})"
            sentence = f"'{name}' {over}; expected one over ({', '.join(expected)})"
            raise InputError(f"{sentence}: {give}", path)
        if found.dtype.kind not in "fiu" or not np.isfinite(found.values).all():
            raise InputError(f"'{name}' holds NaN or infinity; {give}", path)
