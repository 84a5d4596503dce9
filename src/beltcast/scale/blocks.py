"""Run a plan: compute its blocks, here or on a cluster, and write each into the store.

A block goes straight from whoever computes it into the store; nothing but its name and how long
it took comes back.  On a cluster (dask.distributed) a worker is handed the files of the plan as
bytes, reads them as anybody would and compiles the model itself, or takes it from its cache; no
object of ours is pickled.  Workers and scheduler must see the store's folder under the same path.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from beltcast.ensemble import run_scenario
from beltcast.errors import BeltcastError, InputError, MissingExtra, SimulationError
from beltcast.scale.runplan import ROLES, TABLE, Block, RunPlan, read_plan, version_of_code
from beltcast.scale.store import Store, create_store, resume_store

Progress = Callable[[str, int, int], None]
Files = tuple[tuple[str, str, bytes], ...]

IN_FLIGHT = 3
"""Blocks handed to a worker at a time: enough that none waits, few enough to stop soon."""


def run_plan(
    plan: RunPlan,
    *,
    resume: bool = False,
    client: Any = None,
    progress: Progress | None = None,
) -> Store:
    r"""Compute all blocks of a plan that are not complete yet.

    Parameters
    ----------
    plan : RunPlan
    resume : bool
        Go on with the store that is there.
    client : dask.distributed.Client, optional
        Compute on its workers; in this process by default, with a thread for each processor.
    progress : callable, optional
        Told (what, done, of how many).

    Returns
    -------
    Store

    Raises
    ------
    InputError
        The store belongs to another plan, is damaged, or there is no room for it.
    SimulationError
        Every member of every block of a scenario left the finite numbers.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from beltcast.scale.blocks import run_plan
    >>> from beltcast.scale.runplan import read_plan
    >>> text = '[run]\nonly = ["baseline"]\noutputs = ["national output"]\nmembers = 32\n'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "plan.toml").write_text(text)
    ...     len(run_plan(read_plan(Path(folder) / "plan.toml")).finished())
    1
    """
    store = resume_store(plan) if resume else create_store(plan)
    finished = store.finished()
    left = [b for b in plan.blocks() if (b.scenario, b.number) not in finished]
    done, total = len(finished), len(finished) + len(left)
    if progress is not None:
        progress("blocks", done, total)
    computed = _here(plan, store, left) if client is None else _there(plan, left, client)
    failed: dict[int, bool] = {}
    for block, any_good in computed:
        failed[block.scenario] = failed.get(block.scenario, True) and not any_good
        done += 1
        if progress is not None:
            progress("blocks", done, total)
    for scenario, all_failed in failed.items():
        if all_failed:
            name = list(plan.scenarios)[scenario]
            raise SimulationError(
                f"all members of the scenario '{name}' left the finite numbers; look at its "
                "constants"
            )
    return store


def compute(plan: RunPlan, store: Store, block: Block) -> bool:
    """Run a block and write it; return whether any of its members is good."""
    name = list(plan.scenarios)[block.scenario]
    pieces, good = run_scenario(
        plan.model,
        plan.scenarios[name],
        plan.draws(block),
        outputs=plan.outputs,
        seed=plan.size_seed(block),
    )
    try:
        store.write(block, pieces, good)
    except OSError as problem:
        reason = (problem.strerror or "no reason given").lower()
        raise InputError(
            f"'{store.path}' cannot be written to ({reason}); what is complete is kept: mend "
            "it and go on with --resume"
        ) from None
    return bool(good.any())


def _here(plan: RunPlan, store: Store, blocks: Iterable[Block]) -> Iterable[tuple[Block, bool]]:
    for block in blocks:
        yield block, compute(plan, store, block)


# --- on a cluster -----------------------------------------------------------------------------


def connect(address: str | None, workers: int | None = None) -> Any:
    """A client of a running scheduler, or of a cluster of so many processes on this machine.

    Raises
    ------
    MissingExtra
        dask.distributed is not installed.
    InputError
        Nobody answers at the address.
    """
    distributed = _distributed()
    if address is None:
        cluster = distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        )
        return distributed.Client(cluster)
    try:
        return distributed.Client(address, timeout="10s")
    except (OSError, TimeoutError, ValueError) as problem:
        raise InputError(
            f"no scheduler answers at '{address}' ({type(problem).__name__}); start one with "
            "`dask scheduler`, or correct the address"
        ) from None


def _there(plan: RunPlan, blocks: list[Block], client: Any) -> Iterable[tuple[Block, bool]]:
    files = _files(plan)
    parcel = client.scatter(files, broadcast=True, hash=False)
    waiting = iter(blocks)
    by_key: dict[str, Block] = {}

    def hand_out(count: int) -> list[Any]:
        futures = []
        for block in islice(waiting, count):
            given = (block.scenario, block.number, block.first, block.last)
            future = client.submit(
                compute_there,
                parcel,
                str(plan.store.resolve()),
                given,
                version_of_code(),
                pure=False,
                retries=3,  # a worker that dies takes its block with it, not the run
            )
            by_key[future.key] = block
            futures.append(future)
        return futures

    threads = sum(client.nthreads().values()) or 1
    pending = _distributed().as_completed(hand_out(IN_FLIGHT * threads))
    for future in pending:
        yield by_key.pop(future.key), _answer(future)
        for more in hand_out(1):
            pending.add(more)


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError:
        raise MissingExtra(
            "a cluster needs dask.distributed, which is not installed; run: "
            'pip install "beltcast[scale]"'
        ) from None


def _answer(future: Any) -> bool:
    kind, value = future.result()
    if kind == "refused":
        raise InputError(str(value))
    return bool(value)


def compute_there(
    files: Files, store: str, given: tuple[int, int, int, int], version: str
) -> tuple[str, object]:
    """What a worker does: read the plan from bytes, compute a block, write it.

    Faults of ours come back as words, because an exception with a file and line does not travel.
    """
    if version_of_code() != version:
        return "refused", (
            f"a worker runs beltcast {version_of_code()} and the plan was made by {version}; "
            "install the same version everywhere"
        )
    try:
        plan = _unpacked(files)
        place = Store(Path(store), (*plan.outputs, "status"))
        return "computed", compute(plan, place, Block(*given))
    except BeltcastError as problem:
        return "refused", f"on a worker: {problem}"


def _files(plan: RunPlan) -> Files:
    """Role, name and bytes of all files of a plan."""
    return tuple((role, path.name, path.read_bytes()) for role, path in plan.files.items())


@lru_cache(maxsize=4)
def _unpacked(files: Files) -> RunPlan:
    """A plan read from bytes, once a process; the model's tables lie beside it again."""
    with tempfile.TemporaryDirectory(prefix="beltcast-") as folder:
        found = {}
        for role, name, content in files:
            beside_model = role == "model" or role.startswith(TABLE)
            found[role] = Path(folder) / ("model" if beside_model else role) / name
            found[role].parent.mkdir(exist_ok=True)
            found[role].write_bytes(content)
        own = {role: path for role, path in found.items() if role in ROLES}
        return read_plan(found["plan"], own)
