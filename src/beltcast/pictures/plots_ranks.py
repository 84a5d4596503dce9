"""Chart of simulation-based calibration: all rank histograms in one frame.

Hundreds of histograms are too many to inspect, so each unknown is a line: the share of its ranks
up to r minus the share r / (L + 1) expected of uniform ranks (Säilynoja, Bürkner and Vehtari 2022,
Statistics and Computing 32, 32).  A line that rises and then falls means that truths lie below
their draws too often; an S shape means that intervals are too narrow or too wide.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beltcast.display.colours import OTHER, POSTERIOR, PRIOR
from beltcast.display.style import house_style
from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.schema import PARAMETER, SET

_TRIALS = 2000
"""Samples of uniform ranks used for the band, which fix its 95 % to half a percentage point."""


@house_style
def rank_chart(result: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw how far the ranks of every unknown are from uniform.

    Parameters
    ----------
    result : xarray.Dataset
        As `beltcast.inference.audit.sbc.sbc` returns it.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        One line per unknown (grey) and per answer (blue), the most extreme one in red; one line in
        twenty leaves the band somewhere even if the inference is right.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from beltcast.pictures.plots_ranks import rank_chart
    >>> ranks = np.random.default_rng(1).integers(100, size=(50, 3))
    >>> result = xr.Dataset(
    ...     {"rank": (("set", "parameter"), ranks)}, {"parameter": list("abc")}, {"draws": 99}
    ... )
    >>> len(rank_chart(result).lines)
    3
    """
    if ax is None:
        ax = Figure(figsize=(8, 5), layout="constrained").add_subplot()
    ranks, possible = result["rank"].values, int(result.attrs["draws"]) + 1
    sets, names = result.sizes[SET], [str(name) for name in result[PARAMETER].values]
    answers = len(names) - int(result.attrs.get("answers", 0))
    share = np.arange(1, possible) / possible
    sd = np.sqrt(share * (1.0 - share) / sets)
    gaps = _gaps(ranks, possible)
    worst = int(np.abs(gaps / sd[:, None]).max(axis=0).argmax())
    reach = band_reach(sets, possible, rng=np.random.default_rng(0))
    ax.fill_between(share, -reach * sd, reach * sd, color=PRIOR, alpha=0.2, lw=0)
    for i in np.argsort(np.arange(len(names)) == worst, kind="stable"):
        is_answer, is_worst = i >= answers, i == worst
        color = OTHER if is_worst else POSTERIOR if is_answer else "0.6"
        label = names[i] if is_worst else None
        ax.plot(share, gaps[:, i], color=color, lw=1.6 if is_worst else 0.6, label=label)
    ax.set_xlabel("rank of the truth among its draws, as a share")
    ax.set_ylabel("share of ranks up to it, less that of uniform ranks")
    ax.set_title(f"{len(names)} ranked in {sets} synthetic data sets", loc="left")
    ax.legend(frameon=False, fontsize="small", loc="upper right")
    return ax


def band_reach(sets: int, possible: int, *, rng: np.random.Generator) -> float:
    """Half the width of the band that 95 % of lines of uniform ranks stay within, in their sd.

    Parameters
    ----------
    sets : int
        Ranks per line.
    possible : int
        Number of possible ranks.
    rng : numpy.random.Generator
    """
    share = np.arange(1, possible) / possible
    gaps = _gaps(rng.integers(possible, size=(sets, _TRIALS)), possible)
    furthest = np.abs(gaps / np.sqrt(share * (1.0 - share) / sets)[:, None]).max(axis=0)
    return float(np.quantile(furthest, 0.95))


def _gaps(ranks: IntArray, possible: int) -> FloatArray:
    """Shares of ranks below 1, 2, ... minus the uniform shares; (sets, k) -> (possible - 1, k)."""
    share = np.arange(1, possible) / possible
    counts = np.apply_along_axis(np.bincount, 0, ranks, minlength=possible)
    gaps: FloatArray = np.cumsum(counts, axis=0)[:-1] / len(ranks) - share[:, None]
    return gaps
