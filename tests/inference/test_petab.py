"""PEtab problems of stock-flow models: what is read, and what is refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from beltcast import calibrate
from beltcast.errors import InputError
from beltcast.inference.statistics import fit_statistics
from beltcast.workflows.petab import read_petab

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
YAML = """format_version: 1
parameter_file: parameters.tsv
problems:
  - model_files: [model.mdl]
    condition_files: [conditions.tsv]
    measurement_files: [measurements.tsv]
    observable_files: [observables.tsv]
"""
MODEL = """{UTF-8}
k = 0.5 ~ 1/Day ~ |
Dose = 1 ~ mg ~ |
S = INTEG(-k*S, Dose) ~ mg ~ |
INITIAL TIME = 0 ~ Day ~ |
FINAL TIME = 4 ~ Day ~ |
TIME STEP = 1 ~ Day ~ |
SAVEPER = 1 ~ Day ~ |
"""


def table(path: Path, rows: list[dict[str, object]]) -> None:
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    (tmp_path / "problem.yaml").write_text(YAML)
    (tmp_path / "model.mdl").write_text(MODEL)
    table(
        tmp_path / "conditions.tsv",
        [{"conditionId": "low", "Dose": 2}, {"conditionId": "high", "Dose": "dose_high"}],
    )
    bounds = {"parameterScale": "log10", "lowerBound": 0.01, "upperBound": 100}
    table(
        tmp_path / "parameters.tsv",
        [
            {"parameterId": "k", **bounds, "nominalValue": 0.5, "estimate": 1},
            {"parameterId": "dose_high", **bounds, "nominalValue": 5, "estimate": 1},
            {"parameterId": "sigma", **bounds, "nominalValue": 0.1, "estimate": 1},
            {"parameterId": "gain", **bounds, "nominalValue": 3, "estimate": 0},
        ],
    )
    table(
        tmp_path / "observables.tsv",
        [
            {
                "observableId": "shown",
                "observableFormula": "observableParameter1_shown * exp(log(S))",
                "noiseFormula": "noiseParameter1_shown",
                "observableTransformation": "log10",
                "noiseDistribution": "normal",
            }
        ],
    )
    rng = np.random.default_rng(1)
    table(
        tmp_path / "measurements.tsv",
        [
            {
                "observableId": "shown",
                "simulationConditionId": name,
                "measurement": 3 * dose * np.exp(-0.7 * t) * 10 ** (0.05 * rng.standard_normal()),
                "time": t,
                "observableParameters": "gain",
                "noiseParameters": "sigma",
            }
            for name, dose in (("low", 2.0), ("high", 9.0))
            for t in (1.0, 1.0, 2.0, 3.0, 4.0)
        ],
    )
    return tmp_path / "problem.yaml"


def test_without_a_nominal_value_an_estimated_parameter_starts_in_the_middle(
    problem: Path,
) -> None:
    path = problem.with_name("parameters.tsv")
    rows = pd.read_csv(path, sep="\t")
    rows["nominalValue"] = rows["nominalValue"].where(rows["estimate"] == 0)
    rows.to_csv(path, sep="\t", index=False)
    priors = read_petab(problem).likelihood.priors
    assert set(priors.labels) == {"k", "dose_high", "sigma"}
    # A fixed parameter has no bounds to start between.
    rows["nominalValue"] = np.nan
    rows.to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match=r"'gain' is not estimated and has no nominalValue"):
        read_petab(problem)


def test_the_best_fit_of_a_problem_is_that_of_linear_regression(problem: Path) -> None:
    # log10 y = log10(3 dose) - k t log10(e) + error: least squares with the dose of `low` known.
    own = read_petab(problem, integration="adaptive")
    fit = calibrate(own.likelihood, rng=np.random.default_rng(1), starts=4, refine=2)
    found = fit_statistics(fit)
    data = pd.read_csv(problem.with_name("measurements.tsv"), sep="\t")
    high = (data["simulationConditionId"] == "high").to_numpy(dtype=float)
    design = np.column_stack([-data["time"], high])
    seen = np.log(data["measurement"] / 3.0) - (1 - high) * np.log(2.0)
    (k, log_dose), *_ = np.linalg.lstsq(design, seen, rcond=None)
    sigma = np.sqrt(np.mean((seen - design @ [k, log_dose]) ** 2)) / np.log(10.0)
    estimates = found.estimates["estimate"]
    assert estimates["k"] == pytest.approx(k, rel=1e-4)
    assert estimates["dose_high"] == pytest.approx(np.exp(log_dose), rel=1e-4)
    assert estimates["sigma"] == pytest.approx(sigma, rel=1e-3)
    # PEtab: the density of a measurement, with sigma on the scale of the transformation.
    y = data["measurement"].to_numpy()
    logs = -0.5 * np.log(2 * np.pi * sigma**2) - 0.5 - np.log(y * np.log(10.0))
    assert found.log_likelihood == pytest.approx(logs.sum(), abs=1e-3)


def test_boehm_is_read_from_tables_and_its_published_point_costs_138_22(tmp_path: Path) -> None:
    # The tables of the PEtab benchmark collection, with the names of the gallery's model; the
    # collection states a negative log likelihood of 138.2219967 at the nominal values.
    gallery = GALLERY / "boehm"
    shutil.copy(gallery / "model.mdl", tmp_path)
    (tmp_path / "problem.yaml").write_text(YAML)
    table(tmp_path / "conditions.tsv", [{"conditionId": "data1", "conditionName": "one"}])
    bounds = {"parameterScale": "log10", "lowerBound": 1e-5, "upperBound": 1e5, "estimate": 1}
    point = {
        "ed": 0.026982514033029,
        "khet": 1.00067973851508e-05,
        "khom": 0.006170228086381,
        "ihet": 0.0163679184468,
        "ihom": 97749.3794024716,
        "kp": 15766.5070195731,
        "sd_A": 3.85261197844677,
        "sd_B": 6.59147818673419,
        "sd_R": 3.15271275648527,
    }
    table(
        tmp_path / "parameters.tsv",
        [{"parameterId": name, "nominalValue": repr(x), **bounds} for name, x in point.items()],
    )
    names = {"pSTATA": "sd_A", "pSTATB": "sd_B", "rSTATA": "sd_R"}
    table(
        tmp_path / "observables.tsv",
        [
            {"observableId": f"obs_{name}", "observableFormula": name, "noiseFormula": sd}
            for name, sd in names.items()
        ],
    )
    data = pd.read_csv(gallery / "data.csv")
    table(
        tmp_path / "measurements.tsv",
        [
            {
                "observableId": f"obs_{name}",
                "simulationConditionId": "data1",
                "measurement": repr(float(row[name])),
                "time": row["Minute"],
            }
            for name in names
            for _, row in data.iterrows()
        ],
    )
    likelihood = read_petab(tmp_path / "problem.yaml", integration="stiff").likelihood
    theta = likelihood.priors.working(np.array([point[name] for name in likelihood.labels]))
    assert likelihood.log_likelihood(theta[None]).sum() == pytest.approx(-138.2219967, abs=1e-4)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("problem.yaml", "format_version: 1", "format_version: 2.0", "format_version 2.0"),
        ("observables.tsv", "normal", "laplace", "observables.tsv:2: noiseDistribution 'laplace'"),
        ("observables.tsv", "exp(", "piecewise(", "the function piecewise of a formula"),
        ("observables.tsv", "log(S)", "log(T)", "an observableFormula: .*'t'"),
        ("observables.tsv", "noiseParameter1_shown", "0.1*k + 1", "noiseFormula '0.1"),
        ("measurements.tsv", "gain\tsigma", "gain\t0.1", "measurements.tsv:3: .*differ between"),
        ("measurements.tsv", "\tlow\t", "\tlou\t", "simulationConditionId 'lou' is in no table"),
        ("conditions.tsv", "Dose", "S", "the condition sets 'S', a stock"),
        ("parameters.tsv", "dose_high\tlog10\t0.01", "dose_high\tlog10\tx", "lowerBound is 'x'"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    problem: Path, file: str, old: str, new: str, message: str
) -> None:
    path = problem.with_name(file)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_petab(problem)


def test_preequilibration_is_refused_with_its_line_and_what_to_do(problem: Path) -> None:
    path = problem.with_name("measurements.tsv")
    rows = pd.read_csv(path, sep="\t")
    rows["preequilibrationConditionId"] = ["", "", "low", *[""] * (len(rows) - 3)]
    rows.to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="begin at the steady state") as refused:
        read_petab(problem)
    assert str(refused.value).startswith(f"{path}:4: preequilibrationConditionId")
