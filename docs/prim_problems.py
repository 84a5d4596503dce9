"""Compare PRIM with the EMA Workbench on random problems, for docs/how-sure.md.

Run ``python docs/prim_problems.py``; with ``pip install ema-workbench`` the peer stands beside it.
A problem has 100 draws of four inputs; of interest is a quarter box, limits in two of them chosen
at random, with 5 % of the labels flipped.  F1 is that of the chosen box against the true one, on
fresh draws without flipped labels.  The peer's box is that of largest coverage among those of
density 0.8 or more on its trajectory, else the densest.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.drivers.discovery.prim import chosen_box, prim

PROBLEMS, DRAWS, INPUTS, FLIPPED, DENSITY = 200, 100, 4, 0.05, 0.8
NAMES = [f"x{i}" for i in range(INPUTS)]
Limits = tuple[np.ndarray, np.ndarray]
Search = Callable[[np.ndarray, np.ndarray], tuple[Limits, bool]]


def main() -> None:
    """Print a row for each program: mean F1, and how often a dense box is on the trajectory."""
    programs: dict[str, Search] = {"beltcast": own}
    if (workbench := peer()) is not None:
        programs[workbench[0]] = workbench[1]
    print(f"| {PROBLEMS} problems | mean F1 | a box of density {DENSITY} is on the trajectory |")
    print("|---|---:|---:|")
    for name, search in programs.items():
        f1, dense = measured(search)
        print(f"| {name} | {f1:.3f} | {dense:.1%} |")


def measured(search: Search) -> tuple[float, float]:
    """Mean F1 of the chosen boxes, and the share of problems with a dense box."""
    rng = np.random.default_rng(12)
    scores, dense = [], []
    for _ in range(PROBLEMS):
        limited = rng.permutation(INPUTS)[:2]
        high = rng.random(2) < 0.5
        x, fresh = rng.random((DRAWS, INPUTS)), rng.random((4000, INPUTS))
        interest = inside(x[:, limited], high) ^ (rng.random(DRAWS) < FLIPPED)
        (low, up), found = search(x, interest)
        truth = inside(fresh[:, limited], high)
        told = ((fresh >= low) & (fresh <= up)).all(axis=1)
        scores.append(2 * (truth & told).sum() / (truth.sum() + told.sum()))
        dense.append(found)
    return float(np.mean(scores)), float(np.mean(dense))


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
        print("The EMA Workbench is not installed: pip install ema-workbench\n")
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
