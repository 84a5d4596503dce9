"""A second forecast of an unchanged study takes the fit and the draws of the first."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast import cli

from ..second_study import write_fish

QUICK = ("--draws", "160", "--starts", "2", "--output", "out")


def forecast(study: Path, *more: str) -> str:
    ended = CliRunner().invoke(cli.app, ["forecast", str(study), *QUICK, *more])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended.output


def test_nothing_is_drawn_twice_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = write_fish(tmp_path / "mine")
    page = forecast(study)
    # Numbers of walkers rest on fewer draws than there are, and the page says on how many.
    assert "effective draws" in page
    assert "drawn.npz" in os.listdir("out")
    with xr.open_dataset("out/forecast.nc") as opened:
        first = opened.load()
    assert 0 < first.attrs["effective_draws"] <= 160

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("drawn again")

    with monkeypatch.context() as without:
        without.setattr("beltcast.workflows.forecast.fit_study", refuse)
        without.setattr("beltcast.workflows.forecast.approximate_posterior", refuse)
        assert forecast(study) == page
    with xr.open_dataset("out/forecast.nc") as opened:
        xr.testing.assert_identical(first, opened.load())

    # Another seed is another forecast.
    forecast(study, "--seed", "2")
    with xr.open_dataset("out/forecast.nc") as opened:
        assert not np.array_equal(opened["output"].values, first["output"].values)
