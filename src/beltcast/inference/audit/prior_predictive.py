"""Prior predictive distribution of each observation, before any fit.

Parameters and nuisances are drawn from their priors, and each observation once from each draw,
under its own definition with its offset and errors.  Two uses follow.  The published history should
lie well inside the prior predictive, half of it in the middle half, four fifths in the 80%
band: far fewer means priors that contradict the data, far more means uninformative priors.  A
number that the priors all but exclude, and that is several times their expectation, is likely to be
a typing error.

References
----------
Box, G. E. P. (1980): Sampling and Bayes' inference in scientific modelling and robustness. Journal
of the Royal Statistical Society A 143, 383-430.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from beltcast.display.numbers import digits
from beltcast.display.translations import word
from beltcast.inference.assemble import likelihood_of
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.sampling.posterior import sample_prior
from beltcast.inference.simulated import simulate_observations
from beltcast.schema import Language
from beltcast.study.study import Study

APART = 3.0
"""How many times the prior median a number may be, or it the number, before it is doubted."""

OUTSIDE = 0.005
"""Share of the draws beyond a number, on either side, below which it may be doubted."""

_BOUNDS = ("lower", "over", "upper")


def prior_predictive(
    source: Study | Likelihood, draws: int, *, rng: np.random.Generator
) -> pd.DataFrame:
    """Place each observation among draws from the priors.

    Parameters
    ----------
    source : Study or Likelihood
    draws : int
        Draws without a finite number at an observation are excluded there.
    rng : numpy.random.Generator

    Returns
    -------
    pandas.DataFrame
        One row each, in the order of the observations: ``line``, ``place``, ``quantity``, ``kind``,
        ``unit``; ``published``, ``p10``, ``median`` and ``p90`` in the model's unit (growth as a
        ratio); ``below``, the share of draws below the published number, ties counted half.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import read_study
    >>> from beltcast.inference.audit.prior_predictive import prior_predictive
    >>> table = prior_predictive(read_study(), 20, rng=np.random.default_rng(1))
    >>> bool((table["p10"] <= table["p90"]).all())
    True
    """
    likelihood = likelihood_of(source)
    drawn = simulate_observations(likelihood, sample_prior(likelihood, draws, rng=rng).theta, rng)
    drawn[~np.isfinite(drawn)] = np.nan
    published = likelihood.natural(likelihood.published)
    known = np.isfinite(drawn).sum(axis=0)
    under = (drawn < published).sum(axis=0) + 0.5 * (drawn == published).sum(axis=0)
    p10, median, p90 = np.nanquantile(drawn, [0.1, 0.5, 0.9], axis=0)
    rows = likelihood.observations.rows
    names = ("line", "place", "quantity", "kind", "unit")
    return pd.DataFrame(
        {name: [getattr(row, name) for row in rows] for name in names}
        | {"published": published, "p10": p10, "median": median, "p90": p90}
        | {"below": under / known}
    )


def prior_doubts(table: pd.DataFrame, language: Language = "en") -> tuple[str, ...]:
    """Return a sentence for each number that the priors all but exclude.

    A bound is doubted only if it leaves hardly anything: a lower one above the expectation, an
    upper one below it.

    Parameters
    ----------
    table : pandas.DataFrame
        As `prior_predictive` returns it.
    language : {'en', 'zh'}

    Returns
    -------
    tuple of str
        With lines, in the order of the rows.
    """
    found = []
    for row in table.to_dict("records"):
        if not row["median"] > 0 or not row["published"] > 0:
            continue
        times, kind = row["published"] / row["median"], row["kind"]
        high = row["below"] > 1.0 - OUTSIDE and times > APART and kind != "upper"
        low = row["below"] < OUTSIDE and times < 1.0 / APART and kind not in ("lower", "over")
        if high or low:
            sentence = word(
                "doubt prior",
                language,
                times=times,
                low=digits(row["p10"]),
                high=digits(row["p90"]),
                unit=row["unit"],
            )
            found.append(word("doubt line", language, line=row["line"], sentence=sentence))
    return tuple(found)


def prior_words(table: pd.DataFrame, draws: int, language: Language = "en") -> str:
    """Say how many of the published numbers lie in the middle half and the 80% band.

    Bounds are excluded: they are not draws of published numbers.
    """
    below = table.loc[~table["kind"].isin(_BOUNDS), "below"]
    return word(
        "prior predictive",
        language,
        draws=draws,
        rows=len(below),
        half=int(below.between(0.25, 0.75).sum()),
        band=int(below.between(0.1, 0.9).sum()),
    )
