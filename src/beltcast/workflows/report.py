"""Reports on every place, from kept draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import xarray as xr

from beltcast.drivers.attribution.attribute import attribute
from beltcast.errors import InputError, did_you_mean, quoted
from beltcast.files.text import slug
from beltcast.inference.sampling.draws_file import KeptFit
from beltcast.inference.sampling.posterior import sample_prior
from beltcast.reports.place_report import Evidence, index_page, place_report
from beltcast.schema import Language, Progress, no_progress
from beltcast.streams import Random, Streams
from beltcast.study.study import Study


@dataclass(frozen=True)
class Report:
    """One page of HTML.

    Attributes
    ----------
    file : str
        Name for its file.
    title : str
    html : str
    place : str
        Empty for the index.
    """

    file: str
    title: str
    html: str
    place: str = ""


def report(
    study: Study,
    kept: KeptFit,
    forecast: xr.Dataset,
    *,
    rng: Random,
    place: str = "all",
    year: int | None = None,
    language: Language = "en",
    progress: Progress | None = None,
) -> tuple[Report, ...]:
    """Write a report of one place, or of all with an index.

    Parameters
    ----------
    study : Study
    kept : KeptFit
    forecast : xarray.Dataset
        As `beltcast.forecasting.forecast_file.open_forecast` returns them. The numbers of the
        report are those of the forecast; the kept draws only serve to divide them among the
        drivers.
    rng : Streams, numpy.random.Generator or int
    place : str
        A place, or 'all'.
    year : int, optional
        Year of the drivers' shares.
    language : 'en' or 'zh'
    progress : Progress, optional

    Returns
    -------
    tuple of Report
        For several places the last one is their index.

    Raises
    ------
    InputError
        The place does not exist.

    Examples
    --------
    >>> from beltcast import report
    >>> from beltcast.forecasting.forecast_file import open_forecast
    >>> study, kept, forecast = open_forecast()
    >>> [one.place for one in report(study, kept, forecast, place="Foshan", rng=1)]
    ['Foshan']
    """
    places = check_places(study, place)
    tell = progress or no_progress
    streams = Streams.of(rng)
    posterior = kept.posterior
    shares = None
    if study.roles.switches:
        prior = sample_prior(posterior.likelihood, len(posterior), rng=streams.prior)
        shares = attribute(study, posterior, prior=prior, progress=progress)
    evidence = Evidence(study, forecast, shares, kept.estimates())
    files = file_names(places)
    pages = []
    for number, (name, file) in enumerate(files):
        html = place_report(evidence, name, year=year, language=language)
        pages.append(Report(file, study.title_of(name, language), html, name))
        tell("reports", number + 1, len(files))
    if len(files) > 1:
        index = index_page(evidence, files, language=language)
        pages.append(Report("index.html", study.title, index))
    return tuple(pages)


def check_places(study: Study, place: str) -> list[str]:
    """Return the places to report on: the requested one, or all.

    Raises
    ------
    InputError
        The place does not exist.
    """
    places = study.shown()
    if place not in ("all", *places):
        raise InputError(f"there is no place {quoted(place)}{did_you_mean(place, places)}")
    return places if place == "all" else [place]


def file_names(places: Sequence[str]) -> list[tuple[str, str]]:
    """Pair each place with a unique file name, even if names differ only in punctuation."""
    files: dict[str, str] = {}
    for place in places:
        name, number = slug(place), 1
        while f"{name}.html" in files.values():
            number += 1
            name = f"{slug(place)}-{number}"
        files[place] = f"{name}.html"
    return list(files.items())
