"""Small XMILE models, and what of XMILE is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.run.prepare import Backend
from beltcast.errors import ModelFileError, UnsupportedConstruct

from ..xmile_texts import aux, write, y


@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("(TIME) mod (3)", [0, 1, 2, 0, 1]),
        ("IF TIME &gt; 1 AND TIME &lt; 3 OR TIME = 4 THEN 1 ELSE 0", [0, 0, 1, 0, 1]),
        ("IF NOT (TIME = 2) THEN 1 ELSE 0", [1, 1, 0, 1, 1]),
        ("SAFEDIV(1, TIME, 5)", [5, 1, 1 / 2, 1 / 3, 1 / 4]),
        # 6 within one step, and every second step
        ("PULSE(6, 1)", [0, 6, 0, 0, 0]),
        ("PULSE(6, 1, 2)", [0, 6, 0, 6, 0]),
        ("STEP(2, 2)", [0, 0, 2, 2, 2]),
        ("RAMP(3, 1)", [0, 0, 3, 6, 9]),
        ("DELAY(TIME, 2, -1)", [-1, -1, 0, 1, 2]),
        ("SMTH1(5, 2, 1)", [1, 3, 4, 4.5, 4.75]),
        ("DELAY1(5, 2, 1)", [1, 3, 4, 4.5, 4.75]),
        ("INIT(TIME + 3)", [3, 3, 3, 3, 3]),
        ("MIN(TIME, 2) + MAX(TIME, 3) + INT(2.7)", [5, 6, 7, 7, 8]),
        ("DT + STOPTIME + STARTTIME", [5, 5, 5, 5, 5]),
        ("PI", [np.pi] * 5),
        ("PI()", [np.pi] * 5),
        # From here on as simlin 0.8.5 has it, or by the definition beside it.
        ("7 MOD 3 * 2", [2, 2, 2, 2, 2]),
        ("IF NOT TIME = 2 THEN 1 ELSE 0", [0, 0, 0, 0, 0]),  # NOT binds like a sign
        ("-2^2 + 2^3^2 + 2^-1", [508.5] * 5),
        ("PREVIOUS(TIME, -5)", [-5, 0, 1, 2, 3]),
        ("PREVIOUS(SELF, 1) * 2", [2, 4, 8, 16, 32]),
        ("12 // TIME", [0, 12, 6, 4, 3]),
        ("RAMP(3, 1, 3)", [0, 0, 3, 6, 6]),
        ("PULSE(6, 1, 0)", [0, 6, 0, 0, 0]),  # an interval of nothing: once
        ("MAX(TIME, 1, 3) + MEAN(1, 2, 6)", [6, 6, 6, 6, 7]),
        ("SMTHN(5, 2, 1, 1) - DELAYN(5, 2, 1, 1)", [0, 0, 0, 0, 0]),
        ("SMTH3(5, 6, 5) - DELAY3(5, 6, 5)", [0, 0, 0, 0, 0]),
        ("TREND(1, 2, 0)", [0, 0, 0, 0, 0]),
        ("FORCST(7, 2, 5)", [7, 7, 7, 7, 7]),
        ("1 {one} + {two} 1", [2, 2, 2, 2, 2]),
        ("IF IF TIME &gt; 2 THEN 1 ELSE 0 THEN 5 ELSE 6", [6, 6, 6, 5, 5]),
        ("MIN(INF, 3)", [3, 3, 3, 3, 3]),
    ],
)
def test_a_function_is_what_its_definition_says(
    equation: str, expected: list[float], tmp_path: Path, backend: Backend
) -> None:
    model = load_model(write(tmp_path, aux("y", equation)))
    np.testing.assert_allclose(y(model, backend), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ('type="continuous"', [1, 1, 3, 5, 5]),
        ('type="extrapolate"', [-1, 1, 3, 5, 7]),
        ('type="discrete"', [1, 1, 1, 5, 5]),
        # Files from before the standard.
        ("", [1, 1, 3, 5, 5]),
        ('discrete="true"', [1, 1, 1, 5, 5]),
        ('discrete="false"', [1, 1, 3, 5, 5]),
        ('type="extrapolate" discrete="true"', [-1, 1, 3, 5, 7]),
    ],
)
def test_a_graphical_function_has_a_type(
    kind: str, expected: list[float], tmp_path: Path, backend: Backend
) -> None:
    table = f'<gf {kind}><xscale min="1" max="3"/><ypts>1,5</ypts></gf>'
    model = load_model(write(tmp_path, f'<aux name="y"><eqn>TIME</eqn>{table}</aux>'))
    np.testing.assert_allclose(y(model, backend), expected, rtol=1e-12)


STOCK = (
    '<stock name="s"><eqn>4</eqn><outflow>out</outflow>{mark}</stock>'
    '<flow name="out"><eqn>3</eqn></flow>'
)


def test_points_may_stand_in_any_order(tmp_path: Path) -> None:
    table = "<gf><xpts sep=' '>4 0</xpts><ypts>1,5</ypts></gf>"
    model = load_model(write(tmp_path, f'<aux name="y"><eqn>TIME</eqn>{table}</aux>'))
    np.testing.assert_allclose(y(model, "numpy"), [5, 4, 3, 2, 1])


def test_a_non_negative_stock_stops_at_zero(tmp_path: Path, backend: Backend) -> None:
    free = load_model(write(tmp_path, STOCK.format(mark="")))
    np.testing.assert_array_equal(y(free, backend, "s"), [4, 1, -2, -5, -8])
    held = load_model(write(tmp_path, STOCK.format(mark="<non_negative/>")))
    np.testing.assert_array_equal(y(held, backend, "s"), [4, 1, 0, 0, 0])


def test_a_file_gets_the_method_that_it_asks_for(tmp_path: Path, backend: Backend) -> None:
    growing = (
        '<stock name="s"><eqn>1</eqn><inflow>in</inflow></stock><flow name="in"><eqn>s</eqn></flow>'
    )
    euler = load_model(write(tmp_path, growing))
    np.testing.assert_allclose(y(euler, backend, "s"), 2.0 ** np.arange(5))
    second = load_model(write(tmp_path, growing, method="RK2"))
    np.testing.assert_allclose(y(second, backend, "s"), 2.5 ** np.arange(5))
    preferred = load_model(write(tmp_path, growing, method="Gill, RK2, Euler"))
    np.testing.assert_allclose(y(preferred, backend, "s"), 2.5 ** np.arange(5))
    fourth = load_model(write(tmp_path, growing, method="RK4"))
    step = 1 + 1 + 1 / 2 + 1 / 6 + 1 / 24
    np.testing.assert_allclose(y(fourth, backend, "s"), step ** np.arange(5), rtol=1e-12)


@pytest.mark.parametrize(
    ("variables", "method", "words"),
    [
        ('<module name="m" resource="m.stmx"/>', "Euler", "the module 'm' lives in another file"),
        ('<stock name="s"><eqn>1</eqn><conveyor/></stock>', "Euler", "<conveyor> of 's'"),
        ('<stock name="s"><eqn>1</eqn><queue/></stock>', "Euler", "queue"),
        ('<flow name="s"><eqn>1</eqn><leak/></flow>', "Euler", "leak"),
        (aux("y", "???"), "Euler", r"'\?\?\?'"),
        (aux("y", "SMTH2(TIME, 1)"), "Euler", "SMTH2 is not supported; did you mean 'SMTH[13N]'"),
        (aux("y", "MACRO_X(TIME)"), "Euler", "the function MACRO X is not supported"),
        (aux("y", "_(TIME)"), "Euler", "is not supported"),
        (aux("y", "NEGATIVE(TIME)"), "Euler", "the function NEGATIVE is not supported"),
        (aux("y", "1"), "Gillespie", "integration method 'gillespie'"),
    ],
)
def test_what_is_not_supported_is_refused_by_line(
    variables: str, method: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedConstruct, match=words) as problem:
        load_model(write(tmp_path, variables, method=method))
    assert problem.value.line == (5 if method == "Euler" else 3)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (aux("y", "STEP(1)"), "STEP takes 2 arguments and is given 1"),
        (aux("y", "MEAN()"), "MEAN takes 1 or more arguments and is given 0"),
        (aux("y", "TIME +"), "character 7: expected a number, a name or '\\(' and found the end"),
        (aux("y", "1 1"), "character 3: expected an operator or the end and found '1'"),
        (aux("y", "{nothing}"), "'y' has no equation"),
        (aux("y", "a ¤ b"), "character 3: '¤' has no meaning"),
        ("<aux><eqn>1</eqn></aux>", "<aux> has no 'name'"),
        (
            '<aux name="y"><eqn>1</eqn><gf><ypts>1,2</ypts></gf></aux>',
            "neither <xpts> nor <xscale>",
        ),
        (
            '<aux name="y"><eqn>1</eqn><gf><xpts>1</xpts><ypts>1,x</ypts></gf></aux>',
            "<ypts> is a list of numbers",
        ),
        ('<aux name="TIME STEP"><eqn>0.5</eqn></aux>', "say different numbers"),
    ],
)
def test_what_is_no_xmile_is_said_by_line(variables: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=words) as problem:
        load_model(write(tmp_path, variables))
    assert problem.value.line is not None


@pytest.mark.parametrize("equation", ["1", "0.5 + 0.5", "half * 2"])
def test_a_control_may_be_written_twice_if_its_numbers_are_the_same(
    equation: str, tmp_path: Path
) -> None:
    """Files made from Vensim models hold controls as variables too; an equation is no number."""
    step = aux("TIME STEP", equation) + aux("half", "0.5") + aux("y", "TIME")
    np.testing.assert_array_equal(y(load_model(write(tmp_path, step)), "numpy"), np.arange(5.0))


@pytest.mark.parametrize(
    ("vendor", "whole"), [("Ventana Systems, xmutil", -2.0), ("isee systems, inc.", -3.0)]
)
def test_int_rounds_down_except_in_files_that_vensim_wrote(
    vendor: str, whole: float, tmp_path: Path
) -> None:
    """XMILE's INT is the next lower whole number, Vensim's INTEGER cuts the decimals off."""
    path = write(tmp_path, aux("y", "10 + MAX(INT(TIME - 2.7), -9)"))
    head = f"<header><vendor>{vendor}</vendor></header><sim_specs "
    path.write_text(path.read_text("utf-8").replace("<sim_specs ", head, 1), "utf-8")
    assert y(load_model(path), "numpy")[0] == 10 + whole


def test_the_line_of_an_error_is_that_of_the_text(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="character 5") as problem:
        load_model(write(tmp_path, aux("y", "1 +\n  2 ) 3")))
    assert problem.value.line == 6


@pytest.mark.parametrize(
    ("specs", "steps"),
    [
        ("<start>1</start><stop>2</stop><dt reciprocal='true'>4</dt>", 5),
        ("<start>1</start><stop>3</stop>", 3),
    ],
)
def test_a_time_step_may_be_a_fraction_or_left_out(specs: str, steps: int, tmp_path: Path) -> None:
    path = write(tmp_path, aux("y", "TIME"))
    path.write_text(
        path.read_text().replace("<start>0</start><stop>4</stop><dt>1</dt>", specs), "utf-8"
    )
    np.testing.assert_allclose(
        y(load_model(path), "numpy"),
        np.linspace(1, specs.count("3") + 2 if steps == 3 else 2, steps),
    )


@pytest.mark.parametrize(
    ("interval", "times"), [("2", [0, 2, 4]), ("0.25", [0, 1, 2, 3, 4]), ("", [0, 1, 2, 3, 4])]
)
def test_the_interval_of_saving_of_stella_is_saveper(
    interval: str, times: list[float], tmp_path: Path
) -> None:
    """Stella, simlin and xmutil keep SAVEPER in this attribute; xmutil if it exceeds the step."""
    path = write(tmp_path, aux("y", "TIME"))
    own = f'<sim_specs xmlns:isee="http://iseesystems.com/XMILE" isee:save_interval="{interval}" '
    path.write_text(path.read_text().replace("<sim_specs ", own), "utf-8")
    np.testing.assert_array_equal(y(load_model(path), "numpy"), times)


def test_a_graphical_function_is_called_by_name_whatever_else_it_is(tmp_path: Path) -> None:
    table = '<gf><xscale min="0" max="4"/><ypts>0,40</ypts></gf>'
    for own in ("", "<eqn>TIME</eqn>"):
        variables = f'<aux name="t g">{own}{table}</aux>' + aux("y", "t_g(TIME) + LOOKUP(t_g, 1)")
        np.testing.assert_allclose(
            y(load_model(write(tmp_path, variables)), "numpy"), [10, 20, 30, 40, 50]
        )


def test_a_flow_that_is_non_negative_stops_at_zero(tmp_path: Path, backend: Backend) -> None:
    flow = '<flow name="y"><eqn>1 - TIME</eqn>{mark}</flow>'
    for mark, expected in (
        ("", [1, 0, -1, -2, -3]),
        ("<non_negative/>", [1, 0, 0, 0, 0]),
        ("<non_negative>false</non_negative>", [1, 0, -1, -2, -3]),
    ):
        model = load_model(write(tmp_path, flow.format(mark=mark)))
        np.testing.assert_array_equal(y(model, backend), expected)


def test_names_are_compared_as_the_standard_says(tmp_path: Path) -> None:
    variables = (
        aux("Birth\\nRate", "2")
        + aux("a (b) / c", "3")
        + aux("出生", "5")
        + aux("y", "BIRTH_rate * &quot;A (b) / C&quot; * 出生 * ._x")
        + aux(" X", "7")
    )
    assert y(load_model(write(tmp_path, variables.replace("._x", ".x"))), "numpy")[0] == 210


def test_random_numbers_keep_between_their_ends(tmp_path: Path) -> None:
    variables = aux("y", "RANDOM(2, 3, 1)") + aux("z", "NORMAL(0, 1, 2, -1, 1)")
    run = load_model(write(tmp_path, variables)).simulate(backend="numpy")
    assert ((run["y"] >= 2) & (run["y"] < 3)).all()
    assert (abs(run["z"]) <= 1).all()


def test_imported_data_are_refused_and_what_is_switched_off_is_not(tmp_path: Path) -> None:
    data = '<data><import resource="a.csv"{}/></data>'
    with pytest.raises(UnsupportedConstruct, match="data imported"):
        load_model(write(tmp_path, aux("y", "1"), more=data.format("")))
    load_model(write(tmp_path, aux("y", "1"), more=data.format(' enabled="false"')))


def test_xmile_is_read_without_the_translator_of_vensim_text(tmp_path: Path) -> None:
    path = write(tmp_path, aux("y", "1")).rename(tmp_path / "model.itmx")
    code = (
        f"import sys; from beltcast import load_model; load_model({str(path)!r}); "
        "print('pysd' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_the_command_line_checks_a_model_of_xmile(tmp_path: Path) -> None:
    path = write(tmp_path, aux("y", "TIME"))
    command = [sys.executable, "-m", "beltcast", "check", str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "TOML" not in done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    ("stated", "mark", "held"),
    [
        ("<flow><non_negative/></flow>", "", True),
        ("<flow><non_negative/></flow>", "<non_negative>false</non_negative>", False),
        ("<flow><non_negative>False</non_negative></flow>", "", False),
        ("<flow><non_negative>false</non_negative></flow>", "<non_negative/>", True),
        ("<non_negative/>", "", True),
        ("<non_negative/><flow><non_negative>false</non_negative></flow>", "", False),
        ("<non_negative>false</non_negative><flow><non_negative/></flow>", "", True),
        ("<stock><non_negative/></stock>", "", False),
        ("<flow/>", "", False),
    ],
)
@pytest.mark.parametrize("place", ["file", "model"])
def test_what_the_file_states_of_all_flows_holds_unless_one_says_otherwise(
    tmp_path: Path, stated: str, mark: str, held: bool, place: str
) -> None:
    behavior = f"<behavior>{stated}</behavior>"
    variables = f'<flow name="y"><eqn>1 - TIME</eqn>{mark}</flow>'
    path = write(tmp_path, variables, more=behavior if place == "file" else "")
    if place == "model":
        text = path.read_text("utf-8").replace("<model>", f"<model>{behavior}")
        path.write_text(text, "utf-8")
    expected = np.maximum([1, 0, -1, -2, -3], 0 if held else -9)
    np.testing.assert_array_equal(y(load_model(path), "numpy"), expected)


@pytest.mark.parametrize(
    ("stated", "left"),
    [
        ("<stock><non_negative/></stock>", [3, 1, 0, 0, 0]),
        ("<non_negative/>", [3, 1, 0, 0, 0]),
        ("<flow><non_negative/></flow>", [3, 1, -1, -3, -5]),
    ],
)
def test_what_the_file_states_of_all_stocks_holds(
    tmp_path: Path, stated: str, left: list[float]
) -> None:
    variables = (
        '<stock name="y"><eqn>3</eqn><outflow>out</outflow></stock>'
        '<flow name="out"><eqn>2</eqn></flow>'
    )
    path = write(tmp_path, variables, more=f"<behavior>{stated}</behavior>")
    np.testing.assert_array_equal(y(load_model(path), "numpy"), left)


@pytest.mark.parametrize(("reciprocal", "times"), [("true", [0, 0.5, 1]), ("false", [0, 2])])
def test_a_step_is_a_reciprocal_only_where_it_says_true(
    tmp_path: Path, reciprocal: str, times: list[float]
) -> None:
    path = write(tmp_path, aux("y", "TIME"))
    text = path.read_text().replace("<stop>4</stop>", f"<stop>{times[-1]}</stop>")
    path.write_text(text.replace("<dt>", f'<dt reciprocal="{reciprocal}">').replace(">1<", ">2<"))
    if times[-1] == 1:
        path.write_text(path.read_text().replace("<stop>2</stop>", "<stop>1</stop>"))
    assert y(load_model(path), "numpy").tolist() == times


def test_a_list_of_points_may_end_with_its_separator(tmp_path: Path) -> None:
    table = '<gf><xscale min="0" max="4"/><ypts>1, 5, 3,</ypts></gf>'
    model = load_model(write(tmp_path, f'<aux name="y"><eqn>TIME</eqn>{table}</aux>'))
    assert y(model, "numpy").tolist() == [1, 3, 5, 4, 3]
