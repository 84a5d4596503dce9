"""Whether chains agree, and how many independent draws they are worth.

*R-hat* compares the spread between chains with the spread within them, after each chain is cut in
half and values are replaced by normal scores of their ranks; the larger of that for the values
and for their distance from the median.  1 is agreement; above 1.01 the chains have not mixed.
*ESS* is the number of independent draws that would know the mean of the normal scores (bulk) or
the 5 % and 95 % quantiles (tail) as well.  All are as in Vehtari, Gelman, Simpson, Carpenter and
Bürkner (2021), Bayesian Analysis 16, 667-718; sums of autocorrelations end as Geyer (1992,
Statistical Science 7, 473-483) proposes.

Arrays are (chains, draws, unknowns).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from beltcast.engine.nodes import FloatArray

MIXED = 1.01
"""R-hat up to which chains count as mixed."""

ENOUGH_DRAWS = 400.0
"""Independent draws from which quantiles and R-hat itself are stable (Vehtari and others 2021)."""

STUCK = 0.05
"""A chain of which a smaller part of the draws differs from the one before counts as stuck."""


def diagnose(draws: FloatArray, names: Sequence[str]) -> pd.DataFrame:
    """R-hat and effective sample sizes of every unknown.

    Parameters
    ----------
    draws : (chains, draws, unknowns)
        At least 4 draws a chain.
    names : (unknowns,) str

    Returns
    -------
    pandas.DataFrame
        ``rhat``, ``ess_bulk`` and ``ess_tail``, by unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.inference.sampling.diagnostics import diagnose
    >>> draws = np.random.default_rng(1).standard_normal((4, 500, 1))
    >>> bool(diagnose(draws, ["a"]).loc["a", "rhat"] < 1.01)
    True
    """
    return pd.DataFrame(
        {"rhat": rhat(draws), "ess_bulk": ess_bulk(draws), "ess_tail": ess_tail(draws)},
        index=pd.Index(list(names), name="parameter"),
    )


def rhat(draws: FloatArray) -> FloatArray:
    """Rank-normalised split R-hat, (unknowns,); infinite where chains stand still apart."""
    halves = _split(draws)
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    return np.maximum(_plain_rhat(_scores(halves)), _plain_rhat(_scores(folded)))


def ess_bulk(draws: FloatArray) -> FloatArray:
    """Effective sample size of the middle, (unknowns,)."""
    return _ess(_scores(_split(draws)))


def ess_tail(draws: FloatArray) -> FloatArray:
    """Effective sample size of the 5 % and 95 % quantiles, the smaller one, (unknowns,)."""
    halves = _split(draws)
    low, high = np.quantile(draws, [0.05, 0.95], axis=(0, 1))
    return np.minimum(_ess((halves <= low).astype(float)), _ess((halves <= high).astype(float)))


def stuck(draws: FloatArray) -> tuple[int, ...]:
    """Numbers of the chains that do not move."""
    moved = (np.diff(draws, axis=1) != 0).any(axis=2).mean(axis=1)
    return tuple(int(chain) for chain in np.flatnonzero(moved < STUCK))


def energy_information(energy: FloatArray) -> FloatArray:
    """How freely each chain's energy moves (E-BFMI), (chains, draws) -> (chains,).

    Below 0.3 a Hamiltonian sampler does not reach the tails (Betancourt 2016).
    """
    jumps = (np.diff(energy, axis=1) ** 2).mean(axis=1)
    information: FloatArray = jumps / energy.var(axis=1)
    return information


def mixing_verdict(table: pd.DataFrame, stuck_chains: Sequence[int] = ()) -> str:
    """Say in words what the diagnostics mean.

    Parameters
    ----------
    table : pandas.DataFrame
        As `diagnose` returns it.
    stuck_chains : sequence of int
    """
    # What stands still has no R-hat and no effective draws: it is the worst of all.
    table = table.assign(
        rhat=table["rhat"].fillna(np.inf),
        **{name: table[name].fillna(0.0) for name in ("ess_bulk", "ess_tail")},
    )
    worst = table["rhat"].idxmax()
    lines = [
        f"R-hat at most {table['rhat'].max():.3f} ({worst}); effective draws at least "
        f"{table['ess_bulk'].min():,.0f} in the bulk ({table['ess_bulk'].idxmin()}) and "
        f"{table['ess_tail'].min():,.0f} in the tails ({table['ess_tail'].idxmin()})."
    ]
    if stuck_chains:
        lines.append(
            f"Chains that do not move: {', '.join(map(str, stuck_chains))}; "
            "their draws say nothing, start again with another seed or a longer burn-in."
        )
    loose = table[table["rhat"] > MIXED].sort_values("rhat", ascending=False)
    few = table[table[["ess_bulk", "ess_tail"]].min(axis=1) < ENOUGH_DRAWS]
    if len(loose):
        lines.append(f"Not mixed (R-hat above {MIXED:g}): {_some(list(loose.index))}.")
    if len(few):
        lines.append(f"Fewer than {ENOUGH_DRAWS:g} effective draws: {_some(list(few.index))}.")
    if len(lines) == 1:
        lines.append("The chains have mixed.")
    return "\n".join(lines)


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(name) for name in names[:most]) + more


def _split(draws: FloatArray) -> FloatArray:
    """Halves of chains as chains; the middle one of an odd number of draws is left out."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _scores(draws: FloatArray) -> FloatArray:
    """Normal scores of the ranks among all chains (Blom 1958)."""
    flat = draws.reshape(-1, draws.shape[2])
    ranks = rankdata(flat, axis=0)
    return np.asarray(norm.ppf((ranks - 0.375) / (len(flat) + 0.25))).reshape(draws.shape)


def _plain_rhat(draws: FloatArray) -> FloatArray:
    count = draws.shape[1]
    within = draws.var(axis=1, ddof=1).mean(axis=0)
    between = draws.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.sqrt((count - 1) / count + between / within)
    # Constants agree with each other, or they do not.
    return np.where(within > 0, value, np.where(between > 0, np.inf, np.nan))


def _ess(draws: FloatArray) -> FloatArray:
    """Effective sample size of the mean; NaN for a constant."""
    chains, count, _ = draws.shape
    covariance = _autocovariance(draws).mean(axis=0)
    within = covariance[0] * count / (count - 1.0)
    total = within * (count - 1.0) / count
    if chains > 1:
        total = total + draws.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = 1.0 - (within - covariance) / total
    rho[0] = 1.0
    pairs = rho[: 2 * (count // 2)].reshape(count // 2, 2, -1).sum(axis=1)
    # Pairs of neighbours are positive and fall in a reversible chain: what is not is noise.
    going = np.logical_and.accumulate(pairs > 0, axis=0)
    going[max((count - 3) // 2, 1) :] = False  # the last ones rest on next to nothing
    falling = np.minimum.accumulate(pairs, axis=0)
    last = going.sum(axis=0)
    rest = np.take_along_axis(rho, np.minimum(2 * last, count - 1)[None], axis=0)[0]
    time = -1.0 + 2.0 * np.where(going, falling, 0.0).sum(axis=0) + np.maximum(rest, 0.0)
    size = chains * count
    effective = size / np.maximum(time, 1.0 / np.log10(size))
    return np.where(total > 0, effective, np.nan)


def _autocovariance(draws: FloatArray) -> FloatArray:
    """Autocovariance of each chain at all lags, (chains, draws, unknowns)."""
    count = draws.shape[1]
    centred = draws - draws.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(centred, 2 * count, axis=1)) ** 2
    return cast(FloatArray, np.fft.irfft(spectrum, 2 * count, axis=1)[:, :count] / count)
