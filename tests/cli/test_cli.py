"""The command line, from the outside: files, exit codes, and one line for a fault."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import beltcast
from beltcast import Streams, as_known, calibrate, cli, forecast, read_study
from beltcast.errors import CalibrationError, SimulationError
from beltcast.inference.saved import save_calibration
from beltcast.study.starter import init

COMMANDS = ("init", "forecast", "calibrate", "run", "check")


@dataclass
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run the command line in an empty folder."""
    (tmp_path / "here").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(os, "_exit", sys.exit)  # an interruption ends the process, not these tests

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["beltcast", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


def here() -> list[str]:
    return sorted(os.listdir())


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "beltcast", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"beltcast {beltcast.__version__}")


def test_version(run) -> None:
    ended = run("--version")
    assert (ended.code, ended.out.strip()) == (0, f"beltcast {beltcast.__version__}")


def test_help_lists_the_commands(run) -> None:
    ended = run("--help")
    assert ended.code == 0
    for command in COMMANDS:
        assert command in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example(run, command: str) -> None:
    ended = run(command, "--help")
    assert ended.code == 0
    assert (
        f"beltcast {command}"
        in ended.out.partition("Options")[0]
        .replace("\n", " ")
        .partition("Usage")[2]
        .partition("]")[2]
    )


def test_forecast_leaves_a_complete_folder_and_a_summary(run, one_belt: str) -> None:
    few = ("--draws", "20", "--starts", "2", "--seed", "3", "--scenario", "brand-push")
    ended = run("forecast", one_belt, *few, "--output", "out")
    assert ended.code == 0, ended.err
    assert here() == ["out"]
    files = set(os.listdir("out"))
    assert {"forecast.nc", "calibration.csv", "fit.csv", "summary.txt"} <= files
    with xr.open_dataset("out/forecast.nc") as result:
        assert result["scenario"].values.tolist() == ["baseline", "brand-push"]
        assert result.sizes["member"] == 20
        assert result.attrs["seed"] == "3"
        # A fan chart for each belt.
        charts = [name for name in files if name.endswith(".png")]
        assert len(charts) >= result.sizes["place"]
    assert "Foshan" in ended.out
    assert Path("out/summary.txt").read_text(encoding="utf-8").strip() in ended.out
    # Piped, it says nothing about progress.
    assert ended.err == ""


def test_calibrate_writes_every_estimate_beside_its_prior(run, one_belt: str) -> None:
    ended = run("calibrate", one_belt, "--starts", "4", "--output", "out")
    assert ended.code == 0, ended.err
    written = {"calibration.csv", "calibration.json", "fit.csv", "history.csv", "optima.csv"}
    whole = {*written, "columns.csv", "estimates.csv", "fit.png", "summary.txt"}
    assert set(os.listdir("out")) == whole
    head = Path("out/calibration.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "prior_median" in head
    assert "sd_ratio" in head
    assert "starts were refined and ended in" in ended.out


def test_a_forecast_begins_with_a_saved_calibration_unless_it_is_stale(run, one_belt: str) -> None:
    study = read_study(one_belt)
    fit = calibrate(study, rng=np.random.default_rng(1), starts=2, refine=1)
    for name, hashes in (("good", study.hashes), ("stale", dict(study.hashes, priors="0"))):
        Path(name).mkdir()
        save_calibration(fit, name, hashes)
    call = ("forecast", one_belt, "--draws", "4", "--scenario", "brand-push", "--calibration")
    ended = run(*call, "stale")
    assert ended.code == 2
    renew = f"renew it with 'beltcast calibrate {one_belt} --output stale'"
    assert f"a change of: priors; {renew}" in one_line(ended)
    ended = run(*call, "good", "--output", "out")
    assert ended.code == 0, ended.err
    saved = Path("out/calibration.json").read_text(encoding="utf-8")
    assert saved == Path("good/calibration.json").read_text(encoding="utf-8")


def test_run_writes_the_variables_asked_for(run) -> None:
    ended = run(
        "run", "--scenario", "brand-push", "--variable", "national output", "--output", "one.nc"
    )
    assert ended.code == 0, ended.err
    assert here() == ["one.nc"]
    with xr.open_dataset("one.nc") as written:
        assert {*written.data_vars} == {"national output", "status"}
        assert written["scenario"].values.tolist() == ["brand-push"]


def test_run_takes_any_model(run, root: Path) -> None:
    ended = run("run", str(root / "models" / "decay" / "decay.mdl"))
    assert ended.code == 0, ended.err
    with xr.open_dataset("run.nc") as written:
        assert "Stock" in written


def test_the_ending_of_the_output_decides_its_format(run, root: Path) -> None:
    decay = str(root / "models" / "decay" / "decay.mdl")
    assert run("run", decay, "--output", "a.nc").code == 0
    assert run("run", decay, "--output", "a.csv").code == 0
    table = pd.read_csv("a.csv", converters={"Stock": float, "time": float})
    with xr.open_dataset("a.nc") as written:
        assert table["Stock"].tolist() == written["Stock"].values.ravel().tolist()
        assert table["time"].tolist() == written["time"].values.tolist()
    assert set(table["scenario"]) == {"default"}
    assert run("run", decay, "--output", "a.xlsx").code == 0
    # A workbook keeps 16 digits.
    sheet = pd.read_excel("a.xlsx", engine="openpyxl")
    pd.testing.assert_frame_equal(sheet, table, rtol=1e-15, check_dtype=False)
    ended = run("run", decay, "--output", "a.xls")
    assert (ended.code, here()) == (2, ["a.csv", "a.nc", "a.xlsx"])
    assert "the ending of 'a.xls' names no format" in ended.err


def test_trace_prints_both_trees(run, root: Path) -> None:
    ended = run("trace", str(root / "models" / "decay" / "decay.mdl"), "outflow", "--depth", "1")
    assert ended.code == 0, ended.err
    assert "├── + Stock [thing] (stock)" in ended.out
    assert "└── − Lifetime [Year] (constant)" in ended.out
    assert "Uses:" in ended.out


def test_check_passes_the_shipped_study(run) -> None:
    ended = run("check", "--draws", "20")
    assert ended.code == 0, ended.err
    assert "no certain fault" in ended.out
    assert here() == []


def test_check_finds_a_unit_that_does_not_fit_and_ends_with_1(run, root: Path) -> None:
    text = (root / "models" / "decay" / "decay.mdl").read_text(encoding="utf-8")
    wrong = text.replace("\t~\tthing/Year\n", "\t~\tthing\n", 1)
    assert wrong != text
    Path("wrong.mdl").write_text(wrong, encoding="utf-8")
    ended = run("check", "wrong.mdl")
    assert ended.code == 1
    assert "wrong.mdl:" in ended.out
    assert "No fault found" not in ended.out


# --- faults -----------------------------------------------------------------------------------


def one_line(ended: Ended) -> str:
    """The only line on standard error; no traceback, no box."""
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended.err
    return lines[0]


def test_a_wrong_study_ends_in_one_line_with_file_and_line(run, root: Path) -> None:
    for folder in ("models/belt", "calibration"):
        shutil.copytree(root / folder, Path(folder))
    study = Path("calibration/belt.toml")
    text = study.read_text(encoding="utf-8")
    line = next(i for i, row in enumerate(text.splitlines(), 1) if row.startswith("priors ="))
    study.write_text(text.replace("parameters.toml", "parameter.toml"), encoding="utf-8")
    before = here()
    for command in ("forecast", "calibrate", "check"):
        ended = run(command, str(study))
        assert ended.code == 2
        assert one_line(ended).startswith(f"beltcast: {study}:{line}: ")
        assert ended.out == ""
    assert here() == before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("forecast --scenario brand-pusch", 2, "did you mean 'brand-push'?"),
        ("run --scenario nothing", 2, "there is no scenario 'nothing'"),
        ("run --variable nonsense", 2, "'nonsense' is not a variable of belt"),
        ("run none.mdl", 2, "none.mdl"),
        ("check none.toml", 2, "none.toml"),
        ("run --scenario baseline --output /dev/null/run.nc", 2, "cannot be written"),
    ],
)
def test_a_wrong_argument_ends_in_one_line_and_leaves_nothing(
    run, arguments: str, code: int, says: str
) -> None:
    ended = run(*arguments.split())
    assert ended.code == code
    assert says in one_line(ended)
    assert here() == []


def test_a_number_below_its_least_is_refused(run) -> None:
    assert run("forecast", "--draws", "1").code == 2
    assert run("calibrate", "--starts", "0").code == 2
    assert here() == []


def test_a_fault_in_the_middle_of_the_work_leaves_nothing_half_written(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fault, code in (
        (SimulationError("the run left the numbers"), 1),
        (CalibrationError("no fit"), 1),
        (KeyboardInterrupt(), 130),
    ):

        def fail(*_: object, fault: BaseException = fault, **__: object) -> None:
            raise fault

        monkeypatch.setattr("beltcast.workflows.forecast.fit_study", fail)
        ended = run("forecast", "--output", "out")
        assert ended.code == code
        assert here() == []
        if code == 1:
            assert one_line(ended) == f"beltcast: {fault}"


def test_a_folder_of_somebody_s_work_is_not_overwritten(run) -> None:
    Path("out").mkdir()
    Path("out/thesis.txt").write_text("years of work", encoding="utf-8")
    ended = run("forecast", "--output", "out")
    assert ended.code == 2
    assert "is not a folder of results" in one_line(ended)
    assert os.listdir("out") == ["thesis.txt"]


# --- page and report ---------------------------------------------------------------------------


def refused(ended: Ended, *words: str) -> None:
    """One sentence with these words in their order, and nothing left behind."""
    assert (ended.code, ended.out) == (2, ""), ended
    sentence = one_line(ended)
    assert re.search(".*".join(map(re.escape, words)), sentence), sentence
    assert not here()


@pytest.mark.parametrize("command", ["app", "page", "report"])
def test_what_holds_no_results_is_refused_by_name(run, tmp_path: Path, command: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(run(command, str(empty)), "draws.nc", "beltcast forecast")
    nothing = str(tmp_path / "nothing")
    refused(run(command, nothing), nothing, "neither a folder of results nor a study")
    (empty / "draws.nc").write_bytes(b"no NetCDF")
    refused(run(command, str(empty)), "draws.nc", "beltcast forecast")


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_a_report_of_a_place_or_in_a_language_that_there_is_not(run) -> None:
    refused(run("report", "--place", "Fosham"), "'Fosham'", "did you mean 'Foshan'")
    refused(run("report", "--language", "cn"), "'cn'", "'en', 'zh'")


def test_a_pdf_without_a_browser_is_refused_before_the_work(run, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(run("report", "--pdf"), "chromium", "apt-get install chromium")


def test_a_forecast_as_of_a_date_is_that_of_the_study_as_known_then(run) -> None:
    init("mine", belts=["Foshan"], template="blank")
    few = ("--starts", "2", "--draws", "8", "--seed", "3")
    ended = run("forecast", "mine", "--as-of", "2023.5", *few, "--output", "then")
    assert ended.code == 0, ended.err
    # Three of five rows were published by mid-2023.
    assert "As known on 2023.5: 3 observations published by then." in ended.out
    assert "draws.nc" not in os.listdir("then")
    known, streams = as_known(read_study("mine"), 2023.5), Streams(3)
    fit = calibrate(known, rng=streams.fit, starts=2)
    again = forecast(known, fit, rng=streams, draws=8)
    with xr.open_dataset("then/forecast.nc", engine="netcdf4") as written:
        assert written.attrs["as_of"] == "2023.5"
        np.testing.assert_array_equal(written["output"].values, again["output"].values)


def test_a_date_and_a_saved_calibration_are_refused_together(run) -> None:
    ended = run("forecast", "--as-of", "2023", "--calibration", "runs/belt-fit")
    refused(ended, "--as-of is 2023", "leave it out")
