"""Costs and gains of levers: spending, profit, tax and the price of output, with bands.

Spending, profit and tax are flows of the model like any other; the study names them in its table
``[money]``.
Each scenario is compared with the first one of the study, totals over years, draw by draw.  The
*price* of the target is additional spending over additional target, per unit gained; for a scenario
that lowers the target it is the spending saved per unit lost.  Nothing is discounted, and sales are
not profit: hence profit and tax are reported too.

Margins, tax rates and public costs are nowhere published as a whole.  Their sizes are a file of
distributions (``sizes`` of the table ``[money]``, written like a scenario); `with_sizes` draws
them with the parameters, so that every band includes their uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.engine.program import restrict
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import (
    by_place,
    chance_positive,
    chances,
    more_than,
    quantiles,
)
from beltcast.errors import InputError, ScenarioError
from beltcast.inference.sampling.posterior import Draws
from beltcast.model.model import Model
from beltcast.schema import MEMBER, QUANTILE, SCENARIO, YEAR, Progress
from beltcast.streams import Random, Streams
from beltcast.study.scenarios import Scenario, draw_sizes, extend, read_scenarios
from beltcast.study.study import Study

JUDGED = "[judgement]"
"""Mark, in the text of a variable, of a number without a source."""

MATERIAL = 1e-6
"""Change of the target, relative to its level, from which on a price is given."""

FLOW, PAID = "flow", "paid"


def price(
    study: Study,
    draws: Draws,
    *,
    years: tuple[int, int],
    target: str | None = None,
    spending: Sequence[str] | None = None,
    left: Sequence[str] | None = None,
    sizes: Scenario | None = None,
    rng: Random,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Compare costs and gains of scenarios with the first of the study.

    Parameters
    ----------
    study : Study
    draws : Draws
    years : (first, last)
        Both count.
    target : str, optional
        A flow, over places or over none; the study's own by default.
    spending, left : sequence of str, optional
        Flows over the same places: what is paid, and what else to compare, such as profit; those
        of the study's table ``[money]`` by default.
    sizes : Scenario, optional
        Sizes to draw with the parameters, as `read_sizes` returns them.
    rng : Streams, numpy.random.Generator or int
        Draws these, and uncertain sizes of scenarios.
    progress : Progress, optional

    Returns
    -------
    xarray.Dataset
        ``level`` (flow, place, quantile), totals of the years in the first scenario, in the unit
        of the coordinate ``unit`` (flow); ``change`` (flow, scenario, place, quantile) against
        them, and its ``chance_of_more`` (flow, scenario, place), the share of
        ``chance_of_more_draws`` draws.  ``direction`` (scenario, place) is 1 where most draws gain
        output and -1 where most lose; ``price`` (paid, scenario, place,
        quantile), what is paid for each unit of the target gained (lost), among the draws of that
        direction.

    Raises
    ------
    ScenarioError
        There is no scenario to compare with the first.
    InputError
        The years are not covered, or the model has no spending flow.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import price, read_study, sample_prior
    >>> study, rng = read_study(), np.random.default_rng(1)
    >>> draws = sample_prior(study, 8, rng=rng)
    >>> found = price(study, draws, years=(2026, 2035), rng=rng)
    >>> float(found["price"].sel(paid="lever spending", scenario="tilt-up").min()) > 0
    True
    """
    if len(study.scenarios) < 2:
        raise ScenarioError("a price needs a second scenario to compare with the first")
    output = study.model.find(target or study.target).name
    paid, others = _flows(study, spending, left)
    names = list(dict.fromkeys([output, *paid, *others]))
    streams = Streams.of(rng)
    runs = run_ensemble(
        study.model,
        study.scenarios,
        with_sizes(draws, sizes, rng=streams),
        outputs=names,
        rng=streams,
        progress=progress,
    )
    _check_years(runs, years)
    totals = {name: _total(runs[name], study.whole(output), years) for name in names}
    more = {
        name: more_than(total, total.isel({SCENARIO: 0}, drop=True))
        for name, total in totals.items()
    }
    prices, direction = _prices(more[output], totals[output], {name: more[name] for name in paid})
    paid_unit, per = (str(runs[name].attrs.get("units", "")) for name in (paid[0], output))
    change = xr.concat([more[name] for name in names], FLOW).assign_coords({FLOW: names})
    first = xr.concat([totals[n].isel({SCENARIO: 0}, drop=True) for n in names], FLOW)
    units = [str(runs[name].attrs.get("units", "")) for name in names]
    unit = {"units": units[0] if len(set(units)) == 1 else "see the coordinate unit"}
    return xr.Dataset(
        {
            "level": quantiles(first).assign_attrs(unit),
            "change": quantiles(change).assign_attrs(unit),
            **chances(chance_of_more=(chance_positive(change), change.notnull())),
            "direction": direction,
            "price": prices.assign_attrs({"units": f"{paid_unit}/{per}"}),
        },
        {"unit": (FLOW, units)},
        {
            **runs.attrs,
            **study.provenance(),
            "first_year": years[0],
            "last_year": years[1],
            "target": output,
            "left": ", ".join(others),
            "baseline": next(iter(study.scenarios)),
            "whole": study.whole(output),
            "draws": len(draws),
            "draws_kind": draws.kind,
            "judged": ", ".join(judged(study.model, names, target=output)),
            "drawn": ", ".join(sizes.uncertain if sizes else ()),
        },
    )


def read_sizes(study: Study, path: str | Path | None = None) -> Scenario | None:
    """Read the uncertain sizes of a study's money.

    Parameters
    ----------
    study : Study
    path : str or Path, optional
        A file of scenarios, which are all applied together; ``sizes`` of the study's table
        ``[money]`` by default.

    Raises
    ------
    ScenarioError
        As of `beltcast.read_scenarios`.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.drivers.price.price import read_sizes
    >>> "Income Tax Rate" in read_sizes(read_study()).uncertain
    True
    """
    path = path or study.roles.sizes
    if path is None:
        return None
    together = Scenario("money", "Sizes of money")
    for one in read_scenarios(path, study.model).values():
        together = replace(extend(together, one), name="money")
    return together


def with_sizes(
    draws: Draws, sizes: Scenario | None, *, rng: Random
) -> tuple[tuple[str, ...], FloatArray]:
    """Add drawn sizes to the drawn parameters, the same for a member in all scenarios.

    Parameters
    ----------
    draws : Draws
    sizes : Scenario or None
        Its constants, the uncertain ones drawn; None leaves the draws as they are.
    rng : Streams, numpy.random.Generator or int

    Returns
    -------
    labels : (n,)
    values : (N, n)
    """
    labels, values = draws.labels, draws.values
    if sizes is None:
        return labels, values
    columns = {label: np.full(len(draws), value) for label, value in sizes.constants.items()}
    columns |= draw_sizes(sizes, len(draws), rng=rng)
    if drawn := sorted(set(columns) & set(labels)):
        raise InputError(f"'{drawn[0]}' has a prior and a size as well; leave out the size")
    return (*labels, *columns), np.column_stack([values, *columns.values()])


def judged(model: Model, flows: Sequence[str], *, target: str) -> list[str]:
    """Name the constants without a source on which flows depend but the target does not.

    Returns
    -------
    list of str
        Constants whose text in the model file says ``[judgement]``, in the order of the file.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.drivers.price.price import judged
    >>> judged(read_study().model, ["public spending"], target="output")
    ['Support Cost Share', 'Deepening Cost Share']
    """
    own = _behind(model, flows) - _behind(model, [target])
    constants = [v for v in model.variables.values() if v.kind == "constant" and JUDGED in v.doc]
    return [v.name for v in constants if own.intersection(model.rows(v.name).tolist())]


def _behind(model: Model, names: Sequence[str]) -> set[int]:
    """Rows of the program that variables depend on."""
    rows = {row for name in names for row in model.rows(name).tolist()}
    stages = restrict(model.program, rows).stages
    return set().union(*(block.reads() for stage in stages for block in stage))


def _flows(
    study: Study, spending: Sequence[str] | None, left: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Names of the spending flows and of the others, as the model writes them."""
    paid = study.roles.spending if spending is None else spending
    others = study.roles.left if left is None else left
    if not paid:
        raise InputError(
            f"the study names no spending flow, so {study.target} has no price; add "
            'spending = ["..."] to its table [money], or name a flow with --cost'
        )
    find = study.model.find
    return [find(name).name for name in paid], [find(name).name for name in others]


def _check_years(runs: xr.Dataset, years: tuple[int, int]) -> None:
    first, last = years
    known = runs[YEAR].values
    if not known[0] <= first <= last <= known[-1]:
        raise InputError(
            f"years {first} to {last} were requested; the run has {known[0]} to {known[-1]}"
        )


def _total(own: xr.DataArray, whole: str, years: tuple[int, int]) -> xr.DataArray:
    """Total of the years, (scenario, member, place)."""
    return by_place(own, whole).sel({YEAR: slice(*years)}).sum(YEAR, skipna=False)


def _prices(
    gain: xr.DataArray, level: xr.DataArray, costs: dict[str, xr.DataArray]
) -> tuple[xr.DataArray, xr.DataArray]:
    """Quantiles of cost over gain among the draws of the usual direction; NaN if none changes.

    A gain below `MATERIAL` of the level does not count: a ratio over nearly zero is not a price.
    """
    gain = gain.where((abs(gain) > MATERIAL * abs(level)) | gain.isnull(), 0.0)
    middle = quantiles(gain, (0.5,)).isel({QUANTILE: 0}, drop=True)
    direction = middle.copy(data=np.sign(middle.values))
    counted = (gain * direction > 0).where(gain.notnull(), False)
    some = counted.any(MEMBER)
    prices = [
        quantiles((cost / gain.where(counted)).where(some, 0.0)).where(some)
        for cost in costs.values()
    ]
    price = xr.concat(prices, PAID).assign_coords({PAID: list(costs)})
    return (
        price,
        direction.assign_attrs({"units": "1", "long_name": "1 most draws gain, -1 most lose"}),
    )
