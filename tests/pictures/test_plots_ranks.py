"""The picture of simulation-based calibration shows what leaves its band."""

from __future__ import annotations

import numpy as np
import xarray as xr

from beltcast.pictures.plots_ranks import band_reach, rank_chart


def ranked(ranks: np.ndarray, answers: int = 0) -> xr.Dataset:
    names = [f"u{k}" for k in range(ranks.shape[1])]
    return xr.Dataset(
        {"rank": (("set", "parameter"), ranks)},
        {"parameter": names},
        {"draws": 99, "answers": answers},
    )


def test_one_line_of_uniform_ranks_in_twenty_leaves_the_band() -> None:
    share = np.arange(1, 100) / 100
    sd = np.sqrt(share * (1 - share) / 150)
    reach = band_reach(150, 100, rng=np.random.default_rng(1))
    ax = rank_chart(ranked(np.random.default_rng(2).integers(100, size=(150, 400))))
    left = [np.abs(line.get_ydata() / sd).max() > reach for line in ax.lines]
    # 20 of 400 expected; the standard deviation of such a count is 4.4.
    assert 5 <= sum(left) <= 38


def test_a_line_is_the_share_of_ranks_less_the_uniform_one_and_the_worst_is_named() -> None:
    rng = np.random.default_rng(3)
    ranks = rng.integers(100, size=(100, 4))
    ranks[:, 1] = np.arange(100) // 2  # truths that always lie in the lower half of their draws
    ax = rank_chart(ranked(ranks, answers=1))
    (named,) = [line for line in ax.lines if not line.get_label().startswith("_")]
    assert named.get_label() == "u1"
    # Up to rank 49 all of them, where uniform ranks have a half.
    assert named.get_ydata()[49] == 0.5
    assert named.get_color() != ax.lines[0].get_color()
    colors = {line.get_color() for line in ax.lines}
    assert len(colors) == 3  # unknowns, answers, the worst
