"""Models to measure: the shipped belt model, ten belts in small, and a thousand equations."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np

from beltcast.engine.nodes import FloatArray
from beltcast.model.model import Model, load_model

from ..model_texts import write_model

PARAMETERS = {
    "Price Elasticity": (0.5, 1.5),
    "Entry Rate": (0.05, 0.15),
    "Market Growth": (0.02, 0.12),
    "Learning": (0.1, 0.4),
}
"""What differs between the members of an ensemble of the ten-belt model, and its range."""

CONTROLS = {"INITIAL TIME": "2013", "FINAL TIME": "2035", "TIME STEP": "0.0625", "SAVEPER": "1"}
YEARS, STEPS_A_YEAR = 22, 16


def belts10(folder: Path) -> Path:
    """Write the ten-belt model; belts10.c is the same by hand."""
    place = ", ".join(str(round(1 + 0.05 * b, 2)) for b in range(1, 11))
    return write_model(
        folder,
        {
            "Belt:": ", ".join(f"B{b}" for b in range(1, 11)),
            "Tier:": "Brand, Factory, Distributor",
            "Price Elasticity": "1",
            "Entry Rate": "0.1",
            "Market Growth": "0.05",
            "Learning": "0.25",
            "Cost[Tier]": "1.2, 1.0, 0.8",
            "Start[Tier]": "5, 20, 40",
            "Place[Belt]": place,
            "Firms[Tier,Belt]": "INTEG(entry[Tier,Belt] - leaving[Tier,Belt], "
            "Start[Tier]*Place[Belt])",
            "Capability[Belt]": "INTEG((aspired[Belt] - Capability[Belt])/6, Place[Belt])",
            "price[Tier,Belt]": "(Cost[Tier]/Capability[Belt])^Price Elasticity",
            "attraction[Tier,Belt]": "Firms[Tier,Belt]*EXP(-0.5*price[Tier,Belt])",
            "total attraction": "SUM(attraction[Tier!,Belt!])",
            "market": "1000*EXP(Market Growth*(Time - 2013))",
            "sales[Tier,Belt]": "market*attraction[Tier,Belt]/total attraction",
            "belt sales[Belt]": "SUM(sales[Tier!,Belt])",
            "output": "SUM(belt sales[Belt!]*Capability[Belt!])",
            "aspired[Belt]": "(belt sales[Belt]/100)^Learning",
            "profit[Tier,Belt]": "sales[Tier,Belt]/Firms[Tier,Belt]",
            "entry[Tier,Belt]": "Entry Rate*Firms[Tier,Belt]"
            "*MAX(0.01, MIN(4, profit[Tier,Belt]))^0.7",
            "leaving[Tier,Belt]": "Firms[Tier,Belt]/8*EXP(-0.3*profit[Tier,Belt])",
        },
        CONTROLS,
        "belts10.mdl",
    )


def generated(folder: Path, equations: int) -> Path:
    """Write a model of so many equations: groups of four, each driven by the one before it."""
    parts = {"Rate": "0.1", "Strength": "0.5"}
    for i in range(equations // 4):
        before = f"signal {i - 1}" if i else "Rate"
        parts |= {
            f"Stock {i}": f"INTEG(inflow {i} - Stock {i}*Rate, {1 + i % 7})",
            f"inflow {i}": f"Rate*(1 + signal {i})",
            f"gap {i}": f"MAX(0, {2 + i % 5} - Stock {i}) + 0.01*{before}",
            f"signal {i}": f"gap {i}/(1 + gap {i})^Strength",
        }
    return write_model(folder, parts, name=f"generated{equations}.mdl")


def members(model: Model, count: int) -> tuple[np.ndarray, FloatArray]:
    """Rows of the parameters of the ten-belt model, and values for each member; seeded."""
    rng = np.random.default_rng(1)
    values = np.array([rng.uniform(*limits, count) for limits in PARAMETERS.values()])
    rows = np.concatenate([model.rows(name) for name in PARAMETERS])
    return rows, values


class HandWritten:
    """belts10.c, compiled; None of it where there is no gcc."""

    def __init__(self, folder: Path) -> None:
        library = folder / "belts10.so"
        source = Path(__file__).with_name("belts10.c")
        flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
        if platform.machine() in ("x86_64", "AMD64"):
            # Without it gcc 12 keeps to AVX2 on processors with AVX-512: 1.8 times the time.
            flags.append("-mprefer-vector-width=512")
        subprocess.run(["gcc", *flags, str(source), "-o", str(library), "-lm"], check=True)
        self._run = ctypes.CDLL(str(library)).run

    @staticmethod
    def possible() -> bool:
        return shutil.which("gcc") is not None

    def __call__(self, values: FloatArray) -> FloatArray:
        """Sales weighted by capability each year, (years + 1, N); N a multiple of 32."""
        values = np.ascontiguousarray(values)
        assert values.shape[1] % 32 == 0
        out = np.empty((YEARS + 1, values.shape[1]))
        self._run(
            values.ctypes.data_as(ctypes.c_void_p),
            out.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_long(values.shape[1]),
            ctypes.c_long(YEARS),
            ctypes.c_long(STEPS_A_YEAR),
        )
        return out


def loaded(name: str, folder: Path, root: Path) -> tuple[Model, str]:
    """A model by name, and the variable to save."""
    if name == "belt":
        return load_model(root / "models" / "belt" / "belt.mdl"), "national output"
    if name == "belts10":
        return load_model(belts10(folder)), "output"
    return load_model(generated(folder, 1000)), "signal 249"
