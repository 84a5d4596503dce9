"""Which uncertain constants a study's output depends on: screen all, then rank a few."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import xarray as xr

from beltcast.drivers.sensitivity.ranks import ranked
from beltcast.drivers.sensitivity.sensitivity import (
    SENSITIVITY_METHODS,
    SensitivityMethod,
    sensitivity_indices,
)
from beltcast.errors import InputError, one_of
from beltcast.files.resume import NOT_KEPT, Pieces
from beltcast.schema import Progress, no_progress
from beltcast.streams import Random, Streams
from beltcast.study.scenarios import Scenario
from beltcast.study.study import Study

SCREENING_BASE = 16
"""Trajectories of Morris in the screening."""


@dataclass(frozen=True)
class SensitivityOptions:
    """What to analyse, and how.

    Attributes
    ----------
    target : str, optional
        A variable without subscripts, or an element such as ``output[Shenzhen]``.
    method : 'sobol', 'morris', 'pawn' or 'tornado'
    base : int
        Base points of the design.
    parameters : tuple of str
        Labels to analyse; if there are none, the `top` of a screening.
    top : int
        Number of parameters that the Morris screening keeps.
    year : int, optional
        Year of the ranking.
    scenario : str, optional
        The study's first by default.
    levels : bool
        Analyse the output itself instead of its log.
    pairs : bool
        Sobol' indices of pairs too.
    """

    target: str | None = None
    method: str = "sobol"
    base: int = 1024
    parameters: tuple[str, ...] = ()
    top: int = 20
    year: int | None = None
    scenario: str | None = None
    levels: bool = False
    pairs: bool = False


@dataclass(frozen=True)
class SensitivityPlan:
    """Options with names looked up in a study."""

    options: SensitivityOptions
    target: str
    method: SensitivityMethod
    scenario: Scenario


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Result of `sensitivity`: the indices, and the screening before them if there was one."""

    result: xr.Dataset
    screening: xr.Dataset | None


def plan_sensitivity(study: Study, options: SensitivityOptions | None = None) -> SensitivityPlan:
    """Look up method, target and scenario in a study, before anything runs.

    Raises
    ------
    InputError
        The method does not exist, or pairs are requested of another method than Sobol's.
    ScenarioError
        The scenario does not exist.
    """
    options = options or SensitivityOptions()
    method = one_of(options.method, SENSITIVITY_METHODS, "method of sensitivity analysis")
    if options.pairs and method != "sobol":
        raise InputError(f"--pairs needs the method sobol, not {method}; leave one of them out")
    scenario = study.scenario(options.scenario)
    return SensitivityPlan(options, options.target or _whole_or_first(study), method, scenario)


def sensitivity(
    study: Study,
    plan: SensitivityOptions | SensitivityPlan | None = None,
    *,
    rng: Random,
    pieces: Pieces = NOT_KEPT,
    progress: Progress | None = None,
) -> Sensitivity:
    """Rank the uncertain constants of a study by their effect on an output, over time.

    Constants that do not vary keep the median of their prior.

    Parameters
    ----------
    study : Study
    plan : SensitivityOptions or SensitivityPlan, optional
    rng : Streams, numpy.random.Generator or int
    pieces : Pieces, optional
        Keeps finished runs, so that a stopped analysis can resume.
    progress : Progress, optional

    Examples
    --------
    >>> import numpy as np
    >>> from beltcast import read_study, sensitivity
    >>> from beltcast.workflows.sensitivity import SensitivityOptions
    >>> tornado = SensitivityOptions(method="tornado", year=2030)
    >>> found = sensitivity(read_study(), tornado, rng=1)
    >>> "swing" in found.result
    True
    """
    if not isinstance(plan, SensitivityPlan):
        plan = plan_sensitivity(study, plan)
    options, tell, priors = plan.options, progress or no_progress, study.priors
    streams = Streams.of(rng)
    medians, constants = priors.quantiles(0.5), priors.settable
    analyse = partial(
        sensitivity_indices,
        study.model,
        target=plan.target,
        scenario=plan.scenario,
        # A few draws in the tail make up most of the variance of a level, so estimates do not
        # converge.
        logs=not options.levels,
        at={priors.labels[i]: float(medians[i]) for i in constants},
    )
    labels, screening = list(options.parameters) or [priors.labels[i] for i in constants], None
    if not options.parameters and len(labels) > options.top and plan.method != "tornado":
        screening = analyse(
            priors.subset(labels),
            method="morris",
            base=SCREENING_BASE,
            rng=streams.under("screening"),
            pieces=pieces.of("screening"),
            progress=lambda _, done, total: tell("screening", done, total),
        )
        year = study.years.past[1] if options.year is None else options.year
        labels = ranked(screening, year)[: options.top]
    result = analyse(
        priors.subset(labels),
        method=plan.method,
        base=options.base,
        rng=streams,
        pairs=options.pairs,
        pieces=pieces.of(plan.method),
        progress=lambda _, done, total: tell(plan.method, done, total),
    )
    return Sensitivity(result.assign_attrs(study.provenance(), seed=str(streams.seed)), screening)


def _whole_or_first(study: Study) -> str:
    """Return the sum of the target if the study names one, else its first element."""
    if study.roles.total:
        return study.roles.total
    dims = study.model.variables[study.target].dims
    return f"{study.target}[{study.model.subscripts[dims[0]][0]}]" if dims else study.target
