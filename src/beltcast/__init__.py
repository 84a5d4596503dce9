"""System-dynamics forecasts, with the evidence behind each number.

Each question has one function, with the name of its command.  A name is imported at its first use,
so that a program that only runs a model does not load the tools that fit one.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beltcast.drivers.attribution.attribute import attribute
    from beltcast.drivers.cause_effects import compare_causes
    from beltcast.drivers.compare import compare
    from beltcast.drivers.discovery.discover import discover
    from beltcast.drivers.loops.loop_scores import loops
    from beltcast.drivers.loops.named_loops import KnockOut, find_loop, knock_out, name_loops
    from beltcast.drivers.price.price import price
    from beltcast.ensembles.ensemble import run_ensemble
    from beltcast.forecasting.forecast import forecast
    from beltcast.inference.assemble import likelihood_of, make_likelihood
    from beltcast.inference.audit.error_scales import ErrorScales, error_scales
    from beltcast.inference.audit.sbc import sbc
    from beltcast.inference.calibrate import Calibration, calibrate
    from beltcast.inference.likelihood import Likelihood
    from beltcast.inference.predicted_observations import observe
    from beltcast.inference.sampling.chains import Chains
    from beltcast.inference.sampling.posterior import Draws, approximate_posterior, sample_prior
    from beltcast.inference.sampling.sampler import SampleOptions, sample
    from beltcast.inference.statistics import FitStatistics, fit_statistics
    from beltcast.inference.updating.update import Update, update
    from beltcast.model.building import Auxiliary, Flow, LookupPoints, ModelBuilder, Stock
    from beltcast.model.difference import ModelDifference, diff
    from beltcast.model.model import Model, load_model
    from beltcast.pictures.causes_strip import plot_causes
    from beltcast.pictures.diagram import diagram
    from beltcast.pictures.runs import plot_run
    from beltcast.reports.export import export
    from beltcast.reports.model_page import document
    from beltcast.streams import Streams
    from beltcast.study.columns import Column, read_columns
    from beltcast.study.error_models import ErrorModel
    from beltcast.study.events import with_events
    from beltcast.study.observations import Observations
    from beltcast.study.observations_file import read_observations
    from beltcast.study.places import read_places
    from beltcast.study.priors import Priors
    from beltcast.study.priors_file import read_priors
    from beltcast.study.scenarios import Scenario, read_scenarios
    from beltcast.study.series import Series, read_series
    from beltcast.study.study import Study, read_study
    from beltcast.study.vensim_files import read_cin, read_voc, read_vpd
    from beltcast.verification.frozen import Scored, freeze, read_frozen, save_frozen, score
    from beltcast.verification.origin import as_known
    from beltcast.verification.origin_rules import OriginRules, read_origin_rules
    from beltcast.verification.record import backtest
    from beltcast.workflows.check import check
    from beltcast.workflows.identify import Identification, IdentifyOptions, identify
    from beltcast.workflows.policy import Policies, PolicyOptions, policy
    from beltcast.workflows.report import report
    from beltcast.workflows.sensitivity import Sensitivity, SensitivityOptions, sensitivity

__version__ = "0.2.0"

__all__ = [
    "Auxiliary",
    "Calibration",
    "Chains",
    "Column",
    "Draws",
    "ErrorModel",
    "ErrorScales",
    "FitStatistics",
    "Flow",
    "Identification",
    "IdentifyOptions",
    "KnockOut",
    "Likelihood",
    "LookupPoints",
    "Model",
    "ModelBuilder",
    "ModelDifference",
    "Observations",
    "OriginRules",
    "Policies",
    "PolicyOptions",
    "Priors",
    "SampleOptions",
    "Scenario",
    "Scored",
    "Sensitivity",
    "SensitivityOptions",
    "Series",
    "Stock",
    "Streams",
    "Study",
    "Update",
    "__version__",
    "approximate_posterior",
    "as_known",
    "attribute",
    "backtest",
    "calibrate",
    "check",
    "compare",
    "compare_causes",
    "diagram",
    "diff",
    "discover",
    "document",
    "error_scales",
    "export",
    "find_loop",
    "fit_statistics",
    "forecast",
    "freeze",
    "identify",
    "knock_out",
    "likelihood_of",
    "load_model",
    "loops",
    "make_likelihood",
    "name_loops",
    "observe",
    "plot_causes",
    "plot_run",
    "policy",
    "price",
    "read_cin",
    "read_columns",
    "read_frozen",
    "read_observations",
    "read_origin_rules",
    "read_places",
    "read_priors",
    "read_scenarios",
    "read_series",
    "read_study",
    "read_voc",
    "read_vpd",
    "report",
    "run_ensemble",
    "sample",
    "sample_prior",
    "save_frozen",
    "sbc",
    "score",
    "sensitivity",
    "update",
    "with_events",
]

# The same names for the interpreter; a test compares the two.
_MODULES = {
    "reports.model_page": ("document",),
    "drivers.loops.named_loops": (
        "KnockOut",
        "find_loop",
        "knock_out",
        "name_loops",
    ),
    "model.difference": (
        "ModelDifference",
        "diff",
    ),
    "drivers.attribution.attribute": ("attribute",),
    "drivers.cause_effects": ("compare_causes",),
    "drivers.compare": ("compare",),
    "drivers.discovery.discover": ("discover",),
    "drivers.loops.loop_scores": ("loops",),
    "drivers.price.price": ("price",),
    "ensembles.ensemble": ("run_ensemble",),
    "forecasting.forecast": ("forecast",),
    "inference.audit.error_scales": ("ErrorScales", "error_scales"),
    "inference.audit.sbc": ("sbc",),
    "inference.calibrate": ("Calibration", "calibrate"),
    "inference.assemble": ("likelihood_of", "make_likelihood"),
    "inference.likelihood": ("Likelihood",),
    "inference.predicted_observations": ("observe",),
    "inference.sampling.chains": ("Chains",),
    "inference.sampling.posterior": ("Draws", "approximate_posterior", "sample_prior"),
    "inference.sampling.sampler": ("SampleOptions", "sample"),
    "inference.statistics": ("FitStatistics", "fit_statistics"),
    "inference.updating.update": ("Update", "update"),
    "model.building": ("Auxiliary", "Flow", "LookupPoints", "ModelBuilder", "Stock"),
    "model.model": ("Model", "load_model"),
    "pictures.causes_strip": ("plot_causes",),
    "pictures.diagram": ("diagram",),
    "pictures.runs": ("plot_run",),
    "reports.export": ("export",),
    "streams": ("Streams",),
    "study.events": ("with_events",),
    "study.observations": ("Observations",),
    "study.observations_file": ("read_observations",),
    "study.places": ("read_places",),
    "study.priors": ("Priors",),
    "study.priors_file": ("read_priors",),
    "study.scenarios": ("Scenario", "read_scenarios"),
    "study.columns": ("Column", "read_columns"),
    "study.error_models": ("ErrorModel",),
    "study.series": ("Series", "read_series"),
    "study.study": ("Study", "read_study"),
    "study.vensim_files": ("read_cin", "read_voc", "read_vpd"),
    "verification.frozen": ("Scored", "freeze", "read_frozen", "save_frozen", "score"),
    "verification.origin": ("as_known",),
    "verification.origin_rules": ("OriginRules", "read_origin_rules"),
    "verification.record": ("backtest",),
    "workflows.check": ("check",),
    "workflows.identify": ("Identification", "IdentifyOptions", "identify"),
    "workflows.policy": ("Policies", "PolicyOptions", "policy"),
    "workflows.report": ("report",),
    "workflows.sensitivity": ("Sensitivity", "SensitivityOptions", "sensitivity"),
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
