"""What is printed and drawn of a backtest is what its tables say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from beltcast.display.tables import narrowed
from beltcast.errors import InputError
from beltcast.forecasting.summary import as_text
from beltcast.verification.skill import case_scores, coverage_table, pit_counts, skill_table
from beltcast.verification.skill_plot import pit_chart, reliability_chart, skill_by_lead
from beltcast.verification.skill_text import (
    markdown,
    place_year_markdown,
    skill_markdown,
    summarise_skill,
)


@pytest.fixture(scope="module")
def scores() -> xr.Dataset:
    """Two places, eight years from two leads; 'sharp' is right and 'dull' is wide."""
    rng = np.random.default_rng(9)
    cases = [(y, lead, p) for y in range(2018, 2026) for lead in (1, 2) for p in ("China", "Yiwu")]
    n = len(cases)
    z = rng.standard_normal((n, 2, 200)) * np.array([0.1, 0.8])[None, :, None]
    data = xr.Dataset(
        {
            "forecast": (("case", "forecaster", "draw"), 1234.5 * np.exp(z)),
            "observed": ("case", 1234.5 * np.exp(0.1 * rng.standard_normal(n))),
        },
        {
            "forecaster": ["sharp", "dull | wide"],
            "origin": ("case", [y + 0.5 - lead + 1 for y, lead, _ in cases]),
            "lead": ("case", [lead for _, lead, _ in cases]),
            "year": ("case", [y for y, *_ in cases]),
            "place": ("case", [p for *_, p in cases]),
            "definition": ("case", ["gacc"] * n),
            "quantity": ("case", ["trade"] * n),
            "scale": ("case", np.full(n, 100.0)),
        },
        {"whole": "China"},
    )
    return case_scores(data)


def test_the_page_says_what_was_asked_and_who_is_better(scores: xr.Dataset) -> None:
    page = as_text(summarise_skill(scores, "sharp"))
    assert "32 cases from 9 origins, 2017.5 to 2025.5: 16 targets" in page
    gain = skill_table(scores, "sharp")["skill"][0]
    (line,) = [
        x for x in page.splitlines() if x.split()[:3] == ["dull", "|", "wide"] and "too few" in x
    ]
    assert f"{100 * gain:.0f}%" in line
    assert line.rstrip().endswith("too few years")
    for heading in ("Errors of 'sharp'", "Clopper", "Largest losses"):
        assert heading in page


@pytest.mark.parametrize("width", [80, 60, 40])
def test_a_narrow_terminal_cuts_no_cell_and_breaks_no_word(scores: xr.Dataset, width: int) -> None:
    """The words of the page are those of a wide one."""
    page = summarise_skill(scores, "sharp")
    wide = as_text(page, 200)
    narrow = as_text(narrowed(page, width), width)
    assert max(map(len, narrow.splitlines())) <= width
    words = {word.rstrip(";") for word in narrow.split()}
    assert words >= {word.rstrip(";") for word in wide.split()}
    assert "…" not in narrow


def test_tables_of_places_and_years_count_each_once(scores: xr.Dataset) -> None:
    single, pooled = place_year_markdown(scores, "sharp", against=["dull | wide", "other"]).split(
        "\n\n"
    )
    # Two places in eight years, each forecast from two leads.
    assert len(single.splitlines()) == 2 + 16
    assert "| China 2018 | 2 |" in single
    lines = {line.split(" | ")[0].strip("| "): line for line in pooled.splitlines()[2:]}
    assert lines["all"].split(" | ")[1] == "16"
    assert lines["all, Yiwu once"].split(" | ")[1] == "9"
    assert lines["parts, Yiwu once"].split(" | ")[1] == "1"
    assert "parts without Yiwu" not in lines
    gain = skill_table(scores, "sharp")["skill"][0]
    assert f"; {100 * gain:.0f}% (" in lines["all"]


def test_the_table_of_the_readme_is_markdown(scores: xr.Dataset) -> None:
    lines = skill_markdown(scores, "sharp").splitlines()
    assert lines[2].startswith("| **sharp** | 32 |")
    assert lines[3].startswith("| dull \\| wide | 32 |")
    assert lines[3].endswith("too few years |")
    bars = {line.replace("\\|", "").count("|") for line in lines}
    assert bars == {7}


def test_a_cell_cannot_end_its_row() -> None:
    assert markdown(["a"], [["x\n| y"]]).splitlines() == ["| a |", "|:---|", "| x \\| y |"]


def test_an_unknown_forecaster_is_named(scores: xr.Dataset) -> None:
    with pytest.raises(InputError, match="did you mean 'sharp'"):
        summarise_skill(scores, "shap")


def test_the_pictures_hold_the_numbers_of_the_tables(scores: xr.Dataset) -> None:
    ax = Figure().add_subplot()
    assert skill_by_lead(scores, "sharp", ax=ax) is ax
    table = skill_table(scores, "sharp", by="lead")
    (drawn,) = [c.lines[0].get_ydata() for c in ax.containers]
    np.testing.assert_allclose(drawn, 1 - table.sort_values("lead")["skill"])
    reliable = reliability_chart(scores)
    share = coverage_table(scores).groupby("forecaster", sort=False)["share"].apply(list)
    for container, expected in zip(reliable.containers, share, strict=True):
        np.testing.assert_allclose(container.lines[0].get_ydata(), 100 * np.array(expected))
    bars = pit_chart(scores, "dull | wide").patches
    heights = [b.get_height() for b in bars if 0.05 < b.get_width() < 0.1]
    assert heights == pit_counts(scores).loc["dull | wide"].tolist()


def test_the_scores_that_the_readme_quotes_are_those_of_the_backtest_that_is_kept(
    root: Path,
) -> None:
    with xr.open_dataset(root / "calibration" / "results" / "verification.nc") as backtest:
        table = place_year_markdown(case_scores(backtest.load()), "sd").splitlines()
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in table if "|" in line}
    heads = next(cells for cells in rows.values() if " sd " in cells)
    means = {head.strip(): cell.split()[0] for head, cell in zip(heads, rows["all"], strict=True)}
    readme = " ".join((root / "README.md").read_text(encoding="utf-8").split())
    quoted = readme.partition("CRPS of logs")[2].partition(" As of ")[0]
    told = [means[name] for name in ("sd", "drift", "sd + drift")]
    assert re.findall(r"0\.\d{3}", quoted) == told
