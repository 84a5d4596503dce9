"""The public names, each with the module that defines it; `__init__.py` imports them from here."""

from beltcast.app.page import page as page
from beltcast.drivers.attribution.attribute import attribute as attribute
from beltcast.drivers.cause_effects import compare_causes as compare_causes
from beltcast.drivers.compare import compare as compare
from beltcast.drivers.discovery.discover import Crossing as Crossing, discover as discover
from beltcast.drivers.loops.loop_scores import loops as loops
from beltcast.drivers.loops.named_loops import (
    KnockOut as KnockOut,
    find_loop as find_loop,
    knock_out as knock_out,
    name_loops as name_loops,
)
from beltcast.drivers.price.price import price as price
from beltcast.ensembles.ensemble import run_ensemble as run_ensemble
from beltcast.forecasting.forecast import forecast as forecast
from beltcast.forecasting.forecast_file import open_forecast as open_forecast
from beltcast.inference.assemble import (
    likelihood_of as likelihood_of,
    make_likelihood as make_likelihood,
)
from beltcast.inference.audit.error_scales import (
    ErrorScales as ErrorScales,
    error_scales as error_scales,
)
from beltcast.inference.audit.sbc import sbc as sbc
from beltcast.inference.calibrate import Calibration as Calibration, calibrate as calibrate
from beltcast.inference.likelihood import Likelihood as Likelihood
from beltcast.inference.predicted_observations import observe as observe
from beltcast.inference.sampling.chains import Chains as Chains
from beltcast.inference.sampling.posterior import (
    Draws as Draws,
    approximate_posterior as approximate_posterior,
    sample_prior as sample_prior,
)
from beltcast.inference.sampling.sampler import SampleOptions as SampleOptions, sample as sample
from beltcast.inference.statistics import (
    FitStatistics as FitStatistics,
    fit_statistics as fit_statistics,
)
from beltcast.inference.updating.update import Update as Update, update as update
from beltcast.model.building import (
    Auxiliary as Auxiliary,
    Flow as Flow,
    LookupPoints as LookupPoints,
    ModelBuilder as ModelBuilder,
    Stock as Stock,
)
from beltcast.model.difference import ModelDifference as ModelDifference, diff as diff
from beltcast.model.model import Model as Model, load_model as load_model
from beltcast.pictures.causes_strip import plot_causes as plot_causes
from beltcast.pictures.diagram import diagram as diagram
from beltcast.pictures.runs import plot_run as plot_run
from beltcast.reports.export import export as export
from beltcast.reports.model_page import document as document
from beltcast.streams import Streams as Streams
from beltcast.study.columns import Column as Column, read_columns as read_columns
from beltcast.study.error_models import ErrorModel as ErrorModel
from beltcast.study.events import with_events as with_events
from beltcast.study.json_schemas import schemas as schemas
from beltcast.study.observations import Observations as Observations
from beltcast.study.observations_file import read_observations as read_observations
from beltcast.study.places import read_places as read_places
from beltcast.study.priors import Priors as Priors
from beltcast.study.priors_file import read_priors as read_priors
from beltcast.study.scenarios import Scenario as Scenario, read_scenarios as read_scenarios
from beltcast.study.series import Series as Series, read_series as read_series
from beltcast.study.series_study import write_study as write_study
from beltcast.study.starter import init as init
from beltcast.study.study import Study as Study, read_study as read_study
from beltcast.study.vensim_files import (
    read_cin as read_cin,
    read_voc as read_voc,
    read_vpd as read_vpd,
)
from beltcast.verification.frozen import (
    Scored as Scored,
    freeze as freeze,
    read_frozen as read_frozen,
    save_frozen as save_frozen,
    score as score,
)
from beltcast.verification.origin import as_known as as_known
from beltcast.verification.origin_rules import (
    OriginRules as OriginRules,
    read_origin_rules as read_origin_rules,
)
from beltcast.verification.record import backtest as backtest
from beltcast.workflows.check import check as check
from beltcast.workflows.identify import (
    Identification as Identification,
    IdentifyOptions as IdentifyOptions,
    identify as identify,
)
from beltcast.workflows.policy import (
    Policies as Policies,
    PolicyOptions as PolicyOptions,
    policy as policy,
)
from beltcast.workflows.report import report as report
from beltcast.workflows.run import run as run
from beltcast.workflows.sensitivity import (
    Sensitivity as Sensitivity,
    SensitivityOptions as SensitivityOptions,
    sensitivity as sensitivity,
)

__version__: str
