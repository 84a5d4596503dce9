"""Commands that analyse a study or a model: attribute, compare, sensitivity and loops."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beltcast.cli.common import (
    AsJson,
    LongRun,
    OnlyScenarios,
    OwnScenarios,
    Run,
    Starts,
    StudyFile,
    open_study,
    refuse_instant,
    refuse_years,
    save,
)
from beltcast.cli.language import spoken
from beltcast.errors import BOOKS, InputError


def attribute_command(
    study: StudyFile = None,
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    year: Annotated[
        int | None, typer.Option(help="Year of the tables and of the waterfall.")
    ] = None,
    since: Annotated[int | None, typer.Option(help="Base year of growth.")] = None,
    tests: Annotated[
        bool,
        typer.Option("--tests", help="Also fit the null model; takes minutes."),
    ] = False,
    placebo: Annotated[
        str | None,
        typer.Option(
            help="DATES=GAIN: also fit with these dates moved, and follow this parameter, such as "
            "'Zone Year=Support Gain'."
        ),
    ] = None,
    held_out: Annotated[
        float | None,
        typer.Option(
            help="With --tests: hold out observations published after this date; 2.5 years before "
            "the study's last past year by default."
        ),
    ] = None,
    *,
    run: LongRun,
) -> None:
    """Attribute output to the drivers, by place, and test whether drivers reinforce each other.

    Writes attribution.nc, charts of the total by year and in one year, and summary.txt; where the
    study has contrasts, each driver is shown under the priors, with the data and with both. With
    --tests also null.nc (held-out score against a null model without interaction), with --placebo
    placebo.nc (an effect at false dates). A stopped run leaves FOLDER.unfinished; --resume
    continues it.

    For example:

        beltcast attribute

        beltcast attribute --draws 200 --since 2020 --output runs/drivers

        beltcast attribute --tests --placebo "Zone Year=Support Gain"
    """
    from beltcast.drivers.attribution.plot import attribution_charts
    from beltcast.reports.json_output import dataset_facts
    from beltcast.workflows.attribution import AttributeOptions, attribute_study
    from beltcast.workflows.draws import FitOptions

    chosen = open_study(study)
    shown = chosen.years.past[1] if year is None else year
    refuse_years(chosen.model, {"--since": since, "--year": year})
    moved = None if placebo is None else _dates_and_gain(placebo)
    fit = FitOptions(draws=draws, starts=starts)
    options = AttributeOptions(fit, since, tests, moved, held_out)
    place = run.folder(study, "-drivers")
    with run.results(place) as (folder, tell):
        pieces = run.pieces(chosen, place, options=options)
        found = attribute_study(chosen, options, rng=run.streams, pieces=pieces, progress=tell)
        page = found.page(shown, spoken())
        save(folder, page, found.datasets, attribution_charts(found.result, shown, spoken()))
    pieces.discard()
    run.finish(
        "attribute",
        place,
        page,
        lambda: {
            **dataset_facts(found.result),
            "tests": {name: dataset_facts(one) for name, one in found.tests.items()},
        },
    )


def compare_command(
    study: StudyFile = None,
    scenarios: OwnScenarios = None,
    scenario: OnlyScenarios = None,
    draws: Annotated[int, typer.Option(help="Draws of the posterior.", min=2)] = 1000,
    starts: Starts = 64,
    loss: Annotated[
        float, typer.Option(help="Share of the first scenario that counts as a loss.")
    ] = 0.1,
    *,
    run: Run,
) -> None:
    """Compare scenarios with the first one, draw by draw, with uncertain sizes drawn.

    Writes comparison.nc (differences, probabilities, year of a loss, time to recovery) and
    summary.txt.

    For example:

        beltcast compare --scenarios mine.toml

        beltcast compare --scenario tariff-shock --loss 0.2
    """
    from beltcast.reports.json_output import comparison_facts
    from beltcast.workflows.draws import FitOptions
    from beltcast.workflows.questions import compare_study

    chosen = open_study(study).with_scenarios(scenarios, scenario)
    options = FitOptions(draws=draws, starts=starts)
    target = run.folder(study, "-compared")
    with run.results(target) as (folder, tell):
        found = compare_study(chosen, options, loss=loss, rng=run.streams, progress=tell)
        save(folder, found.page, {"comparison": found.result})
    run.finish("compare", target, found.page, lambda: comparison_facts(found.result))


def sensitivity_command(
    study: StudyFile = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="A variable without subscripts, or an element such as output[Shenzhen]. Default: "
            "the sum of the target, or its first element."
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
        int,
        typer.Option(help="Without --parameter: how many to keep after a Morris screening.", min=1),
    ] = 20,
    year: Annotated[int | None, typer.Option(help="Year of the ranking and of the table.")] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Scenario to run. Default: the first one.")
    ] = None,
    levels: Annotated[
        bool, typer.Option("--levels", help="Analyse the output itself instead of its log.")
    ] = False,
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs", help="Sobol' indices of pairs too: base x (2 parameters + 2) runs."
        ),
    ] = False,
    *,
    run: LongRun,
) -> None:
    """Rank the uncertain constants that an output depends on, over time and within their priors.

    Screens all parameters of the study by elementary effects, then computes Sobol' indices (or
    another method) for the most influential ones. Writes sensitivity.nc, screening.nc, a chart and
    summary.txt. A stopped run leaves FOLDER.unfinished; --resume continues it.

    For example:

        beltcast sensitivity

        beltcast sensitivity --target "output[Yiwu]" --top 10 --base 512

        beltcast sensitivity --method tornado --year 2030

        beltcast sensitivity --pairs --top 8
    """
    from beltcast.drivers.sensitivity.page import summarise_sensitivity
    from beltcast.drivers.sensitivity.plot import sensitivity_chart
    from beltcast.reports.json_output import dataset_facts
    from beltcast.workflows.sensitivity import SensitivityOptions, plan_sensitivity, sensitivity

    chosen = open_study(study)
    year = chosen.years.past[1] if year is None else year
    refuse_years(chosen.model, {"--year": year})
    options = SensitivityOptions(
        target=target,
        method=method,
        base=base,
        parameters=tuple(parameter or ()),
        top=top,
        year=year,
        scenario=scenario,
        levels=levels,
        pairs=pairs,
    )
    plan = plan_sensitivity(chosen, options)
    place = run.folder(study, "-sensitivity")
    with run.results(place) as (folder, tell):
        pieces = run.pieces(chosen, place, plan=plan)
        found = sensitivity(chosen, plan, rng=run.streams, pieces=pieces, progress=tell)
        result = found.result
        page = summarise_sensitivity(result, when=year)
        screened = {} if found.screening is None else {"screening": found.screening}
        chart = sensitivity_chart(result, when=year)
        save(folder, page, {"sensitivity": result, **screened}, {"sensitivity": chart})
    pieces.discard()
    run.finish("sensitivity", place, page, lambda: dataset_facts(result))


def loops_command(
    path: Annotated[
        Path | None,
        typer.Argument(help="A model (.mdl, XMILE) or a study (.toml). Default: the belt model."),
    ] = None,
    year: Annotated[
        float | None, typer.Option(help="Time to describe. Default: the last one.")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help="Range=Element: only this element, such as Belt=Foshan."),
    ] = None,
    most: Annotated[int, typer.Option(help="Loops to print.", min=1)] = 8,
    without: Annotated[
        str | None,
        typer.Option(help="Cut a loop: its name in the study, or its variables with commas."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find which feedback loops dominate when (Loops That Matter).

    Scores every loop over the run and prints the strongest at one time. Writes loops.nc, a stacked
    chart, and the stock-flow diagram (SVG) with the strongest loop in colour. The belt model has
    one set of loops for each belt: Shenzhen by default; choose another with --at. A study names
    loops by their variables in its table [loops]; other loops keep their numbers. --without runs
    the model with one loop cut, and writes both runs to without.nc.

    For example:

        beltcast loops

        beltcast loops --at Belt=Foshan --year 2030

        beltcast loops mine.mdl --without "births, rabbits"
    """
    from beltcast.files.shipped import shipped
    from beltcast.model.model import load_model
    from beltcast.reports.json_output import dataset_facts
    from beltcast.workflows.loops import score_loops

    study = (
        open_study(path) if path and (path.is_dir() or path.suffix in (".toml", *BOOKS)) else None
    )
    model = study.model if study else load_model(path or shipped("models/belt/belt.mdl"))
    if path is None and spoken() == "zh":
        open_study(None)  # for what it calls the variables of this model
    if year is not None:
        refuse_instant(model, year)
    found = score_loops(
        model,
        study.roles.loops if study else None,
        within=_elements(at if at or path else ["Belt=Shenzhen"]),
        without=without,
    )
    page = found.page(year, most)
    run = Run(output=output or Path("runs") / f"{model.name}-loops", as_json=as_json)
    folder = run.folder(None)
    with run.results(folder) as (work, _):
        both = {} if found.both is None else {"without": found.both}
        save(work, page, {"loops": found.scores, **both})
        found.save(work, year)
    run.finish("loops", folder, page, lambda: dataset_facts(found.scores))


def _dates_and_gain(text: str) -> tuple[str, str]:
    """Read ``DATES=GAIN``."""
    dates, equals, gain = text.partition("=")
    if not equals:
        raise InputError(f"'{text}' is not DATES=GAIN; write, for example, Zone Year=Support Gain")
    return dates.strip(), gain.strip()


def _elements(chosen: list[str] | None) -> dict[str, str]:
    """Read ``Range=Element`` pairs."""
    pairs = {}
    for text in chosen or []:
        name, equals, element = text.partition("=")
        if not (equals and name.strip() and element.strip()):
            raise InputError(f"'{text}' is not Range=Element; write, for example, Belt=Foshan")
        pairs[name.strip()] = element.strip()
    return pairs
