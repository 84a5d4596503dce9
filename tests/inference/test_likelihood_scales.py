"""Scales that parameters multiply or divide, and what is expected without shocks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from beltcast import Model, make_likelihood
from beltcast.study.error_models import ErrorModel
from beltcast.study.noise import Definition, Discrepancy


@pytest.mark.parametrize("power", [1.0, -1.0])
def test_the_log_of_a_scale_moves_with_its_parameter_s_power(
    small: Model, make: SimpleNamespace, power: float
) -> None:
    """And its slope is the difference of two of them."""
    errors = ErrorModel("normal", 0.5, 0.3, scale_by="Factor", scale_power=power, name="scaled")
    definitions = {
        "full": Definition("Full", 0, 0, 0),
        "scaled": Definition("Scaled", 0, 0, 0, errors),
    }
    rows = [make.row(start=2014.0), make.row(start=2015.0, definition="scaled", value=12.0)]
    priors = make.priors("Factor", mu=np.log(2.0), sigma=0.4)
    noise = make.noise(definitions=definitions, seasonal=False)
    one = make_likelihood(small, priors, make.table(*rows), noise)
    assert len(one.nuisances) == 1  # the scale
    points = np.array([[np.log(2.0), 0.0], [np.log(3.0), 0.7], [np.log(0.5), -1.0]])
    logs = one.log_scale(points)
    np.testing.assert_array_equal(logs[:, 0], 0.0)
    np.testing.assert_allclose(
        one.row_sds(points)[:, 1], 0.5 * np.exp(power * points[:, 0] + 0.3 * points[:, 1])
    )
    np.testing.assert_allclose(one.row_sds(points)[:, 0], 0.1)
    step = 1e-6
    for point in points:
        slopes = one._log_scale_slopes(point)
        np.testing.assert_allclose(slopes, [[0, 0], [power, 0.3]], atol=1e-12)
        for k in range(2):
            moved = point + step * np.eye(2)[k]
            found = (one.log_scale(moved[None]) - one.log_scale(point[None])) / step
            np.testing.assert_allclose(found[0], slopes[:, k], atol=1e-8)


def test_without_shocks_neither_years_nor_lasting_errors_of_the_model_are_expected(
    small: Model, make: SimpleNamespace
) -> None:
    definitions = {"wide": Definition("Wide", 0.5, 0.0, 0.0)}
    rows = [make.row(start=2014.0, definition="wide")]
    noise = make.noise(
        definitions=definitions,
        year_shock=0.2,
        discrepancy=Discrepancy(0.1, 0.1, 0.0, 0.0, 0.5),
        seasonal=False,
    )
    priors = make.priors("Factor", mu=0.0, sigma=0.4)
    one = make_likelihood(small, priors, make.table(*rows), noise)
    kinds = {name.partition(" ")[0] for name in one.nuisances}
    assert kinds == {"discrepancy", "offset", "shock"}
    theta = np.full((1, one.size), 0.6)
    theta[0, 0] = np.log(1.2)
    level = np.log(12.0) + 0.5 * 0.6
    np.testing.assert_allclose(one.expected(theta, shocks=False), level, rtol=1e-9)
    felt = one.loadings[0].sum() * 0.6
    np.testing.assert_allclose(one.expected(theta), np.log(12.0) + felt, rtol=1e-9)
    assert theta[0, 1] == 0.6
