"""Small XMILE models, and what of XMILE is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.errors import ModelFileError, UnsupportedConstruct
from beltcast.model import Backend, Model

HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<xmile version="1.0" xmlns="http://docs.oasis-open.org/xmile/ns/XMILE/v1.0">\n'
)


@pytest.fixture(params=["numpy", "llvm"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param  # type: ignore[no-any-return]


def write(folder: Path, variables: str, *, method: str = "Euler", dimensions: str = "") -> Path:
    path = folder / "model.stmx"
    path.write_text(
        f'{HEAD}<sim_specs method="{method}"><start>0</start><stop>4</stop><dt>1</dt></sim_specs>\n'
        f"{dimensions}<model><variables>\n{variables}\n</variables></model></xmile>\n",
        encoding="utf-8",
    )
    return path


def aux(name: str, equation: str) -> str:
    return f'<aux name="{name}"><eqn>{equation}</eqn></aux>'


def y(model: Model, backend: Backend, label: str = "y") -> np.ndarray:
    return model.simulate(backend=backend)[label].to_numpy()


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
        ("continuous", [1, 1, 3, 5, 5]),
        ("extrapolate", [-1, 1, 3, 5, 7]),
        ("discrete", [1, 1, 1, 5, 5]),
    ],
)
def test_a_graphical_function_has_a_type(
    kind: str, expected: list[float], tmp_path: Path, backend: Backend
) -> None:
    table = f'<gf type="{kind}"><xscale min="1" max="3"/><ypts>1,5</ypts></gf>'
    model = load_model(write(tmp_path, f'<aux name="y"><eqn>TIME</eqn>{table}</aux>'))
    np.testing.assert_allclose(y(model, backend), expected, rtol=1e-12)


STOCK = (
    '<stock name="s"><eqn>4</eqn><outflow>out</outflow>{mark}</stock>'
    '<flow name="out"><eqn>3</eqn></flow>'
)


def test_a_non_negative_stock_stops_at_zero(tmp_path: Path, backend: Backend) -> None:
    free = load_model(write(tmp_path, STOCK.format(mark="")))
    np.testing.assert_array_equal(y(free, backend, "s"), [4, 1, -2, -5, -8])
    held = load_model(write(tmp_path, STOCK.format(mark="<non_negative/>")))
    np.testing.assert_array_equal(y(held, backend, "s"), [4, 1, 0, 0, 0])


def test_a_file_that_asks_for_rk4_gets_it(tmp_path: Path, backend: Backend) -> None:
    growing = (
        '<stock name="s"><eqn>1</eqn><inflow>in</inflow></stock><flow name="in"><eqn>s</eqn></flow>'
    )
    euler = load_model(write(tmp_path, growing))
    np.testing.assert_allclose(y(euler, backend, "s"), 2.0 ** np.arange(5))
    fourth = load_model(write(tmp_path, growing, method="RK4"))
    step = 1 + 1 + 1 / 2 + 1 / 6 + 1 / 24
    np.testing.assert_allclose(y(fourth, backend, "s"), step ** np.arange(5), rtol=1e-12)


ARRAY = '<dimensions><dim name="d"><elem name="A"/><elem name="B"/></dim></dimensions>'


def test_arrays_name_their_subscripts_or_leave_them_out(tmp_path: Path, backend: Backend) -> None:
    of = '<dimensions><dim name="d"/></dimensions>'
    model = load_model(
        write(
            tmp_path,
            f'<aux name="x">{of}<element subscript="A"><eqn>1</eqn></element>'
            '<element subscript="B"><eqn>10</eqn></element></aux>'
            f'<aux name="v">{of}<eqn>x[d]*2</eqn></aux>'
            f'<stock name="y">{of}<eqn>0</eqn><inflow>into</inflow></stock>'
            f'<flow name="into">{of}<eqn>v[d]</eqn></flow>' + aux("least", "MIN(x[d])"),
            dimensions=ARRAY,
        )
    )
    run = model.simulate(backend=backend)
    np.testing.assert_array_equal(run["y"].to_numpy()[2], [4, 40])
    assert run["least"].to_numpy()[0] == 1


@pytest.mark.parametrize(
    ("variables", "method", "words"),
    [
        ('<module name="m"/>', "Euler", "modules"),
        ("<macro name='m'/>", "Euler", "macros"),
        ('<stock name="s"><eqn>1</eqn><conveyor/></stock>', "Euler", "conveyors"),
        (aux("y", "???"), "Euler", r"'\?\?\?'"),
        (aux("y", "PREVIOUS(TIME, 0)"), "Euler", "the function PREVIOUS is not supported"),
        (aux("y", "1"), "Gillespie", "integration method 'gillespie'"),
    ],
)
def test_what_is_not_supported_is_refused_by_line(
    variables: str, method: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedConstruct, match=words) as problem:
        load_model(write(tmp_path, variables, method=method))
    assert problem.value.line == (5 if method == "Euler" else 3)


def test_a_document_type_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, aux("y", "1"))
    text = path.read_text().replace("<xmile ", '<!DOCTYPE a [<!ENTITY b "c">]>\n<xmile ', 1)
    path.write_text(text)
    with pytest.raises(ModelFileError, match="entities can stand for anything"):
        load_model(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, aux("y", "1"))
    path.write_text(path.read_text()[:-30])
    with pytest.raises(ModelFileError, match="not a whole XMILE model"):
        load_model(path)
