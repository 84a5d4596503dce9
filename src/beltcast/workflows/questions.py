"""Questions about the scenarios of a study, from its fit to tables and charts.

`compare_study`, `discover_study` and `price_study` draw from the posterior or the priors of a study
and ask `beltcast.compare`, `beltcast.discover` and `beltcast.price`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Group, RenderableType

from beltcast.drivers.compare import LOSS, compare, comparison_table, difference_table
from beltcast.drivers.discovery.discover import Crossing, discover
from beltcast.drivers.discovery.page import peeling_chart, summarise_discovery
from beltcast.drivers.price.page import summarise_prices
from beltcast.drivers.price.plot import price_chart
from beltcast.drivers.price.price import price, read_sizes
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.schema import Progress
from beltcast.streams import Random, Streams
from beltcast.study.study import Study
from beltcast.workflows.draws import FitOptions, draw_study


@dataclass(frozen=True, eq=False)
class Answer:
    """Answer to a question about a study.

    Attributes
    ----------
    result : xarray.Dataset
    page : RenderableType
        Summary for a `rich` console.
    charts : mapping of str to Axes or Figure
        By the name of their file.
    """

    result: xr.Dataset
    page: RenderableType
    charts: Mapping[str, Axes | Figure] = field(default_factory=dict)


def compare_study(
    study: Study,
    fit: FitOptions | None = None,
    *,
    loss: float = LOSS,
    rng: Random,
    progress: Progress | None = None,
) -> Answer:
    """Draw from a study and compare its scenarios with the first, as `beltcast.compare`.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.workflows.draws import FitOptions
    >>> from beltcast.workflows.questions import compare_study
    >>> prior = FitOptions(draws=8, prior=True)
    >>> compare_study(read_study(), prior, rng=1).result.attrs["loss"]
    0.1
    """
    streams = Streams.of(rng)
    draws = draw_study(study, fit, rng=streams, progress=progress)
    result = compare(study, draws, rng=streams, loss=loss).assign_attrs(seed=str(streams.seed))
    return Answer(result, Group(difference_table(result), comparison_table(result)))


def discover_study(
    study: Study,
    crossing: Crossing,
    fit: FitOptions | None = None,
    *,
    rng: Random,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> Answer:
    """Draw from a study and find the inputs that lead across a limit, as `beltcast.discover`.

    Examples
    --------
    >>> from beltcast import Crossing, read_study
    >>> from beltcast.workflows.draws import FitOptions
    >>> from beltcast.workflows.questions import discover_study
    >>> prior = FitOptions(draws=200, prior=True)
    >>> found = discover_study(read_study(), Crossing(2030, below=3000.0), prior, rng=1)
    >>> found.result.attrs["cases"], list(found.charts)
    (200, ['peeling'])
    """
    streams = Streams.of(rng)
    draws = draw_study(study, fit, rng=streams, pieces=pieces, progress=progress)
    found = discover(study, draws, crossing, rng=streams, pieces=pieces.of("runs"))
    result = found.assign_attrs(seed=str(streams.seed))
    return Answer(result, summarise_discovery(result), {"peeling": peeling_chart(result)})


def price_study(
    study: Study,
    fit: FitOptions | None = None,
    *,
    years: tuple[int, int] | None = None,
    spending: Sequence[str] | None = None,
    sizes: Path | None = None,
    rng: Random,
    progress: Progress | None = None,
) -> Answer:
    """Draw from a study and price its target, as `beltcast.price`.

    The years are the study's years ahead by default, and so are the uncertain sizes (a path here).

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.workflows.draws import FitOptions
    >>> from beltcast.workflows.questions import price_study
    >>> prior = FitOptions(draws=8, prior=True)
    >>> price_study(read_study(), prior, rng=1).result.attrs["last_year"]
    2035
    """
    unsure, streams = read_sizes(study, sizes), Streams.of(rng)
    result = price(
        study,
        draw_study(study, fit, rng=streams, progress=progress),
        years=years or study.years.ahead,
        spending=spending,
        sizes=unsure,
        rng=streams,
        progress=progress,
    ).assign_attrs(seed=str(streams.seed))
    return Answer(result, summarise_prices(result), {"price": price_chart(result)})
