"""Functions over subscripts: sums, vectors, matrices, allocation; numbers by hand or NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast.engine.language.array_functions import (
    allocate_available,
    allocate_by_priority,
    market_price,
    rate_of_return,
)
from beltcast.engine.nodes import MISSING, FloatArray
from beltcast.engine.run.prepare import Backend
from beltcast.errors import SimulationError

from .language_models import close, model_of, values, values_of

VECTOR = "dim: A, B, C, D ~~|\nx[dim] = 3, 1, 4, 1.5 ~~|\n"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("VECTOR SORT ORDER(x[dim], 1)", [1, 3, 0, 2]),
        ("VECTOR SORT ORDER(x[dim], -1)", [2, 0, 3, 1]),
        ("VECTOR RANK(x[dim], 1)", [3, 1, 4, 2]),
        ("VECTOR RANK(x[dim], 0)", [2, 4, 1, 3]),
    ],
)
def test_vectors_are_sorted_along_their_last_subscript(
    expression: str, expected: list[float], tmp_path: Path, backend: Backend
) -> None:
    model = model_of(tmp_path, f"{VECTOR}y[dim] = {expression} ~~|", end=1)
    close(values(model, "y", backend)[0], expected)


def test_a_reordered_vector_is_sorted(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        f"{VECTOR}o[dim] = VECTOR SORT ORDER(x[dim]*Time, 1) ~~|\n"
        "y[dim] = VECTOR REORDER(x[dim], o[dim]) ~~|",
        end=1,
    )
    close(values(model, "y", backend)[1], [1, 1.5, 3, 4])


@pytest.mark.parametrize(
    ("action", "expected"),
    # selection 0, 2, 3, 1 of the expression 3, 1, 4, 1.5
    [
        (0, 2 + 12 + 1.5),
        (1, 2 * 12 * 1.5),
        (2, 1.5),
        (3, 12),
        (4, (2 + 12 + 1.5) / 3),
        (5, 1**2 * 4**3 * 1.5),
        (6, 6.5),
        (7, 6),
        (8, 1),
        (9, 4),
        (10, 6.5 / 3),
    ],
)
def test_vector_select_acts_on_what_is_selected(
    action: int, expected: float, tmp_path: Path, backend: Backend
) -> None:
    model = model_of(
        tmp_path,
        f"{VECTOR}s[dim] = 0, 2, 3, 1 ~~|\nnone[dim] = 0 ~~|\n"
        f"y = VECTOR SELECT(s[dim!], x[dim!], -9, {action}, 0) ~~|\n"
        f"z = VECTOR SELECT(s[dim!], x[dim!], -9, Time + {action}, 0) ~~|\n"
        f"m = VECTOR SELECT(none[dim!], x[dim!], -9, {action}, 0) ~~|",
        end=1,
    )
    close(values(model, "y", backend)[0], expected)
    close(values(model, "z", backend)[0], expected)
    close(values(model, "m", backend)[0], -9)


@pytest.mark.parametrize("action", ["11", "-1", "0.5", "11 + 0*Time", "10.5 + 0*Time"])
def test_vector_select_has_no_action_beyond_ten_and_none_between(
    action: str, tmp_path: Path
) -> None:
    model = model_of(tmp_path, f"{VECTOR}y = VECTOR SELECT(x[dim!], x[dim!], -9, {action}, 0) ~~|")
    with pytest.raises(SimulationError, match=r"'y' is nan"):
        model.simulate(backend="numpy")


@pytest.mark.parametrize(
    ("error", "stops"), [(0, ()), (1, ("none",)), (2, ("two",)), (3, ("none", "two"))]
)
def test_vector_select_stops_where_its_error_action_asks_for_it(
    error: int, stops: tuple[str, ...], tmp_path: Path
) -> None:
    """1: nothing is selected; 2: more than one; 3: either."""
    for chosen, selection, value in (
        ("none", "0, 0, 0, 0", -9.0),
        ("one", "0, 1, 0, 0", 1.0),
        ("two", "0, 1, 1, 0", 5.0),
    ):
        model = model_of(
            tmp_path,
            f"{VECTOR}s[dim] = {selection} ~~|\n"
            f"y = VECTOR SELECT(s[dim!], x[dim!], -9, 0, {error}) ~~|",
        )
        if chosen in stops:
            with pytest.raises(SimulationError, match=r"'y' is nan"):
                model.simulate(backend="numpy")
        else:
            assert model.simulate(backend="numpy")["y"].values[0] == value


def test_an_inverse_times_its_matrix_is_one(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "r: A, B ~~|\nc: K, L ~~|\nm[r, c] = 2, 1; 1, 3; ~~|\n"
        "t[r, c] = m[r, c] + Time ~~|\ni[r, c] = INVERT MATRIX(t[r, c], 2) ~~|",
        end=1,
    )
    t, i = values_of(model, ["t", "i"], backend)
    for k in range(2):
        close(t[k].reshape(2, 2) @ i[k].reshape(2, 2), np.eye(2))


def test_a_matrix_without_inverse_stops_the_run(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        "r: A, B ~~|\nc: K, L ~~|\nm[r, c] = 1, 1; 1, 1; ~~|\n"
        "i[r, c] = INVERT MATRIX(m[r, c], 2) ~~|",
    )
    with pytest.raises(SimulationError, match=r"'i\[A, K\]' is nan"):
        model.simulate()


def test_a_priority_takes_all_where_it_is_far_above(tmp_path: Path, backend: Backend) -> None:
    model = model_of(
        tmp_path,
        "d: A, B, C ~~|\nask[d] = 5, 4, 3 ~~|\nrank[d] = 1, 9, 5 ~~|\n"
        "far[d] = ALLOCATE BY PRIORITY(ask[d], rank[d], ELMCOUNT(d), 1, 6) ~~|\n"
        "same[d] = ALLOCATE BY PRIORITY(ask[d], ask[d]*0, ELMCOUNT(d), 1, 6) ~~|",
        end=1,
    )
    far, same = values_of(model, ["far", "same"], backend)
    close(far[0], [0, 4, 2])
    close(same[0], [2.5, 2, 1.5])


@pytest.mark.parametrize("seed", range(6))
def test_an_allocation_by_priority_is_a_level_that_sinks_through_bands(seed: int) -> None:
    """Each request is spread evenly over a band of the width below its priority (Vensim's manual).

    What lies above one level is served; bisection finds the level at which that is the supply.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    request, priority = rng.uniform(0, 5, (n, 1)), rng.uniform(-2, 2, (n, 1)).round(1)
    request[rng.random(n) < 0.2] = 0.0
    width, supply = rng.uniform(0.1, 3.0, (1, 1)), rng.uniform(0.0, 1.2, (1, 1)) * request.sum()

    def served(level: float) -> np.ndarray:
        return request * np.clip((priority - level) / width, 0.0, 1.0)

    high, low = 3.0, -6.0
    for _ in range(200):
        level = 0.5 * (high + low)
        high, low = (level, low) if served(level).sum() < supply.item() else (high, level)
    got = allocate_by_priority(request, priority, width, supply)
    np.testing.assert_allclose(got, served(level), atol=1e-9)


@pytest.mark.parametrize("wrong", [(-1.0, 1.0, 6.0), (5.0, 0.0, 6.0), (5.0, 1.0, -0.1)])
def test_an_allocation_of_what_cannot_be_is_not_a_number(wrong: tuple[float, ...]) -> None:
    ask, width, supply = (np.array([[x]]) for x in wrong)
    both = np.array([[ask.item()], [4.0]])
    assert np.isnan(allocate_by_priority(both, both * 0.0, width, supply)).all()
    assert np.isfinite(allocate_by_priority(abs(both), both * 0.0, width + 1, abs(supply))).all()


@pytest.mark.parametrize("shape", [1, 2, 3, 4])
def test_equal_priorities_share_a_supply_by_request(
    shape: int, tmp_path: Path, backend: Backend
) -> None:
    model = model_of(
        tmp_path,
        "d: A, B ~~|\np: kind, priority, width, extra ~~|\nask[d] = 6, 2 ~~|\n"
        f"pp[A, p] = {shape}, 5, 2, 0 ~~|\npp[B, p] = {shape}, 5, 2, 0 ~~|\n"
        "got[d] = ALLOCATE AVAILABLE(ask[d], pp[d, kind], Time*4) ~~|",
        end=3,
    )
    out = values(model, "got", backend)
    np.testing.assert_allclose(out, [[0, 0], [3, 1], [6, 2], [6, 2]], rtol=1e-9)


def test_a_long_sum_is_a_loop_with_the_value_and_derivative_of_the_written_sum(
    tmp_path: Path, backend: Backend
) -> None:
    """201 elements, an odd number at every halving but the last: 201, 101, 51, 26, 13, 7, 4, 2."""
    model = model_of(
        tmp_path,
        "k = 1.5 ~~|\nA: (A1-A201) ~~|\nB: P, Q ~~|\nbase[B] = 1, 2 ~~|\n"
        "w[A] = A ~~|\ns[B] = SUM(k*w[A!]^base[B]) ~~|\n"
        "p = PROD(1 + k/(w[A!] + 0*Time)/100) ~~|\nlow = VMIN(ABS(w[A!] - 77.25)*k) ~~|\n"
        "high = VMAX(w[A!]*k - w[A!]*w[A!]/100) ~~|\nboth = SUM(w[A!]*base[B!]) ~~|",
    )
    n = np.arange(1, 202, dtype=float)

    def expected(k: float) -> FloatArray:
        return np.array([
            (k * n).sum(),
            (k * n**2).sum(),
            np.prod(1 + k / n / 100),
            0.25 * k,
            (n * k - n * n / 100).max(),
            3 * n.sum(),
        ])  # fmt: skip

    rows = np.concatenate([model.rows(name) for name in ("s", "p", "low", "high", "both")])
    out = model.batch(
        model.rows("k"), np.array([[1.5]]), outputs=rows, saves=[0.0],
        directions=np.array([0]), backend=backend,
    )[0, :, 0]  # fmt: skip
    np.testing.assert_allclose(out[:, 0], expected(1.5), rtol=1e-13)
    slope = (expected(1.5 + 1e-6) - expected(1.5 - 1e-6)) / 2e-6
    np.testing.assert_allclose(out[:, 1], slope, rtol=1e-8, atol=1e-8)


def level_of(request, priority, width, supply) -> np.ndarray:
    """What each rectangular curve gives at the price at which together they give the supply."""

    def served(price: float) -> np.ndarray:
        return request * np.clip(0.5 - (price - priority) / width, 0.0, 1.0)

    low, high = (priority - width).min(), (priority + width).max()
    for _ in range(200):
        price = 0.5 * (low + high)
        low, high = (price, high) if served(price).sum() > supply else (low, price)
    return served(price)


@pytest.mark.parametrize("scale", [1e-4, 0.01, 1.0, 1e4])
@pytest.mark.parametrize("amount", [1e-3, 1.0, 1e3])
def test_an_allocation_knows_no_unit_of_priorities_and_amounts(scale: float, amount: float) -> None:
    request, supply = np.array([5.0, 4.0, 3.0, 2.0]), 7.0
    priority, width = np.array([1.0, 2.0, 1.5, -1.0]), np.array([2.0, 1.0, 0.5, 3.0])
    for shape in (1.0, 2.0, 3.0, 4.0):
        one, other = (
            allocate_available(
                *(a[:, None] for a in (by * request, np.full(4, shape), to * priority, to * width)),
                np.zeros((1, 1)),
                np.array([[by * supply]]),
            )[:, 0]
            for by, to in ((1.0, 1.0), (amount, scale))
        )
        np.testing.assert_allclose(other, amount * one, rtol=1e-9)
        assert one.sum() == pytest.approx(supply)
        if shape == 1.0:
            np.testing.assert_allclose(one, level_of(request, priority, width, supply), rtol=1e-9)


@pytest.mark.parametrize("scale", [0.01, 1.0, 1e3])
@pytest.mark.parametrize("amount", [1e-3, 0.1, 1.0, 1e3])
def test_a_market_price_knows_no_unit_of_prices_and_amounts(scale: float, amount: float) -> None:
    """Demand 8 (1/2 - (p - 5) / 4) is supply 6 (1/2 + (p - 6) / 3) at p = 23/4."""
    curves = np.array([[8.0, 1.0, 5.0, 4.0], [6.0, 1.0, 6.0, 3.0]])
    curves *= [amount, 1.0, scale, scale]
    price = market_price(np.full((1, 1), 1.0), *curves.reshape(-1, 1, 1))
    np.testing.assert_allclose(price, 23 / 4 * scale, rtol=1e-12)


@pytest.mark.parametrize(
    ("flows", "paid", "when", "rate"),
    [
        ((-100.0, 110.0), 0.0, 0.0, 0.1),
        ((-100.0, 0.0, 121.0), 0.0, 0.0, 0.1),
        ((60.0, 55.0), -100.0, 0.0, 0.1),
        ((110.0,), -100.0 * 1.1**0.5, 0.5, 0.1),
        ((100.0, -80.0), 0.0, 0.0, -0.2),
        ((-1e-3, 1.2e-3), 0.0, 0.0, 0.2),
        ((-100.0, 200.0), 0.0, 0.0, 1.0),
        ((-100.0, 201.0), 0.0, 0.0, MISSING),
        ((100.0, 110.0), 0.0, 0.0, MISSING),
    ],
)
def test_a_rate_of_return_makes_the_payments_worth_nothing(
    flows: tuple[float, ...], paid: float, when: float, rate: float
) -> None:
    found = rate_of_return(np.array(flows)[:, None], np.array([[paid]]), np.array([[when]]))
    np.testing.assert_allclose(found[:, 0], rate, rtol=1e-12)
