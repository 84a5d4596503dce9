"""Statistics over members: quantiles, standard deviations, chances; and sums of belts.

These are the last steps of every answer.  Members that produced NaN or infinity are excluded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from beltcast.ensembles.verdicts import chance_words, negligible, positive_share
from beltcast.errors import UnknownName
from beltcast.schema import MEMBER, PLACE, QUANTILE, QUANTILES, SCENARIO, TIME, YEAR


def quantiles(values: xr.DataArray, levels: Sequence[float] = QUANTILES) -> xr.DataArray:
    """Quantiles over members.

    Parameters
    ----------
    values : (..., member, ...)
    levels : (q,)  [1]
        Probabilities.

    Returns
    -------
    xarray.DataArray
        ``quantile`` last, in place of ``member``; NaN where no member is finite.

    Examples
    --------
    >>> import xarray as xr
    >>> from beltcast.ensembles.member_statistics import quantiles
    >>> quantiles(xr.DataArray([1.0, 2.0, 3.0], dims="member"), [0.5]).item()
    2.0
    """
    probabilities = np.asarray(levels, dtype=np.float64)
    axis = values.get_axis_num(MEMBER)
    bad = ~np.isfinite(values.values)
    if bad.any():  # nanquantile is far slower, so it is used only if needed
        none = bad.all(axis=axis, keepdims=True)
        known = np.where(none, 0.0, np.where(bad, np.nan, values.values))
        result = np.nanquantile(known, probabilities, axis=axis)
        result = np.where(np.squeeze(none, axis=axis), np.nan, result)
    else:
        result = np.quantile(values.values, probabilities, axis=axis)
    dims = [d for d in values.dims if d != MEMBER]
    coords = {d: values[d] for d in dims if d in values.coords}
    return xr.DataArray(
        np.moveaxis(result, 0, -1),
        dims=(*dims, QUANTILE),
        coords={**coords, QUANTILE: probabilities},
        attrs=values.attrs,
    )


def robust_sd(values: xr.DataArray) -> xr.DataArray:
    """Half the width of the central 68% over members: a standard deviation robust to outliers."""
    ends = quantiles(values, (0.16, 0.84))
    return 0.5 * (ends.isel({QUANTILE: 1}, drop=True) - ends.isel({QUANTILE: 0}, drop=True))


def chance(event: xr.DataArray, known: xr.DataArray) -> xr.DataArray:
    """Share of the members in which a condition holds, among those that are known."""
    share: xr.DataArray = (event & known).sum(MEMBER) / known.sum(MEMBER)
    return share


def chance_positive(values: xr.DataArray) -> xr.DataArray:
    """Share of the members above zero, among those that are known; a zero counts one half.

    NaN where every member is zero: see `beltcast.ensembles.verdicts.positive_share`.
    """
    axis = values.get_axis_num(MEMBER)
    coords = {d: values[d] for d in values.dims if d != MEMBER and d in values.coords}
    return xr.DataArray(
        positive_share(values.values, 0.0, axis=int(axis)),
        coords,
        [d for d in values.dims if d != MEMBER],
    )


def more_than(output: xr.DataArray, first: xr.DataArray) -> xr.DataArray:
    """Difference of two runs, member by member; zero if they differ only by rounding."""
    more = output - first
    return more.where(~negligible(more.values, abs(output).values), 0.0)


def chances(**events: tuple[xr.DataArray, xr.DataArray]) -> dict[str, xr.DataArray]:
    """Chances under their names, and ``<name>_draws``, the number of draws behind each.

    Parameters
    ----------
    **events
        Share over members, as of `chance`, and which members are known (..., member, ...).
    """
    found = {}
    for name, (share, known) in events.items():
        found[name] = share.assign_attrs({"units": "1"})
        found[f"{name}_draws"] = known.sum(MEMBER, dtype=np.int32).assign_attrs({"units": "1"})
    return found


def chance_text(results: xr.Dataset, name: str, at: Mapping[str, Any]) -> str:
    """Print one of the `chances` with its Monte Carlo standard error, or 'too few draws'.

    Parameters
    ----------
    results : xarray.Dataset
        With ``<name>`` and ``<name>_draws``.
    name : str
    at : mapping
        Dimension to label: one value.

    Examples
    --------
    >>> import xarray as xr
    >>> from beltcast.ensembles.member_statistics import chance_text
    >>> results = xr.Dataset({"more": ("year", [0.9]), "more_draws": ("year", [400])})
    >>> chance_text(results.assign_coords(year=[2030]), "more", {"year": 2030})
    '90 ± 2 %'
    """
    share, draws = (float(results[key].sel(at)) for key in (name, f"{name}_draws"))
    return chance_words(share, draws)


def parting(one: xr.DataArray, other: xr.DataArray) -> int:
    """Index of the last year in which two paths are the same; their length if they never part.

    Parameters
    ----------
    one, other : (year,)

    Examples
    --------
    >>> import xarray as xr
    >>> from beltcast.ensembles.member_statistics import parting
    >>> parting(xr.DataArray([1.0, 2.0, 3.0]), xr.DataArray([1.0, 2.0, 4.0]))
    1
    """
    differ = ~np.isclose(one.values, other.values, rtol=1e-6)
    return max(int(np.argmax(differ)) - 1, 0) if differ.any() else len(differ)


def at_year(results: xr.Dataset, year: int) -> xr.Dataset:
    """Pick one year; the error lists those that exist.

    Raises
    ------
    UnknownName

    Examples
    --------
    >>> import xarray as xr
    >>> from beltcast.ensembles.member_statistics import at_year
    >>> results = xr.Dataset({"output": ("year", [1.0, 2.0])}, {"year": [2024, 2025]})
    >>> at_year(results, 2025)["output"].item()
    2.0
    """
    years = results[YEAR].values
    if year not in years:
        raise UnknownName(f"year {year} is not run; choose one of {years[0]} to {years[-1]}")
    return results.sel({YEAR: year})


def by_place(output: xr.DataArray, whole: str) -> xr.DataArray:
    """Rename the subscript range of places to ``place`` and put the sum of all before them.

    A variable without a subscript range is the whole itself.
    """
    own = [d for d in output.dims if d not in (SCENARIO, MEMBER, YEAR, TIME)]
    if not own:
        return output.expand_dims({PLACE: [whole]}, axis=-2)
    belt = str(own[0])
    total = output.sum(belt, keepdims=True, skipna=False).assign_coords({belt: [whole]})
    return xr.concat([total, output], belt).rename({belt: PLACE})
