"""Assemble the likelihood of a study: its rows, their errors and their nuisances as arrays."""

from __future__ import annotations

import numpy as np

from beltcast.engine.nodes import FloatArray, IntArray
from beltcast.engine.syntax import CONTROLS, canonical
from beltcast.errors import CalibrationError, TableError
from beltcast.inference.contrast_rows import make_contrast_rows
from beltcast.inference.families import BINOMIAL, CODES, LOG_DENSITY, NUMBER, RowFamilies
from beltcast.inference.likelihood import Likelihood
from beltcast.inference.nuisances import nuisances_of
from beltcast.inference.predicted_observations import questions
from beltcast.model.model import Model
from beltcast.study.noise import Noise
from beltcast.study.observations import Observations
from beltcast.study.priors import Priors
from beltcast.study.study import Study


def make_likelihood(
    model: Model, priors: Priors, observations: Observations, noise: Noise
) -> Likelihood:
    """Assemble the likelihood.

    Raises
    ------
    CalibrationError
        There is no row or no parameter.
    TableError
        A row refers to a time that the model does not cover.

    Examples
    --------
    >>> from beltcast import make_likelihood, read_study
    >>> study = read_study()
    >>> likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    >>> likelihood.n_parameters == len(study.priors)
    True
    """
    rows = observations.rows
    if not rows:
        raise CalibrationError("there is no observation to fit; give at least one row")
    if not len(priors):
        raise CalibrationError("there is no parameter to estimate; give at least one prior")
    for label in priors.labels:
        if canonical(label) in CONTROLS:
            raise CalibrationError(
                f"'{label}' cannot be estimated: it sets the time grid that all runs share; put a "
                "constant of the model into the equations instead, such as the time of an event"
            )
    times, evidence = model.grid().times(), observations.contrasts
    shared = nuisances_of(model, observations, noise)
    settable = priors.settable
    rows_of, place = model.targets([priors.labels[i] for i in settable])
    families = _families(observations, noise)
    _check_positive(observations, families)
    # A rounded number stands for an interval: its middle and half its width.
    ends = np.array([row.within or (row.value, row.value) for row in rows])
    ends[families.log] = np.log(ends[families.log])
    values = np.array([row.value for row in rows])
    values[families.log] = np.log(values[families.log])
    values += np.array([noise.excess(row) for row in rows])
    rounded = np.array([row.within is not None for row in rows])
    sides = np.array([{"lower": -1, "upper": 1}.get(row.kind, 0) for row in rows])
    scale_by, scale_at, scale_power = _scaled_by(model, priors, observations, noise)
    weighted = np.isin(families.codes, (BINOMIAL, LOG_DENSITY))
    trials = np.where(weighted, families.size, 1.0)
    return Likelihood(
        model=model,
        priors=priors,
        observations=observations,
        noise=noise,
        asked=questions(model, observations, times, log=families.log, times_as=trials),
        published=np.where(rounded, ends.mean(axis=1), values),
        sds=np.where(families.number, shared.sds, 1.0),
        half=np.where(rounded, 0.5 * (ends[:, 1] - ends[:, 0]), 0.0),
        side=np.where(rounded, 0, sides),
        loadings=shared.loadings,
        scale_loadings=shared.scale_loadings,
        nuisances=shared.names,
        season=shared.season,
        rows_of=rows_of,
        columns=settable[place],
        families=families,
        scale_by=scale_by,
        scale_at=scale_at,
        scale_power=scale_power,
        contrasts=make_contrast_rows(model, priors, evidence) if evidence else None,
    )


def _check_positive(observations: Observations, families: RowFamilies) -> None:
    for row, log in zip(observations, families.log, strict=True):
        if log and not min(row.within or (row.value,)) > 0:
            raise TableError(
                f"the value is {row.value:g}, and relative errors need values above 0; state errors"
                ' of the definition, such as errors = { family = "normal", scale = 1.0 }',
                observations.path,
                row.line,
            )


def _families(observations: Observations, noise: Noise) -> RowFamilies:
    """Distribution of each row: that of its definition, else relative errors of numbers."""
    models = [noise.errors_of(row) for row in observations]
    counts = np.zeros(len(models))
    size = np.zeros(len(models))
    for i, (row, errors) in enumerate(zip(observations, models, strict=True)):
        if errors is None or errors.family not in CODES:
            continue
        counts[i] = row.value
        if errors.family in ("binomial", "log_density"):
            size[i] = errors.trials
        if errors.family == "negative_binomial":
            size[i] = 1.0 / noise.row_sd(row)
    return RowFamilies(
        log=np.array([e is None or e.is_log for e in models], dtype=bool),
        codes=np.array([NUMBER if e is None else CODES.get(e.family, NUMBER) for e in models]),
        tails=np.array([noise.tails if e is None else e.df for e in models]),
        counts=counts,
        size=size,
    )


def _scaled_by(
    model: Model, priors: Priors, observations: Observations, noise: Noise
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Parameter that the scale of each row is multiplied by, its value in the model, its power."""
    by, at = np.full(len(observations), -1), np.ones(len(observations))
    power = np.ones(len(observations))
    for i, row in enumerate(observations):
        errors = noise.errors_of(row)
        if errors is not None and errors.scale_by in priors.labels:
            by[i] = priors.labels.index(errors.scale_by)
            at[i], power[i] = model.value(errors.scale_by), errors.scale_power
    return by, at, power


def likelihood_of(source: Study | Likelihood) -> Likelihood:
    """Return the likelihood of a study, or a likelihood as it is.

    Every function that fits or draws takes either.  A study cannot offer this as a method, since
    its room lies below this one.

    Examples
    --------
    >>> from beltcast import likelihood_of, read_study
    >>> study = read_study()
    >>> likelihood_of(study).n_parameters == len(study.priors)
    True
    """
    if isinstance(source, Likelihood):
        return source
    return make_likelihood(source.model, source.priors, source.observations, source.noise)
