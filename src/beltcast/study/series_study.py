"""Write a study from a model, a table of times and values, and priors.

`read_series` assumes what such a table does not state, so that ``beltcast calibrate --model`` can
fit it.  `write_study` writes the same assumptions as a study: the observations with their
periods and units, their noise, and the target.  All commands run on the study, from ``check`` to
``report``, and every assumption is a line that its owner can change.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from beltcast.engine.run.plan import Method, Stepping
from beltcast.errors import InputError, UnknownName, quoted
from beltcast.files.complete import complete_folder
from beltcast.model.model import Model, load_model
from beltcast.model.quantities import is_flow, same_unit
from beltcast.study.columns import Column
from beltcast.study.error_models import error_model_text
from beltcast.study.observations_file import COLUMNS
from beltcast.study.series import Payoff, Series, read_series
from beltcast.study.starter import check_folder, check_title
from beltcast.study.study import STUDY_FILE, read_study


def write_study(
    folder: str | Path,
    *,
    model: str | Path,
    data: str | Path,
    priors: str | Path,
    target: str | None = None,
    payoff: Sequence[Payoff] = (),
    columns: Sequence[Column] = (),
    title: str | None = None,
    integration: Stepping | Method | None = None,
) -> tuple[str, ...]:
    r"""Write a study of a model, a table and priors.

    Parameters
    ----------
    folder : str or Path
        Must not exist yet, or be empty.
    model, data, priors : str or Path
        As `load_model` and `read_series` read them; priors as TOML or as a ``.voc`` of Vensim.
    target : str, optional
        The flow to forecast; by default the first observed flow, else a flow in the unit of an
        observed stock.
    payoff : sequence of Payoff, optional
        See `read_series`.
    columns : sequence of Column, optional
        See `read_series`.
    title : str, optional
        The name of the folder by default.
    integration : str, optional
        Method, as for `load_model`.

    Returns
    -------
    tuple of str
        Assumptions, one sentence each.

    Raises
    ------
    InputError
        The folder is not empty, there is no flow to forecast, or a file is wrong.

    Examples
    --------
    >>> from pathlib import Path
    >>> from beltcast import load_model, read_study, write_study
    >>> from beltcast.files.shipped import shipped
    >>> model = shipped("models/sir/sir.mdl")
    >>> found = load_model(model).simulate(outputs=["infection"])["infection"]
    >>> rows = "".join(f"{t},{float(found.sel(time=t)):.6g}\n" for t in range(1, 9))
    >>> _ = Path("flu.csv").write_text("time,infection\n" + rows)
    >>> _ = Path("flu.voc").write_text("1 <= Contact Rate = 2 <= 3\n")
    >>> _ = write_study("flu", model=model, data="flu.csv", priors="flu.voc")
    >>> read_study("flu").target
    'infection'
    """
    folder, model, priors = Path(folder), Path(model), Path(priors)
    check_folder(folder)
    name = check_title(title or folder.resolve().name)
    loaded = load_model(model, method=integration)
    series = read_series(data, loaded, payoff=payoff, columns=columns)
    chosen = flow_to_forecast(loaded, series, target)
    own_priors = f"priors{priors.suffix}"
    texts = {
        "observations.csv": _observations(series, Path(data).name),
        STUDY_FILE: _study(name, model.name, own_priors, chosen, series, integration),
    }
    copies = {model.name: model, own_priors: priors}
    with TemporaryDirectory() as scratch:
        _write(Path(scratch), texts, copies)
        read_study(scratch)
    with complete_folder(folder) as work:
        _write(work, texts, copies)
    return (*series.assumed, f"the target is {chosen}, a flow; --target names another one")


def _write(folder: Path, texts: dict[str, str], copies: dict[str, Path]) -> None:
    for name, text in texts.items():
        encoding = "utf-8-sig" if name.endswith(".csv") else "utf-8"
        (folder / name).write_text(text, encoding=encoding)
    for name, path in copies.items():
        (folder / name).write_bytes(path.read_bytes())


def flow_to_forecast(model: Model, series: Series, given: str | None) -> str:
    """Find the flow to forecast: one given, one observed, or one of an observed stock.

    Raises
    ------
    InputError
        There is no such flow.
    """
    if given is not None:
        try:
            return model.find(given).name
        except UnknownName as problem:
            raise InputError(f"target: {problem.sentence}") from None
    observed = list(dict.fromkeys(row.quantity for row in series.observations))
    flows = [v for v in model.variables.values() if v.kind == "auxiliary" and is_flow(v.unit)]
    for name in observed:
        if is_flow(model.find(name).unit):
            return name
    for name in observed:
        own = model.find(name)
        for flow in flows:
            if flow.dims == own.dims and same_unit(flow.unit, f"{own.unit}/{model.time_unit}"):
                return flow.name
    if not flows:
        raise InputError(
            f"the model has no auxiliary in a unit per {model.time_unit}, so there is no flow to "
            "forecast; give a rate of the model a name of its own, or forecast the observed "
            "variables with 'beltcast forecast --model'"
        )
    raise InputError(
        f"no flow of the model is observed or belongs to {', '.join(map(quoted, observed))}; name "
        "the flow to forecast with --target"
    )


def _observations(series: Series, source: str) -> str:
    slugs = _slugs(series)
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    columns = (*COLUMNS, "reading", "rounded")
    table.writerow(columns)
    for row in series.observations:
        cells = {
            "place": row.place,
            "quantity": row.quantity,
            "kind": row.kind,
            "start": f"{row.start:.10g}",
            "end": f"{row.end:.10g}",
            "value": f"{row.value:.15g}",
            "unit": row.unit or "Dmnl",
            "definition": slugs[row.definition],
            "vintage": row.vintage,
            "grade": row.grade,
            "published": f"{row.published:.10g}",
            "source": source,
            "note": f"line {row.line}",
            "reading": row.reading,
            "rounded": f"{row.within[1] - row.within[0]:.10g}" if row.within else "",
        }
        table.writerow([cells.get(name, "") for name in columns])
    return stream.getvalue()


def _text(value: str) -> str:
    """A string of TOML, whose escapes are those of JSON."""
    return json.dumps(value, ensure_ascii=False)


def _slugs(series: Series) -> dict[str, str]:
    """Definition to a name that a table of a study may have."""
    return {name: f"series-{k}" for k, name in enumerate(series.noise.definitions, start=1)}


def _study(
    title: str,
    model: str,
    priors: str,
    target: str,
    series: Series,
    integration: Stepping | Method | None,
) -> str:
    by = ""
    if integration:
        way = Stepping(integration) if isinstance(integration, str) else integration
        by = f'\nintegration = "{way.method}"'
        if way != Stepping(way.method):
            by += f"\nrtol = {way.rtol!r}\natol = {way.atol!r}"
    slugs = _slugs(series)
    assumed = "".join(f"# - {sentence}\n" for sentence in series.assumed)
    definitions = "\n".join(
        f"[definitions.{slugs[name]}]\ntitle = {_text(one.title)}\noffset_sd = 0.0\n"
        f"trend_sd = 0.0\nnoise = {one.noise:.10g}\n"
        + (f"{error_model_text(one.errors)}\n" if one.errors else "")
        for name, one in series.noise.definitions.items()
    )
    return f"""# Written from a model, a table of times and values, and priors. It assumes:
{assumed}# The standard deviation of relative errors is one of a logarithm: 0.1 is about 10 %.

[study]
title = {_text(title)}
model = {_text(model)}{by}
observations = "observations.csv"
priors = {_text(priors)}
# scenarios = "scenarios.toml" compares other values of constants with the model as it stands;
# places = "places.csv" names sums over a subscript range.
# What is forecast: a flow of the model.
target = {_text(target)}

[noise]
# Added to the noise of a definition by grade and release of a row.
grade = {{ A = 0.0, B = 0.0, C = 0.0 }}
vintage = {{ final = 0.0, revised = 0.0, preliminary = 0.0, only = 0.0 }}
# Shocks of single years.
year_shock = {{ default = 0.0 }}

{definitions}"""
