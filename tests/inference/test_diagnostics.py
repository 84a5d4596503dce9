"""R-hat and effective sample sizes, held against ArviZ and against chains of known memory."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from arviz_stats.base.array import array_stats
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from beltcast.inference.sampling.diagnostics import (
    diagnose,
    effective_draws,
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


@pytest.mark.parametrize(("walkers", "more"), [(4, 0), (5, 3), (6, 2)])
def test_draws_of_walkers_are_worth_the_least_of_their_middle_and_tails(
    walkers: int, more: int
) -> None:
    """Of each time all walkers lie together; what is over at the start is left out."""
    chains = np.concatenate(
        [
            autoregressive(0.9, (walkers, 60, 1), 1),
            autoregressive(-0.6, (walkers, 60, 1), 2),  # worth more than independent draws
            np.full((walkers, 60, 1), 7.0),
        ],
        axis=2,
    )
    chains[0, :, 0] *= 4.0  # tails that one walker has alone
    values = chains.transpose(1, 0, 2).reshape(-1, 3)
    values = np.concatenate([np.full((more, 3), 7.0), values])
    found = effective_draws(values, walkers)
    options = {"chain_axis": 0, "draw_axis": 1}
    bulk = array_stats.ess(chains[:, :, :2], method="bulk", **options)
    tail = array_stats.ess(chains[:, :, :2], method="tail", prob=(0.1, 0.9), **options)
    expected = np.minimum(np.minimum(bulk, tail), len(values))
    np.testing.assert_allclose(found, [*expected, len(values)], rtol=1e-12)
    assert bulk[1] > len(values)
    assert found[0] < 0.5 * len(values)


def test_three_draws_of_a_walker_tell_nothing_and_independent_ones_are_themselves() -> None:
    values = autoregressive(0.0, (1, 16, 2), 3)[0]
    assert np.isnan(effective_draws(values, 5)).all()  # 16 // 5 times
    assert np.isfinite(effective_draws(values, 4)).all()
    np.testing.assert_array_equal(effective_draws(values, 0), [16.0, 16.0])


@pytest.mark.parametrize(
    ("changes", "is_stuck"), [(0, True), (4, True), (5, False), (6, False), (99, False)]
)
def test_a_chain_is_stuck_if_fewer_than_one_draw_in_twenty_differs(
    changes: int, is_stuck: bool
) -> None:
    """In any of its unknowns: of 101 draws, 5 changes are one in twenty of 100 steps."""
    x = np.zeros((3, 101, 2))
    x[1, :, 1] = np.minimum(np.arange(101), changes)
    x[2] = np.arange(202.0).reshape(101, 2)
    assert stuck(x) == ((0, 1) if is_stuck else (0,))


@pytest.mark.parametrize(
    ("rhat_", "bulk", "tail", "said"),
    [
        (1.01, 400.0, 400.0, "The chains have mixed."),
        (1.0101, 400.0, 400.0, "Not mixed (R-hat above 1.01): b."),
        (1.01, 399.9, 400.0, "Fewer than 400 effective draws: b."),
        (1.01, 400.0, 399.9, "Fewer than 400 effective draws: b."),
        (np.nan, 500.0, 500.0, "Not mixed (R-hat above 1.01): b."),
        (1.0, np.nan, 500.0, "Fewer than 400 effective draws: b."),
    ],
)
def test_the_verdict_names_what_is_beyond_a_threshold_and_nothing_on_it(
    rhat_: float, bulk: float, tail: float, said: str
) -> None:
    table = pd.DataFrame(
        {"rhat": [1.0, rhat_], "ess_bulk": [900.0, bulk], "ess_tail": [800.0, tail]},
        index=["a", "b"],
    )
    lines = mixing_verdict(table).splitlines()
    assert lines[1:] == [said]
    assert f"at most {np.inf if np.isnan(rhat_) else rhat_:.3f} (" in lines[0]


def test_the_first_line_names_the_worst_of_each_and_eight_names_are_enough() -> None:
    table = pd.DataFrame(
        {
            "rhat": [1.02 + 0.01 * k for k in range(10)],
            "ess_bulk": [500.0, 401.0, *[1234.0] * 8],
            "ess_tail": [450.0, 500.0, 420.6, *[2345.0] * 7],
        },
        index=list("abcdefghij"),
    )
    first, second = mixing_verdict(table, name="nested R-hat").splitlines()
    assert first == (
        "nested R-hat at most 1.110 (j); effective draws at least 401 in the bulk (b) and 421 in "
        "the tails (c)."
    )
    assert second == "Not mixed (nested R-hat above 1.01): j, i, h, g, f, e, d, c and 2 more."
    eight = mixing_verdict(table.iloc[2:]).splitlines()[1]
    assert eight == "Not mixed (R-hat above 1.01): j, i, h, g, f, e, d, c."


def test_energy_information_is_of_each_chain() -> None:
    energy = np.array([[1.0, 3.0, 2.0, 6.0], [0.0, 1.0, 0.0, 1.0]])
    expected = [(4 + 1 + 16) / 3 / np.var(energy[0]), 1.0 / 0.25]
    np.testing.assert_allclose(energy_information(energy), expected, rtol=1e-12)
