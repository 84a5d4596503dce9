"""PEtab problems of stock-flow models: what is read, and what is refused by name."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from beltcast import calibrate
from beltcast.errors import InputError
from beltcast.inference.statistics import fit_statistics
from beltcast.workflows import petab
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


def rows_of(path: Path, rows: list[dict[str, object]]) -> petab._Table:
    table(path, rows)
    return petab._read(path)


@pytest.mark.parametrize(
    ("low", "high", "start"), [(0.01, 100.0, 1.0), (0.0, 5.0, 2.5), (-4.0, 1.0, -1.5)]
)
def test_the_middle_of_bounds_is_geometric_where_both_are_positive(
    tmp_path: Path, low: float, high: float, start: float
) -> None:
    given = {"parameterId": "k", "estimate": 1, "lowerBound": low, "upperBound": high}
    read = rows_of(tmp_path / "parameters.tsv", [given])
    assert petab._nominal(read, dict(petab._by(read, "parameterId"))) == {"k": start}
    read = rows_of(tmp_path / "parameters.tsv", [{**given, "nominalValue": 0.25}])
    assert petab._nominal(read, dict(petab._by(read, "parameterId"))) == {"k": 0.25}


@pytest.mark.parametrize(
    ("kind", "scale", "given", "prior"),
    [
        ("", "log10", "", {"distribution": "log_uniform", "bounds": [0.5, 8.0]}),
        ("", "lin", "", {"distribution": "uniform", "bounds": [0.5, 8.0]}),
        ("parameterScaleUniform", "log10", "-1;0.5", {"bounds": [0.5, 10**0.5]}),
        ("parameterScaleUniform", "log", "0;4", {"bounds": [1.0, 8.0]}),
        ("parameterScaleUniform", "lin", "2;4", {"bounds": [2.0, 4.0]}),
        ("uniform", "log10", "2;9", {"distribution": "uniform", "bounds": [2.0, 8.0]}),
        ("normal", "log10", "3;0.5", {"distribution": "normal", "mean": 3.0, "sd": 0.5}),
        ("logNormal", "lin", "1;0.25", {"median": np.e, "log_sd": 0.25, "bounds": [0.5, 8.0]}),
    ],
)
def test_each_kind_of_prior_is_read_with_the_bounds_of_its_row(
    tmp_path: Path, kind: str, scale: str, given: str, prior: dict[str, object]
) -> None:
    """PEtab: parameters of a parameterScaleUniform prior are on the scale of the parameter."""
    row = {
        "parameterId": "k",
        "parameterScale": scale,
        "lowerBound": 0.5,
        "upperBound": 8.0,
        "estimate": 1,
        "objectivePriorType": kind,
        "objectivePriorParameters": given,
    }
    fixed = {**row, "parameterId": "gain", "estimate": 0}
    read = rows_of(tmp_path / "parameters.tsv", [row, fixed])
    text = petab._priors(read, dict(petab._by(read, "parameterId")))
    found = tomllib.loads(text)
    assert list(found) == ["k"]
    for name, value in prior.items():
        assert found["k"][name] == pytest.approx(value) or found["k"][name] == value


def test_a_prior_with_other_numbers_of_parameters_is_refused(tmp_path: Path) -> None:
    row = {"parameterId": "k", "lowerBound": 0.5, "upperBound": 8, "estimate": 1}
    for kind, given in (("normal", "3"), ("logNormal", "3;1;2"), ("laplace", "3;1")):
        own = {**row, "objectivePriorType": kind, "objectivePriorParameters": given}
        read = rows_of(tmp_path / "parameters.tsv", [own])
        with pytest.raises(InputError, match=rf"parameters.tsv:2: objectivePriorType '{kind}'"):
            petab._priors(read, dict(petab._by(read, "parameterId")))
    read = rows_of(tmp_path / "parameters.tsv", [{**row, "estimate": 0}])
    with pytest.raises(InputError, match="no parameter has estimate 1"):
        petab._priors(read, dict(petab._by(read, "parameterId")))


@pytest.mark.parametrize(
    ("transformation", "family", "factor"),
    [
        ("", "normal", 1.0),
        ("lin", "normal", 1.0),
        ("log", "lognormal", 1.0),
        ("log10", "lognormal", np.log(10.0)),
    ],
)
def test_noise_is_on_the_scale_of_the_transformation(
    tmp_path: Path, transformation: str, family: str, factor: float
) -> None:
    """A standard deviation of log10 y is ln 10 times as large for ln y."""
    for formula, sd, by in (("0.25", 0.25, ""), ("sigma", 0.5, "sigma")):
        row = {
            "observableId": "shown",
            "noiseFormula": formula,
            "observableTransformation": transformation,
        }
        read = rows_of(tmp_path / "observables.tsv", [row])
        line, cells = read.rows[0]
        errors = petab._column(read, line, "shown", cells, {}, {"sigma": 0.5}).errors
        assert errors is not None
        assert (errors.family, errors.scale_by or "") == (family, by)
        assert errors.scale == pytest.approx(factor * sd)


def test_a_problem_names_one_file_of_each_kind(problem: Path) -> None:
    for old, new, message in (
        ("[model.mdl]", "[model.mdl, other.mdl]", "names 2 model files; expected one"),
        ("[conditions.tsv]", "[]", "names 0 condition files; expected one"),
        ("parameters.tsv", "7", "names 1 parameter files; expected one"),
    ):
        path = problem.with_name("changed.yaml")
        path.write_text(YAML.replace(old, new))
        with pytest.raises(InputError, match=message):
            read_petab(path)
    part = YAML[YAML.index("  - model_files") :]
    path.write_text(YAML + part)
    with pytest.raises(InputError, match="several problems in one file are not supported"):
        read_petab(path)
    for text, message in (("a: [", "this is not YAML"), ("[]", "no list 'problems'")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_petab(path)


def test_sbml_is_refused_and_another_model_in_xml_is_not(problem: Path) -> None:
    path = problem.with_name("changed.yaml")
    path.write_text(YAML.replace("model.mdl", "model.xml"))
    problem.with_name("model.xml").write_text("<sbml/>")
    with pytest.raises(InputError, match="the model is SBML"):
        petab._files(path)
    problem.with_name("model.xml").write_text("<xmile/>")
    assert petab._files(path)["model"] == problem.with_name("model.xml")


def test_measurements_keep_their_lines_in_a_column_of_their_observable(tmp_path: Path) -> None:
    rows = [
        {"observableId": "b", "simulationConditionId": "low", "measurement": 4.5, "time": 1},
        {"observableId": "a", "simulationConditionId": "high", "measurement": 3, "time": 2.5},
    ]
    read = rows_of(tmp_path / "measurements.tsv", rows)
    known = {"low": {}, "high": {}}
    varied = petab._wide(read, ["a", "b"], known, True)
    assert varied.splitlines() == ["time,condition,a,b", "1.0,low,,4.5", "2.5,high,3.0,"]
    alike = petab._wide(read, ["a", "b"], known, False)
    assert alike.splitlines() == ["time,a,b", "1.0,,4.5", "2.5,3.0,"]


def test_placeholders_are_numbered_from_one_and_powers_are_written_anew(tmp_path: Path) -> None:
    row = {"observableId": "a", "observableParameters": "gain;2", "noiseParameters": "sigma"}
    read = rows_of(tmp_path / "measurements.tsv", [row, row])
    found = petab._placeholders(read)
    assert found == {
        "a": {
            "observableParameter1": "gain",
            "observableParameter2": "2",
            "noiseParameter1": "sigma",
        }
    }
    formula = "observableParameter1_a * log(S)**observableParameter2_a"
    assert petab._formula(read, 2, formula, found["a"]) == "gain * LN(S)^2"
    with pytest.raises(InputError, match="no measurement gives noiseParameter2_a a value"):
        petab._formula(read, 2, "noiseParameter2_a", found["a"])
