"""PRIM and CART: planted boxes, the binomial, and the EMA workbench as a second opinion."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ks_2samp

from beltcast.drivers.discovery.prim import cart, chosen_box, prim, stability, telling
from beltcast.errors import InputError


def cases(n: int, d: int, seed: int = 1) -> xr.DataArray:
    x = np.random.default_rng(seed).random((n, d))
    names = [f"p{i}" for i in range(d)]
    return xr.DataArray(x, dims=("case", "parameter"), coords={"parameter": names})


def grid(levels: int) -> xr.DataArray:
    """Every pair of levels once: no chance, so that limits are exact."""
    axis = np.arange(levels, dtype=float)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    return xr.DataArray(x, dims=("case", "parameter"), coords={"parameter": ["a", "b"]})


def limits(box: xr.Dataset) -> dict[str, tuple[float, float]]:
    own = box.isel(box=0)
    return {
        str(n): (float(own["low"].sel(parameter=n)), float(own["high"].sel(parameter=n)))
        for n in own["parameter"].values
    }


def test_a_planted_box_is_found_exactly() -> None:
    x = grid(40)
    interest = ((x >= [8, -1]) & (x <= [19, 11])).all("parameter").values
    box = chosen_box(x, interest, prim(x, interest), density=1.0)
    # Midway between the last level outside and the first inside.
    assert limits(box) == {"a": (7.5, 19.5), "b": (-np.inf, 11.5)}
    assert box["coverage"].item() == box["density"].item() == 1.0


def peeled(x: np.ndarray, y: np.ndarray, peel: float, least: float) -> list[list[int]]:
    """Rows of each box of a trajectory, by the definition, one candidate after the other."""
    rows, found = list(range(len(y))), [list(range(len(y)))]
    while not all(y[i] for i in rows):
        n, hits = len(rows), sum(bool(y[i]) for i in rows)
        best, best_gain = None, -np.inf
        for column in range(x.shape[1]):
            ordered = sorted(x[i, column] for i in rows)
            last = int(peel * (n - 1))  # of the values that a peel takes, ties with it as well
            low = [i for i in rows if x[i, column] > ordered[last]]
            high = [i for i in rows if x[i, column] < ordered[n - 1 - last]]
            for kept in (low, high):
                if kept:
                    density = sum(bool(y[i]) for i in kept) / len(kept)
                    gain = (density - hits / n) / (n - len(kept))
                    if gain > best_gain:
                        best, best_gain = kept, gain
        if best is None or len(best) < least * len(y):
            return found
        rows = best
        found.append(rows)
    return found


@pytest.mark.parametrize(("peel", "least"), [(0.05, 0.05), (0.1, 0.25), (0.3, 0.02)])
@pytest.mark.parametrize("seed", range(4))
def test_the_trajectory_is_that_of_the_definition(peel: float, least: float, seed: int) -> None:
    """Inputs of few and of many levels, so that one peel takes more rows than another."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.integers(0, 4, 60), rng.integers(0, 12, 60), rng.random(60)]) * 1.0
    y = rng.random(60) < 0.1 + 0.8 * (x[:, 1] > 5) * (x[:, 0] > 1)
    boxes = prim(xr.DataArray(x, dims=("case", "parameter")), y, peel=peel, least=least)
    want = peeled(x, y, peel, least)
    low, high = boxes["low"].values, boxes["high"].values
    got = [
        np.flatnonzero(((x >= a) & (x <= b)).all(axis=1)).tolist()
        for a, b in zip(low, high, strict=True)
    ]
    assert got == want
    assert len(want) > 3


def test_a_box_may_hold_exactly_the_least_share_and_no_less() -> None:
    """One input with ten levels of one row each: peels of a row, down to the share asked for."""
    x = xr.DataArray(np.arange(10.0)[:, None], dims=("case", "parameter"))
    interest = np.arange(10) == 0
    assert prim(x, interest, least=0.5)["mass"].values[-1] == 0.5
    assert prim(x, interest, least=0.51)["mass"].values[-1] == 0.6


def test_a_box_of_only_cases_of_interest_is_not_peeled_any_further() -> None:
    x = xr.DataArray(np.arange(40.0)[:, None], dims=("case", "parameter"))
    boxes = prim(x, np.arange(40) >= 20)
    assert boxes["density"].values[-1] == 1.0
    assert boxes["mass"].values[-1] == 0.5


def test_a_box_of_exactly_the_density_asked_for_is_dense_enough() -> None:
    """Rows 10 to 19 are a box of density 0.8 that covers all; 12 to 19 is denser, no wider."""
    x = xr.DataArray(np.arange(20.0)[:, None], dims=("case", "parameter"))
    interest = np.arange(20) >= 12
    box = chosen_box(x, interest, prim(x, interest), density=0.8)
    assert (box["low"].item(), box["density"].item()) == (9.5, 0.8)


@pytest.mark.parametrize(("upper", "limits_"), [(False, (8.5, np.inf)), (True, (-np.inf, 10.5))])
def test_a_limit_is_moved_out_by_one_value_at_a_time(
    upper: bool, limits_: tuple[float, float]
) -> None:
    """Peels of six and four rows cut one case off; it comes back, and its neighbour does not."""
    rows = np.arange(20.0)
    x = xr.DataArray(rows[:, None], dims=("case", "parameter"))
    interest = rows <= 10 if upper else rows >= 9
    box = chosen_box(x, interest, prim(x, interest, peel=0.3), density=1.0)
    assert (box["low"].item(), box["high"].item()) == limits_


@pytest.mark.parametrize("seed", range(12))
def test_no_limit_of_a_chosen_box_can_be_widened_by_one_value_for_nothing(seed: int) -> None:
    x, y = quarter(60, 0.1, np.random.default_rng(seed))
    x = xr.DataArray(np.round(x.values[:, :2], 1), dims=("case", "parameter"))
    boxes = prim(x, y)
    box = chosen_box(x, y, boxes, density=0.7).isel(box=0)
    low, high, rows = box["low"].values, box["high"].values, x.values
    dense = boxes["density"].values >= 0.7
    chosen = boxes.isel(box=int(np.argmax(np.where(dense, boxes["coverage"].values, -1.0))))
    limited = [np.isfinite(b["low"].values) | np.isfinite(b["high"].values) for b in (box, chosen)]
    if (limited[0] != limited[1]).any():
        return  # an idle limit was dropped
    inside = ((rows >= low) & (rows <= high)).all(axis=1)
    for column, (start, end) in enumerate(zip(low, high, strict=True)):
        others = ((rows >= low) & (rows <= high))[:, 1 - column]
        below, above = (
            rows[others & (rows[:, column] < start)],
            rows[others & (rows[:, column] > end)],
        )
        for beyond, nearest in ((below, np.max), (above, np.min)):
            if len(beyond):
                more = others & (rows[:, column] == nearest(beyond[:, column]))
                assert y[inside | more].mean() < y[inside].mean()


def impurity(y: np.ndarray) -> float:
    return len(y) * float(y.mean()) * (1 - float(y.mean()))


@pytest.mark.parametrize("least", [0.05, 0.25, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_a_split_is_the_best_of_all_that_leave_enough_rows(least: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.integers(0, 5, 40), rng.permutation(40)]) * 1.0
    y = rng.random(40) < np.where(x[:, 1] > 30, 0.8, 0.2)
    found = {}
    for column in range(2):
        for value in np.unique(x[:, column])[:-1]:
            below = x[:, column] <= value
            if min(below.sum(), (~below).sum()) >= least * 40:
                found[column, value] = impurity(y[below]) + impurity(y[~below])
    best = min(found.values())
    leaves = cart(xr.DataArray(x, dims=("case", "parameter")), y, depth=1, least=least)
    if best > impurity(y) - 1e-9:  # no split gains anything
        assert len(leaves["box"]) == 1
        return
    inside = [
        ((x >= leaves["low"].values[i]) & (x <= leaves["high"].values[i])).all(axis=1)
        for i in range(2)
    ]
    assert sum(impurity(y[own]) for own in inside) == pytest.approx(best, abs=1e-9)
    assert min(own.sum() for own in inside) >= least * 40
    assert leaves["density"].values[0] > leaves["density"].values[1]


def test_twenty_cases_of_each_kind_are_enough_to_tell_inputs_apart_and_nineteen_are_not() -> None:
    x = xr.DataArray(np.arange(40.0)[:, None], dims=("case", "parameter"))
    assert telling(x, np.arange(40) < 20) == ["x1"]
    assert telling(x, np.arange(40) < 19) == []
    assert telling(x, np.arange(40) < 21) == []


def test_the_level_is_shared_among_the_inputs() -> None:
    """One input with a p-value of 0.02: enough alone, not beside three that say nothing."""
    y = np.arange(80) % 2 == 0
    ranks = np.arange(80.0)
    for shift in range(80):
        moved = ranks + shift * y
        if ks_2samp(moved[y], moved[~y]).pvalue < 0.02:
            break
    p = ks_2samp(moved[y], moved[~y]).pvalue
    assert 0.05 / 4 < p < 0.05
    alone = xr.DataArray(moved[:, None], dims=("case", "parameter"))
    beside = xr.DataArray(np.column_stack([moved, *[ranks] * 3]), dims=("case", "parameter"))
    assert telling(alone, y) == ["x1"]
    assert telling(beside, y) == []


def test_an_input_that_does_nothing_is_not_restricted() -> None:
    x = cases(2000, 4)
    interest = ((x.values[:, 0] < 0.3) & (x.values[:, 2] > 0.6)).astype(bool)
    box = chosen_box(x, interest, prim(x, interest), density=0.95)
    found = limits(box)
    assert found["p1"] == found["p3"] == (-np.inf, np.inf)
    # 2000 cases: a limit is known to a gap between neighbours of the box, of about 1 in 240.
    assert found["p0"] == (-np.inf, pytest.approx(0.3, abs=0.02))
    assert found["p2"] == (pytest.approx(0.6, abs=0.02), np.inf)


def test_a_p_value_is_that_of_the_binomial_test() -> None:
    x = cases(300, 2)
    interest = (x.values[:, 0] < 0.4) & (np.random.default_rng(2).random(300) < 0.7)
    boxes = prim(x, interest)
    own = boxes.isel(box=3)
    low, high = own["low"].values, own["high"].values
    inside = ((x.values >= low) & (x.values <= high)).all(axis=1)
    checked = 0
    for k in np.flatnonzero(np.isfinite(low) | np.isfinite(high)):
        other = 1 - k
        free = (x.values[:, other] >= low[other]) & (x.values[:, other] <= high[other])
        expected = binomtest(
            int(interest[inside].sum()), int(inside.sum()), interest[free].mean(), "greater"
        ).pvalue
        assert own["p_value"].values[k] == pytest.approx(expected)
        checked += 1
    assert checked


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 0.9))
def test_boxes_of_the_trajectory_nest_and_their_shares_agree(seed: int, share: float) -> None:
    x = cases(200, 3, seed)
    rng = np.random.default_rng(seed)
    interest = rng.random(200) < share * x.values[:, 1] + 0.05
    interest[:2] = True, False
    boxes = prim(x, interest)
    assert (np.diff(boxes["mass"]) < 0).all()
    low, high = boxes["low"].values, boxes["high"].values
    assert (low[1:] >= low[:-1]).all()
    assert (high[1:] <= high[:-1]).all()
    assert (np.diff(boxes["coverage"]) <= 0).all()
    assert boxes["mass"].values[-1] >= 0.05
    # Coverage times all cases is density times the rows of the box.
    np.testing.assert_allclose(
        boxes["coverage"] * interest.mean(), boxes["density"] * boxes["mass"], rtol=1e-12
    )


def test_the_tree_finds_a_planted_box_and_splits_every_row_once() -> None:
    x = grid(40)
    interest = ((x >= [20, -1]) & (x <= [39, 11])).all("parameter").values
    leaves = cart(x, interest)
    assert float(leaves["mass"].sum()) == pytest.approx(1.0)
    assert float(leaves["coverage"].sum()) == pytest.approx(1.0)
    best = leaves.isel(box=[0])
    assert limits(best) == {"a": (19.5, np.inf), "b": (-np.inf, 11.5)}
    assert best["density"].item() == best["coverage"].item() == 1.0


def test_only_inputs_that_tell_the_cases_apart_are_kept() -> None:
    x = cases(2000, 40)
    interest = (x.values[:, 3] < 0.3) & (x.values[:, 7] > 0.6)
    assert set(telling(x, interest)) == {"p3", "p7"}


def test_in_noise_an_input_is_named_at_about_the_level() -> None:
    """Bonferroni: some input passes in at most one of twenty; 200 trials, three sd above."""
    passed = 0
    for seed in range(200):
        x = cases(100, 10, seed)
        kept = telling(x, np.random.default_rng(10_000 + seed).random(100) < 0.3)
        passed += len(kept) > 0
    assert passed <= 10 + 3 * np.sqrt(200 * 0.05 * 0.95)


def quarter(rows: int, flipped: float, rng: np.random.Generator) -> tuple[Any, Any]:
    """Rows of four inputs; of interest is a quarter of the first two, some labels flipped."""
    x = rng.random((rows, 4))
    interest = (x[:, 0] < 0.5) & (x[:, 1] > 0.5)
    interest ^= rng.random(rows) < flipped
    return xr.DataArray(x, dims=("case", "parameter")), interest


def test_a_plateau_of_noisy_labels_does_not_end_the_peeling() -> None:
    """With 100 rows and 5 % of labels flipped a box of density 0.8 is found nearly always."""
    rng = np.random.default_rng(11)
    chosen = [chosen_box(x, y, prim(x, y)) for x, y in (quarter(100, 0.05, rng) for _ in range(30))]
    assert sum(box["density"].item() >= 0.8 for box in chosen) >= 28


def test_no_limit_is_dropped_that_the_density_asked_for_needs() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        x, y = quarter(40, 0.1, rng)
        boxes = prim(x, y)
        if (boxes["density"] >= 0.8).any():
            assert chosen_box(x, y, boxes, density=0.8)["density"].item() >= 0.8


def test_halves_limit_the_inputs_that_matter_and_seldom_the_others() -> None:
    rng = np.random.default_rng(5)
    x, y = quarter(400, 0.05, rng)
    share = stability(x, y, rng=rng, resamples=20).values
    assert (share[:2] >= 0.9).all()
    assert (share[2:] < 0.5).all()


def test_inputs_that_are_not_finite_are_refused() -> None:
    x, y = quarter(50, 0.0, np.random.default_rng(1))
    x.values[6, 2] = np.nan
    with pytest.raises(InputError, match="input 'x3' is nan in case 7"):
        prim(x, y)


def test_two_cases_of_interest_tell_no_input_apart() -> None:
    x, _ = quarter(200, 0.0, np.random.default_rng(1))
    interest = np.zeros(200, dtype=bool)
    interest[:2] = True
    assert telling(x, interest) == []


def test_cases_that_cannot_be_told_apart_are_refused() -> None:
    x = cases(50, 2)
    with pytest.raises(InputError, match="no case of 50 is of interest"):
        prim(x, np.zeros(50, dtype=bool))
    with pytest.raises(InputError, match="every case of 50 is of interest"):
        cart(x, np.ones(50, dtype=bool))
    with pytest.raises(InputError, match="peel is 2"):
        prim(x, x.values[:, 0] < 0.5, peel=2.0)


def workbench() -> Any:
    """The EMA workbench, whose import warns of what it lacks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("ema_workbench.analysis.prim")
    except ImportError:
        pytest.skip("the EMA workbench is not installed, so there is no second opinion")


def test_the_trajectory_is_that_of_the_ema_workbench() -> None:
    import pandas as pd

    theirs = workbench()
    x = cases(1000, 3, seed=5)
    interest = (x.values[:, 0] < 0.35) & (x.values[:, 1] > 0.45)
    interest ^= np.random.default_rng(6).random(1000) < 0.05
    own = prim(x, interest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = pd.DataFrame(x.values, columns=["p0", "p1", "p2"])
        algorithm = theirs.Prim(
            table, interest, threshold=0.5, peel_alpha=0.05, paste_alpha=0.05, mass_min=0.05
        )
        peeled = algorithm.find_box().peeling_trajectory
    # They cut at a quantile, we between two values: a row or two of a thousand more or less.
    for coverage in (0.9, 0.7, 0.5):
        ours = float(own["density"].where(own["coverage"] >= coverage).max())
        other = float(peeled.loc[peeled["coverage"] >= coverage, "density"].max())
        assert ours == pytest.approx(other, abs=0.02)


def test_the_box_that_covers_most_is_chosen_wherever_it_stands() -> None:
    x, interest = quarter(100, 0.1, np.random.default_rng(3))
    boxes = prim(x, interest)
    _, of_each = np.unique(boxes["coverage"].values, return_index=True)
    assert len(of_each) > 3
    for density in (0.4, 0.7, 1.1):  # by 1.1 none is: the largest product is taken
        one, other = (
            chosen_box(x, interest, boxes.isel(box=order), density=density)
            for order in (of_each, of_each[::-1])
        )
        assert one["coverage"].item() == other["coverage"].item()
        dense = boxes.isel(box=boxes["density"].values >= density)
        if dense.sizes["box"]:
            assert one["coverage"].item() >= dense["coverage"].max().item()
        else:
            best = (boxes["coverage"] * boxes["density"]).max().item()
            assert (one["coverage"] * one["density"]).item() >= best - 1e-12
