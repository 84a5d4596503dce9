"""R-hat and effective sample sizes, held against ArviZ and against chains of known memory."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from arviz_stats.base.array import array_stats
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from beltcast.inference.sampling.diagnostics import (
    diagnose,
    energy_information,
    ess_bulk,
    ess_tail,
    mixing_verdict,
    nested_rhat,
    rhat,
    stuck,
)
from beltcast.inference.sampling.loo import _of_row


def autoregressive(rho: float, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Stationary chains x' = rho x + e of standard deviation 1."""
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        draws[:, t] = rho * draws[:, t - 1] + np.sqrt(1 - rho**2) * draws[:, t]
    return draws


@given(
    rho=st.sampled_from([-0.5, 0.0, 0.5, 0.9, 0.99]),
    chains=st.integers(2, 6),
    draws=st.integers(20, 301),
    apart=st.sampled_from([0.0, 0.3, 3.0]),
    seed=st.integers(0, 99),
)
def test_they_are_arvizs(rho: float, chains: int, draws: int, apart: float, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its next version when imported
        az = pytest.importorskip("arviz", reason="the extra 'bayes' is not installed")
    x = autoregressive(rho, (chains, draws, 1), seed)
    x[0] += apart
    one = x[:, :, 0]
    assert rhat(x)[0] == pytest.approx(float(az.rhat(one)), rel=1e-9)
    assert ess_bulk(x)[0] == pytest.approx(float(az.ess(one, method="bulk")), rel=1e-6)
    assert ess_tail(x)[0] == pytest.approx(float(az.ess(one, method="tail")), rel=0.02)


def test_nested_r_hat_is_that_of_its_definition() -> None:
    # Margossian and others (2024), equations of section 2: K groups of M chains of N draws, on
    # normal scores of split chains.
    x = autoregressive(0.7, (6, 40, 1), seed=8)
    x[:3] += 0.4
    groups = np.repeat([0, 1], 3)
    halves = np.concatenate([x[:, :20, 0], x[:, 20:, 0]])
    of_half = np.tile(groups, 2)

    def one(values: np.ndarray) -> float:
        ranks = stats.rankdata(values).reshape(values.shape)
        z = stats.norm.ppf((ranks - 0.375) / (values.size + 0.25))
        means = np.array([z[of_half == k].mean() for k in (0, 1)])
        between = np.array([z[of_half == k].mean(axis=1).var(ddof=1) for k in (0, 1)])
        within = np.array([z[of_half == k].var(axis=1, ddof=1).mean() for k in (0, 1)])
        return float(np.sqrt(1.0 + means.var(ddof=1) / (between + within).mean()))

    expected = max(one(halves), one(np.abs(halves - np.median(halves))))
    assert nested_rhat(x, groups)[0] == pytest.approx(expected, rel=1e-12)
    assert expected > 1.01


def test_memory_costs_draws_as_theory_says() -> None:
    # The mean of an AR(1) chain is worth (1 - rho) / (1 + rho) of its draws.
    x = autoregressive(0.8, (8, 4000, 1), seed=1)
    assert ess_bulk(x)[0] == pytest.approx(32000 * 0.2 / 1.8, rel=0.1)


def test_a_lost_chain_and_a_wide_chain_are_both_seen() -> None:
    same = autoregressive(0.0, (4, 500, 3), seed=2)
    same[0, :, 1] += 1.0
    same[0, :, 2] *= 3.0  # the same middle, other tails: only the folded values know
    good, lost, wide = rhat(same)
    assert good < 1.01
    assert lost > 1.05
    assert wide > 1.05


def test_chains_that_do_not_move_are_named() -> None:
    x = autoregressive(0.0, (4, 200, 2), seed=3)
    x[2] = x[2, 0]
    assert stuck(x) == (2,)
    table = diagnose(x, ["a", "b"])
    words = mixing_verdict(table, stuck(x))
    assert "Chains that do not move: 2;" in words
    assert "Not mixed (R-hat above 1.01): " in words


def test_chains_that_all_stand_still_are_not_called_mixed() -> None:
    apart = np.repeat(np.arange(4.0)[:, None, None], 50, axis=1)
    assert rhat(apart)[0] == np.inf
    together = np.zeros((4, 50, 1))
    assert "Not mixed" in mixing_verdict(diagnose(together, ["a"]), stuck(together))


def test_the_verdict_of_good_chains_is_short() -> None:
    words = mixing_verdict(diagnose(autoregressive(0.0, (4, 1000, 2), seed=4), ["a", "b"]))
    assert words.endswith("The chains have mixed.")


def test_energy_that_creeps_is_seen() -> None:
    # Independent energies have differences of twice their variance.
    free = np.random.default_rng(5).standard_normal((1, 20000))
    assert energy_information(free)[0] == pytest.approx(2.0, rel=0.05)
    creeping = autoregressive(0.95, (1, 20000, 1), seed=6)[:, :, 0]
    assert energy_information(creeping)[0] == pytest.approx(2 * 0.05, rel=0.2)


def test_ties_in_a_tail_leave_the_effective_draws_of_independent_ones() -> None:
    """Independent draws of ten values, so that quantiles are ties: 4 x 500 draws are worth 2000."""
    x = np.random.default_rng(3).integers(0, 10, size=(4, 500, 1)).astype(float)
    assert ess_tail(x)[0] == pytest.approx(2000, rel=0.2)
    # One value in twenty, in one run: the indicator of the tail is constant in three chains.
    x = np.zeros((4, 500, 1))
    x[0, :100] = 1.0
    assert not ess_tail(x)[0] > 100


def test_a_row_whose_largest_weights_are_one_draw_is_left_out_by_plain_weights() -> None:
    """A chain that stands still repeats a draw; then 1 / mean(1 / p) is all that can be said."""
    density = np.repeat([0.5, 0.2], 40)
    told, k, _ = _of_row(array_stats, np.log(density).reshape(2, 40))
    assert told == pytest.approx(-np.log(np.mean(1.0 / density)))
    assert k == np.inf
    told, k, _ = _of_row(array_stats, np.zeros((2, 40)))
    assert told == pytest.approx(0.0, abs=1e-12)
    assert k == -np.inf


def test_a_bound_that_holds_in_every_draw_adds_nothing_and_is_no_doubt() -> None:
    """Its log likelihood is 0 but for parts far below rounding, whose tail nothing can smooth."""
    tiny = -(10.0 ** np.random.default_rng(0).uniform(-212, -60, size=(8, 125)))
    tiny[3, 7] = -0.001  # as in a study of 198 rows, where leave-one-out came out as NaN
    told, k, effective = _of_row(array_stats, tiny)
    assert told == pytest.approx(0.0, abs=0.001)
    assert k == -np.inf
    assert effective == pytest.approx(0.0, abs=0.001)


def test_weights_that_cannot_be_smoothed_leave_a_number_and_the_doubt() -> None:
    """One draw says exp(-3), all others all but 1: 1 / mean(1 / p), and k says not to trust it."""
    tiny = -(10.0 ** np.random.default_rng(0).uniform(-212, -60, size=(8, 125)))
    tiny[3, 7] = -3.0
    told, k, _ = _of_row(array_stats, tiny)
    assert told == pytest.approx(-np.log((999 + np.exp(3.0)) / 1000))
    assert k == np.inf
