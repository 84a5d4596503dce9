"""Convergence diagnostics of Markov chains: R-hat and effective sample sizes.

*R-hat* compares the variance between chains with the variance within them, after each chain is cut
in half and values are replaced by normal scores of their ranks; the larger of that for the values
and for their distance from the median.  1 means agreement; above 1.01 the chains have not mixed.
*Nested R-hat* compares groups of chains (superchains) in the same way, for chains too short for an
R-hat of their own.  *ESS* is the number of independent draws that would estimate the mean of the
normal scores (bulk) or the 5 % and 95 % quantiles (tail) as well.  arviz-stats computes them.

Arrays are (chains, draws, unknowns).

References
----------
Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. and Bürkner, P.-C. (2021): Rank-normalization,
folding, and localization: an improved R-hat. Bayesian Analysis 16, 667-718.
Margossian, C., Hoffman, M., Sountsov, P., Riou-Durand, L., Vehtari, A. and Gelman, A. (2024):
Nested R-hat: assessing the convergence of Markov chain Monte Carlo when running many short chains.
Bayesian Analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from beltcast.engine.nodes import FloatArray, IntArray

MIXED = 1.01
"""R-hat up to which chains count as mixed."""

ENOUGH_DRAWS = 400.0
"""Independent draws from which quantiles and R-hat itself are stable (Vehtari and others 2021)."""

STUCK = 0.05
"""A chain is stuck if a smaller part of its draws differs from the one before."""


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
    """Rank-normalised split R-hat, (unknowns,); infinite if chains are constant and differ."""
    with np.errstate(divide="ignore", invalid="ignore"):  # constant chains
        found = array_library().rhat(draws, chain_axis=0, draw_axis=1)
    return _without_constants(draws, found)


def nested_rhat(draws: FloatArray, superchain: IntArray) -> FloatArray:
    """Rank-normalised split nested R-hat, (unknowns,).

    Parameters
    ----------
    draws : (chains, draws, unknowns)
    superchain : (chains,) int
        Group of each chain, of equal sizes; at least two groups.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [
            array_library().rhat_nested(draws[:, :, i], superchain_ids=superchain)
            for i in range(draws.shape[2])
        ]
    return _without_constants(draws, np.array(found))


def ess_bulk(draws: FloatArray) -> FloatArray:
    """Effective sample size of the middle, (unknowns,); NaN for a constant."""
    return _ess(draws, "bulk")


def ess_tail(draws: FloatArray) -> FloatArray:
    """Effective sample size of the 5 % and 95 % quantiles, the smaller one, (unknowns,)."""
    return _ess(draws, "tail", prob=(0.05, 0.95))


def effective_draws(values: FloatArray, walkers: int) -> FloatArray:
    """Independent draws that draws of some answers are worth, the middle or the tails.

    Parameters
    ----------
    values : (N, k)
        Of draws of `walkers` Markov chains, one after the other at each time.
    walkers : int
        0 where draws are independent.

    Returns
    -------
    (k,)
        The smaller one of the bulk and of the 10 % and 90 % quantiles; N for independent draws and
        for an answer that does not vary, NaN where chains have fewer than 4 draws.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.inference.sampling.diagnostics import effective_draws
    >>> effective_draws(np.random.default_rng(1).standard_normal((400, 1)), 0)
    array([400.])
    """
    count = len(values)
    times = count // walkers if walkers else 0
    if not walkers:
        return np.full(values.shape[1], float(count))
    if times < 4:
        return np.full(values.shape[1], np.nan)
    chains = values[count - times * walkers :].reshape(times, walkers, -1).transpose(1, 0, 2)
    found = np.minimum(ess_bulk(chains), _ess(chains, "tail", prob=(0.1, 0.9)))
    # Antithetic chains may be worth more than independent draws; nothing is claimed of that.
    return np.where(np.ptp(values, axis=0) > 0, np.minimum(found, count), float(count))


def _ess(draws: FloatArray, method: str, **options: Any) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = array_library().ess(draws, method=method, chain_axis=0, draw_axis=1, **options)
    return np.where(np.ptp(draws, axis=(0, 1)) > 0, found, np.nan)


def _without_constants(draws: FloatArray, found: FloatArray) -> FloatArray:
    """Replace the rounding results of constant chains: they agree, or they do not."""
    moving = (np.ptp(draws, axis=1) > 0).any(axis=0)
    apart = np.ptp(draws[:, 0], axis=0) > 0
    return np.where(moving, found, np.where(apart, np.inf, np.nan))


def array_library() -> Any:
    """Return the array layer of arviz-stats."""
    # Here and not above: the import takes a second, and opening a fit needs none of it.
    from arviz_stats.base.array import array_stats

    return array_stats


def stuck(draws: FloatArray) -> tuple[int, ...]:
    """Numbers of the chains that do not move."""
    moved = (np.diff(draws, axis=1) != 0).any(axis=2).mean(axis=1)
    return tuple(int(chain) for chain in np.flatnonzero(moved < STUCK))


def energy_information(energy: FloatArray) -> FloatArray:
    """Energy fraction of missing information (E-BFMI), (chains, draws) -> (chains,).

    Below 0.3 a Hamiltonian sampler does not reach the tails (Betancourt 2016).
    """
    jumps = (np.diff(energy, axis=1) ** 2).mean(axis=1)
    information: FloatArray = jumps / energy.var(axis=1)
    return information


def mixing_verdict(
    table: pd.DataFrame, stuck_chains: Sequence[int] = (), name: str = "R-hat"
) -> str:
    """Summarise in words what the diagnostics mean.

    Parameters
    ----------
    table : pandas.DataFrame
        As `diagnose` returns it.
    stuck_chains : sequence of int
    name : str
        Name of the column ``rhat``.
    """
    # A constant unknown has no R-hat and no effective draws: it is the worst of all.
    table = table.assign(
        rhat=table["rhat"].fillna(np.inf),
        **{name: table[name].fillna(0.0) for name in ("ess_bulk", "ess_tail")},
    )
    worst = table["rhat"].idxmax()
    lines = [
        f"{name} at most {table['rhat'].max():.3f} ({worst}); effective draws at least "
        f"{table['ess_bulk'].min():,.0f} in the bulk ({table['ess_bulk'].idxmin()}) and "
        f"{table['ess_tail'].min():,.0f} in the tails ({table['ess_tail'].idxmin()})."
    ]
    if stuck_chains:
        lines.append(
            f"Chains that do not move: {', '.join(map(str, stuck_chains))}; "
            "their draws are unusable; start again with another seed or a longer burn-in."
        )
    loose = table[table["rhat"] > MIXED].sort_values("rhat", ascending=False)
    few = table[table[["ess_bulk", "ess_tail"]].min(axis=1) < ENOUGH_DRAWS]
    if len(loose):
        lines.append(f"Not mixed ({name} above {MIXED:g}): {_some(list(loose.index))}.")
    if len(few):
        lines.append(f"Fewer than {ENOUGH_DRAWS:g} effective draws: {_some(list(few.index))}.")
    if len(lines) == 1:
        lines.append("The chains have mixed.")
    return "\n".join(lines)


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(name) for name in names[:most]) + more
