"""Compare PRIM with the EMA Workbench on random problems, for docs/how-sure.md.

``python docs/prim_problems.py`` solves the problems, keeps the score of each in
``calibration/results/prim.csv`` and prints the means.  The EMA Workbench (``pip install
ema-workbench``) is no dependency: without it, its kept scores stay as they are.

A problem has 100 draws of four inputs; of interest is a quarter box, limits in two of them chosen
at random, with 5 % of the labels flipped.  F1 is that of the chosen box against the true one, on
fresh draws without flipped labels.  The peer's box is that of largest coverage among those of
density 0.8 or more on its trajectory, else the densest.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.drivers.discovery.prim import chosen_box, prim

PROBLEMS, DRAWS, INPUTS, FLIPPED, DENSITY = 200, 100, 4, 0.05, 0.8
NAMES = [f"x{i}" for i in range(INPUTS)]
KEPT = Path(__file__).resolve().parent.parent / "calibration" / "results" / "prim.csv"
Limits = tuple[np.ndarray, np.ndarray]
Search = Callable[[np.ndarray, np.ndarray], tuple[Limits, bool]]


def main() -> None:
    """Solve the problems with each program, keep the scores and print their means."""
    programs: dict[str, Search] = {"beltcast": own}
    if (workbench := peer()) is not None:
        programs[workbench[0]] = workbench[1]
    tables = [scores(search).assign(program=name) for name, search in programs.items()]
    if len(tables) == 1:
        kept = pd.read_csv(KEPT)
        tables.append(kept[kept["program"] != "beltcast"])
    columns = ["program", "problem", "f1", "dense"]
    pd.concat(tables)[columns].to_csv(KEPT, index=False, float_format="%.6f")
    print(means(pd.read_csv(KEPT)))


def means(kept: pd.DataFrame) -> str:
    """Write a row for each program: mean F1, and how often a dense box is on the trajectory."""
    lines = [
        f"| {PROBLEMS} problems | mean F1 | a box of density {DENSITY} is on the trajectory |",
        "|---|---:|---:|",
    ]
    for name, rows in kept.groupby("program", sort=False):
        lines.append(f"| {name} | {rows['f1'].mean():.3f} | {rows['dense'].mean():.1%} |")
    return "\n".join(lines)


def scores(search: Search, problems: int = PROBLEMS) -> pd.DataFrame:
    """F1 of the chosen box of each of the first problems, and 1 where a dense box was found."""
    rng = np.random.default_rng(12)
    rows = []
    for problem in range(problems):
        limited = rng.permutation(INPUTS)[:2]
        high = rng.random(2) < 0.5
        x, fresh = rng.random((DRAWS, INPUTS)), rng.random((4000, INPUTS))
        interest = inside(x[:, limited], high) ^ (rng.random(DRAWS) < FLIPPED)
        (low, up), found = search(x, interest)
        truth = inside(fresh[:, limited], high)
        told = ((fresh >= low) & (fresh <= up)).all(axis=1)
        f1 = 2 * (truth & told).sum() / (truth.sum() + told.sum())
        rows.append((problem, f1, int(found)))
    return pd.DataFrame(rows, columns=["problem", "f1", "dense"])


def inside(x: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether both limited inputs lie in their halves."""
    return np.asarray(((x > 0.5) == high).all(axis=1))


def own(x: np.ndarray, interest: np.ndarray) -> tuple[Limits, bool]:
    """Limits of the chosen box, and whether a dense one is on the trajectory."""
    table = xr.DataArray(x, dims=("case", "parameter"), coords={"parameter": NAMES})
    boxes = prim(table, interest)
    box = chosen_box(table, interest, boxes, density=DENSITY).isel(box=0)
    return (box["low"].values, box["high"].values), bool((boxes["density"] >= DENSITY).any())


def peer() -> tuple[str, Search] | None:
    """Name and search of the EMA Workbench, where it is installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            library: Any = importlib.import_module("ema_workbench")
            module: Any = importlib.import_module("ema_workbench.analysis.prim")
    except ImportError:
        return None

    def search(x: np.ndarray, interest: np.ndarray) -> tuple[Limits, bool]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = pd.DataFrame(x, columns=NAMES)
            box = module.Prim(table, interest, threshold=DENSITY, mass_min=0.05).find_box()
        path = box.peeling_trajectory
        dense = path[path["density"] >= DENSITY]
        at = dense["coverage"].idxmax() if len(dense) else path["density"].idxmax()
        limits = box.box_lims[int(path.index.get_loc(at))]
        return (limits.loc[0].to_numpy(float), limits.loc[1].to_numpy(float)), bool(len(dense))

    return f"EMA Workbench {library.__version__}", search


if __name__ == "__main__":
    main()
