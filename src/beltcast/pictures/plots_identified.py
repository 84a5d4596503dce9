"""Charts of identifiability: answers from prior to posterior, and confounded pairs.

Every function draws on the axes passed to it, or on new ones, and returns them. The charts of a
fit alone (waterfall, profiles, sd ratios of parameters) are in `beltcast.pictures.plots`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.stats import chi2

from beltcast.display.colours import OTHER, POSTERIOR, PRIOR
from beltcast.display.lines import new_axes
from beltcast.display.style import house_style
from beltcast.engine.nodes import FloatArray
from beltcast.errors import UnknownName, did_you_mean
from beltcast.inference.audit.power_scaling import LIKELIHOOD, SENSITIVE
from beltcast.inference.sampling.posterior import Draws

CONTOURS = (0.5, 0.8, 0.95)
"""Shares of the prior within its contours."""


@house_style
def answers_chart(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the sd of each answer before and after the observations, the most narrowed on top.

    Parameters
    ----------
    table : pandas.DataFrame
        As `beltcast.inference.audit.contraction.contraction` returns it, or some rows of it.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        A line from the prior's standard deviation (grey) to the posterior's (blue); a short line
        means that the observations hardly narrow the answer.

    Examples
    --------
    >>> import pandas as pd
    >>> from beltcast.pictures.plots_identified import answers_chart
    >>> table = {"prior_sd": [1.0], "posterior_sd": [0.2], "contraction": [0.8]}
    >>> answers_chart(pd.DataFrame(table, index=["output"])).get_yticklabels()[0].get_text()
    'output'
    """
    ax = ax or new_axes(8.0, 5.0)
    shown = table.sort_values("contraction", kind="stable")
    rows = np.arange(len(shown))
    ax.hlines(rows, shown["posterior_sd"], shown["prior_sd"], color="0.8", lw=1.5, zorder=1)
    ax.plot(shown["prior_sd"], rows, "o", color=PRIOR, ms=5, label="prior")
    ax.plot(shown["posterior_sd"], rows, "o", color=POSTERIOR, ms=5, label="posterior")
    ax.set_xscale("log")
    ax.set_yticks(rows, [str(name) for name in shown.index], fontsize="x-small")
    ax.set_xlabel("standard deviation of the log of the answer")
    ax.set_title("Answers: how much the observations narrow them", loc="left")
    ax.grid(True, axis="x", alpha=0.25)
    ax.legend(frameon=False, fontsize="small", loc="lower right")
    return ax


@house_style
def pair_chart(draws: Draws, one: str, other: str, *, ax: Axes | None = None) -> Axes:
    """Draw two parameters: draws of the posterior over contours of the prior.

    A cloud that is long and thin across the contours shows a combination that the observations
    determine while neither of the two parameters is known.

    Parameters
    ----------
    draws : Draws
        Of the posterior.
    one, other : str
        Labels of two parameters.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        In the parameters' own units. The contours hold 50, 80 and 95% of the prior, cut at its
        bounds; for an element around a common mean they are drawn at the centre of the priors.

    Raises
    ------
    UnknownName
        A parameter of that label is not estimated.

    Examples
    --------
    >>> from beltcast.inference.sampling.draws_file import open_fit
    >>> from beltcast.pictures.plots_identified import pair_chart
    >>> _, kept = open_fit()
    >>> pair_chart(kept.posterior, "Offer Elasticity", "AVE per Day").get_xlabel()
    'Offer Elasticity [Dmnl]'
    """
    ax = ax or new_axes(8.0, 5.0)
    priors = draws.likelihood.priors
    for label in (one, other):
        if label not in priors.labels:
            hint = did_you_mean(label, priors.labels)
            raise UnknownName(f"'{label}' is not estimated{hint}")
    i, j = priors.labels.index(one), priors.labels.index(other)
    for k, share in enumerate(CONTOURS):
        x, y = _contour(draws, i, j, share)
        name = "prior, 50, 80, 95%" if k == 0 else None
        ax.plot(x, y, color=PRIOR, lw=1, label=name, zorder=1)
    values = priors.natural(draws.theta[:, : len(priors)])
    ax.plot(values[:, i], values[:, j], ".", color=POSTERIOR, alpha=0.5, ms=4, label="posterior")
    for axis, at in (("x", i), ("y", j)):
        if priors.families[at] == "lognormal":
            ax.set(**{f"{axis}scale": "log"})
        ax.set(**{f"{axis}label": f"{priors.labels[at]} [{priors.units[at]}]"})
    correlation = float(np.asarray(np.corrcoef(draws.theta[:, [i, j]].T))[0, 1])
    ax.set_title(f"posterior correlation {correlation:+.2f}", loc="left")
    ax.legend(frameon=False, fontsize="small")
    return ax


@house_style
def power_chart(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how far each answer moves with each prior: a dot at its sensitivity.

    Parameters
    ----------
    table : pandas.DataFrame
        As `beltcast.inference.audit.power_scaling.power_scaling` returns it, or some answers of it.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        One row per answer; the hollow dot is the likelihood, the dotted line the threshold.
    """
    ax = ax or new_axes(8.0, 5.0)
    wide = table["sensitivity"].unstack("part")
    wide = wide.loc[list(dict.fromkeys(table.index.get_level_values("answer")))][::-1]
    parts = list(dict.fromkeys(table.index.get_level_values("part")))
    rows = np.arange(len(wide))
    for k, name in enumerate(parts):
        hollow = name == LIKELIHOOD
        ax.scatter(
            wide[name],
            rows,
            s=28,
            facecolor="none" if hollow else f"C{k}",
            edgecolor="black" if hollow else f"C{k}",
            label=str(name),
        )
    ax.axvline(SENSITIVE, color=OTHER, lw=0.8, ls=":")
    ax.set_yticks(rows, [str(name) for name in wide.index], fontsize="x-small")
    ax.set_xlabel("sensitivity (distance per doubling of the power)")
    ax.set_title("Which prior moves which answer", loc="left")
    ax.grid(True, axis="x", alpha=0.25)
    ax.legend(frameon=False, fontsize="x-small")
    return ax


def _contour(draws: Draws, i: int, j: int, share: float) -> tuple[FloatArray, FloatArray]:
    """Ellipse that holds a share of two normal priors, in natural units."""
    priors = draws.likelihood.priors
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    radius = np.sqrt(chi2.ppf(share, df=2))
    z = np.tile(priors.mu, (len(angle), 1))
    z[:, i] += radius * priors.sigma[i] * np.cos(angle)
    z[:, j] += radius * priors.sigma[j] * np.sin(angle)
    values = priors.natural(np.clip(z, priors.lower, priors.upper))
    return values[:, i], values[:, j]
