"""Results on disk: a folder or a file appears under its name only when it is complete."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from beltcast.errors import InputError


@contextmanager
def complete_folder(path: str | Path) -> Iterator[Path]:
    """Give a folder to fill; put it in place when all went well, leave no trace otherwise.

    A folder of that name is replaced only then, and only if it is a folder of results (it holds
    a ``summary.txt``) or empty: a typing error must not delete somebody's work.

    Parameters
    ----------
    path : str or Path

    Yields
    ------
    Path
        A hidden folder beside the final one.

    Raises
    ------
    InputError
        There is something else under that name, or the place cannot be written to.
    """
    path = Path(path)
    if path.exists() and not _replaceable(path):
        raise InputError(
            f"'{path}' exists and is not a folder of results; choose another name with --output"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as problem:
        reason = (problem.strerror or "no reason given").lower()
        raise InputError(
            f"'{path.parent}' cannot be written to ({reason}); choose another place with --output"
        ) from None
    try:
        work.chmod(0o755)  # mkdtemp makes it private; results are for reading
        yield work
        _put_in_place(work, path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def complete_file(path: str | Path) -> Iterator[Path]:
    """Give a file to write beside the final one; put it in place when all went well.

    Parameters
    ----------
    path : str or Path
        A file of that name is replaced; its folder is made where there is none.

    Yields
    ------
    Path
        With the same ending, since some writers choose their format by it.

    Raises
    ------
    InputError
        The place cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from beltcast.files.complete import complete_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with complete_file(Path(folder) / "new" / "table.csv") as part:
    ...         _ = part.write_text("a,b")
    ...     [p.name for p in (Path(folder) / "new").iterdir()]
    ['table.csv']
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"'{path}' is a folder; give the name of a file with --output")
        path.parent.mkdir(parents=True, exist_ok=True)
        with appearing(path) as part:
            yield part
    except OSError as problem:
        reason = (problem.strerror or "no reason given").lower()
        raise InputError(
            f"'{path}' cannot be written ({reason}); choose another name with --output"
        ) from None


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a file to write; it has its name when all of it is on the disk, or never.

    Parameters
    ----------
    path : Path
        In a folder that is there.

    Yields
    ------
    Path
        Hidden, with the same ending, and of this thread alone.

    Raises
    ------
    OSError
        As the system says it, for callers who know what to do about it.
    """
    part = path.with_name(f".{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        yield part
        flush(part)
        part.replace(path)
    finally:
        with suppress(OSError):  # where the folder is none there is nothing to clear away
            part.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file is on the disk: nothing must be called complete before it is."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _put_in_place(work: Path, path: Path) -> None:
    """Return the work its final name; what had that name is gone only when that went well."""
    # Looked at again: somebody may have written there while the work went on.
    if path.exists() and not _replaceable(path):
        raise InputError(
            f"'{path}' came into being meanwhile and is not a folder of results; choose another "
            "name with --output"
        )
    old = work.with_name(work.name + "-old")
    try:
        if path.exists():
            path.rename(old)
        work.rename(path)
    except OSError as problem:
        reason = (problem.strerror or "no reason given").lower()
        raise InputError(
            f"'{path}' cannot be put in place ({reason}); choose another name with --output"
        ) from None
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _replaceable(path: Path) -> bool:
    if not path.is_dir():
        return False
    return (path / "summary.txt").exists() or not any(path.iterdir())
