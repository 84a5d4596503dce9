"""Compare mixes of levers under a budget, over draws and futures.

A *policy* sets levers, which are constants of the model.  A *case* is a draw of the parameters in a
future, a scenario that the policy faces.  In every case a policy has a gain and a cost, both totals
of flows over years relative to doing nothing in the same case.  Four criteria:

* ``mean``: mean gain over the cases;
* ``percentile``: the gain that 90% of the cases exceed;
* ``satisficing``: share of the cases whose gain reaches a goal (Starr 1963; Lempert and Collins
  2007);
* ``regret``: largest distance, over the cases, to the best policy of the same case (Savage 1951),
  among the policies that are compared and meet the budget; small is good.

`compare_policies` judges given policies; `beltcast.drivers.policy.search` searches for better ones.
The budget limits the mean cost.  A policy is only as reliable as the costs behind it, and those of
the belt model's public levers are judgement.

References
----------
Lempert, R. J. and Collins, M. T. (2007): Managing the risk of uncertain threshold responses. Risk
Analysis 27(4), 1009-1026.
Savage, L. J. (1951): The theory of statistical decision. J. Am. Stat. Assoc. 46, 55-67.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import qmc

from beltcast.drivers.discovery.prim import BOX, chosen_box, prim, telling
from beltcast.engine.nodes import FloatArray
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.errors import InputError, SimulationError, UnknownName
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.model.labels import find_label, join_label
from beltcast.model.model import Model
from beltcast.schema import MEMBER, PARAMETER, SCENARIO, YEAR
from beltcast.study.roles import Lever
from beltcast.study.scenarios import Scenario
from beltcast.study.study import Study

POLICY, LEVER = "policy", "lever"

Criterion = Literal["mean", "percentile", "satisficing", "regret"]

CRITERIA: tuple[Criterion, ...] = ("mean", "percentile", "satisficing", "regret")
"""All criteria."""

ASPECTS = (*CRITERIA, "mean_cost")
"""Aspects in which a policy can be undominated."""

SMALL_IS_GOOD = ("regret", "mean_cost")

EXCEEDED = 0.1
"""The percentile criterion: the gain that all but this share of the cases exceed."""


@dataclass(frozen=True, eq=False)
class PolicyQuestion:
    """What policies are judged by.

    Attributes
    ----------
    model : Model
    levers : tuple of Lever
    futures : mapping of str to Scenario
    draws : (labels, values)
        Labels (n,) and values (N, n).
    gain, cost : str
        Flows, summed over their subscripts.
    years : (first, last)
        Both count.
    budget : float  [unit of the cost, total over the years]
        Largest additional cost over doing nothing, as a mean over the cases.
    goal : float  [unit of the gain, total over the years]
        For satisficing.
    """

    model: Model
    levers: tuple[Lever, ...]
    futures: Mapping[str, Scenario]
    draws: tuple[Sequence[str], FloatArray]
    gain: str
    cost: str
    years: tuple[int, int]
    budget: float
    goal: float = 0.0


def compare_policies(
    question: PolicyQuestion,
    policies: FloatArray,
    *,
    pareto: Sequence[str] = ASPECTS,
    pieces: Pieces = NOT_KEPT,
) -> xr.Dataset:
    """Judge policies by all criteria.

    Parameters
    ----------
    question : Question
    policies : (P, L)
        Value of each lever.
    pareto : sequence of str
        Aspects for the Pareto set: criteria and 'mean_cost', two or more.
    pieces : Pieces, optional
        Store of finished runs, to resume from.

    Returns
    -------
    xarray.Dataset
        ``setting`` (policy, lever); ``gain`` and ``cost`` (policy, scenario, member); the criteria
        ``mean``, ``percentile``, ``satisficing`` and ``regret`` (policy), the regret NaN where a
        policy exceeds the budget; ``mean_cost`` and ``affordable`` (policy); ``pareto`` is 1 for
        an affordable policy that no other affordable one beats in all aspects at once.

    Raises
    ------
    InputError
        A policy does not fit the levers, no policy meets the budget, or an aspect is unknown.
    SimulationError
        A run produced NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import Scenario, load_model
    >>> from beltcast.drivers.policy.policy import PolicyQuestion, compare_policies
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.study.roles import Lever
    >>> model = load_model(shipped("models/belt/belt.mdl"))
    >>> question = PolicyQuestion(
    ...     model, (Lever("Belt Deepening Multiplier", 1.0, 2.0, idle=1.0),),
    ...     {"base": Scenario("base", "Base")}, ((), np.empty((1, 0))),
    ...     gain="output", cost="public spending", years=(2026, 2035), budget=100.0,
    ... )
    >>> found = compare_policies(question, np.array([[1.0], [1.5]]))
    >>> bool(found["mean"][1] > found["mean"][0])
    True
    """
    policies = np.asarray(policies, dtype=np.float64)
    if policies.ndim != 2 or policies.shape[1] != len(question.levers) or not len(policies):
        raise InputError(
            f"policies have the shape {policies.shape}; expected one row a policy and "
            f"{len(question.levers)} columns, one for each lever"
        )
    if len(set(pareto)) < 2 or set(pareto) - set(ASPECTS):
        raise InputError(
            f"a Pareto set in {', '.join(pareto) or 'nothing'} was requested; name two or more of "
            f"{', '.join(ASPECTS)}"
        )
    gain, cost = gains_and_costs(question, policies, pieces)
    mean_cost = cost.mean(axis=(1, 2))
    affordable = mean_cost <= question.budget * (1 + 1e-9)
    if not affordable.any():
        raise InputError(
            f"no policy meets the budget of {question.budget:g}; the cheapest costs "
            f"{mean_cost.min():.4g}"
        )
    best = gain[affordable].max(axis=0)
    aspects: dict[str, FloatArray] = {
        str(name): criterion_of(gain, name, question.goal, best) for name in CRITERIA
    }
    aspects["regret"][~affordable] = np.nan
    aspects["mean_cost"] = mean_cost
    better = np.stack([-aspects[n] if n in SMALL_IS_GOOD else aspects[n] for n in pareto])
    kept = np.zeros(len(policies), dtype=bool)
    kept[affordable] = _undominated(better[:, affordable])
    unit = question.model.find(question.gain).unit.removesuffix("/Year")
    dims = (POLICY, SCENARIO, MEMBER)
    return xr.Dataset(
        {
            "setting": ((POLICY, LEVER), policies),
            "gain": (dims, gain, {"units": unit}),
            "cost": (dims, cost, {"units": unit}),
            **{
                name: (POLICY, values, {"units": "1" if name == "satisficing" else unit})
                for name, values in aspects.items()
            },
            "affordable": (POLICY, affordable.astype(np.int8)),
            "pareto": (POLICY, kept.astype(np.int8)),
        },
        {LEVER: [lever.name for lever in question.levers], SCENARIO: [*question.futures]},
        {
            "budget": question.budget,
            "goal": question.goal,
            "years": list(question.years),
            "pareto": ", ".join(pareto),
        },
    )


def design(levers: Sequence[Lever], count: int, *, rng: np.random.Generator) -> FloatArray:
    """Distribute policies over the levers: doing nothing, each lever at its ends, Sobol' points.

    Parameters
    ----------
    levers : sequence of Lever
    count : int
        Sobol' points, a power of two.
    rng : numpy.random.Generator

    Returns
    -------
    (1 + 2 L + count, L)

    Raises
    ------
    InputError
        The count is not a power of two.
    """
    if count < 1 or count & (count - 1):
        raise InputError(f"{count} policies were requested; expected a power of two, such as 32")
    low, high, idle = (
        np.array([getattr(lever, end) for lever in levers]) for end in ("low", "high", "idle")
    )
    points = qmc.Sobol(len(levers), rng=rng).random(count)
    every = np.concatenate([idle[None, :], levers_alone(levers), low + points * (high - low)])
    # A lever whose idle value is one of its ends gives doing nothing again.
    first = np.unique(every, axis=0, return_index=True)[1]
    chosen: FloatArray = every[np.sort(first)]
    return chosen


def levers_of(study: Study, texts: Sequence[str] | None = None) -> tuple[Lever, ...]:
    """Read levers, ``Constant=low:high``; by default those that the study lets policies set.

    A lever given here is idle at the model's own value, or at its low end if that value is outside
    its range.

    Raises
    ------
    InputError
        A text does not have that form or names no constant of the model, or there is no lever.
    """
    if not texts:
        levers = tuple(lever for lever in study.roles.levers if lever.policy)
        if not levers:
            raise InputError(
                "the study names no levers, so there is no policy to compare; add a table "
                '[levers."..."] with range = [low, high] for each constant that a policy sets, or '
                "name one with --lever 'Constant=low:high'"
            )
        return levers
    return tuple(_lever(study.model, text) for text in texts)


def _lever(model: Model, text: str) -> Lever:
    label, _, ends = text.rpartition("=")
    try:
        low, high = (float(end) for end in ends.split(":"))
    except ValueError:
        low, high = np.nan, np.nan
    if not (label.strip() and low < high):
        example = next((v.name for v in model.variables.values() if v.kind == "constant"), "Name")
        raise InputError(f"'{text}' is not Constant=low:high; write, for example, '{example}=1:2'")
    try:
        variable, elements = find_label(label.strip(), model)
        name = join_label(variable.name, elements)
        own = model.value(name)
    except UnknownName as problem:
        raise InputError(f"lever: {problem.sentence}") from None
    return Lever(name, low, high, own if low <= own <= high else low)


def signposts(
    question: PolicyQuestion, compared: xr.Dataset, policy: int, *, density: float = 0.8
) -> xr.Dataset:
    """Find the inputs to watch: those where a policy misses its goal.

    Parameters
    ----------
    question : Question
        With draws of parameters.
    compared : xarray.Dataset
        As `compare_policies` returns it for that question.
    policy : int
    density : float  [1]
        See `beltcast.drivers.discovery.prim.chosen_box`.

    Returns
    -------
    xarray.Dataset
        A box of inputs as of `prim.chosen_box`; an input called 'future: name' is 1 in
        the cases of that future.

    Raises
    ------
    InputError
        The policy meets its goal in all cases, or in none.
    """
    labels, values = question.draws
    futures = list(question.futures)
    gain = compared["gain"].isel({POLICY: policy}).transpose(SCENARIO, MEMBER).values
    which = np.repeat(np.eye(len(futures)), len(values), axis=0)
    table = np.concatenate([np.tile(values, (len(futures), 1)), which], axis=1)
    names = [*labels, *(f"future: {name}" for name in futures)]
    moving = np.ptp(table, axis=0) > 0
    inputs = xr.DataArray(
        table[:, moving],
        dims=("case", PARAMETER),
        coords={PARAMETER: [n for n, m in zip(names, moving, strict=True) if m]},
    )
    missed = (gain < question.goal).reshape(-1)
    kept = inputs.sel({PARAMETER: telling(inputs, missed)})
    box = chosen_box(kept, missed, prim(kept, missed), density=density)
    return box.isel({BOX: 0}, drop=True)


# --- runs -------------------------------------------------------------------------------------


def gains_and_costs(
    question: PolicyQuestion, policies: FloatArray, pieces: Pieces = NOT_KEPT
) -> tuple[FloatArray, FloatArray]:
    """Gain and cost of each policy relative to doing nothing, (policy, future, member) each."""
    _check_years(question)
    labels, values = question.draws
    idle = [lever.idle for lever in question.levers]
    settings = np.vstack([idle, policies])
    names = [lever.name for lever in question.levers]
    # A policy is part of the member: all policies of a future form one ensemble.
    members = np.concatenate(
        [np.repeat(settings, len(values), axis=0), np.tile(values, (len(settings), 1))], axis=1
    )
    for future in question.futures.values():
        if clash := sorted(set(names) & set(future.constants)):
            raise InputError(
                f"the future '{future.name}' sets '{clash[0]}', which is a lever; a future "
                f"must not set a lever, so leave it out there"
            )
    runs = run_ensemble(
        question.model,
        question.futures,
        ([*names, *labels], members),
        outputs=[question.gain, question.cost],
        end=float(question.years[1] + 1),
        pieces=pieces,
    )
    if int(runs["status"].sum()):
        raise SimulationError(
            f"{int(runs['status'].sum())} runs of policies produced NaN or infinity; narrow the "
            "levers"
        )
    totals = []
    for name in (question.gain, question.cost):
        own = runs[question.model.find(name).name].sel({YEAR: slice(*question.years)})
        total = own.sum([d for d in own.dims if d not in (SCENARIO, MEMBER)])
        # (scenario, policy x member) -> (policy, scenario, member)
        shaped = total.transpose(SCENARIO, MEMBER).values.reshape(
            len(question.futures), len(settings), len(values)
        )
        totals.append(np.moveaxis(shaped[:, 1:] - shaped[:, :1], 0, 1))
    return totals[0], totals[1]


def levers_alone(levers: Sequence[Lever]) -> FloatArray:
    """Policies that move one lever to one of its ends, (2 L, L)."""
    policies = np.tile([lever.idle for lever in levers], (2 * len(levers), 1))
    for i, lever in enumerate(levers):
        policies[2 * i : 2 * i + 2, i] = lever.low, lever.high
    return policies


def _check_years(question: PolicyQuestion) -> None:
    """Refuse years that the model does not cover: its inputs end with the run."""
    first, last = question.years
    grid = question.model.grid()
    begin, end = math.ceil(grid.start), math.floor(grid.end) - 1
    if not begin <= first <= last <= end:
        raise InputError(
            f"years {first} to {last} were requested; choose a first and a last year within "
            f"{begin} to {end}, which the model runs through"
        )


def criterion_of(gain: FloatArray, name: Criterion, goal: float, best: FloatArray) -> FloatArray:
    """Score of each policy over its cases.

    Parameters
    ----------
    gain : (policy, future, member)
    name : str
    goal : float
        For satisficing.
    best : (future, member)
        Gain that regret is measured from.

    Returns
    -------
    (policy,)
    """
    cases = gain.reshape(len(gain), -1)
    match name:
        case "mean":
            score = cases.mean(axis=1)
        case "percentile":
            score = np.quantile(cases, EXCEEDED, axis=1)
        case "satisficing":
            score = (cases >= goal).mean(axis=1)
        case "regret":
            score = (best.reshape(-1) - cases).max(axis=1)
    return np.asarray(score, dtype=np.float64)


def _undominated(better: FloatArray) -> NDArray[np.bool_]:
    """Columns that no other column matches in all rows and exceeds in one, (P,)."""
    at_least = (better[:, :, None] >= better[:, None, :]).all(axis=0)
    above = (better[:, :, None] > better[:, None, :]).any(axis=0)
    kept: NDArray[np.bool_] = ~np.any(at_least & above, axis=0)
    return kept
