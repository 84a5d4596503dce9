"""Scenario discovery: the region of the uncertain inputs in which an output crosses a limit.

Scenario discovery (Bryant and Lempert 2010): every draw of the parameters, with the drawn sizes of
the scenario, is a case; a case is of interest if the output of a place and year lies below, or
above, a limit; and `prim` searches for the box of inputs that holds these cases and few others,
among the inputs that separate these cases on their own.  A box describes the ensemble: it shows
which inputs go with the outcome among the draws, not what causes it, and draws that the
observations make unlikely are as rare in it as in the posterior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from beltcast.drivers.discovery.prim import (
    BOX,
    BoolArray,
    cart,
    chosen_box,
    prim,
    stability,
    telling,
)
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import at_year, by_place
from beltcast.errors import InputError, UnknownName, did_you_mean
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.inference.sampling.posterior import Draws
from beltcast.schema import MEMBER, PARAMETER, PLACE, SCENARIO
from beltcast.streams import Random, Streams
from beltcast.study.scenarios import Scenario, draw_sizes
from beltcast.study.study import Study

LEAF = "leaf"


@dataclass(frozen=True)
class Crossing:
    """The outcome of interest: an output that lies beyond a limit in a year.

    Attributes
    ----------
    year : int
    below, above : float, optional  [unit of the target]
        One of them defines the cases of interest.
    place : str, optional
        A place, or the whole by default.
    scenario : str, optional
        The first of the study by default; its uncertain sizes are inputs too.
    target : str, optional
        A flow, over places or over none; the study's target by default.
    density : float  [1]
        See `beltcast.drivers.discovery.prim.chosen_box`.

    Raises
    ------
    InputError
        No limit or two, a limit that is not finite, a density that no box can have.
    """

    year: int
    below: float | None = None
    above: float | None = None
    place: str | None = None
    scenario: str | None = None
    target: str | None = None
    density: float = 0.8

    def __post_init__(self) -> None:
        if (self.below is None) == (self.above is None):
            raise InputError("give one limit, below or above, to define the cases of interest")
        if not math.isfinite(self.limit):
            raise InputError(f"the limit is {self.limit}; expected a number in the target's unit")
        if not 0.0 < self.density <= 1.0:
            raise InputError(
                f"the density is {self.density:g}; expected a share above 0 and at most 1, as 0.8"
            )

    @property
    def limit(self) -> float:
        """The limit that is given."""
        limit = self.above if self.below is None else self.below
        assert limit is not None
        return float(limit)


def discover(
    study: Study, draws: Draws, crossing: Crossing, *, rng: Random, pieces: Pieces = NOT_KEPT
) -> xr.Dataset:
    """Find the box of inputs in which an output crosses a limit.

    Parameters
    ----------
    study : Study
    draws : Draws
    crossing : Crossing
    rng : Streams, numpy.random.Generator or int
        Its stream ``sizes`` is used.
    pieces : Pieces, optional
        Store of finished runs, to resume from.

    Returns
    -------
    xarray.Dataset
        ``inputs`` (member, parameter), those that `prim.telling` keeps, or all if it keeps none
        (the attribute ``inputs_telling`` counts them); ``outcome`` and ``interest`` (member); the
        peeling trajectory as of `prim.prim`; the chosen box as ``chosen_...``, with the share of
        half-samples in which each input is limited as ``chosen_stability`` (parameter); the leaves
        of a tree as ``leaf_...`` (leaf, parameter), densest first.

    Raises
    ------
    InputError
        No case, or every case, crosses the limit.
    ScenarioError
        The scenario does not exist.
    UnknownName
        The place or year does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import Crossing, discover, read_study, sample_prior
    >>> study, rng = read_study(), np.random.default_rng(1)
    >>> draws = sample_prior(study, 200, rng=rng)
    >>> found = discover(study, draws, Crossing(2030, below=3000.0), rng=rng)
    >>> found.attrs["cases"], bool(found["chosen_coverage"] <= 1.0)
    (200, True)
    """
    own = study.scenario(crossing.scenario)
    streams = Streams.of(rng)
    variable = study.model.find(crossing.target or study.target).name
    runs = run_ensemble(
        study.model,
        {own.name: own},
        (draws.labels, draws.values),
        outputs=[variable],
        rng=streams,
        pieces=pieces,
    )
    output = by_place(runs[variable], study.whole(variable)).isel({SCENARIO: 0}, drop=True)
    place = crossing.place or study.whole(variable)
    outcome = _picked(output, place, crossing.year)
    good = np.isfinite(outcome.values)
    inputs = _inputs(own, draws, streams)
    beyond = outcome.values[good] - crossing.limit
    crossed: BoolArray = beyond > 0 if crossing.below is None else beyond < 0
    everything = inputs.isel({MEMBER: good})
    told = telling(everything, crossed)
    # If no input separates the cases on its own, the box may still need several together.
    table = everything.sel({PARAMETER: told}) if told else everything
    boxes = prim(table, crossed)
    chosen = chosen_box(table, crossed, boxes, density=crossing.density).isel({BOX: 0}, drop=True)
    halves = stability(table, crossed, density=crossing.density, rng=streams.halves)
    leaves = cart(table, crossed).rename({BOX: LEAF})
    result = boxes.assign(
        {
            "inputs": table.drop_vars(MEMBER, errors="ignore"),
            "outcome": (MEMBER, outcome.values[good], dict(runs[variable].attrs)),
            "interest": (MEMBER, crossed.astype(np.int8), {"units": "1"}),
            **{f"chosen_{n}": v for n, v in chosen.data_vars.items()},
            "chosen_stability": halves,
            **{f"leaf_{n}": v for n, v in leaves.data_vars.items()},
        }
    )
    return result.assign_attrs(
        {
            **runs.attrs,
            **study.provenance(),
            "target": variable,
            "place": place,
            "year": crossing.year,
            "side": "above" if crossing.below is None else "below",
            "limit": crossing.limit,
            "scenario": own.name,
            "draws_kind": draws.kind,
            "inputs_tried": everything.sizes[PARAMETER],
            "inputs_telling": len(told),
            "left_out": int((~good).sum()),
        }
    )


def box_words(box: xr.Dataset, prefix: str = "") -> list[str]:
    """Return the limits of a box in words, the most certain first.

    Parameters
    ----------
    box : xarray.Dataset
        With ``low``, ``high`` and ``p_value`` (parameter), under a prefix such as ``chosen_``.
    prefix : str

    Returns
    -------
    list of str
        Such as 'Demand Elasticity < 1.1'.
    """
    low, high = box[f"{prefix}low"].values, box[f"{prefix}high"].values
    p = box[f"{prefix}p_value"].values
    restricted = np.flatnonzero(np.isfinite(low) | np.isfinite(high))
    words = []
    for i in restricted[np.argsort(p[restricted], kind="stable")]:
        name = str(box[PARAMETER].values[i])
        if np.isfinite(low[i]) and np.isfinite(high[i]):
            words.append(f"{low[i]:.3g} < {name} < {high[i]:.3g}")
        elif np.isfinite(low[i]):
            words.append(f"{name} > {low[i]:.3g}")
        else:
            words.append(f"{name} < {high[i]:.3g}")
    return words


def _picked(output: xr.DataArray, place: str, year: int) -> xr.DataArray:
    places = [str(p) for p in output[PLACE].values]
    if place not in places:
        raise UnknownName(f"'{place}' is not a place{did_you_mean(place, places)}")
    of_year = at_year(output.to_dataset(name="output"), year)["output"]
    return of_year.sel({PLACE: place}).transpose(MEMBER)


def _inputs(own: Scenario, draws: Draws, streams: Streams) -> xr.DataArray:
    """All inputs that differ between the members; constant ones separate nothing."""
    columns = dict(zip(draws.labels, draws.values.T, strict=True))
    columns |= draw_sizes(own, len(draws), rng=streams)
    for label in set(own.constants) - set(own.uncertain):
        columns.pop(label, None)  # the scenario's value overrides the drawn one
    moving = {label: values for label, values in columns.items() if np.ptp(values) > 0}
    return xr.DataArray(
        np.array(list(moving.values())).T.reshape(len(draws), len(moving)),
        dims=(MEMBER, PARAMETER),
        coords={PARAMETER: np.array(list(moving), dtype=str)},
        attrs={"long_name": "Drawn inputs, each in its own unit"},
    )
