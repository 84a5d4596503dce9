"""A stranger's table: what it may look like, what is assumed, and a fit from it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from beltcast import Model, calibrate, load_model, make_likelihood, read_series, read_voc
from beltcast.cli import main
from beltcast.errors import TableError
from beltcast.files.shipped import shipped
from beltcast.study.series import Payoff


@pytest.fixture(scope="module")
def sir() -> Model:
    return load_model(shipped("models/sir/sir.mdl"))


def table(path: Path, text: str) -> Path:
    file = path / "flu.csv"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "text", ["time,Infected\n1,3\n2,8\n", "day,count\n1,3\n2,8\n", "1,3\n2,8\n", "\n1 , 3\n\n2,8"]
)
def test_two_columns_are_enough(tmp_path: Path, sir: Model, text: str) -> None:
    series = read_series(table(tmp_path, text), sir, "infected")
    rows = series.observations.rows
    assert [(row.start, row.end, row.value) for row in rows] == [(1.0, 1.0, 3.0), (2.0, 2.0, 8.0)]
    assert [row.quantity for row in rows] == ["Infected"] * 2
    assert any("10%" in sentence for sentence in series.assumed)


def test_the_header_names_variables_and_empty_cells_are_no_observations(
    tmp_path: Path, small: Model
) -> None:
    text = "time,output[West],firms[East]\n2014,21,\n2015,,90\n"
    rows = read_series(table(tmp_path, text), small).observations.rows
    assert [(row.place, row.quantity, row.line) for row in rows] == [
        ("West", "output", 2),
        ("East", "firms", 3),
    ]


def test_a_flow_is_compared_at_its_time(
    tmp_path: Path, small: Model, make: SimpleNamespace
) -> None:
    # The model says 20 bnCNY/Year in the West at any time.
    series = read_series(table(tmp_path, "time,output[West]\n2014.25,21\n"), small)
    one = make_likelihood(small, make.priors("Factor", mu=0, sigma=1), *_pair(series))
    theta = np.zeros((1, one.size))
    assert (one.published - one.expected(theta)[0])[0] == pytest.approx(np.log(21 / 20))


def _pair(series):
    return series.observations, series.noise


@pytest.mark.parametrize(
    ("text", "variable", "line", "says"),
    [
        ("time,Infcted\n1,3\n", None, 1, "did you mean 'Infected'"),
        ("time,Duration\n1,3\n", None, 1, "kind 'constant'"),
        ("1,3\n", None, 1, "no header"),
        ("time,Infected\n1,3\n2\n", None, 3, "1 fields, expected 2"),
        ("time,Infected\n1,three\n", None, 2, "'three'"),
        ("time,Infected\nsoon,3\n", None, 2, "'soon'"),
        ("time,Infected\n1,nan\n", None, None, "no values"),
        ("time,Infected\n1,inf\n", None, 2, "'inf'"),
        ("Infected\n1\n", None, 1, "one column"),
        ("time,Infected\n1,\n", None, None, "no values"),
        (",,\n,,\n", None, None, "no values"),
        ("time,Infected,Infected\n1,3,3\n", None, 1, "count twice"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(
    tmp_path: Path, sir: Model, text: str, variable: str | None, line: int | None, says: str
) -> None:
    with pytest.raises(TableError) as caught:
        read_series(table(tmp_path, text), sir, variable)
    assert says in caught.value.sentence
    assert caught.value.line == line


def test_a_payoff_says_what_is_compared_and_how_sure_it_is(tmp_path: Path, sir: Model) -> None:
    file = table(tmp_path, "time,cases,gone\n1,4,1\n2,8,2\n")
    payoff = [Payoff("Infected", "cases", 2.0, False), Payoff("Recovered", "gone", 0.3, True)]
    series = read_series(file, sir, payoff=payoff)
    sds = [series.noise.row_sd(row) for row in series.observations]
    assert sds == [2.0, 2.0, 0.3, 0.3]
    families = [series.noise.errors_of(row).family for row in series.observations]
    assert families == ["normal", "normal", "lognormal", "lognormal"]
    with pytest.raises(TableError, match="is not a column; did you mean 'cases'"):
        read_series(file, sir, payoff=[Payoff("Infected", "case", 2.0, False)])


def epidemic(sir: Model, rng: np.random.Generator) -> str:
    run = sir.simulate({"Contact Rate": 2.6, "Duration": 0.9}, save_at=np.arange(1.0, 9.0))
    noisy = run["Infected"].values * np.exp(0.05 * rng.standard_normal(8))
    return "time,Infected\n" + "".join(
        f"{t},{v:.6g}\n" for t, v in zip(range(1, 9), noisy, strict=True)
    )


def test_a_stranger_s_epidemic_gives_back_its_rates(tmp_path: Path, sir: Model) -> None:
    voc = tmp_path / "sir.voc"
    voc.write_text("0.5 <= Contact Rate = 1 <= 10\n0.1 <= Duration <= 5\n", encoding="utf-8")
    file = table(tmp_path, epidemic(sir, np.random.default_rng(1)))
    series, priors = read_series(file, sir), read_voc(voc, sir)
    one = make_likelihood(sir, priors, *_pair(series))
    fit = calibrate(one, rng=np.random.default_rng(0), starts=32, refine=3)
    estimate = fit.table()
    for label, truth in (("Contact Rate", 2.6), ("Duration", 0.9)):
        row = estimate.loc[label]
        sd = (row["p90"] - row["p10"]) / 2.56
        assert abs(row["median"] - truth) < 4 * sd
        assert sd < 0.2 * truth
    # The standard deviation was estimated: e^eta of the assumed 0.1, and 0.05 is what was made.
    sd = 0.1 * np.exp(fit.theta[one.labels.index("sd of Infected")])
    assert 0.02 < sd < 0.12


def test_the_command_needs_no_study(
    tmp_path: Path, sir: Model, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path, epidemic(sir, np.random.default_rng(1)))
    Path("sir.voc").write_text("0.5 <= Contact Rate <= 10\n", encoding="utf-8")
    Path("sir.cin").write_text("Duration = 0.9\n", encoding="utf-8")
    Path("sir.vpd").write_text("*CGL\nInfected|Infected/0.05\n", encoding="utf-8")
    model = str(shipped("models/sir/sir.mdl"))
    call = ["beltcast", "calibrate", "--model", model, "--data", "flu.csv", "--priors", "sir.voc"]
    call += ["--changes", "sir.cin", "--payoff", "sir.vpd", "--starts", "8"]
    monkeypatch.setattr("sys.argv", call)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert "their standard deviation is given, 0.05" in printed
    assert "Contact Rate" in Path("runs/sir-fit/summary.txt").read_text(encoding="utf-8")
    assert Path("runs/sir-fit/history.csv").exists()
    monkeypatch.setattr("sys.argv", call[:4])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "add --data and --priors" in capsys.readouterr().err
