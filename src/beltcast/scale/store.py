"""An ensemble on disk: a Zarr store that is written block by block and records which are complete.

Each variable is one array (scenario, member, ...) of single precision, and each block of members
of a scenario is one chunk of it, compressed and with a checksum (CRC-32C).  When all chunks of a
block are written, a file named after the block appears in ``complete/``, with the length of each
chunk: a block counts only with its file, and a truncated store is detected when it is opened.
What the result depends on (model, data, priors, seed, code) is in the attribute
``identity``; a run is resumed only by a plan with the same identity.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beltcast.engine.nodes import FloatArray
from beltcast.ensembles.ensemble import (
    STATUS_ATTRS,
    output_attributes,
    output_coordinates,
    output_dims,
    versions,
)
from beltcast.errors import InputError, reason_of
from beltcast.files.complete import appearing, flush, remove_dead_parts
from beltcast.files.door import read_regular
from beltcast.files.extras import need
from beltcast.files.resume import difference
from beltcast.scale.runplan import MemberBlock, RunPlan
from beltcast.schema import MEMBER, SCENARIO

if TYPE_CHECKING:
    import xarray as xr

COMPLETE = "complete"
"""Folder of the files that mark complete blocks."""

SPARE = 1.05
"""Room required on the disk, as a multiple of the uncompressed result."""


@dataclass(frozen=True)
class Store:
    """A store that belongs to a plan.

    Made by `create_store` or `resume_store`.

    Attributes
    ----------
    path : Path
    variables : tuple of str
        Outputs and ``status``.
    """

    path: Path
    variables: tuple[str, ...]

    def finished(self) -> set[tuple[int, int]]:
        """Scenario and number of the blocks that are complete and whole on disk.

        Raises
        ------
        InputError
            A chunk of a complete block is missing or has another length than when written.
        """
        done = set()
        for file in sorted((self.path / COMPLETE).glob("[0-9]*.json")):
            lengths = _lengths(file)
            for name, length in lengths.items():
                chunk = self.path / name
                if not chunk.is_file() or chunk.stat().st_size != length:
                    raise self._damaged(f"{name} should have {length} bytes", file)
            if not lengths:
                raise self._damaged(f"{COMPLETE}/{file.name} does not list its chunks", file)
            scenario, number = file.stem.split("-")
            done.add((int(scenario), int(number)))
        return done

    def damaged(self) -> dict[Path, str]:
        """Marked blocks that are damaged, and what is wrong with each.

        Every chunk is read, and its checksum compared.
        """
        zarr = _zarr()
        group = zarr.open_group(self.path, mode="r", use_consolidated=False)
        return {
            file: wrong
            for file in sorted((self.path / COMPLETE).glob("[0-9]*.json"))
            if (wrong := self._wrong(group, file))
        }

    def _wrong(self, group: Any, file: Path) -> str:
        """What is wrong with a block; nothing if it is whole."""
        lengths = _lengths(file)
        for name, length in lengths.items():
            chunk = self.path / name
            if not chunk.is_file() or chunk.stat().st_size != length:
                return f"{name} should have {length} bytes"
            try:
                array = group[name.split("/")[0]]
                scenario, number = map(int, file.stem.split("-"))
                size = array.chunks[1]
                array[scenario, number * size : (number + 1) * size]
            except Exception as problem:  # of Zarr or one of its codecs, none of them documented
                return f"{name} is not as it was written ({' '.join(str(problem).split())[:80]})"
        return "" if lengths else f"{COMPLETE}/{file.name} does not list its chunks"

    def _damaged(self, what: str, file: Path) -> InputError:
        return InputError(
            f"'{self.path}' is damaged: {what}; delete {COMPLETE}/{file.name} in it and resume, "
            "and the block is computed again"
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the store against other runs, until the end of this one or of its process.

        Raises
        ------
        InputError
            Another run is working on it.
        """
        try:
            import fcntl
        except ImportError:  # not on Windows; there two runs write the same bits twice
            yield
            return
        # Of the folder itself: it needs no file, and the system releases it when a process dies.
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"another run is using '{self.path}'; wait until it ends, or stop it"
                ) from None
            yield
        finally:
            os.close(descriptor)

    def write(
        self, block: MemberBlock, pieces: Mapping[str, FloatArray], good: NDArray[np.bool_]
    ) -> None:
        """Write a block and, when all of it is on disk, mark it as complete.

        Parameters
        ----------
        block : Block
        pieces : mapping of str to (member, ...)
        good : (member,)
        """
        zarr = _zarr()
        group = zarr.open_group(self.path, mode="r+", use_consolidated=False)
        where = (block.scenario, slice(block.first, block.last))
        lengths = {}
        for name, values in {**pieces, "status": np.where(good, 0, 1)}.items():
            # A block that failed as a whole is all fill value, and must be written nevertheless.
            with zarr.config.set({"array.write_empty_chunks": True}):
                array = group[name]
                array[where] = values.astype(array.dtype)
            chunk = "/".join(
                ["c", str(block.scenario), str(block.number), *["0"] * (array.ndim - 2)]
            )
            file = self.path / name / chunk
            flush(file)
            lengths[f"{name}/{chunk}"] = file.stat().st_size
        with appearing(self.path / COMPLETE / f"{block.scenario}-{block.number}.json") as part:
            part.write_text(json.dumps(lengths, indent=1), encoding="utf-8")


def create_store(plan: RunPlan) -> Store:
    """Make an empty store for a plan.

    Raises
    ------
    InputError
        Something else has its name, or the disk has no room for the result.
    MissingExtra
        Zarr is not installed.
    """
    zarr = _zarr()
    path = plan.store
    if path.exists():
        _identity(zarr, path)
        raise InputError(
            f"'{path}' exists; continue it with --resume, or choose another store in the plan"
        )
    _check_room(plan)
    remove_dead_parts(path.parent, path.name)
    part = path.with_name(f".{os.getpid()}-0-{path.name}")
    try:
        group = zarr.create_group(part, attributes={**versions(), "identity": plan.identity()})
        for name in plan.outputs:
            _array(group, plan, name, output_dims(plan.model, name), np.float32,
                   output_attributes(plan.model, name))  # fmt: skip
        _array(group, plan, "status", (SCENARIO, MEMBER), np.int8, STATUS_ATTRS)
        for name, coordinate in _coordinates(plan).items():
            dims, values, attributes = coordinate
            made = group.create_array(
                name,
                data=_storable(values),
                dimension_names=dims,
                attributes=attributes,
                compressors=_compressors(),
            )
            del made
        _consolidate(zarr, part)
        (part / COMPLETE).mkdir()
        part.rename(path)
    except OSError as problem:
        raise InputError(
            f"the store '{path}' cannot be made ({reason_of(problem)}); choose another place in "
            "the plan"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Store(path, (*plan.outputs, "status"))


def resume_store(plan: RunPlan) -> Store:
    """Open the existing store of a plan.

    Raises
    ------
    InputError
        It does not exist, or was made from other inputs; the sentence names the difference.
    """
    zarr = _zarr()
    if not plan.store.exists():
        raise InputError(f"there is no store '{plan.store}' to resume; leave --resume out")
    if differs := difference(_identity(zarr, plan.store), plan.identity()):
        raise InputError(
            f"'{plan.store}' was made from other inputs ({differs}); give the plan another store"
        )
    with suppress(OSError):  # an empty folder is not always copied; a full disk is reported later
        (plan.store / COMPLETE).mkdir(exist_ok=True)
    remove_dead_parts(plan.store / COMPLETE)
    # Of a chunk that zarr was writing when it was killed.
    for part in plan.store.rglob("*.partial"):
        part.unlink(missing_ok=True)
    return Store(plan.store, (*plan.outputs, "status"))


def open_store(path: str | Path, *, partial: bool = False) -> xr.Dataset:
    """Open a store lazily as a labelled dataset.

    Parameters
    ----------
    path : str or Path
    partial : bool
        Open it although blocks are missing; their members are NaN and their status is -1.

    Returns
    -------
    xarray.Dataset
        As for `run_ensemble`; with dask installed, in chunks of one block.

    Raises
    ------
    InputError
        Not a store, damaged, or not complete.
    """
    import xarray as xr

    zarr = _zarr()
    path = Path(path)
    _identity(zarr, path)
    data: xr.Dataset = xr.open_zarr(path, consolidated=True, chunks=None)
    finished = Store(path, ()).finished()
    status = zarr.open_group(path, mode="r")["status"]
    expected = set(np.ndindex(*status.cdata_shape))
    if not expected <= finished and not partial:
        raise InputError(
            f"'{path}' has {len(expected & finished)} of {len(expected)} blocks; finish it with "
            "--resume, or open it as it is with partial=True"
        )
    texts = [c for c in ("title", *data.coords) if c in data and data[c].dtype.kind == "T"]
    return data.assign_coords({c: (data[c].dims, data[c].values.tolist()) for c in texts})


def check_store(path: str | Path) -> tuple[int, int, dict[str, str]]:
    """Read every chunk of a store and compare its checksum.

    Returns
    -------
    whole : int
        Blocks that are complete and whole.
    blocks : int
        Number of all blocks.
    damaged : dict
        What is wrong, by the name of each damaged block, as ``scenario-number``.

    Raises
    ------
    InputError
        The store does not exist.
    """
    zarr, path = _zarr(), Path(path)
    _identity(zarr, path)
    try:
        blocks = int(np.prod(zarr.open_group(path, mode="r")["status"].cdata_shape))
    except (OSError, KeyError, ValueError, AttributeError, TypeError):
        raise InputError(f"'{path}' has no list of its members; make it again") from None
    store = Store(path, ())
    wrong = {file.stem: what for file, what in store.damaged().items()}
    return len(list((path / COMPLETE).glob("[0-9]*.json"))) - len(wrong), blocks, wrong


def _identity(zarr: Any, path: Path) -> Mapping[str, str]:
    try:
        identity = zarr.open_group(path, mode="r").attrs.get("identity")
    except Exception:  # Zarr documents none of what a damaged zarr.json makes it raise
        raise InputError(
            f"'{path}' cannot be opened as a store; give another path"
            if path.exists()
            else f"there is no store '{path}'; give the path of one that `beltcast run` made"
        ) from None
    if not isinstance(identity, dict):
        raise InputError(
            f"'{path}' is no store of `beltcast run`, since it does not state its inputs; give "
            "another path"
        )
    return identity


def _lengths(file: Path) -> dict[str, int]:
    """Length of each chunk by its name, from a file of ``complete/``; none if it is damaged."""
    try:
        found = json.loads(read_regular(file, InputError))
    except (ValueError, RecursionError, InputError):
        return {}
    if not isinstance(found, dict) or not all(type(size) is int for size in found.values()):
        return {}
    return {} if any(".." in name or name.startswith("/") for name in found) else found


def _array(
    group: Any,
    plan: RunPlan,
    name: str,
    dims: tuple[str, ...],
    dtype: type,
    attributes: Mapping[str, str],
) -> None:
    sizes = {k: len(v[1]) for k, v in _coordinates(plan).items()}
    shape = tuple(sizes[d] for d in dims)
    group.create_array(
        name,
        shape=shape,
        chunks=(1, plan.block, *shape[2:]),
        dtype=dtype,
        dimension_names=dims,
        attributes=dict(attributes),
        fill_value=np.nan if dtype is np.float32 else -1,
        compressors=_compressors(),
    )


def _consolidate(zarr: Any, path: Path) -> None:
    with warnings.catch_warnings():
        # Zarr warns that format 3 does not specify this yet; xarray reads it, and opens one file,
        # not 9.
        warnings.simplefilter("ignore", category=UserWarning)
        zarr.consolidate_metadata(path)


def _compressors() -> tuple[Any, ...]:
    # Half of a number's bits are noise: bits of like weight side by side pack 11% tighter than
    # Zstandard packs the bytes, in less time. More effort hardly saves more.
    codecs = _zarr().codecs
    return codecs.BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"), codecs.Crc32cCodec()


def _coordinates(plan: RunPlan) -> dict[str, tuple[tuple[str, ...], Any, dict[str, str]]]:
    """Coordinates as (dimensions, values, attributes), including those that are dimensions."""
    raw = output_coordinates(plan.model, plan.outputs, plan.scenarios, plan.members)
    made = {}
    for name, given in raw.items():
        dims, values, *rest = given if isinstance(given, tuple) else (name, given)
        made[name] = ((dims,) if isinstance(dims, str) else dims, values, rest[0] if rest else {})
    return made


def _storable(values: Any) -> NDArray[Any]:
    """Text as UTF-32, which has no fixed name in Zarr's format: as variable-length text."""
    array = np.asarray(values)
    return array.astype(np.dtypes.StringDType()) if array.dtype.kind == "U" else array


def _check_room(plan: RunPlan) -> None:
    needed = SPARE * plan.bytes_on_disk()
    folder = plan.store.parent
    if not folder.is_dir():
        raise InputError(f"the folder '{folder}' of the store does not exist; make it first")
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"the result takes up to {needed / 1e9:.3g} GB and '{folder}' has {free / 1e9:.3g} GB "
            "free; keep fewer outputs, members or scenarios, or choose another disk"
        )


def _zarr() -> Any:
    return need("zarr", "scale", to="a store")
