"""Distribution of the nuisances given the model's answers: normal, with a mean linear in them.

`beltcast.inference.likelihood.Likelihood.nuisance_rule` makes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from beltcast.engine.nodes import FloatArray


@dataclass(frozen=True, eq=False)
class NuisanceRule:
    """Normal distribution of the nuisances given the model's answers.

    Attributes
    ----------
    loadings : (m, u)
        What a unit of each nuisance adds to the weighted residual of each row.
    weight : (m,)
    free : (m,)
        Answers at which the rows need no nuisance.
    precision : (u, u)
    held : (u,)
        Values of nuisances that do not move a row's mean (sd factors); 0 for the others.
    """

    loadings: FloatArray
    weight: FloatArray
    free: FloatArray
    precision: FloatArray
    held: FloatArray

    def mean(self, answers: FloatArray) -> FloatArray:
        """Means of the nuisances, (N, m) -> (N, u)."""
        gaps = self.free - answers
        # A row without an answer does not inform nuisances; its residual takes the blame.
        gaps = np.where(np.isfinite(gaps), gaps, 0.0) * self.weight
        return np.asarray(self.held + gaps @ self._gain)

    @cached_property
    def factor(self) -> FloatArray:
        """Lower Cholesky factor of the precision, (u, u); one serves all moves of a chain."""
        return np.asarray(np.linalg.cholesky(self.precision), dtype=np.float64)

    @cached_property
    def _gain(self) -> FloatArray:
        """Shift of each mean per weighted gap of each row, (m, u)."""
        return np.asarray(np.linalg.solve(self.precision, self.loadings.T).T, dtype=np.float64)
