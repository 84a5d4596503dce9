"""Thinned draws of a fit on disk, enough to answer questions without fitting again.

A file holds some draws of the posterior, the optimum and Laplace's standard deviations around it,
all on working scales, with the hash of every file that they depend on.  It is read for one study
and refused if that study's model, observations, priors or noise are no longer those of the fit:
draws of one model do not apply to another.  Scenarios are not part of it; they may change freely.

``calibration/results/draws.nc`` belongs to the shipped study; ``beltcast forecast`` writes such a
file beside its other results.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.errors import BOOKS, InputError
from beltcast.files.netcdf import check_variables, read_netcdf, write_netcdf
from beltcast.files.shipped import shipped
from beltcast.inference.assemble import make_likelihood
from beltcast.inference.calibrate import Calibration, estimates_table
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.posterior import Draws
from beltcast.schema import MEMBER, PARAMETER
from beltcast.study.study import STUDY_FILE, Study, read_study, study_name

DRAWS_FILE = "draws.nc"
"""Name of the file in a folder of results."""

KEPT = 200
"""Number of kept draws: either end of a normal 80% band is then known to 0.12 standard deviations,
``sqrt(0.1 * 0.9 / 200) / phi(1.28)``."""

DEPENDS_ON = {
    "model": "the model",
    "inputs": "an input table beside the model",
    "observations": "the observations",
    "places": "the places",
    "priors": "the priors",
    "noise": "the noise in the study file",
    "contrasts": "the contrasts",
}
"""The hashes of a study that draws depend on, in words; a study without contrasts has none of
these."""


@dataclass(frozen=True, eq=False)
class KeptFit:
    """The kept part of a fit.

    Attributes
    ----------
    posterior : Draws
    optimum : (size,)
        The most probable unknowns, parameters then nuisances, on working scales.
    sds : (size,)
        Laplace's standard deviations there.
    """

    posterior: Draws
    optimum: FloatArray
    sds: FloatArray

    def first(self, count: int) -> Draws:
        """Take the first draws; they are independent chains, so that any part is a sample."""
        return replace(self.posterior, theta=self.posterior.theta[:count])

    def estimates(self) -> pd.DataFrame:
        """Every estimate beside its prior, as `Calibration.table` gives it."""
        priors = self.posterior.likelihood.priors
        n = len(priors)
        return estimates_table(priors, self.optimum[:n], np.diag(self.sds[:n] ** 2))


def kept_fit(calibration: Calibration, posterior: Draws, *, draws: int = KEPT) -> KeptFit:
    """Thin a fit to the part to keep.

    Parameters
    ----------
    calibration : Calibration
    posterior : Draws
    draws : int
        At most; they are taken at equal distances.
    """
    chosen = np.unique(np.linspace(0, len(posterior) - 1, min(draws, len(posterior))).astype(int))
    sds = np.sqrt(np.diag(calibration.covariance))
    thinned = replace(posterior, theta=posterior.theta[chosen], walkers=0)
    return KeptFit(thinned, calibration.theta, sds)


def save_draws(
    kept: KeptFit, study: Study, path: str | Path, *, provenance: Mapping[str, str] | None = None
) -> None:
    """Write the kept part of a fit, in single precision, with the hashes of the study's files.

    Parameters
    ----------
    kept : KeptFit
    study : Study
    path : str or Path
        NetCDF; it appears under this name only when it is complete.
    provenance : mapping, optional
        Attributes to add.
    """
    data = xr.Dataset(
        {
            "theta": ((MEMBER, PARAMETER), kept.posterior.theta.astype(np.float32)),
            "optimum": (PARAMETER, kept.optimum),
            "sd": (PARAMETER, kept.sds),
        },
        {PARAMETER: list(kept.posterior.likelihood.labels)},
        {
            "title": study.title,
            "kind": kept.posterior.kind,
            "acceptance": kept.posterior.acceptance,
            "start_correlation": kept.posterior.start_correlation,
            **{
                f"{name}_sha256": digest
                for name, digest in study.hashes.items()
                if name in DEPENDS_ON
            },
            **(provenance or {}),
        },
    )
    data["theta"].attrs = {"long_name": "draws of all unknowns on working scales", "units": "1"}
    data["optimum"].attrs = {"long_name": "most probable unknowns", "units": "1"}
    data["sd"].attrs = {"long_name": "Laplace's standard deviations", "units": "1"}
    packed = {"theta": {"zlib": True, "complevel": 9, "shuffle": True}}
    write_netcdf(path, {"/": data}, packed)


def load_draws(path: str | Path, study: Study, likelihood: Likelihood | None = None) -> KeptFit:
    """Read the kept part of a fit, for the study that it was made from.

    Parameters
    ----------
    path : str or Path
    study : Study
    likelihood : Likelihood, optional
        That of the study, if available.

    Raises
    ------
    InputError
        The file does not exist, is of another kind, or the study has changed since.

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.inference.sampling.draws_file import load_draws
    >>> from beltcast.files.shipped import shipped
    >>> kept = load_draws(shipped("calibration/results/draws.nc"), read_study())
    >>> len(kept.posterior)
    200
    """
    path = Path(path)
    data = _read(path)
    refuse_other_study(data, study, path, renew="beltcast forecast")
    likelihood = likelihood or make_likelihood(
        study.model, study.priors, study.observations, study.noise
    )
    if tuple(data[PARAMETER].values) != likelihood.labels:
        raise InputError(
            "these draws have other unknowns than the study; remake them with beltcast forecast",
            path,
        )
    posterior = Draws(
        likelihood,
        data["theta"].values.astype(np.float64),
        str(data.attrs["kind"]),
        float(data.attrs["acceptance"]),
        float(data.attrs["start_correlation"]),
    )
    return KeptFit(posterior, data["optimum"].values, data["sd"].values)


def refuse_other_study(data: xr.Dataset, study: Study, path: Path, *, renew: str) -> None:
    """Refuse draws whose study has changed since they were made.

    Raises
    ------
    InputError
        Names what has changed, and the command that makes them again.
    """
    changed = [
        words
        for name, words in DEPENDS_ON.items()
        if data.attrs.get(f"{name}_sha256") != study.hashes.get(name)
    ]
    if changed:
        raise InputError(
            f"these draws are of another study: {', '.join(changed)} changed since; remake them "
            f"with {renew}",
            path,
        )


def shipped_draws(study: Study, likelihood: Likelihood | None = None) -> KeptFit:
    """Read the draws that ship with the package, for the shipped study or one with the same files.

    Raises
    ------
    InputError
        The study has other files than the shipped one.
    """
    return load_draws(shipped(f"calibration/results/{DRAWS_FILE}"), study, likelihood)


def open_fit(given: str | Path | None = None) -> tuple[Study, KeptFit]:
    """Open the shipped fit, a folder that ``beltcast forecast`` wrote, or the fit of a study.

    Parameters
    ----------
    given : str or Path, optional
        A folder of results, or a study (.toml, or its folder) whose results lie in ``runs/NAME``.

    Returns
    -------
    study : Study
    kept : KeptFit

    Raises
    ------
    InputError
        There are no draws, or they belong to another study than the files state.

    Examples
    --------
    >>> from beltcast.inference.sampling.draws_file import open_fit
    >>> study, kept = open_fit()
    >>> study.model.name, len(kept.posterior)
    ('belt', 200)
    """
    if given is None:
        study = read_study()
        return study, shipped_draws(study)
    path = Path(given)
    draws = results_folder(path) / DRAWS_FILE
    if path.suffix.lower() in (".toml", *BOOKS) or (path / STUDY_FILE).is_file():
        study = read_study(path)
        if not draws.is_file():
            raise InputError(
                f"there are no results of this study in {draws.parent}; make them with "
                f"beltcast forecast {path}, or name their folder",
                path,
            )
        return study, load_draws(draws, study)
    if not path.is_dir():
        raise InputError(f"'{path}' is neither a folder of results nor a study (.toml)")
    study = read_study(_study_of(path, str(_read(draws).attrs.get("study_path", ""))))
    return study, load_draws(draws, study)


def results_folder(given: str | Path) -> Path:
    """Return the folder of the results of a study, or the given folder of results.

    Examples
    --------
    >>> results_folder("mine.toml").as_posix(), results_folder("runs/mine").as_posix()
    ('runs/mine', 'runs/mine')
    """
    path = Path(given)
    if path.suffix.lower() in (".toml", *BOOKS) or (path / STUDY_FILE).is_file():
        return Path("runs") / study_name(path)
    return path


def study_link(study: str | Path | None, folder: str | Path) -> str:
    """Return the path of the study of some results from their folder; empty for the shipped one.

    Study and results may then be opened from anywhere, and moved together.

    Examples
    --------
    >>> study_link("mine/study.toml", "runs/mine")
    '../../mine/study.toml'
    """
    if study is None:
        return ""
    try:
        return Path(os.path.relpath(study, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return Path(study).resolve().as_posix()


def _study_of(folder: Path, link: str) -> Path | None:
    """Find the study that the results in a folder were made from; None for the shipped one."""
    if not link:
        return None
    # Results of earlier versions give the path from where the command was run.
    for place in (folder / link, Path(link)):
        if place.exists():
            return place
    raise InputError(
        f"these results are of the study '{link}' (seen from their folder), which is not there; "
        "move it back, or run beltcast forecast on the study where it is now",
        folder,
    )


def _read(path: Path) -> xr.Dataset:
    give = f"beltcast forecast leaves {DRAWS_FILE} in its folder"
    data = read_netcdf(path, what="draws", give=give)
    data = data.rename({"spread": "sd"} if "spread" in data else {})  # until version 0.2
    if not {"theta", "optimum", "sd"} <= set(data.data_vars):
        raise InputError(
            f"there are no draws in this file; beltcast forecast leaves a file {DRAWS_FILE}", path
        )
    dims = {"theta": (MEMBER, PARAMETER), "optimum": (PARAMETER,), "sd": (PARAMETER,)}
    check_variables(data, dims, path, give)
    if PARAMETER not in data.coords or not len(data["theta"]):
        raise InputError(
            f"there is no draw in this file, or no label of its unknowns; {give}", path
        )
    try:
        str(data.attrs["kind"]), float(data.attrs["acceptance"])
        float(data.attrs["start_correlation"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"the draws do not state how they were made; {give}", path) from None
    return data
