"""Which mix of levers holds up: search under a budget, over draws and futures.

A *policy* sets levers, which are constants of the model.  A *case* is a draw of the parameters in a
future, a scenario that the policy meets.  In every case a policy brings a gain and costs something,
both totals of flows over years, both against doing nothing in the same case.  Four criteria:

* ``mean``: mean gain over the cases;
* ``percentile``: the gain that 90% of the cases exceed;
* ``satisficing``: share of the cases whose gain reaches a goal (Starr 1963; Lempert and Collins
  2007);
* ``regret``: largest distance, over the cases, to the best policy of the same case (Savage 1951),
  among the policies that are compared and meet the budget; small is good.

`compare_policies` judges given policies; `search_policy` lets SciPy's differential evolution look
for the best by one of the first three, a whole generation one ensemble of runs.  The budget binds
the mean cost.  A policy is only as good as the costs behind it, and those of the belt model's
public levers are judgement.

References
----------
Lempert, R. J. and Collins, M. T. (2007): Managing the risk of uncertain threshold responses. Risk
Analysis 27(4), 1009-1026.
Savage, L. J. (1951): The theory of statistical decision. J. Am. Stat. Assoc. 46, 55-67.
Storn, R. and Price, K. (1997): Differential evolution. J. Global Optimization 11, 341-359.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import differential_evolution
from scipy.stats import qmc

from beltcast.drivers.prim import BOX, chosen_box, prim, telling
from beltcast.engine.nodes import FloatArray
from beltcast.ensemble import run_ensemble
from beltcast.errors import InputError, SimulationError
from beltcast.model import Model
from beltcast.scenarios import Scenario
from beltcast.schema import MEMBER, PARAMETER, SCENARIO, YEAR

__all__ = [
    "Lever",
    "Question",
    "compare_policies",
    "design",
    "levers_of",
    "search_policy",
    "signposts",
]

POLICY, LEVER = "policy", "lever"

Criterion = Literal["mean", "percentile", "satisficing"]

BELT_LEVERS = (
    "Support Final Multiplier=0.5:2",
    "Belt Deepening Multiplier=1:2",
    "Brand Propensity Final Multiplier=1:1.5",
    "Threshold Final Multiplier=0.8:1.5",
)
"""Levers of the belt model, as multiples of today."""

EXCEEDED = 0.1
"""The percentile criterion: the gain that all but this share of the cases exceed."""


@dataclass(frozen=True)
class Lever:
    """A constant that a policy sets, between two values; ``idle`` is doing nothing."""

    label: str
    low: float
    high: float
    idle: float


@dataclass(frozen=True, eq=False)
class Question:
    """What policies are judged on.

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
        Both are counted.
    budget : float  [unit of the cost, total over the years]
        Most that a policy may cost more than doing nothing, on the mean over the cases.
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


def compare_policies(question: Question, policies: FloatArray) -> xr.Dataset:
    """Judge policies by all criteria.

    Parameters
    ----------
    question : Question
    policies : (P, L)
        Value of each lever.

    Returns
    -------
    xarray.Dataset
        ``setting`` (policy, lever); ``gain`` and ``cost`` (policy, scenario, member); the criteria
        ``mean``, ``percentile``, ``satisficing`` and ``regret`` (policy), the regret NaN where a
        policy is beyond the budget; ``mean_cost`` and ``affordable`` (policy); ``pareto`` is 1 for
        an affordable policy that no other affordable one beats in mean, percentile, satisficing,
        regret and cost at once.

    Raises
    ------
    InputError
        A policy does not fit the levers, or no policy meets the budget.
    SimulationError
        A run left the finite numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import Scenario, load_model
    >>> from beltcast.drivers.policy import Lever, Question, compare_policies
    >>> from beltcast.resources import shipped
    >>> model = load_model(shipped("models/belt/belt.mdl"))
    >>> question = Question(
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
    gain, cost = _run(question, policies)
    mean_cost = cost.mean(axis=(1, 2))
    affordable = mean_cost <= question.budget * (1 + 1e-9)
    if not affordable.any():
        raise InputError(
            f"no policy meets the budget of {question.budget:g}; the cheapest costs "
            f"{mean_cost.min():.4g}"
        )
    regret = (gain[affordable].max(axis=0) - gain).max(axis=(1, 2))
    regret[~affordable] = np.nan
    by_name: dict[str, FloatArray] = {n: _criterion(gain, n, question.goal) for n in _CRITERIA}
    criteria = {
        **by_name,
        "regret": regret,
        "mean_cost": mean_cost,
    }
    better = np.stack(
        [criteria["mean"], criteria["percentile"], criteria["satisficing"], -regret, -mean_cost]
    )
    pareto = np.zeros(len(policies), dtype=bool)
    pareto[affordable] = _undominated(better[:, affordable])
    unit = question.model.find(question.gain).unit.removesuffix("/Year")
    dims = (POLICY, SCENARIO, MEMBER)
    return xr.Dataset(
        {
            "setting": ((POLICY, LEVER), policies),
            "gain": (dims, gain, {"units": unit}),
            "cost": (dims, cost, {"units": unit}),
            **{
                name: (POLICY, values, {"units": "1" if name == "satisficing" else unit})
                for name, values in criteria.items()
            },
            "affordable": (POLICY, affordable.astype(np.int8)),
            "pareto": (POLICY, pareto.astype(np.int8)),
        },
        {LEVER: [lever.label for lever in question.levers], SCENARIO: [*question.futures]},
        {"budget": question.budget, "goal": question.goal, "years": list(question.years)},
    )


def design(levers: Sequence[Lever], count: int, *, rng: np.random.Generator) -> FloatArray:
    """Spread policies over the levers: doing nothing, each lever at its ends, Sobol' points.

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
        raise InputError(f"{count} policies were asked for; expected a power of two, such as 32")
    low, high, idle = (
        np.array([getattr(lever, end) for lever in levers]) for end in ("low", "high", "idle")
    )
    alone = np.repeat(idle[None, :], 2 * len(levers), axis=0)
    for i in range(len(levers)):
        alone[2 * i : 2 * i + 2, i] = low[i], high[i]
    points = qmc.Sobol(len(levers), rng=rng).random(count)
    every = np.concatenate([idle[None, :], alone, low + points * (high - low)])
    # A lever whose idle value is one of its ends gives doing nothing again.
    first = np.unique(every, axis=0, return_index=True)[1]
    spread: FloatArray = every[np.sort(first)]
    return spread


def levers_of(texts: Sequence[str] | None) -> tuple[Lever, ...]:
    """Read levers, ``Constant=low:high``; those of the belt model by default.

    Raises
    ------
    InputError
        A text does not have that form.
    """
    levers = []
    for text in texts or BELT_LEVERS:
        label, _, ends = text.rpartition("=")
        try:
            low, high = (float(end) for end in ends.split(":"))
        except ValueError:
            low, high = np.nan, np.nan
        if not (label and low < high):
            raise InputError(
                f"'{text}' is not Constant=low:high; write, for example, "
                "'Belt Deepening Multiplier=1:2'"
            )
        levers.append(Lever(label.strip(), low, high, 1.0 if low <= 1.0 <= high else low))
    return tuple(levers)


def search_policy(
    question: Question,
    criterion: Criterion,
    *,
    rng: np.random.Generator,
    generations: int = 60,
    population: int = 10,
) -> FloatArray:
    """Search the levers for the best policy that meets the budget.

    Parameters
    ----------
    question : Question
    criterion : 'mean', 'percentile' or 'satisficing'
    rng : numpy.random.Generator
    generations, population : int
        Runs are at most (generations + 1) x population x levers x cases.

    Returns
    -------
    (L,)
        Value of each lever.

    Raises
    ------
    InputError
        No policy that was tried meets the budget.
    """
    scale = max(abs(question.budget), 1e-12)

    def loss(columns: FloatArray) -> FloatArray:
        gain, cost = _run(question, columns.T)
        over = np.maximum(0.0, cost.mean(axis=(1, 2)) - question.budget) / scale
        score = _criterion(gain, criterion, question.goal)
        # Any policy within the budget goes before any beyond it, whatever the units.
        worth: FloatArray = np.where(over > 0, 2.0 + over, -score / (1.0 + np.abs(score)))
        return worth

    found = differential_evolution(
        loss,
        [(lever.low, lever.high) for lever in question.levers],
        maxiter=generations,
        popsize=population,
        tol=1e-8,
        rng=rng,
        polish=False,
        vectorized=True,
        updating="deferred",
    )
    if found.fun >= 2.0:
        raise InputError(
            f"no policy that was tried meets the budget of {question.budget:g}; raise it, or widen "
            "the levers"
        )
    best: FloatArray = found.x
    return best


def signposts(
    question: Question, compared: xr.Dataset, policy: int, *, density: float = 0.8
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
        See `beltcast.drivers.prim.chosen_box`.

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


def _run(question: Question, policies: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gain and cost of each policy against doing nothing, (policy, future, member) each."""
    labels, values = question.draws
    idle = [lever.idle for lever in question.levers]
    settings = np.vstack([idle, policies])
    names = [lever.label for lever in question.levers]
    # A policy is part of the member: all policies of a future are one ensemble.
    members = np.concatenate(
        [np.repeat(settings, len(values), axis=0), np.tile(values, (len(settings), 1))], axis=1
    )
    for future in question.futures.values():
        if clash := sorted(set(names) & set(future.constants)):
            raise InputError(
                f"the future '{future.name}' sets '{clash[0]}', which is a lever; a future is what "
                "a policy meets, so leave it out there"
            )
    runs = run_ensemble(
        question.model,
        question.futures,
        ([*names, *labels], members),
        outputs=[question.gain, question.cost],
        end=float(question.years[1] + 1),
    )
    if int(runs["status"].sum()):
        raise SimulationError(
            f"{int(runs['status'].sum())} runs of policies left the finite numbers; narrow the "
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


_CRITERIA: tuple[Criterion, ...] = ("mean", "percentile", "satisficing")


def _criterion(gain: FloatArray, name: Criterion, goal: float) -> FloatArray:
    """Score of each policy over its cases, (policy,)."""
    cases = gain.reshape(len(gain), -1)
    if name == "percentile":
        low: FloatArray = np.quantile(cases, EXCEEDED, axis=1)
        return low
    score: FloatArray = (
        (cases >= goal).mean(axis=1) if name == "satisficing" else cases.mean(axis=1)
    )
    return score


def _undominated(better: FloatArray) -> NDArray[np.bool_]:
    """Columns that no other is at least as good in all rows, and better in one, (P,)."""
    at_least = (better[:, :, None] >= better[:, None, :]).all(axis=0)
    above = (better[:, :, None] > better[:, None, :]).any(axis=0)
    kept: NDArray[np.bool_] = ~np.any(at_least & above, axis=0)
    return kept
