"""Conveyors of XMILE: what comes off, when, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.errors import ModelFileError, SimulationError, UnsupportedConstruct
from beltcast.model.model import Backend, Model

from ..xmile_texts import aux, write, y


@pytest.fixture(params=["numpy", "llvm"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param  # type: ignore[no-any-return]


def belt(
    inflow: str,
    *,
    length: str = "2",
    initial: str = "8",
    mark: str = "",
    more: str = "",
    stock: str = "",
) -> str:
    """A conveyor with one inflow; `out` has an equation that means nothing."""
    return (
        f'<stock name="belt"><eqn>{initial}</eqn><inflow>in</inflow><outflow>out</outflow>{stock}'
        f"<conveyor{mark}><len>{length}</len>{more}</conveyor></stock>"
        f'<flow name="in"><eqn>{inflow}</eqn><non_negative/></flow>'
        '<flow name="out"><eqn>77</eqn><non_negative/></flow>'
    )


def model_of(folder: Path, variables: str, *, step: float = 1, method: str = "Euler") -> Model:
    path = write(folder, variables, method=method)
    path.write_text(path.read_text().replace("<dt>1</dt>", f"<dt>{step}</dt>"))
    return load_model(path)


def test_what_flows_in_flows_out_one_transit_time_later(tmp_path: Path, backend: Backend) -> None:
    model = model_of(tmp_path, belt("IF TIME = 1 THEN 5 ELSE 0"))
    # At first the 8 that were there, evenly; then what flowed in at times 0, 1 and 2.
    np.testing.assert_array_equal(y(model, backend, "out"), [4, 4, 0, 5, 0])
    np.testing.assert_array_equal(y(model, backend, "belt"), [8, 4, 5, 5, 0])


@pytest.mark.parametrize("step", [1, 0.25])
def test_a_steady_conveyor_holds_inflow_times_transit_time(
    step: float, tmp_path: Path, backend: Backend
) -> None:
    model = model_of(
        tmp_path, belt("3", initial="length*3", length="length") + aux("length", "2"), step=step
    )
    np.testing.assert_allclose(y(model, backend, "belt"), 6, rtol=1e-14)
    np.testing.assert_allclose(y(model, backend, "out"), 3, rtol=1e-14)


def test_nothing_is_lost_on_a_conveyor(tmp_path: Path, backend: Backend) -> None:
    variables = belt("2 + SIN(TIME)", length="0.75") + (
        '<stock name="arrived"><eqn>0</eqn><inflow>out</inflow></stock>'
        '<stock name="sent"><eqn>8</eqn><inflow>in</inflow></stock>'
    )
    model = model_of(tmp_path, variables, step=0.25)
    held, arrived, sent = (y(model, backend, name) for name in ("belt", "arrived", "sent"))
    np.testing.assert_allclose(held + arrived, sent, rtol=1e-14)
    # What has not arrived was sent within the last three steps.
    np.testing.assert_allclose(held[3:], sent[3:] - sent[:-3], rtol=1e-13)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (belt("1", more="<capacity>9</capacity>"), "'belt' with <capacity> is not supported"),
        (belt("1", mark=' discrete="true"'), "'belt' with discrete= is not supported"),
        (belt("1", stock="<outflow>lost</outflow>"), "without exactly one <len> and one outflow"),
        (belt("1").replace("<non_negative/>", ""), "an inflow that may be negative"),
        (belt("1", length="1 + STEP(1, 2)"), "transit time is no expression of constants"),
        (belt("1").replace('<flow name="out">', '<flow name="out"><leak/>'), "<leak> of 'out'"),
    ],
)
def test_more_than_a_plain_conveyor_is_refused(variables: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedConstruct, match=words) as problem:
        model_of(tmp_path, variables)
    assert problem.value.line == 5


def test_a_conveyor_needs_the_method_of_euler(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedConstruct, match="with the method rk4 is not supported"):
        model_of(tmp_path, belt("1"), method="RK4")


def test_a_transit_time_is_a_whole_number_of_steps(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"a transit time of 2\.5 is not a whole number"):
        model_of(tmp_path, belt("1", length="2.5"))


def test_a_run_cannot_set_the_length_of_a_conveyor(tmp_path: Path) -> None:
    model = model_of(tmp_path, belt("1", length="length") + aux("length", "2"))
    with pytest.raises(SimulationError, match="'length' cannot be set for a run: it makes the len"):
        model.simulate({"length": 2.5})
