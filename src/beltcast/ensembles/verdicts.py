"""Guards of verdicts: zero up to rounding, ties, and the Monte Carlo error of a share of draws.

A verdict is a word that a reader acts on, so it must not follow from rounding, from a tie or from a
handful of draws.  Every function that turns numbers into words uses these first:

* `negligible`: differences that rounding explains are zero.
* `all_alike`: draws that differ only by rounding have no distribution.
* `positive_share`: a share in which zeros count one half, so that a tie is a tie.
* `share_error`: the Monte Carlo standard error of a share of draws; `chance_words` prints both.
* `sign_of`: a sign only if there are enough draws and the share is decisive.
* `ratio_of`: a ratio only if its denominator is not zero.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beltcast.engine.nodes import FloatArray

_ROUNDING = 256.0 * np.finfo(np.float64).eps
"""Relative error that a few hundred additions and multiplications may cause: 5.7e-14."""

FEWEST_DRAWS = 100
"""Effective draws below which no sign is given: with 100, a share of 0.9 has a standard error of
0.03, and a true share of 0.7 is taken for 0.9 less than once in 100,000 runs."""

DECIDED = 0.9
"""A share of at least this, or of at most one minus this, decides a sign."""

DecidedSign = Literal["positive", "negative", "undecided", "no effect", "too few draws"]


def negligible(differences: ArrayLike, scale: ArrayLike) -> NDArray[np.bool_]:
    """Whether differences are zero up to rounding.

    Parameters
    ----------
    differences : (...)
    scale : (...)
        Size of the numbers whose difference was taken, in the same unit.  For logs of ratios of
        positive numbers it is 1, since the rounding of a ratio is relative.

    Returns
    -------
    (...) of bool
        False for NaN.

    Examples
    --------
    >>> from beltcast.ensembles.verdicts import negligible
    >>> negligible([0.1 + 0.2 - 0.3, 1e-6], 0.3).tolist()
    [True, False]
    """
    size = np.abs(np.asarray(differences, dtype=np.float64))
    small: NDArray[np.bool_] = np.asarray(
        size <= _ROUNDING * np.abs(np.asarray(scale, dtype=np.float64))
    )
    return small


def all_alike(values: ArrayLike, axis: int = -1) -> NDArray[np.bool_]:
    """Whether numbers along an axis are all equal up to rounding.

    Parameters
    ----------
    values : (..., m, ...)
    axis : int

    Returns
    -------
    (...) of bool
        False where a number is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.ensembles.verdicts import all_alike
    >>> all_alike(np.array([[0.1, 0.1 + 1e-17], [1.0, 2.0]])).tolist()
    [True, False]
    """
    given = np.asarray(values, dtype=np.float64)
    width = given.max(axis=axis) - given.min(axis=axis)
    return negligible(width, np.abs(given).max(axis=axis))


def positive_share(values: ArrayLike, scale: ArrayLike = 1.0, axis: int = -1) -> FloatArray:
    """Share of draws above zero; a draw that is zero up to rounding counts one half.

    Parameters
    ----------
    values : (..., m, ...)
        NaN is left out.
    scale : broadcastable
        As for `negligible`.
    axis : int

    Returns
    -------
    (...)
        NaN if no draw is known, and if every draw is zero: nothing then has a sign.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.ensembles.verdicts import positive_share
    >>> float(positive_share(np.array([1.0, 0.0, -1.0, np.nan])))
    0.5
    """
    given = np.asarray(values, dtype=np.float64)
    known = np.isfinite(given)
    tied = negligible(np.where(known, given, 0.0), scale) & known
    above = (given > 0.0) & known & ~tied
    count = known.sum(axis=axis)
    hits = above.sum(axis=axis) + 0.5 * tied.sum(axis=axis)
    moved = count > tied.sum(axis=axis)
    share: FloatArray = np.where(moved, hits / np.maximum(count, 1), np.nan)
    return share


def share_error(share: ArrayLike, draws: ArrayLike) -> FloatArray:
    """Monte Carlo standard error of a share of independent draws.

    Two successes and two failures are added (Agresti and Coull 1998, The American Statistician 52,
    119-126), so that a share of 0 or 1 is not called certain.

    Parameters
    ----------
    share : (...)  [1]
    draws : (...)
        Effective number of draws.

    Examples
    --------
    >>> from beltcast.ensembles.verdicts import share_error
    >>> round(float(share_error(1.0, 96)), 4), round(float(share_error(0.5, 96)), 2)
    (0.014, 0.05)
    """
    n = np.asarray(draws, dtype=np.float64)
    p = (np.asarray(share, dtype=np.float64) * n + 2.0) / (n + 4.0)
    error: FloatArray = np.sqrt(p * (1.0 - p) / (n + 4.0))
    return error


def with_error(share: float, draws: float) -> str:
    """Print a share with its Monte Carlo standard error.

    Examples
    --------
    >>> from beltcast.ensembles.verdicts import with_error
    >>> with_error(0.93, 400), with_error(float("nan"), 400)
    ('0.93 ± 0.01', 'unknown')
    """
    if not np.isfinite(share):
        return "unknown"
    return f"{share:.2f} ± {float(share_error(share, draws)):.2f}"


def chance_words(share: float, draws: float) -> str:
    """Print a chance as a percentage with its Monte Carlo standard error, or why there is none.

    Parameters
    ----------
    share : float  [1]
        Share of draws, see `positive_share`; NaN where nothing changes in any draw.
    draws : float
        Effective number of draws that the share is one of.

    Returns
    -------
    str
        'too few draws' below `FEWEST_DRAWS`, 'no change' for NaN, 'unknown' without draws.  The
        standard error has one significant digit, and the percentage as many decimals.

    Examples
    --------
    >>> from beltcast.ensembles.verdicts import chance_words
    >>> chance_words(0.574, 1000), chance_words(1.0, 1000), chance_words(1.0, 99)
    ('57 ± 2 %', '100.0 ± 0.1 %', 'too few draws')
    >>> chance_words(float("nan"), 1000), chance_words(float("nan"), 0)
    ('no change', 'unknown')
    """
    if not draws > 0:
        return "unknown"
    if draws < FEWEST_DRAWS:
        return "too few draws"
    if not np.isfinite(share):
        return "no change"
    error = 100.0 * float(share_error(share, draws))
    decimals = max(0, -int(np.floor(np.log10(error))))
    return f"{100.0 * share:.{decimals}f} ± {error:.{decimals}f} %"


def sign_of(share: float, draws: float, *, size: float = np.inf, scale: float = 0.0) -> DecidedSign:
    """Return the sign that draws determine, if they determine one.

    Parameters
    ----------
    share : float  [1]
        Share of draws above zero, see `positive_share`.
    draws : float
        Effective number of draws.
    size, scale : float, optional
        The largest size of the effect over draws, and the size of the numbers it is a difference
        of: an effect that is zero but for rounding has no sign.

    Returns
    -------
    str
        'positive' or 'negative' where the share is at least `DECIDED` or at most one minus that;
        'no effect', 'too few draws' (below `FEWEST_DRAWS`) or 'undecided' otherwise.  A share that
        is NaN is undecided.

    Examples
    --------
    >>> from beltcast.ensembles.verdicts import sign_of
    >>> sign_of(0.95, 400), sign_of(1.0, 2), sign_of(0.0, 400, size=1e-17, scale=1.0)
    ('positive', 'too few draws', 'no effect')
    """
    if bool(negligible(size, scale)):
        return "no effect"
    if not draws >= FEWEST_DRAWS:
        return "too few draws"
    # The share is of whole draws: a sum of ninety tenths must not miss nine tenths by rounding.
    if share >= DECIDED - 1e-12:
        return "positive"
    return "negative" if share <= 1.0 - DECIDED + 1e-12 else "undecided"


def ratio_of(after: ArrayLike, before: ArrayLike, scale: ArrayLike = 0.0) -> FloatArray:
    """Ratio of two widths; NaN if the second is zero up to rounding.

    Parameters
    ----------
    after, before : (...)
    scale : (...)
        Size of the numbers whose widths these are; 0 guards against an exact zero only.

    Examples
    --------
    >>> from beltcast.ensembles.verdicts import ratio_of
    >>> ratio_of([1.0, 1.0], [2.0, 1e-18], scale=1.0).tolist()
    [0.5, nan]
    """
    top, bottom = np.asarray(after, dtype=np.float64), np.asarray(before, dtype=np.float64)
    none = negligible(bottom, scale) | (bottom == 0.0)
    ratio: FloatArray = top / np.where(none, np.nan, bottom)
    return ratio
