"""Charts of a backtest: skill by lead, coverage, and ranks of observations in their forecasts.

Each draws on the axes passed to it, or on new ones, and returns them.  Colours are from the
colour-blind safe palette of Okabe and Ito (2008); markers distinguish what colours may not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from scipy.stats import binom

from beltcast.display.colours import COLOURS
from beltcast.display.lines import gridded, new_axes
from beltcast.schema import FORECASTER
from beltcast.verification.skill import coverage_table, pit_counts, skill_table

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def skill_by_lead(
    scores: xr.Dataset,
    forecaster: str,
    *,
    against: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the loss of one forecaster over that of others at each lead, with 95% intervals.

    The ratio is 1 minus the skill.  A skill is at most 1 and can be -8; a ratio on a log axis shows
    a gain and a loss of the same size symmetrically.

    Parameters
    ----------
    scores : xarray.Dataset
        As `beltcast.verification.skill.case_scores` returns it.
    forecaster : str
    against : sequence of str, optional
        All others by default.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        CRPS of logs over that of the other; below 1 the forecaster is better.
    """
    ax = ax or new_axes(8.0, 5.0)
    table = skill_table(scores, forecaster, against=against, by="lead")
    others = list(dict.fromkeys(table.sort_values("against")["against"]))
    for i, (name, own) in enumerate(table.groupby("against", sort=True)):
        own = own.sort_values("lead")
        ratio, high, low = (1.0 - own[c].to_numpy() for c in ("skill", "low", "high"))
        ax.errorbar(
            own["lead"].to_numpy() + 0.5 * (i - 0.5 * (len(others) - 1)) / max(len(others), 1),
            ratio,
            yerr=[ratio - low, high - ratio],
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i // len(COLOURS) % len(MARKERS)],
            ms=5,
            lw=1.2,
            ls="none",
            label=str(name),
        )
    leads = sorted(table["lead"].unique())
    cases = [int(table.loc[table["lead"] == lead, "cases"].min()) for lead in leads]
    ax.axhline(1.0, color="0.3", lw=0.8)
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xticks(
        leads, [f"{int(lead)}\n({n} cases)" for lead, n in zip(leads, cases, strict=True)]
    )
    ax.set_xlabel("lead, years")
    ax.set_ylabel(f"CRPS of logs, '{forecaster}' over the other")
    ax.set_title(f"Below 1 '{forecaster}' is better; with 95% intervals", loc="left")
    ax.legend(fontsize="x-small", frameon=False, ncols=2)
    return gridded(ax)


def reliability_chart(
    scores: xr.Dataset, *, forecasters: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the coverage of central intervals against their nominal level.

    Parameters
    ----------
    scores : xarray.Dataset
        As `beltcast.verification.skill.case_scores` returns it.
    forecasters : sequence of str, optional
        All by default.
    ax : matplotlib.axes.Axes, optional
    """
    ax = ax or new_axes(8.0, 5.0)
    names = list(map(str, scores[FORECASTER].values)) if forecasters is None else list(forecasters)
    table = coverage_table(scores)
    apart = min(0.6, 4.0 / max(len(names), 1))
    ax.plot([0, 100], [0, 100], color="0.6", lw=1, label="as they say")
    for i, name in enumerate(names):
        own = table[table["forecaster"] == name]
        share, low, high = (100.0 * own[c].to_numpy() for c in ("share", "low", "high"))
        ax.errorbar(
            100.0 * own["level"].to_numpy() + apart * (i - 0.5 * (len(names) - 1)),
            share,
            yerr=[share - low, high - share],
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i // len(COLOURS) % len(MARKERS)],
            ms=4,
            lw=1,
            label=f"{name} ({int(own['cases'].iloc[0])})",
        )
    ax.set_xlim(40, 102)
    ax.set_ylim(0, 102)
    ax.set_xlabel("stated, %")
    ax.set_ylabel("held, %")
    ax.set_title("Coverage of central intervals (cases), 95% intervals", loc="left")
    ax.legend(fontsize="x-small", frameon=False, ncols=2)
    return gridded(ax)


def pit_chart(
    scores: xr.Dataset, forecaster: str, *, bins: int = 10, ax: Axes | None = None
) -> Axes:
    """Draw ranks of observations in their forecasts: flat if calibrated, hollow if overconfident.

    The grey band holds 95% of the counts of one bin for a calibrated forecaster and independent
    cases.

    Parameters
    ----------
    scores : xarray.Dataset
        As `beltcast.verification.skill.case_scores` returns it.
    forecaster : str
    bins : int
    ax : matplotlib.axes.Axes, optional
    """
    ax = ax or new_axes(8.0, 5.0)
    counts = pit_counts(scores, bins=bins).loc[forecaster].to_numpy()
    n = int(counts.sum())
    low, high = binom.ppf([0.025, 0.975], n, 1.0 / bins)
    ax.axhspan(low, high, color="0.9", lw=0, zorder=0)
    ax.axhline(n / bins, color="0.6", lw=1, zorder=1)
    ax.bar((np.arange(bins) + 0.5) / bins, counts, 0.92 / bins, color=COLOURS[0], zorder=2)
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the forecast below the observation")
    ax.set_ylabel("cases")
    ax.set_title(f"'{forecaster}': {n} observations within their forecasts", loc="left")
    return gridded(ax)
