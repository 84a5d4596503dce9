"""The same numbers on every processor: OpenBLAS picks its kernels by the processor it meets.

What goes through BLAS differs in its last bits; a factor whose signs or order were left to the
library would differ altogether.  Each kernel runs in a process of its own, since the library
chooses once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = """
import json, sys, tempfile
from pathlib import Path
import numpy as np
from beltcast import approximate_posterior, calibrate, likelihood_of, read_study
from beltcast.inference.eigen import eigenpairs
from beltcast.study.starter import init

rng = np.random.default_rng(1)
root = rng.standard_normal((40, 40))
wide = likelihood_of(read_study())
theta = np.concatenate([wide.priors.mu, 0.3 * rng.standard_normal(len(wide.nuisances))])
jacobian = wide.jacobian(theta)
with tempfile.TemporaryDirectory() as folder:
    init(Path(folder) / "mine", belts=["Foshan"])
    fit = calibrate(read_study(Path(folder) / "mine"), rng=np.random.default_rng(2), starts=2)
    draws = approximate_posterior(fit, 20, rng=np.random.default_rng(3), moves=0)
found = {
    "vectors": eigenpairs(root @ root.T)[1],
    "loadings": wide.loadings,
    "residuals": wide.residuals(theta),
    "gradient": jacobian.T @ wide.residuals(theta),
    "optimum": fit.theta,
    "covariance": fit.covariance,
    "draws": draws.theta,
}
json.dump({name: values.tolist() for name, values in found.items()}, open(sys.argv[1], "w"))
"""

TOLERANCE = {"optimum": 1e-5, "covariance": 1e-5, "draws": 1e-4}
"""A fit stops within its own tolerance of the optimum, about 1e-6 of a prior's sd, and wherever
rounding lets it; what follows from the point, such as a normal's draws, inherits that.  The rest is
a few hundred additions of doubles."""


def computed(path: Path, kernel: str) -> dict[str, Any]:
    """What a process finds with a kernel; with the processor's own if none is named."""
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    if kernel:
        environment["OPENBLAS_CORETYPE"] = kernel
    command = [sys.executable, "-c", SCRIPT, str(path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return computed(tmp_path_factory.mktemp("kernel") / "own.json", "")


NEEDS = {"Haswell": "avx2", "Zen": "avx2", "SkylakeX": "avx512f"}


@pytest.mark.parametrize(
    "kernel",
    [
        "Haswell",
        pytest.param("Zen", marks=pytest.mark.long),
        pytest.param("SkylakeX", marks=pytest.mark.long),
    ],
)
def test_other_kernels_give_the_same_numbers(
    kernel: str, own: dict[str, Any], tmp_path: Path
) -> None:
    flags = Path("/proc/cpuinfo")
    if not flags.is_file() or NEEDS[kernel] not in flags.read_text():
        pytest.skip(f"the kernels of {kernel} need a processor with {NEEDS[kernel]}")
    other = computed(tmp_path / "other.json", kernel)
    for name, values in own.items():
        expected = np.array(values)
        limit = TOLERANCE.get(name, 1e-9) * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(other[name], expected, rtol=0, atol=limit, err_msg=name)
