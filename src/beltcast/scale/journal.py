"""What happened to a run, one JSON object a line, for schedulers and those who watch many runs.

====================  ==========================================================================
event                 with
====================  ==========================================================================
started, resumed      store, complete, blocks
block                 scenario, first, last (members), seconds, complete, blocks
finished              store, complete, blocks
failed                error (its class), sentence
interrupted
====================  ==========================================================================

Each line also has ``at``, the time of day in UTC, which nothing else depends on.  Lines are added
to a file that is there, so that a run and its resumptions make one story.  A process that is
killed says nothing more: a story without ``finished``, ``failed`` or ``interrupted`` at its end is
one of a run that is still under way, or was killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from beltcast.errors import BeltcastError, InputError


class Tell(Protocol):
    """Takes an event and what there is to say of it."""

    def __call__(self, event: str, **facts: object) -> None:
        """Tell of an event."""


def silent(event: str, **facts: object) -> None:
    """Tell nobody."""


@contextmanager
def journal(path: str | Path | None) -> Iterator[Tell]:
    """A `Tell` that writes to a file, and tells itself of how the run ends if it ends badly.

    Parameters
    ----------
    path : str or Path, optional
        None: nobody is told.

    Raises
    ------
    InputError
        The file cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from beltcast.scale.journal import journal
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with journal(Path(folder) / "log") as tell:
    ...         tell("started", blocks=3)
    ...     (Path(folder) / "log").read_text()[:21]
    '{"event": "started", '
    """
    if path is None:
        yield silent
        return
    try:
        file = Path(path).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115  # closed below
    except OSError as problem:
        reason = (problem.strerror or "no reason given").lower()
        raise InputError(f"the log '{path}' cannot be written to ({reason})") from None

    def tell(event: str, **facts: object) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        # A full disk must not end a run that can still compute; what it computes is not here.
        with suppress(OSError):
            file.write(json.dumps({"event": event, "at": at, **facts}, ensure_ascii=False) + "\n")

    try:
        yield tell
    except BeltcastError as problem:
        tell("failed", error=type(problem).__name__, sentence=str(problem))
        raise
    except KeyboardInterrupt:
        tell("interrupted")
        raise
    finally:
        file.close()
