"""Baselines of automatic form: ETS, ARIMA and Theta of statsforecast.

They work on logs.  statsforecast does not allow gaps, so missing years are filled log-linearly,
inside this module only: a filled year is not an observation, and the degrees of freedom count
observations. Its intervals take the parameters as known and their sd from residuals of a handful of
points; here the size of the first step is pooled with the panel's (`history.Request.sds`) and
drawn, which makes the draws t; only the growth of the variance with the lead is statsforecast's.

============  ===========  ============================================================
forecaster    needs        with fewer
============  ===========  ============================================================
ARIMA         5            log drift
Theta         5            log drift
ETS           9            damped trend, the member of its family that needs no fitting
============  ===========  ============================================================

statsforecast's ETS refuses a trend below nine observations, and so most series here.

References
----------
Hyndman, R. J. and Khandakar, Y. (2008): Automatic time series forecasting: the forecast package
for R. Journal of Statistical Software 27(3).
Fiorucci, J. A. et al. (2016): Models for optimising the theta method and their relationship to
state space models. International Journal of Forecasting 32, 1151-1161.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from beltcast.engine.nodes import FloatArray
from beltcast.files.extras import need
from beltcast.verification.baselines.history import (
    Baseline,
    History,
    Request,
    about_drift,
    same,
)
from beltcast.verification.baselines.random_walks import damped_trend, log_drift

INTERVAL_PERCENT = 80
"""Per cent of the interval from which the sd is read."""


@dataclass(frozen=True)
class Automatic:
    """A forecaster that chooses the form of its model itself, in logs; see the module.

    Attributes
    ----------
    model : str
        Its class in statsforecast.
    settings : mapping
        Arguments of that class.
    least : int
        Years of a history that it needs.
    fewer : Baseline
        Forecasts in its place with fewer.
    """

    model: str
    settings: Mapping[str, Any]
    least: int
    fewer: Baseline

    def __call__(self, request: Request, *, rng: np.random.Generator) -> FloatArray:
        """Draw levels, as `history.Baseline`."""
        models = _statsforecast()
        history, h, size = request.history, request.ahead, request.size
        if len(history.years) < self.least:
            return self.fewer(request, rng=rng)
        model = getattr(models, self.model)(**self.settings)
        index = h.astype(np.int64) - 1
        # Relative to the last observation, so that an optimiser's start and tolerance do not
        # depend on units.
        mean, variance = _forecast(model, _filled(history) - history.logs[-1], int(h[-1]))
        first = variance[0] if variance[0] > 0 else 0.0
        shape = variance / first if first > 0 else np.arange(1.0, len(variance) + 1)

        def residual(one: History) -> tuple[float, int]:
            squares, df = about_drift(one)
            return (first * df, df) if same(one, history) else (squares, df)

        sds = request.sds(residual, rng)
        each = np.sqrt(np.maximum(np.diff(shape[index], prepend=0.0), 0.0))
        noise = np.cumsum(each * rng.standard_normal((size, len(h))), axis=1)
        return request.levels(mean[index] + sds[:, None] * noise)


ets = Automatic("AutoETS", {"season_length": 1, "model": "ZZN"}, 9, damped_trend)
arima = Automatic(
    "AutoARIMA", {"seasonal": False, "max_p": 1, "max_d": 1, "max_q": 1}, 5, log_drift
)
theta = Automatic("AutoTheta", {"season_length": 1}, 5, log_drift)


def _statsforecast() -> Any:
    """Import the models of statsforecast, or say how to get them."""
    return need(
        "statsforecast.models",
        "verify",
        to="each of ETS, ARIMA and Theta, and the average that holds them,",
        otherwise="leave them out",
    )


def _filled(history: History) -> FloatArray:
    """Logs of every year from first to last, missing ones by straight lines."""
    grid = np.arange(history.years[0], history.years[-1] + 1)
    return np.interp(grid, history.years, history.logs)


def _forecast(model: Any, logs: FloatArray, horizon: int) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of the log relative to the last, (horizon,) each."""
    with warnings.catch_warnings():
        # The search tries forms that do not fit and warns of each; the choice is by AICc.
        warnings.simplefilter("ignore")
        answer = model.forecast(y=logs, h=horizon, level=[INTERVAL_PERCENT])
    low, high = (
        np.asarray(answer[f"{side}-{INTERVAL_PERCENT}"], dtype=np.float64) for side in ("lo", "hi")
    )
    width = (high - low) / (2.0 * norm.ppf(0.5 + INTERVAL_PERCENT / 200))
    return np.asarray(answer["mean"], dtype=np.float64), width**2
