"""Commands that forecast: forecast, update and backtest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beltcast.cli.common import (
    InLanguage,
    LongRun,
    OwnFiles,
    Run,
    Saved,
    Starts,
    StudyFile,
    open_study,
    save,
)
from beltcast.cli.language import language_of, spoken
from beltcast.errors import InputError

if TYPE_CHECKING:
    from beltcast.study.study import Study
    from beltcast.workflows.draws import FitOptions


def forecast_command(
    study: StudyFile = None,
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only these scenarios; the baseline comes first.")
    ] = None,
    given: Annotated[
        Path | None, typer.Option(help="Announced events (.toml) to add to every scenario.")
    ] = None,
    as_of: Annotated[
        float | None,
        typer.Option(help="Use only what was published by this date (a decimal year)."),
    ] = None,
    calibration: Saved = None,
    language: InLanguage = None,
    *,
    own: OwnFiles,
    run: Run,
) -> None:
    """Calibrate the model, run the scenarios and write a forecast.

    Writes forecast.nc, a fan chart for each place and the total, calibration.csv (each estimate
    beside its prior), fit.csv (each observation beside its fitted value), draws.nc (which `beltcast
    page` and `beltcast report` read) and summary.txt. With --as-of there is no draws.nc, since its
    readers open today's study. The fit and all draws stay in the folder too (drawn.npz): a second
    run with the same files, options, seed and version of beltcast takes them from there.

    With --model it continues the columns of the data to FINAL TIME and writes forecast.csv
    and forecast.png: what would be observed, with bands of 80% and 95%.

    For example:

        beltcast forecast

        beltcast forecast --draws 200 --scenario tariff-shock --output runs/parcels

        beltcast forecast mine/study.toml --seed 7

        beltcast forecast --as-of 2025

        beltcast forecast --given models/belt/events.toml

        beltcast forecast --calibration runs/belt-fit

        beltcast forecast --language zh

        beltcast forecast --model lv.mdl --data hares.csv --priors lv.toml
    """
    from beltcast.reports.json_output import calibration_facts, forecast_facts
    from beltcast.workflows.draws import FitOptions
    from beltcast.workflows.forecast import ForecastOptions, forecast_study

    spoken = language_of(language)
    read = own.or_study(study, run.as_json)
    fitting = FitOptions(draws=draws, starts=starts, calibration=calibration, study=study)
    target = run.folder(study or own.model)
    if own.model is not None:
        if scenario or given or as_of is not None:
            raise InputError("--scenario, --given and --as-of need a study; make one of the model")
        _forecast_columns(read, fitting, target, run)
        return
    options = ForecastOptions(fitting, as_of, given, run.seed)
    with run.results(target) as (folder, tell):
        chosen = read.with_scenarios(only=scenario)
        found = forecast_study(chosen, options, before=target, progress=tell)
        found.save(folder, target, spoken)
        page = found.page(spoken)
        save(folder, page)
    run.finish(
        "forecast",
        target,
        page,
        lambda: {**forecast_facts(found.result), "fit": calibration_facts(found.fit)},
    )


def _forecast_columns(study: Study, options: FitOptions, target: Path, run: Run) -> None:
    """Forecast the columns of data of a model that is no study."""
    from beltcast.reports.json_output import calibration_facts, table_facts
    from beltcast.workflows.own_forecast import forecast_own

    with run.results(target) as (folder, tell):
        found = forecast_own(study, options, rng=run.streams, progress=tell)
        found.save(folder)
        save(folder, found.words())
    run.finish(
        "forecast",
        target,
        found.words(),
        lambda: {
            "forecast": table_facts(found.table),
            "fit": found.fit and calibration_facts(found.fit),
        },
    )


def update_command(
    rows: Annotated[
        Path | None,
        typer.Argument(help="New observations (.csv or .xlsx), with the study's columns."),
    ] = None,
    study: StudyFile = None,
    as_of: Annotated[
        float | None,
        typer.Option(
            help="Fit the study to what was published by this date (a decimal year). Without a "
            "file of new observations, its own later ones are the new ones."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(help="auto, reweight, smoother or refit; auto takes the first good enough."),
    ] = "auto",
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    calibration: Saved = None,
    *,
    run: Run,
) -> None:
    """Update a forecast with new observations: which ones surprise, and what changes.

    Fits the study to its own observations, compares the new ones with their predictive
    distributions, and updates the posterior. Observations of a half-year or a quarter give a
    nowcast of the current year. Writes update.nc, surprises.csv, changes.csv and summary.txt. To
    keep the new rows, add them to the study's observations.

    For example:

        beltcast update calibration/data/half-year-2025.csv --as-of 2025.5

        beltcast update --as-of 2025

        beltcast update new.csv mine/study.toml --method refit --output runs/half-year
    """
    from beltcast.forecasting.forecast import FORECAST_ENCODING
    from beltcast.reports.json_output import update_facts
    from beltcast.workflows.draws import FitOptions
    from beltcast.workflows.update import UpdateOptions, update_study

    if as_of is not None and study is None and (rows is None or rows.suffix.lower() != ".csv"):
        rows, study = None, rows  # no file of observations comes before the study
    elif as_of is None and rows is None:
        raise InputError("there are no new observations; name a file, or a date with --as-of")
    chosen = open_study(study)
    fitting = FitOptions(draws=draws, starts=starts, calibration=calibration, study=study)
    target = run.folder(study, "-updated")
    with run.results(target) as (folder, tell):
        found = update_study(
            chosen,
            rows,
            UpdateOptions(fitting, method, as_of),
            rng=run.streams,
            progress=tell,
        )
        found.outlook.to_netcdf(folder / "update.nc", engine="netcdf4", encoding=FORECAST_ENCODING)
        for name, table in found.tables().items():
            table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
        page = found.page(spoken())
        save(folder, page)
    run.finish("update", target, page, lambda: update_facts(found.change, found.outlook))


def backtest_command(
    study: StudyFile = None,
    origins: Annotated[
        str | None,
        typer.Option(
            help="Dates to forecast from, as decimal years separated by commas; by default every "
            "half-year of the last five years of the study's past."
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of each forecaster.", min=2)] = 500,
    starts: Starts = 16,
    moves: Annotated[int, typer.Option(help="Metropolis moves per draw.", min=0)] = 100,
    ex_post: Annotated[
        bool,
        typer.Option("--ex-post", help="Give the model its inputs as known afterwards."),
    ] = False,
    rules: Annotated[
        Path | None,
        typer.Option(help="When inputs became known (.toml). Default: the file beside the model."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Origins to run at the same time.", min=1)] = 1,
    *,
    run: LongRun,
) -> None:
    """Forecast later observations from earlier dates, using only data available then.

    Writes verification.nc (draws of each forecaster beside what was published; 'sd + drift' and
    'sd + damped trend' average the model's quantiles with those of a baseline) and
    summary.txt. Finished origins stay in a folder beside the results and are not run again while
    nothing has changed. --resume with the same options and seed continues a stopped run within an
    origin too.

    For example:

        beltcast backtest --jobs 2

        beltcast backtest --origins 2022.5,2023.5 --draws 200

        beltcast backtest --ex-post --output runs/ex-post
    """
    from beltcast.reports.json_output import dataset_facts, table_facts
    from beltcast.verification.backtest import BACKTEST_ENCODING, Settings
    from beltcast.verification.origin_rules import rules_of
    from beltcast.verification.record import backtest
    from beltcast.verification.skill import case_scores, score_table
    from beltcast.verification.skill_text import summarise_skill

    chosen, dates = open_study(study), _origins(origins)
    folder = run.folder(study, "-backtest")
    with run.results(folder) as (work, tell):
        result = backtest(
            chosen,
            rules_of(chosen, rules),
            origins=dates,
            settings=Settings(draws, moves, starts, ex_post=ex_post, seed=run.seed),
            folder=folder.with_name(f"{folder.name}-origins"),
            jobs=jobs,
            resume=run.resume,
            progress=tell,
        )
        result.to_netcdf(work / "verification.nc", engine="netcdf4", encoding=BACKTEST_ENCODING)
        scores = case_scores(result)
        units = {name: v.unit for name, v in chosen.model.variables.items()}
        page = summarise_skill(scores, "sd", units=units, language=spoken())
        save(work, page)
    run.finish(
        "backtest",
        folder,
        page,
        lambda: {**dataset_facts(scores), "scores": table_facts(score_table(scores))},
    )


def _origins(text: str | None) -> list[float] | None:
    """Decimal years separated by commas."""
    if text is None:
        return None
    try:
        dates = [float(date) for date in text.split(",")]
        if not all(map(math.isfinite, dates)):
            raise ValueError
    except ValueError:
        raise InputError(
            f"--origins is '{text}'; expected decimal years such as 2021.5,2022.5"
        ) from None
    return dates
