"""Optimisers from one start to one optimum, behind one function.

=======================  ==================================================  ======================
method                   what it does                                        for
=======================  ==================================================  ======================
least_squares            steps within a trust region on the residuals with   nearly always: it uses
                         their exact Jacobian: `descent`; of more than 60    the curvature
                         unknowns, reflective ones (Branch, Coleman and
                         Li 1999)
differential_evolution   populations of the parameters, each one ensemble    cliffs, many optima
                         of runs (Storn and Price 1997), nuisances solved
                         for; the best is refined by least squares
=======================  ==================================================  ======================

Both minimise the cost of `likelihood`.  A run that fails raises no exception: each of its rows
costs the constant ``BLAME^2 / 2``; the slope of the priors leads an optimiser back towards their
centre.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from scipy.optimize import differential_evolution, least_squares

from beltcast.engine.nodes import FloatArray
from beltcast.engine.run.plan import ADAPTIVE
from beltcast.errors import CalibrationError, one_of
from beltcast.inference.descent import descend_all
from beltcast.inference.flat_priors import bounds_only, has_flat_priors, moved
from beltcast.inference.likelihood import Likelihood

FitMethod = Literal["least_squares", "differential_evolution"]
FIT_METHODS: tuple[FitMethod, ...] = get_args(FitMethod)

LEARNT = 60
"""Number of unknowns up to which curvature beyond Gauss and Newton's is learnt (`descent`)."""

SEARCH_RTOL = 1e-4
"""Tolerance of adaptive steps while an optimum is searched; its end has the model's own."""

_REACH = 4.0
"""Range of a population in prior standard deviations, for a prior without bounds."""

_POPULATION = 20
"""Smallest population; members beyond the starts are drawn from the priors."""

_GENERATIONS = 200


@dataclass(frozen=True, eq=False)
class Optimum:
    """End point of one optimisation, and its history.

    Attributes
    ----------
    theta : (size,)
    cost : float
    costs : (evaluations,)
        Cost of each evaluation in its order; of a population, its best.
    converged : bool
    """

    theta: FloatArray
    cost: float
    costs: FloatArray
    converged: bool


def optimise(
    likelihood: Likelihood,
    starts: FloatArray,
    method: FitMethod = "least_squares",
    *,
    rng: np.random.Generator,
) -> Optimum:
    """Find the lowest cost from some starts.

    Parameters
    ----------
    likelihood : Likelihood
    starts : (k, size)
        Within the bounds, the best first.  A population begins with all of them, the others with
        the first.
    method : str
    rng : numpy.random.Generator
        Moves populations; the others use no random numbers.

    Raises
    ------
    CalibrationError
        The method is not one of `FitMethod`.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import make_likelihood, read_study
    >>> study = read_study()
    >>> likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    >>> start = np.zeros((1, likelihood.size))
    >>> start[0, : len(study.priors)] = study.priors.mu
    >>> optimise(likelihood, start, rng=np.random.default_rng(1)).converged
    True
    """
    if method == "least_squares":
        return refine(likelihood, starts[:1])[0]
    one_of(method, FIT_METHODS, "method of calibration", CalibrationError)
    return _differential_evolution(likelihood, starts, rng)


def refine(likelihood: Likelihood, starts: FloatArray) -> list[Optimum]:
    """Find the optimum of the valley of each start by least squares.

    Of up to `LEARNT` unknowns all starts descend side by side, with flat priors first as if these
    were bounds only (`flat_priors`), and with adaptive steps first at a coarser tolerance; the
    costs are those of the last descent.

    Parameters
    ----------
    likelihood : Likelihood
    starts : (k, size)
    """
    if likelihood.size > LEARNT:
        return [_reflective(likelihood, start) for start in starts]
    quick = _quick(likelihood)
    if has_flat_priors(likelihood):
        boxed = bounds_only(quick)
        found = _descents(boxed, moved(starts, quick, boxed))
        starts = moved(np.array([one.theta for one in found]), boxed, quick)
    if quick is not likelihood:
        starts = np.array([one.theta for one in _descents(quick, starts)])
    return _descents(likelihood, starts)


def _quick(likelihood: Likelihood) -> Likelihood:
    """The likelihood of a model whose steps adapt to a tolerance of `SEARCH_RTOL`."""
    model = likelihood.model
    rtol, atol = model.source.tolerance
    if model.source.method not in ADAPTIVE or rtol >= SEARCH_RTOL:
        return likelihood
    source = replace(model.source, tolerance=(SEARCH_RTOL, atol))
    return replace(likelihood, model=replace(model, source=source))


def _descents(likelihood: Likelihood, starts: FloatArray) -> list[Optimum]:
    ends = descend_all(likelihood.residuals, likelihood.jacobian, starts, likelihood.bounds())
    return [Optimum(one.x, float(one.costs.min()), one.costs, one.converged) for one in ends]


def _reflective(likelihood: Likelihood, start: FloatArray) -> Optimum:
    costs: list[float] = []

    def residuals(theta: FloatArray) -> FloatArray:
        r = likelihood.residuals(theta)
        costs.append(0.5 * float(r @ r))
        return r

    fit = least_squares(
        residuals,
        start,
        jac=likelihood.jacobian,
        bounds=likelihood.bounds(),
        method="trf",
        x_scale=_scale(likelihood),
        ftol=1e-7,
        xtol=1e-7,
        gtol=1e-7,
        max_nfev=100,
    )
    return Optimum(fit.x, float(fit.cost), np.array(costs), bool(fit.status > 0))


def _differential_evolution(
    likelihood: Likelihood, starts: FloatArray, rng: np.random.Generator
) -> Optimum:
    priors, n = likelihood.priors, likelihood.n_parameters
    lower = np.maximum(priors.lower, priors.mu - _REACH * priors.sigma)
    upper = np.minimum(priors.upper, priors.mu + _REACH * priors.sigma)
    costs: list[float] = []

    def completed(z: FloatArray) -> tuple[FloatArray, FloatArray]:
        answers = likelihood.answers(z)
        nuisances = likelihood.nuisances_given(answers)[0]
        return np.concatenate([z, nuisances], axis=1), answers

    def population(z: FloatArray) -> FloatArray:
        theta, answers = completed(np.atleast_2d(z.T))
        found: FloatArray = -likelihood.log_density(theta, answers)
        costs.append(float(found.min()))
        return found if z.ndim == 2 else found[0]

    first = starts[:, :n]
    missing = max(0, _POPULATION - len(first))
    first = np.concatenate([first, priors.draw(rng, missing)])
    fit = differential_evolution(
        population,
        np.column_stack([lower, upper]),
        init=np.clip(first, lower, upper),
        maxiter=_GENERATIONS,
        vectorized=True,
        updating="deferred",
        polish=False,
        tol=1e-4,
        rng=rng,
    )
    margin = np.minimum(1e-6, 0.25 * (priors.upper - priors.lower))
    z = np.clip(fit.x, priors.lower + margin, priors.upper - margin)
    last = refine(likelihood, completed(z[None])[0])[0]
    return Optimum(last.theta, last.cost, np.append(costs, last.costs), last.converged)


def _scale(likelihood: Likelihood) -> FloatArray:
    """Scale of each unknown: the standard deviation of its prior."""
    return np.concatenate([likelihood.priors.sigma, np.ones(len(likelihood.nuisances))])
