"""Score the backtest's baselines on series that the belt study does not use.

``python docs/harness_check.py`` prints the table of ``verification.md``: total goods exports of
China and online retail of other countries (``calibration/data/damping-series.csv``), each forecast
for one to three years from every origin with at least four known years.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from beltcast.verification.baselines.baselines import PARTS
from beltcast.verification.baselines.history import History, Request
from beltcast.verification.scores import covered, crps_ensemble

TABLE = Path(__file__).resolve().parent.parent / "calibration" / "data" / "damping-series.csv"
GOODS = "China goods exports"
SHOWN = ("persistence", "drift", "log drift", "damped drift", "damped trend")
LEADS, KNOWN, DRAWS = 3, 4, 2000
SD = 0.02
"""Standard deviation of an observation's log, about that of revisions."""


def main() -> None:
    """Print CRPS of logs (mean log error, share in the 80 % band) by kind of series and lead."""
    series: dict[str, dict[int, float]] = defaultdict(dict)
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            series[row["series"]][int(row["year"])] = float(row["value"])
    found: dict[tuple[str, int, str], list[tuple[float, float, float]]] = defaultdict(list)
    for name, values in series.items():
        kind = "goods exports" if name.startswith(GOODS) else "online retail"
        years = np.array(sorted(values))
        levels = np.array([values[year] for year in years])
        for known in range(KNOWN, len(years)):
            history = History(years[:known], levels[:known], np.full(known, SD))
            later = np.arange(years[known - 1] + 1, years[known - 1] + 1 + LEADS)
            for forecaster in SHOWN:
                rng = np.random.default_rng(1)
                draws = PARTS[forecaster](Request(history, later, size=DRAWS), rng=rng)
                logs = np.log(np.maximum(draws, 1e-9))
                for lead, year in enumerate(later, 1):
                    if year not in values:
                        continue
                    one, truth = logs[None, :, lead - 1], np.log([values[year]])
                    crps = float(crps_ensemble(one, truth)[0])
                    error = float(np.median(one) - truth[0])
                    inside = float(covered(one, truth, 0.8)[0])
                    found[kind, lead, forecaster].append((crps, error, inside))
    print("| series, lead | forecasts |", " | ".join(SHOWN), "|")
    print("|:---|---:|" + "---:|" * len(SHOWN))
    for kind, lead in sorted({key[:2] for key in found}):
        cells = []
        for forecaster in SHOWN:
            crps, error, inside = np.mean(found[kind, lead, forecaster], axis=0)
            cells.append(f"{crps:.3f} ({error:+.2f}, {inside:.0%})")
        count = len(found[kind, lead, SHOWN[0]])
        print(f"| {kind}, {lead} | {count} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
