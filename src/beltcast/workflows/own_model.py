"""Your own model, table and priors, as a study in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from beltcast.engine.run.plan import Method, Stepping
from beltcast.engine.syntax import canonical
from beltcast.errors import InputError, PriorError
from beltcast.files.text import file_sha256
from beltcast.inference.assemble import likelihood_of
from beltcast.inference.likelihood import Likelihood
from beltcast.model.conditions import CONDITION, read_conditions, with_conditions
from beltcast.model.model import Model, load_model
from beltcast.model.variants import move
from beltcast.study.columns import read_columns
from beltcast.study.priors import Priors
from beltcast.study.scenarios import Scenario
from beltcast.study.series import Series, read_series
from beltcast.study.series_study import flow_to_forecast
from beltcast.study.study import Study, any_priors
from beltcast.study.table_sheets import read_tables
from beltcast.study.vensim_files import read_cin, read_vpd


@dataclass(frozen=True, eq=False)
class OwnModel:
    """A study in memory, made from files that are not a study.

    Attributes
    ----------
    study : Study
        Its target is a flow that is observed or belongs to an observed stock, else empty.
    assumed : tuple of str
        What `read_series` assumes because the files do not define it, one sentence each.
    """

    study: Study
    assumed: tuple[str, ...]

    @cached_property
    def likelihood(self) -> Likelihood:
        """Likelihood of the study."""
        return likelihood_of(self.study)


def read_own_model(
    model: Path,
    data: Path | Sequence[Path],
    priors: Path,
    *,
    columns: Path | None = None,
    payoff: Path | None = None,
    changes: Path | None = None,
    conditions: Path | None = None,
    integration: Stepping | Method | None = None,
) -> OwnModel:
    """Read a model, a table of times and values, and priors.

    Parameters
    ----------
    model : Path
        A model (.mdl, .xmile).
    data : Path, or several
        Tables (.csv) with times in the first column and a variable in each other one.
    priors : Path
        Priors (.toml), or Vensim's optimization control (.voc).
    columns : Path, optional
        Readings and errors of columns (.toml).
    payoff : Path, optional
        Which variable is compared with which column (.vpd).
    changes : Path, optional
        Other values of constants (.cin).
    conditions : Path, optional
        Sets of constants under which the model is run (.toml); a column ``condition`` of the data
        names them.
    integration : str or Stepping, optional
        Method, or one with its tolerance (`beltcast.engine.run.plan.stepping`); by default the one
        in the model file.

    Raises
    ------
    InputError, ModelError
        With file and line: the first problem in any of them.
    """
    loaded = load_model(model, method=integration)
    if changes is not None:
        loaded = move(loaded, read_cin(changes, loaded))
    if conditions is not None:
        loaded = with_conditions(
            loaded, read_conditions(conditions), estimated=_per_condition(priors, loaded)
        )
    compared = () if payoff is None else read_vpd(payoff, loaded)
    tables = [data] if isinstance(data, Path) else list(data)
    known = () if columns is None else read_columns(columns)
    series = read_series(tables, loaded, payoff=compared, columns=known)
    searched = any_priors(priors, loaded)
    files = {"model": model, "priors": priors, "payoff": payoff, "changes": changes}
    files |= {
        "conditions": conditions,
        "columns": columns,
        **{f"data {k + 1}": one for k, one in enumerate(tables)},
    }
    return study_in_memory(
        loaded,
        series,
        searched,
        {name: path for name, path in files.items() if path},
        title=model.stem,
        integration=integration,
    )


def _per_condition(priors: Path, model: Model) -> list[str]:
    """Constants that each condition has a prior for."""
    if priors.suffix.lower() == ".voc":
        return []
    tables = read_tables(priors, "priors", PriorError).tables
    differing = {
        canonical(header)
        for header, table in tables.items()
        if isinstance(table, dict) and canonical(str(table.get("per", ""))) == canonical(CONDITION)
    }
    # `read_priors` refuses any other name.
    return [
        one.name
        for one in model.variables.values()
        if one.kind == "constant" and not one.dims and canonical(one.name) in differing
    ]


def study_in_memory(
    model: Model,
    series: Series,
    priors: Priors,
    files: Mapping[str, Path],
    *,
    title: str,
    integration: Stepping | Method | None,
) -> OwnModel:
    """Assemble a study from what was read.

    Parameters
    ----------
    model : Model
    series : Series
    priors : Priors
    files : mapping of str to Path
        The files read, for provenance.
    title : str
    integration : str, Stepping or None
        Method, if another than the model file's was requested.
    """
    hashes = {name: file_sha256(path, InputError) for name, path in files.items()}
    if integration is not None:
        hashes["integration"] = str(integration)
    try:
        target = flow_to_forecast(model, series, None)
    except InputError:
        target = ""
    study = Study(
        title=title,
        model=model,
        observations=series.observations,
        places={},
        titles={},
        priors=priors,
        scenarios={"baseline": Scenario("baseline", "Baseline")},
        noise=series.noise,
        hashes=hashes,
        target=target,
    )
    return OwnModel(study, tuple(series.assumed))
