"""Parallel work on threads that stop soon after their result is no longer needed.

Python raises an interruption in the main thread only, and then a pool waits until its threads have
finished: minutes, if each of them fits a model.  Here a caller that leaves early, after an
interruption or an error, cancels the threads of that work, which cancel their own threads.  A
thread stops at its next `pause`; a kernel pauses between two slices of members, so that everything
that runs a model stops soon.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event
from typing import TypeVar

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

    def of_this_work(item: _Item) -> _Result:
        # The thread belongs to this work alone: nothing needs to be set back.
        _GIVEN_UP.set(around)
        _PROCESSORS.set(left)
        pause()
        return function(item)

    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(of_this_work, work)
    except BaseException:  # also of the caller, who then takes no more results
        given_up.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def pause() -> None:
    """Raise KeyboardInterrupt if the work of this thread was cancelled.

    Raises
    ------
    KeyboardInterrupt
        It was cancelled.  No `except Exception` on the way treats it as an error of the work.
    """
    if any(given_up.is_set() for given_up in _GIVEN_UP.get()):
        raise KeyboardInterrupt
