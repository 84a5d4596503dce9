"""Run a plan: compute its missing blocks, here or on a cluster.

The store alone shows which blocks are complete, and a block depends on nothing but the plan, so it
does not matter who computed what, when, or how often the run was stopped.  Nothing depends on the
time of day.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from beltcast.errors import SimulationError
from beltcast.scale.cluster import compute_on
from beltcast.scale.compute import Computed, compute
from beltcast.scale.journal import Tell, silent
from beltcast.scale.runplan import MemberBlock, RunPlan
from beltcast.scale.store import Store, create_store, resume_store
from beltcast.schema import Progress


def run_plan(
    plan: RunPlan,
    *,
    resume: bool = False,
    client: Any = None,
    progress: Progress | None = None,
    tell: Tell = silent,
) -> Store:
    r"""Compute all blocks of a plan that are not complete yet.

    Parameters
    ----------
    plan : RunPlan
    resume : bool
        Continue with the existing store.
    client : dask.distributed.Client, optional
        Compute on its workers; in this process by default, with one thread per processor.
    progress : Progress, optional
    tell : callable, optional
        Called with each event, as `beltcast.scale.journal.journal` provides it.

    Raises
    ------
    InputError
        The store belongs to another plan or to a running run, or there is no room for it.
    RunStopped
        The store can no longer be written to, or the cluster is gone.
    SimulationError
        Every member of every block of a scenario produced NaN or infinity.

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
    with store.alone():
        for file, what in store.damaged().items() if resume else ():
            tell("damaged", block=file.stem, wrong=what)
            warnings.warn(
                f"the block {file.stem} of '{store.path}' is damaged and is computed again: {what}",
                stacklevel=2,
            )
            file.unlink()
        finished = store.finished()
        left = [b for b in plan.blocks() if (b.scenario, b.number) not in finished]
        done, total = len(plan.blocks()) - len(left), len(plan.blocks())
        tell("resumed" if resume else "started", store=str(store.path), complete=done, blocks=total)
        if progress is not None:
            progress("blocks", done, total)
        names = list(plan.scenarios)
        failed: dict[str, bool] = {}
        for computed in _computed(plan, store, left, client):
            name = names[computed.block.scenario]
            failed[name] = failed.get(name, True) and not computed.any_good
            done += 1
            tell(
                "block",
                scenario=name,
                first=computed.block.first,
                last=computed.block.last - 1,
                seconds=round(computed.seconds, 6),
                complete=done,
                blocks=total,
            )
            if progress is not None:
                progress("blocks", done, total)
    for name, all_failed in failed.items():
        if all_failed:
            raise SimulationError(
                f"all members of the scenario '{name}' produced NaN or infinity; check its "
                f"constants"
            )
    tell("finished", store=str(store.path), complete=done, blocks=total)
    return store


def _computed(
    plan: RunPlan, store: Store, blocks: Sequence[MemberBlock], client: Any
) -> Iterator[Computed]:
    if client is not None:
        return compute_on(client, plan, blocks)
    return (compute(plan, store, block) for block in blocks)
