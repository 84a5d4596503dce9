"""`beltcast sample` and `beltcast sbc`, from the command line to the files."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast.cli import app
from beltcast.errors import InputError
from beltcast.inference.sampling import chain_files
from beltcast.study.starter import init

QUICK = ("--chains", "2", "--draws", "80", "--every", "2", "--burn-in", "40", "--starts", "2")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_stopped_sample_is_resumed_and_says_whether_it_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A study of one belt: the shipped one fits a surrogate for half a minute, each time.
    mine, folder = tmp_path / "mine", tmp_path / "posterior"
    init(mine, belts=["Foshan"])
    keep, blocks = chain_files.save_unfinished, 0

    def keep_and_stop(state: object, path: Path) -> None:
        nonlocal blocks
        keep(state, path)  # type: ignore[arg-type]
        blocks += 1
        if blocks == 22:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chain_files, "save_unfinished", keep_and_stop)
        # Click turns the interruption into exit code 130.
        stopped = CliRunner().invoke(app, ["sample", str(mine), *QUICK, "--output", str(folder)])
        assert stopped.exit_code in (1, 130)
    # What was done is there, and no half result.
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "posterior.unfinished.npz"}
    page = run("sample", str(mine), *QUICK, "--resume", "--output", str(folder))
    assert "2 chains of 80 draws, each 8 independent walkers" in page
    assert "are above 1.01" in page  # forty moves are too few, and it says so
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "posterior"}
    found = {path.name for path in folder.iterdir()}
    assert found == {"posterior.nc", "diagnostics.csv", "summary.txt"}
    with xr.open_dataset(folder / "posterior.nc", group="posterior", engine="netcdf4") as kept:
        assert kept.attrs["seed"] == "1"
        assert kept["Initial Sellers[Foshan]"].attrs["units"] == "firm"
        assert len(kept.attrs["observations_sha256"]) == 64


def test_nothing_to_resume_and_unknown_methods_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no unfinished run"):
        run("sample", "--resume", "--output", str(tmp_path / "x"))
    with pytest.raises(InputError, match="unknown method of sampling 'gibbs'"):
        run("sample", "--method", "gibbs", "--output", str(tmp_path / "x"))
    with pytest.raises(InputError, match="no finished sets"):
        run("sbc", "--resume", "--output", str(tmp_path / "x.nc"))
    assert not list(tmp_path.iterdir())


def test_sbc_writes_its_sets_with_their_hashes(tmp_path: Path) -> None:
    path = tmp_path / "sbc.nc"
    init(tmp_path / "mine", belts=["Foshan"])
    few = ("--sets", "10", "--burn-in", "20", "--parameter", "Initial Sellers[Foshan]")
    page = run("sbc", str(tmp_path / "mine"), *few, "--output", str(path))
    assert "10 synthetic data sets" in page
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    with xr.open_dataset(path, engine="netcdf4") as kept:
        assert kept.sizes["set"] == 10
        assert len(kept.attrs["model_sha256"]) == 64


def test_few_draws_are_said_to_be_too_few_to_leave_rows_out(tmp_path: Path) -> None:
    run("init", str(tmp_path / "mine"))
    few = ("--chains", "2", "--draws", "4", "--every", "2", "--burn-in", "4", "--starts", "1")
    folder = str(tmp_path / "out")
    said = run("sample", str(tmp_path / "mine"), "--method", "walkers", *few, "--output", folder)
    assert "8 draws are too few to leave rows out; take 25 or more" in " ".join(said.split())
