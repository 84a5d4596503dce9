"""Fit a study and draw from it: the two steps before every question about its future."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from beltcast.errors import InputError
from beltcast.files.resume import NOT_KEPT, Pieces, of_the_package
from beltcast.inference.assemble import likelihood_of
from beltcast.inference.calibrate import Calibration, calibrate, calibrate_from
from beltcast.inference.sampling.posterior import Draws, approximate_posterior, sample_prior
from beltcast.inference.saved import CALIBRATION_FILE, load_calibration
from beltcast.schema import Progress
from beltcast.streams import Random, Streams
from beltcast.study.study import Study

DRAWN_FILE = "drawn.npz"
"""All draws of a forecast, in its folder of results, for the next run of the same."""


@dataclass(frozen=True)
class FitOptions:
    """How to fit a study and to draw from the fit.

    Attributes
    ----------
    draws : int
        Draws of the posterior, or of the priors.
    starts : int
        Starts of the calibration.
    prior : bool
        Draw from the priors alone, without a fit.
    calibration : Path, optional
        Results of ``beltcast calibrate`` to read instead of a new fit.
    study : Path, optional
        Path of the study, for the command that an error suggests.
    """

    draws: int = 1000
    starts: int = 64
    prior: bool = False
    calibration: Path | None = None
    study: Path | None = None


def fit_study(
    study: Study,
    options: FitOptions | None = None,
    *,
    rng: np.random.Generator,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> Calibration:
    """Calibrate a study, or read the calibration that the options name.

    Parameters
    ----------
    study : Study
    options : FitOptions, optional
    rng : numpy.random.Generator
    pieces : Pieces, optional
        Keeps finished refinements, so that a stopped run can resume.
    progress : Progress, optional

    Raises
    ------
    InputError
        The saved calibration does not exist or belongs to other files.
    CalibrationError
        No start could be simulated.
    """
    options = options or FitOptions()
    likelihood = likelihood_of(study)
    saved = options.calibration
    if saved is None:
        starts = options.starts
        return calibrate(likelihood, rng=rng, starts=starts, pieces=pieces, progress=progress)
    folder = saved.parent if saved.name == CALIBRATION_FILE else saved
    named = "" if options.study is None else f" {options.study}"
    renew = f"beltcast calibrate{named} --output {folder}"
    return load_calibration(saved, likelihood, study.hashes, renew=renew)


def draw_study(
    study: Study,
    options: FitOptions | None = None,
    *,
    fit: Calibration | None = None,
    rng: Random,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> Draws:
    """Draw from the posterior of a study, or from its priors.

    Parameters
    ----------
    study : Study
    options : FitOptions, optional
    fit : Calibration, optional
        By default `fit_study` makes it.
    rng : Streams, numpy.random.Generator or int
        Its streams ``fit`` and ``posterior`` are used.
    pieces : Pieces, optional
        Keeps refinements and draws, so that a stopped run can resume.
    progress : Progress, optional

    Examples
    --------
    >>> from beltcast import read_study
    >>> from beltcast.workflows.draws import FitOptions, draw_study
    >>> prior = FitOptions(draws=8, prior=True)
    >>> len(draw_study(read_study(), prior, rng=1))
    8
    """
    options, streams = options or FitOptions(), Streams.of(rng)
    if options.prior:
        return sample_prior(study, options.draws, rng=streams.posterior)
    if fit is None:
        fit = fit_study(study, options, rng=streams.fit, pieces=pieces.of("fit"), progress=progress)
    return approximate_posterior(
        fit, options.draws, rng=streams.posterior, pieces=pieces, progress=progress
    )


def drawn_before(
    folder: Path, study: Study, options: FitOptions, seed: int
) -> tuple[Calibration, Draws] | None:
    """Take the fit and the draws of an earlier run, if nothing has changed since.

    Parameters
    ----------
    folder : Path
        Results of the earlier run.
    study : Study
    options : FitOptions
    seed : int

    Returns
    -------
    tuple of (Calibration, Draws), or None
        None unless the files of the study, the options, the seed and the package are the same.

    Examples
    --------
    >>> from pathlib import Path
    >>> from beltcast import read_study
    >>> from beltcast.workflows.draws import FitOptions, drawn_before
    >>> drawn_before(Path("nowhere"), read_study(), FitOptions(), seed=1) is None
    True
    """
    try:
        with (folder / DRAWN_FILE).open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["key"]) != _drawn_key(study, options, seed):
                return None
            arrays = {name: kept[name] for name in ("theta", "kind", "numbers")}
        likelihood = likelihood_of(study)
        fit = load_calibration(folder, likelihood, study.hashes, renew="beltcast forecast")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, InputError):
        return None  # what cannot be read is made again
    return fit, Draws.restored(likelihood, arrays)


def keep_drawn(folder: Path, draws: Draws, study: Study, options: FitOptions, seed: int) -> None:
    """Keep draws for `drawn_before`."""
    arrays: dict[str, Any] = {**draws.arrays(), "key": _drawn_key(study, options, seed)}
    with (folder / DRAWN_FILE).open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _drawn_key(study: Study, options: FitOptions, seed: int) -> str:
    """Hash of all that the fit and the draws depend on."""
    known = [len(study.observations), float(sum(row.published for row in study.observations))]
    what = [dict(study.hashes), of_the_package(), options.draws, options.starts, seed, known]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def draw_without_contrasts(
    fit: Calibration,
    draws: int,
    *,
    rng: Random,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> Draws | None:
    """Draw from the posterior without contrasts: the data alone.

    Parameters
    ----------
    fit : Calibration
        With contrasts; the refit starts from its optimum.
    draws : int
    rng : Streams, numpy.random.Generator or int
        Its stream ``data`` is used.
    pieces : Pieces, optional
    progress : Progress, optional

    Returns
    -------
    Draws or None
        None if the fit has no contrasts.

    Examples
    --------
    >>> from beltcast import calibrate, read_study
    >>> from beltcast.workflows.draws import draw_without_contrasts
    >>> fit = calibrate(read_study(), rng=rng)  # doctest: +SKIP
    >>> data = draw_without_contrasts(fit, 400, rng=1)  # doctest: +SKIP
    """
    if fit.likelihood.contrasts is None:
        return None
    alone = calibrate_from(fit.likelihood.without_contrasts(), fit.theta)
    stream = Streams.of(rng).stream("data")
    return approximate_posterior(
        alone, draws, rng=stream, pieces=pieces.of("data"), progress=progress
    )
