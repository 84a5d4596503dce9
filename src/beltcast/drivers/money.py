"""What a lever costs, and what a yuan of output costs by lever and belt, with bands.

Spending is read off the model: ``public spending`` and ``seller spending`` of the belt model are
flows like any other, and the shares behind the former are judgement.  The price of output of a
scenario is its spending more than that of the first one, over its output more, both summed over
years, draw by draw: CNY spent for each CNY of output gained.  Where output falls there is no price.
Nothing is discounted, and output is exports, not profit: the model knows no level of margins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from beltcast.bands import by_place, quantiles
from beltcast.ensemble import run_ensemble
from beltcast.errors import InputError, ScenarioError
from beltcast.inference.posterior import Draws
from beltcast.schema import MEMBER, SCENARIO, YEAR
from beltcast.study import Study

__all__ = ["price_of_output"]

SPENDING = ("public spending", "seller spending")
"""Flows of the belt model that somebody pays."""


def price_of_output(
    study: Study,
    draws: Draws,
    *,
    years: tuple[int, int],
    target: str = "output",
    spending: Sequence[str] = SPENDING,
    rng: np.random.Generator,
) -> xr.Dataset:
    """Compare what scenarios cost and bring with the first of the study.

    Parameters
    ----------
    study : Study
    draws : Draws
    years : (first, last)
        Both are counted.
    target : str
        A flow, over places or over none.
    spending : sequence of str
        Flows over the same places.
    rng : numpy.random.Generator
        Draws uncertain sizes of scenarios.

    Returns
    -------
    xarray.Dataset
        ``gain_quantile`` (scenario, place, quantile)  [unit of the target], and for each kind of
        spending ``<name> quantile`` and ``price of <name>``, CNY for each CNY of output gained,
        among the draws that gain; ``chance_of_gain`` (scenario, place) is their share.

    Raises
    ------
    ScenarioError
        There is nothing to compare the first scenario with.
    InputError
        The years are not run.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import make_likelihood, price_of_output, read_study, sample_prior
    >>> study, rng = read_study(), np.random.default_rng(1)
    >>> likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    >>> draws = sample_prior(likelihood, 8, rng=rng)
    >>> found = price_of_output(study, draws, years=(2026, 2035), rng=rng)
    >>> float(found["price of seller spending"].sel(scenario="brand-push").min()) > 0
    True
    """
    if len(study.scenarios) < 2:
        raise ScenarioError("a price needs a second scenario to compare with the first")
    runs = run_ensemble(
        study.model,
        study.scenarios,
        (draws.labels, draws.values),
        outputs=[target, *spending],
        rng=rng,
    )
    first, last = years
    known = runs[YEAR].values
    if not known[0] <= first <= last <= known[-1]:
        raise InputError(
            f"years {first} to {last} were asked for; the run has {known[0]} to {known[-1]}"
        )
    whole = study.whole(target)

    def more(name: str) -> xr.DataArray:
        own = runs[study.model.find(name).name]
        total = by_place(own, whole).sel({YEAR: slice(first, last)}).sum(YEAR, skipna=False)
        return total - total.isel({SCENARIO: 0}, drop=True)

    gain = more(target)
    gained = (gain > 0).where(gain.notnull())
    unit = {"units": str(runs[study.model.find(target).name].attrs.get("units", ""))}
    found = {
        "gain_quantile": quantiles(gain).assign_attrs(unit),
        "chance_of_gain": gained.mean(MEMBER).assign_attrs({"units": "1"}),
    }
    for name in spending:
        cost = more(name)
        found[f"{name} quantile"] = quantiles(cost).assign_attrs(unit)
        found[f"price of {name}"] = _price(cost, gain).assign_attrs({"units": "CNY/CNY"})
    return xr.Dataset(found, attrs={**runs.attrs, "first_year": first, "last_year": last})


def _price(cost: xr.DataArray, gain: xr.DataArray) -> xr.DataArray:
    """Quantiles of cost over gain among the draws that gain; NaN where none does."""
    gains = gain > 0
    some = gains.any(MEMBER)
    ratio = (cost / gain.where(gains)).where(some, 0.0)
    return quantiles(ratio).where(some)
