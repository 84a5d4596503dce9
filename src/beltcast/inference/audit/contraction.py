"""Contraction of each answer by the observations: posterior against prior variance.

    contraction = 1 - var(posterior) / var(prior)

of the same quantity, computed from draws of both (Schad, Betancourt and Vasishth 2021,
Psychological Methods 26, 103-126).  1 means known exactly and 0 no narrower than before the
observations; a value below 0 means wider than before, which happens if the observations are far
from the prior predictive distribution.  For a normal answer with n normal observations it is ``I /
(1 + I)``, I the information of the observations in units of the prior's.  The standard deviation is
half the width of the central 68 % over draws, which outliers hardly change, as in ``sd_ratio`` of a
forecast.

Draws are finite: with N of the posterior and M of the prior the ratio of standard deviations has a
relative error of about ``sqrt(0.93 (1/N + 1/M))`` for normal answers, that of variances twice it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.ensembles.member_statistics import quantiles, robust_sd
from beltcast.errors import InputError

ANSWER = "answer"
"""Dimension of the answers."""

QUANTITY = "quantity"
OF = "of"

SAME = 1e-9
"""Sd below which an answer does not vary: a scenario that has not begun changes nothing."""

QUANTILE_ERROR = 0.93
"""N times the relative variance of half the central 68% of N normal draws.  The ends are quantiles
p = 0.16 and 1 - p, each of variance ``p (1 - p) / (N phi^2)``, with the covariance ``p^2 / (N
phi^2)``; so it is ``(p (1 - p) - p^2) / (2 phi^2 z^2)`` with z = 0.9945 and phi(z) = 0.2433."""


def contraction(posterior: xr.DataArray, prior: xr.DataArray) -> pd.DataFrame:
    """Return how far each answer was narrowed.

    Parameters
    ----------
    posterior, prior : (member, answer)
        Draws of the same answers, preferably as logs; all draws are used. NaN is excluded.

    Returns
    -------
    pandas.DataFrame
        By answer: other coordinates of ``answer``, ``prior_p10``, ``prior_median``,
        ``prior_p90`` and the same of the posterior, ``prior_sd``, ``posterior_sd``,
        ``contraction`` and ``contraction_error``, its standard error from the number of draws.
        An answer that does not vary in the prior is excluded.

    Raises
    ------
    InputError
        The two have different answers.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from beltcast.inference.audit.contraction import contraction
    >>> z = np.linspace(-2.0, 2.0, 101)[:, None]
    >>> prior = xr.DataArray(z, {"answer": ["a"]}, ("member", "answer"))
    >>> float(contraction(0.25 * prior, prior).loc["a", "contraction"])
    0.9375
    """
    names = [str(name) for name in prior[ANSWER].values]
    if names != [str(name) for name in posterior[ANSWER].values]:
        raise InputError("prior and posterior are of other answers; compute both in one way")
    table = pd.DataFrame(index=pd.Index(names, name=ANSWER))
    for name, values in prior.coords.items():
        if name != ANSWER and values.dims == (ANSWER,):
            table[str(name)] = values.values
    for name, draws in (("prior", prior), ("posterior", posterior)):
        levels = quantiles(draws, (0.1, 0.5, 0.9)).values
        for k, level in enumerate(("p10", "median", "p90")):
            table[f"{name}_{level}"] = levels[:, k]
        table[f"{name}_sd"] = robust_sd(draws).values
    table = table[table["prior_sd"] > SAME]
    ratio = table["posterior_sd"] / table["prior_sd"]
    counts = 1.0 / prior.sizes["member"] + 1.0 / posterior.sizes["member"]
    error = 2.0 * ratio**2 * np.sqrt(QUANTILE_ERROR * counts)
    return table.assign(contraction=1.0 - ratio**2, contraction_error=error)
