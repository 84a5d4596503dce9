"""System-dynamics forecasts that say what they rest on."""

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
]
