"""The command line: ``beltcast forecast | calibrate | run | check``.

Exit codes: 0 done; 1 the computation failed, or a check found something; 2 the input is wrong;
130 interrupted.  Progress goes to standard error, and only to a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import beltcast
from beltcast.errors import (
    BeltcastError,
    CalibrationError,
    InputError,
    SimulationError,
)

if TYPE_CHECKING:
    from beltcast.calibrate import Calibration
    from beltcast.model import Model
    from beltcast.study import Study

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Forecasts of cross-border e-commerce industrial belts: what they rest on, what drives "
    "them, what happens if, and how sure.",
)

COMPRESSED = {"output": {"zlib": True, "complevel": 4}}
"""The members of a forecast are nearly all of its size."""

StudyFile = Annotated[
    Path | None, typer.Argument(help="A study (.toml); the shipped belt study by default.")
]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.")]
Starts = Annotated[int, typer.Option(help="Starts of the calibration.", min=1)]
Output = Annotated[Path | None, typer.Option(help="Folder of the results; runs/NAME by default.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"beltcast {beltcast.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Options before the command."""


@app.command()
def forecast(
    study: StudyFile = None,
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    seed: Seed = 1,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only these scenarios; the baseline comes first.")
    ] = None,
    output: Output = None,
) -> None:
    """Calibrate, run the scenarios and write a forecast.

    Leaves forecast.nc, a fan chart for each belt and the nation, calibration.csv (every estimate
    beside its prior), fit.csv (every published figure beside the fitted one) and summary.txt.

    For example:

        beltcast forecast

        beltcast forecast --draws 200 --scenario de-minimis-ends --output runs/parcels

        beltcast forecast mine/study.toml --seed 7
    """
    from beltcast.forecast import forecast as make_forecast
    from beltcast.plots import save_fan_charts
    from beltcast.results import complete_folder
    from beltcast.summary import as_text, summarise

    chosen = _with_scenarios(_study(study), scenario)
    rng = np.random.default_rng(seed)
    with complete_folder(_folder(output, study)) as folder:
        with _progress() as tell:
            fit = _calibrate(chosen, rng, starts, tell)
            result = make_forecast(
                chosen, fit, rng=rng, draws=draws, progress=tell, provenance={"seed": str(seed)}
            )
            _write_calibration(fit, folder)
            result.to_netcdf(folder / "forecast.nc", engine="netcdf4", encoding=COMPRESSED)
            tell("pictures", 0, 1)
            compare = "de-minimis-ends"
            save_fan_charts(result, str(folder), titles=chosen.titles, compare=compare)
            tell("pictures", 1, 1)
        page = summarise(result, fit)
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    _console().print(page)
    typer.echo(f"Written to {_folder(output, study)}/")


@app.command()
def calibrate(
    study: StudyFile = None,
    starts: Starts = 64,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Fit the parameters and write what the figures say about them.

    Leaves calibration.csv, fit.csv and summary.txt.

    For example:

        beltcast calibrate --starts 128 --output runs/fit
    """
    from beltcast.results import complete_folder

    chosen = _study(study)
    with complete_folder(_folder(output, study, "-fit")) as folder:
        with _progress() as tell:
            fit = _calibrate(chosen, np.random.default_rng(seed), starts, tell)
        _write_calibration(fit, folder)
        page = _fit_summary(fit)
        (folder / "summary.txt").write_text(page + "\n", encoding="utf-8")
    typer.echo(page)
    typer.echo(f"Written to {_folder(output, study, '-fit')}/")


@app.command()
def identify(
    study: StudyFile = None,
    starts: Starts = 64,
    seed: Seed = 1,
    profiles: Annotated[
        int, typer.Option(help="Profile this many of the best known shared parameters.", min=0)
    ] = 6,
    year: Annotated[int, typer.Option(help="Year of the answer that is watched.")] = 2030,
    output: Output = None,
) -> None:
    """Say what the figures can tell and what they cannot.

    Leaves spectrum.csv, confounded.csv, prior-pull.csv, left-out.csv, profiles.csv, pictures and
    summary.txt.

    For example:

        beltcast identify --profiles 12 --output runs/identified
    """
    from beltcast import identify as ask
    from beltcast import plots
    from beltcast.results import complete_folder
    from beltcast.summary import as_text, identification

    chosen = _study(study)
    rows = chosen.model.rows("output")
    with complete_folder(_folder(output, study, "-identified")) as folder:
        with _progress() as tell:
            fit = _calibrate(chosen, np.random.default_rng(seed), starts, tell)
            known = ask.spectrum(fit)
            pairs = ask.confounded(fit)
            pull = ask.prior_pull(fit, ask.answer_gradient(fit, rows, year + 1.0))
            groups = [row.definition for row in fit.likelihood.observations]
            left_out = ask.leave_out(
                fit, groups, lambda other: ask.log_total(other, rows, year + 1.0), progress=tell
            )
            table = fit.table()
            shared = table[table["role"] != "belt"].sort_values("spread_ratio").head(profiles)
            found = ask.profiles(fit, list(shared.index), progress=tell)
        page = identification(
            fit, known, pairs, pull, left_out, found, f"the nation's output of {year}"
        )
        directions = {f"direction {k + 1}": known.directions[:, k] for k in range(known.informed)}
        pd.DataFrame(directions, index=table.index).assign(informed_share=known.share()).to_csv(
            folder / "spectrum.csv", float_format="%.4g"
        )
        pairs.to_csv(folder / "confounded.csv", index=False, float_format="%.4g")
        pull.to_csv(folder / "prior-pull.csv", header=["posterior sd"], float_format="%.4g")
        left_out.to_csv(folder / "left-out.csv", float_format="%.4g")
        pd.concat(
            [
                pd.DataFrame(
                    {
                        "parameter": one.label,
                        "value": one.grid,
                        "figures": one.likelihood_rise,
                        "with prior": one.posterior_rise,
                    }
                )
                for one in found
            ]
            or [pd.DataFrame(columns=["parameter", "value", "figures", "with prior"])]
        ).to_csv(folder / "profiles.csv", index=False, float_format="%.6g")
        charts = {"waterfall": plots.waterfall(fit), "contraction": plots.contraction_chart(fit)}
        charts |= {f"profile-{_slug(one.label)}": plots.profile_chart(one) for one in found}
        for name, chart in charts.items():
            plots.save(chart, folder / f"{name}.png")
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    _console().print(page)
    typer.echo(f"Written to {_folder(output, study, '-identified')}/")


@app.command()
def run(
    model: Annotated[
        Path | None, typer.Argument(help="A model (.mdl); the belt model by default.")
    ] = None,
    scenarios: Annotated[
        Path | None, typer.Option(help="Scenarios (.toml); those of the belt model by default.")
    ] = None,
    scenario: Annotated[list[str] | None, typer.Option(help="Only these scenarios.")] = None,
    variable: Annotated[
        list[str] | None, typer.Option(help="Variables to keep; all computed ones by default.")
    ] = None,
    output: Annotated[Path, typer.Option(help="NetCDF file to write.")] = Path("run.nc"),
) -> None:
    """Run a model once in each scenario, with its own constants.

    For example:

        beltcast run --scenario brand-push --variable "national output"

        beltcast run mine.mdl --output mine.nc
    """
    from beltcast.ensemble import run_ensemble
    from beltcast.model import load_model
    from beltcast.resources import shipped
    from beltcast.scenarios import Scenario, read_scenarios, select

    loaded = load_model(model or shipped("models/belt/belt.mdl"))
    path = scenarios or (None if model else shipped("models/belt/scenarios.toml"))
    known = read_scenarios(path, loaded) if path else {"default": Scenario("default", "Default")}
    result = run_ensemble(
        loaded,
        select(known, scenario) if scenario else known,
        outputs=variable or loaded.computed,
    ).squeeze("member", drop=True)
    part = output.with_name(f".{output.name}.part")
    try:
        result.to_netcdf(part, engine="netcdf4")
        part.replace(output)
    except OSError as problem:
        raise InputError(f"'{output}' cannot be written ({problem.strerror})") from None
    finally:
        part.unlink(missing_ok=True)
    typer.echo(f"{len(result.data_vars) - 1} variables, {result.sizes['scenario']} scenarios")
    typer.echo(f"Written to {output}")


@app.command()
def check(
    path: Annotated[
        Path | None,
        typer.Argument(help="A model (.mdl) or study (.toml); the belt study by default."),
    ] = None,
) -> None:
    """Check a model, or a study with all its files, and say what is wrong with file and line.

    For example:

        beltcast check

        beltcast check mine.mdl
    """
    from beltcast.model import load_model

    if path is not None and path.suffix.lower() == ".mdl":
        found = _check_model(load_model(path))
    else:
        chosen = _study(path)
        typer.echo(
            f"{len(chosen.observations)} published figures, {len(chosen.priors)} priors, "
            f"{len(chosen.scenarios)} scenarios: read"
        )
        found = _check_model(chosen.model)
    if found:
        raise typer.Exit(1)
    typer.echo("No fault found")


def main() -> None:
    """Run the command line; faults end in one sentence."""
    try:
        app()
    except (SimulationError, CalibrationError) as problem:
        _fail(problem, 1)
    except BeltcastError as problem:
        _fail(problem, 2)


def _fail(problem: BeltcastError, code: int) -> None:
    typer.echo(f"beltcast: {problem}", err=True)
    sys.exit(code)


def _study(path: Path | None) -> Study:
    from beltcast.study import read_study

    return read_study(path)


def _with_scenarios(study: Study, names: list[str] | None) -> Study:
    if not names:
        return study
    from dataclasses import replace

    from beltcast.scenarios import select

    first = next(iter(study.scenarios))
    ordered = dict.fromkeys([first, *names])
    return replace(study, scenarios=select(study.scenarios, ordered))


def _calibrate(
    study: Study, rng: np.random.Generator, starts: int, tell: Callable[[str, int, int], None]
) -> Calibration:
    from beltcast.calibrate import calibrate as fit
    from beltcast.likelihood import make_likelihood

    likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    return fit(likelihood, rng=rng, starts=starts, progress=tell)


def _write_calibration(fit: Calibration, folder: Path) -> None:
    fit.table().to_csv(folder / "calibration.csv", float_format="%.6g")
    fit.fit_table().to_csv(folder / "fit.csv", index=False, float_format="%.6g")


def _fit_summary(fit: Calibration) -> str:
    table = fit.table()
    words = table["verdict"].value_counts()
    lines = [
        f"cost {fit.cost:.2f}; {fit.agreeing} of {len(fit.refined)} refined starts agree; "
        + ", ".join(f"{count} {word}" for word, count in words.items()),
        "",
    ]
    header = f"{'parameter':34s} {'prior':>28s} {'posterior':>28s}  ratio"
    lines.append(header)
    for label, row in table.iterrows():
        prior = f"{row.prior_median:.3g} ({row.prior_p10:.3g} to {row.prior_p90:.3g})"
        after = f"{row['median']:.3g} ({row.p10:.3g} to {row.p90:.3g})"
        says = f"{row.spread_ratio:.2f} {row.verdict}"
        lines.append(f"{label!s:34s} {prior:>28s} {after:>28s}  {says}")
    return "\n".join(lines)


def _check_model(model: Model) -> int:
    """Print what is wrong with a model; return how many faults."""
    from beltcast.engine.units import check_units

    problems = check_units(model.source)
    for problem in problems:
        typer.echo(f"{model.path}:{problem.line}: {problem.sentence}")
    outputs = model.computed
    coarse = model.simulate(outputs=outputs)
    fine = model.simulate({"TIME STEP": model.grid().step / 2}, outputs=outputs)
    kinds = [n for n in outputs if model.variables[n].kind == "stock"]
    worst, name = 0.0, "none"
    for stock in kinds:
        scale = float(np.abs(fine[stock]).max()) or 1.0
        error = float(np.abs(coarse[stock] - fine[stock]).max()) / scale
        if error > worst:
            worst, name = error, stock
    typer.echo(f"{len(model.variables)} variables, {len(kinds)} stocks: run without a fault")
    typer.echo(f"halving TIME STEP changes a stock by at most {100 * worst:.2f}% ('{name}')")
    return len(problems)


def _slug(label: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in label.lower()).strip("-")


def _folder(output: Path | None, study: Path | None, ending: str = "") -> Path:
    return output or Path("runs") / ((study.stem if study else "belt") + ending)


def _console() -> Console:
    # A terminal tells its width; a pipe does not, and 80 columns would fold the tables.
    from beltcast.summary import WIDTH

    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=WIDTH, highlight=False)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show progress on a terminal; say nothing when piped."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    columns = (TextColumn("{task.description:12s}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, object] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)  # type: ignore[arg-type]  # a TaskID of rich

        yield tell
