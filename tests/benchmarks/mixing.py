"""What drawn observations and moves of a few unknowns contribute to sampling the belt study.

::

    python tests/benchmarks/mixing.py
    python tests/benchmarks/mixing.py runs/belt-posterior

The first form moves 32 walkers 4,000 times on the belt study, with nuisances drawn in the old way
and in the new, with and without moves in a few unknowns; the second compares quick draws with long
ones.
"""

from __future__ import annotations

import sys

import numpy as np

import beltcast
from beltcast.inference.audit.sbc import Asked
from beltcast.inference.calibrate import one_blas_thread
from beltcast.inference.sampling import metropolis as walkers
from beltcast.inference.sampling.censored_nuisances import completion, with_nuisances
from beltcast.inference.sampling.chain_files import load_posterior
from beltcast.inference.sampling.diagnostics import ess_bulk, ess_tail
from beltcast.inference.sampling.walker_density import _together

WITHOUT_FEW = (0, 0, 0, 1)  # every fourth move a difference, as it was


def main() -> None:
    """Print one line a way, or the comparison."""
    study = beltcast.read_study()
    likelihood = beltcast.make_likelihood(
        study.model, study.priors, study.observations, study.noise
    )
    fit = beltcast.calibrate(likelihood, rng=np.random.default_rng(1), starts=32, refine=2)
    if len(sys.argv) > 1:
        compare(study, fit, sys.argv[1])
        return
    rule = likelihood.nuisance_rule(fit.theta)

    def tangents(z, answers, rng):
        return with_nuisances(likelihood, rule, z, answers, rng)

    observed = completion(likelihood, near=fit.theta)
    now = walkers.CYCLE
    for name, complete, cycle in (
        ("tangents, no few", tangents, WITHOUT_FEW),
        ("tangents, few", tangents, now),
        ("observations, no few", observed, WITHOUT_FEW),
        ("observations, few", observed, now),
    ):
        walkers.CYCLE = cycle
        with one_blas_thread():
            print(f"{name}: {mixing(fit, complete)}", flush=True)


def mixing(fit, complete) -> str:
    """Agreement of draws at one point, correlation after 100 moves, draws that 4,000 are worth."""
    likelihood, n = fit.likelihood, fit.likelihood.n_parameters
    rng = np.random.default_rng(1)
    at_best = spread_of_weights(likelihood, complete, fit.theta[None, :n], rng)[:, 0]
    half = len(at_best) // 2
    accepted = np.exp(np.minimum(at_best[:half] - at_best[half:], 0.0)).mean()

    def density(z, rng):
        return complete(z, likelihood.answers(z), rng)

    root = np.linalg.cholesky(fit.covariance[:n, :n])
    lower, upper = (bound[:n] for bound in likelihood.bounds())
    start = np.clip(fit.theta[:n] + 1.5 * rng.standard_normal((32, n)) @ root.T, lower, upper)
    together = _together(fit)
    group = walkers.placed(density, start, fit.theta[:n], root, rng, together=together)
    for block in range(20):
        stretch = walkers.walk(density, group, records=10, every=10, rng=rng)
        group = walkers.adapted(stretch, settle=4 <= block < 15)
    stretch = walkers.walk(density, group, records=160, every=25, rng=rng)
    draws = np.moveaxis(stretch.theta[:, :, :n], 0, 1)
    about = draws - draws.mean(axis=(0, 1))
    after = (about[:, 4:] * about[:, :-4]).mean(axis=(0, 1)) / about.var(axis=(0, 1))
    bulk, tail = ess_bulk(draws), ess_tail(draws)
    varies = spread_of_weights(likelihood, complete, draws[:, -1], rng).std(axis=0)
    return (
        f"accepted at the optimum {accepted:.2f}, log weight at one point varies by "
        f"{np.median(varies):.2f} ({varies.min():.2f} to {varies.max():.2f}), correlation after "
        f"100 moves {np.median(after):.2f}, effective draws: median {np.median(bulk):.0f}, least "
        f"{bulk.min():.0f} in the bulk and {tail.min():.0f} in the tails"
    )


def spread_of_weights(likelihood, complete, z, rng) -> np.ndarray:
    """400 log weights at each position, (400, N)."""
    answers = likelihood.answers(z)
    return np.array([complete(z, answers, rng)[1] for _ in range(400)])


def compare(study, fit, path: str) -> None:
    """Output of 2030 and parameters, by quick draws and by long ones."""
    likelihood, n = fit.likelihood, fit.likelihood.n_parameters
    long = load_posterior(path, study, likelihood).theta
    quick = beltcast.approximate_posterior(fit, 2000, rng=np.random.default_rng(7)).theta
    asked = Asked({"China": study.model.rows("output")}, 2030)
    for name, theta in (("long", long[::2]), ("quick", quick)):
        print(name, np.exp(np.quantile(asked.of(likelihood, theta), [0.1, 0.5, 0.9])).round())
    shift = (quick[:, :n].mean(axis=0) - long[:, :n].mean(axis=0)) / long[:, :n].std(axis=0)
    for k in np.argsort(-np.abs(shift))[:3]:
        print(f"{likelihood.labels[k]} {shift[k]:+.2f} posterior sd")


if __name__ == "__main__":
    main()
