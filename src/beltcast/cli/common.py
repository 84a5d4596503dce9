"""What commands do at their beginning and end: open a study, fit, show progress, name a folder."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

import beltcast
from beltcast.errors import (
    InputError,
    did_you_mean,
)

if TYPE_CHECKING:
    import numpy as np

    from beltcast.files.resume import Pieces
    from beltcast.inference.calibrate import Calibration
    from beltcast.inference.likelihood import Likelihood
    from beltcast.inference.sampling.posterior import Draws
    from beltcast.model.model import Model
    from beltcast.streams import Streams
    from beltcast.study.study import Study

# Options that several commands share, each defined once.
StudyFile = Annotated[
    Path | None,
    typer.Argument(help="A study (.toml, or a folder of one); the shipped belt study by default."),
]
OwnScenarios = Annotated[
    Path | None, typer.Option(help="Scenarios (.toml) of your own; the study's by default.")
]
OnlyScenarios = Annotated[
    list[str] | None, typer.Option(help="Only these scenarios; the first one stays.")
]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.")]
Starts = Annotated[int, typer.Option(help="Starts of the calibration.", min=1)]
Saved = Annotated[
    Path | None,
    typer.Option(help="Results of 'beltcast calibrate' to begin with, instead of a new fit."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Output = Annotated[Path | None, typer.Option(help="Folder of the results; runs/NAME by default.")]


def open_study(path: Path | None) -> Study:
    """Read the study that a command is given; the shipped one by default."""
    from beltcast.study.study import read_study

    return read_study(path)


def streams_of(seed: int) -> Streams:
    """Return the named streams of random numbers of a seed."""
    from beltcast.streams import Streams  # here, so that --help need not wait for NumPy

    return Streams(seed)


def with_scenarios(study: Study, names: list[str] | None) -> Study:
    """Keep only the scenarios that were asked for, and the first, which others are compared to."""
    if not names:
        return study
    from dataclasses import replace

    from beltcast.study.scenarios import select

    first = next(iter(study.scenarios))
    ordered = dict.fromkeys([first, *names])
    return replace(study, scenarios=select(study.scenarios, ordered))


def with_own_scenarios(study: Study, path: Path | None) -> Study:
    """Put a user's scenarios in the place of the study's, but for its first."""
    if path is None:
        return study
    from dataclasses import replace

    from beltcast.study.scenarios import read_scenarios

    own = read_scenarios(path, study.model)
    # What is compared with is the study's first scenario, unless the file brings its own.
    first = dict(list(study.scenarios.items())[:1])
    return replace(study, scenarios={**first, **own})


def calibrated(
    study: Study,
    rng: np.random.Generator,
    starts: int,
    tell: Callable[[str, int, int], None],
    saved: Path | None = None,
    path: Path | None = None,
    pieces: Pieces | None = None,
) -> Calibration:
    """Fit, or open the fit that was saved of the same files."""
    from beltcast.inference.saved import CALIBRATION_FILE, load_calibration

    likelihood = likelihood_of(study)
    if saved is None:
        return fitted(likelihood, rng, starts, tell, "least_squares", pieces)
    folder = saved.parent if saved.name == CALIBRATION_FILE else saved
    named = "" if path is None else f" {path}"
    renew = f"beltcast calibrate{named} --output {folder}"
    return load_calibration(saved, likelihood, study.hashes, renew=renew)


def fitted(
    likelihood: Likelihood,
    rng: np.random.Generator,
    starts: int,
    tell: Callable[[str, int, int], None],
    method: str,
    pieces: Pieces | None = None,
) -> Calibration:
    """Fit with progress, by a method that exists."""
    from beltcast.files.resume import NOT_KEPT
    from beltcast.inference.calibrate import calibrate as fit
    from beltcast.inference.optimise import FitMethod

    known = next((m for m in get_args(FitMethod) if m == method), None)
    if known is None:
        raise InputError(f"unknown method '{method}'{did_you_mean(method, get_args(FitMethod))}")
    kept = pieces or NOT_KEPT
    return fit(likelihood, rng=rng, starts=starts, method=known, pieces=kept, progress=tell)


def likelihood_of(study: Study) -> Likelihood:
    """Return the likelihood of a study."""
    from beltcast.inference.likelihood import make_likelihood

    return make_likelihood(study.model, study.priors, study.observations, study.noise)


def draws_of(
    study: Study,
    fit: Calibration | None,
    count: int,
    rng: np.random.Generator,
    tell: Callable[[str, int, int], None],
    pieces: Pieces | None = None,
) -> Draws:
    """Draw from the posterior of a fit, or from the priors where there is none."""
    from beltcast.files.resume import NOT_KEPT
    from beltcast.inference.sampling.posterior import Draws, sample, sample_prior

    if fit is None:
        return sample_prior(likelihood_of(study), count, rng=rng)

    def draw() -> dict[str, object]:
        made = sample(fit, count, rng=rng, progress=tell)
        numbers = made.acceptance, made.start_correlation
        return {"theta": made.theta, "kind": made.kind, "numbers": numbers}

    kept = (pieces or NOT_KEPT).take("draws", draw)
    return Draws(fit.likelihood, kept["theta"], str(kept["kind"]), *map(float, kept["numbers"]))


def keep_work(study: Study, place: Path, resume: bool, **options: object) -> Pieces:
    """Keep finished pieces of a command's work beside its results, until these are in place."""
    from beltcast.files.resume import keep_pieces, unfinished

    said = {name: str(value) for name, value in options.items()}
    return keep_pieces(unfinished(place), {**study.hashes, **said}, resume=resume)


def refuse_instant(model: Model, time: float, option: str = "--year") -> None:
    """Refuse an instant at which the model does not run, before anything is computed."""
    grid = model.grid()
    # Not a number is outside too.
    if not grid.start <= time <= grid.end:
        raise InputError(
            f"{option} is {time:g}; the model '{model.name}' runs from {grid.start:g} to "
            f"{grid.end:g}, give an instant of that"
        )


def refuse_year(model: Model, year: int) -> None:
    """Refuse a year that the model does not run through whole, before anything is computed."""
    grid = model.grid()
    if not math.ceil(grid.start) <= year <= math.floor(grid.end) - 1:
        raise InputError(
            f"--year is {year}; the model '{model.name}' runs from {grid.start:g} to "
            f"{grid.end:g}, give a year from {math.ceil(grid.start)} to {math.floor(grid.end) - 1}"
        )


def print_json(command: str, folder: Path, **facts: object) -> None:
    """Print what a command found as one JSON object."""
    from beltcast.reports.json_output import json_text

    known = {"command": command, "version": beltcast.__version__, "folder": folder.as_posix()}
    typer.echo(json_text({**known, **facts}))


def finish(
    command: str,
    folder: Path,
    page: RenderableType,
    as_json: bool,
    facts: Callable[[], Mapping[str, object]],
) -> None:
    """Print what a command found: its page and where the files are, or one JSON object."""
    if as_json:
        print_json(command, folder, **facts())
        return
    if isinstance(page, str):  # as it stands: rich would fold it and colour its numbers
        typer.echo(page)
    else:
        console().print(page)
    typer.echo(f"Written to {folder}{'' if folder.is_file() else '/'}")


def write_calibration(fit: Calibration, folder: Path, hashes: Mapping[str, str]) -> None:
    """Write a fit: to open again, and to read."""
    from beltcast.inference.saved import save_calibration

    save_calibration(fit, folder, hashes)
    fit.table().to_csv(folder / "calibration.csv", float_format="%.6g")
    fit.fit_table().to_csv(folder / "fit.csv", index=False, float_format="%.6g")


def slug(label: str) -> str:
    """Turn a label into a part of a file name."""
    return "".join(c if c.isalnum() else "-" for c in label.lower()).strip("-")


def folder_of(output: Path | None, study: Path | None, ending: str = "") -> Path:
    """Return where the results of a command go."""
    from beltcast.study.study import study_name

    return output or Path("runs") / (study_name(study) + ending)


def console() -> Console:
    """Return a console as wide as the tables, also in a pipe."""
    # A terminal tells its width; a pipe does not, and 80 columns would fold the tables.
    from beltcast.forecasting.summary import PAGE_WIDTH

    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=PAGE_WIDTH, highlight=False)


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show progress on a terminal; say nothing when piped."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    columns = (TextColumn("{task.description:12s}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, *times, console=Console(stderr=True)) as bars:
        tasks: dict[str, object] = {}

        def tell(what: str, done: int, total: int) -> None:
            # What stands behind a colon changes while the task goes on.
            key = what.partition(":")[0]
            if key not in tasks:
                tasks[key] = bars.add_task(what, total=total)
            bars.update(tasks[key], completed=done, description=what)  # type: ignore[arg-type]  # a TaskID of rich

        yield tell
