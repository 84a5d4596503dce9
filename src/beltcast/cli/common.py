"""What commands share: options, opening a study, progress, and printing results."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_type_hints

import typer
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

import beltcast
from beltcast.cli.language import remember, said, said_page, say, speak
from beltcast.errors import InputError
from beltcast.schema import Progress, no_progress

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from beltcast.engine.run import plan
    from beltcast.files.resume import Pieces
    from beltcast.model.model import Model
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
Rtol = Annotated[
    float | None,
    typer.Option(help="Of adaptive and stiff steps: error over a stock's value. Default: 1e-7."),
]
Atol = Annotated[
    float | None,
    typer.Option(help="Of adaptive and stiff steps: error in a stock's unit. Default: 1e-16."),
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


@dataclass(frozen=True)
class OwnFiles:
    """Files of one's own instead of a study: a model, tables, priors and what belongs to them."""

    model: Annotated[
        Path | None, typer.Option(help="Instead of a study: a model (.mdl, .xmile),")
    ] = None
    data: Annotated[
        list[Path] | None,
        typer.Option(help="tables (.csv or .xlsx) of times and values of its variables,"),
    ] = None
    columns: Annotated[
        Path | None, typer.Option(help="With --model: readings and errors of columns (.toml).")
    ] = None
    priors: Annotated[
        Path | None,
        typer.Option(help="and priors (.toml or .xlsx), or Vensim's optimization control (.voc)."),
    ] = None
    payoff: Annotated[
        Path | None,
        typer.Option(help="With --model: which variable is compared with which data (.vpd)."),
    ] = None
    changes: Annotated[
        Path | None, typer.Option(help="With --model: other values of constants (.cin).")
    ] = None
    conditions: Annotated[
        Path | None,
        typer.Option(
            help="With --model: sets of constants (.toml), named in a column 'condition' of the "
            "data."
        ),
    ] = None
    integration: Integration = None
    rtol: Rtol = None
    atol: Atol = None

    def or_study(self, study: Path | None, as_json: bool) -> Study:
        """Read a study, or make one in memory of these files; say what it assumes."""
        if self.model is None:
            if self != OwnFiles():
                raise InputError(
                    "--data, --columns, --priors, --payoff, --changes, --conditions, "
                    "--integration, --rtol and --atol need --model; add it (a study says "
                    'integration = "stiff", rtol = 1e-9)'
                )
            return open_study(study)
        if study is not None:
            raise InputError("both a study and --model are given; keep one of them")
        own = self._petab() if self.model.suffix.lower() in (".yaml", ".yml") else self._read()
        for sentence in own.assumed:
            say(f"assumed: {sentence}", err=as_json)
        return remember(own.study)

    def _petab(self) -> OwnModel:
        allowed = OwnFiles(
            model=self.model, integration=self.integration, rtol=self.rtol, atol=self.atol
        )
        if self != allowed:
            raise InputError(
                f"{self.model and self.model.name} is a PEtab problem, which names its own tables"
            )
        from beltcast.workflows.petab import read_petab

        assert self.model is not None
        return read_petab(
            self.model, integration=integration_of(self.integration, self.rtol, self.atol)
        )

    def _read(self) -> OwnModel:
        if self.model is None or not self.data or self.priors is None:
            raise InputError("--model needs observations and priors; add --data and --priors")
        from beltcast.workflows.own_model import read_own_model

        return read_own_model(
            self.model,
            self.data,
            self.priors,
            columns=self.columns,
            payoff=self.payoff,
            changes=self.changes,
            conditions=self.conditions,
            integration=integration_of(self.integration, self.rtol, self.atol),
        )


@dataclass(frozen=True)
class Run:
    """Chance and results of a command: its seed, its folder, and how the result is printed."""

    seed: Seed = 1
    output: Output = None
    as_json: AsJson = False

    @property
    def streams(self) -> Streams:
        """The named streams of random numbers of the seed."""
        from beltcast.streams import Streams  # here, so that --help need not wait for NumPy

        return Streams(self.seed)

    def folder(self, study: Path | None, ending: str = "") -> Path:
        """Return the folder for the results."""
        from beltcast.study.study import study_name

        return self.output or Path("runs") / (study_name(study) + ending)

    @contextmanager
    def results(self, place: Path) -> Iterator[tuple[Path, Progress]]:
        """Give the folder of the results, which appears when it is complete, and the progress."""
        from beltcast.files.complete import complete_folder

        with complete_folder(place) as folder, progress() as tell:
            yield folder, tell

    def finish(
        self,
        command: str,
        folder: Path,
        page: RenderableType,
        facts: Callable[[], Mapping[str, object]],
    ) -> None:
        """Print the result and its folder, or one JSON object."""
        if self.as_json:
            print_json(command, folder, **facts())
            return
        if isinstance(page, str):  # unchanged: rich would wrap it and colour its numbers
            say(page)
        else:
            from beltcast.display.tables import narrowed

            shown = console()
            shown.print(narrowed(said_page(page), shown.width))
        say(f"Wrote {folder}{'' if folder.is_file() else '/'}")


@dataclass(frozen=True)
class LongRun(Run):
    """A run that can be stopped and resumed."""

    resume: Resume = False

    def pieces(self, study: Study, place: Path, **options: object) -> Pieces:
        """Keep finished parts beside the results until the results are complete."""
        from beltcast.files.resume import keep_pieces, unfinished

        said = {name: str(value) for name, value in {**options, "seed": self.seed}.items()}
        return keep_pieces(unfinished(place), {**study.hashes, **said}, resume=self.resume)


def one_by_one(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its language, and an option for each field of the options values it takes.

    Typer makes an option of each parameter and has no way to group options.
    """
    parameters: list[Parameter] = []
    values: dict[str, type[OwnFiles] | type[Run]] = {}
    for parameter in signature(command, eval_str=True).parameters.values():
        kind = parameter.annotation
        if not is_dataclass(kind):
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
            continue
        values[parameter.name] = kind  # type: ignore[assignment]  # a class of options
        hints = get_type_hints(kind, include_extras=True)
        parameters.extend(
            Parameter(
                field.name,
                Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=hints[field.name],
            )
            for field in fields(kind)
        )

    if own := "language" not in [parameter.name for parameter in parameters]:
        parameters.append(
            Parameter("language", Parameter.KEYWORD_ONLY, default=None, annotation=InLanguage)
        )

    def flat(**given: object) -> None:
        language = given.pop("language") if own else given["language"]
        speak(None if language is None else str(language))
        grouped = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})  # type: ignore[arg-type]  # as typer has checked
            for name, kind in values.items()
        }
        command(**given, **grouped)

    flat.__doc__ = command.__doc__
    flat.__annotations__ = {p.name: p.annotation for p in parameters}
    flat.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what inspect reads
    return flat


def integration_of(
    name: str | None, rtol: float | None, atol: float | None
) -> plan.Stepping | None:
    """Return the method of integration that an option names, with its tolerance."""
    if name is None:
        if (rtol, atol) != (None, None):
            raise InputError("--rtol and --atol need --integration adaptive or stiff; add it")
        return None
    from beltcast.engine.run.plan import stepping

    return stepping(name, rtol, atol)


def open_study(path: Path | None) -> Study:
    """Read the study that a command is given, or the shipped one."""
    from beltcast.study.study import read_study

    return remember(read_study(path))


def refuse_instant(model: Model, time: float, option: str = "--year") -> None:
    """Refuse a time outside the model's range before anything is computed."""
    grid = model.grid()
    # Not a number is outside too.
    if not grid.start <= time <= grid.end:
        raise InputError(
            f"{option} is {time:g}; the model '{model.name}' runs from {grid.start:g} to "
            f"{grid.end:g}; choose a time in that range"
        )


def refuse_years(model: Model, years: Mapping[str, int | None]) -> None:
    """Refuse years, by their options, that the model does not cover completely.

    It is asked before anything is computed.  Options in their order of time: a year must not be
    before the one above it.
    """
    grid, before = model.grid(), ""
    first, last = math.ceil(grid.start), math.floor(grid.end) - 1
    for option, year in years.items():
        if year is None:
            continue
        if not first <= year <= last:
            raise InputError(
                f"{option} is {year}; the model '{model.name}' runs from {grid.start:g} to "
                f"{grid.end:g}; choose a year from {first} to {last}"
            )
        if before and year < (years[before] or year):
            raise InputError(
                f"{option} is {year}, before {before} {years[before]}; choose a year from "
                f"{years[before]} to {last}"
            )
        before = option


def print_json(command: str, folder: Path, **facts: object) -> None:
    """Print the result of a command as one JSON object."""
    from beltcast.reports.json_output import json_text

    known = {"command": command, "version": beltcast.__version__, "folder": folder.as_posix()}
    typer.echo(json_text({**known, **facts}))


def save(
    folder: Path,
    page: RenderableType,
    results: Mapping[str, xr.Dataset] | None = None,
    charts: Mapping[str, Axes | Figure] | None = None,
) -> None:
    """Write each result as NAME.nc, each chart as NAME.png, and the page as summary.txt."""
    from beltcast.display.lines import save_chart
    from beltcast.forecasting.summary import as_text

    for name, result in (results or {}).items():
        result.to_netcdf(folder / f"{name}.nc", engine="netcdf4")
    for name, chart in (charts or {}).items():
        save_chart(chart, folder / f"{name}.png")
    page = said_page(page)
    text = f"{page}\n" if isinstance(page, str) else as_text(page)
    (folder / "summary.txt").write_text(text, encoding="utf-8")


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
                tasks[key] = bars.add_task(said(what), total=total)
            bars.update(tasks[key], completed=done, description=said(what))  # type: ignore[arg-type]  # a TaskID of rich

        yield tell
