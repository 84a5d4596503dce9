"""Numbers that a document states are those that the package computes, or that are kept.

A table that a command prints stands in a generated block (docs/refresh.py); a number within a
sentence is computed anew here.
"""

from __future__ import annotations

import csv
import importlib.util
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from beltcast import Likelihood, Model, Study
from beltcast.inference.audit.prior_predictive import prior_predictive
from beltcast.verification.skill import case_scores

BELT = "models/belt/README.md"


@pytest.fixture(scope="module")
def refresh(root: Path) -> ModuleType:
    """The script that renews generated blocks."""
    spec = importlib.util.spec_from_file_location("refresh", root / "docs" / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scores(root: Path) -> xr.Dataset:
    """Scores of the backtest that is kept."""
    with xr.open_dataset(root / "calibration" / "results" / "verification.nc") as backtest:
        return case_scores(backtest.load())


@pytest.fixture(scope="module")
def default_run(study: Study) -> xr.Dataset:
    """The belt model with the constants of its file."""
    names = ("export share", "national zone coverage", "entry threshold", "Sellers", "tier profit")
    more = ("brand revenue", "Traffic Share", "national own site share")
    return study.model.simulate(outputs=[*names, *more])


def states(root: Path, page: str, sentence: str) -> None:
    """Fail unless a page has this sentence, wherever its lines are broken."""
    text = " ".join((root / page).read_text(encoding="utf-8").split())
    if " ".join(sentence.split()) not in text:
        pytest.fail(f"{page} should say: {sentence}")


def test_the_model_behaves_as_its_page_says(root: Path, default_run: xr.Dataset) -> None:
    share = default_run["export share"].sel(Belt="Hangzhou")
    at = {year: round(100 * share.sel(time=year).item()) for year in (2015, 2023)}
    states(root, BELT, f"Hangzhou's from {at[2015]} % (2015) to {at[2023]} % (2023) with default")
    covered = default_run["national zone coverage"]
    at = {year: round(100 * covered.sel(time=year).item()) for year in (2015, 2018, 2024)}
    told = f"coverage of the nation 0 (2015), {at[2018]} % (2018), {at[2024]} % (2024)"
    assert at[2015] == 0
    states(root, BELT, told)
    threshold = default_run["entry threshold"].sel(time=[2018, 2026]).values
    states(root, BELT, f"{threshold[0]:.1f} (2018) to {threshold[1]:.1f} (2026)")


def test_tiers_of_sellers_move_as_the_page_says(default_run: xr.Dataset) -> None:
    nation = default_run.sum("Belt").sel(time=slice(2013, 2026))
    weak = nation.sel(Tier="Distributor")
    assert int(weak["Sellers"].idxmax("time")) == 2021
    each = weak["tier profit"] / weak["Sellers"]
    # "falls by half from 2020 to 2025"
    assert each.sel(time=2025).item() / each.sel(time=2020).item() == pytest.approx(0.5, abs=0.05)
    # "distributors' traffic share falls every year", "brands' traffic share rises"
    assert (weak["Traffic Share"].diff("time") < 0).all()
    strong = nation["Traffic Share"].sel(Tier="Brand")
    assert strong.sel(time=2026) > strong.sel(time=2013)
    # "own-site share rises from 2016 on"
    own = default_run["national own site share"].sel(time=slice(2016, 2026))
    assert (own.diff("time") > 0).all()


def test_what_brands_keep_is_what_the_model_computes(root: Path, default_run: xr.Dataset) -> None:
    nation = default_run.sum("Belt").sel(time=[2013, 2019, 2024])
    kept = 100 * nation["tier profit"].sel(Tier="Brand") / nation["brand revenue"]
    cells = " | ".join(f"{value:.1f} %" for value in kept.values)
    states(root, BELT, f"| model, default constants | {cells} |")


def test_unknowns_are_as_many_as_the_pages_say(
    root: Path, study: Study, likelihood: Likelihood
) -> None:
    priors, rows = len(study.priors.labels), len(study.observations.rows)
    sizes = sum(label.startswith("Belt Size[") for label in study.priors.labels)
    states(root, BELT, f"{priors} constants have a prior: {sizes} belt sizes and {priors - sizes}")
    nuisances = Counter(name.partition(" ")[0] for name in likelihood.nuisances)
    total, errors = nuisances.total(), nuisances["discrepancy"]
    told = (
        f"In addition to the {priors} there are {total} nuisances for the {rows} rows: "
        f"{total - errors} of statistics, {errors} of persistent model errors"
    )
    states(root, BELT, told)
    states(
        root,
        "docs/sampling.md",
        f"All {priors} parameters and {total} nuisances vary, and all {rows} rows are used",
    )
    states(root, "docs/faq.md", f"There are {priors} parameters and few years of data")


def test_scenarios_are_as_many_as_the_page_says(root: Path, study: Study) -> None:
    codes = [one.code for one in study.scenarios.values()]
    states(root, BELT, f"named scenarios, {codes[0]} to {codes[-1]}")


def test_published_exports_lie_in_the_prior_predictive_as_the_page_says(
    root: Path, study: Study
) -> None:
    table = prior_predictive(study, 500, rng=np.random.default_rng(1))
    table["years"] = [(row.start, row.end) for row in study.observations.rows]
    whole = table["years"].map(lambda years: years[1] - years[0] == 1 and years[0] >= 2018)
    table["definition"] = [row.definition for row in study.observations.rows]
    kept = (table["place"] == "China") & (table["quantity"] == "output")
    kept &= table["definition"] == "gacc"
    below = table.loc[kept & (table["kind"] == "level") & whole, "below"]
    states(root, BELT, f"lies between the quantiles {below.min():.2f} and {below.max():.2f}")


def test_rows_of_contrasts_are_counted(root: Path) -> None:
    with (root / "calibration/data/contrasts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    page = (root / "docs/evidence-drivers.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `(effect|elasticity|ratio|sign)` \|.*\| (\d+) \|$", page, re.M)
    assert {kind: int(count) for kind, count in found} == Counter(row["kind"] for row in rows)
    used = sum(row["use"] == "yes" for row in rows)
    assert used == 4  # "Four rows of the first are in the belt study's likelihood"
    assert len(rows) - used == 17  # docs/drivers.md: "Seventeen rows are not used"


def test_the_discrepancy_of_the_study_is_the_one_of_the_page(root: Path, study: Study) -> None:
    errors = study.noise.discrepancy
    assert errors is not None
    told = f"so the study uses {errors.level_common:g} and {errors.growth_common:g} for the part"
    states(root, "docs/evidence-drivers.md", told)
    own = f"A level of {errors.level_own:g} and a growth of {errors.growth_own:g} give"
    states(root, "docs/evidence-drivers.md", own)
    states(root, "docs/evidence-drivers.md", f"Its damping is {errors.damping:g}")


def test_blocks_of_the_backtest_are_those_of_the_kept_file(root: Path, refresh: ModuleType) -> None:
    page = (root / "docs" / "verification.md").read_text(encoding="utf-8")
    for marker, content in refresh.skill_blocks().items():
        assert f"<!-- {marker} -->\n{content}\n<!-- end -->" in page, marker


def test_what_is_said_of_the_backtest_is_in_the_kept_file(root: Path, scores: xr.Dataset) -> None:
    first = scores.isel(case=scores["first"].values == 1)
    events = set(zip(first["place"].values, first["year"].values, strict=True))
    inside = first["covered"].sel(level=0.8).mean("case")
    own, prior = (round(100 * inside.sel(forecaster=n).item()) for n in ("sd", "sd prior"))
    told = (
        f"{first.sizes['case']} cases, {len(events)} place-years. They test the prior of a "
        f"belt's size, and the 80 % bands contain {own} % of them; those of `sd prior`, which are "
        f"wider, contain {prior} %"
    )
    states(root, "docs/verification.md", told)
    assert 0.35 < first.sizes["case"] / scores.sizes["case"] < 0.45  # "two in five"
    at = (scores["origin"] == 2025) & (scores["year"] == 2025) & (scores["observed"] == 2270)
    case = scores.isel(case=at.values).sel(forecaster="sd")
    median, low, high = (f"{case[name].item():,.0f}" for name in ("median", "p10", "p90"))
    states(
        root,
        "README.md",
        f"the model forecast exports of {median} bn CNY in 2025 (80 % band {low} to {high}); the "
        "published value is 2,270",
    )


def test_blocks_of_the_drivers_are_those_of_the_kept_summary(
    root: Path, refresh: ModuleType
) -> None:
    page = (root / "docs" / "drivers.md").read_text(encoding="utf-8")
    for marker, content in refresh.driver_blocks().items():
        assert f"<!-- {marker} -->\n{content}\n<!-- end -->" in page, marker


def test_elasticities_of_trade_are_those_of_the_kept_fit(root: Path) -> None:
    fit = pd.read_csv(root / "calibration/results/calibration.csv", index_col="parameter")
    told = []
    for name in ("Short Trade Elasticity", "Long Trade Elasticity"):
        row = fit.loc[name]
        told += [f"{row['median']:.3g} ({row['p10']:.3g} to {row['p90']:.3g})"]
        told += [f"{row['prior_median']:.3g} ({row['prior_p10']:.3g} to {row['prior_p90']:.3g})"]
    short, short_prior, long, long_prior = told
    sentence = (
        f"that of the first year is {short.replace('(', '(80 % ')}, under its prior {short_prior}; "
        f"the long one is {long}, under its prior {long_prior}"
    )
    states(root, "docs/drivers.md", sentence)


def test_the_summary_of_the_readme_is_the_kept_one(root: Path) -> None:
    summary = (root / "calibration/results/summary.txt").read_text(encoding="utf-8")
    readme = (root / "README.md").read_text(encoding="utf-8")
    block = readme.partition("<!-- summary: beltcast forecast -->\n```\n")[2].partition("\n```")[0]
    assert (
        block.splitlines()
        == [line.rstrip() for line in summary.splitlines()][: len(block.splitlines())]
    )


def test_lines_of_the_example_with_hares_are_counted(root: Path) -> None:
    page = (root / "docs/howto/own-model.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    code = next(block for block in blocks if "read_own_model" in block)
    assert sum(bool(line.strip()) for line in code.splitlines()) == 9  # "These are nine lines"
    files = root / "docs/gallery/hare-lynx"
    texts = {name: (files / name).read_text("utf-8") for name in ("model.mdl", "priors.toml")}
    equations = sum("~ |" in line for line in texts["model.mdl"].splitlines())
    columns = (files / "columns.toml").read_text("utf-8")
    lines = [
        sum(bool(line.partition("#")[0].strip()) for line in text.splitlines())
        for text in (texts["priors.toml"], columns)
    ]
    told = f"together with {equations} equations, {lines[0]} lines of priors and {lines[1]} of"
    states(root, "docs/howto/own-model.md", told)


def test_the_gallery_is_counted(root: Path) -> None:
    others = len(list((root / "docs/gallery").glob("*/model.mdl"))) - 1
    told = f"repeats this calibration and {others} others"
    states(root, "docs/tutorials/own-model.md", told)


def test_the_model_of_the_page_is_the_size_it_says(root: Path, study: Study) -> None:
    model: Model = study.model
    assert len(model.subscripts["Belt"]) == 15
    states(root, BELT, "15 industrial belts, which together make up China")
    states(root, BELT, "Time runs from 2013 to 2036 in years, Euler, step 1/16 year")
    settings = {name: float(model[name].value) for name in ("INITIAL TIME", "FINAL TIME")}
    assert settings == {"INITIAL TIME": 2013, "FINAL TIME": 2036}
