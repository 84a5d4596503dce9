"""The whole way of a model, a table and priors that are no study, from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast.cli import app
from beltcast.errors import InputError

MODEL = """{UTF-8}
k = 0.3 ~ 1/Day ~ |
S = INTEG(-k*S, 100) ~ mg ~ |
INITIAL TIME = 0 ~ Day ~ |
FINAL TIME = 8 ~ Day ~ |
TIME STEP = 0.125 ~ Day ~ |
SAVEPER = 1 ~ Day ~ |
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(1)
    times = np.arange(1, 7)
    values = 100 * np.exp(-0.5 * times) * np.exp(0.05 * rng.standard_normal(6))
    (folder / "model.mdl").write_text(MODEL)
    pd.DataFrame({"Day": times, "S": values}).to_csv(folder / "data.csv", index=False)
    (folder / "priors.toml").write_text(
        '["k"]\ndistribution = "lognormal"\nmedian = 0.3\nlog_sd = 1.0\n'
    )
    (folder / "short.mdl").write_text(MODEL.replace("FINAL TIME = 8", "FINAL TIME = 6"))
    return [
        *("--model", str(folder / "model.mdl"), "--data", str(folder / "data.csv")),
        *("--priors", str(folder / "priors.toml")),
    ]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_sample_leaves_chains_a_picture_and_leave_one_out(files: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "posterior"
    quick = ("--method", "walkers", "--chains", "2", "--draws", "200", "--starts", "4")
    page = run("sample", *files, *quick, "--output", str(folder))
    names = {path.name for path in folder.iterdir()}
    assert names == {"posterior.nc", "diagnostics.csv", "summary.txt", "fit.png"}
    with xr.open_dataset(folder / "posterior.nc", group="posterior", engine="netcdf4") as kept:
        k = kept["k"].values
        assert abs(k.mean() - 0.5) < 4 * 0.05 / np.sqrt((np.arange(1, 7) ** 2).sum())
        assert len(kept.attrs["data 1_sha256"]) == 64
    # Six relative errors of about 5 % of values whose logs sum to 27.6 - 10.5: the density of the
    # numbers themselves, not of their logs (which would be positive).
    found = float(page.split("log predictive density ")[1].split(" ")[0])
    assert -13 < found < -3
    assert "natural logs, of the numbers as published" in page


def test_identify_watches_the_last_value_of_each_column(files: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "identified"
    quick = ("--draws", "60", "--profiles", "1", "--starts", "4")
    page = run("identify", *files, *quick, "--output", str(folder))
    assert "S at 6" in page
    table = pd.read_csv(folder / "contraction.csv", index_col=0)
    assert table.loc["S at 6", "contraction"] > 0.9


def test_forecast_goes_on_with_the_columns_until_final_time(
    files: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "forecast"
    run(
        "forecast",
        *files,
        "--integration",
        "adaptive",
        "--rtol",
        "1e-5",
        "--draws",
        "64",
        "--starts",
        "4",
        "--output",
        str(folder),
    )
    table = pd.read_csv(folder / "forecast.csv")
    assert table["time"].tolist() == [7.0, 8.0]
    assert (folder / "forecast.png").stat().st_size > 0
    # Between the last value and its exact continuation, with 5 % errors estimated from six rows.
    np.testing.assert_allclose(table["model_median"], 100 * np.exp(-0.5 * table["time"]), rtol=0.1)
    assert (table["low_95"] < table["low_80"]).all()
    with pytest.raises(InputError, match="--rtol and --atol need --integration"):
        run("forecast", *files, "--rtol", "1e-5")
    with pytest.raises(InputError, match="--as-of need a study"):
        run("forecast", *files, "--as-of", "5")


def test_sbc_ranks_the_unknowns_of_such_a_model(files: list[str], tmp_path: Path) -> None:
    path = tmp_path / "sbc.nc"
    run("sbc", *files, "--sets", "10", "--burn-in", "40", "--output", str(path))
    with xr.open_dataset(path, engine="netcdf4") as kept:
        assert kept.sizes["set"] == 10


def test_a_model_that_ends_with_the_data_is_told_what_to_do(
    files: list[str], tmp_path: Path
) -> None:
    short = [name.replace("model.mdl", "short.mdl") for name in files]
    with pytest.raises(InputError, match="set a later FINAL TIME in the model file"):
        run("forecast", *short, "--output", str(tmp_path / "x"))
