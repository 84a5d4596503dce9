"""What commands share: options, opening a study, progress, and printing results."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

import beltcast
from beltcast.errors import InputError
from beltcast.schema import Progress, no_progress

if TYPE_CHECKING:
    import xarray as xr

    from beltcast.engine.run.plan import Method
    from beltcast.files.resume import Pieces
    from beltcast.inference.calibrate import Calibration
    from beltcast.model.model import Model
    from beltcast.schema import Language
    from beltcast.streams import Streams
    from beltcast.study.study import Study
    from beltcast.workflows.own_model import OwnModel

# Options that several commands share, each defined once.
StudyFile = Annotated[
    Path | None,
    typer.Argument(
        help="A study: a TOML file, its folder or its workbook. Default: the shipped belt study."
    ),
]
OwnScenarios = Annotated[
    Path | None,
    typer.Option(help="Your own scenarios (.toml or .xlsx). Default: those of the study."),
]
OnlyScenarios = Annotated[
    list[str] | None, typer.Option(help="Only these scenarios, and the first one as the reference.")
]
Integration = Annotated[
    str | None,
    typer.Option(
        help="euler, rk2, rk4, adaptive or stiff (implicit). Default: as the model file says."
    ),
]
ModelFile = Annotated[
    Path | None, typer.Option("--model", help="Instead of a study: a model (.mdl, .xmile),")
]
DataFiles = Annotated[
    list[Path] | None,
    typer.Option("--data", help="tables (.csv or .xlsx) of times and values of its variables,"),
]
PriorsFile = Annotated[
    Path | None,
    typer.Option(
        "--priors",
        help="and priors (.toml or .xlsx), or Vensim's optimization control (.voc).",
    ),
]
ColumnsFile = Annotated[
    Path | None,
    typer.Option("--columns", help="With --model: readings and errors of columns (.toml)."),
]
PayoffFile = Annotated[
    Path | None,
    typer.Option(
        "--payoff", help="With --model: which variable is compared with which data (.vpd)."
    ),
]
ConditionsFile = Annotated[
    Path | None,
    typer.Option(
        "--conditions",
        help="With --model: sets of constants (.toml), named in a column 'condition' of the data.",
    ),
]
ChangesFile = Annotated[
    Path | None, typer.Option("--changes", help="With --model: other values of constants (.cin).")
]
Seed = Annotated[int, typer.Option(help="Seed of the random numbers.")]
Starts = Annotated[int, typer.Option(help="Starting points of the calibration.", min=1)]
Saved = Annotated[
    Path | None,
    typer.Option(help="Results of 'beltcast calibrate' to use instead of a new fit."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Resume a run that was stopped.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
InLanguage = Annotated[
    str | None, typer.Option("--language", help="en or zh. Default: that of the locale.")
]
Output = Annotated[
    Path | None, typer.Option(help="Folder for the results. Default: a folder in runs/.")
]


def integration_of(name: str | None) -> Method | None:
    """Return the method of integration that an option names."""
    if name is None:
        return None
    from beltcast.engine.run.plan import integration_method

    return integration_method(name)


def open_study(path: Path | None) -> Study:
    """Read the study that a command is given, or the shipped one."""
    from beltcast.study.study import read_study

    return read_study(path)


def open_either(
    study: Path | None,
    as_json: bool,
    *,
    model: Path | None,
    data: list[Path] | None,
    priors: Path | None,
    columns: Path | None,
    payoff: Path | None,
    changes: Path | None,
    conditions: Path | None,
    integration: str | None,
) -> Study:
    """Read a study, or make one in memory of a model, tables and priors; say what it assumes."""
    if model is None:
        if data or columns or priors or payoff or changes or conditions or integration:
            raise InputError(
                "--data, --columns, --priors, --payoff, --changes, --conditions and --integration "
                'need --model; add it (a study says integration = "stiff")'
            )
        return open_study(study)
    if study is not None:
        raise InputError("both a study and --model are given; keep one of them")
    if model.suffix.lower() in (".yaml", ".yml"):
        if data or priors or columns or payoff or changes or conditions:
            raise InputError(f"{model.name} is a PEtab problem, which names its own tables")
        from beltcast.workflows.petab import read_petab

        own = read_petab(model, integration=integration_of(integration))
        return _said(own, as_json)
    if not data or priors is None:
        raise InputError("--model needs observations and priors; add --data and --priors")
    from beltcast.workflows.own_model import read_own_model

    own = read_own_model(
        model,
        data,
        priors,
        columns=columns,
        payoff=payoff,
        changes=changes,
        conditions=conditions,
        integration=integration_of(integration),
    )
    return _said(own, as_json)


def _said(own: OwnModel, as_json: bool) -> Study:
    for sentence in own.assumed:
        typer.echo(f"assumed: {sentence}", err=as_json)
    return own.study


def streams_of(seed: int) -> Streams:
    """Return the named streams of random numbers of a seed."""
    from beltcast.streams import Streams  # here, so that --help need not wait for NumPy

    return Streams(seed)


def language_of(given: str | None) -> Language:
    """Return the language that is given, else that of the locale."""
    from beltcast.display.translations import checked_language, locale_language

    return locale_language(os.environ) if given is None else checked_language(given)


def with_scenarios(study: Study, names: list[str] | None) -> Study:
    """Keep the named scenarios and the first one, which the others are compared with."""
    if not names:
        return study
    from dataclasses import replace

    from beltcast.study.scenarios import select

    first = next(iter(study.scenarios))
    ordered = dict.fromkeys([first, *names])
    return replace(study, scenarios=select(study.scenarios, ordered))


def with_own_scenarios(study: Study, path: Path | None) -> Study:
    """Replace the scenarios of a study by those of a file, except the first one."""
    if path is None:
        return study
    from dataclasses import replace

    from beltcast.study.scenarios import read_scenarios

    own = read_scenarios(path, study.model)
    # The study's first scenario stays the reference, unless the file defines one of that name.
    first = dict(list(study.scenarios.items())[:1])
    return replace(study, scenarios={**first, **own})


def keep_work(study: Study, place: Path, resume: bool, **options: object) -> Pieces:
    """Keep finished parts of a command's work beside its results until the results are complete."""
    from beltcast.files.resume import keep_pieces, unfinished

    said = {name: str(value) for name, value in options.items()}
    return keep_pieces(unfinished(place), {**study.hashes, **said}, resume=resume)


def refuse_instant(model: Model, time: float, option: str = "--year") -> None:
    """Refuse a time outside the model's range before anything is computed."""
    grid = model.grid()
    # Not a number is outside too.
    if not grid.start <= time <= grid.end:
        raise InputError(
            f"{option} is {time:g}; the model '{model.name}' runs from {grid.start:g} to "
            f"{grid.end:g}; choose a time in that range"
        )


def refuse_year(model: Model, year: int) -> None:
    """Refuse a year that the model does not cover completely, before anything is computed."""
    grid = model.grid()
    if not math.ceil(grid.start) <= year <= math.floor(grid.end) - 1:
        raise InputError(
            f"--year is {year}; the model '{model.name}' runs from {grid.start:g} to "
            f"{grid.end:g}; choose a year from {math.ceil(grid.start)} to "
            f"{math.floor(grid.end) - 1}"
        )


def print_json(command: str, folder: Path, **facts: object) -> None:
    """Print the result of a command as one JSON object."""
    from beltcast.reports.json_output import json_text

    known = {"command": command, "version": beltcast.__version__, "folder": folder.as_posix()}
    typer.echo(json_text({**known, **facts}))


def finish(
    command: str,
    folder: Path,
    page: RenderableType,
    as_json: bool,
    facts: Callable[[], Mapping[str, object]],
    language: Language = "en",
) -> None:
    """Print the result of a command and its folder, or one JSON object."""
    from beltcast.display.translations import word

    if as_json:
        print_json(command, folder, **facts())
        return
    if isinstance(page, str):  # unchanged: rich would wrap it and colour its numbers
        typer.echo(page)
    else:
        console().print(page)
    typer.echo(word("wrote", language, path=f"{folder}{'' if folder.is_file() else '/'}"))


def save(folder: Path, page: RenderableType, **results: xr.Dataset) -> None:
    """Write each result as NAME.nc, and the page as summary.txt."""
    from beltcast.forecasting.summary import as_text

    for name, result in results.items():
        result.to_netcdf(folder / f"{name}.nc", engine="netcdf4")
    text = f"{page}\n" if isinstance(page, str) else as_text(page)
    (folder / "summary.txt").write_text(text, encoding="utf-8")


def write_calibration(fit: Calibration, folder: Path, hashes: Mapping[str, str]) -> None:
    """Write a fit: one file to load again, and two tables to read."""
    from beltcast.inference.saved import save_calibration

    save_calibration(fit, folder, hashes)
    fit.table().to_csv(folder / "calibration.csv", float_format="%.6g")
    fit.fit_table().to_csv(folder / "fit.csv", index=False, float_format="%.6g")


def folder_of(output: Path | None, study: Path | None, ending: str = "") -> Path:
    """Return the folder for the results of a command."""
    from beltcast.study.study import study_name

    return output or Path("runs") / (study_name(study) + ending)


def console() -> Console:
    """Return a console as wide as the tables, also in a pipe."""
    # A pipe reports 80 columns, which would wrap the tables.
    from beltcast.forecasting.summary import PAGE_WIDTH

    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=PAGE_WIDTH, highlight=False)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress on a terminal; show nothing when piped."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    columns = (TextColumn("{task.description:12s}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, *times, console=Console(stderr=True)) as bars:
        tasks: dict[str, object] = {}

        def tell(what: str, done: int, total: int, /) -> None:
            # The text after a colon changes while the task runs.
            key = what.partition(":")[0]
            if key not in tasks:
                tasks[key] = bars.add_task(what, total=total)
            bars.update(tasks[key], completed=done, description=what)  # type: ignore[arg-type]  # a TaskID of rich

        yield tell
