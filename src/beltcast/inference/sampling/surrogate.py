"""A cheap approximation of the posterior, which proposes moves for the exact one to accept.

Many evaluations of a polynomial cost less than a run of the model.  So the answers are fitted by
polynomials of the second degree in whitened parameters x, on a few thousand points around positions
that the walkers visited.  Nuisances are integrated out, by the tangents of `NuisanceRule` where
they are not normal; what is left is

    log p*(x) = -1/2 sum_k r_k(x)^2 + sum_j log P(l_j < m_j(x) + e < u_j) + log prior,

r_k and m_j polynomials of the second degree, with an exact gradient.  The second sum is over
observations known within bounds, as if these were independent given the others.  A proposal is a
trajectory of Hamiltonian Monte Carlo (Neal 2011) in p*, whose end is nearly independent of its
start.  It is accepted with probability

    min(1, [p(z') / p*(z')] / [p(z) / p*(z)]),

so that the draws follow the exact posterior whatever the error of the polynomials (Liu 2001,
section 9.4.3: the surrogate transition method); that error only lowers the share of accepted
proposals. Once made, a surrogate does not change.

References
----------
Liu, J. S. (2001): Monte Carlo Strategies in Scientific Computing. Springer, New York.
Neal, R. M. (2011): MCMC using Hamiltonian dynamics. Handbook of Markov Chain Monte Carlo,
chapter 5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.inference.contrast_rows import ContrastRows
from beltcast.inference.families import Mask
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.residuals import NORMAL
from beltcast.inference.sampling.censored_nuisances import (
    BoundedRows,
    bounded_rows,
    log_interval,
)

MOST_MOVED = 80
"""Unknowns up to which a surrogate is made: its polynomials have half the square as many terms."""

FIRST, PER_TERM, OF_CONTRASTS = 3, 6, 3
"""Points to fit polynomials to, for each of their terms, at first and then; of contrasts, which
bend less and cost more, some of these.  Chains wait where the likeness is poor."""

NEARER, JITTER = 0.3, 0.8
"""Part of the reference's standard deviation that is added to positions, to every second each."""

RIDGE = 1e-6
"""Penalty of the squared coefficients, for each point."""

STEADY_SD = 0.02
"""Residuals that vary by less are kept to first order only."""

STEPS = (1, 16, 16)
"""Leapfrog steps of a trajectory, drawn for each proposal.  16 forget where they began, and are
accepted as often as fewer, since what the likeness lacks does not grow with the distance.  A single
step still moves where it is poor."""

_GOOD = 0.75
_TUNED = 12
_WALKERS, _RECORDS = 256, 12


@dataclass(frozen=True, eq=False)
class Surrogate:
    """Polynomials that stand in for a posterior.

    Attributes
    ----------
    center, root : (n,), (n, n)
        ``z = center + root x``.
    unwhiten : (n, n)
        Inverse of `root`.
    constant, linear, quadratic : (k,), (n, k), (n, n * k)
        Of the polynomials: residuals, then one term of the log density, then means of observations
        known within bounds, then contrasts.
    residuals : int
        How many of the polynomials are residuals.
    bounds : (2, j)
        Lower and upper ends of these observations, in their standard deviations, as the means are.
    contrasts : ContrastRows or None
    lower, upper, mu, sigma : (n,)
        Of the priors.
    step : float
        Of leapfrog.
    """

    center: FloatArray
    root: FloatArray
    unwhiten: FloatArray
    constant: FloatArray
    linear: FloatArray
    quadratic: FloatArray
    residuals: int
    bounds: FloatArray
    contrasts: ContrastRows | None
    lower: FloatArray
    upper: FloatArray
    mu: FloatArray
    sigma: FloatArray
    step: float = 0.4

    def log_density(self, z: FloatArray) -> FloatArray:
        """Log of p* up to a constant, minus infinity beyond the priors' bounds; (N, n) -> (N,)."""
        return self._bounded(z, self._value((z - self.center) @ self.unwhiten.T)[0])

    def propose(self, z: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Move positions by a trajectory that leaves p* unchanged; (N, n) -> (N, n)."""
        return self._moved(z, rng, int(rng.choice(STEPS)))[0]

    def _moved(
        self, z: FloatArray, rng: np.random.Generator, steps: int
    ) -> tuple[FloatArray, float]:
        """Positions after a trajectory of some steps, and the share of accepted ones."""
        # A trajectory that runs away ends in no probability, and is refused.
        with np.errstate(over="ignore", invalid="ignore"):
            x = (z - self.center) @ self.unwhiten.T
            value, slope = self._value(x)
            value = self._bounded(z, value)
            # A step of its own for each walker, so that no trajectory runs in a circle.
            step = self.step * rng.uniform(0.7, 1.2, (len(x), 1))
            momentum = rng.standard_normal(x.shape)
            there, speed = x, momentum + 0.5 * step * slope
            for k in range(steps):
                there = there + step * speed
                its_value, pull = self._value(there)
                speed = speed + (step if k < steps - 1 else 0.5 * step) * pull
            its_value = self._bounded(self.center + there @ self.root.T, its_value)
            energy = 0.5 * ((momentum**2).sum(axis=1) - (speed**2).sum(axis=1))
            take = np.log(rng.random(len(x))) < its_value - value + energy
        return self.center + np.where(take[:, None], there, x) @ self.root.T, float(take.mean())

    def _bounded(self, z: FloatArray, value: FloatArray) -> FloatArray:
        inside = ((z >= self.lower) & (z <= self.upper)).all(axis=1) & np.isfinite(value)
        return np.where(inside, value, -np.inf)

    def _value(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log density without bounds, (N,), and its gradient by x, (N, n)."""
        count, n = x.shape
        bend = (x @ self.quadratic).reshape(count, n, -1)
        values = self.constant + x @ self.linear + np.einsum("Nik,Ni->Nk", bend, x)
        r = values[:, : self.residuals]
        # What the log density changes by with each polynomial.
        by = np.concatenate([-r, np.ones((count, 1))], axis=1)
        density = -0.5 * (r**2).sum(axis=1) + values[:, self.residuals]
        first = self.residuals + 1
        last = first + self.bounds.shape[1]
        if last > first:
            middle = values[:, first:last]
            more, pull = _log_within(self.bounds[0] - middle, self.bounds[1] - middle)
            density, by = density + more.sum(axis=1), np.concatenate([by, pull], axis=1)
        if self.contrasts is not None:
            more, pull = self.contrasts.density_of(values[:, last:])
            density, by = density + more, np.concatenate([by, pull], axis=1)
        away = (self.center + x @ self.root.T - self.mu) / self.sigma
        density = density - 0.5 * (away**2).sum(axis=1)
        slope = by @ self.linear.T + 2.0 * np.einsum("Nik,Nk->Ni", bend, by)
        return density, slope - (away / self.sigma) @ self.root


def may_have_surrogate(likelihood: Likelihood) -> bool:
    """Whether `make_surrogate` is made for such a likelihood.

    Errors are normal, of known scales, and at most `MOST_MOVED` parameters are moved.
    """
    families = likelihood.families
    normal = bool(families.number.all() and (families.tails == NORMAL).all())
    return normal and not likelihood.is_scaled and likelihood.n_parameters <= MOST_MOVED


def make_surrogate(
    likelihood: Likelihood,
    near: FloatArray,
    past: FloatArray,
    root: FloatArray,
    answers: Callable[[FloatArray], FloatArray],
    contrasts: Callable[[FloatArray], FloatArray] | None = None,
) -> Surrogate | None:
    """Fit polynomials to the model's answers around positions that walkers visited.

    Parameters
    ----------
    likelihood : Likelihood
    near : (size,)
        Where tangents are taken, such as the optimum.
    past : (A, n)
        Positions of walkers.
    root : (n, n)
        Cholesky factor of the covariance of the displacements that make further points of these.
    answers, contrasts : callable
        `Likelihood.answers` and `ContrastRows.answers`, perhaps on several threads.

    Returns
    -------
    Surrogate or None
        None where the likelihood may have none, and where too few points can be simulated.
    """
    if not may_have_surrogate(likelihood) or not (np.ptp(past, axis=0) > 0).all():
        return None
    rng = np.random.default_rng(0)
    first = _made(likelihood, near, past, root, answers, contrasts, FIRST, rng)
    if first is None:
        return None
    # Walkers of a short burn-in have not been everywhere: the first likeness says where else.
    visited = _visited(first, past, rng)
    root = np.asarray(np.linalg.cholesky(np.cov(visited.T) + 1e-12 * root @ root.T))
    return _made(likelihood, near, visited, root, answers, contrasts, PER_TERM, rng) or first


def _made(
    likelihood: Likelihood,
    near: FloatArray,
    past: FloatArray,
    root: FloatArray,
    answers: Callable[[FloatArray], FloatArray],
    contrasts: Callable[[FloatArray], FloatArray] | None,
    per_term: int,
    rng: np.random.Generator,
) -> Surrogate | None:
    """Fit polynomials on a number of points per term, around some positions."""
    n = likelihood.n_parameters
    terms = 1 + n + n * (n + 1) // 2
    points = _about(likelihood, past, root, per_term * terms, rng)
    found = answers(points)
    good: Mask = np.asarray(np.isfinite(found).all(axis=1))
    if good.sum() < 2 * terms:
        return None
    center = past.mean(axis=0)
    covariance = np.cov(points[good].T).reshape(n, n) + 1e-12 * root @ root.T
    root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    unwhiten = np.asarray(np.linalg.inv(root), dtype=np.float64)
    x = (points[good] - center) @ unwhiten.T
    one, other = np.triu_indices(n)
    without = likelihood.without_contrasts()
    bounded = bounded_rows(without, near)
    rows = _white(without, near, bounded, found[good])
    features = _features(x, one, other)
    reduced, kept = _reduced(_fitted(features, rows), x, one, other)
    bounds = np.empty((2, 0))
    if bounded is not None:
        sds = np.sqrt((bounded.root**2).sum(axis=1))
        bounds = np.array([bounded.lower, bounded.upper]) / sds
        means = _fitted(features, bounded.middle(found[good]) / sds)
        reduced = np.concatenate([reduced, means], axis=1)
    contrast_rows = likelihood.contrasts
    if contrast_rows is not None and contrasts is not None:
        some = points[good][: OF_CONTRASTS * terms]
        differences = contrasts(some)
        if not np.isfinite(differences).all():
            return None
        of_contrasts = _fitted(features[: len(some)], differences)
        reduced = np.concatenate([reduced, of_contrasts], axis=1)
    constant, linear, quadratic = _coefficients(reduced, n, one, other)
    surrogate = Surrogate(
        center=center,
        root=root,
        unwhiten=unwhiten,
        constant=constant,
        linear=linear,
        quadratic=quadratic,
        residuals=kept,
        bounds=bounds,
        contrasts=contrast_rows,
        lower=likelihood.priors.lower,
        upper=likelihood.priors.upper,
        mu=likelihood.priors.mu,
        sigma=likelihood.priors.sigma,
    )
    return _tuned(surrogate, past[rng.integers(len(past), size=32)], rng)


def _about(
    likelihood: Likelihood, past: FloatArray, root: FloatArray, count: int, rng: np.random.Generator
) -> FloatArray:
    """Points around positions: every second one near, the others further away, (count, n)."""
    center = past.mean(axis=0)
    start = past[rng.integers(len(past), size=count)]
    away = np.where(np.arange(count)[:, None] % 2 == 0, NEARER, JITTER)
    noise = away * (rng.standard_normal(start.shape) @ root.T)
    points: FloatArray = center + np.sqrt(1.0 - away**2) * (start - center) + noise
    return np.clip(points, likelihood.priors.lower, likelihood.priors.upper)


def _visited(surrogate: Surrogate, past: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Positions of many walkers in the surrogate alone, which costs no run of the model; (k, n)."""
    z = past[rng.integers(len(past), size=_WALKERS)]
    found = []
    for _ in range(_RECORDS):
        z = surrogate._moved(z, rng, max(STEPS))[0]
        found.append(z)
    return np.concatenate(found[_RECORDS // 4 :])


def _white(
    likelihood: Likelihood, near: FloatArray, bounded: BoundedRows | None, answers: FloatArray
) -> FloatArray:
    """Residuals whose squares add up to the cost with the nuisances integrated out; (N, m).

    Without the rows that are known within bounds.
    """
    rule = likelihood.nuisance_rule(near) if bounded is None else bounded.numbers
    rows = np.ones(len(rule.free), dtype=np.bool_) if bounded is None else ~bounded.cut
    weighted = ((rule.free - answers) * rule.weight)[:, rows]
    # I - B P^-1 B' has the inverse I + B B' (the precision is I + B'B).
    covariance = np.eye(rows.sum()) + rule.loadings[rows] @ rule.loadings[rows].T
    white: FloatArray = np.linalg.solve(np.linalg.cholesky(covariance), weighted.T).T
    return white


def _log_within(lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log of the probability of a standard normal between bounds, and its fall with both bounds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_p = log_interval(lower, upper)[3]
    ends = np.exp(-0.5 * lower**2 - log_p) - np.exp(-0.5 * upper**2 - log_p)
    return log_p, ends / np.sqrt(2.0 * np.pi)


def _features(x: FloatArray, one: IntArray, other: IntArray) -> FloatArray:
    return np.concatenate([np.ones((len(x), 1)), x, x[:, one] * x[:, other]], axis=1)


def _fitted(features: FloatArray, values: FloatArray) -> FloatArray:
    """Coefficients of polynomials of the second degree, (terms, k)."""
    square = features.T @ features + RIDGE * len(features) * np.eye(features.shape[1])
    found: FloatArray = cho_solve(cho_factor(square), features.T @ values)
    return found


def _reduced(
    of_rows: FloatArray, x: FloatArray, one: IntArray, other: IntArray
) -> tuple[FloatArray, int]:
    """Few residuals instead of many, with one term for the rest, and how many they are.

    A rotation leaves the sum of squares as it is.  Rotated residuals that hardly vary about their
    mean, ``m + d``, add ``-m d`` to the log density.
    """
    values = _features(x, one, other) @ of_rows
    middle = values.mean(axis=0)
    _, sizes, axes = np.linalg.svd(values - middle, full_matrices=False)
    kept = max(1, int((sizes / np.sqrt(len(x)) > STEADY_SD).sum()))
    rotated = of_rows @ axes.T
    rest = -rotated[:, kept:] @ (axes @ middle)[kept:]
    return np.concatenate([rotated[:, :kept], rest[:, None]], axis=1), kept


def _coefficients(
    coefficients: FloatArray, n: int, one: IntArray, other: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Constants, (k,), linear terms, (n, k), and symmetric quadratic ones, (n, n * k)."""
    k = coefficients.shape[1]
    square = np.zeros((n, n, k))
    half = 0.5 * coefficients[1 + n :]
    np.add.at(square, (one, other), half)
    np.add.at(square, (other, one), half)
    return coefficients[0], coefficients[1 : 1 + n], square.reshape(n, n * k)


def _tuned(surrogate: Surrogate, z: FloatArray, rng: np.random.Generator) -> Surrogate:
    """Choose the step by the share of accepted trajectories."""
    for _ in range(_TUNED):
        z, accepted = surrogate._moved(z, rng, max(STEPS))
        factor = np.exp(0.5 * (accepted - _GOOD))
        surrogate = replace(surrogate, step=float(np.clip(surrogate.step * factor, 0.01, 0.6)))
    return surrogate
