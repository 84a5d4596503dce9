"""A page of the shipped study with three scenarios."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import xarray as xr
from playwright.sync_api import Browser, sync_playwright

from beltcast.app.page import page_html
from beltcast.forecasting.forecast import forecast_draws
from beltcast.inference.sampling.draws_file import KeptFit, shipped_draws
from beltcast.inference.sampling.posterior import sample_prior
from beltcast.streams import Streams
from beltcast.study.study import Study

CHROMIUM = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


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
    few = replace(study, scenarios={name: study.scenarios[name] for name in names})
    streams = Streams(1)
    prior = sample_prior(kept.posterior.likelihood, 40, rng=streams.prior)
    forecast = forecast_draws(few, kept.first(80), prior, kept.optimum, rng=streams)
    html = page_html(few, kept, forecast)
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html, encoding="utf-8")
    return Made(few, kept, forecast, path, html)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium: apt-get install chromium fonts-noto-cjk")
    with sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()
