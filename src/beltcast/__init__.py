"""System-dynamics forecasts that say what they rest on.

A name is imported when it is first asked for: a program that only runs a model does not wait for
the tools that fit one.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beltcast.data.observations import Observations, read_observations
    from beltcast.data.observe import observe
    from beltcast.data.places import read_places
    from beltcast.data.series import Series, read_series
    from beltcast.data.vensim_files import read_cin, read_voc, read_vpd
    from beltcast.drivers.attribute import attribute
    from beltcast.drivers.compare import compare
    from beltcast.drivers.discover import discover
    from beltcast.drivers.dominance import loop_scores
    from beltcast.drivers.money import price_of_output
    from beltcast.drivers.sensitivity import sensitivity
    from beltcast.ensemble import run_ensemble
    from beltcast.events import with_events
    from beltcast.forecast import forecast
    from beltcast.inference.calibrate import Calibration, calibrate
    from beltcast.inference.chains import Chains, sample_chains
    from beltcast.inference.likelihood import Likelihood, make_likelihood
    from beltcast.inference.posterior import Draws, sample, sample_prior
    from beltcast.inference.priors import Priors
    from beltcast.inference.priors_file import read_priors
    from beltcast.inference.spreads import Spreads, estimate_spreads
    from beltcast.inference.update import Update, update
    from beltcast.model import Model, load_model
    from beltcast.pictures.diagram import diagram
    from beltcast.scenarios import Scenario, read_scenarios
    from beltcast.study import Study, read_study
    from beltcast.verification.backtest import backtest
    from beltcast.verification.origin_rules import OriginRules, read_origin_rules

__version__ = "0.1.0"

__all__ = [
    "Calibration",
    "Chains",
    "Draws",
    "Likelihood",
    "Model",
    "Observations",
    "OriginRules",
    "Priors",
    "Scenario",
    "Series",
    "Spreads",
    "Study",
    "Update",
    "__version__",
    "attribute",
    "backtest",
    "calibrate",
    "compare",
    "diagram",
    "discover",
    "estimate_spreads",
    "forecast",
    "load_model",
    "loop_scores",
    "make_likelihood",
    "observe",
    "price_of_output",
    "read_cin",
    "read_observations",
    "read_origin_rules",
    "read_places",
    "read_priors",
    "read_scenarios",
    "read_series",
    "read_study",
    "read_voc",
    "read_vpd",
    "run_ensemble",
    "sample",
    "sample_chains",
    "sample_prior",
    "sensitivity",
    "update",
    "with_events",
]

# The same as above, for the interpreter: a test holds the two together.
_MODULES = {
    "drivers.attribute": ("attribute",),
    "verification.backtest": ("backtest",),
    "inference.calibrate": ("Calibration", "calibrate"),
    "inference.chains": ("Chains", "sample_chains"),
    "drivers.compare": ("compare",),
    "pictures.diagram": ("diagram",),
    "drivers.discover": ("discover",),
    "drivers.dominance": ("loop_scores",),
    "ensemble": ("run_ensemble",),
    "events": ("with_events",),
    "forecast": ("forecast",),
    "inference.likelihood": ("Likelihood", "make_likelihood"),
    "model": ("Model", "load_model"),
    "drivers.money": ("price_of_output",),
    "data.observations": ("Observations", "read_observations"),
    "data.places": ("read_places",),
    "data.observe": ("observe",),
    "verification.origin_rules": ("OriginRules", "read_origin_rules"),
    "inference.posterior": ("Draws", "sample", "sample_prior"),
    "inference.priors": ("Priors",),
    "inference.priors_file": ("read_priors",),
    "scenarios": ("Scenario", "read_scenarios"),
    "drivers.sensitivity": ("sensitivity",),
    "data.series": ("Series", "read_series"),
    "inference.spreads": ("Spreads", "estimate_spreads"),
    "study": ("Study", "read_study"),
    "inference.update": ("Update", "update"),
    "data.vensim_files": ("read_cin", "read_voc", "read_vpd"),
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
