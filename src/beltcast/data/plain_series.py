"""A plain series, times and values, as something that a model can be fitted to.

Published figures of several sources, whose scopes differ and drift, are what a study is for.  A
series that was measured in one way needs none of it: its rows are observations of one definition,
with one spread, and `beltcast.make_likelihood` takes them as they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from beltcast.data.observations import Observation, Observations
from beltcast.errors import InputError
from beltcast.inference.noise import Definition, Noise
from beltcast.inference.priors import find_label
from beltcast.model import Model
from beltcast.quantities import is_flow
from beltcast.schema import TOTAL

__all__ = ["series_noise", "series_observations"]

_DEFINITION = "series"


def series_observations(
    model: Model, quantity: str, times: ArrayLike, values: ArrayLike
) -> Observations:
    """Turn a measured series into observations, one an instant.

    Parameters
    ----------
    model : Model
    quantity : str
        ``Name`` or ``Name[Element]`` of what was measured: a stock, or anything else that is
        counted at an instant.
    times : (n,)  [time]
    values : (n,)  [unit of the quantity]
        Above 0: a fit compares logs.

    Returns
    -------
    Observations

    Raises
    ------
    UnknownName
        The model has no such variable.
    InputError
        The quantity is a flow, the lengths differ, or a value is not above 0.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.resources import shipped
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> len(series_observations(model, "Stock", [1.0, 2.0], [90.0, 81.0]))
    2
    """
    variable, elements = find_label(quantity, model)
    if is_flow(variable.unit):
        raise InputError(
            f"'{variable.name}' [{variable.unit}] is a flow, and a figure of a flow is a total "
            "over a period; write a table of observations with start and end"
        )
    at, measured = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if at.ndim != 1 or at.shape != measured.shape:
        raise InputError(
            f"the series has times of shape {at.shape} and values of shape {measured.shape}; give "
            "one value a time"
        )
    if not np.all(np.isfinite(at) & np.isfinite(measured) & (measured > 0.0)):
        raise InputError(
            f"the series of '{quantity}' has values that are not above 0; leave them out"
        )
    rows = [
        Observation(
            line=number,
            place=elements[0] if elements else TOTAL,
            belts=elements,
            quantity=variable.name,
            kind="level",
            start=float(time),
            end=float(time),
            value=float(value),
            unit=variable.unit,
            definition=_DEFINITION,
            vintage="final",
            grade="A",
            published=float(time),
            source=_DEFINITION,
        )
        for number, (time, value) in enumerate(zip(at, measured, strict=True), start=1)
    ]
    return Observations(tuple(rows), Path(_DEFINITION), "")


def series_noise(sd: float) -> Noise:
    """Return the noise of a series: one spread for each value, nothing that they share.

    Parameters
    ----------
    sd : float
        Standard deviation of the log of a value: 0.1 is about 10 %.

    Raises
    ------
    InputError
        It is not above 0.
    """
    if not 0.0 < sd < np.inf:
        raise InputError(f"the spread of the series is {sd:g}; expected a number above 0")
    return Noise(
        grade=dict.fromkeys("ABC", sd),
        vintage={"final": 0.0},
        year_shock=0.0,
        year_shocks={},
        season_mean=0.0,
        season_sd=0.0,
        definitions={_DEFINITION: Definition("Series", 0.0, 0.0, 0.0)},
    )
