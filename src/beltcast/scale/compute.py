"""Compute one block of a plan and write it, in this process or from a parcel on a worker.

A worker receives the files of the plan as bytes, reads them like any other and compiles the model
itself, or takes it from its cache; no object of ours is pickled.  The result goes from the process
that computes it straight into the store; only its status is returned.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from beltcast.ensembles.ensemble import run_scenario
from beltcast.errors import BeltcastError, InputError, RunStopped, reason_of
from beltcast.files.door import read_regular
from beltcast.scale.runplan import ROLES, TABLE, MemberBlock, RunPlan, read_plan, version_of_code
from beltcast.scale.store import Store

Parcel = tuple[tuple[str, str, bytes], ...]
"""Role, name and content of all files of a plan."""

Reply = tuple[str, object]
"""Reply of a worker: 'computed' with (any_good, seconds), or a kind of error with its words."""


@dataclass(frozen=True)
class Computed:
    """A block that is complete in its store.

    Attributes
    ----------
    block : Block
    any_good : bool
        Whether any of its members produced finite numbers only.
    seconds : float  [s]
        Computing time, by a monotonic clock.
    """

    block: MemberBlock
    any_good: bool
    seconds: float


def compute(plan: RunPlan, store: Store, block: MemberBlock) -> Computed:
    """Run a block and write it.

    Raises
    ------
    RunStopped
        The store cannot be written to.
    """
    began = time.monotonic()
    name = list(plan.scenarios)[block.scenario]
    pieces, good = run_scenario(
        plan.model,
        plan.scenarios[name],
        plan.draws(block),
        outputs=plan.outputs,
        rng=plan.streams(block),
    )
    try:
        store.write(block, pieces, good)
    except OSError as problem:
        raise RunStopped(
            f"'{store.path}' cannot be written to ({reason_of(problem)}); complete parts are "
            f"kept: fix this, then rerun with --resume"
        ) from None
    return Computed(block, bool(good.any()), time.monotonic() - began)


def pack(plan: RunPlan) -> Parcel:
    """All files of a plan as bytes."""
    return tuple(
        (role, path.name, read_regular(path, InputError)) for role, path in plan.files.items()
    )


def compute_parcel(
    parcel: Parcel, store: str, given: tuple[int, int, int, int], version: str
) -> Reply:
    """Work of a worker: read the plan from bytes, compute a block, write it.

    Errors of ours are returned as words, because an exception with a file and line does not pickle.
    """
    if version_of_code() != version:
        return "refused", (
            f"a worker runs beltcast {version_of_code()} and the plan was made by {version}; "
            "install the same version everywhere"
        )
    try:
        plan = _unpacked(parcel)
        done = compute(plan, Store(Path(store), (*plan.outputs, "status")), MemberBlock(*given))
    except RunStopped as problem:
        return "stopped", f"on a worker: {problem}"
    except BeltcastError as problem:
        return "refused", f"on a worker: {problem}"
    return "computed", (done.any_good, done.seconds)


@lru_cache(maxsize=4)
def _unpacked(parcel: Parcel) -> RunPlan:
    """A plan read from bytes, once per process; the model's tables lie beside it again."""
    with tempfile.TemporaryDirectory(prefix="beltcast-") as folder:
        found = {}
        for role, name, content in parcel:
            beside_model = role == "model" or role.startswith(TABLE)
            found[role] = Path(folder) / ("model" if beside_model else role) / name
            found[role].parent.mkdir(exist_ok=True)
            found[role].write_bytes(content)
        own = {role: path for role, path in found.items() if role in ROLES}
        return read_plan(found["plan"], own)
