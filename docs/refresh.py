"""Renew what documents and calibration/results take from commands.

Run it on a quiet machine after a change of the model, the observations or the engine::

    python docs/refresh.py
    python docs/refresh.py forecast   # without the table of speed, which needs a quiet machine
    python docs/refresh.py verify     # the backtest, ten minutes or more
    python docs/refresh.py skill      # the tables from the backtest that is kept
    python docs/refresh.py drivers    # the attribution and its tests, ten minutes or more
    python docs/refresh.py outputs    # what the commands of tutorials and guides print
    python docs/refresh.py tables     # what the scripts beside this one measure, five minutes
    python docs/refresh.py pictures   # the page, prices and ranks; needs chromium and playwright
"""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "runs" / "belt"
KEPT = ("calibration.csv", "draws.nc", "fit.csv", "summary.txt")
VERIFICATION = ROOT / "calibration" / "results" / "verification.nc"
ATTRIBUTION = ROOT / "calibration" / "results" / "attribution.txt"
SKILL = "skill: python docs/refresh.py skill"
ORIGINS = "origins: python docs/refresh.py skill"
LATEST = "2025: python docs/refresh.py skill"
GOALS = "goals: python docs/refresh.py skill"


def main() -> None:
    """Do what is requested, the main job by default."""
    jobs = {
        "": main_job,
        "forecast": forecast,
        "verify": verify,
        "skill": skill,
        "drivers": drivers,
        "outputs": outputs,
        "tables": tables,
        "pictures": pictures,
    }
    jobs["".join(sys.argv[1:])]()


def verify() -> None:
    """Run the backtest, keep it and renew its tables; fewer draws keep the file small."""
    command = [sys.executable, "-m", "beltcast", "backtest", "--draws", "300"]
    subprocess.run(command, cwd=ROOT, check=True)
    shutil.copy(ROOT / "runs" / "belt-backtest" / VERIFICATION.name, VERIFICATION)
    skill()


def skill() -> None:
    """Put the tables of the kept backtest into docs/verification.md."""
    # Here and not above: the other jobs need no package in this process.
    import xarray as xr

    from beltcast.verification.skill import case_scores

    with xr.open_dataset(VERIFICATION) as backtest:
        scores = case_scores(backtest.load())
    for marker, content in skill_blocks(scores).items():
        write(marker, content, "docs/verification.md")


def skill_blocks(scores: xr.Dataset) -> dict[str, str]:
    """Make the tables of docs/verification.md from the scores of a backtest, by marker."""
    from beltcast.verification.skill import error_table
    from beltcast.verification.skill_text import place_year_markdown, skill_markdown

    tables = place_year_markdown(scores, "sd") + "\n" + skill_markdown(scores, "sd")
    known = scores.isel(case=scores["first"].values == 0)
    nation = known.isel(case=known["scope"].values == "whole")
    lines = ["| origin | cases | mean log error | in 80 % |", "|---|---:|---:|---:|"]
    lines += [
        f"| {row.origin:g} | {row.cases} | {row.bias:+.2f} | {100 * row.covered_80:.0f} % |"
        for row in error_table(nation, "sd", by="origin").itertuples()
    ]
    return {
        SKILL: tables.strip(),
        ORIGINS: "\n".join(lines),
        LATEST: latest_table(nation.isel(case=nation["origin"].values == 2025.0)),
        GOALS: goals_table(known),
    }


def latest_table(cases: xr.Dataset) -> str:
    """Make the table of what was forecast as of 2025.0 and published later."""
    with (ROOT / "calibration/data/observations.csv").open(encoding="utf-8", newline="") as file:
        rows = dict(enumerate(csv.DictReader(file), start=2))  # by line
    quantities = {"national trade": "trade", "output": "exports"}
    periods = {0.25: "first quarter of", 0.5: "half-year", 0.75: "three quarters", 1.0: "year"}
    lines = [
        "| | published | sd, median (80 %) | drift | CRPS of logs: sd | drift | sd + drift |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for _, case in cases.groupby("line"):
        one = case.squeeze("case")
        row = rows[int(one["line"])]
        period = periods[float(row["end"]) - float(row["start"])]
        year = f" {row['start'][:4]}" if period.endswith("of") else ""
        sd, drift = (one.sel(forecaster=name) for name in ("sd", "drift"))
        band = f"{sd['median'].item():,.0f} ({sd['p10'].item():,.0f} to {sd['p90'].item():,.0f})"
        crps = one["log_crps"].sel(forecaster=["sd", "drift", "sd + drift"]).values
        lines.append(
            f"| {quantities[row['quantity']]}, {period}{year} | {one['observed'].item():,.0f} | "
            f"{band} | {drift['median'].item():,.0f} | {' | '.join(f'{x:.3f}' for x in crps)} |"
        )
    return "\n".join(lines)


def goals_table(known: xr.Dataset) -> str:
    """Make the table of goals, from the cases of series that were known at their origin."""
    from beltcast.verification.skill import common_cases, error_table, place_years, skill_table

    def verdict(met: bool) -> str:
        return "met" if met else "**missed**"

    events = place_years(common_cases(known, ["sd", "drift", "sd + drift"]))
    size = events.sizes["case"]
    found = {
        name: skill_table(events, name, against=["drift"]).loc[0, ["skill", "low", "high"]]
        for name in ("sd", "sd + drift")
    }
    gains = {
        name: "{:.0f} % ({:.0f} to {:.0f})".format(*(100 * row)) for name, row in found.items()
    }
    better = verdict(found["sd"]["skill"] >= 0.15 and found["sd"]["low"] > 0 and size >= 15)
    inside = events["covered"].sel(level=0.8, forecaster="sd").groupby("scope").mean("case")
    held = {scope: round(100 * inside.sel(scope=scope).item()) for scope in ("whole", "parts")}
    met = {scope: verdict(72 <= share <= 88) for scope, share in held.items()}
    ahead = known.isel(case=((known["scope"] == "whole") & (known["lead"] == 1)).values)
    years = error_table(ahead, "sd", by="year")
    every = error_table(ahead, "sd").iloc[0]
    single = ", ".join(f"{row.year} {row.bias:+.2f}" for row in years.itertuples())
    bias = years["bias"]
    close = verdict(abs(bias.mean()) < 0.04 and bias.min() < 0 < bias.max())
    rows = [
        (
            "CRPS 15 % below the best single baseline, interval above 0, at least 15 place-years",
            f"{better}: `sd` is {gains['sd']} against drift over {size} place-years; the pool "
            f"`sd + drift` gains {gains['sd + drift']}",
        ),
        (
            "80 % bands that contain 72 to 88 % in both groups",
            f"nation {held['whole']} %, {met['whole']}; belts {held['parts']} %, {met['parts']}; "
            "over place-years",
        ),
        (
            "nation, a year ahead: error within 4 %, not all of one sign",
            f"{close}: `sd` {bias.mean():+.3f} on the mean of {len(years)} years, mean absolute "
            f"error {every['error']:.3f} over {every['cases']:.0f} cases; by year {single}",
        ),
    ]
    return "\n".join(["| goal | result |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])


def drivers() -> None:
    """Run `beltcast attribute` with its tests (ten minutes), keep its summary and show it."""
    command = ["attribute", "--tests", "--placebo", "Zone Year=Support Gain"]
    subprocess.run([sys.executable, "-m", "beltcast", *command], cwd=ROOT, check=True)
    summary = (ROOT / "runs/belt-drivers/summary.txt").read_text(encoding="utf-8")
    ATTRIBUTION.write_text(summary, encoding="utf-8")
    for marker, content in driver_blocks().items():
        write(marker, content, "docs/drivers.md")


def driver_blocks() -> dict[str, str]:
    """Make the blocks of docs/drivers.md from the summary that is kept, by marker."""
    text = ATTRIBUTION.read_text(encoding="utf-8")
    parts = ["\n".join(map(str.rstrip, part.splitlines())) for part in text.strip().split("\n\n")]
    first = {
        "shares": "China in 2024, in logs of output",
        "evidence": "China in 2024: Shapley values in logs",
        "synergy": "Do the drivers complement",
        "held out": "Held out",
        "placebo": "Placebo",
    }
    return {
        f"{name}: python docs/refresh.py drivers": "```text\n"
        + next(part for part in parts if part.startswith(start))
        + "\n```"
        for name, start in first.items()
    }


def pictures() -> None:
    """Take the pictures of docs/images anew that `forecast` does not draw."""
    import xarray as xr
    from playwright.sync_api import sync_playwright

    from beltcast.display.lines import save_chart
    from beltcast.pictures.plots_ranks import rank_chart

    images = ROOT / "docs" / "images"
    with tempfile.TemporaryDirectory() as scratch:
        for words in (["price", "--output", "price"], ["page", "--output", "page.html"]):
            subprocess.run([sys.executable, "-m", "beltcast", *words], cwd=scratch, check=True)
        shutil.copy(Path(scratch) / "price" / "price.png", images)
        with sync_playwright() as tools:
            browser = tools.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1200, "height": 760})
            page.goto((Path(scratch) / "page.html").as_uri())
            page.wait_for_timeout(3000)  # until the model runs
            page.screenshot(path=images / "page.png")
            browser.close()
    with xr.open_dataset(ROOT / "calibration" / "results" / "sbc.nc") as kept:
        save_chart(rank_chart(kept.load()), images / "sbc-ranks.png")


TABLES = {
    "error_rates": "docs/how-sure.md",
    "prim_problems": "docs/how-sure.md",
    "harness_check": "docs/verification.md",
    "damping": "docs/evidence-drivers.md",
}
"""Scripts of this folder that print tables, and the page of each."""


def tables() -> None:
    """Run the scripts that print tables, and put the tables into their pages."""
    for script, page in TABLES.items():
        path = f"docs/{script}.py"
        done = subprocess.run(
            [sys.executable, path], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for number, table in enumerate(done.stdout.strip().split("\n\n"), start=1):
            write(f"table {number}: python {path}", table, page)


OUTPUT = re.compile(r"<!-- output (\S+): (beltcast .*?) -->\n(.*?)<!-- end -->", re.DOTALL)
"""A command whose output stands in a page, and the lines of it that are shown."""

FILES = re.compile(r"<!-- files: (\S+) -->")
"""A folder whose files the commands of a page find where they run."""


def outputs() -> None:
    """Run the commands that pages show the output of, page by page in one empty folder each."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if OUTPUT.search(text):
            with tempfile.TemporaryDirectory() as folder:
                page.write_text(with_outputs(text, Path(folder)), encoding="utf-8")


def with_outputs(text: str, folder: Path) -> str:
    """Run the commands of a page and put their output into it."""
    for given in ["docs/howto", *FILES.findall(text)]:
        for path in (ROOT / given).iterdir():
            if path.suffix != ".md":
                shutil.copy(path, folder)
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "112"}

    def shown(found: re.Match[str]) -> str:
        lines, command, _ = found.groups()
        words = [sys.executable, "-m", *shlex.split(command)]
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        content = chosen_lines(done.stdout.replace(f"{ROOT}{os.sep}", ""), lines)
        return f"<!-- output {lines}: {command} -->\n```text\n{content}\n```\n<!-- end -->"

    return OUTPUT.sub(shown, text)


def chosen_lines(text: str, chosen: str) -> str:
    r"""Return the lines of a text that are named, with dots where others are left out.

    >>> chosen_lines("a\nb\nc\nd", "1-2,-1")
    'a\nb\n...\nd'
    """
    lines = [line.rstrip() for line in text.rstrip("\n").split("\n")]
    if chosen == "all":
        return "\n".join(lines)
    kept: list[int] = []
    for part in chosen.split(","):
        first, last = re.fullmatch(r"(-?\d+)(?:-(\d+))?", part).groups()  # type: ignore[union-attr]  # the pages' own markers match
        start = int(first) - 1 if int(first) > 0 else len(lines) + int(first)
        kept += range(start, int(last) if last else start + 1)
    shown: list[str] = []
    for at, line in enumerate(kept):
        if at and kept[at - 1] + 1 != line:
            shown.append("...")
        shown.append(lines[line])
    return "\n".join(shown)


def keep_forecast() -> None:
    """Keep the forecast without its members: page, report and export read their numbers there."""
    import xarray as xr

    from beltcast.forecasting.forecast_file import FORECAST_FILE, without_members

    with xr.open_dataset(RESULTS / FORECAST_FILE) as opened:
        kept = without_members(opened.load())
    packed = {
        name: {"zlib": True, "complevel": 9} for name, v in kept.items() if v.dtype.kind == "f"
    }
    kept.to_netcdf(ROOT / "calibration" / "results" / FORECAST_FILE, encoding=packed)


def main_job() -> None:
    """Run the main job, then measure speed."""
    forecast()
    speed()


def forecast() -> None:
    """Run `beltcast forecast`, keep its results and put its summary into README.md."""
    subprocess.run([sys.executable, "-m", "beltcast", "forecast"], cwd=ROOT, check=True)
    shutil.copy(RESULTS / "fan-china.png", ROOT / "docs" / "images" / "fan-china.png")
    for name in KEPT:
        shutil.copy(RESULTS / name, ROOT / "calibration" / "results" / name)
    keep_forecast()
    summary = (RESULTS / "summary.txt").read_text(encoding="utf-8")
    shown = summary.split("\nParameters that all places share")[0]  # the first tables are enough
    trimmed = "\n".join(line.rstrip() for line in shown.strip().splitlines())
    write("summary: beltcast forecast", f"```\n{trimmed}\n```", "README.md")


def speed() -> None:
    """Put the table of speed into docs/conformance.md."""
    command = "python tests/benchmarks/speed.py"
    measured = subprocess.run(
        [sys.executable, command.split()[1]], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    shown = f"Measured by `{command}`:\n\n{measured.strip()}"
    write(f"speed: {command}", shown, "docs/conformance.md")


def write(marker: str, content: str, page: str) -> None:
    """Put content into a page, between a marker and the next end."""
    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    path.write_text(between(text, marker, content), encoding="utf-8")


def between(text: str, marker: str, content: str) -> str:
    """Replace what stands between a marker and the next end."""
    pattern = re.compile(rf"(<!-- {re.escape(marker)} -->\n).*?(<!-- end -->)", re.DOTALL)
    found = pattern.search(text)
    if found is None:
        raise SystemExit(f"the page has no marker '{marker}'")
    return text[: found.end(1)] + content + "\n" + text[found.start(2) :]


if __name__ == "__main__":
    main()
