"""All errors in the files of a study: each row, prior, scenario, statement, lever, definition.

`read_study` stops at the first error.  A user who has just filled in six files needs the whole
list.  Here every file is read as far as the files that it depends on allow, and faulty parts are
left out, so that no error is reported twice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from beltcast.errors import BeltcastError
from beltcast.files.toml import Toml, read_table
from beltcast.model.model import Model, load_model
from beltcast.study.noise import Noise, noise_from_table
from beltcast.study.observations_file import read_observations
from beltcast.study.places import read_places
from beltcast.study.roles import read_roles
from beltcast.study.scenarios import Scenario, read_scenarios
from beltcast.study.study import (
    any_priors,
    read_study,
    read_study_file,
    reality_checks_of,
    study_files,
    study_owners,
)


def study_faults(path: str | Path | None = None) -> tuple[BeltcastError, ...]:
    """Read a study and all its files; return all errors.

    Parameters
    ----------
    path : str or Path, optional
        As for `read_study`.

    Returns
    -------
    tuple of BeltcastError
        Each with its file and line; empty exactly if `read_study` succeeds.  A file that cannot be
        read hides errors in files that depend on it: without a model no other file can be checked.

    Examples
    --------
    >>> from beltcast.study.faults import study_faults
    >>> study_faults()
    ()
    """
    found: list[BeltcastError] = []

    def tried(read: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return read(*arguments, **named)
        except BeltcastError as problem:
            found.append(problem)
            return None

    toml: Toml | None = tried(read_study_file, path)
    files: dict[str, Path] | None = tried(study_files, toml) if toml else None
    model: Model | None = tried(load_model, files["model"]) if files else None
    if toml and files and model:
        owners: dict[str, Toml] = tried(study_owners, toml)
        noise: Noise | None = _read_all(noise_from_table, owners["noise"], found)
        defined = not found  # else a faulty definition would be called missing
        places = {}
        if "places" in files:
            places = tried(read_places, files["places"], model, faults=found)
        listed = defined == (not found)  # else a faulty place would be called unknown
        if places is not None:
            rates = _rates_of_all_years(owners["usd_cny"])
            table = files["observations"]
            wrong: list[BeltcastError] = []
            rows = tried(read_observations, table, model, places, usd_cny=rates, faults=wrong)
            found += [one for one in wrong if listed or "unknown place" not in one.sentence]
            if noise and rows and defined:
                noise.check(rows, faults=found)
        tried(any_priors, files["priors"], model, faults=found)
        scenarios: dict[str, Scenario] = {}
        if "scenarios" in files:
            scenarios = tried(read_scenarios, files["scenarios"], model, faults=found) or {}
        tried(read_roles, owners, model, tuple(scenarios), faults=found)
        tried(reality_checks_of, read_table(toml, "study"), model, faults=found)
    if not found:
        tried(read_study, path)  # relations between files: definitions, rates, the target
    return tuple(found)


def _read_all(read: Callable[..., Noise], toml: Toml, found: list[BeltcastError]) -> Noise | None:
    """Append each error in single values of a file; return what is read if there is none.

    A wrong value hides those after it, so it is replaced by a number that suits most keys, or its
    key removed, whichever removes the error without making another of it.
    """
    wrong: list[BeltcastError] = []
    while True:
        own: list[BeltcastError] = []
        value: Noise | None = None
        try:
            value = read(toml, faults=own)
        except BeltcastError as problem:
            wrong.append(problem)
            repaired = _repaired(read, toml, problem)
            if repaired is not None:
                toml = repaired
                continue
        found += [*wrong, *own]
        return None if wrong else value


def _repaired(read: Callable[..., Noise], toml: Toml, problem: BeltcastError) -> Toml | None:
    at = [keys for keys, line in toml.lines.items() if line == problem.line]
    name, missing, _ = problem.sentence.partition(" is missing; add ")
    if missing:
        at.append(tuple(name.split(".")))
    for keys in sorted(at, key=len, reverse=True):
        for replacement in (_STAND_IN, None):
            tables = copy.deepcopy(dict(toml.tables))
            parent: Any = tables
            for key in keys[:-1]:
                parent = parent.get(key, {}) if isinstance(parent, dict) else {}
            if not isinstance(parent, dict) or (keys[-1] not in parent) != bool(missing):
                continue
            parent[keys[-1]] = replacement
            if replacement is None:
                del parent[keys[-1]]
            changed = replace(toml, tables=tables)
            try:
                read(changed, faults=[])
            except BeltcastError as other:
                same = other.sentence == problem.sentence
                if same or keys[-1] in other.sentence or f"{_STAND_IN:g}" in other.sentence:
                    continue
            return changed
    return None


_STAND_IN = 0.1234567
"""A standard deviation, a part of a variance, a damping: no user writes it."""


def _rates_of_all_years(toml: Toml) -> dict[int, float]:
    """Any rate will do: only the form of a row is checked; `read_study` names missing rates."""
    return dict.fromkeys(range(1900, 2200), 1.0) if "usd_cny" in toml.tables else {}
