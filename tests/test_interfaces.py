"""What scripts and shells hold on to: JSON, extras, what an import waits for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast import Calibration, Study, cli
from beltcast.drivers.compare import compare_runs
from beltcast.errors import MissingExtra
from beltcast.extras import need
from beltcast.json_text import calibration_facts, comparison_facts, forecast_facts, json_text
from beltcast.starter import start_study

# --- JSON -------------------------------------------------------------------------------------


def said(facts: dict[str, object]) -> dict:
    """As a program reads it: JSON has no NaN, so none may be in it."""
    return json.loads(
        json_text(facts), parse_constant=lambda word: pytest.fail(f"{word} is no JSON")
    )


def test_numbers_that_are_not_finite_are_null() -> None:
    given = {"a": np.float64("nan"), "b": [np.inf, 1], "c": np.array([[1.5, -np.inf]])}
    assert said(given) == {"a": None, "b": [None, 1], "c": [[1.5, None]]}


def test_the_json_of_a_forecast_has_the_numbers_of_the_dataset(result: xr.Dataset) -> None:
    facts = said(forecast_facts(result))
    fan = result["published_quantile"].sel(scenario="brand-push", place="Yiwu")
    for quantile, name in ((0.1, "p10"), (0.5, "p50"), (0.9, "p90")):
        own = facts["scenarios"]["brand-push"]["Yiwu"][name]
        np.testing.assert_array_equal(own, fan.sel(quantile=quantile).values)
    assert facts["years"] == result["year"].values.tolist()
    assert facts["places"]["Yiwu"]["figures"] == int(result["figures"].sel(place="Yiwu"))


def test_the_json_of_a_calibration_has_every_estimate(fit: Calibration) -> None:
    facts = said(calibration_facts(fit))
    assert facts["cost"] == fit.cost
    table = fit.table()
    assert list(facts["parameters"]) == list(table.index)
    for label, row in table.iterrows():
        assert facts["parameters"][label]["median"] == row["median"]
    assert facts["examples"] == 0


def test_the_json_of_a_comparison_is_one_where_nothing_differs(result: xr.Dataset) -> None:
    facts = said(comparison_facts(compare_runs(result["output"])))
    assert set(facts["ratio"]["baseline"]["China"]["p90"]) == {1.0}
    assert facts["chance_of_loss"]["baseline"]["China"] == 0.0


def test_with_json_a_command_prints_one_object_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start_study("mine", belts=["Foshan"], template="blank")
    for command, more in (
        ("calibrate", []),
        ("forecast", ["--draws", "8"]),
        ("compare", ["--draws", "8"]),
    ):
        ended = CliRunner().invoke(cli.app, [command, "mine", "--starts", "2", "--json", *more])
        assert ended.exit_code == 0, ended.output
        facts = json.loads(ended.stdout)
        assert facts["command"] == command
        assert sorted(os.listdir(facts["folder"])), "the files are written all the same"


def test_faults_come_as_json_too(tmp_path: Path) -> None:
    start_study(tmp_path / "mine", belts=["Foshan"])
    path = tmp_path / "mine" / "parameters.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("Exit Rate", "Exit Rat"), "utf-8")
    ended = CliRunner().invoke(cli.app, ["check", str(tmp_path / "mine"), "--json"])
    assert ended.exit_code == 2
    (fault,) = json.loads(ended.stdout)["faults"]
    assert (fault["path"], "Exit Rate" in fault["sentence"]) == (path.as_posix(), True)
    assert path.read_text(encoding="utf-8").splitlines()[fault["line"] - 1] == '["Exit Rat"]'


def test_a_target_of_another_name_is_compared_as_well(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start_study("mine", belts=["Foshan"], template="blank")
    for path in Path("mine").iterdir():
        text = path.read_text(encoding="utf-8-sig")
        path.write_text(text.replace("output", "sales"), encoding="utf-8")
    ended = CliRunner().invoke(
        cli.app, ["compare", "mine", "--starts", "2", "--draws", "8", "--json"]
    )
    assert ended.exit_code == 0, ended.output


# --- extras -----------------------------------------------------------------------------------


def test_a_missing_extra_is_answered_by_the_line_that_installs_it() -> None:
    with pytest.raises(MissingExtra) as caught:
        need("no_such_module.part", "bayes", to="this sampler", otherwise="take another")
    assert str(caught.value) == (
        "this sampler needs no_such_module, which is not installed; install it with "
        "pip install 'beltcast[bayes]', or take another"
    )


def test_an_extra_that_is_there_and_does_not_load_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_a_sampler.py").write_text("import its_missing_part\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra) as caught:
        need("half_a_sampler", "bayes", to="this sampler")
    assert str(caught.value) == (
        "this sampler needs half_a_sampler, which is installed but does not load (No module named "
        "'its_missing_part'); install it anew with pip install --force-reinstall 'beltcast[bayes]'"
    )


def test_the_extra_all_holds_every_extra_of_a_user(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    (line,) = extras["all"]
    named = set(line.removeprefix("beltcast[").removesuffix("]").split(","))
    assert named == set(extras) - {"all", "docs", "test"}


# --- imports ----------------------------------------------------------------------------------

HEAVY = {"numpy", "scipy", "pandas", "xarray", "matplotlib", "pint", "pysd", "llvmlite", "SALib"}


@pytest.mark.parametrize(
    ("module", "may"),
    [("beltcast", set()), ("beltcast.errors", set()), ("beltcast.cli", set())],
)
def test_an_import_waits_for_nothing_that_it_does_not_use(module: str, may: set[str]) -> None:
    script = f"import sys, {module}; print(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert set(done.stdout.split()) <= may
