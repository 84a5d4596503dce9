"""Every baseline, a forecaster that uses published observations only, by name.

Each is given one published series and the panel of all series, and returns joint draws of the
published level of later years (`history.Baseline`).  Levels are positive, so
all but ``drift`` work on logs; standard deviation and growth are drawn, not assumed known.

============  ==========================================================  ======================
name          assumption                                                  in
============  ==========================================================  ======================
persistence   next year equals this one                                   `random_walks`
drift         rises by the mean amount of its past                        `random_walks`
log drift     grows by the mean rate of its past                          `random_walks`
damped drift  the mean rate of its past fades                             `random_walks`
damped trend  recent growth fades                                         `random_walks`
panel growth  grows at the current rate of the others                     `random_walks`
ETS, ARIMA,   a form chosen by information criterion (extra `verify`)     `statsforecast_models`
Theta
Bass,         growth saturates                                            `growth_curves`
logistic
average       an equal-weight mixture of all (a linear pool)              here
============  ==========================================================  ======================

The module of each says how it treats one or two observations, and missing years.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.verification.baselines.growth_curves import bass, logistic
from beltcast.verification.baselines.history import Baseline, Request
from beltcast.verification.baselines.random_walks import (
    damped_drift,
    damped_trend,
    drift,
    log_drift,
    panel_growth,
    persistence,
)
from beltcast.verification.baselines.statsforecast_models import arima, ets, theta

PARTS: Mapping[str, Baseline] = MappingProxyType(
    {
        "persistence": persistence,
        "drift": drift,
        "log drift": log_drift,
        "damped drift": damped_drift,
        "damped trend": damped_trend,
        "panel growth": panel_growth,
        "ETS": ets,
        "ARIMA": arima,
        "Theta": theta,
        "Bass": bass,
        "logistic": logistic,
    }
)
"""All except their average."""


def average(request: Request, *, rng: np.random.Generator) -> FloatArray:
    """Draw from the equal-weight mixture of all other baselines.

    Each part gives the same number of draws, in random order; a draw is one part's joint draw.

    Raises
    ------
    MissingExtra
        statsforecast is not installed: an average of fewer would be another forecaster.

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast.verification.baselines.history import History, Request
    >>> from beltcast.verification.baselines.baselines import average
    >>> history = History(np.array([2020, 2022]), np.array([80.0, 100.0]), np.full(2, 0.05))
    >>> request = Request(history, np.array([2023, 2024]), size=500)
    >>> average(request, rng=np.random.default_rng(1)).shape
    (500, 2)
    """
    share = replace(request, size=-(-request.size // len(PARTS)))
    draws = [part(share, rng=rng) for part in PARTS.values()]
    mixed: FloatArray = rng.permutation(np.concatenate(draws))[: request.size]
    return mixed


BASELINES: Mapping[str, Baseline] = MappingProxyType({**PARTS, "average": average})
"""All of them, by their name in tables."""
