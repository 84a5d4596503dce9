"""Safe reading of a file by its name, which every reader uses.

A name may refer to anything.  A device such as ``/dev/zero`` never ends, a FIFO waits for a
writer that may never come, and a file of a terabyte fills the memory before a parser can refuse
it.  So each reader first checks the kind and size of the file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from beltcast.errors import BeltcastError, reason_of

LARGEST_TEXT = 64 * 2**20
"""Largest text file in bytes: a table of a million rows, or a study of any size."""

ADVICE = "give the path of a readable file"
"""Advice in the errors of this module."""

_KINDS = (
    (stat.S_ISDIR, "is a directory"),
    (stat.S_ISFIFO, "it is a pipe"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
    (stat.S_ISSOCK, "it is a socket"),
)


def read_regular(
    path: str | Path,
    error: type[BeltcastError],
    *,
    what: str = "",
    largest: int = LARGEST_TEXT,
) -> bytes:
    """Read a whole regular file.

    Parameters
    ----------
    path : str or Path
    error : type
        Error class of the calling reader.
    what : str
        Subject of the error: ``the model file``; nothing by default.
    largest : int
        Largest size in bytes.  A larger file is refused before it is read.

    Raises
    ------
    BeltcastError
        As ``error``: the file does not exist, is a directory, pipe, device or socket, is too
        large, or it cannot be read.

    Examples
    --------
    >>> import os
    >>> from beltcast.errors import InputError
    >>> read_regular(os.devnull, InputError)
    Traceback (most recent call last):
    beltcast.errors.InputError: /dev/null: cannot be read (it is a device); give the path of a \
readable file
    """
    path = Path(path)
    regular_size(path, error, what=what, largest=largest)
    try:
        # Non-blocking, and checked again when it is open: the name may refer to another file by
        # then.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
        with os.fdopen(handle, "rb") as file:
            _refuse(os.fstat(handle), path, error, what, largest)
            # In parts: one read of so many bytes takes that much memory, however short the file.
            parts, total = [], 0
            while total <= largest and (part := file.read(2**20)):
                parts.append(part)
                total += len(part)
    except OSError as problem:
        raise _unreadable(path, error, what, reason_of(problem)) from None
    if total > largest:  # a file of /proc reports size 0, and never ends
        raise _too_large(path, error, what, f"more than {largest}", largest)
    return b"".join(parts)


def regular_size(
    path: str | Path, error: type[BeltcastError], *, what: str = "", largest: int
) -> int:
    """Size of a regular file in bytes, for libraries that open a file by its name.

    Raises
    ------
    BeltcastError
        As `read_regular`.

    Examples
    --------
    >>> from beltcast.errors import InputError
    >>> regular_size(__file__, InputError, largest=10**6) > 0
    True
    """
    path = Path(path)
    try:
        found = os.stat(path)
    except OSError as problem:
        raise _unreadable(path, error, what, reason_of(problem)) from None
    except ValueError:  # a null character, which no system allows in a name
        raise _unreadable(path, error, what, "not a valid path") from None
    _refuse(found, path, error, what, largest)
    return found.st_size


_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def _refuse(
    found: os.stat_result, path: Path, error: type[BeltcastError], what: str, largest: int
) -> None:
    for is_kind, words in _KINDS:
        if is_kind(found.st_mode):
            raise _unreadable(path, error, what, words)
    if found.st_size > largest:
        raise _too_large(path, error, what, str(found.st_size), largest)


def _too_large(
    path: Path, error: type[BeltcastError], what: str, size: str, largest: int
) -> BeltcastError:
    return error(
        f"{what or 'the file'} has {size} bytes, and at most {largest} are read; split it or give "
        "another file",
        path,
    )


def _unreadable(path: Path, error: type[BeltcastError], what: str, reason: str) -> BeltcastError:
    return error(f"{what} cannot be read ({reason}); {ADVICE}".lstrip(), path)
