"""Queues and discrete conveyors of XMILE, by hand from OASIS XMILE 1.0, 3.7.2, 3.7.3 and 4.2.1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.run.prepare import Backend
from beltcast.errors import UnsupportedConstruct
from beltcast.model.model import Model

from ..xmile_texts import dim, dimensions, of, write, y


def queue(
    arrivals: str = "5 - TIME",
    *,
    initial: str = "0",
    ways: str = "<outflow>served</outflow>",
    more: str = "",
) -> str:
    """A queue with one inflow, and its first outflow."""
    return (
        f'<stock name="waiting"><eqn>{initial}</eqn><inflow>arriving</inflow>{more}{ways}<queue/>'
        f'</stock><flow name="arriving"><eqn>{arrivals}</eqn><non_negative/></flow>'
        '<flow name="served"><eqn>77</eqn></flow>'
    )


def belt(options: str = "", mark: str = "", *, length: str = "1", more: str = "") -> str:
    """A conveyor that takes what is served."""
    return (
        f'<stock name="belt"><eqn>0</eqn><inflow>served</inflow>{more}<outflow>done</outflow>'
        f'<conveyor discrete="true"{mark}><len>{length}</len>{options}</conveyor></stock>'
        '<flow name="done"><eqn>0</eqn></flow>'
    )


def limited(most: str) -> str:
    return f"<in_limit>{most}</in_limit>"


MANY = ' one_at_a_time="false"'
WHOLE = ' batch_integrity="true"'
OVERFLOW = "<outflow>served</outflow><outflow>over</outflow>"
OVER = '<flow name="over"><eqn>0</eqn><overflow/></flow>'


def model_of(folder: Path, variables: str, *, step: float = 1, stop: int = 4) -> Model:
    path = write(folder, variables)
    text = path.read_text().replace("<dt>1</dt>", f"<dt>{step}</dt>")
    path.write_text(text.replace("<stop>4</stop>", f"<stop>{stop}</stop>"))
    return load_model(path)


@pytest.mark.parametrize("step", [1, 0.25])
def test_a_queue_into_a_cloud_hands_on_all_that_waits_and_arrives(
    step: float, tmp_path: Path, backend: Backend
) -> None:
    """Its outflow "will always empty the queue", so that 6 leave in the first step, with 5."""
    model = model_of(tmp_path, queue(initial="6"), step=step)
    arriving = y(model, backend, "arriving")
    np.testing.assert_allclose(y(model, backend, "served")[0], 5 + 6 / step, rtol=1e-15)
    np.testing.assert_array_equal(y(model, backend, "served")[1:], arriving[1:])
    np.testing.assert_array_equal(y(model, backend, "waiting"), [6, *[0] * (len(arriving) - 1)])


FALLING = "5 - TIME"
EARLY = "IF TIME &lt; 3 THEN 5 ELSE 0"


@pytest.mark.parametrize(
    ("arrivals", "mark", "served", "waiting"),
    [
        # 5, 4, 3, 2, 1 arrive at times 0 to 4, and 4 may enter in a unit of time.
        # One at a time, in parts: of 5 the 4, then its last 1; of 4 all; of 3 all; of 2 all.
        (FALLING, "", [4, 1, 4, 3, 2], [0, 1, 4, 3, 2]),
        # One at a time, whole: 5 never fits, and nothing passes it.
        (FALLING, WHOLE, [0, 0, 0, 0, 0], [0, 5, 9, 12, 14]),
        # As many as fit, in parts, of 5, 5, 5, 0, 0: always 4, while there are as many.
        (EARLY, MANY, [4, 4, 4, 3, 0], [0, 1, 2, 3, 0]),
    ],
)
def test_a_conveyor_takes_batches_within_its_inflow_limit(
    arrivals: str,
    mark: str,
    served: list[float],
    waiting: list[float],
    tmp_path: Path,
    backend: Backend,
) -> None:
    model = model_of(tmp_path, queue(arrivals) + belt(limited("4"), mark))
    np.testing.assert_array_equal(y(model, backend, "served"), served)
    np.testing.assert_array_equal(y(model, backend, "waiting"), waiting)


def test_whole_batches_enter_as_many_as_fit(tmp_path: Path, backend: Backend) -> None:
    """1 arrives at each time, 3 waited as one batch; the limit grows by 1 from 2 on.

    3 does not fit into 2, and fits into 3; into 4 the three batches of 1 that wait by then.
    """
    content = queue("1", initial="3") + belt(limited("2 + TIME"), MANY + WHOLE)
    model = model_of(tmp_path, content)
    np.testing.assert_array_equal(y(model, backend, "served"), [0, 3, 3, 1, 1])
    np.testing.assert_array_equal(y(model, backend, "waiting"), [3, 4, 2, 0, 0])


def test_a_discrete_conveyor_may_take_its_limit_of_a_unit_of_time_in_one_step(
    tmp_path: Path, backend: Backend
) -> None:
    """2 a unit of time, two steps: all 2 enter in the first (a flow of 4), of a continuous half."""
    model = model_of(tmp_path, queue("0", initial="5") + belt(limited("2"), MANY), step=0.5)
    np.testing.assert_array_equal(y(model, backend, "served"), [4, 0, 4, 0, 2, 0, 0, 0, 0])
    source = '<stock name="from"><eqn>5</eqn><outflow>served</outflow><non_negative/></stock>'
    flow = '<flow name="served"><eqn>9</eqn><non_negative/></flow>'
    model = model_of(tmp_path, source + flow + belt(limited("2")), step=0.5)
    np.testing.assert_array_equal(y(model, backend, "served"), [4, 0, 4, 0, 2, 0, 0, 0, 0])
    continuous = belt(limited("2")).replace(' discrete="true"', "")
    model = model_of(tmp_path, source + flow + continuous, step=0.5)
    np.testing.assert_array_equal(y(model, backend, "served"), [2, 2, 2, 2, 2, 0, 0, 0, 0])


def test_a_full_conveyor_lets_batches_wait(tmp_path: Path, backend: Backend) -> None:
    """3 a step onto a belt of 2 steps that holds 5: what comes off makes room at once."""
    content = queue("3") + belt("<capacity>5</capacity>", length="2")
    model = model_of(tmp_path, content)
    # Of the first batch 3, of the second the 2 for which there is room, then its last 1, although
    # there is room for 3; then the third batch, and of the fourth 2.
    np.testing.assert_array_equal(y(model, backend, "served"), [3, 2, 1, 3, 2])
    np.testing.assert_array_equal(y(model, backend, "done"), [0, 0, 3, 2, 1])
    np.testing.assert_array_equal(y(model, backend, "belt"), [0, 3, 5, 3, 4])
    np.testing.assert_array_equal(y(model, backend, "waiting"), [0, 0, 1, 3, 3])


def test_an_overflow_takes_what_waits_when_the_conveyor_refuses(
    tmp_path: Path, backend: Backend
) -> None:
    """A limit of 4: of the 5 at time 0 it takes 4, and the overflow into a cloud all the rest.

    At times 1 to 4 the batch fits, and the overflow takes nothing.
    """
    content = queue(ways=OVERFLOW) + OVER + belt(limited("4"))
    model = model_of(tmp_path, content)
    np.testing.assert_array_equal(y(model, backend, "served"), [4, 4, 3, 2, 1])
    np.testing.assert_array_equal(y(model, backend, "over"), [1, 0, 0, 0, 0])
    np.testing.assert_array_equal(y(model, backend, "waiting"), [0] * 5)


def test_batches_behind_the_first_do_not_make_an_overflow(tmp_path: Path, backend: Backend) -> None:
    """One at a time: 2 are taken and 5 wait, for the conveyor was not full."""
    second = '<flow name="too"><eqn>5</eqn><non_negative/></flow>'
    content = queue("2", ways=OVERFLOW, more="<inflow>too</inflow>") + OVER + second + belt()
    model = model_of(tmp_path, content, stop=2)
    np.testing.assert_array_equal(y(model, backend, "served"), [2, 5, 2])
    np.testing.assert_array_equal(y(model, backend, "over"), [0, 0, 0])
    np.testing.assert_array_equal(y(model, backend, "waiting"), [0, 5, 7])


def test_an_arrested_conveyor_sends_batches_to_the_overflow(
    tmp_path: Path, backend: Backend
) -> None:
    content = queue("2", ways=OVERFLOW) + OVER + belt("<arrest>TIME = 1</arrest>")
    model = model_of(tmp_path, content, stop=3)
    np.testing.assert_array_equal(y(model, backend, "served"), [2, 0, 2, 2])
    np.testing.assert_array_equal(y(model, backend, "over"), [0, 2, 0, 0])
    np.testing.assert_array_equal(y(model, backend, "done"), [0, 0, 2, 2])


def test_an_overflow_onto_a_full_conveyor_opens_the_next(tmp_path: Path, backend: Backend) -> None:
    """Conveyors for 1 and 2 a unit of time; of batches of 6 the last 3 go to the cloud."""
    ways = "<outflow>served</outflow><outflow>over</outflow><outflow>last</outflow>"
    side = belt(limited("2")).replace("served", "over").replace("done", "gone")
    content = (
        queue("6", ways=ways)
        + OVER
        + OVER.replace("over<", "last<").replace('"over"', '"last"')
        + belt(limited("1"))
        + side.replace('"belt"', '"side"')
    )
    model = model_of(tmp_path, content)
    for name, rate in (("served", 1), ("over", 2), ("last", 3)):
        np.testing.assert_array_equal(y(model, backend, name), [rate] * 5)


def test_a_second_outflow_takes_what_the_first_leaves(tmp_path: Path, backend: Backend) -> None:
    second = '<flow name="rest"><eqn>0</eqn></flow>'
    ways = "<outflow>served</outflow><outflow>rest</outflow>"
    model = model_of(tmp_path, queue("5", ways=ways) + second + belt(limited("4")))
    np.testing.assert_array_equal(y(model, backend, "served"), [4] * 5)
    np.testing.assert_array_equal(y(model, backend, "rest"), [1] * 5)


def test_what_comes_off_a_conveyor_may_wait_in_a_queue(tmp_path: Path, backend: Backend) -> None:
    first = (
        '<stock name="way"><eqn>4</eqn><inflow>in</inflow><outflow>arriving</outflow>'
        '<conveyor><len>2</len></conveyor></stock><flow name="in"><eqn>1</eqn></flow>'
    )
    content = first + queue().replace("5 - TIME", "0") + belt(limited("1"))
    model = model_of(tmp_path, content)
    np.testing.assert_array_equal(y(model, backend, "arriving"), [2, 2, 1, 1, 1])
    np.testing.assert_array_equal(y(model, backend, "served"), [1] * 5)
    np.testing.assert_array_equal(y(model, backend, "waiting"), [0, 1, 2, 2, 2])


def test_nothing_is_lost_in_a_queue(tmp_path: Path, backend: Backend) -> None:
    """At steps that no binary fraction is, over batches in every state."""
    arrivals = "IF SIN(5*TIME) &gt; 0 THEN 3*SIN(5*TIME) ELSE 0"
    count = '<stock name="{}"><eqn>0</eqn><inflow>{}</inflow></stock>'
    held = '<stock name="sent"><eqn>2</eqn><inflow>sending</inflow></stock>'
    sending = f'<flow name="sending"><eqn>{arrivals}</eqn></flow>'
    for mark in ("", MANY, WHOLE, MANY + WHOLE):
        content = (
            queue(arrivals, initial="2", ways=OVERFLOW)
            + OVER
            + belt("<capacity>1.5</capacity>" + limited("4"), mark, length="0.8")
            + count.format("arrived", "done")
            + count.format("spilt", "over")
            + held
            + sending
        )
        model = model_of(tmp_path, content, step=0.1)
        run = model.simulate(backend=backend)
        total = sum(run[name] for name in ("waiting", "belt", "arrived", "spilt"))
        np.testing.assert_allclose(total, run["sent"], rtol=1e-12)
        assert run["belt"].max() <= 1.5 * (1 + 1e-9)
        assert run["waiting"].min() >= -1e-12


def test_each_element_of_an_array_waits_in_a_line_of_its_own(
    tmp_path: Path, backend: Backend
) -> None:
    content = queue("size[R]*(2 - TIME/2)") + belt(limited("size[R] + 1"), MANY)
    for name in ("waiting", "arriving", "served", "belt", "done"):
        for tag in ("stock", "flow"):
            content = content.replace(f'<{tag} name="{name}">', f'<{tag} name="{name}">{of("R")}')
    content += f'<aux name="size">{of("R")}'
    content += '<element subscript="a"><eqn>1</eqn></element>'
    content += '<element subscript="b"><eqn>4</eqn></element></aux>'
    path = write(tmp_path, content, dimensions=dimensions(dim("R", "a b")))
    run = load_model(path).simulate(backend=backend)
    np.testing.assert_allclose(run["served"].values.T, [[2, 1.5, 1, 0.5, 0], [5, 5, 5, 5, 0]])
    np.testing.assert_allclose(run["waiting"].values.T, [[0] * 5, [0, 3, 4, 3, 0]])


def test_a_discrete_conveyor_that_starts_empty_is_like_a_continuous_one(
    tmp_path: Path, backend: Backend
) -> None:
    flow = '<flow name="served"><eqn>2 + SIN(TIME)</eqn><non_negative/></flow>'
    found = [
        y(model_of(tmp_path, flow + text, step=0.25), backend, "done")
        for text in (belt(length="0.5"), belt(length="0.5").replace(' discrete="true"', ""))
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("variables", "step", "words"),
    [
        (queue().replace("<non_negative/>", ""), 1, "<queue> of 'waiting' with an inflow that may"),
        (
            queue() + belt().replace(' discrete="true"', ""),
            1,
            "behind a queue, without discrete=",
        ),
        (
            queue().replace("<eqn>77</eqn>", "<overflow/>"),
            1,
            "does not follow exactly one ordinary outflow",
        ),
        (
            queue() + '<flow name="other"><eqn>1</eqn><overflow/></flow>',
            1,
            "<overflow> of 'other' is not supported",
        ),
        (
            queue() + belt() + belt().replace('"belt"', '"b"').replace("done", "d"),
            1,
            "enters several stocks",
        ),
        (queue(ways="<outflow>arriving - 1</outflow>"), 1, "is no flow of its own"),
        (queue() + belt().replace("<eqn>0</eqn>", "<eqn>4</eqn>", 1), 0.5, "a DT other than 1"),
        (queue() + belt(limited("1")), 0.3, "whole numbers of steps"),
        (queue() + belt(), 0.001, "the batches of the queue 'waiting' in a run of 4001 steps"),
    ],
)
def test_what_the_standard_leaves_open_about_queues_is_refused(
    variables: str, step: float, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedConstruct, match=words):
        model_of(tmp_path, variables, step=step).simulate()


def test_a_queue_needs_the_method_of_euler(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedConstruct, match="with the method rk4 is not supported"):
        load_model(write(tmp_path, queue(), method="RK4"))


@pytest.mark.parametrize("ending", ["mdl", "xmile"])
def test_a_queue_is_not_saved_as_something_else(ending: str, tmp_path: Path) -> None:
    model = load_model(write(tmp_path, queue()))
    with pytest.raises(UnsupportedConstruct, match=r"queue.*keep the XMILE file"):
        model.save(tmp_path / f"again.{ending}")
