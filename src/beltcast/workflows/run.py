"""Run a model file once in each scenario, with its own constants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from beltcast.engine.run.plan import Method, Stepping
from beltcast.ensembles.ensemble import run_ensemble
from beltcast.files.shipped import shipped
from beltcast.model.model import load_model
from beltcast.schema import MEMBER
from beltcast.study.scenarios import Scenario, read_scenarios, select


def run(
    path: Path | None = None,
    *,
    scenarios: Path | None = None,
    names: Sequence[str] = (),
    outputs: Sequence[str] = (),
    method: Stepping | Method | None = None,
) -> xr.Dataset:
    """Run a model in the scenarios of a file.

    Parameters
    ----------
    path : Path, optional
        The belt model by default, with its scenarios.
    scenarios : Path, optional
        Without it, another model has only the scenario ``default``.
    names : sequence of str
        Scenarios to run; all if there are none.
    outputs : sequence of str
        Variables to keep; all computed ones if there are none.
    method : str or Stepping, optional
        Of integration, or one with its tolerance; as the model file states by default.

    Examples
    --------
    >>> from beltcast.workflows.run import run
    >>> run(names=["brand-push"], outputs=["output"])["output"].dims
    ('scenario', 'Belt', 'year')
    """
    model = load_model(path or shipped("models/belt/belt.mdl"), method=method)
    file = scenarios or (None if path else shipped("models/belt/scenarios.toml"))
    known = read_scenarios(file, model) if file else {"default": Scenario("default", "Default")}
    chosen = select(known, names) if names else known
    result = run_ensemble(model, chosen, outputs=outputs or model.computed)
    return result.squeeze(MEMBER, drop=True)
