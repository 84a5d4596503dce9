"""Pictures of what is identified show the numbers that they are given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from beltcast import Model, make_likelihood
from beltcast.errors import UnknownName
from beltcast.inference.sampling.posterior import Draws
from beltcast.pictures.plots_identified import answers_chart, pair_chart, power_chart


@pytest.fixture
def draws(small: Model, make: SimpleNamespace) -> Draws:
    """500 draws whose product is known and whose factors are not."""
    priors = make.priors("Level[East]", "Factor", mu=np.log([10.0, 1.0]), sigma=[0.5, 0.2])
    likelihood = make_likelihood(small, priors, make.table(make.row()), make.noise())
    rng = np.random.default_rng(1)
    theta = np.zeros((500, likelihood.size))
    theta[:, 1] = 0.2 * rng.standard_normal(500)
    theta[:, 0] = np.log(10.0) - theta[:, 1] + 0.01 * rng.standard_normal(500)
    return Draws(likelihood, theta, "posterior")


def test_contours_hold_their_shares_of_the_prior(draws: Draws) -> None:
    ax = pair_chart(draws, "Level[East]", "Factor")
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 20000))
    for line, share in zip(ax.lines[:3], (0.5, 0.8, 0.95), strict=True):
        # Points of the contour in prior standard deviations lie on one circle.
        u = (np.log(line.get_xdata()) - np.log(10.0)) / 0.5
        v = np.log(line.get_ydata()) / 0.2
        radius = np.hypot(u, v)
        np.testing.assert_allclose(radius, radius[0], rtol=1e-9)
        # sqrt(p (1 - p) / 20000) is 0.0035 at most.
        assert (np.hypot(x, y) < radius[0]).mean() == pytest.approx(share, abs=0.014)


def test_a_pair_is_drawn_in_its_own_units_on_the_axes_given(draws: Draws) -> None:
    given = Figure().add_subplot()
    ax = pair_chart(draws, "Level[East]", "Factor", ax=given)
    assert ax is given
    assert ax.get_xscale() == ax.get_yscale() == "log"
    np.testing.assert_allclose(np.median(ax.lines[3].get_xdata()), 10.0, rtol=0.05)
    assert "-1.00" in ax.get_title(loc="left")
    with pytest.raises(UnknownName, match="did you mean 'Factor'"):
        pair_chart(draws, "Level[East]", "Factr")


def test_answers_go_from_prior_to_posterior_the_most_narrowed_on_top() -> None:
    table = pd.DataFrame(
        {"prior_sd": [1.0, 1.0], "posterior_sd": [0.1, 0.9], "contraction": [0.9, 0.1]},
        index=["known", "unknown"],
    )
    ax = answers_chart(table)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["unknown", "known"]
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [0.9, 0.1])


def test_each_part_of_the_posterior_has_its_dots() -> None:
    index = pd.MultiIndex.from_product([["a", "b"], ["likelihood", "driver"]])
    table = pd.DataFrame(
        {"sensitivity": [0.3, 0.1, 0.2, 0.0]}, index=index.set_names(["answer", "part"])
    )
    ax = power_chart(table)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    np.testing.assert_allclose(ax.collections[0].get_offsets()[:, 0], [0.2, 0.3])
    np.testing.assert_allclose(ax.collections[1].get_offsets()[:, 0], [0.0, 0.1])
