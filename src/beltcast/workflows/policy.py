"""Compare mixes of levers over draws and futures, and search for better ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from beltcast.drivers.policy.policy import (
    ASPECTS,
    CRITERIA,
    Criterion,
    PolicyQuestion,
    compare_policies,
    design,
    levers_of,
)
from beltcast.drivers.policy.search import found_by
from beltcast.drivers.price.price import read_sizes, with_sizes
from beltcast.errors import InputError, did_you_mean, one_of
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.inference.sampling.posterior import Draws
from beltcast.schema import Progress
from beltcast.streams import Random, Streams
from beltcast.study.roles import Lever
from beltcast.study.scenarios import Scenario, select
from beltcast.study.study import Study


@dataclass(frozen=True)
class PolicyOptions:
    """What to compare, and the extent of the search.

    Attributes
    ----------
    budget : float  [unit of the cost, total over the years]
        Largest spending, as a mean over the draws.
    goal : float  [unit of the gain, total over the years]
        Gain to reach.
    levers : tuple of str
        ``Constant=low:high``; the study's levers if there are none.
    futures : tuple of str
        Scenarios that a policy faces; the first of the study if there are none.
    gain, cost : str, optional
        Flow to raise, the study's target by default, and spending flow.
    search : tuple of str
        Criteria to search by: 'mean', 'percentile', 'satisficing', 'regret'.
    pareto : tuple of str
        Aspects of the Pareto set.
    years : (first, last), optional
        Both count.
    policies : int
        Policies to compare, a power of two.
    generations : int
        Generations of a search.
    sizes : Path, optional
        File of uncertain margins and costs; the study's by default.
    """

    budget: float = 500.0
    goal: float = 0.0
    levers: tuple[str, ...] = ()
    futures: tuple[str, ...] = ()
    gain: str | None = None
    cost: str | None = None
    search: tuple[str, ...] = ()
    pareto: tuple[str, ...] = ASPECTS
    years: tuple[int, int] | None = None
    policies: int = 32
    generations: int = 12
    sizes: Path | None = None


@dataclass(frozen=True)
class PolicyPlan:
    """Options with names looked up in a study: all that the result depends on except draws."""

    options: PolicyOptions
    levers: tuple[Lever, ...]
    futures: Mapping[str, Scenario]
    gain: str
    cost: str
    search: tuple[Criterion, ...]
    sizes: Scenario | None


@dataclass(frozen=True, eq=False)
class Policies:
    """What `policy` finds: the question, and every policy by every criterion."""

    question: PolicyQuestion
    compared: xr.Dataset


def plan_policy(study: Study, options: PolicyOptions | None = None) -> PolicyPlan:
    """Look up levers, futures and flows in a study, before anything runs.

    Raises
    ------
    InputError
        The lever, flow or criterion does not exist.
    ScenarioError
        The scenario does not exist.
    """
    options = options or PolicyOptions()
    cost = _paid(study, options.cost)  # first: without a cost, levers have no price
    return PolicyPlan(
        options=options,
        levers=levers_of(study, options.levers),
        futures=select(study.scenarios, options.futures or [study.scenario().name]),
        gain=study.model.find(options.gain or study.target).name,
        cost=cost,
        search=tuple(one_of(name, CRITERIA, "criterion") for name in options.search),
        sizes=read_sizes(study, options.sizes),
    )


def policy(
    study: Study,
    draws: Draws,
    plan: PolicyOptions | PolicyPlan | None = None,
    *,
    rng: Random,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> Policies:
    """Compare mixes of levers under a budget, over draws and futures.

    Parameters
    ----------
    study : Study
    draws : Draws
    plan : PolicyOptions or PolicyPlan, optional
    rng : Streams, numpy.random.Generator or int
    pieces : Pieces, optional
        Keeps finished runs, so that a stopped search can resume.
    progress : Progress, optional

    Raises
    ------
    InputError
        A name is not in the study, or no policy meets the budget.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import policy, read_study, sample_prior
    >>> from beltcast.workflows.policy import PolicyOptions
    >>> study = read_study()
    >>> draws = sample_prior(study, 4, rng=np.random.default_rng(1))
    >>> found = policy(study, draws, PolicyOptions(policies=4), rng=1)
    >>> found.compared.sizes["policy"] >= 4
    True
    """
    if not isinstance(plan, PolicyPlan):
        plan = plan_policy(study, plan)
    options = plan.options
    streams = Streams.of(rng)
    question = PolicyQuestion(
        study.model,
        plan.levers,
        plan.futures,
        with_sizes(draws, plan.sizes, rng=streams),
        gain=plan.gain,
        cost=plan.cost,
        years=options.years or study.years.ahead,
        budget=options.budget,
        goal=options.goal,
    )
    tried = found_by(
        question,
        design(plan.levers, options.policies, rng=streams.design),
        plan.search,
        rng=streams.under("search"),
        generations=options.generations,
        pieces=pieces,
        progress=progress,
    )
    kept = pieces.of("compared")
    return Policies(question, compare_policies(question, tried, pareto=options.pareto, pieces=kept))


def _paid(study: Study, cost: str | None) -> str:
    """Return the spending flow of policies: the one given, or the study's main one."""
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
        "the study names no spending flow, so a policy costs nothing; name one with --cost, or "
        f"add it to the model, as in spending{dims} = Cost Share*(My Lever - 1)*{study.target}"
        f'{dims} ~ {target.unit}, and spending = ["spending"] to the table [money] of the study'
    )
