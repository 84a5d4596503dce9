"""Statistics that are made block by block, against NumPy on all members at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import xarray as xr

from beltcast.errors import InputError
from beltcast.scale import stream
from beltcast.scale.stream import stored_change, stored_mean, stored_quantiles

LEVELS = (0.0, 0.013, 0.1, 0.5, 0.75, 0.987, 1.0)
MEMBERS, BLOCK = 203, 64  # the last block is short


@pytest.fixture
def data() -> xr.Dataset:
    """Three scenarios, two places and three years of what breaks quantiles."""
    rng = np.random.default_rng(1)
    values = np.exp(rng.standard_normal((3, MEMBERS, 2, 3)))
    values[1] = values[0] * rng.choice([0.5, 1.0, 1.0, 2.0], (MEMBERS, 2, 3))
    values[:, :, 0, 1] = np.ceil(values[:, :, 0, 1])  # ties
    values[2, :, 1, 0] = 7.0  # one value
    values[0, ::5, 1, 1] = np.nan
    values[1, 3::7, 1, 1] = np.inf
    values[2, :, 0, 2] = np.nan
    values[2, 100, 0, 2] = 3.0  # one member
    values[1, :, 1, 2] = np.nan  # none
    values[0, 17, 0, 0] = 1e9  # far outside: all others fall into one bin
    array = xr.DataArray(
        values,
        dims=("scenario", "member", "place", "year"),
        coords={"scenario": ["a", "b", "c"], "place": ["East", "West"], "year": [1, 2, 3]},
        attrs={"units": "firm"},
    )
    array.encoding["chunks"] = (1, BLOCK, 2, 3)
    return xr.Dataset({"output": array, "plain": ("year", [1.0, 2.0, 3.0])})


def finite(values: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """The finite members of each cell."""
    for cell in np.ndindex(values.shape[0], *values.shape[2:]):
        own = values[(cell[0], slice(None), *cell[1:])]
        yield cell, own[np.isfinite(own)]


def quantiles(values: np.ndarray) -> np.ndarray:
    found = np.full((values.shape[0], *values.shape[2:], len(LEVELS)), np.nan)
    for cell, own in finite(values):
        if len(own):
            found[cell] = np.quantile(own, LEVELS)
    return found


@pytest.mark.parametrize("bins", [2, 16, 2048])
def test_quantiles_of_blocks_are_those_of_all_members(
    data: xr.Dataset, monkeypatch: pytest.MonkeyPatch, bins: int
) -> None:
    monkeypatch.setattr(stream, "HISTOGRAM_BINS", bins)
    found = stored_quantiles(data, "output", LEVELS)
    assert found.dims == ("scenario", "place", "year", "quantile")
    assert found.attrs == {"units": "firm"}
    np.testing.assert_array_equal(found["quantile"], LEVELS)
    np.testing.assert_array_equal(found["year"], [1, 2, 3])
    np.testing.assert_allclose(found, quantiles(data["output"].values), rtol=1e-12)


def test_the_mean_of_blocks_is_that_of_the_members_that_are_known(data: xr.Dataset) -> None:
    found = stored_mean(data, "output")
    expected = np.full(found.shape, np.nan)
    for cell, own in finite(data["output"].values):
        expected[cell] = own.mean() if len(own) else np.nan
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found.dims == ("scenario", "place", "year")


def test_changes_are_ratios_to_the_first_scenario_and_ties_count_half(data: xr.Dataset) -> None:
    values = data["output"].values
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isfinite(values[:1]), values / values[:1], np.nan)
    found = stored_change(data, "output", LEVELS)
    np.testing.assert_allclose(found["change_quantile"], quantiles(ratio), rtol=1e-12)
    chance = found["chance_of_more"]
    assert chance.dims == ("scenario", "place", "year")
    for cell in np.ndindex(chance.shape):
        own, first = (values[s][(slice(None), *cell[1:])] for s in (cell[0], 0))
        both = np.isfinite(own) & np.isfinite(first)
        own, first = own[both], first[both]
        expected = np.nan
        if len(own) and (own != first).any():
            expected = (own > first).mean() + 0.5 * (own == first).mean()
        np.testing.assert_allclose(chance.values[cell], expected, rtol=1e-12)
    assert np.isnan(chance.values[0]).all()  # the first against itself


def test_what_has_no_members_is_refused(data: xr.Dataset) -> None:
    for name in ("plain", "outputs"):
        with pytest.raises(InputError, match=f"the store holds no '{name}'"):
            stored_mean(data, name)
