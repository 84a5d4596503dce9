"""A backtest on disk: one file an origin, kept as soon as it is finished, and one for all.

An origin takes a minute or more.  Each is written to a folder of its own when it is done, with a
key of everything that it depends on (the study's files, the rules, the settings, the baselines,
the package itself), and a later run takes it from there where the key is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Lock

import xarray as xr

from beltcast.data.history import Baseline
from beltcast.errors import InputError
from beltcast.inference.calibrate import Progress, one_blas_thread
from beltcast.study import Study
from beltcast.verification.backtest import Settings, at_origin, joined, provenance
from beltcast.verification.baselines import BASELINES
from beltcast.verification.origin_rules import OriginRules

COMPRESSED = {"forecast": {"zlib": True, "complevel": 4, "shuffle": True}}
"""The draws are nearly all of a backtest's size."""


def run_origins(
    study: Study,
    rules: OriginRules,
    origins: Sequence[float],
    folder: str | Path,
    *,
    settings: Settings | None = None,
    baselines: Mapping[str, Baseline] = BASELINES,
    jobs: int = 1,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Run a backtest, keeping each origin in a folder; what is there already is not run again.

    Parameters
    ----------
    study : Study
    rules : OriginRules
    origins : sequence of float  [Year]
    folder : str or Path
        Of the single origins.
    settings : Settings, optional
    baselines : mapping
    jobs : int
        Origins side by side; the result does not depend on it.
    progress : callable, optional
        Told (what, done, of how many).

    Returns
    -------
    xarray.Dataset
        As `beltcast.verification.backtest.backtest`.

    Raises
    ------
    InputError
        There is no origin, it is given twice or has nothing to forecast, or the folder cannot be
        written to.
    """
    chosen = settings or Settings()
    dates = sorted(origins)
    if len(set(dates)) < len(dates):
        raise InputError("an origin is given twice; name each date once")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        reason = (problem.strerror or "no reason given").lower()
        raise InputError(
            f"'{folder}' cannot be written to ({reason}); choose another place with --output"
        ) from None

    # The NetCDF library is not safe in two threads, and brings the whole process down.
    disk = Lock()

    def finished(date: float) -> xr.Dataset:
        key = origin_key(study, rules, date, chosen, baselines)
        path = folder / f"{date:g}.nc"
        with disk:
            kept = _read(path, key)
        if kept is None:
            kept = at_origin(study, rules, date, settings=chosen, baselines=baselines)
            with disk:
                _write(kept.assign_attrs(key=key), path)
        return kept

    parts = []
    # Held from outside, lest one origin's end gives the threads back under another that goes on.
    with one_blas_thread(), ThreadPoolExecutor(max(1, jobs)) as pool:
        for part in pool.map(finished, dates):
            parts.append(part)
            if progress is not None:
                progress("origins", len(parts), len(dates))
    result = joined(parts)
    result.attrs.pop("key", None)
    return result


def origin_key(
    study: Study,
    rules: OriginRules,
    date: float,
    settings: Settings,
    baselines: Mapping[str, Baseline] = BASELINES,
) -> str:
    """SHA-256 of all that the forecasts from one origin depend on."""
    everything = {
        "files": provenance(study, rules),
        "date": repr(date),
        "settings": asdict(settings),
        "baselines": list(baselines),
        "package": _source_sha256(),
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def _read(path: Path, key: str) -> xr.Dataset | None:
    """A finished origin, if it is there, whole and of this key."""
    if not path.exists():
        return None
    try:
        with xr.open_dataset(path, engine="netcdf4") as opened:
            return opened.load() if opened.attrs.get("key") == key else None
    except OSError:
        return None  # cut off or no NetCDF at all: it is run again and replaced


def _write(part: xr.Dataset, path: Path) -> None:
    """Write one origin under its name only when it is complete."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        part.to_netcdf(unfinished, engine="netcdf4", encoding=COMPRESSED)
        unfinished.replace(path)
    except OSError as problem:
        reason = (problem.strerror or "no reason given").lower()
        raise InputError(f"'{path}' cannot be written ({reason}); choose another place") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _source_sha256() -> str:
    """One hash of the package's own text: an edited model of the world meets no old result."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
