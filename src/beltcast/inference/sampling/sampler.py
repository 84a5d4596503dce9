"""Markov chains of the posterior, with diagnostics of mixing.

Two methods, one result:

===============  =================================================  ==============================
method           a chain is                                         use for
===============  =================================================  ==============================
``walkers``      a group of independent Markov chains (*walkers*),  models whose gradient costs
                 their draws one after the other; needs values      many values: the belt study
                 only (`walkers`)                                   (one gradient, 300 values)
``nuts``         one chain of the No-U-Turn sampler on the exact    small models, and as a check
                 gradient (`nuts`, needs ``bayes``)
===============  =================================================  ==============================

Both start from a distribution wider than Laplace's normal, around the distinct optima if there are
several, chain after chain, and are monitored by `diagnostics`.  The verdict uses the nested R-hat
between groups.  A group may hide a walker that is stuck elsewhere, and walkers of a group do not
start from one point as Margossian and others propose, so R-hat of the single walkers is reported
too.  It is stricter: a walker has an eighth of the draws of its group.

Work is done in blocks, each with a random generator of its own.  The state after a block is a value
(`Unfinished`), so that a stopped run continues from its last block and ends, to the last bit, where
it would have ended.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Literal, get_args

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.threads import processors
from beltcast.errors import CalibrationError, InputError, one_of
from beltcast.inference.calibrate import Calibration, one_blas_thread
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.chains import Chains
from beltcast.inference.sampling.metropolis import Density, Factor, Walkers, adapted, walk
from beltcast.inference.sampling.nuts import nuts_chain
from beltcast.inference.sampling.posterior import NOTHING_SIMULATED, SETTLE
from beltcast.inference.sampling.surrogate import Surrogate, may_have_surrogate
from beltcast.inference.sampling.walker_density import (
    REACH,
    START_WIDENING,
    start_walkers,
    walker_density,
    walker_order,
    walker_surrogate,
)
from beltcast.schema import Progress, no_progress

SamplingMethod = Literal["walkers", "nuts"]
SAMPLING_METHODS: tuple[SamplingMethod, ...] = get_args(SamplingMethod)

FEW_UNKNOWNS = 20
"""Unknowns up to which nuts is the default."""

GROUP = 8
"""Walkers of a chain, or fewer if the draws are few."""

SURROGATE_MOVES = 16
"""Moves between recorded draws, where a surrogate proposes them."""

BLOCKS = 25
"""Blocks of a run; a stopped run loses at most one of them."""


@dataclass(frozen=True)
class SampleOptions:
    """How to sample.

    Attributes
    ----------
    chains, draws : int
        Shape of the result.
    method : str, optional
        ``walkers`` or ``nuts``, see the table of the module; by default nuts for at most 20
        unknowns if nutpie is installed, else walkers.
    every : int, optional
        Moves between recorded draws; by default 16 that a surrogate proposes (`surrogate`), or
        without one 3 for every 2 parameters of the model, at least 10: about the time in which
        walkers lose memory. Not for nuts.
    burn_in : int, optional
        Moves before the first draw, in which the proposals adapt; by default 10 for each
        parameter, without a surrogate 30, at least 400. For nuts the tuning steps, 400.
    threads : int, optional
        Walkers are simulated in parallel on so many; one per processor by default.  The result
        does not depend on it.
    """

    chains: int = 4
    draws: int = 1000
    method: str | None = None
    every: int | None = None
    burn_in: int | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.method is not None:
            one_of(self.method, SAMPLING_METHODS, "method of sampling")


@dataclass(frozen=True, eq=False)
class Unfinished:
    """State of a run so far; pass it to `sample` to continue.

    Attributes
    ----------
    key : str
        Of the fit, the settings and the seed: another run cannot continue from here.
    block : int
        Blocks that are complete.
    walkers : Walkers or None
        Their positions; None for the method nuts.
    theta : tuple of (k, W, size)
        Draws of each block that gave any; of nuts one chain each, (draws, 1, size).
    stats : tuple of mapping of str to (k, W)
        Statistics of each draw.
    evaluations : int
        Values of the density, or gradients, so far.
    """

    key: str
    block: int
    walkers: Walkers | None
    theta: tuple[FloatArray, ...]
    stats: tuple[Mapping[str, FloatArray], ...]
    evaluations: int


@one_blas_thread()
def sample(
    calibration: Calibration,
    options: SampleOptions | None = None,
    *,
    rng: np.random.Generator,
    resume: Unfinished | None = None,
    keep: Callable[[Unfinished], None] | None = None,
    progress: Progress | None = None,
) -> Chains:
    """Draw from the posterior by Markov chains.

    Parameters
    ----------
    calibration : Calibration
        Its optimum and Laplace's covariance give the starts and the scales.
    options : SampleOptions, optional
    rng : numpy.random.Generator
        One child is spawned for each block.
    resume : Unfinished, optional
        State to continue from.
    keep : callable, optional
        Called with the state after every block, to store it.
    progress : Progress, optional
        Called with (what, done, total); what is 'draws: ' and the acceptance or the
        divergences.

    Raises
    ------
    CalibrationError
        No walker finds a point that can be simulated.
    InputError
        `resume` has another fit, other settings or another seed; fewer than 4 draws, or no
        move between them.
    MissingExtra
        nuts without nutpie.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from beltcast import SampleOptions, calibrate, read_study, sample
    >>> from beltcast.study.starter import init
    >>> _ = init(Path("mine"), belts=["Foshan"])
    >>> rng = np.random.default_rng(1)
    >>> fit = calibrate(read_study("mine"), rng=rng, starts=4, refine=1)
    >>> some = sample(fit, SampleOptions(chains=2, draws=8, every=2, burn_in=10), rng=rng)
    >>> some.theta.shape == (2, 8, fit.likelihood.size)
    True
    """
    options = options or SampleOptions()
    plan = _plan(calibration.likelihood, options)
    seeds = rng.spawn(1 + plan.blocks)
    key = _key(calibration, plan, seeds[0])
    if resume is not None and resume.key != key:
        raise InputError(
            "the unfinished run was sampled from another fit, with other settings or another "
            "seed; give those of that run, or start again without --resume"
        )
    state = resume or Unfinished(key, 0, None, (), (), 0)
    tell = progress or no_progress
    threads = options.threads or processors()
    density, last = walker_density(calibration, threads)
    surrogate: Surrogate | None = None
    seen = False
    for block in range(state.block, plan.blocks):
        if plan.method == "walkers" and block >= plan.burn_blocks and not seen:
            # Frozen with the walkers' past at the end of the burn-in.
            assert state.walkers is not None
            surrogate, seen = walker_surrogate(calibration, state.walkers, threads), True
        posterior = density, last, surrogate
        done = (
            _walked(calibration, posterior, plan, state, seeds[1 + block])
            if plan.method == "walkers"
            else _with_a_chain(calibration, plan, state, seeds[1 + block])
        )
        state = replace(done, block=block + 1)
        tell(*_news(plan, state))
        if keep is not None:
            keep(state)
    return _finished(calibration.likelihood, plan, state)


def default_method(likelihood: Likelihood) -> SamplingMethod:
    """Return 'nuts' for few unknowns if nutpie is installed, else 'walkers'.

    Walkers propose moves from their past positions, and miss long tails that they have not visited.
    """
    few = likelihood.size <= FEW_UNKNOWNS
    return "nuts" if few and find_spec("nutpie") is not None else "walkers"


@dataclass(frozen=True)
class _Plan:
    """A count with its noun."""

    method: str
    chains: int
    draws: int
    group: int
    every: int
    burn_in: int
    burn_blocks: int
    blocks: int

    @property
    def walkers(self) -> int:
        return self.chains * self.group

    @property
    def records(self) -> int:
        return self.draws // self.group

    def records_of(self, block: int) -> int:
        """Draws of each walker in a block after the burn-in, spread evenly."""
        k, count = block - self.burn_blocks, self.blocks - self.burn_blocks
        return self.records * (k + 1) // count - self.records * k // count


def _plan(likelihood: Likelihood, options: SampleOptions) -> _Plan:
    chains, draws, every, burn_in = options.chains, options.draws, options.every, options.burn_in
    method = options.method
    if method is None:
        # Moves between draws are those of walkers.
        method = "walkers" if every else default_method(likelihood)
    if draws < 4 or chains < 1:
        raise InputError(
            f"{chains} chains of {draws} draws cannot be judged; give a chain or more, of at "
            "least 4 draws"
        )
    for name, moves in (("moves between draws", every), ("moves of the burn-in", burn_in)):
        if moves is not None and moves < 1:
            raise InputError(f"{moves} {name} were requested; give 1 or more, or leave it out")
    n = likelihood.n_parameters
    quick = may_have_surrogate(likelihood)
    if method == "nuts":
        return _Plan(method, chains, draws, 1, 1, burn_in or 400, 0, chains)
    # Walkers share the draws of a chain evenly, and each has enough for diagnostics.
    group = max(w for w in range(1, GROUP + 1) if draws % w == 0 and (w == 1 or draws >= 10 * w))
    burn = max(400, (10 if quick else 30) * n) if burn_in is None else burn_in
    burn_blocks = 20
    blocks = burn_blocks + min(BLOCKS, draws // group)
    every = every or (SURROGATE_MOVES if quick else max(10, 3 * n // 2))
    return _Plan(method, chains, draws, group, every, burn, burn_blocks, blocks)


def _key(calibration: Calibration, plan: _Plan, seed: np.random.Generator) -> str:
    digest = hashlib.sha256(repr(plan).encode())
    for array in (calibration.theta, calibration.covariance, calibration.likelihood.published):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(seed.bytes(16))
    return digest.hexdigest()


def _walked(
    calibration: Calibration,
    posterior: tuple[Density, Factor | None, Surrogate | None],
    plan: _Plan,
    state: Unfinished,
    rng: np.random.Generator,
) -> Unfinished:
    """A block of walkers: the first ones adapt, the others are recorded."""
    density, last, surrogate = posterior
    chain = np.repeat(np.arange(plan.chains), plan.group)
    walkers = state.walkers or start_walkers(calibration, density, chain, rng)
    if state.block < plan.burn_blocks:
        moves = max(1, plan.burn_in // plan.burn_blocks)
        every = min(10, moves)  # every tenth position is enough to learn from
        records = moves // every
        stretch = walk(density, walkers, records=records, every=every, rng=rng, last=last)
        # The first blocks are transient; the last ones settle sizes for the final reference.
        settle = 4 <= state.block < plan.burn_blocks - 5
        done = state.evaluations + records * every * plan.walkers
        return replace(state, walkers=adapted(stretch, settle=settle), evaluations=done)
    if not np.isfinite(walkers.weight).any():
        raise CalibrationError(NOTHING_SIMULATED)
    records = plan.records_of(state.block)
    moved = partial(walk, density, rng=rng, last=last, surrogate=surrogate)
    if state.block == plan.burn_blocks and surrogate is not None:
        walkers = moved(walkers, records=1, every=SETTLE).walkers
    stretch = moved(walkers, records=records, every=plan.every)
    share = np.full(stretch.weight.shape, stretch.acceptance)
    return replace(
        state,
        walkers=stretch.walkers,
        theta=(*state.theta, stretch.theta),
        stats=(*state.stats, {"acceptance_rate": share}),
        evaluations=state.evaluations + records * plan.every * plan.walkers,
    )


def _with_a_chain(
    calibration: Calibration, plan: _Plan, state: Unfinished, rng: np.random.Generator
) -> Unfinished:
    """A block of nuts: one chain more."""
    optima = calibration.distinct(within=REACH)
    about = replace(calibration, theta=optima[state.block % len(optima)])
    theta, stats, gradients = nuts_chain(
        about, draws=plan.draws, tune=plan.burn_in, widening=START_WIDENING, rng=rng
    )
    return replace(
        state,
        theta=(*state.theta, theta[:, None]),
        stats=(*state.stats, {name: value[:, None] for name, value in stats.items()}),
        evaluations=state.evaluations + gradients,
    )


def _news(plan: _Plan, state: Unfinished) -> tuple[str, int, int]:
    """Progress of a run: what it does, how many are done, of how many."""
    if state.block <= plan.burn_blocks and plan.method == "walkers":
        return "burn-in", state.block, plan.burn_blocks
    drawn = sum(part.shape[0] * part.shape[1] for part in state.theta)
    if plan.method == "nuts":
        said = f"{int(sum(s['diverging'].sum() for s in state.stats))} divergences"
    else:
        said = f"acceptance {float(state.stats[-1]['acceptance_rate'].mean()):.2f}"
    return f"draws: {said}", drawn, plan.chains * plan.draws


def _finished(likelihood: Likelihood, plan: _Plan, state: Unfinished) -> Chains:
    # Blocks of walkers follow each other in time; blocks of nuts are separate chains.
    along = 0 if plan.method == "walkers" else 1

    def by_chain(parts: Sequence[FloatArray]) -> FloatArray:
        """(k, W, ...) of each block to (chains, draws, ...): walker after walker."""
        whole = np.moveaxis(np.concatenate(parts, axis=along), 0, 1)
        return whole.reshape(plan.chains, plan.draws, *whole.shape[2:])

    theta = by_chain(state.theta)
    if plan.method == "walkers":
        theta = theta[..., np.argsort(walker_order(likelihood))]
    stats = {name: by_chain([s[name] for s in state.stats]) for name in state.stats[0]}
    of_rows, lp = _densities(likelihood, theta.reshape(-1, likelihood.size))
    return Chains(
        likelihood=likelihood,
        theta=theta,
        walker=np.repeat(np.arange(plan.group), plan.records),
        stats={"lp": lp.reshape(theta.shape[:2]), **stats},
        log_likelihood=of_rows.reshape(*theta.shape[:2], -1),
        method=plan.method,
        acceptance=float(stats["acceptance_rate"].mean()),
        evaluations=state.evaluations,
        every=plan.every,
    )


def _densities(likelihood: Likelihood, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log likelihood of each row, (N, m), and log density up to a constant, (N,)."""
    rows, lps = [], []
    for part in np.array_split(theta, math.ceil(len(theta) / 500)):
        answers = likelihood.answers(part)
        rows.append(likelihood.log_likelihood(part, answers))
        lps.append(likelihood.log_density(part, answers))
    return np.concatenate(rows), np.concatenate(lps)
