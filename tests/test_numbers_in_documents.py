"""Numbers that a document states are those that the package computes, or that are kept.

A table that a command prints stands in a generated block (docs/refresh.py); a number within a
sentence is computed anew here.
"""

from __future__ import annotations

import csv
import importlib.util
import re
import tomllib
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from beltcast import Likelihood, Model, Study
from beltcast.inference.audit.prior_predictive import prior_predictive
from beltcast.study.contrasts import BIAS
from beltcast.verification.skill import case_scores, common_cases, error_table, place_years

BELT = "models/belt/README.md"


def script(root: Path, name: str) -> ModuleType:
    """A script of docs/."""
    spec = importlib.util.spec_from_file_location(name, root / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def refresh(root: Path) -> ModuleType:
    """The script that renews generated blocks."""
    return script(root, "refresh")


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


def block(root: Path, page: str, marker: str) -> str:
    """What stands between a marker of a page and the next end."""
    text = (root / page).read_text(encoding="utf-8")
    return text.partition(f"<!-- {marker} -->\n")[2].partition("\n<!-- end -->")[0]


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


def test_blocks_of_the_backtest_are_those_of_the_kept_file(
    root: Path, refresh: ModuleType, scores: xr.Dataset
) -> None:
    page = (root / "docs" / "verification.md").read_text(encoding="utf-8")
    for marker, content in refresh.skill_blocks(scores).items():
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


def test_scores_that_pages_repeat_are_in_the_kept_file(root: Path, scores: xr.Dataset) -> None:
    known = scores.isel(case=scores["first"].values == 0)
    events = place_years(common_cases(known, ["sd", "drift", "sd + drift"]))
    model, drift, pool = events["log_crps"].mean("case").sel(
        forecaster=["sd", "drift", "sd + drift"]
    ).values  # fmt: skip
    assert len(set(events["year"].values)) == 7  # "seven years are too few"
    states(
        root,
        "README.md",
        f"over {events.sizes['case']} place-years, the model's CRPS of logs is {model:.3f} (about "
        f"{100 * model:.0f} %), that of a drift {drift:.3f}, and that of their equal-weight "
        f"average {pool:.3f}; seven years",
    )
    page = "docs/verification.md"
    states(root, page, f"The data allow {events.sizes['case']} place-years with a baseline")
    # "eleven origins, every half-year from mid-2020 to mid-2025"
    assert np.unique(scores["origin"]).tolist() == [2020.5 + k / 2 for k in range(11)]
    henan = (events["place"] == "Henan") & (events["year"] == 2024)
    crps = events["log_crps"].isel(case=henan.values).squeeze("case")
    told = f"({crps.sel(forecaster='sd'):.2f} against drift's {crps.sel(forecaster='drift'):.2f} in"
    states(root, page, told)


def test_the_inputs_of_2023_moved_as_the_page_says(root: Path, scores: xr.Dataset) -> None:
    whole = scores.isel(case=((scores["first"] == 0) & (scores["scope"] == "whole")).values)
    bias = error_table(whole, "sd prior", by="origin").set_index("origin")["bias"]
    page = "docs/verification.md"
    states(root, page, f"a mean log error of {bias[2023]:+.2f} to {bias[2023.5]:+.2f}")
    inputs = pd.read_csv(root / "models/belt/inputs.csv", index_col="time")
    retail, rate = inputs["overseas online retail"], inputs["yuan per dollar"]
    # The rule of the page: mean log growth of three years, less by a fifth in each further year.
    growth = np.log(retail[2021.5] / retail[2018.5]) / 3
    ruled = retail[2021.5] * np.exp(growth * (0.8 + 0.8**2))
    more = retail[2023.5] / ruled * rate[2022.5] / rate[2021.5] - 1
    told = (
        f"came out at {retail[2023.5]:,.0f} bn USD, where the rule had extrapolated {ruled:,.0f} "
        f"from 2021, and the exchange rate of 2022 at {rate[2022.5]:.2f} yuan per dollar instead "
        f"of {rate[2021.5]:.2f}: {100 * more:.0f} % more demand in yuan"
    )
    states(root, page, told)
    fit = pd.read_csv(root / "calibration/results/calibration.csv", index_col="parameter")
    drift = fit.loc["Demand Drift", "median"]
    states(root, page, f"attributes it to `Demand Drift`, {drift:.2f} a year")


def test_demand_grows_as_the_readme_says(root: Path) -> None:
    retail = pd.read_csv(root / "models/belt/inputs.csv", index_col="time")[
        "overseas online retail"
    ]
    growth = {
        year: 100 * (retail[year + 0.5] / retail[year - 0.5] - 1) for year in range(2025, 2036)
    }
    assert all(round(growth[year], 1) == 7.5 for year in range(2025, 2029))
    assert all(growth[year + 1] < growth[year] for year in range(2028, 2035))
    states(root, "README.md", f"by 7.5 % a year to 2028 and then more and more slowly, by "
           f"{growth[2035]:.0f} % in 2035")  # fmt: skip


def test_first_releases_were_revised_as_the_page_says(root: Path) -> None:
    rows = pd.read_csv(root / "calibration/data/observations.csv")
    rows = rows[rows["kind"].isin(["level", "part-year"])].sort_values("published")
    keys = ["place", "quantity", "definition", "kind", "start", "end"]
    released = rows.groupby(keys)["value"].agg(["first", "last", "count"]).query("count > 1")
    revisions = np.log(released["last"] / released["first"])
    rms = 100 * np.sqrt((revisions**2).mean())
    told = f"revised by {rms:.1f} % (root mean square of {len(revisions)} totals)"
    states(root, "docs/verification.md", told)


def test_verdicts_that_the_readme_repeats_are_in_the_kept_summary(root: Path) -> None:
    summary = " ".join((root / "calibration/results/attribution.txt").read_text("utf-8").split())
    assert "the model without interaction forecasts as well: synergy is not supported" in summary
    assert "do not favour the true dates over dates moved by -2 years" in summary


def test_the_table_of_prim_is_that_of_the_kept_scores(root: Path) -> None:
    problems = script(root, "prim_problems")
    kept = pd.read_csv(problems.KEPT)
    shown = block(root, "docs/how-sure.md", "table 1: python docs/prim_problems.py")
    assert shown == problems.means(kept)
    again = problems.scores(problems.own, 3)
    ours = kept[kept["program"] == "beltcast"].head(3)
    np.testing.assert_allclose(again["f1"], ours["f1"], atol=1e-6)
    assert again["dense"].tolist() == ours["dense"].tolist()


def test_rates_of_wrong_signs_are_those_of_the_page(root: Path) -> None:
    rates = script(root, "error_rates")
    shown = block(root, "docs/how-sure.md", "table 1: python docs/error_rates.py").splitlines()
    # The other rows take longer; python docs/refresh.py tables renews them.
    assert {rates.row_of_sign(truth) for truth in (0.7, 0.8)} < set(shown)


def test_scores_of_the_baselines_on_other_series_are_those_of_the_page(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script(root, "harness_check").main()
    shown = block(root, "docs/verification.md", "table 1: python docs/harness_check.py")
    assert capsys.readouterr().out.strip() == shown


def test_deviations_of_other_series_are_those_of_the_page(root: Path) -> None:
    damping, page = script(root, "damping"), "docs/evidence-drivers.md"
    shown = block(root, page, "table 2: python docs/damping.py").splitlines()
    japan = damping.POOLED[2]
    assert damping.row_of_sds(japan, damping.series()[japan]) in shown
    # The profiles of the first table take minutes; python docs/refresh.py tables renews it.
    first = block(root, page, "table 1: python docs/damping.py").splitlines()
    (pooled,) = (line for line in first if line.startswith("| three e-commerce series pooled |"))
    told = f"series outside this study give {pooled.split(' | ')[4]}"
    states(root, "docs/verification.md", told)


def test_the_table_of_checks_is_that_of_its_script(root: Path) -> None:
    checks = script(root, "checks")
    rows = [line.split(" | ") for line in (root / "docs/how-sure.md").read_text().splitlines()]
    shown = [
        (row[0][2:], row[1], row[3][:-2]) for row in rows if len(row) == 4 and row[2] == "right"
    ]
    assert shown == [
        (question, found, checks.where(file, chosen))
        for question, found, file, chosen in checks.KINDS
    ]
    for _, _, file, chosen in checks.KINDS:
        text = (root / checks.path_of(file)).read_text("utf-8")
        # Within a name of a test, or a parameter of one.
        found = [re.search(rf'(def test_|")[\w, ]*{part}', text) for part in chosen.split(" or ")]
        assert all(found), (file, chosen)


def test_the_guide_has_the_discrepancy_of_the_study(root: Path) -> None:
    page = (root / "docs/howto/forecast.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```toml\n(\[noise\.discrepancy\].*?)```", page, re.S)
    study = tomllib.loads((root / "calibration/belt.toml").read_text(encoding="utf-8"))
    assert tomllib.loads(shown)["noise"]["discrepancy"] == study["noise"]["discrepancy"]


def test_the_study_uses_factors_of_error_scales_as_the_guide_says(root: Path, study: Study) -> None:
    states(
        root, "docs/howto/how-sure.md", "The belt study uses factors that were estimated in this"
    )
    assert set(study.noise.error_scale_factors) == {"scope reference", "scope other"}


def test_frozen_forecasts_that_are_kept_are_named(root: Path) -> None:
    page = (root / "docs/howto/frozen-forecasts.md").read_text(encoding="utf-8")
    kept = {path.name for path in (root / "calibration/frozen").glob("*.nc")}
    assert len(kept) == 3  # "Three files of 2026 are kept"
    assert all(f"`{name}`" in page for name in kept)


def test_contrasts_of_the_page_are_those_of_the_table(root: Path) -> None:
    rows = pd.read_csv(root / "calibration/data/contrasts.csv").query("use == 'yes'")
    page = (root / "docs/drivers.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| .*? \| ([-+][\d.]+) ± ([\d.]+), grade ([ABC]) \|", page, re.M)
    assert [(float(a), float(b), c) for a, b, c in shown] == [
        (round(row.log_difference, 3), round(row.standard_error, 3), row.grade)
        for row in rows.itertuples()
    ]
    settings = tomllib.loads((root / "calibration/belt.toml").read_text("utf-8"))["contrasts"]
    told = f"Errors within a group (zones, tariffs) have the correlation {settings['correlation']}"
    states(root, "docs/drivers.md", told)
    half_normal = 0.6745  # median of |x| where x is standard normal
    medians = [np.exp(half_normal * BIAS[grade]) for grade in "BC"]
    told = f"median {medians[0]:.1f} for grade B, {medians[1]:.0f} for grade C"
    states(root, "docs/drivers.md", told)


def test_counts_of_conformance_are_those_of_its_tables(root: Path) -> None:
    name = "docs/conformance.md"
    page = (root / name).read_text(encoding="utf-8")
    rows = re.findall(r"^\| \S+\.(mdl|MDL|xmile|stmx) \| (.*?) \|(.*)\|$", page, re.M)
    kinds = ("ok", "ok at 1e-05", "ok at 0.02", "incomplete", "explained", "refused", "wrong")
    for vensim, files in ((True, "145 `.mdl`"), (False, "107 XMILE (`.xmile`, `.stmx`)")):
        results = [result for ending, result, _ in rows if (ending.lower() == "mdl") == vensim]
        assert len(results) == int(files.split()[0])
        cells = " | ".join(str(results.count(kind)) for kind in kinds)
        states(root, name, f"| {files} | {cells} |")
    refused = [detail for ending, result, detail in rows if (ending, result) != ("mdl", "refused")]
    for sign, told in (("'???'", "{} files contain `???`"), ("'MACRO'", "{} files call a macro")):
        states(root, name, told.format(sum(sign in detail for detail in refused)))


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
