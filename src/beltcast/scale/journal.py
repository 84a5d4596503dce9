"""Log of a run, one JSON object per line, for schedulers and monitoring.

====================  ==========================================================================
event                 with
====================  ==========================================================================
started, resumed      store, complete, blocks
block                 scenario, first, last (members), seconds, complete, blocks
finished              store, complete, blocks
failed                error (its class), sentence
interrupted
====================  ==========================================================================

Each line also has ``at``, the time of day in UTC, which nothing else depends on.  Lines are
appended to an existing file, so that a run and its resumptions form one log.  A killed process
writes no last line: a log without ``finished``, ``failed`` or ``interrupted`` at its end belongs to
a run that is still under way, or was killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from beltcast.errors import BeltcastError, InputError, reason_of


class Tell(Protocol):
    """Takes an event and its data."""

    def __call__(self, event: str, **facts: object) -> None:
        """Report an event."""


def silent(event: str, **facts: object) -> None:
    """Report nothing."""


@contextmanager
def journal(path: str | Path | None) -> Iterator[Tell]:
    """Provide a `Tell` that writes to a file, and writes a failure of the run itself.

    Parameters
    ----------
    path : str or Path, optional
        None: nothing is written.

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
        raise InputError(f"the log '{path}' cannot be written to ({reason_of(problem)})") from None

    def tell(event: str, **facts: object) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        # A full disk must not end a run that can still compute; its results are elsewhere.
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
