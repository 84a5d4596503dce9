"""Cache on disk between processes: parses and machine code.

An entry is a file named after its key, the hash of everything that the content depends on, so it
never becomes stale: another model, processor or version has another name.  Each entry carries
its key and the hash of its payload; one that is corrupt, truncated or foreign is detected,
removed and made again.  An entry is written under a temporary name and moved into place whole, so
any number of processes may write at once.

Machine code is executed, so it is read only from a folder that only the user can write to; if
there is none, everything works without a cache and one warning says so.  The hash guards
against accidents, not against somebody who can write to the folder.

The folder is ``$BELTCAST_CACHE`` (empty: no cache), else ``$XDG_CACHE_HOME/beltcast``, else
``~/.cache/beltcast``.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

CACHE_LIMIT = 256 * 2**20
"""Largest size of all entries together in bytes; the belt model takes about 0.3 MB."""

_MAGIC = b"beltcast cache 1\n"
_HEADER = len(_MAGIC) + 2 * 64
_PART = ".part-"
_ABANDONED = 3600.0
"""Seconds after which a temporary file counts as abandoned."""

_added: dict[Path, int] = {}
"""Bytes that this process has put into a folder since it last looked at all entries there."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cache:
    """A folder of entries.

    Made by `open_cache`, which checks the folder.

    Attributes
    ----------
    folder : Path
    limit : int
        Bytes; beyond them, the least recently used entries are removed.
    """

    folder: Path
    limit: int = CACHE_LIMIT

    def get(self, key: str) -> bytes | None:
        """Return the payload of an entry, or None if there is no valid one."""
        path = self.folder / key
        try:
            content = path.read_bytes()
        except OSError:
            return None
        payload = content[_HEADER:]
        if content[:_HEADER] != _header(key, payload):
            _log.info("the cache entry %s is damaged and is made again", path)
            path.unlink(missing_ok=True)
            return None
        with suppress(OSError):  # another process may have removed it in the meantime
            os.utime(path)  # used now, so the last to be removed
        return payload

    def put(self, key: str, payload: bytes) -> None:
        """Store a payload; if the disk does not allow it, continue without."""
        try:
            handle, part = tempfile.mkstemp(prefix=_PART, dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_header(key, payload) + payload)
                os.replace(part, self.folder / key)
            except BaseException:
                Path(part).unlink(missing_ok=True)
                raise
            _added[self.folder] = _added.get(self.folder, self.limit) + len(payload)
            if _added[self.folder] >= self.limit / 64:
                self._trim()
                _added[self.folder] = 0
        except OSError as problem:
            _log.info("the cache %s cannot be written (%s)", self.folder, problem)

    def _trim(self) -> None:
        """Remove the least recently used entries, down to the limit."""
        entries = []
        for item in os.scandir(self.folder):
            try:
                info = item.stat(follow_symlinks=False)
            except OSError:
                continue
            if item.name.startswith(_PART):
                if time.time() - info.st_mtime > _ABANDONED:
                    Path(item.path).unlink(missing_ok=True)
            else:
                entries.append((info.st_mtime_ns, info.st_size, item.path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit:
                return
            Path(path).unlink(missing_ok=True)
            total -= size


def _header(key: str, payload: bytes) -> bytes:
    """Return magic, hash of the key, hash of the payload."""
    return _MAGIC + key_of([key]).encode() + hashlib.sha256(payload).hexdigest().encode()


def key_of(parts: Iterable[str | bytes]) -> str:
    """Hash a sequence of parts; their lengths keep different sequences apart.

    >>> key_of(["ab", "c"]) == key_of(["a", "bc"])
    False
    """
    total = hashlib.sha256()
    for part in parts:
        piece = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        total.update(hashlib.sha256(piece).digest())
    return total.hexdigest()


@lru_cache
def engine_fingerprint() -> str | None:
    """Hash of the engine's own source, which is more precise than a version number.

    None if the source cannot be read (a frozen program): then nothing is cached.
    """
    files = sorted(Path(__file__).parent.rglob("*.py"))
    try:
        return key_of(file.read_bytes() for file in files) if files else None
    except OSError:
        return None


# --- the folder -------------------------------------------------------------------------------


def open_cache(environment: Mapping[str, str] | None = None) -> Cache | None:
    """Open the user's cache.

    Parameters
    ----------
    environment : mapping, optional
        The environment of the process by default.

    Returns
    -------
    Cache or None
        None when it is turned off, or when the folder is not the user's own; a warning then says
        so once.
    """
    given = os.environ if environment is None else environment
    if "BELTCAST_CACHE" in given:
        chosen = given["BELTCAST_CACHE"]
    else:
        base = given.get("XDG_CACHE_HOME") or given.get("LOCALAPPDATA")
        chosen = os.path.join(base or os.path.join(os.path.expanduser("~"), ".cache"), "beltcast")
    return _open(chosen) if chosen else None


@lru_cache
def _open(chosen: str) -> Cache | None:
    """Open a folder once per process, so that it warns once."""
    try:
        folder = Path(chosen).expanduser()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folder.resolve()
        fault = _fault(folder)
    except (OSError, RuntimeError, ValueError) as problem:
        fault = f"it cannot be opened ({problem})"
    if fault:
        _log.warning("running without the cache %s: %s", chosen, fault)
        return None
    return Cache(folder)


def _fault(folder: Path) -> str | None:
    """Return why a folder, or one above it, is not safe to load machine code from."""
    if os.name != "posix":
        return None  # Windows gives %LOCALAPPDATA% to its user alone
    for place in (folder, *folder.parents):
        info = place.stat()
        if place == folder and info.st_uid != os.geteuid():
            return "it belongs to somebody else; choose another with BELTCAST_CACHE"
        if info.st_uid not in (0, os.geteuid()):
            return f"{place} belongs to somebody else; choose another with BELTCAST_CACHE"
        writable = info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        # In a sticky folder such as a shared temporary one, nobody can replace what is ours.
        if writable and (place == folder or not info.st_mode & stat.S_ISVTX):
            return f"others may write in {place}; allow it to its owner alone (chmod go-w)"
    return None
