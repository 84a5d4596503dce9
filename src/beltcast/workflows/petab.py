"""A PEtab problem whose model is a stock-flow model, as a study in memory.

PEtab (Schmiester and others 2021, PLoS Computational Biology 17, e1008646) states in a YAML file
and four tables what is estimated from which data under which conditions; its models are SBML.  Here
the model is a `.mdl` or XMILE file, under ``model_files``; version 1 of the tables is read.  What
is not supported is refused by its name in PEtab; only names and plots are ignored.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from beltcast.engine.run.plan import Method, Stepping
from beltcast.engine.syntax import canonical
from beltcast.errors import InputError, ModelError, TableError, UnknownName, quoted
from beltcast.files.extras import need
from beltcast.files.text import Text, read_text
from beltcast.model.conditions import with_conditions
from beltcast.model.model import Model, load_model
from beltcast.study.columns import Column
from beltcast.study.error_models import ErrorFamily, ErrorModel
from beltcast.study.priors import Priors
from beltcast.study.priors_file import read_priors
from beltcast.study.series import read_series
from beltcast.workflows.own_model import OwnModel, study_in_memory

_FUNCTIONS = {"exp": "EXP", "ln": "LN", "log": "LN", "log10": "LOG10", "sqrt": "SQRT", "abs": "ABS"}
_TRANSFORMATIONS = {"": 0.0, "lin": 0.0, "log": 1.0, "log10": math.log(10.0)}
_PLACEHOLDER = re.compile(r"\b(observable|noise)Parameter(\d+)_(\w+)")


@dataclass(frozen=True)
class _Table:
    """Rows of a tab-separated table, each with its line."""

    text: Text
    rows: tuple[tuple[int, Mapping[str, str]], ...]

    def refusal(self, line: int, sentence: str) -> TableError:
        return TableError(sentence, self.text.path, line)

    def number(self, line: int, column: str, cell: str) -> float:
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.refusal(line, f"{column} is {quoted(cell)}, expected a number")
        return value


def read_petab(problem: str | Path, *, integration: Stepping | Method | None = None) -> OwnModel:
    """Read a PEtab problem of a Vensim or XMILE model.

    Parameters
    ----------
    problem : str or Path
        The YAML file, of version 1; ``model_files`` or ``sbml_files`` names the model.
    integration : str or Stepping, optional
        Method, or one with its tolerance (`beltcast.engine.run.plan.stepping`).

    Raises
    ------
    InputError, ModelError
        With file and line: a table is wrong, or requests what is not supported (SBML,
        preequilibration, Laplace noise and priors, noise that depends on the model or differs
        between the rows of an observable).

    Examples
    --------
    >>> from beltcast.workflows.petab import read_petab
    >>> read_petab("problem.yaml", integration="stiff").likelihood  # doctest: +SKIP
    """
    path = Path(problem)
    files = _files(path)
    model = load_model(files["model"], method=integration)
    tables = {name: _read(one) for name, one in files.items() if name != "model"}
    parameters = dict(_by(tables["parameter"], "parameterId"))
    nominal = _nominal(tables["parameter"], parameters)
    observables = dict(_by(tables["observable"], "observableId"))
    used = _placeholders(tables["measurement"])
    changes: dict[str, Any] = {}
    columns: list[Column] = []
    for name, (line, row) in observables.items():
        of_rows = used.get(name, {})
        formula = _formula(tables["observable"], line, row["observableFormula"], of_rows)
        changes[name] = (formula, "", "an observable of PEtab")
        columns.append(_column(tables["observable"], line, name, row, of_rows, nominal))
    known = {canonical(one) for one in model.variables}
    changes |= {name: value for name, value in nominal.items() if canonical(name) in known}
    changes |= {
        name: (repr(value), "", "a parameter of PEtab")
        for name, value in nominal.items()
        if canonical(name) not in known
    }
    try:
        model = model.with_equations(changes)
    except (ModelError, UnknownName) as problem_there:
        sentence = f"an observableFormula: {problem_there.sentence}"
        raise InputError(sentence, files["observable"]) from None
    conditions = {
        name: _constants(tables["condition"], line, row, model)
        for name, (line, row) in _by(tables["condition"], "conditionId")
    }
    varied = any(conditions.values())
    if varied:
        model = with_conditions(model, conditions)
    with TemporaryDirectory() as scratch:
        data = Path(scratch) / files["measurement"].with_suffix(".csv").name
        data.write_text(_wide(tables["measurement"], list(observables), conditions, varied))
        series = read_series(data, model, columns=columns)
        priors = Path(scratch) / "priors.toml"
        priors.write_text(_priors(tables["parameter"], parameters), encoding="utf-8")
        searched: Priors = read_priors(priors, model)
    return study_in_memory(
        model,
        series,
        searched,
        {**files, "problem": path},
        title=path.stem,
        integration=integration,
    )


def _files(path: Path) -> dict[str, Path]:
    """Model and tables that the YAML file names."""
    yaml = need("yaml", "scale", to="a PEtab problem")
    try:
        content = yaml.safe_load(read_text(path, InputError).text)
    except yaml.YAMLError as problem:
        raise InputError(f"this is not YAML ({str(problem).splitlines()[0]})", path) from None
    if not isinstance(content, dict) or not content.get("problems"):
        raise InputError("this is not a PEtab problem: it has no list 'problems'", path)
    version = str(content.get("format_version", "1"))
    if version.split(".")[0] != "1":
        raise InputError(f"format_version {version} is not supported; convert it to 1", path)
    if len(content["problems"]) > 1:
        raise InputError("several problems in one file are not supported; split them", path)
    (one,) = content["problems"]
    named = {"parameter": content.get("parameter_file")}
    for name in ("condition", "measurement", "observable"):
        named[name] = one.get(f"{name}_files")
    models = one.get("model_files") or one.get("sbml_files")
    if isinstance(models, dict):
        models = [entry["location"] for entry in models.values()]
    named["model"] = models
    found = {}
    for name, given in named.items():
        several = given if isinstance(given, list) else [given]
        if len(several) != 1 or not isinstance(several[0], str):
            raise InputError(f"the problem names {len(several)} {name} files; expected one", path)
        found[name] = path.parent / several[0]
    if (
        found["model"].suffix.lower() in (".xml", ".sbml")
        and "sbml" in read_text(found["model"], InputError).text[:2000].lower()
    ):
        raise InputError(
            "the model is SBML; give the same model as .mdl or .xmile under model_files", path
        )
    return found


def _read(path: Path) -> _Table:
    text = read_text(path, TableError)
    rows = csv.DictReader(io.StringIO(text.text), delimiter="\t")
    kept = tuple(
        (line, {key: (cell or "").strip() for key, cell in row.items() if key})
        for line, row in enumerate(rows, start=2)
    )
    if not kept:
        raise TableError("the table has no rows", path)
    return _Table(text, kept)


def _by(table: _Table, key: str) -> Iterator[tuple[str, tuple[int, Mapping[str, str]]]]:
    for line, row in table.rows:
        if not row.get(key):
            raise table.refusal(line, f"the row has no {key}")
        yield row[key], (line, row)


def _nominal(table: _Table, rows: Mapping[str, tuple[int, Mapping[str, str]]]) -> dict[str, float]:
    found = {}
    for name, (line, row) in rows.items():
        if row.get("nominalValue"):
            found[name] = table.number(line, "nominalValue", row["nominalValue"])
        elif row.get("estimate") == "1":
            low, high = (
                table.number(line, key, row.get(key, "")) for key in ("lowerBound", "upperBound")
            )
            found[name] = math.sqrt(low * high) if low > 0 else 0.5 * (low + high)
        else:
            raise table.refusal(line, f"{quoted(name)} is not estimated and has no nominalValue")
    return found


def _placeholders(table: _Table) -> dict[str, dict[str, str]]:
    """The value of each placeholder, by observable; the same in all of its rows."""
    found: dict[str, dict[str, str]] = {}
    for line, row in table.rows:
        if row.get("preequilibrationConditionId"):
            raise table.refusal(
                line,
                "preequilibrationConditionId is not supported; let the stocks of the model begin "
                "at the steady state of that condition, and leave the column empty",
            )
        own: dict[str, str] = {}
        for kind in ("observable", "noise"):
            cells = [c for c in row.get(f"{kind}Parameters", "").split(";") if c]
            own |= {f"{kind}Parameter{k}": cell for k, cell in enumerate(cells, start=1)}
        name = row.get("observableId", "")
        if found.setdefault(name, own) != own:
            raise table.refusal(
                line,
                f"observableParameters or noiseParameters of {quoted(name)} differ between rows, "
                "which is not supported; make them observables of their own",
            )
    return found


def _formula(table: _Table, line: int, formula: str, of_rows: Mapping[str, str]) -> str:
    """Formula of an observable in the language of models."""

    def value(match: re.Match[str]) -> str:
        key = f"{match[1]}Parameter{match[2]}"
        if key not in of_rows:
            raise table.refusal(line, f"no measurement gives {match[0]} a value")
        return of_rows[key]

    text = _PLACEHOLDER.sub(value, formula).replace("**", "^")

    def function(match: re.Match[str]) -> str:
        if match[1] not in _FUNCTIONS:
            raise table.refusal(line, f"the function {match[1]} of a formula is not supported")
        return f"{_FUNCTIONS[match[1]]}("

    return re.sub(r"\b([A-Za-z_]\w*)\s*\(", function, text)


def _column(
    table: _Table,
    line: int,
    name: str,
    row: Mapping[str, str],
    of_rows: Mapping[str, str],
    nominal: Mapping[str, float],
) -> Column:
    distribution = row.get("noiseDistribution") or "normal"
    transformation = row.get("observableTransformation", "")
    if distribution != "normal":
        raise table.refusal(line, f"noiseDistribution {quoted(distribution)} is not supported")
    if transformation not in _TRANSFORMATIONS:
        raise table.refusal(line, f"observableTransformation {quoted(transformation)} is unknown")
    noise = _formula(table, line, row.get("noiseFormula", ""), of_rows).strip()
    factor = _TRANSFORMATIONS[transformation]
    family: ErrorFamily = "lognormal" if factor else "normal"
    if noise in nominal:
        errors = ErrorModel(family, (factor or 1.0) * nominal[noise], scale_by=noise, name=name)
    else:
        try:
            errors = ErrorModel(family, (factor or 1.0) * float(noise), name=name)
        except ValueError:
            raise table.refusal(
                line,
                f"noiseFormula {quoted(noise)} is neither a number nor a parameter; others are not "
                "supported",
            ) from None
    return Column(name, name, errors)


def _constants(
    table: _Table, line: int, row: Mapping[str, str], model: Model
) -> dict[str, float | str]:
    own: dict[str, float | str] = {}
    for name, cell in row.items():
        if name in ("conditionId", "conditionName") or not cell or cell.lower() == "nan":
            continue
        try:
            variable = model.find(name)
        except UnknownName as unknown:
            raise table.refusal(line, f"the condition sets {unknown.sentence}") from None
        if variable.kind != "constant":
            raise table.refusal(
                line,
                f"the condition sets {quoted(name)}, a {variable.kind}; give its initial value a "
                "constant of its own and set that",
            )
        try:
            own[variable.name] = float(cell)
        except ValueError:
            own[variable.name] = cell
    return own


def _wide(
    table: _Table, observables: list[str], conditions: Mapping[str, Any], varied: bool
) -> str:
    """Measurements as a table of columns, one row each, so that line numbers stay the same."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["time", *(["condition"] if varied else []), *observables])
    for line, row in table.rows:
        condition, name = row.get("simulationConditionId", ""), row.get("observableId", "")
        for what, cell, known in (
            ("simulationConditionId", condition, conditions),
            ("observableId", name, observables),
        ):
            if cell not in known:
                raise table.refusal(line, f"{what} {quoted(cell)} is in no table")
        time = table.number(line, "time", row.get("time", ""))
        value = table.number(line, "measurement", row.get("measurement", ""))
        cells = [repr(value) if one == name else "" for one in observables]
        writer.writerow([repr(time), *([condition] if varied else []), *cells])
    return out.getvalue()


def _priors(table: _Table, rows: Mapping[str, tuple[int, Mapping[str, str]]]) -> str:
    """Priors of the estimated parameters as TOML."""
    parts = []
    for name, (line, row) in rows.items():
        if row.get("estimate") != "1":
            continue
        low, high = (
            table.number(line, key, row.get(key, "")) for key in ("lowerBound", "upperBound")
        )
        kind = row.get("objectivePriorType") or "parameterScaleUniform"
        given = [c for c in row.get("objectivePriorParameters", "").split(";") if c]
        numbers = [table.number(line, "objectivePriorParameters", cell) for cell in given]
        scale = row.get("parameterScale", "lin")
        if kind == "normal" and len(numbers) == 2:
            said = f'distribution = "normal"\nmean = {numbers[0]!r}\nsd = {numbers[1]!r}'
        elif kind == "logNormal" and len(numbers) == 2:
            median = math.exp(numbers[0])
            said = f'distribution = "lognormal"\nmedian = {median!r}\nlog_sd = {numbers[1]!r}'
        elif kind in ("uniform", "parameterScaleUniform"):
            by_log = kind == "parameterScaleUniform" and scale in ("log", "log10")
            if numbers:
                ends = numbers
                if by_log:
                    ends = [math.exp(x) if scale == "log" else 10.0**x for x in numbers]
                low, high = max(low, ends[0]), min(high, ends[1])
            said = f'distribution = "{"log_uniform" if by_log else "uniform"}"'
        else:
            raise table.refusal(line, f"objectivePriorType {quoted(kind)} is not supported")
        parts.append(f"[{json.dumps(name)}]\n{said}\nbounds = [{low!r}, {high!r}]\n")
    if not parts:
        raise TableError("no parameter has estimate 1", table.text.path)
    return "\n".join(parts)
