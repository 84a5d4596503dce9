"""Power scaling: which prior moves which answer, when a part of the posterior has another power.

The posterior is a product of a likelihood and of priors.  Raising one factor to the power alpha
makes it weaker (alpha < 1) or stronger (alpha > 1) without moving that factor's mode; draws of the
new posterior are the old ones with importance weights

    w_s  proportional to  p_part(theta_s)^(alpha - 1),

smoothed (`psis`; arviz-stats smooths both tails of these weights, and weights differ by 1e-5).
The shift of an answer's distribution is the cumulative Jensen-Shannon distance of its weighted from
its unweighted draws, and its sensitivity, which arviz-stats computes, the mean slope per doubling
of alpha::

    CJS(P||Q) = int P log2(2 P / (P + Q)) + (Q - P) / (2 ln 2)
    D = sqrt((CJS(P||Q) + CJS(Q||P)) / int (P + Q))
    sensitivity = (D(1 / alpha) + D(alpha)) / (2 log2 alpha),   alpha = 1.01

with P, Q the distribution functions; the larger of the answer and of its mirror image counts.
A normal answer that shifts by a quarter of its standard deviation per doubling has 0.05, the
threshold of `diagnosis`.  The quantity is a slope, so alpha stays close to 1, as in
priorsense 1.1 and ArviZ.  With 1.25 the weights of a factor of many terms (the observations, or the
priors of hundreds of nuisances) have tails for which no practical number of draws is enough.

====================  ==========================  ==========================================
the answer moves      and with the likelihood     diagnosis
with the prior
====================  ==========================  ==========================================
yes                   yes                         prior-data conflict
yes                   no                          strong prior
yes                   cannot be told              moved, likelihood unclear
no                    either                      empty: this prior has no effect here
====================  ==========================  ==========================================

Weights are uneven, so even an answer unrelated to a part moves a little.  The size of this noise
is found by shuffling the weights over the draws: the largest of 19 such sensitivities is exceeded
by chance one time in twenty.  What lies below it does not count as moved.

References
----------
Kallioinen, N., Paananen, T., Buerkner, P.-C. and Vehtari, A. (2023): Detecting and diagnosing prior
and likelihood sensitivity with power-scaling. Statistics and Computing 34, 57.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError
from beltcast.inference.sampling.diagnostics import array_library
from beltcast.inference.sampling.posterior import Draws
from beltcast.inference.sampling.psis import LIMIT, smoothed

ALPHA = 1.01
"""Power of a factor made stronger; made weaker it is 1 / 1.01."""

SENSITIVE = 0.05
"""Sensitivity from which an answer counts as moved."""

LIKELIHOOD = "likelihood"
NUISANCES = "offsets and shocks"

SHUFFLES = 19
"""Shuffles of the weights: of 20 exchangeable numbers each is the largest one time in 20."""


def power_scaling(
    answers: xr.DataArray, parts: Mapping[str, FloatArray], *, rng: np.random.Generator
) -> pd.DataFrame:
    """Return how far each answer moves with each factor of the posterior.

    Parameters
    ----------
    answers : (member, answer)
        Draws of the posterior; a member with NaN anywhere is excluded.
    parts : mapping of str to (member,)
        Log density of each factor at each draw, up to a constant, as `log_parts` returns them; one
        of them is called 'likelihood'.
    rng : numpy.random.Generator
        For the shuffles.

    Returns
    -------
    pandas.DataFrame
        By (answer, part): ``sensitivity``; ``noise``, the sensitivity by chance; ``shift``, the
        shift of the answer's mean per doubling of alpha, in its posterior standard deviations;
        ``pareto_k``, the larger of the two weightings, and ``diagnosis``, which is "weights too
        poor" if k is above 0.7.

    Raises
    ------
    InputError
        The parts lack a likelihood, or no member is complete.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from beltcast.inference.audit.power_scaling import power_scaling
    >>> rng = np.random.default_rng(1)
    >>> z = rng.standard_normal(2000)
    >>> answers = xr.DataArray(z[:, None], {"answer": ["z"]}, ("member", "answer"))
    >>> table = power_scaling(answers, {"likelihood": 0 * z, "prior": -0.5 * z**2}, rng=rng)
    >>> table.loc[("z", "prior"), "diagnosis"]
    'strong prior'
    """
    if LIKELIHOOD not in parts:
        raise InputError(f"the parts are {', '.join(parts)}; expected 'likelihood' among them")
    whole = np.isfinite(answers.values).all(axis=1)
    values: FloatArray = answers.values[whole].T
    if values.shape[1] < 2:
        raise InputError("fewer than two draws have all answers; take more draws")
    found = {}
    for name, logs in parts.items():
        scaled = [smoothed((alpha - 1.0) * logs[whole]) for alpha in (1.0 / ALPHA, ALPHA)]
        weaker, stronger = (weights.values for weights in scaled)
        moved = _sensitivity(values, weaker, stronger)
        noise = np.zeros(len(moved))
        for _ in range(SHUFFLES):
            mixed = rng.permutation(values.shape[1])
            chance = _sensitivity(values, weaker[mixed], stronger[mixed])
            noise = np.maximum(noise, chance)
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = values @ (stronger - weaker) / values.std(axis=1) / (2.0 * np.log2(ALPHA))
        found[name] = (moved, noise, shift, max(weights.k for weights in scaled))
    by_likelihood, its_noise, _, its_k = found[LIKELIHOOD]
    labels = [str(name) for name in answers["answer"].values]
    rows = []
    for name, (moved, noise, shift, k) in found.items():
        for i, label in enumerate(labels):
            words = diagnosis(
                _told(moved[i], noise[i], k), _told(by_likelihood[i], its_noise[i], its_k)
            )
            words = "weights too poor" if k > LIMIT else words
            rows.append((label, name, moved[i], noise[i], shift[i], k, words))
    names = ["answer", "part", "sensitivity", "noise", "shift", "pareto_k", "diagnosis"]
    table = pd.DataFrame(rows, columns=names).set_index(["answer", "part"])
    table = table.loc[[(label, name) for label in labels for name in found]]
    is_likelihood = table.index.get_level_values("part") == LIKELIHOOD
    return table.assign(diagnosis=table["diagnosis"].where(~is_likelihood, ""))


def log_parts(draws: Draws, by: str = "role") -> dict[str, FloatArray]:
    """Log density of the likelihood and of each group of priors, at each draw.

    Parameters
    ----------
    draws : Draws
        Of the posterior; the model is run once for each.
    by : 'role' or 'parameter'
        Priors grouped by role, or each parameter alone.

    Returns
    -------
    dict of str to (N,)
        'likelihood' first, then the groups, then 'offsets and shocks', the priors of the nuisances.
        Up to a constant each; together they are the log posterior density.

    Raises
    ------
    InputError
        `by` is neither of these.

    Examples
    --------
    >>> from beltcast.inference.sampling.draws_file import open_fit
    >>> from beltcast.inference.audit.power_scaling import log_parts
    >>> _, kept = open_fit()
    >>> list(log_parts(kept.first(2)))[:2]
    ['likelihood', 'driver']
    """
    likelihood = draws.likelihood
    priors, n = likelihood.priors, likelihood.n_parameters
    if by not in ("role", "parameter"):
        raise InputError(f"priors are grouped by 'role' or by 'parameter', not by '{by}'")
    names = np.array(priors.roles if by == "role" else priors.labels)
    own = -0.5 * ((draws.theta[:, :n] - priors.mu) / priors.sigma) ** 2
    nuisances: FloatArray = -0.5 * (draws.theta[:, n:] ** 2).sum(axis=1)
    # Residuals that are neither priors nor nuisances' are the likelihood, with its heights.
    rest = likelihood.log_density(draws.theta) - own.sum(axis=1) - nuisances
    parts = {LIKELIHOOD: rest}
    parts |= {str(name): own[:, names == name].sum(axis=1) for name in dict.fromkeys(names)}
    return parts | {NUISANCES: nuisances}


def diagnosis(by_prior: bool | None, by_likelihood: bool | None) -> str:
    """Return the diagnosis of an answer that moves, or not, with a prior and the likelihood.

    Parameters
    ----------
    by_prior, by_likelihood : bool or None
        None if unknown.
    """
    if not by_prior:
        return ""
    if by_likelihood is None:
        return "moved, likelihood unclear"
    return "prior-data conflict" if by_likelihood else "strong prior"


def _told(sensitivity: float, noise: float, k: float) -> bool | None:
    """Whether an answer moves; None if weights are poor or chance would move it as far."""
    if k > LIMIT:
        return None
    if not sensitivity >= SENSITIVE:
        return False
    return True if sensitivity > noise else None


def _sensitivity(values: FloatArray, weaker: FloatArray, stronger: FloatArray) -> FloatArray:
    """Mean distance of both weightings from equal weights, per doubling of the power; (a,)."""
    weights = (np.broadcast_to(w, values.shape) for w in (weaker, stronger))
    with np.errstate(invalid="ignore"):  # NaN for an answer that does not vary
        found: FloatArray = array_library().power_scale_sense(
            values, *weights, 1.0 / ALPHA, ALPHA, chain_axis=None
        )
    return found
