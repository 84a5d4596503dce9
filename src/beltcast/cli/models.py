"""Commands about models and folders: init, run, check, schemas."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beltcast.cli.common import (
    AsJson,
    Atol,
    InLanguage,
    Integration,
    Rtol,
    integration_of,
    open_study,
    print_json,
    progress,
)
from beltcast.cli.language import language_of, said, said_error, say
from beltcast.errors import (
    InputError,
)

if TYPE_CHECKING:
    from beltcast.model.model import Model


def init_command(
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
    xlsx: Annotated[
        bool, typer.Option("--xlsx", help="Put the tables into one workbook with drop-downs.")
    ] = False,
) -> None:
    """Make a folder with a study of your own belt: it runs as it stands, with example observations.

    In a terminal, without --name and --places, it asks for them. Writes model.mdl,
    observations.csv, places.csv, parameters.toml, scenarios.toml, checks.toml, study.toml and
    README.md.

    For example:

        beltcast init mybelt --places "Foshan furniture, 东莞"

        beltcast init mybelt --xlsx

        beltcast forecast mybelt
    """
    from beltcast.study.starter import init

    if name is None and places is None and _is_terminal():
        name = typer.prompt(said("Title of the study"), default=folder.name)
        places = typer.prompt(said("Belts, separated by commas"), default="My belt")
        start = typer.prompt(said("First year of a run"), default=start)
        end = typer.prompt(said("Last year of a run"), default=end)
        template = typer.prompt(said("Template, belt or blank"), default=template)
    belts = (places or "My belt").replace("，", ",").replace("、", ",").split(",")
    files = init(
        folder, title=name, belts=belts, start=start, end=end, template=template, workbook=xlsx
    )
    say(f"Wrote {folder}/: {', '.join(path.name for path in files)}")
    quoted = shlex.quote(str(folder))
    say(f"Next: beltcast check {quoted}; beltcast forecast {quoted}")


def run_command(
    model: Annotated[
        Path | None, typer.Argument(help="A model (.mdl); the belt model by default.")
    ] = None,
    scenarios: Annotated[
        Path | None,
        typer.Option(help="Scenarios (.toml or .xlsx); those of the belt model by default."),
    ] = None,
    scenario: Annotated[list[str] | None, typer.Option(help="Only these scenarios.")] = None,
    variable: Annotated[
        list[str] | None, typer.Option(help="Variables to keep; all computed ones by default.")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="File to write: NetCDF (.nc), .csv, .xlsx or .parquet.")
    ] = Path("run.nc"),
    integration: Integration = None,
    rtol: Rtol = None,
    atol: Atol = None,
    resume: Annotated[bool, typer.Option(help="Resume the unfinished store of a plan.")] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(help="For a plan: address of a dask scheduler, such as tcp://10.0.0.1:8786."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="For a plan: worker processes on this machine.")
    ] = None,
    json_log: Annotated[
        Path | None,
        typer.Option(help="For a plan: append each event to this file as a line of JSON."),
    ] = None,
) -> None:
    """Run a model once in each scenario with its own constants, or a plan of many members.

    A plan (.toml) names the model, scenarios, members, outputs and store. Complete members in the
    store survive an interruption, and --resume runs the rest.

    For example:

        beltcast run --scenario brand-push --variable "national output"

        beltcast run mine.mdl --output mine.csv

        beltcast run kinetics.mdl --integration stiff

        beltcast run plan.toml --resume
    """
    if model is not None and model.suffix.lower() == ".toml":
        if (integration, rtol, atol) != (None, None, None):
            raise InputError(
                "--integration, --rtol and --atol go with a model, and this is a plan; leave them "
                "out"
            )
        _run_plan(model, resume, scheduler, workers, json_log)
        return
    if resume or scheduler or workers or json_log:
        raise InputError("--resume, --scheduler, --workers and --json-log go with a plan (.toml)")
    from beltcast.reports.export import check_run_path, save_run
    from beltcast.workflows.run import run

    check_run_path(output)
    result = run(
        model,
        scenarios=scenarios,
        names=scenario or (),
        outputs=variable or (),
        method=integration_of(integration, rtol, atol),
    )
    save_run(result, output)
    variables, runs = len(result.data_vars) - 1, result.sizes["scenario"]
    say(f"variables: {variables}, scenarios: {runs}")
    say(f"Wrote {output}")


def study_command(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    model: Annotated[Path, typer.Option(help="A model (.mdl, .xmile).")],
    data: Annotated[
        Path, typer.Option(help="A table (.csv or .xlsx) of times and values of variables.")
    ],
    priors: Annotated[
        Path, typer.Option(help="Priors (.toml or .xlsx), or Vensim's optimization control (.voc).")
    ],
    payoff: Annotated[
        Path | None,
        typer.Option(help="Variables and the data to compare them with (.vpd of Vensim)."),
    ] = None,
    columns: Annotated[
        Path | None, typer.Option(help="Readings and errors of columns (.toml).")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Flow to forecast; one that is observed by default.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Title of the study; the folder's name by default.")
    ] = None,
    integration: Integration = None,
    rtol: Rtol = None,
    atol: Atol = None,
) -> None:
    """Write a study from a model, a table of times and values, and priors.

    The study holds what `beltcast calibrate --model` assumes of such files, one line for each
    assumption, so that every other command runs on it. Writes study.toml, observations.csv, and
    copies of the model and the priors.

    For example:

        beltcast study flu --model sir.mdl --data flu.csv --priors sir.voc

        beltcast forecast flu
    """
    from beltcast.model.model import load_model
    from beltcast.study.columns import read_columns
    from beltcast.study.series_study import write_study
    from beltcast.study.vensim_files import read_vpd

    compared = () if payoff is None else read_vpd(payoff, load_model(model))
    assumed = write_study(
        folder,
        model=model,
        data=data,
        priors=priors,
        target=target,
        payoff=compared,
        columns=() if columns is None else read_columns(columns),
        title=name,
        integration=integration_of(integration, rtol, atol),
    )
    for sentence in assumed:
        say(f"assumed: {sentence}")
    quoted = shlex.quote(str(folder))
    say(f"Wrote {folder}/")
    say(f"Next: beltcast check {quoted}; beltcast forecast {quoted}")


def check_command(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A model (.mdl or XMILE), a study (.toml) or its folder, or a store (.zarr) of "
            "beltcast run; ours by default."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    against: Annotated[
        str | None,
        typer.Option(
            help="Compare with a run in another program, by variable and time: pysd or pysimlin."
        ),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(
            min=0, help="Draws of the priors for a study's reality checks and predictive check."
        ),
    ] = 200,
    seconds: Annotated[
        float, typer.Option(min=0, help="Time limit for runs with extreme constants.")
    ] = 60.0,
    language: InLanguage = None,
) -> None:
    """Check a model, or a study with all its files, and say what is wrong with file and line.

    Inconsistent units are faults, and so is a reality check that fails: one of the study, which
    must hold for any draw of the priors and in every scenario, or one that the Vensim file has
    (:THE CONDITION: ... :IMPLIES: ...). Numbers that look like typing errors, given their
    neighbours or the priors, are doubts. It also reports how many observations lie in the bands of
    the priors, what halving TIME STEP changes, stocks that go negative, constants that break the
    model at 0, a tenth or ten times their value, and the feedback loops with their polarity (R
    reinforcing, B balancing).

    For example:

        beltcast check

        beltcast check mine.mdl

        beltcast check mine.mdl --json

        beltcast check mine.mdl --against pysd

        beltcast check plan.zarr

        beltcast check --language zh
    """
    from beltcast.display.translations import word
    from beltcast.engine.syntax import XMILE
    from beltcast.model.model import load_model
    from beltcast.workflows.check import check

    spoken = language_of(language)
    of_model = path is not None and path.suffix.lower() in (".mdl", *XMILE)
    if against is not None:
        if path is None or not of_model:
            raise typer.BadParameter("--against compares a model; name a .mdl or XMILE file")
        _compare_with(load_model(path), against)
        return
    if path is not None and (path / "zarr.json").is_file():
        _check_store(path, as_json)
        return
    if path is None or not of_model:
        _refuse_faults(path, as_json)
    subject = load_model(path) if path is not None and of_model else open_study(path)
    with progress() as show:
        found = check(subject, draws=draws, seconds=seconds, progress=show)
    if as_json:
        typer.echo(json.dumps(found.facts(), ensure_ascii=False, indent=1))
    else:
        for line in found.lines(spoken):
            say(line)
    if found.faults:
        raise typer.Exit(1)
    if not as_json:
        key = {0: "no fault", 1: "one doubt"}.get(found.doubts, "many doubts")
        say(word(key, spoken, count=found.doubts))


def _check_store(path: Path, as_json: bool) -> None:
    """Compare the checksum of every chunk; the exit code is 1 where one differs."""
    from beltcast.scale.store import check_store

    whole, blocks, damaged = check_store(path)
    if as_json:
        print_json("check", path, whole=whole, blocks=blocks, damaged=damaged)
    else:
        for block, what in damaged.items():
            say(f"block {block}: {what}")
        say(f"{whole} of {blocks} blocks are complete and whole, {len(damaged)} damaged")
        if damaged:
            say("Next: beltcast run PLAN.toml --resume computes the damaged blocks again")
    if damaged:
        raise typer.Exit(1)


def _compare_with(model: Model, program: str) -> None:
    """Say where another program differs; the exit code is 1 where it does."""
    from beltcast.model.second_opinion import PROGRAMS, second_opinion

    if program not in PROGRAMS:
        known = " or ".join(PROGRAMS)
        raise typer.BadParameter(f"'{program}' is not known; choose {known}")
    opinion = second_opinion(model, program)
    say(opinion.sentence())
    if opinion.variable is not None:
        raise typer.Exit(1)


def trace_command(
    model: Annotated[Path, typer.Argument(help="A model (.mdl or XMILE).")],
    variable: Annotated[str, typer.Argument(help="Variable at the root.")],
    depth: Annotated[int, typer.Option(min=0, help="Levels of the trees.")] = 2,
    uses: Annotated[bool, typer.Option("--uses", help="Only what the variable drives.")] = False,
    causes: Annotated[bool, typer.Option("--causes", help="Only what drives it.")] = False,
    picture: Annotated[
        Path | None, typer.Option(help="File for the causes strip (.png, .svg or .pdf).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what drives a variable and what it drives, as trees.

    Each line has the variable's unit, and the polarity of its link in a run with the model's own
    constants: + moves the same way, - the opposite way, ? both ways within the run, 0 not at all.

    For example:

        beltcast trace mine.mdl births --depth 3

        beltcast trace mine.mdl births --picture births.png
    """
    from beltcast.model.model import load_model

    loaded = load_model(model)
    trees = {
        name: getattr(loaded, name)(variable, depth)
        for name, alone in (("causes", uses), ("uses", causes))
        if not alone
    }
    if picture is not None:
        from beltcast.display.lines import save_chart
        from beltcast.pictures.causes_strip import plot_causes

        save_chart(plot_causes(loaded, variable), picture)
    if as_json:
        print_json("trace", model, **{name: asdict(tree) for name, tree in trees.items()})
        return
    for name, tree in trees.items():
        say(f"{name.capitalize()}:\n{tree}")
    if picture is not None:
        say(f"Wrote {picture}")


def diff_command(
    first: Annotated[Path, typer.Argument(help="A model (.mdl or XMILE).")],
    second: Annotated[Path, typer.Argument(help="Another model, or another version of the first.")],
    as_json: AsJson = False,
) -> None:
    """Show what differs between two models, and which outputs differ by how much in a run.

    Variables are paired by name. + was added, - removed, ~ changed. Ends with code 1 where
    anything differs, as diff does.

    For example:

        beltcast diff old.mdl new.mdl
    """
    from beltcast.model.difference import diff
    from beltcast.model.model import load_model

    found = diff(load_model(first), load_model(second))
    if as_json:
        print_json("diff", second, **asdict(found))
    else:
        say(str(found))
    if found:
        raise typer.Exit(1)


def document_command(
    model: Annotated[
        Path | None, typer.Argument(help="A model (.mdl or XMILE); the belt model by default.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write; the model's name with .html by default.")
    ] = None,
    checks: Annotated[bool, typer.Option(help="Check the model for the page.")] = True,
) -> None:
    """Write the documentation of a model as one HTML file that needs no network.

    Equations set as mathematics, units, comments, groups, links to what drives each variable and
    what it drives, feedback loops, checks, and what the reporting guidelines of Rahmandad and
    Sterman (2012) ask for, ticked or missing.

    For example:

        beltcast document mine.mdl --output mine.html
    """
    from beltcast.files.complete import complete_file
    from beltcast.files.shipped import shipped
    from beltcast.model.model import load_model
    from beltcast.reports.model_page import document

    loaded = load_model(model or shipped("models/belt/belt.mdl"))
    path = output or Path(f"{loaded.name}.html")
    with complete_file(path) as part:
        part.write_text(document(loaded, checks=checks), encoding="utf-8")
    say(f"Written to {path}")


def schemas_command(
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

    from beltcast.files.complete import complete_file
    from beltcast.files.shipped import shipped
    from beltcast.model.model import load_model
    from beltcast.study.json_schemas import schemas

    loaded = load_model(model or shipped("models/belt/belt.mdl"))
    for name, schema in schemas(loaded).items():
        path = output / f"{name}.schema.json"
        text = json.dumps(schema, indent=1, ensure_ascii=False)
        with complete_file(path) as part:
            part.write_text(text + "\n", encoding="utf-8")
        say(f"Wrote {path}")


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _refuse_faults(path: Path | None, as_json: bool) -> None:
    """Print what is wrong with the files of a study, a line each, and end."""
    from beltcast.study.faults import study_faults

    found = study_faults(path)
    if found and as_json:
        faults = [
            {"path": f.path and f.path.as_posix(), "line": f.line, "sentence": f.sentence}
            for f in found
        ]
        typer.echo(json.dumps({"faults": faults}, ensure_ascii=False, indent=1))
    for problem in found:
        typer.echo(f"beltcast: {said_error(problem)}", err=True)
    if found:
        raise typer.Exit(2)


def _run_plan(
    path: Path, resume: bool, scheduler: str | None, workers: int | None, json_log: Path | None
) -> None:
    from beltcast.scale.blocks import run_plan
    from beltcast.scale.cluster import connected
    from beltcast.scale.journal import journal
    from beltcast.scale.runplan import read_plan

    with journal(json_log) as tell:
        plan = read_plan(path)
        with connected(scheduler, workers) as client, progress() as show:
            store = run_plan(plan, resume=resume, client=client, progress=show, tell=tell)
    say(f"{len(plan.scenarios)} scenarios, {plan.members} members: complete")
    say(f"Wrote {store.path}")
