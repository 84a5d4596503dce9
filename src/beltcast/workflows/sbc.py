"""Simulation-based calibration of a study, in a file that always holds the finished sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from beltcast.errors import InputError
from beltcast.files.netcdf import read_netcdf, write_netcdf
from beltcast.inference.assemble import make_likelihood
from beltcast.inference.audit.sbc import Asked, sbc
from beltcast.schema import Progress
from beltcast.streams import Random, Streams
from beltcast.study.study import Study


@dataclass(frozen=True)
class SbcOptions:
    """Extent of `sbc_study`.

    Attributes
    ----------
    sets : int
        Synthetic data sets.
    parameters : tuple of str
        Labels; all if there are none.
    burn_in : int, optional
        As for `beltcast.sbc`.
    year : int, optional
        Of the answers that are ranked too; that of the study by default.
    """

    sets: int = 200
    parameters: tuple[str, ...] = ()
    burn_in: int | None = None
    year: int | None = None


def sbc_study(
    study: Study,
    options: SbcOptions | None = None,
    *,
    rng: Random,
    file: Path,
    resume: bool = False,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Check the inference of a study, and keep each finished set in a file.

    Parameters
    ----------
    study : Study
    options : SbcOptions, optional
    rng : Streams, numpy.random.Generator or int
    file : Path
        NetCDF.
    resume : bool
        Continue after the finished sets in the file.
    progress : Progress, optional

    Raises
    ------
    InputError
        There are no finished sets to resume.

    Examples
    --------
    >>> from pathlib import Path
    >>> from beltcast import read_study
    >>> from beltcast.workflows.sbc import SbcOptions, sbc_study
    >>> few = SbcOptions(sets=20, parameters=("Traffic Elasticity",))
    >>> sbc_study(read_study(), few, rng=1, file=Path("sbc.nc"))  # doctest: +SKIP
    """
    options, streams = options or SbcOptions(), Streams.of(rng)
    asked = None
    if study.target:
        asked = Asked.by_place(study, study.years.answer if options.year is None else options.year)
    chosen = options.parameters
    priors = study.priors.subset(chosen) if chosen else study.priors
    done = None
    if resume:
        try:
            done = read_netcdf(file)
        except InputError:
            raise InputError(
                f"there are no finished sets in '{file}'; start again without --resume"
            ) from None
    known = {"seed": str(streams.seed), **study.provenance()}

    def keep(result: xr.Dataset) -> None:
        write_netcdf(file, {"/": result.assign_attrs(known)})

    result = sbc(
        make_likelihood(study.model, priors, study.observations, study.noise),
        sets=options.sets,
        rng=streams,
        burn_in=options.burn_in,
        asked=asked,
        done=done,
        keep=keep,
        progress=progress,
    )
    keep(result)
    return result
