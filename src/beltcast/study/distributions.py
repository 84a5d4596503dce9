"""Families of priors, each Gaussian on a working scale.

A family has a *working scale* z on which its density is a Gaussian's, with natural value x:

===========  =================  ======================  ===========================
family       working scale      mu, sigma               use for
===========  =================  ======================  ===========================
lognormal    z = log x          log median, log_sd      rates, sizes, times
normal       z = x              mean, sd                gains that may change sign
logitnormal  z = logit x        logit median, logit_sd  shares
uniform      x = a + (b-a) F    0, 1                    quantities known only to lie
             F = Phi(z)                                 between bounds a and b
===========  =================  ======================  ===========================

Further families, such as beta and gamma, are those of `beltcast.study.quantile_families`.
`FAMILIES` says how each is written in a file; `WorkingScales` takes whole arrays of parameters
between the scales.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri

from beltcast.engine.nodes import FloatArray
from beltcast.study.quantile_families import (
    QUANTILE_FAMILIES,
    density_at,
    value_at,
    working_at,
)

Family = Literal[
    "lognormal",
    "normal",
    "logitnormal",
    "uniform",
    "beta",
    "gamma",
    "inverse_gamma",
    "exponential",
    "half_normal",
    "half_cauchy",
    "student",
    "log_uniform",
]

FLAT: tuple[Family, ...] = ("uniform", "log_uniform")
"""Families that state bounds only."""


class Scale(NamedTuple):
    """A working scale: its map, its domain in x, and the keys of its family in a file."""

    to_working: Callable[[float], float]
    low: float
    high: float
    centre: str
    sd: str
    domain: str


FAMILIES: dict[Family, Scale] = {
    "lognormal": Scale(lambda x: float(np.log(x)), 0.0, math.inf, "median", "log_sd", "above 0"),
    "normal": Scale(float, -math.inf, math.inf, "mean", "sd", "finite"),
    "logitnormal": Scale(
        lambda x: float(logit(x)), 0.0, 1.0, "median", "logit_sd", "between 0 and 1"
    ),
    "uniform": Scale(float, -math.inf, math.inf, "bounds", "bounds", "within its bounds"),
}


@dataclass(frozen=True, eq=False)
class WorkingScales:
    """The scales of n parameters as arrays.

    Attributes
    ----------
    families : (n,) str
    low, width : (n,)  [unit of each parameter]
        Lower end and width of a uniform prior; not used for others.
    shapes : (n, 3)
        Parameters of a prior of `beltcast.study.quantile_families`; not used for others.
    """

    families: tuple[Family, ...]
    low: FloatArray
    width: FloatArray
    shapes: FloatArray

    def natural(self, w: FloatArray) -> FloatArray:
        """Convert working scales to natural values; (..., n) -> (..., n)."""
        values = np.array(w, dtype=np.float64)
        log, share, uniform = self._masks
        values[..., log] = np.exp(values[..., log])
        values[..., share] = expit(values[..., share])
        inside = ndtr(values[..., uniform])
        values[..., uniform] = self.low[uniform] + self.width[uniform] * inside
        for i, family in self._by_quantile:
            values[..., i] = value_at(family, w[..., i], self._shape(i))
        return values

    def slope(self, w: FloatArray) -> FloatArray:
        """Differentiate natural values by working scales; (..., n) -> (..., n)."""
        slopes = np.ones_like(w)
        log, share, uniform = self._masks
        slopes[..., log] = np.exp(w[..., log])
        # expit(-w) is 1 - x without the cancellation near x = 1.
        slopes[..., share] = expit(w[..., share]) * expit(-w[..., share])
        bell = self.width[uniform] * np.exp(-0.5 * w[..., uniform] ** 2)
        slopes[..., uniform] = bell / np.sqrt(2.0 * np.pi)
        for i, family in self._by_quantile:
            x = value_at(family, w[..., i], self._shape(i))
            own = np.maximum(density_at(family, x, self._shape(i)), 1e-300)
            slopes[..., i] = np.exp(-0.5 * w[..., i] ** 2) / (np.sqrt(2.0 * np.pi) * own)
        return slopes

    def working(self, values: FloatArray) -> FloatArray:
        """Convert natural values, inside their domains, to working scales; (..., n) -> (..., n)."""
        w = np.array(values, dtype=np.float64)
        log, share, uniform = self._masks
        w[..., log] = np.log(w[..., log])
        w[..., share] = logit(w[..., share])
        w[..., uniform] = ndtri((w[..., uniform] - self.low[uniform]) / self.width[uniform])
        for i, family in self._by_quantile:
            w[..., i] = working_at(family, values[..., i], self._shape(i))
        return w

    @cached_property
    def _by_quantile(self) -> list[tuple[int, str]]:
        """Position and family of each parameter that is defined through its quantiles."""
        return [(i, f) for i, f in enumerate(self.families) if f in QUANTILE_FAMILIES]

    def _shape(self, i: int) -> tuple[float, float, float]:
        a, b, c = self.shapes[i].tolist()
        return a, b, c

    def outside(self, values: FloatArray) -> NDArray[np.bool_]:
        """Return which values are outside the domain of their family; (..., n) -> (..., n)."""
        log, share, uniform = self._masks
        part = (values - self.low) / self.width
        out = np.isnan(values) | (log & (values <= 0))
        out |= share & ((values <= 0) | (values >= 1))
        out |= uniform & ((part <= 0) | (part >= 1))
        for i, family in self._by_quantile:
            own = QUANTILE_FAMILIES[family]
            low, high = own.low, own.high
            if family == "log_uniform":
                low, high, _ = self._shape(i)
            out[..., i] |= (values[..., i] <= low) | (values[..., i] >= high)
        return np.asarray(out, dtype=bool)

    @cached_property
    def _masks(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Which parameters are lognormal, logitnormal and uniform; others are not transformed."""
        log, share, uniform = (
            np.array([own == family for own in self.families], dtype=bool)
            for family in ("lognormal", "logitnormal", "uniform")
        )
        return log, share, uniform
