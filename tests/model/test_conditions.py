"""One model under several sets of constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import calibrate, load_model
from beltcast.errors import InputError, TableError
from beltcast.inference.statistics import fit_statistics
from beltcast.model.conditions import read_conditions, with_conditions
from beltcast.workflows.own_model import read_own_model

MODEL = """{UTF-8}
Site: north, south ~~|
k = 0.5 ~ 1/Day ~ |
Dose = 1 ~ mg ~ |
Strong dose = 4 ~ mg ~ |
Lasting = 2*k ~ 1/Day ~ |
S = INTEG(-k*S, Dose) ~ mg ~ |
Level[Site] = S*2 ~ mg ~ |
Both = SUM(Level[Site!]) ~ mg ~ |
INITIAL TIME = 0 ~ Day ~ |
FINAL TIME = 4 ~ Day ~ |
TIME STEP = 0.125 ~ Day ~ |
SAVEPER = 1 ~ Day ~ |
"""
CONDITIONS = '[low]\nDose = 2\n\n[high]\nDose = "Strong dose"\n\n[plain]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.mdl").write_text(MODEL)
    (tmp_path / "conditions.toml").write_text(CONDITIONS)
    (tmp_path / "priors.toml").write_text(
        '["k"]\ndistribution = "log_uniform"\nbounds = [0.01, 10]\n'
        '["Strong dose"]\ndistribution = "log_uniform"\nbounds = [0.1, 100]\n'
    )
    return tmp_path


def test_each_condition_is_the_run_with_its_constants(folder: Path) -> None:
    model = load_model(folder / "model.mdl")
    both = with_conditions(model, read_conditions(folder / "conditions.toml"))
    run = both.simulate()
    for name, dose in (("low", 2.0), ("high", 4.0), ("plain", 1.0)):
        alone = model.simulate({"Dose": dose})
        one = run.sel(Condition=name)
        np.testing.assert_array_equal(one["S"], alone["S"])
        np.testing.assert_array_equal(one["Both"], alone["Both"])
        np.testing.assert_array_equal(one["Level"], alone["Level"])
    assert run["Lasting"].dims == ("time",)  # what the conditions share is computed once


def test_a_fit_takes_the_data_of_all_conditions(folder: Path) -> None:
    t = np.arange(1.0, 5.0)
    doses = {"low": 2.0, "high": 9.0, "plain": 1.0}
    rows = [
        f"{time:g},{name},{dose * np.exp(-0.7 * time) * (1 + error):.12g}"
        for name, dose in doses.items()
        for time, error in zip(t, 1e-4 * np.array([1, -1, -1, 1]), strict=True)
    ]
    (folder / "data.csv").write_text("Day,condition,S\n" + "\n".join(rows) + "\n")
    own = read_own_model(
        folder / "model.mdl",
        folder / "data.csv",
        folder / "priors.toml",
        conditions=folder / "conditions.toml",
        integration="adaptive",
    )
    assert own.likelihood.nuisances == ("sd of S",)  # one standard deviation for all conditions
    fit = calibrate(own.likelihood, rng=np.random.default_rng(1), starts=4, refine=2)
    estimates = fit_statistics(fit).estimates["estimate"]
    # Errors of a ten-thousandth, with neither a mean nor a trend.
    assert estimates["k"] == pytest.approx(0.7, rel=1e-3)
    assert estimates["Strong dose"] == pytest.approx(9.0, rel=1e-3)


def test_a_prior_per_condition_gives_each_its_own_value_of_a_constant_that_none_sets(
    folder: Path,
) -> None:
    (folder / "conditions.toml").write_text("[slow]\n\n[fast]\n")
    (folder / "priors.toml").write_text(
        '[k]\ndistribution = "lognormal"\nmedian = 0.5\nlog_sd = 1\nper = "Condition"\n'
    )
    rates = {"slow": 0.3, "fast": 0.7}
    rows = [f"{t},{name},{np.exp(-k * t):.12g}" for name, k in rates.items() for t in range(1, 5)]
    (folder / "data.csv").write_text("Day,condition,S\n" + "\n".join(rows) + "\n")
    own = read_own_model(
        folder / "model.mdl",
        folder / "data.csv",
        folder / "priors.toml",
        conditions=folder / "conditions.toml",
        integration="adaptive",
    )
    fit = calibrate(own.likelihood, rng=np.random.default_rng(1), starts=4, refine=2)
    found = fit_statistics(fit).estimates["estimate"]
    for name, rate in rates.items():
        assert found[f"k[{name}]"] == pytest.approx(rate, rel=1e-4)


def test_what_conditions_cannot_do_is_said(folder: Path) -> None:
    model = load_model(folder / "model.mdl")
    with pytest.raises(InputError, match=r"'Does', which is not a constant of the model.*Dose"):
        with_conditions(model, {"a": {"Does": 1.0}})
    with pytest.raises(InputError, match="range or an element 'north'"):
        with_conditions(model, {"north": {"Dose": 1.0}})
    (folder / "data.csv").write_text("Day,condition,S\n1,hihg,1\n")
    files = (folder / "model.mdl", folder / "data.csv", folder / "priors.toml")
    with pytest.raises(TableError, match=r"data.csv:2: no condition 'hihg'.*'high'"):
        read_own_model(*files, conditions=folder / "conditions.toml")
    with pytest.raises(TableError, match="model has no conditions; give them with --conditions"):
        read_own_model(*files)
