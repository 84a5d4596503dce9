"""Every draw, number by number: the quantile that SciPy has of the uniform number behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from beltcast import load_model

from ..xmile_texts import aux, xmile

INF = np.inf
MEAN_ONE = 1.0 / special.gamma(1.0 + 1.0 / 1.7)
"""Scale of a Weibull distribution of shape 1.7 whose mean is 1."""

# The call, its distribution before it is shifted and stretched, shift, stretch and ends.
CALLS: dict[str, tuple[Any, float, float, float, float]] = {
    "RANDOM NORMAL(-9999, 9999, 1, 2, 3)": (stats.norm(), 1, 2, -INF, INF),
    "RANDOM NORMAL(-0.5, 2, 1, 2, 3)": (stats.norm(), 1, 2, -0.5, 2),
    "RANDOM NORMAL(0, 1, 9, 2, 3)": (stats.norm(), 9, 2, 0, 1),
    "NORMAL(1, 2, 3)": (stats.norm(), 1, 2, -INF, INF),
    "NORMAL(1, 2, 3, -0.5, 2)": (stats.norm(), 1, 2, -0.5, 2),
    "RANDOM EXPONENTIAL(0.5, 4, 0.25, 3, 3)": (stats.expon(), 0.25, 3, 0.5, 4),
    "EXPRND(2, 3)": (stats.expon(), 0, 2, -INF, INF),
    "EXPRND(2, 3, 1, 3)": (stats.expon(), 0, 2, 1, 3),
    "RANDOM BETA(1.5, 2.5, 2, 5, 1, 3, 3)": (stats.beta(2, 5), 1, 3, 1.5, 2.5),
    "BETA(2, 5, 3)": (stats.beta(2, 5), 0, 1, -INF, INF),
    "BETA(2, 5, 3, 0.2, 0.4)": (stats.beta(2, 5), 0, 1, 0.2, 0.4),
    "GAMMA(0.5, 3, 3)": (stats.gamma(0.5), 0, 3, -INF, INF),
    "GAMMA(0.5, 3, 3, 1, 4)": (stats.gamma(0.5), 0, 3, 1, 4),
    "RANDOM WEIBULL(1, 4, 1.7, 0.5, 2, 3)": (
        stats.weibull_min(1.7, scale=MEAN_ONE),
        0.5,
        2,
        1,
        4,
    ),
    "RANDOM TRIANGULAR(-9, 99, 1, 2, 5, 3)": (stats.triang(0.25, 1, 4), 0, 1, -9, 99),
    "RANDOM TRIANGULAR(1.5, 3, 1, 2, 5, 3)": (stats.triang(0.25, 1, 4), 0, 1, 1.5, 3),
    "TRIANGULAR(1, 2, 5, 3)": (stats.triang(0.25, 1, 4), 0, 1, 1, 5),
    "TRIANGULAR(1, 2, 5, 3, 1.5, 3)": (stats.triang(0.25, 1, 4), 0, 1, 1.5, 3),
    "RANDOM POISSON(0, 1000, 3.5, 0, 1, 3)": (stats.poisson(3.5), 0, 1, 0, 1000),
    "RANDOM POISSON(2, 4.5, 3.5, 0, 1, 3)": (stats.poisson(3.5), 0, 1, 2, 4.5),
    "RANDOM POISSON(3, 8, 3.5, 10, -2, 3)": (stats.poisson(3.5), 10, -2, 3, 8),
    "POISSON(3.5, 3, 2, 4)": (stats.poisson(3.5), 0, 1, 2, 4),
    "RANDOM BINOMIAL(0.5, 3.5, 0.3, 12, 0, 1, 3)": (stats.binom(12, 0.3), 0, 1, 0.5, 3.5),
    "BINOMIAL(12, 0.3, 3)": (stats.binom(12, 0.3), 0, 1, -INF, INF),
    "RANDOM NEGATIVE BINOMIAL(0, 1000, 0.4, 3, 1, 2, 3)": (
        stats.nbinom(3, 0.4, loc=3),
        1,
        2,
        0,
        1000,
    ),
}


def _underscored(call: str) -> str:
    """The name as XMILE writes it."""
    name, _, arguments = call.partition("(")
    return name.replace(" ", "_") + "(" + arguments


def values(folder: Path, equations: list[str]) -> np.ndarray:
    """Each call at twenty times; what the n-th makes of its uniform number does not change it."""
    path = folder / "model.stmx"
    each = "".join(aux(f"y{k}", _underscored(one)) for k, one in enumerate(equations))
    path.write_text(xmile(each, stop="19"), encoding="utf-8")
    run = load_model(path).simulate(backend="numpy")
    return np.array([run[f"y{k}"].to_numpy() for k in range(len(equations))])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray]:
    """Uniform numbers and draws, of each call and time."""
    folder = tmp_path_factory.mktemp("quantiles")
    return values(folder, ["RANDOM UNIFORM(0, 1, 3)"] * len(CALLS)), values(folder, list(CALLS))


@pytest.mark.parametrize("call", CALLS)
def test_a_draw_is_the_quantile_of_its_uniform_number_between_its_ends(
    found: tuple[np.ndarray, np.ndarray], call: str
) -> None:
    """The share of the upper end less u of what lies between; of a normal, from the lower end."""
    uniform, drawn = (each[list(CALLS).index(call)] for each in found)
    law, shift, stretch, least, most = CALLS[call]
    assert len(np.unique(uniform)) == 20
    low, high = sorted(((least - shift) / stretch, (most - shift) / stretch))
    if stretch < 0:
        assert hasattr(law.dist, "pmf")  # of whole numbers the ends are put in order
    below = low - 1e-9 if hasattr(law.dist, "pmf") else low  # which an end may be
    between = law.cdf(high) - law.cdf(below)
    from_below = law.dist.name == "norm"
    level = law.cdf(low) + uniform * between if from_below else law.cdf(high) - uniform * between
    expected = shift + stretch * law.ppf(level)
    np.testing.assert_allclose(drawn, expected, rtol=1e-9, atol=1e-9)


def test_ends_of_a_uniform_number_and_percents_of_a_chance(tmp_path: Path) -> None:
    calls = ["RANDOM UNIFORM(2, 5, 3)", "UNIFORM(2, 5, 3)", "RANDOM(2, 5, 3)"]
    calls += ["MONTECARLO(20, 3)", "WEIBULL(1.7, 3, 3)"]
    uniform, drawn = (
        values(tmp_path, each) for each in (["RANDOM UNIFORM(0, 1, 3)"] * len(calls), calls)
    )
    np.testing.assert_allclose(drawn[:3], 2.0 + 3.0 * uniform[:3], rtol=1e-12)
    np.testing.assert_array_equal(drawn[3], uniform[3] < 0.2)
    lasting = 3.0 * (-np.log1p(-uniform[4])) ** (1 / 1.7)
    np.testing.assert_allclose(drawn[4], lasting, rtol=1e-9)


def test_a_draw_without_any_width_is_its_shift(tmp_path: Path) -> None:
    calls = ["RANDOM POISSON(0, 9, 3.5, 2, 0, 3)", "RANDOM EXPONENTIAL(0, 9, 2, 0, 3)"]
    np.testing.assert_array_equal(values(tmp_path, calls), np.full((2, 20), 2.0))
