"""A store: what it keeps is what was computed, whoever computed it and however often it stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from beltcast.ensembles.ensemble import run_ensemble
from beltcast.ensembles.member_statistics import quantiles
from beltcast.ensembles.verdicts import positive_share
from beltcast.errors import InputError, RunStopped, SimulationError
from beltcast.scale.blocks import run_plan
from beltcast.scale.compute import compute_parcel, pack
from beltcast.scale.runplan import read_plan
from beltcast.scale.store import (
    COMPLETE,
    Store,
    check_store,
    create_store,
    open_store,
    resume_store,
)
from beltcast.scale.stream import _quantiles, _range, stored_change, stored_mean, stored_quantiles
from beltcast.study.scenarios import Scenario

from ..model_texts import write_model

zarr = pytest.importorskip("zarr", reason='needs the extra "scale"')

PARTS = {
    "rate": "0.1 ~ 1/Year",
    "x": "INTEG(rate*x, 1) ~ bnCNY",
    "flow": "rate*x ~ bnCNY/Year",
}
PRIORS = '[rate]\ndistribution = "lognormal"\nmedian = 0.1\nlog_sd = 0.5\n'
PRIORS += 'unit = "1/Year"\nsource = "test"\n'
SLOW = Scenario("base", "Base")
SCENARIOS = '[base]\ntitle = "Base"\n[fast]\ntitle = "Fast"\n[fast.constants]\nrate = 0.3\n'


def plan_in(folder: Path, **changes: object) -> Path:
    """Write a plan of 50 members in blocks of 16, two scenarios, with all its files."""
    model = write_model(folder, PARTS, {"FINAL TIME": "4", "TIME STEP": "0.5"})
    (folder / "priors.toml").write_text(PRIORS)
    (folder / "scenarios.toml").write_text(SCENARIOS)
    table = {
        "model": model.name, "priors": "priors.toml", "scenarios": "scenarios.toml",
        "outputs": ["x", "flow"], "members": 50, "block": 16, "seed": 5, "store": "out.zarr",
        **changes,
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None]
    path = folder / "plan.toml"
    path.write_text("[run]\n" + "\n".join(lines) + "\n")
    return path


def bits(path: Path) -> dict[str, bytes]:
    data = open_store(path)
    return {str(n): v.values.tobytes() for n, v in data.data_vars.items()}


def test_a_store_holds_what_an_ensemble_of_the_same_members_gives(tmp_path: Path) -> None:
    plan = read_plan(plan_in(tmp_path))
    data = open_store(run_plan(plan).path)
    parts = [plan.draws(block) for block in plan.blocks()[:4]]
    draws = (parts[0][0], np.concatenate([values for _, values in parts]))
    whole = run_ensemble(plan.model, plan.scenarios, draws, outputs=plan.outputs)
    for name in ("x", "flow"):
        np.testing.assert_array_equal(data[name], whole[name].astype(np.float32))
        assert data[name].dims == whole[name].dims
        assert data[name].attrs["units"] == whole[name].attrs["units"]
    assert data["scenario"].values.tolist() == ["base", "fast"]
    fast = data["x"].sel(scenario="fast")
    assert (fast == fast.isel(member=0)).all()  # the scenario wins over the draws


def test_the_members_of_a_block_do_not_depend_on_how_many_blocks_there_are(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir(), many.mkdir()
    short = open_store(run_plan(read_plan(plan_in(few, members=20))).path)
    long = open_store(run_plan(read_plan(plan_in(many))).path)
    np.testing.assert_array_equal(short["x"], long["x"].isel(member=slice(20)))


def test_a_stopped_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    run_plan(read_plan(plan_in(whole)))
    plan = read_plan(plan_in(broken))

    def stop(_what: str, done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, progress=stop)
    with pytest.raises(InputError, match="has 3 of 8 blocks"):
        open_store(plan.store)
    partly = open_store(plan.store, partial=True)
    assert (partly["status"] == -1).sum() == 100 - 48
    written = {f.name: f.stat().st_mtime_ns for f in (plan.store / COMPLETE).iterdir()}
    run_plan(plan, resume=True)
    assert (
        written.items()
        <= {f.name: f.stat().st_mtime_ns for f in (plan.store / COMPLETE).iterdir()}.items()
    )  # what was complete was not computed again
    assert bits(broken / "out.zarr") == bits(whole / "out.zarr")


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment_loses_no_finished_block(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """kill -9 at random moments of one run that is resumed each time (`--kills 20`: 20 of them)."""
    whole = tmp_path / "whole"
    whole.mkdir()
    changes = {"members": 800, "block": 16, "outputs": ["x", "flow"]}
    run_plan(read_plan(plan_in(whole, **changes)))
    path = plan_in(tmp_path, **changes)
    rng, finished = np.random.default_rng(3), 0
    for _ in range(request.config.getoption("--kills")):
        resume = ["--resume"] if (tmp_path / "out.zarr").exists() else []
        process = subprocess.Popen(
            [sys.executable, "-m", "beltcast", "run", str(path), *resume],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        began = len(list((tmp_path / "out.zarr" / COMPLETE).glob("*.json")))
        deadline = time.monotonic() + 60
        # Kill at a random moment after it has begun to write, or when it is done.
        while process.poll() is None and time.monotonic() < deadline:
            if len(list((tmp_path / "out.zarr" / COMPLETE).glob("*.json"))) > began:
                time.sleep(rng.uniform(0, 0.3))
                break
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        now = len(resume_store(read_plan(path)).finished())  # raises if a block is not whole
        assert now >= finished
        finished = now
    if finished < 100:
        run_plan(read_plan(path), resume=True)
    assert bits(tmp_path / "out.zarr") == bits(whole / "out.zarr")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seed", 6, "seed was 5 and is 6"),
        ("outputs", ["x"], "outputs was x, flow and is x"),
        ("members", 60, "members was 50 and is 60"),
        ("block", 8, "members a block was 16 and is 8"),
    ],
)
def test_a_store_of_another_plan_is_refused_with_what_differs(
    key: str, value: object, words: str, tmp_path: Path
) -> None:
    create_store(read_plan(plan_in(tmp_path)))
    with pytest.raises(InputError, match=words):
        resume_store(read_plan(plan_in(tmp_path, **{key: value})))


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("priors.toml", "0.5", "0.4", "priors was"),
        ("scenarios.toml", "0.3", "0.2", "scenarios was"),
        ("model", "rate*x", "rate*x*1", "model was"),
    ],
)
def test_a_store_of_other_files_is_refused(
    file: str, old: str, new: str, words: str, tmp_path: Path
) -> None:
    create_store(read_plan(plan_in(tmp_path)))
    path = plan_in(tmp_path)
    source = read_plan(path).files["model"] if file == "model" else tmp_path / file
    source.write_text(source.read_text().replace(old, new))
    with pytest.raises(InputError, match=words):
        resume_store(read_plan(path))


def test_whatever_else_has_the_name_of_the_store_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    for name in ("file", "folder", "."):
        for resume in (False, True):
            with pytest.raises(InputError, match="cannot be opened as a store; give another"):
                run_plan(read_plan(plan_in(tmp_path, store=name)), resume=resume)
    with pytest.raises(InputError, match=r"the folder '.*file' of the store does not exist"):
        run_plan(read_plan(plan_in(tmp_path, store="file/out.zarr")))
    with pytest.raises(InputError, match=r"there is no store '.*nowhere'"):
        open_store(tmp_path / "nowhere")
    assert (tmp_path / "file").read_text() == "mine"
    assert os.listdir(tmp_path / "folder") == ["thesis.txt"]


@pytest.mark.parametrize("name", ["out.zarr/", "跨境 电商.zarr"])
def test_a_store_may_have_a_slash_at_its_end_and_any_name(name: str, tmp_path: Path) -> None:
    plan = read_plan(plan_in(tmp_path, store=name))
    run_plan(plan)
    run_plan(plan, resume=True)
    assert np.isfinite(open_store(f"{tmp_path}/{name}")["x"].values).all()
    with pytest.raises(InputError, match="exists; continue it with --resume"):
        run_plan(plan)


def test_two_runs_do_not_work_on_one_store(tmp_path: Path) -> None:
    plan = read_plan(plan_in(tmp_path))
    store = create_store(plan)
    with store.alone(), pytest.raises(InputError, match="another run is using"):
        run_plan(plan, resume=True)
    assert len(run_plan(plan, resume=True).finished()) == 8


@pytest.mark.parametrize("content", ["[", "{}", "[1]"])
def test_a_broken_list_of_chunks_is_damage(content: str, tmp_path: Path) -> None:
    store = run_plan(read_plan(plan_in(tmp_path)))
    (store.path / COMPLETE / "1-2.json").write_text(content)
    with pytest.raises(InputError, match=r"damaged: .* does not list its chunks; delete complete"):
        open_store(store.path)


def test_a_block_of_another_store_does_not_stand_in_for_a_missing_one(tmp_path: Path) -> None:
    store = run_plan(read_plan(plan_in(tmp_path)))
    (store.path / COMPLETE / "0-0.json").rename(store.path / COMPLETE / "7-7.json")
    with pytest.raises(InputError, match="has 7 of 8 blocks"):
        open_store(store.path)


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    store = run_plan(read_plan(plan_in(tmp_path)))
    chunk = next((store.path / "x" / "c" / "1").glob("2/*"))
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(ValueError, match=r"(?i)checksum"):
        open_store(store.path)["x"].load()


def test_a_store_that_was_cut_short_is_found_when_it_is_opened(tmp_path: Path) -> None:
    store = run_plan(read_plan(plan_in(tmp_path)))
    next((store.path / "flow" / "c" / "0").glob("1/*")).unlink()
    with pytest.raises(InputError, match=r"is damaged: flow/c/0/1.*delete complete/0-1.json"):
        open_store(store.path)
    (store.path / COMPLETE / "0-1.json").unlink()
    run_plan(read_plan(tmp_path / "plan.toml"), resume=True)
    assert np.isfinite(open_store(store.path)["flow"].values).all()


def test_a_result_that_does_not_fit_on_the_disk_is_refused_with_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(plan_in(tmp_path, members=10**12))
    # x at 5 instants and flow in 4 years, two scenarios, 4 bytes each: 72 bytes a member.
    assert plan.bytes_on_disk() == 72e12
    with pytest.raises(InputError, match=r"up to 7.56e\+04 GB"):
        create_store(plan)
    assert not plan.store.exists()


def test_what_a_killed_run_left_of_a_chunk_is_gone_when_it_resumes(tmp_path: Path) -> None:
    plan = read_plan(plan_in(tmp_path))
    store = run_plan(plan)
    # zarr writes a chunk beside its place, under a name like this, and moves it there.
    part = store.path / "x" / "c" / "0" / f"0.{32 * 'a'}.partial"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(b"half")
    resume_store(plan)
    assert not part.exists()


def test_a_full_disk_leaves_finished_blocks_and_the_run_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(plan_in(tmp_path))
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 10:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunStopped, match=r"no space left on device.*--resume"):
            run_plan(plan)
    assert len(resume_store(plan).finished()) == 2
    assert len(run_plan(plan, resume=True).finished()) == 8


def test_a_worker_of_another_version_is_refused(tmp_path: Path) -> None:
    plan = read_plan(plan_in(tmp_path))
    kind, words = compute_parcel(pack(plan), str(plan.store), (0, 0, 0, 16), "0.0.1 (abc)")
    assert kind == "refused"
    assert "install the same version everywhere" in str(words)


KILLER = """
import os, random, signal, sys
from beltcast.errors import RunStopped
from beltcast.scale.blocks import run_plan
from beltcast.scale.cluster import connected
from beltcast.scale.runplan import read_plan
def main():
    plan, kills = read_plan(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(6)
    when = sorted(rng.sample(range(1, len(plan.blocks()) - 10), kills))
    killed = 0
    def tell(what, done, total):
        nonlocal killed
        alive = [w for w in client.cluster.workers.values() if w.is_alive()]
        if when and done >= when[0] and alive:
            when.pop(0)
            os.kill(rng.choice(alive).pid, signal.SIGKILL)
            killed += 1
    for number in range(20):
        with connected(None, 2) as client:
            try:
                run_plan(plan, client=client, resume=number > 0, progress=tell)
                break
            # A block that four workers died of ends a run, and so does having none left: dask does
            # not replace a worker that dies while it starts.
            except RunStopped as problem:
                assert "--resume" in str(problem) or "is kept" in str(problem), problem
    print(killed)
if __name__ == "__main__":
    main()
"""


@pytest.mark.long
def test_two_worker_processes_give_the_bits_of_one_though_they_are_killed(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Two workers of a real scheduler, one of them killed at random blocks (`--kills 60`: 20)."""
    pytest.importorskip("distributed", reason='needs the extra "scale"')
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    run_plan(read_plan(plan_in(here, members=1000)))
    path = plan_in(there, members=1000)
    script = tmp_path / "cluster.py"
    script.write_text(KILLER)
    kills = max(1, request.config.getoption("--kills") // 3)
    done = subprocess.run(
        [sys.executable, str(script), str(path), str(kills)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == kills
    assert bits(there / "out.zarr") == bits(here / "out.zarr")


def test_all_members_failing_is_an_error_and_some_are_marked(tmp_path: Path) -> None:
    plan = read_plan(plan_in(tmp_path))
    model = plan.files["model"]
    text = model.read_text()
    model.write_text(text.replace("rate*x,", "IF THEN ELSE(rate > 0.1, LN(-1), rate)*x,"))
    store = run_plan(replace(read_plan(tmp_path / "plan.toml"), scenarios={"base": SLOW}))
    status = open_store(store.path)["status"]
    assert set(status.values.ravel().tolist()) == {0, 1}
    assert np.isnan(open_store(store.path)["x"].values[status.values == 1]).all()
    model.write_text(text.replace("rate*x,", "LN(-1)*x,"))
    (tmp_path / "plan.toml").write_text(
        (tmp_path / "plan.toml").read_text().replace("out.zarr", "none.zarr")
    )
    with pytest.raises(SimulationError, match="all members of the scenario 'base' produced NaN"):
        run_plan(read_plan(tmp_path / "plan.toml"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"members": 0}, "members is 0; expected a whole number of at least 1"),
        ({"outputs": []}, "the plan names no outputs"),
        ({"outputs": "x"}, "outputs is 'x'; expected a list of names"),
        ({"memory": "lots"}, 'expected a size such as "500 MB"'),
        ({"memory": "1 KB"}, "keep fewer outputs or give more memory"),
        ({"memory": "20 KB", "block": 4000}, "at most 80 members fit"),
        ({"model": "other.mdl"}, "the model file 'other.mdl' is not beside the plan"),
        ({"colour": 1}, r"unknown key 'colour' of \[run\]"),
        ({"store": 5}, "store is 5; expected the name of a folder"),
        ({"store": ""}, "store is ''; expected the name of a folder"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_line(
    changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words) as problem:
        read_plan(plan_in(tmp_path, **changes))
    assert problem.value.line is not None


# --- answers from a store ---------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    values=arrays(
        np.float64,
        st.tuples(st.integers(1, 40), st.integers(1, 3)),
        elements=st.one_of(
            st.floats(-1e6, 1e6), st.just(np.nan), st.sampled_from([0.0, 1.0, 1e-300])
        ),
    ),
    size=st.integers(1, 7),
)
def test_quantiles_by_blocks_are_those_of_all_members_at_once(
    values: np.ndarray, size: int
) -> None:
    levels = np.array([0.0, 0.05, 0.5, 0.77, 1.0])

    def blocks():  # type: ignore[no-untyped-def]  # an iterator of arrays
        return iter([values[i : i + size] for i in range(0, len(values), size)])

    found = _quantiles(blocks, levels)
    for cell in range(values.shape[1]):
        own = values[:, cell][np.isfinite(values[:, cell])]
        if not len(own):
            assert np.isnan(found[cell]).all()
            continue
        scale = max(1e-12, np.abs(own).max())
        np.testing.assert_allclose(found[cell], np.quantile(own, levels), atol=1e-12 * scale)


def test_answers_from_a_store_are_those_of_the_members(tmp_path: Path) -> None:
    data = open_store(run_plan(read_plan(plan_in(tmp_path))).path)
    loaded: xr.Dataset = data.load().copy()
    wide = loaded["x"].astype(np.float64)
    np.testing.assert_allclose(stored_quantiles(data, "x"), quantiles(wide), rtol=1e-12)
    np.testing.assert_allclose(stored_mean(data, "x"), wide.mean("member"), rtol=1e-12)
    change = stored_change(data, "x")
    ratio = wide / wide.isel(scenario=0)
    np.testing.assert_allclose(change["change_quantile"], quantiles(ratio), rtol=1e-12)
    share = positive_share((wide - wide.isel(scenario=0)).transpose(..., "member").values, 0.0)
    np.testing.assert_allclose(change["chance_of_more"], share, rtol=1e-12)
    with pytest.raises(InputError, match="holds no 'y'; expected one of 'flow', 'x'"):
        stored_mean(data, "y")
    shutil.rmtree(tmp_path / "out.zarr")


def flip(store: Store) -> None:
    chunk = next((store.path / "x" / "c" / "1").glob("2/*"))
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)


def test_check_names_a_block_with_a_flipped_bit_and_resume_computes_it_again(
    tmp_path: Path,
) -> None:
    plan = read_plan(plan_in(tmp_path))
    store = run_plan(plan)
    before = open_store(store.path)["x"].values
    assert check_store(store.path) == (8, 8, {})
    flip(store)
    whole, blocks, damaged = check_store(store.path)
    assert (whole, blocks, list(damaged)) == (7, 8, ["1-2"])
    with pytest.warns(UserWarning, match=r"the block 1-2 of .* is damaged and is computed again"):
        run_plan(plan, resume=True)
    assert check_store(store.path) == (8, 8, {})
    np.testing.assert_array_equal(open_store(store.path)["x"].values, before)


def blocks_in_memory(values: np.ndarray, size: int) -> xr.Dataset:
    """Two scenarios of members in blocks of a size, the last one shorter, as from a store."""
    data = xr.Dataset(
        {"x": (("scenario", "member", "time"), values.astype(np.float32))},
        {"scenario": ["base", "up"], "time": np.arange(values.shape[2], dtype=float)},
    )
    data["x"].encoding["chunks"] = (1, size, values.shape[2])
    return data


def partly_failed() -> np.ndarray:
    """Members without some numbers, without any, and a last block of two without any."""
    values = np.random.default_rng(3).lognormal(0, 1, (2, 11, 3))
    values[0, 2, 1] = np.nan
    values[1, 2, 2] = np.inf
    values[1, 4, :] = np.nan
    values[0, 7, 0] = -np.inf
    values[1, 9:, :] = np.nan
    values[1, 0, :] = values[0, 0, :]  # no more and no less than the first scenario
    return values


def test_numbers_that_are_missing_are_left_out_one_by_one() -> None:
    """NumPy on all members at once is the oracle; a mean counts only what is known in its cell."""
    values = partly_failed()
    data = blocks_in_memory(values, 3)
    known = np.where(np.isfinite(values), values.astype(np.float32), np.nan).astype(np.float64)
    np.testing.assert_allclose(stored_mean(data, "x"), np.nanmean(known, axis=1), rtol=1e-12)
    want = np.moveaxis(np.nanquantile(known, [0.1, 0.5, 0.9], axis=1), 0, -1)
    got = stored_quantiles(data, "x", [0.1, 0.5, 0.9])
    np.testing.assert_allclose(got, want, rtol=1e-12)
    ratio = known / known[:1]
    change = stored_change(data, "x", [0.5])
    share = positive_share(known - known[:1], 0.0, axis=1)
    np.testing.assert_allclose(change["chance_of_more"], share, rtol=1e-12)
    middle = np.nanquantile(ratio, [0.5], axis=1)[0]
    np.testing.assert_allclose(change["change_quantile"][..., 0], middle, rtol=1e-12)


def test_the_range_of_a_cell_is_that_of_its_finite_values() -> None:
    """Bins outside it would be correct as well, and hold all members at once."""
    values = np.array([[3.0, -2.0, np.nan], [np.nan, -7.0, np.nan], [5.0, np.inf, np.nan]])
    low, high, count = _range(lambda: iter([values[:2], values[2:]]))
    np.testing.assert_array_equal(low, [3.0, -7.0, np.inf])
    np.testing.assert_array_equal(high, [5.0, -2.0, -np.inf])
    np.testing.assert_array_equal(count, [2, 2, 0])


def test_more_than_nothing_is_more() -> None:
    """Over a first scenario of zeros no ratio is finite, and all members have more."""
    values = np.ones((2, 5, 1))
    values[0] = 0.0
    change = stored_change(blocks_in_memory(values, 2), "x")
    assert change["chance_of_more"].values[1] == 1.0
    assert np.isnan(change["chance_of_more"].values[0])


def test_a_cell_that_is_known_of_no_member_is_not_a_number() -> None:
    values = partly_failed()
    values[1, :, 1] = np.nan
    data = blocks_in_memory(values, 4)
    assert np.isnan(stored_mean(data, "x")[1, 1])
    assert np.isnan(stored_quantiles(data, "x")[1, 1]).all()
    assert np.isnan(stored_change(data, "x")["chance_of_more"][1, 1])
    assert np.isfinite(stored_mean(data, "x")[0]).all()
