"""Statistics over members, against NumPy on what is known and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from beltcast.ensembles.member_statistics import (
    at_year,
    by_place,
    chance,
    chance_positive,
    chance_text,
    chances,
    more_than,
    parting,
    quantiles,
    robust_sd,
)
from beltcast.errors import UnknownName
from beltcast.schema import QUANTILES


def members(values: object, **dims: object) -> xr.DataArray:
    array = np.asarray(values, dtype=float)
    return xr.DataArray(array, dims=("member", *dims), coords=dims)


def test_quantiles_of_no_finite_member_are_not_a_number() -> None:
    values = members([[1.0, np.nan], [3.0, np.inf]], year=[2024, 2025])
    got = quantiles(values, [0.5])
    assert got.dims == ("year", "quantile")
    assert got.values[0] == 2.0
    assert np.isnan(got.values[1])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_quantiles_are_numpy_s_over_what_is_finite(axis: int) -> None:
    """Whichever axis the members are, and with a NaN or an infinity in some cells only."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(7, 3, 4))
    values[2, 1, 0], values[3, 1, 0], values[5, 2, 3] = np.nan, np.inf, -np.inf
    dims = ["a", "b"]
    dims.insert(axis, "member")
    array = xr.DataArray(
        np.moveaxis(values, 0, axis),
        {"a": [1, 2, 3], "b": list("wxyz")},
        dims,
        attrs={"units": "1"},
    )
    got = quantiles(array)
    assert got.dims == ("a", "b", "quantile")
    assert got.attrs == {"units": "1"}
    assert got["quantile"].values.tolist() == list(QUANTILES)
    for i in range(3):
        for j in range(4):
            own = values[np.isfinite(values[:, i, j]), i, j]
            np.testing.assert_allclose(got.values[i, j], np.quantile(own, QUANTILES), rtol=1e-12)
    clean = quantiles(array.where(np.isfinite(array), 0.0), [0.25])
    want = np.quantile(np.where(np.isfinite(values), values, 0.0), 0.25, axis=0)
    np.testing.assert_allclose(clean.values[..., 0], want, rtol=1e-12)


def test_a_robust_sd_is_half_of_the_central_68_percent() -> None:
    values = members(np.arange(101.0) ** 2)
    assert robust_sd(values).item() == pytest.approx(0.5 * (84.0**2 - 16.0**2))
    assert "quantile" not in robust_sd(values).coords


def test_a_chance_is_a_share_of_the_members_that_are_known() -> None:
    event = members([1, 0, 1, 1, 0]).astype(bool)
    known = members([1, 1, 1, 0, 0]).astype(bool)
    assert chance(event, known).item() == pytest.approx(2 / 3)


def test_a_chance_of_more_counts_a_zero_as_one_half() -> None:
    cells = [
        ([1.0, 2.0, -1.0, 3.0], 0.75),
        ([1.0, 0.0, -1.0, 0.0], 0.5),
        ([0.0, 0.0, 0.0, 5.0], 0.625),
        ([np.nan, 1.0, np.inf, -1.0], 0.5),
        ([0.0, 0.0, np.nan, 0.0], np.nan),
        ([np.nan] * 4, np.nan),
    ]
    values = members(np.array([own for own, _ in cells]).T, year=range(len(cells)))
    want = [share for _, share in cells]
    np.testing.assert_array_equal(chance_positive(values), want)
    np.testing.assert_array_equal(chance_positive(values.transpose("year", "member")), want)


def test_a_difference_by_rounding_is_none() -> None:
    first = members([1.0, 1e6, 3.0])
    output = members([1.0 + 4e-16, 1e6 * (1.0 + 1e-15), 3.5])
    assert more_than(output, first).values.tolist() == [0.0, 0.0, 0.5]
    assert more_than(output * 1e-9, first * 1e-9).values[2] == pytest.approx(5e-10)


def test_chances_bring_the_number_of_draws_behind_them() -> None:
    known = members([[1, 1], [1, 0], [0, 0]], year=[1, 2]).astype(bool)
    share = xr.DataArray([0.5, 1.0], {"year": [1, 2]}, ("year",))
    found = chances(more=(share, known))
    assert found["more"].values.tolist() == [0.5, 1.0]
    assert found["more_draws"].values.tolist() == [2, 1]
    assert {values.attrs["units"] for values in found.values()} == {"1"}
    wide = xr.Dataset({**found, "more_draws": ("year", [400, 99])})
    assert chance_text(wide, "more", {"year": 1}) == "50 ± 2 %"
    assert chance_text(wide, "more", {"year": 2}) == "too few draws"


@pytest.mark.parametrize(
    ("other", "index"),
    [
        ([1, 2, 3, 4], 4),
        ([1, 2, 3, 5], 2),
        ([1, 2, 9, 4], 1),
        ([9, 2, 3, 4], 0),
        ([1, 9, 3, 4], 0),
        ([1 + 1e-8, 2, 3, 4.1], 2),
    ],
)
def test_paths_part_after_the_last_year_in_which_they_agree(other: list, index: int) -> None:
    assert parting(xr.DataArray([1.0, 2.0, 3.0, 4.0]), xr.DataArray(other)) == index


def test_a_year_that_is_not_run_is_refused_with_those_there_are() -> None:
    results = xr.Dataset({"x": ("year", [1.0, 2.0, 3.0])}, {"year": [2024, 2025, 2027]})
    assert at_year(results, 2027)["x"].item() == 3.0
    with pytest.raises(UnknownName, match="year 2026 is not run; choose one of 2024 to 2027"):
        at_year(results, 2026)


def test_the_whole_is_the_sum_of_its_places_and_comes_first() -> None:
    output = xr.DataArray(
        np.arange(12.0).reshape(2, 3, 2),
        {"Belt": ["A", "B", "C"], "year": [2024, 2025]},
        ("member", "Belt", "year"),
    )
    output[1, 2, 0] = np.nan
    got = by_place(output, "all")
    assert got.dims == ("member", "place", "year")
    assert got["place"].values.tolist() == ["all", "A", "B", "C"]
    assert got.sel(place="all", member=0).values.tolist() == [6.0, 9.0]
    # A place that is not known leaves the whole unknown.
    assert np.isnan(got.sel(place="all", member=1, year=2024))
    np.testing.assert_array_equal(got.sel(place="B"), output.sel(Belt="B"))
    alone = by_place(output.isel(Belt=0, drop=True), "all")
    assert alone.dims == ("member", "place", "year")
    np.testing.assert_array_equal(alone.isel(place=0), output.isel(Belt=0))
