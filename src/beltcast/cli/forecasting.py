"""Commands that forecast: forecast, update and backtest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group

from beltcast.cli.common import (
    AsJson,
    ChangesFile,
    ColumnsFile,
    ConditionsFile,
    DataFiles,
    InLanguage,
    Integration,
    ModelFile,
    Output,
    PayoffFile,
    PriorsFile,
    Resume,
    Saved,
    Seed,
    Starts,
    StudyFile,
    finish,
    folder_of,
    language_of,
    open_either,
    open_study,
    progress,
    save,
    streams_of,
    with_scenarios,
    write_calibration,
)
from beltcast.errors import InputError

if TYPE_CHECKING:
    from beltcast.study.study import Study
    from beltcast.workflows.draws import FitOptions


def forecast_command(
    study: StudyFile = None,
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    seed: Seed = 1,
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
    model: ModelFile = None,
    data: DataFiles = None,
    columns: ColumnsFile = None,
    priors: PriorsFile = None,
    payoff: PayoffFile = None,
    changes: ChangesFile = None,
    conditions: ConditionsFile = None,
    integration: Integration = None,
    calibration: Saved = None,
    language: InLanguage = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate the model, run the scenarios and write a forecast.

    Writes forecast.nc, a fan chart for each place and the total, calibration.csv (each estimate
    beside its prior), fit.csv (each observation beside its fitted value), draws.nc (which `beltcast
    page` and `beltcast report` read) and summary.txt. With --as-of there is no draws.nc, since its
    readers open today's study. The fit and all draws stay in the folder too (drawn.npz): a second
    run with the same files, options, seed and version of beltcast takes them from there.

    With --model it goes on with the columns of the data until FINAL TIME, and writes forecast.csv
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
    from beltcast.display.translations import word
    from beltcast.drivers.compare import compare_runs, comparison_table
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.forecast import FORECAST_ENCODING, forecast
    from beltcast.forecasting.summary import summarise
    from beltcast.inference.sampling.draws_file import DRAWS_FILE, kept_fit, save_draws, study_link
    from beltcast.inference.sampling.posterior import approximate_posterior
    from beltcast.pictures.plots import save_fan_charts
    from beltcast.reports.json_output import calibration_facts, forecast_facts
    from beltcast.study.events import WITHOUT, given_events
    from beltcast.verification.origin import as_known, scales_as_known
    from beltcast.workflows.draws import FitOptions, drawn_before, fit_study, keep_drawn

    spoken = language_of(language)
    read = open_either(
        study,
        as_json,
        model=model,
        data=data,
        priors=priors,
        columns=columns,
        payoff=payoff,
        changes=changes,
        conditions=conditions,
        integration=integration,
    )
    if model is not None:
        if scenario or given or as_of is not None:
            raise InputError("--scenario, --given and --as-of need a study; make one of the model")
        options = FitOptions(draws=draws, starts=starts, calibration=calibration)
        _forecast_columns(read, options, folder_of(output, model), seed, as_json)
        return
    chosen = with_scenarios(read, scenario)
    provenance = {"seed": str(seed)}
    if as_of is not None:
        if calibration is not None:
            raise InputError(
                f"--as-of is {as_of:g} and --calibration is given as well; a saved calibration has "
                "the observations of today, so leave it out"
            )
        provenance["as_of"] = f"{as_of:g}"
        known = as_known(chosen, as_of)
        chosen = scales_as_known(chosen, known, rng=streams_of(seed).scales, starts=starts)
    if given is not None:
        chosen, provenance["events_sha256"] = given_events(chosen, given)
    options = FitOptions(draws=draws, starts=starts, calibration=calibration, study=study)
    streams = streams_of(seed)
    target = folder_of(output, study)
    with complete_folder(target) as folder, progress() as tell:
        before = drawn_before(target, chosen, options, seed) if calibration is None else None
        if before is None:
            fit = fit_study(chosen, options, rng=streams.fit, progress=tell)
            # Drawn here and not within `forecast`, since the draws are written too.
            posterior = approximate_posterior(fit, draws, rng=streams.posterior, progress=tell)
        else:
            fit, posterior = before
        if calibration is None:
            keep_drawn(folder, posterior, chosen, options, seed)
        result = forecast(
            chosen, fit, draws=posterior, rng=streams, progress=tell, provenance=provenance
        )
        write_calibration(fit, folder, chosen.hashes)
        origin = {"study_path": study_link(study, target), "seed": str(seed)}
        if as_of is None:
            save_draws(kept_fit(fit, posterior), chosen, folder / DRAWS_FILE, provenance=origin)
        result.to_netcdf(folder / "forecast.nc", engine="netcdf4", encoding=FORECAST_ENCODING)
        tell("pictures", 0, 1)
        compare = chosen.roles.compare if given is None else WITHOUT
        titles = {place: chosen.title_of(place, spoken) for place in chosen.shown()}
        save_fan_charts(result, str(folder), titles=titles, compare=compare, language=spoken)
        tell("pictures", 1, 1)
        losses = compare_runs(result["output"])
        page = Group(
            summarise(result, fit, spoken),
            comparison_table(losses, language=spoken, labels=chosen.labels()),
        )
        if as_of is not None:
            rows = len(chosen.observations)
            page = Group(word("as known", spoken, date=as_of, rows=rows), page)
        save(folder, page)
    finish(
        "forecast",
        target,
        page,
        as_json,
        lambda: {**forecast_facts(result), "fit": calibration_facts(fit)},
        spoken,
    )


def _forecast_columns(
    study: Study, options: FitOptions, target: Path, seed: int, as_json: bool
) -> None:
    """Forecast the columns of data of a model that is no study."""
    from beltcast.files.complete import complete_folder
    from beltcast.inference.likelihood import likelihood_of
    from beltcast.inference.sampling.posterior import approximate_posterior
    from beltcast.reports.json_output import calibration_facts, table_facts
    from beltcast.workflows.draws import fit_study
    from beltcast.workflows.own_forecast import forecast_columns, rows_to_come

    rows_to_come(likelihood_of(study))  # before the fit takes its time
    streams = streams_of(seed)
    with complete_folder(target) as folder, progress() as tell:
        fit = fit_study(study, options, rng=streams.fit, progress=tell)
        draws = approximate_posterior(fit, options.draws, rng=streams.posterior, progress=tell)
        found = forecast_columns(draws, rng=streams)
        write_calibration(fit, folder, study.hashes)
        found.table.to_csv(folder / "forecast.csv", index=False, float_format="%.6g")
        found.figure.savefig(folder / "forecast.png")
        save(folder, found.words())
    finish(
        "forecast",
        target,
        found.words(),
        as_json,
        lambda: {"forecast": table_facts(found.table), "fit": calibration_facts(fit)},
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
    seed: Seed = 1,
    calibration: Saved = None,
    output: Output = None,
    as_json: AsJson = False,
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
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.before_after import changes
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
    target = folder_of(output, study, "-updated")
    with complete_folder(target) as folder, progress() as tell:
        found = update_study(
            chosen,
            rows,
            UpdateOptions(fitting, method, as_of),
            rng=streams_of(seed),
            progress=tell,
            provenance={"seed": str(seed)},
        )
        result, change = found.outlook, found.change
        result.to_netcdf(folder / "update.nc", engine="netcdf4", encoding=FORECAST_ENCODING)
        change.surprises.to_csv(folder / "surprises.csv", index=False, float_format="%.6g")
        changes(result).to_csv(folder / "changes.csv", index=False, float_format="%.6g")
        page = found.page()
        save(folder, page)
    finish("update", target, page, as_json, lambda: update_facts(change, result))


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
    seed: Seed = 1,
    resume: Resume = False,
    output: Output = None,
    as_json: AsJson = False,
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
    from beltcast.files.complete import complete_folder
    from beltcast.reports.json_output import dataset_facts, table_facts
    from beltcast.verification.backtest import Settings, usual_origins
    from beltcast.verification.origin_rules import rules_of
    from beltcast.verification.record import BACKTEST_ENCODING, run_origins
    from beltcast.verification.skill import case_scores, score_table
    from beltcast.verification.skill_text import summarise_skill

    chosen = open_study(study)
    try:
        dates = (
            list(usual_origins(chosen))
            if origins is None
            else [float(date) for date in origins.split(",")]
        )
        if not all(map(math.isfinite, dates)):
            raise ValueError
    except ValueError:
        raise InputError(
            f"--origins is '{origins}'; expected decimal years such as 2021.5,2022.5"
        ) from None
    known = rules_of(chosen, rules)
    settings = Settings(draws=draws, starts=starts, moves=moves, ex_post=ex_post, seed=seed)
    folder = folder_of(output, study, "-backtest")
    with complete_folder(folder) as work, progress() as tell:
        result = run_origins(
            chosen,
            known,
            dates,
            folder.with_name(f"{folder.name}-origins"),
            settings=settings,
            jobs=jobs,
            resume=resume,
            progress=tell,
        )
        result.to_netcdf(work / "verification.nc", engine="netcdf4", encoding=BACKTEST_ENCODING)
        scores = case_scores(result)
        page = summarise_skill(scores, "sd")
        save(work, page)

    def facts() -> dict[str, object]:
        return {**dataset_facts(scores), "scores": table_facts(score_table(scores))}

    finish("backtest", folder, page, as_json, facts)
