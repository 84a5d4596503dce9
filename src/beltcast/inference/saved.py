"""A calibration on disk: written by one command, opened by the next, refused if it is stale.

The file ``calibration.json`` holds the optimum, the history of every start, and a hash of every
file that the fit was made from: the study, the model, its inputs, the observations, the places and
the priors.  It opens only beside the same files.  What can be recomputed (the covariance: one
derivative run) is not stored, so the file is small enough to ship.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, get_args

import numpy as np

from beltcast.errors import InputError, quoted
from beltcast.files.text import read_text
from beltcast.inference.calibrate import Calibration, calibration_at, one_blas_thread
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.optimise import FitMethod, Optimum

CALIBRATION_FILE = "calibration.json"
"""Name of the file in a folder of results."""

FORMAT = 1

_NO_PART = ("scenarios", "study")  # of a study; a fit depends on its hash ``noise`` alone


def save_calibration(
    calibration: Calibration, folder: str | Path, hashes: Mapping[str, str]
) -> Path:
    """Write a calibration into a folder.

    Parameters
    ----------
    calibration : Calibration
    folder : str or Path
    hashes : mapping of str to str
        Hashes of its inputs, such as ``study.hashes``.

    Returns
    -------
    Path
        Of the file.
    """
    path = Path(folder) / CALIBRATION_FILE
    content = {
        "format": FORMAT,
        "sha256": _that_matter(hashes),
        "labels": list(calibration.likelihood.labels),
        "theta": calibration.theta.tolist(),
        "cost": calibration.cost,
        "method": calibration.method,
        # JSON has no infinity; a start that could not be simulated has no cost.
        "start_costs": [c if np.isfinite(c) else None for c in calibration.start_costs.tolist()],
        "refined": calibration.refined.tolist(),
        "optima": [
            {
                "theta": one.theta.tolist(),
                "cost": one.cost,
                "costs": [float(f"{c:.6g}") for c in one.costs],
                "converged": one.converged,
            }
            for one in calibration.optima
        ],
    }
    path.write_text(json.dumps(content, indent=0, allow_nan=False) + "\n", encoding="utf-8")
    return path


@one_blas_thread()
def load_calibration(
    path: str | Path, likelihood: Likelihood, hashes: Mapping[str, str], *, renew: str
) -> Calibration:
    """Open a calibration, if its input files have not changed.

    Parameters
    ----------
    path : str or Path
        The file, or the folder that holds it.
    likelihood : Likelihood
        Of the same study.
    hashes : mapping of str to str
        Hashes of the inputs of a fit made now.
    renew : str
        The command that makes the calibration again, for the error.

    Raises
    ------
    InputError
        The file is missing or damaged, or one of its inputs has changed since.
    """
    path = Path(path)
    path = path / CALIBRATION_FILE if path.is_dir() else path
    content = _content(path, renew)
    now = _that_matter(hashes)
    before = content["sha256"]
    changed = [name for name in {**now, **before} if now.get(name) != before.get(name)]
    if changed or tuple(content["labels"]) != likelihood.labels:
        what = ", ".join(changed) or "the unknowns"
        raise InputError(
            f"the calibration was made before a change of: {what}; renew it with '{renew}'", path
        )
    optima = [
        Optimum(np.array(o["theta"]), o["cost"], np.array(o["costs"]), o["converged"])
        for o in content["optima"]
    ]
    costs = [np.inf if cost is None else cost for cost in content["start_costs"]]
    return calibration_at(
        likelihood, np.array(costs), np.array(content["refined"]), optima, content["method"]
    )


def _content(path: Path, renew: str) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path, InputError).text)
        _check(content)
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise InputError(
            f"this is not a complete calibration of this version ({quoted(str(problem))}); "
            f"renew it "
            f"with '{renew}'",
            path,
        ) from None
    found: dict[str, Any] = content
    return found


def _check(content: dict[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError unless `save_calibration` wrote it.

    Python's JSON also reads NaN and Infinity.
    """
    size = len(content["labels"])
    numbers = [_numbers(one["theta"]) for one in content["optima"]]
    costs = [_numbers([one["cost"]]) for one in content["optima"]]
    for one in content["optima"]:
        _numbers(one["costs"])
        if not isinstance(one["converged"], bool):
            raise TypeError("converged")
    _numbers([cost for cost in content["start_costs"] if cost is not None])
    starts = len(content["start_costs"])
    good = (
        content["format"] == FORMAT
        and all(isinstance(label, str) for label in content["labels"])
        and isinstance(content["sha256"], dict)
        and content["method"] in get_args(FitMethod)
        and len(costs) > 0
        and all(type(k) is int and 0 <= k < starts for k in content["refined"])
        and all(len(theta) == size for theta in numbers)
    )
    if not good:
        raise ValueError("format")


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, list):
        raise TypeError("list")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise ValueError(repr(value)[:40])
    return values


def _that_matter(hashes: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in hashes.items() if name not in _NO_PART}
