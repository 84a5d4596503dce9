"""Estimate how fast a growth deviation fades in series that are not in the belt study.

``python docs/damping.py`` prints the tables of ``evidence-drivers.md`` in about two minutes.

The log of a series has a damped local linear trend (Gardner and McKenzie 1985; Harvey 1989,
section 2.3)::

    level[t+1]  = level[t] + mean + growth[t] + shock
    growth[t+1] = phi growth[t] + shock

Either ``mean`` is zero and growth is damped to zero, or it is a constant of the series and growth
is the deviation from it. The table shows the profile likelihood over the standard deviations of
both shocks; its posterior has a flat prior on phi from 0 to 0.99.
"""

from __future__ import annotations

import csv
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import chi2

Array = NDArray[np.float64]
TABLE = Path(__file__).resolve().parent.parent / "calibration" / "data" / "damping-series.csv"
PHI = np.concatenate([np.arange(0, 0.9, 0.05), np.arange(0.9, 1.0, 0.02), [0.99]])
TAKEN = 0.8
"""The damping of the belt study, at which standard deviations are printed."""
DIFFUSE = 1e4
POOLED = ("US e-commerce retail sales", "UK internet retail sales", "Japan B2C e-commerce")
EXPORTS = "China goods exports"
NAMES = {
    POOLED[0]: "US e-commerce",
    POOLED[1]: "UK internet sales",
    POOLED[2]: "Japan B2C",
    EXPORTS: "China goods exports, customs",
    f"{EXPORTS} (OECD)": "China goods exports, OECD",
}
POOLS = {
    "three e-commerce series pooled": POOLED,
    "pooled with customs exports": (*POOLED, EXPORTS),
}
SEARCH = {
    "method": "Nelder-Mead",
    "options": {"xatol": 1e-3, "fatol": 1e-5, "maxiter": 400},
    "bounds": [(np.log(1e-4), 0)] * 2,
}
PANDEMIC = 2019
"""Where asked for, the level of the next year has a shock of standard deviation 0.2."""


def series() -> dict[str, Array]:
    """Return the log of each series, year by year from its first; a missing year is NaN."""
    rows: dict[str, dict[int, float]] = {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["series"], {})[int(row["year"])] = float(row["value"])
    return {
        name: np.array([np.log(years.get(t, np.nan)) for t in range(min(years), max(years) + 1)])
        for name, years in rows.items()
    }


def loss(y: Array, phi: float, sd: Array, mean: bool, jump: int | None) -> float:
    """Compute the negative log likelihood given the first two numbers, by the Kalman filter.

    Parameters
    ----------
    y : (year,)  [log unit]
    phi : float
    sd : (2,)  of the level's and of the growth's shock
    mean : bool
        Growth deviates from a constant, which has a flat prior.
    jump : int, optional
        Index of the year before a level shock of standard deviation 0.2.
    """
    step = np.array([[1, 1, 1], [0, phi, 0], [0, 0, 1.0]])
    growth = sd[1] ** 2 / (1 - phi**2) if mean else DIFFUSE
    state = np.array([y[0], 0, 0])
    cov = np.diag([DIFFUSE, min(growth, DIFFUSE), DIFFUSE if mean else 0])
    total, seen = 0.0, 0
    for t, value in enumerate(y):
        if not np.isnan(value):
            variance, error = cov[0, 0], value - state[0]
            if seen >= 2:
                total += 0.5 * (np.log(2 * np.pi * variance) + error**2 / variance)
            seen += 1
            gain = cov[:, 0] / variance
            state, cov = state + gain * error, cov - np.outer(gain, cov[0])
            cov = (cov + cov.T) / 2
        level = sd[0] ** 2 + (0.2**2 if t == jump else 0)
        state, cov = step @ state, step @ cov @ step.T + np.diag([level, sd[1] ** 2, 0])
    return total


def profile(y: Array, mean: bool, jump: int | None = None) -> Array:
    """Find the smallest loss at each phi over both standard deviations.

    Returns
    -------
    (phi,)
    """

    def at(phi: float) -> float:
        fits = (
            minimize(lambda x: loss(y, phi, np.exp(x), mean, jump), np.log(start), **SEARCH)
            for start in product((0.01, 0.05), (0.01, 0.06))
        )
        return min(float(fit.fun) for fit in fits)

    return np.array([at(phi) for phi in PHI])


def sds(y: Array, phi: float) -> Array:
    """Estimate standard deviations of the level's step and of the deviation of growth at any time.

    Returns
    -------
    (2,)
    """
    fits = (
        minimize(lambda x: loss(y, phi, np.exp(x), True, None), np.log(start), **SEARCH)
        for start in product((0.01, 0.05), (0.01, 0.06))
    )
    best = np.exp(min(fits, key=lambda fit: float(fit.fun)).x)
    return np.array([best[0], best[1] / np.sqrt(1 - phi**2)])


def line(losses: Array) -> str:
    """Format the optimum, the 95 % likelihood interval, and mean and sd under a flat prior."""
    inside = PHI[losses - losses.min() <= chi2.ppf(0.95, 1) / 2]
    weight = np.exp(losses.min() - losses) * np.gradient(PHI)
    weight /= weight.sum()
    mean = weight @ PHI
    sd = np.sqrt(weight @ (PHI - mean) ** 2)
    best = PHI[losses.argmin()]
    return f"{best:.2f} | {inside[0]:.2f}-{inside[-1]:.2f} | {mean:.2f} ± {sd:.2f}"


def main() -> None:
    """Print both tables, the first with rows for pooled series."""
    found = series()
    cases: dict[str, tuple[Array, int | None]] = {}
    for name, y in found.items():
        cases[name] = (y, None)
        if name == POOLED[0]:
            cases[f"{NAMES[name]}, with a level shock in 2020"] = (y, PANDEMIC - 2000)
    counts = {name: np.isfinite(y).sum() for name, (y, _) in cases.items()}
    losses = {
        name: [profile(y, mean, jump) for mean in (False, True)]
        for name, (y, jump) in cases.items()
    }
    for pool, names in POOLS.items():
        counts[pool] = sum(counts[name] for name in names)
        losses[pool] = [np.sum([losses[name][k] for name in names], axis=0) for k in range(2)]
    print(
        "| series | n | φ, growth damped to zero | 95 % | posterior "
        "| φ, deviation from a mean growth rate | 95 % | posterior |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, pair in losses.items():
        print(f"| {NAMES.get(name, name)} | {counts[name]} | {' | '.join(map(line, pair))} |")
    print("\n| series | level, yearly step | growth, at any time |\n|---|---|---|")
    for name, y in found.items():
        print(row_of_sds(name, y))


def row_of_sds(name: str, y: Array) -> str:
    """Format a row of the second table."""
    level, growth = sds(y, TAKEN)
    return f"| {NAMES[name]} | {level:.3f} | {growth:.3f} |"


if __name__ == "__main__":
    main()
