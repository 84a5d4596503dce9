"""Constants and inputs of a run, as a user passes them, converted to plain numbers.

`plain_constants` and `plain_inputs` accept a number, a mapping of elements, an array, a pandas
Series or DataFrame, or an xarray DataArray or Dataset.  They return ``{label: number}`` and
``{name: (times, values)}``, which all other code uses.  Types are recognised by their attributes,
so that neither pandas nor xarray is imported here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError

Constants: TypeAlias = Mapping[str, Any]
"""Value of each constant: a number, elements by name, an array, a Series or a DataArray."""
Inputs: TypeAlias = Mapping[str, Any]
"""Points of each input series: (times, values), or a Series or DataArray over time."""


class _Sized(Protocol):
    """What the conversion needs of a variable."""

    @property
    def name(self) -> str:
        """As the model file spells it."""

    @property
    def dims(self) -> tuple[str, ...]:
        """Subscript ranges."""


class _Names(Protocol):
    """What the conversion needs of a model."""

    @property
    def subscripts(self) -> Mapping[str, tuple[str, ...]]:
        """Elements of each subscript range."""

    def find(self, name: str, /) -> _Sized:
        """Find a variable."""


def plain_constants(constants: Constants | None, names: _Names) -> dict[str, float]:
    """Turn what a user passes as constants into numbers by label.

    Parameters
    ----------
    constants : mapping, pandas.Series, xarray.Dataset or None
        Each value is a number, a mapping of elements, an array with an axis for each subscript
        range, a Series over elements, or a DataArray over subscript ranges.
    names : model

    Returns
    -------
    dict of str to float
        ``{"Belt Size[Shenzhen]": 2.0}``; a bare name stands for all elements.

    Raises
    ------
    InputError
        A value is NaN or not a number, or an array does not have the shape of its constant.
    UnknownName
        An array is given for a constant that the model does not have.
    """
    if constants is None:
        return {}
    return {
        label: _number(value, label)
        for name, given in constants.items()
        for label, value in _elements(str(name), given, names)
    }


def plain_inputs(inputs: Inputs | None) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Turn what a user passes as input series into times and values by name.

    Parameters
    ----------
    inputs : mapping, pandas.DataFrame, xarray.Dataset or None
        Each value is a pair (times, values), a Series indexed by time, or a DataArray over time.

    Returns
    -------
    dict of str to (times, values), both (points,)

    Raises
    ------
    InputError
        A point is not finite, or times and values do not pair.
    """
    if inputs is None:
        return {}
    return {str(name): _points(str(name), given) for name, given in inputs.items()}


def _elements(name: str, given: Any, names: _Names) -> Iterator[tuple[str, Any]]:
    """Yield label and value of each element that is given."""
    if hasattr(given, "coords") and len(given.dims):  # a DataArray
        axes = [[str(e) for e in np.asarray(given.coords[d].values)] for d in given.dims]
        own = names.find(name).dims
        order = [given.dims.index(d) for d in own] if set(own) == set(given.dims) else None
        for place in itertools.product(*(range(len(axis)) for axis in axes)):
            label = [axis[i] for axis, i in zip(axes, place, strict=True)]
            label = label if order is None else [label[k] for k in order]
            yield f"{name}[{', '.join(label)}]", given.values[place]
        return
    if hasattr(given, "items"):  # a mapping, or a Series over elements
        for element, value in given.items():
            inside = ", ".join(map(str, element)) if isinstance(element, tuple) else str(element)
            yield f"{name}[{inside}]", value
        return
    values = np.asarray(getattr(given, "values", given))
    if values.ndim == 0 or values.dtype.kind not in "biuf":
        yield name, given
        return
    variable = names.find(name)
    axes = [list(names.subscripts[d]) for d in variable.dims]
    shape = tuple(len(axis) for axis in axes)
    if values.shape != shape:
        raise InputError(
            f"the array given for '{variable.name}' has the shape {values.shape}, but the constant "
            f"has {shape} ({', '.join(variable.dims) or 'no subscript range'}); give one number "
            "for each element"
        )
    for place, element in zip(np.ndindex(*shape), itertools.product(*axes), strict=True):
        yield f"{variable.name}[{', '.join(element)}]", values[place]


def _number(value: Any, label: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(
            f"the value given for '{label}' is {str(value)[:60]!r}; give a number"
        ) from None
    if math.isnan(number):
        raise InputError(f"the value given for '{label}' is NaN; give a number")
    return number


def _points(name: str, given: Any) -> tuple[FloatArray, FloatArray]:
    if hasattr(given, "index") and hasattr(given, "to_numpy"):  # a Series
        pair: Sequence[Any] = (given.index, given)
    elif hasattr(given, "coords"):  # a DataArray over one dimension
        pair = (given.coords[given.dims[0]].values, given.values)
    else:
        pair = given
    try:
        times, values = (np.asarray(part, dtype=np.float64) for part in pair)
    except (TypeError, ValueError):
        raise InputError(
            f"the points given for the input '{name}' are not numbers; give a pair of times and "
            "values in the model's unit of time, or a Series indexed by time"
        ) from None
    for what, numbers in (("time", times), ("value", values)):
        if np.isnan(numbers).any():
            at = int(np.isnan(numbers).argmax())
            raise InputError(
                f"{what} {at + 1} of the points given for the input '{name}' is NaN; leave the "
                "point out or give a number"
            )
    pairs = times.ndim == 1 and times.shape == values.shape and len(times) > 0
    if not (pairs and np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise InputError(
            f"the points given for the input '{name}' must be pairs of a time and a value, in "
            f"ascending time; {times.size} times and {values.size} values are given"
        )
    return times, values
