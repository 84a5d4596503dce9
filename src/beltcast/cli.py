"""The command line; `beltcast --help` lists its commands.

Exit codes: 0 done; 1 the computation failed, or a check found something; 2 the input is wrong;
130 interrupted.  Progress goes to standard error, and only to a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console, Group
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
    BeltcastError,
    CalibrationError,
    InputError,
    MissingExtra,
    SimulationError,
    did_you_mean,
)

if TYPE_CHECKING:
    import numpy as np

    from beltcast.inference.calibrate import Calibration
    from beltcast.inference.likelihood import Likelihood
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
    Path | None,
    typer.Argument(help="A study (.toml, or a folder of one); the shipped belt study by default."),
]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.")]
Starts = Annotated[int, typer.Option(help="Starts of the calibration.", min=1)]
Saved = Annotated[
    Path | None,
    typer.Option(help="Results of 'beltcast calibrate' to begin with, instead of a new fit."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
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
    from beltcast.events import WITHOUT
    from beltcast.forecast import forecast_draws
    from beltcast.inference.draws_file import NAME, kept_fit, save_draws
    from beltcast.inference.posterior import sample, sample_prior
    from beltcast.json_text import calibration_facts, forecast_facts
    from beltcast.pictures.plots import save_fan_charts
    from beltcast.results import complete_folder
    from beltcast.summary import as_text, summarise

    chosen = _with_scenarios(_study(study), scenario)
    provenance = {"seed": str(seed)}
    if given is not None:
        chosen, provenance["events_sha256"] = _given(chosen, given)
    rng = _rng(seed)
    with complete_folder(_folder(output, study)) as folder:
        with _progress() as tell:
            fit = _calibrate(chosen, rng, starts, tell, calibration, study)
            # As `beltcast.forecast` does it, in parts: the draws are kept as well.
            for_posterior, for_prior = rng.spawn(2)
            posterior = sample(fit, draws, rng=for_posterior, progress=tell)
            prior = sample_prior(fit.likelihood, max(2, draws // 2), rng=for_prior)
            result = forecast_draws(
                chosen,
                posterior,
                prior,
                fit.theta,
                rng=rng,
                progress=tell,
                provenance=provenance,
            )
            _write_calibration(fit, folder, chosen.hashes)
            origin = {"study_path": str(study or ""), "seed": str(seed)}
            save_draws(kept_fit(fit, posterior), chosen, folder / NAME, provenance=origin)
            result.to_netcdf(folder / "forecast.nc", engine="netcdf4", encoding=COMPRESSED)
            tell("pictures", 0, 1)
            compare = "de-minimis-ends" if given is None else WITHOUT
            save_fan_charts(result, str(folder), titles=chosen.titles, compare=compare)
            tell("pictures", 1, 1)
        page = Group(summarise(result, fit), comparison_table(compare_runs(result["output"])))
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    folder = _folder(output, study)
    if as_json:
        _print_json("forecast", folder, **forecast_facts(result), fit=calibration_facts(fit))
    else:
        _console().print(page)
        typer.echo(f"Written to {folder}/")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    name: Annotated[
        str | None, typer.Option(help="Title of the study; the folder's name by default.")
    ] = None,
    places: Annotated[
        str | None, typer.Option(help="Belts, separated by commas; 'My belt' by default.")
    ] = None,
    start: Annotated[int, typer.Option(help="First year of a run.")] = 2018,
    end: Annotated[int, typer.Option(help="Last year of a run.")] = 2035,
    template: Annotated[
        str, typer.Option("--from", help="belt (three drivers) or blank (one stock, one flow).")
    ] = "belt",
) -> None:
    """Make a folder with a study of your own belt: it runs as it stands, with example figures.

    In a terminal, without --name and --places, it asks. Leaves model.mdl, observations.csv,
    places.csv, parameters.toml, scenarios.toml, study.toml and README.md.

    For example:

        beltcast init mybelt --places "Foshan furniture, 东莞"

        beltcast forecast mybelt
    """
    from beltcast.starter import start_study

    if name is None and places is None and _is_terminal():
        name = typer.prompt("Title of the study", default=folder.name)
        places = typer.prompt("Belts, separated by commas", default="My belt")
        start = typer.prompt("First year of a run", default=start)
        end = typer.prompt("Last year of a run", default=end)
        template = typer.prompt("From which template, belt or blank", default=template)
    belts = (places or "My belt").replace("，", ",").replace("、", ",").split(",")
    files = start_study(folder, title=name, belts=belts, start=start, end=end, template=template)
    typer.echo(f"Written to {folder}/: {', '.join(path.name for path in files)}")
    typer.echo(f"Next: beltcast check {folder}; beltcast forecast {folder}")


@app.command()
def calibrate(
    study: StudyFile = None,
    starts: Starts = 64,
    method: Annotated[
        str, typer.Option(help="least_squares, minimize or differential_evolution.")
    ] = "least_squares",
    model: Annotated[
        Path | None, typer.Option(help="Instead of a study: a model (.mdl, .xmile),")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="a table (.csv) of times and values of its variables,")
    ] = None,
    priors: Annotated[
        Path | None,
        typer.Option(help="and priors (.toml), or Vensim's optimization control (.voc)."),
    ] = None,
    payoff: Annotated[
        Path | None, typer.Option(help="With --model: what is compared with what (.vpd).")
    ] = None,
    changes: Annotated[
        Path | None, typer.Option(help="With --model: other values of constants (.cin).")
    ] = None,
    seed: Seed = 1,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Fit the parameters and write what the figures say about them.

    Leaves calibration.csv, fit.csv, optima.csv, history.csv (the cost of every evaluation of every
    start), calibration.json (what other commands begin with) and summary.txt.

    For example:

        beltcast calibrate --starts 128 --output runs/fit

        beltcast calibrate mine/study.toml --method differential_evolution

        beltcast calibrate --model sir.mdl --data flu.csv --priors sir.voc
    """
    from beltcast.json_text import calibration_facts
    from beltcast.results import complete_folder

    if model is None and (data or priors or payoff or changes):
        raise InputError("--data, --priors, --payoff and --changes go with --model; add it")
    if model is not None and study is not None:
        raise InputError("a study and --model are given; keep one of them")
    if model is None:
        chosen = _study(study)
        likelihood, hashes = _likelihood(chosen), chosen.hashes
    else:
        likelihood = _own_likelihood(model, data, priors, payoff, changes)
        hashes = _file_hashes(model=model, data=data, priors=priors, payoff=payoff, changes=changes)
    place = _folder(output, study or model, "-fit")
    with complete_folder(place) as folder:
        with _progress() as tell:
            fit = _fitted(likelihood, _rng(seed), starts, tell, method)
        _write_calibration(fit, folder, hashes)
        fit.clusters().to_csv(folder / "optima.csv", index=False, float_format="%.6g")
        fit.history().to_csv(folder / "history.csv", index=False, float_format="%.6g")
        page = _fit_summary(fit)
        (folder / "summary.txt").write_text(page + "\n", encoding="utf-8")
    if as_json:
        _print_json("calibrate", place, **calibration_facts(fit))
    else:
        typer.echo(page)
        typer.echo(f"Written to {place}/")


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
    from beltcast.drivers.attribute import attribute as make_attribution
    from beltcast.drivers.attribution_text import summarise_attribution
    from beltcast.drivers.nulls import against_null, null_words, placebo, placebo_words
    from beltcast.drivers.plots_attribution import save_attribution_pictures
    from beltcast.inference.posterior import sample, sample_prior
    from beltcast.results import complete_folder
    from beltcast.summary import as_text

    chosen = _study(study)
    for_fit, for_draws, for_prior, for_tests = _rng(seed).spawn(4)
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
    as_json: AsJson = False,
) -> None:
    """Compare scenarios with the first of them, draw by draw; uncertain sizes are drawn.

    Leaves comparison.nc (differences, chances, year of a loss, time until it is made good) and
    summary.txt.

    For example:

        beltcast compare --scenarios mine.toml

        beltcast compare --scenario de-minimis-ends --loss 0.2
    """
    from dataclasses import replace

    from beltcast.drivers.compare import compare as make_comparison
    from beltcast.drivers.compare import comparison_table, difference_table
    from beltcast.inference.posterior import sample
    from beltcast.json_text import comparison_facts
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
    for_fit, for_draws, for_sizes = _rng(seed).spawn(3)
    with complete_folder(_folder(output, study, "-compared")) as folder:
        with _progress() as tell:
            fit = _calibrate(chosen, for_fit, starts, tell)
            posterior = sample(fit, draws, rng=for_draws, progress=tell)
            result = make_comparison(
                chosen,
                posterior,
                rng=for_sizes,
                target=chosen.target,
                loss=loss,
                provenance={"seed": str(seed)},
            )
        result.to_netcdf(folder / "comparison.nc", engine="netcdf4")
        page = Group(difference_table(result), comparison_table(result))
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    folder = _folder(output, study, "-compared")
    if as_json:
        _print_json("compare", folder, **comparison_facts(result))
    else:
        _console().print(page)
        typer.echo(f"Written to {folder}/")


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
    from beltcast.drivers.plots_sensitivity import save_sensitivity_picture
    from beltcast.drivers.sensitivity import METHODS, ranked
    from beltcast.drivers.sensitivity import sensitivity as make_sensitivity
    from beltcast.drivers.sensitivity_text import summarise_sensitivity
    from beltcast.results import complete_folder
    from beltcast.scenarios import select
    from beltcast.summary import as_text

    known = next((m for m in METHODS if m == method), None)
    if known is None:
        raise InputError(f"unknown method '{method}'; expected one of {', '.join(METHODS)}")
    chosen = _study(study)
    names = [scenario] if scenario else list(chosen.scenarios)[:1]
    (base_case,) = select(chosen.scenarios, names).values()
    for_screening, for_design = _rng(seed).spawn(2)
    medians = chosen.priors.quantiles(0.5)
    constants = chosen.priors.settable
    run_study = partial(
        make_sensitivity,
        chosen.model,
        target=target,
        scenario=base_case,
        # A few draws in the tail make most of the variance of a level, and no estimate settles.
        logs=not levels,
        # What is not moved stays at the median of its prior.
        at={chosen.priors.labels[i]: float(medians[i]) for i in constants},
    )
    labels = parameter or [chosen.priors.labels[i] for i in constants]
    with complete_folder(_folder(output, study, "-sensitivity")) as folder:
        with _progress() as tell:
            if not parameter and len(labels) > top and method != "tornado":
                tell("screening", 0, 1)
                screening = run_study(
                    chosen.priors.subset(labels), method="morris", base=16, rng=for_screening
                )
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
    calibration: Saved = None,
    output: Output = None,
) -> None:
    """Say what the figures can tell and what they cannot.

    Leaves spectrum.csv, confounded.csv, prior-pull.csv, left-out.csv, profiles.csv, pictures and
    summary.txt; where belts are around a common mean, also shrinkage.csv.

    For example:

        beltcast identify --profiles 12 --output runs/identified
    """
    import pandas as pd

    from beltcast.inference import identify as ask
    from beltcast.inference.shrinkage import shrinkage, shrinkage_words
    from beltcast.pictures import plots
    from beltcast.results import complete_folder
    from beltcast.summary import as_text, identification

    chosen = _study(study)
    rows = chosen.model.rows("output")
    with complete_folder(_folder(output, study, "-identified")) as folder:
        with _progress() as tell:
            fit = _calibrate(chosen, _rng(seed), starts, tell, calibration, study)
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
        borrowed = shrinkage(fit)
        if len(borrowed):
            page = Group(page, "\n" + shrinkage_words(borrowed))
            borrowed.to_csv(folder / "shrinkage.csv", index=False, float_format="%.4g")
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
def verify(
    study: StudyFile = None,
    origins: Annotated[
        str, typer.Option(help="Dates to forecast from, as decimal years separated by commas.")
    ] = "2020.5,2021.5,2022.5,2023.5,2024.5",
    draws: Annotated[int, typer.Option(help="Draws of each forecaster.", min=2)] = 500,
    starts: Starts = 16,
    moves: Annotated[int, typer.Option(help="Metropolis moves of a draw.", min=0)] = 30,
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
    output: Output = None,
) -> None:
    """Forecast every later figure from earlier dates, as each of them knew the study.

    Leaves verification.nc (draws of each forecaster beside what was published) and summary.txt;
    finished origins stay in a folder beside them and are not run again while nothing has changed.

    For example:

        beltcast verify --jobs 2

        beltcast verify --origins 2022.5,2023.5 --draws 200

        beltcast verify --ex-post --output runs/ex-post
    """
    from beltcast.results import complete_folder
    from beltcast.verification.backtest import Settings
    from beltcast.verification.origin_rules import OriginRules, read_origin_rules
    from beltcast.verification.record import COMPRESSED as SMALL
    from beltcast.verification.record import run_origins, verification_text

    try:
        dates = [float(date) for date in origins.split(",")]
    except ValueError:
        raise InputError(
            f"--origins is '{origins}'; expected decimal years such as 2021.5,2022.5"
        ) from None
    chosen = _study(study)
    path = rules
    if path is None and chosen.model.path is not None:
        beside = chosen.model.path.with_name("inputs-known.toml")
        path = beside if beside.exists() else None
    known = read_origin_rules(path, chosen.model, chosen.priors) if path else OriginRules()
    folder = _folder(output, study, "-verified")
    with complete_folder(folder) as work:
        with _progress() as tell:
            result = run_origins(
                chosen,
                known,
                dates,
                folder.with_name(f"{folder.name}-origins"),
                settings=Settings(
                    draws=draws, starts=starts, moves=moves, ex_post=ex_post, seed=seed
                ),
                jobs=jobs,
                progress=tell,
            )
        result.to_netcdf(work / "verification.nc", engine="netcdf4", encoding=SMALL)
        page = verification_text(result)
        (work / "summary.txt").write_text(page + "\n", encoding="utf-8")
    typer.echo(page)
    typer.echo(f"Written to {folder}/")


@app.command()
def sample(
    study: StudyFile = None,
    chains: Annotated[int, typer.Option(help="Chains.", min=1)] = 4,
    draws: Annotated[int, typer.Option(help="Draws of each chain.", min=4)] = 1000,
    method: Annotated[
        str, typer.Option(help="walkers (values only), or nuts (gradients; small models).")
    ] = "walkers",
    every: Annotated[
        int | None,
        typer.Option(help="Moves between draws; 3 for each parameter by default, at least 10."),
    ] = None,
    burn_in: Annotated[
        int | None, typer.Option(help="Moves before; 30 for each parameter, of nuts 400 steps.")
    ] = None,
    starts: Starts = 64,
    seed: Seed = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
    output: Output = None,
) -> None:
    """Draw from the posterior by Markov chains, and say whether they have mixed.

    Leaves posterior.nc (groups that ArviZ opens), diagnostics.csv (R-hat and effective draws of
    every unknown) and summary.txt. A stopped run leaves FOLDER.unfinished.npz; --resume goes on
    from there, with the same options and seed.

    For example:

        beltcast sample

        beltcast sample --resume

        beltcast sample mine/study.toml --method nuts --draws 500
    """
    from beltcast.inference.chain_files import (
        load_unfinished,
        posterior_groups,
        save_groups,
        save_unfinished,
    )
    from beltcast.inference.chains import METHODS, sample_chains
    from beltcast.results import complete_folder

    known = next((m for m in METHODS if m == method), None)
    if known is None:
        raise InputError(f"unknown method '{method}'; expected one of {', '.join(METHODS)}")
    target = _folder(output, study, "-posterior")
    kept = target.with_name(f"{target.name}.unfinished.npz")
    before = load_unfinished(kept) if resume else None
    chosen = _study(study)
    for_fit, for_chains, for_prior = _rng(seed).spawn(3)
    with complete_folder(target) as folder:
        with _progress() as tell:
            result = sample_chains(
                _calibrate(chosen, for_fit, starts, tell),
                rng=for_chains,
                chains=chains,
                draws=draws,
                method=known,
                every=every,
                burn_in=burn_in,
                resume=before,
                keep=partial(save_unfinished, path=kept),
                progress=tell,
            )
        provenance = {"seed": str(seed), "title": chosen.title, **_hashes(chosen)}
        groups = posterior_groups(result, rng=for_prior, provenance=provenance)
        save_groups(groups, folder / "posterior.nc")
        result.table().to_csv(folder / "diagnostics.csv", float_format="%.5g")
        page = result.words()
        (folder / "summary.txt").write_text(page + "\n", encoding="utf-8")
    kept.unlink(missing_ok=True)
    typer.echo(page)
    typer.echo(f"Written to {target}/")


@app.command()
def sbc(
    study: StudyFile = None,
    sets: Annotated[int, typer.Option(help="Synthetic data sets.", min=10)] = 200,
    parameter: Annotated[
        list[str] | None, typer.Option(help="Only these parameters, by their labels.")
    ] = None,
    burn_in: Annotated[
        int | None, typer.Option(help="Moves of each walker before it is drawn from.", min=1)
    ] = None,
    seed: Seed = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
    output: Annotated[Path, typer.Option(help="NetCDF file to write.")] = Path("sbc.nc"),
) -> None:
    """Check the inference: does it recover what made synthetic figures? (Talts and others 2018).

    The figures have the shape of the study's own. The file holds the finished sets at any time;
    --resume goes on with them. With all parameters of the belt study a set takes a minute or so.

    For example:

        beltcast sbc --parameter "Traffic Elasticity" --parameter "AVE per Day" --sets 50
    """
    import xarray as xr

    from beltcast.inference.chain_files import save_dataset
    from beltcast.inference.likelihood import make_likelihood
    from beltcast.inference.sbc import simulation_based_calibration, verdict

    chosen = _study(study)
    priors = chosen.priors.subset(parameter) if parameter else chosen.priors
    likelihood = make_likelihood(chosen.model, priors, chosen.observations, chosen.noise)
    done = None
    if resume:
        try:
            done = xr.load_dataset(output, engine="netcdf4")
        except OSError:
            raise InputError(
                f"there are no finished sets in '{output}'; start anew without --resume"
            ) from None

    def write(result: xr.Dataset) -> None:
        save_dataset(result.assign_attrs(seed=str(seed), **_hashes(chosen)), output)

    with _progress() as tell:
        result = simulation_based_calibration(
            likelihood,
            sets=sets,
            rng=_rng(seed),
            burn_in=burn_in,
            done=done,
            keep=write,
            progress=tell,
        )
    write(result)
    typer.echo(verdict(result))
    typer.echo(f"Written to {output}")


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
    json_log: Annotated[
        Path | None, typer.Option(help="Add a JSON object a line on each event; for a plan.")
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
        _run_plan(model, resume, scheduler, workers, json_log)
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
        typer.Argument(
            help="A model (.mdl or XMILE), a study (.toml) or its folder; ours by default."
        ),
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
    from beltcast.engine.syntax import XMILE
    from beltcast.model import load_model

    if path is not None and path.suffix.lower() in (".mdl", *XMILE):
        found = _check_model(load_model(path), as_json)
    else:
        _refuse_faults(path, as_json)
        chosen = _study(path)
        if not as_json:
            typer.echo(
                f"{len(chosen.observations)} published figures, {len(chosen.priors)} priors, "
                f"{len(chosen.scenarios)} scenarios: read"
            )
            _say_examples(chosen)
        found = _check_model(chosen.model, as_json)
    if found:
        raise typer.Exit(1)
    if not as_json:
        typer.echo("No fault found")


@app.command()
def loops(
    path: Annotated[
        Path | None, typer.Argument(help="A model (.mdl); the belt model by default.")
    ] = None,
    year: Annotated[
        float | None, typer.Option(help="Instant to tell of; the last by default.")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help="Range=Element: only this element, as in Belt=Foshan."),
    ] = None,
    most: Annotated[int, typer.Option(help="Loops to print.")] = 8,
    output: Annotated[Path | None, typer.Option(help="Folder for results.")] = None,
) -> None:
    """Say which feedback loop is in charge when (Loops That Matter).

    Scores every loop over the run, prints the strongest at an instant, and leaves loops.nc, the
    stacked picture, and the stock-flow diagram (SVG) with the strongest loop in colour. The belt
    model has one set of loops a belt: Shenzhen by default, --at chooses.

    For example:

        beltcast loops

        beltcast loops --at Belt=Foshan --year 2030

        beltcast loops mine.mdl
    """
    from beltcast.drivers.dominance import loop_scores, strongest
    from beltcast.drivers.dominance_text import summarise_loops
    from beltcast.drivers.plots_dominance import save_loops_picture
    from beltcast.model import load_model
    from beltcast.pictures.diagram import diagram
    from beltcast.resources import shipped
    from beltcast.results import complete_folder
    from beltcast.summary import as_text

    model = load_model(path or shipped("models/belt/belt.mdl"))
    chosen = _elements(at if at or path else ["Belt=Shenzhen"])
    scores = loop_scores(model, within=chosen)
    when = float(scores["time"][-1]) if year is None else year
    page = summarise_loops(scores, when, most)
    leading = strongest(scores.isel(loop=(scores["loop_partition"] == 0).values), when)[:1]
    path_of = str(scores["path"].sel(loop=leading[0]).item()) if leading else ""
    title = f"{model.name}: {leading[0]} leads at {when:g}" if leading else model.name
    folder = output or Path("runs") / f"{model.name}-loops"
    with complete_folder(folder) as work:
        scores.to_netcdf(work / "loops.nc", engine="netcdf4")
        if scores.sizes["loop"]:
            save_loops_picture(scores, str(work / "loops.png"))
        drawn = diagram(model, highlight=path_of, title=title)
        (work / "diagram.svg").write_text(drawn, encoding="utf-8")
        (work / "summary.txt").write_text(as_text(page), encoding="utf-8")
    _console().print(page)
    typer.echo(f"Written to {folder}/")


@app.command()
def discover(
    study: StudyFile = None,
    below: Annotated[float | None, typer.Option(help="Limit, in the target's unit.")] = None,
    above: Annotated[float | None, typer.Option(help="Limit, instead of --below.")] = None,
    place: Annotated[str | None, typer.Option(help="A place; the whole by default.")] = None,
    year: Annotated[int, typer.Option(help="Year of the output.")] = 2030,
    scenario: Annotated[str | None, typer.Option(help="The first by default.")] = None,
    scenarios: Annotated[
        Path | None, typer.Option(help="Scenarios (.toml) of your own, with uncertain sizes.")
    ] = None,
    density: Annotated[float, typer.Option(help="Least density of the box.")] = 0.8,
    prior: Annotated[bool, typer.Option("--prior", help="Draws of the priors, no fit.")] = False,
    draws: Annotated[int, typer.Option(help="Draws.", min=20)] = 1000,
    starts: Starts = 64,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Say when an output crosses a limit: the box of inputs that holds such draws, and few others.

    PRIM and a tree on the draws of the parameters and of a scenario's uncertain sizes. Leaves
    discovery.nc, the peeling trajectory and summary.txt.

    For example:

        beltcast discover --below 3000 --place China --year 2030

        beltcast discover --below 4000 --year 2035 --scenario tariff-shock --prior
    """
    from dataclasses import replace

    from beltcast.drivers.discover import discover as find
    from beltcast.drivers.discover_text import save_peeling_chart, summarise_discovery
    from beltcast.inference.likelihood import make_likelihood
    from beltcast.inference.posterior import sample, sample_prior
    from beltcast.results import complete_folder
    from beltcast.scenarios import read_scenarios
    from beltcast.summary import as_text

    if (below is None) == (above is None):
        raise InputError("give one limit, --below or --above, to say which draws are of interest")
    chosen = _study(study)
    if scenarios is not None:
        chosen = replace(chosen, scenarios=read_scenarios(scenarios, chosen.model))
    for_fit, for_draws, for_sizes = _rng(seed).spawn(3)
    folder = _folder(output, study, "-discovered")
    with complete_folder(folder) as work:
        with _progress() as tell:
            if prior:
                likelihood = make_likelihood(
                    chosen.model, chosen.priors, chosen.observations, chosen.noise
                )
                drawn = sample_prior(likelihood, draws, rng=for_draws)
            else:
                fit = _calibrate(chosen, for_fit, starts, tell)
                drawn = sample(fit, draws, rng=for_draws, progress=tell)
        found = find(
            chosen,
            drawn,
            year=year,
            below=below,
            above=above,
            place=place,
            scenario=scenario,
            density=density,
            rng=for_sizes,
            provenance={"seed": str(seed)},
        )
        page = summarise_discovery(found)
        found.to_netcdf(work / "discovery.nc", engine="netcdf4")
        save_peeling_chart(found, str(work / "peeling.png"))
        (work / "summary.txt").write_text(as_text(page), encoding="utf-8")
    _console().print(page)
    typer.echo(f"Written to {folder}/")


@app.command()
def policy(
    study: StudyFile = None,
    budget: Annotated[
        float, typer.Option(help="Most to spend, mean over the draws, in all years together.")
    ] = 500.0,
    goal: Annotated[float, typer.Option(help="Gain that satisfies, in all years together.")] = 0.0,
    lever: Annotated[
        list[str] | None,
        typer.Option(help="'Constant=low:high', idle at low or at 1; four of the belt model."),
    ] = None,
    future: Annotated[
        list[str] | None, typer.Option(help="Scenarios that a policy meets; the first by default.")
    ] = None,
    cost: Annotated[str, typer.Option(help="Flow that is paid.")] = "lever spending",
    first: Annotated[int, typer.Option(help="First year that counts.")] = 2026,
    last: Annotated[int, typer.Option(help="Last year that counts.")] = 2035,
    policies: Annotated[int, typer.Option(help="Policies to compare, a power of two.")] = 32,
    prior: Annotated[bool, typer.Option("--prior", help="Draws of the priors, no fit.")] = False,
    draws: Annotated[int, typer.Option(help="Draws.", min=2)] = 100,
    starts: Starts = 64,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Compare mixes of levers under a budget, over draws and futures.

    Says which hold up by mean, 10% percentile, share that reaches the goal, and regret, which are
    undominated, and where the best of them misses its goal. The public costs of the belt model are
    judgement. Leaves policies.nc and summary.txt.

    For example:

        beltcast policy --prior --budget 500 --goal 1000 --future baseline --future tariff-shock
    """
    from beltcast.drivers.policy import Question, compare_policies, design, levers_of
    from beltcast.drivers.policy_text import summarise_policies
    from beltcast.inference.likelihood import make_likelihood
    from beltcast.inference.posterior import sample, sample_prior
    from beltcast.results import complete_folder
    from beltcast.scenarios import select
    from beltcast.summary import as_text

    chosen = _study(study)
    futures = select(chosen.scenarios, future or [next(iter(chosen.scenarios))])
    levers = levers_of(lever)
    for_fit, for_draws, for_design = _rng(seed).spawn(3)
    folder = _folder(output, study, "-policy")
    with complete_folder(folder) as work:
        with _progress() as tell:
            if prior:
                likelihood = make_likelihood(
                    chosen.model, chosen.priors, chosen.observations, chosen.noise
                )
                drawn = sample_prior(likelihood, draws, rng=for_draws)
            else:
                fit = _calibrate(chosen, for_fit, starts, tell)
                drawn = sample(fit, draws, rng=for_draws, progress=tell)
        question = Question(
            chosen.model,
            levers,
            futures,
            (drawn.labels, drawn.values),
            gain=chosen.target,
            cost=cost,
            years=(first, last),
            budget=budget,
            goal=goal,
        )
        compared = compare_policies(question, design(levers, policies, rng=for_design))
        page = summarise_policies(question, compared)
        compared.to_netcdf(work / "policies.nc", engine="netcdf4")
        (work / "summary.txt").write_text(as_text(page), encoding="utf-8")
    _console().print(page)
    typer.echo(f"Written to {folder}/")


@app.command()
def export(
    results: Annotated[
        Path, typer.Argument(help="A NetCDF file that beltcast wrote, or the store of a plan.")
    ],
    form: Annotated[str, typer.Option("--format", help="iamc, csv, parquet or netcdf.")] = "iamc",
    output: Annotated[
        Path | None, typer.Option(help="File to write; beside the results by default.")
    ] = None,
) -> None:
    """Write results as a table: the IAMC format (pyam opens it), or one long table.

    For example:

        beltcast export runs/belt/forecast.nc

        beltcast export runs/belt-drivers/attribution.nc --format csv

        beltcast export ensemble.zarr --format csv
    """
    import xarray as xr

    from beltcast.export import save_table

    ending = {"iamc": ".iamc.csv", "netcdf": ".export.nc"}.get(form, f".{form}")
    path = output or results.with_suffix(ending)
    if results.is_dir():
        from beltcast.scale.stream import summarise_store

        save_table(summarise_store(results), path, form)
        typer.echo(f"Written {path}")
        return
    try:
        with xr.open_dataset(results, engine="netcdf4") as opened:
            save_table(opened.load(), path, form)
    except OSError as problem:
        reason = (problem.strerror or "not a NetCDF file").lower()
        given = problem.filename or results
        raise InputError(f"'{given}': {reason}; give a file of results") from None
    typer.echo(f"Written {path}")


@app.command()
def report(
    results: Annotated[
        Path | None,
        typer.Argument(help="A folder of results, or a study (.toml); what ships by default."),
    ] = None,
    place: Annotated[str, typer.Option(help="A place, or all.")] = "all",
    year: Annotated[int, typer.Option(help="Year of the drivers' shares.")] = 2024,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also print to PDF; needs chromium.")] = False,
    seed: Seed = 1,
    output: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("runs/report"),
) -> None:
    """Write a report of each place, one HTML file that needs nothing else.

    Uses the draws that ship, or those that `beltcast forecast` left in a folder.

    For example:

        beltcast report

        beltcast report runs/mine --place Foshan --pdf --output runs/foshan
    """
    from beltcast.drivers.attribute import SWITCHES
    from beltcast.drivers.attribute import attribute as make_attribution
    from beltcast.errors import did_you_mean, quoted
    from beltcast.forecast import forecast_draws
    from beltcast.inference.draws_file import open_fit
    from beltcast.inference.posterior import sample_prior
    from beltcast.report import Evidence, index_page, place_report
    from beltcast.report_pdf import find_browser, print_pdf
    from beltcast.results import complete_folder

    if pdf:
        find_browser()  # a missing browser is said before the work
    study, kept = open_fit(results)
    for_prior, for_forecast = _rng(seed).spawn(2)
    prior = sample_prior(kept.posterior.likelihood, len(kept.posterior), rng=for_prior)
    switches = [s for s in SWITCHES if s in study.model.variables]
    with complete_folder(output) as folder, _progress() as tell:
        made = forecast_draws(
            study, kept.posterior, prior, kept.optimum, rng=for_forecast, progress=tell
        )
        places = [str(p) for p in made["place"].values]
        if place not in ("all", *places):
            raise InputError(f"there is no place {quoted(place)}{did_you_mean(place, places)}")
        shares = (
            make_attribution(
                study,
                kept.posterior,
                prior=prior,
                switches=switches,
                target=study.target,
                progress=tell,
            )
            if switches
            else None
        )
        evidence = Evidence(study, made, shares, kept.estimates())
        files = [(p, f"{_slug(p)}.html") for p in (places if place == "all" else [place])]
        for number, (name, file) in enumerate(files):
            (folder / file).write_text(place_report(evidence, name, year=year), encoding="utf-8")
            if pdf:
                print_pdf(folder / file, (folder / file).with_suffix(".pdf"))
            tell("reports", number + 1, len(files))
        if len(files) > 1:
            (folder / "index.html").write_text(index_page(evidence, files), encoding="utf-8")
        lines = [f"{file}: {study.titles.get(name, name)}" for name, file in files]
        (folder / "summary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    typer.echo(f"{len(files)} reports" if len(files) > 1 else "1 report")
    typer.echo(f"Written to {output}/")


@app.command("app")
def serve_app(
    results: Annotated[
        Path | None,
        typer.Argument(help="A folder of results, or a study (.toml); what ships by default."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535)] = 5006,
    address: Annotated[
        str, typer.Option(help="Whom to listen to; others than this machine need a token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(help="What the link must carry as ?token=...", envvar="BELTCAST_TOKEN"),
    ] = None,
    show: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open a page in the browser that asks a fitted model: belts, scenarios, levers, drivers.

    Needs results: those that ship, or a folder that `beltcast forecast` left. Needs the extra app.

    For example:

        beltcast app

        beltcast app runs/mine --port 8000 --no-show
    """
    try:
        from beltcast.app.server import checked_token, serve
    except ModuleNotFoundError as missing:
        if missing.name not in ("panel", "bokeh"):
            raise
        raise MissingExtra(
            "the app needs Panel, which is not installed; install it with "
            "pip install 'beltcast[app]'"
        ) from None
    from beltcast.app.results import open_results

    secret = checked_token(address, token)
    opened = open_results(results)
    query = f"?token={secret}" if secret else ""
    typer.echo(f"Serving http://{address}:{port}/{query} until Ctrl+C")
    serve(opened, address=address, port=port, token=secret or None, show=show)


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


def _rng(seed: int) -> np.random.Generator:
    import numpy as np  # here, so that --help and completion need not wait for it

    return np.random.default_rng(seed)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _refuse_faults(path: Path | None, as_json: bool) -> None:
    """Print what is wrong with the files of a study, a line each, and end."""
    from beltcast.faults import study_faults

    found = study_faults(path)
    if found and as_json:
        faults = [
            {"path": f.path and f.path.as_posix(), "line": f.line, "sentence": f.sentence}
            for f in found
        ]
        typer.echo(json.dumps({"faults": faults}, ensure_ascii=False, indent=1))
    for problem in found:
        typer.echo(f"beltcast: {problem}", err=True)
    if found:
        raise typer.Exit(2)


def _say_examples(study: Study) -> None:
    from beltcast.summary import example_words

    words = example_words(study.observations)
    if words:
        typer.echo(words)


def _with_scenarios(study: Study, names: list[str] | None) -> Study:
    if not names:
        return study
    from dataclasses import replace

    from beltcast.scenarios import select

    first = next(iter(study.scenarios))
    ordered = dict.fromkeys([first, *names])
    return replace(study, scenarios=select(study.scenarios, ordered))


def _given(study: Study, path: Path) -> tuple[Study, str]:
    """Put announced events under all scenarios; also the hash of their file."""
    from dataclasses import replace

    from beltcast.events import with_events
    from beltcast.scenarios import read_scenarios
    from beltcast.textfiles import read_text

    events = read_scenarios(path, study.model)
    scenarios = with_events(study.scenarios, events)
    return replace(study, scenarios=scenarios), read_text(path, InputError).sha256


def _calibrate(
    study: Study,
    rng: np.random.Generator,
    starts: int,
    tell: Callable[[str, int, int], None],
    saved: Path | None = None,
    path: Path | None = None,
) -> Calibration:
    """Fit, or open the fit that was saved of the same files."""
    from beltcast.inference.saved import NAME, load_calibration

    likelihood = _likelihood(study)
    if saved is None:
        return _fitted(likelihood, rng, starts, tell, "least_squares")
    folder = saved.parent if saved.name == NAME else saved
    named = "" if path is None else f" {path}"
    renew = f"beltcast calibrate{named} --output {folder}"
    return load_calibration(saved, likelihood, study.hashes, renew=renew)


def _fitted(
    likelihood: Likelihood,
    rng: np.random.Generator,
    starts: int,
    tell: Callable[[str, int, int], None],
    method: str,
) -> Calibration:
    from beltcast.inference.calibrate import calibrate as fit
    from beltcast.inference.optimise import Method

    known = next((m for m in get_args(Method) if m == method), None)
    if known is None:
        raise InputError(f"unknown method '{method}'{did_you_mean(method, get_args(Method))}")
    return fit(likelihood, rng=rng, starts=starts, method=known, progress=tell)


def _likelihood(study: Study) -> Likelihood:
    from beltcast.inference.likelihood import make_likelihood

    return make_likelihood(study.model, study.priors, study.observations, study.noise)


def _own_likelihood(
    model: Path, data: Path | None, priors: Path | None, payoff: Path | None, changes: Path | None
) -> Likelihood:
    """Likelihood of a model, a table and priors that are no study; says what is assumed."""
    from beltcast.data.series import read_series
    from beltcast.data.vensim_files import read_cin, read_voc, read_vpd
    from beltcast.inference.likelihood import make_likelihood
    from beltcast.inference.priors import read_priors
    from beltcast.model import load_model
    from beltcast.variants import move

    if data is None or priors is None:
        raise InputError("--model needs figures and priors; add --data and --priors")
    loaded = load_model(model)
    if changes is not None:
        loaded = move(loaded, read_cin(changes, loaded))
    compared = () if payoff is None else read_vpd(payoff, loaded)
    series = read_series(data, loaded, payoff=compared)
    searched = (read_voc if priors.suffix.lower() == ".voc" else read_priors)(priors, loaded)
    for sentence in series.assumed:
        typer.echo(f"assumed: {sentence}")
    return make_likelihood(loaded, searched, series.observations, series.noise)


def _print_json(command: str, folder: Path, **facts: object) -> None:
    from beltcast.json_text import json_text

    known = {"command": command, "version": beltcast.__version__, "folder": folder.as_posix()}
    typer.echo(json_text({**known, **facts}))


def _hashes(study: Study) -> dict[str, str]:
    return {f"{name}_sha256": value for name, value in study.hashes.items()}


def _file_hashes(**paths: Path | None) -> Mapping[str, str]:
    from beltcast.textfiles import read_text

    return {
        name: read_text(path, InputError).sha256 for name, path in paths.items() if path is not None
    }


def _write_calibration(fit: Calibration, folder: Path, hashes: Mapping[str, str]) -> None:
    from beltcast.inference.saved import save_calibration

    save_calibration(fit, folder, hashes)
    fit.table().to_csv(folder / "calibration.csv", float_format="%.6g")
    fit.fit_table().to_csv(folder / "fit.csv", index=False, float_format="%.6g")


def _fit_summary(fit: Calibration) -> str:
    from beltcast.inference.shrinkage import shrinkage, shrinkage_words

    table = fit.table()
    words = table["verdict"].value_counts()
    lines = [
        f"cost {fit.cost:.2f}; {fit.agreeing} of {len(fit.refined)} refined starts agree; "
        + ", ".join(f"{count} {word}" for word, count in words.items()),
    ]
    others = fit.clusters().iloc[1:]
    if len(others):
        rises = ", ".join(f"{c:.2f}" for c in others["cost"] - fit.cost)
        lines.append(f"{len(others)} other optima, higher in cost by {rises}: see optima.csv")
    if fit.at_bound:
        lines.append("at a bound of its prior: " + ", ".join(fit.at_bound))
    lines.append("")
    header = f"{'parameter':34s} {'prior':>28s} {'posterior':>28s}  ratio"
    lines.append(header)
    for label, row in table.iterrows():
        prior = f"{row.prior_median:.3g} ({row.prior_p10:.3g} to {row.prior_p90:.3g})"
        after = f"{row['median']:.3g} ({row.p10:.3g} to {row.p90:.3g})"
        says = f"{row.spread_ratio:.2f} {row.verdict}"
        lines.append(f"{label!s:34s} {prior:>28s} {after:>28s}  {says}")
    borrowed = shrinkage_words(shrinkage(fit))
    return "\n".join([*lines, "", borrowed] if borrowed else lines)


def _check_model(model: Model, as_json: bool) -> int:
    """Print what is wrong with a model; return how many faults."""
    from beltcast import checks

    checked = checks.check_model(model)
    if as_json:
        typer.echo(json.dumps(checks.as_json(checked), ensure_ascii=False, indent=1))
    else:
        typer.echo(checks.as_text(checked, model.path))
    return len(checked.units)


def _elements(chosen: list[str] | None) -> dict[str, str]:
    """Read ``Range=Element`` pairs."""
    pairs = {}
    for text in chosen or []:
        name, equals, element = text.partition("=")
        if not (equals and name.strip() and element.strip()):
            raise InputError(f"'{text}' is not Range=Element; write, for example, Belt=Foshan")
        pairs[name.strip()] = element.strip()
    return pairs


def _slug(label: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in label.lower()).strip("-")


def _folder(output: Path | None, study: Path | None, ending: str = "") -> Path:
    return output or Path("runs") / (_study_name(study) + ending)


def _study_name(study: Path | None) -> str:
    """Name of a study's file, or of the folder that holds it."""
    from beltcast.study import STUDY_FILE, study_file

    if study is None:
        return "belt"
    path = study_file(study)
    return path.resolve().parent.name if path.name == STUDY_FILE else path.stem


def _console() -> Console:
    # A terminal tells its width; a pipe does not, and 80 columns would fold the tables.
    from beltcast.summary import WIDTH

    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=WIDTH, highlight=False)


def _run_plan(
    path: Path, resume: bool, scheduler: str | None, workers: int | None, json_log: Path | None
) -> None:
    from beltcast.scale.blocks import run_plan
    from beltcast.scale.cluster import connected
    from beltcast.scale.journal import journal
    from beltcast.scale.runplan import read_plan

    with journal(json_log) as tell:
        plan = read_plan(path)
        with connected(scheduler, workers) as client, _progress() as progress:
            store = run_plan(plan, resume=resume, client=client, progress=progress, tell=tell)
    typer.echo(f"{len(plan.scenarios)} scenarios, {plan.members} members: complete")
    typer.echo(f"Written to {store.path}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
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
