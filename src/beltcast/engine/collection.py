"""Pause Python's cyclic garbage collector while a model is read.

The trees of a large model are millions of objects that stay alive and contain no reference cycles.
While they are built, the collector would traverse all of them repeatedly and free nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Turn the collector off inside; the outermost use turns it on again.

    Examples
    --------
    >>> import gc
    >>> with uncollected():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
