"""Statistics from a store that is larger than memory: block by block, never holding all members.

Means and chances add up over blocks.  A quantile of very many numbers is found in three passes:
their range, then how many lie in each of `HISTOGRAM_BINS` bins, then the numbers of the one or two
bins that hold the wanted ranks, sorted.  The result is the quantile itself (linear between order
statistics, as NumPy's default), not an estimate; only the last bin's numbers are held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError, did_you_mean
from beltcast.scale.store import open_store
from beltcast.schema import MEMBER, QUANTILE, QUANTILES, SCENARIO

STATUS = "status"

HISTOGRAM_BINS = 2048
"""Bins of the second pass: the third holds about one member in a thousand."""

Blocks = Callable[[], Iterator[FloatArray]]


def summarise_store(path: str | Path, levels: Sequence[float] = QUANTILES) -> xr.Dataset:
    """Quantiles of all outputs of a complete store.

    Parameters
    ----------
    path : str or Path
    levels : (q,)  [1]
        Probabilities.

    Returns
    -------
    xarray.Dataset
        ``NAME_quantile`` (scenario, ..., quantile) for each output, and ``failed`` (scenario), the
        number of members that produced NaN or infinity.

    Raises
    ------
    InputError
        No store, damaged, or not complete.
    """
    data = open_store(path)
    names = [str(n) for n, v in data.data_vars.items() if MEMBER in v.dims and n != STATUS]
    found = {f"{name}_quantile": stored_quantiles(data, name, levels) for name in names}
    about = {"long_name": "members that produced NaN or infinity", "units": "1"}
    status = data[STATUS]
    failed = [
        sum(int((b == 1).sum()) for b in _blocks_of(status, s)())
        for s in range(len(data[SCENARIO]))
    ]
    return xr.Dataset({**found, "failed": (SCENARIO, failed, about)}, attrs=data.attrs)


def stored_quantiles(
    data: xr.Dataset, variable: str, levels: Sequence[float] = QUANTILES
) -> xr.DataArray:
    """Quantiles over members, as `quantiles` returns them, from a store.

    Parameters
    ----------
    data : Dataset
        As `open_store` returns it.
    variable : str
    levels : (q,)  [1]
        Probabilities.

    Returns
    -------
    xarray.DataArray
        (scenario, ..., quantile); failed members are excluded, NaN if all have failed.
    """
    array = _variable(data, variable)
    probabilities = np.asarray(levels, dtype=np.float64)
    found = [_quantiles(_blocks_of(array, s), probabilities) for s in range(len(data[SCENARIO]))]
    dims = [d for d in array.dims if d != MEMBER]
    coords = {d: data[d] for d in dims if d in data.coords}
    return xr.DataArray(
        np.stack(found),
        dims=(*dims, QUANTILE),
        coords={**coords, QUANTILE: probabilities},
        attrs=array.attrs,
    )


def stored_change(
    data: xr.Dataset, variable: str, levels: Sequence[float] = QUANTILES
) -> xr.Dataset:
    """Ratio to the first scenario, member by member, and the chance of more, from a store.

    A chance is that of `beltcast.ensembles.verdicts.positive_share`, over the members that are
    known in both: a tie counts one half, and nothing has a chance where all are ties.

    Returns
    -------
    xarray.Dataset
        ``change_quantile`` (scenario, ..., quantile) and ``chance_of_more`` (scenario, ...).
    """
    array = _variable(data, variable)
    first = _blocks_of(array, 0)
    dims = [d for d in array.dims if d != MEMBER]
    coords = {d: data[d] for d in dims if d in data.coords}
    probabilities = np.asarray(levels, dtype=np.float64)
    quantiles, chances = [], []
    for s in range(len(data[SCENARIO])):
        own = _blocks_of(array, s)
        quantiles.append(_quantiles(_ratio(own, first), probabilities))
        more, tied, known = (np.zeros([len(data[d]) for d in dims[1:]]) for _ in range(3))
        for a, b in zip(own(), first(), strict=True):
            both = np.isfinite(a) & np.isfinite(b)
            more += (both & (a > b)).sum(axis=0)
            tied += (both & (a == b)).sum(axis=0)
            known += both.sum(axis=0)
        share = (more + 0.5 * tied) / np.maximum(known, 1.0)
        chances.append(np.where(known > tied, share, np.nan))
    return xr.Dataset(
        {
            "change_quantile": ((*dims, QUANTILE), np.stack(quantiles)),
            "chance_of_more": (dims, np.stack(chances)),
        },
        {**coords, QUANTILE: probabilities},
    )


def stored_mean(data: xr.Dataset, variable: str) -> xr.DataArray:
    """Mean over members that did not fail, (scenario, ...), from a store."""
    array = _variable(data, variable)
    means = []
    for s in range(len(data[SCENARIO])):
        total, count = 0.0, 0.0
        for block in _blocks_of(array, s)():
            good = np.isfinite(block)
            total = total + np.where(good, block, 0.0).sum(axis=0)
            count = count + good.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append(np.asarray(total) / np.asarray(count))
    dims = [d for d in array.dims if d != MEMBER]
    coords = {d: data[d] for d in dims if d in data.coords}
    return xr.DataArray(np.stack(means), dims=dims, coords=coords, attrs=array.attrs)


def _variable(data: xr.Dataset, name: str) -> xr.DataArray:
    if name not in data or MEMBER not in data[name].dims:
        known = [str(n) for n, v in data.data_vars.items() if MEMBER in v.dims and n != STATUS]
        raise InputError(f"the store holds no '{name}'{did_you_mean(name, known)}")
    return data[name]


def _blocks_of(array: xr.DataArray, scenario: int) -> Blocks:
    """The members of a scenario in double precision, a chunk at a time, (members, ...)."""
    chunks = array.encoding.get("chunks")
    size = chunks[1] if chunks else 4096

    def blocks() -> Iterator[FloatArray]:
        for first in range(0, array.sizes[MEMBER], size):
            piece = array.isel({SCENARIO: scenario, MEMBER: slice(first, first + size)})
            yield piece.to_numpy().astype(np.float64)

    return blocks


def _ratio(own: Blocks, first: Blocks) -> Blocks:
    def blocks() -> Iterator[FloatArray]:
        for a, b in zip(own(), first(), strict=True):
            with np.errstate(invalid="ignore", divide="ignore"):
                yield np.where(np.isfinite(b), a / b, np.nan)

    return blocks


def _quantiles(blocks: Blocks, probabilities: FloatArray) -> FloatArray:
    """Exact quantiles of each cell, (cells..., q)."""
    low, high, count = _range(blocks)
    shape = low.shape
    low, high, count = low.ravel(), high.ravel(), count.ravel()
    bins = _counts(blocks, low, high)
    before = np.concatenate([np.zeros((len(low), 1), dtype=np.int64), bins.cumsum(axis=1)], axis=1)
    # NumPy's default: the quantile lies at position p (n - 1), between two order statistics.
    places = probabilities * np.maximum(count - 1, 0)[:, None]
    lower = np.floor(places).astype(np.int64)
    upper = np.minimum(lower + 1, np.maximum(count - 1, 0)[:, None])
    wanted = np.stack([lower, upper], axis=-1)  # (cells, q, 2) ranks from 0
    which = np.empty(wanted.shape, dtype=np.int64)
    for cell in range(len(low)):
        which[cell] = np.searchsorted(before[cell], wanted[cell], side="right") - 1
    which = np.minimum(which, HISTOGRAM_BINS - 1)
    values = _members_of(blocks, low, high, which)
    result = np.full((len(low), len(probabilities)), np.nan)
    for cell in np.flatnonzero(count).tolist():
        ends = np.empty((len(probabilities), 2))
        for q, side in np.ndindex(ends.shape):
            bin_ = int(which[cell, q, side])
            ends[q, side] = values[cell][bin_][wanted[cell, q, side] - before[cell, bin_]]
        share = places[cell] - lower[cell]
        result[cell] = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
    return result.reshape(*shape, len(probabilities))


def _range(blocks: Blocks) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Least, largest and number of the finite values of each cell."""
    low: FloatArray | None = None
    for block in blocks():
        good = np.isfinite(block)
        least = np.where(good, block, np.inf).min(axis=0)
        most = np.where(good, block, -np.inf).max(axis=0)
        number = good.sum(axis=0).astype(np.int64)
        if low is None:
            low, high, count = least, most, number
        else:
            low, high, count = np.minimum(low, least), np.maximum(high, most), count + number
    assert low is not None, "a store has at least one block"
    return low, high, count


def _bin(block: FloatArray, low: FloatArray, high: FloatArray) -> NDArray[np.int64]:
    """Bin number of each value, (members, cells); -1 for NaN and infinity."""
    width = np.where(high > low, high - low, 1.0)
    with np.errstate(invalid="ignore"):
        place = np.clip((block - low) / width * HISTOGRAM_BINS, 0, HISTOGRAM_BINS - 1)
    return np.where(np.isfinite(block), place, -1).astype(np.int64)


def _counts(blocks: Blocks, low: FloatArray, high: FloatArray) -> NDArray[np.int64]:
    cells = len(low)
    total = np.zeros((cells, HISTOGRAM_BINS), dtype=np.int64)
    for block in blocks():
        number = _bin(block.reshape(len(block), cells), low, high)
        for cell in range(cells):
            own = number[:, cell]
            total[cell] += np.bincount(own[own >= 0], minlength=HISTOGRAM_BINS)
    return total


def _members_of(
    blocks: Blocks, low: FloatArray, high: FloatArray, which: NDArray[np.int64]
) -> list[dict[int, FloatArray]]:
    """The sorted values of the wanted bins of each cell."""
    cells = len(low)
    wanted = [set(which[cell].ravel().tolist()) for cell in range(cells)]
    kept: list[dict[int, list[FloatArray]]] = [{b: [] for b in own} for own in wanted]
    for block in blocks():
        flat = block.reshape(len(block), cells)
        number = _bin(flat, low, high)
        for cell in range(cells):
            for b, pieces in kept[cell].items():
                pieces.append(flat[number[:, cell] == b, cell])
    return [{b: np.sort(np.concatenate(p)) for b, p in own.items()} for own in kept]
