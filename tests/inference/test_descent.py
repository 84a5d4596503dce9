"""Descents to problems of the literature whose optima are certified, and to what a bound leaves."""

from __future__ import annotations

import numpy as np
import pytest

from beltcast.engine.nodes import FloatArray
from beltcast.inference.descent import (
    LEFT_TO_GAIN,
    NEARBY,
    Descent,
    _bend,
    _damped_inverse,
    _learn,
    _promise,
    _room,
    _step,
    descend,
    descend_all,
)

NOTHING = (np.full(3, -np.inf), np.full(3, np.inf))

# NIST Statistical Reference Datasets, MGH10 (Meyer 1970), https://www.itl.nist.gov/div898/strd/nls/
X = np.arange(50.0, 126.0, 5.0)
Y = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820,
     3307, 2872],
    dtype=float,
)  # fmt: skip
CERTIFIED = np.array([5.6096364710e-3, 6.1813463463e3, 3.4522363462e2])
STANDARD_ERRORS = np.array([1.5687892471e-4, 23.309021107, 0.78486103508])


def meyer(b: FloatArray) -> FloatArray:
    return b[0] * np.exp(b[1] / (X + b[2])) - Y


def meyer_slopes(b: FloatArray) -> FloatArray:
    e = np.exp(b[1] / (X + b[2]))
    return np.column_stack([e, b[0] * e / (X + b[2]), -b[0] * e * b[1] / (X + b[2]) ** 2])


def test_the_bent_valley_of_meyer_is_followed_to_its_certified_end() -> None:
    found = descend(meyer, meyer_slopes, np.array([0.02, 4000.0, 250.0]), NOTHING)
    assert found.converged
    assert np.abs((found.x - CERTIFIED) / STANDARD_ERRORS).max() < 1e-4
    assert 2 * found.costs.min() == pytest.approx(87.945855171, rel=1e-9)


def test_a_bound_across_the_valley_is_where_the_descent_ends() -> None:
    # Kept at b3 <= 340, the best of b1 and b2 is found without bounds by two unknowns alone.
    bounds = (NOTHING[0], np.array([np.inf, np.inf, 340.0]))
    found = descend(meyer, meyer_slopes, np.array([0.02, 4000.0, 250.0]), bounds)
    alone = descend(
        lambda b: meyer(np.append(b, 340.0)),
        lambda b: meyer_slopes(np.append(b, 340.0))[:, :2],
        found.x[:2] * 1.001,
        (NOTHING[0][:2], NOTHING[1][:2]),
    )
    assert found.converged
    assert found.x[2] == 340.0
    assert found.x[:2] == pytest.approx(alone.x, rel=1e-7)


def jennrich(x: FloatArray) -> Descent:
    """Exponentials far from the data, so that J'J is not the curvature."""
    t, y = np.arange(1.0, 11.0), 2.0 + 2.0 * np.arange(1.0, 11.0)

    def residuals(b: FloatArray) -> FloatArray:
        return y - np.exp(t * b[0]) - np.exp(t * b[1])

    def slopes(b: FloatArray) -> FloatArray:
        return -np.column_stack([t * np.exp(t * b[0]), t * np.exp(t * b[1])])

    return descend(residuals, slopes, x, (np.full(2, -np.inf), np.full(2, np.inf)))


def test_large_residuals_take_few_steps() -> None:
    # Jennrich and Sampson (1968), in Moré, Garbow and Hillstrom (1981), problem 6: 124.362 at
    # 0.2578.
    found = jennrich(np.array([0.3, 0.4]))
    assert found.converged
    assert found.x == pytest.approx([0.257825, 0.257825], abs=1e-4)
    assert 2 * found.costs.min() == pytest.approx(124.362, abs=1e-3)
    assert len(found.costs) < 30


def test_a_descent_ends_where_less_than_enough_is_left_to_gain() -> None:
    found = descend(
        lambda x: np.array([x[0] - 1.0, 3.0]),
        lambda x: np.array([[1.0], [0.0]]),
        np.array([5.0]),
        (np.array([-np.inf]), np.array([np.inf])),
    )
    assert found.converged
    assert found.costs.min() - 4.5 < LEFT_TO_GAIN


def test_descents_side_by_side_are_those_of_each_start_alone() -> None:
    starts = np.array([[0.02, 4000.0, 250.0], [0.01, 5000.0, 300.0], [5.6e-3, 6181.0, 345.0]])
    together = descend_all(
        lambda b: np.array([meyer(one) for one in b]),
        lambda b: np.array([meyer_slopes(one) for one in b]),
        starts,
        NOTHING,
    )
    for start, found in zip(starts, together, strict=True):
        alone = descend(meyer, meyer_slopes, start, NOTHING)
        np.testing.assert_array_equal(found.costs, alone.costs)
        np.testing.assert_array_equal(found.x, alone.x)


def test_a_bound_that_is_missed_by_rounding_does_not_end_a_descent() -> None:
    # One ulp below the bound a step along it has no room, and would promise nothing.
    def residuals(x: FloatArray) -> FloatArray:
        return np.array([x[0] - 1.0, x[1] - 3.0])

    bounds = (np.full(2, -np.inf), np.array([0.3, np.inf]))
    start = np.array([np.nextafter(0.3, 0.0), 0.0])
    found = descend(residuals, lambda x: np.eye(2), start, bounds)
    assert found.x == pytest.approx([0.3, 3.0])


def test_the_bend_of_a_valley_is_half_its_acceleration() -> None:
    """Residuals of the second degree along a step s: their second derivative is s'Hs."""
    rng = np.random.default_rng(4)
    slope, hessian = rng.standard_normal((3, 2)), rng.standard_normal((3, 2, 2))
    hessian += np.swapaxes(hessian, 1, 2)
    r, step, inverse = rng.standard_normal(3), np.array([0.7, -2.0]), np.diag([0.5, 3.0])

    def residuals(x: FloatArray) -> FloatArray:
        return r + slope @ x + 0.5 * np.einsum("kij,i,j->k", hessian, x, x)

    second = np.einsum("kij,i,j->k", hessian, step, step)
    np.testing.assert_allclose(
        _bend(residuals(NEARBY * step), step, r, slope, inverse),
        -0.5 * inverse @ slope.T @ second,
    )


def test_a_quadratic_cost_falls_by_what_is_promised() -> None:
    curvature, at, step = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([1.0, -2.0]), [0.5, 0.25]

    def cost(x: FloatArray) -> float:
        return float(0.5 * x @ curvature @ x)

    fall = cost(at) - cost(at + step)
    assert _promise(np.array(step), curvature @ at, curvature) == pytest.approx(fall)


@pytest.mark.parametrize(
    ("step", "part"),
    [
        ([1.0, 1.0], 1.0),
        ([4.0, 1.0], 0.75),
        ([3.0, -5.0], 1.0),
        ([3.0, -10.0], 0.5),
        ([-16.0, 0.0], 0.5),
        ([0.0, 0.0], 1.0),
    ],
)
def test_a_step_ends_at_the_nearest_bound(step: list[float], part: float) -> None:
    lower, upper = np.array([-6.0, -2.0]), np.array([5.0, np.inf])
    assert _room(np.array([2.0, 3.0]), np.array(step), lower, upper) == part


def test_a_damped_step_has_the_length_of_the_radius_and_a_short_one_is_newtons() -> None:
    curvature, gradient = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([4.0, -7.0])
    newton = np.linalg.solve(curvature, gradient)
    whole = _damped_inverse(gradient, curvature, 1.001 * float(np.linalg.norm(newton)))
    np.testing.assert_allclose(whole, np.linalg.inv(curvature), rtol=1e-9)
    for radius in (0.1, 1.0, 0.9 * float(np.linalg.norm(newton))):
        inverse = _damped_inverse(gradient, curvature, radius)
        assert np.linalg.norm(inverse @ gradient) == pytest.approx(radius)
        # It is the inverse of the curvature with the same number added to its whole diagonal.
        added = np.linalg.inv(inverse) - curvature
        np.testing.assert_allclose(added, added[0, 0] * np.eye(2), atol=1e-9 * abs(added).max())


def test_a_negative_curvature_is_damped_until_it_is_positive() -> None:
    curvature, gradient = np.diag([-2.0, 5.0]), np.array([1.0, 1.0])
    inverse = _damped_inverse(gradient, curvature, 0.5)
    assert np.linalg.norm(inverse @ gradient) == pytest.approx(0.5)
    assert (np.linalg.eigvalsh(inverse) > 0).all()


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_a_learnt_curvature_gives_back_the_step_it_was_learnt_from(size: float) -> None:
    """Dennis, Gay and Welsch: symmetric, and its product with the step is the part by second order.

    Before that it is sized down, if along the step it is larger than that part.
    """
    rng = np.random.default_rng(5)
    before = size * np.diag([1.0, 2.0, 3.0])
    step, by_second, change = rng.standard_normal((3, 3))
    after = _learn(before, step, by_second, change)
    np.testing.assert_allclose(after, after.T, atol=1e-12)
    np.testing.assert_allclose(after @ step, by_second, rtol=1e-9)
    # Across the step and the change of the gradient nothing is learnt.
    across = np.cross(step, change)
    sizing = min(1.0, abs(step @ by_second) / (step @ before @ step))
    assert across @ after @ across == pytest.approx(sizing * (across @ before @ across))
    np.testing.assert_array_equal(
        _learn(before, step, by_second, np.cross(step, across) * 0), before
    )


def test_a_step_leaves_out_what_a_bound_forbids() -> None:
    """At a lower bound beyond which the cost falls, and at an upper one by way of a coupling."""
    curvature, unit = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 1.8], [0.0, 1.8, 2.0]]), np.ones(3)
    lower, upper = np.array([0.0, -9.0, -9.0]), np.array([9.0, 9.0, 1.0])
    x, gradient = np.array([0.0, 0.0, 1.0]), np.array([4.0, 3.0, 2.0])
    step, inverse = _step(x, gradient, curvature, unit, 100.0, lower, upper)
    # Free are the second and third; the third alone would go up: 1.8 * 3 - 2 * 2 > 0, and stays.
    np.testing.assert_allclose(step, [0.0, -1.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(inverse, np.diag([0.0, 0.5, 0.0]), atol=1e-12)
    within, _ = _step(
        x + np.array([1.0, 0.0, -1.0]), gradient, curvature, unit, 100.0, lower, upper
    )
    np.testing.assert_allclose(within, -np.linalg.solve(curvature, gradient))
