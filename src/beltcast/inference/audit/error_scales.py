"""Standard deviations of observation errors, estimated from the observations.

The grade of a row is a judgement.  Its standard deviation can be estimated, but not at the optimum
of all unknowns together: rows have nuisances of their own, of which there may be more than rows,
and these adapt to ever narrower errors.  So all of them are integrated out, by Laplace's
method (`Calibration.log_evidence`), and factors of the standard deviations are where

    log p(y | factors) + log p(factors),      log factor ~ N(0, sd^2),

is highest, each with the curvature there.  For a linear model with wide priors that is the
restricted maximum likelihood of Patterson and Thompson (1971): n rows and p parameters make a
variance of RSS / (n - p), where the joint optimum has less than RSS / n.

References
----------
Kass, R. E. and Raftery, A. E. (1995): Bayes factors. Journal of the American Statistical
Association 90, 773-795.
Patterson, H. D. and Thompson, R. (1971): Recovery of inter-block information when block sizes are
unequal. Biometrika 58, 545-554.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations, count

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import norm

from beltcast.engine.nodes import FloatArray
from beltcast.errors import InputError
from beltcast.inference.assemble import likelihood_of, make_likelihood
from beltcast.inference.calibrate import Calibration, calibrate, calibrate_from, log_evidence
from beltcast.inference.eigen import eigenpairs
from beltcast.inference.likelihood import Likelihood
from beltcast.schema import Progress, no_progress
from beltcast.study.study import Study

PRIOR_SD = 0.5
"""Default sd of the log of a factor: exp(0.5) is 1.65 times as wide."""

SEARCH_REACH = 2.5
"""Range of the search for logs of factors, in prior standard deviations."""

_STEP = 0.02
"""Half the difference of logs of factors in slopes."""

_ENOUGH = 1e-4
"""Relative gain of the evidence that ends the search: refits agree to no more."""

_STEPS = 30
"""Largest number of steps of the search."""

_CURVATURE_STEP = 0.2
"""Difference of logs of factors in curvatures, which are second differences and need more."""


@dataclass(frozen=True, eq=False)
class ErrorScales:
    """Factors of the standard deviations of rows.

    Attributes
    ----------
    table : pandas.DataFrame
        By group of rows, such as 'grade A': ``rows``; ``factor`` of the given sd, ``low`` and
        ``high`` of its 80 % interval, and ``contraction``, 1 minus the posterior over the prior
        variance of its log: near 0 the observations do not inform it.
    calibration : Calibration
        The fit with these factors; its likelihood's noise has them as given
        (`error_scale_factors`).
    gain : float
        Log evidence with these factors minus that with the given standard deviations.
    """

    table: pd.DataFrame
    calibration: Calibration
    gain: float

    def words(self) -> str:
        """The table in words, and the line of a study that takes it as given."""
        lines = [
            f"{name}: {row.factor:.2f} times the given sd, 80% from {row.low:.2f} to "
            f"{row.high:.2f}; " + _verdict(float(row.contraction))
            for name, row in self.table.iterrows()
        ]
        factors = ", ".join(f'"{name}" = {x:.3g}' for name, x in self.table["factor"].items())
        by = ", ".join(f'"{name}"' for name in self.calibration.likelihood.noise.error_scale_by)
        return "\n".join(
            [
                *lines,
                f"The log evidence gains {self.gain:.1f}; less than 1 is not worth more than a "
                "bare mention (Kass and Raftery 1995).",
                "To fix these values, put into [noise]:",
                f"error_scales = {{ factors = {{ {factors} }}, by = [{by}] }}",
            ]
        )


def error_scales(
    likelihood: Likelihood,
    *,
    rng: np.random.Generator,
    starts: int = 64,
    refine: int = 2,
    progress: Progress | None = None,
) -> ErrorScales:
    r"""Estimate the standard deviations of rows with everything else integrated out.

    Parameters
    ----------
    likelihood : Likelihood
        Its noise states how far factors may be from 1 (``error_scale_sd``) and how rows are grouped
        by (``error_scale_by``).
    rng : numpy.random.Generator
    starts, refine : int
        Of the first fit, as for `calibrate`; all others continue from there.
    progress : Progress, optional

    Raises
    ------
    InputError
        The noise takes standard deviations as given.
    CalibrationError
        No start could be simulated.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from beltcast import error_scales, load_model, make_likelihood, read_series
    >>> from beltcast.study.priors import make_priors, uniform_entry
    >>> from beltcast.files.shipped import shipped
    >>> model = load_model(shipped("models/decay/decay.mdl"))
    >>> guess = uniform_entry("Lifetime", "Lifetime", "pooled", "Year", "a guess", (1.0, 20.0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "stock.csv"
    ...     _ = path.write_text("time,Stock\n1,84\n2,66\n3,56\n4,44\n5,38\n")
    ...     series = read_series(path, model)
    >>> one = make_likelihood(model, make_priors([guess]), series.observations, series.noise)
    >>> found = error_scales(one, rng=np.random.default_rng(1), starts=4)
    >>> float(found.table.loc["sd of Stock", "factor"].round(1))
    0.3
    """
    known = _groups(likelihood)
    if not known:
        raise InputError(
            "the noise takes standard deviations as given; state their prior, such as "
            "error_scales = { sd = 0.5, by = ['grade'] } in [noise]"
        )
    groups = {name: rows for name, (rows, _) in known.items()}
    prior = np.array([sd for _, sd in known.values()])
    given = _with_factors(likelihood, dict.fromkeys(groups, 1.0))
    first = calibrate(given, rng=rng, starts=starts, refine=refine, progress=progress)

    def having(logs: FloatArray) -> Likelihood:
        factors = dict(zip(groups, np.exp(logs).tolist(), strict=True))
        return _with_factors(likelihood, factors)

    found: dict[bytes, Calibration] = {}

    def fitted(logs: FloatArray) -> Calibration:
        if logs.tobytes() not in found:
            found[logs.tobytes()] = calibrate_from(having(logs), first.theta)
        return found[logs.tobytes()]

    def cost(logs: FloatArray) -> float:
        return 0.5 * float(np.sum((logs / prior) ** 2)) - fitted(logs).log_evidence

    tell, steps = progress or no_progress, count(1)
    best = minimize(
        cost,
        np.zeros(len(groups)),
        jac=lambda logs: logs / prior**2 - _evidence_slope(fitted(logs).theta, logs, having),
        method="L-BFGS-B",
        bounds=[(-SEARCH_REACH * sd, SEARCH_REACH * sd) for sd in prior],
        options={"ftol": _ENOUGH, "gtol": 1e-2, "maxiter": _STEPS},
        callback=lambda intermediate_result: tell("steps", next(steps), _STEPS),
    )
    logs = np.asarray(best.x, dtype=np.float64)
    sds = _sds(cost, logs, prior)
    fit = fitted(logs)
    gain = fit.log_evidence - first.log_evidence
    return ErrorScales(_table(groups, logs, sds, prior), fit, gain)


def with_error_scales(
    study: Study, *, sd: float | None = None, by: tuple[str, ...] = ()
) -> Likelihood:
    """Return the likelihood of a study with scales to estimate, whatever its own noise.

    Parameters
    ----------
    study : Study
    sd : float, optional
        Prior standard deviation of the logs of factors; by default that of the study, or
        `PRIOR_SD`.
    by : tuple of str
        'grade', 'kind' and 'scope'; by default as in the study.
    """
    noise = study.noise
    groups = tuple(dict.fromkeys(by)) or noise.error_scale_by
    wide = sd if sd is not None else noise.error_scale_sd or PRIOR_SD
    asked = replace(noise, error_scale_sd=wide, error_scale_by=groups, error_scale_factors={})
    return likelihood_of(replace(study, noise=asked))


def _groups(likelihood: Likelihood) -> dict[str, tuple[int, float]]:
    """Groups with a scale of their own: number of rows of each, and the sd of its prior."""
    noise, known = likelihood.noise, likelihood.nuisances
    groups: dict[str, tuple[int, float]] = {}
    for row in likelihood.observations:
        name, sd = noise.scale_of(row)
        if name not in known:
            continue
        # Rows with an error model are grouped by its scale, others by grade and kind.
        group = (
            name
            if noise.errors_of(row)
            else noise.error_scale_group(row.grade, row.kind, row.definition)
        )
        groups[group] = (groups.get(group, (0, sd))[0] + 1, sd)
    return dict(sorted(groups.items()))


def _with_factors(likelihood: Likelihood, factors: dict[str, float]) -> Likelihood:
    """The same observations with given standard deviations, multiplied by factors."""
    noise = replace(likelihood.noise, error_scale_sd=0.0, error_scale_factors=factors)
    return make_likelihood(likelihood.model, likelihood.priors, likelihood.observations, noise)


def _evidence_slope(
    theta: FloatArray, at: FloatArray, having: Callable[[FloatArray], Likelihood]
) -> FloatArray:
    """Slope of the log evidence at an optimum, with the optimum held.

    The density does not change with the optimum to first order; the volume around it does, by its
    third derivatives, which Laplace's method leaves out as well.  So a slope needs no fit.
    """

    def evidence(logs: FloatArray) -> float:
        return log_evidence(having(logs), theta)

    steps = _STEP * np.eye(len(at))
    slopes = [evidence(at + step) - evidence(at - step) for step in steps]
    return np.array(slopes) / (2.0 * _STEP)


def _sds(cost: Callable[[FloatArray], float], at: FloatArray, prior: FloatArray) -> FloatArray:
    """Standard deviations of a density whose negative log is the cost, from second differences."""
    n = len(at)
    steps = _CURVATURE_STEP * np.eye(n)
    middle = cost(at)
    alone = np.array([[cost(at + step), cost(at - step)] for step in steps])
    curvature = np.diag(alone.sum(axis=1) - 2.0 * middle)
    for i, j in combinations(range(n), 2):
        both = cost(at + steps[i] + steps[j]) + cost(at - steps[i] - steps[j])
        # A mixed second difference, without what each variable adds alone.
        mixed = 0.5 * (both - alone[i].sum() - alone[j].sum() + 2.0 * middle)
        curvature[i, j] = curvature[j, i] = mixed
    curvature /= _CURVATURE_STEP**2
    # If the evidence has negative curvature, nothing is known beyond the prior.
    values, vectors = eigenpairs(curvature * np.outer(prior, prior))
    variances = 1.0 / np.maximum(values, 1.0)
    return np.asarray(prior * np.sqrt((vectors**2) @ variances), dtype=np.float64)


def _table(
    groups: dict[str, int], logs: FloatArray, sds: FloatArray, prior: FloatArray
) -> pd.DataFrame:
    reach = norm.ppf(0.9) * sds
    return pd.DataFrame(
        {
            "rows": list(groups.values()),
            "factor": np.exp(logs),
            "low": np.exp(logs - reach),
            "high": np.exp(logs + reach),
            "contraction": 1.0 - (sds / prior) ** 2,
        },
        index=pd.Index(list(groups), name="rows of"),
    )


def _verdict(contraction: float) -> str:
    if math.isnan(contraction):
        return "undefined: no observation has it."
    if contraction < 0.5:
        return "mostly prior: the observations carry little information."
    return "the observations inform it."
