"""Stocks of XMILE that cannot be negative: nothing leaves that was not there.

The rule is that of isee's help, "Flow prioritization": an outflow is at most the stock over DT
plus what flows in, and of several outflows the first is served first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.run.prepare import Backend
from beltcast.errors import ModelFileError

from ..xmile_texts import aux, dim, dimensions, xmile

BACKENDS: tuple[Backend, ...] = ("numpy", "llvm")
HELD = "<non_negative/>"


def stock(name: str, value: str, flows: str, more: str = HELD) -> str:
    """`flows` such as '+in -out'."""
    ways = {"+": "inflow", "-": "outflow"}
    written = "".join(f"<{ways[f[0]]}>{f[1:]}</{ways[f[0]]}>" for f in flows.split())
    return f'<stock name="{name}"><eqn>{value}</eqn>{written}{more}</stock>'


def flow(name: str, equation: str, more: str = "") -> str:
    return f'<flow name="{name}"><eqn>{equation}</eqn>{more}</flow>'


def run(folder: Path, body: str, backend: Backend = "numpy", **options: str):  # type: ignore[no-untyped-def]
    path = folder / "held.xmile"
    path.write_text(xmile(body, stop=options.pop("stop", "6"), **options))  # type: ignore[arg-type]
    return load_model(path).simulate(backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stock_of_ten_delivers_ten(tmp_path: Path, backend: Backend) -> None:
    found = run(
        tmp_path, stock("S", "10", "-o") + flow("o", "4") + stock("T", "0", "+o", ""), backend
    )
    assert found["S"].values.tolist() == [10, 6, 2, 0, 0, 0, 0]
    assert found["o"].values.tolist() == [4, 4, 2, 0, 0, 0, 0]
    assert found["T"].values.tolist() == [0, 4, 8, 10, 10, 10, 10]


@pytest.mark.parametrize("dt", ["1", "0.25", "0.1"])
def test_the_first_outflow_is_served_first(tmp_path: Path, dt: str) -> None:
    body = (
        stock("S", "10", "+i -first -second")
        + flow("i", "1")
        + flow("first", "3")
        + flow("second", "4")
        + stock("A", "0", "+first", "")
        + stock("B", "0", "+second", "")
    )
    found = run(tmp_path, body, dt=dt)
    total = found["S"] + found["A"] + found["B"]
    np.testing.assert_allclose(total, 10 + found["time"], rtol=1e-12)
    assert float(found["S"].min()) >= 0
    assert float(found["first"][-1]) == pytest.approx(1.0)  # all of the inflow
    assert float(found["second"][-1]) == pytest.approx(0.0, abs=1e-12)


def test_what_goes_round_between_held_stocks_is_conserved(tmp_path: Path) -> None:
    body = (
        stock("A", "5", "+back -forth")
        + stock("B", "1", "+forth -back")
        + flow("forth", "7")
        + flow("back", "3")
    )
    found = run(tmp_path, body)
    np.testing.assert_allclose(found["A"] + found["B"], 6.0)
    assert float(min(found["A"].min(), found["B"].min())) >= 0


def test_an_inflow_that_turns_is_limited_too(tmp_path: Path) -> None:
    body = stock("A", "5", "+exchange") + stock("B", "0", "-exchange", "") + flow("exchange", "-3")
    found = run(tmp_path, body)
    np.testing.assert_allclose(found["A"] + found["B"], 5.0)
    assert found["A"].values.tolist() == [5, 2, 0, 0, 0, 0, 0]


def test_an_inflow_made_of_the_outflow_does_not_close_a_circle(tmp_path: Path) -> None:
    body = stock("S", "10", "+i -o") + flow("o", "4") + flow("i", "o/2")
    found = run(tmp_path, body)
    assert float(found["S"].min()) >= 0
    np.testing.assert_allclose(found["i"], found["o"] / 2)


def test_arrays_are_limited_element_by_element(tmp_path: Path) -> None:
    of = '<dimensions><dim name="D"/></dimensions>'
    body = (
        f'<stock name="S">{of}<eqn>10</eqn><outflow>o</outflow><non_negative/></stock>'
        f'<flow name="o">{of}<element subscript="a"><eqn>4</eqn></element>'
        '<element subscript="b"><eqn>6</eqn></element></flow>'
        f'<stock name="T">{of}<element subscript="a"><eqn>0</eqn></element>'
        '<element subscript="b"><eqn>1</eqn></element><inflow>o</inflow></stock>'
    )
    found = run(tmp_path, body, dimensions=dimensions(dim("D", "a b")))
    assert found["S"][-1].values.tolist() == [0, 0]
    assert found["T"][-1].values.tolist() == [10, 11]


def test_an_element_without_an_equation_is_refused_by_name(tmp_path: Path) -> None:
    body = aux("x", "1") + (
        '<aux name="src"><dimensions><dim name="D"/></dimensions>'
        '<element subscript="a"><eqn>1</eqn></element></aux>'
    )
    with pytest.raises(ModelFileError, match=r"'src\[b\]' has no equation"):
        run(tmp_path, body, dimensions=dimensions(dim("D", "a b")))


def test_a_model_without_variables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no variables"):
        run(tmp_path, "")
