"""Surprise of each new observation under the predictive distribution of the current posterior.

An observation is compared with the distribution of what would have been *published*: under the
own definition with its offset and drift, in its season, with the shock of its year and the noise of
its grade and vintage.  Given the parameters that is a normal of the log
(`beltcast.inference.updating.carry_draws`), so over N draws

    F(y) = mean of Phi((log y - middle_n) / sd),        p = 2 min(F, 1 - F),

which is exact far in the tails, where counting draws would only give "less than 1 in N".  For a
bound the published number is not a draw of that distribution; its p is the probability that the
bound holds.

The explanation of a surprise comes from the linear update by that row alone: the mean of an
unknown x moves by ``cov(x, log y) (log y - E log y) / var(log y)``, in standard deviations of x.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import chi2

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.updating.carry_draws import Predictive


def surprises(
    likelihood: Likelihood, rows: NDArray[np.bool_], z: FloatArray, expected: Predictive
) -> pd.DataFrame:
    """Return how surprising each of some rows is, the most surprising first.

    Parameters
    ----------
    likelihood : Likelihood
        Of all rows.
    rows : (m,) bool
        The rows in question.
    z : (N, n)
        Draws of the parameters, given the other rows.
    expected : Predictive
        Their predictive distribution given the others, at the same draws.

    Returns
    -------
    pandas.DataFrame
        One row each: ``line``, ``place``, ``quantity``, ``kind``, ``definition``, ``start``,
        ``end``; ``published`` and ``low``, ``median``, ``high`` (the 80% band), in the model's unit
        (growth as a ratio); ``z``, standard deviations of the log; ``p``; and the ``parameter`` and
        the ``nuisance`` that the row alone would move most, with the ``parameter_shift`` and
        ``nuisance_shift`` of their means, in standard deviations.

    References
    ----------
    Gelman, Meng and Stern 1996, Posterior predictive assessment of model fitness, Statistica
    Sinica 6, 733-807: the p-value of a prediction.
    """
    observations = [row for row, asked in zip(likelihood.observations, rows, strict=True) if asked]
    logs = likelihood.published[rows]
    good = np.isfinite(expected.middle).all(axis=1)
    middle, nuisances, z = expected.middle[good], expected.nuisances[good], z[good]
    sd = np.sqrt(np.diag(expected.covariance))
    sd_there = np.sqrt(middle.var(axis=0) + sd**2)
    gap = (logs - middle.mean(axis=0)) / sd_there

    unit = gap / sd_there  # factor of a covariance with the row
    of_z = _covariance(z, middle) * unit / _sd(z)[:, None]
    own = nuisances.var(axis=0) + np.diag(expected.nuisance_covariance)
    of_u = (_covariance(nuisances, middle) + expected.cross) * unit / np.sqrt(own)[:, None]

    low, median, high = np.exp(_quantiles(middle, sd, (0.1, 0.5, 0.9)))
    table = pd.DataFrame(
        {
            **{
                name: [getattr(row, name) for row in observations]
                for name in ("line", "place", "quantity", "kind", "definition", "start", "end")
            },
            "published": np.exp(logs),
            "low": low,
            "median": median,
            "high": high,
            "z": gap,
            "p": _p(logs, middle, sd, likelihood.side[rows]),
            **_strongest("parameter", likelihood.priors.labels, of_z),
            **_strongest("nuisance", likelihood.nuisances, of_u),
        }
    )
    return table.sort_values("p", kind="stable").reset_index(drop=True)


def together(likelihood: Likelihood, rows: NDArray[np.bool_], expected: Predictive) -> float:
    """Joint probability of observations as surprising as these, or more.

    Rows of one year share its shock and rows of one place their offset, so ten surprises may be
    one.  The squared distance of the logs from their mean, by the covariance of the prediction, is
    chi-squared if the prediction is normal.  Bounds are excluded; NaN if there are only bounds.
    """
    numbers = likelihood.side[rows] == 0
    if not numbers.any():
        return float("nan")
    middle = expected.middle[np.isfinite(expected.middle).all(axis=1)][:, numbers]
    covariance = expected.covariance[np.ix_(numbers, numbers)] + np.atleast_2d(
        np.cov(middle, rowvar=False)
    )
    gap = likelihood.published[rows][numbers] - middle.mean(axis=0)
    return float(chi2.sf(gap @ np.linalg.solve(covariance, gap), numbers.sum()))


def _p(logs: FloatArray, middle: FloatArray, sd: FloatArray, side: IntArray) -> FloatArray:
    below = ndtr((logs - middle) / sd).mean(axis=0)
    above = ndtr((middle - logs) / sd).mean(axis=0)
    both = np.minimum(2.0 * np.minimum(below, above), 1.0)
    p: FloatArray = np.where(side == 0, both, np.where(side < 0, above, below))
    return p


def _quantiles(middle: FloatArray, sd: FloatArray, levels: Sequence[float]) -> FloatArray:
    """Quantiles of each mixture of normals, (levels, k), by bisection."""
    p = np.asarray(levels, dtype=np.float64)[:, None]
    low = np.repeat(middle.min(axis=0)[None] - 9.0 * sd, len(p), axis=0)
    high = np.repeat(middle.max(axis=0)[None] + 9.0 * sd, len(p), axis=0)
    scale = np.where(sd > 0.0, sd, np.finfo(np.float64).tiny)
    for _ in range(60):
        half = 0.5 * (low + high)
        share = ndtr((half[:, None, :] - middle) / scale).mean(axis=1)
        low, high = np.where(share < p, half, low), np.where(share < p, high, half)
    found: FloatArray = 0.5 * (low + high)
    return found


def _covariance(x: FloatArray, y: FloatArray) -> FloatArray:
    found: FloatArray = (x - x.mean(axis=0)).T @ (y - y.mean(axis=0)) / len(x)
    return found


def _sd(x: FloatArray) -> FloatArray:
    sd: FloatArray = x.std(axis=0)
    return np.where(sd > 0, sd, np.inf)


def _strongest(what: str, names: Sequence[str], shifts: FloatArray) -> dict[str, object]:
    best = np.abs(shifts).argmax(axis=0)
    return {
        what: [names[i] for i in best],
        f"{what}_shift": shifts[best, np.arange(shifts.shape[1])],
    }
