"""Chart of a fit over time: observations of each column, the model, and predictive bands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from beltcast.display.colours import COLOURS
from beltcast.display.lines import new_figure
from beltcast.display.style import house_style
from beltcast.engine.nodes import FloatArray
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.simulated import simulate_observations
from beltcast.model.quantities import same_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 4
"""Most columns of data beside each other."""

PREDICTED = (0.8, 0.95)
"""Shares of predicted observations in the bands."""


@house_style
def plot_fit_over_time(
    likelihood: Likelihood,
    theta: FloatArray,
    *,
    rng: np.random.Generator,
    observed: int | None = None,
) -> Figure:
    """Draw observations with the 80% and 95% predictive bands of draws, and residuals below.

    Parameters
    ----------
    likelihood : Likelihood
    theta : (N, size)
        Draws of all unknowns.
    rng : numpy.random.Generator
        Draws the errors of observations.
    observed : int, optional
        Only the first so many rows were observed; the others are forecast.

    Returns
    -------
    matplotlib.figure.Figure
        A column of two panels for each column of data: observations over time, and standardised
        residuals (quantiles of the prediction turned into standard normals); `ACROSS` beside
        each other.
    """
    from matplotlib.patches import Patch

    rows = likelihood.observations.rows
    names = [likelihood.noise.definitions[row.definition].title for row in rows]
    drawn = simulate_observations(likelihood, theta, rng)
    expected = likelihood.natural(likelihood.expected(theta))
    published = likelihood.natural(likelihood.published)
    columns = list(dict.fromkeys(names))
    across = min(len(columns), ACROSS)
    down = math.ceil(len(columns) / across)
    figure = new_figure(5.0 * across, 5.5 * down)
    grid = {"height_ratios": [3, 1] * down}
    axes = figure.subplots(2 * down, across, squeeze=False, gridspec_kw=grid)
    for unused in axes.reshape(down, 2, across).swapaxes(1, 2).reshape(-1, 2)[len(columns) :].flat:
        unused.remove()
    unit = likelihood.model.time_unit
    for k, name in enumerate(columns):
        own = np.array([one == name for one in names])
        times = np.array([row.end for row in rows])[own]
        order = np.argsort(times, kind="stable")
        t, colour = times[order], COLOURS[0]
        top, below = axes[2 * (k // across) :, k % across][:2]
        below.sharex(top)
        top.tick_params(labelbottom=False)
        keys = []
        for number, share in enumerate(reversed(PREDICTED), start=1):
            tail = 0.5 * (1.0 - share)
            low, high = np.quantile(drawn[:, own][:, order], [tail, 1.0 - tail], axis=0)
            top.fill_between(t, low, high, color=colour, alpha=0.2, lw=0)
            # An inner band lies upon the outer ones.
            keys.append(Patch(color=colour, alpha=1.0 - 0.8**number, lw=0, label=f"{share:.0%}"))
        top.plot(t, np.median(expected[:, own][:, order], axis=0), color=colour, label="model")
        seen = np.flatnonzero(own)[order] < (len(rows) if observed is None else observed)
        top.plot(
            t[seen], published[own][order][seen], "o", color="0.2", markersize=3, label="observed"
        )
        top.set_title(name, loc="left")
        top.legend(handles=[*keys, *top.get_lines()], frameon=False, fontsize=7)
        below.axhline(0.0, color="0.6", lw=0.8)
        z = _residuals(drawn[:, own][:, order], published[own][order])
        below.plot(t[seen], z[seen], "o", color=colour, markersize=3)
        below.set_ylabel("residual [sd]")
        below.locator_params(axis="x", nbins=5)
        below.set_xlabel("time" if same_unit(unit or "1", "1") else unit)
    return figure


def _residuals(drawn: FloatArray, published: FloatArray) -> FloatArray:
    """Normal scores of the observations among draws of them; ties count half."""
    from scipy.special import ndtri

    below = (drawn < published).mean(axis=0) + 0.5 * (drawn == published).mean(axis=0)
    least = 0.5 / len(drawn)
    scores: FloatArray = ndtri(np.clip(below, least, 1.0 - least))
    return scores
