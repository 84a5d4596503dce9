"""A stand-in with the interface of the baselines; to be replaced by the module of that name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray


@dataclass(frozen=True)
class History:
    """One published series as known at an origin.

    Attributes
    ----------
    years : (n,)
        Ascending, may have gaps, n >= 1.
    values : (n,)
        Positive levels.
    sds : (n,)
        Log sd of each figure.
    """

    years: IntArray
    values: FloatArray
    sds: FloatArray


class Baseline(Protocol):
    """A forecaster that knows published series only."""

    def __call__(
        self,
        history: History,
        years: IntArray,
        *,
        panel: Sequence[History],
        size: int,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Draws of the published level of future years, (size, years)."""
        ...


def persistence(
    history: History,
    years: IntArray,
    *,
    panel: Sequence[History],
    size: int,
    rng: np.random.Generator,
) -> FloatArray:
    """The last level, with the spread of the panel's yearly log changes about zero."""
    changes = _changes(panel)
    spread = float(np.sqrt(np.mean(changes**2))) if len(changes) else 0.2
    return _walk(history, years, 0.0, spread, size, rng)


def log_drift(
    history: History,
    years: IntArray,
    *,
    panel: Sequence[History],
    size: int,
    rng: np.random.Generator,
) -> FloatArray:
    """A random walk of the log with the series' own mean change, or the panel's."""
    changes, own = _changes(panel), _changes([history])
    drift = float(np.mean(own if len(own) else changes)) if len(changes) else 0.0
    spread = float(np.std(changes)) if len(changes) > 1 else 0.2
    return _walk(history, years, drift, spread, size, rng)


def _changes(panel: Sequence[History]) -> FloatArray:
    each = [np.diff(np.log(h.values)) / np.diff(h.years) for h in panel if len(h.years) > 1]
    return np.concatenate(each) if each else np.empty(0)


def _walk(
    history: History,
    years: IntArray,
    drift: float,
    spread: float,
    size: int,
    rng: np.random.Generator,
) -> FloatArray:
    ahead = np.asarray(years) - history.years[-1]
    last = np.log(history.values[-1])
    sd = np.sqrt(spread**2 * ahead + history.sds[-1] ** 2)
    draws: FloatArray = np.exp(last + drift * ahead + sd * rng.standard_normal((size, len(ahead))))
    return draws


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {"persistence": persistence, "log drift": log_drift}
)
