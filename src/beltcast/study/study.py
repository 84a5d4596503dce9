"""A study: one file that names a model, the observations it is fitted to, and their noise.

``calibration/belt.toml`` is the study of the shipped belt model.  A study names its files relative
to itself, in its own folder or below; `read_study` reads them all, so that all later code works on
values.

A study may extend another one beside it, ``extends = "belt.toml"``: a table or file that it does
not give is that of the other.  With ``only = ["China"]`` it is fitted to the observations of these
places only.  With ``integration = "stiff"`` the model is integrated by another method than its
file states; ``rtol`` and ``atol`` beside it are its tolerance.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from beltcast.display.facts import Facts, html_of, listed, text_of
from beltcast.engine.run.plan import Stepping, stepping
from beltcast.engine.syntax import XMILE
from beltcast.errors import (
    BOOKS,
    BeltcastError,
    InputError,
    TableError,
    UnknownName,
    did_you_mean,
    quoted,
)
from beltcast.files.shipped import shipped
from beltcast.files.text import read_text, tables_sha256
from beltcast.files.toml import Toml, TomlTable, find_file, read_table, read_toml
from beltcast.files.workbook import sheet_path
from beltcast.model.model import Model, load_model
from beltcast.model.quantities import is_flow
from beltcast.schema import LABELS, TOTAL, Label, Language, labels_text
from beltcast.study.contrasts import Contrasts, read_contrasts
from beltcast.study.noise import Noise, noise_from_table
from beltcast.study.observations import Observations
from beltcast.study.observations_file import read_observations
from beltcast.study.places import read_places, read_titles
from beltcast.study.priors import Priors
from beltcast.study.priors_file import read_priors
from beltcast.study.roles import Roles, Years, default_years, read_label, read_roles
from beltcast.study.scenarios import Scenario, read_scenarios, select
from beltcast.study.statements import RealityCheck, read_statements
from beltcast.study.vensim_files import read_voc

STUDY_FILE = "study.toml"
"""Name of the study file in a folder."""

MODELS = (".mdl", *XMILE)
"""Endings of models, which are not studies."""

_FITTED = ("noise", "definitions", "usd_cny")
"""Tables of a study that a fit depends on."""

_ROLES = ("forecast", "years", "levers", "drivers", "money", "shares", "labels", "loops")
"""Tables that `read_roles` reads."""

_FILES = ("model", "observations", "priors")
"""Files that a study names."""

_ALL = "合计"
"""`TOTAL` in Chinese, where the study has no name for the sum of its places."""

_OPTIONAL_FILES = ("places", "scenarios", "contrasts")
"""Files that it may leave out: a study of one place, of the model as it stands, without evidence on
differences between two runs."""


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """Input of a calibration and a forecast.

    Attributes
    ----------
    title : str
    model : Model
    observations : Observations
    places : mapping of str to tuple of str
        Elements that each place is the sum of.
    titles : mapping of str to str
        What to call each place.
    titles_zh : mapping of str to str
        The same in Chinese.
    priors : Priors
    scenarios : mapping of str to Scenario
    noise : Noise
    hashes : mapping of str to str
        SHA-256 of each file, for provenance; ``noise`` is that of the tables of the study that a
        fit depends on.
    target : str
        What is forecast: a flow of the model over one subscript range, or over none.
    roles : Roles
        Levers, drivers, companions and flows of money of the model, and what to call things.
    title_zh : str
        The title in Chinese; empty if there is none.
    usd_cny : mapping of int to float
        Year to yuan for one dollar, used to convert observations.
    reality_checks : tuple of RealityCheck
        Statements that must hold of the model for any draw of the priors.
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
    target: str
    roles: Roles = field(default_factory=Roles)
    title_zh: str = ""
    titles_zh: Mapping[str, str] = field(default_factory=dict)
    usd_cny: Mapping[int, float] = field(default_factory=dict)
    reality_checks: tuple[RealityCheck, ...] = ()

    def _facts(self) -> Facts:
        return [
            ("model", f"{self.model.name} ({len(self.model.variables)} variables)"),
            ("target", self.target),
            ("observations", str(len(self.observations))),
            ("places", listed(list(self.places))),
            ("priors", str(len(self.priors))),
            ("scenarios", listed(list(self.scenarios))),
        ]

    def __repr__(self) -> str:
        return text_of(f"Study '{self.title}'", self._facts())

    def _repr_html_(self) -> str:
        return html_of(f"Study '{self.title}'", self._facts())

    def shown(self) -> list[str]:
        """Return the places of a forecast: the whole, then each element of the target."""
        dims = self.model.find(self.target).dims
        return [self.whole(self.target), *(self.model.subscripts[dims[0]] if dims else ())]

    def title_of(self, place: str, language: Language = "en") -> str:
        """Return the title of a place; its name if the study has no title for it."""
        own = {TOTAL: _ALL, **self.titles_zh} if language == "zh" else {}
        return own.get(place) or self.titles.get(place, place)

    def whole(self, variable: str) -> str:
        """Return the place that is the sum of all elements of a variable, such as China."""
        dims = self.model.find(variable).dims
        elements = set(self.model.subscripts[dims[0]]) if dims else set()
        for place, belts in self.places.items():
            if set(belts) == elements:
                return place
        return TOTAL

    def scenario(self, name: str | None = None) -> Scenario:
        """Return a scenario, by default the first, which the others are compared with.

        Raises
        ------
        ScenarioError
            There is no such scenario.
        """
        return next(iter(select(self.scenarios, [name or next(iter(self.scenarios))]).values()))

    def with_scenarios(
        self, path: str | Path | None = None, only: Sequence[str] | None = None
    ) -> Study:
        """Take the scenarios of a file instead, or keep some; the first one stays the reference.

        A file may define another scenario of its name.
        """
        scenarios = self.scenarios
        if path is not None:
            first = self.scenario()
            scenarios = {first.name: first, **read_scenarios(path, self.model)}
        if only:
            scenarios = select(scenarios, dict.fromkeys([next(iter(scenarios)), *only]))
        return replace(self, scenarios=scenarios)

    @property
    def years(self) -> Years:
        """Years of tables and answers: those of the table ``[years]``, else of the run."""
        grid = self.model.grid()
        run = range(math.ceil(grid.start), math.floor(grid.end))
        observed = max((row.end for row in self.observations), default=float(run[0]))
        given = self.roles.years
        found = default_years(run, observed)
        answer = given["answer"][0] if "answer" in given else found.answer
        (past, ahead) = (given.get(name, getattr(found, name)) for name in ("past", "ahead"))
        return Years(
            given.get("shown", found.shown), answer, (past[0], past[1]), (ahead[0], ahead[1])
        )

    def labels(self) -> dict[str, Label]:
        """Return what to call variables, elements, units, places, drivers and scenarios.

        A place keeps its short name in English; its titles are in `titles`.
        """
        drivers = {label.en: label for label in self.roles.drivers.values()}
        scenarios = {one.name: Label(one.title, one.title_zh) for one in self.scenarios.values()}
        titles = {TOTAL: _ALL, **self.titles_zh}
        places = {place: Label(place, title) for place, title in titles.items() if title}
        title = {self.title: Label(self.title, self.title_zh)} if self.title_zh else {}
        return {**places, **self.roles.labels, **drivers, **scenarios, **title}

    def provenance(self) -> dict[str, str]:
        """Return the attributes of every result: title, labels and the hash of each file."""
        hashes = {f"{name}_sha256": digest for name, digest in self.hashes.items()}
        return {"title": self.title, LABELS: labels_text(self.labels()), **hashes}


def read_study(path: str | Path | None = None) -> Study:
    """Read a study and all its files.

    Parameters
    ----------
    path : str or Path, optional
        A TOML file, a folder that holds ``study.toml``, or the workbook beside a ``study.toml``
        that names it; the shipped belt study by default.

    Raises
    ------
    InputError, ModelError
        The first problem in any of the files, with its file and line.

    Examples
    --------
    >>> from beltcast import read_study
    >>> read_study().model.name
    'belt'
    """
    toml = read_study_file(path)
    table = read_table(toml, "study")
    base = _base(toml, table)
    files = study_files(toml)
    way = _integration(table)
    model = load_model(files["model"], method=way)
    places = read_places(files["places"], model) if "places" in files else {}
    owners = study_owners(toml)
    noise = noise_from_table(owners["noise"])
    rates = _rates(owners["usd_cny"])
    observations = read_observations(files["observations"], model, places, usd_cny=rates)
    noise.check(observations)
    observations = _only(table, observations)
    contrasts = _contrasts(files.get("contrasts"), owners["contrasts"], model, places)
    observations = replace(observations, contrasts=contrasts)
    priors = any_priors(files["priors"], model)
    scenarios = {"baseline": Scenario("baseline", "Baseline", title_zh="基准情景")}
    if "scenarios" in files:
        scenarios = read_scenarios(files["scenarios"], model)
    fitted = {name: owners[name].tables.get(name) for name in _FITTED}
    hashes = {
        "study": toml.sha256 if base is toml else _joined(toml.sha256, base.sha256),
        "noise": _joined(json.dumps([fitted, table.values.get("only")], sort_keys=True)),
        "model": _joined(model.source.text_sha256, str(way)) if way else model.source.text_sha256,
        "observations": observations.sha256,
        "priors": priors.sha256,
        **{name: _file_sha256(files.get(name), name) for name in ("places", "scenarios")},
        "inputs": tables_sha256(sorted(files["model"].parent.glob("*.csv")), TableError),
    }
    if contrasts is not None:
        settings = owners["contrasts"].tables.get("contrasts")
        hashes["contrasts"] = _joined(contrasts.sha256, json.dumps(settings, sort_keys=True))
    title = read_label(table, "title", study_name(path))
    return Study(
        title=title.en,
        title_zh=title.zh,
        model=model,
        observations=observations,
        places=places,
        titles=read_titles(files["places"]) if "places" in files else {},
        priors=priors,
        scenarios=scenarios,
        noise=noise,
        hashes=hashes,
        target=_target(table if "target" in table else read_table(base, "study"), model),
        roles=read_roles(owners, model, tuple(scenarios)),
        titles_zh=read_titles(files["places"], "title_zh") if "places" in files else {},
        usd_cny=rates,
        reality_checks=reality_checks_of(table, model),
    )


def read_study_file(path: str | Path | None) -> Toml:
    """Read the file of a study, without the files that it names.

    Raises
    ------
    InputError
        As `study_file` and `read_toml`, or the file is a model.
    """
    file = study_file(path)
    if file.suffix.lower() in MODELS:
        raise InputError(
            "this is a model, and the command expects a study (a .toml file or its folder); make "
            "one with beltcast init, or give the model to beltcast check, run, loops or calibrate",
            file,
        )
    return read_toml(file, InputError)


def study_file(path: str | Path | None) -> Path:
    """Find the file of a study: the shipped one, the one given, or the one in a folder.

    Raises
    ------
    InputError
        The folder holds no ``study.toml``, or the one beside a workbook does not name it.
    """
    if path is None:
        return shipped("calibration/belt.toml")
    path = Path(path)
    if path.suffix.lower() in BOOKS and path.is_file():
        return _study_of_book(path)
    if not path.is_dir():
        return path
    if not (path / STUDY_FILE).is_file():
        raise InputError(
            f"the folder holds no {STUDY_FILE}; give a study, or make one with beltcast init", path
        )
    return path / STUDY_FILE


def _study_of_book(path: Path) -> Path:
    """Study beside a workbook that holds its tables."""
    study = path.parent / STUDY_FILE
    if study.is_file():
        table = read_toml(study, InputError).tables.get("study", {})
        if path.name in [table.get(name) for name in (*_FILES, *_OPTIONAL_FILES)]:
            return study
    raise InputError(
        f"no {STUDY_FILE} beside the workbook names it; a study also needs a model: make both with "
        f'beltcast init --xlsx, or write observations = "{path.name}" under [study]',
        path,
    )


def study_name(path: str | Path | None) -> str:
    """Name of a study, and of its results: its file's, or its folder's for a ``study.toml``.

    Examples
    --------
    >>> from beltcast.study.study import study_name
    >>> study_name(None), study_name("mine/study.toml"), study_name("foshan.toml")
    ('belt', 'mine', 'foshan')
    """
    file = study_file(path)
    return file.resolve().parent.name if file.name == STUDY_FILE else file.stem


def study_files(toml: Toml) -> dict[str, Path]:
    """Find the files that a study names: its model, observations, places, priors and scenarios.

    Places and scenarios may be left out.

    Raises
    ------
    InputError
        With file and line: one is not named, or does not exist.
    """
    table = read_table(toml, "study")
    base = _base(toml, table)
    owners = {name: toml if name in table else base for name in (*_FILES, *_OPTIONAL_FILES)}
    tables = {name: read_table(owner, "study") for name, owner in owners.items()}
    named = [name for name in owners if name in _FILES or name in tables[name]]
    return {name: _file(tables[name], name) for name in named}


def study_owners(toml: Toml) -> dict[str, Toml]:
    """Map each table of a study to the file that gives it: the study, or the one it extends."""
    base = _base(toml, read_table(toml, "study"))
    names = (*_FITTED, *_ROLES, "contrasts")
    return {name: toml if name in toml.tables else base for name in names}


def any_priors(path: Path, model: Model, *, faults: list[BeltcastError] | None = None) -> Priors:
    """Read priors: of Vensim's optimization control for a file ``.voc``, of TOML otherwise."""
    if path.suffix.lower() == ".voc":
        return read_voc(path, model)
    return read_priors(path, model, faults=faults)


def _base(toml: Toml, table: TomlTable) -> Toml:
    """Return the study that this one extends; itself if it extends none."""
    if "extends" not in table:
        return toml
    given = table.text("extends", expected="the file of a study")
    base = read_toml(_file(table, "extends"), InputError)
    if "extends" in read_table(base, "study"):
        sentence = f"the study '{given}' is itself an extension of another one"
        raise table.fail(f"{sentence}; extend that one instead", "extends")
    return base


def _integration(table: TomlTable) -> Stepping | None:
    """Return the method of integration that the study names, if it names one."""
    if "integration" not in table:
        return None
    rtol, atol = (table.number(key) if key in table else None for key in ("rtol", "atol"))
    name = table.text("integration", expected="a method of integration")
    try:
        return stepping(name, rtol, atol)
    except InputError as problem:
        raise table.fail(problem.sentence, "integration") from None


def _only(table: TomlTable, observations: Observations) -> Observations:
    """Keep the observations of the places that the study names, if it names any."""
    if "only" not in table:
        return observations
    given = table.texts("only", expected="a list of places")
    if not given:
        raise table.refusal("only", 'a list of places, such as ["China"]')
    known = {row.place for row in observations}
    for place in given:
        if place not in known:
            meant = did_you_mean(place, sorted(known)) or "; correct it"
            raise table.fail(f"no observation is about the place {quoted(place)}{meant}", "only")
    return observations.select([row.place in given for row in observations])


def _contrasts(
    path: Path | None, toml: Toml, model: Model, places: Mapping[str, tuple[str, ...]]
) -> Contrasts | None:
    settings = TomlTable(toml, (), toml.tables).table("contrasts", optional=True)
    return None if path is None else read_contrasts(path, model, places, settings)


def _file_sha256(path: Path | None, name: str) -> str:
    if path is None:
        return _joined()
    return read_text(sheet_path(path, name), InputError).sha256


def reality_checks_of(
    table: TomlTable, model: Model, *, faults: list[BeltcastError] | None = None
) -> tuple[RealityCheck, ...]:
    """Read the statements of the file ``checks`` that a study names, if it names one."""
    if "checks" not in table:
        return ()
    return read_statements(find_file(table.file, *table.keys, "checks"), model, faults=faults)


def _joined(*hashes: str) -> str:
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _target(table: TomlTable, model: Model) -> str:
    name = table.text("target", expected="what to forecast, a flow of the model")
    try:
        variable = model.find(name)
    except UnknownName as problem:
        raise table.fail(
            f'target: {problem.sentence}; name a flow with target = "..."',
            "target",
        ) from None
    if len(variable.dims) > 1 or not is_flow(variable.unit):
        raise table.fail(
            f"'{variable.name}' [{variable.unit}] over ({', '.join(variable.dims)}) cannot be "
            "forecast; the target must be a flow, an amount per time, over one subscript range or "
            "none",
            "target",
        )
    return variable.name


def _file(table: TomlTable, name: str) -> Path:
    table.text(name, expected='"path/of/the/file"')
    return find_file(table.file, *table.keys, name)


def _rates(toml: Toml) -> dict[int, float]:
    table = TomlTable(toml, (), toml.tables).table("usd_cny", optional=True)
    for year in table:
        if not year.isdecimal():
            raise table.fail(f"[usd_cny] has the key {quoted(year)}; expected a year", year)
    expected = "yuan for one dollar, a number above 0"
    return {int(year): table.number(year, above=0.0, expected=expected) for year in table}
