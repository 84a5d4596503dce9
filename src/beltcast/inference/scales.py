"""Heights of rows whose scale is estimated, as residuals.

The residual of a row (`families`) excludes the height of its distribution, which depends on the
scale s alone.  Rows that share an estimated scale form a group, and each group g adds one residual

    r_g = sqrt(2 (c + sum over its rows of (log height at s = 1 - log height at s))),

with these terms of the sum, and of the constant c that keeps the root real:

=================  ===================================  =======================================
row                term                                 part of c
=================  ===================================  =======================================
a number           ``log s``                            1/2 + what log s may be below 0
a rounded number   ``log (2 F(h) - 1) - log (2 F(h      the same
                   / s) - 1)``
negative binomial  ``-log p(y; m = y, phi / s)``        0: a probability is below 1
=================  ===================================  =======================================

The density is exact.  Gauss and Newton's curvature of log s is too small by up to a half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.inference.families import NEGATIVE_BINOMIAL, RowFamilies


@dataclass(frozen=True, eq=False)
class Heights:
    """Groups of rows that share a scale.

    Attributes
    ----------
    families : RowFamilies
    half : (m,)
        Half-width of rounded numbers at s = 1, in standard deviations; 0 for others.
    members : (g, m)
        1 if a row is in a group, else 0.
    constant : (g,)
    """

    families: RowFamilies
    half: FloatArray
    members: FloatArray
    constant: FloatArray

    def residuals(self, log_scale: FloatArray) -> FloatArray:
        """Residual of each group; (N, m) logs of scales -> (N, g)."""
        lost, _ = self._lost(log_scale)
        total = self.constant + lost @ self.members.T
        return np.sqrt(2.0 * np.maximum(total, 0.0))

    def slopes(self, log_scale: FloatArray) -> FloatArray:
        """Derivative of the residual of each group by each log scale; (m,) -> (g, m)."""
        lost, slope = self._lost(log_scale[None])
        total = np.maximum(self.constant + lost[0] @ self.members.T, 1e-300)
        out: FloatArray = self.members * slope[0] / np.sqrt(2.0 * total)[:, None]
        return out

    def _lost(self, log_scale: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Term of each row in the sum, and its derivative by log s; (N, m) each."""
        log_scale = np.where(np.isfinite(log_scale), log_scale, 0.0)
        lost, slope = log_scale.copy(), np.ones_like(log_scale)
        rounded = self.half > 0
        special = (rounded | self.families.dispersed) & self.members.any(axis=0)
        if not special.any():
            return lost, slope
        base = np.where(self.families.dispersed, self.families.size, self.half)
        now = base * np.exp(-log_scale)
        best, by_half = self.families.log_best(now, rounded)
        first, _ = self.families.log_best(base[None], rounded)
        first = np.where(self.families.dispersed, 0.0, first)
        lost = np.where(special, first - best, lost)
        slope = np.where(special, by_half * now, slope)
        return lost, slope


def make_heights(
    families: RowFamilies, *, half: FloatArray, group: IntArray, reach: FloatArray
) -> Heights:
    """Assemble the groups.

    Parameters
    ----------
    families : RowFamilies
    half : (m,)
        As in `Heights`.
    group : (m,) int
        Number of the group of each row; -1 if the scale is given.
    reach : (m,)
        Smallest log of each scale, as a distance below 0.
    """
    known = sorted(set(group[group >= 0].tolist()))
    members = np.array([group == one for one in known], dtype=np.float64)
    members = members.reshape(len(known), len(group))
    each = np.where(families.codes == NEGATIVE_BINOMIAL, 0.0, 0.5 + reach)
    return Heights(families, half, members, members @ each)
