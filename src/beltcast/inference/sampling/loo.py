"""Leave-one-out cross-validation of chains, by Pareto-smoothed importance sampling.

Vehtari, Gelman and Gabry (2017), Statistics and Computing 27, 1413-1432, as arviz-stats computes
it.  The log likelihood is of the published numbers themselves: if logs are compared, each row
has the Jacobian ``-log y``, so that models with log-normal and with normal errors are on one scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError
from beltcast.inference.sampling.chains import Chains
from beltcast.inference.sampling.diagnostics import array_library
from beltcast.inference.sampling.psis import LIMIT


@dataclass(frozen=True, eq=False)
class Loo:
    """Result of leave-one-out cross-validation.

    Attributes
    ----------
    pointwise : (m,)
        Expected log predictive density of each row, left out.
    pareto_k : (m,)
        Shape of the tail of its weights: above 0.7 the value of the row is unreliable.
    effective : float
        Effective number of unknowns.
    """

    pointwise: FloatArray
    pareto_k: FloatArray
    effective: float

    @property
    def elpd(self) -> float:
        """Sum over the rows."""
        return float(self.pointwise.sum())

    @property
    def standard_error(self) -> float:
        """Standard error of `elpd`, from the variation between rows."""
        return float(np.sqrt(len(self.pointwise) * np.var(self.pointwise)))


ENOUGH_FOR_LOO = 25
"""Draws that leaving out a row needs at least."""

ALIKE = 0.01
"""Range of a row's log likelihood below which its weights are equal for this purpose.

The density without the row lies between the smallest and the largest, so that no tail has to be
fitted.  A bound that holds in every draw is such a row: its weights differ by less than rounding.
"""


def loo(chains: Chains) -> Loo:
    """Leave out each row in turn.

    Raises
    ------
    InputError
        There are fewer than `ENOUGH_FOR_LOO` draws: a tail of five is a fifth of them.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import calibrate, read_study, sample
    >>> from beltcast.inference.sampling.loo import loo
    >>> rng = np.random.default_rng(1)
    >>> loo(sample(calibrate(read_study(), rng=rng), rng=rng)).elpd  # doctest: +SKIP
    """
    library = array_library()
    likelihood = chains.likelihood
    logs = likelihood.families.log & (likelihood.side == 0) & (likelihood.half == 0)
    jacobian = np.where(logs, likelihood.published, 0.0)
    rows = (
        np.moveaxis(chains.by_markov_chain(chains.log_likelihood), 2, 0) - jacobian[:, None, None]
    )
    if rows[0].size < ENOUGH_FOR_LOO:
        raise InputError(
            f"{rows[0].size} draws are too few to leave rows out; take {ENOUGH_FOR_LOO} or more"
        )
    found = np.array([_of_row(library, row) for row in rows])
    pointwise, k, effective = found.T
    return Loo(pointwise, k, float(effective.sum()))


def _of_row(library: Any, row: FloatArray) -> tuple[float, float, float]:
    """Log predictive density without a row, the shape of its weights and its effective unknowns."""
    if np.ptp(row) > ALIKE:
        try:
            with np.errstate(all="ignore"):  # a tail of equal weights
                found = tuple(float(part) for part in library.loo(row))
        except ValueError:  # the largest weights are one and the same draw: no tail to smooth
            found = (np.nan,)
        if np.isfinite(found).all():
            return found[0], found[1], found[2]
    pointwise = -_log_mean_exp(-row)
    return pointwise, np.inf if np.ptp(row) > ALIKE else -np.inf, _log_mean_exp(row) - pointwise


def _log_mean_exp(values: FloatArray) -> float:
    return float(np.logaddexp.reduce(values.ravel()) - np.log(values.size))


def loo_words(chains: Chains) -> str:
    """Report the result of `loo`, and its scale; or that there are too few draws."""
    try:
        found = loo(chains)
    except InputError as few:
        return f"Leave-one-out: {few.sentence}."
    bad = found.pareto_k > LIMIT
    doubt = f"Pareto k at most {LIMIT:g}"
    if bad.any():
        doubt = (
            f"{bad.sum()} of them with a Pareto k above {LIMIT:g}: their part of it, "
            f"{found.pointwise[bad].sum():.1f}, is unreliable and as a rule too high. The other "
            f"rows have {found.pointwise[~bad].sum():.1f}; compare models on those, or fit without "
            "the doubtful ones"
        )
    return (
        f"Leave-one-out: log predictive density {found.elpd:.1f} ± {found.standard_error:.1f} of "
        f"{len(found.pointwise)} rows (natural logs, of the numbers as published), "
        f"{found.effective:.1f} effective unknowns; {doubt}."
    )
