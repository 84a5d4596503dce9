"""Every cell of the statistics of a fit, against a likelihood that SciPy maximises."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import optimize, stats

from beltcast import Likelihood, Model, calibrate, make_likelihood
from beltcast.inference.flat_priors import bounds_only
from beltcast.inference.statistics import FitStatistics, _estimates, fit_statistics
from beltcast.study.error_models import ErrorModel
from beltcast.study.noise import Definition
from beltcast.study.priors import make_priors, uniform_entry

# The model's output is 10 Factor in the East and 20 Factor in the West, in every year.
HARE = {("East", 2014.0): 11.0, ("East", 2015.0): 14.0, ("West", 2014.0): 22.0}
LYNX = {("East", 2016.0): 9.0, ("West", 2016.0): 27.0, ("West", 2017.0): 31.0}
ENDS = (17.5, 18.5)
"""A rounded value of the West, 18."""
SD = 0.2
"""Of the logs of the second column."""


def likelihood_of(small: Model, make: SimpleNamespace, bounds: tuple[float, float]) -> Likelihood:
    definitions = {
        "hare": Definition("Hare", 0, 0, 0, ErrorModel("normal", 1.0, 2.0, name="Hare")),
        "lynx": Definition("Lynx", 0, 0, 0, ErrorModel("lognormal", SD, name="Lynx")),
    }

    def row(place: str, year: float, value: float, definition: str, kind: str = "level"):  # type: ignore[no-untyped-def]
        within = ENDS if value == 18.0 else None
        return make.row(
            kind,
            year,
            place=place,
            elements=(place,),
            value=value,
            definition=definition,
            within=within,
        )

    rows = [
        *(row(place, year, v, "hare") for (place, year), v in HARE.items()),
        *(row(place, year, v, "lynx") for (place, year), v in LYNX.items()),
        row("West", 2018.0, 18.0, "lynx"),
        row("West", 2019.0, 15.0, "lynx", "lower"),
        row("East", 2019.0, 8.0, "hare", "upper"),
    ]
    entry = uniform_entry("Factor", "Factor", "other", "Dmnl", "a test", bounds)
    noise = make.noise(definitions=definitions, seasonal=False)
    return make_likelihood(small, make_priors([entry]), make.table(*rows), noise)


@pytest.fixture(scope="module")
def found(small: Model, make: SimpleNamespace) -> FitStatistics:
    one = likelihood_of(small, make, (0.2, 5.0))
    return fit_statistics(calibrate(one, rng=np.random.default_rng(1), starts=2))


def log_likelihood(factor: float, sd: float) -> float:
    """Of the published numbers themselves, row by row."""
    size = {"East": 10.0 * factor, "West": 20.0 * factor}
    total = sum(stats.norm.logpdf(v, size[place], sd) for (place, _), v in HARE.items())
    total += sum(stats.lognorm.logpdf(v, SD, scale=size[place]) for (place, _), v in LYNX.items())
    rounded = stats.lognorm(SD, scale=size["West"])
    total += np.log(rounded.cdf(ENDS[1]) - rounded.cdf(ENDS[0]))
    total += rounded.logsf(15.0)  # the truth lies above 15
    total += stats.norm.logcdf(8.0, size["East"], sd)  # and below 8
    return float(total)


@pytest.fixture(scope="module")
def known() -> tuple[np.ndarray, np.ndarray]:
    """Factor and log sd at the maximum, and the inverse of the curvature there."""

    def cost(x: np.ndarray) -> float:
        return -log_likelihood(x[0], np.exp(x[1]))

    options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 4000}
    best = optimize.minimize(cost, [1.2, 0.5], method="Nelder-Mead", options=options).x
    h = 1e-4 * np.eye(2)
    hessian = np.array(
        [
            [
                (cost(best + a + b) - cost(best + a - b) - cost(best - a + b) + cost(best - a - b))
                / 4e-8
                for b in h
            ]
            for a in h
        ]
    )
    return best, np.linalg.inv(hessian)


def test_the_best_fit_is_the_maximum_of_the_likelihood(
    found: FitStatistics, known: tuple[np.ndarray, np.ndarray]
) -> None:
    """The flat prior and the default prior of a scale have no weight in it."""
    (factor, log_sd), _ = known
    estimates = found.estimates["estimate"]
    assert list(estimates.index) == ["Factor", "sd of Hare"]
    assert estimates["Factor"] == pytest.approx(factor, rel=1e-5)
    assert estimates["sd of Hare"] == pytest.approx(np.exp(log_sd), rel=1e-4)
    assert not found.estimates["at_bound"].any()


def test_criteria_count_unknowns_and_all_rows(
    found: FitStatistics, known: tuple[np.ndarray, np.ndarray]
) -> None:
    (factor, log_sd), _ = known
    best = log_likelihood(factor, np.exp(log_sd))
    assert found.log_likelihood == pytest.approx(best, abs=1e-6)
    assert (found.unknowns, found.observations) == (2, 9)
    assert found.aic == pytest.approx(4.0 - 2.0 * best, abs=1e-5)
    assert found.bic == pytest.approx(2.0 * np.log(9.0) - 2.0 * best, abs=1e-5)
    words = found.words()
    assert f"AIC {found.aic:.2f}, BIC {found.bic:.2f}" in words
    assert "pooled" not in words


def test_standard_errors_and_intervals_are_those_of_the_curvature(
    found: FitStatistics, known: tuple[np.ndarray, np.ndarray]
) -> None:
    """Of the factor itself; of the log of an estimated sd, whose interval is not symmetric."""
    _, covariance = known
    row = found.estimates.loc["Factor"]
    error = np.sqrt(covariance[0, 0])
    assert row["standard_error"] == pytest.approx(error, rel=0.02)
    for q, name in ((0.1, "p10"), (0.9, "p90"), (0.025, "p2_5"), (0.975, "p97_5")):
        reach = stats.norm.ppf(q)
        assert row[name] == pytest.approx(row["estimate"] + reach * row["standard_error"], rel=1e-9)
        scale = found.estimates.loc["sd of Hare"]
        log_sd = scale["standard_error"] / scale["estimate"]
        assert scale[name] == pytest.approx(scale["estimate"] * np.exp(reach * log_sd), rel=1e-9)
    log_sd = found.estimates.loc["sd of Hare", "standard_error"] / np.exp(known[0][1])
    assert log_sd == pytest.approx(np.sqrt(covariance[1, 1]), rel=0.05)


def test_each_cell_of_a_column_is_its_formula(found: FitStatistics) -> None:
    """Over its numbers, rounded ones included; bounds have no residual."""
    factor = found.estimates.loc["Factor", "estimate"]
    size = {"East": 10.0 * factor, "West": 20.0 * factor}
    lynx = [*LYNX.items(), (("West", 2018.0), np.sqrt(np.prod(ENDS)))]  # the middle of its logs
    for name, rows in (("Hare", list(HARE.items())), ("Lynx", lynx)):
        y = np.array([v for _, v in rows])
        m = np.array([size[place] for (place, _), _ in rows])
        cells = found.columns.loc[name]
        mse = np.mean((y - m) ** 2)
        r = np.corrcoef(y, m)[0, 1]
        expected = {
            "rows": len(y),
            "rmse": np.sqrt(mse),
            "r2": 1 - mse / y.var(),
            "theil_u": np.sqrt(mse / np.mean(y**2)),
            "bias": (y.mean() - m.mean()) ** 2 / mse,
            "variance": (y.std() - m.std()) ** 2 / mse,
            "covariance": 2 * (1 - r) * y.std() * m.std() / mse,
        }
        assert dict(cells) == pytest.approx(expected, rel=1e-9)
        assert cells[["bias", "variance", "covariance"]].sum() == pytest.approx(1.0, rel=1e-9)
    assert list(found.columns.index) == ["Hare", "Lynx"]


@pytest.mark.parametrize(
    ("factor", "log_scale", "at_bound"),
    [
        (0.2047, 0.0, [True, False]),
        (0.2049, 0.0, [False, False]),
        (4.9951, 0.0, [False, False]),
        (4.9953, 0.0, [True, False]),
        (1.0, 13.9985, [False, False]),
        (1.0, 13.9995, [False, True]),
        (1.0, -13.9995, [False, True]),
    ],
)
def test_an_estimate_is_at_a_bound_within_a_thousandth_of_the_range(
    small: Model, make: SimpleNamespace, factor: float, log_scale: float, at_bound: list[bool]
) -> None:
    """The range of the factor is 4.8; that of a log scale 14 prior sds to either side."""
    one = bounds_only(likelihood_of(small, make, (0.2, 5.0)))
    table = _estimates(one, np.array([factor, log_scale]), np.eye(2))
    assert table["at_bound"].tolist() == at_bound
    assert table.loc["sd of Hare", "estimate"] == pytest.approx(np.exp(2.0 * log_scale))
    assert table.loc["sd of Hare", "standard_error"] == pytest.approx(2.0 * np.exp(2.0 * log_scale))
