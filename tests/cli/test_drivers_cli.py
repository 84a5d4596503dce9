"""What drives the belt, from the command line to the files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast.cli import app
from beltcast.ensembles import ensemble
from beltcast.errors import InputError
from beltcast.files.shipped import shipped


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_attribute_leaves_its_dataset_pictures_and_page(one_belt: str, tmp_path: Path) -> None:
    folder = tmp_path / "drivers"
    page = run("attribute", one_belt, "--draws", "8", "--starts", "2", "--output", str(folder))
    assert "Do the drivers complement each other" in page
    found = {path.name for path in folder.iterdir()}
    assert found == {
        "attribution.nc",
        "drivers-by-year.png",
        "drivers-by-year-log.png",
        "drivers-in-2023.png",
        "summary.txt",
    }
    with xr.open_dataset(folder / "attribution.nc") as kept:
        assert kept.attrs["seed"] == "1"
        assert kept["shapley_log_quantile"].attrs["units"] == "1"
    out = run("export", str(folder / "attribution.nc"))
    assert "attribution.iamc.csv" in out


@pytest.mark.usefixtures("short_walks")
def test_a_scenario_of_ones_own_with_an_unsure_size_is_compared(
    one_belt: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[unsure]\ntitle = "Unsure"\n[unsure.constants."Threshold Final Multiplier"]\n'
        'distribution = "normal"\nmean = 2\nsd = 0.1\nbounds = [1, 3]\n',
        encoding="utf-8",
    )
    folder = tmp_path / "compared"
    common = ("--draws", "6", "--starts", "2", "--output", str(folder))
    assert "unsure" in run("compare", one_belt, "--scenarios", str(mine), *common)
    with xr.open_dataset(folder / "comparison.nc") as kept:
        assert list(kept["scenario"].values) == ["baseline", "unsure"]
        assert kept["chance_of_more"].sel(scenario="unsure", place="Foshan", year=2030) == 0.0


def test_sensitivity_screens_before_it_takes_shares(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    page = run("sensitivity", "--top", "2", "--base", "8", "--output", str(folder))
    # 8 base points of 2 parameters: 8 x (2 + 2).
    assert "sobol, 32 runs" in page
    assert (folder / "screening.nc").exists()
    assert (folder / "sensitivity.png").exists()


def test_wrong_choices_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown method of sensitivity analysis 'sobel'"):
        run("sensitivity", "--method", "sobel", "--output", str(tmp_path / "x"))
    with pytest.raises(InputError, match="give a file of results"):
        run("export", str(tmp_path / "missing.nc"))
    assert not list(tmp_path.iterdir())


def test_schemas_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    run("schemas", "--output", str(tmp_path / "schemas"))
    assert len(list((tmp_path / "schemas").iterdir())) == 2


def test_loops_leaves_its_scores_and_picture(tmp_path: Path) -> None:
    folder = tmp_path / "loops"
    page = run("loops", str(shipped("models/sir/sir.mdl")), "--year", "20", "--output", str(folder))
    assert "Infected -> recovery" in page
    names = {path.name for path in folder.iterdir()}
    assert names == {"loops.nc", "loops.png", "diagram.svg", "summary.txt"}
    with pytest.raises(InputError, match="write, for example, Belt=Foshan"):
        run("loops", "--at", "Foshan", "--output", str(folder))


def test_discover_leaves_its_box_and_trajectory(tmp_path: Path) -> None:
    folder = tmp_path / "found"
    common = ("--draws", "200", "--prior", "--output", str(folder))
    page = run("discover", "--below", "3500", "--year", "2030", *common)
    assert "(coverage)" in page
    names = {path.name for path in folder.iterdir()}
    assert names == {"discovery.nc", "peeling.png", "summary.txt"}
    with pytest.raises(InputError, match="give one limit"):
        run("discover", *common)


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("discover --below nan", "the limit is nan; expected a number"),
        ("discover --below 3000 --density 3", "the density is 3; expected a share"),
        ("discover --below 3000 --density nan", "the density is nan; expected a share"),
        ("discover --below 3000 --year 2090", "--year is 2090; the model 'belt' runs from"),
        ("attribute --year 1999", "--year is 1999; .* choose a year from 2013 to 2035"),
        ("attribute --since 1999", "--since is 1999; .* choose a year from 2013 to 2035"),
        ("attribute --since 2024 --year 2020", "--year is 2020, before --since 2024"),
        ("sensitivity --year 1999", "--year is 1999; .* choose a year from 2013 to 2035"),
        ("price --first 1999", "--first is 1999; .* choose a year from 2013 to 2035"),
        ("policy --first 2030 --last 2027", "--last is 2027, before --first 2030"),
        ("freeze --year 2036", "--year is 2036; .* choose a year from 2013 to 2035"),
        ("report --year 1999", "--year is 1999; .* choose a year from 2013 to 2035"),
        ("identify --posterior absent.nc", "there are no chains in 'absent.nc'"),
        ("identify --year 2090", "--year is 2090; the model 'belt' runs from"),
        ("loops --year nan", "--year is nan; the model 'belt' runs from"),
        ("loops --year 2090", "--year is 2090; the model 'belt' runs from"),
    ],
)
def test_a_question_that_has_no_answer_is_refused_before_any_work(
    question: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beltcast.workflows.draws.calibrate", None)  # a fit would be another error
    monkeypatch.setattr("beltcast.drivers.loops.loop_scores.loops", None)
    with pytest.raises(InputError, match=sentence):
        run(*question.split(), "--output", str(tmp_path / "x"))
    assert not list(tmp_path.iterdir())


def test_policy_leaves_its_table(tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    common = ("--prior", "--draws", "8", "--policies", "2", "--output", str(folder))
    page = run("policy", "--lever", "Belt Deepening Multiplier=1:2", "--goal", "500", *common)
    assert "undominated" in page
    found = {path.name for path in folder.iterdir()}
    assert found == {"policies.nc", "policies.png", "summary.txt"}
    with pytest.raises(InputError, match="is not Constant=low:high"):
        run("policy", "--lever", "Belt Deepening Multiplier", *common)
    with pytest.raises(
        InputError, match="'Belt Deepning Multiplier' is not a variable of belt; did you mean"
    ):
        run("policy", "--lever", "Belt Deepning Multiplier=1:2", *common)
    with pytest.raises(InputError, match="unknown criterion 'best'; expected one of 'mean', 'perc"):
        run("policy", "--search", "best", *common)


def test_a_search_adds_the_best_that_the_budget_allows(tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    options = ("--search", "mean", "--pareto", "mean", "--pareto", "mean_cost", "--budget", "40")
    common = ("--prior", "--draws", "4", "--policies", "2", "--output", str(folder))
    cost = ("--cost", "public spending", "--lever", "Belt Deepening Multiplier=1:2")
    run("policy", *options, *cost, *common)
    with xr.open_dataset(folder / "policies.nc") as kept:
        # Deepening gains and costs the more the more of it: all of the budget is spent.
        last = kept.isel(policy=-1)
        assert float(last["mean_cost"]) == pytest.approx(40.0, rel=1e-4)
        assert int(last["affordable"]) == int(last["pareto"]) == 1
        assert float(last["mean"]) == float(kept["mean"].where(kept["affordable"] == 1).max())


def test_price_names_judgement_and_leaves_its_picture(tmp_path: Path) -> None:
    folder = tmp_path / "price"
    common = ("--prior", "--draws", "8", "--scenario", "brand-push", "--output", str(folder))
    assert "rest on judgement, not on data" in run("price", *common)
    assert {path.name for path in folder.iterdir()} == {"price.nc", "price.png", "summary.txt"}
    facts = json.loads(run("price", *common, "--cost", "seller spending", "--json"))
    assert list(facts["price"]) == ["seller spending"]
    assert facts["attributes"]["first_year"] == 2026


@pytest.mark.long
def test_a_killed_sobol_study_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensemble, "BLOCK", 16)
    asked = ("sensitivity", "--top", "2", "--base", "16", "--output")
    run(*asked, str(tmp_path / "whole"))
    killed = str(tmp_path / "killed")
    code = (
        "import beltcast.ensembles.ensemble as e, beltcast.model.model as m, os, sys\n"
        "from beltcast.cli import main\n"
        "e.BLOCK, batch, calls = 16, m.Model.batch, []\n"
        "def dying(self, *a, **k):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 55: os._exit(9)\n"
        "    return batch(self, *a, **k)\n"
        "m.Model.batch = dying\n"
        f"sys.argv = ['beltcast', *{asked!r}, {killed!r}]\n"
        "main()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert not Path(killed).exists()
    # 16 trajectories over 51 constants are 52 blocks of screening; two of four blocks of Sobol'.
    assert len(list((tmp_path / "killed.unfinished").glob("*.npz"))) == 54
    with pytest.raises(InputError, match="seed was 1 and is 2"):
        run(*asked, killed, "--resume", "--seed", "2")
    run(*asked, killed, "--resume")
    for name in ("screening.nc", "sensitivity.nc"):
        with (
            xr.open_dataset(tmp_path / "whole" / name) as one,
            xr.open_dataset(tmp_path / "killed" / name) as two,
        ):
            xr.testing.assert_identical(one, two)
    assert not (tmp_path / "killed.unfinished").exists()


def test_loops_runs_without_a_loop_that_is_named_by_its_variables(tmp_path: Path) -> None:
    sir, out = str(shipped("models/sir/sir.mdl")), tmp_path / "out"
    said = run("loops", sir, "--without", "Infected, recovery", "--output", str(out))
    assert "recovery reads Infected as it is from the start" in said
    with xr.open_dataset(out / "without.nc") as runs:
        assert runs["run"].values.tolist() == ["whole", "without"]
        held = runs["recovery"].sel(run="without")
        assert float(held.max()) == float(held.min()) == float(held[0])
