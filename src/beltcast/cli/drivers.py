"""Commands that ask what drives the answer: attribute, compare, sensitivity and loops."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group

from beltcast.cli.common import (
    AsJson,
    OnlyScenarios,
    Output,
    OwnScenarios,
    Resume,
    Seed,
    Starts,
    StudyFile,
    calibrated,
    draws_of,
    finish,
    folder_of,
    keep_work,
    open_study,
    progress,
    refuse_instant,
    streams_of,
    with_own_scenarios,
    with_scenarios,
)
from beltcast.errors import InputError

if TYPE_CHECKING:
    from beltcast.study.study import Study


def attribute_command(
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
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Say what each driver brought to each belt, and whether drivers complement each other.

    Leaves attribution.nc, pictures of the nation by year and in one year, and summary.txt; with
    --tests also null.nc (held-out score against a model without interaction) and placebo.nc (pilot
    zones at false dates). A stopped run leaves FOLDER.unfinished; --resume goes on from there.

    For example:

        beltcast attribute

        beltcast attribute --draws 200 --since 2020 --output runs/drivers

        beltcast attribute --tests
    """
    from beltcast.drivers.attribution.attribute import attribute as make_attribution
    from beltcast.drivers.attribution.null_models import (
        against_null,
        null_words,
        placebo,
        placebo_words,
    )
    from beltcast.drivers.attribution.page import summarise_attribution
    from beltcast.drivers.attribution.plot import save_attribution_pictures
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.summary import as_text
    from beltcast.inference.sampling.posterior import sample_prior
    from beltcast.reports.json_output import dataset_facts

    chosen = open_study(study)
    streams = streams_of(seed)
    place = folder_of(output, study, "-drivers")
    options = {"draws": draws, "starts": starts, "seed": seed, "held_out": held_out}
    with complete_folder(place) as folder:
        pieces = keep_work(chosen, place, resume, **options)
        words, tested = [], {}
        with progress() as tell:
            fit = calibrated(chosen, streams.fit, starts, tell, pieces=pieces.of("fit"))
            posterior = draws_of(chosen, fit, draws, streams.posterior, tell, pieces)
            result = make_attribution(
                chosen,
                posterior,
                prior=sample_prior(fit.likelihood, draws, rng=streams.prior),
                since=since,
                pieces=pieces,
                progress=tell,
                provenance={"seed": str(seed)},
            )
            result.to_netcdf(folder / "attribution.nc", engine="netcdf4")
            save_attribution_pictures(result, str(folder), year=year)
            if tests:
                score = against_null(
                    chosen,
                    rng=streams.under("null model"),
                    published_by=held_out,
                    pieces=pieces,
                    progress=tell,
                )
                score.to_netcdf(folder / "null.nc", engine="netcdf4")
                dates = placebo(chosen, rng=streams.under("placebo"), pieces=pieces, progress=tell)
                dates.to_netcdf(folder / "placebo.nc", engine="netcdf4")
                words = [null_words(score), placebo_words(dates)]
                tested = {"null": score, "placebo": dates}
        page = Group(summarise_attribution(result, year=year), *(f"\n{w}" for w in words))
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    pieces.discard()
    finish(
        "attribute",
        place,
        page,
        as_json,
        lambda: {
            **dataset_facts(result),
            "tests": {name: dataset_facts(found) for name, found in tested.items()},
        },
    )


def compare_command(
    study: StudyFile = None,
    scenarios: OwnScenarios = None,
    scenario: OnlyScenarios = None,
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
    from beltcast.drivers.compare import compare as make_comparison
    from beltcast.drivers.compare import comparison_table, difference_table
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.summary import as_text
    from beltcast.inference.sampling.posterior import sample
    from beltcast.reports.json_output import comparison_facts

    chosen = with_scenarios(with_own_scenarios(open_study(study), scenarios), scenario)
    streams = streams_of(seed)
    target = folder_of(output, study, "-compared")
    with complete_folder(target) as folder:
        with progress() as tell:
            fit = calibrated(chosen, streams.fit, starts, tell)
            posterior = sample(fit, draws, rng=streams.posterior, progress=tell)
            result = make_comparison(
                chosen,
                posterior,
                rng=streams,
                target=chosen.target,
                loss=loss,
                provenance={"seed": str(seed)},
            )
        result.to_netcdf(folder / "comparison.nc", engine="netcdf4")
        page = Group(difference_table(result), comparison_table(result))
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    finish("compare", target, page, as_json, lambda: comparison_facts(result))


def sensitivity_command(
    study: StudyFile = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="A variable without subscripts, or an element: output[Shenzhen]; by default the "
            "sum of the study's target, or its first element."
        ),
    ] = None,
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
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs", help="Sobol' indices of pairs too: base x (2 parameters + 2) runs."
        ),
    ] = False,
    seed: Seed = 1,
    output: Output = None,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Say which uncertain constants an output hangs on, over time, within their priors.

    All parameters of the study are screened by elementary effects; the heaviest then get Sobol'
    indices (or another method). Leaves sensitivity.nc, screening.nc, a picture and summary.txt. A
    stopped run leaves FOLDER.unfinished; --resume goes on from there.

    For example:

        beltcast sensitivity

        beltcast sensitivity --target "output[Yiwu]" --top 10 --base 512

        beltcast sensitivity --method tornado --year 2030

        beltcast sensitivity --pairs --top 8
    """
    from beltcast.drivers.sensitivity.page import summarise_sensitivity
    from beltcast.drivers.sensitivity.plot import save_sensitivity_picture
    from beltcast.drivers.sensitivity.sensitivity import SENSITIVITY_METHODS, ranked
    from beltcast.drivers.sensitivity.sensitivity import sensitivity as make_sensitivity
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.summary import as_text
    from beltcast.reports.json_output import dataset_facts
    from beltcast.study.scenarios import select

    known = next((m for m in SENSITIVITY_METHODS if m == method), None)
    if known is None:
        raise InputError(
            f"unknown method '{method}'; expected one of {', '.join(SENSITIVITY_METHODS)}"
        )
    if pairs and known != "sobol":
        raise InputError(f"--pairs is of Sobol' indices, not of {method}; leave one of them out")
    chosen = open_study(study)
    names = [scenario] if scenario else list(chosen.scenarios)[:1]
    (base_case,) = select(chosen.scenarios, names).values()
    streams = streams_of(seed)
    medians = chosen.priors.quantiles(0.5)
    constants = chosen.priors.settable
    asked = target or _whole_or_first(chosen)
    run_study = partial(
        make_sensitivity,
        chosen.model,
        target=asked,
        scenario=base_case,
        # A few draws in the tail make most of the variance of a level, and no estimate settles.
        logs=not levels,
        # What is not moved stays at the median of its prior.
        at={chosen.priors.labels[i]: float(medians[i]) for i in constants},
    )
    labels = parameter or [chosen.priors.labels[i] for i in constants]
    place = folder_of(output, study, "-sensitivity")
    with complete_folder(place) as folder:
        pieces = keep_work(
            chosen,
            place,
            resume,
            target=asked,
            method=method,
            base=base,
            scenario=base_case.name,
            parameters=", ".join(parameter or ()) or f"the heaviest {top} in {year}",
            pairs=pairs,
            seed=seed,
        )
        with progress() as tell:
            if not parameter and len(labels) > top and method != "tornado":
                screening = run_study(
                    chosen.priors.subset(labels),
                    method="morris",
                    base=16,
                    rng=streams.under("screening"),
                    pieces=pieces.of("screening"),
                    progress=lambda _, done, total: tell("screening", done, total),
                )
                screening.to_netcdf(folder / "screening.nc", engine="netcdf4")
                labels = ranked(screening, year)[:top]
            result = run_study(
                chosen.priors.subset(labels),
                method=known,
                base=base,
                rng=streams,
                pairs=pairs,
                pieces=pieces.of(method),
                progress=lambda _, done, total: tell(method, done, total),
            ).assign_attrs(seed=str(seed), **chosen.provenance())
            result.to_netcdf(folder / "sensitivity.nc", engine="netcdf4")
        save_sensitivity_picture(result, str(folder), when=year)
        page = summarise_sensitivity(result, when=year)
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    pieces.discard()
    finish("sensitivity", place, page, as_json, lambda: dataset_facts(result))


def loops_command(
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
    most: Annotated[int, typer.Option(help="Loops to print.", min=1)] = 8,
    output: Annotated[Path | None, typer.Option(help="Folder for results.")] = None,
    as_json: AsJson = False,
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
    from beltcast.drivers.loops.loop_scores import loop_scores, strongest
    from beltcast.drivers.loops.page import summarise_loops
    from beltcast.drivers.loops.plot import save_loops_picture
    from beltcast.files.complete import complete_folder
    from beltcast.files.shipped import shipped
    from beltcast.forecasting.summary import as_text
    from beltcast.model.model import load_model
    from beltcast.pictures.diagram import diagram
    from beltcast.reports.json_output import dataset_facts

    model = load_model(path or shipped("models/belt/belt.mdl"))
    if year is not None:
        refuse_instant(model, year)
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
    finish("loops", folder, page, as_json, lambda: dataset_facts(scores))


def _whole_or_first(study: Study) -> str:
    """Return the sum of the target where the study names one, else its first element."""
    if study.roles.total:
        return study.roles.total
    (dimension,) = study.model.variables[study.target].dims
    return f"{study.target}[{study.model.subscripts[dimension][0]}]"


def _elements(chosen: list[str] | None) -> dict[str, str]:
    """Read ``Range=Element`` pairs."""
    pairs = {}
    for text in chosen or []:
        name, equals, element = text.partition("=")
        if not (equals and name.strip() and element.strip()):
            raise InputError(f"'{text}' is not Range=Element; write, for example, Belt=Foshan")
        pairs[name.strip()] = element.strip()
    return pairs
