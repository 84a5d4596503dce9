"""Walkers against densities whose moments are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from beltcast.inference.sampling.diagnostics import rhat
from beltcast.inference.sampling.metropolis import Density, Stretch, adapted, placed, walk


def of_positions(log_density: Callable[[np.ndarray], np.ndarray]) -> Density:
    return lambda z, rng: (z, log_density(z))


def sampled(density: Density, n: int, *, seed: int, records: int = 400, walkers: int = 32):
    """Draws (walkers, records, n) after a burn-in from a start three times too wide."""
    rng = np.random.default_rng(seed)
    now = placed(density, 3.0 * rng.standard_normal((walkers, n)), np.zeros(n), np.eye(n), rng)
    for block in range(20):
        stretch = walk(density, now, records=10, every=10, rng=rng)
        now = adapted(stretch, settle=4 <= block < 15)
    stretch = walk(density, now, records=records, every=12, rng=rng)
    return np.moveaxis(stretch.theta, 0, 1)


def has_moments(draws: np.ndarray, mean: list[float], sd: list[float]) -> None:
    """Within 4.5 standard errors of a mean and of an sd.

    The errors are told by the walkers, which are independent of each other: an effective size
    would be told by the bulk of each, and standard deviations depend on the tails.
    """
    assert rhat(draws).max() < 1.02
    of_mean, of_square = draws.mean(axis=1), ((draws - mean) ** 2).mean(axis=1)
    root = np.sqrt(len(draws))
    error = of_mean.std(axis=0, ddof=1) / root
    assert np.abs((of_mean.mean(axis=0) - mean) / error).max() < 4.5
    error = of_square.std(axis=0, ddof=1) / root
    assert np.abs((of_square.mean(axis=0) - np.square(sd)) / error).max() < 4.5


def test_a_correlated_normal_is_met() -> None:
    # Correlations up to 0.95, standard deviations from 0.1 to 10.
    rng = np.random.default_rng(0)
    sd = np.array([0.1, 1.0, 1.0, 3.0, 10.0])
    base = 0.95 ** np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    precision = np.linalg.inv(base * np.outer(sd, sd))
    mean = rng.normal(size=5)

    def log_density(z: np.ndarray) -> np.ndarray:
        return -0.5 * np.einsum("ni,ij,nj->n", z - mean, precision, z - mean)

    draws = sampled(of_positions(log_density), 5, seed=1)
    has_moments(draws, mean.tolist(), sd.tolist())
    assert np.abs(np.corrcoef(draws.reshape(-1, 5).T) - base).max() < 0.03


def test_a_banana_is_met() -> None:
    # y = x^2 - 1 + e, x and e standard normal: mean (0, 0), variance (1, 1 + 2).
    def log_density(z: np.ndarray) -> np.ndarray:
        x, y = z.T
        return -0.5 * x**2 - 0.5 * (y - (x**2 - 1)) ** 2

    draws = sampled(of_positions(log_density), 2, seed=2, records=4000)
    has_moments(draws, [0.0, 0.0], [1.0, np.sqrt(3.0)])
    # The bend itself: E[x^2 y] = E[x^4 - x^2] = 2, and zero for any normal of these moments.
    bend = (draws[:, :, 0] ** 2 * draws[:, :, 1]).mean(axis=1)
    error = bend.std(ddof=1) / np.sqrt(len(bend))
    assert bend.mean() == pytest.approx(2.0, abs=4.5 * error)
    assert error < 0.2


def test_a_mild_funnel_is_met() -> None:
    # Neal (2003), Annals of Statistics 31, 705-767, with v ~ N(0, 1) in place of N(0, 9):
    # x_i | v ~ N(0, e^v), so Var x_i = E e^v = e^(1/2).
    def log_density(z: np.ndarray) -> np.ndarray:
        v, x = z[:, 0], z[:, 1:]
        return -0.5 * v**2 - 0.5 * (x**2).sum(axis=1) * np.exp(-v) - 0.5 * x.shape[1] * v

    draws = sampled(of_positions(log_density), 4, seed=3, records=1500)
    has_moments(draws, [0.0] * 4, [1.0, *[np.exp(0.25)] * 3])


def test_jumps_keep_the_weights_of_two_modes() -> None:
    # Modes at -5 and +5 with weights 0.3 and 0.7; starts lie in both, in other parts.
    def log_density(z: np.ndarray) -> np.ndarray:
        x = z[:, 0]
        return np.logaddexp(np.log(0.3) - 0.5 * (x + 5) ** 2, np.log(0.7) - 0.5 * (x - 5) ** 2)

    draws = sampled(of_positions(log_density), 1, seed=4, records=1000)
    assert (draws > 0).mean() == pytest.approx(0.7, abs=0.03)


def test_two_that_share_a_sum_change_places_when_they_are_moved_together() -> None:
    # Logs of two sizes, and only that one of them is large: modes at (2, -1) and (-1, 2), equal
    # weights, standard deviations 0.1; eighteen more unknowns, standard deviation 1, tell nothing
    # of them.
    n, at = 20, np.full(20, 0.0)

    def log_density(z: np.ndarray) -> np.ndarray:
        modes = [((z[:, :2] - m) ** 2).sum(axis=1) / 0.1**2 for m in ([2, -1], [-1, 2])]
        return np.logaddexp(*(-0.5 * m for m in modes)) - 0.5 * (z[:, 2:] ** 2).sum(axis=1)

    def share_in_first(together: np.ndarray | None) -> np.ndarray:
        rng = np.random.default_rng(8)
        at[:2] = [2.0, -1.0]
        start = at + 0.1 * rng.standard_normal((16, n))
        start[0, :2] = start[0, 1::-1]  # one walker of sixteen knows the other mode
        now = placed(
            of_positions(log_density), start, np.zeros(n), np.eye(n), rng, together=together
        )
        stretches = []
        for block in range(40):
            stretches.append(walk(of_positions(log_density), now, records=10, every=10, rng=rng))
            now = adapted(stretches[-1], settle=False) if block < 10 else stretches[-1].walkers
        theta = np.concatenate([s.theta for s in stretches[20:]])
        return (theta[:, :, 0] > theta[:, :, 1]).mean(axis=0)

    told = np.full((2, n), 1e-6)
    told[0, :2], told[1, 2:] = 1.0, 1.0
    changing = share_in_first(told)
    assert changing.min() > 0  # no walker stayed in one mode
    assert changing.max() < 1
    assert changing.mean() == pytest.approx(0.5, abs=0.1)


def test_unknowns_of_the_density_itself_are_drawn_with_the_positions() -> None:
    # p(z, u) = N(z; 0, 1) N(u; z, 1), and a g that is wrong: N(u; z, 1.5^2). Var u = 2.
    def density(z: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        xi = rng.standard_normal(z.shape)
        u = z + 1.5 * xi
        log_p = -0.5 * z**2 - 0.5 * (u - z) ** 2
        return np.concatenate([z, u], axis=1), (log_p + 0.5 * xi**2)[:, 0]

    draws = sampled(density, 1, seed=5, records=1000)
    has_moments(draws, [0.0, 0.0], [1.0, np.sqrt(2.0)])


def test_what_has_no_density_is_never_entered() -> None:
    def log_density(z: np.ndarray) -> np.ndarray:
        return np.where((z > 0).all(axis=1), -z.sum(axis=1), -np.inf)

    draws = sampled(of_positions(log_density), 2, seed=6)
    assert draws.min() > 0  # although most starts were not
    has_moments(draws, [1.0, 1.0], [1.0, 1.0])


def test_sizes_follow_acceptance_in_the_burn_in_only() -> None:
    density = of_positions(lambda z: -0.5 * (z**2).sum(axis=1))
    rng = np.random.default_rng(7)
    start = placed(density, rng.standard_normal((4, 3)), np.zeros(3), np.eye(3), rng)
    stretch = walk(density, start, records=2, every=8, rng=rng)
    np.testing.assert_array_equal(stretch.walkers.sizes, start.sizes)
    np.testing.assert_array_equal(stretch.walkers.past, start.past)
    refused = Stretch(**{**vars(stretch), "accepted": np.zeros(2)})
    assert (adapted(refused, settle=False).sizes < start.sizes).all()
    assert len(adapted(stretch, settle=False).past) == len(start.past) + 8


def test_a_factor_asked_last_gives_the_product_of_both() -> None:
    """N(0, 1) times a normal factor about 1 with sd 1 is N(1/2, 1/2)."""
    asked = []

    def last(z: np.ndarray) -> np.ndarray:
        asked.append(len(z))
        return -0.5 * (z[:, 0] - 1.0) ** 2

    normal = of_positions(lambda z: -0.5 * (z**2).sum(axis=1))
    rng = np.random.default_rng(5)
    start = placed(normal, rng.normal(size=(64, 1)), np.zeros(1), np.eye(1), rng)
    stretch = walk(normal, start, records=400, every=10, rng=rng, last=last)
    found = stretch.theta[50:].reshape(-1)
    assert found.mean() == pytest.approx(0.5, abs=0.03)
    assert found.var() == pytest.approx(0.5, rel=0.05)
    # What the rest refuses is not asked of the factor.
    assert sum(asked[1:]) < 0.9 * 64 * 4000
