"""Finished pieces of long work, kept so that a stopped run continues to the same bits.

Long work is cut into pieces.  Each is a file of arrays in a folder, there completely or not at all,
and existing pieces are not computed again.  The folder belongs to everything that the work depends
on (files, settings, seed, the package itself) and is refused for anything else.  So a run may be
stopped at any moment, and often, and ends with the bits of an undisturbed one.

That holds only if a piece depends on nothing but its name and the identity of the work: draw its
random numbers from a generator of its own (`numpy.random.Generator.spawn`, before the first piece),
never from a stream that runs through the pieces.  Ensembles have blocks in their store instead
(`beltcast.scale.store`), which also are their result.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beltcast.errors import InputError, RunStopped, reason_of
from beltcast.files.complete import appearing, remove_dead_parts

Arrays = dict[str, NDArray[Any]]
"""Content of a piece, by name: numbers or text; a single number is an array without dimension."""

IDENTITY = "identity.json"
"""File of a folder of pieces that states what they depend on."""


@dataclass(frozen=True)
class Pieces:
    """Store of the pieces of some work.

    Made by `keep_pieces`; without a folder, as `NOT_KEPT`, it keeps nothing.

    Attributes
    ----------
    folder : Path or None
        It appears with the first piece.
    identity : mapping of str to str
        What they depend on.
    part : str
        Prefix of the names of these pieces, if the work is a part of a larger one.
    """

    folder: Path | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    part: str = ""

    def of(self, part: str) -> Pieces:
        """Pieces of a part of the work; their names are its own."""
        return replace(self, part=f"{self.part}{part} ")

    def take(self, name: str, make: Callable[[], Mapping[str, Any]]) -> Arrays:
        """Return a piece: the stored one, or one made now and stored.

        Parameters
        ----------
        name : str
            Distinguishes the piece from the others; it names a file.
        make : callable
            Returns its arrays, by name.

        Raises
        ------
        RunStopped
            The folder cannot be written to.

        Examples
        --------
        >>> from beltcast.files.resume import NOT_KEPT
        >>> NOT_KEPT.take("start 1", lambda: {"cost": 2.5})["cost"]
        array(2.5)
        """
        if self.folder is None:
            return _as_arrays(make())
        path = self.folder / f"{self.part}{name}.npz"
        kept = _read(path)
        if kept is None:
            kept = _as_arrays(make())
            self._write(path, kept)
        return kept

    def discard(self) -> None:
        """Remove all pieces of the work, and their folder, once its result is in place."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, path: Path, piece: Arrays) -> None:
        try:
            if not (path.parent / IDENTITY).exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with appearing(path.parent / IDENTITY) as part:
                    part.write_text(_as_json(self.identity), encoding="utf-8")
            with appearing(path) as part, part.open("wb") as file:
                np.savez(file, allow_pickle=False, **piece)
        except OSError as problem:
            raise RunStopped(
                f"'{path.parent}' cannot be written to ({reason_of(problem)}); complete parts "
                f"are kept: fix this, then rerun with --resume"
            ) from None


NOT_KEPT = Pieces()
"""For short work, or work that is not resumed."""


def keep_pieces(folder: str | Path, identity: Mapping[str, str], *, resume: bool) -> Pieces:
    """Keep pieces in a folder, starting again or continuing with existing ones.

    Parameters
    ----------
    folder : str or Path
    identity : mapping of str to str
        Everything that the pieces depend on, in the words of a user; the package itself is added.
    resume : bool
        Continue with existing pieces.  Otherwise pieces of an earlier run are removed.

    Raises
    ------
    InputError
        There is nothing to resume, it belongs to other work (the sentence names the difference),
        the folder does not hold pieces, or it cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from beltcast.files.resume import keep_pieces
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pieces = keep_pieces(Path(folder) / "work", {"seed": "1"}, resume=False)
    ...     first = pieces.take("start 1", lambda: {"cost": 2.5})
    ...     again = keep_pieces(Path(folder) / "work", {"seed": "1"}, resume=True)
    ...     again.take("start 1", lambda: {"cost": 0.0})["cost"]
    array(2.5)
    """
    folder = Path(folder)
    own = {**identity, **of_the_package()}
    try:
        if resume:
            _refuse_others(folder, own)
            remove_dead_parts(folder)
        else:
            _forget(folder)
    except OSError as problem:
        raise InputError(
            f"'{folder}' cannot be written to ({reason_of(problem)}); choose another place with "
            "--output"
        ) from None
    return Pieces(folder, own)


def unfinished(target: Path) -> Path:
    """Folder of the pieces of a result, beside it."""
    return target.with_name(f"{target.name}.unfinished")


def difference(was: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Describe the difference between two identities; empty if there is none.

    Examples
    --------
    >>> from beltcast.files.resume import difference
    >>> difference({"seed": "1", "draws": "500"}, {"seed": "2", "draws": "500"})
    'seed was 1 and is 2'
    """
    return "; ".join(
        f"{key} was {_short(was.get(key))} and is {_short(now.get(key))}"
        for key in {**now, **was}
        if was.get(key) != now.get(key)
    )


def of_the_package() -> dict[str, str]:
    """Inputs of every result besides its own: the source of this package, and arithmetic."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return {"beltcast": digest.hexdigest(), **{name: version(name) for name in ("numpy", "scipy")}}


def _refuse_others(folder: Path, own: Mapping[str, str]) -> None:
    try:
        found = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"there is no unfinished run in '{folder}'; start again without --resume"
        ) from None
    except ValueError:
        found = {}
    if differs := difference(found if isinstance(found, dict) else {}, own):
        raise InputError(
            f"the unfinished run in '{folder}' belongs to another run ({differs}); give it "
            f"the same inputs, or start again without --resume"
        )


def _forget(folder: Path) -> None:
    """Remove pieces of an earlier run."""
    if not folder.exists():
        return
    if not (folder.is_dir() and (folder / IDENTITY).exists()):
        raise InputError(
            f"'{folder}' exists and is not the folder of an unfinished run; move it, or "
            f"choose another "
            "place with --output"
        )
    # In one step: pieces must never stand beside the identity of other work.
    old = folder.with_name(f".{folder.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _as_arrays(made: Mapping[str, Any]) -> Arrays:
    return {name: np.asarray(value) for name, value in made.items()}


def _read(path: Path) -> Arrays | None:
    """A complete existing piece (its archive has a checksum of each array)."""
    try:
        # Opened here: NumPy leaves a file open that turns out to be broken.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None  # damaged on the disk: it is made again, and replaced


def _as_json(identity: Mapping[str, str]) -> str:
    return json.dumps(dict(identity), indent=1, ensure_ascii=False)


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:12]}..."
