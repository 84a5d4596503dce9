"""Parallel work on threads that stop soon after their result is no longer needed.

Python raises an interruption in the main thread only, and then a pool waits until its threads have
finished: minutes, if each of them fits a model.  Here a caller that leaves early, after an
interruption or an error, cancels the threads of that work, which cancel their own threads.  A
thread stops at its next `pause`; a kernel pauses between two slices of members, so that everything
that runs a model stops soon.
"""

from __future__ import annotations

import os
from _thread import start_new_thread
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import SimpleQueue
from threading import Event, Lock
from typing import TypeVar, cast

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_GIVEN_UP: ContextVar[tuple[Event, ...]] = ContextVar("given up", default=())
"""One for each work that this thread is part of, the outermost first."""

_PROCESSORS: ContextVar[int | None] = ContextVar("processors", default=None)
"""Processors that are left to this thread of a work; None: no work, all of them."""


def processors() -> int:
    """Return how many threads pay here: one per processor, fewer within work that has threads."""
    return _PROCESSORS.get() or os.cpu_count() or 1


@contextmanager
def at_most(threads: int | None) -> Iterator[None]:
    """Let what runs in this block take so many threads where no number is given.

    Examples
    --------
    >>> from beltcast.engine.run.threads import at_most, processors
    >>> with at_most(3):
    ...     processors()
    3
    """
    before = _PROCESSORS.set(threads or processors())
    try:
        yield
    finally:
        _PROCESSORS.reset(before)


def side_by_side(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int | None = None
) -> Iterator[_Result]:
    """Apply a function to items on threads; the results come in the order of the items.

    Loop over it at once: leaving the loop cancels the work.

    Parameters
    ----------
    function : callable
        Calls `pause` now and then if it takes long and runs no model.
    items : iterable
    threads : int, optional
        Default: `processors`.  With one, or one item, no thread is started.

    Examples
    --------
    >>> from beltcast.engine.run.threads import side_by_side
    >>> list(side_by_side(abs, [-2, 1, -3]))
    [2, 1, 3]
    """
    work = list(items)
    available = processors()
    threads = min(threads or available, len(work))
    if threads <= 1:
        for item in work:
            pause()
            yield function(item)
        return
    given_up = Event()
    around = (*_GIVEN_UP.get(), given_up)
    left = max(1, available // threads)
    turns, taking = iter(range(len(work))), Lock()
    outcomes: SimpleQueue[tuple[int, _Result | None, BaseException | None] | None] = SimpleQueue()

    def in_turn() -> None:
        # The thread belongs to this work alone: nothing needs to be set back.
        _GIVEN_UP.set(around)
        _PROCESSORS.set(left)
        try:
            while not given_up.is_set():
                with taking:
                    turn = next(turns, None)
                if turn is None:
                    break
                try:
                    pause()
                    outcomes.put((turn, function(work[turn]), None))
                except BaseException as fault:  # raised where the results are taken
                    outcomes.put((turn, None, fault))
        finally:
            outcomes.put(None)

    running = 0
    early: dict[int, tuple[_Result | None, BaseException | None]] = {}
    try:
        # An interruption must not find this thread with a lock that others wait for, as it may in
        # those of `threading` and `concurrent.futures`: the queue is the only thing in common.
        for _ in range(threads):
            start_new_thread(in_turn, ())
            running += 1
        for turn in range(len(work)):
            while turn not in early:
                outcome = outcomes.get()
                if outcome is None:
                    running -= 1
                else:
                    early[outcome[0]] = outcome[1:]
            result, fault = early.pop(turn)
            if fault is not None:
                try:
                    raise fault
                finally:
                    del fault  # which knows this frame
            yield cast(_Result, result)
    except BaseException:  # also of the caller, who then takes no more results
        given_up.set()
        raise
    finally:
        while running:
            running -= outcomes.get() is None


def pause() -> None:
    """Raise KeyboardInterrupt if the work of this thread was cancelled.

    Raises
    ------
    KeyboardInterrupt
        It was cancelled.  No `except Exception` on the way treats it as an error of the work.
    """
    if any(given_up.is_set() for given_up in _GIVEN_UP.get()):
        raise KeyboardInterrupt
