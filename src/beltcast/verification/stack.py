"""A mixture of forecasters, its weights learnt from earlier origins.

At each origin the weights are those that would have done best on the cases of earlier origins whose
figure had been printed by then; at the first there are none, and all weigh alike.  So the mixture
is a forecaster like any other, which never saw what it is scored on.  (A truth that was revised
after the origin is used as revised: the backtest holds the last release only.)

The score that the weights make best is either the CRPS of logs, which is a quadratic function of
the weights, or the log score, whose maximum the EM algorithm finds.  Few cases make poor weights:
`TRUST` cases that all forecasters do equally well stand beside the real ones and hold the weights
towards equality.

References
----------
Yao, Y., Vehtari, A., Simpson, D. and Gelman, A. (2018): Using stacking to average Bayesian
predictive distributions. Bayesian Analysis 13, 917-1003.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr
from scipy.optimize import minimize

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.errors import InputError, did_you_mean
from beltcast.schema import CASE, DRAW, FORECASTER
from beltcast.verification import scores as rules

StackScore = Literal["crps", "log"]

TRUST = 10.0
"""Cases' worth of belief in equal weights (a judgement)."""

THINNED = 200
"""Draws of each forecaster from which weights are learnt."""

STACKED = ("sd", "drift", "damped trend", "ETS", "ARIMA", "Theta")
"""What a backtest's own mixture is made of: the model, growth that goes on in amounts, growth that
fades, and the three that choose their form.  Chosen before any mixture was scored; growth curves,
which run away or stop on few figures, and variants of the model, which repeat it, are left out."""


def stack(
    backtest: xr.Dataset,
    *,
    rng: np.random.Generator,
    forecasters: Sequence[str] | None = None,
    score: StackScore = "crps",
    name: str = "stack",
) -> xr.Dataset:
    """Add a mixture of forecasters to a backtest, its weights from earlier origins only.

    A draw of the mixture is a draw of one of them, the same one in all cases of an origin that the
    same forecasters answer, so that joint draws stay joint.

    Parameters
    ----------
    backtest : xarray.Dataset
        As for `beltcast.verification.skill.case_scores`.
    rng : numpy.random.Generator
        Which draw comes from which forecaster.
    forecasters : sequence of str, optional
        What is mixed; all by default.
    score : 'crps' or 'log'
        What the weights make best, on logs of levels.
    name : str
        Of the mixture.

    Returns
    -------
    xarray.Dataset
        The backtest with one more forecaster; ``stack_weight`` (stack_origin, stacked), and
        ``stack_cases`` (stack_origin), the cases they were learnt from.

    Raises
    ------
    InputError
        A forecaster is unknown, or the name is taken.
    """
    names = [str(f) for f in backtest[FORECASTER].values]
    mixed = names if forecasters is None else list(forecasters)
    for one in mixed:
        if one not in names:
            raise InputError(f"no forecaster is called '{one}'{did_you_mean(one, names)}")
    if name in names:
        raise InputError(f"the backtest has a forecaster '{name}' already; give another name")
    forecast = backtest["forecast"].transpose(CASE, FORECASTER, DRAW)
    draws = forecast.sel({FORECASTER: mixed}).values
    logs, observed = rules.log_levels(draws), rules.log_levels(backtest["observed"].values)
    # A draw of 0 or less has no log, so that the score is silent there.
    answers = np.asarray(np.isfinite(logs).all(axis=2))
    origins = np.unique(backtest["origin"].values)
    weights, counts = [], []
    result = np.full((draws.shape[0], draws.shape[2]), np.nan, dtype=draws.dtype)
    for origin in origins:
        seen = _seen(backtest, float(origin)) & answers.all(axis=1) & np.isfinite(observed)
        learnt = _weights(logs[seen], observed[seen], score)
        weights.append(learnt)
        counts.append(int(seen.sum()))
        now = np.flatnonzero(backtest["origin"].values == origin)
        _fill(result, draws, now, answers, learnt, rng)
    mixture = xr.DataArray(
        result[:, None, :], dims=(CASE, FORECASTER, DRAW), coords={FORECASTER: [name]}
    )
    rest = backtest.drop_vars("forecast").drop_dims(FORECASTER)
    joined = xr.concat([forecast, mixture], dim=FORECASTER, coords="minimal", compat="override")
    joined.attrs = dict(backtest["forecast"].attrs)
    return rest.assign(
        {
            "forecast": joined,
            "stack_weight": (("stack_origin", "stacked"), np.array(weights)),
            "stack_cases": ("stack_origin", counts),
        }
    ).assign_coords(stack_origin=origins, stacked=mixed)


def stackable(backtest: xr.Dataset) -> list[str]:
    """Those of `STACKED` that a backtest holds; ETS, ARIMA and Theta need the extra `verify`."""
    names = {str(f) for f in backtest[FORECASTER].values}
    return [name for name in STACKED if name in names]


def crps_weights(draws: FloatArray, observed: FloatArray, *, trust: float = TRUST) -> FloatArray:
    """Weights of the mixture with the least mean CRPS.

    With ``a_k = E|X_k - y|`` and ``B_kl = E|X_k - X_l|``, means over cases and draws, the CRPS of
    the mixture is ``w'a - w'Bw / 2``, convex on the simplex as -B is positive semidefinite there.
    In units of the mean of a, ``trust / n`` times half the squared distance of w from equal weights
    is added.

    Parameters
    ----------
    draws : (n, K, m)
    observed : (n,)
    trust : float  [cases]

    Returns
    -------
    (K,)
        Not negative, adding up to 1.
    """
    n, K, _ = draws.shape
    if n == 0:
        return np.full(K, 1.0 / K)
    a = np.abs(draws - observed[:, None, None]).mean(axis=(0, 2))
    B = np.zeros((K, K))
    for k in range(K):
        for j in range(k + 1):
            B[k, j] = B[j, k] = _apart(draws[:, k], draws[:, j])
    size = float(a.mean())
    a, B = a / size, B / size
    pull = trust / n

    def loss(w: FloatArray) -> tuple[float, FloatArray]:
        off = w - 1.0 / K
        value = float(w @ a - 0.5 * w @ B @ w + 0.5 * pull * off @ off)
        return value, a - B @ w + pull * off

    found = minimize(
        loss,
        np.full(K, 1.0 / K),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * K,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(K)},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    w = np.clip(found.x, 0.0, None)
    weights: FloatArray = w / w.sum()
    return weights


def log_weights(densities: FloatArray, *, trust: float = TRUST) -> FloatArray:
    """Weights of the mixture with the greatest mean log density, by EM.

    Each step shares every case among the forecasters as they explain it, ``w_k p_k / sum w p``, and
    takes the mean; ``trust`` cases are shared equally (a Dirichlet prior).  Dempster, Laird and
    Rubin (1977), Journal of the Royal Statistical Society B 39, 1-38.

    Parameters
    ----------
    densities : (n, K)
        Log predictive density of each case by each forecaster; NaN where it has none, as of draws
        that are all alike.  A forecaster without any density gets the weight 0.
    trust : float  [cases]
    """
    K = densities.shape[1]
    # A forecaster without a density cannot be compared: it gets no weight, and no case of the
    # others is lost by it.  A case that one of the others cannot score is left out.
    scored = np.isfinite(densities).any(axis=0) if len(densities) else np.ones(K, dtype=bool)
    if not scored.all():
        weights = np.zeros(K)
        if scored.any():
            weights[scored] = log_weights(densities[:, scored], trust=trust)
        else:
            weights[:] = 1.0 / K
        return weights
    densities = densities[np.isfinite(densities).all(axis=1)]
    n, w = len(densities), np.full(K, 1.0 / K)
    if n == 0:
        return w
    p = np.exp(densities - densities.max(axis=1, keepdims=True))
    for _ in range(10_000):
        share = p * w
        share /= share.sum(axis=1, keepdims=True)
        new = (share.sum(axis=0) + trust / K) / (n + trust)
        if np.abs(new - w).max() < 1e-10:
            break
        w = new
    return w


def _seen(backtest: xr.Dataset, origin: float) -> np.ndarray:
    """Cases of earlier origins whose figure had been printed by this one, (case,) of bool.

    What counts is the first release; the value is that of the last, so revisions look ahead.
    """
    seen: np.ndarray = (backtest["origin"].values < origin) & (backtest["printed"].values <= origin)
    return seen


def _weights(logs: FloatArray, observed: FloatArray, score: StackScore) -> FloatArray:
    logs = logs[:, :, :: -(-logs.shape[2] // THINNED)]
    if score == "crps":
        return crps_weights(logs, observed)
    if not len(logs):
        return log_weights(np.zeros((0, logs.shape[1])))
    return log_weights(-rules.log_score(logs, observed[:, None]))


def _apart(one: FloatArray, other: FloatArray) -> float:
    """Mean over cases of E|X - Y|, from (n, m) draws of each, by their distribution functions.

    ``E|X - Y| = integral of F (1 - G) + G (1 - F)``.
    """
    n, m = one.shape
    both = np.concatenate([one, other], axis=1)
    order = np.argsort(both, axis=1)
    x = np.take_along_axis(both, order, axis=1)
    first = order < m
    F, G = np.cumsum(first, axis=1) / m, np.cumsum(~first, axis=1) / (both.shape[1] - m)
    inside = (F * (1.0 - G) + G * (1.0 - F))[:, :-1]
    return float((inside * np.diff(x, axis=1)).sum() / n)


def _fill(
    result: FloatArray,
    draws: FloatArray,
    now: IntArray,
    answers: np.ndarray,
    weights: FloatArray,
    rng: np.random.Generator,
) -> None:
    """Write the mixture's draws of one origin; where some are silent the others share."""
    m = draws.shape[2]
    for pattern in np.unique(answers[now], axis=0):
        w = np.where(pattern, weights, 0.0)
        if not pattern.any():
            continue
        if w.sum() <= 0:
            w = pattern.astype(np.float64)
        # As many draws of each as its weight says, to rounding; which ones is left to chance.
        marks = (np.arange(m) + rng.random()) / m
        source = np.searchsorted(np.cumsum(w / w.sum()), marks).clip(max=len(w) - 1)
        source = rng.permutation(source)
        chosen = now[(answers[now] == pattern).all(axis=1)]
        result[chosen] = draws[chosen][:, source, np.arange(m)]
