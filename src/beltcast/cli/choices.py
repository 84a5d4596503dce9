"""Commands about decisions: discover, policy and price."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beltcast.cli.common import (
    LongRun,
    OnlyScenarios,
    OwnScenarios,
    Run,
    Starts,
    StudyFile,
    open_study,
    refuse_years,
    save,
)
from beltcast.cli.language import spoken

if TYPE_CHECKING:
    from beltcast.study.study import Study

First = Annotated[int | None, typer.Option(help="First year of the totals.")]
Last = Annotated[int | None, typer.Option(help="Last year of the totals.")]
Sizes = Annotated[
    Path | None,
    typer.Option(
        help="Uncertain margins and costs (.toml, written as scenarios), drawn with the "
        "parameters. Default: those of the study."
    ),
]
PriorOnly = Annotated[
    bool, typer.Option("--prior", help="Draw from the priors alone, without a fit.")
]


def discover_command(
    study: StudyFile = None,
    below: Annotated[float | None, typer.Option(help="Limit, in the target's unit.")] = None,
    above: Annotated[float | None, typer.Option(help="Limit, instead of --below.")] = None,
    place: Annotated[str | None, typer.Option(help="A place. Default: the total.")] = None,
    year: Annotated[int | None, typer.Option(help="Year of the output.")] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Scenario to run. Default: the first one.")
    ] = None,
    scenarios: Annotated[
        Path | None, typer.Option(help="Your own scenarios (.toml or .xlsx), with uncertain sizes.")
    ] = None,
    density: Annotated[float, typer.Option(help="Minimum density of the box.")] = 0.8,
    prior: PriorOnly = False,
    draws: Annotated[int, typer.Option(help="Draws.", min=20)] = 1000,
    starts: Starts = 64,
    *,
    run: LongRun,
) -> None:
    """Find the conditions under which an output crosses a limit, as a box of inputs.

    Runs PRIM and a classification tree on draws of the parameters and of the scenario's uncertain
    sizes. Writes discovery.nc, the peeling trajectory and summary.txt. A stopped run leaves
    FOLDER.unfinished; --resume continues it.

    For example:

        beltcast discover --below 3000 --place China --year 2030

        beltcast discover --below 4000 --year 2035 --scenario tariff-shock --prior
    """
    from beltcast.drivers.discovery.discover import Crossing
    from beltcast.drivers.discovery.page import summarise_discovery
    from beltcast.reports.json_output import dataset_facts
    from beltcast.study.scenarios import read_scenarios
    from beltcast.workflows.draws import FitOptions
    from beltcast.workflows.questions import discover_study

    asked = Crossing(year or 0, below, above, place, scenario, density=density)
    chosen = open_study(study)
    if scenarios is not None:
        chosen = replace(chosen, scenarios=read_scenarios(scenarios, chosen.model))
    year = chosen.years.answer if year is None else year
    refuse_years(chosen.model, {"--year": year})
    run_in = chosen.scenario(scenario)
    asked = replace(asked, year=year, scenario=run_in.name, target=chosen.target)
    options = FitOptions(draws=draws, starts=starts, prior=prior)
    folder = run.folder(study, "-discovered")
    with run.results(folder) as (work, tell):
        pieces = run.pieces(chosen, folder, run=run_in, target=chosen.target, fit=options)
        found = discover_study(
            chosen, asked, options, rng=run.streams, pieces=pieces, progress=tell
        )
        page = summarise_discovery(found.result, spoken())
        save(work, page, {"discovery": found.result}, found.charts)
    pieces.discard()
    run.finish("discover", folder, page, lambda: dataset_facts(found.result))


def policy_command(
    study: StudyFile = None,
    budget: Annotated[
        float, typer.Option(help="Maximum spending: mean over the draws, total of all years.")
    ] = 500.0,
    goal: Annotated[float, typer.Option(help="Gain to reach, total of all years.")] = 0.0,
    lever: Annotated[
        list[str] | None,
        typer.Option(help="A lever, 'Constant=low:high'. Default: those of the study."),
    ] = None,
    future: Annotated[
        list[str] | None,
        typer.Option(help="Scenarios that a policy must face. Default: the first one."),
    ] = None,
    gain: Annotated[
        str | None, typer.Option(help="Flow to raise, such as profit. Default: the target.")
    ] = None,
    cost: Annotated[
        str | None, typer.Option(help="Flow that is paid. Default: that of the study.")
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(help="Also search by this criterion: mean, percentile, satisficing, regret."),
    ] = None,
    pareto: Annotated[
        list[str] | None,
        typer.Option(help="Aspects of the Pareto set, such as mean and regret. Default: all."),
    ] = None,
    first: First = None,
    last: Last = None,
    policies: Annotated[int, typer.Option(help="Policies to compare, a power of two.")] = 32,
    generations: Annotated[int, typer.Option(help="Generations of a search.", min=1)] = 12,
    sizes: Sizes = None,
    prior: PriorOnly = False,
    draws: Annotated[int, typer.Option(help="Draws.", min=2)] = 100,
    starts: Starts = 64,
    *,
    run: LongRun,
) -> None:
    """Compare mixes of levers under a budget, over draws and futures, and search for better ones.

    Judges each mix by its mean gain, its 10% percentile, the share of cases that reach the goal,
    and its regret; lists the undominated mixes and the conditions under which the best one misses
    its goal. Writes policies.nc, policies.png and summary.txt. A stopped run leaves
    FOLDER.unfinished; --resume continues it.

    For example:

        beltcast policy --prior --budget 500 --goal 1000 --future baseline --future tariff-shock

        beltcast policy --prior --gain profit --search mean --search regret

        beltcast policy --prior --pareto mean --pareto regret
    """
    from beltcast.drivers.policy.page import summarise_policies
    from beltcast.drivers.policy.plot import policy_chart
    from beltcast.drivers.policy.policy import ASPECTS
    from beltcast.reports.json_output import dataset_facts
    from beltcast.workflows.draws import FitOptions, draw_study
    from beltcast.workflows.policy import PolicyOptions, plan_policy
    from beltcast.workflows.policy import policy as compare_policies

    chosen = open_study(study)
    options = PolicyOptions(
        budget=budget,
        goal=goal,
        levers=tuple(lever or ()),
        futures=tuple(future or ()),
        gain=gain,
        cost=cost,
        search=tuple(search or ()),
        pareto=tuple(pareto or ASPECTS),
        years=_ahead(chosen, first, last),
        policies=policies,
        generations=generations,
        sizes=sizes,
    )
    plan = plan_policy(chosen, options)
    fitting = FitOptions(draws=draws, starts=starts, prior=prior)
    streams = run.streams
    folder = run.folder(study, "-policy")
    with run.results(folder) as (work, tell):
        pieces = run.pieces(chosen, folder, plan=plan, fit=fitting)
        drawn = draw_study(chosen, fitting, rng=streams, pieces=pieces, progress=tell)
        found = compare_policies(chosen, drawn, plan, rng=streams, pieces=pieces, progress=tell)
        page = summarise_policies(
            found.question, found.compared, language=spoken(), labels=chosen.labels()
        )
        charts = {
            "policies": policy_chart(found.compared, language=spoken(), labels=chosen.labels())
        }
        save(work, page, {"policies": found.compared}, charts)
    pieces.discard()
    run.finish("policy", folder, page, lambda: dataset_facts(found.compared))


def price_command(
    study: StudyFile = None,
    scenarios: OwnScenarios = None,
    scenario: OnlyScenarios = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(help="Flows that are paid, the main one first. Default: those of the study."),
    ] = None,
    sizes: Sizes = None,
    first: First = None,
    last: Last = None,
    prior: PriorOnly = False,
    draws: Annotated[int, typer.Option(help="Draws.", min=2)] = 1000,
    starts: Starts = 64,
    *,
    run: Run,
) -> None:
    """Compute what a unit of the target costs in each scenario and place, with profit and tax.

    Compares each scenario with the first one, draw by draw, as totals of the years. The page names
    the sizes that no source gives. Writes price.nc, price.png and summary.txt.

    For example:

        beltcast price

        beltcast price --scenario brand-push --scenario belt-deepening --json

        beltcast price mine/study.toml --cost "my spending"
    """
    from beltcast.drivers.price.page import counted_prices, summarise_prices
    from beltcast.drivers.price.plot import price_chart
    from beltcast.reports.json_output import dataset_facts
    from beltcast.workflows.draws import FitOptions
    from beltcast.workflows.questions import price_study

    chosen = open_study(study).with_scenarios(scenarios, scenario)
    folder = run.folder(study, "-price")
    with run.results(folder) as (work, tell):
        found = price_study(
            chosen,
            FitOptions(draws=draws, starts=starts, prior=prior),
            years=_ahead(chosen, first, last),
            spending=cost,
            sizes=sizes,
            rng=run.streams,
            progress=tell,
        )
        page = summarise_prices(found.result, spoken())
        chart = price_chart(counted_prices(found.result, spoken()))
        save(work, page, {"price": found.result}, {"price": chart})
    run.finish("price", folder, page, lambda: dataset_facts(found.result))


def _ahead(study: Study, first: int | None, last: int | None) -> tuple[int, int]:
    """First and last year of totals: those given, else those of the study."""
    ahead = study.years.ahead
    refuse_years(study.model, {"--first": first, "--last": last})
    return ahead[0] if first is None else first, ahead[1] if last is None else last
