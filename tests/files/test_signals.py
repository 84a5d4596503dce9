"""Commands killed, interrupted and terminated at random moments: nothing is half-written or left.

    pytest tests/files/test_signals.py --kills 60 -n 0

ends each command 20 times in each of the three ways; by default each is ended once, in one of the
three.  One process loads the package and forks for
each run, so that the moments fall into the work and not into a second of imports.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from beltcast import cli
from beltcast.files.shipped import shipped

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals of POSIX")

SAMPLE = "sample mine --method walkers --chains 2 --draws 20 --every 2 --burn-in 10 --starts 1"
COMMANDS = {
    "forecast": (["forecast", "mine", "--starts", "1", "--draws", "8"], "result"),
    "run": (["run", "plan.toml"], "out.zarr"),
    "sample": (SAMPLE.split(), "result"),
    "update": (["update", "new.csv", "mine", "--starts", "1", "--draws", "8"], "result"),
    "page": (["page", "known"], "result.html"),
}

# Started once for all commands: the process that forks has no thread of its own.
ENDED = """
import json, os, random, signal, sys, time
from beltcast.cli import main
import beltcast.app.page, beltcast.forecasting.forecast, beltcast.inference.calibrate
import beltcast.inference.sampling.chains, beltcast.inference.updating.update
import beltcast.pictures.plots, beltcast.scale.blocks, xarray, netCDF4, matplotlib.font_manager

def fork(arguments, result):
    child = os.fork()
    if child:
        return child
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1), os.dup2(null, 2)
    # A store is there, in part, from its first block on; the next run goes on with it.
    goes_on = ["--resume"] if result == "out.zarr" and os.path.exists(result) else []
    sys.argv = ["beltcast", *arguments, *goes_on]
    try:
        main()
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    os._exit(0)

def files(path):
    if os.path.isfile(path):
        return [path]
    found = (os.path.join(at, name) for at, _, names in os.walk(path) for name in names)
    return sorted(os.path.relpath(name, path) for name in found)

def waited(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def outcome(arguments, result, ends, seed):
    since = time.monotonic()
    first = waited(fork(arguments, result))
    long, whole, listing = time.monotonic() - since, files(result), sorted(os.listdir())
    os.system(f"rm -rf {result}")
    rng, kinds = random.Random(seed), (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
    codes, half = [], []
    for k in range(ends):
        child = fork(arguments, result)
        # One that comes alone must not come too late.
        time.sleep(rng.uniform(0.02, long if ends > 3 else 0.5 * long))
        try:
            os.kill(child, kinds[(k + seed) % 3])
        except ProcessLookupError:
            pass
        codes.append(waited(child))
        if os.path.exists(result) and result != "out.zarr":
            if files(result) != whole:
                half.append([k, files(result)])
            os.system(f"rm -rf {result}")
    last = waited(fork(arguments, result))
    same, left = files(result) == whole, sorted(os.listdir())
    os.system(f"rm -rf {result}")
    return {"first": first, "codes": codes, "half": half, "last": last, "same": same,
            "left": left, "listing": listing}

print(json.dumps([outcome(*one) for one in json.loads(sys.argv[1])]))
"""


@pytest.fixture(scope="module")
def made(foshan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one belt, its forecast, new rows for it and a plan."""
    folder = tmp_path_factory.mktemp("signals")
    shutil.copytree(foshan, folder / "mine")
    study, known = str(folder / "mine"), str(folder / "known")
    made = ["forecast", study, "--starts", "1", "--draws", "8", "--output", known]
    assert CliRunner().invoke(cli.app, made).exit_code == 0
    table = (folder / "mine" / "observations.csv").read_text(encoding="utf-8-sig").splitlines()
    row = next(line for line in table[1:] if ",level," in line).split(",")
    row[3], row[4], row[10] = "2025", "2026", "2026.3"
    (folder / "new.csv").write_text(f"{table[0]}\n{','.join(row)}\n", encoding="utf-8")
    model = shipped("models/sir/sir.mdl").read_bytes()
    (folder / "sir.mdl").write_bytes(model)
    (folder / "plan.toml").write_text(
        '[run]\nmodel = "sir.mdl"\noutputs = ["Infected"]\nmembers = 4000\nblock = 100\nseed = 1\n'
        'store = "out.zarr"\npriors = "priors.toml"\n'
    )
    (folder / "priors.toml").write_text(
        '["Contact Rate"]\ndistribution = "lognormal"\nmedian = 2.0\nlog_sd = 0.2\n'
        'unit = "1/Year"\nrole = "pooled"\nsource = "a test"\n'
    )
    return folder


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture(scope="module")
def outcomes(made: Path, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """What became of each command."""
    ends = request.config.getoption("--kills")
    asked = []
    for seed, (arguments, result) in enumerate(COMMANDS.values()):
        named = [] if result == "out.zarr" else ["--output", result]
        asked.append([[*arguments, *named], result, ends, seed])
    done = subprocess.run(
        [sys.executable, "-c", ENDED, json.dumps(asked)],
        cwd=made, env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(COMMANDS, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_ended_leaves_nothing_half_written_and_nothing_behind(
    name: str, outcomes: dict[str, dict[str, Any]]
) -> None:
    found = outcomes[name]
    assert found["first"] == 0  # of the undisturbed run
    print(name, found["codes"])
    assert found["half"] == []
    # Killed, interrupted, terminated, or done before that.
    assert set(found["codes"]) <= {-9, 130, -15, 143, 0}
    assert found["codes"].count(0) < len(found["codes"])
    assert (found["last"], found["same"]) == (0, True)
    assert found["left"] == found["listing"]
