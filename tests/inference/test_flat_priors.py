"""The likelihood of a search: flat priors and default priors of scales leave their bounds only."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from beltcast import Likelihood, Model, make_likelihood
from beltcast.inference.flat_priors import bounds_only, has_flat_priors, moved
from beltcast.study.error_models import ErrorModel
from beltcast.study.noise import Definition
from beltcast.study.priors import Entry, make_priors, uniform_entry
from beltcast.study.series import SCALE_LOG_SD


def a_likelihood(small: Model, make: SimpleNamespace, *entries: Entry) -> Likelihood:
    definitions = {
        "default": Definition("D", 0, 0, 0, ErrorModel("normal", 1.0, SCALE_LOG_SD, name="D")),
        "stated": Definition("S", 0, 0, 0, ErrorModel("lognormal", 0.2, 0.5, name="S")),
        "wide": Definition("W", 0.3, 0, 0),
    }
    rows = [
        make.row(start=2014.0 + k, value=9.0 + k, definition=name)
        for k, name in enumerate(("default", "stated", "wide"))
    ]
    noise = make.noise(definitions=definitions, seasonal=False)
    return make_likelihood(small, make_priors(list(entries)), make.table(*rows), noise)


def bounded(label: str, family: str, bounds: tuple[float, float]) -> Entry:
    entry = uniform_entry(label, label, "other", "Dmnl", "a test", bounds)
    return entry._replace(family=family, shape=(*bounds, 0.0))


@pytest.fixture
def mixed(small: Model, make: SimpleNamespace) -> Likelihood:
    return a_likelihood(
        small,
        make,
        bounded("Factor", "uniform", (0.2, 5.0)),
        bounded("Divisor", "log_uniform", (0.1, 10.0)),
    )


def test_weights_are_nothing_for_flat_priors_and_scales_without_a_prior_of_their_own(
    mixed: Likelihood,
) -> None:
    boxed = bounds_only(mixed)
    by_name = dict(zip(boxed.labels, boxed.prior_weights, strict=True))
    assert by_name["Factor"] == by_name["Divisor"] == 0.0
    scales = {name: weight for name, weight in by_name.items() if name.endswith((" D", " S"))}
    assert sorted(scales.values()) == [0.0, 1.0]
    assert by_name[next(name for name in scales if name.endswith(" S"))] == 1.0
    assert by_name["offset of East, wide"] == 1.0
    assert boxed.scale_limit == 14.0
    lower, upper = boxed.bounds()
    np.testing.assert_allclose(lower[:2], [0.2, np.log(0.1)], rtol=1e-12)
    np.testing.assert_allclose(upper[:2], [5.0, np.log(10.0)], rtol=1e-12)


@pytest.mark.parametrize("family", ["uniform", "log_uniform"])
def test_one_flat_prior_is_enough(small: Model, make: SimpleNamespace, family: str) -> None:
    one = a_likelihood(small, make, bounded("Factor", family, (0.2, 5.0)))
    assert has_flat_priors(one)
    normal = make_likelihood(
        small, make.priors("Factor", mu=0.0, sigma=0.5), make.table(make.row()), make.noise()
    )
    assert not has_flat_priors(normal)


def test_points_at_a_bound_move_into_the_range_by_a_thousandth_of_it(mixed: Likelihood) -> None:
    """And from the working scale, where the range has no ends, they come back as they are."""
    boxed = bounds_only(mixed)
    ends = np.concatenate([np.array(boxed.bounds())[:, :2], np.zeros((2, mixed.size - 2))], axis=1)
    there = moved(ends, boxed, mixed)
    natural = mixed.priors.natural(there[:, :2])
    np.testing.assert_allclose(natural[:, 0], [0.2 + 0.0048, 5.0 - 0.0048], rtol=1e-9)
    width = np.log(100.0)
    inside = [np.log(0.1) + 1e-3 * width, np.log(10.0) - 1e-3 * width]
    np.testing.assert_allclose(np.log(natural[:, 1]), inside, rtol=1e-9)
    back = moved(there, mixed, boxed)
    np.testing.assert_allclose(boxed.priors.natural(back[:, :2]), natural, rtol=1e-9)
    inner = np.array([[1.7, 0.3, *np.full(mixed.size - 2, 0.25)]])
    again = moved(moved(inner, boxed, mixed), mixed, boxed)
    np.testing.assert_allclose(again, inner, rtol=1e-9)
