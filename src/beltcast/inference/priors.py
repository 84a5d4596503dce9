"""What is believed about the parameters before the data speak.

A prior belongs to one constant of the model, or to one of its elements. Four families serve,
each Gaussian on a *working scale* z of its own, with natural value x:

===========  =================  ======================  ===========================
family       working scale      mu, sigma               use for
===========  =================  ======================  ===========================
lognormal    z = log x          log median, log_sd      rates, sizes, times
normal       z = x              mean, sd                gains that may change sign
logitnormal  z = logit x        logit median, logit_sd  shares
uniform      x = a + (b-a) F    0, 1                    what is only known to lie
             F = Phi(z)                                 between bounds a and b
===========  =================  ======================  ===========================

A constant over a subscript range is estimated as its ``pool`` says: ``"fixed"`` not at all,
``"pooled"`` once for all elements, ``"each"`` for each element on its own (what ``per`` does by
itself), ``"partial"`` for each element around a common mean (`pooling`): then ``between``
is the median of the spread between elements, on the working scale, and the prior's own spread is
that of the common mean.

Therefore the residual of a prior is exactly ``(z - mu) / sigma``, and calibration, Laplace
covariance and sampling all work in z. Bounds are limits on z: they truncate the Gaussian and
change nothing else, so inside them the log density is ``-residual**2 / 2`` plus a constant.

`read_priors` is the door; `Priors` is flat arrays, one entry a parameter, in the order of the
file. The model is known here by what it must answer (`ModelLike`), not by its class.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtr, ndtri

from beltcast.engine.syntax import canonical
from beltcast.errors import PriorError, UnknownName, did_you_mean, quoted
from beltcast.inference.pooling import Pool, mixing, spread_label
from beltcast.quantities import same_unit
from beltcast.textfiles import Toml, read_toml

__all__ = [
    "Family",
    "ModelLike",
    "Priors",
    "VariableLike",
    "find_label",
    "join_label",
    "read_priors",
]

Family = Literal["lognormal", "normal", "logitnormal", "uniform"]


class VariableLike(Protocol):
    """A variable of a model."""

    @property
    def name(self) -> str:
        """As the model file spells it."""

    @property
    def kind(self) -> str:
        """One of ``stock``, ``auxiliary``, ``constant``, ``input``, ``lookup``."""

    @property
    def dims(self) -> tuple[str, ...]:
        """Subscript ranges, in the order of the equation."""

    @property
    def unit(self) -> str:
        """Unit text of the model file."""


class ModelLike(Protocol):
    """What the files beside a model need to ask of it."""

    @property
    def variables(self) -> Mapping[str, VariableLike]:
        """Name in the model file to variable."""

    @property
    def subscripts(self) -> Mapping[str, tuple[str, ...]]:
        """Subscript range to its elements."""

    @property
    def path(self) -> Path | None:
        """Where the model was read from."""

    def find(self, name: str, /) -> VariableLike:
        """Find a variable, whatever the case and underscores, or raise `UnknownName`."""

    def value(self, label: str, /) -> float:
        """Give the default of a scalar constant, or of one element of a constant."""


class _Scale(NamedTuple):
    """A working scale: its maps, its domain in x, and the keys of its family."""

    to_working: Callable[[float], float]
    low: float
    high: float
    centre: str
    spread: str
    domain: str


_SCALES: dict[str, _Scale] = {
    "lognormal": _Scale(lambda x: float(np.log(x)), 0.0, math.inf, "median", "log_sd", "above 0"),
    "normal": _Scale(float, -math.inf, math.inf, "mean", "sd", "finite"),
    "logitnormal": _Scale(
        lambda x: float(logit(x)), 0.0, 1.0, "median", "logit_sd", "between 0 and 1"
    ),
    "uniform": _Scale(float, -math.inf, math.inf, "bounds", "bounds", "within its bounds"),
}
_COMMON_KEYS = ("distribution", "bounds", "unit", "per", "role", "source", "pool")
_POOLS = ("fixed", "pooled", "each", "partial")
_POOL_KEYS = ("between", "between_log_sd")


@dataclass(frozen=True, eq=False)
class Priors:
    """Independent priors of n parameters, on their working scales.

    Parameters
    ----------
    labels : (n,) str
        ``Name`` or ``Name[Element]``, as the model spells them.
    names, roles, units, sources : (n,) str
        The constant, what the parameter is for, its unit, where the prior comes from.
    families : (n,) str
        ``lognormal``, ``normal`` or ``logitnormal``.
    mu, sigma : (n,)  [working scale]
        Centre and spread of the Gaussian.
    lower, upper : (n,)  [working scale]
        Bounds; infinite where there are none.
    path : Path, optional
        The file they came from.
    sha256 : str
        Of that file's bytes; a subset keeps it.
    pools : tuple of Pool
        Parameters that are around a common mean.
    ends : (n, 2)  [unit of each parameter]
        Bounds of uniform priors; 0 and 1 for others.
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
    _log: NDArray[np.bool_] = field(init=False, repr=False)
    _logit: NDArray[np.bool_] = field(init=False, repr=False)
    _uniform: NDArray[np.bool_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("mu", "sigma", "lower", "upper"):
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != (len(self.labels),):
                raise ValueError(f"{name} has shape {array.shape}, expected {(len(self),)}")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "_log", np.array([f == "lognormal" for f in self.families], bool))
        object.__setattr__(
            self, "_logit", np.array([f == "logitnormal" for f in self.families], bool)
        )
        object.__setattr__(
            self, "_uniform", np.array([f == "uniform" for f in self.families], bool)
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def settable(self) -> NDArray[np.int64]:
        """Positions of the parameters that are constants of the model: all but pools' spreads."""
        spreads = {pool.spread for pool in self.pools}
        return np.array([i for i in range(len(self)) if i not in spreads], dtype=np.int64)

    def natural(self, z: ArrayLike) -> NDArray[np.float64]:
        """Values in the parameters' own units.

        Parameters
        ----------
        z : (..., n)  [working scale]

        Returns
        -------
        (..., n)  [unit of each parameter]
        """
        return self._from_working(self._placed(np.asarray(z, dtype=np.float64)))

    def slope(self, z: ArrayLike) -> NDArray[np.float64]:
        """Differentiate the natural value with respect to its own z.

        ``x`` for a lognormal, 1 for a normal, ``x (1 - x)`` for a logitnormal parameter; times the
        spread between elements for one that is partially pooled, which also moves with its pool:
        see `pull_back`.

        Parameters
        ----------
        z : (..., n)  [working scale]

        Returns
        -------
        (..., n)  [unit of each parameter per working scale]
        """
        z = np.asarray(z, dtype=np.float64)
        slopes = self._slope_at(self._placed(z))
        for pool in self.pools:
            slopes[..., pool.members] *= pool.slopes(z)[0]
        return slopes

    def pull_back(self, by_value: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
        """Turn derivatives by natural values into derivatives by z, exactly.

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
            by_working = (by_value * self._slope_at(self._placed(z)))[..., pool.members]
            _, by_mean, by_spread = pool.slopes(z)
            out[..., pool.mean] += by_working @ by_mean
            out[..., pool.spread] += by_working @ by_spread
        return out

    def interval(
        self, z: ArrayLike, covariance: ArrayLike, reach: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Interval of each parameter around z, and the ratio of its spread to the prior's.

        Parameters
        ----------
        z : (n,)  [working scale]
        covariance : (n, n)
            Of z.
        reach : float
            Half the width of the interval, in spreads.

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
        low = self._from_working(np.maximum(center - reach * sd, lower))
        high = self._from_working(np.minimum(center + reach * sd, upper))
        return low, high, sd / prior

    def working(self, values: ArrayLike) -> NDArray[np.float64]:
        """Working scale of natural values, the inverse of `natural`.

        Parameters
        ----------
        values : (..., n)  [unit of each parameter]
            Above 0 where lognormal, between 0 and 1 where logitnormal, within the bounds where
            uniform.

        Returns
        -------
        (..., n)  [working scale]

        Raises
        ------
        ValueError
            A value is outside the domain of its family.
        """
        z = np.array(values, dtype=np.float64)
        low, width = self._low_and_width()
        part = (z - low) / width
        outside = (self._log & (z <= 0)) | (self._logit & ((z <= 0) | (z >= 1))) | np.isnan(z)
        outside |= self._uniform & ((part <= 0) | (part >= 1))
        if outside.any():
            index = np.argwhere(outside)[0]
            label, family = self.labels[index[-1]], self.families[index[-1]]
            raise ValueError(
                f"{label} = {z[tuple(index)]} is outside the domain of a {family} prior; "
                f"expected a value {_SCALES[family].domain}"
            )
        z[..., self._log] = np.log(z[..., self._log])
        z[..., self._logit] = logit(z[..., self._logit])
        z[..., self._uniform] = ndtri(part[..., self._uniform])
        for pool in self.pools:
            z[..., pool.members] = pool.unplace(z[..., pool.members], z)
        return z

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Draws from the priors, truncated to the bounds.

        By inversion: one uniform number a parameter and draw, whatever the bounds, so a change
        of one parameter's bounds leaves the draws of all others as they were.

        Parameters
        ----------
        rng : numpy.random.Generator
        size : int

        Returns
        -------
        (size, n)  [working scale]
        """
        return self._inverse(rng.random((size, len(self))))

    def from_uniform(self, p: ArrayLike) -> NDArray[np.float64]:
        """Turn points of the unit cube into points of the priors.

        Parameters
        ----------
        p : (..., n)  [1]
            Probabilities, one a parameter.

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
        return self._from_working(w)

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
        below, above = self._tails()
        constant = np.log(self.sigma * np.sqrt(2 * np.pi) * (above - below)).sum()
        inside = ((z >= self.lower) & (z <= self.upper)).all(axis=-1)
        density = -0.5 * (residual**2).sum(axis=-1) - constant
        return np.asarray(np.where(inside, density, -np.inf), dtype=np.float64)

    def subset(self, labels: Sequence[str]) -> Priors:
        """Choose the priors of some parameters, in the order asked for.

        Parameters
        ----------
        labels : sequence of str

        Returns
        -------
        Priors

        Raises
        ------
        UnknownName
            There is no prior of that label.
        """
        position = {label: index for index, label in enumerate(self.labels)}
        for label in labels:
            if label not in position:
                known = did_you_mean(label, self.labels)
                raise UnknownName(f"there is no prior of {quoted(label)}{known}")
        keep = [position[label] for label in labels]
        if any({pool.mean, pool.spread, *pool.members.tolist()} - set(keep) for pool in self.pools):
            return self._unpooled().subset(labels)
        return self._kept(keep)

    def _kept(self, keep: Sequence[int]) -> Priors:
        at = {old: new for new, old in enumerate(keep)}
        moved = (
            replace(
                pool,
                mean=at[pool.mean],
                spread=at[pool.spread],
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
        )

    def _unpooled(self) -> Priors:
        """Members on their own working scales, each with the variance that it has in its pool.

        For uses that move single parameters, such as a sensitivity to a few of them.
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
        """Working scales: z itself, but for members of pools."""
        w = np.array(z, dtype=np.float64)
        for pool in self.pools:
            w[..., pool.members] = pool.place(z)
        return w

    def _from_working(self, w: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.array(w, dtype=np.float64)
        values[..., self._log] = np.exp(values[..., self._log])
        values[..., self._logit] = expit(values[..., self._logit])
        if self._uniform.any():
            low, width = self._low_and_width()
            inside = low + width * ndtr(values)
            values[..., self._uniform] = inside[..., self._uniform]
        return values

    def _slope_at(self, w: NDArray[np.float64]) -> NDArray[np.float64]:
        slopes = np.ones_like(w)
        slopes[..., self._log] = np.exp(w[..., self._log])
        # expit(-w) is 1 - x without the cancellation near x = 1.
        slopes[..., self._logit] = expit(w[..., self._logit]) * expit(-w[..., self._logit])
        if self._uniform.any():
            steep = self._low_and_width()[1] * np.exp(-0.5 * w**2) / np.sqrt(2.0 * np.pi)
            slopes[..., self._uniform] = steep[..., self._uniform]
        return slopes

    def _low_and_width(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.ends is None:
            return np.zeros(len(self)), np.ones(len(self))
        return self.ends[:, 0], self.ends[:, 1] - self.ends[:, 0]

    def _tails(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probability below the lower and below the upper bound, (n,) each."""
        below = ndtr((self.lower - self.mu) / self.sigma)
        above = ndtr((self.upper - self.mu) / self.sigma)
        return below, above

    def _inverse(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Quantile function of the truncated Gaussians, p and result (..., n)."""
        below, above = self._tails()
        z = self.mu + self.sigma * ndtri(below + p * (above - below))
        # The last bit of the inversion must not step over a bound.
        return np.asarray(np.clip(z, self.lower, self.upper), dtype=np.float64)


class Entry(NamedTuple):
    """One parameter, as checked, on its working scale."""

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
    part: Literal["", "mean", "spread", "member"] = ""
    offset: float = 0.0


def read_priors(path: str | Path, model: ModelLike) -> Priors:
    """Read the priors of a model's parameters.

    Parameters
    ----------
    path : str or Path
        A TOML file, one table a constant or element, see ``models/belt/parameters.toml``.
    model : ModelLike

    Returns
    -------
    Priors
        One entry a parameter; a table with ``per`` gives one for each element.

    Raises
    ------
    PriorError
        With file and line: the text is not TOML, a name, key or distribution is unknown, a name
        is not a constant or is given twice, the unit is not the model's, bounds are crossed or
        leave out the median, a spread is not above 0.

    Examples
    --------
    >>> from beltcast import load_model, read_priors
    >>> from beltcast.resources import shipped
    >>> model = load_model(shipped("models/belt/belt.mdl"))
    >>> priors = read_priors(shipped("models/belt/parameters.toml"), model)
    >>> priors.subset(["Support Entry Gain"]).families
    ('normal',)
    """
    file = read_toml(path, PriorError)
    entries: list[Entry] = []
    seen: dict[tuple[str, tuple[str, ...]], int | None] = {}
    for header, table in file.tables.items():
        found = _TableReader(file, header, model).entries(table)
        for entry, elements in found:
            _refuse_twice(entry, elements, seen, file, header)
        seen.update({(entry.name, elements): file.line(header) for entry, elements in found})
        entries.extend(entry for entry, _ in found)
    return make_priors(entries, path=file.path, sha256=file.sha256)


def make_priors(entries: Sequence[Entry], *, path: Path | None = None, sha256: str = "") -> Priors:
    """Put single priors together, in their order."""
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
                spread=next(k for k in own if entries[k].part == "spread"),
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
    )


def _refuse_twice(
    entry: Entry,
    elements: tuple[str, ...],
    seen: Mapping[tuple[str, tuple[str, ...]], int | None],
    file: Toml,
    header: str,
) -> None:
    for (name, others), line in seen.items():
        # A prior of the whole constant, (), overlaps with one of any of its elements.
        if name == entry.name and (others == elements or not others or not elements):
            raise PriorError(
                f"{quoted(entry.label)} is given twice, first in line {line}; keep one of them",
                file.path,
                file.line(header),
            )


def uniform_entry(
    label: str, name: str, role: str, unit: str, source: str, ends: tuple[float, float]
) -> Entry:
    """Return the prior of a parameter that is only known to lie between two values."""
    return Entry(
        label, name, role, unit, source, "uniform", 0.0, 1.0, -math.inf, math.inf, ends=ends
    )


def find_label(label: str, model: ModelLike) -> tuple[VariableLike, tuple[str, ...]]:
    """Find what ``Name`` or ``Name[Element]`` means in a model.

    Parameters
    ----------
    label : str
        Case and underscores do not matter.
    model : ModelLike

    Returns
    -------
    variable : VariableLike
    elements : tuple of str
        As the model spells them; empty for the whole variable.

    Raises
    ------
    UnknownName
        The variable or the element does not exist.
    """
    name, bracket, rest = label.partition("[")
    variable = model.find(name.strip())
    if not bracket:
        return variable, ()
    given = [element.strip() for element in rest.rstrip().removesuffix("]").split(",")]
    if not rest.rstrip().endswith("]") or len(given) != len(variable.dims):
        dims = ",".join(variable.dims)
        expected = f"{variable.name}[{dims}]" if dims else variable.name
        raise UnknownName(f"{quoted(label)} does not fit the model; write {quoted(expected)}")
    elements = []
    for element, dim in zip(given, variable.dims, strict=True):
        known = {canonical(other): other for other in model.subscripts[dim]}
        if canonical(element) not in known:
            meant = did_you_mean(element, known.values())
            raise UnknownName(f"{quoted(element)} is not an element of {quoted(dim)}{meant}")
        elements.append(known[canonical(element)])
    return variable, tuple(elements)


def join_label(name: str, elements: Sequence[str]) -> str:
    """Write ``Name`` or ``Name[Element]``.

    >>> join_label("Belt Size", ["Shenzhen"])
    'Belt Size[Shenzhen]'
    """
    return f"{name}[{','.join(elements)}]" if elements else name


@dataclass(frozen=True)
class _TableReader:
    """Reads one table of the file; it only holds what every refusal must name."""

    file: Toml
    header: str
    model: ModelLike

    def entries(self, table: Any) -> list[tuple[Entry, tuple[str, ...]]]:
        if not isinstance(table, dict):
            sentence = f"{quoted(self.header)} stands outside a prior"
            raise self._error(f'{sentence}; write it under a header such as ["Exit Rate"]')
        variable, elements = self._constant()
        family = self._family(table)
        scale = _SCALES[family]
        pool = self._pool(table)
        known = (
            *_COMMON_KEYS,
            scale.centre,
            scale.spread,
            *(_POOL_KEYS if pool == "partial" else ()),
        )
        for key in table:
            if key not in known:
                sentence = f"unknown key {quoted(key)} of a {family} prior"
                raise self._error(f"{sentence}{did_you_mean(key, known)}", key)
        self._check_unit(table, variable)
        each = self._elements(table, variable, elements)
        lower, upper = self._bounds(table, family)
        role = self._text(table, "role", default="other")
        source = self._text(table, "source")
        if pool == "fixed":
            return []
        if pool == "pooled":
            each = [elements]
        by_element = "per" in table and pool != "pooled"
        result = []
        if family == "uniform":
            if pool == "partial":
                raise self._error("a uniform prior has no partial pooling; use normal", "pool")
            return [
                (self._uniform(join_label(variable.name, one), variable, role, source, table), one)
                for one in each
            ]
        for one in each:
            label = join_label(variable.name, one)
            centre = self._centre(table, scale, variable, one, each, by_element)
            spread = self._spread(table, scale, one, each, by_element)
            entry = self._entry(label, variable, role, source, family, centre, spread, lower, upper)
            result.append((entry, one))
        return self._around_a_mean(result, table) if pool == "partial" else result

    def _pool(self, table: Mapping[str, Any]) -> str:
        pool = table.get("pool", "")
        if "pool" in table and pool not in _POOLS:
            known = did_you_mean(str(pool), _POOLS)
            raise self._error(
                f"unknown pool {quoted(pool)} of {quoted(self.header)}{known}", "pool"
            )
        if pool in ("each", "partial") and "per" not in table:
            sentence = f"pool = {quoted(pool)} of {quoted(self.header)} does not say over what"
            raise self._error(f"{sentence}; add per = a subscript range", "pool")
        return str(pool)

    def _around_a_mean(
        self, members: list[tuple[Entry, tuple[str, ...]]], table: Mapping[str, Any]
    ) -> list[tuple[Entry, tuple[str, ...]]]:
        """Turn independent parameters into a common mean, a spread and standard normals."""
        if isinstance(table.get(_SCALES[members[0][0].family].spread), dict):
            key = _SCALES[members[0][0].family].spread
            sentence = f"{key} of {quoted(self.header)} is that of the common mean"
            raise self._error(f"{sentence}; give one number", key)
        if "between" not in table:
            sentence = f"{quoted(self.header)} has no between"
            raise self._error(f"{sentence}; add between = the median spread of elements", "pool")
        between = self._finite(table["between"], "between")
        log_sd = self._finite(table.get("between_log_sd", 0.5), "between_log_sd")
        for key, value in (("between", between), ("between_log_sd", log_sd)):
            if value <= 0:
                raise self._error(f"{key} is {value:g}, expected a number above 0", key)
        first = members[0][0]
        centre = float(np.mean([entry.mu for entry, _ in members]))
        mean = first._replace(label=first.name, role="pooled", mu=centre, part="mean")
        spread = first._replace(
            label=spread_label(first.name),
            role="pooled",
            unit="Dmnl" if first.family != "normal" else first.unit,
            family="lognormal",
            mu=math.log(between),
            sigma=log_sd,
            lower=-math.inf,
            upper=math.inf,
            part="spread",
        )
        own = [
            (
                entry._replace(
                    mu=0.0,
                    sigma=1.0,
                    lower=-math.inf,
                    upper=math.inf,
                    part="member",
                    offset=entry.mu - centre,
                ),
                elements,
            )
            for entry, elements in members
        ]
        return [(mean, ()), (spread, ()), *own]

    def _uniform(
        self,
        label: str,
        variable: VariableLike,
        role: str,
        source: str,
        table: Mapping[str, Any],
    ) -> Entry:
        if "bounds" not in table:
            raise self._error(
                f"{quoted(self.header)} is uniform without bounds; add bounds = [a, b]"
            )
        ends = self._bounds(table, "uniform")
        if not all(map(math.isfinite, ends)):
            raise self._error(f"bounds of {quoted(self.header)} are not finite; give two", "bounds")
        return uniform_entry(label, variable.name, role, variable.unit, source, ends)

    def _entry(
        self,
        label: str,
        variable: VariableLike,
        role: str,
        source: str,
        family: Family,
        centre: float,
        spread: float,
        lower: float,
        upper: float,
    ) -> Entry:
        scale = _SCALES[family]
        if not scale.low < centre < scale.high:
            sentence = f"{scale.centre} of {quoted(label)} is {centre:g}"
            raise self._error(f"{sentence}, expected a number {scale.domain}", scale.centre)
        if not lower <= centre <= upper:
            sentence = f"{scale.centre} {centre:g} of {quoted(label)} is outside its bounds"
            raise self._error(f"{sentence} [{lower:g}, {upper:g}]; widen or move them", "bounds")
        working = scale.to_working
        return Entry(
            label=label,
            name=variable.name,
            role=role,
            unit=variable.unit,
            source=source,
            family=family,
            mu=working(centre),
            sigma=spread,
            # An end of the family's domain is no bound on the working scale.
            lower=-math.inf if lower <= scale.low else working(lower),
            upper=math.inf if upper >= scale.high else working(upper),
        )

    def _constant(self) -> tuple[VariableLike, tuple[str, ...]]:
        try:
            variable, elements = find_label(self.header, self.model)
        except UnknownName as unknown:
            raise self._error(unknown.sentence) from None
        if variable.kind != "constant":
            sentence = f"{quoted(variable.name)} is of kind {quoted(variable.kind)} in the model"
            raise self._error(f"{sentence}; a prior needs a constant")
        return variable, elements

    def _family(self, table: Mapping[str, Any]) -> Family:
        given = table.get("distribution")
        if given is None:
            sentence = f"{quoted(self.header)} has no distribution"
            raise self._error(f"{sentence}; add one of {', '.join(map(quoted, _SCALES))}")
        if given not in ("lognormal", "normal", "logitnormal", "uniform"):
            sentence = f"unknown distribution {quoted(given)}"
            raise self._error(f"{sentence}{did_you_mean(str(given), _SCALES)}", "distribution")
        family: Family = given
        return family

    def _check_unit(self, table: Mapping[str, Any], variable: VariableLike) -> None:
        unit = self._text(table, "unit")
        if not same_unit(unit, variable.unit):
            sentence = f"{quoted(variable.name)} has unit {quoted(unit)} here"
            expected = f"and {quoted(variable.unit)} in the model; make them the same"
            raise self._error(f"{sentence} {expected}", "unit")

    def _elements(
        self, table: Mapping[str, Any], variable: VariableLike, elements: tuple[str, ...]
    ) -> list[tuple[str, ...]]:
        if "per" not in table:
            return [elements]
        per = self._text(table, "per")
        dims = {canonical(dim): dim for dim in variable.dims}
        if elements or canonical(per) not in dims:
            if elements or not dims:
                sentence = f"per = {quoted(per)} of {quoted(self.header)}, which has no dimension"
                raise self._error(f"{sentence} left; remove per", "per")
            sentence = f"per = {quoted(per)} is not a dimension of {quoted(variable.name)}"
            raise self._error(f"{sentence}{did_you_mean(per, dims.values())}", "per")
        if len(dims) > 1:
            left = ", ".join(dim for dim in variable.dims if canonical(dim) != canonical(per))
            sentence = f"per = {quoted(per)} of {quoted(variable.name)} leaves {quoted(left)} open"
            raise self._error(f"{sentence}; give one table for each element", "per")
        return [(element,) for element in self.model.subscripts[dims[canonical(per)]]]

    def _centre(
        self,
        table: Mapping[str, Any],
        scale: _Scale,
        variable: VariableLike,
        one: tuple[str, ...],
        each: list[tuple[str, ...]],
        by_element: bool,
    ) -> float:
        found = self._number(table, scale.centre, one, each, by_element)
        return self._model_value(variable, one, scale) if found is None else found

    def _model_value(self, variable: VariableLike, one: tuple[str, ...], scale: _Scale) -> float:
        if one or not variable.dims:
            return self.model.value(join_label(variable.name, one))
        # One parameter for all elements: the model's own value is one only if they agree.
        ranges = [self.model.subscripts[dim] for dim in variable.dims]
        values = {
            self.model.value(join_label(variable.name, elements))
            for elements in itertools.product(*ranges)
        }
        if len(values) > 1:
            sentence = f"{quoted(variable.name)} has several values in the model"
            raise self._error(f"{sentence}; give a {scale.centre}, or per = {variable.dims[0]!r}")
        return values.pop()

    def _spread(
        self,
        table: Mapping[str, Any],
        scale: _Scale,
        one: tuple[str, ...],
        each: list[tuple[str, ...]],
        by_element: bool,
    ) -> float:
        found = self._number(table, scale.spread, one, each, by_element)
        if found is None:
            where = f" for {quoted(one[0])}" if by_element and scale.spread in table else ""
            sentence = f"{quoted(self.header)} has no {scale.spread}{where}"
            raise self._error(f"{sentence}; add {scale.spread} = a number above 0", scale.spread)
        if found <= 0:
            sentence = f"{scale.spread} of {quoted(self.header)} is {found:g}"
            raise self._error(f"{sentence}, expected a number above 0", scale.spread)
        return found

    def _number(
        self,
        table: Mapping[str, Any],
        key: str,
        one: tuple[str, ...],
        each: list[tuple[str, ...]],
        by_element: bool,
    ) -> float | None:
        """Read a number, or with ``per`` the element's own out of a table; None without one."""
        given = table.get(key)
        if not (isinstance(given, dict) and by_element):
            return None if given is None else self._finite(given, key)
        known = {canonical(element[0]): element[0] for element in each}
        chosen: dict[str, float] = {}
        for name, value in given.items():
            if canonical(name) not in known and canonical(name) != "default":
                meant = did_you_mean(name, known.values())
                raise self._error(f"{quoted(name)} is not an element{meant}", key, name)
            if canonical(name) in chosen:
                raise self._error(f"{quoted(name)} is given twice; keep one of them", key, name)
            chosen[canonical(name)] = self._finite(value, key, name)
        return chosen.get(canonical(one[0]), chosen.get("default"))

    def _bounds(self, table: Mapping[str, Any], family: Family) -> tuple[float, float]:
        scale = _SCALES[family]
        if "bounds" not in table:
            return scale.low, scale.high
        given = table["bounds"]
        if not isinstance(given, list) or len(given) != 2:
            raise self._error(f"bounds are {quoted(given)}, expected [lower, upper]", "bounds")
        lower, upper = (self._real(value, "bounds") for value in given)
        if not lower < upper:
            sentence = f"bounds of {quoted(self.header)} are crossed, [{lower:g}, {upper:g}]"
            raise self._error(f"{sentence}; write the lower one first", "bounds")
        if lower < scale.low or upper > scale.high:
            sentence = f"bounds [{lower:g}, {upper:g}] leave the domain of a {family} prior"
            expected = f"expected within [{scale.low:g}, {scale.high:g}]"
            raise self._error(f"{sentence}; {expected}", "bounds")
        return lower, upper

    def _finite(self, value: Any, *keys: str) -> float:
        number = self._real(value, *keys)
        if math.isinf(number):
            raise self._error(f"{keys[0]} is {number}, expected a finite number", *keys)
        return number

    def _real(self, value: Any, *keys: str) -> float:
        # bool is an int in Python, and no number in TOML.
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise self._error(f"{keys[0]} is {quoted(value)}, expected a number", *keys)
        return float(value)

    def _text(self, table: Mapping[str, Any], key: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if value is None:
            raise self._error(f"{quoted(self.header)} has no {key}; add {key} = a text")
        if not isinstance(value, str) or not value.strip():
            raise self._error(f"{key} is {quoted(value)}, expected a text", key)
        return value

    def _error(self, sentence: str, *keys: str) -> PriorError:
        return PriorError(sentence, self.file.path, self.file.line(self.header, *keys))
