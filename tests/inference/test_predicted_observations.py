"""What the model would have published, against integrals of a run saved at every step."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beltcast import Model, Study, observe
from beltcast.errors import TableError
from beltcast.inference.predicted_observations import questions

YEARS = st.floats(2014.0, 2022.9, allow_nan=False)


def integral(times: np.ndarray, rates: np.ndarray, start: float, end: float) -> float:
    """Integral of a rate that Euler holds constant within each step: rate times overlap."""
    left, right = np.maximum(times[:-1], start), np.minimum(times[1:], end)
    return float((np.maximum(right - left, 0.0) * rates[:-1]).sum())


@pytest.fixture(scope="module")
def fine(study: Study):
    """Every step of a run of the belt model."""
    times = study.model.grid().times()
    names = ["output", "cbec trade", "active sellers", "own site share of output"]
    return study.model.simulate(outputs=names, save_at=times)


def rates(fine, quantity: str, belts: tuple[str, ...]) -> np.ndarray:
    return fine[quantity].sel(Belt=list(belts)).sum("Belt").values


def test_totals_over_any_period_are_the_integrals_of_the_flow(
    study: Study, fine, make: SimpleNamespace
) -> None:
    rng = np.random.default_rng(8)
    belts = study.model.subscripts["Belt"]
    rows = []
    for _ in range(40):
        start = float(np.round(rng.uniform(2013.0, 2030.0), 4))
        some = tuple(rng.choice(belts, size=rng.integers(1, 6), replace=False))
        rows.append(
            make.row(
                "part-year", start, start + float(rng.uniform(0.02, 3.0)), place="x", elements=some
            )
        )
    got = observe(study.model, make.table(*rows))
    times = fine["time"].values
    want = [integral(times, rates(fine, "output", r.elements), r.start, r.end) for r in rows]
    np.testing.assert_allclose(got, want, rtol=1e-11)


def test_growth_is_the_ratio_to_the_same_period_one_year_before(
    study: Study, fine, make: SimpleNamespace
) -> None:
    belts = ("Shenzhen", "Yiwu")
    # January to October: months are written as k/12 with four decimals.
    periods = [(2023.0, 2023.8333), (2024.0, 2024.25), (2021.0, 2022.0)]
    table = make.table(
        *(
            make.row("growth", s, e, place="x", quantity="cbec trade", elements=belts)
            for s, e in periods
        )
    )
    times, flow = fine["time"].values, rates(fine, "cbec trade", belts)
    want = [integral(times, flow, s, e) / integral(times, flow, s - 1, e - 1) for s, e in periods]
    np.testing.assert_allclose(observe(study.model, table), want, rtol=1e-11)


def test_a_share_is_the_part_of_the_nation_in_the_same_period(
    study: Study, fine, make: SimpleNamespace
) -> None:
    everyone = study.model.subscripts["Belt"]
    table = make.table(
        make.row("share", 2024.0, 2024.25, elements=("Shenzhen",)),
        make.row("share", 2024.5, 2024.5, elements=("Ningbo",), quantity="active sellers"),
    )
    times, own = fine["time"].values, rates(fine, "output", ("Shenzhen",))
    flow = integral(times, own, 2024.0, 2024.25) / integral(
        times, rates(fine, "output", everyone), 2024.0, 2024.25
    )
    sellers = fine["active sellers"].sel(time=2024.5)
    stock = float(sellers.sel(Belt="Ningbo") / sellers.sum())
    np.testing.assert_allclose(observe(study.model, table), [flow, stock], rtol=1e-11)


def test_bounds_are_answered_as_levels(study: Study, make: SimpleNamespace) -> None:
    table = make.table(*(make.row(k, elements=("Foshan",)) for k in ("lower", "level", "upper")))
    low, level, high = observe(study.model, table)
    assert low == level == high


def test_stocks_are_read_at_the_instant_between_steps_on_a_straight_line(
    study: Study, fine, make: SimpleNamespace
) -> None:
    when = 2024.45
    table = make.table(
        make.row(start=when, end=when, elements=("Yiwu",), quantity="active sellers")
    )
    path = rates(fine, "active sellers", ("Yiwu",))
    want = np.interp(when, fine["time"].values, path)
    np.testing.assert_allclose(observe(study.model, table), [want], rtol=1e-12)


def test_a_dimensionless_quantity_is_averaged_over_its_period(
    study: Study, fine, make: SimpleNamespace
) -> None:
    name = "own site share of output"
    table = make.table(make.row(start=2020.0, end=2021.0, elements=("Shenzhen",), quantity=name))
    path = rates(fine, name, ("Shenzhen",))
    want = integral(fine["time"].values, path, 2020.0, 2021.0)
    np.testing.assert_allclose(observe(study.model, table), [want], rtol=1e-12)


def test_shares_of_several_belts_are_not_added_up(study: Study, make: SimpleNamespace) -> None:
    two = ("Shenzhen", "Foshan")
    table = make.table(
        make.row(),
        make.row(start=2020.0, end=2020.0, elements=two, quantity="brand share of output"),
    )
    table = dataclasses.replace(
        table, rows=(dataclasses.replace(table.rows[0], elements=("Yiwu",)), table.rows[1])
    )
    with pytest.raises(TableError, match=r"^table\.csv:3: .*has no dimension"):
        observe(study.model, table)


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [("level", 2012.0, 2013.0), ("growth", 2013.0, 2014.0), ("level", 2035.5, 2036.5)],
)
def test_a_row_outside_the_run_is_refused_with_its_line(
    study: Study, make: SimpleNamespace, kind: str, start: float, end: float
) -> None:
    table = make.table(make.row(elements=("Yiwu",)), make.row(kind, start, end, elements=("Yiwu",)))
    with pytest.raises(TableError, match=r"^table\.csv:3: .*the model runs from 2013 to 2036"):
        observe(study.model, table)


def test_a_rounded_date_at_the_end_of_the_run_is_inside_it(
    study: Study, make: SimpleNamespace
) -> None:
    one = make.row(start=2035.0, end=2036.0, elements=("Yiwu",))
    other = make.row(start=2035.0, end=2036.0000004, elements=("Yiwu",))
    a, b = observe(study.model, make.table(one, other))
    assert a == pytest.approx(b, rel=1e-12)


@given(start=YEARS, length=st.floats(0.05, 1.0))
@settings(max_examples=25)
def test_totals_add_up_over_places_and_over_consecutive_periods(
    small: Model, make: SimpleNamespace, start: float, length: float
) -> None:
    end, middle = start + length, start + 0.3 * length
    both = ("East", "West")
    table = make.table(
        make.row("part-year", start, end, elements=both),
        make.row("part-year", start, end, elements=("East",)),
        make.row("part-year", start, end, elements=("West",)),
        make.row("part-year", start, middle, elements=both),
        make.row("part-year", middle, end, elements=both),
    )
    total, east, west, first, last = observe(small, table, {"Growth": 0.3})
    assert total == pytest.approx(east + west, rel=1e-9)
    assert total == pytest.approx(first + last, rel=1e-9)


@given(start=YEARS, factor=st.floats(1e-6, 1e6), growth=st.floats(-0.5, 1.0))
@settings(max_examples=25)
def test_growth_and_shares_do_not_feel_the_scale_and_levels_are_proportional_to_it(
    small: Model, make: SimpleNamespace, start: float, factor: float, growth: float
) -> None:
    table = make.table(
        make.row("level", start),
        make.row("growth", start),
        make.row("share", start),
    )
    plain = observe(small, table, {"Growth": growth})
    scaled = observe(small, table, {"Growth": growth, "Factor": factor})
    np.testing.assert_allclose(scaled, plain * [factor, 1.0, 1.0], rtol=1e-12)


@given(growth=st.floats(-0.5, 1.0), start=YEARS)
@settings(max_examples=25)
def test_growth_of_an_exponential_is_its_factor_under_euler(
    small: Model, make: SimpleNamespace, growth: float, start: float
) -> None:
    # Euler multiplies by (1 + growth dt) four times a year (TIME STEP 0.25), exactly.
    (got,) = observe(small, make.table(make.row("growth", start)), {"Growth": growth})
    assert got == pytest.approx((1.0 + 0.25 * growth) ** 4, rel=1e-9)


def test_inputs_can_be_replaced(study: Study, make: SimpleNamespace) -> None:
    table = make.table(
        make.row(start=2015.0, elements=("Yiwu",)), make.row(start=2030.0, elements=("Yiwu",))
    )
    before, after = observe(study.model, table)
    low = {"overseas online retail": ([2026.0, 2036.0], [2000.0, 2000.0])}
    same, less = observe(study.model, table, inputs=low)
    assert same == before
    assert less < after


def test_only_what_the_rows_need_is_saved(small: Model, make: SimpleNamespace) -> None:
    table = make.table(make.row(start=2015.0), make.row("growth", 2016.0))
    asked = questions(small, table, small.grid().times())
    np.testing.assert_array_equal(asked.saves, [2015.0, 2016.0, 2017.0])
    assert len(asked.totals) == 1
    assert len(asked.outputs) == 0
    assert asked.has_bottom.tolist() == [False, True]


@pytest.mark.parametrize("length", [0.25, 0.5, 1.0])
def test_a_quantity_without_dimension_is_averaged_over_its_period(
    study: Study, fine, make: SimpleNamespace, length: float
) -> None:
    """A quarter's share is no quarter of the share."""
    start, name = 2023.0, "own site share of output"
    row = make.row("level", start, start + length, quantity=name, elements=("Shenzhen",))
    times, shares = fine["time"].values, rates(fine, name, ("Shenzhen",))
    want = integral(times, shares, start, start + length) / length
    assert 0 < want < 1
    np.testing.assert_allclose(observe(study.model, make.table(row)), want, rtol=1e-11)
