"""Boxes of cases of interest: the patient rule induction method (PRIM) and a small tree (CART).

Both take a table of inputs and a flag of interest for each row, and are independent of models.
PRIM starts with all rows and repeatedly peels off the thin slice whose loss makes the rest denser
in cases of interest (Friedman and Fisher 1999); the rows left after each peel are a box, and the
sequence of boxes, the *peeling trajectory*, trades coverage against density:

* coverage: share of all cases of interest that lie in the box,
* density: share of the rows in the box that are of interest,
* mass: share of all rows that lie in the box.

Peeling continues to the least mass, also over steps that leave the density unchanged or lower it:
with noisy labels a plateau is not the end (as the lenient objective of the EMA Workbench).

A restriction has the *quasi p-value* P(K >= k), K ~ Binomial(n, q): n rows and k cases lie in the
box, and q is the density of the box without that restriction (Bryant and Lempert 2010, appendix
A).  It takes the peels as given, hence *quasi*: it flags idle restrictions and proves nothing.

References
----------
Friedman, J. H. and Fisher, N. I. (1999): Bump hunting in high-dimensional data. Statistics and
Computing 9, 123-143.
Bryant, B. P. and Lempert, R. J. (2010): Thinking inside the box. Technological Forecasting and
Social Change 77, 34-49.
Breiman, L., Friedman, J., Olshen, R. and Stone, C. (1984): Classification and Regression Trees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import binom, ks_2samp

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError
from beltcast.schema import PARAMETER

BoolArray = NDArray[np.bool_]

BOX = "box"

SIGNIFICANT = 0.05
"""A restriction with a larger quasi p-value is dropped from a chosen box."""

FEWEST_CASES = 20
"""Cases of interest (and other cases) below which `telling` names no input: with fewer, the test of
Kolmogorov and Smirnov at a level of 0.005 misses most inputs that matter."""


@dataclass(frozen=True, eq=False)
class _Box:
    """Limits of each input; infinite if there is none.  Both ends belong to the box."""

    low: FloatArray
    high: FloatArray

    def holds(self, x: FloatArray) -> BoolArray:
        inside: BoolArray = np.all((x >= self.low) & (x <= self.high), axis=1)
        return inside

    def with_limit(self, column: int, low: float | None, high: float | None) -> _Box:
        lows, highs = self.low.copy(), self.high.copy()
        if low is not None:
            lows[column] = low
        if high is not None:
            highs[column] = high
        return _Box(lows, highs)


def prim(
    inputs: xr.DataArray,
    interest: BoolArray,
    *,
    peel: float = 0.05,
    least: float = 0.05,
) -> xr.Dataset:
    """Peel towards the cases of interest.

    Parameters
    ----------
    inputs : (case, parameter)
    interest : (case,)
    peel : float  [1]
        Share of the rows in the box that a peel removes.
    least : float  [1]
        Peeling stops before the box holds less than this share of all rows.

    Returns
    -------
    xarray.Dataset
        Over ``box``, from all rows on: ``coverage``, ``density``, ``mass``  [1]; over (box,
        parameter): ``low`` and ``high``, infinite where there is no limit, and ``p_value``, NaN
        where there is none.

    Raises
    ------
    InputError
        No case, or every case, is of interest, a share is not between 0 and 1, or an input is NaN
        or infinite.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from beltcast.drivers.discovery.prim import prim
    >>> x = np.random.default_rng(1).random((1000, 2))
    >>> boxes = prim(xr.DataArray(x, dims=("case", "parameter")), x[:, 0] < 0.3)
    >>> float(boxes["density"].max())
    1.0
    """
    x, names = _table(inputs)
    _check(interest, peel, least)
    box = _Box(np.full(x.shape[1], -np.inf), np.full(x.shape[1], np.inf))
    boxes = [box]
    while (step := _best_peel(box, x, interest, peel)) is not None:
        if step.holds(x).sum() < least * len(x):
            break
        box = step
        boxes.append(box)
    return _described(boxes, x, interest, names)


def chosen_box(
    inputs: xr.DataArray, interest: BoolArray, boxes: xr.Dataset, *, density: float = 0.8
) -> xr.Dataset:
    """Choose a box of the trajectory, widen it if that costs nothing, and drop idle limits.

    A limit is idle if its quasi p-value is above `SIGNIFICANT`; it stays if the box without it
    would be less dense than requested.

    Parameters
    ----------
    inputs, interest
        As for `prim`.
    boxes : xarray.Dataset
        As `prim` returns it.
    density : float  [1]
        Among the boxes of at least this density, the one with the largest coverage is taken; if
        there is none, the one with the largest product of coverage and density.

    Returns
    -------
    xarray.Dataset
        As of `prim`, one box.
    """
    x, names = _table(inputs)
    dense = boxes["density"].values >= density
    both = boxes["coverage"] * boxes["density"]
    place = int(
        np.argmax(np.where(dense, boxes["coverage"].values, -1.0))
        if dense.any()
        else np.argmax(both.values)
    )
    own = boxes.isel({BOX: place})
    box = _pasted(_Box(own["low"].values.copy(), own["high"].values.copy()), x, interest)
    while (wider := _without_idle(box, x, interest, density)) is not None:
        box = wider
    return _described([box], x, interest, names)


def stability(
    inputs: xr.DataArray,
    interest: BoolArray,
    *,
    density: float = 0.8,
    resamples: int = 20,
    rng: np.random.Generator,
) -> xr.DataArray:
    """Share of random half-samples in which the chosen box limits each input.

    Half of the rows are drawn without replacement, and the search is repeated on them (Bryant and
    Lempert 2010, section 3.3).  An input that matters is limited nearly always; one that entered by
    chance is not.

    Parameters
    ----------
    inputs, interest
        As for `prim`.
    density : float  [1]
        As for `chosen_box`.
    resamples : int
    rng : numpy.random.Generator
        Chooses the halves.

    Returns
    -------
    xarray.DataArray
        Over ``parameter``  [1]; NaN where no half holds cases of both kinds.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from beltcast.drivers.discovery.prim import stability
    >>> rng = np.random.default_rng(1)
    >>> x = rng.random((400, 2))
    >>> table = xr.DataArray(x, dims=("case", "parameter"))
    >>> stability(table, x[:, 0] < 0.3, rng=rng).values.tolist()
    [1.0, 0.0]
    """
    x, names = _table(inputs)
    _check(interest, 0.05, 0.05)
    limited = []
    for _ in range(resamples):
        half = np.sort(rng.permutation(len(x))[: (len(x) + 1) // 2])
        own = interest[half]
        if own.all() or not own.any():
            continue
        table = xr.DataArray(x[half], dims=("case", PARAMETER))
        box = chosen_box(table, own, prim(table, own), density=density).isel({BOX: 0})
        limited.append(np.isfinite(box["low"].values) | np.isfinite(box["high"].values))
    share = np.mean(limited, axis=0) if limited else np.full(len(names), np.nan)
    return xr.DataArray(
        share,
        {PARAMETER: np.array(names, dtype=str)},
        (PARAMETER,),
        attrs={"units": "1", "long_name": "Share of half-samples in which the input is limited"},
    )


def telling(inputs: xr.DataArray, interest: BoolArray, *, level: float = SIGNIFICANT) -> list[str]:
    """Inputs whose values differ between the cases of interest and the others.

    With many inputs and few cases PRIM finds a dense box in pure noise.  So first each input's two
    samples are compared (Kolmogorov and Smirnov; Hornberger and Spear 1981, J. Environ. Manage.
    12, 7-18), at a level shared among all inputs (Bonferroni).  An input that acts only together
    with another one is missed.

    Parameters
    ----------
    inputs, interest
        As for `prim`.
    level : float  [1]
        Probability of keeping any input if none matters.

    Returns
    -------
    list of str
        The most telling first; empty if no input passes, or if fewer than `FEWEST_CASES` cases are
        of interest or fewer are not, which is too few to tell.
    """
    x, names = _table(inputs)
    _check(interest, 0.05, level)
    if min(interest.sum(), (~interest).sum()) < FEWEST_CASES:
        return []
    p = np.array([ks_2samp(column[interest], column[~interest]).pvalue for column in x.T])
    order = np.argsort(p, kind="stable")
    return [names[i] for i in order if p[i] < level / len(names)]


def cart(
    inputs: xr.DataArray, interest: BoolArray, *, depth: int = 3, least: float = 0.05
) -> xr.Dataset:
    """Split towards pure groups: a classification tree by Gini's impurity.

    Parameters
    ----------
    inputs, interest
        As for `prim`.
    depth : int
        Most splits from the root to a leaf.
    least : float  [1]
        Smallest share of all rows in a leaf.

    Returns
    -------
    xarray.Dataset
        The leaves as boxes, as of `prim`, densest first; together they hold every row once.
    """
    x, names = _table(inputs)
    _check(interest, 0.05, least)
    root = _Box(np.full(x.shape[1], -np.inf), np.full(x.shape[1], np.inf))
    leaves = list(_leaves(root, x, interest, depth, max(1, int(least * len(x)))))
    leaves.sort(key=lambda leaf: -float(interest[leaf.holds(x)].mean()))
    return _described(leaves, x, interest, names)


def _table(inputs: xr.DataArray) -> tuple[FloatArray, list[str]]:
    table = inputs.transpose(..., PARAMETER)
    names = (
        [str(n) for n in table[PARAMETER].values]
        if PARAMETER in table.coords
        else [f"x{i + 1}" for i in range(table.sizes[PARAMETER])]
    )
    values = np.asarray(table.values, dtype=np.float64)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"input '{names[column]}' is {values[row, column]} in case {row + 1}; expected finite "
            "numbers: leave such cases out first"
        )
    return values, names


def _check(interest: BoolArray, peel: float, least: float) -> None:
    for name, share in (("peel", peel), ("least", least)):
        if not 0.0 < share < 1.0:
            raise InputError(f"{name} is {share:g}; expected a share between 0 and 1")
    if interest.all() or not interest.any():
        which = "every" if interest.any() else "no"
        raise InputError(
            f"{which} case of {len(interest)} is of interest, so nothing tells them apart; "
            "move the limit"
        )


# --- PRIM -------------------------------------------------------------------------------------


def _best_peel(box: _Box, x: FloatArray, interest: BoolArray, peel: float) -> _Box | None:
    """Box after the peel that gains the most density, or loses the least, for each row it removes.

    Gains are per row: an input with few levels loses a whole level at once, so that sizes differ
    (Friedman and Fisher 1999, section 14.1).  None if the box holds only cases of interest, or no
    input can be peeled.
    """
    inside = box.holds(x)
    rows, hits = x[inside], interest[inside]
    if hits.all():
        return None
    best, best_gain = None, -np.inf
    for column in range(x.shape[1]):
        for candidate in _slices(box, column, rows[:, column], peel):
            kept = candidate.holds(rows)
            removed = len(rows) - int(kept.sum())
            gain = (hits[kept].mean() - hits.mean()) / removed
            if gain > best_gain:
                best, best_gain = candidate, float(gain)
    return best


def _slices(box: _Box, column: int, values: FloatArray, peel: float) -> Iterator[_Box]:
    """Yield the box without its lowest, and without its highest, values of one input.

    The new limit lies midway between the last value removed and the first that stays.
    """
    ordered = np.sort(values)
    k = int(peel * (len(ordered) - 1)) + 1
    above = np.searchsorted(ordered, ordered[k - 1], side="right")
    if above < len(ordered):
        yield box.with_limit(column, (ordered[above - 1] + ordered[above]) / 2, None)
    below = np.searchsorted(ordered, ordered[-k], side="left")
    if below > 0:
        yield box.with_limit(column, None, (ordered[below - 1] + ordered[below]) / 2)


def _without_idle(box: _Box, x: FloatArray, interest: BoolArray, density: float) -> _Box | None:
    """Box without its most idle limit; None if every limit is needed."""
    p = _p_values(box, x, interest)
    dense = interest[box.holds(x)].mean() >= density
    for column in np.argsort(-np.where(np.isnan(p), -1.0, p), kind="stable"):
        if not p[column] > SIGNIFICANT:
            return None
        wider = box.with_limit(int(column), -np.inf, np.inf)
        if not dense or interest[wider.holds(x)].mean() >= density:
            return wider
    return None


def _pasted(box: _Box, x: FloatArray, interest: BoolArray) -> _Box:
    """Move limits outwards, one at a time, as long as the density does not fall."""
    while True:
        density = interest[box.holds(x)].mean()
        for wider in _wider(box, x):
            if (
                interest[wider.holds(x)].mean() >= density
                and wider.holds(x).sum() > box.holds(x).sum()
            ):
                box = wider
                break
        else:
            return box


def _wider(box: _Box, x: FloatArray) -> Iterator[_Box]:
    """Yield the box with each limit moved to take in one more value."""
    for column in range(x.shape[1]):
        free = box.with_limit(column, -np.inf, np.inf)
        ordered = np.unique(x[free.holds(x), column])
        low, high = box.low[column], box.high[column]
        if np.isfinite(low):
            i = int(np.searchsorted(ordered, low))
            yield box.with_limit(column, _between(ordered, i - 2), None)
        if np.isfinite(high):
            i = int(np.searchsorted(ordered, high, side="right"))
            yield box.with_limit(column, None, _between(ordered, i))


def _between(ordered: FloatArray, i: int) -> float:
    """Midpoint between values i and i + 1; infinite beyond the ends."""
    if i < 0:
        return -np.inf
    if i + 1 >= len(ordered):
        return np.inf
    return float(ordered[i] + ordered[i + 1]) / 2


def _p_values(box: _Box, x: FloatArray, interest: BoolArray) -> FloatArray:
    """Quasi p-value of the restriction of each input, NaN if there is none."""
    inside = box.holds(x)
    rows, hits = int(inside.sum()), int(interest[inside].sum())
    p = np.full(x.shape[1], np.nan)
    for column in np.flatnonzero(np.isfinite(box.low) | np.isfinite(box.high)):
        free = box.with_limit(int(column), -np.inf, np.inf).holds(x)
        p[column] = binom.sf(hits - 1, rows, interest[free].mean())
    return p


# --- CART -------------------------------------------------------------------------------------


def _leaves(
    box: _Box, x: FloatArray, interest: BoolArray, depth: int, least: int
) -> Iterator[_Box]:
    split = _best_split(box, x, interest, least) if depth else None
    if split is None:
        yield box
        return
    column, limit = split
    yield from _leaves(box.with_limit(column, None, limit), x, interest, depth - 1, least)
    yield from _leaves(box.with_limit(column, limit, None), x, interest, depth - 1, least)


def _best_split(
    box: _Box, x: FloatArray, interest: BoolArray, least: int
) -> tuple[int, float] | None:
    """Input and limit with the smallest impurity sum of n p (1 - p) over the two sides."""
    inside = box.holds(x)
    rows, hits = x[inside], interest[inside].astype(np.float64)
    n = len(rows)
    best: tuple[int, float] | None = None
    lowest = n * hits.mean() * (1 - hits.mean()) - 1e-12
    for column in range(x.shape[1]):
        order = np.argsort(rows[:, column], kind="stable")
        values, found = rows[order, column], np.cumsum(hits[order])
        k = np.arange(1, n)
        left, right = found[:-1], found[-1] - found[:-1]
        impurity = left * (1 - left / k) + right * (1 - right / (n - k))
        open_ = (values[1:] > values[:-1]) & (k >= least) & (n - k >= least)
        impurity = np.where(open_, impurity, np.inf)
        if len(impurity) and impurity.min() < lowest:
            i = int(impurity.argmin())
            lowest, best = float(impurity[i]), (column, float(values[i] + values[i + 1]) / 2)
    return best


# --- labels -----------------------------------------------------------------------------------


def _described(
    boxes: Sequence[_Box], x: FloatArray, interest: BoolArray, names: Sequence[str]
) -> xr.Dataset:
    inside = np.array([box.holds(x) for box in boxes])
    hits = (inside & interest).sum(axis=1)
    texts = {
        "coverage": (hits / interest.sum(), "Share of the cases of interest in the box"),
        "density": (hits / inside.sum(axis=1), "Share of the box that is of interest"),
        "mass": (inside.mean(axis=1), "Share of all rows in the box"),
    }
    limits = {
        "low": (np.array([b.low for b in boxes]), "Lower limit, -inf without"),
        "high": (np.array([b.high for b in boxes]), "Upper limit, inf without"),
        "p_value": (
            np.array([_p_values(b, x, interest) for b in boxes]),
            "Quasi p-value of the restriction",
        ),
    }
    return xr.Dataset(
        {
            **{n: (BOX, v, {"units": "1", "long_name": t}) for n, (v, t) in texts.items()},
            **{n: ((BOX, PARAMETER), v, {"long_name": t}) for n, (v, t) in limits.items()},
        },
        {BOX: np.arange(len(boxes)), PARAMETER: np.array(names, dtype=str)},
        {"cases": len(x), "of_interest": int(interest.sum())},
    )
