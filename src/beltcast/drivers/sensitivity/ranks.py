"""Ranks of constants from the measures of a sensitivity study at one time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from beltcast.errors import UnknownName
from beltcast.schema import PARAMETER

CHIEF: Mapping[str, str] = {
    "sobol": "total",
    "morris": "mu_star",
    "pawn": "median",
    "tornado": "swing",
}


def ranked(result: xr.Dataset, when: float) -> list[str]:
    """Constants in the order of their main index at a time, the largest first.

    Parameters
    ----------
    result : xarray.Dataset
        As `sensitivity` returns it.
    when : float  [Year]
    """
    own = abs(at_time(result, when)[CHIEF[result.attrs["method"]]]).fillna(0.0)
    order = np.argsort(-own.values, kind="stable")
    return [str(result[PARAMETER].values[i]) for i in order]


def rank_ranges(result: xr.Dataset, when: float) -> dict[str, tuple[int, int]]:
    """Ranks that each constant may have.

    Tornado: 95 % of the ranks over random settings of the other constants.  Morris: 95 % of the
    ranks over resampled trajectories.  Sobol' and PAWN: a constant ranks above another where their
    measures differ by more than the 95 % error of the difference; other pairs may have either
    order, and constants not above PAWN's dummies share the last ranks.

    Parameters
    ----------
    result : xarray.Dataset
        As `sensitivity` returns it.
    when : float  [Year]

    Returns
    -------
    dict of str to (int, int)
        First and last possible rank, from 1.
    """
    chief = CHIEF[result.attrs["method"]]
    at = at_time(result, when)
    names = [str(label) for label in at[PARAMETER].values]
    if "rank_low" in at:
        ends = (at[name].values.astype(int).tolist() for name in ("rank_low", "rank_high"))
        return dict(zip(names, zip(*ends, strict=True), strict=True))
    size = abs(at[chief]).fillna(0.0).values
    if f"{chief}_dummy" in at:
        size = np.where(size > float(at[f"{chief}_dummy"]), size, 0.0)
    error = at[f"{chief}_error"].fillna(0.0).values if f"{chief}_error" in at else 0.0 * size
    apart = size[:, None] - size[None, :]
    sure = np.hypot(error[:, None], error[None, :])  # half widths of 95% intervals
    above = (apart < -sure) | ((sure == 0.0) & (apart < 0.0))
    below = (apart > sure) | ((sure == 0.0) & (apart > 0.0))
    return {
        name: (1 + int(above[i].sum()), len(names) - int(below[i].sum()))
        for i, name in enumerate(names)
    }


def at_time(result: xr.Dataset, when: float) -> xr.Dataset:
    """Pick a year of a flow or an instant of a stock; the error lists those that exist.

    Raises
    ------
    UnknownName
    """
    (dim,) = [d for d in result[CHIEF[result.attrs["method"]]].dims if d != PARAMETER]
    times = result[dim].values
    if when not in times:
        raise UnknownName(
            f"{dim} {when:g} is not among the results; choose one of {times[0]:g} to {times[-1]:g}"
        )
    return result.sel({dim: when})


def unsettled(result: xr.Dataset, when: float) -> float:
    """Largest change of the main index when only half of the runs are used."""
    chief = CHIEF[result.attrs["method"]]
    at = at_time(result, when)
    return float(abs(at[chief] - at[f"{chief}_half"]).max())
