"""What flat priors mean to a search: bounds, and nothing else.

On the working scale of a uniform or log-uniform prior (`beltcast.study.priors`) a bound is at
infinity, and the cost rises towards it.  `bounds_only` states the same likelihood on x, or log x,
within finite bounds and without that rise, so that a search can end at a bound and does not prefer
the middle of the range.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.inference.likelihood import Likelihood
from beltcast.study.distributions import FLAT
from beltcast.study.series import SCALE_LOG_SD

BEST_SCALE_LIMIT = 14.0
"""Bound of an estimated scale, in prior standard deviations; by default e^-28 of its median."""


def has_flat_priors(likelihood: Likelihood) -> bool:
    """Whether any parameter has a uniform or log-uniform prior."""
    return not set(FLAT).isdisjoint(likelihood.priors.families)


def bounds_only(likelihood: Likelihood) -> Likelihood:
    """Leave out flat priors and the default priors of scales, except for their bounds."""
    boxed = likelihood.priors.boxed()
    weights = np.ones(likelihood.size)
    weights[: len(boxed)] = [float(family not in FLAT) for family in likelihood.priors.families]
    for k, name in enumerate(likelihood.nuisances):
        scales = {
            errors.scale_log_sd
            for one in likelihood.noise.definitions.values()
            if (errors := one.errors) is not None and errors.scale_name == name
        }
        if SCALE_LOG_SD in scales:
            weights[len(boxed) + k] = 0.0
    return replace(likelihood, priors=boxed, prior_weights=weights, scale_limit=BEST_SCALE_LIMIT)


def moved(theta: FloatArray, source: Likelihood, target: Likelihood) -> FloatArray:
    """Points of one likelihood on the scales of another, inside its bounds.

    Parameters
    ----------
    theta : (k, size)
        A point at a bound moves into the range by a thousandth of it.
    source, target : Likelihood
        One of them is `bounds_only` of the other.
    """
    n = source.n_parameters
    inside = _within(theta, source, 1e-3)
    out = theta.copy()
    out[:, :n] = target.priors.working(source.priors.natural(inside[:, :n]))
    return _within(out, target, 1e-6)


def _within(theta: FloatArray, likelihood: Likelihood, part: float) -> FloatArray:
    """Points at least a part of the range away from finite bounds."""
    lower, upper = likelihood.bounds()
    width = upper - lower
    margin = np.where(np.isfinite(width), part * width, 0.0)
    return np.clip(theta, lower + margin, upper - margin)
