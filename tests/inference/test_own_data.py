"""What a table of one's own is compared with: exact solutions give back what made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beltcast import SampleOptions, calibrate, sample
from beltcast.errors import InputError, PriorError
from beltcast.inference.statistics import fit_statistics
from beltcast.workflows.own_model import OwnModel, read_own_model

MODEL = """{UTF-8}
k = 0.3 ~ 1/Day ~ |
sigma = 1 ~ g ~ |
X = INTEG(-Out, 10) ~ g ~ |
Out = k*X ~ g/Day ~ |
Gone = INTEG(Out, 0) ~ g ~ |
Low = X - 5 ~ g ~ |
Belief = -200*(k - 0.5)^2 ~ Dmnl ~ |
Belief rate = Belief/12 ~ 1/Day ~ |
INITIAL TIME = 0 ~ Day ~ |
FINAL TIME = 12 ~ Day ~ |
TIME STEP = 0.25 ~ Day ~ |
SAVEPER = 1 ~ Day ~ |
\\\\\\---/// Sketch information - do not modify anything except names
V300  Do not put anything below this section - it will be ignored
*View 1
$192-192-192,0,Arial|12||0-0-0|0-0-0|0-0-255|-1--1--1|-1--1--1|96,96,100,0
///---\\\\\\
:L<%^E!@
15:0,0,0,1,0,0
"""
VOC = "0.01 <= k = 0.3 <= 5\n"


def own(folder: Path, data: str, voc: str = VOC, **files: str) -> OwnModel:
    for name, text in {"m.mdl": MODEL, "d.csv": data, "p.voc": voc, **files}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return read_own_model(
        folder / "m.mdl",
        folder / "d.csv",
        folder / "p.voc",
        payoff=folder / "p.vpd" if "p.vpd" in files else None,
        columns=folder / "c.toml" if "c.toml" in files else None,
    )


def best(one: OwnModel, label: str = "k") -> float:
    fit = calibrate(one.likelihood, rng=np.random.default_rng(1), starts=8)
    return float(fit_statistics(fit).estimates.loc[label, "estimate"])


def column(name: str, values: dict[float, float]) -> str:
    return f"Day,{name}\n" + "".join(f"{t:g},{v:.8g}\n" for t, v in values.items())


TIMES = (1.0, 2.0, 4.0, 8.0, 12.0)


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("Out", lambda t: 5.0 * np.exp(-0.5 * t)),  # a rate, up to FINAL TIME
        ("X", lambda t: 10.0 * np.exp(-0.5 * t)),
        ("Low", lambda t: 10.0 * np.exp(-0.5 * t) - 5.0),  # negative from day 2 on
    ],
)
def test_exact_solutions_under_runge_kutta_give_back_their_rate(
    tmp_path: Path, name: str, truth: object
) -> None:
    data = column(name, {t: truth(t) for t in TIMES})  # type: ignore[operator]
    assert best(own(tmp_path, data)) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("reading", ["total", "increase"])
def test_totals_of_a_flow_and_increases_of_its_stock_are_the_same(
    tmp_path: Path, reading: str
) -> None:
    variable = "Out" if reading == "total" else "Gone"
    lost = {t: 10.0 * (np.exp(-0.5 * (t - 1.0)) - np.exp(-0.5 * t)) for t in TIMES}
    columns = f'[lost]\nvariable = "{variable}"\nreading = "{reading}"\nperiod = 1\n'
    one = own(tmp_path, column("lost", lost), **{"c.toml": columns})
    assert best(one) == pytest.approx(0.5, abs=2e-3)


def test_a_searched_weight_is_the_maximum_likelihood_standard_deviation(tmp_path: Path) -> None:
    values = {t: 10.0 * np.exp(-0.5 * t) + e for t, e in zip(TIMES, (1, -1, 1, -1, 1), strict=True)}
    one = own(
        tmp_path,
        column("X", values),
        voc=VOC + "0.01 <= sigma <= 20\n",
        **{"p.vpd": "*CG\nX|X/sigma\n"},
    )
    fit = fit_statistics(calibrate(one.likelihood, rng=np.random.default_rng(1), starts=8))
    # The maximum likelihood standard deviation is the root mean square of the residuals.
    rmse = fit.columns.loc["X", "rmse"]
    assert fit.estimates.loc["sigma", "estimate"] == pytest.approx(rmse, rel=1e-3)


@pytest.mark.parametrize("distribution", ["uniform", "log_uniform"])
@pytest.mark.parametrize("bounds", [(0.01, 0.4), (0.6, 5.0)])
def test_a_best_fit_beyond_the_bounds_of_a_flat_prior_ends_at_the_bound(
    tmp_path: Path, distribution: str, bounds: tuple[float, float]
) -> None:
    # The data have k = 0.5; the cost falls all the way to the bound, where a working scale that
    # has its bounds at infinity stops short.
    low, high = bounds
    own(tmp_path, column("X", {t: 10.0 * np.exp(-0.5 * t) for t in TIMES}))
    text = f'["k"]\ndistribution = "{distribution}"\nbounds = [{low}, {high}]\n'
    (tmp_path / "p.toml").write_text(text)
    made = read_own_model(tmp_path / "m.mdl", tmp_path / "d.csv", tmp_path / "p.toml")
    fit = fit_statistics(calibrate(made.likelihood, rng=np.random.default_rng(1), starts=8))
    nearest = high if high < 0.5 else low
    assert fit.estimates.loc["k", "estimate"] == pytest.approx(nearest, rel=1e-6)
    assert fit.estimates.loc["k", "at_bound"]
    assert "at its bound" in fit.words()


@pytest.mark.parametrize("payoff", ["*P\nBelief rate/1\n", "*PF\nBelief/1\n"])
def test_a_variable_that_is_a_log_likelihood_is_one(tmp_path: Path, payoff: str) -> None:
    # -(k - 0.5)^2 / (2 0.05^2), over the run or at its end: a normal posterior between far bounds.
    one = own(tmp_path, column("X", {1.0: 6.0}), **{"p.vpd": payoff})
    fit = calibrate(one.likelihood, rng=np.random.default_rng(1), starts=8)
    found = fit_statistics(fit)
    assert found.estimates.loc["k", "estimate"] == pytest.approx(0.5, rel=1e-4)
    options = SampleOptions(draws=500, method="walkers", every=4)
    chains = sample(fit, options, rng=np.random.default_rng(2))
    k = one.likelihood.priors.natural(chains.theta[..., :1])
    assert k.mean() == pytest.approx(0.5, abs=4 * 0.05 / np.sqrt(200))
    assert k.std() == pytest.approx(0.05, rel=0.2)


def test_a_prior_of_the_time_grid_is_refused_in_toml_too(tmp_path: Path) -> None:
    (tmp_path / "m.mdl").write_text(MODEL, encoding="utf-8")
    (tmp_path / "d.csv").write_text(column("X", {1.0: 6.0}))
    priors = tmp_path / "p.toml"
    priors.write_text('["TIME STEP"]\ndistribution = "uniform"\nbounds = [0.1, 1]\n')
    with pytest.raises(PriorError, match="'TIME STEP' sets the time grid") as caught:
        read_own_model(tmp_path / "m.mdl", tmp_path / "d.csv", priors)
    assert caught.value.line == 1


@pytest.mark.parametrize("control", ["TIME STEP", "INITIAL TIME", "FINAL TIME"])
def test_a_prior_of_the_time_grid_is_refused(tmp_path: Path, control: str) -> None:
    data = column("X", {1.0: 6.0, 2.0: 3.6})
    with pytest.raises((InputError, PriorError), match=f"'{control}' sets the time grid") as caught:
        own(tmp_path, data, voc=f"0.01 <= {control} <= 1\n")
    assert caught.value.line == 1


@pytest.mark.parametrize(
    "data",
    [
        "Day,X\n0,10\n1,NA\n2,3.6\n",
        "Day;X\n0;10\n1;6,1\n2;3,6\n",
        "Day\tX\n0\t10\n1\t6\n2\t3.6\n",
        "Date,X\n2020-03-01,10\n2020-03-02,6\n2020-03-03,3.6\n",
        "Day,X,source\n0,10,a\n1,6,b\n2,3.6,c\n",
        "Day,X (mg)\n0,10000\n1,6000\n2,3600\n",
        "Day,X\n0,10\n1,6\n1,6.2\n2,3.6\n",
        'Day,X\n0,"10.0"\n1,6.0E+00\n2,3.6\n',
    ],
)
def test_tables_of_spreadsheets_are_read(tmp_path: Path, data: str) -> None:
    assert best(own(tmp_path, data)) == pytest.approx(0.51, abs=0.02)


def test_a_count_may_be_0_and_neither_negative_nor_broken(tmp_path: Path) -> None:
    counts = {"c.toml": '[Gone]\nerrors = { family = "poisson" }\n'}
    read = own(tmp_path, column("Gone", {1: 0, 2: 3}), **counts)
    assert [row.value for row in read.likelihood.observations.rows] == [0.0, 3.0]
    for wrong in (-1, 0.5):
        with pytest.raises(InputError, match="counts are whole numbers, 0 or more"):
            own(tmp_path, column("Gone", {1: 0, 2: wrong}), **counts)
