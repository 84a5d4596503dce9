"""A plan: a whole ensemble as one file, so that a cluster job is one line.

::

    [run]
    model = "models/belt/belt.mdl"            # the shipped belt model where left out
    priors = "models/belt/parameters.toml"    # none: the model's own constants
    draws = "runs/belt-posterior/posterior.nc"  # or draws.nc; the priors' own where left out
    scenarios = "models/belt/scenarios.toml"
    only = ["baseline", "headwinds"]          # all where left out
    outputs = ["output", "active sellers"]
    members = 1000000
    seed = 1
    store = "ensemble.zarr"
    memory = "256 MB"                         # what a worker may take for one block
    block = 4096                              # members a block; from `memory` where left out

A plan fixes its list of blocks: (scenario, members from .. to).  The members of a block are drawn
from ``seed`` and the number of the block alone, the same in every scenario, so a block gives the
same bits whoever computes it, and when.  With ``draws`` the members are draws of a posterior, taken
with replacement; ``priors`` are then those of its fit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beltcast.engine.cache import engine_fingerprint
from beltcast.engine.nodes import FloatArray
from beltcast.ensembles.ensemble import output_coordinates, output_dims, versions
from beltcast.errors import InputError, quoted
from beltcast.files.shipped import shipped
from beltcast.files.text import file_sha256, tables_sha256
from beltcast.files.toml import TomlTable, read_toml
from beltcast.model.model import Model, load_model
from beltcast.scale.resample import Sample, read_sample
from beltcast.schema import SCENARIO
from beltcast.streams import Streams
from beltcast.study.priors import Priors
from beltcast.study.priors_file import read_priors
from beltcast.study.scenarios import Scenario, read_scenarios, select

KEYS = (
    "model",
    "priors",
    "draws",
    "scenarios",
    "only",
    "outputs",
    "members",
    "seed",
    "store",
    "memory",
    "block",
)
_SHIPPED = {
    "model": "models/belt/belt.mdl",
    "priors": "models/belt/parameters.toml",
    "scenarios": "models/belt/scenarios.toml",
}
ROLES = (*_SHIPPED, "draws")
TABLE = "table: "
_UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9}
DEFAULT_MEMORY = 256e6
SMALLEST_BLOCK = 16
LARGEST_BLOCK = 8192
"""Default of a plan: Ctrl-C waits for an eighth of a processor's share of a block, and a fault
costs at most the blocks under way."""


@dataclass(frozen=True)
class MemberBlock:
    """The members of one scenario that are computed and written at once.

    Attributes
    ----------
    scenario : int
        Its position in the plan.
    number : int
        Of the block of members; it determines the draws.
    first, last : int
        Members from ``first`` to before ``last``.
    """

    scenario: int
    number: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class RunPlan:
    """A plan with all its files read.

    Attributes
    ----------
    model : Model
    priors : Priors or None
        None if every member has the model's own constants.
    sample : Sample or None
        Draws that members are taken from; None if they are drawn from the priors.
    scenarios : mapping of str to Scenario
    outputs : tuple of str
    members, seed, block : int
    store : Path
    memory : float  [byte]
        Limit for one block.
    files : mapping of str to Path
        All files that a worker elsewhere needs: 'plan', 'model', 'priors', 'draws', 'scenarios',
        and the tables in the model's own folder under ``'table: '`` and their name.
    """

    model: Model
    priors: Priors | None
    sample: Sample | None
    scenarios: Mapping[str, Scenario]
    outputs: tuple[str, ...]
    members: int
    seed: int
    block: int
    store: Path
    memory: float
    files: Mapping[str, Path]

    def blocks(self) -> list[MemberBlock]:
        """All blocks in the order in which they are computed."""
        return [
            MemberBlock(s, number, first, min(first + self.block, self.members))
            for s in range(len(self.scenarios))
            for number, first in enumerate(range(0, self.members, self.block))
        ]

    def draws(self, block: MemberBlock) -> tuple[tuple[str, ...], FloatArray]:
        """Labels and values of the members of a block, whatever its scenario."""
        count = block.last - block.first
        if self.priors is None:
            return (), np.empty((count, 0))
        # Whole blocks are drawn, so that a plan with more members begins with the same ones.
        rng = self.streams(block).members
        if self.sample is not None:
            return self.sample.labels, self.sample.take(rng, self.block)[:count]
        z = self.priors.draw(rng, self.block)[:count]
        # The standard deviation of a pool is a parameter, but not a constant of the model.
        own = self.priors.settable
        return tuple(self.priors.labels[i] for i in own), self.priors.natural(z)[:, own]

    def streams(self, block: MemberBlock) -> Streams:
        """Streams of a block, the same in every scenario."""
        return Streams(self.seed).under(f"block {block.number}")

    def identity(self) -> dict[str, str]:
        """Inputs of a result, one word or hash each; equal for equal results."""
        scenarios = repr([(name, s) for name, s in self.scenarios.items()])
        tables = [path for role, path in self.files.items() if role.startswith(TABLE)]
        draws = self.files.get("draws")
        return {
            "model": self.model.source.text_sha256,
            "tables beside the model": tables_sha256(tables, InputError),
            "priors": "none" if self.priors is None else self.priors.sha256,
            "draws": "none" if draws is None else file_sha256(draws, InputError),
            "scenarios": hashlib.sha256(scenarios.encode()).hexdigest(),
            "outputs": ", ".join(self.outputs),
            "members": str(self.members),
            "members a block": str(self.block),
            "seed": str(self.seed),
            "beltcast": version_of_code(),
        }

    def bytes_on_disk(self) -> float:
        """Size of the result before compression, single precision."""
        return 4.0 * self.members * len(self.scenarios) * self._numbers_a_member()

    def _numbers_a_member(self) -> int:
        return _numbers_a_member(self.model, self.outputs)


def version_of_code() -> str:
    """Version of the package, with the hash of its engine: what a worker must share."""
    package = versions()["versions"].split("beltcast=")[1].split()[0]
    return f"{package} ({(engine_fingerprint() or 'unknown')[:12]})"


def read_plan(path: str | Path, files: Mapping[str, Path] | None = None) -> RunPlan:
    r"""Read a plan and all its files.

    Parameters
    ----------
    path : str or Path
        A TOML file with a table ``[run]``; paths in it are relative to it.
    files : mapping of str to Path, optional
        Paths of the model, priors, draws and scenarios, in place of those in the plan.

    Raises
    ------
    InputError, ModelError
        The first error in any of the files, with its file and line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from beltcast.scale.runplan import read_plan
    >>> text = '[run]\nonly = ["baseline"]\noutputs = ["national output"]\nmembers = 100\n'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "plan.toml").write_text(text)
    ...     len(read_plan(Path(folder) / "plan.toml").blocks())
    1
    """
    toml = read_toml(path, InputError)
    TomlTable(toml, (), toml.tables).only(("run",), "a plan")
    table = TomlTable(toml, (), toml.tables).table("run", called="{}").only(KEYS)
    found = dict(_named_files(table) if files is None else files)
    model = load_model(found["model"])
    outputs = tuple(model.find(name).name for name in table.texts("outputs", []))
    if not outputs:
        raise table.fail(
            'the plan names no outputs; name variables with outputs = ["..."]', "outputs"
        )
    members, memory = table.integer("members", least=1), _memory(table)
    priors = read_priors(found["priors"], model) if "priors" in found else None
    a_member = _bytes_a_member(model, outputs, 0 if priors is None else len(priors))
    beside = found["model"].parent
    for path in sorted((*beside.glob("*.csv"), *beside.glob("*.xls*"))):
        found[TABLE + path.name] = path
    return RunPlan(
        model=model,
        priors=priors,
        sample=_sample(table, found.get("draws"), model, priors),
        scenarios=_scenarios(table, found.get("scenarios"), model),
        outputs=outputs,
        members=members,
        seed=table.integer("seed", 1, least=0),
        block=_block(table, a_member, members, memory),
        store=toml.path.parent
        / table.text("store", f"{toml.path.stem}.zarr", expected="the name of a folder"),
        memory=memory,
        files={"plan": toml.path, **found},
    )


def _named_files(table: TomlTable) -> dict[str, Path]:
    """Paths of the files of a plan; the shipped ones go with the shipped model."""
    found = {}
    for key in ROLES:
        if key in table:
            given = table.text(key, expected="the path of a file")
            found[key] = table.file.path.parent / given
            if not found[key].is_file():
                raise table.fail(
                    f"the {key} file {quoted(given)} is not beside the plan; correct the path", key
                )
        elif "model" not in table and key in _SHIPPED:
            found[key] = shipped(_SHIPPED[key])
    return found


def _sample(
    table: TomlTable, path: Path | None, model: Model, priors: Priors | None
) -> Sample | None:
    if path is None:
        return None
    if priors is None:
        raise table.fail(
            "draws are given without priors, which name their columns; add those of the "
            'fit with priors = "..."',
            "draws",
        )
    return read_sample(path, model, priors)


def _scenarios(table: TomlTable, path: Path | None, model: Model) -> dict[str, Scenario]:
    default = {"default": Scenario("default", "Default")}
    known = default if path is None else read_scenarios(path, model)
    return select(known, table.texts("only")) if "only" in table else known


def _memory(table: TomlTable) -> float:
    if "memory" not in table:
        return DEFAULT_MEMORY
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]B)\s*", str(table.values["memory"]))
    if match is None:
        raise table.refusal("memory", 'a size such as "500 MB"')
    return float(match[1]) * _UNITS[match[2]]


def _numbers_a_member(model: Model, outputs: tuple[str, ...]) -> int:
    """Numbers in the store per member of one scenario."""
    sizes = {k: len(v[1] if isinstance(v, tuple) else v) for k, v in
             output_coordinates(model, outputs, {}, 1).items() if k != SCENARIO}  # fmt: skip
    return sum(
        int(np.prod([sizes[d] for d in output_dims(model, name)[1:]], dtype=np.int64))
        for name in outputs
    )


def _bytes_a_member(model: Model, outputs: tuple[str, ...], drawn: int) -> float:
    """Memory per member while its block is computed."""
    # In double precision a result is held by the run, by its labelled piece and as it is written;
    # a drawn constant as drawn, in its own unit, by row of the model and in vectors.
    return 8.0 * (3 * _numbers_a_member(model, outputs) + 4 * drawn)


def _block(table: TomlTable, a_member: float, members: int, memory: float) -> int:
    """Members per block: the requested number, or as many as the memory allows."""
    most = int(memory / a_member)
    if most < SMALLEST_BLOCK:
        raise table.fail(
            f"a block of {SMALLEST_BLOCK} members takes {SMALLEST_BLOCK * a_member / 1e6:.3g} MB "
            f"and memory = {memory / 1e6:.3g} MB is less; keep fewer outputs or give more memory",
            "memory",
        )
    if "block" not in table:
        return min(members, LARGEST_BLOCK, 1 << (most.bit_length() - 1))
    block = table.integer("block", least=1)
    if block > most:
        raise table.fail(
            f"a block of {block} members takes {block * a_member / 1e6:.3g} MB and "
            f"memory = {memory / 1e6:.3g} MB is less; at most {most} members fit",
            "block",
        )
    return block
