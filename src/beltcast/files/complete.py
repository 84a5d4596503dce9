"""Results on disk: a folder or a file appears under its name only when it is complete.

Work is done under a hidden name beside the final one, and takes its final name at the end.  A
killed process leaves its hidden folder behind; the next run to the same name removes it.
A system lock on the hidden folder distinguishes a dead run from one that still works, whose name
is refused to a second run.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from beltcast.errors import InputError, reason_of

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
"""Errors of the system when a disk is full or fails, whatever is written."""


@contextmanager
def complete_folder(path: str | Path) -> Iterator[Path]:
    """Provide a folder to fill; put it in place on success, remove it otherwise.

    A folder of that name is replaced only then, and only if it is a folder of results (it holds a
    ``summary.txt``) or empty: a mistyped name must not delete other work.  A symbolic link is kept,
    and what it points to is replaced.

    Yields
    ------
    Path
        A hidden folder beside the final one.

    Raises
    ------
    InputError
        Something else has that name, another run is working on it, or the location cannot be
        written to.
    """
    given, path = Path(path), _behind_links(path)
    if path.exists() and not _replaceable(path):
        raise InputError(
            f"'{given}' exists and is not a folder of results; choose another name with --output"
        )
    new = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(path.parent):
            _clear_dead(path)
            work = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
            lock = _lock(work)
    except OSError as problem:
        raise InputError(
            f"'{path.parent}' cannot be written to ({reason_of(problem)}); choose another "
            "place with --output"
        ) from None
    try:
        work.chmod(0o755)  # mkdtemp makes it private; results are for reading
        yield work
        _put_in_place(work, path)
    except (OSError, RuntimeError) as problem:
        if _of_the_disk(problem, work):
            raise _cannot_be_written(given, problem) from None
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)
        for parent in new:  # a run that failed leaves no empty folder behind
            with suppress(OSError):  # it holds the result, or another run's
                parent.rmdir()


@contextmanager
def complete_file(path: str | Path) -> Iterator[Path]:
    """Provide a file to write beside the final one; put it in place on success.

    Parameters
    ----------
    path : str or Path
        A regular file of that name is replaced, also one behind a symbolic link; its folder is
        made if it does not exist.

    Yields
    ------
    Path
        With the same ending, since some writers choose their format by it.

    Raises
    ------
    InputError
        Something else has that name, such as a folder or a device, or the location cannot be
        written to.

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
    given, path = Path(path), _behind_links(path)
    try:
        if path.is_dir():
            raise InputError(f"'{given}' is a folder; give the name of a file with --output")
        if path.exists() and not path.is_file():
            raise InputError(
                f"'{given}' is a device or a pipe, which a result would replace; give the name of "
                "a file with --output"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_dead_parts(path.parent, path.name)
        with appearing(path) as part:
            yield part
    except (OSError, RuntimeError) as problem:
        if isinstance(problem, RuntimeError) and not _of_the_disk(problem, path):
            raise
        raise _cannot_be_written(given, problem) from None


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Provide a file to write; it has its name when all of it is on the disk, or never.

    Parameters
    ----------
    path : Path
        In an existing folder.

    Yields
    ------
    Path
        Hidden, with the same ending, and of this thread alone.

    Raises
    ------
    OSError
        As the system reports it, for callers that handle it.
    """
    part = path.with_name(f".{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        yield part
        flush(part)
        part.replace(path)
    finally:
        with suppress(OSError):  # without a folder there is nothing to clear away
            part.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file is on the disk: nothing may be called complete before it is."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def remove_dead_parts(folder: Path, name: str | None = None) -> None:
    """Remove the parts of files, or of folders, that killed processes left in a folder.

    Parameters
    ----------
    folder : Path
    name : str, optional
        Only those of the file of this name.
    """
    with suppress(OSError):
        for part in folder.iterdir():
            found = re.fullmatch(r"\.(\d+)-\d+-(.+)", part.name)
            if found and name in (None, found[2]) and not _alive(int(found[1])):
                if part.is_dir() and not part.is_symlink():
                    shutil.rmtree(part, ignore_errors=True)
                else:
                    part.unlink(missing_ok=True)


def _clear_dead(path: Path) -> None:
    """Remove what killed runs of this name left; refuse it if a run is still working on it."""
    for work in sorted(_work_folders(path)):
        lock = _lock(work)
        if lock is None:
            raise _busy(path)
        old = work.with_name(work.name + "-old")
        if old.is_dir() and not path.exists():  # killed between two renames
            old.rename(path)
        shutil.rmtree(work, ignore_errors=True)
        os.close(lock)
    for old in _work_folders(path, "-old"):
        if not path.exists():
            old.rename(path)
        else:
            shutil.rmtree(old, ignore_errors=True)


def _work_folders(path: Path, ending: str = "") -> list[Path]:
    """Hidden folders that `complete_folder` made for a name."""
    pattern = re.compile(rf"\.{re.escape(path.name)}-[a-z0-9_]{{8}}{ending}")
    if not path.parent.is_dir():
        return []
    return [p for p in path.parent.iterdir() if pattern.fullmatch(p.name) and p.is_dir()]


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Prevent two processes from making or clearing work folders in a folder at the same time."""
    lock = _lock(folder, wait=True)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock(folder: Path, *, wait: bool = False) -> int | None:
    """Lock a folder until the descriptor is closed or the process ends; None if it is locked.

    If the system or the disk has no locks, the folder counts as unlocked.
    """
    descriptor = os.open(folder, os.O_RDONLY) if os.name != "nt" else os.open(os.devnull, 0)
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except (ImportError, OSError):
        pass
    return descriptor


def _busy(path: Path) -> InputError:
    return InputError(
        f"another run is using '{path}'; wait until it ends, stop it, or choose another "
        "name with --output"
    )


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _behind_links(path: str | Path) -> Path:
    """Return what a symbolic link points to; any other path as it was given."""
    path = Path(path)
    try:
        return path.resolve() if path.is_symlink() else path
    except (OSError, RuntimeError, ValueError) as problem:
        raise InputError(f"'{path}' cannot be written ({problem}); choose another name") from None


def _of_the_disk(problem: Exception, work: Path) -> bool:
    """Whether an error comes from writing results, and not from the work itself."""
    if isinstance(problem, OSError):
        named = str(problem.filename or "")
        return problem.errno in _DISK or named.startswith(str(work))
    return str(problem).startswith("NetCDF:")


def _cannot_be_written(path: Path, problem: Exception) -> InputError:
    reason = reason_of(problem) if isinstance(problem, OSError) else str(problem)
    if free := _full(path):
        reason = f"{reason}; {free}"
    return InputError(f"'{path}' cannot be written ({reason}); choose another name with --output")


def _full(path: Path) -> str:
    """Report a full disk: the NetCDF library does not."""
    with suppress(OSError):
        if shutil.disk_usage(path.parent).free < 2**20:
            return "the disk is full"
    return ""


def _put_in_place(work: Path, path: Path) -> None:
    """Give the work its final name; a previous result is removed only on success."""
    # Checked again: somebody may have written there during the work.
    if path.exists() and not _replaceable(path):
        raise InputError(
            f"'{path}' was created while this ran and is not a folder of results; choose another "
            "name with --output"
        )
    old = work.with_name(work.name + "-old")
    try:
        if path.exists():
            path.rename(old)
        work.rename(path)
    except OSError as problem:
        raise InputError(
            f"'{path}' cannot be put in place ({reason_of(problem)}); choose another name with "
            "--output"
        ) from None
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _replaceable(path: Path) -> bool:
    if not path.is_dir():
        return False
    return (path / "summary.txt").exists() or not any(path.iterdir())
