"""A stranger's table: what it may look like, what is assumed, and a fit from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from beltcast import Model, calibrate, load_model, make_likelihood, read_series, read_voc
from beltcast.cli import main
from beltcast.errors import TableError
from beltcast.files.shipped import shipped
from beltcast.study.columns import Column
from beltcast.study.error_models import ErrorModel
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


READ = """{UTF-8}
Stock = INTEG(0, 5) ~ mg ~ |
Rate = 2 + 0*Stock ~ person/Day ~ |
Sd = 3 ~ Dmnl ~ |
INITIAL TIME = 2 ~ Day ~ |
FINAL TIME = 20 ~ Day ~ |
TIME STEP = 0.5 ~ Day ~ |
SAVEPER = 1 ~ Day ~ |
"""


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("reading") / "reading.mdl"
    path.write_text(READ, encoding="utf-8")
    return load_model(path)


@pytest.mark.parametrize(
    ("times", "period", "starts"),
    [
        # Since the row before; the first row as the second, but not before the run.
        ([6.0, 7.5, 12.0], None, [4.5, 6.0, 7.5]),
        ([3.0, 7.0, 12.0], None, [2.0, 3.0, 7.0]),
        # Replicates begin together, in whatever order they stand.
        ([12.0, 7.5, 12.0, 6.0], None, [7.5, 6.0, 7.5, 4.5]),
        # With one time there is no row before: since the start of the run.
        ([9.0], None, [2.0]),
        ([9.0, 9.0], None, [2.0, 2.0]),
        ([3.0, 7.0], 1.5, [2.0, 5.5]),
    ],
)
@pytest.mark.parametrize("kind", ["total", "increase"])
def test_a_period_begins_where_the_row_before_ends(
    tmp_path: Path,
    reading: Model,
    kind: Any,
    times: list[float],
    period: float,
    starts: list[float],
) -> None:
    file = table(tmp_path, "Day,Rate\n" + "".join(f"{t},4\n" for t in times))
    series = read_series(file, reading, columns=[Column("Rate", reading=kind, period=period)])
    rows = series.observations.rows
    assert [(row.start, row.end) for row in rows] == list(zip(starts, times, strict=True))
    assert {row.reading for row in rows} == {kind}


PREFIXES = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "c": 1e-2, "": 1.0, "k": 1e3, "M": 1e6}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_of_units_are_powers_of_ten(tmp_path: Path, reading: Model, prefix: str) -> None:
    """The model counts persons a day and milligrams: 7 kg are 7e6 mg."""
    text = f"Day,Rate ({prefix}person/Day),Stock ({prefix}g)\n3,7,7\n"
    rows = read_series(table(tmp_path, text), reading).observations.rows
    factor = PREFIXES[prefix]
    assert [row.value for row in rows] == pytest.approx([7.0 * factor, 7e3 * factor], rel=1e-14)


@pytest.mark.parametrize(
    ("values", "family", "scale"),
    [
        ([3.0, 8.0], "lognormal", 0.1),
        ([0.0, 8.0], "normal", 0.4),  # a tenth of the standard deviation, 4
        ([-3.0, -3.0], "normal", 0.3),  # a tenth of their size where they do not vary
        ([0.0, 0.0], "normal", 0.1),
    ],
)
def test_errors_that_a_table_does_not_state_are_a_tenth_of_its_values(
    tmp_path: Path, reading: Model, values: list[float], family: str, scale: float
) -> None:
    """The log of an estimated scale has the prior sd 2; a scale that is given has none."""
    file = table(tmp_path, "Day,Stock\n" + "".join(f"3,{v}\n" for v in values))
    series = read_series(file, reading)
    errors = series.noise.definitions["Stock"].errors
    assert errors is not None
    assert (errors.family, errors.scale_log_sd, errors.name) == (family, 2.0, "Stock")
    assert errors.scale == pytest.approx(scale)
    given = read_series(file, reading, sd=0.25) if family == "lognormal" else None
    if given is not None:
        assert given.noise.definitions["Stock"].errors == ErrorModel(
            "lognormal", 0.25, name="Stock"
        )


@pytest.mark.parametrize(
    ("errors", "scale", "log_sd"),
    [
        (ErrorModel("negative_binomial"), 0.1, 2.0),
        (ErrorModel("negative_binomial", scale_log_sd=0.7), 0.1, 0.7),
        (ErrorModel("student", df=4.0), 0.5, 2.0),  # a tenth of the standard deviation of 1 and 11
        (ErrorModel("log_student", df=4.0), 0.1, 2.0),
        (ErrorModel("normal", 0.3), 0.3, 0.0),
        (ErrorModel("normal", 0.3, 0.6), 0.3, 0.6),
        (ErrorModel("poisson"), None, 0.0),
        (ErrorModel("binomial", trials=11.0), None, 0.0),  # 11 of 11
    ],
)
def test_a_stated_family_keeps_what_it_states(
    tmp_path: Path, reading: Model, errors: ErrorModel, scale: float | None, log_sd: float
) -> None:
    file = table(tmp_path, "Day,Stock\n3,1\n4,11\n")
    series = read_series(file, reading, columns=[Column("Stock", errors=errors)])
    found = series.noise.definitions["Stock"].errors
    assert found == dataclasses.replace(errors, scale=scale, scale_log_sd=log_sd, name="Stock")


def test_columns_whose_errors_have_one_name_start_at_one_scale(
    tmp_path: Path, reading: Model
) -> None:
    """The first column's: a tenth of the standard deviation of 1 and 11 is 0.5."""
    shared = ErrorModel("normal", name="both")
    columns = [Column("Stock", errors=shared), Column("Rate", errors=shared)]
    file = table(tmp_path, "Day,Stock,Rate\n3,1,100\n4,11,400\n")
    definitions = read_series(file, reading, columns=columns).noise.definitions
    assert {name: one.errors.scale for name, one in definitions.items()} == {  # type: ignore[union-attr]
        "Stock": 0.5,
        "Rate": 0.5,
    }


@pytest.mark.parametrize(
    ("cell", "errors", "says"),
    [
        ("0", ErrorModel("lognormal", 0.1), "relative errors need values above 0"),
        ("-1", ErrorModel("poisson"), "0 or more"),
        ("1.5", ErrorModel("negative_binomial", 0.1), "whole numbers"),
        ("<3", ErrorModel("poisson"), "a count cannot be a bound"),
        ("12", ErrorModel("binomial", trials=11.0), "a count out of 11 cannot be more"),
    ],
)
def test_a_value_that_its_errors_exclude_is_refused_with_its_line(
    tmp_path: Path, reading: Model, cell: str, errors: ErrorModel, says: str
) -> None:
    file = table(tmp_path, f"Day,Stock\n3,1\n4,{cell}\n")
    with pytest.raises(TableError) as caught:
        read_series(file, reading, columns=[Column("Stock", errors=errors)])
    assert says in caught.value.sentence
    assert caught.value.line == 3


def test_bounds_and_rounded_values_of_a_column_become_rows(tmp_path: Path, reading: Model) -> None:
    """Multiples of 4: 8 is any number from 6 to 10.  A bound is a bound, rounded or not."""
    file = table(tmp_path, "Day,Stock\n3,8\n4,<12\n5,>2\n")
    rows = read_series(file, reading, columns=[Column("Stock", rounded=4.0)]).observations.rows
    assert [(row.kind, row.value, row.within) for row in rows] == [
        ("level", 8.0, (6.0, 10.0)),
        ("upper", 12.0, None),
        ("lower", 2.0, None),
    ]
    exact = read_series(file, reading).observations.rows
    assert [row.within for row in exact] == [None] * 3


@pytest.mark.parametrize(("policy", "kind"), [("P", "total"), ("PF", "value")])
def test_a_policy_is_one_row_over_the_run_with_its_weight(
    tmp_path: Path, reading: Model, policy: str, kind: str
) -> None:
    payoff = [Payoff("Stock", "Stock", 2.0, False), Payoff("Rate", "", 2.5, False, policy=policy)]
    series = read_series(table(tmp_path, "Day,Stock\n3,8\n"), reading, payoff=payoff)
    row = series.observations.rows[1]
    assert (row.quantity, row.start, row.end, row.reading) == ("Rate", 2.0, 20.0, kind)
    errors = series.noise.errors_of(row)
    assert errors is not None
    assert (errors.family, errors.trials) == ("log_density", 2.5)
    stated = series.noise.definitions[row.definition]
    assert (stated.offset_sd, stated.trend_sd, stated.noise) == (0.0, 0.0, 0.0)


def test_a_weight_that_is_searched_keeps_its_power(tmp_path: Path, reading: Model) -> None:
    payoff = [Payoff("Stock", "Stock", 0.5, True, "Sd", -1.0)]
    series = read_series(table(tmp_path, "Day,Stock\n3,8\n"), reading, payoff=payoff)
    assert series.noise.definitions["Stock"].errors == ErrorModel(
        "lognormal", 0.5, scale_by="Sd", scale_power=-1.0, name="Stock"
    )


def test_a_variable_over_a_range_is_its_sum_and_an_element_a_place(
    tmp_path: Path, small: Model
) -> None:
    rows = read_series(table(tmp_path, "time,firms,firms[west]\n2014,21,9\n"), small)
    assert [(row.place, row.elements) for row in rows.observations] == [
        ("total", ("East", "West")),
        ("West", ("West",)),
    ]


@pytest.mark.parametrize("family", ["poisson", "negative_binomial", "binomial"])
def test_a_count_may_be_0(tmp_path: Path, reading: Model, family: Any) -> None:
    columns = [Column("Stock", errors=ErrorModel(family, trials=3.0))]
    series = read_series(table(tmp_path, "Day,Stock\n3,0\n4,3\n"), reading, columns=columns)
    assert [row.value for row in series.observations] == [0.0, 3.0]
