"""Bands and probabilities of new rows, against SciPy's normals and sums over draws."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from scipy.special import ndtr

from beltcast import Likelihood, Model, make_likelihood
from beltcast.inference.updating.carry_draws import Predictive
from beltcast.inference.updating.predictive_checks import _p, _quantiles, surprises, together
from beltcast.study.noise import Definition

MIDDLE = np.log([[10.0, 9.0, 8.0], [12.0, 9.5, 9.0], [11.0, 12.0, 9.5], [18.0, 12.5, 8.5]])
"""Mean of the log of each row at four draws, uneven."""
COVARIANCE = np.array([[0.04, 0.012, 0.0], [0.012, 0.09, -0.02], [0.0, -0.02, 0.0625]])
SDS = np.array([0.2, 0.3, 0.25])
Z = np.array([[2.3, -0.1], [2.5, 0.2], [2.2, 0.1], [2.9, 0.05]])
"""Log of the level and of the factor at the draws."""
U = np.array([[0.1, 0.7], [-0.2, -0.3], [0.4, 0.9], [0.0, -0.6]])
OPEN = np.array([[0.5, 0.1], [0.1, 0.8]])
"""Covariance of the nuisances around their means."""
CROSS = np.array([[0.01, -0.05, 0.0], [0.02, 0.03, -0.09]])
PUBLISHED = np.array([15.0, 7.0, 9.0])


@pytest.mark.parametrize("draws", [1, 3, 400])
def test_a_band_of_80_percent_holds_80_percent_without_posterior_uncertainty(draws: int) -> None:
    low, high = _quantiles(np.full((draws, 1), 2.0), np.array([0.5]), (0.1, 0.9))[:, 0]
    share = ndtr((high - 2.0) / 0.5) - ndtr((low - 2.0) / 0.5)
    assert share == pytest.approx(0.8, abs=1e-3)


def test_quantiles_of_a_mixture_are_where_the_mean_of_its_normals_is_the_level() -> None:
    levels = (0.001, 0.1, 0.5, 0.9)
    found = _quantiles(MIDDLE, SDS, levels)
    assert found.shape == (4, 3)
    for k in range(3):
        for p, quantile in zip(levels, found[:, k], strict=True):

            def missing(x: float, k: int = k, p: float = p) -> float:
                return float(stats.norm.cdf(x, MIDDLE[:, k], SDS[k]).mean() - p)

            assert quantile == pytest.approx(optimize.brentq(missing, -3, 8, xtol=1e-13), rel=1e-9)
    # Without noise it is a step function of the draws.
    np.testing.assert_allclose(
        _quantiles(MIDDLE, np.zeros(3), (0.1, 0.9)),
        [MIDDLE.min(axis=0), MIDDLE.max(axis=0)],
        rtol=1e-9,
    )


def test_a_number_is_surprising_on_both_sides_and_a_bound_on_its_own() -> None:
    """Far in a tail as well, where counting draws would give nothing."""
    logs = np.array([4.1, 2.4, -1.0])
    below = stats.norm.cdf(logs, MIDDLE, SDS).mean(axis=0)
    above = stats.norm.sf(logs, MIDDLE, SDS).mean(axis=0)
    np.testing.assert_allclose(
        _p(logs, MIDDLE, SDS, np.zeros(3, dtype=int)), 2 * np.minimum(below, above), rtol=1e-9
    )
    # A lower bound holds where the quantity is above it, an upper one where it is below.
    np.testing.assert_allclose(_p(logs, MIDDLE, SDS, np.full(3, -1)), above, rtol=1e-9)
    np.testing.assert_allclose(_p(logs, MIDDLE, SDS, np.full(3, 1)), below, rtol=1e-9)
    at_middle = _p(np.zeros(1), np.zeros((2, 1)), np.ones(1), np.zeros(1, dtype=int))
    assert at_middle == pytest.approx(1.0)


@pytest.fixture
def new_rows(small: Model, make: SimpleNamespace) -> Likelihood:
    rows = [
        make.row(start=2014.0 + k, value=value, kind=kind, definition=definition)
        for k, (value, kind, definition) in enumerate(
            (
                (20.0, "level", "full"),  # known before
                (PUBLISHED[0], "level", "full"),
                (PUBLISHED[1], "level", "wide"),
                (PUBLISHED[2], "lower", "late"),
            )
        )
    ]
    definitions = {
        name: Definition(name, sd, 0.0, 0.0)
        for name, sd in (("full", 0.0), ("wide", 0.5), ("late", 0.5))
    }
    priors = make.priors("Level[East]", "Factor", mu=np.log([10.0, 1.0]), sigma=0.5)
    one = make_likelihood(
        small, priors, make.table(*rows), make.noise(definitions=definitions, seasonal=False)
    )
    assert one.nuisances == ("offset of East, late", "offset of East, wide")
    return one


def predicted(**fields: np.ndarray) -> Predictive:
    given = {
        "middle": MIDDLE,
        "covariance": COVARIANCE,
        "nuisances": U,
        "nuisance_covariance": OPEN,
        "cross": CROSS,
        "own": SDS,
    }
    return Predictive(**{**given, **fields})


ASKED = np.array([False, True, True, True])


def test_every_cell_of_the_surprises_is_that_of_its_definition(new_rows: Likelihood) -> None:
    found = surprises(new_rows, ASKED, Z, predicted())
    logs, total = np.log(PUBLISHED), np.sqrt(MIDDLE.var(axis=0) + SDS**2)
    gap = (logs - MIDDLE.mean(axis=0)) / total
    p = _p(logs, MIDDLE, SDS, np.array([0, 0, -1]))
    order = np.argsort(p)
    assert found["line"].tolist() == (3 + order).tolist()
    np.testing.assert_allclose(found["p"], p[order], rtol=1e-12)
    np.testing.assert_allclose(found["z"], gap[order], rtol=1e-12)
    np.testing.assert_allclose(found["published"], PUBLISHED[order], rtol=1e-12)
    band = np.exp(_quantiles(MIDDLE, SDS, (0.1, 0.5, 0.9)))[:, order]
    np.testing.assert_allclose(found[["low", "median", "high"]].T, band, rtol=1e-12)
    for k, (_, row) in zip(order, found.iterrows(), strict=True):
        # The mean of x moves by cov(x, log y) gap / sd(log y), in standard deviations of x.
        of_z = [np.cov(Z[:, i], MIDDLE[:, k], ddof=0)[0, 1] / Z[:, i].std() for i in (0, 1)]
        of_u = [
            (np.cov(U[:, i], MIDDLE[:, k], ddof=0)[0, 1] + CROSS[i, k])
            / np.sqrt(U[:, i].var() + OPEN[i, i])
            for i in (0, 1)
        ]
        for what, names, moved in (
            ("parameter", new_rows.priors.labels, of_z),
            ("nuisance", new_rows.nuisances, of_u),
        ):
            best = int(np.abs(moved).argmax())
            assert row[what] == names[best]
            expected = moved[best] * gap[k] / total[k]
            assert row[f"{what}_shift"] == pytest.approx(expected, rel=1e-9)


def test_draws_that_could_not_be_simulated_are_left_out_of_surprises(new_rows: Likelihood) -> None:
    without = surprises(new_rows, ASKED, Z, predicted())
    spoilt = np.insert(MIDDLE, 2, [2.0, np.nan, 2.0], axis=0)
    z, u = np.insert(Z, 2, [9.0, 9.0], axis=0), np.insert(U, 2, [9.0, 9.0], axis=0)
    expected = predicted(middle=spoilt, nuisances=u)
    pd.testing.assert_frame_equal(surprises(new_rows, ASKED, z, expected), without)
    assert together(new_rows, ASKED, expected) == together(new_rows, ASKED, predicted())


def test_an_unknown_that_does_not_vary_explains_nothing(new_rows: Likelihood) -> None:
    """Its covariance is nothing and so is its standard deviation."""
    fixed = Z.copy()
    fixed[:, 0] = 2.5
    found = surprises(new_rows, ASKED, fixed, predicted())
    assert (found["parameter"] == "Factor").all()
    assert np.isfinite(found["parameter_shift"]).all()


def test_the_joint_probability_is_that_of_the_chi_squared_distance_of_the_numbers(
    new_rows: Likelihood,
) -> None:
    covariance = COVARIANCE[:2, :2] + np.cov(MIDDLE[:, :2].T)
    gap = np.log(PUBLISHED[:2]) - MIDDLE[:, :2].mean(axis=0)
    distance = gap @ np.linalg.inv(covariance) @ gap
    found = together(new_rows, ASKED, predicted())
    assert found == pytest.approx(stats.chi2(2).sf(distance), rel=1e-9)
    # One number: the probability of its two sides. Only a bound: none.
    first = np.array([False, True, False, False])
    one = predicted(middle=MIDDLE[:, :1], covariance=COVARIANCE[:1, :1])
    sd = np.sqrt(COVARIANCE[0, 0] + MIDDLE[:, 0].var(ddof=1))
    assert together(new_rows, first, one) == pytest.approx(2 * stats.norm.sf(abs(gap[0]) / sd))
    only = np.array([False, False, False, True])
    assert np.isnan(together(new_rows, only, one))
