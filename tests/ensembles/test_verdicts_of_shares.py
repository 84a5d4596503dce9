"""Signs, shares and their errors where one verdict turns into another."""

from __future__ import annotations

import math

import numpy as np
import pytest

from beltcast.ensembles.verdicts import (
    all_alike,
    chance_words,
    negligible,
    positive_share,
    ratio_of,
    share_error,
    sign_of,
    with_error,
)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("draws", [1, 96, 400.5])
def test_the_error_of_a_share_is_that_of_agresti_and_coull(share: float, draws: float) -> None:
    """Two successes and two failures more."""
    p = (share * draws + 2) / (draws + 4)
    assert float(share_error(share, draws)) == pytest.approx(math.sqrt(p * (1 - p) / (draws + 4)))


@pytest.mark.parametrize(
    ("share", "draws", "sign"),
    [
        (0.9, 100, "positive"),
        (sum([0.1] * 9), 100, "positive"),  # 0.8999999999999999
        (0.8999, 100, "undecided"),
        (0.1, 100, "negative"),
        (1 - 0.9, 100, "negative"),
        (0.1001, 100, "undecided"),
        (0.95, 99.99, "too few draws"),
        (math.nan, 100, "undecided"),
        (0.95, math.nan, "too few draws"),
    ],
)
def test_nine_tenths_of_a_hundred_draws_decide_a_sign(
    share: float, draws: float, sign: str
) -> None:
    assert sign_of(share, draws) == sign


def test_an_effect_of_rounding_has_no_sign_however_few_the_draws() -> None:
    # Rounding is 256 bits of the last place: 5.7e-14.
    assert sign_of(1.0, 3, size=256 * 2.0**-52, scale=1.0) == "no effect"
    assert sign_of(1.0, 300, size=257 * 2.0**-52, scale=1.0) == "positive"
    assert sign_of(1.0, 3, size=-1e-14, scale=-1.0) == "no effect"
    assert sign_of(1.0, 300, size=1e-6, scale=1.0) == "positive"
    assert sign_of(1.0, 300, size=0.0) == "no effect"


@pytest.mark.parametrize(
    ("share", "draws", "words"),
    [
        (0.574, 1000, "57 ± 2 %"),
        (1.0, 1000, "100.0 ± 0.1 %"),
        (0.5, 100, "50 ± 5 %"),
        (0.5, 2400, "50 ± 1 %"),  # 1.02
        (0.5, 2600, "50.0 ± 1.0 %"),  # 0.98 has its first digit after the point
        (0.25, 1e6, "25.00 ± 0.04 %"),
        (0.5, 99.9, "too few draws"),
        (math.nan, 100, "no change"),
        (math.nan, 99, "too few draws"),
        (0.5, 0, "unknown"),
        (0.5, math.nan, "unknown"),
        (0.5, -1, "unknown"),
    ],
)
def test_a_chance_has_as_many_decimals_as_its_error(share: float, draws: float, words: str) -> None:
    assert chance_words(share, draws) == words


def test_a_share_has_two_decimals_or_is_unknown() -> None:
    assert with_error(0.934, 400) == "0.93 ± 0.01"
    assert with_error(0.5, 10) == "0.50 ± 0.13"
    assert with_error(math.inf, 10) == with_error(math.nan, 10) == "unknown"


def test_zeros_count_half_and_a_share_of_zeros_alone_is_none() -> None:
    values = np.array(
        [
            [1.0, 2.0, -1.0, np.nan],
            [0.0, 1e-20, 3.0, -np.inf],
            [0.0, 0.0, np.nan, 0.0],
            [np.nan] * 4,
        ]
    )
    np.testing.assert_allclose(positive_share(values), [2 / 3, 2 / 3, np.nan, np.nan])
    np.testing.assert_allclose(positive_share(values.T, axis=0), [2 / 3, 2 / 3, np.nan, np.nan])
    # On a scale of 1e12 a difference of 1e-3 is rounding.
    np.testing.assert_allclose(positive_share([1e-3, 5.0, -7.0], 1e12), 0.5)


def test_numbers_that_differ_by_rounding_are_alike() -> None:
    assert all_alike([[-2.0, -2.0 * (1 + 1e-15)], [-2.0, -2.1], [np.nan, 1.0]]).tolist() == [
        True, False, False,
    ]  # fmt: skip
    assert all_alike([[0.0, 0.0], [0.0, 1e-9]], axis=0).tolist() == [True, False]
    assert negligible([-1e-16, 1e-6, np.nan], -1.0).tolist() == [True, False, False]


def test_a_ratio_to_nothing_is_unknown() -> None:
    found = ratio_of([1.0, -3.0, 1.0, 1.0, 0.0], [2.0, 1.5, 0.0, 1e-18, 2.0], [1, 1, 0, 1, 1])
    np.testing.assert_allclose(found, [0.5, -2.0, np.nan, np.nan, 0.0])
    np.testing.assert_allclose(ratio_of(1.0, 1e-18), 1e18)
