"""RANDOM functions of both dialects: their distributions, and what a draw depends on.

A distribution is compared with SciPy's by Kolmogorov's distance.  For a distribution with jumps the
same limit is on the safe side (the distance is then smaller).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from beltcast import load_model
from beltcast.engine.language.distributions import DISTRIBUTIONS, uniform_value
from beltcast.engine.language.primitives import PRIMITIVES
from beltcast.engine.language.random_functions import normal_quantile, normal_share, weibull_draw
from beltcast.engine.nodes import Apply, Const, FloatArray, Node, const
from beltcast.engine.run.prepare import Backend
from beltcast.errors import ModelFileError, SimulationError, UnsupportedConstruct
from beltcast.model.model import Model

from .. import xmile_texts
from ..small_models import small

MEMBERS = 200
"""Each with a seed of its own: 21 times of each make 4,200 draws."""

FAR = 0.0301
"""Kolmogorov's distance of 4,200 draws passes this once in a thousand times."""


def draws(model: Model, label: str, backend: Backend, seeds: FloatArray) -> FloatArray:
    """Draws of one variable, (times, seeds)."""
    return model.batch(
        model.rows("NOISE SEED"),
        seeds[None, :],
        outputs=model.rows(label),
        saves=model.grid().saved(),
        backend=backend,
    )[:, 0]


def vensim(folder: Path, **equations: str) -> Model:
    written = (f"{name} = {equation}" for name, equation in equations.items())
    return small(folder, "NOISE SEED = 7", *written, TIME_STEP="1", FINAL_TIME="20")


def distance(sample: FloatArray, below: Callable[[FloatArray], FloatArray]) -> float:
    """Largest distance between the share of a sample and of a distribution at or below a value."""
    values = np.unique(sample)
    own = np.searchsorted(np.sort(sample, axis=None), values, side="right") / sample.size
    return float(np.abs(own - below(values)).max())


Law = Callable[[FloatArray], FloatArray]


def cut(law: Law, least: float, most: float) -> Law:
    """Share at or below a value, of those between two ends (just below the first of them)."""
    first, last = law(np.array([np.nextafter(least, -math.inf), most]))
    return lambda x: (law(x) - first) / (last - first)


VENSIM: dict[str, tuple[str, Law]] = {
    "UNIFORM": ("RANDOM UNIFORM(2, 5, 0)", stats.uniform(2, 3).cdf),
    "0 1": ("RANDOM 0 1()", stats.uniform(0, 1).cdf),
    "NORMAL": ("RANDOM NORMAL(-1, 4, 1, 2, 3)", stats.truncnorm(-1, 1.5, 1, 2).cdf),
    "EXPONENTIAL": ("RANDOM EXPONENTIAL(0, 100, 0, 2, 0)", stats.expon(scale=2).cdf),
    "EXPONENTIAL cut": ("RANDOM EXPONENTIAL(1, 3, 0.5, 2, 0)", cut(stats.expon(0.5, 2).cdf, 1, 3)),
    "GAMMA": ("RANDOM GAMMA(0, 1e9, 2.5, 1, 3, 0)", stats.gamma(2.5, 1, 3).cdf),
    "GAMMA cut": ("RANDOM GAMMA(4, 9, 2.5, 1, 3, 0)", cut(stats.gamma(2.5, 1, 3).cdf, 4, 9)),
    # Vensim takes an order below 1 for 1.
    "GAMMA of order 1": ("RANDOM GAMMA(0, 1e9, 0.2, 0, 1, 0)", stats.expon.cdf),
    "BETA": ("RANDOM BETA(-9, 9, 2, 5, -1, 4, 0)", stats.beta(2, 5, -1, 4).cdf),
    "BETA cut": ("RANDOM BETA(0, 1, 2, 5, -1, 4, 0)", cut(stats.beta(2, 5, -1, 4).cdf, 0, 1)),
    "WEIBULL": (
        "RANDOM WEIBULL(0, 1e9, 2, 1, 3, 0)",
        stats.weibull_min(2, 1, 3 / math.gamma(1.5)).cdf,
    ),
    "TRIANGULAR": ("RANDOM TRIANGULAR(-9, 9, 1, 2, 5, 0)", stats.triang(0.25, 1, 4).cdf),
    "TRIANGULAR cut": (
        "RANDOM TRIANGULAR(1.5, 4, 1, 2, 5, 0)",
        cut(stats.triang(0.25, 1, 4).cdf, 1.5, 4),
    ),
    "TRIANGULAR, peak at the start": (
        "RANDOM TRIANGULAR(-9, 9, 1, 1, 5, 0)",
        stats.triang(0, 1, 4).cdf,
    ),
    "POISSON": ("RANDOM POISSON(0, 1e9, 3.5, 0, 1, 0)", stats.poisson(3.5).cdf),
    "POISSON of many": ("RANDOM POISSON(0, 1e9, 4000, 0, 1, 0)", stats.poisson(4000).cdf),
    "POISSON cut": ("RANDOM POISSON(2, 4, 3.5, 0, 1, 0)", cut(stats.poisson(3.5).cdf, 2, 4)),
    # 10 - 2 k between 3 and 8: k of 1, 2 or 3.
    "POISSON turned round": (
        "(10 - RANDOM POISSON(3, 8, 3.5, 10, -2, 0))/2",
        cut(stats.poisson(3.5).cdf, 1, 3),
    ),
    "BINOMIAL": ("RANDOM BINOMIAL(0, 99, 0.3, 12, 0, 1, 0)", stats.binom(12, 0.3).cdf),
    "BINOMIAL cut": (
        "RANDOM BINOMIAL(0.5, 3.5, 0.3, 12, 0, 1, 0)",
        cut(stats.binom(12, 0.3).cdf, 0.5, 3.5),
    ),
    # SciPy counts the failures before the third success; Vensim all trials.
    "NEGATIVE BINOMIAL": (
        "RANDOM NEGATIVE BINOMIAL(0, 1e9, 0.4, 3, 0, 1, 0)",
        stats.nbinom(3, 0.4, loc=3).cdf,
    ),
}


@pytest.mark.parametrize("name", VENSIM)
def test_a_random_number_of_vensim_has_its_distribution(
    name: str, tmp_path: Path, backend: Backend
) -> None:
    equation, law = VENSIM[name]
    sample = draws(vensim(tmp_path, y=equation), "y", backend, np.arange(float(MEMBERS)))
    assert sample.size == 4200
    assert distance(sample, law) < FAR


# The members have seeds as their streams: XMILE has no seed of the whole model.
XMILE: dict[str, tuple[str, Law]] = {
    "UNIFORM": ("UNIFORM(2, 5, seed)", stats.uniform(2, 3).cdf),
    "NORMAL": ("NORMAL(1, 2, seed)", stats.norm(1, 2).cdf),
    "EXPRND": ("EXPRND(2, seed)", stats.expon(scale=2).cdf),
    "EXPRND cut": ("EXPRND(2, seed, 1, 3)", cut(stats.expon(scale=2).cdf, 1, 3)),
    "POISSON": ("POISSON(3.5, seed)", stats.poisson(3.5).cdf),
    "POISSON cut": ("POISSON(3.5, seed, 2, 4)", cut(stats.poisson(3.5).cdf, 2, 4)),
    "BETA": ("BETA(2, 5, seed)", stats.beta(2, 5).cdf),
    "BINOMIAL": ("BINOMIAL(12, 0.3, seed)", stats.binom(12, 0.3).cdf),
    "GAMMA": ("GAMMA(0.5, 3, seed)", stats.gamma(0.5, scale=3).cdf),
    "TRIANGULAR": ("TRIANGULAR(1, 2, 5, seed)", stats.triang(0.25, 1, 4).cdf),
    "WEIBULL": ("WEIBULL(2, 3, seed)", stats.weibull_min(2, scale=3).cdf),
    # 20 per cent a unit of time, in steps of 1.
    "MONTECARLO": ("MONTECARLO(20, seed)", stats.bernoulli(0.2).cdf),
}


@pytest.mark.parametrize("name", XMILE)
def test_a_random_number_of_xmile_has_its_distribution(name: str, tmp_path: Path) -> None:
    equation, law = XMILE[name]
    variables = xmile_texts.aux("NOISE SEED", "7") + xmile_texts.aux("seed", "1")
    path = xmile_texts.write(tmp_path, variables + xmile_texts.aux("y", equation))
    path.write_text(path.read_text().replace("<stop>4</stop>", "<stop>20</stop>"))
    sample = draws(load_model(path), "y", "numpy", np.arange(float(MEMBERS)))
    assert distance(sample, law) < FAR


@pytest.mark.parametrize(("step", "chance"), [("0.5", 0.2), ("0.25", 0.1), ("2", 0.8)])
def test_a_monte_carlo_event_comes_with_a_rate_whatever_the_step(
    step: str, chance: float, tmp_path: Path
) -> None:
    """40 per cent a unit of time: events a unit of time do not depend on the step."""
    variables = xmile_texts.aux("NOISE SEED", "7") + xmile_texts.aux("seed", "1")
    path = xmile_texts.write(tmp_path, variables + xmile_texts.aux("y", "MONTECARLO(40, seed)"))
    text = path.read_text().replace("<stop>4</stop>", "<stop>20</stop>")
    path.write_text(text.replace("<dt>1</dt>", f"<dt>{step}</dt>"))
    sample = draws(load_model(path), "y", "numpy", np.arange(float(MEMBERS)))
    assert set(np.unique(sample)) == {0.0, 1.0}
    assert sample.mean() == pytest.approx(chance, abs=4 * np.sqrt(0.25 / sample.size))


@pytest.mark.parametrize(
    ("equation", "words"),
    [
        ("LOGNORMAL(0, 1)", r"LOGNORMAL is not supported; .* write EXP\(NORMAL"),
        ("GEOMETRIC(0.5)", "GEOMETRIC is not supported; it is not said"),
        ("PARETO(1, 2)", "PARETO is not supported; the order"),
    ],
)
def test_what_is_not_certain_is_refused_with_what_works(
    equation: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedConstruct, match=words):
        load_model(xmile_texts.write(tmp_path, xmile_texts.aux("y", equation)))


def test_a_draw_takes_a_stream_as_its_last_argument(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="RANDOM POISSON takes 6 arguments and is given 5"):
        vensim(tmp_path, y="RANDOM POISSON(0, 9, 1, 0, 1)")


# --- what a draw depends on -------------------------------------------------------------------


def test_two_calls_and_two_times_are_independent(tmp_path: Path) -> None:
    model = vensim(tmp_path, u="RANDOM UNIFORM(2, 5, 0)", v="RANDOM UNIFORM(2, 5, 0)")
    u, v = (draws(model, name, "numpy", np.arange(float(MEMBERS))) for name in ("u", "v"))
    # Four deviations of a correlation of 4,000 independent pairs are 0.063.
    assert abs(np.corrcoef(u.ravel(), v.ravel())[0, 1]) < 0.063
    assert abs(np.corrcoef(u[1:].ravel(), u[:-1].ravel())[0, 1]) < 0.063
    assert abs(np.corrcoef(u[:, 1:].ravel(), u[:, :-1].ravel())[0, 1]) < 0.063


@pytest.mark.parametrize("equation", ["RANDOM NORMAL(-1, 4, 1, 2, 3)", VENSIM["POISSON"][0]])
def test_random_numbers_depend_on_the_seed_alone(
    equation: str, tmp_path: Path, backend: Backend
) -> None:
    out = draws(vensim(tmp_path, y=equation), "y", backend, np.array([1.0, 2.0, 1.0]))
    assert np.array_equal(out[:, 0], out[:, 2])
    assert np.any(out[:, 0] != out[:, 1])


@pytest.mark.parametrize("name", ["0 1", "GAMMA", "BETA", "POISSON", "BINOMIAL"])
def test_both_back_ends_draw_the_same_bits(name: str, tmp_path: Path) -> None:
    model = vensim(tmp_path, y=VENSIM[name][0])
    seeds = np.arange(20.0)
    plain, compiled = (draws(model, "y", b, seeds) for b in ("numpy", "llvm"))
    assert np.array_equal(plain, compiled)


def test_the_mixing_is_that_of_splitmix64() -> None:
    # First output of splitmix64 seeded with 0 (Steele, Lea and Flood 2014): 0xE220A8397B1DCDAF.
    assert uniform_value(np.array([0.0]))[0] == (0xE220A8397B1DCDAF >> 11) * 2.0**-53


@pytest.mark.parametrize(
    "equation",
    [
        "RANDOM POISSON(0, 9, -1, 0, 1, 0)",
        "RANDOM BINOMIAL(0, 9, 0.5, 2.5, 0, 1, 0)",
        "RANDOM BINOMIAL(0, 9, 1.5, 2, 0, 1, 0)",
        "RANDOM NEGATIVE BINOMIAL(0, 9, 0, 2, 0, 1, 0)",
        "RANDOM BETA(0, 9, -1, 2, 0, 1, 0)",
        "RANDOM TRIANGULAR(0, 9, 3, 2, 1, 0)",
        "RANDOM GAMMA(-9, -1, 2, 0, 1, 0)",  # nothing lies between these ends
        "RANDOM POISSON(0.2, 0.8, 2, 0, 1, 0)",
    ],
)
def test_what_describes_no_distribution_stops_the_run(
    equation: str, tmp_path: Path, backend: Backend
) -> None:
    with pytest.raises(SimulationError, match="'y' is nan at time 0"):
        vensim(tmp_path, y=equation).simulate(backend=backend)


# --- derivatives ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "equation",
    [
        "RANDOM UNIFORM(k, 3*k, 1)",
        "RANDOM NORMAL(-k, 3, k, 2, 1)",
        "RANDOM EXPONENTIAL(k, 5, 0, k, 1)",
        "RANDOM GAMMA(k, 9, 2.5, k/2, k, 1)",
        "RANDOM BETA(0.1*k, 9, 2, 3, 0, k, 1)",
        "RANDOM WEIBULL(0, 9, k, 0, k, 1)",
        "RANDOM TRIANGULAR(k, 9, 1, k + 1, 5*k, 1)",
        "GAMMA LN(k + 1)",
    ],
)
def test_a_derivative_holds_the_chance_fixed(
    equation: str, tmp_path: Path, backend: Backend
) -> None:
    model = small(tmp_path, "k = 1.5", f"y = {equation}", TIME_STEP="1")
    rows, saves = model.rows("y"), model.grid().saved()

    def at(k: float) -> FloatArray:
        return model.batch(
            model.rows("k"), np.array([[k]]), outputs=rows, saves=saves, backend=backend
        )[:, 0, 0]

    exact = model.batch(
        model.rows("k"), np.array([[1.5]]), outputs=rows, saves=saves,
        directions=np.array([0]), backend=backend,
    )[:, 0, 0, 1]  # fmt: skip
    slope = (at(1.5 + 1e-5) - at(1.5 - 1e-5)) / 2e-5
    np.testing.assert_allclose(exact, slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("equation", "words"),
    [
        ("RANDOM POISSON(0, 99, k, 0, 1, 0)", "a poisson distribution, whose numbers jump, has no"),
        ("RANDOM GAMMA(0, 99, k + 1, 0, 1, 0)", "a gamma distribution by its shape has no"),
    ],
)
def test_a_derivative_that_is_undefined_is_refused(
    equation: str, words: str, tmp_path: Path
) -> None:
    model = small(tmp_path, "k = 1.5", f"y = {equation}", TIME_STEP="1")
    with pytest.raises(UnsupportedConstruct, match=words):
        model.batch(
            model.rows("k"), np.array([[1.5]]), outputs=model.rows("y"), saves=[0.0],
            directions=np.array([0]),
        )  # fmt: skip


# --- distributions ----------------------------------------------------------------------------


def evaluate(node: Node) -> FloatArray:
    if isinstance(node, Const):
        return node.values
    assert isinstance(node, Apply)
    with np.errstate(all="ignore"):
        return PRIMITIVES[node.op].value(*map(evaluate, node.arguments))


def test_the_normal_distribution_and_its_inverse_are_those_of_scipy() -> None:
    x = np.linspace(-12, 12, 2001)
    share = evaluate(normal_share(Const(x)))
    np.testing.assert_allclose(share, stats.norm.cdf(x), rtol=0, atol=1e-15)
    p = np.concatenate([np.logspace(-16, -1, 500), 1 - np.logspace(-15, -1, 500)])
    np.testing.assert_allclose(evaluate(normal_quantile(Const(p))), stats.norm.ppf(p), rtol=1e-12)


COUNTS = {
    "poisson": st.tuples(st.floats(0, 1e5)),
    "binomial": st.tuples(st.floats(0, 1), st.integers(0, 2000).map(float)),
    "waiting": st.tuples(st.floats(1e-3, 1), st.integers(1, 300).map(float)),
}


@pytest.mark.parametrize("name", COUNTS)
@given(data=st.data(), p=st.floats(1e-12, 1 - 1e-12))
@settings(max_examples=100, deadline=None)
def test_a_count_is_the_smallest_with_its_share(name: str, data: st.DataObject, p: float) -> None:
    law = DISTRIBUTIONS[name]
    parameters = [np.array([a]) for a in data.draw(COUNTS[name])]
    count = law.quantile(np.array([p]), *parameters)
    assert count == np.floor(count)
    assert law.share(count, *parameters) >= p
    assert count == 0 or law.share(count - 1, *parameters) < p


@pytest.mark.parametrize(
    ("name", "law"), [("gamma", stats.gamma(2.5)), ("beta", stats.beta(2.5, 0.7))]
)
def test_the_slope_of_a_share_is_the_density(name: str, law: stats.rv_continuous) -> None:
    x = np.array([0.1, 0.4, 0.9])
    shapes = [const(shape) for shape in law.args]
    share, quantile = PRIMITIVES[f"{name} share"], PRIMITIVES[f"{name} quantile"]
    seeds: list[Node | None] = [const(1.0), *(None for _ in shapes)]
    slope = share.derivative([Const(x), *shapes], const(0.0), seeds)
    assert slope is not None
    np.testing.assert_allclose(evaluate(slope), law.pdf(x), rtol=1e-13)
    slope = quantile.derivative([Const(law.cdf(x)), *shapes], Const(x), seeds)
    assert slope is not None
    np.testing.assert_allclose(evaluate(slope), 1 / law.pdf(x), rtol=1e-13)


def test_a_weibull_of_vensim_has_mean_one() -> None:
    # The median is scale ln(2)^(1 / shape), and the mean scale Gamma(1 + 1 / shape).
    u, least, most = (const(x) for x in (0.5, -math.inf, math.inf))
    middle = weibull_draw(u, least, most, const(3.0), const(0.0), const(1.0))
    expected = math.log(2) ** (1 / 3) / math.gamma(4 / 3)
    np.testing.assert_allclose(evaluate(middle), expected, rtol=1e-14)


def test_the_far_tail_of_the_normal_distribution_keeps_its_digits() -> None:
    """Beyond seven standard deviations a continued fraction takes over; at 37 it ends."""
    x = -np.concatenate([np.linspace(5.0, 7.07, 40), np.linspace(7.08, 36.0, 200)])
    np.testing.assert_allclose(evaluate(normal_share(Const(x))), stats.norm.cdf(x), rtol=2e-7)
