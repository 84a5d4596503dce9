"""Metropolis sampling with many walkers, using only values of the density.

A *walker* is one Markov chain; all walkers move together, so that one move evaluates the density of
all of them as one ensemble.  Three kinds of moves alternate:

* **preconditioned Crank-Nicolson**, with a normal N(c, S) as its reference (Cotter, Roberts, Stuart
  and White 2013): ``z' = c + sqrt(1 - b^2) (z - c) + b xi``, xi ~ N(0, S), accepted by the ratio of
  the density to the reference.  It fits the shape of the centre.
* **difference of two past positions** (ter Braak 2006; out of an archive: ter Braak and Vrugt
  2008): ``z' = z + g (p - q) + e``, e a tenth as long, accepted by the density itself. It fits the
  shape of everything found, ridges and bends included.  Once in a while g is 1, so that a walker
  may jump from one mode to another.
* **difference in a few unknowns** that belong together, such as those that one published
  observation depends on (`Walkers.together`); the others stay (the crossover of Vrugt and others
  2009, with known groups).  Where only the sum of two belts is published, one may rise as the other
  falls: a difference in all unknowns rarely proposes such a move, one in these two unknowns often
  does.

While `adapted` is called after each stretch (the burn-in), c and S follow the walkers, b and g
their acceptance, and the archive grows.  After that everything is frozen, and a walker is a Markov
chain in the strict sense, independent of all others given the burn-in.

The density may have unknowns of its own, drawn from a conditional distribution that it knows
(`Density`): the chain is then one of all unknowns, and its moves are those of z.

A factor of the density that is expensive may be evaluated last (`Factor`): moves that the rest
rejects are rejected without it, and moves that the rest accepts are accepted with probability
``min(1, f(z') / f(z))``.  The first step leaves the rest invariant, so both steps leave the product
invariant (delayed acceptance, Christen and Fox 2005).

References
----------
Christen, J. A. and Fox, C. (2005): Markov chain Monte Carlo using an approximation. Journal of
Computational and Graphical Statistics 14, 795-810.
Cotter, S. L., Roberts, G. O., Stuart, A. M. and White, D. (2013): MCMC methods for functions:
modifying old algorithms to make them faster. Statistical Science 28, 424-446.
ter Braak, C. J. F. (2006): A Markov chain Monte Carlo version of the genetic algorithm
differential evolution. Statistics and Computing 16, 239-249.
ter Braak, C. J. F. and Vrugt, J. A. (2008): Differential evolution Markov chain with snooker
updater and fewer chains. Statistics and Computing 18, 435-446.
Vrugt, J. A., ter Braak, C. J. F., Diks, C. G. H., Robinson, B. A., Hyman, J. M. and Higdon, D.
(2009): Accelerating Markov chain Monte Carlo simulation by differential evolution with
self-adaptive randomized subspace sampling. International Journal of Nonlinear Sciences and
Numerical Simulation 10, 273-290.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from beltcast.engine.nodes import FloatArray
from beltcast.inference.sampling.surrogate import Surrogate

Density = Callable[[FloatArray, np.random.Generator], tuple[FloatArray, FloatArray]]
"""Of positions z, (N, n): all unknowns, (N, size), the first n of them z, and ``log p - log g``,
(N,), where p is their unnormalised density and g that of the unknowns drawn with z."""

Factor = Callable[[FloatArray], FloatArray]
"""Log of a factor of the density that depends on the position alone and is at most 1, (N, n) ->
(N,)."""

KINDS = ("normal", "difference", "few", "surrogate")
"""Crank-Nicolson moves, differences of past positions, those in a few unknowns, and trajectories in
a surrogate."""

WANTED = np.array([0.15, 0.234])
"""Target shares of accepted moves of the first two kinds.  0.234 is the
optimum of random walks (Roberts, Gelman and Gilks 1997); moves that fit the centre may be
larger."""

CYCLE = (0, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0, 2)
"""Order of the kinds.  Crank-Nicolson moves do most of the work; ``tests/benchmarks/mixing.py``
shows what moves in few unknowns contribute on the belt study."""

WITH_SURROGATE = (3, 3, 3, 0, 3, 3, 3, 2, 3, 3, 3, 1)
"""Order of the kinds with a surrogate: the others still find what it misses."""

FEW = 3
"""Largest number of unknowns that a move in few unknowns changes."""

JUMP_EVERY = 10
"""One difference in so many is applied whole (g = 1)."""

WIDER = 1.1
"""Factor by which the reference is wider than its sample: a walker where the reference has no mass
would never leave."""

ARCHIVE = 2000
"""Number of past positions for differences."""


@dataclass(frozen=True, eq=False)
class Walkers:
    """Positions of the walkers, and their proposals.

    Attributes
    ----------
    theta : (W, size)
        All unknowns, positions first.
    weight : (W,)
        ``log p - log g`` of each.
    center, root : (n,), (n, n)
        Reference normal: its mean, and the Cholesky factor of its covariance.
    sizes : (2,)
        b and g, by `KINDS`.
    past : (A, n)
        Positions for differences.
    together : (G, n)
        Groups of unknowns that belong together: how likely each is to be moved, in a move of the
        group.
    """

    theta: FloatArray
    weight: FloatArray
    center: FloatArray
    root: FloatArray
    sizes: FloatArray
    past: FloatArray
    together: FloatArray

    @property
    def n(self) -> int:
        """Length of a position."""
        return len(self.center)


@dataclass(frozen=True, eq=False)
class Stretch:
    """A stretch of moves.

    Attributes
    ----------
    walkers : Walkers
        At its end.
    theta : (k, W, size)
        Unknowns, recorded in equal steps.
    weight : (k, W)
    accepted : (4,)
        Share of accepted moves, by `KINDS`, except jumps; NaN for a kind that was not made.
    acceptance : float
        Share of accepted moves of all kinds.
    every : int
        Moves between records.
    """

    walkers: Walkers
    theta: FloatArray
    weight: FloatArray
    accepted: FloatArray
    acceptance: float
    every: int


def placed(
    density: Density,
    start: FloatArray,
    center: FloatArray,
    root: FloatArray,
    rng: np.random.Generator,
    together: FloatArray | None = None,
) -> Walkers:
    """Put walkers at their starts.

    Parameters
    ----------
    density : Density
    start : (W, n)
        More widely distributed than the density: walkers that then agree have lost memory of them.
    center, root : (n,), (n, n)
        A first guess of the reference, such as Laplace's normal.
    rng : numpy.random.Generator
    together : (G, n), optional
        Groups of unknowns that belong together, see `Walkers`; any unknowns by default.
    """
    theta, weight = density(start, rng)
    n = len(center)
    # Optimal sizes of a random walk among normals (Roberts, Gelman and Gilks 1997).
    step = 2.38 / np.sqrt(n)
    sizes = np.array([min(0.8, step), min(0.9, step / np.sqrt(2.0))])
    groups = np.ones((1, n)) if together is None else together
    return Walkers(theta, weight, center, WIDER * root, sizes, start, groups)


def walk(
    density: Density,
    walkers: Walkers,
    *,
    records: int,
    every: int,
    rng: np.random.Generator,
    last: Factor | None = None,
    surrogate: Surrogate | None = None,
) -> Stretch:
    """Move ``records * every`` times and record each `every`-th position.

    Parameters
    ----------
    density : Density
    walkers : Walkers
    records, every : int
    rng : numpy.random.Generator
    last : Factor, optional
        The rest of the density, evaluated only for moves that the density accepts.
    surrogate : Surrogate, optional
        Proposes most moves.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.inference.sampling.metropolis import placed, walk
    >>> def normal(z, rng):
    ...     return z, -0.5 * (z**2).sum(axis=1)
    >>> rng = np.random.default_rng(1)
    >>> start = placed(normal, rng.normal(size=(4, 2)), np.zeros(2), np.eye(2), rng)
    >>> walk(normal, start, records=3, every=5, rng=rng).theta.shape
    (3, 4, 2)
    """
    theta, weight = walkers.theta, walkers.weight
    rest = np.zeros(len(theta)) if last is None else last(theta[:, : walkers.n])
    taken, made = np.zeros(len(KINDS)), np.zeros(len(KINDS))
    kept, weights, every_taken = [], [], 0.0
    proposals = (_from_normal, _from_difference, _from_few)
    cycle = CYCLE if surrogate is None else WITH_SURROGATE
    for move in range(records * every):
        kind = cycle[move % len(cycle)]
        z = theta[:, : walkers.n]
        joint = surrogate is not None and kind == KINDS.index("surrogate")
        if surrogate is not None and joint:
            proposal, usual = surrogate.propose(z, rng), True
            correction = surrogate.log_density(z) - surrogate.log_density(proposal)
        else:
            proposal, correction, usual = proposals[kind](walkers, z, rng)
        proposed, its_weight = density(proposal, rng)
        chance = np.log(rng.random(len(z)))
        with np.errstate(invalid="ignore"):
            ratio = its_weight - weight + correction
        # A surrogate knows of both parts, so they are judged together: what the last factor, at
        # most 1, might still allow is asked of it.
        take = chance < (ratio - rest if joint else ratio)
        if last is not None:
            its_rest = rest.copy()
            if take.any():
                its_rest[take] = last(proposal[take])
            again = chance - ratio if joint else np.log(rng.random(len(z)))
            take &= again < its_rest - rest
            rest = np.where(take, its_rest, rest)
        theta = np.where(take[:, None], proposed, theta)
        weight = np.where(take, its_weight, weight)
        every_taken += take.mean()
        if usual:
            taken[kind] += take.mean()
            made[kind] += 1
        if (move + 1) % every == 0:
            kept.append(theta)
            weights.append(weight)
    with np.errstate(invalid="ignore"):
        accepted = taken / made
    end = replace(walkers, theta=theta, weight=weight)
    acceptance = float(every_taken / (records * every))
    return Stretch(end, np.array(kept), np.array(weights), accepted, acceptance, every)


def adapted(stretch: Stretch, *, settle: bool) -> Walkers:
    """Walkers whose proposals are adapted to a stretch; for the burn-in only.

    Parameters
    ----------
    stretch : Stretch
    settle : bool
        Also set the reference to the mean and covariance of the past, and drop its older half.
    """
    walkers = stretch.walkers
    accepted = stretch.accepted[: len(WANTED)]
    rates = np.where(np.isfinite(accepted), accepted, WANTED)
    sizes = np.clip(walkers.sizes * np.exp(4.0 * (rates - WANTED)), 1e-3, [0.95, 2.0])
    found = stretch.theta[:, :, : walkers.n].reshape(-1, walkers.n)
    past = np.concatenate([walkers.past, found])
    if settle:
        past = past[len(past) // 2 :]
    # Thinned evenly: the first of each group is kept.
    past = past[:: -(-len(past) // ARCHIVE)] if len(past) > ARCHIVE else past
    center, root = walkers.center, walkers.root
    if settle:
        center, root = _moved(walkers, past, stretch.every)
    return replace(walkers, center=center, root=root, sizes=sizes, past=past)


def _from_normal(
    walkers: Walkers, z: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, bool]:
    """Crank-Nicolson proposals, their term in the log ratio, and whether they have usual size."""
    size = walkers.sizes[0]
    noise = rng.standard_normal(z.shape) @ walkers.root.T
    proposal = walkers.center + np.sqrt(1.0 - size**2) * (z - walkers.center) + size * noise
    return proposal, _log_reference(walkers, z) - _log_reference(walkers, proposal), True


def _from_difference(
    walkers: Walkers, z: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, bool]:
    """Differences of past positions, which are symmetric."""
    jump = rng.random() < 1.0 / JUMP_EVERY
    one, other = rng.integers(len(walkers.past), size=(2, len(z)))
    size = 1.0 if jump else walkers.sizes[1]
    # Without the small noise a walker could only reach sums of differences.
    noise = 0.1 * walkers.sizes[1] * rng.standard_normal(z.shape) @ walkers.root.T
    proposal = z + size * (walkers.past[one] - walkers.past[other]) + noise
    return proposal, np.zeros(len(z)), not jump


def _from_few(
    walkers: Walkers, z: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, bool]:
    """Differences in a few unknowns of one group, half of them whole; symmetric too."""
    group = walkers.together[rng.integers(len(walkers.together), size=len(z))]
    # The largest of log p + Gumbel noise are a draw without replacement by p.
    with np.errstate(divide="ignore"):
        keys = np.log(group) + rng.gumbel(size=z.shape)
    order = np.argsort(-keys, axis=1)
    count = rng.integers(1, min(FEW, walkers.n) + 1, size=(len(z), 1))
    moved = np.zeros(z.shape, dtype=bool)
    np.put_along_axis(moved, order, np.arange(walkers.n) < count, axis=1)
    one, other = rng.integers(len(walkers.past), size=(2, len(z)))
    whole = rng.random((len(z), 1)) < 0.5
    size = np.where(whole, 1.0, rng.random((len(z), 1)))
    proposal = z + np.where(moved, size * (walkers.past[one] - walkers.past[other]), 0.0)
    return proposal, np.zeros(len(z)), True


def _log_reference(walkers: Walkers, z: FloatArray) -> FloatArray:
    scaled = solve_triangular(walkers.root, (z - walkers.center).T, lower=True)
    value: FloatArray = -0.5 * (scaled**2).sum(axis=0)
    return value


def _moved(walkers: Walkers, past: FloatArray, apart: int) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance of the past, shrunk towards the reference if the past is short.

    Walkers lose memory in about 3 n moves, and a covariance needs ten independent positions for
    each entry of z before it is better than Laplace's.
    """
    n = walkers.n
    worth = len(past) * min(1.0, apart / (3.0 * n))
    trust = worth / (worth + 10.0 * n)
    center = trust * past.mean(axis=0) + (1.0 - trust) * walkers.center
    before = walkers.root @ walkers.root.T
    found = WIDER**2 * np.cov(past.T).reshape(before.shape)
    root = np.linalg.cholesky(trust * found + (1.0 - trust) * before)
    return center, np.asarray(root, dtype=np.float64)
