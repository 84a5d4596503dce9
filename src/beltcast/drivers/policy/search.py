"""Search the levers for the best policy under a budget.

Two methods.  `climb` follows exact derivatives of the mean gain and the mean cost, which the engine
computes along with the runs, by sequential quadratic programming: a few dozen ensembles, and
precise, but only uphill from its start.  `search_policy` needs nothing of the criterion, so that
percentile, goal and regret can be searched for as well: differential evolution (Storn and Price
1997), with one ensemble of runs per generation.

References
----------
Kraft, D. (1988): A software package for sequential quadratic programming. DFVLR-FB 88-28.
Storn, R. and Price, K. (1997): Differential evolution. J. Global Optimization 11, 341-359.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import differential_evolution, minimize

from beltcast.drivers.policy.policy import (
    Criterion,
    PolicyQuestion,
    criterion_of,
    gains_and_costs,
    levers_alone,
)
from beltcast.engine.nodes import FloatArray
from beltcast.ensembles.ensemble import member_constants
from beltcast.errors import InputError, SimulationError
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.schema import Progress
from beltcast.streams import Random, Streams


def found_by(
    question: PolicyQuestion,
    tried: FloatArray,
    criteria: Sequence[Criterion],
    *,
    rng: Random,
    generations: int = 12,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> FloatArray:
    """Add to policies the best that a search finds by each criterion.

    The best mean is reached by `climb` from the best of those tried; regret is measured from the
    best of them in each case.

    Parameters
    ----------
    question : Question
    tried : (P, L)
    criteria : sequence of str
    rng : Streams, numpy.random.Generator or int
    generations : int
        As for `search_policy`.
    pieces : Pieces, optional
        Store of finished runs, to resume from.
    progress : Progress, optional

    Returns
    -------
    (P + number of criteria, L)

    Raises
    ------
    InputError
        No policy that was tried meets the budget.
    """
    if not criteria:
        return tried
    gain, cost = gains_and_costs(question, tried, pieces.of("tried"))
    able = cost.mean(axis=(1, 2)) <= question.budget * (1 + 1e-9)
    if not able.any():
        raise InputError(
            f"no policy that was tried meets the budget of {question.budget:g}; raise it, or widen "
            "the levers"
        )
    found = []
    streams = Streams.of(rng)
    for i, criterion in enumerate(criteria):
        if progress is not None:
            progress("search", i, len(criteria))
        if criterion == "mean":
            start = tried[able][gain[able].mean(axis=(1, 2)).argmax()]
            found.append(climb(question, start, pieces=pieces.of(f"search {i}")))
        else:
            best = gain[able].max(axis=0)
            found.append(
                search_policy(
                    question,
                    criterion,
                    rng=streams.stream(f"search for {criterion}"),
                    generations=generations,
                    reference=best,
                    pieces=pieces.of(f"search {i}"),
                )
            )
    if progress is not None:
        progress("search", len(criteria), len(criteria))
    return np.vstack([tried, *found])


def climb(
    question: PolicyQuestion, start: FloatArray, *, steps: int = 60, pieces: Pieces = NOT_KEPT
) -> FloatArray:
    """Climb from a policy to the best mean gain that the budget allows nearby.

    Parameters
    ----------
    question : Question
    start : (L,)
        Value of each lever.
    steps : int
        At most; each is one ensemble with its derivatives.
    pieces : Pieces, optional
        Store of finished steps, to resume from.

    Returns
    -------
    (L,)
        Never worse than the start, if that meets the budget.

    Raises
    ------
    SimulationError
        A run produced NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import Scenario, load_model
    >>> from beltcast.drivers.policy.policy import PolicyQuestion
    >>> from beltcast.drivers.policy.search import climb
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.study.roles import Lever
    >>> model = load_model(shipped("models/belt/belt.mdl"))
    >>> question = PolicyQuestion(
    ...     model, (Lever("Belt Deepening Multiplier", 1.0, 2.0, idle=1.0),),
    ...     {"base": Scenario("base", "Base")}, ((), np.empty((1, 0))),
    ...     gain="output", cost="public spending", years=(2026, 2035), budget=100.0,
    ... )
    >>> bool(1.5 < climb(question, np.array([1.1]))[0] < 1.8)
    True
    """
    low, width = _ends(question)
    idle = np.array([lever.idle for lever in question.levers])
    nothing = mean_totals(question, idle)[:, 0]
    # Everything is scaled to about 1, so that one tolerance fits any unit.
    units = np.array([_size_of_gains(question), max(abs(question.budget), 1e-12)])
    seen: dict[bytes, FloatArray] = {}

    def at(x: FloatArray) -> FloatArray:
        """Gain and cost, each with its derivatives, (2, 1 + L), at a point of the unit cube."""
        key = x.tobytes()
        if key not in seen:
            step = pieces.take(
                f"step {len(seen)}", lambda: {"totals": mean_totals(question, low + width * x)}
            )
            totals = step["totals"].copy()
            totals[:, 0] -= nothing
            totals[:, 1:] *= width
            seen[key] = totals / units[:, None]
        return seen[key]

    # A small part of the budget is held back: the search meets it only to its own rounding.
    budget = question.budget / units[1] - 1e-7
    found: Any = minimize(
        lambda x: -at(x)[0, 0],
        np.clip((start - low) / width, 0.0, 1.0),
        jac=lambda x: -at(x)[0, 1:],
        bounds=[(0.0, 1.0)] * len(low),
        constraints=[
            {"type": "ineq", "fun": lambda x: budget - at(x)[1, 0], "jac": lambda x: -at(x)[1, 1:]}
        ],
        method="SLSQP",
        options={"maxiter": steps, "ftol": 1e-10},
    )
    end = np.clip(found.x, 0.0, 1.0)
    begin = np.clip((start - low) / width, 0.0, 1.0)
    afford = bool(at(end)[1, 0] <= question.budget / units[1])
    best = end if afford and at(end)[0, 0] >= at(begin)[0, 0] else begin
    policy: FloatArray = low + width * best
    return policy


def search_policy(
    question: PolicyQuestion,
    criterion: Criterion,
    *,
    rng: np.random.Generator,
    generations: int = 60,
    population: int = 10,
    reference: FloatArray | None = None,
    pieces: Pieces = NOT_KEPT,
) -> FloatArray:
    """Search the levers for the best policy that meets the budget.

    Parameters
    ----------
    question : Question
    criterion : 'mean', 'percentile', 'satisficing' or 'regret'
    rng : numpy.random.Generator
    generations, population : int
        Runs are at most (generations + 1) x population x levers x cases.
    reference : (future, member), optional
        Best gain known of each case, for regret; that of doing nothing and of each lever at its
        ends by default.  A policy that does better has no regret.
    pieces : Pieces, optional
        Store of finished generations, to resume from.

    Returns
    -------
    (L,)
        Value of each lever.  The best mean is improved by derivatives at the end.

    Raises
    ------
    InputError
        No policy that was tried meets the budget.
    """
    scale = max(abs(question.budget), 1e-12)
    size = 1.0 if criterion == "satisficing" else _size_of_gains(question)
    best_known = _best_known(question) if reference is None else reference

    generation = itertools.count()

    def loss(columns: FloatArray) -> FloatArray:
        own = pieces.of(f"generation {next(generation)}")
        gain, cost = gains_and_costs(question, columns.T, own)
        over = np.maximum(0.0, cost.mean(axis=(1, 2)) - question.budget) / scale
        score = criterion_of(gain, criterion, question.goal, best_known) / size
        good = -np.maximum(score, 0.0) if criterion == "regret" else score
        # Any policy within the budget ranks before any beyond it; in units of the gains, as the
        # search ends where losses are alike, and near 1 they would be so in any large unit.
        worth: FloatArray = np.where(over > 0, 2.0 + over, -good / (1.0 + np.abs(good)))
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
    return climb(question, best, pieces=pieces) if criterion == "mean" else best


def mean_totals(question: PolicyQuestion, policy: FloatArray) -> FloatArray:
    """Gain and cost, means over the cases, with their derivatives by the levers, (2, 1 + L)."""
    model, (labels, values) = question.model, question.draws
    names = [*(lever.name for lever in question.levers), *labels]
    members = np.concatenate([np.tile(policy, (len(values), 1)), values], axis=1)
    targets, owner = model.targets(names)
    flows = [model.rows(question.gain), model.rows(question.cost)]
    total = np.zeros((2, 1 + len(policy)))
    for future in question.futures.values():
        rows, combined = member_constants(model, (names, members), future)
        # A lever may be a constant of several elements: it moves all of them.
        moved = [np.flatnonzero(np.isin(rows, targets[owner == i])) for i in range(len(policy))]
        out = model.batch(
            rows,
            combined,
            outputs=np.empty(0, dtype=np.int64),
            totals=np.concatenate(flows),
            saves=[float(question.years[0]), float(question.years[1] + 1)],
            grid=model.grid(future.constants),
            inputs=future.inputs,
            directions=np.concatenate(moved),
        )
        if not np.isfinite(out[..., 0]).all():
            raise SimulationError("a run of a policy produced NaN or infinity; narrow the levers")
        # Where there is no derivative, such as at a root of 0, it carries no information.
        out = np.where(np.isfinite(out), out, 0.0)
        over_years = (out[1] - out[0]).mean(axis=1)  # (flows, 1 + directions)
        parts = np.split(over_years, [len(flows[0])])
        total[:, 0] += [part[:, 0].sum() for part in parts]
        first = 1
        for i, positions in enumerate(moved):
            last = first + len(positions)
            total[:, 1 + i] += [part[:, first:last].sum() for part in parts]
            first = last
    return total / len(question.futures)


def _ends(question: PolicyQuestion) -> tuple[FloatArray, FloatArray]:
    """Low ends and widths of the levers."""
    low = np.array([lever.low for lever in question.levers])
    return low, np.array([lever.high for lever in question.levers]) - low


def _size_of_gains(question: PolicyQuestion) -> float:
    """Largest mean gain, up or down, of a lever at one of its ends."""
    gain, _ = gains_and_costs(question, levers_alone(question.levers))
    return float(np.abs(gain.mean(axis=(1, 2))).max()) or 1.0


def _best_known(question: PolicyQuestion) -> FloatArray:
    """Best gain of each case, of doing nothing and of each lever at its ends."""
    gain, _ = gains_and_costs(question, levers_alone(question.levers))
    best: FloatArray = np.maximum(gain.max(axis=0), 0.0)
    return best
