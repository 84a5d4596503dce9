"""System-dynamics forecasts that say what they rest on.

A name is imported when it is first asked for: a program that only runs a model does not wait for
the tools that fit one.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beltcast.attribute import attribute
    from beltcast.calibrate import Calibration, calibrate
    from beltcast.compare import compare
    from beltcast.ensemble import run_ensemble
    from beltcast.forecast import forecast
    from beltcast.likelihood import Likelihood, make_likelihood
    from beltcast.model import Model, load_model
    from beltcast.observations import Observations, read_observations, read_places
    from beltcast.observe import observe
    from beltcast.posterior import Draws, sample, sample_prior
    from beltcast.priors import Priors, read_priors
    from beltcast.scenarios import Scenario, read_scenarios
    from beltcast.sensitivity import sensitivity
    from beltcast.study import Study, read_study
    from beltcast.update import Update, update

__version__ = "0.1.0"

__all__ = [
    "Calibration",
    "Draws",
    "Likelihood",
    "Model",
    "Observations",
    "Priors",
    "Scenario",
    "Study",
    "Update",
    "__version__",
    "attribute",
    "calibrate",
    "compare",
    "forecast",
    "load_model",
    "make_likelihood",
    "observe",
    "read_observations",
    "read_places",
    "read_priors",
    "read_scenarios",
    "read_study",
    "run_ensemble",
    "sample",
    "sample_prior",
    "sensitivity",
    "update",
]

# The same as above, for the interpreter: a test holds the two together.
_MODULES = {
    "attribute": ("attribute",),
    "calibrate": ("Calibration", "calibrate"),
    "compare": ("compare",),
    "ensemble": ("run_ensemble",),
    "forecast": ("forecast",),
    "likelihood": ("Likelihood", "make_likelihood"),
    "model": ("Model", "load_model"),
    "observations": ("Observations", "read_observations", "read_places"),
    "observe": ("observe",),
    "posterior": ("Draws", "sample", "sample_prior"),
    "priors": ("Priors", "read_priors"),
    "scenarios": ("Scenario", "read_scenarios"),
    "sensitivity": ("sensitivity",),
    "study": ("Study", "read_study"),
    "update": ("Update", "update"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


class _Package(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'beltcast' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"beltcast.{_HOME[name]}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        # The import of `beltcast.forecast` would put the module where the function belongs.
        if not (isinstance(value, ModuleType) and name in _HOME):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
