"""Observations drawn from a likelihood: possible published numbers, given all unknowns."""

from __future__ import annotations

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.inference.families import draw_count
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.residuals import draw_errors


def simulate_observations(
    likelihood: Likelihood, theta: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draw every observation once for each set of unknowns.

    Parameters
    ----------
    likelihood : Likelihood
    theta : (N, size)
    rng : numpy.random.Generator

    Returns
    -------
    (N, m)
        As published, before rounding; for a bound the number that it bounds.
    """
    expected = likelihood.expected(theta)
    sds, families = likelihood.row_sds(theta), likelihood.families
    out = np.empty_like(expected)
    for tails in sorted(set(families.tails[families.number].tolist())):
        rows = families.number & (families.tails == tails)
        errors = draw_errors(rng, tails, (len(theta), int(rows.sum())))
        out[:, rows] = expected[:, rows] + sds[:, rows] * errors
    sizes = likelihood.sizes(theta)
    for code in sorted(set(families.codes[~families.number].tolist())):
        rows = families.codes == code
        out[:, rows] = draw_count(code, expected[:, rows], sizes[:, rows], rng)
    return likelihood.natural(out)
