"""The command line; `beltcast --help` lists its commands.

Exit codes: 0 done; 1 the computation failed, or a check found something; 2 the input is wrong;
130 interrupted.  Progress goes to standard error, and only to a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console, Group
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
    from beltcast.compare import compare_runs, comparison_table
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
        page = Group(summarise(result, fit), comparison_table(compare_runs(result["output"])))
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
def attribute(
    study: StudyFile = None,
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    seed: Seed = 1,
    year: Annotated[int, typer.Option(help="Year of the tables and of the waterfall.")] = 2024,
    since: Annotated[int, typer.Option(help="Base year of growth.")] = 2018,
    tests: Annotated[
        bool, typer.Option("--tests", help="Also fit the null and the placebo; takes minutes.")
    ] = False,
    held_out: Annotated[
        float, typer.Option(help="With --tests: figures published later are held out.")
    ] = 2021.5,
    output: Output = None,
) -> None:
    """Say what each driver brought to each belt, and whether drivers complement each other.

    Leaves attribution.nc, pictures of the nation by year and in one year, and summary.txt; with
    --tests also null.nc (held-out score against a model without interaction) and placebo.nc (pilot
    zones at false dates).

    For example:

        beltcast attribute

        beltcast attribute --draws 200 --since 2020 --output runs/drivers

        beltcast attribute --tests
    """
    from beltcast.attribute import attribute as make_attribution
    from beltcast.attribution_text import summarise_attribution
    from beltcast.nulls import against_null, null_words, placebo, placebo_words
    from beltcast.plots_attribution import save_attribution_pictures
    from beltcast.posterior import sample, sample_prior
    from beltcast.results import complete_folder
    from beltcast.summary import as_text

    chosen = _study(study)
    for_fit, for_draws, for_prior, for_tests = np.random.default_rng(seed).spawn(4)
    with complete_folder(_folder(output, study, "-drivers")) as folder:
        words = []
        with _progress() as tell:
            fit = _calibrate(chosen, for_fit, starts, tell)
            posterior = sample(fit, draws, rng=for_draws, progress=tell)
            result = make_attribution(
                chosen,
                posterior,
                prior=sample_prior(fit.likelihood, draws, rng=for_prior),
                since=since,
                progress=tell,
                provenance={"seed": str(seed)},
            )
            result.to_netcdf(folder / "attribution.nc", engine="netcdf4")
            save_attribution_pictures(result, str(folder), year=year)
            if tests:
                score = against_null(chosen, rng=for_tests, published_by=held_out, progress=tell)
                score.to_netcdf(folder / "null.nc", engine="netcdf4")
                dates = placebo(chosen, rng=for_tests, progress=tell)
                dates.to_netcdf(folder / "placebo.nc", engine="netcdf4")
                words = [null_words(score), placebo_words(dates)]
        page = Group(summarise_attribution(result, year=year), *(f"\n{w}" for w in words))
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    _console().print(page)
    typer.echo(f"Written to {_folder(output, study, '-drivers')}/")


@app.command()
def compare(
    study: StudyFile = None,
    scenarios: Annotated[
        Path | None, typer.Option(help="Scenarios (.toml) of your own; the study's by default.")
    ] = None,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only these scenarios; the first one stays.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    loss: Annotated[
        float, typer.Option(help="Part of the first scenario whose loss is dated.")
    ] = 0.1,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Compare scenarios with the first of them, draw by draw; uncertain sizes are drawn.

    Leaves comparison.nc (differences, chances, year of a loss, time until it is made good) and
    summary.txt.

    For example:

        beltcast compare --scenarios mine.toml

        beltcast compare --scenario de-minimis-ends --loss 0.2
    """
    from dataclasses import replace

    from beltcast.compare import compare as make_comparison
    from beltcast.compare import comparison_table
    from beltcast.posterior import sample
    from beltcast.results import complete_folder
    from beltcast.scenarios import read_scenarios
    from beltcast.summary import as_text

    chosen = _study(study)
    if scenarios is not None:
        own = read_scenarios(scenarios, chosen.model)
        # What is compared with is the study's first scenario, unless the file brings its own.
        first = dict(list(chosen.scenarios.items())[:1])
        chosen = replace(chosen, scenarios={**first, **own})
    chosen = _with_scenarios(chosen, scenario)
    for_fit, for_draws, for_sizes = np.random.default_rng(seed).spawn(3)
    with complete_folder(_folder(output, study, "-compared")) as folder:
        with _progress() as tell:
            fit = _calibrate(chosen, for_fit, starts, tell)
            posterior = sample(fit, draws, rng=for_draws, progress=tell)
            result = make_comparison(
                chosen, posterior, rng=for_sizes, loss=loss, provenance={"seed": str(seed)}
            )
        result.to_netcdf(folder / "comparison.nc", engine="netcdf4")
        page = comparison_table(result)
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    _console().print(page)
    typer.echo(f"Written to {_folder(output, study, '-compared')}/")


@app.command()
def sensitivity(
    study: StudyFile = None,
    target: Annotated[
        str, typer.Option(help="A variable without subscripts, or an element: output[Shenzhen].")
    ] = "national output",
    method: Annotated[str, typer.Option(help="sobol, morris, pawn or tornado.")] = "sobol",
    base: Annotated[
        int, typer.Option(help="Base points; sobol makes base x (parameters + 2) runs.", min=4)
    ] = 1024,
    parameter: Annotated[
        list[str] | None, typer.Option(help="Only these parameters, by their labels.")
    ] = None,
    top: Annotated[
        int, typer.Option(help="Else the heaviest of a screening by Morris.", min=1)
    ] = 20,
    year: Annotated[int, typer.Option(help="Year of the ranking and of the table.")] = 2024,
    scenario: Annotated[str | None, typer.Option(help="The first by default.")] = None,
    levels: Annotated[
        bool, typer.Option("--levels", help="Of the output itself instead of its log.")
    ] = False,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Say which uncertain constants an output hangs on, over time, within their priors.

    All parameters of the study are screened by elementary effects; the heaviest then get Sobol'
    indices (or another method). Leaves sensitivity.nc, screening.nc, a picture and summary.txt.

    For example:

        beltcast sensitivity

        beltcast sensitivity --target "output[Yiwu]" --top 10 --base 512

        beltcast sensitivity --method tornado --year 2030
    """
    from beltcast.plots_sensitivity import save_sensitivity_picture
    from beltcast.results import complete_folder
    from beltcast.scenarios import select
    from beltcast.sensitivity import METHODS, ranked
    from beltcast.sensitivity import sensitivity as make_sensitivity
    from beltcast.sensitivity_text import summarise_sensitivity
    from beltcast.summary import as_text

    known = next((m for m in METHODS if m == method), None)
    if known is None:
        raise InputError(f"unknown method '{method}'; expected one of {', '.join(METHODS)}")
    chosen = _study(study)
    names = [scenario] if scenario else list(chosen.scenarios)[:1]
    (base_case,) = select(chosen.scenarios, names).values()
    for_screening, for_design = np.random.default_rng(seed).spawn(2)
    medians = chosen.priors.quantiles(0.5)
    run_study = partial(
        make_sensitivity,
        chosen.model,
        target=target,
        scenario=base_case,
        # A few draws in the tail make most of the variance of a level, and no estimate settles.
        logs=not levels,
        # What is not moved stays at the median of its prior.
        at=dict(zip(chosen.priors.labels, medians.tolist(), strict=True)),
    )
    labels = parameter or list(chosen.priors.labels)
    with complete_folder(_folder(output, study, "-sensitivity")) as folder:
        with _progress() as tell:
            if not parameter and len(labels) > top and method != "tornado":
                tell("screening", 0, 1)
                screening = run_study(chosen.priors, method="morris", base=16, rng=for_screening)
                screening.to_netcdf(folder / "screening.nc", engine="netcdf4")
                labels = ranked(screening, year)[:top]
                tell("screening", 1, 1)
            tell(method, 0, 1)
            result = run_study(
                chosen.priors.subset(labels), method=known, base=base, rng=for_design
            ).assign_attrs(seed=str(seed), **_hashes(chosen))
            result.to_netcdf(folder / "sensitivity.nc", engine="netcdf4")
            tell(method, 1, 1)
        save_sensitivity_picture(result, str(folder), when=year)
        page = summarise_sensitivity(result, when=year)
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    _console().print(page)
    typer.echo(f"Written to {_folder(output, study, '-sensitivity')}/")


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
def update(
    rows: Annotated[Path, typer.Argument(help="New figures (.csv), columns as the study's own.")],
    study: StudyFile = None,
    method: Annotated[
        str, typer.Option(help="auto, reweight, smoother or refit; auto takes what is good enough.")
    ] = "auto",
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Take in new figures: what surprises, and what changes in the forecast.

    The study is fitted to its own figures first; then the new ones are held against what that fit
    expects of them, and the posterior is updated. Figures of a half-year or a quarter nowcast the
    year that is running. Leaves update.nc, surprises.csv, changes.csv and summary.txt; to keep new
    rows, add them to the study's figures.

    For example:

        beltcast update calibration/data/example-new-rows.csv

        beltcast update new.csv mine/study.toml --method refit --output runs/half-year
    """
    from beltcast.newrows import read_new_rows
    from beltcast.outlook import changes, outlook
    from beltcast.posterior import sample
    from beltcast.results import complete_folder
    from beltcast.summary import as_text
    from beltcast.update import check_method
    from beltcast.update import update as make_update
    from beltcast.update_text import summarise_update

    chosen, way = _study(study), check_method(method)
    new = read_new_rows(rows, chosen)
    for_fit, for_draws, for_update, for_noise = np.random.default_rng(seed).spawn(4)
    with complete_folder(_folder(output, study, "-updated")) as folder:
        with _progress() as tell:
            fit = _calibrate(chosen, for_fit, starts, tell)
            posterior = sample(fit, draws, rng=for_draws, progress=tell)
            change = make_update(
                fit, posterior, new.rows, rng=for_update, method=way, progress=tell
            )
            result = outlook(
                chosen,
                change,
                rng=for_noise,
                provenance={"seed": str(seed), "new_rows_sha256": new.rows.sha256},
            )
        result.to_netcdf(folder / "update.nc", engine="netcdf4", encoding=COMPRESSED)
        change.surprises.to_csv(folder / "surprises.csv", index=False, float_format="%.6g")
        changes(result).to_csv(folder / "changes.csv", index=False, float_format="%.6g")
        page = summarise_update(result, change, new.known_words())
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    _console().print(page)
    typer.echo(f"Written to {_folder(output, study, '-updated')}/")


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
    resume: Annotated[bool, typer.Option(help="Go on with a plan's unfinished store.")] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Of dask, such as tcp://10.0.0.1:8786; for a plan.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on this machine; for a plan.")
    ] = None,
) -> None:
    """Run a model once in each scenario with its own constants, or a plan of many members.

    A plan (.toml) says model, scenarios, members, outputs and store; what is complete in the
    store survives whatever happens, and --resume does the rest.

    For example:

        beltcast run --scenario brand-push --variable "national output"

        beltcast run mine.mdl --output mine.nc

        beltcast run plan.toml --resume
    """
    if model is not None and model.suffix.lower() == ".toml":
        _run_plan(model, resume, scheduler, workers)
        return
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check a model, or a study with all its files, and say what is wrong with file and line.

    Units that do not fit are faults. Reported beside them: what halving TIME STEP changes, stocks
    that go negative, constants that break the model at 0, a tenth or ten times their value, and
    the feedback loops with their polarity (R reinforcing, B balancing).

    For example:

        beltcast check

        beltcast check mine.mdl

        beltcast check mine.mdl --json
    """
    from beltcast.model import load_model

    if path is not None and path.suffix.lower() == ".mdl":
        found = _check_model(load_model(path), as_json)
    else:
        chosen = _study(path)
        if not as_json:
            typer.echo(
                f"{len(chosen.observations)} published figures, {len(chosen.priors)} priors, "
                f"{len(chosen.scenarios)} scenarios: read"
            )
        found = _check_model(chosen.model, as_json)
    if found:
        raise typer.Exit(1)
    if not as_json:
        typer.echo("No fault found")


@app.command()
def export(
    results: Annotated[Path, typer.Argument(help="A NetCDF file that beltcast wrote.")],
    form: Annotated[str, typer.Option("--format", help="iamc, csv or parquet.")] = "iamc",
    output: Annotated[
        Path | None, typer.Option(help="File to write; beside the results by default.")
    ] = None,
) -> None:
    """Write results as a table: the IAMC format (pyam opens it), or one long table.

    For example:

        beltcast export runs/belt/forecast.nc

        beltcast export runs/belt-drivers/attribution.nc --format csv
    """
    import xarray as xr

    from beltcast.export import save_table

    ending = {"iamc": ".iamc.csv"}.get(form, f".{form}")
    path = output or results.with_suffix(ending)
    try:
        with xr.open_dataset(results, engine="netcdf4") as opened:
            save_table(opened.load(), path, form)
    except OSError as problem:
        reason = (problem.strerror or "not a NetCDF file").lower()
        given = problem.filename or results
        raise InputError(f"'{given}': {reason}; give a file of results") from None
    typer.echo(f"Written {path}")


@app.command()
def schemas(
    model: Annotated[
        Path | None, typer.Argument(help="A model (.mdl); the belt model by default.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder.")] = Path("schemas"),
) -> None:
    """Write JSON Schemas for editors: scenarios.schema.json and parameters.schema.json.

    For example:

        beltcast schemas --output models/schemas
    """
    import json

    from beltcast.jsonschemas import parameters_schema, scenarios_schema
    from beltcast.model import load_model
    from beltcast.resources import shipped

    loaded = load_model(model or shipped("models/belt/belt.mdl"))
    output.mkdir(parents=True, exist_ok=True)
    for name, make in (("scenarios", scenarios_schema), ("parameters", parameters_schema)):
        path = output / f"{name}.schema.json"
        text = json.dumps(make(loaded), indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
        typer.echo(f"Written {path}")


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


def _hashes(study: Study) -> dict[str, str]:
    return {f"{name}_sha256": value for name, value in study.hashes.items()}


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


def _check_model(model: Model, as_json: bool) -> int:
    """Print what is wrong with a model; return how many faults."""
    from beltcast import checks

    checked = checks.check_model(model)
    if as_json:
        typer.echo(json.dumps(checks.as_json(checked), ensure_ascii=False, indent=1))
    else:
        typer.echo(checks.as_text(checked, model.path))
    return len(checked.units)


def _slug(label: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in label.lower()).strip("-")


def _folder(output: Path | None, study: Path | None, ending: str = "") -> Path:
    return output or Path("runs") / ((study.stem if study else "belt") + ending)


def _console() -> Console:
    # A terminal tells its width; a pipe does not, and 80 columns would fold the tables.
    from beltcast.summary import WIDTH

    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=WIDTH, highlight=False)


def _run_plan(path: Path, resume: bool, scheduler: str | None, workers: int | None) -> None:
    from beltcast.blocks import connect, run_plan
    from beltcast.runplan import read_plan

    plan = read_plan(path)
    client = None if scheduler is None and workers is None else connect(scheduler, workers)
    try:
        with _progress() as tell:
            store = run_plan(plan, resume=resume, client=client, progress=tell)
    finally:
        if client is not None:
            client.close()
            if client.cluster is not None:
                client.cluster.close()
    typer.echo(f"{len(plan.scenarios)} scenarios, {plan.members} members: complete")
    typer.echo(f"Written to {store.path}")


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
