"""Names of dimensions and coordinates, languages, and how arrays become datasets.

========== ==================================================================================
dimension  meaning
========== ==================================================================================
time       instant, the model's own time (a stock is known at instants)
year       calendar year: the value is the total of a flow from ``year`` to ``year + 1``
scenario   name of a scenario (see ``models/belt/scenarios.toml``)
member     realization: one draw of the parameters, the same in all scenarios
place      a belt, or a sum of belts such as China
quantile   probability of a quantile
parameter  label of an estimated parameter, ``Name`` or ``Name[Element]``
row        one published number
case       one published number forecast from one origin
forecaster name of what made a forecast: the model, a variant of it, a baseline
draw       one draw of a chain, or of a forecaster (not the same member in two of them)
chain      a Markov chain, or a group of them (see `beltcast.inference.sampling.chains`)
set        one synthetic data set
========== ==================================================================================

Subscript ranges of the model (Belt, Tier, ...) are dimensions under their own names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

TIME = "time"
YEAR = "year"
SCENARIO = "scenario"
MEMBER = "member"
PLACE = "place"
QUANTILE = "quantile"
PARAMETER = "parameter"
ROW = "row"
CASE = "case"
FORECASTER = "forecaster"
DRAW = "draw"
CHAIN = "chain"
SET = "set"

QUANTILES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
"""Quantiles that are stored with a forecast; 0.10 to 0.90 is the 80% band."""

TOTAL = "total"
"""What the sum of all places is called where the study has no name for it."""

Language = Literal["en", "zh"]
"""Language of texts for people: English or Chinese."""

LANGUAGES: tuple[Language, ...] = ("en", "zh")

LABELS = "labels"
"""Attribute of a result: `labels_text` of what its study calls things."""


@dataclass(frozen=True)
class Label:
    """A text for people in each language; English where another one is missing."""

    en: str
    zh: str = ""

    def text(self, language: Language) -> str:
        """Return the text in a language.

        >>> Label("output", "产出").text("zh"), Label("catch").text("zh")
        ('产出', 'catch')
        """
        return self.zh or self.en if language == "zh" else self.en


NO_LABEL = Label("")
"""No text at all."""


def labels_text(labels: Mapping[str, Label]) -> str:
    """Write labels as one line of JSON, for an attribute of a result.

    >>> labels_text({"kt": Label("kilotonnes", "千吨")})
    '{"kt": ["kilotonnes", "千吨"]}'
    """
    pairs = {name: [label.en, label.zh] for name, label in labels.items()}
    return json.dumps(pairs, ensure_ascii=False)


def labels_of(attrs: Mapping[Any, Any]) -> dict[str, Label]:
    """Read the labels from the attributes of a result; none if it has none.

    >>> labels_of({"labels": '{"kt": ["kilotonnes", "千吨"]}'})["kt"].text("zh")
    '千吨'
    """
    try:
        found = json.loads(attrs.get(LABELS) or "{}")
        return {str(name): Label(str(en), str(zh)) for name, (en, zh) in found.items()}
    except (ValueError, TypeError, AttributeError):  # a title is no reason to refuse a result
        return {}


class Progress(Protocol):
    """Reports progress: what is done, how many parts of it are done, and how many there are."""

    def __call__(self, what: str, done: int, total: int, /) -> None:
        """Report that ``done`` of ``total`` parts of ``what`` are done."""


def no_progress(what: str, done: int, total: int, /) -> None:
    """Report no progress."""


def make_dataset(
    variables: Mapping[str, tuple[tuple[str, ...], NDArray[Any], Mapping[str, Any]]],
    coordinates: Mapping[str, tuple[NDArray[Any], Mapping[str, Any]]],
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Label arrays, without what xarray would import to look for other kinds of array.

    Given arrays, xarray asks whether they belong to dask, CuPy or pint, and to ask it imports
    whichever of them is installed, which takes longer than ten thousand runs of a model.  Variables
    and indexes made here are known to be NumPy's, so that nothing is asked before a number is read
    from ``values``.  (Arithmetic, ``sel`` and ``to_numpy`` ask after all.)

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
    import numpy as np
    import pandas as pd
    import xarray as xr
    from xarray.indexes import PandasIndex

    indexes: dict[str, xr.Index] = {}
    held: dict[str, xr.Variable] = {}
    for dim, (values, of_dim) in coordinates.items():
        plain = np.asarray(values)
        names = pd.Index(plain, dtype=object if plain.dtype.kind == "U" else None)
        indexes[dim] = PandasIndex(names, dim, coord_dtype=plain.dtype)
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
