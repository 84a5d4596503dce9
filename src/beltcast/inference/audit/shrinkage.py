"""Shrinkage: how much each place borrows from the others.

A belt of a pooled constant (`pooling`) has ``w = m + tau z``, with z standard normal a
priori.  Given m and tau, let v be the posterior variance of z.  The prior's precision is 1, so the
belt's own observations contribute ``1/v - 1``; alone they would put z at ``z / (1 - v)``, and v is
the part of the estimate that comes from the common mean: for a belt whose observations give y with
standard deviation s,

    v = s^2 / (tau^2 + s^2),     w = (1 - v) y + v m

(Lindley and Smith 1972, Journal of the Royal Statistical Society B 34).  In a nonlinear model this
holds at the optimum only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from beltcast.display.numbers import filled
from beltcast.display.translations import element_called, word
from beltcast.inference.calibrate import Calibration
from beltcast.schema import Label, Language

ALONE = 0.95
"""Part from the common mean above which a place has no estimate of its own."""


def shrinkage(calibration: Calibration) -> pd.DataFrame:
    """Return the estimate of each pooled place from its own observations, and the pooled one.

    Returns
    -------
    pandas.DataFrame
        One row per pooled parameter: ``constant``, ``place``, how many ``observations`` are about
        it alone, its ``own`` estimate (NaN where nearly all comes from the others), the ``pooled``
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
        free = ~np.isin(np.arange(likelihood.size), (pool.mean, pool.sd))
        # With m and tau held and all else free: drop them from the precision and invert again.
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
                    "observations": sum(
                        row.elements == (place,) for row in likelihood.observations
                    ),
                    "own": values[0][k],
                    "pooled": values[1][k],
                    "common": values[2][k],
                    "borrowed": borrowed[k],
                }
            )
    columns = ["constant", "place", "observations", "own", "pooled", "common", "borrowed"]
    return pd.DataFrame(rows, columns=columns)


def shrinkage_words(
    table: pd.DataFrame, language: Language = "en", labels: Mapping[str, Label] | None = None
) -> str:
    """Lines of text for a table of `shrinkage`; empty for an empty one."""
    if table.empty:
        return ""
    heads = [word(key, language) for key in ("parameter", "obs.", "own", "pooled", "borrowed")]
    widths = (34, -7, -10, -10, -9)
    rows = [heads]
    numbers = table[["observations", "own", "pooled", "borrowed"]].to_numpy(dtype=np.float64)
    names = (table["constant"] + "[" + table["place"] + "]").tolist()
    for name, (count, own, pooled, borrowed) in zip(names, numbers, strict=True):
        alone = "-" if np.isnan(own) else f"{own:.3g}"
        label = element_called(name, language, labels or {})
        rows.append([label, f"{count:.0f}", alone, f"{pooled:.3g}", f"{borrowed:.0%}"])
    lines = (" ".join(map(filled, row, widths)) for row in rows)
    return "\n".join([word("pooled places", language), *lines])
