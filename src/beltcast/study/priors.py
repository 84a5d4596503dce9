"""Prior distributions of the parameters.

A prior belongs to one constant of the model, or to one of its elements, and is Gaussian on the
*working scale* z of its family (`families`).  Therefore its residual is exactly
``(z - mu) / sigma``, and calibration, Laplace covariance and sampling all work in z.  Bounds are
limits on z: they truncate the Gaussian and change nothing else, so inside them the log density is
``-residual**2 / 2`` plus a constant.  Elements around a common mean are placed by `pooling`.

`Priors` is flat arrays, one entry a parameter, in the order of the file that
`priors_file.read_priors` reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp

from beltcast.errors import UnknownName, did_you_mean, quoted
from beltcast.study.distributions import FAMILIES, FLAT, Family, WorkingScales
from beltcast.study.pooling import Pool, mixing
from beltcast.study.quantile_families import QUANTILE_FAMILIES

FAR = 5.0
"""Standard deviations from the centre beyond which a truncated tail is computed in logs."""


@dataclass(frozen=True, eq=False)
class Priors:
    """Independent priors of n parameters, on their working scales.

    Parameters
    ----------
    labels : (n,) str
        ``Name`` or ``Name[Element]``, as the model spells them.
    names, roles, units, sources : (n,) str
        The constant, the role of the parameter, its unit, the source of the prior.
    families : (n,) str
        Of `families`.
    mu, sigma : (n,)  [working scale]
        Centre and standard deviation of the Gaussian.
    lower, upper : (n,)  [working scale]
        Bounds; infinite if there are none.
    path : Path, optional
        The file that they were read from.
    sha256 : str
        Of that file's bytes; a subset keeps it.
    pools : tuple of Pool
        Parameters around a common mean.
    ends : (n, 2)  [unit of each parameter]
        Bounds of uniform priors; 0 and 1 for others.
    shapes : (n, 3)
        Parameters of priors of `beltcast.study.quantile_families`; 0 for others.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    roles: tuple[str, ...]
    units: tuple[str, ...]
    sources: tuple[str, ...]
    families: tuple[Family, ...]
    mu: NDArray[np.float64]
    sigma: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    path: Path | None = None
    sha256: str = ""
    pools: tuple[Pool, ...] = ()
    ends: NDArray[np.float64] | None = None
    shapes: NDArray[np.float64] | None = None
    _scales: WorkingScales = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("mu", "sigma", "lower", "upper"):
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != (len(self.labels),):
                raise ValueError(f"{name} has shape {array.shape}, expected {(len(self),)}")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        n = len(self)
        low, high = (np.zeros(n), np.ones(n)) if self.ends is None else self.ends.T
        shapes = np.zeros((n, 3)) if self.shapes is None else self.shapes
        object.__setattr__(self, "_scales", WorkingScales(self.families, low, high - low, shapes))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def settable(self) -> NDArray[np.int64]:
        """Positions of the parameters that are constants of the model: all but pools' sds."""
        scales = {pool.sd for pool in self.pools}
        return np.array([i for i in range(len(self)) if i not in scales], dtype=np.int64)

    def natural(self, z: ArrayLike) -> NDArray[np.float64]:
        """Values in the parameters' own units.

        Parameters
        ----------
        z : (..., n)  [working scale]

        Returns
        -------
        (..., n)  [unit of each parameter]
        """
        return self._scales.natural(self._placed(np.asarray(z, dtype=np.float64)))

    def slope(self, z: ArrayLike) -> NDArray[np.float64]:
        """Differentiate the natural value with respect to its own z.

        ``x`` for a lognormal, 1 for a normal, ``x (1 - x)`` for a logitnormal parameter; times the
        sd between elements for one that is partially pooled, which also moves with its pool:
        see `pull_back`.

        Parameters
        ----------
        z : (..., n)  [working scale]

        Returns
        -------
        (..., n)  [unit of each parameter per working scale]
        """
        z = np.asarray(z, dtype=np.float64)
        slopes = self._scales.slope(self._placed(z))
        for pool in self.pools:
            slopes[..., pool.members] *= pool.slopes(z)[0]
        return slopes

    def pull_back(self, by_value: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
        """Convert derivatives by natural values to derivatives by z, exactly.

        Parameters
        ----------
        by_value : (..., n)
        z : (n,)  [working scale]

        Returns
        -------
        (..., n)
        """
        z, by_value = np.asarray(z, dtype=np.float64), np.asarray(by_value, dtype=np.float64)
        out: NDArray[np.float64] = by_value * self.slope(z)
        for pool in self.pools:
            by_working = (by_value * self._scales.slope(self._placed(z)))[..., pool.members]
            _, by_mean, by_sd = pool.slopes(z)
            out[..., pool.mean] += by_working @ by_mean
            out[..., pool.sd] += by_working @ by_sd
        return out

    def interval(
        self, z: ArrayLike, covariance: ArrayLike, reach: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Interval of each parameter around z, and its posterior-to-prior sd ratio.

        Parameters
        ----------
        z : (n,)  [working scale]
        covariance : (n, n)
            Of z.
        reach : float
            Half the width of the interval, in standard deviations.

        Returns
        -------
        low, high : (n,)  [unit of each parameter]
        ratio : (n,)
        """
        z, covariance = np.asarray(z, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
        prior, lower, upper = self.sigma.copy(), self.lower.copy(), self.upper.copy()
        if self.pools:
            by_z = mixing(self.pools, z)
            covariance = by_z @ covariance @ by_z.T
        for pool in self.pools:
            prior[pool.members] = pool.prior_sd(self.mu, self.sigma)
            lower[pool.members], upper[pool.members] = pool.lower, pool.upper
        sd, center = np.sqrt(np.diag(covariance)), self._placed(z)
        low = self._scales.natural(np.maximum(center - reach * sd, lower))
        high = self._scales.natural(np.minimum(center + reach * sd, upper))
        return low, high, sd / prior

    def working(self, values: ArrayLike) -> NDArray[np.float64]:
        """Working scale of natural values, the inverse of `natural`.

        Parameters
        ----------
        values : (..., n)  [unit of each parameter]
            Above 0 if lognormal, between 0 and 1 if logitnormal, within the bounds if
            uniform.

        Returns
        -------
        (..., n)  [working scale]

        Raises
        ------
        ValueError
            A value is outside the domain of its family.
        """
        x = np.asarray(values, dtype=np.float64)
        outside = self._scales.outside(x)
        if outside.any():
            index = np.argwhere(outside)[0]
            label, family = self.labels[index[-1]], self.families[index[-1]]
            raise ValueError(
                f"{label} = {x[tuple(index)]} is outside the domain of a {family} prior; "
                f"expected a value {_domain(family)}"
            )
        z = self._scales.working(x)
        for pool in self.pools:
            z[..., pool.members] = pool.unplace(z[..., pool.members], z)
        return z

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Draws from the priors, truncated to the bounds.

        By inversion: one uniform number per parameter and draw, whatever the bounds, so a change
        of one parameter's bounds leaves the draws of all others unchanged.

        Returns
        -------
        (size, n)  [working scale]
        """
        return self._inverse(rng.random((size, len(self))))

    def from_uniform(self, p: ArrayLike) -> NDArray[np.float64]:
        """Convert points of the unit cube to points of the priors.

        Parameters
        ----------
        p : (..., n)  [1]
            Probabilities, one per parameter.

        Returns
        -------
        (..., n)  [working scale]
        """
        return self._inverse(np.asarray(p, dtype=np.float64))

    def quantiles(self, p: ArrayLike) -> NDArray[np.float64]:
        """Quantiles of the truncated priors.

        Parameters
        ----------
        p : (...)  [1]
            Probabilities.

        Returns
        -------
        (..., n)  [unit of each parameter]
        """
        p = np.asarray(p, dtype=np.float64)
        w = self._inverse(np.repeat(p[..., np.newaxis], len(self), axis=-1))
        for pool in self.pools:
            each = [pool.quantiles(float(q), self.mu, self.sigma) for q in p.ravel()]
            w[..., pool.members] = np.reshape(each, (*p.shape, -1))
        return self._scales.natural(w)

    def log_density(self, z: ArrayLike) -> NDArray[np.float64]:
        """Log density with respect to z, summed over the parameters.

        Parameters
        ----------
        z : (..., n)  [working scale]

        Returns
        -------
        (...)
            Minus infinity outside the bounds.
        """
        z = np.asarray(z, dtype=np.float64)
        residual = (z - self.mu) / self.sigma
        constant = (np.log(self.sigma * np.sqrt(2 * np.pi)) + self._log_mass()).sum()
        inside = ((z >= self.lower) & (z <= self.upper)).all(axis=-1)
        density = -0.5 * (residual**2).sum(axis=-1) - constant
        return np.asarray(np.where(inside, density, -np.inf), dtype=np.float64)

    def subset(self, labels: Sequence[str]) -> Priors:
        """Choose the priors of some parameters, in the given order.

        Raises
        ------
        UnknownName
            A label has no prior.
        """
        position = {label: index for index, label in enumerate(self.labels)}
        for label in labels:
            if label not in position:
                known = did_you_mean(label, self.labels)
                raise UnknownName(f"there is no prior of {quoted(label)}{known}")
        keep = [position[label] for label in labels]
        if any({pool.mean, pool.sd, *pool.members.tolist()} - set(keep) for pool in self.pools):
            return self._unpooled().subset(labels)
        return self._kept(keep)

    def boxed(self) -> Priors:
        """State the bounds of uniform and log-uniform priors as bounds of x and of log x.

        On their working scale a bound is at infinity, and the slope vanishes towards it; here an
        optimum at a bound is an ordinary point, at which an optimiser can end.

        Returns
        -------
        Priors
            Uniform priors are bounded normal, log-uniform ones bounded lognormal; only the bounds
            are meant, the width of the Gaussian is a quarter of the range.
        """
        scales, flat = self._scales, np.isin(self.families, FLAT)
        log = flat & (np.array(self.families) == "log_uniform")
        first, second = np.log(np.where(log, scales.shapes[:, :2].T, 1.0))
        low = np.where(log, first, scales.low)
        high = np.where(log, second, scales.low + scales.width)
        of_log: dict[bool, Family] = {True: "lognormal", False: "normal"}
        return replace(
            self,
            families=tuple(
                of_log[family == "log_uniform"] if family in FLAT else family
                for family in self.families
            ),
            mu=np.where(flat, 0.5 * (low + high), self.mu),
            sigma=np.where(flat, 0.25 * (high - low), self.sigma),
            lower=np.where(flat, low, self.lower),
            upper=np.where(flat, high, self.upper),
        )

    def _kept(self, keep: Sequence[int]) -> Priors:
        at = {old: new for new, old in enumerate(keep)}
        moved = (
            replace(
                pool,
                mean=at[pool.mean],
                sd=at[pool.sd],
                members=np.array([at[i] for i in pool.members.tolist()]),
            )
            for pool in self.pools
        )
        return replace(
            self,
            labels=tuple(self.labels[i] for i in keep),
            names=tuple(self.names[i] for i in keep),
            roles=tuple(self.roles[i] for i in keep),
            units=tuple(self.units[i] for i in keep),
            sources=tuple(self.sources[i] for i in keep),
            families=tuple(self.families[i] for i in keep),
            mu=self.mu[list(keep)],
            sigma=self.sigma[list(keep)],
            lower=self.lower[list(keep)],
            upper=self.upper[list(keep)],
            pools=tuple(moved),
            ends=None if self.ends is None else self.ends[list(keep)],
            shapes=None if self.shapes is None else self.shapes[list(keep)],
        )

    def _unpooled(self) -> Priors:
        """Members on their own working scales, each with its variance in the pool.

        For uses that vary single parameters, such as a sensitivity to a few of them.
        """
        mu, sigma, lower, upper = (
            getattr(self, name).copy() for name in ("mu", "sigma", "lower", "upper")
        )
        for pool in self.pools:
            mu[pool.members] = pool.offsets + self.mu[pool.mean]
            sigma[pool.members] = pool.prior_sd(self.mu, self.sigma)
            lower[pool.members], upper[pool.members] = pool.lower, pool.upper
        return replace(self, mu=mu, sigma=sigma, lower=lower, upper=upper, pools=())

    def _placed(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Working scales: z itself, except for members of pools."""
        w = np.array(z, dtype=np.float64)
        for pool in self.pools:
            w[..., pool.members] = pool.place(z)
        return w

    def _tails(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probability below the lower and below the upper bound, (n,) each."""
        below = ndtr((self.lower - self.mu) / self.sigma)
        above = ndtr((self.upper - self.mu) / self.sigma)
        return below, above

    def _inverse(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Quantile function of the truncated Gaussians, p and result (..., n)."""
        below, above = self._tails()
        standard = ndtri(below + p * (above - below))
        far, low, high = self._far()
        if far.any():
            # Above, the distribution function rounds to 1: the mirror image keeps all digits.
            upper = (self.lower > self.mu)[far]
            q = np.where(upper, 1.0 - p[..., far], p[..., far])
            with np.errstate(divide="ignore"):
                logs = np.logaddexp(np.log1p(-q) + log_ndtr(low), np.log(q) + log_ndtr(high))
            standard[..., far] = ndtri_exp(logs) * np.where(upper, -1.0, 1.0)
        z = self.mu + self.sigma * standard
        # The last bit of the inversion must not exceed a bound.
        return np.asarray(np.clip(z, self.lower, self.upper), dtype=np.float64)

    def _far(self) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
        """Priors cut to a far tail, (n,), and the bounds of these as lower tails in sds."""
        low, high = (self.lower - self.mu) / self.sigma, (self.upper - self.mu) / self.sigma
        far = (low > FAR) | (high < -FAR)
        mirrored = low > FAR
        tails = np.where(mirrored, -high, low)[far], np.where(mirrored, -low, high)[far]
        return far, *tails

    def _log_mass(self) -> NDArray[np.float64]:
        """Log of the probability between the bounds before truncation, (n,)."""
        below, above = self._tails()
        far, low, high = self._far()
        mass = np.log(np.where(far, 1.0, above - below))
        mass[far] = log_ndtr(high) + np.log1p(-np.exp(log_ndtr(low) - log_ndtr(high)))
        return mass


class Entry(NamedTuple):
    """One parameter, validated, on its working scale."""

    label: str
    name: str
    role: str
    unit: str
    source: str
    family: Family
    mu: float
    sigma: float
    lower: float
    upper: float
    ends: tuple[float, float] = (0.0, 1.0)
    shape: tuple[float, float, float] = (0.0, 0.0, 0.0)
    part: Literal["", "mean", "sd", "member"] = ""
    offset: float = 0.0


def make_priors(entries: Sequence[Entry], *, path: Path | None = None, sha256: str = "") -> Priors:
    """Combine single priors, in their order."""
    pools = []
    for i, entry in enumerate(entries):
        if entry.part != "mean":
            continue
        own = [k for k, e in enumerate(entries) if e.name == entry.name and e.part]
        members = [k for k in own if entries[k].part == "member"]
        pools.append(
            Pool(
                name=entry.name,
                mean=i,
                sd=next(k for k in own if entries[k].part == "sd"),
                members=np.array(members),
                offsets=np.array([entries[k].offset for k in members]),
                lower=entry.lower,
                upper=entry.upper,
            )
        )
    return Priors(
        labels=tuple(entry.label for entry in entries),
        names=tuple(entry.name for entry in entries),
        roles=tuple(entry.role for entry in entries),
        units=tuple(entry.unit for entry in entries),
        sources=tuple(entry.source for entry in entries),
        families=tuple(entry.family for entry in entries),
        mu=np.array([entry.mu for entry in entries]),
        sigma=np.array([entry.sigma for entry in entries]),
        lower=np.array([entry.lower for entry in entries]),
        upper=np.array([entry.upper for entry in entries]),
        path=path,
        sha256=sha256,
        pools=tuple(pools),
        ends=np.array([entry.ends for entry in entries]).reshape(-1, 2),
        shapes=np.array([entry.shape for entry in entries]).reshape(-1, 3),
    )


def uniform_entry(
    label: str, name: str, role: str, unit: str, source: str, ends: tuple[float, float]
) -> Entry:
    """Return the prior of a parameter known only to lie between two values."""
    return Entry(
        label, name, role, unit, source, "uniform", 0.0, 1.0, -math.inf, math.inf, ends=ends
    )


def _domain(family: Family) -> str:
    """Return the domain of a family, in words."""
    if family in FAMILIES:
        return FAMILIES[family].domain
    own = QUANTILE_FAMILIES[family]
    return "finite" if own.low == -math.inf else f"between {own.low:g} and {own.high:g}"
