"""Commands that look ahead: forecast, update, verify."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group

from beltcast.cli.common import (
    AsJson,
    Output,
    Resume,
    Saved,
    Seed,
    Starts,
    StudyFile,
    calibrated,
    finish,
    folder_of,
    open_study,
    progress,
    streams_of,
    with_scenarios,
    write_calibration,
)
from beltcast.errors import (
    InputError,
)

if TYPE_CHECKING:
    from beltcast.study.study import Study
    from beltcast.verification.origin_rules import OriginRules

FORECAST_ENCODING = {"output": {"zlib": True, "complevel": 4}}
"""The members of a forecast are nearly all of its size."""


def forecast_command(
    study: StudyFile = None,
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    seed: Seed = 1,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only these scenarios; the baseline comes first.")
    ] = None,
    given: Annotated[
        Path | None, typer.Option(help="Announced events (.toml), put under every scenario.")
    ] = None,
    calibration: Saved = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate, run the scenarios and write a forecast.

    Leaves forecast.nc, a fan chart for each belt and the nation, calibration.csv (every estimate
    beside its prior), fit.csv (every published figure beside the fitted one), draws.nc (what
    `beltcast app` and `beltcast report` open) and summary.txt.

    For example:

        beltcast forecast

        beltcast forecast --draws 200 --scenario de-minimis-ends --output runs/parcels

        beltcast forecast mine/study.toml --seed 7

        beltcast forecast --given models/belt/events.toml

        beltcast forecast --calibration runs/belt-fit
    """
    from beltcast.drivers.compare import compare_runs, comparison_table
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.forecast import forecast_draws
    from beltcast.forecasting.summary import as_text, summarise
    from beltcast.inference.sampling.draws_file import DRAWS_FILE, kept_fit, save_draws, study_link
    from beltcast.inference.sampling.posterior import sample, sample_prior
    from beltcast.pictures.plots import save_fan_charts
    from beltcast.reports.json_output import calibration_facts, forecast_facts
    from beltcast.study.events import WITHOUT

    chosen = with_scenarios(open_study(study), scenario)
    provenance = {"seed": str(seed)}
    if given is not None:
        chosen, provenance["events_sha256"] = _given(chosen, given)
    streams = streams_of(seed)
    target = folder_of(output, study)
    with complete_folder(target) as folder:
        with progress() as tell:
            fit = calibrated(chosen, streams.fit, starts, tell, calibration, study)
            # As `beltcast.forecast` does it, in parts: the draws are kept as well.
            posterior = sample(fit, draws, rng=streams.posterior, progress=tell)
            prior = sample_prior(fit.likelihood, max(2, draws // 2), rng=streams.prior)
            result = forecast_draws(
                chosen,
                posterior,
                prior,
                fit.theta,
                rng=streams,
                progress=tell,
                provenance=provenance,
            )
            write_calibration(fit, folder, chosen.hashes)
            origin = {"study_path": study_link(study, folder_of(output, study)), "seed": str(seed)}
            save_draws(kept_fit(fit, posterior), chosen, folder / DRAWS_FILE, provenance=origin)
            result.to_netcdf(folder / "forecast.nc", engine="netcdf4", encoding=FORECAST_ENCODING)
            tell("pictures", 0, 1)
            compare = chosen.roles.compare if given is None else WITHOUT
            save_fan_charts(result, str(folder), titles=chosen.titles, compare=compare)
            tell("pictures", 1, 1)
        page = Group(summarise(result, fit), comparison_table(compare_runs(result["output"])))
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    finish(
        "forecast",
        target,
        page,
        as_json,
        lambda: {**forecast_facts(result), "fit": calibration_facts(fit)},
    )


def update_command(
    rows: Annotated[
        Path | None, typer.Argument(help="New figures (.csv), columns as the study's own.")
    ] = None,
    study: StudyFile = None,
    as_of: Annotated[
        float | None,
        typer.Option(
            help="Instead of a file: the study as known at this date, a decimal year, and the "
            "figures that it has got since."
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="auto, reweight, smoother or refit; auto takes what is good enough.")
    ] = "auto",
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    seed: Seed = 1,
    calibration: Saved = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Take in new figures: what surprises, and what changes in the forecast.

    The study is fitted to its own figures first; then the new ones are held against what that fit
    expects of them, and the posterior is updated. Figures of a half-year or a quarter nowcast the
    year that is running. Leaves update.nc, surprises.csv, changes.csv and summary.txt; to keep new
    rows, add them to the study's figures.

    For example:

        beltcast update --as-of 2025

        beltcast update calibration/data/example-new-rows.csv

        beltcast update new.csv mine/study.toml --method refit --output runs/half-year
    """
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.before_after import changes, outlook
    from beltcast.forecasting.summary import as_text
    from beltcast.forecasting.update_text import summarise_update
    from beltcast.inference.sampling.posterior import sample
    from beltcast.inference.updating.update import check_method
    from beltcast.inference.updating.update import update as make_update
    from beltcast.reports.json_output import update_facts
    from beltcast.study.new_rows import NewRows, read_new_rows
    from beltcast.verification.origin import as_known, later_rows

    way = check_method(method)
    provenance = {"seed": str(seed)}
    if as_of is not None:
        if study is not None or calibration is not None:
            raise InputError(
                f"--as-of is {as_of:g}, and new figures or a fit are given as well; it takes the "
                "study's own later figures as new and fits those before them, so give the study "
                "at most"
            )
        study = rows  # no file of figures comes before it
        whole = open_study(study)
        new = NewRows(later_rows(whole, as_of))
        chosen = as_known(whole, as_of, _origin_rules(None, whole))
        provenance["as_of"] = f"{as_of:g}"
    elif rows is not None:
        chosen = open_study(study)
        new = read_new_rows(rows, chosen)
    else:
        raise InputError("there are no new figures; name a file of them, or a date with --as-of")
    streams = streams_of(seed)
    target = folder_of(output, study, "-updated")
    with complete_folder(target) as folder:
        with progress() as tell:
            fit = calibrated(chosen, streams.fit, starts, tell, calibration, study)
            posterior = sample(fit, draws, rng=streams.posterior, progress=tell)
            change = make_update(
                fit, posterior, new.rows, rng=streams.under("update"), method=way, progress=tell
            )
            result = outlook(
                chosen,
                change,
                rng=streams,
                provenance={**provenance, "new_rows_sha256": new.rows.sha256},
            )
        result.to_netcdf(folder / "update.nc", engine="netcdf4", encoding=FORECAST_ENCODING)
        change.surprises.to_csv(folder / "surprises.csv", index=False, float_format="%.6g")
        changes(result).to_csv(folder / "changes.csv", index=False, float_format="%.6g")
        page = summarise_update(result, change, new.known_words())
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    finish("update", target, page, as_json, lambda: update_facts(change, result))


def verify_command(
    study: StudyFile = None,
    origins: Annotated[
        str, typer.Option(help="Dates to forecast from, as decimal years separated by commas.")
    ] = "2020.5,2021.5,2022.5,2023.5,2024.5",
    draws: Annotated[int, typer.Option(help="Draws of each forecaster.", min=2)] = 500,
    starts: Starts = 16,
    moves: Annotated[int, typer.Option(help="Metropolis moves of a draw.", min=0)] = 100,
    ex_post: Annotated[
        bool,
        typer.Option("--ex-post", help="Give the model its inputs as known afterwards."),
    ] = False,
    rules: Annotated[
        Path | None,
        typer.Option(help="What was known of the inputs (.toml); beside the model by default."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Origins side by side.", min=1)] = 1,
    seed: Seed = 1,
    resume: Resume = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Forecast every later figure from earlier dates, as each of them knew the study.

    Leaves verification.nc (draws of each forecaster beside what was published; the last, 'stack',
    mixes the model and statistical ones by weights from earlier origins) and summary.txt;
    finished origins stay in a folder beside them and are not run again while nothing has changed.
    After a stopped run, --resume goes on within an origin too, with the same options and seed.

    For example:

        beltcast verify --jobs 2

        beltcast verify --origins 2022.5,2023.5 --draws 200

        beltcast verify --ex-post --output runs/ex-post
    """
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.summary import as_text
    from beltcast.reports.json_output import dataset_facts, table_facts
    from beltcast.verification.backtest import Settings
    from beltcast.verification.record import BACKTEST_ENCODING as SMALL
    from beltcast.verification.record import run_origins
    from beltcast.verification.skill import case_scores, score_table
    from beltcast.verification.skill_text import summarise_skill
    from beltcast.verification.stack import stack, stackable

    try:
        dates = [float(date) for date in origins.split(",")]
        if not all(map(math.isfinite, dates)):
            raise ValueError
    except ValueError:
        raise InputError(
            f"--origins is '{origins}'; expected decimal years such as 2021.5,2022.5"
        ) from None
    chosen = open_study(study)
    known = _origin_rules(rules, chosen)
    folder = folder_of(output, study, "-verified")
    with complete_folder(folder) as work:
        with progress() as tell:
            result = run_origins(
                chosen,
                known,
                dates,
                folder.with_name(f"{folder.name}-origins"),
                settings=Settings(
                    draws=draws, starts=starts, moves=moves, ex_post=ex_post, seed=seed
                ),
                jobs=jobs,
                resume=resume,
                progress=tell,
            )
        result = stack(result, rng=streams_of(seed).stack, forecasters=stackable(result))
        result.to_netcdf(work / "verification.nc", engine="netcdf4", encoding=SMALL)
        scores = case_scores(result)
        page = summarise_skill(scores, "sd")
        (work / "summary.txt").write_text(as_text(page), encoding="utf-8")

    def facts() -> dict[str, object]:
        return {**dataset_facts(scores), "scores": table_facts(score_table(scores))}

    finish("verify", folder, page, as_json, facts)


def _origin_rules(path: Path | None, study: Study) -> OriginRules:
    """What was known of the inputs at earlier dates: from a file, or from that beside the model."""
    from beltcast.verification.origin_rules import OriginRules, read_origin_rules

    if path is None and study.model.path is not None:
        beside = study.model.path.with_name("inputs-known.toml")
        path = beside if beside.exists() else None
    return read_origin_rules(path, study.model, study.priors) if path else OriginRules()


def _given(study: Study, path: Path) -> tuple[Study, str]:
    """Put announced events under all scenarios; also the hash of their file."""
    from dataclasses import replace

    from beltcast.files.text import read_text
    from beltcast.study.events import with_events
    from beltcast.study.scenarios import read_scenarios

    events = read_scenarios(path, study.model)
    scenarios = with_events(study.scenarios, events)
    return replace(study, scenarios=scenarios), read_text(path, InputError).sha256
