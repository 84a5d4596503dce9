"""Fit NIST's nonlinear regressions: python docs/nist.py FOLDER [NAME ...].

FOLDER holds files of the Statistical Reference Datasets, such as Misra1a.dat, from
<https://www.itl.nist.gov/div898/strd/nls/>.  Each becomes a model whose time is the number of the
row.  Bounds are a tenth of the smaller and ten times the larger of NIST's two starting values;
where one is negative, ten times the larger on either side.  Printed are the residual sum of squares
over the certified one, the greatest distance of an estimate from the certified one in certified
standard deviations, and how many starts reached the best optimum.
"""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from beltcast import calibrate
from beltcast.inference.statistics import FitStatistics, fit_statistics
from beltcast.workflows.own_model import read_own_model

HELD = 0.1
"""Certified standard deviations within which an estimate has come back."""


@dataclass(frozen=True)
class Dataset:
    """A regression of NIST: its formula as Vensim writes it, values by parameter, and rows."""

    formula: str
    log: bool
    starts: dict[str, tuple[float, float]]
    certified: dict[str, tuple[float, float]]
    squares: float
    rows: list[list[float]]


def read_dataset(path: Path) -> Dataset:
    """Read a file of NIST."""
    text = path.read_text()
    formula = re.search(r"^\s*(log\[y\]|y)\s*=(.*?)\+\s*e\s*$", text, re.MULTILINE | re.DOTALL)
    number = r"([-+.\dE]+)"
    rows = re.findall(
        rf"^\s*(b\d) =\s+{number}\s+{number}\s+{number}\s+{number}", text, re.MULTILINE
    )
    squares = re.search(rf"Residual Sum of Squares:\s+{number}", text)
    assert formula, path
    assert squares, path
    right = " ".join(formula[2].split()).replace("**", "^")
    right = right.translate(str.maketrans("[]", "()")).replace("pi", repr(np.pi))
    data = text[text.rindex("Data:") :].splitlines()[1:]
    return Dataset(
        formula=right,
        log=formula[1] != "y",
        starts={name: (float(a), float(b)) for name, a, b, _, _ in rows},
        certified={name: (float(c), float(sd)) for name, _, _, c, sd in rows},
        squares=float(squares[1]),
        rows=[[float(cell) for cell in line.split()] for line in data if line.strip()],
    )


def write_case(one: Dataset, folder: Path) -> list[Path]:
    """Write a model, its data, priors and columns."""
    model = ["{UTF-8}"]
    names = ["x"] if len(one.rows[0]) == 2 else ["x1", "x2"]
    for k, name in enumerate(names, start=1):
        points = ", ".join(f"({i}, {row[k]!r})" for i, row in enumerate(one.rows, start=1))
        model += [f"{name} of row({points}) ~ Dmnl ~ |", f"{name} = {name} of row(Time) ~ Dmnl ~ |"]
    priors = []
    for name, ends in one.starts.items():
        low, high = float(np.abs(ends).min()), float(np.abs(ends).max())
        positive = min(ends) > 0
        bounds = (low / 10, 10 * high) if positive else (-10 * high, 10 * high)
        family = "log_uniform" if positive else "uniform"
        model.append(f"{name} = {ends[1]!r} ~ Dmnl ~ |")
        priors += [
            f"[{name}]",
            f'distribution = "{family}"',
            f"bounds = [{bounds[0]!r}, {bounds[1]!r}]",
        ]
    model += [
        f"y = {one.formula} ~ Dmnl ~ |",
        "INITIAL TIME = 1 ~ Row ~ |",
        f"FINAL TIME = {len(one.rows)} ~ Row ~ |",
        "TIME STEP = 1 ~ Row ~ |",
        "SAVEPER = 1 ~ Row ~ |",
    ]
    seen = [np.log(row[0]) if one.log else row[0] for row in one.rows]
    data = ["Row,y", *(f"{i},{float(y)!r}" for i, y in enumerate(seen, start=1))]
    files = {
        "model.mdl": model,
        "data.csv": data,
        "priors.toml": priors,
        "columns.toml": ["[y]", 'errors = "normal"'],
    }
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return [folder / name for name in files]


def squares_of(found: FitStatistics) -> float:
    """Residual sum of squares."""
    row = found.columns.iloc[0]
    return float(row["rows"] * row["rmse"] ** 2)


def main() -> None:
    """Print a row for each dataset."""
    folder, *wanted = sys.argv[1:]
    held = 0
    paths = [
        path for path in sorted(Path(folder).glob("*.dat")) if not wanted or path.stem in wanted
    ]
    print(f"{'dataset':10s} {'squares':>20s} {'distance':>9s} {'best':>8s} {'seconds':>8s}")
    for path in paths:
        begin = time.process_time()
        one = read_dataset(path)
        with TemporaryDirectory() as scratch:
            model, data, priors, columns = write_case(one, Path(scratch))
            own = read_own_model(model, data, priors, columns=columns)
            fit = calibrate(own.likelihood, rng=np.random.default_rng(1))
            found = fit_statistics(fit)
        estimates = found.estimates["estimate"]
        away = max(abs(estimates[name] - value) / sd for name, (value, sd) in one.certified.items())
        held += away < HELD
        print(
            f"{path.stem:10s} {squares_of(found) / one.squares:20.9f} {away:9.2g} "
            f"{fit.agreeing:3d}/{len(fit.refined):<4d} {time.process_time() - begin:8.1f}",
            flush=True,
        )
    print(f"{held} of {len(paths)} come back within {HELD} standard deviations")


if __name__ == "__main__":
    main()
