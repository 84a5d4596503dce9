"""Graphical functions and functions that choose among elements, node by node against NumPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, interpolate

from beltcast.engine.language.lookups import (
    area_between,
    area_inside,
    forward_table,
    inverse_table,
    lookup_value,
    slope_table,
)
from beltcast.engine.language.vectors import (
    sort_order,
    vector_lookup,
    vector_rank,
    vector_reorder,
    vector_select,
)
from beltcast.engine.nodes import Node, const
from beltcast.engine.run.numpy_backend import evaluate
from beltcast.engine.syntax import Table


def value(node: Node) -> float:
    return float(np.asarray(evaluate(node, np.empty((0, 1)), 0.0)).ravel()[0])


KNOTS, HEIGHTS = (1.0, 2.0, 4.0, 7.0), (3.0, 5.0, 4.0, -2.0)
AT = np.array([-1.0, 1.0, 1.5, 2.0, 3.9, 4.0, 6.0, 7.0, 9.0])


def curve(kind: str, x: float) -> float:
    """A height of the table by SciPy."""
    if kind == "hold":
        return HEIGHTS[max(int(np.searchsorted(KNOTS, x, side="right")) - 1, 0)]
    inside = x if kind == "extrapolate" else float(np.clip(x, KNOTS[0], KNOTS[-1]))
    line = interpolate.interp1d(KNOTS, HEIGHTS, fill_value="extrapolate")
    return float(line(inside))


@pytest.mark.parametrize("kind", ["interpolate", "extrapolate", "hold"])
def test_a_height_its_slope_and_its_area_are_those_of_the_curve(kind: str) -> None:
    table = Table(KNOTS, HEIGHTS, kind)  # type: ignore[arg-type]  # a plain str
    heights = [curve(kind, x) for x in AT]
    np.testing.assert_allclose(lookup_value(table, AT), heights, rtol=1e-12)
    # At a knot the slope is that of the segment to its right.
    step = 1e-6
    slopes = [(curve(kind, x + 2 * step) - curve(kind, x + step)) / step for x in AT]
    np.testing.assert_allclose(lookup_value(slope_table(table), AT), slopes, atol=1e-8)
    for start, end in itertools.product(AT[::2], AT[1::2]):
        low, high = sorted((start, end))
        breaks = [k for k in KNOTS if low < k < high]
        pieces = itertools.pairwise([low, *breaks, high])
        area = sum(
            integrate.fixed_quad(np.vectorize(lambda x: curve(kind, x)), a, b, n=3)[0]
            for a, b in pieces
        )
        area = area if start <= end else -area
        assert value(area_between(table, const(start), const(end))) == pytest.approx(area)


def test_a_table_of_one_or_two_points_goes_on_as_its_kind_says() -> None:
    for kind, expected in (("interpolate", [3, 3, 5, 5]), ("extrapolate", [1, 3, 5, 7])):
        two = Table((1.0, 2.0), (3.0, 5.0), kind)  # type: ignore[arg-type]  # a plain str
        np.testing.assert_allclose(lookup_value(two, np.arange(4.0)), expected)
        slopes = [2, 2, 2, 2] if kind == "extrapolate" else [0, 2, 0, 0]
        np.testing.assert_allclose(lookup_value(slope_table(two), np.arange(4.0)), slopes)
        one = Table((1.0,), (3.0,), kind)  # type: ignore[arg-type]  # a plain str
        np.testing.assert_allclose(lookup_value(one, np.arange(3.0)), 3.0)
        np.testing.assert_allclose(lookup_value(slope_table(one), np.arange(3.0)), 0.0)
        assert value(area_between(one, const(0.0), const(2.5))) == pytest.approx(7.5)


def test_the_area_of_isee_ends_with_the_table_and_has_no_direction() -> None:
    plain, onwards = Table(KNOTS, HEIGHTS), Table(KNOTS, HEIGHTS, "extrapolate")
    whole = 4.0 + 9.0 + 3.0
    assert value(area_inside(plain)) == pytest.approx(whole)
    assert value(area_inside(plain, const(2.0))) == pytest.approx(4.0)
    assert value(area_inside(plain, const(99.0))) == pytest.approx(whole)
    assert value(area_inside(plain, const(2.0), const(4.0))) == pytest.approx(9.0)
    assert value(area_inside(plain, const(4.0), const(2.0))) == pytest.approx(9.0)
    assert value(area_inside(plain, const(-5.0), const(99.0))) == pytest.approx(whole)
    # Beyond the end the line goes on: from -2 down to -4 in a unit.
    assert value(area_inside(onwards, const(8.0))) == pytest.approx(whole - 3.0)


def test_a_staircase_looks_forward_and_an_inverse_turns_rising_or_falling_tables() -> None:
    ahead = forward_table(Table(KNOTS, HEIGHTS))
    np.testing.assert_allclose(lookup_value(ahead, AT), [3, 3, 5, 5, 4, 4, -2, -2, -2])
    falling = Table(KNOTS, (9.0, 5.0, 4.0, -2.0))
    for heights in (falling.y, falling.y[::-1]):
        inverse = inverse_table(Table(KNOTS, heights))
        np.testing.assert_allclose(lookup_value(inverse, np.array(heights)), KNOTS)
    with pytest.raises(ValueError, match="neither rises nor falls"):
        inverse_table(Table(KNOTS, HEIGHTS))
    with pytest.raises(ValueError, match="neither rises nor falls"):
        inverse_table(Table(KNOTS, (1.0, 2.0, 2.0, 3.0)))


SELECTED, TERMS = [2.0, 0.0, -1.0, 3.0], [5.0, 7.0, 4.0, 1.5]


@pytest.mark.parametrize("action", range(11))
def test_each_action_of_a_selection_is_that_of_numpy_over_the_chosen(action: int) -> None:
    chosen = np.array(SELECTED) != 0
    s, e = np.array(SELECTED)[chosen], np.array(TERMS)[chosen]
    values = s * e if action < 5 else e
    reduce = [np.sum, np.prod, np.min, np.max, np.mean][
        (action - 6) % 6 if action > 5 else action % 5
    ]
    expected = float(np.prod(e**s)) if action == 5 else float(reduce(values))
    pairs = [(const(a), const(b)) for a, b in zip(SELECTED, TERMS, strict=True)]
    found = vector_select(pairs, const(-9.0), const(float(action)), const(0.0))
    assert value(found) == pytest.approx(expected)
    # None chosen: what is missing.
    none = [(const(0.0), const(b)) for b in TERMS]
    assert value(vector_select(none, const(-9.0), const(float(action)), const(0.0))) == -9.0


@pytest.mark.parametrize(
    ("chosen", "wrong"), [(0, {1.0, 3.0}), (1, set()), (2, {2.0, 3.0}), (4, {2.0, 3.0})]
)
@pytest.mark.parametrize("error", [0.0, 1.0, 2.0, 3.0])
def test_a_selection_stops_the_run_where_none_or_several_are_chosen_and_it_is_asked(
    chosen: int, wrong: set[float], error: float
) -> None:
    pairs = [(const(float(k < chosen)), const(term)) for k, term in enumerate(TERMS)]
    found = value(vector_select(pairs, const(-9.0), const(6.0), const(error)))
    assert math.isnan(found) == (error in wrong)


@pytest.mark.parametrize("terms", [[3.0, 1.0, 2.0], [2.0, 1.0, 2.0, 2.0], [1.0, 1.0]])
def test_ranks_and_orders_are_those_of_a_stable_sort(terms: list[float]) -> None:
    nodes = [const(term) for term in terms]
    order = np.argsort(terms, kind="stable")
    ranks = np.argsort(order)
    count = len(terms)
    for k in range(count):
        place = const(float(k))
        assert value(vector_rank(nodes, place, const(1.0))) == ranks[k] + 1
        assert value(sort_order(nodes, place, const(1.0))) == order[k]
        for falling in (0.0, -1.0):
            assert value(vector_rank(nodes, place, const(falling))) == count - ranks[k]
            assert value(sort_order(nodes, place, const(falling))) == order[count - 1 - k]


def test_a_place_is_cut_to_a_whole_number_and_beyond_the_vector_there_is_none() -> None:
    nodes = [const(term) for term in TERMS]
    for order, expected in ((0.0, 5.0), (1.9, 7.0), (3.99, 1.5), (-0.9, 5.0)):
        assert value(vector_reorder(nodes, const(order))) == expected
    for order in (4.0, -1.0):
        assert math.isnan(value(vector_reorder(nodes, const(order))))
        assert value(vector_reorder(nodes, const(order), const(8.0))) == 8.0


@pytest.mark.parametrize("x", [9.0, 10.0, 11.0, 12.0, 13.5, 16.0, 18.0])
def test_a_vector_as_a_lookup_has_its_heights_at_equal_distances(x: float) -> None:
    """Between 10 and 16, two apart."""
    heights = [1.0, 4.0, 6.0, 7.0]
    knots = np.array([10.0, 12.0, 14.0, 16.0])
    nodes = [const(height) for height in heights]

    def looked_up(mode: int, at: float = x) -> float:
        return value(vector_lookup(nodes, const(at), const(10.0), const(16.0), mode))

    inside = float(np.clip(x, 10.0, 16.0))
    held = float(np.interp(x, knots, heights))
    line = float(interpolate.interp1d(knots, heights, fill_value="extrapolate")(x))
    assert looked_up(0) == pytest.approx(held)
    assert looked_up(3) == pytest.approx(line)
    assert looked_up(2) == heights[int((inside - 10) // 2)]
    assert looked_up(4) == heights[math.ceil((inside - 10) / 2)]
    for mode, kind in ((1, "interpolate"), (7, "extrapolate")):
        table = Table(tuple(knots.tolist()), tuple(heights), kind)  # type: ignore[arg-type]  # a plain str
        area = value(area_between(table, const(10.0), const(x)))
        assert looked_up(mode) == pytest.approx(area)
    # Backwards: the argument that has a height.
    assert looked_up(5, held) == pytest.approx(inside)
    assert looked_up(8, line) == pytest.approx(x)
    falling = [const(-height) for height in heights]
    for mode, height in ((5, held), (8, line)):
        found = vector_lookup(falling, const(-height), const(10.0), const(16.0), mode)
        assert value(found) == pytest.approx(inside if mode == 5 else x)
