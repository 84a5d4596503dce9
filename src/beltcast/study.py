"""A study: which model is fitted to which figures with which noise, as one file.

``calibration/belt.toml`` is the study of the shipped belt model.  A study names its files relative
to the folder that holds ``models`` and ``calibration`` (the repository, or the installed package)
or relative to itself; `read_study` reads them all, so that what follows is values only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beltcast.errors import InputError, UnknownName
from beltcast.model import Model, load_model
from beltcast.noise import Noise, noise_from_table
from beltcast.observations import Observations, read_observations, read_places, read_titles
from beltcast.priors import Priors, read_priors
from beltcast.quantities import is_flow
from beltcast.resources import shipped
from beltcast.scenarios import Scenario, read_scenarios
from beltcast.schema import TOTAL
from beltcast.textfiles import Toml, read_text, read_toml

_FILES = ("model", "observations", "places", "priors", "scenarios")


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that a calibration and a forecast start from.

    Attributes
    ----------
    title : str
    model : Model
    observations : Observations
    places : mapping of str to tuple of str
        Belts of each place.
    titles : mapping of str to str
        What to call each place.
    priors : Priors
    scenarios : mapping of str to Scenario
    noise : Noise
    hashes : mapping of str to str
        SHA-256 of each file, for provenance.
    target : str
        What is forecast: a flow of the model over one subscript range.
    usd_cny : mapping of int to float
        Year to yuan for a dollar, which figures are converted with.
    """

    title: str
    model: Model
    observations: Observations
    places: Mapping[str, tuple[str, ...]]
    titles: Mapping[str, str]
    priors: Priors
    scenarios: Mapping[str, Scenario]
    noise: Noise
    hashes: Mapping[str, str]
    target: str = "output"
    usd_cny: Mapping[int, float] = field(default_factory=dict)

    def whole(self, variable: str) -> str:
        """Name of the place that is the sum of all elements of a variable, such as China."""
        dims = self.model.find(variable).dims
        elements = set(self.model.subscripts[dims[0]]) if dims else set()
        for place, belts in self.places.items():
            if set(belts) == elements:
                return place
        return TOTAL


def read_study(path: str | Path | None = None) -> Study:
    """Read a study and all its files.

    Parameters
    ----------
    path : str or Path, optional
        A TOML file; the shipped belt study by default.

    Raises
    ------
    InputError, ModelError
        The first thing that is wrong in any of the files, with its file and line.

    Examples
    --------
    >>> from beltcast import read_study
    >>> read_study().model.name
    'belt'
    """
    toml = read_toml(shipped("calibration/belt.toml") if path is None else path, InputError)
    table = _table(toml, "study")
    files = {name: _file(toml, table, name) for name in _FILES}
    model = load_model(files["model"])
    places = read_places(files["places"], model)
    noise = noise_from_table(toml)
    rates = _rates(toml)
    observations = read_observations(files["observations"], model, places, usd_cny=rates)
    noise.check(observations)
    priors = read_priors(files["priors"], model)
    scenarios = read_scenarios(files["scenarios"], model)
    hashes = {
        "study": toml.sha256,
        "model": model.source.text_sha256,
        "observations": observations.sha256,
        "priors": priors.sha256,
        "scenarios": read_toml(files["scenarios"], InputError).sha256,
        "places": read_text(files["places"], InputError).sha256,
        "inputs": _tables_sha256(files["model"]),
    }
    return Study(
        title=str(table.get("title", toml.path.stem)),
        model=model,
        observations=observations,
        places=places,
        titles=read_titles(files["places"]),
        priors=priors,
        scenarios=scenarios,
        noise=noise,
        hashes=hashes,
        target=_target(toml, table, model),
        usd_cny=rates,
    )


def _target(toml: Toml, table: Mapping[str, Any], model: Model) -> str:
    name = str(table.get("target", "output"))
    try:
        variable = model.find(name)
    except UnknownName as problem:
        raise InputError(
            f'what is to be forecast: {problem.sentence}; name a flow with target = "..."',
            toml.path,
            toml.line("study", "target"),
        ) from None
    if len(variable.dims) != 1 or not is_flow(variable.unit):
        raise InputError(
            f"'{variable.name}' [{variable.unit}] over ({', '.join(variable.dims)}) cannot be "
            "forecast; the target must be a flow, an amount per time, over one subscript range",
            toml.path,
            toml.line("study", "target"),
        )
    return variable.name


def _tables_sha256(model: Path) -> str:
    """One hash of the tables beside the model, which it may refer to."""
    digest = hashlib.sha256()
    for path in sorted(model.parent.glob("*.csv")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _table(toml: Toml, name: str) -> Mapping[str, Any]:
    table = toml.tables.get(name)
    if not isinstance(table, dict):
        raise InputError(f"the table [{name}] is missing; add it", toml.path)
    return table


def _file(toml: Toml, table: Mapping[str, Any], name: str) -> Path:
    given = table.get(name)
    if not isinstance(given, str):
        raise InputError(
            f'[study] does not say its {name}; add a line such as {name} = "path/of/the/file"',
            toml.path,
            toml.line("study"),
        )
    beside = toml.path.parent / given
    if beside.exists():
        return beside
    above = toml.path.parent.parent / given
    if above.exists():
        return above
    raise InputError(
        f"the {name} file '{given}' is neither beside the study nor in the folder above; "
        "correct the path",
        toml.path,
        toml.line("study", name),
    )


def _rates(toml: Toml) -> dict[int, float]:
    rates: dict[int, float] = {}
    if "usd_cny" not in toml.tables:
        return rates
    for year, rate in _table(toml, "usd_cny").items():
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if not year.isdecimal() or not number or not 0 < rate < math.inf:
            raise InputError(
                f"[usd_cny] gives {year} = {rate!r}; expected a year and yuan for one dollar",
                toml.path,
                toml.line("usd_cny", year),
            )
        rates[int(year)] = float(rate)
    return rates
