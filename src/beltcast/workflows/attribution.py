"""Fit a study, attribute its output to the drivers, and test whether these reinforce each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import xarray as xr
from rich.console import Group, RenderableType

from beltcast.drivers.attribution.attribute import attribute, driver_names
from beltcast.drivers.attribution.null_models import (
    against_null,
    held_out,
    null_words,
    placebo,
    placebo_words,
    true_dates,
)
from beltcast.drivers.attribution.page import summarise_attribution
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.inference.sampling.posterior import sample_prior
from beltcast.schema import Language, Progress
from beltcast.streams import Random, Streams
from beltcast.study.study import Study
from beltcast.workflows.draws import FitOptions, draw_study, draw_without_contrasts, fit_study


@dataclass(frozen=True)
class AttributeOptions:
    """How to attribute.

    Attributes
    ----------
    fit : FitOptions
    since : int, optional
        Base year of growth; the first of the study's past years by default.
    null : bool
        Also fit the null model without interaction.
    placebo : (str, str), optional
        Also fit with false dates: a constant that holds dates, and the parameter whose estimate is
        followed.
    held_out : float, optional  [Year]
        The null model is scored on what was published after this date; two and a half years before
        the end of the study's last past year by default.
    """

    fit: FitOptions = field(default_factory=FitOptions)
    since: int | None = None
    null: bool = False
    placebo: tuple[str, str] | None = None
    held_out: float | None = None


@dataclass(frozen=True, eq=False)
class Attributed:
    """Contributions of the drivers.

    Attributes
    ----------
    result : xarray.Dataset
        As `beltcast.attribute` returns it.
    tests : mapping of str to xarray.Dataset
        ``null`` and ``placebo``, or empty.
    """

    result: xr.Dataset
    tests: Mapping[str, xr.Dataset]

    @property
    def datasets(self) -> dict[str, xr.Dataset]:
        """The attribution and its tests, by the name of their file."""
        return {"attribution": self.result, **self.tests}

    def page(self, year: int, language: Language = "en") -> RenderableType:
        """Return the summary of a year, for a `rich` console."""
        told = {"null": null_words, "placebo": placebo_words}
        words = (f"\n{told[name](found)}" for name, found in self.tests.items())
        return Group(summarise_attribution(self.result, year=year, language=language), *words)


def attribute_study(
    study: Study,
    options: AttributeOptions | None = None,
    *,
    rng: Random,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> Attributed:
    """Fit a study, draw from it and from its priors, and attribute its output to the drivers.

    Parameters
    ----------
    study : Study
    options : AttributeOptions, optional
    rng : Streams, numpy.random.Generator or int
    pieces : Pieces, optional
        Keeps finished work, so that a stopped run can resume.
    progress : Progress, optional

    Raises
    ------
    InputError
        The study names no drivers, or the date of the tests leaves nothing to hold out.

    Examples
    --------
    >>> from pathlib import Path
    >>> from beltcast import read_study
    >>> from beltcast.study.starter import init
    >>> from beltcast.workflows.attribution import AttributeOptions, attribute_study
    >>> from beltcast.workflows.draws import FitOptions
    >>> _ = init(Path("mine"), belts=["Foshan"])
    >>> options = AttributeOptions(FitOptions(draws=8, starts=4))
    >>> found = attribute_study(read_study("mine"), options, rng=1)
    >>> found.result.sizes["driver"], dict(found.tests)
    (3, {})
    """
    options = options or AttributeOptions()
    streams, fitting = Streams.of(rng), options.fit
    first, last = study.years.past
    published_by = last - 2.5 if options.held_out is None else options.held_out
    # What the study lacks is said before the fit, which takes a minute.
    driver_names(study, study.roles.switches)
    if options.null:
        held_out(study, published_by)
    if options.placebo is not None:
        true_dates(study, *options.placebo)
    fit = fit_study(study, fitting, rng=streams.fit, pieces=pieces.of("fit"), progress=progress)
    result = attribute(
        study,
        draw_study(study, fitting, fit=fit, rng=streams, pieces=pieces, progress=progress),
        prior=sample_prior(study, fitting.draws, rng=streams.prior),
        data=draw_without_contrasts(
            fit, fitting.draws, rng=streams, pieces=pieces, progress=progress
        ),
        since=first if options.since is None else options.since,
        pieces=pieces,
        progress=progress,
    ).assign_attrs(seed=str(streams.seed))
    tests = {}
    if options.null:
        tests["null"] = against_null(
            study,
            rng=streams.under("null model"),
            published_by=published_by,
            pieces=pieces,
            progress=progress,
        )
    if options.placebo is not None:
        own = streams.under("placebo")
        tests["placebo"] = placebo(
            study, *options.placebo, rng=own, pieces=pieces, progress=progress
        )
    return Attributed(result, tests)
