"""Starts of a search: when enough is enough, and scales that fit the residuals."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from beltcast import Model, make_likelihood
from beltcast.inference.starts import (
    FEW_ENOUGH,
    _with_scales,
    expected_missed,
    searches_needed,
    starting_points,
)


@pytest.mark.parametrize("found", range(1, 9))
def test_the_searches_needed_are_the_fewest_after_which_less_than_half_an_optimum_is_missed(
    found: int,
) -> None:
    """Boender and Rinnooy Kan (1987): w (n - 1) / (n - w - 2) - w."""
    for searches in range(1, 200):
        left = searches - found - 2
        expected = found * (searches - 1) / left - found if left > 0 else math.inf
        assert expected_missed(found, searches) == pytest.approx(expected)
    needed = searches_needed(found)
    assert expected_missed(found, needed) < 0.5 <= expected_missed(found, needed - 1)
    assert FEW_ENOUGH == 0.5


@pytest.mark.parametrize("limit", [None, 0.4])
def test_an_estimated_scale_starts_at_the_root_mean_square_of_its_numbers(
    small: Model, make: SimpleNamespace, limit: float | None
) -> None:
    """Bounds and rounded values have no residual; a scale stays within nine tenths of its limit."""
    rows = [
        make.row(start=2014.0, value=12.0),
        make.row(start=2015.0, value=7.0),
        make.row(start=2016.0, value=15.0, grade="B"),
        make.row(start=2017.0, value=90.0, kind="lower"),
        make.row(start=2018.0, value=80.0, within=(75.0, 85.0)),
        make.row(start=2019.0, value=9.0, kind="upper", grade="B"),
    ]
    priors = make.priors("Factor", mu=0.0, sigma=0.5)
    noise = make.noise(error_scale_sd=0.5, error_scale_by=("grade",), seasonal=False)
    one = make_likelihood(small, priors, make.table(*rows), noise)
    names = [name for name in one.nuisances if "scale" in name]
    assert [name[-1] for name in names] == ["A", "B"]
    if limit is not None:
        one = dataclasses.replace(one, scale_limit=limit)
    theta = np.zeros((2, one.size))
    theta[1, 0] = 0.2
    found = _with_scales(one, theta.copy(), one.answers(theta[:, :1]))
    at = [one.nuisances.index(name) + 1 for name in names]
    # The log of the sd is half a unit of the scale; 10 and 10 exp(0.2) are what the model says.
    for k, log_model in enumerate((math.log(10.0), math.log(10.0) + 0.2)):
        z_a = (np.log([12.0, 7.0]) - log_model) / 0.1
        z_b = (math.log(15.0) - log_model) / 0.2
        wanted = np.array([math.log(np.mean(z_a**2)) / 2, math.log(abs(z_b))]) / 0.5
        bound = 0.9 * one.scale_limit
        np.testing.assert_allclose(found[k, at], np.clip(wanted, -bound, bound), rtol=1e-9)
    rest = np.setdiff1d(np.arange(one.size), at)
    np.testing.assert_array_equal(found[:, rest], theta[:, rest])


def test_starts_without_estimated_scales_are_left(small: Model, make: SimpleNamespace) -> None:
    priors = make.priors("Factor", mu=0.3, sigma=0.5)
    one = make_likelihood(small, priors, make.table(make.row()), make.noise())
    theta = np.full((1, one.size), 0.7)
    np.testing.assert_array_equal(_with_scales(one, theta.copy(), one.answers(theta[:, :1])), theta)
    assert starting_points(one, np.random.default_rng(1), 1)[0][0, 0] == 0.3
