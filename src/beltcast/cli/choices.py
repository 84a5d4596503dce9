"""Commands that ask what to do, and what it costs: discover, policy and price."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    refuse_year,
    streams_of,
    with_own_scenarios,
    with_scenarios,
)
from beltcast.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from beltcast.drivers.policy.policy import Criterion
    from beltcast.files.resume import Pieces
    from beltcast.inference.sampling.posterior import Draws
    from beltcast.streams import Streams
    from beltcast.study.study import Study

First = Annotated[int, typer.Option(help="First year that counts.")]
Last = Annotated[int, typer.Option(help="Last year that counts.")]
Sizes = Annotated[
    Path | None,
    typer.Option(
        help="Uncertain margins and costs (.toml, as scenarios), drawn beside the parameters; "
        "those of the study by default."
    ),
]
PriorOnly = Annotated[bool, typer.Option("--prior", help="Draws of the priors, no fit.")]


def discover_command(
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
    prior: PriorOnly = False,
    draws: Annotated[int, typer.Option(help="Draws.", min=20)] = 1000,
    starts: Starts = 64,
    seed: Seed = 1,
    output: Output = None,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Say when an output crosses a limit: the box of inputs that holds such draws, and few others.

    PRIM and a tree on the draws of the parameters and of a scenario's uncertain sizes. Leaves
    discovery.nc, the peeling trajectory and summary.txt. A stopped run leaves FOLDER.unfinished;
    --resume goes on from there.

    For example:

        beltcast discover --below 3000 --place China --year 2030

        beltcast discover --below 4000 --year 2035 --scenario tariff-shock --prior
    """
    from dataclasses import replace

    from beltcast.drivers.discovery.discover import discover as find
    from beltcast.drivers.discovery.discover import limit_of
    from beltcast.drivers.discovery.page import save_peeling_chart, summarise_discovery
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.summary import as_text
    from beltcast.reports.json_output import dataset_facts
    from beltcast.study.scenarios import read_scenarios

    limit_of(below, above, density)
    chosen = open_study(study)
    refuse_year(chosen.model, year)
    if scenarios is not None:
        chosen = replace(chosen, scenarios=read_scenarios(scenarios, chosen.model))
    name = scenario or next(iter(chosen.scenarios))
    streams = streams_of(seed)
    folder = folder_of(output, study, "-discovered")
    with complete_folder(folder) as work:
        pieces = keep_work(
            chosen,
            folder,
            resume,
            run=chosen.scenarios[name],
            target=chosen.target,
            prior=prior,
            draws=draws,
            starts=starts,
            seed=seed,
        )
        with progress() as tell:
            drawn = _drawn(chosen, prior, draws, starts, streams, tell, pieces)
        found = find(
            chosen,
            drawn,
            year=year,
            below=below,
            above=above,
            place=place,
            scenario=name,
            target=chosen.target,
            density=density,
            rng=streams,
            pieces=pieces.of("runs"),
            provenance={"seed": str(seed)},
        )
        page = summarise_discovery(found)
        found.to_netcdf(work / "discovery.nc", engine="netcdf4")
        save_peeling_chart(found, str(work / "peeling.png"))
        (work / "summary.txt").write_text(as_text(page), encoding="utf-8")
    pieces.discard()
    finish("discover", folder, page, as_json, lambda: dataset_facts(found))


def policy_command(
    study: StudyFile = None,
    budget: Annotated[
        float, typer.Option(help="Most to spend, mean over the draws, in all years together.")
    ] = 500.0,
    goal: Annotated[float, typer.Option(help="Gain that satisfies, in all years together.")] = 0.0,
    lever: Annotated[
        list[str] | None,
        typer.Option(help="'Constant=low:high'; the levers of the study by default."),
    ] = None,
    future: Annotated[
        list[str] | None, typer.Option(help="Scenarios that a policy meets; the first by default.")
    ] = None,
    gain: Annotated[
        str | None, typer.Option(help="Flow to raise, such as profit; the study's target if none.")
    ] = None,
    cost: Annotated[
        str | None, typer.Option(help="Flow that is paid; the study's chief one by default.")
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(help="Also search for the best: mean, percentile, satisficing, regret."),
    ] = None,
    pareto: Annotated[
        list[str] | None,
        typer.Option(help="Aspects of the Pareto set, such as mean and regret; all by default."),
    ] = None,
    first: First = 2026,
    last: Last = 2035,
    policies: Annotated[int, typer.Option(help="Policies to compare, a power of two.")] = 32,
    generations: Annotated[int, typer.Option(help="Generations of a search.", min=1)] = 12,
    sizes: Sizes = None,
    prior: PriorOnly = False,
    draws: Annotated[int, typer.Option(help="Draws.", min=2)] = 100,
    starts: Starts = 64,
    seed: Seed = 1,
    output: Output = None,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Compare mixes of levers under a budget, over draws and futures, and search for the best.

    Says which hold up by mean, 10% percentile, share that reaches the goal, and regret, which are
    undominated, and where the best of them misses its goal. Leaves policies.nc, policies.png and
    summary.txt. A stopped run leaves FOLDER.unfinished; --resume goes on from there.

    For example:

        beltcast policy --prior --budget 500 --goal 1000 --future baseline --future tariff-shock

        beltcast policy --prior --gain profit --search mean --search regret

        beltcast policy --prior --pareto mean --pareto regret
    """
    from beltcast.drivers.policy.page import summarise_policies
    from beltcast.drivers.policy.plot import save_policy_chart
    from beltcast.drivers.policy.policy import (
        ASPECTS,
        PolicyQuestion,
        compare_policies,
        design,
        levers_of,
    )
    from beltcast.drivers.policy.search import found_by
    from beltcast.drivers.price.price import read_sizes, with_sizes
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.summary import as_text
    from beltcast.reports.json_output import dataset_facts
    from beltcast.study.scenarios import select

    chosen = open_study(study)
    paid = _paid(chosen, cost)
    raised = chosen.model.find(gain or chosen.target).name
    futures = select(chosen.scenarios, future or [next(iter(chosen.scenarios))])
    levers = levers_of(chosen, lever)
    unsure = read_sizes(chosen, sizes)
    wanted = [_criterion(name) for name in search or ()]
    streams = streams_of(seed)
    folder = folder_of(output, study, "-policy")
    with complete_folder(folder) as work:
        pieces = keep_work(
            chosen,
            folder,
            resume,
            lever=levers,
            future=list(futures),
            gain=raised,
            cost=paid,
            budget=budget,
            goal=goal,
            years=(first, last),
            policies=policies,
            search=wanted,
            generations=generations,
            sizes=unsure,
            prior=prior,
            draws=draws,
            starts=starts,
            seed=seed,
        )
        with progress() as tell:
            drawn = _drawn(chosen, prior, draws, starts, streams, tell, pieces)
            question = PolicyQuestion(
                chosen.model,
                levers,
                futures,
                with_sizes(drawn, unsure, rng=streams),
                gain=raised,
                cost=paid,
                years=(first, last),
                budget=budget,
                goal=goal,
            )
            tried = found_by(
                question,
                design(levers, policies, rng=streams.design),
                wanted,
                rng=streams.under("search"),
                generations=generations,
                pieces=pieces,
                progress=tell,
            )
            compared = compare_policies(
                question, tried, pareto=pareto or ASPECTS, pieces=pieces.of("compared")
            )
        page = summarise_policies(question, compared)
        compared.to_netcdf(work / "policies.nc", engine="netcdf4")
        save_policy_chart(compared, str(work / "policies.png"))
        (work / "summary.txt").write_text(as_text(page), encoding="utf-8")
    pieces.discard()
    finish("policy", folder, page, as_json, lambda: dataset_facts(compared))


def price_command(
    study: StudyFile = None,
    scenarios: OwnScenarios = None,
    scenario: OnlyScenarios = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(help="Flows that are paid, the chief one first; the study's by default."),
    ] = None,
    sizes: Sizes = None,
    first: First = 2026,
    last: Last = 2035,
    prior: PriorOnly = False,
    draws: Annotated[int, typer.Option(help="Draws.", min=2)] = 1000,
    starts: Starts = 64,
    seed: Seed = 1,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Say what the target costs in each scenario and place, and what profit and tax are left.

    Each scenario is compared with the first, draw by draw, totals of the years. The page names the
    sizes that no source gives. Leaves price.nc, price.png and summary.txt.

    For example:

        beltcast price

        beltcast price --scenario brand-push --scenario belt-deepening --json

        beltcast price mine/study.toml --cost "my spending"
    """
    from beltcast.drivers.price.page import summarise_prices
    from beltcast.drivers.price.plot import save_price_chart
    from beltcast.drivers.price.price import price_of_output, read_sizes
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.summary import as_text
    from beltcast.reports.json_output import dataset_facts

    chosen = with_scenarios(with_own_scenarios(open_study(study), scenarios), scenario)
    unsure = read_sizes(chosen, sizes)
    streams = streams_of(seed)
    folder = folder_of(output, study, "-price")
    with complete_folder(folder) as work:
        with progress() as tell:
            drawn = _drawn(chosen, prior, draws, starts, streams, tell)
            found = price_of_output(
                chosen,
                drawn,
                years=(first, last),
                spending=cost,
                sizes=unsure,
                rng=streams,
                progress=tell,
            ).assign_attrs(seed=str(seed))
        page = summarise_prices(found)
        found.to_netcdf(work / "price.nc", engine="netcdf4")
        save_price_chart(found, str(work / "price.png"))
        (work / "summary.txt").write_text(as_text(page), encoding="utf-8")
    finish("price", folder, page, as_json, lambda: dataset_facts(found))


def _drawn(
    study: Study,
    prior: bool,
    draws: int,
    starts: int,
    streams: Streams,
    tell: Callable[[str, int, int], None],
    pieces: Pieces | None = None,
) -> Draws:
    """Draw from the posterior, or from the priors without a fit."""
    own = None if pieces is None else pieces.of("fit")
    fit = None if prior else calibrated(study, streams.fit, starts, tell, pieces=own)
    return draws_of(study, fit, draws, streams.posterior, tell, pieces)


def _paid(study: Study, cost: str | None) -> str:
    """Return the flow that policies are paid with: the one given, or the study's chief one."""
    if cost is not None:
        if cost in study.model.variables:
            return cost
        meant = did_you_mean(cost, study.model.variables)
        raise InputError(
            f"the model has no '{cost}'{meant}; name the flow that is paid with --cost"
        )
    if study.roles.spending:
        return study.roles.spending[0]
    target = study.model.variables[study.target]
    dims = f"[{', '.join(target.dims)}]" if target.dims else ""
    raise InputError(
        "the study names no flow that is paid, so a policy costs nothing; name one with --cost, or "
        f"add it to the model, as in spending{dims} = Cost Share*(My Lever - 1)*{study.target}"
        f'{dims} ~ {target.unit}, and spending = ["spending"] to the table [money] of the study'
    )


def _criterion(name: str) -> Criterion:
    from beltcast.drivers.policy.policy import CRITERIA

    known = next((c for c in CRITERIA if c == name), None)
    if known is None:
        raise InputError(f"no criterion '{name}'; search by one of {', '.join(CRITERIA)}")
    return known
