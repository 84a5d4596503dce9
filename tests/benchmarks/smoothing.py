"""Pareto smoothing beside arviz-stats: differences, and processor time with and without its import.

Run ``python tests/benchmarks/smoothing.py``; CONTRIBUTING.md quotes it.
"""

from __future__ import annotations

import time

import numpy as np

from beltcast.inference.sampling.psis import smoothed

SETS, DRAWS = 200, 1000


def main() -> None:
    """Print a line for each measure."""
    logs = np.random.default_rng(1).standard_t(4, size=(SETS, DRAWS))
    begun = time.process_time()
    own = [smoothed(row) for row in logs]
    ours = time.process_time() - begun
    begun = time.process_time()
    from arviz_stats.base.array import array_stats

    imported = time.process_time() - begun
    begun = time.process_time()
    theirs = [array_stats.psislw(-row) for row in logs]
    other = time.process_time() - begun
    weights = max(
        np.abs(a.values - np.exp(lw)).max() for a, (lw, _) in zip(own, theirs, strict=True)
    )
    shapes = max(abs(a.k - float(k)) for a, (_, k) in zip(own, theirs, strict=True))
    print(f"{SETS} sets of {DRAWS} weights: at most {weights:.1g} apart, shapes {shapes:.1g}")
    print(
        f"processor time: ours {ours:.2f} s; arviz-stats {other:.2f} s, its import {imported:.2f} s"
    )
    for name, weights_of in (("equal", np.zeros(DRAWS)), ("one of them zero", _with_a_zero())):
        try:
            found = f"k {float(array_stats.psislw(-weights_of)[1]):g}"
        except ValueError as problem:
            found = f"ValueError: {problem}"
        print(f"{name}: ours k {smoothed(weights_of).k:g}; arviz-stats {found}")


def _with_a_zero() -> np.ndarray:
    logs = np.random.default_rng(2).standard_normal(DRAWS)
    logs[0] = -np.inf
    return logs


if __name__ == "__main__":
    main()
