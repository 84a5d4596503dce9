"""kill -9 at random moments of a fit and of a backtest, resumed until they are done (`--kills`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast.files.shipped import shipped

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def killed_until_done(
    arguments: Sequence[str], pieces: Path, kills: int, rng: np.random.Generator, longest: float
) -> int:
    """Run a command, kill it after a piece and a random moment more, go on; return the kills.

    A piece that a killed process had finished is there afterwards, byte for byte.  0 where the
    command was done before it could be killed at work.
    """
    command = [sys.executable, "-m", "beltcast", *arguments]
    for kill in range(kills):
        before = {path: path.read_bytes() for path in pieces.glob("[!.]*.npz")}
        process = subprocess.Popen(
            [*command, *(["--resume"] if before else [])],
            env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(pieces.glob("[!.]*.npz"))) > len(before):
                time.sleep(rng.uniform(0, longest))
                break
            time.sleep(0.01)
        process.kill()
        words = process.communicate()[1]
        if process.returncode != -9:
            assert process.returncode == 0, words
            return kill
        if Path(arguments[-1]).exists():  # killed while it cleared up after the work
            return 0
        assert all(path.read_bytes() == content for path, content in before.items())
    resume = ["--resume"] if list(pieces.glob("[!.]*.npz")) else []
    subprocess.run([*command, *resume], env=ENVIRONMENT, check=True, capture_output=True)
    return kills


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled once, not by every process: the time is wanted for killing."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setitem(ENVIRONMENT, "BELTCAST_CACHE", str(tmp_path / "cache"))


@pytest.mark.long
def test_a_killed_fit_ends_with_the_bits_of_an_undisturbed_one(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cases = (3, 10, 30, 60, 80, 60, 35, 20)
    (tmp_path / "flu.csv").write_text(
        "time,Infected\n" + "".join(f"{t},{n}\n" for t, n in enumerate(cases, start=1))
    )
    (tmp_path / "sir.voc").write_text("0.5 <= Contact Rate <= 10\n0.1 <= Duration <= 5\n")
    files = {
        "--model": shipped("models/sir/sir.mdl"),
        "--data": tmp_path / "flu.csv",
        "--priors": tmp_path / "sir.voc",
    }
    given = [str(word) for option in files.items() for word in option]
    options = ["calibrate", *given, "--starts", "8", "--output"]
    folder, kills = tmp_path / "killed", request.config.getoption("--kills")
    rng = np.random.default_rng(5)
    pieces = tmp_path / "killed.unfinished"
    # The six refinements may take less than a tenth of a second.
    for _ in range(20):
        for left in (folder, pieces):
            shutil.rmtree(left, ignore_errors=True)
        done = killed_until_done([*options, str(folder)], pieces, kills, rng, 0.03)
        if done:
            break
    assert done > 0
    command = [sys.executable, "-m", "beltcast", *options, str(tmp_path / "whole")]
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    found, whole = (
        json.loads((tmp_path / name / "calibration.json").read_text())
        for name in ("killed", "whole")
    )
    assert found == whole  # JSON keeps every bit of a number
    assert not (tmp_path / "killed.unfinished").exists()


@pytest.mark.long
def test_a_killed_backtest_ends_with_the_bits_of_an_undisturbed_one(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    options = ["backtest", "--origins", "2023.5", "--draws", "20", "--moves", "2", "--starts", "2"]
    kills = request.config.getoption("--kills")
    done = killed_until_done(
        [*options, "--output", str(tmp_path / "killed")],
        tmp_path / "killed-origins" / "2023.5.unfinished", kills, np.random.default_rng(6), 0.5,
    )  # fmt: skip
    assert done > 0
    command = [sys.executable, "-m", "beltcast", *options, "--output", str(tmp_path / "whole")]
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    found, whole = (
        xr.load_dataset(tmp_path / name / "verification.nc", engine="netcdf4")
        for name in ("killed", "whole")
    )
    xr.testing.assert_identical(found, whole)
