"""A page of the shipped study with three scenarios, the last with an input of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast import approximate_posterior, calibrate, likelihood_of, load_model, read_study
from beltcast.app.page import page
from beltcast.files.shipped import shipped
from beltcast.forecasting.forecast import forecast_draws
from beltcast.inference.sampling.draws_file import KeptFit, kept_fit, shipped_draws
from beltcast.inference.sampling.posterior import sample_prior
from beltcast.streams import Streams
from beltcast.study.series_study import write_study
from beltcast.study.study import Study


@dataclass(frozen=True, eq=False)
class Made:
    """A page and what it was made of."""

    study: Study
    kept: KeptFit
    forecast: xr.Dataset
    path: Path
    html: str


@pytest.fixture(scope="session")
def made(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Page of the shipped study: the first scenario, one with constants, and the last."""
    kept = shipped_draws(study)
    late = next(n for n, s in study.scenarios.items() if s.constants and not s.uncertain)
    names = list(dict.fromkeys([next(iter(study.scenarios)), late, list(study.scenarios)[-1]]))
    chosen = {name: study.scenarios[name] for name in names}
    dear = {"yuan per dollar": ((2026.0, 2030.0), (7.0, 6.5))}
    chosen[names[-1]] = replace(chosen[names[-1]], inputs=dear)
    few = replace(study, scenarios=chosen)
    streams = Streams(1)
    prior = sample_prior(kept.posterior.likelihood, 40, rng=streams.prior)
    forecast = forecast_draws(few, kept.first(80), prior, kept.optimum, rng=streams)
    html = page(few, kept, forecast)
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html, encoding="utf-8")
    return Made(few, kept, forecast, path, html)


@pytest.fixture(scope="session")
def epidemic(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Page of a study that a stranger made of an SIR model, a table and priors; one place."""
    folder = tmp_path_factory.mktemp("flu")
    model = shipped("models/sir/sir.mdl")
    run = load_model(model).simulate({"Contact Rate": 2.2}, outputs=["infection"])["infection"]
    rows = [f"{t},{float(run[t]) * (1.05 if t % 2 else 0.95):.6g}" for t in range(1, 9)]
    (folder / "flu.csv").write_text("time,infection\n" + "\n".join(rows) + "\n", encoding="utf-8")
    voc = "1 <= Contact Rate = 2 <= 3\n0.8 <= Duration = 1 <= 1.5\n"
    (folder / "sir.voc").write_text(voc, encoding="utf-8")
    write_study(folder / "flu", model=model, data=folder / "flu.csv", priors=folder / "sir.voc")
    study = read_study(folder / "flu")
    likelihood = likelihood_of(study)
    fit = calibrate(likelihood, rng=np.random.default_rng(1), starts=4, refine=1)
    draws = approximate_posterior(fit, 64, rng=np.random.default_rng(2), moves=4)
    kept = kept_fit(fit, draws)
    prior = sample_prior(likelihood, 32, rng=np.random.default_rng(3))
    forecast = forecast_draws(study, draws, prior, fit.theta, rng=1)
    path = folder / "flu.html"
    html = page(study, kept, forecast)
    path.write_text(html, encoding="utf-8")
    return Made(study, kept, forecast, path, html)
