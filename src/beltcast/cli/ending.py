"""An interrupted command ends soon, whatever it is doing.

Python raises KeyboardInterrupt between two of its own instructions: a command that is deep in
compiled code (LLVM, LAPACK, the NetCDF library), or waits for a thread that is, hears of it when
that returns.  Most commands are out before `GRACE`, since work on threads ends at its next pause
(`beltcast.engine.run.threads`).  For the others the signal wakes a watcher here, which then ends
the process.  Nothing is lost by that: whatever is on the disk under its name is complete.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

GRACE = 1.0
"""Seconds that an interrupted command has to end by itself."""

INTERRUPTED = 130
"""Exit code: 128 and the number of the signal, as a shell has it."""


@contextmanager
def ends_soon_when_interrupted() -> Iterator[None]:
    """Watch over what runs inside, the main thread of a process that has nothing else to do."""
    mine, systems = socket.socketpair()
    systems.setblocking(False)
    threading.Thread(target=_watch, args=(mine,), daemon=True).start()
    before = signal.set_wakeup_fd(systems.fileno(), warn_on_full_buffer=False)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        # Python takes itself apart for a second or more where the machine is busy.
        _leave()
    finally:
        signal.set_wakeup_fd(before)
        systems.close()


def _watch(mine: socket.socket) -> None:
    """Wait for the signal of an interruption, or for the end of the command."""
    with mine:
        while told := mine.recv(64):
            if signal.SIGINT in told:
                threading.Event().wait(GRACE)
                _leave()


def _leave() -> None:
    # The watcher's turn may come while the command is in the midst of writing to either.
    with suppress(OSError, RuntimeError, ValueError):
        sys.stdout.flush()
        os.write(2, b"beltcast: interrupted\n")
    os._exit(INTERRUPTED)
