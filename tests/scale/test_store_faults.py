"""Whatever a run stands on may break: it says so in one sentence, and goes on to the same bits."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from beltcast.ensembles.member_statistics import quantiles
from beltcast.errors import InputError, RunStopped
from beltcast.scale import cluster as cluster_module
from beltcast.scale.blocks import run_plan
from beltcast.scale.compute import compute_parcel, pack
from beltcast.scale.journal import journal
from beltcast.scale.runplan import RunPlan, read_plan, version_of_code
from beltcast.scale.store import COMPLETE, create_store, open_store, resume_store

from .test_store import bits, plan_in

pytest.importorskip("zarr", reason='needs the extra "scale"')

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
RATES = np.array([0.05, 0.1, 0.2, 0.4])
LONG = {"members": 800, "block": 16, "store": "out.zarr"}
"""100 blocks: there is time to break something."""


def start(*arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", *map(str, arguments)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def complete(folder: Path) -> int:
    return len(list((folder / "out.zarr" / COMPLETE).glob("[0-9]*.json")))


def until(true: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something, at most a minute, or until a process has ended."""
    deadline = time.monotonic() + 60
    while not true() and time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            return
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Bits of the long plan."""
    return bits(run_plan(read_plan(plan_in(tmp_path_factory.mktemp("whole"), **LONG))).path)


# --- draws of a posterior ---------------------------------------------------------------------


def posterior(plan: RunPlan, path: Path) -> None:
    """As `beltcast sample` leaves it: (chain, draw), in units, in a group."""
    hashes = {
        "model_sha256": plan.model.source.text_sha256,
        "priors_sha256": plan.priors.sha256 if plan.priors else "",
    }
    data = xr.Dataset({"rate": (("chain", "draw"), RATES.reshape(2, 2))}, attrs=hashes)
    data.to_netcdf(path, group="posterior", engine="netcdf4")


def thinned(plan: RunPlan, path: Path) -> None:
    """As `beltcast forecast` leaves it: on working scales, nuisances after the parameters."""
    # A lognormal's working scale is the logarithm.
    theta = np.stack([np.log(RATES), np.zeros(4)], axis=1)
    xr.Dataset({"theta": (("member", "parameter"), theta)}, {"parameter": ["rate", "a nuisance"]}
               ).to_netcdf(path, engine="netcdf4")  # fmt: skip


@pytest.mark.parametrize("write", [posterior, thinned])
def test_members_are_draws_of_the_posterior_whichever_command_wrote_it(
    write: Callable[[RunPlan, Path], None], tmp_path: Path
) -> None:
    write(read_plan(plan_in(tmp_path)), tmp_path / "fit.nc")
    plan = read_plan(plan_in(tmp_path, draws="fit.nc"))
    members = np.concatenate([plan.draws(block)[1] for block in plan.blocks()[:4]])
    assert members.shape == (50, 1)
    np.testing.assert_allclose(np.unique(members.round(12)), RATES)  # all of them, nothing else
    assert plan.draws(plan.blocks()[0])[0] == ("rate",)
    assert not np.array_equal(*(plan.draws(plan.blocks()[i])[1] for i in (0, 1)))
    here = bits(run_plan(plan).path)
    shutil.rmtree(plan.store)
    create_store(plan)
    for block in plan.blocks():  # from bytes alone, as a worker does it
        given = (block.scenario, block.number, block.first, block.last)
        kind, _ = compute_parcel(pack(plan), str(plan.store), given, version_of_code())
        assert kind == "computed"
    assert bits(plan.store) == here


def test_other_draws_are_another_plan(tmp_path: Path) -> None:
    posterior(read_plan(plan_in(tmp_path)), tmp_path / "fit.nc")
    path = plan_in(tmp_path, draws="fit.nc")
    create_store(read_plan(path))
    thinned(read_plan(path), tmp_path / "fit.nc")
    with pytest.raises(InputError, match="draws was"):
        resume_store(read_plan(path))


def test_draws_of_another_study_or_none_are_refused(tmp_path: Path) -> None:
    posterior(read_plan(plan_in(tmp_path)), tmp_path / "fit.nc")
    priors = tmp_path / "priors.toml"
    path = plan_in(tmp_path, draws="fit.nc")
    priors.write_text(priors.read_text().replace("0.5", "0.4"))
    with pytest.raises(InputError, match="of another study: the priors changed since"):
        read_plan(path)
    with pytest.raises(InputError, match="draws are given without priors"):
        read_plan(plan_in(tmp_path, draws="fit.nc", priors=None))
    xr.Dataset({"speed": ("draw", RATES)}).to_netcdf(tmp_path / "fit.nc", engine="netcdf4")
    with pytest.raises(InputError, match="not a finite draw of each constant"):
        read_plan(plan_in(tmp_path, draws="fit.nc"))
    (tmp_path / "fit.nc").write_text("rate\n0.1\n")
    with pytest.raises(InputError, match="draws cannot be read"):
        read_plan(plan_in(tmp_path, draws="fit.nc"))


POOL = """
["Level"]
distribution = "lognormal"
median = 10.0
log_sd = 0.3
bounds = [0.001, 1000.0]
unit = "bnCNY/Year"
per = "Place"
pool = "partial"
between = 0.2
between_log_sd = 0.4
source = "a test"
"""


def test_the_standard_deviation_of_a_pool_is_drawn_but_is_no_constant_of_the_model(
    tmp_path: Path, make: SimpleNamespace
) -> None:
    (tmp_path / "small.mdl").write_text(make.model)
    (tmp_path / "pool.toml").write_text(POOL)
    path = tmp_path / "plan.toml"
    path.write_text(
        '[run]\nmodel = "small.mdl"\npriors = "pool.toml"\noutputs = ["firms"]\nmembers = 20\n'
    )
    plan = read_plan(path)
    assert plan.draws(plan.blocks()[0])[0] == ("Level", "Level[East]", "Level[West]")
    assert (open_store(run_plan(plan).path)["status"] == 0).all()


# --- faults of what a run stands on -----------------------------------------------------------


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady, jumping = tmp_path / "steady", tmp_path / "jumping"
    steady.mkdir(), jumping.mkdir()
    run_plan(read_plan(plan_in(steady)))
    rng = np.random.default_rng(8)
    monkeypatch.setattr(time, "time", lambda: float(rng.uniform(-1e9, 4e9)))
    run_plan(read_plan(plan_in(jumping)))
    assert bits(jumping / "out.zarr") == bits(steady / "out.zarr")


def test_a_run_waits_for_workers_as_long_as_its_patience_and_for_no_scheduler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, there = [100.0], {"a worker": 1}
    monkeypatch.setattr(cluster_module.time, "monotonic", lambda: now[0])
    client = SimpleNamespace(status="running", nthreads=lambda: there)
    look = cluster_module._watch(client)
    look()
    there.clear()
    for now[0] in (200.0, 200.0 + cluster_module.PATIENCE):  # the wait begins with the first look
        look()
    there["another"] = 1
    now[0] += 1.0
    look()
    there.clear()
    look()
    now[0] += cluster_module.PATIENCE + 0.1
    with pytest.raises(RunStopped, match=r"no worker for 30 s.*rerun with --resume"):
        look()
    client.status = "closed"
    with pytest.raises(RunStopped, match="the scheduler is gone"):
        look()


def test_ctrl_c_ends_a_run_that_resumes_bit_for_bit(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    path = plan_in(tmp_path, **LONG)
    log = tmp_path / "log.jsonl"
    run = start("beltcast", "run", path, "--json-log", log)
    until(lambda: complete(tmp_path) > 3, run)
    run.send_signal(signal.SIGINT)
    _, words = run.communicate(timeout=30)
    assert run.returncode == 130, words
    assert "Traceback" not in words
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "interrupted"
    assert 3 < len(resume_store(read_plan(path)).finished()) < 100
    assert bits(run_plan(read_plan(path), resume=True).path) == undisturbed


@contextmanager
def cluster(folder: Path, *where: str, prefix: tuple[str, ...] = ()) -> Iterator[tuple]:  # type: ignore[type-arg]  # scheduler, worker, address
    """A scheduler and a worker, each a process of its own."""
    file = folder / f"scheduler-{time.monotonic_ns()}.json"
    host = where[0] if where else "127.0.0.1"
    scheduler = start(
        "distributed.cli.dask_scheduler", "--host", host, "--port", 0, "--no-dashboard",
        "--dashboard-address", f"{host}:0", "--scheduler-file", file,
    )  # fmt: skip
    processes = [scheduler]
    try:
        until(lambda: file.exists() and file.stat().st_size > 0, scheduler)
        address = json.loads(file.read_text())["address"]
        worker = start(
            "distributed.cli.dask_worker", address, "--nthreads", 1, "--no-nanny",
            "--no-dashboard", "--local-directory", folder, prefix=prefix,
        )  # fmt: skip
        processes.append(worker)
        yield scheduler, worker, address
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_without_its_scheduler_a_run_ends_in_one_sentence_and_resumes(
    undisturbed: dict[str, bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """kill -9 at random moments (`--kills 60`: 20 schedulers, a third as many)."""
    pytest.importorskip("distributed", reason='needs the extra "scale"')
    path = plan_in(tmp_path, **LONG)
    rng, finished = np.random.default_rng(4), 0
    for kill in range(max(1, request.config.getoption("--kills") // 3)):
        with cluster(tmp_path) as (scheduler, _, address):
            resume = ["--resume"] if kill else []
            run = start("beltcast", "run", path, "--scheduler", address, *resume)
            until(lambda before=finished: complete(tmp_path) > before, run)
            time.sleep(rng.uniform(0, 0.2))
            scheduler.kill()
            _, words = run.communicate(timeout=60)
        if run.returncode != 0:  # it may have been done by then
            assert run.returncode == 1, words
            assert words.strip().splitlines() == [
                "beltcast: the scheduler is gone; complete parts are kept: restart it, then "
                "rerun with --resume"
            ]
        now = len(resume_store(read_plan(path)).finished())
        assert now >= finished
        finished = now
    if finished < 100:
        run_plan(read_plan(path), resume=True)
    assert bits(tmp_path / "out.zarr") == undisturbed


IMPATIENT = """
import sys
from distributed import Client
import beltcast.scale.cluster
from beltcast.cli import main
with Client(sys.argv[-1], set_as_default=False) as client:
    client.wait_for_workers(1, timeout=60)  # a busy machine takes longer than the patience
beltcast.scale.cluster.PATIENCE = 1.0
main()
"""


@pytest.mark.long
def test_without_any_worker_a_run_ends_in_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason='needs the extra "scale"')
    path = plan_in(tmp_path, **LONG)
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    with cluster(tmp_path) as (_, worker, address):
        run = subprocess.Popen(
            [sys.executable, tmp_path / "impatient.py", "run", path, "--scheduler", address],
            env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(lambda: complete(tmp_path) > 0, run)
        worker.kill()
        _, words = run.communicate(timeout=60)
    assert run.returncode == 1, words
    assert words.strip().splitlines() == [
        "beltcast: there has been no worker for 1 s; complete parts are kept: restart it, then "
        "rerun with --resume"
    ]
    assert len(resume_store(read_plan(path)).finished()) >= 1


def test_a_task_that_dask_forgot_says_nothing_after_our_sentence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As when the last worker dies: the client is closed while its tasks wait for an answer."""

    async def lost() -> None:
        raise OSError("the worker has gone")

    def forget(loop: asyncio.AbstractEventLoop) -> str:
        caplog.clear()
        task = loop.create_task(lost())
        # In a thread: a browser that an earlier test drove leaves its own loop running in this one.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(loop.run_until_complete, asyncio.wait([task])).result()
        del task
        gc.collect()
        loop.close()
        return caplog.text

    assert "Task exception was never retrieved" in forget(asyncio.new_event_loop())
    loop = asyncio.new_event_loop()
    client = SimpleNamespace(
        loop=SimpleNamespace(asyncio_loop=loop), cluster=None, close=lambda timeout: None
    )
    monkeypatch.setattr(cluster_module, "connect", lambda address, workers: client)
    with cluster_module.connected("tcp://127.0.0.1:1"):
        pass
    assert forget(loop) == ""


@pytest.mark.long
def test_a_worker_in_a_network_of_its_own_gives_the_same_bits(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """A namespace is another machine as far as the network goes; the folder is shared."""
    pytest.importorskip("distributed", reason='needs the extra "scale"')
    name, net = f"bc{os.getpid()}", f"10.213.{os.getpid() % 250}"
    commands = [
        f"ip netns add {name}",
        f"ip link add v{name} type veth peer name w{name} netns {name}",
        f"ip addr add {net}.1/24 dev v{name}",
        f"ip link set v{name} up",
        f"ip -n {name} addr add {net}.2/24 dev w{name}",
        f"ip -n {name} link set w{name} up",
        f"ip -n {name} link set lo up",
    ]
    try:
        for command in commands:
            try:
                subprocess.run(command.split(), check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError) as problem:
                pytest.skip(f"no network namespaces here: {command}: {problem}")
        path = plan_in(tmp_path, **LONG)
        with cluster(tmp_path, f"{net}.1", prefix=("ip", "netns", "exec", name)) as (*_, address):
            run = start("beltcast", "run", path, "--scheduler", address)
            _, words = run.communicate(timeout=90)
        assert run.returncode == 0, words
        assert bits(tmp_path / "out.zarr") == undisturbed
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


SMALL_DISK = """
set -u
mount -t tmpfs -o size=1m none "$1" || exit 77
cp "$2"/* "$1"
beltcast() { "$3" -m beltcast run "$1" --json-log "$2/log.jsonl" ${4:-}; echo "code $?"; }
echo full; beltcast "$1/plan.toml" "$2" "$3"
mount -o remount,size=64m,ro "$1"
echo read-only; beltcast "$1/plan.toml" "$2" "$3" --resume
mount -o remount,rw "$1"
echo mended; beltcast "$1/plan.toml" "$2" "$3" --resume
cp -r "$1/out.zarr" "$2"
"""


@pytest.mark.long
def test_a_full_disk_and_a_read_only_one_are_said_and_outlived(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """1 MB in memory, seen by one process only; each of some 400 files takes a page of 4 kB."""
    mounted, files = tmp_path / "disk", tmp_path / "files"
    mounted.mkdir(), files.mkdir()
    plan_in(files, **LONG)
    script = ["unshare", "--mount", "bash", "-c", SMALL_DISK, "bash"]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here to mount a small disk with")
    done = subprocess.run(
        [*script, str(mounted), str(files), sys.executable],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    codes = [line for line in done.stdout.splitlines() if line.startswith("code")]
    assert codes == ["code 1", "code 1", "code 0"], done.stdout + done.stderr
    full, read_only = done.stderr.strip().splitlines()
    assert "cannot be written to (no space left on device)" in full
    assert "(read-only file system)" in read_only
    story = [json.loads(line) for line in (files / "log.jsonl").read_text().splitlines()]
    ends = [e["event"] for e in story if e["event"] != "block"]
    assert ends == ["started", "failed", "resumed", "failed", "resumed", "finished"]
    assert 0 < next(e["complete"] for e in story if e["event"] == "resumed") < 100
    assert bits(files / "out.zarr") == undisturbed


# --- what is said of a run --------------------------------------------------------------------


def test_the_log_tells_a_run_block_by_block(tmp_path: Path) -> None:
    plan, log = read_plan(plan_in(tmp_path)), tmp_path / "log.jsonl"
    with journal(log) as tell:
        run_plan(plan, tell=tell)
    with pytest.raises(InputError), journal(log) as tell:
        run_plan(plan, tell=tell)  # there is a store already
    first, *blocks, last, failed = map(json.loads, log.read_text().splitlines())
    assert (first["event"], first["complete"], first["blocks"]) == ("started", 0, 8)
    assert [b["complete"] for b in blocks] == list(range(1, 9))
    assert [(b["first"], b["last"]) for b in blocks[:4]] == [(0, 15), (16, 31), (32, 47), (48, 49)]
    assert [b["scenario"] for b in blocks] == ["base"] * 4 + ["fast"] * 4
    assert all(b["seconds"] > 0 for b in blocks)
    assert last["event"] == "finished"
    assert (failed["event"], failed["error"]) == ("failed", "InputError")
    with pytest.raises(InputError, match="cannot be written to"), journal(tmp_path):
        pass


@pytest.mark.parametrize("form", ["csv", "netcdf"])
def test_a_store_is_exported_as_quantiles(form: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from beltcast.cli import app

    data = open_store(run_plan(read_plan(plan_in(tmp_path))).path).load()
    said = CliRunner().invoke(app, ["export", str(tmp_path / "out.zarr"), "--format", form])
    assert said.exit_code == 0, said.output
    expected = quantiles(data["x"].astype(np.float64))
    if form == "csv":
        table = pd.read_csv(tmp_path / "out.csv")
        own = table[(table["variable"] == "x_quantile") & (table["scenario"] == "base")]
        np.testing.assert_allclose(own["value"], expected[0].values.ravel(), rtol=1e-12)
        return
    with xr.open_dataset(tmp_path / "out.export.nc") as kept:
        np.testing.assert_allclose(kept["x_quantile"], expected, rtol=1e-12)
        assert kept["failed"].values.tolist() == [0, 0]
