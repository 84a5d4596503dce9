"""Residuals of all rows of a likelihood, for any distribution of a row.

Rows that compare numbers with a standard deviation (normal, Student's t, censored, rounded) are in
`residuals`.  Here are the rows whose distribution follows from the model's value itself.
With the observation y, the model's value m and ``z = y - m``, the residual is the signed root of
the deviance (McCullagh and Nelder 1989, section 2.3), so that ``r^2 / 2`` is the negative log
likelihood minus its minimum over m, as for all rows:

==================  ==============================================================================
row                 half the deviance
==================  ==============================================================================
Poisson             ``y log(y / m) - (y - m)``
negative binomial   ``y log(y / m) - (y + phi) log((y + phi) / (m + phi))``
binomial, n trials  ``y log(y / m) + (n - y) log((n - y) / (n - m))``, m the expected count
log density         ``c - m``, where m is a log likelihood itself and c a bound above it
==================  ==============================================================================

The negative binomial distribution has mean m and variance ``m + m^2 / phi``.

References
----------
McCullagh, P. and Nelder, J. A. (1989): Generalized linear models. 2nd edition, Chapman and Hall.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, xlogy

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.inference import residuals

Mask = NDArray[np.bool_]

NUMBER, POISSON, NEGATIVE_BINOMIAL, BINOMIAL, LOG_DENSITY = range(5)
"""Codes of distributions; NUMBER is every row that has a standard deviation."""

CODES = {
    "poisson": POISSON,
    "negative_binomial": NEGATIVE_BINOMIAL,
    "binomial": BINOMIAL,
    "log_density": LOG_DENSITY,
}

CEILING = 1e4
"""Bound c above the log likelihood of a row of code LOG_DENSITY, which it must not exceed."""

_LEAST = 1e-9
"""A smaller expected count is replaced by this: a count above 0 is then impossible, 0 is not."""


@dataclass(frozen=True, eq=False)
class RowFamilies:
    """Distributions of m rows.

    Attributes
    ----------
    log : (m,) bool
        Whether the logs of observation and model are compared.
    codes : (m,) int
        Such as NUMBER or POISSON.
    tails : (m,)
        Degrees of freedom of Student's t, infinite for the normal distribution.
    counts : (m,)
        The observation of rows that are not NUMBER, 0 for others.
    size : (m,)
        phi of a negative binomial row before its scale is estimated, the trials of a binomial one,
        the weight of a log density; 0 for others.
    """

    log: Mask
    codes: IntArray
    tails: FloatArray
    counts: FloatArray
    size: FloatArray

    @cached_property
    def number(self) -> Mask:
        """Rows that have a standard deviation, (m,)."""
        return np.asarray(self.codes == NUMBER)

    @cached_property
    def dispersed(self) -> Mask:
        """Rows whose scale is an overdispersion, (m,)."""
        return np.asarray(self.codes == NEGATIVE_BINOMIAL)

    def residual(self, z: FloatArray, side: IntArray, half: FloatArray) -> FloatArray:
        """Residual of each row.

        Parameters
        ----------
        z : (N, m)
            Of a number, in standard deviations; of another row, observation less model.
        side : (m,)
            As in `beltcast.inference.residuals.residual`.
        half : (N, m)
            Half-widths of rounded numbers, in standard deviations; phi of a negative binomial row,
            the trials of a binomial one.

        Returns
        -------
        (N, m)
        """
        if self._one is not None:
            return residuals.residual(z, side, half, self._one)
        out = np.empty_like(z)
        for tails, rows in self._by_tails:
            out[:, rows] = residuals.residual(z[:, rows], side[rows], half[:, rows], tails)
        for code, rows in self._by_code:
            out[:, rows] = _deviance(code, z[:, rows], self.counts[rows], half[:, rows])[0]
        return out

    def slopes(
        self, z: FloatArray, side: IntArray, half: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Derivatives of `residual` by z and by half; arguments and shapes as there."""
        if self._one is not None:
            return residuals.slopes(z, side, half, self._one)
        by_z, by_half = np.empty_like(z), np.zeros_like(z)
        for tails, rows in self._by_tails:
            by_z[:, rows], by_half[:, rows] = residuals.slopes(
                z[:, rows], side[rows], half[:, rows], tails
            )
        for code, rows in self._by_code:
            _, by_z[:, rows], by_half[:, rows] = _deviance(
                code, z[:, rows], self.counts[rows], half[:, rows]
            )
        return by_z, by_half

    def as_normal(
        self, z: FloatArray, side: IntArray, half: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Weight and centre of the normal row that replaces each row near z, (m,) each."""
        if self._one is not None:
            return residuals.as_normal(z, side, half, self._one)
        weight, middle = np.zeros_like(z), np.zeros_like(z)
        for tails, rows in self._by_tails:
            weight[rows], middle[rows] = residuals.as_normal(z[rows], side[rows], half[rows], tails)
        value = self.residual(z[None], side, half[None])[0]
        slope = self.slopes(z[None], side, half[None])[0][0]
        felt = ~self.number & (np.abs(slope) > 1e-6)
        weight[felt], middle[felt] = np.abs(slope[felt]), z[felt] - value[felt] / slope[felt]
        return weight, middle

    def log_best(self, half: FloatArray, rounded: Mask) -> tuple[FloatArray, FloatArray]:
        """Log of the greatest probability of each row over the model's value, and its slope.

        The factor ``1 / sd`` of a number that is not rounded is left out.

        Parameters
        ----------
        half : (N, m)
            As for `residual`.
        rounded : (m,) bool

        Returns
        -------
        log_best, by_half : (N, m)
        """
        best, by_half = np.zeros_like(half), np.zeros_like(half)
        for tails, rows in self._by_tails:
            best[:, rows] = residuals.log_peak(tails)
            within = rows & rounded
            if within.any():
                best[:, within], by_half[:, within] = residuals.log_height(half[:, within], tails)
        for code, rows in self._by_code:
            best[:, rows], by_half[:, rows] = _best(code, self.counts[rows], half[:, rows])
        return best, by_half

    @cached_property
    def _one(self) -> float | None:
        """Degrees of freedom if all rows are numbers and have the same, else None."""
        if self.number.all() and len(set(self.tails.tolist())) <= 1:
            return float(self.tails[0]) if len(self.tails) else residuals.NORMAL
        return None

    @cached_property
    def _by_tails(self) -> list[tuple[float, Mask]]:
        known = sorted(set(self.tails[self.number].tolist()))
        return [(t, np.asarray(self.number & (self.tails == t))) for t in known]

    @cached_property
    def _by_code(self) -> list[tuple[int, Mask]]:
        known = sorted(set(self.codes[~self.number].tolist()))
        return [(code, np.asarray(self.codes == code)) for code in known]


def draw_count(
    code: int, mean: FloatArray, size: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Counts of one distribution with these means; ``size`` as in `RowFamilies`."""
    mean = np.maximum(mean, _LEAST)
    if code == POISSON:
        return np.asarray(rng.poisson(mean), dtype=np.float64)
    if code == NEGATIVE_BINOMIAL:
        # A mixture of Poisson distributions by a gamma of mean 1 and variance 1 / phi.
        return np.asarray(rng.poisson(mean * rng.gamma(size, 1.0 / size)), dtype=np.float64)
    return np.asarray(rng.binomial(size.astype(np.int64), np.clip(mean / size, 0.0, 1.0)), float)


def _deviance(
    code: int, z: FloatArray, y: FloatArray, size: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Residual and its derivatives by z and by size; (N, k) each."""
    m = y - z
    if code == LOG_DENSITY:
        r = np.sqrt(2.0 * np.maximum(CEILING + z, 0.0))
        return r, 1.0 / np.maximum(r, 1e-150), np.zeros_like(z)
    low = np.maximum(m, _LEAST)
    high = np.minimum(low, size * (1.0 - 1e-12)) if code == BINOMIAL else low
    m = high
    gap = y - m  # z, unless the model's value is impossible
    by_size = np.zeros_like(z)
    if code == POISSON:
        half, curvature = _xlog(y, m) - gap, 1.0 / m
        steep = gap / m
    elif code == NEGATIVE_BINOMIAL:
        ratio = (y + size) / (m + size)
        half = _xlog(y, m) - _xlog(y + size, m + size)
        curvature = size / (m * (m + size))
        steep = gap * curvature
        by_size = ratio - 1.0 - np.log(ratio)
    else:
        half = _xlog(y, m) + _xlog(size - y, size - m)
        curvature = size / (m * (size - m))
        steep = gap * curvature
    # Near the peak the deviance is a small difference of large numbers.
    near = np.abs(gap) * np.sqrt(curvature) < 1e-4
    at_peak = np.sqrt(curvature)
    r = np.where(near, np.abs(gap) * at_peak, np.sqrt(2.0 * np.maximum(half, 0.0)))
    safe = np.maximum(r, 1e-150)
    slope = np.where(near, at_peak, np.abs(steep) / safe)
    slope = np.where(y - z < _LEAST, 0.0, slope)
    by_size = np.where(near, 0.0, np.sign(gap) * by_size / safe)
    # A model's value below 0 is impossible: a wall with a slope towards possible values.
    wall = np.maximum(_LEAST - (y - z), 0.0)
    outside = wall > 1e-6
    r = np.where(outside, np.hypot(r, wall), r)
    slope = np.where(outside, wall / np.maximum(r, 1e-150), slope)
    sign = np.where(outside, 1.0, np.sign(gap))
    return sign * r, slope, by_size


def _xlog(y: FloatArray, m: FloatArray) -> FloatArray:
    """``y log(y / m)``, 0 at y = 0."""
    value: FloatArray = xlogy(y, y / m)
    return value


def _best(code: int, y: FloatArray, size: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log probability of a count equal to the model's value, and its slope by size."""
    if code == LOG_DENSITY:
        return np.full_like(size, CEILING), np.zeros_like(size)
    if code == POISSON:
        best = xlogy(y, y) - y - gammaln(y + 1.0)
        return np.broadcast_to(best, size.shape).copy(), np.zeros_like(size)
    if code == BINOMIAL:
        choose = gammaln(size + 1.0) - gammaln(y + 1.0) - gammaln(size - y + 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            best = choose + xlogy(y, y / size) + xlogy(size - y, 1.0 - y / size)
        return best, np.zeros_like(size)
    best = gammaln(y + size) - gammaln(size) - gammaln(y + 1.0)
    best = best + xlogy(y, y / (y + size)) + size * np.log(size / (y + size))
    slope = digamma(y + size) - digamma(size) + np.log(size / (y + size))
    return best, slope
