"""Blocks on other processes and machines, by dask.distributed.

Workers and scheduler must see the store's folder under the same path.  If a worker dies, only its
block is lost; if the scheduler or the last worker dies, the run ends with one sentence, and
``--resume`` continues it.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.util
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing.process import BaseProcess
from typing import Any

from beltcast.errors import InputError, RunStopped
from beltcast.files.extras import need
from beltcast.scale.compute import Computed, Parcel, Reply, compute_parcel, pack
from beltcast.scale.runplan import MemberBlock, RunPlan, version_of_code

IN_FLIGHT = 3
"""Blocks submitted per worker: enough that none waits, few enough to stop soon."""

PATIENCE = 30.0
"""Seconds without any worker after which the run ends: a nanny starts a new one in less."""

LOOK = 2.0
"""Seconds between two checks whether there are workers."""

CLOSING = 1.0
"""Seconds for a cluster of our own to close before its processes are killed."""

ON = "complete parts are kept: restart it, then rerun with --resume"


@contextmanager
def connected(address: str | None, workers: int | None = None) -> Iterator[Any]:
    """Return a client for the duration of a run; None if neither an address nor workers are given.

    Raises
    ------
    MissingExtra, InputError
        As of `connect`.
    """
    if address is None and workers is None:
        yield None
        return
    others = set(multiprocessing.active_children())
    try:
        client = connect(address, workers)
        with _silenced(client):
            try:
                yield client
            except BaseException:
                # A worker that computes does not react until its block is done; its result is not
                # needed.
                _kill(set(multiprocessing.active_children()) - others)
                raise
            finally:
                _close(client)
    finally:
        _kill(set(multiprocessing.active_children()) - others)
        # An interrupted process leaves at once, and Python would complain of remaining semaphores.
        multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]  # of no stub


def _close(client: Any) -> None:
    own = client.cluster
    for closing in (client, own) if own is not None else (client,):
        # In whatever way dask fails: where workers were killed, its own list of them raises
        # KeyError. The run is done, and its processes are killed in any case.
        with suppress(Exception):
            closing.close(timeout=CLOSING)
    if own is not None:
        own.shutdown_on_close = False  # or dask tries once more at the end of Python, in print


def connect(address: str | None, workers: int | None = None) -> Any:
    """A client of a running scheduler, or of a cluster of so many processes on this machine.

    Raises
    ------
    MissingExtra
        dask.distributed is not installed.
    InputError
        Nothing answers at the address.
    """
    distributed = _distributed()
    if address is None:
        need("cryptography", "scale", to="a cluster of processes on this machine")
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            # A port is open to every user of the machine, and a scheduler runs what it is sent:
            # only clients with a certificate of this process are accepted.
            security=distributed.Security.temporary(),
            dashboard_address="127.0.0.1:0",  # any free port; None takes 8787, and warns if taken
            scheduler_kwargs={"dashboard": False},  # pages that any local user could read
        )
        return distributed.Client(cluster)
    try:
        return distributed.Client(address, timeout="10s")
    except (OSError, TimeoutError, ValueError) as problem:
        raise InputError(
            f"no scheduler answers at '{address}' ({type(problem).__name__}); start one with "
            "`dask scheduler`, or correct the address"
        ) from None


def compute_on(client: Any, plan: RunPlan, blocks: Sequence[MemberBlock]) -> Iterator[Computed]:
    """Compute blocks on the workers of a client, in whatever order they are done.

    Raises
    ------
    RunStopped
        The scheduler or all workers are gone, or a worker cannot write.
    InputError
        A worker has another version of the package, or cannot read the plan.
    """
    try:
        yield from _answers(client, plan, blocks)
    except (CancelledError, OSError, TimeoutError):
        # The error that dask raises when it loses its scheduler depends on what it was doing.
        raise RunStopped(f"the scheduler is gone; {ON}") from None


def _answers(client: Any, plan: RunPlan, blocks: Sequence[MemberBlock]) -> Iterator[Computed]:
    with warnings.catch_warnings():
        # Of a large graph. A scattered object would be lost with the worker that holds it; the
        # result of a task is computed again.
        warnings.simplefilter("ignore", UserWarning)
        parcel = client.submit(_same, pack(plan), pure=False)
    waiting = iter(blocks)
    under_way: dict[Any, MemberBlock] = {}

    def hand_out(count: int) -> None:
        for block in islice(waiting, count):
            given = (block.scenario, block.number, block.first, block.last)
            future = client.submit(
                compute_parcel,
                parcel,
                str(plan.store.resolve()),
                given,
                version_of_code(),
                pure=False,
            )
            under_way[future] = block

    hand_out(IN_FLIGHT * (sum(client.nthreads().values()) or 1))
    look = _watch(client)
    while under_way:
        for future in _some_done(list(under_way), look):
            try:
                answer = _answer(future, under_way[future])
            except TimeoutError:  # its worker died with the answer: it is computed again
                look()
                continue
            del under_way[future]
            yield answer
            hand_out(1)


def _same(parcel: Parcel) -> Parcel:
    return parcel


def _watch(client: Any) -> Callable[[], None]:
    """Return a check that raises if the scheduler is gone, or there was no worker for a while."""
    alone_since: float | None = None

    def look() -> None:
        nonlocal alone_since
        if client.status != "running":
            raise RunStopped(f"the scheduler is gone; {ON}")
        alone_since = None if client.nthreads() else alone_since or time.monotonic()
        if alone_since is not None and time.monotonic() - alone_since > PATIENCE:
            raise RunStopped(f"there has been no worker for {PATIENCE:.0f} s; {ON}")

    return look


def _some_done(futures: list[Any], look: Callable[[], None]) -> set[Any]:
    """Wait for the first answers, running the check now and then."""
    while True:
        try:
            done: set[Any] = _distributed().wait(futures, LOOK, "FIRST_COMPLETED").done
            return done
        except TimeoutError:
            look()


def _answer(future: Any, block: MemberBlock) -> Computed:
    try:
        reply: Reply = future.result(timeout=LOOK)
    except _distributed().KilledWorker:
        raise RunStopped(
            f"members {block.first} to {block.last - 1} were tried by several workers and "
            "each died, probably for lack of memory; lower `memory` in the plan, or give the "
            "workers more; complete parts are kept"
        ) from None
    kind, said = reply
    if kind == "stopped":
        raise RunStopped(str(said))
    if kind == "refused":
        raise InputError(str(said))
    return Computed(block, *said)  # type: ignore[misc]  # of 'computed', see Reply


def _kill(processes: Iterable[BaseProcess]) -> None:
    # Not joined: a thread of dask does that, and two that wait cost ten seconds.
    for process in processes:
        process.kill()


@contextmanager
def _silenced(client: Any) -> Iterator[None]:
    """Suppress dask's tracebacks: errors are reported in one sentence."""
    # A task that dask dropped complains to its loop when it is collected, even after the end.
    client.loop.asyncio_loop.set_exception_handler(lambda loop, context: None)
    # Loggers created in the meantime propagate to one of these.
    names = [n for n in logging.root.manager.loggerDict if n.startswith(("distributed", "tornado"))]
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    try:
        for logger in loggers:
            logger.handlers, logger.propagate = [logging.NullHandler()], False
        yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


def _distributed() -> Any:
    return need("distributed", "scale", to="a cluster")
