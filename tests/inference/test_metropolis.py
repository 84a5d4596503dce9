"""Walkers against densities whose moments are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from beltcast.inference.sampling.diagnostics import rhat
from beltcast.inference.sampling.metropolis import (
    ARCHIVE,
    FEW,
    WANTED,
    Density,
    Stretch,
    Walkers,
    _from_difference,
    _from_few,
    _from_normal,
    adapted,
    placed,
    walk,
)


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

    draws = sampled(of_positions(log_density), 2, seed=2, records=2000)
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


def still(n: int = 2, **given: np.ndarray) -> Walkers:
    """Walkers in a normal density, with entries of one's own."""
    rng = np.random.default_rng(8)
    density = of_positions(lambda z: -0.5 * (z**2).sum(axis=1))
    made = placed(density, rng.standard_normal((4, n)), np.zeros(n), np.eye(n), rng)
    return dataclasses.replace(made, **given)


def after(walkers: Walkers, accepted: list[float], *, every: int = 1, records: int = 1) -> Stretch:
    """A stretch in which the walkers stood still."""
    theta = np.repeat(walkers.theta[None], records, axis=0)
    return Stretch(walkers, theta, theta[..., 0], np.array(accepted), 0.0, every)


@pytest.mark.parametrize(
    ("n", "sizes"), [(1, (0.8, 0.9)), (5, (0.8, 2.38 / 10**0.5)), (100, (0.238, 0.238 / 2**0.5))]
)
def test_first_sizes_are_those_of_a_random_walk_and_the_reference_is_a_tenth_wider(
    n: int, sizes: tuple[float, float]
) -> None:
    start = still(n)
    np.testing.assert_allclose(start.sizes, sizes)
    np.testing.assert_allclose(start.root, 1.1 * np.eye(n))
    np.testing.assert_array_equal(start.together, np.ones((1, n)))


@pytest.mark.parametrize(
    ("sizes", "accepted", "expected"),
    [
        ((0.5, 0.5), tuple(WANTED), (0.5, 0.5)),
        ((0.5, 0.5), (0.25, 0.334), (0.5 * np.exp(0.4), 0.5 * np.exp(0.4))),
        ((0.5, 0.5), (0.05, 0.134), (0.5 * np.exp(-0.4), 0.5 * np.exp(-0.4))),
        ((0.5, 0.5), (np.nan, np.nan), (0.5, 0.5)),
        ((0.9, 1.9), (1.0, 1.0), (0.95, 2.0)),
        ((0.001, 0.001), (0.0, 0.0), (0.001, 0.001)),
    ],
)
def test_sizes_change_by_what_acceptance_misses_and_stay_within_limits(
    sizes: tuple[float, float], accepted: tuple[float, float], expected: tuple[float, float]
) -> None:
    stretch = after(still(sizes=np.array(sizes)), [*accepted, np.nan, np.nan])
    np.testing.assert_allclose(adapted(stretch, settle=False).sizes, expected)


@pytest.mark.parametrize(
    ("kept", "step"), [(ARCHIVE - 4, 1), (ARCHIVE - 3, 2), (2 * ARCHIVE - 4, 2), (2 * ARCHIVE, 3)]
)
def test_the_archive_is_thinned_evenly_once_it_is_longer_than_allowed(kept: int, step: int) -> None:
    """Four new positions are added; every second is kept from one too many on."""
    walkers = still(past=np.column_stack([np.arange(kept)] * 2).astype(float))
    past = adapted(after(walkers, [np.nan] * 4), settle=False).past
    np.testing.assert_array_equal(past[:900, 0], step * np.arange(900))
    assert len(past) == -(-(kept + 4) // step)


@pytest.mark.parametrize(("every", "trust"), [(1, 1 / 4), (3, 1 / 2), (9, 1 / 2)])
def test_the_reference_is_moved_towards_the_newer_half_as_far_as_it_can_be_trusted(
    every: int, trust: float
) -> None:
    """Ten positions, each worth min(1, every / 3) where n = 1, against 10 for the old one."""
    older, newer = np.full((9, 1), 1e6), np.array([[5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]]).T
    walkers = still(
        1, past=np.concatenate([older, newer]), theta=np.array([[12.0], [13.0], [14.0]])
    )
    walkers = dataclasses.replace(walkers, center=np.array([2.0]), root=np.array([[3.0]]))
    moved = adapted(after(walkers, [np.nan] * 4, every=every), settle=True)
    # 16 of the past and 3 new ones; the newer half begins at the tenth.
    np.testing.assert_array_equal(moved.past[:, 0], np.arange(5.0, 15.0))
    assert moved.center.item() == pytest.approx(trust * 9.5 + (1 - trust) * 2.0)
    variance = trust * 1.1**2 * np.arange(10.0).var(ddof=1) + (1 - trust) * 9.0
    assert moved.root.item() == pytest.approx(np.sqrt(variance))


def test_a_crank_nicolson_move_keeps_the_reference_and_knows_its_density() -> None:
    root = np.array([[2.0, 0.0], [0.5, 0.3]])
    walkers = still(center=np.array([3.0, -1.0]), root=root, sizes=np.array([0.6, 0.5]))
    rng = np.random.default_rng(9)
    z = walkers.center + rng.standard_normal((20_000, 2)) @ root.T
    proposal, ratio, usual = _from_normal(walkers, z, rng)
    law = multivariate_normal(walkers.center, root @ root.T)
    np.testing.assert_allclose(ratio, law.logpdf(z) - law.logpdf(proposal), atol=1e-9)
    both = np.cov(np.hstack([z, proposal]).T)
    covariance = root @ root.T  # standard errors of 20,000: 1% of the product of the sds
    allowed = 0.04 * np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert (np.abs(both[2:, 2:] - covariance) < allowed).all()
    assert (np.abs(both[:2, 2:] - 0.8 * covariance) < allowed).all()  # sqrt(1 - 0.6^2)
    assert np.abs(proposal.mean(axis=0) - walkers.center).max() < 0.06
    assert usual


def test_one_difference_in_ten_is_applied_whole_and_is_no_usual_move() -> None:
    past = np.array([[0.0, 0.0], [8.0, 800.0]])
    walkers = still(past=past, sizes=np.array([0.5, 0.25]), root=np.eye(2))
    rng, whole = np.random.default_rng(10), 0
    for _ in range(200):
        moved, ratio, usual = _from_difference(walkers, np.zeros((4, 2)), rng)
        np.testing.assert_array_equal(ratio, 0.0)
        # A step is 800 or 0.25 of it, or nothing, and noise of 0.1 * 0.25.
        far = np.abs(moved[np.abs(moved[:, 1]) > 50.0, 1])
        np.testing.assert_allclose(far, 200.0 if usual else 800.0, atol=0.15)
        whole += not usual
    assert 7 < whole < 36  # binomial: 20 with sd 4.2


def test_half_the_moves_in_few_unknowns_are_whole_and_one_to_three_unknowns_move() -> None:
    past = np.array([np.zeros(5), np.ones(5)])
    together = np.array([[1.0, 1.0, 1.0, 1.0, 0.0]])
    walkers = still(5, past=past, together=together)
    z = np.zeros((6000, 5))
    moved, ratio, usual = _from_few(walkers, z, np.random.default_rng(11))
    np.testing.assert_array_equal(ratio, 0.0)
    assert usual
    count = (moved != 0).sum(axis=1)
    assert not moved[:, 4].any()  # of another group
    # The two positions differ half the time; then 1, 2 or 3 unknowns move alike.
    assert [(count == k).mean() for k in range(FEW + 1)] == pytest.approx(
        [1 / 2, *[1 / 6] * 3], abs=0.03
    )
    size = np.abs(moved).max(axis=1)[count > 0]
    assert size.max() <= 1.0
    assert (size == 1.0).mean() == pytest.approx(0.5, abs=0.04)
    assert size[size < 1.0].mean() == pytest.approx(0.5, abs=0.04)
