"""Nuisances given the parameters: their distribution, and carrying draws to a new likelihood.

Given the model's answers at parameters z, the nuisances u (offsets, drifts, shocks, the season,
errors that rows share) are normal and known, g(u | z), exactly except for what
`Likelihood.nuisances_given` takes as linear.  Two things follow.

The distribution of another row at z, given the known rows, is a normal in closed form:
`predictive`.

Draws can be weighted for new rows without interference from the nuisances.  New rows bring
nuisances of their own, v (a shock of a new year, the offset of a new definition), and sharpen old
ones.  So a draw (z, u) is carried to (z, u', v): u' by the affine map from the normal that the old
rows give to the one that all rows give, v drawn from its normal given these.  The map's Jacobian is
a constant, and the weight of the carried draw is

    w = p(z, u', v | all) / (p(z, u | old) g(v | z, u')).

If g were exact, w would be ``p(new rows | z, old rows)``: a row with a free offset, whose nuisance
absorbs all its information, leaves the weights unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from beltcast.engine.nodes import FloatArray
from beltcast.inference.likelihood import Likelihood


@dataclass(frozen=True, eq=False)
class Predictive:
    """Predictive distribution of the log of some rows, as a mixture of one normal per draw.

    Attributes
    ----------
    middle : (N, k)
        Mean of each row given the parameters of a draw and the observations of the other rows.
    covariance : (k, k)
        Around it: offsets, drifts, shocks and the season that remain unknown, shared by rows as
        they share them, and the noise of each row.
    nuisances : (N, u)
        Mean of the nuisances, given the same.
    nuisance_covariance : (u, u)
    cross : (u, k)
        Covariance of nuisances and rows.
    own : (k,)
        Standard deviation of the noise of each row, which is part of `covariance`.
    """

    middle: FloatArray
    covariance: FloatArray
    nuisances: FloatArray
    nuisance_covariance: FloatArray
    cross: FloatArray
    own: FloatArray


def predictive(
    likelihood: Likelihood, rows: NDArray[np.bool_], z: FloatArray, near: FloatArray
) -> Predictive:
    """Predict some rows of a likelihood from the others, at draws of the parameters.

    Parameters
    ----------
    likelihood : Likelihood
    rows : (m,) bool
        The rows to predict; their own values are not used.
    z : (N, n)
        Draws of the parameters, given the other rows.
    near : (size,)
        Point of linearisation of bounds.  Estimated scales are held there, and Student's t is
        replaced by the normal of its scale.
    """
    sds = likelihood.row_sds(near[None])[0][rows]
    asked = likelihood.without(rows)
    mean, precision = asked.nuisances_given(asked.answers(z), near)
    left_open = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    season = likelihood.noise.season_sd * likelihood.season
    loadings = likelihood.loadings[rows]
    if likelihood.noise.seasonal:
        loadings = np.concatenate([loadings, season[rows, None]], axis=1)
    cross = left_open @ loadings.T
    return Predictive(
        middle=likelihood.expected(np.concatenate([z, mean], axis=1))[:, rows],
        covariance=loadings @ cross + np.diag(sds**2),
        nuisances=mean,
        nuisance_covariance=left_open,
        cross=cross,
        own=sds,
    )


def carried(
    old: Likelihood,
    new: Likelihood,
    theta: FloatArray,
    there: FloatArray,
    *,
    near: tuple[FloatArray, FloatArray],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Carry draws of an old posterior over to a new one with more rows.

    Parameters
    ----------
    old, new : Likelihood
        Of the same parameters; the nuisances of the new are those of the old and more.
    theta : (N, old size)
        Draws of the old posterior.
    there : (N, n)
        Their parameters, or these after a map whose Jacobian is constant.
    near : two of (size,)
        Points of linearisation of bounds, in the old and in the new.
    rng : numpy.random.Generator
        For nuisances that the old likelihood does not have.

    Returns
    -------
    theta : (N, new size)
    log_weight : (N,)
        Of each, up to a constant; minus infinity where it is impossible.
    """
    n = old.n_parameters
    before, after = old.answers(theta[:, :n]), new.answers(there)
    mean, precision = old.nuisances_given(before, near[0])
    new_mean, new_precision = new.nuisances_given(after, near[1])
    kept = np.array([new.nuisances.index(name) for name in old.nuisances])
    added = np.setdiff1d(np.arange(len(new.nuisances)), kept)
    root = np.linalg.cholesky(np.linalg.inv(precision))
    new_root = np.linalg.cholesky(np.linalg.inv(new_precision)[np.ix_(kept, kept)])

    # From one normal to the other, linearly: deviations of a draw from normality are kept.
    away = np.linalg.solve(root, (theta[:, n:] - mean).T)
    away = (new_root @ away).T
    own = new_precision[np.ix_(added, added)]
    pull = np.linalg.solve(own, new_precision[np.ix_(added, kept)] @ away.T).T
    xi = rng.standard_normal((len(theta), len(added)))
    fresh = solve_triangular(np.linalg.cholesky(own), xi.T, lower=True, trans="T").T

    nuisances = new_mean.copy()
    nuisances[:, kept] += away
    nuisances[:, added] += fresh - pull
    result = np.concatenate([there, nuisances], axis=1)
    possible = np.isfinite(after).all(axis=1)
    density = np.where(possible, new.log_density(result, after), -np.inf)
    of_fresh = -0.5 * (xi**2).sum(axis=1)
    return result, density - of_fresh - old.log_density(theta, before)


def extended(old: Likelihood, new: Likelihood, theta: FloatArray) -> FloatArray:
    """Unknowns of the old likelihood as unknowns of the new, additional ones at 0; (size,)."""
    n = old.n_parameters
    known = dict(zip(old.nuisances, theta[n:], strict=True))
    return np.append(theta[:n], [known.get(name, 0.0) for name in new.nuisances])
