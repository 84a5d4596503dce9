"""Backtest with rolling origins, and its record on disk: one file an origin.

An origin takes a minute or more.  When it is done, it is written to a folder, if one is given, with
all that it depends on (the study's files, the rules, the settings, the baselines, the package
itself), and a later run reuses it if these are the same. An unfinished origin keeps its fits and
draws there as pieces (`beltcast.files.resume`), which are used only with ``resume``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock

import xarray as xr

from beltcast.engine.run.threads import side_by_side
from beltcast.errors import InputError, reason_of
from beltcast.files.netcdf import read_netcdf, write_netcdf
from beltcast.files.resume import NOT_KEPT, Pieces, difference, keep_pieces, unfinished
from beltcast.inference.calibrate import one_blas_thread
from beltcast.schema import Progress
from beltcast.study.study import Study
from beltcast.verification.backtest import (
    BACKTEST_ENCODING,
    Settings,
    at_origin,
    joined,
    provenance,
    usual_origins,
)
from beltcast.verification.baselines.baselines import BASELINES
from beltcast.verification.baselines.history import Baseline
from beltcast.verification.origin_rules import OriginRules, rules_of

ORIGIN_IDENTITY = "depends_on"
"""Attribute of a finished origin: what it depends on, as JSON."""


def backtest(
    study: Study,
    rules: OriginRules | None = None,
    *,
    origins: Sequence[float] | None = None,
    settings: Settings | None = None,
    baselines: Mapping[str, Baseline] = BASELINES,
    folder: str | Path | None = None,
    jobs: int = 1,
    resume: bool = False,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Forecast every observation from every origin.

    Parameters
    ----------
    study : Study
    rules : OriginRules, optional
        As `rules_of` reads them by default.
    origins : sequence of float, optional  [Year]
        As `usual_origins` gives them by default.
    settings : Settings, optional
    baselines : mapping
        Name to forecaster.
    folder : str or Path, optional
        Keeps the single origins; those already there are not run again.
    jobs : int
        Origins run in parallel; the result does not depend on it.
    resume : bool
        Also continue unfinished origins.
    progress : Progress, optional

    Returns
    -------
    xarray.Dataset
        As `at_origin`, all cases one after the other.

    Raises
    ------
    InputError
        There is no origin, it is given twice or has nothing to forecast, the folder cannot be
        written to, or the pieces to resume are missing or belong to another run.

    Examples
    --------
    >>> from beltcast import OriginRules, backtest, read_study
    >>> from beltcast.verification.backtest import Settings
    >>> from beltcast.verification.baselines.random_walks import persistence
    >>> quick = Settings(draws=4, moves=0, starts=1, refine=1)
    >>> options = {"settings": quick, "baselines": {"persistence": persistence}}
    >>> result = backtest(read_study(), OriginRules(), origins=[2019.5], **options)
    >>> result["forecast"].dims
    ('case', 'forecaster', 'draw')
    """
    chosen, known = settings or Settings(), rules or rules_of(study)
    dates = sorted(usual_origins(study) if origins is None else origins)
    if len(set(dates)) < len(dates):
        raise InputError("an origin is given twice; name each date once")
    place = None if folder is None else _made(Path(folder), resume)
    # The NetCDF library is not safe in two threads, and brings the whole process down.
    disk = Lock()

    def finished(date: float, kept: xr.Dataset | None, pieces: Pieces) -> xr.Dataset:
        if kept is None:
            kept = at_origin(
                study, known, date, settings=chosen, baselines=baselines, pieces=pieces
            )
            if place is not None:
                with disk:
                    marked = {ORIGIN_IDENTITY: json.dumps(dict(pieces.identity))}
                    file = place / f"{date:g}.nc"
                    write_netcdf(file, {"/": kept.assign_attrs(marked)}, BACKTEST_ENCODING)
                pieces.discard()
        return kept

    def before(date: float) -> tuple[xr.Dataset | None, Pieces]:
        if place is None:
            return None, NOT_KEPT
        identity = origin_identity(study, known, date, settings=chosen, baselines=baselines)
        return _before(place / f"{date:g}.nc", identity, resume)

    parts = []
    # Held from outside: the end of one origin must not release the threads of another.
    with one_blas_thread():
        work = [(date, *before(date)) for date in dates]
        for part in side_by_side(lambda one: finished(*one), work, jobs):
            parts.append(part)
            if progress is not None:
                progress("origins", len(parts), len(dates))
    return joined(parts)


def origin_identity(
    study: Study,
    rules: OriginRules,
    date: float,
    *,
    settings: Settings,
    baselines: Mapping[str, Baseline] = BASELINES,
) -> dict[str, str]:
    """All inputs of the forecasts from one origin except the package: texts and hashes."""
    return {
        **provenance(study, rules),
        "date": repr(date),
        **{name: repr(value) for name, value in asdict(settings).items()},
        "baselines": ", ".join(baselines),
    }


def _made(folder: Path, resume: bool) -> Path:
    if resume and not folder.is_dir():
        raise InputError(f"there is no unfinished run in '{folder}'; start again without --resume")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"'{folder}' cannot be written to ({reason_of(problem)}); choose another place "
            "with --output"
        ) from None
    return folder


def _before(
    path: Path, identity: Mapping[str, str], resume: bool
) -> tuple[xr.Dataset | None, Pieces]:
    """A finished origin, or None and the store of its pieces."""
    place = unfinished(path.with_suffix(""))
    kept, was = _read(path)
    pieces = keep_pieces(place, identity, resume=resume and place.exists())
    differs = difference(was, pieces.identity)
    if kept is not None and resume and differs:
        raise InputError(
            f"the finished origin '{path}' belongs to another run ({differs}); give it the "
            f"same inputs, or start again without --resume"
        )
    return None if differs else kept, pieces


def _read(path: Path) -> tuple[xr.Dataset | None, dict[str, str]]:
    """A complete finished origin, and its inputs."""
    if not path.exists():
        return None, {}
    try:
        kept = read_netcdf(path)
        identity = json.loads(kept.attrs.pop(ORIGIN_IDENTITY, "{}"))
        return kept, identity if isinstance(identity, dict) else {}
    except (InputError, ValueError, TypeError):
        return None, {}  # truncated or not NetCDF: it is run again and replaced
