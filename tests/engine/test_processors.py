"""The text of a compiled model is code for any processor; its bits do not depend on the features.

What runs here is this machine's processor with features taken away; code for an aarch64 processor
is made and looked at, but cannot be run here.
"""

from __future__ import annotations

import platform
import re
import struct
from collections.abc import Callable
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from beltcast import load_model
from beltcast.engine.nodes import FloatArray
from beltcast.engine.run import llvm_backend, llvm_compile
from beltcast.engine.run.llvm_backend import LlvmKernel
from beltcast.engine.run.llvm_module import module_text
from beltcast.engine.run.plan import make_plan, steps_at
from beltcast.model.model import Model

from ..model_texts import write_model

FUNCTIONS = {
    "k": "1.7",
    "x": "INTEG(0.3*SIN(k*Time) - x/(2 + ABS(x)), k)",
    "power": "(1 + x*x)^k*EXP(-k*x)*LN(2 + x*x)",
    "chance": "RANDOM UNIFORM(0, 1, 7)*SQRT(k) + TANH(x)*COS(x)",
    "sums": "SUM(each[R!]*each[R!])",
    "R:": "A, B, C, D, E",
    "each[R]": "MAX(MIN(x*R, 1), -1)/k + INTEGER(3*x)",
    "curve": "WITH LOOKUP(x, ((-2,0), (-1,1), (0,0.5), (1,2), (2,3)))",
}
ELF_AARCH64 = 183
"""e_machine of the ELF header for AArch64 (ELF for the Arm 64-bit Architecture, section 5.2)."""


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_model(write_model(tmp_path, FUNCTIONS))


def runner(model: Model) -> Callable[[], FloatArray]:
    rows = np.concatenate([model.rows(name) for name in ("x", "power", "chance", "sums", "curve")])
    times = model.grid().times()
    plan = make_plan(
        model.program,
        parameters=model.rows("k"),
        outputs=rows,
        times=times,
        step=model.grid().step,
        saves=steps_at(times, model.grid().saved()),
    )
    values = np.linspace(0.5, 2.5, 37)[None]
    return lambda: LlvmKernel(model.program)(plan, values)


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="names features of x86-64 processors"
)
@pytest.mark.parametrize("features", ["", "+avx", "+avx2", "+avx2,+fma"])
def test_a_processor_with_fewer_features_gives_the_same_bits(
    features: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strict IEEE, and fused steps are asked for by name, so they are computed where they lack."""
    here = runner(model)()
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "x86-64")
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: Features(features))
    there = runner(model)()
    assert np.isfinite(here).all()
    np.testing.assert_array_equal(here, there)


class Features:
    def __init__(self, text: str) -> None:
        self.text = text

    def flatten(self) -> str:
        return self.text


def test_the_text_becomes_code_for_aarch64(model: Model) -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("aarch64-unknown-linux-gnu").create_target_machine(opt=2)
    text, _ = module_text(model.program, llvm_backend.WIDTH)
    code = llvm_compile.machine_code(text, machine)
    assert code[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", code, 18)[0] == ELF_AARCH64
    assembly = machine.emit_assembly(llvm.parse_assembly(text))
    assert "fmla" in assembly or "fmadd" in assembly  # NEON's fused multiply and add
    called = set(re.findall(r"\bbl\t(\w+)", assembly))
    own = set(re.findall(r"^define \S+ @(\w+)", text, re.M)) | set(
        re.findall(r"^define .*?@(\w+)\(", text, re.M)
    )
    # All that is left to the system is the C library's mathematics and clearing of memory.
    system = {"sin", "cos", "tanh", "tan", "memset", "memcpy", "floor", "trunc", "fma"}
    assert called <= own | system, called - own - system
