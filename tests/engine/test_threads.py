"""Threads whose work was given up begin nothing more, however deep in a computation they are."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.run import llvm_backend, numpy_backend
from beltcast.engine.run.llvm_backend import LlvmKernel
from beltcast.engine.run.numpy_backend import NumpyKernel
from beltcast.engine.run.plan import Plan, make_plan, steps_at
from beltcast.engine.run.threads import at_most, pause, processors, side_by_side
from beltcast.model.model import Model

from ..model_texts import write_model

WAIT = 60.0
"""Seconds after which a test gives up; nothing here waits for time to pass."""


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    assert list(side_by_side(lambda i: i * i, range(20), threads)) == [i * i for i in range(20)]
    assert list(side_by_side(abs, [], threads)) == []


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError, GeneratorExit])
def test_who_leaves_early_stops_the_threads_at_their_next_pause(
    fault: type[BaseException],
) -> None:
    begun, stopped = threading.Semaphore(0), []

    def work(item: int) -> int:
        if item == 0:
            assert begun.acquire(timeout=WAIT)  # the other is under way
            return 0
        begun.release()
        try:
            while True:
                pause()
        except KeyboardInterrupt:
            stopped.append(item)
            raise

    def leave() -> None:
        for _ in side_by_side(work, range(40), 2):
            raise fault

    with pytest.raises(fault):
        leave()
    # Both threads are gone when the loop is left. The one that was done with item 0 may have begun
    # one more; of the 37 items behind that none was.
    assert {1} <= set(stopped) <= {1, 2}
    pause()  # nobody asked this thread


def test_a_fault_in_one_thread_stops_the_others() -> None:
    begun = threading.Semaphore(0)

    def work(item: int) -> None:
        if item == 0:
            assert begun.acquire(timeout=WAIT)
            raise ValueError("of item 0")
        begun.release()
        while True:
            pause()

    with pytest.raises(ValueError, match="of item 0"):
        list(side_by_side(work, range(2), 2))


def test_work_within_work_is_given_up_with_it_and_not_the_other_way_round() -> None:
    begun = threading.Semaphore(0)
    ends = []

    def inner(item: int) -> int:
        begun.release()
        while True:
            pause()

    def outer(item: int) -> int:
        if item == 0:
            # An inner work that fails leaves the outer one alone.
            with pytest.raises(ZeroDivisionError):
                list(side_by_side(lambda i: 1 // i, [1, 0], 2))
            pause()
            assert begun.acquire(timeout=WAIT)
            return 0
        try:
            return sum(side_by_side(inner, range(2), 2))
        except KeyboardInterrupt:
            ends.append(item)
            raise

    def leave() -> None:
        for _ in side_by_side(outer, range(2), 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert ends == [1]


@pytest.mark.parametrize(("threads", "left"), [(1, 8), (2, 4), (3, 2), (8, 1), (20, 1)])
def test_work_within_work_shares_the_processors(
    threads: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    within = list(side_by_side(lambda _: processors(), range(20), threads))
    assert within == [left] * 20
    assert processors() == 8
    with at_most(6):
        assert set(side_by_side(lambda _: processors(), range(20), 2)) == {3}
        with at_most(None):
            assert processors() == 6
    assert processors() == 8


def test_an_interruption_at_any_moment_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    # With the pool of `concurrent.futures` one in about a hundred never ended: it found the main
    # thread with a lock that the others wait for.
    monkeypatch.setattr(gc, "callbacks", [])
    main = threading.main_thread().ident or 0
    for moment in range(200):

        def work(item: int, moment: int = moment) -> int:
            if item == moment:
                signal.pthread_kill(main, signal.SIGINT)
            pause()
            return item

        def wait() -> None:
            list(side_by_side(work, range(400), 2))
            time.sleep(WAIT)  # the signal may come when all is done

        with pytest.raises(KeyboardInterrupt):
            wait()


# --- the kernels ------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Model:
    parts = {"rate": "0.1 ~ 1/Year", "x": "INTEG(rate*x, 1) ~ bnCNY"}
    return load_model(write_model(tmp_path, parts, {"FINAL TIME": "4", "TIME STEP": "0.5"}))


def plan_of(model: Model) -> Plan:
    times = model.grid().times()
    return make_plan(
        model.program,
        parameters=model.rows("rate"),
        outputs=model.rows("x"),
        times=times,
        step=model.grid().step,
        saves=steps_at(times, model.grid().saved()),
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupted_run_begins_hardly_a_slice_after_the_signal(
    threads: int, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llvm_backend, "ONE_THREAD", 0)
    monkeypatch.setattr(llvm_backend, "SLICE", 1)  # a slice is a block of sixteen members
    monkeypatch.setattr(llvm_backend, "WIDEST_TABLE", 0)  # sixteen, not more
    kernel = LlvmKernel(model.program)
    kernel(plan_of(model), np.full((1, 1), 0.1))
    compiled = kernel._functions["euler"]
    lock, signalled = threading.Lock(), threading.Event()
    slices: list[bool] = []

    def counted(*arguments: object) -> None:
        with lock:
            slices.append(signalled.is_set())
            if len(slices) == 5:
                signalled.set()
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        compiled(*arguments)
        if signalled.is_set():  # as long as a slice of a large model; the signal needs its turn
            time.sleep(0.05)

    monkeypatch.setitem(kernel._functions, "euler", counted)  # type: ignore[arg-type]  # of ctypes
    # Hypothesis's callback would swallow the interrupt if it came while garbage is collected.
    monkeypatch.setattr(gc, "callbacks", [])
    with pytest.raises(KeyboardInterrupt):
        kernel(plan_of(model), np.full((1, 16 * 400), 0.1), threads=threads)
    # All 395 others were in waiting. One is under way in each thread; the rest is a busy machine.
    assert slices.count(True) <= (0 if threads == 1 else 20)


def test_numpy_pauses_at_every_step(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    def given_up() -> None:
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(numpy_backend, "pause", given_up)
    with pytest.raises(KeyboardInterrupt):
        NumpyKernel(model.program)(plan_of(model), np.full((1, 2), 0.1))


def test_slices_change_no_bit(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.linspace(0.05, 0.3, 100)[None]
    whole = LlvmKernel(model.program)(plan_of(model), values, threads=1)
    monkeypatch.setattr(llvm_backend, "ONE_THREAD", 0)
    monkeypatch.setattr(llvm_backend, "SLICE", 1)
    cut = LlvmKernel(model.program)(plan_of(model), values, threads=3)
    np.testing.assert_array_equal(whole, cut)


def test_what_one_thread_computes_at_once_starts_no_other(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, seen = plan_of(model), []
    members = 5 * 16
    values = model.program.n_rows * members * len(plan.times)

    def counted(*arguments: Any) -> Iterator[None]:
        seen.append(arguments[2])
        return side_by_side(*arguments)

    monkeypatch.setattr(llvm_backend, "side_by_side", counted)
    kernel = LlvmKernel(model.program)
    for few in (values - 1, values):
        monkeypatch.setattr(llvm_backend, "ONE_THREAD", few)
        with at_most(3):
            kernel(plan, np.full((1, members), 0.1))
    assert seen == [3, 1]


# --- the command line -------------------------------------------------------------------------

DEAF = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from beltcast.cli.ending import ends_soon_when_interrupted
with ends_soon_when_interrupted(), ThreadPoolExecutor(1) as pool:
    # Python waits for it, as for a thread that is deep in compiled code.
    future = pool.submit(time.sleep, 300)
    print("begun", flush=True)
    future.result()
"""


def test_an_interrupted_command_does_not_wait_for_a_thread_that_never_pauses() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=WAIT)  # a fifth of what the thread takes
    assert process.returncode == 130


def test_a_command_that_ends_by_itself_has_its_own_exit_code() -> None:
    quick = DEAF.replace("300", "0.01") + "sys.exit(3)\n"
    done = subprocess.run(
        [sys.executable, "-c", quick],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, timeout=WAIT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, b"")
