"""Partial pooling: places that differ around a common mean, by an estimated standard deviation.

For a constant over a subscript range, on the working scale of its family,

    w_b = c_b + m + tau z_b,     z_b ~ N(0, 1),     log tau ~ N(log between, between_log_sd)

with m the common mean, tau the standard deviation between places and c_b the distance of the centre
of place b from the mean of the centres (0 if all have one centre).  The unknowns are m, log tau
and the z_b, not the w_b: this non-centred form has no funnel when data are few
(Papaspiliopoulos, Roberts and Skold 2007, Statistical Science 22).  A place with two observations
borrows from the others: if its own observations give y with standard deviation s, its estimate is

    m + (y - m) tau^2 / (tau^2 + s^2).

Bounds are those of the constant: w_b is truncated there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from beltcast.engine.nodes import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Pool:
    """Positions of the unknowns of one pooled constant among all unknowns z, (..., n).

    Attributes
    ----------
    name : str
        The constant.
    mean, sd : int
        Positions of m and of log tau.
    members : (k,) int
        Positions of the z_b.
    offsets : (k,)  [working scale]
        The c_b.
    lower, upper : float  [working scale]
        Bounds of the w_b.
    """

    name: str
    mean: int
    sd: int
    members: IntArray
    offsets: FloatArray
    lower: float
    upper: float

    def place(self, z: FloatArray) -> FloatArray:
        """Working scale of the members; (..., n) -> (..., k)."""
        free = self._free(z)
        return np.clip(free, self.lower, self.upper)

    def slopes(self, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Derivatives of the members by their own z, by m and by log tau; (..., k) each."""
        free = self._free(z)
        by_mean = ((free > self.lower) & (free < self.upper)).astype(np.float64)
        by_own = by_mean * np.exp(z[..., [self.sd]])
        return by_own, by_mean, by_own * z[..., self.members]

    def unplace(self, w: FloatArray, z: FloatArray) -> FloatArray:
        """Members' z from their working scale, with m and tau taken from z."""
        return (w - self.offsets - z[..., [self.mean]]) / np.exp(z[..., [self.sd]])

    def quantiles(self, p: float, mu: FloatArray, sigma: FloatArray) -> FloatArray:
        """Prior quantiles of the members' working scale; (k,).

        Given tau they are normal with variance ``sigma_m^2 + tau^2``; log tau is integrated out by
        Gauss and Hermite.
        """
        nodes, weights = np.polynomial.hermite_e.hermegauss(41)
        tau = np.exp(mu[self.sd] + sigma[self.sd] * nodes)
        sd = np.hypot(sigma[self.mean], tau)
        if p in (0.0, 1.0):
            gap = -np.inf if p == 0.0 else np.inf
        else:
            reach = float(np.abs(ndtri(p)) * sd.max()) + 1e-12
            share = weights / weights.sum()
            gap = brentq(lambda x: float(share @ ndtr(x / sd)) - p, -reach, reach, xtol=1e-12)
        found: FloatArray = np.clip(self.offsets + mu[self.mean] + gap, self.lower, self.upper)
        return found

    def prior_sd(self, mu: FloatArray, sigma: FloatArray) -> float:
        """Prior sd of a member's working scale, with ``E tau^2 = exp(2 mu + 2 sigma^2)``."""
        square = np.exp(2.0 * mu[self.sd] + 2.0 * sigma[self.sd] ** 2)
        return float(np.sqrt(sigma[self.mean] ** 2 + square))

    def _free(self, z: FloatArray) -> FloatArray:
        tau = np.exp(z[..., [self.sd]])
        free: FloatArray = self.offsets + z[..., [self.mean]] + tau * z[..., self.members]
        return free


def sd_label(name: str) -> str:
    """Label of the standard deviation between places, which is not a constant of the model.

    >>> sd_label("Demand Drift")
    'sd of Demand Drift'
    """
    return f"sd of {name}"


def mixing(pools: tuple[Pool, ...], z: FloatArray) -> NDArray[np.float64]:
    """Derivative of working scales by z, the identity except for pools; (n,) -> (n, n)."""
    out = np.eye(len(z))
    for pool in pools:
        by_own, by_mean, by_sd = pool.slopes(z)
        out[pool.members, pool.members] = by_own
        out[pool.members, pool.mean] = by_mean
        out[pool.members, pool.sd] = by_sd
    return out
