"""Compare kept backtests on the cases that all of them have.

    git show ae44a07:calibration/results/verification.nc > old.nc
    git show e819de4:calibration/results/verification.nc > rebuilt.nc
    python docs/before_after.py old.nc rebuilt.nc calibration/results/verification.nc

prints a table of docs/verification.md: CRPS of logs and the share in the 80 % band, over cases of
one origin, series, year and observation for which every file has a baseline.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import xarray as xr

from beltcast.verification.skill import case_scores

SHOWN = ("sd", "drift", "sd + drift")
KEY = ["origin", "place", "quantity", "definition", "year", "observed"]
RENAMED = {"province-full": "city-full"}
"""Definitions that were part of another in an older file."""


def scored(path: str) -> pd.DataFrame:
    """Return CRPS and coverage of the forecasters shown, by case; only cases with a baseline."""
    with xr.open_dataset(path) as opened:
        scores = case_scores(opened.load())
    frame = scores[["log_crps"]].sel(forecaster=[n for n in SHOWN if n in scores.forecaster])
    crps = frame["log_crps"].to_pandas()
    inside = scores["covered"].sel(level=0.8, forecaster=frame.forecaster).to_pandas()
    cases = pd.DataFrame({name: scores[name].values for name in [*KEY, "scope"]})
    cases["definition"] = cases["definition"].replace(RENAMED)
    cases["observed"] = cases["observed"].round(3)
    table = pd.concat([cases, crps, inside.add_prefix("in80 ")], axis=1)
    known = np.isfinite(table["drift"].to_numpy()) & (scores["first"].values == 0)
    return table[known].drop_duplicates(KEY).set_index(KEY)


def main() -> None:
    """Print the table."""
    tables = [scored(path) for path in sys.argv[1:]]
    common = tables[0].index
    for table in tables[1:]:
        common = common.intersection(table.index)
    print(f"{len(common)} cases that all have")
    for scope in ("whole", "parts"):
        at = [key for key in common if tables[0].loc[key, "scope"] == scope]
        for name in SHOWN:
            cells = [
                f"{table.loc[at, name].mean():.3f} ({table.loc[at, f'in80 {name}'].mean():.0%})"
                for table in tables
                if name in table
            ]
            print(f"{scope} ({len(at)}), {name}:", " | ".join(cells))


if __name__ == "__main__":
    main()
