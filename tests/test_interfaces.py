"""What scripts and shells hold on to: JSON, extras, what an import waits for."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast import Calibration, Study, cli
from beltcast.drivers.compare import compare_runs
from beltcast.errors import MissingExtra
from beltcast.files import extras
from beltcast.files.extras import install_line, need
from beltcast.files.shipped import shipped
from beltcast.reports.json_output import (
    calibration_facts,
    comparison_facts,
    dataset_facts,
    forecast_facts,
    json_text,
    table_facts,
)
from beltcast.study.starter import init

# --- JSON -------------------------------------------------------------------------------------


def strict(text: str) -> dict:
    """As a program reads it: JSON has no NaN, so none may be in it."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def said(facts: Mapping[str, object]) -> dict:
    return strict(json_text(facts))


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
    assert facts["places"]["Yiwu"]["observations"] == int(
        result["observation_count"].sel(place="Yiwu")
    )


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


def test_the_json_of_a_dataset_has_every_number_under_its_labels() -> None:
    rng = np.random.default_rng(1)
    table = xr.Dataset(
        {
            # Labels first and quantiles last, whatever the order of the dimensions.
            "fan": (("year", "quantile", "place"), rng.random((2, 3, 2))),
            "one": ("place", [1, 2]),
            "draws": (("member", "place"), rng.random((5, 2))),
            "rows": ("row", ["a", "b", "c"]),
        },
        {"place": ["Yiwu", "佛山"], "year": [2024, 2025], "quantile": [0.05, 0.5, 0.9]},
        {"title": "T"},
    )
    facts = said(dataset_facts(table))
    assert set(facts) == {"attributes", "fan", "one", "rows", "place", "year"}
    assert facts["attributes"] == {"title": "T"}
    assert facts["one"] == {"Yiwu": 1, "佛山": 2}
    assert facts["rows"] == ["a", "b", "c"]
    assert set(facts["fan"]["佛山"]) == {"p50", "p90"}
    own = table["fan"].sel(place="佛山", quantile=0.9)
    assert facts["fan"]["佛山"]["p90"] == own.values.tolist()


def test_the_json_of_a_table_loses_no_row() -> None:
    twice = pd.DataFrame({"k": [1.0, np.nan]}, index=["same", "same"])
    assert said({"t": table_facts(twice)}) == {"t": [{"k": 1.0}, {"k": None}]}
    index = pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")], names=["answer", "part"])
    found = said({"t": table_facts(pd.DataFrame({"k": [1, 2]}, index=index))})["t"]
    assert found == [{"answer": "a", "part": "b", "k": 1}, {"answer": "a", "part": "c", "k": 2}]


@pytest.mark.usefixtures("short_walks")
def test_with_json_a_command_prints_one_object_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    init("mine", belts=["Foshan"], template="blank")
    few = ["--starts", "2"]
    for command, more in (
        ("calibrate", few),
        ("forecast", [*few, "--draws", "8"]),
        ("compare", [*few, "--draws", "8"]),
        ("identify", [*few, "--draws", "20", "--profiles", "1", "--sources", "1"]),
        ("sample", [*few, "--draws", "8", "--chains", "2", "--every", "1", "--burn-in", "1"]),
        ("sensitivity", ["--method", "tornado"]),
        ("discover", ["--above", "14", "--prior", "--draws", "40"]),
    ):
        ended = CliRunner().invoke(cli.app, [command, "mine", "--json", *more])
        assert ended.exit_code == 0, ended.output
        facts = strict(ended.stdout)
        assert facts["command"] == command
        assert sorted(os.listdir(facts["folder"])), "the files are written all the same"


def test_every_command_that_answers_has_json() -> None:
    answers = [c for panel in ("Forecast", "Fit", "Analyse") for c in cli._PANELS[panel]]
    assert len(answers) >= 13
    for command in answers:
        assert "as_json" in inspect.signature(cli.one_by_one(command)).parameters, command.__name__


def test_what_is_assumed_of_a_table_does_not_stand_before_its_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(shipped("models/decay/decay.mdl"), "decay.mdl")
    Path("seen.csv").write_text("time,Stock\n1,80\n2,70\n3,60\n", encoding="utf-8")
    Path("search.voc").write_text("1<=Lifetime<=20\n", encoding="utf-8")
    ended = CliRunner().invoke(
        cli.app,
        [
            "calibrate",
            "--model",
            "decay.mdl",
            "--data",
            "seen.csv",
            "--priors",
            "search.voc",
            "--starts",
            "2",
            "--json",
        ],
    )
    assert ended.exit_code == 0, ended.output
    assert "assumed: " in ended.stderr
    assert list(strict(ended.stdout)["parameters"]) == ["Lifetime"]


def test_faults_come_as_json_too(tmp_path: Path) -> None:
    init(tmp_path / "mine", belts=["Foshan"])
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
    init("mine", belts=["Foshan"], template="blank")
    for path in Path("mine").iterdir():
        text = path.read_text(encoding="utf-8-sig")
        path.write_text(text.replace("output", "sales"), encoding="utf-8")
    ended = CliRunner().invoke(
        cli.app, ["compare", "mine", "--starts", "2", "--draws", "8", "--json"]
    )
    assert ended.exit_code == 0, ended.output


# --- the shell ---------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, which is not installed")
def test_bash_completes_commands_and_their_options() -> None:
    """As `beltcast --install-completion` sets it up: what the script it sources does."""
    asked = """
    source <(_BELTCAST_COMPLETE=source_bash beltcast)
    complete -p beltcast
    COMP_WORDS=(beltcast ide) COMP_CWORD=1; _beltcast_completion beltcast; echo "${COMPREPLY[*]}"
    COMP_WORDS=(beltcast page --ou) COMP_CWORD=2; _beltcast_completion beltcast
    echo "${COMPREPLY[*]}"
    """
    scripts = sysconfig.get_path("scripts")
    env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", asked], env=env, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "complete -o default -F _beltcast_completion beltcast",
        "identify",
        "--output",
    ]


# --- extras -----------------------------------------------------------------------------------


def test_a_missing_extra_is_answered_by_the_line_that_installs_it() -> None:
    with pytest.raises(MissingExtra) as caught:
        need("no_such_module.part", "bayes", to="this sampler", otherwise="take another")
    assert str(caught.value) == (
        "this sampler needs no_such_module, which is not installed; install it with "
        f"{install_line('bayes')}, or take another"
    )


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ({"url": "file:///a/mine", "dir_info": {"editable": True}}, "-e '{checkout}[bayes]'"),
        ({"url": "file:///a%20b/mine", "dir_info": {}}, "'/a b/mine[bayes]'"),
        (
            {"url": "file:///a/beltcast-1-py3-none-any.whl", "archive_info": {}},
            "'beltcast[bayes] @ file:///a/beltcast-1-py3-none-any.whl'",
        ),
        (None, "'beltcast[bayes]'"),
    ],
)
def test_the_install_line_names_what_this_copy_was_installed_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, record: dict | None, line: str
) -> None:
    """The record is that of PEP 610, which pip writes for all but installs from an index."""

    class Installed:
        def read_text(self, name: str) -> str | None:
            return json.dumps(record) if record and name == "direct_url.json" else None

    monkeypatch.setattr(extras, "distribution", lambda name: Installed())
    checkout = Path(extras.__file__).parents[3]
    if "checkout" not in line:  # as in site-packages, where no project file stands above
        (tmp_path / "a" / "b").mkdir(parents=True)
        monkeypatch.setattr(extras, "__file__", str(tmp_path / "a" / "b" / "c" / "extras.py"))
    assert install_line("bayes") == "pip install " + line.format(checkout=checkout)


def test_an_extra_that_is_there_and_does_not_load_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_a_sampler.py").write_text("import its_missing_part\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra) as caught:
        need("half_a_sampler", "bayes", to="this sampler")
    assert str(caught.value) == (
        "this sampler needs half_a_sampler, which is installed but does not load (No module named "
        f"'its_missing_part'); reinstall it with {install_line('bayes', '--force-reinstall ')}"
    )


def test_the_extra_all_holds_every_extra_of_a_user(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = project["optional-dependencies"]
    (line,) = groups["all"]
    named = set(line.removeprefix("beltcast[").removesuffix("]").split(","))
    assert named == set(groups) - {"all", "docs", "test"}


# --- imports ----------------------------------------------------------------------------------

SLOW = {"scipy.stats", "matplotlib", "pysd", "SALib"}
HEAVY = SLOW | {"numpy", "scipy", "pandas", "xarray", "pint", "llvmlite"}


@pytest.mark.parametrize(
    ("module", "may"),
    [
        ("beltcast", set()),
        ("beltcast.errors", set()),
        ("beltcast.cli", set()),
    ],
)
def test_an_import_waits_for_nothing_that_it_does_not_use(module: str, may: set[str]) -> None:
    script = f"import sys, {module}; print(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert set(done.stdout.split()) <= may
