"""Lasting errors of the model: a state-space layer over its answers.

What happens differs from the model's total by a factor, whose log is the *discrepancy* D(t)
(Kennedy and O'Hagan 2001).  Each place has one, the sum of a part that is common to all places
and a part of its own; a place that is the whole has the common part only, and a share of the whole
the own part only.  Each part is a local linear trend whose growth is damped (Gardner and McKenzie
1985; Harvey 1989, section 2.3)::

    dD = r dt + level dW,     dr = log(damping) r dt + growth sqrt(-2 log damping) dV,

from D = 0 where the model starts, with r, the deviation of growth, stationary with the standard
deviation `growth`.  The share ``damping`` of it remains after a year.  So a forecast starts from
the last known level, and the last known deviation of growth g adds ``g damping^k`` in year k.

The covariance of D at any two dates is known (`processes.discrepancy_covariance`).  With C that of
the dates of a study's rows, in order, and L its Cholesky factor, ``D = L u``: each u is
standard normal, what is new at its date, and a nuisance like all others (`nuisances`).  At other
dates D is normal given u (`paths`).  This is the smoother of Kalman and Rauch, Tung and Striebel
in one step; a test holds it against the recursions.

References
----------
Gardner, E. S. and McKenzie, E. (1985): Forecasting trends in time series. Management Science 31,
1237-1246.
Harvey, A. C. (1989): Forecasting, structural time series models and the Kalman filter. Cambridge.
Kennedy, M. C. and O'Hagan, A. (2001): Bayesian calibration of computer models. Journal of the Royal
Statistical Society B 63, 425-464.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.linalg import solve_triangular

from beltcast.engine.nodes import FloatArray
from beltcast.errors import CalibrationError
from beltcast.inference.eigen import eigenpairs
from beltcast.inference.processes import discrepancy_covariance
from beltcast.model.model import Model
from beltcast.model.quantities import is_flow
from beltcast.streams import Streams
from beltcast.study.noise import Discrepancy, Noise
from beltcast.study.observations import Observation

DISCREPANCY = "discrepancy of "
"""Prefix of the nuisances of this layer, before the place or `ALL`, and a date."""

ALL = "all"
"""Name of the common part, in place of a place."""


def discrepancy_columns(
    model: Model, rows: Sequence[Observation], noise: Noise
) -> dict[str, FloatArray]:
    """Loadings of the innovations u of each part, (m,) each, by the names of the nuisances.

    Raises
    ------
    CalibrationError
        The noise has a discrepancy and no row is the total of a flow.
    """
    if noise.discrepancy is None:
        return {}
    parts = felt_parts(model, rows, noise)
    if not parts:
        raise CalibrationError(
            "noise.discrepancy is one of totals of flows, and no row is such a total; leave "
            "noise.discrepancy out"
        )
    columns: dict[str, FloatArray] = {}
    start = model.grid().start
    for part, felt in parts.items():
        dates = np.array(list(felt))
        by_date = np.array(list(felt.values())).T
        loadings = by_date @ _factor(noise.discrepancy, part, dates - start)
        columns |= {_name(part, date): loadings[:, k] for k, date in enumerate(felt)}
    return columns


def felt_parts(
    model: Model, rows: Sequence[Observation], noise: Noise
) -> dict[str, dict[float, FloatArray]]:
    """Signs of each part in the rows, (m,), by part and date; dates in order.

    At the start of the model the discrepancy is zero.
    """
    start = model.grid().start
    parts: dict[str, dict[float, FloatArray]] = {}
    for i, row in enumerate(rows):
        errors = noise.errors_of(row)
        variable = model.find(row.quantity)
        if not is_flow(variable.unit) or not (errors is None or errors.is_log):
            continue
        whole = not variable.dims or len(row.elements) == len(model.subscripts[variable.dims[0]])
        of = [] if row.kind == "share" else [ALL]
        of += [] if whole else [row.place]
        for part in of:
            for exact, sign in compared_dates(row).items():
                date = round(exact, 3)  # as their names print them
                if date != start:
                    felt = parts.setdefault(part, {}).setdefault(date, np.zeros(len(rows)))
                    felt[i] += sign
    return {part: dict(sorted(felt.items())) for part, felt in sorted(parts.items())}


def compared_dates(row: Observation) -> dict[float, float]:
    """Midpoints of the periods that an observation covers, signed: growth compares two of them."""
    middle = 0.5 * (row.start + row.end)
    return {middle: 1.0, middle - 1.0: -1.0} if row.kind == "growth" else {middle: 1.0}


def paths(
    model: Model,
    rows: Sequence[Observation],
    noise: Noise,
    nuisances: Mapping[str, FloatArray],
    *,
    places: Sequence[str],
    whole: str,
    dates: FloatArray,
    rng: Streams,
) -> FloatArray:
    """Draw discrepancies at some dates, given the innovations at the dates of rows.

    Parameters
    ----------
    model : Model
    rows : sequence of Observation
        Those that the innovations belong to.
    noise : Noise
    nuisances : mapping of str to (N,)
        Draws of the nuisances of a fit.
    places : sequence of str
    whole : str
        The place that has the common part only.
    dates : (n,)  [Year]
    rng : Streams
        For what the innovations leave open: one stream per place.

    Returns
    -------
    (N, places, n)  [log]

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import Streams, read_study, sample_prior
    >>> from beltcast.inference.discrepancy import paths
    >>> study, rng = read_study(), Streams(1)
    >>> prior = sample_prior(study, 8, rng=rng.prior)
    >>> one = prior.likelihood
    >>> drawn = dict(zip(one.nuisances, prior.theta[:, one.n_parameters :].T))
    >>> ahead = np.array([2025.5, 2026.5])
    >>> paths(study.model, one.observations.rows, one.noise, drawn, places=["China", "Henan"],
    ...       whole="China", dates=ahead, rng=rng).shape
    (8, 2, 2)
    """
    draws = len(next(iter(nuisances.values())))
    out = np.zeros((draws, len(places), len(dates)))
    process = noise.discrepancy
    if process is None:
        return out
    parts = felt_parts(model, rows, noise)
    start = model.grid().start

    def path(part: str) -> FloatArray:
        known = np.array(list(parts.get(part, {})))
        units = np.array([nuisances[_name(part, date)] for date in known]).reshape(-1, draws)
        mean, rest = _given(process, part, known - start, dates - start)
        fresh = rng.stream(part).standard_normal((draws, len(dates)))
        drawn: FloatArray = units.T @ mean + fresh @ rest.T
        return drawn

    out += path(ALL)[:, None, :]
    for i, place in enumerate(places):
        if place != whole:
            out[:, i] += path(place)
    return out


def _given(
    process: Discrepancy, part: str, known: FloatArray, asked: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Effect of units at known lags on other lags, (k, n), and a factor of the rest, (n, n)."""
    factor = _factor(process, part, known)
    moved = solve_triangular(factor, _covariance(process, part, known, asked), lower=True)
    sizes, vectors = eigenpairs(_covariance(process, part, asked, asked) - moved.T @ moved)
    return moved, vectors * np.sqrt(np.maximum(sizes, 0.0))


def _factor(process: Discrepancy, part: str, lags: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.cholesky(_covariance(process, part, lags, lags)))


def _covariance(process: Discrepancy, part: str, s: FloatArray, t: FloatArray) -> FloatArray:
    common = part == ALL
    return discrepancy_covariance(
        s,
        t,
        level=process.level_common if common else process.level_own,
        growth=process.growth_common if common else process.growth_own,
        damping=process.damping,
    )


def _name(part: str, date: float) -> str:
    return f"{DISCREPANCY}{part}, {date:.3f}"
