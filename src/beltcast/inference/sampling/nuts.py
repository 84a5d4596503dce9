"""One chain of the No-U-Turn sampler on the exact gradient, by nutpie.

The sampler sees coordinates x in which Laplace's normal is standard: ``theta = T(y)``,
``y = y0 + L x``.  T leaves a free entry as it is and maps the line smoothly into the bounds of
one that has any, a logistic between two and a softplus beside one, with the Jacobian added to the
density; bounds are therefore never reached, and nothing is reflected.

References
----------
Hoffman, M. D. and Gelman, A. (2014): The No-U-Turn sampler. Journal of Machine Learning Research
15, 1593-1623.
Seyboldt, A., Carlson, E. and Carpenter, B. (2026): nutpie, https://github.com/pymc-devs/nutpie.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, logit

from beltcast.engine.nodes import FloatArray
from beltcast.errors import CalibrationError
from beltcast.files.extras import need
from beltcast.inference.calibrate import Calibration, one_blas_thread

STATS = {
    # name here: name of nutpie
    "diverging": "diverging",
    "energy": "energy",
    "n_steps": "n_steps",
    "tree_depth": "depth",
    "step_size": "step_size",
    "acceptance_rate": "mean_tree_accept",
}
"""Statistics kept of each draw, under ArviZ's names."""

MARGIN = 0.02
"""Distance to which an optimum on a bound is moved from it, as a part of the range."""


def nuts_chain(
    calibration: Calibration,
    *,
    draws: int,
    tune: int,
    widening: float,
    rng: np.random.Generator,
) -> tuple[FloatArray, dict[str, FloatArray], int]:
    """Sample one chain.

    Parameters
    ----------
    calibration : Calibration
    draws, tune : int
        Kept draws, and steps before them in which step and mass adapt.
    widening : float
        The start is drawn from Laplace's normal, this many times as wide.
    rng : numpy.random.Generator

    Returns
    -------
    theta : (draws, size)
    stats : mapping of str to (draws,)
        By `STATS`.
    gradients : int
        Number of gradients computed.

    Raises
    ------
    MissingExtra
        nutpie is not installed.
    CalibrationError
        The sampler failed.
    """
    nutpie, from_pyfunc = _nutpie()
    to_theta = _Whitened.at(calibration)
    count = 0

    def value_and_gradient(x: FloatArray) -> tuple[float, FloatArray]:
        nonlocal count
        count += 1
        return _log_density(calibration, to_theta, x)

    size = calibration.likelihood.size
    # nutpie starts from the first one of these that has a finite gradient.
    model = from_pyfunc(
        size,
        lambda: value_and_gradient,
        lambda *_: lambda x: {"x": x},
        [np.dtype(np.float64)],
        [(size,)],
        ["x"],
        make_initial_point_fn=lambda seed: (
            widening * np.random.default_rng(seed).standard_normal(size)
        ),
    )
    try:
        with warnings.catch_warnings(), one_blas_thread():
            warnings.simplefilter("ignore")  # ArviZ announces its next version each time
            trace = nutpie.sample(
                model,
                draws=draws,
                tune=tune,
                chains=1,
                cores=1,
                seed=int(rng.integers(2**31)),
                progress_bar=False,
                save_warmup=False,
            )
    except RuntimeError as problem:
        reason = str(problem).partition("\n")[0]
        raise CalibrationError(
            f"the sampler failed ({reason}); look at the priors with the command "
            "'beltcast check', or take the method 'walkers'"
        ) from None
    theta = np.array([to_theta(x)[0] for x in trace.posterior["x"].values[0]])
    stats = {
        name: np.asarray(trace.sample_stats[theirs].values[0], dtype=np.float64)
        for name, theirs in STATS.items()
    }
    return theta, stats, count


def _nutpie() -> tuple[Any, Callable[..., Any]]:
    """Nutpie and its interface for a density in Python, or how to install them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ announces its next version when imported
        nutpie, door = (
            need(name, "bayes", to="the method 'nuts'", otherwise="take the method 'walkers'")
            for name in ("nutpie", "nutpie.compiled_pyfunc")
        )
    return nutpie, door.from_pyfunc


@dataclass(frozen=True, eq=False)
class _Whitened:
    """The map from coordinates in which Laplace's normal is standard."""

    lower: FloatArray
    upper: FloatArray
    unit: FloatArray
    origin: FloatArray
    root: FloatArray

    @classmethod
    def at(cls, calibration: Calibration) -> _Whitened:
        lower, upper = calibration.likelihood.bounds()
        sd = np.sqrt(np.diag(calibration.covariance))
        room = np.where(np.isfinite(upper - lower), upper - lower, sd)
        theta = np.clip(calibration.theta, lower + MARGIN * room, upper - MARGIN * room)
        line = cls(lower, upper, sd, np.zeros_like(sd), np.eye(len(sd)))
        origin = line._inverse(theta)
        slope = np.exp(line._bent(origin)[1])
        covariance = calibration.covariance / np.outer(slope, slope)
        return cls(lower, upper, sd, origin, np.linalg.cholesky(covariance))

    def __call__(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Theta, log of its slope by y, and the derivative of that by y."""
        return self._bent(self.origin + self.root @ x)

    def _bent(self, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        theta, log_slope, bend = y.copy(), np.zeros_like(y), np.zeros_like(y)
        two, below, above = self._sides()
        room = self.upper[two] - self.lower[two]
        theta[two] = self.lower[two] + room * expit(y[two])
        log_slope[two] = np.log(room) + log_expit(y[two]) + log_expit(-y[two])
        bend[two] = 1.0 - 2.0 * expit(y[two])
        theta[below] = self.lower[below] + self.unit[below] * np.logaddexp(0.0, y[below])
        log_slope[below] = np.log(self.unit[below]) + log_expit(y[below])
        bend[below] = expit(-y[below])
        theta[above] = self.upper[above] - self.unit[above] * np.logaddexp(0.0, -y[above])
        log_slope[above] = np.log(self.unit[above]) + log_expit(-y[above])
        bend[above] = -expit(y[above])
        return theta, log_slope, bend

    def _inverse(self, theta: FloatArray) -> FloatArray:
        y = theta.copy()
        two, below, above = self._sides()
        y[two] = logit((theta[two] - self.lower[two]) / (self.upper[two] - self.lower[two]))
        y[below] = np.log(np.expm1((theta[below] - self.lower[below]) / self.unit[below]))
        y[above] = -np.log(np.expm1((self.upper[above] - theta[above]) / self.unit[above]))
        return y

    def _sides(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        low, high = np.isfinite(self.lower), np.isfinite(self.upper)
        return low & high, low & ~high, high & ~low


def _log_density(
    calibration: Calibration, to_theta: _Whitened, x: FloatArray
) -> tuple[float, FloatArray]:
    """Log density of x and its exact gradient; no probability if either is not finite.

    The sampler rejects such a point and turns back.
    """
    theta, log_slope, bend = to_theta(x)
    residuals = calibration.likelihood.residuals(theta)
    with np.errstate(over="ignore", invalid="ignore"):
        by_theta = -(calibration.likelihood.jacobian(theta).T @ residuals)
        by_y = by_theta * np.exp(log_slope) + bend
        gradient: FloatArray = to_theta.root.T @ by_y
        density = float(-0.5 * residuals @ residuals + log_slope.sum())
    if not (np.isfinite(density) and np.isfinite(gradient).all()):
        return -np.inf, np.zeros_like(x)
    return density, gradient
