"""The reported answers, draw by draw, as one array on which all questions are asked.

Outputs by place and year, their change under each other scenario, and the contribution of each
driver, all as logs, so that large and small places are comparable.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from beltcast.drivers.attribution.attribute import DRIVER, attribute
from beltcast.engine.nodes import FloatArray
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import by_place
from beltcast.errors import InputError
from beltcast.inference.audit.contraction import ANSWER, OF, QUANTITY
from beltcast.inference.sampling.posterior import Draws
from beltcast.schema import MEMBER, PLACE, SCENARIO, YEAR
from beltcast.streams import Random, Streams
from beltcast.study.study import Study


def shown(study: Study, draws: Draws, *, years: Sequence[int], rng: Random) -> xr.DataArray:
    """Compute the answers that forecast and attribution show, for each draw.

    Parameters
    ----------
    study : Study
    draws : Draws
        Of the posterior, or of the prior.
    years : sequence of int
    rng : Streams, numpy.random.Generator or int
        For scenarios whose size is uncertain; the same numbers serve every scenario.

    Returns
    -------
    (member, answer)  [log]
        Along ``answer`` also ``quantity`` ('output', 'change' or 'driver'), ``of`` (the scenario
        or the driver), ``place`` and ``year``.  A change is the log of the ratio to the first
        scenario, a driver's part its Shapley value of the log of output.  NaN for a member that
        produced NaN or infinity.

    Raises
    ------
    InputError
        The model does not cover a year, or the target is not a flow per year.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.drivers.answers import shown
    >>> from beltcast.inference.sampling.draws_file import open_fit
    >>> study, kept = open_fit()
    >>> answers = shown(study, kept.first(4), years=[2030], rng=np.random.default_rng(1))
    >>> answers.sel(answer="output, China 2030").shape
    (4,)
    """
    streams = Streams.of(rng)
    runs = {name: _logs(study, draws, name, list(years), streams) for name in study.scenarios}
    first, *others = runs
    parts = [_named(runs[first], "output", first, head=study.target)]
    parts += [_named(runs[name] - runs[first], "change", name) for name in others]
    if study.roles.switches:
        shares = attribute(study, draws)["shapley_log"]
        shares = shares.sel({YEAR: list(years)}).astype(np.float64)
        names = [str(name) for name in shares[DRIVER].values]
        parts += [_named(shares.sel({DRIVER: name}, drop=True), "driver", name) for name in names]
    return xr.concat(parts, ANSWER).transpose(MEMBER, ANSWER)


def _logs(
    study: Study, draws: Draws, name: str, years: list[int], streams: Streams
) -> xr.DataArray:
    run = run_ensemble(
        study.model,
        {name: study.scenarios[name]},
        (draws.labels, draws.values),
        outputs=[study.target],
        rng=streams,
    )[study.target].isel({SCENARIO: 0}, drop=True)
    if YEAR not in run.dims:
        raise InputError(f"'{study.target}' is not a flow per year; take one as the target")
    missing = [year for year in years if year not in run[YEAR].values]
    if missing:
        ends = f"{int(run[YEAR].values[0])} to {int(run[YEAR].values[-1])}"
        raise InputError(f"the model has no year {missing[0]}; expected one of {ends}")
    chosen = by_place(run, study.whole(study.target)).sel({YEAR: years})
    values: FloatArray = chosen.values.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(values)
    return chosen.copy(data=np.where(np.isfinite(logs), logs, np.nan))


def _named(
    values: xr.DataArray, quantity: str, of: str, *, head: str | None = None
) -> xr.DataArray:
    """Stack (member, place, year) into one axis of answers with their names."""
    values = values.transpose(MEMBER, PLACE, YEAR)
    pairs = [(str(p), int(y)) for p in values[PLACE].values for y in values[YEAR].values]
    head = head or f"{quantity} {of}"
    return xr.DataArray(
        values.values.reshape(values.sizes[MEMBER], -1),
        dims=(MEMBER, ANSWER),
        coords={
            ANSWER: [f"{head}, {place} {year}" for place, year in pairs],
            QUANTITY: (ANSWER, [quantity] * len(pairs)),
            OF: (ANSWER, [of] * len(pairs)),
            PLACE: (ANSWER, [place for place, _ in pairs]),
            YEAR: (ANSWER, [year for _, year in pairs]),
        },
    )
