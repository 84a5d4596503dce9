"""Measure how often verdicts err, for the table of docs/how-sure.md.

Run ``python docs/error_rates.py``; every number has a seed, so a second run prints the same table.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from beltcast.drivers.discovery.prim import chosen_box, prim, telling
from beltcast.ensembles.verdicts import FEWEST_DRAWS, sign_of
from beltcast.verification.paired import paired_skill
from beltcast.verification.skill import FEWEST_YEARS


def main() -> None:
    """Print a row for each verdict: the case, and the share of runs with a wrong one."""
    print("| verdict | truth | runs | wrong |")
    print("|---|---|---:|---:|")
    for shared in (0.0, 0.5, 0.9):
        share, runs = false_skill(shared)
        print(
            f"| better, worse | equal forecasters, 10 places, {FEWEST_YEARS} years, "
            f"{shared:.0%} of the variance of errors shared within a year | {runs} | {share:.1%} |"
        )
    for truth in (0.7, 0.8):
        print(row_of_sign(truth))
    share, runs = false_input()
    print(f"| tells them apart | none of 10 inputs does, 100 draws | {runs} | {share:.1%} |")
    share, runs = missed_box()
    print(
        "| a box of density 0.8 | there is one, 100 draws, 5 % of labels flipped (not found) | "
        f"{runs} | {share:.1%} |"
    )


def row_of_sign(truth: float) -> str:
    """Row of the table for signs."""
    share, runs = false_sign(truth)
    return (
        f"| a sign | {truth:.0%} of all draws are positive, {FEWEST_DRAWS} are drawn | "
        f"{runs} | {share:.2%} |"
    )


def false_skill(shared: float, runs: int = 2000) -> tuple[float, int]:
    """Share of runs in which equal forecasters are called better or worse."""
    rng, places = np.random.default_rng(5), 10
    year = np.repeat(np.arange(FEWEST_YEARS), places)
    place = np.tile(np.arange(places), FEWEST_YEARS)
    wrong = 0
    for _ in range(runs):
        common = rng.normal(size=(2, FEWEST_YEARS))[:, year]
        own = rng.normal(size=(2, len(year)))
        one, two = np.abs(np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
        wrong += paired_skill(one, two, year, place).p < 0.05
    return wrong / runs, runs


def false_sign(truth: float, runs: int = 100_000) -> tuple[float, int]:
    """Share of runs in which an undecided sign is called decided."""
    rng = np.random.default_rng(6)
    counts = np.bincount(rng.binomial(FEWEST_DRAWS, truth, runs))
    shares = np.arange(len(counts)) / FEWEST_DRAWS
    decided = [sign_of(float(share), FEWEST_DRAWS) != "undecided" for share in shares]
    return counts[decided].sum() / runs, runs


def false_input(runs: int = 1000) -> tuple[float, int]:
    """Share of runs in which an input is named though none matters."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(runs):
        x = xr.DataArray(rng.random((100, 10)), dims=("case", "parameter"))
        wrong += bool(telling(x, rng.random(100) < 0.3))
    return wrong / runs, runs


def missed_box(runs: int = 200) -> tuple[float, int]:
    """Share of runs in which the chosen box is less dense than asked for though there is one."""
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(runs):
        x = rng.random((100, 4))
        interest = (x[:, 0] < 0.5) & (x[:, 1] > 0.5)
        interest ^= rng.random(100) < 0.05
        table = xr.DataArray(x, dims=("case", "parameter"))
        box = chosen_box(table, interest, prim(table, interest))
        wrong += box["density"].item() < 0.8
    return wrong / runs, runs


if __name__ == "__main__":
    main()
