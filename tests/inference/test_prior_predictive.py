"""Numbers that the priors all but exclude, where each condition begins to hold."""

from __future__ import annotations

import pandas as pd
import pytest

from beltcast.inference.audit.prior_predictive import prior_doubts, prior_words


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
