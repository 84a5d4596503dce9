"""System-dynamics forecasts that say what they rest on.

A name is imported when it is first asked for: a program that only runs a model does not wait for
the tools that fit one.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beltcast.drivers.attribution.attribute import attribute
    from beltcast.drivers.cause_effects import compare_causes
    from beltcast.drivers.compare import compare
    from beltcast.drivers.discovery.discover import discover
    from beltcast.drivers.loops.loop_scores import loop_scores
    from beltcast.drivers.price.price import price_of_output
    from beltcast.drivers.sensitivity.sensitivity import sensitivity
    from beltcast.ensembles.ensemble import run_ensemble
    from beltcast.forecasting.forecast import forecast
    from beltcast.inference.audit.error_scales import Spreads, estimate_spreads
    from beltcast.inference.calibrate import Calibration, calibrate
    from beltcast.inference.likelihood import Likelihood, make_likelihood
    from beltcast.inference.predicted_observations import observe
    from beltcast.inference.sampling.chains import Chains, sample_chains
    from beltcast.inference.sampling.posterior import Draws, sample, sample_prior
    from beltcast.inference.updating.update import Update, update
    from beltcast.model.building import Auxiliary, Flow, LookupPoints, ModelBuilder, Stock
    from beltcast.model.model import Model, load_model
    from beltcast.pictures.causes_strip import plot_causes
    from beltcast.pictures.diagram import diagram
    from beltcast.pictures.runs import plot_run
    from beltcast.streams import Streams
    from beltcast.study.events import with_events
    from beltcast.study.observations import Observations, read_observations
    from beltcast.study.places import read_places
    from beltcast.study.priors import Priors
    from beltcast.study.priors_file import read_priors
    from beltcast.study.scenarios import Scenario, read_scenarios
    from beltcast.study.series import Series, read_series
    from beltcast.study.study import Study, read_study
    from beltcast.study.vensim_files import read_cin, read_voc, read_vpd
    from beltcast.verification.backtest import backtest
    from beltcast.verification.origin_rules import OriginRules, read_origin_rules

__version__ = "0.1.0"

__all__ = [
    "Auxiliary",
    "Calibration",
    "Chains",
    "Draws",
    "Flow",
    "Likelihood",
    "LookupPoints",
    "Model",
    "ModelBuilder",
    "Observations",
    "OriginRules",
    "Priors",
    "Scenario",
    "Series",
    "Spreads",
    "Stock",
    "Streams",
    "Study",
    "Update",
    "__version__",
    "attribute",
    "backtest",
    "calibrate",
    "compare",
    "compare_causes",
    "diagram",
    "discover",
    "estimate_spreads",
    "forecast",
    "load_model",
    "loop_scores",
    "make_likelihood",
    "observe",
    "plot_causes",
    "plot_run",
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
    "model.building": (
        "Auxiliary",
        "Flow",
        "LookupPoints",
        "ModelBuilder",
        "Stock",
    ),
    "drivers.attribution.attribute": ("attribute",),
    "verification.backtest": ("backtest",),
    "inference.calibrate": ("Calibration", "calibrate"),
    "inference.sampling.chains": ("Chains", "sample_chains"),
    "drivers.compare": ("compare",),
    "pictures.diagram": ("diagram",),
    "drivers.cause_effects": ("compare_causes",),
    "pictures.causes_strip": ("plot_causes",),
    "pictures.runs": ("plot_run",),
    "drivers.discovery.discover": ("discover",),
    "drivers.loops.loop_scores": ("loop_scores",),
    "ensembles.ensemble": ("run_ensemble",),
    "study.events": ("with_events",),
    "forecasting.forecast": ("forecast",),
    "inference.likelihood": ("Likelihood", "make_likelihood"),
    "model.model": ("Model", "load_model"),
    "drivers.price.price": ("price_of_output",),
    "study.observations": ("Observations", "read_observations"),
    "study.places": ("read_places",),
    "inference.predicted_observations": ("observe",),
    "verification.origin_rules": ("OriginRules", "read_origin_rules"),
    "inference.sampling.posterior": ("Draws", "sample", "sample_prior"),
    "study.priors": ("Priors",),
    "study.priors_file": ("read_priors",),
    "study.scenarios": ("Scenario", "read_scenarios"),
    "drivers.sensitivity.sensitivity": ("sensitivity",),
    "study.series": ("Series", "read_series"),
    "inference.audit.error_scales": ("Spreads", "estimate_spreads"),
    "streams": ("Streams",),
    "study.study": ("Study", "read_study"),
    "inference.updating.update": ("Update", "update"),
    "study.vensim_files": ("read_cin", "read_voc", "read_vpd"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'beltcast' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"beltcast.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
