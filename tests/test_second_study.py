"""Everything general runs on a study of fish, and meets no word of the shipped study there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast import cli, read_study
from beltcast.display.numbers import digits
from beltcast.errors import InputError

from .app.test_page import array
from .app.test_page import data_of as page_data_of
from .second_study import WORDS, write_fish

QUICK = ("--draws", "20", "--starts", "4")


@pytest.fixture(scope="module")
def fish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fish(tmp_path_factory.mktemp("fish") / "mine")


@pytest.fixture(scope="module")
def results(fish: Path) -> Path:
    """Results of a forecast of the fish."""
    folder = fish.parent / "runs"
    run("forecast", fish, *QUICK, "--output", folder)
    return folder


def run(command: str, *arguments: object) -> str:
    """Run a command; return what it prints."""
    ended = CliRunner().invoke(cli.app, [command, *map(str, arguments)])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended.output


def words_of(folder: Path) -> dict[str, list[str]]:
    """Words of the shipped study in everything that a folder holds, by file."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".nc":
            with xr.open_dataset(path) as data:
                text = json.dumps(data.to_dict(data=False), default=str) + " ".join(
                    f"{name} {values.values.ravel()[:2000]}"
                    for name, values in data.variables.items()
                    if values.dtype.kind in "OUS"
                )
        elif path.suffix in (".png", ".npz"):
            continue
        else:
            text = re.sub(r"data:image/[^'\"]*", "", path.read_text(encoding="utf-8"))
        if words := [match.group() for match in WORDS.finditer(text)]:
            found[path.name] = words
    return found


def test_a_forecast_speaks_of_fish_alone(fish: Path, results: Path) -> None:
    assert words_of(results) == {}
    with xr.open_dataset(results / "forecast.nc") as result:
        assert result["place"].values.tolist() == ["All coasts", "North", "South"]
        assert "Fish" in result
        assert result.attrs["title"] == "Two coasts and their fish"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_report_speaks_of_fish_alone(results: Path, tmp_path: Path, language: str) -> None:
    run("report", results, "--language", language, "--output", tmp_path / "out")
    assert words_of(tmp_path / "out") == {}
    page = (tmp_path / "out" / "north.html").read_text(encoding="utf-8")
    assert ("上岸量，千吨/年" if language == "zh" else "landings, kilotonnes a year") in page
    assert ("船队" if language == "zh" else "Fleet") in page
    assert ("风平浪静" if language == "zh" else "A calm sea") in page


COMMANDS = {
    "attribute": ("attribute", *QUICK),
    "compare": ("compare", *QUICK),
    "policy": ("policy", "--prior", "--draws", "4", "--policies", "4", "--budget", "50"),
    "price": ("price", "--prior", "--draws", "20"),
    "discover": ("discover", "--below", "25", "--prior", "--draws", "40"),
    "sensitivity": ("sensitivity", "--method", "tornado"),
    "identify": ("identify", "--draws", "20"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_speaks_of_fish_alone(fish: Path, tmp_path: Path, name: str) -> None:
    command, *options = COMMANDS[name]
    said = run(command, fish, *options, "--output", tmp_path / "out")
    assert not WORDS.search(said)
    assert words_of(tmp_path / "out") == {}


def test_the_page_asks_the_levers_of_the_study(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "fish.html"
    run("page", results, "--output", path)
    html = path.read_text(encoding="utf-8")
    data = page_data_of(html)
    assert [lever["key"] for lever in data["levers"]] == ["effort", "mesh"]
    assert [driver["label"][0] for driver in data["drivers"]] == ["Rain", "Fleet"]
    assert data["shares"] == []
    assert data["title"][0] == "Two coasts and their fish"
    written = {name: part for name, part in data.items() if name != "model"}
    text = re.sub(r'"f[48]": "[^"]*"', "", json.dumps(written, ensure_ascii=False))  # packed arrays
    assert not WORDS.findall(text)
    assert not WORDS.findall(html.partition('id="data"')[0].partition("</style>")[2])


def test_one_question_has_one_number_everywhere(results: Path, tmp_path: Path) -> None:
    """The same digits in Python, the summary, the page, the report and the exported table."""
    with xr.open_dataset(results / "forecast.nc") as opened:
        forecast = opened.load()
    year = int(forecast["year"].values[-1])
    place, first = (str(forecast[name].values[0]) for name in ("place", "scenario"))
    at = {"place": place, "scenario": first, "year": year, "quantile": 0.5}
    value = float(forecast["published_quantile"].sel(at))
    written = digits(value)
    summary = (results / "summary.txt").read_text(encoding="utf-8")
    assert re.search(rf"^\s*{place} .*{re.escape(written)} \(", summary, re.M)

    run("page", results, "--output", tmp_path / "page.html")
    data = page_data_of((tmp_path / "page.html").read_text(encoding="utf-8"))
    base = array(data["base"]["published"])[0, 0, -1, data["quantiles"].index(0.5)]
    assert base == value

    run("report", results, "--place", place, "--output", tmp_path / "report")
    (report,) = (tmp_path / "report").glob("*.html")
    row = re.search(rf"<td[^>]*>{year}</td><td[^>]*>([^<]*)<", report.read_text(encoding="utf-8"))
    assert row
    assert row[1].startswith(f"{written} (")

    run("export", results / "forecast.nc", "--output", tmp_path / "table.iamc.csv")
    table = pd.read_csv(tmp_path / "table.iamc.csv")
    line = table[
        (table["Region"] == place)
        & (table["Scenario"] == first)
        & table["Variable"].str.contains("published")
        & table["Variable"].str.endswith("p50")
    ]
    # All digits are written; pandas reads the last one quickly, not exactly.
    assert float(line[str(year)].iloc[0]) == pytest.approx(value, rel=1e-14)


WITHOUT = {
    "attribute": (("attribute", *QUICK), r"add a table \[drivers"),
    "policy": (
        ("policy", "--prior", "--cost", "fuel"),
        r"add a table \[levers.* or name one with --lever",
    ),
    "policy-without-cost": (
        ("policy", "--prior", "--lever", "Effort Factor=0.5:1.5"),
        r"spending\[Coast\] = .* table \[money\]",
    ),
    "price": (("price", "--prior", "--draws", "20"), r"add spending = .* table \[money\]"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_command_says_what_to_add_to_a_study_without_roles(tmp_path: Path, name: str) -> None:
    path = write_fish(tmp_path / "plain")
    text = path.read_text(encoding="utf-8")
    head, rest = text.split("[forecast]")
    path.write_text(head + "[noise]" + rest.partition("[noise]")[2], encoding="utf-8")
    assert read_study(path).roles.levers == ()
    (command, *options), says = WITHOUT[name]
    arguments = [command, str(path), *options, "--output", str(tmp_path / "out")]
    ended = CliRunner().invoke(cli.app, arguments)
    assert isinstance(ended.exception, InputError), (ended.output, ended.exception)
    assert re.search(says, str(ended.exception)), ended.exception
    assert not WORDS.search(str(ended.exception))
