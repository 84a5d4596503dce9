"""Every cell of report, summary and page, computed again from the numbers of forecast.nc.

The files are those of the shipped forecast with all numbers drawn at random, so that no two are
alike: a cell that takes a neighbour's number, year, scenario or quantile shows.  What is expected
is read from the file with netCDF4 and written by the few lines below.
"""

from __future__ import annotations

import base64
import csv
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from beltcast import Study
from beltcast.app import page_data
from beltcast.files.shipped import shipped
from beltcast.forecasting.summary import as_text, summarise
from beltcast.reports import place_report as reports
from beltcast.reports.place_report import Evidence, place_report
from beltcast.schema import LANGUAGES, Label

from .test_place_report import Parsed

PLACES = ("China", "Henan", "Foshan")
YEARS = (2025, 2030, 2035)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forecast.nc of the shape of the shipped one, with other numbers."""
    rng = np.random.default_rng(21)
    made = xr.open_dataset(shipped("calibration/results/forecast.nc")).load()
    made = made.isel(scenario=slice(4))
    for name, values in made.data_vars.items():
        kind = str(name).removeprefix("prior_")
        if values.dtype.kind not in "fi" or (kind.startswith("row_") and kind != "row_loose"):
            continue
        shape = values.shape
        if kind in ("quantile", "published_quantile", "output_quantile"):
            numbers: Any = np.exp(rng.uniform(-3, 11, shape))
        elif kind == "change_quantile":
            numbers = np.exp(rng.normal(0, 0.5, shape))
        elif kind in ("chance_of_more", "sd_ratio"):
            numbers = rng.uniform(0.0, 1.0, shape)
        elif kind in ("chance_of_more_draws", "observation_count"):
            numbers = rng.integers(100, 900, shape)
        elif kind == "row_loose":
            numbers = rng.integers(0, 2, shape)
        elif kind == "failed":
            numbers = np.zeros(shape, dtype=int)
        else:
            numbers = np.exp(rng.normal(0, 2, shape))
        made[name] = values.copy(data=numbers)
    file = tmp_path_factory.mktemp("cells") / "forecast.nc"
    made.to_netcdf(file)
    return file


@pytest.fixture(scope="module")
def forecast(path: Path) -> xr.Dataset:
    return xr.open_dataset(path).load()


@pytest.fixture(scope="module")
def estimates(study: Study) -> pd.DataFrame:
    rng = np.random.default_rng(22)
    names = ("prior_p10", "prior_median", "prior_p90", "p10", "median", "p90")
    n = len(study.priors.labels)
    table = pd.DataFrame(
        {name: np.exp(rng.normal(0, 3, n)) for name in names}, index=list(study.priors.labels)
    )
    table["sd_ratio"] = rng.uniform(0, 1, n)
    table["verdict"] = [verdict(ratio) for ratio in table["sd_ratio"]]
    return table


@pytest.fixture(scope="module")
def shares(study: Study) -> xr.Dataset:
    """An attribution of three years with what a report reads."""
    rng = np.random.default_rng(23)
    drivers = [study.roles.driver(name) for name in study.roles.switches]
    coords = {
        "driver": drivers,
        "place": list(PLACES),
        "year": [2022, 2023, 2024],
        "quantile": [0.1, 0.5, 0.9],
    }
    sizes = {name: len(values) for name, values in coords.items()}
    sizes["member"] = 250

    def numbers(low: float, high: float, *dims: str) -> tuple[tuple[str, ...], np.ndarray]:
        return dims, rng.uniform(low, high, [sizes[dim] for dim in dims])

    made = {}
    for name, dims in (("shapley", ("driver", "place", "year")), ("synergy", ("place", "year"))):
        for mark in ("", "prior_"):
            made[f"{mark}{name}_log_quantile"] = numbers(-1, 1, *dims, "quantile")
            made[f"{mark}{name}_log_chance"] = numbers(0, 1, *dims)
        made[f"{name}_log_sd_ratio"] = numbers(0, 1.2, *dims)
    made["synergy_log"] = numbers(-1, 1, "member", "place", "year")
    return xr.Dataset(made, coords, {"whole": "China", "year": 2023, "prior_draws": 170})


@pytest.fixture
def report(
    study: Study,
    forecast: xr.Dataset,
    shares: xr.Dataset,
    estimates: pd.DataFrame,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Parsed:
    for chart in ("fan_chart", "waterfall"):  # pictures have tests of their own
        monkeypatch.setattr(reports, chart, lambda *args, **kwargs: None)
    monkeypatch.setattr(reports, "picture", lambda *args: None)
    return Parsed(place_report(Evidence(study, forecast, shares, estimates), place, year=2023))


class File:
    """Numbers of a file by their labels, without xarray."""

    def __init__(self, path: Path) -> None:
        with netCDF4.Dataset(path) as data:
            self.values = {name: np.asarray(v[...]) for name, v in data.variables.items()}
            self.dims = {name: v.dimensions for name, v in data.variables.items()}

    def __call__(self, name: str, **at: Any) -> Any:
        values = self.values[name]
        for axis, dim in reversed(list(enumerate(self.dims[name]))):
            if dim in at:
                known = self.values[dim]
                (i,) = [k for k, label in enumerate(known) if label == at[dim]]
                values = values.take(i, axis=axis)
        return values.item() if values.ndim == 0 else values


@pytest.fixture(scope="module")
def file(path: Path) -> File:
    return File(path)


def verdict(ratio: float) -> str:
    """README: above 0.7 of the prior's width mostly prior, above 0.35 both."""
    return "mostly prior" if ratio > 0.7 else "data and prior" if ratio > 0.35 else "mostly data"


def chance(share: float, draws: float) -> str:
    """A percentage with the standard error of Agresti and Coull, of one digit."""
    p = (share * draws + 2) / (draws + 4)
    error = 100 * math.sqrt(p * (1 - p) / (draws + 4))
    decimals = max(0, -math.floor(math.log10(error)))
    return f"{100 * share:.{decimals}f} ± {error:.{decimals}f} %"


def amount(x: float) -> str:
    """Three digits, and at least the whole ones."""
    return f"{x:,.{0 if x >= 100 else 1 if x >= 10 else 2 if x >= 1 else 3}f}"


def three_digits(x: float) -> str:
    return f"{float(f'{x:.3g}'):,.10g}"


def sign(posterior: float, prior: float) -> str:
    """What determines a sign: a table of two shares, each decided from 0.9 or to 0.1."""

    def decided(share: float) -> int:
        return 1 if share >= 0.9 else -1 if share <= 0.1 else 0

    after, before = decided(posterior), decided(prior)
    if not before:
        return "decided by the data" if after else "undecided"
    if not after:
        return "left open"
    return "built in" if after == before else "reversed"


def band(file: File, name: str, form: Any, **at: Any) -> str:
    low, middle, high = (form(file(name, quantile=q, **at)) for q in (0.1, 0.5, 0.9))
    return f"{middle} ({low} to {high})"


def change(x: float) -> str:
    return f"{100 * (x - 1):+.1f}"


@pytest.mark.parametrize("place", PLACES)
def test_every_cell_of_a_report_s_forecast(report: Parsed, file: File, place: str) -> None:
    draws = min(file(f"{p}chance_of_more_draws").max() for p in ("", "prior_"))
    assert draws >= 100
    want = []
    for year in YEARS:
        at = {"place": place, "year": year}
        ratio = file("sd_ratio", **at)
        own = band(file, "published_quantile", amount, scenario="baseline", **at)
        prior = band(file, "prior_quantile", amount, **at)
        want.append([str(year), own, prior, f"{ratio:.2f}", verdict(ratio)])
    assert report.tables["forecast"][1:] == want


@pytest.mark.parametrize("place", PLACES)
def test_every_cell_of_a_report_s_scenarios(
    report: Parsed, file: File, study: Study, place: str
) -> None:
    want = []
    for name in file.values["scenario"][1:]:
        own, at = study.scenarios[name], {"scenario": name, "place": place}
        want.append(
            [
                own.title + own.text,
                *(
                    band(file, "change_quantile", change, year=year, **at) + " %"
                    for year in YEARS[1:]
                ),
                *(
                    chance(file(key, year=2035, **at), file(f"{key}_draws", year=2035, **at))
                    for key in ("chance_of_more", "prior_chance_of_more")
                ),
            ]
        )
    assert report.tables["scenarios"][1:] == want
    built_in = [
        study.scenarios[name].title
        for name in file.values["scenario"][1:]
        for at in [{"scenario": name, "place": place, "year": 2035}]
        if sign(file("chance_of_more", **at), file("prior_chance_of_more", **at)) == "built in"
    ]
    said = [line for line in report.text.splitlines() if "determines the sign of these" in line]
    assert [line.strip().partition("scenarios: ")[2] for line in said] == (
        ["; ".join(built_in) + "."] if built_in else []
    )


@pytest.mark.parametrize("place", PLACES)
def test_every_cell_of_a_report_s_drivers(
    report: Parsed, shares: xr.Dataset, study: Study, place: str
) -> None:
    want, mostly = [], []
    for switch in study.roles.switches:
        at = {"driver": study.roles.driver(switch), "place": place, "year": 2023}
        own = {name: values.sel(at) for name, values in shares.items() if "shapley" in str(name)}
        bands = []
        for mark in ("", "prior_"):
            low, middle, high = own[f"{mark}shapley_log_quantile"].values
            bands.append(f"{middle:+.2f} ({low:+.2f} to {high:+.2f})")
        after, before = (own[f"{m}shapley_log_chance"].item() for m in ("", "prior_"))
        source = sign(after, before).replace("built in", "built into the model")
        words = [chance(after, 250), chance(before, 170), source]
        want.append([report.tables["drivers"][len(want) + 1][0], *bands, *words])
        ratio = own["shapley_log_sd_ratio"].item()
        mostly += [f"{ratio:.2f}"] if ratio > 0.7 else []
    assert report.tables["drivers"][1:] == want
    said = re.findall(
        r"share of [^()]* is mostly prior \(posterior-to-prior sd ratio ([^)]*)\)", report.text
    )
    assert said == mostly


@pytest.mark.parametrize("place", PLACES)
def test_every_cell_of_a_report_s_estimates(
    report: Parsed, estimates: pd.DataFrame, place: str
) -> None:
    want = []
    for label, row in estimates.iterrows():
        if str(label).endswith(f"[{place}]"):
            prior, own = (
                [three_digits(row[f"{mark}{end}"]) for end in ("p10", "median", "p90")]
                for mark in ("prior_", "")
            )
            bands = [f"{middle} ({low} to {high})" for low, middle, high in (prior, own)]
            want.append([label, *bands, f"{row['sd_ratio']:.2f}", verdict(row["sd_ratio"])])
    assert report.tables.get("estimates", [[]])[1:] == want
    assert want or place == "China"


@pytest.mark.parametrize("place", PLACES)
def test_every_cell_of_a_report_s_observations(
    report: Parsed, file: File, study: Study, place: str
) -> None:
    """Also how many are levels, how many points are loose, and which lines a source has."""
    own = [row for row in study.observations if row.place == place]
    with study.observations.path.open(encoding="utf-8-sig") as file_:
        table = list(csv.DictReader(file_))
    want = []
    for row in own:
        number, unit = float(table[row.line - 2]["value"]), row.unit
        if unit == "%":
            value = f"{number:{'+' if row.kind == 'growth' else ''}.1f} %"
        else:
            if "USD" in unit:  # at the rate of the study
                number, unit = number * study.usd_cny[int(row.start)], unit.replace("USD", "CNY")
            if unit == "100m CNY":
                number, unit = 0.1 * number, "bn CNY"
            value = f"{number:,.0f} {unit}" if number >= 1000 else f"{number:,.4g} {unit}"
        want.append([value, row.grade, str(row.line)])
    rows = report.tables.get("observations", [[]])[1:]
    assert [[row[3], row[5], row[6]] for row in rows] == want
    for cells, row in zip(rows, own, strict=True):
        if row.start == row.end == int(row.start):  # the first instant of a year ends the last one
            assert cells[0] == f"end of {int(row.start) - 1}"
        else:
            assert cells[0].endswith(str(int(row.start))) or str(int(row.start + 1e-6)) in cells[0]
        assert cells[4] == study.noise.definitions[row.definition].title
    levels = sum(row.kind in ("level", "part-year") for row in own)
    loose = int(file("row_loose")[file("row_place") == place].sum())
    if loose:
        assert f"{loose} of the points on the chart" in report.text
        assert f"{levels} observations of the place are levels" in report.text
    # A source of the nation stands once in the nation's report, and after its own in another.
    shown = (
        own if place == "China" else [*own, *(r for r in study.observations if r.place == "China")]
    )
    lines: dict[tuple[str, str], list[int]] = {}
    for row in shown:
        lines.setdefault((row.source, row.url), []).append(row.line)
    said = re.findall(r"\blines? (\d+(?:, \d+)*)", report.text)
    assert said == [", ".join(map(str, numbers)) for numbers in lines.values()]


@pytest.mark.parametrize(
    ("fields", "unit", "told", "told_zh"),
    [
        ({"kind": "growth", "value": 1.153}, "bnCNY/Year", "+15.3 %", "+15.3 %"),
        ({"kind": "growth", "value": 0.9}, "bnCNY/Year", "-10.0 %", "-10.0 %"),
        ({"kind": "share", "value": 0.125}, "firm", "12.5 %", "12.5 %"),
        ({"kind": "level", "value": 0.343, "unit": "%"}, "Dmnl", "34.3 %", "34.3 %"),
        # What was published as 3,265 in 100m CNY is read as 326.5 in the model's bn CNY.
        (
            {"kind": "level", "value": 326.5, "unit": "100m CNY"},
            "bnCNY/Year",
            "326.5 bn CNY",
            "3,265 亿元",
        ),
        ({"kind": "level", "value": 1000.0}, "bnCNY/Year", "1,000 bn CNY", "1.00 万亿元"),
        ({"kind": "over", "value": 150000.0, "unit": "户"}, "firm", "150,000 firm", "150,000 家"),
        ({"kind": "upper", "value": 0.01234, "unit": "mn"}, "mn", "0.01234 mn", "0.01234 mn"),
    ],
)
def test_a_published_value_is_written_by_its_kind(
    make: SimpleNamespace, fields: dict[str, Any], unit: str, told: str, told_zh: str
) -> None:
    labels = {"bnCNY": Label("bn CNY"), "firm": Label("firm", "家")}
    assert reports._value(make.row(**fields), unit, "en", labels) == told
    assert reports._value(make.row(**fields), unit, "zh", labels) == told_zh


def table_of(text: str, title: str) -> list[str]:
    """Lines of a printed table, without its title and heads."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if title in line)
    block = lines[start:]
    end = next((i for i, line in enumerate(block) if not line.strip()), len(block))
    return [line.rstrip() for line in block[:end]]


def test_every_cell_of_a_summary(
    study: Study, forecast: xr.Dataset, file: File, estimates: pd.DataFrame
) -> None:
    likelihood = SimpleNamespace(observations=study.observations)
    fit: Any = SimpleNamespace(
        likelihood=likelihood,
        table=lambda: estimates,
        start_costs=range(9),
        agreeing=3,
        refined=range(4),
        at_bound=(),
    )
    text = as_text(summarise(forecast, fit), 160)

    def between(low: str, high: str) -> str:
        return f"{low} to {high}" if low.startswith("-") else f"{low}–{high}"

    places = table_of(text, "median (80% band);")[-len(file.values["place"]) :]
    for line, place in zip(places, file.values["place"], strict=True):
        ratio = file("sd_ratio", place=place, year=2035)
        cells = [place, str(file("observation_count", place=place))]
        for year in YEARS:
            at = {"scenario": "baseline", "place": place, "year": year}
            low, middle, high = (
                amount(file("published_quantile", quantile=q, **at)) for q in (0.1, 0.5, 0.9)
            )
            width = file("published_quantile", quantile=0.9, **at) - file(
                "published_quantile", quantile=0.1, **at
            )
            if file("published_quantile", quantile=0.5, **at) < 1e-3 * width:
                middle = "0"
            cells.append(f"{middle} ({low}–{high})")
        cells.append(f"{ratio:.2f}" + " mostly prior" * (ratio > 0.7))
        assert line.split() == " ".join(cells).split()

    names = file.values["scenario"][1:]
    for line, name in zip(table_of(text, "Scenarios: ")[-len(names) :], names, strict=True):
        at = {"scenario": name, "place": "China"}
        cells = [name]
        for year in YEARS[1:]:
            low, middle, high = (
                change(file("change_quantile", quantile=q, year=year, **at))
                for q in (0.1, 0.5, 0.9)
            )
            cells.append(f"{middle} ({between(low, high)}) %")
        for key in ("chance_of_more", "prior_chance_of_more"):
            cells.append(chance(file(key, year=2035, **at), file(f"{key}_draws", year=2035, **at)))
        assert line.split() == " ".join(cells).split()

    elements = {f"[{place}]" for place in file.values["place"]}
    shared = [n for n in estimates.index if not any(str(n).endswith(e) for e in elements)]
    chosen = estimates.loc[shared].sort_values("sd_ratio").head(12)
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(chosen.index[0]))
    for line, (label, row) in zip(lines[start:], chosen.iterrows(), strict=False):

        def short(x: float) -> str:
            whole = f"{x:,.0f}" if x >= 10_000 else f"{x:.0f}"
            return whole if x >= 1000 else f"{float(f'{x:.2g}'):.10g}"

        cells = [str(label)]
        for mark in ("prior_", ""):
            low, middle, high = (row[f"{mark}{end}"] for end in ("p10", "median", "p90"))
            middle = 0.0 if abs(middle) < 1e-3 * (high - low) else middle
            cells.append(f"{short(middle)} ({short(low)}–{short(high)})")
        cells += [f"{row['sd_ratio']:.2f}", verdict(row["sd_ratio"])]
        assert line.split() == " ".join(cells).split()


def unpacked(packed: dict[str, Any]) -> np.ndarray:
    kind = "f8" if "f8" in packed else "f4"
    return np.frombuffer(base64.b64decode(packed[kind]), "<" + kind).reshape(packed["shape"])


def test_every_number_that_a_page_takes_from_the_forecast(
    study: Study, forecast: xr.Dataset, file: File
) -> None:
    """Places first, then scenarios, years and quantiles, whatever the order in the file."""
    names = [str(n) for n in file.values["scenario"][[0, 2, 3]]]
    shuffled = forecast.transpose(..., "scenario", "place")
    base = {name: unpacked(values) for name, values in page_data._base(shuffled, names).items()}
    years, places = file.values["year"], file.values["place"]
    pairs = (("more", "chance_of_more"), ("prior_more", "prior_chance_of_more"))
    for i, place in enumerate(places):
        for j, year in enumerate(years):
            at = {"place": place, "year": year}
            np.testing.assert_array_equal(base["prior"][i, j], file("prior_quantile", **at))
            assert base["ratio"][i, j] == np.float32(file("sd_ratio", **at))
            for k, name in enumerate(names):
                own = {**at, "scenario": name}
                published = file("published_quantile", **own)
                np.testing.assert_array_equal(base["published"][i, k, j], published)
                for q, level in enumerate((0.1, 0.5, 0.9)):
                    known = file("change_quantile", quantile=level, **own)
                    assert base["change"][i, k, j, q] == np.float32(known)
                for mine, theirs in pairs:
                    assert base[mine][i, k, j] == np.float32(file(theirs, **own))
    for place in PLACES:
        own = page_data._place(study, forecast, place)
        rows = np.flatnonzero(file("row_place") == place)
        assert own["observations"] == file("observation_count", place=place)
        assert own["label"] == [study.title_of(place, language) for language in LANGUAGES]
        for column in ("start", "end", "kind", "published", "translated", "loose", "line"):
            assert own["points"][column] == file(f"row_{column}")[rows].tolist()
    for companion in study.roles.companions:
        own = page_data._companion(study, forecast, companion, names)
        bands = unpacked(own["bands"])
        for k, name in enumerate(names):
            for q, level in enumerate((0.1, 0.5, 0.9)):
                known = file(companion, scenario=name, quantile=level)
                np.testing.assert_array_equal(bands[..., k, :, q], known.astype(np.float32))
