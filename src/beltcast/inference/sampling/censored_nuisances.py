"""Nuisances drawn given parameters, including observations known only within bounds.

Given the model's answers at parameters z, the nuisances u are normal as far as numbers inform them.
A bound ("more than 1,500 sellers") or a rounded number truncates that normal.  Its tangent at the
optimum is a poor approximation: a draw of u often makes some bound improbable, and a good move of z
is rejected for it (``tests/benchmarks/mixing.py``).  So the observation itself, the log y* that
would have been printed, is drawn too (Tanner and Wong 1987).  Of k such rows

    y* | z, numbers  is normal, N(m(z), S), truncated to a box,
    u | z, numbers, y*  is normal again,

and neither covariance depends on z.  The box is entered one row after the other (Geweke 1991,
Hajivassiliou and McFadden 1998, Keane 1994): with S = C C', y* = m + C e, each e_j is a standard
normal truncated to the interval that the rows before it leave.  The product of the probabilities
P_j of these intervals has the probability of the box as its mean, and equals it if rows are
independent.

If errors have Student's tails, or scales are estimated, the covariances depend on u, and the
tangents of `with_nuisances` remain; so they do where they
vary less, such as for many bounds that share an offset that no number informs.

References
----------
Geweke, J. (1991): Efficient simulation from the multivariate normal and Student-t distributions
subject to linear constraints. Computing Science and Statistics 23, 571-578.
Hajivassiliou, V. A. and McFadden, D. L. (1998): The method of simulated scores for the estimation
of LDV models. Econometrica 66, 863-896.
Keane, M. P. (1994): A computationally practical simulation estimator for panel data. Econometrica
62, 95-116.
Tanner, M. A. and Wong, W. H. (1987): The calculation of posterior distributions by data
augmentation. Journal of the American Statistical Association 82, 528-540.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import log_ndtr, ndtri_exp

from beltcast.engine.nodes import FloatArray
from beltcast.inference.families import Mask
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.nuisance_rule import NuisanceRule
from beltcast.inference.residuals import NORMAL

Completion = Callable[[FloatArray, FloatArray, np.random.Generator], tuple[FloatArray, FloatArray]]
"""Of parameters z, (N, n), and the model's answers there, (N, m): all unknowns, (N, size), and the
log of a density, (N,), whose mean over many draws is that of z, up to a constant.  Contrasts, which
do not depend on nuisances, are left to the caller."""

_TRIED = 200
"""Pairs of draws at the optimum by which a method of drawing is chosen."""


def completion(likelihood: Likelihood, near: FloatArray) -> Completion:
    """Choose how nuisances are drawn given parameters.

    Parameters
    ----------
    likelihood : Likelihood
    near : (size,)
        Point of linearisation if tangents are needed, such as the optimum.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import make_likelihood, read_study
    >>> study = read_study()
    >>> likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    >>> center = np.append(likelihood.priors.mu, np.zeros(len(likelihood.nuisances)))
    >>> complete = completion(likelihood, near=center)
    >>> z = likelihood.priors.draw(np.random.default_rng(1), 4)
    >>> theta, weight = complete(z, likelihood.answers(z), np.random.default_rng(2))
    >>> theta.shape == (4, likelihood.size), weight.shape
    (True, (4,))
    """
    likelihood = likelihood.without_contrasts()
    rule = likelihood.nuisance_rule(near)

    def by_tangents(
        z: FloatArray, answers: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        return with_nuisances(likelihood, rule, z, answers, rng)

    rows = bounded_rows(likelihood, near)
    if rows is None:
        return by_tangents
    with_observations = _with_observations(likelihood, rows)
    return max(with_observations, by_tangents, key=lambda one: _agreement(one, likelihood, near))


@dataclass(frozen=True, eq=False)
class BoundedRows:
    """Observations known only within bounds, given the numbers and the model's answers.

    Attributes
    ----------
    cut : (m,) bool
        These rows among all.
    numbers, all_rows : NuisanceRule
        Of the other rows, and of all as if numbers had been published.
    loadings : (k, u)
        What a unit of each nuisance adds to the log of each observation.
    root : (k, k)
        Lower Cholesky factor of the covariance of their logs.
    lower, upper : (k,)
        Bounds, as logs relative to the published value.
    """

    cut: Mask
    numbers: NuisanceRule
    all_rows: NuisanceRule
    loadings: FloatArray
    root: FloatArray
    lower: FloatArray
    upper: FloatArray

    def middle(self, answers: FloatArray) -> FloatArray:
        """Means of the logs relative to the published values; (N, m) -> (N, k)."""
        own: FloatArray = (answers - self.all_rows.free)[:, self.cut]
        return own + self.numbers.mean(answers) @ self.loadings.T


def bounded_rows(likelihood: Likelihood, near: FloatArray) -> BoundedRows | None:
    """Return the rows with bounds, if nuisances are normal given all observations.

    Parameters
    ----------
    likelihood : Likelihood
    near : (size,)
        The season is taken as linear about its value there.

    Returns
    -------
    BoundedRows or None
        None where no row has bounds, errors have Student's tails, or scales are estimated.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import make_likelihood, read_study
    >>> study = read_study()
    >>> likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    >>> center = np.append(likelihood.priors.mu, np.zeros(len(likelihood.nuisances)))
    >>> rows = bounded_rows(likelihood, center)
    >>> rows.middle(likelihood.answers(likelihood.priors.mu[None])).shape == (1, len(rows.lower))
    True
    """
    cut = np.asarray((likelihood.side != 0) | (likelihood.half > 0), dtype=np.bool_)
    families = likelihood.families
    normal = families.number.all() and bool((families.tails == NORMAL).all())
    if not normal or likelihood.is_scaled or not cut.any():
        return None
    season = float(near[-1]) if likelihood.noise.seasonal else 0.0
    numbers = likelihood.rule_of_numbers(~cut, season)
    all_rows = likelihood.rule_of_numbers(np.ones_like(cut), season)
    sds = likelihood.sds[cut]
    loadings = all_rows.loadings[cut] * sds[:, None]
    # Distribution of the observations given the numbers.
    half = solve_triangular(numbers.factor, loadings.T, lower=True)
    root = np.asarray(np.linalg.cholesky(half.T @ half + np.diag(sds**2)), dtype=np.float64)
    return BoundedRows(cut, numbers, all_rows, loadings, root, *_box(likelihood, cut))


def with_nuisances(
    likelihood: Likelihood,
    rule: NuisanceRule,
    z: FloatArray,
    answers: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Draw nuisances given parameters, from g, their distribution given the model's answers.

    g is normal and exact except for the season, taken as linear, and for bounds, taken by their
    tangents at the optimum; the second result corrects for the difference.

    Parameters
    ----------
    likelihood : Likelihood
    rule : NuisanceRule
        As `Likelihood.nuisance_rule` returns it near the optimum.
    z : (N, n) or (N, n + k)
        Parameters, and scales in the order of `Likelihood.moved`, which are drawn too without them.
    answers : (N, m)
        As `Likelihood.answers` returns them for z.
    rng : numpy.random.Generator

    Returns
    -------
    theta : (N, size)
    log_density : (N,)
        ``log p(z, u | y) - log g(u | z)``, up to a constant: were g exact, that of z alone.
    """
    mean = rule.mean(answers)
    xi = rng.standard_normal(mean.shape)
    nuisances = mean + solve_triangular(rule.factor, xi.T, lower=True, trans="T").T
    n = likelihood.n_parameters
    if z.shape[1] > n:
        # The rule has scales apart from all other nuisances.
        scales = likelihood.moved[n:] - n
        nuisances[:, scales] = z[:, n:]
        xi[:, scales] = 0.0
    theta = np.concatenate([z[:, :n], nuisances], axis=1)
    # A point that cannot be simulated, or gives no positive value, has no probability.
    possible = np.isfinite(answers).all(axis=1)
    density = np.where(possible, likelihood.log_density(theta, answers), -np.inf)
    return theta, density + 0.5 * (xi**2).sum(axis=1)


def _agreement(complete: Completion, likelihood: Likelihood, near: FloatArray) -> float:
    """Share of moves between two draws at one z that are accepted; 1 if g is exact."""
    z = np.repeat(near[None, : likelihood.n_parameters], 2 * _TRIED, axis=0)
    answers = np.repeat(likelihood.answers(near[None]), len(z), axis=0)
    weight = complete(z, answers, np.random.default_rng(0))[1]
    if not np.isfinite(weight).all():
        return 0.0  # the optimum cannot be simulated: any method will do
    return float(np.exp(np.minimum(weight[:_TRIED] - weight[_TRIED:], 0.0)).mean())


def _with_observations(likelihood: Likelihood, rows: BoundedRows) -> Completion:
    """Draw the observations of rows with bounds, then nuisances given all observations."""
    cut, all_rows, root, priors = rows.cut, rows.all_rows, rows.root, likelihood.priors

    def complete(
        z: FloatArray, answers: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        inside = (z >= priors.lower) & (z <= priors.upper)
        possible: Mask = np.asarray(np.isfinite(answers).all(axis=1) & inside.all(axis=1))
        answers = np.where(possible[:, None], answers, 0.0)
        # Observations are expressed as logs relative to the published values.
        middle = rows.middle(answers)
        errors, log_box = _entered(rows.lower - middle, rows.upper - middle, root, rng)
        above = np.zeros_like(answers)
        above[:, cut] = middle + errors @ root.T
        xi = rng.standard_normal((len(z), len(likelihood.nuisances)))
        away = solve_triangular(all_rows.factor, xi.T, lower=True, trans="T").T
        theta = np.concatenate([z, all_rows.mean(answers - above) + away], axis=1)
        of_rows = likelihood.gaps(theta, answers) + above / likelihood.sds
        log_p = -0.5 * (_squares(of_rows) + _squares((z - priors.mu) / priors.sigma))
        log_p -= 0.5 * _squares(theta[:, z.shape[1] :])
        log_g = -0.5 * (_squares(xi) + _squares(errors)) - log_box
        return theta, np.where(possible, log_p - log_g, -np.inf)

    return complete


def _box(likelihood: Likelihood, cut: Mask) -> tuple[FloatArray, FloatArray]:
    """Bounds of an observation, as logs relative to the published value; (k,) each."""
    half, side = likelihood.half[cut], likelihood.side[cut]
    return np.where(side < 0, 0.0, np.where(side > 0, -np.inf, -half)), np.where(
        side > 0, 0.0, np.where(side < 0, np.inf, half)
    )


def _entered(
    lower: FloatArray, upper: FloatArray, root: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Standard normals e with ``lower <= root @ e <= upper``, (N, k), and the log of prod P_j.

    Of a box around the mean, (N, k), one row after the other.
    """
    errors, log_box = np.zeros_like(lower), np.zeros(len(lower))
    chance = rng.random(lower.shape)
    for j in range(lower.shape[1]):
        before = errors[:, :j] @ root[j, :j]
        ends = (lower[:, j] - before) / root[j, j], (upper[:, j] - before) / root[j, j]
        errors[:, j], log_p = _cut_normal(*ends, chance[:, j])
        log_box += log_p
    return errors, log_box


def log_interval(
    lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Log of the probability that a standard normal lies between two bounds.

    Returns
    -------
    below, above, log_below, log_p : like the bounds
        The bounds, mirrored where both are nearer to the upper tail, so that the log of the
        distribution function keeps its digits; that log at `below`; the log of the probability.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.inference.sampling.censored_nuisances import log_interval
    >>> round(float(np.exp(log_interval(np.array([-1.0]), np.array([1.0]))[3][0])), 4)
    0.6827
    """
    flip = lower > -upper
    below, above = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    log_below, log_above = log_ndtr(below), log_ndtr(above)
    return below, above, log_below, log_above + np.log(-np.expm1(log_below - log_above))


def _cut_normal(
    lower: FloatArray, upper: FloatArray, chance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Quantile of a truncated standard normal, and the log of its probability."""
    below, above, log_below, log_p = log_interval(lower, upper)
    flip = lower > -upper
    drawn = ndtri_exp(np.logaddexp(log_below, np.log(chance) + log_p))
    drawn = np.clip(drawn, below, above)
    return np.where(flip, -drawn, drawn), log_p


def _squares(x: FloatArray) -> FloatArray:
    total: FloatArray = (x**2).sum(axis=1)
    return total
