"""A study written from a model, a table and priors fits as they do, and goes the whole way."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast import cli, load_model, make_likelihood, read_series, read_study, read_voc
from beltcast.engine.run.plan import Stepping
from beltcast.errors import InputError
from beltcast.files.shipped import shipped
from beltcast.study.columns import Column
from beltcast.study.error_models import ErrorModel
from beltcast.study.faults import study_faults
from beltcast.study.series import Payoff
from beltcast.study.series_study import write_study

VOC = "1 <= Contact Rate = 2 <= 3\n0.8 <= Duration = 1 <= 1.5\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An epidemic with errors of 5%, and what may be varied."""
    folder = tmp_path_factory.mktemp("sir")
    model = shipped("models/sir/sir.mdl")
    path = load_model(model).simulate({"Contact Rate": 2.2}, outputs=["Infected", "infection"])
    noise = np.exp(0.05 * np.random.default_rng(1).standard_normal(12))
    rows = [f"{t},{path['Infected'].values[t] * noise[t]:.6g}" for t in range(1, 12)]
    (folder / "flu.csv").write_text("time,Infected\n" + "\n".join(rows) + "\n", encoding="utf-8")
    flows = [f"{t},{float(path['infection'].values[t] * noise[t]):.6g}" for t in range(1, 12)]
    (folder / "flow.csv").write_text("time,infection\n" + "\n".join(flows) + "\n", "utf-8")
    (folder / "sir.voc").write_text(VOC, encoding="utf-8")
    return {"model": model, "data": folder / "flu.csv", "priors": folder / "sir.voc"}


@pytest.mark.parametrize("table", ["flu.csv", "flow.csv"])
def test_the_study_has_the_likelihood_of_its_parts(
    files: dict[str, Path], tmp_path: Path, table: str
) -> None:
    data = files["data"].with_name(table)
    write_study(tmp_path / "flu", **{**files, "data": data})
    assert study_faults(tmp_path / "flu") == ()
    study = read_study(tmp_path / "flu")
    model = load_model(files["model"])
    series = read_series(data, model)
    parts = make_likelihood(
        model, read_voc(files["priors"], model), series.observations, series.noise
    )
    whole = make_likelihood(study.model, study.priors, study.observations, study.noise)
    assert whole.labels == parts.labels
    theta = np.random.default_rng(2).standard_normal((5, whole.size)) * 0.2
    np.testing.assert_allclose(whole.expected(theta), parts.expected(theta), rtol=1e-12)
    np.testing.assert_allclose(whole.published, parts.published, rtol=1e-12)
    np.testing.assert_allclose(whole.sds, parts.sds, rtol=1e-9)


def test_the_target_is_the_observed_flow_or_a_flow_of_the_observed_stock(
    files: dict[str, Path], tmp_path: Path
) -> None:
    assumed = write_study(tmp_path / "stock", **files)
    assert read_study(tmp_path / "stock").target == "infection"
    assert any("the target is infection" in sentence for sentence in assumed)
    flow = files["data"].with_name("flow.csv")
    write_study(tmp_path / "flow", **{**files, "data": flow}, target="recovery")
    assert read_study(tmp_path / "flow").target == "recovery"
    with pytest.raises(InputError, match="did you mean 'infection'"):
        write_study(tmp_path / "other", **files, target="infections")
    with pytest.raises(InputError, match="must be a flow"):
        write_study(tmp_path / "other", **files, target="Infected")
    assert not (tmp_path / "other").exists()


def test_a_model_whose_rates_have_no_names_is_told_what_to_do(tmp_path: Path) -> None:
    # The rates of hare and lynx stand within the equations of the stocks.
    gallery = Path(__file__).resolve().parents[2] / "docs" / "gallery" / "hare-lynx"
    with pytest.raises(InputError, match=r"no flow to forecast; give a rate .* --model"):
        write_study(
            tmp_path / "study",
            model=gallery / "model.mdl",
            data=gallery / "data.csv",
            priors=gallery / "priors.toml",
        )


def test_a_payoff_gives_the_study_its_noise(files: dict[str, Path], tmp_path: Path) -> None:
    payoff = (Payoff("Infected", "Infected", 0.07, True),)
    write_study(tmp_path / "flu", **files, payoff=payoff)
    study = read_study(tmp_path / "flu")
    errors = study.noise.definitions["series-1"].errors
    assert errors is not None
    assert (errors.family, errors.scale, errors.scale_log_sd) == ("lognormal", 0.07, 0.0)


def test_a_study_of_one_place_goes_the_whole_way(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        ended = CliRunner().invoke(cli.app, list(arguments))
        assert ended.exit_code == 0, (arguments, ended.output, ended.exception)
        return ended.output

    options = [f"--{name}={path}" for name, path in files.items()]
    assert "assumed: the target is infection" in run("study", "flu", *options)
    assert "no certain fault" in run("check", "flu")
    fit = run("calibrate", "flu", "--starts", "4")
    # The same optimum as without a study.
    direct = run("calibrate", *options, "--starts", "4", "--output", "direct")
    assert [line for line in fit.splitlines() if line.startswith("cost")] == [
        line for line in direct.splitlines() if line.startswith("cost")
    ]
    walk = ("--method", "walkers", "--every", "1", "--burn-in", "10")
    run("sample", "flu", *walk, "--chains", "2", "--draws", "10")
    run("identify", "flu", "--draws", "20", "--starts", "4")
    page = run("forecast", "flu", "--draws", "20", "--starts", "4")
    assert "total" in page
    assert "relative to the first scenario" not in page  # there is one
    run("sensitivity", "flu", "--method", "tornado", "--levels")
    run("report", "runs/flu")
    with xr.open_dataset("runs/flu/forecast.nc") as result:
        assert result["place"].values.tolist() == ["total"]
        assert result["scenario"].values.tolist() == ["baseline"]
        assert result.attrs["target"] == "infection"
    assert "Infected" in (tmp_path / "runs/report/total.html").read_text(encoding="utf-8")


def test_a_study_that_names_nothing_has_its_total_and_its_scenario_in_chinese(
    tmp_path: Path,
) -> None:
    (tmp_path / "flu.csv").write_text("time,infection\n1,7\n2,20\n3,60\n", encoding="utf-8")
    (tmp_path / "sir.voc").write_text("1 <= Contact Rate = 2 <= 3\n", encoding="utf-8")
    write_study(
        tmp_path / "flu",
        model=shipped("models/sir/sir.mdl"),
        data=tmp_path / "flu.csv",
        priors=tmp_path / "sir.voc",
    )
    study = read_study(tmp_path / "flu")
    whole = study.whole(study.target)
    assert (whole, study.title_of(whole, "zh")) == ("total", "合计")
    assert study.labels()["baseline"].text("zh") == "基准情景"


def test_readings_rounding_bounds_and_errors_survive_the_study(
    files: dict[str, Path], tmp_path: Path
) -> None:
    """Every field of an observation and of its errors that the table states or assumes."""
    data = tmp_path / "d.csv"
    data.write_text(
        "time,infection,Recovered,Infected\n1,0.123456789012,2,3\n3.5,<7,6,4\n4,3,>8,NA\n",
        encoding="utf-8",
    )
    columns = (
        Column("infection", reading="total", period=0.75, rounded=0.05),
        Column("Recovered", errors=ErrorModel("student", 1 / 3, 0.6, 4.0), reading="increase"),
        Column("Infected", errors=ErrorModel("normal", 0.5, scale_by="Duration", scale_power=-1.0)),
    )
    write_study(
        tmp_path / "flu", model=files["model"], data=data, priors=files["priors"], columns=columns
    )
    study = read_study(tmp_path / "flu")
    series = read_series(data, load_model(files["model"]), columns=columns)
    titles = {name: one.title for name, one in study.noise.definitions.items()}
    assert len(study.observations) == len(series.observations) == 8
    for found, row in zip(study.observations, series.observations, strict=True):
        assert titles[found.definition] == row.definition
        for name in ("place", "elements", "quantity", "kind", "start", "end", "reading"):
            assert getattr(found, name) == getattr(row, name), name
        for name in ("vintage", "grade", "published"):
            assert getattr(found, name) == getattr(row, name), name
        assert found.value == pytest.approx(row.value, rel=1e-14)
        expected = row.within if row.within is None else pytest.approx(row.within, rel=1e-9)
        assert found.within == expected
        assert found.note == f"line {row.line}"
        own, given = study.noise.errors_of(found), series.noise.errors_of(row)
        assert own is not None
        assert given is not None
        assert own.scale == pytest.approx(given.scale, rel=1e-14)
        assert dataclasses.replace(own, scale=None) == dataclasses.replace(given, scale=None)
    assert {row.start for row in study.observations if row.quantity == "infection"} == {
        *(0.25, 2.75, 3.25)
    }


def test_a_study_keeps_the_method_and_its_tolerance(files: dict[str, Path], tmp_path: Path) -> None:
    for name, way in (("stiff", Stepping("stiff", 1e-5, 1e-9)), ("adaptive", Stepping("adaptive"))):
        write_study(tmp_path / name, **files, integration=way)
        source = read_study(tmp_path / name).model.source
        assert (source.method, source.tolerance) == (way.method, (way.rtol, way.atol))


def test_the_flow_of_an_observed_stock_lies_over_the_same_places(
    tmp_path: Path, make: SimpleNamespace
) -> None:
    """In the unit of the stock per year; a total over places comes first in the file."""
    model = tmp_path / "m.mdl"
    flows = (
        "all new = SUM(new[Place!]) ~ firm/Year ~ |\nnew[Place] = 0*firms[Place] ~ firm/Year ~ |\n"
    )
    model.write_text(make.model.replace("Factor = 1", flows + "Factor = 1"), encoding="utf-8")
    (tmp_path / "d.csv").write_text("time,firms[East]\n2014,90\n2015,95\n", encoding="utf-8")
    (tmp_path / "p.voc").write_text("0.5 <= Factor <= 2\n", encoding="utf-8")
    write_study(tmp_path / "s", model=model, data=tmp_path / "d.csv", priors=tmp_path / "p.voc")
    assert read_study(tmp_path / "s").target == "new"
