"""``python -m beltcast`` and the command ``beltcast``.

An interruption while modules are loaded would end in a traceback, or be swallowed by a module that
tries several others.  Until the command line is there, the process simply ends.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def launch() -> None:
    """Load the command line and run it."""
    if os.name == "posix" and sys.getfilesystemencoding() == "ascii" and not sys.flags.utf8_mode:
        # Python could open 'data/中国.csv' here, but the libraries below it could not.
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    before = signal.signal(signal.SIGINT, _leave)
    from beltcast.cli import main

    signal.signal(signal.SIGINT, before)
    main()


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"beltcast: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    launch()
