"""How fast the engine is, against itself, NumPy, PySD and C written by hand.

::

    pytest tests/benchmarks -o python_files='bench_*.py' --benchmark-columns=min,median -s

The default run of the tests leaves them out.  A ratio is asserted only between two things that
were measured in turn in one process, and with a margin of two or more, because a shared machine is
noisy; absolute numbers are printed and never asserted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beltcast.engine.program import restrict
from beltcast.engine.run import llvm_backend
from beltcast.engine.run.llvm_backend import LlvmKernel
from beltcast.engine.run.numpy_backend import NumpyKernel
from beltcast.engine.run.plan import make_plan, steps_at
from beltcast.model.model import Model, load_model

from .models import HandWritten, belts10, generated, loaded, members

Run = Callable[[], Any]


def fastest(*runs: Run, rounds: int = 5) -> list[float]:
    """Shortest wall time of each, measured in turn so that a busy machine hits all alike."""
    best = [float("inf")] * len(runs)
    for _ in range(rounds):
        for i, run in enumerate(runs):
            start = time.perf_counter()
            run()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def kernels(model: Model, output: str, backend: str, count: int) -> Run:
    """The bare run of an ensemble of the ten-belt model, on one thread."""
    program = restrict(model.program, model.rows(output).tolist())
    rows, values = members(model, count)
    times = model.grid().times()
    plan = make_plan(
        program,
        parameters=rows,
        outputs=model.rows(output),
        times=times,
        step=model.grid().step,
        saves=steps_at(times, model.grid().saved()),
    )
    if backend == "numpy":
        kernel = NumpyKernel(program)
        return lambda: kernel(plan, values)
    compiled = LlvmKernel(program)
    return lambda: compiled(plan, values, threads=1)


@pytest.mark.parametrize("count", [1, 100, 10_000])
@pytest.mark.parametrize("name", ["belt", "belts10", "generated"])
def test_members(name: str, count: int, benchmark: Any, root: Path, tmp_path: Path) -> None:
    """Printed only: an ensemble with annual output, compiled already, all threads."""
    model, output = loaded(name, tmp_path, root)
    rows = model.rows({"belt": "SW Market", "generated": "Rate"}.get(name, "Learning"))
    values = np.repeat([[model.program.default(int(rows[0]))]], count, axis=1)

    def run() -> None:
        model.batch(rows, values, outputs=model.rows(output), saves=model.grid().saved())

    run()
    benchmark.extra_info["members"] = count
    benchmark.pedantic(run, rounds=3, warmup_rounds=1)


def test_compiled_code_keeps_up_with_c(tmp_path: Path) -> None:
    if not HandWritten.possible():
        pytest.skip("no gcc on this machine: nothing to compare with")
    model, by_hand = load_model(belts10(tmp_path)), HandWritten(tmp_path)
    count = 3200
    _, values = members(model, count)
    compiled = kernels(model, "output", "llvm", count)
    # The same model: fast-math reorders sums of thirty terms, over 352 steps.
    np.testing.assert_allclose(compiled()[:, 0], by_hand(values), rtol=1e-10)
    ours, theirs = fastest(compiled, lambda: by_hand(values))
    print(f"\nC {theirs / count * 1e6:.1f}, compiled {ours / count * 1e6:.1f} us a member")
    print(f"compiled / C = {ours / theirs:.2f}")
    assert ours < 2.5 * theirs


def test_compiled_code_is_faster_than_numpy(tmp_path: Path) -> None:
    model, count = load_model(belts10(tmp_path)), 3200
    compiled, plain = (kernels(model, "output", b, count) for b in ("llvm", "numpy"))
    np.testing.assert_allclose(compiled(), plain(), rtol=1e-10)
    ours, theirs = fastest(compiled, plain, rounds=3)
    print(f"\nNumPy / compiled = {theirs / ours:.2f}")
    assert theirs > 1.3 * ours


def test_the_cost_is_linear_in_members(tmp_path: Path) -> None:
    model = load_model(belts10(tmp_path))
    few, many = (kernels(model, "output", "llvm", n) for n in (1600, 16_000))
    a, b = fastest(few, many)
    print(f"\n16,000 members / 1,600 members = {b / a:.2f}")
    assert 4 < b / a < 25


def test_an_ensemble_costs_a_small_part_of_runs_of_pysd(tmp_path: Path) -> None:
    pysd = pytest.importorskip("pysd")
    path = belts10(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slow = pysd.read_vensim(str(path))
        slow.run(final_time=2014)  # the first run also prepares the model
        start = time.perf_counter()
        expected = slow.run(final_time=2035, return_columns=["output"])
        theirs = time.perf_counter() - start
    model, count = load_model(path), 1600
    run = model.simulate(outputs=["output"])["output"].values
    np.testing.assert_allclose(run, expected["output"].values, rtol=1e-9)
    (ours,) = fastest(kernels(model, "output", "llvm", count))
    print(f"\nPySD {theirs:.2f} s a run; {theirs / (ours / count):.0f} times a member of ours")
    assert theirs > 500 * ours / count


def test_an_ensemble_outruns_a_loop_over_pysimlin(tmp_path: Path) -> None:
    """pysimlin runs one member at a time in compiled code of its own; over both cores at best."""
    simlin = pytest.importorskip("simlin", reason="pysimlin is not installed")
    path, rounds = belts10(tmp_path), 20
    model, other = load_model(path), simlin.load(str(path))
    rows, values = members(model, 1600)

    def theirs_once(k: int) -> Any:
        with other.simulate(dict(zip(_SIMLIN, values[:, k].tolist(), strict=True))) as run:
            run.run_to_end()
            return run.get_series("output")

    saves = model.grid().saved()
    ours = model.batch(rows, values, outputs=model.rows("output"), saves=saves)
    np.testing.assert_allclose(theirs_once(3)[-1], ours[-1, 0, 3], rtol=1e-9)
    each, all_of_ours = fastest(
        lambda: [theirs_once(k) for k in range(rounds)],
        lambda: model.batch(rows, values, outputs=model.rows("output"), saves=saves),
        rounds=3,
    )
    ratio = (each / rounds) / (os.cpu_count() or 1) / (all_of_ours / values.shape[1])
    print(f"\npysimlin over all cores / ours = {ratio:.0f}")
    assert ratio > 3


def test_a_jacobian_of_sixty_parameters_costs_few_runs(tmp_path: Path) -> None:
    """Of one member; a run of one member carries fifteen idle lanes, which the Jacobian fills."""
    model = load_model(generated(tmp_path, 240))
    rows = np.concatenate([model.rows("Rate"), model.rows("Strength")])
    starts = [v.name for v in model.variables.values() if v.kind == "stock"]
    saves, values = model.grid().saved(), np.array([[0.1], [0.5]])
    outputs = np.concatenate([model.rows(name) for name in starts[:5]])
    # Two parameters, thirty times each: the engine computes all sixty directions.
    directions = np.tile([0, 1], 30)

    def jacobian() -> Any:
        return model.batch(rows, values, outputs=outputs, saves=saves, directions=directions)

    def single() -> Any:
        return model.batch(rows, values, outputs=outputs, saves=saves)

    assert jacobian().shape[-1] == 61
    a, b = fastest(single, jacobian)
    print(f"\nJacobian of 60 parameters / one run = {b / a:.1f}")
    assert b < 30 * a


def test_a_million_members_take_the_memory_of_their_result(tmp_path: Path) -> None:
    """In a process of its own: the peak, less what the imports and the members take."""
    code = (
        "import resource, sys, time; import numpy as np; from pathlib import Path\n"
        "from beltcast import load_model; from tests.benchmarks.models import belts10, members\n"
        "model = load_model(belts10(Path(sys.argv[1]))); count = 1_000_000\n"
        "rows, values = members(model, count); saves = [2024.0, 2035.0]\n"
        "model.batch(rows, values[:, :16], outputs=model.rows('output'), saves=saves)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak(); start = time.perf_counter()\n"
        "out = model.batch(rows, values, outputs=model.rows('output'), saves=saves)\n"
        "print(time.perf_counter() - start, peak() - before, (out.nbytes + values.nbytes) / 2**20)"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True, capture_output=True, text=True, cwd=root,
        env={"PATH": "", "PYTHONPATH": f"{root}:{_path_of_modules()['PYTHONPATH']}"},
    )  # fmt: skip
    seconds, grown, needed = map(float, done.stdout.split())
    print(
        f"\n1,000,000 members: {seconds:.0f} s, {grown:.0f} MB more than before; "
        f"result and members {needed:.0f} MB"
    )
    assert grown < 200 + 2 * needed


def test_compile_time_is_linear_in_equations(tmp_path: Path) -> None:
    def build(equations: int) -> Run:
        program = load_model(generated(tmp_path, equations)).program
        return lambda: llvm_backend.LlvmKernel(program)

    a, b = fastest(build(500), build(2000), rounds=2)
    print(f"\ncompile 500 equations {a:.2f} s, 2,000 equations {b:.2f} s")
    assert b / a < 10


def test_the_second_process_starts_from_the_cache(root: Path, tmp_path: Path) -> None:
    """From file to first number, imports included, in new processes."""
    code = (
        "import numpy as np; from beltcast import load_model; "
        f"m = load_model({str(root / 'models' / 'belt' / 'belt.mdl')!r}); "
        "m.batch(np.empty(0, dtype=np.int64), np.empty((0, 1)), "
        "outputs=m.rows('national output'), saves=m.grid().saved())"
    )
    environment = {"BELTCAST_CACHE": str(tmp_path / "cache"), "PATH": "", **_path_of_modules()}

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)

    def cold() -> None:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        run()

    first, second = fastest(cold, rounds=2)[0], min(fastest(run) for _ in range(2))[0]
    print(f"\nnew process: {first:.2f} s without, {second:.2f} s with the cache")
    assert second < 0.6 * first


_SIMLIN = ("price_elasticity", "entry_rate", "market_growth", "learning")
"""The parameters of the ten-belt model as pysimlin spells them."""


def _path_of_modules() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(p for p in sys.path if p)}
