"""Numbers that the priors all but exclude, where each condition begins to hold."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from beltcast import Model, make_likelihood
from beltcast.inference.audit import prior_predictive as module
from beltcast.inference.audit.prior_predictive import (
    prior_doubts,
    prior_predictive,
    prior_words,
)


def one(published: float, below: float, kind: str = "level", median: float = 10.0) -> pd.DataFrame:
    row = {
        "line": 7,
        "kind": kind,
        "unit": "bnCNY/Year",
        "published": published,
        "p10": 4.0,
        "median": median,
        "p90": 25.0,
        "below": below,
    }
    return pd.DataFrame([row])


@pytest.mark.parametrize(
    ("published", "below", "kind", "doubted"),
    [
        # More than three times the median, and more than 99.5% of the draws below it.
        (30.1, 0.9951, "level", True),
        (30.0, 0.9951, "level", False),
        (30.1, 0.995, "level", False),
        (30.1, 0.0049, "level", False),
        # Less than a third, and fewer than 0.5%.
        (3.33, 0.0049, "level", True),
        (3.34, 0.0049, "level", False),
        (3.33, 0.005, "level", False),
        (3.33, 0.9951, "level", False),
        # A bound is doubted where it leaves hardly anything.
        (31.0, 1.0, "upper", False),
        (31.0, 1.0, "lower", True),
        (31.0, 1.0, "over", True),
        (3.0, 0.0, "upper", True),
        (3.0, 0.0, "lower", False),
        (3.0, 0.0, "over", False),
        # No ratio can be told of 0 or less.
        (0.0, 0.0, "level", False),
        (-31.0, 0.0, "level", False),
    ],
)
def test_a_number_is_doubted_when_it_is_far_from_the_median_and_the_draws_exclude_it(
    published: float, below: float, kind: str, doubted: bool
) -> None:
    assert len(prior_doubts(one(published, below, kind))) == doubted


def test_three_times_the_median_or_a_third_of_it_is_not_yet_far() -> None:
    assert prior_doubts(one(30.0, 1.0, median=10.0)) == ()
    assert prior_doubts(one(10.0, 0.0, median=30.0)) == ()


@pytest.mark.parametrize("median", [0.0, -1.0, float("nan")])
def test_nothing_is_doubted_where_the_expectation_is_not_above_zero(median: float) -> None:
    assert prior_doubts(one(30.0, 1.0, median=median)) == ()


def test_the_doubt_names_its_line_how_many_times_and_the_band() -> None:
    (said,) = prior_doubts(one(45.0, 1.0))
    assert said.startswith("line 7: 4.5 times")
    for part in ("4", "25", "bnCNY/Year"):
        assert part in said.removeprefix("line 7: 4.5 times")


def test_numbers_at_the_ends_of_a_band_are_within_and_bounds_are_not_counted() -> None:
    shares = [0.0999, 0.1, 0.2499, 0.25, 0.75, 0.7501, 0.9, 0.9001]
    table = pd.concat(
        [one(10.0, below) for below in shares]
        + [one(10.0, 0.5, kind) for kind in ("lower", "over", "upper")]
    )
    said = prior_words(table, 123)
    assert "123" in said
    assert "of 8 published numbers 2 lie in the middle half and 6 in the" in said


def test_ties_count_half_and_what_is_not_finite_does_not_count(
    small: Model, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = np.array(
        [
            [8.0, np.inf, 3.0],
            [10.0, 7.0, 3.0],
            [10.0, 5.0, -np.inf],
            [11.0, np.nan, 12.0],
            [9.0, 6.0, 30.0],
        ]
    )
    rows = [make.row(start=2014.0 + k, value=value) for k, value in enumerate((10.0, 6.5, 3.0))]
    priors = make.priors("Factor", mu=0.0, sigma=0.4)
    one = make_likelihood(small, priors, make.table(*rows), make.noise())
    # The numbers are kept as logs; a tie is one with what comes back from there.
    published = one.natural(one.published)
    drawn = np.where(np.isclose(drawn, published, rtol=1e-12), published, drawn)
    monkeypatch.setattr(module, "simulate_observations", lambda *given: drawn.copy())
    found = prior_predictive(one, 5, rng=np.random.default_rng(1))
    np.testing.assert_allclose(found["below"], [(2 + 0.5 * 2) / 5, 2 / 3, 0.5 * 2 / 4])
    np.testing.assert_allclose(found["published"], [10.0, 6.5, 3.0], rtol=1e-12)
    for k, row in found.iterrows():
        finite = drawn[np.isfinite(drawn[:, k]), k]
        quantiles = np.quantile(finite, [0.1, 0.5, 0.9])
        np.testing.assert_allclose(row[["p10", "median", "p90"]].astype(float), quantiles)
    assert found["line"].tolist() == [2, 3, 4]
    assert found["unit"].tolist() == [row.unit for row in rows]
