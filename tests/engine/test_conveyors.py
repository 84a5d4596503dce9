"""Conveyors of XMILE: what comes off, when, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.run.prepare import Backend
from beltcast.errors import ModelFileError, SimulationError, UnsupportedConstruct
from beltcast.model.model import Model

from ..xmile_texts import aux, write, y


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


def leak(name: str, fraction: str, more: str = "", zone: str = "") -> str:
    return f'<flow name="{name}"{zone}><eqn>{fraction}</eqn><leak/>{more}</flow>'


def leaky(
    fraction: str,
    more: str = "",
    *,
    inflow: str = "250",
    length: str = "4",
    initial: str = "0",
    zone: str = "",
    mark: str = "",
    stock: str = "",
) -> str:
    """A conveyor with a leak."""
    stocks = f"<outflow>lost</outflow>{stock}"
    made = belt(inflow, length=length, initial=initial, mark=mark, stock=stocks)
    return made + leak("lost", fraction, more, zone)


def chain(option: str) -> str:
    """Two conveyors, one behind the other, on a line of its own."""
    return (
        belt("1").replace('"belt"', '"first"')
        + '\n<stock name="second"><eqn>0</eqn><inflow>out</inflow><outflow>done</outflow>'
        f'<conveyor><len>1</len>{option}</conveyor></stock><flow name="done"><eqn>0</eqn></flow>'
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
        (belt("1", more="<isee:x>9</isee:x>".replace("isee:", "")), "'belt' with <x> is not"),
        (belt("1", stock="<outflow>lost</outflow>"), "without exactly one <len> and one outflow"),
        (belt("TIME - 1").replace("<non_negative/>", ""), "an inflow that may be negative"),
        (belt("1", length="1 + STEP(1, 2)"), "transit time is no expression of constants"),
        (belt("1").replace('<flow name="out">', '<flow name="out"><leak/>'), "without exactly one"),
        (leaky("0.1", "<leak_integers/>"), "<leak_integers> is not supported"),
        (
            leaky("0.1", zone=' leak_end="0.5"', stock="<outflow>late</outflow>")
            + leak("late", "0.1"),
            "linear leaks in different zones",
        ),
        (chain("<capacity>9</capacity>"), "<capacity> of 'second', onto which another conveyor"),
        (chain("<arrest>1</arrest>"), "<arrest> of 'second', onto which another conveyor"),
    ],
)
def test_what_is_not_certain_of_a_conveyor_is_refused(
    variables: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedConstruct, match=words) as problem:
        model_of(tmp_path, variables)
    assert problem.value.line in (5, 6)


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


# --- leaks, capacity, arrest ------------------------------------------------------------------


def long_run(model: Model, name: str, backend: Backend) -> np.ndarray:
    return np.asarray(model.simulate({"FINAL TIME": 12}, backend=backend)[name])


def test_a_linear_leak_takes_its_fraction_evenly_over_the_belt(
    tmp_path: Path, backend: Backend
) -> None:
    """isee's steady state: inflow*length - (slats - 1)*leakage*DT/2 on it, and 1 - f comes off."""
    model = model_of(tmp_path, leaky("0.2", initial="906.25"), step=0.25)
    np.testing.assert_allclose(y(model, backend, "belt"), 250 * 4 - 15 * 50 * 0.25 / 2, rtol=1e-13)
    np.testing.assert_allclose(y(model, backend, "out"), 200, rtol=1e-13)
    np.testing.assert_allclose(y(model, backend, "lost"), 50, rtol=1e-13)
    # From empty: nothing comes off for one length, and the leak grows with each slat.
    empty = model_of(tmp_path, leaky("0.2"), step=0.25)
    assert y(empty, backend, "out").tolist()[:5] == [0] * 5
    np.testing.assert_allclose(y(empty, backend, "lost")[:3], [0, 50 / 16, 100 / 16], rtol=1e-13)
    np.testing.assert_allclose(long_run(empty, "belt", backend)[-1], 906.25, rtol=1e-13)


def test_an_exponential_leak_takes_its_fraction_of_what_is_there(
    tmp_path: Path, backend: Backend
) -> None:
    mark = ' exponential_leak="true"'
    model = model_of(tmp_path, leaky("0.1", mark=mark), step=0.25)
    kept = (1 - 0.1 * 0.25) ** 16
    np.testing.assert_allclose(long_run(model, "out", backend)[-1], 250 * kept, rtol=1e-13)
    # Rates add up: two of 0.1 leave what one of 0.2 leaves.
    two = leaky("0.1", mark=mark, stock="<outflow>late</outflow>") + leak("late", "0.1")
    model = model_of(tmp_path, two, step=0.25)
    np.testing.assert_allclose(
        long_run(model, "out", backend)[-1], 250 * (1 - 0.2 * 0.25) ** 16, rtol=1e-13
    )


def test_a_leak_keeps_to_its_zone(tmp_path: Path, backend: Backend) -> None:
    """Over the first half of a belt of 4 steps: what flows on leaks in its first 2 steps."""
    flow = "IF TIME = 0 THEN 100 ELSE 0"
    zone = ' leak_start="0" leak_end="0.5"'
    model = model_of(tmp_path, leaky("0.2", inflow=flow, zone=zone))
    assert y(model, backend, "lost").tolist() == [0, 10, 10, 0, 0]
    assert y(model, backend, "out").tolist() == [0, 0, 0, 0, 80]


def test_linear_leaks_take_no_more_than_there_is(tmp_path: Path, backend: Backend) -> None:
    """The first leak takes its 0.8, the second what is left: nothing comes off."""
    flow = "IF TIME = 0 THEN 100 ELSE 0"
    two = leaky("0.8", inflow=flow, stock="<outflow>late</outflow>") + leak("late", "0.8")
    model = model_of(tmp_path, two)
    assert y(model, backend, "lost").tolist() == [0, 20, 20, 20, 0]
    np.testing.assert_allclose(y(model, backend, "late"), [0, 20, 20, 0, 0], atol=1e-12)
    np.testing.assert_allclose(y(model, backend, "out"), 0, atol=1e-12)


def test_what_is_there_at_first_lies_as_a_steady_inflow_would_have_it(
    tmp_path: Path, backend: Backend
) -> None:
    """After one length without inflow the belt is empty, and all of it has come off or leaked."""
    for mark in ("", ' exponential_leak="true"'):
        model = model_of(tmp_path, leaky("0.3", inflow="0", initial="100", mark=mark), step=0.5)
        held, out, lost = (long_run(model, n, backend) for n in ("belt", "out", "lost"))
        np.testing.assert_allclose(held[8:], 0, atol=1e-11)
        np.testing.assert_allclose((out + lost).sum() * 0.5, 100, rtol=1e-12)
        # The slats that come off later held more at first, and have leaked as much as theirs.
        np.testing.assert_allclose(out[:8], out[0], rtol=1e-12)


def test_a_full_conveyor_takes_no_more_than_comes_off(tmp_path: Path, backend: Backend) -> None:
    """isee: MIN((capacity - conveyor)/DT + outflow, inflow); the rest stays in the stock before."""
    source = '<stock name="before"><eqn>100</eqn><outflow>in</outflow><non_negative/></stock>'
    limited = belt("10", length="2", initial="0", more="<capacity>15</capacity>") + source
    model = model_of(tmp_path, limited)
    assert y(model, backend, "in").tolist() == [10, 5, 10, 5, 10]
    assert y(model, backend, "belt").tolist() == [0, 10, 15, 15, 15]
    assert y(model, backend, "before").tolist() == [100, 90, 85, 75, 70]


def test_an_inflow_limit_holds_for_all_inflows_together(tmp_path: Path, backend: Backend) -> None:
    second = '<flow name="too"><eqn>4</eqn><non_negative/></flow>'
    limited = belt("5", stock="<inflow>too</inflow>", more="<in_limit>7</in_limit>") + second
    model = model_of(tmp_path, limited, step=0.5)
    assert y(model, backend, "in").tolist() == [5] * 9
    assert y(model, backend, "too").tolist() == [2] * 9


def test_an_arrested_conveyor_stands_still(tmp_path: Path, backend: Backend) -> None:
    stopped = "<arrest>TIME = 1 OR TIME = 2</arrest>"
    model = model_of(tmp_path, belt("TIME + 1", initial="8", more=stopped))
    assert y(model, backend, "in").tolist() == [1, 0, 0, 4, 5]
    assert y(model, backend, "out").tolist() == [4, 0, 0, 4, 1]
    assert y(model, backend, "belt").tolist() == [8, 5, 5, 5, 5]


def test_each_element_of_an_array_has_a_belt_of_its_own(tmp_path: Path, backend: Backend) -> None:
    """Lengths 1 and 2, and a leak of 0 and one half."""
    dims = '<dimensions><dim name="R"><elem name="a"/><elem name="b"/></dim></dimensions>'
    each = '<dimensions><dim name="R"/></dimensions>'
    variables = (
        leaky("lossy[R]", inflow="8", length="long[R]")
        .replace('<stock name="belt">', f'<stock name="belt">{each}')
        .replace('<flow name="in">', f'<flow name="in">{each}')
        .replace('<flow name="out">', f'<flow name="out">{each}')
        .replace('<flow name="lost">', f'<flow name="lost">{each}')
    )
    for name, values in (("long", (1, 2)), ("lossy", (0, 0.5))):
        elements = "".join(
            f'<element subscript="{e}"><eqn>{v}</eqn></element>'
            for e, v in zip("ab", values, strict=True)
        )
        variables += f'<aux name="{name}">{each}{elements}</aux>'
    path = write(tmp_path, variables, dimensions=dims)
    run = load_model(path).simulate(backend=backend)
    np.testing.assert_allclose(run["out"].values.T, [[0, 8, 8, 8, 8], [0, 0, 4, 4, 4]])
    np.testing.assert_allclose(run["lost"].values.T, [[0] * 5, [0, 2, 4, 4, 4]])


def test_the_words_of_queues_do_nothing_without_a_queue(tmp_path: Path) -> None:
    """Files write them out with their defaults."""
    mark = ' discrete="false" batch_integrity="false" one_at_a_time="true"'
    model = model_of(tmp_path, belt("5", mark=mark, more="<sample>1</sample>"))
    assert y(model, "numpy", "out").tolist() == [4, 4, 5, 5, 5]


MOVING = {"inflow": "200 + 40*TIME", "initial": "600"}
SHORT = {"inflow": "10 + TIME", "length": "2", "initial": "12"}
HALF = ' leak_start="0.25" leak_end="0.75"'
DECAYING = ' exponential_leak="true"'
SECOND_OPINION = {
    "linear": leaky("0.1 + 0.02*TIME", **MOVING),
    "exponential": leaky("0.1 + 0.02*TIME", mark=DECAYING, **MOVING),
    "zone": leaky("0.3", zone=HALF, **MOVING),
    "exponential zone": leaky("0.3", zone=HALF, mark=DECAYING, **MOVING),
    "capacity": belt("10 + TIME", initial="12", more="<capacity>15</capacity>"),
    "capacity and leak": leaky("0.2", **SHORT).replace("</len>", "</len><capacity>15</capacity>"),
    "inflow limit": belt("5 + TIME", initial="3", more="<in_limit>7</in_limit>"),
    "arrest": leaky("0.2", **SHORT).replace(
        "</len>", "</len><arrest>TIME &gt; 1 AND TIME &lt; 2</arrest>"
    ),
}


@pytest.mark.parametrize("name", SECOND_OPINION)
def test_simlin_gives_the_same(tmp_path: Path, name: str) -> None:
    """A second implementation of the same rules, where pysimlin is installed."""
    simlin = pytest.importorskip("simlin", reason="needs pysimlin: pip install pysimlin")
    model = model_of(tmp_path, SECOND_OPINION[name], step=0.25)
    theirs = simlin.load(tmp_path / "model.stmx").run().results
    for column in {"belt", "in", "out", "lost"} & set(theirs.columns):
        np.testing.assert_allclose(
            y(model, "llvm", column), theirs[column], rtol=1e-12, err_msg=column
        )


def test_a_positive_number_needs_no_mark_that_it_is_not_negative(
    backend: Backend, tmp_path: Path
) -> None:
    marked = load_model(write(tmp_path, belt("1")))
    held = y(marked, backend, "belt")
    bare = load_model(write(tmp_path, belt("1").replace("<non_negative/>", "")))
    np.testing.assert_array_equal(y(bare, backend, "belt"), held)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_an_inflow_limit_is_one_of_a_unit_of_time_whatever_the_step(
    tmp_path: Path, steps: int
) -> None:
    """A discrete conveyor takes 7 in each unit of time, all of it as early as it comes."""
    limit = belt("20", initial="0", mark=' discrete="true"', more="<in_limit>7</in_limit>")
    held = y(model_of(tmp_path, limit, step=1 / steps), "numpy", "belt")
    expected = np.minimum(7.0, 20.0 * np.arange(steps + 1) / steps)
    np.testing.assert_allclose(held[: steps + 1], expected)
    assert held[2 * steps] == pytest.approx(14.0)


@pytest.mark.parametrize("step", [2.0, 0.4])
def test_an_inflow_limit_needs_whole_steps_in_a_unit_of_time(tmp_path: Path, step: float) -> None:
    limit = belt("20", initial="0", mark=' discrete="true"', more="<in_limit>7</in_limit>")
    with pytest.raises(UnsupportedConstruct, match="not whole numbers of steps"):
        model_of(tmp_path, limit, step=step)


def test_what_a_conveyor_says_is_false_is_not_so(tmp_path: Path) -> None:
    plain = y(load_model(write(tmp_path, leaky("0.1"))), "numpy", "belt")
    for one in (
        leaky("0.1", mark=' exponential_leak="false"'),
        leaky("0.1", mark=' discrete="false"'),
        leaky("0.1", "<leak_integers>false</leak_integers>"),
    ):
        np.testing.assert_array_equal(y(load_model(write(tmp_path, one)), "numpy", "belt"), plain)
    true = leaky("0.1", mark=' exponential_leak="true"')
    assert (y(load_model(write(tmp_path, true)), "numpy", "belt") != plain).any()
    with pytest.raises(UnsupportedConstruct, match="<leak_integers> is not supported"):
        load_model(write(tmp_path, leaky("0.1", "<leak_integers/>")))


def test_an_inflow_that_may_be_negative_is_refused(tmp_path: Path) -> None:
    held = belt("TIME - 1")
    load_model(write(tmp_path, held))
    free = held.replace("<non_negative/>", "<non_negative>false</non_negative>", 1)
    with pytest.raises(UnsupportedConstruct, match="an inflow that may be negative"):
        load_model(write(tmp_path, free))
