"""How much each place borrows from the others.

A belt of a pooled constant (`pooling`) has ``w = m + tau z``, with z standard normal a
priori.  Given m and tau, let v be the posterior variance of z.  The prior's precision is 1, so the
belt's own observations bring ``1/v - 1``; alone they would put z at ``z / (1 - v)``, and v is the
part of the estimate that comes from the common mean: for a belt whose observations say y with
spread s,

    v = s^2 / (tau^2 + s^2),     w = (1 - v) y + v m

(Lindley and Smith 1972, Journal of the Royal Statistical Society B 34).  Where the model bends this
is true at the optimum only.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from beltcast.inference.calibrate import Calibration

ALONE = 0.95
"""Part from the common mean above which a place has no estimate of its own."""


def shrinkage(calibration: Calibration) -> pd.DataFrame:
    """Return the estimate of each pooled place from its own observations, and the pooled one.

    Parameters
    ----------
    calibration : Calibration

    Returns
    -------
    pandas.DataFrame
        One row a pooled parameter: ``constant``, ``place``, how many ``figures`` are about it
        alone, its ``own`` estimate (NaN where nearly all comes from the others), the ``pooled``
        one, the ``common`` mean, all in the parameter's unit, and ``borrowed``, the part that comes
        from the common mean, 0 to 1.  Empty where nothing is pooled.
    """
    likelihood = calibration.likelihood
    priors = likelihood.priors
    n = len(priors)
    z = calibration.theta[:n]
    rows = []
    precision = np.linalg.inv(calibration.covariance) if priors.pools else np.empty((0, 0))
    for pool in priors.pools:
        free = ~np.isin(np.arange(likelihood.size), (pool.mean, pool.spread))
        # With m and tau held, all else free: leave them out of the precision and invert again.
        variance = np.full(likelihood.size, np.nan)
        variance[free] = np.diag(np.linalg.inv(precision[np.ix_(free, free)]))
        borrowed = np.clip(variance[pool.members], 0.0, 1.0)
        alone, common = z.copy(), z.copy()
        with np.errstate(divide="ignore"):
            own = z[pool.members] / (1.0 - borrowed)
        alone[pool.members] = np.where(borrowed < ALONE, own, np.nan)
        common[pool.members] = 0.0
        values = [priors.natural(each)[pool.members] for each in (alone, z, common)]
        for k, i in enumerate(pool.members.tolist()):
            place = priors.labels[i].partition("[")[2].removesuffix("]")
            rows.append(
                {
                    "constant": pool.name,
                    "place": place,
                    "figures": sum(row.belts == (place,) for row in likelihood.observations),
                    "own": values[0][k],
                    "pooled": values[1][k],
                    "common": values[2][k],
                    "borrowed": borrowed[k],
                }
            )
    columns = ["constant", "place", "figures", "own", "pooled", "common", "borrowed"]
    return pd.DataFrame(rows, columns=columns)


def shrinkage_words(table: pd.DataFrame) -> str:
    """Lines of text for a table of `shrinkage`; empty for an empty one."""
    if table.empty:
        return ""
    lines = ["Places around a common mean: estimates from their own observations, and pooled"]
    lines.append(f"{'parameter':34s} {'figures':>7s} {'own':>10s} {'pooled':>10s} {'borrowed':>9s}")
    numbers = table[["figures", "own", "pooled", "borrowed"]].to_numpy(dtype=np.float64)
    labels = (table["constant"] + "[" + table["place"] + "]").tolist()
    for label, (figures, own, pooled, borrowed) in zip(labels, numbers, strict=True):
        alone = "-" if np.isnan(own) else f"{own:.3g}"
        lines.append(f"{label:34s} {figures:7.0f} {alone:>10s} {pooled:10.3g} {borrowed:9.0%}")
    return "\n".join(lines)
